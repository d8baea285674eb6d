"""Exports agree with predict, estimators come back whole from files, and those of strangers are refused."""

import io
import json
import os
import re
import sys
import warnings
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_network import HOSTILE, SHAPES, Bomb, npy, random_network, rewritten

import pathrelu as pr
from pathrelu.export import register_skl2onnx
from pathrelu.files.networks import network_from_parts
from pathrelu.files.values import Decoder, Encoder

KINDS = ("relu", "gated")
LABELS = {
    "str": ["no", "yes", "maybe"],
    "int": [3, -1, 7],
    "float": [0.0, -1.0, 2.0],
    "bool": [False, True],
}


def every_network():
    """Every kind of network there is, with a name for each."""
    for width in SHAPES:
        for kind in KINDS:
            for outputs in (1, 3):
                for skip in (False, True):
                    rng = np.random.default_rng(7)
                    options = (
                        {"skip_weights": rng.standard_normal((outputs, 4)), "skip_bias": rng.random(outputs)}
                        if skip
                        else {}
                    )
                    yield pytest.param(
                        random_network(width, kind, outputs=outputs, **options),
                        id=f"{kind}-{'x'.join(map(str, width)) or 'shallow'}-{outputs}{'-skip' * skip}",
                    )


NETWORKS = list(every_network())


