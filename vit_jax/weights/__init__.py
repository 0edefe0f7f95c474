"""Published weights by name: what they are, and a file with them.

``fetch("ViT-B/16")`` returns a path; ``describe_published`` says what the file cannot; `published`
has the table. Settings of the environment:

| variable | meaning |
|---|---|
| `VIT_JAX_WEIGHTS` | folders with files that you have, separated by `:` |
| `VIT_JAX_CACHE` | where downloads go; default `~/.cache/vit_jax` |
| `VIT_JAX_MIRROR` | URLs asked before the original places |
| `VIT_JAX_OFFLINE` | `1`: ask no server |
| `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` | as Hugging Face's own tools use them |
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
from vit_jax.weights.published import Place, PublishedWeights
from vit_jax.weights.table import (
    describe_table,
    describe_weights,
    table_lines,
    weights_to_json,
)
from vit_jax.weights.web import Limits

__all__ = [
    "Limits",
    "Place",
    "PublishedWeights",
    "UnknownWeights",
    "describe_published",
    "describe_table",
    "describe_weights",
    "fetch_weights",
    "find_best_augreg",
    "find_weights",
    "list_missing_parts",
    "list_names",
    "read_class_names",
    "table_lines",
    "weights_to_json",
]
