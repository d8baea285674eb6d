"""
Regularization path
===================

The smaller alpha, the more sub-networks there are. Every line is one of them, and scores on rows held out say
where to stop.
"""

# %%
# Along a path of :func:`~pathrelu.solve_path`
# --------------------------------------------
#
# All solutions share the arrangements, so that a sub-network can be followed along the path. The skip
# connection explains what it can first, and hands over to the ReLU units.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.model_selection import train_test_split

import pathrelu as pr
from pathrelu.plotting import RegularizationPathDisplay

rng = np.random.default_rng(0)
X = rng.standard_normal((300, 5))
y = 2 * np.maximum(X[:, 0], 0) - np.maximum(X[:, 1] - X[:, 2], 0) + 0.3 * rng.standard_normal(300)
shown, held_out = slice(0, 200), slice(200, 300)

arrangements = pr.sample_arrangements(X[shown], 30, random_state=0).with_skip_connection()
path = pr.solve_path(X[shown], y[shown], arrangements, n_alphas=20, fit_intercept=True, tol=1e-4)
display = RegularizationPathDisplay.from_path(path, X[held_out], y[held_out])
print(f"best alpha {display.alpha:.4f}, R² {np.max(display.scores):.3f}")
plt.show()

# %%
# Of a fitted estimator
# ---------------------
#
# The path over the arrangements of its network, from the least alpha that leaves nothing down to its own.

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
model = pr.PathReLUClassifier(alpha=0.005, random_state=0).fit(X_train, y_train)
display = RegularizationPathDisplay.from_estimator(
    model, X_train, y_train, X_test=X_test, y_test=y_test, scoring="neg_log_loss", n_alphas=15
)
display.axes_[-1].set_ylabel("Negative log-loss")
plt.show()

# %%
# Of cross-validation
# -------------------
#
# The scores that :class:`~pathrelu.PathReLUClassifierCV` chose alpha by, with their spread over the folds,
# under the path over the arrangements of its network.

X, y = load_iris(return_X_y=True)
chosen = pr.PathReLUClassifierCV(cv=3, random_state=0).fit(X, y)
display = RegularizationPathDisplay.from_estimator(chosen, X, y)
display.axes_[-1].set_ylabel("Mean log-probability")
plt.show()
