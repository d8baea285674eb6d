"""The page and the plots of accuracy.py: means over folds, ranks over tables, tests of differences."""

import itertools
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tables
from accuracy_methods import METHODS
from scipy import stats

Record = dict[str, Any]
OURS, REFERENCE = "pathrelu", "boosting"
LEVEL = 0.05
FEWEST = 20  # rows of a point of the calibration curves
# Okabe and Ito's; markers too tell the methods apart. Ours is black.
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#888888")
MARKERS = "os^DvPX*"
LOST = 0.02  # of accuracy or R², below the best other method: these tables are named
# quantity: title, task, whether more is better
MEASURES = {
    "accuracy": ("Accuracy", "classification", True),
    "loss": ("Log-loss", "classification", False),
    "brier": ("Brier score", "classification", False),
    "r2": ("R²", "regression", True),
}
EVERY = {"classification": tables.CLASSIFICATION, "regression": tables.REGRESSION}


class Results:
    """Means over the folds that all of these methods have done, (tables, methods) for each quantity.

    Methods that have not done the first fold of every table are `partial`, and compared apart.
    """

    def __init__(self, records: Sequence[Record], stage: str, methods: Sequence[str] | None = None) -> None:
        chosen = [record for record in records if record["stage"] == stage]
        cells = {(r["table"], r["fold"], r["method"]): r for r in chosen}
        begun = [name for name in METHODS if any(method == name for *_, method in cells)]
        first = {name for name, fold, _ in cells if fold == 0}
        whole = [name for name in begun if all((each, 0, name) in cells for each in first)]
        self.methods = list(whole if methods is None else methods)
        self.partial = [name for name in begun if name not in whole]
        self.folds: dict[str, list[list[Record]]] = {}
        for name, fold in sorted({key[:2] for key in cells}):
            if all((name, fold, method) in cells for method in self.methods):
                self.folds.setdefault(name, []).append([cells[name, fold, method] for method in self.methods])

    def names(self, task: str, development: bool | None = None) -> list[str]:
        return [
            name
            for name in EVERY[task]
            if name in self.folds and development in (None, name in tables.DEVELOPMENT)
        ]

    def judged(self, task: str) -> list[str]:
        """The evaluation tables; all, if there are none, which the page says."""
        return self.names(task, False) or self.names(task)

    def values(self, names: Sequence[str], quantity: str) -> np.ndarray:
        """NaN where a fit of a fold has failed."""
        means = [self._folds(name, quantity).mean(axis=0) for name in names]
        return np.array(means).reshape(len(names), len(self.methods))

    def spread(self, names: Sequence[str], quantity: str) -> np.ndarray:
        return np.array([self._folds(name, quantity).std(axis=0) for name in names])

    def calibration_error(self, names: Sequence[str]) -> np.ndarray:
        """Expected calibration error of the likeliest class, of the test rows of all folds together."""
        found = np.full((len(names), len(self.methods)), np.nan)
        for i, j in np.ndindex(found.shape):
            if (bins := self.bins([names[i]], j)) is not None:
                found[i, j] = np.abs(bins[:, 1] - bins[:, 2]).sum() / bins[:, 0].sum()
        return found

    def bins(self, names: Sequence[str], method: int) -> np.ndarray | None:
        """Sums over tables and folds of rows, of what was said and of what was right, for each bin."""
        kept = [row[method].get("calibration") for name in names for row in self.folds[name]]
        return None if None in kept or not kept else np.sum(kept, axis=0, dtype=np.float64)

    def _folds(self, name: str, quantity: str) -> np.ndarray:
        return np.array([[record.get(quantity, np.nan) for record in row] for row in self.folds[name]])


def latest(records: Sequence[Record]) -> list[Record]:
    """Of each fit the record that was made last, by whatever version; the page names them all."""
    what = ("stage", "method", "table", "fold")
    return list({tuple(record[name] for name in what): record for record in records}.values())


