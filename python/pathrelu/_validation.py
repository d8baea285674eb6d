"""Checks shared by every public function; their messages say what came and what was wanted."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from pathrelu import _core, losses
from pathrelu._sklearn import check_y, validate_data

Rows: TypeAlias = NDArray[np.floating[Any]]  # float32 or float64
Doubles: TypeAlias = NDArray[np.float64]
RandomState: TypeAlias = int | np.random.RandomState | np.random.Generator | None

ACTIVATIONS = ("relu", "gated")
OUTPUTS = ("auto", "shared", "separate")
MOST_THREADS = 1024
MOST_LAYERS = 64
MOST_NAMED = 5  # columns in one message


def table(estimator: Any, X: Any, *y: Any, gaps: bool = False, sparse: bool = False, **options: Any) -> Any:
    """`validate_data` for estimators, whose rows come out dense, C-ordered, finite, as float32 or float64.

    With `gaps`, rows are not looked at for what is not finite; with `sparse`, sparse ones come out as CSR.
    """
    names = None if is_lazy(X) else column_names(X)
    if names is not None:  # first of all, so that a frame with a column too many is told which
        validate_data(estimator, X, skip_check_array=True, reset=options.get("reset", True))
    X = of_numbers(X, "X")
    if not issparse(X) and names is None:
        array = as_array(X, "X", "an array of shape (n_samples, n_features)")
        if array.dtype.kind != "c":  # scikit-learn refuses these in its own words
            numeric_dtype(array, "X")
            of_floats(array, "X")
        X = array if isinstance(X, list | tuple) else X
    if y:
        _target_kind(y[0], options)
    # It sums targets to see whether all are finite, and looks at each if the sum is not, with a warning.
    with np.errstate(over="ignore", invalid="ignore"):
        checked = validate_data(
            estimator,
            X,
            *y,
            # scikit-learn knows the dtype of arrays, but not of every kind of data frame.
            dtype=[np.float32] if names is not None and _narrow(X) else [np.float64, np.float32],
            order="C",
            accept_sparse="csr" if sparse else True,
            ensure_all_finite=False,
            **options,
        )
    rows = checked[0] if y else checked
    if sparse and issparse(rows):
        if not gaps:
            finite_entries(rows, "X")
        return checked
    rows = dense(rows, "X")
    if not gaps:
        finite_columns(rows, "X", names)
    return (rows, checked[1]) if y else rows


def target(estimator: Any, y: Any, n: int, **options: Any) -> Any:
    """What `validate_data` does with targets, of n rows."""
    _target_kind(y, options)
    with np.errstate(over="ignore", invalid="ignore"):
        checked = check_y(y, estimator=estimator, **options)
    if len(checked) != n:
        raise ValueError(f"y has {len(checked)} rows, and X has {n}: inconsistent numbers of samples")
    return checked


def _target_kind(y: Any, options: dict[str, Any]) -> None:
    """Refuse targets that are missing or, of a regression, no numbers."""
    if y is None or issparse(y):  # as scikit-learn refuses those
        return
    array = none_missing(y, "y")
    if options.get("y_numeric") and array.dtype.kind != "c":
        numeric_dtype(array, "y")
        of_floats(array, "y")


def column_names(X: Any) -> list[Any] | None:
    """Names of the columns of a data frame; None for all else."""
    return list(X.columns) if hasattr(X, "columns") and hasattr(X, "dtypes") else None


def is_lazy(X: Any) -> bool:
    """Whether this is a query of polars that has not been run."""
    return hasattr(X, "collect_schema") and hasattr(X, "collect")


def none_missing(y: Any, name: str) -> NDArray[Any]:
    """Targets or labels; refused with None, NaN or pandas' own marks of what is missing, naming the row."""
    if is_lazy(y):
        raise TypeError(f"{name} is a {type(y).__name__}, which holds no rows yet; expected {name}.collect()")
    array = as_array(y, name, "an array of shape (n_samples,)")
    if array.size == 0 or array.dtype.kind not in "fOmM":
        return array
    rows = array.reshape(len(array), -1)
    if array.dtype.kind == "O":
        missing = np.array([[is_missing(value) for value in row] for row in rows], bool).reshape(rows.shape)
    else:
        missing = np.isnat(rows) if array.dtype.kind in "mM" else np.isnan(rows)
    if missing.any():
        row = int(missing.any(axis=1).argmax())
        count = int(missing.any(axis=1).sum())
        raise ValueError(
            f"{name} has missing values (NaN or None) in {count} of {len(rows)} rows, first in row {row}; "
            "expected none: leave these rows out"
        )
    return array


