"""What the relaxed training problem is worth as a start of searches: `python bench/relaxation.py`.

For each table the relaxation's lower bound, and the objective after one round of search from its units, from
as many random units, and by default; each above the best objective known, mean of some seeds.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from problems import load

import pathrelu as pr
from pathrelu._watch import Watch
from pathrelu.program._problem import Problem
from pathrelu.program._search import run_search, search_options
from pathrelu.program._solve import solver_options

SHARE = 0.1  # of the least alpha with a zero network
SEEDS = 4


def standard(X):
    scale = X.std(axis=0)
    X = (X - X.mean(axis=0))[:, scale > 0] / scale[scale > 0]
    return np.column_stack([X, np.ones(len(X))])


def tables():
    X, y = load_diabetes(return_X_y=True)
    yield "diabetes", standard(X), (y - y.mean()) / y.std()
    X, y = load_breast_cancer(return_X_y=True)
    yield "breast cancer", standard(X), 2.0 * y - 1
    X, y = load_digits(return_X_y=True)
    yield "digits, odd or even", standard(X)[:900], np.where(y % 2, 1.0, -1.0)[:900]
    for name, rows, columns in (("P0", 200, 10), ("P1", 1000, 20), ("P2", 1000, 50), ("P3", 800, 40)):
        p = load(name)
        yield name, np.ascontiguousarray(p.X[:rows, :columns]), p.y[:rows]


def main():
    warnings.simplefilter("ignore")
    print("| table | rows x columns | gap of the bound | from its units | from random units | search |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, X, y in tables():
        gates = pr.sample_arrangements(X, 300, random_state=0)
        alpha = SHARE * pr.alpha_max(X, y, gates, fit_intercept=True)
        relaxed = pr.relaxation(X, y, alpha, fit_intercept=True)
        problem = Problem.check(X, y, "relu", "squared_error", None)

        def searched(units, seed, problem=problem, alpha=alpha, relaxed=relaxed):
            start = None
            if units is not None:
                none, plain = np.zeros((len(units), 0), np.int8), np.zeros(len(units), np.uint8)
                start = (np.ascontiguousarray(units), none, relaxed.directions, plain, np.zeros(0))
            return run_search(
                problem,
                alpha,
                [],
                solver_options(1e-5, 10_000, True, None),
                search_options(None, 1, seed, False, "auto"),
                Watch(),
                start,
            ).objective

        units = relaxed.weights[:, np.newaxis] * relaxed.units
        random = np.random.default_rng(0).standard_normal(units.shape)
        random *= np.linalg.norm(units, axis=1, keepdims=True) / np.linalg.norm(random, axis=1, keepdims=True)
        ends = [[searched(start, seed) for seed in range(SEEDS)] for start in (units, random, None)]
        whole = pr.search(X, y, alpha, random_state=0, fit_intercept=True).objective
        best = min(whole, *map(min, ends))
        above = " | ".join(f"{100 * (np.mean(end) / best - 1):.2f} %" for end in ends)
        size = f"{X.shape[0]} × {X.shape[1]}"
        print(f"| {name} | {size} | {100 * (1 - relaxed.lower / best):.1f} % | {above} |", flush=True)


if __name__ == "__main__":
    main()
