"""How a text file is laid out: what is given of it, and what its first lines tell."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
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
SEVERAL = re.compile(r"\s*[+-]?[\d.]+(\s+[+-]?[\d.]+)+\s*")  # numbers in one cell
USUAL = 0.9  # of the lines after titles, that are as long as each other
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
    skip : int or None
        Lines before the header to leave out.
    skipped : int
        Those that are.
    titled : bool
        Whether some of them look like titles.
    padded : bool
        Whether separators are followed by a space that belongs to no cell.
    dates : str or None
        How dates are written, as for `datetime.strptime`, where that is not clear.
    """

    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    comment: str | None = None
    headed: bool = True
    names: tuple[str, ...] = ()
    skip: int | None = None
    skipped: int = 0
    titled: bool = False
    padded: bool = False
    dates: str | None = None

    def rows(self, lines: Sequence[str]) -> list[list[str]]:
        """Cells of the lines that are not blank."""
        if self.sep == SPACES:
            lines = [line.strip().replace("\t", " ") for line in lines]
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
    if layout.skip is not None:
        layout = replace(layout, skipped=layout.skip)
        lines = lines[layout.skip :]
    elif layout.comment is None:
        layout = replace(layout, skipped=_remarks(layout, lines))
        lines = lines[layout.skipped :]
    if layout.sep is None:
        layout = replace(layout, sep=_separator(layout, lines))
    titles = 0 if layout.sep == SPACES else _titles(layout, lines)
    titled = any(line.strip(f" \r\n{layout.sep}") for line in lines[:titles])
    layout = replace(layout, skipped=layout.skipped + titles, titled=titled)
    lines = lines[titles:]
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


def _titles(layout: Layout, lines: Sequence[str]) -> int:
    """How many lines before the header have one filled cell, where nearly all after them have more."""
    if layout.skip is not None or layout.comment is not None or not layout.headed:
        return 0
    rows = [next(iter(layout.rows([line])), []) for line in lines]
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    first = next((k for k, count in enumerate(filled) if count > 1), 0)
    usual, count = Counter(map(len, filter(None, rows[first:]))).most_common(1)[0] if any(rows) else (0, 0)
    return first if usual > 2 and count >= USUAL * len(rows[first:]) else 0


def _separator(layout: Layout, lines: Sequence[str]) -> str:
    """What cuts the header into cells and most lines into as many; of several, into the most.

    Spaces where nothing else does, or where tabs leave several numbers in a cell.
    """
    best: tuple[float, ...] = ()
    separator = ","
    for candidate in (*SEPARATORS, SPACES):
        other = replace(layout, sep=candidate)
        titles = 0 if candidate == SPACES else _titles(other, lines)
        try:
            rows = other.rows(lines[titles:])
        except csv.Error:
            continue
        if not rows or len(rows[0]) < 2:
            continue
        alike = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        score = (round(alike, 1), -titles, alike, len(rows[0]))
        last_resort = candidate == SPACES and bool(best)
        if score > best and not (last_resort and not _mixed(layout, separator, lines)):
            best, separator = score, candidate
    return separator


def _mixed(layout: Layout, separator: str, lines: Sequence[str]) -> bool:
    """Whether tabs are among spaces that separate cells, for most lines have several numbers in one."""
    rows = replace(layout, sep=separator).rows(lines)[1:]
    several = sum(any(SEVERAL.fullmatch(cell) for cell in row) for row in rows)
    return separator == "\t" and 2 * several > len(rows)
