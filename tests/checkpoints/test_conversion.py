"""One file into another, from a path to a report."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints.test_adapt import checkpoint_of
from tests.checkpoints.test_round_trips import raw, save
from tests.models.references import GOLDEN
from tests.models.tiny import tiny
from vit_jax import checkpoints
from vit_jax.checkpoints import peers
from vit_jax.checkpoints.files import torch_file
from vit_jax.checkpoints.lazy import make_lazy
from vit_jax.errors import ConfigError

TOKEN = GOLDEN / "google_vit" / "token.linen.npz"


def test_report(tmp_path: Path) -> None:
    lines = checkpoints.convert_file(TOKEN, tmp_path / "x.npz", check=True)
    assert lines[0].endswith("google, a vit of width 32, 10 classes, 22,154 parameters")
    size = (tmp_path / "x.npz").stat().st_size
    assert f"wrote {tmp_path / 'x.npz'} ({size:,} bytes)" in lines
    assert (
        "check: the file read back: largest difference 0.0e+00 of the outputs" in lines
    )
    # By its name, the released naming.
    expected = raw(GOLDEN / "google_vit" / "token.prelinen.npz")
    got = raw(tmp_path / "x.npz")
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value)


def test_format_by_name(tmp_path: Path) -> None:
    source = checkpoint_of(tiny(activation="gelu"))
    save(tmp_path / "a.safetensors", "timm", source)
    checkpoints.convert_file(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert checkpoints.open_checkpoint(tmp_path / "b.safetensors").format == "timm"
    lines = checkpoints.convert_file(tmp_path / "b.safetensors", tmp_path / "folder")
    assert checkpoints.open_checkpoint(tmp_path / "folder").format == "huggingface"
    assert sum(line.startswith("wrote") for line in lines) == 3
    with pytest.raises(ConfigError, match='did you mean "timm"'):
        checkpoints.convert_file(tmp_path / "a.safetensors", tmp_path / "c", "tim")


def test_only_what_was_there_is_left_out(tmp_path: Path) -> None:
    source = checkpoint_of(tiny(activation="gelu"))
    every = ["pre_logits", "head", "activation", "layer_norm_epsilon"]
    lines = checkpoints.convert_file(
        "source", tmp_path / "x.npz", drop=every, checkpoint=source
    )
    assert "left out: head, activation" in lines
    for name in ("pre_logits", "layer_norm_epsilon"):
        assert f"note: there was no {name} to be left out" in lines
    # A format that holds it loses nothing.
    lines = checkpoints.convert_file(
        "source", tmp_path / "x.safetensors", drop=["activation"], checkpoint=source
    )
    assert not any(line.startswith("left out") for line in lines)


@pytest.mark.parametrize(
    ("name", "to", "advice"),
    [
        ("x.pth", None, "x.safetensors"),
        ("x.npz", "timm", "x.safetensors"),
        ("x.safetensors", "google", "x.npz"),
        ("x", "big_vision", "x.npz"),
    ],
)
def test_a_name_that_is_another_formats(name, to, advice, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"call it .*{advice}"):
        checkpoints.convert_file(TOKEN, tmp_path / name, to)
    assert not list(tmp_path.iterdir())


def test_a_check_that_fails_is_an_error(tmp_path: Path, monkeypatch) -> None:
    def wrong(_path, _format, _checkpoint, images):
        return "timm", np.ones((len(images), 10), np.float32)

    monkeypatch.setattr(peers, "run_peer", wrong)
    with pytest.raises(ConfigError, match="timm must give the same output"):
        checkpoints.convert_file(TOKEN, tmp_path / "x.npz", check=True)


def test_onto_itself_and_nowhere(tmp_path: Path) -> None:
    """The source is read while the copy is written; it is replaced at the end."""
    path = tmp_path / "x.npz"
    path.write_bytes(TOKEN.read_bytes())
    before = raw(path)
    checkpoints.convert_file(path, path, "google")
    after = raw(path)
    assert all(np.array_equal(after[name], value) for name, value in before.items())
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be written"):
        checkpoints.convert_file(path, tmp_path / "file" / "x.npz")
    assert {p.name for p in tmp_path.iterdir()} == {"x.npz", "file"}


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path) -> None:
    source = checkpoint_of(tiny())

    def fail(x: np.ndarray) -> np.ndarray:
        raise ConfigError("the source is damaged; get it again")

    broken = {k: t.map(fail) if "head" in k else t for k, t in source.tensors.items()}
    for file_format, name in (("google", "x.npz"), ("timm", "x.safetensors")):
        with pytest.raises(ConfigError, match="damaged"):
            checkpoints.write_checkpoint(
                tmp_path / name,
                file_format,
                dataclasses.replace(source, tensors=broken),
            )
    assert not list(tmp_path.iterdir())


def test_the_same_arrays_make_the_same_bytes(tmp_path: Path) -> None:
    source = checkpoint_of(tiny())
    for file_format, suffix in (("google", "npz"), ("timm", "safetensors")):
        for name in ("a", "b"):
            save(tmp_path / f"{name}.{suffix}", file_format, source)
        one, two = (tmp_path / f"{name}.{suffix}" for name in "ab")
        assert one.read_bytes() == two.read_bytes()


def test_pytorch_files_need_pytorch(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "x.pth").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ConfigError, match=r"vit_jax\[torch\]"):
        checkpoints.open_checkpoint(tmp_path / "x.pth")


def test_pytorch_files(tmp_path: Path) -> None:
    """Where PyTorch is installed: the same state dict, plain or wrapped."""
    torch = pytest.importorskip("torch")
    source = checkpoint_of(tiny(activation="gelu"))
    save(tmp_path / "x.safetensors", "timm", source)
    state = {k: torch.from_numpy(v) for k, v in raw(tmp_path / "x.safetensors").items()}
    for wrapped in (state, {"model": state, "epoch": 3}):
        torch.save(wrapped, tmp_path / "x.pth")
        again = checkpoints.open_checkpoint(tmp_path / "x.pth", num_heads=2)
        for name, tensor in again.tensors.items():
            np.testing.assert_array_equal(tensor, source.tensors[name])
    half = {k: v.to(torch.bfloat16) for k, v in state.items()}
    torch.save(half, tmp_path / "x.bin")
    assert torch_file.read_torch_file(tmp_path / "x.bin")["cls_token"].dtype.name \
        == "bfloat16"  # fmt: skip
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.bin")  # a pickled object
    with pytest.raises(ConfigError, match="cannot be read"):
        checkpoints.open_checkpoint(tmp_path / "x.bin")


def test_a_mixed_tree_is_written_from_arrays(tmp_path: Path) -> None:
    """NumPy and JAX arrays do as well as lazy ones."""
    source = checkpoint_of(tiny())
    arrays: Any = {k: np.asarray(v) for k, v in source.tensors.items()}
    in_memory = dataclasses.replace(source, tensors=arrays)
    checkpoints.write_checkpoint(tmp_path / "x.npz", "google", in_memory)
    again = checkpoints.open_checkpoint(tmp_path / "x.npz")
    assert all(np.array_equal(again.tensors[k], v) for k, v in arrays.items())
    assert make_lazy(again.tensors["cls"]) is again.tensors["cls"]
