"""Parameters and attributes of estimators as JSON has them, beside arrays."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathrelu._registry import NETWORKS, RECORDS
from pathrelu.encoding import TableEncoder
from pathrelu.files.archive import STORED_DTYPES, Arrays
from pathrelu.files.networks import network_from_parts

TIME_DTYPE = re.compile(r"(datetime64|timedelta64)(\[[0-9]{0,9}[a-zA-Z]{1,2}\])?")


class NotPlainData(TypeError):
    """A value that a file cannot hold."""


class Encoder:
    """Values as JSON has them; `arrays` collects what goes beside it.

    Numbers, text, truth values, None and lists of these stand for themselves; anything else is an object with
    one key that says what it is.
    """

    def __init__(self) -> None:
        self.arrays: Arrays = {}

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
        if (name := RECORDS.name_of(type(value))) is not None:
            fields = {field.name: self(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return {"record": [name, fields]}
        if type(value) is TableEncoder:
            return {"encoder": value.to_dict()}
        if NETWORKS.has_instance(value):
            header, arrays = value.parts()
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

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = dict(arrays)

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
            record = RECORDS.get(name)
            if record is None:
                raise ValueError(f"it has a record of the unknown kind {name!r:.40}")
            return record(**{key: self(item) for key, item in fields.items()})
        if kind == "encoder":
            return TableEncoder.from_dict(content)
        if kind == "network":
            header, arrays = content
            return network_from_parts(header, {name: self.take(key) for name, key in arrays.items()})
        raise ValueError(f"it has an object of the unknown kind {kind!r}")
