"""The estimators: scikit-learn's contract, and that what comes out is what was trained."""

import doctest
import logging
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from interrupt import IMPORT
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_iris, make_regression
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_class_weight_classifiers,
    check_dataframe_column_names_consistency,
    parametrize_with_checks,
)

import pathrelu as pr
from pathrelu import PathReLUClassifier, PathReLUClassifierCV, PathReLURegressor, PathReLURegressorCV
from pathrelu.arrangements import Arrangements
from pathrelu.training import canonical

BOTH = [PathReLURegressor, PathReLUClassifier]
SOURCES = ["search", "sample"]


def problem(n=80, d=4, seed=0, classes=None):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    f = np.maximum(X @ rng.standard_normal((d, 3)), 0) @ [1, 1, -2] + 0.1 * rng.standard_normal(n)
    f = (f - f.mean()) / f.std()
    if classes is None:
        return X, f
    return X, np.searchsorted(np.quantile(f, np.arange(1, classes) / classes), f)


def data_for(estimator, **options):
    return problem(classes=2 if estimator is PathReLUClassifier else None, **options)


# ---- The contract of scikit-learn --------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        PathReLURegressor(max_iter=300),
        PathReLUClassifier(),
        PathReLURegressor(arrangements="sample", activation="gated", n_arrangements=100, max_iter=300),
        PathReLUClassifier(arrangements="sample", n_arrangements=100),
    ]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", BOTH)
def test_sklearn_checks_that_others_must_call_by_hand(estimator):
    check_dataframe_column_names_consistency(estimator.__name__, estimator(alpha=0.1))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_class_weights_move_the_boundary():
    check_class_weight_classifiers("PathReLUClassifier", PathReLUClassifier())


@pytest.mark.parametrize("estimator", BOTH)
def test_constructor_parameters_are_only_stored(estimator):
    marks = {name: object() for name in estimator().get_params()}
    assert clone(estimator(), safe=False).get_params() == estimator().get_params()
    for name, mark in marks.items():
        assert getattr(estimator(**{name: mark}), name) is mark


@pytest.mark.parametrize("estimator", BOTH)
def test_a_fit_changes_no_parameter(estimator):
    model = estimator(random_state=0, width=[2], depth=3, alpha=0.1)
    before = dict(model.get_params())
    model.fit(*data_for(estimator))
    assert model.get_params() == before


BAD_PARAMETERS = [
    ("n_networks", 0, ValueError, "n_networks is 0"),
    ("adapt_columns", True, ValueError, "adapt_columns is True; expected 'auto' or False"),
    ("adapt_columns", "no", ValueError, "adapt_columns is 'no'; expected 'auto' or False"),
    ("adapt_columns", 1, TypeError, "adapt_columns is 1; expected 'auto' or False"),
    ("encode", 3, TypeError, "encode is 3; expected 'auto', 'linear', 'ramps', a TableEncoder or None"),
    ("depth", 1, ValueError, r"depth is 1; expected an integer from 2 to 64"),
    ("depth", 2.0, TypeError, r"depth is 2\.0; expected an integer"),
    ("width", 0, ValueError, r"width is 0; expected an integer >= 1"),
    ("width", (3, 3), ValueError, r"width has 2 entries; expected 0 for depth 2"),
    ("width", "4", TypeError, r"width is '4'; expected an integer >= 1"),
    ("alpha", 0, ValueError, r"alpha is 0; expected a finite number > 0: without the penalty"),
    ("alpha", -1.0, ValueError, r"alpha is -1; expected a finite number > 0"),
    ("alpha", np.inf, ValueError, r"alpha is inf; expected a finite number > 0"),
    ("alpha", "automatic", ValueError, r"alpha is 'automatic'; expected a finite number > 0 or 'auto'"),
    ("alpha", None, TypeError, "alpha is None; expected a finite number > 0"),
    ("alpha", True, TypeError, r"alpha is True"),
    ("activation", "tanh", ValueError, r"activation is 'tanh'; expected 'relu' or 'gated'"),
    ("activation", None, TypeError, r"activation is None; expected 'relu' or 'gated'"),
    ("arrangements", "all", ValueError, r"arrangements is 'all'; expected 'search' or 'sample'"),
    ("n_arrangements", 0, ValueError, r"n_arrangements is 0; expected an integer >= 1"),
    ("bias", 1, TypeError, r"bias is 1; expected True or False"),
    ("fit_intercept", "yes", TypeError, r"fit_intercept is 'yes'; expected True or False"),
    ("standardize", None, TypeError, r"standardize is None; expected True or False"),
    ("tol", -1e-3, ValueError, r"tol is -0\.001; expected a finite number > 0"),
    ("tol", np.nan, ValueError, r"tol is nan"),
    ("max_iter", 0, ValueError, r"max_iter is 0; expected an integer >= 1"),
    ("n_threads", 0, ValueError, r"n_threads is 0; expected an integer from 1 to 1024"),
    ("n_threads", 10**6, ValueError, r"n_threads is 1000000; expected an integer from 1 to 1024"),
    ("outputs", "both", ValueError, r"outputs is 'both'; expected 'auto' or 'shared' or 'separate'"),
    ("skip_connection", 1, TypeError, r"skip_connection is 1; expected True or False"),
    ("prune", None, TypeError, r"prune is None; expected True or False"),
    ("low_rank", 0, ValueError, r"low_rank is 0; expected an integer >= 1"),
    ("low_rank", 2.0, TypeError, r"low_rank is 2\.0; expected an integer >= 1"),
    ("monotonic_cst", 1, TypeError, r"monotonic_cst is 1; expected an array of -1, 0 and 1"),
    ("monotonic_cst", [1, 2], ValueError, r"monotonic_cst\[1\] is 2; expected -1, 0 or 1"),
    ("warm_start", 0, TypeError, r"warm_start is 0; expected True or False"),
    ("random_state", -1, ValueError, r"random_state is -1; expected an integer >= 0"),
    (
        "random_state",
        "0",
        TypeError,
        r"random_state is '0'; expected None, an integer, a RandomState or a Gen",
    ),
    ("verbose", -1, ValueError, r"verbose is -1; expected an integer >= 0"),
    ("callback", 3, TypeError, r"callback is 3; expected None or a function of one record"),
    ("on_interrupt", "stop", ValueError, r"on_interrupt is 'stop'; expected 'raise' or 'return'"),
    ("max_seconds", 0, ValueError, r"max_seconds is 0; expected a finite number > 0"),
]


