"""Mean average precision: on values by hand, against scikit-learn, and of a run."""

import dataclasses

import jax
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tests.data.image_files import encode
from tests.runs import TINY, change
from vit_jax.data import loader
from vit_jax.data.sources import make_source
from vit_jax.errors import ConfigError
from vit_jax.infer.evaluate import evaluate
from vit_jax.mesh.sharding import make_mesh
from vit_jax.objectives.average_precision import (
    average_precision,
    mean_average_precision,
)
from vit_jax.objectives.classify import describe_metrics, finish_hits
from vit_jax.objectives.evaluate import evaluate_batches
from vit_jax.training.loop import train


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0.9, 0.8, 0.7], [1, 0, 1], (1 + 2 / 3) / 2),
        ([0.7, 0.8, 0.9], [1, 0, 1], (1 + 2 / 3) / 2),
        ([3, 2, 1, 0], [0, 0, 0, 1], 1 / 4),
        ([3, 2, 1, 0], [1, 1, 0, 0], 1),
        # Equal scores stand in one place, in whatever order they come.
        ([5, 5], [1, 0], 1 / 2),
        ([5, 5], [0, 1], 1 / 2),
        ([9, 5, 5, 1], [1, 0, 1, 1], (1 + 2 / 3 + 3 / 4) / 3),
    ],
)
def test_by_hand(scores, labels, expected):
    result = average_precision(np.array(scores, np.float32), np.array(labels, np.uint8))
    assert result == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("levels", [5, 10_000])
def test_is_that_of_scikit_learn(levels):
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, (200, 12)).astype(np.float32)
    labels = (rng.random((200, 12)) < rng.random(12) / 2).astype(np.uint8)
    labels[0] = 1
    expected = average_precision_score(labels, scores, average="macro")
    assert mean_average_precision(scores, labels) == pytest.approx(expected, rel=1e-12)
    # A class without an image has no average precision, and is left out.
    labels[:, 3] = 0
    kept = np.arange(12) != 3
    expected = average_precision_score(labels[:, kept], scores[:, kept])
    assert mean_average_precision(scores, labels) == pytest.approx(expected, rel=1e-12)
    assert mean_average_precision(scores, labels * 0) == 0


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """37 images of 0 to 3 classes: how bright they are, in each channel."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    lines = ["path,labels,split"]
    for i in range(37):
        color = rng.integers(0, 256, 3)
        pixels = np.broadcast_to(color, (8, 8, 3)).astype(np.uint8)
        (folder / f"{i}.png").write_bytes(encode(pixels))
        names = [
            n for n, v in zip(("red", "green", "blue"), color, strict=True) if v > 127
        ]
        lines.append(f"{i}.png,{'|'.join(names)},{'train' if i < 24 else 'test'}")
    path = folder / "list.csv"
    path.write_text("\n".join(lines))
    return path


def test_of_a_run(table, tmp_path):
    """13 images in batches of 8: the padding has no part in it."""
    config = change(
        TINY,
        data={"source": str(table), "eval_batch_size": 8, "flip": False},
        train={"total_steps": 3, "loss": "sigmoid"},
    )
    metrics = train(config, tmp_path / "run").metrics
    assert metrics["count"] == 13
    assert 0 < metrics["map"] <= 1
    assert describe_metrics(metrics).startswith(f"mAP {metrics['map']:.2%}  top-1")
    again = evaluate(tmp_path / "run")
    assert again["map"] == pytest.approx(metrics["map"], rel=1e-6)
    with pytest.raises(ConfigError, match="must be sigmoid for images with several"):
        train(change(config, train={"loss": "softmax"}), tmp_path / "other")


def test_does_not_depend_on_the_batch(table):
    """A model that is right of red and green, and takes blue for its opposite."""

    def step(params, batch):
        images, mask = jax.device_get((batch["image"], batch["mask"]))
        scores = images[:, 0, 0, ::-1] * np.float32([-1, 1, 1])  # blue, green, red
        labels = jax.device_get(batch["label"])
        return {"count": mask.sum(), "scores": scores, "labels": labels, "mask": mask}

    data = dataclasses.replace(TINY.data, source=str(table))
    source = make_source(data, "test")
    assert source.class_names == ("blue", "green", "red")
    mesh = make_mesh(TINY.mesh, jax.devices()[:1])
    results = []
    for size in (1, 8, 16):
        sized = dataclasses.replace(data, eval_batch_size=size)
        batches = loader.eval_batches(source, sized)
        results.append(evaluate_batches(step, None, batches, mesh, finish_hits))
    assert results[0] == results[1] == results[2]
    count = sum(int(source[i]["label"][0]) for i in range(13))
    worst = np.mean([(i + 1) / (13 - count + i + 1) for i in range(count)])
    assert results[0]["map"] == pytest.approx((worst + 2) / 3)
