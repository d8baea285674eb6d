"""Suite `memory`: peak resident memory of the gated program, above the data."""

from common import BENCH, COLOURS, Store, Worker, dates, figure, plain_ticks, plots, save, table
from problems import SPECS, load
from programs import ALLOWED_VIOLATION, OPTIMA_KEYS, optimum

KEYS = ("problem", "fraction", "solver")
PROBLEM, FRACTIONS = "P3", (0.1, 0.01)
# Settings that come within about 1e-4 of the optimum on P3; what was reached is in the table.
SETTINGS = {
    "pathrelu": {"tol": 1e-4},
    "adelie": {"path": 1, "tol": 1e-9},
    "scnn": {"dtype": "float32", "tol": 0.0},
    "celer": None,
    "skglm": None,
}


def run(suite, options, interpreters):
    store = Store(options.results, suite, KEYS, options.resume)
    optima = Store(BENCH, "optima", OPTIMA_KEYS)
    name = "P1" if options.quick else PROBLEM
    if not options.wants(name):
        return
    problem = load(name)
    for fraction in [f for f in FRACTIONS if options.fractions is None or f in options.fractions]:
        for solver, setting in SETTINGS.items():
            key = {"problem": name, "fraction": fraction, "solver": solver}
            if solver not in (*options.solvers, *options.rivals) or store.fresh(**key):
                continue
            result = {"peak": None, "baseline": None, "excess": None, "late": False, "note": ""}
            if setting is None:
                n, d = problem.X.shape
                result |= {"peak": 8.0 * n * d * problem.D.shape[1], "note": "its matrix alone (computed)"}
            elif interpreters[solver] is None:
                result["note"] = "not installed"
            else:
                best = optimum(optima, "gated", problem, fraction)
                result |= measure(
                    interpreters[solver], solver, setting, problem, fraction, best, options.budget
                )
            record = store.put(**key, setting=setting, **result)
            print(f"  {name} at {fraction:g}, {solver}: {words(record)}", flush=True)


def measure(python, solver, setting, problem, fraction, best, budget):
    job = {
        "solver": solver,
        "problem": problem.name,
        "activation": "gated",
        "lam": fraction * problem.lam_max,
        "optimum": float.fromhex(best["optimum"]),
        "threads": 1,
        "budget": budget,
        "allowed": ALLOWED_VIOLATION,
        "memory": setting,
    }
    result = {}
    for event in (worker := Worker(python, "solvers.py", job, 1)).events(lambda last: 2 * budget + 60):
        if event["event"] == "baseline":
            result["baseline"] = event["bytes"]
        elif event["event"] == "peak":
            result |= {"peak": event["bytes"] - result["baseline"], "excess": event["excess"]}
        elif event["event"] == "late":
            # Stopped in the middle: what it had taken by then.
            if (peak := worker.peak) is not None and "baseline" in result:
                result |= {"peak": peak - result["baseline"]}
            result |= {"late": True, "note": "stopped before it ended"}
        elif event["event"] == "failed":
            result["note"] = event["message"]
    return result


def words(record):
    if record["peak"] is None:
        return record["note"]
    text = f"{record['peak'] / 1e6:.0f} MB above"
    text += f" {record['baseline'] / 1e6:.0f} MB" if record["baseline"] else " the data"
    if record["excess"] is not None:
        text += f", objective {record['excess']:.0e} above the optimum"
    return text + (f" ({record['note']})" if record["note"] else "")


def groups(store):
    keys = sorted({(r["problem"], r["fraction"]) for r in store.records}, key=lambda k: (k[0], -k[1]))
    return {
        key: sorted(
            (r for r in store.records if (r["problem"], r["fraction"]) == key and r["peak"]),
            key=lambda r: r["peak"],
        )
        for key in keys
    }


def section(suite, store):
    rows = []
    for (name, fraction), records in groups(store).items():
        ours = next((r for r in records if r["solver"] == "pathrelu"), None)
        for r in records:
            rows.append(
                [
                    *(name, f"{fraction:g}", r["solver"], f"{r['peak'] / 1e6:.0f} MB"),
                    f"{r['baseline'] / 1e6:.0f} MB" if r["baseline"] else "-",
                    "-" if r["excess"] is None else f"{r['excess']:.0e}",
                    figure(r["peak"] / ours["peak"]) if ours else "-",
                    r["note"] or "-",
                ]
            )
    missing = sorted({f"- {r['solver']}: {r['note']}" for r in store.records if r["peak"] is None})
    n, d, P = SPECS[PROBLEM][1:4]
    header = [
        "problem",
        "alpha / max",
        "solver",
        "peak",
        "baseline",
        "above the optimum",
        "over ours",
        "note",
    ]
    return f"""## Memory, gated

{dates(store.records)}

Peak resident memory of a process above its baseline: the library imported, and X, y, the gates and one byte
for each mask entry loaded. What a solver makes for itself, masks and matrices too, counts. P3 has n = {n},
d = {d}, P = {P}: X takes {8e-6 * n * d:.0f} MB, and masks of one byte {1e-6 * n * P:.0f} MB. One thread;
float64, but scnn float32.

{table(header, rows)}
{"".join(f"{line}{chr(10)}" for line in missing)}
![Memory]({suite}.png)
"""


def draw(suite, store, path):
    plt = plots()
    found = {key: records for key, records in groups(store).items() if records}
    plot, axes = plt.subplots(1, max(1, len(found)), figsize=(3.6 * max(1, len(found)), 2.6), squeeze=False)
    for ax, ((name, fraction), records) in zip(axes[0], found.items(), strict=False):
        bars = ax.barh(
            [r["solver"] for r in records],
            [r["peak"] / 1e6 for r in records],
            color=[COLOURS[r["solver"]] for r in records],
            hatch=["" if r["baseline"] else "//" for r in records],
            edgecolor="white",
        )
        ax.bar_label(bars, [f" {r['peak'] / 1e6:.0f}" for r in records], fontsize=8)
        ax.set(
            xscale="log",
            xlabel="MB above the data (hatched: computed)",
            title=f"{name}, alpha = {fraction:g} of max",
        )
        ax.invert_yaxis()
        ax.set_xlim(10, 1e5)
        plain_ticks(ax.xaxis)
        ax.grid(axis="y", visible=False)
    plot.tight_layout()
    save(plot, path)
    plt.close(plot)
