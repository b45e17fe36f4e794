"""Checksums of a folder: an altered, missing or added byte is found; `sha256sum` reads the same file."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.errors import BundleError
from headrace.sha256sums import SUMS, check_sums, sha256_of, write_sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "inner" / "b c.bin").write_bytes(bytes(range(256)))
    (tmp_path / "empty").write_bytes(b"")
    write_sums(tmp_path)
    return tmp_path


def test_an_untouched_folder_passes(folder: Path) -> None:
    check_sums(folder)


def test_the_sums_are_those_of_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not on this machine")
def test_sha256sum_checks_the_same_file(folder: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _flip(folder: Path) -> None:
    content = bytearray((folder / "inner" / "b c.bin").read_bytes())
    content[100] ^= 1
    (folder / "inner" / "b c.bin").write_bytes(content)


def _forget(folder: Path) -> None:
    lines = (folder / SUMS).read_text().splitlines(keepends=True)
    (folder / SUMS).write_text("".join(lines[1:]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_flip, "the file 'inner/b c.bin' was altered"),
        (lambda folder: (folder / "a.json").unlink(), "the file 'a.json' is missing"),
        (lambda folder: (folder / "new").write_text(""), "the file 'new' does not belong to it"),
        (lambda folder: (folder / "inner" / SUMS).write_text(""), "the file 'inner/SHA256SUMS' does not belong to it"),
        (lambda folder: (folder / "empty").write_text("x"), "the file 'empty' was altered"),
        (_forget, "the file 'a.json' does not belong to it"),
        (lambda folder: (folder / SUMS).unlink(), "is no bundle: it has no SHA256SUMS"),
        (lambda folder: (folder / SUMS).write_text("nonsense\n"), "SHA256SUMS is damaged"),
        (lambda folder: (folder / SUMS).write_bytes(b"\xff\xfe  a\n"), "SHA256SUMS is damaged"),
    ],
)
def test_every_change_is_found_and_named(folder: Path, change: Callable[[Path], object], message: str) -> None:
    change(folder)
    with pytest.raises(BundleError) as caught:
        check_sums(folder)
    assert message in caught.value.message
    assert caught.value.file == str(folder)


@pytest.mark.parametrize("below", ["bundle", "latest/bundle"])
def test_the_bundle_of_a_run_is_named_where_the_run_is_given(tmp_path: Path, below: str) -> None:
    (tmp_path / below).mkdir(parents=True)
    write_sums(tmp_path / below)
    with pytest.raises(BundleError, match=f"is no bundle: .*\n  its bundle is .*/{below}$"):
        check_sums(tmp_path)
    with pytest.raises(BundleError, match="there is no such folder\n  name the folder that a run left"):
        check_sums(tmp_path / "nowhere")
