"""Networks for other runtimes: PyTorch modules, ONNX files, and the converter for skl2onnx.

Each function needs its extra, ``pip install 'pathrelu[onnx]'`` or ``'pathrelu[torch]'``, and imports it when
it is called.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.base import ClassifierMixin, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from pathrelu import _validation as check
from pathrelu._files import write_file
from pathrelu.network import GatedReLUNetwork
from pathrelu.network import _Network as Network

OPSET = 17  # with IR 8: what runtimes since 2022 read; the defaults of the onnx package are far ahead
IR_VERSION = 8
FLOAT32 = np.finfo(np.float32)
OLDEST_OPSET = 14  # of the operators used


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
    precision = _precision(network.leaf_weights.dtype if dtype is None else dtype)
    if precision == np.float32:
        check_float32(network, *network._gates())
    try:
        import torch

        from pathrelu._torch import TreesModule
    except ImportError as error:
        raise ImportError("to_torch needs PyTorch: pip install 'pathrelu[torch]'") from error
    return TreesModule(network, torch.float32 if precision == np.float32 else torch.float64)


def to_onnx(
    network: Network,
    path: str | os.PathLike[str],
    *,
    dtype: DTypeLike = np.float32,
    metadata: Mapping[str, str] | None = None,
    exponential: bool = False,
) -> None:
    """Write the network to an ONNX file (opset 17, IR version 8); see `ParallelReLUNetwork.to_onnx`.

    Parameters
    ----------
    network : ParallelReLUNetwork or GatedReLUNetwork
    path : str or path-like
    dtype : {float32, float64}, default=float32
    metadata : mapping of str to str, optional
        More entries for ``metadata_props``.
    exponential : bool, default=False
        Whether the file gives exponentials of the network's outputs.
    """
    precision = _precision(dtype)
    path = check.path(path)
    labels = _label_array(network)
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise ImportError("to_onnx needs onnx: pip install 'pathrelu[onnx]'") from error

    nodes: list[Any] = []
    initializers: list[Any] = []

    class Plain:
        def constant(self, array: NDArray[Any]) -> str:
            name = f"constant_{len(initializers)}"
            initializers.append(_tensor(array, name))
            return name

        def node(self, op: str, *inputs: str, **attributes: Any) -> str:
            name = f"{op.lower()}_{len(nodes)}"
            nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
            return name

    graph = Plain()
    outputs = _outputs(network, graph, "X", precision)
    if exponential:
        outputs = graph.node("Exp", outputs)
    if labels is None:
        results = {"variable": (outputs, _element_type(precision), ["n_rows", network.n_outputs])}
    else:
        label, probabilities = _classify(graph, outputs, labels, network.n_outputs, precision)
        results = {
            "label": (label, _element_type(labels.dtype), ["n_rows"]),
            "probabilities": (probabilities, _element_type(precision), ["n_rows", len(labels)]),
        }
    for name, (value, _, _) in results.items():
        nodes.append(helper.make_node("Identity", [value], [name], name=name))
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "pathrelu",
            [helper.make_tensor_value_info("X", _element_type(precision), ["n_rows", network.n_features])],
            [helper.make_tensor_value_info(name, kind, shape) for name, (_, kind, shape) in results.items()],
            initializers,
        ),
        producer_name="pathrelu",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, _metadata(network) | dict(metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    write_file(path, model.SerializeToString())


def _precision(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        precision = np.dtype(dtype)
    except TypeError:
        precision = None
    if dtype is None or precision not in (np.float32, np.float64):
        raise ValueError(f"dtype is {dtype!r}; expected float32 or float64")
    assert precision is not None
    return precision


def check_float32(network: Network, *more: NDArray[Any]) -> None:
    """Refuse what float32 cannot hold: columns by name, and weights, `more` of them than those of outputs."""
    smallest, most = (float(limit) for limit in (FLOAT32.smallest_normal, FLOAT32.max))
    names = network.feature_names or range(network.n_features)
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


def _metadata(network: Network) -> dict[str, str]:
    from pathrelu import __version__

    found = {
        "pathrelu_version": __version__,
        "network": repr(network),
        "feature_names": network.feature_names,
        "target": network.target,
        "classes": network.classes,
    }
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in found.items()
        if value is not None
    }


# ---- The graph, for a file of its own and for skl2onnx alike ---------------------------------------


class Graph(Protocol):
    """Where nodes go; both methods return the name of the value."""

    def constant(self, array: NDArray[Any]) -> str: ...
    def node(self, op: str, *inputs: str, **attributes: Any) -> str: ...


def _element_type(dtype: np.dtype[Any]) -> int:
    from onnx import TensorProto, helper

    return int(TensorProto.STRING if dtype.kind == "U" else helper.np_dtype_to_tensor_dtype(dtype))


def _tensor(array: NDArray[Any], name: str) -> Any:
    from onnx import helper, numpy_helper

    if array.dtype.kind == "U":
        values = [str(value).encode() for value in array.ravel()]
        return helper.make_tensor(name, _element_type(array.dtype), array.shape, values)
    return numpy_helper.from_array(np.ascontiguousarray(array), name)


def _outputs(network: Network, graph: Graph, X: str, precision: np.dtype[Any]) -> str:
    """Outputs (n, n_outputs) of the raw rows X, which are of the precision given."""
    if precision == np.float32:
        check_float32(network)
    K = network.n_subnetworks
    double = _element_type(np.dtype(np.float64))
    narrow = precision == np.float32
    gated = isinstance(network, GatedReLUNetwork)

    def constant(array: NDArray[Any]) -> str:
        return graph.constant(array.astype(precision))

    z = _scaled(network, graph, X, precision)
    linear = None
    if network.skip_weights is not None and network.skip_bias is not None:
        linear = graph.node(
            "Gemm", z, constant(network.skip_weights.T), constant(network.skip_bias + network.intercept)
        )
    elif K == 0:
        no_map = np.zeros((network.n_features, network.n_outputs))
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
        on = graph.node("Cast", graph.node("Greater", gate, zero), to=_element_type(precision))
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
    if precision == np.float64 or isinstance(network, GatedReLUNetwork):
        # Gates must see what they see in `predict`, which scales in double and rounds the result.
        narrow = precision == np.float32
        wide = graph.node("Cast", X, to=_element_type(np.dtype(np.float64))) if narrow else X
        wide = graph.node("Sub", wide, graph.constant(network.center))
        wide = graph.node("Div", wide, graph.constant(network.scale))
        return graph.node("Cast", wide, to=_element_type(precision)) if narrow else wide
    center = network.center.astype(np.float32)
    rest = (network.center - center).astype(np.float32)
    z = graph.node("Sub", X, graph.constant(center))
    # A center rounded to float32 is off by more than rows are wide where these are far from zero.
    if (np.abs(rest) > FLOAT32.eps * network.scale).any():
        z = graph.node("Sub", z, graph.constant(rest))
    return graph.node("Div", z, graph.constant(network.scale.astype(np.float32)))


def _children_first(network: Network, weights: str, bias: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights (n_features, units) and biases (units) of the leaves, as `_reversed` orders them."""
    W, b = getattr(network, weights), getattr(network, bias)
    columns = [_reversed(W[..., j], network.width) for j in range(network.n_features)]
    return np.stack(columns), _reversed(b, network.width)


