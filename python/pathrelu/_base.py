"""What the estimators share: from checked parameters and data to a network."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from pathrelu import _core
from pathrelu import _validation as check
from pathrelu._measures import training_scores, variance_shares
from pathrelu._scaling import Scaling
from pathrelu._sklearn import Tags
from pathrelu._watch import Callback, Record, Watch
from pathrelu.alpha import (
    LAST_EVALUATIONS,
    STEP_PRODUCTS,
    Candidate,
    Choice,
    Start,
    choose_by_held_out,
    geometric_means,
    held_out_folds,
    last_slide,
    mean_objective,
    multiplied,
    passes_over,
    plan_by_held_out,
    problem_work,
    rescaling,
    slide_along,
    slide_work,
    solve_at_automatic_alpha,
)
from pathrelu.arrangements import Arrangements, sample_arrangements
from pathrelu.encoding import RawTable, TableEncoder
from pathrelu.encoding._raw import NAMES, NUMBER, TEXT, TIME
from pathrelu.encoding._validation import read_table
from pathrelu.files.portable import Portable
from pathrelu.inspection import feature_importance
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork
from pathrelu.network._assembly import mean_network
from pathrelu.program._problem import Problem
from pathrelu.program._projection import Projection
from pathrelu.program._search import pruned, run_search, trees_of
from pathrelu.program._slide import Slides, Trees
from pathrelu.program._solution import Solution
from pathrelu.program._solve import largest_alpha, run, solver_options, warn_of_float32, warn_of_gap
from pathrelu.progress import followed
from pathrelu.training import Data, TrainingProblem, canonical, canonical_sparse

logger = logging.getLogger("pathrelu")

SOURCES = ("search", "sample")
MANY_ROWS = 50_000  # above which alpha, encoding and scales are those of a sample
# Sparse rows of more entries, zeros among them, are trained on by their nonzeros, if no more than a share of
# the entries are: others are faster as dense rows, of at most 8 MB.
DENSE_ENTRIES, MOST_NONZERO = 1_000_000, 0.1
MOST_SPARSE_COLUMNS = 1_000_000  # for which the weights of 32 trees take 256 MB
ENCODINGS = ("auto", "linear", "ramps")
# Default tolerances: where held-out rows choose alpha, one that predictions do not notice.
TOL, HELD_OUT_TOL = 1e-4, 1e-2
# Solver steps after held-out rows have chosen alpha, if no tolerance is asked for: at most so many, and of so
# many multiplications in all, or none. They improve the gap, which predictions do not notice.
LAST_STEPS, LEAST_STEPS, LAST_WORK = 60, 10, 1e9


@dataclass(frozen=True)
class Settings:
    """Checked parameters of an estimator."""

    width: list[int]
    alpha: float | None  # None: automatic
    activation: str
    sampled: bool
    n_arrangements: int
    bias: bool
    standardize: bool
    adapt_columns: bool
    skip_connection: bool
    shared: bool
    prune: bool
    low_rank: int | None
    n_networks: int
    warm_start: bool
    verbose: int
    options: _core.SolveOptions
    random_state: check.RandomState
    watch: Watch

    @property
    def searches(self) -> bool:
        """Whether ReLU networks are searched for, which may slide."""
        return self.activation == "relu" and not self.sampled

    @property
    def needs_program(self) -> bool:
        """Whether something is asked for that slides alone do not give."""
        return bool(self.low_rank or self.prune or self.warm_start or self.n_networks > 1)

    @property
    def chooses_by_held_out(self) -> bool:
        """Whether held-out rows choose alpha; other networks have a rule without."""
        return self.alpha is None and self.searches

    def of_each_network(self) -> Iterator[Settings]:
        """Settings of each network; the seed of the first is `random_state`, and only it starts warm."""
        first = check.seed(self.random_state)
        yield self
        for seed in np.random.default_rng(first).integers(2**31, size=self.n_networks - 1).tolist():
            yield replace(self, random_state=seed, warm_start=False)

    def slides(self) -> Slides:
        seed = check.seed(self.random_state)
        return Slides(self.width, self.options, seed, self.skip_connection, self.shared, self.watch)


@dataclass
class Path:
    """Where fits along decreasing alpha that only slide have come to.

    With `before`, one fit follows all these values, columns rescaled after each list but the last, and ends
    as that of `alpha="auto"` does.
    """

    before: list[list[float]] | None = None
    length: int = 0
    trees: list[Trees] = field(default_factory=list)  # of each program; none before the first fit
    factors: NDArray[np.float64] | None = None  # of all columns that trees are over; None for ones

    def rescaled(self, n_free: int, n_constant: int) -> Path:
        """On from here, with the first columns multiplied by their parts in the trees."""
        before = np.ones(n_free + n_constant) if self.factors is None else self.factors
        factors = rescaling(self.trees, before, n_free)
        if factors is None:
            return self
        trees = [multiplied(of, before / factors) for of in self.trees]
        return replace(self, trees=trees, factors=factors)


class BasePathReLU(Portable, BaseEstimator):  # type: ignore[misc]
    """What both estimators share."""

    depth: int
    width: int | Sequence[int]
    alpha: float | str
    activation: str
    arrangements: str
    n_arrangements: int
    bias: bool
    fit_intercept: bool
    standardize: bool
    encode: str | TableEncoder | None
    adapt_columns: str | bool
    skip_connection: bool
    outputs: str
    prune: bool
    low_rank: int | None
    monotonic_cst: Any
    n_networks: int = 1
    tol: float | None
    max_iter: int
    n_threads: int | None
    warm_start: bool
    random_state: check.RandomState
    verbose: int
    callback: Callback | None
    on_interrupt: str
    max_seconds: float | None

    network_: ParallelReLUNetwork | GatedReLUNetwork
    alpha_: float | NDArray[np.float64]
    intercept_: float | NDArray[np.float64]
    objective_: float
    dual_gap_: float
    n_iter_: int
    n_subnetworks_: int
    history_: list[Record]
    training_scores_: dict[str, float]
    variance_shares_: NDArray[np.float64]
    guarantee_: float | None
    monotonic_cst_: NDArray[np.int8] | None
    column_factors_: NDArray[np.float64] | None
    path_: dict[str, NDArray[Any]] | None
    _previous: tuple[list[Solution], NDArray[np.float64] | None] | None = None  # and factors of their columns
    _rate: float | None = None  # of stochastic slides, which held-out rows have chosen
    _path: Path | None = None  # of slides, which cross-validation follows

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        encoded = self.encode is not None
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = encoded
        return tags

    def _settings(self) -> Settings:
        given: object = self.arrangements
        if isinstance(given, Arrangements):
            raise TypeError(
                "arrangements is an Arrangements; expected 'search' or 'sample', because fit scales, merges "
                "and reorders rows. Use pathrelu.solve for arrangements of your own"
            )
        outputs = check.choice(self.outputs, "outputs", check.OUTPUTS)
        sampled = check.choice(self.arrangements, "arrangements", SOURCES) == "sample"
        if sampled and outputs == "shared":
            raise ValueError("outputs is 'shared' with arrangements 'sample'; expected 'auto' or 'separate'")
        if check.directions(self.monotonic_cst) is not None and self.low_rank is not None:
            raise ValueError(
                "monotonic_cst was given with low_rank, whose axes mix columns; expected None for one of them"
            )
        alpha = check.automatic_penalty(self.alpha)
        activation = check.choice(self.activation, "activation", check.ACTIVATIONS)
        tol = TOL if self.tol is None else self.tol
        return Settings(
            width=check.tree_width(self.depth, self.width),
            alpha=alpha,
            activation=activation,
            sampled=sampled,
            n_arrangements=check.count(self.n_arrangements, "n_arrangements"),
            bias=check.switch(self.bias, "bias"),
            standardize=check.switch(self.standardize, "standardize"),
            adapt_columns=check.automatic_or_not(self.adapt_columns, "adapt_columns"),
            skip_connection=check.switch(self.skip_connection, "skip_connection"),
            shared=outputs != "separate" and not sampled,
            prune=check.switch(self.prune, "prune"),
            low_rank=None if self.low_rank is None else check.count(self.low_rank, "low_rank"),
            n_networks=check.count(self.n_networks, "n_networks"),
            warm_start=check.switch(self.warm_start, "warm_start"),
            verbose=check.count(self.verbose, "verbose", 0),
            options=solver_options(tol, self.max_iter, self.fit_intercept, self.n_threads),
            random_state=check.seed(self.random_state),
            watch=Watch(self.callback, self.on_interrupt, self.max_seconds),
        )

    def _problem(self, settings: Settings, data: Data) -> TrainingProblem:
        scaling = Scaling.fit(data.X, data.w, standardize=settings.standardize, bias=settings.bias)
        return TrainingProblem(data, scaling, settings.activation, shared=settings.shared)

    def _train(self, X: Any, y: Any, sample_weight: ArrayLike | None) -> Self:
        """Train on data in the one of its encodings that held-out rows choose."""
        settings = self._settings()
        # Projected rows have axes of their own.
        to_choose = settings.chooses_by_held_out and settings.low_rank is None
        encodings = self._data(X, y, sample_weight, to_choose)
        data = encodings[0]
        following = followed(settings.watch, settings.verbose, settings.options.threads)
        with following, settings.watch:
            trainings = [self._problem(settings, table) for table in encodings]
            problems = [training.programs() for training in trainings]
            settings.watch.stage.by_gap = settings.alpha is not None and len(problems[0]) == 1
            warn_of_float32(problems[0][0], settings.options.tol, stacklevel=5)
            projection = None
            if settings.low_rank is not None:
                projection = Projection(problems[0][0].X, problems[0][0].w, settings.low_rank)
                problems = [[projection.project(problem) for problem in problems[0]]]
            self.path_, self.column_factors_ = None, None
            place, choice = 0, None
            widest = max(table.X.shape[1] for table in encodings)
            fold = self._held_out(settings, data, widest) if settings.chooses_by_held_out else None
            if fold is not None:
                candidates = [
                    Candidate(
                        "none" if table.encoder is None else table.encoder.numeric_,
                        programs,
                        table.X.shape[1] if settings.adapt_columns and projection is None else 0,
                        self._start(settings, programs),
                    )
                    for table, programs in zip(encodings, problems, strict=True)
                ]
                slides = settings.slides()
                plan_by_held_out(candidates, fold, slides, settings.n_networks)
                choice = choose_by_held_out(candidates, fold, slides, slides.seed)
                place = choice.place
            training, chosen, data = trainings[place], problems[place], encodings[place]
            if choice is not None and choice.factors is not None:
                self.column_factors_ = choice.factors
                training = training.times(choice.factors)
                chosen = training.programs()
            if choice is not None:
                networks = self._solve_chosen(settings, data, candidates[place].encoding, chosen, choice)
            elif self._path is not None:
                training, chosen, solutions = self._slide_along(settings, training, self._path)
                networks = [solutions]
            else:
                networks = self._solve_several(settings, chosen)
        if settings.prune:
            networks = [
                [
                    pruned(problem, solution, settings.options.threads, settings.watch)
                    for problem, solution in zip(chosen, of_one, strict=True)
                ]
                for of_one in networks
            ]
        if projection is not None:
            networks = [
                [
                    projection.lift(solution, problem, settings.options.threads)
                    for solution, problem in zip(of_one, chosen, strict=True)
                ]
                for of_one in networks
            ]
            chosen = training.programs()
        names = getattr(self, "feature_names_in_", None)
        self.network_ = mean_network([training.network(of_one, names) for of_one in networks])
        alphas = [solution.alpha for solution in networks[0]]
        self.alpha_ = alphas[0] if len(alphas) == 1 else np.array(alphas)
        solutions = [solution for of_one in networks for solution in of_one]
        alone = len(solutions) == 1 and data.present is None
        self.intercept_ = solutions[0].intercept if alone else self.network_.intercept
        if len(networks) == 1:
            self.objective_ = sum(solution.objective for solution in solutions)
            self.dual_gap_ = sum(solution.gap for solution in solutions)
        else:
            self.objective_ = sum(
                mean_objective(problem, found, settings.options.threads)
                for problem, found in zip(chosen, zip(*networks, strict=True), strict=True)
            )
            self.dual_gap_ = math.inf  # bounds are over the arrangements of one network
        self.n_iter_ = sum(max(1, solution.n_iter) for solution in solutions)
        self.n_subnetworks_ = self.network_.n_subnetworks
        if self._path is None or self._path.before is not None:  # nobody looks at those of folds
            self.training_scores_ = training_scores(self.network_, data, settings.options.threads)
            self.variance_shares_ = variance_shares(self.network_, data, settings.options.threads)
        self.history_ = [record for solution in solutions for record in solution.history]
        self.guarantee_ = max(
            (solution.low_rank.guarantee for solution in solutions if solution.low_rank is not None),
            default=None,
        )
        tol = HELD_OUT_TOL if self.tol is None and fold is not None else settings.options.tol
        by_solver = fold is None and self._path is None
        if self.tol is not None or by_solver or settings.watch.stopped_by:
            warn_of_gap(solutions, tol, settings.watch, stacklevel=5)
        return self

    def _many(self, X: Any) -> bool:
        """Whether rows are so many that most of the work is done on some, and the rest in blocks."""
        shape = getattr(X, "shape", None)
        n_rows = shape[0] if shape else len(X) if isinstance(X, list | tuple) else 0
        if n_rows <= MANY_ROWS:
            return False
        settings = self._settings()
        by_slides = settings.chooses_by_held_out and settings.shared and self.tol is None
        return by_slides and not settings.needs_program and self._path is None

    def _by_nonzeros(self, X: Any) -> bool:
        """Whether sparse rows are so large that they stay sparse."""
        if not issparse(X) or X.shape[0] * X.shape[1] <= DENSE_ENTRIES:
            return False
        settings = self._settings()
        as_they_are = self.encode is None or getattr(self.encode, "numeric", self.encode) != "ramps"
        by_slides = settings.searches and self.tol is None and as_they_are and self._path is None
        few = X.nnz <= MOST_NONZERO * X.shape[0] * X.shape[1] and X.shape[1] <= MOST_SPARSE_COLUMNS
        return by_slides and few and not settings.needs_program

    def _checked(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[RawTable, NDArray[Any], NDArray[np.float64]]:
        """Raw rows, targets or labels, and weights."""
        raise NotImplementedError

    def _largest_alpha(self, settings: Settings, data: Data) -> float:
        """Smallest alpha at which constant outputs are optimal over `n_arrangements` random arrangements."""
        problems = self._problem(settings, data).programs()
        arrangements, _ = self._sample(settings, problems)
        options = settings.options
        return max(
            largest_alpha(problem, arrangements, options.fit_intercept, options.threads)
            for problem in problems
        )

    def _read(self, X: Any, *y: Any, **options: Any) -> Any:
        """Columns of checked rows, and targets if there are `y`; `options` are those of `validate_data`."""
        encoder = self._encoder()
        if encoder is not None:
            return read_table(self, encoder, X, *y, **options)
        if isinstance(X, RawTable):
            return (X, y[0]) if y else X
        checked = check.table(self, X, *y, **options)
        names = check.column_names(X)
        return (RawTable.of_block(checked[0], names), checked[1]) if y else RawTable.of_block(checked, names)

    def _encoder(self) -> TableEncoder | None:
        """The encoder, not fitted."""
        given: object = self.encode
        if given is None:
            return None
        if isinstance(given, TableEncoder):
            encoder: TableEncoder = clone(given)
            return encoder
        if not isinstance(given, str) or given not in ENCODINGS:
            kind = ValueError if isinstance(given, str) else TypeError
            wanted = ", ".join(map(repr, ENCODINGS))
            raise kind(f"encode is {given!r:.80}; expected {wanted}, a TableEncoder or None")
        return TableEncoder(numeric="linear" if given == "auto" else given)

    def _tables(
        self, raw: RawTable, y: NDArray[np.float64], weight: NDArray[np.float64], to_choose: bool
    ) -> tuple[list[tuple[TableEncoder | None, check.Rows]], NDArray[np.float64], NDArray[np.float64]]:
        """What encoders, fitted on these rows, make of them in the form of `canonical`; targets and weights.

        Several, of the same rows, if there is something `to_choose` from.
        """
        encoder = self._encoder()
        if raw.nonzeros is not None:
            rows = raw.nonzeros if encoder is None else encoder.fit_raw(raw, y, weight).encode(raw)
            places, y, weight = canonical_sparse(rows, y, weight)
            return [(encoder, rows[places])], y, weight
        if encoder is None:
            assert raw.block is not None
            places, y, weight = canonical(raw.block, y, weight)
            return [(None, raw.block[places] + 0.0)], y, weight
        table = encoder.fit_raw(raw, y, weight).encode(raw)
        places, y, weight = canonical(table, y, weight)
        tables: list[tuple[TableEncoder | None, check.Rows]] = [(encoder, table[places] + 0.0)]
        if to_choose and self.encode == "auto":
            rows = raw.take(places)
            ramps = TableEncoder(numeric="ramps").fit_raw(rows, y, weight)
            if len(ramps.origin_) > len(encoder.origin_):
                tables.append((ramps, ramps.encode(rows) + 0.0))
        return tables, y, weight

    def _data(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, to_choose: bool = False
    ) -> list[Data]:
        """The checked data in the form of `canonical`, in one encoding or in all that there are to choose."""
        raise NotImplementedError

    def _directions(self, raw: RawTable, n_outputs: int) -> NDArray[np.int8] | None:
        """Directions of the columns of X, kept as `monotonic_cst_`; None if all are free."""
        found = check.monotonic(self.monotonic_cst, raw.shape[1], getattr(self, "feature_names_in_", None))
        self.monotonic_cst_ = found
        if found is None:
            return None
        for place in np.flatnonzero(found).tolist():
            kind = NUMBER if raw.nonzeros is not None else raw.columns[place].kind
            if kind in (TEXT, TIME):
                name = place if raw.names is None else repr(raw.names[place])
                raise ValueError(
                    f"monotonic_cst has {found[place]} for column {name} of X, which holds {NAMES[kind]}; "
                    "expected 0 there"
                )
        if n_outputs > 1 and self.outputs != "separate" and self.arrangements != "sample":
            raise ValueError(
                f"monotonic_cst was given for {n_outputs} targets that sub-networks share; expected "
                "outputs='separate'"
            )
        return found

    def _held_out(self, settings: Settings, data: Data, columns: int) -> NDArray[np.intp] | None:
        """Which rows each fold holds out; None for too few rows. `columns` tell the work."""
        classes = None if data.labels is None else np.unique(data.y, axis=0, return_inverse=True)[1].ravel()
        return held_out_folds(data.X, classes, check.seed(settings.random_state), columns)

    def _solve_chosen(
        self, settings: Settings, data: Data, encoding: str, problems: list[Problem], choice: Choice
    ) -> list[list[Solution]]:
        """Solutions, on all rows, of the programs that held-out rows have chosen, for each network.

        Further networks have folds and trees of their own, and the same alpha: the geometric mean of what
        all have chosen.
        """
        choices = [(settings, choice)]
        for one in itertools.islice(settings.of_each_network(), 1, None):
            if settings.watch.stopped_by:
                break
            settings.watch.stage.begin(f"network {len(choices) + 1}")
            fold = self._held_out(one, data, data.X.shape[1])
            assert fold is not None  # there were rows enough for the first
            slides = one.slides()
            given = [Candidate(encoding, problems)]
            choices.append((one, choose_by_held_out(given, fold, slides, slides.seed)))
        paths = [of_one.path for _, of_one in choices]
        self.path_ = {name: np.concatenate([path[name] for path in paths]) for name in choice.path}
        self.path_["network"] = np.repeat(np.arange(len(paths)), [len(path["alpha"]) for path in paths])
        alphas = geometric_means([of_one.alphas for _, of_one in choices])
        networks: list[list[Solution]] = []
        for one, of_one in choices:
            if networks and settings.watch.stopped_by:
                break
            networks.append(self._solve_one_chosen(one, problems, of_one, alphas))
        self._keep(settings, networks[0])
        return networks

    def _solve_one_chosen(
        self, settings: Settings, problems: list[Problem], choice: Choice, alphas: list[float]
    ) -> list[Solution]:
        slides, solutions = settings.slides(), []
        stage = settings.watch.stage
        for problem, alpha, trees, rate, at_constant in zip(
            problems, alphas, choice.trees, choice.rates, choice.at_constant, strict=True
        ):
            self._rate = rate
            evaluations = LAST_EVALUATIONS if rate is None else passes_over(len(problem.X))
            work = slide_work(problem.X.shape, slides, evaluations)
            stage.step(f"alpha {alpha:.3g}, last slide", work)
            last = last_slide(slides, problem, alpha, trees, rate, at_constant)
            found = self._solve_over(settings, problem, alpha, last, LAST_STEPS)
            solutions.append(_logged(settings, found))
        return solutions

    def _keep(self, settings: Settings, solutions: list[Solution]) -> None:
        """For a fit with `warm_start` that follows."""
        self._previous = (solutions, self.column_factors_) if settings.warm_start else None

    def _start(self, settings: Settings, problems: list[Problem]) -> Start | None:
        """Alphas and trees of the previous fit, if `warm_start` can start from them."""
        previous = self._alike(settings, problems)
        trees = [trees_of(solution) for solution in previous or []]
        if previous is None or any(of is None for of in trees):
            return None
        assert self._previous is not None
        factors, given = np.ones(problems[0].X.shape[1]), self._previous[1]
        if given is not None:
            factors[: len(given)] = given
        return Start(
            [solution.alpha for solution in previous], [of for of in trees if of is not None], factors
        )

    def _slide_along(
        self, settings: Settings, training: TrainingProblem, path: Path
    ) -> tuple[TrainingProblem, list[Problem], list[Solution]]:
        """The problem, its programs and solutions of slides at the given alpha, from the path before it."""
        scaled, problems, path = self._follow(settings, training, path)
        assert settings.alpha is not None
        slides = settings.slides()
        solutions = []
        for problem, trees in zip(problems, path.trees, strict=True):
            if path.before is not None:
                work = slide_work(problem.X.shape, slides, LAST_EVALUATIONS)
                slides.watch.stage.step("last slide", work)
                trees = slides.descend(problem, settings.alpha, trees, evaluations=LAST_EVALUATIONS)
            steps = 0 if path.before is None else LAST_STEPS
            solutions.append(self._solve_over(settings, problem, settings.alpha, trees, steps))
        return scaled, problems, solutions

    def _follow(self, settings: Settings, training: Any, path: Path) -> tuple[Any, list[Problem], Path]:
        """Slides along the path, down to the given alpha: the problem there, its programs, and the path."""
        assert settings.alpha is not None
        slides = settings.slides()
        n_free = training.data.X.shape[1]
        stages = path.before or [[]]
        left = sum(map(len, stages)) + 1  # values of alpha
        for stage in stages:
            if stage is not stages[0]:
                path = path.rescaled(n_free, training.X.shape[1] - n_free)
            scaled = training if path.factors is None else training.times(path.factors[:n_free])
            problems = scaled.programs()
            for alpha in [*stage, settings.alpha] if stage is stages[-1] else stage:
                starts: Sequence[Trees | None] = path.trees or [None] * len(problems)
                left -= 1
                work = sum(problem_work(problem, slides) for problem in problems)
                slides.watch.stage.step(f"alpha {alpha:.3g}", work, left * work)
                path.trees = [
                    slide_along(slides, problem, alpha, start, path.length)
                    for problem, start in zip(problems, starts, strict=True)
                ]
                path.length += 1
        self.column_factors_ = None if path.factors is None else path.factors[:n_free]
        return scaled, problems, path

    def _solve_over(
        self, settings: Settings, problem: Problem, alpha: float, trees: Trees, most_steps: int
    ) -> Solution:
        """Of the program over trees: within `tol` if it was asked for, else with so many steps or less."""
        given = settings.options
        if self.tol is None:
            steps = min(given.max_iter, most_steps, int(LAST_WORK / max(1, len(problem.X) * trees[0].size)))
            if steps >= LEAST_STEPS:
                work = STEP_PRODUCTS * float(steps * len(problem.X) * trees[0].size)
                settings.watch.stage.step(f"convex program, at most {steps} steps", work)
            given = _core.SolveOptions(
                tol=HELD_OUT_TOL,
                max_iter=steps if steps >= LEAST_STEPS else 0,
                fit_intercept=given.fit_intercept,
                threads=given.threads,
            )
        options = _core.SearchOptions(
            max_rounds=0, skip_connection=settings.skip_connection, shared=settings.shared
        )
        return run_search(problem, alpha, settings.width, given, options, settings.watch, trees)

    def _solve_several(self, settings: Settings, problems: list[Problem]) -> list[list[Solution]]:
        """Solutions of the programs, for each network: an automatic alpha is that of the first."""
        networks: list[list[Solution]] = []
        for one in settings.of_each_network():
            if networks and settings.watch.stopped_by:
                break
            alphas = [solution.alpha for solution in networks[0]] if networks else None
            networks.append(self._solve(one, problems, alphas))
        self._keep(settings, networks[0])
        return networks

    def _solve(
        self, settings: Settings, problems: list[Problem], alphas: list[float] | None = None
    ) -> list[Solution]:
        watch = settings.watch
        given: Sequence[float | None] = alphas or [settings.alpha] * len(problems)
        several = len(problems) > 1
        titles = [f"output {k + 1} of {len(problems)}, " if several else "" for k in range(len(problems))]
        if not settings.sampled:
            options = _core.SearchOptions(
                seed=check.seed(settings.random_state),
                skip_connection=settings.skip_connection,
                shared=settings.shared,
            )

            def search(problem: Problem, alpha: float, start: Solution | Trees | None) -> Solution:
                return run_search(problem, alpha, settings.width, settings.options, options, watch, start)

            rough_options = _core.SearchOptions(
                max_rounds=1,
                rough=True,
                seed=options.seed,
                skip_connection=options.skip_connection,
                shared=options.shared,
            )

            def rough(problem: Problem, alpha: float, start: Solution | Trees | None) -> Solution:
                return run_search(
                    problem, alpha, settings.width, settings.options, rough_options, watch, start
                )

            start = self._start(settings, problems)
            starts: Sequence[Trees | None] = [None] * len(problems)
            if start is not None:
                starts = [multiplied(trees, start.factors) for trees in start.trees]
            return [
                _fit(settings, problem, alpha, rough, search, start, f"{title}search")
                for problem, alpha, start, title in zip(problems, given, starts, titles, strict=True)
            ]

        arrangements, init = self._sample(settings, problems)

        def solve(problem: Problem, alpha: float, start: Solution | check.Rows | None) -> Solution:
            return run(problem, arrangements, alpha, settings.options, start, watch)

        return [
            _fit(settings, problem, alpha, solve, solve, start, f"{title}{len(arrangements)} arrangements")
            for problem, alpha, start, title in zip(problems, given, init, titles, strict=True)
        ]

    def _alike(self, settings: Settings, problems: list[Problem]) -> list[Solution] | None:
        """Solutions of the previous fit, if `warm_start` can start from them."""
        if self._previous is None or not settings.warm_start or settings.low_rank is not None:
            return None  # principal scores have axes of their own
        previous, _ = self._previous
        old = previous[0].arrangements
        alike = (
            [np.size(solution.intercept) for solution in previous]
            == [problem.y.shape[1] for problem in problems]
            and (previous[0].directions is not None) == (settings.shared and not problems[0].single)
            and (previous[0].n_rounds is None) == settings.sampled
            and previous[0].activation == settings.activation
            and old.width == tuple(settings.width)
            and old.skip_connection == settings.skip_connection
            and previous[0].blocks.shape[-1] == problems[0].X.shape[1]
            and np.array_equal(previous[0].monotonic_cst, problems[0].monotone)  # type: ignore[arg-type]
        )
        return previous if alike else None

    def _sample(
        self, settings: Settings, problems: list[Problem]
    ) -> tuple[Arrangements, Sequence[Solution | check.Rows | None]]:
        """Arrangements, and where to start: with `warm_start`, the trees and blocks of the previous fit.

        A linear group is the last one; its `source_index` is -1.
        """
        table, threads = problems[0].X, settings.options.threads
        previous = self._alike(settings, problems)
        if previous is not None:
            old = previous[0].arrangements
            trees = ~old.linear
            assert old.gates is not None
            if 0 < trees.sum() <= settings.n_arrangements:
                new = Arrangements.from_trees(
                    table, old.gates[trees], old.signs[trees], width=old.width, n_threads=threads
                )
                if settings.skip_connection:
                    new = new.with_skip_connection()
                return new, [solution.blocks[..., new.source_index, :, :, :] for solution in previous]
        depth = len(settings.width) + 2
        monotone = problems[0].monotone if settings.activation == "gated" else None
        problems[0].require_gates()
        if monotone is not None:  # its gates read no such column
            table = np.where(monotone == 0, table, np.zeros((), table.dtype))
        drawn = sample_arrangements(
            table, settings.n_arrangements, depth, settings.width, settings.random_state, threads
        )
        if monotone is not None:
            assert drawn.gates is not None
            drawn = Arrangements(drawn.core, np.where(monotone == 0, drawn.gates, 0.0), drawn.source_index)
        if settings.skip_connection:
            drawn = drawn.with_skip_connection()
        return drawn, [None] * len(problems)

    def _outputs(self, X: ArrayLike) -> check.Rows:
        check_is_fitted(self)
        threads = check.threads(self.n_threads)
        if issparse(X):
            rows = check.table(self, X, gaps=self.encode is not None, sparse=True, reset=False)
            return self.network_.predict(rows, n_threads=threads)
        return self.network_.predict(self._read(X, reset=False), n_threads=threads)

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """Share of each column of X in the path norm over paths that begin there; see `feature_importance`.

        They sum to one, or are all zero for a network without sub-networks.
        """
        check_is_fitted(self)
        norms = feature_importance(self)
        total = float(norms.sum())
        return norms / total if total > 0 else norms


def _fit(
    settings: Settings,
    problem: Problem,
    alpha: float | None,
    rough: Callable[[Problem, float, Any], Solution],
    solve: Callable[[Problem, float, Any], Solution],
    start: Solution | Trees | check.Rows | None = None,
    title: str = "",
) -> Solution:
    """Solve at the given alpha, or at the automatic one, which rough fits find."""
    stage = settings.watch.stage

    def logged(alpha: float, start: Any) -> Solution:
        stage.step(f"{title} at alpha {alpha:.3g}")
        return _logged(settings, solve(problem, alpha, start))

    def logged_rough(alpha: float, start: Any) -> Solution:
        stage.step(f"{title}, rough, for alpha")
        return _logged(settings, rough(problem, alpha, start))

    if alpha is not None:
        return logged(alpha, start)
    return solve_at_automatic_alpha(
        problem,
        logged_rough,
        logged,
        start,
        lambda: bool(settings.watch.stopped_by),
        settings.options.threads,
    )


def _logged(settings: Settings, solution: Solution) -> Solution:
    if settings.verbose > 0:
        logger.info(
            "objective %.6g, gap %.2e (%s), %d sub-networks, %d arrangements, %d iterations",
            solution.objective,
            solution.gap,
            "converged" if solution.converged else "not converged",
            solution.n_active,
            len(solution.arrangements),
            solution.n_iter,
        )
    return solution
