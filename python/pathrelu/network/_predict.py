"""Outputs of a network on rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _validation as check
from pathrelu.network._data import NetworkData, double


def network_outputs(
    network: NetworkData, table: check.Rows, threads: int, names: Sequence[str] | None = None
) -> check.Rows:
    """Outputs (n, n_outputs) on checked rows, in their dtype.

    Rows that are not finite are refused with the `names` of their columns.
    """
    outputs = _computed(network, table, threads, network.output_index, network.intercept, network._skip())
    if outputs is None:
        check.finite_columns(table, "X", names)
        raise AssertionError("the core found an entry that is not finite")
    return outputs


def subnetwork_outputs(network: NetworkData, table: check.Doubles, threads: int) -> check.Doubles:
    """What each sub-network adds to the output that it feeds (n, K), on finite rows."""
    K = network.n_subnetworks
    if K == 0:
        return np.empty((len(table), 0))
    no_skip = np.empty((0, network.n_features)), np.empty(0)
    outputs = _computed(network, table, threads, np.arange(K), np.zeros(K), no_skip)
    assert outputs is not None
    return double(outputs)


def _computed(
    network: NetworkData,
    table: check.Rows,
    threads: int,
    output_index: NDArray[np.int64],
    intercept: check.Doubles,
    skip: tuple[check.Doubles, check.Doubles],
) -> check.Rows | None:
    """Outputs (n, len(intercept)) if sub-networks feed those of `output_index`; None for rows not finite."""
    d = network.n_features
    # Where units switch themselves, there are no gates.
    gates = np.empty((0, d)) if network.gates is None else network.gates.reshape(-1, d)
    gate_bias = np.empty(0) if network.gate_bias is None else network.gate_bias.reshape(-1)
    return _core.network_predict(
        table,
        network.center,
        network.scale,
        double(network.leaf_weights.reshape(-1, d)),
        double(network.leaf_bias.reshape(-1)),
        double(gates),
        double(gate_bias),
        network.edge_signs,
        network.output_sign.astype(np.float64),
        output_index,
        intercept,
        list(network.width),
        *skip,
        threads,
    )
