"""A tiny ViT, and one of every option, for the tests of models."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from vit_jax import models
from vit_jax.config import ModelConfig

TINY = functools.partial(
    ModelConfig,
    patch_size=(8, 8),
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    mlp_dim=24,
)
IMAGES = (2, 24, 24, 3)
HYBRID: dict[str, Any] = {
    "family": "hybrid",
    "patch_size": (1, 1),
    "resnet_layers": (1, 1),
    "resnet_width_factor": 0.5,
}

# Together they make every parameter that there is.
OPTIONS: dict[str, ModelConfig] = {
    "plain": TINY(),
    "gap_rep": TINY(classifier="gap", representation_size=12),
    "map": TINY(classifier="map"),
    "unpooled": TINY(classifier="unpooled"),
    "token_unpooled": TINY(classifier="token_unpooled"),
    "learned2d": TINY(posemb="learned2d"),
    "sincos2d": TINY(posemb="sincos2d"),
    "relative": TINY(posemb="relative"),
    "rope2d": TINY(posemb="rope2d"),
    "none": TINY(posemb="none"),
    "rates": TINY(
        dropout_rate=0.1, attention_dropout_rate=0.2, stochastic_depth_rate=0.3
    ),
    "deit": TINY(distillation_token=True, activation="gelu"),
    "dinov2": TINY(num_registers=4, posemb_prefix=False, layer_scale_init=1e-5),
    "clip": TINY(pre_norm=True, patch_bias=False, activation="quick_gelu"),
    "swiglu": TINY(activation="swiglu"),
    "qk_norm": TINY(qk_norm=True),
    "fc_norm": TINY(fc_norm=True, classifier="gap"),
    "hybrid": TINY(**HYBRID),
    "mixer": ModelConfig(
        family="mixer",
        patch_size=(8, 8),
        hidden_size=16,
        num_layers=2,
        mlp_dim=24,
        tokens_mlp_dim=8,
    ),
}


@functools.cache
def shapes(
    config: ModelConfig,
    num_classes: int | None = 5,
    images: tuple[int, ...] = IMAGES,
) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns path -> shape of the parameters; computes nothing."""
    model = models.build(config, num_classes)

    def init(key: jax.Array) -> Any:
        return model.init(key, jnp.zeros(images), train=False)["params"]

    abstract = jax.eval_shape(init, jax.random.key(0))
    return traverse_util.flatten_dict(abstract, sep="/")


@functools.cache
def initialized(
    config: ModelConfig, num_classes: int | None = 5, images: tuple[int, ...] = IMAGES
) -> Any:
    """Returns the parameters at the start."""
    model = models.build(config, num_classes)
    init = jax.jit(lambda key: model.init(key, jnp.zeros(images), train=False))
    return init(jax.random.key(0))["params"]


def random_params(config: ModelConfig, num_classes: int | None = 5) -> Any:
    """Returns parameters of which none is 0, so that every one of them matters."""
    params = initialized(config, num_classes)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noise = [
        0.2 * jax.random.normal(key, leaf.shape)
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.map(jnp.add, params, jax.tree.unflatten(tree, noise))


def random_images(shape: tuple[int, ...] = IMAGES) -> jax.Array:
    return jax.random.uniform(jax.random.key(2), shape, minval=-1, maxval=1)
