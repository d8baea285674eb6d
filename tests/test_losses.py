"""Losses of regressions: against CVXPY, against each other, and through the estimators."""

import cvxpy as cp
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_gamma_deviance, mean_pinball_loss, mean_poisson_deviance

import pathrelu as pr
from pathrelu import PathReLURegressor, PathReLURegressorCV, _core, losses

PARAMETERS = {"quantile": {"quantile": 0.8}, "huber": {"threshold": 0.7}}


def targets(loss, X, seed=0):
    rng = np.random.default_rng(seed)
    middle = 0.5 * X[:, 0] - 0.2 * X[:, 1]
    if loss == "poisson":
        return rng.poisson(np.exp(middle)).astype(float)
    if loss == "gamma":
        return rng.gamma(2, np.exp(middle))
    return middle + rng.standard_t(3, len(X))


def mean_loss(loss, f, y):
    """The loss in CVXPY's words."""
    n = len(y)
    if loss == "squared_error":
        return cp.sum_squares(f - y) / (2 * n)
    if loss == "absolute_error":
        return cp.norm1(f - y) / n
    if loss == "quantile":
        return cp.sum(cp.maximum(0.8 * (y - f), 0.2 * (f - y))) / n
    if loss == "huber":
        spread = np.median(np.abs(y - np.median(y))) / 0.6744897501960817
        return cp.sum(cp.huber(f - y, 0.7 * spread)) / (2 * n)
    if loss == "poisson":
        constant = np.sum(np.where(y > 0, y * np.log(np.where(y > 0, y, 1)), 0) - y)
        return (cp.sum(cp.exp(f) - cp.multiply(y, f)) + constant) / n
    return (cp.sum(f + cp.multiply(y, cp.exp(-f))) - np.sum(np.log(y) + 1)) / n


def optimum(loss, X, y, arrangements, alpha, activation, fit_intercept):
    masks = arrangements.masks()[:, 0].astype(float)
    f, penalty, cones = cp.Variable() if fit_intercept else 0, 0, []
    for sign in (1, -1) if activation == "relu" else (1,):
        V = cp.Variable((X.shape[1], len(masks)))
        for g, mask in enumerate(masks):
            f = f + sign * cp.multiply(mask, X @ V[:, g])
            penalty = penalty + cp.norm(V[:, g])
            if activation == "relu":
                cones.append(cp.multiply(2 * mask - 1, X @ V[:, g]) >= 0)
    problem = cp.Problem(cp.Minimize(mean_loss(loss, f, y) + alpha * penalty), cones)
    return problem.solve(solver=cp.CLARABEL)


