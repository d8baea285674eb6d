"""Nodes of ONNX graphs, wherever they go."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Graph(Protocol):
    """Where nodes go; both methods return the name of the value."""

    def constant(self, array: NDArray[Any]) -> str: ...
    def node(self, op: str, *inputs: str, **attributes: Any) -> str: ...


def element_type(dtype: np.dtype[Any]) -> int:
    from onnx import TensorProto, helper

    return int(TensorProto.STRING if dtype.kind == "U" else helper.np_dtype_to_tensor_dtype(dtype))
