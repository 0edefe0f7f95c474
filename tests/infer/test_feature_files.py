"""Features as files: what is in them, and the errors where they cannot be written."""

import sys

import numpy as np
import pytest

from tests.trained import golden_model, tiny_run, write_images
from vit_jax.cli import main
from vit_jax.errors import ConfigError
from vit_jax.infer import parts
from vit_jax.infer.feature_files import write_features
from vit_jax.infer.features import extract_features

TOKEN = golden_model("token").name


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize("kind", ["features", "grid"])
def test_what_is_written_is_what_was_found(suffix, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "CHUNK_SIZE", 2)  # the last chunk has one image
    paths = write_images("token", tmp_path)
    output = tmp_path / "new" / f"out{suffix}"
    assert write_features(TOKEN, paths, output, kind=kind).num_images == 3
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    if suffix == ".npz":
        with np.load(output) as arrays:
            names, values = arrays["paths"].tolist(), arrays["features"]
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = parquet.read_table(output).to_pydict()
        names, values = columns["path"], np.array(columns["features"], np.float32)
    assert names == paths
    assert values.dtype == np.float32
    expected = extract_features(golden_model("token"), paths, kind=kind).values
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_nothing_to_read_leaves_a_file_of_the_right_shape(tmp_path):
    part = write_features(TOKEN, ["missing.png"], tmp_path / "out.npz")
    assert list(part.errors) == ["missing.png"]
    with np.load(part.path) as arrays:
        assert arrays["features"].shape == (0, 32)


def test_an_impossible_output_is_refused_at_once(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"\.npz or \.parquet, got out\.csv"):
        write_features("no such checkpoint", [], tmp_path / "out.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"vit_jax\[parquet\]"):
        write_features("no such checkpoint", [], tmp_path / "out.parquet")
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written to: Not a directory"):
        write_features(TOKEN, [], tmp_path / "file" / "out.npz")


def test_command_writes_a_run_s_features(tmp_path, capsys):
    paths = write_images("token", tmp_path)
    output = tmp_path / "out.npz"
    argv = ["features", f"--checkpoint={tiny_run()}", f"--output={output}", *paths]
    capsys.readouterr()  # of the run, where this test is the first to need it
    assert main(argv) == 0
    assert capsys.readouterr().out == f"wrote features of 3 images to {output}\n"
    # Alone, another command takes the place of the first.
    assert main([*argv, "missing.png", "--kind=grid", "--layer=0"]) == 2
    captured = capsys.readouterr()
    assert "wrote features of 3 images" in captured.out
    assert "vit-jax: error: cannot read missing.png" in captured.err
    with np.load(output) as arrays:
        assert arrays["features"].shape == (3, 2, 2, 16)
    assert main([*argv, "--layer=7", "--kind=mean"]) == 2
