"""
Classify a table
================

Train on a table with column names, save the network, and read it back elsewhere.
"""

import tempfile
from pathlib import Path

from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

import pathrelu as pr

table, label = load_wine(return_X_y=True, as_frame=True)
shown, held_out, y, truth = train_test_split(table, label, stratify=label, random_state=0)

model = pr.PathReLUClassifier(alpha=0.01, random_state=0).fit(shown, y)
print(f"held-out accuracy {model.score(held_out, truth):.3f}, {model.n_subnetworks_} sub-networks")
print(f"objective {model.objective_:.4f}, gap over its arrangements {model.dual_gap_:.1e}")

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "wine.npz"
    model.network_.save(file)
    network = pr.load(file)
print(f"{network} of {network.feature_names[:3]} and {network.n_features - 3} more columns")
# One output per class; the largest wins.
print(f"same predictions: {(network.predict(held_out).argmax(axis=1) == model.predict(held_out)).all()}")
