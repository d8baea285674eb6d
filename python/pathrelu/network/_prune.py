"""Networks with fewer sub-networks and the same outputs on given rows."""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _validation as check
from pathrelu.network._data import NetworkData, double
from pathrelu.network._predict import root_outputs

AnyNetwork = TypeVar("AnyNetwork", bound=NetworkData)


def fewest_subnetworks(network: NetworkData, table: check.Rows, threads: int) -> check.Doubles:
    """Factors (K,) of the sub-networks of a pruned network; zero for those that go.

    Columns of outputs of sub-networks are made linearly independent, on ever more of the checked rows.
    """
    n, K, norms = len(table), network.n_subnetworks, network.subnetwork_norms()
    factors, some = np.zeros(K), 2 * K + 1
    while True:  # columns that are independent on some rows are so on all
        taken = np.arange(n) if some >= n else np.arange(some) * n // some
        roots = root_outputs(network, double(table[taken]), threads)
        for own in _directions(network.output_weights):
            used = own[norms[own] > 0]
            factors[used] = _fewest(roots[:, used], network.output_weights[used], norms[used])
        if some >= n or (factors[norms > 0] == 1).all():
            return factors
        some *= 8


def _directions(output_weights: check.Doubles) -> list[NDArray[np.intp]]:
    """Sub-networks that feed one output, for each output; all of them together if some feed several."""
    fed = output_weights != 0
    if (fed.sum(axis=1) > 1).any():
        return [np.arange(len(fed))]
    return [np.flatnonzero(column) for column in fed.T]


def _fewest(roots: check.Doubles, output_weights: check.Doubles, norms: check.Doubles) -> check.Doubles:
    """Factors of the columns ``roots[:, k] x output_weights[k]``, which are independent if the roots are."""
    if len(norms) == 0:
        return np.empty(0)
    fed = output_weights[:, output_weights.any(axis=0)]
    if fed.shape[1] > 1 and (_core.fewest_columns(double(roots), norms) == 1).all():
        return np.ones(len(norms))
    columns = roots[:, np.newaxis, :] * fed.T
    return _core.fewest_columns(double(columns.reshape(-1, len(norms))), norms)


def with_factors(network: AnyNetwork, factors: check.Doubles) -> AnyNetwork:
    """A network whose sub-networks are rescaled, those with factor zero left out."""
    kept = factors > 0
    pruned = copy.copy(network)
    for name in network.subnetwork_arrays:
        setattr(pruned, name, getattr(network, name)[kept])
    scale = factors[kept, np.newaxis].astype(network.leaf_weights.dtype)
    pruned.leaf_weights = pruned.leaf_weights * scale[:, np.newaxis]
    pruned.leaf_bias = pruned.leaf_bias * scale
    return pruned
