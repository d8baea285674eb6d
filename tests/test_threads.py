"""Threads: the same bits for any number of them, forks, and threads that outlive the interpreter."""

import importlib
import inspect
import multiprocessing
import os
import pkgutil
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest

import pathrelu as pr
from pathrelu import _core
from pathrelu import _validation as check
from pathrelu.rows import ArraySource, _training


@pytest.fixture
def shared_work():
    """All work is shared, however little."""
    before = _core.serial_threshold()
    _core.use_serial_threshold(0)
    yield
    _core.use_serial_threshold(before)
    _core.use_last_task_first(False)


# ---- The same bits for any number of threads ----------------------------------

RNG = np.random.default_rng(20)
X = RNG.standard_normal((60, 3))
WIDE = RNG.standard_normal((200, 3))
Y = np.maximum(X[:, 0] - X[:, 1], 0) - np.maximum(X[:, 2], 0) + 0.1 * RNG.standard_normal(60)
LABELS = np.digitize(X[:, 0] * X[:, 1], [-0.4, 0.4])
GATES = RNG.standard_normal((80, 3))
TREES = RNG.standard_normal((30, 2, 3))
SIGNS = RNG.choice([-1, 1], (30, 2))
FLAT = pr.Arrangements.from_gates(X, GATES)
# Sums over rows are made block by block, of 1,024 rows or more: enough for each of four threads to have one.
MANY = np.random.default_rng(21).standard_normal((9000, 3))
MANY_Y = np.maximum(MANY[:, 0], 0) - np.abs(MANY[:, 1]) + 0.1 * MANY[:, 2]
MANY_LABELS = np.digitize(MANY[:, 0] * MANY[:, 1], [-0.4, 0.4])
MANY_FLAT = pr.Arrangements.from_gates(MANY, GATES[:12])
DEEP = pr.Arrangements.from_trees(X, TREES, SIGNS, width=(2,))


def found(activation, **options):
    return pr.search(X, Y, 0.02, activation=activation, random_state=0, max_rounds=3, **options)


RELU, GATED = (found(activation, n_threads=1).network() for activation in ("relu", "gated"))


def of_network(net):
    return {"outputs": net.predict(WIDE, n_threads=1)} | net.weights


def of_arrangements(arrangements):
    return {"patterns": arrangements.patterns(), "signs": arrangements.signs}


def of_solution(solution):
    return {
        name: getattr(solution, name)
        for name in ("blocks", "intercept", "objective", "dual_objective", "gap", "n_iter")
    }


def of_certificate(certificate):
    return {"lower": certificate.lower, "upper": certificate.upper} | certificate.details


def of_model(model, y):
    predict = model.predict_proba if hasattr(model, "classes_") else model.predict
    chosen = {"alpha": model.alpha_} if hasattr(model, "alpha_") else {}
    return of_network(model.network_) | {"predicted": predict(WIDE)} | chosen


def of_relaxation(found):
    return {
        "bounds": np.array([found.lower, found.objective, found.n_rounds]),
        "theta": found.theta,
        "units": found.units,
        "weights": found.weights,
        "directions": found.directions,
    }


def certified(method, net=RELU, **options):
    return lambda n: of_certificate(pr.certify(net, X, Y, 0.02, method=method, n_threads=n, **options))


def solved(arrangements, *, y=Y, alpha=0.01, **options):
    return lambda n: of_solution(pr.solve(X, y, arrangements, alpha, n_threads=n, **options))


def fitted(estimator, y, **options):
    return lambda n: of_model(estimator(random_state=0, n_threads=n, **options).fit(X, y), y)


def of_source(n):
    model = pr.PathReLURegressor(alpha=0.02, random_state=0, n_threads=n)
    with mock.patch.object(_training, "SAMPLE_ROWS", 1000):  # so that all rows have a slide of their own
        return of_model(model.fit(ArraySource(MANY, MANY_Y, chunk_rows=4000)), MANY_Y)


def searched(activation, **options):
    return lambda n: of_solution(found(activation, n_threads=n, **options))


