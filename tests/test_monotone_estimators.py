"""Monotone constraints of the estimators, whatever they train on and whichever way."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from support import slow
from test_monotone import steepest_wrong_step

import pathrelu as pr
from pathrelu import _base, _core, alpha
from pathrelu.rows import ArraySource, _training
from pathrelu.rows import _blocks as blocks

DIRECTIONS = [1, -1, 0]


def problem(n=120, seed=0):
    """Targets against the directions in part, so that they say something."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3)) * [1, 20, 0.1] + [0, 50, 0]
    Z = (X - [0, 50, 0]) / [1, 20, 0.1]
    return X, np.sin(2 * Z[:, 0]) - np.abs(Z[:, 1]) + Z[:, 2] ** 2 + 0.2 * rng.standard_normal(n)


X, Y = problem()
REGRESSIONS = [
    {},
    {"alpha": 0.01},
    {"alpha": 0.01, "tol": 1e-4},
    {"alpha": 0.02, "depth": 3, "width": 2, "skip_connection": True},
    {"depth": 3, "width": (2,)},
    {"encode": "ramps"},
    {"encode": None, "bias": False, "alpha": 0.01},
    {"n_networks": 2},
    {"prune": True, "loss": "absolute_error"},
    {"loss": "huber", "skip_connection": True},
    {"arrangements": "sample", "n_arrangements": 50},
    {"arrangements": "sample", "n_arrangements": 50, "activation": "gated"},
    {"activation": "gated"},
    {"activation": "gated", "depth": 3, "width": 2, "alpha": 0.01, "skip_connection": True},
]


@pytest.mark.parametrize("options", REGRESSIONS, ids=str)
def test_regressions_are_monotone_and_as_good_as_it_lets_them(options):
    model = pr.PathReLURegressor(random_state=0, monotonic_cst=DIRECTIONS, **options).fit(X, Y)
    assert steepest_wrong_step(model.predict, X, DIRECTIONS) < 1e-12
    assert model.monotonic_cst_.tolist() == DIRECTIONS
    free = pr.PathReLURegressor(random_state=0, **options).fit(X, Y)
    assert free.monotonic_cst_ is None
    assert steepest_wrong_step(free.predict, X, DIRECTIONS) > 1e-3
    assert model.score(X, Y) > 0.2


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    directions=st.lists(st.sampled_from([-1, 0, 1]), min_size=3, max_size=3),
    depth=st.sampled_from([2, 3]),
    classify=st.booleans(),
    single=st.booleans(),
)
def test_any_directions_of_automatic_fits_hold(seed, directions, depth, classify, single):
    X, y = problem(60, seed)
    X = X.astype(np.float32) if single else X
    if classify:
        model = pr.PathReLUClassifier(depth=depth, width=2, random_state=seed, monotonic_cst=directions)
        y = y > np.median(y)
    else:
        model = pr.PathReLURegressor(depth=depth, width=2, random_state=seed, monotonic_cst=directions)
    model.fit(X, y)
    output = (lambda X: model.predict_proba(X)[:, 1]) if classify else model.predict
    assert steepest_wrong_step(output, X.astype(np.float64), directions, seed) < 1e-12


def test_cross_validation_and_warm_starts_are_monotone():
    for kind, y in ((pr.PathReLURegressorCV, Y), (pr.PathReLUClassifierCV, Y > 0)):
        model = kind(alphas=4, cv=3, random_state=0, monotonic_cst=DIRECTIONS).fit(X, y)
        output = model.predict if kind is pr.PathReLURegressorCV else model.decision_function
        assert steepest_wrong_step(output, X, DIRECTIONS) < 1e-12
    for options in ({}, {"arrangements": "sample", "activation": "gated"}, {"activation": "gated"}):
        model = pr.PathReLURegressor(alpha=0.01, warm_start=True, random_state=0, **options).fit(X, Y)
        for directions in (DIRECTIONS, [0, 1, -1], DIRECTIONS):  # the networks before are not
            model.set_params(monotonic_cst=directions).fit(X, Y)
            assert steepest_wrong_step(model.predict, X, directions) < 1e-12


