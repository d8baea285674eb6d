"""The methods of `certify`: each a class, which makes a lower bound for one output, or for several jointly.

A new one is a class here and its line in `METHODS`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu._watch import Watch
from pathrelu.arrangements import Arrangements, RowSpace, enumerate_arrangements
from pathrelu.certificate._columns import Columns
from pathrelu.certificate._generation import NEW_GATES, Generated, Master, column_generation, look
from pathrelu.certificate._oracles import BranchOracle, Correlation, ExactOracle, Oracle
from pathrelu.certificate._output import Output, Vector, residual_norm
from pathrelu.certificate._result import Bound
from pathrelu.program._problem import Problem
from pathrelu.program._solve import run

EXACT_RANK = 3  # up to which all regions are walked through
MOST_BRANCH_RANK = 16
BRANCH_RANK = 6  # up to which "auto" branches until it is done
SHORT_NODES = 50_000  # of a first try
FEW_LEADING = 0.5  # share of alpha that rows beyond so many scores may correlate for "auto" to try "low_rank"
RETRIES = 2
FIRST_NODES = 10_000  # of one look at rank 4 and more, fourfold each time that they do not do
EXACT_ROWS = 10_000  # at rank 3, up to which "auto" walks through all regions
TINY = 20_000  # joint arrangements of a deeper tree that "auto" and "enumeration" list
RELAXATION_STEPS = 60
NODE_COST = 100  # cones for each column of the rows
FIRST_TREE = 16  # nodes below a semidefinite relaxation, fourfold each time that they do not do
MOST_STARTS = 64  # kept of the last semidefinite bounds
NEARBY = 0.5  # cosine of two dual points above which the bound of one starts that of the other
STALE = 12  # rounds of cutting planes without a gain, after which there are no more
ALPHAS = 6  # penalties tried for a bound that is not tight


@dataclass(frozen=True)
class Task:
    """A network's part for one program: the training problem it is a candidate for, and how long to look."""

    program: Problem  # over all scaled rows
    leaves: NDArray[np.float64]  # (K, paths, d), for these rows
    edge_signs: NDArray[np.int8]  # (K, n_edges)
    directions: NDArray[np.float64] | None  # (K, C) of unit norm, where sub-networks feed all outputs
    width: tuple[int, ...]
    skip_connection: bool
    alpha: float
    fit_intercept: bool
    space: RowSpace  # of the rows that have weight
    upper: float  # the network's objective, infinite where it is that of several programs
    arrangements: Arrangements | None
    kappa: int | None
    tol: float | None
    max_rounds: int
    max_nodes: int
    threads: int
    watch: Watch
    progress: Callable[[Bound], None] = lambda bound: None  # called with the bound of a method as it grows

    @cached_property
    def weighted(self) -> Problem:
        """The program over the rows that have weight."""
        used = self.program.w > 0
        return replace(
            self.program,
            X=np.ascontiguousarray(self.program.X[used]),
            y=np.ascontiguousarray(self.program.y[used]),
            w=check.unit_mean(self.program.w[used]),
        )

    @property
    def monotone(self) -> bool:
        """Whether weights have signs, which are those of columns."""
        return self.program.monotone is not None

    @cached_property
    def output(self) -> Output:
        """The same in coordinates of their space, in which no weight has to have a sign."""
        space = self.space
        rows = space.left * space.values if space.rank else np.zeros((len(self.weighted.y), 1))
        problem = replace(self.weighted, X=rows, monotone=None)
        return Output(
            problem,
            self.alpha,
            self.fit_intercept,
            self.width,
            self.threads,
            self.skip_connection,
            space.residual,
            self.watch,
            self.directions is not None,
        )

    @cached_property
    def gates(self) -> NDArray[np.float64]:
        """Leaf weights of all paths (K * paths, rank), in the same coordinates."""
        basis = self.space.basis if self.space.rank else np.zeros((self.leaves.shape[2], 1))
        return algebra.product(self.leaves, basis).reshape(-1, basis.shape[1])

    def master(self, columns: int | None = None) -> Master:
        """The program over the network's own gates, on so many leading columns of the rows."""
        directions = self.directions
        if directions is not None:
            directions = np.repeat(directions, self.leaves.shape[1], axis=0)
        rows = self.output.rows
        return Master(self.output, self.gates[:, :columns], rows[:, :columns], directions)

    @property
    def out_of_time(self) -> bool:
        return self.watch.left <= 0


