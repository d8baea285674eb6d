"""One pass over blocks: which rows are sampled and held out, and what it counts."""

import numpy as np
import pandas as pd
import pytest
from pieces import Pieces, cut_at

from pathrelu.encoding import RawTable
from pathrelu.rows import ArraySource
from pathrelu.rows import _blocks as blocks
from pathrelu.rows._blocks import LocalBlocks
from pathrelu.rows._sample import held_out, summarize


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 64)


def table(n=1000, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n), rng.random(n)


def rows_of(part):
    columns = [
        np.array([*column.levels, None], object)[np.nan_to_num(column.values, nan=-1).astype(int)]
        if column.levels
        else column.values
        for column in part.X.columns
    ]
    return [tuple(row) for row in zip(*columns, part.y.tolist(), part.w.tolist(), strict=True)]


@pytest.mark.parametrize("places", [(), (1, 2, 3), (500,), (64, 700), (0, 1000)])
def test_the_sample_depends_neither_on_pieces_nor_on_order(places):
    X, y, w = table()
    whole = summarize(LocalBlocks(ArraySource(X, y, w)), 100, 7, labels=False)
    assert len(whole.keys) == len(whole.sample.w) == 100
    assert not whole.complete
    assert (whole.n_rows, whole.n_weighted) == (1000, 1000)
    order = np.random.default_rng(len(places)).permutation(1000)
    found = summarize(LocalBlocks(cut_at(X[order], y[order], w[order], *places)), 100, 7, labels=False)
    np.testing.assert_array_equal(found.keys, whole.keys)
    for k in (found.sample, whole.sample):
        assert set(rows_of(k)) <= set(zip(*X.T, y, w, strict=True))
    assert rows_of(found.sample) == rows_of(whole.sample)
    assert found.weight == pytest.approx(w.sum(), rel=1e-14)
    other = summarize(LocalBlocks(ArraySource(X, y, w)), 100, 8, labels=False)
    assert len(set(rows_of(other.sample)) & set(rows_of(whole.sample))) < 30


def test_equal_rows_are_one_with_all_their_weight_and_rows_without_weight_have_no_part():
    X, y, w = table(90)
    w[:30] = 0
    repeated = LocalBlocks(cut_at(np.tile(X, (5, 1)), np.tile(y, 5), np.tile(w, 5), 100))
    found = summarize(repeated, 1000, 0, labels=False)
    assert found.complete
    assert (found.n_rows, found.n_weighted) == (450, 300)
    expected = sorted(zip(*X[30:].T, y[30:], 5 * w[30:], strict=True))
    np.testing.assert_allclose(sorted(rows_of(found.sample)), expected)
    some = summarize(repeated, 20, 0, labels=False)
    assert not some.complete
    assert rows_of(some.sample) == rows_of(found.sample)[:20]
    exactly = summarize(repeated, 60, 0, labels=False)
    assert exactly.complete


def test_rows_are_equally_likely_to_be_sampled():
    X, y, _ = table(640)
    held = LocalBlocks(ArraySource(X, y))
    place = {row: k for k, row in enumerate(X[:, 0].tolist())}
    counts = np.zeros(640)
    for seed in range(200):
        sample = summarize(held, 64, seed, labels=False).sample
        counts[[place[row] for row in sample.X.block[:, 0].tolist()]] += 1
    # Of a binomial number, mean 20 and standard deviation 4.2.
    assert counts.sum() == 200 * 64
    assert counts.min() > 3
    assert counts.max() < 43
    assert counts.std() == pytest.approx(np.sqrt(200 * 0.1 * 0.9), rel=0.15)


def test_levels_of_text_are_told_by_what_they_say():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, 9, 400).astype(float), "b": rng.choice(list("uvwx"), 400)})
    frame.loc[rng.random(400) < 0.2, "b"] = None
    y = np.array(["no", "yes"])[rng.integers(0, 2, 400)]
    found = []
    for order in (np.arange(400), rng.permutation(400), np.argsort(frame["b"].fillna("z"))):
        some, targets = frame.iloc[order], y[order]
        pieces = Pieces(*((some[k : k + 90], targets[k : k + 90], None) for k in range(0, 400, 90)))
        found.append(summarize(LocalBlocks(pieces, labels=True), 30, 3, labels=True))
    np.testing.assert_array_equal(found[0].keys, found[1].keys)
    np.testing.assert_array_equal(found[0].keys, found[2].keys)
    shown = [[tuple(map(str, row)) for row in rows_of(one.sample)] for one in found]
    assert shown[0] == shown[1] == shown[2]
    complete = summarize(LocalBlocks(ArraySource(frame, y), labels=True), 400, 3, labels=True)
    counted = frame.assign(y=y).groupby(["a", "b", "y"], dropna=False).size()
    assert complete.complete
    assert sorted(complete.sample.w.tolist()) == sorted(counted.tolist())


def test_rare_classes_have_rows_in_the_sample_and_their_weight():
    X, _, w = table(1000)
    y = np.where(np.arange(1000) % 250 == 0, 2, np.arange(1000) % 2)
    whole = LocalBlocks(cut_at(X, y, w, 100, 700), labels=True)
    found = summarize(whole, 60, 0, labels=True)
    assert (found.sample.y == 2).sum() == 4
    for label, weight in zip(found.labels, found.label_weights, strict=True):
        assert found.sample.w[found.sample.y == label].sum() == pytest.approx(weight)
    order = np.random.default_rng(2).permutation(1000)
    other = summarize(LocalBlocks(ArraySource(X[order], y[order], w[order]), labels=True), 60, 0, labels=True)
    np.testing.assert_array_equal(other.keys, found.keys)


@pytest.mark.parametrize("labels", [np.array(["b", "a", "c"]), np.array([3, -1, 7]), np.array([True, False])])
def test_labels_and_their_weights(labels):
    X, _, w = table(300)
    y = labels[np.random.default_rng(1).integers(0, len(labels), 300)]
    w[y == labels[0]] = 0
    found = summarize(LocalBlocks(cut_at(X, y, w, 100), labels=True), 10, 0, labels=True)
    names = np.unique(labels)
    assert found.labels.tolist() == names.tolist()
    assert found.labels.dtype == names.dtype
    np.testing.assert_allclose(found.label_weights, [w[y == name].sum() for name in names])
    assert labels[0] not in found.sample.y


def test_held_out_rows_are_a_share_and_equal_ones_together():
    X, _, _ = table(4000)
    rows = RawTable.read(np.concatenate([X, X[::-1]]))
    out = held_out(rows, 5, 4)
    np.testing.assert_array_equal(out[:4000], out[4000:][::-1])
    assert 900 < out[:4000].sum() < 1100
    assert not np.array_equal(out, held_out(rows, 6, 4))
    np.testing.assert_array_equal(held_out(RawTable.read(X[1000:2000]), 5, 4), out[1000:2000])


def test_sampled_rows_are_no_more_held_out_than_others():
    X, y, _ = table(4000)
    sample = summarize(LocalBlocks(ArraySource(X, y)), 1000, 5, labels=False).sample
    assert 200 < held_out(sample.X, 5, 4).sum() < 300


def test_weights_that_are_all_zero_are_refused():
    X, y, _ = table(200)
    with pytest.raises(ValueError, match="zero for every row"):
        summarize(LocalBlocks(ArraySource(X, y, np.zeros(200))), 10, 0, labels=False)
