"""The convex program over given arrangements, its path in alpha, and the search for arrangements."""

from __future__ import annotations

import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from pathrelu import _core, losses
from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu.arrangements import Arrangements
from pathrelu.low_rank import LowRank, principal_components, ratio_bound, scores
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork, assemble, subnetworks

__all__ = [
    "Path",
    "Record",
    "Solution",
    "alpha_max",
    "search",
    "solve",
    "solve_low_rank",
    "solve_path",
]

# float32 blocks hold 6e-8 of each weight; below ten times that a gap says nothing about the rounded blocks.
FLOAT32_TOL = 1e-6


@dataclass(frozen=True)
class Record:
    """State of a solve at one check of the gap, or of a search after one of its programs.

    Attributes
    ----------
    n_iter : int
    objective, dual_objective, gap : float
    n_active : int
        Blocks that are not zero.
    seconds : float
        Since the start of the solve or the search.
    round : int
        Of a search, from 1; else how many working sets of groups have been solved over.
    n_groups : int
        In the working set; of a search, in the set of arrangements reached.
    target_gap : float
        The gap at which this program counts as solved.
    searching : bool
        Whether the record is of a search, whose end the gap does not tell.

    The last four are 0 and False in records from files of versions without them.
    """

    n_iter: int
    objective: float
    dual_objective: float
    gap: float
    n_active: int
    seconds: float
    round: int = 0
    n_groups: int = 0
    target_gap: float = 0.0
    searching: bool = False


Callback = Callable[[Record], object]


