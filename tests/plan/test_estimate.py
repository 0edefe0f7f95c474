"""Plans of chips that are not here, of what is here, and of described topologies."""

import dataclasses
import importlib.util
import json
import math

import pytest

from tests.runs import TINY, change
from vit_jax.config import MeshConfig
from vit_jax.errors import ConfigError
from vit_jax.plan import draw_memory, format_plan, format_plans, make_plan, search_plans
from vit_jax.plan.topology import describe_tpu, name_devices

SCANNED = change(TINY, model={"scan": True})
HAS_LIBTPU = importlib.util.find_spec("libtpu") is not None


@pytest.fixture(scope="module")
def here():
    """The plan of the tiny run on the virtual devices."""
    return make_plan(SCANNED, num_classes=10)


def test_a_plan_of_chips_that_are_not_here_says_so():
    plan = make_plan(SCANNED, chip="H100", num_devices=4, num_classes=10)
    assert plan.compiled is None
    assert plan.fits
    assert plan.needed == plan.counted.total
    assert plan.prediction is not None
    assert plan.prediction.step[0] == plan.prediction.roofline
    text = format_plan(plan)
    assert "on 4 H100, mesh 4 data x 1 fsdp x 1 tensor" in text
    assert "counted from shapes" in text
    assert "of 74.51 GiB: fits" in text
    assert f"at most       {plan.prediction.images_per_s[1]:,.0f} images/s" in text
    assert "MFU" not in text  # a bound is no prediction


def test_a_plan_of_what_is_here_is_the_compilers(here):
    assert here.compiled is not None
    assert here.needed == here.compiled.total
    assert here.fits is None  # the CPU is not in the table
    assert here.prediction is None
    text = format_plan(here)
    assert "compiler" in text
    assert "all-reduce" in text
    assert "speed: not predicted" in text


def test_a_plan_is_json(here):
    values = json.loads(json.dumps(here.to_json()))
    assert values["counted"]["parameters"] == here.counted.parameters
    assert values["versions"]["jax"]
    assert values["command"]


def test_a_large_model_does_not_fit_one_small_chip():
    model = {"patch_size": None, "hidden_size": None, "num_layers": None}
    model |= {"num_heads": None, "mlp_dim": None, "variant": "ViT-H/14"}
    config = change(SCANNED, model=model, data={"image_size": (224, 224)})
    plan = make_plan(config, chip="T4")
    assert plan.parameters == 632_045_800
    assert not plan.fits
    assert "DOES NOT FIT" in format_plan(plan)


def test_search_tries_every_mesh_that_divides():
    plans = search_plans(
        SCANNED, chip="A100", num_devices=8, num_classes=10, micro_batches=(1, 2),
        remat=("none", "full"), keep=1000,
    )  # fmt: skip
    meshes = {tuple(plan.run["mesh"].values()) for plan in plans}
    # 2 heads: tensor 1 or 2; data x fsdp is what is left.
    assert meshes == {
        (8, 1, 1), (4, 2, 1), (2, 4, 1), (1, 8, 1), (4, 1, 2), (2, 2, 2), (1, 4, 2),
    }  # fmt: skip
    assert len(plans) == 7 * 2 * 2
    fits = [bool(plan.fits) for plan in plans]
    assert fits == sorted(fits, reverse=True)
    first = plans[0].run
    assert first["micro_batches"] == 1
    table = format_plans(plans).splitlines()
    assert len(table) == 1 + len(plans)
    assert table[1].split()[:5] == [
        *map(str, first["mesh"].values()),
        "1",
        first["remat"],
    ]


def test_search_compiles_the_best_here():
    plans = search_plans(
        change(SCANNED, data={"batch_size": 8}), num_classes=10, micro_batches=(1,),
        remat=("none",), max_tensor=1, compile_best=1, keep=2,
    )  # fmt: skip
    assert plans[0].compiled is not None
    assert plans[1].compiled is None


def test_search_needs_a_batch_that_divides():
    config = change(SCANNED, data={"batch_size": 3})
    with pytest.raises(
        ConfigError, match="multiple of a mesh's data and fsdp axes on 5"
    ):
        search_plans(
            config, chip="L4", num_devices=5, micro_batches=(1,), num_classes=10
        )


def test_the_picture_shows_each_kind(tmp_path, here):
    pytest.importorskip("matplotlib")
    figure = draw_memory([here], tmp_path / "memory.png")
    (axes,) = figure.axes
    assert len(axes.patches) == len(dataclasses.asdict(here.counted))
    widths = [patch.get_extents().width for patch in axes.patches]
    left, right = axes.transData.transform([[0, 0], [here.counted.total / 2**30, 0]])
    assert math.isclose(sum(widths), right[0] - left[0])
    assert (tmp_path / "memory.png").stat().st_size > 1000


@pytest.mark.parametrize("topology", ["v5e", "v5e:2", "h100:2x2", "v9:2x2"])
def test_a_topology_is_a_tpu_and_its_sides(topology):
    with pytest.raises(ConfigError, match="topology must be one of v4, v5e, v5p, v6e"):
        describe_tpu(topology)


@pytest.mark.skipif(HAS_LIBTPU, reason="libtpu is installed")
def test_without_libtpu_the_error_says_what_to_install():
    with pytest.raises(ConfigError, match=r'pip install "vit_jax\[tpu\]"'):
        describe_tpu("v5e:2x4")


@pytest.mark.skipif(not HAS_LIBTPU, reason="needs libtpu")
@pytest.mark.parametrize(
    ("topology", "count", "kind"),
    [
        ("v5e:1x1", 1, "TPU v5 lite"),
        ("v5e:2x4", 8, "TPU v5 lite"),
        ("v4:2x2x2", 8, "TPU v4"),
        ("v5p:4x4x4", 64, "TPU v5"),
        ("v6e:4x4", 16, "TPU v6 lite"),
    ],
)
def test_described_devices(topology, count, kind):
    devices = describe_tpu(topology)
    assert [device.device_kind for device in devices] == [kind] * count


@pytest.mark.skipif(not HAS_LIBTPU, reason="needs libtpu")
def test_a_described_topology_is_compiled_for():
    config = dataclasses.replace(SCANNED, mesh=MeshConfig(preset="fsdp"))
    plan = make_plan(config, topology="v5e:2x4", num_classes=10)
    assert plan.fits
    assert plan.program is not None
    assert plan.program.cycles
    assert plan.prediction is not None
    assert plan.prediction.compiler == pytest.approx(plan.program.cycles / 1.5e9)
    assert {c.kind for c in plan.program.collectives} & {"all-gather", "all-reduce"}


def test_a_chip_is_in_the_table():
    with pytest.raises(ConfigError, match=r'chip must be one of v4, .* got "H99"'):
        name_devices("H99", 1)
    with pytest.raises(ConfigError, match="must not both be given"):
        make_plan(TINY, topology="v5e:2x4", chip="H100")
