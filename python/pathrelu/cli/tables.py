"""Tables of the command line: text (gzipped or not) and Parquet in; CSV, JSON lines and Parquet out."""

from __future__ import annotations

import csv
import gzip
import io
import json
import numbers
import os
import sys
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from gzip import GzipFile
from itertools import dropwhile
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TextIO

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu._sklearn import parse_version
from pathrelu.cli import dates
from pathrelu.cli.layout import SPACES, Layout, Stored, found
from pathrelu.encoding import TableEncoder
from pathrelu.encoding._columns import Categories
from pathrelu.encoding._raw import EMPTY, MISSING_VALUES, TEXT, TIME
from pathrelu.files.archive import is_stream, write_file

GAPS = {"", "-", "--", "?", "#n/a", "<na>", "n/a", "na", "nan", "none", "null"}  # in columns of numbers
FORMATS = ("csv", "jsonl", "parquet")
EXTENSIONS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
MOST_REFUSALS = 20  # that are shown, which a terminal has room for
STANDARD_INPUT = Path("-")
PARQUET = b"PAR1"
ZIP, COMPOUND = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"  # also those of workbooks of Excel
GZIP = b"\x1f\x8b"
AS_FOUND = Layout()
ARFF = b"@relation"
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


@contextmanager
def gathered() -> Iterator[Callable[..., Any]]:
    """Yields a function that calls others; what they refuse is refused at the end, as one."""
    refusals: list[str] = []

    def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except InputError as error:
            refusals.append(error.message)
            return None

    yield attempt
    if refusals:
        more = [f"and {len(refusals) - MOST_REFUSALS} more"] if len(refusals) > MOST_REFUSALS else []
        refuse("\n".join(refusals[:MOST_REFUSALS] + more))


def note(message: str) -> None:
    click.echo(f"Note: {message}", err=True)


def listed_or(names: Iterable[str]) -> str:
    return " or ".join(repr(name) for name in names)


def listed(names: Iterable[Any], most: int = 10) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


