"""Labels that VTAB derives from what a dataset records of its scenes.

Reference: Zhai et al., "A Large-scale Study of Representation Learning with the Visual
Task Adaptation Benchmark" (2019), appendix A, with the bounds of its published code.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class DerivedLabel:
    """A label, the feature it is made from, and how.

    Attributes:
      white: the value of a white pixel; 1 where a dataset's images are masks.
    """

    feature: str
    class_names: tuple[str, ...]
    derive: Callable[[Any], int]
    white: int = 255


def _count_objects(objects: dict[str, Any]) -> int:
    return len(objects["size"]) - 3  # scenes have 3 to 10 objects


def _bin_closest(objects: dict[str, Any]) -> int:
    distance = np.min(np.asarray(objects["pixel_coords"])[:, 2])
    return int(np.searchsorted([8.0, 8.5, 9.0, 9.5, 10.0], distance, side="left"))


def _bin_closest_vehicle(objects: dict[str, Any]) -> int:
    is_vehicle = np.asarray(objects["type"]) < 3  # car, van, truck
    depths = np.asarray(objects["location"])[:, 2][is_vehicle]
    nearest = min(depths, default=1000.0)
    return int(np.searchsorted([8.0, 20.0, 999.0], nearest, side="left"))


def _name_numbers(count: int) -> tuple[str, ...]:
    return tuple(str(i) for i in range(count))


DERIVED = {
    "count_all": DerivedLabel(
        "objects", tuple(str(n) for n in range(3, 11)), _count_objects
    ),
    "closest_object_distance": DerivedLabel(
        "objects", ("<=8", "8-8.5", "8.5-9", "9-9.5", "9.5-10", ">10"), _bin_closest
    ),
    "closest_vehicle_distance": DerivedLabel(
        "objects", ("<8 m", "8-20 m", ">20 m", "none"), _bin_closest_vehicle
    ),
    # 40 orientations and 32 positions, in 16 classes each.
    "orientation_16": DerivedLabel(
        "label_orientation",
        _name_numbers(16),
        lambda label: int(label) * 16 // 40,
        white=1,
    ),
    "x_position_16": DerivedLabel(
        "label_x_position",
        _name_numbers(16),
        lambda label: int(label) * 16 // 32,
        white=1,
    ),
}
