"""The graph of ONNX operators that a network is, for a file of its own and for skl2onnx alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.base import is_classifier

from pathrelu import _validation as check
from pathrelu.encoding import TableEncoder
from pathrelu.export._encoding import encoded_columns
from pathrelu.export._nodes import Graph, element_type

FLOAT32 = np.finfo(np.float32)


class Network(Protocol):
    """What exports ask of a network; gates and a skip connection may be None."""

    leaf_weights: check.Rows
    leaf_bias: check.Rows
    edge_signs: NDArray[np.int8]
    output_weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    width: tuple[int, ...]
    classes: list[str | int | float | bool] | None
    feature_names: list[str] | None
    target: str | None
    skip_weights: check.Rows | None
    skip_bias: check.Rows | None
    encoder: TableEncoder | None

    @property
    def gates(self) -> check.Rows | None: ...
    @property
    def gate_bias(self) -> check.Rows | None: ...
    @property
    def n_subnetworks(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def n_columns(self) -> int: ...
    @property
    def n_outputs(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def origin(self) -> NDArray[np.intp]: ...
    @property
    def skip_connection(self) -> bool: ...
    @property
    def weights(self) -> dict[str, check.Rows]: ...
    def column_names(self) -> list[str]: ...


def precision_of(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        precision = np.dtype(dtype)
    except TypeError:
        precision = None
    if dtype is None or precision not in (np.float32, np.float64):
        raise ValueError(f"dtype is {dtype!r}; expected float32 or float64")
    assert precision is not None
    return precision


def check_float32(network: Network, *more: NDArray[Any] | None) -> None:
    """Refuse what float32 cannot hold: columns by name, and weights, `more` of them than those of outputs."""
    smallest, most = (float(limit) for limit in (FLOAT32.smallest_normal, FLOAT32.max))
    names = network.column_names() if network.feature_names or network.encoder else range(network.n_columns)
    for name, center, scale in zip(names, network.center.tolist(), network.scale.tolist(), strict=True):
        if abs(center) > most or not smallest <= scale <= most:
            raise ValueError(
                f"column {name!r} has center {center:g} and scale {scale:g}, which float32 cannot hold; "
                "expected an export in float64"
            )
    skip_weights, skip_bias = network.skip_weights, network.skip_bias
    intercept = network.intercept[np.isfinite(network.intercept)]  # -inf, of a class of probability 0, stays
    for array in (network.leaf_weights, network.leaf_bias, intercept, skip_weights, skip_bias, *more):
        if array is not None and (largest := float(np.abs(array).max(initial=0))) > most:
            raise ValueError(
                f"a weight is {largest:g}, which float32 cannot hold; expected an export in float64"
            )


def network_outputs(network: Network, graph: Graph, inputs: Sequence[str], precision: np.dtype[Any]) -> str:
    """Outputs (n, n_outputs) of raw rows, of the precision given: one array, or one for each column."""
    if precision == np.float32:
        check_float32(network)
    X = inputs[0]
    if network.encoder is not None:
        X = encoded_columns(network.encoder, graph, inputs, precision)
    K = network.n_subnetworks
    double = element_type(np.dtype(np.float64))
    narrow = precision == np.float32
    gated = network.gates is not None

    def constant(array: NDArray[Any]) -> str:
        return graph.constant(array.astype(precision))

    z = _scaled(network, graph, X, precision)
    linear = None
    if network.skip_weights is not None and network.skip_bias is not None:
        linear = graph.node(
            "Gemm", z, constant(network.skip_weights.T), constant(network.skip_bias + network.intercept)
        )
    elif K == 0:
        no_map = np.zeros((network.n_columns, network.n_outputs))
        linear = graph.node("Gemm", z, constant(no_map), constant(network.intercept))
    if K == 0:
        assert linear is not None
        return linear

    values = graph.node("Gemm", z, *map(constant, _children_first(network, "leaf_weights", "leaf_bias")))
    if gated:
        # In double, as `predict` computes gates: rounding to float32 could turn units on or off.
        wide = graph.node("Cast", z, to=double) if narrow else z
        weights, bias = _children_first(network, "gates", "gate_bias")
        gate = graph.node("Gemm", wide, *(graph.constant(a.astype(np.float64)) for a in (weights, bias)))
        zero = graph.constant(np.zeros((), np.float64))

    def parents(values: str, signs: NDArray[Any], children: int) -> str:
        units = signs.size // children
        shape = graph.constant(np.array([0, children, units], np.int64))
        signed = graph.node("Mul", values, graph.constant(signs.reshape(1, -1)))
        first = graph.constant(np.array([1], np.int64))
        return graph.node("ReduceSum", graph.node("Reshape", signed, shape), first, keepdims=0)

    def active(values: str) -> str:
        if not gated:
            return graph.node("Relu", values)
        on = graph.node("Cast", graph.node("Greater", gate, zero), to=element_type(precision))
        return graph.node("Mul", values, on)

    values = active(values)
    begin = 0
    for layer, children in enumerate(network.width):
        size = math.prod(network.width[layer:])
        signs = _reversed(network.edge_signs[:, begin : begin + size], network.width[layer:])
        begin += size
        values = parents(values, signs.astype(precision), children)
        if gated:
            gate = parents(graph.node("Relu", gate), signs.astype(np.float64), children)
        values = active(values)
    intercept = np.zeros(network.n_outputs) if network.skip_connection else network.intercept
    result = graph.node("Gemm", values, constant(network.weights["output"].T), constant(intercept))
    return result if linear is None else graph.node("Add", result, linear)


def _scaled(network: Network, graph: Graph, X: str, precision: np.dtype[Any]) -> str:
    """The rows that leaves see: (X - center) / scale."""
    if not network.center.any() and (network.scale == 1).all():
        return X
    if precision == np.float64 or network.gates is not None:
        # Gates must see what they see in `predict`, which scales in double and rounds the result.
        narrow = precision == np.float32
        wide = graph.node("Cast", X, to=element_type(np.dtype(np.float64))) if narrow else X
        wide = graph.node("Sub", wide, graph.constant(network.center))
        wide = graph.node("Div", wide, graph.constant(network.scale))
        return graph.node("Cast", wide, to=element_type(precision)) if narrow else wide
    center = network.center.astype(np.float32)
    rest = (network.center - center).astype(np.float32)
    z = graph.node("Sub", X, graph.constant(center))
    # A center rounded to float32 is off by more than rows are wide where these are far from zero.
    if (np.abs(rest) > FLOAT32.eps * network.scale).any():
        z = graph.node("Sub", z, graph.constant(rest))
    return graph.node("Div", z, graph.constant(network.scale.astype(np.float32)))


def _children_first(network: Network, weights: str, bias: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights (n_columns, units) and biases (units) of the leaves, as `_reversed` orders them."""
    W, b = getattr(network, weights), getattr(network, bias)
    columns = [_reversed(W[..., j], network.width) for j in range(network.n_columns)]
    return np.stack(columns), _reversed(b, network.width)