class Method(ABC):
    """A lower bound on the optimum of a task. A method is made for one task, and used once."""

    name: ClassVar[str]
    parameters: ClassVar[frozenset[str]] = frozenset()  # of `certify`, that are for this method alone
    most_rank: ClassVar[float] = np.inf  # of the scaled rows
    instead: ClassVar[str] = ""  # what to try beyond it
    gated: ClassVar[bool] = False  # whether it is for networks whose gates are free, too

    def __init__(self, task: Task) -> None:
        if task.space.rank > self.most_rank:
            raise ValueError(
                f"the scaled rows have rank {task.space.rank}, and method={self.name!r} is for ranks up to "
                f"{self.most_rank}; try {self.instead}"
            )
        self.task = task
        self.result = Bound(self.name)

    @abstractmethod
    def bound(self) -> Bound:
        """The bound; the best so far where the time or the nodes of the task are used up."""

    def at_least_spectral(self) -> Bound:
        """The result, which may have been cut off, or "spectral" at the best constant network."""
        self.result.improve(*constant_bound(self.task.output), Spectral.name)
        return self.result


def constant_bound(output: Output) -> tuple[float, float]:
    """The lower bound by eigenvalues at the best constant, and the bound on correlations over alpha."""
    theta = output.theta(np.zeros_like(output.problem.y))
    bound = output.largest(theta, output.correlation(theta, output.spectral))
    return output.lower(theta, bound), bound / output.alpha


class LooseMethod(Method):
    """A method whose bound B stays above what sub-networks correlate with theta."""

    direction_tol: ClassVar[float] = 1e-2  # share by which the direction of outputs may add to the bound

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.looks_by: set[str] = set()  # the methods by which the last correlation was bounded, if told

    @cached_property
    def master(self) -> Master:
        return self.task.master()

    def correlation(self, theta: NDArray[np.float64], most: Callable[[Vector], float]) -> float:
        """Bound on what sub-networks and the skip connection correlate with theta, by one on units."""
        output = self.task.output
        self.looks_by.clear()
        return output.largest(
            theta, output.correlation(theta, most, self.spent, self.direction_tol, self.steepest())
        )

    def steepest(self) -> Callable[[Vector], Vector | None] | None:
        """Tells the outputs of a unit that correlates most with what a look was last for, if it does."""
        return None

    def improve(self, lower: float, correlation: float) -> None:
        """Improve the result, with the name of what bounded the correlation: a look may end before a step."""
        self.result.improve(
            lower, correlation, Spectral.name if self.looks_by == {Spectral.name} else self.name
        )

    def spent(self) -> bool:
        """Whether what comes now depends on where it was cut off."""
        return self.task.out_of_time

    def own_dual(self, alpha: float) -> NDArray[np.float64]:
        """The dual point of the program over the network's own arrangements."""
        return self.master.solve(alpha, 1e-5).theta

    def over_alphas(
        self, dual: Callable[[float], NDArray[np.float64]], most: Callable[[Vector], float]
    ) -> None:
        """Improve the result by dual points of programs with smaller alpha.

        If the bound at the dual point of the program with alpha' is B, the point times alpha / B is feasible.
        The best has B = alpha, which takes some alpha' < alpha.
        """
        output = self.task.output
        alpha, best = output.alpha, -np.inf
        for _ in range(ALPHAS):
            theta = dual(alpha)
            if self.spent():
                break
            bound = self.correlation(theta, most)
            value = output.lower(theta, bound)
            self.improve(value, bound / output.alpha)
            self.task.progress(self.result)
            if value <= best * 1.001 or bound <= 1.01 * output.alpha or self.spent():
                break
            best = value
            alpha *= max(output.alpha / bound, 0.1)


