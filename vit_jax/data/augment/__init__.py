"""Augmentation, on the host and on the device."""

from vit_jax.data.augment.device import prepare_images

__all__ = ["prepare_images"]
