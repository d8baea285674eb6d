"""Fits of rows in pieces: near those in memory, and what they report is true of all rows."""

import numpy as np
import pandas as pd
import pytest
from pieces import cut_at
from sklearn.exceptions import ConvergenceWarning
from support import slow

from pathrelu import PathReLUClassifier, PathReLUClassifierCV, PathReLURegressor
from pathrelu.rows import ArraySource, _training
from pathrelu.rows import _blocks as blocks
from pathrelu.training import Scaling


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 256)
    monkeypatch.setattr(_training, "SAMPLE_ROWS", 500)


def problem(n=2000, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * [1, 10, 0.1, 1] + [0, 3, 0, -1]
    Z = (X - [0, 3, 0, -1]) / [1, 10, 0.1, 1]
    f = np.maximum(Z @ rng.standard_normal((d, 3)), 0) @ [1, 1, -2]
    return X, (f - f.mean()) / f.std() + 0.1 * rng.standard_normal(n), rng.random(n) + 0.1


X, Y, W = problem()
LABELS = np.array(["a", "b", "c"])[np.digitize(Y, [-0.5, 0.5])]


def arrays_of(model):
    return model.network_.parts()[1]


@pytest.mark.parametrize(
    "parameters",
    [
        {"encode": None},
        {"alpha": 0.01},
        {"alpha": 0.01, "depth": 3, "width": 2},
        {"alpha": 0.01, "skip_connection": True},
        {"alpha": 0.01, "bias": False, "fit_intercept": False},
        {"alpha": 0.01, "loss": "huber", "threshold": 1.5},
        {"alpha": 0.01, "loss": "absolute_error"},
        {"encode": "ramps"},
    ],
    ids=str,
)
def test_regressions_are_near_those_in_memory_and_their_objective_is_true(parameters):
    model = PathReLURegressor(random_state=0, **parameters).fit(ArraySource(X, Y, W))
    memory = PathReLURegressor(random_state=0, tol=1e-2, **parameters).fit(X, Y, W)
    left = 1 - np.array([model.score(X, Y, W), memory.score(X, Y, W)])
    assert left[0] < 1.2 * left[1] + 0.01
    if "loss" not in parameters:
        objective = model.network_.objective(X, Y, model.alpha_, sample_weight=W)
        assert model.objective_ == pytest.approx(objective, rel=1e-10)
    if "alpha" in parameters:
        assert model.objective_ < 1.1 * memory.objective_
    assert model.n_passes_ > 10
    assert model.n_features_in_ == 4


@pytest.mark.parametrize("parameters", [{}, {"alpha": 0.005}, {"alpha": 0.005, "class_weight": "balanced"}])
@pytest.mark.parametrize("classes", [2, pytest.param(3, marks=slow)])
def test_classifications_are_near_those_in_memory(parameters, classes):
    y = LABELS if classes == 3 else np.where(Y > 0, 7, 3)
    model = PathReLUClassifier(random_state=0, **parameters).fit(ArraySource(X, y))
    memory = PathReLUClassifier(random_state=0, tol=1e-2, **parameters).fit(X, y)
    assert model.classes_.tolist() == memory.classes_.tolist()
    assert model.classes_.dtype == memory.classes_.dtype
    assert model.score(X, y) > memory.score(X, y) - 0.03
    if "alpha" in parameters:
        assert model.objective_ < 1.1 * memory.objective_


@pytest.mark.parametrize("places", [(1, 2), (700, 700, 1999)])
def test_bits_do_not_depend_on_pieces(places):
    whole = PathReLURegressor(random_state=0, alpha=0.01).fit(ArraySource(X, Y, W))
    parts = PathReLURegressor(random_state=0, alpha=0.01).fit(cut_at(X, Y, W, *places))
    for name, array in arrays_of(whole).items():
        np.testing.assert_array_equal(arrays_of(parts)[name], array)
    assert parts.objective_ == whole.objective_
    assert parts.dual_gap_ == whole.dual_gap_ < 0.05 * whole.objective_


def test_several_targets_are_shared():
    y = np.column_stack([Y, np.abs(X[:, 3])])
    model = PathReLURegressor(random_state=0, alpha=0.02).fit(ArraySource(X, y))
    assert model.network_.n_outputs == 2
    assert model.score(X, y) > 0.8
    assert model.objective_ == pytest.approx(model.network_.objective(X, y, 0.02), rel=1e-10)
    with pytest.raises(ValueError, match="'separate' with several targets"):
        PathReLURegressor(outputs="separate").fit(ArraySource(X, y))


def test_classes_without_weight_keep_their_place():
    w = np.where(LABELS == "b", 0.0, 1.0)
    model = PathReLUClassifier(random_state=0, alpha=0.01).fit(ArraySource(X, LABELS, w))
    memory = PathReLUClassifier(random_state=0, alpha=0.01).fit(X, LABELS, w)
    assert model.classes_.tolist() == ["a", "b", "c"]
    found = model.predict_proba(X)
    assert (found[:, 1] == 0).all()
    assert np.abs(found - memory.predict_proba(X)).mean() < 0.02


def test_rare_classes_are_in_every_sample():
    y = LABELS.astype(object)
    y[:3] = "rare"
    model = PathReLUClassifier(random_state=0, alpha=0.01).fit(ArraySource(X, y))
    assert model.classes_.tolist() == ["a", "b", "c", "rare"]
    assert model.predict_proba(X)[:, 3].mean() == pytest.approx(3 / 2000, rel=0.5)


def test_few_rows_are_fitted_as_in_memory():
    y, w = Y[:300], W[:300]
    model = PathReLURegressor(random_state=0).fit(ArraySource(X[:300], y, w))
    memory = PathReLURegressor(random_state=0).fit(X[:300], y, w)
    for name, array in arrays_of(memory).items():
        np.testing.assert_array_equal(arrays_of(model)[name], array)
    assert (model.dual_gap_, model.n_passes_) == (memory.dual_gap_, 1)


def test_float32_rows_stay_float32():
    model = PathReLURegressor(random_state=0, alpha=0.01).fit(ArraySource(X.astype(np.float32), Y))
    assert model.network_.leaf_weights.dtype == np.float32
    assert model.predict(X.astype(np.float32)).dtype == np.float32
    double = PathReLURegressor(random_state=0, alpha=0.01).fit(ArraySource(X, Y))
    assert model.objective_ == pytest.approx(double.objective_, rel=1e-2)


def test_tables_with_gaps_text_and_constant_columns():
    frame = pd.DataFrame(X, columns=list("pqrs")).assign(text=np.where(Y > 0, "u", "v"), same=3.0)
    frame.loc[::7, "q"] = np.nan
    model = PathReLURegressor(random_state=0, alpha=0.01).fit(ArraySource(frame, Y))
    memory = PathReLURegressor(random_state=0, alpha=0.01, tol=1e-2).fit(frame, Y)
    assert model.feature_names_in_.tolist() == list(frame)
    assert model.score(frame, Y) > memory.score(frame, Y) - 0.02
    network = model.network_
    assert not network.leaf_weights[..., network.encoder.origin_ == 5].any()


def test_moments_of_blocks_are_those_of_all_rows():
    rng = np.random.default_rng(0)
    table = np.column_stack([X, np.full(2000, 0.1), np.zeros(2000), 1e9 + rng.standard_normal(2000)])
    for bias in (True, False):
        expected = Scaling.fit(table, W, standardize=True, bias=bias)
        recipe = _training.Recipe(None, expected, None, np.ones(0), "squared_error")
        held = blocks.LocalBlocks(ArraySource(table, Y, W))
        moments = held.reduce_blocks(_training.block_moments, _training.moments_together, recipe, bias)
        found = _training.scaling_of(moments, standardize=True, bias=bias)
        np.testing.assert_allclose(found.center, expected.center, rtol=1e-12)
        np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-6)
        np.testing.assert_array_equal(found.empty, expected.empty)


