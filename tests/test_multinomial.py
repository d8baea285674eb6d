"""Several classes: the joint softmax against CVXPY, its gap, its network, and what must not change it."""

import numpy as np
import pytest
from reference import CLARABEL, Groups, random_trees, unit_rows
from scipy.special import logsumexp, softmax, xlogy
from support import CLARABEL_ERROR

import cvxpy as cp
import pathrelu as pr

ACTIVATIONS = ["relu", "gated"]
WIDTHS = [(), (2,)]  # depths 2, 3


class Program:
    """A program of random trees over random classes, all of which occur."""

    def __init__(self, seed, width=(), n=16, d=3, P=5, C=3, alpha=0.03, activation="relu", weighted=False):
        rng = np.random.default_rng(seed)
        self.X = rng.standard_normal((n, d))
        W, signs = random_trees(rng, P, d, width)
        logits = np.maximum(self.X @ rng.standard_normal((d, C)), 0) + 0.3 * rng.standard_normal((n, C))
        self.label = logits.argmax(axis=1)
        self.label[:C] = np.arange(C)
        self.y = np.eye(C)[self.label]
        self.sample_weight = rng.random(n) + 0.1 if weighted else None
        self.w = np.ones(n) if self.sample_weight is None else self.sample_weight / self.sample_weight.mean()
        self.alpha, self.activation = alpha, activation
        self.groups = Groups.of_trees(self.X, W, signs, width).distinct()
        self.arrangements = pr.Arrangements.from_trees(self.X, W, signs, width=width)
        self.matrix = self.groups.dense(self.X)
        self.output_signs = np.array([1, -1] if activation == "relu" else [1])

    def solve(self, fit_intercept=False, X=None, **options):
        return pr.solve(
            self.X if X is None else X,
            self.label,
            self.arrangements,
            self.alpha,
            activation=self.activation,
            loss="log_loss",
            sample_weight=self.sample_weight,
            fit_intercept=fit_intercept,
            **options,
        )

    def predict(self, blocks, intercept):
        merged = np.einsum("s,cgspj->cgpj", self.output_signs, np.asarray(blocks, np.float64))
        return intercept + self.matrix @ merged.reshape(len(merged), -1).T

    def mean_loss(self, f):
        return np.mean(self.w * (logsumexp(f, axis=1) - f[np.arange(len(f)), self.label]))

    def objective(self, blocks, intercept):
        return self.mean_loss(self.predict(blocks, intercept)) + self.alpha * np.sum(
            np.linalg.norm(np.asarray(blocks, np.float64), axis=(3, 4))
        )

    def optimum(self, fit_intercept):
        n, C = self.y.shape
        size = self.matrix.shape[1] // len(self.groups)
        columns, norms, constraints = [], [], []
        for _ in range(C):
            f = cp.Variable() if fit_intercept else cp.Constant(np.zeros(n))
            for g in range(len(self.groups)):
                B = self.matrix[:, g * size : (g + 1) * size]
                for sigma in self.output_signs:
                    v = cp.Variable(size)
                    f = f + sigma * (B @ v)
                    norms.append(cp.norm(v))
                    if self.activation == "relu":
                        constraints.append(unit_rows(self.groups.cone_rows(self.X, g)) @ v >= 0)
            columns.append(cp.reshape(f, (n, 1), order="C"))
        f = cp.hstack(columns)
        loss = self.w @ (cp.log_sum_exp(f, axis=1) - cp.sum(cp.multiply(self.y, f), axis=1)) / n
        if fit_intercept:
            constraints.append(cp.sum(f[0]) <= 1e3)  # only differences of intercepts matter
        return cp.Problem(cp.Minimize(loss + self.alpha * sum(norms)), constraints).solve(**CLARABEL)


@pytest.mark.parametrize(("fit_intercept", "weighted"), [(False, True), (True, False)])
@pytest.mark.parametrize("C", [2, 3, 4])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_solve_reaches_the_optimum_of_cvxpy(activation, width, C, fit_intercept, weighted):
    program = Program(C, width, C=C, activation=activation, weighted=weighted)
    y = program.y
    solution = pr.solve(
        program.X,
        y,
        program.arrangements,
        program.alpha,
        activation=activation,
        loss="log_loss",
        sample_weight=program.sample_weight,
        fit_intercept=fit_intercept,
        tol=1e-9,
    )
    assert solution.converged
    assert 0 < solution.n_active == np.count_nonzero(np.linalg.norm(solution.blocks, axis=(3, 4)))
    assert solution.objective == pytest.approx(program.optimum(fit_intercept), abs=CLARABEL_ERROR)
    assert solution.objective == pytest.approx(
        program.objective(solution.blocks, solution.intercept), rel=1e-12
    )
