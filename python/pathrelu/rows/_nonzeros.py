"""Training on sparse rows by their nonzeros: slides alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier

from pathrelu import _validation as check
from pathrelu import losses
from pathrelu._base import Path, Settings
from pathrelu._measures import scores_of
from pathrelu._scaling import Scaling
from pathrelu._sparse_rows import SparseRows
from pathrelu.alpha import Candidate, choose_by_held_out, held_out_folds, last_slide, plan_by_held_out
from pathrelu.encoding import RawTable
from pathrelu.network._predict import sparse_outputs
from pathrelu.program._problem import Problem
from pathrelu.program._slide import Trees
from pathrelu.progress import followed
from pathrelu.rows._blocks import BLOCK_ROWS, Result, ResultsOfBlocks
from pathrelu.rows._gap import Bounded, Objective, bounded
from pathrelu.rows._network import network_of
from pathrelu.rows._training import ABOVE, Moments, scaling_of
from pathrelu.training import Data, of_all_classes, plain_labels, programs_of


@dataclass(frozen=True)
class SparseTraining:
    """Sparse rows, targets and weights as slides take them; see `TrainingProblem`."""

    data: Data  # whose rows are sparse
    scaling: Scaling
    shared: bool

    @property
    def X(self) -> SparseRows:
        """Rows of training."""
        return self.scaling.sparse_rows(self.data.X)

    def programs(self) -> list[Problem]:
        """A joint program where sub-networks or the loss join outputs, else one for each column."""
        monotone = self.scaling.directions(self.data.monotone)
        weights = check.unit_mean(self.data.w)
        return programs_of(self.data, self.X, weights, "relu", monotone, shared=self.shared)


def sparse_moments(X: Any, w: check.Doubles, center: bool) -> Moments:
    """Weighted moments of the columns of sparse rows (CSR)."""
    n, d = X.shape
    total = float(w.sum())
    share = np.repeat(w / total, np.diff(X.indptr))
    column, values = X.indices, X.data.astype(np.float64)
    there = np.bincount(column, share, d)  # share of the rows with a nonzero
    mean = np.bincount(column, share * values, d).astype(np.float64) if center else np.zeros(d)
    everywhere = np.bincount(column, minlength=d) == n
    low, high = np.where(everywhere, np.inf, 0.0), np.where(everywhere, -np.inf, 0.0)
    np.minimum.at(low, column, values)
    np.maximum.at(high, column, values)
    mean = np.where((low == high) & center, low, mean)
    squares = np.bincount(column, share * (values - mean[column]) ** 2, d).astype(np.float64)
    spread: check.Doubles = total * (squares + np.where(everywhere, 0.0, 1 - there) * mean**2)
    noise = np.maximum(np.abs(low), np.abs(high)) < np.finfo(X.dtype).tiny
    return Moments(total, float((w**2).sum()), mean, spread, low, high, noise, X.dtype)


def train_on_nonzeros(estimator: Any, X: Any, y: Any, sample_weight: ArrayLike | None) -> None:
    """Fit an estimator to sparse rows."""
    settings: Settings = estimator._settings()
    kinds = {} if is_classifier(estimator) else {"y_numeric": True, "multi_output": True}
    rows, target = check.table(estimator, X, y, gaps=estimator.encode is not None, sparse=True, **kinds)
    (data,) = estimator._data(RawTable.of_nonzeros(rows), target, sample_weight)
    found = sparse_moments(data.X, data.w, settings.bias)
    scaling = scaling_of(found, standardize=settings.standardize, bias=settings.bias)
    shared = settings.shared and data.y.shape[1] > 1
    trainings = {"standardized": SparseTraining(data, scaling, shared)}
    if settings.standardize and settings.alpha is None:
        trainings["common scale"] = replace(trainings["standardized"], scaling=common_scale(found, scaling))
    estimator.path_ = estimator.column_factors_ = None
    with followed(settings.watch, settings.verbose, settings.options.threads), settings.watch:
        training, problems, alphas, trees = _slide(estimator, settings, trainings)
        bounds = [_bounded(settings, *of) for of in zip(problems, trees, alphas, strict=True)]
    trees = [of.trees for of in bounds]
    estimator.network_ = network_of(
        _all_outputs(data, trees),
        training.scaling,
        data.X.dtype,
        width=settings.width,
        skip_connection=settings.skip_connection,
        classes=None if data.labels is None else plain_labels(data.labels),
        feature_names=getattr(estimator, "feature_names_in_", None),
        encoder=data.encoder,
    )
    estimator.alpha_ = alphas[0] if len(alphas) == 1 else np.array(alphas)
    alone = estimator.network_.n_outputs == 1
    estimator.intercept_ = float(trees[0][4][0]) if alone else estimator.network_.intercept
    estimator.objective_ = sum(of.objective for of in bounds)
    least = -math.inf if losses.TABLE[data.loss].log_link else 0.0  # which no loss is below
    estimator.dual_gap_ = sum(of.objective - max(of.lower, least) for of in bounds)
    estimator.n_subnetworks_ = estimator.network_.n_subnetworks
    estimator.n_iter_ = 1 if estimator.path_ is None else len(estimator.path_["alpha"])
    estimator.history_, estimator.guarantee_ = [], None
    outputs = sparse_outputs(estimator.network_, data.X, settings.options.threads)
    estimator.training_scores_ = scores_of(outputs.astype(np.float64), data)


def common_scale(found: Moments, scaling: Scaling) -> Scaling:
    """All columns divided by the same number, so that the mean square of the norms of rows is 1.

    What is rare stays small, as in rows of word frequencies.
    """
    total = math.sqrt(math.fsum((found.spread / found.weight)[~scaling.empty]))
    return replace(scaling, scale=np.where(scaling.empty, 1.0, total or 1.0))


def _slide(
    estimator: Any, settings: Settings, trainings: dict[str, SparseTraining]
) -> tuple[SparseTraining, list[Problem], list[float], list[Trees]]:
    """What is trained on, its programs, and alpha and trees of each."""
    slides, training = settings.slides(), trainings["standardized"]
    data = training.data
    if settings.alpha is not None:
        path = Path(before=[[above * settings.alpha for above in ABOVE]])
        _, problems, path = estimator._follow(settings, training, path)
        alphas = [settings.alpha] * len(problems)
        trees = [
            last_slide(slides, problem, settings.alpha, of, None, 0.0)
            for problem, of in zip(problems, path.trees, strict=True)
        ]
        return training, problems, alphas, trees
    candidates = [Candidate(name, of.programs()) for name, of in trainings.items()]
    classes = None if data.labels is None else np.unique(data.y, axis=0, return_inverse=True)[1].ravel()
    fold = held_out_folds(candidates[0].problems[0].X, classes, slides.seed)
    if fold is None:
        raise ValueError(
            "X is sparse with fewer than 20 distinct rows, and alpha is 'auto'; expected a number"
        )
    plan_by_held_out(candidates, fold, slides)
    choice = choose_by_held_out(candidates, fold, slides, slides.seed)
    estimator.path_ = choice.path
    problems = list(candidates[choice.place].problems)
    trees = [
        last_slide(slides, *of)
        for of in zip(problems, choice.alphas, choice.trees, choice.rates, choice.at_constant, strict=True)
    ]
    return list(trainings.values())[choice.place], problems, choice.alphas, trees


class SparseBlocks(ResultsOfBlocks):
    """Rows of a problem in blocks, one after the other; see `RowBlocks`."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.n_rows = len(problem.X)
        self.n_blocks = -(-self.n_rows // BLOCK_ROWS)

    def _results(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Iterator[Result]:
        problem = self.problem
        for k in range(self.n_blocks):
            rows = slice(k * BLOCK_ROWS, (k + 1) * BLOCK_ROWS)
            yield function(problem.X[rows], problem.y[rows], problem.w[rows], *arguments)


def _bounded(settings: Settings, problem: Problem, trees: Trees, alpha: float) -> Bounded:
    slides = settings.slides()
    shared = slides.shared and trees[2].shape[1] > 1
    of = Objective(
        problem.core_loss, slides.width, alpha, slides.options.fit_intercept, shared, problem.monotone
    )
    rows: Any = SparseBlocks(problem)
    threads = slides.options.threads
    return bounded(of, rows, (trees, trees), threads, settings.watch.is_over, lambda *_: None)


def _all_outputs(data: Data, trees: Sequence[Trees]) -> Trees:
    """One set of trees for all outputs, those of classes without weight among them."""
    intercept = np.concatenate([of[4] for of in trees])
    outputs, intercept = of_all_classes(data, intercept)
    places = np.arange(len(intercept)) if outputs is None else outputs
    directions, first = [], 0
    for of in trees:
        own = np.zeros((len(of[0]), len(intercept)))
        own[:, places[first : first + of[2].shape[1]]] = of[2]
        first += of[2].shape[1]
        directions.append(own)
    leaves, signs, _, linear, _ = (np.concatenate(parts) for parts in zip(*trees, strict=True))
    return leaves, signs, np.concatenate(directions), linear, intercept
