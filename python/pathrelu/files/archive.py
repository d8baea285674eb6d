"""Archives and JSON: what is written whole and read without executing anything."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import secrets
import stat
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu._version import __version__

Arrays = dict[str, NDArray[Any]]
Header = dict[str, Any]

# As they are in a file, on every machine; text (kind U) besides.
STORED_DTYPES = tuple(
    np.dtype(code)
    for code in ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8")
)


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