def filled(values: np.ndarray, higher: bool) -> np.ndarray:
    """Failed fits count as the worst of their table."""
    worst = np.nanmin(values, axis=1) if higher else np.nanmax(values, axis=1)
    return np.where(np.isnan(values), worst[:, None], values)


def ranks(values: np.ndarray, higher: bool) -> np.ndarray:
    """Ranks of methods (1 is best) in each table; ties share the mean of theirs."""
    values = filled(values, higher)
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


def time_ratios(results: Results, names: Sequence[str]) -> np.ndarray:
    """Processor seconds of a fit over those of HistGradientBoosting, (tables, methods)."""
    seconds = results.values(names, "fit_seconds")
    return seconds / seconds[:, [results.methods.index(REFERENCE)]]


def summary(results: Results) -> str:
    """Mean ranks in every measure and the time of a fit, over the evaluation tables."""
    columns, head = [], ["method"]
    for quantity, (title, task, higher) in MEASURES.items():
        names = results.judged(task)
        if names:
            rank = ranks(results.values(names, quantity), higher).mean(axis=0)
            head.append(f"{title} ({len(names)} tables)")
            columns.append([f"**{r:.2f}**" if r == rank.min() else f"{r:.2f}" for r in rank])
    names = [name for task in EVERY for name in results.judged(task)]
    if names and REFERENCE in results.methods:
        ratio = time_ratios(results, names)
        head += [
            f"fit / {METHODS[REFERENCE].label}, processor time: geometric mean",
            "greatest",
        ]
        columns.append([f"{value:.2g}" for value in np.exp(np.nanmean(np.log(ratio), axis=0))])
        columns.append([f"{value:.2g}" for value in np.nanmax(ratio, axis=0)])
    labels = [METHODS[name].label for name in results.methods]
    return table(head, list(zip(labels, *columns, strict=True)))


def comparison(results: Results, names: Sequence[str], quantity: str) -> str:
    """Mean rank, wins and losses of pathrelu against each, and whether the difference is significant."""
    higher = MEASURES[quantity][2]
    if len(names) < 3 or len(results.methods) < 3:
        return "Fewer than three finished tables or methods: no ranks.\n"
    values = filled(results.values(names, quantity), higher)
    friedman = stats.friedmanchisquare(*values.T)
    rank = ranks(values, higher).mean(axis=0)
    lines = []
    ours = results.methods.index(OURS) if OURS in results.methods else None
    p = pairwise(values)
    for j in np.argsort(rank):
        row = [METHODS[results.methods[j]].label, f"{rank[j]:.2f}", f"{np.median(values[:, j]):.3f}"]
        if ours is not None and j != ours:
            row += [
                _outcome(values[:, ours], values[:, j], higher),
                f"{p[min(ours, j), max(ours, j)]:.3f}",
            ]
        else:
            row += ["", ""]
        lines.append(row)
    return (
        table(["method", "mean rank", "median", "pathrelu wins / ties / loses", "p (Wilcoxon, Holm)"], lines)
        + f"\nFriedman's test that all are alike: p = {friedman.pvalue:.1e}, {len(names)} tables.\n"
    )


def _outcome(ours: np.ndarray, theirs: np.ndarray, higher: bool) -> str:
    signs = np.sign(np.round((ours - theirs) * (1 if higher else -1), 10))
    return " / ".join(str((signs == sign).sum()) for sign in (1, 0, -1))


def each(results: Results, names: Sequence[str], quantity: str) -> str:
    higher = MEASURES[quantity][2]
    values, spread = results.values(names, quantity), results.spread(names, quantity)
    lines = []
    for name, row, error in zip(names, values, spread, strict=True):
        best = np.round(row, 3) == np.round(np.nanmax(row) if higher else np.nanmin(row), 3)
        several = len(results.folds[name]) > 1
        cells = [
            "failed"
            if np.isnan(value)
            else (f"**{value:.3f}**" if first else f"{value:.3f}") + (f" ± {sd:.3f}" if several else "")
            for value, sd, first in zip(row, error, best, strict=True)
        ]
        lines.append([_marked(name), str(len(results.folds[name])), *cells])
    return table(["table", "folds", *[METHODS[name].label for name in results.methods]], lines)


