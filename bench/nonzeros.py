"""Sparse rows: default fits beside linear, boosted and multilayer models, in time, memory and predictions.

    python bench/nonzeros.py [--output DIR]

Two tables of classes. "words": 100,000 rows of 10,000 columns with ten nonzeros each, as rows of words are.
"docstrings": those of installed packages by words (TF-IDF), where the class is the package; which there are
depends on what is installed. Each fit is a process of its own on one thread; memory is what it adds to the
process with its data.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from common import machine, now
from rows import memory, new_peak

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("dask", "matplotlib", "networkx", "numpy", "pandas", "scipy", "sklearn", "sympy", "torch")
COLUMNS, LEAST_TEXT = 10_000, 60  # of words, and letters of a docstring
TABLES = ("words", "docstrings")
METHODS = ("pathrelu", "pathrelu, standardize=False", "logistic regression", "MLP", "LightGBM")


def words():
    """Two classes by words of a few hundred columns, one by one and by how two groups of them differ."""
    from scipy import sparse

    rng = np.random.default_rng(0)
    n, each = 125_000, 10
    often = 1 / (np.arange(COLUMNS) + 50.0)
    columns = rng.choice(COLUMNS, size=(n, each), p=often / often.sum())
    places = (np.repeat(np.arange(n), each), columns.ravel())
    X = sparse.csr_array((np.ones(n * each, np.float32), places), shape=(n, COLUMNS))
    weights = rng.standard_normal((COLUMNS, 3)) * (rng.random((COLUMNS, 3)) < 0.3)
    alone, one, other = (X @ weights).T
    score = alone + np.abs(one) - np.abs(other) + 0.5 * rng.logistic(size=n)
    return X, (score > np.median(score)).astype(np.int64), 25_000


def docstrings():
    """Words of docstrings, and their packages."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    found: dict[str, str] = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        for file in sorted(Path(spec.origin).parent.rglob("*.py")):
            try:
                tree = ast.parse(file.read_text())
            except (SyntaxError, UnicodeDecodeError):
                continue
            for node in ast.walk(tree):
                text = ast.get_docstring(node) if isinstance(node, ast.FunctionDef | ast.ClassDef) else None
                if text and len(text) > LEAST_TEXT:
                    found.setdefault(text, package)
    order = np.random.default_rng(0).permutation(len(found))
    texts, labels = (np.array(part, dtype=object)[order] for part in zip(*found.items(), strict=True))
    words = TfidfVectorizer(max_features=COLUMNS, dtype=np.float32, token_pattern="[A-Za-z]{3,}")
    return words.fit_transform(texts).tocsr(), labels.astype(str), len(texts) // 5


def model_of(method: str):
    if method == "logistic regression":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=10, max_iter=1000)
    if method == "MLP":
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(early_stopping=True, random_state=0)
    if method == "LightGBM":
        from lightgbm import LGBMClassifier

        return LGBMClassifier(verbose=-1, n_jobs=1, random_state=0)
    import pathrelu as pr

    return pr.PathReLUClassifier(random_state=0, n_threads=1, standardize=method == "pathrelu")


def measure(method: str, table: str) -> dict[str, object]:
    """One fit in this process."""
    from sklearn.metrics import log_loss

    X, y, n_test = {"words": words, "docstrings": docstrings}[table]()
    new, target, X, y = X[-n_test:], y[-n_test:], X[:-n_test], y[:-n_test]
    model = model_of(method)
    before = new_peak()
    begin = time.process_time()
    model.fit(X, y)
    found = {"processor": time.process_time() - begin, "above_data": memory("VmHWM") - before}
    begin = time.process_time()
    probability = model.predict_proba(new)
    found |= {"predict": time.process_time() - begin, "rows": X.shape[0], "columns": X.shape[1]}
    found |= {"nonzeros": X.nnz, "data": (X.data.nbytes + X.indices.nbytes) / 1e6}
    found |= {"accuracy": float(np.mean(model.classes_[probability.argmax(axis=1)] == target))}
    return found | {"log_loss": float(log_loss(target, probability)), "date": now(), "machine": machine()}


def report(records: list[dict], directory: Path) -> None:
    lines = [
        "# Sparse rows",
        "",
        f"Made by `python bench/nonzeros.py`, on one thread of {records[0]['machine']}; seconds of the",
        "processor, and megabytes that the fit adds to the process with its data at its peak. As dense rows",
        "of single precision, 100,000 x 10,000 have 4,000 MB.",
    ]
    for table in TABLES:
        own = [r for r in records if r["table"] == table]
        if not own:
            continue
        lines += [
            "",
            f"## {table.capitalize()}",
            "",
            f"{own[0]['rows']:,} rows of {own[0]['columns']:,} columns, {own[0]['nonzeros']:,} nonzeros "
            f"({own[0]['data']:.0f} MB).",
            "",
            "| method | accuracy | log-loss | fit, s | MB above data | predict, s |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {r['method']} | {r['accuracy']:.4f} | {r['log_loss']:.4f} | {r['processor']:.1f} | "
            f"{r['above_data']:.0f} | {r['predict']:.2f} |"
            for r in own
        ]
    (directory / "sparse.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "TABLE"), help="one fit, as JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(*given.one)))
        return
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    records = []
    for table in given.tables:
        for method in given.methods:
            command = [sys.executable, __file__, "--one", method, table]
            done = subprocess.run(command, env=os.environ | threads, capture_output=True, check=True)
            records.append({"table": table, "method": method} | json.loads(done.stdout))
            print(json.dumps(records[-1]), flush=True)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "sparse.json").write_text(json.dumps(records, indent=1) + "\n")
    report(records, given.output)


if __name__ == "__main__":
    main()
