"""Where the line that follows a fit is shown."""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import shutil
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import rich.console

REFRESHES_PER_SECOND = 8
LINE_SECONDS = 1.5  # where no line can be written over: below two with what a busy processor takes
MOST_COLUMNS = 1000
CLOSED = (OSError, ValueError)  # of a stream whose reader is gone


class Display(ABC):
    """Shows a `line` that changes, from when it has `begun`."""

    shared = False  # whether several may be there at a time

    def __init__(self, line: Callable[[], str], begun: Callable[[], bool]) -> None:
        self.line, self.begun = line, begun

    @abstractmethod
    def say(self, text: str) -> None:
        """Write something that stays."""

    @abstractmethod
    def close(self) -> None:
        """End with the line as it is."""


class Rich(Display):
    """A terminal or a notebook with ipywidgets."""

    def __init__(self, line: Callable[[], str], begun: Callable[[], bool], console: rich.console.Console):
        super().__init__(line, begun)
        from rich.live import Live
        from rich.text import Text

        def shown() -> Text:
            return Text(line() if begun() else "", no_wrap=True, overflow="ellipsis")

        self._live = Live(
            get_renderable=shown,
            console=console,
            refresh_per_second=REFRESHES_PER_SECOND,
            redirect_stdout=False,
            vertical_overflow="crop",
        )
        self._live.start()

    def say(self, text: str) -> None:
        self._live.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        self._live.transient = not self.begun()
        self._live.stop()


class Ticking(Display):
    """A line that a thread shows again and again."""

    def __init__(self, line: Callable[[], str], begun: Callable[[], bool], interval: float) -> None:
        super().__init__(line, begun)
        self._end = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, args=(interval,), name="pathrelu", daemon=True)
        self._thread.start()

    @abstractmethod
    def show(self, text: str) -> None: ...

    def _run(self, interval: float) -> None:
        while not self._end.wait(interval):
            if self.begun() and not self._tried(self.show, self.line()):
                return

    def _tried(self, write: Callable[[str], object], text: str) -> bool:
        """Whether there is still somebody to write to; a fit goes on without."""
        try:
            with self._writing:
                write(text)
        except CLOSED:
            self._end.set()
        return not self._end.is_set()

    def close(self) -> None:
        gone = self._end.is_set()
        self._end.set()
        self._thread.join()
        if self.begun() and not gone:
            self._tried(self.show, self.line())


class Tqdm(Ticking):
    """A terminal without rich."""

    def __init__(self, line: Callable[[], str], begun: Callable[[], bool]) -> None:
        from tqdm import tqdm

        # A terminal that tells no size is one of 80 columns here, and one of none for tqdm.
        self._bar = tqdm(total=0, bar_format="{desc}", file=sys.stderr, ncols=MOST_COLUMNS, nrows=2)
        super().__init__(line, begun, 1 / REFRESHES_PER_SECOND)

    def show(self, text: str) -> None:
        columns = shutil.get_terminal_size().columns
        self._bar.set_description_str(text if len(text) < columns else text[: columns - 2] + "…")

    def say(self, text: str) -> None:
        self._tried(lambda text: self._bar.write(text, file=sys.stderr), text)

    def close(self) -> None:
        super().close()
        self._bar.leave = self.begun()
        self._bar.close()


class Lines(Ticking):
    """A pipe, a file, or a notebook without widgets."""

    def __init__(self, line: Callable[[], str], begun: Callable[[], bool], stream: Any) -> None:
        self._stream = stream
        super().__init__(line, begun, LINE_SECONDS)

    def show(self, text: str) -> None:
        self._stream.write(f"pathrelu  {text}\n")
        self._stream.flush()

    def say(self, text: str) -> None:
        self._tried(self.show, text)


class Logged(Ticking):
    """The log of a program that has set one up."""

    shared = True

    def __init__(self, line: Callable[[], str], begun: Callable[[], bool], logger: logging.Logger) -> None:
        self._logger = logger
        super().__init__(line, begun, LINE_SECONDS)

    def show(self, text: str) -> None:
        self._logger.info("%s", text)

    say = show

    def close(self) -> None:  # what was found is in the log, whose lines have their time
        self._end.set()
        self._thread.join()


def kind_of_display(
    console: rich.console.Console | None, logger: logging.Logger
) -> tuple[type[Display], tuple[Any, ...]] | None:
    """For the console given, or where somebody looks, and what else it is made of; None where nobody does."""
    if console is not None:
        live = console.is_interactive or console.is_jupyter
        return (Rich, (console,)) if live else (Lines, (console.file,))
    if multiprocessing.current_process().name != "MainProcess":  # workers share the terminal
        return None
    if logger.isEnabledFor(logging.INFO) and logger.hasHandlers():
        return Logged, (logger,)
    if sys.stderr is None:
        return None
    terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    if importlib.util.find_spec("rich") is not None:
        from rich.console import Console

        console = Console(stderr=True)
        widgets = console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None
        if widgets or (terminal and console.is_interactive and not console.is_jupyter):
            return Rich, (console,)
    if terminal and importlib.util.find_spec("tqdm") is not None:
        return Tqdm, ()
    return Lines, (sys.stderr,)
