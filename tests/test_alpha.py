"""The automatic alpha by held-out rows, and the slides that it follows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning

from pathrelu import PathReLUClassifier, PathReLURegressor, PathReLURegressorCV, TableEncoder, _core, load
from pathrelu._watch import Watch
from pathrelu.alpha import (
    FOLDS,
    FURTHER_SLIDES,
    LEAST_FACTOR,
    LEAST_ROWS,
    LESS,
    PATH_ROWS,
    RATES,
    _View,
    held_out_folds,
    rescaling,
)
from pathrelu.inspection import feature_importance
from pathrelu.program._problem import Problem
from pathrelu.program._slide import Slides


def slides(shared=False, skip=False):
    options = _core.SolveOptions(fit_intercept=True, threads=1)
    return Slides([], options, 0, skip, shared, Watch())


def objective(problem, alpha, trees):
    """(NC) of depth 2, by its definition."""
    leaves, _, omega, linear, intercept = trees
    h = problem.X @ leaves.T
    f = np.where(linear == 1, h, np.maximum(h, 0)) @ omega + intercept
    if problem.loss == "squared_error":
        loss = ((f - problem.y) ** 2).sum(axis=1) / 2
    else:
        loss = np.log(np.exp(f).sum(axis=1)) - (f * problem.y).sum(axis=1)
    return np.average(loss, weights=problem.w) + alpha * np.linalg.norm(leaves, axis=1).sum(), f


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("classes", [1, 3])
def test_a_slide_lowers_the_objective_of_the_network(classes, skip):
    rng = np.random.default_rng(classes)
    X = np.concatenate([rng.standard_normal((60, 3)), np.ones((60, 1))], axis=1)
    score = np.abs(X[:, 0]) + 2 * X[:, 1]
    y = score if classes == 1 else np.eye(3)[np.digitize(score, [0, 2])]
    loss = "squared_error" if classes == 1 else "log_loss"
    problem = Problem.check(X, y, "relu", loss, rng.random(60))
    slide = slides(shared=classes > 1, skip=skip)
    alpha, trees, before = 0.01, None, np.inf
    for k in range(4):
        trees = slide.descend(problem, alpha, trees, evaluations=40, random_trees=20 if k == 0 else 0)
        now, f = objective(problem, alpha, trees)
        np.testing.assert_allclose(slide.outputs(problem.X, trees), f, rtol=1e-9, atol=1e-12)
        assert now <= before * (1 + 1e-6)
        before = now
    assert now < 0.7 * objective(problem, alpha, [part[:0] for part in trees[:4]] + [trees[4]])[0]
    assert bool(trees[3].any()) == skip


def test_equal_rows_are_held_out_together_and_classes_evenly():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 2))[rng.integers(0, 100, 400)]
    codes = (X[:, 0] > 1).astype(int)
    fold = held_out_folds(X, codes, 0)
    _, group = np.unique(X, axis=0, return_inverse=True)
    assert all(len(set(fold[group == g])) == 1 for g in range(group.max() + 1))
    assert set(fold) == set(range(FOLDS))
    _, first = np.unique(group, return_index=True)
    for code in (0, 1):
        counts = np.bincount(fold[first][codes[first] == code], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(fold, held_out_folds(X, codes, 0))


def test_few_rows_and_classes_of_one_row_are_not_held_out():
    X = np.arange(LEAST_ROWS, dtype=float)[:, np.newaxis]
    assert held_out_folds(X[:-1], None, 0) is None
    assert held_out_folds(np.repeat(X[:-1], 3, axis=0), None, 0) is None
    codes = np.r_[1, np.zeros(LEAST_ROWS - 1, int)]
    fold = held_out_folds(X, codes, 0)
    assert fold[0] == -1
    assert (fold[1:] >= 0).all()


@pytest.mark.parametrize(("n", "used"), [(1000, 5), (1001, 3), (3001, 1)])
def test_of_many_rows_a_part_is_held_out(n, used):
    fold = held_out_folds(np.arange(float(n))[:, np.newaxis], None, 0)
    assert set(fold[fold >= 0]) == set(range(used))
    assert np.mean(fold == 0) == pytest.approx(1 / FOLDS, abs=2 / n)


def test_of_some_rows_with_many_columns_fewer_folds_are_used():
    X = np.arange(2000.0)[:, np.newaxis]
    assert len(set(held_out_folds(X, None, 0))) == 4
    assert len(set(held_out_folds(X, None, 0, columns=1000))) == 3


def test_alpha_is_the_one_of_least_held_out_loss():
    X, y = make_friedman1(300, noise=1, random_state=0)
    model = PathReLURegressor(random_state=0).fit(X, y)
    tried = model.path_
    best = int(np.argmin(tried["held_out_loss"]))
    assert model.alpha_ == tried["alpha"][best]
    assert model.network_.encoder.numeric_ == tried["encoding"][best]
    assert set(tried["encoding"]) == {"linear", "ramps"}
    new, target = make_friedman1(1000, random_state=1)
    assert model.score(new, target) > 0.9
    assert model.dual_gap_ >= 0


def test_the_encoding_is_chosen_with_alpha():
    rng = np.random.default_rng(0)
    X = rng.random((400, 2))
    steps = np.floor(6 * X[:, 0]) % 2
    assert PathReLURegressor(random_state=0).fit(X, steps).network_.encoder.numeric_ == "ramps"
    wide = rng.standard_normal((150, 12))
    plane = wide @ rng.standard_normal(12) + rng.standard_normal(150)
    assert PathReLURegressor(random_state=0).fit(wide, plane).network_.encoder.numeric_ == "linear"
    for encode in ("linear", None, TableEncoder(numeric="linear")):
        model = PathReLURegressor(encode=encode, random_state=0).fit(X, steps)
        assert len(set(model.path_["encoding"])) == 1


@pytest.mark.parametrize("n", [30, 6000])
def test_held_out_alpha_does_not_depend_on_the_order_of_rows(n):
    rng = np.random.default_rng(n)
    X = rng.standard_normal((n, 2)).round(1)
    y = np.where(np.abs(X[:, 0]) > 1, "far", "near")
    order = rng.permutation(n)
    a = PathReLUClassifier(random_state=3).fit(pd.DataFrame(X), y)
    b = PathReLUClassifier(random_state=3).fit(pd.DataFrame(X[order]), y[order])
    assert a.alpha_ == b.alpha_
    np.testing.assert_array_equal(a.path_["held_out_loss"], b.path_["held_out_loss"])
    np.testing.assert_array_equal(a.network_.leaf_weights, b.network_.leaf_weights)


def test_a_limit_of_time_ends_the_path_with_a_network():
    X, y = make_friedman1(3000, random_state=0)
    for seconds in (0.05, 1e-9):
        with pytest.warns(ConvergenceWarning, match="max_seconds"):
            model = PathReLURegressor(random_state=0, max_seconds=seconds).fit(X, y)
        assert np.isfinite(model.predict(X)).all()
    assert len(model.path_["alpha"]) == 0


def test_a_tolerance_given_is_reached():
    X, y = make_friedman1(100, noise=1, random_state=0)
    model = PathReLURegressor(random_state=0, tol=1e-6).fit(X, y)
    assert model.dual_gap_ <= 1e-6 * np.var(y) / 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_in_coordinates_of_their_span_give_the_same_outputs_at_the_same_norms(dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 90)).astype(dtype)
    X[20:] = X[:10] - X[10:20]
    span = _View.of(X)
    problem = Problem.check(X, X[:, 0], "relu", "squared_error", None)
    inside = span.problem(problem)
    assert inside.X.shape == (30, 20)
    leaves = rng.standard_normal((5, 40))  # of trees with two paths
    lifted = span.lifted((leaves, None, None, None, None))[0]
    for k in range(2):
        small, large = leaves[:, 20 * k : 20 * k + 20], lifted[:, 90 * k : 90 * k + 90]
        np.testing.assert_allclose(X @ large.T, inside.X @ small.T, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(np.linalg.norm(large, axis=1), np.linalg.norm(small, axis=1), rtol=1e-5)
    factors = rng.random(90) + 0.1
    times = _View.of(X, factors)
    table = times.problem(problem).X
    given = (rng.standard_normal((4, 180)), None, None, None, None)
    lowered = times.lowered(given)[0]
    for k in range(2):
        outputs = (X * factors) @ given[0][:, 90 * k : 90 * k + 90].T
        np.testing.assert_allclose(table @ lowered[:, 20 * k : 20 * k + 20].T, outputs, rtol=1e-4, atol=1e-4)
    wide = PathReLURegressor(random_state=0).fit(X, X[:, 0] + X[:, 1])
    assert wide.score(X, X[:, 0] + X[:, 1]) > 0.9
    assert _View.of(X[:, :40]).problem(problem) is problem


def test_of_many_rows_the_path_goes_on_to_all_at_a_smaller_alpha():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((8000, 2))
    model = PathReLURegressor(random_state=0, encode="linear").fit(
        X, np.abs(X[:, 0]) + rng.standard_normal(8000)
    )
    used = model.path_["n_rescalings"] == 0
    alpha, loss = model.path_["alpha"][used], model.path_["held_out_loss"][used]
    first = int(np.flatnonzero(np.isclose(alpha / alpha[0] * 2.0 ** np.arange(len(alpha)), 1) == 0)[0])
    few, more = slice(0, first), slice(first, None)
    assert len(RATES) < len(alpha[more]) <= len(RATES) + FURTHER_SLIDES
    chosen = alpha[np.argmin(loss[few])]
    np.testing.assert_allclose(alpha[more], LESS * chosen * np.sqrt(PATH_ROWS / 6400))
    assert model.alpha_ == alpha[first]


def noisy_columns(n, columns=20, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, columns))
    return X, X[:, 0] * X[:, 1] + 0.3 * rng.standard_normal(n)


@pytest.mark.parametrize("options", [{}, {"skip_connection": True}, {"depth": 3}])
def test_columns_of_noise_are_scaled_down_where_held_out_rows_gain(options, tmp_path):
    X, y = noisy_columns(500)
    new, target = noisy_columns(2000, seed=1)
    X, new = X * np.geomspace(1e-3, 1e3, 20), new * np.geomspace(1e-3, 1e3, 20)
    plain = PathReLURegressor(adapt_columns=False, random_state=0, encode="linear", **options).fit(X, y)
    assert plain.column_factors_ is None
    assert set(plain.path_["n_rescalings"]) == {0}
    model = PathReLURegressor(random_state=0, encode="linear", **options).fit(X, y)
    assert 1 - model.score(new, target) < 0.8 * (1 - plain.score(new, target))
    factors = model.column_factors_
    assert factors[:2].min() > 2 * factors[2:].max()
    np.testing.assert_allclose(model.network_.scale * factors, plain.network_.scale)
    importance = model.feature_importances_
    assert importance[:2].min() > 5 * importance[2:].max()
    np.testing.assert_allclose(importance, feature_importance(model) / feature_importance(model).sum())
    rescaled = model.path_["n_rescalings"] > 0
    assert model.path_["held_out_loss"][rescaled].min() < model.path_["held_out_loss"][~rescaled].min()
    assert model.objective_ == pytest.approx(model.network_.objective(X, y, alpha=model.alpha_))
    model.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict(new), model.predict(new))
    np.testing.assert_array_equal(again.feature_importances_, importance)


def test_factors_are_parts_in_the_path_norm():
    leaves = np.array([[3.0, 0.0, 1.0, 4.0, 0.5, 0.0], [5.0, 0.0, 1.0, 0.0, 1.2, 0.0]])  # two paths each
    trees = [(leaves, None, None, None, None), (np.zeros((0, 0)), None, None, None, None)]
    np.testing.assert_allclose(rescaling(trees, np.array([1.0, 2.0, 1.0]), 2), [1, 2 * (0.5 + 1.2) / 10, 1])
    np.testing.assert_allclose(rescaling(trees, np.ones(3), 3), [1, 0.17, 0.2])
    np.testing.assert_allclose(rescaling(trees, np.array([1.0, 1e-4, 1.0]), 2), [1, LEAST_FACTOR, 1])
    assert rescaling(trees, np.ones(3), 1) is None
    assert rescaling(trees[1:], np.ones(3), 3) is None


@pytest.mark.parametrize("columns", [30, 300])
def test_rescaling_learns_nothing_from_held_out_rows(columns):
    X = np.random.default_rng(0).standard_normal((80, columns))
    y = np.random.default_rng(1).standard_normal(80)
    model = PathReLURegressor(random_state=0).fit(X, y)
    assert model.column_factors_ is None
    assert model.path_["held_out_loss"].min() > 0.9 * np.var(y) / 2


def test_separate_outputs_rescale_the_same_columns():
    X, y = noisy_columns(500)
    model = PathReLURegressor(outputs="separate", random_state=0, encode="linear").fit(X, np.c_[y, -2 * y])
    assert model.column_factors_[:2].min() > 2 * model.column_factors_[2:].max()
    new, target = noisy_columns(2000, seed=1)
    assert model.score(new, np.c_[target, -2 * target]) > 0.75


def test_cross_validation_rescales_columns():
    X, y = noisy_columns(400)
    options = {"cv": 3, "alphas": 8, "encode": "linear", "random_state": 0}
    plain = PathReLURegressorCV(adapt_columns=False, **options).fit(X, y)
    model = PathReLURegressorCV(**options).fit(X, y)
    times = model.cv_results_["n_rescalings"]
    first = times == 0
    np.testing.assert_array_equal(
        model.cv_results_["mean_test_score"][first], plain.cv_results_["mean_test_score"]
    )
    assert 1 - model.best_score_ < 0.8 * (1 - plain.best_score_)
    assert times[model.best_index_] > 0
    assert (np.diff(times) >= 0).all()
    best_before = model.alphas_[first][np.argmax(model.cv_results_["mean_test_score"][first])]
    assert model.alphas_[times == 1][0] == best_before
    factors = model.column_factors_
    assert factors[:2].min() > 2 * factors[2:].max()
    new, target = noisy_columns(2000, seed=1)
    assert model.score(new, target) > plain.score(new, target)
    assert plain.column_factors_ is None


def test_a_warm_start_goes_on_from_the_last_alpha_and_network():
    X, y = noisy_columns(500)
    new, target = noisy_columns(2000, seed=1)
    model = PathReLURegressor(random_state=0, warm_start=True).fit(X, y)
    factors, alpha, points, before = (
        model.column_factors_,
        model.alpha_,
        model.path_,
        model.score(new, target),
    )
    assert factors is not None
    again = model.fit(X, y)
    assert again.path_["alpha"][0] == alpha
    assert len(again.path_["alpha"]) < len(points["alpha"])
    assert set(again.path_["encoding"]) == {again.network_.encoder.numeric_}
    assert again.path_["held_out_loss"][0] < points["held_out_loss"][points["n_rescalings"] == 0].min()
    assert again.score(new, target) > before - 0.03
    cold = PathReLURegressor(random_state=0).fit(X[:, :5], y)
    other = model.fit(X[:, :5], y)  # other columns: from nothing
    np.testing.assert_array_equal(other.path_["held_out_loss"], cold.path_["held_out_loss"])


def test_a_search_starts_warm_from_rescaled_columns():
    X, y = noisy_columns(500)
    model = PathReLURegressor(random_state=0, encode="linear", warm_start=True).fit(X, y)
    outputs = model.predict(X)
    assert model.column_factors_ is not None
    with pytest.warns(ConvergenceWarning, match="stopped"):
        model.set_params(alpha=model.alpha_, max_seconds=1e-9).fit(X, y)
    assert model.column_factors_ is None
    np.testing.assert_allclose(model.predict(X), outputs, atol=0.05 * np.std(y))
    fitted = PathReLURegressor(random_state=0, encode="linear", warm_start=True, alpha=0.1).fit(X, y)
    fitted.set_params(alpha="auto").fit(X, y)
    assert fitted.path_["alpha"][0] == 0.1


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (PathReLURegressor, {"alpha": 0.02}),
        (PathReLURegressor, {"alpha": 0.02, "depth": 3, "skip_connection": True}),
        (PathReLURegressor, {"alpha": 0.02, "outputs": "separate"}),
        (PathReLUClassifier, {"alpha": 0.02}),
        (PathReLUClassifier, {"alpha": 0.02, "activation": "gated"}),
        (PathReLUClassifier, {"alpha": 0.02, "arrangements": "sample", "n_arrangements": 40}),
        (PathReLURegressor, {"alpha": 0.02, "low_rank": 2, "prune": True}),
    ],
)
def test_the_mean_of_networks_is_a_network(estimator, options):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    score = np.abs(X[:, 0]) - X[:, 1]
    y = np.digitize(score, [0, 1]) if estimator is PathReLUClassifier else np.c_[score, -score]
    model = estimator(n_networks=3, random_state=5, **options).fit(X, y)
    seeds = [5, *np.random.default_rng(5).integers(2**31, size=2).tolist()]
    ones = [estimator(random_state=seed, **options).fit(X, y) for seed in seeds]
    np.testing.assert_allclose(
        model.network_.predict(X),
        np.mean([one.network_.predict(X) for one in ones], axis=0),
        rtol=1e-9,
        atol=1e-12,
    )
    assert model.n_subnetworks_ == sum(one.n_subnetworks_ for one in ones)
    assert model.network_.path_norm() == pytest.approx(np.mean([one.network_.path_norm() for one in ones]))
    assert len({one.network_.leaf_weights.sum() for one in ones}) == 3
    given = {"alpha": 0.02}
    if estimator is PathReLUClassifier:
        y, given["loss"] = np.eye(3)[y], "log_loss"
    assert model.objective_ == pytest.approx(model.network_.objective(X, y, **given), rel=1e-9)
    assert model.objective_ <= np.mean([one.objective_ for one in ones]) * (1 + 1e-12)  # it is convex
    assert model.dual_gap_ == np.inf


@pytest.mark.parametrize("n", [300, 6500])
def test_networks_of_different_folds_share_encoding_columns_and_alpha(n, tmp_path):
    X, y = noisy_columns(n, columns=2 if n > 5000 else 8)
    single = PathReLURegressor(random_state=0).fit(X, y)
    model = PathReLURegressor(n_networks=3, random_state=0).fit(X, y)
    path = model.path_
    assert set(path["network"]) == {0, 1, 2}
    of_first = path["network"] == 0
    np.testing.assert_array_equal(path["held_out_loss"][of_first], single.path_["held_out_loss"])
    assert set(path["encoding"][~of_first]) == {model.network_.encoder.numeric_}
    np.testing.assert_array_equal(model.network_.scale, single.network_.scale)
    chosen = [single.alpha_]
    for k in (1, 2):
        one = {name: column[path["network"] == k] for name, column in path.items()}
        last = one["alpha"] == one["alpha"][-1] if n > 5000 else np.ones(len(one["alpha"]), bool)
        chosen.append(one["alpha"][last][np.argmin(one["held_out_loss"][last])])
    assert model.alpha_ == pytest.approx(np.prod(chosen) ** (1 / 3))
    new, target = noisy_columns(2000, columns=X.shape[1], seed=1)
    assert model.score(new, target) > single.score(new, target)
    assert model.objective_ == pytest.approx(model.network_.objective(X, y, alpha=model.alpha_))
    model.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(load(tmp_path / "model.npz").predict(new), model.predict(new))


def test_time_that_runs_out_leaves_the_networks_there_are():
    X, y = noisy_columns(300)
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        model = PathReLURegressor(n_networks=10**4, random_state=0, max_seconds=1.0).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
