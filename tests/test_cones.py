"""Projection on the cones K_g in which the fixed patterns of a tree are the true ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Groups, path_units, project, project_cvxpy, random_trees, unit_rows
from support import core_arrangements

from pathrelu import _core

WIDTHS = [(), (3,), (2, 2)]
FEASIBLE = 1e-13  # least slack of a row, in units of the row's norm times that of z


def tree_cone(rng, X, width):
    """The cone of a random tree: its interior is not empty."""
    W, signs = random_trees(rng, 1, X.shape[1], width)
    return Groups.of_trees(X, W, signs, width)


def arbitrary_cone(rng, X, width, on=0.5):
    """The cone of patterns that need not be those of any tree: often thin, or only the origin."""
    units = int(path_units(width)[-1, -1]) + 1
    patterns = rng.random((1, units, len(X))) < on
    return Groups(patterns, rng.choice(np.array([-1, 1], np.int8), (1, units - 1)), width)


def core_project(X, groups, z, group=0):
    return _core.project(X, core_arrangements(groups), group, z)


def assert_is_projection(A, z, v, slack=1e-8):
    """Feasible, z - v orthogonal to v, and z - v in the polar cone: together the KKT conditions."""
    scale = np.linalg.norm(z)
    assert np.all(unit_rows(A) @ v >= -FEASIBLE * scale)
    assert abs(v @ (z - v)) <= slack * scale**2
    assert np.linalg.norm(project(A, z - v)) <= slack * scale


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(1, 40),
    d=st.integers(1, 5),
    width=st.sampled_from(WIDTHS),
    cone=st.sampled_from([tree_cone, arbitrary_cone]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_projection_satisfies_kkt_and_is_that_of_least_squares(n, d, width, cone, dtype, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)).astype(dtype)
    exact = X.astype(float)
    groups = cone(rng, exact, width)
    z = rng.standard_normal(groups.paths * d)

    v = core_project(X, groups, z)

    A = groups.cone_rows(exact, 0)
    assert_is_projection(A, z, v)
    np.testing.assert_allclose(v, project(A, z), atol=1e-7 * np.linalg.norm(z))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", WIDTHS)
def test_projection_is_that_of_cvxpy(width, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((30, 4))
    groups = tree_cone(rng, X, width)
    z = rng.standard_normal(groups.paths * 4)

    np.testing.assert_allclose(
        core_project(X, groups, z), project_cvxpy(groups.cone_rows(X, 0), z), atol=1e-5
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_projection_on_a_cone_of_many_rows(dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((700, 20)).astype(dtype)
    groups = tree_cone(rng, X.astype(float), ())
    A = groups.cone_rows(X.astype(float), 0)
    for _ in range(10):
        z = rng.standard_normal(20)
        assert_is_projection(A, z, core_project(X, groups, z))


def duplicated(rng, X):
    return np.repeat(X, 3, axis=0)


def with_zero_rows(rng, X):
    X = X.copy()
    X[::3] = 0
    return X


def with_opposite_rows(rng, X):
    return np.concatenate([X, -X])


def with_near_duplicates(rng, X):
    return np.concatenate([X, X + 1e-4 * rng.standard_normal(X.shape)])


def of_low_rank(rng, X):
    return X[:, :1] @ rng.standard_normal((1, X.shape[1]))


def of_whole_numbers(rng, X):
    """Many rows on each facet and in each other's span."""
    return np.rint(X)


def of_unequal_rows(rng, X):
    return X * 10.0 ** rng.integers(-8, 9, (len(X), 1))


def with_zero_column(rng, X):
    X = X.copy()
    X[:, -1] = 0
    return X


DEGENERATE = [
    duplicated,
    with_zero_rows,
    with_opposite_rows,
    with_near_duplicates,
    of_low_rank,
    of_whole_numbers,
    of_unequal_rows,
    with_zero_column,
]


@pytest.mark.parametrize("cone", [tree_cone, arbitrary_cone])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rows", DEGENERATE)
def test_projection_on_cones_of_degenerate_rows(rows, width, cone):
    rng = np.random.default_rng(1)
    for n, d in [(1, 1), (4, 3), (15, 3), (20, 5)]:
        X = np.ascontiguousarray(rows(rng, rng.standard_normal((n, d))))
        groups = cone(rng, X, width)
        A = groups.cone_rows(X, 0)
        for _ in range(5):
            z = rng.standard_normal(groups.paths * d)
            assert_is_projection(A, z, core_project(X, groups, z))


