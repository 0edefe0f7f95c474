"""Files by path or by URL: read, read in part, list.

A URL (``gs://``, ``s3://``, ``https://``, ...) goes through fsspec, which every thread
and process opens for itself; a path does not. What cannot be read is an OSError with
the reason in ``strerror`` and the path or URL in ``filename``, wherever it is.
"""

import errno
import glob
import os
import posixpath
import re
from collections.abc import Iterator
from typing import BinaryIO

from vit_jax.errors import ConfigError
from vit_jax.storage.remote import ask_file_system, find_file_system, is_web


def is_url(path: str) -> bool:
    return "://" in path


def join_path(folder: str, name: str) -> str:
    """Returns the path of ``name``, which may be absolute or a URL, below a folder."""
    if is_url(name):
        return name
    scheme, separator, path = folder.partition("://")
    if not separator:
        return os.path.join(folder, name)
    # A bucket's names are no paths: ".." would be a part of one.
    return f"{scheme}://{posixpath.normpath(f'{path}/{name}')}"


def get_parent(path: str) -> str:
    """Returns the folder of a file."""
    return (
        path.partition("?")[0].rpartition("/")[0]
        if is_url(path)
        else os.path.dirname(path)
    )


def get_suffix(path: str) -> str:
    """Returns what a file's name ends with, such as ``.csv``; a URL may continue after it."""
    return os.path.splitext(path.partition("?")[0] if is_url(path) else path)[1]


def read_bytes(path: str) -> bytes:
    """Returns a whole file."""
    if not is_url(path):
        with open(path, "rb", buffering=0) as file:  # read at once; a buffer costs time
            return file.read()
    return ask_file_system(path, "cat_file")


def read_part(path: str, offset: int, size: int) -> bytes:
    """Returns ``size`` bytes of a file from ``offset`` on."""
    if not is_url(path):
        # Opened each time: there may be more shards than a process may hold open.
        file = os.open(path, os.O_RDONLY)
        try:
            return os.pread(file, size, offset)
        finally:
            os.close(file)
    data = ask_file_system(path, "cat_file", start=offset, end=offset + size)
    if len(data) != size:
        raise OSError(errno.EIO, "the server gives no parts of files", path)
    return data


def open_file(path: str, ahead: bool = True) -> BinaryIO:
    """Returns a file that can be read and moved in.

    Args:
      path: a path or a URL.
      ahead: of a URL, whether to fetch megabytes past what is asked for.
    """
    if not is_url(path):
        return open(path, "rb")
    return ask_file_system(
        path, "open", mode="rb", cache_type="readahead" if ahead else "none"
    )


def fingerprint(path: str) -> str:
    """Returns a text that changes when the file does."""
    if is_url(path):
        return repr(sorted(ask_file_system(path, "info").items()))
    status = os.stat(path)
    return f"{os.path.realpath(path)}|{status.st_size}|{status.st_mtime_ns}"


def is_listed_folder(path: str) -> bool:
    if not is_url(path):
        return os.path.isdir(path)
    try:  # not isdir: it says no where it was not allowed to look
        return any(list_folder(path))
    except FileNotFoundError:
        return False


def list_folder(folder: str) -> tuple[list[str], list[str]]:
    """Returns the names of the folders and of the files in a folder, both sorted."""
    if is_url(folder):
        _check_listed(folder)
        entries = ask_file_system(folder, "ls", detail=True)
        here = find_file_system(folder)[1].rstrip(
            "/"
        )  # a file is all there is in itself
        paths = {entry["name"].rstrip("/"): entry["type"] for entry in entries}
        kinds = {os.path.basename(p): kind for p, kind in paths.items() if p != here}
    else:
        kinds = {
            entry.name: "directory" if entry.is_dir() else "file"
            for entry in os.scandir(folder)
        }
    folders = sorted(name for name, kind in kinds.items() if kind == "directory")
    return folders, sorted(name for name, kind in kinds.items() if kind == "file")


def walk_files(folder: str) -> Iterator[str]:
    """Yields the paths of all files below a folder, relative to it, but hidden ones."""
    if is_url(folder):
        root = len(find_file_system(folder)[1])
        paths = (path[root:].lstrip("/") for path in ask_file_system(folder, "find"))
        yield from (path for path in paths if not re.search(r"(^|/)\.", path))
        return
    for here, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not _is_link_to_parent(here, name)
        ]
        prefix = os.path.relpath(here, folder).replace(os.sep, "/")
        for name in names:
            if not name.startswith("."):
                yield name if prefix == "." else f"{prefix}/{name}"


def _is_link_to_parent(here: str, name: str) -> bool:
    """Returns whether a folder is a link to one above it: a walk without end."""
    path = os.path.join(here, name)
    above = os.path.join(os.path.realpath(here), "")
    return os.path.islink(path) and above.startswith(
        os.path.join(os.path.realpath(path), "")
    )


def match_files(pattern: str, ending: str) -> list[str]:
    """Returns the files with ``ending`` that are meant, sorted.

    Args:
      pattern: a file, a folder with files at any depth, a glob pattern, or a series as
        webdataset writes it: ``train-{0000..0127}.tar``.
      ending: such as ``.tar``.
    """
    series = re.fullmatch(r"(.*)\{(\d+)\.\.(\d+)\}(.*)", pattern)
    if series:
        start, first, last, end = series.groups()
        numbers = range(int(first), int(last) + 1)
        return [f"{start}{number:0{len(first)}}{end}" for number in numbers]
    if (
        is_url(pattern)
        and not glob.has_magic(pattern)
        and get_suffix(pattern) == ending
    ):
        return [pattern]
    if is_listed_folder(pattern):
        return [
            join_path(pattern, path)
            for path in sorted(walk_files(pattern))
            if path.endswith(ending)
        ]
    if not is_url(pattern):
        return sorted(glob.glob(pattern))
    name = find_file_system(pattern)[0].unstrip_protocol
    return [name(path) for path in sorted(ask_file_system(pattern, "glob"))]


def _check_listed(url: str) -> None:
    if is_web(url):
        raise ConfigError(
            f"a folder must be where it can be listed, got {url}; over http give a table "
            "(.csv, .tsv, .jsonl), a .tar or a .parquet file, or a series of them: "
            "train-{0000..0127}.tar"
        )
