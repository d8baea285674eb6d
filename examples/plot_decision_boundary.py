"""
Decision boundaries and kinks
=============================

A ReLU network is affine on every piece that its kinks cut the plane into. The darker a line, the larger the
path norm of the sub-network whose unit switches there.
"""

# %%
# Two classes
# -----------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine, make_moons

import pathrelu as pr
from pathrelu.plotting import DecisionBoundaryDisplay

X, y = make_moons(300, noise=0.2, random_state=0)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
for ax, depth in ((left, 2), (right, 3)):
    model = pr.PathReLUClassifier(depth=depth, alpha=0.005, random_state=0).fit(X, y)
    display = DecisionBoundaryDisplay.from_estimator(model, X, response_method="predict_proba", ax=ax)
    ax.scatter(*X.T, c=y, edgecolor="black", s=15)
    ax.set_title(f"depth {depth}: {model.n_subnetworks_} sub-networks")
    ax.legend(loc="lower left")
    print(f"depth {depth}: accuracy {model.score(X, y):.3f}")
plt.show()

# %%
# Several classes, and two features of many
# -----------------------------------------
#
# The other features are set to their means.

table, label = load_wine(return_X_y=True, as_frame=True)
model = pr.PathReLUClassifier(alpha=0.03, random_state=0).fit(table, label)
display = DecisionBoundaryDisplay.from_estimator(model, table, features=["flavanoids", "proline"])
for c, marker in enumerate("o^s"):
    rows = table[label == c]
    style = {"color": "white", "edgecolor": "black", "marker": marker}
    display.ax_.scatter(rows["flavanoids"], rows["proline"], **style, label=f"class {c}")
display.ax_.legend()
plt.show()

# %%
# A surface
# ---------
#
# Of a regression: the kinks are found where they were put.

rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, (300, 2))
y = np.abs(X[:, 0]) - np.maximum(X[:, 1], 0)
model = pr.PathReLURegressor(alpha=0.002, random_state=0).fit(X, y)
display = DecisionBoundaryDisplay.from_estimator(model, X, cmap="cividis")
display.figure_.colorbar(display.surface_, label="prediction")
plt.show()
