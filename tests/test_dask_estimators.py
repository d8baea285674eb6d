"""The estimators of Dask: what those of rows in memory in pieces find, bit by bit, and lazy predictions."""

import inspect
import os
import pickle
import signal

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from support import slow

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

from test_dask import LONGEST, client, cluster, pytestmark, start, watchdog  # noqa: E402, F401

from pathrelu import PathReLUClassifier, PathReLURegressor  # noqa: E402
from pathrelu.dask import DaskPathReLUClassifier, DaskPathReLURegressor  # noqa: E402
from pathrelu.rows import ArraySource, _training  # noqa: E402
from pathrelu.rows import _blocks as blocks  # noqa: E402

BOTH = [(DaskPathReLURegressor, PathReLURegressor), (DaskPathReLUClassifier, PathReLUClassifier)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 256)
    monkeypatch.setattr(_training, "SAMPLE_ROWS", 400)


def problem(n=1500, d=4, classes=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    f = np.maximum(X @ rng.standard_normal((d, 3)), 0) @ [1, 1, -2] + 0.1 * rng.standard_normal(n)
    y = (f - f.mean()) / f.std()
    if classes is not None:
        y = np.array(["a", "b", "c"])[np.searchsorted(np.quantile(f, np.arange(1, classes) / classes), f)]
    return X, y, rng.random(n) + 0.1


def arrays_of(model):
    return model.network_.parts()[1]


def assert_same_fit(found, expected):
    assert found.alpha_ == expected.alpha_
    assert (found.objective_, found.dual_gap_) == (expected.objective_, expected.dual_gap_)
    for name, array in arrays_of(expected).items():
        np.testing.assert_array_equal(arrays_of(found)[name], array)


@pytest.mark.parametrize(("distributed_class", "local_class"), BOTH)
@pytest.mark.parametrize("alpha", [0.01, pytest.param("auto", marks=slow)])
def test_fits_are_those_of_the_local_source(client, distributed_class, local_class, alpha):  # noqa: F811
    X, y, w = problem(classes=3 if local_class is PathReLUClassifier else None)
    local = local_class(alpha=alpha, random_state=0).fit(ArraySource(X, y, w))
    chunks = ((1500,), (100,) * 15, (7, 893, 600))
    for of_X, of_y in zip(chunks, chunks[::-1], strict=True):
        model = distributed_class(alpha=alpha, random_state=0, client=client)
        found = model.fit(
            da.from_array(X, chunks=(of_X, 2)), da.from_array(y, chunks=(of_y,)), da.from_array(w)
        )
        assert found is model
        assert_same_fit(found, local)
    lazy = da.from_array(X, chunks=(400, 4))
    assert (found.predict(lazy).compute() == local.predict(X)).all()
    assert type(found.to_local()) is local_class
    assert (found.to_local().predict(X) == local.predict(X)).all()
    assert local.score(X, y) > 0.8


@slow
def test_fits_on_three_workers_are_those_of_the_local_source():
    X, y, w = problem()
    local = PathReLURegressor(alpha=0.01, random_state=0).fit(ArraySource(X, y, w))
    with start(3) as cluster, distributed.Client(cluster) as client:  # noqa: F811
        client.wait_for_workers(3, timeout=LONGEST)
        model = DaskPathReLURegressor(alpha=0.01, random_state=0, client=client)
        model.fit(da.from_array(X, chunks=(130, 4)), da.from_array(y, chunks=400), da.from_array(w))
    assert_same_fit(model, local)


def test_fits_of_few_rows_are_those_in_memory(client):  # noqa: F811
    X, y, _ = problem(300)
    found = DaskPathReLURegressor(random_state=0).fit(*(da.from_array(part, chunks=90) for part in (X, y)))
    assert_same_fit(found, PathReLURegressor(random_state=0).fit(X, y))
    assert found.n_passes_ == 1
    assert found.dual_gap_ < 0.1 * found.objective_


def test_frames_with_text_are_fitted_and_predicted_as_frames(client):  # noqa: F811
    X, y, _ = problem(classes=2)
    frame = pd.DataFrame(X, columns=list("pqrs")).assign(text=np.where(X[:, 0] > 0, "u", "v"))
    lazy = dd.from_pandas(frame.assign(y=y), npartitions=4)
    model = DaskPathReLUClassifier(alpha=0.01, random_state=0).fit(lazy[list(frame)], lazy["y"])
    local = PathReLUClassifier(alpha=0.01, random_state=0).fit(ArraySource(frame, y))
    assert_same_fit(model, local)
    assert model.feature_names_in_.tolist() == list(frame)
    labels = model.predict(lazy[list(frame)])
    assert isinstance(labels, dd.Series)
    assert labels.compute().tolist() == local.predict(frame).tolist()
    table = model.predict_proba(lazy[list(frame)])
    assert list(table.columns) == ["a", "b"]
    np.testing.assert_array_equal(table.compute().to_numpy(), local.predict_proba(frame))
    some = lazy[lazy["p"] > 1][list(frame)]  # of partitions whose sizes are not known
    kept = frame["p"] > 1
    assert model.predict(some).compute().index.tolist() == frame.index[kept].tolist()
    none = lazy[lazy["p"] > 99][list(frame)]
    assert len(model.predict(none).compute()) == 0


def kill_once(part, flag):
    try:
        flag.touch(exist_ok=False)
    except FileExistsError:
        return part
    os.kill(os.getpid(), signal.SIGKILL)
    return part


@slow
def test_a_killed_worker_costs_no_bits(client, tmp_path):  # noqa: F811
    X, y, _ = problem()
    killed = []

    def kill(record):
        if not killed:
            killed.append(record)
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

    rows = da.from_array(X, chunks=(500, 4)).map_blocks(kill_once, tmp_path / "flag", meta=X[:0])
    model = DaskPathReLURegressor(alpha=0.01, random_state=0, callback=kill)
    model.fit(rows, da.from_array(y))
    assert killed
    assert (tmp_path / "flag").exists()
    assert_same_fit(model, PathReLURegressor(alpha=0.01, random_state=0).fit(ArraySource(X, y)))
    client.wait_for_workers(2, timeout=LONGEST)


# ---- Without a cluster -----------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    X, y, _ = problem(200)
    model = DaskPathReLURegressor(alpha=0.01, random_state=0)
    return PathReLURegressor.fit(model, X, y), X


@pytest.mark.parametrize(("distributed_class", "local_class"), BOTH)
def test_parameters_are_those_of_the_plain_estimator_and_a_client(distributed_class, local_class):
    own = inspect.signature(distributed_class).parameters
    plain = inspect.signature(local_class).parameters
    assert set(own) == {*plain, "client"}
    assert all(own[name].default == about.default for name, about in plain.items())
    model = distributed_class(alpha=0.5, client="here")
    assert model.client == "here"
    copy = clone(model)
    assert (copy.alpha, copy.client) == (0.5, None)
    assert pickle.loads(pickle.dumps(model)).client is None
    with pytest.raises(TypeError, match="no_such"):
        distributed_class(no_such=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("chunks", [(70, 2), (200, 4), ((0, 150, 50), 4)])
def test_predictions_are_lazy_with_dtype_and_chunks(fitted, dtype, chunks):
    model, X = fitted
    lazy = da.from_array(X.astype(dtype), chunks=chunks)
    found = model.predict(lazy)
    assert isinstance(found, da.Array)
    assert found.dtype == dtype
    assert found.chunks == lazy.chunks[:1]
    np.testing.assert_array_equal(
        found.compute(scheduler="synchronous"), model.to_local().predict(X.astype(dtype))
    )
    unknown = lazy[lazy[:, 0] > 0]
    assert model.predict(unknown).compute(scheduler="synchronous").shape == ((X[:, 0] > 0).sum(),)


def test_what_predictions_refuse(fitted):
    model, X = fitted
    with pytest.raises(TypeError, match="X is a ndarray; expected a dask array"):
        model.predict(X)
    with pytest.raises(ValueError, match="3 features"):
        model.predict(da.from_array(X[:, :3]))
    with pytest.raises(ValueError, match="expected two dimensions"):
        model.predict(da.from_array(X[:, 0]))
    with pytest.raises(ValueError, match="not fitted"):
        DaskPathReLURegressor().predict(da.from_array(X))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"activation": "gated"}, "activation='gated' is for rows in memory"),
        ({"arrangements": "sample"}, "arrangements='sample'"),
        ({"low_rank": 2}, "low_rank"),
        ({"prune": True}, "prune"),
        ({"warm_start": True}, "warm_start"),
        ({"alpha": -1}, "alpha is -1"),
    ],
)
def test_parameters_that_pieces_do_not_have_are_refused_first(parameters, message):
    class Untouched:
        n_chunks = 1

        def chunk(self, k):
            raise AssertionError("rows were read")

    with pytest.raises(ValueError, match=message):
        PathReLURegressor(**parameters).fit(Untouched())
