"""What displays draw, read back from the artists, against values computed here."""

import builtins
import pickle

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pathrelu as pr
from pathrelu import plotting
from pathrelu.inspection import feature_importance, feature_path_norms, preactivations, subnetwork_importance
from pathrelu.plotting import (
    ArrangementDisplay,
    ConvergenceDisplay,
    DecisionBoundaryDisplay,
    FeatureImportanceDisplay,
    RegularizationPathDisplay,
    ReliabilityDisplay,
    SubnetworkImportanceDisplay,
)
from pathrelu.plotting._axes import distinct_colors


@pytest.fixture(autouse=True)
def no_figures_are_left():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3))
    return X, np.maximum(X[:, 0], 0) - np.abs(X[:, 1]) + 0.1 * rng.standard_normal(80)


@pytest.fixture(scope="module")
def path(table):
    X, y = table
    arrangements = pr.sample_arrangements(X[:60], 20, random_state=0).with_skip_connection()
    return pr.solve_path(X[:60], y[:60], arrangements, n_alphas=8, eps=1e-2, fit_intercept=True)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return X, y, pr.PathReLUClassifier(alpha=0.01, random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def moons():
    X, y = make_moons(150, noise=0.2, random_state=0)
    return X, y, pr.PathReLUClassifier(alpha=0.01, random_state=0).fit(X, y)


def axes(n):
    """Axes of a figure that pyplot does not know."""
    return Figure().subplots(n, squeeze=False)[:, 0]


def lengths(bars):
    return np.array([bar.get_width() for bar in bars])


# Regularization path


def test_a_path_shows_the_path_norm_of_every_block_and_the_scores(path, table):
    X, y = table
    display = RegularizationPathDisplay.from_path(path, X[60:], y[60:], ax=axes(2))
    alphas, up = path.alphas[::-1], path.solutions[::-1]
    expected = np.array([np.sqrt((s.blocks[:-1] ** 2).sum(axis=(2, 3))).ravel() for s in up])
    expected = expected[:, expected.any(axis=0)]
    assert len(display.lines_) == expected.shape[1] > 3
    for line, norms in zip(display.lines_, expected.T, strict=True):
        assert np.array_equal(line.get_xdata(), alphas)
        assert np.allclose(line.get_ydata(), norms, rtol=1e-12)
    (skip,) = display.skip_lines_
    assert np.allclose(skip.get_ydata(), [np.linalg.norm(s.blocks[-1, 0, 0]) for s in up])
    errors = [((s.network().predict(X[60:]) - y[60:]) ** 2).mean() for s in up]
    scores = 1 - np.array(errors) / y[60:].var()
    assert np.allclose(display.score_line_.get_ydata(), scores)
    assert [line.get_xdata()[0] for line in display.alpha_lines_] == [alphas[scores.argmax()]] * 2
    assert display.axes_[1].get_xscale() == display.axes_[0].get_xscale() == "log"
    # Norms of all parts add up to that of the network.
    total = sum(line.get_ydata() for line in [*display.lines_, skip])
    assert np.allclose(total, [s.network().path_norm() for s in up])


def test_scores_of_a_path_are_those_of_means_where_outputs_are_logarithms(table):
    X, y = table
    counts = np.round(np.exp(y))
    path = pr.solve_path(
        X, counts, pr.sample_arrangements(X, 10, random_state=0), [0.1, 0.01], loss="poisson"
    )
    display = RegularizationPathDisplay.from_path(path, X, counts)
    means = [np.exp(solution.network().predict(X)) for solution in path.solutions]
    expected = [r2_score(counts, mean) for mean in means]
    assert np.allclose(display.score_line_.get_ydata(), expected[::-1])


def test_sub_networks_have_the_color_of_their_output_sign(path):
    display = RegularizationPathDisplay.from_path(path, ax=axes(1))
    shown = np.array([s.blocks[:-1].any(axis=(2, 3)).ravel() for s in path.solutions]).any(axis=0)
    side = np.flatnonzero(shown) % 2
    assert [line.get_color() for line in display.lines_] == [plotting.PALETTE[k] for k in side]
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["output sign +", "output sign −", "skip connection"]
    assert display.score_line_ is display.alpha_lines_ is None


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_a_path_of_several_classes_is_colored_by_output(activation):
    X, y = load_iris(return_X_y=True)
    X = np.c_[X - X.mean(axis=0), np.ones(len(X))]
    arrangements = pr.sample_arrangements(X, 8, 3, 2, random_state=0)
    path = pr.solve_path(X, y, arrangements, [0.1, 0.03], activation=activation, loss="log_loss")
    display = RegularizationPathDisplay.from_path(path, X, y, ax=axes(2))
    shown = np.array([s.blocks.any(axis=(3, 4)).reshape(3, -1) for s in path.solutions]).any(axis=0)
    assert [line.get_color() for line in display.lines_] == [
        plotting.PALETTE[c] for c in np.nonzero(shown)[0]
    ]
    outputs = [s.network().predict(X).argmax(axis=1) for s in path.solutions[::-1]]
    assert np.allclose(display.score_line_.get_ydata(), [(output == y).mean() for output in outputs])


@pytest.mark.parametrize("options", [{"bias": False}, {"skip_connection": True, "depth": 3, "width": 2}])
def test_the_path_of_an_estimator_passes_through_its_own_network(table, options):
    X, y = table
    w = np.linspace(0.5, 1.5, 60)
    model = pr.PathReLURegressor(alpha=0.01, random_state=0, tol=1e-7, **options)
    model.fit(X[:60], y[:60], w)
    display = RegularizationPathDisplay.from_estimator(
        model, X[:60], y[:60], sample_weight=w, n_alphas=5, X_test=X[60:], y_test=y[60:], ax=axes(2)
    )
    lines = [*display.lines_, *display.skip_lines_]
    assert lines[0].get_xdata()[0] == pytest.approx(0.01)
    norm = sum(line.get_ydata()[0] for line in lines)
    assert norm == pytest.approx(model.network_.path_norm(), rel=1e-3)
    assert display.score_line_.get_ydata()[0] == pytest.approx(model.score(X[60:], y[60:]), abs=1e-3)
    # The largest alpha is the least that leaves nothing.
    assert max(line.get_ydata()[-1] for line in lines) == 0
    assert max(line.get_ydata()[-2] for line in lines) > 0


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_the_path_of_a_classifier_has_its_labels_and_weights(activation):
    X, y = load_iris(return_X_y=True)
    names = np.array(["a", "b", "c"])[y]
    weight = np.where(y == 0, 5.0, 1.0)[20:]  # which "balanced" takes into account
    model = pr.PathReLUClassifier(
        alpha=0.02, activation=activation, class_weight="balanced", random_state=0, tol=1e-6
    ).fit(X[20:], names[20:], weight)
    display = RegularizationPathDisplay.from_estimator(
        model,
        X[20:],
        names[20:],
        sample_weight=weight,
        alphas=[0.02, 0.1],
        X_test=X,
        y_test=names,
        ax=axes(2),
    )
    norm = sum(line.get_ydata()[0] for line in display.lines_)
    assert norm == pytest.approx(model.network_.path_norm(), rel=5e-3)
    assert display.score_line_.get_ydata()[0] == pytest.approx(model.score(X, names), abs=0.01)


def cross_validated(table):
    """A fitted estimator with what cross-validation adds, of two encodings and after two rescalings."""
    X, y = table
    model = pr.PathReLURegressor(alpha=0.02, random_state=0).fit(X, y)
    model.alphas_, model.alpha_, model.best_index_ = np.array([0.2, 0.02, 0.05, 0.3, 0.02, 0.02]), 0.02, 1
    model.cv_results_ = {
        "param_alpha": model.alphas_,
        "param_encode": np.array(["linear", "linear", "linear", "ramps", "linear", "linear"]),
        "n_rescalings": np.array([0, 1, 0, 0, 0, 2]),
        "mean_test_score": np.array([0.1, 0.7, 0.5, 0.6, 0.4, 0.3]),
        "std_test_score": np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06]),
        "n_subnetworks": np.array([1.0, 7.0, 5.0, 6.0, 4.0, 3.0]),
    }
    return model


