"""How one raw column becomes columns of numbers: what is fitted, and its form in files."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu._moments import LAST_PLACES, moments
from pathrelu.encoding._raw import DURATION, EMPTY, NAMES, NUMBER, TEXT, TIME, RawColumn

UNKNOWN = -1.0  # place of a level that has no column of its own

# What repeats in times: name, period, offset in days since Thursday, 1 January 1970. Weeks begin on Monday.
CYCLES = (("day_of_year", 365.2425, 0.0), ("day_of_week", 7.0, 3.0), ("time_of_day", 1.0, 0.0))
FEWEST_CYCLES = 2  # over which rows reach: within one, a cycle is not told from a trend

# Times the reach of the inner knots, beyond which values are outliers: a ramp up to them would be flat
# where the other values are.
FENCE = 10.0

# A level whose share of the weight is this large is common, even if all its rows are equal.
COMMON_SHARE = 0.05


class Column(ABC):
    """The encoding of one raw column."""

    kind: str
    gaps: bool

    @abstractmethod
    def names(self, name: str) -> list[str]:
        """Names of the encoded columns."""

    @abstractmethod
    def places(self, raw: RawColumn) -> check.Doubles:
        """The raw column as numbers: NaN where it is missing, categories as places among `levels`."""

    @abstractmethod
    def encode(self, places: check.Doubles, out: check.Rows) -> None:
        """Fill the encoded columns `out` (n, len(names))."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""

    def check_kind(self, raw: RawColumn, label: str) -> None:
        """Refuse a column of another kind; one that is all missing is of any."""
        if EMPTY not in (self.kind, raw.kind) and raw.kind != self.kind:
            raise TypeError(
                f"column {label} of X holds {NAMES[raw.kind]}; expected {NAMES[self.kind]}, as in training"
            )


@dataclass(frozen=True)
class Part:
    """One number that a column stands for, as it is or as ramps.

    Attributes
    ----------
    name : str
        Empty for the value itself.
    period, offset : float
        The value is ``(x + offset) mod period``; without a period x.
    knots : tuple of float
        Ramps are between neighbours of these; none for the value as it is.
    """

    name: str = ""
    period: float | None = None
    offset: float = 0.0
    knots: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return max(len(self.knots) - 1, 1)

    def values(self, x: check.Doubles) -> check.Doubles:
        """The number of each row."""
        if self.period is None:
            return x
        moved = x + self.offset
        return moved - self.period * np.floor(moved / self.period)

    def encode(self, x: check.Doubles, out: check.Rows) -> None:
        """The encoded columns (n, width)."""
        values = self.values(x)
        if not self.knots:
            out[:, 0] = values
            return
        unit, low, width = self.ramps()
        out[:] = np.clip((values[:, np.newaxis] * unit - low) / width, 0.0, 1.0)

    def ramps(self) -> tuple[float, check.Doubles, check.Doubles]:
        """A unit, and the lower ends and widths of the ramps in it: 1 unless a width has no float."""
        knots = np.array(self.knots)
        with np.errstate(over="ignore"):
            unit = 1.0 if np.isfinite(np.diff(knots)).all() else 0.5
        return unit, knots[:-1] * unit, np.diff(knots * unit)