class Generation(LooseMethod):
    """Column generation with an oracle of units; loose from depth 3 on, where units are not all there is."""

    goal: ClassVar[float]  # the relative gap without `tol`
    most_seen: ClassVar[int] = 4  # points kept of each look

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.oracle = self.make_oracle()
        self.seen: list[NDArray[np.float64]] = []  # points of units that looks since the last round found
        self.result.tight = task.output.paths == 1

    @abstractmethod
    def make_oracle(self) -> Oracle: ...

    def bound(self) -> Bound:
        goal, output = self.task.tol or self.goal, self.task.output
        if output.paths == 1 and output.shared:
            self.close_shared(goal)
        elif output.paths == 1:
            self.close(goal)
        elif output.shared:
            self.over_alphas(self.own_dual, self.most)
        else:
            self.over_alphas(self.generated_dual, self.most)
        return self.at_least_spectral()

    def close(self, goal: float) -> None:
        """Improve the result until its relative gap is the goal, or the oracle gives up."""
        task, result = self.task, self.result
        result.goal = goal
        done = self.generate(task.alpha, task.upper, goal, task.max_rounds)
        result.best_objective = min(result.best_objective, done.best_objective)
        result.improve(done.lower, done.correlation, Spectral.name if done.spectral else self.name)
        task.progress(result)

    def close_shared(self, goal: float) -> None:
        """The same for sub-networks that feed all outputs, whose directions come with the gates."""
        task, output, result = self.task, self.task.output, self.result
        result.tight = False
        result.goal = goal = max(goal, self.direction_tol)
        before = np.inf
        for _ in range(task.max_rounds):
            result.n_rounds += 1
            solution = self.master.solve(task.alpha, 1e-2 * goal)
            result.best_objective = min(result.best_objective, solution.objective)
            self.seen.clear()
            bound = self.correlation(solution.theta, self.most)
            self.improve(output.lower(solution.theta, bound), bound / task.alpha)
            task.progress(result)
            best = min(task.upper, result.best_objective)
            if best - result.lower <= goal * best or self.spent():
                return
            if before - solution.objective <= 0.1 * goal * best:  # what is left is the looseness of the bound
                break
            before = solution.objective
            points = np.concatenate(self.seen)
            if not len(points):
                break
            active = np.maximum(algebra.product(output.rows, np.ascontiguousarray(points.T)), 0)
            along = algebra.product(np.ascontiguousarray(active.T), solution.theta)
            norms = np.sqrt((along**2).sum(axis=1))
            new = np.argsort(-norms, kind="stable")[:NEW_GATES]
            new = new[norms[new] > (1 + 0.1 * goal) * task.alpha]
            if not len(new):
                break
            self.master.add(points[new], along[new] / norms[new, np.newaxis])
        self.over_alphas(self.own_dual, self.most)

    def spent(self) -> bool:
        return self.oracle.spent

    def generate(self, alpha: float, upper: float, tol: float, max_rounds: int) -> Generated:
        task = self.task
        done = column_generation(
            task.output, self.master, self.oracle, task.space.residual, alpha, upper, tol, max_rounds
        )
        self.result.n_rounds += done.n_rounds
        self.result.n_nodes += done.n_nodes
        return done

    def generated_dual(self, alpha: float) -> NDArray[np.float64]:
        return self.generate(alpha, np.inf, 1e-2, 20).theta

    def steepest(self) -> Callable[[Vector], Vector | None]:
        def outputs(theta: Vector) -> Vector | None:
            points = self.seen[-1]
            if not len(points):
                return None
            active: Vector = np.maximum(algebra.product(self.oracle.Z, points[0]), 0)
            return active if algebra.inner(theta, active) > 0 else -active

        return outputs

    def total(self, found: Correlation, theta: Vector) -> float:
        """The bound of what the oracle found, with what the row space leaves out."""
        self.result.n_nodes += found.n_nodes
        return math.hypot(found.bound, self.task.space.residual * algebra.norm(theta))

    def most(self, theta: Vector) -> float:
        found = self.oracle(theta, 0.0, 1e-2 if self.task.output.shared else 2e-2)
        self.looks_by.add(Spectral.name if found.spectral else self.name)
        self.seen.append(found.points[: self.most_seen])
        return self.total(found, theta)