def test_cross_validation_shows_scores_spread_and_the_alpha_chosen(table):
    display = RegularizationPathDisplay.from_estimator(cross_validated(table), ax=axes(2))
    (numbers,) = display.lines_
    assert numbers.get_ydata().tolist() == [7, 5, 1]
    assert display.score_line_.get_xdata().tolist() == [0.02, 0.05, 0.2]
    assert display.score_line_.get_ydata().tolist() == [0.7, 0.5, 0.1]
    corners = display.score_band_.get_paths()[0].vertices
    assert {(0.05, 0.47), (0.05, 0.53)} <= {tuple(np.round(corner, 9)) for corner in corners}
    assert display.alpha_lines_[0].get_xdata()[0] == 0.02


def test_cross_validation_with_rows_shows_path_norms_at_the_same_alphas(table):
    model = cross_validated(table)
    display = RegularizationPathDisplay.from_estimator(model, *table, ax=axes(2))
    assert display.lines_[0].get_xdata().tolist() == [0.02, 0.05, 0.2]
    assert display.score_line_.get_ydata().tolist() == [0.7, 0.5, 0.1]
    norm = sum(line.get_ydata()[0] for line in display.lines_)
    assert norm == pytest.approx(model.network_.path_norm(), rel=0.02)


def test_what_a_path_cannot_be_drawn_from_is_refused(path, table):
    X, y = table
    model = pr.PathReLURegressor(alpha=0.05, random_state=0)
    with pytest.raises(NotFittedError):
        RegularizationPathDisplay.from_estimator(model, X, y)
    model.fit(X, y)
    with pytest.raises(TypeError, match="path has type list"):
        RegularizationPathDisplay.from_path(path.solutions)
    with pytest.raises(ValueError, match="one came without the other"):
        RegularizationPathDisplay.from_path(path, X)
    with pytest.raises(TypeError, match="scoring is 'r2'"):
        RegularizationPathDisplay.from_path(path, X, y, scoring="r2")
    with pytest.raises(ValueError, match="X is None; expected the rows of training"):
        RegularizationPathDisplay.from_estimator(model)
    with pytest.raises(ValueError, match="X has 2 columns; expected 3"):
        RegularizationPathDisplay.from_estimator(model, X[:, :2], y)
    with pytest.raises(ValueError, match="no sub-networks"):
        RegularizationPathDisplay.from_estimator(pr.PathReLURegressor(alpha=1e6).fit(X, y), X, y)
    with pytest.raises(ValueError, match="low_rank"):
        RegularizationPathDisplay.from_estimator(
            pr.PathReLURegressor(alpha=0.05, low_rank=2, random_state=0).fit(X, y), X, y
        )
    assert plt.get_fignums() == []


