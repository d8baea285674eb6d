"""
Classify a table
================

Train on a table with column names, look at held-out rows, save the network, and read it back elsewhere.
"""

# %%
# Train
# -----

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

import pathrelu as pr
from pathrelu.plotting import FeatureImportanceDisplay

wine = load_wine(as_frame=True)
table, label = wine.data, wine.target.map(dict(enumerate(["Barolo", "Grignolino", "Barbera"])))
shown, held_out, y, truth = train_test_split(table, label, stratify=label, random_state=0)

model = pr.PathReLUClassifier(alpha=0.01, random_state=0).fit(shown, y)
print(f"held-out accuracy {model.score(held_out, truth):.3f}, {model.n_subnetworks_} sub-networks")
print(f"objective {model.objective_:.4f}, gap over its arrangements {model.dual_gap_:.1e}")

# %%
# What it mixes up, and which columns it uses most.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
ConfusionMatrixDisplay.from_estimator(model, held_out, truth, ax=left, cmap="Blues", colorbar=False)
left.set(title="Held-out rows", xlabel="predicted", ylabel="cultivar")
FeatureImportanceDisplay.from_estimator(model, max_shown=8, ax=right)
right.set_title("Columns by path norm")
plt.show()

# %%
# Save and load
# -------------
#
# The network alone, without the estimator around it, knows its columns and classes.

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "wine.npz"
    model.network_.save(file)
    network = pr.load(file)
print(f"{network} of {network.feature_names[:3]} and {network.n_features - 3} more columns")
# One output per class; the largest wins.
winners = [network.classes[k] for k in network.predict(held_out).argmax(axis=1)]
print(f"same predictions: {(winners == model.predict(held_out)).all()}")
