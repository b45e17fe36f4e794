"""Table: columns of one device, and what travels with the rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tests.applying import as_training
from tests.comparing import assert_same_column, assert_same_table

from headrace.errors import DataError, JobError
from headrace.ledger import Ledger
from headrace.schema import Type
from headrace.table import KEY, ROW, TRAINING, Backend, Table, one_array

DATA = pa.table(
    {"n": pa.array([1, None, 3], pa.int32()), "c": pa.array(["a", None, "b"]).dictionary_encode(), "f": [0.5, float("nan"), -0.0]}
)


@pytest.fixture
def table(backend: Backend) -> Table:
    return Table.from_arrow(backend, DATA)


def test_a_table_goes_to_the_device_and_back(table: Table) -> None:
    assert_same_table(table.to_arrow(), DATA)
    assert (table.names, table.n_rows) == (("n", "c", "f"), 3)
    assert [str(type_) for type_ in table.schema.columns.values()] == ["int32", "string", "double"]


def test_tables_are_values_and_share_their_ledger(table: Table) -> None:
    other = table.with_columns({"n": table["f"], "new": table["c"]})
    assert (table.names, other.names) == (("n", "c", "f"), ("n", "c", "f", "new"))
    assert table.without(["c"]).names == ("n", "f")
    assert table.select(["f", "n"]).names == ("f", "n")
    other.count("unseen", "c", 2)
    assert table.ledger.step_counts(0) == [{"event": "unseen", "column": "c", "count": 2}]


def test_a_column_that_is_not_there_is_refused_with_the_nearest(table: Table) -> None:
    with pytest.raises(JobError, match=r"no column 'N1'\n  nearest: 'n'\. Columns: c, f, n"):
        table["N1"]
    with pytest.raises(JobError, match="no column 'x'"):
        table.select(["n", "x"])


def test_what_travels_with_the_rows_is_hidden_and_filtered_too(backend: Backend) -> None:
    table = as_training(backend, DATA, first_row=10)
    assert table.names == ("n", "c", "f")
    kept = table.filter(backend.from_arrow(pa.array([True, None, True])))
    assert kept.n_rows == 2
    assert backend.to_arrow(kept.columns[ROW]).to_pylist() == [10, 12]
    assert kept.to_arrow().column_names == ["n", "c", "f"]
    assert kept.select(["n"]).columns.keys() == {"n", ROW, TRAINING}


@pytest.mark.parametrize("kept", [[], [0], [0, 2, 3], [0, 1, 2, 3]])
def test_columns_of_every_layout_keep_the_same_rows_whether_few_or_most_stay(backend: Backend, kept: list[int]) -> None:
    values = ["a", None, "b", "ab"]
    columns = {"s": pa.array(values), "large": pa.array(values, pa.large_string()), "coded": pa.array(values).dictionary_encode()}
    columns |= {"n": pa.array([1, None, 3, 4]), "lists": pa.array([[1], [], None, [2, 3]])}
    columns |= {
        f"is_{name}": pa.array(flags) for name, flags in {"a": [True] * 4, "b": [False] * 4, "c": [True, None, False, True]}.items()
    }
    table = Table.from_arrow(backend, pa.table(columns))
    left = table.filter(backend.from_arrow(pa.array([row in kept for row in range(4)])))
    expected = {name: [column.to_pylist()[row] for row in kept] for name, column in columns.items()}
    assert (left.n_rows, left.to_arrow().to_pydict()) == (len(kept), expected)


def test_training_rows_are_those_marked_and_all_where_none_is(table: Table, backend: Backend) -> None:
    assert table.training_rows() is table
    marked = table.with_columns({TRAINING: backend.from_arrow(pa.array([True, False, None]))})
    assert marked.training_rows().to_arrow()["n"].to_pylist() == [1]


def test_rows_that_do_not_train_are_in_no_fold(table: Table, backend: Backend) -> None:
    assert table.folds(5, (), 0).tolist() == [-1, -1, -1]
    rows = {ROW: backend.from_arrow(pa.array([0, 1, 2])), TRAINING: backend.from_arrow(pa.array([True, False, True]))}
    folds = table.with_columns(rows).folds(5, (), 0)
    assert folds[1] == -1
    assert min(folds[0], folds[2]) >= 0


def test_the_identity_of_a_row_is_key_then_source_key_then_number(backend: Backend) -> None:
    data = pa.table({"id": list(range(500)), "source": list(range(500, 1000))})
    table = as_training(backend, data)
    keyed = table.with_columns({KEY + "source": table["source"]})
    by_number, by_source, by_key = table.folds(5, (), 0), keyed.folds(5, (), 0), keyed.folds(5, ("id",), 0)
    assert (by_number == by_key).all()  # the id is the number here
    assert (by_source != by_number).any()
    moved = keyed.with_columns({"source": table["id"]})  # what the steps make of the column does not matter
    assert (moved.folds(5, (), 0) == by_source).all()


def test_many_chunks_become_one_array() -> None:
    chunked = pa.chunked_array([pa.array(["a", "b"]).dictionary_encode(), pa.array(["b", "c"]).dictionary_encode()])
    assert one_array(chunked).to_pylist() == ["a", "b", "b", "c"]
    with_null = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int32()), pa.array([None, "d"]))
    assert one_array(pa.chunked_array([with_null, pa.array(["a"]).dictionary_encode()])).to_pylist() == ["d", None, "a"]
    for type_ in (pa.int64(), pa.dictionary(pa.int8(), pa.timestamp("us", "UTC")), pa.list_(pa.dictionary(pa.int8(), pa.decimal128(3)))):
        assert one_array(pa.chunked_array([], type_)).equals(pa.nulls(0, type_))
    assert one_array(pa.chunked_array([pa.array([1])])).to_pylist() == [1]


def test_every_layout_is_taken_and_kept_as_a_value(backend: Backend) -> None:
    for kind in (pa.dictionary(pa.int8(), pa.int64()), pa.run_end_encoded(pa.int32(), pa.int64())):
        table = Table.from_arrow(
            backend,
            pa.table(
                {
                    "x": pa.array([1, None, 3]).cast(pa.int64()).dictionary_encode().cast(kind)
                    if pa.types.is_dictionary(kind)
                    else _run_ends(kind)
                }
            ),
        )
        assert_same_column(table.to_arrow()["x"], pa.array([1, None, 3]))
        assert table.moments(["x"])["x"].count == 2
    views = Table.from_arrow(backend, pa.table({"x": pa.array(["a", None, "long enough to be out of line"], pa.string_view())}))
    assert views.counts(["x"]).counts.tolist() == [1, 1, 1]


def _run_ends(kind: pa.DataType) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3], kind.run_end_type), pa.array([1, None, 3]))


@pytest.mark.parametrize(
    ("values", "to"),
    [
        (pa.array([2**31]), "int32"),
        (pa.array([1.5]), "int64"),
        (pa.array(["x"]), "int64"),
        (pa.array([2**53 + 1]), "double"),
        (pa.array(["x"]).dictionary_encode(), "int8"),
    ],
)
def test_a_cast_that_would_change_a_value_is_refused(backend: Backend, values: pa.Array, to: str) -> None:
    with pytest.raises(DataError, match=f"cannot be cast from .* to {to}"):
        backend.cast(backend.from_arrow(values), Type.of(to))


def test_a_matrix_is_float32_with_nan_for_null(backend: Backend) -> None:
    columns = [
        backend.from_arrow(array)
        for array in (pa.array([1, None]), pa.array([True, False]), pa.array([0.1, None]), pa.array([None, 2.5], pa.float32()))
    ]
    found = backend.to_numpy(backend.matrix(columns))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([[1, 1, 0.1, np.nan], [np.nan, 0, np.nan, 2.5]], np.float32))


def test_equal_values_hash_alike_in_every_layout_and_width(backend: Backend) -> None:
    def hashes(array: pa.Array) -> list[int]:
        return backend.hash_rows({"x": backend.from_arrow(array)}, 3).tolist()

    words = pa.array(["Łódź", None, "", "x" * 1_000_000])
    assert (
        hashes(words) == hashes(words.cast(pa.large_string())) == hashes(words.dictionary_encode()) == hashes(words.cast(pa.string_view()))
    )
    numbers = pa.array([1, None, -1, 127])
    assert hashes(numbers) == hashes(numbers.cast(pa.int8())) == hashes(numbers.cast(pa.int8()).dictionary_encode())
    assert hashes(pa.array([0.5, -0.0, None])) == hashes(pa.array([0.5, 0.0, None], pa.float32()))
    assert hashes(words[1:]) == hashes(words)[1:]
    assert len({*hashes(words), *hashes(numbers)}) == 7  # null is null


def test_a_hash_of_several_columns_tells_their_order(backend: Backend) -> None:
    one, other = (backend.from_arrow(pa.array([value])) for value in ("a", "b"))
    assert backend.hash_rows({"x": one, "y": other}, 0) != backend.hash_rows({"x": other, "y": one}, 0)
    assert backend.hash_rows({"x": one}, 0) != backend.hash_rows({"x": one}, 1)


def test_a_ledger_is_made_where_none_is_given(table: Table) -> None:
    assert table.ledger == Ledger()
