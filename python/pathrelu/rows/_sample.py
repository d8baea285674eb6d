"""What one pass over blocks finds out: a sample of rows, labels, numbers of rows and weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu.encoding._columns import row_keys
from pathrelu.encoding._raw import TEXT, RawTable
from pathrelu.rows._blocks import RowBlocks
from pathrelu.rows._reading import Part, join, join_targets

# Keys that say which rows are held out have nothing to do with those that say which are in the sample.
HELD_OUT_STREAM = 0x5EED
# Distinct rows of each class that every sample has, if there are so many, for a class may be rare.
OF_EACH_CLASS = 200


@dataclass(frozen=True)
class Summary:
    """Of all rows.

    Attributes
    ----------
    n_rows : int
        Those of weight 0 included.
    n_weighted : int
        Of weight above 0.
    weight : float
        Of all rows.
    sample : Part
        Distinct rows, targets included, of the smallest keys, in their order, each with the weight of all
        rows that are equal to it: which these are depends neither on the order of rows nor on pieces.
    keys : ndarray of shape (n_sampled,)
    complete : bool
        Whether the sample has all distinct rows of weight above 0.
    labels : ndarray of shape (n_labels,)
        Sorted, those of weight 0 included; none of a regression.
    label_weights : ndarray of shape (n_labels,)
    """

    n_rows: int
    n_weighted: int
    weight: float
    sample: Part
    keys: NDArray[np.uint64]
    complete: bool
    labels: NDArray[Any]
    label_weights: check.Doubles


def summarize(blocks: RowBlocks, n_sampled: int, seed: int, *, labels: bool) -> Summary:
    """One pass over all rows, which checks each of them; `n_sampled` rows at most are kept.

    Each of the distinct rows is as likely to be in the sample as any other, whatever its weight: sums over
    the sample, with its weights, estimate those over all rows up to a factor. Of `labels`, so is each of its
    class, and rare classes have more rows than their share.
    """
    check.count(n_sampled, "n_sampled")
    found: Summary = blocks.reduce_blocks(
        _of_block, partial(_combined, n_sampled, labels), n_sampled, seed, labels
    )
    if found.n_weighted == 0:
        raise ValueError("sample_weight is zero for every row; expected at least one above 0")
    if not labels or found.complete:
        return found
    # Rare classes have a larger share of their rows in the sample: each gets its part of the weight.
    places = np.searchsorted(found.labels, found.sample.y)
    parts = np.bincount(places, found.sample.w, len(found.labels))
    weight = found.sample.w * (found.label_weights / np.where(parts > 0, parts, 1.0))[places]
    return replace(found, sample=found.sample._replace(w=weight))


def held_out(X: RawTable, seed: int, one_in: int) -> NDArray[np.bool_]:
    """Which rows are held out, about one of so many; equal rows together, whatever their targets are."""
    keys = row_keys(_contents(X), seed ^ HELD_OUT_STREAM)
    out: NDArray[np.bool_] = keys % np.uint64(one_in) == 0
    return out


def _contents(X: RawTable) -> list[check.Rows]:
    """Columns of numbers that are equal where rows are, in whatever pieces these come."""
    return [
        column.values if column.kind != TEXT else _coded(column.levels)[_places(column.values)]
        for column in X.columns
    ]


def _coded(levels: tuple[str, ...]) -> check.Doubles:
    """A number for each text, whatever the others are, and NaN for none."""
    return np.array([_code(level) for level in levels] + [np.nan])


def _places(values: check.Rows) -> NDArray[np.intp]:
    return np.where(np.isnan(values), -1, values).astype(np.intp)


def _code(text: str) -> float:
    """53 bits of a hash, which a float holds."""
    return float(int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 11)


def _target_contents(y: NDArray[Any]) -> list[check.Rows]:
    columns = y.reshape(len(y), -1).T
    if y.dtype.kind in "fiub":
        return [column.astype(np.float64) for column in columns]
    found: list[check.Rows] = []
    for column in columns:
        names, places = np.unique(column.astype(str), return_inverse=True)
        found.append(_coded(tuple(names.tolist()))[places])
    return found


def _of_block(
    X: RawTable, y: NDArray[Any], w: check.Doubles, n_sampled: int, seed: int, labels: bool
) -> Summary:
    names: NDArray[Any] = np.empty(0)
    totals = np.empty(0)
    if labels:
        names, places = np.unique(y, return_inverse=True)
        totals = np.bincount(places, w).astype(np.float64)
    used = np.flatnonzero(w > 0)
    keys = row_keys([*_contents(X), *_target_contents(y)], seed)[used]
    sample, keys, complete = _smallest(Part(X, y, w), used, keys, n_sampled, labels)
    return Summary(len(w), len(used), float(w.sum()), sample, keys, complete, names, totals)


def _smallest(
    part: Part, rows: NDArray[np.intp], keys: NDArray[np.uint64], n_sampled: int, labels: bool
) -> tuple[Part, NDArray[np.uint64], bool]:
    """Of some `rows` of a part those of the smallest keys, equal ones as one, and whether these are all."""
    distinct, first, group = np.unique(keys, return_index=True, return_inverse=True)
    weight = np.bincount(group, part.w[rows], len(distinct)).astype(np.float64)
    kept = np.arange(len(distinct)) < n_sampled
    if labels and not kept.all():
        names, of = np.unique(part.y[rows[first]], return_inverse=True)
        order = np.argsort(of, kind="stable")
        begin = np.cumsum(np.bincount(of)) - np.bincount(of)
        least = max(1, min(OF_EACH_CLASS, n_sampled // len(names)))
        kept[order] |= np.arange(len(order)) - begin[of[order]] < least
    places = rows[first[kept]]
    sample = Part(_taken(part.X, places), part.y[places], weight[kept])
    return sample, distinct[kept], bool(kept.all())


def _taken(X: RawTable, places: NDArray[np.intp]) -> RawTable:
    if X.block is not None:
        return RawTable((), X.names, np.ascontiguousarray(X.block[places]), X.dtype)
    return join([X.take(places)]) if len(places) else X.take(places)


def _combined(n_sampled: int, labels: bool, left: Summary, right: Summary) -> Summary:
    names, places = np.unique(join_targets([left.labels, right.labels]), return_inverse=True)
    totals = np.bincount(places, np.concatenate([left.label_weights, right.label_weights]), len(names))
    part = Part(
        join([left.sample.X, right.sample.X]),
        join_targets([left.sample.y, right.sample.y]),
        np.concatenate([left.sample.w, right.sample.w]),
    )
    keys = np.concatenate([left.keys, right.keys])
    sample, keys, complete = _smallest(part, np.arange(len(keys)), keys, n_sampled, labels)
    return Summary(
        left.n_rows + right.n_rows,
        left.n_weighted + right.n_weighted,
        left.weight + right.weight,
        sample,
        keys,
        left.complete and right.complete and complete,
        names,
        totals.astype(np.float64),
    )
