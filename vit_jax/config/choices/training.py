"""Choices about a run: what it minimizes, and how."""

from vit_jax.config.choices.table import Choices

# Called with (logits, targets); returns the loss of each example.
LOSSES = Choices(
    "loss",
    "config.train.loss",
    {
        "softmax": (
            "objectives.losses:softmax_loss",
            "cross-entropy; for one label an image",
        ),
        "sigmoid": (
            "objectives.losses:sigmoid_loss",
            "binary cross-entropies, summed; for several labels an image",
        ),
    },
)

OBJECTIVES = Choices(
    "objective",
    "config.objective.name",
    {
        "classify": (
            "objectives.classify:make_classify",
            "predict the labels; the loss is config.train.loss",
        ),
    },
)

OPTIMIZERS = Choices(
    "optimizer",
    "config.optim.name",
    {
        "sgd": ("training.optimizers:make_sgd", "with momentum"),
        "adam": ("training.optimizers:make_adam", "without weight decay"),
        "adamw": ("training.optimizers:make_adam", "with decoupled weight decay"),
    },
)

SCHEDULES = Choices(
    "schedule",
    "config.optim.schedule",
    {
        "cosine": ("training.schedules:make_cosine", "to 0, along half a cosine"),
        "linear": ("training.schedules:make_linear", "to config.optim.linear_end"),
        "constant": ("training.schedules:make_constant", "stays after the warm-up"),
    },
)

# The implementation is the sizes of the mesh axes data, fsdp and tensor; -1 takes the
# devices left.
MESH_PRESETS = Choices(
    "mesh preset",
    "config.mesh.preset",
    {
        "dp": ((-1, 1, 1), "data parallel: each device holds the whole model"),
        "fsdp": ((1, -1, 1), "parameters and optimizer state sharded over all devices"),
        "fsdp_tp": ((1, -1, 2), "the same, and every layer split over 2 devices"),
    },
)

ACCUMULATOR_DTYPES = Choices(
    "accumulator dtype",
    "config.optim.accumulator_dtype",
    {
        "float32": (None, "exact"),
        "bfloat16": (None, "half the memory of the first moment"),
    },
)
