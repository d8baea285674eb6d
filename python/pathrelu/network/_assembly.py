"""The network that blocks of a solution stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu.arrangements import Arrangements
from pathrelu.encoding import TableEncoder
from pathrelu.network._data import Label
from pathrelu.network._network import GatedReLUNetwork, ParallelReLUNetwork


def subnetworks(arrangements: Arrangements, blocks: check.Rows) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Group and side of the blocks (P, S, paths, columns) that are sub-networks: not zero, not linear."""
    group, side = np.nonzero(blocks.any(axis=(2, 3)) & ~arrangements.linear[:, np.newaxis])
    return group, side


def assemble(
    parts: Sequence[tuple[Arrangements, check.Rows]],
    *,
    relu: bool,
    intercept: NDArray[np.float64],
    bias: bool = False,
    center: NDArray[np.float64] | None = None,
    scale: NDArray[np.float64] | None = None,
    empty: NDArray[np.bool_] | None = None,
    classes: Sequence[Label] | None = None,
    feature_names: Sequence[str] | None = None,
    outputs: NDArray[np.intp] | None = None,
    directions: NDArray[np.float64] | None = None,
    encoder: TableEncoder | None = None,
) -> ParallelReLUNetwork | GatedReLUNetwork:
    """The network of one set of arrangements and blocks (P, S, paths, columns) per output.

    The parts may be those of some `outputs` only, by place; the others have nothing but their intercept. With
    `directions` (P, len(outputs)) there is one part, whose groups feed all of them.

    With `bias`, the last column of the blocks is the weight of a column of ones. Weights and gates of `empty`
    columns, which were zero in all rows, are rounding noise and become zero.
    """
    if not relu and any(arrangements.gates is None for arrangements, _ in parts):
        raise ValueError("arrangements came without gates, and a gated network needs them for new rows")
    leaves, gates, signs, output_weights, skip = [], [], [], [], []
    outputs = np.arange(len(intercept)) if outputs is None else outputs
    for part, (arrangements, blocks) in enumerate(parts):
        group, side = subnetworks(arrangements, blocks)
        leaves.append(blocks[group, side])
        signs.append(arrangements.signs[group])
        own = np.zeros((len(group), len(intercept)))
        # The blocks of linear groups: their first path (the others are zero), output sign +1.
        linear = blocks[arrangements.linear, 0, 0]
        if directions is None:
            own[:, outputs[part]] = 1 - 2 * side
            skip.append(linear.sum(axis=0))
        else:
            own[:, outputs] = directions[group]
            skip.extend(algebra.product(directions[arrangements.linear].T, linear))
        output_weights.append(own)
        if arrangements.gates is not None:
            gates.append(arrangements.gates[group])
    weights = np.concatenate(leaves)
    columns = weights.shape[2] - bias
    no_weight = np.flatnonzero(np.zeros(columns, bool) if empty is None else empty)
    weights[..., no_weight] = 0
    shared: dict[str, Any] = {
        "leaf_bias": weights[..., -1] if bias else None,
        "edge_signs": np.concatenate(signs),
        "output_weights": np.concatenate(output_weights),
        "intercept": intercept,
        "center": center,
        "scale": scale,
        "width": parts[0][0].width,
        "classes": classes,
        "feature_names": feature_names,
        "encoder": encoder,
    }
    if parts[0][0].skip_connection:
        linear = np.zeros((len(intercept), weights.shape[2]), weights.dtype)
        linear[outputs] = np.stack(skip)
        linear[:, no_weight] = 0
        shared["skip_weights"] = linear[:, :columns]
        shared["skip_bias"] = linear[:, -1] if bias else None
    if relu:
        return ParallelReLUNetwork(weights[..., :columns], **shared)
    gate = np.concatenate(gates)
    gate[..., no_weight] = 0
    gate_bias = gate[..., -1] if bias else None
    return GatedReLUNetwork(weights[..., :columns], gates=gate[..., :columns], gate_bias=gate_bias, **shared)


def mean_network(
    networks: Sequence[ParallelReLUNetwork | GatedReLUNetwork],
) -> ParallelReLUNetwork | GatedReLUNetwork:
    """The network of all sub-networks of networks alike, whose outputs are the mean of theirs.

    Outputs and the path norm of a sub-network are homogeneous in its leaves.
    """
    first, n = networks[0], len(networks)
    if n == 1:
        return first

    def joined(name: str, share: float = 1.0) -> check.Rows:
        parts = np.concatenate([getattr(network, name) for network in networks])
        return (parts * share).astype(parts.dtype)

    shared: dict[str, Any] = {
        "leaf_bias": joined("leaf_bias", 1 / n),
        "edge_signs": joined("edge_signs"),
        "output_weights": joined("output_weights"),
        "intercept": np.mean([network.intercept for network in networks], axis=0),
        "center": first.center,
        "scale": first.scale,
        "bias_scale": first.bias_scale,
        "width": first.width,
        "classes": first.classes,
        "feature_names": first.feature_names,
        "encoder": first.encoder,
    }
    if first.skip_connection:
        for name in ("skip_weights", "skip_bias"):
            parts = np.stack([getattr(network, name) for network in networks])
            shared[name] = parts.mean(axis=0, dtype=np.float64).astype(parts.dtype)
    leaves = joined("leaf_weights", 1 / n)
    if isinstance(first, ParallelReLUNetwork):
        return ParallelReLUNetwork(leaves, **shared)
    return GatedReLUNetwork(leaves, gates=joined("gates"), gate_bias=joined("gate_bias"), **shared)
