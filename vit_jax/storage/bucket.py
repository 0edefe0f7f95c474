"""Folders in Google Cloud Storage, ``gs://BUCKET/PATH``, as paths. Needs ``remote``."""

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vit_jax.errors import ConfigError

if TYPE_CHECKING:
    from etils import epath

_FILES = (".npz", ".safetensors", ".bin", ".pth")  # those are weights, not folders


def is_bucket(path: str | Path) -> bool:
    """Returns whether a path is of a folder in a bucket."""
    text = str(path)
    # pathlib makes gs:/ of gs://.
    return re.match(r"gs:/", text) is not None and not text.endswith(_FILES)


def open_location(path: str | Path) -> Path:
    """Returns a path on this machine, or one in a bucket, which does the same.

    The latter is etils' and goes through gcsfs. A bucket is looked at once, before any
    work is done: that it exists, and that this machine may read it.

    Raises:
      ConfigError: the bucket cannot be read, the extra ``remote`` is missing, or it is
        another kind of URL.
    """
    if not is_bucket(path):
        other = re.match(r"(\w[\w+.-]+):/", str(path))
        if other and not Path(path).exists():
            raise ConfigError(
                f"a workdir must be a folder that every host sees, or gs://BUCKET/PATH, "
                f"got {path}; mount what is behind {other[1]}:// and give the folder "
                "(docs/cloud.md)"
            )
        return Path(os.path.expanduser(path))
    name, _, folder = str(path).removeprefix("gs:").strip("/").partition("/")
    if not folder:
        raise ConfigError(
            f"a workdir must be a folder in a bucket, got {path}; try "
            f"gs://{name or 'BUCKET'}/run"
        )
    _open(name)
    from etils import epath

    return cast(Path, epath.Path(f"gs://{name}/{folder}"))


def find_location(name_or_path: str | Path) -> Path:
    """Returns the path that a checkpoint would have, if it is no name of weights.

    Raises:
      ConfigError: as `open_location`.
    """
    if is_bucket(name_or_path):
        return open_location(name_or_path)
    return Path(os.path.expanduser(name_or_path))


def make_absolute(path: Path) -> Path:
    """Returns the path from the root on; one in a bucket is that already."""
    return path if is_bucket(path) else path.resolve()


def has_folder(path: "Path | epath.Path") -> bool:
    """Returns whether there is a folder, or raises: a bucket may be away for a moment.

    The library's own `is_dir` takes any error for a no, and an existing run would be
    started again.
    """
    if not is_bucket(str(path)):
        return path.is_dir()
    try:
        return any(True for _ in path.iterdir())
    except FileNotFoundError:
        return False


@functools.cache
def _open(bucket: str) -> None:
    """Makes ready what Orbax and etils read and write a bucket with."""
    # One way whatever is installed, and the one that is tested: no TensorFlow, which
    # would be imported for this alone, and the plain API that every bucket has.
    os.environ.setdefault("EPATH_USE_TF", "0")
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "0")
    import logging

    for library in ("gcsfs", "google.auth._default"):  # what they log is raised too
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        import gcsfs  # noqa: F401
        from fsspec.config import conf
        from google.cloud import storage, storage_control_v2  # noqa: F401
        from google.cloud.storage.retry import DEFAULT_RETRY
    except ImportError as error:
        raise ConfigError(
            f"gs://{bucket} needs packages that are not installed ({error}); "
            "run: pip install 'vit_jax[remote]'"
        ) from error
    # Other processes write there too: a list of a minute ago is out of date.
    for protocol in ("gs", "gcs"):
        conf.setdefault(protocol, {})["use_listings_cache"] = False
    try:
        retry = DEFAULT_RETRY.with_timeout(30)
        storage.Client().get_bucket(bucket, timeout=30, retry=retry)
    except Exception as error:  # of requests, of google.auth, of google.api_core, ...
        raise ConfigError(_explain_refusal(bucket, error)) from error


def _explain_refusal(bucket: str, error: Exception) -> str:
    """Returns why a bucket cannot be used, and what to do about it."""
    status = getattr(error, "code", None)
    if status == 404:
        return (
            f"bucket gs://{bucket} must exist, got none of that name; make it: "
            f"gcloud storage buckets create gs://{bucket}"
        )
    if status in (401, 403):
        return (
            f"gs://{bucket} must be open to this machine's account, got {status} "
            f"({_format_line(error)}); grant it roles/storage.objectUser and "
            "roles/storage.legacyBucketReader on the bucket (docs/cloud.md)"
        )
    if type(error).__name__ == "DefaultCredentialsError":
        return (
            f"gs://{bucket} needs credentials on every host, got none; run: gcloud "
            "auth application-default login, or give the machine a service account"
        )
    if "Project was not passed" in str(error):
        return f"gs://{bucket} needs a project, got none; set GOOGLE_CLOUD_PROJECT"
    return (
        f"gs://{bucket} cannot be reached ({_format_line(error)}); repeat the command"
    )


def explain_storage_error(error: BaseException | None) -> str | None:
    """Returns what the storage said, of an error that it is the cause of; else None."""
    for found in iterate_causes(error):
        ours = type(found).__module__.partition(".")[0] in _LIBRARIES
        # TensorStore raises ValueError, gcsfs OSError.
        if ours or re.search(r"gs://|/storage/v1/b/|^Forbidden: ", str(found)):
            return _format_line(found)
    return None


_LIBRARIES = ("gcsfs", "google", "aiohttp", "requests")


def iterate_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error, what it was raised from, and so on."""
    seen: set[int] = set()  # a chain of errors may be a ring
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _format_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    text = re.sub(r"^(Forbidden: )\S+\n", r"\1", text)  # gcsfs
    text = re.sub(r" \[\w+='.*", "", text)  # TensorStore adds its whole state
    return text.replace("\n", ", ")[:300]
