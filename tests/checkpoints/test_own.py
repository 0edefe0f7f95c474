"""A run of ours, opened: held against its model by name, and read shard by shard."""

import dataclasses
import json
import shutil
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.models.references import GOLDEN
from tests.models.tiny import flat
from tests.runs import TINY, change
from vit_jax import Predictor, checkpoints, load, load_pretrained
from vit_jax.checkpoints import place
from vit_jax.checkpoints.files import orbax_files
from vit_jax.checkpoints.formats import own
from vit_jax.checkpoints.place import place_params
from vit_jax.cli import main
from vit_jax.config import Config, MeshConfig
from vit_jax.data.export import export_images
from vit_jax.errors import ConfigError
from vit_jax.infer.evaluate import evaluate
from vit_jax.mesh.sharding import make_mesh
from vit_jax.training.loop import train

SHORT = change(
    TINY,
    optim={"warmup_steps": 1},
    train={"total_steps": 2, "eval_every_steps": 2},
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """By whether the layers are stacked."""
    folders = {scan: tmp_path_factory.mktemp(f"scan_{scan}") for scan in (False, True)}
    for scan, folder in folders.items():
        train(change(SHORT, model={"scan": scan}, train={"ema_decay": 0.5}), folder)
    return folders


def test_the_record_says_what_the_run_was(runs: dict[bool, Path]) -> None:
    checkpoint = checkpoints.open_checkpoint(runs[True])
    assert (checkpoint.format, checkpoint.step, checkpoint.loss) == (
        "vit_jax", 2, "softmax"
    )  # fmt: skip
    assert checkpoint.run is not None
    assert checkpoint.run.model.scan
    assert not checkpoint.model.scan
    assert set(checkpoint.metrics) >= {"top1", "loss"}
    assert checkpoint.notes == ("the average of the parameters, which the run kept",)
    step = checkpoints.open_checkpoint(runs[True] / "checkpoints" / "2")
    assert step.card == checkpoint.card
    assert load(runs[True]).step == 2


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("scan", [False, True])
def test_names_are_compared_both_ways(
    runs: dict[bool, Path], scan: bool, num_layers: int, tmp_path: Path
) -> None:
    """A card of another number of layers: arrays are left over, or missing."""
    shutil.copytree(runs[scan], tmp_path / "run")
    file = tmp_path / "run" / "checkpoints" / "2" / "card" / "metadata"
    card = json.loads(file.read_text())
    card["model"]["num_layers"] = num_layers
    file.write_text(json.dumps(card))
    kind = "extra: " if num_layers == 1 else "missing: "
    expected = f"{kind}.*Transformer/encoderblock_" if not scan else "another shape: "
    for read in (load, load_pretrained, checkpoints.open_checkpoint):
        with pytest.raises(ConfigError, match=expected) as caught:
            read(tmp_path / "run")
        assert "\n" not in str(caught.value)


def test_a_parameter_that_the_model_lacks_is_an_error(
    runs: dict[bool, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if an option with a parameter had been added since, or taken away."""
    listed = orbax_files.list_arrays

    def more(folder: Path):
        return {
            **listed(folder),
            "Transformer/x": jax.ShapeDtypeStruct((2,), np.float32),
        }

    monkeypatch.setattr(own, "list_arrays", more)
    with pytest.raises(checkpoints.MismatchError) as caught:
        load(runs[False])
    assert caught.value.extra == ["Transformer/x"]

    def less(folder: Path):
        return {k: v for k, v in listed(folder).items() if k != "cls"}

    monkeypatch.setattr(own, "list_arrays", less)
    with pytest.raises(checkpoints.MismatchError) as caught:
        load(runs[False])
    assert caught.value.missing == ["cls"]


@pytest.mark.parametrize("sizes", [(8, 1, 1), (1, 8, 1), (2, 2, 2)])
@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("saved", [False, True])
def test_no_whole_array_is_read_on_the_host(
    runs: dict[bool, Path],
    saved: bool,
    wanted: bool,
    sizes: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stacked or not, there or here: the same numbers, each on its devices."""
    source = checkpoints.open_checkpoint(runs[saved])
    expected = {name: np.asarray(tensor) for name, tensor in source.tensors.items()}

    def refuse(*_):
        raise AssertionError("a whole array was read")

    monkeypatch.setattr(own, "read_array", refuse)
    mesh = make_mesh(MeshConfig(*sizes))
    source = checkpoints.open_checkpoint(runs[saved])
    params = flat(place_params(source, mesh, scan=wanted))
    for name, array in params.items():
        assert array.sharding.mesh == mesh
        stack = [
            expected[name.replace("encoderblock/", f"encoderblock_{i}/")]
            for i in range(2)
        ]
        is_stack = "encoderblock/" in name
        np.testing.assert_array_equal(array, np.stack(stack) if is_stack else stack[0])
    assert any("encoderblock/" in name for name in params) == wanted


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts what is opened and read."""
    counts: Counter[str] = Counter()

    def count(module, name: str) -> None:
        original = getattr(module, name)

        def counting(*args, **kwargs):
            counts[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, counting)

    count(zipfile, "ZipFile")
    count(own, "list_arrays")
    count(own, "read_step_card")
    count(own, "read_array")
    count(place, "read_sharded")
    return counts


def start_from(checkpoint: Path) -> Config:
    config = change(SHORT, init={"checkpoint": str(checkpoint)})
    size = {"image_size": (32, 32)} if checkpoint.suffix == ".npz" else {}
    config = change(config, data=size)
    return dataclasses.replace(config, model=type(config.model)())


def test_a_start_opens_a_file_once(counted: Counter, tmp_path: Path) -> None:
    train(start_from(GOLDEN / "google_vit" / "token.linen.npz"), tmp_path)
    assert counted == {"ZipFile": 1}


def test_a_start_opens_a_run_once(
    runs: dict[bool, Path], counted: Counter, tmp_path: Path
) -> None:
    train(start_from(runs[True]), tmp_path)
    assert counted == {"list_arrays": 1, "read_step_card": 1, "read_sharded": 1}


def test_an_evaluation_opens_a_run_once(
    runs: dict[bool, Path], counted: Counter
) -> None:
    evaluate(runs[False], split="test[:32]")
    assert counted == {"list_arrays": 1, "read_step_card": 1, "read_sharded": 1}


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits of the demo, as version 0.1 saved them, without optimizer state."""
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(GOLDEN / "workdir_0_1" / "digits.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "digits"


def test_a_run_of_an_older_version_is_used(
    older: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["eval", f"--workdir={older}"]) == 0
    assert "top-1 98.89%" in capsys.readouterr().out
    export_images("digits", tmp_path / "images", "test[:3]")
    paths = sorted((tmp_path / "images").rglob("*.png"))
    found = Predictor(older).predict(paths)
    assert [p.names[0] for p in found] == [path.parent.name for path in paths]


def test_a_run_starts_from_one_of_an_older_version(older: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(start_from(older), model=type(TINY.model)())
    config = change(
        config,
        data={"image_size": (16, 16), "flip": False},
        optim={"learning_rate": 1e-6},
    )
    assert train(config, tmp_path).metrics["top1"] == pytest.approx(0.9889, abs=0.01)
