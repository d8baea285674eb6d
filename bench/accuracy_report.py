"""The page and the plot of accuracy.py: means over folds, ranks over tables, tests of differences."""

import itertools
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tables
from accuracy_methods import INNER, METHODS, OUTER, grid_text
from scipy import stats

Record = dict[str, Any]
OURS = "pathrelu"
LEVEL = 0.05


class Results:
    """Means over the folds that all methods have finished, (tables, methods) for each quantity."""

    def __init__(self, records: Sequence[Record], tuned: bool) -> None:
        chosen = [record for record in records if record["tuned"] == tuned]
        self.methods = [name for name in METHODS if any(record["method"] == name for record in chosen)]
        cells = {(r["table"], r["repeat"], r["fold"], r["method"]): r for r in chosen}
        folds = sorted({key[:3] for key in cells})
        self.folds: dict[str, list[list[Record]]] = {}
        for fold in folds:
            if all((*fold, method) in cells for method in self.methods):
                row = [cells[*fold, method] for method in self.methods]
                self.folds.setdefault(fold[0], []).append(row)
        self.unfinished = sorted({name for name, *_ in folds} - set(self.folds))

    def names(self, task: str, development: bool | None = None) -> list[str]:
        every = tables.CLASSIFICATION if task == "classification" else tables.REGRESSION
        return [
            name for name in every if name in self.folds and development in (None, name in tables.DEVELOPMENT)
        ]

    def values(self, names: Sequence[str], quantity: str) -> np.ndarray:
        means = [self._folds(name, quantity).mean(axis=0) for name in names]
        return np.array(means).reshape(len(names), len(self.methods))

    def spread(self, names: Sequence[str], quantity: str) -> np.ndarray:
        return np.array([self._folds(name, quantity).std(axis=0) for name in names])

    def _folds(self, name: str, quantity: str) -> np.ndarray:
        return np.array([[record[quantity] for record in row] for row in self.folds[name]])


def ranks(values: np.ndarray, higher: bool) -> np.ndarray:
    """Ranks of methods (1 is best) in each table; ties share the mean of theirs."""
    return stats.rankdata(np.round(-values if higher else values, 10), axis=1)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjustment of p-values."""
    order = np.argsort(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted


def pairwise(values: np.ndarray) -> dict[tuple[int, int], float]:
    """Holm-adjusted p-values of Wilcoxon's signed-rank test for each pair of columns."""
    pairs = list(itertools.combinations(range(values.shape[1]), 2))
    p = [
        1.0 if np.allclose(values[:, i], values[:, j]) else stats.wilcoxon(values[:, i], values[:, j]).pvalue
        for i, j in pairs
    ]
    return dict(zip(pairs, holm(np.array(p)).tolist(), strict=True))


def alike(order: np.ndarray, p: dict[tuple[int, int], float]) -> list[tuple[int, int]]:
    """Longest runs (first, last) of methods, in this order, of which no two differ significantly."""
    runs: list[tuple[int, int]] = []
    for i in range(len(order)):
        j = i
        while j + 1 < len(order) and all(
            p[min(order[j + 1], other), max(order[j + 1], other)] >= LEVEL for other in order[i : j + 1]
        ):
            j += 1
        if j > i and not any(j <= last for _, last in runs):
            runs.append((i, j))
    return runs


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def comparison(results: Results, names: Sequence[str], quantity: str, higher: bool) -> str:
    """Mean rank, wins and losses of pathrelu against each, and whether the difference is significant."""
    values = results.values(names, quantity)
    if len(names) < 3 or len(results.methods) < 3:
        return "Fewer than three finished tables or methods: no ranks.\n"
    friedman = stats.friedmanchisquare(*values.T)
    rank = ranks(values, higher).mean(axis=0)
    lines = []
    ours = results.methods.index(OURS) if OURS in results.methods else None
    p = pairwise(values)
    for j in np.argsort(rank):
        row = [METHODS[results.methods[j]].label, f"{rank[j]:.2f}", f"{np.median(values[:, j]):.3f}"]
        if ours is not None and j != ours:
            difference = (values[:, ours] - values[:, j]) * (1 if higher else -1)
            outcome = np.sign(np.round(difference, 10))
            row += [
                " / ".join(str((outcome == sign).sum()) for sign in (1, 0, -1)),
                f"{p[min(ours, j), max(ours, j)]:.3f}",
            ]
        else:
            row += ["", ""]
        lines.append(row)
    return (
        table(["method", "mean rank", "median", "pathrelu wins / ties / loses", "p (Wilcoxon, Holm)"], lines)
        + f"\nFriedman's test that all are alike: p = {friedman.pvalue:.1e}, {len(names)} tables.\n"
    )