BAD_PARAMETERS_OF_REGRESSIONS = [
    ("quantile", 1.0, ValueError, r"quantile is 1\.0; expected a number above 0 and below 1"),
    ("quantile", "half", TypeError, "quantile is 'half'; expected a number or None"),
    ("threshold", 0, ValueError, "threshold is 0; expected a number above 0"),
    ("threshold", "auto", TypeError, "threshold is 'auto'; expected a number or None"),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), BAD_PARAMETERS)
@pytest.mark.parametrize("estimator", BOTH)
def test_a_bad_parameter_is_refused_by_name(estimator, name, value, error, message):
    X, y = data_for(estimator)
    with pytest.raises(error, match=message):
        estimator(**{name: value}).fit(X, y)


@pytest.mark.parametrize(("name", "value", "error", "message"), BAD_PARAMETERS_OF_REGRESSIONS)
def test_a_bad_parameter_of_a_regression_is_refused_by_name(name, value, error, message):
    loss = {"quantile": "quantile", "threshold": "huber"}[name]
    with pytest.raises(error, match=message):
        PathReLURegressor(loss=loss, **{name: value}).fit(*problem())


def test_every_parameter_has_a_bad_value_in_the_tests():
    tested = {name for name, *_ in BAD_PARAMETERS + BAD_PARAMETERS_OF_REGRESSIONS} | {"loss", "class_weight"}
    for estimator in BOTH:
        assert set(estimator().get_params()) <= tested


def test_an_unknown_loss_and_class_weight_are_refused():
    X, y = problem(classes=2)
    with pytest.raises(ValueError, match="loss is 'log_loss'; expected 'squared_error'"):
        PathReLURegressor(loss="log_loss").fit(X, y)
    with pytest.raises(TypeError, match="class_weight is 3; expected a dict, 'balanced' or None"):
        PathReLUClassifier(class_weight=3).fit(X, y)
    with pytest.raises(TypeError, match="class_weight is 'even'; expected a dict, 'balanced' or None"):
        PathReLUClassifier(class_weight="even").fit(X, y)
    for bad, kind in ((np.array([1.0, 2.0]), "ndarray"), ([1, 2], "list"), (pd.Series([1, 2]), "Series")):
        with pytest.raises(TypeError, match=f"class_weight is of type {kind}; expected a dict, 'balanced'"):
            PathReLUClassifier(class_weight=bad).fit(X, y)
    for bad, error, message in (
        (
            {0: 0},
            ValueError,
            r"y has one class, 1, in samples of weight above 0; expected at least 2 classes",
        ),
        (
            {0: 0, 1: 0},
            ValueError,
            "y has no class in samples of weight above 0; expected at least 2 classes",
        ),
        ({0: np.nan}, ValueError, "class_weight of the class 0 is nan; expected a finite number >= 0"),
        ({1: -2}, ValueError, "class_weight of the class 1 is -2; expected a finite number >= 0"),
        ({1: "2"}, TypeError, "class_weight of the class 1 is '2'; expected a finite number >= 0"),
        (
            {1: 2, "O": 1},
            ValueError,
            r"class_weight has the keys \[1, 'O'\]; expected classes of y, \[0, 1\]",
        ),
        ({0: 1e300, 1: 1}, ValueError, "sample_weight times class_weight has the value inf at index"),
    ):
        with pytest.raises(error, match=message):
            PathReLUClassifier(class_weight=bad).fit(X, y, sample_weight=np.full(len(y), 1e200))
    assert PathReLUClassifier(class_weight={0: 1, 1: 2, 7: 3}).fit(X, y).classes_.tolist() == [0, 1]


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize("kind", ["float", "object", "list", "Int64", "Float64", "polars"])
def test_a_missing_target_is_refused_with_its_row(estimator, kind):
    X = np.random.default_rng(0).standard_normal((12, 2))
    plain = [None if k in (5, 7) else k % 2 for k in range(12)]
    if kind == "polars":
        y = pytest.importorskip("polars").Series(plain)
    elif kind in ("Int64", "Float64"):
        y = pd.Series(plain, dtype=kind)
    else:
        y = plain if kind == "list" else np.array(plain, kind)
    message = r"y has missing values \(NaN or None\) in 2 of 12 rows, first in row 5; expected none"
    with pytest.raises(ValueError, match=message):
        estimator().fit(X, y)


