"""Weights as a model that is ready to be used: from any format, on any mesh."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.checkpoints.test_adapt import checkpoint_of, logits_of
from tests.checkpoints.test_round_trips import save
from tests.models.references import GOLDEN
from tests.models.tiny import flat, random_images, tiny
from tests.runs import TINY, change
from vit_jax import checkpoints, weights
from vit_jax.checkpoints.load import Loaded, load_pretrained
from vit_jax.checkpoints.place import place_params
from vit_jax.config import MeshConfig, ModelConfig, Preprocessing
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import make_mesh
from vit_jax.training.loop import train

FILES = {
    "google_vit/token.linen.npz": {},
    "google_vit/hybrid_1_1.prelinen.npz": {},
    "google_vit/mixer.linen.npz": {},
    "big_vision/tok_learn.npz": {},
    "big_vision/map_learn_scan.npz": {},
    "timm/qk_norm.safetensors": {},
}


def run(loaded: Loaded, images: np.ndarray) -> np.ndarray:
    def apply(params, x):
        return loaded.model.apply({"params": params}, x, train=False)

    return np.asarray(jax.jit(apply)(loaded.params, images))


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_references_logits(name: str) -> None:
    loaded = load_pretrained(GOLDEN / name)
    stem = name.split(".")[0]
    with np.load(GOLDEN / f"{stem}.io.npz") as io:
        got = run(loaded, io["images"])
        assert loaded.num_classes == io["logits"].shape[-1]
        # Sums in another order: more of them where there are convolutions.
        tolerance = 5e-5 if loaded.config.family == "hybrid" else 2e-5
        np.testing.assert_allclose(got, io["logits"], rtol=0, atol=tolerance)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(loaded.params))


def test_ready_for_fine_tuning() -> None:
    path = GOLDEN / "google_vit" / "token_rep.prelinen.npz"
    loaded = load_pretrained(path, num_classes=3, image_size=56, dtype="bfloat16")
    assert loaded.config.representation_size is None
    assert loaded.config.dtype == "bfloat16"
    assert loaded.preprocessing == Preprocessing((56, 56))
    assert loaded.class_names is None
    got = run(loaded, np.zeros((1, 56, 56, 3), np.float32))
    np.testing.assert_array_equal(got, 0)
    assert any("pre-logits" in note for note in loaded.notes)
    kept = load_pretrained(path, 3, 56, config=ModelConfig(
        patch_size=(8, 8), hidden_size=32, num_layers=2, num_heads=2, mlp_dim=48,
        representation_size=40))  # fmt: skip
    assert "pre_logits" in kept.params


def test_as_people_write_it() -> None:
    path = GOLDEN / "google_vit" / "token.linen.npz"
    loaded = load_pretrained(path, image_size=[32, 48], dtype=jnp.bfloat16)  # pyright: ignore
    assert loaded.config.dtype == "bfloat16"
    assert loaded.preprocessing == Preprocessing((32, 48))
    with pytest.raises(ConfigError, match="num_classes must be > 0, got 0"):
        load_pretrained(path, num_classes=0)


def test_an_image_size_that_does_not_fit() -> None:
    with pytest.raises(ConfigError, match="multiple of 8"):
        load_pretrained(GOLDEN / "google_vit" / "token.linen.npz", image_size=60)


@pytest.mark.parametrize("sizes", [(8, 1, 1), (1, 8, 1), (2, 2, 2)])
def test_laid_out_over_a_mesh(sizes: tuple[int, int, int]) -> None:
    """The same numbers; where it is cut, no device holds the whole."""
    path = GOLDEN / "google_vit" / "token.linen.npz"
    mesh = make_mesh(MeshConfig(*sizes))
    loaded, alone = load_pretrained(path, mesh=mesh), load_pretrained(path)
    total, held = 0, dict.fromkeys(range(8), 0)
    for name, leaf in flat(loaded.params).items():
        np.testing.assert_array_equal(leaf, flat(alone.params)[name])
        total += leaf.nbytes
        for shard in leaf.addressable_shards:
            held[shard.device.id] += shard.data.nbytes
    cut = sizes[1] * sizes[2]
    assert max(held.values()) < total / cut * 1.4


def test_stacked_for_a_scan() -> None:
    path = GOLDEN / "google_vit" / "token.linen.npz"
    plain = load_pretrained(path)
    scan = dataclasses.replace(plain.config, scan=True)
    loaded = load_pretrained(path, config=scan, mesh=make_mesh(MeshConfig(-1, 2, 1)))
    assert any("/encoderblock/" in name for name in flat(loaded.params))
    images = np.asarray(random_images((2, 32, 32, 3)))
    np.testing.assert_allclose(run(loaded, images), run(plain, images), atol=1e-5)


def test_arrays_are_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """While an array is read, the one before is on its device already."""
    source = checkpoint_of(tiny())
    events = []
    tensors = {
        name: tensor.map(lambda x, name=name: events.append(("read", name)) or x)
        for name, tensor in source.tensors.items()
    }
    make = jax.make_array_from_callback

    def watched(*args):
        events.append(("placed", None))
        return make(*args)

    monkeypatch.setattr(jax, "make_array_from_callback", watched)
    place_params(dataclasses.replace(source, tensors=tensors))
    kinds = [kind for kind, _ in events]
    assert kinds == ["read", "placed"] * len(source.tensors)


@pytest.mark.parametrize("scan", [False, True])
def test_own_workdir(scan: bool, tmp_path: Path) -> None:
    """A run's checkpoint, fitted to another task and converted."""
    train(change(TINY, model={"scan": scan}, train={"total_steps": 3}), tmp_path)
    loaded = load_pretrained(tmp_path)
    assert loaded.num_classes == 10
    assert loaded.class_names is not None
    assert loaded.preprocessing == TINY.data.preprocessing
    images = np.asarray(random_images((2, 8, 8, 3)))
    expected = run(loaded, images)
    lines = checkpoints.convert_file(tmp_path, tmp_path / "x.npz", "google")
    assert lines[0].endswith("parameters")
    again = load_pretrained(tmp_path / "x.npz")
    np.testing.assert_allclose(run(again, images), expected, rtol=0, atol=1e-6)
    larger = load_pretrained(tmp_path, num_classes=3, image_size=16)
    assert run(larger, np.zeros((1, 16, 16, 3), np.float32)).shape == (1, 3)


