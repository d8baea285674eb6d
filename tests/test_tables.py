"""Raw tables in the estimators, their networks, files, importances, plots and exports."""

import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from test_encoding import table

import pathrelu as pr
from pathrelu import TableEncoder
from pathrelu.inspection import (
    feature_importance,
    feature_path_norms,
    subnetwork_importance,
    subnetwork_outputs,
)

FRAME = table(120)
TARGET = (FRAME["text"] == "red") * 2.0 + FRAME["count"] + FRAME["size"].fillna(0).abs()
LABEL = np.where(TARGET.median() < TARGET, "high", "low")
# What no row of training has.
ODD = FRAME.copy()
ODD.loc[0, "text"] = "other"
ODD.loc[1, "wait"] = pd.NaT
ODD.loc[2, "category"] = None
ODD.loc[3, ["size", "count"]] = [1e9, -5]

FAST = {"alpha": 0.05, "random_state": 0}


@parametrize_with_checks(
    [
        estimator(encode=encode, **FAST)
        for estimator in (pr.PathReLURegressor, pr.PathReLUClassifier)
        for encode in (None, "ramps")
    ]
)
def test_scikit_learn_checks_estimators_with_other_encodings(estimator, check):
    check(estimator)


@pytest.fixture(scope="module", params=["linear", "ramps"])
def model(request):
    return pr.PathReLURegressor(encode=request.param, skip_connection=True, **FAST).fit(FRAME, TARGET)


@pytest.fixture(scope="module")
def classifier():
    return pr.PathReLUClassifier(**FAST).fit(FRAME, LABEL)


def test_frames_are_taken_as_they_are(model, classifier):
    assert model.score(FRAME, TARGET) > 0.9
    assert classifier.score(FRAME, LABEL) > 0.9
    assert np.isfinite(model.predict(ODD)).all()
    assert set(classifier.predict(ODD)) <= {"high", "low"}
    assert model.n_features_in_ == model.network_.n_features == FRAME.shape[1]
    assert model.feature_names_in_.tolist() == model.network_.feature_names == list(FRAME)
    polars = pl.from_pandas(FRAME.astype({"category": str}))
    again = clone(model).fit(polars, TARGET)
    np.testing.assert_array_equal(again.predict(polars), model.predict(FRAME))


def test_the_network_has_the_encoder_in_it(model):
    encoded = model.network_.encoder.transform(FRAME)
    plain = pr.PathReLURegressor(encode=None, skip_connection=True, **FAST).fit(encoded, TARGET)
    assert plain.objective_ == model.objective_
    np.testing.assert_array_equal(plain.predict(encoded), model.predict(FRAME))
    np.testing.assert_array_equal(model.network_.predict(FRAME), model.predict(FRAME))
    objective = model.network_.objective(FRAME, TARGET, model.alpha_)
    assert objective == pytest.approx(model.objective_, rel=1e-9)
    pruned = model.network_.prune(FRAME)
    np.testing.assert_allclose(pruned.predict(FRAME), model.predict(FRAME), atol=1e-8)


