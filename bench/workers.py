"""What a cluster of Dask costs and gains: overhead of a pass, the crossover, and a model of many workers.

    python bench/workers.py            # measures on this machine, and writes results/workers.{json,md,png}
    python bench/workers.py --report   # the page and the plot anew, from the records

Needs ``pip install pathrelu[bench,dask]``, and some two minutes. The passes are those that a fit mostly
makes: steps of Adam over all blocks of rows with `TREES` units, group by group. Run it on a quiet machine:
times are the least of the repeats.
"""

import argparse
import itertools
import json
import os
import time
from pathlib import Path

import numpy as np
from common import commit, dates, figure, machine, now, plots, rounded, save, table

from pathrelu import _core
from pathrelu.program._stochastic import Step, averaged, blocks_of_group
from pathrelu.rows import ArraySource
from pathrelu.rows import _blocks as rows
from pathrelu.rows._blocks import BLOCK_ROWS, LocalBlocks

RESULTS = Path(__file__).with_name("results")
COLUMNS, TREES = 30, 150
BLOCKS = (4, 16)  # of rows, 260,000 and 1 million
WORKERS = (1, 2)
REPEATS = 3
EMPTY_BLOCKS = (32, 128)  # of a few rows, for what a pass costs beside its work
HELD_TOGETHER = (1, 4)  # of these, at most
EMPTY_ROWS = 16
MODEL_WORKERS = np.unique(np.round(np.geomspace(1, 128, 29)).astype(int))
MODEL_ROWS = (1e6, 1e7, 1e8, 1e9)


def as_program(X, y, w):
    """What fits make of raw rows, which these need not be."""
    return X.block, np.ascontiguousarray(y, np.float64)[:, np.newaxis], w


class Nothing:
    """States as steps have them, without the work."""

    def __call__(self, X, y, w, state, k):
        return state


def steps():
    """A pass of Adam and the state that it starts from."""
    rng = np.random.default_rng(1)
    leaves, own = rng.standard_normal((TREES, COLUMNS)), np.sign(rng.standard_normal((TREES, 1)))
    trees = (leaves, np.ones((TREES, 0), np.int8), own, np.zeros(TREES, np.uint8), np.zeros(1))
    step = Step(trees, 1e-4, "squared_error", [], False, True, 1.0, 0, 0, 1, 1e-3, 1, None)
    x = _core.slide_variables(trees, [], False, True, 1.0)
    return step, (x, np.zeros_like(x), np.zeros_like(x), 0)


def one_pass(held, function, state):
    held.fold_blocks(function, averaged, state, blocks_of_group(BLOCK_ROWS * held.n_blocks, held.n_blocks))


def problem(n):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, COLUMNS), dtype=np.float32)
    return X, np.abs(X[:, 0])


def lazy_problem(n, chunk=BLOCK_ROWS):
    import dask.array as da

    X = da.random.default_rng(0).standard_normal((n, COLUMNS), chunks=(chunk, COLUMNS))
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

    step, state = steps()
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
        local = LocalBlocks(ArraySource(*problem(blocks * BLOCK_ROWS))).prepared(as_program)
        put("work", 0, blocks, least(lambda local=local: one_pass(local, step, state)))
    for workers in WORKERS:
        options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
        with LocalCluster(**options, host="127.0.0.1", silence_logs=50) as cluster, Client(cluster) as client:
            client.wait_for_workers(workers)

            def pass_over(what, blocks, held, function, workers=workers, client=client):
                one_pass(held, function, state)  # warm
                seconds = least(lambda: one_pass(held, function, state), client)
                put(what, workers, blocks, seconds, rounds=rounds(blocks), tasks=tasks(blocks, held._size))

            for blocks in BLOCKS:
                held = on_workers.DaskBlocks(*lazy_problem(blocks * BLOCK_ROWS), client=client)
                pass_over("work", blocks, held.prepared(as_program), step)
                del held
            whole, rows.BLOCK_ROWS = on_workers.MOST_GROUPED, EMPTY_ROWS
            try:
                for blocks, most in itertools.product(EMPTY_BLOCKS, HELD_TOGETHER):
                    on_workers.MOST_GROUPED = most
                    lazy = lazy_problem(blocks * EMPTY_ROWS, EMPTY_ROWS)
                    held = on_workers.DaskBlocks(*lazy, client=client)
                    pass_over("nothing", blocks, held, Nothing())
                    del held
            finally:
                rows.BLOCK_ROWS, on_workers.MOST_GROUPED = BLOCK_ROWS, whole
    return records


