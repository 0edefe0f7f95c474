"""One run, however it is computed: meshes, scan, remat, micro-batches, offload.

Losses and parameters after 10 steps, in float32, to 2e-5 relative: only the order of
sums differs. Each way differs from the first in one thing or in several.
"""

from typing import Any

import jax
import numpy as np
import pytest

from tests.runs import TINY, change, program_on
from vit_jax.checkpoints.card import make_card
from vit_jax.checkpoints.load import load
from vit_jax.config import Config
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import shard_batch
from vit_jax.models.layers import unstack_layer_params
from vit_jax.training.checkpoint import Checkpoints
from vit_jax.training.resolve import resolve_config

# Dropout is drawn per micro-batch, and otherwise under a scan.
BASE = change(
    TINY,
    model={"dropout_rate": 0.0, "stochastic_depth_rate": 0.0},
    data={"flip": False},
    optim={"accumulator_dtype": "float32"},
    train={"ema_decay": 0.9, "total_steps": 12},
)
SCAN, REMAT, ACCUM = {"scan": True}, {"remat": "full"}, {"accum_steps": 4}
DP, FSDP, FSDP_TP = ({"preset": name} for name in ("dp", "fsdp", "fsdp_tp"))
TP = {"data": 4, "fsdp": 1, "tensor": 2}

WAYS: dict[str, dict[str, Any]] = {
    "dp": {"mesh": DP},
    "fsdp": {"mesh": FSDP},
    "tp": {"mesh": TP},
    "fsdp_tp": {"mesh": FSDP_TP},
    "dp_scan_accum": {"mesh": DP, "model": SCAN, "train": ACCUM},
    "fsdp_scan_remat": {"mesh": FSDP, "model": SCAN | REMAT},
    "fsdp_remat_accum": {"mesh": FSDP, "model": {"remat": "dots"}, "train": ACCUM},
    "tp_scan_remat": {"mesh": TP, "model": SCAN | {"remat": "dots"}},
    "fsdp_tp_scan_remat_accum": {
        "mesh": FSDP_TP,
        "model": SCAN | REMAT,
        "train": ACCUM,
    },
    "fsdp_offload": {"mesh": FSDP, "optim": {"offload": True}},
}


def run(config: Config, num_devices: int, num_steps: int = 10) -> tuple[Any, ...]:
    """Returns program, mesh, losses and state after steps on random images."""
    program, mesh = program_on(config, num_devices, num_classes=10)
    rng = np.random.default_rng(0)
    state, losses = program.init(), []
    for _ in range(num_steps):
        batch = {
            "image": rng.integers(0, 256, (32, 8, 8, 3), dtype=np.uint8),
            "label": rng.integers(0, 10, 32, dtype=np.int32),
        }
        state, metrics = program.train_step(state, shard_batch(batch, mesh))
        losses.append(metrics["loss"].item())
    return program, mesh, losses, state


@pytest.fixture(scope="module")
def one_device():
    _, _, losses, state = run(BASE, 1)
    return losses, jax.device_get(state)


def assert_close(one: Any, other: Any) -> None:
    """2e-5 relative to the largest entry of each array.

    Or 1e-7: what has no gradient, the bias of the keys, is only rounding.
    """
    assert jax.tree.structure(one) == jax.tree.structure(other)

    def check(a: Any, b: Any) -> None:
        atol = max(2e-5 * np.abs(b).max(), 1e-7)
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=atol)

    jax.tree.map(check, one, other)


@pytest.mark.parametrize("way", WAYS)
def test_losses_and_parameters_agree(one_device, way: str) -> None:
    losses, state = one_device
    _, _, found_losses, found = run(change(BASE, **WAYS[way]), 8)
    np.testing.assert_allclose(found_losses, losses, rtol=2e-5)
    assert_close(unstack_layer_params(found.params), state.params)
    assert_close(unstack_layer_params(found.ema), state.ema)


@pytest.mark.parametrize("model", [{}, SCAN | REMAT], ids=str)
def test_tokens_that_the_tensor_axis_divides_are_cut(model: dict[str, Any]) -> None:
    """There are 4 without a class token, and 5 everywhere else."""
    gap = change(BASE, model={"classifier": "gap", **model})
    _, _, losses, state = run(gap, 1, num_steps=4)
    _, _, found_losses, found = run(change(gap, mesh=TP), 8, num_steps=4)
    np.testing.assert_allclose(found_losses, losses, rtol=2e-5)
    assert_close(found.params, jax.device_get(state.params))


