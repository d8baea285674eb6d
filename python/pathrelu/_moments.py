"""Weighted moments of columns, and which columns are constant but for rounding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check

LAST_PLACES = 4  # that sums of a few terms, added in another order, differ by
LARGEST_NOISE = 2.0**-30  # rounding of a constant of 4 million
NOISE_STEPS = 2**10  # last places by which a mean of some 1e6 rows is off

TOGETHER = 32  # columns that are in double precision at a time


def moments(
    X: check.Rows, w: NDArray[np.float64], center: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Weighted means (zeros without `center`), root mean squares about them, and which columns are constant.

    A column is constant if its variance is what rounding alone can give: the rule of scikit-learn's
    `StandardScaler`, with Kish's effective number of rows, or a spread of a few units in the last place of
    the entries. The scale of these, and of columns of `rounding_noise`, is 1.
    """
    share = w / w.max()
    share = share / share.sum()
    groups = range(0, X.shape[1], TOGETHER)
    found = [_moments_of(X[:, k : k + TOGETHER], share, center) for k in groups]
    middle, scale, constant = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return middle, scale, constant


def _moments_of(
    X: check.Rows, share: NDArray[np.float64], center: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    table = X.astype(np.float64)
    # Divided by the largest entry first, so that neither very large nor very small columns leave the range.
    reach = _nonzero(np.abs(table).max(axis=0))
    table /= reach
    middle = algebra.weighted_sum(share, table) if center else np.zeros(X.shape[1])
    low, high = table.min(axis=0), table.max(axis=0)
    middle = np.where(center & (low == high), table[0], middle)
    table -= middle
    spread = _nonzero(np.abs(table).max(axis=0))
    scale = np.sqrt(algebra.weighted_sum(share, (table / spread) ** 2)) * spread
    constant = rounding_noise(X)
    if center:
        rounding = np.finfo(np.float64).eps * np.abs(middle)
        rows = 1 / algebra.inner(share, share)
        constant |= scale**2 <= rows * np.finfo(np.float64).eps * scale**2 + (rows * rounding) ** 2
        constant |= high - low <= LAST_PLACES * np.finfo(X.dtype).eps * np.maximum(np.abs(low), np.abs(high))
    # The variance of a column of huge entries, or of tiny ones, has no float: its root has.
    scale, middle = scale * reach, np.where(center & (low == high), X[0], middle * reach)
    constant |= scale < np.finfo(np.float64).tiny
    return middle, np.where(constant, 1.0, scale), constant


def rounding_noise(X: check.Rows) -> NDArray[np.bool_]:
    """Which columns are zero but for rounding: those of subnormal entries, and constants that were centered.

    What `StandardScaler` leaves of a constant are a few units in the last place of that constant. They are
    told from small measurements by being small whole multiples of a power of two.
    """
    largest = np.abs(X).max(axis=0).astype(np.float64)
    noise: NDArray[np.bool_] = largest < np.finfo(X.dtype).tiny
    for column in np.flatnonzero(~noise & (largest < LARGEST_NOISE)):
        unit = 2.0 ** int(np.frexp(largest[column])[1]) / NOISE_STEPS
        steps = X[:, column].astype(np.float64) / unit
        noise[column] = bool((steps == np.round(steps)).all())
    return noise


def _nonzero(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values > 0, values, 1.0)
