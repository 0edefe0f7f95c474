"""A -> ours -> A is the identity on every tensor; what cannot be held is named."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.checkpoints.test_adapt import checkpoint_of, logits_of
from tests.models.references import GOLDEN
from tests.models.tiny import OPTIONS, random_images, tiny
from vit_jax import checkpoints
from vit_jax.checkpoints.files.npz import read_npz
from vit_jax.checkpoints.files.safetensors import read_safetensors, write_safetensors
from vit_jax.checkpoints.formats import huggingface_config
from vit_jax.config import Preprocessing
from vit_jax.config.choices import FORMATS
from vit_jax.errors import ConfigError

SUFFIX = {"timm": ".safetensors", "huggingface": ".safetensors"}
FILES = sorted(
    path
    for folder in ("google_vit", "big_vision", "timm", "huggingface")
    for path in (GOLDEN / folder).iterdir()
    if path.suffix in (".npz", ".safetensors")
    and ".io." not in path.name
    and path.stem != "resample_posembed"
)
# Towers and stacks come back alone and taken apart.
NOT_AS_FILES = {"map_img_tower.npz", "map_learn_scan.npz", "tok_sincos_scan.npz"}


def raw(path: Path) -> dict[str, np.ndarray]:
    is_npz = path.suffix == ".npz"
    tensors = read_npz(path) if is_npz else read_safetensors(path)[0]
    return {name: np.asarray(tensor) for name, tensor in tensors.items()}


def savez(path: Path, arrays: dict[str, np.ndarray], save: Any = np.savez) -> None:
    save(path, **arrays)


def heads_of(path: Path) -> dict[str, Any]:
    """What these formats do not hold, and these widths do not tell."""
    return {"num_heads": 4} if path.suffix == ".safetensors" else {}


def save(
    path: Path, file_format: str, source: checkpoints.Checkpoint, **options
) -> None:
    checkpoints.write_checkpoint(path, file_format, source, **options)


def check_equal(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert got[name].dtype == value.dtype
        np.testing.assert_array_equal(got[name], value, strict=True)


def test_all_files_are_here() -> None:
    assert len(FILES) == 16 + 6 + 9 + 1


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_back_to_the_same_format(path: Path, tmp_path: Path) -> None:
    source = checkpoints.open_checkpoint(path, **heads_of(path))
    copy = tmp_path / f"copy{path.suffix}"
    save(copy, source.format, source)
    if path.name not in NOT_AS_FILES:
        check_equal(raw(copy), raw(path))
    again = checkpoints.open_checkpoint(
        copy
    )  # heads and all else come from the metadata
    assert again.num_classes == source.num_classes
    check_equal(
        {k: np.asarray(v) for k, v in again.tensors.items()},
        {k: np.asarray(v) for k, v in source.tensors.items()},
    )


PAIRS = [
    (name, file_format)
    for name in sorted(OPTIONS)
    for file_format in FORMATS
]  # fmt: skip


@pytest.mark.parametrize(("name", "file_format"), PAIRS)
def test_every_option_in_every_format(
    name: str, file_format: str, tmp_path: Path
) -> None:
    """Written and read back it is the same; or the error names what does not fit."""
    source = checkpoint_of(OPTIONS[name])
    path = tmp_path / f"x{SUFFIX.get(file_format, '.npz')}"
    try:
        save(path, file_format, source)
    except ConfigError as error:
        message = str(error)
        assert message.startswith(f"{file_format} cannot hold ")
        assert "\n" not in message
        assert not path.exists()
        return
    again = checkpoints.open_checkpoint(path)
    got = {k: np.asarray(v) for k, v in again.tensors.items()}
    check_equal(got, {k: np.asarray(v) for k, v in source.tensors.items()})
    assert again.num_classes == source.num_classes
    images = np.asarray(random_images())
    fields = {"classifier": source.model.classifier}
    again = dataclasses.replace(again, model=dataclasses.replace(again.model, **fields))
    np.testing.assert_array_equal(logits_of(again, images), logits_of(source, images))


HELD = {
    "google": {"plain", "gap_rep", "unpooled", "token_unpooled", "rates", "hybrid",
               "mixer"},
    "big_vision": {"gap_rep", "map"},
    "timm": {"plain", "map", "rates", "deit", "dinov2", "swiglu", "qk_norm", "fc_norm",
             "hybrid", "mixer"},
    "huggingface": {"plain", "rates"},
}  # fmt: skip


@pytest.mark.parametrize("file_format", sorted(HELD))
def test_what_a_format_holds(file_format: str, tmp_path: Path) -> None:
    held = set()
    for name, config in OPTIONS.items():
        try:
            save(tmp_path / "x.npz", file_format, checkpoint_of(config))
        except ConfigError:
            continue
        held.add(name)
    assert held >= HELD[file_format]
    assert not held & {"learned2d", "relative", "rope2d", "none"}


def test_pre_logits_are_named_and_can_be_dropped(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    # As wide as the model, so that a head would fit either.
    source = checkpoint_of(tiny(representation_size=16))
    both = r"pre_logits.*head.*--drop=pre_logits --drop=head"
    with pytest.raises(ConfigError, match=both):
        save(path, "timm", source)
    with pytest.raises(ConfigError, match=r"it was trained on.*--drop=head"):
        save(path, "timm", source, drop=("pre_logits",))
    save(path, "timm", source, drop=("pre_logits", "head"))
    written = checkpoints.open_checkpoint(path)
    assert written.model.representation_size is written.num_classes is None
    features = checkpoint_of(tiny(representation_size=16), None)
    save(path, "timm", features, drop=("pre_logits",))
    with pytest.raises(ConfigError, match='did you mean "pre_logits"'):
        save(path, "timm", source, drop=("pre_logit",))


def test_pooler_holds_pre_logits(tmp_path: Path) -> None:
    """Without a head transformers' pooler is the tanh layer of the original."""
    source = checkpoint_of(tiny(representation_size=16), None)
    save(tmp_path / "x", "huggingface", source)
    names = raw(tmp_path / "x" / "model.safetensors")
    assert "pooler.dense.weight" in names
    again = checkpoints.open_checkpoint(tmp_path / "x")
    assert again.model.representation_size == 16


