"""Blocks of rows in memory, and fits on them."""

import numpy as np
import pandas as pd
import pytest

from pathrelu import PathReLUClassifier, PathReLURegressor, _base
from pathrelu.encoding import RawTable
from pathrelu.program import _stochastic
from pathrelu.rows import _memory, _training
from pathrelu.rows._memory import MemoryBlocks


def blocks(n=5000, threads=1):
    rng = np.random.default_rng(0)
    X, y, w = rng.standard_normal((n, 3)), rng.standard_normal(n), rng.random(n)
    return MemoryBlocks(RawTable.of_block(X), y, w, 0, threads)


def total(X, y, w):
    return X.block.sum(axis=0), y.sum(), w.sum()


def added(left, right):
    return tuple(a + b for a, b in zip(left, right, strict=True))


def test_every_row_is_in_one_block_and_threads_change_no_bit(monkeypatch):
    monkeypatch.setattr(_memory, "BLOCK_ROWS", 700)
    one = blocks()
    assert one.n_blocks == 8
    seen = np.concatenate(one.map_blocks(lambda X, y, w: y))
    np.testing.assert_array_equal(np.sort(seen), np.sort(one.y))
    first = one.reduce_blocks(total, added)
    np.testing.assert_allclose(first[0], one.X.block.sum(axis=0), rtol=1e-12, atol=1e-9)
    for threads in (2, 3, 4):
        again = blocks(threads=threads).reduce_blocks(total, added)
        for ours, theirs in zip(first, again, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_groups_start_from_the_state_before_and_stages_are_applied(monkeypatch):
    monkeypatch.setattr(_memory, "BLOCK_ROWS", 700)
    doubled = blocks(threads=3).prepared(lambda X, y, w, factor: (X, factor * y, w), 2.0)

    def note(X, y, w, state, k):
        return [*state, (k, y.sum())]

    ends = doubled.fold_blocks(note, lambda states: [part for state in states for part in state[-1:]], [], 3)
    assert [k for k, _ in ends] == [6, 7]  # the last group
    plain = blocks().map_blocks(lambda X, y, w: y.sum())
    np.testing.assert_allclose([value for _, value in ends], 2 * np.array(plain[6:]))


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_many_rows_are_fitted_in_blocks_with_the_same_bits_for_any_number_of_threads(classes, monkeypatch):
    monkeypatch.setattr(_base, "MANY_ROWS", 3000)
    monkeypatch.setattr(_memory, "BLOCK_ROWS", 1024)
    monkeypatch.setattr(_training, "SAMPLE_ROWS", 1500)
    monkeypatch.setattr(_stochastic, "GROUPED_ROWS", 0)
    rng = np.random.default_rng(classes)
    frame = pd.DataFrame({"a": rng.standard_normal(6000), "b": rng.choice(["x", "y"], 6000)})
    f = np.abs(frame["a"].to_numpy()) + (frame["b"] == "x")
    y = f + 0.1 * rng.standard_normal(6000) if classes == 0 else np.digitize(f, [0.9, 1.5][: classes - 1])
    kind = PathReLURegressor if classes == 0 else PathReLUClassifier
    weight = rng.integers(0, 3, 6000)
    models = [kind(n_threads=k, random_state=0).fit(frame, y, weight) for k in (1, 2, 3)]
    for model in models:
        assert model.score(frame, y) > 0.9
        np.testing.assert_array_equal(model.network_.leaf_weights, models[0].network_.leaf_weights)
        assert (model.objective_, model.dual_gap_) == (models[0].objective_, models[0].dual_gap_)
    network, alpha = models[0].network_, models[0].alpha_
    loss = "squared_error" if classes == 0 else "log_loss"
    objective = network.objective(frame, y, alpha, loss=loss, sample_weight=weight)
    assert models[0].objective_ == pytest.approx(objective, rel=1e-6)
    assert models[0].n_passes_ > 3
    assert 0 < models[0].dual_gap_ <= objective
    assert models[0].path_["alpha"].min() > 0


def test_what_the_blocks_cannot_do_is_done_as_for_few_rows(monkeypatch):
    monkeypatch.setattr(_base, "MANY_ROWS", 300)
    monkeypatch.setattr(_training, "SAMPLE_ROWS", 200)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 2))
    y = np.abs(X[:, 0])
    for options in ({"alpha": 0.01}, {"tol": 1e-3}, {"prune": True}, {"activation": "gated"}):
        model = PathReLURegressor(random_state=0, **options)
        assert not model._many(X)
    assert PathReLURegressor()._many(X)
    with pytest.raises(ValueError, match="X has infinite values in column 1"):
        PathReLURegressor().fit(np.where(np.arange(800).reshape(400, 2) == 7, np.inf, X), y)
    with pytest.raises(ValueError, match="at least 2 classes"):
        PathReLUClassifier().fit(X, np.zeros(400, int))
