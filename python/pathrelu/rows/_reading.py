"""Pieces of rows as they come, checked: each for itself, and all of them for being alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from pathrelu import _validation as check
from pathrelu.encoding._raw import EMPTY, NAMES, NUMBER, TEXT, RawColumn, RawTable

#: Reads a piece of raw rows: `TableEncoder.read`, or `RawTable.read`.
Read = Callable[[Any], RawTable]


class Part(NamedTuple):
    """Consecutive rows.

    Attributes
    ----------
    X : RawTable
        Of numbers alone, `X.block` is a C-ordered float array.
    y : ndarray of shape (n,) or (n, n_outputs)
        float64, or labels as they came, of shape (n,).
    w : ndarray of shape (n,)
        Weights as they came; ones if there are none.
    """

    X: RawTable
    y: NDArray[Any]
    w: check.Doubles

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.w)


class BadRow(ValueError):
    """Something that a row may not have; `{row}` stands in the text for its number."""

    def __init__(self, text: str, row: int) -> None:
        super().__init__(text, row)
        self.text, self.row = text, row

    def __str__(self) -> str:
        return self.text.replace("{row}", str(self.row))

    def after(self, n: int) -> BadRow:
        """The same for a piece with `n` rows before it."""
        return BadRow(self.text, self.row + n)


@dataclass(frozen=True)
class Columns:
    """What all pieces of rows have in common.

    Attributes
    ----------
    names : list or None
    n_columns : int
    kinds : tuple of str
        Of each column; none of a piece without rows.
    dtype : dtype or None
        float32 or float64; None of a piece without rows.
    """

    names: list[Any] | None
    n_columns: int
    kinds: tuple[str, ...] = ()
    dtype: np.dtype[Any] | None = None

    def merged(self, other: Columns, where: str) -> Columns:
        """What both have in common; `other` is refused if it is not alike, naming `where` it is."""
        if other.n_columns != self.n_columns:
            raise ValueError(
                f"{where} has {other.n_columns} columns; expected {self.n_columns}, as before it"
            )
        if other.names != self.names:
            raise ValueError(
                f"{where} has the columns {_named(other.names)}; expected {_named(self.names)}, as before it"
            )
        if not other.kinds or not self.kinds:
            return other if other.kinds else self
        for k, (kind, now) in enumerate(zip(self.kinds, other.kinds, strict=True)):
            if EMPTY not in (kind, now) and kind != now:
                label = repr(k if self.names is None else self.names[k])
                raise TypeError(
                    f"column {label} of X holds {NAMES[now]} in {where}; expected {NAMES[kind]}, as before it"
                )
        if other.dtype != self.dtype:
            raise TypeError(f"{where} has dtype {other.dtype}; expected {self.dtype}, as before it")
        pairs = zip(self.kinds, other.kinds, strict=True)
        return replace(self, kinds=tuple(now if kind == EMPTY else kind for kind, now in pairs))


@dataclass(frozen=True)
class Targets:
    """What all pieces of targets have in common."""

    outputs: tuple[int, ...]
    kind: str | None  # "numbers" or "text"; None of a piece without rows

    def merged(self, other: Targets, where: str) -> Targets:
        """What both have in common; see `Columns.merged`."""
        if other.outputs != self.outputs:
            raise ValueError(
                f"y has {_outputs(other.outputs)} in {where}; expected {_outputs(self.outputs)}, as before it"
            )
        if other.kind is None or self.kind is None:
            return self if other.kind is None else other
        if other.kind != self.kind:
            raise TypeError(f"y holds {other.kind} in {where}; expected {self.kind}, as before it")
        return self


def _outputs(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} columns" if shape else "one dimension"


def read_columns(X: Any, read: Read, gaps: bool) -> tuple[RawTable | None, Columns, int]:
    """A piece of rows (None if it has none), what it is like, and how many.

    Missing values and columns that are no numbers are for `gaps`.
    """
    if X is None:
        raise TypeError("X is None; expected an array or a data frame")
    if issparse(X) or hasattr(X, "todense"):
        raise TypeError("X is sparse; expected dense rows")
    names = None if isinstance(X, RawTable) or check.is_lazy(X) else check.column_names(X)
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) != 2:
        raise ValueError(f"X has shape {tuple(shape)}; expected two dimensions (rows, columns)")
    if shape is not None and shape[1] == 0:
        raise ValueError("X has no columns")
    if shape is not None and shape[0] == 0:
        return None, Columns(names, int(shape[1])), 0
    raw = None
    if names is None and not isinstance(X, RawTable):
        X = check.as_array(X, "X", "an array of shape (n_samples, n_features)")
        if X.ndim == 2 and X.dtype.kind in "fiub":
            block = check.numeric(X, "X")
            raw = RawTable((), None, block, block.dtype)
    if raw is None:
        if names is not None:
            _no_infinity(X, names)
        raw = read(X)
    if raw.block is not None:
        _finite(raw.block, gaps, raw)
    elif not gaps:
        for k, column in enumerate(raw.columns):
            if column.kind != NUMBER:
                raise TypeError(f"column {raw.label(k)} of X holds {NAMES[column.kind]}; expected numbers")
            _finite(column.values[:, np.newaxis], gaps, raw, k)
    kinds = tuple(column.kind for column in raw.columns) if raw.block is None else (NUMBER,) * raw.shape[1]
    return raw, Columns(raw.names, raw.shape[1], kinds, raw.dtype), len(raw)


def read_targets(y: Any, labels: bool) -> tuple[NDArray[Any], Targets]:
    """A piece of targets, or of labels, and what it is like."""
    if y is None:
        raise TypeError("y is None; expected an array of targets")
    array = check.as_array(y, "y", "an array of shape (n_samples,)")
    if labels and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim > (1 if labels else 2):
        raise ValueError(f"y has shape {array.shape}; expected (n,){'' if labels else ' or (n, outputs)'}")
    if len(array) == 0:
        return array, Targets(array.shape[1:], None)
    if array.dtype.kind == "O":
        missing = [any(check.is_missing(value) for value in row) for row in array.reshape(len(array), -1)]
        if any(missing):
            raise BadRow("y has a missing value (NaN or None) in row {row}", missing.index(True))
        text = [isinstance(value, str) for value in array.flat]
        if any(text) and not all(text):
            raise TypeError("y mixes text and something else; expected one kind of labels")
        if not any(text):  # numbers in a column of objects
            array = np.array(array.tolist())
    kind = "numbers" if array.dtype.kind in "fiub" else "text"
    if kind == "text" and (not labels or array.dtype.kind not in "OUS"):
        wanted = "text, whole numbers or booleans" if labels else "numbers"
        raise TypeError(f"y has dtype {array.dtype}; expected {wanted}")
    if kind == "numbers":
        _finite_targets(array, labels)
        array = array if labels else np.ascontiguousarray(array, np.float64)
    return array, Targets(array.shape[1:], kind)


def _finite_targets(array: NDArray[Any], labels: bool) -> None:
    bad = ~np.isfinite(array)
    wanted = "finite numbers"
    if labels and not bad.any():
        bad, wanted = array != np.round(array), "labels: text, whole numbers or booleans"
    if bad.any():
        place = tuple(np.argwhere(bad)[0])
        raise BadRow(f"y has the value {array[place]} in row {{row}}; expected {wanted}", int(place[0]))


def read_weights(w: Any) -> check.Doubles:
    """A piece of weights."""
    array = check.as_array(w, "sample_weight", "an array of shape (n_samples,)")
    if array.ndim != 1:
        raise ValueError(f"sample_weight has shape {array.shape}; expected (n,)")
    if len(array):
        check.numeric_dtype(array, "sample_weight")
        check.of_floats(array, "sample_weight")
    weight = np.ascontiguousarray(array, np.float64)
    for bad, wanted in ((~np.isfinite(weight), "a finite number"), (weight < 0, "none below 0")):
        if bad.any():
            row = int(bad.argmax())
            raise BadRow(
                f"sample_weight has the value {weight[row]:g} in row {{row}}; expected {wanted}", row
            )
    return weight


def _finite(table: check.Rows, gaps: bool, raw: RawTable, first_column: int = 0) -> None:
    bad = np.isinf(table) if gaps else ~np.isfinite(table)
    if not bad.any():
        return
    row = int(bad.any(axis=1).argmax())
    k = int(bad[row].argmax())
    what = "a missing value (NaN)" if np.isnan(table[row, k]) else "an infinite value"
    label = raw.label(k + first_column)
    raise BadRow(f"X has {what} in column {label} of row {{row}}; expected finite numbers", row)


def _no_infinity(frame: Any, names: Sequence[Any]) -> None:
    """As reading a frame does, by the row."""
    for k, name in enumerate(names):
        column = frame.iloc[:, k] if hasattr(frame, "iloc") else frame[:, k]
        if str(column.dtype).lower().startswith(("float", "double")):
            bad = np.isinf(np.asarray(column, np.float64))
            if bad.any():
                text = f"X has an infinite value in column {name!r} of row {{row}}; expected finite numbers"
                raise BadRow(text, int(bad.argmax()))


def _named(names: Sequence[Any] | None) -> str:
    return "without names" if names is None else check.listed([repr(name) for name in names])


# ---- Cutting and joining -------------------------------------------------------


def cut(table: RawTable, begin: int, end: int) -> RawTable:
    """Rows `begin` to `end`, as views."""
    if table.block is not None:
        return replace(table, block=table.block[begin:end])
    return replace(
        table, parts=tuple(replace(column, values=column.values[begin:end]) for column in table.parts)
    )


def join(tables: Sequence[RawTable]) -> RawTable:
    """The rows of all, one after the other, in a form that does not depend on the pieces."""
    names, dtype = tables[0].names, tables[0].dtype
    blocks = [table.block for table in tables if table.block is not None]
    if len(blocks) == len(tables):
        return RawTable((), names, blocks[0] if len(blocks) == 1 else np.concatenate(blocks), dtype)
    columns = [_join(columns) for columns in zip(*(table.columns for table in tables), strict=True)]
    if all(column.kind == NUMBER for column in columns):
        block = np.empty((sum(map(len, tables)), len(columns)), dtype)
        for k, column in enumerate(columns):
            block[:, k] = column.values
        return RawTable((), names, block, dtype)
    return RawTable(tuple(columns), names, None, dtype)


def _join(columns: Sequence[RawColumn]) -> RawColumn:
    """One column of all pieces; levels are those that its rows have, in order."""
    values = [column.values for column in columns]
    if all(column.kind in (TEXT, EMPTY) for column in columns):
        used = []
        for column in columns:
            codes = column.values[~np.isnan(column.values)].astype(np.intp)
            used.append([column.levels[k] for k in np.unique(codes)])
        levels = sorted({level for names in used for level in names})
        place = {level: float(k) for k, level in enumerate(levels)}
        for k, column in enumerate(columns):
            table = np.array([place.get(level, np.nan) for level in column.levels] + [np.nan])
            codes = np.where(np.isnan(column.values), len(column.levels), column.values)
            values[k] = table[codes.astype(np.intp)]
        return RawColumn(TEXT if levels else EMPTY, np.concatenate(values), tuple(levels))
    kind = next(column.kind for column in columns if column.kind != EMPTY)
    return RawColumn(kind, np.concatenate(values))


def join_targets(pieces: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Targets of all pieces, one after the other; labels of different types are objects."""
    if len(pieces) == 1:
        return pieces[0]
    if len({piece.dtype.kind for piece in pieces}) > 1:
        pieces = [piece.astype(object) for piece in pieces]
    return np.concatenate(pieces)
