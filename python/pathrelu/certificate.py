"""Certificates: how far a network is from the global optimum of its training problem."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathrelu import _core, losses
from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu._watch import Watch
from pathrelu.arrangements import Arrangements, RowSpace, enumerate_arrangements
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork
from pathrelu.program._problem import Problem
from pathrelu.program._solve import run
from pathrelu.training import Data, Scaling, TrainingProblem

METHODS = ("auto", "enumeration", "branch_and_bound", "low_rank", "spectral", "solver")
EXACT_RANK = 3  # up to which all regions are walked through
MOST_BRANCH_RANK = 16
BRANCH_RANK = 6  # up to which "auto" branches until it is done
SHORT_BRANCH_RANK, SHORT_NODES = 12, 50_000  # and up to which, and how long, it has a try
RETRIES = 2
FIRST_NODES = 10_000  # of one look at rank 4 and more, fourfold each time that they do not do
EXACT_ROWS = 10_000  # at rank 3, up to which "auto" walks through all regions
FEW_NODES = 4000  # of branch and bound before all regions are walked through
TINY = 20_000  # joint arrangements of a deeper tree that "auto" and "enumeration" list
NEW_GATES = 64  # added to the program in one round
LEAST_TOL = 1e-12  # of a solve
MOST_STEPS = 2000
SPECTRAL_STEPS = 12
ALPHAS = 6  # penalties tried for a bound that is not tight
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the rows of one sign in the bound for depth 3

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Certificate:
    """Bounds on the optimum P* of the training problem that a network is a candidate for.

    P* is the least objective of all ReLU networks of the same depth, width and number of outputs, with any
    number of sub-networks, the same centering and scaling, the same bias, intercept and skip connection or
    none.

    Attributes
    ----------
    upper : float
        The network's own objective, re-evaluated in float64.
    lower : float
        A lower bound on P*, for any method but "solver".
    method : str
        What gave `lower`: "enumeration", "branch_and_bound", "low_rank", "spectral" or "solver".
    arrangements : int or None
        None if `lower` is a bound on P*. For "solver", the number of arrangements it covers: it bounds the
        optimum over these alone, and is no certificate of the training problem.
    seconds : float
    details : dict
        ``"rank"`` of the scaled rows with the bias column; ``"tight"``, whether the bound converges to P*
        (not from depth 3 on, unless all joint arrangements were listed, and not for "low_rank" and
        "spectral"); ``"correlation"``, the bound on ``abs(theta @ h(X))`` over alpha, by which theta was
        divided; ``"n_rounds"`` of programs and ``"n_nodes"`` of branch and bound; where there are any,
        ``"best_objective"``, the least one of the networks met on the way, and ``"kappa"``.
    """

    upper: float
    lower: float
    method: str
    arrangements: int | None
    seconds: float
    details: dict[str, Any] = field(repr=False)

    @property
    def gap(self) -> float:
        """``upper - lower``, not below zero."""
        return max(self.upper - self.lower, 0.0)

    @property
    def relative_gap(self) -> float:
        """The gap over `upper`."""
        return self.gap / self.upper if self.upper > 0 else 0.0

    @property
    def vacuous(self) -> bool:
        """Whether `lower` says no more than that losses are not negative, though `upper` is above 0."""
        return self.upper > 0 and not self.lower > 1e-9 * self.upper

    def __str__(self) -> str:
        how = f"{self.method}, {self.seconds:.2g} s"
        if self.arrangements is not None:
            return (
                f"objective {self.upper:.6g}, at least {self.lower:.6g} with these {self.arrangements} "
                f"arrangements ({how}); others are not covered: no certificate of the training problem"
            )
        if self.vacuous:
            return (
                f"objective {self.upper:.6g}; the lower bound {self.lower:.3g} is vacuous ({how}): it says "
                "no more than that losses are not negative"
            )
        return (
            f"objective {self.upper:.6g}, global optimum at least {self.lower:.6g}: "
            f"gap {self.gap:.2g}, {100 * self.relative_gap:.2g} % of the objective ({how})"
        )


class Output:
    """The training problem of one output, in coordinates of the row space.

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
    ) -> None:
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
        """The dual point (n, 1) of predictions (n, 1), which are shifted by the best intercept first."""
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
        linear = algebra.norm(algebra.product(self.rows.T, theta))
        return max(bound, math.hypot(linear, self.residual * algebra.norm(theta)))

    def spectral(self, theta: Vector) -> float:
        return math.hypot(spectral_norm(self.rows, theta), self.residual * algebra.norm(theta))

    def tree_bound(self, theta: Vector, most: Callable[[Vector], float]) -> float:
        r"""Bound on ``abs(theta @ h)`` over trees h of path norm 1, by one on units, ``most(theta)``.

        All edge signs +1: h is the sum over leaves of ``relu(Z @ v)``: at most ``sqrt(paths) most(theta)``.
        Otherwise, with k < paths leaves that reach the root by edges of sign +1 alone, ``0 <= h <= sum`` of
        these leaves' outputs; for ``theta = a - b`` with its positive and negative part, and the sign +,
        ``theta @ h <= a @ h <= sqrt(k) most(a)``. At depth 3 also ``h >= g`` for the root's pre-activation g,
        so for any t in [0, 1] ``theta @ h <= a @ relu(g) - t b @ g``, which is at most the sum over leaves of
        sign + of ``(a - t b) @ relu(Z v)`` and over the others of ``t b @ relu(Z v)``: by Cauchy-Schwarz
        ``sqrt(k most(a - t b)^2 + (paths - k) t^2 most(b)^2)``.
        """
        if self.paths == 1:
            return most(theta)
        whole = most(theta)
        bound = np.sqrt(self.paths) * whole
        for positive, negative in (
            (np.maximum(theta, 0), np.maximum(-theta, 0)),
            (np.maximum(-theta, 0), np.maximum(theta, 0)),
        ):
            k = np.arange(1, self.paths)
            squares = [k * most(positive) ** 2]
            if len(self.width) == 1:
                other = most(negative) ** 2
                for t in SHARES:
                    plus = whole if t == 1 else most(positive - t * negative)
                    squares.append(k * plus**2 + (self.paths - k) * t**2 * other)
            bound = max(bound, float(np.sqrt(np.min(squares, axis=0).max())))
        return float(bound)


