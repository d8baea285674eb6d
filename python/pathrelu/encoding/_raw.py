"""Raw tables: columns of data frames and arrays, read once into numbers and places among levels."""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from pathrelu import _validation as check

#: Text that stands for a missing value, as tables in files have it.
MISSING_VALUES = ("", "?", "NA", "N/A", "NaN", "nan", "None", "null")

DAY = (
    86_400_000_000  # microseconds, the unit of times while they are integers: from -290,000 to +290,000 years
)

NUMBER, TEXT, TIME, DURATION, EMPTY = "number", "text", "time", "duration", "empty"
NAMES = {
    NUMBER: "numbers",
    TEXT: "text or categories",
    TIME: "dates or times",
    DURATION: "durations",
    EMPTY: "nothing",
}


@dataclass(frozen=True)
class RawColumn:
    """One column.

    Attributes
    ----------
    kind : str
    values : ndarray of shape (n,)
        Numbers, days since 1970 (UTC), days, or places among `levels`; NaN where a value is missing.
    levels : tuple of str
        Of text and categories.
    """

    kind: str
    values: check.Rows
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawTable:
    """Columns of equal length.

    Attributes
    ----------
    parts : tuple of RawColumn
        None of a table that is a block.
    names : list or None
        Of the columns of a data frame.
    block : ndarray of shape (n, columns) or None
        The same as a C-ordered float array, if that is how the table came.
    nonzeros : csr_array of shape (n, columns) or None
        The same as sparse rows, if that is how it came.
    dtype : dtype
        float32 if all columns are that, else float64.
    """

    parts: tuple[RawColumn, ...]
    names: list[Any] | None
    block: check.Rows | None
    dtype: np.dtype[Any]
    nonzeros: Any = None

    @classmethod
    def read(cls, X: Any, missing_values: Sequence[str] = MISSING_VALUES) -> Self:
        """Columns of a data frame, an array or a list of rows.

        Columns that are no numbers, text, categories, times or durations, columns that mix some of them, and
        infinite values are refused by the name of the column and the first row.
        """
        if isinstance(X, cls):
            return X
        if check.is_lazy(X):
            raise TypeError(f"X is a {type(X).__name__}, which holds no rows yet; expected X.collect()")
        if issparse(X):
            return cls.of_nonzeros(X)
        marks = frozenset(missing_values)
        names = check.column_names(X)
        if names is None:
            array = _array(X)
            if array.dtype.kind in "fiub":
                return cls.of_block(check.numeric(array, "X"))
            parts: Iterable[Any] = array.T
            shape = array.shape
        else:
            shape = (len(X), len(names))
            parts = [X.iloc[:, k] if hasattr(X, "iloc") else X[:, k] for k in range(len(names))]
        _some_of_both(shape)
        columns = [
            _column(part, repr(k if names is None else names[k]), marks) for k, part in enumerate(parts)
        ]
        if all(column.kind == NUMBER for column in columns):
            narrow = all(column.values.dtype == np.float32 for column in columns)
            block = np.empty(shape, np.float32 if narrow else np.float64)
            for k, column in enumerate(columns):
                block[:, k] = column.values
            return cls.of_block(block, names)
        return cls(tuple(columns), names, None, np.dtype(np.float64))

    @classmethod
    def of_block(cls, block: check.Rows, names: list[Any] | None = None) -> Self:
        """The table of a C-ordered float array, which is not copied; NaN is missing."""
        _some_of_both(block.shape)
        if not np.isfinite(block).all():
            for k in range(block.shape[1]):
                _no_infinity(block[:, k], repr(k if names is None else names[k]))
        return cls((), names, block, block.dtype)

    @classmethod
    def of_nonzeros(cls, rows: Any) -> Self:
        """The table of sparse rows, whose entries are what is not missing: NaN is."""
        _some_of_both(rows.shape)
        matrix = csr_array(rows, copy=False)
        if matrix.dtype != np.float32:
            check.of_numbers(matrix.data, "X")
            matrix = matrix.astype(np.float64)
        if not (matrix.has_canonical_format and matrix.data.all()):
            matrix = matrix.copy()
            matrix.sum_duplicates()
            matrix.eliminate_zeros()
        infinite = np.isinf(matrix.data)
        if infinite.any():
            row, column = check.place_of_entry(matrix, int(infinite.argmax()))
            raise ValueError(
                f"X has infinite values in column {column} (first in row {row}); expected finite numbers"
            )
        return cls((), None, None, matrix.dtype, matrix)

    @cached_property
    def columns(self) -> tuple[RawColumn, ...]:
        """All columns, one by one."""
        if self.nonzeros is not None:
            raise TypeError("X is sparse; expected a dense array (try X.toarray())")
        return self.parts if self.block is None else tuple(RawColumn(NUMBER, part) for part in self.block.T)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        rows = self.block if self.nonzeros is None else self.nonzeros
        if rows is not None:
            return rows.shape[0], rows.shape[1]
        return len(self.parts[0].values), len(self.parts)

    def take(self, rows: NDArray[Any] | slice) -> Self:
        """Some rows, by place, by a mask or in a row."""
        if self.nonzeros is not None:
            return replace(self, nonzeros=self.nonzeros[rows])
        if self.block is not None:
            return self.of_block(np.ascontiguousarray(self.block[rows]), self.names)
        return replace(
            self, parts=tuple(replace(column, values=column.values[rows]) for column in self.parts)
        )

    def named(self, names: Sequence[str] | None) -> Self:
        """The columns of these names in this order; all of them where one side has no names."""
        if names is None or self.names is None or self.names == names:
            return self
        if not all(isinstance(name, str) for name in self.names):
            return self
        missing = [repr(name) for name in names if name not in self.names]
        if missing:
            raise ValueError(f"X has no column {check.listed(missing)}; expected those of training")
        places = [self.names.index(name) for name in names]
        if self.block is not None:
            return self.of_block(np.ascontiguousarray(self.block[:, places]), list(names))
        return replace(self, parts=tuple(self.parts[k] for k in places), names=list(names))

    def typical(self, middle: Callable[[check.Doubles], Any]) -> Self:
        """One row: the `middle` of the numbers of each column that are there, or the most frequent level."""
        columns = []
        for column in self.columns:
            known = column.values[~np.isnan(column.values)].astype(np.float64)
            if len(known) == 0:
                value = np.nan
            elif column.kind == TEXT:
                value = float(np.bincount(known.astype(np.intp)).argmax())
            else:
                value = float(middle(known))
            columns.append(replace(column, values=np.array([value])))
        return self._of(columns)

    def repeated(self, n: int, values: Mapping[int, check.Doubles]) -> Self:
        """The first row n times, with other values in some columns."""
        return self.take(np.zeros(n, np.intp)).replaced(values)

    def replaced(self, values: Mapping[int, check.Doubles]) -> Self:
        """The rows with other values in some columns."""
        columns = [
            replace(column, values=values[k]) if k in values else column
            for k, column in enumerate(self.columns)
        ]
        return self._of(columns)

    def _of(self, columns: list[RawColumn]) -> Self:
        if self.block is not None:
            return self.of_block(np.stack([column.values for column in columns], axis=1), self.names)
        return replace(self, parts=tuple(columns))

    def label(self, column: int) -> str:
        """How messages call a column."""
        return repr(column if self.names is None else self.names[column])


