"""Networks for other runtimes: PyTorch modules, ONNX files, the converter for skl2onnx, and text.

Each function but `to_text` needs its extra, ``pip install 'pathrelu[onnx]'`` or ``'pathrelu[torch]'``, and
imports it when it is called.
"""

from pathrelu.export.onnx import to_onnx as to_onnx
from pathrelu.export.skl2onnx import register_skl2onnx as register_skl2onnx
from pathrelu.export.text import to_text as to_text
from pathrelu.export.torch import to_torch as to_torch
