"""The mathematics in plain NumPy, as slow and as obvious as can be: what the tests hold the package to.

Units of a tree are numbered layer by layer, leaves first, root last; children of a unit are consecutive;
edge u joins unit u to its parent. `width` is (m_1, ..., m_{L-2}), empty for depth 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, nnls
from scipy.special import xlogy

Array = NDArray[np.float64]


def path_units(width: tuple[int, ...]) -> NDArray[np.intp]:
    """Units of every path, leaf first: (paths, layers)."""
    paths = int(np.prod(width))
    columns, begin, below = [], 0, 1
    for m in (*width, 1):
        columns.append(begin + np.arange(paths) // below)
        begin += paths // below
        below *= m
    return np.stack(columns, axis=1)


def tree_values(X: Array, W: Array, signs: NDArray[np.int8], width: tuple[int, ...]) -> Array:
    """Pre-activations (n, units) of one tree with leaf weights W (paths, d) and edge signs (edges,)."""
    layer = X @ W.T
    layers, edge = [layer], 0
    for m in width:
        children = layer.shape[1]
        signed = np.maximum(layer, 0) * signs[edge : edge + children]
        layer = signed.reshape(len(X), children // m, m).sum(axis=2)
        layers.append(layer)
        edge += children
    return np.concatenate(layers, axis=1)


def tree_output(X: Array, W: Array, signs: NDArray[np.int8], width: tuple[int, ...]) -> Array:
    return np.maximum(tree_values(X, W, signs, width)[:, -1], 0)


def random_trees(rng: np.random.Generator, P: int, d: int, width: tuple[int, ...]):
    """Leaf weights (P, paths, d) and edge signs (P, edges)."""
    units = path_units(width)
    return rng.standard_normal((P, len(units), d)), rng.choice(
        np.array([-1, 1], np.int8), (P, int(units[-1, -1]))
    )


@dataclass(frozen=True)
class Groups:
    """P arrangements: patterns (P, units, n) of units and signs (P, edges) of the edges between them."""

    patterns: NDArray[np.bool_]
    signs: NDArray[np.int8]
    width: tuple[int, ...]

    @classmethod
    def of_trees(cls, X: Array, W: Array, signs: NDArray[np.int8], width: tuple[int, ...]) -> Groups:
        trees = zip(W, signs, strict=True)
        return cls(np.stack([tree_values(X, w, s, width).T > 0 for w, s in trees]), signs, width)

    def __len__(self) -> int:
        return len(self.patterns)

    def __getitem__(self, index: slice | NDArray) -> Groups:
        return Groups(self.patterns[index], self.signs[index], self.width)

    def distinct(self) -> Groups:
        """First occurrences of groups that have a path with a mask that is not zero."""
        seen = {}
        for g, masks in enumerate(self.masks):
            if masks.any():
                seen.setdefault((self.patterns[g].tobytes(), self.signs[g].tobytes()), g)
        return self[np.array(list(seen.values()), int)]

    @property
    def paths(self) -> int:
        return len(path_units(self.width))

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(P, paths, n): the product of the patterns of all units of the path."""
        return self.patterns[:, path_units(self.width)].all(axis=2)

    @property
    def path_signs(self) -> NDArray[np.int8]:
        """(P, paths): the product of the signs of all edges of the path."""
        return self.signs[:, path_units(self.width)[:, :-1]].prod(axis=2)

    def dense(self, X: Array) -> Array:
        """The matrix (n, P paths d) of V -> sum_g sum_p s_p diag(M_p) X v_p."""
        columns = self.path_signs[:, :, None, None] * self.masks[:, :, :, None] * X
        return np.moveaxis(columns, 2, 0).reshape(len(X), -1)

    def cone_rows(self, X: Array, g: int) -> Array:
        """A (units n, paths d) with K_g = {v : A v >= 0}; the n rows of unit 0 first."""
        n, d = X.shape
        A = np.zeros((self.patterns.shape[1], n, self.paths, d))
        for p, units in enumerate(path_units(self.width)):
            for layer, u in enumerate(units):
                sign = self.signs[g, units[:layer]].prod()
                below = self.patterns[g, units[:layer]].all(axis=0)
                A[u, :, p] = ((2.0 * self.patterns[g, u] - 1) * sign * below)[:, None] * X
        return A.reshape(-1, self.paths * d)


def unit_rows(A: Array) -> Array:
    """Rows of unit length that describe the same cone: zero rows and repeated ones are left out."""
    size = np.linalg.norm(A, axis=1)
    return np.unique(A[size > 0] / size[size > 0, None], axis=0)


