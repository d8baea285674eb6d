"""The automatic alpha by held-out rows, and the slides that it follows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning

from pathrelu import PathReLUClassifier, PathReLURegressor, TableEncoder, _core
from pathrelu._watch import Watch
from pathrelu.alpha import FOLDS, LEAST_ROWS, MORE_ALPHAS, PATH_ROWS, _Span, held_out_folds
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
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        model = PathReLURegressor(random_state=0, max_seconds=0.05).fit(X, y)
    assert np.isfinite(model.predict(X)).all()


def test_a_tolerance_given_is_reached():
    X, y = make_friedman1(100, noise=1, random_state=0)
    model = PathReLURegressor(random_state=0, tol=1e-6).fit(X, y)
    assert model.dual_gap_ <= 1e-6 * np.var(y) / 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_in_coordinates_of_their_span_give_the_same_outputs_at_the_same_norms(dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 90)).astype(dtype)
    X[20:] = X[:10] - X[10:20]
    span = _Span.of(X)
    problem = Problem.check(X, X[:, 0], "relu", "squared_error", None)
    inside = span.problem(problem)
    assert inside.X.shape == (30, 20)
    leaves = rng.standard_normal((5, 40))  # of trees with two paths
    lifted = span.lifted((leaves, None, None, None, None))[0]
    for k in range(2):
        small, large = leaves[:, 20 * k : 20 * k + 20], lifted[:, 90 * k : 90 * k + 90]
        np.testing.assert_allclose(X @ large.T, inside.X @ small.T, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(np.linalg.norm(large, axis=1), np.linalg.norm(small, axis=1), rtol=1e-5)
    wide = PathReLURegressor(random_state=0).fit(X, X[:, 0] + X[:, 1])
    assert wide.score(X, X[:, 0] + X[:, 1]) > 0.9
    assert _Span.of(X[:, :40]).problem(problem) is problem


def test_of_many_rows_the_path_goes_on_to_all_at_a_smaller_alpha():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((8000, 2))
    model = PathReLURegressor(random_state=0, encode="linear").fit(
        X, np.abs(X[:, 0]) + rng.standard_normal(8000)
    )
    alpha, loss = model.path_["alpha"], model.path_["held_out_loss"]
    first = int(np.flatnonzero(np.isclose(alpha / alpha[0] * 2.0 ** np.arange(len(alpha)), 1) == 0)[0])
    few, more = slice(0, first), slice(first, None)
    assert 1 <= len(alpha[more]) <= MORE_ALPHAS
    np.testing.assert_allclose(alpha[first], alpha[np.argmin(loss[few])] * np.sqrt(PATH_ROWS / 6400))
    assert model.alpha_ == alpha[more][np.argmin(loss[more])]
