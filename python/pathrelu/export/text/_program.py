"""What a network computes, as named values in stages, for writers of programs in any language."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pathrelu.encoding._columns import UNKNOWN, Categories, Numbers
from pathrelu.encoding._plan import MISSING, NEVER, Plan
from pathrelu.encoding._raw import NUMBER, TEXT
from pathrelu.export.graph import Network

# A value that is missing is NaN, or NULL, or None, as the language has it.


@dataclass(frozen=True)
class Raw:
    """A column of the rows: a number, days of a time or a duration, or text."""

    column: int


@dataclass(frozen=True)
class Filled:
    """`value`, or `fill` where it is missing."""

    value: str
    fill: float


@dataclass(frozen=True)
class Cycle:
    """``moved - period * floor(moved / period)`` of ``moved = value + offset``."""

    value: str
    offset: float
    period: float


@dataclass(frozen=True)
class Scaled:
    """``(value - center) / scale``."""

    value: str
    center: float
    scale: float


@dataclass(frozen=True)
class Ramp:
    """``(value * unit - low) / width``, not below 0 nor above 1, which it is from `first` and `last` on."""

    value: str
    unit: float
    low: float
    width: float

    @property
    def ends(self) -> tuple[float, float]:
        """Where it begins and ends to rise, in units of `value`."""
        return self.low / self.unit, min((self.low + self.width) / self.unit, sys.float_info.max)


@dataclass(frozen=True)
class Equal:
    """1 where text is that level, else 0."""

    value: str
    level: str


@dataclass(frozen=True)
class NoneOf:
    """1 where text is not missing and none of the levels, else 0."""

    value: str
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Gap:
    """1 where a value is missing, else 0."""

    value: str


@dataclass(frozen=True)
class Linear:
    """A constant, and products of numbers and values."""

    constant: float
    terms: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Positive:
    """The sum where it is above 0, else 0."""

    sum: Linear


@dataclass(frozen=True)
class Gated:
    """The sum where `gate` is above 0, else 0."""

    gate: str
    sum: Linear


Expression: TypeAlias = (
    Raw | Filled | Cycle | Scaled | Ramp | Equal | NoneOf | Gap | Linear | Positive | Gated
)
Stage: TypeAlias = dict[str, Expression]


def used_by(expression: Expression) -> Iterator[str]:
    """Names of the values that an expression is made of."""
    if isinstance(expression, Positive | Gated):
        yield from used_by(expression.sum)
        if isinstance(expression, Gated):
            yield expression.gate
    elif isinstance(expression, Linear):
        yield from (name for _, name in expression.terms)
    elif not isinstance(expression, Raw):
        yield expression.value


@dataclass(frozen=True)
class Program:
    """A network as values that are computed one after the other.

    Attributes
    ----------
    names : list of str
        Of the columns of the rows, for people.
    named : bool
        Whether rows have columns by these names; else by place.
    kinds : list of str
        Of the columns, as encoders have them.
    marks : tuple of str
        Text that stands for a missing value.
    stages : list of dict
        Values by name; each is made of values of earlier stages alone.
    outputs : list of str or None
        Names of the values that are the outputs; None for a class of probability 0.
    labels : list or None
        Of classes.
    exponential : bool
        Whether outputs are logarithms of what is predicted.
    target : str or None
    summary : str
        What the network is.
    """

    names: list[str]
    named: bool
    kinds: list[str]
    marks: tuple[str, ...]
    stages: list[Stage]
    outputs: list[str | None]
    labels: list[str | int | float | bool] | None
    exponential: bool
    target: str | None
    summary: str

    @property
    def columns(self) -> dict[str, int]:
        """Columns that are read, by the names of their values."""
        return {name: raw.column for name, raw in self.stages[0].items() if isinstance(raw, Raw)}

    @property
    def values(self) -> Iterator[tuple[str, Expression]]:
        """All values that take computing."""
        for stage in self.stages[1:]:
            yield from stage.items()


def column_names(network: Network) -> list[str]:
    """Names of the raw columns; x0, x1 and so on for a network without."""
    return network.feature_names or [f"x{j}" for j in range(network.n_features)]


def column_kinds(network: Network) -> list[str]:
    """Kinds of the raw columns."""
    if network.encoder is None:
        return [NUMBER] * network.n_features
    return [column.kind for column in network.encoder.columns_]


def possible(network: Network) -> list[bool]:
    """Whether each output is that of a class of probability above 0."""
    return [bool(has_any) for has_any in np.isfinite(network.intercept)]


def program_of(network: Network, exponential: bool = False) -> Program:
    """The program of a network, whose outputs may be logarithms."""
    stages, terms = _encoded(network)

    def linear(weights: NDArray[Any], bias: float) -> Linear:
        constant, found = float(bias), []
        for column in np.flatnonzero(weights).tolist():
            name, factor, shift = terms[column]
            weight = float(weights[column])
            constant += weight * shift
            if name is not None:
                found.append((weight * factor, name))
        return Linear(constant, tuple(found))

    stages += _hidden(network, linear)
    roots = [_unit("h", network.width, k, network.depth - 1, 0) for k in range(network.n_subnetworks)]
    outputs: Stage = {}
    for c, has_any in enumerate(possible(network)):
        if has_any:
            weights = network.output_weights[:, c].tolist()
            fed = [(weight, root) for weight, root in zip(weights, roots, strict=True) if weight]
            linear_part = [(1.0, f"s{c}")] if network.skip_connection else []
            outputs[f"o{c}"] = Linear(float(network.intercept[c]), (*fed, *linear_part))
    stages.append(outputs)
    return Program(
        names=column_names(network),
        named=network.feature_names is not None,
        kinds=column_kinds(network),
        marks=() if network.encoder is None else tuple(network.encoder.missing_values),
        stages=_without_unused(stages),
        outputs=[f"o{c}" if has_any else None for c, has_any in enumerate(possible(network))],
        labels=network.classes,
        exponential=exponential,
        target=network.target,
        summary=repr(network),
    )


def _encoded(network: Network) -> tuple[list[Stage], list[tuple[str | None, float, float]]]:
    """Values of the columns that leaves see, and for each its value, a factor and a shift.

    Numbers are centered before they are multiplied, which loses no digits; what lies between 0 and 1 is
    not, and its center and scale become part of the weights.
    """
    kinds, encoder = column_kinds(network), network.encoder
    raws: Stage = {f"{'t' if kind == TEXT else 'x'}{j}": Raw(j) for j, kind in enumerate(kinds)}
    cycles: Stage = {}
    encoded: Stage = {}
    pairs = list(zip(network.center.tolist(), network.scale.tolist(), strict=True))
    if encoder is None:
        encoded = {f"z{c}": Scaled(f"x{c}", *pair) for c, pair in enumerate(pairs)}
        return [raws, encoded], [(f"z{c}", 1.0, 0.0) for c in range(len(pairs))]
    plan, columns = Plan.of(encoder), encoder.columns_
    filled: Stage = {
        f"f{j}": Filled(f"x{j}", fill)
        for j, (column, fill) in enumerate(zip(columns, plan.fill.tolist(), strict=True))
        if isinstance(column, Numbers)
    }
    for k, (j, offset, period) in enumerate(zip(plan.cycle_of, plan.offset, plan.period, strict=True)):
        cycles[f"p{k}"] = Cycle(f"f{j}", float(offset), float(period))
    sources = [f"f{j}" for j in range(len(columns))] + list(cycles)
    made: list[Expression | str | None] = [sources[j] for j in plan.value]
    for j, *numbers in zip(plan.ramp, plan.unit, plan.low, plan.width, strict=True):
        made.append(Ramp(sources[j], *map(float, numbers)))
    for j, place in zip(plan.equal.tolist(), plan.place.tolist(), strict=True):
        column = columns[j]
        assert isinstance(column, Categories)
        if place == NEVER:
            made.append(None)
        elif place == MISSING:
            made.append(Gap(f"t{j}"))
        elif place == UNKNOWN:
            made.append(NoneOf(f"t{j}", column.levels))
        else:
            made.append(Equal(f"t{j}", column.levels[int(place)]))
    made += [Gap(f"x{j}") for j in plan.gap]
    terms: list[tuple[str | None, float, float]] = []
    for c, ((center, scale), k) in enumerate(zip(pairs, plan.order.tolist(), strict=True)):
        value = made[k]
        if isinstance(value, str):
            encoded[f"z{c}"] = Scaled(value, center, scale)
            terms.append((f"z{c}", 1.0, 0.0))
        else:
            if value is not None:
                encoded[f"c{c}"] = value
            terms.append((None if value is None else f"c{c}", 1 / scale, -center / scale))
    return [raws, filled, cycles, encoded], terms


def _unit(kind: str, width: Sequence[int], k: int, layer: int, unit: int) -> str:
    """The name of a value of a unit: `layer` counts from the leaves, which are 1."""
    return f"{kind}{k}_{layer}_{unit}" if width else f"{kind}{k}"


def _hidden(network: Network, linear: Callable[[NDArray[Any], float], Linear]) -> list[Stage]:
    """Units ``h`` of all layers; of a gated network what switches them, ``g``, and its positive part ``r``.

    The values ``s`` of the skip connection are among the leaves.
    """
    K, width = network.n_subnetworks, network.width
    gated = network.gates is not None

    def unit(layer: int, k: int, place: int, sum: Linear) -> Positive | Gated:
        return Gated(_unit("g", width, k, layer, place), sum) if gated else Positive(sum)

    stages: list[Stage] = []
    leaves = [(k, p) for k in range(K) for p in range(math.prod(width))]
    if network.gates is not None and network.gate_bias is not None:
        gates, bias = network.gates, network.gate_bias
        stages.append({_unit("g", width, k, 1, p): linear(gates[k, p], bias[k, p]) for k, p in leaves})
    own = {
        _unit("h", width, k, 1, p): unit(1, k, p, linear(network.leaf_weights[k, p], network.leaf_bias[k, p]))
        for k, p in leaves
    }
    skip: Stage = {}
    if network.skip_weights is not None and network.skip_bias is not None:
        for c in range(network.n_outputs):
            skip[f"s{c}"] = linear(network.skip_weights[c], network.skip_bias[c])
    stages.append(own | skip)
    begin = 0
    for below, children in enumerate(width, start=1):
        size = math.prod(width[below - 1 :])
        signs = network.edge_signs[:, begin : begin + size].reshape(K, size // children, children).tolist()
        begin += size

        def parents(kind: str, below: int = below, signs: Any = signs) -> Iterator[tuple[int, int, Linear]]:
            for k, units in enumerate(signs):
                for place, edges in enumerate(units):
                    first = place * len(edges)
                    yield (
                        k,
                        place,
                        Linear(
                            0.0,
                            tuple(
                                (float(edge), _unit(kind, width, k, below, first + child))
                                for child, edge in enumerate(edges)
                            ),
                        ),
                    )

        if gated:
            names = [_unit("", width, k, below, p) for k in range(K) for p in range(size)]
            stages.append({f"r{name}": Positive(Linear(0.0, ((1.0, f"g{name}"),))) for name in names})
            stages.append({_unit("g", width, k, below + 1, p): sum for k, p, sum in parents("r")})
        stages.append(
            {_unit("h", width, k, below + 1, p): unit(below + 1, k, p, sum) for k, p, sum in parents("h")}
        )
    return stages


def _without_unused(stages: list[Stage]) -> list[Stage]:
    """The stages without the values that outputs are not made of."""
    wanted = set(stages[-1])
    kept = []
    for stage in reversed(stages):
        own = {name: expression for name, expression in stage.items() if name in wanted}
        wanted.update(name for expression in own.values() for name in used_by(expression))
        kept.append(own)
    return kept[::-1]