@pytest.mark.parametrize("mark", [None, np.nan, pd.NA, pd.NaT])
def test_a_missing_label_of_text_is_refused_with_its_row(mark):
    X = np.random.default_rng(0).standard_normal((6, 2))
    with pytest.raises(ValueError, match=r"y has missing values .* in 1 of 6 rows, first in row 4"):
        PathReLUClassifier().fit(X, np.array(["a", "b", "a", "b", mark, "a"], object))


def test_frames_that_hold_no_rows_yet_are_refused_with_the_way_to_rows():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, 0.0, 1.0]})
    with pytest.raises(
        TypeError, match=r"X is a LazyFrame, which holds no rows yet; expected X\.collect\(\)"
    ):
        PathReLURegressor().fit(frame.lazy(), [0, 1, 2])
    with pytest.raises(
        TypeError, match=r"y is a LazyFrame, which holds no rows yet; expected y\.collect\(\)"
    ):
        PathReLURegressor().fit(frame, frame.select("a").lazy())
    with pytest.raises(
        TypeError, match=r"X is a LazyFrame, which holds no rows yet; expected X\.collect\(\)"
    ):
        PathReLURegressor(alpha=0.1).fit(frame, [0, 1, 2]).predict(frame.lazy())


def test_a_missing_weight_is_refused_with_its_row():
    X, y = problem(classes=2)
    for nothing in (np.nan, None):
        weight = np.ones(len(y), object)
        weight[3] = nothing
        with pytest.raises(ValueError, match="sample_weight has the value nan at index 3; expected finite"):
            PathReLUClassifier().fit(X, y, weight)


# ---- Classes of no weight ------------------------------------------------------


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"skip_connection": True},
        {"activation": "gated", "arrangements": "sample", "n_arrangements": 40},
        {"low_rank": 2},
        {"prune": True, "depth": 3, "width": 2},
    ],
)
@pytest.mark.parametrize(("classes", "gone"), [(3, 0), (3, 1), (3, 2), (4, 1)])
def test_a_class_without_weight_has_probability_zero_and_changes_no_other(
    tmp_path, classes, gone, options, dtype
):
    X, y = problem(classes=classes)
    X, labels = X.astype(dtype), np.array(list("abcd"))[y]
    kept, model = y != gone, PathReLUClassifier(alpha=0.02, random_state=0, **options)
    rest = clone(model).fit(X[kept], labels[kept])
    full = clone(model).fit(X, labels, sample_weight=kept.astype(float))
    by_class = clone(model).set_params(class_weight={"abcd"[gone]: 0}).fit(X, labels)

    share, logarithm = full.predict_proba(X), full.predict_log_proba(X)
    assert full.classes_.tolist() == list("abcd")[:classes]
    assert (share[:, gone] == 0).all()
    assert np.isneginf(logarithm[:, gone]).all()
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(np.delete(share, gone, axis=1), rest.predict_proba(X), atol=tolerance)
    assert full.objective_ == rest.objective_
    assert full.n_subnetworks_ == rest.n_subnetworks_
    assert (full.predict(X) == rest.predict(X)).all()
    np.testing.assert_array_equal(by_class.predict_proba(X), share)

    scores = full.decision_function(X)
    assert scores.shape == (len(X), classes)
    assert (scores[:, gone] == np.finfo(dtype).min).all()
    assert full.intercept_.shape == (classes,)
    assert np.isneginf(full.intercept_[gone])
    options = {"loss": "log_loss", "alpha": 0.02}
    found = full.network_.objective(X, labels, sample_weight=kept.astype(float), **options)
    np.testing.assert_allclose(found, full.objective_, rtol=1e-6)
    assert full.network_.objective(X, labels, **options) == np.inf

    full.save(tmp_path / "estimator.npz")
    np.testing.assert_array_equal(pr.load(tmp_path / "estimator.npz").predict_proba(X), share)
    for name in ("network.npz", "network.json"):
        full.network_.save(tmp_path / name)
        np.testing.assert_array_equal(pr.load(tmp_path / name).predict(X), full.network_.predict(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(full)).predict_proba(X), share)
    again = full.set_params(warm_start=True).fit(X, labels, sample_weight=kept.astype(float))
    assert (again.predict_proba(X)[:, gone] == 0).all()


@pytest.mark.filterwarnings("error")
def test_scikit_learn_combines_classifiers_that_have_a_class_without_weight():
    X, y = problem(classes=3, n=120)
    weight = (y != 1).astype(float)
    ours = PathReLUClassifier(alpha=0.05, random_state=0)
    vote = VotingClassifier([("a", ours), ("b", LogisticRegression())], voting="soft")
    vote.fit(X, y, sample_weight=weight)
    parts = [model.predict_proba(X) for model in vote.estimators_]
    np.testing.assert_allclose(vote.predict_proba(X), (parts[0] + parts[1]) / 2)
    assert (parts[0][:, 1] == 0).all()

    for method in ("sigmoid", "isotonic"):
        calibrated = CalibratedClassifierCV(ours, method=method, cv=3).fit(X, y, sample_weight=weight)
        share = calibrated.predict_proba(X)
        assert share.shape == (120, 3)
        np.testing.assert_allclose(share.sum(axis=1), 1)
        assert (share[:, 1] < 0.1).all()

    for method, never in (("predict_proba", 0), ("predict_log_proba", -np.inf)):
        found = cross_val_predict(ours, X, y, cv=3, method=method, params={"sample_weight": weight})
        assert (found[:, 1] == never).all()
        assert np.isfinite(found[:, [0, 2]]).all()
    found = cross_val_predict(ours, X, y, cv=3, method="decision_function", params={"sample_weight": weight})
    assert np.isfinite(found).all()

    model = PathReLUClassifierCV(alphas=[0.1, 0.05], cv=3, random_state=0).fit(X, y, sample_weight=weight)
    assert (model.predict_proba(X)[:, 1] == 0).all()
    balanced = PathReLUClassifier(class_weight="balanced", random_state=0).fit(X, y, sample_weight=weight)
    assert (balanced.predict_proba(X)[:, 1] == 0).all()