# Convergence


@pytest.mark.parametrize("clock", ["iterations", "seconds", "both"])
def test_convergence_shows_every_record(table, clock):
    model = pr.PathReLURegressor(alpha=0.001, arrangements="sample", n_arrangements=30, random_state=0)
    history = model.fit(*table).history_
    display = ConvergenceDisplay.from_estimator(model, clock=clock)
    assert len(history) > 2
    x = {"iterations": [r.n_iter for r in history], "seconds": [r.seconds for r in history]}
    clocks = list(x) if clock == "both" else [clock]
    assert display.axes_.shape == (2, len(clocks))
    for name, objective, gap in zip(clocks, display.objective_lines_, display.gap_lines_, strict=True):
        assert list(objective.get_xdata()) == list(gap.get_xdata()) == x[name]
        assert list(objective.get_ydata()) == [r.objective for r in history]
        assert list(gap.get_ydata()) == [r.gap for r in history]
        assert gap.axes.get_yscale() == "log"


def test_each_output_of_a_regression_is_a_run_of_its_own(table):
    X, y = table
    model = pr.PathReLURegressor(alpha=0.01, outputs="separate", random_state=0)
    model.fit(X, np.c_[y, np.abs(X[:, 2]), X[:, 0]])
    display = ConvergenceDisplay.from_estimator(model, clock="seconds", ax=axes(2))
    assert [record for run in display.runs for record in run] == model.history_
    assert len(display.gap_lines_) == len(display.runs) == 3
    for run in display.runs:
        assert (np.diff([r.seconds for r in run]) >= 0).all()
        assert (np.diff([r.n_iter for r in run]) >= 0).all()
    assert len(display.axes_[0, -1].get_legend().get_texts()) == 3


def test_a_gap_of_zero_is_left_out_of_the_logarithms(table):
    X, y = table
    record = pr.solve(X, y, pr.sample_arrangements(X, 5, random_state=0), 0.1).history[0]
    exact = type(record)(5, 0.1, 0.1, 0.0, 3, record.seconds + 1)
    display = ConvergenceDisplay([record, exact]).plot(clock="iterations", ax=axes(2))
    assert np.isnan(display.gap_lines_[0].get_ydata()).tolist() == [False, True]


def test_what_has_no_history_is_refused():
    with pytest.raises(NotFittedError):
        ConvergenceDisplay.from_estimator(pr.PathReLUClassifier())
    with pytest.raises(TypeError, match="solution has type float"):
        ConvergenceDisplay.from_solution(0.1)
    with pytest.raises(ValueError, match="history is empty"):
        ConvergenceDisplay([]).plot()
    with pytest.raises(ValueError, match="clock is 'minutes'"):
        ConvergenceDisplay([]).plot(clock="minutes")


# Decision boundary


def test_kinks_and_boundary_are_where_units_and_the_outputs_are_zero(moons):
    X, _, model = moons
    display = DecisionBoundaryDisplay.from_estimator(model, X, ax=axes(1)[0])
    (kinks,) = display.kinks_
    assert len(kinks.get_segments()) > 3
    for line in kinks.get_segments():
        assert np.abs(preactivations(model, line)[0]).min(axis=(1, 2)).max() < 1e-9
    boundary = np.concatenate(display.boundary_.get_segments())
    assert np.abs(model.decision_function(boundary)).max() < 0.02
    # The network is affine between its kinks: so it is on the grid, up to kinks of the cells.
    assert np.array_equal(display.response.ravel(), model.decision_function(grid_of(display)))


def grid_of(display):
    return np.stack([display.xx0.ravel(), display.xx1.ravel()], axis=1)


def test_every_first_layer_line_that_meets_the_window_is_drawn(moons):
    X, _, model = moons
    display = DecisionBoundaryDisplay.from_estimator(model, X, ax=axes(1)[0], grid_resolution=30)
    on = preactivations(model, grid_of(display))[0][:, :, 0] > 0
    crossing = np.flatnonzero(on.any(axis=0) & ~on.all(axis=0))
    # Which units switch on each line: more than one, where sub-networks are parallel.
    switching = [
        np.abs(preactivations(model, line)[0][..., 0]).max(axis=0) < 1e-9 for line in display.kinks[0]
    ]
    assert all(any(units[k] for units in switching) for k in crossing)
    norms = model.network_.subnetwork_norms()
    for norm, units in zip(display.kink_norms[0], switching, strict=True):
        assert norm in norms[units]
    alphas = display.kinks_[0].get_edgecolor()[:, 3]
    assert display.kink_norms[0][alphas.argmax()] == display.kink_norms[0].max()


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_kinks_of_deeper_units(activation):
    X, y = make_moons(100, noise=0.2, random_state=0)
    model = pr.PathReLUClassifier(
        alpha=0.01, depth=4, width=(2, 2), activation=activation, arrangements="sample", n_arrangements=20
    ).set_params(random_state=0)
    model.fit(X, y)
    display = DecisionBoundaryDisplay.from_estimator(
        model, X, ax=axes(1)[0], grid_resolution=300, response_method="predict_proba"
    )
    assert len(display.kinks_) == 3
    for layer, lines in enumerate(display.kinks):
        assert len(lines) == len(display.kink_norms[layer]) > 0
        for line in lines:
            values = np.abs(preactivations(model, line)[layer]).reshape(len(line), -1)
            assert np.median(values.min(axis=1)) < 0.02
    proba = model.predict_proba(grid_of(display))[:, 1]
    assert np.allclose(display.response.ravel(), proba, atol=1e-12)


