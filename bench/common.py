"""What the suites share: records of measurements, worker processes, tables and plots."""

import datetime
import functools
import json
import math
import os
import platform
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from solvers import peak_memory

BENCH = Path(__file__).resolve().parent
# Colours that people who see few of them can tell apart (Okabe and Ito); ours is the dark line.
COLOURS = {
    "pathrelu": "#000000",
    "adelie": "#D55E00",
    "scnn": "#0072B2",
    "celer": "#009E73",
    "skglm": "#CC79A7",
    "clarabel": "#E69F00",
}
MARKERS = {"pathrelu": "o", "adelie": "s", "scnn": "^", "celer": "D", "skglm": "v", "clarabel": "P"}


def machine():
    """Processor, cores and system, as the records state them."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


@functools.cache
def commit():
    """Commit of the source tree, with a + if files other than results differ from it."""
    git = ["git", "-C", str(BENCH.parent)]
    try:
        run = functools.partial(subprocess.run, capture_output=True, text=True, check=True)
        name = run([*git, "rev-parse", "--short", "HEAD"]).stdout.strip()
        status = [*git, "status", "--porcelain", "--", ".", ":!bench/results", ":!bench/optima.json"]
        return name + ("+" if run(status).stdout.strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def now():
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M")


def rounded(value, digits=5):
    """The same structure with floats to a number of digits, for files that people can read."""
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{digits}g}")
    return value


class Store:
    """Records of one suite in a JSON file, one a line, each with its key, date, machine and commit.

    A record replaces the one of the same key. It is written at once, so a suite that was stopped can go on
    from there: `fresh` tells what need not be measured again.
    """

    def __init__(self, folder, suite, keys, resume_hours=0.0):
        self.path, self.keys, self.hours = folder / f"{suite}.json", keys, resume_hours
        self.records = json.loads(self.path.read_text()) if self.path.exists() else []

    def key(self, record):
        return tuple(record[k] for k in self.keys)

    def find(self, **key):
        return next((r for r in self.records if all(r[k] == key[k] for k in self.keys)), None)

    def fresh(self, **key):
        """Whether a record is recent enough, and of this machine, for a resumed run to keep it."""
        record = self.find(**key)
        if record is None or not self.hours or record["machine"] != machine():
            return False
        date = datetime.datetime.strptime(record["date"], "%Y-%m-%d %H:%M").replace(tzinfo=datetime.UTC)
        return datetime.datetime.now(datetime.UTC) - date < datetime.timedelta(hours=self.hours)

    def put(self, **record):
        record = rounded({**record, "date": now(), "machine": machine(), "commit": commit()})
        self.records = [r for r in self.records if self.key(r) != self.key(record)] + [record]
        self.records.sort(key=lambda r: [str(part) for part in self.key(r)])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = "[\n" + ",\n".join(json.dumps(r) for r in self.records) + "\n]\n"
        part = self.path.with_suffix(".part")
        part.write_text(text)
        part.replace(self.path)
        return record


def thread_environment(threads):
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    return {"OMP_WAIT_POLICY": "PASSIVE", **{f"{name}_NUM_THREADS": str(threads) for name in names}}


class Worker:
    """A process that reads one job and writes events; `events` ends it when it is silent for too long."""

    def __init__(self, python, script, job, threads):
        environment = {**os.environ, **thread_environment(threads)}
        if Path(python) != Path(sys.executable):
            environment.pop("PYTHONPATH", None)
        self.process = subprocess.Popen(
            [str(python), str(BENCH / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self.lines, self.messages, self.peak = queue.Queue(), [], None
        self.readers = [
            threading.Thread(target=self.read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.lines.put), (self.process.stderr, self.messages.append))
        ]
        for reader in self.readers:
            reader.start()
        try:
            self.process.stdin.write(json.dumps(job))
            self.process.stdin.close()
        except BrokenPipeError:
            pass

    def read(self, pipe, take):
        for line in pipe:
            take(line)
        take(None)

    def events(self, silence):
        """Events until the last one; then "late", or "failed" with a message, if it went wrong.

        `silence` is called with the last event and gives the seconds to wait for the next one.
        """
        last = {"event": "none"}
        try:
            while True:
                try:
                    line = self.lines.get(timeout=silence(last))
                except queue.Empty:
                    self.peak = peak_memory(self.process.pid)
                    yield {"event": "late"}
                    return
                if line is None:
                    break
                last = json.loads(line)
                yield last
            self.process.wait()
            if last["event"] != "done":
                self.readers[1].join(timeout=5)
                text = "".join(m for m in self.messages if m).strip().splitlines()
                message = text[-1] if text else f"exit code {self.process.returncode}"
                yield {"event": "failed", "message": message}
        finally:
            self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


class Late(Exception):
    """A solve took longer than its budget."""


class Deadline:
    """Callback of `solve` that stops it after some seconds."""

    def __init__(self, seconds):
        self.seconds, self.end = seconds, time.monotonic() + seconds

    def __call__(self, record):
        if time.monotonic() > self.end:
            raise Late(f"no result within {self.seconds:g} s")


def least_time(run, repeats=5, seconds=5.0):
    """Least seconds of up to `repeats` runs that together last `seconds`, and what the last one returned."""
    least, spent = math.inf, 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        elapsed = time.perf_counter() - start
        least, spent = min(least, elapsed), spent + elapsed
        if spent > seconds:
            break
    return least, result


def table(header, rows):
    """Markdown table; columns of figures are aligned to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    figures = [all(row[k][:1] in "0123456789-≥><~" for row in rows) for k in range(len(header))]
    line = ["---:" if right else "---" for right in figures]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, line, *rows]) + "\n"


