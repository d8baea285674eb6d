"""
Arrangements and sparsity
=========================

Which sub-networks are on for which rows, and which features they look at. Columns of the two panels are the
same sub-networks.
"""

# %%
# Rows and sub-networks are sorted so that those with alike patterns are side by side.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine

import pathrelu as pr
from pathrelu.plotting import ArrangementDisplay

wine = load_wine(as_frame=True)
X, y = wine.data, np.array(["Barolo", "Grignolino", "Barbera"])[wine.target]
model = pr.PathReLUClassifier(alpha=0.003, random_state=0).fit(X, y)
display = ArrangementDisplay.from_estimator(model, X)
print(f"{model.n_subnetworks_} sub-networks, on for {100 * np.mean(display.masks):.0f} % of rows on average")
plt.show()

# %%
# Rows sorted by class instead: a sub-network is on for some classes, and off for others.

ArrangementDisplay.from_estimator(model, X, values=y)
plt.show()

# %%
# Of a deeper network, the share of paths that are on; here for a solution of :func:`~pathrelu.solve`, with
# the patterns of the convex program.

rng = np.random.default_rng(0)
X = rng.standard_normal((200, 6))
y = np.maximum(X[:, 0] - X[:, 1], 0) - np.abs(X[:, 2])
arrangements = pr.sample_arrangements(X, 60, depth=3, width=4, random_state=0)
solution = pr.solve(X, y, arrangements, 0.02, activation="gated")
ArrangementDisplay.from_solution(solution)
plt.show()
