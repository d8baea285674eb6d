"""Sparse rows of numbers: encoded without their zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array

from pathrelu import _validation as check
from pathrelu.encoding._columns import Column, Numbers, Part, fit_numbers
from pathrelu.encoding._raw import EMPTY, NUMBER, RawColumn

ENTRIES = 4_000_000  # of sparse rows that are dense at a time: 32 MB


def fit_sparse_numbers(nonzeros: Any, weight: check.Doubles, indicator: bool) -> list[Column]:
    """The encoding of each column, whose numbers stay as they are: as `fit_numbers` has it for dense ones.

    The weighted median is zero unless entries of one sign, with what is missing, have half of the weight.
    """
    used = weight > 0
    table, weight = csc_array(nonzeros[used]), weight[used]
    total = float(weight.sum())
    missing = np.isnan(table.data)
    column = np.repeat(np.arange(table.shape[1]), np.diff(table.indptr))
    of_sign = [
        np.bincount(column[of], weight[table.indices[of]], table.shape[1])
        for of in (missing | (table.data > 0), missing | (table.data < 0))
    ]
    gaps = np.bincount(column[missing], minlength=table.shape[1]) > 0
    plain, with_gaps = (Numbers(NUMBER, 0.0, of_gaps, (Part(),)) for of_gaps in (False, indicator))
    found: list[Column] = [with_gaps if gap else plain for gap in gaps]
    for k in np.flatnonzero(2 * np.maximum(*of_sign) >= total):
        values = table[:, [int(k)]].toarray()[:, 0]
        found[k] = fit_numbers(RawColumn(NUMBER, values), weight, None, indicator)
    return found


def keeps_zeros(column: Column) -> bool:
    """Whether zeros of a column are zeros of its encoded ones, and other numbers stay as they are."""
    return column.kind == EMPTY or (isinstance(column, Numbers) and column.parts == (Part(),))


def encode_sparse(columns: Sequence[Column], nonzeros: Any) -> Any:
    """The encoded columns (csr_array) of sparse rows, all of which keep zeros."""
    other = next((k for k, column in enumerate(columns) if not keeps_zeros(column)), None)
    if other is not None:
        raise ValueError(
            f"X is sparse, and zeros of column {other} are encoded as other numbers; expected dense rows "
            "(try X.toarray())"
        )
    n, d = nonzeros.shape
    told = np.array([isinstance(column, Numbers) and column.gaps for column in columns])
    missing = np.isnan(nonzeros.data)
    if not (told.any() or missing.any() or any(column.kind == EMPTY for column in columns)):
        return nonzeros
    fill = np.array([column.fill if isinstance(column, Numbers) else 0.0 for column in columns])
    kept = np.array([column.kind != EMPTY for column in columns])
    data, place = nonzeros.data, nonzeros.indices
    values = np.where(missing, fill[place].astype(data.dtype), data) * kept[place]
    begin = np.arange(d) + np.cumsum(told) - told
    row = np.repeat(np.arange(n), np.diff(nonzeros.indptr))
    gap = missing & told[place]
    entries = (
        np.concatenate([values, np.ones(int(gap.sum()), data.dtype)]),
        (np.concatenate([row, row[gap]]), np.concatenate([begin[place], begin[place[gap]] + 1])),
    )
    found = csr_array(coo_array(entries, shape=(n, d + int(told.sum()))))
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def dense_parts(nonzeros: Any) -> Any:
    """Dense rows in order, some at a time."""
    n, d = nonzeros.shape
    some = max(1, ENTRIES // d)
    for begin in range(0, n, some):
        yield nonzeros[begin : begin + some].toarray()
