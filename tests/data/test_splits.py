import numpy as np
import pytest

from vit_jax.data.sources.splits import resolve_split, sort_by_hash, split_stratified
from vit_jax.errors import ConfigError

SIZES = {"train": 1437, "test": 360}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("train", [("train", 0, 1437)]),
        ("train[:98%]", [("train", 0, 1408)]),
        ("train[98%:]", [("train", 1408, 1437)]),
        ("train[-10%:]", [("train", 1293, 1437)]),
        ("train[33.3%:50%]", [("train", 479, 718)]),
        ("test[100:200]", [("test", 100, 200)]),
        ("test[-1_0:]", [("test", 350, 360)]),
        ("test[:-10]", [("test", 0, 350)]),
        ("train[10:20] + test[:5]", [("train", 10, 20), ("test", 0, 5)]),
        ("all", [("train", 0, 1437), ("test", 0, 360)]),
    ],
)
def test_split_strings(spec: str, expected: list[tuple[str, int, int]]) -> None:
    assert resolve_split(spec, SIZES) == expected


def test_split_strings_mean_what_tfds_means(digits_cache) -> None:
    import tensorflow_datasets as tfds

    info = tfds.builder_from_directory(digits_cache / "digits" / "1.0.0").info
    sizes = {name: info.splits[name].num_examples for name in info.splits}
    for spec in ("train[:98%]", "train[50%:]", "test[-7%:]", "test[3:9]", "train+test"):
        ours = sum(stop - start for _, start, stop in resolve_split(spec, sizes))
        assert ours == info.splits[spec].num_examples, spec


@pytest.mark.parametrize("percent", [1, 33, 50, 98])
def test_two_parts_make_the_whole(percent: int) -> None:
    for size in (7, 100, 1437):
        low = resolve_split(f"x[:{percent}%]+x[{percent}%:]", {"x": size})
        assert low[0][2] == low[1][1]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tran", 'split must be one of train, test, got "tran"; did you mean "train"?'),
        ("train[:98", "split must be written like"),
        ("train[1.5:]", "bounds of a split must be whole examples or percent"),
        ("train[a:]", 'got "a" in "train[a:]"'),
        ("test[:361]", "within its 360 images"),
        ("test[5:5]", "at least one image"),
        ("", "split must be written like"),
    ],
)
def test_wrong_split_strings(spec: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        resolve_split(spec, SIZES)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_stratified_split_takes_a_fifth_of_each_class() -> None:
    labels = np.repeat([0, 1, 2, 3], [100, 37, 2, 1])
    names = [f"{label}/{i}.jpg" for i, label in enumerate(labels)]
    train, test = split_stratified(names, labels)
    assert sorted([*train, *test]) == list(range(140))
    assert np.bincount(labels[test], minlength=4).tolist() == [20, 7, 1, 0]


def test_stratified_split_does_not_depend_on_order_or_other_classes() -> None:
    names = [f"{i}.jpg" for i in range(50)]
    _, test = split_stratified(names, [0] * 50)
    held_out = {names[i] for i in test}
    _, test = split_stratified(names[::-1], [0] * 50)
    assert {names[::-1][i] for i in test} == held_out
    more = [*names, *(f"other/{i}" for i in range(9))]
    _, test = split_stratified(more, [0] * 50 + [1] * 9)
    assert held_out == {more[i] for i in test if i < 50}
    # A new image in the class moves at most one that was there.
    _, test = split_stratified([*names, "new.jpg"], [0] * 51)
    assert len(held_out - {[*names, "new.jpg"][i] for i in test}) <= 1


def test_hash_order_is_the_same_everywhere() -> None:
    assert sort_by_hash(["a", "b", "c", "d"]).tolist() == [3, 2, 1, 0]
