"""Standard problems with fixed seeds: P0 to P4, and T0, for which every arrangement is listed.

A teacher of a few ReLU units plus noise on standardised Gaussian rows; P4 is digits of scikit-learn, odd
against even. `G` holds gates as columns, `D[k, i]` is 1 where ``X[k] @ G[:, i] > 0``, `lam_max` is the
smallest alpha with the zero solution of the gated program, and `lams` are 0.1, 0.01 and 0.001 of it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Problem(NamedTuple):
    name: str
    X: NDArray[np.float64]  # (n, d)
    y: NDArray[np.float64]  # (n,)
    G: NDArray[np.float64]  # (d, P)
    D: NDArray[np.uint8]  # (n, P)
    lam_max: float
    lams: tuple[float, ...]


#       seed     n    d     P  teacher's units
SPECS = {
    "P0": (100, 200, 10, 50, 5),
    "P1": (101, 1000, 20, 500, 10),
    "P2": (102, 5000, 50, 1000, 10),
    "P3": (103, 20000, 100, 1000, 10),
    "P4": (104, 1797, 64, 500, None),
    "T0": (105, 8, 3, None, 3),
}
NOISE = 0.1
LAM_FRACTIONS = (0.1, 0.01, 0.001)


def load(name: str) -> Problem:
    seed, n, d, P, teacher_units = SPECS[name]
    rng = np.random.default_rng(seed)
    if teacher_units is None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        X = standardised(np.asarray(digits.data, dtype=np.float64))
        y = np.where(digits.target % 2 == 1, 1.0, -1.0)
    else:
        X = standardised(rng.standard_normal((n, d)))
        W = rng.standard_normal((d, teacher_units)) / np.sqrt(d)
        a = rng.standard_normal(teacher_units)
        f = np.maximum(X @ W, 0.0) @ a
        y = (f - f.mean()) / f.std() + NOISE * rng.standard_normal(n)
    X = np.ascontiguousarray(X)
    if P is None:
        # Eight rows: a pattern is one byte, and a million gates meet all 2 (1 + 7 + 21) = 58 of them.
        G = rng.standard_normal((d, 1_000_000))
        code = np.packbits(patterns(X, G), axis=0)[0]
        _, first = np.unique(code, return_index=True)
        G = np.ascontiguousarray(G[:, first])
    else:
        G = rng.standard_normal((d, P))
    D = patterns(X, G)
    lam_max = float(np.linalg.norm((D * y[:, None]).T @ X, axis=1).max() / n)
    return Problem(name, X, y, G, D, lam_max, tuple(fraction * lam_max for fraction in LAM_FRACTIONS))


def standardised(X: NDArray[np.float64]) -> NDArray[np.float64]:
    X = X - X.mean(axis=0)
    s = X.std(axis=0)
    return np.divide(X, s, out=np.zeros_like(X), where=s > 0)


def patterns(X: NDArray[np.float64], G: NDArray[np.float64]) -> NDArray[np.uint8]:
    return (X @ G > 0).astype(np.uint8)
