"""Chains of stages on columns of which some are codes of few values: those go through a chain by the value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike

from headrace.backends.arrow.coded import is_coded, n_nulls, value_counts, values_of, with_values
from headrace.backends.arrow.values import kernel_column, to_array
from headrace_kernels.column import Column
from headrace_kernels.stages import Stage, run_chains


def run_chains_of(
    columns: Sequence[pa.Array], chains: Sequence[Sequence[Stage]], dtype: DTypeLike
) -> list[tuple[pa.Array, tuple[int, ...]]]:
    """Take each of many columns of one type through a chain of its own; return it, and how many rows each stage changed."""
    coded = [place for place, column in enumerate(columns) if is_coded(column)]
    with_null = [place for place in coded if columns[place].dictionary.null_count]
    given = [kernel_column(values_of(column) if is_coded(column) else column) for column in columns]
    nulls = [Column(np.zeros(1, given[place].values.dtype), np.zeros(1, np.uint8)) for place in with_null]
    made = run_chains([*given, *nulls], [*chains, *(chains[place] for place in with_null)], dtype)
    arrays, counts = [to_array(column) for column, _ in made], [changed for _, changed in made]
    # Only of what a stage changes, which is little or nothing, one must know in how many rows it is.
    some = [place for place in coded if any(counts[place])]
    if some:
        weights = [value_counts(columns[place])[: len(given[place].values)] for place in some]
        again = run_chains([given[place] for place in some], [chains[place] for place in some], dtype, weights)
        for place, (_, changed) in zip(some, again, strict=True):
            counts[place] = changed
    for index, place in enumerate(with_null, len(columns)):
        arrays[place] = pa.concat_arrays([arrays[place], arrays[index]])
        if any(counts[index]):
            rows = n_nulls(columns[place])
            counts[place] = tuple(n + of_null * rows for n, of_null in zip(counts[place], counts[index], strict=True))
    for place in coded:
        arrays[place] = with_values(columns[place], arrays[place])
    return list(zip(arrays, counts, strict=True))[: len(columns)]
