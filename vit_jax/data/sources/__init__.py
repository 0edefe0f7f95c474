"""Data sources: random access to encoded images and their labels."""

from vit_jax.data.sources.registry import Source, make_source

__all__ = ["Source", "make_source"]
