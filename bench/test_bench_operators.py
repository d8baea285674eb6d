"""The masked products against NumPy's product with the already masked matrix.

Both are checked against each other, and both get their masks for free, outside the clock: the operator its
packed words; NumPy the masked residuals (n, P) of the adjoint, and the masks as numbers (n, P) of the forward
product.
"""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pathrelu import _core

SIZES = [
    pytest.param((5000, 20, 50), id="5000x20x50"),
    pytest.param((20000, 100, 50), id="20000x100x50"),
    pytest.param((60000, 784, 50), id="60000x784x50", marks=pytest.mark.slow),
    pytest.param((5000, 20, 1000), id="5000x20x1000"),
    pytest.param((20000, 100, 1000), id="20000x100x1000"),
    pytest.param((60000, 784, 500), id="60000x784x500", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=SIZES)
def sizes(request):
    return request.param


@pytest.fixture(scope="module", params=[np.float32, np.float64], ids=["float32", "float64"])
def problem(request, sizes):
    n, d, P = sizes
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d), dtype=np.float32).astype(request.param)
    gates = rng.standard_normal((P, d))
    arrangements = _core.Arrangements.from_trees(X, gates, np.zeros((P, 0), np.int8), [], 1)
    masks = np.ascontiguousarray(arrangements.masks()[:, 0].T).astype(X.dtype)
    return X, arrangements, masks, rng.standard_normal((P, d)), rng.standard_normal(n)


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request):
    return request.param


def blas():
    """NumPy's BLAS: SciPy may have brought another."""
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    b = next((b for b in libraries if "numpy" in b["filepath"]), libraries[0])
    return f"{b['internal_api']} {b['version']} {b.get('architecture', '')}"


def measure(benchmark, group, problem, threads, product, *args):
    """One group for each size, precision and number of threads; a product counts 2 n d P operations."""
    X, arrangements, *_ = problem
    (n, d), P = X.shape, len(arrangements)
    benchmark.group = f"{group} {n}x{d}x{P} {X.dtype} {threads} threads"
    out = benchmark(product, *args)
    if benchmark.stats:
        benchmark.extra_info["kernels"] = _core.kernel_level()
        benchmark.extra_info["blas"] = blas()
        benchmark.extra_info["gflops"] = 2e-9 * n * d * P / benchmark.stats.stats.min
    return out


def exact(X):
    """Whether the operator computes in float64; otherwise it computes in float32, whatever the rows are."""
    return X.dtype == np.float64


def assert_equal_to_rounding(out, expected, dtype, terms):
    atol = 4 * np.finfo(dtype).eps * np.sqrt(terms) * np.abs(expected).max()
    np.testing.assert_allclose(out, expected, rtol=0, atol=atol)


def test_adjoint_by_tables(benchmark, problem, threads):
    X, arrangements, masks, _, r = problem
    operator = _core.masked_operator(X, arrangements, threads)
    out = measure(benchmark, "adjoint", problem, threads, operator.adjoint, r, exact(X))
    assert_equal_to_rounding(out, (masks * r[:, None]).T.astype(float) @ X, X.dtype, len(X))


def test_adjoint_by_numpy(benchmark, problem, threads):
    X, _, masks, _, r = problem
    masked = np.ascontiguousarray((masks * r[:, None]).T.astype(X.dtype))
    with threadpool_limits(threads, "blas"):
        out = measure(benchmark, "adjoint", problem, threads, np.matmul, masked, X)
    assert out.dtype == X.dtype


def test_forward_by_tables(benchmark, problem, threads):
    X, arrangements, masks, V, _ = problem
    operator = _core.masked_operator(X, arrangements, threads)
    out = measure(benchmark, "forward", problem, threads, operator.forward, V, exact(X))
    assert_equal_to_rounding(out, np.einsum("nd,nd->n", masks @ V, X), X.dtype, V.size)


def test_forward_by_numpy(benchmark, problem, threads):
    X, _, masks, V, _ = problem
    weights = V.astype(X.dtype)

    def forward():
        return np.einsum("nd,nd->n", masks @ weights, X)

    with threadpool_limits(threads, "blas"):
        out = measure(benchmark, "forward", problem, threads, forward)
    assert out.dtype == X.dtype
