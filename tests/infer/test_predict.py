"""Finding images, and what a predictor answers."""

import numpy as np
import pytest
from PIL import Image

from tests.runs import TINY, change
from vit_jax.errors import ConfigError
from vit_jax.infer.image_files import find_images
from vit_jax.infer.predict import Predictor
from vit_jax.training.loop import train


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for name in ("b.PNG", "a.jpg", "sub/c.webp"):
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def names(found, root):
    return [path.removeprefix(f"{root}/") for path in found]


def test_finds_files_folders_and_globs(folder):
    assert names(find_images([str(folder)]), folder) == ["a.jpg", "b.PNG", "sub/c.webp"]
    assert names(find_images([f"{folder}/*.jpg"]), folder) == ["a.jpg"]
    assert names(find_images([f"{folder}/**/*.webp"]), folder) == ["sub/c.webp"]
    assert find_images(["notes.txt"]) == ["notes.txt"]  # named outright


def test_what_is_hidden_in_a_folder_is_passed_over(folder):
    """A notebook leaves copies in .ipynb_checkpoints, a file manager thumbnails."""
    (folder / ".ipynb_checkpoints").mkdir()
    for name in (".ipynb_checkpoints/a-checkpoint.jpg", ".b.PNG"):
        (folder / name).write_bytes((folder / "a.jpg").read_bytes())
    assert names(find_images([str(folder)]), folder) == ["a.jpg", "b.PNG", "sub/c.webp"]


def test_a_home_of_nobody_is_a_name_like_others():
    assert find_images(["~nobody-here/a.jpg"]) == ["~nobody-here/a.jpg"]
    with pytest.raises(ConfigError, match="nobody-here"):
        Predictor("~nobody-here/run")


@pytest.mark.parametrize(
    ("argument", "message"),
    [("*.gif", "must match at least one file"), ("", "found none")],
)
def test_finding_no_image_is_an_error(tmp_path, argument, message):
    with pytest.raises(ConfigError, match=message):
        find_images([f"{tmp_path}/{argument}"])


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_probabilities_fit_the_loss(folder, tmp_path_factory, loss):
    workdir = tmp_path_factory.mktemp("run")
    train(change(TINY, train={"loss": loss, "total_steps": 3}), workdir)
    predictor = Predictor(workdir, batch_size=2)
    found = find_images([str(folder)])
    predictions = predictor.predict(found, top_k=10)
    assert [p.path for p in predictions] == found
    total = sum(predictions[0].probabilities)
    assert (abs(total - 1) < 1e-5) == (loss == "softmax")
    assert sorted(predictions[0].labels) == list(range(10))
    # Padding and the place in a batch change nothing.
    assert predictor.predict(found[2:], top_k=10) == predictions[2:]
    # Nor do other images, read and computed at the same time, or one that is none.
    mixed = [*found, str(folder / "notes.txt"), *found] * 20
    again = predictor.predict(mixed, top_k=10)
    assert [p.path for p in again] == mixed
    good = [p for p in again if not p.error]
    assert good == predictions * 40
    assert {p.path for p in again if p.error} == {str(folder / "notes.txt")}
