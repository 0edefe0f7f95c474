"""Checkpoints by Orbax: parameters, optimizer state, data position and a model card.

The card makes a checkpoint usable on its own: the model's and the run's config,
preprocessing, class names and the last metrics.

    WORKDIR/checkpoints/STEP/{params,opt_state,data,card}
"""

import dataclasses
import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from flax import linen as nn
from jax.sharding import Mesh

import vit_jax
from vit_jax import models
from vit_jax.config import Config, ConfigError, ModelConfig, Preprocessing
from vit_jax.config_file import from_dict
from vit_jax.sharding import lay_out
from vit_jax.state import TrainState, init_params

FOLDER = "checkpoints"


class Checkpoints:
    """The checkpoints of one workdir; written in the background, complete or absent."""

    def __init__(self, workdir: Path, keep: int = 1):
        self.workdir = workdir
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            # A killed run leaves half a checkpoint under another name.
            cleanup_tmp_directories=True,
        )
        self._manager = ocp.CheckpointManager(
            (workdir / FOLDER).resolve(), options=options
        )

    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def save(
        self, state: TrainState, data: Mapping[str, Any], card: Mapping[str, Any]
    ) -> None:
        """Starts writing; the state may be donated to the next step at once.

        Raises:
          ConfigError: the workdir is full or cannot be written to.
        """
        self.check_space(state)
        step = int(state.step)
        rest = {"step": state.step, "opt_state": state.opt_state}
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardSave(state.params),
                    opt_state=ocp.args.StandardSave(rest),
                    data=ocp.args.JsonSave(dict(data)),
                    card=ocp.args.JsonSave(dict(card)),
                ),
            )
        except Exception as error:
            raise self._explain(error, f"at step {step}") from error

    def check_space(self, state: TrainState) -> None:
        """Raises ConfigError if a checkpoint of the (abstract) state has no room.

        Told before the first step and before each save: a disk that fills up in the
        middle of a save leaves a long and dark trail.
        """
        leaves = jax.tree.leaves(state)
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

    def restore(self, abstract: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """Returns the newest state, laid out as ``abstract``, and the data position."""
        rest = {"step": abstract.step, "opt_state": abstract.opt_state}
        restored = self._manager.restore(
            self._manager.latest_step(),
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(abstract.params),
                opt_state=ocp.args.StandardRestore(rest),
                data=ocp.args.JsonRestore(),
            ),
        )
        state = TrainState(params=restored["params"], **restored["opt_state"])
        return state, restored["data"]

    def close(self) -> None:
        self._manager.close()

    def _explain(self, error: Exception, when: str) -> Exception:
        reason = _os_reason(error)
        if reason is None:
            return error
        return ConfigError(
            f"checkpoint {when} could not be written to {self.workdir}: {reason}; "
            f"{self._safe()}; mend that and repeat the command"
        )

    def _safe(self) -> str:
        step = self._manager.latest_step()
        return "none is saved yet" if step is None else f"step {step} is safe"


_OVERHEAD = 1_000_000  # bytes of metadata and card


def _os_reason(error: BaseException | None) -> str | None:
    """Returns the operating system's reason inside Orbax's and TensorStore's errors."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG)
    while error is not None:
        for number in numbers:
            if os.strerror(number) in str(error):
                return os.strerror(number)
        error = error.__cause__ or error.__context__
    return None


def make_card(
    config: Config,
    num_classes: int,
    class_names: tuple[str, ...] | None,
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns what a checkpoint says about itself, as JSON holds it."""
    return {
        "format": 1,
        "vit_jax": vit_jax.__version__,
        "model": dataclasses.asdict(config.model),
        "preprocessing": dataclasses.asdict(config.data.preprocessing),
        "num_classes": num_classes,
        "class_names": list(class_names) if class_names else None,
        "config": dataclasses.asdict(config),
        "metrics": dict(metrics),
    }


def read_card(path: Path) -> dict[str, Any] | None:
    """Returns the card of the newest checkpoint in a workdir, or None if it has none.

    ``path`` may also be one checkpoint's own folder, ``WORKDIR/checkpoints/STEP``.
    """
    folder = _find(path)
    if folder is None:
        return None
    card = ocp.Checkpointer(ocp.JsonCheckpointHandler()).restore(folder / "card")
    return {**card, "step": int(folder.name)}


def _find(path: Path) -> epath.Path | None:
    """Returns the folder of the finished checkpoint that ``path`` means."""
    resolved = epath.Path(path).resolve()
    names = ocp.path.step.standard_name_format()
    if resolved.parent.name == FOLDER and resolved.name.isdigit():
        found = [m.path for m in names.find_all(resolved.parent)]
        return next((epath.Path(p) for p in found if p.name == resolved.name), None)
    if not (resolved / FOLDER).is_dir():
        return None
    steps = [metadata.step for metadata in names.find_all(resolved / FOLDER)]
    return resolved / FOLDER / str(max(steps)) if steps else None


def check_same_model(card: Mapping[str, Any], config: Config, num_classes: int) -> None:
    """Raises ConfigError if a workdir's checkpoint is not of this model."""
    old = {**card["model"], "num_classes": card["num_classes"]}
    new = {**dataclasses.asdict(config.model), "num_classes": num_classes}
    differ = [
        f"{name} is {_plain(old.get(name))} there and {_plain(value)} here"
        for name, value in new.items()
        if _plain(old.get(name)) != _plain(value)
    ]
    if differ:
        raise ConfigError(
            f"the workdir holds another model's checkpoint (step {card['step']}): "
            f"{'; '.join(differ)}; choose another --workdir"
        )


def _plain(value: Any) -> Any:
    """JSON makes lists of tuples."""
    return list(value) if isinstance(value, tuple) else value


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model ready to be applied, and how to use it."""

    model: nn.Module
    params: Any
    preprocessing: Preprocessing
    num_classes: int
    class_names: tuple[str, ...] | None
    config: Config
    card: Mapping[str, Any]


def load_trained(path: str | Path, mesh: Mesh) -> Trained:
    """Loads model and parameters of a workdir, each array laid out on ``mesh``.

    Raises:
      ConfigError: there is no checkpoint at ``path``.
    """
    path = Path(path)
    card = read_card(path)
    if card is None:
        raise ConfigError(
            f"no checkpoint in {path}; give the --workdir of a run that has saved one"
        )
    model_config = from_dict(ModelConfig, card["model"], "card.model")
    preprocessing = from_dict(
        Preprocessing, card["preprocessing"], "card.preprocessing"
    )
    model = models.build(model_config, card["num_classes"])
    abstract = jax.eval_shape(lambda: init_params(model, preprocessing.image_size, 0))
    abstract = lay_out(abstract, models.axes(model_config), mesh)
    folder = _find(path)
    assert folder is not None, "its card was just read"
    params = ocp.StandardCheckpointer().restore(folder / "params", abstract)
    names = card["class_names"]
    return Trained(
        model=model,
        params=params,
        preprocessing=preprocessing,
        num_classes=card["num_classes"],
        class_names=tuple(names) if names else None,
        config=from_dict(Config, card["config"], "card.config"),
        card=card,
    )