class Watch:
    """What may end the programs of one call before they are solved: an interrupt, the callback, the clock.

    With ``on_interrupt="return"``, Ctrl-C is only noted inside a ``with`` statement, so that no
    KeyboardInterrupt is raised between two calls of the core. A second one is raised.
    """

    def __init__(
        self,
        callback: Callback | None = None,
        on_interrupt: str = "raise",
        max_seconds: float | None = None,
    ) -> None:
        self.callback: Callback | None = check.function(callback)
        self.at_interrupt = check.choice(on_interrupt, "on_interrupt", ("raise", "return")) == "return"
        self.limit = math.inf if max_seconds is None else check.positive(max_seconds, "max_seconds")
        self.begin = time.monotonic()
        self.stopped_by = ""
        self.seconds = 0.0  # until it was stopped
        self._handles = False

    def __enter__(self) -> Self:
        self._handles = (
            self.at_interrupt
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._handles:
            signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handles:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self.stopped_by:
            signal.default_int_handler(number, frame)
        self.stop("an interrupt")

    def arguments(self, searching: bool = False) -> tuple[_core._Callback, Callable[[], bool] | None, float]:
        """The last arguments of the core's functions. A program after a stop ends at once."""
        left = 0.0 if self.stopped_by else self.left
        callback = self.callback
        wanted = (lambda: bool(self.stopped_by)) if self.at_interrupt else None
        if callback is None or self.stopped_by:
            return None, wanted, left

        def record(row: _core._Row) -> None:
            try:
                callback(Record(*row, searching))
            except StopIteration:
                self.stop("its callback")
                raise

        return record, wanted, left

    @property
    def left(self) -> float:
        """Seconds until the time is up."""
        return max(0.0, self.limit - (time.monotonic() - self.begin))

    def stop(self, cause: str) -> None:
        if not self.stopped_by:
            self.stopped_by = cause
            self.seconds = time.monotonic() - self.begin

    def note(self, report: _core.Report) -> None:
        if report.stopped:
            late = time.monotonic() - self.begin >= self.limit
            self.stop(f"max_seconds={self.limit:g}" if late else "an interrupt")


@dataclass(frozen=True, eq=False)
class Solution:
    """What `solve`, `search` and `solve_low_rank` return.

    Attributes
    ----------
    objective, dual_objective, gap : float
        Value of the program, a lower bound on its optimum, and their difference. The bound covers the
        arrangements of this solution, not those left out.
    converged : bool
        Whether `relative_gap` is at most `tol`, and a search came to its end.
    n_iter : int
    n_active : int
        Blocks that are not zero, which is the number of sub-networks; a skip connection is one of them.
    alpha : float
    blocks : ndarray of shape (P, 2, paths, n_features) for "relu", (P, 1, paths, n_features) for "gated"
        In the dtype of X. For "relu", the second axis is the output sign: +1, then -1. A leading axis of
        outputs if `y` had two dimensions or several classes. Of a linear group only ``[:, 0, 0]`` is used.
    intercept : float or ndarray of shape (n_outputs,)
    arrangements : Arrangements
    activation, loss : str
    objective_at_zero : float
        Objective of the network that is constant: zero or, with an intercept, the best constant.
    history : list of Record
    n_rounds, n_starts : int or None
        Of a search: rounds made, and starts of the last one, which all found nothing better; 0 starts if the
        search stopped for another reason.
    low_rank : LowRank or None
        Of `solve_low_rank`: the subspace, and its guarantee. `dual_objective` and `gap` are then those of the
        program over the rows projected on the subspace.
    interrupted : bool
        Whether an interrupt, the callback or `max_seconds` ended the solve or the search early. This is then
        the best point found until then, with its own objective and gap.
    rounding : float
        Objectives up to this are of networks that fit the targets up to rounding.
    """

    objective: float
    dual_objective: float
    gap: float
    converged: bool
    n_iter: int
    n_active: int
    alpha: float
    blocks: check.Rows = field(repr=False)
    intercept: float | NDArray[np.float64]
    arrangements: Arrangements
    activation: str
    loss: str
    objective_at_zero: float
    history: list[Record] = field(repr=False)
    n_rounds: int | None = None
    n_starts: int | None = None
    low_rank: LowRank | None = None
    interrupted: bool = False
    rounding: float = 0.0

    @property
    def relative_gap(self) -> float:
        """The gap over `objective_at_zero`, or `rounding` if that is more, which is what `tol` bounds."""
        return self.gap / max(self.objective_at_zero, self.rounding, np.finfo(np.float64).tiny)

    @property
    def parts(self) -> list[tuple[Arrangements, check.Rows]]:
        """The arrangements and the blocks (P, S, paths, n_features) of each output."""
        blocks = self.blocks if self.blocks.ndim == 5 else self.blocks[np.newaxis]
        return [(self.arrangements, block) for block in blocks]

    def network(self) -> ParallelReLUNetwork | GatedReLUNetwork:
        """The network that the blocks stand for: one sub-network for each block that is not zero.

        Returns
        -------
        ParallelReLUNetwork or GatedReLUNetwork
            By `activation`. A gated network needs the gates of its arrangements.
        """
        return assemble(
            self.parts,
            relu=self.activation == "relu",
            intercept=np.atleast_1d(self.intercept),
        )


@dataclass(frozen=True, eq=False)
class Path:
    """Solutions along decreasing values of alpha, as `solve_path` returns them.

    Attributes
    ----------
    alphas, objectives, gaps : ndarray of shape (n_alphas,)
    solutions : list of Solution
    """

    alphas: NDArray[np.float64]
    solutions: list[Solution] = field(repr=False)

    @property
    def objectives(self) -> NDArray[np.float64]:
        """Objective of each solution."""
        return np.array([solution.objective for solution in self.solutions])

    @property
    def gaps(self) -> NDArray[np.float64]:
        """Duality gap of each solution."""
        return np.array([solution.gap for solution in self.solutions])

    def __len__(self) -> int:
        return len(self.solutions)


@dataclass(frozen=True, eq=False)
class Problem:
    """Checked data of a program."""

    X: check.Rows
    y: NDArray[np.float64]  # (n, outputs)
    single: bool  # y came without an axis of outputs
    w: NDArray[np.float64]
    activation: str
    loss: str
    core_loss: _core._Loss  # what the core makes it of

    @classmethod
    def check(
        cls,
        X: ArrayLike,
        y: ArrayLike,
        activation: str,
        loss: str,
        sample_weight: ArrayLike | None,
        quantile: float | None = None,
        threshold: float | None = None,
    ) -> Problem:
        activation = check.choice(activation, "activation", check.ACTIVATIONS)
        loss = check.choice(loss, "loss", losses.NAMES)
        value = losses.parameter(loss, quantile, threshold)
        table = check.rows(X)
        target, single = check.targets(y, len(table), loss)
        check.representable(table, "X", 4)
        check.representable(target, "y", 2)
        if losses.core_name(loss, target.shape[1]) in losses.BINARY and not single:
            raise ValueError(f"y has shape {target.shape}; {loss} expects ({len(table)},)")
        weight = check.weights(sample_weight, len(table))
        losses.check_targets(target, weight, loss)
        core_loss = losses.specification(loss, value, target, weight)
        return cls(table, target, single, weight, activation, loss, core_loss)

    def require(self, arrangements: Arrangements) -> None:
        if not isinstance(arrangements, Arrangements):
            raise TypeError(f"arrangements has type {type(arrangements).__name__}; expected Arrangements")
        if arrangements.n_rows != len(self.X):
            raise ValueError(
                f"arrangements are of {arrangements.n_rows} rows; expected {len(self.X)}, as X has"
            )

    def block_shape(self, arrangements: Arrangements) -> tuple[int, ...]:
        signs = 2 if self.activation == "relu" else 1
        return (self.y.shape[1], len(arrangements), signs, arrangements.paths, self.X.shape[1])

    def solution(
        self,
        report: _core.Report,
        arrangements: Arrangements,
        alpha: float,
        blocks: NDArray[np.float64],
        intercept: NDArray[np.float64],
        n_rounds: int | None = None,
        n_starts: int | None = None,
    ) -> Solution:
        result = check.narrowed(blocks.reshape(self.block_shape(arrangements)), self.X.dtype, "weights")
        return Solution(
            objective=report.objective,
            dual_objective=report.dual_objective,
            gap=report.gap,
            converged=report.converged,
            n_iter=report.n_iter,
            n_active=report.n_active,
            alpha=alpha,
            blocks=result[0] if self.single else result,
            intercept=float(intercept[0]) if self.single else intercept,
            arrangements=arrangements,
            activation=self.activation,
            loss=self.loss,
            objective_at_zero=report.objective_at_zero,
            history=[Record(*row, n_rounds is not None) for row in report.history],
            n_rounds=n_rounds,
            n_starts=n_starts,
            interrupted=report.stopped,
            rounding=report.rounding,
        )


def solver_options(
    tol: float, max_iter: int, fit_intercept: bool, n_threads: int | None
) -> _core.SolveOptions:
    return _core.SolveOptions(
        tol=check.positive(tol, "tol"),
        max_iter=check.count(max_iter, "max_iter"),
        fit_intercept=check.switch(fit_intercept, "fit_intercept"),
        threads=check.threads(n_threads),
    )


def start(
    problem: Problem, arrangements: Arrangements, init: Solution | ArrayLike | None
) -> tuple[check.Doubles, check.Doubles]:
    """Blocks (C, P, S, paths * d) and intercept (C,) to start from; fresh ones, which the core overwrites."""
    shape = problem.block_shape(arrangements)
    flat = (*shape[:3], shape[3] * shape[4])
    if init is None:
        return np.zeros(flat), np.zeros(shape[0])
    expected = shape[1:] if problem.single else shape
    if isinstance(init, Solution):
        blocks = check.array_of(init.blocks, expected, "init.blocks")
        intercept = np.array(init.intercept, dtype=np.float64).reshape(shape[0])
    else:
        blocks = check.array_of(init, expected, "init")
        intercept = np.zeros(shape[0])
    own = np.array(blocks, dtype=np.float64).reshape(shape)
    own[:, arrangements.linear, :, 1:] = 0  # paths on which nothing depends
    return own.reshape(flat), intercept


def run(
    problem: Problem,
    arrangements: Arrangements,
    alpha: float,
    options: _core.SolveOptions,
    init: Solution | ArrayLike | None = None,
    watch: Watch | None = None,
) -> Solution:
    """`solve` after its checks, and without its warning."""
    watch = watch or Watch()
    blocks, intercept = start(problem, arrangements, init)
    report = _core.solve(
        problem.X,
        problem.y,
        problem.w,
        arrangements.core,
        alpha,
        problem.core_loss,
        problem.activation == "relu",
        options,
        blocks,
        intercept,
        *watch.arguments(),
    )
    watch.note(report)
    return problem.solution(report, arrangements, alpha, blocks, intercept)


def run_search(
    problem: Problem,
    alpha: float,
    width: list[int],
    options: _core.SolveOptions,
    search_options: _core.SearchOptions,
    watch: Watch,
    start: Solution | None = None,
) -> Solution:
    """`search` after its checks, and without its warning; from the trees of an earlier one."""
    core, leaves, blocks, intercept, report, n_rounds, n_starts = _core.search(
        problem.X,
        problem.y,
        problem.w,
        alpha,
        width,
        problem.core_loss,
        problem.activation == "relu",
        options,
        search_options,
        *watch.arguments(searching=True),
        None if start is None else trees_of(start),
    )
    watch.note(report)
    leaves[core.linear] = 0
    arrangements = Arrangements(core, leaves.reshape(len(core), core.paths, problem.X.shape[1]))
    solution = problem.solution(report, arrangements, alpha, blocks, intercept, n_rounds, n_starts)
    return pruned(problem, solution, options.threads, watch)


def trees_of(
    solution: Solution,
) -> tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.int8], NDArray[np.int64]] | None:
    """Leaves (K, paths * d), edge signs (K, edges), output signs (K) and outputs (K) to search from.

    Leaves are the weights of the sub-networks or, of a gated network, their gates. None if there are none.
    """
    leaves, edge_signs, output_sign, output = [], [], [], []
    for k, (arrangements, blocks) in enumerate(solution.parts):
        group, side = subnetworks(arrangements, blocks)
        gates = arrangements.gates
        trees = blocks[group, side] if solution.activation == "relu" or gates is None else gates[group]
        leaves.append(trees.reshape(len(group), math.prod(trees.shape[1:])).astype(np.float64))
        edge_signs.append(arrangements.signs[group])
        output_sign.append(1 - 2 * side)
        output.append(np.full(len(group), k))
    if not any(map(len, leaves)):
        return None
    return (
        np.ascontiguousarray(np.concatenate(leaves)),
        np.ascontiguousarray(np.concatenate(edge_signs), dtype=np.int8),
        np.concatenate(output_sign).astype(np.int8),
        np.concatenate(output).astype(np.int64),
    )


