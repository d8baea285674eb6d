"""Networks as C99 that needs nothing but the standard library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pathrelu._version import __version__
from pathrelu.encoding._raw import DURATION, TEXT, TIME
from pathrelu.export.text import _program as of
from pathrelu.export.text._program import Program
from pathrelu.export.text._writing import LOWEST, Writer, as_utf8, in_ascii

PREFIX = "pathrelu_"
UNITS = {TIME: "days since 1970-01-01, UTC", DURATION: "days"}
HELPERS = {
    "positive": "static double positive(double value) { return value < 0 ? 0 : value; }\n",
    "gated": """\
/* Not a number where the gate is that. */
static double gated(double gate, double value) { return gate > 0 ? value : gate <= 0 ? 0 : gate; }
""",
    "ramp": """\
static double ramp(double value, double first, double last, double unit, double low, double width)
{
    return value <= first ? 0 : value >= last ? 1 : (value * unit - low) / width;
}
""",
    "cycle": """\
static double cycle(double value, double offset, double period)
{
    return (value + offset) - period * floor((value + offset) / period);
}
""",
    "given": """\
/* Text, or NULL for what stands for a missing value, whatever spaces are around it. */
static const char *given(const char *text)
{
    static const char spaces[] = " \\t\\n\\v\\f\\r";
    size_t k, length;
    const char *first;
    if (text == NULL) return NULL;
    first = text + strspn(text, spaces);
    length = strlen(first);
    while (length > 0 && strchr(spaces, first[length - 1]) != NULL) --length;
    for (k = 0; missing[k] != NULL; ++k)
        if (strlen(missing[k]) == length && memcmp(missing[k], first, length) == 0) return NULL;
    return text;
}
""",
    "equal": """\
static int equal(const char *text, const char *level) { return text != NULL && strcmp(text, level) == 0; }
""",
}

ONE = """\
double pathrelu_predict({rows})
{{
    double out[1];
    outputs({row}, out);
    return {exp}(out[0]);
}}
"""
SEVERAL = """\
/* Writes {C} predictions. */
void pathrelu_predict({rows}, double *out)
{{
    int c;
    outputs({row}, out);
    for (c = 0; c < {C}; ++c) out[c] = {exp}(out[c]);
}}
"""
TWO_CLASSES = """\
/* Log-odds of the second label. */
double pathrelu_decision_function({rows})
{{
    double out[1];
    outputs({row}, out);
    return out[0];
}}

/* Writes the probabilities of both labels. */
void pathrelu_predict_proba({rows}, double *out)
{{
    const double score = pathrelu_decision_function({row}), odds = exp(-fabs(score));
    out[score > 0] = 1 / (1 + odds);
    out[!(score > 0)] = odds / (1 + odds);
}}

/* The place of the most likely label, or -1 for scores that are not numbers. */
int pathrelu_predict({rows})
{{
    const double score = pathrelu_decision_function({row});
    return isnan(score) ? -1 : score > 0;
}}
"""
CLASSES = """\
/* Writes the logits of the {C} labels. */
void pathrelu_decision_function({rows}, double *out) {{ outputs({row}, out); }}

/* The place of the most likely label, or -1 for scores that are not numbers. */
int pathrelu_predict({rows})
{{
    double out[{C}];
    int c, best = 0;
    outputs({row}, out);
    for (c = 0; c < {C}; ++c) {{
        if (isnan(out[c])) return -1;
        if (out[c] > out[best]) best = c;
    }}
    return best;
}}

