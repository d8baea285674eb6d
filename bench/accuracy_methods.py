"""What accuracy.py compares: estimators behind the preprocessing each needs, and what is tuned of them."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pathrelu import PathReLUClassifier, PathReLURegressor, TableEncoder

Config = dict[str, Any]
# name -> values to choose from, or (low, high) of a log-uniform draw; whole numbers if both are
Space = dict[str, list[Any] | tuple[float, float]]

WORDS = make_column_selector(dtype_include="category")
NUMBERS = make_column_selector(dtype_exclude="category")


def one_hot() -> ColumnTransformer:
    """scikit-learn's usual way: numbers imputed and standardized, categories one-hot encoded."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore", drop="if_binary", sparse_output=False)
    return ColumnTransformer([("numbers", numbers, NUMBERS), ("words", words, WORDS)])


def imputed() -> ColumnTransformer:
    """Numbers without gaps, categories as they are."""
    columns = [("numbers", SimpleImputer(strategy="median", add_indicator=True), NUMBERS)]
    columns.append(("words", "passthrough", WORDS))
    return ColumnTransformer(columns, verbose_feature_names_out=False).set_output(transform="pandas")


@dataclass(frozen=True)
class Method:
    """An estimator for a task, a configuration and a seed; package whose version its results depend on."""

    label: str
    package: str
    make: Callable[[str, Config, int], BaseEstimator]
    space: Callable[[str], Space]
    columns: Callable[[], ColumnTransformer] | None = None  # None: frames as they are

    def pipeline(self, task: str, config: Config, seed: int) -> BaseEstimator:
        model = self.make(task, config, seed)
        return make_pipeline(self.columns(), model) if self.columns else model

    @property
    def input(self) -> str:
        return {None: "the frame", one_hot: "one-hot", imputed: "frame, gaps imputed"}[self.columns]

    def version(self) -> str:
        return f"{self.package} {metadata.version(self.package)}"

    def draw(self, task: str, count: int) -> list[Config]:
        """The defaults and count - 1 random configurations, the same for every table.

        A method without a space chooses by cross-validation within `fit`.
        """
        rng = np.random.default_rng(0)
        found: list[Config] = [{}]
        if not self.space(task):
            return found
        while len(found) < count:
            config = {name: _value(rng, values) for name, values in self.space(task).items()}
            if config not in found:
                found.append(config)
        return found


def _value(rng: np.random.Generator, values: list[Any] | tuple[float, float]) -> Any:
    if isinstance(values, list):
        return values[rng.integers(len(values))]
    drawn = float(np.exp(rng.uniform(*np.log(values))))
    return round(drawn) if all(isinstance(bound, int) for bound in values) else float(f"{drawn:.3g}")


def _either(task: str, classifier: type, regressor: type) -> type:
    return classifier if task == "classification" else regressor


def _pathrelu(task: str, config: Config, seed: int) -> BaseEstimator:
    """With `n_ramps` ramps for each column; 0 for numbers as they are."""
    given = dict(config)
    n_ramps = given.pop("n_ramps", None)
    if n_ramps is not None:
        given["encode"] = TableEncoder(numeric="ramps", n_ramps=n_ramps) if n_ramps else "linear"
    return _either(task, PathReLUClassifier, PathReLURegressor)(random_state=seed, n_threads=1, **given)


def _linear(task: str, config: Config, seed: int) -> BaseEstimator:
    if task == "regression":
        return RidgeCV(alphas=np.logspace(-3, 4, 15), **config)
    # Six strengths and three folds: ten and five take minutes on tables of many rows and classes.
    return LogisticRegressionCV(
        Cs=np.logspace(-3, 2, 6),
        cv=3,
        max_iter=300,
        scoring="neg_log_loss",
        **config,
    )


def _forest(task: str, config: Config, seed: int) -> BaseEstimator:
    return _either(task, RandomForestClassifier, RandomForestRegressor)(random_state=seed, n_jobs=1, **config)


def _boosting(task: str, config: Config, seed: int) -> BaseEstimator:
    return _either(task, HistGradientBoostingClassifier, HistGradientBoostingRegressor)(
        random_state=seed, **config
    )