def losses(results: Results, names: Sequence[str], quantity: str) -> str:
    """The tables where pathrelu is behind the best other method by more than `LOST`."""
    values = filled(results.values(names, quantity), True)
    ours = results.methods.index(OURS)
    rivals = [j for j in range(len(results.methods)) if j != ours]
    best = values[:, rivals].argmax(axis=1)
    behind = values[:, rivals].max(axis=1) - values[:, ours]
    lines = []
    for i in np.argsort(-behind):
        if behind[i] > LOST:
            first, place = results.methods[rivals[best[i]]], ranks(values[[i]], True)[0, ours]
            alphas = [row[ours].get("alpha") for row in results.folds[names[i]]]
            chosen = ", ".join(f"{alpha:.2g}" for alpha in alphas if alpha is not None)
            lines.append(
                [
                    _marked(names[i]),
                    f"{values[i, ours]:.3f}",
                    f"{values[i, rivals[best[i]]]:.3f}, {METHODS[first].label}",
                    f"{place:g}",
                    chosen,
                ]
            )
    if not lines:
        return f"None by more than {LOST}.\n"
    return table(["table", "pathrelu", "the best other", "place of pathrelu", "alpha of the folds"], lines)


def times(results: Results, names: Sequence[str]) -> str:
    """Seconds of a fit of every method, and pathrelu beside the reference."""
    seconds, ratio = results.values(names, "fit_seconds"), time_ratios(results, names)
    predict = results.values(names, "predict_seconds")
    lines = []
    for i, name in enumerate(names):
        frame = tables.load(name).X
        cells = [f"{value:.2f}" for value in seconds[i]]
        more = []
        if OURS in results.methods:
            ours, theirs = results.methods.index(OURS), results.methods.index(REFERENCE)
            more = [f"{ratio[i, ours]:.1f}", f"{predict[i, ours]:.3f} / {predict[i, theirs]:.3f}"]
        lines.append([_marked(name), f"{len(frame)} x {frame.shape[1]}", *cells, *more])
    head = ["table", "rows x columns", *[METHODS[name].label for name in results.methods]]
    if OURS in results.methods:
        head += [f"pathrelu / {METHODS[REFERENCE].label}", "seconds of predict, these two"]
    mean = ["geometric mean", "", *[f"{value:.2f}" for value in np.exp(np.nanmean(np.log(seconds), axis=0))]]
    if OURS in results.methods:
        mean += [f"**{np.exp(np.nanmean(np.log(ratio[:, ours]))):.1f}**", ""]
    return table(head, [*lines, mean])


def calibration(results: Results, names: Sequence[str]) -> str:
    error = results.calibration_error(names)
    rank = ranks(error, False).mean(axis=0)
    return table(
        ["method", "expected calibration error, mean", "median", "mean rank"],
        [
            [
                METHODS[results.methods[j]].label,
                f"{np.nanmean(error[:, j]):.3f}",
                f"{np.nanmedian(error[:, j]):.3f}",
                f"{rank[j]:.2f}",
            ]
            for j in np.argsort(rank)
        ],
    )


