"""What a model in a service costs: processor time of one row, and memory of the process.

    python bench/serving.py [--output DIR]

Times are processor time of the process (`time.process_time`), the least mean over blocks of calls, on one
thread: other programs on the machine do not count. Memory is the resident set of a new process.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pathrelu as pr

RESULTS = Path(__file__).with_name("results")
BLOCKS = 7  # the least of so many means: what else the process does only adds
MANY, MANY_ROWS = 1000, 100_000
MEBIBYTE = 2**20

# What a server does, one step after the other, with the resident set after each.
STEPS = """
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * {page}
sizes = [resident()]
import numpy
sizes.append(resident())
import sklearn.base
sizes.append(resident())
import pathrelu
sizes.append(resident())
model = pathrelu.load({model!r})
sizes.append(resident())
model.predict_proba(numpy.zeros((1, model.n_features_in_)))
sizes.append(resident())
rows = numpy.load({rows!r})
sizes.append(resident())
model.predict_proba(rows)
sizes.append(resident())
print(*sizes)
"""


def processor_time(call: Callable[[], object], least: float = 0.2) -> float:
    """Seconds of one call."""
    call()
    count = 1
    while True:
        begin = time.process_time()
        for _ in range(count):
            call()
        if (taken := time.process_time() - begin) > least:
            break
        count *= 2 if taken < least / 4 else max(2, int(least / taken) + 1)
    best = taken / count
    for _ in range(BLOCKS - 1):
        begin = time.process_time()
        for _ in range(count):
            call()
        best = min(best, (time.process_time() - begin) / count)
    return best


def c_library(text: str, folder: Path) -> ctypes.CDLL:
    source, library = folder / "model.c", folder / "model.so"
    source.write_text(text)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
    return ctypes.CDLL(str(library))


def c_rows(library: ctypes.CDLL, X: np.ndarray) -> Callable[[], object]:
    """Probabilities of all rows, through ctypes."""
    function = library.pathrelu_predict_proba
    function.restype = None
    number = ctypes.POINTER(ctypes.c_double)
    rows = [np.ascontiguousarray(row).ctypes.data_as(number) for row in X]
    out = (ctypes.c_double * 2)()

    def call() -> object:
        for row in rows:
            function(row, out)
        return out

    return call


def latencies(folder: Path) -> list[tuple[str, float, float | None]]:
    import onnxruntime

    frame, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = frame.to_numpy()
    many = np.resize(X, (MANY, X.shape[1]))
    many_frame = frame.iloc[np.arange(MANY) % len(frame)].reset_index(drop=True)
    model = pr.PathReLUClassifier(random_state=0).fit(X, y)
    named = pr.PathReLUClassifier(random_state=0).fit(frame, y)
    model.to_onnx(folder / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    library = c_library(model.to_text(language="c"), folder)
    rivals = {
        "LogisticRegression behind StandardScaler": LogisticRegression(max_iter=1000),
        "MLPClassifier behind StandardScaler": MLPClassifier(max_iter=500, random_state=0),
    }
    pipelines = {name: make_pipeline(StandardScaler(), each).fit(X, y) for name, each in rivals.items()}
    pipelines["HistGradientBoostingClassifier"] = HistGradientBoostingClassifier(random_state=0).fit(X, y)
    single, single_frame = X[:1], frame.head(1)
    measured: list[tuple[str, Callable[[], object], Callable[[], object] | None]] = [
        (
            "`model.predict_proba`, a frame of pandas",
            lambda: named.predict_proba(single_frame),
            lambda: named.predict_proba(many_frame),
        ),
        (
            "`model.predict_proba`, an array",
            lambda: model.predict_proba(single),
            lambda: model.predict_proba(many),
        ),
        (
            "`model.network_.predict`, an array",
            lambda: model.network_.predict(single),
            lambda: model.network_.predict(many),
        ),
        (
            "ONNX Runtime, float32",
            lambda: session.run(None, {"X": single.astype(np.float32)}),
            lambda: session.run(None, {"X": many.astype(np.float32)}),
        ),
        ("the file of C, called through ctypes", c_rows(library, single), c_rows(library, many)),
    ]
    measured += [
        (name, lambda each=each: each.predict_proba(single), lambda each=each: each.predict_proba(many))
        for name, each in pipelines.items()
    ]
    return [(name, processor_time(one), processor_time(all_) / MANY) for name, one, all_ in measured]


def memory(folder: Path) -> list[tuple[str, float]]:
    frame, y = load_breast_cancer(return_X_y=True)
    path, rows = folder / "model.npz", folder / "rows.npy"
    pr.PathReLUClassifier(random_state=0).fit(frame, y).save(path)
    np.save(rows, np.resize(frame, (MANY_ROWS, frame.shape[1])))
    script = STEPS.format(page=os.sysconf("SC_PAGE_SIZE"), model=str(path), rows=str(rows))
    sizes = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    names = [
        "Python",
        "NumPy imported",
        "scikit-learn imported, which imports pandas where that is installed",
        "pathrelu imported",
        f"a model loaded, from a file of {path.stat().st_size / 1024:.0f} kB",
        "one row predicted",
        f"{MANY_ROWS:,} rows of {frame.shape[1]} columns read",
        "and predicted",
    ]
    return list(zip(names, (int(size) / MEBIBYTE for size in sizes), strict=True))


def page() -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, sizes = latencies(folder), memory(folder)
    lines = [
        "# A model in a service",
        "",
        "Made by `python bench/serving.py`.",
        "",
        "<!-- latency -->",
        "Processor time (`time.process_time`, one thread, least of seven blocks of calls) for probabilities",
        "of two classes from 30 columns, default fits on breast cancer:",
        "",
        "| by | one row | a row of 1,000 |",
        "| --- | ---: | ---: |",
    ]
    lines += [f"| {name} | {shown(one)} | {shown(each)} |" for name, one, each in rows]
    lines += [
        "<!-- end of latency -->",
        "",
        "<!-- memory -->",
        "Resident memory of a new process, after each step:",
        "",
        "| step | MB |",
        "| --- | ---: |",
    ]
    lines += [f"| {name} | {size:.0f} |" for name, size in sizes]
    return "\n".join([*lines, "<!-- end of memory -->", ""])


def shown(seconds: float) -> str:
    digits = float(f"{seconds:.2g}")
    return f"{digits * 1e3:g} ms" if digits >= 1e-3 else f"{digits * 1e6:g} µs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS)
    folder = parser.parse_args().output
    (folder / "serving.md").write_text(page())


if __name__ == "__main__":
    main()
