"""Checkpoints by Orbax: parameters, optimizer state, data position and the card.

    WORKDIR/checkpoints/STEP/{params,ema,opt_state,own,kept,data,card}

Arrays are written as they are held, stacked under a scan over layers, so that a save
takes no memory on the device; the card's model says which, and a restore converts.
"""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from vit_jax import models
from vit_jax.checkpoints.card import read_card, read_model_config
from vit_jax.checkpoints.files.orbax_files import (
    FOLDER,
    find_step,
    holds_average,
    report_damage,
)
from vit_jax.checkpoints.stacked import as_held, as_saved
from vit_jax.config import OptimConfig
from vit_jax.config.choices import accept_unknown
from vit_jax.config.typed import from_dict
from vit_jax.errors import ConfigError
from vit_jax.mesh.axes import Axes
from vit_jax.models.layers import stack_layer_params
from vit_jax.storage import bucket
from vit_jax.training.multipliers import splits_stacked_layers
from vit_jax.training.state import TrainState

_OPTIONAL = ("ema", "own", "kept")  # fields of a state that not every run has
_GO = "choose another --workdir"


class Checkpoints:
    """The checkpoints of one workdir; written in the background, complete or absent."""

    def __init__(self, workdir: Path, keep: int = 1):
        self.workdir = workdir
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            # A killed run leaves half a checkpoint under another name.
            cleanup_tmp_directories=True,
        )
        folder = workdir / FOLDER
        if folder.exists() and not folder.is_dir():
            raise ConfigError(
                f"{folder} must be a folder that can be written to; {_GO}"
            )
        try:
            self._manager = ocp.CheckpointManager(
                bucket.make_absolute(folder), options=options
            )
        except (OSError, ValueError) as error:
            reason = _find_os_reason(error) or error
            raise ConfigError(
                f"{folder} must be a folder that can be written to ({reason}); {_GO}"
            ) from error

    def save(
        self, state: TrainState, data: Mapping[str, Any], card: Mapping[str, Any]
    ) -> None:
        """Starts writing; the state may be donated to the next step at once.

        Raises:
          ConfigError: the workdir is full or cannot be written to.
        """
        self.check_space(state)
        step = int(state.step)
        items: dict[str, Any] = {
            name: ocp.args.StandardSave(tree) for name, tree in _list_items(state)
        }
        items["data"] = ocp.args.JsonSave(dict(data))
        items["card"] = ocp.args.JsonSave(dict(card))
        try:
            self._manager.save(step, args=ocp.args.Composite(**items))
        except Exception as error:
            raise self._explain(error, f"at step {step}") from error

    def check_space(self, state: TrainState) -> None:
        """Raises ConfigError if a checkpoint of the (abstract) state has no room.

        Checked before the first step and before each save: a disk that fills up during
        a save ends in a long and unclear trace.
        """
        if bucket.is_bucket(self.workdir):
            return  # it cannot be full
        leaves = jax.tree.leaves(state.replace(constants=None))
        needed = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves) + _OVERHEAD
        free = shutil.disk_usage(self.workdir).free
        if free < needed:
            raise ConfigError(
                f"workdir {self.workdir} must have {needed / 1e6:.1f} MB free for a "
                f"checkpoint, got {free / 1e6:.1f} MB; {self._safe()}; make room and "
                "repeat the command"
            )

    def wait(self) -> None:
        """Returns when the last save is on disk; raises what went wrong in it."""
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._explain(error, "in the background") from error

    def restore(
        self, abstract: TrainState, axes: Axes = ()
    ) -> tuple[TrainState, dict[str, Any]]:
        """Returns the newest state, sharded as ``abstract``, and the data position.

        It may have been saved with other meshes, devices and numbers of them, with the
        layers in a loop or a scan, with an average of the parameters or without.

        Args:
          abstract: with shardings. Its constants are not restored.
          axes: of what the objective added to the state.
        """
        card = read_card(self.workdir)
        assert card is not None, "nothing to restore"
        folder = self.workdir / FOLDER / str(card["step"])
        had_ema = holds_average(folder)
        wanted = abstract.replace(constants=None)
        if not had_ema:
            wanted = wanted.replace(ema=None)
        _check_parts(folder, wanted)
        is_stacked = read_model_config(card).scan
        axes = (*axes, *models.find_axes(read_model_config(card)))
        _check_moments(card, abstract.trained, is_stacked)
        saved = as_saved(wanted, is_stacked, axes)
        items: dict[str, Any] = {
            name: ocp.args.StandardRestore(tree) for name, tree in _list_items(saved)
        }
        items["data"] = ocp.args.JsonRestore()
        with report_damage(folder):
            restored = self._manager.restore(
                card["step"], args=ocp.args.Composite(**items)
            )
        state = TrainState(
            params=restored["params"],
            **{name: restored[name] for name in _OPTIONAL if name in items},
            **restored["opt_state"],
        )
        state = as_held(state, wanted, is_stacked)
        if abstract.ema is not None and not had_ema:
            state = state.replace(ema=jax.tree.map(jnp.copy, state.params))
        return state, restored["data"]

    def close(self) -> None:
        self._manager.close()

    def _explain(self, error: Exception, when: str) -> Exception:
        in_bucket = bucket.is_bucket(self.workdir)
        reason = (
            bucket.explain_storage_error(error) if in_bucket else _find_os_reason(error)
        )
        if reason is None:
            return error
        return ConfigError(
            f"checkpoint {when} could not be written to {self.workdir}: {reason}; "
            f"{self._safe()}; fix that and repeat the command"
        )

    def _safe(self) -> str:
        # From the disk: after a failed save the manager has forgotten the one before.
        try:
            folder = find_step(self.workdir)
        except Exception:  # noqa: BLE001 (the disk of a bucket may be away)
            return "what was saved before is safe"
        return f"step {folder.name} is safe" if folder else "none is saved yet"