def rows(n=41, d=3):  # an odd number, so that the median is one of them
    return np.random.default_rng(0).standard_normal((n, d))


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("loss", losses.REGRESSION)
def test_the_optimum_is_that_of_the_exact_program(loss, activation, fit_intercept):
    X = rows()
    y = targets(loss, X)
    arrangements = pr.sample_arrangements(X, 8, random_state=0)
    options = {"loss": loss, "activation": activation, "fit_intercept": fit_intercept}
    options |= PARAMETERS.get(loss, {})
    alpha = 0.1 * pr.alpha_max(X, y, arrangements, **options)
    best = optimum(loss, X, y, arrangements, alpha, activation, fit_intercept)
    solution = pr.solve(X, y, arrangements, alpha, tol=1e-8, **options)
    assert solution.converged
    assert solution.n_active > 0
    assert solution.objective == pytest.approx(best, rel=1e-6)
    if activation == "relu":
        objective = solution.network().objective(X, y, alpha, loss=loss, **PARAMETERS.get(loss, {}))
        assert objective == pytest.approx(solution.objective, rel=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("loss", losses.REGRESSION)
def test_bounds_hold_wherever_the_solver_stands(loss):
    X = rows()
    y = targets(loss, X)
    arrangements = pr.sample_arrangements(X, 8, random_state=0)
    options = {"loss": loss, "fit_intercept": True} | PARAMETERS.get(loss, {})
    best = optimum(loss, X, y, arrangements, 0.02, "relu", True)
    for max_iter in (1, 20, 60):
        early = pr.solve(X, y, arrangements, 0.02, tol=1e-10, max_iter=max_iter, **options)
        assert early.dual_objective <= best * (1 + 1e-7)
        assert best <= early.objective * (1 + 1e-7)
        objectives = [record.objective for record in early.history]
        assert objectives == sorted(objectives, reverse=True)


@pytest.mark.parametrize("loss", losses.REGRESSION)
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_above_alpha_max_the_network_is_constant(loss, fit_intercept):
    X = rows()
    y = targets(loss, X)
    arrangements = pr.sample_arrangements(X, 8, random_state=0)
    options = {"loss": loss, "fit_intercept": fit_intercept} | PARAMETERS.get(loss, {})
    largest = pr.alpha_max(X, y, arrangements, **options)
    above = pr.solve(X, y, arrangements, 1.001 * largest, tol=1e-9, **options)
    assert above.objective == pytest.approx(above.objective_at_zero, rel=1e-9)
    # The dual point of a kink is one of many, and need not be the one of the smallest score.
    assert losses.TABLE[loss].kinked or pr.solve(X, y, arrangements, 0.99 * largest, **options).n_active == 1


@pytest.mark.parametrize("loss", losses.REGRESSION)
def test_a_search_ends_at_what_its_network_has(loss):
    X = rows(80)
    y = targets(loss, X)
    parameters = PARAMETERS.get(loss, {})
    found = pr.search(X, y, 0.02, loss=loss, fit_intercept=True, random_state=0, tol=1e-5, **parameters)
    network = found.network()
    assert found.converged
    assert network.objective(X, y, 0.02, loss=loss, **parameters) == pytest.approx(found.objective, rel=1e-9)
    sampled = pr.sample_arrangements(X, 100, random_state=0)
    fixed = pr.solve(X, y, sampled, 0.02, loss=loss, fit_intercept=True, tol=1e-3, **parameters)
    assert found.objective < fixed.objective


@pytest.mark.parametrize("loss", ["absolute_error", "quantile", "huber", "poisson", "gamma"])
def test_columns_of_targets_are_programs_of_their_own(loss):
    X = rows()
    y = np.column_stack([targets(loss, X, seed) * scale for seed, scale in ((0, 1), (1, 20))])
    y = np.round(y) if loss == "poisson" else y
    arrangements = pr.sample_arrangements(X, 8, random_state=0)
    options = {"loss": loss, "fit_intercept": True, "tol": 1e-8} | PARAMETERS.get(loss, {})
    both = pr.solve(X, y, arrangements, 0.05, **options)
    each = [pr.solve(X, column, arrangements, 0.05, **options) for column in y.T]
    assert both.objective == pytest.approx(sum(one.objective for one in each), rel=1e-6)


@pytest.mark.parametrize("loss", losses.REGRESSION)
def test_a_weight_of_two_is_a_row_twice(loss):
    X = rows()
    y = targets(loss, X)
    weight = np.ones(len(X))
    weight[::3] = 2
    twice = np.repeat(np.arange(len(X)), weight.astype(int))
    options = {"loss": loss, "fit_intercept": True, "tol": 1e-9} | PARAMETERS.get(loss, {})
    gates = np.random.default_rng(1).standard_normal((8, 3))
    weighted = pr.solve(X, y, pr.Arrangements.from_gates(X, gates), 0.05, sample_weight=weight, **options)
    repeated = pr.solve(X[twice], y[twice], pr.Arrangements.from_gates(X[twice], gates), 0.05, **options)
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-7)


def test_the_absolute_error_is_twice_the_loss_of_the_median():
    X = rows()
    y = targets("absolute_error", X)
    arrangements = pr.sample_arrangements(X, 8, random_state=0)
    absolute = pr.solve(X, y, arrangements, 0.1, loss="absolute_error", tol=1e-9)
    median = pr.solve(X, y, arrangements, 0.05, loss="quantile", tol=1e-9)
    assert absolute.objective == pytest.approx(2 * median.objective, rel=1e-8)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