/* Writes the probabilities of the {C} labels. */
void pathrelu_predict_proba({rows}, double *out)
{{
    double total = 0, largest;
    int c, best = 0;
    outputs({row}, out);
    for (c = 0; c < {C}; ++c)
        if (out[c] > out[best]) best = c;
    largest = out[best];
    for (c = 0; c < {C}; ++c) total += out[c] = exp(out[c] - largest);
    for (c = 0; c < {C}; ++c) out[c] /= total;
}}
"""


def c_of(program: Program, digits: int | None) -> str:
    """The code of a program."""
    return "\n".join(_blocks(program, CWriter(digits)))


def _blocks(program: Program, writer: CWriter) -> Iterator[str]:
    C = len(program.outputs)
    with_text = TEXT in program.kinds
    yield f"/* {program.summary}, written by pathrelu {__version__}.\n\n   A row is:"
    for j, (name, kind) in enumerate(zip(program.names, program.kinds, strict=True)):
        where, unit, gap = ("text", "text in UTF-8", "NULL") if kind == TEXT else ("x", "a number", "NAN")
        missing = f"; {gap} where missing" if program.marks else ""
        yield f"   {where}[{j}]: {_in_comment(name)}, {UNITS.get(kind, unit)}{missing}"
    both = f"\n   Both arrays have {len(program.names)} entries." if with_text else ""
    yield f"{both}\n   Not for -ffast-math, which has no NAN. */\n"
    yield "#include <math.h>\n#include <stddef.h>\n#include <string.h>\n"
    body = [*_body(program, writer)]
    helpers = [name for name in HELPERS if any(f"{name}(" in line for line in body)]
    if "given" in helpers:
        marks = ", ".join([*map(writer.text, program.marks), "NULL"])
        yield f"static const char *const missing[] = {{{marks}}};\n"
    yield from (HELPERS[name] for name in helpers)
    if program.labels is not None:
        yield writer.labels(program.labels)
    rows = "const double *x, const char *const *text" if with_text else "const double *x"
    yield f"static void outputs({rows}, double *out)\n{{"
    yield from body
    yield "}\n"
    template = TWO_CLASSES if C == 1 else CLASSES
    if program.labels is None:
        template = ONE if C == 1 else SEVERAL
    exp = "exp" if program.exponential else ""
    yield template.format(rows=rows, row="x, text" if with_text else "x", C=C, exp=exp)


def _body(program: Program, writer: CWriter) -> Iterator[str]:
    for name, column in program.columns.items():
        if name.startswith("t"):
            yield f"    const char *const {name} = given(text[{column}]);"
        else:
            yield f"    const double {name} = x[{column}];"
    for name, value in program.values:
        yield f"    const double {name} = {writer.expression(value)};"
    for c, output in enumerate(program.outputs):
        yield f"    out[{c}] = {output or LOWEST};"
    read = {name[0] for name in program.columns}
    if "x" not in read:
        yield "    (void)x;"
    if TEXT in program.kinds and "t" not in read:
        yield "    (void)text;"


class CWriter(Writer):
    def text(self, text: str) -> str:
        """A literal in UTF-8."""
        return '"' + "".join(map(_byte, as_utf8(text, "C"))) + '"'

    def labels(self, labels: list[str | int | float | bool]) -> str:
        """The array of labels."""
        kind, of_kind = LABELS[type(labels[0])]
        values = [self.text(label) if isinstance(label, str) else of_kind(label) for label in labels]
        return f"{kind} {PREFIX}labels[{len(labels)}] = {{{', '.join(values)}}};\n"

    def expression(self, value: of.Expression) -> str:
        number = self.number
        match value:
            case of.Filled(x, fill):
                return f"isnan({x}) ? {number(fill)} : {x}"
            case of.Cycle(x, offset, period):
                return f"cycle({x}, {number(offset)}, {number(period)})"
            case of.Scaled(x, center, scale):
                return f"({x} - {number(center)}) / {number(scale)}"
            case of.Ramp(x, unit, low, width):
                numbers = ", ".join(map(number, (*value.ends, unit, low, width)))
                return f"ramp({x}, {numbers})"
            case of.Equal(t, level):
                return f"equal({t}, {self.text(level)})"
            case of.NoneOf(t, levels):
                return " && ".join(
                    [f"{t} != NULL", *(f"!equal({t}, {self.text(level)})" for level in levels)]
                )
            case of.Gap(x):
                return f"{x} == NULL" if x.startswith("t") else f"isnan({x}) ? 1 : 0"
            case of.Linear():
                return self.sum(value)
            case of.Positive(sum):
                return f"positive({self.sum(sum)})"
            case of.Gated(gate, sum):
                return f"gated({gate}, {self.sum(sum)})"
        raise AssertionError(value)


LABELS: dict[type, tuple[str, Callable[[Any], str]]] = {
    str: ("const char *const", str),
    int: ("const long long", lambda label: f"{label}LL" if label > -(2**63) else f"-{2**63 - 1}LL - 1"),
    float: ("const double", repr),
    bool: ("const int", lambda label: str(int(label))),
}
PLAIN = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-+*/.,:;()<>=&%#@!~^|[]{}'"
)


def _byte(byte: int) -> str:
    """A byte in a literal: three octal digits end where they end, whatever follows."""
    return chr(byte) if byte in PLAIN else f"\\{byte:03o}"


def _in_comment(name: str) -> str:
    return in_ascii(name).replace("/", "\\u002f")
