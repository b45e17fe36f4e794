"""YAML as people mean it, with the line of every key."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import yaml_text
from headrace.errors import JobError, JobErrors


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("2013-11-01", "2013-11-01"),
        ("12:30:45", "12:30:45"),
        ("1e-3", 0.001),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("007", 7),
        ("010", 10),
        ("0o17", 15),
        ("1_000", 1000),
        ("8GiB", "8GiB"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("0x1F", 31),
        ("+5", 5),
    ],
)
def test_scalars_are_what_people_mean(text: str, value: object) -> None:
    found = yaml_text.load(f"a: {text}")[0]["a"]
    assert found == value
    assert type(found) is type(value)


def test_every_key_has_its_line() -> None:
    lines = yaml_text.load("job: x\n\npipeline:\n  - filter: a > 0\n  - fill_missing:\n      columns:\n        - temp\n        - tmep\n")[1]
    assert lines == {
        "": 1,
        "job": 1,
        "pipeline": 3,
        "pipeline[0]": 4,
        "pipeline[0].filter": 4,
        "pipeline[1]": 5,
        "pipeline[1].fill_missing": 5,
        "pipeline[1].fill_missing.columns": 6,
        "pipeline[1].fill_missing.columns[0]": 7,
        "pipeline[1].fill_missing.columns[1]": 8,
    }


@pytest.mark.parametrize(("key", "line"), [("a.b[1]", 3), ("a.b[7].c", 2), ("a.z", 1), ("q", None), (None, None)])
def test_the_line_of_a_key_that_is_not_there_is_that_of_its_parent(key: str | None, line: int | None) -> None:
    lines = yaml_text.load("a:\n  b: [x,\n    y]\n")[1]
    assert yaml_text.line_of(key, lines) == line


def test_a_key_that_stands_twice_is_refused_with_its_line() -> None:
    with pytest.raises(JobErrors, match=r"job\.yaml:3: a\.b: stands twice"):
        yaml_text.load("a:\n  b: 1\n  b: 2\n", "job.yaml")


def test_what_is_no_yaml_is_refused_with_its_place() -> None:
    with pytest.raises(JobError, match=r"job\.yaml:2: is no YAML: mapping values are not allowed here\n  b: c: d"):
        yaml_text.load("a: 1\nb: c: d\n", "job.yaml")
    with pytest.raises(JobError, match=r"job\.yaml:3: is no YAML: expected ',' or '\]'"):
        yaml_text.load("a: 1\nb: [1, 2\n", "job.yaml")
    with pytest.raises(JobError, match="is no YAML"):
        yaml_text.load("a: \x00")


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system [echo]", "a: !!python/name:os.system", "!custom x"])
def test_tags_that_make_objects_are_refused(text: str) -> None:
    with pytest.raises(JobError, match="is no YAML: could not determine a constructor"):
        yaml_text.load(text)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"gone\.yaml: cannot be read: No such file or directory"):
        yaml_text.read(tmp_path / "gone.yaml")
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(JobError, match=r"odd\.yaml: cannot be read: it is no UTF-8 text"):
        yaml_text.read(tmp_path / "odd.yaml")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["on", "1e3", "2013-01-01", "null", "0x1F", "=", "<<", "1_0", ".inf"])
)


@given(
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3), max_leaves=8)
)
def test_what_is_dumped_loads_to_the_same(value: object) -> None:
    assert yaml_text.load(yaml_text.dump({"v": value}))[0] == {"v": value}


def test_aliases_that_stand_for_more_than_memory_holds_are_refused() -> None:
    levels = "abcdefghij"
    text = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    text += "".join(f"{one}: &{one} [{', '.join([f'*{before}'] * 10)}]\n" for before, one in pairwise(levels))
    with pytest.raises(JobError, match="stands for more than 1,000,000 values"):
        yaml_text.load(text)


@pytest.mark.parametrize("text", ["a: &a [1, *a]\n", "a: &a {b: *a}\n", "[" * 300 + "]" * 300, "[" * 5_000 + "]" * 5_000])
def test_what_holds_itself_or_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(JobError, match="is nested too deeply, or holds itself by an alias"):
        yaml_text.load(text)


def test_aliases_stand_for_what_they_name() -> None:
    assert yaml_text.load("a: &a [x]\nb: *a\n")[0] == {"a": ["x"], "b": ["x"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: !!int seven", "'seven' is no int"),
        ("seed: !!float seven", "'seven' is no float"),
        ("seed: !!bool seven", "'seven' is no bool"),
        ("seed: !!timestamp seven", "'seven' is no timestamp"),
        ("seed: " + "7" * 5_000, "7 ... is no int"),  # more digits than Python makes an integer of
    ],
)
def test_a_value_that_is_none_of_its_kind_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(JobError) as caught:
        yaml_text.load(f"job: x\n{text}\n")
    assert said in caught.value.message
    assert caught.value.line == 2
