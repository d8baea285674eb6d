"""Networks as formulas of raw columns, for people."""

from __future__ import annotations

import datetime
import json
import keyword
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pathrelu.encoding._columns import CYCLES, Categories, Column, Numbers, Part
from pathrelu.encoding._raw import DAY, NUMBER, TIME
from pathrelu.export.graph import Network
from pathrelu.export.text._program import Linear, column_names, possible
from pathrelu.export.text._writing import LINE, Writer

MOST_IN_FULL = 1e6  # from which on numbers have exponents
DIGITS = 4  # of a formula, if none are asked for
ABOUT = {
    "line": "line(x, {a: u, b: v}) is the line through these points, and constant beyond them",
    "case": "case(x, {a: u}, v) is u where x is a, and v, or else 0, where it is any other level",
    "missing": "missing(x) is 1 where x is missing, else 0",
    "days": "days(x) are those since 1970-01-01, UTC, or those of a duration",
    "on": "on(a) is 1 where a is above 0, else 0",
    "cycle": "cycle(x, a, p) is what is left of days(x) + a after whole multiples of p",
    "day_of_year": "day_of_year(x) is from 0 to 365.2425, on average",
    "day_of_week": "day_of_week(x) is from 0, Monday, to 7",
    "time_of_day": "time_of_day(x) is a share of the day, from 0 to 1",
}


def formula_of(network: Network, digits: int | None, exponential: bool = False) -> str:
    """All outputs as formulas, and what the functions in them mean."""
    writer = FormulaWriter(network, digits)
    units = writer.subnetworks()
    weights = network.output_weights
    order = np.argsort(-np.sqrt((network.leaf_weights.astype(float) ** 2).sum(axis=(1, 2))
                                + (network.leaf_bias.astype(float) ** 2).sum(axis=1))
                       * np.sqrt((weights**2).sum(axis=1)), kind="stable").tolist()  # fmt: skip
    several = network.n_outputs > 1
    lines = [f"h{place} = {units[k]}" for place, k in enumerate(order, start=1)] if several else []
    for c, (name, has_any) in enumerate(zip(_outputs(network, exponential), possible(network), strict=True)):
        if not has_any:
            lines.append(f"{name} = -inf")
            continue
        lines.append(f"{name} = {writer.number(float(network.intercept[c]))}")
        if network.skip_weights is not None and network.skip_bias is not None:
            linear = writer.raw(network.skip_weights[c], float(network.skip_bias[c]))
            lines.append(f"    + {linear}")
        for place, k in enumerate(order, start=1):
            if weight := float(weights[k, c]):
                term = f"h{place}" if several else units[k]
                lines.append(f"    {writer.weighted(weight, term)}")
    notes = list(_notes(network, "\n".join(lines), writer))
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def subnetworks_of(network: Network, digits: int | None) -> list[str]:
    """Each sub-network as a formula; with its weight, if there is one output."""
    writer = FormulaWriter(network, digits)
    units = writer.subnetworks()
    if network.n_outputs > 1:
        return units
    return [
        writer.weighted(float(w), unit) for w, unit in zip(network.output_weights[:, 0], units, strict=True)
    ]


def _outputs(network: Network, exponential: bool) -> list[str]:
    if network.classes is not None:
        labels = [json.dumps(label, ensure_ascii=False) for label in network.classes]
        return [f"log-odds of {labels[1]}"] if len(labels) == 2 else [f"logit of {label}" for label in labels]
    target = _column(network.target or "prediction")
    names = [target] if network.n_outputs == 1 else [f"{target}[{c}]" for c in range(network.n_outputs)]
    return [f"log of {name}" for name in names] if exponential else names


def _notes(network: Network, text: str, writer: FormulaWriter) -> Iterator[str]:
    """What the text has that needs a word."""
    outside = re.sub(r"`(\\.|[^`\\])*`|\"(\\.|[^\"\\])*\"", "", text)
    for name, about in ABOUT.items():
        if re.search(rf"\b{name}\(", outside):
            yield about
    if network.encoder is not None:
        fills = [
            f"{_column(name)} {writer.key(column.fill, column.kind)}"
            for name, column in zip(column_names(network), network.encoder.columns_, strict=True)
            if isinstance(column, Numbers) and _column(name) in text
        ]
        if fills:
            yield f"what is missing counts as {', '.join(fills)}"