class Enumeration(Generation):
    """Over all arrangements: of units, or of monotone units or deeper trees where these can be listed."""

    name = "enumeration"
    goal = 1e-6
    direction_tol = 1e-3
    most_rank = EXACT_RANK
    instead = "'branch_and_bound' or 'auto'"

    def make_oracle(self) -> Oracle:
        output = self.task.output
        return ExactOracle(output.rows[:, : self.task.space.rank], output.threads, output.watch)

    def bound(self) -> Bound:
        return self.result if self.listed() else super().bound()

    def listed(self) -> bool:
        """Whether all arrangements of monotone units or deeper trees could be listed: then it is done."""
        task, output = self.task, self.task.output
        left = task.watch.left
        if (output.paths == 1 and not task.monotone) or output.shared or left <= 0:
            return False
        limit = None if np.isinf(left) else left
        problem = task.weighted if task.monotone else output.problem
        rows, depth = problem.X, len(output.width) + 2
        try:
            arrangements = enumerate_arrangements(
                rows, depth, output.width, TINY, n_threads=output.threads, max_seconds=limit
            )
        except (ValueError, TimeoutError):  # too many, or too slow
            return False
        if output.skip:
            arrangements = arrangements.with_skip_connection()
        options = _core.SolveOptions(
            tol=0.1 * (task.tol or self.goal),
            max_iter=10_000,
            fit_intercept=output.fit_intercept,
            threads=output.threads,
        )
        solution = run(problem, arrangements, output.alpha, options, None, output.watch)
        self.result = Bound(self.name, tight=True, n_rounds=1, best_objective=solution.objective, exact=True)
        self.result.improve(solution.dual_objective, 1.0, self.name)
        if task.out_of_time:
            self.at_least_spectral()
        return True


class BranchAndBound(Generation):
    """The unit that correlates most to within a tolerance, over cones halved until bounds are low enough."""

    name = "branch_and_bound"
    goal = 1e-2
    most_rank = MOST_BRANCH_RANK
    instead = "'low_rank', 'spectral' or 'auto'"

    oracle: BranchOracle

    def make_oracle(self) -> BranchOracle:
        task, output = self.task, self.task.output
        first = FIRST_NODES if output.paths == 1 or output.shared else task.max_nodes
        rows = output.rows[:, : task.space.rank]
        return BranchOracle(rows, output.threads, task.max_nodes, first, output.watch)

    def close(self, goal: float) -> None:
        """Where the nodes of one look do not do: theta of smaller alpha, then more nodes for each look.

        What happens is the same for any `max_nodes`, which only says when it ends.
        """
        oracle, output = self.oracle, self.task.output
        super().close(goal)
        while not self.spent() and not self.closed(goal):
            smaller, share = output.alpha, self.result.correlation
            for _ in range(RETRIES):
                if self.spent() or not 1 < share < np.inf:
                    break
                smaller *= max(1 / share, 0.1)
                theta = self.own_dual(smaller)
                found = look(oracle, theta, output.alpha, 1e-2, stop=False)
                share = output.largest(theta, self.total(found, theta)) / output.alpha
                name = Spectral.name if found.spectral else self.name
                self.result.improve(output.lower(theta, share * output.alpha), share, name)
            if oracle.each >= self.task.max_nodes:
                break
            oracle.each *= 4
            super().close(goal)

    def closed(self, goal: float) -> bool:
        best = min(self.task.upper, self.result.best_objective)
        return best - self.result.lower <= goal * best


