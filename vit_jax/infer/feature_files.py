"""Features of any number of images, written to one file."""

import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vit_jax.checkpoints.load import load_here, make_function
from vit_jax.errors import ConfigError
from vit_jax.infer.features import check_layer, make_feature_function
from vit_jax.infer.image_files import map_files
from vit_jax.infer.parts import (
    Arrays,
    Chunks,
    Part,
    Share,
    collect_arrays,
    write_part,
)


def write_features(
    checkpoint: str | Path,
    paths: Sequence[str],
    output: str | Path,
    layer: int | None = None,
    kind: str = "features",
    share: Share = (0, 1),
) -> Part:
    """Writes ``paths`` and ``features``: a .npz of arrays, or a .parquet of rows.

    Memory holds one chunk of images. A call that was killed resumes after its last
    finished chunk when it is repeated.

    Args:
      checkpoint: a workdir, a checkpoint file of any format, or the name of published
        weights.
      paths: image files.
      output: a file; its suffix, .npz or .parquet, sets the format, and .parquet needs
        the extra ``parquet``.
      layer: see `features.extract_features`.
      kind: a row of `config.choices.FEATURES`.
      share: (index, count): which of how many shares of the images this call processes;
        see `parts.find_share`. With several shares each writes its own file, such as
        OUTPUT-00001-of-00004.

    Raises:
      ConfigError: as `features.extract_features`; the suffix is neither .npz nor
        .parquet, pyarrow is not installed, or the file cannot be written.

    Example:
      >>> write_features("runs/digits", ["seven.png"], "features.npz").num_images
      1
    """
    output = Path(output)
    write = _choose_writer(output)
    loaded = load_here(checkpoint)
    number = check_layer(loaded, layer, kind)
    function = make_function(loaded, make_feature_function(loaded, layer, kind))
    image = jax.ShapeDtypeStruct((1, *loaded.preprocessing.image_size, 3), np.uint8)
    shape = jax.eval_shape(function, image).shape[1:]  # of one image

    def columns(values: list[np.ndarray]) -> Arrays:
        empty = np.zeros((0, *shape), np.float32)
        return {"features": np.stack(values) if values else empty}

    made_of = {"checkpoint": loaded.name, "step": loaded.step}
    return write_part(
        paths,
        output,
        made_of={**made_of, "kind": kind, "layer": number},
        work=lambda some: collect_arrays(map_files(function, loaded, some), columns),
        write=lambda path, chunks: write(path, chunks, shape),
        share=share,
    )


def _choose_writer(output: Path) -> Callable[[Path, Chunks, tuple[int, ...]], None]:
    writers = {".npz": _write_npz, ".parquet": _write_parquet}
    if output.suffix not in writers:
        raise ConfigError(
            f"output must end in .npz or .parquet, got {output.name}; rename it"
        )
    if output.suffix == ".parquet":
        _import_pyarrow()  # fails before any work if it is missing
    return writers[output.suffix]


def _write_npz(path: Path, chunks: Chunks, shape: tuple[int, ...]) -> None:
    """Writes the file that `numpy.savez` would, one chunk at a time."""
    names = np.array(chunks.read_column("paths"), str)
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)),
        "fortran_order": False,
        "shape": (len(names), *shape),
    }
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("paths.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array(file, names, allow_pickle=False)
        with archive.open("features.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for arrays in chunks:
                file.write(arrays["features"].tobytes())


def _write_parquet(path: Path, chunks: Chunks, shape: tuple[int, ...]) -> None:
    pa, pq = _import_pyarrow()
    type_: Any = pa.float32()
    for size in reversed(shape):  # one level of nested lists per dimension
        type_ = pa.list_(type_, size)
    schema = pa.schema([("path", pa.string()), ("features", type_)])
    with pq.ParquetWriter(path, schema) as writer:
        for arrays in chunks:
            column: Any = pa.array(arrays["features"].reshape(-1), pa.float32())
            for size in reversed(shape):
                column = pa.FixedSizeListArray.from_arrays(column, size)
            names = (str(path) for path in arrays["paths"])
            # Parquet strings are UTF-8; the name of a file may not be.
            paths = pa.array([os.fsencode(n).decode(errors="replace") for n in names])
            writer.write_table(pa.table([paths, column], schema=schema))


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigError(
            "pyarrow must be installed to write .parquet; run "
            '`pip install "vit_jax[parquet]"`, or write .npz'
        ) from error
    return pa, pq
