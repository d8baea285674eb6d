"""The search over arrangements: how good its networks are, and that they are what it says."""

import copy

import numpy as np
import pytest
from problems import load
from sklearn.datasets import load_breast_cancer, load_diabetes

import pathrelu as pr
from pathrelu import PathReLUClassifier, _core

# Exact programs on 50 random gates leave 0.273, 0.085 and 0.024; see P0_OPTIMA in test_program.py. Runs of
# Adam on 100 sub-networks (bench/bench_search.py) leave 0.18063, 0.0317 and, of trees of depth 3 and 4 at
# the middle alpha of that file, 0.02017 and 0.02126.
P0_TARGETS = (0.18065, 0.0318, 0.0053)
P0_TREES = {(4,): 0.0201, (2, 2): 0.0211}
P0_TREES_ALPHA = 0.00644


@pytest.fixture(scope="module")
def teacher():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 4))
    y = np.maximum(X @ rng.standard_normal((4, 3)), 0) @ [1, 1, -2] + 0.1 * rng.standard_normal(80)
    return X, (y - y.mean()) / y.std()


def small(loss, y):
    return np.where(y > 0, 1.0, -1.0) if loss == "log_loss" else y


def assert_is_its_own_network(solution, X, y, alpha, **options):
    objective = solution.network().objective(X, y, alpha, **options)
    assert objective == pytest.approx(solution.objective, rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_constant_target_without_an_intercept_ends_at_the_optimum_of_all_arrangements(seed):
    """Tiny sub-networks in the span of the others: pruning them once ended 2 to 4 % above."""
    X, y, alpha = np.random.default_rng(2).standard_normal((20, 2)), np.ones(20), 0.003
    least = pr.solve(X, y, pr.enumerate_arrangements(X), alpha, tol=1e-8)
    solution = pr.search(X, y, alpha, random_state=seed)
    assert solution.objective == pytest.approx(least.objective, rel=1e-5)
    assert_is_its_own_network(solution, X, y, alpha)


@pytest.mark.parametrize("k", range(3))
def test_search_on_p0_passes_its_target(k):
    p = load("P0")
    solution = pr.search(p.X, p.y, p.lams[k], random_state=0)
    assert solution.network().objective(p.X, p.y, p.lams[k]) <= P0_TARGETS[k]
    assert_is_its_own_network(solution, p.X, p.y, p.lams[k])


@pytest.mark.parametrize("seed", [1, 2])
def test_search_on_p0_does_not_hang_on_its_seed(seed):
    p = load("P0")
    solution = pr.search(p.X, p.y, p.lams[1], random_state=seed)
    assert solution.objective <= P0_TARGETS[1]


@pytest.mark.parametrize("width", P0_TREES, ids=str)
def test_deep_search_on_p0_passes_its_target(width):
    p = load("P0")
    solution = pr.search(
        p.X, p.y, P0_TREES_ALPHA, depth=2 + len(width), width=width, tol=1e-4, random_state=0
    )
    assert solution.network().objective(p.X, p.y, P0_TREES_ALPHA) <= P0_TREES[width]
    assert_is_its_own_network(solution, p.X, p.y, P0_TREES_ALPHA)


@pytest.mark.parametrize("k", range(3))
def test_search_on_t0_reaches_the_global_optimum(k):
    p = load("T0")
    everything = pr.solve(p.X, p.y, pr.Arrangements.from_gates(p.X, p.G.T), p.lams[k], tol=1e-9)
    solution = pr.search(p.X, p.y, p.lams[k], random_state=0, tol=1e-8)
    assert solution.objective >= everything.objective * (1 - 1e-7)
    assert solution.objective <= everything.objective * 1.01


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize(("depth", "width"), [(2, 1), (3, 3), (4, 2)])
def test_search_is_never_worse_than_the_exact_program_on_as_many_sampled_trees(
    teacher, depth, width, loss, fit_intercept
):
    X, y = teacher
    y = small(loss, y)
    options = {"loss": loss, "fit_intercept": fit_intercept}
    arrangements = pr.sample_arrangements(X, 100, depth=depth, width=width, random_state=0)
    sampled = pr.solve(X, y, arrangements, 0.01, **options)

    solution = pr.search(X, y, 0.01, depth=depth, width=width, random_state=0, **options)

    assert solution.objective < sampled.objective
    assert solution.arrangements.depth == depth
    assert_is_its_own_network(solution, X, y, 0.01, loss=loss)


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize(("depth", "width"), [(2, 1), (3, 3)])
def test_search_ends_at_the_optimum_over_the_arrangements_it_holds(teacher, depth, width, activation):
    X, y = teacher
    solution = pr.search(X, y, 0.01, depth=depth, width=width, activation=activation, random_state=0)
    polished = pr.solve(X, y, solution.arrangements, 0.01, activation=activation, tol=1e-8)
    scale = np.mean(y**2) / 2
    assert solution.converged
    assert solution.objective - polished.objective <= 1.01e-6 * scale
    assert polished.objective - solution.objective <= 1.01e-8 * scale


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_gated_search_is_better_than_sampled_gates(teacher, loss):
    X, y = teacher
    y = small(loss, y)
    sampled = pr.solve(
        X, y, pr.sample_arrangements(X, 100, random_state=0), 0.01, activation="gated", loss=loss
    )
    solution = pr.search(X, y, 0.01, activation="gated", loss=loss, random_state=0)
    assert solution.objective < sampled.objective
    # The gates that come with the network give new rows the masks that the program had.
    prediction = solution.network().predict(X)
    slope = {"squared_error": (prediction - y) ** 2 / 2, "log_loss": np.logaddexp(0, -y * prediction)}[loss]
    assert slope.mean() + 0.01 * solution.network().path_norm() == pytest.approx(solution.objective, rel=1e-9)


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize(("depth", "width"), [(2, 1), (3, 3)])
def test_search_is_reproducible_for_any_number_of_threads(teacher, depth, width, activation):
    X, y = teacher
    runs = [
        pr.search(
            X, y, 0.02, depth=depth, width=width, activation=activation, random_state=5, n_threads=threads
        )
        for threads in (1, 2, 3, 1)
    ]
    for other in runs[1:]:
        assert np.array_equal(other.blocks, runs[0].blocks)
        assert np.array_equal(other.arrangements.masks(), runs[0].arrangements.masks())
        assert (other.objective, other.gap, other.n_iter) == (runs[0].objective, runs[0].gap, runs[0].n_iter)


@pytest.mark.parametrize("level", _core.kernel_levels())
@pytest.mark.parametrize("n", [31, 64, 65])  # rows around the words and tiles of the kernels
@pytest.mark.parametrize(("depth", "width"), [(2, 1), (3, 3), (4, (2, 3))])
def test_search_reaches_the_same_with_every_kernel(teacher, depth, width, n, level):
    X, y = teacher[0][:n], teacher[1][:n]
    options = {"depth": depth, "width": width, "random_state": 0, "max_rounds": 2}
    expected = pr.search(X, y, 0.05, **options).objective
    before = _core.kernel_level()
    _core.use_kernels(level)
    try:
        solution = pr.search(X, y, 0.05, **options)
    finally:
        _core.use_kernels(before)
    assert_is_its_own_network(solution, X, y, 0.05)
    # Roundings choose other ways from one set of instructions to another; the ends are close.
    assert solution.objective == pytest.approx(expected, rel=0.05)


def test_several_outputs_are_searched_as_well_as_each_alone(teacher):
    X, y = teacher
    Y = np.column_stack([y, np.roll(y, 1), -y])
    solution = pr.search(X, Y, 0.03, outputs="separate", random_state=0)
    alone = sum(pr.search(X, Y[:, c], 0.03, random_state=0).objective for c in range(3))
    assert_is_its_own_network(solution, X, Y, 0.03)
    assert solution.objective == pytest.approx(alone, rel=2e-3)


def test_no_two_subnetworks_of_a_solution_have_one_pattern(teacher):
    X, y = teacher
    solution = pr.search(X, y, 0.01, random_state=0)
    masks = solution.arrangements.masks()[:, 0]
    assert len(np.unique(masks, axis=0)) == len(masks)


@pytest.mark.parametrize("depth", [2, 3])
def test_no_two_subnetworks_of_a_solution_point_the_same_way(depth):
    X, y = load_diabetes(return_X_y=True)
    X, y = np.column_stack([20 * X, np.ones(len(X))]), (y - y.mean()) / y.std()
    solution = pr.search(X, y, 0.03, depth=depth, width=2, random_state=0)
    assert_is_its_own_network(solution, X, y, 0.03)
    for side in (0, 1):
        active = np.flatnonzero(solution.blocks[:, side].any(axis=(1, 2)))
        V = solution.blocks[active, side].reshape(len(active), -1)
        V /= np.linalg.norm(V, axis=1, keepdims=True)
        signs = solution.arrangements.signs[active]
        alike = (V @ V.T > 1 - 1e-6) & (signs[:, np.newaxis] == signs).all(axis=2)
        assert np.array_equal(alike, np.eye(len(active)))


def test_any_seed_and_scaling_of_the_columns_ends_with_about_as_many_subnetworks():
    X, y = load_breast_cancer(return_X_y=True)
    fits = [
        PathReLUClassifier(alpha=0.005, random_state=seed).fit(rows, y)
        for seed in range(3)
        for rows in (X, 7.3 * X + 5)
    ]
    objectives = [fit.objective_ for fit in fits]
    assert max(objectives) < min(objectives) * (1 + 1e-3)
    # 13 to 51 where a search stops as soon as its objective does not fall.
    counts = [fit.n_subnetworks_ for fit in fits]
    assert max(counts) <= min(counts) + 6
    assert max(counts) < 20


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_a_search_ends_at_a_vertex_of_the_solutions_over_its_arrangements(activation):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((8, 3)), rng.standard_normal(8)
    solution = pr.search(X, y, 1e-3, activation=activation, fit_intercept=True, random_state=0)
    network = solution.network()
    each = copy.copy(network)
    K = network.n_subnetworks
    each.output_weights, each.intercept = np.eye(K), np.zeros(K)
    assert np.linalg.matrix_rank(each.predict(X)) == K
    assert_is_its_own_network(solution, X, y, 1e-3)


def test_more_penalty_gives_a_smaller_network(teacher):
    X, y = teacher
    norms = [pr.search(X, y, alpha, random_state=0).network().path_norm() for alpha in (0.003, 0.03, 0.3)]
    assert norms[0] > norms[1] > norms[2]


def test_a_penalty_beyond_every_score_gives_the_zero_network(teacher):
    X, y = teacher
    # No unit-norm sub-network has outputs longer than the largest singular value of X.
    alpha = 1.01 * np.linalg.norm(X, 2) * np.linalg.norm(y) / len(y)
    solution = pr.search(X, y, alpha, random_state=0)
    assert solution.n_active == 0
    assert solution.network().n_subnetworks == 0
    assert not solution.network().predict(X).any()


def test_search_respects_weights(teacher):
    X, y = teacher
    weight = np.where(np.arange(len(y)) < 40, 1.0, 0.0)
    solution = pr.search(X, y, 0.01, sample_weight=weight, random_state=0)
    halved = solution.network().objective(X[:40], y[:40], 0.01)
    assert halved == pytest.approx(solution.objective, rel=1e-9)


@pytest.mark.parametrize(
    "data",
    [
        (np.ones((1, 1)), np.ones(1)),
        (np.zeros((6, 2)), np.arange(6.0)),
        (np.repeat(np.eye(3), 4, axis=0), np.arange(12.0)),
        (np.arange(10.0)[:, None], np.sin(np.arange(10.0))),
        (np.random.default_rng(0).standard_normal((4, 9)), np.array([1.0, -1, 2, 0])),
    ],
    ids=["one number", "zero rows", "duplicated rows", "one column", "more columns than rows"],
)
@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_search_on_adverse_data(data, activation):
    X, y = data
    solution = pr.search(X, y, 0.01, activation=activation, random_state=0, fit_intercept=True)
    assert np.isfinite(solution.objective)
    assert solution.objective <= np.mean((y - y.mean()) ** 2) / 2 * (1 + 1e-9)
    assert solution.gap <= 1e-6 * np.mean(y**2) / 2 * (1 + 1e-6) + 1e-15
