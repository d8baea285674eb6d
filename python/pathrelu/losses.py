"""The losses of the core's table, and their parameters."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core

Doubles: TypeAlias = NDArray[np.float64]

TABLE = {traits.name: traits for traits in _core.losses()}
JOINT = "multinomial"  # what log_loss is with several outputs
NAMES = tuple(name for name in TABLE if name != JOINT)
BINARY = tuple(name for name in NAMES if TABLE[name].targets == "signs")
REGRESSION = tuple(name for name in NAMES if name not in BINARY)
#: Median absolute deviation of normal numbers of standard deviation 1, over which the spread is stated.
NORMAL_SPREAD = 0.6744897501960817


def core_name(loss: str, n_outputs: int) -> str:
    """The core's name of a loss: with several outputs, log_loss is that of the joint softmax."""
    return JOINT if loss == "log_loss" and n_outputs > 1 else loss


def parameter(loss: str, quantile: Any, threshold: Any) -> float | None:
    """The checked parameter of a loss, of which there is at most one; None for its default."""
    own = TABLE[loss]
    for name, value in (("quantile", quantile), ("threshold", threshold)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise TypeError(f"{name} is {value!r}; expected a number or None")
        if own.parameter != name:
            owner = next(other for other in NAMES if TABLE[other].parameter == name)
            raise ValueError(f"{name} is {value!r} and loss is {loss!r}; {name} is of loss={owner!r}")
        if not 0 < value < own.below:
            bounds = "above 0" if np.isinf(own.below) else f"above 0 and below {own.below:g}"
            raise ValueError(f"{name} is {value!r}; expected a number {bounds}")
    given = quantile if own.parameter == "quantile" else threshold
    return None if given is None else float(given)


def specification(loss: str, value: float | None, y: Doubles, w: Doubles) -> _core._Loss:
    """What the core makes the loss of, for targets y (n, C) and weights w."""
    name = core_name(loss, y.shape[1])
    if value is None:
        return name
    scale = spread(y, w) if TABLE[loss].in_spreads else np.ones(y.shape[1])
    return name, [value * float(s) for s in scale]


def spread(y: Doubles, w: Doubles) -> Doubles:
    """Spread (C,) of targets (n, C), that of normal ones: by absolute deviations, which outliers hardly move.

    By the standard deviation where half of the targets are equal; 1 where all are.
    """
    deviation = np.abs(y - _core.best_constant(y, w, "absolute_error"))
    robust = _core.best_constant(deviation, w, "absolute_error") / NORMAL_SPREAD
    mean = _core.best_constant(y, w, "squared_error")
    standard = np.sqrt(_core.best_constant((y - mean) ** 2, w, "squared_error"))
    result: Doubles = np.where(robust > 0, robust, np.where(standard > 0, standard, 1.0))
    return result


def check_targets(y: Doubles, w: Doubles, loss: str) -> None:
    """Refuse targets that the loss is not defined for, by row."""
    own = TABLE[core_name(loss, y.shape[1])]
    bad = ~own.takes(y)
    if bad.any():
        row = int(np.flatnonzero(bad.any(axis=1))[0])
        value = y[row][bad[row]][0]
        raise ValueError(f"y has the value {value:g} in row {row}; loss={loss!r} expects {own.expects}")
    if own.targets == "nonnegative" and not (y[w > 0] > 0).any(axis=0).all():
        raise ValueError(f"y is 0 in every row of weight above 0; loss={loss!r} expects a mean above 0")


def log_probabilities(outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Log-probabilities (n, classes) of log-odds (n,) or logits (n, classes)."""
    if outputs.ndim == 1:
        return -np.logaddexp(0, np.stack([outputs, -outputs], axis=1))
    return outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True)


def means(outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Means of a loss with a log link: exponentials of outputs, refused where too large for their dtype."""
    with np.errstate(over="ignore"):
        values: NDArray[np.floating[Any]] = np.exp(outputs)
    if np.isinf(values).any():
        place = tuple(np.argwhere(np.isinf(values))[0].tolist())
        hint = "; pass float64 rows" if values.dtype == np.float32 else ""
        raise ValueError(
            f"the mean of row {place[0]} is exp({outputs[place]:g}), which is too large for "
            f"{values.dtype}{hint}"
        )
    return values