def test_many_rows_and_rows_in_pieces_are_monotone(monkeypatch):
    monkeypatch.setattr(alpha, "PATH_ROWS", 300)
    monkeypatch.setattr(alpha, "MORE_ROWS", 300)
    monkeypatch.setattr(alpha, "FEW_ROWS", 100)
    X, y = problem(1500)
    model = pr.PathReLURegressor(random_state=0, monotonic_cst=DIRECTIONS).fit(X, y)  # by stochastic steps
    assert steepest_wrong_step(model.predict, X, DIRECTIONS) < 1e-12
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 256)
    monkeypatch.setattr(_training, "SAMPLE_ROWS", 400)
    monkeypatch.setattr(_base, "MANY_ROWS", 1000)
    for options in (
        {},
        {"depth": 3, "width": 2, "alpha": 0.01},
        {"encode": "ramps", "skip_connection": True},
    ):
        kind = {"random_state": 0, "monotonic_cst": DIRECTIONS, **options}
        for model in (
            pr.PathReLURegressor(**kind).fit(X, y),
            pr.PathReLURegressor(**kind).fit(ArraySource(X, y)),
        ):
            assert steepest_wrong_step(model.predict, X, DIRECTIONS) < 1e-12
            assert model.score(X, y) > 0.3
    model = pr.PathReLUClassifier(random_state=0, monotonic_cst=DIRECTIONS).fit(ArraySource(X, y > 0))
    assert steepest_wrong_step(model.decision_function, X, DIRECTIONS) < 1e-12


@slow
def test_rows_on_workers_are_monotone(monkeypatch):
    distributed = pytest.importorskip("distributed")
    da = pytest.importorskip("dask.array")
    from pathrelu.dask import DaskPathReLURegressor

    monkeypatch.setattr(blocks, "BLOCK_ROWS", 256)
    monkeypatch.setattr(_training, "SAMPLE_ROWS", 400)
    X, y = problem(1500)
    with distributed.Client(processes=False, dashboard_address="127.0.0.1:0") as client:
        model = DaskPathReLURegressor(alpha=0.01, random_state=0, monotonic_cst=DIRECTIONS, client=client)
        local = model.fit(da.from_array(X, chunks=(500, 3)), da.from_array(y, chunks=500)).to_local()
    assert steepest_wrong_step(local.predict, X, DIRECTIONS) < 1e-12
    expected = pr.PathReLURegressor(alpha=0.01, random_state=0, monotonic_cst=DIRECTIONS)
    assert local.objective_ == expected.fit(ArraySource(X, y)).objective_


def test_more_columns_than_rows_keep_their_signs():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 90))  # paths see the rows in coordinates of their span, but not here
    y = -X[:, 0] + np.abs(X[:, 1])
    directions = [1] * 10 + [0] * 80
    model = pr.PathReLURegressor(random_state=0, encode=None, monotonic_cst=directions).fit(X, y)
    assert model.n_subnetworks_ > 0
    assert steepest_wrong_step(model.predict, X, directions) < 1e-12


@pytest.mark.parametrize("encode", ["linear", "ramps"])
def test_columns_of_frames_are_named_and_may_have_gaps(encode):
    frame = pd.DataFrame(X, columns=["income", "debt", "age"])
    frame.loc[::7, "income"] = np.nan
    frame["town"] = np.where(np.arange(len(X)) % 3 == 0, "here", "there")
    frame["since"] = pd.Timedelta(days=1) * np.arange(len(X))
    named = {"income": 1, "debt": -1, "since": 1}
    model = pr.PathReLURegressor(encode=encode, random_state=0, monotonic_cst=named).fit(frame, Y)
    assert model.monotonic_cst_.tolist() == [1, -1, 0, 0, 1]
    for column, direction in (("income", 1), ("debt", -1)):
        lines = frame.iloc[[3, 8, 50]].loc[lambda rows: rows.index.repeat(30)].reset_index(drop=True)
        lines[column] = np.tile(np.linspace(X[:, 0].min() * 60, X[:, 1].max() * 3, 30), 3)
        f = model.predict(lines).reshape(3, 30)
        assert (direction * np.diff(f, axis=1) >= -1e-12).all()
    again = pr.PathReLURegressor(encode=encode, random_state=0, monotonic_cst=[1, -1, 0, 0, 1]).fit(frame, Y)
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))


