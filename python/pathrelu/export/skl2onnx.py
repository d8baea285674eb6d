"""The converter of the estimators for skl2onnx."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.pipeline import Pipeline

from pathrelu._registry import ESTIMATORS
from pathrelu.export._encoding import input_dtypes, one_input
from pathrelu.export._nodes import Graph, element_type
from pathrelu.export.graph import classify, estimator_labels, network_outputs

OLDEST_OPSET = 14  # of the operators used
ML_OPSET = 2  # of those on text


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

    def _parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
        return parse(scope, model, inputs, custom_parsers)

    for name, cls in ESTIMATORS.items():
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
    rows = operator.inputs[0].get_first_dimension()
    narrow = _precision(operator) == np.float32
    numbers = data_types.FloatTensorType if narrow else data_types.DoubleTensorType
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
    if container.target_opset < OLDEST_OPSET:
        raise ValueError(f"target_opset is {container.target_opset}; expected at least {OLDEST_OPSET}")

    class Inside:
        def constant(self, array: NDArray[Any]) -> str:
            name: str = scope.get_unique_variable_name("constant")
            values = [str(v).encode() for v in array.ravel()] if array.dtype.kind == "U" else array.ravel()
            container.add_initializer(name, element_type(array.dtype), list(array.shape), values)
            return name

        def node(self, op: str, *inputs: str, **attributes: Any) -> str:
            name: str = scope.get_unique_variable_name(op.lower())
            unique = scope.get_unique_operator_name(op)
            domain = attributes.pop("domain", "")
            version = ML_OPSET if domain else OLDEST_OPSET
            container.add_node(
                op, list(inputs), name, op_domain=domain, op_version=version, name=unique, **attributes
            )
            return name

    graph = Inside()
    network = operator.raw_operator.network_
    labels = estimator_labels(operator.raw_operator)
    precision = _precision(operator)
    values = [network_outputs(network, graph, _inputs(operator, graph, precision), precision)]
    if getattr(operator.raw_operator, "log_link", False):
        values = [graph.node("Exp", *values)]
    if labels is not None:
        raw = _wants_raw_scores(scope, container, operator.raw_operator)
        values = list(classify(graph, values[0], labels, network.n_outputs, precision, raw))
    for value, output in zip(values, operator.outputs, strict=True):
        container.add_node("Identity", value, output.full_name, name=scope.get_unique_operator_name("Out"))


def _precision(operator: Any) -> np.dtype[Any]:
    """float64 if an input is that, else float32."""
    from skl2onnx.common.data_types import DoubleTensorType

    encoder = operator.raw_operator.network_.encoder
    kinds = [given.type for given in operator.inputs]
    if not one_input(encoder):  # of times it always is
        wanted = input_dtypes(encoder, np.dtype(np.float32))
        kinds = [kind for kind, dtype in zip(kinds, wanted, strict=False) if dtype == np.float32]
    return np.dtype(np.float64 if any(isinstance(kind, DoubleTensorType) for kind in kinds) else np.float32)


def _inputs(operator: Any, graph: Graph, precision: np.dtype[Any]) -> list[str]:
    """Names of raw rows: one array, or one for each column where there are text or times."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    encoder = operator.raw_operator.network_.encoder
    if one_input(encoder):
        names = []
        for given in operator.inputs:
            name: str = given.full_name
            if not isinstance(given.type, DoubleTensorType | FloatTensorType):
                name = graph.node("Cast", name, to=element_type(precision))
            names.append(name)
        return [graph.node("Concat", *names, axis=1)] if len(names) > 1 else names
    if len(operator.inputs) != encoder.n_features_in_:
        raise ValueError(
            f"the estimator has columns of text or times and {len(operator.inputs)} inputs; expected one for "
            f"each of its {encoder.n_features_in_} columns"
        )
    for k, (given, dtype) in enumerate(zip(operator.inputs, input_dtypes(encoder, precision), strict=True)):
        if isinstance(given.type, StringTensorType) != (dtype.kind == "U"):
            wanted = "text" if dtype.kind == "U" else "numbers"
            raise TypeError(f"input {k} is a {type(given.type).__name__}; expected one of {wanted}")
    return [given.full_name for given in operator.inputs]


def _wants_raw_scores(scope: Any, container: Any, estimator: Any) -> bool:
    """Whether scores are wanted of a classifier: by its own options, or by those of what it is inside of.

    skl2onnx asks a pipeline and a search for scores as it asks a classifier, and they do not pass that on to
    the estimator at their end. A calibration does not even ask a search, and means scores of all.
    """
    from sklearn.calibration import CalibratedClassifierCV  # which loads half of scikit-learn

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
