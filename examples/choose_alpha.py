"""
A path in alpha by hand
=======================

Follow the solutions from the zero network down in alpha; keep the one that predicts held-out rows best.
"""

import numpy as np

import pathrelu as pr

rng = np.random.default_rng(0)
X = rng.standard_normal((300, 5))
y = np.maximum(X[:, 0], 0) * 2 - np.maximum(X[:, 1] - X[:, 2], 0) + 0.3 * rng.standard_normal(300)
shown, held_out = slice(0, 200), slice(200, 300)

arrangements = pr.sample_arrangements(X[shown], 80, random_state=0)
path = pr.solve_path(X[shown], y[shown], arrangements, n_alphas=10, eps=1e-2, fit_intercept=True, tol=1e-4)

networks = [solution.network() for solution in path.solutions]
errors = [np.mean((network.predict(X[held_out]) - y[held_out]) ** 2) for network in networks]
for alpha, network, error in zip(path.alphas, networks, errors, strict=True):
    print(f"alpha {alpha:.5f}  sub-networks {network.n_subnetworks:3d}  held-out error {error:.4f}")

best = path.alphas[np.argmin(errors)]
found = pr.search(X[shown], y[shown], best, fit_intercept=True, random_state=0)
error = np.mean((found.network().predict(X[held_out]) - y[held_out]) ** 2)
print(f"searched at alpha {best:.5f}: sub-networks {found.n_active}, held-out error {error:.4f}")