def _reversed(values: NDArray[Any], width: Sequence[int]) -> NDArray[Any]:
    """Values (K, units) of a layer, flat, children of a unit far apart: sums of them are of vectors."""
    return values.reshape(len(values), *reversed(width)).T.ravel()


def check_labels(estimator: Any, language: str = "ONNX") -> None:
    """Refuse classes of a fitted estimator that its network does not have."""
    if is_classifier(estimator) and estimator.network_.classes is None:
        raise ValueError(
            f"classes_ has dtype {estimator.classes_.dtype}; {language} has labels of type str, int, float "
            "or bool"
        )


def estimator_labels(estimator: Any) -> NDArray[Any] | None:
    """Classes of a fitted estimator as an array that ONNX can hold, or None for a regressor."""
    check_labels(estimator)
    return label_array(estimator.network_)


def label_array(network: Network, language: str = "ONNX") -> NDArray[Any] | None:
    """Classes as an array that ONNX, or another language, can hold, or None for a regression."""
    if network.classes is None:
        return None
    kinds = {type(label) for label in network.classes}
    kind = kinds.pop()
    if kinds:
        raise ValueError(
            f"classes are {network.classes}; {language} has labels of one type, str, int, float or bool"
        )
    if kind is int:
        for label in network.classes:
            if not -(2**63) <= label < 2**63:  # type: ignore[operator]
                raise ValueError(
                    f"classes has the label {label}; {language} has integers from -2**63 to 2**63 - 1"
                )
    return np.array(network.classes, {int: np.int64, float: np.float64, bool: np.bool_}.get(kind, np.str_))


def classify(
    graph: Graph,
    outputs: str,
    labels: NDArray[Any],
    n_outputs: int,
    precision: np.dtype[Any],
    raw_scores: bool = False,
) -> tuple[str, str]:
    """Labels (n,), and probabilities or `raw_scores` (n, n_classes), of log-odds or logits."""
    if n_outputs == 1:
        # The score of the first of two classes is minus that of the second, as in skl2onnx's own converters.
        scores = graph.node("Concat", graph.node("Neg", outputs), outputs, axis=1)
        probabilities = scores if raw_scores else graph.node("Sigmoid", scores)
        positive = graph.node("Greater", outputs, graph.constant(np.zeros((), precision)))
        index = graph.node("Cast", positive, to=element_type(np.dtype(np.int64)))
        index = graph.node("Reshape", index, graph.constant(np.array([-1], np.int64)))
    else:
        index = graph.node("ArgMax", outputs, axis=1, keepdims=0)
        if raw_scores:  # those of `decision_function`, finite for a class of probability 0 too
            lowest = graph.constant(np.array(np.finfo(precision).min, precision))
            probabilities = graph.node("Max", outputs, lowest)
        else:
            probabilities = graph.node("Softmax", outputs, axis=1)
    return graph.node("Gather", graph.constant(labels), index), probabilities
