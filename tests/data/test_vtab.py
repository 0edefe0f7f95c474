"""VTAB's derived labels on literal scenes, and its nineteen presets."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.example_serializer import ExampleSerializer
from tensorflow_datasets.core.utils import gcs_utils

from configs.datasets import DATASETS
from tests.data.image_files import encode
from vit_jax.data.sources.splits import resolve_split
from vit_jax.data.sources.tfds import TfdsSource
from vit_jax.data.sources.vtab import DERIVED


def derive(name: str, feature: object) -> int:
    return DERIVED[name].derive(feature)


def test_counts_and_distances() -> None:
    assert derive("count_all", {"size": np.zeros(3)}) == 0
    assert derive("count_all", {"size": np.zeros(10)}) == 7
    for distance, label in (
        (7.9, 0),
        (8.0, 0),
        (8.01, 1),
        (8.5, 1),
        (9.2, 3),
        (10.0, 4),
        (10.1, 5),
        (20, 5),
    ):
        scene = {"pixel_coords": [[0, 0, 50.0], [0, 0, distance]]}
        assert derive("closest_object_distance", scene) == label
    for depth, label in ((5.0, 0), (8.0, 0), (8.1, 1), (20.1, 2)):
        scene = {"type": [0, 3, 2], "location": [[0, 0, 90], [0, 0, 1], [0, 0, depth]]}
        assert derive("closest_vehicle_distance", scene) == label
    nothing = {"type": [4], "location": [[0, 0, 1]]}
    assert derive("closest_vehicle_distance", nothing) == 3


@pytest.mark.parametrize(
    ("name", "old"), [("orientation_16", 40), ("x_position_16", 32)]
)
def test_bins_are_even(name: str, old: int) -> None:
    labels = [derive(name, label) for label in range(old)]
    assert labels == sorted(labels)
    assert set(labels) == set(range(16))


def test_nineteen_tasks_of_a_thousand_images() -> None:
    tasks = {name: p for name, p in DATASETS.items() if name.startswith("vtab/")}
    assert len(tasks) == 19
    sizes = {"train": 700_000, "validation": 1000, "test": 20_000}
    for preset in tasks.values():
        ranges = resolve_split(preset["data"]["train_split"], sizes)
        assert [stop - start for _, start, stop in ranges] == [800, 200]
        label = preset["data"]["label"]
        if label in DERIVED:
            assert len(DERIVED[label].class_names) == preset["num_classes"]


def test_masks_of_zeros_and_ones_become_black_and_white() -> None:
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(2, 2, 1)),
            "label_x_position": tfds.features.ClassLabel(num_classes=32),
        }
    )
    mask = np.array([[0, 1], [1, 0]], np.uint8)
    file = io.BytesIO(encode(mask))
    example = features.encode_example({"image": file, "label_x_position": 31})
    record = ExampleSerializer(features.get_serialized_info()).serialize_example(
        example
    )
    info = SimpleNamespace(
        splits={"train": SimpleNamespace(num_examples=1)},
        features=features,
        full_name="dsprites/2.0.0",
    )
    builder = SimpleNamespace(info=info, as_data_source=lambda *_, **__: [record])
    (found,) = TfdsSource(builder, "train", "x_position_16")
    assert found["label"] == 15
    np.testing.assert_array_equal(found["image"], np.stack([mask * 255] * 3, axis=2))


def test_classes_are_those_of_tfds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs_utils, "_is_gcs_disabled", True)  # what it knows offline
    for name, preset in DATASETS.items():
        kind, _, dataset = preset["data"].get("source", "").partition(":")
        if kind == "tfds":
            info = tfds.builder(dataset, data_dir=tmp_path).info
            label = preset["data"].get("label") or "label"
            if label in DERIVED:
                assert DERIVED[label].feature in info.features, name
            else:
                assert info.features[label].num_classes == preset["num_classes"], name
