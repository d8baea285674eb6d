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
    for c, (marker, color) in enumerate((("o", "#7F3B08"), ("s", "#2D004B"))):
        ax.scatter(
            *X[y == c].T,
            s=18,
            marker=marker,
            color=color,
            edgecolor="white",
            linewidth=0.6,
            label=f"class {c}",
        )
    ax.set_title(f"depth {depth}: {model.n_subnetworks_} sub-networks, accuracy {model.score(X, y):.2f}")
    ax.legend(loc="lower left")
figure.colorbar(display.surface_, ax=right, label="probability of class 1")
print("Where the probability is a half, the two classes meet.")
plt.show()

# %%
# Several classes, and two features of many
# -----------------------------------------
#
# What is drawn is a slice, in which the other eleven features have one value each. Here are three of them,
# each through the medians of one class and with the rows of that class, to which it is near.

wine = load_wine(as_frame=True)
names = np.array(["Barolo", "Grignolino", "Barbera"])
table, label = wine.data, names[wine.target]
model = pr.PathReLUClassifier(alpha=0.03, random_state=0).fit(table, label)
figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), sharex=True, sharey=True, layout="constrained")
for ax, name in zip(axes, names, strict=True):
    rows = table[label == name]
    display = DecisionBoundaryDisplay.from_estimator(
        model, table, features=["flavanoids", "proline"], fixed=rows.median().to_numpy(), ax=ax
    )
    ax.scatter(
        rows["flavanoids"], rows["proline"], s=18, color="white", edgecolor="black", label="rows of the class"
    )
    ax.set_title(f"Slice through the medians of {name}", fontsize="medium")
figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper")
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
display.ax_.set_title("|x0| - max(x1, 0), from 300 rows")
display.figure_.colorbar(display.surface_, label="prediction")
plt.show()
