"""A fitted encoder as arrays, for runtimes that compute whole tables at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu.encoding._columns import UNKNOWN, Categories, Numbers
from pathrelu.encoding._encoder import TableEncoder

MISSING = -2.0  # place of a missing category, where NaN may not be compared with
NEVER = -3.0  # place that no row has


@dataclass(frozen=True)
class Plan:
    """What to compute of places Z (n, columns), see `TableEncoder.places`; NaN is missing.

    With F, which is Z with `fill` for NaN, P is F and beside it, for each cycle k, ``moved - period_k *
    floor(moved / period_k)`` of ``moved = F[:, cycle_of_k] + offset_k``. The encoded columns are, in the
    order `order` of these: ``P[:, value]``; ``clip((P[:, ramp] * unit - low) / width, 0, 1)``; whether
    ``Z[:, equal] == place``, where NaN is `MISSING`; and whether ``Z[:, gap]`` is NaN.
    """

    fill: check.Doubles
    cycle_of: NDArray[np.int64]
    period: check.Doubles
    offset: check.Doubles
    value: NDArray[np.int64]
    ramp: NDArray[np.int64]
    unit: check.Doubles
    low: check.Doubles
    width: check.Doubles
    equal: NDArray[np.int64]
    place: check.Doubles
    gap: NDArray[np.int64]
    order: NDArray[np.int64]

    @classmethod
    def of(cls, encoder: TableEncoder) -> Plan:
        """That of a fitted encoder."""
        columns = encoder.columns_
        cycles: list[tuple[int, float, float]] = []
        parts: dict[str, list[tuple[float, ...]]] = {"value": [], "ramp": [], "equal": [], "gap": []}
        made: list[tuple[str, int]] = []  # kind and place within it, in the order of encoded columns

        def make(kind: str, *numbers: float) -> None:
            made.append((kind, len(parts[kind])))
            parts[kind].append(numbers)

        for j, column in enumerate(columns):
            if isinstance(column, Numbers):
                for part in column.parts:
                    source = j
                    if part.period is not None:
                        source = len(columns) + len(cycles)
                        cycles.append((j, part.period, part.offset))
                    if not part.knots:
                        make("value", source)
                        continue
                    unit, low, width = part.ramps()
                    for begin, size in zip(low.tolist(), width.tolist(), strict=True):
                        make("ramp", source, unit, begin, size)
                if column.gaps:
                    make("gap", j)
                continue
            assert isinstance(column, Categories)
            places = [float(k) for k in range(len(column.levels))]
            places += [UNKNOWN] * column.infrequent + [MISSING] * column.gaps
            for place in places or [NEVER]:
                make("equal", j, place)
        kinds = list(parts)
        starts = dict(zip(kinds, np.cumsum([0] + [len(parts[kind]) for kind in kinds]), strict=False))

        def columns_of(rows: list[tuple[float, ...]], width: int) -> list[check.Doubles]:
            return list(np.array(rows, np.float64).reshape(-1, width).T)

        cycle_of, period, offset = columns_of([tuple(cycle) for cycle in cycles], 3)
        ramp, units, lows, widths = columns_of(parts["ramp"], 4)
        equal, places_of = columns_of(parts["equal"], 2)
        (value,), (gap,) = columns_of(parts["value"], 1), columns_of(parts["gap"], 1)
        fill = np.array([column.fill if isinstance(column, Numbers) else 0.0 for column in columns])
        order = np.array([starts[kind] + k for kind, k in made], np.int64)

        def index(array: check.Doubles) -> NDArray[np.int64]:
            return array.astype(np.int64)

        return cls(
            fill, index(cycle_of), period, offset, index(value), index(ramp), units, lows, widths,
            index(equal), places_of, index(gap), order,
        )  # fmt: skip