def is_missing(value: object) -> bool:
    if isinstance(value, numbers.Real | Decimal | np.datetime64 | np.timedelta64):
        return bool(value != value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def of_numbers(X: Any, name: str) -> Any:
    """Refuse text, categories and times, in data frames by column; masked entries become NaN."""
    if is_lazy(X):
        raise TypeError(f"{name} is a {type(X).__name__}, which holds no rows yet; expected {name}.collect()")
    names = column_names(X)
    if names is not None:
        series = [X.iloc[:, k] if hasattr(X, "iloc") else X[:, k] for k in range(len(names))]
        columns = [(column, other_than_numbers(values)) for column, values in zip(names, series, strict=True)]
        if bad := [f"{column!r} ({other})" for column, other in columns if other]:
            raise TypeError(
                f"{name} has columns that are not numbers: {listed(bad)}; encode them first, as "
                "examples/categorical_columns.py does in a Pipeline"
            )
        return X
    if isinstance(X, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(X), np.nan, X.data)
    return X


def as_array(values: Any, name: str, wanted: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {error}") from None
    if array.ndim == 0:
        raise TypeError(f"{name} is {values!r:.80}; expected {wanted}")
    return array


def of_floats(array: NDArray[Any], name: str) -> None:
    """Refuse objects that are no numbers."""
    try:
        if array.dtype.kind == "O":
            array.astype(np.float64)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} holds something that is not a number: {error}") from None


def numeric_dtype(array: NDArray[Any], name: str) -> None:
    if array.dtype.kind not in "fiubO":
        raise TypeError(f"{name} has dtype {array.dtype}; expected numbers")


def other_than_numbers(series: Any) -> str:
    """What a column of a data frame holds that is not numbers; empty if it holds numbers alone."""
    dtype = series.dtype
    if dtype == np.dtype(object):
        strange = (v for v in series if not (v is None or isinstance(v, numbers.Real | Decimal | np.bool_)))
        return next((type(value).__name__ for value in strange), "")
    if hasattr(dtype, "is_numeric"):  # polars
        return "" if dtype.is_numeric() or str(dtype) in ("Boolean", "Null") else str(dtype)
    return "" if dtype.kind in "fiub" else str(dtype)


def _narrow(frame: Any) -> bool:
    """Whether all columns of a data frame are float32, of NumPy, pandas or polars."""
    return all(str(dtype).lower() == "float32" for dtype in frame.dtypes)


def listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - MOST_NAMED} more" if len(items) > MOST_NAMED else ""
    return ", ".join(items[:MOST_NAMED]) + more


def dense(rows: Any, name: str) -> Any:
    """Rows, if sparse as an array of the same dtype; refused if larger than the memory of the machine."""
    if not issparse(rows):
        return rows
    n, d = rows.shape
    needed = n * d * rows.dtype.itemsize
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not told by this system
        memory = needed
    if needed > memory:
        raise MemoryError(
            f"{name} is sparse, of shape {(n, d)}: as the dense {rows.dtype} rows that are needed it takes "
            f"{needed / 2**30:.1f} GiB, and this machine has {memory / 2**30:.1f} GiB; reduce the columns "
            "first, as sklearn.decomposition.TruncatedSVD does"
        )
    return rows.toarray(order="C")


