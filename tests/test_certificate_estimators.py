"""Certificates of fitted estimators: their own training problem, made anew from the rows."""

import re

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import pathrelu as pr


def rows(seed=0, n=40, d=2):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * [1, 10][:d] + 3
    y = np.abs(X[:, 0] - 3) + 0.1 * X[:, -1] + 0.1 * rng.standard_normal(n)
    return rng, X, y


REGRESSIONS = [
    {},
    {"loss": "huber"},
    {"loss": "huber", "threshold": 0.5, "fit_intercept": False},
    {"loss": "quantile", "quantile": 0.8},
    {"loss": "absolute_error", "bias": False},
    {"standardize": False},
    {"skip_connection": True},
    {"bias": False, "fit_intercept": False, "standardize": False},
    {"arrangements": "sample", "n_arrangements": 300},
    {"low_rank": 2},
    {"encode": None},
    {"prune": True, "tol": 1e-3},
]


@pytest.mark.parametrize("options", REGRESSIONS)
def test_a_regressor_is_certified_on_the_objective_that_it_minimised(options):
    rng, X, y = rows()
    weight = rng.integers(0, 4, len(y)).astype(float)
    X, y, weight = np.concatenate([X, X[:5]]), np.concatenate([y, y[:5]]), np.append(weight, np.ones(5))
    model = pr.PathReLURegressor(alpha=0.05, random_state=0, **{"tol": 1e-7, **options}).fit(
        X, y, sample_weight=weight
    )
    certificate = pr.certify(model, X, y, sample_weight=weight, tol=1e-3)
    assert certificate.upper == pytest.approx(model.objective_, rel=1e-9)
    kinds = {name: value for name, value in options.items() if name not in ("low_rank", "arrangements")}
    others = [
        pr.PathReLURegressor(alpha=0.05, random_state=seed, **kinds)
        .fit(X, y, sample_weight=weight)
        .objective_
        for seed in (1, 2)
    ]
    assert certificate.lower <= min(certificate.upper, *others)
    assert certificate.lower > 0.98 * min(certificate.upper, *others)
    # The order and the repetition of rows are nothing to it, as they are nothing to the fit.
    order = rng.permutation(len(y))
    again = pr.certify(model, X[order], y[order], sample_weight=weight[order], tol=1e-3)
    assert again.lower == pytest.approx(certificate.lower, rel=1e-9)
    # Nor is what is certified another problem than that of the network by itself.
    alone = {name: options[name] for name in ("loss", "quantile", "threshold") if name in options}
    own = pr.certify(
        model.network_,
        X,
        y,
        0.05,
        sample_weight=weight,
        tol=1e-3,
        bias=options.get("bias", True),
        fit_intercept=options.get("fit_intercept", True),
        **alone,
    )
    assert (own.upper, own.lower) == pytest.approx((certificate.upper, certificate.lower), rel=1e-12)


@pytest.mark.parametrize("alpha", [0.05, "auto"])
def test_targets_trained_apart_have_an_alpha_and_a_bound_each(alpha):
    _, X, y = rows()
    Y = np.column_stack([y, 100 * X[:, 1] ** 2])
    options = {"alpha": alpha, "random_state": 0, "tol": 1e-7, "skip_connection": True}
    model = pr.PathReLURegressor(outputs="separate", adapt_columns=False, **options).fit(X, Y)
    certificate = pr.certify(model, X, Y)
    assert certificate.upper == pytest.approx(model.objective_, rel=1e-9)
    assert np.shape(model.alpha_) == (2,)
    parts = []
    for c, own in enumerate(model.alpha_):
        part = pr.PathReLURegressor(**(options | {"alpha": float(own)})).fit(X, Y[:, c])
        parts.append(pr.certify(part, X, Y[:, c]).lower)
    assert certificate.details["lowers"] == pytest.approx(parts, rel=1e-4)
    assert certificate.lower == sum(certificate.details["lowers"])
    assert "feed one output each" in certificate.covers


def test_shared_outputs_are_certified_as_shared_though_no_sub_network_feeds_several():
    _, X, y = rows()
    Y = np.column_stack([y, -y])
    model = pr.PathReLURegressor(alpha=100.0, random_state=0).fit(X, Y)
    assert model.n_subnetworks_ == 0
    certificate = pr.certify(model, X, Y)
    assert certificate.details["outputs"] == "shared"
    # Between the alphas of shared and of separate outputs for no sub-network: the first is no certificate.
    alpha = 0.9 * pr.alpha_max(
        (X - X.mean(axis=0)) / X.std(axis=0),
        y,
        pr.sample_arrangements(X, 500, random_state=0),
        fit_intercept=True,
    )
    zero = (
        pr.PathReLURegressor(alpha=alpha, random_state=0, outputs="separate")
        .fit(X, Y)
        .set_params(outputs="shared")
    )
    better = pr.PathReLURegressor(alpha=alpha, random_state=0).fit(X, Y)
    assert pr.certify(zero, X, Y).lower <= better.objective_


CLASSIFICATIONS = [
    {},
    {"class_weight": "balanced"},
    {"class_weight": {"a": 3.0}},
    {"outputs": "separate"},
    {"skip_connection": True, "bias": False},
    {"fit_intercept": False},
]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("options", CLASSIFICATIONS)
def test_a_classifier_is_certified_on_the_objective_that_it_minimised(classes, options):
    _, X, y = rows(1)
    labels = np.array(["c", "a", "b"])[np.searchsorted(np.quantile(y, [0.4, 0.7][: classes - 1]), y)]
    model = pr.PathReLUClassifier(alpha=0.05, random_state=0, tol=1e-6, **options).fit(X, labels)
    certificate = pr.certify(model, X, labels)
    assert certificate.upper == pytest.approx(model.objective_, rel=1e-9)
    assert certificate.lower <= certificate.upper
    assert certificate.relative_gap < 0.02
    with pytest.raises(ValueError, match="y has the label 'x'; expected one of"):
        pr.certify(model, X, np.where(labels == "a", "x", labels))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("present", [["a", "c"], ["a", "b", "c"]])