class Leading:
    r"""The k leading principal scores: a bound from them, and the program on them alone.

    The bound is on ``abs(theta @ relu(Z @ u))`` for Z = Z_k + R with orthogonal row spaces.

    relu(z u) and relu(z_k u) differ by at most ``abs(r u)``. If cos of the length of u lies in the row space
    of Z_k and sin in that of R, the sum is at most cos times the maximum on Z_k plus sin times
    `residual_norm`.
    """

    def __init__(self, task: Task, k: int) -> None:
        output, space = task.output, task.space
        self.k, self.task = k, task
        each = SHORT_NODES // output.problem.y.shape[1]
        self.oracle = BranchOracle(output.rows[:, :k], output.threads, 2**62, each, output.watch)
        self.rest = output.rows[:, k : space.rank]
        self.largest = float(space.values[k]) if k < space.rank else 0.0
        self.residual = space.residual

    def most(self, theta: Vector) -> float:
        other = math.hypot(residual_norm(self.rest, self.largest, theta), self.residual * algebra.norm(theta))
        return math.hypot(self.oracle(theta, 0.0, 1e-2).bound, other)

    @cached_property
    def master(self) -> Master:
        return self.task.master(self.k)

    def generate(self, alpha: float) -> Generated:
        return column_generation(self.task.output, self.master, self.oracle, 0.0, alpha, np.inf, 1e-2, 20)


class LowRank(LooseMethod):
    """The maximum on leading principal scores, and a norm for the rest."""

    name = "low_rank"
    parameters = frozenset({"kappa"})

    @cached_property
    def leading(self) -> Leading:
        task, rank = self.task, self.task.space.rank
        if task.kappa is not None:
            return Leading(task, min(task.kappa, rank))
        theta, output = self.own_dual(task.alpha), task.output
        tries = (Leading(task, k) for k in range(min(rank, BRANCH_RANK) + 1))
        return min(tries, key=lambda leading: output.correlation(theta, leading.most))

    def bound(self) -> Bound:
        task, leading = self.task, self.leading
        self.result.kappa = leading.k
        self.over_alphas(self.own_dual, leading.most)
        if leading.k > 0 and not task.output.shared and not task.out_of_time:
            self.over_alphas(self.approximate_dual, leading.most)
        return self.at_least_spectral()

    def approximate_dual(self, alpha: float) -> NDArray[np.float64]:
        """The dual point of the program on the leading scores, which the paper's approximation solves."""
        done = self.leading.generate(alpha)
        self.result.n_rounds += done.n_rounds
        self.result.n_nodes += done.n_nodes
        return done.theta


class Spectral(LooseMethod):
    """By eigenvalues."""

    name = "spectral"
    gated = True

    def bound(self) -> Bound:
        self.over_alphas(self.own_dual, self.task.output.spectral)
        return self.at_least_spectral()


