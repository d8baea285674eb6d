"""The semidefinite bound: never below what units reach, equal to its program, and part of certificates."""

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


def relaxed(Z, theta, steps=300, tol=1e-9, start=NONE, nodes=0, threads=1):
    return _core.relaxed_correlation(Z, theta, steps, tol, start, nodes, 0.0, threads)


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
        bound, _, points, _, moments, _, _ = relaxed(Z, theta, steps, 1e-6)
        again = relaxed(Z, theta, 2, 1e-6, moments)[0]
        another = relaxed(Z, -theta, 1, 1e-6, moments)[0]
        tree, _, leaves, _, _, found, nodes = relaxed(Z, theta, steps, 1e-3, NONE, (1, 20, 200)[seed % 3])
        assert value <= min(bound, again, another, tree), seed
        assert found <= value * (1 + 1e-9) or found <= tree
        assert tree <= bound * (1 + 2e-3)
        assert nodes <= 220
        # Columns: relaxed outputs, which no bound on what they correlate may be below.
        for kept in (points, leaves):
            assert (np.abs(kept @ theta) <= bound * (1 + 1e-6) + 1e-12 * np.abs(kept).max()).all()
        if steps == 40:
            ratios.append(value / max(bound, 1e-300))
    assert np.median(ratios) > 0.75


@pytest.mark.parametrize("r", [2, 3])
def test_trees_close_to_the_exact_maximum_and_not_below_it(r):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        Z, theta = rng.standard_normal((20, r)), rng.standard_normal(20) + 0.3
        exact = _core.exact_correlation(Z, theta, 1)[1][0]
        tree, _, _, _, _, found, _ = relaxed(Z, theta, 60, 1e-3, nodes=1000)
        assert found <= exact * (1 + 1e-12)
        assert exact <= tree <= 1.01 * exact, seed


@pytest.mark.parametrize("sign", [1, -1])
def test_one_column_is_exact(sign):
    Z = np.array([[1.0], [-2.0], [0.5]])
    theta = sign * np.array([1.0, 0.7, -0.2])
    assert relaxed(Z, theta)[0] == pytest.approx(max(1 - 0.1, 1.4), rel=1e-4)


def semidefinite_program(cp, Z, theta):
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
            constraints += [t[i] >= squares[i] / radius[i], t[i] >= cp.abs(Z[i] @ u)]
    objective = (theta @ Z @ u + theta @ t) / 2
    problem = cp.Problem(cp.Maximize(objective), constraints)
    return problem.solve(solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)


@pytest.mark.parametrize(("n", "r"), [(4, 1), (5, 2), (8, 3), (12, 4)])
def test_it_is_the_optimum_of_the_semidefinite_program(n, r):
    cp = pytest.importorskip("cvxpy")
    rng = np.random.default_rng(n)
    Z, theta = rng.standard_normal((n, r)), rng.standard_normal(n)
    expected = max(semidefinite_program(cp, Z, sign * theta) for sign in (1, -1))
    bound, values, *_ = relaxed(Z, theta, 100_000, 1e-8)
    assert expected * (1 - 1e-3) <= max(values) <= expected * (1 + 1e-6)
    assert bound == pytest.approx(expected, rel=1e-6)


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


@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_programs_over_columns_are_solved_where_the_loss_is_linear_around_the_start(loss):
    optimize = pytest.importorskip("scipy.optimize")
    level = 0.5 if loss == "absolute_error" else 0.8
    for seed in range(10):
        rng = np.random.default_rng(seed)
        columns, y = rng.random((4, 30)), 3 + rng.random(30)  # no row is near its target without a column
        w, alpha = pr._validation.unit_mean(rng.random(30)), 0.1
        spec = pr.losses.specification(loss, None if loss == "absolute_error" else level, y[:, np.newaxis], w)
        objective, weights, theta = _core.solve_columns(
            columns, np.ones((4, 1)), y[:, np.newaxis], w, spec, alpha, False, np.zeros(4)
        )
        # y - columns.T @ c = p - q: a linear program in c, p, q.
        share = 2 if loss == "absolute_error" else 1
        cost = np.concatenate([np.full(4, alpha), share * level * w / 30, share * (1 - level) * w / 30])
        table = np.concatenate([columns.T, np.eye(30), -np.eye(30)], axis=1)
        expected = optimize.linprog(cost, A_eq=table, b_eq=y).fun
        assert expected <= objective <= 1.05 * expected
        assert (weights >= 0).all()
        assert np.abs(theta[:, 0]).max() <= share * max(level, 1 - level) * w.max() / 30 * (1 + 1e-9)


