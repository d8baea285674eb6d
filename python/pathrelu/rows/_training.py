"""Training on blocks of rows: coarse to fine, with all rows in the last slides alone."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning

from pathrelu import _validation as check
from pathrelu import losses
from pathrelu._base import Path, Settings
from pathrelu._moments import LAST_PLACES, rounding_noise
from pathrelu._scaling import Scaling
from pathrelu._watch import Record
from pathrelu.alpha import LAST_STREAM, MOST_TREES, RATES, loss_at_constant, slide_work, with_random_trees
from pathrelu.encoding import TableEncoder
from pathrelu.encoding._raw import RawTable
from pathrelu.network import ParallelReLUNetwork
from pathrelu.network._trees import trees_of
from pathrelu.program._problem import Problem
from pathrelu.program._stochastic import stochastic_slide
from pathrelu.progress import followed
from pathrelu.rows._blocks import LocalBlocks, RowBlocks
from pathrelu.rows._gap import Objective, bounded
from pathrelu.rows._memory import MemoryBlocks
from pathrelu.rows._network import network_of
from pathrelu.rows._sample import Summary, summarize
from pathrelu.rows.sources import Source
from pathrelu.training import class_weights, encoded_directions, plain_labels

# Rows that alpha, encoding and the first trees are found on, in memory: as many as let the fit of 30 columns
# with ramps take no more memory than 1,000,000 rows of single precision have.
SAMPLE_ROWS = 16_000
PASSED_ROWS, FEWEST_PASSES, MOST_PASSES = 12_000_000, 6, 20  # of the last slide: so many rows, within bounds
# Of the rate that the sample chose: means of results are of four blocks or more, and trees are near.
SLOWER = 0.5
ASTRAY = 1.1  # times the sample's objective, at which passes end where rows are in no random order
BOUND = 2.0  # passes of Adam that the gap takes the time of
ABOVE = (8.0, 4.0, 2.0)  # times a given alpha, where the sample's slides begin
ADAM = 3.0  # times its multiplications that a pass takes as long as
MOMENT = 1e-3  # seconds that are left for the sample where there are none


@dataclass(frozen=True)
class Recipe:
    """How raw rows of a block become those of training.

    Attributes
    ----------
    encoder : TableEncoder or None
    scaling : Scaling
    labels : ndarray or None
        Of all classes.
    factors : ndarray
        Of the weights of each label; 0 for one that is not trained on.
    loss : str
    weight : float
        Of all rows, the mean of one of which becomes 1.
    n_rows : int
        Of all.
    """

    encoder: TableEncoder | None
    scaling: Scaling
    labels: NDArray[Any] | None
    factors: check.Doubles
    loss: str
    weight: float = 1.0
    n_rows: int = 1

    def columns(self, X: RawTable) -> check.Rows:
        """Encoded columns."""
        if self.encoder is not None:
            return self.encoder.encode(X)
        assert X.block is not None
        return X.block

    def weights(self, y: NDArray[Any], w: check.Doubles) -> check.Doubles:
        """Weights of samples times those of classes."""
        if self.labels is None:
            return w
        weighted: check.Doubles = w * self.factors[np.searchsorted(self.labels, y)]
        return weighted

    def targets(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """Targets (n, C) of the core; rows of classes not trained on, of weight 0, are of the first."""
        if self.labels is None:
            return np.ascontiguousarray(y.reshape(len(y), -1), np.float64)
        trained = np.cumsum(self.factors > 0) - 1
        code = np.maximum(trained[np.searchsorted(self.labels, y)], 0)[:, np.newaxis]
        several = int(trained[-1]) + 1
        if several == 2:
            return np.ascontiguousarray(2.0 * code - 1)
        one_hot: NDArray[np.float64] = (code == np.arange(several)).astype(np.float64)
        return one_hot


def prepared_block(
    X: RawTable, y: NDArray[Any], w: check.Doubles, recipe: Recipe
) -> tuple[check.Rows, NDArray[np.float64], check.Doubles]:
    """Rows, targets and weights of training."""
    rows = recipe.scaling.rows(recipe.columns(X))
    targets, weights = recipe.targets(y), recipe.weights(y, w)
    check.representable(rows, "X", 4)
    check.representable(targets, "y", 2)
    if recipe.labels is None:
        own = losses.TABLE[recipe.loss]
        bad = ~own.takes(targets) & (weights > 0)[:, np.newaxis]
        if bad.any():
            raise ValueError(
                f"y has the value {targets[bad][0]:g}; loss={recipe.loss!r} expects {own.expects}"
            )
        # Rows without weight have no part; what they have for targets, the loss may not be defined for.
        targets = np.where((weights > 0)[:, np.newaxis], targets, 1.0)
    return rows, targets, weights * (recipe.n_rows / recipe.weight)


# ---- Scales --------------------------------------------------------------------


@dataclass(frozen=True)
class Moments:
    """Weighted moments of the columns of some rows."""

    weight: float
    squares: float  # sum of the squares of weights
    mean: check.Doubles
    spread: check.Doubles  # weighted sums of squares about the means
    low: check.Doubles
    high: check.Doubles
    noise: NDArray[np.bool_]  # columns that are zero but for rounding
    dtype: np.dtype[Any]


def block_moments(X: RawTable, y: NDArray[Any], w: check.Doubles, recipe: Recipe, center: bool) -> Moments:
    """Of the rows of a block; about zero without `center`."""
    weights = recipe.weights(y, w)
    rows = recipe.columns(X)[weights > 0]
    weights = weights[weights > 0]
    d = rows.shape[1]
    if len(rows) == 0:
        empty = np.zeros(d)
        noise = np.ones(d, bool)
        return Moments(0.0, 0.0, empty, empty, empty + np.inf, empty - np.inf, noise, rows.dtype)
    table = rows.astype(np.float64)
    total = float(weights.sum())
    share = weights[:, np.newaxis] / total
    mean = (share * table).sum(axis=0) if center else np.zeros(d)
    low, high = table.min(axis=0), table.max(axis=0)
    mean = np.where((low == high) & center, low, mean)
    spread = total * (share * (table - mean) ** 2).sum(axis=0)
    squares = float((weights**2).sum())
    return Moments(total, squares, mean, spread, low, high, rounding_noise(rows), rows.dtype)


def moments_together(left: Moments, right: Moments) -> Moments:
    """Of the rows of both (Chan, Golub & LeVeque 1983)."""
    weight = left.weight + right.weight
    if left.weight == 0 or right.weight == 0:
        some = right if left.weight == 0 else left
        return replace(some, noise=left.noise & right.noise)
    apart = right.mean - left.mean
    low, high = np.minimum(left.low, right.low), np.maximum(left.high, right.high)
    return Moments(
        weight,
        left.squares + right.squares,
        left.mean + apart * (right.weight / weight),
        left.spread + right.spread + apart**2 * (left.weight * right.weight / weight),
        low,
        high,
        left.noise & right.noise,
        left.dtype,
    )


def scaling_of(found: Moments, *, standardize: bool, bias: bool) -> Scaling:
    """As `Scaling.fit` has it: the rules of `pathrelu._moments.moments` for what is constant."""
    d = len(found.mean)
    constant = 1.0 if bias else None
    if not standardize:
        return Scaling(np.zeros(d), np.ones(d), constant, found.noise)
    variance = found.spread / found.weight
    level = found.noise.copy()
    if bias:
        eps = np.finfo(np.float64).eps
        n = found.weight**2 / found.squares
        level |= variance <= n * eps * variance + (n * eps * np.abs(found.mean)) ** 2
        reach = np.maximum(np.abs(found.low), np.abs(found.high))
        level |= found.high - found.low <= LAST_PLACES * np.finfo(found.dtype).eps * reach
    scale = np.sqrt(variance)
    level |= ~(scale >= np.finfo(np.float64).tiny)
    return Scaling(found.mean, np.where(level, 1.0, scale), constant, found.noise | level)


# ---- From a network of the sample to one of all rows ---------------------------


def train_on_source(estimator: Any, source: Source, y: object, sample_weight: object) -> None:
    """Fit an estimator to rows that come in pieces, with their targets and weights."""
    if y is not None or sample_weight is not None:
        what = "y" if y is not None else "sample_weight"
        raise TypeError(f"X is a source of rows, which has targets and weights, and {what} came too")
    settings = settings_of(estimator)
    encoder = estimator._encoder()
    read = RawTable.read if encoder is None else encoder.read
    threads = settings.options.threads
    blocks = LocalBlocks(
        source, read, gaps=encoder is not None, labels=is_classifier(estimator), threads=threads
    )
    with followed(settings.watch, settings.verbose, threads):
        train_on_blocks(estimator, settings, type(estimator), blocks)


def train_on_rows(estimator: Any, settings: Settings, X: RawTable, y: NDArray[Any], w: check.Doubles) -> None:
    """Fit an estimator to many rows in memory."""
    threads = settings.options.threads
    blocks = MemoryBlocks(X, y, w, check.seed(settings.random_state), threads)
    with followed(settings.watch, settings.verbose, threads):
        train_on_blocks(estimator, settings, type(estimator), blocks)


def train_on_blocks(estimator: Any, settings: Settings, plain: type, blocks: RowBlocks) -> None:
    """Fit an estimator, whose class without Dask is `plain`: coarse to fine.

    A sample of rows in memory gives encoding, alpha, scales of columns and a network; all rows give their
    means and deviations, and the last slide. Rows of no more distinct ones than a sample has are all in it.
    """
    seed, labels = check.seed(settings.random_state), is_classifier(estimator)
    settings.watch.stage.step("looking through all rows")
    summary = summarize(blocks, SAMPLE_ROWS, seed, labels=labels)
    sample = summary.sample
    factors = np.ones(0)
    names = None
    weight = sample.w
    if labels:
        names = summary.labels
        codes = np.arange(len(names))
        factors = class_weights(estimator.class_weight, names, codes, summary.label_weights)
        factors = np.where(summary.label_weights > 0, factors, 0.0)
        weight = weight * factors[np.searchsorted(names, sample.y)]
    elif sample.y.ndim == 2 and sample.y.shape[1] > 1 and not settings.shared:
        raise ValueError("outputs is 'separate' with several targets in pieces; expected 'auto' or 'shared'")
    coarse = _coarse(estimator, plain, settings, summary.complete)
    coarse.n_features_in_ = sample.X.shape[1]
    given = sample.X.names
    if given is not None and all(isinstance(name, str) for name in given):
        coarse.feature_names_in_ = np.array(given, dtype=object)
    if not summary.complete:
        work = slide_work((blocks.n_rows, sample.X.shape[1]), settings.slides(), _passes_over(blocks.n_rows))
        settings.watch.stage.plan("passes", ADAM * work)
        settings.watch.stage.step(f"network of a sample of {len(sample.y):,} rows")
    coarse.fit(sample.X, sample.y, weight)
    for name, value in vars(coarse).items():
        if name not in coarse.get_params(deep=False) and not name.startswith("_"):
            setattr(estimator, name, value)
    estimator.n_passes_ = 1
    if not summary.complete:
        _refine(estimator, settings, summary, blocks, names, factors, coarse._rate or RATES[0])
    if names is not None and len(names) > len(coarse.classes_):
        estimator.classes_ = names
        estimator.network_ = _with_classes(estimator.network_, names, factors > 0)
        estimator.intercept_ = estimator.network_.intercept


def settings_of(estimator: Any) -> Settings:
    """Checked parameters; what only rows in memory have is refused."""
    settings: Settings = estimator._settings()
    for wrong, what in (
        (settings.activation != "relu", "activation='gated'"),
        (settings.sampled, "arrangements='sample'"),
        (settings.low_rank is not None, "low_rank"),
        (settings.prune, "prune=True"),
        (settings.warm_start, "warm_start=True"),
    ):
        if wrong:
            raise ValueError(f"{what} is for rows in memory; expected the default for rows in pieces")
    return settings


def _coarse(estimator: Any, plain: type, settings: Settings, complete: bool) -> Any:
    """The estimator of the sample, not fitted."""
    coarse = plain(**estimator.get_params(deep=False))
    coarse.random_state = settings.random_state
    if is_classifier(coarse):
        coarse.class_weight = None
    if math.isfinite(settings.watch.limit):
        coarse.max_seconds = max(settings.watch.left, MOMENT)
    if not complete:
        coarse.tol = None
        if settings.alpha is not None:
            # Slides down to it, and few steps of the convex program.
            coarse._path = Path(before=[[above * settings.alpha for above in ABOVE]])
    return coarse


def _passes_over(rows: int) -> int:
    return min(MOST_PASSES, max(FEWEST_PASSES, round(PASSED_ROWS / rows)))


def _refine(
    estimator: Any,
    settings: Settings,
    summary: Summary,
    blocks: RowBlocks,
    names: NDArray[Any] | None,
    factors: check.Doubles,
    rate: float,
) -> None:
    """Slide with all rows from the network of the sample."""
    network, sample, watch = estimator.network_, summary.sample, settings.watch
    loss = "log_loss" if names is not None else estimator.loss
    given = None if names is not None else losses.parameter(loss, estimator.quantile, estimator.threshold)
    d = network.n_columns
    unscaled = Scaling(np.zeros(d), np.ones(d), None, np.zeros(d, bool))
    recipe = Recipe(network.encoder, unscaled, names, factors, loss)
    found = blocks.reduce_blocks(block_moments, moments_together, recipe, settings.bias)
    scaling = scaling_of(found, standardize=settings.standardize, bias=settings.bias)
    if estimator.column_factors_ is not None:
        scaling = scaling.times(estimator.column_factors_)
    recipe = replace(recipe, scaling=scaling, weight=found.weight, n_rows=blocks.n_rows)
    monotone = scaling.directions(encoded_directions(estimator.monotonic_cst_, network.encoder))
    targets = recipe.targets(sample.y)
    weights = check.unit_mean(recipe.weights(sample.y, sample.w))
    core_loss = losses.specification(loss, given, targets, weights)
    alpha = settings.alpha
    if alpha is None:  # of n rows, n alpha stays: what is worth a sub-network does not grow with rows
        alpha = float(estimator.alpha_) * len(sample.w) / summary.n_weighted
    rows = blocks.prepared(prepared_block, recipe)
    slides = replace(settings.slides(), width=list(network.width))
    some = Problem(np.zeros((len(targets), 0)), targets, True, weights, "relu", loss, core_loss)
    passes = _passes_over(blocks.n_rows)
    before, made = trees_of(network, scaling), 0
    work = ADAM * slide_work((blocks.n_rows, before[0].shape[1]), slides, 1)

    def tell(passed: int) -> None:
        more = (passes - passed - 1) * work
        watch.stage.step(f"pass {passed + 1} of {passes} over all rows", work, more)

    def follow(passed: int) -> None:
        nonlocal made
        made = passed
        if passed < passes:
            tell(passed)
        record = Record(passed, math.nan, math.nan, math.nan, len(before[0]), watch.seconds_so_far, passes)
        watch.report(replace(record, searching=True, phase="passes", alpha=alpha))

    with watch:
        watch.stage.begin("passes")
        tell(0)
        trees = stochastic_slide(
            slides,
            rows,
            core_loss,
            alpha,
            with_random_trees(before, slides, MOST_TREES, scaling.empty, monotone=monotone),
            at_constant=loss_at_constant(some),
            rate=SLOWER * rate,
            passes=passes,
            stream=LAST_STREAM + 1,
            monotone=monotone,
            follow=follow,
        )
        watch.stage.step("duality gap over all rows", BOUND * work)
        shared = slides.shared and before[2].shape[1] > 1
        objective = Objective(core_loss, slides.width, alpha, slides.options.fit_intercept, shared, monotone)
        found_bound = bounded(
            objective,
            rows,
            (before, trees),
            slides.options.threads,
            watch.is_over,
            _warn_if_astray,
        )
    trees = found_bound.trees
    estimator.objective_ = found_bound.objective
    # No loss is below 0 but those with a log link, which have no bound where the fit was stopped.
    least = -math.inf if losses.TABLE[loss].log_link else 0.0
    estimator.dual_gap_ = estimator.objective_ - max(found_bound.lower, least)
    for of_sample in ("training_scores_", "variance_shares_"):
        if hasattr(estimator, of_sample):
            delattr(estimator, of_sample)
    estimator.network_ = network_of(
        trees,
        scaling,
        found.dtype,
        width=network.width,
        skip_connection=network.skip_connection,
        classes=network.classes,
        feature_names=network.feature_names,
        encoder=network.encoder,
    )
    estimator.alpha_ = alpha
    alone = estimator.network_.n_outputs == 1
    estimator.intercept_ = float(trees[4][0]) if alone else estimator.network_.intercept
    estimator.n_subnetworks_ = estimator.network_.n_subnetworks
    estimator.n_iter_ = max(1, made)
    # With those of the sample, of means, and of the objective and the bound.
    estimator.n_passes_ = 2 + made + found_bound.n_passes


def _warn_if_astray(of_sample: float, of_passes: float) -> None:
    if of_passes > ASTRAY * of_sample:
        warnings.warn(
            f"passes over all rows ended at the objective {of_passes:g}, above {of_sample:g} of the network "
            "of a sample, which is kept: rows next to each other are alike; shuffle them",
            ConvergenceWarning,
            stacklevel=8,
        )


def _with_classes(
    network: ParallelReLUNetwork, labels: NDArray[Any], trained: NDArray[np.bool_]
) -> ParallelReLUNetwork:
    """The same with outputs for all classes, those not trained on with probability 0."""
    present = np.flatnonzero(trained)
    outputs = present[-network.n_outputs :]  # the first of two classes has the log-odds 0
    own = np.zeros((network.n_subnetworks, len(labels)))
    own[:, outputs] = network.output_weights
    intercept = np.full(len(labels), -np.inf)
    intercept[present] = 0
    intercept[outputs] = network.intercept
    skip: dict[str, Any] = {}
    if network.skip_connection:
        assert network.skip_weights is not None
        assert network.skip_bias is not None
        weights = np.zeros((len(labels), network.n_columns), network.skip_weights.dtype)
        bias = np.zeros(len(labels), network.skip_bias.dtype)
        weights[outputs], bias[outputs] = network.skip_weights, network.skip_bias
        skip = {"skip_weights": weights, "skip_bias": bias}
    return ParallelReLUNetwork(
        network.leaf_weights,
        leaf_bias=network.leaf_bias,
        edge_signs=network.edge_signs,
        output_weights=own,
        intercept=intercept,
        center=network.center,
        scale=network.scale,
        width=network.width,
        classes=plain_labels(labels),
        feature_names=network.feature_names,
        encoder=network.encoder,
        **skip,
    )
