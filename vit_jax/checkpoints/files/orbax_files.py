"""The folders of our own runs: which step is newest, and what Orbax wrote into it.

    WORKDIR/checkpoints/STEP/{params,ema,opt_state,data,card}

Orbax is imported when it is used: that takes seconds, and other formats need none.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vit_jax.checkpoints.lazy import Shape
from vit_jax.checkpoints.trees import nest
from vit_jax.errors import ConfigError
from vit_jax.storage import bucket

FOLDER = "checkpoints"  # in a workdir; the steps are in it


def find_step(path: Path) -> Path | None:
    """Returns the folder of the newest finished step in a workdir, or of this step."""
    path = bucket.make_absolute(path)
    if path.parent.name == FOLDER and path.name.isdecimal():
        return path if _is_finished(path) else None
    if not bucket.has_folder(path / FOLDER):
        return None
    steps = [p for p in (path / FOLDER).iterdir() if p.name.isdecimal()]
    return max(filter(_is_finished, steps), key=lambda p: int(p.name), default=None)


def _is_finished(step: Path) -> bool:
    """Returns whether all of a step is written.

    A folder takes its name when it is complete; in a bucket a last file says so.
    """
    if bucket.is_bucket(step):
        return (step / "commit_success.txt").exists()
    return step.is_dir()


def holds_average(step: Path) -> bool:
    """Returns whether a step has an average of the parameters, to be used for them."""
    return bucket.has_folder(step / "ema")


def read_json(step: Path, name: str) -> dict[str, Any]:
    """Returns one of a step's JSON items.

    Raises:
        ConfigError: it is missing or damaged.
    """
    import orbax.checkpoint as ocp

    with report_damage(step):
        reader = ocp.Checkpointer(
            ocp.JsonCheckpointHandler(), multiprocessing_options=_read_alone()
        )
        return reader.restore(step / name)


def list_arrays(folder: Path) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns name -> shape and dtype of a tree of arrays; reads none of them.

    Raises:
        ConfigError: the list is missing or damaged.
    """
    import orbax.checkpoint as ocp
    from etils import epath

    with report_damage(folder.parent):
        handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=_read_alone())
        tree = handler.metadata(epath.Path(folder)).tree
        return {
            jax.tree_util.keystr(path, simple=True, separator="/"): (
                jax.ShapeDtypeStruct(tuple(entry.shape), np.dtype(entry.dtype))
            )
            for path, entry in jax.tree_util.tree_leaves_with_path(tree)
        }


def read_array(folder: Path, name: str, shape: Shape) -> np.ndarray:
    """Reads one array of a tree into the host's memory.

    Raises:
        ConfigError: it is missing or damaged.
    """
    import orbax.checkpoint as ocp

    arguments = {name: ocp.RestoreArgs(restore_type=np.ndarray)}
    return np.asarray(
        _restore(folder, {name: np.broadcast_to(0.0, shape)}, arguments)[name]
    )


def read_sharded(
    folder: Path, wanted: Mapping[str, jax.ShapeDtypeStruct]
) -> dict[str, jax.Array]:
    """Reads arrays onto the devices of their shardings, each device its own shard.

    Args:
        folder: of a tree of arrays.
        wanted: name -> shape, dtype and sharding.

    Raises:
        ConfigError: an array is missing or damaged.
    """
    import orbax.checkpoint as ocp

    arguments = {
        name: ocp.ArrayRestoreArgs(
            sharding=array.sharding, global_shape=array.shape, dtype=array.dtype
        )
        for name, array in wanted.items()
    }
    return _restore(folder, wanted, arguments)


def _restore(
    folder: Path, wanted: Mapping[str, Any], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Restores these arrays of a tree, and no others."""
    import orbax.checkpoint as ocp

    alone = _read_alone()
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    with report_damage(folder.parent):
        found: Any = ocp.Checkpointer(handler, multiprocessing_options=alone).restore(
            folder,
            args=ocp.args.PyTreeRestore(
                item=nest(wanted), restore_args=nest(arguments), partial_restore=True
            ),
        )
        return {name: _get(found, name) for name in wanted}


def _get(tree: Any, name: str) -> Any:
    for part in name.split("/"):
        tree = tree[part]
    return tree


def _read_alone() -> Any:
    """Returns Orbax's option of reading without other processes, which may be absent."""
    import orbax.checkpoint as ocp

    here = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=here, active_processes={here}
    )


@contextlib.contextmanager
def report_damage(step: Any) -> Iterator[None]:
    """Raises ConfigError where a checkpoint's files are missing or broken."""
    try:
        yield
    except ConfigError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ConfigError(
            f"checkpoint {step} cannot be read ({reason}); if it is damaged, remove "
            "that folder and repeat the command: an older checkpoint or a fresh start "
            "takes its place"
        ) from error