def _column(name: str) -> str:
    """A name as it is, or between backquotes where it could be taken for something else."""
    plain = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    if plain and name not in ABOUT and name not in ("max", "log", "inf") and not re.fullmatch(r"h\d+", name):
        return name
    return "`" + json.dumps(name, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("`", "\\`") + "`"


class FormulaWriter(Writer):
    """Writes parts of a network; weights are those of raw columns."""

    def __init__(self, network: Network, digits: int | None) -> None:
        super().__init__(DIGITS if digits is None else digits)
        self.network = network
        self.names = [_column(name) for name in column_names(network)]

    def number(self, value: float) -> str:
        text = f"{value:.{self.digits}g}"
        if value == 0:
            return "0"
        return f"{float(text):.0f}" if "e+" in text and abs(value) < MOST_IN_FULL else text

    def product(self, factor: str, name: str) -> str:
        return f"{factor}*{name}"

    def sum(self, sum: Linear, indent: int = 8) -> str:
        """A sum, with a line for each term where it is long."""
        terms = [self._signed(factor, name) for factor, name in sum.terms]
        if sum.constant or not terms:
            terms.append(self._signed(sum.constant, None))
        (sign, first), *others = terms
        first = "-" * (sign == "-") + first
        long = len(first) + len("".join(term for _, term in others)) > LINE
        between = "\n" + " " * indent if long else " "
        return "".join([f"{between}  {first}" if long else first, *(f"{between}{s} {t}" for s, t in others)])

    def weighted(self, weight: float, term: str) -> str:
        """A term with its sign and its weight."""
        sign, text = self._signed(weight, term)
        return f"{sign} {text}"

    def subnetworks(self) -> list[str]:
        """Each root as a formula."""
        network = self.network
        found = []
        for k in range(network.n_subnetworks):
            switches = None
            if network.gates is not None and network.gate_bias is not None:
                switches = self._leaves(network.gates[k], network.gate_bias[k])
            units = self._leaves(network.leaf_weights[k], network.leaf_bias[k])
            begin, size = 0, len(units)
            units, switches = self._active(units, switches)
            for children in network.width:
                signs = network.edge_signs[k, begin : begin + size].reshape(-1, children).tolist()
                begin += size
                size //= children
                units = self._parents(units, signs)
                if switches is not None:
                    switches = self._parents(switches, signs)
                units, switches = self._active(units, switches)
            found.append(units[0])
        return found

    def _leaves(self, weights: NDArray[np.floating], bias: NDArray[np.floating]) -> list[str]:
        return [self.raw(w, float(b)) for w, b in zip(weights, bias, strict=True)]

    def _parents(self, units: Sequence[str], signs: Sequence[Sequence[int]]) -> list[str]:
        places = iter(units)
        return [
            self.sum(Linear(0.0, tuple((float(sign), next(places)) for sign in edges))) for edges in signs
        ]

    def _active(
        self, units: Sequence[str], switches: Sequence[str] | None
    ) -> tuple[list[str], list[str] | None]:
        if switches is None:
            return [f"max(0, {unit})" for unit in units], None
        on = [f"on({gate})*({unit})" for gate, unit in zip(switches, units, strict=True)]
        return on, [f"max(0, {gate})" for gate in switches]

    def raw(self, weights: NDArray[np.floating], bias: float) -> str:
        """A linear map of scaled columns as a sum of functions of raw columns."""
        network = self.network
        folded = weights.astype(np.float64) / network.scale
        constant = bias - float((folded * network.center).sum())
        terms: list[tuple[float, str]] = []
        if network.encoder is None:
            terms = list(zip(folded.tolist(), self.names, strict=True))
        else:
            begin = 0
            for name, column in zip(self.names, network.encoder.columns_, strict=True):
                width = len(column.names(""))
                terms += self._of_column(name, column, folded[begin : begin + width].tolist())
                begin += width
        nonzero = tuple(term for term in terms if term[0])
        return self.sum(Linear(constant, nonzero))

    def _of_column(self, name: str, column: Column, weights: list[float]) -> Iterable[tuple[float, str]]:
        if isinstance(column, Categories):
            values = {
                json.dumps(level, ensure_ascii=False): weight
                for level, weight in zip(column.levels, weights, strict=False)
            }
            others = weights[len(values)] if column.infrequent else 0.0
            if any(values.values()) or others:
                pairs = ", ".join(f"{level}: {self.number(value)}" for level, value in values.items())
                rest = f", {self.number(others)}" if others else ""
                yield 1.0, f"case({name}, {{{pairs}}}{rest})"
        else:
            assert isinstance(column, Numbers)
            begin = 0
            for part in column.parts:
                own = weights[begin : begin + part.width]
                begin += part.width
                if any(own):
                    yield self._of_part(name, part, column.kind, own)
        if column.gaps:
            yield weights[-1], f"missing({name})"

    def _of_part(self, name: str, part: Part, kind: str, weights: list[float]) -> tuple[float, str]:
        value = self._value(name, part, kind)
        if not part.knots:
            return weights[0], value
        heights = np.cumsum([0.0, *weights]).tolist()
        points = []
        for k, (knot, height) in enumerate(zip(part.knots, heights, strict=True)):
            flat = 0 < k < len(weights) and not weights[k - 1] and not weights[k]
            if not flat:
                points.append(
                    f"{self.key(knot, kind if part.period is None else NUMBER)}: {self.number(height)}"
                )
        of = name if part.period is None else value
        return 1.0, f"line({of}, {{{', '.join(points)}}})"

    def _value(self, name: str, part: Part, kind: str) -> str:
        if part.period is None:
            return name if kind == NUMBER else f"days({name})"
        if (part.name, part.period, part.offset) in CYCLES:
            return f"{part.name}({name})"
        return f"cycle({name}, {self.number(part.offset)}, {self.number(part.period)})"

    def key(self, value: float, kind: str) -> str:
        """A number, or the date of a number of days."""
        if kind != TIME:
            return self.number(value)
        moment = datetime.timedelta(microseconds=round(value * DAY))
        try:
            text = (datetime.datetime(1970, 1, 1) + moment).isoformat()
        except OverflowError:  # before the year 1 or after 9999
            return self.number(value)
        return f'"{text.removesuffix("T00:00:00")}"'
