"""Checksums of a folder in the format of `sha256sum`, so that any machine can check a bundle or a run by itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

from headrace.errors import BundleError

SUMS = "SHA256SUMS"
_BELOW = ("bundle", "latest/bundle")  # where the bundle is, if a run or a job's output folder is named


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_sums(folder: Path) -> dict[Path, str]:
    """Write the checksums of all files below a folder to its `SHA256SUMS`; return them by path."""
    sums = {path: sha256_of(path) for path in _files(folder)}
    (folder / SUMS).write_text("".join(f"{digest}  {path.relative_to(folder).as_posix()}\n" for path, digest in sums.items()))
    return sums


def check_sums(folder: Path) -> None:
    """Raise BundleError if a file below a folder is altered, missing or not listed."""
    sums = folder / SUMS
    if not sums.is_file():
        inside = next((place for place in _BELOW if (folder / place / SUMS).is_file()), None)
        hint = (
            "name the folder that a run left as `bundle`, or one that was saved" if inside is None else f"its bundle is {folder / inside}"
        )
        raise BundleError(f"is no bundle: it has no {SUMS}" if folder.exists() else "there is no such folder", file=str(folder), hint=hint)
    try:
        listed = {name: digest for digest, name in (line.split("  ", 1) for line in sums.read_text().splitlines())}
    except ValueError as error:
        raise BundleError(f"{SUMS} is damaged", file=str(folder)) from error
    there = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    for name in sorted(listed.keys() | there.keys()):
        if name not in there:
            raise BundleError(f"the file {name!r} is missing", file=str(folder))
        if name not in listed:
            raise BundleError(f"the file {name!r} does not belong to it", file=str(folder))
        if sha256_of(there[name]) != listed[name]:
            raise BundleError(
                f"the file {name!r} was altered: its SHA-256 is not the one in {SUMS}",
                file=str(folder),
                hint="take the bundle anew from where it was made",
            )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)
