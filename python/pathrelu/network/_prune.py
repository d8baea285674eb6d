"""Networks with fewer sub-networks and the same outputs on given rows."""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np

from pathrelu import _core
from pathrelu import _validation as check
from pathrelu.network._data import NetworkData, double
from pathrelu.network._predict import subnetwork_outputs

AnyNetwork = TypeVar("AnyNetwork", bound=NetworkData)


def fewest_subnetworks(network: NetworkData, table: check.Rows, threads: int) -> check.Doubles:
    """Factors (K,) of the sub-networks of a pruned network; zero for those that go.

    Columns of outputs of sub-networks are made linearly independent, on ever more of the checked rows.
    """
    n, K, norms = len(table), network.n_subnetworks, network.subnetwork_norms()
    factors, some = np.zeros(K), 2 * K + 1
    while True:  # columns that are independent on some rows are so on all
        taken = np.arange(n) if some >= n else np.arange(some) * n // some
        F = subnetwork_outputs(network, double(table[taken]), threads)
        for output in range(network.n_outputs):
            own = (network.output_index == output) & (norms > 0)
            factors[own] = _core.fewest_columns(double(F[:, own]), norms[own])
        if some >= n or (factors[norms > 0] == 1).all():
            return factors
        some *= 8


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
