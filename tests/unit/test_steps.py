"""Steps: what a pipeline reads and makes, in how many passes it is fitted, and where each column comes from."""

from __future__ import annotations

import pyarrow as pa
import pytest

from headrace.errors import DataError, JobErrors
from headrace.pipeline import Pipeline
from headrace.schema import Schema
from headrace.steps import Steps

SOURCE = Schema.from_arrow(
    pa.schema(
        [
            ("id", pa.int64()),
            ("city", pa.string()),
            ("km", pa.float64()),
            ("temp", pa.float64()),
            ("delay", pa.int32()),
            ("unused", pa.string()),
        ]
    )
)
WEATHER = {"weather": Schema.from_arrow(pa.schema([("town", pa.string()), ("wind", pa.float64()), ("sun", pa.float64())]))}


def steps(yaml: str, source: Schema = SOURCE) -> Steps:
    return Steps.of(Pipeline.from_yaml(yaml).steps, source, WEATHER)


FLIGHTS = """
- filter: delay IS NOT NULL
- derive: {late: CAST(delay > 15 AS INT)}
- join_external: {table: weather, on: {city: town}, columns: [wind]}
- fill_missing: {columns: [wind], value: median}
- normalize: [wind, km]
- categorify: [city]
- target_encoding: {columns: [city], target: late}
- select: [wind, km, city, city_te, late]
"""


def test_the_schema_after_the_last_step_is_known_before_any_row_is_read() -> None:
    assert [(name, str(type_)) for name, type_ in steps(FLIGHTS).schema.columns.items()] == [
        ("wind", "float"),
        ("km", "float"),
        ("city", "int32"),
        ("city_te", "float"),
        ("late", "int32"),
    ]
    assert steps("[]").schema == SOURCE


def test_all_fitted_steps_of_one_level_are_one_pass() -> None:
    many = steps(
        "- normalize: [km]\n- fill_missing: {columns: [temp], value: mean}\n- categorify: [city]\n- target_encoding: {columns: [id], target: delay}"
    )
    assert many.n_levels == 1
    assert many.fit_pass(0) == ((0, 1, 2, 3), (), ("id", "city", "km", "temp", "delay"))


def test_a_level_is_the_longest_chain_of_fitted_steps_before() -> None:
    found = steps(FLIGHTS)
    # filling is learnt first; normalising what was filled, and encoding what was encoded, second
    assert found.observed_in == (None, None, None, 0, 1, 0, 1, None)
    assert found.n_levels == 2
    observed, applied, columns = found.fit_pass(0)
    assert (observed, applied, columns) == ((3, 5), (0, 2), ("city", "delay"))
    observed, applied, columns = found.fit_pass(1)
    assert (observed, applied, columns) == ((4, 6), (0, 1, 2, 3, 5), ("city", "km", "delay"))


def test_a_constant_is_not_learnt() -> None:
    assert steps("- fill_missing: {columns: [km], value: 0}\n- normalize: [km]").n_levels == 1


def test_a_filter_on_what_was_learnt_moves_all_that_follow() -> None:
    found = steps("- normalize: [km]\n- filter: km > 0\n- categorify: [city]")
    assert found.observed_in == (0, None, 1)
    assert found.fit_pass(1) == ((2,), (0, 1), ("city", "km"))


def test_only_columns_that_are_needed_are_read() -> None:
    found = steps(FLIGHTS)
    assert found.columns_for(["km", "late"]) == ("city", "km", "delay")
    assert steps("- drop: [unused]").columns_for(["km"]) == ("km",)
    assert steps("- rename: {km: miles}").columns_for(["miles"]) == ("km",)


def test_every_column_knows_its_source_columns_and_steps() -> None:
    lineage = steps(FLIGHTS).lineage
    assert (lineage["late"].values, lineage["late"].steps) == (("delay",), (1, 7))
    assert (lineage["wind"].values, lineage["wind"].keys, lineage["wind"].steps) == (("weather.wind",), ("city",), (2, 3, 4, 7))
    assert (lineage["city_te"].values, lineage["city_te"].learnt, lineage["city_te"].steps) == (("city",), ("delay",), (5, 6, 7))
    assert lineage["city_te"].all_columns() == ("city",)
    assert lineage["wind"].all_columns() == ("weather.wind", "city")


def test_the_label_is_what_is_learnt_from() -> None:
    assert steps(FLIGHTS).label_columns() == frozenset({"delay"})
    assert steps(FLIGHTS).label_columns("km") == frozenset({"delay", "km"})


def test_unseen_data_need_not_have_the_label() -> None:
    found = steps(FLIGHTS)
    every = ("wind", "km", "city", "city_te", "late")
    assert found.serving(every, SOURCE) == (tuple(range(8)), every)
    kept, outputs = found.serving(every, SOURCE.without(["delay"]))
    assert outputs == ("wind", "km", "city", "city_te")
    assert set(kept) >= {2, 3, 4, 5, 6}
    assert not {0, 1} & set(kept)  # neither the filter on the label nor the label itself


def test_unseen_data_must_have_what_a_feature_needs() -> None:
    with pytest.raises(DataError, match=r"no column 'city' \(and 1 more: km\)"):
        steps(FLIGHTS).serving(("wind", "km", "city"), SOURCE.without(["city", "km", "delay"]))
    with pytest.raises(DataError, match="no column 'km'\n  Columns:"):
        steps(FLIGHTS).serving(("km",), SOURCE.without(["km"]))


def test_all_mistakes_of_a_step_come_together_with_their_key() -> None:
    with pytest.raises(JobErrors) as caught:
        steps("- normalize: [km]\n- fill_missing: {columns: [tmep, city], value: mean}\n- normalize: [nosuch]")
    assert [(error.key, error.message) for error in caught.value.errors] == [
        ("pipeline[1].fill_missing.columns[0]", "no column 'tmep'"),
        ("pipeline[1].fill_missing.columns[1]", "'city' is string, and a number is needed"),
    ]
    assert caught.value.errors[0].hint is not None
    assert caught.value.errors[0].hint.startswith("nearest: 'temp'")


def test_a_step_sees_only_what_the_ones_before_it_leave() -> None:
    with pytest.raises(JobErrors, match=r"pipeline\[1\]\.normalize\.columns\[0\]: no column 'km'"):
        steps("- drop: [km]\n- normalize: [km]")
