"""Published weights by name: what they are, and a file with them.

``fetch_weights("ViT-B/16")`` returns a path; ``describe_published`` says what the file
cannot; ``format_table`` prints the table. Settings of the environment:

| variable | meaning |
|---|---|
| `VIT_JAX_WEIGHTS` | folders with files that you have, separated by `:` |
| `VIT_JAX_CACHE` | where downloads go that are not from the Hub; default `~/.cache/vit_jax` |
| `VIT_JAX_MIRROR` | URLs asked before the original locations |
| `VIT_JAX_OFFLINE` | `1`: ask no server |
| `HF_HOME`, `HF_HUB_CACHE` | where downloads from the Hub go; default `~/.cache/huggingface` |
| `HF_TOKEN`, `HF_ENDPOINT`, `HF_HUB_OFFLINE` | as in all of Hugging Face's tools |
| `HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE` | as Python uses them |
"""

from vit_jax.weights.class_names import read_class_names
from vit_jax.weights.files import (
    describe_published,
    fetch_weights,
    find_best_augreg,
    list_missing_parts,
)
from vit_jax.weights.lookup import UnknownWeights, find_weights, list_names
from vit_jax.weights.record import Location, PublishedWeights
from vit_jax.weights.table import (
    convert_to_json,
    describe_table,
    describe_weights,
    format_table,
)
from vit_jax.weights.web import Limits

__all__ = [
    "Limits",
    "Location",
    "PublishedWeights",
    "UnknownWeights",
    "convert_to_json",
    "describe_published",
    "describe_table",
    "describe_weights",
    "fetch_weights",
    "find_best_augreg",
    "find_weights",
    "format_table",
    "list_missing_parts",
    "list_names",
    "read_class_names",
]