def figure(value, digits=3):
    """A number of seconds or a ratio as people write it."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}"


def of_threads(count):
    return f"{count} thread{'' if count == 1 else 's'}"


def geometric_mean(values):
    return float(np.exp(np.mean(np.log(values)))) if len(values) else math.nan


def exponent(sizes, seconds):
    """Slope of the line through the logarithms, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def dates(records):
    """When, where and of what commit the records were measured, in a line."""
    if not records:
        return "Nothing measured yet."
    days = sorted({r["date"] for r in records})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    where = "; ".join(sorted({r["machine"] for r in records}))
    what = ", ".join(sorted({r["commit"] for r in records}))
    return f"Measured {when} UTC on {where}; commit {what}."


def plots():
    """The plotting module, without a display."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "axes.grid": True,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.dpi": 100,
            "savefig.dpi": 200,
            "font.size": 9,
            "grid.alpha": 0.3,
            "grid.linewidth": 0.5,
            "lines.linewidth": 1.4,
            "lines.markersize": 4,
            "savefig.bbox": "tight",
        }
    )
    return plt


def plain_ticks(axis):
    """Numbers on a logarithmic axis as people write them, and few enough to be read."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    low, high = axis.get_view_interval()
    # Two decades and more are told by their powers of ten, and a part of one as on a linear axis.
    subs = (1.0,) if high > 100 * low else (1.0, 2.0, 5.0)
    narrow = high < 3 * low
    axis.set_major_locator(MaxNLocator(4) if narrow else LogLocator(subs=subs, numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def legend_above(plot, first="pathrelu"):
    """One legend for all axes, over them."""
    pairs = [ax.get_legend_handles_labels() for ax in plot.axes]
    found = {
        label: handle for handles, labels in pairs for handle, label in zip(handles, labels, strict=True)
    }
    found = {label: found[label] for label in sorted(found, key=lambda label: label != first)}
    if found:
        plot.legend(found.values(), found.keys(), loc="upper center", ncol=len(found), frameon=False)
    plot.tight_layout(rect=(0, 0, 1, 1 - 0.35 / plot.get_figheight()))


def save(plot, path):
    plot.savefig(path, metadata={"Software": None})
    print(f"  wrote {path}")
