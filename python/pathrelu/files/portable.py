"""What estimators have beside training and prediction: files, and export to ONNX and skl2onnx."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from sklearn.utils.validation import check_is_fitted

from pathrelu import _validation as check
from pathrelu._registry import ESTIMATORS
from pathrelu._version import __version__
from pathrelu.export.graph import estimator_labels
from pathrelu.export.onnx import to_onnx
from pathrelu.export.skl2onnx import register_skl2onnx, skl2onnx_convert, skl2onnx_shapes
from pathrelu.files.archive import archive_bytes
from pathrelu.files.estimators import ATTRIBUTE, FORMAT, VERSION
from pathrelu.files.reading import save_content
from pathrelu.files.values import Encoder, NotPlainData
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork

NEEDED = ("network_", "classes_", "n_features_in_", "feature_names_in_")  # for predictions


class Portable:
    """Methods of an estimator whose fit leaves a `network_`."""

    network_: ParallelReLUNetwork | GatedReLUNetwork
    objective_: float
    dual_gap_: float

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file, for `pathrelu.load`: arrays and a JSON header, no pickle.

        Nothing in the file can be executed. It holds the parameters and the attributes that end in an
        underscore. What is not plain data (numbers, text, arrays and lists, tuples and dictionaries of these)
        is left out with a warning: a parameter such as a callback or a random generator comes back as None,
        an attribute not at all. Metadata requests and what `warm_start` would start from are not stored. An
        existing file keeps its content until the new one is complete, and its mode; a symbolic link stays
        one, and what it points to is written. FIFOs and character devices are written to.

        Parameters
        ----------
        path : str or path-like
            Used as it is; ``.npz`` is customary.

        Raises
        ------
        NotFittedError
            If there is no fit.
        TypeError
            If this is an estimator of a class of your own, which `load` would not know, or its labels are of
            a dtype that a file cannot hold (longdouble).
        ValueError
            If `load` would refuse the file, because parameters or attributes have been changed. Nothing is
            written then.

        Warns
        -----
        UserWarning
            Naming what is left out.
        """
        check_is_fitted(self)
        path = check.path(path)
        if ESTIMATORS.name_of(type(self)) is None:
            raise TypeError(
                f"{type(self).__module__}.{type(self).__qualname__} cannot be saved; expected one of "
                f"pathrelu's own estimators. Its network_ can: network_.save(path)"
            )
        encode = Encoder()
        left_out = []

        def encoded(values: dict[str, Any], keep: bool) -> dict[str, Any]:
            plain = {}
            for name, value in values.items():
                try:
                    plain[name] = encode.whole(value)
                except NotPlainData as reason:
                    if name in NEEDED:
                        raise TypeError(f"{name} cannot be saved: {reason}") from None
                    left_out.append(f"{name} ({reason})")
                    if keep:
                        plain[name] = None
            return plain

        header = {
            "format": FORMAT,
            "version": VERSION,
            "pathrelu_version": __version__,
            "class": type(self).__name__,
            "parameters": encoded(self.get_params(deep=False), keep=True),  # type: ignore[attr-defined]
            "attributes": encoded(
                {name: value for name, value in vars(self).items() if ATTRIBUTE.fullmatch(name)}, keep=False
            ),
        }
        content = archive_bytes(header | {"n_arrays": len(encode.arrays)}, encode.arrays)
        save_content(content, path)
        if left_out:
            warnings.warn(f"left out of {path}: {', '.join(left_out)}", stacklevel=2)

    def to_onnx(self, path: str | os.PathLike[str], *, dtype: DTypeLike = np.float32) -> None:
        """Write the predictor to an ONNX file: opset 17, IR version 8, any number of rows.

        Its input is ``X`` (n_rows, n_features), raw rows. A classifier has the outputs ``label`` (n_rows,)
        and ``probabilities`` (n_rows, n_classes), a regressor has ``variable`` (n_rows, n_outputs). Names of
        features, classes, objective and duality gap are in ``metadata_props``. To convert a pipeline, give it
        to `skl2onnx.to_onnx`, which finds the converter by itself.

        Parameters
        ----------
        path : str or path-like
        dtype : {float32, float64}, default=float32
            Of the rows and of the outputs.

        Raises
        ------
        NotFittedError
            If there is no fit.
        ImportError
            If onnx is not installed, ``pip install 'pathrelu[onnx]'``.
        ValueError
            If the labels are not all str, int, float or bool.

        See Also
        --------
        ParallelReLUNetwork.to_onnx : The same for a network; what it says of gated networks holds here too.
        """
        check_is_fitted(self)
        estimator_labels(self)  # refuses those that ONNX does not have
        metadata = {
            "estimator": type(self).__name__,
            "objective": json.dumps(float(self.objective_)),
            "dual_gap": json.dumps(float(self.dual_gap_)),
        }
        exponential = getattr(self, "log_link", False)
        to_onnx(self.network_, path, dtype=dtype, metadata=metadata, exponential=exponential)

    # What skl2onnx asks an estimator for that it does not know.

    def onnx_parser(self) -> None:
        register_skl2onnx()  # the first thing asked for: options are looked up in the registry afterwards

    def onnx_shape_calculator(self) -> Callable[[Any], None]:
        return skl2onnx_shapes

    def onnx_converter(self) -> Callable[[Any, Any, Any], None]:
        return skl2onnx_convert