class Projection:
    """Programs over the leading principal scores of rows, and their solutions over the rows themselves."""

    def __init__(self, X: check.Rows, w: check.Doubles, rank: int) -> None:
        self.rows = X
        self.core_loss: _core._Loss = ""
        self.components, self.residual = principal_components(X, w, rank)
        self.scores = scores(X, self.components)

    def project(self, problem: Problem) -> Problem:
        self.core_loss = problem.core_loss
        return replace(problem, X=self.scores)

    def lift(self, found: Solution, problem: Problem) -> Solution:
        """The solution of the projected problem over the rows, with its objective and gap there.

        A row on the edge of a gate may be on the other side of the lifted one.
        """
        arrangements = found.arrangements
        gates = None if arrangements.gates is None else algebra.product(arrangements.gates, self.components)
        guarantee = ratio_bound(
            *_core.loss_bounds(self.core_loss, len(found.parts)),
            len(self.scores),
            arrangements.paths,
            self.residual,
            found.alpha,
            found.objective,
        )
        lifted = replace(
            found,
            blocks=check.narrowed(algebra.product(found.blocks, self.components), self.rows.dtype, "weights"),
            arrangements=Arrangements(arrangements.core, gates, arrangements.source_index),
            low_rank=LowRank(len(self.components), self.components, self.residual, guarantee),
        )
        y = problem.y[:, 0] if problem.single else problem.y
        objective = lifted.network().objective(
            self.rows, y, found.alpha, loss=found.loss, sample_weight=problem.w
        )
        gap = max(objective - found.dual_objective, 0.0)
        # Twice the tolerance, for blocks that are rounded.
        converged = found.converged and gap <= 2 * found.history[-1].target_gap
        return replace(lifted, objective=objective, gap=gap, converged=converged)


