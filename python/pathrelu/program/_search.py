"""The search for arrangements."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pathrelu import _core
from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu._watch import Callback, Watch
from pathrelu.arrangements import Arrangements
from pathrelu.network._assembly import subnetworks
from pathrelu.program._problem import Problem
from pathrelu.program._slide import Trees
from pathrelu.program._solution import Solution
from pathrelu.program._solve import solver_options, warn_of_float32, warn_of_gap


def run_search(
    problem: Problem,
    alpha: float,
    width: list[int],
    options: _core.SolveOptions,
    search_options: _core.SearchOptions,
    watch: Watch,
    start: Solution | Trees | None = None,
) -> Solution:
    """`search` after its checks, and without its warning; from the trees of an earlier one, or from trees."""
    problem.require_gates()
    core, leaves, blocks, omega, intercept, report, n_rounds, n_starts = _core.search(
        problem.core,
        alpha,
        width,
        options,
        search_options,
        watch.core(searching=True),
        trees_of(start) if isinstance(start, Solution) else start,
    )
    watch.note(report.stopped)
    leaves[core.linear] = 0
    arrangements = Arrangements(core, leaves.reshape(len(core), core.paths, problem.X.shape[1]))
    directions = omega if len(omega) else None
    solution = problem.solution(
        report, arrangements, alpha, blocks, intercept, n_rounds, n_starts, directions
    )
    return solution if search_options.rough else pruned(problem, solution, options.threads, watch)


def trees_of(solution: Solution) -> Trees | None:
    """Trees to search from.

    Leaves are the weights of the sub-networks or, of a gated network, their gates. None if there are none.
    """
    leaves, edge_signs, directions = [], [], []
    for k, (arrangements, blocks) in enumerate(solution.parts):
        group, side = subnetworks(arrangements, blocks)
        gates = arrangements.gates
        trees = blocks[group, side] if solution.activation == "relu" or gates is None else gates[group]
        leaves.append(trees.reshape(len(group), math.prod(trees.shape[1:])).astype(np.float64))
        edge_signs.append(arrangements.signs[group])
        if solution.directions is None:
            omega = np.zeros((len(group), len(solution.parts)))
            omega[:, k] = 1 - 2 * side
        else:
            omega = solution.directions[group]
        directions.append(omega)
    if not any(map(len, leaves)):
        return None
    omega = np.concatenate(directions)
    return (
        np.ascontiguousarray(np.concatenate(leaves)),
        np.ascontiguousarray(np.concatenate(edge_signs), dtype=np.int8),
        omega,
        np.zeros(len(omega), np.uint8),
        np.zeros(0),
    )


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
    for part in blocks if blocks.ndim == 5 else blocks[np.newaxis]:
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


def search(
    X: ArrayLike,
    y: ArrayLike,
    alpha: float,
    *,
    depth: int = 2,
    width: int | Sequence[int] = 4,
    activation: str = "relu",
    skip_connection: bool = False,
    outputs: str = "auto",
    n_starts: int | None = None,
    max_rounds: int | None = None,
    prune: bool | None = None,
    random_state: check.RandomState = None,
    loss: str = "squared_error",
    quantile: float | None = None,
    threshold: float | None = None,
    monotonic_cst: ArrayLike | Mapping[Any, int] | None = None,
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
    outputs : {"auto", "shared", "separate"}, default="auto"
        "shared": each sub-network feeds all outputs, in a direction that is found with it; "separate": each
        feeds one. "auto" is shared. Of no account for one output.
    n_starts : int, optional
        Starts of each round; None for the default of the compiled part.
    max_rounds : int, optional
        Most rounds; None for the default of the compiled part.
    prune : bool, optional
        Deprecated, and gone in version 0.2: it has no effect, for every search ends with sub-networks whose
        outputs on X are independent, as `ParallelReLUNetwork.prune` would leave them.
    random_state : int, RandomState, Generator or None, default=None
        Where random starts come from.
    loss, quantile, threshold, sample_weight, fit_intercept, tol, max_iter
        As for `solve`.
    monotonic_cst : array-like of int of shape (n_features,), dict of int, or None, default=None
        As for `solve`: every network that the search meets is monotone. Gates of "gated" depend on the other
        columns alone. Not for shared outputs, nor for several classes.
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
    FutureWarning
        If `prune` is given.

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
    settings = search_options(n_starts, max_rounds, random_state, skip_connection, outputs)
    if prune is not None:
        check.switch(prune, "prune")
        warnings.warn(
            "prune of search has no effect, for every search ends pruned; it will be gone in version 0.2: "
            "leave it out",
            FutureWarning,
            stacklevel=2,
        )
    problem = Problem.check(X, y, activation, loss, sample_weight, quantile, threshold, monotonic_cst)
    if settings.shared:
        problem.require_apart("outputs='separate'")
    watch = Watch(callback, on_interrupt, max_seconds)
    warn_of_float32(problem, options.tol)
    with watch:
        solution = run_search(problem, alpha, shape, options, settings, watch)
    warn_of_gap([solution], options.tol, watch)
    return solution


def search_options(
    n_starts: int | None,
    max_rounds: int | None,
    random_state: check.RandomState,
    skip_connection: bool,
    outputs: str,
) -> _core.SearchOptions:
    options = _core.SearchOptions(
        seed=check.seed(random_state),
        skip_connection=check.switch(skip_connection, "skip_connection"),
        shared=check.choice(outputs, "outputs", check.OUTPUTS) != "separate",
    )
    if n_starts is not None:
        options.n_starts = check.count(n_starts, "n_starts")
    if max_rounds is not None:
        options.max_rounds = check.count(max_rounds, "max_rounds")
    return options