def test_a_network_finds_its_columns_by_name(model):
    more = FRAME[FRAME.columns[::-1]].assign(more=1)
    np.testing.assert_array_equal(model.network_.predict(more), model.network_.predict(FRAME))
    with pytest.raises(ValueError, match="X has no column 'flag'; expected those of training"):
        model.network_.predict(FRAME.drop(columns="flag"))
    with pytest.raises(TypeError, match="column 'size' of X holds text or categories; expected numbers"):
        model.network_.predict(FRAME.assign(size="big"))
    with pytest.raises(ValueError, match="flag"):
        model.predict(FRAME.drop(columns="flag"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_without_gaps_are_fitted_as_without_an_encoder(dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3)).astype(dtype)
    y = np.abs(X[:, 0]) + 0.1 * rng.standard_normal(60)
    strict, auto = (pr.PathReLURegressor(encode=encode, **FAST).fit(X, y) for encode in (None, "auto"))
    for name in ("leaf_weights", "leaf_bias", "center", "scale", "intercept", "output_weights"):
        np.testing.assert_array_equal(getattr(strict.network_, name), getattr(auto.network_, name))
    np.testing.assert_array_equal(strict.predict(X), auto.predict(X))
    gap = X.copy()
    gap[0, 1] = np.nan
    filled = X.copy()
    filled[0, 1] = np.sort(X[:, 1])[29]  # the lower median
    np.testing.assert_array_equal(auto.predict(gap), auto.predict(filled))
    with pytest.raises(ValueError, match="missing values"):
        strict.predict(gap)


def test_weights_are_repetitions_of_rows_of_tables():
    weight = np.arange(len(FRAME)) % 3
    again = np.repeat(np.arange(len(FRAME)), weight)
    weighted = pr.PathReLUClassifier(encode="ramps", **FAST).fit(FRAME, LABEL, weight)
    repeated = pr.PathReLUClassifier(encode="ramps", **FAST).fit(FRAME.iloc[again], LABEL[again])
    np.testing.assert_array_equal(weighted.decision_function(ODD), repeated.decision_function(ODD))


def test_an_encoder_of_ones_own():
    encoder = TableEncoder(numeric="ramps", n_ramps=3, max_categories=2)
    model = pr.PathReLURegressor(encode=encoder, **FAST).fit(FRAME, TARGET)
    assert not hasattr(encoder, "columns_")
    assert model.network_.encoder.n_ramps == 3
    assert cross_val_score(model, FRAME, TARGET, cv=2).min() > 0.5
    with pytest.raises(ValueError, match="encode is 'cubic'; expected 'auto', 'linear', 'ramps'"):
        pr.PathReLURegressor(encode="cubic").fit(FRAME, TARGET)
    with pytest.raises(
        TypeError, match="encode is 3; expected 'auto', 'linear', 'ramps', a TableEncoder or None"
    ):
        pr.PathReLURegressor(encode=3).fit(FRAME, TARGET)
    with pytest.raises(TypeError, match="columns that are not numbers: 'text'"):
        pr.PathReLURegressor(encode=None).fit(FRAME, TARGET)


def test_cross_validation_of_tables():
    model = pr.PathReLUClassifierCV(alphas=[0.1, 0.05], cv=2, random_state=0).fit(FRAME, LABEL)
    assert model.score(ODD, LABEL) > 0.8
    assert model.network_.encoder.numeric_ == "linear"


def test_tables_that_carry_nothing_are_fitted_with_a_constant():
    for frame in (
        pd.DataFrame({"id": [f"u{k}" for k in range(40)]}),
        pd.DataFrame({"none": [None] * 40, "same": ["a"] * 40}),
    ):
        model = pr.PathReLURegressor(**FAST).fit(frame, np.arange(40.0))
        np.testing.assert_allclose(model.predict(frame), 19.5)


# ---- Files ---------------------------------------------------------------------


def test_files_hold_the_encoder(model, classifier, tmp_path):
    for saved in (model, classifier, model.network_):
        saved.save(tmp_path / "model.npz")
        loaded = pr.load(tmp_path / "model.npz")
        np.testing.assert_array_equal(loaded.predict(ODD), saved.predict(ODD))
        network = getattr(loaded, "network_", loaded)
        assert network.encoder.to_dict() == getattr(saved, "network_", saved).encoder.to_dict()
    model.network_.save(tmp_path / "model.json")
    np.testing.assert_array_equal(pr.load(tmp_path / "model.json").predict(ODD), model.predict(ODD))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(ODD), model.predict(ODD))
    own = pr.PathReLURegressor(encode=TableEncoder(n_ramps=3), **FAST).fit(FRAME, TARGET)
    own.save(tmp_path / "own.npz")
    assert pr.load(tmp_path / "own.npz").encode.get_params() == own.encode.get_params()


def garbled(content):
    """The content with each of its entries replaced by something else, one at a time."""
    strange = [None, -1, 1.5, "x", [], {}, [[1]], {"kind": "text"}, True, "1e999", 10**400]

    def walk(value, path):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*path, key)
            if isinstance(value[key], dict | list):
                yield from walk(value[key], (*path, key))

    for path in walk(content, ()):
        for other in strange:
            copy = json.loads(json.dumps(content))
            place = copy
            for key in path[:-1]:
                place = place[key]
            if place[path[-1]] != other:
                place[path[-1]] = other
                yield path, copy


def test_garbled_encoders_are_refused_or_are_others_that_work(model):
    content = model.network_.to_dict()
    refused = 0
    for _, encoder in garbled(content["encoder"]):
        try:
            network = pr.ParallelReLUNetwork.from_dict(content | {"encoder": encoder})
        except ValueError as error:
            assert str(error).startswith("content does not describe a network: ")  # noqa: PT017
            refused += 1
            continue
        assert network.n_columns == model.network_.n_columns
        try:
            assert network.predict(FRAME).shape == (len(FRAME),)
        except (TypeError, ValueError) as error:
            assert re_named(str(error))  # noqa: PT017
    assert refused > 500


def re_named(message):
    return "column" in message or "output" in message


