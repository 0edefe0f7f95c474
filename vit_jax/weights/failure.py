"""The message for weights that are nowhere: what was tried, and what helps."""

from collections.abc import Sequence

from vit_jax.weights import locations
from vit_jax.weights.published.catalog import WEIGHTS
from vit_jax.weights.record import PublishedWeights


def explain_missing(
    weights: PublishedWeights, tried: Sequence[str], offline: bool
) -> str:
    """Returns the text of an error: a line for each location, then what helps.

    Args:
        weights: that were looked for.
        tried: a line for each location, with its answer.
        offline: whether no server was asked.
    """
    names = dict.fromkeys(
        str(next(locations.list_local_names(each))) for each in weights.locations
    )
    helps = [
        "a file that you have: give its path instead of the name, or put it in a "
        f"folder as {' or '.join(names)}, and set VIT_JAX_WEIGHTS=FOLDER",
        "a mirror: set VIT_JAX_MIRROR=https://HOST/PREFIX (for the Hub, HF_ENDPOINT)",
        "a proxy: set HTTPS_PROXY=http://HOST:PORT",
    ]
    if offline:
        helps.insert(0, "unset VIT_JAX_OFFLINE, or pass offline=False")
    if any("HF_HUB_OFFLINE" in text for text in tried):
        helps.insert(0, "unset HF_HUB_OFFLINE")
    if any("/resolve/" in text and ": 40" in text for text in tried):
        helps.append("a repository that asks for a login: set HF_TOKEN")
    others = [
        row.name
        for row in WEIGHTS.values()
        if weights.model
        and row.model
        and row.name != weights.name
        and row.model.variant == weights.model.variant
        and any(map(locations.is_on_hub, row.locations))
    ]
    if others:
        helps.append(f"other weights of the same model: {', '.join(others[:4])}")
    first = (
        f'weights "{weights.name}" must be here or in one of their locations, tried:'
    )
    lines = [first, *(f"  {text}" for text in tried)]
    return "\n".join([*lines, "what helps:", *(f"  - {text}" for text in helps)])
