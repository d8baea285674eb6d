"""How outputs depend on one or two columns: exactly where sub-networks use no others, else on average."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu.encoding import RawTable
from pathrelu.encoding._columns import UNKNOWN, Categories, Numbers
from pathrelu.encoding._raw import TEXT, RawColumn
from pathrelu.export.text._program import column_names
from pathrelu.inspection import Network, network_of
from pathrelu.network._predict import network_outputs

__all__ = ["AdditivePart", "PartialDependence", "additive_parts", "partial_dependence"]

OTHER, MISSING = "other", "missing"  # levels on a grid that are none of the encoder's
RESOLUTION = {1: 100, 2: 25}  # points of a grid by the number of columns, if none is asked for
# Grids leave out so much of the rows at either end, where a few of them would stretch the axis.
TAIL = 0.01
BAND = (0.1, 0.9)  # quantiles of the rows' own curves


@dataclass(frozen=True)
class AdditivePart:
    """A part of a network that uses these columns and no others.

    Attributes
    ----------
    columns : tuple of int
        Places of raw columns.
    subnetworks : ndarray of int
        Places of its sub-networks.
    linear : bool
        Whether the skip connection is part of it.
    """

    columns: tuple[int, ...]
    subnetworks: NDArray[np.intp]
    linear: bool = False


@dataclass(frozen=True, eq=False)
class PartialDependence:
    """What `partial_dependence` returns.

    Attributes
    ----------
    columns : tuple of int
        One column or two.
    names : tuple of str
    grid : list of ndarray
        Values of each column: numbers, days since 1970 of times, or names of levels, "other" for one without
        a column of its own, and "missing".
    values : ndarray of shape (n_outputs, n_points) or (n_outputs, n_points, n_points)
        Of one column: what the average output is at each value, less the mean of that over the rows. Of two:
        their interaction, which is what is left of that without what each column does by itself. In units
        of the network's outputs: log-odds or logits of classes, logarithms of means with a log link.
    band : ndarray of shape (2, n_outputs, n_points) or None
        Of one column: 10 and 90 % quantiles of the curves of single rows, each less its mean over the
        points and with that of `values`. The wider they are apart, the more other columns have a say.
    exact : bool
        Whether no sub-network uses one of the columns and others too. Then `values` are what the network
        computes, whatever the rows, but for the mean.
    is_time : tuple of bool
        Whether the grid of a column is of times.
    """

    columns: tuple[int, ...]
    names: tuple[str, ...]
    grid: list[NDArray[Any]]
    values: NDArray[np.float64]
    band: NDArray[np.float64] | None = field(repr=False)
    exact: bool
    is_time: tuple[bool, ...] = field(repr=False)


def additive_parts(model: Any) -> list[AdditivePart]:
    """The parts that a network is the sum of, by the columns that they use.

    Sub-networks of the same columns are one part; those whose weights are zero are in none. A skip connection
    is a sum over its columns. Of a gated network the columns of gates are used as well.

    Parameters
    ----------
    model : ParallelReLUNetwork, GatedReLUNetwork or fitted estimator of pathrelu

    Returns
    -------
    list of AdditivePart
        Those of fewest columns first.

    Examples
    --------
    >>> from pathrelu import ParallelReLUNetwork
    >>> from pathrelu.dependence import additive_parts
    >>> network = ParallelReLUNetwork([[[1.0, 0.0]], [[2.0, 1.0]], [[-1.0, 0.0]]])
    >>> [(part.columns, part.subnetworks.tolist()) for part in additive_parts(network)]
    [((0,), [0, 2]), ((0, 1), [1])]
    """
    network = network_of(model)
    found: dict[tuple[int, ...], list[int]] = {}
    for k, columns in enumerate(_used(network)):
        if columns:
            found.setdefault(columns, []).append(k)
    linear = set()
    if network.skip_weights is not None:
        linear = {(j,) for j in np.unique(network.origin[network.skip_weights.any(axis=0)]).tolist()}
    return [
        AdditivePart(columns, np.array(found.get(columns, []), np.intp), columns in linear)
        for columns in sorted(found.keys() | linear, key=lambda columns: (len(columns), columns))
    ]


def partial_dependence(
    model: Any,
    X: Any,
    columns: int | str | Sequence[int | str],
    *,
    grid_resolution: int | None = None,
    max_rows: int = 500,
) -> PartialDependence:
    """What the outputs are on average over rows where a column, or a pair of columns, has given values.

    Sub-networks that use no other column need no rows for that; only others are averaged over them. Of a
    pair this gives the interaction, to which only sub-networks that use both columns add.

    Parameters
    ----------
    model : ParallelReLUNetwork, GatedReLUNetwork or fitted estimator of pathrelu
    X : array-like of shape (n_rows, n_features)
        Raw rows.
    columns : int, str or pair of these
        Columns by place or name.
    grid_resolution : int, optional
        Values of a column of numbers, at least 2; ends of ramps between them are added. None for 100, and 25
        for a pair.
    max_rows : int, default=500
        Rows to average over, evenly spaced among those of `X`.

    Returns
    -------
    PartialDependence

    Raises
    ------
    TypeError, ValueError
        If `columns` are none of the network's, or a column is missing in all rows.

    Examples
    --------
    >>> import numpy as np
    >>> from pathrelu import ParallelReLUNetwork
    >>> from pathrelu.dependence import partial_dependence
    >>> network = ParallelReLUNetwork([[[1.0, 0.0]], [[-1.0, 0.0]], [[0.0, 2.0]]])
    >>> X = np.stack([np.linspace(-1, 1, 5), np.zeros(5)], axis=1)
    >>> found = partial_dependence(network, X, 0)  # the absolute value
    >>> found.exact, found.values[0].round(1).tolist()
    (True, [0.4, -0.1, -0.6, -0.1, 0.4])
    """
    network = network_of(model)
    names = _names(model, network)
    places = _places(columns, names)
    least = check.count(max_rows, "max_rows")
    resolution = RESOLUTION[len(places)]
    if grid_resolution is not None:
        resolution = check.count(grid_resolution, "grid_resolution", 2)
    raw = network.raw_table(X)
    grids = [_Grid.of(network, raw, j, names[j], resolution) for j in places]
    if len(raw) > least:
        raw = raw.take(np.arange(least) * len(raw) // least)
    used = _used(network)
    touching = [k for k, own in enumerate(used) if set(own) & set(places)]
    inside = [k for k in touching if set(used[k]) <= set(places)]
    threads = check.threads(None)
    band = None
    if len(places) == 1:
        (grid,) = grids
        alone = _restricted(network, inside, linear=places[0])
        point = raw.take(np.zeros(len(grid.raw), np.intp))
        values = network_outputs(alone, _double(alone, grid.at(point, grid.raw)), threads)
        own = network_outputs(alone, _double(alone, grid.known(raw)), threads)
        rest = [k for k in touching if k not in inside]
        curves = np.zeros((len(grid.raw), len(raw), network.n_outputs))
        if rest:
            others = _restricted(network, rest)
            for place, value in enumerate(grid.raw):
                rows = grid.at(raw, np.full(len(raw), value))
                curves[place] = network_outputs(others, _double(others, rows), threads)
        mean = curves.mean(axis=1)
        curves -= curves.mean(axis=0)
        of_rows = np.stack([grid.read(mean[:, c], raw) for c in range(network.n_outputs)], axis=1)
        values = values + mean - (own.mean(axis=0) + of_rows.mean(axis=0))
        spread = np.quantile(curves, BAND, axis=1) - (mean - mean.mean(axis=0))
        band = np.moveaxis(values + spread, 2, 1)
        result = values.T
    else:
        both = _restricted(network, [k for k in touching if set(places) <= set(used[k])])
        result = _interaction(both, raw, grids, threads)
    return PartialDependence(
        columns=places,
        names=tuple(names[j] for j in places),
        grid=[grid.shown for grid in grids],
        values=np.ascontiguousarray(result),
        band=band,
        exact=len(inside) == len(touching),
        is_time=tuple(raw.columns[j].kind == "time" for j in places),
    )


def _interaction(both: Network, raw: RawTable, grids: Sequence[_Grid], threads: int) -> NDArray[np.float64]:
    """F(v, w) - F(v) - F(w) + F (n_outputs, points, points), of averages F over rows with values given."""

    def mean(rows: RawTable) -> NDArray[np.float64]:
        values: NDArray[np.float64] = network_outputs(both, _double(both, rows), threads).mean(axis=0)
        return values

    n, (first, second) = len(raw), grids
    found = np.empty((len(first.raw), len(second.raw), both.n_outputs))
    by_second = [mean(second.at(raw, np.full(n, w))) for w in second.raw]
    for i, v in enumerate(first.raw):
        rows = first.at(raw, np.full(n, v))
        by_first = mean(rows)
        for j, w in enumerate(second.raw):
            found[i, j] = mean(second.at(rows, np.full(n, w))) - by_first - by_second[j]
    return np.moveaxis(found + mean(raw), 2, 0)


@dataclass(frozen=True)
class _Grid:
    """Values of a column: as raw rows have them, and as they are shown."""

    column: int
    raw: NDArray[np.float64]
    shown: NDArray[Any]

    @classmethod
    def of(cls, network: Network, raw: RawTable, column: int, name: str, resolution: int) -> _Grid:
        given = raw.columns[column]
        known = given.values[~np.isnan(given.values)].astype(np.float64)
        if len(known) == 0:
            raise ValueError(f"column {name!r} of X is missing in all rows; expected some values")
        if given.kind == TEXT:
            return cls._of_levels(network, given, column)
        low, high = np.quantile(known, [TAIL, 1 - TAIL], method="nearest")
        values = np.unique(known[(known >= low) & (known <= high)])
        if len(values) > resolution:
            knots: list[float] = []
            encoding = None if network.encoder is None else network.encoder.columns_[column]
            if isinstance(encoding, Numbers):
                knots = [x for part in encoding.parts if part.period is None for x in part.knots]
            inside = [x for x in knots if low < x < high]
            values = np.unique(np.concatenate([np.linspace(low, high, resolution), inside]))
        return cls(column, values, values)

    @classmethod
    def _of_levels(cls, network: Network, given: RawColumn, column: int) -> _Grid:
        assert network.encoder is not None
        encoding = network.encoder.columns_[column]
        assert isinstance(encoding, Categories)
        seen = np.unique(given.values[~np.isnan(given.values)]).tolist()
        alone = encoding.places(RawColumn(TEXT, np.array(seen), given.levels))
        places = [place for place, own in zip(seen, alone, strict=True) if own != UNKNOWN]
        shown = [given.levels[int(place)] for place in places]
        others = [place for place, own in zip(seen, alone, strict=True) if own == UNKNOWN]
        if others:
            places, shown = [*places, others[0]], [*shown, OTHER]
        if np.isnan(given.values).any():
            places, shown = [*places, np.nan], [*shown, MISSING]
        return cls(column, np.array(places), np.array(shown, dtype=object))

    def at(self, raw: RawTable, values: NDArray[np.float64]) -> RawTable:
        """The rows with these values of the column."""
        return raw.replaced({self.column: values})

    def known(self, raw: RawTable) -> RawTable:
        """The rows that the grid has something for: all, but for missing numbers."""
        gaps = np.isnan(raw.columns[self.column].values)
        return raw if self.shown.dtype == object or not gaps.any() else raw.take(~gaps)

    def read(self, curve: NDArray[np.float64], raw: RawTable) -> NDArray[np.float64]:
        """The curve at the values that rows have, of which missing numbers have none."""
        own = raw.columns[self.column].values.astype(np.float64)
        if self.shown.dtype != object:
            return np.interp(own[~np.isnan(own)], self.raw, curve)
        place = {value: k for k, value in enumerate(self.raw.tolist()) if not np.isnan(value)}
        names = self.shown.tolist()
        other, gap = (names.index(name) if name in names else 0 for name in (OTHER, MISSING))
        return curve[[gap if np.isnan(value) else place.get(value, other) for value in own.tolist()]]


def _used(network: Network) -> list[tuple[int, ...]]:
    """The raw columns that each sub-network uses; none of one that feeds no output."""
    nonzero = (network.leaf_weights != 0).any(axis=1)
    fed = (network.output_weights != 0).any(axis=1) & nonzero.any(axis=1)
    if network.gates is not None:
        nonzero |= (network.gates != 0).any(axis=1)
    return [
        tuple(np.unique(network.origin[own]).tolist()) if feeds else ()
        for own, feeds in zip(nonzero, fed, strict=True)
    ]


def _restricted(network: Network, subnetworks: Sequence[int], linear: int | None = None) -> Network:
    """The network with these sub-networks alone, and the linear part of one column."""
    part = copy.copy(network)
    kept = np.array(subnetworks, np.intp)
    for name in network.subnetwork_arrays:
        setattr(part, name, getattr(network, name)[kept])
    part.intercept = np.zeros_like(network.intercept)
    if network.skip_weights is not None and network.skip_bias is not None:
        part.skip_weights = np.where(network.origin == linear, network.skip_weights, 0)
        part.skip_bias = np.zeros_like(network.skip_bias)
    return part


def _double(network: Network, rows: RawTable) -> NDArray[np.float64]:
    return np.ascontiguousarray(network.columns_of(rows), dtype=np.float64)


def _names(model: Any, network: Network) -> list[str]:
    names = getattr(model, "feature_names_in_", None)
    return column_names(network) if names is None else list(names)


def _places(columns: Any, names: Sequence[str]) -> tuple[int, ...]:
    """Places of one column or two."""
    given = [columns]
    if not isinstance(columns, str | int | np.integer):
        given = check.sequence(columns, "columns", "a place, a name or a pair of these")
    if len(given) not in (1, 2):
        raise ValueError(f"columns are {len(given)}; expected one, or a pair")
    places = []
    for column in given:
        if isinstance(column, str):
            if column not in names:
                raise ValueError(f"columns has {column!r}; expected one of {check.listed(list(names))}")
            places.append(names.index(column))
        else:
            places.append(check.count(column, "columns", 0, len(names) - 1))
    if len(set(places)) < len(places):
        raise ValueError(f"columns is {columns!r}; expected different ones")
    return tuple(places)
