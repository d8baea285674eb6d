"""Stochastic slides: passes of Adam over blocks of rows, whose results are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _validation as check
from pathrelu._sparse_rows import SparseRows, core_rows, rows_at
from pathrelu.program._problem import Problem
from pathrelu.program._slide import Slides, Trees

BATCH = 256  # rows of a step
BLOCKS = 16  # of rows in memory, at least, but for blocks of few steps
FEWEST_STEPS, MOST_STEPS = 8, 64  # of a block of rows in memory
# Blocks of a group, whose results are averaged: one while rows are few, for the mean of several is slower;
# else a power of two up to a 32nd of all blocks, for as many may work on them at the same time.
FEWEST_GROUPED, MOST_GROUPED, GROUPS, GROUPED_ROWS = 4, 64, 32, 131_072

# Variables of slides, means of gradients and of their squares, and how many steps there were.
State = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]


class Rows(Protocol):
    """Blocks of rows as programs have them."""

    @property
    def n_blocks(self) -> int: ...

    @property
    def n_rows(self) -> int: ...

    def fold_blocks(
        self, function: Callable[..., Any], combine: Callable[[Sequence[Any]], Any], state: Any, size: int
    ) -> Any:
        """The last of the states ``combine([function(X, y, w, state, k) for each block k of a group])``.

        Groups are of `size` consecutive blocks, and each starts from the state that the one before has left.
        What `combine` raises ends it.
        """


@dataclass(frozen=True)
class Step:
    """What is done with a block of rows; all that it needs but the rows and the state."""

    kinds: Trees
    alpha: float
    loss: _core._Loss
    width: list[int]
    shared: bool
    fit_intercept: bool
    unit: float
    seed: int
    first_block: int  # number of the pass's first block among all that were passed
    n_blocks: int  # that will be passed in all
    rate: float
    size: int
    monotone: NDArray[np.int8] | None
    batch: int = BATCH

    def __call__(
        self,
        X: check.Rows | SparseRows,
        y: NDArray[np.float64],
        w: NDArray[np.float64],
        state: State,
        k: int,
    ) -> State:
        """The state after a pass over block k."""
        group = (self.first_block + k) // self.size * self.size
        rates = [self.rate * max(0.0, 1 - done / self.n_blocks) for done in (group, group + self.size)]
        options = _core.StochasticOptions(
            batch=self.batch,
            first_rate=rates[0],
            last_rate=rates[1],
            unit=self.unit,
            seed=self.seed,
            stream=self.first_block + k,
            shared=self.shared,
            fit_intercept=self.fit_intercept,
        )
        problem = _core.Problem(core_rows(X), y, w, self.loss, True, self.monotone)
        return _core.descend_stochastically(problem, self.alpha, self.width, options, self.kinds, state)


def averaged(states: Sequence[State]) -> State:
    """The mean, in order."""
    count = len(states)
    means = []
    for parts in list(zip(*states, strict=True))[:3]:
        total = parts[0].copy()
        for part in parts[1:]:
            total += part
        means.append(total / count)
    return means[0], means[1], means[2], states[0][3]


def blocks_of_group(n_rows: int, n_blocks: int) -> int:
    """How many blocks of so many rows, in all, start from the same state."""
    if n_rows < GROUPED_ROWS:
        return 1
    return 1 << (min(MOST_GROUPED, max(FEWEST_GROUPED, n_blocks // GROUPS)).bit_length() - 1)


class _Stopped(Exception):
    """A watch has ended a slide, at this state."""


def stochastic_slide(
    slides: Slides,
    rows: Rows,
    loss: _core._Loss,
    alpha: float,
    trees: Trees,
    *,
    at_constant: float,
    rate: float,
    passes: int,
    stream: int,
    monotone: NDArray[np.int8] | None = None,
    follow: Callable[[int], None] | None = None,
    batch: int = BATCH,
) -> Trees:
    """The trees after so many passes of Adam over all rows, at rates that fall to zero.

    Local SGD (Stich 2019): the blocks of a group start from the same state, and their results are averaged,
    so that it does not matter who works on which. `at_constant` is the loss of constant outputs, by which
    rates are scaled; `monotone` are directions of columns, which `trees` follow already; `follow` is told how
    many passes have been made; steps are of `batch` rows.
    """
    options = slides.options
    shared = slides.shared and trees[2].shape[1] > 1
    # As in the C++ slides: losses grow as squares of outputs, outputs as products of two variables.
    unit = (2 * at_constant) ** 0.25 if at_constant > 0 else 1.0
    shape = (slides.width, shared, options.fit_intercept, unit)
    x = _core.slide_variables(trees, *shape)
    state: State = (x, np.zeros_like(x), np.zeros_like(x), 0)
    size = blocks_of_group(rows.n_rows, rows.n_blocks)
    blocks_of_pass = -(-rows.n_blocks // size) * size

    def after_group(states: Sequence[State]) -> State:
        mean = averaged(states)
        if slides.watch.is_over():
            raise _Stopped(mean)
        return mean

    try:
        for k in range(passes):
            step = Step(
                trees, alpha, loss, slides.width, shared, options.fit_intercept, unit, slides.seed + stream,
                k * blocks_of_pass, passes * blocks_of_pass, rate, size, monotone, batch,
            )  # fmt: skip
            state = rows.fold_blocks(step, after_group, state, size)
            if follow is not None:
                follow(k + 1)
    except _Stopped as stopped:
        (state,) = stopped.args
    return _core.trees_at(state[0], trees, *shape)


def fold_by_number(
    block: Callable[[int], tuple[Any, Any, Any]],
    n_blocks: int,
    threads: int,
    function: Callable[..., Any],
    combine: Callable[[list[Any]], Any],
    state: Any,
    size: int,
) -> Any:
    """The fold of `Rows`, of blocks that can be had by number: those of a group by several threads."""
    with ThreadPoolExecutor(min(size, threads)) as pool:
        for begin in range(0, n_blocks, size):
            group = range(begin, min(begin + size, n_blocks))
            state = combine(list(pool.map(lambda k, state=state: function(*block(k), state, k), group)))
    return state


class ShuffledRows:
    """The rows of a problem in memory, in blocks of random ones."""

    def __init__(self, problem: Problem, slides: Slides) -> None:
        self.problem, self.slides = problem, slides
        self.n_rows = len(problem.X)
        least, most = FEWEST_STEPS * BATCH, MOST_STEPS * BATCH
        self.block_rows = min(most, max(least, -(-self.n_rows // BLOCKS)))
        self.order = np.random.default_rng(slides.seed).permutation(self.n_rows)

    @property
    def n_blocks(self) -> int:
        return -(-self.n_rows // self.block_rows)

    def fold_blocks(
        self, function: Callable[..., Any], combine: Callable[[Sequence[Any]], Any], state: Any, size: int
    ) -> Any:
        threads = self.slides.options.threads
        return fold_by_number(self._block, self.n_blocks, threads, function, combine, state, size)

    def _block(self, k: int) -> tuple[check.Rows | SparseRows, NDArray[np.float64], NDArray[np.float64]]:
        rows = np.sort(self.order[k * self.block_rows : (k + 1) * self.block_rows])
        return rows_at(self.problem.X, rows), self.problem.y[rows], self.problem.w[rows]
