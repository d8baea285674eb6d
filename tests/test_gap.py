"""The reported gap never understates the distance to the optimum: random programs, stopped anywhere."""

from dataclasses import replace

import numpy as np
import pytest
from support import (
    CLARABEL_ERROR,
    assert_is_its_own_objective,
    blocks_and_intercept,
    random_program,
    solve,
)

LOSSES = ["squared_error", "huber", "log_loss", "squared_hinge"]
WIDTHS = [(), (2,), (3,), (2, 2)]  # depths 2, 3, 3, 4
# tol, max_iter, and whether from a start outside the cones
STOPS = [(1e-14, max_iter, max_iter == 5) for max_iter in (1, 2, 5, 20, 60)] + [
    (tol, 10_000, tol == 1e-6) for tol in (1e-1, 1e-3, 1e-6, 1e-9)
]
ROUNDING = 1e-13  # of sums about as large as the objective at zero


def random_case(seed):
    """A program, its arrangements, and its rows in float32 or float64."""
    rng = np.random.default_rng(seed)
    program, arrangements = random_program(
        seed,
        WIDTHS[rng.choice(4, p=[0.4, 0.25, 0.2, 0.15])],
        n=int(rng.integers(3, 16)),
        d=int(rng.integers(1, 5)),
        P=int(rng.integers(2, 9)),
        alpha=10 ** rng.uniform(-3, -0.5),
        weighted=bool(rng.integers(2)),
        loss=str(rng.choice(LOSSES)),
        activation=str(rng.choice(["relu", "gated"])),
        fit_intercept=bool(rng.integers(2)),
    )
    rows = program.X.astype(rng.choice([np.float32, np.float64]))
    return replace(program, X=rows.astype(np.float64)), arrangements, rows


@pytest.mark.parametrize("seed", range(200))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_gap_never_understates_the_distance_to_the_optimum(seed):
    program, arrangements, rows = random_case(seed)
    optimum = program.optimum()
    # A feasible point in float64 that Clarabel confirms: no lower bound may exceed it.
    best = solve(program, arrangements, tol=1e-12)
    scale = best.objective_at_zero
    assert_is_its_own_objective(best, program)
    assert best.objective == pytest.approx(optimum, abs=CLARABEL_ERROR * max(1, scale))

    on_rows = replace(program, X=rows)
    start = np.random.default_rng(seed).standard_normal(best.blocks.shape)
    for tol, max_iter, far in STOPS:
        solution = solve(on_rows, arrangements, tol=tol, max_iter=max_iter, init=start if far else None)

        assert_is_its_own_objective(solution, program)
        assert solution.n_iter <= max_iter
        assert solution.converged == (solution.gap <= tol * solution.objective_at_zero)
        assert solution.converged or max_iter < 10_000
        # At every check of the gap, and so at the last: a bound from below, a feasible point above.
        for record in solution.history:
            assert record.dual_objective <= best.objective + ROUNDING * scale
            assert record.objective >= best.dual_objective - ROUNDING * scale
            assert record.objective - optimum <= record.gap + CLARABEL_ERROR * max(1, scale)
        assert solution.history[-1].gap == solution.gap
        # The dual point of the residuals, scaled to be feasible, is a bound too.
        theta = program.feasible_dual(program.predict(*blocks_and_intercept(solution)))
        assert program.dual_objective(theta) <= best.objective + ROUNDING * scale
