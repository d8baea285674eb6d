"""The records of a solve, and what may end it before it is done."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Self

from pathrelu import _core
from pathrelu import _validation as check
from pathrelu._registry import RECORDS


@RECORDS.named("Record")
@dataclass(frozen=True)
class Record:
    """State of a solve at one check of the gap, of a search after one of its programs, or of a certificate.

    Attributes
    ----------
    n_iter : int
    objective, dual_objective, gap : float
    n_active : int
        Blocks that are not zero.
    seconds : float
        Since the start of the solve or the search.
    round : int
        Of a search, from 1; else how many working sets of groups have been solved over.
    n_groups : int
        In the working set; of a search, in the set of arrangements reached.
    target_gap : float
        The gap at which this program counts as solved.
    searching : bool
        Whether the record is of a search, whose end the gap does not tell.
    phase : str
        "solve", "search", "certify" or, where estimators choose alpha by held-out rows, "path": after each
        value of alpha on the way. Of this there is no objective and no gap (NaN), `n_iter` and `round` count
        values of alpha, and `seconds` is since the start of the fit. Of many rows or rows in pieces "passes"
        too: after each of the last passes over all of them, which `n_iter` counts and of which there are
        `round`.
    alpha, held_out_loss : float
        Of a path, else 0; alpha of passes too.

    Notes
    -----
    From `round` on they are 0, False and "" in records from files of versions without them.
    """

    n_iter: int
    objective: float
    dual_objective: float
    gap: float
    n_active: int
    seconds: float
    round: int = 0
    n_groups: int = 0
    target_gap: float = 0.0
    searching: bool = False
    phase: str = ""
    alpha: float = 0.0
    held_out_loss: float = 0.0


def record_of(found: _core.Record, searching: bool) -> Record:
    """What the core found at a check."""
    return Record(
        n_iter=found.n_iter,
        objective=found.objective,
        dual_objective=found.dual_objective,
        gap=found.gap,
        n_active=found.n_active,
        seconds=found.seconds,
        round=found.round,
        n_groups=found.n_groups,
        target_gap=found.target_gap,
        searching=searching,
        phase="search" if searching else "solve",
    )


Callback = Callable[[Record], object]

# Multiplications of slides in a second and thread, as `pathrelu.alpha` counts them (many are left out in the
# end), on a core of 2026: what a forecast rests on until there is a measurement.
MULTIPLICATIONS = 4e9


@dataclass
class Stage:
    """What a call is at, beside its records, for those who follow it.

    Work is in multiplications, as far as they can be counted.

    Attributes
    ----------
    text : str
    threads : int
    limit : float
        When it ends at the latest, on the clock of `time.monotonic`.
    by_gap : bool
        Whether the gap of a program tells when all is done.
    planned : dict
        Work expected after the current part, by what it is.
    done, ahead : float
    listener : callable, optional
        Called with the stage when there is work ahead.
    """

    text: str = ""
    threads: int = 1
    limit: float = math.inf
    by_gap: bool = True
    planned: dict[str, float] = field(default_factory=dict)
    done: float = 0.0
    ahead: float = 0.0
    listener: Callable[[Stage], object] | None = None
    _step: float = 0.0
    _begin: float = field(default_factory=time.monotonic)
    _met: float = field(default_factory=time.monotonic)

    def plan(self, part: str, work: float) -> None:
        """Expect so much work in this part, until it begins."""
        self.planned[part] = work

    def begin(self, part: str) -> None:
        """A part begins, or turns out to be none."""
        self.planned.pop(part, None)

    def step(self, text: str, work: float = 0.0, more: float = 0.0) -> None:
        """Come to a step of so much work, with more in this part after it."""
        self._met = time.monotonic()
        self.done += self._step
        if self.done == 0:
            self._begin = self._met
        self.text, self._step = text, work
        self.ahead = work + more + sum(self.planned.values())
        if self.ahead > 0 and self.listener is not None:
            self.listener(self)

    @property
    def forecast(self) -> float:
        """Seconds for what is ahead, without a measurement."""
        return self.ahead / (MULTIPLICATIONS * self.threads)

    def seconds_left(self) -> float | None:
        """None where there is no telling."""
        if self.ahead <= 0:
            return None
        worked = self._met - self._begin
        seconds = self.ahead * worked / self.done if self.done > 0 and worked > 0 else self.forecast
        return max(0.0, seconds - (time.monotonic() - self._met if self._step > 0 else 0.0))

    @property
    def counts_what_is_inside(self) -> bool:
        """Whether the work of the step includes that of a stage inside."""
        return self._step > 0


class Watch:
    """What may end the programs of one call before they are solved: an interrupt, the callback, the clock.

    With ``on_interrupt="return"``, Ctrl-C is only noted inside a ``with`` statement, so that no
    KeyboardInterrupt is raised between two calls of the core. A second one is raised.
    """

    def __init__(
        self,
        callback: Callback | None = None,
        on_interrupt: str = "raise",
        max_seconds: float | None = None,
    ) -> None:
        self.callback: Callback | None = check.function(callback)
        self.at_interrupt = check.choice(on_interrupt, "on_interrupt", ("raise", "return")) == "return"
        self.limit = math.inf if max_seconds is None else check.positive(max_seconds, "max_seconds")
        self.begin = time.monotonic()
        self.stage = Stage(limit=self.begin + self.limit)
        self.stopped_by = ""
        self.seconds = 0.0  # until it was stopped
        self._handles = False

    def __enter__(self) -> Self:
        self._handles = (
            self.at_interrupt
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._handles:
            signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handles:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self.stopped_by:
            signal.default_int_handler(number, frame)
        self.stop("an interrupt")

    def core(self, searching: bool = False) -> _core.Watch:
        """What the core makes of it, from now on. A program after a stop ends at once."""
        left = 0.0 if self.stopped_by else self.left
        callback = self.callback
        wanted = (lambda: bool(self.stopped_by)) if self.at_interrupt else None
        if callback is None or self.stopped_by:
            return _core.Watch(None, wanted, left)

        def record(found: _core.Record) -> None:
            try:
                callback(record_of(found, searching))
            except StopIteration:
                self.stop("its callback")
                raise

        return _core.Watch(record, wanted, left)

    def report(self, record: Record) -> None:
        """What the core does not find, to the callback, unless there was a stop."""
        if self.callback is None or self.stopped_by:
            return
        try:
            self.callback(record)
        except StopIteration:
            self.stop("its callback")

    @property
    def seconds_so_far(self) -> float:
        return time.monotonic() - self.begin

    @property
    def left(self) -> float:
        """Seconds until the time is up; 0 after a stop."""
        return 0.0 if self.stopped_by else max(0.0, self.limit - self.seconds_so_far)

    def stop(self, cause: str) -> None:
        if not self.stopped_by:
            self.stopped_by = cause
            self.seconds = self.seconds_so_far

    def is_over(self) -> bool:
        """Whether the time is up, or something else has stopped the work."""
        self.note(self.left == 0)
        return bool(self.stopped_by)

    def note(self, stopped: bool) -> None:
        if stopped:
            late = self.seconds_so_far >= self.limit
            self.stop(f"max_seconds={self.limit:g}" if late else "an interrupt")
