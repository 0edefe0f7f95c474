"""Figures of files of every format and family, by the command that a user types."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.checkpoints.test_adapt import checkpoint_of
from tests.checkpoints.test_round_trips import save
from tests.conftest import GOLDEN
from tests.models.tiny import OPTIONS
from vit_jax.cli import main

OF_A_FILE = {"attention", "rollout", "distance", "positions", "filters"}
OF_A_MIXER = {"filters"}
CASES = {
    "google_vit/hybrid_root.linen.npz": OF_A_FILE,
    "big_vision/gap_sincos_rep.npz": OF_A_FILE,
    "big_vision/map_learn_scan.npz": OF_A_FILE,
    "timm:deit": OF_A_FILE,  # two tokens before the patches
    "timm:dinov2": OF_A_FILE,  # registers, LayerScale, no position of the class token
    "timm:mixer": OF_A_MIXER,
    "huggingface:plain": OF_A_FILE,
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_file_has_is_drawn(name: str, tmp_path: Path, capsys) -> None:
    checkpoint = GOLDEN / name
    file_format, _, option = name.partition(":")
    if option:
        checkpoint = tmp_path / file_format
        save(checkpoint, file_format, checkpoint_of(OPTIONS[option]))
    photo, output = tmp_path / "a photo.png", tmp_path / "out"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(photo)
    argv = ["figures", f"--checkpoint={checkpoint}", f"--output={output}", str(photo)]
    assert main(argv) == 0
    drawn = {path.stem.split("-")[0] for path in output.iterdir()}
    assert drawn == CASES[name]
    lines = capsys.readouterr().out.splitlines()
    left_out = [line for line in lines if line.startswith("no ")]
    assert len(left_out) == 9 - len(drawn), "each in a line"
