"""Training on blocks of rows: coarse to fine, with all rows in the last slides alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier

from pathrelu import _core, losses
from pathrelu import _validation as check
from pathrelu._base import Path, Settings
from pathrelu._moments import LAST_PLACES, rounding_noise
from pathrelu._watch import Record, Watch
from pathrelu.encoding import TableEncoder
from pathrelu.encoding._raw import RawTable
from pathrelu.network import ParallelReLUNetwork
from pathrelu.program._slide import Trees
from pathrelu.program._stochastic import State, Step, averaged
from pathrelu.rows._blocks import LocalBlocks, RowBlocks, added
from pathrelu.rows._sample import Summary, summarize
from pathrelu.rows.sources import Source
from pathrelu.training import Scaling, class_weights, plain_labels

# Rows that alpha, encoding and the first trees are found on, in memory: of 30 columns, of which encodings as
# ramps and their copies take some 0.5 GB, and enough for the network to be that of all rows but for details.
SAMPLE_ROWS = 50_000
ABOVE = (8.0, 4.0, 2.0)  # times a given alpha, where the sample's slides begin
# Passes over all rows: of Adam from the sample's trees, and of the slide from there, whose sums do not depend
# on how rows are ordered. On 300,000 x 15 rows two passes of Adam get further than 40 of L-BFGS.
STOCHASTIC_PASSES, EVALUATIONS = 4, 10
RATE = 0.004  # of Adam's first steps: the lower one of those tried in memory, for the sample's trees are near
# Blocks whose results are averaged are an eighth of all, so that a pass has at least as many states one after
# the other; a power of two, and not more than this.
STATES_OF_PASS, MOST_AVERAGED = 8, 64
MOST_TRIALS = 10  # passes of one line search
MEMORY = 12  # pairs that L-BFGS keeps, as in slides in memory
NEGLIGIBLE = 1e-3  # trees below this share of the largest norm are dropped
# A slide ends where an iteration gains less than this share of the objective, which single precision has.
LEAST_GAIN = 1e-6
MOMENT = 1e-3  # seconds that are left for the sample where there are none


@dataclass(frozen=True)
class Recipe:
    """How raw rows of a block become those of training.

    Attributes
    ----------
    encoder : TableEncoder or None
    scaling : Scaling
    unit : float
        Times which weights have the mean 1.
    labels : ndarray or None
        Of all classes.
    factors : ndarray
        Of the weights of each label; 0 for one that is not trained on.
    loss : str
    """

    encoder: TableEncoder | None
    scaling: Scaling
    labels: NDArray[Any] | None
    factors: check.Doubles
    loss: str
    unit: float = 1.0

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
    targets, weights = recipe.targets(y), recipe.weights(y, w) * recipe.unit
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
    return rows, targets, weights


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


# ---- Trees ---------------------------------------------------------------------


@dataclass
class TreesOnBlocks:
    """Trees whose leaves V (K, paths * columns) and output weights A (K, C) share their norm evenly."""

    V: NDArray[np.float64]
    signs: NDArray[np.int8]
    A: NDArray[np.float64]
    linear: NDArray[np.uint8]
    intercept: NDArray[np.float64]

    @classmethod
    def of(cls, network: ParallelReLUNetwork, scaling: Scaling) -> TreesOnBlocks:
        """Those of a network, over the columns of another scaling."""
        factor = scaling.scale / network.scale
        shift = (scaling.center - network.center) / network.scale

        def moved(weights: check.Rows, bias: check.Rows) -> NDArray[np.float64]:
            leaves = weights.astype(np.float64)
            if scaling.constant is None:
                return leaves * factor
            constant = bias + (leaves * shift).sum(axis=-1)
            columns: NDArray[np.float64] = np.where(scaling.empty, 0.0, leaves * factor)
            return np.concatenate([columns, constant[..., np.newaxis] / scaling.constant], axis=-1)

        own, C = network.output_weights, network.n_outputs
        leaves = moved(network.leaf_weights, network.leaf_bias)
        signs, K, paths = network.edge_signs, len(leaves), leaves.shape[1]
        linear = np.zeros(K, np.uint8)
        if network.skip_connection:
            assert network.skip_weights is not None
            assert network.skip_bias is not None
            skip = moved(network.skip_weights, network.skip_bias)
            first = np.zeros((C, paths, skip.shape[1]))
            first[:, 0] = skip
            leaves = np.concatenate([leaves, first])
            own = np.concatenate([own, np.eye(C)])
            signs = np.concatenate([signs, np.ones((C, signs.shape[1]), np.int8)])
            linear = np.concatenate([linear, np.ones(C, np.uint8)])
        V = leaves.reshape(len(leaves), -1)
        used = V.any(axis=1) & own.any(axis=1)
        trees = cls(V[used], signs[used], own[used], linear[used], network.intercept)
        trees.balance()
        return trees

    def balance(self) -> None:
        """Give both factors of each tree the same norm."""
        leaf, root = _norms(self.V), _norms(self.A)
        even = np.sqrt(leaf * root)
        self.V = self.V * (even / np.where(leaf > 0, leaf, 1))[:, np.newaxis]
        self.A = self.A * (even / np.where(root > 0, root, 1))[:, np.newaxis]

    def norms(self) -> NDArray[np.float64]:
        """Path norms of all trees."""
        return _norms(self.V) * _norms(self.A)

    def without_negligible(self) -> TreesOnBlocks:
        norms = self.norms()
        kept = norms > NEGLIGIBLE * norms.max(initial=0.0)
        return TreesOnBlocks(self.V[kept], self.signs[kept], self.A[kept], self.linear[kept], self.intercept)

    def directed(self) -> Trees:
        """As slides in memory have them: all magnitude in the leaves."""
        root = _norms(self.A)[:, np.newaxis]
        parts = (self.V * root, self.signs, self.A / root, self.linear, self.intercept)
        return tuple(np.ascontiguousarray(part) for part in parts)  # type: ignore[return-value]

    def arrays(self) -> tuple[Any, ...]:
        """As the core takes them."""
        parts = (self.V, self.signs, self.A, self.linear, self.intercept)
        return tuple(np.ascontiguousarray(part) for part in parts)


def _norms(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt((rows**2).sum(axis=1))
    return lengths


def block_sums(
    X: check.Rows,
    y: NDArray[np.float64],
    w: check.Doubles,
    loss: Any,
    width: list[int],
    trees: tuple[Any, ...],
    single: bool,
    threads: int,
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Loss and derivatives of a block: see the core."""
    return _core.block_sums(_core.Problem(X, y, w, loss, True), width, trees, single, threads)


