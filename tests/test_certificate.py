"""Certificates: bounds are valid, and where they are promised to close, they close."""

import itertools
import re
import signal
import threading

import numpy as np
import pytest
from reference import loss_conjugates, loss_slopes, loss_values, project

import pathrelu as pr
from pathrelu import _core
from pathrelu.arrangements import RowSpace
from pathrelu.certificate import Certificate
from pathrelu.certificate._mixed import Shares
from pathrelu.certificate._output import Output, spectral_norm
from pathrelu.program._problem import Problem
from pathrelu.program._solve import run_with_dual

EPS = float(np.finfo(np.float64).eps)


LOSSES = ["squared_error", "huber", "log_loss", "squared_hinge", "absolute_error"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def correlate(Z, theta, U):
    """Values of theta @ relu(Z @ u) for the rows u of U."""
    return theta @ np.maximum(Z @ U.T, 0)


def largest(Z, theta):
    """The largest abs(theta @ relu(Z @ u)) over unit u, by a projection on every cone."""
    best = 0.0
    for mask in pr.enumerate_arrangements(Z).masks()[:, 0]:
        for sign in (1, -1):
            A = (2.0 * mask - 1)[:, np.newaxis] * Z
            best = max(best, np.linalg.norm(project(A, sign * Z.T @ (mask * theta))))
    return best


def rows_and_theta(rng, n, r, kind):
    Z = rng.standard_normal((n, r))
    theta = rng.standard_normal(n)
    if kind == "integer":  # pencils, multiples, zero rows
        Z = rng.integers(-2, 3, (n, r)).astype(float)
        Z[:r] += 3 * np.eye(r)
    if kind == "positive":
        theta = np.abs(theta)
    if kind == "repeated":
        Z = np.concatenate([Z, -2 * Z[: n // 2], 0 * Z[:1]])
        theta = np.concatenate([theta, rng.standard_normal(n // 2 + 1)])
    return Z, theta


@pytest.mark.parametrize("kind", ["gaussian", "integer", "positive", "repeated"])
@pytest.mark.parametrize(("n", "r"), [(1, 1), (6, 1), (2, 2), (11, 2), (3, 3), (9, 3), (16, 3)])
def test_the_exact_correlation_is_the_largest_over_all_cones(rng, n, r, kind):
    Z, theta = rows_and_theta(rng, n, r, kind)
    bound, values, points, signs, _ = _core.exact_correlation(Z, theta, 1)
    expected = largest(Z, theta)
    assert expected * (1 - 1e-9) <= bound <= expected * (1 + 1e-9)
    np.testing.assert_allclose(signs * correlate(Z, theta, points), values, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)
    found = _core.branch_and_bound(Z, theta, 0.0, 1e-7, 100_000, False, 1)
    assert expected * (1 - 1e-9) <= found[0] <= expected * (1 + 2e-7)


@pytest.mark.parametrize("r", [4, 5, 6])
def test_branch_and_bound_is_valid_and_as_tight_as_asked(rng, r):
    Z, theta = rows_and_theta(rng, 40, r, "gaussian")
    bound, values, points, signs, _ = _core.branch_and_bound(Z, theta, 0.0, 0.01, 10**6, False, 2)
    assert values[0] <= bound <= 1.0101 * values[0]
    np.testing.assert_allclose(signs * correlate(Z, theta, points), values, rtol=1e-12)
    U = rng.standard_normal((20000, r))
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    sampled = np.abs(correlate(Z, theta, U)).max()
    assert sampled <= values[0] * (1 + 1e-12)
    # Stopped early, it is valid, and looser the earlier it stops.
    early = [_core.branch_and_bound(Z, theta, 0.0, 0.01, nodes, False, 1)[0] for nodes in (1, 300, 3000)]
    assert early[0] >= early[1] >= early[2] >= values[0]
    # Values up to a floor are not looked for, and a value above it is enough where that is asked for.
    floored = _core.branch_and_bound(Z, theta, 2 * bound, 0.01, 10**6, False, 1)
    assert floored[0] <= 2.03 * bound
    assert floored[4] < 2000
    stopped = _core.branch_and_bound(Z, theta, 0.5 * bound, 0.01, 10**6, True, 1)
    assert stopped[0] >= bound * (1 - 1e-2)
    assert stopped[1][0] > 0.505 * bound


def test_threads_change_no_bit(rng):
    Z, theta = rows_and_theta(rng, 150, 3, "gaussian")
    for function, options in (
        (_core.exact_correlation, ()),
        (_core.branch_and_bound, (0.0, 1e-3, 5000, False)),
    ):
        one, three = (function(Z, theta, *options, threads) for threads in (1, 3))
        for a, b in zip(one, three, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("n", "r"), [(5, 1), (30, 2), (40, 3), (8, 3)])
def test_the_spectral_bound_is_valid_and_better_than_with_equal_weights(rng, n, r):
    for kind in ("gaussian", "integer", "positive"):
        Z, theta = rows_and_theta(rng, max(n, r), r, kind)
        bound = spectral_norm(Z, theta)
        assert bound >= _core.exact_correlation(Z, theta, 1)[0] * (1 - 1e-9)
        parts = [np.maximum(theta, 0), np.maximum(-theta, 0)]
        plain = [p.sum() * np.linalg.eigvalsh((Z * p[:, np.newaxis]).T @ Z)[-1] for p in parts]
        assert bound <= 0.5 * (np.linalg.norm(Z.T @ theta) + np.sqrt(max(plain))) * (1 + 1e-9)


def steepest(Z, theta):
    """Outputs of the unit that correlates most with theta, of the sign that it does."""
    _, values, points, *_ = _core.exact_correlation(Z, np.ascontiguousarray(theta), 1)
    outputs = np.maximum(Z @ points[values.argmax()], 0)
    return np.sign(outputs @ theta) * outputs


def best_tree(rng, Z, theta, width, starts=400, steps=60):
    """A large abs(theta @ h) over trees of path norm 1: ascent by numerical gradients from random trees."""
    paths = int(np.prod(width))
    edges = sum(int(np.prod(width[k:])) for k in range(len(width)))
    V = rng.standard_normal((starts, paths, Z.shape[1]))
    signs = rng.choice([-1.0, 1.0], (starts, edges))
    signs[: starts // 3] = 1
    sigma = rng.choice([-1.0, 1.0], starts)

    def value(V):
        h, edge = np.maximum(V @ Z.T, 0), 0  # (starts, paths, n)
        for m in width:
            s = signs[:, edge : edge + h.shape[1], np.newaxis]
            edge += h.shape[1]
            h = np.maximum((s * h).reshape(starts, -1, m, len(Z)).sum(axis=2), 0)
        return sigma * (h[:, 0] @ theta)

    for step in range(steps):
        V /= np.linalg.norm(V, axis=(1, 2), keepdims=True)
        base, gradient = value(V), np.zeros_like(V)
        for p, k in itertools.product(range(paths), range(Z.shape[1])):
            moved = V.copy()
            moved[:, p, k] += 1e-6
            gradient[:, p, k] = (value(moved) - base) / 1e-6
        length = np.linalg.norm(gradient, axis=(1, 2), keepdims=True)
        V = V + gradient / np.maximum(length, 1e-300) / (1 + step / 5)
    V /= np.linalg.norm(V, axis=(1, 2), keepdims=True)
    return value(V).max()


@pytest.mark.parametrize("width", [(1,), (2,), (3,), (2, 2), (1, 3)])
def test_no_tree_correlates_more_than_the_bound_for_trees(rng, width):
    ratios = []
    for kind in ("gaussian", "positive", "integer"):
        Z, theta = rows_and_theta(rng, 9, 2, kind)
        problem = Problem(Z, theta[:, np.newaxis], True, np.ones(len(Z)), "relu", *["squared_error"] * 2)
        output = Output(problem, 1.0, False, width, 1)

        def most(t, Z=Z):
            return _core.exact_correlation(Z, np.ascontiguousarray(t), 1)[0]

        bound, reached = output.tree_bound(theta, most), best_tree(rng, Z, theta, width)
        assert reached <= bound * (1 + 1e-9)
        # As documented, and at depth 3 not above it.
        P, parts = np.prod(width), (np.maximum(theta, 0), np.maximum(-theta, 0))
        documented = max(np.sqrt(P) * most(theta), *(np.sqrt(P - 1) * most(part) for part in parts))
        assert bound <= documented * (1 + 1e-12)
        if len(width) > 1:
            assert bound == pytest.approx(documented)
        # Shares of rows go down the slope, and further at the next look; the bound holds wherever they are.
        looks = [output.tree_bound(theta, most, lambda t, Z=Z: steepest(Z, t)) for _ in range(3)]
        assert reached <= min(looks) * (1 + 1e-9)
        assert max(looks) <= bound * (1 + 1e-12)
        assert min(looks) >= np.sqrt(P) * most(theta) * (1 - 1e-12)  # equal leaves reach it
        # Better than the root of paths times the norm over all masks.
        masks = _core.exact_correlation(Z * theta[:, np.newaxis], np.ones(len(Z)), 1)[0]
        assert bound <= np.sqrt(np.prod(width)) * masks * (1 + 1e-9)
        ratios.append(reached / bound)
    assert max(ratios) > 0.75  # and the ascent is a test of it


def test_trees_of_both_signs_are_below_the_bound_for_any_shares():
    ratios, of_plus_signs = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(4, 9))
        Z, theta = rng.standard_normal((n, 2)), rng.standard_normal(n)
        if seed % 2:
            Z[:, 1] = 0.5

        def most(t, Z=Z):
            return _core.exact_correlation(Z, np.ascontiguousarray(t), 1)[0]

        V = rng.standard_normal((20_000, 2, 2)) * np.exp(rng.standard_normal((20_000, 2, 1)))
        V /= np.linalg.norm(V, axis=(1, 2), keepdims=True)
        leaves = np.maximum(V @ Z.T, 0)
        outputs = np.maximum(leaves[:, 0] - leaves[:, 1], 0)
        for sign in (1, -1):
            shares = Shares(np.maximum(sign * theta, 0), np.maximum(-sign * theta, 0), most, 2)
            for t in (np.ones(n), np.full(n, 0.5), rng.random(n)):
                look = shares.look(t, None)
                reached = (sign * outputs @ theta).max()
                assert reached <= np.sqrt(look.squares[0]) * (1 + 1e-9)
                ratios.append(reached / max(np.sqrt(look.squares[0]), 1e-300))
                of_plus_signs.append(reached / max(look.plus, 1e-300))
    assert max(ratios) > 0.99
    assert max(of_plus_signs) > 1.05  # leaves of minus signs do count


@pytest.mark.parametrize("paths", [2, 3])
def test_shares_of_rows_bring_trees_of_both_signs_down_to_those_of_plus_signs(rng, paths):
    before, after = [], []
    for _ in range(6):
        Z, theta = rng.standard_normal((40, 3)), rng.standard_normal(40)
        output = Output(Problem.check(Z, theta, "relu", "squared_error", None), 1.0, False, (paths,), 1)

        def most(t, Z=Z):
            return _core.exact_correlation(Z, np.ascontiguousarray(t), 1)[0]

        least = np.sqrt(paths) * most(theta)
        before.append(output.tree_bound(theta, most) / least)
        for _ in range(4):
            bound = output.tree_bound(theta, most, lambda t, Z=Z: steepest(Z, t)) / least
        after.append(bound)
        assert best_tree(rng, Z, theta, (paths,)) <= bound * least
    assert (np.array(after) <= np.array(before)).all()
    assert min(after) >= 1 - 1e-12  # which trees of equal leaves reach
    assert np.mean(after) - 1 < 0.5 * (np.mean(before) - 1)


@pytest.mark.parametrize("width", [2, 3])
def test_depth_three_closes_where_trees_of_plus_signs_are_the_worst(rng, width):
    for _ in range(4):
        X = rng.standard_normal((50, 3))
        y = np.abs(X[:, 0]) - np.maximum(X[:, 1], 0) + 0.3 * rng.standard_normal(50)
        shallow = pr.search(X, y, 0.1 / np.sqrt(width), random_state=0)
        units = shallow.network()
        # The sum of equal leaves: the same outputs for a path norm that is the root of their number smaller.
        trees = pr.ParallelReLUNetwork(
            np.repeat(units.leaf_weights, width, axis=1) / width,
            edge_signs=np.ones((units.n_subnetworks, width)),
            output_sign=units.output_sign,
            width=[width],
        )
        certificate = pr.certify(trees, X, y, 0.1, "branch_and_bound")
        assert certificate.upper == pytest.approx(shallow.objective, rel=1e-9)
        assert certificate.relative_gap < (0.02 if width == 2 else 0.1)
        for seed in range(2):
            found = pr.search(X, y, 0.1, depth=3, width=width, random_state=seed)
            assert certificate.lower <= found.objective


@pytest.mark.parametrize("loss", LOSSES)
def test_dual_points_and_their_bounds(rng, loss):
    signs = loss in ("log_loss", "squared_hinge")
    y = rng.choice([-1.0, 1], (12, 1)) if signs else rng.standard_normal((12, 1))
    w, f = rng.random(12) + 0.2, 2 * rng.standard_normal((12, 1))
    w /= w.mean()
    plain = _core.dual_point(f, y, w, loss, False)
    np.testing.assert_allclose(plain[:, 0], -w * loss_slopes(loss, f, y)[:, 0] / 12, atol=1e-15)
    centred = _core.dual_point(f, y, w, loss, True)
    assert abs(centred.sum()) < 1e-14 < abs(plain.sum())
    for theta, cap in ((plain, 0.3), (plain, 1.0), (centred, 0.7), (plain, np.inf)):
        values = []
        for scale in np.linspace(0, min(cap, 1.0), 2001):
            u = -12 * scale * theta[:, 0] / w
            values.append(-np.mean(w * loss_conjugates(loss, u, y[:, 0])))
        bound = _core.dual_bound(theta, y, w, loss, cap)
        assert values[-1] - 1e-12 <= bound
        if cap < 1:
            assert bound <= max(values) + 1e-6


def restarts(rng, X, y, w, alpha, loss, width, intercept, R=200, K=4, steps=100):
    """The least objective that Adam reaches from R starts with K sub-networks each, in plain NumPy."""
    paths, (n, d) = int(np.prod(width)), X.shape
    V = rng.standard_normal((R, K, paths, d)) * 10 ** rng.uniform(-1.5, 0.3, (R, 1, 1, 1))
    b = np.zeros(R)
    signs = rng.choice([-1.0, 1.0], (R, K, paths))
    signs[..., 0] = 1
    sigma = rng.choice([-1.0, 1.0], (R, K))

    def forward(V, b):
        pre = V @ X.T  # (R, K, paths, n)
        hidden = np.maximum(pre, 0)
        root = (signs[..., np.newaxis] * hidden).sum(axis=2) if width else pre[:, :, 0]
        f = b[:, np.newaxis] + (sigma[:, :, np.newaxis] * np.maximum(root, 0)).sum(axis=1)
        return pre, root, f

    def objective(V, b, f):
        return (w * loss_values(loss, f, y)).mean(axis=1) + alpha * np.linalg.norm(
            V.reshape(R, K, -1), axis=2
        ).sum(axis=1)

    best = np.inf
    m, v, mb, vb = np.zeros_like(V), np.zeros_like(V), np.zeros(R), np.zeros(R)
    for step in range(1, steps + 1):
        pre, root, f = forward(V, b)
        best = min(best, objective(V, b, f).min())
        slope = w * loss_slopes(loss, f, y) / n
        on = sigma[:, :, np.newaxis] * (root > 0) * slope[:, np.newaxis]
        on = (
            on[:, :, np.newaxis] * signs[..., np.newaxis] * (pre > 0)
            if width
            else on[:, :, np.newaxis] * (pre > 0)
        )
        norms = np.linalg.norm(V, axis=(2, 3), keepdims=True)
        g = on @ X + alpha * V / np.maximum(norms, 1e-12)
        gb = slope.sum(axis=1) * intercept
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        mb, vb = 0.9 * mb + 0.1 * gb, 0.99 * vb + 0.01 * gb**2
        rate = 0.2 * (1 - step / (steps + 1)) ** 2
        unbias = np.sqrt(1 - 0.99**step) / (1 - 0.9**step)
        V = V - rate * unbias * m / (np.sqrt(v) + 1e-9)
        b = b - rate * unbias * mb / (np.sqrt(vb) + 1e-9)
    return min(best, objective(V, b, forward(V, b)[2]).min())


def tiny_problem(seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(3, 10)), int(rng.integers(1, 5))
    loss = LOSSES[seed % len(LOSSES)]
    X = rng.standard_normal((n, d)) if seed % 3 else rng.integers(-2, 3, (n, d)) + 0.0
    y = np.maximum(X @ rng.standard_normal((d, 2)), 0) @ [2, -2] + 0.3 * rng.standard_normal(n)
    if loss in ("log_loss", "squared_hinge"):
        y = np.where(y > np.median(y), 1.0, -1.0)
        y[0], y[1] = 1, -1
    w = rng.random(n) + (rng.random(n) > 0.2) if seed % 5 == 0 else np.ones(n)
    options = {
        "loss": loss,
        "fit_intercept": bool(rng.integers(2)),
        "sample_weight": w / w.mean(),
    }
    return rng, X, y, 10 ** rng.uniform(-2.5, -0.7), options


METHODS = ("auto", "low_rank", "spectral", "branch_and_bound", "semidefinite")


@pytest.mark.parametrize("part", range(6))
def test_no_network_is_better_than_the_lower_bound(part):
    """On 300 problems: search and 200 restarts of Adam stay above the bound, at depths 2 and 3."""
    close = []
    for seed in range(50 * part, 50 * part + 50):
        rng, X, y, alpha, options = tiny_problem(seed)
        width = () if rng.random() < 0.6 else (int(rng.integers(1, 4)),)
        found = pr.search(
            X, y, alpha, depth=2 + len(width), width=width or 1, random_state=seed, n_starts=16, **options
        )
        net = found.network()
        method = METHODS[seed % 5] if seed % 8 else "auto"
        certificate = pr.certify(net, X, y, alpha, method, max_nodes=3000, max_rounds=10, **options)
        best = restarts(
            rng, X, y, options["sample_weight"], alpha, options["loss"], width, options["fit_intercept"]
        )
        assert certificate.upper == pytest.approx(found.objective, rel=1e-9)
        assert certificate.lower <= min(best, certificate.upper) * (1 + 1e-9), (seed, method)
        assert certificate.lower >= -1e-12
        close.append(certificate.relative_gap < 0.02)
    assert np.mean(close) > 0.3


@pytest.mark.parametrize("loss", [*LOSSES, "poisson", "gamma"])
@pytest.mark.parametrize(
    ("rank", "intercept", "weighted"), [(1, True, False), (2, False, True), (3, True, True)]
)
def test_up_to_rank_three_the_gap_closes(rng, loss, rank, intercept, weighted):
    X = rng.standard_normal((20, rank)) @ rng.standard_normal((rank, 4))
    y = np.abs(X[:, 0]) + 0.2 * rng.standard_normal(20)
    if loss in ("log_loss", "squared_hinge"):
        y = np.where(y > np.median(y), 1.0, 0.0)
    if loss in ("poisson", "gamma"):
        y = np.exp(y) if loss == "gamma" else np.floor(np.exp(y))
    options = {"loss": loss, "fit_intercept": intercept}
    if weighted:
        options["sample_weight"] = rng.random(20) + 0.1
    arrangements = pr.enumerate_arrangements(X)
    alpha = 0.05 * pr.alpha_max(X, y, arrangements, **options)
    solution = pr.solve(X, y, arrangements, alpha, tol=1e-9, **options)
    certificate = pr.certify(solution.network(), X, y, alpha, **options)
    assert (certificate.method, certificate.details["rank"]) == ("enumeration", rank)
    assert certificate.details["tight"]
    assert certificate.lower <= certificate.upper * (1 + 1e-12)
    assert certificate.relative_gap < 1e-6
    assert certificate.lower >= solution.objective * (1 - 2e-6)


def test_a_bad_network_is_seen_to_be_bad_and_a_better_one_is_known(rng):
    X = rng.standard_normal((30, 3))
    y = np.maximum(X[:, 0], 0) - np.maximum(X[:, 1], 0)
    few = pr.solve(X, y, pr.sample_arrangements(X, 2, random_state=0), 0.01)
    best = pr.solve(X, y, pr.enumerate_arrangements(X), 0.01, tol=1e-9)
    certificate = pr.certify(few.network(), X, y, 0.01)
    assert few.objective > 1.1 * best.objective
    assert certificate.gap == pytest.approx(few.objective - best.objective, rel=1e-4)
    assert certificate.details["best_objective"] == pytest.approx(best.objective, rel=1e-5)


def test_branch_and_bound_closes_to_one_percent_at_rank_five(rng):
    X = rng.standard_normal((100, 5))
    y = np.maximum(X @ rng.standard_normal((5, 3)), 0) @ [1, 1, -2] + 0.1 * rng.standard_normal(100)
    alpha = 0.1 * pr.alpha_max(X, y, pr.sample_arrangements(X, 500, random_state=0))
    net = pr.search(X, y, alpha, random_state=0).network()
    certificate = pr.certify(net, X, y, alpha)
    assert certificate.method == "branch_and_bound"
    assert 0 <= certificate.relative_gap <= 0.01
    short = pr.certify(net, X, y, alpha, max_nodes=500)
    assert 0 < short.lower < certificate.lower
    assert short.details["n_nodes"] < 2000


def test_low_rank_closes_where_the_rest_is_small(rng):
    scores = rng.standard_normal((60, 6)) * [3, 2, 1, 1e-6, 1e-6, 1e-6]
    X = scores @ np.linalg.qr(rng.standard_normal((6, 6)))[0]
    y = np.maximum(scores[:, 0] - scores[:, 1], 0) + 0.1 * rng.standard_normal(60)
    net = pr.search(X, y, 0.05, random_state=0, tol=1e-9).network()
    best = pr.certify(net, X, y, 0.05, "low_rank")
    assert best.details["kappa"] >= 3
    assert best.relative_gap < 0.02
    fewer = [pr.certify(net, X, y, 0.05, "low_rank", kappa=k).lower for k in range(3)]
    assert max(fewer) < best.lower


def test_auto_is_the_best_of_its_tries_beyond_rank_six(rng):
    X, y = rng.standard_normal((25, 7)), rng.standard_normal(25)
    net = pr.search(X, y, 0.1, random_state=0).network()
    auto = pr.certify(net, X, y, 0.1, max_nodes=1000)
    tries = [
        pr.certify(net, X, y, 0.1, m, max_nodes=1000).lower for m in ("low_rank", "spectral", "semidefinite")
    ]
    assert auto.lower >= max(tries) - 1e-12


def test_joint_arrangements_close_the_gap_at_depth_three(rng):
    X = rng.standard_normal((5, 2))
    y = rng.standard_normal(5)
    net = pr.search(X, y, 0.02, depth=3, width=2, random_state=0, tol=1e-9).network()
    certificate = pr.certify(net, X, y, 0.02)
    assert certificate.method == "enumeration"
    assert certificate.details["tight"]
    assert certificate.relative_gap < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_networks_of_estimators_are_certified_where_they_were_trained(rng, dtype):
    X = (5 + 3 * rng.standard_normal((40, 2))).astype(dtype)
    y = 2 * np.abs(X[:, 0] - 8) + rng.standard_normal(40)
    weight = rng.random(40) + 0.5
    weight[:3] = 0
    tol = 1e-8 if dtype == np.float64 else 1e-6
    model = pr.PathReLURegressor(alpha=0.05, random_state=0, tol=tol).fit(X, y, sample_weight=weight)
    assert model.network_.leaf_bias.any()
    assert model.network_.intercept.any()
    certificate = pr.certify(model.network_, X, y, 0.05, sample_weight=weight)
    assert certificate.upper == model.network_.objective(X, y, 0.05, sample_weight=weight)
    assert certificate.details["rank"] == 3
    assert certificate.relative_gap < (1e-4 if dtype == np.float64 else 1e-3)
    # Of the same rows: without bias the optimum is larger, and a constant is a candidate for both problems.
    constant = pr.ParallelReLUNetwork(
        np.zeros((0, 1, 2)), intercept=1.0, center=model.network_.center, scale=model.network_.scale
    )
    with_bias, without = (
        pr.certify(constant, X, y, 0.05, sample_weight=weight, bias=bias).lower for bias in (True, None)
    )
    assert with_bias == pytest.approx(certificate.lower, rel=1e-4)
    assert without > 1.02 * with_bias
    with pytest.raises(ValueError, match="bias is False, but the network has biases"):
        pr.certify(model.network_, X, y, 0.05, bias=False)
    with pytest.raises(ValueError, match="fit_intercept is False, but the network has an intercept"):
        pr.certify(model.network_, X, y, 0.05, fit_intercept=False)


def test_labels_and_several_outputs(rng):
    X = rng.standard_normal((40, 2))
    labels = np.array(["a", "b"])[np.argmax(X @ rng.standard_normal((2, 2)), axis=1)]
    model = pr.PathReLUClassifier(alpha=0.02, random_state=0, tol=1e-8, bias=False).fit(X, labels)
    certificate = pr.certify(model.network_, X, labels, 0.02, loss="log_loss")
    assert certificate.relative_gap < 1e-3
    assert certificate.details["n_rounds"] >= 1
    y = rng.standard_normal((40, 2))
    together = pr.search(X, y, 0.02, outputs="separate", random_state=0).network()
    parts = [pr.search(X, y[:, c], 0.02, random_state=0).network() for c in (0, 1)]
    lower = sum(pr.certify(net, X, y[:, c], 0.02).lower for c, net in enumerate(parts))
    assert pr.certify(together, X, y, 0.02).lower == pytest.approx(lower, rel=1e-5)


def test_the_gap_of_the_solver_is_no_certificate(rng):
    X, y = rng.standard_normal((30, 3)), rng.standard_normal(30)
    arrangements = pr.sample_arrangements(X, 5, random_state=0)
    solution = pr.solve(X, y, arrangements, 0.02, tol=1e-8)
    net = solution.network()
    given = pr.certify(net, X, y, 0.02, "solver", arrangements=arrangements)
    assert given.arrangements == 5
    assert given.lower == pytest.approx(solution.dual_objective, rel=1e-5)
    assert "no certificate of the training problem" in str(given)
    own = pr.certify(net, X, y, 0.02, "solver")
    assert own.arrangements == solution.n_active
    true = pr.certify(net, X, y, 0.02)
    assert true.lower < 0.99 * given.lower
    assert "global optimum at least" in str(true)


def test_low_rank_takes_up_to_six_scores_unless_told_more(rng):
    X = np.linalg.qr(rng.standard_normal((40, 8)))[0] * [9, 8, 7, 6, 5, 4, 3, 1e-6]  # seven would be best
    y = np.abs(X[:, 0])
    network = pr.ParallelReLUNetwork(np.zeros((0, 1, 8)))
    by_default = pr.certify(network, X, y, 0.05, "low_rank")
    assert by_default.details["kappa"] <= 6
    few = pr.certify(pr.ParallelReLUNetwork(np.zeros((0, 1, 3))), X[:, :3], y, 0.05, "low_rank", kappa=12)
    assert few.details["kappa"] == 3  # the rank


def test_rounds_and_nodes_are_counted_and_bounded(rng):
    X = rng.standard_normal((30, 4))
    y = np.abs(X[:, 0]) - np.abs(X[:, 1])
    nothing = pr.ParallelReLUNetwork(np.zeros((0, 1, 4)))
    for rounds in (1, 2, 3):
        few = pr.ParallelReLUNetwork(np.zeros((0, 1, 3)))
        certificate = pr.certify(few, X[:, :3], y, 0.01, max_rounds=rounds)
        assert (certificate.method, certificate.details["n_rounds"]) == ("enumeration", rounds)
        outputs = pr.ParallelReLUNetwork(np.zeros((0, 1, 3)), intercept=np.zeros(2))
        both = pr.certify(outputs, X[:, :3], np.column_stack([y, -y]), 0.01, max_rounds=rounds)
        assert both.details["n_rounds"] == 2 * rounds
    looked = [
        pr.certify(nothing, X, y, 0.01, "branch_and_bound", max_nodes=nodes).details["n_nodes"]
        for nodes in (50, 200, 2000)
    ]
    assert 0 < looked[0] < looked[1] < looked[2] <= 2000  # where the gap closes


def test_a_vacuous_bound_is_printed_as_vacuous():
    certificate = Certificate(0.5, 1e-14, "spectral", None, 0.1, {})
    assert certificate.vacuous
    assert "the lower bound 1e-14 is vacuous (spectral, 0.1 s)" in str(certificate)
    assert (certificate.gap, certificate.relative_gap) == (0.5 - 1e-14, 1 - 2e-14)
    better = Certificate(0.5, 0.49, "enumeration", None, 2.0, {})
    assert str(better) == (
        "objective 0.5, global optimum at least 0.49: gap 0.01, 2 % of the objective (enumeration, 2 s)"
    )


def test_constant_networks_and_rows_of_zeros(rng):
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    zero = pr.search(X, y, 100.0, random_state=0, fit_intercept=True).network()
    assert zero.n_subnetworks == 0
    assert pr.certify(zero, X, y, 100.0).relative_gap < 1e-9
    with pytest.raises(ValueError, match="no sub-network and so no arrangements"):
        pr.certify(zero, X, y, 100.0, "solver")
    flat = pr.ParallelReLUNetwork(np.ones((1, 1, 3)))
    for method in METHODS:
        certificate = pr.certify(flat, np.zeros((20, 3)), y, 1.0, method)
        assert certificate.lower == pytest.approx((y**2).mean() / 2)


def test_threads_change_no_bit_of_a_certificate(rng):
    X, y = rng.standard_normal((40, 4)), rng.standard_normal(40)
    net = pr.search(X, y, 0.05, random_state=0).network()
    one, two = (pr.certify(net, X, y, 0.05, n_threads=k) for k in (1, 2))
    assert (one.lower, one.details) == (two.lower, two.details)


def network(**options):
    return pr.ParallelReLUNetwork(np.ones((1, 1, 4)), **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {
                "net": pr.GatedReLUNetwork(np.ones((1, 1, 4)), gates=np.ones((1, 1, 4))),
                "method": "branch_and_bound",
            },
            ValueError,
            "net is a gated network, whose gates are free; expected one of 'auto', 'semidefinite', "
            "'spectral', 'solver'",
        ),
        ({"net": None}, TypeError, "net has type NoneType"),
        ({"alpha": 0}, ValueError, "alpha is 0"),
        ({"method": "best"}, ValueError, "method is 'best'"),
        ({"method": "enumeration"}, ValueError, "have rank 4, and method='enumeration' is for ranks up to 3"),
        ({"loss": "hinge"}, ValueError, "loss is 'hinge'"),
        ({"kappa": 2}, ValueError, "kappa is 2 with the method 'auto'"),
        ({"kappa": 17, "method": "low_rank"}, ValueError, "kappa is 17"),
        ({"tol": 0}, ValueError, "tol is 0"),
        ({"max_nodes": 0}, ValueError, "max_nodes is 0"),
        ({"bias": 1}, TypeError, "bias is 1"),
        ({"arrangements": 3}, ValueError, "arrangements were given with the method 'auto'"),
        ({"arrangements": 3, "method": "solver"}, TypeError, "arrangements has type int"),
        ({"X": np.ones((6, 3))}, ValueError, "."),
        ({"y": np.ones(5)}, ValueError, "y has shape"),
    ],
)
def test_wrong_arguments_are_refused(rng, options, error, message):
    arguments = {"net": network(), "X": rng.standard_normal((6, 4)), "y": np.ones(6), "alpha": 0.1} | options
    with pytest.raises(error, match=message if message == "." else re.escape(message)):
        pr.certify(**arguments)


def test_control_c_stops_it(rng):
    Z, theta = rng.standard_normal((300, 6)), rng.standard_normal(300)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            _core.branch_and_bound(Z, theta, 0.0, 1e-9, 10**9, False, 1)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, previous)


def test_row_spaces_of_rounded_rows(rng):
    X = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 5))
    space = RowSpace.of(X, EPS)
    assert space.rank == 2
    assert space.residual < 1e-13
    np.testing.assert_allclose(space.left * space.values @ space.basis.T, X, atol=1e-12)


@pytest.mark.parametrize(
    "method", ["auto", "enumeration", "branch_and_bound", "semidefinite", "low_rank", "spectral"]
)
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_kinks_are_certified_by_every_method(rng, method, fit_intercept):
    X = rng.standard_normal((20, 2))
    y = np.abs(X[:, 0]) + 0.3 * rng.standard_normal(20)
    y[:3], X[:3] = y[0], X[0]  # equal residuals
    options = {"loss": "quantile", "quantile": 0.7, "fit_intercept": fit_intercept}
    arrangements = pr.enumerate_arrangements(X)
    solution = pr.solve(X, y, arrangements, 0.03, tol=1e-9, **options)
    network = solution.network()
    certificate = pr.certify(network, X, y, 0.03, method, **options)
    goal = {"auto": 1e-6, "enumeration": 1e-6, "branch_and_bound": 1e-2, "low_rank": 2e-2}.get(method, 1)
    assert 0 < certificate.lower <= certificate.upper * (1 + 1e-12)
    assert certificate.relative_gap <= goal
    of_these = pr.certify(network, X, y, 0.03, "solver", arrangements=arrangements, tol=1e-9, **options)
    assert of_these.upper == pytest.approx(solution.objective, rel=1e-12)
    assert of_these.relative_gap < 1e-7


@pytest.mark.parametrize("loss", [*LOSSES, "quantile", "poisson", "gamma"])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_the_dual_point_of_a_solve_gives_its_dual_objective(rng, loss, fit_intercept):
    X = rng.standard_normal((15, 2))
    y = rng.choice([-1.0, 1], 15) if loss in ("log_loss", "squared_hinge") else rng.standard_normal(15)
    y = np.floor(np.exp(y)) if loss == "poisson" else np.exp(y) if loss == "gamma" else y
    arrangements = pr.enumerate_arrangements(X)
    problem = Problem.check(X, y, "relu", loss, rng.random(15))
    for max_iter in (1, 30, 10_000):
        options = _core.SolveOptions(tol=1e-9, max_iter=max_iter, fit_intercept=fit_intercept)
        solution, theta = run_with_dual(problem, arrangements, 0.02, options)
        assert not fit_intercept or abs(theta.sum()) <= 1e-14 * np.abs(theta).sum()
        most = _core.exact_correlation(X, theta[:, 0].copy(), 1)[0]
        bound = _core.dual_bound(theta, problem.y, problem.w, problem.core_loss, 0.02 / most)
        # A solve that ends early knows no more of the correlation than bounds.
        assert solution.dual_objective <= bound * (1 + 1e-9)
    assert bound == pytest.approx(solution.dual_objective, rel=1e-9)
    assert bound == pytest.approx(solution.objective, rel=1e-6)


def test_thresholds_of_huber(rng):
    X, y = rng.standard_normal((20, 2)), rng.standard_normal(20)
    options = {"loss": "huber", "threshold": 0.5}
    solution = pr.solve(X, y, pr.enumerate_arrangements(X), 0.02, tol=1e-9, **options)
    assert pr.certify(solution.network(), X, y, 0.02, **options).relative_gap < 1e-6
