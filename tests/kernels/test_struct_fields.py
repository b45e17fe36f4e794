"""Fields of structs in Thrift's compact protocol: found whole in a footer of pyarrow's, and no field in damaged bytes."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_kernels.struct_fields import list_starts, struct_fields


def footer(n_columns=20):
    out = io.BytesIO()
    pq.write_table(pa.table({f"c{i}": [1, 2] for i in range(n_columns)}), out, row_group_size=1)
    raw = out.getvalue()
    return np.frombuffer(raw[-8 - int.from_bytes(raw[-8:-4], "little") : -8], np.uint8)


def test_fields_of_a_footer_are_found():
    data = footer()
    fields, end = struct_fields(data, 0)
    assert end == len(data)
    by_number = {field.number: field for field in fields}
    assert sorted(by_number) == [1, 2, 3, 4, 5, 6, 7]
    assert len(list_starts(data, by_number[2])) == 21  # the root and the columns
    assert len(list_starts(data, by_number[4])) == 2
    created_by = by_number[6]
    assert data[created_by.start : created_by.stop].tobytes()[1:].startswith(b"parquet-cpp-arrow version")


def test_numbers_that_are_far_apart_are_found():
    data = np.array([0x15, 2, 0x05, 0x80, 0x01, 4, 0], np.uint8)  # field 1, then 64 in a form of its own
    fields, end = struct_fields(data, 0)
    assert [(field.number, field.start, field.stop) for field in fields] == [(1, 1, 2), (64, 5, 6)]
    assert end == 7


@given(st.integers(0, 400), st.binary(max_size=60))
def test_damaged_bytes_are_refused_or_cut_within_their_end(n_bytes, tail):
    data = np.frombuffer(footer(3)[:n_bytes].tobytes() + tail, np.uint8)
    try:
        fields, end = struct_fields(data, 0)
    except ValueError:
        return
    assert end <= len(data)
    assert all(0 < field.start <= field.stop <= end for field in fields)


def test_bytes_that_end_within_a_struct_are_refused():
    with pytest.raises(ValueError, match="not a struct"):
        struct_fields(footer()[:-1], 0)
