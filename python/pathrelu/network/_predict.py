"""Outputs of a network on rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pathrelu import _core
from pathrelu import _validation as check
from pathrelu._scaling import Scaling
from pathrelu.encoding import RawTable
from pathrelu.network._data import NetworkData, double
from pathrelu.network._trees import trees_of

# Columns from which nonzeros are faster than dense rows, whose kernels are: a few tens of nonzeros in a row.
WIDE = 500
ENCODED_ROWS = 65_536  # at a time: of some hundred columns, some 100 MB


def network_outputs(
    network: NetworkData, table: check.Rows, threads: int, names: Sequence[str] | None = None
) -> check.Rows:
    """Outputs (n, n_outputs) on checked rows, in their dtype.

    Rows that are not finite are refused with the `names` of their columns.
    """
    outputs = _computed(network, table, threads, network.output_weights, network.intercept, network._skip())
    if outputs is None:
        check.finite_columns(table, "X", names)
        raise AssertionError("the core found an entry that is not finite")
    return outputs


def encoded_outputs(
    network: NetworkData, raw: RawTable, threads: int, names: Sequence[str] | None = None
) -> check.Rows:
    """As `network_outputs`, of raw rows, some of which are encoded at a time."""
    assert network.encoder is not None
    blocks = [slice(begin, begin + ENCODED_ROWS) for begin in range(0, len(raw), ENCODED_ROWS)]
    try:
        return np.concatenate(
            [
                network_outputs(network, network.encoder.encode(raw.take(block)), threads, names)
                for block in blocks
            ]
        )
    except ValueError:
        if len(blocks) == 1:
            raise
        # Again with all rows, for the error to have the number of the row among them.
        return network_outputs(network, network.encoder.encode(raw), threads, names)


def sparse_outputs(network: NetworkData, rows: Any, threads: int) -> check.Rows:
    """As `network_outputs`, of encoded sparse rows (CSR): by their nonzeros."""
    check.finite_entries(rows, "X")
    bias = bool(network.leaf_bias.any() or (network.skip_bias is not None and network.skip_bias.any()))
    scaling = Scaling(network.center, network.scale, 1.0 if bias else None, np.zeros(network.n_columns, bool))
    trees = trees_of(network, scaling)
    outputs = _core.tree_outputs(scaling.sparse_rows(rows).core, list(network.width), trees, threads)
    return check.narrowed(outputs, rows.dtype, "outputs")


def root_outputs(network: NetworkData, table: check.Doubles, threads: int) -> check.Doubles:
    """Output (n, K) of the root of each sub-network, on finite rows."""
    K = network.n_subnetworks
    if K == 0:
        return np.empty((len(table), 0))
    no_skip = np.empty((0, network.n_columns)), np.empty(0)
    outputs = _computed(network, table, threads, np.eye(K), np.zeros(K), no_skip)
    assert outputs is not None
    return double(outputs)


def _computed(
    network: NetworkData,
    table: check.Rows,
    threads: int,
    output_weights: check.Doubles,
    intercept: check.Doubles,
    skip: tuple[check.Doubles, check.Doubles],
) -> check.Rows | None:
    """Outputs (n, len(intercept)) with these output weights; None for rows not finite."""
    d = network.n_columns
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
        double(output_weights),
        intercept,
        list(network.width),
        *skip,
        threads,
    )