def test_activation_is_not_lost_silently(tmp_path: Path) -> None:
    source = checkpoint_of(tiny(activation="gelu"))
    with pytest.raises(ConfigError, match=r"activation .*gelu_tanh"):
        save(tmp_path / "x.npz", "google", source)
    save(tmp_path / "x.npz", "google", source, drop=("activation",))
    assert (
        checkpoints.open_checkpoint(tmp_path / "x.npz").model.activation == "gelu_tanh"
    )


@pytest.mark.parametrize("file_format", ["google", "huggingface"])
def test_a_gate_cannot_be_dropped(file_format: str, tmp_path: Path) -> None:
    """Half of its weights would have no place: not another activation's file."""
    source = checkpoint_of(tiny(activation="swiglu"))
    for drop in ((), ("activation",)):
        with pytest.raises(ConfigError, match=r"activation .*; write another format"):
            save(tmp_path / "x.npz", file_format, source, drop=drop)


def test_positions_without_a_class_row_get_one(tmp_path: Path) -> None:
    source = checkpoints.open_checkpoint(GOLDEN / "big_vision" / "tok_learn.npz")
    save(tmp_path / "x.npz", "google", source)
    again = checkpoints.open_checkpoint(tmp_path / "x.npz")
    with np.load(GOLDEN / "big_vision" / "tok_learn.io.npz") as io:
        got = logits_of(again, io["images"])
        np.testing.assert_allclose(got, io["logits"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("crop", ["center", "resize"])
def test_folder_with_configs(crop: str, tmp_path: Path) -> None:
    names = ("zero", "one", "two", "three", "four")
    source = checkpoint_of(tiny(activation="gelu"))
    source = dataclasses.replace(
        source,
        preprocessing=Preprocessing(
            (24, 24),
            crop,
            0.75,
            "bicubic",
            (0.0, 1.0),
            (0.5, 0.4, 0.3),
            (0.2, 0.2, 0.2),
        ),
    )
    source = dataclasses.replace(source, class_names=names)
    for file_format in ("timm", "huggingface"):
        folder = tmp_path / file_format
        files = checkpoints.write_checkpoint(folder, file_format, source)
        assert folder / "config.json" in files
        again = checkpoints.open_checkpoint(folder)
        assert again.class_names == names
        assert again.preprocessing == source.preprocessing
        # The same without our metadata: what other programs would have written.
        metadata = {"format": "pt"}
        tensors, _ = read_safetensors(folder / "model.safetensors")
        write_safetensors(tmp_path / "plain", tensors, metadata)
        (tmp_path / "plain").replace(folder / "model.safetensors")
        again = checkpoints.open_checkpoint(folder)
        assert again.class_names == names
        assert again.model.num_heads == 2
        assert again.model.activation == "gelu"
        assert again.preprocessing is not None
        assert again.preprocessing.image_size == (24, 24)
        assert again.preprocessing.eval_crop == crop
        if crop == "center":
            assert again.preprocessing.eval_crop_fraction == 0.75
        np.testing.assert_allclose(again.preprocessing.mean, (0.5, 0.4, 0.3))


def test_bfloat16_stays(tmp_path: Path) -> None:
    """In safetensors as BF16, in big_vision's .npz as two bytes of nothing."""
    source = checkpoint_of(tiny(classifier="map"))
    half = {
        name: np.asarray(tensor).astype(ml_dtypes.bfloat16)
        for name, tensor in source.tensors.items()
    }
    source = dataclasses.replace(
        source, tensors={k: checkpoints.make_lazy(v) for k, v in half.items()}
    )
    for file_format, suffix in (("timm", ".safetensors"), ("big_vision", ".npz")):
        path = tmp_path / f"x{suffix}"
        save(path, file_format, source)
        again = checkpoints.open_checkpoint(path)
        check_equal({k: np.asarray(v) for k, v in again.tensors.items()}, half)
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["head/kernel"].dtype == np.dtype("V2")


def test_prefixes_and_optimizer_state(tmp_path: Path) -> None:
    """big_vision under params/ or opt/target/, moments and all."""
    flat = raw(GOLDEN / "big_vision" / "map_learn_scan.npz")
    expected = checkpoints.open_checkpoint(GOLDEN / "big_vision" / "map_learn_scan.npz")
    for prefix in ("params/", "opt/target/", "params/img/"):
        tensors = {f"{prefix}{k}": v for k, v in flat.items()}
        tensors |= {f"opt/0/mu/{k}": v for k, v in flat.items()}
        savez(tmp_path / "x.npz", tensors)
        again = checkpoints.open_checkpoint(tmp_path / "x.npz")
        check_equal(
            {k: np.asarray(v) for k, v in again.tensors.items()},
            {k: np.asarray(v) for k, v in expected.tensors.items()},
        )
        assert again.notes[-1].startswith("left out")


def test_compressed_and_older_shapes(tmp_path: Path) -> None:
    """A compressed file, Fortran's order, big-endian numbers: the same checkpoint."""
    path = GOLDEN / "google_vit" / "hybrid_root.linen.npz"
    flat = raw(path)
    odd = {k: np.asfortranarray(v).astype(">f4") for k, v in flat.items()}
    savez(tmp_path / "x.npz", odd, np.savez_compressed)
    again = checkpoints.open_checkpoint(tmp_path / "x.npz")
    expected = checkpoints.open_checkpoint(path)
    check_equal(
        {k: np.asarray(v) for k, v in again.tensors.items()},
        {k: np.asarray(v) for k, v in expected.tensors.items()},
    )


def test_a_cut_model_says_what_is_missing(tmp_path: Path) -> None:
    flat = raw(GOLDEN / "google_vit" / "token.linen.npz")
    name = "Transformer/encoderblock_1/LayerNorm_1/scale"
    del flat[name]
    flat["extra/thing"] = np.zeros((2,), np.float32)
    flat["Transformer/encoder_norm/bias"] = np.zeros((3,), np.float32)
    savez(tmp_path / "x.npz", flat)
    with pytest.raises(checkpoints.MismatchError) as caught:
        checkpoints.open_checkpoint(tmp_path / "x.npz")
    assert caught.value.missing == [name]
    assert caught.value.extra == ["extra/thing"]
    assert caught.value.shapes == {"Transformer/encoder_norm/bias": ((3,), (32,))}
    for part in (
        "missing: ",
        "extra: ",
        "is (3,), not (32,)",
        "; is the file complete",
    ):
        assert part in str(caught.value)


def test_without_positions(tmp_path: Path) -> None:
    tensors, _ = read_safetensors(GOLDEN / "timm" / "plain.safetensors")
    del tensors["pos_embed"]
    write_safetensors(tmp_path / "x.safetensors", tensors, {})
    with pytest.raises(checkpoints.MismatchError, match=r"missing: .*pos_embedding"):
        checkpoints.open_checkpoint(tmp_path / "x.safetensors", num_heads=4)


def test_heads_that_nobody_knows() -> None:
    with pytest.raises(ConfigError, match="give num_heads"):
        checkpoints.open_checkpoint(GOLDEN / "timm" / "plain.safetensors")
    by_shape = checkpoints.open_checkpoint(GOLDEN / "timm" / "qk_norm.safetensors")
    assert by_shape.model.num_heads == 4
    with pytest.raises(ConfigError, match='did you mean "num_heads"'):
        checkpoints.open_checkpoint(GOLDEN / "timm" / "plain.safetensors", num_head=4)


def test_heads_that_see_something_else_are_left_out(tmp_path: Path) -> None:
    """transformers' SiglipForImageClassification and CLIPForImageClassification."""
    clip = tiny(pre_norm=True, patch_bias=False, layer_norm_epsilon=1e-5)
    for config in (tiny(classifier="map"), clip):
        save(tmp_path / "x", "huggingface", checkpoint_of(config, None))
        file = tmp_path / "x" / "model.safetensors"
        tensors, metadata = read_safetensors(file)
        head = {"weight": np.ones((5, 16)), "bias": np.ones(5)}
        more = {
            f"classifier.{name}": checkpoints.make_lazy(value.astype(np.float32))
            for name, value in head.items()
        }
        write_safetensors(file, {**tensors, **more}, metadata)
        again = checkpoints.open_checkpoint(tmp_path / "x")
        assert again.num_classes is None
        assert any("its head is left out: it sees the mean" in n for n in again.notes)


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("vit_base_patch16_siglip_224", "gelu"),
        ("vit_so400m_patch16_siglip_256", "gelu_tanh"),
        ("vit_large_patch16_siglip_512", "gelu_tanh"),
        ("vit_base_patch16_clip_quickgelu_224", "quick_gelu"),
    ],
)
def test_activations_that_timm_has_by_name(name, activation, tmp_path: Path) -> None:
    arguments = {"num_heads": 4}
    config = {"architecture": name, "model_args": arguments}
    (tmp_path / "config.json").write_text(json.dumps(config))
    data = (GOLDEN / "timm" / "plain.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(data)
    assert checkpoints.open_checkpoint(tmp_path).model.activation == activation


@pytest.mark.parametrize(
    ("preprocessor", "crop", "fraction"),
    [
        ({"size": 224}, "resize", 0.875),
        ({"size": 224, "crop_size": 224, "do_center_crop": True}, "center", 1.0),
        ({"size": 256, "crop_size": 224, "do_center_crop": True}, "center", 0.875),
        (
            {
                "size": {"shortest_edge": 256},
                "crop_size": {"height": 224, "width": 224},
                "do_center_crop": True,
            },
            "center",
            0.875,
        ),
        (
            {"size": {"height": 224, "width": 224}, "crop_size": 512},  # not cropped
            "resize",
            0.875,
        ),
    ],
)
def test_preprocessing_as_transformers_writes_it(preprocessor, crop, fraction) -> None:
    """google/vit, CLIP, DeiT, DINOv2, SigLIP."""
    found = huggingface_config.read_huggingface_config({}, preprocessor, "vit")
    fields = Preprocessing(**found.preprocessing)
    assert fields.image_size == (224, 224)
    assert (fields.eval_crop, fields.eval_crop_fraction) == (crop, fraction)


def test_parts_of_safetensors(tmp_path: Path) -> None:
    tensors, _ = read_safetensors(GOLDEN / "huggingface" / "vit.safetensors")
    names = sorted(tensors)
    for i in (1, 2):
        part = {k: tensors[k] for k in names[i - 1 :: 2]}
        write_safetensors(tmp_path / f"model-0000{i}-of-00002.safetensors", part, {})
    meta = json.loads((GOLDEN / "huggingface" / "vit.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(meta["config"]))
    assert checkpoints.open_checkpoint(tmp_path).num_classes == 6
