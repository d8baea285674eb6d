"""Suites `gated` and `relu`: seconds to a relative objective accuracy, against the rivals."""

import math
import time
import warnings

import numpy as np
from common import (
    BENCH,
    COLOURS,
    MARKERS,
    Deadline,
    Late,
    Store,
    Worker,
    dates,
    figure,
    geometric_mean,
    legend_above,
    of_threads,
    plain_ticks,
    plots,
    rounded,
    save,
    table,
)
from problems import LAM_FRACTIONS, load
from solvers import objective, reached

KEYS = ("problem", "fraction", "threads", "solver")
# A row may be this far outside its cone and still count as inside; targets have variance 1.
ALLOWED_VIOLATION = 1e-3
EXPLICIT_LIMIT = 6e9
OPTIMUM_SECONDS, CERTIFIED = 300, 1e-9
OPTIMA_KEYS = ("activation", "problem", "fraction")
SUITES = {
    "gated": {
        "title": "Gated program (group lasso)",
        "problems": ("P1", "P2", "P3", "P4"),
        "quick": ("P1", "P4"),
        "accuracies": (1e-4, 1e-8),
        "rivals": ("adelie", "celer", "skglm", "scnn"),
    },
    "relu": {
        "title": "ReLU program (cones)",
        "problems": ("P0", "P1", "P4"),
        "quick": ("P0", "P1"),
        "accuracies": (1e-4, 1e-6),
        "rivals": ("adelie", "scnn", "clarabel"),
    },
}


def why_not(suite, solver, problem):
    """Why a rival is not tried on a problem, or None."""
    n, d, P = problem.X.shape[0], int(problem.X.any(axis=0).sum()), problem.D.shape[1]
    if solver in ("celer", "skglm") and 8 * n * d * P > EXPLICIT_LIMIT:
        return f"its matrix would take {8e-9 * n * d * P:.0f} GB (computed)"
    if solver == "clarabel" and 2 * n * d * P > 1e6:
        return f"{2e-6 * n * d * P:.0f} million nonzeros in its cones (computed)"
    return None


def dual_bound(problem, blocks, lam):
    """Lower bound on the optimum of the gated program, by plain NumPy, from the residual of these blocks."""
    X, y, D, n = problem.X, problem.y, problem.D, len(problem.y)
    active = blocks[0].any(axis=1)
    theta = (y - ((X @ blocks[0][active].T) * D[:, active]).sum(axis=1)) / n
    largest = max(
        np.linalg.norm((D[:, g : g + 50] * theta[:, None]).T @ X, axis=1).max()
        for g in range(0, D.shape[1], 50)
    )
    theta = theta * min(1, lam / largest)
    return float(theta @ y - n / 2 * (theta @ theta))


def optimum(store, activation, problem, fraction, again=False):
    """Objective of the best blocks found, and how far a dual bound leaves it from the optimum, relatively.

    Kept in optima.json, for it belongs to the problem. Found by `solve` from its own last result, with ever
    tighter tolerances; the bound of "gated" is computed anew by plain NumPy. `again` computes those anew that
    are not certified to 1e-9.
    """
    key = {"activation": activation, "problem": problem.name, "fraction": fraction}
    record = store.find(**key)
    if record is not None and (record["certified"] <= CERTIFIED or not again):
        if record["certified"] > CERTIFIED:
            print(
                f"  the optimum is certified to {record['certified']:.0e} only; --optima tries again",
                flush=True,
            )
        return record
    import pathrelu as pr

    print(f"  optimum of {problem.name} at {fraction}, {activation} ...", flush=True)
    lam, solution, start = fraction * problem.lam_max, None, time.monotonic()
    arrangements = pr.Arrangements.from_gates(problem.X, problem.G.T)
    for tol in (1e-5, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12):
        left = math.inf if solution is None else OPTIMUM_SECONDS - (time.monotonic() - start)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what the bound leaves open is in the record
                solution = pr.solve(
                    *(problem.X, problem.y, arrangements, lam),
                    activation=activation,
                    tol=tol,
                    max_iter=3000,
                    init=solution,
                    callback=Deadline(left),
                )
        except Late:
            break
        if solution.gap <= 1e-10 * solution.objective:
            break
    blocks = np.zeros((solution.blocks.shape[1], *problem.G.T.shape))
    blocks[:, arrangements.source_index] = np.moveaxis(solution.blocks[:, :, 0], 1, 0)
    value = objective(problem, blocks, lam)
    bound = dual_bound(problem, blocks, lam) if activation == "gated" else solution.dual_objective
    certified = (value - bound) / value
    if record is None or certified < record["certified"]:
        record = store.put(**key, optimum=float(value).hex(), value=value, certified=certified)
    print(f"   {value:.10g}, certified to {record['certified']:.0e}", flush=True)
    return record


