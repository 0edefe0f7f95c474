"""Operations on a residual branch before it is added: scaling and stochastic depth."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float


def stochastic_depth_rate(rate: float, layer: int, num_layers: int) -> float:
    """Returns the rate of a layer: 0 in the first, linear to ``rate`` in the last."""
    return rate * layer / max(num_layers - 1, 1)


class StochasticDepth(nn.Module):
    """Drops a residual branch, independently for each example (arXiv:1603.09382).

    Attributes:
        rescale: True divides a kept branch by the probability to keep it, so that
            evaluation needs no factor (timm, DeiT; equal in expectation to the paper,
            which scales at test time). False leaves it alone in both, as big_vision
            trains Mixer: branches are then larger in evaluation than in training.
    """

    rescale: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "b n d"], train: bool, rate: float | Float[Array, ""]
    ) -> Float[Array, "b n d"]:
        """Drops with probability ``rate``, in [0, 1); an array where layers scan."""
        if not train or (isinstance(rate, float) and rate == 0):
            return x
        shape = (x.shape[0], 1, 1)
        keep = jax.random.bernoulli(self.make_rng("dropout"), 1 - rate, shape)
        kept = x / jnp.asarray(1 - rate, x.dtype) if self.rescale else x
        return jnp.where(keep, kept, 0)


class LayerScale(nn.Module):
    """Scales each feature of a residual branch by a learned, small factor.

    CaiT (arXiv:2103.17239), equation 4.
    """

    initial_scale: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        init = nn.initializers.constant(self.initial_scale)
        scale = self.param("scale", init, (x.shape[-1],))
        return x * scale.astype(self.dtype)[None, None]
