"""How far a network of all rows is from the optimum over its own gates: a dual bound by blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu._sparse_rows import SparseRows, core_rows
from pathrelu.network._trees import norms_of
from pathrelu.program._slide import Trees
from pathrelu.rows._blocks import RowBlocks, added

AnyRows = check.Rows | SparseRows
UNBALANCED = np.zeros(0)  # an imbalance, of which nothing is made
# Newton steps to the best lengths of trees, each before a pass over all rows, all with the first Hessian: one
# for a loss that is quadratic, more until the products of trees are within a share of alpha of it.
MOST_STEPS, CLOSE = 4, 0.03
# Rows, times outputs, that the Hessian is of: its sums take about as long as the adjoint then, and are known
# to some percent for hundreds of trees.
HESSIAN_ROWS = 2**20
RIDGE = 1e-10  # of a Hessian of unit diagonal: trees may be alike
# Rows where a tree's leaves are nearest to where they switch, of which its cone is made: with 246 of a
# million rows of 31 columns bounds were two percent above those with 984. As many entries in all, about, so
# that trees of many columns take no more than tens of MB.
NEAREST, FEWEST_NEAREST, MOST_WEIGHTS = 512, 32, 2**21
OF_MANY_WEIGHTS = 4  # such rows, where all the weights are more than an eighth of that


class Dual(NamedTuple):
    """Sums over rows at the dual point of trees, see `_core.block_dual`."""

    loss: float
    size: float
    products: check.Doubles  # (K + 1, C): of trees, and of 1, with the dual point
    adjoint: check.Doubles  # (K, paths * columns), or without rows
    hessian: check.Doubles  # (K + C, K + C) in lengths of trees and intercepts, or without rows
    imbalance: check.Doubles


@dataclass(frozen=True)
class Bounded:
    """Trees, what they cost, and what no network with their gates and directions can cost less than."""

    trees: Trees
    objective: float
    lower: float
    n_passes: int


@dataclass(frozen=True)
class Objective:
    """What trees cost on blocks of rows; all that blocks need is small and picklable."""

    loss: Any
    width: list[int]
    alpha: float
    fit_intercept: bool
    shared: bool
    monotone: NDArray[np.int8] | None = None

    def of(self, trees: Trees, loss: float, n_rows: int) -> float:
        """Of a loss summed over all rows."""
        return loss / n_rows + self.alpha * float(lengths(trees).sum())

    def dual(
        self,
        X: AnyRows,
        y: NDArray[np.float64],
        w: check.Doubles,
        trees: Trees,
        imbalance: check.Doubles = UNBALANCED,
        *,
        adjoint: bool = False,
        one_in: int = 0,
        n_nearest: int = 0,
    ) -> tuple[tuple[Any, ...], NDArray[np.intp]]:
        """The sums of a block, the fields of `Dual`, and rows (K, n_nearest) near where leaves switch."""
        problem = _core.Problem(core_rows(X), y, w, self.loss, True)
        *found, nearest = _core.block_dual(problem, self.width, trees, imbalance, adjoint, one_in, n_nearest)
        return tuple(found), nearest


def lengths(trees: Trees) -> check.Doubles:
    """Norms of the weights of each tree."""
    return norms_of(trees[0])


# ---- What is done with a block ----------------------------------------------------


def first_sums(
    X: AnyRows,
    y: NDArray[np.float64],
    w: check.Doubles,
    of: Objective,
    before: Trees,
    trees: Trees,
    one_in: int,
) -> tuple[float, tuple[Any, ...]]:
    """The loss of trees, and the sums of others with their Hessian."""
    outputs = _core.tree_outputs(core_rows(X), of.width, before, 1)
    return len(w) * _core.mean_loss(outputs, y, w, of.loss), of.dual(X, y, w, trees, one_in=one_in)[0]


def sums(
    X: AnyRows, y: NDArray[np.float64], w: check.Doubles, of: Objective, trees: Trees, one_in: int
) -> tuple[Any, ...]:
    """The sums at the trees."""
    return of.dual(X, y, w, trees, one_in=one_in)[0]


def adjoint_and_nearest(
    X: AnyRows,
    y: NDArray[np.float64],
    w: check.Doubles,
    of: Objective,
    trees: Trees,
    imbalance: check.Doubles,
    n_nearest: int,
) -> tuple[tuple[Any, ...], check.Rows]:
    """The sums at the balanced dual point, and rows (K, n_nearest, columns) near to where leaves switch."""
    found, nearest = of.dual(X, y, w, trees, imbalance, adjoint=True, n_nearest=n_nearest)
    rows = X.dense(nearest) if isinstance(X, SparseRows) else X[nearest]
    return found, np.where(nearest[..., np.newaxis] < 0, 0, rows)


@dataclass(frozen=True)
class Together:
    """Adds up the sums of two parts, and keeps the nearest rows of both, or every second."""

    most: int

    def __call__(self, left: tuple[Any, check.Rows], right: tuple[Any, check.Rows]) -> tuple[Any, check.Rows]:
        rows = np.concatenate([left[1], right[1]], axis=1)
        if rows.shape[1] > self.most:
            rows = np.ascontiguousarray(rows[:, ::2])
        return added(left[0], right[0]), rows


def dual_value(
    X: AnyRows,
    y: NDArray[np.float64],
    w: check.Doubles,
    of: Objective,
    trees: Trees,
    imbalance: check.Doubles,
    s: float,
) -> float:
    """The part of a block in the dual objective at s times the dual point."""
    return _core.block_dual_value(
        _core.Problem(core_rows(X), y, w, of.loss, True), of.width, trees, imbalance, s
    )


# ---- What is made of the sums -----------------------------------------------------


def bounded(
    of: Objective,
    rows: RowBlocks,
    candidates: tuple[Trees, Trees],
    threads: int,
    stopped: Callable[[], bool],
    astray: Callable[[float, float], None],
) -> Bounded:
    """The better of two networks with the best lengths of its trees, and the bound beside it.

    In the program over a network's own gates the weights of each tree may be any of a cone, which is narrow
    where rows are many: what is left to find is mostly their length, and the intercept, a few Newton steps
    away. The slopes of the loss there, made to sum to zero where there is an intercept, are a dual point. Its
    correlation with weights of norm 1 in the cone is at most ``min over lambda >= 0 of |z + A' lambda|``, for
    the gradient z in the weights and the constraints A of any of the rows, here of the nearest. Scaled until
    none exceeds alpha it is feasible.

    `astray` is told of the objectives of both candidates. Of a network that was `stopped` nothing is known
    beside its objective: `lower` is then -inf.
    """
    n = rows.n_rows
    before, trees = candidates
    one_in = max(1, -(-n * trees[2].shape[1] // HESSIAN_ROWS))
    loss_before, found = rows.reduce_blocks(first_sums, added, of, before, trees, one_in)
    dual = Dual(*found)
    n_passes = 1
    values = of.of(before, loss_before, n), of.of(trees, dual.loss, n)
    astray(*values)
    better = values[0] < values[1]
    best = Bounded(before if better else trees, min(values), -math.inf, n_passes)
    if stopped() or len(best.trees[0]) == 0:
        return best
    if better:
        trees = before
        dual = Dual(*rows.reduce_blocks(sums, added, of, trees, one_in))
        n_passes += 1
    length = np.concatenate([lengths(trees), np.ones(len(trees[4]))])
    hessian = dual.hessian / n / np.outer(length, length)
    points = []
    for step in range(MOST_STEPS + 1):
        points.append((distance(of, trees, dual.products / n), trees, dual.imbalance))
        if points[-1][0] <= CLOSE or step == MOST_STEPS:
            break
        trees, kept = newton_step(of, trees, dual.products / n, hessian)
        hessian = hessian[np.ix_(kept, kept)]
        dual = Dual(*rows.reduce_blocks(sums, added, of, trees, 0))
        n_passes += 1
        objective = of.of(trees, dual.loss, n)
        if objective < best.objective:
            best = Bounded(trees, objective, -math.inf, n_passes)
        if stopped() or len(trees[0]) == 0:
            return Bounded(best.trees, best.objective, -math.inf, n_passes)
    # The best lengths are those of a loss without kinks, whose dual point is the nearer to feasible.
    _, of_dual, imbalance = min(
        (point for point in points if len(point[1][0]) >= len(best.trees[0])), key=lambda point: point[0]
    )
    lower = lower_bound(of, rows, of_dual, imbalance if of.fit_intercept else UNBALANCED, threads)
    return Bounded(best.trees, best.objective, min(lower, best.objective), n_passes + 2)


def distance(of: Objective, trees: Trees, products: check.Doubles) -> float:
    """How far mean products with trees of length 1 are from alpha, which they are at the best lengths."""
    correlation = (products[:-1] * trees[2]).sum(axis=1) / lengths(trees)
    return float(np.abs(correlation / of.alpha - 1).max())


def newton_step(
    of: Objective, trees: Trees, products: check.Doubles, hessian: check.Doubles
) -> tuple[Trees, NDArray[np.bool_]]:
    """Trees of other lengths, at least 0, and intercepts; and which rows of the Hessian are theirs.

    From mean products of trees and the dual point, and the Hessian of the mean loss in the lengths.
    """
    leaves, signs, directions, linear, intercept = trees
    K, C = len(leaves), len(intercept)
    length = np.concatenate([lengths(trees), np.ones(C)])
    gradient = np.concatenate([-(products[:K] * directions).sum(axis=1), -products[K]]) / length
    gradient[:K] += of.alpha
    scale = np.sqrt(np.diagonal(hessian))
    scale[~(scale > 0)] = 1.0
    table = hessian / np.outer(scale, scale)
    free = np.ones(K + C, bool)
    free[K:] = of.fit_intercept
    move = np.zeros(K + C)
    while True:  # what would fall below 0 stays there
        values, vectors = algebra.eigenvalues(table[np.ix_(free, free)])
        right = -(gradient / scale + algebra.product(table, np.where(free, 0.0, move * scale)))[free]
        inverse = 1 / (np.maximum(values, 0.0) + RIDGE * max(values[-1], 1.0))
        move[free] = algebra.product(vectors.T, algebra.product(vectors, right) * inverse) / scale[free]
        below = free & (length + move < 0)
        below[K:] = False
        if not below.any():
            break
        move[below] = -length[below]
        free[below] = False
    factor = 1 + move[:K] / length[:K]
    kept = factor > 0
    shape = (int(kept.sum()), -1) if kept.any() else (0, 0)  # as the core has no trees
    moved = (
        np.ascontiguousarray(leaves[kept] * factor[kept, np.newaxis]).reshape(shape),
        np.ascontiguousarray(signs[kept]).reshape(len(factor[kept]), signs.shape[1] if kept.any() else 0),
        np.ascontiguousarray(directions[kept]).reshape(shape),
        np.ascontiguousarray(linear[kept]),
        intercept + move[K:],
    )
    return moved, np.concatenate([kept, np.ones(C, bool)])


def lower_bound(
    of: Objective, rows: RowBlocks, trees: Trees, imbalance: check.Doubles, threads: int
) -> float:
    """What the program over the gates and directions of trees cannot be below."""
    n, weights = rows.n_rows, trees[0]
    fewest = FEWEST_NEAREST if 8 * weights.size <= MOST_WEIGHTS else OF_MANY_WEIGHTS
    most = min(NEAREST, max(fewest, MOST_WEIGHTS // weights.size))
    found, nearest = rows.reduce_blocks(
        adjoint_and_nearest, Together(most), of, trees, imbalance, -(-most // rows.n_blocks)
    )
    dual = Dual(*found)
    # Sub-networks that feed one output each may do so with either sign.
    scores = _core.cone_scores(
        nearest, of.width, trees, of.monotone, dual.adjoint / n, not of.shared, of.alpha, threads
    )
    largest = max(float(scores.max()), of.alpha) + np.finfo(np.float64).eps * dual.size / n
    total: float = rows.reduce_blocks(dual_value, added, of, trees, imbalance, of.alpha / largest)
    return total / n if math.isfinite(total) else -math.inf