@dataclass(frozen=True)
class Numbers(Column):
    """Numbers, times and durations: values or ramps, and whether one is missing.

    Attributes
    ----------
    kind : str
    fill : float
        In place of missing values: the weighted median.
    gaps : bool
        Whether missing values have a column of their own.
    parts : tuple of Part
    """

    kind: str
    fill: float
    gaps: bool
    parts: tuple[Part, ...]

    def names(self, name: str) -> list[str]:
        found = []
        for part in self.parts:
            base = f"{name}_{part.name}" if part.name else name
            found += [f"{base}_ramp_{k}" for k in range(part.width)] if part.knots else [base]
        return found + [f"{name}_missing"] * self.gaps

    def places(self, raw: RawColumn) -> check.Doubles:
        return raw.values.astype(np.float64, copy=False)

    def encode(self, places: check.Doubles, out: check.Rows) -> None:
        missing = np.isnan(places)
        x = np.where(missing, self.fill, places)
        begin = 0
        for part in self.parts:
            part.encode(x, out[:, begin : begin + part.width])
            begin += part.width
        if self.gaps:
            out[:, begin] = missing

    @property
    def plain(self) -> bool:
        """Whether values stay as they are."""
        return self.kind == NUMBER and not self.gaps and self.parts == (Part(),)

    def to_dict(self) -> dict[str, Any]:
        parts = [
            {"name": part.name, "period": part.period, "offset": part.offset, "knots": list(part.knots)}
            for part in self.parts
        ]
        return {"kind": self.kind, "fill": self.fill, "gaps": self.gaps, "parts": parts}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Checked content of `to_dict`."""
        _keys(content, {"kind", "fill", "gaps", "parts"})
        fill, gaps, parts = _float(content["fill"]), _bool(content["gaps"]), content["parts"]
        if not isinstance(parts, list) or not parts:
            raise ValueError("an encoded column has no parts")
        return cls(content["kind"], fill, gaps, tuple(_part(part) for part in parts))


@dataclass(frozen=True)
class Categories(Column):
    """Text and categories: one column for each level, for all others together, and for what is missing.

    Attributes
    ----------
    kind : str
        Of text, or empty: one that has nothing to tell rows apart by, which becomes a column of zeros.
    levels : tuple of str
        Those with a column of their own.
    infrequent : bool
        Whether there is a column for all others, those not seen in training among them.
    gaps : bool
        Whether missing values have a column of their own.
    """

    kind: str
    levels: tuple[str, ...] = ()
    infrequent: bool = False
    gaps: bool = False

    def names(self, name: str) -> list[str]:
        found = [f"{name}_{level}" for level in self.levels]
        found += [f"{name}_infrequent"] * self.infrequent + [f"{name}_missing"] * self.gaps
        return found or [name]

    def places(self, raw: RawColumn) -> check.Doubles:
        if raw.kind != TEXT:  # of an empty column there are no levels to find
            return np.where(np.isnan(raw.values), np.nan, UNKNOWN)
        known = {level: float(k) for k, level in enumerate(self.levels)}
        table = np.array([known.get(level, UNKNOWN) for level in raw.levels] + [np.nan])
        return table[np.where(np.isnan(raw.values), len(raw.levels), raw.values).astype(np.intp)]

    def encode(self, places: check.Doubles, out: check.Rows) -> None:
        out[:] = 0
        known = np.flatnonzero(places >= 0)
        out[known, places[known].astype(np.intp)] = 1
        if self.infrequent:
            out[:, len(self.levels)] = places == UNKNOWN
        if self.gaps:
            out[:, -1] = np.isnan(places)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "levels": list(self.levels),
            "infrequent": self.infrequent,
            "gaps": self.gaps,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Checked content of `to_dict`."""
        _keys(content, {"kind", "levels", "infrequent", "gaps"})
        levels = content["levels"]
        if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
            raise ValueError("levels of an encoded column are not text")
        if len(set(levels)) < len(levels):
            raise ValueError("an encoded column has a level twice")
        return cls(content["kind"], tuple(levels), _bool(content["infrequent"]), _bool(content["gaps"]))


# ---- Fitting -------------------------------------------------------------------


def fit_numbers(raw: RawColumn, weight: check.Doubles, n_ramps: int | None, indicator: bool) -> Column:
    """The encoding of numbers, times or durations in rows of weight above 0; ramps if `n_ramps` are given."""
    known = ~np.isnan(raw.values)
    if not known.any():
        return Categories(EMPTY)
    x, w = raw.values[known].astype(np.float64), weight[known]
    parts = [Part(knots=_knots(x, w, n_ramps))]
    if raw.kind == TIME:
        for name, period, offset in CYCLES:
            cycle = Part(name, period, offset)
            values = cycle.values(x)
            if np.ptp(x) >= FEWEST_CYCLES * period and np.ptp(values) > 0:
                parts.append(Part(name, period, offset, _knots(values, w, n_ramps)))
    return Numbers(raw.kind, _median(x, w), indicator and not known.all(), tuple(parts))


