"""Our own checkpoints: a model, its parameters on a mesh, and how to use it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from flax import linen as nn
from jax.sharding import Mesh

from vit_jax import models
from vit_jax.checkpoints.card import (
    find_checkpoint,
    read_alone,
    read_card,
    read_model_config,
    report_damage,
)
from vit_jax.config import PLAIN, Config, Preprocessing
from vit_jax.config.file import from_dict
from vit_jax.errors import ConfigError
from vit_jax.mesh.axes import Axes
from vit_jax.mesh.sharding import get_shardings, shard_abstract
from vit_jax.models.init import init_params
from vit_jax.models.layers import stack_layer_params, unstack_layer_params
from vit_jax.storage import bucket


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
    path = bucket.open_location(path)
    card = read_card(path)
    if card is None:
        raise ConfigError(
            f"no checkpoint in {path}; give the --workdir of a run that has saved one"
        )
    is_stacked = read_model_config(card).scan
    model_config = dataclasses.replace(read_model_config(card), **PLAIN)
    preprocessing = from_dict(
        Preprocessing, card["preprocessing"], "card.preprocessing"
    )
    model = models.build_model(model_config, card["num_classes"])
    abstract = jax.eval_shape(lambda: init_params(model, preprocessing.image_size, 0))
    axes = models.find_axes(model_config)
    abstract = shard_abstract(abstract, axes, mesh)
    folder = find_checkpoint(path)
    assert folder is not None, "its card was just read"
    name = "ema" if bucket.has_folder(folder / "ema") else "params"
    saved = as_saved(abstract, is_stacked, axes)
    with report_damage(folder):
        reader = ocp.StandardCheckpointer(multiprocessing_options=read_alone())
        params = reader.restore(folder / name, saved)
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


def as_saved(abstract: Any, is_stacked: bool, axes: Axes) -> Any:
    """Returns the laid out tree with its layers stacked, or not, as a checkpoint's are."""
    made = jax.eval_shape(
        stack_layer_params if is_stacked else unstack_layer_params, abstract
    )
    if jax.tree.structure(made) == jax.tree.structure(abstract):
        return abstract
    mesh = jax.tree.leaves(abstract)[0].sharding.mesh
    return shard_abstract(made, axes, mesh)


def as_held(tree: Any, abstract: Any, is_stacked: bool) -> Any:
    """Returns what was read, its layers stacked, or not, as ``abstract`` has them."""
    if jax.tree.structure(tree) == jax.tree.structure(abstract):
        return tree
    change = unstack_layer_params if is_stacked else stack_layer_params
    return jax.jit(change, out_shardings=get_shardings(abstract))(tree)