@dataclass(frozen=True)
class Table:
    """A file with named columns. Those of a CSV file that are not all numbers are text, as it is written."""

    path: Path
    frame: pd.DataFrame
    opened: Callable[[], TextIO] | None  # of a CSV file; the columns of Parquet have types
    layout: Layout = AS_FOUND
    marks: frozenset[str] = frozenset()  # texts that stand for missing values, beside GAPS

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def names(self) -> list[str]:
        return list(self.frame.columns)

    def require(self, *names: str) -> None:
        missing = [name for name in dict.fromkeys(names) if name not in self.frame]
        if missing:
            numbers = self.opened and all(
                self.parsed(np.array([cell], object)) is not None for cell in self.names
            )
            hint = "; --no-header calls columns 1, 2 and so on" if numbers else ""
            refuse(f"{self.path} has no column {listed(missing)}; it has {listed(self.names)}{hint}")

    def with_targets(self, name: str) -> Table:
        """The rows that have a target; a note tells how many do not."""
        if not self.opened:
            self._plain(name)
        cells = self.text(name)
        gap = self._is_gap if self.opened and self.is_numeric(name) else _missing
        present = ~np.array([gap(cell) or str(cell).strip() in self.marks for cell in cells], bool)
        if present.all():
            return self
        if not present.any():
            refuse(f"{self.path}: column {name!r} is empty; expected targets")
        left_out = len(self) - int(present.sum())
        note(f"{self.path}: {left_out} of {len(self)} rows have no {name!r} and are left out")
        return replace(self, frame=self.frame[present])

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
        values = self.parsed(cells[rows])
        if values is not None and np.isfinite(values).all():
            return values
        for row in rows.tolist():
            cell, number = cells[row], self.parsed(cells[row : row + 1])
            other = "." if self.layout.decimal == "," else ","
            if number is None and self.parsed(np.array([cell.replace(other, "")], object)) is not None:
                shown, mark = ("1234,5", "point") if other == "." else ("1234.5", "comma")
                hint = f", or give --decimal {other}" if cell.count(other) == 1 else ""
                complaint = f"is not a number: write {shown}, without any {mark}{hint}"
                self.refuse_cell(name, row, cell, complaint)
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
            times = None if kind == TEXT else self._times(name, text)
            present = np.array([None if cell.strip() in self.marks else cell for cell in text], object)
            return present if times is None else times
        if kind == TIME:
            return self._known_times(name, self.text(name))
        if cells.dtype.kind in "iuf" and np.isfinite(values := cells.to_numpy(np.float64)).all():
            return values
        text = self.text(name)
        filled = np.flatnonzero([not self._is_gap(cell) for cell in text])
        numbers = np.full(len(text), np.nan)
        if len(filled):
            numbers[filled] = self._finite(name, text, filled, HINT)
        return numbers

    def _times(self, name: str, text: NDArray[np.object_]) -> dates.Times | None:
        """Text as times, if it is meant so; text that may be times in several ways is noted."""
        try:
            return dates.times(text, self._is_gap, self.layout.dates)
        except dates.AmbiguousError as error:
            ways = f"can be read in several ways: --dates {listed_or(error.formats)} says which"
            note(f"{self.path}: column {name!r} is taken as text, for its dates {ways}")
            return None

    def _known_times(self, name: str, text: NDArray[np.object_]) -> dates.Times:
        """The same for a column that is of times in a model."""
        try:
            found = dates.times(text, self._is_gap, self.layout.dates)
        except dates.AmbiguousError as error:
            ways = f"can be read in several ways: --dates {listed_or(error.formats)} says which"
            refuse(f"{self.path}: the dates in column {name!r} {ways}")
        if found is not None:
            return found
        for row, cell in enumerate(text):
            if not self._is_gap(cell) and not dates.is_time(cell, self.layout.dates):
                self.refuse_cell(name, row, cell, "is not a time: write 2020-12-31 or 2020-12-31 23:59")
        if all(map(self._is_gap, text)):
            return np.full(len(text), "NaT", "datetime64[us]")
        refuse(f"{self.path}: column {name!r} has dates that are written in several ways; expected one")

    def parsed(self, cells: NDArray[np.object_]) -> NDArray[np.float64] | None:
        """Cells as numbers, or None; underscores, which Python allows in numbers, do not make one."""
        if self.layout.decimal == ",":
            cells = np.array([cell.replace(".", "_").replace(",", ".") for cell in cells], object)
        try:
            return None if any("_" in cell for cell in cells) else cells.astype(np.float64)
        except ValueError:
            return None

    def _is_gap(self, cell: str) -> bool:
        return _is_gap(cell) or cell.strip() in self.marks

    def text(self, name: str) -> NDArray[np.object_]:
        """A column as it is written in a CSV file; of a Parquet file, its values."""
        cells: NDArray[np.object_] = self.frame[name].to_numpy(object)
        if self.opened and not all(isinstance(cell, str) for cell in cells):
            with self.opened() as file:
                parsed = _parse(self.path, file, self.layout, dtype=str, usecols=[name])[name]
            cells = parsed.loc[self.frame.index].to_numpy(object)
        return cells

    def is_numeric(self, name: str) -> bool:
        """Whether a column is meant as numbers: in a CSV file, if most cells that are no gaps are numbers."""
        cells = self.frame[name]
        if not self.opened:
            return check.other_than_numbers(cells) == ""
        if cells.dtype.kind in "iuf":
            return True
        filled = [cell for cell in self.text(name) if not self._is_gap(cell)]
        n_numbers = sum(self.parsed(np.array([cell], object)) is not None for cell in filled)
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
        place = f"{self.path}: the cell{shown} in column {name!r}, row {self.frame.index[row] + 1}"
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