class Semidefinite(LooseMethod):
    """By the semidefinite relaxation of units, and the dual point that is best for it.

    Relaxed outputs of units that correlate most with a dual point are columns of a program whose dual point
    is the next: cutting planes, from which each look is halfway back to the best point so far. Then the same
    with trees of half-spaces below the relaxation, larger ones each time.
    """

    name = "semidefinite"
    gated = True
    goal: ClassVar[float] = 1e-3  # relative gap without `tol`

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.nodes = 0  # of the tree of each look
        self.known: deque[tuple[Vector, Vector]] = deque(maxlen=MOST_STARTS)  # points looked at, and moments
        self.found: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []  # relaxed outputs, units
        self.columns = Columns(task.output, math.sqrt(task.output.paths))
        self.precision = self.goal  # share of the objective that cutting planes may leave
        self.limit = np.inf  # of the lower bounds that a program over relaxed outputs allows
        # A node takes as long as so many cones of branch and bound.
        self.most_nodes = task.max_nodes // (NODE_COST * max(task.space.rank, 1))
        self.share = np.inf  # what sub-networks correlate with the last dual point, over alpha

    def most(self, theta: Vector) -> float:
        task, output = self.task, self.task.output
        start = self.nearby(theta)
        rows, weights = output.switched(theta)
        bound, _, points, units, moments, _, nodes = _core.relaxed_correlation(
            rows,
            weights,
            RELAXATION_STEPS,
            0.1 * self.aim,
            start,
            min(self.nodes, max(self.most_nodes - self.result.n_nodes, 0)),
            # Of shared outputs the bounds of several directions add up, and each counts.
            0.0 if output.shared else output.alpha / math.sqrt(output.paths),
            output.threads,
            task.watch.left,
        )
        self.result.n_nodes += nodes
        self.known.append((theta / max(algebra.norm(theta), 1e-300), moments))
        self.found.append((points * np.sign(theta) if output.gated else points, units))
        if not np.isfinite(bound):  # out of time before the first step
            self.looks_by.add(Spectral.name)
            return output.spectral(theta)
        self.looks_by.add(self.name)
        return math.hypot(bound, task.space.residual * algebra.norm(theta))

    def nearby(self, theta: Vector) -> Vector:
        """Moments of the dual point looked at whose direction is nearest, for a look to start from."""
        if not self.known:
            return np.zeros(0)
        points = np.stack([point for point, _ in self.known])
        along = algebra.product(points, theta)
        place = len(along) - 1 - int(along[::-1].argmax())  # of equals the last
        return self.known[place][1] if along[place] > NEARBY * algebra.norm(theta) else np.zeros(0)

    def steepest(self) -> Callable[[Vector], Vector | None]:
        def outputs(theta: Vector) -> Vector | None:
            points, _ = self.found[-1]
            along = algebra.product(points, theta)
            if not along.any():
                return None
            point: Vector = points[int(np.abs(along).argmax())]
            return point if algebra.inner(theta, point) > 0 else -point

        return outputs

    @property
    def aim(self) -> float:
        return self.task.tol or self.goal

    def spent(self) -> bool:
        return self.task.out_of_time or (self.nodes > 0 and self.result.n_nodes >= self.most_nodes)

    def look(self, theta: NDArray[np.float64], directions: bool = False) -> float:
        """The lower bound that theta gives, and the relaxed outputs that say why it is no better.

        With all `directions` of shared outputs, or those that a round of cutting planes can afford.
        """
        output = self.task.output
        self.found.clear()
        self.looks_by.clear()
        spent = self.spent if directions else lambda: True
        correlation = output.correlation(theta, self.most, spent, self.direction_tol, self.steepest())
        bound = output.largest(theta, correlation)
        value = output.lower(theta, bound)
        self.share = bound / output.alpha
        self.improve(value, self.share)
        self.task.progress(self.result)
        return value

    def start(self) -> NDArray[np.float64]:
        """The dual point of the program over the network's own arrangements."""
        solution = self.master.solve(self.task.alpha, min(1e-5, 0.1 * self.aim))
        self.result.best_objective, self.result.goal = solution.objective, self.aim
        return solution.theta

    def bound(self) -> Bound:
        task = self.task
        theta = self.start()
        while True:
            theta = self.cut(theta)
            if task.output.shared and not self.closed() and not self.spent():
                self.look(theta, directions=True)
            if self.closed() or self.spent() or self.nodes >= self.most_nodes:
                break
            self.nodes = max(4 * self.nodes, FIRST_TREE)
        return self.at_least_spectral()

    @property
    def upper(self) -> float:
        return min(self.task.upper, self.result.best_objective)

    def closed(self) -> bool:
        return self.upper - self.result.lower <= self.aim * abs(self.upper)

    def cut(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rounds of cutting planes from theta; the best dual point."""
        task = self.task
        self.columns = columns = Columns(task.output, math.sqrt(task.output.paths))
        best, best_value, stale = theta, -np.inf, 0
        enough = 0.1 * self.precision * abs(self.upper)
        for _ in range(task.max_rounds):
            self.result.n_rounds += 1
            before = best_value
            value = self.look(theta)
            if value > best_value:
                # As it is, or scaled up to what is feasible: whichever says more.
                scaled = [theta / share for share in {max(1.0, self.share), self.share or 1.0}]
                best = max(scaled, key=lambda point: task.output.lower(point, task.alpha))
                best_value = value
            stale = 0 if best_value > before + enough else stale + 1
            if self.closed() or self.spent() or stale >= STALE:
                break
            if not columns.add(self.found, theta):
                break
            self.limit, other = columns.solve(task.watch.left)
            if self.limit - best_value <= enough and stale > 1:
                break
            theta = 0.5 * (best + other)
        return best


class Solver(Method):
    """The optimum over given arrangements, or the network's own: no bound on that over all."""

    name = "solver"
    gated = True
    parameters = frozenset({"arrangements"})

    def bound(self) -> Bound:
        task = self.task
        groups, directions, outputs = task.arrangements, task.directions, task.program.y.shape[1]
        if groups is None:
            trees, signs = task.leaves, task.edge_signs
            if not len(trees):
                if not task.skip_connection:
                    raise ValueError("the network has no sub-network and so no arrangements; give some")
                # A tree of no arrangement.
                trees, signs = np.zeros((1, *trees.shape[1:])), np.ones((1, signs.shape[1]), np.int8)
                directions = None if directions is None else np.eye(outputs)[:1]
            of_trees = Arrangements.from_trees if directions is None else Arrangements._of_each_tree
            groups = of_trees(task.program.X, trees, signs, width=task.width, n_threads=task.threads)
        if task.skip_connection and directions is None:
            groups = groups.with_skip_connection()
        elif task.skip_connection and directions is not None:
            groups = groups._with_linear(outputs)
            directions = np.concatenate([directions, np.eye(outputs)])
        options = _core.SolveOptions(
            tol=task.tol or 1e-6, max_iter=10_000, fit_intercept=task.fit_intercept, threads=task.threads
        )
        solution = run(task.program, groups, task.alpha, options, None, task.watch, directions)
        return Bound(
            self.name,
            solution.dual_objective,
            1.0,
            solution.objective,
            1,
            arrangements=len(groups),
            exact=True,
        )


class Auto(Method):
    """The best method that is affordable at the rank of the rows, or of several beyond."""

    name = "auto"
    gated = True

    def bound(self) -> Bound:
        task, rank = self.task, self.task.space.rank
        if task.output.gated:
            return Semidefinite(task).bound()
        if rank <= EXACT_RANK:
            enumeration = Enumeration(task)
            if enumeration.listed():
                return enumeration.result
            exact = rank < EXACT_RANK or len(task.output.rows) <= EXACT_ROWS
            # Not its bound(), which would try again to list.
            return Generation.bound(enumeration) if exact else BranchAndBound(task).bound()
        short = replace(task, kappa=None, max_nodes=min(task.max_nodes, SHORT_NODES))
        tries: list[Bound] = []
        for method, part in self.methods(short):
            tries.append(method(part).bound())
            upper = min([task.upper, *(found.best_objective for found in tries)])
            goal = task.tol or (BranchAndBound.goal if rank <= BRANCH_RANK else 1e-6)
            if tries[-1].lower >= (1 - goal) * upper or task.out_of_time:
                break
        return max(tries, key=lambda bound: bound.lower)

    def methods(self, short: Task) -> Iterator[tuple[type[Method], Task]]:
        """What to try, one after the other; `short` is the task with fewer nodes."""
        task, space = self.task, self.task.space
        if space.rank <= BRANCH_RANK:
            yield BranchAndBound, short
            yield Semidefinite, task
            if task.max_nodes > short.max_nodes:
                yield BranchAndBound, task
            return
        yield Semidefinite, task
        theta = task.master().solve(task.alpha, 1e-3).theta
        if space.values[BRANCH_RANK] * algebra.norm(theta) <= FEW_LEADING * task.alpha:
            yield LowRank, short


BY_NAME: dict[str, type[Method]] = {
    method.name: method
    for method in (Auto, Enumeration, BranchAndBound, Semidefinite, LowRank, Spectral, Solver)
}
METHODS = tuple(BY_NAME)