def test_features_beside_the_two_chosen_are_fixed(iris):
    X, _, model = iris
    display = DecisionBoundaryDisplay.from_estimator(
        model, X, features=["petal width (cm)", 0], fixed="median", grid_resolution=10, ax=axes(1)[0]
    )
    rows = np.tile(X.median().to_numpy(), (100, 1))
    rows[:, 3], rows[:, 0] = display.xx0.ravel(), display.xx1.ravel()
    outputs = model.network_.predict(rows)
    if display.response.ndim == 3:
        assert np.allclose(display.response.reshape(100, 3), outputs)
    else:  # scikit-learn 1.6 shows the class alone
        assert np.array_equal(display.response.ravel(), outputs.argmax(axis=1))
    assert display.ax_.get_xlabel() == "petal width (cm)"
    assert display.ax_.get_ylabel() == "sepal length (cm)"
    low, high = X["petal width (cm)"].min(), X["petal width (cm)"].max()
    assert display.xx0.min() == pytest.approx(low - 0.05 * (high - low))
    assert display.ax_.get_title() == "Slice: the other 2 features at their median"
    row = X.iloc[100].to_numpy()
    other = DecisionBoundaryDisplay.from_estimator(
        model, X, features=[2, 3], fixed=row, grid_resolution=4, ax=axes(1)[0]
    )
    for line in other.kinks[0]:
        points = np.tile(row, (2, 1))
        points[:, 2:] = line
        assert np.abs(preactivations(model, points)[0]).min(axis=(1, 2)).max() < 1e-9


def test_the_boundary_of_several_classes_is_where_the_two_largest_outputs_are_alike(iris):
    X, y, model = iris
    display = DecisionBoundaryDisplay.from_estimator(model, X, features=[2, 3], ax=axes(1)[0])
    points = np.concatenate(display.boundary_.get_segments())
    rows = np.tile(X.mean().to_numpy(), (len(points), 1))
    rows[:, 2:] = points
    *_, second, first = np.sort(model.network_.predict(rows), axis=1).T
    assert len(points) > 100
    assert np.abs(first - second).max() < 0.05 * np.ptp(first)
    labels = display.ax_.get_legend_handles_labels()[1]
    if hasattr(display, "multiclass_colors_"):  # since scikit-learn 1.7
        assert {f"class {label}" for label in np.unique(y)} <= set(labels)
        assert len({tuple(color) for color in display.multiclass_colors_}) == 3
    assert "decision boundary" in labels


def test_surface_of_one_output_of_a_network(table):
    X, y = table
    model = pr.PathReLURegressor(alpha=0.01, random_state=0).fit(X, np.c_[y, X[:, 2]])
    display = DecisionBoundaryDisplay.from_estimator(
        model.network_, X, features=[0, 2], output=1, grid_resolution=5, kinks=False, ax=axes(1)[0]
    )
    rows = np.tile(X.mean(axis=0), (25, 1))
    rows[:, [0, 2]] = grid_of(display)
    assert np.allclose(display.response.ravel(), model.predict(rows)[:, 1])
    assert display.kinks_ == []
    assert display.ax_.get_xlabel() == "feature 0"


def test_bad_choices_of_features_are_refused(iris, moons):
    X, _, model = iris
    draw = DecisionBoundaryDisplay.from_estimator
    for features, message in (
        (None, "features is None; expected two of the 4 features"),
        ([0], r"features is \[0\]"),
        ([0, 1, 2], r"features is \[0, 1, 2\]"),
        ([0, 0], "two different ones"),
        ([0, 4], "an entry of features is 4; expected an integer from 0 to 3"),
        (["petal width (cm)", "hue"], "features has 'hue'"),
        ("ab", "features is 'ab'"),
    ):
        with pytest.raises(ValueError, match=message):
            draw(model, X, features=features)
    with pytest.raises(ValueError, match="X has no column 'petal width"):
        draw(model, X.iloc[:, :3], features=[0, 1])
    with pytest.raises(ValueError, match="fixed is 'mode'"):
        draw(model, X, features=[0, 1], fixed="mode")
    with pytest.raises(ValueError, match="output is 1"):
        draw(moons[2], moons[0], output=1)
    with pytest.raises(NotFittedError):
        draw(pr.PathReLUClassifier(), X)
    with pytest.raises(TypeError, match="pipeline"):
        draw(make_pipeline(StandardScaler(), model), X)
    assert plt.get_fignums() == []


# Importance


