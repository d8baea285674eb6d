"""Growth with rows: time and memory of default fits, beside scikit-learn's network, and what they predict.

    python bench/rows.py [--rows 10000 100000 1000000 3000000] [--output DIR]
    python bench/rows.py --disk 4    # GB of rows in a file, from which a source reads them

Each fit is a process of its own with two threads. Peak memory is what a fit adds to the process with its
data, which is in memory as float32 before; time is that of the fit alone, on the wall and of processors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).with_name("results")
COLUMNS, NOISE, TEST_ROWS = 30, 0.4, 50_000
THREADS = 2
TASKS = ("regression", "two classes", "ten classes")
METHODS = ("pathrelu", "MLP")


def rows_of(n: int, task: str, seed: int = 0):
    """A smooth function of six directions with noise, or classes by the largest of ten of them."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, COLUMNS), dtype=np.float32)
    directions = np.random.default_rng(99).standard_normal((COLUMNS, 6)) / np.sqrt(COLUMNS)
    z = (X @ directions.astype(np.float32)).astype(np.float64)
    f = np.sin(2 * z[:, 0]) + z[:, 1] * z[:, 2] + np.abs(z[:, 3]) + np.tanh(2 * z[:, 4]) + 0.5 * z[:, 5]
    f = (f - f.mean()) / f.std()
    if task == "regression":
        return X, f + NOISE * rng.standard_normal(n)
    if task == "two classes":
        return X, (f + NOISE * rng.standard_normal(n) > 0).astype(np.int64)
    scores = [np.sin((k + 1) * z[:, k % 6] / 2) + z[:, (k + 1) % 6] * z[:, (k + 2) % 6] for k in range(10)]
    return X, (2 * np.stack(scores, 1) + rng.gumbel(size=(n, 10))).argmax(1)


def model_of(method: str, task: str):
    if method == "MLP":
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        kind = MLPRegressor if task == "regression" else MLPClassifier
        return kind(early_stopping=True, random_state=0)
    import pathrelu as pr

    kind = pr.PathReLURegressor if task == "regression" else pr.PathReLUClassifier
    return kind(n_threads=THREADS, random_state=0)


def measure(method: str, task: str, n: int) -> dict[str, object]:
    """One fit in this process."""
    from sklearn.metrics import log_loss

    model = model_of(method, task)
    small, small_y = rows_of(1000, task)
    model_of(method, task).set_params(random_state=1).fit(small[:400], small_y[:400])  # warm
    X, y = rows_of(n + TEST_ROWS, task)
    X, new, y, target = X[:n].copy(), X[n:].copy(), y[:n].copy(), y[n:].copy()
    before = new_peak()
    wall, processor = time.perf_counter(), time.process_time()
    model.fit(X, y)
    found = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    found |= {"data": X.nbytes / 1e6, "above_data": memory("VmHWM") - before}
    found["score"] = float(model.score(new, target))
    if task != "regression":
        found["log_loss"] = float(log_loss(target, model.predict_proba(new)))
    return found


def measure_disk(gigabytes: float) -> dict[str, object]:
    """One fit of a regression whose rows are in a file; this process never has more than a chunk of them."""
    from pathrelu.rows import ArraySource

    chunk, files = 1 << 20, []
    n = max(round(gigabytes * 1e9 / (4 * COLUMNS * chunk)), 1) * chunk
    with tempfile.TemporaryDirectory() as directory:
        for name, shape in (("X", (n, COLUMNS)), ("y", (n,))):
            files.append(np.memmap(Path(directory) / name, np.float32, "w+", shape=shape))
        X, y = files
        for k, start in enumerate(range(0, n, chunk)):
            X[start : start + chunk], y[start : start + chunk] = rows_of(chunk, "regression", k)
            X.flush()
        del X, y
        files = [np.memmap(f.filename, np.float32, "r", shape=f.shape) for f in files]
        model = model_of("pathrelu", "regression")
        before = new_peak()
        wall, processor = time.perf_counter(), time.process_time()
        model.fit(ArraySource(*files))
        found = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
        found |= {"n": n, "data": files[0].nbytes / 1e6, "before": before, "peak": memory("VmHWM")}
        found |= {
            "passes": model.n_passes_,
            "score": float(model.score(*rows_of(TEST_ROWS, "regression", n))),
        }
        return found


