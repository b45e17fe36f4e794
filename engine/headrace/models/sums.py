"""Sums of products of columns: all that linear regression, PCA and truncated SVD need to know of rows.

They are exact (`headrace_kernels.exact`), and add up in any order: workers sum the rows that they have, and the model has the same bits
however rows were cut, on a CPU and on a GPU. Means and covariances are the float64 nearest to the exact ones, so nothing cancels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.models.device import is_on_device, to_float64
from headrace.states import Moments
from headrace_kernels.column import Column
from headrace_kernels.exact import exact_moments, limbs_to_int
from headrace_kernels.limbs import TOTAL_UNIT, nearest_float

# Of a correlation matrix's eigenvalues, those below so many roundings of the greatest are nothing else: features that others determine.
_ROUNDINGS = 4


@dataclass(frozen=True)
class Products:
    """Ask for the sums of the features, of the target as one more column where there is one, and of their products."""

    has_target: bool

    def of(self, matrix: Any, target: Any) -> Sums:
        return Sums.of(matrix, target) if self.has_target else Sums.of(matrix)


@dataclass(frozen=True)
class Sums:
    """Exact sums over rows of columns and of products of two of them.

    Parameters
    ----------
    n : int
        Rows.
    totals : tuple of int
        The sum of each column, in units of ``2**-TOTAL_UNIT``.
    products : tuple of int
        The sum of each pair of columns' product, each rounded to float64 once: of the first with all, of the second with those from it on, ...
    """

    n: int
    totals: tuple[int, ...]
    products: tuple[int, ...]

    @classmethod
    def of(cls, matrix: Any, *others: Any) -> Sums:
        """Sum the columns of a matrix and further columns, on the host or on a device.

        >>> Sums.of(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)).covariance().tolist()
        [[1.0, 1.0], [1.0, 1.0]]
        """
        columns = [to_float64(column) for column in (*(matrix[:, index] for index in range(matrix.shape[1])), *others)]
        n = len(columns)
        products = (total_of(columns[i] * columns[j]) for i in range(n) for j in range(i, n))
        return cls(len(matrix), tuple(map(total_of, columns)), tuple(products))

    def merged(self, other: Sums) -> Sums:
        """Return the sums of the rows of both."""
        totals, products = (tuple(map(int.__add__, *pair)) for pair in ((self.totals, other.totals), (self.products, other.products)))
        return Sums(self.n + other.n, totals, products)

    def means(self) -> np.ndarray:
        """Return each column's mean, float64."""
        return np.array([nearest_float(total, self.n << TOTAL_UNIT) for total in self.totals])

    def covariance(self, *, centred: bool = True) -> np.ndarray:
        """Return the columns' covariances (of all rows, not of a sample), float64 ``[k, k]``; not `centred`, their products' means."""
        k = len(self.totals)
        found = np.empty((k, k))
        for (i, j), product in zip(self._pairs(), self.products, strict=True):
            means = self.totals[i] * self.totals[j] if centred else 0
            found[i, j] = found[j, i] = nearest_float((self.n * product << TOTAL_UNIT) - means, self.n**2 << 2 * TOTAL_UNIT)
        return found

    def _pairs(self) -> Iterator[tuple[int, int]]:
        k = len(self.totals)
        return ((i, j) for i in range(k) for j in range(i, k))


def solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return x with ``matrix @ x = right`` of a symmetric matrix without negative eigenvalues; of several the one that leaves most near 0.

    Rows and columns are scaled to a diagonal of 1 first, so that features' units make no difference.

    >>> solved(np.array([[4.0, 0.0], [0.0, 0.0]]), np.array([2.0, 0.0])).tolist()
    [0.5, 0.0]
    """
    from threadpoolctl import threadpool_limits

    scale = np.sqrt(np.diag(matrix))
    scale = np.where(scale > 0, scale, 1.0)
    with threadpool_limits(limits=1):  # sums of several threads differ in their last bits
        values, vectors = np.linalg.eigh(matrix / scale / scale[:, None])
        kept = values > _ROUNDINGS * len(matrix) * np.finfo(np.float64).eps * values[-1]
        along = (vectors.T @ (right / scale))[kept] / values[kept]
        return np.asarray(vectors[:, kept] @ along / scale)


def moments_of(column: Any) -> Moments:
    """Return count, extremes and exact sums of an array of floats, on the host or on a device."""
    if not is_on_device(column):
        found = exact_moments(Column(np.ascontiguousarray(column)))
        infinities = found.n_posinf + found.n_neginf
        return Moments(found.n, found.n_null, found.n_nan, infinities, found.low, found.high, found.total, found.squares)
    import pyarrow as pa

    from headrace.backends.cudf.column import Plain
    from headrace.backends.cudf.exact import moments

    return moments(Plain(to_float64(column), None, pa.float64()))


def total_of(column: Any) -> int:
    """Return the exact sum of an array of floats, in units of ``2**-TOTAL_UNIT``.

    >>> total_of(np.array([1e300, 1.0, -1e300])) == 1 << TOTAL_UNIT
    True
    """
    if not is_on_device(column):
        return limbs_to_int(exact_moments(Column(np.ascontiguousarray(column))).total)
    from headrace.backends.cudf.exact import total

    return limbs_to_int(total(column))