def pruned(problem: Problem, solution: Solution, threads: int, watch: Watch | None = None) -> Solution:
    """The solution whose network is that of `solution` after `prune`: its blocks rescaled, some to zero.

    As it is if there was an interrupt.
    """
    watch = watch or Watch()
    if watch.stopped_by:
        return solution
    network = solution.network()
    try:
        factors = network.fewest_subnetworks(problem.X, threads)
    except KeyboardInterrupt:
        if not watch.at_interrupt:
            raise
        watch.stop("an interrupt")
        return replace(solution, converged=False, interrupted=True)
    blocks = solution.blocks.copy()
    begin = 0
    for part in blocks[np.newaxis] if problem.single else blocks:
        group, side = subnetworks(solution.arrangements, part)
        part[group, side] *= factors[begin : begin + len(group), np.newaxis, np.newaxis].astype(part.dtype)
        begin += len(group)
    saved = solution.alpha * algebra.inner(network.subnetwork_norms(), 1 - factors)
    return replace(
        solution,
        blocks=blocks,
        objective=solution.objective - saved,
        gap=max(solution.gap - saved, 0.0),
        n_active=solution.n_active - int((factors == 0).sum()),
    )


def warn_of_float32(problem: Problem, tol: float, stacklevel: int = 3) -> None:
    if problem.X.dtype == np.float32 and tol < FLOAT32_TOL:
        warnings.warn(
            f"tol is {tol:g}, and X is float32: blocks are rounded to float32 afterwards, which moves their "
            f"objective by about 1e-7 of its value; pass float64 rows, or tol >= {FLOAT32_TOL:g}",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )


