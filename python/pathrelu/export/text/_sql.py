"""Networks as one query in standard SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from pathrelu._version import __version__
from pathrelu.encoding._raw import DURATION, TEXT, TIME
from pathrelu.export.text import _program as of
from pathrelu.export.text._program import Linear, Program, Stage
from pathrelu.export.text._writing import LOWEST, Writer, as_utf8, in_ascii

UNITS = {TEXT: "text", TIME: "a number of days since 1970-01-01, UTC", DURATION: "a number of days"}
# Columns of one subquery: the fewest that a usual database takes are PostgreSQL's 1,664 (SQLite: 2,000).
MOST_COLUMNS = 1600
# PostgreSQL refuses to compute exponentials that round to 0, which those of less than -745 do.
MOST = 700.0


Column: TypeAlias = tuple[str, Sequence[str]]  # what it is, and the columns before that it is made of


def sql_of(program: Program, digits: int | None, table: str, keep: Sequence[str]) -> str:
    """The query of a program: a row of results for each row of the table, with the columns to keep."""
    writer = SqlWriter(digits)
    if not program.named:
        raise ValueError("the network has no names of columns, which a query needs: it was trained without")
    kept: dict[str, Column] = {f"k{place}": (writer.name(name), ()) for place, name in enumerate(keep)}
    first, *others, last = _stages(program, writer)
    stages, source, known, queries = [kept | first, *others], writer.name(table), set[str](), []
    for place, stage in enumerate(stages, start=1):
        used = {name for later in [*stages[place:], last] for _, names in later.values() for name in names}
        carried = sorted(known & (used | set(kept)) - set(stage))
        columns = carried + [f"{text} AS {name}" for name, (text, _) in stage.items()]
        if len(columns) > MOST_COLUMNS:
            raise ValueError(
                f"the query would have a subquery of {len(columns)} columns; databases take {MOST_COLUMNS}. "
                "Expected fewer columns or sub-networks"
            )
        step = _step(place, table)
        # A table without any column that is read has rows all the same.
        body = ",\n    ".join(columns or ["0 AS nothing"])
        queries.append(f"{step} AS MATERIALIZED (\n  SELECT\n    {body}\n  FROM {source}\n)")
        known, source = {*carried, *stage}, step
    results = {writer.name(name): k for k, name in zip(kept, keep, strict=True)}
    for name, (text, _) in last.items():
        while writer.name(name) in results:
            name += "_"
        results[writer.name(name)] = text
    body = ",\n  ".join(f"{text} AS {name}" for name, text in results.items())
    lines = [f"-- {program.summary}, written by pathrelu {__version__}. Of the table it reads"]
    for column in program.columns.values():
        unit = UNITS.get(program.kinds[column], "a number")
        lines.append(f"--   {in_ascii(program.names[column])}: {unit}")
    return "\n".join(lines) + f"\nWITH {', '.join(queries)}\nSELECT\n  {body}\nFROM {source}\n"


def _step(place: int, table: str) -> str:
    """The name of a subquery: not that of the table, in whatever case."""
    return f"step_{place}" if not table.lower().startswith("step_") else f"s_{place}"


def _stages(program: Program, writer: SqlWriter) -> Iterator[dict[str, Column]]:
    """Columns of each subquery; the last ones are results."""
    yield {
        name: (writer.column(program.names[column], program.kinds[column], program.marks), ())
        for name, column in program.columns.items()
    }
    for stage in program.stages[1:]:
        for part in _with_sums(stage):
            if part:
                yield {name: (writer.expression(value), [*of.used_by(value)]) for name, value in part.items()}
    target = program.target or "prediction"
    outputs = [output for output in program.outputs if output is not None]
    if program.labels is None:
        names = [target] if len(outputs) == 1 else [f"{target}_{c}" for c in range(len(outputs))]
        form = "EXP({})" if program.exponential else "{}"
        yield {name: (form.format(o), [o]) for name, o in zip(names, outputs, strict=True)}
    elif len(program.outputs) == 1:
        yield from _two_classes(target, outputs[0], program.labels, writer)
    else:
        yield from _classes(target, program.outputs, program.labels, writer)


def _two_classes(
    target: str, o: str, labels: Sequence[Any], writer: SqlWriter
) -> Iterator[dict[str, Column]]:
    yield {"odds": (f"CASE WHEN ABS({o}) < {MOST} THEN EXP(-ABS({o})) WHEN {o} = {o} THEN 0.0 END", [o])}
    first, second = map(writer.label, labels)
    small, large = "odds / (1.0 + odds)", "1.0 / (1.0 + odds)"
    of_both = [o, "odds"]
    yield {
        target: (f"CASE WHEN {o} > 0 THEN {second} WHEN {o} <= 0 THEN {first} END", [o]),
        "decision": (o, [o]),
        f"probability_{labels[0]}": (f"CASE WHEN {o} > 0 THEN {small} ELSE {large} END", of_both),
        f"probability_{labels[1]}": (f"CASE WHEN {o} > 0 THEN {large} ELSE {small} END", of_both),
    }


def _classes(
    target: str, outputs: Sequence[str | None], labels: Sequence[Any], writer: SqlWriter
) -> Iterator[dict[str, Column]]:
    """Results of the softmax; outputs of classes of probability 0 are None."""
    possible = {o: label for o, label in zip(outputs, labels, strict=True) if o is not None}
    scores = list(possible)
    yield {"largest": (_largest(scores, scores), scores)}
    shares = {
        f"share_{o}": (
            f"CASE WHEN largest - {o} < {MOST} THEN EXP({o} - largest) WHEN {o} = {o} THEN 0.0 END",
            [o, "largest"],
        )
        for o in scores
    }
    yield dict(shares)
    yield {"total": (" + ".join(shares), list(shares))}
    found: dict[str, Column] = {
        target: (_largest(scores, list(map(writer.label, possible.values()))), scores)
    }
    for o, label in zip(outputs, labels, strict=True):
        found[f"decision_{label}"] = (LOWEST, []) if o is None else (o, [o])
    for o, label in zip(outputs, labels, strict=True):
        share = f"share_{o}"
        found[f"probability_{label}"] = ("0.0", []) if o is None else (f"{share} / total", [share, "total"])
    yield found


def _largest(outputs: Sequence[str], results: Sequence[str]) -> str:
    """The result of the first of the largest outputs."""
    cases = []
    for place, (o, result) in enumerate(zip(outputs[:-1], results[:-1], strict=True)):
        least = " AND ".join(f"{o} >= {other}" for other in outputs[place + 1 :])
        cases.append(f"WHEN {least} THEN {result}")
    return f"CASE {' '.join(cases)} WHEN {outputs[-1]} = {outputs[-1]} THEN {results[-1]} END"


def _with_sums(stage: Stage) -> Iterator[Stage]:
    """The stage, where sums whose positive part is taken come before: they are in it twice."""
    sums: Stage = {
        f"sum_{name}": value.sum for name, value in stage.items() if isinstance(value, of.Positive)
    }
    yield sums
    yield {
        name: of.Positive(Linear(0.0, ((1.0, f"sum_{name}"),))) if f"sum_{name}" in sums else value
        for name, value in stage.items()
    }


class SqlWriter(Writer):
    def name(self, name: str) -> str:
        """A name in quotes, as all that a table or a column can be called."""
        as_utf8(name, "SQL")
        return '"' + name.replace('"', '""') + '"'

    def text(self, text: str) -> str:
        """A literal."""
        as_utf8(text, "SQL")
        return "'" + text.replace("'", "''") + "'"

    def label(self, label: str | int | float | bool) -> str:
        """A label as a literal."""
        if isinstance(label, bool):
            return "TRUE" if label else "FALSE"
        if isinstance(label, str):
            return self.text(label)
        return repr(label)

    def column(self, name: str, kind: str, marks: Sequence[str]) -> str:
        """A column of the table, as text or in double precision."""
        if kind != TEXT:
            return f"CAST({self.name(name)} AS DOUBLE PRECISION)"
        text = f"CAST({self.name(name)} AS VARCHAR)"
        if not marks:
            return text
        return f"CASE WHEN TRIM({text}) NOT IN ({', '.join(map(self.text, marks))}) THEN {text} END"

    def expression(self, value: of.Expression) -> str:
        number = self.number
        match value:
            case of.Filled(x, fill):
                return f"COALESCE({x}, {number(fill)})"
            case of.Cycle(x, offset, period):
                moved, p = f"({x} + {number(offset)})", number(period)
                return f"{moved} - {p} * FLOOR({moved} / {p})"
            case of.Scaled(x, center, scale):
                return f"({x} - {number(center)}) / {number(scale)}"
            case of.Ramp(x, unit, low, width):
                first, last = map(number, value.ends)
                moved = x if unit == 1 else f"{x} * {number(unit)}"
                ramp = f"({moved} - {number(low)}) / {number(width)}"
                return f"CASE WHEN {x} <= {first} THEN 0.0 WHEN {x} >= {last} THEN 1.0 ELSE {ramp} END"
            case of.Equal(t, level):
                return f"CASE WHEN {t} = {self.text(level)} THEN 1.0 ELSE 0.0 END"
            case of.NoneOf(t, levels):
                if not levels:
                    return f"CASE WHEN {t} IS NULL THEN 0.0 ELSE 1.0 END"
                known = ", ".join(map(self.text, levels))
                return f"CASE WHEN {t} NOT IN ({known}) THEN 1.0 ELSE 0.0 END"
            case of.Gap(x):
                return f"CASE WHEN {x} IS NULL THEN 1.0 ELSE 0.0 END"
            case of.Linear():
                return self.sum(value)
            case of.Positive(Linear(terms=((_, x),))):
                return f"CASE WHEN {x} < 0 THEN 0.0 ELSE {x} END"
            case of.Gated(gate, sum):
                return f"CASE WHEN {gate} > 0 THEN {self.sum(sum)} WHEN {gate} <= 0 THEN 0.0 END"
        raise AssertionError(value)
