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
from pathrelu.certificate._oracles import Correlation, Oracle
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
    theta: NDArray[np.float64]  # (n, C)
    blocks: check.Rows


def solved(
    output: Output,
    X: NDArray[np.float64],
    arrangements: Arrangements,
    alpha: float,
    tol: float,
    init: check.Rows | None = None,
    directions: NDArray[np.float64] | None = None,
) -> Solved:
    """The program over rows X, those of the output or part of their columns."""
    problem = replace(output.problem, X=X)
    options = _core.SolveOptions(
        tol=tol, max_iter=MOST_STEPS, fit_intercept=output.fit_intercept, threads=output.threads
    )
    solution, theta = run_with_dual(problem, arrangements, alpha, options, init, output.watch, directions)
    penalty = alpha * solution.network().path_norm()
    return Solved(solution.objective, penalty, theta, solution.blocks)


class Master:
    """The depth-2 program over a growing set of gates, solved from where it was.

    Where sub-networks feed all outputs, each gate comes with a direction (C,).
    """

    def __init__(
        self,
        output: Output,
        gates: NDArray[np.float64],
        X: NDArray[np.float64],
        directions: NDArray[np.float64] | None = None,
    ) -> None:
        self.output = output
        self.directions = directions
        self.X = np.ascontiguousarray(X)
        self.gates = gates
        self.blocks: check.Rows | None = None
        self.linear: check.Rows | None = None  # the block of the skip connection

    def add(self, gates: NDArray[np.float64], directions: NDArray[np.float64] | None = None) -> None:
        self.gates = np.concatenate([self.gates, gates])
        if self.directions is not None and directions is not None:
            self.directions = np.concatenate([self.directions, directions])
        if self.blocks is not None:
            shape = list(self.blocks.shape)
            shape[self.axis] = len(gates)
            self.blocks = np.concatenate([self.blocks, np.zeros(shape, self.blocks.dtype)], self.axis)

    @property
    def axis(self) -> int:
        """That of the groups in blocks, which outputs without directions come before."""
        return 0 if self.directions is not None or self.output.problem.single else 1

    def part(self, blocks: check.Rows, groups: slice | NDArray[np.int64]) -> check.Rows:
        return blocks[groups] if self.axis == 0 else blocks[:, groups]

    def solve(self, alpha: float, tol: float) -> Solved:
        gates, directions = self.gates, self.directions
        outputs = self.output.problem.y.shape[1]
        if not len(gates):
            gates = np.zeros((1, self.X.shape[1]))  # of no arrangement
            directions = None if directions is None else np.eye(outputs)[:1]
        of_trees = Arrangements.from_trees if directions is None else Arrangements._of_each_tree
        arrangements = of_trees(self.X, gates[:, np.newaxis], n_threads=self.output.threads)
        kept = arrangements.source_index
        init = None if self.blocks is None else self.part(self.blocks, kept)
        self.directions = directions
        if self.output.skip:
            if directions is None:
                arrangements = arrangements.with_skip_connection()
            else:
                arrangements = arrangements._with_linear(outputs)
                directions = np.concatenate([directions, np.eye(outputs)])
            if init is not None and self.linear is not None:
                init = np.concatenate([init, self.linear], self.axis)
        result = solved(self.output, self.X, arrangements, alpha, tol, init, directions)
        self.gates = gates[kept]
        self.blocks = self.part(result.blocks, slice(len(kept)))
        self.linear = self.part(result.blocks, slice(len(kept), None))
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
    spectral: bool = False  # the bound on the correlation is that of eigenvalues


def look(oracle: Oracle, theta: NDArray[np.float64], floor: float, tol: float, stop: bool) -> Correlation:
    """What an oracle finds for the columns of theta: for sub-networks that feed one output each."""
    found = [oracle(np.ascontiguousarray(column), floor, tol, stop) for column in theta.T]
    each = -(-NEW_GATES // len(found))
    return Correlation(
        max(one.bound for one in found),
        np.concatenate([one.points[:each] for one in found]),
        sum(one.n_nodes for one in found),
        all(one.complete for one in found),
        max(found, key=lambda one: one.bound).spectral,
    )


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
        found = look(oracle, solution.theta, alpha, slack, stop=True)
        done.n_nodes += found.n_nodes
        bound = math.hypot(found.bound, residual * algebra.norm(solution.theta))
        bound = output.largest(solution.theta, bound)
        value = output.lower(solution.theta, bound, alpha)
        if value > done.lower:
            done.lower, done.correlation, done.spectral = value, bound / alpha, found.spectral
        gap = reference - done.lower
        if gap <= tol * reference or oracle.spent:
            break
        if len(found.points):
            master.add(found.points)
        elif accuracy <= LEAST_TOL or not found.complete:
            break
        else:
            share = max(0.5 * share, 1e-3)
        accuracy = max(min(accuracy / 3, 0.02 * gap / max(output.start, 1e-300)), LEAST_TOL)
    return done