def test_more_rounds_never_lower_the_bound():
    rng = np.random.default_rng(0)
    X, y = problem(rng, "squared_error", 60)
    network = pr.search(X, y, 0.03, random_state=0).network()
    lowers = [
        pr.certify(network, X, y, 0.03, "semidefinite", max_rounds=rounds, max_nodes=1).lower
        for rounds in (1, 3, 10, 100)
    ]
    assert lowers[-1] > 1.02 * lowers[0]
    assert lowers == sorted(lowers)
    trees = [
        pr.certify(network, X, y, 0.03, "semidefinite", max_nodes=nodes).lower
        for nodes in (1, 20_000, 200_000)
    ]
    assert trees == sorted(trees)
    assert trees[-1] > trees[0] == lowers[-1]


@pytest.mark.parametrize("method", ["semidefinite", "auto", "low_rank", "branch_and_bound"])
def test_progress_is_told_and_a_callback_may_end_it(method):
    X, y = problem(np.random.default_rng(0), "squared_error")
    network = pr.search(X, y, 0.03, random_state=0).network()
    records = []
    options = {"method": method, "max_nodes": 20_000}
    whole = pr.certify(network, X, y, 0.03, callback=records.append, **options)
    lowers = [record.dual_objective for record in records]
    assert lowers == sorted(lowers)
    assert lowers[-1] == whole.lower
    assert {record.objective for record in records} == {whole.upper}

    def stop(record):
        stopped.append(record)
        raise StopIteration

    stopped = []
    early = pr.certify(network, X, y, 0.03, callback=stop, **options)
    assert len(stopped) == 1
    assert stopped[0].dual_objective <= early.lower <= whole.lower
    assert early.details["n_rounds"] <= whole.details["n_rounds"]


def test_a_callback_of_several_outputs_has_a_bound_of_all_from_the_start():
    X, y = problem(np.random.default_rng(0), "squared_error")
    Y = np.column_stack([y, y[::-1]])
    network = pr.search(X, Y, 0.03, random_state=0, outputs="separate").network()
    lowers = []
    certificate = pr.certify(
        network,
        X,
        Y,
        0.03,
        "semidefinite",
        max_nodes=1,
        callback=lambda record: lowers.append(record.dual_objective),
    )
    at_once = pr.certify(network, X, Y, 0.03, "spectral", max_seconds=1e-9)
    assert 0 < at_once.lower <= lowers[0]
    assert lowers[-1] == certificate.lower
    assert lowers == sorted(lowers)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_ends_before_its_first_step_has_the_name_of_the_bound_by_eigenvalues(monkeypatch, steps):
    X, y = problem(np.random.default_rng(0), "squared_error")
    network = pr.search(X, y, 0.03, random_state=0).network()
    true, looks = _core.relaxed_correlation, []

    def late(*arguments):
        looks.append(arguments)
        found = true(*arguments)
        return (np.inf, *found[1:]) if len(looks) > steps else found

    monkeypatch.setattr(_core, "relaxed_correlation", late)
    certificate = pr.certify(network, X, y, 0.03, "semidefinite", max_rounds=4, max_nodes=1)
    assert len(looks) == 4
    assert certificate.method == ("semidefinite" if steps else "spectral")
    assert 0 < certificate.lower <= certificate.upper
