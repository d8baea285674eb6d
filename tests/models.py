"""Models of every kind, for tests of exports and files."""

import numpy as np
import pytest
from test_network import SHAPES, random_network

import pathrelu as pr

KINDS = ("relu", "gated")


def every_network():
    """Every kind of network there is, with a name for each."""
    for width in SHAPES:
        for kind in KINDS:
            for outputs in (1, 3):
                for skip in (False, True):
                    rng = np.random.default_rng(7)
                    options = (
                        {"skip_weights": rng.standard_normal((outputs, 4)), "skip_bias": rng.random(outputs)}
                        if skip
                        else {}
                    )
                    yield pytest.param(
                        random_network(width, kind, outputs=outputs, **options),
                        id=f"{kind}-{'x'.join(map(str, width)) or 'shallow'}-{outputs}{'-skip' * skip}",
                    )


NETWORKS = list(every_network())


def rows(n=200, d=4, seed=1):
    return np.random.default_rng(seed).standard_normal((n, d))


def fitted(kind="classifier", **options):
    X = rows(60)
    if kind == "classifier":
        y = np.array(["no", "yes", "maybe"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)]
        return pr.PathReLUClassifier(alpha=0.05, random_state=0, **options).fit(X, y)
    return pr.PathReLURegressor(alpha=0.1, random_state=0, **options).fit(X, np.abs(X[:, 0]))
