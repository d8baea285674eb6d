"""
Certificates
============

How far a trained network can be from the best one, by several methods, against the seconds that they take.
"""

# %%
# A network to certify
# --------------------
#
# A fitted estimator is certified on its own training problem: no alpha, loss or scaling is to be given again.

import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes

import pathrelu as pr

X, y = load_diabetes(return_X_y=True)
y = (y - y.mean()) / y.std()
models = {alpha: pr.PathReLURegressor(alpha=alpha, random_state=0).fit(X, y) for alpha in (0.15, 0.05)}
print(pr.certify(models[0.15], X, y, max_seconds=3))

# %%
# The gap against seconds
# -----------------------
#
# Each bound holds by itself, and the best so far is what `certify` returns whenever it is stopped. Ten
# columns and the bias are rank 11: too much for branch and bound over cones. The smaller alpha is, the more
# of the noise a network could fit, and the less is known of the best one.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharex=True, sharey=True, layout="constrained")
methods = {
    "spectral": ("o", "#0072B2"),
    "branch_and_bound": ("s", "#D55E00"),
    "semidefinite": ("D", "#009E73"),
}
for (alpha, model), plot in zip(models.items(), axes, strict=True):
    for name, (marker, color) in methods.items():
        records = []
        certificate = pr.certify(
            model, X, y, method=name, max_seconds=3, max_nodes=10**8, callback=records.append
        )
        seconds = [record.seconds for record in records] + [certificate.seconds]
        gaps = [100 * record.gap / record.objective for record in records]
        gaps.append(100 * certificate.relative_gap)
        plot.step(seconds, gaps, where="post", color=color)
        plot.plot(seconds[-1], gaps[-1], marker, color=color, label=name.replace("_", " "))
    plot.set(title=f"alpha {alpha}", xscale="log", xlim=(0.03, 6), ylim=(0, 100), xlabel="seconds")
axes[0].set_ylabel("gap, % of the objective")
axes[1].legend(frameon=False, loc="lower left")
plt.show()
