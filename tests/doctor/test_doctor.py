"""The self-test's numbers come from the formulas; a fault is reported with its fix."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.numpy_vit import gelu, norm, softmax
from vit_jax.checkpoints import nest
from vit_jax.cli import main
from vit_jax.doctor import examine as doctor
from vit_jax.doctor import self_test


def loss_of(flat: dict[str, np.ndarray]) -> float:
    """The model of the self-test in NumPy and float64, from the paper's equations."""
    params = nest(flat)
    images, labels = self_test.make_images_and_labels()
    b, d = len(images), 8
    patches = images.reshape(b, 2, 4, 2, 4, 3).transpose(0, 1, 3, 2, 4, 5)
    kernel = params["embedding"]["kernel"].reshape(-1, d)
    x = patches.reshape(b, 4, -1) @ kernel + params["embedding"]["bias"]
    x = np.concatenate([np.broadcast_to(params["cls"], (b, 1, d)), x], axis=1)
    encoder = params["Transformer"]
    x = x + encoder["posembed_input"]["pos_embedding"]
    for i in range(2):
        block = encoder[f"encoderblock_{i}"]
        y, mha = norm(x, block["LayerNorm_0"]), block["MultiHeadDotProductAttention_0"]
        q, k, v = (
            np.einsum("bnd,dke->bkne", y, mha[name]["kernel"])
            + mha[name]["bias"][:, None]
            for name in ("query", "key", "value")
        )
        heads = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])) @ v
        out = np.einsum("bkne,ked->bnd", heads, mha["out"]["kernel"])
        x = x + out + mha["out"]["bias"]
        y, mlp = norm(x, block["LayerNorm_1"]), block["MlpBlock_0"]
        y = gelu(y @ mlp["Dense_0"]["kernel"] + mlp["Dense_0"]["bias"])
        x = x + y @ mlp["Dense_1"]["kernel"] + mlp["Dense_1"]["bias"]
    token = norm(x, encoder["encoder_norm"])[:, 0]
    scores = softmax(token @ params["head"]["kernel"] + params["head"]["bias"])
    return float(-np.log(scores[np.arange(b), labels]).mean())


def test_the_expected_numbers_follow_from_the_formulas():
    flat = self_test.make_parameters()
    assert loss_of(flat) == pytest.approx(self_test.LOSS, rel=1e-5)
    squares = 0.0
    for array in flat.values():
        for i in np.ndindex(array.shape):  # central differences
            value, step = array[i], 1e-5
            array[i] = value + step
            above = loss_of(flat)
            array[i] = value - step
            squares += ((above - loss_of(flat)) / (2 * step)) ** 2
            array[i] = value
    assert np.sqrt(squares) == pytest.approx(self_test.GRADIENT_NORM, rel=1e-5)


def test_all_is_well_here(capsys):
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "everything works"
    assert any("as expected" in line for line in lines)
    assert any("on 8 devices, saved and restored bit-exactly" in x for x in lines)
    assert "\x1b" not in "".join(lines), "no colours outside a terminal"


def test_a_wrong_product_is_noticed(monkeypatch, capsys):
    monkeypatch.setattr(self_test, "LOSS", 1.02 * self_test.LOSS)
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    bad = [check for check in found["checks"] if check["status"] == "bad"]
    assert not found["ok"]
    assert [check["name"] for check in bad] == ["model"]
    assert bad[0]["mend"].startswith("pip install")


def test_an_old_package_is_noticed(monkeypatch):
    monkeypatch.setattr(
        doctor, "_read_requirements", lambda: {"jax": "99.0", "nope": "1"}
    )
    checks = [check for check in doctor._check_packages() if check.status == "bad"]
    assert [check.fix for check in checks] == [
        'pip install -U "jax>=99.0"',
        'pip install -U "nope>=1"',
    ]


def test_a_device_that_jax_does_not_see_is_noticed(monkeypatch):
    monkeypatch.setitem(doctor._ACCELERATORS, "an NVIDIA GPU", (lambda: True, "cuda"))
    assert doctor._check_devices().status == "ok", "JAX_PLATFORMS=cpu was asked for"
    monkeypatch.delitem(os.environ, "JAX_PLATFORMS")
    check = doctor._check_devices()
    assert check.status == "bad"
    assert check.fix == 'pip install -U "vit_jax[cuda]"'


def test_a_tpu_is_distinguished_from_a_network_card_of_the_same_vendor(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("TPU_ACCELERATOR_TYPE", raising=False)
    for slot, device in (("0000:00:04.0", "0x0042"), ("0000:00:05.0", "0x0063")):
        assert not doctor._has_tpu(tmp_path)
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "vendor").write_text("0x1ae0\n")
        (tmp_path / slot / "device").write_text(f"{device}\n")
    assert doctor._has_tpu(tmp_path)


def test_every_extra_exists():
    text = (Path(__file__).parent.parent.parent / "pyproject.toml").read_text()
    for extra in doctor.EXTRAS:
        assert f"\n{extra} = [" in text


def test_a_terminal_gets_colours_unless_it_wants_none(monkeypatch):
    checks = [doctor.Check("x", "bad", "broken", "repair")]
    assert "\x1b[31m" in doctor.describe_checks(checks, colour=True)[0]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in doctor.describe_checks(checks, colour=True)[0]
    assert doctor.describe_checks(checks)[-1] == "1 problem to fix"
