"""
A path in alpha by hand
=======================

Follow the solutions from the zero network down in alpha; keep the one that predicts held-out rows best.
"""

# %%
# Over arrangements that stay fixed
# ---------------------------------

import matplotlib.pyplot as plt
import numpy as np

import pathrelu as pr

rng = np.random.default_rng(0)
X = rng.standard_normal((300, 5))
y = np.maximum(X[:, 0], 0) * 2 - np.maximum(X[:, 1] - X[:, 2], 0) + 0.3 * rng.standard_normal(300)
shown, held_out = slice(0, 200), slice(200, 300)

arrangements = pr.sample_arrangements(X[shown], 80, random_state=0)
path = pr.solve_path(X[shown], y[shown], arrangements, n_alphas=10, eps=1e-2, fit_intercept=True, tol=1e-4)


def error_of(network, rows):
    return np.mean((network.predict(X[rows]) - y[rows]) ** 2)


networks = [solution.network() for solution in path.solutions]
errors = [error_of(network, held_out) for network in networks]
for alpha, network, error in zip(path.alphas, networks, errors, strict=True):
    print(f"alpha {alpha:.5f}  sub-networks {network.n_subnetworks:3d}  held-out error {error:.4f}")

# %%
# Searched
# --------
#
# Arrangements that are searched for need fewer sub-networks, and predict better.

best = path.alphas[np.argmin(errors)]
found = pr.search(X[shown], y[shown], best, fit_intercept=True, random_state=0)
searched = error_of(found.network(), held_out)
print(f"searched at alpha {best:.5f}: sub-networks {found.n_active}, held-out error {searched:.4f}")

figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
training = [error_of(network, shown) for network in networks]
axes.plot(path.alphas, training, "s--", color="#444444", label="training rows")
axes.plot(path.alphas, errors, "o-", color="#0072B2", label="held-out rows")
axes.plot(best, searched, "*", color="#D55E00", markersize=15, label="held-out rows, searched")
axes.axhline(0.3**2, color="0.5", linewidth=1, linestyle=":", label="noise")
axes.set(xscale="log", yscale="log", xlabel="alpha", ylabel="mean squared error")
axes.set_title("From the zero network (right) down")
axes.legend()
plt.show()