def test_a_callback_may_end_the_slide_and_so_may_the_clock():
    seen = []

    def follow(record):
        seen.append(record)
        if len(seen) > 3:
            raise StopIteration

    model = PathReLURegressor(random_state=0, alpha=0.01, callback=follow).fit(ArraySource(X, Y))
    assert model.n_passes_ < 9
    assert seen[-1].phase in ("path", "passes", "search", "solve")
    assert model.score(X, Y) > 0.5
    told = []
    whole = PathReLURegressor(random_state=0, callback=told.append).fit(ArraySource(X, Y))
    passes = [record for record in told if record.phase == "passes"]
    assert [record.n_iter for record in passes] == list(range(1, passes[0].round + 1))
    assert whole.n_passes_ > 5 + len(passes)
    with pytest.warns(ConvergenceWarning, match="stopped by max_seconds"):
        quick = PathReLURegressor(random_state=0, alpha=0.01, max_seconds=1e-3).fit(ArraySource(X, Y))
    assert quick.n_passes_ < 9


def test_what_sources_come_with_and_what_takes_none():
    source = ArraySource(X, Y)
    with pytest.raises(TypeError, match="has targets and weights, and y came too"):
        PathReLURegressor().fit(source, Y)
    with pytest.raises(TypeError, match="and sample_weight came too"):
        PathReLURegressor().fit(source, sample_weight=W)
    with pytest.raises((TypeError, ValueError), match="ArraySource"):
        PathReLUClassifierCV().fit(source, Y)
    with pytest.raises(ValueError, match="one class"):
        PathReLUClassifier().fit(ArraySource(X, np.full(2000, "a")))
    with pytest.raises(ValueError, match=r"y has the value -.* expects"):
        PathReLURegressor(loss="poisson").fit(ArraySource(X, Y))
    bad = X.copy()
    bad[1812, 2] = np.nan
    with pytest.raises(ValueError, match=r"missing value .NaN. in column 2 of row 1812"):
        PathReLURegressor(encode=None).fit(cut_at(bad, Y, None, 500, 1700))


def test_passes_that_end_above_the_network_of_the_sample_are_told_of_and_left(monkeypatch):
    def worse(*_, **__):
        trees = slide(*_, **__)
        return (3 * trees[0], *trees[1:])

    slide = _training.stochastic_slide
    monkeypatch.setattr(_training, "stochastic_slide", worse)
    with pytest.warns(ConvergenceWarning, match="which is kept: .* shuffle them"):
        model = PathReLURegressor(random_state=0).fit(ArraySource(X, Y))
    assert model.score(X, Y) > 0.9
    objective = model.network_.objective(X, Y, model.alpha_)
    assert model.objective_ == pytest.approx(objective, rel=1e-6)


def test_a_constant_target_needs_no_subnetwork(monkeypatch):
    X = np.random.default_rng(0).standard_normal((3000, 3))
    source = ArraySource(X, np.full(3000, 2.5), chunk_rows=1000)
    monkeypatch.setattr(_training, "SAMPLE_ROWS", 500)
    model = PathReLURegressor(alpha=0.1, depth=3, random_state=0).fit(source)
    assert model.n_subnetworks_ == 0
    assert model.objective_ == 0
    np.testing.assert_array_equal(model.predict(X[:2]), [2.5, 2.5])
