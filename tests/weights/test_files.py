"""Where weights are looked for, in which order, and what is said where there are none."""

import os
from pathlib import Path

import pytest

from tests.weights import server as behave
from tests.weights.server import Server
from vit_jax import weights
from vit_jax.errors import ConfigError
from vit_jax.weights import Limits, locations
from vit_jax.weights.failure import explain_missing

NAME = "imagenet21k/ViT-B_16"
GCS = "vit_models/imagenet21k/ViT-B_16.npz"
GOOGLE = "google/vit-base-patch16-224-in21k/model.safetensors"
TIMM = "timm/vit_base_patch16_224.orig_in21k/model.safetensors"


@pytest.fixture(autouse=True)
def far(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The bucket and the Hub are this server."""
    weights.describe_published("B_16")  # names are made once, and of the real addresses
    monkeypatch.setenv("HF_ENDPOINT", f"{server.url}/hub")
    monkeypatch.setattr(locations, "_GCS", f"{server.url}/gcs")
    monkeypatch.setenv("VIT_JAX_CACHE", str(tmp_path / "cache"))


def hub(path: str, revision: str = "main") -> str:
    repo, _, file = path.rpartition("/")
    return f"/hub/{repo}/resolve/{revision}/{file}"


def in_hub_cache(tmp_path: Path, path: str) -> Path:
    repo, _, file = path.rpartition("/")
    folder = f"models--{repo.replace('/', '--')}/snapshots/{behave.COMMIT}"
    return tmp_path / "hub" / folder / file


def put(path: Path, text: str = "here") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_first_location_that_answers(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    server.add(f"/gcs/{GCS}", b"", behave.refuse(403))
    server.add(hub(TIMM), b"of timm", behave.serve_as_hub)
    path = weights.fetch_weights(NAME, limits=hasty)
    assert path == in_hub_cache(tmp_path, TIMM)
    assert path.read_bytes() == b"of timm"
    assert weights.list_missing_parts(NAME, path) == ("head", "pre_logits")
    assert [asked for asked, _ in server.requests] == [f"/gcs/{GCS}", hub(TIMM)]
    heads = [asked for asked, _ in server.heads]
    assert list(dict.fromkeys(heads)) == [hub(GOOGLE), hub(TIMM)]
    assert weights.fetch_weights(NAME) == path  # from the cache
    assert len(server.requests) == 2
    assert len(server.heads) == len(heads)


def test_the_file_itself_lacks_nothing(server: Server) -> None:
    server.add(f"/gcs/{GCS}", b"all of it")
    assert weights.list_missing_parts(NAME, weights.fetch_weights(NAME)) == ()


def test_a_revision_is_part_of_the_address(server: Server) -> None:
    path = "google/vit-large-patch16-384/model.safetensors"
    server.add(hub(path, "refs%2Fpr%2F1"), b"L", behave.serve_as_hub)
    assert (
        weights.fetch_weights("imagenet21k+imagenet2012/ViT-L_16").read_bytes() == b"L"
    )


def test_one_message_with_every_location(
    server: Server, tmp_path: Path, hasty: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(f"/gcs/{GCS}", b"", behave.refuse(403))
    server.add(hub(GOOGLE), b"short", behave.as_hub(X_Linked_Etag="0" * 64))
    monkeypatch.setenv("VIT_JAX_WEIGHTS", "/my/weights")
    with pytest.raises(ConfigError) as caught:
        weights.fetch_weights(NAME, limits=hasty)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f'weights "{NAME}" must be here or in one of')
    assert lines[1] == f"  /my/weights, cache {tmp_path / 'cache'}: not there"
    assert lines[2] == f"  {server.url}/gcs/{GCS}: 403 Forbidden"
    assert lines[3].startswith(f"  {server.url}{hub(GOOGLE)}: checksum mismatch: sha25")
    assert lines[4] == f"  {server.url}{hub(TIMM)}: 404 Not Found"
    helps = "\n".join(lines[5:])
    for text in (
        GCS,
        "VIT_JAX_WEIGHTS",
        "VIT_JAX_MIRROR",
        "HTTPS_PROXY",
        "augreg/B_16",
    ):
        assert text in helps


@pytest.mark.parametrize(
    "where",
    [
        GCS,
        "imagenet21k/ViT-B_16.npz",
        GOOGLE,
        "vit-base-patch16-224-in21k/model.safetensors",
        "vit_base_patch16_224.orig_in21k.safetensors",
    ],
)
def test_a_folder_of_the_user(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    mine = put(tmp_path / "b" / where)
    folders = os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")])
    monkeypatch.setenv("VIT_JAX_WEIGHTS", folders)
    assert weights.fetch_weights(NAME) == mine
    assert not server.requests


def test_a_file_name_that_several_weights_have_needs_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "ViT-B_16.npz")
    monkeypatch.setenv("VIT_JAX_WEIGHTS", str(tmp_path))
    with pytest.raises(ConfigError, match="404 Not Found"):
        weights.fetch_weights(NAME)
    stem = "B_8-i1k-300ep-lr_0.001-aug_none-wd_0.1-do_0.0-sd_0.0"
    unique = put(tmp_path / f"{stem}.npz")
    assert weights.fetch_weights(stem) == unique


def test_the_cache_of_hugging_face(server: Server, tmp_path: Path) -> None:
    path = put(in_hub_cache(tmp_path, TIMM))
    put(path.parents[2] / "refs" / "main", behave.COMMIT)
    assert weights.fetch_weights(NAME) == path
    assert weights.list_missing_parts(NAME, path) == ("head", "pre_logits")
    assert weights.list_missing_parts(NAME, path.parents[2] / "x" / path.name) == ()
    assert not server.heads


def test_what_an_older_version_downloaded_from_the_hub(
    server: Server, tmp_path: Path
) -> None:
    path = put(tmp_path / "cache" / TIMM)
    assert weights.fetch_weights(NAME) == path
    assert not server.heads


def test_a_folder_for_all_that_is_downloaded(server: Server, tmp_path: Path) -> None:
    server.add(hub(GOOGLE), b"of Google", behave.serve_as_hub)
    path = weights.fetch_weights(NAME, cache=tmp_path / "mine")
    assert path.is_relative_to(tmp_path / "mine")
    assert weights.fetch_weights(NAME, cache=tmp_path / "mine") == path
    assert weights.list_missing_parts(NAME, path) == ("head",)
    assert len(server.requests) == 2  # the bucket, and this one


def test_mirrors_come_first(
    server: Server, monkeypatch: pytest.MonkeyPatch, hasty: Limits
) -> None:
    server.add(f"/gcs/{GCS}", b"far")
    server.add(f"/mirror/{GCS}", b"near")
    monkeypatch.setenv("VIT_JAX_MIRROR", f"{server.url}/none, {server.url}/mirror/")
    assert weights.fetch_weights(NAME, limits=hasty).read_bytes() == b"near"
    monkeypatch.setenv("VIT_JAX_MIRROR", "/a/folder")
    with pytest.raises(ConfigError, match="must be https://HOST/PREFIX, got /a/folder"):
        weights.fetch_weights("sam/ViT-B_16")


def test_offline(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIT_JAX_OFFLINE", "1")
    with pytest.raises(ConfigError, match="not asked, offline") as caught:
        weights.fetch_weights(NAME)
    assert "unset VIT_JAX_OFFLINE" in str(caught.value)
    path = put(tmp_path / "cache" / GCS)
    assert weights.fetch_weights(NAME) == path
    assert not server.requests
    server.add(f"/gcs/{GCS}", b"asked")
    assert weights.fetch_weights(NAME, cache=tmp_path / "b", offline=False).is_file()


def test_a_cached_file_that_was_cut_off_is_fetched_again(server: Server) -> None:
    server.add(f"/gcs/{GCS}", b"all of it")
    path = weights.fetch_weights(NAME)
    path.write_bytes(b"all")
    assert weights.fetch_weights(NAME).read_bytes() == b"all of it"
    assert len(server.requests) == 2


def test_the_token_goes_to_the_hub_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    server.add(hub(GOOGLE), b"of Google", behave.serve_as_hub)
    weights.fetch_weights(NAME)
    bucket, google = server.requests
    assert "secret" not in str(bucket)
    for _, headers in (google, *server.heads):
        assert headers["authorization"] == "Bearer secret"


def test_a_mirror_of_the_hub_s_files(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hasty: Limits
) -> None:
    server.add(f"/mirror/{TIMM}", b"near")
    monkeypatch.setenv("VIT_JAX_MIRROR", f"{server.url}/mirror")
    path = weights.fetch_weights(NAME, limits=hasty)
    assert path == tmp_path / "cache" / TIMM
    assert not server.heads


INDEX = """\
filename,final_val,ds,adapt_filename,adapt_ds,adapt_resolution,adapt_final_val,adapt_final_test
{0},0.3,i21k,{0}--cifar100-steps_10k-lr_0.01-res_224,cifar100,224,0.9,0.91
{0},0.3,i21k,{0}--imagenet2012-steps_20k-lr_0.01-res_384,imagenet2012,384,0.8,0.812
"""
B_8 = "B_8-i21k-300ep-lr_0.001-aug_light1-wd_0.1-do_0.0-sd_0.0"


def test_the_best_of_augreg(server: Server) -> None:
    folder = "/gcs/vit_models/augreg"
    with pytest.raises(ConfigError, match=r'known, got "B_8", which AugReg.s index'):
        weights.describe_published("B_8")
    server.add(f"{folder}/index.csv", INDEX.format(B_8).encode())
    server.add(f"{folder}/{B_8}.npz", b"upstream")
    adapted = f"{B_8}--imagenet2012-steps_20k-lr_0.01-res_384"
    server.add(f"{folder}/{adapted}.npz", b"adapted")
    assert weights.fetch_weights("B_8").read_bytes() == b"upstream"
    query = "augreg/B_8--imagenet2012"
    assert weights.fetch_weights(query).read_bytes() == b"adapted"
    info = weights.describe_published(query)  # the index is here now
    assert info.name == f"augreg/{adapted}"
    assert info.top1 == pytest.approx(81.2)
    assert info.image_size == (384, 384)
    with pytest.raises(ConfigError, match="no checkpoint with adapted_to cifar10"):
        weights.fetch_weights("B_8--cifar10")


def test_a_url(server: Server, hasty: Limits) -> None:
    server.add("/gcs/my_bucket/my.npz", b"mine")
    assert weights.fetch_weights("gs://my_bucket/my.npz").read_bytes() == b"mine"
    server.add(hub("me/mine/my.npz"), b"hub", behave.serve_as_hub)
    assert weights.fetch_weights("hf://me/mine/my.npz").read_bytes() == b"hub"
    with pytest.raises(ConfigError, match=r"did you mean"):
        weights.fetch_weights("imagenet21k/ViT-B16")


def test_nothing_leaves_the_cache(tmp_path: Path) -> None:
    for url in ("https://a/../../etc/x", "gs://b/../../../x", "https://a:80//b/./c"):
        path = tmp_path / locations.make_relative_path(weights.Location(url))
        assert path.resolve().is_relative_to(tmp_path)


def test_messages_name_a_token_where_one_helps() -> None:
    row = weights.describe_published("deit/ViT-B_16-224")
    url = locations.make_https_url(row.locations[0])
    assert "HF_TOKEN" in explain_missing(row, [f"{url}: 401 Unauthorized"], False)
    assert "HF_TOKEN" not in explain_missing(row, [f"{url}: 503 Busy"], False)