def test_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is published stands over what the file says."""
    source = checkpoint_of(tiny(activation="gelu_tanh"))
    save(tmp_path / "x.safetensors", "timm", source)
    imagenet = Preprocessing(
        (32, 32), "center", 0.9, "bicubic", (0.0, 1.0), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)
    )
    published = weights.PublishedWeights(
        "tiny",
        (),
        model=tiny(activation="quick_gelu", layer_norm_epsilon=1e-5),
        preprocessing=imagenet,
    )
    monkeypatch.setattr(weights, "describe_published", lambda name: published)
    monkeypatch.setattr(
        weights, "fetch_weights", lambda name: tmp_path / "x.safetensors"
    )
    monkeypatch.setattr(weights, "list_missing_parts", lambda name, path: ("head",))
    loaded = load_pretrained("tiny")
    assert loaded.config.activation == "quick_gelu"
    assert loaded.config.layer_norm_epsilon == 1e-5
    assert loaded.preprocessing == dataclasses.replace(imagenet, image_size=(24, 24))
    # What is published is no assumption.
    assert loaded.notes == ("this file leaves out: head",)
    # Images as our trainer makes them: the scaling goes into the weights.
    ours = Preprocessing((24, 24))
    folded = load_pretrained("tiny", images=ours)
    images = np.asarray(random_images())
    seen = ((images + 1) / 2 - 0.5) / 0.2
    np.testing.assert_allclose(
        run(folded, images), run(loaded, seen.astype(np.float32)), rtol=0, atol=2e-5
    )
    assert logits_of(source, images).shape == (2, 5)


def test_what_augregs_index_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index comes with the first such weights: nothing is known of them before."""
    stem = "B_8-i21k-300ep-lr_0.001-aug_light1-wd_0.1-do_0.0-sd_0.0"
    columns = "filename,final_val,ds,adapt_filename,adapt_ds,adapt_resolution,"
    folder = tmp_path / "vit_models" / "augreg"
    folder.mkdir(parents=True)
    (folder / "index.csv").write_text(
        f"{columns}adapt_final_val,adapt_final_test\n"
        f"{stem},0.3,i21k,{stem}--cifar100-steps_2k-lr_0.01-res_384,cifar100,384,1,1\n"
    )
    config = ModelConfig(variant="ViT-B/8", num_layers=1, hidden_size=48, mlp_dim=8)
    source = checkpoint_of(config)
    save(folder / f"{stem}.npz", "google_prelinen", source)
    monkeypatch.setenv("VIT_JAX_CACHE", str(tmp_path))
    monkeypatch.setenv("VIT_JAX_OFFLINE", "1")
    assert load_pretrained("augreg/B_8").config.patch_size == (8, 8)
    (folder / f"{stem}.npz").write_bytes(b"spoilt")
    with pytest.raises(ConfigError, match=r"remove that file to have it fetched again"):
        load_pretrained("augreg/B_8")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_pretrained(tmp_path / "none.npz")
    with pytest.raises(ConfigError, match="no checkpoint in"):
        load_pretrained(tmp_path)
    expected = (
        r'^a checkpoint must be a path that exists or .* weights, got "runs/nope"'
    )
    with pytest.raises(ConfigError, match=expected):
        load_pretrained("runs/nope")
    with pytest.raises(ConfigError, match='did you mean "ViT-B/16"'):
        load_pretrained("ViT-B/17")
