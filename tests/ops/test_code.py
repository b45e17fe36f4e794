"""Users' own operators: named in a job, and never imported by a name found in a bundle."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from tests.comparing import assert_same_table

import headrace as hr
from headrace.errors import BundleError, DataError, JobError
from headrace.ops import op_name
from headrace.ops.base import Columns, Declaration, FittedOp, Op, PlainOp, made_in_place, operator
from headrace.ops.filter import Filter
from headrace.pipeline import Pipeline
from headrace.schema import Schema
from headrace.sha256sums import write_sums
from headrace.table import Table

DOCS = Path(__file__).parents[2] / "docs" / "operators.md"
ROWS = pa.table({"km": [1.0, None, -3.0]})
YAML = "- my_package.my_module:Square: [km]\n"


@pytest.fixture
def square(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The operator that docs/operators.md shows, in a package of its own."""
    section = DOCS.read_text().partition("# Your own operators")[2]
    source = re.search(r"```python\n(from typing.*?)```", section, re.DOTALL)
    assert source is not None
    assert len([line for line in source[1].splitlines() if line.strip()]) <= 20
    package = tmp_path / "path" / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("class NoOp: ...\n")
    (package / "my_module.py").write_text(source[1])
    monkeypatch.syspath_prepend(str(package.parent))
    yield lambda: sys.modules["my_package.my_module"].Square
    for name in ("my_package", "my_package.my_module"):
        sys.modules.pop(name, None)


def saved(path: Path) -> str:
    Pipeline.from_yaml(YAML).fit(ROWS).save(path)
    return str(path)


def forget() -> None:
    for name in ("my_package", "my_package.my_module"):
        del sys.modules[name]


def test_the_operator_of_the_docs_runs_in_a_job(square: Any) -> None:
    pipeline = Pipeline.from_yaml(YAML)
    assert pipeline.steps[0] == square()(["km"])
    assert pipeline.fit(ROWS).transform(ROWS)["km"].to_pylist() == [1.0, None, 9.0]
    assert Pipeline.from_yaml(pipeline.to_yaml()) == pipeline
    assert op_name(pipeline.steps[0]) == "my_package.my_module:Square"
    assert op_name(Filter("km > 0")) == "filter"


def test_its_mistakes_are_placed_like_those_of_any_operator(square: Any) -> None:
    with pytest.raises(JobError, match=r"pipeline\[0\].my_package.my_module:Square.columns\[0\]: no column 'km'"):
        Pipeline.from_yaml(YAML).fit(pa.table({"kms": [1.0]}))
    with pytest.raises(JobError, match=r"pipeline\[0\].my_package.my_module:Square.column: unknown key\n  nearest: 'columns'"):
        Pipeline.from_yaml("- my_package.my_module:Square: {columns: [km], column: km}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_package.my_module:Squares", "my_package.my_module: no name 'Squares'\n  nearest: 'Square'"),
        ("my_package.module:Square", "cannot be imported: No module named 'my_package.module'"),
        ("my_package:NoOp", "'my_package:NoOp' is no operator\n  write @operator above a class derived from PlainOp"),
        ("json:loads", "'json:loads' is no operator"),
        ("squares", "no operator 'squares'"),
    ],
)
def test_a_name_that_is_no_operator_is_told(square: Any, name: str, message: str) -> None:
    with pytest.raises(JobError, match=message):
        Pipeline.from_yaml(f"- {name}: [km]")


def test_a_bundle_names_it_and_loading_does_not_import_it(square: Any, tmp_path: Path) -> None:
    path = saved(tmp_path / "fitted")
    forget()
    with pytest.raises(BundleError, match=r"needs my_package.my_module:Square.*\n  pass it: headrace.load\(path, ops=\[Square\]\)"):
        hr.load(path)
    assert "my_package.my_module" not in sys.modules


def test_loading_takes_it_from_the_caller(square: Any, tmp_path: Path) -> None:
    path = saved(tmp_path / "fitted")
    for loaded in (hr.load(path, ops=[square()]), hr.FittedPipeline.load(path, ops=[square()])):
        assert_same_table(loaded.transform(ROWS), pa.table({"km": [1.0, None, 9.0]}))
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again" / "pipeline.json").read_bytes() == (tmp_path / "fitted" / "pipeline.json").read_bytes()


def test_loading_takes_it_from_an_installed_entry_point(square: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "fitted")
    forget()
    installed = tmp_path / "path" / "my_package-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[headrace.ops]\nsquare = my_package.my_module:Square\n")
    importlib.invalidate_caches()
    assert hr.load(path).transform(ROWS)["km"].to_pylist() == [1.0, None, 9.0]


