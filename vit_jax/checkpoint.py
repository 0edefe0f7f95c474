"""Checkpoints by Orbax: parameters, optimizer state, data position and a model card.

The card makes a checkpoint usable on its own: the model's and the run's config,
preprocessing, class names and the last metrics.

    WORKDIR/checkpoints/STEP/{params,ema,opt_state,data,card}

Arrays are written as they are held, stacked under a scan over layers, so that a save
takes no memory on the device; the card's model says which, and a restore converts.
"""

import contextlib
import dataclasses
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from etils import epath
from flax import linen as nn
from jax.sharding import Mesh

import vit_jax
from vit_jax import models
from vit_jax.config import Config, ConfigError, ModelConfig, Preprocessing
from vit_jax.config_file import from_dict
from vit_jax.models.layers import stack, unstack
from vit_jax.sharding import Axes, lay_out, shardings_of
from vit_jax.state import TrainState, init_params

FOLDER = "checkpoints"


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
            self._manager = ocp.CheckpointManager(folder.resolve(), options=options)
        except (OSError, ValueError) as error:
            reason = _os_reason(error) or error
            raise ConfigError(
                f"{folder} must be a folder that can be written to ({reason}); {_GO}"
            ) from error

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
        items: dict[str, Any] = {
            name: ocp.args.StandardSave(tree) for name, tree in _items(state)
        }
        items["data"] = ocp.args.JsonSave(dict(data))
        items["card"] = ocp.args.JsonSave(dict(card))
        try:
            self._manager.save(step, args=ocp.args.Composite(**items))
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
        """Returns the newest state, laid out as ``abstract``, and the data position.

        It may have been saved with other meshes, devices and numbers of them, with the
        layers in a loop or a scan, with an average of the parameters or without.
        """
        card = read_card(self.workdir)
        assert card is not None, "nothing to restore"
        had_ema = card["config"]["train"].get("ema_decay") is not None
        wanted = abstract if had_ema else abstract.replace(ema=None)
        is_stacked = bool(card["model"].get("scan"))
        axes = models.axes(from_dict(ModelConfig, card["model"], "card.model"))
        saved = as_saved(wanted, is_stacked, axes)
        items: dict[str, Any] = {
            name: ocp.args.StandardRestore(tree) for name, tree in _items(saved)
        }
        items["data"] = ocp.args.JsonRestore()
        step = self._manager.latest_step()
        with _damage_told(self.workdir / FOLDER / str(step)):
            restored = self._manager.restore(step, args=ocp.args.Composite(**items))
        state = TrainState(
            params=restored["params"],
            ema=restored["ema"] if "ema" in items else None,
            **restored["opt_state"],
        )
        state = as_held(state, wanted, is_stacked)
        if abstract.ema is not None and not had_ema:
            state = state.replace(ema=jax.tree.map(jnp.copy, state.params))
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


def _items(state: TrainState) -> Iterator[tuple[str, Any]]:
    """Yields what a checkpoint holds of a state, by the name of its folder."""
    yield "params", state.params
    if state.ema is not None:
        yield "ema", state.ema
    yield "opt_state", {"step": state.step, "opt_state": state.opt_state}


def as_saved(abstract: Any, is_stacked: bool, axes: Axes) -> Any:
    """Returns the laid out tree with its layers stacked, or not, as a checkpoint's are."""
    made = jax.eval_shape(stack if is_stacked else unstack, abstract)
    if jax.tree.structure(made) == jax.tree.structure(abstract):
        return abstract
    mesh = jax.tree.leaves(abstract)[0].sharding.mesh
    return lay_out(made, axes, mesh)


def as_held(tree: Any, abstract: Any, is_stacked: bool) -> Any:
    """Returns what was read, its layers stacked, or not, as ``abstract`` has them."""
    if jax.tree.structure(tree) == jax.tree.structure(abstract):
        return tree
    change = unstack if is_stacked else stack
    return jax.jit(change, out_shardings=shardings_of(abstract))(tree)


_OVERHEAD = 1_000_000  # bytes of metadata and card


