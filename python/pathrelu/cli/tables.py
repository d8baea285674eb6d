"""Tables of the command line: CSV (gzipped or not) and Parquet in; CSV, JSON lines and Parquet out."""

from __future__ import annotations

import csv
import gzip
import json
import numbers
import os
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import dropwhile
from pathlib import Path
from typing import Any, NoReturn

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu._sklearn import parse_version
from pathrelu.files.archive import is_stream, write_file

GAPS = {"", "-", "--", "?", "#n/a", "<na>", "n/a", "na", "nan", "none", "null"}  # in columns of numbers
MOST_CATEGORIES = 100  # of a column that is encoded; more are as a rule names or identifiers
FORMATS = ("csv", "jsonl", "parquet")
EXTENSIONS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
NOT_CSV = (
    csv.Error,
    pd.errors.ParserError,
    pd.errors.ParserWarning,
    UnicodeDecodeError,
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
)
# Numbers to the last bit, which pandas reads by itself from 3.1 on.
EXACT = {} if parse_version(pd.__version__) >= parse_version("3.1") else {"float_precision": "round_trip"}


class InputError(click.ClickException):
    """An error of the user: one message, exit code 2."""

    exit_code = 2


def refuse(message: str) -> NoReturn:
    raise InputError(message)


def note(message: str) -> None:
    click.echo(f"Note: {message}", err=True)


def listed(names: Iterable[Any], most: int = 10) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


@dataclass(frozen=True)
class Table:
    """A file with named columns. Those of a CSV file that are not all numbers are text, as it is written."""

    path: Path
    frame: pd.DataFrame
    opened: Any  # how to open a CSV file; None for Parquet, whose columns have types

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def names(self) -> list[str]:
        return list(self.frame.columns)

    def require(self, *names: str) -> None:
        for name in names:
            if name not in self.frame:
                refuse(f"{self.path} has no column {name!r}; it has {listed(self.names)}")

    def numbers(self, name: str, hint: str = "") -> NDArray[np.floating[Any]]:
        """A column as finite numbers, or an error that names the first cell that is not one."""
        cells = self.frame[name]
        if cells.dtype.kind in "iufb" and not (self.opened and cells.dtype.kind == "b"):
            narrow = str(cells.dtype).lower() == "float32"
            values: check.Rows = cells.to_numpy(np.float32 if narrow else np.float64, na_value=np.nan)
            if np.isfinite(values).all():
                return values
        if self.opened:
            return self._parsed(name, hint)
        self._plain(name)
        if what := check.other_than_numbers(cells):
            refuse(f"{self.path}: column {name!r} holds {what}, not numbers{hint}")
        values = cells.to_numpy(np.float64, na_value=np.nan)
        for row in np.flatnonzero(~np.isfinite(values))[:1].tolist():
            if np.isinf(values[row]):
                self.refuse_cell(name, row, "", "is infinite")
            self.refuse_cell(name, row, "", "is empty", FILL)
        return values

    def _parsed(self, name: str, hint: str) -> NDArray[np.float64]:
        cells = self.text(name)
        values = parsed(cells)
        if values is not None and np.isfinite(values).all():
            return values
        for row, cell in enumerate(cells):
            number = parsed(cells[row : row + 1])
            if _is_gap(cell):
                self.refuse_cell(name, row, cell, "is missing" if cell.strip() else "is empty", FILL)
            if number is None and parsed(np.array([cell.replace(",", "")], object)) is not None:
                self.refuse_cell(name, row, cell, "is not a number: write 1234.5, without any comma")
            if number is None:
                self.refuse_cell(name, row, cell, "is not a number", hint)
            if not np.isfinite(number).all():
                self.refuse_cell(name, row, cell, "is not finite")
        raise AssertionError("every cell is a finite number")

    def text(self, name: str) -> NDArray[np.object_]:
        """A column as it is written in a CSV file; of a Parquet file, its values."""
        cells: NDArray[np.object_] = self.frame[name].to_numpy(object)
        if self.opened and not all(isinstance(cell, str) for cell in cells):
            with self.opened() as file:
                cells = _parse(self.path, file, dtype=str, usecols=[name])[name].to_numpy(object)
        return cells

    def is_numeric(self, name: str) -> bool:
        """Whether a column is meant as numbers: in a CSV file, if most cells that are no gaps are numbers."""
        cells = self.frame[name]
        if not self.opened:
            return check.other_than_numbers(cells) == ""
        if cells.dtype.kind in "iuf":
            return True
        filled = [cell for cell in self.text(name) if not _is_gap(cell)]
        n_numbers = sum(parsed(np.array([cell], object)) is not None for cell in filled)
        return 2 * n_numbers > len(filled) or not filled

    def _plain(self, name: str) -> None:
        """Refuse a column of a Parquet file that holds other things than numbers, truth values and text."""
        column = self.frame[name]
        for cell in column.to_numpy(object):
            number_or_text = isinstance(cell, str | numbers.Real | Decimal | np.bool_)
            if not number_or_text and not (np.ndim(cell) == 0 and pd.isna(cell)):
                what = type(cell).__name__ if column.dtype == np.dtype(object) else str(column.dtype)
                refuse(f"{self.path}: column {name!r} holds {what}; expected numbers, text or truth values")

    def refuse_cell(self, name: str, row: int, cell: str, complaint: str, hint: str = "") -> NoReturn:
        shown = f" {cell[:40]!r}" if cell.strip() else ""
        place = f"{self.path}: the cell{shown} in column {name!r}, row {row + 1}"
        refuse(f"{place} {complaint} (the header is row 0){hint}")

    def labels(self, name: str) -> NDArray[Any]:
        """A column as labels: whole numbers and booleans where all are written so, else text."""
        cells = self.text(name)
        self._present(name, cells)
        if not self.opened:
            if all(isinstance(cell, numbers.Real | Decimal | np.bool_) for cell in cells):
                return np.array([_label(cell) for cell in cells])
            return np.array([str(cell) for cell in cells])
        if set(cells) <= {"True", "False"}:
            return np.array([cell == "True" for cell in cells])
        try:
            whole = np.array([int(cell) for cell in cells], dtype=np.int64)
        except (ValueError, OverflowError):
            whole = np.zeros(0, dtype=np.int64)
        return whole if whole.astype(str).tolist() == cells.tolist() else np.array(cells.tolist())

    def _present(self, name: str, cells: NDArray[np.object_]) -> None:
        """Refuse a column of labels or categories with gaps."""
        if not self.opened:
            self._plain(name)
        gap = _is_gap if self.opened and self.is_numeric(name) else _missing  # "-" and "none" may be labels
        for row, cell in enumerate(cells):
            if gap(cell):
                self.refuse_cell(name, row, cell if isinstance(cell, str) else "", "is missing", FILL)

    def categories(self, name: str) -> NDArray[np.object_]:
        """A column as text, for one-hot encoding."""
        cells = self.text(name)
        self._present(name, cells)
        for cell in cells:
            if not isinstance(cell, str | bool | np.bool_):
                refuse(f"{self.path}: column {name!r} holds {type(cell).__name__}, neither numbers nor text")
        return np.array([str(cell) for cell in cells], dtype=object)


