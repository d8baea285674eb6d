"""What estimators have beside training and prediction: files, and export to ONNX and skl2onnx."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from pathrelu import _files
from pathrelu import _validation as check
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork, save_content
from pathrelu.network import from_parts as network_from_parts
from pathrelu.program import Record

FORMAT = "pathrelu-estimator"
VERSION = 2
RELEASE_VERSION = 2  # from which on a file names the release that wrote it
CLASSES = ("PathReLURegressor", "PathReLUClassifier", "PathReLURegressorCV", "PathReLUClassifierCV")
RECORDS: dict[str, type] = {"Record": Record}
NEEDED = ("network_", "classes_", "n_features_in_", "feature_names_in_")  # for predictions
ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*[a-z0-9]_")


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
        if type(self) is not estimator_classes().get(type(self).__name__):
            raise TypeError(
                f"{type(self).__module__}.{type(self).__qualname__} cannot be saved; expected one of "
                f"pathrelu's own estimators. Its network_ can: network_.save(path)"
            )
        from pathrelu import __version__

        encode = _files.Encoder(RECORDS, _network_parts)
        left_out = []

        def encoded(values: dict[str, Any], keep: bool) -> dict[str, Any]:
            plain = {}
            for name, value in values.items():
                try:
                    plain[name] = encode.whole(value)
                except _files.NotPlainData as reason:
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
        content = _files.archive_bytes(header | {"n_arrays": len(encode.arrays)}, encode.arrays)
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
        from pathrelu.export import estimator_labels, to_onnx

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
        from pathrelu.export import register_skl2onnx

        register_skl2onnx()  # the first thing asked for: options are looked up in the registry afterwards

    def onnx_shape_calculator(self) -> Callable[[Any], None]:
        from pathrelu.export import skl2onnx_shapes

        return skl2onnx_shapes

    def onnx_converter(self) -> Callable[[Any, Any, Any], None]:
        from pathrelu.export import skl2onnx_convert

        return skl2onnx_convert


def _network_parts(value: object) -> tuple[_files.Header, _files.Arrays] | None:
    return value.parts() if isinstance(value, ParallelReLUNetwork | GatedReLUNetwork) else None


def estimator_classes() -> dict[str, type]:
    """The estimators of this release by name: those that files and skl2onnx know."""
    import pathrelu

    return {name: getattr(pathrelu, name) for name in CLASSES if hasattr(pathrelu, name)}


def from_parts(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Any:
    """The estimator with this header and these arrays in its file."""
    _files.check_version(header, range(1, VERSION + 1))
    expected = {"format", "version", "class", "parameters", "attributes", "n_arrays"}
    if header["version"] >= RELEASE_VERSION:
        expected.add("pathrelu_version")
    _files.check_entries(set(header), expected)
    cls: Any = estimator_classes().get(header["class"])
    if cls is None:
        raise ValueError(f"it holds an estimator of the class {header['class']!r}, which is not known")
    decode = _files.Decoder(arrays, RECORDS, network_from_parts)
    parameters, attributes = header["parameters"], header["attributes"]
    if unknown := set(parameters) - set(cls().get_params(deep=False)):
        raise ValueError(f"{header['class']} has no parameter {min(unknown)!r}")
    estimator = cls(**{name: decode(value) for name, value in parameters.items()})
    for name, value in attributes.items():
        if not ATTRIBUTE.fullmatch(name) or hasattr(cls, name):
            raise ValueError(f"it has the unknown attribute {name!r}")
        setattr(estimator, name, decode(value))
    _check_consistent(estimator)
    decode.check_complete()
    return estimator


def _check_consistent(estimator: Any) -> None:
    """Refuse attributes that predictions rest on and that do not fit together."""
    check.threads(estimator.n_threads)
    network = getattr(estimator, "network_", None)
    if not isinstance(network, ParallelReLUNetwork | GatedReLUNetwork):
        raise ValueError("it has no network")
    if type(estimator.n_features_in_) is not int or estimator.n_features_in_ != network.n_features:
        raise ValueError(f"n_features_in_ is {estimator.n_features_in_!r}; expected {network.n_features}")
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and (
        not isinstance(names, np.ndarray)
        or names.dtype != object
        or names.shape != (network.n_features,)
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError(f"feature_names_in_ are not {network.n_features} strings")
    if not is_classifier(estimator):
        check.finite(network.intercept, "intercept")
        return
    classes, expected = getattr(estimator, "classes_", None), max(2, network.n_outputs)
    if not isinstance(classes, np.ndarray) or classes.shape != (expected,):
        raise ValueError(f"classes_ is not an array of {expected} labels")
    if network.classes is not None and classes.tolist() != network.classes:
        raise ValueError(f"classes_ are {classes.tolist()}, and those of the network {network.classes}")