def many_rows(function, *data, **options):
    return lambda n: of_solution(function(MANY, *data, 0.02, max_iter=20, n_threads=n, **options))


# By the name of the callable, then what is special about the call; each takes the number of threads.
CASES = {
    "Arrangements.from_gates": lambda n: of_arrangements(pr.Arrangements.from_gates(X, GATES, n_threads=n)),
    "Arrangements.from_trees": lambda n: of_arrangements(
        pr.Arrangements.from_trees(X, TREES, SIGNS, width=(2,), n_threads=n)
    ),
    "sample_arrangements": lambda n: of_arrangements(
        pr.sample_arrangements(X, 100, 3, 2, random_state=0, n_threads=n)
    ),
    "enumerate_arrangements": lambda n: of_arrangements(pr.enumerate_arrangements(X, n_threads=n)),
    "solve": solved(FLAT),
    "solve: float32 rows": lambda n: of_solution(
        pr.solve(X.astype(np.float32), Y, FLAT, 0.01, tol=1e-4, n_threads=n)
    ),
    "solve: gated": solved(FLAT, activation="gated"),
    "solve: deep": solved(DEEP, fit_intercept=True),
    "solve: deep, gated": solved(DEEP, activation="gated", loss="huber"),
    "solve: outputs": solved(FLAT, y=np.column_stack([Y, Y**2]), alpha=0.05, fit_intercept=True, tol=1e-4),
    "solve: monotone": solved(FLAT, monotonic_cst=[1, -1] + [0] * (X.shape[1] - 2)),
    "solve: weights": solved(FLAT, sample_weight=np.arange(60.0)),
    "solve: log_loss": solved(FLAT, y=np.where(Y > 0, 1, -1), loss="log_loss", alpha=0.003),
    "alpha_max": lambda n: {"alpha": pr.alpha_max(X, Y, FLAT, fit_intercept=True, n_threads=n)},
    "solve_path": lambda n: {
        f"{name} {k}": value
        for k, solution in enumerate(pr.solve_path(X, Y, FLAT, n_alphas=4, eps=0.05, n_threads=n).solutions)
        for name, value in of_solution(solution).items()
    },
    "search": searched("relu"),
    "search: gated": searched("gated"),
    "search: deep": searched("relu", depth=3, width=2),
    "search: monotone": searched("relu", depth=3, width=2, monotonic_cst=[1, -1] + [0] * (X.shape[1] - 2)),
    "search: deep, gated": searched("gated", depth=3, width=2),
    "search: skip connection": searched("relu", skip_connection=True, fit_intercept=True),
    "solve_low_rank": lambda n: of_solution(
        pr.solve_low_rank(X, Y, 0.02, 2, random_state=0, max_rounds=3, n_threads=n)
    ),
    "solve_low_rank: enumerated": lambda n: of_solution(
        pr.solve_low_rank(
            X, Y, 0.02, 2, arrangements=lambda X: pr.enumerate_arrangements(X, n_threads=n), n_threads=n
        )
    ),
    "solve: many rows": many_rows(pr.solve, MANY_Y, MANY_FLAT, fit_intercept=True),
    "solve: many rows, huber": many_rows(pr.solve, MANY_Y, MANY_FLAT, loss="huber", activation="gated"),
    "search: many rows": many_rows(pr.search, MANY_Y, random_state=0, max_rounds=2),
    "search: many rows, deep": many_rows(
        pr.search, MANY_Y, random_state=0, max_rounds=2, depth=3, width=2, fit_intercept=True
    ),
    "search: many rows, outputs": many_rows(
        pr.search, np.column_stack([MANY_Y, MANY_Y**2]), random_state=0, max_rounds=2
    ),
    "search: many rows, gated": many_rows(
        pr.search, MANY_Y, random_state=0, max_rounds=2, activation="gated"
    ),
    "certify: auto": certified("auto"),
    "certify: enumeration": certified("enumeration"),
    "certify: branch_and_bound": certified("branch_and_bound"),
    "certify: semidefinite": certified("semidefinite"),
    "certify: low_rank": certified("low_rank", kappa=2),
    "certify: spectral": certified("spectral"),
    "certify: solver": certified("solver", arrangements=FLAT),
    "relaxation": lambda n: of_relaxation(pr.relaxation(X, Y, 0.02, n_threads=n)),
    "ParallelReLUNetwork.predict": lambda n: {"": RELU.predict(WIDE, n_threads=n)},
    "ParallelReLUNetwork.objective": lambda n: {"": RELU.objective(WIDE, WIDE[:, 0], 0.02, n_threads=n)},
    "ParallelReLUNetwork.prune": lambda n: of_network(RELU.prune(X[:5], n_threads=n)),
    "GatedReLUNetwork.predict": lambda n: {"": GATED.predict(WIDE, n_threads=n)},
    "GatedReLUNetwork.objective": lambda n: {"": GATED.objective(WIDE, WIDE[:, 0], 0.02, n_threads=n)},
    "GatedReLUNetwork.prune": lambda n: of_network(GATED.prune(X[:5], n_threads=n)),
    "PathReLURegressor": fitted(pr.PathReLURegressor, Y),
    "PathReLURegressor: automatic alpha": fitted(pr.PathReLURegressor, Y, alpha="auto"),
    "PathReLURegressor: source": of_source,
    "PathReLURegressor: sampled, gated": fitted(
        pr.PathReLURegressor, Y, arrangements="sample", n_arrangements=60, activation="gated"
    ),
    "PathReLURegressor: scores": fitted(pr.PathReLURegressor, Y, low_rank=2, prune=True),
    "PathReLUClassifier": fitted(pr.PathReLUClassifier, LABELS),
    "PathReLUClassifier: two classes": fitted(pr.PathReLUClassifier, LABELS > 0),
    "PathReLUClassifier: many rows": lambda n: of_model(
        pr.PathReLUClassifier(alpha=0.01, max_iter=3, random_state=0, n_threads=n).fit(MANY, MANY_LABELS),
        MANY_LABELS,
    ),
    "PathReLURegressorCV": fitted(pr.PathReLURegressorCV, Y, alphas=[0.1, 0.01], cv=2),
    "PathReLUClassifierCV": fitted(pr.PathReLUClassifierCV, LABELS, alphas=[0.1, 0.01], cv=2),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("case", CASES)
def test_bits_do_not_depend_on_the_number_of_threads(case, shared_work):
    one = CASES[case](1)
    # Threads seldom end their tasks out of order: the last one first is another order, for one thread too.
    for threads, last_first in ((1, True), (2, False), (3, True), (4, False)):
        _core.use_last_task_first(last_first)
        _core.reset_largest_team()
        more = CASES[case](threads)
        assert _core.largest_team() == threads
        assert more.keys() == one.keys()
        for name, value in one.items():
            np.testing.assert_array_equal(more[name], value, err_msg=f"{name} with {threads} threads")


def public_callables():
    """Names of the public functions, methods and classes of the package that take a number of threads."""
    modules = [pr] + [
        importlib.import_module(f"pathrelu.{module.name}")
        for module in pkgutil.iter_modules(pr.__path__)
        # Fits of Dask are compared with those of sources in test_dask_estimators.py, bit by bit.
        if not module.name.startswith("_") and module.name not in ("cli", "dask")
    ]
    for module in modules:
        for name in getattr(module, "__all__", dir(module)):
            thing = getattr(module, name)
            if name.startswith("_") or not str(getattr(thing, "__module__", "")).startswith("pathrelu."):
                continue
            if not callable(thing) or not thing.__doc__ or thing.__name__.startswith("_"):
                continue
            yield name, thing
            if inspect.isclass(thing):
                yield from ((f"{name}.{k}", getattr(thing, k)) for k in dir(thing) if not k.startswith("_"))


def test_every_public_callable_that_takes_threads_has_a_case():
    takes_threads = {
        name
        for name, thing in public_callables()
        if callable(thing) and "n_threads" in inspect.signature(thing).parameters
    }
    assert len(takes_threads) >= 16
    assert {case.split(":")[0] for case in CASES} == takes_threads


def test_little_work_is_not_shared():
    _core.reset_largest_team()
    pr.solve(X, Y, FLAT, 0.01, n_threads=4)
    assert _core.largest_team() == 1


def test_the_threshold_is_not_negative():
    with pytest.raises(ValueError, match="work is -1; expected 0 or more"):
        _core.use_serial_threshold(-1)


# ---- How many threads ---------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "allowed", "meant"),
    [
        (None, 4, 4),
        (-1, 4, 4),
        (-2, 4, 3),
        (-4, 4, 1),
        (-9, 4, 1),
        (3, 4, 3),
        (7, 4, 7),
        (np.int64(-1), 2, 2),
    ],
)
def test_negative_numbers_count_from_those_allowed(monkeypatch, asked, allowed, meant):
    monkeypatch.setattr(_core, "default_threads", lambda: allowed)
    assert check.threads(asked) == meant