def apart(records: Sequence[Record], results: Results, stage: str) -> str:
    """Each method that has not done all tables, beside every other on the evaluation tables it has done."""
    lines, missing = [], []
    for name in results.partial:
        done = {r["table"] for r in records if r["stage"] == stage and r["method"] == name and r["fold"] == 0}
        left = [each for each in (*tables.CLASSIFICATION, *tables.REGRESSION) if each not in done]
        count = len(tables.CLASSIFICATION) + len(tables.REGRESSION)
        missing.append(f"{METHODS[name].label}: {len(done)} of {count} first folds; not {', '.join(left)}.")
        for other in results.methods:
            pair = Results(records, stage, [other, name])
            for quantity, (title, task, higher) in MEASURES.items():
                names = pair.judged(task)
                if len(names) < 3:
                    continue
                values = filled(pair.values(names, quantity), higher)
                seconds = pair.values(names, "fit_seconds")
                ratio = np.exp(np.nanmean(np.log(seconds[:, 1] / seconds[:, 0])))
                p = pairwise(values)[0, 1]
                lines.append(
                    [
                        METHODS[name].label,
                        METHODS[other].label,
                        title,
                        _outcome(values[:, 1], values[:, 0], higher),
                        f"{p:.3f}",
                        f"{ratio:.2g}",
                    ]
                )
    if not lines:
        return "\n\n".join([*missing, "Fewer than three tables of any measure so far.\n"])
    columns = ["method", "against", "measure", "wins / ties / loses", "p (Wilcoxon)", "time ratio"]
    return "\n\n".join([*missing, table(columns, lines)])


def sources(names: Sequence[str]) -> str:
    lines = []
    for name in names:
        t = tables.load(name)
        target = f"{len(np.unique(t.y))} classes" if t.task == "classification" else "real"
        columns = f"{t.X.shape[1]}" + (f", {len(t.words)} text" if t.words else "")
        gaps = int(t.X.isna().to_numpy().sum())
        digest = f"`{t.digest[:16]}`"
        cells = [f"{len(t.y)}", columns, f"{gaps}" if gaps else "", target, digest]
        lines.append([_marked(name), t.package, t.licence, *cells])
    return table(
        ["table", "package", "licence", "rows", "columns", "gaps", "target", "SHA-256 (first 16)"], lines
    )


def _marked(name: str) -> str:
    return name + (" (d)" if name in tables.DEVELOPMENT else "")


def draw(panels: Sequence[tuple[str, list[str], np.ndarray, bool]], path: Path) -> None:
    """Mean ranks on an axis for each measure; a bar joins methods whose differences are not significant."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    stages = dict.fromkeys(title.rpartition(", ")[2] for title, *_ in panels)
    columns = [[panel for panel in panels if panel[0].endswith(f", {stage}")] for stage in stages]
    rows = max(map(len, columns))
    figure, axes = plt.subplots(rows, len(columns), figsize=(7 * len(columns), 2.3 * rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    placed = [(axes[i, j], panel) for j, column in enumerate(columns) for i, panel in enumerate(column)]
    for ax, (title, methods, values, higher) in placed:
        values = filled(values, higher)
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
            color = "#D55E00" if ours else "black"
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
            ax.plot([rank[order[i]] - 0.04, rank[order[j]] + 0.04], [level, level], color="#0072B2", lw=4)
        ax.set(xlim=(-1.3, k + 2.3), ylim=(bottom - 0.75 * half, 1.3))
        ax.set_title(f"{title}, {len(values)} tables", fontsize=11, loc="left", fontweight="bold")
    figure.tight_layout()
    _save(figure, path)


def draw_calibration(results: Results, names: Sequence[str], path: Path) -> None:
    """How often the likeliest class is right against how sure the method is, of all test rows together."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.5, 5.5))
    ax.plot([0, 1], [0, 1], color="black", lw=0.8, ls=":", label="as often as it is said")
    for j, name in enumerate(results.methods):
        usable = [each for each in names if results.bins([each], j) is not None]
        if (bins := results.bins(usable, j)) is None:
            continue
        rows, said, right = bins[bins[:, 0] >= FEWEST].T
        ours = name == OURS
        ax.plot(
            said / rows,
            right / rows,
            marker=MARKERS[j % len(MARKERS)],
            ms=5,
            lw=2.5 if ours else 1,
            color=COLORS[j % len(COLORS)],
            zorder=3 if ours else 2,
            label=METHODS[name].label,
        )
    ax.set(xlabel="probability of the likeliest class", ylabel="share of rows where it is right")
    ax.set_title("Held-out rows of all evaluation tables, untuned")
    ax.legend(fontsize=8)
    figure.tight_layout()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    draft = path.with_suffix(".draft.png")
    figure.savefig(draft, dpi=200)
    plt.close(figure)
    draft.replace(path)


