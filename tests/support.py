"""What the tests share that knows the package."""

import numpy as np
from reference import Groups, Program, random_trees

import pathrelu as pr
from pathrelu import _core


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
