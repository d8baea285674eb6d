"""Blocks of rows: the unit of summation, in whatever pieces rows come and whoever holds them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu.encoding._raw import RawTable
from pathrelu.rows._reading import (
    BadRow,
    Columns,
    Part,
    Read,
    Targets,
    cut,
    join,
    join_targets,
    read_columns,
    read_targets,
    read_weights,
)
from pathrelu.rows.sources import Source

# Consecutive rows of a block: few enough for some 30 columns of doubles to take 16 MB, and enough for the
# work on a block, some 10 ms, to be far more than that of handing it to a worker.
BLOCK_ROWS = 65_536

Result = TypeVar("Result")
State = TypeVar("State")


class RowBlocks(Protocol):
    """Rows, targets and weights in blocks of `BLOCK_ROWS` consecutive rows (the last one of fewer).

    Which rows are in which block depends on their order alone, so results do not depend on who holds them.
    Functions are called with the block's `RawTable` (of numbers alone, ``X.block`` is the array), targets
    (float64, or labels as they came), weights (float64; ones if there are none) and the arguments given. For
    blocks on workers they must be of a module, and arguments and results small and picklable.
    """

    @property
    def n_rows(self) -> int:
        """Of all blocks, those of weight 0 included."""

    @property
    def n_blocks(self) -> int:
        """Number of blocks, at least 1."""

    def map_blocks(self, function: Callable[..., Result], *arguments: Any) -> list[Result]:
        """What the function returns for each block, in their order."""

    def reduce_blocks(
        self, function: Callable[..., Result], combine: Callable[[Result, Result], Result], *arguments: Any
    ) -> Result:
        """As `reduced` makes it of what the function returns for each block.

        Results are combined where they are made: no list of them is held by anyone.
        """

    def fold_blocks(
        self, function: Callable[..., State], combine: Callable[[list[State]], State], state: State, size: int
    ) -> State:
        """The last of the states ``combine([function(X, y, w, state, k) for each block k of a group])``.

        Groups are of `size` consecutive blocks, and each starts from the state that the one before has left.
        """

    def prepared(self, function: Callable[..., Any], *arguments: Any) -> RowBlocks:
        """Blocks of what the function makes of each: (X, y, w), of as many rows.

        Workers make and keep them once; a source is read, and they are made, again in each pass.
        """


def reduced(results: Iterable[Result], combine: Callable[[Result, Result], Result]) -> Result:
    """All results combined pairwise: the first 2**m of them, 2**m < n as large as can be, with the rest.

    Sums of float64 are the more accurate for it, and whole subtrees may be combined elsewhere.
    """
    stack: list[tuple[int, Result]] = []  # numbers of results combined, descending powers of two
    for result in results:
        count = 1
        while stack and stack[-1][0] == count:
            before, left = stack.pop()
            result, count = combine(left, result), count + before
        stack.append((count, result))
    if not stack:
        raise ValueError("there is nothing to combine")
    total = stack.pop()[1]
    while stack:
        total = combine(stack.pop()[1], total)
    return total


def folded(
    parts: Iterable[tuple[Any, Any, Any]],
    function: Callable[..., State],
    combine: Callable[[list[State]], State],
    state: State,
    size: int,
    threads: int,
) -> State:
    """As `RowBlocks.fold_blocks`, with as many blocks in memory as there are threads."""
    at_work: deque[Future[State]] = deque()
    done: list[State] = []
    with ThreadPoolExecutor(threads) as pool:
        for k, part in enumerate(parts):
            if k % size == 0 and k > 0:
                state = combine([*done, *(task.result() for task in at_work)])
                at_work.clear()
                done = []
            at_work.append(pool.submit(function, *part, state, k))
            if len(at_work) == threads:
                done.append(at_work.popleft().result())
        return combine([*done, *(task.result() for task in at_work)])


def added(left: Any, right: Any) -> Any:
    """Sums of numbers and arrays, in tuples or alone: what `reduce_blocks` takes to combine partial sums."""
    if isinstance(left, tuple):
        return tuple(added(a, b) for a, b in zip(left, right, strict=True))
    return left + right


class ResultsOfBlocks:
    """What can be done with a function of each block."""

    def _results(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Iterator[Result]:
        """In order; few wait for those before them."""
        raise NotImplementedError

    def map_blocks(self, function: Callable[..., Result], *arguments: Any) -> list[Result]:
        return list(self._results(function, arguments))

    def reduce_blocks(
        self, function: Callable[..., Result], combine: Callable[[Result, Result], Result], *arguments: Any
    ) -> Result:
        return reduced(self._results(function, arguments), combine)


class StreamedBlocks(ResultsOfBlocks):
    """What can be done with blocks that come one by one, in each pass again."""

    threads: int

    @property
    def n_rows(self) -> int:
        raise NotImplementedError

    @property
    def n_blocks(self) -> int:
        return -(-self.n_rows // BLOCK_ROWS)

    def parts(self) -> Iterator[Any]:
        """The blocks, in one pass."""
        raise NotImplementedError

    def fold_blocks(
        self, function: Callable[..., State], combine: Callable[[list[State]], State], state: State, size: int
    ) -> State:
        return folded(self.parts(), function, combine, state, size, self.threads)

    def prepared(self, function: Callable[..., Any], *arguments: Any) -> RowBlocks:
        return PreparedBlocks(self, function, arguments)

    def _results(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Iterator[Result]:
        """In order, with as many blocks in memory as there are threads."""
        at_work: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(self.threads) as pool:
            for part in self.parts():
                at_work.append(pool.submit(function, *part, *arguments))
                if len(at_work) == self.threads:
                    yield at_work.popleft().result()
            for task in at_work:
                yield task.result()


class LocalBlocks(StreamedBlocks):
    """The blocks of a source, which is read in each pass: one chunk and one block are in memory.

    Parameters
    ----------
    source : Source
    read : callable
        `TableEncoder.read`, which knows what stands for missing values.
    gaps : bool
        Whether rows may have missing values and columns that are no numbers.
    labels : bool
        Whether targets are labels of classes.
    threads : int
        That work on blocks of a fold.
    """

    def __init__(
        self,
        source: Source,
        read: Read = RawTable.read,
        *,
        gaps: bool = True,
        labels: bool = False,
        threads: int = 1,
    ) -> None:
        self.source = source
        self.threads = threads
        self.passes = 0  # over all rows
        self._read, self._gaps, self._labels = read, gaps, labels
        self._n_chunks = check.count(source.n_chunks, "n_chunks of the source", 1)
        self._rows: list[int] = []  # of each chunk that has been read, once and for all
        self._columns: Columns | None = None
        self._targets: Targets | None = None
        self._weighted: bool | None = None

    @property
    def n_rows(self) -> int:
        if len(self._rows) < self._n_chunks:
            for _ in self.parts():
                pass
        return sum(self._rows)

    def parts(self) -> Iterator[Part]:
        """The blocks, in one pass."""
        return in_blocks(self._chunks())

    def _chunks(self) -> Iterator[Part]:
        row = 0
        for k in range(self._n_chunks):
            self._same_count()
            part = self._chunk(k, row)
            if part is not None:
                row += part.n_rows
                yield part
        self._same_count()
        self.passes += 1
        if row == 0:
            raise ValueError(f"the source has no rows in its {self._n_chunks} chunks")

    def _same_count(self) -> None:
        if self.source.n_chunks != self._n_chunks:
            raise ValueError(f"the source has {self.source.n_chunks} chunks; it had {self._n_chunks} before")

    def _chunk(self, k: int, before: int) -> Part | None:
        """A chunk after so many rows; None if it is empty."""
        where = f"chunk {k} of {self._n_chunks} of the source"
        try:
            given = self.source.chunk(k)
            if not isinstance(given, tuple) or len(given) != 3:
                raise TypeError(f"{where} is a {type(given).__name__}; expected a tuple (X, y, w or None)")
            X, y, w = given
            raw, columns, n = read_columns(X, self._read, self._gaps)
            target, targets = read_targets(y, self._labels)
            weight = np.ones(n) if w is None else read_weights(w)
        except BadRow as bad:
            raise ValueError(f"{bad.after(before)} ({where})") from None
        except Exception as error:
            error.add_note(f"in {where}, which begins at row {before}")
            raise
        for found, name in ((target, "y"), (weight, "sample_weight")):
            if len(found) != n:
                raise ValueError(f"{name} has {len(found)} rows in {where}, where X has {n}")
        if self._weighted not in (None, w is not None):
            raise ValueError(f"{where} has {'no ' if w is None else ''}weights, unlike those before it")
        if k < len(self._rows) and self._rows[k] != n:
            raise ValueError(f"{where} has {n} rows; it had {self._rows[k]} in the pass before")
        self._columns = columns if self._columns is None else self._columns.merged(columns, where)
        self._targets = targets if self._targets is None else self._targets.merged(targets, where)
        self._weighted = w is not None
        if k == len(self._rows):
            self._rows.append(n)
        return None if raw is None else Part(raw, target, weight)


class PreparedBlocks(StreamedBlocks):
    """What a function makes of the blocks of others, in each pass again."""

    def __init__(self, blocks: StreamedBlocks, function: Callable[..., Any], arguments: Any):
        self.blocks = blocks
        self.threads = blocks.threads
        self._function, self._arguments = function, arguments

    @property
    def n_rows(self) -> int:
        return self.blocks.n_rows

    def parts(self) -> Iterator[tuple[Any, Any, Any]]:
        """The blocks, in one pass."""
        for part in self.blocks.parts():
            yield self._function(*part, *self._arguments)


def in_blocks(chunks: Iterable[Part]) -> Iterator[Part]:
    """The rows of chunks in blocks of `BLOCK_ROWS`."""
    waiting: list[Part] = []
    count = 0
    for chunk in chunks:
        begin = 0
        while begin < chunk.n_rows:
            end = min(chunk.n_rows, begin + BLOCK_ROWS - count)
            waiting.append(piece_of(chunk, begin, end))
            count += end - begin
            begin = end
            if count == BLOCK_ROWS:
                yield joined(waiting)
                waiting, count = [], 0
        # What waits shall not keep all of a large chunk in memory.
        if waiting and waiting[-1].n_rows < chunk.n_rows:
            waiting[-1] = _copy(waiting[-1])
    if waiting:
        yield joined(waiting)


def piece_of(part: Part, begin: int, end: int) -> Part:
    """Rows `begin` to `end`, as views."""
    if begin == 0 and end == part.n_rows:
        return part
    return Part(cut(part.X, begin, end), part.y[begin:end], part.w[begin:end])


def joined(pieces: list[Part]) -> Part:
    """The rows of all pieces in one."""
    targets: list[NDArray[Any]] = [piece.y for piece in pieces]
    return Part(
        join([piece.X for piece in pieces]),
        join_targets(targets),
        pieces[0].w if len(pieces) == 1 else np.concatenate([piece.w for piece in pieces]),
    )


def _copy(part: Part) -> Part:
    n = np.arange(part.n_rows)
    return Part(part.X.take(n), part.y.copy(), part.w.copy())
