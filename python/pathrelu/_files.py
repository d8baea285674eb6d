"""Files of models: arrays and a JSON header in an uncompressed .npz archive, or JSON alone.

Reading executes nothing, and takes memory in proportion to the length of the file.
"""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import math
import os
import re
import secrets
import stat
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check

Arrays = dict[str, NDArray[Any]]
Header = dict[str, Any]

# As they are in a file, on every machine; text (kind U) besides.
STORED_DTYPES = tuple(
    np.dtype(code)
    for code in ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8")
)
TIME_DTYPE = re.compile(r"(datetime64|timedelta64)(\[[0-9]{0,9}[a-zA-Z]{1,2}\])?")


# ---- Writing -------------------------------------------------------------------


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a FIFO or a character device, which is written to rather than replaced."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def write_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file as a whole: one that is there keeps its content until the new one is complete.

    A symbolic link stays one, and what it points to is written. An existing file keeps its mode, and its
    owner where the system lets it. FIFOs and character devices are written to; what else is no regular file
    is refused, and so is a file that is not writable. Errors name `path`.
    """
    path = check.path(path)
    if is_stream(path):
        with open(path, "wb") as stream:
            stream.write(content)
        return
    try:
        present = os.stat(path)
    except FileNotFoundError:
        present = None
    if present is not None:
        if stat.S_ISDIR(present.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(present.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file, FIFO or character device", path)
        with open(path, "r+b"):
            pass  # may be written to
    target = os.path.realpath(path)
    # A short name of its own: that of the target may be as long as names can be.
    draft = os.path.join(os.path.dirname(target), f".pathrelu-{secrets.token_hex(8)}.tmp")
    try:
        try:
            with open(draft, "xb") as file:
                file.write(content)
            if present is not None:
                with suppress(AttributeError, PermissionError):  # not on this system, or not for this user
                    os.chown(draft, present.st_uid, present.st_gid)
                os.chmod(draft, stat.S_IMODE(present.st_mode))
            os.replace(draft, target)
        finally:
            with suppress(OSError):
                os.unlink(draft)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, path) from None


def archive_bytes(header: Header, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    stored: dict[str, Any] = {
        name: array.astype(array.dtype.newbyteorder("<"), order="C") for name, array in arrays.items()
    }
    text = json.dumps(header, allow_nan=False).encode()
    archive = io.BytesIO()
    np.savez(archive, header=np.frombuffer(text, np.uint8), **stored)
    return archive.getvalue()


def json_bytes(content: Header) -> bytes:
    return json.dumps(content, allow_nan=False).encode()


# ---- Reading -------------------------------------------------------------------


def is_archive(file: BinaryIO) -> bool:
    """Whether a file is an archive; if not, it starts as JSON does. Leaves it at its start."""
    start = file.read(2)
    file.seek(0)
    if start != b"PK" and start[:1] != b"{":
        raise ValueError(f"it starts with {start!r}; expected an .npz archive or JSON")
    return start == b"PK"


def read_json(file: BinaryIO) -> Header:
    return _parse(file.read())


def read_archive(file: BinaryIO, expected: Callable[[Header, int], set[str]]) -> tuple[Header, Arrays]:
    """Header and arrays of an archive.

    `expected` says by the header and the number of arrays there are which names these may have.
    """
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        for name, member in members.items():
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                raise ValueError(f"{name} is compressed or encrypted; expected it as it is")
        lengths = [member.file_size for member in archive.infolist()]
        if len(members) < len(lengths) or sum(lengths) > size:
            raise ValueError("its table of contents is damaged: an entry is there twice, or entries overlap")
        if "header.npy" not in members:
            raise ValueError("it has no header")
        raw = _array(archive, members.pop("header.npy"))
        if raw.dtype != np.uint8 or raw.ndim != 1:
            raise ValueError(f"its header is not text: dtype {raw.dtype}, shape {raw.shape}")
        header = _parse(raw.tobytes())
        if unknown := set(members) - {f"{name}.npy" for name in expected(header, len(members))}:
            raise ValueError(f"it has the unknown entry {min(unknown)!r}")
        return header, {name.removesuffix(".npy"): _array(archive, m) for name, m in members.items()}


def check_version(header: Header, known: Sequence[int]) -> None:
    """Refuse a format that this release does not read, and say which release wrote it."""
    from pathrelu import __version__

    version, writer = header.get("version"), header.get("pathrelu_version")
    if version not in known or type(version) is not int:
        by = f", written by pathrelu {writer[:40]}" if isinstance(writer, str) else ""
        reads = f"versions {known[0]} to {known[-1]}"
        raise ValueError(
            f"it has format version {version!r:.40}{by}; this is pathrelu {__version__}, which reads {reads}"
        )
    if not isinstance(writer, str | None):
        raise ValueError(f"pathrelu_version is {writer!r:.40}; expected text")


def check_entries(found: set[str], expected: set[str]) -> None:
    if found != expected:
        missing = [f"{name!r} (missing)" for name in sorted(expected - found)]
        unknown = [f"{name!r} (unknown)" for name in sorted(found - expected)]
        raise ValueError(f"it has missing or unknown entries: {', '.join(missing + unknown)}")


def _parse(text: bytes) -> Header:
    def refuse(value: str) -> None:
        raise ValueError(f"it has the number {value}")

    header = json.loads(text.decode(), parse_constant=refuse)
    if not isinstance(header, dict):
        raise ValueError("its header is not that of a network or an estimator")
    return header


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One stored array; its header is read as a literal, and must describe exactly the bytes that follow."""
    data = io.BytesIO(archive.read(member))
    version = np.lib.format.read_magic(data)
    if version != (1, 0):
        raise ValueError(f"{member.filename} has array format {version}; expected (1, 0)")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(data)
    text = dtype.kind == "U" and dtype.str.startswith("<") and dtype.itemsize > 0
    if dtype not in STORED_DTYPES and not text:
        raise ValueError(f"{member.filename} has dtype {dtype}")
    payload = data.read()
    if fortran_order or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(payload):
        raise ValueError(f"{member.filename} has shape {shape}, which is not what follows")
    if dtype.kind == "b" and any(byte > 1 for byte in set(payload)):
        raise ValueError(f"{member.filename} has a truth value that is neither 0 nor 1")
    array = np.frombuffer(payload, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    if text:
        array.tolist()  # raises for what is not a character
    return array


# ---- Arrays in JSON ------------------------------------------------------------


MINUS_INFINITY = "-inf"  # JSON has no number for it


def to_plain(array: NDArray[Any]) -> dict[str, Any]:
    """An array as JSON has it. Numbers are written so that they are read back bit for bit."""
    values = [MINUS_INFINITY if value == -math.inf else value for value in array.ravel().tolist()]
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": values}


def from_plain(plain: object, name: str) -> NDArray[Any]:
    if not isinstance(plain, dict) or set(plain) != {"dtype", "shape", "values"}:
        raise ValueError(f"{name} is not an array: expected its dtype, shape and values")
    names = {dtype.name: dtype for dtype in STORED_DTYPES}
    dtype, shape, values = names.get(str(plain["dtype"])), plain["shape"], plain["values"]
    if dtype is None or dtype.kind == "b":
        raise ValueError(f"{name} has dtype {plain['dtype']!r}")
    kinds = (int,) if dtype.kind in "iu" else (int, float)
    if isinstance(values, list) and dtype.kind == "f":
        values = [-math.inf if value == MINUS_INFINITY else value for value in values]
    if not isinstance(values, list) or any(type(value) not in kinds for value in values):
        raise ValueError(f"{name} has values that are not numbers of dtype {dtype}")
    if (
        not isinstance(shape, list)
        or any(type(size) is not int or size < 0 for size in shape)
        or math.prod(shape) != len(values)
    ):
        raise ValueError(f"{name} has shape {shape!r} and {len(values)} values")
    with np.errstate(over="ignore"):  # to infinity, which is refused with its place
        return np.array(values, dtype).reshape(shape).astype(dtype.newbyteorder("="))


# ---- Parameters and attributes of estimators -----------------------------------


class NotPlainData(TypeError):
    """A value that a file cannot hold."""


class Encoder:
    """Values as JSON has them; `arrays` collects what goes beside it.

    Numbers, text, truth values, None and lists of these stand for themselves; anything else is an object with
    one key that says what it is.
    """

    def __init__(self, records: Mapping[str, type], network: Callable[[Any], tuple[Header, Arrays] | None]):
        self.arrays: Arrays = {}
        self.records = {cls: name for name, cls in records.items()}
        self.network = network

    def __call__(self, value: Any) -> Any:
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if type(value) is list:
            return [self(item) for item in value]
        if type(value) is tuple:
            return {"tuple": [self(item) for item in value]}
        if type(value) is dict:
            return {"dict": [[self(key), self(item)] for key, item in value.items()]}
        if isinstance(value, np.ma.MaskedArray):
            return {"masked": [self(value.filled()), self(np.ma.getmaskarray(value))]}
        if isinstance(value, np.ndarray) and value.dtype.kind == "O":
            return {"objects": [list(value.shape), [self(item) for item in value.ravel()]]}
        if isinstance(value, np.generic) and value.dtype.kind != "O":
            return {"scalar": self(np.asarray(value))}
        if isinstance(value, np.ndarray) and value.dtype.kind in "mM":
            counts = value.astype(value.dtype.newbyteorder("=")).view(np.int64)
            return {"times": [value.dtype.name, self(counts)]}
        if isinstance(value, np.ndarray) and self._storable(value.dtype):
            return {"array": self._put(np.asarray(value))}
        if type(value) in self.records:
            fields = {field.name: self(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return {"record": [self.records[type(value)], fields]}
        if (parts := self.network(value)) is not None:
            header, arrays = parts
            return {"network": [header, {name: self._put(array) for name, array in arrays.items()}]}
        of = f" of dtype {value.dtype}" if isinstance(value, np.ndarray) else ""
        raise NotPlainData(f"{type(value).__name__}{of} is not plain data")

    def whole(self, value: Any) -> Any:
        """The value, or NotPlainData and nothing of it among the arrays."""
        before = dict(self.arrays)
        try:
            return self(value)
        except NotPlainData:
            self.arrays = before
            raise

    def _storable(self, dtype: np.dtype[Any]) -> bool:
        return dtype.newbyteorder("<") in STORED_DTYPES or (dtype.kind == "U" and dtype.itemsize > 0)

    def _put(self, array: NDArray[Any]) -> str:
        name = f"array_{len(self.arrays)}"
        self.arrays[name] = array
        return name


class Decoder:
    """What `Encoder` wrote. It takes each of the arrays once: those that share one would grow without it."""

    def __init__(
        self, arrays: Arrays, records: Mapping[str, type], network: Callable[[Header, Arrays], object]
    ):
        self.arrays, self.records, self.network = dict(arrays), records, network

    def take(self, name: str) -> NDArray[Any]:
        if name not in self.arrays:
            raise ValueError(f"it names the entry {name!r:.40}, which is not there or is named twice")
        return self.arrays.pop(name)

    def check_complete(self) -> None:
        if self.arrays:
            raise ValueError(f"it has the entry {min(self.arrays)!r}, which nothing names")

    def __call__(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) != 1:
            raise ValueError(f"it has an object of {len(value)} entries where one says what it is")
        ((kind, content),) = value.items()
        if kind == "float" and content in ("inf", "-inf", "nan"):
            return float(content)
        if kind == "tuple":
            return tuple(self(item) for item in content)
        if kind == "dict":
            return {self(key): self(item) for key, item in content}
        if kind == "masked":
            data, mask = content
            return np.ma.MaskedArray(self(data), self(mask))
        if kind == "objects":
            shape, items = content
            array = np.empty(len(items), object)
            array[:] = [self(item) for item in items]
            return array.reshape(shape)
        if kind == "scalar":
            return self(content)[()]
        if kind == "array":
            return self.take(content)
        if kind == "times":
            name, counts = content
            if not TIME_DTYPE.fullmatch(name):
                raise ValueError(f"it has times of the dtype {name!r:.40}")
            return self(counts).view(np.dtype(name))
        if kind == "record":
            name, fields = content
            return self.records[name](**{key: self(item) for key, item in fields.items()})
        if kind == "network":
            header, arrays = content
            return self.network(header, {name: self.take(key) for name, key in arrays.items()})
        raise ValueError(f"it has an object of the unknown kind {kind!r}")