def _median(x: check.Doubles, w: check.Doubles) -> float:
    """The lower weighted median."""
    if (w == w[0]).all():
        middle = (len(x) - 1) // 2
        return float(np.partition(x, middle)[middle] + 0.0)
    return float(Sample.of(x, w).quantiles(np.array([0.5]))[0])


def _knots(x: check.Doubles, w: check.Doubles, n_ramps: int | None) -> tuple[float, ...]:
    """Ends of ramps; none for a constant, or without ramps."""
    if n_ramps is None or moments(x[:, np.newaxis], w, True)[2][0]:
        return ()
    return Sample.of(x, w).knots(n_ramps)


@dataclass(frozen=True)
class Sample:
    """Distinct values in order, and the weight up to each."""

    values: check.Doubles
    weight: check.Doubles
    tolerance: float

    @classmethod
    def of(cls, x: check.Doubles, w: check.Doubles) -> Self:
        """Of values with their weights, in any order."""
        if (w == w[0]).all():
            ordered, upto = np.sort(x), np.arange(1.0, len(x) + 1)
        else:
            order = np.lexsort((w, x))  # so that sums do not depend on the order of rows
            ordered, upto = x[order], np.cumsum(w[order] / w.max())
        last = np.append(ordered[1:] != ordered[:-1], True)
        # What the sum of n terms is off by at most: a row given twice is one of twice the weight.
        return cls(ordered[last] + 0.0, upto[last], len(x) * np.finfo(np.float64).eps)

    def quantiles(self, levels: check.Doubles) -> check.Doubles:
        """The smallest values up to which there is that share of the weight (inverted distribution)."""
        share = self.weight / self.weight[-1]
        found = np.searchsorted(share, levels - self.tolerance)
        return self.values[np.minimum(found, len(self.values) - 1)]

    def knots(self, n_ramps: int) -> tuple[float, ...]:
        """Ends of ramps: quantiles, or all values if they are few."""
        knots = self.values
        if len(knots) > n_ramps + 1:
            knots = np.unique(self._leveled(n_ramps).quantiles(np.linspace(0.0, 1.0, n_ramps + 1)))
            knots = self._within_fence(knots)
        apart = LAST_PLACES * np.finfo(np.float64).eps * np.maximum(np.abs(knots[1:]), np.abs(knots[:-1]))
        with np.errstate(over="ignore"):
            knots = knots[np.append(True, np.diff(knots) > apart)]
        return tuple(knots.tolist()) if len(knots) > 1 else ()

    def _leveled(self, parts: int) -> Self:
        """With no value of more weight than one of so many equal parts has: else it would take several."""
        weight = np.diff(self.weight, prepend=0.0)
        heavy = np.zeros(len(weight), bool)
        while True:
            share = weight[~heavy].sum() / (parts - heavy.sum())
            more = weight > share
            if (more == heavy).all():
                return replace(self, weight=np.cumsum(np.minimum(weight, share)))
            heavy = more

    def _within_fence(self, knots: check.Doubles) -> check.Doubles:
        """Outermost knots no further out than `FENCE` times the reach of the inner ones."""
        if len(knots) < 4:
            return knots
        low, high = knots[1], knots[-2]
        with np.errstate(over="ignore"):
            reach = FENCE * (high - low)
            inside = self.values[(self.values >= low - reach) & (self.values <= high + reach)]
        return np.unique(np.concatenate([inside[:1], knots[1:-1], inside[-1:]]))


def fit_categories(
    raw: RawColumn,
    weight: check.Doubles,
    distinct: NDArray[np.intp],
    max_categories: int,
    min_frequency: int | float,
    indicator: bool,
) -> Column:
    """The encoding of text in rows of weight above 0, of which those of places `distinct` are different."""
    known = ~np.isnan(raw.values)
    if not known.any():
        return Categories(EMPTY)
    gaps = bool(indicator and not known.all())
    codes = raw.values[known].astype(np.intp)
    w = weight[known]
    if not (w == w[0]).all():
        order = np.lexsort((w, codes))  # so that sums do not depend on the order of rows
        codes, w = codes[order], w[order]
    total = np.bincount(codes, w, len(raw.levels))
    share = total / np.sort(weight).sum()
    if isinstance(min_frequency, float):
        frequent = share >= min_frequency
    else:
        apart = raw.values[distinct]
        rows = np.bincount(apart[~np.isnan(apart)].astype(np.intp), minlength=len(raw.levels))
        frequent = (rows >= min_frequency) | (share >= COMMON_SHARE)
    seen = total > 0
    kept = np.flatnonzero(seen & frequent)
    if len(kept) < seen.sum() or len(kept) > max_categories:
        room = max_categories - 1
        kept = np.sort(kept[np.argsort(-total[kept], kind="stable")][:room])
    infrequent = 0 < len(kept) < int(seen.sum())
    if not len(kept) and not gaps:
        return Categories(TEXT)
    return Categories(TEXT, tuple(raw.levels[k] for k in kept), infrequent, gaps)


