"""Enumeration: as many arrangements as theory counts, each with a tree that has it."""

import itertools
import math
import signal
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Groups, path_units
from scipy.optimize import linprog

import pathrelu as pr
from pathrelu import _core


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def general_position(n, rank):
    """Regions of n hyperplanes in general position in R^rank (Cover, 1965)."""
    return 2 * sum(math.comb(n - 1, k) for k in range(rank))


def regions(X):
    """Regions of the hyperplanes of integer rows in R^3, the sum of |mu| over flats (Zaslavsky, 1975)."""

    def direction(v):
        v = np.array(v) // math.gcd(*map(int, v))
        return tuple((v if tuple(v) > (0, 0, 0) else -v).tolist())

    lines = sorted({direction(x) for x in X if x.any()})
    pencils = {}  # lines (flats of rank 2) in which planes meet, and the planes through each
    for a, b in itertools.combinations(lines, 2):
        pencils.setdefault(direction(np.cross(a, b)), set()).update((a, b))
    mobius = [1, -len(lines), sum(len(planes) - 1 for planes in pencils.values())]
    if len(pencils) > 1:
        mobius.append(-sum(mobius))  # they sum to zero below the top flat and up to it
    return sum(map(abs, mobius))


def without_zero_pattern(X, count):
    """The count less the region in which no unit is on, if there is one: X u <= -1 is feasible."""
    X = X[X.any(axis=1)]
    feasible = linprog(np.zeros(X.shape[1]), X, -np.ones(len(X)), bounds=(None, None)).status == 0
    return count - feasible


def check_gates(X, arrangements):
    """Gates of length 1 that have the patterns, all of them different."""
    again = pr.Arrangements.from_trees(X, arrangements.gates, arrangements.signs, width=arrangements.width)
    assert len(again) == len(arrangements)
    np.testing.assert_array_equal(again.patterns(), arrangements.patterns())
    np.testing.assert_allclose(np.linalg.norm(arrangements.gates, axis=(1, 2)), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("n", "d", "rank"), [(1, 1, 1), (9, 4, 1), (9, 2, 2), (40, 6, 2), (7, 3, 3), (60, 5, 3)]
)
def test_as_many_as_theory_counts_in_general_position(rng, n, d, rank, dtype):
    X = (rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))).astype(dtype)
    arrangements = pr.enumerate_arrangements(X)
    expected = 2 if rank == 1 else {2: 2 * n, 3: n**2 - n + 2}[rank]
    masks = arrangements.masks()[:, 0]
    one_sided = masks.all(axis=1).any()  # then no unit is on in the opposite region
    assert len(arrangements) == expected - one_sided
    check_gates(X, arrangements)


@pytest.mark.parametrize(("n", "rank"), [(5, 4), (9, 4), (8, 5), (7, 6)])
def test_higher_ranks_of_few_rows(rng, n, rank):
    X = rng.standard_normal((n, rank))
    arrangements = pr.enumerate_arrangements(X)
    assert len(arrangements) == without_zero_pattern(X, general_position(n, rank))
    check_gates(X, arrangements)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=1, max_size=9))
def test_degenerate_rows_have_as_many_regions_as_their_flats_say(rows):
    X = np.array(rows, float)
    arrangements = pr.enumerate_arrangements(X)
    if not X.any():
        assert len(arrangements) == 0
        return
    assert len(arrangements) == without_zero_pattern(X, regions(X.astype(int)))
    check_gates(X, arrangements)


def test_large_pencils_zero_rows_and_multiples(rng):
    # 40 planes through one line, 30 through another, rows of zeros, repeated and negated rows.
    fan = np.column_stack([np.arange(-20, 20), np.ones(40), np.zeros(40)])
    other = np.column_stack([np.zeros(30), np.arange(1, 31), np.ones(30)])
    X = np.vstack([fan, other, np.zeros((3, 3)), -2 * fan[:7], other[:5]])
    X = X[rng.permutation(len(X))]
    arrangements = pr.enumerate_arrangements(X @ rng.standard_normal((3, 8)))
    assert len(arrangements) == without_zero_pattern(X, regions(X.astype(int)))
    check_gates(X @ np.eye(3), pr.enumerate_arrangements(X))
    assert not arrangements.masks()[:, 0, ~X.any(axis=1)].any()


def test_a_grid_of_integer_rows():
    X = np.array(list(itertools.product(range(-3, 4), repeat=3)), float)
    assert len(pr.enumerate_arrangements(X)) == regions(X.astype(int))


def test_scales_of_rows_and_columns_change_nothing(rng):
    X = rng.standard_normal((25, 3))
    scaled = X * 10.0 ** rng.integers(-8, 9, (25, 1)) * np.array([1e-3, 1.0, 1e3])
    masks = [
        {m.tobytes() for m in pr.enumerate_arrangements(Z).masks()} for Z in (X, scaled * [1e3, 1, 1e-3])
    ]
    assert masks[0] == masks[1]
    assert len(pr.enumerate_arrangements(scaled)) == 25**2 - 25 + 2


def test_every_pattern_of_random_gates_is_there(rng):
    X = rng.standard_normal((12, 3))
    found = {m.tobytes() for m in pr.enumerate_arrangements(X).masks()}
    sampled = {m.tobytes() for m in pr.sample_arrangements(X, 5000, random_state=0).masks()}
    assert sampled <= found
    assert len(found) < 1.2 * len(sampled)


def test_no_rank_no_arrangement():
    arrangements = pr.enumerate_arrangements(np.zeros((4, 3)))
    assert (len(arrangements), arrangements.gates.shape) == (0, (0, 1, 3))


