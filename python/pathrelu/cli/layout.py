"""How a text file is laid out: what is given of it, and what its first lines tell."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from gzip import GzipFile
from itertools import islice
from typing import BinaryIO, TextIO, TypeAlias

Stored: TypeAlias = Callable[[], BinaryIO | GzipFile]  # opens a file, unzipped, again and again

SEPARATORS = (",", ";", "\t", "|")
SPACES = " "  # one or several
SAMPLE = 500  # lines that tell the separator and the decimal mark
BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
WITH_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
WITH_POINT = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """None is what is not known yet.

    Attributes
    ----------
    sep : str or None
        Between cells; `SPACES` for white space.
    decimal : str or None
        "." or ",".
    encoding : str or None
    comment : str or None
        What lines that are no rows begin with.
    headed : bool
        Whether the first row has the names of the columns, which else are 1, 2 and so on.
    names : tuple of str
        Of the columns.
    skipped : int
        Lines before the header.
    padded : bool
        Whether separators are followed by a space that belongs to no cell.
    """

    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    comment: str | None = None
    headed: bool = True
    names: tuple[str, ...] = ()
    skipped: int = 0
    padded: bool = False

    def rows(self, lines: Sequence[str]) -> list[list[str]]:
        """Cells of the lines that are not blank."""
        if self.sep == SPACES:
            lines = [line.strip() for line in lines]
        skip = self.padded or self.sep == SPACES
        found = csv.reader(lines, delimiter=self.sep or ",", skipinitialspace=skip)
        return [row for row in found if len(row) > 1 or "".join(row).strip()]

    def text(self, stored: Stored) -> TextIO:
        """The file as text from its header on."""
        file = decoded(stored, self.encoding or "utf-8-sig")
        for _ in range(self.skipped):
            file.readline()
        if self.comment is None:
            return file
        with file:
            return io.StringIO(
                "".join(line for line in file if not line.startswith(self.comment)), newline=""
            )


def decoded(stored: Stored, encoding: str) -> TextIO:
    file = stored()
    try:
        return io.TextIOWrapper(file, encoding, newline="")
    except LookupError:
        file.close()
        raise


def found(stored: Stored, given: Layout) -> Layout:
    """The layout with all that is not given as the file has it."""
    layout = given if given.encoding else replace(given, encoding=_encoding(stored))
    with layout.text(stored) as file:
        lines = list(islice(file, SAMPLE))
        if file.read(1):
            lines = lines[:-1] or lines  # whose last cell may go on
    if layout.comment is None:
        layout = replace(layout, skipped=_remarks(layout, lines))
        lines = lines[layout.skipped :]
    if layout.sep is None:
        layout = replace(layout, sep=_separator(layout, lines))
    rows = layout.rows(lines)
    if rows and len(rows[0]) > 1 and all(name.startswith(" ") for name in rows[0][1:]):
        layout = replace(layout, padded=True)
        rows = layout.rows(lines)
    first = rows[0] if rows else []
    names = first if layout.headed else [str(k + 1) for k in range(len(first))]
    if layout.sep == SPACES and rows[1:] and all(len(row) == len(first) + 1 for row in rows[1:]):
        names = ["", *first]  # names of rows, as write.table of R has them
    layout = replace(layout, names=tuple(names))
    if layout.decimal is None:
        cells = [cell.strip() for row in rows[1:] for cell in row]
        comma = any(map(WITH_COMMA.fullmatch, cells)) and not any(map(WITH_POINT.fullmatch, cells))
        layout = replace(layout, decimal="," if comma and layout.sep != "," else ".")
    return layout


def _encoding(stored: Stored) -> str:
    """What the first bytes say; else UTF-8 if all of it is that, or that of Windows in western languages."""
    with stored() as file:
        begin = file.read(3)
    for mark, encoding in BOMS.items():
        if begin.startswith(mark):
            return encoding
    try:
        with decoded(stored, "utf-8") as file:
            while file.read(1 << 20):
                pass
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":  # UTF-8 that was cut off
            raise
        return "cp1252"
    return "utf-8"


def _remarks(layout: Layout, lines: Sequence[str]) -> int:
    """How many lines that begin with # come before the header, unless the last of them is the header."""
    n = next((k for k, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
    if n == 0:
        return 0
    sep = layout.sep or _separator(layout, lines[n:])
    header, row = (replace(layout, sep=sep).rows([line]) for line in (lines[n - 1], lines[n]))
    return 0 if header and row and len(header[0]) == len(row[0]) > 1 and n == 1 else n


def _separator(layout: Layout, lines: Sequence[str]) -> str:
    """What cuts the header into cells and most lines into as many; of several, into the most."""
    best, separator = (0.0, 1), ","
    for candidate in (*SEPARATORS, SPACES):
        try:
            rows = replace(layout, sep=candidate).rows(lines)
        except csv.Error:
            continue
        if not rows or len(rows[0]) < 2 or (candidate == SPACES and best > (0.0, 1)):
            continue
        score = (sum(len(row) == len(rows[0]) for row in rows) / len(rows), len(rows[0]))
        if score > best:
            best, separator = score, candidate
    return separator
