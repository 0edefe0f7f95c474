"""A tiny ViT, and one of every option, for the tests of models."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from vit_jax import models
from vit_jax.config import ModelConfig

IMAGES = (2, 24, 24, 3)
HYBRID: dict[str, Any] = {
    "family": "hybrid",
    "patch_size": (1, 1),
    "resnet_layers": (1, 1),
    "resnet_width_factor": 0.5,
}


def tiny(**fields: Any) -> ModelConfig:
    """Returns the config of a ViT with 9 patches, or with other fields."""
    sizes: dict[str, Any] = {
        "patch_size": (8, 8),
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "mlp_dim": 24,
    }
    sizes.update(fields)
    return ModelConfig(**sizes)


# Together they make every parameter that there is.
OPTIONS: dict[str, ModelConfig] = {
    "plain": tiny(),
    "gap_rep": tiny(classifier="gap", representation_size=12),
    "map": tiny(classifier="map"),
    "unpooled": tiny(classifier="unpooled"),
    "token_unpooled": tiny(classifier="token_unpooled"),
    "learned2d": tiny(posemb="learned2d"),
    "sincos2d": tiny(posemb="sincos2d"),
    "relative": tiny(posemb="relative"),
    "rope2d": tiny(posemb="rope2d"),
    "none": tiny(posemb="none"),
    "rates": tiny(
        dropout_rate=0.1,
        attention_dropout_rate=0.2,
        stochastic_depth_rate=0.3,
        stochastic_depth_rescale=False,
        head_bias_init=-1.0,
    ),
    "deit": tiny(distillation_token=True, activation="gelu"),
    "dinov2": tiny(num_registers=4, posemb_prefix=False, layer_scale_init=1e-5),
    "clip": tiny(
        pre_norm=True,
        patch_bias=False,
        activation="quick_gelu",
        layer_norm_epsilon=1e-5,
    ),
    "swiglu": tiny(activation="swiglu"),
    "qk_norm": tiny(qk_norm=True),
    "fc_norm": tiny(fc_norm=True, classifier="gap"),
    "hybrid": tiny(**HYBRID),
    "mixer": ModelConfig(
        family="mixer",
        patch_size=(8, 8),
        hidden_size=16,
        num_layers=2,
        mlp_dim=24,
        tokens_mlp_dim=8,
    ),
}


def flat(tree: Any) -> dict[str, Any]:
    """Returns path -> leaf."""
    return dict(traverse_util.flatten_dict(tree, sep="/"))


def apply(config: ModelConfig, params: Any, images: Any, **kwargs: Any) -> Any:
    """Runs the compiled model, in evaluation unless ``train`` is given."""
    model = models.build_model(config, 5)
    kwargs = {"train": False} | kwargs
    return jax.jit(lambda p, x: model.apply({"params": p}, x, **kwargs))(params, images)


@functools.cache
def shapes(
    config: ModelConfig,
    num_classes: int | None = 5,
    images: tuple[int, ...] = IMAGES,
) -> dict[str, Any]:
    """Returns path -> shape and dtype of the parameters; computes nothing."""
    model = models.build_model(config, num_classes)

    def init(key: jax.Array) -> Any:
        return model.init(key, jnp.zeros(images), train=False)["params"]

    abstract = jax.eval_shape(init, jax.random.key(0))
    return flat(abstract)


@functools.cache
def initialized(
    config: ModelConfig, num_classes: int | None = 5, images: tuple[int, ...] = IMAGES
) -> Any:
    """Returns the parameters at the start."""
    model = models.build_model(config, num_classes)
    init = jax.jit(lambda key: model.init(key, jnp.zeros(images), train=False))
    return init(jax.random.key(0))["params"]


def random_params(config: ModelConfig, num_classes: int | None = 5) -> Any:
    """Returns parameters of which none is 0, so that every one of them matters.

    From NumPy, as JAX would compile its generator for every shape.
    """
    generator = np.random.default_rng(0)

    def draw(path: str, leaf: Any) -> np.ndarray:
        noise = 0.3 * generator.standard_normal(leaf.shape, np.float32)
        return noise + np.float32(path.endswith("scale"))

    found = shapes(config, num_classes)
    params = {path: draw(path, leaf) for path, leaf in found.items()}
    return jax.tree.map(jnp.asarray, traverse_util.unflatten_dict(params, sep="/"))


def random_images(shape: tuple[int, ...] = IMAGES) -> jax.Array:
    generator = np.random.default_rng(1)
    return jnp.asarray(generator.uniform(-1, 1, shape), jnp.float32)