def held(config: Config) -> tuple[int, int]:
    """Returns the bytes of parameters and moments: on one of 8 devices, and in all."""
    program, _ = program_on(config, 8, num_classes=1000)
    leaves = jax.tree.leaves(program.abstract_state)
    whole = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    part = sum(
        np.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in leaves
    )
    return int(part), whole


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("variant", ["ViT-B/16", "Mixer-B/16", "R50+ViT-B/16"])
def test_fsdp_holds_an_eighth(variant: str, scan: bool) -> None:
    dimensions = dict.fromkeys(("patch_size", "hidden_size", "num_layers", "mlp_dim"))
    config = change(
        BASE,
        model=dimensions | {"variant": variant, "num_heads": None, "scan": scan},
        data={"image_size": (224, 224)},
        optim={"name": "adamw"},
        mesh=FSDP,
    )
    part, whole = held(config)
    assert whole / 8 <= part <= whole / 8 * 1.05


def test_a_checkpoint_moves_between_loop_and_scan_and_meshes(tmp_path) -> None:
    ways = [
        (change(BASE, model=SCAN, mesh=FSDP), 8),
        (BASE, 1),
        (change(BASE, model=SCAN, mesh=FSDP_TP, optim={"offload": True}), 4),
    ]
    state, config = run(*ways[0], num_steps=2)[-1], ways[0][0]
    for following, num_devices in ways[1:]:
        workdir = tmp_path / str(num_devices)
        save(config, state, workdir)
        config = following
        program, _ = program_on(config, num_devices, num_classes=10)
        checkpoints = Checkpoints(workdir)
        restored, _ = checkpoints.restore(program.abstract_state)
        checkpoints.close()
        kinds = {leaf.sharding for leaf in jax.tree.leaves(restored)}
        wanted = {leaf.sharding for leaf in jax.tree.leaves(program.abstract_state)}
        assert kinds == wanted
        before, after = (
            unstack_layer_params(jax.device_get(tree)) for tree in (state, restored)
        )
        jax.tree.map(np.testing.assert_array_equal, after, before)
        trained = load(workdir)
        jax.tree.map(np.testing.assert_array_equal, trained.params, before.ema)
        state = restored


def test_a_frozen_encoder_moves_between_loop_and_scan(tmp_path) -> None:
    """No moments are kept of it, so that it is no array of the optimizer's state."""
    head = {"learning_rate_multipliers": (("head/.*", 1.0), (".*", 0.0))}
    loop, scan = (change(BASE, model={"scan": s}, optim=head) for s in (False, True))
    for i, (config, following) in enumerate(((loop, scan), (scan, loop))):
        state = run(config, 1, num_steps=1)[-1]
        save(config, state, tmp_path / str(i))
        restored = restore(following, tmp_path / str(i))
        before, after = (
            unstack_layer_params(jax.device_get(tree)) for tree in (state, restored)
        )
        jax.tree.map(np.testing.assert_array_equal, after, before)


@pytest.mark.parametrize("scan", [False, True])
def test_layers_frozen_in_part_stay_in_a_loop_or_a_scan(tmp_path, scan: bool) -> None:
    table = (("Transformer/encoderblock_0/.*", 0.0), (".*", 1.0))
    part = {"learning_rate_multipliers": table}
    config = change(BASE, model={"scan": scan}, optim=part)
    save(config, program_on(config, 1, num_classes=10)[0].init(), tmp_path)
    with pytest.raises(ConfigError, match=f"config.model.scan must be {scan}, as in"):
        restore(change(config, model={"scan": not scan}), tmp_path)


def restore(config: Config, workdir) -> Any:
    program, _ = program_on(config, 1, num_classes=10)
    checkpoints = Checkpoints(workdir)
    try:
        return checkpoints.restore(program.abstract_state)[0]
    finally:
        checkpoints.close()


def save(config: Config, state: Any, workdir) -> None:
    checkpoints = Checkpoints(workdir)
    checkpoints.save(state, {}, make_card(resolve_config(config), 10, None))
    checkpoints.close()


def test_layers_have_rates_of_their_own_under_a_scan() -> None:
    table = (("Transformer/encoderblock_0/.*", 0.0), (".*", 1.0))
    # Clipped, so that a gradient of what is frozen would show in its norm.
    slow = {"learning_rate_multipliers": table, "warmup_steps": 0}
    slow |= {"clip_global_norm": 1e-2, "learning_rate": 10.0}
    config = change(BASE, optim=slow, train={"ema_decay": None})
    _, _, losses, loop = run(config, 1, num_steps=3)
    _, _, found, scan = run(change(config, model=SCAN), 1, num_steps=3)
    np.testing.assert_allclose(found, losses, rtol=2e-5)
    assert_close(unstack_layer_params(scan.params), loop.params)
    start = run(config, 1, num_steps=0)[-1]
    frozen = unstack_layer_params(scan.params)["Transformer"]["encoderblock_0"]
    first = start.params["Transformer"]["encoderblock_0"]
    jax.tree.map(np.testing.assert_array_equal, frozen, first)