def test_a_quantile_leaves_its_share_of_the_rows_below(level):
    X = rows(200)
    y = targets("quantile", X)
    arrangements = pr.sample_arrangements(X, 20, random_state=0)
    solution = pr.solve(X, y, arrangements, 0.01, loss="quantile", quantile=level, fit_intercept=True)
    residual = y - solution.network().predict(X).ravel()
    near = 1e-4 * np.abs(y).max()
    assert (residual < -near).mean() <= level <= (residual < near).mean()


def test_a_threshold_is_in_units_of_the_spread():
    X = rows()
    y = targets("huber", X)
    arrangements = pr.sample_arrangements(X, 8, random_state=0)
    options = {"loss": "huber", "threshold": 0.5, "fit_intercept": True, "tol": 1e-9}
    one = pr.solve(X, y, arrangements, 0.01, **options)
    large = pr.solve(X, 1000 * y + 7, arrangements, 10, **options)
    assert large.objective == pytest.approx(1e6 * one.objective, rel=1e-6)
    # Half of the targets equal: the standard deviation; all of them: 1.
    few = np.array([[0.0, 3.0]] * 9 + [[10.0, 3.0]])
    np.testing.assert_allclose(losses.spread(few, np.ones(10)), [3, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", losses.REGRESSION)
def test_estimators_predict_about_as_boosting_does(loss, dtype):
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (3000, 4)).astype(dtype)
    middle = np.sin(2 * X[:, 0]) + 0.5 * X[:, 1].astype(float) ** 2
    noise = 0.3 + 0.3 * np.abs(X[:, 2])
    y = middle + noise * rng.standard_normal(len(X))
    if loss == "poisson":
        y = rng.poisson(np.exp(middle))
    if loss == "gamma":
        y = rng.gamma(2, np.exp(middle))
    level = {"quantile": 0.9} if loss == "quantile" else {}
    scores = {
        "quantile": lambda y, f: mean_pinball_loss(y, f, alpha=0.9),
        "poisson": mean_poisson_deviance,
        "gamma": mean_gamma_deviance,
    }
    score = scores.get(loss, lambda y, f: np.abs(y - f).mean())
    train, test = slice(0, 800), slice(800, None)
    alpha = 0.005 if loss in ("quantile", "huber") else 0.015
    ours = PathReLURegressor(loss=loss, alpha=alpha, random_state=0, **level).fit(X[train], y[train])
    theirs = HistGradientBoostingRegressor(
        loss="absolute_error" if loss == "huber" else loss, random_state=0, **level
    ).fit(X[train], y[train])
    predicted = ours.predict(X[test])
    assert predicted.dtype == dtype
    assert score(y[test], predicted) <= 1.1 * score(y[test], theirs.predict(X[test]))
    if loss == "quantile":
        assert abs((y[test] <= predicted).mean() - 0.9) < 0.04
    if loss in ("poisson", "gamma"):
        np.testing.assert_allclose(predicted, np.exp(ours.network_.predict(X[test])), rtol=1e-6)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_files_and_exports_give_means(loss, tmp_path):
    X = rows(100).astype(np.float32)
    y = targets(loss, X)
    model = PathReLURegressor(loss=loss, alpha=0.05, random_state=0).fit(X, y)
    model.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(pr.load(tmp_path / "model.npz").predict(X), model.predict(X))
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model.to_onnx(tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    np.testing.assert_allclose(session.run(None, {"X": X})[0].ravel(), model.predict(X), rtol=1e-5)
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    session = runtime.InferenceSession(to_onnx(model, X[:1]).SerializeToString())
    np.testing.assert_allclose(session.run(None, {"X": X})[0].ravel(), model.predict(X), rtol=1e-5)


def test_cross_validation_takes_a_loss_with_its_parameter():
    X = rows(60)
    y = targets("quantile", X)
    model = PathReLURegressorCV(loss="quantile", quantile=0.7, alphas=[0.3, 0.1], cv=3, random_state=0)
    model.fit(X, y)
    assert model.get_params()["quantile"] == 0.7
    assert abs((y <= model.predict(X)).mean() - 0.7) < 0.1


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (
            "poisson",
            [1.0, 2, -3, 0],
            "y has the value -3 in row 2; loss='poisson' expects numbers of at least 0",
        ),
        ("gamma", [1.0, 0, 2, 3], "y has the value 0 in row 1; loss='gamma' expects numbers above 0"),
        (
            "poisson",
            [0.0, 0, 0, 0],
            "y is 0 in every row of weight above 0; loss='poisson' expects a mean",
        ),
    ],
)
def test_targets_that_a_loss_does_not_take_are_refused_by_row(loss, y, message):
    X = rows(4)
    arrangements = pr.sample_arrangements(X, 3, random_state=0)
    for call in (
        lambda: pr.solve(X, y, arrangements, 0.1, loss=loss),
        lambda: pr.search(X, y, 0.1, loss=loss),
        lambda: PathReLURegressor(loss=loss).fit(X, y),
        lambda: PathReLURegressorCV(loss=loss).fit(X, y),
    ):
        with pytest.raises(ValueError, match="^" + message):
            call()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"loss": "quantile", "quantile": 1},
            ValueError,
            "quantile is 1; expected a number above 0 and below",
        ),
        ({"loss": "quantile", "quantile": 0.0}, ValueError, "quantile is 0.0; expected a number above 0 and"),
        ({"loss": "quantile", "quantile": "0.5"}, TypeError, "quantile is '0.5'; expected a number or None"),
        ({"loss": "huber", "threshold": -1}, ValueError, "threshold is -1; expected a number above 0"),
        ({"loss": "huber", "threshold": np.nan}, ValueError, "threshold is nan; expected a number above 0"),
        ({"loss": "huber", "threshold": True}, TypeError, "threshold is True; expected a number or None"),
        (
            {"quantile": 0.5},
            ValueError,
            "quantile is 0.5 and loss is 'squared_error'; quantile is of loss='quantile'",
        ),
        ({"loss": "mae"}, ValueError, "loss is 'mae'; expected"),
    ],
)
def test_parameters_out_of_range_are_refused(options, error, message):
    X, y = rows(10), np.arange(10.0)
    arrangements = pr.sample_arrangements(X, 3, random_state=0)
    for call in (
        lambda: pr.solve(X, y, arrangements, 0.1, **options),
        lambda: pr.alpha_max(X, y, arrangements, **options),
        lambda: PathReLURegressor(**options).fit(X, y),
    ):
        with pytest.raises(error, match="^" + message):
            call()


def test_the_core_states_what_every_loss_takes():
    assert set(losses.TABLE) == {*losses.NAMES, "multinomial"}
    for name in losses.TABLE:
        smoothness, lipschitz = _core.loss_bounds(name, 3)
        assert smoothness > 0
        assert lipschitz > 0


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_a_mean_that_is_too_large_is_refused(loss):
    X = np.arange(1.0, 21)[:, np.newaxis]
    # Without intercept, at this alpha, a network that is constant beyond the rows is far from an optimum.
    model = pr.PathReLURegressor(alpha=0.01, loss=loss, fit_intercept=False, random_state=0)
    near, far = model.fit(X, np.exp(X[:, 0] / 8)).network_.predict([[1e4], [2e4]])
    x = 200 * 1e4 / (far - near)  # whose mean is about exp(200)
    with pytest.raises(ValueError, match=r"mean of row 1 is exp\(\d+.*\), .* float32; pass float64 rows"):
        model.predict(np.array([[1], [x]], np.float32))
    assert np.isfinite(model.predict([[1.0], [x]])).all()
    with pytest.raises(ValueError, match=r"mean of row 0 is exp\(.*\), which is too large for float64$"):
        model.predict([[10 * x]])