@dataclass
class Solved:
    """Solution of a convex program."""

    objective: float
    penalty: float
    theta: NDArray[np.float64]  # (n, 1)
    blocks: check.Rows


def solved(
    output: Output,
    X: NDArray[np.float64],
    arrangements: Arrangements,
    alpha: float,
    tol: float,
    init: check.Rows | None = None,
) -> Solved:
    """The program over rows X, those of the output or part of their columns."""
    problem = replace(output.problem, X=X)
    options = _core.SolveOptions(
        tol=tol, max_iter=MOST_STEPS, fit_intercept=output.fit_intercept, threads=output.threads
    )
    solution = run(problem, arrangements, alpha, options, init, output.watch)
    network = solution.network()
    f = network.predict(X, n_threads=output.threads).reshape(-1, 1).astype(np.float64, copy=False)
    return Solved(solution.objective, alpha * network.path_norm(), output.theta(f), solution.blocks)


class Master:
    """The depth-2 program over a growing set of gates, solved from where it was."""

    def __init__(self, output: Output, gates: NDArray[np.float64], X: NDArray[np.float64]) -> None:
        self.output = output
        self.X = np.ascontiguousarray(X)
        self.gates = gates
        self.blocks: check.Rows | None = None
        self.linear: check.Rows | None = None  # the block of the skip connection

    def add(self, gates: NDArray[np.float64]) -> None:
        self.gates = np.concatenate([self.gates, gates])
        if self.blocks is not None:
            new = np.zeros((len(gates), *self.blocks.shape[1:]), self.blocks.dtype)
            self.blocks = np.concatenate([self.blocks, new])

    def solve(self, alpha: float, tol: float) -> Solved:
        gates = self.gates if len(self.gates) else np.zeros((1, self.X.shape[1]))  # of no arrangement
        arrangements = Arrangements.from_gates(self.X, gates, n_threads=self.output.threads)
        kept = arrangements.source_index
        init = None if self.blocks is None else self.blocks[kept]
        if self.output.skip:
            arrangements = arrangements.with_skip_connection()
            if init is not None and self.linear is not None:
                init = np.concatenate([init, self.linear])
        result = solved(self.output, self.X, arrangements, alpha, tol, init)
        self.gates = gates[kept]
        self.blocks, self.linear = result.blocks[: len(kept)], result.blocks[len(kept) :]
        return result