@dataclass(frozen=True)
class BlockPass:
    """A pass of Adam over one block."""

    step: Step

    def __call__(
        self, X: check.Rows, y: NDArray[np.float64], w: check.Doubles, state: State, k: int
    ) -> State:
        """The state after it."""
        return self.step(X, y, w, state, k)[0]


class SlideOnBlocks:
    """A descent on the objective of all rows, of which each evaluation is one pass.

    As slides in memory: by L-BFGS over the factors of each tree, whose squares are penalised, and the
    intercept.

    Parameters
    ----------
    blocks : RowBlocks
        Of rows, targets and weights of training.
    weight : float
        Of all rows.
    """

    def __init__(
        self,
        blocks: RowBlocks,
        weight: float,
        loss: Any,
        width: list[int],
        alpha: float,
        *,
        fit_intercept: bool,
        shared: bool,
        single: bool,
        threads: int,
        watch: Watch,
    ) -> None:
        self.blocks, self.weight, self.loss, self.width, self.alpha = blocks, weight, loss, width, alpha
        self.fit_intercept, self.shared, self.single = fit_intercept, shared, single
        self.threads, self.watch = threads, watch
        self.evaluations = 0
        self.unit = 1.0

    def sums(self, trees: TreesOnBlocks, single: bool) -> tuple[float, Any, Any]:
        """Mean loss and less its derivatives in output weights and intercept, and in leaves."""
        self.evaluations += 1
        loss, S, G = self.blocks.reduce_blocks(
            block_sums, added, self.loss, self.width, trees.arrays(), single, self.threads
        )
        return loss / self.weight, S / self.weight, G / self.weight

    def objective(self, trees: TreesOnBlocks) -> float:
        """In double precision."""
        return self.sums(trees, False)[0] + self.alpha * float(trees.norms().sum())

    def run_stochastically(self, trees: TreesOnBlocks, passes: int, seed: int) -> TreesOnBlocks:
        """The trees after so many passes of Adam, or as they are if that is no better on all rows.

        Blocks of a group start from the same state, and their results are averaged (local SGD, Stich 2019).
        """
        loss = self.sums(trees, self.single)[0]
        before = loss + self.alpha * float(trees.norms().sum())
        self.unit = math.sqrt(math.sqrt(2 * loss)) if loss > 0 else 1.0
        shape = (self.width, self.shared, self.fit_intercept, self.unit)
        kinds = trees.directed()
        x = _core.slide_variables(kinds, *shape)
        state: Any = (x, np.zeros_like(x), np.zeros_like(x), 0)
        n_blocks = self.blocks.n_blocks
        size = 1 << (max(1, min(MOST_AVERAGED, n_blocks // STATES_OF_PASS)).bit_length() - 1)
        of_pass = -(-n_blocks // size) * size
        for k in range(passes):
            step = Step(
                kinds, self.alpha, self.loss, self.width, self.shared, self.fit_intercept, self.unit, seed,
                k * of_pass, passes * of_pass, RATE, size,
            )  # fmt: skip
            state = self.blocks.fold_blocks(BlockPass(step), averaged, state, size)
            self.evaluations += 1
            if self.watch.left == 0:
                break
        V, signs, A, linear, intercept = _core.trees_at(state[0], kinds, *shape)
        after = TreesOnBlocks(V, signs, A, linear, intercept)
        after.balance()
        reached = self.sums(after, self.single)[0] + self.alpha * float(after.norms().sum())
        return after if reached < before else trees

    def run(
        self, trees: TreesOnBlocks, evaluations: int, follow: Callable[[int, float], None]
    ) -> TreesOnBlocks:
        """The trees after at most so many evaluations."""
        if len(trees.V) == 0 and not self.fit_intercept:
            return trees
        # Directions of single outputs stay, and so do those of a skip connection, which has one for each.
        fixed = np.ones(len(trees.A), bool) if not self.shared else trees.linear.astype(bool)
        directions = trees.A / np.maximum(_norms(trees.A), np.finfo(float).tiny)[:, np.newaxis]
        K, C = trees.A.shape
        sizes = (trees.A.size, trees.V.size)

        def unpacked(x: NDArray[np.float64]) -> TreesOnBlocks:
            A, V, b = x[: sizes[0]], x[sizes[0] : sum(sizes)], x[sum(sizes) :]
            intercept = b * self.unit if self.fit_intercept else trees.intercept
            return TreesOnBlocks(
                V.reshape(K, -1) if K else trees.V, trees.signs, A.reshape(K, C), trees.linear, intercept
            )

        def value(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            now = unpacked(x)
            loss, S, G = self.sums(now, self.single)
            slope = self.alpha * now.A - S[:K]
            slope[fixed] = ((slope * directions).sum(axis=1)[:, np.newaxis] * directions)[fixed]
            parts = [slope.ravel(), (self.alpha * now.V - G).ravel()]
            if self.fit_intercept:
                parts.append(-self.unit * S[K])
            penalty = self.alpha / 2 * float((now.A**2).sum() + (now.V**2).sum())
            return loss + penalty, np.concatenate(parts)

        loss = self.sums(trees, self.single)[0]
        self.unit = math.sqrt(math.sqrt(2 * loss)) if loss > 0 else 1.0
        start = [trees.A.ravel(), trees.V.ravel()]
        if self.fit_intercept:
            start.append(trees.intercept / self.unit)
        ended = _descend(value, np.concatenate(start), evaluations, lambda: self.watch.left == 0, follow)
        result = unpacked(ended)
        result.balance()
        return result


def _descend(
    value: Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]],
    x: NDArray[np.float64],
    evaluations: int,
    stopped: Callable[[], bool],
    follow: Callable[[int, float], None],
) -> NDArray[np.float64]:
    """L-BFGS with a line search for Armijo's and Wolfe's conditions (Nocedal & Wright 2006, section 3.1)."""
    objective, gradient = value(x)
    left = evaluations - 1
    pairs: list[tuple[NDArray[np.float64], NDArray[np.float64], float]] = []
    while left > 0 and not stopped():
        direction = _direction(pairs, gradient)
        slope = float(np.sum(direction * gradient))
        step, low, high, accepted = 1.0, 0.0, 0.0, None
        if not pairs:
            length = math.sqrt(float(np.sum(direction**2)))
            step = 0.1 * math.sqrt(float(np.sum(x**2))) / length if length > 0 else 0.0
        for _ in range(min(MOST_TRIALS, left)):
            if not slope < 0 or step == 0:
                break
            trial = x + step * direction
            reached, of_trial = value(trial)
            left -= 1
            if not reached <= objective + 1e-4 * step * slope:
                high = step
            else:
                accepted = (trial, reached, of_trial)
                if float(np.sum(of_trial * direction)) >= 0.9 * slope:
                    break
                low = step
            step = (low + high) / 2 if high > 0 else 2 * step
        if accepted is None:
            if not pairs:
                break
            pairs = []
            continue
        trial, reached, of_trial = accepted
        moved, changed = trial - x, of_trial - gradient
        curvature = float(np.sum(moved * changed))
        if curvature > 1e-14 * math.sqrt(float(np.sum(moved**2)) * float(np.sum(changed**2))):
            pairs = [*pairs, (moved, changed, 1 / curvature)][-MEMORY:]
        gain, x, objective, gradient = objective - reached, trial, reached, of_trial
        follow(evaluations - left, objective)
        if gain < LEAST_GAIN * abs(objective):
            break
    return x


def _direction(
    pairs: list[tuple[NDArray[np.float64], NDArray[np.float64], float]], gradient: NDArray[np.float64]
) -> NDArray[np.float64]:
    d = -gradient
    factors = []
    for moved, changed, rho in reversed(pairs):
        factor = rho * float(np.sum(moved * d))
        factors.append(factor)
        d = d - factor * changed
    if pairs:
        moved, changed, rho = pairs[-1]
        d = d / (rho * float(np.sum(changed**2)))
    for (moved, changed, rho), factor in zip(pairs, reversed(factors), strict=True):
        d = d + (factor - rho * float(np.sum(changed * d))) * moved
    return d


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
    train_on_blocks(estimator, settings, type(estimator), blocks, threads)


def train_on_blocks(estimator: Any, settings: Settings, plain: type, blocks: RowBlocks, threads: int) -> None:
    """Fit an estimator, whose class without Dask is `plain`: coarse to fine.

    A sample of rows in memory gives encoding, alpha, scales of columns and a network; all rows give their
    means and deviations, and the last slide. Rows of no more distinct ones than a sample has are all in it.
    """
    seed, labels = check.seed(settings.random_state), is_classifier(estimator)
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
    coarse.fit(sample.X, sample.y, weight)
    for name, value in vars(coarse).items():
        if name not in coarse.get_params(deep=False) and not name.startswith("_"):
            setattr(estimator, name, value)
    estimator.n_passes_ = 1
    if not summary.complete:
        _refine(estimator, settings, summary, blocks, names, factors, threads)
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


def _refine(
    estimator: Any,
    settings: Settings,
    summary: Summary,
    blocks: RowBlocks,
    names: NDArray[Any] | None,
    factors: check.Doubles,
    threads: int,
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
    unit = blocks.n_rows / found.weight
    recipe = replace(recipe, scaling=scaling, unit=unit)
    trees = TreesOnBlocks.of(network, scaling)
    targets = recipe.targets(sample.y)
    core_loss = losses.specification(
        loss, given, targets, check.unit_mean(recipe.weights(sample.y, sample.w))
    )
    alpha = settings.alpha
    if alpha is None:  # the best one falls as the noise of a mean
        alpha = float(estimator.alpha_) * math.sqrt(len(sample.w) / summary.n_weighted)
    slide = SlideOnBlocks(
        blocks.prepared(prepared_block, recipe),
        found.weight * unit,
        core_loss,
        list(network.width),
        alpha,
        fit_intercept=settings.options.fit_intercept,
        shared=settings.shared and network.n_outputs > 1,
        single=found.dtype == np.float32,
        threads=threads,
        watch=watch,
    )

    def follow(evaluation: int, objective: float) -> None:
        if watch.callback is not None:
            seconds = time.monotonic() - watch.begin
            record = Record(evaluation, objective, 0.0, objective, len(trees.V), seconds, searching=True)
            try:
                watch.callback(record)
            except StopIteration:
                watch.stop("its callback")

    with watch:
        trees = slide.run_stochastically(trees, STOCHASTIC_PASSES, check.seed(settings.random_state))
        trees = slide.run(trees, EVALUATIONS, follow).without_negligible()
        estimator.objective_ = slide.objective(trees)
    # No loss is below 0 but those with a log link, which have no bound here.
    log_link = losses.TABLE[loss].log_link
    estimator.dual_gap_ = math.inf if log_link else estimator.objective_
    estimator.network_ = _network(network, trees, scaling, found.dtype)
    estimator.alpha_ = alpha
    alone = estimator.network_.n_outputs == 1
    estimator.intercept_ = float(trees.intercept[0]) if alone else estimator.network_.intercept
    estimator.n_subnetworks_ = estimator.network_.n_subnetworks
    estimator.n_iter_ = slide.evaluations
    estimator.n_passes_ = 2 + slide.evaluations


def _network(
    like: ParallelReLUNetwork, trees: TreesOnBlocks, scaling: Scaling, dtype: np.dtype[Any]
) -> ParallelReLUNetwork:
    """That of the trees, and in all else like the one of the sample."""
    columns, paths = like.n_columns, like.leaf_weights.shape[1]
    root = _norms(trees.A)[:, np.newaxis]
    leaves = check.narrowed(trees.V * root, dtype, "weights").reshape(len(trees.V), paths, -1)
    directions, units = trees.A / root, trees.linear == 0
    bias = scaling.constant is not None
    skip: dict[str, Any] = {}
    if like.skip_connection:
        linear = (directions[~units].T[:, :, np.newaxis] * leaves[~units, 0]).sum(axis=1).astype(dtype)
        skip = {"skip_weights": linear[:, :columns], "skip_bias": linear[:, -1] if bias else None}
    return ParallelReLUNetwork(
        leaves[units][..., :columns],
        leaf_bias=leaves[units][..., -1] if bias else None,
        edge_signs=trees.signs[units],
        output_weights=directions[units],
        intercept=trees.intercept,
        center=scaling.center,
        scale=scaling.scale,
        width=like.width,
        classes=like.classes,
        feature_names=like.feature_names,
        encoder=like.encoder,
        **skip,
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
