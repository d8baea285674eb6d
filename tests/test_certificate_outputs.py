"""Certificates of several outputs: bounds are below every network's objective, and near the best one's."""

import cvxpy as cp
import numpy as np
import pytest
from reference import Groups, unit_rows

import pathrelu as pr
from pathrelu.certificate._directions import over_directions, spectral_norm_of_all
from pathrelu.certificate._output import spectral_norm

METHODS = ("auto", "branch_and_bound", "semidefinite", "low_rank", "spectral")


def problem(seed, loss, n=9, d=2, C=3, width=()):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) if seed % 3 else rng.integers(-2, 3, (n, d)) + 0.0
    Y = np.maximum(X @ rng.standard_normal((d, 3)), 0) @ rng.standard_normal((3, C))
    Y += 0.2 * rng.standard_normal((n, C))
    if loss == "log_loss":
        label = Y.argmax(axis=1)
        label[:C] = np.arange(C)
        Y = np.eye(C)[label]
    w = rng.random(n) + 0.2 if seed % 2 else np.ones(n)
    options = {"loss": loss, "fit_intercept": bool(seed % 4 < 2), "sample_weight": w / w.mean()}
    return X, Y, 10 ** rng.uniform(-2.3, -1.2), options


def searched(X, Y, alpha, options, outputs="shared", seeds=3, **more):
    """The best of several searches."""
    runs = [
        pr.search(X, Y, alpha, outputs=outputs, random_state=s, tol=1e-7, **options, **more)
        for s in range(seeds)
    ]
    return min(runs, key=lambda run: run.objective)


def optimum(X, Y, alpha, loss, fit_intercept, sample_weight, directions):
    """Over all arrangements, each with each of the directions, by CVXPY."""
    n, C = Y.shape
    found = pr.enumerate_arrangements(X)
    groups = Groups(found.masks(), np.zeros((len(found), 0), np.int8), ())
    b = cp.Variable((1, C)) if fit_intercept else np.zeros((1, C))
    f, norms, constraints = np.ones((n, 1)) @ b, 0, []
    for g, mask in enumerate(found.masks()[:, 0]):
        V = cp.Variable((X.shape[1], len(directions)))
        f = f + mask[:, None] * X @ V @ directions
        norms = norms + cp.sum(cp.norm(V, axis=0))
        constraints.append(unit_rows(groups.cone_rows(X, g)) @ V >= 0)
    if loss == "log_loss":
        rows = cp.log_sum_exp(f, axis=1) - cp.sum(cp.multiply(Y, f), axis=1)
    else:
        rows = cp.sum(cp.square(f - Y), axis=1) / 2
    objective = sample_weight @ rows / n + alpha * norms
    return cp.Problem(cp.Minimize(objective), constraints).solve(solver="CLARABEL")


def unit(table):
    return table / np.linalg.norm(table, axis=-1, keepdims=True)


@pytest.mark.parametrize("outputs", ["shared", "separate"])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("seed", range(5))
def test_no_bound_is_above_all_arrangements_with_many_directions(seed, loss, outputs):
    rng = np.random.default_rng(100 + seed)
    d = 2 + seed % 2
    X, Y, alpha, options = problem(seed, loss, n=9 - 2 * (d - 2), d=d, C=2 + (seed % 2 or loss == "log_loss"))
    C = Y.shape[1]
    found = searched(X, Y, alpha, options, outputs)
    directions = np.concatenate([np.eye(C), -np.eye(C)])
    if outputs == "shared":
        directions = np.concatenate([directions, unit(rng.standard_normal((8, C)))])
        directions = np.concatenate([directions, found.directions])
    value = optimum(X, Y, alpha, directions=directions, **options)
    network = found.network()
    for method in METHODS:
        bound = pr.certify(
            network, X, Y, alpha, method, loss=loss, fit_intercept=options["fit_intercept"],
            sample_weight=options["sample_weight"],
        )  # fmt: skip
        assert bound.upper == pytest.approx(found.objective, rel=1e-9)
        assert 0 < bound.lower <= min(value + 1e-6, found.objective * (1 + 1e-12))
        if network.n_subnetworks:
            assert bound.details["outputs"] == outputs
        if method == "auto":
            assert value - bound.lower <= (0.02 if outputs == "shared" else 1e-4) * value