def warn_of_gap(solutions: Sequence[Solution], tol: float, watch: Watch, stacklevel: int = 3) -> None:
    """One warning about those that did not converge, stating the worst."""
    late = [solution for solution in solutions if not solution.converged]
    if not late:
        return
    worst = max(late, key=lambda solution: solution.relative_gap)
    stopped = watch.stopped_by and f"stopped by {watch.stopped_by} after {watch.seconds:.1f} s; "
    advice = "" if stopped else "; raise max_iter or tol"
    which = (
        ""
        if len(solutions) == 1
        else f"{len(late)} of {len(solutions)} programs did not converge; the worst: "
    )
    warnings.warn(
        f"{stopped}{which}duality gap {worst.gap:.2e} (relative {worst.relative_gap:.2e}, tol {tol:.0e}) "
        f"after {worst.n_iter} iterations, objective {worst.objective:.6g}{advice}",
        ConvergenceWarning,
        stacklevel=stacklevel,
    )


def solve(
    X: ArrayLike,
    y: ArrayLike,
    arrangements: Arrangements,
    alpha: float,
    *,
    activation: str = "relu",
    loss: str = "squared_error",
    quantile: float | None = None,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    init: Solution | ArrayLike | None = None,
    n_threads: int | None = None,
    callback: Callback | None = None,
    on_interrupt: str = "raise",
    max_seconds: float | None = None,
) -> Solution:
    r"""Solve the convex program over the given arrangements.

    .. math:: \min_V \; \frac1n \sum_i w_i \, \ell\Big(b + \sum_g B_g (V_g^+ - V_g^-), y\Big)_i
              + \alpha \sum_g (\|V_g^+\|_F + \|V_g^-\|_F) \quad \text{s.t. } V_g^\pm \in K_g

    with `B_g V` the sum over paths p of ``signs[p] * mask[p] * (X @ V[p])``.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        float32 and float64 are solved as they are, other numbers as float64. A C-ordered array of either is
        not copied. There is no column of ones unless X has one.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        For "log_loss" and "squared_hinge" one dimension, with two values from {0, 1} or {-1, +1}. For
        "log_loss" also C > 2 classes as whole numbers, in whose order there is an output for each, or rows of
        one 1 and zeros of the shape (n_rows, C).
    arrangements : Arrangements
        Of the same rows; `Arrangements.with_skip_connection` adds a linear sub-network.
    alpha : float
        Weight of the path norm against the *mean* loss, above 0: without the penalty the convex program is no
        longer the training problem of a network.
    activation : {"relu", "gated"}, default="relu"
        "relu" keeps every block in the cone where its patterns are the true ones, and so gives a ReLU
        network; "gated" leaves blocks free and gives a gated ReLU network.
    loss : str, default="squared_error"
        Of "squared_error", "absolute_error", "quantile", "huber", "poisson", "gamma", "log_loss" and
        "squared_hinge", in this order: ``(f - y)**2 / 2``; ``|f - y|``; ``q * (y - f)`` for f below y and
        ``(1 - q) * (f - y)`` above, for ``q = quantile``; ``(f - y)**2 / 2`` up to ``|f - y| = t`` and
        ``t * (|f - y| - t / 2)`` beyond, for the `threshold` t; half the deviance of counts ("poisson", y of
        at least 0) and of amounts ("gamma", y above 0) whose mean is ``exp(f)``; with y in {-1, +1},
        ``log(1 + exp(-y * f))`` and ``max(0, 1 - y * f)**2 / 2``. With several classes "log_loss" is that of
        their joint softmax, ``logsumexp(f) - f[y]``; the intercepts then sum to zero.
    quantile : float, optional
        Level of "quantile", between 0 and 1; None for 0.5.
    threshold : float, optional
        Of "huber", in units of the spread of each column of y: its weighted median absolute deviation over
        that of normal numbers of standard deviation 1, or its standard deviation where that is 0. None for 1
        in the units of y themselves.
    sample_weight : array-like of shape (n_rows,), optional
        Not negative, not all zero; scaled to mean 1.
    fit_intercept : bool, default=False
        Whether to have an intercept, which is not penalised.
    tol : float, default=1e-6
        Stop when the duality gap is at most `tol` times the objective at zero.
    max_iter : int, default=10000
    init : Solution or array-like like `Solution.blocks`, optional
        Where to start.
    n_threads : int, optional
        Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one. The result
        does not depend on it.
    callback : callable, optional
        Called with a `Record` at every check of the gap, in a search after every program solved. What it
        raises stops the solve and is raised again, except StopIteration: then the best point so far is
        returned. See also `pathrelu.progress.Live`.
    on_interrupt : {"raise", "return"}, default="raise"
        What Ctrl-C does: raise KeyboardInterrupt, or return the best point so far. In threads other than the
        main one Python sees no Ctrl-C.
    max_seconds : float, optional
        Return the best point so far after this time.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong kind or shape.

    Warns
    -----
    ConvergenceWarning
        If the gap is still above `tol` after `max_iter` iterations or a stop, which it then names, or `tol`
        is below 1e-6 with float32 rows.

    Examples
    --------
    >>> import numpy as np
    >>> import pathrelu as pr
    >>> X = np.array([[-2.0, 1], [-1, 1], [0, 1], [1, 1], [2, 1]])  # the second column is the bias
    >>> y = np.maximum(X[:, 0], 0)
    >>> arrangements = pr.sample_arrangements(X, 10, random_state=0)
    >>> solution = pr.solve(X, y, arrangements, alpha=0.01)
    >>> solution.converged, solution.gap < 1e-6
    (True, True)
    >>> solution.network().predict([[1.5, 1]]).round(1)
    array([1.5])
    """
    options = solver_options(tol, max_iter, fit_intercept, n_threads)
    alpha = check.penalty(alpha)
    problem = Problem.check(X, y, activation, loss, sample_weight, quantile, threshold)
    problem.require(arrangements)
    watch = Watch(callback, on_interrupt, max_seconds)
    warn_of_float32(problem, options.tol)
    with watch:
        solution = run(problem, arrangements, alpha, options, init, watch)
    warn_of_gap([solution], options.tol, watch)
    return solution


