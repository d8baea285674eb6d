"""Blocks of rows on the workers of a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
from dask import delayed
from dask.array import Array
from dask.base import is_dask_collection
from distributed import Client, Future, get_client, wait
from distributed.client import FutureCancelledError

from pathrelu.encoding._raw import RawTable
from pathrelu.program._stochastic import blocks_of_group
from pathrelu.rows import _blocks
from pathrelu.rows._blocks import State, joined, piece_of, reduced
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

Result = TypeVar("Result")

# Blocks that one task sums are a group, so that the scheduler's work, some 0.3 ms a task, does not grow with
# the rows: as many as leave each thread several groups, so that all end at about the same time and workers
# that come later find some, up to a size that moves from worker to worker in well under a second.
GROUPS_PER_THREAD = 4
FOLDED_PER_THREAD = 2  # of the groups that are folded at a time
MOST_GROUPED = 16
LARGEST_GROUP = 2**26  # bytes
# Results that one task combines on a worker, a power of two so that they are a subtree of `reduced`; as few
# come to the client at a time.
FAN_IN = 8
POLL = 1.0  # seconds from look to look at whether there is anyone left to wait for
CANCELLED = (CancelledError, FutureCancelledError)
GONE = "tasks were cancelled, or the scheduler is gone"
PATIENCE = 300.0  # seconds without any worker before giving up: a cloud may need minutes to start another


class Lost(RuntimeError):
    """Workers' results are not to be had any more."""


