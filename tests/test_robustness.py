"""Data that break solvers: `solve` ends at the optimum all the same, with finite numbers and no warning."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import Groups, Program, path_units, random_trees
from sklearn.exceptions import ConvergenceWarning
from support import (
    CLARABEL_ERROR,
    assert_is_its_own_objective,
    blocks_and_intercept,
    core_arrangements,
    random_program,
    solve,
)

import pathrelu as pr

ACTIVATIONS = ["gated", "relu"]
LOSSES = ["squared_error", "huber", "log_loss", "squared_hinge"]
REAL_LOSSES, BINARY_LOSSES = LOSSES[:2], LOSSES[2:]
WIDTHS = [(), (3,), (2, 2)]  # depths 2, 3, 4
MOST_ITERATIONS = 2000  # none of these small programs needs more


def program_of(rng, X, y, width=(), P=6, alpha=0.03, **options):
    """The program of random trees on given rows; the binary losses get the sign of y."""
    W, signs = random_trees(rng, P, X.shape[1], width)
    groups = Groups.of_trees(X, W, signs, width).distinct()
    arrangements = pr.Arrangements.from_trees(X, W, signs, width=width)
    assert np.array_equal(arrangements.masks(), groups.masks)
    return Program(X, targets(y, **options), groups, alpha, **options)


def targets(y, loss="squared_error", **_):
    return y if loss in REAL_LOSSES else np.where(y > np.median(y), 1.0, -1.0)


def groups_of_any_patterns(rng, P, n, width, on=0.5):
    """Patterns that need not be those of any tree, so that most cones have no interior."""
    units = int(path_units(width)[-1, -1]) + 1
    patterns = rng.random((P, units, n)) < on
    return Groups(patterns, rng.choice(np.array([-1, 1], np.int8), (P, units - 1)), width)


def assert_solved(program, dtype=np.float64, tol=1e-8, **options):
    """Solves the program, and checks all that can be said without another solver."""
    rows = program.X.astype(dtype)
    arrangements = pr.Arrangements(core_arrangements(program.groups))
    options = {"tol": tol, "max_iter": MOST_ITERATIONS} | options

    solution = solve(replace(program, X=rows), arrangements, **options)

    program = replace(program, X=rows.astype(np.float64))
    assert np.isfinite(solution.blocks).all()
    assert np.isfinite(solution.intercept)
    assert_is_its_own_objective(solution, program)
    assert solution.converged
    assert 0 <= solution.gap <= tol * max(solution.objective_at_zero, np.finfo(float).tiny)
    rounding = 1e-12 * solution.objective_at_zero
    assert solution.objective <= solution.objective_at_zero + solution.gap + rounding
    if not program.fit_intercept:
        assert solution.objective_at_zero == pytest.approx(program.mean_loss(np.zeros(len(rows))), rel=1e-12)
    return solution


def assert_optimal(program, **options):
    """Solves the program, and compares with CVXPY and Clarabel, whose points are only almost feasible."""
    solution = assert_solved(program, **options)
    rows = program.X.astype(solution.blocks.dtype).astype(np.float64)
    optimum = replace(program, X=rows).optimum()
    error = CLARABEL_ERROR * max(1, solution.objective_at_zero)
    assert solution.objective - optimum <= solution.gap + error
    assert solution.dual_objective <= optimum + error
    return solution


# ---- Degenerate tables -----------------------------------------------


def low_rank(rng):
    return rng.standard_normal((20, 2)) @ rng.standard_normal((2, 5)), rng.standard_normal(20)


def duplicated_rows(rng):
    return np.repeat(rng.standard_normal((7, 3)), 3, axis=0), rng.standard_normal(21)


def duplicated_rows_and_targets(rng):
    return np.repeat(rng.standard_normal((7, 3)), 3, axis=0), np.repeat(rng.standard_normal(7), 3)


def opposite_rows(rng):
    X = rng.standard_normal((8, 3))
    return np.concatenate([X, -X]), rng.standard_normal(16)


def duplicated_columns(rng):
    X = rng.standard_normal((15, 2))
    return np.concatenate([X, X, -X], axis=1), rng.standard_normal(15)


def constant_and_zero_columns(rng):
    X = rng.standard_normal((15, 4))
    X[:, 0], X[:, 1] = 1, 0
    return X, rng.standard_normal(15)


def only_a_constant_column(rng):
    return np.ones((9, 1)), rng.standard_normal(9)


def zero_rows(rng):
    X = rng.standard_normal((15, 3))
    X[:4] = 0
    return X, rng.standard_normal(15)


def one_row(rng):
    return rng.standard_normal((1, 4)), np.array([1.0])


def two_rows(rng):
    return rng.standard_normal((2, 4)), np.array([1.0, -1.0])


def one_column(rng):
    return rng.standard_normal((12, 1)), rng.standard_normal(12)


def one_number(rng):
    return np.array([[2.0]]), np.array([-3.0])


def more_columns_than_rows(rng):
    return rng.standard_normal((5, 12)), rng.standard_normal(5)


def targets_of_zero(rng):
    return rng.standard_normal((12, 3)), np.zeros(12)


def columns_of_unequal_scale(rng):
    return rng.standard_normal((15, 4)) * [1e-3, 1, 10, 1e3], rng.standard_normal(15)


def whole_numbers(rng):
    return np.rint(2 * rng.standard_normal((20, 2))), np.rint(rng.standard_normal(20))


def an_outlier(rng):
    X, y = rng.standard_normal((15, 3)), rng.standard_normal(15)
    X[0] *= 1e3
    y[1] = 1e3
    return X, y


def far_from_the_origin(rng):
    return 100 + rng.standard_normal((12, 3)), 10 + rng.standard_normal(12)


TABLES = [
    low_rank,
    duplicated_rows,
    duplicated_rows_and_targets,
    opposite_rows,
    duplicated_columns,
    constant_and_zero_columns,
    only_a_constant_column,
    zero_rows,
    one_row,
    two_rows,
    one_column,
    one_number,
    more_columns_than_rows,
    targets_of_zero,
    columns_of_unequal_scale,
    whole_numbers,
    an_outlier,
    far_from_the_origin,
]
ONE_CLASS = (one_row, one_number, targets_of_zero)  # which the binary losses refuse


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("table", "loss"),
    [(table, loss) for table in TABLES for loss in (REAL_LOSSES if table in ONE_CLASS else LOSSES)],
)
def test_degenerate_tables_are_solved_to_the_optimum(table, loss, activation):
    for seed, (width, fit_intercept, dtype, tol) in enumerate(
        [
            ((), True, np.float64, 1e-8),
            ((3,), False, np.float64, 1e-8),
            ((2, 2), True, np.float32, 1e-6),
        ]
    ):
        rng = np.random.default_rng(seed)
        X, y = table(rng)
        program = program_of(rng, X, y, width, activation=activation, loss=loss, fit_intercept=fit_intercept)
        assert_optimal(program, dtype=dtype, tol=tol)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e8 / 3, 1e-8 / 3])
@pytest.mark.parametrize("loss", REAL_LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_constant_targets_are_the_intercept(activation, loss, value):
    # The mean of equal numbers is off by rounding, and what that leaves to fit is nothing.
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, y = rng.standard_normal((7 + seed, 3)), np.full(7 + seed, value)
        weight = rng.random(len(y)) if seed % 2 else None
        program = program_of(rng, X, y, activation=activation, loss=loss, fit_intercept=True)
        arrangements = pr.Arrangements(core_arrangements(program.groups))
        solution = solve(replace(program, sample_weight=weight), arrangements)
        assert solution.converged
        assert solution.n_active == 0
        assert solution.n_iter <= 1
        assert solution.intercept == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_program_of_no_arrangement_left_is_the_best_constant(activation):
    # Every mask is zero: nothing to fit but the intercept.
    X, y = -np.ones((5, 1)), np.arange(5.0)
    arrangements = pr.Arrangements.from_gates(X, np.ones((1, 1)))
    solution = pr.solve(X, y, arrangements, 0.1, activation=activation, fit_intercept=True)
    assert len(arrangements) == 0
    assert solution.objective == pytest.approx(1.0)
    assert float(np.squeeze(solution.intercept)) == pytest.approx(2.0)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rows_that_are_all_zero_have_the_zero_network(activation, loss, fit_intercept):
    # No tree is on at the origin; patterns made by hand can say so all the same.
    rng = np.random.default_rng(0)
    X, y = np.zeros((10, 3)), rng.standard_normal(10)
    groups = groups_of_any_patterns(rng, 5, 10, (2,), on=0.8)
    program = Program(X, targets(y, loss), groups, 0.01, activation, loss, fit_intercept=fit_intercept)
    solution = assert_optimal(program)
    assert solution.n_active == 0
    assert solution.n_iter <= 1
    assert pr.alpha_max(X, program.y, pr.Arrangements(core_arrangements(groups)), loss=loss) == 0
    assert len(pr.sample_arrangements(X, 10, random_state=0)) == 0


def repeat_rows(X):
    return np.concatenate([X, X[: len(X) // 2 + 1]])


def negate_rows(X):
    return np.concatenate([X, -X])


def repeat_columns(X):
    return np.concatenate([X, 2 * X], axis=1)


def zero_column(X):
    return X * (np.arange(X.shape[1]) > 0)


def constant_column(X):
    return np.concatenate([X, np.ones((len(X), 1))], axis=1)


def one_direction(X):
    return X[:, :1] * np.arange(1, X.shape[1] + 1)


SPOILERS = [repeat_rows, negate_rows, repeat_columns, zero_column, constant_column, one_direction, np.rint]


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(2, 12),
    d=st.integers(1, 5),
    spoil=st.lists(st.sampled_from(SPOILERS), max_size=3),
    width=st.sampled_from(WIDTHS),
    alpha=st.sampled_from([1e-3, 0.03, 0.5]),
    loss=st.sampled_from(LOSSES),
    activation=st.sampled_from(ACTIVATIONS),
    fit_intercept=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_tables_spoilt_in_several_ways_are_solved_to_the_optimum(
    n, d, spoil, width, alpha, loss, activation, fit_intercept, dtype, seed
):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    for change in spoil:
        X = change(X)
    y = rng.standard_normal(len(X))
    program = program_of(
        rng, X, y, width, alpha=alpha, loss=loss, activation=activation, fit_intercept=fit_intercept
    )
    try:
        assert_optimal(program, dtype=dtype, tol=1e-6)
    except (cp.SolverError, UserWarning):  # Clarabel gave up, which is not what is tested
        assume(False)


# ---- Cones without interior, and groups that repeat -----------------------------------------------


@pytest.mark.parametrize("table", [opposite_rows, duplicated_rows, whole_numbers, more_columns_than_rows])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("width", WIDTHS)
def test_patterns_that_no_tree_has_are_solved_to_the_optimum(width, loss, table):
    rng = np.random.default_rng(0)
    X, y = table(rng)
    groups = groups_of_any_patterns(rng, 6, len(X), width, on=0.7)
    for activation in ACTIVATIONS:
        assert_optimal(
            Program(X, targets(y, loss), groups, 0.01, activation, loss, fit_intercept=activation == "gated")
        )


@pytest.mark.parametrize("loss", LOSSES)
def test_a_cone_that_is_only_the_origin_gives_no_sub_network(loss):
    # All axes and their negatives switched on at once.
    rng = np.random.default_rng(0)
    X = np.concatenate([np.eye(3), -np.eye(3), np.eye(3)])
    y = targets(np.maximum(X @ [1.0, 2, 3], 0) + 0.1 * rng.standard_normal(9), loss)
    patterns = np.stack([np.ones((1, 9), bool), (X @ [[1.0], [2], [3]] > 0).T])
    both = Program(X, y, Groups(patterns, np.zeros((2, 0), np.int8), ()), 0.01, loss=loss)

    one = assert_optimal(replace(both, groups=both.groups[1:]))
    two = assert_optimal(both)
    none = assert_solved(replace(both, groups=both.groups[:1]))

    assert one.n_active > 0
    assert not two.blocks[0].any()
    np.testing.assert_allclose(two.blocks[1], one.blocks[0], atol=1e-3)
    assert none.n_active == 0
    assert none.objective == none.objective_at_zero
    assert none.n_iter <= 1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_groups_that_repeat_change_nothing_but_the_blocks(activation, width, loss):
    program, _ = random_program(3, width, activation=activation, loss=loss, fit_intercept=True)
    P = len(program.groups)
    single = assert_solved(program)
    repeated = assert_solved(replace(program, groups=program.groups[np.tile(np.arange(P), 3)]))
    lone = assert_optimal(replace(program, groups=program.groups[:1]))
    assert repeated.objective == pytest.approx(single.objective, abs=2e-8)
    assert lone.objective >= single.objective - 1e-8


# ---- Scales -----------------------------------------------

SCALES = [1e-8, 1e-4, 1e4, 1e8]


@pytest.mark.parametrize("scale", [1e-60, *SCALES, 1e60])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_optimum_does_not_depend_on_the_scale_of_rows(activation, loss, scale):
    for width, fit_intercept in zip(WIDTHS, (False, True, True), strict=True):
        program, _ = random_program(2, width, activation=activation, loss=loss, fit_intercept=fit_intercept)
        scaled = replace(program, X=program.X * scale, alpha=program.alpha * scale)
        base = assert_solved(program, tol=1e-9)
        assert assert_solved(scaled, tol=1e-9).objective == pytest.approx(base.objective, abs=2e-9)
        if 1e-10 < scale < 1e10:
            single = assert_solved(scaled, dtype=np.float32, tol=1e-6)
            assert single.objective == pytest.approx(base.objective, abs=1e-5)


@pytest.mark.parametrize("scale", [1e-130, *SCALES, 1e130])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_optimum_scales_with_the_square_of_targets(activation, scale):
    for width, fit_intercept in zip(WIDTHS, (False, True, True), strict=True):
        program, _ = random_program(2, width, activation=activation, fit_intercept=fit_intercept)
        base = assert_solved(program, tol=1e-9)
        scaled = assert_solved(replace(program, y=program.y * scale, alpha=program.alpha * scale), tol=1e-9)
        assert scaled.objective == pytest.approx(base.objective * scale**2, rel=1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_huber_is_the_squared_error_of_small_targets_and_the_absolute_error_of_large_ones(activation):
    program, _ = random_program(2, (2,), activation=activation, fit_intercept=True, alpha=0.1)
    small = replace(program, y=program.y * 1e-6, alpha=program.alpha * 1e-6)
    quadratic = assert_solved(small, tol=1e-9)
    huber = assert_solved(replace(small, loss="huber"), tol=1e-9)
    assert huber.objective == pytest.approx(quadratic.objective, rel=1e-7)
    # Of the absolute values only the half is missing that each residual beyond 1 has less.
    large = assert_optimal(replace(program, y=program.y * 1e2, loss="huber"))
    larger = assert_optimal(replace(program, y=program.y * 1e3, loss="huber"))
    assert 9.9 < larger.objective / large.objective < 10.4


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_that_grow_or_shrink_against_the_penalty_leave_an_honest_gap(activation, loss, scale):
    # Up to 1e8 times less penalty than usual: hardly a bound on the weights, so that it may take long.
    program, arrangements = random_program(4, (2,), activation=activation, loss=loss, fit_intercept=True)
    program = replace(program, X=program.X * scale)
    first, last = (solve(program, arrangements, tol=1e-9, max_iter=k) for k in (20, 2000))
    for solution in (first, last):
        assert_is_its_own_objective(solution, program)
        assert solution.dual_objective <= last.objective + 1e-12
    assert last.objective <= first.objective
    assert scale > 1 or (last.converged and last.n_active == 0)


# ---- Penalties -----------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_penalty_above_alpha_max_gives_the_zero_network_at_once(activation, width, loss):
    program, arrangements = random_program(
        1, width, activation=activation, loss=loss, fit_intercept=True, weighted=True
    )
    options = {"activation": activation, "loss": loss, "sample_weight": program.sample_weight}
    largest = pr.alpha_max(program.X, program.y, arrangements, fit_intercept=True, **options)
    start = np.random.default_rng(0).standard_normal((len(arrangements), len(program.output_signs), 1, 1))
    start = np.broadcast_to(start, (*start.shape[:2], arrangements.paths, 3))
    for factor in (1 + 1e-9, 2, 1e10, 1e300):
        above = replace(program, alpha=largest * factor)
        cold, warm = assert_solved(above), assert_solved(above, init=start)
        assert not cold.blocks.any()
        assert cold.objective == cold.objective_at_zero
        assert cold.n_iter <= 1
        assert factor < 2 or not warm.blocks.any()
        assert warm.n_iter <= 60


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_penalty_next_to_none_leaves_an_honest_gap(activation, loss):
    for n, d in ((30, 3), (5, 8)):  # more rows than can be fitted, and fewer
        program, arrangements = random_program(
            0, n=n, d=d, activation=activation, loss=loss, fit_intercept=True
        )
        reached = [
            solve(replace(program, alpha=alpha), arrangements, max_iter=500) for alpha in (1e-4, 1e-9, 1e-15)
        ]
        for alpha, solution in zip((1e-4, 1e-9, 1e-15), reached, strict=True):
            assert_is_its_own_objective(solution, replace(program, alpha=alpha))
            # The optimum rises with alpha.
            assert solution.dual_objective <= reached[0].objective + 1e-12
            assert solution.objective <= solution.objective_at_zero + solution.gap


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_penalty_is_so_small_that_numbers_overflow(activation, loss):
    for n, d in ((30, 3), (5, 8)):
        program, arrangements = random_program(
            0, n=n, d=d, activation=activation, loss=loss, fit_intercept=True
        )
        for alpha in (1e-50, 1e-160, 1e-300):
            solution = solve(replace(program, alpha=alpha), arrangements, max_iter=500)
            assert np.isfinite(solution.blocks).all()
            assert solution.objective <= solution.objective_at_zero


@pytest.mark.parametrize("alpha", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("loss", BINARY_LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_classes_that_can_be_separated(activation, loss, fit_intercept, alpha):
    for width in WIDTHS:
        rng = np.random.default_rng(0)
        X = rng.standard_normal((20, 3))
        program = program_of(
            rng,
            X,
            X[:, 0],
            width,
            P=10,
            alpha=alpha,
            activation=activation,
            loss=loss,
            fit_intercept=fit_intercept,
        )
        solution = assert_optimal(program)
        if alpha < 1e-3:
            assert np.all(program.y * program.predict(*blocks_and_intercept(solution)) > 0)


# ---- Weights -----------------------------------------------


@pytest.mark.parametrize("spread", [3, 8])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_weights_of_very_unequal_size(activation, loss, spread):
    for seed, width in enumerate(WIDTHS):
        rng = np.random.default_rng(seed)
        program, _ = random_program(
            seed, width, activation=activation, loss=loss, fit_intercept=bool(seed % 2), alpha=0.01
        )
        weight = 10.0 ** rng.uniform(-spread, spread, len(program.y))
        weight[:3] = 0
        weighted = replace(program, sample_weight=weight)
        solution = assert_optimal(weighted)
        # Weights count only relative to each other, and rows of weight zero not at all.
        same = assert_solved(replace(weighted, sample_weight=weight * 2.0**500))
        assert same.objective == solution.objective
        absurd = program.y.copy()
        absurd[:3] *= -1 if loss in BINARY_LOSSES else 1e100
        assert assert_solved(replace(weighted, y=absurd)).objective == pytest.approx(
            solution.objective, abs=2e-8 * solution.objective_at_zero
        )


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_single_row_with_a_weight(activation, loss, fit_intercept):
    program, _ = random_program(0, (2,), activation=activation, loss=loss, fit_intercept=fit_intercept)
    _, arrangements = random_program(0, (2,), loss=loss)
    for row in (0, 1):
        weight = np.where(np.arange(len(program.y)) == row, 3.0, 0.0)
        weighted = replace(program, sample_weight=weight)
        solution = solve(weighted, arrangements)
        assert solution.converged
        blocks, intercept = blocks_and_intercept(solution)
        assert np.isfinite(blocks).all()
        # With an intercept the row can be fitted exactly, by log_loss in the limit.
        assert weighted.objective(blocks, intercept) <= solution.objective + 1e-15
        assert solution.objective <= (1e-12 if fit_intercept else weighted.mean_loss(np.zeros(14)))


# ---- Tolerances -----------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_tolerance_below_rounding_ends_with_an_honest_gap(activation, loss, dtype):
    for seed, width in enumerate(WIDTHS):
        program, arrangements = random_program(
            seed, width, n=40, activation=activation, loss=loss, fit_intercept=True
        )
        rows = program.X.astype(dtype)
        program = replace(program, X=rows.astype(np.float64))
        best = solve(program, arrangements, tol=1e-300)
        solution = solve(replace(program, X=rows), arrangements, tol=1e-300)
        assert_is_its_own_objective(solution, program)
        assert solution.gap <= 1e-9
        assert solution.dual_objective <= best.objective + 1e-13
        assert solution.objective >= best.dual_objective - 1e-13


def test_a_tolerance_below_what_float32_rows_can_give_says_so():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)).astype(np.float32), rng.standard_normal(20)
    arrangements = pr.sample_arrangements(X, 10, random_state=0)
    estimators = [
        pr.PathReLURegressor(tol=1e-9, alpha=0.1, arrangements=source, random_state=0)
        for source in ("search", "sample")
    ]
    for call in (
        lambda: pr.solve(X, y, arrangements, 0.1, tol=1e-9),
        lambda: pr.solve_path(X, y, arrangements, [0.1, 0.2], tol=1e-9),
        lambda: pr.search(X, y, 0.1, tol=1e-9, random_state=0),
        lambda: estimators[0].fit(X, y),
        lambda: estimators[1].fit(X, y),
    ):
        with pytest.warns(ConvergenceWarning, match="tol is 1e-09, and X is float32") as caught:
            call()
        assert [warning.filename for warning in caught] == [__file__]


# ---- Several outputs -----------------------------------------------


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("loss", REAL_LOSSES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_are_programs_side_by_side(activation, width, loss, fit_intercept):
    program, arrangements = random_program(
        6, width, activation=activation, loss=loss, fit_intercept=fit_intercept, weighted=True
    )
    # An ordinary output, one that is zero, one with a constant, and one that needs no network.
    columns = [program.y, np.zeros(14), 3 - 2 * program.y, 1e-3 * program.y]
    singles = [replace(program, y=y) for y in columns]
    together = solve(replace(program, y=np.stack(columns, axis=1)), arrangements, tol=1e-9)

    assert together.converged
    assert together.blocks.shape[0] == 4
    optimum = 0.0
    for single, blocks, intercept in zip(singles, together.blocks, together.intercept, strict=True):
        alone = solve(single, arrangements, tol=1e-9)
        optimum += alone.objective
        assert single.objective(blocks, intercept) == pytest.approx(alone.objective, abs=1e-8)
    assert together.objective == pytest.approx(optimum, abs=1e-8)
    assert together.dual_objective <= optimum + 1e-12
    assert not together.blocks[1].any()


# ---- Estimators -----------------------------------------------


def fit(estimator, X, y, **options):
    """The estimator fitted, with targets as it needs them."""
    if estimator is pr.PathReLUClassifier:
        y = np.where(y > np.median(y), "yes", "no") if len(np.unique(y)) > 1 else np.arange(len(y)) % 2
    return estimator(random_state=0, **options).fit(X, y)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("source", ["search", "sample"])
@pytest.mark.parametrize("estimator", [pr.PathReLURegressor, pr.PathReLUClassifier])
def test_estimators_fit_degenerate_tables(estimator, source, standardize):
    for table in TABLES:
        X, y = table(np.random.default_rng(0))
        if estimator is pr.PathReLUClassifier and len(X) < 2:
            continue
        model = fit(
            estimator,
            X.astype(np.float32 if standardize else np.float64),
            y,
            alpha=0.03 * max(1, y.std()),
            arrangements=source,
            standardize=standardize,
            n_arrangements=20,
            max_iter=100_000,  # columns six orders of magnitude apart take up to half of it
        )
        assert np.isfinite(model.network_.predict(X)).all()
        assert model.dual_gap_ <= 1e-4 * max(np.log(2), y.var())
        assert model.objective_ <= max(np.log(2), y.var() / 2) * (1 + 1e-6)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("estimator", [pr.PathReLURegressor, pr.PathReLUClassifier])
def test_estimators_follow_the_scale_of_rows_that_are_not_standardized(estimator, scale):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    for options in ({"standardize": False, "bias": False}, {"standardize": True}):
        factor = 1 if options["standardize"] else scale
        base = fit(estimator, X, y, arrangements="sample", alpha=0.03, tol=1e-8, **options)
        for dtype, rounding in ((np.float64, 1e-7), (np.float32, 1e-5)):
            rows = (X * scale).astype(dtype)
            model = fit(
                estimator,
                rows,
                y,
                arrangements="sample",
                alpha=0.03 * factor,
                tol=1e-8 if dtype == np.float64 else 1e-6,
                **options,
            )
            assert model.objective_ == pytest.approx(base.objective_, rel=rounding)
            np.testing.assert_allclose(
                model.network_.predict(rows), base.network_.predict(X), atol=1e-3 * np.abs(y).max()
            )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("source", ["search", "sample"])
def test_the_regressor_follows_the_scale_of_targets(source, scale):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    base = fit(pr.PathReLURegressor, X, y, arrangements=source, alpha=0.03)
    model = fit(pr.PathReLURegressor, X, y * scale, arrangements=source, alpha=0.03 * scale)
    assert model.objective_ == pytest.approx(base.objective_ * scale**2, rel=1e-3)
    assert model.score(X, y * scale) == pytest.approx(base.score(X, y), abs=0.01)
