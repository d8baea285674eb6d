"""Arrangements: the patterns are those of the trees, and what sampling promises."""

import pickle

import numpy as np
import pytest
from reference import Groups, random_trees

import pathrelu as pr

SHAPES = [((), 2, 1), ((3,), 3, 3), ((2, 2), 4, 2), ((1, 1), 4, 1)]  # width, depth, width as one integer


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("width", "depth", "_"), SHAPES)
def test_patterns_and_masks_are_those_of_the_trees(rng, width, depth, _, dtype):
    X = rng.standard_normal((70, 3)).astype(dtype)
    W, signs = random_trees(rng, 40, 3, width)

    arrangements = pr.Arrangements.from_trees(X, W, signs, width=width)

    expected = Groups.of_trees(X.astype(np.float64), W, signs, width).distinct()
    np.testing.assert_array_equal(arrangements.patterns(), expected.patterns)
    np.testing.assert_array_equal(arrangements.masks(), expected.masks)
    np.testing.assert_array_equal(arrangements.signs, expected.signs)
    np.testing.assert_array_equal(arrangements.gates, W[arrangements.source_index])
    assert (arrangements.depth, arrangements.width, arrangements.n_rows) == (depth, width, 70)
    assert len(arrangements) == len(expected)


def test_from_gates_is_one_unit_per_gate(rng):
    X, G = rng.standard_normal((50, 4)), rng.standard_normal((20, 4))
    arrangements = pr.Arrangements.from_gates(X, G)
    np.testing.assert_array_equal(arrangements.masks()[:, 0], G @ X.T > 0)
    assert (arrangements.depth, arrangements.width, arrangements.paths) == (2, (), 1)


def test_duplicates_and_zero_masks_are_dropped_and_sources_kept():
    X = np.array([[1.0, 2.0], [3.0, 1.0]])
    G = np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0], [2.0, 2.0]])  # zero, both, second, both again
    arrangements = pr.Arrangements.from_gates(X, G)
    assert arrangements.source_index.tolist() == [1, 2]
    np.testing.assert_array_equal(arrangements.gates[:, 0], G[[1, 2]])


def test_groups_that_differ_in_signs_alone_are_kept(rng):
    X = rng.random((10, 2))
    W = np.ones((2, 2, 2))  # every leaf on, every root on if one sign is +
    arrangements = pr.Arrangements.from_trees(X, W * [[[1.0], [0.5]]], [[1, -1], [1, 1]])
    assert len(arrangements) == 2


def test_one_row_of_signs_stands_for_all_trees(rng):
    X, W = rng.standard_normal((30, 2)), rng.standard_normal((9, 3, 2))
    one = pr.Arrangements.from_trees(X, W, [1, -1, 1])
    all_ = pr.Arrangements.from_trees(X, W, np.tile([1, -1, 1], (9, 1)))
    np.testing.assert_array_equal(one.patterns(), all_.patterns())
    assert (one.depth, one.width) == (3, (3,))


@pytest.mark.parametrize("index", [slice(2, 7, 2), np.array([4, 0, -1]), 3, np.arange(10) % 2 == 0, []])
def test_indexing_selects_groups(rng, index):
    X = rng.standard_normal((40, 3))
    arrangements = pr.Arrangements.from_gates(X, rng.standard_normal((30, 3)))[:10]
    index = np.array(index, int) if isinstance(index, list) else index
    chosen = arrangements[index]
    np.testing.assert_array_equal(
        chosen.masks(), np.atleast_3d(arrangements.masks())[np.atleast_1d(np.arange(10)[index])]
    )
    np.testing.assert_array_equal(chosen.gates, arrangements.gates[np.atleast_1d(np.arange(10)[index])])
    assert len(chosen) == len(chosen.source_index) == len(chosen.signs)


def test_an_index_outside_is_refused(rng):
    arrangements = pr.Arrangements.from_gates(rng.standard_normal((9, 2)), np.eye(2))
    with pytest.raises(IndexError):
        arrangements[[5]]


def test_pickling_keeps_everything(rng):
    X = rng.standard_normal((40, 3))
    arrangements = pr.sample_arrangements(X, 12, 3, 2, random_state=0)
    copy = pickle.loads(pickle.dumps(arrangements))
    np.testing.assert_array_equal(copy.patterns(), arrangements.patterns())
    np.testing.assert_array_equal(copy.signs, arrangements.signs)
    np.testing.assert_array_equal(copy.gates, arrangements.gates)
    np.testing.assert_array_equal(copy.source_index, arrangements.source_index)
    assert repr(copy) == "Arrangements(12 groups, depth=3, width=(2,), n_rows=40)"


@pytest.mark.parametrize(("width", "depth", "integer"), SHAPES)
def test_sampling_gives_as_many_as_asked_and_gates_that_make_them(rng, width, depth, integer):
    X = rng.standard_normal((100, 6))
    sampled = pr.sample_arrangements(X, 70, depth, integer, random_state=1)
    assert (len(sampled), sampled.depth, sampled.width) == (70, depth, width)
    again = pr.Arrangements.from_trees(X, sampled.gates, sampled.signs, width=width)
    np.testing.assert_array_equal(again.patterns(), sampled.patterns())


def test_sampling_does_not_depend_on_threads_and_depends_on_the_seed(rng):
    X = rng.standard_normal((200, 5))
    masks = [pr.sample_arrangements(X, 300, 3, 3, random_state=4, n_threads=k).patterns() for k in (1, 2, 3)]
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])
    other = pr.sample_arrangements(X, 300, 3, 3, random_state=5).patterns()
    assert not np.array_equal(masks[0], other)


def test_sampling_does_not_depend_on_rows_that_repeat_others(rng):
    X = rng.standard_normal((30, 3))
    once = pr.sample_arrangements(X, 50, random_state=0)
    twice = pr.sample_arrangements(np.concatenate([X, X[:7]]), 50, random_state=0)
    np.testing.assert_array_equal(once.gates, twice.gates)


@pytest.mark.parametrize(
    "state", [3, np.int64(3), lambda: np.random.RandomState(3), lambda: np.random.default_rng(3)]
)
def test_every_kind_of_random_state_is_reproducible(rng, state):
    X = rng.standard_normal((30, 3))
    first, second = (
        pr.sample_arrangements(X, 20, random_state=state() if callable(state) else state) for _ in range(2)
    )
    np.testing.assert_array_equal(first.gates, second.gates)


def test_a_generator_gives_other_trees_the_second_time(rng):
    X, generator = rng.standard_normal((30, 3)), np.random.default_rng(0)
    first, second = (pr.sample_arrangements(X, 20, random_state=generator) for _ in range(2))
    assert not np.array_equal(first.gates, second.gates)


def test_sampling_finds_all_arrangements_of_tiny_data_and_stops():
    angles = np.array([0.1, 0.9, 1.7, 2.9])
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert len(pr.sample_arrangements(X, 1000, random_state=0)) == 2 * 4 - 1  # 2 n, but for the zero mask


def test_sampling_rows_of_zeros_finds_none():
    assert len(pr.sample_arrangements(np.zeros((5, 2)), 10, random_state=0)) == 0
