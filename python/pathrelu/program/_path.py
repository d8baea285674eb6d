"""The program along decreasing values of alpha."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu._watch import Callback, Watch
from pathrelu.arrangements import Arrangements
from pathrelu.program._problem import Problem
from pathrelu.program._solution import Path, Solution
from pathrelu.program._solve import largest_alpha, run, solver_options, start, warn_of_float32, warn_of_gap


def solve_path(
    X: ArrayLike,
    y: ArrayLike,
    arrangements: Arrangements,
    alphas: ArrayLike | None = None,
    n_alphas: int = 100,
    eps: float = 1e-3,
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
    directions, activation, loss, quantile, threshold, monotonic_cst, sample_weight, fit_intercept
        As for `solve`.
    tol, max_iter
        As for `solve`.
    init, n_threads
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
    problem = Problem.check(X, y, activation, loss, sample_weight, quantile, threshold, monotonic_cst)
    problem.require(arrangements)
    omega = None if directions is None else problem.unit_directions(directions, arrangements)
    start(problem, arrangements, init, omega is not None)
    watch = Watch(callback, on_interrupt, max_seconds)
    warn_of_float32(problem, options.tol)

    if given is None:
        largest = largest_alpha(problem, arrangements, options.fit_intercept, options.threads, omega)
        given = alpha_grid(largest, eps, n_alphas, "alphas is None")
    grid = np.sort(given)[::-1]
    solutions: list[Solution] = []
    with watch:
        for alpha in grid.tolist():
            previous = solutions[-1] if solutions else init
            solutions.append(run(problem, arrangements, alpha, options, previous, watch, omega))
            if watch.stopped_by:
                break
    warn_of_gap(solutions, options.tol, watch)
    return Path(grid[: len(solutions)], solutions)


def alpha_grid(largest: float, eps: float, n_alphas: int, asked: str) -> NDArray[np.float64]:
    """Values in geometric progression from `largest` down to `eps` times it; `asked` says for what."""
    if not largest > 0:
        raise ValueError(f"{asked}, and there is no grid: a constant is optimal for every alpha")
    return algebra.geometric_grid(largest, eps, n_alphas)
