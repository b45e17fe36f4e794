"""TokenHash: the words of a text as bucket numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from headrace.expressions import parse, quoted
from headrace.ops.base import Columns, Count, Declaration, PlainOp, check_columns, operator
from headrace.ops.hash_bucket import Buckets
from headrace.ops.list_hash import Output, declare_hashed, hashed_columns, hashed_elements, output_types
from headrace.schema import Schema
from headrace.states import Ints
from headrace.table import Device, Table

# What stands between words: everything but letters, digits and the marks that belong to letters, in any script.
_BETWEEN = r"[^\p{L}\p{M}\p{N}]+"


@operator
class TokenHash(PlainOp):
    """Cut texts into words, hash them to buckets 1 to `buckets`, and count them or list them.

    A word is a run of letters, digits and combining marks of any script; blanks and punctuation separate. Words are
    hashed as by `HashBucket`, so nothing is learnt and no vocabulary is kept.

    Parameters
    ----------
    columns : list of str
    buckets : int
        How many; with counts at most 4,096.
    output : "counts" or "list"
        Counts make a column for each bucket, ``<column>_1`` to ``<column>_<buckets>``, which a model can take; a list
        of the words' buckets in their order, in place, is what an embedding takes.
    lower : bool
        Whether "The" is the word "the".
    seed : int
        Another seed gives other collisions.

    Returns
    -------
    int32 counts, or lists of int32.

    Nulls and NaN
    -------------
    A null gives nulls; a text without words gives 0 counts or an empty list.

    Source
    ------
    Weinberger et al., *Feature Hashing for Large Scale Multitask Learning*, ICML 2009, without the sign.

    Examples
    --------
    >>> TokenHash("title", buckets=256).settings()
    {'columns': ['title'], 'buckets': 256}
    """

    name: ClassVar[str] = "token_hash"
    columns: Columns
    buckets: Buckets
    output: Output = "counts"
    lower: bool = True
    seed: Count = 0

    def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
        check_columns(schema, self.columns, lambda type_: type_.is_string, "a string")
        return declare_hashed(schema, self.columns, self.buckets, self.output)

    def apply(self, table: Table) -> Table:
        made: dict[str, Device] = {}
        for column in self.columns:
            lengths, tokens = self._tokens(table, column)
            ids = hashed_elements(table, tokens, self.buckets, self.seed)
            made |= hashed_columns(table, lengths, ids, output_types(column, self.buckets, self.output))
        return table.with_columns(made)

    def _tokens(self, table: Table, column: str) -> tuple[Ints, Device]:
        """Return how many words each text has, -1 for a null, and all words."""
        backend = table.backend
        text = f"lower({quoted(column)})" if self.lower else quoted(column)
        lengths, parts = backend.explode(table.evaluate(parse(f"regexp_split_to_array({text}, '{_BETWEEN}')")))
        # Punctuation at either end of a text leaves an empty part there.
        is_word = backend.evaluate(parse("word <> ''"), {"word": parts}, int(np.maximum(lengths, 0).sum()))
        rows = np.repeat(backend.row_numbers(len(lengths)), np.maximum(lengths, 0))[backend.is_true(is_word)]
        words = np.bincount(rows, minlength=len(lengths))
        return np.where(lengths < 0, np.int64(-1), words), backend.filter({"word": parts}, is_word)["word"]