def test_an_intercept_of_minus_infinity_is_that_of_a_class():
    weights = np.ones((1, 1, 2))
    network = pr.ParallelReLUNetwork(weights, intercept=[0, -np.inf, 1])
    with pytest.raises(ValueError, match="loss is 'squared_error', and the network has the intercept -inf"):
        network.objective(np.ones((2, 2)), np.ones((2, 3)), 0.1)
    for bad in ([-np.inf], [-np.inf, -np.inf], [0, np.inf], [np.nan, 0]):
        with pytest.raises(ValueError, match=r"intercept has the value -?(inf|nan) at index"):
            pr.ParallelReLUNetwork(weights, intercept=bad)
    regression = PathReLURegressor(alpha=0.1).fit(np.eye(3), np.eye(3))
    regression.network_.intercept[1] = -np.inf
    with pytest.raises(ValueError, match=r"load would refuse the file: .*intercept has the value -inf"):
        regression.save("never written")


def test_arrangements_of_ones_own_are_refused_with_the_way_to_use_them():
    X, y = problem()
    own = Arrangements.from_gates(X, np.eye(4))
    with pytest.raises(TypeError, match=r"fit scales, merges and reorders rows\. Use pathrelu\.solve"):
        PathReLURegressor(arrangements=own).fit(X, y)


