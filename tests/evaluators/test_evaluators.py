"""Evaluators: few-shot, neighbours and intervals against the formulas; then each runs."""

import json

import numpy as np
import pytest

from tests import numpy_vit
from tests.trained import golden_model, tiny_run
from vit_jax import evaluators
from vit_jax.cli import main
from vit_jax.config.choices import EVALUATORS
from vit_jax.errors import ConfigError
from vit_jax.evaluators import calibration, classes, fewshot, knn, probe, real
from vit_jax.infer.evaluate import evaluate


@pytest.fixture(scope="module")
def features():
    """Features of the original's golden model on digits: (train, test)."""
    subject = evaluators.open_subject(
        golden_model("token"), "test[:40]", "digits", "train[:80]"
    )
    return (
        evaluators.collect(subject, "features", "train[:80]"),
        evaluators.collect(subject, "features"),
    )


@pytest.mark.parametrize("count", [20, 80])  # fewer and more images than features
@pytest.mark.parametrize("l2", [2.0**-10, 1.0, 2.0**10])
def test_fewshot_is_least_squares(features, count, l2):
    train, test = features
    x, labels = train.values[:count].astype(np.float64), train.labels[:count]
    expected = numpy_vit.least_squares(
        x, labels, test.values.astype(np.float64), 10, l2
    )
    solved = fewshot.solve_least_squares(x, labels, 10)
    got = fewshot.compute_scores(solved, test.values, l2)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_neighbours_vote_as_in_the_paper(features):
    train, test = features
    expected = numpy_vit.neighbours(
        train.values.astype(np.float64), train.labels, test.values, 10, k=20
    )
    got = knn.count_votes(train.values, train.labels, test.values, 10)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_shots_are_of_each_class_and_differ_by_seed(features):
    labels = features[0].labels
    chosen = fewshot.draw_examples(labels, 3, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [3] * 10
    assert len(set(chosen.tolist())) == 30
    np.testing.assert_array_equal(chosen, fewshot.draw_examples(labels, 3, seed=0))
    assert chosen.tolist() != fewshot.draw_examples(labels, 3, seed=1).tolist()


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval(hits, count, low, high):
    got = classes.compute_wilson_interval(hits, count)
    np.testing.assert_allclose(got, (low, high), atol=5e-5)


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    is_right = np.array([1, 1, 1, 0, 0, 0], bool)
    values = calibration.compute_reliability(confidence, is_right, num_bins=10)
    # Four at 0.95 of which 0.75 are right; two at 0.55 of which none is.
    assert values["ece"] == pytest.approx((4 * 0.20 + 2 * 0.55) / 6)
    assert [b["count"] for b in values["bins"]] == [0, 0, 0, 0, 0, 2, 0, 0, 0, 4]
    assert (
        calibration.compute_reliability(np.array([1.0, 0.1]), is_right[:2], 10)["bins"][
            0
        ]["count"]
        == 1
    )  # a bin holds its upper end


def test_confusion_counts_rows_by_truth():
    matrix = classes.count_confusion(np.array([0, 0, 2]), np.array([0, 1, 2]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_probe_learns_what_is_linear():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    x = np.eye(3)[labels] + 0.1 * rng.normal(size=(90, 3))
    answers, _ = probe.fit_and_predict(x[:60], labels[:60], x[60:])
    assert (answers == labels[60:]).all()
    with pytest.raises(ConfigError, match="at least two training images of each class"):
        probe.fit_and_predict(x[:3], np.array([0, 1, 2]), x)
    with pytest.raises(ConfigError, match="at least two classes, got 1"):
        probe.fit_and_predict(x[:3], np.array([4, 4, 4]), x)


def run(name, **options):
    return evaluators.run_evaluator(name, tiny_run(), **options)


def test_classes_agree_with_evaluation():
    values, whole = run("classes"), evaluate(tiny_run())
    assert values["top1"] == pytest.approx(whole["top1"])
    assert values["count"] == whole["count"] == 64
    assert values["top1_low"] < values["top1"] < values["top1_high"]
    hits = sum(row["accuracy"] * row["count"] for row in values["classes"])
    assert hits == pytest.approx(64 * whole["top1"])
    shares = [row["accuracy"] for row in values["classes"]]
    assert shares == sorted(shares)
    assert run("calibration")["accuracy_mean"] == pytest.approx(whole["top1"])


def test_features_are_scored_on_the_evaluated_split():
    few = run("fewshot", train_split="train[:200]")
    assert {"1-shot", "5-shot", "10-shot"} <= set(few)
    assert 0.1 < few["1-shot"] < few["10-shot"] <= 1
    near = run("knn", train_split="train[:200]")
    assert near["neighbours"] == 200
    assert near["top1"] > 0.3
    linear = run("probe", train_split="train[:200]")
    assert linear["count"] == 64
    assert linear["top1"] > 0.5


def test_real_labels(tmp_path, monkeypatch):
    table = [[i % 10] for i in range(64)]
    path = tmp_path / "real.json"
    path.write_text(json.dumps(table))
    with pytest.raises(ConfigError, match="must be in the file of labels"):
        run("real", labels=path)
    with pytest.raises(ConfigError, match="must name the file of labels"):
        run("real")
    path.write_text('{"a": 3}')
    with pytest.raises(ConfigError, match="must hold a list of labels"):
        run("real", labels=path)
    labels = {"ILSVRC2012_val_00000002.JPEG": [1, 5], "x.png": []}
    assert real.find_labels("/a/n01/ILSVRC2012_val_00000002.JPEG", labels) == [1, 5]
    assert real.find_labels("/b/x.png", labels) == []

    # The golden run's answers, as the labels of every other image.
    subject = evaluators.open_subject(tiny_run(), labels=path)
    found = evaluators.collect(subject, "logits")
    names = [found.source[int(i)]["name"] for i in found.indices]
    answers = found.values.argmax(axis=1)
    wanted = {
        name: [] if i % 2 else [int(answer) if i % 4 else int(answer + 1) % 10]
        for i, (name, answer) in enumerate(zip(names, answers, strict=True))
    }
    monkeypatch.setattr(real, "find_labels", lambda name, table: wanted[name])
    path.write_text(json.dumps([]))
    values = real.evaluate(subject)
    assert values["count"] == 32
    assert values["real"] == pytest.approx(0.5)


def test_command(capsys):
    argv = ["eval", f"--workdir={tiny_run()}", "--evaluator=classes"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "mean_class_accuracy: " in out
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 64
    assert main([*argv[:2], "--evaluator=knnn"]) == 2
    assert 'did you mean "knn"' in capsys.readouterr().err


def test_a_published_file_is_evaluated_on_a_source_with_its_classes(capsys):
    checkpoint = golden_model("token").name  # ten classes, as digits has
    argv = ["eval", f"--checkpoint={checkpoint}", "--split=test[:30]"]
    assert main(argv) == 2
    assert "--source must be given" in capsys.readouterr().err
    assert main([*argv, "--source=digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 30


def test_a_registered_evaluator_is_found_by_name(monkeypatch, capsys):
    def count_labels(subject):
        labels = evaluators.collect(subject, "features").labels
        return {"labels": len(set(labels.tolist()))}

    monkeypatch.setattr(EVALUATORS, "_rows", dict(EVALUATORS))
    EVALUATORS.register("labels", count_labels, "number of classes in the split")
    assert run("labels") == {"labels": 10}
    assert main(["eval", f"--workdir={tiny_run()}", "--evaluator=labels"]) == 0
    assert "labels: 10" in capsys.readouterr().out