def test_an_encoder_is_fitted_and_of_as_many_columns_as_leaves_have_weights():
    with pytest.raises(TypeError, match="encoder has type str; expected None or a fitted TableEncoder"):
        pr.ParallelReLUNetwork([[[1.0]]], encoder="auto")
    with pytest.raises(ValueError, match="encoder gives 1 columns; leaf_weights has 2"):
        pr.ParallelReLUNetwork([[[1.0, 2.0]]], encoder=TableEncoder().fit([[1.0], [2.0]]))


# ---- Importances and plots -----------------------------------------------------


def test_importances_are_those_of_the_columns_of_the_table(model):
    network = model.network_
    norms = feature_path_norms(network)
    assert norms.shape == (network.n_subnetworks, FRAME.shape[1])
    leaves = np.sqrt((network.leaf_weights**2).sum(axis=(1, 2)))
    scale = np.sqrt((network.output_weights**2).sum(axis=1))
    np.testing.assert_allclose((norms**2).sum(axis=1), (leaves * scale) ** 2)
    importance = feature_importance(model)
    np.testing.assert_allclose(model.feature_importances_, importance / importance.sum())
    assert set(np.argsort(-importance)[:3]) == {0, 1, 2}  # size, count and text


def test_what_is_inspected_and_certified_takes_raw_rows(model):
    parts = subnetwork_outputs(model, ODD).sum(axis=1)
    linear = model.network_.weights["skip"] @ model.network_.encoder.transform(ODD).T
    outputs = parts + linear[0] + model.network_.weights["skip_bias"] + model.intercept_
    np.testing.assert_allclose(outputs, model.predict(ODD), rtol=1e-9)
    importance = subnetwork_importance(model, FRAME)
    assert importance.variance_share.sum() + importance.skip_variance_share.sum() == pytest.approx(1)
    certificate = pr.certify(model.network_, FRAME, TARGET, model.alpha_, "solver")
    assert certificate.upper == pytest.approx(model.objective_, rel=1e-9)
    assert certificate.relative_gap < 1e-3


def test_paths_are_plotted_of_raw_rows():
    plotting = pytest.importorskip("pathrelu.plotting")
    pytest.importorskip("matplotlib").use("agg")
    model = pr.PathReLUClassifier(encode="ramps", **FAST).fit(FRAME, LABEL)
    draw = plotting.RegularizationPathDisplay.from_estimator
    display = draw(model, FRAME, LABEL, alphas=[0.1, 0.05])
    norms = np.asarray(display.path_norms)[-1].sum()
    assert norms == pytest.approx(model.network_.path_norm(), rel=0.05)
    scored = draw(model, FRAME, LABEL, alphas=[0.1, 0.05], X_test=ODD, y_test=LABEL)
    assert len(scored.scores) == 2


def test_selection_of_columns_by_importance():
    selected = SelectFromModel(pr.PathReLURegressor(**FAST), max_features=2, threshold=-np.inf)
    numbers = FRAME[["size", "count", "flag"]]
    assert selected.fit(numbers, TARGET).get_feature_names_out().tolist() == ["size", "count"]
    rfe = RFE(pr.PathReLURegressor(**FAST), n_features_to_select=2).fit(numbers, TARGET)
    assert rfe.support_.tolist() == [True, True, False]


# ---- Exports -------------------------------------------------------------------


