"""How much arithmetic one image costs: multiply-adds of matrix products and convolutions.

One multiply-add counts as one, which is what most papers of this field print as FLOPs
(DeiT, DeiT III, Mixer) and timm as MACs; Zhai et al. 2022 (arXiv:2106.04560) and
hardware data sheets count two. Norms, activations, softmax and additions are left out:
about one part in a hundred.

The products are counted in the traced module, so that no option can be forgotten.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import unflatten_dict
from jax.extend import core

from vit_jax.config import PLAIN, ModelConfig
from vit_jax.models.dimensions import Size
from vit_jax.models.families import build_model, find_token_size, resolve_model
from vit_jax.models.shapes import find_stacked_shapes


def count_multiply_adds(
    config: ModelConfig, num_classes: int | None, image_size: Size
) -> int:
    """Returns the multiply-adds of one forward pass over one image.

    Args:
        config: of any family.
        num_classes: of the head; None: no head.
        image_size: (height, width) in pixels; what tokens do not cover is not counted.

    Raises:
        ConfigError: as `resolve_model`.
    """
    config = resolve_model(config)
    # How it is computed does not matter, and a scan is traced in the time of one layer.
    same: dict[str, Any] = {**PLAIN, "scan": True, "dtype": "float32", "variant": None}
    sides = zip(image_size, find_token_size(config), strict=True)
    height, width = (size // token * token for size, token in sides)
    return _count_traced(
        dataclasses.replace(config, **same), num_classes, (height, width)
    )


def count_inference_flops(
    config: ModelConfig, num_classes: int | None, image_size: Size
) -> int:
    """Returns the FLOPs of one forward pass over one image: two per multiply-add."""
    return 2 * count_multiply_adds(config, num_classes, image_size)


def count_training_flops(
    config: ModelConfig, num_classes: int | None, image_size: Size
) -> int:
    """Returns the FLOPs of one image in training: three forward passes' worth.

    The backward pass has two products for each of the forward pass. Rematerialisation
    is not counted: it is not the model's.
    """
    return 3 * count_inference_flops(config, num_classes, image_size)


@functools.lru_cache(maxsize=256)
def _count_traced(
    config: ModelConfig, num_classes: int | None, image_size: Size
) -> int:
    """Returns the multiply-adds of a model that scans its layers; none is run."""
    model: Any = build_model(config, num_classes)
    shapes = find_stacked_shapes(config, num_classes, image_size)
    params = unflatten_dict(
        {k: jax.ShapeDtypeStruct(v, jnp.float32) for k, v in shapes.items()}, sep="/"
    )
    images = jax.ShapeDtypeStruct((1, *image_size, 3), jnp.float32)

    def run(params: Any, images: jax.Array) -> jax.Array:
        return model.apply({"params": params}, images, train=False)

    return count_products(jax.make_jaxpr(run)(params, images).jaxpr)


def count_products(jaxpr: core.Jaxpr) -> int:
    """Returns the multiply-adds of all matrix products and convolutions of a program.

    Raises:
        NotImplementedError: a product is inside of something that runs it an unknown
            number of times, a kernel of its own say.
    """
    total = 0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            shape = _find_shape(equation.invars[0])
            each = math.prod(shape[axis] for axis in contracted)
            total += math.prod(_find_shape(equation.outvars[0])) * each
        elif name == "conv_general_dilated":
            kernel = _find_shape(equation.invars[1])
            outputs = params["dimension_numbers"].rhs_spec[0]
            each = math.prod(kernel) // kernel[outputs]
            total += math.prod(_find_shape(equation.outvars[0])) * each
        else:
            inner = sum(count_products(sub) for sub in _list_inner(params))
            if name == "scan":
                inner *= params["length"]
            elif inner and name not in _CALLS:
                raise NotImplementedError(
                    f"the products inside of {name} cannot be counted; add it to "
                    "vit_jax/models/flops.py"
                )
            total += inner
    return total


# What runs its inner program once.
_CALLS = {
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "checkpoint",
    "remat2",
    "custom_jvp_call",
    "custom_vjp_call",
}


def _find_shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _list_inner(params: dict[str, Any]) -> list[core.Jaxpr]:
    """Returns the programs inside of an equation."""
    leaves = jax.tree.leaves(
        list(params.values()),
        is_leaf=lambda x: isinstance(x, core.ClosedJaxpr | core.Jaxpr),
    )
    # From JAX 0.11 on, one class may be the other's.
    kinds = core.ClosedJaxpr | core.Jaxpr
    programs = [leaf for leaf in leaves if isinstance(leaf, kinds)]
    return [p.jaxpr if isinstance(p, core.ClosedJaxpr) else p for p in programs]
