"""Boosted trees by the kernel are what a walk from each root finds, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_kernels.boosted import BoostedForest, predict_boosted

N_FEATURES = 3
# Values that are met exactly, and lie beside them.
CUTS = np.array([-np.inf, -1.5, -0.0, 1e-40, 0.5, 2.0, 1e30], np.float32)


def random_forest(random, n_trees, depth):
    """Return random trees as nested tuples, and the same for the kernel."""

    def grow(level):
        if level == 0 or random.random() < 0.2:
            return float(np.float32(random.normal()))
        cut = np.float32(random.choice(CUTS))
        return int(random.integers(N_FEATURES)), bool(random.integers(2)), float(cut), grow(level - 1), grow(level - 1)

    trees = [grow(depth) for _ in range(n_trees)]
    met = {}

    def note(tree):
        if isinstance(tree, tuple):
            met.setdefault(tree[:2], set()).add(tree[2])
            note(tree[3])
            note(tree[4])

    for tree in trees:
        note(tree)
    columns = sorted(met)
    cuts = [sorted(met[column]) for column in columns]
    nodes, leaves, node_starts, leaf_starts = [], [], [0], [0]

    def lay(tree):
        if not isinstance(tree, tuple):
            leaves.append(tree)
            return -1 - (len(leaves) - 1 - leaf_starts[-1])
        left, right = lay(tree[3]), lay(tree[4])
        column = columns.index(tree[:2])
        nodes.append((column, cuts[column].index(tree[2]), left, right))
        return len(nodes) - 1 - node_starts[-1]

    for tree in trees:
        lay(tree)
        node_starts.append(len(nodes))
        leaf_starts.append(len(leaves))
    return trees, BoostedForest(
        np.array([cut for some in cuts for cut in some], np.float32),
        np.cumsum([0] + [len(some) for some in cuts]),
        np.array([feature for feature, _ in columns], np.int64),
        np.array([missing_right for _, missing_right in columns], bool),
        np.array(nodes, np.int32).reshape(-1, 4),
        np.array(node_starts),
        np.array(leaves, np.float32),
        np.array(leaf_starts),
        0.25,
    )


def walked(trees, row, base):
    total = np.float32(base)
    for tree in trees:
        while isinstance(tree, tuple):
            feature, missing_right, cut, left, right = tree
            value = row[feature]
            tree = right if (missing_right if np.isnan(value) else value >= np.float32(cut)) else left
        total = np.float32(total + np.float32(tree))
    return total


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), n_trees=st.integers(0, 6), depth=st.integers(0, 5), n_rows=st.sampled_from([0, 1, 63, 600]))
def test_sums_are_those_of_a_walk_from_each_root(seed, n_trees, depth, n_rows):
    random = np.random.default_rng(seed)
    trees, forest = random_forest(random, n_trees, depth)
    matrix = random.choice(np.append(CUTS, [np.nan, np.inf, 0.0, 0.75, -7.0]).astype(np.float32), (n_rows, N_FEATURES))
    expected = np.array([walked(trees, row, forest.base) for row in matrix], np.float32)
    np.testing.assert_array_equal(predict_boosted(forest, matrix), expected)


def test_the_most_leaves_and_thresholds_that_a_byte_holds():
    # A chain: row i leaves it at leaf i.
    n = 255
    nodes = [(0, n - 1 - place, -1 - (n - 1 - place), place - 1 if place else -1 - n) for place in range(n)]
    forest = BoostedForest(
        np.arange(1, n + 1, dtype=np.float32),
        np.array([0, n]),
        np.array([0]),
        np.array([True]),
        np.array(nodes, np.int32),
        np.array([0, n]),
        np.arange(n + 1, dtype=np.float32),
        np.array([0, n + 1]),
        0.0,
    )
    rows = np.append(np.arange(n + 1, dtype=np.float32), np.nan)[:, None].astype(np.float32)
    assert predict_boosted(forest, rows).tolist() == [*range(n + 1), n]


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(threads):
    random = np.random.default_rng(1)
    _, forest = random_forest(random, 20, 4)
    matrix = random.normal(size=(300_000, N_FEATURES)).astype(np.float32)
    np.testing.assert_array_equal(predict_boosted(forest, matrix), predict_boosted(forest, matrix, threads))
