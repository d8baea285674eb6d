"""The convex program: `solve` against CVXPY and Clarabel, known optima, optimality, bad data."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from problems import load
from reference import Groups, Program
from support import assert_is_its_own_objective, blocks_and_intercept, random_program, solve

import pathrelu as pr

ACTIVATIONS = ["gated", "relu"]
LOSSES = ["squared_error", "huber", "log_loss", "squared_hinge"]
WIDTHS = [(), (3,), (2, 2)]  # depths 2, 3, 4


# ---- Equal to another solver -----------------------------------------------


@pytest.mark.parametrize(("fit_intercept", "weighted"), [(False, False), (True, True)])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_solve_reaches_the_optimum_of_cvxpy(activation, width, loss, fit_intercept, weighted):
    program, arrangements = random_program(
        7, width, activation=activation, loss=loss, fit_intercept=fit_intercept, weighted=weighted
    )
    assert np.array_equal(arrangements.masks(), program.groups.masks)

    solution = solve(program, arrangements, tol=1e-9)

    assert solution.converged
    assert solution.objective == pytest.approx(program.optimum(), rel=1e-6)
    assert solution.n_active == np.count_nonzero(np.linalg.norm(solution.blocks, axis=(2, 3)))
    assert solution.n_active > 0
    assert_is_its_own_objective(solution, program)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("width", [(), (2,)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_programs_of_more_unknowns_than_rows_are_solved_to_the_last_digits(
    activation, width, loss, fit_intercept
):
    # Their Newton systems are factorised in the rows.
    program, arrangements = random_program(
        3, width, n=60, d=60, P=60, activation=activation, loss=loss, fit_intercept=fit_intercept, alpha=3e-3
    )
    solution = solve(program, arrangements, tol=1e-11, max_iter=3000)
    assert solution.converged
    assert solution.n_active * 60 * arrangements.paths > 600
    assert_is_its_own_objective(solution, program)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_rebuilt_network_has_the_objective_of_the_program(width, loss, dtype):
    for seed, fit_intercept in itertools.product(range(3), (False, True)):
        program, arrangements = random_program(seed, width, n=30, loss=loss, fit_intercept=fit_intercept)
        X = program.X.astype(dtype)
        program = replace(program, X=X.astype(np.float64))
        solution = pr.solve(X, program.y, arrangements, program.alpha, loss=loss, fit_intercept=fit_intercept)
        blocks, intercept = blocks_and_intercept(solution)
        network = solution.network()

        # Rows in double, so that the forward pass is too; blocks of float32 rows are rounded to float32.
        objective = network.objective(program.X, program.y, program.alpha, loss=loss)
        assert objective == pytest.approx(solution.objective, rel=1e-9 if dtype == np.float64 else 1e-6)
        assert objective == pytest.approx(program.network_objective(blocks, intercept), rel=1e-9)
        assert network.path_norm() == pytest.approx(program.penalty(blocks), rel=1e-9)
        assert network.n_subnetworks == solution.n_active
        rounding = 1e-9 if dtype == np.float64 else 1e-5
        np.testing.assert_allclose(
            network.predict(program.X),
            program.predict(blocks, intercept),
            atol=rounding * np.abs(program.y).max(),
        )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_rebuilt_gated_network_predicts_as_the_program(width):
    program, arrangements = random_program(1, width, activation="gated", fit_intercept=True)
    solution = solve(program, arrangements)
    np.testing.assert_allclose(
        solution.network().predict(program.X), program.predict(*blocks_and_intercept(solution)), atol=1e-10
    )


# ---- Optimality conditions -----------------------------------------------


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_solution_satisfies_the_optimality_conditions(activation, width, loss, fit_intercept):
    program, arrangements = random_program(
        11, width, n=40, P=12, activation=activation, loss=loss, fit_intercept=fit_intercept, weighted=True
    )
    solution = solve(program, arrangements, tol=1e-11)
    blocks, intercept = blocks_and_intercept(solution)

    theta = program.theta(program.predict(blocks, intercept))
    correlations = program.correlations(theta)
    size = np.linalg.norm(blocks, axis=(2, 3))
    active = size > 0

    # An active block points where its projected correlation does, which has norm alpha; no other is longer.
    flat = blocks.reshape(correlations.shape)
    slack = 1e-3 * program.alpha
    assert active.any()
    assert not active.all()
    for c, v, norm in zip(correlations[active], flat[active], size[active], strict=True):
        assert np.linalg.norm(c - program.alpha * v / norm) <= slack
    assert np.all(np.linalg.norm(correlations[~active], axis=1) <= program.alpha + slack)
    if fit_intercept:
        assert abs(theta.sum()) <= 1e-5


# ---- Known optima -----------------------------------------------

P0_OPTIMA = {
    "gated": (0.15154482, 0.02720094, 0.00349627),
    "relu": (0.27277655, 0.08494293, 0.02367381),
}
T0_RELU_OPTIMA = (0.25509595, 0.03486554, 0.00362664)


@pytest.mark.parametrize("k", range(3))
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_optimum_of_p0(activation, k):
    p = load("P0")
    arrangements = pr.Arrangements.from_gates(p.X, p.G.T)
    solution = pr.solve(p.X, p.y, arrangements, p.lams[k], activation=activation, tol=1e-9)
    assert solution.converged
    assert solution.objective == pytest.approx(P0_OPTIMA[activation][k], rel=2e-6)
    groups = Groups(p.D.T.astype(bool)[:, None], np.zeros((50, 0), np.int8), ())
    assert_is_its_own_objective(solution, Program(p.X, p.y, groups, p.lams[k], activation))
    if activation == "relu":
        assert solution.network().objective(p.X, p.y, p.lams[k]) == pytest.approx(
            solution.objective, rel=1e-9
        )


@pytest.mark.parametrize("k", range(3))
def test_optimum_of_t0_over_all_arrangements(k):
    p = load("T0")
    arrangements = pr.Arrangements.from_gates(p.X, p.G.T)
    relu = pr.solve(p.X, p.y, arrangements, p.lams[k], tol=1e-9)
    gated = pr.solve(p.X, p.y, arrangements, p.lams[k], activation="gated", tol=1e-9)
    assert relu.objective == pytest.approx(T0_RELU_OPTIMA[k], rel=2e-6)
    assert gated.objective <= relu.objective


# ---- Structure of the optimum -----------------------------------------------


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_alpha_max_is_the_smallest_alpha_with_the_zero_network(activation, loss, fit_intercept):
    program, arrangements = random_program(
        3, (2,), activation=activation, loss=loss, weighted=True, fit_intercept=fit_intercept
    )
    largest = pr.alpha_max(
        program.X,
        program.y,
        arrangements,
        activation=activation,
        loss=loss,
        sample_weight=program.sample_weight,
        fit_intercept=fit_intercept,
    )
    at = replace(program, alpha=1.001 * largest)
    below = replace(program, alpha=0.98 * largest)

    zero = solve(at, arrangements)
    some = solve(below, arrangements)

    assert zero.n_active == 0
    assert not np.any(zero.blocks)
    assert zero.n_iter <= 1
    assert zero.converged
    assert_is_its_own_objective(zero, at)
    assert some.n_active > 0
    if not fit_intercept:
        theta = program.theta(np.zeros(len(program.y)))
        assert largest == pytest.approx(np.linalg.norm(program.correlations(theta), axis=2).max(), rel=1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_more_arrangements_never_raise_the_optimum(activation):
    p = load("P0")
    objectives = [
        pr.solve(
            p.X, p.y, pr.Arrangements.from_gates(p.X, p.G.T[:P]), p.lams[1], activation=activation, tol=1e-9
        ).objective
        for P in (1, 5, 20, 50)
    ]
    assert np.all(np.diff(objectives) <= 1e-8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_weight_is_a_number_of_copies_of_the_row(activation):
    rng = np.random.default_rng(0)
    X, G = rng.standard_normal((12, 3)), rng.standard_normal((6, 3))
    y, copies = rng.standard_normal(12), rng.integers(1, 4, 12)
    options = {"activation": activation, "tol": 1e-9, "fit_intercept": True}

    weighted = pr.solve(X, y, pr.Arrangements.from_gates(X, G), 0.02, sample_weight=copies, **options)
    repeated = np.repeat(X, copies, axis=0)
    copied = pr.solve(
        repeated, np.repeat(y, copies), pr.Arrangements.from_gates(repeated, G), 0.02, **options
    )

    assert weighted.objective == pytest.approx(copied.objective, rel=1e-7)


def test_a_weight_of_zero_is_a_row_left_out():
    rng = np.random.default_rng(0)
    X, G, y = rng.standard_normal((12, 3)), rng.standard_normal((6, 3)), rng.standard_normal(12)
    weight = np.where(np.arange(12) % 3 == 0, 0.0, 1.5)
    kept = np.ascontiguousarray(X[weight > 0])
    options = {"activation": "gated", "tol": 1e-9, "fit_intercept": True}
    all_rows = pr.solve(X, y, pr.Arrangements.from_gates(X, G), 0.02, sample_weight=weight, **options)
    some_rows = pr.solve(kept, y[weight > 0], pr.Arrangements.from_gates(kept, G), 0.02, **options)
    assert all_rows.objective == pytest.approx(some_rows.objective, rel=1e-7)


# ---- Reproducibility -----------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("width", [(), (2,)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bits_do_not_depend_on_the_number_of_threads_where_the_work_is_shared(activation, width, loss):
    # The core stays on one thread below a million multiplications.
    program, arrangements = random_program(
        5, width, n=1100, d=8, P=130, loss=loss, activation=activation, alpha=0.01
    )
    first, *others = (solve(program, arrangements, tol=1e-3, n_threads=threads) for threads in (1, 2, 3))
    for other in others:
        assert np.array_equal(other.blocks, first.blocks)
        assert (other.objective, other.gap, other.n_iter) == (first.objective, first.gap, first.n_iter)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("activation", "width"), [("gated", ()), ("relu", ()), ("relu", (2, 2))])
def test_bits_do_not_depend_on_the_number_of_threads(activation, width, loss, dtype):
    program, arrangements = random_program(
        4, width, n=300, d=7, P=60, loss=loss, activation=activation, alpha=0.01
    )
    solutions = [
        pr.solve(
            program.X.astype(dtype),
            program.y,
            arrangements,
            program.alpha,
            activation=activation,
            loss=loss,
            fit_intercept=True,
            n_threads=threads,
            tol=1e-5,
        )
        for threads in (1, 2, 3)
    ]
    for other in solutions[1:]:
        assert np.array_equal(other.blocks, solutions[0].blocks)
        assert np.array_equal(other.intercept, solutions[0].intercept)
        assert (other.objective, other.gap, other.n_iter) == (
            solutions[0].objective,
            solutions[0].gap,
            solutions[0].n_iter,
        )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32_rows_give_the_optimum_of_those_rows(activation, loss):
    program, arrangements = random_program(6, (2,), n=60, d=4, P=20, activation=activation, loss=loss)
    X = program.X.astype(np.float32)
    rounded = replace(program, X=X.astype(float))
    single = pr.solve(X, program.y, arrangements, program.alpha, activation=activation, loss=loss, tol=1e-5)
    double = solve(rounded, arrangements, tol=1e-9)
    assert single.converged
    assert single.objective == pytest.approx(double.objective, rel=2e-5)
    assert single.dual_objective <= double.objective * (1 + 1e-9)
    blocks, intercept = blocks_and_intercept(single)
    # Blocks come back rounded to float32.
    assert single.blocks.dtype == np.float32
    assert single.objective == pytest.approx(rounded.objective(blocks, intercept), rel=1e-6)
    if activation == "relu":
        assert rounded.cone_slack(blocks) >= -1e-6


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_warm_start_takes_fewer_iterations_to_the_same_optimum(activation, loss):
    program, arrangements = random_program(
        8, (3,), n=80, d=5, P=30, activation=activation, loss=loss, fit_intercept=True, alpha=0.01
    )
    cold = solve(program, arrangements, tol=1e-7)
    near = replace(program, alpha=program.alpha * 0.95)

    again = solve(program, arrangements, tol=1e-7, init=cold)
    nearby = solve(near, arrangements, tol=1e-7, init=cold)
    nearby_cold = solve(near, arrangements, tol=1e-7)

    assert again.n_iter <= 2  # a Newton step and the proximal step after it
    assert again.objective <= cold.objective * (1 + 1e-12)
    assert nearby.n_iter < nearby_cold.n_iter
    assert nearby.objective == pytest.approx(nearby_cold.objective, rel=1e-6)
