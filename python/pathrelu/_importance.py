"""Path norms by the raw columns that paths begin at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pathrelu import _linear_algebra as algebra
from pathrelu.export.graph import Network


def portions(network: Network) -> NDArray[np.float64]:
    """The portion (K, n_outputs) of each output in the path norm of each sub-network.

    A path norm is the norm of those over the paths to one output each: their squares add up to its own.
    """
    squares = network.output_weights**2
    portions: NDArray[np.float64] = squares / np.maximum(
        squares.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny
    )
    return portions


def path_norms_by_feature(network: Network, units: NDArray[np.float64]) -> NDArray[np.float64]:
    """Path norm (K, n_features) of each sub-network, over the paths that begin at each column alone.

    Weights of leaves are multiplied by `units` (n_columns,).
    """
    weights = network.leaf_weights * units
    norms: NDArray[np.float64] = _by_feature(network, (weights**2).sum(axis=1))
    norms *= np.sqrt((network.output_weights**2).sum(axis=1))[:, np.newaxis]
    return norms


def importance_by_feature(network: Network, units: NDArray[np.float64]) -> NDArray[np.float64]:
    """Path norm (n_outputs, n_features) over the paths from each column, skip connection included."""
    result = algebra.product(portions(network).T, path_norms_by_feature(network, units))
    if network.skip_weights is not None:
        linear = network.skip_weights * units
        result += _by_feature(network, linear**2)
    return result


def _by_feature(network: Network, squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Roots of sums (..., n_features), over the columns made of each, of squared norms (..., n_columns)."""
    starts = np.flatnonzero(np.diff(network.origin, prepend=-1))  # each has a column, and they are in order
    roots: NDArray[np.float64] = np.sqrt(np.add.reduceat(squares, starts, axis=-1))
    return roots
