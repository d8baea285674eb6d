"""The semidefinite bound: never below what units reach, equal to its program, and part of certificates."""

import itertools

import numpy as np
import pytest

import pathrelu as pr
from pathrelu import _core

NONE = np.zeros(0)
LOSSES = [
    "squared_error",
    "huber",
    "log_loss",
    "squared_hinge",
    "absolute_error",
    "quantile",
    "poisson",
    "gamma",
]


def relaxed(Z, theta, steps=300, tol=1e-9, products=True, start=NONE, threads=1):
    return _core.relaxed_correlation(Z, theta, steps, tol, products, start, threads)


def random_rows(rng, n, r, kind):
    Z = rng.standard_normal((n, r)) * 10.0 ** rng.uniform(-2, 2)
    if kind == 1:  # pencils, multiples, zero rows
        Z = rng.integers(-1, 2, (n, r)).astype(float)
    if kind == 2:  # of lower rank, and of very different lengths
        Z = rng.standard_normal((n, max(r // 2, 1))) @ rng.standard_normal((max(r // 2, 1), r))
        Z *= 10.0 ** rng.uniform(-6, 6, (n, 1))
    theta = rng.standard_normal(n)
    if kind == 3:
        theta = np.abs(theta) * (1 if rng.random() < 0.5 else -1)
    theta[rng.random(n) < 0.1] = 0
    return Z, theta


def reached(rng, Z, theta, starts=64, steps=15):
    """The largest abs(theta @ relu(Z @ u)) that ascent over cells comes to."""
    U = rng.standard_normal((starts, Z.shape[1]))
    best = 0.0
    for sign in (1, -1):
        V = U / np.linalg.norm(U, axis=1, keepdims=True)
        for _ in range(steps):
            H = V @ Z.T
            best = max(best, (sign * np.maximum(H, 0) @ theta).max())
            V = (sign * theta * (H > 0)) @ Z
            V /= np.maximum(np.linalg.norm(V, axis=1, keepdims=True), 1e-300)
    return best


@pytest.mark.parametrize("part", range(5))
def test_no_unit_correlates_more_than_the_bound(part):
    ratios = []
    for seed in range(100 * part, 100 * part + 100):
        rng = np.random.default_rng(seed)
        n, r = int(rng.integers(1, 40)), int(rng.integers(1, 13))
        Z, theta = random_rows(rng, n, r, seed % 4)
        value = reached(rng, Z, theta)
        steps = (1, 3, 40)[seed % 3]  # however early it stops
        bounds = [relaxed(Z, theta, steps, 1e-6, products) for products in (False, True)]
        again = relaxed(Z, theta, 2, 1e-6, True, bounds[1][4])[0]
        another = relaxed(Z, rng.standard_normal(n) * theta, 2, 1e-6, True, bounds[1][4])[0]
        assert another >= 0
        for bound in (bounds[0][0], bounds[1][0], again):
            assert value <= bound, seed
        if steps == 40:
            assert bounds[1][0] <= bounds[0][0] * 1.02 + 1e-300  # products are a further bound
            ratios.append(value / max(bounds[1][0], 1e-300))
    assert np.median(ratios) > 0.75


@pytest.mark.parametrize("sign", [1, -1])
def test_one_column_is_exact(sign):
    Z = np.array([[1.0], [-2.0], [0.5]])
    theta = sign * np.array([1.0, 0.7, -0.2])
    assert relaxed(Z, theta)[0] == pytest.approx(max(1 - 0.1, 1.4), rel=1e-4)


def semidefinite_program(cp, Z, theta, factors=None):
    """The relaxation for one sign of theta, by a solver of semidefinite programs."""
    n, r = Z.shape
    radius = np.linalg.norm(Z, axis=1)
    moments = cp.Variable((r + 1, r + 1), PSD=True)
    u, U, t = moments[0, 1:], moments[1:, 1:], cp.Variable(n)
    squares = cp.sum(cp.multiply(Z @ U, Z), axis=1)
    constraints = [moments[0, 0] == 1, cp.trace(U) <= 1]
    for i in range(n):
        if theta[i] > 0:
            constraints.append(t[i] <= cp.sqrt(squares[i]))
        else:
            constraints.append(t[i] >= squares[i] / radius[i])
    if factors is not None:
        weighted, length = factors
        below = theta < 0
        products = cp.abs(Z[below] @ U @ weighted.T)
        constraints.append(length * t[below] >= cp.sum(products, axis=1))
    objective = (theta @ Z @ u + theta @ t) / 2
    problem = cp.Problem(cp.Maximize(objective), constraints)
    return problem.solve(solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)


@pytest.mark.parametrize(("n", "r"), [(4, 1), (5, 2), (8, 3), (12, 4)])
def test_without_products_it_is_the_optimum_of_the_semidefinite_program(n, r):
    cp = pytest.importorskip("cvxpy")
    rng = np.random.default_rng(n)
    Z, theta = rng.standard_normal((n, r)), rng.standard_normal(n)
    expected = max(semidefinite_program(cp, Z, sign * theta) for sign in (1, -1))
    bound, values, _, _, _ = relaxed(Z, theta, 100_000, 1e-8, products=False)
    assert max(values) == pytest.approx(expected, rel=1e-6)
    assert bound == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "r"), [(6, 2), (10, 3)])
def test_with_products_it_is_near_the_optimum_of_that_program(n, r):
    cp = pytest.importorskip("cvxpy")
    rng = np.random.default_rng(n)
    Z, theta = rng.standard_normal((n, r)), rng.standard_normal(n)
    expected = []
    for sign in (1, -1):
        below = sign * theta < 0
        weighted = np.abs(theta[below, np.newaxis]) * Z[below]
        U, t = cp.Variable((r, r), PSD=True), cp.Variable(len(weighted))
        squares = cp.sum(cp.multiply(weighted @ U, weighted), axis=1)
        limits = [cp.trace(U) <= 1, t <= cp.sqrt(squares)]
        length = cp.Problem(cp.Maximize(cp.sum(t)), limits).solve(solver="CLARABEL")
        expected.append(semidefinite_program(cp, Z, sign * theta, (weighted, length)))
    bound = relaxed(Z, theta, 5000, 1e-7)[0]
    assert max(expected) * (1 - 1e-7) <= bound <= max(expected) * (1 + 2e-3)


def problem(rng, loss, n=20, d=7):
    X = rng.standard_normal((n, d))
    y = np.maximum(X[:, :3], 0).sum(axis=1) - 1 + 0.3 * rng.standard_normal(n)
    if loss in ("log_loss", "squared_hinge"):
        y = (y > np.median(y)).astype(float)
    if loss in ("poisson", "gamma"):
        y = np.floor(np.exp(y)) if loss == "poisson" else np.exp(0.5 * y)
    return X, y


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_certificates_for_every_loss_are_valid_and_the_best_there_is(loss, fit_intercept):
    rng = np.random.default_rng(LOSSES.index(loss))
    X, y = problem(rng, loss)
    options = {"loss": loss, "fit_intercept": fit_intercept, "sample_weight": rng.random(20) + 0.1}
    gates = pr.sample_arrangements(X, 200, random_state=0)
    alpha = 0.2 * pr.alpha_max(X, y, gates, **options)
    network = pr.search(X, y, alpha, random_state=0, n_starts=16, **options).network()
    best = pr.search(X, y, alpha, random_state=1, n_starts=16, **options).objective
    bounds = {
        method: pr.certify(network, X, y, alpha, method, max_nodes=20_000, **options)
        for method in ("semidefinite", "spectral", "auto")
    }
    lowers = {method: bound.lower for method, bound in bounds.items()}
    assert lowers["semidefinite"] <= min(best, bounds["auto"].upper)
    assert lowers["semidefinite"] > lowers["spectral"]
    assert lowers["auto"] == lowers["semidefinite"]
    assert bounds["auto"].method == "semidefinite"
    assert not bounds["auto"].details["tight"]


def test_more_rounds_never_lower_the_bound():
    rng = np.random.default_rng(0)
    X, y = problem(rng, "squared_error", 60)
    network = pr.search(X, y, 0.03, random_state=0).network()
    lowers = [
        pr.certify(network, X, y, 0.03, "semidefinite", max_rounds=rounds).lower for rounds in (1, 3, 10, 100)
    ]
    assert lowers[-1] > 1.02 * lowers[0]
    assert all(later >= earlier * (1 - 1e-3) for earlier, later in itertools.pairwise(lowers))