class DaskBlocks:
    """The blocks of Dask collections; each is a future that can be computed again from the collections.

    Partitions of X, y and weights may differ, be empty and be of unknown size.

    Parameters
    ----------
    X : dask array or data frame
    y : dask array, series or data frame
    sample_weight : dask array or series, optional
    client : distributed.Client, optional
        The one at work by default.
    read, gaps, labels
        As for `LocalBlocks`.
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        client: Client | None = None,
        read: Read = RawTable.read,
        *,
        gaps: bool = True,
        labels: bool = False,
    ) -> None:
        self._cluster = Cluster(client)
        pieces = [_partitions(X, "X"), _partitions(y, "y")]
        reads: list[tuple[Any, ...]] = [(read_rows, read, gaps), (read_target, labels)]
        if sample_weight is not None:
            pieces.append(_partitions(sample_weight, "sample_weight"))
            reads.append((read_weight,))
        taken = [
            [delayed(function, pure=False)(piece, *options) for piece in of]
            for of, (function, *options) in zip(pieces, reads, strict=True)
        ]
        told = [[delayed(of_piece, pure=False)(piece) for piece in of] for of in taken]
        flat = self._cluster.compute([*_flat(taken), *_flat(told)])
        held = [[flat.pop(0) for _ in of] for of in taken]
        descriptions = self._cluster.results(flat, "partitions were read")
        shapes = [[descriptions.pop(0) for _ in of] for of in told]
        names = ["X", "y", "sample_weight"][: len(shapes)]
        rows = []
        for name, of in zip(names, shapes, strict=True):
            rows.append(_rows(name, of))
            if rows[-1][-1] != rows[0][-1]:
                raise ValueError(f"{name} has {rows[-1][-1]} rows, and X has {rows[0][-1]}")
        self.n_rows = int(rows[0][-1])
        if self.n_rows == 0:
            raise ValueError(f"X has no rows in its {len(pieces[0])} partitions")
        self._size = _grouped(self.n_rows, _alike(shapes[0]), self._cluster.threads())
        self._groups = []
        step = self._size * _blocks.BLOCK_ROWS
        for begin in range(0, self.n_rows, step):
            end = min(self.n_rows, begin + step)
            found = [_pieces(edges, begin, end) for edges in rows]
            futures = [[of[k] for k, _, _, _ in some] for of, some in zip(held, found, strict=True)]
            cuts = [[(n, low, high) for _, n, low, high in some] for some in found]
            self._groups.append(self._cluster.submit(assemble, futures, cuts, _blocks.BLOCK_ROWS))
        del held, flat
        self._cluster.wait(self._groups, "groups of blocks were put together")

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return -(-self.n_rows // _blocks.BLOCK_ROWS)

    def map_blocks(self, function: Callable[..., Result], *arguments: Any) -> list[Result]:
        """What the function returns for each block, in their order."""
        groups = self._cluster.map(map_group, self._groups, function, arguments)
        return list(_flat(self._cluster.results(groups, "groups of blocks were done")))

    def reduce_blocks(
        self, function: Callable[..., Result], combine: Callable[[Result, Result], Result], *arguments: Any
    ) -> Result:
        """As `reduced` makes it of what the function returns for each block."""
        results = self._cluster.map(reduce_group, self._groups, function, arguments, combine)
        while len(results) > FAN_IN:
            fans = [results[k : k + FAN_IN] for k in range(0, len(results), FAN_IN)]
            results = [self._cluster.submit(reduced, fan, combine) for fan in fans]
        parts: list[Result] = self._cluster.results(results, "groups of blocks were done")
        return reduced(parts, combine)

    def fold_blocks(
        self, function: Callable[..., State], combine: Callable[[list[State]], State], state: State, size: int
    ) -> State:
        """As `RowBlocks.fold_blocks`; the blocks of a group are worked on at the same time."""
        self._cluster.passes += 1
        for begin in range(0, self.n_blocks, size):
            end = min(self.n_blocks, begin + size)
            call = self._cluster.submit(Call, function, (state,))
            tasks = [
                self._cluster.submit(fold_group, self._groups[k // self._size], k, low, self._size, call)
                for k, low in _cuts(begin, end, self._size)
            ]
            state = combine(_flat(self._cluster.results(tasks, "parts of a group of blocks were done")))
        return state

    def prepared(self, function: Callable[..., Any], *arguments: Any) -> DaskBlocks:
        """Blocks of what the function makes of each, which workers keep."""
        made = object.__new__(DaskBlocks)
        made._cluster, made.n_rows, made._size = self._cluster, self.n_rows, self._size
        made._groups = self._cluster.map(prepare_group, self._groups, function, arguments)
        self._cluster.wait(made._groups, "groups of blocks were prepared")
        return made


class Cluster:
    """A client that is asked for results, and never waited for in vain."""

    def __init__(self, client: Client | None) -> None:
        if client is None:
            try:
                client = get_client()
            except ValueError:
                raise ValueError(
                    "there is no client of Dask; expected client=distributed.Client(...), or one made before"
                ) from None
        if not isinstance(client, Client):
            raise TypeError(f"client is a {type(client).__name__}; expected a distributed.Client")
        if client.asynchronous:
            raise ValueError("client is asynchronous; expected one with asynchronous=False")
        self.client = client
        self.passes = 0  # over all rows that have been asked for
        self._check()

    def threads(self) -> int:
        """Of all workers there are."""
        return max(1, sum(map(int, self.client.nthreads().values())))

    def compute(self, tasks: Sequence[Any]) -> list[Future]:
        """Futures of delayed tasks."""
        return list(self.client.compute(list(tasks), optimize_graph=False))

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        """One task, which may depend on others."""
        return self.client.submit(function, *arguments, pure=False)

    def map(
        self,
        task: Callable[..., Any],
        groups: Sequence[Future],
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        *more: Any,
    ) -> list[Future]:
        """A task for each group; what they all need is sent once, and goes from worker to worker."""
        self.passes += 1
        self._check(groups, "groups of blocks are there")
        call = self.client.submit(Call, function, arguments, *more, pure=False)
        return list(self.client.map(task, groups, call=call, pure=False))

    def results(self, futures: Sequence[Future], what: str) -> list[Any]:
        """What tasks return; refused with how many of them were done if there is no more to wait for."""
        self.wait(futures, what)
        try:
            return list(self.client.gather(list(futures)))
        except CANCELLED as error:
            raise self._lost(futures, what, f"{GONE}: {error}") from error

    def wait(self, futures: Sequence[Future], what: str) -> None:
        """Until all tasks are done; errors of tasks are raised."""
        alone = time.monotonic()
        while True:
            try:
                wait(futures, timeout=POLL)
            except TimeoutError:
                pass
            except CANCELLED as error:
                raise self._lost(futures, what, f"{GONE}: {error}") from error
            self._check(futures, what)
            states = [future.status for future in futures]
            for bad in (futures[k] for k, state in enumerate(states) if state in ("cancelled", "error")):
                try:
                    bad.result()
                except CANCELLED as error:
                    raise self._lost(futures, what, f"{GONE}: {error}") from error
            if set(states) <= {"finished"}:
                return
            # Those that were lost with a worker are computed again.
            if self._workers():
                alone = time.monotonic()
            elif time.monotonic() - alone > PATIENCE:
                raise self._lost(futures, what, f"there has been no worker for {PATIENCE:.0f} seconds")
            if "pending" not in states:
                time.sleep(POLL / 10)

    def _workers(self) -> int:
        return len(self.client.scheduler_info(n_workers=-1).get("workers", ()))

    def _check(self, futures: Sequence[Any] = (), what: str = "") -> None:
        status = self.client.status
        if status not in ("running", "connecting"):
            why = f"client is {status}; expected one that is connected to a scheduler"
            raise self._lost(futures, what, why) if futures else Lost(why)

    def _lost(self, futures: Sequence[Any], what: str, why: str) -> Lost:
        done = sum(future.status == "finished" for future in futures)
        return Lost(f"{why} ({done} of {len(futures)} {what}, in pass {self.passes} over the rows)")


# ---- What workers do -----------------------------------------------------------


class Call(NamedTuple):
    """What tasks of one pass have in common."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    combine: Callable[[Any, Any], Any] | None = None


