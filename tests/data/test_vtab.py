"""VTAB's derived labels on literal scenes, and its nineteen presets."""

import numpy as np
import pytest

from configs.datasets import DATASETS
from vit_jax.data.splits import resolve_split
from vit_jax.data.vtab import DERIVED


def derive(name: str, feature: object) -> int:
    return DERIVED[name].derive(feature)


def test_counts_and_distances() -> None:
    assert derive("count_all", {"size": np.zeros(3)}) == 0
    assert derive("count_all", {"size": np.zeros(10)}) == 7
    for distance, label in (
        (7.9, 0),
        (8.0, 1),
        (8.49, 1),
        (9.2, 3),
        (10.0, 5),
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
