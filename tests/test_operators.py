"""The masked operator B V = sum_g sum_p s_p diag(M_p) X v_p and its adjoint."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Groups, path_units
from support import core_arrangements

from pathrelu import _core

# Numbers of rows around the words of 32 bits and the blocks of 512 rows that the kernels work in.
ROWS = st.one_of(st.integers(1, 100), st.sampled_from([31, 32, 33, 63, 64, 65, 511, 512, 513, 700]))
WIDTHS = [(), (1,), (3,), (2, 2), (1, 3)]


@pytest.fixture(params=_core.kernel_levels(), scope="module")
def level(request):
    before = _core.kernel_level()
    _core.use_kernels(request.param)
    yield request.param
    _core.use_kernels(before)


def random_groups(rng, n, P, width):
    """Any patterns at all, not only those of trees."""
    units = int(path_units(width)[-1, -1]) + 1
    patterns = rng.random((P, units, n)) < rng.choice([0.3, 0.5, 0.9, 1.0], (P, 1, 1))
    signs = rng.choice(np.array([-1, 1], np.int8), (P, units - 1))
    return Groups(patterns, signs, width)


@st.composite
def operators(draw):
    """Rows, groups and a generator: columns from less than one vector to more than one chunk of four."""
    n, d, P = draw(ROWS), draw(st.integers(1, 70)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.standard_normal((n, d)).astype(draw(st.sampled_from([np.float32, np.float64])))
    return X, random_groups(rng, n, P, draw(st.sampled_from(WIDTHS))), rng


def rounding(A, v, dtype):
    """What sums of the products in A v may be off by, for any order of the sums."""
    return np.finfo(dtype).eps * (A.shape[1] + 4) * (np.abs(A) @ np.abs(v))


@settings(max_examples=60, deadline=None)
@given(operators(), st.integers(1, 3), st.booleans())
def test_forward_is_the_dense_matrix(level, case, threads, exact):
    X, groups, rng = case
    V = rng.standard_normal((len(groups) * groups.paths, X.shape[1]))

    out = _core.masked_operator(X, core_arrangements(groups), threads).forward(V, exact)

    A = groups.dense(X.astype(float))
    dtype = np.float64 if exact else np.float32
    assert out.shape == (len(X),)
    assert out.dtype == np.float64
    assert np.all(np.abs(out - A @ V.ravel()) <= rounding(A, V.ravel(), dtype))


@settings(max_examples=60, deadline=None)
@given(operators(), st.integers(1, 3), st.booleans())
def test_adjoint_is_the_transposed_dense_matrix(level, case, threads, exact):
    X, groups, rng = case
    r = rng.standard_normal(len(X))

    out = _core.masked_operator(X, core_arrangements(groups), threads).adjoint(r, exact)

    A = groups.dense(X.astype(float))
    dtype = np.float64 if exact else np.float32
    assert out.shape == (len(groups) * groups.paths, X.shape[1])
    assert out.dtype == np.float64
    assert np.all(np.abs(out.ravel() - A.T @ r) <= rounding(A.T, r, dtype))


@settings(max_examples=30, deadline=None)
@given(operators(), st.integers(1, 3))
def test_forward_and_adjoint_are_each_other_s_transpose(level, case, threads):
    X, groups, rng = case
    operator = _core.masked_operator(X, core_arrangements(groups), threads)
    V = rng.standard_normal((len(groups) * groups.paths, X.shape[1]))
    r = rng.standard_normal(len(X))

    left = r @ operator.forward(V)
    right = V.ravel() @ operator.adjoint(r).ravel()

    size = np.abs(r) @ np.abs(groups.dense(X.astype(float))) @ np.abs(V.ravel())
    assert abs(left - right) <= np.finfo(float).eps * (V.size + len(r)) * size


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("n", "d", "P", "width"), [(1500, 37, 150, ()), (1100, 130, 20, (2, 2)), (40, 3, 5, (3,))]
)
def test_bits_do_not_depend_on_the_number_of_threads(level, n, d, P, width, dtype, exact):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)).astype(dtype)
    arrangements = core_arrangements(random_groups(rng, n, P, width))
    V = rng.standard_normal((P * len(path_units(width)), d))
    r = rng.standard_normal(n)

    operators = [_core.masked_operator(X, arrangements, threads) for threads in (1, 2, 3, 8)]
    forward = [operator.forward(V, exact) for operator in operators]
    adjoint = [operator.adjoint(r, exact) for operator in operators]

    for other in forward[1:]:
        assert np.array_equal(other, forward[0])
    for other in adjoint[1:]:
        assert np.array_equal(other, adjoint[0])


def test_wrong_input_is_refused_not_copied():
    rng = np.random.default_rng(0)
    arrangements = core_arrangements(random_groups(rng, 6, 5, ()))
    operator = _core.masked_operator(np.ones((6, 3)), arrangements, 1)

    with pytest.raises(ValueError, match=r"X has 7 rows; the arrangements were made for 6"):
        _core.masked_operator(np.ones((7, 3)), arrangements, 1)
    for bad in (np.ones((6, 3), np.float16), np.ones((3, 6)).T, np.ones((6, 3)).tolist()):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            _core.masked_operator(bad, arrangements, 1)
    with pytest.raises(ValueError, match=r"V has shape \(4, 3\); expected \(5, 3\)"):
        operator.forward(np.ones((4, 3)))
    with pytest.raises(ValueError, match="r has"):
        operator.adjoint(np.ones(5))
    with pytest.raises(TypeError, match="incompatible function arguments"):
        operator.adjoint(np.ones(6, np.float32))


def test_an_operator_keeps_its_rows():
    rng = np.random.default_rng(0)
    groups, X, r = random_groups(rng, 6, 5, ()), rng.standard_normal((6, 3)), rng.standard_normal(6)
    operator = _core.masked_operator(X.copy(), core_arrangements(groups), 1)
    np.testing.assert_allclose(operator.adjoint(r).ravel(), groups.dense(X).T @ r, atol=1e-14)
