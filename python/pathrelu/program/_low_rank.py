"""Rows of low rank: the paper's approximate training, and what it can cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check

BATCH = 4096  # rows in one call of the core, which no interrupt can stop


@dataclass(frozen=True, eq=False)
class LowRank:
    """The subspace that `solve_low_rank` trained in, and the guarantee that goes with it.

    Attributes
    ----------
    rank : int
    components : ndarray of shape (rank, n_features)
        Orthonormal: the leading right singular vectors of the rows, each times the root of its sample weight.
        Nothing is centered.
    residual : float
        The first singular value left out; 0 if there is none.
    guarantee : float
        Bound on the ratio of two optima, of networks that see only the projections of rows on the subspace,
        and of all networks. It holds for all arrangements ("relu") or the same masks ("gated"), and says
        nothing about an objective that is not such an optimum.
    """

    rank: int
    components: check.Doubles = field(repr=False)
    residual: float
    guarantee: float


def principal_components(X: check.Rows, w: check.Doubles, rank: int) -> tuple[check.Doubles, float]:
    """The `components` and the `residual` of a `LowRank`."""
    triangle = np.empty((0, X.shape[1]))
    for rows in batches(X):
        weighted = np.sqrt(w[rows])[:, np.newaxis] * X[rows].astype(np.float64)
        triangle = algebra.triangular_factor(np.concatenate([triangle, weighted]))
    singular_values, vectors = algebra.singular_values(triangle)
    return vectors[:rank], float(singular_values[rank]) if rank < len(singular_values) else 0.0


def scores(X: check.Rows, components: check.Doubles) -> check.Doubles:
    """``X @ components.T``, in float64: leaf weights over both must agree in sign where they switch units."""
    result = np.empty((len(X), len(components)))
    for rows in batches(X):
        result[rows] = algebra.product(X[rows], components.T)
    return result


def batches(X: check.Rows) -> list[slice]:
    size = max(BATCH, X.shape[1])
    return [slice(begin, begin + size) for begin in range(0, len(X), size)]


def ratio_bound(
    smoothness: float,
    lipschitz: float,
    n: int,
    paths: int,
    residual: float,
    alpha: float,
    objective: float,
) -> float:
    r"""Bound on the optimum over rows of low rank, over the optimum P over the rows as they are.

    Projecting the rows moves the outputs of an optimal network of path norm R by at most
    :math:`\delta = \sqrt{paths} \, \sigma R`, in the norm in which sample i counts `w_i`, with :math:`\sigma`
    the `residual`, the first singular value left out. The mean loss L goes to at most
    :math:`L + r \delta / \sqrt n` where the loss of a sample is r-Lipschitz and, since the root of a
    non-negative s-smooth function is :math:`\sqrt{s/2}`-Lipschitz, to at most
    :math:`(\sqrt L + \sqrt{s/2n} \, \delta)^2`. With :math:`L + \alpha R = P`, the second is at most
    :math:`P (1 + 4/\sqrt{27} \, e + e^2)` for :math:`e = \sqrt{paths} \, \sigma \sqrt{s P / 2n} / \alpha`.

    Parameters
    ----------
    smoothness, lipschitz : float
        Bounds on the second derivative of the loss of one sample and on the first; of several outputs, on the
        norms of Hessian and gradient. Infinite where there is none.
    objective : float
        Any upper bound on P.
    """
    if residual == 0 or objective == 0:
        return 1.0
    moved = math.sqrt(paths) * residual / math.sqrt(n) / alpha
    e = moved * math.sqrt(smoothness * objective / 2)
    return 1 + min(4 / math.sqrt(27) * e + e * e, lipschitz * moved)  # infinite for very small alpha