def cost(results: Results, names: Sequence[str]) -> str:
    fit, tune = results.values(names, "fit_seconds"), results.values(names, "tune_seconds")
    numbers = results.values(names, "size")
    return table(
        ["method", "seconds of one fit", "the slowest table", "seconds of tuning", "size (numbers)"],
        [
            [
                METHODS[name].label,
                f"{np.median(fit[:, j]):.3f}",
                f"{fit[:, j].max():.2f}",
                f"{np.median(tune[:, j]):.1f}",
                f"{np.median(numbers[:, j]):,.0f}",
            ]
            for j, name in enumerate(results.methods)
        ],
    )


def each(results: Results, names: Sequence[str], quantity: str, higher: bool) -> str:
    values, spread = results.values(names, quantity), results.spread(names, quantity)
    lines = []
    for name, row, error in zip(names, values, spread, strict=True):
        best = np.round(row, 3) == np.round(row.max() if higher else row.min(), 3)
        several = len(results.folds[name]) > 1
        cells = [
            (f"**{value:.3f}**" if first else f"{value:.3f}") + (f" ± {sd:.3f}" if several else "")
            for value, sd, first in zip(row, error, best, strict=True)
        ]
        mark = " (d)" if name in tables.DEVELOPMENT else ""
        lines.append([name + mark, str(len(results.folds[name])), *cells])
    return table(["table", "folds", *[METHODS[name].label for name in results.methods]], lines)


def losses(results: Results, names: Sequence[str], quantity: str, higher: bool, unit: str) -> str:
    """The tables where pathrelu is furthest behind the best rival."""
    values = results.values(names, quantity) * (1 if higher else -1)
    ours = results.methods.index(OURS)
    rivals = [j for j in range(len(results.methods)) if j != ours]
    best = values[:, rivals].argmax(axis=1)
    behind = values[:, rivals].max(axis=1) - values[:, ours]
    lines = []
    for i in np.argsort(-behind)[:8]:
        if behind[i] <= 0:
            break
        chosen = dict.fromkeys(str(row[ours]["config"]["alpha"]) for row in results.folds[names[i]])
        lines.append(
            [
                names[i],
                f"{behind[i]:.3f}",
                METHODS[results.methods[rivals[best[i]]]].label,
                ", ".join(chosen),
            ]
        )
    return table(["table", f"behind by ({unit})", "the best there", "alpha chosen in the folds"], lines)


def sources(names: Sequence[str]) -> str:
    lines = []
    for name in names:
        t = tables.load(name)
        rows = f"{len(t.y)}" + (f" of {t.all_rows}" if len(t.y) < t.all_rows else "")
        target = f"{len(np.unique(t.y))} classes" if t.task == "classification" else "real"
        mark = " (d)" if name in tables.DEVELOPMENT else ""
        columns = f"{t.X.shape[1]}" + (f", {t.nominal.sum()} nominal" if t.nominal.any() else "")
        lines.append([name + mark, t.package, t.licence, rows, columns, target, f"`{t.digest[:16]}`"])
    return table(["table", "package", "licence", "rows", "columns", "target", "SHA-256 (first 16)"], lines)


