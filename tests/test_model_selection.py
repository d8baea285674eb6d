"""Estimators that choose alpha: against the loop they stand for, and what scikit-learn asks of them."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn
from interrupt import IMPORT
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, make_scorer, mean_absolute_error
from sklearn.model_selection import GroupKFold, KFold, LeaveOneOut, StratifiedKFold
from sklearn.utils.estimator_checks import parametrize_with_checks

import pathrelu as pr
from pathrelu import PathReLUClassifier, PathReLUClassifierCV, PathReLURegressor, PathReLURegressorCV
from pathrelu._cross_validation import log_score

RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 3))
Y = np.abs(X[:, 0]) - np.maximum(X[:, 1], 0) + 0.3 * RNG.standard_normal(90)
LABELS = np.where(Y - np.median(Y) > 0, "high", "low")
ALPHAS = [0.3, 0.1, 0.03, 0.01]
SAMPLED = {"arrangements": "sample", "n_arrangements": 60, "tol": 1e-7, "random_state": 0}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")  # of rows that the checks round
@parametrize_with_checks(
    [
        PathReLURegressorCV(alphas=3, eps=0.1, cv=2, arrangements="sample", n_arrangements=30, max_iter=200),
        PathReLUClassifierCV(alphas=3, eps=0.1, cv=2, arrangements="sample", n_arrangements=30, max_iter=200),
    ]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def loop(estimator, y, splitter, score, sample_weight=None, groups=None, **parameters):
    """Scores (alphas, folds) of fits from scratch."""
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    return np.array(
        [
            [
                score(
                    estimator(alpha=alpha, **parameters).fit(X[train], y[train], weight[train]),
                    X[test],
                    y[test],
                    weight[test],
                )
                for train, test in splitter.split(X, y, groups)
            ]
            for alpha in ALPHAS
        ]
    )


def scores_of(model):
    results = model.cv_results_
    return np.stack([results[f"split{k}_test_score"] for k in range(model.n_splits_)], axis=1)


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("weighted", [False, True])
def test_regressor_scores_as_fits_from_scratch(activation, weighted):
    weight = RNG.uniform(0.5, 2, len(X)) if weighted else None
    model = PathReLURegressorCV(alphas=ALPHAS, cv=3, patience=None, activation=activation, **SAMPLED).fit(
        X, Y, sample_weight=weight
    )
    expected = loop(
        PathReLURegressor,
        Y,
        KFold(3),
        lambda m, rows, y, w: m.score(rows, y, sample_weight=w),
        weight,
        activation=activation,
        **SAMPLED,
    )
    np.testing.assert_allclose(scores_of(model), expected, atol=1e-4)
    np.testing.assert_array_equal(model.alphas_, ALPHAS)
    mean = expected.mean(axis=1)
    np.testing.assert_allclose(model.cv_results_["mean_test_score"], mean, atol=1e-4)
    np.testing.assert_allclose(model.cv_results_["std_test_score"], expected.std(axis=1), atol=1e-4)
    assert model.alpha_ == ALPHAS[mean.argmax()] == model.alphas_[model.best_index_]
    assert model.cv_results_["rank_test_score"][model.best_index_] == 1
    refit = PathReLURegressor(alpha=model.alpha_, activation=activation, **SAMPLED).fit(X, Y, weight)
    np.testing.assert_array_equal(model.predict(X), refit.predict(X))
    assert (model.objective_, model.n_subnetworks_) == (refit.objective_, refit.n_subnetworks_)


def test_classifier_scores_log_probability_by_default_with_text_labels():
    model = PathReLUClassifierCV(alphas=ALPHAS, cv=3, patience=None, class_weight="balanced", **SAMPLED)
    model.fit(X, LABELS)

    def score(m, rows, y, w):
        return -log_loss(y, m.predict_proba(rows), sample_weight=w)

    expected = loop(PathReLUClassifier, LABELS, StratifiedKFold(3), score, class_weight="balanced", **SAMPLED)
    np.testing.assert_allclose(scores_of(model), expected, atol=1e-3)
    assert model.predict(X[:5]).dtype.kind == "U"
    assert model.score(X, LABELS) > 0.8


def test_log_score_counts_labels_that_were_not_trained_on():
    model = PathReLUClassifier(alpha=0.1, random_state=0).fit(X, np.where(LABELS == "high", 2, 5))
    y = np.array([2, 5, 7, 1])
    log_probability = model.predict_log_proba(X[:4])
    expected = [log_probability[0, 0], log_probability[1, 1], np.log(1e-15), np.log(1e-15)]
    assert log_score(model, X[:4], y) == pytest.approx(np.mean(expected))
    weight = [1, 2, 3, 4]
    assert log_score(model, X[:4], y, weight) == pytest.approx(np.average(expected, weights=weight))


def test_search_along_the_path_is_as_good_as_from_scratch():
    model = PathReLURegressorCV(alphas=ALPHAS, cv=3, patience=None, tol=1e-4, random_state=0).fit(X, Y)
    cold = PathReLURegressor(alpha=model.alpha_, random_state=0).fit(X, Y)
    assert model.objective_ == cold.objective_
    expected = loop(PathReLURegressor, Y, KFold(3), lambda m, r, y, w: m.score(r, y), random_state=0)
    np.testing.assert_allclose(scores_of(model).mean(axis=1), expected.mean(axis=1), atol=0.05)


def test_without_a_tolerance_folds_slide_in_both_encodings():
    model = PathReLURegressorCV(alphas=ALPHAS, cv=3, patience=None, adapt_columns=False, random_state=0)
    results = model.fit(X, Y).cv_results_
    assert results["param_encode"].tolist() == ["linear"] * 4 + ["ramps"] * 4
    np.testing.assert_array_equal(model.alphas_, ALPHAS + ALPHAS)
    for encode in ("linear", "ramps"):
        expected = loop(
            PathReLURegressor,
            Y,
            KFold(3),
            lambda m, rows, y, w: m.score(rows, y),
            encode=encode,
            tol=1e-4,
            random_state=0,
        )
        found = results["mean_test_score"][results["param_encode"] == encode]
        np.testing.assert_allclose(found, expected.mean(axis=1), atol=0.1)
    best = model.best_index_
    assert (model.alpha_, model.network_.encoder.numeric_) == (
        model.alphas_[best],
        results["param_encode"][best],
    )
    solved = PathReLURegressor(alpha=model.alpha_, encode=results["param_encode"][best], random_state=0).fit(
        X, Y
    )
    assert solved.objective_ - solved.dual_gap_ <= model.objective_ <= 1.05 * solved.objective_
    assert model.objective_ - model.dual_gap_ <= solved.objective_
    words = pd.DataFrame({"word": np.where(X[:, 0] > 0, "up", "down")})
    one = PathReLURegressorCV(alphas=ALPHAS, cv=3, random_state=0).fit(words, Y)
    assert set(one.cv_results_["param_encode"]) == {"auto"}


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_a_search_starts_from_the_last_one(activation):
    model = PathReLURegressor(alpha=0.02, activation=activation, random_state=0, warm_start=True).fit(X, Y)
    first, objective = model.network_, model.objective_
    again = model.fit(X, Y)
    assert again.objective_ <= objective * (1 + 1e-4)
    cold = PathReLURegressor(alpha=0.02, activation=activation, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(cold.network_.leaf_weights, first.leaf_weights)
    # From nothing at all: the constant network.
    model.set_params(alpha=1e3).fit(X, Y)
    assert model.n_subnetworks_ == 0
    assert model.set_params(alpha=0.02).fit(X, Y).objective_ == pytest.approx(objective, rel=1e-2)


def test_the_grid_goes_down_from_the_largest_alpha():
    model = PathReLURegressorCV(alphas=np.int64(4), eps=0.01, cv=3, patience=None, **SAMPLED).fit(X, Y)
    np.testing.assert_allclose(model.alphas_[1:] / model.alphas_[:-1], 0.01 ** (1 / 3))
    assert PathReLURegressor(alpha=1.001 * model.alphas_[0], **SAMPLED).fit(X, Y).n_subnetworks_ == 0
    assert PathReLURegressor(alpha=0.99 * model.alphas_[0], **SAMPLED).fit(X, Y).n_subnetworks_ > 0


def test_one_standard_error_takes_the_largest_alpha_within_it():
    plain = PathReLURegressorCV(alphas=8, cv=5, patience=None, **SAMPLED).fit(X, Y)
    model = PathReLURegressorCV(alphas=8, cv=5, patience=None, one_standard_error=True, **SAMPLED).fit(X, Y)
    scores = scores_of(plain)
    best = scores.mean(axis=1).argmax()
    floor = scores[best].mean() - scores[best].std(ddof=1) / np.sqrt(5)
    expected = np.flatnonzero(scores.mean(axis=1) >= floor)[0]
    assert model.best_index_ == expected < best == plain.best_index_
    assert model.n_subnetworks_ < plain.n_subnetworks_


def test_patience_leaves_out_the_rest():
    full = PathReLURegressorCV(alphas=10, eps=1e-4, cv=3, patience=None, **SAMPLED).fit(X, Y)
    short = PathReLURegressorCV(alphas=10, eps=1e-4, cv=3, patience=1, **SAMPLED).fit(X, Y)
    mean = full.cv_results_["mean_test_score"]
    stop = 1 + np.flatnonzero(np.diff(mean) <= 0)[0]
    assert len(short.alphas_) == stop + 1 < 10
    np.testing.assert_array_equal(short.cv_results_["mean_test_score"], mean[: stop + 1])


def test_results_do_not_depend_on_the_number_of_jobs():
    one, two = (
        PathReLUClassifierCV(alphas=ALPHAS, cv=3, n_jobs=n_jobs, random_state=0).fit(X, LABELS)
        for n_jobs in (None, 2)
    )
    np.testing.assert_array_equal(scores_of(one), scores_of(two))
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def test_scorers_splitters_and_groups():
    groups = np.arange(90) // 15
    for scoring in ("neg_mean_absolute_error", make_scorer(mean_absolute_error, greater_is_better=False)):
        model = PathReLURegressorCV(
            alphas=ALPHAS, cv=GroupKFold(3), scoring=scoring, patience=None, **SAMPLED
        ).fit(X, Y, groups=groups)
        expected = loop(
            PathReLURegressor,
            Y,
            GroupKFold(3),
            lambda m, r, y, w: -mean_absolute_error(y, m.predict(r)),
            groups=groups,
            **SAMPLED,
        )
        np.testing.assert_allclose(scores_of(model), expected, atol=1e-4)
    folds = [(np.arange(60), np.arange(60, 90)), (np.arange(30, 90), np.arange(30))]
    model = PathReLURegressorCV(
        alphas=ALPHAS, cv=folds, scoring=lambda m, r, y: -np.abs(y - m.predict(r)).max(), **SAMPLED
    ).fit(X, Y)
    assert model.n_splits_ == 2
    assert (scores_of(model) < 0).all()


def test_metadata_are_routed():
    groups, weight = np.arange(90) // 15, RNG.uniform(0.5, 2, 90)
    scorer = make_scorer(mean_absolute_error, greater_is_better=False)
    with sklearn.config_context(enable_metadata_routing=True):
        model = PathReLURegressorCV(
            alphas=ALPHAS, cv=GroupKFold(3), scoring=scorer.set_score_request(sample_weight=True), **SAMPLED
        ).fit(X, Y, sample_weight=weight, groups=groups)
        unweighted = clone(model).set_params(scoring=scorer.set_score_request(sample_weight=False))
        unweighted.fit(X, Y, sample_weight=weight, groups=groups)
        by_default = clone(model).set_params(scoring=None).fit(X, Y, sample_weight=weight, groups=groups)
    assert model.n_splits_ == by_default.n_splits_ == 3
    assert not np.array_equal(scores_of(model), scores_of(unweighted))


def test_frames_several_outputs_and_sparse_rows():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = PathReLURegressorCV(alphas=ALPHAS, cv=3, **SAMPLED).fit(frame, np.stack([Y, -2 * Y], axis=1))
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert model.predict(frame).shape == (90, 2)
    from scipy.sparse import csr_array

    same = PathReLURegressorCV(alphas=ALPHAS, cv=3, **SAMPLED).fit(csr_array(X), Y)
    np.testing.assert_array_equal(
        same.predict(X), PathReLURegressorCV(alphas=ALPHAS, cv=3, **SAMPLED).fit(X, Y).predict(X)
    )


def test_three_classes_pickle_and_files(tmp_path):
    rows, y = load_iris(return_X_y=True)
    model = PathReLUClassifierCV(alphas=[0.1, 0.03], cv=3, random_state=0).fit(rows, y)
    assert model.score(rows, y) > 0.95
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict_proba(rows), model.predict_proba(rows)
    )
    model.save(tmp_path / "model.npz")
    loaded = pr.load(tmp_path / "model.npz")
    assert type(loaded) is PathReLUClassifierCV
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
    np.testing.assert_array_equal(loaded.cv_results_["mean_test_score"], model.cv_results_["mean_test_score"])
    assert loaded.alpha_ == model.alpha_


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"alphas": 0}, ValueError, "alphas is 0; expected an integer"),
        ({"alphas": []}, ValueError, "alphas is empty"),
        ({"alphas": [0.1, -1]}, ValueError, "an entry of alphas is -1"),
        ({"eps": 1.0}, ValueError, "eps is 1; expected a number between 0 and 1"),
        ({"patience": 0}, ValueError, "patience is 0; expected an integer"),
        ({"one_standard_error": 1}, TypeError, "one_standard_error is 1; expected True or False"),
        ({"scoring": "no such"}, ValueError, "no such"),
        ({"scoring": lambda m, r, y: np.nan}, ValueError, r"the score at alpha 0\.3 is nan"),
        ({"scoring": lambda m, r, y: "good"}, TypeError, r"the score at alpha 0\.3 is 'good'"),
        ({"depth": 1}, ValueError, "depth is 1"),
        ({"on_interrupt": "stop"}, ValueError, "on_interrupt is 'stop'"),
        ({"max_seconds": 0}, ValueError, "max_seconds is 0"),
        ({"cv": 1}, ValueError, "cv is 1; expected an integer >= 2"),
        ({"cv": True}, TypeError, "cv is True; expected an integer >= 2"),
        ({"cv": 91}, ValueError, "cv is 91, which does not split the rows: .*n_splits=91"),
        ({"cv": []}, ValueError, r"cv has no fold; expected at least one \(train, test\)"),
        (
            {"cv": [(range(9), [])]},
            ValueError,
            r"cv has the fold 0: .*; expected \(train, test\), two arrays",
        ),
        ({"cv": [(range(9), [90])]}, ValueError, r"cv has the fold 0: .*; expected \(train, test\)"),
        ({"cv": [(range(9), np.zeros(90, bool))]}, ValueError, "cv has the fold 0"),
        ({"n_jobs": 0}, ValueError, "n_jobs is 0; expected None or an integer other than 0"),
        ({"n_jobs": 2.5}, TypeError, r"n_jobs is 2\.5; expected None or an integer"),
        (
            {"alphas": [[0.1], [0.2]]},
            ValueError,
            r"alphas has shape \(2, 1\); expected an integer or an array",
        ),
        (
            {"alphas": 3, "eps": 5e-324},
            ValueError,
            "eps is 4.94066e-324, too small: expected .* a normal float",
        ),
        ({"scoring": ["r2"]}, TypeError, "scoring is of type list; expected the name of one scorer"),
        ({"cv": LeaveOneOut()}, ValueError, 'tests on 1 row; .* take scoring="neg_mean_squared_error"'),
        ({"cv": LeaveOneOut(), "scoring": "r2"}, ValueError, 'take scoring="neg_mean_squared_error"'),
    ],
)
def test_bad_parameters_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        PathReLURegressorCV(**{"alphas": ALPHAS, **SAMPLED, **parameters}).fit(X, Y)


def test_parameters_that_nobody_takes_are_refused():
    with pytest.raises((TypeError, ValueError), match="unknown"):
        PathReLURegressorCV(alphas=ALPHAS).fit(X, Y, unknown=1)


def test_a_target_without_a_grid_is_refused():
    with pytest.raises(ValueError, match="there is no grid"):
        PathReLURegressorCV(alphas=4, cv=3).fit(X, np.ones(90))


def test_an_interrupt_takes_the_best_so_far():
    code = f"""
