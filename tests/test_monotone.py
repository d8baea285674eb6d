"""Monotone constraints: in every network that comes back, in the program, its gap and its optimum."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Groups, project, random_trees
from support import assert_is_its_own_objective, core_arrangements, random_program, solve

import pathrelu as pr
from pathrelu import _core

ACTIVATIONS = ["gated", "relu"]
WIDTHS = [(), (2,)]


def monotone_program(seed, width, directions, **options):
    """A random program; gates depend on no column with a direction, unless `activation` is "relu"."""
    program, arrangements = random_program(seed, width, d=len(directions), **options)
    if program.activation == "gated":
        W, signs = random_trees(np.random.default_rng(seed), 8, len(directions), width)
        W[..., np.array(directions) != 0] = 0
        groups = Groups.of_trees(program.X, W, signs, width).distinct()
        program = replace(program, groups=groups)
        arrangements = pr.Arrangements.from_trees(program.X, W, signs, width=width)
    return replace(program, monotone=directions), arrangements


def steepest_wrong_step(predict, X, directions, seed=0, points=24):
    """By how much predictions move the wrong way between neighbours on lines along columns, at most.

    Over the size of predictions there. Lines pass through and beyond the rows.
    """
    rng = np.random.default_rng(seed)
    worst = 0.0
    for column in np.flatnonzero(directions):
        low, high = np.nanmin(X[:, column]), np.nanmax(X[:, column])
        values = np.linspace(low - (high - low), high + (high - low), points)
        lines = np.repeat(X[rng.integers(len(X), size=5)], points, axis=0)
        lines[:, column] = np.tile(values, 5)
        f = np.asarray(predict(lines), np.float64).reshape(5, points, -1)
        wrong = -directions[column] * np.diff(f, axis=1)
        worst = max(worst, wrong.max() / max(1.0, np.abs(f).max()))
    return worst


# ---- The program -----------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_solve_reaches_the_optimum_of_cvxpy(activation, width, skip, loss):
    program, arrangements = monotone_program(
        5, width, (1, -1, 0), activation=activation, loss=loss, fit_intercept=True, n=20, alpha=0.01
    )
    if skip:
        arrangements = arrangements.with_skip_connection()
    solution = solve(program, arrangements, tol=1e-9, monotonic_cst=program.monotone)
    free = solve(program, arrangements, tol=1e-9)

    assert solution.converged
    assert solution.objective == pytest.approx(program.optimum(skip), rel=1e-6)
    assert solution.objective > free.objective * (1 + 1e-6)  # the constraints say something
    assert solution.n_active > 0
    network = solution.network()
    again = network.objective(program.X, program.y, program.alpha, loss=loss)
    if activation == "relu":
        assert again == pytest.approx(solution.objective, rel=1e-9)
    if not skip:
        assert_is_its_own_objective(solution, program)
    assert steepest_wrong_step(network.predict, program.X, program.monotone) < 1e-12


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_alpha_max_is_where_the_constant_network_ends(activation):
    program, arrangements = monotone_program(2, (), (1, 0, -1), activation=activation, fit_intercept=True)
    shared = {"activation": activation, "fit_intercept": True, "monotonic_cst": program.monotone}
    largest = pr.alpha_max(program.X, program.y, arrangements, **shared)
    assert largest < pr.alpha_max(
        program.X, program.y, arrangements, activation=activation, fit_intercept=True
    )
    for share, active in ((1.01, 0), (0.97, 1)):
        found = pr.solve(program.X, program.y, arrangements, share * largest, **shared)
        assert found.n_active == active
    path = pr.solve_path(program.X, program.y, arrangements, n_alphas=3, eps=0.1, **shared)
    assert path.alphas[0] == pytest.approx(largest)
    assert path.solutions[-1].objective == pytest.approx(
        replace(program, alpha=path.alphas[-1]).optimum(), rel=1e-5
    )


@pytest.mark.parametrize("patterned", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("sigma", [1, -1])
def test_projections_on_the_cones_are_those_of_the_reference(width, sigma, patterned):
    rng = np.random.default_rng(4)
    for seed in range(5):
        program, _ = random_program(seed, width, n=9)
        program = replace(program, monotone=(1, 0, -1))
        core = core_arrangements(program.groups)
        directions = np.array(program.monotone, np.int8)
        for g in range(3):
            z = rng.standard_normal(program.groups.paths * 3)
            found = _core.project(program.X, core, g, z, directions, float(sigma), patterned)
            rows = program.sign_rows(g, sigma)
            assert (rows @ found).min() >= 0  # to the last digit
            if patterned:
                rows = np.concatenate([rows, program.groups.cone_rows(program.X, g)])
            np.testing.assert_allclose(found, project(rows, z), atol=1e-9)


def test_separate_outputs_are_each_monotone():
    program, arrangements = monotone_program(1, (2,), (1, 0, -1), n=20)
    y = np.column_stack([program.y, -program.y])
    both = pr.solve(program.X, y, arrangements, 0.01, monotonic_cst=[1, 0, -1], tol=1e-8)
    each = [
        pr.solve(program.X, y[:, k], arrangements, 0.01, monotonic_cst=[1, 0, -1], tol=1e-8) for k in range(2)
    ]
    assert both.objective == pytest.approx(each[0].objective + each[1].objective, rel=1e-6)
    assert steepest_wrong_step(both.network().predict, program.X, (1, 0, -1)) < 1e-12


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_directions_of_one_output_are_its_sign(sign):
    program, arrangements = monotone_program(3, (), (1, 0, -1), n=20)
    directions = np.full((len(arrangements), 1), sign)
    solution = pr.solve(
        program.X, program.y, arrangements, 0.01, directions=directions, monotonic_cst=[1, 0, -1]
    )
    assert solution.n_active > 0
    assert steepest_wrong_step(solution.network().predict, program.X, (1, 0, -1)) < 1e-12


# ---- Searches --------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    directions=st.lists(st.sampled_from([-1, 0, 1]), min_size=2, max_size=4),
    activation=st.sampled_from(ACTIVATIONS),
    depth=st.sampled_from([2, 3]),
    skip=st.booleans(),
    single=st.booleans(),
    alpha=st.sampled_from([0.1, 0.01, 0.001]),
)
def test_every_network_of_a_search_is_monotone(seed, directions, activation, depth, skip, single, alpha):
    rng = np.random.default_rng(seed)
    directions = [*directions, 0]
    X = np.column_stack([rng.standard_normal((25, len(directions) - 1)), np.ones(25)])
    X = X.astype(np.float32) if single else X
    y = X @ rng.standard_normal(len(directions)) + np.abs(X[:, 0]) + 0.3 * rng.standard_normal(25)
    found = pr.search(
        X, y, alpha, depth=depth, width=2, activation=activation, skip_connection=skip, n_starts=8,
        max_rounds=2, fit_intercept=True, random_state=seed, monotonic_cst=directions, tol=1e-2,
    )  # fmt: skip
    network = found.network()
    rows = X.astype(np.float64)
    assert steepest_wrong_step(network.predict, rows, directions, seed) < 1e-12
    assert steepest_wrong_step(network.prune(X).predict, rows, directions, seed) < 1e-12
    assert network.objective(rows, y, alpha) == pytest.approx(found.objective, rel=1e-5 if single else 1e-9)


@pytest.mark.parametrize("depth", [2, 3])
def test_a_search_finds_a_monotone_function(depth):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (80, 3))
    y = np.maximum(X[:, 0], 0) - np.maximum(0.5 * X[:, 1] - X[:, 0] + 0.2, 0) + np.abs(X[:, 2])
    shared = {"depth": depth, "width": 2, "fit_intercept": True, "random_state": 0}
    table = np.column_stack([X, np.ones(80)])
    free = pr.search(table, y, 1e-3, **shared)
    found = pr.search(table, y, 1e-3, monotonic_cst=[1, -1, 0, 0], **shared)
    assert found.objective == pytest.approx(free.objective, rel=0.02)  # the function is one that is allowed
    wrong = pr.search(table, y, 1e-3, monotonic_cst=[-1, 1, 0, 0], **shared)
    assert wrong.objective > 2 * free.objective


# ---- Certificates ----------------------------------------------------------------


def test_certificates_of_few_rows_are_over_all_monotone_networks():
    for seed, (width, n) in enumerate([((), 40), ((2,), 7)]):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((n, 2))
        y = X[:, 0] - np.abs(X[:, 1]) + 0.1 * rng.standard_normal(n)
        kind = {"fit_intercept": True, "monotonic_cst": [-1, 1]}
        arrangements = pr.enumerate_arrangements(X, len(width) + 2, width)
        best = pr.solve(X, y, arrangements, 0.02, **kind)
        certificate = pr.certify(best.network(), X, y, 0.02, **kind)
        assert certificate.lower <= best.objective <= certificate.upper * (1 + 1e-9)
        assert certificate.relative_gap < 1e-5
        assert certificate.details["monotonic_cst"] == "kept"
        assert certificate.details["tight"]
        assert certificate.covers.startswith("all monotone ReLU networks of depth")
        assert "global optimum of monotone networks at least" in str(certificate)
        free = pr.certify(best.network(), X, y, 0.02, fit_intercept=True)
        assert free.lower < 0.9 * certificate.lower  # the constraints cost more than that
        found = pr.search(X, y, 0.02, depth=len(width) + 2, width=width or 1, random_state=0, **kind)
        assert certificate.lower * (1 - 1e-9) <= found.objective
        assert found.objective < 1.02 * certificate.lower


@pytest.mark.parametrize("method", ["branch_and_bound", "semidefinite", "spectral", "low_rank", "auto"])
def test_certificates_without_the_constraints_hold_for_monotone_networks(method):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 5))
    y = np.maximum(X[:, 0], 0) - np.tanh(X[:, 1]) + 0.1 * rng.standard_normal(40)
    model = pr.PathReLURegressor(alpha=0.02, random_state=0, encode=None, monotonic_cst=[1, -1, 0, 0, 0])
    model.fit(X, y)
    certificate = pr.certify(model, X, y, method=method, max_nodes=500, max_rounds=5)
    assert certificate.details["monotonic_cst"] == "left out"
    assert not certificate.details["tight"]
    assert "best_objective" not in certificate.details  # of networks that need not be monotone
    assert 0 < certificate.lower < certificate.upper == pytest.approx(model.objective_)
    own = pr.certify(model, X, y, method="solver")
    assert own.details["monotonic_cst"] == "kept"
    assert own.relative_gap < 0.02
    assert own.covers.startswith("monotone ReLU networks of depth 2 over")


def test_gated_networks_are_certified_over_gates_without_these_columns():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    y = X[:, 0] + np.abs(X[:, 1]) + 0.1 * rng.standard_normal(30)
    options = {"activation": "gated", "encode": None, "tol": 1e-6}
    model = pr.PathReLURegressor(alpha=0.02, random_state=0, monotonic_cst=[1, 0, -1], **options).fit(X, y)
    own = pr.certify(model, X, y, method="solver")
    assert own.relative_gap < 1e-5
    assert own.covers.startswith("monotone gated networks")
    assert "gates" in str(own)
    all_gates = pr.certify(model, X, y, method="spectral")
    assert all_gates.lower < own.lower
    assert "of monotone networks over all gates" in str(all_gates)


def test_only_networks_with_these_signs_are_candidates():
    network = pr.search(X, Y, 0.01, random_state=0, fit_intercept=True).network()
    with pytest.raises(ValueError, match=r"monotonic_cst was given for column 1.*it is no candidate"):
        pr.certify(network, X, Y, 0.01, monotonic_cst=[0, 1, 0])
    model = pr.PathReLURegressor(alpha=0.1, random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match=r"monotonic_cst is .*expected no monotonic_cst"):
        pr.certify(model, X, Y, monotonic_cst=[0, 1, 0])
    two = pr.search(X, np.column_stack([Y, Y]), 0.1, random_state=0).network()
    with pytest.raises(ValueError, match=r"monotonic_cst was given for a network of 2 outputs"):
        pr.certify(two, X, np.column_stack([Y, Y]), 0.1, monotonic_cst=[0, 1, 0])


def test_summaries_say_which_columns():
    model = pr.PathReLURegressor(alpha=0.05, random_state=0, monotonic_cst=[1, 0, -1]).fit(X, Y)
    text = str(model.summary())
    assert "never falls in column 0; never rises in column 2" in text
    assert "bounds the optimum of all monotone networks" in text
    found = pr.search(X, Y, 0.05, random_state=0, monotonic_cst=[1, 0, 0])
    assert "never falls in column 0" in str(found.summary())
    assert "never" not in str(pr.search(X, Y, 0.05, random_state=0).summary())


# ---- Refused ---------------------------------------------------------------------

X = np.random.default_rng(1).standard_normal((20, 3))
Y = X[:, 0] + np.abs(X[:, 1])
SAMPLED = pr.sample_arrangements(X, 5, random_state=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, 0], "monotonic_cst has 2 entries; expected 3, as X has columns"),
        ([[1, 0, 0]], r"monotonic_cst has shape \(1, 3\)"),
        ([1, 0, 2], r"monotonic_cst\[2\] is 2; expected -1, 0 or 1"),
        ([1, 0, 0.5], r"monotonic_cst\[2\] is 0.5"),
        ([1, 0, np.nan], r"monotonic_cst\[2\] is nan"),
        (["+", "", ""], r"monotonic_cst\[0\] is '\+'"),
        ("increasing", "monotonic_cst is 'increasing'"),
        ({"a": 1}, "monotonic_cst is a dict, and X has no names of columns"),
    ],
)
def test_bad_forms_are_refused_before_any_work(given, message, monkeypatch):
    monkeypatch.setattr(_core, "solve", None)
    monkeypatch.setattr(_core, "search", None)
    with pytest.raises((ValueError, TypeError), match=message):
        pr.solve(X, Y, SAMPLED, 0.1, monotonic_cst=given)
    with pytest.raises((ValueError, TypeError), match=message):
        pr.search(X, Y, 0.1, monotonic_cst=given)


def test_names_of_columns_are_those_of_the_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    named = pr.solve(frame, Y, SAMPLED, 0.01, monotonic_cst={"c": -1, "a": 1, "b": 0})
    assert named.monotonic_cst.tolist() == [1, 0, -1]
    assert named.objective == pr.solve(X, Y, SAMPLED, 0.01, monotonic_cst=np.array([1.0, 0, -1])).objective
    with pytest.raises(ValueError, match=r"monotonic_cst has 'd', 'e'; expected names of columns of X"):
        pr.solve(frame, Y, SAMPLED, 0.01, monotonic_cst={"a": 1, "d": 1, "e": -1})
    with pytest.raises(ValueError, match=r"monotonic_cst\['a'\] is '\+'; expected -1, 0 or 1"):
        pr.solve(frame, Y, SAMPLED, 0.01, monotonic_cst={"a": "+"})


def test_what_has_no_monotone_form_is_refused():
    two = np.column_stack([Y, Y])
    with pytest.raises(ValueError, match=r"2 outputs that sub-networks share; expected outputs='separate'"):
        pr.search(X, two, 0.1, monotonic_cst=[1, 0, 0])
    directions = np.full((len(SAMPLED), 2), np.sqrt(0.5))
    with pytest.raises(ValueError, match=r"2 outputs that sub-networks share; expected None for directions"):
        pr.solve(X, two, SAMPLED, 0.1, directions=directions, monotonic_cst=[1, 0, 0])
    with pytest.raises(ValueError, match=r"monotonic_cst was given for 3 classes"):
        pr.solve(X, np.arange(20) % 3, SAMPLED, 0.1, loss="log_loss", monotonic_cst=[1, 0, 0])
    with pytest.raises(ValueError, match=r"gates that depend on column 1, where monotonic_cst"):
        pr.solve(X, Y, SAMPLED, 0.1, activation="gated", monotonic_cst=[0, 1, 0])
    with pytest.raises(ValueError, match=r"monotonic_cst constrains all columns.*gated"):
        pr.search(X, Y, 0.1, activation="gated", monotonic_cst=[1, 1, -1])
    for source in ("search", "sample"):
        gated = {"activation": "gated", "arrangements": source, "bias": False}
        with pytest.raises(ValueError, match=r"monotonic_cst constrains all columns.*gated"):
            pr.PathReLURegressor(alpha=0.1, monotonic_cst=[1, 1, -1], **gated).fit(X, Y)
    patterns = core_arrangements(Groups.of_trees(X, *random_trees(np.random.default_rng(0), 4, 3, ()), ()))
    with pytest.raises(ValueError, match=r"arrangements have no gates"):
        pr.solve(X, Y, pr.Arrangements(patterns, None), 0.1, activation="gated", monotonic_cst=[0, 1, 0])


def test_directions_of_zero_are_none_at_all():
    plain, zeros = (pr.solve(X, Y, SAMPLED, 0.01, monotonic_cst=given) for given in (None, [0, 0, 0]))
    assert zeros.monotonic_cst is None
    np.testing.assert_array_equal(plain.blocks, zeros.blocks)