def _list_items(state: TrainState) -> Iterator[tuple[str, Any]]:
    """Yields what a checkpoint holds of a state, by the name of its folder."""
    yield "params", state.params
    for name in _OPTIONAL:
        if getattr(state, name) is not None:
            yield name, getattr(state, name)
    yield "opt_state", {"step": state.step, "opt_state": state.opt_state}


def _check_parts(folder: Path, wanted: TrainState) -> None:
    """Raises ConfigError where the objective adds other fields than it did before."""
    for name, what in (("own", "trains"), ("kept", "keeps")):
        is_wanted = getattr(wanted, name) is not None
        if is_wanted != bucket.has_folder(folder / name):
            before = "nothing" if is_wanted else "something"
            raise ConfigError(
                f"the objective must be the one that wrote {folder}, where it {what} "
                f"{before} of its own, got one that {what} "
                f"{'something' if is_wanted else 'nothing'}; use that one again, or "
                f"{_GO}"
            )


def _check_moments(card: Mapping[str, Any], params: Any, is_stacked: bool) -> None:
    """Raises ConfigError where loop and scan have moments of different layers."""
    stacked = jax.eval_shape(stack_layer_params, params)
    is_same = is_stacked == (jax.tree.structure(stacked) == jax.tree.structure(params))
    with accept_unknown():
        optim = from_dict(OptimConfig, card["config"]["optim"], "card.config.optim")
    if not is_same and splits_stacked_layers(optim, stacked):
        raise ConfigError(
            f"config.model.scan must be {is_stacked}, as in the checkpoint, where "
            f"learning_rate_multipliers freezes some of the layers, got {not is_stacked}"
            f"; add --config.model.scan={is_stacked}"
        )


_OVERHEAD = 1_000_000  # bytes of metadata and card


def _find_os_reason(error: BaseException | None) -> str | None:
    """Returns the operating system's reason inside Orbax's and TensorStore's errors."""
    reasons = [os.strerror(number) for number in _FAILED_WRITES]
    texts = map(str, bucket.iterate_causes(error))
    return next((r for text in texts for r in reasons if r in text), None)


_FAILED_WRITES = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EFBIG,
    errno.EIO,
    errno.ENOTDIR,
    errno.EEXIST,
)
