"""Generated data of the shape of the Criteo click logs: a label, 13 heavy-tailed numbers, 26 categories.

Nothing is taken from the logs themselves. Null shares and cardinalities are the ones published for the Kaggle Display
Advertising Challenge (2014), with cardinalities cut at 1,000,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import JobError, unknown_name
from headrace.sample_data.draws import (
    Floats,
    Integers,
    Mask,
    dictionary_column,
    hex_strings,
    mix32,
    null_mask,
    stream,
    zipf_ranks,
)
from headrace.sample_data.files import ROWS_PER_GROUP, Pages, Shards, WrittenFile

RECIPE_VERSION = 2
SHAPES = {"dictionary": Pages(store_schema=False), "plain": Pages(use_dictionary=False, store_schema=False)}


@dataclass(frozen=True)
class Dense:
    """A heavy-tailed number: ``exp(normal(centre, spread))``, cut to a whole number where `dtype` is int32."""

    name: str
    null_share: float
    centre: float
    spread: float
    dtype: str = "int32"
    weight: float = 0.0


@dataclass(frozen=True)
class Category:
    """A category of `cardinality` strings that occur as 1 / rank ** exponent; `weight` is its pull on the label."""

    name: str
    cardinality: int
    null_share: float
    exponent: float = 1.05
    weight: float = 0.0


DENSE = (
    Dense("I1", 0.45, 0.8, 1.1, weight=0.35),
    Dense("I2", 0.0, 1.5, 2.0),
    Dense("I3", 0.21, 1.8, 1.4),
    Dense("I4", 0.22, 1.6, 1.0, weight=-0.15),
    Dense("I5", 0.03, 7.5, 2.2, weight=-0.25),
    Dense("I6", 0.22, 3.6, 1.5, weight=-0.20),
    Dense("I7", 0.04, 1.5, 1.4, weight=0.30),
    Dense("I8", 0.0, 2.0, 1.1),
    Dense("I9", 0.04, 3.8, 1.4),
    Dense("I10", 0.45, -0.2, 0.8, dtype="float32"),
    Dense("I11", 0.04, 0.7, 0.9, weight=0.25),
    Dense("I12", 0.75, -0.4, 1.2, dtype="float32"),
    Dense("I13", 0.22, 1.7, 1.2, dtype="float32", weight=-0.15),
)
CATEGORIES = (
    Category("C1", 1_460, 0.0, weight=0.25),
    Category("C2", 583, 0.0, weight=0.30),
    Category("C3", 1_000_000, 0.03),
    Category("C4", 1_000_000, 0.03),
    Category("C5", 305, 0.0),
    Category("C6", 24, 0.12, weight=0.15),
    Category("C7", 12_517, 0.0, weight=0.30),
    Category("C8", 633, 0.0),
    Category("C9", 3, 0.0, weight=0.20),
    Category("C10", 93_145, 0.0),
    Category("C11", 5_683, 0.0, weight=0.20),
    Category("C12", 1_000_000, 0.03),
    Category("C13", 3_194, 0.0),
    Category("C14", 27, 0.0, weight=0.25),
    Category("C15", 14_992, 0.0),
    Category("C16", 1_000_000, 0.03),
    Category("C17", 10, 0.0, weight=0.30),
    Category("C18", 5_652, 0.0),
    Category("C19", 2_173, 0.44),
    Category("C20", 4, 0.44, weight=0.15),
    Category("C21", 1_000_000, 0.03),
    Category("C22", 18, 0.75),
    Category("C23", 15, 0.0, weight=0.15),
    Category("C24", 286_181, 0.03),
    Category("C25", 105, 0.44),
    Category("C26", 142_572, 0.44),
)
# In the plain shape the categories of 1,000,000 become near-unique: 2 rows in 100 repeat one of 500 strings.
NEAR_UNIQUE = {category.name for category in CATEGORIES if category.cardinality == 1_000_000}
REPEATED_SHARE, REPEATED_STRINGS = 0.02, 500
BIAS = -2.0


def write_criteo(out: Path, rows: int = 1_000_000, seed: int = 7, shape: str = "dictionary") -> list[WrittenFile]:
    """Write `rows` rows as ``OUT/criteo-00000.parquet`` and on, 500,000 rows a file and 125,000 a row group.

    Row i is the same however many rows are asked for. Files that are there and whole are kept.

    Parameters
    ----------
    out : Path
        The folder; made if it is not there.
    rows : int
        How many.
    seed : int
        0 or above; another seed gives other rows of the same shape.
    shape : str
        ``dictionary``: dictionary-encoded pages, categories of 8 hexadecimal digits. ``plain``: the hard shape: plain pages,
        and the five largest categories become near-unique strings of 32 digits.

    Returns
    -------
    list of WrittenFile
        The files in order: `label` int8 (18 in 100 are 1), `I1` to `I13` int32 or float32, `C1` to `C26` strings.

    Nulls and NaN
    -------------
    Each column has its own share of nulls, none to three in four; there is no NaN.

    Raises
    ------
    JobError
        An argument is out of its range, or the folder cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [(file.path.name, file.rows) for file in write_criteo(pathlib.Path(folder), rows=1_000)]
    [('criteo-00000.parquet', 1000)]
    """
    if shape not in SHAPES:
        message, hint = unknown_name("shape", shape, SHAPES)
        raise JobError(message, key="shape", hint=hint)
    if seed < 0:
        raise JobError(f"the seed is {seed}: it must be 0 or above", key="seed")
    recipe = f"criteo {RECIPE_VERSION}; seed={seed}; shape={shape}"
    make_group = partial(_make_group, seed=seed, is_plain=shape == "plain")
    return Shards("criteo", recipe, make_group, SHAPES[shape]).write(out, rows)


def _make_group(group: int, *, seed: int, is_plain: bool) -> pa.Table:
    random = stream(seed, group)
    log_odds = np.full(ROWS_PER_GROUP, BIAS)
    columns: dict[str, pa.Array] = {"label": pa.nulls(0)}
    for dense in DENSE:
        columns[dense.name] = _draw_dense(random, dense, log_odds)
    for salt, category in enumerate(CATEGORIES, start=1):
        columns[category.name] = _draw_category(random, category, salt, is_plain, log_odds)
    chance = 1.0 / (1.0 + np.exp(-log_odds))
    columns["label"] = pa.array((random.random(ROWS_PER_GROUP) < chance).astype(np.int8))
    return pa.table(columns)


def _draw_dense(random: np.random.Generator, dense: Dense, log_odds: Floats) -> pa.Array:
    normal = random.standard_normal(ROWS_PER_GROUP)
    is_null = null_mask(random, ROWS_PER_GROUP, dense.null_share)
    if dense.weight:
        log_odds += np.where(is_null, 0.0, dense.weight * normal)
    # Six spreads above the centre the largest (I5) is 1e9: it stays inside int32.
    values = np.exp(dense.centre + dense.spread * np.minimum(normal, 6.0))
    return pa.array(values.astype(dense.dtype), mask=is_null)


def _draw_category(random: np.random.Generator, category: Category, salt: int, is_plain: bool, log_odds: Floats) -> pa.Array:
    is_null = null_mask(random, ROWS_PER_GROUP, category.null_share)
    if is_plain and category.name in NEAR_UNIQUE:
        return _near_unique(random, salt, is_null)
    ranks = zipf_ranks(random, ROWS_PER_GROUP, category.cardinality, category.exponent)
    if category.weight:
        log_odds += np.where(is_null, 0.0, category.weight * _pull(ranks, salt))
    column = dictionary_column(ranks, category.cardinality, salt, is_null)
    return column.dictionary_decode() if is_plain else column


def _pull(ranks: Integers, salt: int) -> Floats:
    """Return each category's own pull on the label: uniform, mean 0, standard deviation 1, fixed for all seeds."""
    spread = mix32(ranks.astype(np.uint32), salt + len(CATEGORIES)).astype(np.float64)
    pull: Floats = (spread / 2.0**32 - 0.5) * 12.0**0.5
    return pull


def _near_unique(random: np.random.Generator, salt: int, is_null: Mask) -> pa.Array:
    words = random.integers(0, 2**32, size=(ROWS_PER_GROUP, 4), dtype=np.uint32)
    repeats = np.flatnonzero(random.random(ROWS_PER_GROUP) < REPEATED_SHARE)
    strings = random.integers(0, REPEATED_STRINGS, size=len(repeats), dtype=np.uint32)
    words[repeats] = mix32(strings, salt)[:, None]
    drawn = hex_strings(words)
    return pc.if_else(pa.array(is_null), pa.scalar(None, pa.string()), drawn)
