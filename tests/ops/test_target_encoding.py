"""TargetEncoding: smoothed means of the target, out of fold, without a leak."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.applying import applied, as_training
from tests.comparing import FLOAT64, assert_same_column
from tests.laws.running import run

from headrace.backends.arrow.backend import ArrowBackend
from headrace.errors import DataError, JobError, JobErrors
from headrace.ops.target_encoding import TargetEncoding
from headrace.pipeline import Pipeline
from headrace.table import Backend

STRINGS = [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]


def folds_of(backend: Backend, data: pa.Table, op: TargetEncoding, first_row: int = 0) -> list[int]:
    return backend.to_numpy(as_training(backend, data, first_row).folds(op.folds, op.key, op.seed or 0)).tolist()


def obvious(categories: list[object], targets: list[float | None], folds: list[int], smoothing: float) -> list[float]:
    """Encode every row by walking over all rows of the other folds."""
    encoded = []
    for category, fold in zip(categories, folds, strict=True):
        others = [(c, y) for c, y, f in zip(categories, targets, folds, strict=True) if f != fold and y is not None and math.isfinite(y)]
        prior = math.fsum(y for _, y in others) / len(others) if others else 0.0
        own = [y for c, y in others if c == category]
        encoded.append((math.fsum(own) + smoothing * prior) / (len(own) + smoothing) if len(own) + smoothing else prior)
    return encoded


@pytest.mark.parametrize("kind", STRINGS)
@pytest.mark.parametrize("smoothing", [0.0, 20.0])
def test_training_rows_get_what_the_other_folds_say(backend: Backend, kind: pa.DataType, smoothing: float) -> None:
    random = np.random.default_rng(3)
    cities = random.choice(["Oslo", "Łódź", "", None], 60).tolist()
    targets = random.integers(0, 2, 60).tolist()
    targets[7] = None
    data = pa.table({"c": pa.array(cities, kind), "y": pa.array(targets, pa.int8())})
    op = TargetEncoding(["c"], target="y", folds=3, smoothing=smoothing, dtype="float64")
    made = applied(backend, op, data, training=True)
    assert_same_column(made.table["c_te"], pa.array(obvious(cities, targets, folds_of(backend, data, op), smoothing)), FLOAT64)


def test_other_rows_get_what_all_training_rows_say(backend: Backend) -> None:
    learnt_from = pa.table({"c": ["a", "a", "b", None], "y": [1, 0, 1, 1]})
    op = TargetEncoding(["c"], target="y", smoothing=1.0, dtype="float64")
    made = applied(backend, op, pa.table({"c": ["a", "b", None, "z"], "y": [0, 0, 0, 0]}), learnt_from=learnt_from)
    prior = 3 / 4
    assert made["c_te"] == [(1 + prior) / 3, (1 + prior) / 2, (1 + prior) / 2, prior]
    assert made.counts == {("unseen", "c_te"): 1}


def test_every_fold_has_rows_and_folds_are_a_hash_of_the_row_number(backend: Backend) -> None:
    data = pa.table({"c": ["a"] * 1000, "y": [1.0] * 1000})
    op = TargetEncoding(["c"], target="y")
    counts = np.bincount(folds_of(backend, data, op))
    assert len(counts) == 5
    assert counts.min() > 150
    assert folds_of(backend, data.slice(300), op, first_row=300) == folds_of(backend, data, op)[300:]
    assert folds_of(backend, data, TargetEncoding(["c"], target="y", seed=1)) != folds_of(backend, data, op)


def test_a_named_key_gives_the_fold_wherever_the_row_stands(backend: Backend) -> None:
    random = np.random.default_rng(0)
    data = pa.table({"id": [f"row {index}" for index in range(200)], "c": random.choice(["a", "b"], 200), "y": random.random(200)})
    shuffled = data.take(random.permutation(200))
    op = TargetEncoding(["c"], target="y", key=["id"])
    made, moved = (applied(backend, op, rows, training=True) for rows in (data, shuffled))
    assert dict(zip(moved.table["id"].to_pylist(), moved["c_te"], strict=True)) == dict(
        zip(made.table["id"].to_pylist(), made["c_te"], strict=True)
    )


def test_rows_of_one_key_are_in_one_fold(backend: Backend) -> None:
    data = pa.table({"id": [1, 2, 1, 1, 2], "part": ["x"] * 5, "c": ["a"] * 5, "y": [1.0] * 5})
    folds = folds_of(backend, data, TargetEncoding(["c"], target="y", key=["id", "part"]))
    assert len({folds[0], folds[2], folds[3]}) == 1
    assert folds[1] == folds[4]


@pytest.mark.parametrize("target", ["label", "amount"])
@pytest.mark.parametrize("folds", [2, 5])
def test_flipping_a_label_never_changes_its_own_encoding(backend: Backend, target: str, folds: int) -> None:
    random = np.random.default_rng(1)
    n_rows = 80
    labels = random.integers(0, 2, n_rows).astype(np.int8)
    amounts = random.normal(0, 10.0 ** random.integers(-8, 9, n_rows))  # sums that any other way of adding would round
    data = pa.table({"c": random.choice(["a", "b", "c"], n_rows), "d": random.choice([1, 2], n_rows), "label": labels, "amount": amounts})
    op = TargetEncoding(["c", ["c", "d"]], target=target, folds=folds, smoothing=0.1, dtype="float64")
    before = applied(backend, op, data, training=True)
    changed_others = 0
    for row in range(n_rows):
        values = data[target].to_pylist()
        values[row] = 1 - values[row] if target == "label" else values[row] * -1e9 + 3
        flipped = data.set_column(data.column_names.index(target), target, pa.array(values, data[target].type))
        after = applied(backend, op, flipped, training=True)
        for name in ("c_te", "c_d_te"):
            assert after[name][row].hex() == before[name][row].hex()
            changed_others += after[name] != before[name]
    assert changed_others == 2 * n_rows  # or nothing was learnt at all


def _noise() -> pa.Table:
    random = np.random.default_rng(12)
    return pa.table({"c": random.integers(0, 10_000, 30_000), "y": random.integers(0, 2, 30_000).astype(np.int8)})


@pytest.mark.parametrize("smoothing", [0.0, 20.0])
def test_pure_noise_is_not_encoded(parquet: Callable[..., Path], smoothing: float) -> None:
    op = TargetEncoding(["c"], target="y", smoothing=smoothing)
    target = _noise()["y"].to_numpy()
    once = run([op], _noise(), {}, partition_size=None).table["c_te"].to_numpy()
    repartitioned = run([op], parquet(_noise(), 11), {}, workers=2).table["c_te"].to_numpy()
    assert once.tobytes() == repartitioned.tobytes()
    assert abs(np.corrcoef(once, target)[0, 1]) < 0.02
    in_fold = Pipeline([op]).fit(_noise()).transform(_noise())["c_te"].to_numpy()
    assert np.corrcoef(in_fold, target)[0, 1] > 0.3  # what the leak would look like


def test_the_mean_of_a_large_target_is_exact(backend: Backend) -> None:
    values = [1e16, 1.0, -1e16, 3.0]
    made = applied(backend, TargetEncoding(["c"], target="y", smoothing=0, dtype="float64"), pa.table({"c": ["a"] * 4, "y": values}))
    assert made["c_te"] == [1.0] * 4


def test_a_target_may_be_missing_and_its_row_is_encoded_all_the_same(backend: Backend) -> None:
    data = pa.table({"c": ["a", "a", "b", "b"], "y": [1.0, None, math.nan, 0.5]})
    made = applied(backend, TargetEncoding(["c"], target="y", smoothing=0, dtype="float64"), data)
    assert made["c_te"] == [1.0, 1.0, 0.5, 0.5]


def test_a_category_whose_targets_are_all_missing_gets_the_prior(backend: Backend) -> None:
    data = pa.table({"c": ["a", "b", "b"], "y": [None, 1.0, 0.0]})
    assert applied(backend, TargetEncoding(["c"], target="y", smoothing=0, dtype="float64"), data)["c_te"] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "target",
    [
        pa.array([True, False, None]),
        pa.array([1, 0, None], pa.uint8()),
        pa.array([1.0, 0.0, math.nan], pa.float32()),
        pa.array([Decimal("1.00"), Decimal("0.00"), None], pa.decimal128(5, 2)),
    ],
)
def test_any_number_or_truth_value_is_a_target(backend: Backend, target: pa.Array) -> None:
    made = applied(backend, TargetEncoding(["c"], target="y", smoothing=0, dtype="float64"), pa.table({"c": ["a"] * 3, "y": target}))
    assert made["c_te"] == [0.5] * 3


def test_int64_extremes_are_averaged_without_wrapping(backend: Backend) -> None:
    data = pa.table({"c": ["a"] * 3, "y": pa.array([2**63 - 1, 2**63 - 1, -(2**63)], pa.int64())})
    made = applied(backend, TargetEncoding(["c"], target="y", smoothing=0, dtype="float64"), data)
    assert made["c_te"] == [(2**63 - 2) / 3] * 3


def test_one_training_row_and_none_are_no_crash(backend: Backend) -> None:
    one = pa.table({"c": ["a"], "y": [1.0]})
    op = TargetEncoding(["c"], target="y", dtype="float64")
    assert applied(backend, op, one, training=True)["c_te"] == [0.0]  # nothing is known besides its own label
    assert applied(backend, op, one)["c_te"] == [1.0]
    assert_same_column(applied(backend, op, one.slice(0, 0)).table["c_te"], pa.array([], pa.float64()))


def test_all_null_categories_are_one_category(backend: Backend) -> None:
    data = pa.table({"c": pa.nulls(4, pa.string()), "y": [1.0, 0.0, 1.0, 0.0]})
    assert applied(backend, TargetEncoding(["c"], target="y", smoothing=0, dtype="float64"), data)["c_te"] == [0.5] * 4


def test_minus_zero_nan_and_long_unicode_are_categories(backend: Backend) -> None:
    op = TargetEncoding(["c"], target="y", smoothing=0, dtype="float64")
    numbers = pa.table({"c": [0.0, -0.0, math.nan, math.nan], "y": [1.0, 0.0, 1.0, 1.0]})
    assert applied(backend, op, numbers)["c_te"] == [0.5, 0.5, 1.0, 1.0]
    long = "ß" * 500_000
    assert applied(backend, op, pa.table({"c": [long, long + "s", long], "y": [1.0, 0.25, 0.0]}))["c_te"] == [0.5, 0.25, 0.5]


def test_mistakes_are_refused_with_their_keys(backend: Backend) -> None:
    data = pa.table({"c": ["a"], "late": [1], "name": ["x"], "tags": [["t"]]})
    with pytest.raises(JobErrors, match=r"target\[0\]: no column 'lte'\n  nearest: 'late'"):
        applied(backend, TargetEncoding(["c"], target="lte"), data)
    with pytest.raises(JobErrors, match=r"target\[0\]: 'name' is string, and a number or boolean .* is needed"):
        applied(backend, TargetEncoding(["c"], target="name"), data)
    with pytest.raises(JobErrors, match=r"key\[0\]: no column 'idd'"):
        applied(backend, TargetEncoding(["c"], target="late", key=["idd"]), data)
    with pytest.raises(JobErrors, match="folds: input should be greater than or equal to 2, not 1"):
        TargetEncoding(["c"], target="late", folds=1)
    with pytest.raises(JobErrors, match="smoothing: input should be greater than or equal to 0, not -1"):
        TargetEncoding(["c"], target="late", smoothing=-1)


def multiclass(n_rows: int = 300) -> pa.Table:
    random = np.random.default_rng(11)
    city = pa.array(random.choice(["Oslo", "Łódź", ""], n_rows), mask=random.random(n_rows) < 0.1)
    cause = pa.array(random.choice(["crew", "weather", "other"], n_rows), mask=random.random(n_rows) < 0.1)
    return pa.table({"c": city, "y": cause.dictionary_encode()})


@pytest.mark.parametrize("training", [True, False])
def test_each_class_is_encoded_as_its_own_target(backend: Backend, training: bool) -> None:
    data = multiclass()
    op = TargetEncoding(["c"], target="y", classes=["weather", "crew"], folds=3, smoothing=2.0, dtype="float64")
    made = applied(backend, op, data, training=training)
    folds = folds_of(backend, data, op) if training else [-1] * data.num_rows
    learnt_from = folds_of(backend, data, op)
    for class_ in ("weather", "crew"):
        is_class = [None if cause is None else float(cause == class_) for cause in data["y"].to_pylist()]
        if training:
            expected = obvious(data["c"].to_pylist(), is_class, folds, 2.0)
        else:
            numbers = data.set_column(1, "y", pa.array(is_class))
            expected = applied(backend, TargetEncoding(["c"], target="y", folds=3, smoothing=2.0, dtype="float64"), numbers)["c_te"]
            assert len(set(learnt_from)) == 3
        assert_same_column(made.table[f"c_te_{class_}"], pa.array(expected), FLOAT64)


def test_integers_and_truth_values_are_classes(backend: Backend) -> None:
    data = pa.table({"c": ["a", "a", "b"], "n": [2**63 - 1, 7, 7], "b": [True, None, False]})
    numbers = applied(backend, TargetEncoding(["c"], target="n", classes=[7, 2**63 - 1], smoothing=0.0), data)
    assert (numbers["c_te_7"], numbers["c_te_9223372036854775807"]) == ([0.5, 0.5, 1.0], [0.5, 0.5, 0.0])
    truths = applied(backend, TargetEncoding(["c"], target="b", classes=[True], smoothing=0.0), data)
    assert truths["c_te_True"] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("row", [0, 17])
def test_flipping_a_class_never_changes_its_own_encoding(backend: Backend, row: int) -> None:
    data, op = multiclass(60), TargetEncoding(["c"], target="y", classes=["weather", "crew"], folds=3, dtype="float64")
    labels = data["y"].to_pylist()
    before = applied(backend, op, data, training=True).table.slice(row, 1).to_pylist()
    for label in ("weather", "crew", "other", None):
        flipped = pa.array([*labels[:row], label, *labels[row + 1 :]])
        after = applied(backend, op, data.set_column(1, "y", flipped), training=True).table.slice(row, 1).to_pylist()
        assert {**after[0], "y": 0} == {**before[0], "y": 0}


def test_several_targets_are_encoded_each_on_its_own(backend: Backend) -> None:
    data = pa.table({"c": ["a", "a", "b", "b"], "late": [True, False, None, True], "km": [1.0, 2.0, math.nan, math.inf]})
    both = applied(backend, TargetEncoding(["c"], target=["late", "km"], smoothing=1.0), data)
    for target in ("late", "km"):
        alone = applied(backend, TargetEncoding(["c"], target=target, smoothing=1.0), data)
        assert_same_column(both.table[f"c_te_{target}"], alone.table["c_te"])


def test_a_class_that_no_row_has_is_refused(backend: Backend) -> None:
    with pytest.raises(DataError, match="column 'y': no training row has the class 'wether'"):
        applied(backend, TargetEncoding(["c"], target="y", classes=["crew", "wether"]), multiclass())


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"target": "y"}, r"target\[0\]: 'y' is string, and a number or boolean \(or else `classes`\) is needed"),
        ({"target": ["y", "n"], "classes": ["a"]}, "target: classes are those of one target"),
        ({"target": "y", "classes": ["crew", 1]}, r"classes\[1\]: 1 does not fit 'y', which is string"),
        ({"target": "n", "classes": [1, 2, 1]}, r"classes\[2\]: 1 stands twice"),
        ({"target": "f", "classes": [1]}, r"target\[0\]: 'f' is double, and a string, integer or boolean is needed"),
    ],
)
def test_classes_are_checked_against_the_target(backend: Backend, settings_: dict[str, object], message: str) -> None:
    data = pa.table({"c": ["a"], "y": ["crew"], "n": [1], "f": [0.5]})
    with pytest.raises(JobError, match=message):
        applied(backend, TargetEncoding.from_settings({"columns": ["c"], **settings_}), data)


def test_what_is_learnt_from_is_in_the_lineage() -> None:
    fitted = Pipeline([TargetEncoding([["a", "b"]], target="y")]).fit(pa.table({"a": ["x"], "b": ["y"], "y": [1]}))
    lineage = fitted.lineage["a_b_te"]
    assert (lineage.values, lineage.learnt) == (("a", "b"), ("y",))
    assert fitted.transform(pa.table({"a": ["x"], "b": ["y"]}))["a_b_te"].to_pylist() == [1.0]  # the target is not there yet


def test_a_target_whose_sums_are_beyond_float64_is_refused(backend: Backend) -> None:
    data = pa.table({"c": ["a"] * 20, "y": [1.7e308] * 20})
    with pytest.raises(DataError, match="column 'y': has sums beyond what a float64 can hold"):
        applied(backend, TargetEncoding(["c"], target="y", folds=2), data)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.floats(-1e6, 1e6) | st.none()), min_size=1, max_size=40),
    st.integers(2, 9),
    st.sampled_from([0.0, 0.5, 20.0]),
)
def test_it_is_the_formula(rows: list[tuple[str | None, float | None]], folds: int, smoothing: float) -> None:
    categories, targets = [category for category, _ in rows], [target for _, target in rows]
    data = pa.table({"c": pa.array(categories, pa.string()), "y": pa.array(targets, pa.float64())})
    op = TargetEncoding(["c"], target="y", folds=folds, smoothing=smoothing, dtype="float64")
    backend = ArrowBackend()
    made = applied(backend, op, data, training=True)
    expected = obvious(categories, targets, folds_of(backend, data, op), smoothing)
    np.testing.assert_allclose(made["c_te"], expected, rtol=1e-9, atol=1e-9)
