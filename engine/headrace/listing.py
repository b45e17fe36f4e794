"""Listing: the Parquet files that a path, a glob, a folder or an address names, and what hive folders say of their rows."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.fs as pafs

from headrace.errors import JobError
from headrace.schema import Type

GLOB_MARKS = "*?["
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"  # what Hive, Spark, Arrow and Polars write, and read, for a null
SUFFIXES = (".parquet", ".parq", ".pq")


def filesystem_of(path: str) -> tuple[Any, str]:
    """Return the Arrow file system and the path in it of a local path or URI."""
    if "://" not in path:
        return pafs.LocalFileSystem(), path
    try:
        filesystem, inner = pafs.FileSystem.from_uri(path)
    except (pa.ArrowException, ValueError, OSError):
        import fsspec

        try:
            handler, inner = fsspec.core.url_to_fs(path)
        except (ImportError, ValueError) as error:
            raise JobError(f"cannot open {path!r}: {error}") from error
        filesystem = pafs.PyFileSystem(pafs.FSSpecHandler(handler))
    return filesystem, inner


def find_files(source: str) -> list[tuple[str, dict[str, str]]]:
    """Return the Parquet files of one path, glob or directory, sorted, with their hive values."""
    if not source or "\0" in source:
        raise JobError(f"{source!r} is no path")
    if "://" in source:
        paths, root = _find_remote(source)
    elif any(mark in source for mark in GLOB_MARKS) and not Path(source).exists():
        paths, root = sorted(glob.glob(source, recursive=True)), _before_marks(source)
        paths = [file for path in paths for file in (_below(path) if Path(path).is_dir() and path.endswith(SUFFIXES) else [path])]
        paths = [path for path in paths if _is_data(Path(path))]
    elif Path(source).is_dir():
        root = str(Path(source))  # as rglob writes it: ./a and a/ are a
        paths = _below(root)
    elif Path(source).is_file():
        return [(source, {})]
    else:
        paths, root = [], source
    if not paths:
        raise JobError(f"no Parquet files at {source!r}", hint=_what_is_there(source))
    return [(path, _hive_values(path.removeprefix(root))) for path in paths]


def _below(folder: str) -> list[str]:
    root = str(Path(folder))
    return _parquet_below(root, (str(path) for path in Path(root).rglob("*") if _is_data(path)))


def _is_data(path: Path) -> bool:
    """Say whether a path is a file, or a link to one: to read one that leads nowhere says so, and to pass over it would lose its rows."""
    return path.is_file() or (path.is_symlink() and not path.is_dir())


def refuse_twice(paths: Iterable[str]) -> None:
    """Raise JobError for a file that two of several sources name: its rows would count twice."""
    for path, n in Counter(path if "://" in path else os.path.abspath(path) for path in paths).items():  # noqa: PTH100
        if n > 1:
            raise JobError(f"{path!r} is named {n} times", hint="its rows would be read as often: name each file once")


def takes_below(source: str, folder: str) -> bool:
    """Say whether a source takes what will be written below a folder: it is, or is above, that folder and looks into all folders."""
    return _takes(source, Path(folder).absolute() / "x.parquet")


def takes(source: str, file: Path) -> bool:
    """Say whether a source will take a file that is to be written for one of its own."""
    path = file.absolute()
    return _takes(source, path) or path.match(str(Path(source).absolute()))


def _takes(source: str, path: Path) -> bool:
    root = source if Path(source).is_dir() else _before_marks(source) if "**" in source else None
    if root is None or not path.parent.is_relative_to(Path(root).absolute()):
        return False
    return "**" in source or bool(_parquet_below(str(Path(root).absolute()), [str(path)]))


def _find_remote(source: str) -> tuple[list[str], str]:
    import fsspec

    address = urlsplit(source)
    if address.password is not None:  # neither the error nor a run's record may hold it
        shown = f"{address.scheme}://...@{address.netloc.rpartition('@')[2]}{address.path}"
        hint = "paths are written into the run's record: set credentials where the file system looks for them, as its environment variables"
        raise JobError(f"a password stands in {shown!r}", hint=hint)
    try:
        handler, inner = fsspec.core.url_to_fs(source)
        if any(mark in inner for mark in GLOB_MARKS):
            names = sorted(handler.glob(inner))
        elif handler.isdir(inner):
            names = _parquet_below(inner, handler.find(inner))
        else:
            names = [inner] if handler.exists(inner) else []
    except (ImportError, OSError, ValueError) as error:
        raise JobError(
            f"cannot list {source!r}: {error}", hint="is the file system's package installed, and are its credentials set?"
        ) from error
    scheme = source.split("://", maxsplit=1)[0]
    return [f"{scheme}://{name}" for name in names], f"{scheme}://{_before_marks(inner)}"


def _before_marks(pattern: str) -> str:
    """Return the folders of a glob that are written out: all before the first part with a mark."""
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return fixed if fixed == pattern else fixed[: fixed.rfind("/") + 1]


def _parquet_below(root: str, paths: Iterable[str]) -> list[str]:
    """Keep data files: what starts with a dot or an underscore is metadata of some writer, or a file being written."""
    kept = []
    for path in paths:
        parts = path.removeprefix(root).strip("/").split("/")
        if not any(part.startswith((".", "_")) for part in parts) and parts[-1].endswith(SUFFIXES):
            kept.append(path)
    return sorted(kept)


def _what_is_there(source: str) -> str:
    """Say what the nearest existing folder holds."""
    folder = Path(_before_marks(source))
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    names = sorted(path.name for path in folder.iterdir())[:8] if "://" not in source else []
    return f"{folder} holds: {', '.join(names) or 'nothing'}"


def _hive_values(relative: str) -> dict[str, str]:
    parts = (part.partition("=") for part in relative.split("/")[:-1])
    return {name: unquote(value) for name, mark, value in parts if mark}


def hive_value(text: str, type_: Type) -> int | str | None:
    """Return what the name of a hive folder stands for in a column of a type."""
    if text == HIVE_NULL:
        return None
    return int(text) if type_.is_integer else text