@pytest.mark.parametrize("estimator", BOTH)
def test_bad_data_is_refused(estimator):
    X, y = data_for(estimator)
    for bad, message in (
        (X[:, 0], "Expected 2D array"),
        (np.where(np.arange(4) == 2, np.inf, X), "infinite values in column 2"),
        (X[:5], "inconsistent numbers of samples"),
        (X * 1j, "Complex data not supported"),
        (X[:, :0], "0 feature"),
    ):
        with pytest.raises(ValueError, match=message):
            estimator().fit(bad, y)
    for bad, message in (
        (np.ones(3), r"sample_weight has shape \(3,\); expected \(80,\)"),
        (np.zeros(80), "sample_weight is zero for every sample"),
        (np.where(np.arange(80) == 7, -1, 1), "sample_weight has the value -1; expected none below 0"),
        (np.full(80, np.nan), r"sample_weight has the value nan at index 0; expected finite numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            estimator().fit(X, y, sample_weight=bad)
    with pytest.raises(NotFittedError):
        estimator().predict(X)
    with pytest.raises(ValueError, match=r"3 features, but .* is expecting 4 features"):
        estimator(random_state=0).fit(X, y).predict(X[:, :3])


def test_one_class_is_refused():
    X, _ = problem()
    with pytest.raises(
        ValueError, match="y has one class, 'a', in samples of weight above 0; expected at least 2 classes"
    ):
        PathReLUClassifier().fit(X, ["a"] * 80)
    with pytest.raises(ValueError, match="y has one class, 1,"):
        PathReLUClassifier().fit(X, np.arange(80) % 2, sample_weight=np.arange(80) % 2)


# ---- What comes out is what was trained --------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"depth": 3, "width": 2},
        {"bias": False},
        {"fit_intercept": False},
        {"standardize": False},
        {"arrangements": "sample"},
        {"arrangements": "sample", "activation": "gated", "depth": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("classes", [None, 2, 3])
def test_the_network_has_the_objective_that_was_reported(options, classes):
    X, y = problem(classes=classes)
    weight = np.random.default_rng(1).random(80)
    if "standardize" not in options:
        X = X * [1e-6, 1e-2, 1e2, 1e6] + [1e-5, 1, 0, -1e7]
    estimator = PathReLURegressor if classes is None else PathReLUClassifier
    model = estimator(alpha=0.02, random_state=0, **options).fit(X, y, weight)

    loss = "squared_error" if classes is None else "log_loss"
    objective = model.network_.objective(X, y, 0.02, loss=loss, sample_weight=weight)
    # Gates may sit on a row; scaling rounds those differently than training did.
    assert objective == pytest.approx(model.objective_, rel=1e-9)
    assert 0 <= model.dual_gap_ <= 1e-4 * model.objective_ * 100
    assert model.n_subnetworks_ == model.network_.n_subnetworks > 0
    assert model.n_iter_ == max(1, model.history_[-1].n_iter)
    assert model.history_[-1].objective == pytest.approx(model.objective_)
    if options.get("fit_intercept", True):
        np.testing.assert_array_equal(model.intercept_, np.squeeze(model.network_.intercept))
    else:
        assert np.all(np.equal(model.intercept_, 0))


@pytest.mark.parametrize("scale", [1e-150, 1e-6, 1e6, 1e150])
def test_the_scale_of_columns_changes_nothing(scale):
    X, y = problem()
    plain = PathReLURegressor(alpha=0.01, random_state=0).fit(X, y)
    scaled = PathReLURegressor(alpha=0.01, random_state=0).fit(X * scale, y)
    assert scaled.objective_ == pytest.approx(plain.objective_, rel=1e-3)
    np.testing.assert_allclose(scaled.predict(X * scale), scaled.network_.predict(X * scale))
    assert scaled.score(X * scale, y) == pytest.approx(plain.score(X, y), abs=1e-2)


@pytest.mark.parametrize("source", SOURCES)
def test_the_automatic_alpha_follows_the_scale_of_y(source):
    X, y = problem(seed=3)
    one, large = (
        PathReLURegressor(arrangements=source, random_state=0).fit(X, target) for target in (y, 1024 * y)
    )
    assert large.alpha_ == pytest.approx(1024 * one.alpha_, rel=1e-12)
    np.testing.assert_allclose(large.predict(X), 1024 * one.predict(X), rtol=1e-9)


def test_the_automatic_alpha_is_a_share_of_the_score_of_noise():
    X, y = problem(n=100, seed=4)
    noise = np.random.default_rng(4).standard_normal(100)
    plain, noisy = (
        PathReLURegressor(arrangements="sample", random_state=0).fit(X, target) for target in (y, noise)
    )
    assert plain.alpha_ < 0.5 * noisy.alpha_
    for model, target in ((plain, y), (noisy, noise)):
        previous = 0.3 * np.std(target) * np.sqrt((X.shape[1] + 1) / len(X))
        residual = 0.3 * np.std(target - model.predict(X)) * np.sqrt((X.shape[1] + 1) / len(X))
        assert 0.9 * residual < model.alpha_ <= previous * (1 + 1e-12)


def test_the_automatic_alpha_of_several_outputs_is_that_of_each():
    X, y = problem(seed=5)
    Y = np.stack([y, 100 * np.random.default_rng(5).standard_normal(len(y))], axis=1)
    model = PathReLURegressor(outputs="separate", random_state=0).fit(X, Y)
    alone = [PathReLURegressor(random_state=0).fit(X, column).alpha_ for column in Y.T]
    np.testing.assert_allclose(model.alpha_, alone, rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_automatic_alpha_of_a_classifier_starts_from_the_shares_of_the_classes(classes):
    """Labels that are noise leave the first fit at the constant, where the gradients are known."""
    rng = np.random.default_rng(classes)
    X, label = rng.standard_normal((300, 2)), np.arange(300) % classes
    model = PathReLUClassifier(arrangements="sample", random_state=0).fit(X, label)
    spread = np.sqrt((1 - 1 / classes) / classes)
    first = 0.3 * spread * np.sqrt(3 / 300)
    assert 0.9 * first < model.alpha_ <= first * (1 + 1e-9)


ROUNDING = 0.1 + 0.2  # a unit in the last place above 0.3
NOISE = {
    "last place": lambda odd, draw: np.where(odd, ROUNDING, 0.3),
    "last place of a large constant": lambda odd, draw: np.where(odd, 1e6, np.nextafter(1e6, 2e6)),
    "float32": lambda odd, draw: np.where(odd, np.float32(0.1) + np.float32(0.2), np.float32(0.3)),
    "subnormal": lambda odd, draw: draw * 1e-310,
    "smallest": lambda odd, draw: np.where(odd, 5e-324, 0),
}
VARIANTS = [
    {},
    {"standardize": False},
    {"skip_connection": True},
    {"low_rank": 2},
    {"activation": "gated", "arrangements": "sample", "n_arrangements": 50},
    {"loss": "huber"},
]


def beside_noise(kind, n=40):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 2))
    noise = NOISE[kind](np.arange(n) % 2 == 1, rng.standard_normal(n))
    return np.column_stack([X, noise]).astype(noise.dtype), np.abs(X[:, 0]) + 0.1 * X[:, 1]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("kind", NOISE)
def test_rounding_is_no_feature(kind, options):
    X, y = beside_noise(kind)
    constant = X.copy()
    constant[:, 2] = X[0, 2]
    model = PathReLURegressor(random_state=0, tol=1e-4, **options).fit(X, y)
    expected = PathReLURegressor(random_state=0, tol=1e-4, **options).fit(constant, y)
    # Rounding may send a search elsewhere, but not a feature into it.
    assert model.objective_ == pytest.approx(expected.objective_, rel=0.05)
    assert model.network_.scale[2] == 1
    if options.get("standardize", True):
        assert not model.network_.leaf_weights[..., 2].any()
    other = X + np.array([0, 0, 1], X.dtype)
    assert np.abs(model.predict(other)).max() < 10


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize("kind", ["last place", "last place of a large constant", "subnormal"])
def test_rounding_that_a_scaler_has_centered_is_no_feature(estimator, kind):
    X, y = beside_noise(kind)
    y = y > 0.7 if estimator is PathReLUClassifier else y
    pipeline = make_pipeline(StandardScaler(), estimator(random_state=0)).fit(X, y)
    assert not pipeline[-1].network_.leaf_weights[..., 2].any()
    assert pipeline[-1].network_.leaf_weights[..., :2].any()


def test_rounding_is_no_feature_in_cross_validation():
    X, y = beside_noise("last place")
    X2 = X.copy()
    X2[:, 2] = 0.3
    models = [PathReLURegressorCV(random_state=0, alphas=3).fit(rows, y) for rows in (X, X2)]
    assert models[0].alpha_ == pytest.approx(models[1].alpha_, rel=0.1)
    assert np.abs(models[0].predict(X + np.array([0, 0, 1]))).max() < 10


def test_weighted_rounding_is_no_feature():
    X, y = beside_noise("last place")
    weight = np.random.default_rng(1).random(len(y)) ** 20
    assert PathReLURegressor(random_state=0).fit(X, y, weight).network_.scale[2] == 1


@pytest.mark.parametrize("column", [
    lambda rng: rng.standard_normal(40) * 1e-305,
    lambda rng: rng.integers(0, 5, 40) * 1.602176634e-19,
    lambda rng: rng.integers(0, 2, 40) * 1e-12,
    lambda rng: 1 + 1e-9 * rng.standard_normal(40),
    lambda rng: (1e6 + rng.integers(0, 20, 40)).astype(np.float32),
    lambda rng: rng.standard_normal(40) * 1e300,
    lambda rng: np.where(rng.standard_normal(40) > 0, 8e307, -8e307),
])  # fmt: skip
def test_columns_of_any_unit_are_features(column):
    column = column(np.random.default_rng(2))
    X = np.column_stack([np.random.default_rng(0).standard_normal(40).astype(column.dtype), column])
    y = (column >= np.sort(column)[-15]).astype(float)
    model = PathReLURegressor(random_state=0, alpha=1e-4).fit(X, y)
    assert model.score(X, y) > 0.99


def test_huge_columns_that_are_not_scaled_are_refused():
    X, y = problem()
    with pytest.raises(ValueError, match=r"X has entries up to .*e\+300; expected at most 1e\+70"):
        PathReLURegressor(standardize=False).fit(X * 1e300, y)
    X[:, 0] = np.where(np.arange(len(X)) < 10, 1.7e308, -1.7e308)  # whose spread has no float
    with pytest.raises(ValueError, match="X after standardization has the value inf at index"):
        PathReLURegressor().fit(X, y)


@pytest.mark.parametrize("value", [0.0, 3.0, -99999.9, 1e60])
@pytest.mark.parametrize("source", SOURCES)
def test_a_constant_target_needs_no_sub_network(value, source):
    X, _ = problem(n=40)
    model = PathReLURegressor(arrangements=source, random_state=0).fit(X, np.full(40, value))
    assert model.n_subnetworks_ == 0
    assert model.predict(X) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("least", [1e-20, 1e-300, 5e-324])
def test_the_automatic_alpha_takes_classes_of_almost_no_weight(classes, least):
    X, y = problem(classes=classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # not what is tested
        model = PathReLUClassifier(random_state=0, max_iter=100)
        model.fit(X, y, sample_weight=np.where(y == 0, least, 1))
    assert 0 < model.alpha_ <= 1
    assert np.isfinite(model.decision_function(X)).all()


def test_constant_columns_do_no_harm():
    X, y = problem()
    for constant in (0.0, 0.1, 1e9):
        wider = np.insert(X, 2, constant, axis=1)
        for bias in (True, False):
            model = PathReLURegressor(random_state=0, bias=bias).fit(wider, y)
            assert np.isfinite(model.predict(wider)).all()
            assert model.score(wider, y) > 0.9


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("estimator", BOTH)
def test_row_order_and_repetition_change_no_bit(estimator, source):
    X, y = data_for(estimator)
    X[3], X[4], y[4] = -0.0, 0.0, y[3]
    rng = np.random.default_rng(1)
    weight = rng.random(80).round(3) * (rng.random(80) < 0.8)
    weight[[3, 4]] = 0.3, 0.4
    model = estimator(arrangements=source, random_state=0, n_arrangements=100)
    plain = clone(model).fit(X, y, weight)

    order = rng.permutation(80)
    shuffled = clone(model).fit(X[order], y[order], weight[order])
    used = weight > 0
    dropped = clone(model).fit(X[used] + 0.0, y[used], weight[used])
    split = clone(model).fit(np.tile(X, (2, 1)), np.tile(y, 2), np.concatenate([weight / 4, weight * 0.75]))

    for other in (shuffled, dropped):
        np.testing.assert_array_equal(other.network_.leaf_weights, plain.network_.leaf_weights)
        np.testing.assert_array_equal(other.network_.predict(X), plain.network_.predict(X))
    np.testing.assert_allclose(split.network_.predict(X), plain.network_.predict(X), rtol=1e-6, atol=1e-6)


def test_canonical_rows_are_the_same_bits_in_any_order():
    rng = np.random.default_rng(0)
    X, y, w = rng.integers(0, 2, (200, 3)) - 0.0, rng.integers(0, 2, (200, 1)) - 0.0, rng.random(200)
    X[rng.random((200, 3)) < 0.3] *= -1  # negative zeros

    def data(order):
        places, *rest = canonical(X[order], y[order], w[order])
        return X[order][places] + 0.0, *rest

    first = data(np.arange(200))
    assert len(first[0]) < 200
    assert first[2].sum() == pytest.approx(w.sum())
    for _ in range(10):
        order = rng.permutation(200)
        for a, b in zip(data(order), first, strict=True):
            assert a.tobytes() == b.tobytes()


def test_without_bias_and_intercept_the_network_is_homogeneous():
    X, y = problem()
    model = PathReLURegressor(bias=False, fit_intercept=False, encode=None, random_state=0).fit(X + 3, y)
    assert not model.network_.center.any()
    np.testing.assert_allclose(model.predict(5 * X), 5 * model.predict(X), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_balanced_class_weights_are_the_weights_they_stand_for(classes):
    X, y = problem(classes=classes)
    X, y = X[y != 1], y[y != 1]
    X, y = (X, y) if classes == 3 else problem(classes=2)
    keep = (y != y.max()) | (np.arange(len(y)) % 3 == 0)
    X, y = X[keep], y[keep]
    weight = np.random.default_rng(0).random(len(y))
    totals = {label: weight[y == label].sum() for label in np.unique(y)}
    by_hand = weight / np.array([totals[label] for label in y])
    # A search may take another turn where weights differ in the last bit.
    options = {"arrangements": "sample", "random_state": 0, "tol": 1e-10, "n_arrangements": 50}
    balanced = PathReLUClassifier(class_weight="balanced", **options).fit(X, y, weight)
    plain = PathReLUClassifier(**options).fit(X, y, by_hand)
    np.testing.assert_allclose(
        balanced.decision_function(X), plain.decision_function(X), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("estimator", BOTH)
def test_threads_change_no_bit(estimator, source):
    X, y = data_for(estimator, n=150)
    models = [
        estimator(arrangements=source, random_state=0, n_threads=threads, n_arrangements=100).fit(X, y)
        for threads in (1, 2, 3)
    ]
    for other in models[1:]:
        np.testing.assert_array_equal(other.network_.leaf_weights, models[0].network_.leaf_weights)
        assert other.objective_ == models[0].objective_


@pytest.mark.parametrize("source", SOURCES)
def test_float32_stays_float32(source):
    X, y = problem()
    wide = PathReLURegressor(alpha=0.01, arrangements=source, random_state=0).fit(X, y)
    narrow = PathReLURegressor(alpha=0.01, arrangements=source, random_state=0).fit(X.astype(np.float32), y)
    assert narrow.network_.leaf_weights.dtype == narrow.predict(X.astype(np.float32)).dtype == np.float32
    assert wide.predict(X).dtype == np.float64
    assert narrow.objective_ == pytest.approx(wide.objective_, rel=1e-2)
    objective = narrow.network_.objective(X.astype(np.float32), y, 0.01)
    assert objective == pytest.approx(narrow.objective_, rel=1e-4)
    classes = PathReLUClassifier(random_state=0).fit(X.astype(np.float32), y > 0)
    assert classes.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_fortran_ordered_and_read_only_data_are_taken_and_left_alone():
    X, y = problem()
    expected = PathReLURegressor(random_state=0).fit(X, y).predict(X)
    given = np.asfortranarray(X)
    before = given.copy()
    given.flags.writeable = y.flags.writeable = False
    np.testing.assert_array_equal(PathReLURegressor(random_state=0).fit(given, y).predict(given), expected)
    np.testing.assert_array_equal(given, before)


# ---- Predictions -------------------------------------------------------------


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [3, 7, 5], ["a", "b", "c"], [1.0, 2.0]])
def test_labels_of_any_type_come_back(labels):
    X, code = problem(classes=len(labels))
    y = np.array(labels)[code]
    model = PathReLUClassifier(random_state=0, alpha=1e-3).fit(X, y)
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    assert model.predict(X).dtype == y.dtype
    assert model.score(X, y) > 0.95
    assert model.network_.classes == np.unique(y).tolist()


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_agree_with_the_decision_function(classes):
    X, y = problem(classes=classes)
    model = PathReLUClassifier(random_state=0).fit(X, y)
    scores, share = model.decision_function(X), model.predict_proba(X)
    logits = np.stack([np.zeros(len(X)), scores], axis=1) if classes == 2 else scores
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(share, expected, rtol=1e-12)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), share)
    np.testing.assert_array_equal(model.predict(X), model.classes_[share.argmax(axis=1)])
    assert log_loss(y, share) < 0.7 * np.log(classes)


def test_probabilities_are_finite_however_large_the_scores():
    X, y = problem(classes=3)
    model = PathReLUClassifier(random_state=0).fit(X, y)
    with np.errstate(all="raise", under="ignore"):
        share = model.predict_proba(X * 1e5)
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert np.isfinite(model.predict_log_proba(X * 1e5)).all()


def test_several_outputs_are_the_single_ones_side_by_side():
    X, y = problem()
    targets = np.stack([y, np.abs(y)], axis=1)
    both = PathReLURegressor(alpha=0.01, outputs="separate", random_state=0).fit(X, targets)
    singles = [PathReLURegressor(alpha=0.01, random_state=0).fit(X, column) for column in targets.T]
    np.testing.assert_allclose(both.predict(X), np.stack([m.predict(X) for m in singles], axis=1), rtol=1e-12)
    assert both.objective_ == pytest.approx(sum(m.objective_ for m in singles))
    assert both.objective_ == pytest.approx(both.network_.objective(X, targets, 0.01), rel=1e-9)
    assert both.intercept_.shape == (2,)


# ---- Among other tools -------------------------------------------------------


def test_grid_search_pipelines_and_cross_validation_work():
    X, y = problem(classes=2)
    pipeline = make_pipeline(StandardScaler(), PathReLUClassifier(random_state=0))
    grid = {"pathreluclassifier__alpha": [0.3, 0.01], "pathreluclassifier__depth": [2, 3]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert search.best_params_["pathreluclassifier__alpha"] == 0.01
    assert search.best_score_ > 0.8
    X, y = problem()
    model = TransformedTargetRegressor(PathReLURegressor(random_state=0), transformer=StandardScaler())
    assert cross_val_score(model, X, 1000 * y, cv=3).min() > 0.7


@pytest.mark.parametrize("estimator", BOTH)
def test_pickling_keeps_predictions(estimator):
    X, y = data_for(estimator)
    model = estimator(random_state=0, arrangements="sample", warm_start=True, n_arrangements=50).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))
    assert copy.history_ == model.history_