def hours(records: Sequence[Record]) -> float:
    parts = ("fit_seconds", "predict_seconds", "search_seconds")
    return sum(record.get(part, 0.0) for record in records for part in parts) / 3600


def write(records: Sequence[Record], folder: Path) -> None:
    records = latest(records)
    stages = {stage: Results(records, stage) for stage in ("untuned", "tuned")}
    untuned = stages["untuned"]
    text = [INTRODUCTION, protocol(records), "## Ranks"]
    if all(record["table"] in tables.DEVELOPMENT for record in records):
        text.append("**Only development tables are here: these ranks are no evaluation.**")
    panels = []
    for stage, results in stages.items():
        for quantity, (title, task, higher) in MEASURES.items():
            names = results.judged(task)
            if len(names) >= 3 and len(results.methods) >= 3:
                values = results.values(names, quantity)
                panels.append((f"{title}, {stage}", results.methods, values, higher))
    if panels:
        draw(panels, folder / "accuracy.png")
        text.append(RANKS.format(level=LEVEL))
    for stage, results in stages.items():
        if results.folds:
            text.append(f"### Mean ranks, {stage}\n\n{TIME_NOTE}\n\n" + summary(results))
            for quantity, (title, task, _) in MEASURES.items():
                if names := results.judged(task):
                    text.append(f"### {title}, {stage}\n\n" + comparison(results, names, quantity))
    text.append("## Where pathrelu loses")
    for stage, results in stages.items():
        if OURS in results.methods and len(results.methods) > 1:
            text.append(f"Tables lost by more than {LOST} to the best of all other methods, {stage}.")
            for quantity in ("accuracy", "r2"):
                title, task, _ = MEASURES[quantity]
                if names := results.names(task):
                    text.append(f"### {title}, {stage}, behind\n\n" + losses(results, names, quantity))
    notes = Path(__file__).parent / "results" / "accuracy_notes.md"
    if notes.exists():
        text.append(notes.read_text().strip())
    if REFERENCE in untuned.methods:
        text.append("## Processor time\n\n" + TIMES)
        text.append(times(untuned, untuned.names("classification") + untuned.names("regression")))
    if names := untuned.judged("classification"):
        draw_calibration(untuned, names, folder / "accuracy_calibration.png")
        text.append(
            "## Calibration\n\n" + CALIBRATION.format(fewest=FEWEST) + "\n\n" + calibration(untuned, names)
        )
    for stage, results in stages.items():
        if results.partial:
            text.append(f"## Methods that have not done every table, {stage}\n\n" + APART)
            text.append(apart(records, results, stage))
    text.append("## Every table\n\nMean ± standard deviation over folds; (d): a development table.")
    for stage, results in stages.items():
        for quantity, (title, task, _) in MEASURES.items():
            if names := results.names(task):
                text.append(f"### {title} of each table, {stage}\n\n" + each(results, names, quantity))
    text.append(failures(records))
    text.append("## Tables used\n\n" + SOURCES.format(least=tables.MIN_CLASS))
    text.append(sources(untuned.names("classification") + untuned.names("regression")))
    codes = sorted({record["code"] for record in records})
    machines = sorted({record["machine"] for record in records})
    text.append(
        f"Measured with {', '.join(codes)}; Python {platform.python_version()}, {', '.join(machines)}, one "
        f"thread. The fits of this page took {hours(records):.1f} hours of processor time."
    )
    draft = folder / "accuracy.md.draft"
    draft.write_text("\n\n".join(part.strip() for part in text if part) + "\n")
    draft.replace(folder / "accuracy.md")


