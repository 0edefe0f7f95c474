"""Choices that an option of a command names."""

from vit_jax.config.choices.table import Choices

# Called with a Subject; returns numbers that JSON holds.
EVALUATORS = Choices(
    "evaluator",
    "eval --evaluator",
    {
        "classes": (
            "evaluators.classes:evaluate",
            "accuracy of each class, and the confusion matrix",
        ),
        "calibration": (
            "evaluators.calibration:evaluate",
            "expected calibration error, and the reliability diagram",
        ),
        "real": (
            "evaluators.real:evaluate",
            "top-1 on ImageNet's reassessed labels",
        ),
        "fewshot": (
            "evaluators.fewshot:evaluate",
            "linear few-shot accuracy of the features",
        ),
        "knn": ("evaluators.knn:evaluate", "nearest neighbours of the features"),
        "probe": ("evaluators.probe:evaluate", "logistic regression on the features"),
    },
)

# Called with an Album; yields file names and figures.
FIGURES = Choices(
    "kind of figure",
    "figures --kind",
    {
        "attention": ("figures.kinds:show_attention", "attention by layer and head"),
        "rollout": (
            "figures.kinds:show_rollout",
            "attention through all layers, over the image",
        ),
        "distance": (
            "figures.kinds:show_distance",
            "how far each head looks, by layer",
        ),
        "positions": (
            "figures.kinds:show_positions",
            "similarity of the position embeddings",
        ),
        "filters": (
            "figures.kinds:show_filters",
            "principal components of the first layer's filters",
        ),
        "curves": ("figures.kinds:show_curves", "loss and accuracy during training"),
        "confusion": ("figures.kinds:show_confusion", "the confusion matrix"),
        "mistakes": ("figures.kinds:show_mistakes", "the most confident mistakes"),
        "reliability": (
            "figures.kinds:show_reliability",
            "accuracy against confidence",
        ),
    },
)

# Called with (config, mesh, classes, repeats, seconds); returns what was measured.
PHASES = Choices(
    "phase",
    "bench --phase",
    {
        "train": ("bench.phases:time_training", "one update after the other"),
        "inference": ("bench.phases:time_inference", "logits of one batch"),
    },
)