def _some_of_both(shape: tuple[int, ...]) -> None:
    for count, what in zip(shape, ("sample", "feature"), strict=True):
        if count == 0:  # in the words of scikit-learn
            raise ValueError(f"X has 0 {what}(s) (shape={shape}) while a minimum of 1 is required.")


def _array(X: Any) -> NDArray[Any]:
    """A two-dimensional array; rows in lists that hold text keep their numbers."""
    if isinstance(X, np.ma.MaskedArray):
        filler: Any = np.nan if X.dtype.kind in "fiub" else None
        X = np.where(np.ma.getmaskarray(X), filler, X.data)
    array = check.as_array(X, "X", "a table of rows and columns")
    if array.dtype.kind == "U" and not isinstance(X, np.ndarray):
        array = np.array(X, dtype=object)
    if array.ndim != 2:
        raise ValueError(
            f"X has shape {array.shape}; expected two dimensions (rows, columns). Reshape your data: "
            "X.reshape(-1, 1) is one column, X.reshape(1, -1) one row"
        )
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: X has dtype {array.dtype}; expected real numbers")
    if array.dtype.kind not in "fiubOUMm":
        raise TypeError(f"X has dtype {array.dtype}; expected numbers, text, times or objects of these")
    return array


def _column(series: Any, name: str, marks: frozenset[str]) -> RawColumn:
    dtype = series.dtype
    column = _of_polars(series, name, marks) if hasattr(dtype, "is_numeric") else None
    if column is None:
        column = _of_dtype(series, name, marks)
    if column.kind != TEXT:
        _no_infinity(column.values, name)
    return column


