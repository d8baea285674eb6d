"""What NumPy multiplies and sums with changes no bit of a result."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed
from support import environment_of_kernels
from threadpoolctl import threadpool_info

import pathrelu
from pathrelu import _core
from pathrelu import _linear_algebra as algebra

SCRIPT = """
import hashlib, json, warnings
import numpy as np
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info
import pathrelu as pr

warnings.simplefilter("ignore", ConvergenceWarning)

def digest(*arrays):
    state = hashlib.sha256()
    for array in arrays:
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()

def of_model(model):
    net = model.network_
    arrays = net.leaf_weights, net.leaf_bias, net.intercept, net.center, net.scale
    alpha = np.ravel(model.alpha_).tolist()
    return [float(model.objective_).hex(), model.n_subnetworks_, alpha, digest(*arrays)]

X, y = load_diabetes(return_X_y=True)
X, y = X[:150], y[:150]
I, label = load_iris(return_X_y=True)
weight = 1 + np.arange(150) % 3
found = {}
R, C = pr.PathReLURegressor, pr.PathReLUClassifier
found["regressor"] = of_model(R(alpha=1, random_state=0).fit(X, y))
found["automatic alpha"] = of_model(R(random_state=0).fit(X, y, sample_weight=weight))
found["huber"] = of_model(R(loss="huber", depth=3, width=2, random_state=0).fit(X, y / 50))
found["pruned"] = of_model(R(alpha=1, prune=True, activation="gated", random_state=0).fit(X, y))
found["low rank"] = of_model(R(low_rank=3, random_state=0).fit(X, y))
found["two classes"] = of_model(C(random_state=0).fit(I, label == 1))
found["three classes"] = of_model(C(random_state=0, class_weight="balanced").fit(I, label))
sampled = dict(arrangements="sample", n_arrangements=40, cv=3, random_state=0)
cv = pr.PathReLURegressorCV(alphas=5, **sampled).fit(X, y)
found["cross-validation"] = [*of_model(cv), digest(cv.alphas_, cv.cv_results_["mean_test_score"])]
cv = pr.PathReLUClassifierCV(alphas=5, **sampled).fit(I, label)
found["cross-validation of classes"] = [*of_model(cv), digest(cv.alphas_, cv.cv_results_["mean_test_score"])]
rng = np.random.default_rng(0)
Z = rng.standard_normal((40, 3))
t = np.abs(Z[:, 0]) - Z[:, 1]
E = pr.enumerate_arrangements(Z)
found["enumeration"] = [len(E), digest(E.masks(), E.gates)]
solution = pr.solve(Z, t, E, 0.01)
found["solve"] = [solution.objective.hex(), digest(solution.blocks)]
path = pr.solve_path(Z, t, E, n_alphas=4, eps=0.1)
found["path"] = digest(path.alphas, path.objectives)
solution = pr.search(Z, t, 0.01, random_state=0)
found["search"] = [solution.objective.hex(), digest(solution.blocks)]
Z = rng.standard_normal((60, 8))
t = np.abs(Z[:, 0]) - Z[:, 1]
network = pr.search(Z, t, 0.05, random_state=0).network()
for method in ("spectral", "low_rank", "branch_and_bound", "semidefinite"):
    certificate = pr.certify(network, Z, t, 0.05, method, max_nodes=500)
    found[method] = [certificate.upper.hex(), float(certificate.lower).hex()]
product = (rng.standard_normal((300, 300)) @ rng.standard_normal((300, 300))).tobytes()
exponential = np.exp(rng.standard_normal(1000)).tobytes()
used = [hashlib.sha256(used).hexdigest() for used in (product, exponential)]
print(json.dumps({"found": found, "used": used}))
"""


def results(**environment):
    """What the script finds, and digests of a product and of exponentials of NumPy."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def dispatched_blas():
    """Whether NumPy's BLAS is an OpenBLAS that chooses its kernels at run time, on x86-64."""
    return any(
        info.get("internal_api") == "openblas" and info.get("architecture") in X86_KERNELS
        for info in threadpool_info()
    )


