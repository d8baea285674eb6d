"""Networks as PyTorch modules."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from pathrelu.export.graph import Network, check_float32, precision_of


def to_torch(network: Network, *, dtype: DTypeLike | None = None) -> Any:
    """A trainable PyTorch module with the outputs of the network.

    Parameters
    ----------
    network : ParallelReLUNetwork or GatedReLUNetwork
    dtype : {float32, float64}, optional
        That of the leaf weights by default.

    Returns
    -------
    torch.nn.Module
        It maps raw rows (n_rows, n_features) to what `predict` gives: (n_rows,), or (n_rows, n_outputs) if
        there are several outputs. Weights of leaves, edges, outputs and the skip connection and the intercept
        are parameters; what centers and scales rows, and the gates of a gated network, are buffers.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ValueError
        If float32 cannot hold a weight, or the center or the scale of a column, which is named.

    Notes
    -----
    In float64 the outputs are those of `predict` to rounding. A float32 module computes gates in float32 too,
    where `predict` uses float64: a row within rounding of a gate may fall on its other side.
    """
    precision = precision_of(network.leaf_weights.dtype if dtype is None else dtype)
    if precision == np.float32:
        check_float32(network, network.gates, network.gate_bias)
    try:
        import torch

        from pathrelu.export._trees import TreesModule
    except ImportError as error:
        raise ImportError("to_torch needs PyTorch: pip install 'pathrelu[torch]'") from error
    return TreesModule(network, torch.float32 if precision == np.float32 else torch.float64)
