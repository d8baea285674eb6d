"""Rows by their nonzeros, as programs have them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _validation as check


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Rows ``matrix - offset``, of which only the nonzeros of the matrix are kept.

    So columns are centered; a column of ones is one without nonzeros, of offset -1.

    Attributes
    ----------
    matrix : csr_array of shape (n, d)
        float32 or float64, without duplicates.
    offset : ndarray of shape (d,)
    """

    matrix: Any
    offset: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        n, d = self.matrix.shape
        return n, d

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.matrix.dtype
        return dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Self:
        return replace(self, matrix=self.matrix[rows])

    def dense(self, places: NDArray[np.intp]) -> check.Rows:
        """Rows (*places, d) as dense ones."""
        rows: check.Rows = self.matrix[places.ravel()].toarray() - self.offset.astype(self.dtype)
        return rows.reshape(*places.shape, self.shape[1])

    def correlate(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``rows^T values`` (d, C) of values (n, C)."""
        product: NDArray[np.float64] = self.matrix.T.dot(values) - np.outer(self.offset, values.sum(axis=0))
        return product

    @property
    def core(self) -> _core.SparseRows:
        """The same for the core, which reads the values in place."""
        matrix = self.matrix
        return _core.SparseRows(
            matrix.indptr.astype(np.int64, copy=False),
            matrix.indices.astype(np.int32, copy=False),
            matrix.data,
            self.offset,
        )


def core_rows(rows: check.Rows | SparseRows) -> check.Rows | _core.SparseRows:
    """Rows as the core takes them."""
    return rows.core if isinstance(rows, SparseRows) else rows


def rows_at(rows: Any, places: Any) -> Any:
    """Some rows, by place or by a mask."""
    return rows[places] if isinstance(rows, SparseRows) else np.ascontiguousarray(rows[places])


def sparse_keys(matrix: Any) -> NDArray[np.float64]:
    """Numbers that are equal for equal rows (CSR, in canonical format), and else with no likelihood."""
    weights = np.random.default_rng(0).random(matrix.shape[1])
    keys: NDArray[np.float64] = matrix.astype(np.float64).dot(weights)
    return keys
