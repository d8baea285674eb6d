"""Summaries: scores and shares against scikit-learn and NumPy, and text and HTML that hold any name."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import sklearn
from models import fitted, rows
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, root_mean_squared_error
from test_encoding import table
from test_network import random_network

import pathrelu as pr
from pathrelu import _measures
from pathrelu.inspection import subnetwork_formulas, subnetwork_importance


class Page(HTMLParser):
    """Text of a page; refuses elements that are not closed."""

    def __init__(self, source):
        super().__init__()
        self.open, self.text = [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in ("input", "br", "img", "meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


# ---- Scores and shares of a fit ------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", [{}, {"loss": "poisson"}, {"encode": "ramps", "skip_connection": True}])
def test_training_scores_are_those_of_scikit_learn(weighted, options):
    X = rows(90, 3)
    X[:10] = X[10:20]  # equal rows
    y = np.exp(np.abs(X[:, 0]) - X[:, 1])
    weight = np.arange(90) % 4 if weighted else None
    model = pr.PathReLURegressor(alpha=0.02, random_state=0, **options).fit(X, y, sample_weight=weight)
    predicted = model.predict(X)
    expected = {
        "r2": r2_score(y, predicted, sample_weight=weight),
        "rmse": root_mean_squared_error(y, predicted, sample_weight=weight),
        "mae": mean_absolute_error(y, predicted, sample_weight=weight),
    }
    assert model.training_scores_ == pytest.approx(expected, rel=1e-9)
    assert 0 < model.training_scores_["r2"] < 1


def test_training_scores_of_several_targets_are_means():
    X = rows(60)
    Y = np.abs(X[:, :2]) * [1, 10]
    model = pr.PathReLURegressor(alpha=0.02, random_state=0).fit(X, Y)
    predicted = model.predict(X)
    assert model.training_scores_["r2"] == pytest.approx(r2_score(Y, predicted))
    assert model.training_scores_["rmse"] == pytest.approx(root_mean_squared_error(Y, predicted))


@pytest.mark.parametrize("present", [[0, 1], [0, 1, 2], [0, 2], [1, 2, 3]])
def test_training_scores_of_classes_leave_out_those_without_weight(present):
    X = rows(100)
    y = np.digitize(X[:, 0] + 0.3 * X[:, 1], [-0.5, 0.2, 0.8])
    class_weight = {label: float(label in present) for label in range(4)}
    model = pr.PathReLUClassifier(alpha=0.02, class_weight=class_weight, random_state=0).fit(X, y)
    own = np.isin(y, present)
    assert model.training_scores_["accuracy"] == pytest.approx(model.score(X[own], y[own]))
    shares = model.predict_proba(X[own])
    assert model.training_scores_["log_loss"] == pytest.approx(log_loss(y[own], shares, labels=range(4)))


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("outputs", ["shared", "separate"])
def test_variance_shares_are_those_on_training_rows(n_outputs, outputs, monkeypatch):
    monkeypatch.setattr(_measures, "BLOCK", 17)
    X = rows(60)
    Y = (np.abs(X[:, :2]) - X[:, 2:3])[:, :n_outputs]
    weight = 1 + np.arange(60) % 3
    model = pr.PathReLURegressor(alpha=0.02, outputs=outputs, skip_connection=True, random_state=0)
    model.fit(X, Y.squeeze(), sample_weight=weight)
    expected = subnetwork_importance(model, np.repeat(X, weight, axis=0)).variance_share
    assert len(expected) > 1
    np.testing.assert_allclose(model.variance_shares_, expected, atol=1e-10)
    # of some rows alone, about the same
    monkeypatch.setattr(_measures, "MOST_ROWS", 40)
    model.fit(X, Y.squeeze(), sample_weight=weight)
    assert 0 < np.abs(model.variance_shares_ - expected).max() < 0.5


def test_a_constant_target_has_no_shares():
    model = pr.PathReLURegressor(alpha=0.1, random_state=0).fit(rows(30), np.ones(30))
    assert np.isnan(model.training_scores_["r2"])
    assert model.training_scores_["rmse"] < 1e-9
    assert "R² nan" in str(model.summary())


# ---- Text and HTML -------------------------------------------------------------


def test_a_summary_has_the_figures_of_the_fit():
    X = rows(300)
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    y = np.abs(X[:, 0]) + 0.1 * X[:, 1]
    model = pr.PathReLURegressor(random_state=0, skip_connection=True).fit(frame, y)
    text = str(model.summary(max_shown=3))
    assert f"{model.n_subnetworks_} sub-networks of depth 2 and a linear part, 4 columns, 1 output" in text
    assert f"R² {model.score(frame, y):.4g}" in text
    least = model.path_["held_out_loss"][model.path_["encoding"] == model.network_.encoder.numeric_].min()
    assert f"RMSE {np.sqrt(2 * least):.4g}" in text.partition("held-out rows")[2].splitlines()[0]
    assert (
        f"{model.alpha_:.4g}, of least loss on held-out rows among {len(model.path_['alpha'])} networks"
        in text
    )
    assert f"{model.objective_:.6g}, at most {model.dual_gap_:.2g}" in text
    order = np.argsort(-model.variance_shares_)
    shares = re.findall(r"^  (-?\d+\.\d)% +[\d.e-]+ +\d", text, re.MULTILINE)
    assert shares == [f"{100 * share:.1f}" for share in model.variance_shares_[order[:3]]]
    importance = model.feature_importances_
    assert f"{importance.max():.1%}  {frame.columns[importance.argmax()]}" in text
    linear = subnetwork_importance(model, frame).skip_variance_share[0]
    assert re.search(rf"{linear:.1%}.*the linear part", text)


def test_each_way_to_choose_alpha_is_said():
    X = rows(60)
    y = np.abs(X[:, 0])
    assert "0.1, as given" in str(pr.PathReLURegressor(alpha=0.1, random_state=0).fit(X, y).summary())
    gated = pr.PathReLURegressor(activation="gated", random_state=0).fit(X, y)
    assert "from the noise that gradients have" in str(gated.summary())
    model = pr.PathReLURegressorCV(alphas=[0.1, 0.01], cv=2, random_state=0).fit(X, y)
    text = str(model.summary())
    assert f"by cross-validation, the best score of {len(model.alphas_)} settings tried" in text
    assert f"score {model.best_score_:.4g}" in text
    assert "R²" in text.partition("training rows")[2].splitlines()[0]


def test_a_mean_of_networks_has_no_gap_to_tell():
    X = rows(60)
    model = pr.PathReLURegressor(alpha=0.05, n_networks=2, random_state=0).fit(X, np.abs(X[:, 0]))
    assert f"{model.objective_:.6g}, of the mean of several networks" in str(model.summary())
    assert model.training_scores_["r2"] == pytest.approx(r2_score(np.abs(X[:, 0]), model.predict(X)))


def test_summaries_of_networks_solutions_and_certificates():
    X = rows(40, 2)
    y = np.abs(X[:, 0])
    solution = pr.search(X, y, 0.05, random_state=0)
    text = str(solution.summary())
    assert f"{solution.objective:.6g}, at most {solution.gap:.2g}" in text
    assert "converged" in text
    network = solution.network()
    first = int(np.argmax(network.subnetwork_norms()))
    assert subnetwork_formulas(network, digits=3)[first] in str(network.summary())
    assert repr(network.summary()) == str(network.summary())
    certificate = pr.certify(network, X, y, 0.05)
    text = str(certificate.summary())
    assert str(certificate)[1:] in text
    assert certificate.covers in text
    for thing in (solution, network, certificate):
        words = " ".join(Page(thing._repr_html_()).text)
        for name, value in thing.summary().facts.items():
            assert name in words
            assert value in words


def test_names_are_text_in_html():
    names = ["<script>alert('a')</script>", "a & b", '"quoted"', "new\nline"]
    network = random_network(feature_names=names, outputs=3, classes=["<b>", "c", "d"])
    source = network._repr_html_()
    page = Page(source)
    assert "<script" not in source
    text = " ".join(page.text)
    assert "<script>alert('a')</script>" in text
    assert "a & b" in text
    lines = str(network.summary()).splitlines()
    assert any(line.endswith("  new line") for line in lines)


def test_notebooks_show_the_diagram_of_scikit_learn_and_the_summary():
    model = pr.PathReLURegressor(alpha=0.1)
    before = model._repr_mimebundle_()["text/html"]
    assert "sk-top-container" in before
    assert "pathrelu-summary" not in before
    model = fitted()
    for source in (model._repr_mimebundle_()["text/html"], model._repr_html_()):
        assert "sk-top-container" in source
        assert "PathReLUClassifier: " in " ".join(Page(source[source.index('<div class="pathrelu') :]).text)
    assert model._repr_mimebundle_()["text/plain"] == repr(model)
    with sklearn.config_context(display="text"):
        assert "text/html" not in model._repr_mimebundle_()
        assert not hasattr(model, "_repr_html_")


def test_a_model_of_a_file_has_its_summary_again(tmp_path):
    model = pr.PathReLURegressor(random_state=0).fit(table(80), np.arange(80.0))
    model.save(tmp_path / "model.npz")
    assert str(pr.load(tmp_path / "model.npz").summary()) == str(model.summary())
    del model.training_scores_, model.variance_shares_  # of an earlier release
    text = str(model.summary())
    assert "R²" not in text
    assert "held-out rows  RMSE" in text
    assert "Sub-networks by path norm" in text


def test_what_summaries_do_not_take_is_refused():
    with pytest.raises(NotFittedError):
        pr.PathReLURegressor().summary()
    with pytest.raises(ValueError, match="max_shown is 0"):
        random_network().summary(max_shown=0)
    with pytest.raises(ValueError, match="digits is 18"):
        fitted().summary(digits=18)
