"""Sub-networks that feed several outputs: the program against CVXPY, its gap, its network, its search."""

import json

import cvxpy as cp
import numpy as np
import pytest
from reference import CLARABEL, Groups, project, random_trees, tree_output, unit_rows
from scipy.special import logsumexp, softmax
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.preprocessing import StandardScaler
from support import CLARABEL_ERROR

import pathrelu as pr
from pathrelu import _core
from pathrelu.inspection import feature_importance, subnetwork_importance, subnetwork_outputs

LOSSES = ["squared_error", "log_loss", "huber"]
WIDTHS = [(), (2,), (2, 2)]  # depths 2, 3, 4


def unit(table):
    return table / np.linalg.norm(table, axis=1, keepdims=True)


class Program:
    """A program of random trees with random directions of C outputs."""

    def __init__(self, seed, loss, activation="relu", width=(), n=16, d=3, P=6, C=3, alpha=0.03):
        rng = np.random.default_rng(seed)
        self.X = rng.standard_normal((n, d))
        W, signs = random_trees(rng, P, d, width)
        self.Y = np.maximum(self.X @ rng.standard_normal((d, C)), 0) + 0.3 * rng.standard_normal((n, C))
        if loss == "log_loss":
            label = self.Y.argmax(axis=1)
            label[:C] = np.arange(C)
            self.Y = np.eye(C)[label]
        self.w = rng.random(n) + 0.1
        self.w /= self.w.mean()
        self.loss, self.activation, self.alpha = loss, activation, alpha
        self.groups = Groups.of_trees(self.X, W, signs, width).distinct()
        self.arrangements = pr.Arrangements.from_trees(self.X, W, signs, width=width)
        self.directions = unit(rng.standard_normal((len(self.arrangements), C)))
        self.options = {
            "activation": activation,
            "loss": loss,
            "sample_weight": self.w,
            "fit_intercept": True,
        }

    def solve(self, **options):
        return pr.solve(
            self.X,
            self.Y,
            self.arrangements,
            self.alpha,
            directions=self.directions,
            **self.options,
            **options,
        )

    def mean_loss(self, f):
        if self.loss == "log_loss":
            rows = logsumexp(f, axis=1) - np.sum(self.Y * f, axis=1)
        elif self.loss == "huber":
            r = np.abs(f - self.Y)
            rows = np.sum(np.where(r <= 1, r**2 / 2, r - 0.5), axis=1)
        else:
            rows = np.sum((f - self.Y) ** 2, axis=1) / 2
        return np.mean(self.w * rows)

    def group(self, g):
        size = self.groups.paths * self.X.shape[1]
        return self.groups.dense(self.X)[:, g * size : (g + 1) * size]

    def predict(self, blocks, intercept):
        f = np.tile(intercept, (len(self.X), 1))
        for g, block in enumerate(blocks):
            f += np.outer(self.group(g) @ block.ravel(), self.directions[g])
        return f

    def optimum(self):
        n, C = self.Y.shape
        b = cp.Variable((1, C))
        f, norms, constraints = np.ones((n, 1)) @ b, [], []
        for g in range(len(self.groups)):
            B = self.group(g)
            v = cp.Variable((B.shape[1], 1))
            f = f + (B @ v) @ self.directions[g : g + 1]
            norms.append(cp.norm(v))
            if self.activation == "relu":
                constraints.append(unit_rows(self.groups.cone_rows(self.X, g)) @ v >= 0)
        if self.loss == "log_loss":
            rows = cp.log_sum_exp(f, axis=1) - cp.sum(cp.multiply(self.Y, f), axis=1)
        elif self.loss == "huber":
            rows = cp.sum(cp.huber(f - self.Y, 1), axis=1) / 2
        else:
            rows = cp.sum(cp.square(f - self.Y), axis=1) / 2
        objective = self.w @ rows / n + self.alpha * sum(norms)
        return cp.Problem(cp.Minimize(objective), constraints).solve(**CLARABEL)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_solve_reaches_the_optimum_of_cvxpy(activation, width, loss):
    program = Program(len(width), loss, activation, width)
    solution = program.solve(tol=1e-9)
    assert solution.converged
    blocks = solution.blocks[:, 0]
    assert 0 < solution.n_active == np.count_nonzero(np.linalg.norm(blocks, axis=(1, 2)))
    f = program.predict(blocks, solution.intercept)
    penalty = program.alpha * np.linalg.norm(blocks, axis=(1, 2)).sum()
    assert solution.objective == pytest.approx(program.mean_loss(f) + penalty, rel=1e-12)
    assert solution.objective == pytest.approx(program.optimum(), abs=CLARABEL_ERROR)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_gap_never_understates_the_distance_to_the_optimum(seed):
    program = Program(seed, LOSSES[seed % 3], ["relu", "gated"][seed % 2], WIDTHS[seed % 2], alpha=0.01)
    optimum = program.optimum()
    for max_iter in (1, 3, 30, 1000):
        for record in program.solve(tol=1e-12, max_iter=max_iter).history:
            assert record.objective - optimum <= record.gap + CLARABEL_ERROR
            assert record.dual_objective <= optimum + CLARABEL_ERROR