import numpy as np
from pathrelu import PathReLURegressorCV
{IMPORT}
rng = np.random.default_rng(0)
X = rng.standard_normal((400, 8))
y = np.abs(X[:, 0]) + rng.standard_normal(400)
model = PathReLURegressorCV(alphas=np.geomspace(1, 1e-9, 60), cv=3, patience=None, random_state=0)
model.set_params(on_interrupt="return")
answered = interrupt_after(2, answer_within=20)  # the fit of all rows follows
model.fit(X, y)
answered.set()
assert 0 < len(model.alphas_) < 60, len(model.alphas_)
assert model.alpha_ in model.alphas_
print(model.predict(X).shape, len(model.alphas_))
"""
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "stopped by an interrupt after" in done.stderr
    assert done.stdout.startswith("(400,)")


def test_time_that_runs_out_takes_the_best_so_far():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 8))
    y = np.abs(rows[:, 0]) + rng.standard_normal(400)
    model = PathReLURegressorCV(alphas=np.geomspace(1, 1e-9, 60), cv=3, patience=None, random_state=0)
    model.set_params(max_seconds=1.5)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(rows, y)
    assert 0 < len(model.alphas_) < 60
    assert model.alpha_ in model.alphas_
    assert f"stopped by max_seconds=1.5 after {len(model.alphas_)} values of alpha;" in str(caught[0].message)
    assert len(caught) <= 2  # the fit of all rows may be stopped too
    assert model.alpha_ == model.alphas_[np.argmax(model.cv_results_["mean_test_score"])]


def test_one_value_is_scored_however_little_time_there_is():
    model = PathReLURegressorCV(alphas=ALPHAS, cv=3, max_seconds=1e-9, **SAMPLED)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, Y)
    assert model.alphas_.tolist() == [max(ALPHAS)]
    of_alphas, of_all_rows = (str(warning.message) for warning in caught)
    assert of_alphas.startswith("stopped by max_seconds=1e-09 after 1 values of alpha")
    assert "duality gap" in of_all_rows


def test_progress_goes_to_the_logger(caplog, capsys):
    with caplog.at_level("INFO", logger="pathrelu"):
        model = PathReLURegressorCV(alphas=ALPHAS, cv=3, verbose=1, patience=None, **SAMPLED).fit(X, Y)
    lines = [message for message in caplog.messages if "mean score" in message]
    mean = model.cv_results_["mean_test_score"]
    assert lines == [
        f"alpha {a:.4g}: mean score {m:.6g} of 3 folds" for a, m in zip(ALPHAS, mean, strict=True)
    ]
    others = [message for message in caplog.messages if message[1] != ":"]  # 0:03: so long it takes
    assert len(others) == len(ALPHAS) + 1  # and the fit of all rows
    assert capsys.readouterr() == ("", "")