def rounds(blocks):
    """Groups of a pass, one after the other."""
    return -(-blocks // blocks_of_group(BLOCK_ROWS * blocks, blocks))


def tasks(blocks, size):
    """Parts of groups that are tasks, where workers hold so many blocks together."""
    group = blocks_of_group(BLOCK_ROWS * blocks, blocks)
    return sum(-(-min(group, blocks - begin) // size) for begin in range(0, blocks, group))


def costs(records):
    """Seconds of processors: of a block's work, and of a group and a task at client and scheduler."""
    local = [r for r in records if r["what"] == "work" and r["workers"] == 0]
    block = float(np.median([r["cpu_here"] / r["blocks"] for r in local]))
    empty = [r for r in records if r["what"] == "nothing"]
    A = np.array([[r["rounds"], r["tasks"]] for r in empty], float)
    found, *_ = np.linalg.lstsq(A, np.array([r["cpu_here"] for r in empty]), rcond=None)
    one_round, task = (max(float(value), 1e-4) for value in found)
    return block, one_round, task


def seconds_of_pass(n, workers, block, one_round, task):
    """The model: rounds one after the other, in each of which tasks take turns on workers of one thread.

    Groups, and blocks of a task, are as many as `stochastic_slide` and `DaskBlocks` make them.
    """
    from pathrelu.dask._blocks import blocks_held_together

    blocks = int(np.ceil(n / BLOCK_ROWS))
    group = blocks_of_group(int(n), blocks)
    size = blocks_held_together(blocks, group, int(workers))
    each = -(-min(group, blocks) // size)
    work = -(-each // workers) * min(size, group) * block
    return -(-blocks // group) * (one_round + max(work, each * task))


def report(records):
    block, one_round, task = costs(records)
    clocks = ("seconds", "cpu_here", "cpu_there")
    body = [
        [
            r["what"],
            r["workers"] or "none",
            r["blocks"],
            r.get("tasks", ""),
            *(figure(1e3 * r[clock]) for clock in clocks),
        ]
        for r in records
    ]
    sizes = np.geomspace(BLOCK_ROWS, 1e9, 400)
    two = np.array([seconds_of_pass(n, 2, block, one_round, task) for n in sizes])
    here = np.ceil(sizes / BLOCK_ROWS) * block
    later = np.flatnonzero(two >= here)  # from behind the last of these on
    crossover = sizes[later[-1] + 1] if len(later) and later[-1] + 1 < len(sizes) else sizes[0]
    measured = {(r["workers"], r["blocks"]): r["seconds"] for r in records if r["what"] == "work"}
    most = max(BLOCKS)
    scaling = measured[1, most] / measured[2, most]
    against = measured[0, most] / measured[2, most]
    model = []
    for n in MODEL_ROWS:
        alone = np.ceil(n / BLOCK_ROWS) * block
        cells = [seconds_of_pass(n, w, block, one_round, task) for w in (10, 30, 100)]
        model.append([f"{n:.0e}", figure(alone), *(f"{figure(c)} ({figure(alone / c)}x)" for c in cells)])
    text = f"""# Workers of Dask

{dates(records)}

One pass over the rows: steps of Adam with {TREES} units on {COLUMNS} float32 columns, by groups of blocks
that start from the same state and whose results are averaged. One thread for each worker, all on one machine
of {os.cpu_count()} cores. "nothing" returns states of the same size without the work.

{table(["pass", "workers", "blocks", "tasks", "ms", "processor here, ms", "of workers, ms"], body)}
In seconds of processors, which other work on the machine hardly changes:

- The work of a block ({BLOCK_ROWS:,} rows): {figure(1e3 * block)} ms.
- A group of blocks costs {figure(1e3 * one_round)} ms at client and scheduler, and {figure(1e3 * task)} ms
  for each of its tasks: a task is a few blocks that a worker holds together.
- By these, two workers with a core each are faster than one process from about {crossover:,.0f} rows of
  this width on.

By the clock of this machine, on whose cores client and scheduler work too, a pass over {most} blocks was
{figure(scaling)} times as fast on two workers as on one, and {figure(against)} times as fast as in one
process.

## 10 to 100 workers: a model

From these three figures alone: groups one after the other, the tasks of a group in turns on workers, and
handed out one after the other at the same time. Assumed: workers as fast as this core, one thread each,
a network that moves the {figure(3 * 8 * TREES * (COLUMNS + 1) / 1000)} kB of a state in the time that it
takes here on the loopback, no worker much slower than the others, and rows that are in memory already. Not
measured on such a cluster. A group is a 32nd of the blocks, at least 4 and at most 64, which is as many
workers as have work in such a pass.

{table(["rows", "one process, s", "10 workers", "30 workers", "100 workers"], model)}
![Speed-up](workers.png)
"""
    (RESULTS / "workers.md").write_text(text)
    plt = plots()
    plot, axes = plt.subplots(figsize=(5, 3.5))
    for n in MODEL_ROWS:
        alone = np.ceil(n / BLOCK_ROWS) * block
        gain = [alone / seconds_of_pass(n, w, block, one_round, task) for w in MODEL_WORKERS]
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
