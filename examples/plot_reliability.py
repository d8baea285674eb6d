"""
Reliability of probabilities
============================

Of the rows that get a probability of 0.8, four in five should come true. Here for rows that were held out,
against another classifier.
"""

# %%
# Two classes
# -----------
#
# Bins hold equal numbers of rows, and the bars say how far chance reaches: where they cross the diagonal,
# nothing is wrong. The histogram below shows which probabilities there are.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits, make_moons
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB

import pathrelu as pr
from pathrelu.plotting import ReliabilityDisplay

X, y = make_moons(1500, noise=0.35, random_state=0)
ax = None
for name, model in (
    ("PathReLU", pr.PathReLUClassifier(random_state=0)),
    ("naive Bayes", GaussianNB()),
):
    shares = cross_val_predict(model, X, y, method="predict_proba")
    display = ReliabilityDisplay.from_predictions(y, shares, name=name, ax=ax)
    print(f"{name}: mean distance from the diagonal {display.expected_calibration_error:.2f}")
    ax = display.axes_
plt.show()

# %%
# Several classes
# ---------------
#
# The probability of the class that is predicted, whichever it is; ``pos_label`` is for one of them.

X, y = load_digits(return_X_y=True)
model = pr.PathReLUClassifier(alpha=0.01, tol=1e-2, random_state=0).fit(X[:1200], y[:1200])
ReliabilityDisplay.from_estimator(model, X[1200:], y[1200:], n_bins=5)
plt.show()
