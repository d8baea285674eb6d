"""Raw data and programs: there and back."""

import numpy as np
import pytest

import pathrelu as pr
from pathrelu.program._solve import run, solver_options
from pathrelu.training import Data, Scaling, TrainingProblem, canonical, labelled_weights


def training_problem(activation="relu", **options):
    rng = np.random.default_rng(0)
    constant = np.where(np.arange(40) % 2, 0.1, np.nextafter(0.1, 1))  # up to rounding
    X = np.column_stack([10 + 3 * rng.standard_normal((40, 2)), constant])
    w = rng.random(40) + 0.5
    y = np.maximum(X[:, :1] - 10, 0)
    data = Data(X, np.hstack([y, y - X[:, 1:2]]), w, "squared_error")
    scaling = Scaling.fit(X, w, **({"standardize": True, "bias": True} | options))
    return TrainingProblem(data, scaling, activation, shared=False)


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"standardize": False}])
def test_a_network_has_the_objective_of_the_programs_that_it_comes_from(activation, options):
    training = training_problem(activation, **options)
    arrangements = pr.sample_arrangements(training.X, 30, random_state=0)
    alpha, solver = 0.05, solver_options(1e-9, 10_000, True, None)
    solutions = [run(program, arrangements, alpha, solver) for program in training.programs()]
    network = training.network(solutions, ["a", "b", "c"])
    assert network.n_outputs == 2
    assert network.n_subnetworks > 0
    data = training.data
    objective = network.objective(data.X, data.y, alpha, sample_weight=data.w)
    assert objective == pytest.approx(sum(solution.objective for solution in solutions), rel=1e-9)
    if not options:  # centered: what is constant is no feature
        assert not training.X[:, 2].any()
        assert not network.leaf_weights[..., 2].any()

    # The problem of the network is the one it comes from.
    again = TrainingProblem(data, Scaling.of(network, options.get("bias", True)), activation, shared=False)
    assert np.allclose(again.X[:, :2], training.X[:, :2], rtol=1e-12, atol=1e-12)
    assert again.X.shape == training.X.shape
    if activation == "gated":  # gates are in general position; weights may be on the edge of their cone
        patterns = {pattern.tobytes() for pattern in arrangements.patterns()}
        assert {pattern.tobytes() for pattern in again.groups(network)[0].patterns()} <= patterns


def test_biases_are_weights_of_the_constant_column():
    network = pr.ParallelReLUNetwork(
        [[[1.0, 2.0]]], leaf_bias=[[3.0]], bias_scale=2.0, center=[1.0, 0.0], scale=[2.0, 1.0]
    )
    scaling = Scaling.of(network, True)
    X = np.array([[1.0, 5.0], [4.0, -1.0], [-7.0, 0.5]])
    leaves = scaling.trees(network.leaf_weights, network.leaf_bias)[0, 0]
    assert np.allclose(np.maximum(scaling.rows(X) @ leaves, 0), network.predict(X))
    assert np.linalg.norm(leaves) == pytest.approx(network.path_norm())


def test_balanced_classes_have_equal_totals_of_the_weights_of_samples():
    y = np.array(["a", "a", "b", "b", "b"])
    weight, labels, code = labelled_weights([1.0, 2.0, 3.0, 4.0, 5.0], y, "balanced")
    assert labels.tolist() == ["a", "b"]
    totals = np.bincount(code, weight)
    assert totals[0] == pytest.approx(totals[1])
    assert weight[1] / weight[0] == 2.0


def test_rows_keep_their_kind_and_data_their_totals():
    training = training_problem()
    narrow = training.data.X.astype(np.float32)
    assert Scaling.fit(narrow, training.data.w, standardize=True, bias=True).rows(narrow).dtype == np.float32
    rows, _, weights = canonical(np.array([[1.0], [0.0], [1.0]]), np.ones((3, 1)), np.array([1.0, 0.0, 2.0]))
    assert rows.tolist() == [0]
    assert weights.tolist() == [3.0]
