"""Arrangements: the patterns are those of the trees, and what sampling promises."""

import pickle

import numpy as np
import pytest
from reference import Groups, random_trees

import pathrelu as pr

METHODS = ["gaussian", "rows"]
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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("width", "depth", "integer"), SHAPES)
def test_sampling_gives_as_many_as_asked_and_gates_that_make_them(rng, width, depth, integer, method):
    X = rng.standard_normal((100, 6))
    sampled = pr.sample_arrangements(X, 70, depth, integer, random_state=1, method=method)
    assert (len(sampled), sampled.depth, sampled.width) == (70, depth, width)
    again = pr.Arrangements.from_trees(X, sampled.gates, sampled.signs, width=width)
    np.testing.assert_array_equal(again.patterns(), sampled.patterns())


@pytest.mark.parametrize("method", METHODS)
def test_sampling_does_not_depend_on_threads_and_depends_on_the_seed(rng, method):
    X = rng.standard_normal((200, 5))
    one, two, three = (
        pr.sample_arrangements(X, 300, 3, 3, random_state=4, n_threads=k, method=method) for k in (1, 2, 3)
    )
    np.testing.assert_array_equal(one.patterns(), two.patterns())
    np.testing.assert_array_equal(one.gates, two.gates)
    np.testing.assert_array_equal(one.gates, three.gates)
    other = pr.sample_arrangements(X, 300, 3, 3, random_state=5, method=method).patterns()
    assert not np.array_equal(one.patterns(), other)


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


@pytest.mark.parametrize("method", METHODS)
def test_sampling_rows_of_zeros_finds_none(method):
    assert len(pr.sample_arrangements(np.zeros((5, 2)), 10, random_state=0, method=method)) == 0


def of_trees(arrangements):
    """Patterns and signs of each group, whatever the order of its leaves."""
    patterns, signs, paths = arrangements.patterns(), arrangements.signs, arrangements.paths
    return {
        (tuple(sorted((leaf.tobytes(), s) for leaf, s in zip(p[:paths], t, strict=False))), p[-1].tobytes())
        if paths > 1
        else p.tobytes()
        for p, t in zip(patterns, signs, strict=True)
    }


def degenerate_rows(kind):
    rng = np.random.default_rng(3)
    match kind:
        case "general":
            return rng.standard_normal((8, 3))
        case "grid":  # many planes through one line
            return np.array([[i, j, 1.0] for i in range(3) for j in range(3)])
        case "repeated, opposite, zero":
            X = rng.standard_normal((5, 3))
            return np.concatenate([X, X[:2], -X[1:3], 3 * X[4:], np.zeros((1, 3))])
        case "float32":
            return rng.standard_normal((7, 3)).astype(np.float32)
        case "rank below columns":
            return rng.standard_normal((9, 2)) @ rng.standard_normal((2, 6))
        case "one line":
            return np.outer([1.0, -2.0, 0.5], [1.0, 2.0])
        case "as many rows as columns":
            return rng.standard_normal((4, 4))
        case "ill conditioned":
            return rng.standard_normal((8, 3)) * [1.0, 1e-4, 1e4]


@pytest.mark.parametrize(
    "kind",
    [
        "general",
        "grid",
        "repeated, opposite, zero",
        "float32",
        "rank below columns",
        "one line",
        "as many rows as columns",
        "ill conditioned",
    ],
)
def test_leaves_at_rows_have_arrangements_of_full_dimension_and_reach_all_of_them(kind):
    X = degenerate_rows(kind)
    every = of_trees(pr.enumerate_arrangements(X))
    found = of_trees(pr.sample_arrangements(X, 3000, random_state=0, method="rows"))
    assert found == every


def test_trees_of_leaves_at_rows_reach_all_arrangements():
    X = np.random.default_rng(5).standard_normal((3, 2))
    every = of_trees(pr.enumerate_arrangements(X, depth=3, width=2))
    found = pr.sample_arrangements(X, 20_000, depth=3, width=2, random_state=0, method="rows")
    assert every <= of_trees(found)


def test_planes_of_rows_are_taken_with_equal_chance_however_narrow_the_region():
    # Two of six rows at an angle of 1e-6: units of normal directions hardly ever tell them apart.
    angles = np.array([0.3, 0.3 + 1e-6, 1.0, 1.5, 2.2, 2.9])
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = {
        method: pr.sample_arrangements(X, 200, random_state=0, method=method).masks()[:, 0]
        for method in METHODS
    }
    assert len(found["rows"]) == 2 * 6 - 1
    assert not (found["gaussian"][:, 0] != found["gaussian"][:, 1]).any()


def test_trees_at_rows_are_the_same_however_many_are_asked_for(rng):
    X = rng.standard_normal((60, 4))
    few, more = (pr.sample_arrangements(X, k, 3, 2, random_state=0, method="rows") for k in (20, 150))
    np.testing.assert_array_equal(few.gates, more.gates[:20])
    np.testing.assert_array_equal(few.signs, more.signs[:20])


def test_an_unknown_way_of_sampling_is_refused(rng):
    with pytest.raises(ValueError, match="method is 'row'; expected 'gaussian' or 'rows'"):
        pr.sample_arrangements(rng.standard_normal((9, 2)), 5, method="row")
