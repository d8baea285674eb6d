"""The training problem over relaxed units: a convex program of size polynomial in rows and columns."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu import losses
from pathrelu._watch import Watch
from pathrelu.arrangements import RowSpace
from pathrelu.certificate._methods import Semidefinite, Spectral, Task
from pathrelu.program._problem import Problem


@dataclass(frozen=True)
class Relaxation:
    """What the relaxed training problem says of the true one, at depth 2.

    Attributes
    ----------
    lower : float
        A lower bound on the optimum of the training problem, re-evaluated in float64 from `theta` alone.
    objective : float
        Of the program over the relaxed outputs that were met, or of the best constant: the optimum of the
        relaxed problem lies between `lower` and this, up to rounding.
    theta : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        The dual point of `lower`: no unit of norm 1, nor the linear part, correlates with it by more than
        alpha.
    units : ndarray of shape (k, n_features)
        The means of the relaxed units that have weight in that program, of norm up to 1: a unit whose mean is
        short is spread over many.
    weights : ndarray of shape (k,)
        What each adds to the path norm, the largest first.
    directions : ndarray of shape (k, n_outputs)
        Which outputs each feeds, of norm 1.
    n_rounds : int
    seconds : float
    """

    lower: float
    objective: float
    theta: NDArray[np.float64] = field(repr=False)
    units: NDArray[np.float64] = field(repr=False)
    weights: NDArray[np.float64] = field(repr=False)
    directions: NDArray[np.float64] = field(repr=False)
    n_rounds: int
    seconds: float


def relaxation(
    X: ArrayLike,
    y: ArrayLike,
    alpha: float,
    *,
    skip_connection: bool = False,
    outputs: str = "auto",
    loss: str = "squared_error",
    quantile: float | None = None,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    tol: float = 1e-3,
    max_rounds: int = 100,
    n_threads: int | None = None,
    max_seconds: float | None = None,
) -> Relaxation:
    r"""Solve the training problem of depth 2 over relaxed units, which bounds it from below.

    A unit u is relaxed to its moments: a mean u and a matrix in place of ``u u.T``, whose outputs are any
    that these allow. Over them training is one convex program, of size polynomial in rows and columns, where
    the true one has a group for each arrangement. It is solved by cutting planes, in O(n r^2 + r^3) time for
    each of up to 60 steps of a round, with r the rank of X. `certify` with "semidefinite" begins with this,
    and goes on below it.

    Parameters
    ----------
    X, y, alpha
        As for `solve`.
    skip_connection : bool, default=False
        Whether the network has a linear part.
    outputs : {"auto", "shared", "separate"}, default="auto"
        As for `search`. Separate outputs whose losses add up are problems of their own: give one at a time.
    loss, quantile, threshold, sample_weight, fit_intercept
        As for `solve`.
    tol : float, default=1e-3
        Share of the objective of a constant by which the relaxed program may stay unsolved.
    max_rounds : int, default=100
        Most cutting planes.
    n_threads : int, optional
        Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one. The result does
        not depend on it.
    max_seconds : float, optional
        Return the best bound so far after this time.

    Returns
    -------
    Relaxation

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, of the wrong kind or shape.

    Examples
    --------
    >>> import numpy as np
    >>> import pathrelu as pr
    >>> X = np.random.default_rng(0).standard_normal((60, 5))
    >>> y = np.maximum(X[:, 0], 0)
    >>> relaxed = pr.relaxation(X, y, 0.1)
    >>> found = pr.search(X, y, 0.1, random_state=0)
    >>> bool(0.9 * found.objective < relaxed.lower <= found.objective)
    True
    """
    begin = time.perf_counter()
    watch = Watch(max_seconds=max_seconds)
    alpha = check.penalty(alpha)
    skip = check.switch(skip_connection, "skip_connection")
    shared = check.choice(outputs, "outputs", check.OUTPUTS) != "separate"
    tol = check.positive(tol, "tol")
    max_rounds = check.count(max_rounds, "max_rounds")
    problem = Problem.check(X, y, "relu", loss, sample_weight, quantile, threshold)
    n_outputs = problem.y.shape[1]
    joint = losses.core_name(problem.loss, n_outputs) == losses.JOINT
    if n_outputs > 1 and not shared and not joint:
        raise ValueError(
            f"y has {n_outputs} outputs, and outputs is 'separate', which makes them problems of their own; "
            "expected one of them at a time"
        )
    rows = problem.X.astype(np.float64, copy=False)
    space = RowSpace.of(rows[problem.w > 0], float(np.finfo(problem.X.dtype).eps))
    task = Task(
        program=problem,
        leaves=np.zeros((0, 1, rows.shape[1])),
        edge_signs=np.zeros((0, 0), np.int8),
        directions=np.zeros((0, n_outputs)) if shared and n_outputs > 1 else None,
        width=(),
        skip_connection=skip,
        alpha=alpha,
        fit_intercept=check.switch(fit_intercept, "fit_intercept"),
        space=space,
        upper=math.inf,
        arrangements=None,
        kappa=None,
        tol=tol,
        max_rounds=max_rounds,
        max_nodes=1,
        threads=check.threads(n_threads),
        watch=watch,
    )
    method = Semidefinite(task)
    method.precision = tol
    theta = method.cut(method.start())
    bound = method.at_least_spectral()
    if bound.method == Spectral.name:  # there was no time for more
        theta = task.output.theta(np.zeros_like(task.output.problem.y)) / max(1.0, bound.correlation)
    columns = method.columns
    used = np.flatnonzero((columns.weights > 0) & ~columns.linear)
    used = used[np.argsort(-columns.weights[used], kind="stable")]
    basis = space.basis if space.rank else np.zeros((rows.shape[1], 1))
    dual = np.zeros((len(rows), n_outputs))
    dual[problem.w > 0] = theta
    return Relaxation(
        lower=bound.lower,
        objective=min(method.limit, bound.best_objective),
        theta=dual[:, 0] if problem.single else dual,
        units=algebra.product(np.ascontiguousarray(columns.units[used]), np.ascontiguousarray(basis.T)),
        weights=columns.weights[used],
        directions=columns.directions[used],
        n_rounds=bound.n_rounds,
        seconds=time.perf_counter() - begin,
    )
