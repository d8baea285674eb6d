"""
What outputs depend on
======================

Outputs at given values of one column, averaged over rows, and what two columns do together.
"""

# %%
# Trained networks
# ----------------
#
# A sub-network that uses several columns makes them interact: the curve of one of them is an average over
# rows. The band has the inner four fifths of the curves of single rows: where it is wide, other columns have
# a say.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

import pathrelu as pr
from pathrelu.dependence import additive_parts
from pathrelu.plotting import PartialDependenceDisplay

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
model = pr.PathReLURegressor(random_state=0).fit(X, y)
PartialDependenceDisplay.from_estimator(model, X, ["bmi", "bp", "age"])
plt.show()

# %%
# Of a pair a map shows the interaction: what is left without what each of the columns does by itself.

PartialDependenceDisplay.from_estimator(model, X, [("bmi", "bp"), ("age", "sex")])
plt.show()

# %%
# Additive parts
# --------------
#
# A network is the sum of parts by the columns that their sub-networks use. Where one column alone is used,
# its curve is what the network computes, and rows have no say in it but for its mean.

network = pr.ParallelReLUNetwork(
    [[[1, 0, 0]], [[-1, 0, 0]], [[0, 2, 1]]],
    leaf_bias=[[0], [-0.5], [0]],
    output_sign=[1, 1, -1],
    feature_names=["a", "b", "c"],
)
print([part.columns for part in additive_parts(network)])
rows = np.random.default_rng(0).standard_normal((200, 3))
PartialDependenceDisplay.from_estimator(network, rows, ["a", "b", ("b", "c")])
plt.show()