def test_the_solution_meets_the_optimality_conditions():
    program = Program(3, "squared_error")
    solution = program.solve(tol=1e-12)
    f = program.predict(solution.blocks[:, 0], solution.intercept)
    theta = -program.w[:, None] * (f - program.Y) / len(f)
    np.testing.assert_allclose(theta.sum(axis=0), 0, atol=1e-12)
    for g, block in enumerate(solution.blocks[:, 0]):
        score = project(
            program.groups.cone_rows(program.X, g), program.group(g).T @ theta @ program.directions[g]
        )
        norm = np.linalg.norm(block)
        assert np.linalg.norm(score) <= program.alpha * (1 + 1e-4)
        if norm > 1e-6:
            np.testing.assert_allclose(score, program.alpha * block.ravel() / norm, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_axes_as_directions_are_the_program_of_one_output_each(activation):
    program = Program(4, "squared_error", activation, P=4)
    plain = pr.solve(program.X, program.Y, program.arrangements, 0.03, tol=1e-10, **program.options)
    P, C = len(program.arrangements), program.Y.shape[1]
    repeated = program.arrangements[np.tile(np.arange(P), 2 * C)]
    axes = np.repeat(np.concatenate([np.eye(C), -np.eye(C)]), P, axis=0)
    directed = pr.solve(program.X, program.Y, repeated, 0.03, directions=axes, tol=1e-10, **program.options)
    assert directed.objective == pytest.approx(plain.objective, rel=1e-8)


def test_alpha_max_and_path_take_directions():
    program = Program(5, "log_loss")
    options = program.options | {"directions": program.directions}
    largest = pr.alpha_max(program.X, program.Y, program.arrangements, **options)
    for factor, active in ((1.001, False), (0.99, True)):
        solution = pr.solve(program.X, program.Y, program.arrangements, factor * largest, **options)
        assert (solution.n_active > 0) == active
    path = pr.solve_path(program.X, program.Y, program.arrangements, n_alphas=4, eps=0.1, **options)
    assert (np.diff(path.objectives) < 0).all()
    assert path.solutions[-1].directions is not None


@pytest.mark.parametrize(
    ("directions", "reason"),
    [
        (np.ones((2, 2)), r"directions has shape \(2, 2\); expected \(6, 3\)"),
        (np.ones((6, 3)), r"directions\[0\] has norm 1.73205; expected 1"),
        (np.eye(3)[[0, 1, 2, 0, 1, 2]] * [[1], [1], [0], [1], [1], [1]], r"directions\[2\] has norm 0"),
        (np.full((6, 3), np.nan), "directions has the value nan"),
        ("x", "directions"),
    ],
)
def test_bad_directions_are_refused(directions, reason):
    program = Program(0, "squared_error")
    with pytest.raises((ValueError, TypeError), match=reason):
        pr.solve(program.X, program.Y, program.arrangements, 0.1, directions=directions)


@pytest.mark.parametrize("call", [pr.search, lambda X, y, alpha, **o: pr.PathReLURegressor(**o).fit(X, y)])
def test_unknown_outputs_are_refused(call):
    with pytest.raises(ValueError, match="outputs is 'both'; expected 'auto' or 'shared' or 'separate'"):
        call(np.ones((3, 1)), np.arange(3.0), 0.1, outputs="both")
    with pytest.raises(ValueError, match="outputs is 'shared' with arrangements 'sample'"):
        pr.PathReLUClassifier(outputs="shared", arrangements="sample").fit([[0.0], [1]], [0, 1])


def test_one_output_is_the_same_whatever_outputs_says():
    X = np.random.default_rng(0).standard_normal((50, 3))
    y = np.abs(X[:, 0])
    blocks = [pr.search(X, y, 0.01, outputs=o, random_state=0).blocks for o in ("auto", "shared", "separate")]
    np.testing.assert_array_equal(blocks[0], blocks[1])
    np.testing.assert_array_equal(blocks[0], blocks[2])


# ---- Search -------------------------------------------------------------------


def teacher(seed, n=100, d=4, C=3, width=()):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    W, signs = random_trees(rng, 4, d, width)
    hidden = np.stack([tree_output(X, w, s, width) for w, s in zip(W, signs, strict=True)], axis=1)
    return X, hidden @ rng.standard_normal((4, C)) + 0.1 * rng.standard_normal((n, C))


def network_objective(network, X, Y, loss, alpha):
    """The objective of (NC), by the definition of the network and of its path norm."""
    f = np.tile(network.intercept, (len(X), 1))
    penalty = 0.0
    for W, signs, a in zip(network.leaf_weights, network.edge_signs, network.output_weights, strict=True):
        f += np.outer(tree_output(X, W, signs, network.width), a)
        penalty += np.linalg.norm(W) * np.linalg.norm(a)
    if network.skip_weights is not None:
        f += X @ network.skip_weights.T
        penalty += np.linalg.norm(network.skip_weights, axis=1).sum()
    if loss == "log_loss":
        mean = np.mean(logsumexp(f, axis=1) - np.sum(Y * f, axis=1))
    else:
        mean = np.mean(np.sum((f - Y) ** 2, axis=1)) / 2
    return mean + alpha * penalty


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_network_of_a_search_has_the_objective_of_its_program(depth, loss):
    X, Y = teacher(depth, width=(2,) * (depth - 2))
    if loss == "log_loss":
        Y[np.arange(3), np.arange(3)] = Y.max() + 1  # all classes occur
        Y = np.eye(3)[Y.argmax(axis=1)]
    options = {"depth": depth, "width": 2, "loss": loss, "fit_intercept": True, "random_state": 0}
    shared = pr.search(X, Y, 0.03, **options)
    network = shared.network()
    assert network.shared_outputs
    np.testing.assert_allclose(np.linalg.norm(network.output_weights, axis=1), 1, rtol=1e-12)
    assert network_objective(network, X, Y, loss, 0.03) == pytest.approx(shared.objective, rel=1e-9)
    assert network.objective(X, Y, 0.03, loss=loss) == pytest.approx(shared.objective, rel=1e-9)
    assert shared.objective <= pr.search(X, Y, 0.03, outputs="separate", **options).objective
    again = pr.solve(
        X, Y, shared.arrangements, 0.03, directions=shared.directions, loss=loss, fit_intercept=True
    )
    assert again.objective == pytest.approx(shared.objective, rel=2e-6)


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_shared_outputs_are_never_above_separate_ones(load, activation):
    X, y = load(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    options = {"loss": "log_loss", "fit_intercept": True, "random_state": 0, "activation": activation}
    for alpha in (0.1, 0.01):
        shared, separate = (pr.search(X, y, alpha, outputs=o, **options) for o in ("shared", "separate"))
        assert shared.objective <= separate.objective * (1 + 1e-4)


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_bits_do_not_depend_on_threads(activation):
    X, Y = teacher(7, n=1100)  # two blocks of sums
    threshold = _core.serial_threshold()
    _core.use_serial_threshold(0)
    try:
        runs = [
            pr.search(X, Y, 0.2, activation=activation, max_rounds=1, random_state=0, n_threads=threads)
            for threads in (1, 2, 3)
        ]
        assert _core.largest_team() > 1
    finally:
        _core.use_serial_threshold(threshold)
    for run in runs[1:]:
        np.testing.assert_array_equal(run.blocks, runs[0].blocks)
        np.testing.assert_array_equal(run.directions, runs[0].directions)


def test_a_skip_connection_of_several_outputs():
    X, Y = teacher(8)
    Y = Y + X @ np.ones((4, 3))
    options = {"random_state": 0, "fit_intercept": True, "skip_connection": True}
    found = pr.search(X, Y, 0.03, **options)
    network = found.network()
    assert network.skip_connection
    assert network_objective(network, X, Y, "squared_error", 0.03) == pytest.approx(found.objective, rel=1e-9)
    assert found.objective <= pr.search(X, Y, 0.03, outputs="separate", **options).objective * (1 + 1e-6)


# ---- Networks and estimators ----------------------------------------------------


def fitted(C=4):
    X, Y = teacher(1, C=C)
    return X, pr.PathReLUClassifier(alpha=0.02, random_state=0).fit(X, Y.argmax(axis=1))


def test_a_network_with_output_weights_is_its_definition(tmp_path):
    rng = np.random.default_rng(2)
    A = rng.standard_normal((5, 3)) * (rng.random((5, 3)) < 0.7)
    network = pr.ParallelReLUNetwork(
        rng.standard_normal((5, 2, 4)),
        edge_signs=rng.choice([-1, 1], (5, 2)),
        output_weights=A,
        intercept=[1, 2, 3],
    )
    X = rng.standard_normal((40, 4))
    expected = np.tile([1.0, 2, 3], (40, 1))
    for W, signs, a in zip(network.leaf_weights, network.edge_signs, A, strict=True):
        expected += np.outer(tree_output(X, W, signs, (2,)), a)
    np.testing.assert_allclose(network.predict(X), expected, atol=1e-12)
    norms = np.linalg.norm(network.leaf_weights, axis=(1, 2)) * np.linalg.norm(A, axis=1)
    assert network.path_norm() == pytest.approx(norms.sum())
    total = subnetwork_outputs(network, X).sum(axis=1) + network.intercept
    np.testing.assert_allclose(total, expected, atol=1e-12)
    importance = subnetwork_importance(network, X)
    assert importance.variance_share.sum() == pytest.approx(1)
    by_output = feature_importance(network, by_output=True)
    np.testing.assert_allclose(by_output.sum(axis=0), feature_importance(network))
    for path in (tmp_path / "n.npz", tmp_path / "n.json"):
        network.save(path)
        np.testing.assert_array_equal(pr.load(path).output_weights, A)
    assert json.loads((tmp_path / "n.json").read_text())["version"] == 3
    with pytest.raises(ValueError, match="output_weights came with output_sign or output_index"):
        pr.ParallelReLUNetwork(np.ones((1, 1, 1)), output_weights=[[1.0]], output_sign=[1])
    with pytest.raises(ValueError, match=r"output_weights has shape \(1, 2\); expected \(1, 1\)"):
        pr.ParallelReLUNetwork(np.ones((1, 1, 1)), output_weights=[[1.0, 2.0]])


def test_the_classifier_shares_outputs_and_its_files_and_exports_agree(tmp_path):
    X, model = fitted()
    assert model.network_.shared_outputs
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities, softmax(model.network_.predict(X), axis=1), atol=1e-12)
    model.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(pr.load(tmp_path / "model.npz").predict_proba(X), probabilities)
    onnxruntime = pytest.importorskip("onnxruntime")
    model.network_.to_onnx(tmp_path / "model.onnx", dtype=np.float64)
    session = onnxruntime.InferenceSession((tmp_path / "model.onnx").read_bytes())
    np.testing.assert_allclose(session.run(None, {"X": X})[1], probabilities, atol=1e-9)
    separate = pr.PathReLUClassifier(alpha=0.02, outputs="separate", random_state=0)
    y = model.predict(X)
    assert not separate.fit(X, y).network_.shared_outputs


def test_torch_gives_the_same_outputs_and_the_same_norm():
    torch = pytest.importorskip("torch")
    X, model = fitted()
    module = model.network_.to_torch(dtype=np.float64)
    np.testing.assert_allclose(
        module(torch.tensor(X)).detach().numpy(), model.network_.predict(X), atol=1e-12
    )
    assert tuple(module.output_weights.shape) == model.network_.output_weights.shape


def test_prune_keeps_outputs_and_leaves_no_more_than_rows_times_outputs():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((4, 3))
    network = pr.ParallelReLUNetwork(
        rng.standard_normal((60, 1, 3)), output_weights=unit(rng.standard_normal((60, 2))), intercept=[0, 0]
    )
    pruned = network.prune(X)
    np.testing.assert_allclose(pruned.predict(X), network.predict(X), atol=1e-9)
    assert pruned.n_subnetworks <= 8 < network.n_subnetworks
    assert pruned.path_norm() <= network.path_norm() * (1 + 1e-12)


def test_several_targets_share_sub_networks():
    X, Y = teacher(4)
    model = pr.PathReLURegressor(alpha=0.02, random_state=0).fit(X, Y)
    assert model.network_.shared_outputs
    assert isinstance(model.alpha_, float)
    assert model.objective_ == pytest.approx(model.network_.objective(X, Y, 0.02), rel=1e-9)
    apart = pr.PathReLURegressor(alpha=0.02, outputs="separate", random_state=0).fit(X, Y)
    assert model.objective_ < apart.objective_
    cv = pr.PathReLURegressorCV(alphas=3, cv=3, random_state=0).fit(X, Y)
    assert cv.network_.shared_outputs


def test_warm_start_starts_from_shared_sub_networks():
    X, Y = teacher(5)
    model = pr.PathReLURegressor(alpha=0.05, warm_start=True, random_state=0).fit(X, Y)
    first = model.objective_
    assert model.fit(X, Y).objective_ <= first * (1 + 1e-6)


def test_digits_have_a_lower_objective_than_with_one_output_each():
    X, y = load_digits(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    options = {"loss": "log_loss", "fit_intercept": True, "random_state": 0, "max_rounds": 1}
    shared, separate = (pr.search(X, y, 0.01, outputs=o, **options) for o in ("shared", "separate"))
    assert shared.objective < 0.95 * separate.objective