def _reversed(values: NDArray[Any], width: Sequence[int]) -> NDArray[Any]:
    """Values (K, units) of a layer, flat, children of a unit far apart: sums of them are of vectors."""
    return values.reshape(len(values), *reversed(width)).T.ravel()


def estimator_labels(estimator: Any) -> NDArray[Any] | None:
    """Classes of a fitted estimator as an array that ONNX can hold, or None for a regressor."""
    if is_classifier(estimator) and estimator.network_.classes is None:
        raise ValueError(
            f"classes_ has dtype {estimator.classes_.dtype}; ONNX has labels of type str, int, float or bool"
        )
    return _label_array(estimator.network_)


def _label_array(network: Network) -> NDArray[Any] | None:
    """Classes as an array that ONNX can hold, or None for a regression."""
    if network.classes is None:
        return None
    kinds = {type(label) for label in network.classes}
    kind = kinds.pop()
    if kinds:
        raise ValueError(
            f"classes are {network.classes}; ONNX has labels of one type, str, int, float or bool"
        )
    if kind is int:
        for label in network.classes:
            if not -(2**63) <= label < 2**63:  # type: ignore[operator]
                raise ValueError(f"classes has the label {label}; ONNX has integers from -2**63 to 2**63 - 1")
    return np.array(network.classes, {int: np.int64, float: np.float64, bool: np.bool_}.get(kind, np.str_))


