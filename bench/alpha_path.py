"""Suite `path`: 100 values of alpha down to a thousandth of the largest, against the last value alone."""

import math
import warnings

import numpy as np
from common import (
    Deadline,
    Late,
    Store,
    dates,
    figure,
    least_time,
    legend_above,
    plain_ticks,
    plots,
    save,
    table,
)
from problems import load

KEYS = ("activation", "problem")
PROGRAMS = (("gated", "P1"), ("gated", "P4"), ("gated", "P2"), ("relu", "P0"), ("relu", "P1"))
QUICK = (("gated", "P1"), ("relu", "P0"))
N_ALPHAS, EPS, TOL = 100, 1e-3, 1e-4
GOAL = 5
PATIENCE = 5  # budgets that a whole path may take


def run(suite, options, interpreters):
    store = Store(options.results, suite, KEYS, options.resume)
    for activation, name in QUICK if options.quick else PROGRAMS:
        if options.wants(name) and not store.fresh(activation=activation, problem=name):
            program(store, activation, name, options)


def program(store, activation, name, options):
    import pathrelu as pr

    p = load(name)
    arrangements = pr.Arrangements.from_gates(p.X, p.G.T)
    settings = {"activation": activation, "tol": TOL, "n_threads": 1}

    def whole():
        watch = Deadline(PATIENCE * options.budget)
        return pr.solve_path(p.X, p.y, arrangements, None, N_ALPHAS, EPS, callback=watch, **settings)

    def last():
        watch = Deadline(options.budget)
        return pr.solve(p.X, p.y, arrangements, alpha, callback=watch, **settings)

    alpha = EPS * pr.alpha_max(p.X, p.y, arrangements, activation=activation)
    fields = {"activation": activation, "problem": name, "tol": TOL, "version": pr.__version__}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            alone, single = least_time(last, options.repeats)
            seconds, path = least_time(whole, options.repeats)
    except Late:
        print(
            f"  {activation} {name}: over {options.budget:g} s for one alpha or {PATIENCE} times that for all"
        )
        store.put(**fields, alone=None, path=None, steps=[])
        return
    relative = [s.relative_gap for s in path.solutions]
    assert len(path) == N_ALPHAS
    assert max(relative) <= TOL, f"a gap of the path is {max(relative)}"
    end = path.solutions[-1]
    assert math.isclose(end.alpha, alpha, rel_tol=1e-9)
    # Two values of one program, each at most its gap above the optimum.
    assert abs(end.objective - single.objective) <= max(end.gap, single.gap)
    store.put(
        **fields,
        alone=alone,
        path=seconds,
        steps=[s.history[-1].seconds for s in path.solutions],
        active=end.n_active,
        largest_gap=max(relative),
    )
    print(
        f"  {activation} {name}: {figure(seconds)} s for {N_ALPHAS} alphas, {figure(alone)} s for the last "
        f"alone: {figure(seconds / alone)} times",
        flush=True,
    )


def section(suite, store):
    rows = []
    for r in store.records:
        cells = ["given up", "-", "-"]
        if r["path"]:
            cells = [f"{figure(r['path'])} s", f"{figure(r['alone'])} s", figure(r["path"] / r["alone"])]
        rows.append([r["activation"], r["problem"], *cells])
    return f"""## Path in alpha

{dates(store.records)}

`solve_path` over {N_ALPHAS} alphas from the largest down to {EPS:g} of it, each to a gap of {TOL:g} of the
objective at zero, against `solve` at the last alpha from scratch to the same gap; one thread. Goal: at most
{GOAL} times.

{table(["activation", "problem", f"{N_ALPHAS} alphas", "the last alone", "ratio"], rows)}
![Path in alpha]({suite}.png)
"""


def draw(suite, store, path):
    records = [r for r in store.records if r["path"]]
    if not records:
        return
    plt = plots()
    plot, axes = plt.subplots(1, len(records), figsize=(2.9 * len(records), 2.8), squeeze=False)
    for ax, r in zip(axes[0], records, strict=True):
        ax.set(title=f"{r['activation']} {r['problem']}")
        fractions = np.geomspace(1, EPS, N_ALPHAS)
        ax.plot(fractions, np.cumsum(r["steps"]), color="k", lw=2, label="path so far")
        ax.axhline(r["alone"], color="#0072B2", label="last alpha alone")
        ax.axhline(GOAL * r["alone"], color="#0072B2", ls=":", label=f"{GOAL} times that")
        ax.set(xscale="log", xlabel="alpha / largest alpha")
        plain_ticks(ax.xaxis)
        ax.invert_xaxis()
        ax.set_ylim(bottom=0)
    axes[0, 0].set_ylabel("seconds")
    legend_above(plot)
    save(plot, path)
    plt.close(plot)