def draw(panels: Sequence[tuple[str, list[str], np.ndarray, bool]], path: Path) -> None:
    """Mean ranks on an axis for each measure; a bar joins methods whose differences are not significant."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(panels), 1, figsize=(9, 2.9 * len(panels)), squeeze=False)
    for ax, (title, methods, values, higher) in zip(axes[:, 0], panels, strict=True):
        rank = ranks(values, higher).mean(axis=0)
        order, k = np.argsort(rank), len(methods)
        cliques = alike(order, pairwise(values))
        bottom = -1.0 - 0.42 * len(cliques)
        half = (k + 1) // 2
        ax.plot([1, k], [0, 0], color="black", lw=1)
        for tick in range(1, k + 1):
            ax.plot([tick, tick], [0, 0.25], color="black", lw=1)
            ax.text(tick, 0.35, str(tick), ha="center", va="bottom", fontsize=9)
        for i, j in enumerate(order):
            left = i < half
            level = bottom - 0.75 * (i if left else k - 1 - i)
            edge = 0.6 if left else k + 0.4
            ours = methods[j] == OURS
            color = "tab:red" if ours else "black"
            ax.plot([rank[j], rank[j], edge], [0, level, level], color=color, lw=1.5 if ours else 0.8)
            label = f"{METHODS[methods[j]].label}  {rank[j]:.2f}"
            ax.text(
                edge + (-0.05 if left else 0.05),
                level,
                label,
                ha="right" if left else "left",
                va="center",
                color=color,
                fontsize=9,
                fontweight="bold" if ours else "normal",
            )
        for n, (i, j) in enumerate(cliques):
            level = -0.5 - 0.42 * n
            ax.plot([rank[order[i]] - 0.04, rank[order[j]] + 0.04], [level, level], color="tab:blue", lw=4)
        ax.set(xlim=(-1.3, k + 2.3), ylim=(bottom - 0.75 * half, 1.3))
        ax.set_title(f"{title}, {len(values)} tables", fontsize=10, loc="left")
        ax.axis("off")
    figure.tight_layout()
    draft = path.with_suffix(".draft.png")
    figure.savefig(draft, dpi=130)
    plt.close(figure)
    draft.replace(path)


def write(records: Sequence[Record], folder: Path) -> None:
    tuned, untuned = Results(records, True), Results(records, False)
    evaluation = {task: tuned.names(task, False) for task in ("classification", "regression")}
    everything = {task: tuned.names(task) for task in ("classification", "regression")}
    measures = (
        ("Classification, accuracy", "classification", "score", True),
        ("Classification, log-loss", "classification", "loss", False),
        ("Regression, R²", "regression", "score", True),
    )
    panels = [
        (title, tuned.methods, tuned.values(evaluation[task], quantity), higher)
        for title, task, quantity, higher in measures
        if len(evaluation[task]) >= 3 and len(tuned.methods) >= 3
    ]
    text = [
        INTRODUCTION.format(
            outer=OUTER,
            inner=INNER,
            rows=tables.MAX_ROWS,
            least=tables.MIN_CLASS,
            budget=records[0]["budget"],
        )
    ]
    names = everything["classification"] + everything["regression"]
    count = [len(tuned.folds[name]) for name in names]
    least, most = min(count, default=0), max(count, default=0)
    text.append(
        f"**Finished by all methods**: {len(names)} of "
        f"{len(tables.CLASSIFICATION + tables.REGRESSION)} tables, "
        + (f"{least} of {OUTER} folds" if least == most else f"{least} to {most} of {OUTER} folds")
        + " of each."
    )
    text.append(grid_text(records[0]["budget"]))
    if panels:
        draw(panels, folder / "accuracy.png")
        text.append(
            "## Ranks\n\n![Mean ranks](accuracy.png)\n\nMean ranks over the evaluation tables (1 is best); a "
            "bar joins methods that Wilcoxon's signed-rank test with Holm's correction does not tell apart "
            f"at {LEVEL}."
        )
    for title, task, quantity, higher in measures:
        text.append(f"### {title}, tuned\n\n" + comparison(tuned, evaluation[task], quantity, higher))
    if OURS in tuned.methods:
        text.append("## Where pathrelu loses")
        for title, task, quantity, higher in measures:
            if everything[task]:
                unit = "nats" if quantity == "loss" else title.split(", ")[1]
                text.append(f"### {title}\n\n" + losses(tuned, everything[task], quantity, higher, unit))
    notes = Path(__file__).parent / "results" / "accuracy_notes.md"
    if notes.exists():
        text.append(notes.read_text().strip())
    text.append("## Untuned\n\n" + UNTUNED)
    for title, task, quantity, higher in measures:
        names = untuned.names(task, False)
        text.append(f"### {title}, untuned\n\n" + comparison(untuned, names, quantity, higher))
    text.append("## Cost\n\n" + COST)
    for task in everything:
        if everything[task]:
            text.append(f"### {task.capitalize()}\n\n" + cost(tuned, everything[task]))
    text.append("## Every table\n\nMean ± standard deviation over folds; (d): a development table.")
    for title, task, quantity, higher in measures:
        if everything[task]:
            text.append(f"### {title}, tuned\n\n" + each(tuned, everything[task], quantity, higher))
    for title, task, quantity, higher in measures:
        if names := untuned.names(task):
            text.append(f"### {title}, untuned\n\n" + each(untuned, names, quantity, higher))
    text.append("## Tables used\n\n" + SOURCES.format(rows=tables.MAX_ROWS))
    text.append(sources(everything["classification"] + everything["regression"]))
    if tuned.unfinished:
        text.append("Not finished by all methods, and left out above: " + ", ".join(tuned.unfinished) + ".")
    commits = sorted({record["commit"] for record in records})
    text.append(
        f"Measured at commit {', '.join(commits)} with "
        + ", ".join(f"{name} {version}" for name, version in records[0]["versions"].items())
        + f", Python {platform.python_version()}, {records[0]['machine']}, one thread."
    )
    draft = folder / "accuracy.md.draft"
    draft.write_text("\n\n".join(part.strip() for part in text) + "\n")
    draft.replace(folder / "accuracy.md")


INTRODUCTION = """# Accuracy on real tables