@pytest.mark.parametrize("options", [{}, {"activation": "gated", "depth": 3, "skip_connection": True}])
def test_bars_of_subnetworks(options):
    X, y = load_iris(return_X_y=True)
    model = pr.PathReLUClassifier(
        alpha=0.01, arrangements="sample", n_arrangements=50, random_state=0, tol=1e-3, **options
    ).fit(X, y)
    assert not model.network_.shared_outputs
    display = SubnetworkImportanceDisplay.from_estimator(model, X, max_shown=4)
    found = subnetwork_importance(model, X)
    order = np.argsort(-found.path_norm)[:4]
    assert display.order_.tolist() == order.tolist()
    norms, shares = found.path_norm[order], found.variance_share[order]
    outputs = found.output_index[order]
    labels = [str(k) for k in order]
    if options:
        norms, shares = np.append(norms, found.skip_path_norm), np.append(shares, found.skip_variance_share)
        outputs, labels = np.append(outputs, [0, 1, 2]), labels + ["skip"] * 3
    for panel, values in zip(display.bars_, [norms, shares], strict=True):
        for c, bars in enumerate(panel):
            assert np.allclose(lengths(bars), np.where(outputs == c, values, 0), rtol=1e-14, atol=0)
            assert {bar.get_x() for bar in bars if bar.get_width()} <= {0}
            assert {matplotlib.colors.to_hex(bar.get_facecolor()).upper() for bar in bars} == {
                plotting.PALETTE[c]
            }
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == labels
    legend = display.axes_[1].get_legend().get_texts()
    assert [text.get_text() for text in legend] == ["class 0", "class 1", "class 2"]


def test_bars_of_sub_networks_that_feed_several_outputs_are_stacked():
    # x, -2 x and a part against the others.
    network = pr.ParallelReLUNetwork(
        [[[3.0]], [[-1.0]], [[1.0]]],
        output_weights=[[-2.0, 1.0], [1.0, -1.0], [-0.5, -0.5]],
        intercept=[0.0, 0.0],
    )
    X = np.linspace(-1, 1, 21)[:, None]
    found = subnetwork_importance(network, X)
    display = SubnetworkImportanceDisplay.from_estimator(network, X, ax=axes(2))
    assert display.order_.tolist() == [0, 1, 2]
    norms = np.array([3 * np.sqrt(5), np.sqrt(2), np.sqrt(0.5)])
    first, second = (lengths(bars) for bars in display.bars_[0])
    assert np.allclose(first, norms * [0.8, 0.5, 0.5])
    assert np.allclose(second, norms * [0.2, 0.5, 0.5])
    assert np.allclose([bar.get_x() for bar in display.bars_[0][1]], first)

    outputs = network.predict(X) - network.predict(X).mean(axis=0)
    own = np.stack([np.maximum(w * X[:, 0], 0) for w in (3, -1, 1)], axis=1)
    parts = (network.output_weights * (own.T @ outputs)) / (outputs**2).sum()
    assert (parts[2] < 0).tolist() == [False, True]
    assert np.allclose([lengths(bars) for bars in display.bars_[1]], parts.T)
    assert np.allclose(parts.sum(axis=1), found.variance_share)
    # What works against the others goes to the left of 0, and does not move what comes after.
    assert [bar.get_x() for bar in display.bars_[1][1]] == pytest.approx(
        np.where(parts[:, 1] < 0, np.minimum(parts[:, 0], 0), np.maximum(parts[:, 0], 0))
    )


@pytest.fixture(scope="module")
def shared():
    """A classifier of three classes that share sub-networks, and a skip connection."""
    X, y = load_iris(return_X_y=True)
    model = pr.PathReLUClassifier(alpha=0.1, skip_connection=True, random_state=0, tol=1e-7).fit(X, y)
    assert model.network_.shared_outputs
    assert model.network_.skip_weights.any()
    return X, y, model


def test_the_path_of_shared_sub_networks_has_one_color_and_a_skip_connection_for_each_output(shared):
    X, y, model = shared
    display = RegularizationPathDisplay.from_estimator(
        model, X, y, n_alphas=4, X_test=X, y_test=y, ax=axes(2)
    )
    assert {line.get_color() for line in display.lines_} == {plotting.PALETTE[0]}
    at_first = sorted(line.get_ydata()[0] for line in display.lines_)
    assert at_first[-model.n_subnetworks_ :] == pytest.approx(
        sorted(model.network_.subnetwork_norms()), rel=1e-2
    )
    skips = [line.get_ydata()[0] for line in display.skip_lines_]
    assert skips == pytest.approx(subnetwork_importance(model).skip_path_norm, rel=1e-2, abs=1e-3)
    assert len(skips) == 3
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["skip connection"]


def test_other_displays_of_shared_sub_networks(shared):
    X, y, model = shared
    K = model.n_subnetworks_
    bars = SubnetworkImportanceDisplay.from_estimator(model, X)
    drawn = [sum(lengths(part) for part in panel).sum() for panel in bars.bars_]
    assert drawn == pytest.approx([model.network_.path_norm(), 1])
    patterns = ArrangementDisplay.from_estimator(model, X, values=y)
    assert patterns.mask_image_.get_array().shape == (150, K)
    assert np.allclose(patterns.weights, feature_path_norms(model))
    # One program, not one for each class.
    convergence = ConvergenceDisplay.from_estimator(model)
    assert len(convergence.runs) == 1
    assert convergence.axes_[0, -1].get_legend() is None
    surface = DecisionBoundaryDisplay.from_estimator(model, X, features=[2, 3], grid_resolution=10)
    assert surface.response.shape == (10, 10, 3)
    # A sub-network switches on one line, whatever the number of outputs.
    assert len(surface.kinks[0]) <= K
    assert set(surface.kink_norms[0]) <= set(model.network_.subnetwork_norms())
    features = FeatureImportanceDisplay.from_estimator(model)
    assert np.allclose(
        sum(lengths(part) for part in features.bars_), feature_importance(model)[features.order_]
    )


