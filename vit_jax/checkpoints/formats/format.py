"""What a format is: one object for each row of `config.choices.FORMATS`."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from vit_jax.checkpoints.formats.metadata import Metadata
from vit_jax.checkpoints.formats.support import Support
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig

Arrays = Mapping[str, Lazy]


def _find_no_problems(checkpoint: Checkpoint) -> dict[str, str]:
    return {}


@dataclasses.dataclass(frozen=True)
class Format:
    """How a format is recognised, read and written, and what it can hold.

    Attributes:
        suffix: of its files, ``.npz`` or ``.safetensors``; those of the latter may also
            be folders.
        recognises: ``(names of arrays) -> bool``; formats are asked in the order of the
            table.
        read: ``(arrays, metadata, file) -> checkpoint``, without reading an array;
            raises ConfigError unless the arrays are those of one model.
        write: ``(checkpoint) -> arrays`` under the format's names.
        support: ``(model) -> values of each field`` that the format can hold.
        find_problems: ``(checkpoint) -> {field: what is wrong}``, of what no single
            field decides.
        read_configs: ``(folder, names of arrays) -> metadata`` of config files there.
        make_configs: ``(checkpoint) -> {file name: table}``, written into a folder.
        peer: ``(path, checkpoint, images) -> (library, output) or None``: the same
            images through the library that the format is for, where it is installed.
    """

    suffix: str
    recognises: Callable[[Collection[str]], bool]
    read: Callable[[Arrays, Metadata, str], Checkpoint]
    write: Callable[[Checkpoint], dict[str, Lazy]]
    support: Callable[[ModelConfig], Support]
    find_problems: Callable[[Checkpoint], dict[str, str]] = _find_no_problems
    read_configs: Callable[[Path, Collection[str]], Metadata] | None = None
    make_configs: Callable[[Checkpoint], dict[str, Any]] | None = None
    peer: Callable[[Path, Checkpoint, Any], tuple[str, Any] | None] | None = None