def alpha_max(
    X: ArrayLike,
    y: ArrayLike,
    arrangements: Arrangements,
    *,
    activation: str = "relu",
    loss: str = "squared_error",
    quantile: float | None = None,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    n_threads: int | None = None,
) -> float:
    """Smallest alpha at which the constant network is optimal over the given arrangements.

    Parameters
    ----------
    X, y, arrangements, activation, loss, quantile, threshold, sample_weight, fit_intercept, n_threads
        As for `solve`.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> import pathrelu as pr
    >>> X, y = np.array([[1.0], [2], [-1]]), np.array([1.0, 2, 0])
    >>> arrangements = pr.enumerate_arrangements(X)
    >>> largest = pr.alpha_max(X, y, arrangements)  # (1 * 1 + 2 * 2) / 3
    >>> round(largest, 4)
    1.6667
    >>> pr.solve(X, y, arrangements, 0.99 * largest).n_active
    1
    """
    intercept = check.switch(fit_intercept, "fit_intercept")
    threads = check.threads(n_threads)
    problem = Problem.check(X, y, activation, loss, sample_weight, quantile, threshold)
    problem.require(arrangements)
    return largest_alpha(problem, arrangements, intercept, threads)


def largest_alpha(problem: Problem, arrangements: Arrangements, fit_intercept: bool, threads: int) -> float:
    return _core.alpha_max(
        problem.X,
        problem.y,
        problem.w,
        arrangements.core,
        problem.core_loss,
        problem.activation == "relu",
        fit_intercept,
        threads,
    )


def solve_path(
    X: ArrayLike,
    y: ArrayLike,
    arrangements: Arrangements,
    alphas: ArrayLike | None = None,
    n_alphas: int = 100,
    eps: float = 1e-3,
    *,
    activation: str = "relu",
    loss: str = "squared_error",
    quantile: float | None = None,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    init: Solution | ArrayLike | None = None,
    n_threads: int | None = None,
    callback: Callback | None = None,
    on_interrupt: str = "raise",
    max_seconds: float | None = None,
) -> Path:
    """Solve the program for decreasing values of alpha, each from the solution before it.

    Parameters
    ----------
    X, y, arrangements
        As for `solve`.
    alphas : array-like of shape (n_alphas,), optional
        In any order, all above 0; they are solved from the largest down. By default `n_alphas` values in
        geometric progression from `alpha_max` down to ``eps * alpha_max``.
    n_alphas : int, default=100
    eps : float, default=1e-3
        Between 0 and 1.
    activation, loss, quantile, threshold, sample_weight, fit_intercept, tol, max_iter, init, n_threads
        As for `solve`; `init` is for the largest alpha.
    callback, on_interrupt, max_seconds
        As for `solve`, for all values of alpha together.

    Returns
    -------
    Path
        Up to the value of alpha at which it was stopped.

    Warns
    -----
    ConvergenceWarning
        Once, if some gap is still above `tol` after `max_iter` iterations.

    Examples
    --------
    >>> import numpy as np
    >>> import pathrelu as pr
    >>> X = np.random.default_rng(0).standard_normal((50, 3))
    >>> y = np.abs(X[:, 0])
    >>> path = pr.solve_path(X, y, pr.sample_arrangements(X, 20, random_state=0), n_alphas=5, eps=0.1)
    >>> path.alphas[0] > path.alphas[-1], path.solutions[0].n_active
    (np.True_, 0)
    """
    options = solver_options(tol, max_iter, fit_intercept, n_threads)
    n_alphas = check.count(n_alphas, "n_alphas")
    eps = check.between_0_and_1(eps, "eps")
    given = None
    if alphas is not None:
        given = check.penalties(alphas, "alphas")
    problem = Problem.check(X, y, activation, loss, sample_weight, quantile, threshold)
    problem.require(arrangements)
    start(problem, arrangements, init)
    watch = Watch(callback, on_interrupt, max_seconds)
    warn_of_float32(problem, options.tol)

    if given is None:
        largest = largest_alpha(problem, arrangements, options.fit_intercept, options.threads)
        if not largest > 0:
            raise ValueError(
                "alphas is None, and there is no grid: the constant network is optimal for every alpha"
            )
        given = algebra.geometric_grid(largest, eps, n_alphas)
    grid = np.sort(given)[::-1]
    solutions: list[Solution] = []
    with watch:
        for alpha in grid.tolist():
            previous = solutions[-1] if solutions else init
            solutions.append(run(problem, arrangements, alpha, options, previous, watch))
            if watch.stopped_by:
                break
    warn_of_gap(solutions, options.tol, watch)
    return Path(grid[: len(solutions)], solutions)