def merge(old, new):
    """Runs of each setting: the quicker one."""
    runs = {str(run["setting"]): run for run in old}
    for run in new:
        known = runs.get(str(run["setting"]))
        if known is None or run["points"][-1]["seconds"] < known["points"][-1]["seconds"]:
            runs[str(run["setting"])] = run
    return list(runs.values())


def best_point(record, accuracy):
    """Quickest point within an accuracy, with its setting; None if there is none."""
    points = [
        {**point, "setting": run["setting"]}
        for run in record["runs"]
        for point in run["points"]
        if reached(point, accuracy, ALLOWED_VIOLATION)
    ]
    return min(points, key=lambda point: point["seconds"], default=None)


def measure(python, solver, job, accuracies):
    """All sweeps of one solver: its runs, the seconds that did not suffice, its versions and its troubles."""
    runs, limits, trouble, versions, sweep, sweeps = [], [], None, {}, 0, 1
    budget = job["budget"]
    while sweep < sweeps and trouble is None:
        points = [best_point({"runs": runs}, accuracy) for accuracy in accuracies]
        known = [[a, point and point["seconds"]] for a, point in zip(accuracies, points, strict=True)]
        worker = Worker(python, "solvers.py", {**job, "sweep": sweep, "known": known}, job["threads"])
        sweep += 1
        run = None
        for event in worker.events(lambda last: 300 if last["event"] == "none" else budget + 5):
            kind = event["event"]
            if kind == "ready":
                versions, sweeps = event["versions"], event["sweeps"]
            elif kind == "start":
                run = {"setting": event["setting"], "points": []}
            elif kind == "point":
                run["points"].append({k: v for k, v in event.items() if k != "event"})
                runs = merge(runs, [run])
            elif kind == "late" or (kind == "end" and event["seconds"] > budget):
                limits.append(budget)
            elif kind == "stopped":
                # A tighter setting would have taken longer than this one.
                limits.append(min(budget, event["seconds"]))
            elif kind == "failed":
                trouble = event["message"]
    limit = min(limits, default=None)
    return {"runs": runs, "limit": limit, "trouble": trouble, "versions": versions, "budget": budget}


def describe(record, accuracies):
    if record["missing"]:
        return record["missing"]
    parts = []
    for accuracy in accuracies:
        point = best_point(record, accuracy)
        text = f"{accuracy:.0e} {bound(record) if point is None else figure(point['seconds']) + ' s'}"
        if point is not None:
            text += (
                f" ({', '.join(f'{k} {v:.3g}' if v != str(v) else v for k, v in point['setting'].items())})"
            )
        parts.append(text)
    return "; ".join(parts) + (f"; {record['trouble']}" if record["trouble"] else "")


def bound(record):
    """What is known of a solver that did not reach an accuracy."""
    if record["trouble"]:
        return "failed"
    return f"> {figure(record['limit'], 2)} s" if record["limit"] else "not reached"


def run(suite, options, interpreters):
    spec = SUITES[suite]
    store = Store(options.results, suite, KEYS, options.resume)
    optima = Store(BENCH, "optima", OPTIMA_KEYS)
    names = [name for name in (spec["quick"] if options.quick else spec["problems"]) if options.wants(name)]
    for name in names:
        problem = load(name)
        n, d = problem.X.shape
        print(f"{suite} {name}: n={n} d={d} P={problem.D.shape[1]}, float64", flush=True)
        for fraction in [f for f in LAM_FRACTIONS if options.fractions is None or f in options.fractions]:
            best = optimum(optima, suite, problem, fraction, options.optima)
            if options.optima:
                continue
            for threads in options.threads:
                cell = {"problem": name, "fraction": fraction, "threads": threads}
                print(f" alpha {fraction} of the largest, {of_threads(threads)}", flush=True)
                row(suite, cell, problem, best, store, options, interpreters)


