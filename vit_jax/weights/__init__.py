"""Published weights by name: what they are, and a file with them.

``fetch("ViT-B/16")`` returns a path; ``info`` says what the file cannot; `published`
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

from vit_jax.weights.class_names import class_names
from vit_jax.weights.files import best_of_augreg, fetch, info, lacks
from vit_jax.weights.lookup import UnknownWeights, find, names
from vit_jax.weights.published import Place, PublishedWeights
from vit_jax.weights.table import as_json, describe, describe_table, table_lines
from vit_jax.weights.web import Limits

__all__ = [
    "Limits",
    "Place",
    "PublishedWeights",
    "UnknownWeights",
    "as_json",
    "best_of_augreg",
    "class_names",
    "describe",
    "describe_table",
    "fetch",
    "find",
    "info",
    "lacks",
    "names",
    "table_lines",
]