def distinct_rows(columns: Sequence[RawColumn], y: NDArray[Any] | None) -> NDArray[np.intp]:
    """Places of the first of each set of rows that are equal, targets included."""
    values = [column.values for column in columns] + ([] if y is None else _targets(y))
    return np.unique(row_keys(values), return_index=True)[1]


def row_keys(columns: Sequence[check.Rows], seed: int = 0) -> NDArray[np.uint64]:
    """A hash of each row, of columns of numbers; of equal rows it is equal."""
    keys = np.full(len(columns[0]), seed, np.uint64)
    _mix(keys)
    for values in columns:
        numbers = np.where(np.isnan(values), np.nan, values.astype(np.float64) + 0.0)
        keys += numbers.view(np.uint64)
        _mix(keys)
    return keys


def _mix(keys: NDArray[np.uint64]) -> None:
    # Finalizer of SplitMix64 (Steele, Lea & Flood 2014).
    keys ^= keys >> np.uint64(30)
    keys *= np.uint64(0xBF58476D1CE4E5B9)
    keys ^= keys >> np.uint64(27)
    keys *= np.uint64(0x94D049BB133111EB)
    keys ^= keys >> np.uint64(31)


def _targets(y: NDArray[Any]) -> list[check.Doubles]:
    """Columns of targets, or places of labels, as numbers."""
    columns = np.asarray(y).reshape(len(y), -1).T
    if columns.dtype.kind not in "fiub":
        columns = np.stack([np.unique(column.astype(str), return_inverse=True)[1] for column in columns])
    return list(columns.astype(np.float64))


# ---- Files ---------------------------------------------------------------------


def column_from_dict(content: object) -> Column:
    """The encoded column that `to_dict` described."""
    kind = content.get("kind") if isinstance(content, dict) else None
    if isinstance(content, dict) and kind in (NUMBER, TIME, DURATION):
        return Numbers.from_dict(content)
    if isinstance(content, dict) and kind in (TEXT, EMPTY):
        return Categories.from_dict(content)
    raise ValueError(f"it has an encoded column of the unknown kind {kind!r:.40}")


def _part(content: object) -> Part:
    if not isinstance(content, dict):
        raise ValueError("a part of an encoded column is not an object")
    _keys(content, {"name", "period", "offset", "knots"})
    name, period, knots = content["name"], content["period"], content["knots"]
    if not isinstance(name, str) or not isinstance(knots, list) or len(knots) == 1:
        raise ValueError("a part of an encoded column has no name or knots")
    ends = tuple(_float(knot) for knot in knots)
    if any(low >= high for low, high in pairwise(ends)):
        raise ValueError("knots of an encoded column do not ascend")
    if period is not None and _float(period) <= 0:
        raise ValueError(f"the period of an encoded column is {period!r}; expected a number above 0")
    return Part(name, None if period is None else _float(period), _float(content["offset"]), ends)


def _keys(content: dict[str, Any], expected: set[str]) -> None:
    if set(content) != expected:
        raise ValueError(f"an encoded column has the entries {sorted(content)}; expected {sorted(expected)}")


def _float(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise ValueError(f"an encoded column has {value!r:.40}; expected a finite number")
    return float(value)  # type: ignore[arg-type]


def _bool(value: object) -> bool:
    if type(value) is not bool:
        raise ValueError(f"an encoded column has {value!r:.40}; expected true or false")
    return value
