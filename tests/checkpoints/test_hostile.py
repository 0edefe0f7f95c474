"""Spoiled files: each ends in one clear error or in a load that is right.

In bounded time and memory, and without a pickle being read.
"""

import contextlib
import pickle
import resource
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints import mutations
from tests.checkpoints.test_adapt import checkpoint_of, shapes_on
from tests.checkpoints.test_round_trips import raw, save, savez
from tests.models.references import GOLDEN
from tests.models.tiny import tiny
from vit_jax import checkpoints
from vit_jax.errors import ConfigError

Arrays = dict[str, np.ndarray]
SECONDS, MEGABYTES = 2.0, 200
CASES = 600  # of each kind: more than 4,000 files in all


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    """Small files of each container, of a model with one layer."""
    folder = tmp_path_factory.mktemp("sources")
    source = checkpoint_of(tiny(num_layers=2, patch_size=(4, 4)), 3, (8, 8))
    with_prefix = folder / "google.npz"
    save(with_prefix, "google_prelinen", source)
    save(folder / "timm.safetensors", "timm", source)
    save(folder / "hf", "huggingface", source)
    savez(folder / "compressed.npz", raw(with_prefix), np.savez_compressed)
    savez(folder / "scan.npz", raw(GOLDEN / "big_vision" / "map_learn_scan.npz"))
    return {
        "google": with_prefix,
        "compressed": folder / "compressed.npz",
        "scan": folder / "scan.npz",
        "timm": folder / "timm.safetensors",
        "huggingface": folder / "hf" / "model.safetensors",
    }


@pytest.fixture(autouse=True)
def no_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args, **_kwargs):
        raise AssertionError("a pickle was read")

    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)


def try_to_read(path: Path, whole: Arrays | None = None) -> str | None:
    """Returns the error; None where all was read, and is what it says it is.

    With ``whole``, the sound file's arrays: bit for bit, as checksums promise.
    """
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile's, of names that come twice
            checkpoint = checkpoints.open_checkpoint(path)
            arrays = {k: np.asarray(v) for k, v in checkpoint.tensors.items()}
    except ConfigError as error:
        message = str(error)
        assert "\n" not in message, message
        assert message.isprintable(), message
        assert "; " in message, message  # what to do
        assert len(message) < 1500, message
        return message
    finally:
        assert time.perf_counter() - start < SECONDS
    grid = checkpoint.grid
    shapes = shapes_on(grid or (1, 4), checkpoint.model, checkpoint.num_classes)
    assert arrays.keys() == shapes.keys()
    assert all(np.issubdtype(v.dtype, np.floating) or v.dtype.name == "bfloat16"
               for v in arrays.values())  # fmt: skip
    for name, expected in (whole or {}).items():
        assert arrays[name].tobytes() == expected.tobytes()
    return None


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Fails if this process ever holds so much more than at the start.

    The kernel's peak is of the whole life of the process, which other tests have made
    long; it is set back first.
    """
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
    before = peak_memory()
    yield
    assert peak_memory() - before < MEGABYTES


def peak_memory() -> float:
    """Of this process, in MB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def check_all(
    path: Path, files: list[bytes], at_least_bad: float, whole: Arrays | None = None
) -> None:
    errors = []
    with bounded_memory():
        for data in files:
            path.write_bytes(data)
            errors.append(try_to_read(path, whole))
    assert sum(error is not None for error in errors) >= at_least_bad * len(files)


def test_memory_is_measured() -> None:
    """Also where the process once had more."""
    del_me = np.ones(2 * MEGABYTES << 17)
    del del_me
    with pytest.raises(AssertionError), bounded_memory():
        np.ones(2 * MEGABYTES << 17)