@pytest.mark.parametrize("name", ["os:system", "my_package:NoOp", "apply"])
def test_a_bundle_written_by_somebody_else_runs_nothing(square: Any, tmp_path: Path, name: str) -> None:
    path = Path(saved(tmp_path / "fitted"))
    forget()
    content = json.loads((path / "pipeline.json").read_text())
    settings = {"function": "os:system", "columns": ["km"], "outputs": {"km": "int8"}} if name == "apply" else ["km"]
    content["pipeline"] = [{name: settings}]
    (path / "pipeline.json").write_text(json.dumps(content))
    (path / "SHA256SUMS").unlink()
    write_sums(path)
    with pytest.raises(BundleError, match="a bundle's names are not imported"):
        hr.load(str(path))
    assert "my_package" not in sys.modules


def test_a_class_that_is_passed_and_is_no_operator_is_refused(square: Any, tmp_path: Path) -> None:
    path = Path(saved(tmp_path / "fitted"))
    text = (path / "pipeline.json").read_text().replace("my_package.my_module:Square", "decimal:Decimal")
    (path / "pipeline.json").write_text(text)
    (path / "SHA256SUMS").unlink()
    write_sums(path)
    with pytest.raises(BundleError, match="is no operator"):
        hr.load(str(path), ops=[Decimal])


@pytest.mark.parametrize(
    ("text", "message"), [("def f(:", r"SyntaxError: .*\(faulty.py, line 1\)"), ("1 / 0", "ZeroDivisionError: division")]
)
def test_a_module_that_fails_is_its_owners_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    (tmp_path / "faulty.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(JobError, match=rf"'faulty:Op' cannot be imported: {message}.*\n  mend faulty"):
        Pipeline.from_yaml("- faulty:Op: [km]")


@operator
class Normalize(PlainOp):
    """A user's own, of a name that is taken, and with mistakes of its own."""

    name: ClassVar[str] = "normalize"
    columns: Columns
    fails: str = ""

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        if self.fails == "declare":
            raise ZeroDivisionError("of mine")
        return Declaration(self.columns, schema, made_in_place(self.columns))

    def apply(self, table: Table) -> Table:
        if self.fails == "apply":
            raise ZeroDivisionError("of mine")
        return table if self.fails != "nothing" else None  # type: ignore[return-value]


@operator
class Learner(FittedOp[dict[str, int], object]):
    """A user's own that learns."""

    name: ClassVar[str] = "learner"
    columns: Columns
    fails: str = ""

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        return Declaration(self.columns, schema, made_in_place(self.columns))

    def part_type(self) -> Any:
        return dict[str, int]

    def state_type(self) -> Any:
        return dict[str, int]

    def observe(self, table: Table) -> dict[str, int]:
        if self.fails == "observe":
            raise ZeroDivisionError("of mine")
        return {"rows": table.n_rows}

    def finish(self, part: dict[str, int]) -> object:
        if self.fails == "finish":
            raise ZeroDivisionError("of mine")
        return part if self.fails != "state" else object()

    def apply(self, table: Table, state: object) -> Table:
        return table


PLACE = r"pipeline\[0\].tests.ops.test_code:"
MINE = r"failed: ZeroDivisionError: of mine in .*test_code.py:\d+$"


@pytest.mark.parametrize(
    ("op", "kind", "message"),
    [
        (Normalize(["km"], fails="declare"), JobError, f"{PLACE}Normalize: {MINE}"),
        (Normalize(["km"], fails="apply"), DataError, f"{PLACE}Normalize: {MINE}"),
        (Normalize(["km"], fails="nothing"), DataError, f"{PLACE}Normalize: failed: TypeError: `apply` returned a NoneType, not a Table"),
        (Learner(["km"], fails="observe"), DataError, f"{PLACE}Learner: {MINE}"),
        (Learner(["km"], fails="finish"), DataError, f"{PLACE}Learner: {MINE}"),
        (Learner(["km"], fails="state"), DataError, f"{PLACE}Learner: failed: TypeError: a state cannot hold a object"),
    ],
)
def test_what_an_operator_raises_is_its_owners_fault(op: Op, kind: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=message):
        Pipeline([op]).fit_transform(ROWS).fitted.save(tmp_path / "saved")


def test_a_name_that_is_taken_is_told_from_the_built_in(tmp_path: Path) -> None:
    pipeline = Pipeline([Normalize(["km"]), hr.Normalize(["km"])])
    assert re.findall(r"^  \d (\S+): km", repr(pipeline.fit(ROWS)), flags=re.MULTILINE) == ["tests.ops.test_code:Normalize", "normalize"]
    assert Pipeline.from_yaml(pipeline.to_yaml()) == pipeline


def test_a_class_that_lacks_something_is_no_operator() -> None:
    with pytest.raises(TypeError, match=r'Nameless has no name: write `name: ClassVar\[str\] = "nameless"` in it'):
        operator(type("Nameless", (PlainOp,), {"__module__": __name__}))
    with pytest.raises(JobError, match=r"'tests\.ops\.test_code:Half' is no operator yet: it has no apply, declare"):
        Pipeline.from_yaml("- tests.ops.test_code:Half: [km]")


@operator
class Half(PlainOp):
    """One that its author has begun."""

    name: ClassVar[str] = "half"
    columns: Columns
