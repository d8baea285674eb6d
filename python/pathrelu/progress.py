"""A line that follows a fit: live in a terminal or a notebook, and written again and again elsewhere."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pathrelu import _core
from pathrelu._display import Display, Logged, kind_of_display
from pathrelu._watch import Callback, Record, Stage, Watch

if TYPE_CHECKING:
    import rich.console

__all__ = ["Live"]

logger = logging.getLogger("pathrelu")

REMEMBERED = 6  # checks of the gap that the estimate of the time left rests on
LONG = 60.0  # seconds of a forecast that is told before the work begins
_one_at_a_time = threading.Lock()  # a terminal has one last line
_current: ContextVar[Live | None] = ContextVar("live", default=None)


class Live:
    """A callback that shows how far a fit is as one line on stderr, with the time that goes by.

    In a terminal the line is written over as the fit goes on, by rich or else by tqdm if one of them is
    installed (``pip install 'pathrelu[progress]'`` is rich), and in a notebook by rich with ipywidgets. In
    pipes, files and other notebooks it is written anew every 1.5 seconds, and at the end. A logger "pathrelu"
    that has handlers at level INFO gets these lines instead.

    There is one such line at a time, in the main process. The estimators and `pathrelu.certify` show it with
    ``verbose=1``. Fits in a ``with`` statement of one that is shown are on that.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to show the line, whatever else holds; stderr by default.
    time_left : bool, default=True
        Whether to estimate the time left: from the work done and ahead where it can be counted, else of one
        program from how fast the logarithm of its gap falls. It is left out where neither tells, as in a
        search at a given alpha.
    delay : float, default=0
        Seconds without a line at first; what ends before has none.
    each_record : bool, optional
        Whether each record has a line of its own too; by default in a logger alone.

    Examples
    --------
    >>> import numpy as np
    >>> import pathrelu as pr
    >>> from pathrelu.progress import Live
    >>> X = np.random.default_rng(0).standard_normal((50, 3))
    >>> y = np.abs(X[:, 0])
    >>> with Live(delay=60) as live:
    ...     found = pr.search(X, y, alpha=0.001, random_state=0, callback=live)
    >>> found.n_active
    2
    """

    def __init__(
        self,
        console: rich.console.Console | None = None,
        *,
        time_left: bool = True,
        delay: float = 0.0,
        each_record: bool | None = None,
    ) -> None:
        self._console = console
        self._time_left = time_left
        self._delay = delay
        self._each_record = each_record
        self._display: Display | None = None
        self._token: Token[Live | None] | None = None
        self._outer: Live | None = None
        self._stages: tuple[Stage, ...] = ()  # of what is under way, each in the one before
        self._forget()

    def _forget(self) -> None:
        self._records: list[Record] = []  # the last ones of the current program
        self._least = math.inf  # held-out loss of the current path
        self._rounds: list[tuple[int, float]] = []  # of a search, and the objectives at their ends
        self._end = ""
        self._told = False  # that it takes long
        self._begin = self._met = time.monotonic()

    def __enter__(self) -> Self:
        self._forget()
        self._outer = _current.get()
        if self._outer is not None:
            return self
        kind = kind_of_display(self._console, logger)
        if kind is None:
            return self
        make, options = kind
        if not (make.shared or _one_at_a_time.acquire(blocking=False)):
            return self
        try:
            self._display = make(self.line, self._begun, *options)
        except BaseException:
            if not make.shared:
                _one_at_a_time.release()
            raise
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._outer = None
        if self._display is None:
            return
        assert self._token is not None
        _current.reset(self._token)
        self._end = "done" if kind is None else f"ended by {kind.__name__}"
        shown, self._display = self._display, None
        try:
            shown.close()
        finally:
            if not shown.shared:
                _one_at_a_time.release()

    @property
    def shown(self) -> bool:
        """Whether the line is there now."""
        return self._display is not None

    def _begun(self) -> bool:
        return time.monotonic() - self._begin >= self._delay

    def __call__(self, record: Record) -> None:
        """Show the record."""
        if self._outer is not None:
            self._outer(record)
            return
        last = self._records[-1] if self._records else record
        if record.phase != last.phase or record.seconds < last.seconds:  # of another program
            self._records, self._rounds = [], []
        if record.phase == "path":
            self._least = min(record.held_out_loss, math.inf if record.n_iter == 1 else self._least)
        if record.phase == "search":
            rounds = [of for of in self._rounds if of[0] < record.round]
            self._rounds = [*rounds, (record.round, record.objective)][-2:]
        self._records = [*self._records[1 - REMEMBERED :], record]
        self._met = time.monotonic()
        logged = self._display is None or isinstance(self._display, Logged)
        if logged and self._each_record is not False:
            log(record)
        elif self._each_record and self._display is not None:
            self._display.say(self.line())

    @contextmanager
    def _with(self, stage: Stage) -> Iterator[None]:
        """A fit inside, which is at this stage."""
        before = self._stages
        self._stages = (*before, stage)
        stage.listener = self._tell_if_long
        try:
            yield
        finally:
            self._stages = before

    def _tell_if_long(self, stage: Stage) -> None:
        """Of the first work that is counted, before it begins."""
        if self._told or self._display is None or stage.ahead <= 0:
            return
        self._told = True
        if stage.forecast >= LONG:
            on = f"{stage.threads} thread{'s' * (stage.threads > 1)}"
            self._display.say(f"this may take about {roughly(stage.forecast)} on {on}")

    def line(self) -> str:
        """The line as it is now.

        Returns
        -------
        str
        """
        now, stages, records = time.monotonic(), self._stages, self._records
        parts = [duration(now - self._begin)]
        if not self._end and (left := self._left(now, stages, records)):
            parts.append(left)
        if self._end:
            parts.append(self._end)
        elif where := ": ".join(stage.text for stage in stages if stage.text):
            parts.append(where)
        elif not records:
            parts.append("preparing")
        return "  ".join([*parts, *self._of(records, any(stage.text for stage in stages))])

    def _left(self, now: float, stages: tuple[Stage, ...], records: list[Record]) -> str:
        """The time left of what is counted, or of the program."""
        if not self._time_left:
            return ""
        most = min((stage.limit - now for stage in stages), default=math.inf)
        seconds = None
        for stage in stages:
            if (of_stage := stage.seconds_left()) is not None:
                seconds = (seconds or 0.0) + of_stage
            if stage.counts_what_is_inside:
                break
        if seconds is None and all(stage.by_gap for stage in stages):
            by_gap = seconds_left(records)
            seconds = None if by_gap is None else max(0.0, by_gap - (now - self._met))
        if seconds and seconds <= most:  # without an estimate once it is used up
            return f"about {duration(seconds)} left"
        return f"at most {duration(max(0.0, most))} left" if math.isfinite(most) else ""

    def _of(self, records: list[Record], staged: bool) -> list[str]:
        """What the records say, beside a stage."""
        if not records:
            return []
        last = records[-1]
        active = f"{last.n_active} sub-networks"
        if last.phase == "path":
            loss = f"held-out loss {last.held_out_loss:.4g} at {last.alpha:.3g}"
            return [loss, f"least {self._least:.4g}", active]
        if last.phase == "passes":
            return [active] if staged else [f"pass {last.n_iter} of {last.round} over all rows", active]
        if last.phase == "certify":
            bound = f"objective {last.objective:.6g}  optimum at least {last.dual_objective:.6g}"
            of = 100 / abs(last.objective) if last.objective else math.inf
            target = f" (target {of * last.target_gap:.2g} %)" if last.target_gap > 0 else ""
            return [bound, f"gap {of * last.gap:.2g} %{target}"]
        gap = f"gap {last.gap:.1e}"
        if last.target_gap > 0 and not last.searching:  # searches end otherwise
            gap += f" (target {last.target_gap:.1e})"
        parts = [f"objective {last.objective:.6g}", gap, f"{last.n_active} active in {last.n_groups} groups"]
        rounds = f"round {last.round}"
        if last.round > 1 and last.searching and len(self._rounds) == 2:
            (_, before), (_, after) = self._rounds
            gain = (before - after) / abs(after) if after else 0.0
            rounds += f" gained {100 * gain:.2g} %"
            if last.round >= _core.LEAST_ROUNDS:
                rounds += f" (below {100 * _core.ROUND_GAIN:.2g} %, it is the last)"
        return [*parts, rounds]


@contextmanager
def showing(verbose: int) -> Iterator[None]:
    """There is a line, if `verbose` asks for it."""
    if verbose == 0 or _current.get() is not None:
        yield
        return
    with Live(each_record=verbose > 1):
        yield


@contextmanager
def part(text: str) -> Iterator[None]:
    """What fits inside are for, on the line that is there."""
    live = _current.get()
    if live is None:
        yield
        return
    with live._with(Stage(text)):
        yield


def line(verbose: int) -> Callback | None:
    """What shows records on the line that is there, if `verbose` asks for it."""
    return _current.get() if verbose > 0 else None


@contextmanager
def followed(watch: Watch, verbose: int = 0, threads: int = 1) -> Iterator[None]:
    """The line that is there has the stage of a watch and, if `verbose` asks for it, the records."""
    live, given = _current.get(), watch.callback
    if live is None:
        yield
        return
    watch.stage.threads = threads
    if line(verbose) is not None and live is not given:
        watch.callback = _both(live, given)
    try:
        with live._with(watch.stage):
            yield
    finally:
        watch.callback = given


def _both(live: Live, given: Callback | None) -> Callback:
    if given is None:
        return live

    def follow(record: Record) -> None:
        live(record)  # before a function that may raise
        given(record)

    return follow


def log(record: Record) -> None:
    """The record as a message."""
    if record.phase == "path":
        logger.info(
            "alpha %.4g: held-out loss %.6g, %d sub-networks, %.1f s",
            record.alpha,
            record.held_out_loss,
            record.n_active,
            record.seconds,
        )
        return
    if record.phase == "passes":
        message = "pass %d of %d over all rows, %.1f s"
        logger.info(message, record.n_iter, record.round, record.seconds)
        return
    logger.info(
        "iteration %d: objective %.6g, gap %.2e, %d active, %.1f s",
        record.n_iter,
        record.objective,
        record.gap,
        record.n_active,
        record.seconds,
    )


def seconds_left(records: list[Record]) -> float | None:
    """Time from the last record until the gap is at its target, if it narrows on as it did.

    The slope is that of the least-squares line through log(gap) against time. None where there is no
    telling: in a search, of fewer than three gaps, or of gaps that do not narrow.
    """
    if len(records) < 3 or records[-1].searching:
        return None
    gaps = [record.gap for record in records]
    target = records[-1].target_gap
    if not all(math.isfinite(gap) and gap > 0 for gap in gaps) or not target > 0:
        return None
    times, heights = [record.seconds for record in records], [math.log(gap) for gap in gaps]
    middle, level = sum(times) / len(times), sum(heights) / len(heights)
    spread = sum((t - middle) ** 2 for t in times)
    fall = -sum((t - middle) * (h - level) for t, h in zip(times, heights, strict=True))
    if not (spread > 0 and fall > 0):
        return None
    return max(0.0, heights[-1] - math.log(target)) * spread / fall


def duration(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def roughly(seconds: float) -> str:
    """Seconds from a minute on, to one digit, in the largest unit that they are two of."""
    unit, name = next((unit, name) for unit, name in UNITS if seconds >= 2 * unit or unit == 60)
    count = max(1, round(seconds / unit))
    return f"{count} {name}{'s' * (count > 1)}"


UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))
