"""The skip connection: a linear group beside the arrangements of trees, from the program to the file."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference import loss_values
from sklearn.utils.estimator_checks import parametrize_with_checks
from support import random_program, solve

import pathrelu as pr
from pathrelu import PathReLUClassifier, PathReLURegressor, _core

ACTIVATIONS = ["relu", "gated"]
WIDTHS = [(), (3,), (2, 2)]  # depths 2, 3, 4


def teacher(n=60, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = X @ rng.standard_normal(d) + np.maximum(X @ rng.standard_normal(d), 0) + 0.1 * rng.standard_normal(n)
    return X, y / y.std()


# ---- Arrangements -----------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_the_linear_group_is_one_group_more_whose_first_path_is_always_on(width):
    _, plain = random_program(0, width, n=70)  # more rows than bits of one word
    arrangements = plain.with_skip_connection()

    assert len(arrangements) == len(plain) + 1
    assert not plain.skip_connection
    assert arrangements.skip_connection
    assert arrangements.linear.tolist() == [False] * len(plain) + [True]
    np.testing.assert_array_equal(arrangements.masks()[:-1], plain.masks())
    expected = np.zeros((plain.paths, 70), bool)
    expected[0] = True
    np.testing.assert_array_equal(arrangements.masks()[-1], expected)
    assert (arrangements.signs[-1] == 1).all()
    assert not arrangements.gates[-1].any()
    assert arrangements.source_index[-1] == -1
    assert arrangements.with_skip_connection() is arrangements
    assert "skip_connection=True" in repr(arrangements)


def test_the_linear_group_is_not_the_tree_that_is_always_on():
    X = np.abs(np.random.default_rng(0).standard_normal((9, 2)))
    always_on = pr.Arrangements.from_gates(X, np.ones((1, 2)))
    core = always_on.core.with_linear().join(always_on.core).with_linear()
    assert core.distinct().tolist() == [0, 1]
    assert core.linear.tolist() == [False, True, False, True]
    assert core.select(np.array([1, 0])).linear.tolist() == [True, False]


@pytest.mark.parametrize("width", WIDTHS)
def test_selecting_and_pickling_keep_the_linear_group(width):
    _, arrangements = random_program(1, width)
    arrangements = arrangements.with_skip_connection()
    for other in (arrangements[::-1], arrangements[np.arange(len(arrangements)) % 2 == 0]):
        again = pickle.loads(pickle.dumps(other))
        np.testing.assert_array_equal(again.linear, other.linear)
        np.testing.assert_array_equal(again.masks(), other.masks())
    assert arrangements[::-1].linear.tolist() == [True] + [False] * (len(arrangements) - 1)
    assert not arrangements[:-1].skip_connection


def test_the_cone_of_the_linear_group_is_everything():
    program, arrangements = random_program(2, (3,))
    arrangements = arrangements.with_skip_connection()
    z = np.random.default_rng(0).standard_normal(9)
    group = len(arrangements) - 1
    np.testing.assert_array_equal(_core.project(program.X, arrangements.core, group, z), z)
    assert not _core.cone_slack(program.X, arrangements.core, group, z).any()


# ---- The program -----------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_solve_reaches_the_optimum_of_cvxpy(activation, width, loss):
    program, arrangements = random_program(
        7, width, activation=activation, loss=loss, fit_intercept=loss == "log_loss", weighted=True
    )
    plain = solve(program, arrangements, tol=1e-9)
    solution = solve(program, arrangements.with_skip_connection(), tol=1e-9)

    assert solution.converged
    assert solution.objective == pytest.approx(program.optimum(skip_connection=True), rel=1e-6)
    assert solution.objective < plain.objective * (1 - 1e-3)
    linear = solution.blocks[-1]
    assert np.linalg.norm(linear[0, 0]) > 0
    assert not linear[:, 1:].any()  # paths on which nothing depends
    assert not linear[1:].any()  # one sign is enough


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_rebuilt_network_has_the_objective_of_the_program(activation, width, dtype):
    program, arrangements = random_program(3, width, n=40, activation=activation, fit_intercept=True)
    X = program.X.astype(dtype)
    program = replace(program, X=X.astype(np.float64))
    solution = pr.solve(
        X,
        program.y,
        arrangements.with_skip_connection(),
        program.alpha,
        activation=activation,
        fit_intercept=True,
    )
    network = solution.network()
    objective = network.objective(program.X, program.y, program.alpha)
    rel = 1e-9 if dtype == np.float64 else 1e-6  # blocks of float32 rows are rounded
    assert objective == pytest.approx(solution.objective, rel=rel)
    assert network.n_subnetworks == solution.n_active - 1

    # By the definition: what the trees give, and the linear map.
    skip = np.asarray(solution.blocks[-1, 0, 0], np.float64)
    blocks = np.asarray(solution.blocks[:-1], np.float64)
    f = program.predict(blocks, solution.intercept) + program.X @ skip
    np.testing.assert_allclose(network.predict(program.X), f, atol=1e-9 if dtype == np.float64 else 1e-5)
    mean_loss = np.mean(loss_values("squared_error", f, program.y))
    penalty = program.penalty(blocks) + np.linalg.norm(skip)
    assert objective == pytest.approx(mean_loss + program.alpha * penalty, rel=rel)
    assert network.path_norm() == pytest.approx(penalty, rel=1e-9)


def test_every_output_has_a_skip_connection_of_its_own():
    program, arrangements = random_program(4)
    y = np.stack([program.y, program.X @ [1.0, -1.0, 2.0]], axis=1)
    arrangements = arrangements.with_skip_connection()
    both = pr.solve(program.X, y, arrangements, 0.01, fit_intercept=True, tol=1e-9)
    alone = [pr.solve(program.X, c, arrangements, 0.01, fit_intercept=True, tol=1e-9) for c in y.T]
    network = both.network()
    assert network.skip_weights.shape == (2, 3)
    assert both.objective == pytest.approx(sum(solution.objective for solution in alone), rel=1e-7)
    assert network.objective(program.X, y, 0.01) == pytest.approx(both.objective, rel=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_start_may_hold_weights_that_the_linear_group_does_not_have(activation):
    program, arrangements = random_program(5, (3,), activation=activation)
    arrangements = arrangements.with_skip_connection()
    cold = solve(program, arrangements, tol=1e-10)
    init = np.ones_like(cold.blocks)
    warm = solve(program, arrangements, tol=1e-10, init=init)
    assert warm.objective == pytest.approx(cold.objective, rel=1e-8)
    early = solve(program, arrangements, max_iter=1, init=init)
    assert early.blocks[-1, 0, 0].any()
    assert not early.blocks[-1, 0, 1:].any()
    assert not early.blocks[-1, 1:].any()


def test_alpha_max_counts_the_linear_group():
    program, arrangements = random_program(6, P=3)
    arrangements = arrangements.with_skip_connection()
    largest = pr.alpha_max(program.X, program.y, arrangements)
    linear = np.linalg.norm(program.X.T @ program.y) / len(program.y)
    assert largest >= linear * (1 - 1e-12)
    below = pr.solve(program.X, program.y, arrangements, 0.99 * largest)
    assert below.n_active > 0
    assert pr.solve(program.X, program.y, arrangements, 1.01 * largest).n_active == 0


# ---- Search -----------------------------------------------


@pytest.mark.parametrize(("depth", "width"), [(2, 1), (3, 3)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_search_with_a_skip_connection_is_not_worse_than_without(activation, depth, width):
    X, y = teacher()
    options = {"depth": depth, "width": width, "activation": activation, "random_state": 0, "tol": 1e-7}
    plain = pr.search(X, y, 0.02, **options)
    solution = pr.search(X, y, 0.02, skip_connection=True, **options)
    assert solution.arrangements.linear.sum() == 1
    assert not plain.arrangements.skip_connection
    assert solution.converged
    assert solution.objective < plain.objective
    network = solution.network()
    assert np.linalg.norm(network.skip_weights) > 0.1
    objective = np.mean((network.predict(X) - y) ** 2) / 2 + 0.02 * network.path_norm()
    assert objective == pytest.approx(solution.objective, rel=1e-9)
    again = pr.solve(X, y, solution.arrangements, 0.02, activation=activation, tol=1e-8)
    assert again.objective == pytest.approx(solution.objective, rel=1e-6)


def test_what_is_linear_needs_no_trees():
    X, _ = teacher()
    solution = pr.search(X, X @ [1.0, -2.0, 0.5], 0.01, skip_connection=True, random_state=0)
    assert solution.network().n_subnetworks == 0
    assert solution.n_active == 1
    # Trees can say the same only at a higher price: x = (x)_+ - (-x)_+ costs twice the norm.
    plain = pr.search(X, X @ [1.0, -2.0, 0.5], 0.01, random_state=0)
    assert plain.network().path_norm() > 1.5 * solution.network().path_norm()


def test_search_with_a_skip_connection_is_reproducible_for_any_number_of_threads():
    X, y = teacher()
    runs = [
        pr.search(X, y, 0.02, skip_connection=True, random_state=3, n_threads=threads) for threads in (1, 2)
    ]
    np.testing.assert_array_equal(runs[0].blocks, runs[1].blocks)


# ---- Certificates -----------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("depth", [2, 3])
def test_the_gap_to_the_global_optimum_closes_with_a_skip_connection(depth, loss):
    X, y = teacher(12 if depth == 2 else 5, 2)
    y = np.where(y > np.median(y), 1.0, -1.0) if loss == "log_loss" else y
    width = 1 if depth == 2 else 2
    everything = pr.enumerate_arrangements(X, depth, width).with_skip_connection()
    best = pr.solve(X, y, everything, 0.02, loss=loss, fit_intercept=True, tol=1e-9)
    assert best.blocks[-1].any()

    certificate = pr.certify(best.network(), X, y, 0.02, loss=loss)

    assert certificate.relative_gap < 1e-6
    assert certificate.details["best_objective"] == pytest.approx(best.objective, rel=1e-6)
    # Without a skip connection the optimum is higher, and so is what bounds it from below.
    plain = pr.solve(X, y, everything[:-1], 0.02, loss=loss, fit_intercept=True, tol=1e-9)
    assert pr.certify(plain.network(), X, y, 0.02, loss=loss).lower > (1 + 1e-5) * best.objective


@pytest.mark.parametrize(
    "method", ["enumeration", "branch_and_bound", "semidefinite", "low_rank", "spectral", "solver"]
)
@pytest.mark.parametrize(("depth", "width"), [(2, 1), (3, 2)])
def test_no_lower_bound_is_above_a_network_with_a_skip_connection(method, depth, width):
    X, y = teacher(25, 3)
    y = X @ [1.0, 2.0, -1.0] + 0.3 * y  # mostly linear: bounds that forget the linear group are above
    for alpha in (0.01, 0.1, 0.5):
        found = pr.search(X, y, alpha, depth=depth, width=width, skip_connection=True, random_state=0)
        certificate = pr.certify(found.network(), X, y, alpha, method, max_nodes=3000)
        assert certificate.lower <= found.objective * (1 + 1e-9)
        if depth == 2 and method in ("enumeration", "branch_and_bound"):
            assert certificate.relative_gap < 0.02


# ---- The network and its file -----------------------------------------------


def random_network(kind, dtype=np.float64, outputs=2):
    rng = np.random.default_rng(0)
    shared = {
        "leaf_bias": rng.standard_normal((4, 3)),
        "edge_signs": rng.choice([-1, 1], (4, 3)),
        "output_index": rng.integers(0, outputs, 4),
        "intercept": rng.standard_normal(outputs),
        "center": rng.standard_normal(5),
        "scale": rng.random(5) + 0.5,
        "bias_scale": 2.0,
        "skip_weights": rng.standard_normal((outputs, 5)),
        "skip_bias": rng.standard_normal(outputs),
    }
    leaves = rng.standard_normal((4, 3, 5)).astype(dtype)
    if kind == "gated":
        return pr.GatedReLUNetwork(leaves, gates=rng.standard_normal(leaves.shape), **shared), shared
    return pr.ParallelReLUNetwork(leaves, **shared), shared


def without_skip(network, shared):
    arguments = {name: value for name, value in shared.items() if not name.startswith("skip")}
    if isinstance(network, pr.GatedReLUNetwork):
        arguments["gates"] = network.gates
    return type(network)(network.leaf_weights, **arguments)


@pytest.mark.parametrize("n", [7, 1003])
@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_predictions_are_those_of_the_trees_and_the_linear_map(kind, n):
    network, shared = random_network(kind)
    X = np.random.default_rng(1).standard_normal((n, 5))
    linear = (X - network.center) / network.scale @ network.skip_weights.T + network.skip_bias
    expected = without_skip(network, shared).predict(X) + linear
    np.testing.assert_allclose(network.predict(X), expected, rtol=1e-11, atol=1e-11)
    raw = X @ network.weights["skip"].T + network.weights["skip_bias"]
    np.testing.assert_allclose(raw, linear, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(network.predict(X, n_threads=3), network.predict(X, n_threads=1))


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_the_path_norm_counts_the_linear_map_of_each_output(kind):
    network, shared = random_network(kind)
    linear = np.sqrt((network.skip_weights**2).sum(axis=1) + (network.skip_bias / 2) ** 2).sum()
    assert network.path_norm() == pytest.approx(without_skip(network, shared).path_norm() + linear)
    assert network.subnetwork_norms().shape == (4,)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_a_saved_network_is_the_same_network(tmp_path, kind, dtype):
    network, shared = random_network(kind, dtype)
    network.save(tmp_path / "with.npz")
    again = pr.load(tmp_path / "with.npz")
    X = np.random.default_rng(1).standard_normal((20, 5)).astype(dtype)
    np.testing.assert_array_equal(again.predict(X), network.predict(X))
    assert again.skip_weights.dtype == network.skip_weights.dtype == dtype
    assert "skip_connection=True" in repr(again)
    without_skip(network, shared).save(tmp_path / "without.npz")
    assert not pr.load(tmp_path / "without.npz").skip_connection


def test_a_file_of_the_first_version_has_no_skip_connection(tmp_path):
    network, _ = random_network("relu")
    network.save(tmp_path / "two.npz")
    with np.load(tmp_path / "two.npz") as stored:
        arrays = dict(stored)
    header = json.loads(arrays["header"].tobytes())
    assert header["version"] == 3
    header["version"] = 1
    del header["pathrelu_version"]
    first = arrays | {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    np.savez(tmp_path / "one.npz", **first)
    with pytest.raises(ValueError, match=r"'skip_bias' .*'skip_weights'"):
        pr.load(tmp_path / "one.npz")
    del arrays["skip_bias"]
    np.savez(tmp_path / "two.npz", **arrays)
    with pytest.raises(ValueError, match="'skip_bias'"):
        pr.load(tmp_path / "two.npz")
    written_then = Path(__file__).parent / "formats" / "network_1_relu_depth_2.npz"
    assert not pr.load(written_then).skip_connection


def test_a_skip_connection_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"skip_weights has shape \(3,\); expected \(1, 3\)"):
        pr.ParallelReLUNetwork(np.ones((2, 1, 3)), skip_weights=np.ones(3))
    with pytest.raises(ValueError, match="skip_bias came without skip_weights"):
        pr.ParallelReLUNetwork(np.ones((2, 1, 3)), skip_bias=np.ones(1))
    with pytest.raises(TypeError, match="skip_connection is 'yes'; expected True or False"):
        pr.search(np.ones((2, 1)), np.ones(2), 0.1, skip_connection="yes")


# ---- Estimators -----------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        PathReLURegressor(skip_connection=True, max_iter=300, alpha=0.1),
        PathReLUClassifier(arrangements="sample", n_arrangements=50, skip_connection=True),
    ]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("source", ["search", "sample"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_fitted_network_has_the_objective_that_was_minimised(activation, source, bias):
    X, y = teacher()
    X = 3 * X + 1
    model = PathReLURegressor(
        activation=activation,
        arrangements=source,
        n_arrangements=30,
        bias=bias,
        skip_connection=True,
        random_state=0,
        alpha=0.01,
    ).fit(X, y)
    plain = PathReLURegressor(
        alpha=0.01, activation=activation, arrangements=source, n_arrangements=30, bias=bias, random_state=0
    ).fit(X, y)
    assert model.network_.skip_connection
    assert model.network_.objective(X, y, model.alpha_) == pytest.approx(model.objective_, rel=1e-8)
    if source == "sample":  # the same trees, and a linear group more
        assert model.objective_ < plain.objective_
    assert model.n_subnetworks_ == model.network_.n_subnetworks


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_warm_start_keeps_the_skip_connection(activation):
    X, y = teacher()
    model = PathReLURegressor(
        alpha=0.01,
        activation=activation,
        arrangements="sample",
        n_arrangements=30,
        skip_connection=True,
        warm_start=True,
        random_state=0,
    )
    cold = model.fit(X, y).n_iter_
    first = model.network_
    model.fit(X, y)
    assert model.n_iter_ < cold
    np.testing.assert_allclose(model.network_.skip_weights, first.skip_weights, rtol=1e-2)
    model.set_params(skip_connection=False).fit(X, y)
    assert not model.network_.skip_connection