def test_without_rows_there_are_no_shares(iris):
    display = SubnetworkImportanceDisplay.from_estimator(iris[2].network_, ax=axes(1)[0])
    assert len(display.axes_) == len(display.bars_) == 1


def test_bars_of_features_are_stacked_over_outputs(iris):
    _, _, model = iris
    display = FeatureImportanceDisplay.from_estimator(model, max_shown=3, scaled=False, ax=axes(1)[0])
    parts = feature_importance(model, by_output=True, scaled=False)
    order = np.argsort(-parts.sum(axis=0))[:3]
    for bars, values in zip(display.bars_, parts, strict=True):
        assert np.allclose(lengths(bars), values[order])
    ends = [bar.get_x() + bar.get_width() for bar in display.bars_[-1]]
    assert np.allclose(ends, parts.sum(axis=0)[order])
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == list(model.feature_names_in_[order])
    named = FeatureImportanceDisplay.from_estimator(model, features=list("abcd"), ax=axes(1)[0])
    assert named.ax_.get_yticklabels()[0].get_text() == "abcd"[feature_importance(model).argmax()]


def test_bad_input_of_bars_is_refused(iris):
    with pytest.raises(ValueError, match="features has 2 names; expected 4"):
        FeatureImportanceDisplay.from_estimator(iris[2], features=["a", "b"])
    with pytest.raises(ValueError, match="max_shown is 0"):
        FeatureImportanceDisplay.from_estimator(iris[2], max_shown=0)
    with pytest.raises(ValueError, match="no sub-networks and no skip connection"):
        SubnetworkImportanceDisplay.from_estimator(pr.PathReLUClassifier(alpha=1e3).fit(*iris[:2]))
    with pytest.raises(NotFittedError):
        SubnetworkImportanceDisplay.from_estimator(pr.PathReLUClassifier())
    assert plt.get_fignums() == []


# Arrangements


@pytest.mark.parametrize(("activation", "depth"), [("relu", 2), ("gated", 3), ("relu", 4)])
def test_arrangements_of_a_solution_and_of_its_network_are_the_same(table, activation, depth):
    X, y = table
    arrangements = pr.sample_arrangements(X, 15, depth, 2, random_state=0).with_skip_connection()
    solution = pr.solve(X, y, arrangements, 0.01, activation=activation)
    display = ArrangementDisplay.from_solution(solution, ax=axes(2))
    group, side = np.nonzero(solution.blocks[:-1].any(axis=(2, 3)))
    masks = arrangements.masks()[group].mean(axis=1).T
    rows, columns = display.row_order_, display.subnetwork_order_
    assert sorted(rows) == list(range(80))
    assert np.array_equal(display.mask_image_.get_array(), masks[rows][:, columns])
    weights = np.sqrt((solution.blocks[group, side] ** 2).sum(axis=1))[columns].T
    assert np.allclose(display.weight_image_.get_array().filled(0), weights)
    assert np.array_equal(display.weights, feature_path_norms(solution.network()))
    network = ArrangementDisplay.from_estimator(solution.network(), X, ax=axes(2))
    # A row on the facet of a cone is on or off by rounding.
    layers = preactivations(solution.network(), X)
    clear = np.min([np.abs(layer).min(axis=2) for layer in layers], axis=0) > 1e-9
    assert clear.mean() > 0.3
    assert np.array_equal(network.masks[clear], display.masks[clear])


def test_rows_are_sorted_by_value_or_so_that_alike_ones_are_side_by_side(iris):
    X, y, model = iris
    shuffled = np.random.default_rng(0).permutation(150)
    by_value = ArrangementDisplay.from_estimator(model, X.iloc[shuffled], values=y[shuffled], ax=axes(2))
    assert (np.diff(y[shuffled].to_numpy()[by_value.row_order_]) >= 0).all()

    def changes(image):
        return np.abs(np.diff(image, axis=0)).sum()

    by_pattern = ArrangementDisplay.from_estimator(model, X.iloc[shuffled], ax=axes(2))
    assert changes(by_pattern.mask_image_.get_array()) < changes(np.asarray(by_pattern.masks)) / 3
    names = [label.get_text() for label in by_pattern.axes_[1].get_yticklabels()]
    assert names == list(X.columns)


def test_a_title_that_is_there_stays(iris):
    X, _, model = iris
    (given,) = axes(1)
    given.set_title("mine")
    assert FeatureImportanceDisplay.from_estimator(model, ax=given).ax_.get_title() == "mine"
    assert ArrangementDisplay.from_estimator(model, X).ax_.get_title() == "Where sub-networks are on"
    plt.close("all")


