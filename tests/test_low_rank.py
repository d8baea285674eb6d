"""Training on a few principal scores: the weights mapped back, and the guarantee against known optima."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import load
from reference import loss_values, random_trees, tree_output
from sklearn.utils.estimator_checks import parametrize_with_checks
from support import every_gate

import pathrelu as pr
from pathrelu import PathReLUClassifier, PathReLURegressor, _core
from pathrelu.program._low_rank import principal_components, scores

LOSSES = ["squared_error", "huber", "log_loss", "squared_hinge"]


def labels(loss, y):
    return np.where(y > np.median(y), 1.0, -1.0) if loss in ("log_loss", "squared_hinge") else y


def all_of(Z):
    """Every arrangement of rows of at most two columns."""
    if Z.shape[1] == 1:
        return pr.Arrangements.from_gates(Z, [[1.0], [-1.0]])
    return pr.Arrangements.from_gates(Z, every_gate(Z))


def nearly_flat(n=12, d=6, thickness=1e-2, seed=0):
    """Rows close to a plane, with targets that are not linear."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2)) @ rng.standard_normal((2, d)) + thickness * rng.standard_normal((n, d))
    return X, np.abs(X[:, 0]) - X[:, 1] + 0.1 * rng.standard_normal(n)


# ---- The guarantee -----------------------------------------------


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("fraction", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_optimum_over_the_scores_is_within_its_guarantee_of_the_known_optimum(
    loss, fraction, rank, weighted
):
    p = load("T0")  # three columns, every arrangement listed
    y = labels(loss, p.y)
    weight = np.linspace(0.1, 2, len(y)) if weighted else None
    options = {"loss": loss, "sample_weight": weight, "tol": 1e-9, "fit_intercept": weighted}
    everything = pr.Arrangements.from_gates(p.X, p.G.T)
    alpha = fraction * pr.alpha_max(
        p.X, y, everything, loss=loss, sample_weight=weight, fit_intercept=weighted
    )
    optimum = pr.solve(p.X, y, everything, alpha, **options).objective

    solution = pr.solve_low_rank(p.X, y, alpha, rank, arrangements=all_of, **options)

    assert solution.low_rank.rank == rank
    ratio = solution.objective / optimum
    assert 1 - 1e-7 <= ratio <= solution.low_rank.guarantee
    assert solution.network().objective(p.X, y, alpha, loss=loss, sample_weight=weight) == pytest.approx(
        solution.objective, rel=1e-9
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_the_guarantee_says_something_where_little_is_lost(loss):
    X, y = nearly_flat(thickness=1e-3)
    y = labels(loss, y)
    # What a search finds is above the optimum over all columns, which the guarantee is about.
    alpha = 0.02
    solution = pr.solve_low_rank(X, y, alpha, 2, arrangements=all_of, loss=loss, tol=1e-8)
    best = pr.search(X, y, alpha, loss=loss, random_state=0, tol=1e-8)
    assert solution.objective <= solution.low_rank.guarantee * best.objective
    assert 1 < solution.low_rank.guarantee < 1.1
    coarse = pr.solve_low_rank(X, y, alpha, 1, arrangements=all_of, loss=loss)
    assert coarse.low_rank.guarantee > solution.low_rank.guarantee
    assert coarse.low_rank.residual > 100 * solution.low_rank.residual


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_beyond_depth_2_the_guarantee_holds_too(activation):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((5, 2)) * [1, 0.05]
    y = np.abs(X[:, 0]) + 0.3 * rng.standard_normal(5)
    W = rng.standard_normal((20_000, 2, 2))
    signs = np.where(rng.random((20_000, 2)) < 0.5, 1, -1)

    def trees(Z):
        return pr.Arrangements.from_trees(Z, W[..., : Z.shape[1]], signs)

    optimum = pr.solve(X, y, trees(X), 0.03, activation="relu", tol=1e-8).objective
    solution = pr.solve_low_rank(X, y, 0.03, 1, arrangements=trees, activation=activation, tol=1e-8)
    if activation == "relu":
        assert 1 - 1e-7 <= solution.objective / optimum <= solution.low_rank.guarantee < 3
    else:  # the same masks over the rows as they are
        optimum = pr.solve(X, y, solution.arrangements, 0.03, activation="gated", tol=1e-8).objective
        assert 1 - 1e-7 <= solution.objective / optimum <= solution.low_rank.guarantee < 3


@settings(max_examples=40, deadline=None)
@given(width=st.sampled_from([(), (3,), (2, 2)]), rank=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_projecting_rows_moves_outputs_by_at_most_what_the_bound_says(width, rank, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((20, 5)) * 10 ** rng.uniform(-2, 1, 5)
    w = rng.random(20) + 0.1
    components, residual = principal_components(X, w, rank)
    np.testing.assert_allclose(components @ components.T, np.eye(rank), atol=1e-12)
    W, signs = random_trees(rng, 1, 5, width)
    moved = tree_output(X, W[0], signs[0], width) - tree_output(
        X @ components.T @ components, W[0], signs[0], width
    )
    bound = np.sqrt(W.shape[1]) * residual * np.linalg.norm(W)
    assert np.linalg.norm(np.sqrt(w) * moved) <= bound * (1 + 1e-9) + 1e-12


@settings(max_examples=200, deadline=None)
@given(
    loss=st.sampled_from(LOSSES),
    size=st.floats(1e-3, 1e2),
    step=st.floats(1e-3, 1e2),
    seed=st.integers(0, 2**31),
)
def test_the_mean_loss_rises_by_at_most_what_the_bound_says(loss, size, step, seed):
    rng = np.random.default_rng(seed)
    n = 7
    y = labels(loss, rng.standard_normal(n))
    w = rng.random(n) + 0.01
    w /= w.mean()
    f = size * rng.standard_normal(n)
    g = f + step * rng.standard_normal(n)
    before, after = (np.mean(w * loss_values(loss, h, y)) for h in (f, g))
    moved = np.linalg.norm(np.sqrt(w) * (f - g))
    smoothness, lipschitz = _core.loss_bounds(loss, 1)
    assert after <= (np.sqrt(before) + np.sqrt(smoothness / (2 * n)) * moved) ** 2 * (1 + 1e-12)
    assert after <= before + lipschitz * moved / np.sqrt(n) + 1e-12


# ---- The solution over the rows as they are -----------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("depth", "width"), [(2, 1), (3, 3)])
@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_blocks_gates_and_network_take_the_rows(activation, depth, width, dtype):
    X, y = nearly_flat(40)
    X = X.astype(dtype)
    solution = pr.solve_low_rank(
        X,
        y,
        0.01,
        2,
        activation=activation,
        depth=depth,
        width=width,
        skip_connection=True,
        fit_intercept=True,
        random_state=0,
        n_threads=1,
    )
    P, S = len(solution.arrangements), 2 if activation == "relu" else 1
    assert solution.blocks.shape == (P, S, solution.arrangements.paths, 6)
    assert solution.blocks.dtype == dtype
    assert solution.arrangements.gates.shape == (P, solution.arrangements.paths, 6)
    assert solution.arrangements.skip_connection
    network = solution.network()
    f = network.predict(X.astype(np.float64))
    objective = np.mean((f - y) ** 2) / 2 + 0.01 * network.path_norm()
    assert objective == pytest.approx(solution.objective, rel=1e-9 if dtype == np.float64 else 1e-5)
    # Leaf weights lie in the subspace, so what rows have outside it changes nothing (gates included).
    V = solution.low_rank.components
    beside = np.random.default_rng(1).standard_normal((40, 6))
    beside -= beside @ V.T @ V
    rounding = 1e-9 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(network.predict(X + beside), f, atol=rounding)


def test_all_scores_are_the_rows_turned():
    X, y = nearly_flat(30)
    whole = pr.solve_low_rank(X, y, 0.01, 99, random_state=0, tol=1e-7)
    assert whole.low_rank.rank == 6
    assert whole.low_rank.residual == 0
    assert whole.low_rank.guarantee == 1
    assert whole.objective == pytest.approx(pr.search(X, y, 0.01, random_state=0).objective, rel=0.02)


def test_a_weight_of_two_is_a_row_given_twice():
    X, y = nearly_flat()
    weight = np.where(np.arange(12) % 3 == 0, 2.0, 1.0)
    rows = np.repeat(np.arange(12), weight.astype(int))
    weighted = pr.solve_low_rank(X, y, 0.01, 2, arrangements=all_of, sample_weight=weight, tol=1e-9)
    repeated = pr.solve_low_rank(X[rows], y[rows], 0.01, 2, arrangements=all_of, tol=1e-9)
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-7)
    assert weighted.low_rank.guarantee == pytest.approx(repeated.low_rank.guarantee, rel=1e-7)
    np.testing.assert_allclose(
        weighted.network().predict(X), repeated.network().predict(X), atol=1e-3 * np.abs(y).max()
    )


def test_rows_in_batches_have_the_components_of_all_of_them(monkeypatch):
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((50, 4)) * [4, 3, 2, 1]).astype(np.float32)
    w = rng.random(50)
    _, values, vectors = np.linalg.svd(np.sqrt(w)[:, None] * X.astype(np.float64), full_matrices=False)
    monkeypatch.setattr("pathrelu.program._low_rank.BATCH", 7)
    components, residual = principal_components(X, w, 2)
    assert residual == pytest.approx(values[2])
    np.testing.assert_allclose(np.abs(components @ vectors[:2].T), np.eye(2), atol=1e-12)
    np.testing.assert_allclose(scores(X, components), X.astype(np.float64) @ components.T, atol=1e-12)


def test_prune_and_several_outputs():
    X, y = nearly_flat(6)
    both = np.stack([y, X[:, 2]], axis=1)
    plain = pr.solve_low_rank(X, both, 1e-4, 2, arrangements=all_of, tol=1e-3)
    pruned = pr.solve_low_rank(X, both, 1e-4, 2, arrangements=all_of, tol=1e-3, prune=True)
    assert plain.blocks.shape[0] == 2
    assert np.bincount(pruned.network().output_index).max() <= 6
    np.testing.assert_allclose(pruned.network().predict(X), plain.network().predict(X), atol=1e-9)


def test_wrong_input_is_refused():
    X, y = nearly_flat()
    with pytest.raises(ValueError, match="rank is 0; expected an integer >= 1"):
        pr.solve_low_rank(X, y, 0.1, 0)
    with pytest.raises(TypeError, match="arrangements has type Arrangements; expected None or a function"):
        pr.solve_low_rank(X, y, 0.1, 2, arrangements=all_of(X[:, :2]))
    with pytest.raises(TypeError, match="arrangements has type int; expected Arrangements"):
        pr.solve_low_rank(X, y, 0.1, 2, arrangements=len)
    with pytest.raises(ValueError, match="arrangements are of 11 rows; expected 12"):
        pr.solve_low_rank(X, y, 0.1, 2, arrangements=lambda Z: all_of(Z[1:]))


# ---- Estimators -----------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([PathReLURegressor(low_rank=9, max_iter=300), PathReLUClassifier(low_rank=3)])
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("source", ["search", "sample"])
@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_a_fitted_network_has_the_objective_that_was_minimised(activation, source, bias):
    X, y = nearly_flat(50)
    model = PathReLURegressor(
        low_rank=3, arrangements=source, activation=activation, bias=bias, random_state=0, warm_start=True
    ).fit(3 * X + 1, y)
    assert model.network_.objective(3 * X + 1, y, model.alpha_) == pytest.approx(model.objective_, rel=1e-8)
    assert model.guarantee_ > 1
    first = model.objective_
    model.fit(3 * X + 1, y)  # warm starts know nothing of scores
    assert model.objective_ == first
    assert PathReLURegressor(random_state=0, alpha=1.0).fit(X, y).guarantee_ is None


def test_the_guarantee_of_several_outputs_is_that_of_the_worst():
    X, y = nearly_flat(30)
    both = np.stack([y, 100 * X[:, 3]], axis=1)
    model = PathReLURegressor(low_rank=2, alpha=0.05, outputs="separate", random_state=0).fit(X, both)
    alone = [PathReLURegressor(low_rank=2, alpha=0.05, random_state=0).fit(X, c) for c in both.T]
    assert model.guarantee_ == pytest.approx(max(one.guarantee_ for one in alone), rel=1e-3)
    assert model.network_.objective(X, both, 0.05) == pytest.approx(model.objective_, rel=1e-8)
