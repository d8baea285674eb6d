"""The automatic alpha: by the loss of held-out rows along a path of slides, or by a rule without any."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu._sparse_rows import SparseRows, rows_at, sparse_keys
from pathrelu._watch import Record
from pathrelu.network._trees import norms_of
from pathrelu.program._problem import Problem
from pathrelu.program._slide import Slides, Trees, path_signs
from pathrelu.program._solution import Solution
from pathrelu.program._stochastic import Rows, ShuffledRows, stochastic_slide

FOLDS = 5
LEAST_ROWS = 20  # distinct ones, below which folds say nothing and the rule without decides
FEW_ROWS, MORE_ROWS = 1000, 3000  # distinct rows up to which five and three of the folds are used, else one
WIDE_ENTRIES = 500_000  # rows times columns, from which it is two instead of three, to save time
PATH_ROWS = 5000  # rows that a path goes along, chosen at random; with more its end does, from there
FIRST_SHARE = 0.3  # of the score of a linear function at the best constant
STEP = 0.5  # from alpha to alpha
LONGEST = 18  # values of alpha: the last is about 1e-5 of the first
WIDER = 4  # values above the first, if that predicts best
RANDOM_TREES, FURTHER_TREES, MOST_TREES = 150, 50, 250  # at the first alpha, at each other, and in all
EVALUATIONS = 30  # of a slide on the path
LAST_EVALUATIONS = 100  # of the slide at the alpha chosen, where the path has gone along all rows
# Where it has gone along some of them, stochastic slides go on with all: of so many passes each, for so many
# rows in all within bounds; at each of these rates first, for steps are the shorter the noisier the targets.
PASSED_ROWS, FEWEST_PASSES, MOST_PASSES = 250_000, 2, 10
RATES = (0.004, 0.016)
FURTHER_SLIDES = 5  # at the better rate
LAST_STREAM = len(RATES) + FURTHER_SLIDES  # of random numbers of the slide over all rows
LESS = 0.5  # of alpha there, beside what the number of rows takes off
# Sparse rows slide stochastically from the first alpha on, in steps of more rows as each changes all weights:
# of so many rows in all, in passes within bounds, at this rate, and with as many trees as keep their weights
# within a number.
SPARSE_BATCH, SPARSE_PASSED, SPARSE_PASSES, SPARSE_RATE = 512, 60_000, (1, 40), 0.022
SPARSE_STEP, SPARSE_PATIENCE = 0.35, 1
WEIGHT_WORK = 6  # multiplications that a step takes as long as with each weight
SPARSE_WEIGHTS, FEWEST_SPARSE_TREES = 640_000, 32
SMALL = 0.01  # norm of the random trees that are added, of the median of the sample's
SPAN_ROWS = 500  # up to which rows of more columns are seen in coordinates of their span
SPAN_COLUMNS = 1.5  # times the rows, from which that pays
PATIENCE = 2  # values of alpha without a gain, which end the path
LEAST_GAIN = 2e-3  # of the held-out loss of a constant, that counts as one
# Columns are rescaled so often, while that gains so much of the held-out loss of a constant: on development
# tables smaller gains were as often losses on test rows, and a fourth time gained nothing on noisy columns.
RESCALINGS, RESCALING_GAIN = 3, 1e-2
LEAST_FACTOR = 1e-2  # of a column, which can so come back in the next network

# What a forecast takes for granted: values of alpha of a path, how often columns are rescaled, values of
# alpha of each path after that, and slides over all rows.
EXPECTED, EXPECTED_RESCALINGS, EXPECTED_RESCALED, EXPECTED_SLIDES = 9, 1, 3, 3
STEP_PRODUCTS = 60  # that a step of the convex program takes as long as

AUTOMATIC_SHARE = 0.3  # chosen on the development tables of bench/tables.py, as is the number of fits
AUTOMATIC_FITS = 3
LEAST_FALL = 0.9  # of alpha from fit to fit, for which another one pays


def solve_at_automatic_alpha(
    problem: Problem,
    rough: Callable[[float, Any], Solution],
    solve: Callable[[float, Any], Solution],
    start: Any,
    stopped: Callable[[], bool],
    threads: int,
) -> Solution:
    """The solution at the automatic alpha, which each of a few rough fits lowers, while it does so by enough.

    Both functions take alpha and what to start from: `start`, then the fit before.
    """
    alpha = automatic_alpha(problem)
    for _ in range(AUTOMATIC_FITS - 1):
        fit = rough(alpha, start)
        if stopped():
            return fit
        lower = automatic_alpha(problem, _fitted(problem, fit, threads))
        start = fit
        if lower > LEAST_FALL * alpha:
            break
        alpha = lower
    return solve(alpha, start)


def automatic_alpha(problem: Problem, fitted: NDArray[np.float64] | None = None) -> float:
    """A share of the score that noise would reach.

    With gradients g_i of the loss, a pattern D scores ``|X' D g| / n``. The root mean square of that over
    random signs of g is at most ``rms(g) * rms(|x_i|) / sqrt(n)``. As in the scaled lasso (Sun & Zhang 2012),
    g is that of a fit with these outputs; without one, that of the best constant. n is Kish's effective
    number of rows.
    """
    share = problem.w / len(problem.w)
    gradient = _loss_gradient(problem, _constant(problem) if fitted is None else fitted)
    noise = float(np.mean(algebra.weighted_sum(share, gradient**2)))
    if problem.loss in (
        "squared_error",
        "huber",
    ):  # no less than a constant target leaves: the rounding of its mean
        mean = float(np.abs(algebra.weighted_sum(share, problem.y)).max())
        noise = max(noise, (len(share) * np.finfo(np.float64).eps * mean) ** 2)
    rows = algebra.inner(share, np.sum(problem.X.astype(np.float64) ** 2, axis=1))
    return AUTOMATIC_SHARE * (math.sqrt(noise * rows * algebra.inner(share, share)) or 1.0)


def _constant(problem: Problem) -> NDArray[np.float64]:
    if problem.loss != "log_loss":
        return _core.best_constant(problem.y, problem.w, problem.core_loss)
    # A class may have too small a part in the weight for 1 less that part, or for a float, to tell.
    sides = [problem.y < 0, problem.y > 0] if problem.single else [problem.y]
    weights = [algebra.weighted_sum(problem.w, side.astype(np.float64)) for side in sides]
    # Not by the logarithm of NumPy, which depends on the instruction set.
    totals = np.array([[math.log(max(w, np.finfo(np.float64).tiny)) for w in row] for row in weights])
    constant: NDArray[np.float64] = totals[-1] - (totals[0] if problem.single else math.log(len(problem.w)))
    return constant


def loss_at_constant(problem: Problem) -> float:
    """The mean loss of the best constant outputs."""
    outputs = np.ascontiguousarray(np.broadcast_to(_constant(problem), problem.y.shape))
    return _core.mean_loss(outputs, problem.y, problem.w, problem.core_loss)


def _fitted(problem: Problem, solution: Solution, threads: int) -> NDArray[np.float64]:
    return (
        solution.network().predict(problem.X, n_threads=threads).astype(np.float64).reshape(problem.y.shape)
    )


def _loss_gradient(problem: Problem, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    outputs = np.ascontiguousarray(np.broadcast_to(outputs, problem.y.shape))
    equal = np.ones(len(outputs))
    return _core.dual_point(outputs, problem.y, equal, problem.core_loss, False) * -float(len(outputs))


def geometric_means(rows: Sequence[Sequence[float]]) -> list[float]:
    """Of each column, by the functions of the C library: those of NumPy depend on the instruction set."""
    if len(rows) == 1:
        return list(rows[0])
    return [math.exp(math.fsum(map(math.log, column)) / len(column)) for column in zip(*rows, strict=True)]


def mean_objective(problem: Problem, solutions: Sequence[Solution], threads: int) -> float:
    """The objective of the network that is the mean of those of solutions at one alpha."""
    rows = problem.X.astype(np.float64)
    each = [solution.network().predict(rows, n_threads=threads) for solution in solutions]
    outputs = np.mean(each, axis=0).reshape(problem.y.shape)
    norm = math.fsum(solution.network().path_norm() for solution in solutions) / len(solutions)
    loss = _core.mean_loss(np.ascontiguousarray(outputs), problem.y, problem.w, problem.core_loss)
    return loss + solutions[0].alpha * norm


@dataclass(frozen=True)
class Candidate:
    """One way to see the rows: its programs, what to call it, and how many columns may be rescaled."""

    encoding: str
    problems: Sequence[Problem]
    n_free: int = 0  # the first ones of the programs; the others are constants
    start: Start | None = None  # of all candidates those with one are followed, if there are any


@dataclass(frozen=True)
class Start:
    """Where a path starts: for each program an alpha and trees, over the columns times factors."""

    alphas: list[float]
    trees: list[Trees]
    factors: NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """What held-out rows have chosen: a candidate and, for each of its programs, alpha and trees.

    Trees are over the columns times the factors.
    """

    place: int
    factors: NDArray[np.float64] | None  # None for ones
    alphas: list[float]
    trees: list[Trees | None]
    rates: list[float | None]  # of the stochastic slides of all rows that have yet to be made; None: no such
    at_constant: list[float]
    path: dict[str, NDArray[Any]]


def choose_by_held_out(
    candidates: Sequence[Candidate], fold: NDArray[np.intp], slides: Slides, seed: int
) -> Choice:
    """The candidate and the alphas of least held-out loss.

    `fold` gives each row, the same ones for all candidates, its fold; -1 is held out by none.
    """
    stage = slides.watch.stage
    started = [candidate.start is not None for candidate in candidates]
    best, choice = math.inf, None
    rows: list[tuple[str, int, float, float, float, int]] = []
    for place, candidate in enumerate(candidates):
        if slides.watch.stopped_by and choice is not None:
            break
        start = candidate.start
        if start is None and any(started):
            continue
        views = [_View.of_problem(candidate.problems[0], None if start is None else start.factors)]
        walks = [_Walk(problem, fold, slides, seed, views) for problem in candidate.problems]
        for program, walk in enumerate(walks):
            walk.title = _title(candidates, place, program)
            stage.begin(walk.title)
            if start is None:
                walk.run()
            else:
                walk.run(start.alphas[program], views[0].lowered(start.trees[program]))
        rows += _points(candidate, walks, 0)
        held_out = sum(walk.best for walk in walks)
        if held_out < best or choice is None:
            best, choice = held_out, (place, walks, views)
    assert choice is not None
    place, walks, views = choice
    chosen, rescalings = candidates[place], 0
    while rescalings < RESCALINGS and not slides.watch.stopped_by:
        more = max(0, EXPECTED_RESCALINGS - rescalings - 1) * EXPECTED_RESCALED
        stage.plan("rescaled", more * sum(map(sum, (walk.works for walk in walks))))
        rescaled = _rescaled(chosen, walks, views, fold, slides, seed)
        if rescaled is None:
            break
        rows += _points(chosen, rescaled[0], rescalings + 1)
        held_out = sum(walk.best for walk in rescaled[0])
        if not held_out < best - RESCALING_GAIN * sum(walk.at_constant for walk in walks):
            break
        best, (walks, views), rescalings = held_out, rescaled, rescalings + 1
    stage.begin("rescaled")
    tried = [len(walk.points) for walk in walks]
    for program, walk in enumerate(walks):
        stage.begin(f"all rows {program}")
        walk.run_on_all_rows()
    rows += _points(chosen, walks, rescalings, tried)
    names = ("encoding", "program", "alpha", "held_out_loss", "n_subnetworks", "n_rescalings")
    columns = list(zip(*rows, strict=True)) or [()] * len(
        names
    )  # none where the time was up before the first
    path = {name: np.array(column) for name, column in zip(names, columns, strict=True)}
    factors, trees = None, [views[0].lifted(walk.trees) for walk in walks]
    of_folds = np.stack([view.factors for view in views])
    if (of_folds != 1).any():
        factors = np.sqrt((of_folds**2).mean(axis=0))
        trees = [multiplied(of, of_folds[0] / factors) for of in trees]
        factors = factors[: chosen.n_free]
    rates, at_constant = [walk.rate for walk in walks], [walk.at_constant for walk in walks]
    return Choice(place, factors, [walk.alpha for walk in walks], trees, rates, at_constant, path)


def slide_work(shape: tuple[int, ...], slides: Slides, evaluations: int) -> float:
    """Multiplications of a slide over such rows, there and back, with the trees that most have."""
    return 2.0 * evaluations * math.prod(shape) * math.prod(slides.width) * RANDOM_TREES


def problem_work(problem: Problem, slides: Slides) -> float:
    """Multiplications of a slide along a path, over all rows of a problem."""
    X: Any = problem.X
    if not isinstance(X, SparseRows):
        return slide_work(X.shape, slides, EVALUATIONS)
    n, d = X.shape  # a step changes all weights
    return slide_work(
        (X.matrix.nnz + WEIGHT_WORK * d * math.ceil(n / SPARSE_BATCH),), slides, _sparse_passes(n)
    )


def _sparse_passes(n: int) -> int:
    return min(SPARSE_PASSES[1], max(SPARSE_PASSES[0], round(SPARSE_PASSED / n)))


def passes_over(rows: int) -> int:
    """How many a stochastic slide makes."""
    return min(MOST_PASSES, max(FEWEST_PASSES, round(PASSED_ROWS / rows)))


def plan_by_held_out(
    candidates: Sequence[Candidate], fold: NDArray[np.intp], slides: Slides, n_networks: int = 1
) -> None:
    """What there is to be done for so many networks, for those who follow it."""
    stage = slides.watch.stage
    trained = [len(fold) - held_out for held_out in np.bincount(fold[fold >= 0]).tolist()]
    some = len(trained) == 1 and trained[0] > PATH_ROWS
    works = []
    for place, candidate in enumerate(candidates):
        for program, problem in enumerate(candidate.problems):
            if isinstance(problem.X, SparseRows):
                work = problem_work(problem, slides) * sum(trained) / len(fold)
                stage.plan(_title(candidates, place, program), EXPECTED * work)
                continue
            columns = min(problem.X.shape[1], len(fold))  # fewer rows than columns are seen in their span
            rows = PATH_ROWS if some else sum(trained)
            work = slide_work((rows, columns), slides, EVALUATIONS)
            works.append(work)
            stage.plan(_title(candidates, place, program), EXPECTED * work)
            if some:
                over_all = EXPECTED_SLIDES * slide_work(
                    (trained[0], columns), slides, passes_over(trained[0])
                )
                stage.plan(f"all rows {program}", over_all)
    if candidates[0].n_free > 1:
        mean = sum(works) / len(candidates)
        stage.plan("rescaled", EXPECTED_RESCALINGS * EXPECTED_RESCALED * mean)
    alone = sum(stage.planned.values()) / len(candidates)  # in the encoding that is chosen
    for k in range(1, n_networks):
        stage.plan(f"network {k + 1}", alone)


def _title(candidates: Sequence[Candidate], place: int, program: int) -> str:
    """What a path is called, if there are several."""
    title, programs = "", len(candidates[place].problems)
    if len(candidates) > 1:
        title += f"{candidates[place].encoding}, "
    return title + (f"output {program + 1} of {programs}, " if programs > 1 else "")


def _points(
    candidate: Candidate, walks: Sequence[_Walk], rescalings: int, tried: Sequence[int] | None = None
) -> list[tuple[str, int, float, float, float, int]]:
    """Rows of `path_`: the points of walks, but for those `tried` before."""
    return [
        (candidate.encoding, program, *point, rescalings)
        for program, walk in enumerate(walks)
        for point in walk.points[0 if tried is None else tried[program] :]
    ]


def _rescaled(
    candidate: Candidate,
    walks: Sequence[_Walk],
    views: Sequence[_View],
    fold: NDArray[np.intp],
    slides: Slides,
    seed: int,
) -> tuple[list[_Walk], list[_View]] | None:
    """Walks on from the best networks, with columns multiplied by the part that each has in them.

    The networks of each fold choose for that fold alone, as its held-out rows have had no part in them. None
    without columns to choose from.
    """
    if any(walk.of_folds is None for walk in walks):
        return None
    seen: list[_View] = []
    starts: list[list[Trees]] = [[] for _ in walks]
    for k in range(len(walks[0].parts)):
        before = views[min(k, len(views) - 1)]
        trees = [before.lifted(walk.of_folds[k]) for walk in walks if walk.of_folds is not None]
        factors = rescaling(trees, before.factors, candidate.n_free)
        if factors is None:
            return None
        view = _View.of_problem(candidate.problems[0], factors)
        seen.append(view)
        for program, of in enumerate(trees):
            starts[program].append(view.lowered(multiplied(of, before.factors / factors)))
    found = [_Walk(problem, fold, slides, seed, seen) for problem in candidate.problems]
    for walk, last, start in zip(found, walks, starts, strict=True):
        walk.title = f"{last.title}rescaled, "
        walk.run_from(last.alpha, start, last.best)
    return found, seen


def rescaling(trees: Sequence[Trees], before: NDArray[np.float64], n_free: int) -> NDArray[np.float64] | None:
    """What columns are to be multiplied by, after they were by the factors `before`, by trees over these.

    The first `n_free` by their parts in the path norm, over the paths that begin there, for columns without
    factors; the largest becomes 1. None where no other columns come of it.
    """
    parts = np.zeros(n_free)
    for leaves, *_ in trees:
        squares = _by_path(leaves, len(before))[..., :n_free] ** 2
        parts += np.sqrt(squares.sum(axis=1)).sum(axis=0)
    parts *= before[:n_free]
    if n_free < 2 or not parts.any():
        return None
    return np.concatenate([np.maximum(parts / parts.max(), LEAST_FACTOR), np.ones(len(before) - n_free)])


def multiplied(trees: Trees, factors: NDArray[np.float64]) -> Trees:
    """Trees with the weights of each column multiplied."""
    return ((_by_path(trees[0], len(factors)) * factors).reshape(trees[0].shape), *trees[1:])


def _by_path(leaves: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Weights (K, paths, columns)."""
    return leaves.reshape(len(leaves), leaves.shape[1] // columns, columns)


def _all_paths(leaves: NDArray[np.float64]) -> NDArray[np.float64]:
    return leaves.reshape(len(leaves), leaves.shape[1] * leaves.shape[2])


@dataclass(frozen=True)
class _View:
    """How a walk sees rows: columns times factors and, where it has fewer, in coordinates of their span.

    Norms of weights and outputs are the same in these.
    """

    factors: NDArray[np.float64]  # of all columns
    axes: NDArray[np.float64] | None  # as rows; None for the columns themselves

    @classmethod
    def of_problem(cls, problem: Problem, factors: NDArray[np.float64] | None = None) -> Self:
        if problem.monotone is None and not isinstance(problem.X, SparseRows):
            return cls.of(problem.X, factors)
        # Columns keep their signs, and their zeros.
        return cls(np.ones(problem.X.shape[1]) if factors is None else factors, None)

    @classmethod
    def of(cls, X: check.Rows, factors: NDArray[np.float64] | None = None) -> Self:
        n, d = X.shape
        factors = np.ones(d) if factors is None else factors
        if n > SPAN_ROWS or d < SPAN_COLUMNS * n:
            return cls(factors, None)
        rows = np.ascontiguousarray(X, np.float64) * factors
        squares, vectors = algebra.eigenvalues(algebra.product(rows, np.ascontiguousarray(rows.T)))
        # Shorter axes are those of single precision's rounding.
        kept = squares > squares[-1] * float(np.finfo(np.float32).eps)
        lengths = np.sqrt(squares[kept])[:, np.newaxis]
        return cls(factors, algebra.product(vectors[kept], rows) / lengths if kept.any() else None)

    def problem(self, problem: Problem) -> Problem:
        X = problem.X
        if (self.factors != 1).any():
            X = np.ascontiguousarray(X * self.factors.astype(X.dtype))
        if self.axes is not None:
            X = algebra.product(X, np.ascontiguousarray(self.axes.T))
        return problem if X is problem.X else replace(problem, X=X)

    def lifted(self, trees: Trees | None) -> Any:
        """The trees over the columns times the factors."""
        if self.axes is None or trees is None:
            return trees
        return (_all_paths(algebra.product(_by_path(trees[0], len(self.axes)), self.axes)), *trees[1:])

    def lowered(self, trees: Trees) -> Trees:
        """Trees over the columns times the factors, in coordinates: with the same outputs on the rows."""
        if self.axes is None:
            return trees
        leaves = _by_path(trees[0], self.axes.shape[1])
        return (_all_paths(algebra.product(leaves, np.ascontiguousarray(self.axes.T))), *trees[1:])


class _Walk:
    """One program along decreasing alpha, on the rows that each fold leaves, in one view or one for each."""

    def __init__(
        self,
        problem: Problem,
        fold: NDArray[np.intp],
        slides: Slides,
        seed: int,
        views: Sequence[_View],
    ) -> None:
        self.slides = slides
        self.title = ""
        self.points: list[tuple[float, float, float]] = []  # alpha, held-out loss, sub-networks
        self.best, self.alpha = math.inf, 0.0
        self.trees: Trees | None = None  # of the first fold
        self.of_folds: list[Trees] | None = None  # the best ones, once each has some
        self.rate: float | None = None  # of stochastic slides
        constant = _constant(problem)
        self.at_constant = loss_at_constant(problem)
        gradient = _loss_gradient(problem, constant) * (problem.w / len(problem.w))[:, np.newaxis]
        seen = [view.problem(problem) for view in views]
        rows: Any = seen[0].X
        if isinstance(rows, SparseRows):
            score = rows.correlate(gradient)
        else:
            score = algebra.product(np.ascontiguousarray(rows.T, np.float64), gradient)
        self.first = FIRST_SHARE * float(np.sqrt((score**2).sum(axis=0).max())) or 1.0
        folds = sorted(set(fold[fold >= 0].tolist()))
        parts = zip(seen * len(folds) if len(seen) == 1 else seen, folds, strict=True)
        self.parts = [(part_of(of, fold != k), part_of(of, fold == k)) for of, k in parts]
        self.few: list[tuple[Problem, Problem]] = []
        self.sparse = isinstance(rows, SparseRows)
        if len(folds) == 1 and len(self.parts[0][0].X) > PATH_ROWS and not self.sparse:
            trained = len(self.parts[0][0].X)
            some = np.zeros(trained, bool)
            some[np.random.default_rng(seed).permutation(trained)[:PATH_ROWS]] = True
            self.few = [(part_of(self.parts[0][0], some), self.parts[0][1])]

    @property
    def works(self) -> list[float]:
        """Multiplications at one value of alpha, of each fold."""
        return [problem_work(part, self.slides) for part, _ in self.few or self.parts]

    def run(self, alpha: float | None = None, trees: Trees | None = None) -> None:
        """Down from the first alpha, or from one of all rows and its trees, and up if that is the best."""
        parts = self.few or self.parts
        first = self.first if alpha is None else alpha / self.share
        starts: list[Trees | None] = [trees] * len(parts)
        step, patience = (SPARSE_STEP, SPARSE_PATIENCE) if self.sparse else (STEP, PATIENCE)
        found = self._along(parts, [first * step**k for k in range(LONGEST)], starts, patience)
        if found == 0:
            starts = [self.trees] * len(parts)
            self._along(parts, [first / STEP**k for k in range(1, WIDER + 1)], starts, 1, expected=2)

    @property
    def share(self) -> float:
        """Of alpha for some of the rows, that is right for all: it falls as the noise of a mean."""
        return LESS * math.sqrt(PATH_ROWS / len(self.parts[0][0].X)) if self.few else 1.0

    def run_from(self, alpha: float, trees: list[Trees], mark: float) -> None:
        """Down from an alpha and trees of each fold, while the held-out loss falls, from `mark` on."""
        alphas = [alpha * STEP**k for k in range(LONGEST)]
        self._along(self.few or self.parts, alphas, list(trees), 1, mark, EXPECTED_RESCALED)

    def run_on_all_rows(self) -> None:
        """Further down where the first rows were some."""
        slides, start = self.slides, self.trees
        if not self.few or start is None:
            return
        train, test = self.parts[0]
        rows = ShuffledRows(train, slides)
        alpha = self.alpha * self.share
        self.best = math.inf
        count = len(RATES) + FURTHER_SLIDES
        work = slide_work(train.X.shape, slides, passes_over(len(train.X)))
        for k in range(count):
            more = max(0, EXPECTED_SLIDES - k - 1) * work
            slides.watch.stage.step(f"{self.title}all rows, slide {k + 1} of {count}", work, more)
            further = k >= len(RATES)
            rate = (self.rate or RATES[0]) if further else RATES[k]
            before = (self.trees or start) if further else start
            after = slide_over(slides, rows, train, alpha, before, self.at_constant, rate, k)
            if slides.watch.stopped_by:
                return
            held_out = self._held_out(test, after)
            self.points.append((alpha, held_out, float(len(after[0]))))
            gain = self.best - held_out
            if gain > 0:
                self.best, self.alpha, self.trees, self.rate = held_out, alpha, after, rate
            slides.watch.report(self._record(k, len(after[0])))
            if slides.watch.stopped_by or (further and gain < LEAST_GAIN * self.at_constant):
                return

    def _held_out(self, test: Problem, trees: Trees) -> float:
        outputs = self.slides.outputs(test.X, trees)
        return _core.mean_loss(outputs, test.y, test.w, test.core_loss)

    def _along(
        self,
        parts: Sequence[tuple[Problem, Problem]],
        alphas: Sequence[float],
        trees: list[Trees | None],
        patience: int,
        mark: float = math.inf,
        expected: int = EXPECTED,
    ) -> int:
        """The place of the best alpha, of so many `expected`."""
        slides, since, found, mark = self.slides, 0, 0, min(mark, self.best)
        works = self.works
        for k, alpha in enumerate(alphas):
            held_out, size = 0.0, 0.0
            for i, (train, test) in enumerate(parts):
                where = f"{self.title}alpha {k + 1} of {len(alphas)}"
                where += f", fold {i + 1} of {len(parts)}" if len(parts) > 1 else ""
                more = max(0, expected - k - 1) * sum(works) + sum(works[i + 1 :])
                slides.watch.stage.step(where, works[i], more)
                after = slide_along(slides, train, alpha, trees[i], k)
                if slides.watch.stopped_by:
                    if self.trees is None:
                        self.alpha, self.trees = alpha, after
                    return found
                trees[i] = after
                held_out += self._held_out(test, after) / len(parts)
                size += len(after[0]) / len(parts)
            self.points.append((alpha, held_out, size))
            if held_out < self.best or self.trees is None:
                self.best, self.alpha, self.trees, found = held_out, alpha, trees[0], k
                self.of_folds = [of for of in trees if of is not None]
            since = 0 if held_out < mark - LEAST_GAIN * self.at_constant else since + 1
            mark = min(mark, held_out)
            slides.watch.report(self._record(k, size))
            if since >= patience or slides.watch.stopped_by:
                break
        return found

    def _record(self, k: int, size: float) -> Record:
        alpha, held_out, _ = self.points[-1]
        return Record(
            n_iter=len(self.points),
            objective=math.nan,
            dual_objective=math.nan,
            gap=math.nan,
            n_active=round(size),
            seconds=self.slides.watch.seconds_so_far,
            round=k + 1,
            searching=True,
            phase="path",
            alpha=alpha,
            held_out_loss=held_out,
        )


def slide_along(
    slides: Slides,
    problem: Problem,
    alpha: float,
    before: Trees | None,
    k: int,
) -> Trees:
    """The trees at alpha, the k-th value of a path, from those at the value before and random ones."""
    if isinstance(problem.X, SparseRows):
        return sparse_slide(slides, problem, alpha, before, k)
    most = min(MOST_TREES, problem.y.size)  # a network needs no more sub-networks than targets
    wanted = RANDOM_TREES if before is None else FURTHER_TREES
    random = min(wanted, max(0, most - (0 if before is None else len(before[0]))))
    return slides.descend(problem, alpha, before, evaluations=EVALUATIONS, random_trees=random, stream=k)


def sparse_slide(
    slides: Slides, problem: Problem, alpha: float, before: Trees | None, k: int, last: bool = False
) -> Trees:
    """As `slide_along`, over sparse rows; the `last` one is longer, slower, and adds no random trees."""
    n, d = problem.X.shape
    weights = math.prod(slides.width) * d
    most = min(RANDOM_TREES, max(FEWEST_SPARSE_TREES, SPARSE_WEIGHTS // weights), problem.y.size)
    random = most if before is None or len(before[0]) == 0 else 0
    trees = slides.descend(problem, alpha, before, evaluations=1, random_trees=random, stream=k)
    if slides.watch.stopped_by or len(trees[0]) == 0:
        return trees
    if not last:
        trees = with_random_trees(trees, slides, most, np.zeros(0, bool), k, problem.monotone)
    passes = _sparse_passes(n)
    return stochastic_slide(
        slides,
        ShuffledRows(problem, slides),
        problem.core_loss,
        alpha,
        trees,
        at_constant=loss_at_constant(problem),
        rate=SPARSE_RATE / 2 if last else SPARSE_RATE,
        passes=2 * passes if last else passes,
        stream=k,
        monotone=problem.monotone,
        batch=SPARSE_BATCH,
    )


def with_random_trees(
    trees: Trees,
    slides: Slides,
    most: int,
    empty: NDArray[np.bool_],
    stream: int = 0,
    monotone: NDArray[np.int8] | None = None,
) -> Trees:
    """The trees, and small random ones up to so many: more rows tell more of them apart.

    None has a weight of `empty` columns, which are the first ones, and all follow the directions `monotone`.
    """
    leaves, signs, directions, linear, intercept = trees
    more = most - len(leaves)
    if more <= 0 or len(leaves) == 0:
        return trees
    rng = np.random.default_rng(slides.seed + stream)
    paths = math.prod(slides.width)
    weights = rng.standard_normal((more, paths, leaves.shape[1] // paths))
    weights[:, :, : len(empty)][:, :, empty] = 0
    fresh = weights.reshape(more, -1)
    fresh *= SMALL * np.median(norms_of(leaves)) / norms_of(fresh)[:, np.newaxis]
    C = directions.shape[1]
    own = rng.standard_normal((more, C))
    if not slides.shared:  # each feeds one output
        own *= np.eye(C)[rng.integers(C, size=more)]
    edges = 1 - 2 * rng.integers(2, size=(more, signs.shape[1]))
    if monotone is not None:
        side = np.sign(own.sum(axis=1))[:, np.newaxis] * path_signs(edges, slides.width)
        wanted = side[:, :, np.newaxis] * monotone
        weights[:] = np.where(wanted == 0, weights, wanted * np.abs(weights))
    return (
        np.concatenate([leaves, fresh]),
        np.concatenate([signs, edges.astype(np.int8)]),
        np.concatenate([directions, own / norms_of(own)[:, np.newaxis]]),
        np.concatenate([linear, np.zeros(more, np.uint8)]),
        intercept,
    )


def last_slide(
    slides: Slides,
    problem: Problem,
    alpha: float,
    trees: Trees | None,
    rate: float | None,
    at_constant: float,
) -> Trees:
    """The trees of all rows, from those that a path has come to; stochastic at the rate of it, if any."""
    if isinstance(problem.X, SparseRows):
        return sparse_slide(slides, problem, alpha, trees, LAST_STREAM, last=True)
    if rate is None or trees is None:
        return slides.descend(problem, alpha, trees, evaluations=LAST_EVALUATIONS)
    rows = ShuffledRows(problem, slides)
    return slide_over(slides, rows, problem, alpha, trees, at_constant, rate, LAST_STREAM)


def slide_over(
    slides: Slides,
    rows: Rows,
    problem: Problem,
    alpha: float,
    trees: Trees,
    at_constant: float,
    rate: float,
    k: int,
) -> Trees:
    """The trees after the k-th stochastic slide over many rows, those of the problem."""
    passes = passes_over(rows.n_rows)
    return stochastic_slide(
        slides, rows, problem.core_loss, alpha, trees, at_constant=at_constant, rate=rate, passes=passes,
        stream=k, monotone=problem.monotone,
    )  # fmt: skip


def part_of(problem: Problem, rows: NDArray[np.bool_]) -> Problem:
    """The program of some of the rows."""
    w = problem.w[rows]
    return replace(
        problem,
        X=rows_at(problem.X, rows),
        y=np.ascontiguousarray(problem.y[rows]),
        w=check.unit_mean(w),
    )


def held_out_folds(
    X: check.Rows | SparseRows, codes: NDArray[np.intp] | None, seed: int, columns: int | None = None
) -> NDArray[np.intp] | None:
    """The fold of each row, or -1, with equal rows together and classes (`codes`) spread evenly.

    None for too few rows that differ.
    A class of one row is in no fold. Few rows are held out in turns, so that each is once; of many, one part
    is enough, and of some where the `columns` of training are many, two.
    """
    if isinstance(X, SparseRows):
        key: NDArray[Any] = sparse_keys(X.matrix)
    else:
        key = np.ascontiguousarray(X).view(np.dtype((np.void, X.shape[1] * X.itemsize)))[:, 0]
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    if len(first) < LEAST_ROWS:
        return None
    order = np.random.default_rng(seed).permutation(len(first))
    if codes is not None:
        order = order[np.argsort(codes[first][order], kind="stable")]
    fold = np.empty(len(first), np.intp)
    fold[order] = np.arange(len(first)) % FOLDS
    if codes is not None:
        counts = np.bincount(codes[first])
        fold[counts[codes[first]] == 1] = -1
    wide = len(first) * (X.shape[1] if columns is None else columns) > WIDE_ENTRIES
    some = 2 if wide else 3
    used = FOLDS if len(first) <= FEW_ROWS else some if len(first) <= MORE_ROWS else 1
    fold[fold >= used] = -1
    return fold[group] if (fold >= 0).any() else None
