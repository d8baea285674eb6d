"""What a cluster of Dask costs and gains: overhead of a pass, the crossover, and a model of many workers.

    python bench/workers.py            # measures on this machine, and writes results/workers.{json,md,png}
    python bench/workers.py --report   # the page and the plot anew, from the records

Needs ``pip install pathrelu[bench,dask]``. One pass sums loss and gradients of `TREES` units over all blocks
of rows, as each evaluation of a slide does. Run it on a quiet machine: times are the least of the repeats.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
from common import commit, dates, figure, machine, now, plots, rounded, save, table

from pathrelu import _core
from pathrelu.rows import ArraySource
from pathrelu.rows import _blocks as rows
from pathrelu.rows._blocks import BLOCK_ROWS, LocalBlocks, added

RESULTS = Path(__file__).with_name("results")
COLUMNS, TREES = 30, 150
BLOCKS = (4, 16)  # of rows, 260,000 and 1 million
WORKERS = (1, 2)
REPEATS = 5
EMPTY_BLOCKS = (16, 64, 256)  # of a few rows, for what a pass costs beside its work
MODEL_WORKERS = np.unique(np.round(np.geomspace(1, 128, 29)).astype(int))
MODEL_ROWS = (1e6, 1e7, 1e8, 1e9)


def unit_sums(X, y, w, trees):
    """Loss and gradients over a block, as an evaluation of a slide has them."""
    problem = _core.Problem(
        X.block, np.ascontiguousarray(y, np.float64)[:, np.newaxis], w, "squared_error", True
    )
    return _core.block_sums(problem, [], trees, True, 1)


def nothing(X, y, w, trees):
    """Results of the same size, without the work."""
    return 0.0, np.zeros((TREES + 1, 1)), np.zeros((TREES, COLUMNS))


def problem(n):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, COLUMNS), dtype=np.float32)
    return X, np.abs(X[:, 0])


def lazy_problem(n):
    import dask.array as da

    X = da.random.default_rng(0).standard_normal((n, COLUMNS), chunks=(BLOCK_ROWS, COLUMNS))
    X = X.astype(np.float32)
    return X, abs(X[:, 0])


def least(function, client=None):
    """The least seconds of the repeats: by the clock, of processors here, and of those of workers."""
    found = []
    for _ in range(REPEATS):
        there = 0.0 if client is None else sum(client.run(time.process_time).values())
        here, begin = time.process_time(), time.perf_counter()
        function()
        seconds, cpu = time.perf_counter() - begin, time.process_time() - here
        after = 0.0 if client is None else sum(client.run(time.process_time).values())
        found.append((seconds, cpu, after - there))
    return dict(zip(("seconds", "cpu_here", "cpu_there"), map(min, zip(*found, strict=True)), strict=True))


def measure():
    """Records of passes: here, and on one and two workers of one thread each."""
    from distributed import Client, LocalCluster

    from pathrelu.dask import _blocks as on_workers

    rng = np.random.default_rng(1)
    signs, linear = np.ones((TREES, 0), np.int8), np.zeros(TREES, np.uint8)
    weights = rng.standard_normal((TREES, COLUMNS)), rng.standard_normal((TREES, 1))
    arguments = ((weights[0], signs, weights[1], linear, np.zeros(1)),)
    records = []

    def put(what, workers, blocks, seconds, **more):
        records.append(
            {"what": what, "workers": workers, "blocks": blocks, **seconds, **more}
            | {"date": now(), "machine": machine(), "commit": commit()}
        )
        print(
            f"  {what}, {workers} workers, {blocks} blocks:",
            ", ".join(f"{name} {figure(1e3 * value)} ms" for name, value in seconds.items()),
            flush=True,
        )

    for blocks in BLOCKS:
        local = LocalBlocks(ArraySource(*problem(blocks * BLOCK_ROWS)))
        put("work", 0, blocks, least(lambda local=local: local.reduce_blocks(unit_sums, added, *arguments)))
    for workers in WORKERS:
        options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
        with LocalCluster(**options, host="127.0.0.1", silence_logs=50) as cluster, Client(cluster) as client:
            for blocks in BLOCKS:
                held = on_workers.DaskBlocks(*lazy_problem(blocks * BLOCK_ROWS), client=client)
                seconds = least(lambda held=held: held.reduce_blocks(unit_sums, added, *arguments), client)
                put("work", workers, blocks, seconds, groups=len(held._groups))
                del held
            whole, most = rows.BLOCK_ROWS, on_workers.MOST_GROUPED
            rows.BLOCK_ROWS = on_workers.MOST_GROUPED = 1  # blocks of a row, which cost what a task does
            try:
                for blocks in EMPTY_BLOCKS:
                    held = on_workers.DaskBlocks(*lazy_problem(blocks), client=client)
                    seconds = least(lambda held=held: held.reduce_blocks(nothing, added, *arguments), client)
                    put("nothing", workers, blocks, seconds, groups=len(held._groups))
                    del held
            finally:
                rows.BLOCK_ROWS, on_workers.MOST_GROUPED = whole, most
    return records


def costs(records):
    """Seconds of processors for a block's work, for a pass and for a task of it at client and scheduler."""
    local = [r for r in records if r["what"] == "work" and r["workers"] == 0]
    block = float(np.median([r["cpu_here"] / r["blocks"] for r in local]))
    empty = [r for r in records if r["what"] == "nothing"]
    A = np.array([[1.0, r["groups"]] for r in empty])
    (one_pass, task), *_ = np.linalg.lstsq(A, np.array([r["cpu_here"] for r in empty]), rcond=None)
    return block, max(float(one_pass), 1e-4), max(float(task), 1e-5)