def protocol(records: Sequence[Record]) -> str:
    """What each method gets, and what is drawn for it when it is tuned."""
    lines = []
    for name, method in METHODS.items():
        if any(record["method"] == name for record in records):
            spaces = [_space(method.space(task)) for task in EVERY]
            text = spaces[0] if spaces[0] == spaces[1] else "; for a regression ".join(spaces)
            text = text or "nothing: it chooses its strength by cross-validation"
            lines.append([method.label, method.input, text])
    budgets = sorted({record["budget"] for record in records if record["stage"] == "tuned"})
    head = "drawn when tuned (low to high: log-uniform)"
    said = f" Tuned with {budgets[-1]} configurations." if budgets else " Nothing has been tuned yet."
    return table(["method", "input", head], lines) + "\n" + said.strip()


def _space(space: dict[str, Any]) -> str:
    return "; ".join(
        f"`{name}` {values[0]} to {values[1]}"
        if isinstance(values, tuple)
        else f"`{name}` {', '.join(map(str, values))}"
        for name, values in space.items()
    )


def failures(records: Sequence[Record]) -> str:
    failed = [record for record in records if "failed" in record]
    lines = [
        [METHODS[r["method"]].label, r["stage"], r["table"], str(r["fold"]), r["failed"]] for r in failed
    ]
    if not lines:
        return ""
    return "### Fits that failed\n\nThey count as the worst of their table.\n\n" + table(
        ["method", "stage", "table", "fold", "why"], lines
    )


INTRODUCTION = """# Accuracy on real tables

How well the networks of pathrelu predict on tables that PyPI packages carry, at their full size, beside
methods that people use. `python bench/accuracy.py` measures and writes this page.

**Protocol.** Stratified folds, the same for all methods: up to 2,000 rows the first folds of 5, up to 10,000
of 3, above that one split of 75 % to 25 %; how many folds all methods have done stands beside each table.
Every method gets the raw frame (numbers, categories of text, gaps) where it takes it; the others stand behind
scikit-learn's usual preprocessing, fitted within the fold: median and an indicator for gaps, standardized
numbers, one-hot categories; an MLP's target of a regression is standardized. Untuned means
`PathReLUClassifier().fit(X, y)` and so on: every parameter as it is by default, save that the MLP stops early
and that logistic regression chooses among six strengths on three folds. Tuned means the defaults and random
configurations, as many for each method, compared by log-loss or squared error on a fifth of the training rows
and fitted again on all of them.

Tables marked (d) are the development set, on which defaults of pathrelu were chosen; ranks and tests are over
the other tables only, four of which had a part in late choices (see the notes on losses). What this does not
show: more than 50,000 rows, and pretrained models."""
RANKS = """![Mean ranks](accuracy.png)

Mean ranks over the evaluation tables (1 is best); a bar joins methods that Wilcoxon's signed-rank test with
Holm's correction does not tell apart at {level}."""
TIME_NOTE = "Processor time is that of a whole fit, preprocessing included."
TIMES = """Processor seconds of an untuned fit on one thread, the mean of the folds, preprocessing included,
on a machine that others used too."""
CALIBRATION = """![Calibration curves](accuracy_calibration.png)

Untuned, on the tables of the ranks. The expected calibration error is the mean distance between the
probability of the likeliest class and how often it is right, in ten bins of equal width; the curves are of
all test rows of all tables together, where a bin has at least {fewest}."""
APART = """Each beside every method above, on the tables of the ranks and the folds that both have done: the
method's wins, ties and losses, the p-value of this pair alone, and its processor time over the other's
(geometric mean)."""
SOURCES = """Nothing is copied into this repository or downloaded. Licences are those of the packages. The
digest is of the frame and target as they are used; rows of classes of fewer than {least} are left out."""
