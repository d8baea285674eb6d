"""Column generation at depth 2: a convex program over gates that an oracle finds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu.arrangements import Arrangements
from pathrelu.certificate._oracles import Oracle
from pathrelu.certificate._output import Output
from pathrelu.program._solve import run_with_dual

NEW_GATES = 64  # added to the program in one round
LEAST_TOL = 1e-12  # of a solve
MOST_STEPS = 2000


@dataclass
class Solved:
    """Solution of a convex program."""

    objective: float
    penalty: float
    theta: NDArray[np.float64]  # (n, 1)
    blocks: check.Rows


def solved(
    output: Output,
    X: NDArray[np.float64],
    arrangements: Arrangements,
    alpha: float,
    tol: float,
    init: check.Rows | None = None,
) -> Solved:
    """The program over rows X, those of the output or part of their columns."""
    problem = replace(output.problem, X=X)
    options = _core.SolveOptions(
        tol=tol, max_iter=MOST_STEPS, fit_intercept=output.fit_intercept, threads=output.threads
    )
    solution, theta = run_with_dual(problem, arrangements, alpha, options, init, output.watch)
    penalty = alpha * solution.network().path_norm()
    return Solved(solution.objective, penalty, theta, solution.blocks)


class Master:
    """The depth-2 program over a growing set of gates, solved from where it was."""

    def __init__(self, output: Output, gates: NDArray[np.float64], X: NDArray[np.float64]) -> None:
        self.output = output
        self.X = np.ascontiguousarray(X)
        self.gates = gates
        self.blocks: check.Rows | None = None
        self.linear: check.Rows | None = None  # the block of the skip connection

    def add(self, gates: NDArray[np.float64]) -> None:
        self.gates = np.concatenate([self.gates, gates])
        if self.blocks is not None:
            new = np.zeros((len(gates), *self.blocks.shape[1:]), self.blocks.dtype)
            self.blocks = np.concatenate([self.blocks, new])

    def solve(self, alpha: float, tol: float) -> Solved:
        gates = self.gates if len(self.gates) else np.zeros((1, self.X.shape[1]))  # of no arrangement
        arrangements = Arrangements.from_gates(self.X, gates, n_threads=self.output.threads)
        kept = arrangements.source_index
        init = None if self.blocks is None else self.blocks[kept]
        if self.output.skip:
            arrangements = arrangements.with_skip_connection()
            if init is not None and self.linear is not None:
                init = np.concatenate([init, self.linear])
        result = solved(self.output, self.X, arrangements, alpha, tol, init)
        self.gates = gates[kept]
        self.blocks, self.linear = result.blocks[: len(kept)], result.blocks[len(kept) :]
        return result


@dataclass
class Generated:
    """What column generation for one penalty came to."""

    theta: NDArray[np.float64]  # the last dual point
    lower: float = -np.inf  # on the optimum for that penalty
    correlation: float = np.inf  # of the dual point that gives it, over the penalty
    best_objective: float = np.inf
    n_rounds: int = 0
    n_nodes: int = 0


def column_generation(
    output: Output,
    master: Master,
    oracle: Oracle,
    residual: float,
    alpha: float,
    upper: float,
    tol: float,
    max_rounds: int,
) -> Generated:
    """Depth 2: solve, find the sub-networks that the dual point leaves out most, add them, solve again.

    Until the relative gap of this program over all arrangements is `tol`, or the oracle gives up.
    """
    accuracy, share = 1e-3, 1.0
    done = Generated(np.zeros_like(output.problem.y))
    for _ in range(max_rounds):
        done.n_rounds += 1
        solution = master.solve(alpha, accuracy)
        done.theta = solution.theta
        done.best_objective = min(done.best_objective, solution.objective)
        reference = min(upper, done.best_objective)
        # Scaling theta down by 1 + t costs about t times the penalty.
        slack = min(max(share * 0.5 * tol * reference / max(solution.penalty, 1e-300), 1e-10), 0.05)
        found = oracle(np.ascontiguousarray(solution.theta[:, 0]), alpha, slack, stop=True)
        done.n_nodes += found.n_nodes
        bound = math.hypot(found.bound, residual * algebra.norm(solution.theta))
        bound = output.largest(solution.theta, bound)
        value = output.lower(solution.theta, bound, alpha)
        if value > done.lower:
            done.lower, done.correlation = value, bound / alpha
        gap = reference - done.lower
        if gap <= tol * reference or oracle.spent:
            break
        if len(found.points):
            master.add(found.points[:NEW_GATES])
        elif accuracy <= LEAST_TOL or not found.complete:
            break
        else:
            share = max(0.5 * share, 1e-3)
        accuracy = max(min(accuracy / 3, 0.02 * gap / max(output.start, 1e-300)), LEAST_TOL)
    return done