def _of_polars(series: Any, name: str, marks: frozenset[str]) -> RawColumn | None:
    """A column of a polars frame; None for one of objects."""
    dtype = series.dtype
    kind = str(dtype).partition("(")[0]
    if dtype.is_numeric() or kind in ("Boolean", "Null"):
        values = series.cast(float).to_numpy()
        narrow = kind == "Float32"
        return RawColumn(NUMBER if kind != "Null" else EMPTY, values.astype(np.float32 if narrow else float))
    if kind in ("String", "Categorical", "Enum"):
        return _of_objects(series.cast(str).to_list(), name, marks)
    if kind in ("Date", "Datetime"):
        return RawColumn(TIME, series.dt.epoch("us").cast(float).to_numpy() / DAY)
    if kind == "Duration":
        return RawColumn(DURATION, series.dt.total_microseconds().cast(float).to_numpy() / DAY)
    if kind == "Object":
        return _of_objects(series.to_list(), name, marks)
    raise TypeError(_refusal(name, str(dtype)))


def _of_dtype(series: Any, name: str, marks: frozenset[str]) -> RawColumn:
    """A column of a pandas frame or of an array."""
    dtype = series.dtype
    kind = getattr(dtype, "kind", "?")
    if kind in "fiub":
        narrow = str(dtype).lower() == "float32"
        if isinstance(dtype, np.dtype):
            values = np.asarray(series)
        else:
            values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return RawColumn(NUMBER, values.astype(np.float32 if narrow else np.float64))
    if kind in "mM":
        return _of_times(series, "datetime64[us]" if kind == "M" else "timedelta64[us]")
    if hasattr(dtype, "categories"):
        codes = np.asarray(series.cat.codes, np.float64)
        levels = [_level_text(level) for level in dtype.categories]
        return _text(levels, np.where(codes < 0, np.nan, codes), marks)
    text = getattr(dtype, "type", None) is str or str(dtype).startswith(
        "dictionary<values=string"
    )  # of Arrow
    if kind == "U" or dtype == np.dtype(object) or text:
        return _of_objects(series.tolist(), name, marks)
    raise TypeError(_refusal(name, str(dtype)))


def _of_times(series: Any, dtype: str) -> RawColumn:
    # pandas takes zones to UTC
    counts = series.to_numpy(dtype=dtype) if hasattr(series, "to_numpy") else series.astype(dtype)
    days = np.where(np.isnat(counts), np.nan, counts.view(np.int64) / DAY)
    return RawColumn(TIME if dtype.startswith("date") else DURATION, days)


