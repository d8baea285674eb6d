"""Networks as Python code that needs nothing but the standard library."""

from __future__ import annotations

from collections.abc import Iterator

from pathrelu._version import __version__
from pathrelu.encoding._raw import DURATION, TEXT, TIME
from pathrelu.export.text import _program as of
from pathrelu.export.text._program import Program
from pathrelu.export.text._writing import LOWEST, Writer

REFUSED = """\
def _number(row, column):
    value = row[column]
    if isinstance(value, str) or value is None or not abs(float(value)) < math.inf:
        raise ValueError(f"column {column!r} is {value!r}; expected a finite number")
    return float(value)
"""
NUMBER = """\
def _number(row, column):
    value = row[column]
    if _missing(value):
        return math.nan
    if isinstance(value, str) or math.isinf(float(value)):
        raise ValueError(f"column {column!r} is {value!r}; expected a finite number")
    return float(value)
"""
MISSING = """\
def _missing(value):
    if isinstance(value, str):
        return value.strip() in MISSING
    return value is None or value != value
"""
TEXTS = """\
def _text(row, column):
    value = row[column]
    if _missing(value):
        return None
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and value == int(value):
        return str(int(value))
    return str(value)
"""
TIMES = """\
def _days(row, column):
    value = row[column]
    if _missing(value):
        return math.nan
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    elif isinstance(value, datetime.date):
        value = datetime.datetime.combine(value, datetime.time())
    else:
        raise ValueError(f"column {column!r} is {value!r}; expected a date or a time")
    microseconds = (value - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)
    return microseconds / 86400000000
"""
DURATIONS = """\
def _duration(row, column):
    value = row[column]
    if _missing(value):
        return math.nan
    if not isinstance(value, datetime.timedelta):
        raise ValueError(f"column {column!r} is {value!r}; expected a duration")
    return value // datetime.timedelta(microseconds=1) / 86400000000
"""
READERS = {TEXT: ("_text", TEXTS), TIME: ("_days", TIMES), DURATION: ("_duration", DURATIONS)}
POSITIVE = """\
def _positive(value):
    return 0.0 if value < 0 else value
"""
PROBABILITIES_OF_TWO = '''\
def predict_proba(row):
    """Probabilities of the classes in LABELS."""
    score = decision_function(row)
    small = math.exp(-abs(score)) / (1 + math.exp(-abs(score)))
    large = 1 / (1 + math.exp(-abs(score)))
    return [small, large] if score > 0 else [large, small]
'''
PROBABILITIES = '''\
def predict_proba(row):
    """Probabilities of the classes in LABELS."""
    scores = decision_function(row)
    largest = max(scores)
    shares = [math.exp(score - largest) for score in scores]
    total = sum(shares)
    return [share / total for share in shares]
'''


def python_of(program: Program, digits: int | None) -> str:
    """The code of a program."""
    return "\n\n".join(_blocks(program, PythonWriter(digits)))


def _blocks(program: Program, writer: PythonWriter) -> Iterator[str]:
    columns = "the names of the columns" if program.named else "their places"
    yield (
        f'"""{program.summary}, written by pathrelu {__version__}.\n\n'
        f"Rows are mappings from {columns}, or sequences where these are numbers.\n"
        '"""\n\nimport datetime\nimport math\nimport numbers\n'
    )
    gaps = bool(program.marks) or any(isinstance(value, of.Filled) for _, value in program.values)
    kinds = {program.kinds[column] for column in program.columns.values()}
    if gaps:
        yield f"MISSING = {program.marks!r}\n"
    if program.labels is not None:
        yield f"LABELS = {program.labels!r}\n"
    if gaps:
        yield MISSING
    readers = [READERS.get(kind, ("_number", NUMBER if gaps else REFUSED)) for kind in sorted(kinds)]
    yield from dict.fromkeys(code for _, code in readers)
    yield POSITIVE
    lines = ["def _outputs(row):"]
    for name, column in program.columns.items():
        reader = READERS.get(program.kinds[column], ("_number", ""))[0]
        key = program.names[column] if program.named else column
        lines.append(f"    {name} = {reader}(row, {key!r})")
    for name, value in program.values:
        lines.append(f"    {name} = {writer.expression(value)}")
    lines.append(f"    return [{', '.join(output or LOWEST for output in program.outputs)}]\n")
    yield "\n".join(lines)
    alone = "[0]" if len(program.outputs) == 1 else ""
    if program.labels is None:
        of_outputs = f"_outputs(row){alone}"
        if program.exponential:
            of_outputs = (
                f"math.exp({of_outputs})" if alone else f"[math.exp(value) for value in {of_outputs}]"
            )
        what = "The predicted target." if alone else "The predicted targets."
        yield f'def predict(row):\n    """{what}"""\n    return {of_outputs}\n'
        return
    what = "Log-odds of the second of two classes" if alone else "Logits of the classes"
    yield f'def decision_function(row):\n    """{what} in LABELS."""\n    return _outputs(row){alone}\n'
    yield PROBABILITIES_OF_TWO if alone else PROBABILITIES
    winner = "int(decision_function(row) > 0)" if alone else "scores.index(max(scores))"
    scores = "" if alone else "    scores = decision_function(row)\n"
    yield f'def predict(row):\n    """The most likely label."""\n{scores}    return LABELS[{winner}]\n'


class PythonWriter(Writer):
    def expression(self, value: of.Expression) -> str:
        number = self.number
        match value:
            case of.Filled(x, fill):
                return f"{number(fill)} if {x} != {x} else {x}"
            case of.Cycle(x, offset, period):
                moved, p = f"({x} + {number(offset)})", number(period)
                return f"{moved} - {p} * math.floor({moved} / {p})"
            case of.Scaled(x, center, scale):
                return f"({x} - {number(center)}) / {number(scale)}"
            case of.Ramp(x, unit, low, width):
                first, last = map(number, value.ends)
                moved = x if unit == 1 else f"{x} * {number(unit)}"
                ramp = f"({moved} - {number(low)}) / {number(width)}"
                return f"0.0 if {x} <= {first} else 1.0 if {x} >= {last} else {ramp}"
            case of.Equal(x, level):
                return f"1.0 if {x} == {level!r} else 0.0"
            case of.NoneOf(x, levels):
                return f"0.0 if {x} is None or {x} in {levels!r} else 1.0"
            case of.Gap(x):
                missing = f"{x} is None" if x.startswith("t") else f"{x} != {x}"
                return f"1.0 if {missing} else 0.0"
            case of.Linear():
                return self.sum(value)
            case of.Positive(sum):
                return f"_positive({self.sum(sum)})"
            case of.Gated(gate, sum):
                return f"{self.sum(sum)} if {gate} > 0 else 0.0"
        raise AssertionError(value)
