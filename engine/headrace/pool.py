"""Pool: the distinct strings of a column as all batches of one process have them, each with a number.

Dictionaries repeat from batch to batch. With a pool a string is hashed once for each dictionary it stands in, and never again: counts are
merged by numbers, and a dictionary that fitting has seen is encoded by a table of its numbers. Numbers depend on which thread came
first, so nothing that is learnt is ordered by them: keys stand by first appearance among the rows, as they do without a pool.

A pool takes no more room than it gets. Strings that come when there is none left have no number: they and their counts go to files
(`runs`), and what is made of both together does not depend on which strings these are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.errors import MemoryBudgetError
from headrace.keys import Keys, array_of_strings, is_text, one_chunk, string_buffers, string_hashes
from headrace.rare import RareKeys
from headrace.runs import RunFile, counted_strings, write_run

if TYPE_CHECKING:
    from headrace_kernels.tables import StringTable

Numbers = npt.NDArray[np.int32]
# Rows that are many, how many of them say whether strings repeat, and how many must share one for that.
_MANY_ROWS, _FIRST_ROWS, _ROWS_A_STRING = 1 << 14, 1 << 12, 4
# Of fewer keys it makes no difference in what order they are sent.
_MANY_KEYS = 1 << 14
NULL = np.int32(-1)
UNNUMBERED = np.int32(-2)


class Room:
    """Bytes that several may take until there are none left; None: as many as they want.

    >>> room = Room(100)
    >>> room.take(60), room.take(60), room.take(40)
    (True, False, True)
    """

    def __init__(self, nbytes: int | None = None) -> None:
        self._left = nbytes
        self._lock = threading.Lock()

    def has(self, nbytes: int) -> bool:
        """Say whether so many bytes are left."""
        return self._left is None or nbytes <= self._left

    def take(self, nbytes: int) -> bool:
        """Take bytes if so many are left, and say whether they were."""
        with self._lock:
            if not self.has(nbytes):
                return False
            if self._left is not None:
                self._left -= nbytes
            return True

    def give(self, nbytes: int) -> None:
        """Give back bytes that were taken."""
        with self._lock:
            if self._left is not None:
                self._left += nbytes


class Pool:
    """Numbers of distinct strings, given by first come; many threads may share one.

    Parameters
    ----------
    name : str
        The column's.
    memory : Room, optional
        What may be kept of dictionaries and rows whose numbers are remembered (by their addresses they are known again).
        Default: nothing.
    room : Room, optional
        Where the pool takes the memory that it grows by. Default: without a limit.
    folder : Path, optional
        Where strings without a number go.
    n_rows : int
        How many rows it will be given, as far as that is known: where most strings are new, it takes its memory for all of them at once.

    Examples
    --------
    >>> pool = Pool()
    >>> pool.number(pa.array(["b", None, "a", "b"])).tolist(), pool.strings().to_pylist()
    ([0, -1, 1, 0], ['b', 'a'])
    """

    def __init__(
        self, name: str = "", memory: Room | None = None, room: Room | None = None, folder: Path | None = None, n_rows: int = 0
    ) -> None:
        from headrace_kernels.tables import StringTable

        self.folder = folder
        self._name = name
        self._memory = memory or Room(0)
        self._room = room or Room()
        self._rows_to_come = n_rows
        self._table = StringTable()
        self._whole: dict[tuple[int, ...], pa.Array] = {}  # held, so that no other strings come to stand where these do
        self._seen: dict[tuple[int, ...], tuple[pa.Array, Numbers]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._table)

    def strings(self) -> pa.Array:
        """Return the strings in the order of their numbers, large_string, without a copy."""
        return array_of_strings(*self._table.keys())

    def number(self, values: pa.Array, n_rows: int | None = None) -> Numbers:
        """Return the number of each string, int32, -1 for null; new ones are taken in while there is room, and else have -2.

        Parameters
        ----------
        n_rows : int, optional
            In how many rows the values stand. Default: each in one.
        """
        n_rows = len(values) if n_rows is None else n_rows
        with self._lock:
            self._rows_to_come = max(self._rows_to_come - n_rows, 0)
        to_come = self._rows_to_come * len(values) // max(n_rows, 1)
        if len(values) == n_rows >= _MANY_ROWS and repeat_often(values):
            distinct, ids = _interned_apart(values)
            return np.append(_interned(self._table, distinct, self._room.take), NULL)[ids]
        return _interned(self._table, values, self._room.take, to_come)

    def spill(self, strings: pa.Array, counts: npt.NDArray[np.int64] | None) -> RunFile:
        """Write strings without a number, which may repeat, and how many rows have each (one if no counts are given) to a file."""
        if self.folder is None:
            raise MemoryBudgetError(
                "has more categories than the vocabularies' share of a worker's memory holds, and workers that may be on many machines "
                "have no files in common",
                key="run.memory",
                column=self._name,
                hint="give run.memory more, use hash_bucket for this column, or run on one machine (run.cluster: local or processes)",
            )
        return write_run(self.folder, *counted_strings(strings, counts))

    def remember(self, values: pa.Array, n_rows: int | None = None) -> Numbers:
        """Return what `number` returns of rows or of a dictionary, at once where the same memory was numbered before."""
        numbers = self.known(values)
        if numbers is None:
            numbers = self.number(values, n_rows)
            # Without all numbers it would have to be looked up once more.
            if not (numbers == UNNUMBERED).any() and self._memory.take(values.nbytes + numbers.nbytes):
                with self._lock:
                    self._seen[_address(values)] = values, numbers
        return numbers

    def known(self, values: pa.Array) -> Numbers | None:
        """Return the numbers of strings in memory that was numbered before, and of what `strings_of` made; None for any other."""
        if pa.types.is_dictionary(values.type):
            return _indices(values) if self.gave(values) else None
        found = self._seen.get(_address(values))
        return None if found is None else found[1]

    def released(self, values: pa.Array) -> Numbers | None:
        """Return the numbers of strings in memory that was numbered before, and forget the memory; None for any other."""
        with self._lock:
            found = self._seen.pop(_address(values), None)
        if found is None:
            return None
        self._memory.give(values.nbytes + found[1].nbytes)
        return found[1]

    def strings_of(self, numbers: Numbers) -> pa.DictionaryArray:
        """Return the strings that have these numbers: the numbers are the indices, and the dictionary is the pool itself, without a copy."""
        strings = self.strings()
        with self._lock:
            strings = self._whole.setdefault(_address(strings), strings)
        there = numbers != NULL
        bits = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
        indices = pa.Array.from_buffers(pa.int32(), len(numbers), [bits, pa.py_buffer(numbers)])
        return pa.DictionaryArray.from_arrays(indices, strings, safe=False)

    def gave(self, array: pa.DictionaryArray) -> bool:
        """Say whether rows are what `strings_of` made: their indices are numbers, their dictionary the pool itself."""
        return _address(array.dictionary) in self._whole

    def codes(self, keys: Keys) -> Numbers:
        """Return for each number the code of its string in `keys`, -1 where it is not there; computed once for a pool as long as it does not grow."""
        codes: Numbers | None = keys.prepared.get(self)
        if codes is None or len(codes) < len(self):
            codes = np.full(len(self), -1, np.int32)
            values = keys.table.column(0).combine_chunks()
            found = np.full(len(values), -1, np.int32)
            valid = values.is_valid().to_numpy(zero_copy_only=False)
            with self._table.lock:
                found[valid] = self._table.find(*string_buffers(values.drop_null()))
            here = np.flatnonzero(found >= 0)
            inside = here[found[here] < len(codes)]  # another thread may have taken in more meanwhile
            codes[found[inside]] = inside
            keys.prepared[self] = codes
        return codes


def _interned(table: StringTable, strings: pa.Array, may_grow: Callable[[int], bool] | None = None, to_come: int = 0) -> Numbers:
    bits = np.frombuffer(strings.buffers()[0], np.uint8) if strings.null_count else None
    return table.intern(*string_buffers(strings), may_grow, validity=bits, offset=strings.offset, to_come=to_come)


def _interned_apart(rows: pa.Array) -> tuple[pa.Array, Numbers]:
    """Return the distinct strings of rows and the place of each row's among them, -1 for null.

    What threads share is closed to all others while one of them looks its rows up: it should be for few.
    """
    from headrace_kernels.tables import StringTable

    table = StringTable()
    ids = _interned(table, rows)
    return array_of_strings(*table.keys()), ids


def repeat_often(rows: pa.Array) -> bool:
    """Say whether strings repeat, by the first few thousand rows: each stands in four or more of them.

    >>> repeat_often(pa.array(["Oslo", "Rome"] * 4)), repeat_often(pa.array(["Oslo", "Rome"]))
    (True, False)
    """
    from headrace_kernels.tables import StringTable

    first, table = rows.slice(0, _FIRST_ROWS), StringTable()
    _interned(table, first)
    return len(table) * _ROWS_A_STRING <= len(first)


class Pools:
    """The pools of a process for one run, by the name of the column.

    Parameters
    ----------
    memory : Room, optional
        What all of them may keep of dictionaries and rows whose numbers are remembered. Default: nothing.
    room : int, optional
        Bytes that their strings may take. Default: no limit.
    folder : Path, optional
        Where strings go beyond that.
    n_rows : int
        How many rows the process will see, as far as that is known.
    """

    def __init__(self, memory: Room | None = None, room: int | None = None, folder: Path | None = None, n_rows: int = 0) -> None:
        self._memory = memory or Room(0)
        self._room = Room(room)
        self._folder = folder
        self._n_rows = n_rows
        self._pools: dict[str, Pool] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return Pools, ()  # numbers mean nothing in another process

    def of(self, name: str) -> Pool:
        """Return the pool of a column."""
        with self._lock:
            if name not in self._pools:
                self._pools[name] = Pool(name, self._memory, self._room, self._folder, self._n_rows)
            return self._pools[name]


@dataclass(frozen=True, eq=False)
class Numbered:
    """Rows of a column of strings as numbers of its pool, int32 or a dictionary of them, for as long as nobody looks at them.

    >>> pool = Pool()
    >>> rows = pa.DictionaryArray.from_arrays([1, 0, None], pa.array(pool.number(pa.array(["Rome", "Oslo"]))))
    >>> Numbered(pool, rows).strings().to_pylist()
    ['Oslo', 'Rome', None]
    """

    pool: Pool
    numbers: pa.Array

    @property
    def nbytes(self) -> int:
        return int(self.numbers.nbytes)

    def strings(self) -> pa.DictionaryArray:
        """Return the rows as a column; where the numbers are a dictionary's, that has a dictionary in its turn: `strings_of` them."""
        if not pa.types.is_dictionary(self.numbers.type):
            return self.pool.strings_of(self.numbers.to_numpy())
        strings = self.pool.strings_of(self.numbers.dictionary.to_numpy())
        return pa.DictionaryArray.from_arrays(self.numbers.indices, strings, safe=False)