def _of_objects(values: list[Any], name: str, marks: frozenset[str]) -> RawColumn:
    """A column of Python objects. Only its distinct values are looked at one by one."""
    places: dict[Any, int] = {}
    try:
        codes = np.fromiter((places.setdefault(value, len(places)) for value in values), np.intp, len(values))
    except TypeError:
        row = next((k for k, value in enumerate(values) if _kind(value, marks) is None), 0)
        raise TypeError(_refusal(name, f"{type(values[row]).__name__}, first in row {row}")) from None
    distinct = list(places)
    kinds = [_kind(value, marks) for value in distinct]
    found = list(dict.fromkeys(kind for kind in kinds if kind != EMPTY))
    if None in found:
        odd = kinds.index(None)
        row = int(np.argmax(codes == odd))
        raise TypeError(_refusal(name, f"{type(distinct[odd]).__name__}, first in row {row}"))
    if len(found) > 1:
        odd = kinds.index(found[1])
        row = int(np.argmax(codes == odd))
        shown = f"{distinct[odd]!r:.40}"
        raise TypeError(
            f"column {name} of X mixes {NAMES[str(found[0])]} and {NAMES[str(found[1])]}: it has {shown} in "
            f"row {row}; expected one kind, and None or NaN for what is missing"
        )
    if not found:
        return RawColumn(EMPTY, np.full(len(values), np.nan))
    if found == [TEXT]:
        return _text([str(value) for value in distinct], codes.astype(np.float64), marks, kinds)
    days = [
        np.nan if kind == EMPTY else _as_number(value, str(kind))
        for value, kind in zip(distinct, kinds, strict=True)
    ]
    return RawColumn(str(found[0]), np.array(days, np.float64)[codes])


def _text(
    levels: list[str], codes: check.Doubles, marks: frozenset[str], kinds: Sequence[str | None] = ()
) -> RawColumn:
    """Levels that stand for missing values go, and the others in order, so that none depends on rows."""
    missing = [kind == EMPTY for kind in kinds] if kinds else [level.strip() in marks for level in levels]
    kept = sorted({level for level, gap in zip(levels, missing, strict=True) if not gap})
    place = {level: float(k) for k, level in enumerate(kept)}
    table = [np.nan if gap else place[level] for level, gap in zip(levels, missing, strict=True)]
    known = ~np.isnan(codes)
    values = np.full(len(codes), np.nan)
    values[known] = np.array(table, np.float64)[codes[known].astype(np.intp)]
    return RawColumn(TEXT if kept else EMPTY, values, tuple(kept))


def _level_text(level: Any) -> str:
    """The text of a category, alike for whole numbers of any type."""
    whole = isinstance(level, float | np.floating) and float(level).is_integer()
    return str(int(level)) if whole else str(level)


def _kind(value: Any, marks: frozenset[str]) -> str | None:
    """What kind of column a value belongs to; None for one that no column may have."""
    if isinstance(value, str):
        return EMPTY if value.strip() in marks else TEXT
    if check.is_missing(value):
        return EMPTY
    if isinstance(value, numbers.Real | Decimal | np.bool_):
        return NUMBER
    if isinstance(value, datetime.date | np.datetime64):  # a datetime is a date
        return TIME
    if isinstance(value, datetime.timedelta | np.timedelta64):
        return DURATION
    return None


def _as_number(value: Any, kind: str) -> float:
    if kind == NUMBER:
        try:
            return float(value)
        except OverflowError:  # of a whole number
            return np.inf
    if kind == TIME:
        if isinstance(value, datetime.datetime) and value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return int(np.datetime64(value, "us").astype(np.int64)) / DAY
    return int(np.timedelta64(value, "us").astype(np.int64)) / DAY


def _refusal(name: str, held: str) -> str:
    return (
        f"column {name} of X holds {held}; expected numbers, text, categories, booleans, dates, times or "
        "durations"
    )


def _no_infinity(values: check.Rows, name: str) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        rows = np.flatnonzero(infinite)
        raise ValueError(
            f"X has infinite values in column {name} ({len(rows)} of {len(values)} rows, first in row "
            f"{rows[0]}); expected finite numbers"
        )
