"""Stochastic slides: Adam over blocks of rows."""

import numpy as np
import pytest

from pathrelu import _core
from pathrelu._watch import Watch
from pathrelu.program import _stochastic
from pathrelu.program._problem import Problem
from pathrelu.program._slide import Slides
from pathrelu.program._stochastic import ShuffledRows, averaged, stochastic_slide


def slides(shared=False, threads=1, width=(), **watch):
    options = _core.SolveOptions(fit_intercept=True, threads=threads)
    return Slides(list(width), options, 0, False, shared, Watch(**watch))


def problem(n, classes=1, dtype=np.float64):
    rng = np.random.default_rng(classes)
    X = np.concatenate([rng.standard_normal((n, 3)), np.ones((n, 1))], axis=1).astype(dtype)
    score = np.abs(X[:, 0]) + 2 * X[:, 1]
    y = score if classes == 1 else np.eye(3)[np.digitize(score, [0, 2])]
    return Problem.check(X, y, "relu", "squared_error" if classes == 1 else "log_loss", rng.random(n) + 0.5)


def gradient_of_objective(problem, alpha, x, trees):
    """In the variables a, u of slides, by central differences of its definition."""
    K, d, C = len(trees[0]), problem.X.shape[1], trees[2].shape[1]
    q = C if C > 1 else 1

    def value(x):
        factors = x[: K * (q + d)].reshape(K, q + d)
        a = factors[:, :q] if q > 1 else np.abs(factors[:, :1]) * trees[2]
        f = np.maximum(problem.X @ factors[:, q:].T, 0) @ a + x[K * (q + d) :]
        if C == 1:
            loss = ((f - problem.y) ** 2).sum(axis=1) / 2
        else:
            loss = np.log(np.exp(f).sum(axis=1)) - (f * problem.y).sum(axis=1)
        return np.mean(problem.w * loss) + alpha / 2 * (factors**2).sum()

    step = 1e-6
    return np.array([(value(x + step * e) - value(x - step * e)) / (2 * step) for e in np.eye(len(x))])


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_steps_are_those_of_adam(classes, dtype):
    some, alpha, rate = problem(60, classes, dtype), 0.01, 0.05
    slide = slides(shared=classes > 1)
    trees = slide.descend(some, alpha, None, evaluations=3, random_trees=4)
    shape = ([], classes > 1, True, 1.0)
    x = _core.slide_variables(trees, *shape)
    state = (x, np.zeros_like(x), np.zeros_like(x), 0)
    mean, square = np.zeros_like(x), np.zeros_like(x)
    for k in range(3):  # blocks of fewer rows than a batch: one step each
        options = _core.StochasticOptions(first_rate=rate, shared=classes > 1, stream=k)
        state = _core.descend_stochastically(some.core, alpha, [], options, trees, state)
        gradient = gradient_of_objective(some, alpha, x, trees)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient**2
        root = np.sqrt(square / (1 - 0.99 ** (k + 1)))
        x = x - rate * mean / (1 - 0.9 ** (k + 1)) / (root + 1e-8)
        assert state[3] == k + 1
        sure = root > 1e-4  # smaller gradients are rounding, whose sign decides
        np.testing.assert_allclose(state[0][sure], x[sure], rtol=2e-3, atol=2e-3 * rate)
        x = state[0]


@pytest.mark.parametrize("classes", [1, 3])
def test_a_stochastic_slide_lowers_the_objective_and_variables_stand_for_trees(classes):
    some, alpha = problem(3000, classes), 0.01
    slide = slides(shared=classes > 1)
    trees = slide.descend(some, alpha, None, evaluations=3, random_trees=30)

    def value(trees):
        norms = alpha * np.linalg.norm(trees[0], axis=1).sum()
        return _core.mean_loss(slide.outputs(some.X, trees), some.y, some.w, some.core_loss) + norms

    shape = ([], classes > 1, True, 1.3)
    same = _core.trees_at(_core.slide_variables(trees, *shape), trees, *shape)
    assert value(same) == pytest.approx(value(trees), rel=1e-9)
    after = stochastic_slide(
        slide, ShuffledRows(some, slide), some.core_loss, alpha, trees,
        at_constant=1.0, rate=0.02, passes=10, stream=0,
    )  # fmt: skip
    best = slide.descend(some, alpha, trees, evaluations=300)
    assert value(after) < 0.5 * (value(trees) + value(best))


def test_results_of_a_group_are_averaged_and_do_not_depend_on_threads(monkeypatch):
    monkeypatch.setattr(_stochastic, "GROUPED_ROWS", 0)
    some = problem(9000, 3)
    ends = []
    for threads in (1, 2, 3, 4):
        slide = slides(shared=True, threads=threads)
        trees = slide.descend(some, 0.01, None, evaluations=3, random_trees=10)
        rows = ShuffledRows(some, slide)
        assert rows.n_blocks == 5
        ends.append(
            stochastic_slide(
                slide, rows, some.core_loss, 0.01, trees, at_constant=1.0, rate=0.02, passes=2, stream=0
            )
        )
    for end in ends[1:]:
        for ours, first in zip(end, ends[0], strict=True):
            np.testing.assert_array_equal(ours, first)
    states = [(np.array([float(k)]), np.array([2.0 * k]), np.array([0.0]), 7) for k in range(4)]
    assert averaged(states) == (1.5, 3.0, 0.0, 7)


def test_every_row_is_in_one_block():
    rows = ShuffledRows(problem(5001), slides())
    seen = []

    def note(X, y, w, state, k):
        seen.append(X[:, 0])
        return state + len(X)

    total = rows.fold_blocks(note, lambda states: states[0], 0, 1)
    assert total == 5001
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.sort(rows.problem.X[:, 0]))


def test_a_limit_of_time_ends_a_stochastic_slide():
    some = problem(9000)
    slide = slides()
    trees = slide.descend(some, 0.01, None, evaluations=3, random_trees=30)
    slide = slides(max_seconds=1e-9)
    after = stochastic_slide(
        slide, ShuffledRows(some, slide), some.core_loss, 0.01, trees,
        at_constant=1.0, rate=0.02, passes=1000, stream=0,
    )  # fmt: skip
    assert slide.watch.stopped_by == "max_seconds=1e-09"
    assert np.isfinite(slide.outputs(some.X, after)).all()


def test_a_state_of_other_variables_is_refused():
    some = problem(60)
    trees = slides().descend(some, 0.01, None, evaluations=3, random_trees=4)
    wrong = np.zeros(3)
    with pytest.raises(ValueError, match="the state has 3 variables; expected"):
        _core.descend_stochastically(
            some.core, 0.01, [], _core.StochasticOptions(), trees, (wrong, wrong, wrong, 0)
        )
    with pytest.raises(ValueError, match="x has 3 variables; expected"):
        _core.trees_at(wrong, trees, [], False, True, 1.0)
