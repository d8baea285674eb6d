"""
Importance of sub-networks and inputs
=====================================

Path norms are what training pays for: those of sub-networks, and those of the paths that begin at an input.
"""

# %%
# Sub-networks
# ------------
#
# Beside its path norm, the share that each sub-network has in the variance of the output: its covariance with
# the output, over the variance of the output. The shares sum to one, with that of the skip connection.

import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes, load_wine

import pathrelu as pr
from pathrelu.inspection import subnetwork_importance
from pathrelu.plotting import FeatureImportanceDisplay, SubnetworkImportanceDisplay

X, y = load_diabetes(return_X_y=True, as_frame=True)
y = (y - y.mean()) / y.std()
model = pr.PathReLURegressor(alpha=0.05, skip_connection=True, random_state=0).fit(X, y)
SubnetworkImportanceDisplay.from_estimator(model, X)
importance = subnetwork_importance(model, X)
print(f"variance explained by the skip connection: {importance.skip_variance_share[0]:.2f}")
plt.show()

# %%
# Inputs
# ------
#
# For the standardized columns of training.

FeatureImportanceDisplay.from_estimator(model)
plt.show()

# %%
# Several classes
# ---------------
#
# Sub-networks feed all classes, and bars are stacked over these. Here the ten most important inputs.

wine = load_wine(as_frame=True)
X, y = wine.data, wine.target.map(dict(enumerate(["Barolo", "Grignolino", "Barbera"])))
model = pr.PathReLUClassifier(alpha=0.005, random_state=0).fit(X, y)
SubnetworkImportanceDisplay.from_estimator(model, X)
FeatureImportanceDisplay.from_estimator(model, max_shown=10)
plt.show()
