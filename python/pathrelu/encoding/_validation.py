"""Checked rows of estimators as raw tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse

from pathrelu import _validation as check
from pathrelu._sklearn import validate_data
from pathrelu.encoding._encoder import TableEncoder
from pathrelu.encoding._raw import RawTable


def read_table(estimator: Any, encoder: TableEncoder, X: Any, *y: Any, **options: Any) -> Any:
    """Columns of X, and targets if there are `y`, checked as `validate_data` does with the `options`.

    Sparse rows are made dense.
    """
    reset = options.pop("reset", True)
    if isinstance(X, RawTable):  # which has been read, and has targets that have been
        return (X, y[0]) if y else X
    names = None if check.is_lazy(X) else check.column_names(X)
    if names is None and _of_numbers(X):
        checked = check.table(estimator, X, *y, gaps=True, reset=reset, **options)
        return (RawTable.of_block(checked[0]), checked[1]) if y else RawTable.of_block(checked)
    if names is not None:  # first of all, so that a frame with a column too many is told which
        validate_data(estimator, X, skip_check_array=True, reset=reset)
    raw = encoder.read(X)
    if names is None:
        validate_data(estimator, np.empty(raw.shape, np.int8), skip_check_array=True, reset=reset)
    return (raw, check.target(estimator, y[0], len(raw), **options)) if y else raw


def _of_numbers(X: Any) -> bool:
    """Whether scikit-learn's checks of arrays of numbers are for this, with their words for what is none."""
    if issparse(X) or X is None or hasattr(X, "collect"):
        return True
    if isinstance(X, np.ma.MaskedArray):
        return X.dtype.kind in "fiubc"
    try:
        array = np.asarray(X)
    except ValueError:
        return True
    return array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "OUMm"