X86_KERNELS = {"Prescott", "Core2", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX", "Cooperlake"}
X86_KERNELS |= {"SapphireRapids"}


def cpu_features():
    from numpy._core._multiarray_umath import __cpu_features__

    return __cpu_features__


def numpy_features():
    """Features that NumPy can be told to leave out, and would use on this processor."""
    from numpy._core._multiarray_umath import __cpu_dispatch__

    return [name for name in __cpu_dispatch__ if cpu_features().get(name)]


def test_results_do_not_depend_on_the_blas_of_numpy_or_on_its_instruction_sets():
    if not dispatched_blas():
        pytest.skip(f"the BLAS of NumPy has one kind of kernels: {threadpool_info()}")
    first = results()
    environments = [
        {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "1"},
        {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "2"},
    ]
    if cpu_features().get("AVX2"):
        environments.append({"OPENBLAS_CORETYPE": "Haswell"})
    features = numpy_features()
    if features:
        environments[0]["NPY_DISABLE_CPU_FEATURES"] = " ".join(features)
    others = [results(**environment) for environment in environments]
    # They did compute with something else.
    assert len({other["used"][0] for other in [first, *others]}) > 1
    for environment, other in zip(environments, others, strict=True):
        assert other["found"] == first["found"], environment


FORBIDDEN = {"linalg", "dot", "vdot", "matmul", "inner", "tensordot", "einsum"}
SOURCES = Path(pathrelu.__file__).parent


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCES)))
def test_package_leaves_no_product_to_the_blas_of_numpy(path):
    if path.stem == "_trees":
        pytest.skip("products of PyTorch")
    found = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult))
        or (
            isinstance(node, ast.Attribute)
            and node.attr in FORBIDDEN
            and isinstance(node.value, ast.Name)
            and node.value.id == "np"
        )
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scipy.linalg"))
    ]
    assert found == []


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 5), (200, 30), (40, 90), (500, 60)])
def test_decompositions_are_what_they_say(shape):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(shape), rng.standard_normal((shape[1], 7))
    size = np.abs(a) @ np.abs(b)
    assert np.all(np.abs(algebra.product(a, b) - a @ b) <= 1e-15 * shape[1] * size)
    assert algebra.product(a, b[:, 0]).shape == shape[:1]
    assert algebra.product(np.zeros((2, 3, shape[1])), b).shape == (2, 3, 7)

    small = min(shape)
    values, vectors = algebra.singular_values(a)
    assert vectors.shape == (small, shape[1])
    np.testing.assert_allclose(values, np.linalg.svd(a, compute_uv=False), rtol=1e-11)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(small), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(a @ vectors.T, axis=0), values, rtol=1e-11)
    np.testing.assert_allclose((a @ vectors.T) @ vectors, a, atol=1e-11)

    factor = algebra.triangular_factor(a)
    np.testing.assert_array_equal(factor, np.triu(factor))
    np.testing.assert_allclose(factor.T @ factor, a.T @ a, atol=1e-10)
    gram = a.T @ a
    values, vectors = algebra.eigenvalues(gram)
    assert np.all(np.diff(values) >= 0)
    np.testing.assert_allclose(gram @ vectors.T, vectors.T * values, atol=1e-10 * values[-1])


def test_geometric_grid_has_the_ends_and_ratios_it_is_asked_for():
    grid = algebra.geometric_grid(8.0, 1 / 8, 4)
    np.testing.assert_allclose(grid, [8, 4, 2, 1], rtol=1e-15)
    assert algebra.geometric_grid(3.0, 0.1, 1).tolist() == [3.0]


LEVEL = "from pathrelu import _core; print(_core.kernel_level())"


def level_of_a_child(**environment):
    command = [sys.executable, "-c", LEVEL]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_processes_that_tests_start_use_the_kernels_of_the_tests():
    """So that `pytest --kernels` leaves none on other kernels."""
    assert [level_of_a_child(**environment_of_kernels(level)) for level in _core.kernel_levels()] == (
        _core.kernel_levels()
    )
    assert level_of_a_child() == _core.kernel_level()
    assert Parallel(n_jobs=2)(delayed(_core.kernel_level)() for _ in range(2)) == [_core.kernel_level()] * 2
