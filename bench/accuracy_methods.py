"""What accuracy.py compares: methods, their configurations, and how many folds of each."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR

from pathrelu import PathReLUClassifier, PathReLURegressor

OUTER, INNER, BUDGET, REPEATS = 3, 3, 6, 1

Config = dict[str, Any]


def grid(**values: Sequence[Any]) -> list[Config]:
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


@dataclass(frozen=True)
class Method:
    """Estimators, and `BUDGET` configurations, for a task and a number of columns."""

    label: str
    make: Callable[[str, Config, int], BaseEstimator]
    configs: Callable[[str, int], list[Config]]


def _logistic(task: str, config: Config, seed: int) -> BaseEstimator:
    if task == "regression":
        return Ridge(**{"alpha" if name == "C" else name: 1 / value for name, value in config.items()})
    return LogisticRegression(max_iter=2000, **config)


def _svm(task: str, config: Config, seed: int) -> BaseEstimator:
    if task == "regression":
        return SVR(**config)
    # Probabilities by Platt's scaling on held-out folds.
    return CalibratedClassifierCV(SVC(**config), cv=StratifiedKFold(3), ensemble=False)


def _forest(task: str, config: Config, seed: int) -> BaseEstimator:
    kind = RandomForestClassifier if task == "classification" else RandomForestRegressor
    return kind(random_state=seed, n_jobs=1, **config)


def _boosting(task: str, config: Config, seed: int) -> BaseEstimator:
    if task == "regression":
        return HistGradientBoostingRegressor(random_state=seed, **config)
    return HistGradientBoostingClassifier(random_state=seed, **config)


def _mlp(task: str, config: Config, seed: int) -> BaseEstimator:
    return (MLPClassifier if task == "classification" else MLPRegressor)(random_state=seed, **config)


def _torch(task: str, config: Config, seed: int) -> BaseEstimator:
    from torch_mlp import TorchMLPClassifier, TorchMLPRegressor

    return (TorchMLPClassifier if task == "classification" else TorchMLPRegressor)(seed=seed, **config)


def _pathrelu(task: str, config: Config, seed: int) -> BaseEstimator:
    kind = PathReLUClassifier if task == "classification" else PathReLURegressor
    return kind(random_state=seed, n_threads=1, **config)


METHODS = {
    "pathrelu": Method(
        "pathrelu",
        _pathrelu,
        lambda task, _: grid(
            alpha=["auto", 0.1, 0.05, 0.02, 0.008, 0.003]
            if task == "classification"
            else ["auto", 0.1, 0.03, 0.01, 0.003, 0.0008]
        ),
    ),
    "linear": Method(
        "logistic / ridge", _logistic, lambda _, d: grid(C=[0.001, 0.02, 0.2, 1.0, 10.0, 300.0])
    ),
    "svm": Method("SVM, RBF", _svm, lambda _, d: grid(C=[0.5, 5.0, 50.0], gamma=[0.2 / d, 1.0 / d])),
    "forest": Method(
        "random forest", _forest, lambda _, d: grid(max_features=["sqrt", 0.5, 1.0], min_samples_leaf=[1, 4])
    ),
    "boosting": Method(
        "HistGradientBoosting",
        _boosting,
        lambda _, d: grid(learning_rate=[0.05, 0.2], max_leaf_nodes=[3, 8, 31], min_samples_leaf=[8]),
    ),
    "mlp": Method(
        "MLP, scikit-learn",
        _mlp,
        lambda _, d: grid(
            hidden_layer_sizes=[(64, 64)], alpha=[1e-4, 0.1, 1.0], learning_rate_init=[1e-3, 1e-2]
        ),
    ),
    "torch": Method(
        "MLP, PyTorch AdamW",
        _torch,
        lambda _, d: grid(learning_rate=[1e-2, 3e-3], weight_decay=[1e-2, 0.3, 3.0]),
    ),
}


def grid_text(budget: int) -> str:
    """The configurations, for the page."""
    lines = []
    for method in METHODS.values():
        both = [
            _values(thinned(method.configs(task, 1), budget)) for task in ("classification", "regression")
        ]
        text = both[0] if both[0] == both[1] else f"{both[0]}; for a regression {both[1]}"
        lines.append(f"- {method.label}: {text}")
    head = (
        "Configurations (combinations of these values; d columns after encoding; 1/C for ridge regression):"
    )
    return head + "\n\n" + "\n".join(lines)


def _values(configs: list[Config]) -> str:
    seen: dict[str, dict[str, None]] = {}
    for config in configs:
        for name, value in config.items():
            seen.setdefault(name, {})[f"{value:g}/d" if name == "gamma" else str(value)] = None
    return "; ".join(f"`{name}` {', '.join(values)}" for name, values in seen.items())


def thinned(configs: list[Config], budget: int) -> list[Config]:
    """At most `budget` of them, evenly spread."""
    return [configs[i] for i in np.unique(np.linspace(0, len(configs) - 1, budget).round().astype(int))]
