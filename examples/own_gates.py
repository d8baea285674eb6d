"""
Gates of one's own
==================

Solve the convex program over given gates, with both activations and a depth-3 network.
"""

# %%
# Four programs
# -------------

import matplotlib.pyplot as plt
import numpy as np

import pathrelu as pr

rng = np.random.default_rng(0)
X = rng.standard_normal((150, 6))
y = np.maximum(X[:, 0] - X[:, 1], 0) - np.abs(X[:, 2]) + 0.1 * rng.standard_normal(150)

gates = pr.Arrangements.from_gates(X, rng.standard_normal((60, 6)))
# 20 trees with one root and two leaves each; the second leaf's edge is negative.
trees = pr.Arrangements.from_trees(X, rng.standard_normal((20, 2, 6)), signs=[1, -1])

networks = {}
for name, arrangements in (("depth 2", gates), ("depth 3", trees)):
    print(f"{name}: {len(arrangements)} distinct arrangements")
    for activation in ("gated", "relu"):
        alpha = 0.1 * pr.alpha_max(X, y, arrangements, activation=activation)
        solution = pr.solve(X, y, arrangements, alpha, activation=activation, tol=1e-8)
        network = networks[name, activation] = solution.network()
        print(
            f"  {activation:<5}  objective {solution.objective:.6f}, gap {solution.gap:.0e}, "
            f"network's own objective {network.objective(X, y, alpha):.6f}, "
            f"{solution.n_active} of {solution.blocks.shape[0] * solution.blocks.shape[1]} blocks"
        )

# %%
# Between the rows
# ----------------
#
# On the rows both are what the program says. Along a line through one of them a ReLU network is continuous,
# and a gated one jumps where a gate switches.

along = np.linspace(-2, 2, 2001)
line = np.tile(X[0], (len(along), 1))
line[:, 0] += along
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for activation, color in (("gated", "#D55E00"), ("relu", "#0072B2")):
    outputs = networks["depth 2", activation].predict(line)
    axes.plot(line[:, 0], outputs, ".", markersize=1.5, color=color)
    axes.plot([], [], color=color, linewidth=2, label=f"activation={activation!r}")
axes.axvline(X[0, 0], color="0.6", linewidth=1, linestyle=":", label="the row")
axes.set(xlabel="first column, the others as in the row", ylabel="output")
axes.set_title("Two networks over the same gates")
axes.legend()
plt.show()