def session(model):
    """An onnxruntime session of one thread, for a path or a model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source = str(model) if isinstance(model, os.PathLike) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def rows(n=200, d=4, seed=1):
    return np.random.default_rng(seed).standard_normal((n, d))


# ---- ONNX ----------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_onnx_outputs_are_predictions_for_any_number_of_rows(tmp_path, network):
    path = tmp_path / "network.onnx"
    for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-13)):
        network.to_onnx(path, dtype=dtype)
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert (model.ir_version, model.opset_import[0].version) == (8, 17)
        run = session(path)
        for n in (0, 1, 200):
            X = rows()[:n].astype(dtype)
            (got,) = run.run(["variable"], {"X": X})
            assert got.shape == (n, network.n_outputs)
            assert got.dtype == dtype
            if n:
                expected = network.predict(X).reshape(got.shape)
                scale = np.abs(expected).max()
                np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_in_float32_is_exact_for_rows_far_from_zero(tmp_path, kind):
    center, scale = np.array([1.7e9 + 57, -3e5, 0, 1e-3]), np.array([1e5, 30.0, 1e-8, 1e-4])
    network = random_network((2,), kind, center=center, scale=scale)
    X = (center + scale * rows()).astype(np.float32)
    network.to_onnx(tmp_path / "far.onnx")
    got = session(tmp_path / "far.onnx").run(None, {"X": X})[0][:, 0]
    np.testing.assert_allclose(got, network.predict(X), rtol=0, atol=1e-5)


def test_gates_in_onnx_are_on_where_those_of_predict_are(tmp_path):
    # Rows so close to the gate that float32 does not know their side.
    gate = np.array([[[1.0, -1 / 3]]])
    network = pr.GatedReLUNetwork([[[1.0, 5.0]]], gates=gate)
    first = np.random.default_rng(0).uniform(0.5, 2, 500).astype(np.float32)
    X = np.stack([first, 3 * first], axis=1)
    value = X.astype(np.float64) @ gate[0, 0]
    X, value = X[np.abs(value) > 1e-12], value[np.abs(value) > 1e-12]
    assert ((X @ gate[0, 0].astype(np.float32) > 0) != (value > 0)).any()
    network.to_onnx(tmp_path / "gated.onnx")
    got = session(tmp_path / "gated.onnx").run(None, {"X": X})[0][:, 0]
    np.testing.assert_array_equal(got != 0, value > 0)
    np.testing.assert_allclose(got, network.predict(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "count"), [(name, count) for name in LABELS for count in (2, 3) if count <= len(LABELS[name])]
)
def test_onnx_of_a_classifier_has_labels_and_probabilities(tmp_path, name, count):
    labels = LABELS[name][:count]
    X = rows().astype(np.float32)
    y = np.array(labels)[np.random.default_rng(0).integers(0, count, len(X))]
    y[X[:, 0] > 0.3] = labels[0]
    model = pr.PathReLUClassifier(alpha=0.02, random_state=0).fit(X, y)
    model.to_onnx(tmp_path / "classifier.onnx")
    label, probabilities = session(tmp_path / "classifier.onnx").run(["label", "probabilities"], {"X": X})
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)
    predicted = model.predict(X)
    assert len(set(predicted.tolist())) > 1
    np.testing.assert_array_equal(label, predicted)
    assert type(label.tolist()[0]) is type(labels[0])


def test_onnx_says_what_it_is(tmp_path):
    X = rows()
    model = pr.PathReLURegressor(alpha=0.1, random_state=0).fit(X, X[:, :2])
    model.to_onnx(tmp_path / "model.onnx", dtype="float64")
    found = {p.key: p.value for p in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert found["estimator"] == "PathReLURegressor"
    assert found["pathrelu_version"] == pr.__version__
    assert json.loads(found["objective"]) == model.objective_
    network = random_network(outputs=3, classes=["a", "b", "c"], feature_names=list("pqrs"), target="kind")
    network.to_onnx(tmp_path / "model.onnx")
    found = {p.key: p.value for p in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(found["classes"]) == ["a", "b", "c"]
    assert json.loads(found["feature_names"]) == ["p", "q", "r", "s"]
    assert found["target"] == "kind"


def test_a_network_without_subnetworks_is_exported(tmp_path):
    network = pr.ParallelReLUNetwork(np.zeros((0, 1, 3)), intercept=2.5)
    network.to_onnx(tmp_path / "zero.onnx")
    np.testing.assert_array_equal(
        session(tmp_path / "zero.onnx").run(None, {"X": np.ones((4, 3), np.float32)})[0], np.full((4, 1), 2.5)
    )


def test_an_onnx_export_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    mixed = random_network(outputs=3, classes=["a", 2, True])
    with pytest.raises(ValueError, match="ONNX has labels of one type"):
        mixed.to_onnx(path)
    with pytest.raises(ValueError, match="dtype is 'float16'; expected float32 or float64"):
        random_network().to_onnx(path, dtype="float16")
    with pytest.raises(NotFittedError):
        pr.PathReLURegressor().to_onnx(path)

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        random_network().to_onnx(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.onnx"]


@pytest.mark.parametrize(
    ("missing", "extra", "export"),
    [
        ("torch", "torch", lambda path: random_network().to_torch()),
        ("onnx", "onnx", lambda path: random_network().to_onnx(path)),
        ("skl2onnx", "onnx", lambda path: register_skl2onnx()),
    ],
)
def test_a_missing_package_is_named_with_its_extra(missing, extra, export, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"pip install 'pathrelu\[{extra}\]'"):
        export(tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == []


# ---- skl2onnx ------------------------------------------------------------------


@pytest.mark.parametrize("options", [None, {"zipmap": False}])
@pytest.mark.parametrize("name", LABELS)
def test_a_pipeline_of_a_classifier_converts(name, options):
    skl2onnx = pytest.importorskip("skl2onnx")
    X = rows() * [1, 10, 100, 1000]
    y = np.array(LABELS[name])[(X[:, 0] > 0).astype(int) + (len(LABELS[name]) > 2) * (X[:, 1] > 3)]
    pipeline = make_pipeline(StandardScaler(), pr.PathReLUClassifier(alpha=0.05, random_state=0)).fit(X, y)
    for table, tolerance in ((X.astype(np.float32), 1e-5), (X, 1e-12)):
        model = skl2onnx.to_onnx(pipeline, table[:1], target_opset=17, options=options)
        label, probabilities = session(model).run(None, {"X": table})
        np.testing.assert_array_equal(label, pipeline.predict(table))
        np.testing.assert_allclose(probabilities, pipeline.predict_proba(table), rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_of_a_regressor_converts_inside_a_search_too(kind):
    skl2onnx = pytest.importorskip("skl2onnx")
    X = rows()
    model = pr.PathReLURegressor(depth=3, width=2, activation=kind, arrangements="sample", random_state=0)
    model.set_params(n_arrangements=20, skip_connection=True, tol=1e-3)
    pipeline = make_pipeline(StandardScaler(), model)
    search = GridSearchCV(pipeline, {"pathrelu" + "regressor__alpha": [0.1, 0.2]}, cv=2)
    bare = GridSearchCV(model, {"alpha": [0.1, 0.2]}, cv=2)
    register_skl2onnx()
    for fitted in (pipeline.fit(X, X[:, :2]), search.fit(X, X[:, :2]), bare.fit(X, X[:, 0])):
        converted = skl2onnx.to_onnx(fitted, X[:1], target_opset=17)
        expected = fitted.predict(X).reshape(len(X), -1)
        np.testing.assert_allclose(session(converted).run(None, {"X": X})[0], expected, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="target_opset is 11; expected at least 14"):
        skl2onnx.to_onnx(pipeline, X[:1], target_opset=11)


def outer_classifiers(inner):
    """Estimators around classifiers that ask these for scores or for probabilities."""
    pipeline = make_pipeline(StandardScaler(), clone(inner))
    search = GridSearchCV(clone(inner), {"random_state": [0]}, cv=2)
    linear = LogisticRegression()
    return {
        "sigmoid": CalibratedClassifierCV(clone(inner), cv=2),
        "sigmoid of one": CalibratedClassifierCV(clone(inner), cv=2, ensemble=False),
        "of a pipeline": CalibratedClassifierCV(pipeline, cv=2),
        "of a search": CalibratedClassifierCV(search, cv=2),
        "of a search of a pipeline": CalibratedClassifierCV(GridSearchCV(pipeline, {}, cv=2), cv=2),
        "stacked": StackingClassifier([("a", clone(inner)), ("b", linear)], cv=2),
        "final": StackingClassifier([("a", linear), ("b", linear)], clone(inner), cv=2),
        "vote": VotingClassifier(
            [("a", clone(inner)), ("b", linear)], voting="soft", flatten_transform=False
        ),
        "one versus rest": OneVsRestClassifier(clone(inner)),
        "bagging": BaggingClassifier(clone(inner), n_estimators=2, random_state=0),
        "scores of bagging": BaggingClassifier(clone(inner), n_estimators=2, random_state=0),
        "scores of one versus rest": OneVsRestClassifier(clone(inner)),
        "scores of a final estimator": StackingClassifier([("a", linear), ("b", linear)], clone(inner), cv=2),
    }


@pytest.mark.parametrize("name", outer_classifiers(pr.PathReLUClassifier()))
@pytest.mark.parametrize("count", [2, 3])
def test_classifiers_around_ours_convert(name, count):
    skl2onnx = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    X, rng = rows(120), np.random.default_rng(0)
    y = (X[:, 0] + 0.5 * rng.standard_normal(len(X)) > 0) + (count > 2) * (X[:, 1] > 0.5).astype(int)
    inner = pr.PathReLUClassifier(alpha=0.03, tol=1e-3, random_state=0)
    model = outer_classifiers(inner)[name].fit(X, y)
    raw = name.startswith("scores")
    options = {id(model): {"zipmap": False} | ({"raw_scores": True} if raw else {})}
    converted = skl2onnx.to_onnx(model, X[:1], target_opset=17, options=options)
    label, scores = session(converted).run(None, {"X": X})
    np.testing.assert_array_equal(label.ravel(), model.predict(X))
    if raw:
        expected = model.decision_function(X)
        expected = np.stack([-expected, expected], axis=1) if count == 2 else expected
    else:
        expected = model.predict_proba(X)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


def test_an_isotonic_calibration_is_that_of_our_scores():
    """skl2onnx takes isotonic maps for steps, whatever is calibrated; ours are in the step they belong to."""
    skl2onnx = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    X, rng = rows(120), np.random.default_rng(0)
    y = (X[:, 0] + rng.standard_normal(len(X)) > 0).astype(int)
    inner = pr.PathReLUClassifier(alpha=0.03, tol=1e-3, random_state=0)
    model = CalibratedClassifierCV(inner, method="isotonic", cv=2, ensemble=False).fit(X, y)
    got = session(skl2onnx.to_onnx(model, X[:1], target_opset=17, options={"zipmap": False})).run(
        None, {"X": X}
    )
    (fold,) = model.calibrated_classifiers_
    (isotonic,) = fold.calibrators
    knots = isotonic.X_thresholds_
    scores = np.clip(fold.estimator.decision_function(X), knots[0], knots[-1])
    after = np.searchsorted(knots, scores)
    low, high = (isotonic.y_thresholds_[index] for index in (np.maximum(after - 1, 0), after))
    assert len(set(isotonic.y_thresholds_.tolist())) > 3
    assert (got[1][:, 1] >= low - 1e-12).all()
    assert (got[1][:, 1] <= high + 1e-12).all()


@pytest.mark.parametrize("count", [2, 3])
def test_the_option_raw_scores_gives_the_decision_function(count):
    skl2onnx = pytest.importorskip("skl2onnx")
    X = rows()
    y = (X[:, 0] > 0).astype(int) + (count > 2) * (X[:, 1] > 0.5)
    pipeline = make_pipeline(StandardScaler(), pr.PathReLUClassifier(alpha=0.05, random_state=0)).fit(X, y)
    register_skl2onnx()
    for model, table in ((pipeline, X), (pipeline[-1], pipeline[:-1].transform(X))):
        options = {id(pipeline[-1]): {"raw_scores": True}}
        converted = skl2onnx.to_onnx(model, table[:1], target_opset=17, options=options)
        label, scores = session(converted).run(None, {"X": table})
        expected = model.decision_function(table)
        expected = np.stack([-expected, expected], axis=1) if count == 2 else expected
        np.testing.assert_array_equal(label, model.predict(table))
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"skip_connection": True}, {"activation": "gated"}, {"alpha": 9.0}])
def test_a_class_without_weight_has_probability_zero_in_every_export(tmp_path, options):
    X = rows()
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
    model = pr.PathReLUClassifier(**{"alpha": 0.05, "random_state": 0} | options)
    model.fit(X, y, sample_weight=(y != 1).astype(float))
    for dtype in (np.float32, np.float64):
        model.to_onnx(tmp_path / "model.onnx", dtype=dtype)
        label, share = session(tmp_path / "model.onnx").run(None, {"X": X.astype(dtype)})
        assert (share[:, 1] == 0).all()
        np.testing.assert_allclose(share, model.predict_proba(X), rtol=0, atol=1e-5)
        np.testing.assert_array_equal(label, model.predict(X.astype(dtype)))
    skl2onnx = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    converted = skl2onnx.to_onnx(model, X[:1], target_opset=17, options={id(model): {"raw_scores": True}})
    scores = session(converted).run(None, {"X": X})[1]
    np.testing.assert_allclose(scores, model.decision_function(X), rtol=1e-12, atol=1e-12)


def test_a_torch_module_with_a_class_without_weight_trains():
    torch = pytest.importorskip("torch")
    X = rows()
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
    model = pr.PathReLUClassifier(alpha=0.05, random_state=0).fit(X, y, sample_weight=(y != 1).astype(float))
    module = model.network_.to_torch()
    np.testing.assert_allclose(
        module(torch.tensor(X)).detach().numpy(), model.network_.predict(X), rtol=1e-12
    )
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    kept = torch.tensor(y != 1)
    for _ in range(3):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(torch.tensor(X))[kept], torch.tensor(y)[kept])
        loss.backward()
        optimizer.step()
    outputs = module(torch.tensor(X)).detach().numpy()
    assert np.isneginf(outputs[:, 1]).all()
    assert np.isfinite(outputs[:, [0, 2]]).all()


def test_options_that_are_not_known_are_refused():
    skl2onnx = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    classifier, regressor = fitted(), fitted("regressor")
    for model, options, reason in (
        (classifier, {"nocl": True}, "'nocl' not in .*'raw_scores', 'zipmap'"),
        (classifier, {"raw_scores": "yes"}, "'yes'.* for option 'raw_scores'"),
        (classifier, {"zipmap": "columns"}, "'columns'.* for option 'zipmap'"),
        (regressor, {"raw_scores": True}, "'raw_scores'"),
    ):
        with pytest.raises((NameError, ValueError, RuntimeError), match=reason):
            skl2onnx.to_onnx(model, rows()[:1], target_opset=17, options={id(model): options})


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.array([1, 2**63], np.uint64), r"label 9223372036854775808; ONNX has integers from -2\*\*63 to"),
        (np.array(["2020", "2021"], "M8[Y]"), r"dtype datetime64\[Y\]; ONNX has labels of type str, int"),
        (np.array([1, 2], "m8[s]"), r"dtype timedelta64\[s\]; ONNX has labels of type str, int"),
        (np.array([1, 2], np.longdouble), "ONNX has labels of type str, int"),
    ],
    ids=str,
)
def test_labels_that_onnx_does_not_have_are_refused(tmp_path, labels, reason):
    skl2onnx = pytest.importorskip("skl2onnx")
    X = rows(40)
    model = pr.PathReLUClassifier(alpha=0.1, random_state=0).fit(X, labels[(X[:, 0] > 0).astype(int)])
    with pytest.raises(ValueError, match=reason):
        model.to_onnx(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match=reason):
        skl2onnx.to_onnx(model, X[:1], target_opset=17)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"scale": [1, 1, 1e-40, 1]},
            r"column 'r' has center 0 and scale 1e-40, which",
        ),
        ({"scale": [1, 1, 1, 1e39]}, r"column 's' has center 0 and scale 1e\+39, which"),
        (
            {"center": [0, -1e39, 0, 0]},
            r"column 'q' has center -1e\+39 and scale 1, which",
        ),
        (
            {"intercept": [1e39]},
            r"a weight is 1e\+39, which float32 cannot hold; expected",
        ),
        ({"skip_weights": np.full((1, 4), -1e39)}, r"a weight is 1e\+39"),
        ({"leaf_bias": np.full((5, 1), 1e39)}, r"a weight is 1e\+39"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_float32_cannot_hold_is_refused(tmp_path, kind, options, reason):
    options = {"center": np.zeros(4), "scale": np.ones(4), "feature_names": list("pqrs")} | options
    network = random_network(kind=kind, **options)
    with pytest.raises(ValueError, match=reason):
        network.to_onnx(tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == []
    network.to_onnx(tmp_path / "model.onnx", dtype=np.float64)
    X = network.center + network.scale * rows()
    got = session(tmp_path / "model.onnx").run(None, {"X": X})[0][:, 0]
    expected = network.predict(X)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_what_float32_cannot_hold_is_refused_for_torch():
    torch = pytest.importorskip("torch")
    network = random_network(center=np.zeros(4), scale=[1, 1, 1e-40, 1])
    with pytest.raises(ValueError, match="column 2 has center 0 and scale 1e-40"):
        network.to_torch(dtype=np.float32)
    gates = {"gates": np.full((5, 1, 4), 1e39)}
    with pytest.raises(ValueError, match=r"a weight is 1e\+39"):
        pr.GatedReLUNetwork(np.ones((5, 1, 4)), **gates).to_torch(dtype=np.float32)
    X = network.scale * rows()
    got = network.to_torch(dtype=np.float64)(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(got, network.predict(X), rtol=1e-9)


def test_torch_in_float32_is_exact_for_rows_far_from_zero():
    torch = pytest.importorskip("torch")
    center, scale = np.array([1.7e9 + 57, -3e5 + 0.01, 0, 1e-3]), np.array([1e5, 0.05, 1e-8, 1e-4])
    network = random_network((2,), center=center, scale=scale)
    X = (center + scale * rows()).astype(np.float32)
    got = network.to_torch(dtype=np.float32)(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(got, network.predict(X), rtol=0, atol=1e-4)


# ---- PyTorch -------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_torch_outputs_are_predictions_and_parameters_train(network):
    torch = pytest.importorskip("torch")
    X = rows()
    expected = network.predict(X)
    module = network.to_torch()
    outputs = module(torch.tensor(X))
    assert tuple(outputs.shape) == expected.shape
    np.testing.assert_allclose(outputs.detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    narrow = network.to_torch(dtype=np.float32)(torch.tensor(X, dtype=torch.float32)).detach()
    assert narrow.dtype == torch.float32
    if isinstance(network, pr.ParallelReLUNetwork):
        np.testing.assert_allclose(narrow.numpy(), expected, rtol=0, atol=1e-4)

    outputs.square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    buffers = {name: value.clone() for name, value in module.named_buffers()}
    assert {"center", "scale"} <= set(buffers)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
    before = outputs.square().mean().item()
    optimizer.step()
    assert module(torch.tensor(X)).square().mean().item() < before
    for name, value in module.named_buffers():
        assert torch.equal(value, buffers[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_torch_module_is_saved_and_loaded(tmp_path, kind):
    torch = pytest.importorskip("torch")
    network, other = (random_network((2, 3), kind, seed=seed) for seed in (0, 1))
    module, blank = network.to_torch(), other.to_torch()
    torch.save(module.state_dict(), tmp_path / "state.pt")
    blank.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    X = torch.tensor(rows())
    assert torch.equal(blank(X), module(X))


def test_torch_dtypes_are_those_asked_for():
    torch = pytest.importorskip("torch")
    narrow = random_network(dtype=np.float32)
    assert narrow.to_torch().leaf_weights.dtype == torch.float32
    assert narrow.to_torch(dtype="float64").leaf_weights.dtype == torch.float64
    with pytest.raises(ValueError, match="dtype is 'int8'; expected float32 or float64"):
        narrow.to_torch(dtype="int8")


# ---- Dictionaries and JSON -----------------------------------------------------


def assert_same(copy, network):
    assert type(copy) is type(network)
    header, arrays = network.parts()
    other_header, other_arrays = copy.parts()
    assert other_header == header
    assert set(other_arrays) == set(arrays)
    for name, array in arrays.items():
        assert other_arrays[name].dtype == array.dtype, name
        np.testing.assert_array_equal(other_arrays[name].view(np.uint8), array.view(np.uint8), err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_survives_json_bit_for_bit(tmp_path, network, dtype):
    header, arrays = network.parts()
    for name in ("leaf_weights", "leaf_bias"):
        arrays[name] = (arrays[name] * np.pi**20).astype(dtype)
    network = network_from_parts(header, arrays)
    assert_same(type(network).from_dict(json.loads(json.dumps(network.to_dict()))), network)
    network.save(tmp_path / "network.json")
    json.loads((tmp_path / "network.json").read_text())
    assert_same(pr.load(tmp_path / "network.json"), network)


def test_from_dict_is_of_the_class_asked_for():
    content = random_network(kind="gated").to_dict()
    with pytest.raises(ValueError, match="describes a GatedReLUNetwork; expected a ParallelReLUNetwork"):
        pr.ParallelReLUNetwork.from_dict(content)


def changed(content, place, value):
    content = json.loads(json.dumps(content))
    part = content
    for key in place[:-1]:
        part = part[key]
    if value is None:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return content


WRONG = [
    (["arrays"], None, "no arrays"),
    (["arrays"], [], "no arrays"),
    (["arrays", "leaf_weights"], [[1.0]], "leaf_weights is not an array"),
    (["arrays", "leaf_weights", "shape"], [5, 1, 3], "leaf_weights has shape"),
    (["arrays", "leaf_weights", "shape"], [-5, -1, 4], "leaf_weights has shape"),
    (["arrays", "leaf_weights", "shape"], [1] * 40 + [20], "leaf_weights has shape"),
    (["arrays", "leaf_weights", "dtype"], "object", "dtype 'object'"),
    (["arrays", "leaf_weights", "dtype"], "int8", "not numbers of dtype int8"),
    (["arrays", "leaf_weights", "values", 0], "1.5", "not numbers"),
    (["arrays", "leaf_weights", "values", 0], True, "not numbers"),
    (["arrays", "leaf_weights", "values", 0], 10**400, "too large"),
    (["arrays", "output_sign", "values", 0], 300, "out of bounds"),
    (["arrays", "output_sign", "values", 0], 0, "output_sign has an entry"),
    (["arrays", "scale", "values", 0], -1, "scale has the value -1"),
    (["arrays", "scale"], None, "missing or unknown entries: 'scale'"),
    (["version"], 99, "format version 99"),
    (["kind"], "conv", "kind 'conv'"),
    (["color"], 1, "unknown entries: 'color'"),
]


@pytest.mark.parametrize(("place", "value", "reason"), WRONG)
def test_a_changed_dictionary_is_refused(tmp_path, place, value, reason):
    content = changed(random_network().to_dict(), place, value)
    with pytest.raises(ValueError, match=f"content does not describe a network: .*{reason}"):
        pr.ParallelReLUNetwork.from_dict(content)
    (tmp_path / "network.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"network\.json is not a model that pathrelu can read: .*{reason}"):
        pr.load(tmp_path / "network.json")


def test_values_too_large_for_float32_are_refused():
    content = random_network(dtype=np.float32).to_dict()
    content["arrays"]["leaf_weights"]["values"][3] = 1e300
    with pytest.raises(ValueError, match="leaf_weights has the value inf"):
        pr.ParallelReLUNetwork.from_dict(content)


@pytest.mark.parametrize(
    "text", ["{", '{"a":' * 100_000, '{"a": NaN}', "{" + "1" * 10_000, "[1]", "\ufeff{}"]
)
def test_text_that_is_not_a_network_is_refused(tmp_path, text):
    (tmp_path / "network.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="is not a model that pathrelu can read"):
        pr.load(tmp_path / "network.json")


# ---- Files of estimators -------------------------------------------------------


def fitted(kind="classifier", **options):
    X = rows(60)
    if kind == "classifier":
        y = np.array(["no", "yes", "maybe"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)]
        return pr.PathReLUClassifier(alpha=0.05, random_state=0, **options).fit(X, y)
    return pr.PathReLURegressor(alpha=0.1, random_state=0, **options).fit(X, np.abs(X[:, 0]))


def public(estimator):
    return {name: value for name, value in vars(estimator).items() if name.endswith("_")}


def same(copy, value):
    if isinstance(value, np.ndarray | np.generic):
        return (
            type(copy) is type(value)
            and copy.dtype == value.dtype
            and copy.shape == value.shape
            and same(copy.tolist(), value.tolist())
        )
    if isinstance(value, list | tuple):
        return type(copy) is type(value) and len(copy) == len(value) and all(map(same, copy, value))
    if isinstance(value, dict):
        return type(copy) is dict and same(list(copy.items()), list(value.items()))
    return type(copy) is type(value) and repr(copy) == repr(value)


def assert_equal_attributes(copy, model):
    assert type(copy) is type(model)
    assert copy.get_params() == model.get_params()
    assert set(public(copy)) == set(public(model))
    for name, value in public(model).items():
        other = public(copy)[name]
        assert type(other) is type(value), name
        if name == "network_":
            assert_same(other, value)
        else:
            assert same(other, value), name


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"depth": 3, "width": 2, "activation": "gated", "arrangements": "sample", "n_arrangements": 10},
        {"depth": 4, "width": (2, 2), "skip_connection": True, "max_iter": 20},
        {"low_rank": 2, "prune": True},
    ],
)
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_estimator_comes_back_whole(tmp_path, kind, options):
    model = fitted(kind, tol=1e-3, **options)
    model.save(tmp_path / "model.npz")
    copy = pr.load(tmp_path / "model.npz")
    assert_equal_attributes(copy, model)
    np.testing.assert_array_equal(copy.predict(rows(seed=5)), model.predict(rows(seed=5)))
    if kind == "classifier":
        np.testing.assert_array_equal(copy.predict_proba(rows(seed=5)), model.predict_proba(rows(seed=5)))


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", "b"], object),
        np.array([1, 2], np.uint16),
        np.array([False, True]),
        np.array([1, 2], np.float32),
        np.array(["é", "名前"]),
    ],
    ids=str,
)
def test_labels_of_any_plain_dtype_come_back(tmp_path, labels):
    X = rows(40)
    options = {"class_weight": {labels[0].item() if labels.dtype != object else "a": 2.0}}
    model = pr.PathReLUClassifier(alpha=0.05, random_state=np.int64(3), **options)
    model.fit(X, labels[(X[:, 0] > 0).astype(int)]).save(tmp_path / "model")
    assert_equal_attributes(pr.load(tmp_path / "model"), model)


def test_names_of_columns_come_back(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows(40), columns=list("pqrs"))
    model = pr.PathReLURegressor(alpha=0.1, random_state=0).fit(frame, frame["p"])
    model.save(tmp_path / "model")
    copy = pr.load(tmp_path / "model")
    assert_equal_attributes(copy, model)
    with pytest.raises(ValueError, match="feature names"):
        copy.predict(frame[["q", "p", "r", "s"]])


def test_what_is_not_plain_data_is_left_out_with_a_warning(tmp_path):
    model = fitted("regressor", callback=print).set_params(random_state=np.random.RandomState(0))
    model.extra_ = object()
    with pytest.warns(
        UserWarning, match=r"callback \(.*random_state \(RandomState is not plain.*extra_"
    ) as caught:
        model.save(tmp_path / "model")
    assert caught[0].filename == __file__
    copy = pr.load(tmp_path / "model")
    assert copy.callback is copy.random_state is None
    assert not hasattr(copy, "extra_")
    np.testing.assert_array_equal(copy.predict(rows()), model.predict(rows()))


def test_what_cannot_be_saved_writes_nothing(tmp_path):
    class Own(pr.PathReLURegressor):
        def __init__(self):
            super().__init__(alpha=0.5)

    with pytest.raises(NotFittedError):
        pr.PathReLURegressor().save(tmp_path / "model")
    with pytest.raises(TypeError, match=r"Own cannot be saved.*network_\.save"):
        Own().fit(rows(20), rows(20)[:, 0]).save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


# ---- Files made by strangers ---------------------------------------------------


@pytest.fixture(scope="module")
def estimator_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "model.npz"
    fitted().save(path)
    return path


def header_of(path):
    with np.load(path) as file:
        return json.loads(file["header"].tobytes())


HOSTILE_HEADERS = [
    (["class"], "Pipeline", "class 'Pipeline'"),
    (["class"], "load", "class 'load'"),
    (["class"], ["PathReLURegressor"], r"class \['PathReLURegressor'\]"),
    (["version"], 3, "format version 3, written by pathrelu .*, which reads versions 1 to 2"),
    (["n_arrays"], 10**9, "n_arrays is 1000000000; the file has"),
    (["n_arrays"], 1, "n_arrays is 1; the file has"),
    (["attributes", "objective_"], {"array": "array_0"}, "'array_0', which is not there or is named twice"),
    (["attributes", "objective_"], {"times": ["datetime64[ns", {"array": "array_0"}]}, "times of the dtype"),
    (
        ["attributes", "classes_"],
        {"objects": [[3], ["maybe", "no", "yes"]]},
        "'array_0', which nothing names",
    ),
    (["more"], 1, "unknown entries: 'more'"),
    (["attributes"], None, "unknown entries: 'attributes'"),
    (["parameters", "shell"], "rm", "no parameter 'shell'"),
    (["parameters", "n_threads"], 0, "n_threads is 0"),
    (["attributes", "__class__"], 1, "unknown attribute '__class__'"),
    (["attributes", "predict"], 1, "unknown attribute 'predict'"),
    (["attributes", "network_"], None, "no network"),
    (["attributes", "network_"], 3, "no network"),
    (["attributes", "network_", "network", 0, "kind"], "gated", "missing or unknown"),
    (["attributes", "network_", "network", 1, "leaf_weights"], "array_999", "array_999"),
    (["attributes", "classes_"], None, "classes_"),
    (["attributes", "classes_"], ["no", "yes"], "classes_ is not an array of 3 labels"),
    (["attributes", "classes_"], {"objects": [[3], ["x", "y", "z"]]}, "classes_ are"),
    (["attributes", "classes_"], {"objects": [[2, 2], ["x", "y", "z"]]}, "reshape"),
    (["attributes", "n_features_in_"], 5, "n_features_in_ is 5; expected 4"),
    (["attributes", "n_features_in_"], True, "n_features_in_ is True"),
    (["attributes", "feature_names_in_"], ["a"], "feature_names_in_ are not 4 strings"),
    (["attributes", "objective_"], {"code": "x"}, "unknown kind 'code'"),
    (["attributes", "objective_"], {"float": "1"}, "unknown kind 'float'"),
    (["attributes", "objective_"], {}, "object of 0 entries"),
    (["attributes", "objective_"], {"record": ["Popen", {"args": "ls"}]}, "Popen"),
    (["attributes", "objective_"], {"record": ["Record", {"args": "ls"}]}, "argument"),
    (["attributes", "objective_"], {"dict": [[[1], 2]]}, "unhashable"),
]


@pytest.mark.parametrize(("place", "value", "reason"), HOSTILE_HEADERS)
def test_a_changed_estimator_is_refused(tmp_path, estimator_file, place, value, reason):
    path = tmp_path / "model.npz"
    path.write_bytes(estimator_file.read_bytes())
    text = json.dumps(changed(header_of(path), place, value)).encode()
    rewritten(path, arrays={"header": np.frombuffer(text, np.uint8)})
    with pytest.raises(ValueError, match=rf"model\.npz is not a model that pathrelu can read: .*{reason}"):
        pr.load(path)


HOSTILE_ARRAYS = [
    (npy((1,), b"\xff\xff\xff\xff", "<U1"), "character"),
    (npy((1,), b"\x02", "|b1"), "neither 0 nor 1"),
    (npy((10**15,)), "not what follows"),
    (npy((1,), bytes(8), "|O"), "dtype object"),
    (npy((1,), bytes(16), "<c16"), "dtype complex128"),
    (npy((1,), bytes(8), "<M8[s]"), "dtype datetime64"),
    (npy((10**9,), b"", "<U0"), "dtype"),
]


@pytest.mark.parametrize(("raw", "reason"), HOSTILE_ARRAYS)
def test_a_hostile_array_is_refused(tmp_path, estimator_file, raw, reason):
    path = tmp_path / "model.npz"
    path.write_bytes(estimator_file.read_bytes())
    rewritten(path, array_0=raw)
    with pytest.raises(ValueError, match=f"is not a model that pathrelu can read: .*{reason}"):
        pr.load(path)


def test_no_code_in_a_file_runs(tmp_path, monkeypatch, estimator_file):
    monkeypatch.chdir(tmp_path)
    data = io.BytesIO()
    np.save(data, np.array([Bomb()], object), allow_pickle=True)
    (tmp_path / "model.npz").write_bytes(estimator_file.read_bytes())
    rewritten("model.npz", array_0=data.getvalue())
    with pytest.raises(ValueError, match="dtype object"):
        pr.load("model.npz")
    assert os.listdir(tmp_path) == ["model.npz"]


def test_entries_that_share_bytes_are_refused(tmp_path, estimator_file):
    """A table of contents that points to one entry many times would make a small file a large one."""
    path = tmp_path / "model.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", b"x" * 10_000)
        for k in range(100):
            copy = zipfile.ZipInfo(f"array_{k}.npy")
            first = archive.getinfo("header.npy")
            copy.header_offset, copy.file_size, copy.CRC = 0, first.file_size, first.CRC
            copy.compress_size = first.compress_size
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy
    with pytest.raises(ValueError, match="table of contents is damaged"):
        pr.load(path)


def refused_or_sound(path):
    """Loads a damaged file: ValueError and OSError are fine, and so is a model that predicts."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            model = pr.load(path)
        except (ValueError, OSError):
            return
    model.predict(np.zeros((2, getattr(model, "network_", model).n_features)))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_flipped_and_cut_bytes_are_refused_or_harmless(tmp_path, estimator_file, data):
    whole = estimator_file.read_bytes()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = tmp_path / "damaged.npz"
    path.write_bytes(content[:cut])
    refused_or_sound(path)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(
            lambda kind, content: {kind: content},
            st.sampled_from(
                ["float", "tuple", "dict", "masked", "objects", "scalar", "array", "record", "network"]
            ),
            inner | st.lists(inner, max_size=2) | st.sampled_from(["array_0", "nan"]),
        )
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    section=st.sampled_from(["parameters", "attributes"]),
    data=st.data(),
    value=plain,
)
def test_headers_with_any_values_are_refused_or_harmless(tmp_path, estimator_file, section, data, value):
    path = tmp_path / "model.npz"
    path.write_bytes(estimator_file.read_bytes())
    header = header_of(path)
    header[section][data.draw(st.sampled_from(sorted(header[section])))] = value
    rewritten(path, arrays={"header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    refused_or_sound(path)


@given(value=plain.filter(lambda value: not isinstance(value, dict)))
@example(value=(1, [2.5, {"a": None, 3: (np.float32(0.1), float("nan"))}], np.ma.array([1, 2], mask=[0, 1])))
def test_plain_data_is_decoded_to_what_was_encoded(value):
    encode = Encoder()
    text = json.dumps(encode(value), allow_nan=False)
    copy = Decoder(encode.arrays)(json.loads(text))
    assert repr(copy) == repr(value)


@pytest.mark.parametrize(
    ("header", "reason"),
    [(change["header"], reason) for change, reason in HOSTILE if set(change) == {"header"}],
)
def test_a_hostile_network_is_refused_in_any_format(header, reason):
    """What files of networks refuse, dictionaries with the same header refuse for the same reason."""
    content = random_network().to_dict() | header
    with pytest.raises(ValueError, match=re.escape(reason)):
        pr.ParallelReLUNetwork.from_dict(content)