def finite_entries(rows: Any, name: str) -> None:
    """Refuse sparse rows (CSR) with missing or infinite entries, naming the first."""
    bad = ~np.isfinite(rows.data)
    if bad.any():
        entry = int(bad.argmax())
        row, column = place_of_entry(rows, entry)
        what = "missing values (NaN)" if np.isnan(rows.data[entry]) else "infinite values"
        raise ValueError(
            f"{name} has {what}: {int(bad.sum())}, the first in row {row}, column {column}; expected finite "
            "numbers"
        )


def place_of_entry(rows: Any, entry: int) -> tuple[int, int]:
    """Row and column of one of the entries of sparse rows (CSR)."""
    return int(np.searchsorted(rows.indptr, entry, "right")) - 1, int(rows.indices[entry])


def finite_columns(array: Rows, name: str, names: Sequence[Any] | None = None) -> None:
    """Refuse a table with missing or infinite values, naming the columns that have them."""
    bad = ~np.isfinite(array)
    if not bad.any():
        return
    missing = np.isnan(array)
    what = "missing values (NaN)" if missing.any() else "infinite values"
    bad = missing if missing.any() else bad
    counts, first = bad.sum(axis=0), bad.argmax(axis=0)
    told = [
        f"{k if names is None else names[k]!r} ({counts[k]} of {len(array)} rows, first in row {first[k]})"
        for k in np.flatnonzero(counts).tolist()
    ]
    hint = "; sklearn.impute.SimpleImputer fills them in" if name == "X" and missing.any() else ""
    plural = "columns" if len(told) > 1 else "column"
    raise ValueError(f"{name} has {what} in {plural} {listed(told)}; expected finite numbers{hint}")


def numeric(values: Any, name: str) -> Rows:
    """Values as a float array: float32 stays, every other kind of number becomes float64."""
    if values is None:
        raise TypeError(f"{name} is None; expected an array of numbers")
    if hasattr(values, "toarray"):
        raise TypeError(f"{name} is sparse; expected a dense array (try {name}.toarray())")
    values = of_numbers(values, name)
    if column_names(values) is not None and hasattr(values, "iloc"):  # pandas, maybe with nullable columns
        values = values.astype(np.float32 if _narrow(values) else np.float64)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {error}") from None
    numeric_dtype(array, name)
    try:
        # "C" and "A": what the core reads in place.
        if array.dtype == np.float32:
            return np.require(array, np.float32, ["C", "A"])
        return np.require(array, np.float64, ["C", "A"])
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} holds something that is not a number: {error}") from None


def finite(array: Rows, name: str) -> None:
    bad = ~np.isfinite(array)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        where = place[0] if len(place) == 1 else place
        raise ValueError(f"{name} has the value {array[place]} at index {where}; expected finite numbers")