class PooledKeys(Keys):
    """Keys of one string column as numbers of a pool; made a table when somebody looks at the strings.

    >>> pool = Pool()
    >>> keys = PooledKeys("city", pool, pool.number(pa.array(["Rome", None, "Oslo"])))
    >>> keys.take(np.array([2, 1])).table.to_pydict()
    {'city': ['Oslo', None]}
    """

    def __init__(self, name: str, pool: Pool, numbers: Numbers) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "pool", pool)
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "prepared", {})

    name: str
    pool: Pool
    numbers: Numbers

    @property
    def names(self) -> list[str]:
        return [self.name]

    @property
    def table(self) -> pa.Table:
        """The keys as strings; made anew at each look, so that no second copy is held."""
        return _table_of(self.name, self.pool.strings(), self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: npt.NDArray[np.int64]) -> PooledKeys:
        return PooledKeys(self.name, self.pool, self.numbers[rows])

    def renamed(self, names: Sequence[str]) -> PooledKeys:
        return PooledKeys(names[0], self.pool, self.numbers)

    def split_null(self) -> tuple[int, npt.NDArray[np.int64]]:
        found = np.flatnonzero(self.numbers == NULL)
        return int(found[0]) if len(found) else -1, np.flatnonzero(self.numbers != NULL)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel as they are, with all strings of the pool, if they are many and most of them: to gather them in another order takes longer."""
        strings = self.pool.strings()
        if len(self) < _MANY_KEYS or 2 * len(self) < len(strings):
            return super().__reduce__()
        return SentKeys, (self.name, strings, self.numbers)

    @property
    def nbytes(self) -> int:
        return int(self.numbers.nbytes)

    @property
    def are_strings(self) -> bool:
        return True

    def hashes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        return string_hashes(self.pool.strings(), self.numbers[rows])  # hashed where they lie: to gather them would cost more

    def united(self, parts: Sequence[Keys]) -> tuple[Keys, npt.NDArray[np.int64]] | None:
        numbers = [part.numbers for part in parts if isinstance(part, PooledKeys) and part.pool is self.pool]
        if len(numbers) < len(parts):
            return None
        keys, codes = distinct_keys(self.name, self.pool, np.concatenate(numbers))
        return keys, codes.astype(np.int64)


class SentKeys(Keys):
    """Keys that were numbers of a pool in the process that sent them: `strings` are the pool's, in the order of their numbers.

    >>> keys = SentKeys("city", pa.array(["Rome", "Oslo"], pa.large_string()), np.array([1, -1], np.int32))
    >>> keys.table.to_pydict()
    {'city': ['Oslo', None]}
    """

    def __init__(self, name: str, strings: pa.Array, numbers: Numbers) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "strings", strings)
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "prepared", {})

    name: str
    strings: pa.Array
    numbers: Numbers

    @property
    def names(self) -> list[str]:
        return [self.name]

    @cached_property
    def table(self) -> pa.Table:
        """The keys as strings, once somebody looks at them."""
        return _table_of(self.name, self.strings, self.numbers)

    @property
    def are_strings(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.numbers)


def numbers_of(keys: Keys, pool: Pool) -> Numbers | None:
    """Return the numbers that keys have in a pool, which takes in those of other processes; None if it has no room for them."""
    if isinstance(keys, PooledKeys) and keys.pool is pool:
        return keys.numbers
    if not keys.are_strings:
        return None
    if isinstance(keys, SentKeys):
        numbers = np.append(pool.number(keys.strings), NULL)[keys.numbers]
    else:
        numbers = pool.number(one_chunk(keys.table.column(0)))
    return None if (numbers == UNNUMBERED).any() else numbers


def _table_of(name: str, strings: pa.Array, numbers: Numbers) -> pa.Table:
    return pa.table({name: strings.take(pa.array(numbers, mask=numbers == NULL))})


def summed_keys(
    name: str, pool: Pool, parts: Sequence[tuple[Numbers, npt.NDArray[np.int64] | None]]
) -> tuple[PooledKeys, npt.NDArray[np.int64]]:
    """Return the distinct keys among numbers, by first appearance, and the sum of the weights of each (of 1, if there are none)."""
    from headrace_kernels.factorize import sums_of_numbers

    distinct, sums = sums_of_numbers(parts, len(pool))
    return PooledKeys(name, pool, distinct), sums


def thinned_keys(
    name: str, pool: Pool, parts: Sequence[tuple[Numbers, npt.NDArray[np.int64] | None]], least: int
) -> tuple[PooledKeys, npt.NDArray[np.int64], RareKeys]:
    """Return what `summed_keys` does of the null and of keys whose weights sum to at least `least`, and the others by their hashes."""
    from headrace_kernels.thinning import thinned_numbers

    kept, sums, rare, ends = thinned_numbers(parts, len(pool), least)
    return PooledKeys(name, pool, kept), sums, RareKeys(string_hashes(pool.strings(), rare), ends)


def distinct_keys(name: str, pool: Pool, numbers: Numbers) -> tuple[PooledKeys, Numbers]:
    """Return the distinct keys among `numbers`, by first appearance, and the code of each."""
    from headrace_kernels.factorize import distinct_numbers

    distinct, codes = distinct_numbers(numbers, len(pool))
    return PooledKeys(name, pool, distinct), codes


def can_be_pooled(array: pa.Array) -> bool:
    """Say whether a column holds strings, dictionary-encoded or not."""
    return can_be_pooled(array.dictionary) if pa.types.is_dictionary(array.type) else is_text(array.type)


def _indices(array: pa.DictionaryArray) -> Numbers:
    indices = array.indices
    return (indices.fill_null(pa.scalar(NULL, pa.int32())) if indices.null_count else indices).to_numpy(zero_copy_only=False)


def _address(values: pa.Array) -> tuple[int, ...]:
    return (values.offset, len(values), *(buffer.address if buffer is not None else 0 for buffer in values.buffers()))