def row(suite, cell, problem, best, store, options, interpreters):
    """One program: ours, each rival, ours again."""
    spec = SUITES[suite]
    job = {
        "problem": problem.name,
        "activation": suite,
        "lam": cell["fraction"] * problem.lam_max,
        "optimum": float.fromhex(best["optimum"]),
        "threads": cell["threads"],
        "repeats": options.repeats,
        "allowed": ALLOWED_VIOLATION,
    }
    accuracies = spec["accuracies"]

    def one(solver, budget, earlier=None):
        result = measure(
            interpreters[solver], solver, {**job, "solver": solver, "budget": budget}, accuracies
        )
        if earlier is not None:
            result["runs"] = merge(earlier["runs"], result["runs"])
        record = store.put(**cell, solver=solver, missing=None, **rounded(result))
        print(f"  {solver:9} {describe(record, accuracies)}", flush=True)
        return record

    ours = store.find(**cell, solver="pathrelu")
    rivals = [solver for solver in spec["rivals"] if solver in options.rivals]
    todo = [solver for solver in rivals if not store.fresh(**cell, solver=solver)]
    if "pathrelu" in options.solvers and (todo or not store.fresh(**cell, solver="pathrelu")):
        ours = one("pathrelu", options.budget)
    for solver in todo:
        reason = why_not(suite, solver, problem)
        if reason is None and interpreters[solver] is None:
            reason = "not installed"
        if reason is not None:
            empty = {"runs": [], "limit": None, "trouble": None, "versions": {}, "budget": 0}
            store.put(**cell, solver=solver, missing=reason, **empty)
            print(f"  {solver:9} {reason}", flush=True)
            continue
        point = ours and best_point(ours, min(accuracies))
        limit = options.budget
        if point is not None:
            limit = min(limit, max(options.least_budget, options.patience * point["seconds"]))
        one(solver, limit)
    if todo and "pathrelu" in options.solvers:
        one("pathrelu", options.budget, ours)


def ratio(ours, records, accuracy):
    """Least time of the rivals over ours, whether that is only a lower bound, and whose it is."""
    point = best_point(ours, accuracy)
    if point is None:
        return None
    times = {r["solver"]: p["seconds"] for r in records if (p := best_point(r, accuracy)) is not None}
    if times:
        solver = min(times, key=times.get)
        return times[solver] / point["seconds"], False, solver
    limits = [r["limit"] for r in records if r["limit"]]
    return (min(limits) / point["seconds"], True, None) if limits else None


def cells(store):
    return sorted({tuple(r[k] for k in KEYS[:3]) for r in store.records}, key=lambda c: (c[2], c[0], -c[1]))


def section(suite, store):
    spec = SUITES[suite]
    rows, ratios = [], {}
    for name, fraction, threads in cells(store):
        records = {
            solver: store.find(problem=name, fraction=fraction, threads=threads, solver=solver)
            for solver in ("pathrelu", *spec["rivals"])
        }
        ours, rivals = (
            records["pathrelu"],
            [r for s, r in records.items() if s != "pathrelu" and r is not None],
        )
        for accuracy in spec["accuracies"]:
            line = [name, f"{fraction:g}", f"{accuracy:.0e}", threads]
            line += [entry(record, accuracy) for record in records.values()]
            found = ratio(ours, rivals, accuracy) if ours is not None else None
            if found is not None:
                ratios.setdefault((threads, accuracy), []).append((*found, f"{name} at {fraction:g}"))
            rows.append([*line, "-" if found is None else at_least(*found[:2])])
    header = [
        "problem",
        "alpha / max",
        "accuracy",
        "threads",
        "pathrelu",
        *spec["rivals"],
        "best rival / ours",
    ]
    return f"""## {spec["title"]}

{dates(store.records)}

Seconds until the objective is within a relative accuracy of the optimum, each solver at the fastest of its
settings, least of the repeats. `> t`: no setting got there in t seconds; `not reached`: all settings ended
elsewhere; `-`: see below the table. {known_optima(suite, store)}
{violations(store) if suite == "relu" else ""}
{table(header, rows)}
{summary(ratios)}{remarks(store)}
![{spec["title"]}]({suite}.png)
"""


def entry(record, accuracy):
    """What the table says of one solver."""
    if record is None:
        return "not measured"
    if record["missing"]:
        return "-"
    point = best_point(record, accuracy)
    if point is None:
        return bound(record)
    violation = point.get("violation", 0.0)
    return figure(point["seconds"]) + " s" + (f" (v {violation:.0e})" if violation > 1e-12 else "")


