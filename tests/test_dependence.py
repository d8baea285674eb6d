"""Partial dependence against averages of predictions, and its displays read back from the artists."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from models import rows
from sklearn.datasets import load_iris
from sklearn.inspection import partial_dependence as brute_force
from test_encoding import table
from test_network import random_network

import pathrelu as pr
from pathrelu.dependence import additive_parts, partial_dependence
from pathrelu.plotting import PartialDependenceDisplay


@pytest.fixture(autouse=True)
def no_figures_are_left():
    yield
    plt.close("all")


def additive(**options):
    """max(x0, 0) + 2 max(-x0, 0) - max(3 x1 + 1, 0) - max(x1 + x2, 0) + skip connection in x3."""
    weights = np.array([[1, 0, 0, 0], [-2, 0, 0, 0], [0, 3, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], float)
    given = {
        "leaf_bias": np.array([0, 0, 1, 0, 2], float)[:, None],
        "output_sign": [1, 1, -1, -1, 1],
        "skip_weights": [[0, 0, 0, 5.0]],
        "intercept": 7.0,
    }
    return pr.ParallelReLUNetwork(weights[:, None], **given | options)


# ---- Numbers -------------------------------------------------------------------


def test_parts_are_by_the_columns_that_are_used():
    found = [(part.columns, part.subnetworks.tolist(), part.linear) for part in additive_parts(additive())]
    assert found == [((0,), [0, 1], False), ((1,), [2], False), ((3,), [], True), ((1, 2), [3], False)]
    gated = pr.GatedReLUNetwork([[[1.0, 0.0]]], gates=[[[0.0, 1.0]]])
    assert [part.columns for part in additive_parts(gated)] == [(0, 1)]
    encoder = pr.TableEncoder(numeric="ramps", n_ramps=2).fit(rows(20, 2))
    network = pr.ParallelReLUNetwork([[[0.0, 1.0, 0.0, 0.0]], [[0.0, 0, 1, 1]]], encoder=encoder)
    assert [part.columns for part in additive_parts(network)] == [(0,), (1,)]


def test_additive_columns_are_exact_whatever_the_rows():
    network, X = additive(), rows(50)
    for column, function in ((0, lambda x: np.where(x > 0, x, -2 * x)), (3, lambda x: 5 * x)):
        for sample in (X, X[:3]):
            found = partial_dependence(network, sample, column, grid_resolution=30)
            assert found.exact
            values = function(found.grid[0]) - function(sample[:, column]).mean()
            np.testing.assert_allclose(found.values, [values], atol=1e-12)
            np.testing.assert_allclose(found.band, [[values], [values]], atol=1e-12)
    assert not partial_dependence(network, X, 1).exact
    assert not partial_dependence(network, X, 2).exact


def test_interactions_are_of_subnetworks_that_use_both_columns():
    network, X = additive(), rows(40)
    for pair in ((0, 1), (0, 3), (1, 3)):
        assert (partial_dependence(network, X, pair, grid_resolution=4).values == 0).all()
    found = partial_dependence(network, X, (1, 2), grid_resolution=5)
    assert found.exact
    v, w = np.meshgrid(*found.grid, indexing="ij")

    def f(a, b):
        return -np.maximum(a + b, 0)

    of_v = f(v[..., None], X[:, 2]).mean(axis=-1)
    of_w = f(X[:, 1], w[..., None]).mean(axis=-1)
    expected = f(v, w) - of_v - of_w + f(X[:, 1], X[:, 2]).mean()
    np.testing.assert_allclose(found.values[0], expected, atol=1e-12)
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("kind", ["relu", "gated"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_averages_are_those_of_predictions(kind, outputs):
    network, X = random_network((2,), kind, outputs=outputs), rows(30)
    network.leaf_weights = network.leaf_weights.copy()
    network.leaf_weights[0, :, 1:] = 0  # a part of one column alone, but for gates
    found = partial_dependence(network, X, 0, grid_resolution=7)
    curves = []
    for value in found.grid[0]:
        Z = X.copy()
        Z[:, 0] = value
        curves.append(network.predict(Z).reshape(len(X), -1))
    curves = np.array(curves)  # (points, rows, outputs)
    mean = curves.mean(axis=1)
    at_rows = [np.interp(X[:, 0], found.grid[0], found.values[c]) for c in range(outputs)]
    np.testing.assert_allclose(found.values - found.values[:, :1], (mean - mean[0]).T, atol=1e-10)
    spread = np.quantile(curves - curves.mean(axis=0), [0.1, 0.9], axis=1) - (mean - mean.mean(axis=0))
    np.testing.assert_allclose(found.band - found.values, np.moveaxis(spread, 2, 1), atol=1e-10)
    assert np.abs(np.mean(at_rows, axis=1)).max() < 0.2 * np.ptp(
        found.values
    )  # the mean over rows is about 0


def test_averages_are_those_of_scikit_learn():
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = pr.PathReLURegressor(alpha=0.01, random_state=0).fit(X, y)
    found = partial_dependence(model, X, "petal width (cm)", grid_resolution=10)
    expected = brute_force(model, X, [3], custom_values={3: found.grid[0]}, method="brute", kind="average")[
        "average"
    ][0]
    np.testing.assert_allclose(found.values[0] - found.values[0, 0], expected - expected[0], atol=1e-9)


def test_columns_of_every_kind_have_a_grid():
    frame = table(300, seed=3)
    frame["text"] = frame["text"].astype(object)
    y = 2.0 * (frame["text"] == "red") + frame["count"] + np.abs(frame["size"].fillna(0))
    model = pr.PathReLURegressor(alpha=0.05, encode="ramps", random_state=0).fit(frame, y)
    frame.loc[[0, 1], "text"] = ["never seen", "nor this"]
    found = partial_dependence(model, frame, "text")
    assert found.grid[0].tolist() == ["blue", "green", "rare", "red", "other", "missing"]
    for name, value in zip(found.grid[0], found.values[0], strict=True):
        given = frame.assign(text={"other": "new", "missing": None}.get(name, name))
        given["text"] = given["text"].astype(object)
        difference = model.predict(given).mean() - model.predict(frame.assign(text="red")).mean()
        assert value - found.values[0, 3] == pytest.approx(difference, abs=1e-9)
    names = {"never seen": "other", "nor this": "other"}
    shown = [names.get(v, v) if isinstance(v, str) else "missing" for v in frame["text"]]
    own = [found.grid[0].tolist().index(name) for name in shown]
    assert found.values[0, own].mean() == pytest.approx(0, abs=1e-9)
    found = partial_dependence(model, frame, "day", grid_resolution=20)
    assert found.is_time == (True,)
    knots = model.network_.encoder.columns_[5].parts[0].knots
    inside = [knot for knot in knots if found.grid[0][0] <= knot <= found.grid[0][-1]]
    assert set(inside) <= set(found.grid[0])
    assert len(found.grid[0]) > 20
    assert partial_dependence(model, frame, "count").grid[0].tolist() == [0, 1, 2, 3]
    assert partial_dependence(model, frame, "category").grid[0].tolist() == ["1", "2", "30"]
    pair = partial_dependence(model, frame, ("text", "count"), max_rows=40)
    assert pair.values.shape == (1, 6, 4)
    few = frame.iloc[np.arange(40) * 300 // 40]
    again = partial_dependence(model, few, ("text", "count"))
    places = [pair.grid[0].tolist().index(level) for level in again.grid[0]]
    np.testing.assert_allclose(pair.values[:, places], again.values, atol=1e-12)


def test_what_is_no_column_is_refused():
    network, X = additive(feature_names=["a", "b", "c", "d"]), rows(10)
    for columns, words in (
        ("e", "columns has 'e'; expected one of a, b, c, d"),
        (4, "columns is 4; expected an integer from 0 to 3"),
        ((0, "a"), "expected different ones"),
        ((0, 1, 2), "columns are 3; expected one, or a pair"),
    ):
        with pytest.raises(ValueError, match=words):
            partial_dependence(network, X, columns)
    with pytest.raises(TypeError, match="columns has type float"):
        partial_dependence(network, X, 0.5)
    with pytest.raises(ValueError, match="grid_resolution is 1"):
        partial_dependence(network, X, 0, grid_resolution=1)
    with pytest.raises(ValueError, match="max_rows is 0"):
        partial_dependence(network, X, 0, max_rows=0)
    frame = pd.DataFrame(rows(30, 2), columns=["a", "b"])
    frame.loc[0, "a"] = None
    model = pr.PathReLURegressor(alpha=0.1, random_state=0).fit(frame, np.arange(30.0))
    frame["a"] = np.nan
    with pytest.raises(ValueError, match="column 'a' of X is missing in all rows"):
        partial_dependence(model, frame, "a")


# ---- Displays ------------------------------------------------------------------


def test_curves_bands_and_maps_are_drawn():
    network, X = additive(feature_names=["a", "b", "c", "d"]), rows(40)
    display = PartialDependenceDisplay.from_estimator(network, X, ["a", 1, ("b", "c")], grid_resolution=6)
    assert [axes.get_xlabel() for axes in display.axes_] == ["a", "b", "b"]
    assert [axes.get_title() for axes in display.axes_] == [
        "exact",
        "averaged over rows",
        "Interaction (exact)",
    ]
    first, second = (partial_dependence(network, X, j, grid_resolution=6) for j in (0, 1))
    for (line,), result in zip(display.lines_, (first, second), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), result.grid[0])
        np.testing.assert_array_equal(line.get_ydata(), result.values[0])
    assert not display.axes_[0].collections
    (band,) = display.axes_[1].collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(second.band[0].min())
    assert heights.max() == pytest.approx(second.band[1].max())
    pair = partial_dependence(network, X, (1, 2), grid_resolution=6)
    np.testing.assert_array_equal(display.maps_[0].get_array(), pair.values[0].T)
    low, high = display.maps_[0].get_clim()
    assert low == -high == -np.abs(pair.values).max()
    display.figure_.canvas.draw()


def test_panels_say_what_they_show_and_have_room_for_it():
    frame = pd.DataFrame({"pay": 1e5 * rows(60, 1)[:, 0], "b": rows(60, 1)[:, 0], "c": np.arange(60) % 7.0})
    frame["place"] = np.where(frame["b"] > 0, "somewhere with a long name indeed", "here")
    label = np.where(frame["pay"] > 0, "yes", "no")
    model = pr.PathReLUClassifier(alpha=0.01, random_state=0).fit(frame, label)
    display = PartialDependenceDisplay.from_estimator(model, frame, ["pay", "b", "c", "place"])
    assert {axes.get_ylabel() for axes in display.axes_} == {"Change of the log-odds of yes"}
    assert {axes.get_gridspec().get_geometry() for axes in display.axes_} == {(2, 2)}
    names = [label.get_text() for label in display.axes_[3].get_xticklabels()]
    assert names == ["here", "somewhere with a lo\N{HORIZONTAL ELLIPSIS}"]
    assert len(display.axes_[0].get_xticks()) <= 6


def test_outputs_have_a_line_each_or_one_is_asked_for():
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = pr.PathReLUClassifier(alpha=0.02, random_state=0).fit(X, y)
    display = PartialDependenceDisplay.from_estimator(model, X, max_rows=20)
    order = np.argsort(-model.feature_importances_)
    assert [axes.get_xlabel() for axes in display.axes_] == X.columns[order].tolist()
    assert [line.get_label() for line in display.lines_[0]] == ["class 0", "class 1", "class 2"]
    one = PartialDependenceDisplay.from_estimator(
        model, X, [0, (0, 1)], output=2, max_rows=20, grid_resolution=4
    )
    assert [len(lines) for lines in one.lines_] == [1]
    assert one.axes_[0].get_ylabel() == "Change of class 2"
    for options, words in (
        ({"features": [(0, 1)]}, "3 outputs; expected output="),
        ({"output": 3}, "output is 3; expected an integer from 0 to 2"),
        ({"features": "petal width (cm)"}, "expected a sequence of columns"),
        ({"features": []}, "expected a sequence of columns"),
    ):
        with pytest.raises(ValueError, match=words):
            PartialDependenceDisplay.from_estimator(model, X, **options)


def test_levels_have_names_and_times_dates():
    frame = table(120, seed=3)
    y = np.where(frame["text"] == "red", 2.0, 0.0) + frame["count"] * (frame["text"] == "red")
    model = pr.PathReLURegressor(alpha=0.05, random_state=0).fit(frame, y)
    panels = ["text", "day", ("text", "count")]
    axes = plt.subplots(1, 3)[1]
    display = PartialDependenceDisplay.from_estimator(model, frame, panels, max_rows=30, ax=axes)
    display.figure_.canvas.draw()
    assert list(display.axes_) == list(axes)
    names = partial_dependence(model, frame, "text").grid[0].tolist()
    assert [tick.get_text() for tick in axes[0].get_xticklabels()] == names
    assert [tick.get_text() for tick in axes[2].get_xticklabels()] == names
    assert any(tick.get_text() in ("2020", "2021", "2022") for tick in axes[1].get_xticklabels())
    assert axes[2].get_yticks().tolist() == [0, 1, 2, 3]
    assert len(axes[0].containers) == 1  # of bars that show how far rows are apart