def representable(array: Rows, name: str, power: int) -> None:
    """Refuse entries whose products of `power` factors overflow, or are lost even for the largest entry."""
    # What is summed in float32 are squares; all else is float64, for which no float32 number is too small.
    narrow = array.dtype == np.float32
    most = 1e15 if narrow else 10.0 ** (280 // power)
    least = 0.0 if narrow else 1 / most
    largest = float(np.abs(array).max())
    if largest > most:
        raise ValueError(
            f"{name} has entries up to {largest:.1e}; expected at most {most:.0e} in {array.dtype}: rescale"
        )
    if 0 < largest < least:
        raise ValueError(f"{name} has no entry above {largest:.1e}; expected at least {least:.0e}: rescale")


def narrowed(values: Doubles, dtype: np.dtype[Any], what: str) -> Rows:
    """Values in the dtype of the rows, refused if they are too large for it."""
    largest = float(np.abs(values).max(initial=0.0))
    if dtype == np.float32 and largest > float(np.finfo(np.float32).max):
        raise ValueError(
            f"X is float32, and {what} reach {largest:.1e}, which is too large for it; pass float64 rows"
        )
    return values.astype(dtype, copy=False)


def shape(array: NDArray[Any], expected: tuple[int, ...], name: str) -> None:
    if array.shape != expected:
        raise ValueError(f"{name} has shape {array.shape}; expected {expected}")


def rows(X: ArrayLike, name: str = "X", *, must_be_finite: bool = True) -> Rows:
    """A finite table as a C-ordered float32 or float64 array; one of either kind is not copied."""
    array = numeric(X, name)
    if array.ndim != 2:
        raise ValueError(f"{name} has shape {array.shape}; expected two dimensions (rows, columns)")
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; expected at least one row and one column")
    if must_be_finite:
        finite_columns(array, name, column_names(X))
    return array


def array_of(values: Any, expected: tuple[int, ...], name: str) -> Rows:
    """A finite float array of the shape given."""
    array = numeric(values, name)
    shape(array, expected, name)
    finite(array, name)
    return array


def targets(y: ArrayLike, n: int, loss: str, *, both: bool = True) -> tuple[Doubles, bool]:
    """Targets as (n, C) and whether the program has one output without an axis of outputs.

    Those of the binary losses come from {0, 1} or {-1, +1} and leave as -1 and +1. Classes for "log_loss"
    come as more than two whole numbers, whose order is that of the outputs, or as rows of one 1 and zeros, as
    which they leave. With `both`, every value or class must be there.
    """
    array = numeric(y, "y").astype(np.float64)
    if array.ndim not in (1, 2) or array.shape[0] != n or array.size == 0:
        raise ValueError(f"y has shape {array.shape}; expected ({n},) or ({n}, outputs)")
    finite(array, "y")
    single = array.ndim == 1
    array = np.ascontiguousarray(array.reshape(n, -1))
    if loss == "log_loss" and single:
        values, code = np.unique(array[:, 0], return_inverse=True)
        if len(values) > 2 and (values == np.round(values)).all():
            return np.eye(len(values))[code], False
    if loss == "log_loss" and array.shape[1] > 1:
        _one_hot(array, both)
    elif loss in losses.BINARY:
        for column in array.T:
            values = np.unique(column)
            if not (np.isin(values, (0, 1)).all() or np.isin(values, (-1, 1)).all()):
                shown = ", ".join(f"{value:g}" for value in values[:5])
                classes = ", or more than two whole numbers" if loss == "log_loss" and single else ""
                raise ValueError(
                    f"y has the values {shown}; {loss} expects two values from {{0, 1}} or {{-1, 1}}{classes}"
                )
            if both and len(values) < 2:
                raise ValueError(f"y has only the value {values[0]:g}; {loss} expects both of its two values")
        array = np.where(array > 0, 1.0, -1.0)
    return array, single


def _one_hot(array: Doubles, both: bool) -> None:
    bad = ~(np.isin(array, (0, 1)).all(axis=1) & (array.sum(axis=1) == 1))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"y has {array.shape[1]} columns and the row {array[row].tolist()}; log_loss expects rows of one "
            "1 and zeros, or one dimension"
        )
    if both and not array.any(axis=0).all():
        column = int(np.flatnonzero(~array.any(axis=0))[0])
        raise ValueError(f"y has no row of class {column}; log_loss expects each of the {array.shape[1]}")


def raw_weights(sample_weight: ArrayLike | None, n: int) -> Doubles:
    """Weights of samples as they came: finite, not negative, not all zero; ones for None."""
    if sample_weight is None:
        return np.ones(n)
    weight = array_of(sample_weight, (n,), "sample_weight").astype(np.float64)
    if (weight < 0).any():
        raise ValueError(f"sample_weight has the value {weight.min():g}; expected none below 0")
    if not (weight > 0).any():
        raise ValueError("sample_weight is zero for every sample; expected at least one above 0")
    return weight


def unit_mean(weight: Doubles) -> Doubles:
    weight = weight / weight.max()  # so that the sum cannot overflow
    return weight * float(len(weight) / weight.sum())