def seconds_of_pass(n, workers, block, one_pass, task):
    """The model: blocks in turns on workers of one thread, tasks one after the other at the scheduler.

    A group has as many blocks as `DaskBlocks` gives it.
    """
    blocks = np.ceil(n / BLOCK_ROWS)
    size = 2.0 ** np.floor(np.log2(np.clip(blocks / (4 * workers), 1, 8)))
    groups = np.ceil(blocks / size)
    work = np.ceil(groups / workers) * size * block
    return one_pass + np.maximum(work, groups * task)


def report(records):
    block, one_pass, task = costs(records)
    clocks = ("seconds", "cpu_here", "cpu_there")
    body = [
        [r["what"], r["workers"] or "none", r["blocks"], *(figure(1e3 * r[clock]) for clock in clocks)]
        for r in records
    ]
    sizes = np.geomspace(BLOCK_ROWS, 1e9, 4000)
    two = seconds_of_pass(sizes, 2, block, one_pass, task)
    here = np.ceil(sizes / BLOCK_ROWS) * block
    wins = sizes[two < here]
    crossover = float(wins[0]) if len(wins) else float("inf")
    model = []
    for n in MODEL_ROWS:
        alone = np.ceil(n / BLOCK_ROWS) * block
        cells = [seconds_of_pass(n, w, block, one_pass, task) for w in (10, 30, 100)]
        model.append([f"{n:.0e}", figure(alone), *(f"{figure(c)} ({figure(alone / c)}x)" for c in cells)])
    text = f"""# Workers of Dask

{dates(records)}

One pass over the rows: loss and gradients of {TREES} units on {COLUMNS} float32 columns, one thread for
each worker, all on one machine of {os.cpu_count()} cores. "nothing" returns results of the same size without
the work.

{table(["pass", "workers", "blocks", "ms", "processor here, ms", "of workers, ms"], body)}
In seconds of processors, which other work on the machine does not change:

- The work of a block ({BLOCK_ROWS:,} rows): {figure(1e3 * block)} ms.
- A pass costs {figure(1e3 * one_pass)} ms at client and scheduler, and {figure(1e3 * task)} ms for each
  task (a task is a group of up to 8 blocks of this width).
- By these, two workers are faster than one process from about {crossover:,.0f} rows of this width on. By the
  clock that shows only where each has a core of its own: other work was on this machine's cores.

## 10 to 100 workers: a model

From these three figures alone: blocks in turns on workers, the scheduler with one task after the other at
the same time, one round of messages for each pass. Assumed: workers as fast as this core, one thread each,
a network that moves the {figure(8 * TREES * COLUMNS / 1000)} kB of a result in the time that it takes here
on the loopback, no worker much slower than the others, and rows that are in memory already. Not measured on
such a cluster. It is of passes that sum over all rows. Passes of Adam work on a 32nd of the blocks at a
time, at least 4 and at most 64, so that more workers than that gain nothing there, and each such part
costs a pass at client and scheduler.

{table(["rows", "one process, s", "10 workers", "30 workers", "100 workers"], model)}
![Speed-up](workers.png)
"""
    (RESULTS / "workers.md").write_text(text)
    plt = plots()
    plot, axes = plt.subplots(figsize=(5, 3.5))
    for n in MODEL_ROWS:
        alone = np.ceil(n / BLOCK_ROWS) * block
        gain = [alone / seconds_of_pass(n, w, block, one_pass, task) for w in MODEL_WORKERS]
        axes.plot(MODEL_WORKERS, gain, label=f"{n:.0e} rows (model)")
    axes.plot(MODEL_WORKERS, MODEL_WORKERS, ":", color="gray", label="ideal")
    for r in records:
        alone = [
            q["seconds"]
            for q in records
            if (q["what"], q["workers"], q["blocks"]) == ("work", 0, r["blocks"])
        ]
        if r["what"] == "work" and r["workers"] and alone:
            axes.plot(r["workers"], alone[0] / r["seconds"], "k.")
    axes.set(
        xscale="log", yscale="log", xlabel="workers", ylabel="speed-up over one process (dots: measured)"
    )
    axes.legend(frameon=False, fontsize=8)
    plot.tight_layout()
    save(plot, RESULTS / "workers.png")
    plt.close(plot)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--report", action="store_true", help="write the page and the plot anew only")
    path = RESULTS / "workers.json"
    if not parser.parse_args().report:
        path.write_text(json.dumps(rounded(measure()), indent=0) + "\n")
    report(json.loads(path.read_text()))


if __name__ == "__main__":
    main()