def at_least(value, open_ended):
    return ("≥ " if open_ended else "") + figure(value)


def known_optima(suite, store):
    """How well the optima of these records are known."""
    found = Store(BENCH, "optima", OPTIMA_KEYS).records
    measured = {(r["problem"], r["fraction"]) for r in store.records}
    found = [r for r in found if r["activation"] == suite and (r["problem"], r["fraction"]) in measured]
    gaps = [r["certified"] for r in found]
    return f"The optima are certified to {max(gaps):.0e} at worst." if gaps else ""


def violations(store):
    runs = [run for r in store.records if r["solver"] == "pathrelu" for run in r["runs"]]
    ours = max((p["violation"] for run in runs for p in run["points"]), default=math.nan)
    return f"""
v: by how much a row is outside its cone at most, in units of the targets, which have variance 1; up to
{ALLOWED_VIOLATION:g} counts as inside. Our own rows are outside by {ours:.0e} at most.
"""


def summary(ratios):
    lines = []
    for (threads, accuracy), found in sorted(ratios.items(), key=lambda item: (item[0][0], -item[0][1])):
        open_ended = sum(is_open for _, is_open, _, _ in found)
        worst, worst_open, rival, where = min(found, key=lambda item: item[0])
        mean = geometric_mean([value for value, *_ in found])
        open_rows = f", {open_ended} of them a lower bound, for no rival got there" if open_ended else ""
        lines.append(
            f"- accuracy {accuracy:.0e}, {of_threads(threads)}: geometric mean {at_least(mean, open_ended)} "
            f"over {len(found)} programs{open_rows}; worst {at_least(worst, worst_open)} "
            f"({where}, {rival or 'no rival got there'})\n"
        )
    return "".join(lines)


def remarks(store):
    """Who was not tried or failed, and on what; and the versions."""
    troubles, versions = {}, {}
    for r in store.records:
        versions |= r["versions"]
        if reason := r["missing"] or r["trouble"]:
            troubles.setdefault((r["solver"], reason), set()).add(r["problem"])
    lines = [
        f"- {solver} on {', '.join(sorted(on))}: {why}\n" for (solver, why), on in sorted(troubles.items())
    ]
    known = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()) if name != "numpy")
    return "".join(lines) + f"- {known}\n"


def distance(point):
    """What is plotted: the relative error of the objective or, if larger, the largest violation."""
    return max(abs(point["excess"]), point.get("violation", 0.0), 1e-12)


def draw(suite, store, path):
    plt = plots()
    spec = SUITES[suite]
    records = [r for r in store.records if r["threads"] == min(r["threads"] for r in store.records)]
    names = sorted({r["problem"] for r in records})
    fractions = sorted({r["fraction"] for r in records}, reverse=True)
    plot, axes = plt.subplots(
        len(names),
        len(fractions),
        figsize=(3.2 * len(fractions) + 0.6, 2.3 * len(names) + 0.9),
        squeeze=False,
    )
    for i, name in enumerate(names):
        for k, fraction in enumerate(fractions):
            ax = axes[i, k]
            for record in records:
                if (record["problem"], record["fraction"]) != (name, fraction) or not record["runs"]:
                    continue
                points = sorted((p["seconds"], distance(p)) for r in record["runs"] for p in r["points"])
                front = [p for j, p in enumerate(points) if all(p[1] < q[1] for q in points[:j])]
                solver = record["solver"]
                ax.plot(
                    *zip(*front, strict=True),
                    label=solver,
                    color=COLOURS[solver],
                    marker=MARKERS[solver],
                    markevery=max(1, len(front) // 12),
                    lw=2 if solver == "pathrelu" else 1.2,
                    zorder=3 if solver == "pathrelu" else 2,
                )
            for accuracy in spec["accuracies"]:
                ax.axhline(accuracy, color="0.4", lw=0.8, ls=":")
            ax.set(xscale="log", yscale="log", title=f"{name}, alpha = {fraction:g} of the largest")
            ax.set_ylim(3e-13, 1e1)
            plain_ticks(ax.xaxis)
            if i == len(names) - 1:
                ax.set_xlabel("seconds")
            if k == 0:
                ax.set_ylabel("relative objective error" + ("\nor violation" if suite == "relu" else ""))
    legend_above(plot)
    save(plot, path)
    plt.close(plot)
