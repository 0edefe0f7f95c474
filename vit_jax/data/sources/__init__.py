"""Data sources: random access to encoded images and their labels."""

from vit_jax.data.sources.registry import make_source
from vit_jax.data.sources.source import Source, SourceOpener

__all__ = ["Source", "SourceOpener", "make_source"]
