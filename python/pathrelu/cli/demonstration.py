"""The network beside usual models on two small tables: it is ahead on one, and not on the other."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu.estimators import PathReLUClassifier
from pathrelu.progress import part

SPLITS = 5
TEST_SHARE = 0.25
TABLES = ("iris", "wine")  # that scikit-learn carries


def compared(alpha: float | str, seed: int, n_threads: int | None) -> dict[str, Any]:
    """Log-losses and accuracies on held-out rows of several splits, the same ones for all models."""
    from sklearn import datasets

    threads = check.threads(n_threads)
    begin = time.perf_counter()
    tables = []
    for name in TABLES:
        data = getattr(datasets, f"load_{name}")()
        results = _on_splits(name, data.data, data.target_names[data.target], alpha, seed, threads)
        tables.append({"name": name, "rows": len(data.data), "features": data.data.shape[1], **results})
    seconds = time.perf_counter() - begin
    return {"threads": threads, "splits": SPLITS, "tables": tables, "seconds": seconds}


def _models(alpha: float | str, seed: int, threads: int) -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    models = (
        PathReLUClassifier(alpha=alpha, random_state=seed, n_threads=threads),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        make_pipeline(StandardScaler(), MLPClassifier(max_iter=1000, random_state=seed)),
        RandomForestClassifier(random_state=seed, n_jobs=threads),
        HistGradientBoostingClassifier(random_state=seed),
    )
    return {type(model[-1] if hasattr(model, "steps") else model).__name__: model for model in models}


def _on_splits(
    table: str, X: NDArray[Any], y: NDArray[Any], alpha: float | str, seed: int, threads: int
) -> dict[str, Any]:
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedShuffleSplit
    from threadpoolctl import threadpool_limits

    splits = StratifiedShuffleSplit(SPLITS, test_size=TEST_SHARE, random_state=0)
    models = _models(alpha, seed, threads)
    losses: dict[str, list[float]] = {name: [] for name in models}
    hits: dict[str, list[float]] = {name: [] for name in models}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for k, (train, test) in enumerate(splits.split(X, y)):
        for name, model in models.items():
            begin = time.perf_counter()
            with threadpool_limits(threads), part(f"{table}, split {k + 1} of {SPLITS}, {name}"):
                model.fit(X[train], y[train])
            seconds[name].append(time.perf_counter() - begin)
            losses[name].append(float(log_loss(y[test], model.predict_proba(X[test]), labels=model.classes_)))
            hits[name].append(float(model.score(X[test], y[test])))
    results = [
        {
            "name": name,
            "log_loss": float(np.mean(losses[name])),
            "log_loss_error": float(np.std(losses[name], ddof=1)) / math.sqrt(SPLITS),
            "accuracy": float(np.mean(hits[name])),
            "seconds": float(np.mean(seconds[name])),
        }
        for name in models
    ]
    best = min(models, key=lambda name: np.mean(losses[name]))
    ours, *others = models
    rival = min(others, key=lambda name: np.mean(losses[name]))
    ahead = int(np.sum(np.array(losses[ours]) < losses[rival]))
    return {"trained": len(train), "results": results, "best": best, "rival": rival, "ahead": ahead}
