"""Oracles: the unit that correlates most with a dual point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu._watch import Watch
from pathrelu.certificate._output import Vector, spectral_norm

FEW_NODES = 4000  # of branch and bound before all regions are walked through


@dataclass
class Correlation:
    """What is known of the largest ``abs(theta @ relu(Z @ u))`` over unit u."""

    bound: float
    points: NDArray[np.float64]  # (k, r), the largest first
    n_nodes: int = 0
    complete: bool = True  # or the nodes, or the time, did not last
    spectral: bool = False  # the bound is that of eigenvalues


class Oracle:
    """Looks for the unit that correlates most with theta, if above `floor` by more than a share `tol`.

    With `stop`, one that correlates more than that will do.
    """

    nodes_left: int = 2**62  # for calls to come

    def __init__(self, Z: NDArray[np.float64], threads: int, watch: Watch | None = None) -> None:
        self.Z = np.ascontiguousarray(Z)
        self.threads = threads
        self.watch = watch or Watch()

    @property
    def spent(self) -> bool:
        """Whether there is no node or no time left."""
        return self.nodes_left <= 0 or self.watch.left <= 0

    def __call__(self, theta: Vector, floor: float, tol: float, stop: bool = False) -> Correlation:
        raise NotImplementedError


class ExactOracle(Oracle):
    """The maximum for up to three columns; branch and bound may prove it first."""

    def __call__(self, theta: Vector, floor: float, tol: float, stop: bool = False) -> Correlation:
        if self.Z.shape[1] == 0:
            return Correlation(0.0, self.Z[:0])
        bound, values, points, _, nodes = _core.branch_and_bound(
            self.Z, theta, floor, 1e-9, FEW_NODES, False, self.threads, self.watch.left
        )
        if not bound <= (1 + 2e-9) * max(floor, float(values.max(initial=0.0))):
            exact = _core.exact_correlation(self.Z, theta, self.threads, self.watch.left)
            if not np.isfinite(exact[0]):
                least = min(bound, spectral_norm(self.Z, theta))
                return Correlation(least, points[values > floor], nodes, False, least < bound)
            bound, values, points, _, _ = exact
        return Correlation(bound, points[values > floor], nodes)


class BranchOracle(Oracle):
    """A bound by branch and bound with a budget of nodes for all calls, and for each."""

    def __init__(
        self,
        Z: NDArray[np.float64],
        threads: int,
        max_nodes: int,
        each: int | None = None,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(Z, threads, watch)
        self.nodes_left = max_nodes
        self.each = max_nodes if each is None else each

    def __call__(self, theta: Vector, floor: float, tol: float, stop: bool = False) -> Correlation:
        if self.Z.shape[1] == 0:
            return Correlation(0.0, self.Z[:0])
        budget = max(min(self.nodes_left, self.each), 1)
        bound, values, points, _, nodes = _core.branch_and_bound(
            self.Z, theta, floor, tol, budget, stop, self.threads, self.watch.left
        )
        self.nodes_left -= nodes
        complete = nodes < budget and self.watch.left > 0
        least = bound if complete else min(bound, spectral_norm(self.Z, theta))
        return Correlation(least, points[values > floor], nodes, complete, least < bound)