def test_files_keep_the_parameter_and_what_came_of_it(tmp_path):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    for form in ({"a": 1, "b": -1}, DIRECTIONS, np.array(DIRECTIONS)):
        model = pr.PathReLURegressor(alpha=0.05, random_state=0, monotonic_cst=form).fit(frame, Y)
        model.save(tmp_path / "model")
        again = pr.load(tmp_path / "model")
        np.testing.assert_array_equal(again.monotonic_cst, form)
        assert again.monotonic_cst_.tolist() == DIRECTIONS
        np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
        np.testing.assert_array_equal(clone(again).fit(frame, Y).predict(frame), model.predict(frame))


def test_several_targets_are_monotone_apart():
    two = np.column_stack([Y, -Y])
    model = pr.PathReLURegressor(outputs="separate", alpha=0.02, random_state=0, monotonic_cst=DIRECTIONS)
    assert steepest_wrong_step(model.fit(X, two).predict, X, DIRECTIONS) < 1e-12


FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(
    town=np.where(Y > 0, "x", "y"), day=pd.Timestamp("2020-01-01") + pd.Timedelta(days=1) * np.arange(len(X))
)


@pytest.mark.parametrize(
    ("given", "rows", "target", "options", "message"),
    [
        ([1, 0], X, Y, {}, "monotonic_cst has 2 entries; expected 3"),
        ("up", X, Y, {}, "monotonic_cst is 'up'"),
        ([1, 0, 3], X, Y, {}, r"monotonic_cst\[2\] is 3; expected -1, 0 or 1"),
        ({"a": 1}, X, Y, {}, "monotonic_cst is a dict, and X has no names of columns"),
        ({"z": 1}, FRAME, Y, {}, "monotonic_cst has 'z'; expected names of columns of X"),
        ({"town": 1}, FRAME, Y, {}, "monotonic_cst has 1 for column 'town' of X, which holds text"),
        ({"day": -1}, FRAME, Y, {}, "monotonic_cst has -1 for column 'day' of X, which holds dates or times"),
        ([1, 0, 0], X, Y, {"low_rank": 2}, "monotonic_cst was given with low_rank"),
        ([1, 0, 0], X, np.column_stack([Y, Y]), {}, "for 2 targets that sub-networks share"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(given, rows, target, options, message, monkeypatch):
    for name in ("search", "solve", "slide"):
        monkeypatch.setattr(_core, name, None)
    for kind in (pr.PathReLURegressor, pr.PathReLURegressorCV):
        with pytest.raises((ValueError, TypeError), match=message):
            kind(monotonic_cst=given, **options).fit(rows, target)


def test_more_than_two_classes_are_refused_as_by_scikit_learn():
    with pytest.raises(ValueError, match=r"monotonic_cst was given for 3 classes.*expected two classes"):
        pr.PathReLUClassifier(monotonic_cst=DIRECTIONS).fit(X, np.arange(len(X)) % 3)


def test_paths_over_a_fitted_network_are_monotone():
    pytest.importorskip("matplotlib")
    from pathrelu.plotting._regularization_path import _path_of

    for options in ({"encode": "ramps"}, {"activation": "gated", "encode": None}):
        model = pr.PathReLURegressor(alpha=0.02, random_state=0, monotonic_cst=DIRECTIONS, **options).fit(
            X, Y
        )
        _, networks = _path_of(model, model.network_, X, Y, None, None, 4, model.alpha_)
        for network in networks:
            assert steepest_wrong_step(network.predict, X, DIRECTIONS) < 1e-12
