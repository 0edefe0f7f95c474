"""The names of ImageNet's classes."""

import zipfile
from importlib import resources
from pathlib import Path

import pytest

from vit_jax.errors import ConfigError
from vit_jax.weights.class_names import (
    CLASS_SETS,
    read_class_names,
    read_synonyms,
    read_synsets,
)


@pytest.mark.parametrize(("class_set", "num"), CLASS_SETS.items())
def test_every_label_has_a_name_of_its_own(class_set: str, num: int) -> None:
    names = read_class_names(class_set)
    assert len(names) == num == len(set(names))
    assert all(name and name == name.strip() for name in names)
    assert all(
        len(i) == 9 and i[0] == "n" and i[1:].isdigit() for i in read_synsets(class_set)
    )
    assert list(read_synsets(class_set)) == sorted(read_synsets(class_set))


def test_imagenet1k() -> None:
    names = read_class_names("imagenet1k")
    assert names[:3] == ("tench", "goldfish", "great white shark")
    assert names[207] == "golden retriever"
    assert names[281] == "tabby"
    assert (
        read_synonyms("imagenet1k")[999]
        == "toilet tissue, toilet paper, bathroom tissue"
    )
    assert read_synsets("imagenet1k")[0] == "n01440764"
    # Two birds of a name, and two bathing suits.
    assert (names[134], names[517]) == ("crane (n02012849)", "crane (n03126707)")
    assert (names[638], names[639]) == ("maillot", "maillot, tank suit")


def test_imagenet21k() -> None:
    names = read_class_names("imagenet21k")
    assert names[0] == "organism"
    assert read_synonyms("imagenet21k")[0] == "organism, being"
    assert names[21_842] == "knothole"
    # Google's 21k has 999 of the 1k.
    missing = set(read_synsets("imagenet1k")) - set(read_synsets("imagenet21k"))
    assert missing == {"n04399382"}  # teddy bear


def test_an_unknown_set() -> None:
    with pytest.raises(ConfigError, match='did you mean "imagenet1k"'):
        read_class_names("imagenet")


def test_the_license_goes_with_the_files() -> None:
    text = (resources.files("vit_jax.weights.class_names") / "README.md").read_text()
    assert "Copyright 2006 by Princeton University" in text
    assert "timm 1.0.31" in text


def test_the_wheel_has_the_files(tmp_path: Path) -> None:
    """What hatchling would put into a wheel, if it is installed here."""
    builders = pytest.importorskip("hatchling.builders.wheel")
    root = Path(__file__).parent.parent.parent
    wheel = next(builders.WheelBuilder(str(root)).build(directory=str(tmp_path)))
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("imagenet1k.tsv.gz", "imagenet21k.tsv.gz", "README.md"):
        assert f"vit_jax/weights/class_names/{name}" in names