def project(A: Array, z: Array) -> Array:
    """Projection of z on {v : A v >= 0}; its dual is least squares, min ||A^T a + z||, over a >= 0."""
    A, scale = unit_rows(A), np.linalg.norm(z)
    if not len(A) or scale == 0:
        return z.copy()
    # Each of the solvers stops short on some degenerate rows. Multipliers are >= 0 in all; the best are those
    # nearest to the other conditions: A v >= 0 and no multiplier on a row with slack.
    target = -z / scale
    first = [lsq_linear(A.T, target, (0, np.inf), method="bvls", tol=1e-14).x]
    try:
        first.append(nnls(A.T, target, maxiter=100 * len(A))[0])
    except RuntimeError:  # SciPy 1.13 reaches its maximum number of iterations where columns nearly agree
        first.append(multipliers_of_clarabel(A, -target))
    multipliers = [*first, *(refined(A.T, target, a) for a in first)]
    points = [z + scale * (A.T @ a) for a in multipliers]
    return min(points, key=lambda v: max(-(A @ v).min() * scale, abs(v @ (z - v))))


def refined(B: Array, b: Array, a: Array) -> Array:
    """A step from a to the a >= 0 of least ||B a - b||, found in units of what is left of b.

    A solver stops at some accuracy relative to b, which is not enough where B has columns that nearly agree
    and b is in their cone: a row within 1e-4 of another gives multipliers that are 1e4 times too uncertain.
    """
    rest = b - B @ a
    size = np.linalg.norm(rest)
    if size == 0:
        return a
    step = lsq_linear(B, rest / size, (-a / size, np.inf), method="bvls", tol=1e-14).x
    return np.maximum(a + size * step, 0)


def project_cvxpy(A: Array, z: Array) -> Array:
    v = cp.Variable(len(z))
    cp.Problem(cp.Minimize(cp.sum_squares(v - z)), [unit_rows(A) @ v >= 0]).solve(**CLARABEL)
    return v.value


def multipliers_of_clarabel(A: Array, z: Array) -> Array:
    a = cp.Variable(len(A))
    cp.Problem(cp.Minimize(cp.sum_squares(A.T @ a + z)), [a >= 0]).solve(**CLARABEL)
    return np.maximum(a.value, 0)


# With its usual steps of up to 0.99 Clarabel gives up on some degenerate programs.
CLARABEL = {"solver": cp.CLARABEL, "max_step_fraction": 0.9}


def loss_values(loss: str, f: Array, y: Array) -> Array:
    if loss == "squared_error":
        return (f - y) ** 2 / 2
    if loss == "huber":
        return np.where(np.abs(f - y) <= 1, (f - y) ** 2 / 2, np.abs(f - y) - 0.5)
    if loss == "absolute_error":
        return np.abs(f - y)
    if loss == "squared_hinge":
        return np.maximum(0, 1 - y * f) ** 2 / 2
    return np.logaddexp(0, -y * f)


def loss_slopes(loss: str, f: Array, y: Array) -> Array:
    if loss == "squared_error":
        return f - y
    if loss == "huber":
        return np.clip(f - y, -1, 1)
    if loss == "absolute_error":
        return np.sign(f - y)
    if loss == "squared_hinge":
        return -y * np.maximum(0, 1 - y * f)
    return -y * np.exp(-np.logaddexp(0, y * f))


def loss_conjugates(loss: str, u: Array, y: Array) -> Array:
    if loss == "squared_error":
        return u**2 / 2 + u * y
    if loss == "huber":
        return np.where(np.abs(u) <= 1, u**2 / 2 + u * y, np.inf)
    if loss == "absolute_error":
        return np.where(np.abs(u) <= 1, u * y, np.inf)
    p = -u * y
    if loss == "squared_hinge":
        return np.where(p >= 0, u**2 / 2 + u * y, np.inf)
    return np.where(
        (p >= 0) & (p <= 1), xlogy(p, np.maximum(p, 0)) + xlogy(1 - p, np.maximum(1 - p, 0)), np.inf
    )


