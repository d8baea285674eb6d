"""The model in the content of a file, whatever its format; and writing only what can be read."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO

from pathrelu.files import estimators, networks
from pathrelu.files.archive import Header, is_archive, read_archive, read_json, write_file


def read(file: BinaryIO) -> Any:
    """The network or the estimator in the content of a file."""
    if not is_archive(file):
        return networks.network_from_dict(read_json(file))
    header, arrays = read_archive(file, _array_names)
    if header.get("format") == networks.FORMAT:
        return networks.network_from_parts(header, arrays)
    return estimators.estimator_from_parts(header, arrays)


def _array_names(header: Header, present: int) -> set[str]:
    """Names of the arrays that a file with this header, and as many arrays as are `present`, may have."""
    if header.get("format") == networks.FORMAT:
        return networks.array_names()
    if header.get("format") != estimators.FORMAT:
        raise ValueError("its header is not that of a network or an estimator")
    count = header.get("n_arrays")
    if type(count) is not int or count != present:
        raise ValueError(f"n_arrays is {count!r:.40}; the file has {present}")
    return {f"array_{k}" for k in range(count)}


def save_content(content: bytes, path: str | os.PathLike[str]) -> None:
    """Write the file of a model, once it is known that it can be read."""
    try:
        read(io.BytesIO(content))
    except Exception as error:
        raise ValueError(f"the model cannot be saved, for load would refuse the file: {error}") from error
    write_file(path, content)
