"""Ways to spoil a checkpoint: its bytes, its arrays, its header."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Flat = dict[str, np.ndarray]
Rng = np.random.Generator


def mutate_bytes(rng: Rng, data: bytes) -> bytes:
    """Flips bits, cuts, removes, repeats or overwrites."""
    array = bytearray(data)
    start = int(rng.integers(len(array)))
    length = int(rng.integers(1, 200))
    match int(rng.integers(6)):
        case 0:
            for _ in range(int(rng.integers(1, 9))):
                array[int(rng.integers(len(array)))] ^= 1 << int(rng.integers(8))
        case 1:
            del array[start:]
        case 2:
            del array[start : start + length]
        case 3:
            array[start:start] = array[start : start + length]
        case 4:
            array[start : start + length] = rng.bytes(length)
        case 5:  # where the lengths and names are
            near = int(rng.integers(min(len(array), 400)))
            near = near if rng.random() < 0.5 else len(array) - 1 - near
            array[near] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
    return bytes(array)


def mutate_arrays(rng: Rng, tensors: Flat) -> dict[str, Any]:
    """Spoils names, shapes and dtypes."""
    changed: dict[str, Any] = dict(tensors)
    name = str(rng.choice(sorted(changed)))
    array = changed[name]
    spoil: list[Callable[[], Any]] = [
        lambda: changed.pop(name),
        lambda: changed.update({name: array.T}),
        lambda: changed.update({name: array[None]}),
        lambda: changed.update({name: array.reshape(-1)}),
        lambda: changed.update({name: array[:0]}),
        lambda: changed.update({name: np.repeat(array, 2, axis=0)}),
        lambda: changed.update({name: np.float32(1)}),
        lambda: changed.update({name: array.astype(np.int32)}),
        lambda: changed.update({name: array.astype(np.complex64)}),
        lambda: changed.update({name: array.astype(np.float64)}),
        lambda: changed.update({name: array.astype("U8")}),
        lambda: changed.update({name: np.array([Pickled()], dtype=object)}),
        lambda: changed.update({name: np.zeros(2, [("a", "f4"), ("b", "O")])}),
        lambda: changed.update({f"../../{name}": changed.pop(name)}),
        lambda: changed.update({f"/etc/{name}": changed.pop(name)}),
        lambda: changed.update({f"{name}\n\x1b[31m": changed.pop(name)}),
        lambda: changed.update({"x" * 5000: changed.pop(name)}),
        lambda: changed.update({name.replace("0", "999999999999"): array}),
        lambda: changed.update({name.replace("1", "7"): changed.pop(name)}),
        lambda: changed.update({name.replace("1", "1\u0661"): changed.pop(name)}),
        lambda: changed.update({f"{name}/x": array}),
        lambda: changed.clear(),
    ]
    spoil[int(rng.integers(len(spoil)))]()
    return changed


class Pickled:
    """Whose unpickling would be noticed."""

    def __reduce__(self):
        return (_noticed, ())


def _noticed() -> None:
    raise AssertionError("a pickle was read")


def npz(arrays: dict[str, Any], method: int = zipfile.ZIP_STORED) -> bytes:
    """As `numpy.savez` writes it, of any names and types."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=True)
            archive.writestr(f"{name}.npy", member.getvalue())
    return file.getvalue()


def with_npy_header(header: str, data: bytes = b"") -> bytes:
    """A .npz of one array whose header says anything."""
    text = header.encode("latin1")
    npy = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("embedding/kernel.npy", npy)
    return file.getvalue()


def zip_bomb(megabytes: int) -> bytes:
    """Zeros, packed a thousand times smaller, under a name that a model has."""
    zeros = np.zeros((16, 16, 3, megabytes * 1024 // 3), np.float32)
    return npz({"embedding/kernel": zeros}, zipfile.ZIP_DEFLATED)


def mutate_safetensors(rng: Rng, data: bytes) -> bytes:
    """Spoils one entry of the header, and keeps it JSON."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    name = str(rng.choice(names))
    entry = header[name]
    values = (-1, 0, 1, 2**31, 2**63, 10**30, 1.5, True, None, "x", [], {}, [1] * 100)
    value = values[int(rng.integers(len(values)))]
    match int(rng.integers(9)):
        case 0:
            entry["dtype"] = rng.choice(["F16", "I64", "U8", "F8_E4M3", "O", "F64"])
        case 1:
            entry["shape"] = value
        case 2:
            entry["shape"] = [value, *entry["shape"][1:]]
        case 3:
            entry["data_offsets"] = value
        case 4:
            entry["data_offsets"][int(rng.integers(2))] = value
        case 5:
            header[name] = value
        case 6:
            other = str(rng.choice(names))
            header[f"../{name}"] = header.pop(name)
            header[other if other in header else "x"] = entry
        case 7:
            header["__metadata__"] = {"vit_jax": str(value)} if value else value
        case 8:
            del entry[str(rng.choice(sorted(entry)))]
    text = json.dumps(header, default=str).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def torch_pickle() -> bytes:
    return pickle.dumps(Pickled(), protocol=2)
