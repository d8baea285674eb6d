"""What writers of programs share: numbers, sums that no parser finds too deep, quoted names."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from pathrelu.export.text._program import Linear

LINE = 100  # characters of a line, about
# Lines of a sum that stand beside each other: parsers nest sums, and SQLite takes 1,000 levels.
MOST_LINES = 64
# The score of a class of probability 0, as `decision_function` has it.
LOWEST = "-1.7976931348623157e308"


class Writer:
    """Writes numbers and sums; `digits` are significant ones, None for all that it takes."""

    def __init__(self, digits: int | None) -> None:
        self.digits = digits

    def number(self, value: float) -> str:
        """A number with a point or an exponent."""
        if not math.isfinite(value):
            raise ValueError(f"a weight or a knot of raw columns is {value:g}; expected finite numbers")
        text = repr(float(value)) if self.digits is None else f"{value:.{self.digits}g}"
        return text if any(mark in text for mark in ".e") else f"{text}.0"

    def product(self, factor: str, name: str) -> str:
        """A factor times a value."""
        return f"{factor} * {name}"

    def sum(self, sum: Linear, indent: int = 8) -> str:
        """A sum, in parentheses where it takes several lines."""
        terms = [self._signed(factor, name) for factor, name in sum.terms]
        if sum.constant or not terms:
            terms.append(self._signed(sum.constant, None))
        lines, line = [], ""
        for sign, term in terms:
            if line and len(line) + len(term) + 3 > LINE - indent:
                lines.append(line)
                line = ""
            line += (f" {sign} " if line else "-" * (sign == "-")) + term
        lines.append(line)
        return lines[0] if len(lines) == 1 else self._stacked(lines, indent)

    def _signed(self, factor: float, name: str | None) -> tuple[str, str]:
        sign, size = "-" if factor < 0 else "+", abs(factor)
        if name is None:
            return sign, self.number(size)
        return sign, name if size == 1 else self.product(self.number(size), name)

    def _stacked(self, lines: Sequence[str], indent: int) -> str:
        while len(lines) > MOST_LINES:
            groups = [lines[k : k + MOST_LINES] for k in range(0, len(lines), MOST_LINES)]
            lines = [self._stacked(group, indent) for group in groups]
        pad = "\n" + " " * indent
        return f"({pad}{f'{pad}+ '.join(f'({line})' for line in lines)}{pad[:-4]})"


def in_ascii(text: str) -> str:
    """Text in double quotes and on one line, whatever it holds, for comments."""
    return json.dumps(text)


def as_utf8(text: str, language: str) -> bytes:
    """Text as bytes; refused where the language cannot hold it."""
    if "\0" in text:
        raise ValueError(f"{text!r:.60} has a null character, which text in {language} cannot hold")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r:.60} is no text that UTF-8 can hold, as {language} needs it") from None
