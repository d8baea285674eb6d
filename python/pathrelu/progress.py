"""A line that follows a fit where somebody looks: in a terminal or a notebook, with rich."""

from __future__ import annotations

import importlib.util
import logging
import math
import multiprocessing
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pathrelu._watch import Record

if TYPE_CHECKING:
    import rich.console
    import rich.live

__all__ = ["Live"]

logger = logging.getLogger("pathrelu")

REMEMBERED = 6  # checks of the gap that the estimate of the time left rests on
REFRESHES_PER_SECOND = 8
_shown = threading.Lock()  # a terminal has one last line


class Live:
    """A callback that shows its last record as one line on stderr, with the time that goes by.

    The line is there where somebody looks: in a terminal, or in a notebook with ipywidgets, if rich is
    installed (``pip install 'pathrelu[progress]'``); in the main process, for one fit at a time, and not
    beside the messages of a logger "pathrelu" that has handlers at level INFO. Otherwise records go to that
    logger. The estimators show the same line with ``verbose=1``.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to show the line if it is a terminal, whatever else holds; stderr by default.
    time_left : bool, default=True
        Whether to estimate the time left of the current program, from how fast the logarithm of its gap
        falls. It is left out where that does not tell: in a search, and while the gap does not narrow.

    Examples
    --------
    >>> import numpy as np
    >>> import pathrelu as pr
    >>> from pathrelu.progress import Live
    >>> X = np.random.default_rng(0).standard_normal((50, 3))
    >>> y = np.abs(X[:, 0])
    >>> with Live() as live:
    ...     found = pr.search(X, y, alpha=0.001, random_state=0, callback=live)
    >>> found.n_active
    2
    """

    def __init__(self, console: rich.console.Console | None = None, *, time_left: bool = True) -> None:
        self._console = console
        self._time_left = time_left
        self._records: list[Record] = []  # the last ones of the current program
        self._display: rich.live.Live | None = None
        self._begin = self._met = time.monotonic()

    def __enter__(self) -> Self:
        self._begin = time.monotonic()
        self._records.clear()
        console = _console() if self._console is None else self._console
        if console is None or not (console.is_interactive or console.is_jupyter):
            return self
        if not _shown.acquire(blocking=False):
            return self
        from rich.live import Live as Display

        self._display = Display(
            get_renderable=self._renderable,
            console=console,
            refresh_per_second=REFRESHES_PER_SECOND,
            redirect_stdout=False,
            vertical_overflow="crop",
        )
        try:
            self._display.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._display is not None:
            self._close()

    def _close(self) -> None:
        assert self._display is not None
        try:
            self._display.stop()
        finally:
            self._display = None
            _shown.release()

    @property
    def shown(self) -> bool:
        """Whether the line is there now."""
        return self._display is not None

    def __call__(self, record: Record) -> None:
        """Show the record."""
        if self._records and (record.seconds < self._records[-1].seconds):  # of another program
            self._records.clear()
        self._records = [*self._records[1 - REMEMBERED :], record]
        self._met = time.monotonic()
        if self._display is None:
            log(record)

    def _renderable(self) -> rich.console.RenderableType:
        from rich.text import Text

        return Text(self.line(), no_wrap=True, overflow="ellipsis")

    def line(self) -> str:
        """The line as it is now.

        Returns
        -------
        str
        """
        now = time.monotonic()
        records = self._records
        if not records:
            return f"pathrelu  {duration(now - self._begin)}"
        last = records[-1]
        if last.phase == "path":
            best = min(record.held_out_loss for record in records if record.phase == "path")
            parts = [f"alpha {last.alpha:.3g}", f"held-out loss {last.held_out_loss:.6g}"]
            parts += [f"least {best:.6g}", f"{last.n_active} sub-networks"]
            return "  ".join([*parts, duration(now - self._begin)])
        if last.phase == "passes":
            parts = [f"pass {last.n_iter} of {last.round} over all rows", f"{last.n_active} sub-networks"]
            return "  ".join([*parts, duration(now - self._begin)])
        parts = [f"objective {last.objective:.6g}", f"gap {last.gap:.1e}"]
        if last.target_gap > 0:
            parts[-1] += f" (target {last.target_gap:.1e})"
        parts += [f"{last.n_active} active in {last.n_groups} groups", f"round {last.round}"]
        parts.append(duration(now - self._begin))
        left = seconds_left(records) if self._time_left else None
        if left is not None:
            parts.append(f"about {duration(max(0.0, left - (now - self._met)))} left")
        return "  ".join(parts)


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


def _console() -> rich.console.Console | None:
    """A console on stderr, if somebody looks at it."""
    logged = logger.isEnabledFor(logging.INFO) and logger.hasHandlers()
    if logged or multiprocessing.current_process().name != "MainProcess":  # workers share the terminal
        return None
    if importlib.util.find_spec("rich") is None:
        return None
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_jupyter:
        return console if importlib.util.find_spec("ipywidgets") is not None else None
    return console if sys.stderr is not None and sys.stderr.isatty() else None
