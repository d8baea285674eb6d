"""Sources of rows that need not fit in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from pathrelu import _validation as check

# Rows that a chunk has where the source does not say: those of a block, so that none is joined of pieces.
CHUNK_ROWS = 65_536


@runtime_checkable
class Source(Protocol):
    """Rows in chunks, read again in each pass: anything with these two members.

    All chunks must have the same columns, and the same rows in each pass. Estimators find the same network
    whatever the chunks are, as long as the order of rows is the same.

    Examples
    --------
    >>> import numpy as np
    >>> from pathrelu.rows import Source
    >>> class Simulated:
    ...     n_chunks = 100
    ...
    ...     def chunk(self, k):
    ...         X = np.random.default_rng(k).standard_normal((10_000, 5))
    ...         return X, np.abs(X[:, 0]), None
    >>> isinstance(Simulated(), Source)
    True
    """

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""

    def chunk(self, k: int) -> tuple[Any, Any, Any]:
        """Rows of chunk k, of any number, also none.

        Parameters
        ----------
        k : int
            From 0.

        Returns
        -------
        X : array of shape (n, n_features) or data frame
        y : array of shape (n,) or (n, n_outputs)
        sample_weight : array of shape (n,) or None
            None in all chunks or in none.
        """


class ArraySource:
    """Rows of arrays that can be sliced: NumPy's, those in files of `numpy.memmap`, those of Zarr or HDF5.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), or data frame
        With `shape` and slices. Of arrays in chunks (with `chunks`, as Zarr's have them) whole ones are read.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    sample_weight : array-like of shape (n_samples,), optional
    chunk_rows : int, optional
        Rows read at a time, by default about 65,536. The network does not depend on it.

    Examples
    --------
    >>> import numpy as np
    >>> from pathrelu.rows import ArraySource
    >>> source = ArraySource(np.zeros((100_000, 3), np.float32), np.zeros(100_000))
    >>> source.n_chunks, [len(source.chunk(k)[0]) for k in range(source.n_chunks)]
    (2, [65536, 34464])
    """

    def __init__(self, X: Any, y: Any, sample_weight: Any = None, *, chunk_rows: int | None = None) -> None:
        for array, name in ((X, "X"), (y, "y"), (sample_weight, "sample_weight")):
            if array is None and name == "sample_weight":
                continue
            if not hasattr(array, "shape") or not hasattr(array, "__getitem__"):
                raise TypeError(
                    f"{name} is a {type(array).__name__}; expected an array with shape and slices"
                )
            if hasattr(array, "todense") or hasattr(array, "dask"):
                raise TypeError(
                    f"{name} is a {type(array).__name__}; expected a dense array that can be sliced"
                )
        if len(X.shape) != 2:
            raise ValueError(f"X has shape {tuple(X.shape)}; expected two dimensions (rows, columns)")
        self.n_rows = int(X.shape[0])
        for array, name in ((y, "y"), (sample_weight, "sample_weight")):
            if array is not None and (not array.shape or array.shape[0] != self.n_rows):
                raise ValueError(
                    f"{name} has shape {tuple(array.shape)}; expected {self.n_rows} rows, as X has"
                )
        if self.n_rows == 0:
            raise ValueError("X has no rows")
        self.X, self.y, self.sample_weight = X, y, sample_weight
        self.chunk_rows = _rows_read(X) if chunk_rows is None else check.count(chunk_rows, "chunk_rows")

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return -(-self.n_rows // self.chunk_rows)

    def chunk(self, k: int) -> tuple[Any, Any, Any]:
        """Rows of chunk k; see `Source.chunk`.

        Parameters
        ----------
        k : int

        Returns
        -------
        tuple of X, y and sample_weight
        """
        rows = slice(k * self.chunk_rows, min(self.n_rows, (k + 1) * self.chunk_rows))
        return _slice(self.X, rows), _slice(self.y, rows), _slice(self.sample_weight, rows)


class ParquetSource:
    """Rows of Parquet files, of which one row group is in memory at a time.

    Needs pyarrow and pandas (``pip install pathrelu[parquet]``).

    Parameters
    ----------
    paths : path or sequence of paths
        Files of the same columns, in the order of their rows.
    target : str or sequence of str
        Column of targets or labels, or columns of several outputs.
    weight : str, optional
        Column of weights of samples.
    columns : sequence of str, optional
        Columns of X in their order, by default all others.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from pathrelu.rows import ParquetSource
    >>> with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
    ...     pd.DataFrame({"a": [1.0, 2.0], "b": ["u", "v"], "y": [3.0, 4.0]}).to_parquet(file.name)
    ...     source = ParquetSource(file.name, target="y")
    ...     rows, targets, _ = source.chunk(0)
    >>> source.n_rows, source.columns, targets.tolist()
    (2, ['a', 'b'], [3.0, 4.0])
    """

    def __init__(
        self,
        paths: Any,
        *,
        target: str | Sequence[str],
        weight: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        import pyarrow.parquet as parquet

        single = isinstance(paths, str | bytes | os.PathLike)
        self.paths = [
            check.path(path) for path in ([paths] if single else check.sequence(paths, "paths", "paths"))
        ]
        if not self.paths:
            raise ValueError("paths is empty; expected at least one file")
        self.target = (
            [target] if isinstance(target, str) else check.sequence(target, "target", "names of columns")
        )
        self.single_target = isinstance(target, str)
        self.weight = weight
        self._groups: list[tuple[int, int]] = []  # file and row group of each chunk
        self.n_rows = 0
        first: list[str] | None = None
        for k, path in enumerate(self.paths):
            with parquet.ParquetFile(path) as file:
                names, types = list(file.schema_arrow.names), list(file.schema_arrow.types)
                self._groups += [(k, group) for group in range(file.num_row_groups)]
                self.n_rows += file.metadata.num_rows
            if first is None:
                first, of_first = names, dict(zip(names, types, strict=True))
                self.columns = self._columns(names, columns)
            used = [*self.columns, *self.target, *([] if weight is None else [weight])]
            if missing := [repr(name) for name in used if name not in names]:
                raise ValueError(
                    f"{path} has no column {check.listed(missing)}; it has {check.listed(names)}"
                )
            now = dict(zip(names, types, strict=True))
            for name in used:
                if now[name] != of_first[name]:
                    raise TypeError(
                        f"column {name!r} is {now[name]} in {path}; expected {of_first[name]}, as in "
                        f"{self.paths[0]}"
                    )
        if self.n_rows == 0:
            raise ValueError(f"there are no rows in {check.listed(self.paths)}")

    def _columns(self, names: Sequence[str], columns: Sequence[str] | None) -> list[str]:
        others = [*self.target, *([] if self.weight is None else [self.weight])]
        if columns is None:
            found = [name for name in names if name not in others]
        else:
            found = check.sequence(columns, "columns", "names of columns")
            if both := [repr(name) for name in found if name in others]:
                raise ValueError(f"columns has {check.listed(both)}, which is the target or the weight")
        if not found:
            raise ValueError(f"no columns are left for X of {check.listed(names)}")
        return found

    @property
    def n_chunks(self) -> int:
        """Number of row groups of all files."""
        return len(self._groups)

    def chunk(self, k: int) -> tuple[Any, Any, Any]:
        """Rows of chunk k; see `Source.chunk`.

        Parameters
        ----------
        k : int

        Returns
        -------
        tuple of X, y and sample_weight
        """
        import pyarrow.parquet as parquet

        place, group = self._groups[k]
        used = [*self.columns, *self.target, *([] if self.weight is None else [self.weight])]
        with parquet.ParquetFile(self.paths[place]) as file:
            if group >= file.num_row_groups:
                raise ValueError(f"{self.paths[place]} has lost row groups since it was opened")
            frame = file.read_row_group(group, columns=used, use_threads=False).to_pandas()
        y = frame[self.target[0]] if self.single_target else frame[self.target]
        return frame[self.columns], y, None if self.weight is None else frame[self.weight]


def _rows_read(X: Any) -> int:
    """About `CHUNK_ROWS`, in whole chunks of the array's own if it has some."""
    chunks = getattr(X, "chunks", None)
    own = chunks[0] if isinstance(chunks, tuple) and chunks else None
    return max(1, round(CHUNK_ROWS / own)) * own if isinstance(own, int) and own > 0 else CHUNK_ROWS


def _slice(array: Any, rows: slice) -> Any:
    if array is None:
        return None
    if hasattr(array, "iloc"):
        return array.iloc[rows]
    if not isinstance(array, np.memmap):
        return array[rows]
    taken = np.array(array[rows])
    _release(array)
    return taken


def _release(array: Any) -> None:
    """Take the pages of a file that were read out of the memory that the process is said to use."""
    import mmap

    if getattr(array, "mode", None) not in ("r", "r+", "w+"):  # of copies on write, changes would be lost
        return
    owner: Any = array
    while owner is not None and not isinstance(owner, mmap.mmap):
        owner = getattr(owner, "base", None)
    if owner is not None and hasattr(owner, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)
