"""Linear algebra whose sums have one order, whatever BLAS NumPy has: the package has no other."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _validation as check


def _double(a: check.Rows) -> check.Doubles:
    return np.ascontiguousarray(a, dtype=np.float64)


def product(a: check.Rows, b: check.Rows) -> check.Doubles:
    """``a @ b`` in float64, for a (..., k) and b (k, m) or (k,).

    Parameters
    ----------
    a, b : ndarray

    Returns
    -------
    ndarray of shape (..., m) or (...)
    """
    k, width = b.shape[0], b.shape[1:]
    columns = math.prod(width)
    result = _core.product(_double(a).reshape(math.prod(a.shape[:-1]), k), _double(b).reshape(k, columns))
    return result.reshape(*a.shape[:-1], *width)


def weighted_sum(w: check.Doubles, table: check.Doubles) -> check.Doubles:
    """``w @ table`` by NumPy's pairwise sums, whose error hardly grows with the number of rows.

    Parameters
    ----------
    w : ndarray of shape (n,)
    table : ndarray of shape (n, d)

    Returns
    -------
    ndarray of shape (d,)
    """
    result: check.Doubles = (np.ascontiguousarray(table.T) * w).sum(axis=1)
    return result


def inner(a: check.Doubles, b: check.Doubles) -> float:
    """Sum of the products of the entries of two arrays of one shape."""
    return float((a * b).sum())


def norm(a: check.Doubles) -> float:
    """Euclidean norm of all entries."""
    return math.sqrt(inner(a, a))


def triangular_factor(a: check.Rows) -> check.Doubles:
    """R (min(n, d), d) of ``a = Q R``."""
    return _core.triangular_factor(_double(a))


def singular_values(a: check.Rows) -> tuple[check.Doubles, check.Doubles]:
    """Singular values of a (n, d), largest first, and right singular vectors as rows."""
    return _core.singular_values(_double(a))


def eigenvalues(a: check.Doubles) -> tuple[check.Doubles, check.Doubles]:
    """Eigenvalues of a symmetric matrix, smallest first, and eigenvectors as rows."""
    return _core.eigenvalues(_double(a))


def geometric_grid(largest: float, eps: float, count: int) -> NDArray[np.float64]:
    """`count` numbers in geometric progression from `largest` down to ``eps * largest``.

    By the powers of the C library: those of NumPy depend on the instruction set.
    """
    if largest * eps < np.finfo(np.float64).tiny:
        raise ValueError(f"eps is {eps:g}, too small: expected {largest:g} * eps to be a normal float")
    return np.array([largest * eps ** (k / max(count - 1, 1)) for k in range(count)])