@dataclass(frozen=True)
class Piece:
    """A partition as it was read, or what is wrong with one of its rows."""

    content: Any
    n_rows: int
    like: Columns | Targets | None = None
    bad: BadRow | None = None


def read_rows(X: Any, read: Read, gaps: bool) -> Piece:
    """A partition of X."""
    try:
        raw, columns, n = read_columns(X, read, gaps)
    except BadRow as bad:
        return Piece(None, 0, bad=bad)
    return Piece(raw, n, columns)


def read_target(y: Any, labels: bool) -> Piece:
    """A partition of y."""
    try:
        target, targets = read_targets(y, labels)
    except BadRow as bad:
        return Piece(None, 0, bad=bad)
    return Piece(target, len(target), targets)


def read_weight(w: Any) -> Piece:
    """A partition of weights."""
    try:
        weight = read_weights(w)
    except BadRow as bad:
        return Piece(None, 0, bad=bad)
    return Piece(weight, len(weight))


def of_piece(piece: Piece) -> Piece:
    """What the client has to know of it."""
    return Piece(None, piece.n_rows, piece.like, piece.bad)


def assemble(
    pieces: list[list[Piece]], cuts: list[list[tuple[int, int, int]]], block_rows: int
) -> list[Part]:
    """Blocks from pieces of X, y and maybe weights, each of which is cut from low to high."""
    for of, some in zip(pieces, cuts, strict=True):
        for piece, (n, _, _) in zip(of, some, strict=True):
            if piece.bad is not None or piece.n_rows != n:
                raise ValueError(f"a partition of {n} rows has {piece.n_rows} now that it is computed again")
    X = join(
        [cut(piece.content, low, high) for piece, (_, low, high) in zip(pieces[0], cuts[0], strict=True)]
    )
    targets, *weights = (
        [piece.content[low:high] for piece, (_, low, high) in zip(of, some, strict=True)]
        for of, some in zip(pieces[1:], cuts[1:], strict=True)
    )
    y = join_targets(targets)
    w = np.concatenate(weights[0]) if weights else np.ones(len(y))
    whole = Part(X, y, w)
    # `joined` makes a block's form independent of the others of its group.
    return [
        joined([piece_of(whole, low, min(whole.n_rows, low + block_rows))])
        for low in range(0, whole.n_rows, block_rows)
    ]


def map_group(group: list[Any], call: Call) -> list[Any]:
    """Results of the blocks of a group."""
    return [call.function(*part, *call.arguments) for part in group]


def reduce_group(group: list[Any], call: Call) -> Any:
    """Results of the blocks of a group, combined."""
    assert call.combine is not None
    return reduced((call.function(*part, *call.arguments) for part in group), call.combine)