@dataclass
class Correlation:
    """What is known of the largest ``abs(theta @ relu(Z @ u))`` over unit u."""

    bound: float
    points: NDArray[np.float64]  # (k, r), the largest first
    n_nodes: int = 0
    complete: bool = True  # or the nodes, or the time, did not last


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
                bound = min(bound, spectral_norm(self.Z, theta))
                return Correlation(bound, points[values > floor], nodes, False)
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
        if not complete:
            bound = min(bound, spectral_norm(self.Z, theta))
        return Correlation(bound, points[values > floor], nodes, complete)


@dataclass
class Bound:
    """The best lower bound of one output so far, and how it came about."""

    method: str = "solver"
    lower: float = -np.inf
    correlation: float = np.inf  # over alpha
    best_objective: float = np.inf
    n_rounds: int = 0
    n_nodes: int = 0
    kappa: int | None = None
    tight: bool = False  # the bound converges to P*

    def improve(self, lower: float, correlation: float) -> None:
        if lower > self.lower:
            self.lower, self.correlation = lower, correlation


def column_generation(
    output: Output,
    master: Master,
    oracle: Oracle,
    residual: float,
    alpha: float,
    upper: float,
    tol: float,
    max_rounds: int,
    result: Bound,
) -> NDArray[np.float64]:
    """Depth 2: solve, find the sub-networks that the dual point leaves out most, add them, solve again.

    Until the relative gap of this program over all arrangements is `tol`, or the oracle gives up; returns the
    last dual point. It improves `result` where that program is the training problem.
    """
    accuracy, share, lower, best = 1e-3, 1.0, -np.inf, np.inf
    for _ in range(max_rounds):
        result.n_rounds += 1
        solution = master.solve(alpha, accuracy)
        best = min(best, solution.objective)
        reference = min(upper, best)
        # Scaling theta down by 1 + t costs about t times the penalty.
        slack = min(max(share * 0.5 * tol * reference / max(solution.penalty, 1e-300), 1e-10), 0.05)
        found = oracle(np.ascontiguousarray(solution.theta[:, 0]), alpha, slack, stop=True)
        result.n_nodes += found.n_nodes
        bound = math.hypot(found.bound, residual * algebra.norm(solution.theta))
        bound = output.largest(solution.theta, bound)
        value = output.lower(solution.theta, bound, alpha)
        lower = max(lower, value)
        if result.tight:
            result.best_objective = best
            result.improve(value, bound / alpha)
        gap = reference - lower
        if gap <= tol * reference or oracle.spent:
            break
        if len(found.points):
            master.add(found.points[:NEW_GATES])
        elif accuracy <= LEAST_TOL or not found.complete:
            break
        else:
            share = max(0.5 * share, 1e-3)
        accuracy = max(min(accuracy / 3, 0.02 * gap / max(output.start, 1e-300)), LEAST_TOL)
    return solution.theta


def over_alphas(
    output: Output,
    dual: Callable[[float], NDArray[np.float64]],
    most: Callable[[Vector], float],
    result: Bound,
    spent: Callable[[], bool],
) -> None:
    """For a bound that is not tight: dual points of programs with smaller alpha.

    If the bound at the dual point of the program with alpha' is B, the point times alpha / B is feasible. The
    best has B = alpha, which takes some alpha' < alpha.
    """
    alpha, best = output.alpha, -np.inf
    for _ in range(ALPHAS):
        theta = dual(alpha)
        if spent():  # this point depends on where it was cut off
            break
        bound = output.largest(theta, output.tree_bound(np.ascontiguousarray(theta[:, 0]), most))
        value = output.lower(theta, bound)
        result.improve(value, bound / output.alpha)
        if value <= best * 1.001 or bound <= 1.01 * output.alpha or spent():
            break
        best = value
        alpha *= max(output.alpha / bound, 0.1)


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