def read(path: Path, marks: Iterable[str] = (), given: Layout = AS_FOUND) -> Table:
    """A table with named columns and rows, in the format that its first bytes tell."""
    path, stored = _stored(path)
    try:
        with stored() as file:
            begin = file.read(len(ARFF))
    except NOT_CSV as error:
        refuse(f"{path} is not a CSV file: {error}")
    magic = begin[:4]
    if begin.lower() == ARFF and given.comment is None:
        refuse(f"{path} is an ARFF file; --comment @ with --no-header reads it, with columns 1, 2 and so on")
    if magic in (ZIP, COMPOUND):
        refuse(f"{path} is no text, but {packed(stored)}")
    if magic == PARQUET:
        if given != AS_FOUND:
            options = "--sep, --decimal, --encoding, --comment, --skip and --dates"
            refuse(f"{path} is a Parquet file; {options} are for text")
        table = Table(path, _read_parquet(path, stored), None, marks=frozenset(marks))
    else:
        layout = laid_out(path, stored, given)
        if layout.titled:
            lines = "1 line" if layout.skipped == 1 else f"{layout.skipped} lines"
            note(f"{path}: {lines} before the header left out; --skip says otherwise")
        opened = partial(layout.text, stored)
        table = Table(path, _read_csv(path, opened, layout), opened, layout, frozenset(marks))
    if len(table) == 0:
        refuse(f"{path} has a header but no rows")
    return table


def _stored(path: Path) -> tuple[Path, Stored]:
    """What messages call a file, and how to open it; ``-`` is standard input."""
    if path != STANDARD_INPUT:
        with open(path, "rb") as file:
            magic = file.read(4)
        zipped = magic.startswith(GZIP)
        (member,) = _only_member(path) if magic == ZIP else ("",)

        def opened() -> GzipFile | BinaryIO:
            if member:
                with zipfile.ZipFile(path) as archive:
                    return io.BytesIO(archive.read(member))
            return GzipFile(path) if zipped else open(path, "rb")

        return path, opened
    content = sys.stdin.buffer.read()
    if content.startswith(GZIP):
        content = gzip.decompress(content)
    return Path("standard input"), lambda: io.BytesIO(content)


