"""Several classes: the joint softmax against CVXPY, its gap, its network, and what must not change it."""

import itertools

import cvxpy as cp
import numpy as np
import pytest
from reference import CLARABEL, Groups, project, random_trees, unit_rows
from scipy.special import logsumexp, softmax, xlogy
from sklearn.datasets import load_iris, load_wine
from sklearn.model_selection import cross_val_score
from support import CLARABEL_ERROR

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

    def solve(self, fit_intercept=False, X=None, y=None, **options):
        return pr.solve(
            self.X if X is None else X,
            self.y if y is None else y,
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
        return cp.Problem(cp.Minimize(loss + self.alpha * sum(norms)), constraints).solve(**CLARABEL)


@pytest.mark.parametrize(("fit_intercept", "weighted"), [(False, True), (True, False)])
@pytest.mark.parametrize("C", [2, 3, 4])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_solve_reaches_the_optimum_of_cvxpy(activation, width, C, fit_intercept, weighted):
    program = Program(C, width, C=C, activation=activation, weighted=weighted)
    solution = program.solve(fit_intercept, tol=1e-9)
    assert solution.converged
    assert 0 < solution.n_active == np.count_nonzero(np.linalg.norm(solution.blocks, axis=(3, 4)))
    assert solution.objective == pytest.approx(program.optimum(fit_intercept), abs=CLARABEL_ERROR)
    assert solution.objective == pytest.approx(
        program.objective(solution.blocks, solution.intercept), rel=1e-12
    )
    if fit_intercept:
        assert sum(solution.intercept) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_gap_never_understates_the_distance_to_the_optimum(seed):
    rng = np.random.default_rng(seed)
    C, fit_intercept = int(rng.integers(2, 5)), bool(seed % 2)
    program = Program(
        seed,
        WIDTHS[seed // 2 % 2],
        C=C,
        alpha=10 ** rng.uniform(-3, -1),
        activation=ACTIVATIONS[seed // 4 % 2],
        weighted=bool(rng.integers(2)),
    )
    optimum = program.optimum(fit_intercept)
    best = program.solve(fit_intercept, tol=1e-11)
    start = rng.standard_normal(best.blocks.shape)
    for tol, max_iter in [(1e-14, 1), (1e-14, 3), (1e-14, 30), (1e-2, 1000), (1e-6, 1000)]:
        solution = program.solve(fit_intercept, tol=tol, max_iter=max_iter, init=start)
        assert solution.objective == pytest.approx(
            program.objective(solution.blocks, solution.intercept), rel=1e-12
        )
        for record in solution.history:
            assert record.objective - optimum <= record.gap + CLARABEL_ERROR
            assert record.dual_objective <= best.objective + 1e-13

    # The dual point of the solution, by its definition.
    f = program.predict(best.blocks, best.intercept)
    n = len(f)
    theta = program.w[:, None] / n * (program.y - softmax(f, axis=1))
    if fit_intercept:
        np.testing.assert_allclose(theta.sum(axis=0), 0, atol=1e-14)
    scores = []
    for g, sigma, column in itertools.product(range(len(program.groups)), program.output_signs, theta.T):
        size = program.matrix.shape[1] // len(program.groups)
        z = sigma * program.matrix[:, g * size : (g + 1) * size].T @ column
        relu = program.activation == "relu"
        scores.append(np.linalg.norm(project(program.groups.cone_rows(program.X, g), z) if relu else z))
    s = min(1, program.alpha / max(scores))
    p = s * softmax(f, axis=1) + (1 - s) * program.y
    bound = -np.mean(program.w * xlogy(p, p).sum(axis=1))
    assert bound <= best.objective + 1e-13
    assert bound == pytest.approx(best.objective, abs=1e-4)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_rebuilt_network_has_the_objective_of_the_program(width, dtype):
    program = Program(5, width, weighted=True)
    program.X = program.X.astype(dtype).astype(np.float64)
    solution = program.solve(True, X=program.X.astype(dtype))
    objective = solution.network().objective(
        program.X, program.label, program.alpha, loss="log_loss", sample_weight=program.sample_weight
    )
    assert solution.n_active == solution.network().n_subnetworks > 0
    assert objective == pytest.approx(solution.objective, rel=1e-9 if dtype == np.float64 else 1e-6)


def test_codings_of_classes_threads_and_order_of_classes():
    program = Program(6, n=40, P=10)
    solution = program.solve(True)
    for y in (program.label, program.label * 2 - 3):
        np.testing.assert_array_equal(program.solve(True, y=y).blocks, solution.blocks)
    np.testing.assert_array_equal(program.solve(True, n_threads=3).blocks, solution.blocks)
    turned = program.solve(True, y=program.y[:, [2, 0, 1]], tol=1e-10)
    assert turned.objective == pytest.approx(program.solve(True, tol=1e-10).objective, rel=1e-9)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_alpha_max_is_the_smallest_alpha_with_the_constant_network(fit_intercept):
    program = Program(7, weighted=True)
    largest = pr.alpha_max(
        program.X,
        program.label,
        program.arrangements,
        loss="log_loss",
        sample_weight=program.sample_weight,
        fit_intercept=fit_intercept,
    )
    program.alpha = 1.001 * largest
    assert program.solve(fit_intercept).n_active == 0
    program.alpha = 0.98 * largest
    assert program.solve(fit_intercept).n_active > 0
    zero = program.solve(fit_intercept).objective_at_zero
    share = np.bincount(program.label, program.w) / len(program.w)
    assert zero == pytest.approx(-np.sum(share * np.log(share)) if fit_intercept else np.log(3), rel=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_search_beats_sampled_arrangements_and_ends_at_an_optimum(activation):
    program = Program(8, n=60, P=10, alpha=0.01, activation=activation)
    options = {"activation": activation, "loss": "log_loss", "fit_intercept": True}
    found = pr.search(program.X, program.label, 0.01, random_state=0, **options)
    assert found.converged
    assert found.objective < program.solve(True).objective
    again = pr.solve(
        program.X, program.label, found.arrangements, 0.01, directions=found.directions, **options
    )
    assert again.objective == pytest.approx(found.objective, rel=1e-5)


def test_the_joint_softmax_fits_no_worse_than_outputs_trained_apart():
    X, label = load_iris(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    arrangements = pr.sample_arrangements(X, 20, random_state=0)
    options = {"loss": "log_loss", "fit_intercept": True, "tol": 1e-7}
    joint = pr.solve(X, label, arrangements, 0.01, **options)
    apart = [pr.solve(X, label == c, arrangements, 0.01, **options) for c in range(3)]
    logits = np.stack([solution.network().predict(X) for solution in apart], axis=1)
    norms = sum(solution.network().path_norm() for solution in apart)
    loss = np.mean(logsumexp(logits, axis=1) - logits[np.arange(150), label])
    assert joint.objective < loss + 0.01 * norms


@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_the_classifier_generalises(load):
    X, y = load(return_X_y=True)
    assert cross_val_score(pr.PathReLUClassifier(random_state=0), X, y, cv=3).mean() > 0.94
