"""Pruning: at most as many sub-networks as rows, for the same outputs and no larger path norm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import random_trees

import pathrelu as pr
from pathrelu import PathReLUClassifier, PathReLURegressor
from pathrelu._core import fewest_columns
from pathrelu.program._problem import Problem
from pathrelu.program._search import pruned

WIDTHS = [(), (3,), (2, 2)]


def random_network(width, kind="relu", K=40, d=3, outputs=1, dtype=np.float64, **options):
    rng = np.random.default_rng(1)
    leaves, signs = random_trees(rng, K, d, width)
    arguments = {
        "leaf_bias": rng.standard_normal(leaves.shape[:2]),
        "edge_signs": signs,
        "output_sign": rng.choice([-1, 1], K),
        "output_index": rng.integers(0, outputs, K),
        "intercept": rng.standard_normal(outputs),
        "center": rng.standard_normal(d),
        "width": width,
    } | options
    if kind == "gated":
        return pr.GatedReLUNetwork(leaves, gates=rng.standard_normal(leaves.shape), **arguments)
    return pr.ParallelReLUNetwork(leaves.astype(dtype), **arguments)


def rows(n=9, d=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("kind", ["relu", "gated"])
@pytest.mark.parametrize("width", WIDTHS)
def test_at_most_n_subnetworks_say_the_same_on_the_rows_for_no_larger_norm(width, kind, outputs):
    X = rows()
    network = random_network(width, kind, outputs=outputs)
    before = network.leaf_weights.copy()
    pruned = network.prune(X)
    assert np.bincount(network.output_index).max() > len(X)
    assert np.bincount(pruned.output_index).max() <= len(X)
    np.testing.assert_allclose(pruned.predict(X), network.predict(X), rtol=1e-11, atol=1e-11)
    assert pruned.path_norm() < network.path_norm()
    y = np.random.default_rng(2).standard_normal((len(X), outputs))
    assert pruned.objective(X, y, 0.1) < network.objective(X, y, 0.1)
    np.testing.assert_array_equal(network.leaf_weights, before)
    assert np.abs(pruned.predict(rows(seed=3)) - network.predict(rows(seed=3))).max() > 1e-3


def test_what_is_left_are_rescaled_subnetworks():
    network = random_network((3,), K=20)
    pruned = network.prune(rows(5))
    for k in range(pruned.n_subnetworks):
        ratio = pruned.leaf_weights[k] / network.leaf_weights
        match = np.flatnonzero(np.ptp(ratio.reshape(20, -1), axis=1) < 1e-9)
        assert len(match) == 1
        assert ratio[match[0], 0, 0] > 0
        np.testing.assert_array_equal(pruned.edge_signs[k], network.edge_signs[match[0]])
        np.testing.assert_allclose(
            pruned.leaf_bias[k], network.leaf_bias[match[0]] * ratio[match[0], 0, 0], rtol=1e-9
        )


def test_subnetworks_with_independent_outputs_stay_bit_by_bit():
    network = random_network((), K=6, dtype=np.float32, leaf_bias=np.zeros((6, 1)))
    pruned = network.prune(rows(50))
    np.testing.assert_array_equal(pruned.leaf_weights, network.leaf_weights)
    assert pruned.leaf_weights.dtype == np.float32


def test_subnetworks_that_are_zero_on_the_rows_go():
    X = np.abs(rows(20))
    dead = pr.ParallelReLUNetwork([[[-1.0, -1, -1]], [[1.0, 0, 0]], [[0.0, 0, 0]]], intercept=2.0)
    pruned = dead.prune(X)
    assert pruned.n_subnetworks == 1
    np.testing.assert_array_equal(pruned.predict(X), dead.predict(X))
    assert dead.prune(-X).prune(X).n_subnetworks == 0


def test_the_skip_connection_and_the_intercept_stay():
    network = random_network((), skip_weights=np.ones((1, 3)), skip_bias=np.ones(1))
    X = rows()
    pruned = network.prune(X)
    np.testing.assert_array_equal(pruned.skip_weights, network.skip_weights)
    np.testing.assert_array_equal(pruned.intercept, network.intercept)
    np.testing.assert_allclose(pruned.predict(X), network.predict(X), rtol=1e-11, atol=1e-11)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 12),
    rank=st.integers(1, 12),
    K=st.integers(1, 60),
    spread=st.floats(0, 3),
    seed=st.integers(0, 2**31),
)
def test_few_columns_have_the_same_sum_at_no_larger_cost(n, rank, K, spread, seed):
    rng = np.random.default_rng(seed)
    F = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, K))
    F[:, rng.random(K) < 0.1] = 0
    costs = 10 ** rng.uniform(-spread, spread, K)
    factors = fewest_columns(F, costs)
    assert (factors >= 0).all()
    assert np.count_nonzero(factors) <= min(n, rank)
    np.testing.assert_allclose(F @ factors, F.sum(axis=1), atol=1e-9 * np.abs(F).sum())
    assert costs @ factors <= costs.sum() * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_columns_that_are_dependent_but_for_rounding_keep_their_sum_and_cost(seed):
    """Of any size: 114 of 4,000 such sums once moved by up to 5 % of their terms, at up to 1 % more cost."""
    for of in range(200 * seed, 200 * (seed + 1)):
        rng = np.random.default_rng(of)
        n, rank, K = rng.integers(2, 25), rng.integers(1, 12), rng.integers(2, 40)
        F = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, K))
        costs = 10 ** rng.uniform(-1, 1, K)
        nearly, small = rng.random((2, K)) < 0.2
        F[:, nearly] += 10 ** -rng.uniform(8, 17) * rng.standard_normal((n, nearly.sum()))
        size = 10 ** -rng.uniform(0, 12, small.sum())
        F[:, small] *= size
        costs[small] *= size
        factors = fewest_columns(F, costs)
        assert (factors >= 0).all()
        np.testing.assert_allclose(F @ factors, F.sum(axis=1), rtol=0, atol=1e-13 * np.abs(F).sum())
        assert costs @ factors <= costs.sum() * (1 + 1e-12)


def test_rounding_does_not_pile_up_over_many_columns_of_unequal_cost():
    rng = np.random.default_rng(0)
    F = rng.standard_normal((50, 30)) @ rng.standard_normal((30, 400))
    costs = 10 ** rng.uniform(-3, 3, 400)
    factors = fewest_columns(F, costs)
    assert np.count_nonzero(factors) == 30
    np.testing.assert_allclose(F @ factors, F.sum(axis=1), rtol=0, atol=1e-13 * np.abs(F.sum(axis=1)).max())


def test_repeated_columns_become_the_cheapest_of_them():
    F = np.repeat(np.eye(3), 4, axis=1)
    costs = np.tile([3.0, 1, 2, 4], 3)
    factors = fewest_columns(F, costs)
    np.testing.assert_allclose(factors.reshape(3, 4), np.tile([0, 4, 0, 0], (3, 1)), atol=1e-12)


# One step from a start in every block: many sub-networks, none of them thinned out yet.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize(("depth", "width"), [(2, 1), (3, 2)])
def test_a_pruned_solution_is_one_of_its_own_network(activation, depth, width, outputs):
    X, alpha = rows(6, 4), 1e-3
    y = np.random.default_rng(5).standard_normal((6, outputs))
    arrangements = pr.sample_arrangements(X, 40, depth, width, random_state=0).with_skip_connection()
    options = {"activation": activation, "fit_intercept": True, "max_iter": 1}
    init = np.ones_like(pr.solve(X, y, arrangements, alpha, **options).blocks)
    init = init * arrangements.gates[:, None]
    plain = pr.solve(X, y, arrangements, alpha, init=init, **options)
    problem = Problem.check(X, y, activation, "squared_error", None)

    solution = pruned(problem, plain, 1)

    before, network = plain.network(), solution.network()
    assert np.bincount(before.output_index).min() > 6
    assert np.bincount(network.output_index).max() <= 6
    assert plain.n_active - solution.n_active == before.n_subnetworks - network.n_subnetworks
    np.testing.assert_allclose(network.predict(X), before.predict(X), rtol=1e-10, atol=1e-10)
    error = (network.predict(X).reshape(y.shape) - y) ** 2 / 2
    objective = error.sum() / len(X) + alpha * network.path_norm()
    assert solution.objective == pytest.approx(objective, rel=1e-10)
    assert solution.objective < plain.objective
    assert solution.gap == pytest.approx(solution.objective - plain.dual_objective, rel=1e-6)


@pytest.mark.parametrize("kind", ["regressor", "multi-output", "classifier"])
def test_estimators_with_prune_predict_the_same_on_their_rows(kind):
    X = rows(12, 2)
    y = np.random.default_rng(5).standard_normal((12, 2))
    if kind == "classifier":
        estimator, y = PathReLUClassifier, (y[:, 0] > 0).astype(int) + (y[:, 1] > 0.5)
    else:
        estimator, y = PathReLURegressor, y if kind == "multi-output" else y[:, 0]
    options = {"alpha": 1e-4, "arrangements": "sample", "activation": "gated", "tol": 1e-2, "random_state": 0}
    plain = estimator(**options).fit(X, y)
    pruned = estimator(prune=True, **options).fit(X, y)
    per_output = np.bincount(pruned.network_.output_index)
    assert np.bincount(plain.network_.output_index).max() > 12
    assert per_output.max() <= 12
    assert pruned.n_subnetworks_ == per_output.sum()
    np.testing.assert_allclose(pruned.network_.predict(X), plain.network_.predict(X), rtol=1e-8, atol=1e-8)
    assert pruned.objective_ <= plain.objective_


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="X has 2 columns; expected 3"):
        random_network(()).prune(rows(4, 2))
    with pytest.raises(TypeError, match="prune is 1; expected True or False"):
        pr.search(rows(), rows()[:, 0], 0.1, prune=1)


@pytest.mark.parametrize("prune", [False, True])
def test_prune_of_a_search_is_deprecated(prune):
    X, y = rows(), rows()[:, 0]
    with pytest.warns(FutureWarning, match="prune of search has no effect") as caught:
        found = pr.search(X, y, 0.1, prune=prune, random_state=0)
    assert caught[0].filename == __file__
    assert found.objective == pr.search(X, y, 0.1, random_state=0).objective