def _lightgbm(task: str, config: Config, seed: int) -> BaseEstimator:
    from lightgbm import LGBMClassifier, LGBMRegressor

    return _either(task, LGBMClassifier, LGBMRegressor)(random_state=seed, n_jobs=1, verbose=-1, **config)


def _xgboost(task: str, config: Config, seed: int) -> BaseEstimator:
    from xgboost import XGBClassifier, XGBRegressor

    return _either(task, XGBClassifier, XGBRegressor)(
        random_state=seed, n_jobs=1, enable_categorical=True, **config
    )


def _ebm(task: str, config: Config, seed: int) -> BaseEstimator:
    from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

    return _either(task, ExplainableBoostingClassifier, ExplainableBoostingRegressor)(
        random_state=seed, n_jobs=1, **config
    )


def _mlp(task: str, config: Config, seed: int) -> BaseEstimator:
    model = _either(task, MLPClassifier, MLPRegressor)(random_state=seed, early_stopping=True, **config)
    return (
        model if task == "classification" else TransformedTargetRegressor(model, transformer=StandardScaler())
    )


def _realmlp(task: str, config: Config, seed: int) -> BaseEstimator:
    from pytabkit import RealMLP_TD_S_Classifier, RealMLP_TD_S_Regressor

    return _either(task, RealMLP_TD_S_Classifier, RealMLP_TD_S_Regressor)(
        random_state=seed, device="cpu", n_threads=1, verbosity=0, **config
    )


METHODS = {
    "pathrelu": Method(
        "pathrelu",
        "pathrelu",
        _pathrelu,
        # alpha stays the one of least held-out loss: it has a scale of its own in each table.
        lambda task: {"n_ramps": [0, 4, 8, 16, 32], "skip_connection": [False, True]},
    ),
    "boosting": Method(
        "HistGradientBoosting",
        "scikit-learn",
        _boosting,
        lambda task: {
            "learning_rate": (0.02, 0.3),
            "max_leaf_nodes": [7, 15, 31, 63],
            "min_samples_leaf": (5, 50),
            "l2_regularization": (1e-3, 10.0),
            "max_iter": [100, 300],
        },
    ),
    "lightgbm": Method(
        "LightGBM",
        "lightgbm",
        _lightgbm,
        lambda task: {
            "learning_rate": (0.02, 0.3),
            "num_leaves": [7, 15, 31, 63],
            "min_child_samples": (5, 50),
            "reg_lambda": (1e-3, 10.0),
            "colsample_bytree": [0.5, 0.8, 1.0],
            "n_estimators": [100, 300],
        },
    ),
    "xgboost": Method(
        "XGBoost",
        "xgboost",
        _xgboost,
        lambda task: {
            "learning_rate": (0.02, 0.3),
            "max_depth": [3, 4, 6, 8],
            "min_child_weight": [1, 3, 10],
            "reg_lambda": (0.1, 10.0),
            "colsample_bytree": [0.5, 0.8, 1.0],
            "n_estimators": [100, 300],
        },
    ),
    "forest": Method(
        "random forest",
        "scikit-learn",
        _forest,
        lambda task: {"max_features": ["sqrt", 0.3, 0.6, 1.0], "min_samples_leaf": [1, 2, 4, 8]},
        one_hot,
    ),
    "linear": Method(
        "logistic / ridge",
        "scikit-learn",
        _linear,
        lambda task: {},
        one_hot,
    ),
    "mlp": Method(
        "MLP, scikit-learn",
        "scikit-learn",
        _mlp,
        lambda task: {
            "hidden_layer_sizes": [(100,), (64, 64), (256,), (256, 256)],
            "alpha": (1e-5, 1.0),
            "learning_rate_init": (3e-4, 1e-2),
        },
        one_hot,
    ),
    "ebm": Method(
        "EBM",
        "interpret-core",
        _ebm,
        lambda task: {
            "learning_rate": (0.005, 0.1),
            "interactions": [0.0, 0.5, 0.9, 2.0],
            "max_leaves": [2, 3, 5],
            "min_samples_leaf": (2, 20),
        },
    ),
    "realmlp": Method(
        "RealMLP-TD-S",
        "pytabkit",
        _realmlp,
        lambda task: {
            "lr": (0.01, 0.2),
            "hidden_sizes": [[128, 128, 128], [256, 256, 256], [512]],
            "n_epochs": [128, 256],
        },
        imputed,
    ),
}
