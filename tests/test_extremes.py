"""Weights, targets and penalties at the ends of their range: what is reported stays true."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathrelu as pr
from pathrelu._validation import narrowed
from pathrelu._watch import Watch
from pathrelu.program._low_rank import ratio_bound

LOSSES = ["squared_error", "huber", "log_loss", "squared_hinge", "absolute_error", "quantile"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@settings(max_examples=60, deadline=None)
@given(
    loss=st.sampled_from(LOSSES),
    span=st.sampled_from([1, 10, 18, 25, 40, 80]),
    zero=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_no_weights_lift_a_bound_above_an_objective(loss, span, zero, seed):
    rng = np.random.default_rng(seed)
    X = np.zeros((6, 2)) if zero else rng.standard_normal((6, 2))
    y = rng.standard_normal(6)
    if loss in ("log_loss", "squared_hinge"):
        y = np.where(y > np.median(y), 1.0, -1.0)
    weight = 10.0 ** -rng.integers(0, span + 1, 6)
    options = {"loss": loss, "sample_weight": weight}
    gates = pr.Arrangements.from_gates(X, rng.standard_normal((5, 2)))
    solution = pr.solve(X, y, gates, 0.1, fit_intercept=True, **options)
    network = solution.network()
    upper = network.objective(X, y, 0.1, **options)
    assert solution.dual_objective <= upper * (1 + 1e-12)
    certificate = pr.certify(network, X, y, 0.1, fit_intercept=True, **options)
    assert certificate.lower <= certificate.upper * (1 + 1e-12)


def test_a_weight_of_nothing_proves_nothing():
    constant = pr.ParallelReLUNetwork(np.zeros((0, 1, 1)), intercept=1.0)
    certificate = pr.certify(
        constant,
        np.zeros((2, 1)),
        [1, -1],
        0.1,
        loss="squared_hinge",
        sample_weight=[1, 1e-60],
        fit_intercept=True,
    )
    assert 0 <= certificate.lower <= certificate.upper < 1e-59


@pytest.mark.parametrize("value", [0.1, 0.3, 1e8 / 3])
def test_a_constant_target_is_solved_and_certified(value):
    X = np.random.default_rng(0).standard_normal((30, 5))
    y = np.full(30, value)
    solution = pr.search(X, y, 0.1, fit_intercept=True, random_state=0)
    assert solution.converged
    assert solution.relative_gap <= 1e-6
    network = pr.ParallelReLUNetwork(np.zeros((0, 1, 5)), intercept=value)
    for method in ("branch_and_bound", "semidefinite", "low_rank", "spectral", "auto"):
        certificate = pr.certify(network, X, y, 0.1, method, max_nodes=3, fit_intercept=True)
        assert certificate.lower <= certificate.upper == 0


@pytest.mark.parametrize("width", [None, (2,)])
def test_more_nodes_never_lower_the_bound(width):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((25, 4))
        y = np.abs(X[:, 0]) - X[:, 1] + 0.3 * rng.standard_normal(25)
        leaves, signs = np.zeros((0, 1, 4)), None
        if width is not None:
            leaves, signs = np.zeros((0, 2, 4)), np.zeros((0, 2))
        network = pr.ParallelReLUNetwork(leaves, edge_signs=signs, width=width)
        lower = [
            pr.certify(network, X, y, 0.05, "branch_and_bound", max_nodes=nodes).lower
            for nodes in (1, 100, 400, 1000, 3000, 9000)
        ]
        assert lower == sorted(lower)


@pytest.mark.parametrize(
    "method", ["auto", "enumeration", "branch_and_bound", "semidefinite", "low_rank", "spectral"]
)
@pytest.mark.parametrize("width", [None, (2,)])
def test_a_limit_below_one_step_gives_the_spectral_bound(monkeypatch, method, width):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((28, 3))
    y = 1e4 * np.abs(X[:, 0])
    leaves = np.zeros((0, 1 if width is None else 2, 3))
    signs = None if width is None else np.zeros((0, 2))
    network = pr.ParallelReLUNetwork(leaves, edge_signs=signs, width=width)
    monkeypatch.setattr(Watch, "left", property(lambda self: 0.0))
    certificate = pr.certify(network, X, y, 0.01, method, loss="huber", max_seconds=1e-9)
    assert 0 < certificate.lower <= certificate.upper
    assert certificate.method in ("spectral", "enumeration", method)
    with pytest.raises(ValueError, match="max_seconds is 0"):
        pr.certify(network, X, y, 0.01, method, max_seconds=0)


def test_all_arrangements_or_none_within_the_time():
    X = np.random.default_rng(0).standard_normal((300, 3))
    with pytest.raises(TimeoutError, match="time is up"):
        pr.enumerate_arrangements(X, max_seconds=1e-9)


@pytest.mark.parametrize("alpha", [1e-300, 1e-155, 1e-100, 1e100, 1e300])
def test_low_rank_takes_any_penalty(alpha):
    X = np.random.default_rng(0).standard_normal((20, 3))
    solution = pr.solve_low_rank(X, np.zeros(20), alpha, 2, random_state=0)
    assert solution.low_rank.guarantee == 1
    y = np.abs(X[:, 0])
    assert ratio_bound(1.0, np.inf, 20, 1, 0.5, alpha, float(np.mean(y**2) / 2)) >= 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_low_rank_reports_the_objective_of_its_network_on_rows_with_ties(activation):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.integers(0, 3, (18, 2)).astype(float)
        y = rng.standard_normal(18)

        def gates(Z, X=X):
            G = [[1.0, 0.0]]
            edges = np.linalg.lstsq(X, Z, rcond=None)[0]  # Z = X @ edges: gates with rows on them
            on_rows = np.array([[1.0, -1], [-1, 1], [2, -1], [-1, 2], [1, -2]])
            return pr.Arrangements.from_gates(Z, np.concatenate([G, on_rows @ edges]))

        solution = pr.solve_low_rank(X, y, 0.01, 2, arrangements=gates, activation=activation)
        objective = (
            np.mean((solution.network().predict(X) - y) ** 2) / 2 + 0.01 * solution.network().path_norm()
        )
        assert solution.objective == pytest.approx(objective, rel=1e-9)
        assert solution.gap >= solution.objective - solution.dual_objective - 1e-12


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_no_more_iterations_than_allowed(activation):
    X = np.random.default_rng(0).standard_normal((30, 3))
    for depth in (2, 3):
        solution = pr.search(
            X, np.abs(X[:, 0]), 1e-3, depth=depth, max_iter=3, random_state=0, activation=activation
        )
        assert solution.n_iter <= 3


def test_numbers_beyond_float32_are_refused():
    assert narrowed(np.array([3e38]), np.dtype(np.float32), "weights").dtype == np.float32
    assert narrowed(np.array([4e38]), np.dtype(np.float64), "weights")[0] == 4e38
    with pytest.raises(ValueError, match=r"X is float32, and weights reach 4\.0e\+38"):
        narrowed(np.array([1.0, -4e38]), np.dtype(np.float32), "weights")


@pytest.mark.parametrize("part", range(4))
def test_bounds_never_sink_with_more_nodes_and_stay_below_the_network(part):
    for seed in range(10 * part, 10 * part + 10):
        rng = np.random.default_rng(seed)
        n, rank = int(rng.integers(8, 30)), int(rng.integers(2, 7))
        X = rng.standard_normal((n, rank))
        y = np.abs(X[:, 0]) - X[:, 1] + 0.3 * rng.standard_normal(n)
        depth, loss = 2 + (seed % 3 == 0), ("squared_error", "huber")[seed % 2]
        network = pr.search(
            X, y, 0.05, depth=depth, width=2, loss=loss, random_state=seed, n_starts=4
        ).network()
        certificates = [
            pr.certify(network, X, y, 0.05, "branch_and_bound", loss=loss, max_nodes=nodes)
            for nodes in (1, 10, 100, 1000)
        ]
        lower = [certificate.lower for certificate in certificates]
        assert lower == sorted(lower), seed
        assert lower[-1] <= certificates[0].upper * (1 + 1e-12), seed


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e9, 1e12])
def test_no_scale_of_the_targets_keeps_a_solve_from_its_tolerance(scale):
    """With the intercept, whose size is that of the targets; warnings are errors here."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    y = scale * (1 + 0.1 * np.abs(X[:, 0]))
    found = pr.search(X, y, 0.01 * scale, fit_intercept=True, random_state=0)
    given = pr.solve(X, y, pr.sample_arrangements(X, 50, random_state=0), 0.01 * scale, fit_intercept=True)
    for solution in (found, given):
        assert solution.converged
        assert solution.dual_objective <= solution.objective * (1 + 1e-12)
    certificate = pr.certify(found.network(), X, y, 0.01 * scale, fit_intercept=True)
    assert 0 <= certificate.relative_gap <= 0.01


@pytest.mark.parametrize("value", [0.1, 1e5, 1e9])
def test_a_constant_target_without_an_intercept_has_the_optimum_of_all_arrangements(value):
    X = np.random.default_rng(0).standard_normal((15, 2))
    y, alpha = np.full(15, value), 0.01 * value
    least = pr.solve(X, y, pr.enumerate_arrangements(X), alpha, tol=1e-8)
    assert least.converged
    network = least.network()
    certificate = pr.certify(network, X, y, alpha, fit_intercept=False)
    assert certificate.upper == pytest.approx(least.objective, rel=1e-9)
    assert certificate.lower <= certificate.upper * (1 + 1e-12)
    assert certificate.relative_gap < 1e-5
    # A constant explains nothing here, so zero is what a network is measured by.
    nothing = pr.ParallelReLUNetwork(np.zeros((0, 1, 2)))
    assert nothing.objective(X, y, alpha) == pytest.approx(value**2 / 2)
    assert pr.certify(nothing, X, y, alpha).lower == pytest.approx(certificate.lower, rel=1e-4)
