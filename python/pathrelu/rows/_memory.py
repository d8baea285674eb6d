"""Blocks of rows in memory, made when they are wanted, by several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu.encoding._raw import RawTable
from pathrelu.program._stochastic import fold_by_number
from pathrelu.rows._blocks import Result, ResultsOfBlocks, State

# Rows of a block: enough for 32 steps of a stochastic slide, and few enough for what some hundred encoded
# columns of them take, some 20 MB a thread and copy, to be little beside rows that are many.
BLOCK_ROWS = 8_192


class MemoryBlocks(ResultsOfBlocks):
    """Blocks of random rows, the same for any number of threads; see `RowBlocks`.

    Parameters
    ----------
    X : RawTable
    y : ndarray of shape (n,) or (n, n_outputs)
    w : ndarray of shape (n,)
    seed : int
        Of what is in which block: rows that come sorted make blocks that are alike all the same.
    threads : int
    """

    def __init__(self, X: RawTable, y: NDArray[Any], w: check.Doubles, seed: int, threads: int) -> None:
        self.X, self.y, self.w, self.threads = X, y, w, threads
        self.order = np.random.default_rng(seed).permutation(len(w)).astype(np.int32)
        self.stages: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    @property
    def n_rows(self) -> int:
        return len(self.w)

    @property
    def n_blocks(self) -> int:
        return -(-self.n_rows // BLOCK_ROWS)

    def block(self, k: int) -> Any:
        """X, y and w of a block."""
        rows = np.sort(self.order[k * BLOCK_ROWS : (k + 1) * BLOCK_ROWS])
        part: Any = (self.X.take(rows), self.y[rows], self.w[rows])
        for function, arguments in self.stages:
            part = function(*part, *arguments)
        return part

    def prepared(self, function: Callable[..., Any], *arguments: Any) -> MemoryBlocks:
        made = MemoryBlocks.__new__(MemoryBlocks)
        vars(made).update(vars(self), stages=[*self.stages, (function, arguments)])
        return made

    def fold_blocks(
        self, function: Callable[..., State], combine: Callable[[list[State]], State], state: State, size: int
    ) -> State:
        folded: State = fold_by_number(
            self.block, self.n_blocks, self.threads, function, combine, state, size
        )
        return folded

    def _results(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Iterator[Result]:
        """In order; no more than a few wait for those before them."""
        with ThreadPoolExecutor(self.threads) as pool:
            for begin in range(0, self.n_blocks, 2 * self.threads):
                group = range(begin, min(begin + 2 * self.threads, self.n_blocks))
                yield from pool.map(lambda k: function(*self.block(k), *arguments), group)
