"""The program over the leading principal scores of the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathrelu import _core
from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu._watch import Callback, Watch
from pathrelu.arrangements import Arrangements
from pathrelu.program._low_rank import LowRank, principal_components, ratio_bound, scores
from pathrelu.program._problem import Problem
from pathrelu.program._search import pruned, run_search, search_options
from pathrelu.program._solution import Solution
from pathrelu.program._solve import run, solver_options, warn_of_float32, warn_of_gap


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

    def lift(self, found: Solution, problem: Problem, threads: int) -> Solution:
        """The solution of the projected problem over the rows, with its objective and gap there.

        A row on the edge of a gate may be on the other side of the lifted one.
        """
        arrangements = found.arrangements
        gates = None if arrangements.gates is None else algebra.product(arrangements.gates, self.components)
        guarantee = ratio_bound(
            *_core.loss_bounds(self.core_loss, problem.y.shape[1]),
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
            self.rows, y, found.alpha, loss=found.loss, sample_weight=problem.w, n_threads=threads
        )
        gap = max(objective - found.dual_objective, 0.0)
        # Twice the tolerance, for blocks that are rounded.
        converged = found.converged and gap <= 2 * found.history[-1].target_gap
        return replace(lifted, objective=objective, gap=gap, converged=converged)


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
    outputs: str = "auto",
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
    depth, width, outputs, n_starts, max_rounds, random_state
        As for `search`; not used with `arrangements`, which feed each output apart.
    activation, skip_connection
        As for `search`.
    prune : bool, default=False
        Whether to end with at most as many sub-networks for each output as there are rows, at the same
        outputs on the scores; see `ParallelReLUNetwork.prune`. A search for arrangements does so in any case.
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
    settings = search_options(n_starts, max_rounds, random_state, skip_connection, outputs)
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
    solution = projection.lift(solution, problem, options.threads)
    warn_of_gap([solution], options.tol, watch)
    return solution