@pytest.mark.parametrize(
    "kind", ["google", "compressed", "scan", "timm", "huggingface"]
)
def test_damaged_bytes(kind: str, sources: dict[str, Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = sources[kind].read_bytes()
    count = CASES // 5 if kind == "compressed" else CASES
    files = [mutations.mutate_bytes(rng, data) for _ in range(count)]
    # safetensors has no checksums: a bit of a weight can change unnoticed.
    has_checksums = kind not in ("timm", "huggingface")
    tensors = (
        checkpoints.open_checkpoint(sources[kind]).tensors if has_checksums else {}
    )
    whole = {name: np.asarray(tensor) for name, tensor in tensors.items()}
    bad = 0.9 if has_checksums else 0.3
    check_all(tmp_path / f"x{sources[kind].suffix}", files, bad, whole)


@pytest.mark.parametrize("kind", ["google", "scan"])
def test_spoiled_arrays(kind: str, sources: dict[str, Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    tensors = raw(sources[kind])
    files = [
        mutations.npz(mutations.mutate_arrays(rng, tensors)) for _ in range(CASES // 2)
    ]
    check_all(tmp_path / "x.npz", files, 0.7)


@pytest.mark.parametrize("kind", ["timm", "huggingface"])
def test_spoiled_headers(kind: str, sources: dict[str, Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    data = sources[kind].read_bytes()
    files = [mutations.mutate_safetensors(rng, data) for _ in range(CASES)]
    check_all(tmp_path / "x.safetensors", files, 0.7)


HEADERS = {
    "huge": "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 9999999), }",
    "negative": "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "bool": "{'descr': '<f4', 'fortran_order': False, 'shape': (True,), }",
    "object": "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "struct": "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
    "subarray": "{'descr': '(9999,9999)f4', 'fortran_order': False, 'shape': (1,), }",
    "code": "__import__('os').getcwd()",
    "deep": "(" * 4000,
    "deeper": "-" * 9000 + "1",
    "escape": "{'descr': '\\x3', 'fortran_order': False, 'shape': (1,), }",
    "nul": "{'descr': '<f4\x00', 'fortran_order': False, 'shape': (1,), }",
    "list": "[1, 2]",
    "empty": "",
    "unhashable": "{[]: 1}",
    "number": "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }",
    "digits": "{'descr': '<f4', 'fortran_order': False, 'shape': ("
    + "9" * 6000
    + ",)}",
}


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_npy_headers(name: str, tmp_path: Path) -> None:
    data = mutations.with_npy_header(HEADERS[name], b"\x00" * 64)
    check_all(tmp_path / "x.npz", [data], 1.0)


def test_zip_bombs(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(mutations.zip_bomb(96))
    assert path.stat().st_size < 1 << 20
    with bounded_memory():
        message = try_to_read(path)
    assert message is not None
    assert "are no checkpoint" in message


def test_overlapping_members(sources: dict[str, Path], tmp_path: Path) -> None:
    """A bomb without compression: every name means the same bytes."""
    data = bytearray(sources["google"].read_bytes())
    with zipfile.ZipFile(sources["google"]) as archive:
        infos = archive.infolist()
    largest = max(infos, key=lambda info: info.file_size)
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        data[at + 20 : at + 28] = largest.file_size.to_bytes(4, "little") * 2
        data[at + 42 : at + 46] = largest.header_offset.to_bytes(4, "little")
        at = data.find(b"PK\x01\x02", at + 4)
    check_all(tmp_path / "x.npz", [bytes(data)], 1.0)


def test_other_files(tmp_path: Path) -> None:
    """What people try by mistake, and what attackers try."""
    deep = b"[" * 100_000
    length = len(deep).to_bytes(8, "little")
    plain = mutations.npz({"a": np.zeros(2, np.float32)})
    files = [
        b"", b"PK", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"{}", b"\x89HDF\r\n\x1a\n",
        b"\x1f\x8b\x08", b"\x00" * 100, b"<html>403 Forbidden</html>",
        b"version https://git-lfs.github.com/spec/v1\n", length + deep,
        (2).to_bytes(8, "little") + b"{}", (1 << 62).to_bytes(8, "little") + b"{}",
        length + b'{"a":' * 20_000, plain, plain + b"x" * 70_000,
        mutations.torch_pickle(),
    ]  # fmt: skip
    check_all(tmp_path / "x.npz", files, 1.0)


def test_folders_and_links(tmp_path: Path) -> None:
    assert try_to_read(tmp_path) is not None
    (tmp_path / "x.npz").symlink_to(tmp_path / "x.npz")
    assert try_to_read(tmp_path / "x.npz") is not None
    (tmp_path / "config.json").write_bytes(b"[" * 100_000)
    save(tmp_path / "y.safetensors", "timm", checkpoint_of(tiny()))
    data = (tmp_path / "y.safetensors").read_bytes()
    (tmp_path / "y.safetensors").write_bytes(data.replace(b"vit_jax", b"vit_jay"))
    assert "config.json" in str(try_to_read(tmp_path / "y.safetensors"))


def test_config_files_that_lie(sources: dict[str, Path], tmp_path: Path) -> None:
    """Wrong types and numbers in config.json are no crash."""
    rng = np.random.default_rng(3)
    import json

    data = sources["huggingface"].read_bytes().replace(b'"vit_jax"', b'"vit_jay"')
    (tmp_path / "model.safetensors").write_bytes(data)
    config = json.loads((sources["huggingface"].parent / "config.json").read_text())
    values = (-1, 0, 3, 10**40, 1e308, float("nan"), True, None, "x", [], {}, [[1]])
    for key in [*config, "vision_config", "id2label"]:
        for value in values:
            changed = {**config, key: value}
            (tmp_path / "config.json").write_text(json.dumps(changed))
            try_to_read(tmp_path)
    preprocessor = ("size", "crop_size", "resample", "image_mean", "image_std")
    (tmp_path / "config.json").write_text(json.dumps(config))
    for _ in range(50):
        table = {k: values[int(rng.integers(len(values)))] for k in preprocessor}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(table))
        try_to_read(tmp_path)