@dataclass(frozen=True)
class Program:
    """The convex program (C), with blocks (P, S, paths, d) for S = 2 output signs (relu) or 1 (gated)."""

    X: Array
    y: Array
    groups: Groups
    alpha: float
    activation: str = "relu"
    loss: str = "squared_error"
    sample_weight: Array | None = None
    fit_intercept: bool = False
    monotone: tuple[int, ...] | None = None  # directions of columns
    matrix: Array = field(init=False, repr=False)
    cones: list[Array] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        relu = self.activation == "relu"
        cones = [self.groups.cone_rows(self.X, g) for g in range(len(self.groups))] if relu else None
        object.__setattr__(self, "matrix", self.groups.dense(self.X))
        object.__setattr__(self, "cones", cones)

    @property
    def output_signs(self) -> tuple[int, ...]:
        return (1, -1) if self.activation == "relu" else (1,)

    @property
    def weights(self) -> Array:
        w = np.ones(len(self.y)) if self.sample_weight is None else self.sample_weight
        return w / w.mean()

    def predict(self, blocks: Array, intercept: float) -> Array:
        return intercept + self.matrix @ np.einsum("s,gspj->gpj", self.output_signs, blocks).ravel()

    def penalty(self, blocks: Array) -> float:
        return float(np.linalg.norm(blocks, axis=(2, 3)).sum())

    def mean_loss(self, f: Array) -> float:
        return float(np.mean(self.weights * loss_values(self.loss, f, self.y)))

    def objective(self, blocks: Array, intercept: float = 0.0) -> float:
        return self.mean_loss(self.predict(blocks, intercept)) + self.alpha * self.penalty(blocks)

    def theta(self, f: Array) -> Array:
        return -self.weights * loss_slopes(self.loss, f, self.y) / len(self.y)

    def correlations(self, theta: Array) -> Array:
        """Projections of sigma B_g^T theta on K_g: (P, S, paths d)."""
        size = self.groups.paths * self.X.shape[1]
        c = (self.matrix.T @ theta).reshape(-1, 1, size) * np.reshape(self.output_signs, (1, -1, 1))
        if not self.cones:
            return c
        return np.array([[project(A, z) for z in pair] for A, pair in zip(self.cones, c, strict=True)])

    def sign_rows(self, g: int, sigma: int) -> Array:
        """A with A v >= 0 where weights of columns with a direction have the signs it asks for."""
        directions = np.zeros(self.X.shape[1]) if self.monotone is None else np.array(self.monotone)
        wanted = np.outer(sigma * self.groups.path_signs[g], directions).ravel()
        return np.diag(wanted)[wanted != 0]

    def dual_objective(self, theta: Array) -> float:
        """Value of a dual point without its constraints."""
        w, n = self.weights, len(self.y)
        used = w > 0
        u = -n * theta[used] / w[used]
        return float(-np.sum(w[used] * loss_conjugates(self.loss, u, self.y[used])) / n)

    def feasible_dual(self, f: Array) -> Array:
        """A feasible dual point made of the residuals of predictions f."""
        theta = self.theta(f)
        if self.fit_intercept and self.loss == "squared_error":
            theta = theta - self.weights * theta.mean()
        elif self.fit_intercept:
            up, down = theta[theta > 0].sum(), -theta[theta < 0].sum()
            theta = theta * min(up, down) / np.where(theta > 0, max(up, 1e-300), max(down, 1e-300))
        return theta * min(
            1, self.alpha / np.linalg.norm(self.correlations(theta), axis=2).max(initial=1e-300)
        )

    def gap(self, blocks: Array, intercept: float = 0.0) -> float:
        theta = self.feasible_dual(self.predict(blocks, intercept))
        return self.objective(blocks, intercept) - self.dual_objective(theta)

    def cone_slack(self, blocks: Array) -> float:
        """Least slack of all cone rows, relative to the norms of the row and the block."""
        worst = 0.0
        for A, pair in zip(self.cones, blocks, strict=True):
            size = np.linalg.norm(A, axis=1)
            for v in pair.reshape(len(pair), -1):
                slack = (A[size > 0] @ v) / size[size > 0]
                worst = min(worst, slack.min(initial=0.0) / max(np.linalg.norm(v), 1e-300))
        return worst

    def network_objective(self, blocks: Array, intercept: float = 0.0) -> float:
        """Objective of (NC) of the ReLU network that the blocks stand for, by its own forward pass."""
        f, penalty = np.full(len(self.y), float(intercept)), 0.0
        for signs, pair in zip(self.groups.signs, blocks, strict=True):
            for sigma, W in zip(self.output_signs, pair, strict=True):
                f += sigma * tree_output(self.X, W, signs, self.groups.width)
                penalty += np.sqrt(np.sum(W**2))
        return self.mean_loss(f) + self.alpha * penalty

    def optimum(self, skip_connection: bool = False) -> float:
        """Optimal value by CVXPY and Clarabel; a skip connection is a free linear block more."""
        n, size = len(self.y), self.groups.paths * self.X.shape[1]
        f = cp.Variable() if self.fit_intercept else cp.Constant(0.0)
        norms, constraints = [], []
        if skip_connection:
            skip = cp.Variable(self.X.shape[1])
            f = f + self.X @ skip
            if self.monotone is not None:
                constraints.append(np.diag(self.monotone) @ skip >= 0)
            norms.append(cp.norm(skip))
        for g in range(len(self.groups)):
            B = self.matrix[:, g * size : (g + 1) * size]
            for sigma in self.output_signs:
                v = cp.Variable(size)
                f = f + sigma * (B @ v)
                norms.append(cp.norm(v))
                if self.monotone is not None:
                    constraints.append(self.sign_rows(g, sigma) @ v >= 0)
                if self.cones is not None:
                    constraints.append(unit_rows(self.cones[g]) @ v >= 0)
        w = self.weights
        if self.loss == "squared_error":
            loss = cp.sum_squares(cp.multiply(np.sqrt(w), f - self.y)) / (2 * n)
        elif self.loss == "huber":
            loss = cp.sum(cp.multiply(w, cp.huber(f - self.y, 1))) / (2 * n)
        elif self.loss == "squared_hinge":
            loss = cp.sum_squares(cp.multiply(np.sqrt(w), cp.pos(1 - cp.multiply(self.y, f)))) / (2 * n)
        else:
            loss = cp.sum(cp.multiply(w, cp.logistic(cp.multiply(-self.y, f)))) / n
        return float(cp.Problem(cp.Minimize(loss + self.alpha * sum(norms)), constraints).solve(**CLARABEL))