def search(
    X: ArrayLike,
    y: ArrayLike,
    alpha: float,
    *,
    depth: int = 2,
    width: int | Sequence[int] = 4,
    activation: str = "relu",
    skip_connection: bool = False,
    n_starts: int | None = None,
    max_rounds: int | None = None,
    prune: bool = False,
    random_state: check.RandomState = None,
    loss: str = "squared_error",
    quantile: float | None = None,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    n_threads: int | None = None,
    callback: Callback | None = None,
    on_interrupt: str = "raise",
    max_seconds: float | None = None,
) -> Solution:
    """Solve the program over arrangements that are searched for as well.

    The set grows where a new sub-network would lower the objective, the leaf weights of all sub-networks
    slide together, and the program over the arrangements reached is solved exactly; again until a number of
    starts finds nothing better. In the end sub-networks that nearly coincide become one where this does not
    raise the objective, and a vertex of the solutions over these arrangements is taken. The gap of the result
    covers its own arrangements. That nothing better was found is the outcome of a search, not a certificate.

    Parameters
    ----------
    X, y, alpha
        As for `solve`.
    depth : int, default=2
        Number of layers of weights, at least 2.
    width : int or sequence of int, default=4
        ``(m_1, ..., m_{L-2})``; an integer stands for each of them, and means nothing at depth 2.
    activation : {"relu", "gated"}, default="relu"
    skip_connection : bool, default=False
        Whether the network has a linear sub-network too.
    n_starts : int, optional
        Starts of each round; None for the default of the compiled part.
    max_rounds : int, optional
        Most rounds; None for the default of the compiled part.
    prune : bool, default=False
        Without effect: a search ends with sub-networks whose outputs on X are independent, as
        `ParallelReLUNetwork.prune` would leave them.
    random_state : int, RandomState, Generator or None, default=None
        Where random starts come from.
    loss, quantile, threshold, sample_weight, fit_intercept, tol, max_iter
        As for `solve`.
    n_threads, callback, on_interrupt, max_seconds
        As for `solve`.

    Returns
    -------
    Solution
        Its `arrangements` holds the final set; `n_rounds` and `n_starts` say how far the search went.

    Warns
    -----
    ConvergenceWarning
        As `solve`, about the last program.

    Examples
    --------
    >>> import numpy as np
    >>> import pathrelu as pr
    >>> X = np.random.default_rng(0).standard_normal((50, 3))
    >>> y = np.abs(X[:, 0])
    >>> found = pr.search(X, y, alpha=0.001, random_state=0)
    >>> found.n_active  # |x| = max(x, 0) + max(-x, 0)
    2
    """
    options = solver_options(tol, max_iter, fit_intercept, n_threads)
    alpha = check.penalty(alpha)
    shape = check.tree_width(depth, width)
    settings = search_options(n_starts, max_rounds, random_state, skip_connection)
    check.switch(prune, "prune")
    problem = Problem.check(X, y, activation, loss, sample_weight, quantile, threshold)
    watch = Watch(callback, on_interrupt, max_seconds)
    warn_of_float32(problem, options.tol)
    with watch:
        solution = run_search(problem, alpha, shape, options, settings, watch)
    warn_of_gap([solution], options.tol, watch)
    return solution