def test_threads_do_not_matter(rng):
    X = rng.standard_normal((90, 3))
    first, *others = [pr.enumerate_arrangements(X, n_threads=k) for k in (1, 2, 3)]
    for other in others:
        np.testing.assert_array_equal(first.patterns(), other.patterns())
        np.testing.assert_array_equal(first.gates, other.gates)


def test_depth_three_of_five_rows_in_the_plane(rng):
    X = rng.standard_normal((5, 2))
    arrangements = pr.enumerate_arrangements(X, depth=3, width=2)
    assert set(map(tuple, arrangements.signs.tolist())) == {(1, 1), (1, -1)}
    check_gates(X, arrangements)
    # Both signs +: the root is on wherever a leaf is, and siblings do not count in order.
    assert (arrangements.signs == 1).all(axis=1).sum() == 10 * 11 // 2
    # Signs (+, -): 240 joint patterns. Those whose root is never on are left out; linear programs count them.
    leaves = pr.enumerate_arrangements(X).patterns()[:, 0]
    if len(leaves) < 10:
        leaves = np.vstack([leaves, np.zeros((1, 5), bool)])
    never = 0
    for a, b in itertools.product(leaves, leaves):
        groups = Groups(np.array([[a, b, np.zeros(5, bool)]]), np.array([[1, -1]]), (2,))
        A = groups.cone_rows(X, 0)
        A = A[A.any(axis=1)]
        never += linprog(np.zeros(4), -A, -np.ones(len(A)), bounds=(None, None)).status == 0
    mixed = (arrangements.signs == [1, -1]).all(axis=1).sum()
    assert mixed + never == 240


def canonical(arrangements):
    """Each group with siblings of one sign sorted; depth 3."""
    groups = []
    for patterns, signs in zip(arrangements.patterns(), arrangements.signs, strict=True):
        leaves = sorted((-s, p.tobytes()) for s, p in zip(signs, patterns[:-1], strict=True))
        groups.append((tuple(leaves), patterns[-1].tobytes()))
    return groups


@pytest.mark.parametrize(("n", "d", "m"), [(3, 2, 3), (4, 2, 2), (4, 1, 3), (3, 3, 2)])
def test_depth_three_has_every_tree_sampled_once_up_to_order(rng, n, d, m):
    X = rng.standard_normal((n, d))
    arrangements = pr.enumerate_arrangements(X, 3, m)
    check_gates(X, arrangements)
    found = canonical(arrangements)
    assert len(set(found)) == len(found)
    sampled = set(canonical(pr.sample_arrangements(X, 3000, 3, m, random_state=0)))
    assert sampled <= set(found)
    assert len(sampled) > len(found) / 2


def test_depth_four_has_every_tree_sampled(rng):
    X, width = rng.standard_normal((3, 1)), (2, 2)
    arrangements = pr.enumerate_arrangements(X, 4, 2)
    check_gates(X, arrangements)
    alive = pr.sample_arrangements(X, 500, 4, 2, random_state=0)
    alive = alive[(alive.signs[:, :4].reshape(-1, 2, 2) > 0).any(axis=2).all(axis=1)]

    def masks(arrangement):  # what the program sees, up to the order of siblings
        units = path_units(width)
        return {
            tuple(sorted(tuple(sorted((int(s[k]), int(s[units[k, 1]]), p[units[k]].tobytes()) for k in pair))
                         for pair in ((0, 1), (2, 3))))
            for p, s in zip(arrangement.patterns(), arrangement.signs, strict=True)
        }  # fmt: skip

    assert masks(alive) <= masks(arrangements)


def test_too_many_are_refused_with_their_number(rng):
    X = rng.standard_normal((50, 3))
    with pytest.raises(ValueError, match="have up to 2452 arrangements; expected at most 2451"):
        pr.enumerate_arrangements(X, max_arrangements=2451)
    assert len(pr.enumerate_arrangements(X, max_arrangements=2452)) == 2452
    with pytest.raises(ValueError, match="have 100 arrangements; expected at most 99"):
        pr.enumerate_arrangements(X[:, :2], max_arrangements=99)
    with pytest.raises(ValueError, match=r"have up to \d+ arrangements; expected at most 1000000"):
        pr.enumerate_arrangements(rng.standard_normal((500, 6)))
    with pytest.raises(ValueError, match="have at least 15050 arrangements; expected at most 15049"):
        pr.enumerate_arrangements(X[:, :2], 3, 2, max_arrangements=15049)
    with pytest.raises(ValueError, match=f"have up to {general_position(316228, 3)} arrangements"):
        pr.enumerate_arrangements(rng.standard_normal((316228, 3)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": np.zeros(3)}, ValueError, "X has shape"),
        ({"X": np.eye(2), "depth": 1}, ValueError, "depth is 1"),
        ({"X": np.eye(2), "depth": 3, "width": (2, 2)}, ValueError, "width has 2 entries"),
        ({"X": np.eye(2), "max_arrangements": 0}, ValueError, "max_arrangements is 0"),
        ({"X": np.eye(2), "n_threads": 0}, ValueError, "n_threads is 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        pr.enumerate_arrangements(**arguments)


def test_control_c_stops_it(rng):
    X = rng.standard_normal((1500, 3))
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            [pr.enumerate_arrangements(X, max_arrangements=10**7) for _ in range(1000)]
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, previous)


def test_the_formula_of_the_core_is_cover_s():
    for m, rank in itertools.product((1, 2, 5, 300), (1, 2, 3, 6)):
        assert _core.most_regions(m, rank) == general_position(m, rank)
