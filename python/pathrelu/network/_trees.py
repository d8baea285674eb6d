"""Networks as the trees that slides have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check

if TYPE_CHECKING:
    from pathrelu._scaling import Scaling
    from pathrelu.network._data import NetworkData


# Leaves (K, paths * d), edge signs (K, edges), directions (K, C), whether without gates (K), intercept (C).
Trees = tuple[
    NDArray[np.float64], NDArray[np.int8], NDArray[np.float64], NDArray[np.uint8], NDArray[np.float64]
]


def trees_of(network: NetworkData, scaling: Scaling) -> Trees:
    """The trees of a network, over the columns of another scaling."""
    factor = scaling.scale / network.scale
    shift = (scaling.center - network.center) / network.scale

    def moved(weights: check.Rows, bias: check.Rows) -> NDArray[np.float64]:
        leaves = weights.astype(np.float64)
        if scaling.constant is None:
            return leaves * factor
        constant = bias + (leaves * shift).sum(axis=-1)
        columns: NDArray[np.float64] = np.where(scaling.empty, 0.0, leaves * factor)
        return np.concatenate([columns, constant[..., np.newaxis] / scaling.constant], axis=-1)

    own, C = network.output_weights, network.n_outputs
    leaves = moved(network.leaf_weights, network.leaf_bias)
    signs, K, paths = network.edge_signs, len(leaves), leaves.shape[1]
    linear = np.zeros(K, np.uint8)
    if network.skip_connection:
        assert network.skip_weights is not None
        assert network.skip_bias is not None
        skip = moved(network.skip_weights, network.skip_bias)
        first = np.zeros((C, paths, skip.shape[1]))
        first[:, 0] = skip
        leaves = np.concatenate([leaves, first])
        own = np.concatenate([own, np.eye(C)])
        signs = np.concatenate([signs, np.ones((C, signs.shape[1]), np.int8)])
        linear = np.concatenate([linear, np.ones(C, np.uint8)])
    root = norms_of(own)
    used = leaves.any(axis=(1, 2)) & (root > 0)
    intercept = np.ascontiguousarray(network.intercept, np.float64)
    if not used.any():
        none = np.zeros((0, 0))
        return none, np.zeros((0, 0), np.int8), none, np.zeros(0, np.uint8), intercept
    own, root, leaves = own[used], root[used], leaves[used]
    return (
        np.ascontiguousarray((leaves * root[:, np.newaxis, np.newaxis]).reshape(len(leaves), -1)),
        np.ascontiguousarray(signs[used], np.int8),
        np.ascontiguousarray(own / root[:, np.newaxis]),
        linear[used],
        intercept,
    )


def norms_of(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean norms."""
    lengths: NDArray[np.float64] = np.sqrt((rows**2).sum(axis=1))
    return lengths