def test_classes_without_weight_are_in_no_program(present, fit_intercept):
    _, X, y = rows(1, 60)
    labels = np.array(["a", "b", "c", "d"])[np.searchsorted(np.quantile(y, [0.3, 0.5, 0.8]), y)]
    weight = np.isin(labels, present).astype(float)
    model = pr.PathReLUClassifier(alpha=0.05, random_state=0, tol=1e-6, fit_intercept=fit_intercept)
    model.fit(X, labels, sample_weight=weight)
    certificate = pr.certify(model, X, labels, sample_weight=weight)
    assert certificate.upper == pytest.approx(model.objective_, rel=1e-9)
    assert certificate.relative_gap < 0.02
    used = weight > 0
    alone = pr.PathReLUClassifier(alpha=0.05, random_state=0, tol=1e-6, fit_intercept=fit_intercept)
    alone.fit(X[used], labels[used])
    assert certificate.lower == pytest.approx(pr.certify(alone, X[used], labels[used]).lower, rel=1e-3)
    with pytest.raises(
        ValueError, match=r"y has the label '.' in rows with weight, which the fit had none of"
    ):
        pr.certify(model, X, labels)


@pytest.mark.parametrize("encode", ["auto", "ramps", "linear"])
def test_frames_are_encoded_as_they_were_fitted(encode):
    pd = pytest.importorskip("pandas")
    rng, X, y = rows(2, 80)
    frame = pd.DataFrame({"x": X[:, 0], "kind": rng.choice(["u", "v"], 80)})
    frame.loc[::9, "x"] = np.nan
    y = np.where(frame["kind"] == "u", y, -y)
    model = pr.PathReLURegressor(encode=encode, random_state=0).fit(frame, y)
    certificate = pr.certify(model, frame, y, max_seconds=5)
    assert certificate.upper == pytest.approx(model.objective_, rel=1e-9)
    assert 0 < certificate.lower <= certificate.upper
    some = pr.certify(model, frame[::2], y[::2], max_seconds=5)  # other rows than those of the fit
    predicted = model.predict(frame[::2])
    loss = 0.5 * np.mean((predicted - y[::2]) ** 2)
    assert some.upper == pytest.approx(loss + model.alpha_ * model.network_.path_norm(), rel=1e-9)
    for wrong in (frame[["x"]], frame.rename(columns={"x": "z"}), frame.assign(more=1.0)):
        with pytest.raises(ValueError, match="feature"):
            pr.certify(model, wrong, y)


def test_estimators_with_cross_validation_and_from_files(tmp_path):
    _, X, y = rows(3)
    model = pr.PathReLURegressorCV(alphas=[0.3, 0.05], tol=1e-4, random_state=0).fit(X, y)
    certificate = pr.certify(model, X, y)
    assert certificate.upper == pytest.approx(model.objective_, rel=1e-9)
    assert certificate.relative_gap < 1e-3
    model.save(tmp_path / "model.json")
    loaded = pr.certify(pr.load(tmp_path / "model.json"), X, y)
    assert (loaded.upper, loaded.lower) == (certificate.upper, certificate.lower)
    labels = y > np.median(y)
    classifier = pr.PathReLUClassifierCV(alphas=[0.3, 0.05], random_state=0).fit(X, labels)
    assert pr.certify(classifier, X, labels).upper == pytest.approx(classifier.objective_, rel=1e-9)


def test_deeper_estimators():
    _, X, y = rows(4)
    model = pr.PathReLURegressor(alpha=0.1, depth=3, width=2, random_state=0).fit(X, y)
    certificate = pr.certify(model, X, y)
    assert certificate.upper == pytest.approx(model.objective_, rel=1e-9)
    assert 0 < certificate.lower <= certificate.upper
    assert certificate.covers == "all ReLU networks of depth 3 and width 2"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"alpha": 0.05}, ValueError, "alpha is 0.05, and net is a PathReLURegressor"),
        ({"loss": "huber"}, ValueError, "loss is 'huber', and net is a PathReLURegressor"),
        ({"bias": True}, ValueError, "bias is True, and net is a PathReLURegressor"),
        ({"net": pr.PathReLURegressor()}, NotFittedError, "not fitted yet"),
        ({"net": "model"}, TypeError, "net has type str; expected a ParallelReLUNetwork"),
        ({"X": np.ones((40, 3))}, ValueError, "X has 3 features, but PathReLURegressor is expecting 2"),
        ({"y": np.ones((40, 2))}, ValueError, "y has shape (40, 2); expected (40, 1)"),
        ({"y": np.ones(39)}, ValueError, "inconsistent numbers of samples"),
        ({"sample_weight": np.ones(39)}, ValueError, "sample_weight"),
    ],
)
def test_wrong_arguments_are_refused(change, error, message):
    _, X, y = rows()
    model = pr.PathReLURegressor(alpha=0.05, random_state=0).fit(X, y)
    with pytest.raises(error, match=re.escape(message)):
        pr.certify(**({"net": model, "X": X, "y": y} | change))
    with pytest.raises(TypeError, match="alpha is None, and a network does not tell"):
        pr.certify(model.network_, X, y)