def weights(sample_weight: ArrayLike | None, n: int) -> Doubles:
    return unit_mean(raw_weights(sample_weight, n))


def number(value: Any, name: str, wanted: str) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {value!r}; expected {wanted}")
    return float(value)


def positive(value: Any, name: str, reason: str = "") -> float:
    wanted = "a finite number > 0"
    result = number(value, name, wanted)
    if not (math.isfinite(result) and result > 0):
        raise ValueError(f"{name} is {result:g}; expected {wanted}{reason if result == 0 else ''}")
    return result


def penalty(alpha: Any, name: str = "alpha") -> float:
    reason = (
        ": without the penalty the convex program is no longer the training problem of a network and has "
        "no bound to certify it"
    )
    return positive(alpha, name, reason)


def penalties(alphas: Any, name: str, wanted: str = "an array of numbers > 0") -> Doubles:
    array = as_array(alphas, name, wanted)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}; expected {wanted}")
    if len(array) == 0:
        raise ValueError(f"{name} is empty; expected at least one value")
    return np.array([penalty(alpha, f"an entry of {name}") for alpha in array.tolist()])


def automatic_penalty(alpha: Any) -> float | None:
    """A checked penalty, or None for "auto"."""
    if isinstance(alpha, str):
        if alpha != "auto":
            raise ValueError(f"alpha is {alpha!r}; expected a finite number > 0 or 'auto'")
        return None
    return penalty(alpha)


def at_least_zero(value: Any, name: str) -> float:
    wanted = "a finite number >= 0"
    result = number(value, name, wanted)
    if not (math.isfinite(result) and result >= 0):
        raise ValueError(f"{name} is {result:g}; expected {wanted}")
    return result


def count(value: Any, name: str, least: int = 1, most: int = 2**31 - 1) -> int:
    wanted = f"an integer from {least} to {most}" if most < 2**31 - 1 else f"an integer >= {least}"
    result = _integer(value, name, wanted)
    if not least <= result <= most:
        raise ValueError(f"{name} is {result}; expected {wanted}")
    return result


def _integer(value: Any, name: str, wanted: str) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} is {value!r}; expected {wanted}")
    return int(value)


def switch(value: Any, name: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {value!r}; expected True or False")
    return bool(value)


def automatic_or_not(value: Any, name: str) -> bool:
    """Whether it is "auto", and not False."""
    if isinstance(value, str) and value == "auto":
        return True
    if isinstance(value, bool | np.bool_) and not value:
        return False
    kind = ValueError if isinstance(value, str | bool | np.bool_) else TypeError
    raise kind(f"{name} is {value!r:.80}; expected 'auto' or False")


def instance(value: object, kind: type, name: str, wanted: str = "") -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} has type {type(value).__name__}; expected {wanted or kind.__name__}")


def choice(value: Any, name: str, options: Sequence[str]) -> str:
    wanted = " or ".join(repr(option) for option in options)
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}; expected {wanted}")
    if value not in options:
        raise ValueError(f"{name} is {value!r}; expected {wanted}")
    return value


def threads(n_threads: Any) -> int:
    """Number of threads, where None is all that OpenMP allows and -k all but k - 1, as in scikit-learn."""
    if n_threads is None:
        return _core.default_threads()
    wanted = f"an integer from 1 to {MOST_THREADS}, or below 0: -1 for all threads, -2 for all but one"
    asked = _integer(n_threads, "n_threads", wanted)
    if asked == 0 or asked > MOST_THREADS:
        raise ValueError(f"n_threads is {asked}; expected {wanted}")
    return asked if asked > 0 else max(1, _core.default_threads() + 1 + asked)


def jobs(n_jobs: Any) -> int | None:
    wanted = "None or an integer other than 0: -1 for all processors, -2 for all but one"
    if n_jobs is None:
        return None
    asked = _integer(n_jobs, "n_jobs", wanted)
    if asked == 0 or abs(asked) >= 2**31:
        raise ValueError(f"n_jobs is {asked}; expected {wanted}")
    return asked