@pytest.mark.parametrize("asked", [0, 1025])
def test_no_threads_and_too_many_are_refused(asked):
    with pytest.raises(
        ValueError, match=f"n_threads is {asked}; expected an integer from 1 to 1024, or below 0"
    ):
        RELU.predict(X, n_threads=asked)


def test_all_threads_by_minus_one(shared_work):
    np.testing.assert_array_equal(RELU.predict(X, n_threads=-1), RELU.predict(X, n_threads=1))


# ---- Forks and daemon threads -------------------------------------------------

PROBLEM = """
import os, sys, threading, time
import numpy as np
import pathrelu as pr
from pathrelu import _core

_core.use_serial_threshold(0)
rng = np.random.default_rng(0)
X, y = rng.standard_normal((60, 3)), rng.standard_normal(60)


def fit(n_threads=4):
    model = pr.PathReLURegressor(alpha=0.05, random_state=0, n_threads=n_threads).fit(X, y)
    return model.predict(X)
"""


def run(script):
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBLEM + script],
        capture_output=True,
        text=True,
        timeout=120,  # a hang is a failure
        env=environment,
    )


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
def test_a_child_forked_after_a_team_uses_one_thread():
    done = run(
        """
expected = fit()
assert _core.largest_team() == 4
_core.reset_largest_team()
child = os.fork()
if child == 0:
    same = (fit() == expected).all() and _core.largest_team() == 1
    os._exit(0 if same else 7)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert (fit() == expected).all() and _core.largest_team() == 4
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_fork
def test_a_child_forked_before_any_team_has_all_its_threads():
    done = run(
        """
child = os.fork()
if child == 0:
    fit()
    os._exit(_core.largest_team())
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 4
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_forked_workers_of_multiprocessing_do_not_hang():
    done = run(
        """
import multiprocessing

if __name__ == "__main__":
    expected = fit()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for predicted in pool.map(fit, [1, 2, 4]):
            assert (predicted == expected).all()
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


# The endless fit is in the core, in Python code that the core calls, or at its beginning, when Python ends.
ENDLESS = {
    "search": "{}",
    "sample": "{'arrangements': 'sample'}",
    "callback": "{'callback': lambda record: time.sleep(0.01)}",
    "interruptible": "{'on_interrupt': 'return'}",
}


@pytest.mark.parametrize("options", ENDLESS.values(), ids=ENDLESS)
def test_the_process_ends_well_with_a_daemon_thread_in_fit(options):
    done = run(
        f"""
X, y = rng.standard_normal((2000, 30)), rng.standard_normal(2000)
model = pr.PathReLURegressor(
    alpha=1e-5, tol=1e-15, max_iter=10**9, random_state=0, n_threads=2, **{options}
)
thread = threading.Thread(target=model.fit, args=(X, y), daemon=True)
thread.start()
time.sleep(1.0)
assert thread.is_alive()
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
