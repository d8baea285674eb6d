"""Named metrics of predictions, and of the best constant for the same rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from pathrelu import _core, losses

Doubles: TypeAlias = NDArray[np.float64]
Score: TypeAlias = Callable[[Any, Doubles, Doubles], float]  # of targets, predictions and weights
Compared: TypeAlias = dict[str, dict[str, float]]

TITLES = {
    "accuracy": "accuracy",
    "log_loss": "log-loss",
    "auc": "AUC",
    "brier": "Brier score",
    "r2": "R²",
    "mae": "MAE",
    "rmse": "RMSE",
    "pinball_loss": "pinball loss",
    "poisson_deviance": "deviance",
    "gamma_deviance": "deviance",
}


def of_classes(place: NDArray[np.intp], shares: Doubles, weight: Doubles) -> Compared:
    """Metrics of probabilities (n, classes) for rows of the classes in these places."""
    seen = weight > 0
    place, shares, weight = place[seen], shares[seen], weight[seen]
    total = np.bincount(place, weight, shares.shape[1])
    constant = np.broadcast_to(total / total.sum(), shares.shape)
    scores: dict[str, Score] = {
        "accuracy": lambda y, p, w: metrics.accuracy_score(y, p.argmax(axis=1), sample_weight=w),
        "log_loss": lambda y, p, w: metrics.log_loss(
            y, p, sample_weight=w, labels=np.arange(shares.shape[1])
        ),
        "auc": _auc,
        "brier": _brier,
    }
    return _compared(scores, place, shares, constant, weight)


def of_values(y: Doubles, values: Doubles, weight: Doubles, loss: str, parameter: float | None) -> Compared:
    """Metrics of a regression, that of its loss among them if it has a name of its own."""
    seen = weight > 0
    y, values, weight = (part[seen].astype(np.float64) for part in (y, values, weight))
    core_loss = losses.specification(loss, parameter, y[:, np.newaxis], weight)
    best = float(_core.best_constant(y[:, np.newaxis], weight, core_loss)[0])
    constant = np.full(len(y), math.exp(best) if losses.TABLE[loss].log_link else best)
    scores: dict[str, Score] = {
        "r2": _r2,
        "mae": lambda y, f, w: metrics.mean_absolute_error(y, f, sample_weight=w),
        "rmse": lambda y, f, w: metrics.root_mean_squared_error(y, f, sample_weight=w),
    }
    if loss == "quantile":
        level = 0.5 if parameter is None else parameter
        scores["pinball_loss"] = lambda y, f, w: metrics.mean_pinball_loss(y, f, sample_weight=w, alpha=level)
    elif losses.TABLE[loss].log_link:
        deviance = metrics.mean_poisson_deviance if loss == "poisson" else metrics.mean_gamma_deviance
        scores[f"{loss}_deviance"] = lambda y, f, w: deviance(
            y,
            np.maximum(f, np.finfo(np.float64).tiny),  # a mean may round to 0
            sample_weight=w,
        )
    return _compared(scores, y, values, constant, weight)


def _compared(
    scores: dict[str, Score], y: NDArray[Any], predicted: Doubles, constant: Doubles, weight: Doubles
) -> Compared:
    with np.errstate(all="ignore"):  # of numbers whose squares are too large; infinite then
        return {
            name: {
                "network": float(score(y, predicted, weight)),
                "constant": float(score(y, constant, weight)),
            }
            for name, score in scores.items()
        }


def _r2(y: Doubles, values: Doubles, weight: Doubles) -> float:
    """NaN of equal targets; to 12 digits, as the difference of 1 and a quotient of sums has."""
    constant = len(y) < 2 or bool((y == y[0]).all())
    return math.nan if constant else round(metrics.r2_score(y, values, sample_weight=weight), 12) + 0.0


def _auc(place: NDArray[np.intp], shares: Doubles, weight: Doubles) -> float:
    """Of two classes that of the second, of more the mean over one of them against the rest.

    Over the classes that some of the rows are of, and some are not; NaN if there is none.
    """
    classes = range(shares.shape[1])[-1:] if shares.shape[1] == 2 else range(shares.shape[1])
    areas = [
        metrics.roc_auc_score(place == c, shares[:, c], sample_weight=weight)
        for c in classes
        if 0 < np.count_nonzero(place == c) < len(place)
    ]
    return float(np.mean(areas)) if areas else math.nan


def _brier(place: NDArray[np.intp], shares: Doubles, weight: Doubles) -> float:
    """Mean square of the errors of the probabilities, summed over classes; of two classes half of it."""
    errors = shares - (place[:, np.newaxis] == np.arange(shares.shape[1]))
    squares = (errors**2).sum(axis=1) / (2 if shares.shape[1] == 2 else 1)
    return float(np.average(squares, weights=weight))