def certify(
    net: ParallelReLUNetwork,
    X: ArrayLike,
    y: ArrayLike,
    alpha: float,
    method: str = "auto",
    *,
    loss: str = "squared_error",
    quantile: float | None = None,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
    bias: bool | None = None,
    fit_intercept: bool | None = None,
    arrangements: Arrangements | None = None,
    kappa: int | None = None,
    tol: float | None = None,
    max_rounds: int = 100,
    max_nodes: int = 1_000_000,
    n_threads: int | None = None,
    max_seconds: float | None = None,
) -> Certificate:
    r"""Bound how far a network is from the global optimum of its training problem.

    For any dual point theta that sums to zero where there is an intercept, and any B with
    ``abs(theta @ h(X)) <= B`` for all sub-networks h of path norm 1, the dual objective at
    ``theta * alpha / B`` is a lower bound on the optimum P*. The methods differ in B. Those that can find the
    sub-network which correlates most with theta add it to the convex program and take the next theta from
    there, until the relative gap is `tol`.

    Parameters
    ----------
    net : ParallelReLUNetwork
        The training problem is that over rows centered and scaled as this network does it, where its path
        norm is measured; depth and width are those of the network.
    X : array-like of shape (n_rows, n_features)
        Raw rows.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        As for `ParallelReLUNetwork.objective`. Outputs are problems of their own, whose bounds add up.
    alpha : float
        Above 0.
    method : {"auto", "enumeration", "branch_and_bound", "low_rank", "spectral", "solver"}
        By the rank r of the scaled rows with the bias column, and for n rows:

        - "enumeration": over all arrangements. Depth 2, r <= 3: the exact maximum in O(n^2 log n) time a
          round and O(n) memory; converges to P*. Deeper: where all joint arrangements can be listed, as
          `enumerate_arrangements` does for a handful of rows, the program over them; else as below.
        - "branch_and_bound": the same maximum to within a tolerance, over cones that are halved until their
          bounds are low enough; r up to 6 or so. Valid however early `max_nodes` stops it.
        - "low_rank": the maximum on the kappa leading principal scores, to one percent by branch and bound,
          and ``sigma_{kappa+1}`` of the rows for the rest: ``B^2 = B_kappa^2 + (sigma_{kappa+1} |theta|)^2``.
          For fixed kappa, linear in n and d for every cone looked into.
        - "spectral": by eigenvalues, O(n r^2); any size, loose.
        - "solver": the optimum over the arrangements given or, without, those of the network itself. It says
          nothing about others, and is no bound on P*.
        - "auto": "enumeration" for r <= 3, "branch_and_bound" for r <= 6, else the best of "low_rank",
          "spectral" and, for r <= 12, a short "branch_and_bound".

        From depth 3 on (but for listed joint arrangements) B comes from units' maxima and grows up to
        ``sqrt(paths)`` times too large, so the gap does not close.
    loss, quantile, threshold
        As for `solve`, but "log_loss" for two classes only, and losses with kinks ("absolute_error",
        "quantile") with the method "solver" only.
    sample_weight : array-like of shape (n_rows,), optional
    bias, fit_intercept : bool, optional
        Whether the problem has a column of ones (penalised) and an intercept (not penalised). By default as
        the network has: if some leaf bias, or the intercept, is not zero.
    arrangements : Arrangements, optional
        For "solver": of the scaled rows, with the bias column last if there is one.
    kappa : int, optional
        For "low_rank", from 0 to 16; by default that of 0 to 6 with the best bound for the network's theta.
    tol : float, optional
        Relative gap to reach; by default 1e-6 for "enumeration" and "solver", 0.01 for "branch_and_bound".
    max_rounds : int, default=100
        Most programs solved for each output.
    max_nodes : int, default=1_000_000
        Most cones "branch_and_bound" looks into for each output; more of them never lower the bound.
        "low_rank" looks into 50,000 for each theta.
    n_threads : int, optional
        Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one. The result
        does not depend on it.
    max_seconds : float, optional
        Return the best bound so far after this time; if there is none yet, that of "spectral".

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, of the wrong kind or shape, or the method is not for this rank.

    Examples
    --------
    >>> import numpy as np
    >>> import pathrelu as pr
    >>> X = np.random.default_rng(0).standard_normal((30, 2))
    >>> y = np.abs(X[:, 0])
    >>> network = pr.search(X, y, alpha=0.01, random_state=0).network()
    >>> certificate = pr.certify(network, X, y, alpha=0.01)
    >>> certificate.method, certificate.relative_gap < 1e-4
    ('enumeration', True)
    """
    begin = time.perf_counter()
    watch = Watch(max_seconds=max_seconds)
    if isinstance(net, GatedReLUNetwork):
        raise TypeError(
            "net is a GatedReLUNetwork, whose gates are not its own patterns: it is no candidate for the "
            "training problem of ReLU networks; expected a ParallelReLUNetwork"
        )
    check.instance(net, ParallelReLUNetwork, "net")
    alpha = check.penalty(alpha)
    method = check.choice(method, "method", METHODS)
    loss = check.choice(loss, "loss", losses.NAMES)
    if kappa is not None:
        if method != "low_rank":
            raise ValueError(f"kappa is {kappa!r} with the method {method!r}; it is for 'low_rank'")
        kappa = check.count(kappa, "kappa", 0, MOST_BRANCH_RANK)
    if tol is not None:
        tol = check.positive(tol, "tol")
    max_rounds = check.count(max_rounds, "max_rounds")
    max_nodes = check.count(max_nodes, "max_nodes")
    threads = check.threads(n_threads)
    value = losses.parameter(loss, quantile, threshold)
    if loss in losses.KINKED and method != "solver":
        raise ValueError(
            f"loss is {loss!r}, which has kinks, with the method {method!r}; expected the method 'solver'"
        )
    upper = net.objective(
        X, y, alpha, loss=loss, quantile=quantile, threshold=threshold, sample_weight=sample_weight
    )
    biases = bool(net.leaf_bias.any() or (net.skip_bias is not None and net.skip_bias.any()))
    has_bias = biases if bias is None else check.switch(bias, "bias")
    has_intercept = (
        bool(net.intercept.any()) if fit_intercept is None else check.switch(fit_intercept, "fit_intercept")
    )
    if biases and not has_bias:
        raise ValueError("bias is False, but the network has biases: it is no candidate for that problem")
    if net.intercept.any() and not has_intercept:
        raise ValueError(
            "fit_intercept is False, but the network has an intercept: it is no candidate for that problem"
        )

    raw = check.rows(X)
    if losses.core_name(loss, net.n_outputs) == "multinomial":
        raise ValueError(
            f"the network has {net.n_outputs} classes, whose joint softmax has no certificate; expected two"
        )
    if loss in losses.BINARY and net.classes is not None and np.ndim(y) == 1:
        y = net._encode(np.asarray(y))
    target, _ = check.targets(y, len(raw), loss)
    data = Data(
        raw.astype(np.float64), target, check.raw_weights(sample_weight, len(raw)), loss, parameter=value
    )
    training = TrainingProblem(data, Scaling.of(net, has_bias), "relu")
    table, weight, leaves = training.X, training.w, training.scaling.trees(net.leaf_weights, net.leaf_bias)
    if arrangements is not None:
        if method != "solver":
            raise ValueError(f"arrangements were given with the method {method!r}; they are for 'solver'")
        check.instance(arrangements, Arrangements, "arrangements")
        if (arrangements.n_rows, arrangements.width) != (len(table), net.width):
            raise ValueError(
                f"arrangements are of {arrangements.n_rows} rows and width {arrangements.width}; expected "
                f"{len(table)} and {net.width}"
            )

    bounds: list[Bound] = []
    covered = 0
    used = weight > 0
    space = RowSpace.of(table[used], float(np.finfo(raw.dtype).eps))
    for c, program in enumerate(training.programs()):
        own = net.output_index == c
        if method == "solver":
            groups = arrangements
            if groups is None:
                if not own.any() and not net.skip_connection:
                    raise ValueError("the network has no sub-network and so no arrangements; give some")
                trees, signs = leaves[own], net.edge_signs[own]
                if not own.any():  # a tree of no arrangement
                    trees, signs = np.zeros((1, *leaves.shape[1:])), np.ones((1, signs.shape[1]), np.int8)
                groups = Arrangements.from_trees(table, trees, signs, width=net.width, n_threads=threads)
            if net.skip_connection:
                groups = groups.with_skip_connection()
            options = _core.SolveOptions(
                tol=tol or 1e-6, max_iter=10_000, fit_intercept=has_intercept, threads=threads
            )
            solution = run(program, groups, alpha, options, None, watch)
            bounds.append(Bound("solver", solution.dual_objective, 1.0, solution.objective, 1))
            covered += len(groups)
            continue
        rows = space.left * space.values if space.rank else np.zeros((int(used.sum()), 1))
        problem = replace(
            program, X=rows, y=np.ascontiguousarray(program.y[used]), w=check.unit_mean(weight[used])
        )
        output = Output(
            problem, alpha, has_intercept, net.width, threads, net.skip_connection, space.residual, watch
        )
        gates = algebra.product(leaves[own], space.basis if space.rank else np.zeros((leaves.shape[2], 1)))
        share = upper if net.n_outputs == 1 else np.inf
        bounds.append(bounded(output, space, gates, method, share, kappa, tol, max_rounds, max_nodes))
    details: dict[str, Any] = {
        "rank": space.rank,
        "tight": all(bound.tight for bound in bounds),
        "correlation": max(bound.correlation for bound in bounds),
        "n_rounds": sum(bound.n_rounds for bound in bounds),
        "n_nodes": sum(bound.n_nodes for bound in bounds),
    }
    best = sum(bound.best_objective for bound in bounds)
    if np.isfinite(best):
        details["best_objective"] = best
    kappas = [bound.kappa for bound in bounds]
    if kappas != [None] * len(bounds):
        details["kappa"] = kappas[0] if len(kappas) == 1 else kappas
    return Certificate(
        upper=upper,
        lower=sum(bound.lower for bound in bounds),
        method=" and ".join(sorted({bound.method for bound in bounds})),
        arrangements=covered if method == "solver" else None,
        seconds=time.perf_counter() - begin,
        details=details,
    )