How well the networks of pathrelu predict on tables that PyPI packages carry, beside six methods that people
use. `python bench/accuracy.py` measures and writes this page; it goes on where it stopped.

**Protocol.** {outer} stratified outer folds, the same for all methods. For each fold a method compares
{budget} configurations on {inner} inner folds of the training rows, by log-loss or squared error, fits the
best one on all training rows, and is tested once. Columns are imputed (median, most frequent), standardized
and one-hot encoded, targets of a regression standardized, all on the training rows of each split. Tables of
more than {rows} rows are cut to a seeded, stratified draw of {rows}, the same for all, and rows of classes
with fewer than {least} are left out. A third of the tables (every third of the alphabet, marked (d)) is the
development set, on which defaults of pathrelu were chosen; ranks and tests are over the other tables only.
What this does not show: tables of many rows, gradient boosting at its best (which has many more settings),
and pretrained models."""
UNTUNED = """`PathReLUClassifier().fit(X, y)` and so on: every parameter at its default, columns preprocessed
as above, targets of a regression as they are. The PyTorch MLP's are those of `bench/torch_mlp.py`."""
COST = """Medians over tables, of processor time on one thread of a shared machine. Tuning is all fits on the
inner folds. The size is how many numbers a prediction reads: weights, support vectors and their factors,
splits and leaves."""
SOURCES = """Nothing is copied into this repository. Licences are those of the packages. The digest is of the
float64 rows and targets used (at most {rows} rows)."""