def _os_reason(error: BaseException | None) -> str | None:
    """Returns the operating system's reason inside Orbax's and TensorStore's errors."""
    reasons = [os.strerror(number) for number in _FAILED_WRITES]
    seen: set[int] = set()  # a chain of errors may be a ring
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for reason in reasons:
            if reason in str(error):
                return reason
        error = error.__cause__ or error.__context__
    return None


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
    with _damage_told(folder):
        card = ocp.Checkpointer(ocp.JsonCheckpointHandler()).restore(folder / "card")
        return {**card, "step": int(folder.name)}


@contextlib.contextmanager
def _damage_told(folder: Any) -> Iterator[None]:
    """Raises ConfigError where a checkpoint's files are missing or broken."""
    try:
        yield
    except ConfigError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ConfigError(
            f"checkpoint {folder} cannot be read ({reason}); if it is damaged, remove "
            "that folder and repeat the command: an older checkpoint or a fresh start "
            "takes its place"
        ) from error


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


def check_same_run(
    card: Mapping[str, Any],
    config: Config,
    num_classes: int,
    class_names: tuple[str, ...] | None,
) -> list[str]:
    """Compares a workdir's checkpoint with the run that wants to go on from it.

    Returns:
      What else of the config is another one now, a sentence each.

    Raises:
      ConfigError: another model, optimizer, order of the data or other classes.
    """
    old = dict(_flat(card["config"]))
    new = dict(_flat(dataclasses.asdict(config)))
    old |= {"num_classes": card["num_classes"], "class_names": card["class_names"]}
    new |= {"num_classes": num_classes, "class_names": _plain(class_names)}
    differ = {
        key: f"{key} is {_short(old.get(key))} there and {_short(new.get(key))} here"
        for key in new
        if old.get(key) != new.get(key) and not _is_alike(key, old.get(key), new[key])
    }
    fixed = [text for key, text in differ.items() if key.startswith(_FIXED)]
    if fixed:
        raise ConfigError(
            f"the workdir holds another run's checkpoint (step {card['step']}): "
            f"{'; '.join(fixed)}; choose another --workdir"
        )
    return list(differ.values())


# What a checkpoint's arrays, its place in the data or its classes depend on.
_FIXED = (
    "model.",
    "num_classes",
    "class_names",
    "seed",
    "data.image_size",
    "data.batch_size",
    "data.train_split",
    "data.repeated_augmentation",
    "optim.name",
    "optim.weight_decay",
    "optim.clip_global_norm",
    "optim.learning_rate_multipliers",
)


def _is_alike(key: str, old: Any, new: Any) -> bool:
    """Returns whether two values make no difference to what is saved."""
    if key in ("model.scan", "model.remat", "optim.weight_decay_multipliers"):
        return True
    on_or_off = ("optim.weight_decay", "optim.clip_global_norm")
    return key in on_or_off and bool(old) == bool(new)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, _plain(value)


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(value: Any) -> Any:
    """JSON makes lists of tuples."""
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    return value


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

    The layers are a loop, whatever they were in training; the parameters are their
    average, where the run kept one.

    Raises:
      ConfigError: there is no checkpoint at ``path``.
    """
    path = Path(path)
    card = read_card(path)
    if card is None:
        raise ConfigError(
            f"no checkpoint in {path}; give the --workdir of a run that has saved one"
        )
    is_stacked = bool(card["model"].get("scan"))
    plain = {**card["model"], "scan": False, "remat": "none"}
    model_config = from_dict(ModelConfig, plain, "card.model")
    preprocessing = from_dict(
        Preprocessing, card["preprocessing"], "card.preprocessing"
    )
    model = models.build(model_config, card["num_classes"])
    abstract = jax.eval_shape(lambda: init_params(model, preprocessing.image_size, 0))
    axes = models.axes(model_config)
    abstract = lay_out(abstract, axes, mesh)
    folder = _find(path)
    assert folder is not None, "its card was just read"
    name = "ema" if (folder / "ema").is_dir() else "params"
    saved = as_saved(abstract, is_stacked, axes)
    with _damage_told(folder):
        params = ocp.StandardCheckpointer().restore(folder / name, saved)
    params = as_held(params, abstract, is_stacked)
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