def bounded(
    output: Output,
    space: RowSpace,
    gates: NDArray[np.float64],
    method: str,
    upper: float,
    kappa: int | None,
    tol: float | None,
    max_rounds: int,
    max_nodes: int,
) -> Bound:
    """The lower bound of one output by a method, from the leaf weights (K, paths, r) of its sub-networks."""
    rows, rank, n = output.rows, space.rank, len(output.rows)
    if method == "enumeration" and rank > EXACT_RANK:
        raise ValueError(
            f"the scaled rows have rank {rank}, and method='enumeration' is for ranks up to {EXACT_RANK}; "
            "try 'branch_and_bound' or 'auto'"
        )
    if method == "branch_and_bound" and rank > MOST_BRANCH_RANK:
        raise ValueError(
            f"the scaled rows have rank {rank}, and method='branch_and_bound' is for ranks up to "
            f"{MOST_BRANCH_RANK}; try 'low_rank', 'spectral' or 'auto'"
        )
    starts = gates.reshape(-1, rows.shape[1])
    if output.paths > 1 and method in ("auto", "enumeration") and rank <= EXACT_RANK:
        complete = listed(output, tol or 1e-6)
        if complete is not None:
            return complete if output.watch.left > 0 else at_least_spectral(output, complete)
    if method == "auto":
        if rank <= 2 or (rank <= EXACT_RANK and n <= EXACT_ROWS):
            method = "enumeration"
        elif rank <= BRANCH_RANK:
            method = "branch_and_bound"
        else:
            names = ["spectral", "low_rank"]
            if rank <= SHORT_BRANCH_RANK:
                names.append("branch_and_bound")
            tries: list[Bound] = []
            for name in names:
                nodes = min(max_nodes, SHORT_NODES)
                tries.append(bounded(output, space, gates, name, upper, None, tol, max_rounds, nodes))
                if tries[-1].lower >= (1 - (tol or 1e-6)) * upper or output.watch.left <= 0:
                    break
            return max(tries, key=lambda bound: bound.lower)

    result = Bound(method=method)
    master = Master(output, starts, rows)
    if method in ("enumeration", "branch_and_bound"):
        result.tight = output.paths == 1
        branch = method == "branch_and_bound" and rank > 0
        first = FIRST_NODES if output.paths == 1 else max_nodes
        oracle = (
            BranchOracle(rows, output.threads, max_nodes, first, output.watch)
            if branch
            else ExactOracle(rows[:, :rank], output.threads, output.watch)
        )

        def total(found: Correlation, theta: Vector) -> float:
            result.n_nodes += found.n_nodes
            return math.hypot(found.bound, space.residual * algebra.norm(theta))

        if output.paths == 1:
            goal = tol or (1e-2 if branch else 1e-6)
            while True:
                column_generation(
                    output, master, oracle, space.residual, output.alpha, upper, goal, max_rounds, result
                )
                best = min(upper, result.best_objective)
                if oracle.spent or best - result.lower <= goal * best or not isinstance(oracle, BranchOracle):
                    break
                # The nodes of one look do not do: theta of smaller alpha, then more nodes for each look. What
                # happens is the same for any `max_nodes`, which only says when it ends.
                smaller, share = output.alpha, result.correlation
                for _ in range(RETRIES):
                    if oracle.spent or not 1 < share < np.inf:
                        break
                    smaller *= max(1 / share, 0.1)
                    theta = master.solve(smaller, 1e-5).theta
                    bound = total(oracle(theta[:, 0].copy(), output.alpha, 1e-2), theta)
                    share = output.largest(theta, bound) / output.alpha
                    result.improve(output.lower(theta, share * output.alpha), share)
                if oracle.each >= max_nodes:
                    break
                oracle.each *= 4
            return at_least_spectral(output, result)

        def most(theta: Vector) -> float:
            return total(oracle(theta, 0.0, 2e-2), theta)

        def dual(alpha: float) -> NDArray[np.float64]:
            return column_generation(output, master, oracle, space.residual, alpha, np.inf, 1e-2, 20, result)

        over_alphas(output, dual, most, result, lambda: oracle.spent)
        return at_least_spectral(output, result)

    def out_of_time() -> bool:
        return output.watch.left <= 0

    def own_dual(alpha: float) -> NDArray[np.float64]:
        return master.solve(alpha, 1e-5).theta

    if method == "spectral":
        over_alphas(
            output,
            own_dual,
            output.spectral,
            result,
            out_of_time,
        )
        return at_least_spectral(output, result)

    def leading(k: int) -> tuple[BranchOracle, Callable[[Vector], float]]:
        scores = BranchOracle(rows[:, :k], output.threads, 2**62, SHORT_NODES, output.watch)
        rest, largest = rows[:, k:rank], float(space.values[k]) if k < rank else 0.0
        return scores, low_rank_bound(scores, rest, largest, space.residual)

    if kappa is None:
        theta = np.ascontiguousarray(own_dual(output.alpha)[:, 0])
        kappa = min(range(min(rank, BRANCH_RANK) + 1), key=lambda k: leading(k)[1](theta))
    result.kappa = kappa = min(kappa, rank)
    scores, most_k = leading(kappa)
    over_alphas(output, own_dual, most_k, result, out_of_time)
    if kappa > 0 and not out_of_time():
        # The dual point of the program on the leading scores, which the paper's approximation solves.
        approximate = Master(output, starts[:, :kappa], rows[:, :kappa])

        def approximate_dual(alpha: float) -> NDArray[np.float64]:
            return column_generation(output, approximate, scores, 0.0, alpha, np.inf, 1e-2, 20, result)

        over_alphas(output, approximate_dual, most_k, result, out_of_time)
    return at_least_spectral(output, result) if out_of_time() else result


