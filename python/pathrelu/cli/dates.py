"""Columns of text that are dates, perhaps with times."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.datetime64]

DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d.%m.%y"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y"),
    *("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d %Y", "%b %d, %Y", "%d %B %Y", "%B %d %Y", "%B %d, %Y"),
)
CLOCKS = (
    *("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S.%f"),
    *(" %I:%M %p", " %I:%M:%S %p"),
)
FORMATS = tuple(day + clock for day, clock in product(DAYS, CLOCKS))
# Some text that no format reads is the rule, and most of it has neither.
LIKELY = re.compile(r"(?=.*\d)\w+[-/. ]\w+[-/., ]\s?\w+.*")


class AmbiguousError(ValueError):
    """Dates that several formats read, each otherwise."""

    def __init__(self, formats: Sequence[str]) -> None:
        super().__init__(f"{' or '.join(formats)}")
        self.formats = tuple(formats)


def times(
    cells: NDArray[np.object_], is_gap: Callable[[str], bool], given: str | None = None
) -> Times | None:
    """Cells as times, if one format reads all that are no gaps: the given one, or those that are usual.

    Raises `AmbiguousError` if several do, with different times.
    """
    texts = sorted({cell.strip() for cell in cells if not is_gap(cell)})
    if not texts or (given is None and not all(map(LIKELY.fullmatch, texts))):
        return None
    read = {form: known for form in (FORMATS if given is None else (given,)) if (known := _read(texts, form))}
    if not read and given is not None:
        return times(cells, is_gap)
    results = list(read.values())
    if any(known != results[0] for known in results):
        raise AmbiguousError(list(read))
    if not read:
        return None
    known = results[0]
    return np.array(["NaT" if is_gap(cell) else known[cell.strip()] for cell in cells], "datetime64[us]")


def is_time(cell: str, given: str | None = None) -> bool:
    """Whether some format reads a cell."""
    return any(_read([cell.strip()], form) for form in (*FORMATS, *filter(None, [given])))


def _read(texts: Sequence[str], form: str) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for text in texts:
        try:
            time = datetime.strptime(text, form)
        except ValueError:
            return None
        found[text] = np.datetime64(time.replace(tzinfo=None), "us")
    return found


def check_format(form: str) -> str:
    """A format of `strptime` that tells day, month and year, or an error."""
    sample = datetime(2021, 12, 31)
    try:
        same = datetime.strptime(sample.strftime(form), form).date() == sample.date()
    except ValueError:
        same = False
    if not same:
        raise ValueError(f"{form!r} does not tell a day; expected a format such as %d/%m/%Y")
    return form
