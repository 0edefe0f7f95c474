"""Published weights as plain data: a file for each release."""

from vit_jax.weights.published.catalog import WEIGHTS
from vit_jax.weights.published.defaults import DEFAULTS, UNRELEASED

__all__ = ["DEFAULTS", "UNRELEASED", "WEIGHTS"]
