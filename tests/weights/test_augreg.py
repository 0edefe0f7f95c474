"""File names of AugReg, and the choice from their index."""

from pathlib import Path

import pytest

from vit_jax.errors import ConfigError
from vit_jax.weights import augreg
from vit_jax.weights.augreg import FileName, Query, find_best, parse, parse_query
from vit_jax.weights.published import WEIGHTS

COLUMNS = (
    "name,ds,lr,aug,wd,do,sd,best_val,final_val,final_test,adapt_ds,adapt_lr,"
    "adapt_steps,adapt_resolution,adapt_final_val,adapt_final_test,params,"
    "infer_samples_per_sec,filename,adapt_filename"
)


def line(
    stem: str, ds: str, val: float, adapted: str, res: int, adapted_val: float
) -> str:
    epochs = {"i21k_30": "i21k-30ep"}.get(ds, f"{ds}-300ep")
    model, _, recipe = stem.partition("-")
    filename = f"{model}-{epochs}-lr_0.001-{recipe}"
    tuned = f"{filename}--{adapted}-steps_2k-lr_0.01-res_{res}"
    # The test accuracy would choose otherwise.
    return (
        f"X,{ds},0.001,a,0.1,0,0,{val},{val},{1 - val},{adapted},0.01,2000,{res},"
        f"{adapted_val},{1 - adapted_val},1,1,{filename},{tuned}"
    )


A, B = "aug_none-wd_0.1-do_0.0-sd_0.0", "aug_light1-wd_0.1-do_0.0-sd_0.0"
INDEX = "\n".join(
    [
        COLUMNS,
        line(f"B_16-{A}", "i21k", 0.30, "cifar100", 224, 0.95),
        line(f"B_16-{B}", "i21k", 0.40, "cifar100", 224, 0.90),
        line(f"B_16-{B}", "i21k", 0.40, "cifar100", 384, 0.93),
        line(f"B_16-{B}", "i21k", 0.40, "imagenet2012", 384, 0.85),
        line(f"B_16-{A}", "i1k", 0.80, "cifar100", 224, 0.80),
        line(f"B_16-{A}", "i21k_30", 0.99, "cifar100", 224, 0.99),
        line(f"Ti_16-{A}", "i21k", 0.90, "cifar100", 224, 0.70),
    ]
)


@pytest.fixture
def rows(tmp_path: Path) -> list[augreg.Row]:
    path = tmp_path / "index.csv"
    path.write_text(INDEX)
    return augreg.read_index(path)


def test_the_best_upstream_by_validation_accuracy(rows: list[augreg.Row]) -> None:
    row = find_best(rows, "B_16")
    assert row.filename == f"B_16-i21k-300ep-lr_0.001-{B}"
    assert find_best(rows, "B_16", "i1k").filename == f"B_16-i1k-300ep-lr_0.001-{A}"
    assert find_best(rows, "B_16", "i21k_30").filename.startswith("B_16-i21k-30ep")


def test_the_best_fine_tuned_from_the_best_upstream(rows: list[augreg.Row]) -> None:
    """The other upstream has a better one for CIFAR-100; it is not looked at."""
    row = find_best(rows, "B_16", adapted_to="cifar100")
    assert row.adapted_filename.endswith(f"{B}--cifar100-steps_2k-lr_0.01-res_384")
    assert (
        find_best(rows, "B_16", adapted_to="cifar100", resolution=224).resolution == 224
    )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (("B_17",), 'model B_17; did you mean "B_16"'),
        (("Ti_16", "i1k"), "upstream i1k"),
        (("B_16", "i21k", "cifar10"), 'adapted_to cifar10; did you mean "cifar100"'),
        (("B_16", "i21k", "imagenet2012", 224), "resolution 224; known: 384"),
    ],
)
def test_what_the_index_has_not(rows: list[augreg.Row], query, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_best(rows, *query)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>403</html>", "has no column filename"),
        (INDEX.replace("0.95", "many"), "line 2, must have a number"),
    ],
)
def test_what_is_no_index(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "index.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        augreg.read_index(path)


def test_file_names() -> None:
    stem = "R26_S_32-i21k-300ep-lr_0.001-aug_medium2-wd_0.03-do_0.0-sd_0.0"
    assert parse(stem) == FileName("R26_S_32", "i21k", None, 224)
    tuned = f"gs://vit_models/augreg/{stem}--imagenet2012-steps_20k-lr_0.03-res_384.npz"
    assert parse(tuned) == FileName("R26_S_32", "i21k", "imagenet2012", 384)
    for other in ("ViT-B_16", stem + "--x", stem.replace("S_32", "S_33"), stem[:-4]):
        assert parse(other) is None


def test_every_file_of_the_table_is_read() -> None:
    stems = [
        location.url
        for row in WEIGHTS.values()
        for location in row.locations
        if "/augreg/" in location.url
    ]
    assert len(stems) == 46
    assert all(map(parse, stems))


def test_queries() -> None:
    assert parse_query("B_8") == Query("B_8")
    assert parse_query("augreg/R26_S_32-i21k_30--cifar100-224") == Query(
        "R26_S_32", "i21k_30", "cifar100", 224
    )
    assert parse_query("B_16-i1k--oxford_iiit_pet") == Query(
        "B_16", "i1k", "oxford_iiit_pet"
    )
    for other in ("B_17", "ViT-B_16", "B_16-cifar", "augreg/B_16-384", ""):
        assert parse_query(other) is None