def fold_group(group: list[Any], begin: int, end: int, size: int, call: Call) -> list[Any]:
    """Results of some blocks of a group, by their numbers among all blocks."""
    return [call.function(*group[k % size], *call.arguments, k) for k in range(begin, end)]


def prepare_group(group: list[Any], call: Call) -> list[Any]:
    """A group of what the function makes of each block."""
    return [tuple(call.function(*part, *call.arguments)) for part in group]


# ---- What the client makes of the partitions -----------------------------------


def _partitions(collection: Any, name: str) -> list[Any]:
    """Each partition, delayed, with all columns."""
    if not is_dask_collection(collection) or not hasattr(collection, "to_delayed"):
        raise TypeError(
            f"{name} is a {type(collection).__name__}; expected a dask array or data frame. "
            "PathReLURegressor and PathReLUClassifier take what is in memory"
        )
    if isinstance(collection, Array):
        if collection.ndim not in (1, 2) or (name == "X" and collection.ndim != 2):
            wanted = "(rows, columns)" if name == "X" else "(rows,)"
            raise ValueError(f"{name} has shape {collection.shape}; expected {wanted}")
        if collection.ndim == 2 and len(collection.chunks[1]) > 1:
            collection = collection.rechunk({1: -1})
        return list(collection.to_delayed().ravel())
    if not hasattr(collection, "npartitions"):
        raise TypeError(f"{name} is a {type(collection).__name__}; expected a dask array or data frame")
    return list(collection.to_delayed())


def _rows(name: str, pieces: Sequence[Piece]) -> list[int]:
    """Rows before each partition, and of all; refused with a bad row by its number in all rows."""
    edges = [0]
    for k, piece in enumerate(pieces):
        if piece.bad is not None:
            raise ValueError(f"{piece.bad.after(edges[-1])} (partition {k} of {len(pieces)} of {name})")
        edges.append(edges[-1] + piece.n_rows)
    _alike(pieces, name)
    return edges


def _alike(pieces: Sequence[Piece], name: str = "X") -> Any:
    """What all partitions have in common."""
    common: Any = None
    for k, piece in enumerate(pieces):
        if piece.like is not None:
            where = f"partition {k} of {len(pieces)} of {name}"
            common = piece.like if common is None else common.merged(piece.like, where)
    return common


def _pieces(edges: Sequence[int], begin: int, end: int) -> list[tuple[int, int, int, int]]:
    """Partitions that have some of the rows, their numbers of rows, and from where to where they do."""
    first = int(np.searchsorted(edges, begin, side="right")) - 1
    found = []
    for k in range(first, len(edges) - 1):
        if edges[k] >= end:
            break
        low, high = max(begin, edges[k]), min(end, edges[k + 1])
        if low < high:
            found.append((k, edges[k + 1] - edges[k], low - edges[k], high - edges[k]))
    return found


def _grouped(n_rows: int, columns: Columns, threads: int) -> int:
    """Blocks of a group: a power of two, so that a group is a subtree of `reduced`."""
    n_blocks = -(-n_rows // _blocks.BLOCK_ROWS)
    size = 8 if columns.dtype is None else columns.dtype.itemsize
    room = LARGEST_GROUP // (_blocks.BLOCK_ROWS * columns.n_columns * size)
    return min(
        blocks_held_together(n_blocks, blocks_of_group(n_rows, n_blocks), threads),
        1 << (max(1, room).bit_length() - 1),
    )


def blocks_held_together(n_blocks: int, folded: int, threads: int) -> int:
    """How many blocks are a group where so many are folded at a time: then each thread has some of these."""
    most = min(MOST_GROUPED, n_blocks // (GROUPS_PER_THREAD * threads))
    if folded > 1:
        most = min(most, folded // (FOLDED_PER_THREAD * threads))
    return 1 << (max(1, most).bit_length() - 1)


def _cuts(begin: int, end: int, size: int) -> list[tuple[int, int]]:
    """The numbers from begin to end, cut at multiples of the size."""
    edges = [begin, *range((begin // size + 1) * size, end, size), end]
    return list(pairwise(edges))


def _flat(lists: Sequence[Sequence[Any]]) -> list[Any]:
    return [item for of in lists for item in of]