def test_frames_give_names_to_the_network():
    frame = load_iris(as_frame=True)
    model = PathReLUClassifier(random_state=0).fit(frame.data, frame.target)
    assert model.network_.feature_names == list(frame.data.columns)
    assert model.score(frame.data, frame.target) > 0.95


def test_two_python_threads_fit_at_once():
    jobs = [problem(seed=seed) for seed in range(4)]

    def fit(job):
        return PathReLURegressor(random_state=0, n_threads=2).fit(*job).network_

    serial = [fit(job) for job in jobs]
    with ThreadPoolExecutor(2) as pool:
        parallel = list(pool.map(fit, jobs))
    for first, second in zip(serial, parallel, strict=True):
        np.testing.assert_array_equal(first.leaf_weights, second.leaf_weights)


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
@pytest.mark.parametrize("source", SOURCES)
def test_ctrl_c_stops_a_long_fit_within_a_second(source):
    script = f"""
import numpy as np, pathrelu as pr
{IMPORT}
rng = np.random.default_rng(0)
X, y = rng.standard_normal((6000, 60)), rng.standard_normal(6000)
model = pr.PathReLURegressor(
    depth=3, alpha=1e-5, tol=1e-15, max_iter=10**9, arrangements={source!r}, random_state=0, n_threads=2
)
interrupt_after(2, answer_within=2)  # by two threads
try:
    model.fit(X, y)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


# ---- Convergence, warm start, progress ---------------------------------------


@pytest.mark.parametrize("estimator", BOTH)
def test_stopping_early_warns_with_the_gap(estimator):
    X, y = data_for(estimator)
    model = estimator(alpha=1e-3, max_iter=1, tol=1e-8, arrangements="sample", random_state=0)
    with pytest.warns(
        ConvergenceWarning,
        match=r"duality gap .* \(relative .*, tol 1e-08\) after 1 iterations, objective .*; raise max_iter",
    ) as caught:
        model.fit(X, y)
    assert f"{model.dual_gap_:.2e}" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert model.n_iter_ == 1
    assert np.isfinite(model.predict(X)).all()


def test_warm_start_begins_where_the_last_fit_ended():
    X, y = problem(n=200)
    model = PathReLURegressor(
        alpha=0.01, arrangements="sample", n_arrangements=200, warm_start=True, random_state=0, tol=1e-6
    )
    cold = model.fit(X, y).n_iter_
    expected = model.objective_
    assert model.fit(X, y).n_iter_ < cold / 2
    assert model.objective_ == pytest.approx(expected, rel=1e-5)
    warm = model.set_params(alpha=0.0099).fit(X, y)
    fresh = PathReLURegressor(
        arrangements="sample", n_arrangements=200, random_state=0, tol=1e-6, alpha=0.0099
    ).fit(X, y)
    assert warm.objective_ == pytest.approx(fresh.objective_, rel=1e-5)
    assert warm.n_iter_ < fresh.n_iter_
    model.fit(X[:, :3], y)
    assert model.network_.n_features == 3
    model.set_params(depth=3, n_arrangements=20).fit(X, y)
    assert model.network_.depth == 3


def test_progress_goes_to_the_logger_and_the_callback(caplog, capsys):
    X, y = problem()
    records = []
    model = PathReLURegressor(
        alpha=0.01, verbose=2, callback=records.append, arrangements="sample", random_state=0
    )
    with caplog.at_level(logging.INFO, logger="pathrelu"):
        model.fit(X, y)
    assert records
    assert records[-1].gap == model.dual_gap_
    lines = [message for message in caplog.messages if message[1] != ":"]  # 0:03: so long it takes
    assert len(lines) == len(records) + 1
    assert f"{model.n_subnetworks_} sub-networks" in caplog.messages[-1]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("source", SOURCES)
def test_what_a_callback_raises_stops_the_fit(source):
    class StopError(Exception):
        pass

    def stop(_):
        raise StopError

    X, y = problem()
    with pytest.raises(StopError):
        PathReLURegressor(callback=stop, arrangements=source).fit(X, y)


def test_the_examples_of_the_docstrings_run():
    assert doctest.testmod(pr.estimators, raise_on_error=True).attempted > 5


# ---- It is any good ----------------------------------------------------------


def test_held_out_accuracy_on_breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    scores = cross_val_score(PathReLUClassifier(alpha=0.003, random_state=0), X, y, cv=3)
    assert scores.mean() > 0.96


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("estimator", BOTH)
def test_rows_of_zeros_give_the_best_constant(estimator, source):
    y = np.array([0, 1, 1, 1])
    model = estimator(arrangements=source, bias=False, random_state=0).fit(np.zeros((4, 2)), y)
    assert model.n_subnetworks_ == 0
    assert model.intercept_ == pytest.approx(0.75 if estimator is PathReLURegressor else np.log(3), rel=1e-4)


def test_deeper_networks_fit_too():
    X, y = make_regression(100, 5, random_state=0)
    y = np.abs(y / y.std())
    for depth in (2, 3, 4):
        model = PathReLURegressor(depth=depth, width=2, alpha=1e-3, random_state=0, max_iter=2000).fit(X, y)
        assert model.score(X, y) > 0.98
        assert isinstance(model.network_, pr.ParallelReLUNetwork)