def _classify(
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
        index = graph.node("Cast", positive, to=_element_type(np.dtype(np.int64)))
        index = graph.node("Reshape", index, graph.constant(np.array([-1], np.int64)))
    else:
        index = graph.node("ArgMax", outputs, axis=1, keepdims=0)
        if raw_scores:  # those of `decision_function`, finite for a class of probability 0 too
            lowest = graph.constant(np.array(np.finfo(precision).min, precision))
            probabilities = graph.node("Max", outputs, lowest)
        else:
            probabilities = graph.node("Softmax", outputs, axis=1)
    return graph.node("Gather", graph.constant(labels), index), probabilities


# ---- skl2onnx ----------------------------------------------------------------------------------------


def register_skl2onnx() -> None:
    """Tell skl2onnx about the estimators.

    A pipeline that ends in one of them converts without this call. It is needed where an estimator is inside
    another one, such as `GridSearchCV`, whose converter looks it up before asking it.

    Classifiers give their probabilities as an array, with ``options={"zipmap": False}`` and without. With the
    option ``"raw_scores": True`` they give scores (n_rows, n_classes) instead: those of `decision_function`,
    and of two classes the column and, before it, its negative. `CalibratedClassifierCV` asks for them.

    Raises
    ------
    ImportError
        If skl2onnx is not installed, ``pip install 'pathrelu[onnx]'``.
    """
    try:
        from skl2onnx import update_registered_converter
        from skl2onnx._parse import _parse_sklearn_simple_model as parse
    except ImportError as error:
        raise ImportError("this needs skl2onnx: pip install 'pathrelu[onnx]'") from error
    from pathrelu._portable import estimator_classes

    def _parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
        return parse(scope, model, inputs, custom_parsers)

    for name, cls in estimator_classes().items():
        scores = {"zipmap": [False], "raw_scores": [False, True]}
        options = scores if issubclass(cls, ClassifierMixin) else None
        update_registered_converter(
            cls, f"pathrelu.{name}", skl2onnx_shapes, skl2onnx_convert, parser=_parse, options=options
        )


def skl2onnx_shapes(operator: Any) -> None:
    """Types and shapes of what an estimator gives, for skl2onnx."""
    from skl2onnx.common import data_types

    network = operator.raw_operator.network_
    labels = estimator_labels(operator.raw_operator)
    (given,) = operator.inputs
    rows = given.get_first_dimension()
    if isinstance(given.type, data_types.DoubleTensorType):
        numbers = data_types.DoubleTensorType
    else:
        numbers = data_types.FloatTensorType
    if labels is None:
        operator.outputs[0].type = numbers([rows, network.n_outputs])
        return
    kinds = {
        "U": data_types.StringTensorType,
        "i": data_types.Int64TensorType,
        "b": data_types.BooleanTensorType,
        "f": data_types.DoubleTensorType,
    }
    operator.outputs[0].type = kinds[labels.dtype.kind]([rows])
    operator.outputs[1].type = numbers([rows, len(labels)])


def skl2onnx_convert(scope: Any, operator: Any, container: Any) -> None:
    """Nodes of an estimator, for skl2onnx."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    if container.target_opset < OLDEST_OPSET:
        raise ValueError(f"target_opset is {container.target_opset}; expected at least {OLDEST_OPSET}")

    class Inside:
        def constant(self, array: NDArray[Any]) -> str:
            name: str = scope.get_unique_variable_name("constant")
            values = [str(v).encode() for v in array.ravel()] if array.dtype.kind == "U" else array.ravel()
            container.add_initializer(name, _element_type(array.dtype), list(array.shape), values)
            return name

        def node(self, op: str, *inputs: str, **attributes: Any) -> str:
            name: str = scope.get_unique_variable_name(op.lower())
            unique = scope.get_unique_operator_name(op)
            container.add_node(op, list(inputs), name, name=unique, op_version=OLDEST_OPSET, **attributes)
            return name

    graph = Inside()
    network = operator.raw_operator.network_
    labels = estimator_labels(operator.raw_operator)
    (given,) = operator.inputs
    precision = np.dtype(np.float64 if isinstance(given.type, DoubleTensorType) else np.float32)
    X = given.full_name
    if not isinstance(given.type, DoubleTensorType | FloatTensorType):
        X = graph.node("Cast", X, to=_element_type(precision))
    values = [_outputs(network, graph, X, precision)]
    if getattr(operator.raw_operator, "log_link", False):
        values = [graph.node("Exp", *values)]
    if labels is not None:
        raw = _wants_raw_scores(scope, container, operator.raw_operator)
        values = list(_classify(graph, values[0], labels, network.n_outputs, precision, raw))
    for value, output in zip(values, operator.outputs, strict=True):
        container.add_node("Identity", value, output.full_name, name=scope.get_unique_operator_name("Out"))


def _wants_raw_scores(scope: Any, container: Any, estimator: Any) -> bool:
    """Whether scores are wanted of a classifier: by its own options, or by those of what it is inside of.

    skl2onnx asks a pipeline and a search for scores as it asks a classifier, and they do not pass that on to
    the estimator at their end. A calibration does not even ask a search, and means scores of all.
    """
    options: dict[str, Any] = container.get_options(estimator, {"raw_scores": False})
    if options["raw_scores"]:
        return True
    for operator in scope.operators.values():
        outer = operator.raw_operator
        if isinstance(outer, CalibratedClassifierCV):
            inner = [fold.estimator for fold in outer.calibrated_classifiers_]
            if any(_at_the_end(one) is estimator for one in inner):
                return True
        elif outer is not estimator and _at_the_end(outer) is estimator:
            for key in (type(outer), id(outer)):
                if ((container.options or {}).get(key) or {}).get("raw_scores"):
                    return True
    return False


def _at_the_end(estimator: Any) -> Any:
    """What gives the outputs of an estimator that is a pipeline or a search."""
    while isinstance(estimator, Pipeline) or hasattr(estimator, "best_estimator_"):
        estimator = estimator[-1] if isinstance(estimator, Pipeline) else estimator.best_estimator_
    return estimator
