"""The automatic alpha."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _linear_algebra as algebra
from pathrelu.program._problem import Problem
from pathrelu.program._solution import Solution

AUTOMATIC_SHARE = 0.3  # chosen on the development tables of bench/tables.py, as is the number of fits
AUTOMATIC_FITS = 3
LEAST_FALL = 0.9  # of alpha from fit to fit, for which another one pays


def solve_at_automatic_alpha(
    problem: Problem,
    rough: Callable[[float, Any], Solution],
    solve: Callable[[float, Any], Solution],
    start: Any,
    stopped: Callable[[], bool],
    threads: int,
) -> Solution:
    """The solution at the automatic alpha, which each of a few rough fits lowers, while it does so by enough.

    Both functions take alpha and what to start from: `start`, then the fit before.
    """
    alpha = automatic_alpha(problem)
    for _ in range(AUTOMATIC_FITS - 1):
        fit = rough(alpha, start)
        if stopped():
            return fit
        lower = automatic_alpha(problem, _fitted(problem, fit, threads))
        start = fit
        if lower > LEAST_FALL * alpha:
            break
        alpha = lower
    return solve(alpha, start)


def automatic_alpha(problem: Problem, fitted: NDArray[np.float64] | None = None) -> float:
    """A share of the score that noise would reach.

    With gradients g_i of the loss, a pattern D scores ``|X' D g| / n``. The root mean square of that over
    random signs of g is at most ``rms(g) * rms(|x_i|) / sqrt(n)``. As in the scaled lasso (Sun & Zhang 2012),
    g is that of a fit with these outputs; without one, that of the best constant. n is Kish's effective
    number of rows.
    """
    share = problem.w / len(problem.w)
    gradient = _loss_gradient(problem, _constant(problem) if fitted is None else fitted)
    noise = float(np.mean(algebra.weighted_sum(share, gradient**2)))
    if problem.loss in (
        "squared_error",
        "huber",
    ):  # no less than a constant target leaves: the rounding of its mean
        mean = float(np.abs(algebra.weighted_sum(share, problem.y)).max())
        noise = max(noise, (len(share) * np.finfo(np.float64).eps * mean) ** 2)
    rows = algebra.inner(share, np.sum(problem.X.astype(np.float64) ** 2, axis=1))
    return AUTOMATIC_SHARE * (math.sqrt(noise * rows * algebra.inner(share, share)) or 1.0)


def _constant(problem: Problem) -> NDArray[np.float64]:
    if problem.loss != "log_loss":
        return _core.best_constant(problem.y, problem.w, problem.core_loss)
    # A class may have too small a part in the weight for 1 less that part, or for a float, to tell.
    sides = [problem.y < 0, problem.y > 0] if problem.single else [problem.y]
    weights = [algebra.weighted_sum(problem.w, side.astype(np.float64)) for side in sides]
    # Not by the logarithm of NumPy, which depends on the instruction set.
    totals = np.array([[math.log(max(w, np.finfo(np.float64).tiny)) for w in row] for row in weights])
    constant: NDArray[np.float64] = totals[-1] - (totals[0] if problem.single else math.log(len(problem.w)))
    return constant


def _fitted(problem: Problem, solution: Solution, threads: int) -> NDArray[np.float64]:
    return (
        solution.network().predict(problem.X, n_threads=threads).astype(np.float64).reshape(problem.y.shape)
    )


def _loss_gradient(problem: Problem, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    outputs = np.ascontiguousarray(np.broadcast_to(outputs, problem.y.shape))
    equal = np.ones(len(outputs))
    return _core.dual_point(outputs, problem.y, equal, problem.core_loss, False) * -float(len(outputs))
