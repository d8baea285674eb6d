"""Suite `products`: the masked products against NumPy's GEMM, from the pytest-benchmarks beside this file."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import (
    BENCH,
    Store,
    dates,
    figure,
    legend_above,
    of_threads,
    plots,
    save,
    table,
    thread_environment,
)

KEYS = ("product", "size", "dtype", "threads")
SIZES = ("5000x20x50", "20000x100x50", "60000x784x50", "5000x20x1000", "20000x100x1000", "60000x784x500")
QUICK = ("5000x20x50", "5000x20x1000")
GOAL = 3
NAME = re.compile(r"test_(?P<product>\w+)_by_(?P<side>\w+)\[(?P<dtype>\w+)-\w+-(?P<threads>\d+) threads?\]")


def run(suite, options, interpreters):
    store = Store(options.results, suite, KEYS, options.resume)
    for size in QUICK if options.quick else SIZES:
        keys = [
            {"product": product, "size": size, "dtype": dtype, "threads": threads}
            for product in ("adjoint", "forward")
            for dtype in ("float32", "float64")
            for threads in options.thread_counts
        ]
        if options.wants(size) and not all(store.fresh(**key) for key in keys):
            measure(store, size, options)


def measure(store, size, options):
    # OpenBLAS is to choose its kernels by the processor, whatever else a machine asks of it.
    environment = {**os.environ, **thread_environment(max(options.thread_counts))}
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        environment.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "benchmark.json"
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
        command += [str(BENCH / "test_bench_operators.py"), f"-k=-{size}-", "--benchmark-enable"]
        command += ["--benchmark-quiet", "--benchmark-max-time=0.5", f"--benchmark-json={output}"]
        done = subprocess.run(command, env=environment, cwd=BENCH.parent, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"masked products of {size} failed:\n{done.stdout}{done.stderr}")
        found = json.loads(output.read_text())["benchmarks"]
    seconds = {}
    for benchmark in found:
        match = NAME.fullmatch(benchmark["name"])
        key = (match["product"], match["dtype"], int(match["threads"]))
        if key[2] in options.thread_counts:
            seconds.setdefault(key, {})[match["side"]] = benchmark
    for (product, dtype, threads), sides in sorted(seconds.items()):
        ours, numpy = (sides[side]["stats"]["min"] for side in ("tables", "numpy"))
        extra = sides["numpy"]["extra_info"]
        store.put(
            **{"product": product, "size": size, "dtype": dtype, "threads": threads},
            **{"ours": ours, "numpy": numpy, "kernels": extra["kernels"], "blas": extra["blas"]},
        )
        print(
            f"  {product} {size} {dtype} {of_threads(threads)}: {1e3 * ours:.2f} ms, "
            f"NumPy {1e3 * numpy:.2f} ms: {figure(numpy / ours)} times",
            flush=True,
        )


def order(record):
    return record["product"], SIZES.index(record["size"]), record["dtype"], record["threads"]


def section(suite, store):
    rows = [
        [
            *(r["product"], r["size"], r["dtype"], r["threads"]),
            *(f"{1e3 * r['ours']:.3g} ms", f"{1e3 * r['numpy']:.3g} ms", figure(r["numpy"] / r["ours"])),
        ]
        for r in sorted(store.records, key=order)
    ]
    kinds = ", ".join(sorted({f"kernels {r['kernels']} against {r['blas']}" for r in store.records}))
    return f"""## Masked products

{dates(store.records)} {kinds[0].upper() + kinds[1:]}.

The adjoint and the forward product by tables against NumPy's product with the already masked matrix, the
product alone; n x d x P, least of the repeats. Goal: {GOAL} times, and never slower with P = 50.

{table(["product", "size", "dtype", "threads", "ours", "NumPy", "ratio"], rows)}
![Masked products]({suite}.png)
"""


def draw(suite, store, path):
    plt = plots()
    plot, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    kinds = sorted({(r["dtype"], r["threads"]) for r in store.records})
    shades = ("#56B4E9", "#0072B2", "#F5B041", "#D55E00", "#AAAAAA", "#555555")
    sizes = [s for s in SIZES if any(r["size"] == s for r in store.records)]
    for ax, product in zip(axes, ("adjoint", "forward"), strict=True):
        for k, kind in enumerate(kinds):
            ratios = {
                r["size"]: r["numpy"] / r["ours"]
                for r in store.records
                if r["product"] == product and (r["dtype"], r["threads"]) == kind
            }
            width = 0.8 / len(kinds)
            places = np.arange(len(sizes)) + (k - (len(kinds) - 1) / 2) * width
            label = f"{kind[0]}, {of_threads(kind[1])}"
            ax.bar(places, [ratios.get(s, 0) for s in sizes], width, color=shades[k % 6], label=label)
        ax.axhline(1, color="k", lw=0.8, label="as fast")
        ax.axhline(GOAL, color="k", lw=0.8, ls=":", label="goal")
        ax.set_xticks(range(len(sizes)), [size.replace("x", "\n× ") for size in sizes])
        ax.set_xlabel("rows × columns × arrangements")
        ax.set_title(product)
        ax.grid(axis="x", visible=False)
    axes[0].set_ylabel("NumPy's time / ours")
    legend_above(plot)
    save(plot, path)
    plt.close(plot)