@pytest.mark.parametrize(
    ("loss", "width"),
    [
        *((loss, ()) for loss in ("squared_error", "log_loss", "huber", "absolute_error")),
        ("squared_error", (2,)),
        ("log_loss", (2,)),
        ("huber", (2, 2)),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_bound_is_above_what_searches_find(loss, width):
    kinked = loss == "absolute_error"
    for seed in range(1 if kinked or width else 2):
        X, Y, alpha, options = problem(seed + 10, loss, n=12, d=3 + seed, C=3)
        depth = {"depth": len(width) + 2, "width": list(width) or 2, "skip_connection": bool(seed or width)}
        if kinked:
            depth |= {"max_iter": 30}  # for the last digits, a loss with kinks takes long
        found = searched(X, Y, alpha, options, seeds=2, **depth)
        of_alpha = {"fit_intercept": options["fit_intercept"], "sample_weight": options["sample_weight"]}
        for method in ("spectral",) if kinked else ("auto", "spectral", "low_rank"):
            bound = pr.certify(
                found.network(), X, Y, alpha, method, loss=loss, max_nodes=5000, max_rounds=5, **of_alpha
            )
            assert 0 <= bound.lower <= found.objective * (1 + 1e-12)
        if kinked:
            continue
        own = pr.certify(found.network(), X, Y, alpha, "solver", loss=loss, tol=1e-8, **of_alpha)
        # Rows on the boundary of a cone may lie beyond it in the network: other groups, a little better.
        assert own.details["best_objective"] == pytest.approx(own.lower, rel=1e-4)
        assert own.relative_gap < 1e-3
        assert own.arrangements == len(found.network().leaf_weights) + 3 * depth["skip_connection"]


def test_a_worse_network_has_a_bound_below_better_ones():
    """The bound is on the optimum, whatever network it is asked for."""
    X, Y, alpha, options = problem(1, "log_loss", n=20)
    best = searched(X, Y, alpha, options)
    rng = np.random.default_rng(0)
    poor = pr.ParallelReLUNetwork(
        0.1 * rng.standard_normal((2, 1, 2)),
        output_weights=unit(rng.standard_normal((2, 3))),
        intercept=np.zeros(3),
    )
    bound = pr.certify(poor, X, Y, alpha, **options)
    assert bound.upper > 1.05 * best.objective
    assert 0.97 * best.objective <= bound.lower <= best.objective
    assert bound.details["best_objective"] <= best.objective * 1.01


@pytest.mark.parametrize("C", [2, 3, 5])
def test_the_worst_direction_is_never_missed(C):
    rng = np.random.default_rng(C)
    for _ in range(4):
        Z, theta = rng.standard_normal((12, 2)), rng.standard_normal((12, C)) * 2.0 ** -np.arange(C)
        angle = np.linspace(0, 2 * np.pi, 4001)
        H = np.maximum(Z @ np.stack([np.cos(angle), np.sin(angle)]), 0)  # within 1e-3 of every unit

        def most(t, H=H):
            return float(np.abs(t @ H).max())

        true = np.linalg.norm(theta.T @ H, axis=0).max()
        reach = np.linalg.norm(Z, 2)
        bounds = [over_directions(theta, most, reach, lambda done=done: done, 1e-3) for done in (True, False)]
        assert true * (1 - 1e-12) <= bounds[1] <= bounds[0]
        assert bounds[1] <= true * (1.002 if C < 4 else 1.2)
        assert true <= spectral_norm_of_all(Z, theta)
        assert true <= over_directions(theta, lambda t, Z=Z: spectral_norm(Z, t), reach, lambda: False, 1e-2)


def test_classes_without_weight_count_for_nothing():
    X, Y, alpha, options = problem(5, "log_loss", n=20)
    options["fit_intercept"] = True
    found = searched(X, Y, alpha, options)
    network = found.network()
    padded = pr.ParallelReLUNetwork(
        network.leaf_weights,
        output_weights=np.insert(network.output_weights, 1, 0, axis=1),
        intercept=np.insert(network.intercept, 1, -np.inf),
    )
    plain = pr.certify(network, X, Y, alpha, **options)
    with_it = pr.certify(padded, X, np.insert(Y, 1, 0, axis=1), alpha, **options)
    assert (with_it.upper, with_it.lower) == pytest.approx((plain.upper, plain.lower), rel=1e-9)
    with pytest.raises(ValueError, match="y has one class in the rows with weight"):
        pr.certify(network, X, np.eye(3)[np.zeros(20, int)], alpha, **options)


@pytest.mark.parametrize("nodes", [1, 30, 1000])
def test_more_nodes_never_lower_a_bound(nodes):
    X, Y, alpha, options = problem(7, "squared_error", n=30, d=4)
    network = searched(X, Y, alpha, options, seeds=1).network()
    options["method"] = "branch_and_bound"
    few, more = (pr.certify(network, X, Y, alpha, max_nodes=k * nodes, **options) for k in (1, 3))
    assert 0 < few.lower <= more.lower * (1 + 1e-12)


def test_what_is_covered_is_said():
    X, Y, alpha, options = problem(8, "squared_error", n=20)
    shared, separate = (searched(X, Y, alpha, options, o, 1).network() for o in ("shared", "separate"))
    bounds = [pr.certify(net, X, Y, alpha, **options) for net in (shared, separate)]
    assert bounds[0].lower <= bounds[0].upper < bounds[1].lower
    assert "global optimum at least" in str(bounds[0])
    assert "global optimum of sub-networks with one output each at least" in str(bounds[1])
    with pytest.raises(ValueError, match="arrangements were given for a network whose sub-networks feed"):
        pr.certify(shared, X, Y, alpha, "solver", arrangements=pr.enumerate_arrangements(X), **options)
    one, two = (pr.certify(shared, X, Y, alpha, n_threads=k, **options) for k in (1, 2))
    assert (one.lower, one.details) == (two.lower, two.details)
    short = pr.certify(shared, X, Y, alpha, max_seconds=1e-6, **options)
    assert 0 < short.lower <= bounds[0].upper
