"""Exports agree with predict, and what other runtimes cannot hold is refused."""

import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from models import KINDS, NETWORKS, fitted, rows
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_network import random_network

import pathrelu as pr
from pathrelu.export import register_skl2onnx

LABELS = {
    "str": ["no", "yes", "maybe"],
    "int": [3, -1, 7],
    "float": [0.0, -1.0, 2.0],
    "bool": [False, True],
}


def session(model):
    """An onnxruntime session of one thread, for a path or a model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source = str(model) if isinstance(model, os.PathLike) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


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
    for model in (pipeline.fit(X, X[:, :2]), search.fit(X, X[:, :2]), bare.fit(X, X[:, 0])):
        converted = skl2onnx.to_onnx(model, X[:1], target_opset=17)
        expected = model.predict(X).reshape(len(X), -1)
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
    if raw:  # labels are those of the scores; means of scores and of probabilities may differ in them
        expected = model.decision_function(X)
        expected = np.stack([-expected, expected], axis=1) if count == 2 else expected
        labels = model.classes_[expected.argmax(axis=1)]
    else:
        expected, labels = model.predict_proba(X), model.predict(X)
    np.testing.assert_array_equal(label.ravel(), labels)
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
