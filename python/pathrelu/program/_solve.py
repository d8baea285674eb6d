"""The convex program over given arrangements."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from pathrelu import _core
from pathrelu import _validation as check
from pathrelu._watch import Callback, Watch
from pathrelu.arrangements import Arrangements
from pathrelu.program._problem import Problem
from pathrelu.program._solution import Solution

# float32 blocks hold 6e-8 of each weight; below ten times that a gap says nothing about the rounded blocks.
FLOAT32_TOL = 1e-6


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
    problem: Problem, arrangements: Arrangements, init: Solution | ArrayLike | None, directed: bool = False
) -> tuple[check.Doubles, check.Doubles]:
    """Blocks (C, P, S, paths * d) and intercept (C,) to start from; fresh ones, which the core overwrites."""
    shape, outputs = problem.block_shape(arrangements, directed), problem.y.shape[1]
    flat = (*shape[:3], shape[3] * shape[4])
    if init is None:
        return np.zeros(flat), np.zeros(outputs)
    expected = shape[1:] if problem.single or directed else shape
    if isinstance(init, Solution):
        blocks = check.array_of(init.blocks, expected, "init.blocks")
        intercept = np.array(init.intercept, dtype=np.float64).reshape(outputs)
    else:
        blocks = check.array_of(init, expected, "init")
        intercept = np.zeros(outputs)
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
    directions: NDArray[np.float64] | None = None,
) -> Solution:
    """`solve` after its checks, and without its warning."""
    return run_with_dual(problem, arrangements, alpha, options, init, watch, directions)[0]


def run_with_dual(
    problem: Problem,
    arrangements: Arrangements,
    alpha: float,
    options: _core.SolveOptions,
    init: Solution | ArrayLike | None = None,
    watch: Watch | None = None,
    directions: NDArray[np.float64] | None = None,
) -> tuple[Solution, check.Doubles]:
    """The same, and the dual point (n, C) that its dual objective is of."""
    watch = watch or Watch()
    blocks, intercept = start(problem, arrangements, init, directions is not None)
    report = _core.solve(
        problem.core, arrangements.core, alpha, options, blocks, intercept, watch.core(), directions
    )
    watch.note(report.stopped)
    solution = problem.solution(report, arrangements, alpha, blocks, intercept, directions=directions)
    return solution, report.dual_point.reshape(problem.y.shape)


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
    directions: ArrayLike | None = None,
    activation: str = "relu",
    loss: str = "squared_error",
    quantile: float | None = None,
    threshold: float | None = None,
    monotonic_cst: ArrayLike | Mapping[Any, int] | None = None,
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

    with `B_g V` the sum over paths p of ``signs[p] * mask[p] * (X @ V[p])``. With directions
    :math:`\omega_g` of the outputs, the sum is that of :math:`B_g V_g \omega_g^T`: one block for each group,
    whose sub-network feeds all outputs and has the path norm :math:`\|V_g\|_F \|\omega_g\|`.

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
    directions : array-like of shape (P, n_outputs), optional
        What each group feeds of the outputs: rows of norm 1. By default every group has two blocks for each
        output, one of either sign (one block if gated), which feed it alone.
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
    monotonic_cst : array-like of int of shape (n_features,), dict of int, or None, default=None
        1 for columns in which no output may fall, -1 where none may rise, 0 for others; a dict has them by
        the column names of a data frame. All weights that a path begins with then have one sign, which is
        sufficient, and a convex constraint: objective and gap are of the program over such networks. Gates
        of "gated", whose network jumps where they switch, must have weights of 0 in these columns. Not for
        `directions` of several outputs, nor for several classes.
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
    problem = Problem.check(X, y, activation, loss, sample_weight, quantile, threshold, monotonic_cst)
    problem.require(arrangements)
    omega = None if directions is None else problem.unit_directions(directions, arrangements)
    watch = Watch(callback, on_interrupt, max_seconds)
    warn_of_float32(problem, options.tol)
    with watch:
        solution = run(problem, arrangements, alpha, options, init, watch, omega)
    warn_of_gap([solution], options.tol, watch)
    return solution


def alpha_max(
    X: ArrayLike,
    y: ArrayLike,
    arrangements: Arrangements,
    *,
    directions: ArrayLike | None = None,
    activation: str = "relu",
    loss: str = "squared_error",
    quantile: float | None = None,
    threshold: float | None = None,
    monotonic_cst: ArrayLike | Mapping[Any, int] | None = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    n_threads: int | None = None,
) -> float:
    """Smallest alpha at which the constant network is optimal over the given arrangements.

    Parameters
    ----------
    X, y, arrangements, directions, activation, loss, quantile, threshold
        As for `solve`.
    monotonic_cst, sample_weight, fit_intercept
        As for `solve`.
    n_threads : int, optional
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
    problem = Problem.check(X, y, activation, loss, sample_weight, quantile, threshold, monotonic_cst)
    problem.require(arrangements)
    omega = None if directions is None else problem.unit_directions(directions, arrangements)
    return largest_alpha(problem, arrangements, intercept, threads, omega)


def largest_alpha(
    problem: Problem,
    arrangements: Arrangements,
    fit_intercept: bool,
    threads: int,
    directions: NDArray[np.float64] | None = None,
) -> float:
    return _core.alpha_max(problem.core, arrangements.core, fit_intercept, threads, directions)