def test_on_and_off_have_a_colour_each_and_classes_are_named(iris):
    X, y, model = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    display = ArrangementDisplay.from_estimator(model, X, values=names)
    assert display.mask_image_.cmap.N == 2
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == sorted(set(names))
    assert np.allclose(display.ax_.get_yticks(), [24.5, 74.5, 124.5])
    bar = display.mask_image_.colorbar
    assert [label.get_text() for label in bar.ax.get_yticklabels()] == ["off", "on"]
    shares = ArrangementDisplay(np.arange(5)[:, np.newaxis] / 4, [[1.0]], values=range(5)).plot()
    assert shares.mask_image_.cmap.N == 5
    labels = [label.get_text() for label in shares.mask_image_.colorbar.ax.get_yticklabels()]
    assert labels == ["0/4", "1/4", "2/4", "3/4", "4/4"]
    assert shares.ax_.get_ylabel() == "Rows, by value"
    plt.close("all")


def test_arrangements_refuse_what_does_not_fit(iris):
    X, y, model = iris
    with pytest.raises(ValueError, match=r"values has shape \(149,\); expected \(150,\)"):
        ArrangementDisplay.from_estimator(model, X, values=y[1:])
    with pytest.raises(ValueError, match="no sub-networks"):
        ArrangementDisplay.from_estimator(pr.PathReLUClassifier(alpha=1e3).fit(X, y), X)
    with pytest.raises(TypeError, match="solution has type"):
        ArrangementDisplay.from_solution(model)
    assert plt.get_fignums() == []


# Reliability


def noisy_probabilities(n=400):
    rng = np.random.default_rng(0)
    shares = rng.beta(0.7, 0.7, n)
    return rng.random(n) < shares**2, shares


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_reliability_of_two_classes_is_that_of_scikit_learn(strategy):
    y, shares = noisy_probabilities()
    display = ReliabilityDisplay.from_predictions(y, shares, n_bins=8, strategy=strategy, ax=axes(2))
    share, probability = calibration_curve(y, shares, n_bins=8, strategy=strategy)
    assert np.allclose(display.probability, probability)
    assert np.allclose(display.share, share)
    assert sum(display.weight) == 400
    line = display.errorbar_.lines[0]
    assert np.allclose(line.get_xdata(), probability)
    assert np.allclose(line.get_ydata(), share)
    error = np.average(np.abs(share - probability), weights=display.weight)
    assert display.expected_calibration_error == pytest.approx(error)
    assert f"calibration error {error:.3f}" in display.ax_.get_legend_handles_labels()[1]
    # both ends solve the equation of the score interval, between which the bars are
    ends = np.asarray(display.interval)
    distance = (ends - share) ** 2 - 1.959963984540054**2 * ends * (1 - ends) / display.weight
    assert np.allclose(distance, 0, atol=1e-12)
    bars = np.array(display.errorbar_.lines[2][0].get_segments())[:, :, 1]
    assert np.allclose(bars.T, ends)
    rows, _ = np.histogram(shares, 20, (0, 1))
    assert np.array_equal(display.histogram_.get_data().values, rows)


def test_intervals_hold_the_share_of_the_distribution():
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(100):
        shares = rng.random(300)
        display = ReliabilityDisplay.from_predictions(rng.random(300) < shares, shares, n_bins=5, ax=axes(2))
        lower, upper = display.interval
        inside.append((lower <= display.probability) & (display.probability <= upper))
    assert 0.92 < np.mean(inside) < 0.98
    assert display.expected_calibration_error < 0.1


def test_reliability_of_several_classes(iris):
    X, _, model = iris
    y = np.array(["p", "q", "r"])[np.random.default_rng(0).integers(3, size=150)]
    model = pr.PathReLUClassifier(alpha=0.01, random_state=0).fit(X, y)
    shares = model.predict_proba(X)
    display = ReliabilityDisplay.from_estimator(model, X, y, n_bins=1, ax=axes(2))
    assert np.allclose(display.probability, shares.max(axis=1).mean())
    assert np.allclose(display.share, model.score(X, y))
    assert display.axes_[1].get_xlabel() == "Probability of the class predicted"
    of_one = ReliabilityDisplay.from_estimator(model, X, y, n_bins=1, pos_label="q", ax=axes(2))
    assert np.allclose(of_one.probability, shares[:, 1].mean())
    assert np.allclose(of_one.share, np.mean(y == "q"))
    assert of_one.axes_[1].get_xlabel() == "Probability of class q"
    same = ReliabilityDisplay.from_predictions(y, shares, n_bins=1, pos_label="q", ax=axes(2))
    assert np.array_equal(same.share, of_one.share)


def test_weights_of_rows_in_reliability_count_as_repetitions():
    y, shares = noisy_probabilities()
    weight = np.arange(400) % 3
    options = {"n_bins": 5, "strategy": "uniform"}
    weighted = ReliabilityDisplay.from_predictions(y, shares, sample_weight=weight, ax=axes(2), **options)
    again = np.repeat(np.arange(400), weight)
    repeated = ReliabilityDisplay.from_predictions(y[again], shares[again], ax=axes(2), **options)
    for name in ("probability", "share", "weight", "histogram"):
        assert np.allclose(getattr(weighted, name), getattr(repeated, name)), name
    assert np.all(np.diff(weighted.interval, axis=0) > np.diff(repeated.interval, axis=0))  # fewer rows
    only = ReliabilityDisplay.from_predictions(y, shares, sample_weight=2 * (weight > 0), ax=axes(2))
    used = ReliabilityDisplay.from_predictions(y[weight > 0], shares[weight > 0], ax=axes(2))
    assert np.allclose(only.interval, used.interval)  # which the unit of weights does not change