def memory(entry: str) -> float:
    """Resident memory of this process in MB: now (VmRSS) or the most there was (VmHWM). Linux only."""
    status = Path("/proc/self/status").read_text()
    return float(status.split(f"{entry}:")[1].split()[0]) / 1000


def new_peak() -> float:
    """Forget the most there was; what there is now."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def report(records: list[dict], directory: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [
        "# Growth with rows",
        "",
        f"{COLUMNS} columns of float32, {THREADS} threads; made by `python bench/rows.py`. Memory is what",
        "the fit adds to the process with its data, at its peak.",
        "",
        "| task | rows | method | score | log-loss | seconds | processor | MB above data | MB of data |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in records:
        loss = f"{r['log_loss']:.4f}" if "log_loss" in r else ""
        lines.append(
            f"| {r['task']} | {r['n']:,} | {r['method']} | {r['score']:.4f} | {loss} | {r['wall']:.1f} | "
            f"{r['processor']:.1f} | {r['above_data']:.0f} | {r['data']:.0f} |"
        )
    lines += ["", "![Seconds and memory of the regression against rows](rows.png)"]
    disk = directory / "disk.json"
    if disk.exists():
        r = json.loads(disk.read_text())
        lines += [
            "",
            "## From a file",
            "",
            f"`python bench/rows.py --disk 4`: {r['n']:,} rows of a regression, {r['data'] / 1e3:.2f} GB of",
            f"`numpy.memmap` by `ArraySource`: {r['passes']} passes in {r['wall']:.0f} s, R²",
            f"{r['score']:.3f}; resident memory of the process at most {r['peak'] / 1e3:.2f} GB, pages of",
            f"the file included ({r['before'] / 1e3:.2f} GB before the fit).",
        ]
    (directory / "rows.md").write_text("\n".join(lines) + "\n")
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    # Okabe and Ito's.
    styles = dict(zip(METHODS, (("o", "#0072B2"), ("s", "#D55E00")), strict=True))
    for method in METHODS:
        own = [r for r in records if r["method"] == method and r["task"] == "regression"]
        n = [r["n"] for r in own]
        style = dict(zip(("marker", "color"), styles[method], strict=True)) | {"label": method}
        axes[0].loglog(n, [r["wall"] for r in own], **style)
        axes[1].loglog(n, [max(r["above_data"], 1) for r in own], **style)
    data = [r for r in records if r["method"] == METHODS[0] and r["task"] == "regression"]
    axes[1].loglog([r["n"] for r in data], [r["data"] for r in data], "k--", label="the data itself")
    for axis, name in zip(axes, ("seconds of a fit", "MB above the data"), strict=True):
        axis.set(xlabel=f"rows of {COLUMNS} columns", ylabel=name, title="Regression")
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_formatter(lambda value, place: f"{value:,.0f}")
        axis.legend(frameon=False)
        axis.grid(alpha=0.3)
    figure.savefig(directory / "rows.png", dpi=200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 3_000_000])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--disk", type=float, metavar="GB", help="one fit of rows in a file instead")
    parser.add_argument("--one", nargs=3, metavar=("METHOD", "TASK", "ROWS"), help="one fit, as JSON")
    given = parser.parse_args()
    if given.one:
        method, task, n = given.one
        print(json.dumps(measure(method, task, int(n))))
        return
    given.output.mkdir(parents=True, exist_ok=True)
    if given.disk:
        (given.output / "disk.json").write_text(json.dumps(measure_disk(given.disk), indent=1) + "\n")
        report(json.loads((given.output / "rows.json").read_text()), given.output)
        return
    records = []
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
    for task in given.tasks:
        for n in given.rows:
            for method in given.methods:
                command = [sys.executable, __file__, "--one", method, task, str(n)]
                done = subprocess.run(command, env=os.environ | threads, capture_output=True, check=True)
                record = {"task": task, "n": n, "method": method} | json.loads(done.stdout)
                print(json.dumps(record), flush=True)
                records.append(record)
    (given.output / "rows.json").write_text(json.dumps(records, indent=1) + "\n")
    report(records, given.output)


if __name__ == "__main__":
    main()
