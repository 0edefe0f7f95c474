"""Augmentation, on the host and on the device."""

from vit_jax.data.augment.device import prepare

__all__ = ["prepare"]