def solve_low_rank(
    X: ArrayLike,
    y: ArrayLike,
    alpha: float,
    rank: int,
    *,
    arrangements: Callable[[NDArray[np.float64]], Arrangements] | None = None,
    depth: int = 2,
    width: int | Sequence[int] = 4,
    activation: str = "relu",
    skip_connection: bool = False,
    n_starts: int | None = None,
    max_rounds: int | None = None,
    prune: bool = False,
    random_state: check.RandomState = None,
    loss: str = "squared_error",
    quantile: float | None = None,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    tol: float = 1e-6,
    max_iter: int = 10_000,
    n_threads: int | None = None,
    callback: Callback | None = None,
    on_interrupt: str = "raise",
    max_seconds: float | None = None,
) -> Solution:
    """Solve the program over the leading principal scores of the rows, and map the weights back.

    With V the leading right singular vectors of the rows (not centered), networks of the scores ``X @ V`` are
    those networks of X that see no more of a row than its projection on V. For fixed `rank` the number of
    their arrangements is polynomial in that of rows. ``solution.low_rank.guarantee`` bounds what is lost.

    Parameters
    ----------
    X, y, alpha
        As for `solve`.
    rank : int
        How many scores; at most as many as X has rows and columns are used.
    arrangements : callable, optional
        Takes the scores (n_rows, rank) and returns their arrangements, over which the program is then solved:
        all of them, for a proof, or some. By default they are searched for.
    depth, width, n_starts, max_rounds, random_state
        As for `search`; not used with `arrangements`.
    activation, skip_connection, prune
        As for `search`.
    loss, quantile, threshold, sample_weight, fit_intercept, tol, max_iter
        As for `solve`.
    n_threads, callback, on_interrupt, max_seconds
        As for `solve`.

    Returns
    -------
    Solution
        Over the rows X: blocks, gates and network take rows of `n_features` columns, and the objective is
        that of the network. The gap covers networks of the scores.

    Warns
    -----
    ConvergenceWarning
        As `solve`.

    References
    ----------
    T. Ergen and M. Pilanci, "Path Regularization", NeurIPS 2023, section on approximation by low rank.

    Examples
    --------
    >>> import numpy as np
    >>> import pathrelu as pr
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 2)) @ rng.standard_normal((2, 30))  # 30 columns of rank 2
    >>> y = np.maximum(X[:, 0], 0)
    >>> solution = pr.solve_low_rank(X, y, 0.01, 2, arrangements=pr.enumerate_arrangements)
    >>> solution.blocks.shape[-1], round(solution.low_rank.guarantee, 6)
    (30, 1.0)
    """
    options = solver_options(tol, max_iter, fit_intercept, n_threads)
    alpha = check.penalty(alpha)
    rank = check.count(rank, "rank")
    shape = check.tree_width(depth, width)
    settings = search_options(n_starts, max_rounds, random_state, skip_connection)
    prune = check.switch(prune, "prune")
    if arrangements is not None and not callable(arrangements):
        raise TypeError(
            f"arrangements has type {type(arrangements).__name__}; expected None or a function of the scores"
        )
    problem = Problem.check(X, y, activation, loss, sample_weight, quantile, threshold)
    watch = Watch(callback, on_interrupt, max_seconds)
    warn_of_float32(problem, options.tol)

    projection = Projection(problem.X, problem.w, rank)
    problem = projection.project(problem)
    if arrangements is None:
        with watch:
            solution = run_search(problem, alpha, shape, options, settings, watch)
    else:
        given = arrangements(projection.scores.copy())
        problem.require(given)
        if settings.skip_connection:
            given = given.with_skip_connection()
        with watch:
            solution = run(problem, given, alpha, options, None, watch)
    if prune:
        solution = pruned(problem, solution, options.threads, watch)
    solution = projection.lift(solution, problem)
    warn_of_gap([solution], options.tol, watch)
    return solution


def search_options(
    n_starts: int | None, max_rounds: int | None, random_state: check.RandomState, skip_connection: bool
) -> _core.SearchOptions:
    options = _core.SearchOptions(
        seed=check.seed(random_state), skip_connection=check.switch(skip_connection, "skip_connection")
    )
    if n_starts is not None:
        options.n_starts = check.count(n_starts, "n_starts")
    if max_rounds is not None:
        options.max_rounds = check.count(max_rounds, "max_rounds")
    return options