HINT = "; --one-hot encodes columns of text, --ignore leaves columns out"
FILL = ": fill it in, or leave the row out"


def _is_gap(cell: str) -> bool:
    return cell.strip().lower() in GAPS


def _missing(cell: Any) -> bool:
    return bool(cell.strip().lower() in ("", "nan")) if isinstance(cell, str) else bool(pd.isna(cell))


def _label(number: Any) -> Any:
    """A number of a Parquet file as a label; decimals have no NumPy type."""
    if not isinstance(number, Decimal):
        return number
    return int(number) if number == int(number) else float(number)


def read(path: Path) -> Table:
    """A table with named columns and rows, in the format that its first bytes tell."""
    with open(path, "rb") as file:
        magic = file.read(4)
    if magic == b"PAR1":
        table = Table(path, _read_parquet(path), None)
    else:
        zipped = magic[:2] == b"\x1f\x8b"

        def opened() -> Any:
            return (gzip.open if zipped else open)(path, "rt", newline="", encoding="utf-8-sig")

        table = Table(path, _read_csv(path, opened), opened)
    if len(table) == 0:
        refuse(f"{path} has a header but no rows")
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow
    except ModuleNotFoundError:
        refuse(f"{path} is a Parquet file, and reading it needs pyarrow: pip install 'pathrelu[parquet]'")
    try:
        from pyarrow import parquet

        stored = parquet.ParquetFile(path).read()
        try:
            frame = stored.to_pandas()
        except Exception:  # whatever pandas' metadata, which anyone may write, lead to
            note(f"{path}: what it says of pandas is damaged and not used")
            frame = stored.replace_schema_metadata(None).to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        refuse(f"{path} is a Parquet file that cannot be read: {reason}")
    frame.columns = [str(name) for name in frame.columns]
    _check_header(path, list(frame.columns))
    return frame


def _read_csv(path: Path, opened: Any) -> pd.DataFrame:
    with opened() as file:
        try:
            # Without blank lines, which pandas skips too.
            header = next((row for row in csv.reader(file) if len(row) > 1 or "".join(row).strip()), [])
        except NOT_CSV as error:
            refuse(f"{path} is not a CSV file in UTF-8: {error}")
    if not header:
        refuse(f"{path} is empty; expected a header and rows")
    named = list(dropwhile(lambda name: name == "", header))
    _check_header(path, named or header)
    unnamed = len(header) - len(named)
    if unnamed:
        note(f"{path}: the first column has no name and is left out, as the index that pandas writes")
    with opened() as file:
        # Cells that are not numbers keep a column text.
        return _parse(path, file, low_memory=False, **EXACT).iloc[:, unnamed:]


