"""Every private part of scikit-learn that is used here, and what was elsewhere in other releases of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.utils import Tags
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils.fixes import parse_version
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metadata_routing import _raise_for_params as raise_for_params
from sklearn.utils.metadata_routing import _routing_enabled as routing_enabled
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_method_params as check_method_params
from sklearn.utils.validation import _check_y as check_y
from sklearn.utils.validation import _num_samples as num_samples
from sklearn.utils.validation import validate_data

__all__ = [
    "MetadataRouter",
    "MethodMapping",
    "Parallel",
    "Tags",
    "check_feature_names_in",
    "check_method_params",
    "check_y",
    "delayed",
    "is_scorer_of",
    "num_samples",
    "parameter_names",
    "parse_version",
    "process_routing",
    "raise_for_params",
    "routing_enabled",
    "safe_indexing",
    "takes_weights",
    "validate_data",
]


def parameter_names(estimator: type) -> list[str]:
    """Names of the parameters of a class of estimators."""
    names: list[str] = estimator._get_param_names()  # type: ignore[attr-defined]
    return names


def is_scorer_of(scorer: Any, metric: Callable[..., Any]) -> bool:
    """Whether `make_scorer` made this of the metric."""
    return getattr(scorer, "_score_func", None) is metric


def takes_weights(scorer: Any) -> bool:
    """Whether `make_scorer` made this of a metric that takes weights."""
    return bool(getattr(scorer, "_accept_sample_weight", lambda: False)())
