"""The training problem of one output, or of several jointly, and what correlates with its dual points."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _linear_algebra as algebra
from pathrelu._watch import Watch
from pathrelu.certificate._directions import over_directions, spectral_norm_of_all
from pathrelu.certificate._mixed import SHARES, Shares
from pathrelu.program._problem import Problem

SPECTRAL_STEPS = 12

Vector = NDArray[np.float64]


class Output:
    """The training problem of one output, or of several jointly, in coordinates of the row space.

    Leaf weights outside the row space add to path norms and to no prediction, so nothing is lost.
    """

    def __init__(
        self,
        problem: Problem,
        alpha: float,
        fit_intercept: bool,
        width: tuple[int, ...],
        threads: int,
        skip: bool = False,
        residual: float = 0.0,
        watch: Watch | None = None,
        shared: bool = False,
    ) -> None:
        self.shares: dict[int, Vector] = {}  # those of the last look at deeper trees, for each sign
        self.gated = problem.activation == "gated"  # gates are free: what they pass has no sign
        self.shared = shared  # sub-networks feed all outputs, in a direction of their own
        self.watch = watch or Watch()  # each solve and each look for units ends at its time
        self.skip = skip
        self.residual = residual  # of the rows, as that of their row space
        self.problem = problem
        self.rows: NDArray[np.float64] = problem.X.astype(np.float64, copy=False)
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.width = width
        self.paths = math.prod(width)
        self.threads = threads
        # The objective of the best constant, by which the solver measures its gap.
        self.start = _core.dual_bound(self.theta(np.zeros_like(problem.y)), *self._loss(), np.inf)

    def _loss(self) -> tuple[NDArray[np.float64], NDArray[np.float64], _core._Loss]:
        return self.problem.y, self.problem.w, self.problem.core_loss

    def theta(self, f: NDArray[np.float64]) -> NDArray[np.float64]:
        """The dual point (n, C) of predictions (n, C), which are shifted by the best intercept first."""
        return _core.dual_point(np.ascontiguousarray(f), *self._loss(), self.fit_intercept)

    def lower(self, theta: NDArray[np.float64], bound: float, alpha: float | None = None) -> float:
        """The lower bound that theta gives if no sub-network of path norm 1 correlates with it more."""
        cap = (self.alpha if alpha is None else alpha) / bound if bound > 0 else np.inf
        value = _core.dual_bound(theta, *self._loss(), cap)
        return value - 1e-13 * abs(value)

    def largest(self, theta: NDArray[np.float64], bound: float) -> float:
        """The bound on sub-networks of path norm 1, or what the skip connection correlates with theta."""
        if not self.skip:
            return bound
        linear = np.sqrt((algebra.product(self.rows.T, theta) ** 2).sum(axis=0).max())
        return max(bound, math.hypot(float(linear), self.residual * algebra.norm(theta)))

    def correlation(
        self,
        theta: NDArray[np.float64],
        most: Callable[[Vector], float],
        spent: Callable[[], bool] = lambda: True,
        tol: float = 1e-2,
        steepest: Callable[[Vector], Vector | None] | None = None,
    ) -> float:
        """Bound on what sub-networks of path norm 1 correlate with theta (n, C), by ``most`` for units.

        Where they feed one output each, that of the worst output; where they feed all, that of the worst
        direction, for which more directions are tried until `tol` or `spent`.
        """
        if not self.shared:
            return max(self.tree_bound(np.ascontiguousarray(column), most, steepest) for column in theta.T)
        reach = _largest_singular_value(self.rows)
        largest = math.sqrt(self.paths) * math.hypot(reach, self.residual)
        bound = over_directions(
            theta, lambda t: self.tree_bound(t, most, steepest), largest, spent, tol, positive=not self.gated
        )
        if self.paths == 1 and not self.gated:
            whole = spectral_norm_of_all(self.rows, theta)
            bound = min(bound, math.hypot(whole, self.residual * algebra.norm(theta)))
        return bound

    def switched(self, theta: Vector) -> tuple[NDArray[np.float64], Vector]:
        """Rows Z and a dual point t, such that units correlate with theta at most as ``relu(Z u)`` with t.

        Those of the problem or, where gates are free, ``sign(theta) * Z`` and ``abs(theta)``: a gate does
        best to pass ``z_i u`` where that has the sign of ``theta_i``.
        """
        if not self.gated:
            return self.rows, theta
        return np.ascontiguousarray(np.sign(theta)[:, np.newaxis] * self.rows), np.abs(theta)

    def spectral(self, theta: Vector) -> float:
        return math.hypot(spectral_norm(*self.switched(theta)), self.residual * algebra.norm(theta))

    def tree_bound(
        self,
        theta: Vector,
        most: Callable[[Vector], float],
        steepest: Callable[[Vector], Vector | None] | None = None,
    ) -> float:
        r"""Bound on ``abs(theta @ h)`` over trees h of path norm 1, by one on units, ``most(theta)``.

        All edge signs +1: h is the sum over leaves of ``relu(Z @ v)``: at most ``sqrt(paths) most(theta)``,
        which trees of equal leaves reach if a unit reaches ``most(theta)``.
        Otherwise, with k < paths leaves that reach the root by edges of sign +1 alone, ``0 <= h <= sum`` of
        these leaves' outputs; for ``theta = a - b`` with its positive and negative part, and the sign +,
        ``theta @ h <= a @ h <= sqrt(k) most(a)``. At depth 3 also ``h >= g`` for the root's pre-activation g,
        so for t in [0, 1] of each row ``theta @ h <= a @ relu(g) - (t b) @ g``, which is at most the sum over
        leaves of sign + of ``(a - t b) @ relu(Z v)`` and over the others of ``(t b) @ relu(Z v)``: by
        Cauchy-Schwarz ``sqrt(k most(a - t b)^2 + (paths - k) most(t b)^2)``. Any t will do; with
        `steepest`, the outputs of a unit that correlates most with what `most` was last asked for, they go
        down the slope of this until it is no more than for trees of signs +1.

        Where gates are free, h is a sum over leaves v with signs of ``m * (Z v)`` for masks m, of which each
        is at most ``most(theta)``.
        """
        if self.paths == 1:
            return most(theta)
        whole = most(theta)
        least = self.paths * whole**2
        if self.gated:
            return math.sqrt(least)
        bound = least
        for sign in (1, -1):
            mixed = Shares(np.maximum(sign * theta, 0), np.maximum(-sign * theta, 0), most, self.paths)
            if len(self.width) == 1:
                known = self.shares.get(sign)
                starts = [np.full(len(theta), share) for share in SHARES]
                if known is not None:
                    starts.insert(0, known)
                found = mixed.descend(starts, steepest, least)
                if steepest is not None and found is not None:
                    self.shares[sign] = found
            bound = max(bound, float(mixed.squares.max()))
        return math.sqrt(bound)


def _largest_singular_value(Z: NDArray[np.float64]) -> float:
    values, _ = algebra.eigenvalues(algebra.product(Z.T, Z))
    return math.sqrt(max(float(values[-1]), 0.0)) * (1 + 1e-12)


def spectral_norm(Z: NDArray[np.float64], theta: Vector) -> float:
    r"""Bound on ``abs(theta @ relu(Z @ u))`` over unit u by eigenvalues.

    As relu(x) = (x + \|x\|) / 2, ``sigma theta @ relu(Z u) <= |Z^T theta| / 2 + sum_i a_i |z_i u| / 2`` with
    a the part of sigma theta above zero. For tau > 0, ``2 |x| <= tau + x^2 / tau``, so the sum is at most the
    root of ``sum(a tau) lambda_max(Z^T diag(a / tau) Z)``; equal tau give the bound of the design. Each step
    moves tau_i^2 towards ``(z_i u)^2`` at the top eigenvector u.
    """
    worst = 0.0
    for part in (np.maximum(theta, 0), np.maximum(-theta, 0)):
        if not part.any():
            continue
        squares, best = np.ones(len(Z)), np.inf
        for step in range(SPECTRAL_STEPS):
            tau = np.sqrt(squares)
            values, vectors = algebra.eigenvalues(algebra.product((Z * (part / tau)[:, np.newaxis]).T, Z))
            best = min(best, math.sqrt(algebra.inner(part, tau) * max(float(values[-1]), 0.0)))
            along = algebra.product(Z, vectors[-1]) ** 2
            mean = algebra.inner(part, along)
            if not mean > 0:
                break
            along *= algebra.inner(part, squares) / mean
            squares = np.maximum(squares + (along - squares) / (step + 2), 1e-9)
        worst = max(worst, best)
    return 0.5 * (algebra.norm(algebra.product(Z.T, theta)) + worst) * (1 + 1e-12)


def residual_norm(R: NDArray[np.float64], largest: float, theta: Vector) -> float:
    """Bound on ``sum_i |theta_i| |r_i u|`` over unit u, by Cauchy-Schwarz in two ways."""
    size = np.abs(theta)
    weighted = 0.0
    if R.size:
        values, _ = algebra.eigenvalues(algebra.product((R * size[:, np.newaxis]).T, R))
        weighted = float(values[-1])
    return min(largest * algebra.norm(theta), math.sqrt(float(size.sum()) * max(weighted, 0.0)))
