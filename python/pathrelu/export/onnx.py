"""Networks as ONNX files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pathrelu import _validation as check
from pathrelu._version import __version__
from pathrelu.export._encoding import ML_DOMAIN, input_dtypes, one_input
from pathrelu.export._nodes import element_type
from pathrelu.export.graph import Network, classify, label_array, network_outputs, precision_of
from pathrelu.files.archive import write_file

OPSET = 17  # with IR 8: what runtimes since 2022 read; the defaults of the onnx package are far ahead
IR_VERSION = 8
ML_OPSET = 3  # of the operators on text, of the same time


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
    precision = precision_of(dtype)
    path = check.path(path)
    labels = label_array(network)
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
    inputs = _inputs(network, precision)
    outputs = network_outputs(network, graph, [name for name, _, _ in inputs], precision)
    if exponential:
        outputs = graph.node("Exp", outputs)
    if labels is None:
        results = {"variable": (outputs, element_type(precision), ["n_rows", network.n_outputs])}
    else:
        label, probabilities = classify(graph, outputs, labels, network.n_outputs, precision)
        results = {
            "label": (label, element_type(labels.dtype), ["n_rows"]),
            "probabilities": (probabilities, element_type(precision), ["n_rows", len(labels)]),
        }
    for name, (value, _, _) in results.items():
        nodes.append(helper.make_node("Identity", [value], [name], name=name))
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "pathrelu",
            [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
            [helper.make_tensor_value_info(name, kind, shape) for name, (_, kind, shape) in results.items()],
            initializers,
        ),
        producer_name="pathrelu",
        opset_imports=[
            helper.make_opsetid("", OPSET),
            *[helper.make_opsetid(ML_DOMAIN, ML_OPSET)] * any(node.domain == ML_DOMAIN for node in nodes),
        ],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, _metadata(network) | dict(metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    write_file(path, model.SerializeToString())


def _inputs(network: Network, precision: np.dtype[Any]) -> list[tuple[str, int, list[str | int]]]:
    """Names, types and shapes of the inputs: one for all columns, or one for each."""
    encoder = network.encoder
    if encoder is None or one_input(encoder):
        return [("X", element_type(precision), ["n_rows", network.n_features])]
    names = network.feature_names or [f"column_{k}" for k in range(network.n_features)]
    dtypes = input_dtypes(encoder, precision)
    return [(name, element_type(dtype), ["n_rows", 1]) for name, dtype in zip(names, dtypes, strict=True)]


def _metadata(network: Network) -> dict[str, str]:
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


def _tensor(array: NDArray[Any], name: str) -> Any:
    from onnx import helper, numpy_helper

    if array.dtype.kind == "U":
        values = [str(value).encode() for value in array.ravel()]
        return helper.make_tensor(name, element_type(array.dtype), array.shape, values)
    return numpy_helper.from_array(np.ascontiguousarray(array), name)