def _only_member(path: Path) -> tuple[str]:
    """The file that a ZIP archive is of; none if there are several."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except zipfile.BadZipFile as error:
        refuse(f"{path} is a damaged ZIP archive: {error}")
    return (names[0] if len(names) == 1 else "",)


def names_of(path: Path) -> list[str]:
    """Names of the columns of a file."""
    shown, stored = _stored(path)
    with stored() as file:
        magic = file.read(4)
    return read(path).names if magic == PARQUET else list(laid_out(shown, stored).names)


def laid_out(path: Path, stored: Stored, given: Layout = AS_FOUND) -> Layout:
    """The layout of a CSV file."""
    try:
        layout = found(stored, given)
    except LookupError:
        refuse(f"--encoding {given.encoding} is not one that Python knows")
    except (*NOT_CSV, UnicodeError) as error:
        refuse(f"{path} is not a CSV file: {error}; if it is text, --encoding says which")
    if layout.encoding == "cp1252" != given.encoding:
        note(f"{path} is not UTF-8 and is read as Windows-1252; --encoding says otherwise")
    return layout


def _read_parquet(path: Path, stored: Stored) -> pd.DataFrame:
    try:
        import pyarrow
    except ModuleNotFoundError:
        refuse(f"{path} is a Parquet file, and reading it needs pyarrow: pip install 'pathrelu[parquet]'")
    try:
        from pyarrow import parquet

        with stored() as file:
            content = parquet.ParquetFile(file).read()
        try:
            frame = content.to_pandas()
        except Exception:  # whatever pandas' metadata, which anyone may write, lead to
            note(f"{path}: what it says of pandas is damaged and not used")
            frame = content.replace_schema_metadata(None).to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        refuse(f"{path} is a Parquet file that cannot be read: {reason}")
    frame.columns = [str(name) for name in frame.columns]
    _check_header(path, list(frame.columns))
    return frame


def _read_csv(path: Path, opened: Callable[[], TextIO], layout: Layout) -> pd.DataFrame:
    if not layout.names:
        refuse(f"{path} is empty; expected a header and rows")
    named = list(dropwhile(lambda name: name == "", layout.names))
    last = len(named) > 1 and named[-1] == ""  # lines end with separators
    _check_header(path, named[: len(named) - last] or list(layout.names))
    unnamed = len(layout.names) - len(named)
    if unnamed:
        note(f"{path}: the first column has no name and is left out, as the index that pandas and R write")
    with opened() as file:
        # Cells that are not numbers keep a column text.
        frame = _parse(path, file, layout, low_memory=False, **EXACT).iloc[:, unnamed:]
    if last and not all(_missing(cell) for cell in frame.iloc[:, -1]):
        _check_header(path, named)
    return frame.iloc[:, :-1] if last else frame


def _parse(path: Path, file: TextIO, layout: Layout, **options: Any) -> pd.DataFrame:
    options |= {
        "sep": r"\s+" if layout.sep == SPACES else layout.sep,
        "decimal": layout.decimal,
        "skipinitialspace": layout.padded,
        "header": 0 if layout.headed else None,
        # those of an index that is left out must differ
        "names": [name or ("index", k) for k, name in enumerate(layout.names)],
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(file, na_filter=False, index_col=False, **options)
    except pd.errors.ParserWarning:
        cells = f"the header has {len(layout.names)} cells, and rows have more"
        refuse(f"{path} is not a CSV file: {cells}; --sep, --skip or --comment may tell how to read it")
    except NOT_CSV as error:
        refuse(f"{path} is not a CSV file: {str(error).strip()}")


def packed(stored: Stored) -> str:
    """What a file that is no text is, and what to do."""
    with stored() as file:
        if file.read(4) == COMPOUND:
            return "a workbook of Excel; expected it saved as CSV"
    with stored() as file, zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    if "[Content_Types].xml" in names:
        return "a workbook of Excel; expected it saved as CSV"
    return f"a ZIP archive of {listed(names, 3)}; expected a file out of it"


def _check_header(path: Path, header: list[str]) -> None:
    if "" in header:
        refuse(f"{path} has a column without a name in its header: {listed(header)}")
    if double := [name for name, count in Counter(header).items() if count > 1]:
        refuse(f"{path} has the column {double[0]!r} more than once")


def features(table: Table, names: list[str]) -> pd.DataFrame:
    """Columns for training as they are: numbers, text and times, with gaps."""
    with gathered() as attempt:
        columns = {name: attempt(_readable, table, name) for name in names}
    return pd.DataFrame(columns)


def _readable(table: Table, name: str) -> Any:
    """A column; refused if the encoder does so, such as one of a Parquet file that holds lists."""
    column = table.feature(name)
    try:
        TableEncoder(missing_values=[*MISSING_VALUES, *table.marks]).read(pd.DataFrame({name: column}))
    except (TypeError, ValueError) as error:
        refuse(f"{table.path}: {error}")
    return column


def features_of(table: Table, network: Any, model: Path) -> Any:
    """The columns that a network was trained on; numbers without gaps if it has no encoder."""
    wanted = network.feature_names or [str(k) for k in range(network.n_features)]
    if missing := [name for name in wanted if name not in table.frame]:
        refuse(f"{table.path} lacks {listed(missing)}; {model} was trained on {len(wanted)} columns")
    if network.encoder is None:
        with gathered() as attempt:
            values = [attempt(table.numbers, name) for name in wanted]
        return np.stack(values, axis=1)
    of = network.encoder.columns_
    with gathered() as attempt:
        columns = {
            name: attempt(table.feature, name, None if column.kind == EMPTY else column.kind)
            for name, column in zip(wanted, of, strict=True)
        }
    frame = pd.DataFrame(columns)
    try:
        raw = network.raw_table(frame)
    except (TypeError, ValueError) as error:
        refuse(f"{table.path}: {error}")
    for name, column, part in zip(wanted, of, raw.columns, strict=True):
        if isinstance(column, Categories) and not column.infrequent:  # which are like those not seen
            unseen = [k for k, level in enumerate(part.levels) if level not in column.levels]
            if rows := int(np.isin(part.values, unseen).sum()):
                levels = listed([part.levels[k] for k in unseen], 5)
                unknown = f"has categories in {rows} rows that training has not seen: {levels}"
                note(f"{table.path}: column {name!r} {unknown}")
    return frame


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
