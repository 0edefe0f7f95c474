"""Small data sets that the tests of this folder read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.image_files import encode
from vit_jax.config import DataConfig


@pytest.fixture(scope="session")
def digits_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that holds the prepared digits."""
    from vit_jax.data.sources.digits import prepare_digits

    cache = tmp_path_factory.mktemp("cache")
    prepare_digits(cache)
    return cache


@pytest.fixture
def digits(digits_cache: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    """The config of a data set that is there."""
    monkeypatch.setenv("VIT_JAX_CACHE", str(digits_cache))
    return DataConfig(
        source="digits", image_size=(12, 8), batch_size=24, num_threads=2, flip=False
    )


@pytest.fixture
def make_files(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that writes a PNG at each path below a new folder."""

    def make(*paths: str) -> Path:
        root = tmp_path / "images"
        root.mkdir(exist_ok=True)
        for number, path in enumerate(paths):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(
                encode(np.full((5, 4, 3), number % 256, np.uint8))
            )
        return root

    return make