def test_displays_of_reliability_are_drawn_over_each_other():
    y, shares = noisy_probabilities()
    first = ReliabilityDisplay.from_predictions(y, shares, name="first")
    second = ReliabilityDisplay.from_predictions(y, shares**2, name="second", ax=first.axes_)
    assert len(plt.get_fignums()) == 1
    _, labels = first.ax_.get_legend_handles_labels()
    assert [label.partition(":")[0] for label in labels] == ["calibrated", "first", "second"]
    assert first.errorbar_.lines[0].get_color() != second.errorbar_.lines[0].get_color()
    assert second.expected_calibration_error < first.expected_calibration_error


def test_bad_input_of_reliability_is_refused(iris):
    X, y, model = iris
    shares = model.predict_proba(X)
    regression = pr.PathReLURegressor(alpha=0.1).fit(X, y)
    with pytest.raises(TypeError, match="PathReLURegressor, without predict_proba"):
        ReliabilityDisplay.from_estimator(regression, X, y)
    for arguments, options, message in (
        ((y, shares[:, :2]), {}, r"y_prob has shape \(150, 2\); expected a row for each of 150 labels"),
        ((y[1:], shares), {}, r"y_prob has shape \(150, 3\); expected a row for each of 149 labels"),
        ((y, shares), {"pos_label": 7}, r"pos_label is 7; expected one of \[0, 1, 2\]"),
        ((y, shares), {"classes": [0, 1, 5]}, "y_true has the label 2; expected one of"),
        ((y, 2 * shares), {}, "y_prob has the value .* expected probabilities"),
        ((y, np.full_like(shares, np.nan)), {}, "y_prob has the value nan"),
        ((y, shares), {"n_bins": 0}, "n_bins is 0"),
        ((y, shares), {"strategy": "equal"}, "strategy is 'equal'"),
        ((y, shares), {"sample_weight": -np.ones(150)}, "sample_weight has the value -1"),
        ((np.where(y > 1, np.nan, y), shares), {}, "y_true has missing values"),
    ):
        with pytest.raises(ValueError, match=message):
            ReliabilityDisplay.from_predictions(*arguments, **options)
    assert plt.get_fignums() == []


# Axes, and matplotlib itself


def test_axes_given_are_used_and_pyplot_is_left_alone(path, iris):
    given = axes(1)
    display = RegularizationPathDisplay.from_path(path, ax=given[0])
    assert display.ax_ is given[0]
    assert display.figure_ is given[0].figure
    assert plt.get_fignums() == []
    SubnetworkImportanceDisplay.from_estimator(iris[2], iris[0])
    assert len(plt.get_fignums()) == 1


def test_one_axes_is_divided_where_several_are_needed(iris):
    X, _, model = iris
    figure = Figure()
    left, right = figure.subplots(1, 2)
    display = SubnetworkImportanceDisplay.from_estimator(model, X, ax=right)
    assert display.figure_ is figure
    assert figure.axes == [left, *display.axes_]
    assert display.ax_.get_subplotspec().get_topmost_subplotspec() == right.get_subplotspec()
    with pytest.raises(ValueError, match="ax has 3 axes; expected 2, or one to be divided"):
        SubnetworkImportanceDisplay.from_estimator(model, X, ax=axes(3))
    with pytest.raises(ValueError, match="ax is not on a grid"):
        SubnetworkImportanceDisplay.from_estimator(model, X, ax=Figure().add_axes((0, 0, 1, 1)))
    with pytest.raises(TypeError, match="expected Axes of matplotlib"):
        SubnetworkImportanceDisplay.from_estimator(model, X, ax="left")


def test_without_matplotlib_the_extra_is_named(monkeypatch, iris):
    X, _, model = iris
    imported = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return imported(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    for draw in (
        lambda: FeatureImportanceDisplay.from_estimator(model),
        lambda: DecisionBoundaryDisplay.from_estimator(model, X, features=[0, 1]),
        lambda: ConvergenceDisplay.from_estimator(model),
    ):
        with pytest.raises(ImportError, match=r"pip install 'pathrelu\[plot\]'"):
            draw()


def test_more_outputs_than_colors_have_colors_of_their_own():
    assert len({tuple(color) for color in distinct_colors(10)}) == 10


def test_a_pickled_display_draws_the_same(iris):
    display = SubnetworkImportanceDisplay.from_estimator(iris[2], iris[0])
    again = pickle.loads(pickle.dumps(SubnetworkImportanceDisplay(display.importance))).plot()
    assert len(again.bars_) == 2
    for drawn, bars in zip(again.bars_, display.bars_, strict=True):
        assert np.array_equal([lengths(part) for part in drawn], [lengths(part) for part in bars])


@pytest.mark.parametrize("name", plotting.__all__)
def test_a_pickle_finds_each_display_in_the_module_that_is_public(name):
    assert pickle.loads(f"cpathrelu.plotting\n{name}\n.".encode()) is getattr(plotting, name)
    assert pickle.loads(pickle.dumps(getattr(plotting, name))) is getattr(plotting, name)
