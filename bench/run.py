"""All benchmarks: measures, and writes tables and plots into bench/results.

    python bench/run.py                      every suite, the rivals beside ours
    python bench/run.py --quick              a few minutes; into build/bench
    python bench/run.py gated --only P3 --rivals none
    python bench/run.py --report             tables and plots from what was measured before

Suites: products, gated, relu, path, growth, memory, predict. What was measured stays in
bench/results/SUITE.json, one record for each program and solver with its date, so that rows can be measured
again by themselves.
"""

import argparse
import sys
import time
import traceback
from pathlib import Path

import alpha_path
import common
import growth
import memory
import predict
import products
import programs
from rivals import HOME, Interpreters

TOP = common.BENCH.parent
SUITES = {
    "products": products,
    "gated": programs,
    "relu": programs,
    "path": alpha_path,
    "growth": growth,
    "memory": memory,
    "predict": predict,
}
RIVALS = (*HOME, "clarabel")
INTRODUCTION = """# Results

Written by `make bench` ([how](../README.md)); every part says when, where and at which commit it was
measured. Waiting threads do not spin (`OMP_WAIT_POLICY=PASSIVE`), and warm-up is outside the clock.
"""


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="bench/run.py"
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small problems and budgets, into build/bench")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="problems, P0 to P4, or sizes such as 5000x20x50"
    )
    parser.add_argument(
        "--fractions", type=float, nargs="+", help="of the largest alpha (default: 0.1 0.01 0.001)"
    )
    parser.add_argument(
        "--rivals", nargs="+", default=list(RIVALS), metavar="NAME", help=f"of {', '.join(RIVALS)}, or none"
    )
    parser.add_argument("--no-ours", action="store_true", help="measure the rivals only")
    parser.add_argument(
        "--threads", type=int, nargs="+", help="default: 1, and 1 and 2 where threads are the point"
    )
    parser.add_argument("--repeats", type=int, default=5, help="at most; also at most 5 seconds (default: 5)")
    parser.add_argument("--budget", type=float, help="most seconds of a run (default: 30; quick: 5)")
    parser.add_argument(
        "--patience",
        type=float,
        default=15,
        help="a rival is given up after this many times our own time, but not before 10 s (default: 15)",
    )
    parser.add_argument(
        "--resume",
        type=float,
        nargs="?",
        const=24,
        default=0,
        metavar="HOURS",
        help="keep what was measured on this machine in the last hours (24 without a number)",
    )
    parser.add_argument("--results", type=Path, help="folder of the results (default: bench/results)")
    parser.add_argument("--prepare", action="store_true", help="only make the rivals' environments")
    parser.add_argument("--optima", action="store_true", help="only compute the optima not known to 1e-9")
    parser.add_argument("--report", action="store_true", help="only write tables and plots")
    options = parser.parse_args(arguments)
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    if unknown := set(options.rivals) - set(RIVALS) - {"none"}:
        parser.error(f"no rival {', '.join(sorted(unknown))}; there are {', '.join(RIVALS)}, or none")
    options.suites = [s for s in SUITES if s in options.suites or not options.suites]
    options.solvers = [] if options.no_ours else ["pathrelu"]
    options.thread_counts = options.threads or (1, 2)
    options.threads = options.threads or (1,)
    options.budget = options.budget or (5 if options.quick else 30)
    options.least_budget = min(10, options.budget)
    options.results = options.results or (
        TOP / "build" / "bench" if options.quick else common.BENCH / "results"
    )
    options.wants = lambda name: options.only is None or name in options.only
    return options


def report(options):
    """README.md of the results, and the plots, from the records there are."""
    parts = [INTRODUCTION]
    for suite, module in SUITES.items():
        store = common.Store(options.results, suite, module.KEYS)
        if store.records:
            parts.append(module.section(suite, store))
            module.draw(suite, store, options.results / f"{suite}.png")
    page = options.results / "README.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(parts))
    print(f"  wrote {page}")


def main(arguments=None):
    options = parse(arguments)
    interpreters = Interpreters()
    if options.prepare:
        ready = [interpreters[solver] for solver in HOME]
        sys.exit(0 if all(ready) else 1)
    if options.optima:
        options.suites = [s for s in options.suites if s in programs.SUITES]
    failed = []
    if not options.report:
        print(f"{common.machine()}; commit {common.commit()}; results in {options.results}", flush=True)
        for suite in options.suites:
            start = time.monotonic()
            try:
                SUITES[suite].run(suite, options, interpreters)
            except Exception:
                # The other suites are worth having all the same.
                traceback.print_exc()
                failed.append(suite)
            print(f"{suite}: {time.monotonic() - start:.0f} s", flush=True)
    if not options.optima:
        report(options)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; --resume goes on from here")
