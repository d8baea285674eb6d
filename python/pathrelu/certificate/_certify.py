"""Certificates: how far a network is from the global optimum of its training problem."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pathrelu import _validation as check
from pathrelu import losses
from pathrelu._watch import Callback, Record, Watch
from pathrelu.arrangements import Arrangements, RowSpace
from pathrelu.certificate._methods import BY_NAME, METHODS, MOST_BRANCH_RANK, Task
from pathrelu.certificate._result import Bound, Certificate
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork
from pathrelu.training import Data, Scaling, TrainingProblem


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
    net : ParallelReLUNetwork
        The training problem is that over rows centered and scaled as this network does it, where its path
        norm is measured; depth and width are those of the network.
    X : array-like of shape (n_rows, n_features)
        Raw rows.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        As for `ParallelReLUNetwork.objective`.
    alpha : float
        Above 0.
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
        - "solver": the optimum over the arrangements given or, without, those of the network itself. It says
          nothing about others, and is no bound on P*.
        - "auto": "enumeration" for r <= 3, the better of "branch_and_bound" and "semidefinite" for r <= 6,
          else "semidefinite" or, where six scores are nearly all there is, the better of it and "low_rank".

        Where sub-networks feed several outputs (`ParallelReLUNetwork.shared_outputs`), B is on the norm of
        ``theta.T @ h(X)`` over all outputs: the worst direction of outputs is looked for among the first four
        singular directions of theta, to a share of 0.001 ("enumeration") or 0.01, and the bounds for further
        ones are added by squares. So the gap closes to about that for up to three outputs, or four classes.

        From depth 3 on (but for listed joint arrangements) B comes from units' maxima and grows up to
        ``sqrt(paths)`` times too large, so the gap does not close.
    loss, quantile, threshold
        As for `solve`. With an intercept, "log_loss" takes no notice of classes that no row with weight has:
        a network can give them any low probability.
    sample_weight : array-like of shape (n_rows,), optional
    bias, fit_intercept : bool, optional
        Whether the problem has a column of ones (penalised) and an intercept (not penalised). By default as
        the network has: if some leaf bias, or the intercept, is not zero.
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
    callback : callable, optional
        Called with a `Record` whenever a bound has been found: ``objective`` is that of the network,
        ``dual_objective`` the best lower bound so far, minus infinity while an output has none. If it raises
        StopIteration, the best bound so far is returned.

    Returns
    -------
    Certificate
        If some sub-network of `net` feeds several outputs, over networks whose sub-networks feed all, else
        over those whose sub-networks feed one each: ``details["outputs"]`` says which.

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
    callback = check.function(callback)
    if isinstance(net, GatedReLUNetwork):
        raise TypeError(
            "net is a GatedReLUNetwork, whose gates are not its own patterns: it is no candidate for the "
            "training problem of ReLU networks; expected a ParallelReLUNetwork"
        )
    check.instance(net, ParallelReLUNetwork, "net")
    alpha = check.penalty(alpha)
    method = check.choice(method, "method", METHODS)
    kind = BY_NAME[method]
    loss = check.choice(loss, "loss", losses.NAMES)
    if kappa is not None:
        if "kappa" not in kind.parameters:
            raise ValueError(f"kappa is {kappa!r} with the method {method!r}; it is for 'low_rank'")
        kappa = check.count(kappa, "kappa", 0, MOST_BRANCH_RANK)
    if tol is not None:
        tol = check.positive(tol, "tol")
    max_rounds = check.count(max_rounds, "max_rounds")
    max_nodes = check.count(max_nodes, "max_nodes")
    threads = check.threads(n_threads)
    value = losses.parameter(loss, quantile, threshold)
    upper = net.objective(
        X,
        y,
        alpha,
        loss=loss,
        quantile=quantile,
        threshold=threshold,
        sample_weight=sample_weight,
        n_threads=threads,
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

    raw = net.columns_of(X)
    if loss in losses.BINARY and net.classes is not None and np.ndim(y) == 1:
        y = net._encode(np.asarray(y))
    target, _ = check.targets(y, len(raw), loss, both=net.n_outputs == 1)
    weights = check.raw_weights(sample_weight, len(raw))
    output_weights = net.output_weights
    if has_intercept and losses.core_name(loss, net.n_outputs) == losses.JOINT:
        present = target[weights > 0].any(axis=0)
        if present.sum() < 2:
            raise ValueError(
                "y has one class in the rows with weight, whose loss is 0; expected at least two"
            )
        target, output_weights = target[:, present], output_weights[:, present]
        target[weights == 0] = np.eye(target.shape[1])[0]  # of an absent class, maybe
    data = Data(raw.astype(np.float64), np.ascontiguousarray(target), weights, loss, parameter=value)
    training = TrainingProblem(data, Scaling.of(net, has_bias), "relu", shared=net.shared_outputs)
    table, weight, leaves = training.X, training.w, training.scaling.trees(net.leaf_weights, net.leaf_bias)
    if arrangements is not None:
        if net.shared_outputs:
            raise ValueError(
                "arrangements were given for a network whose sub-networks feed several outputs each, in "
                "directions that arrangements do not tell; expected None, for the network's own groups"
            )
        if "arrangements" not in kind.parameters:
            raise ValueError(f"arrangements were given with the method {method!r}; they are for 'solver'")
        check.instance(arrangements, Arrangements, "arrangements")
        if (arrangements.n_rows, arrangements.width) != (len(table), net.width):
            raise ValueError(
                f"arrangements are of {arrangements.n_rows} rows and width {arrangements.width}; expected "
                f"{len(table)} and {net.width}"
            )

    best_lower = -np.inf

    def progress(bound: Bound) -> None:
        nonlocal best_lower
        if callback is None or watch.stopped_by:
            return
        best_lower = max(best_lower, bound.lower)
        missing = len(programs) - 1 - len(bounds)  # programs that are not looked into yet
        lower = sum((found.lower for found in bounds), best_lower) if missing == 0 else -np.inf
        record = Record(
            n_iter=bound.n_rounds,
            objective=upper,
            dual_objective=lower,
            gap=max(upper - lower, 0.0),
            n_active=net.n_subnetworks,
            seconds=time.perf_counter() - begin,
            round=bound.n_rounds,
            target_gap=(tol or 0.0) * upper,
        )
        try:
            callback(record)
        except StopIteration:
            watch.stop("its callback")

    space = RowSpace.of(table[weight > 0], float(np.finfo(raw.dtype).eps))
    bounds: list[Bound] = []
    programs = training.programs()
    lengths = np.sqrt((output_weights**2).sum(axis=1))
    for c, program in enumerate(programs):
        own = lengths > 0 if program.y.shape[1] > 1 else net.output_index == c
        directions = output_weights[own] / lengths[own, np.newaxis] if training.shared else None
        task = Task(
            program=program,
            leaves=leaves[own],
            edge_signs=net.edge_signs[own],
            directions=directions,
            width=net.width,
            skip_connection=net.skip_connection,
            alpha=alpha,
            fit_intercept=has_intercept,
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
        best_lower = -np.inf
        bounds.append(kind(task).bound())
    details: dict[str, Any] = {
        "rank": space.rank,
        "tight": all(bound.tight for bound in bounds),
        "correlation": max(bound.correlation for bound in bounds),
        "n_rounds": sum(bound.n_rounds for bound in bounds),
        "n_nodes": sum(bound.n_nodes for bound in bounds),
    }
    if net.n_outputs > 1:
        details["outputs"] = "shared" if net.shared_outputs else "separate"
    best = sum(bound.best_objective for bound in bounds)
    if np.isfinite(best):
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
    )
