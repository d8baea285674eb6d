"""How raw rows become those of training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pathrelu import _validation as check
from pathrelu._moments import moments, rounding_noise
from pathrelu._sparse_rows import SparseRows

SCALED_ROWS = 4096  # at a time, in double precision


@dataclass(frozen=True)
class Scaling:
    """How raw rows become those of training: centered, scaled, and with a constant for biases of units."""

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    constant: float | None  # the entries of the last column; None without one
    empty: NDArray[np.bool_]  # columns of zeros up to rounding, which have no weights

    @classmethod
    def fit(cls, X: check.Rows, w: NDArray[np.float64], *, standardize: bool, bias: bool) -> Self:
        """By the weighted moments of rows, or as they are."""
        center, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
        empty = rounding_noise(X)
        if standardize:
            center, scale, constant = moments(X, w, bias)
            empty |= constant
        return cls(center, scale, 1.0 if bias else None, empty)

    @classmethod
    def of(cls, network: Any, bias: bool) -> Self:
        """That of a network."""
        constant = network.bias_scale if bias else None
        return cls(network.center, network.scale, constant, np.zeros(network.n_columns, bool))

    def times(self, factors: NDArray[np.float64]) -> Self:
        """That of scaled columns times factors of at most 1; columns too large for it stay as they are."""
        with np.errstate(over="ignore"):
            scale = self.scale / factors
        return replace(self, scale=np.where(np.isfinite(scale), scale, self.scale))

    def rows(self, X: check.Rows) -> check.Rows:
        """Rows of training, in the dtype of raw ones."""
        n, d = X.shape
        table = np.empty((n, d + (self.constant is not None)), X.dtype)
        for begin in range(0, n, SCALED_ROWS):
            some = slice(begin, begin + SCALED_ROWS)
            with np.errstate(over="ignore"):  # to infinity, which is refused with its place
                table[some, :d] = (X[some] - self.center) / self.scale
        table[:, :d][:, self.empty] = 0  # so that no weight, however large, makes a feature of noise
        table[:, d:] = 1.0 if self.constant is None else self.constant
        check.finite(table, "X after standardization")
        return table

    def sparse_rows(self, X: Any) -> SparseRows:
        """Rows of training by their nonzeros (CSR)."""
        used = ~self.empty[X.indices]
        with np.errstate(over="ignore"):
            data = np.where(used, X.data / self.scale[X.indices], 0.0).astype(X.dtype)
        check.finite(data, "X after standardization")
        offset = np.where(self.empty, 0.0, self.center / self.scale)
        if self.constant is not None:
            offset = np.append(offset, -self.constant)
        return SparseRows(csr_array((data, X.indices, X.indptr), shape=(X.shape[0], len(offset))), offset)

    def directions(self, raw: NDArray[np.int8] | None) -> NDArray[np.int8] | None:
        """Those of the columns of training: scales are positive, and the constant is free."""
        if raw is None or self.constant is None:
            return raw
        return np.append(raw, np.int8(0))

    def trees(self, weights: check.Rows, bias: check.Rows) -> NDArray[np.float64]:
        """Weights (K, paths, n_features) and biases (K, paths) as weights of the columns of training."""
        leaves = weights.astype(np.float64)
        if self.constant is None:
            return leaves
        return np.concatenate([leaves, (bias.astype(np.float64) / self.constant)[..., np.newaxis]], axis=2)
