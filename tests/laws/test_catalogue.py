"""Law: every operator is documented, tested, exampled and frozen, and knows no library; every backend has every verb."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from pathlib import Path

import pytest
from tests.comparing import assert_same_column
from tests.importing import imports_of
from tests.laws.examples import EXAMPLES, TABLES, cases, rows
from tests.laws.running import run

from headrace.errors import JobError, JobErrors
from headrace.ops import OPS, class_names, make_op, op_class
from headrace.ops.base import BoundOp, FittedOp, Op, OrderedOp, PlainOp
from headrace.schema import Schema
from headrace.table import Backend

ROOT = Path(__file__).parents[2]
OPS_FOLDER = ROOT / "engine" / "headrace" / "ops"
# All that an operator may import from outside; what a column is on its device, and how it is computed, it does not know.
KNOWN_TO_OPS = {"headrace", "headrace_kernels", "numpy", "pydantic"}
# States are values of numbers and Arrow, so these may name Arrow's types. They compute nothing with it.
NAMES_ARROW_TYPES = {"base", "join_external"}


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_operator_has_examples(name: str) -> None:
    assert EXAMPLES.get(name), f"add settings of {name} to EXAMPLES in tests/laws/examples.py: the laws are held on them"
    assert {op.name for op in EXAMPLES[name]} == {name}


def test_no_example_is_of_an_operator_that_is_not_there() -> None:
    assert EXAMPLES.keys() <= OPS.keys()


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_operator_has_a_section_in_the_docs(name: str) -> None:
    page = (ROOT / "docs" / "operators.md").read_text()
    documented = re.findall(r"^## `?([a-z_]+)`?", page, flags=re.MULTILINE)
    assert documented.count(name) == 1, f"docs/operators.md needs one section `## {name}`"
    assert f"[`{name}`](#{name})" in page, f"the table at the top of docs/operators.md needs a link to {name}"


@pytest.mark.parametrize("module", sorted({place.split(":")[0] for place in OPS.values()}))
def test_every_operator_has_its_own_tests(module: str) -> None:
    path = ROOT / "tests" / "ops" / f"test_{module}.py"
    assert path.is_file()
    assert re.search(r"^def test_", path.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_operator_teaches_by_examples(name: str) -> None:
    text = inspect.getdoc(op_class(name)) or ""
    assert text.splitlines()[0].endswith((".", ":", "``"))
    assert "Parameters\n----------" in text
    assert "Examples\n--------\n>>> " in text


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_operator_is_one_of_the_known_kinds_and_frozen(name: str) -> None:
    cls = op_class(name)
    assert cls.name == name
    assert class_names()[cls.__name__] == name
    assert sum(issubclass(cls, kind) for kind in (PlainOp, FittedOp, BoundOp, OrderedOp)) == 1
    for op in EXAMPLES.get(name, ()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(op, dataclasses.fields(op)[0].name, None)


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_operator_refuses_an_unknown_key_by_its_name(name: str) -> None:
    if op_class(name).takes_mapping:
        pytest.skip("every key of its mapping is a column's name")
    with pytest.raises(JobErrors) as caught:
        make_op(name, {"colums": ["a"]})
    assert "colums" in [error.key for error in caught.value.errors]


def test_an_unknown_operator_is_refused_with_the_nearest() -> None:
    with pytest.raises(JobError, match="no operator 'categorise'\n  nearest: 'categorify'"):
        make_op("categorise", ["a"])


@pytest.mark.parametrize("op", [pytest.param(op, id=name) for name, op in cases()])
def test_what_an_operator_declares_is_what_it_makes(op: Op) -> None:
    made = run([op], rows(), TABLES, partition_size=None).table
    before = Schema.from_arrow(rows().schema)
    declared = op.declare(before, {name: Schema.from_arrow(table.schema) for name, table in TABLES.items()})
    assert Schema.from_arrow(made.schema) == declared.schema
    assert set(declared.makes) <= set(declared.schema)
    if not declared.drops_rows:
        for column in before.columns.keys() & declared.schema.columns.keys() - declared.makes.keys():
            assert_same_column(made[column], rows()[column], name=column)


@pytest.mark.parametrize("path", sorted(OPS_FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_operators_know_no_library(path: Path) -> None:
    imported = imports_of(path)
    outside = {name.split(".")[0] for name in imported} - KNOWN_TO_OPS - sys.stdlib_module_names
    assert outside <= ({"pyarrow"} if path.stem in NAMES_ARROW_TYPES else set())
    assert not {name for name in imported if name.startswith("headrace.backends")}


VERBS = {name: function for name, function in vars(Backend).items() if inspect.isfunction(function) and not name.startswith("_")}


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_backend_has_every_verb_with_the_same_parameters(backend: Backend, verb: str) -> None:
    found = inspect.signature(getattr(type(backend), verb)).parameters
    expected = inspect.signature(VERBS[verb]).parameters
    assert [(p.name, p.kind, p.default) for p in found.values()] == [(p.name, p.kind, p.default) for p in expected.values()]


def test_a_backend_has_no_verb_that_the_protocol_does_not_list(backend: Backend) -> None:
    public = {name for name, value in vars(type(backend)).items() if inspect.isfunction(value) and not name.startswith("_")}
    assert public == set(VERBS)


def test_the_protocol_stays_small() -> None:
    assert len(VERBS) <= 40  # each verb is written once more for every device; ask first whether an existing one is enough
