"""Tables of the command line: CSV (gzipped or not) and Parquet in; CSV, JSON lines and Parquet out."""

from __future__ import annotations

import csv
import gzip
import json
import numbers
import os
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
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
from pathrelu.encoding import TableEncoder
from pathrelu.encoding._raw import EMPTY, MISSING_VALUES, TEXT, TIME
from pathrelu.files.archive import is_stream, write_file

GAPS = {"", "-", "--", "?", "#n/a", "<na>", "n/a", "na", "nan", "none", "null"}  # in columns of numbers
ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?")
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
    marks: frozenset[str] = frozenset()  # texts that stand for missing values, beside GAPS

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
        for row in np.flatnonzero([self._is_gap(cell) for cell in cells])[:1].tolist():
            cell = cells[row]
            self.refuse_cell(name, row, cell, "is missing" if cell.strip() else "is empty", FILL)
        return self._finite(name, cells, np.arange(len(cells)), hint)

    def _finite(
        self, name: str, cells: NDArray[np.object_], rows: NDArray[np.intp], hint: str
    ) -> NDArray[np.float64]:
        """Cells of these rows as finite numbers, or an error that names the first that is not one."""
        values = parsed(cells[rows])
        if values is not None and np.isfinite(values).all():
            return values
        for row in rows.tolist():
            cell, number = cells[row], parsed(cells[row : row + 1])
            if number is None and parsed(np.array([cell.replace(",", "")], object)) is not None:
                self.refuse_cell(name, row, cell, "is not a number: write 1234.5, without any comma")
            if number is None:
                self.refuse_cell(name, row, cell, "is not a number", hint)
            if not np.isfinite(number).all():
                self.refuse_cell(name, row, cell, "is not finite")
        raise AssertionError("every cell is a finite number")

    def feature(self, name: str, kind: str | None = None) -> Any:
        """A column as the encoder takes it: of a CSV file numbers, times or text, of Parquet what it holds.

        The `kind` is that of a column of a model; by default it is what most cells are.
        """
        cells = self.frame[name]
        if not self.opened:
            return cells
        if kind == TEXT or (kind is None and not self.is_numeric(name)):
            text = self.text(name)
            times = None if kind == TEXT else _times(text, self._is_gap)
            present = np.array([None if cell.strip() in self.marks else cell for cell in text], object)
            return present if times is None else times
        if kind == TIME:
            text = self.text(name)
            for row, cell in enumerate(text):
                if not self._is_gap(cell) and _times(text[row : row + 1], self._is_gap) is None:
                    self.refuse_cell(name, row, cell, "is not a time: write 2020-12-31 or 2020-12-31 23:59")
            return _times(text, self._is_gap)
        if cells.dtype.kind in "iuf" and np.isfinite(values := cells.to_numpy(np.float64)).all():
            return values
        text = self.text(name)
        filled = np.flatnonzero([not self._is_gap(cell) for cell in text])
        numbers = np.full(len(text), np.nan)
        if len(filled):
            numbers[filled] = self._finite(name, text, filled, HINT)
        return numbers

    def _is_gap(self, cell: str) -> bool:
        return _is_gap(cell) or cell.strip() in self.marks

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
        filled = [cell for cell in self.text(name) if not self._is_gap(cell)]
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
        """Refuse a column of labels with gaps."""
        if not self.opened:
            self._plain(name)
        gap = (
            self._is_gap if self.opened and self.is_numeric(name) else _missing
        )  # "-" and "none" may be labels
        for row, cell in enumerate(cells):
            if gap(cell):
                self.refuse_cell(name, row, cell if isinstance(cell, str) else "", "is missing", FILL)


HINT = "; --na TEXT takes it as missing, --ignore leaves the column out"
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


def _times(cells: NDArray[np.object_], is_gap: Callable[[str], bool]) -> NDArray[np.datetime64] | None:
    """Cells as times, if all that are no gaps are dates as ISO 8601 writes them, perhaps with a time."""
    days = [None if is_gap(cell) else cell.strip() for cell in cells]
    if not all(day is None or ISO_TIME.fullmatch(day) for day in days) or not any(days):
        return None
    try:
        return np.array(["NaT" if day is None else day for day in days], "datetime64[us]")
    except ValueError:  # such as the 31st of June
        return None


def read(path: Path, marks: Iterable[str] = ()) -> Table:
    """A table with named columns and rows, in the format that its first bytes tell."""
    with open(path, "rb") as file:
        magic = file.read(4)
    if magic == b"PAR1":
        table = Table(path, _read_parquet(path), None, frozenset(marks))
    else:
        zipped = magic[:2] == b"\x1f\x8b"

        def opened() -> Any:
            return (gzip.open if zipped else open)(path, "rt", newline="", encoding="utf-8-sig")

        table = Table(path, _read_csv(path, opened), opened, frozenset(marks))
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


def features(table: Table, names: list[str]) -> pd.DataFrame:
    """Columns for training as they are: numbers, text and times, with gaps."""
    frame = pd.DataFrame({name: table.feature(name) for name in names})
    _check_readable(table, frame, table.marks)
    return frame


def features_of(table: Table, network: Any, model: Path) -> Any:
    """The columns that a network was trained on; numbers without gaps if it has no encoder."""
    wanted = network.feature_names or [str(k) for k in range(network.n_features)]
    if missing := [name for name in wanted if name not in table.frame]:
        refuse(f"{table.path} lacks {listed(missing)}; {model} was trained on {len(wanted)} columns")
    if network.encoder is None:
        return np.stack([table.numbers(name) for name in wanted], axis=1)
    kinds = [None if column.kind == EMPTY else column.kind for column in network.encoder.columns_]
    columns = {name: table.feature(name, kind) for name, kind in zip(wanted, kinds, strict=True)}
    frame = pd.DataFrame(columns)
    try:
        network.raw_table(frame)
    except (TypeError, ValueError) as error:
        refuse(f"{table.path}: {error}")
    return frame


def _check_readable(table: Table, frame: pd.DataFrame, marks: Iterable[str]) -> None:
    """Refuse what the encoder does, such as columns of a Parquet file that hold lists."""
    try:
        TableEncoder(missing_values=[*MISSING_VALUES, *marks]).read(frame)
    except (TypeError, ValueError) as error:
        refuse(f"{table.path}: {error}")


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