def onnx_outputs(path, frame, encoder):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path)
    places, names = encoder.places(frame), list(frame)
    feed = {}
    for given in session.get_inputs():
        if given.name == "X":
            feed["X"] = places.astype(np.float64 if "double" in given.type else np.float32)
        elif "string" in given.type:
            text = ["" if pd.isna(value) else str(value) for value in frame[given.name]]
            feed[given.name] = np.array(text, dtype=object)[:, None]
        else:
            dtype = np.float64 if "double" in given.type else np.float32
            feed[given.name] = places[:, [names.index(given.name)]].astype(dtype)
    return session.run(None, feed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_onnx_takes_raw_tables(model, classifier, dtype, tmp_path):
    path = tmp_path / "model.onnx"
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    model.to_onnx(path, dtype=dtype)
    outputs = onnx_outputs(path, ODD, model.network_.encoder)[0][:, 0]
    np.testing.assert_allclose(outputs, model.predict(ODD), rtol=tolerance, atol=tolerance)
    classifier.to_onnx(path, dtype=dtype)
    label, probability = onnx_outputs(path, ODD, classifier.network_.encoder)
    np.testing.assert_allclose(probability, classifier.predict_proba(ODD), atol=tolerance)
    assert (label == classifier.predict(ODD)).mean() > 0.99


@pytest.mark.parametrize("encode", ["linear", "ramps"])
def test_onnx_has_one_input_where_all_columns_are_numbers(encode, tmp_path):
    numbers = ODD[["size", "count", "flag"]].astype(float)
    model = pr.PathReLURegressor(encode=encode, **FAST).fit(numbers, TARGET)
    model.to_onnx(tmp_path / "model.onnx", dtype=np.float64)
    outputs = onnx_outputs(tmp_path / "model.onnx", numbers, model.network_.encoder)[0][:, 0]
    np.testing.assert_allclose(outputs, model.predict(numbers), rtol=1e-9)
    later = pr.PathReLURegressor(encode=encode, **FAST).fit(numbers.fillna(0), TARGET)
    later.to_onnx(tmp_path / "model.onnx", dtype=np.float64)  # gaps at predict alone
    outputs = onnx_outputs(tmp_path / "model.onnx", numbers, later.network_.encoder)[0][:, 0]
    np.testing.assert_allclose(outputs, later.predict(numbers), rtol=1e-9)


def test_skl2onnx_converts_estimators_of_tables():
    convert = pytest.importorskip("skl2onnx").to_onnx
    types = pytest.importorskip("skl2onnx.common.data_types")
    runtime = pytest.importorskip("onnxruntime")
    frame = ODD[["size", "text", "count"]]
    model = pr.PathReLUClassifier(encode="ramps", **FAST).fit(frame, LABEL)
    number, text = types.DoubleTensorType([None, 1]), types.StringTensorType([None, 1])
    inputs = [("size", number), ("text", text), ("count", number)]
    session = runtime.InferenceSession(
        convert(model, initial_types=inputs, target_opset=17).SerializeToString()
    )
    feed = {name: frame[[name]].to_numpy(np.float64) for name in ("size", "count")}
    feed["text"] = frame[["text"]].fillna("").to_numpy(object)
    np.testing.assert_allclose(session.run(None, feed)[1], model.predict_proba(frame), atol=1e-9)
    with pytest.raises(ValueError, match="expected one for each of its 3 columns"):
        convert(model, initial_types=[("X", types.DoubleTensorType([None, 3]))], target_opset=17)
    with pytest.raises(TypeError, match="input 1 is a DoubleTensorType; expected one of text"):
        convert(model, initial_types=[(name, number) for name in frame], target_opset=17)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_takes_the_places_of_tables(model, dtype):
    torch = pytest.importorskip("torch")
    module = model.network_.to_torch(dtype=dtype)
    rows = torch.from_numpy(model.network_.encoder.places(ODD))
    outputs = module(rows).detach().numpy()
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(outputs, model.predict(ODD), rtol=tolerance, atol=tolerance)
    assert module.float().encoding.low.dtype == torch.float64  # knots may be close to each other


@pytest.mark.parametrize("encode", ["linear", "ramps"])
def test_boundaries_are_plotted_over_columns_of_the_table(encode):
    plotting = pytest.importorskip("pathrelu.plotting")
    pytest.importorskip("matplotlib").use("agg")
    model = pr.PathReLUClassifier(encode=encode, **FAST).fit(FRAME, LABEL)
    draw = plotting.DecisionBoundaryDisplay.from_estimator
    display = draw(model, FRAME, features=["size", "count"], grid_resolution=12)
    grid = FRAME.iloc[[0] * 144].assign(size=display.xx0.ravel(), count=display.xx1.ravel())
    common = FRAME.mode().iloc[0]
    grid = grid.assign(
        text=common["text"],
        category=pd.Categorical([common["category"]] * 144, categories=FRAME["category"].cat.categories),
        **{name: FRAME[name].mean() for name in ("flag", "day", "wait")},
    )
    shown = display.response.ravel()
    np.testing.assert_allclose(shown, model.decision_function(grid), atol=1e-6)
    assert len(display.kinks[0]) > 0
    row = FRAME.iloc[[5]]
    other = draw(model, FRAME, features=["size", "count"], fixed=row, grid_resolution=12)
    grid = row.iloc[[0] * 144].assign(size=display.xx0.ravel(), count=display.xx1.ravel())
    np.testing.assert_allclose(other.response.ravel(), model.decision_function(grid), atol=1e-6)
    with pytest.raises(ValueError, match="features has 'text', which is no number"):
        draw(model, FRAME, features=["size", "text"])
    bars = plotting.FeatureImportanceDisplay.from_estimator(model)
    assert {label.get_text() for label in bars.ax_.get_yticklabels()} == set(FRAME)
