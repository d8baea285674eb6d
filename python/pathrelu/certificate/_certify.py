"""Certificates: how far a network is from the global optimum of its training problem."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pathrelu import _validation as check
from pathrelu._registry import ESTIMATORS, NETWORKS
from pathrelu._watch import Callback, Record, Watch
from pathrelu.arrangements import Arrangements, RowSpace
from pathrelu.certificate._candidate import Candidate, Given
from pathrelu.certificate._methods import BY_NAME, METHODS, MOST_BRANCH_RANK, Spectral, Task, constant_bound
from pathrelu.certificate._result import Bound, Certificate
from pathrelu.progress import followed, line, showing
from pathrelu.rows.sources import Source


def certify(
    net: Any,
    X: ArrayLike,
    y: ArrayLike,
    alpha: float | None = None,
    method: str = "auto",
    *,
    loss: str | None = None,
    quantile: float | None = None,
    threshold: float | None = None,
    monotonic_cst: ArrayLike | Mapping[Any, int] | None = None,
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
    verbose: int = 0,
    callback: Callback | None = None,
) -> Certificate:
    r"""Bound how far a network is from the global optimum of its training problem.

    For any dual point theta that sums to zero where there is an intercept, and any B with
    ``abs(theta @ h(X)) <= B`` for all sub-networks h of path norm 1, the dual objective at
    ``theta * alpha / B`` is a lower bound on the optimum P*. The methods differ in B. Those that can find the
    sub-network which correlates most with theta add it to the convex program and take the next theta from
    there, until the relative gap is `tol`.

    Parameters
    ----------
    net : ParallelReLUNetwork, GatedReLUNetwork or fitted estimator
        The training problem is that over rows centered and scaled as this network does it, where its path
        norm is measured; depth and width are those of the network. An estimator of this package, with
        cross-validation or without, is certified as it was fitted: with its own alpha, of each target where
        they were trained apart, loss, weights of classes, bias, intercept, skip connection and outputs, on
        rows encoded as those of the fit, of which equal ones are merged as there. One that was trained on
        principal scores or on samples of arrangements is a candidate for the whole problem.
    X : array-like of shape (n_rows, n_features)
        Raw rows: as a rule those of training.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        As for `ParallelReLUNetwork.objective`, or for `fit` of the estimator.
    alpha : float, optional
        Above 0; of a network alone. An estimator has its own.
    method : {"auto", "enumeration", "branch_and_bound", "semidefinite", "low_rank", "spectral", "solver"}
        By the rank r of the scaled rows with the bias column, and for n rows:

        - "enumeration": over all arrangements. Depth 2, r <= 3: the exact maximum in O(n^2 log n) time a
          round and O(n) memory; converges to P*. Deeper: where all joint arrangements can be listed, as
          `enumerate_arrangements` does for a handful of rows, the program over them; else as below.
        - "branch_and_bound": the same maximum to within a tolerance, over cones that are halved until their
          bounds are low enough; r up to 6 or so. Valid however early `max_nodes` stops it.
        - "semidefinite": the maximum over a semidefinite relaxation of units, O(n r^2 + r^3) a step, with
          theta by cutting planes; then below it over trees of half-spaces, until the relative gap is `tol` or
          `max_nodes` are used up. Any rank.
        - "low_rank": the maximum on the kappa leading principal scores, to one percent by branch and bound,
          and ``sigma_{kappa+1}`` of the rows for the rest: ``B^2 = B_kappa^2 + (sigma_{kappa+1} |theta|)^2``.
          For fixed kappa, linear in n and d for every cone looked into.
        - "spectral": by eigenvalues, O(n r^2); any size, loose.
        - "solver": the optimum over the arrangements given or, without, those of the network itself: the
          gates of a gated one. It says nothing about others, and is no bound on P*.
        - "auto": "enumeration" for r <= 3, the better of "branch_and_bound" and "semidefinite" for r <= 6,
          else "semidefinite" or, where six scores are nearly all there is, the better of it and "low_rank".

        Where sub-networks feed several outputs (`ParallelReLUNetwork.shared_outputs`), B is on the norm of
        ``theta.T @ h(X)`` over all outputs: the worst direction of outputs is looked for among the first four
        singular directions of theta, to a share of 0.001 ("enumeration") or 0.01, and the bounds for further
        ones are added by squares. So the gap closes to about that for up to three outputs, or four classes.

        For gated networks P* is over all gates, and bounded by "semidefinite" and "spectral", as if each row
        had a gate of its own, which leaves a gap; "auto" is "semidefinite". For the network's own gates the
        program is convex, and "solver" closes it.

        At depth 3 B comes from units' maxima, and is mostly ``sqrt(paths)`` times that, which trees of equal
        leaves reach; else, and from depth 4 on (but for listed joint arrangements), it is up to
        ``sqrt(paths)`` times too large, and the gap does not close.
    loss, quantile, threshold
        As for `solve`, of a network alone; "squared_error" by default. With an intercept,
        "log_loss" takes no notice of classes that no row with weight has:
        a network can give them any low probability.
    monotonic_cst : array-like of int of shape (n_features,), dict of int, or None, default=None
        As for `solve`, for raw columns, of a network of one output, whose weights must have these signs.
        P* is then that of such networks. "enumeration" is exact over them where at most 20,000 arrangements
        can be listed, and so is "solver" over its own; all other bounds are of networks without the
        constraints, whose optimum is no higher: ``details["monotonic_cst"]`` says which.
    sample_weight : array-like of shape (n_rows,), optional
    bias, fit_intercept : bool, optional
        Whether the problem has a column of ones (penalised) and an intercept (not penalised), of a network
        alone. By default as the network has: if some leaf bias, or the intercept, is not zero.
    arrangements : Arrangements, optional
        For "solver": of the scaled rows, with the bias column last if there is one.
    kappa : int, optional
        For "low_rank", from 0 to 16; by default that of 0 to 6 with the best bound for the network's theta.
    tol : float, optional
        Relative gap to reach; by default 1e-6 for "enumeration" and "solver", 0.001 for "semidefinite",
        0.01 for "branch_and_bound".
    max_rounds : int, default=100
        Most programs solved for each output.
    max_nodes : int, default=1_000_000
        Most cones "branch_and_bound" looks into for each output; more of them never lower the bound. A node
        of "semidefinite", which takes longer, counts as 100 r of them. "low_rank" looks into 50,000 for each
        theta. With `max_seconds`, a large number lets the bound grow until then.
    n_threads : int, optional
        Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one. The result
        does not depend on it.
    max_seconds : float, optional
        Return the best bound so far after this time; if there is none yet, that of "spectral".
    verbose : int, default=0
        1 shows the bounds as they grow; see `pathrelu.progress.Live`. 2 keeps a line for each.
    callback : callable, optional
        Called with a `Record` whenever a bound has been found: ``objective`` is that of the network,
        ``dual_objective`` the best lower bound so far: of outputs that have not been looked into, that of
        "spectral". If it raises StopIteration, the best bound so far is returned.

    Returns
    -------
    Certificate
        If some sub-network of `net` feeds several outputs, over networks whose sub-networks feed all, else
        over those whose sub-networks feed one each: ``details["outputs"]`` says which.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, of the wrong kind or shape, or the method is not for this rank or for
        gated networks.
    NotFittedError
        If an estimator is not fitted.

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
    >>> model = pr.PathReLURegressor(alpha=0.01, random_state=0).fit(X, y)
    >>> certificate = pr.certify(model, X, y)
    >>> certificate.covers, certificate.relative_gap < 1e-3
    ('all ReLU networks of depth 2', True)
    """
    begin = time.perf_counter()
    watch = Watch(max_seconds=max_seconds)
    callback = check.function(callback)
    verbose = check.count(verbose, "verbose", 0)
    own = {
        "alpha": alpha,
        "loss": loss,
        "quantile": quantile,
        "threshold": threshold,
        "bias": bias,
        "fit_intercept": fit_intercept,
        "monotonic_cst": monotonic_cst,
    }
    fitted = ESTIMATORS.has_instance(net)
    if not fitted and not NETWORKS.has_instance(net):
        raise TypeError(
            f"net has type {type(net).__name__}; expected a ParallelReLUNetwork, a GatedReLUNetwork or a "
            "fitted estimator of pathrelu"
        )
    method = check.choice(method, "method", METHODS)
    kind = BY_NAME[method]
    if kappa is not None:
        if "kappa" not in kind.parameters:
            raise ValueError(f"kappa is {kappa!r} with the method {method!r}; it is for 'low_rank'")
        kappa = check.count(kappa, "kappa", 0, MOST_BRANCH_RANK)
    if arrangements is not None:
        if "arrangements" not in kind.parameters:
            raise ValueError(f"arrangements were given with the method {method!r}; they are for 'solver'")
        check.instance(arrangements, Arrangements, "arrangements")
    if tol is not None:
        tol = check.positive(tol, "tol")
    max_rounds = check.count(max_rounds, "max_rounds")
    max_nodes = check.count(max_nodes, "max_nodes")
    threads = check.threads(n_threads)
    if isinstance(X, Source):
        raise TypeError(
            f"X is a source of rows, a {type(X).__name__}, and a certificate needs all rows in memory; "
            "expected an array or table. Over the gates of a network fitted to a source, dual_gap_ is a bound"
        )
    read = Given.estimator if fitted else Given.network_with
    candidate = Candidate(read(net, X, y, sample_weight, own), threads, merge=arrangements is None)
    network, training, upper = candidate.network, candidate.training, candidate.upper
    if training.activation == "gated" and not kind.gated:
        gated = ", ".join(repr(name) for name, other in BY_NAME.items() if other.gated)
        raise ValueError(
            f"method is {method!r}, and net is a gated network, whose gates are free; expected one of {gated}"
        )
    table, weight = training.X, training.w
    leaves = training.scaling.trees(*network.switches())
    if arrangements is not None:
        if training.shared:
            raise ValueError(
                "arrangements were given for a network whose sub-networks feed several outputs each, in "
                "directions that arrangements do not tell; expected None, for the network's own groups"
            )
        if (arrangements.n_rows, arrangements.width) != (len(table), network.width):
            raise ValueError(
                f"arrangements are of {arrangements.n_rows} rows and width {arrangements.width}; expected "
                f"{len(table)} and {network.width}"
            )

    programs = candidate.programs
    lowers: list[float] = []  # of the programs, as far as they are known

    def progress(bound: Bound) -> None:
        if not followers or watch.stopped_by:
            return
        place = len(bounds)
        lowers[place] = max(lowers[place], bound.lower)
        lower = sum(lowers)
        record = Record(
            n_iter=bound.n_rounds,
            objective=upper,
            dual_objective=lower,
            gap=max(upper - lower, 0.0),
            n_active=network.n_subnetworks,
            seconds=time.perf_counter() - begin,
            round=bound.n_rounds,
            target_gap=bound.goal * upper,
            phase="certify",
        )
        try:
            for follower in followers:
                follower(record)
        except StopIteration:
            watch.stop("its callback")

    space = RowSpace.of(table[weight > 0], candidate.eps)
    output_weights = candidate.output_weights
    lengths = np.sqrt((output_weights**2).sum(axis=1))
    tasks = []
    for c, program in enumerate(programs):
        used = lengths > 0
        if program.y.shape[1] == 1 and output_weights.shape[1] > 1:
            used &= network.output_index == c
        directions = output_weights[used] / lengths[used, np.newaxis] if training.shared else None
        tasks.append(
            Task(
                program=program,
                leaves=leaves[used],
                edge_signs=network.edge_signs[used],
                directions=directions,
                width=network.width,
                skip_connection=candidate.skip_connection,
                alpha=candidate.alphas[c],
                fit_intercept=candidate.fit_intercept,
                space=space,
                upper=upper if len(programs) == 1 else np.inf,
                arrangements=arrangements,
                kappa=kappa,
                tol=tol,
                max_rounds=max_rounds,
                max_nodes=max_nodes,
                threads=threads,
                watch=watch,
                progress=progress,
            )
        )
    bounds: list[Bound] = []
    with showing(verbose), followed(watch):
        followers = [follower for follower in (line(verbose), callback) if follower is not None]
        if followers:  # what each is at least, before it is looked into
            lowers = [constant_bound(task.output)[0] if len(tasks) > 1 else -np.inf for task in tasks]
        for k, task in enumerate(tasks):
            watch.stage.by_gap = len(tasks) == 1
            of = f" of output {k + 1} of {len(tasks)}" if len(tasks) > 1 else ""
            watch.stage.step(f"bounding the optimum{of}")
            bounds.append(kind(task).bound())
            if lowers:
                lowers[len(bounds) - 1] = bounds[-1].lower
    details: dict[str, Any] = {
        "rank": space.rank,
        "tight": all(bound.tight and bound.method != Spectral.name for bound in bounds),
        "correlation": max(bound.correlation for bound in bounds),
        "n_rounds": sum(bound.n_rounds for bound in bounds),
        "n_nodes": sum(bound.n_nodes for bound in bounds),
    }
    if len(programs) > 1:
        details["lowers"] = [bound.lower for bound in bounds]
    if output_weights.shape[1] > 1:
        details["outputs"] = "shared" if training.shared else "separate"
    exact = all(bound.exact for bound in bounds)
    if training.data.monotone is not None:
        details["monotonic_cst"] = "kept" if exact else "left out"
        details["tight"] &= exact
    best = sum(bound.best_objective for bound in bounds)
    if np.isfinite(best) and (exact or training.data.monotone is None):  # of networks that there are
        details["best_objective"] = best
    kappas = [bound.kappa for bound in bounds]
    if kappas != [None] * len(bounds):
        details["kappa"] = kappas[0] if len(kappas) == 1 else kappas
    covered = [bound.arrangements for bound in bounds if bound.arrangements is not None]
    return Certificate(
        upper=upper,
        lower=sum(bound.lower for bound in bounds),
        method=" and ".join(sorted({bound.method for bound in bounds})),
        arrangements=sum(covered) if covered else None,
        seconds=time.perf_counter() - begin,
        details=details,
        covers=_covered(candidate, sum(covered) if covered else None),
    )


def _covered(candidate: Candidate, arrangements: int | None) -> str:
    """The networks that a bound is for, in words."""
    network, training = candidate.network, candidate.training
    gated = training.activation == "gated"
    of = "gated" if gated else "ReLU"
    if training.data.monotone is not None:
        of = f"monotone {of}"
    depth = f"{of} networks of depth {network.depth}"
    if network.width:
        depth += f" and width {', '.join(map(str, network.width))}"
    if candidate.skip_connection:
        depth += " with a skip connection"
    if candidate.output_weights.shape[1] > 1:
        each = "feed all outputs" if training.shared else "feed one output each"
        depth += f" whose sub-networks {each}"
    if arrangements is not None:
        return f"{depth} over {arrangements} {'gates' if gated else 'arrangements'}"
    return f"all {depth}" + (" over all gates" if gated else "")
