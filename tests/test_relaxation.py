"""The training problem over relaxed units: below the true one, and the optimum of its convex program."""

import re

import numpy as np
import pytest

import pathrelu as pr
from pathrelu import _core
from pathrelu.certificate._output import Output
from pathrelu.program._problem import Problem

LOSSES = ["squared_error", "huber", "log_loss", "absolute_error", "poisson"]


def problem(seed, loss="squared_error", n=30, d=5):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.maximum(X[:, :2], 0).sum(axis=1) - 0.7 + 0.3 * rng.standard_normal(n)
    if loss == "log_loss":
        y = (y > np.median(y)).astype(float)
    if loss == "poisson":
        y = np.floor(np.exp(y))
    return X, y, rng.random(n) * (rng.random(n) > 0.1)


def correlated(X, theta):
    """What some units that are looked for with trees of half-spaces correlate with theta."""
    return _core.relaxed_correlation(X, theta, 300, 1e-6, np.zeros(0), 100, 0.0, 1)[5]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("skip_connection", [False, True])
def test_it_is_below_what_searches_find_and_its_dual_point_says_so(loss, fit_intercept, skip_connection):
    X, y, w = problem(LOSSES.index(loss), loss)
    options = {"loss": loss, "fit_intercept": fit_intercept, "sample_weight": w}
    options["skip_connection"] = skip_connection
    best = min(pr.search(X, y, 0.1, random_state=seed, **options).objective for seed in range(3))
    relaxed = pr.relaxation(X, y, 0.1, **options)
    assert 0.5 * best < relaxed.lower <= best
    assert relaxed.lower <= relaxed.objective <= (1.35 if loss == "absolute_error" else 1.05) * relaxed.lower
    # By itself the dual point is feasible, and has this objective.
    assert 0.05 < correlated(X, relaxed.theta) <= 0.1 * (1 + 1e-9)
    if fit_intercept:
        assert abs(relaxed.theta.sum()) < 1e-9
    if skip_connection:
        assert np.linalg.norm(X.T @ relaxed.theta) <= 0.1 * (1 + 1e-9)
    assert not relaxed.theta[w == 0].any()
    checked = Problem.check(X, y, "relu", loss, w)
    value = Output(checked, 0.1, fit_intercept, (), 1).lower(relaxed.theta[:, np.newaxis], 0.1)
    assert value == pytest.approx(relaxed.lower, rel=2e-3)


def relaxed_program(cp, X, y, alpha):
    """Its optimum by a solver of semidefinite programs: moments in a cone, for outputs of either sign."""
    n, d = X.shape
    constraints, cost, outputs = [], 0, 0
    for sign in (1, -1):
        moments = cp.Variable((d + 1, d + 1), PSD=True)
        weight, u, U, t = moments[0, 0], moments[0, 1:], moments[1:, 1:], cp.Variable(n)
        squares = cp.sum(cp.multiply(X @ U, X), axis=1)
        constraints += [cp.trace(U) <= weight, t >= cp.abs(X @ u)]
        constraints += [t >= cp.multiply(squares, 1 / np.linalg.norm(X, axis=1))]
        constraints += [t[i] <= cp.geo_mean(cp.hstack([weight, squares[i]])) for i in range(n)]
        outputs += sign * (X @ u + t) / 2
        cost += weight
    objective = cp.sum_squares(outputs - y) / (2 * n) + alpha * cost
    return cp.Problem(cp.Minimize(objective), constraints).solve(solver="CLARABEL")


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_optimum_of_the_relaxed_program(seed):
    cp = pytest.importorskip("cvxpy")
    X, y, _ = problem(seed, n=10, d=3)
    relaxed = pr.relaxation(X, y, 0.1, tol=1e-5, max_rounds=300)
    expected = relaxed_program(cp, X, y, 0.1)
    assert relaxed.lower <= expected * (1 + 1e-6)
    assert relaxed.objective >= expected * (1 - 1e-4)
    assert relaxed.lower == pytest.approx(expected, rel=0.01)


def test_units_with_weight_are_sorted_and_of_norm_up_to_one():
    X, y, _ = problem(0)
    Y = np.column_stack([y, -y, X[:, 0]])
    for target in (y, Y):
        relaxed = pr.relaxation(X, target, 0.05)
        k = len(relaxed.weights)
        assert k > 0
        assert relaxed.theta.shape == target.shape
        assert relaxed.units.shape == (k, 5)
        assert (np.linalg.norm(relaxed.units, axis=1) <= 1 + 1e-9).all()
        assert np.linalg.norm(relaxed.directions, axis=1) == pytest.approx(np.ones(k))
        assert (np.diff(relaxed.weights) <= 0).all()
        assert relaxed.weights[-1] > 0
    best = pr.search(X, Y, 0.05, random_state=0).objective
    assert 0.3 * best < relaxed.lower <= best


def test_alpha_above_which_nothing_pays_and_no_time():
    X, y, _ = problem(0)
    nothing = pr.relaxation(X, y, 100.0)
    assert nothing.lower == pytest.approx(0.5 * np.mean(y**2))
    assert len(nothing.units) == 0
    short = pr.relaxation(X, y, 0.1, max_seconds=1e-9)
    assert 0 < short.lower <= pr.relaxation(X, y, 0.1).lower
    assert correlated(X, short.theta) <= 0.1 * (1 + 1e-9)


def test_threads_change_no_bit():
    X, y, _ = problem(3, n=60, d=12)
    one, two = (pr.relaxation(X, y, 0.05, n_threads=k) for k in (1, 2))
    assert one.lower == two.lower
    assert (one.theta == two.theta).all()
    assert (one.units == two.units).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"alpha": 0}, ValueError, "alpha is 0"),
        ({"y": np.ones((30, 2)), "outputs": "separate"}, ValueError, "expected one of them at a time"),
        ({"outputs": "both"}, ValueError, "outputs is 'both'"),
        ({"tol": -1}, ValueError, "tol is -1"),
        ({"loss": "hinge"}, ValueError, "loss is 'hinge'"),
        ({"fit_intercept": 1}, TypeError, "fit_intercept is 1"),
        ({"max_rounds": 0}, ValueError, "max_rounds is 0"),
    ],
)
def test_wrong_arguments_are_refused(options, error, message):
    X, y, _ = problem(0)
    with pytest.raises(error, match=re.escape(message)):
        pr.relaxation(**({"X": X, "y": y, "alpha": 0.1} | options))