def at_least_spectral(output: Output, result: Bound) -> Bound:
    """The bound of a method that may have been cut off, or "spectral" at the best constant network."""
    theta = output.theta(np.zeros_like(output.problem.y))
    bound = output.largest(theta, output.tree_bound(np.ascontiguousarray(theta[:, 0]), output.spectral))
    value = output.lower(theta, bound)
    if value > result.lower:
        result.method, result.tight = "spectral", False
        result.improve(value, bound / output.alpha)
    return result


def low_rank_bound(
    scores: BranchOracle, rest: NDArray[np.float64], largest: float, residual: float
) -> Callable[[Vector], float]:
    """Bound on ``abs(theta @ relu(Z @ u))`` for Z = Z_k + R with orthogonal row spaces.

    relu(z u) and relu(z_k u) differ by at most ``abs(r u)``. If cos of the length of u lies in the row space
    of Z_k and sin in that of R, the sum is at most cos times the maximum on Z_k plus sin times
    `residual_norm`.
    """

    def most(theta: Vector) -> float:
        other = math.hypot(residual_norm(rest, largest, theta), residual * algebra.norm(theta))
        return math.hypot(scores(theta, 0.0, 1e-2).bound, other)

    return most


def listed(output: Output, tol: float) -> Bound | None:
    """The program over all joint arrangements of deeper trees, or None if there are too many."""
    rows = output.problem.X
    if output.watch.left <= 0:
        return None
    limit = None if np.isinf(output.watch.left) else output.watch.left
    try:
        arrangements = enumerate_arrangements(
            rows, len(output.width) + 2, output.width, TINY, n_threads=output.threads, max_seconds=limit
        )
    except (ValueError, TimeoutError):
        return None
    if output.skip:
        arrangements = arrangements.with_skip_connection()
    options = _core.SolveOptions(
        tol=0.1 * tol, max_iter=10_000, fit_intercept=output.fit_intercept, threads=output.threads
    )
    solution = run(output.problem, arrangements, output.alpha, options, None, output.watch)
    result = Bound(method="enumeration", tight=True, n_rounds=1, best_objective=solution.objective)
    result.improve(solution.dual_objective, 1.0)
    return result
