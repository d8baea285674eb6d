"""Certificates of gated networks: over all gates, as if each row had its own, or over the network's gates."""

import itertools

import numpy as np
import pytest

import pathrelu as pr
from pathrelu import _core
from pathrelu.certificate._output import Output
from pathrelu.program._problem import Problem


def masked(Z, theta):
    """The largest abs(theta @ (m * (Z @ u))) over masks m and unit u."""
    masks = np.array(list(itertools.product((0.0, 1.0), repeat=len(theta))))
    return np.linalg.norm((masks * theta) @ Z, axis=1).max()


@pytest.mark.parametrize("r", [1, 2, 4])
def test_the_best_gate_passes_what_has_the_sign_of_theta(r):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        Z, theta = rng.standard_normal((9, r)), rng.standard_normal(9)
        theta[0] = 0
        output = Output(Problem.check(Z, theta, "gated", "squared_error", None), 1.0, False, (), 1)
        rows, weights = output.switched(theta)
        true = masked(Z, theta)
        bound, *_ = _core.relaxed_correlation(rows, weights, 60, 1e-4, np.zeros(0), 400, 0.0, 1)
        assert true <= bound <= 1.02 * true
        assert true <= output.spectral(theta) <= 2 * true


@pytest.mark.parametrize("width", [(), (2,)])
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_no_gates_have_an_objective_below_the_bound(width, skip, loss):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((5 if width else 12, 2))
        y = np.abs(X[:, 0]) - 0.8 + 0.3 * rng.standard_normal(len(X))
        if loss == "log_loss":
            y = (y > np.median(y)).astype(float)
        gates = pr.enumerate_arrangements(X, len(width) + 2, width or 1)
        gates = gates.with_skip_connection() if skip else gates
        options = {"loss": loss, "fit_intercept": True}
        alpha = 0.5 * pr.alpha_max(X, y, gates, **options)
        best = pr.solve(X, y, gates, alpha, activation="gated", **options)
        network = best.network()
        for method in ("semidefinite", "spectral"):
            certificate = pr.certify(network, X, y, alpha, method, **options)
            assert certificate.upper == pytest.approx(best.objective, rel=1e-9)
            assert certificate.lower <= best.objective
            assert certificate.covers.startswith("all gated networks of depth")
            assert certificate.covers.endswith("over all gates")
        own = pr.certify(network, X, y, alpha, "solver", **options)
        assert own.relative_gap < 1e-4
        assert own.covers.endswith(f"over {own.arrangements} gates")
        assert "gates" in str(own)


def test_shared_outputs_of_gated_networks():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((10, 2))
    Y = np.column_stack([np.abs(X[:, 0]), X[:, 1], -np.abs(X[:, 1])])
    network = pr.search(X, Y, 0.05, random_state=0, activation="gated").network()
    assert network.shared_outputs
    lower = pr.certify(network, X, Y, 0.05).lower
    found = pr.certify(network, X, Y, 0.05, "solver")
    assert 0 < lower <= found.lower * (1 + 1e-9)
    relu = pr.search(X, Y, 0.05, random_state=0).network()
    # A ReLU network is a gated one whose gates are its own patterns.
    assert lower <= relu.objective(X, Y, 0.05)


@pytest.mark.parametrize("arrangements", ["search", "sample"])
def test_gated_estimators(arrangements):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((50, 3))
    y = np.abs(X[:, 0]) + X[:, 1]
    model = pr.PathReLURegressor(
        alpha=0.1, activation="gated", arrangements=arrangements, n_arrangements=100, random_state=0, tol=1e-6
    ).fit(X, y)
    own = pr.certify(model, X, y, method="solver")
    assert own.upper == pytest.approx(model.objective_, rel=1e-9)
    assert own.relative_gap < 1e-4
    over_all = pr.certify(model, X, y)
    assert over_all.method == "semidefinite"
    assert 0 < over_all.lower <= own.lower
