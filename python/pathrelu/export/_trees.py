"""The networks as PyTorch modules. Needs PyTorch; imported by `to_torch` alone."""

from __future__ import annotations

import math
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pathrelu.encoding import TableEncoder
from pathrelu.encoding._plan import MISSING, Plan
from pathrelu.export.graph import Network


class TreesModule(nn.Module):  # type: ignore[misc]
    """Sum of K trees of ReLU units, or of gated units, with the outputs of the network it is made from.

    Parameters are ``leaf_weights`` (K, paths, n_features), ``leaf_bias`` (K, paths), ``edges``, one (K,
    units, children) for each hidden layer after the first, ``output_weights`` (K, n_outputs), ``intercept``
    (n_outputs,), and with a skip connection ``skip_weights`` (n_outputs, n_features) and ``skip_bias``
    (n_outputs,). What centers and scales rows and the gates are buffers.
    """

    def __init__(self, network: Network, dtype: torch.dtype) -> None:
        super().__init__()

        def tensor(array: NDArray[Any]) -> Tensor:
            return torch.tensor(array, dtype=dtype)

        self.encoding = None if network.encoder is None else EncodingModule(network.encoder, dtype)
        K = network.n_subnetworks
        self.leaf_weights = nn.Parameter(tensor(network.leaf_weights))
        self.leaf_bias = nn.Parameter(tensor(network.leaf_bias))
        self.edges = nn.ParameterList()
        begin = 0
        for layer, children in enumerate(network.width):
            size = math.prod(network.width[layer:])
            signs = network.edge_signs[:, begin : begin + size].reshape(K, size // children, children)
            self.edges.append(nn.Parameter(tensor(signs)))
            begin += size
        self.output_weights = nn.Parameter(tensor(network.output_weights))
        self.intercept = nn.Parameter(tensor(network.intercept))
        self.register_buffer("center", tensor(network.center))
        # A center rounded to float32 is off by more than rows are wide where these are far from zero.
        self.register_buffer("center_rest", tensor(network.center - self.center.double().numpy()))
        self.register_buffer("scale", tensor(network.scale))
        self.gated = network.gates is not None
        if network.gates is not None and network.gate_bias is not None:
            self.register_buffer("gates", tensor(network.gates))
            self.register_buffer("gate_bias", tensor(network.gate_bias))
            for layer, edge in enumerate(self.edges):
                self.register_buffer(f"gate_edges_{layer}", edge.detach().clone())
        self.skip_weights = self.skip_bias = None
        if network.skip_weights is not None and network.skip_bias is not None:
            self.skip_weights = nn.Parameter(tensor(network.skip_weights))
            self.skip_bias = nn.Parameter(tensor(network.skip_bias))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n_rows,), or (n_rows, n_outputs) if there are several, of rows (n_rows, n_features)."""
        if self.encoding is not None:
            x = self.encoding(x)
        z = (x - self.center - self.center_rest) / self.scale
        values = _leaves(z, self.leaf_weights, self.leaf_bias)
        if self.gated:
            gate = _leaves(z, self.gates, self.gate_bias)
            values = values * (gate > 0)
            for layer, edge in enumerate(self.edges):
                values = _parents(values, edge)
                gate = _parents(torch.relu(gate), getattr(self, f"gate_edges_{layer}"))
                values = values * (gate > 0)
        else:
            values = torch.relu(values)
            for edge in self.edges:
                values = torch.relu(_parents(values, edge))
        outputs = values[..., 0] @ self.output_weights + self.intercept
        if self.skip_weights is not None:
            outputs = outputs + nn.functional.linear(z, self.skip_weights, self.skip_bias)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs


class EncodingModule(nn.Module):  # type: ignore[misc]
    """Encoded columns of raw rows in float64, as `TableEncoder.places` has them; all it holds are buffers."""

    def __init__(self, encoder: TableEncoder, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.plain = encoder.plain
        for name, array in vars(Plan.of(encoder)).items():
            self.register_buffer(name, torch.from_numpy(array))

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Moved between devices, and left in float64: knots of ramps may be close to each other."""
        before = {name: buffer for name, buffer in self.named_buffers() if buffer.is_floating_point()}
        super()._apply(fn, *args, **kwargs)
        for name, buffer in before.items():
            setattr(self, name, buffer.to(getattr(self, name).device))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Encoded columns (n_rows, n_columns) of raw ones (n_rows, n_features)."""
        gaps = x.isnan()
        if self.plain:
            return torch.where(gaps, self.fill.to(x.dtype), x)
        z = x.double()
        filled = torch.where(gaps, self.fill, z)
        moved = filled[:, self.cycle_of] + self.offset
        parts = torch.cat([filled, moved - self.period * torch.floor(moved / self.period)], dim=1)
        ramps = ((parts[:, self.ramp] * self.unit - self.low) / self.width).clamp(0, 1)
        known = torch.where(gaps, MISSING, z)[:, self.equal] == self.place
        made = [parts[:, self.value], ramps, known.double(), gaps[:, self.gap].double()]
        return torch.cat(made, dim=1)[:, self.order].to(self.dtype)


def _leaves(z: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """Pre-activations (n, K, paths)."""
    return nn.functional.linear(z, weights.flatten(0, 1), bias.flatten()).unflatten(1, bias.shape)


def _parents(values: Tensor, edge: Tensor) -> Tensor:
    """Pre-activations (n, K, units) of the layer above, from the outputs (n, K, units * children) below."""
    return (values.unflatten(2, edge.shape[1:]) * edge).sum(dim=3)
