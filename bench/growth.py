"""Suite `growth`: time against rows, columns, arrangements and threads, to a relative gap of 1e-4."""

import math
import warnings

import numpy as np
from common import (
    Deadline,
    Late,
    Store,
    dates,
    exponent,
    figure,
    least_time,
    of_threads,
    plain_ticks,
    plots,
    save,
    table,
)
from problems import NOISE, standardised

KEYS = ("activation", "vary", "size", "threads")
# Each goes over a factor of 16 about the middle of the others.
MIDDLE = {"gated": {"n": 4000, "d": 40, "P": 400}, "relu": {"n": 2000, "d": 20, "P": 200}}
FACTORS = (0.25, 0.5, 1, 2, 4)
FRACTION, TOL, TEACHER_UNITS = 0.1, 1e-4, 10
SEEDS = (0, 1, 2)
LABELS = {"n": "rows n", "d": "columns d", "P": "arrangements P"}
COLOURS = {"n": "#0072B2", "d": "#D55E00", "P": "#009E73"}


def problem(seed, n, d, P):
    """Of the kind of P1 to P3: a teacher with noise on standardised Gaussian rows."""
    rng = np.random.default_rng([seed, n, d, P])
    X = np.ascontiguousarray(standardised(rng.standard_normal((n, d))))
    f = np.maximum(X @ rng.standard_normal((d, TEACHER_UNITS)) / math.sqrt(d), 0) @ rng.standard_normal(
        TEACHER_UNITS
    )
    y = (f - f.mean()) / f.std() + NOISE * rng.standard_normal(n)
    return X, y, rng.standard_normal((P, d))


def run(suite, options, interpreters):
    store = Store(options.results, suite, KEYS, options.resume)
    factors = FACTORS[:3] if options.quick else FACTORS
    for activation in ("gated", "relu"):
        for vary, middle in MIDDLE[activation].items():
            for factor in factors:
                sizes = {**MIDDLE[activation], vary: int(factor * middle)}
                key = {"activation": activation, "vary": vary, "size": sizes[vary]}
                todo = [t for t in options.thread_counts if not store.fresh(**key, threads=t)]
                if todo:
                    measure(store, key, sizes, todo, options)


def measure(store, key, sizes, thread_counts, options):
    """Median over the seeds of the least time; the results of all numbers of threads must be the same."""
    import pathrelu as pr

    seconds, active, objectives = {t: [] for t in thread_counts}, [], {}
    for seed in SEEDS[:1] if options.quick else SEEDS:
        X, y, G = problem(seed, **sizes)
        arrangements = pr.Arrangements.from_gates(X, G)
        alpha = FRACTION * pr.alpha_max(X, y, arrangements, activation=key["activation"])
        for threads in thread_counts:

            def solve(threads=threads, X=X, y=y, arrangements=arrangements, alpha=alpha):
                return pr.solve(
                    *(X, y, arrangements, alpha),
                    activation=key["activation"],
                    tol=TOL,
                    n_threads=threads,
                    callback=Deadline(options.budget),
                )

            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    least, solution = least_time(solve, options.repeats, 1.0)
            except Late:
                print(f"  {key} {of_threads(threads)}: given up after {options.budget:g} s", flush=True)
                seconds[threads].append(math.inf)
                continue
            assert solution.relative_gap <= TOL
            assert objectives.setdefault(seed, solution.objective) == solution.objective, (
                "bits differ by threads"
            )
            seconds[threads].append(least)
            active.append(solution.n_active)
    for threads in thread_counts:
        median = float(np.median(seconds[threads]))
        store.put(
            **key,
            threads=threads,
            seconds=median if math.isfinite(median) else None,
            active=float(np.mean(active)) if active else None,
        )
    times = ", ".join(f"{figure(float(np.median(s)))} s" for s in seconds.values())
    print(f"  {key['activation']} {key['vary']} = {key['size']}: {times}", flush=True)


def series(store, activation, vary, threads):
    found = [
        (r["size"], r["seconds"])
        for r in store.records
        if (r["activation"], r["vary"], r["threads"]) == (activation, vary, threads) and r["seconds"]
    ]
    return sorted(found)


def section(suite, store):
    rows = []
    threads = sorted({r["threads"] for r in store.records})
    for activation in ("gated", "relu"):
        for vary in MIDDLE[activation]:
            lines = {t: series(store, activation, vary, t) for t in threads}
            first = lines[threads[0]]
            if len(first) < 2:
                continue
            row = [activation, f"{vary} {first[0][0]} to {first[-1][0]}"]
            row += [
                f"{figure(first[0][1])} to {figure(first[-1][1])} s",
                figure(exponent(*zip(*first, strict=True))),
            ]
            for t in threads[1:]:
                both = [(a, b) for (m, a) in first for (k, b) in lines[t] if m == k]
                row.append(
                    figure(float(np.exp(np.mean([math.log(a / b) for a, b in both])))) if both else "-"
                )
            rows.append(row)
    middles = "; ".join(
        f"{activation} " + ", ".join(f"{name} = {size}" for name, size in middle.items())
        for activation, middle in MIDDLE.items()
    )
    header = ["activation", "over", f"seconds, {of_threads(threads[0])}", "exponent"]
    header += [f"speed-up with {of_threads(t)}" for t in threads[1:]]
    return f"""## Growth

{dates(store.records)}

Seconds to a gap of {TOL:g} of the objective at zero on problems of the kind of P1, alpha = {FRACTION:g} of
the largest; one size varies, the others are {middles}; median of {len(SEEDS)} problems. The exponent
is the slope in the double-logarithmic plot: 1 is linear. Results have the same bits for every number of
threads (checked).

{table(header, rows)}
![Growth]({suite}.png)
"""


def draw(suite, store, path):
    plt = plots()
    plot, axes = plt.subplots(1, 2, figsize=(8, 3.3), sharey=True)
    threads = sorted({r["threads"] for r in store.records})
    for ax, activation in zip(axes, ("gated", "relu"), strict=True):
        for vary, middle in MIDDLE[activation].items():
            for t, style in zip(threads, ("-", "--", ":", "-."), strict=False):
                line = series(store, activation, vary, t)
                if len(line) < 2:
                    continue
                sizes, seconds = zip(*line, strict=True)
                label = (
                    f"{LABELS[vary]}: exponent {exponent(sizes, seconds):.2f}" if t == threads[0] else None
                )
                relative = np.array(sizes) / middle
                ax.plot(relative, seconds, style, color=COLOURS[vary], marker="o", label=label)
        ax.set(xscale="log", yscale="log", title=activation, xlabel="size / middle size")
        ax.set_xticks(FACTORS, [f"{f:g}" for f in FACTORS])
        ax.minorticks_off()
        for t, style in zip(threads, ("-", "--", ":", "-."), strict=False):
            ax.plot([], [], style, color="0.3", label=of_threads(t))
        ax.set_ylim(top=15)
        ax.legend(frameon=False, fontsize=8, loc="upper left")
        plain_ticks(ax.yaxis)
    axes[0].set_ylabel("seconds")
    plot.tight_layout()
    save(plot, path)
    plt.close(plot)
