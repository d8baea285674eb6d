"""
Monotone constraints
====================

What is known of a column: predictions never fall in it, or never rise. With few and noisy rows a free network
bends with the noise, and one with the constraint does not.
"""

# %%
# A dose and its effect
# ---------------------
#
# The effect rises with the dose, and levels off; it depends on the age too, in whichever way.

import matplotlib.pyplot as plt
import numpy as np

import pathrelu as pr

rng = np.random.default_rng(1)
dose, age = rng.uniform(0, 10, 60), rng.uniform(20, 80, 60)


def effect(dose, age):
    return 4 * np.tanh(dose / 3) + np.cos(age / 10)


X = np.column_stack([dose, age])
y = effect(dose, age) + 1.5 * rng.standard_normal(60)
free = pr.PathReLURegressor(alpha=0.01, random_state=0).fit(X, y)
model = pr.PathReLURegressor(alpha=0.01, monotonic_cst=[1, 0], random_state=0).fit(X, y)

# %%
# Along the dose
# --------------
#
# For some ages. The constraint holds for each of them, and beyond the rows.

grid = np.linspace(-1, 12, 200)
figure, panels = plt.subplots(1, 2, sharey=True, figsize=(9, 4), layout="constrained")
for axes, fitted, title in ((panels[0], free, "free"), (panels[1], model, "never falls in the dose")):
    for years, color in ((30, "#0072B2"), (50, "#009E73"), (70, "#D55E00")):
        line = np.column_stack([grid, np.full(200, years)])
        axes.plot(grid, fitted.predict(line), color=color, label=f"age {years}")
        axes.plot(grid[grid >= 0], effect(grid[grid >= 0], years), ":", color=color, linewidth=1)
    axes.plot(dose, y, ".", color="#888888", markersize=4)
    axes.set_title(title)
    axes.set_xlabel("dose")
panels[0].set_ylabel("effect (dotted: without noise)")
panels[1].legend()
plt.show()

# %%
# On rows without noise
# ---------------------

new = np.column_stack([rng.uniform(0, 10, 1000), rng.uniform(20, 80, 1000)])
for name, fitted in (("free", free), ("monotone", model)):
    print(f"{name}: R2 {fitted.score(new, effect(*new.T)):.2f}")