def directions(given: Any) -> NDArray[np.int8] | dict[Any, int] | None:
    """Directions as scikit-learn has them in `monotonic_cst`, by place or by name of a column."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {name: _direction(value, f"monotonic_cst[{name!r}]") for name, value in given.items()}
    values = as_array(given, "monotonic_cst", "an array of -1, 0 and 1, a dict of them by column, or None")
    if values.ndim != 1:
        raise ValueError(f"monotonic_cst has shape {values.shape}; expected (n_features,)")
    each = [_direction(value, f"monotonic_cst[{place}]") for place, value in enumerate(values.tolist())]
    return np.array(each, np.int8)


def monotonic(given: Any, n_features: int, names: Sequence[Any] | None) -> NDArray[np.int8] | None:
    """Directions of the columns of a table; None if all are free."""
    found = directions(given)
    if isinstance(found, dict):
        if names is None:
            raise ValueError(
                "monotonic_cst is a dict, and X has no names of columns; expected an array of -1, 0 and 1"
            )
        places = {name: place for place, name in enumerate(names)}
        if unknown := [repr(name) for name in found if name not in places]:
            raise ValueError(f"monotonic_cst has {listed(unknown)}; expected names of columns of X")
        by_name, found = found, np.zeros(n_features, np.int8)
        for name, direction in by_name.items():
            found[places[name]] = direction
    if found is not None and len(found) != n_features:
        raise ValueError(f"monotonic_cst has {len(found)} entries; expected {n_features}, as X has columns")
    return found if found is not None and found.any() else None


def _direction(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or value not in (-1, 0, 1):
        raise ValueError(f"{name} is {value!r:.80}; expected -1, 0 or 1")
    return int(float(value))


def sequence(values: Any, name: str, wanted: str) -> list[Any]:
    """What has an order and a length, and is no text."""
    ordered = isinstance(values, Sequence) or getattr(values, "ndim", 0) == 1
    if isinstance(values, str | bytes) or not ordered:
        raise TypeError(f"{name} has type {type(values).__name__}; expected {wanted}")
    return list(values)


def path(given: Any) -> str:
    """A path as text; a number would be an open file."""
    if not isinstance(given, str | bytes | os.PathLike):
        raise TypeError(f"path has type {type(given).__name__}; expected str, bytes or path-like")
    return os.fsdecode(given)


def between_0_and_1(value: Any, name: str) -> float:
    wanted = "a number between 0 and 1"
    result = number(value, name, wanted)
    if not 0 < result < 1:
        raise ValueError(f"{name} is {result:g}; expected {wanted}")
    return result


def function(callback: Any) -> Callable[..., object] | None:
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {callback!r}; expected None or a function of one record")
    return callback  # type: ignore[no-any-return]


def tree_width(depth: Any, width: Any) -> list[int]:
    """``(m_1, ..., m_{L-2})`` of a tree of the depth given; an integer stands for every one of them."""
    layers = count(depth, "depth", 2, MOST_LAYERS) - 2
    if isinstance(width, list | tuple) or (isinstance(width, np.ndarray) and width.ndim > 0):
        if len(width) != layers:
            raise ValueError(f"width has {len(width)} entries; expected {layers} for depth {depth}")
        result = [count(entry, "width") for entry in width]
    else:
        result = [count(width, "width")] * layers
    if math.prod(result) > 2**20:
        raise ValueError(f"width gives trees of {math.prod(result)} leaves; expected at most {2**20}")
    return result


def seed(random_state: RandomState) -> int:
    """An integer that stands for `random_state`; generators are advanced."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**63))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    try:
        return count(random_state, "random_state", 0, 2**63 - 1)
    except TypeError:
        raise TypeError(
            f"random_state is {random_state!r}; expected None, an integer, a RandomState or a Generator"
        ) from None
