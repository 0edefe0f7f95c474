"""The models compute what the original, big_vision and timm compute."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pytest

from tests.models.huggingface_references import huggingface
from tests.models.references import GOLDEN, Case, big_vision, google
from tests.models.timm_references import timm
from tests.models.tiny import flat
from vit_jax import models

TOLERANCE = 2e-5
HYBRID_TOLERANCE = 5e-5
GOOGLE = sorted(p.stem for p in (GOLDEN / "google_vit").glob("*.json"))
BIG_VISION = sorted(p.stem for p in (GOLDEN / "big_vision").glob("*.json"))
TIMM = sorted(p.name[:-12] for p in (GOLDEN / "timm").glob("*.safetensors"))


def check(got: jax.Array, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


def check_first_image(
    got: Mapping[str, jax.Array], io: Mapping[str, np.ndarray], tolerance: float
) -> None:
    """Compares every intermediate that the case recorded; at least one."""
    ours = {name.split("/")[-1]: value for name, value in got.items()}
    ours["pre_head"] = ours["encoded"]  # its name in the Mixer's record
    if "patch_embedding" in ours:
        ours["embedding"] = ours["patch_embedding"]
    names = [n.removeprefix("first_image/") for n in io if n.startswith("first_image/")]
    names = [n for n in names if not n.startswith("gn_root") and n != "with_posemb"]
    assert names
    for name in names:
        check(ours[name][:1], io[f"first_image/{name}"], tolerance)


def check_inventory(case: Case) -> None:
    """The checkpoint has the parameters that the module makes, no more, no less."""
    model = models.build_model(case.config, case.num_classes)
    shapes = jax.eval_shape(
        lambda key, images: model.init(key, images, train=False),
        jax.random.key(0),
        case.io["images"],
    )
    expected = {path: value.shape for path, value in case.flat_params.items()}
    got = {path: value.shape for path, value in flat(shapes["params"]).items()}
    assert got == expected


@pytest.mark.parametrize("name", GOOGLE)
def test_original(name: str) -> None:
    case = google(name)
    tolerance = HYBRID_TOLERANCE if case.config.family == "hybrid" else TOLERANCE
    check_inventory(case)
    logits, intermediates = case.run()
    check(logits, case.io["logits"], tolerance)
    check_first_image(intermediates, case.io, tolerance)
    if "pre_logits" in case.io:
        check(intermediates["features"], case.io["pre_logits"], tolerance)


@pytest.mark.parametrize("name", BIG_VISION)
def test_big_vision(name: str) -> None:
    case = big_vision(name)
    check_inventory(case)
    output, intermediates = case.run()
    check(output, case.io["output"])
    check(intermediates["features"], case.io["pre_logits"])
    check_first_image(intermediates, case.io, TOLERANCE)


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    case = timm(name)
    check_inventory(case)
    logits, intermediates = case.run()
    check(logits, case.io["logits"])
    check(intermediates["features"], case.io["pre_logits"])
    if not case.config.fc_norm:  # there timm's are not yet normalised either
        check(intermediates["Transformer/encoded"], case.io["forward_features"])
    for head in {"head_logits", "head_dist_logits"} & set(case.io):
        check(intermediates[head], case.io[head])


def test_huggingface() -> None:
    case = huggingface()
    check_inventory(case)
    logits, intermediates = case.run()
    check(logits, case.io["logits"])
    last = intermediates["Transformer/block_1"]
    check(last, case.io["last_hidden_state_before_final_norm"])


@pytest.mark.parametrize(
    ("name", "mistake", "fields"),
    [
        ("token", "GELU erf", {"activation": "gelu"}),
        ("small_stream", "LayerNorm epsilon 1e-5", {"layer_norm_epsilon": 1e-5}),
        ("small_stream", "LayerNorm epsilon 1e-12", {"layer_norm_epsilon": 1e-12}),
    ],
)
def test_a_mistake_shows(name: str, mistake: str, fields: dict[str, Any]) -> None:
    """A wrong option moves the logits as far as it moved the original's."""
    meta = json.loads((GOLDEN / f"google_vit/{name}.json").read_text())
    expected = meta["sensitivity_of_logits_max_abs"][mistake]
    assert expected > 2 * TOLERANCE
    case = google(name)
    wrong = case._replace(config=dataclasses.replace(case.config, **fields))
    distance = np.abs(wrong.run()[0] - case.io["logits"]).max()
    np.testing.assert_allclose(distance, expected, rtol=0.02)


def test_every_case_is_run() -> None:
    assert (len(GOOGLE), len(BIG_VISION), len(TIMM)) == (13, 6, 9)
