"""What the tests share that knows the package."""

import os
from pathlib import Path

import numpy as np
import pytest
from reference import Groups, Program, random_trees

import pathrelu as pr
from pathrelu import _core

#: Tests that take long and seldom say more than others do; PATHRELU_SLOW_TESTS=1 runs them too.
slow = pytest.mark.skipif(not os.environ.get("PATHRELU_SLOW_TESTS"), reason="slow: PATHRELU_SLOW_TESTS=1")

CLARABEL_ERROR = 1e-7  # absolute, of the optimal values of programs whose objective at zero is about 1


def environment_of_kernels(level):
    """What makes Python processes that are started with it use the kernels of a level."""
    path = [str(Path(__file__).with_name("children")), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path), "PATHRELU_TESTS_KERNELS": level}


def core_arrangements(groups):
    P, units, n = groups.patterns.shape
    bits = np.ascontiguousarray(groups.patterns, np.uint8).reshape(P * units, n)
    return _core.Arrangements.from_patterns(bits, groups.signs, list(groups.width))


def random_program(
    seed, width=(), n=14, d=3, P=8, alpha=0.03, weighted=False, loss="squared_error", **options
):
    """A program of random trees and the package's arrangements of it."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    W, signs = random_trees(rng, P, d, width)
    y = np.maximum(X @ rng.standard_normal((d, 3)), 0) @ [1, 1, -2] + 0.3 * rng.standard_normal(n)
    if loss in ("log_loss", "squared_hinge"):
        y = np.where(y > np.median(y), 1.0, -1.0)
    weight = rng.random(n) + 0.1 if weighted else None
    groups = Groups.of_trees(X, W, signs, width).distinct()
    arrangements = pr.Arrangements.from_trees(X, W, signs, width=width)
    program = Program(X, y, groups, alpha, loss=loss, sample_weight=weight, **options)
    return program, arrangements


def solve(program, arrangements, **options):
    return pr.solve(
        program.X,
        program.y,
        arrangements,
        program.alpha,
        activation=program.activation,
        loss=program.loss,
        sample_weight=program.sample_weight,
        fit_intercept=program.fit_intercept,
        **options,
    )


def blocks_and_intercept(solution):
    return np.asarray(solution.blocks, np.float64), float(np.squeeze(solution.intercept))


def assert_is_its_own_objective(solution, program):
    """Objective, gap and feasibility are what an independent evaluation of the blocks says."""
    blocks, intercept = blocks_and_intercept(solution)
    # Blocks of float32 rows come back rounded.
    narrow = solution.blocks.dtype == np.float32
    assert solution.objective == pytest.approx(
        program.objective(blocks, intercept), rel=1e-6 if narrow else 1e-10, abs=1e-300
    )
    rounding = 1e-11 * solution.objective_at_zero  # by which the difference may be below zero
    assert solution.gap == pytest.approx(
        solution.objective - solution.dual_objective, rel=1e-6, abs=max(1e-14, rounding)
    )
    if program.activation == "relu":
        assert program.cone_slack(blocks) >= (-1e-6 if narrow else -1e-13)


def every_gate(X):
    """A gate (P, 2) in every cone that the rows X (n, 2) cut the plane into: all arrangements of depth 2."""
    angles = np.arctan2(X[:, 1], X[:, 0])
    edges = np.unique(np.concatenate([angles + np.pi / 2, angles - np.pi / 2]) % (2 * np.pi))
    middle = (edges + np.append(edges[1:], edges[0] + 2 * np.pi)) / 2
    return np.stack([np.cos(middle), np.sin(middle)], axis=1)
