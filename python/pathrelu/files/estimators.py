"""Estimators as a header and arrays: their parameters, and the attributes that end in an underscore."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from pathrelu import _validation as check
from pathrelu._registry import ESTIMATORS, NETWORKS
from pathrelu.files.archive import Arrays, Header, check_entries, check_version
from pathrelu.files.values import Decoder

FORMAT = "pathrelu-estimator"
VERSION = 2
RELEASE_VERSION = 2  # from which on a file names the release that wrote it
ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*[a-z0-9]_")


def estimator_from_parts(header: Header, arrays: Arrays) -> Any:
    """The estimator with this header and these arrays in its file."""
    check_version(header, range(1, VERSION + 1))
    expected = {"format", "version", "class", "parameters", "attributes", "n_arrays"}
    if header["version"] >= RELEASE_VERSION:
        expected.add("pathrelu_version")
    check_entries(set(header), expected)
    cls = ESTIMATORS.get(header["class"])
    if cls is None:
        raise ValueError(f"it holds an estimator of the class {header['class']!r}, which is not known")
    decode = Decoder(arrays)
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
    try:
        estimator._encoder()  # by which rows are read
    except TypeError as error:
        raise ValueError(str(error)) from None
    network: Any = getattr(estimator, "network_", None)
    if not NETWORKS.has_instance(network):
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