def _parse(path: Path, file: Any, **options: Any) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(file, na_filter=False, index_col=False, **options)
    except NOT_CSV as error:
        refuse(f"{path} is not a CSV file: {str(error).strip()}")


def _check_header(path: Path, header: list[str]) -> None:
    if "" in header:
        refuse(f"{path} has a column without a name in its header: {listed(header)}")
    if double := [name for name, count in Counter(header).items() if count > 1]:
        refuse(f"{path} has the column {double[0]!r} more than once")


def parsed(cells: NDArray[np.object_]) -> NDArray[np.float64] | None:
    """Cells as numbers, or None; underscores, which Python allows in numbers, do not make one."""
    try:
        return None if any("_" in cell for cell in cells) else cells.astype(np.float64)
    except ValueError:
        return None


def encoded(column: str, category: str) -> str:
    """Name of the feature that is 1 where the column holds the category, and 0 elsewhere."""
    return f"{column}={category}"


def features(
    table: Table, names: list[str], one_hot: bool
) -> tuple[NDArray[np.floating[Any]], list[str], dict[str, list[str]]]:
    """Features for training, their names, and the categories of each column that was encoded."""
    columns, labels, categories = [], [], {}
    for name in names:
        if one_hot and not table.is_numeric(name):
            cells = table.categories(name)
            categories[name] = sorted(set(cells))
            if "=" in name:  # which ends the name of the column in that of a feature
                refuse(f"{table.path}: column {name!r} has '=' in its name, which --one-hot cannot encode")
            if len(categories[name]) > MOST_CATEGORIES:
                refuse(
                    f"{table.path}: column {name!r} has {len(categories[name])} categories; --one-hot takes "
                    f"at most {MOST_CATEGORIES}: leave it out with --ignore"
                )
            columns += [(cells == category).astype(np.float64) for category in categories[name]]
            labels += [encoded(name, category) for category in categories[name]]
        else:
            columns.append(table.numbers(name, HINT))
            labels.append(name)
    if double := [label for label, count in Counter(labels).items() if count > 1]:
        refuse(f"{table.path}: two columns would be named {double[0]!r} after --one-hot")
    return np.stack(columns, axis=1), labels, categories


def features_of(table: Table, wanted: list[str], model: Path) -> NDArray[np.floating[Any]]:
    """The features a model was trained on, encoded as `features` does it where the table has them as text."""
    known: dict[str, list[str]] = {}
    for name in wanted:
        column, equals, _ = name.partition("=")
        if name not in table.frame and equals and column in table.frame:
            known.setdefault(column, []).append(name)
    given = {*table.names, *(name for group in known.values() for name in group)}
    if missing := [name for name in wanted if name not in given]:
        refuse(f"{table.path} lacks {listed(missing)}; {model} was trained on {len(wanted)} columns")
    columns = {name: table.numbers(name) for name in wanted if name in table.frame}
    for column, group in known.items():
        cells = table.categories(column)
        names = np.array([encoded(column, cell) for cell in cells], dtype=object)
        for row in np.flatnonzero(~np.isin(names, group))[:1]:
            table.refuse_cell(column, int(row), cells[row], f"is a category that {model} has not seen")
        columns |= {name: (names == name).astype(np.float64) for name in group}
    return np.stack([columns[name] for name in wanted], axis=1)


def check_output(path: Path, *inputs: Path) -> None:
    """Refuse, before any work, what could not be written to, and to write over what is read."""
    if path.is_dir():
        refuse(f"{path} is a directory; expected a file to write to")
    if is_stream(path):
        return
    if path.exists() and not path.is_file():
        refuse(f"{path} is not a regular file")
    folder = path.resolve().parent  # of what a link points to
    if not folder.is_dir():
        refuse(f"{folder} is not a directory; expected one to write {path.name} to")
    if not os.access(folder, os.W_OK):
        refuse(f"{folder} is not writable")
    if path.exists() and not os.access(path, os.W_OK):
        refuse(f"{path} is not writable")
    for source in inputs:
        if path.exists() and source.exists() and path.samefile(source):
            refuse(f"{path} would be written over, and is read too")


def written(frame: pd.DataFrame, form: str) -> str:
    """A table as text."""
    if form == "csv":
        return str(frame.to_csv(index=False))
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in frame.to_dict("records"))


def write(path: Path, frame: pd.DataFrame, form: str) -> None:
    if form == "parquet":
        try:
            content = frame.to_parquet(None, engine="pyarrow", index=False)
        except ImportError:
            refuse(f"writing {path} needs pyarrow: pip install 'pathrelu[parquet]'")
    else:
        content = written(frame, form).encode()
    write_file(path, content)
