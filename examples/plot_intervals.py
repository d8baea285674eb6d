"""
Prediction intervals
====================

Two networks, of a low and of a high quantile, and rows held out that say by how much to widen intervals.
"""

# %%
# Quantiles
# ---------
#
# Noise that grows with the column, and is larger above than below.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

import pathrelu as pr

rng = np.random.default_rng(0)
X = rng.uniform(0, 1, (1500, 1))
y = np.sin(6 * X[:, 0]) + (0.1 + X[:, 0]) * rng.exponential(0.5, 1500)
X, new, y, y_new = train_test_split(X, y, test_size=500, random_state=0)
rows, held_out, y_rows, y_held_out = train_test_split(X, y, test_size=0.25, random_state=0)
networks = [
    pr.PathReLURegressor(loss="quantile", quantile=level, random_state=0).fit(rows, y_rows)
    for level in (0.05, 0.95)
]

# %%
# The margin
# ----------
#
# By how much held-out rows are beyond the interval, or inside of it: its 90 % quantile is what intervals take
# to cover nine of ten new rows.

low, high = (network.predict(held_out) for network in networks)
beyond = np.sort(np.maximum(low - y_held_out, y_held_out - high))
margin = beyond[int(np.ceil(0.9 * (len(beyond) + 1))) - 1]
low, high = np.sort([network.predict(new) for network in networks], axis=0)
low, high = low - margin, high + margin
inside = (low <= y_new) & (y_new <= high)
print(f"{inside.mean():.0%} of new rows are inside")

# %%

order = new[:, 0].argsort()
figure, axes = plt.subplots()
axes.fill_between(
    new[order, 0], low[order], high[order], color="#56B4E9", alpha=0.4, linewidth=0, label="interval"
)
for rows_shown, color, label in ((inside, "#444444", "inside"), (~inside, "#D55E00", "outside")):
    axes.plot(new[rows_shown, 0], y_new[rows_shown], ".", color=color, markersize=4, label=label)
axes.set_xlabel("column")
axes.set_ylabel("target")
axes.set_title("New rows, of which nine tenths should be inside")
axes.legend()
plt.show()