@pytest.mark.parametrize("thickness", [1e-9, 1e-11, 1e-13])
@pytest.mark.parametrize("width", WIDTHS)
def test_projection_on_a_cone_as_thin_as_rounding_stays_in_it(width, thickness):
    # Half the rows are almost the opposite of another, which is beyond the reference.
    for seed in range(300):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal(((4, 8, 15)[seed % 3], 3))
        X = np.concatenate([X, X + thickness * rng.standard_normal(X.shape)])
        groups = arbitrary_cone(rng, X, width)
        z = rng.standard_normal(groups.paths * 3)
        v = core_project(X, groups, z)
        assert np.all(unit_rows(groups.cone_rows(X, 0)) @ v >= -1e-11 * np.linalg.norm(z))
        assert abs(v @ (z - v)) <= 1e-12 * (z @ z)


def test_projection_on_a_cone_without_interior():
    # x and -x both switched on leave the hyperplane orthogonal to x; all axes so treated leave the origin.
    axes = np.eye(3)
    groups = Groups(np.ones((1, 1, 6), bool), np.zeros((1, 0), np.int8), ())
    z = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(
        core_project(np.concatenate([axes, -axes]), groups, z), np.zeros(3), atol=1e-14
    )

    plane = np.concatenate([axes[:1], -axes[:1], axes[:1], -axes[:1], np.zeros((2, 3))])
    np.testing.assert_allclose(core_project(plane, groups, z), [0, -2, 3], atol=1e-14)

    # The same row switched on and off: again a hyperplane.
    patterns = np.array([[[True, False]]])
    both = Groups(patterns, np.zeros((1, 0), np.int8), ())
    np.testing.assert_allclose(core_project(np.tile(axes[:1], (2, 1)), both, z), [0, -2, 3], atol=1e-14)


@pytest.mark.parametrize("width", WIDTHS)
def test_projection_keeps_members_and_sends_the_polar_cone_to_the_origin(width):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((25, 4))
    for _ in range(10):
        groups = tree_cone(rng, X, width)
        A = groups.cone_rows(X, 0)
        z = rng.standard_normal(A.shape[1])
        v = core_project(X, groups, z)
        np.testing.assert_allclose(core_project(X, groups, v), v, atol=1e-12 * np.linalg.norm(z))
        polar = -(A.T @ rng.random(len(A)))
        assert np.linalg.norm(core_project(X, groups, polar)) <= 1e-12 * np.linalg.norm(polar)
        assert not core_project(X, groups, np.zeros(A.shape[1])).any()


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 30), d=st.integers(1, 5), width=st.sampled_from(WIDTHS), seed=st.integers(0, 2**32 - 1)
)
def test_moreau_the_residual_is_the_projection_on_the_polar_cone(n, d, width, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    groups = tree_cone(rng, X, width)
    z, other = rng.standard_normal((2, groups.paths * d))

    v = core_project(X, groups, z)
    residual = z - v

    assert np.linalg.norm(core_project(X, groups, residual)) <= 1e-8 * np.linalg.norm(z)
    assert v @ v + residual @ residual == pytest.approx(z @ z, rel=1e-9)
    np.testing.assert_allclose(core_project(X, groups, 3 * z), 3 * v, atol=1e-8 * np.linalg.norm(z))
    assert np.linalg.norm(core_project(X, groups, other) - v) <= np.linalg.norm(other - z) * (1 + 1e-8)


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e150])
def test_projection_does_not_depend_on_the_scale_of_rows_or_point(scale):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((30, 4))
    groups = tree_cone(rng, X, (2,))
    z = rng.standard_normal(8)
    v = core_project(X, groups, z)
    np.testing.assert_allclose(core_project(X * scale, groups, z), v, atol=1e-12)
    np.testing.assert_allclose(core_project(X, groups, z * scale) / scale, v, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 100),
    d=st.integers(1, 9),
    width=st.sampled_from([(), (1,), (3,), (2, 2), (1, 3)]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_slack_is_the_dense_rows_times_the_point(n, d, width, dtype, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)).astype(dtype)
    parts = [arbitrary_cone(rng, X, width) for _ in range(3)]
    groups = Groups(
        np.concatenate([p.patterns for p in parts]), np.concatenate([p.signs for p in parts]), width
    )
    v = rng.standard_normal(groups.paths * d)

    for g in range(3):
        slack = _core.cone_slack(X, core_arrangements(groups), g, v)

        A = groups.cone_rows(X.astype(float), g)
        assert slack.shape == (groups.patterns.shape[1], n)
        assert np.all(np.abs(slack.ravel() - A @ v) <= 1e-15 * (len(v) + 4) * (np.abs(A) @ np.abs(v)))
