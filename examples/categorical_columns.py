"""
Text and missing values
=======================

Text, categories and gaps go in as they are; where the steps are to be your own, a pipeline has them.
"""

# %%
# A made table of rents: two columns of numbers, one of them with gaps, and two of text.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from pathrelu import PathReLURegressor

rng = np.random.default_rng(0)
n = 500
table = pd.DataFrame(
    {
        "area": rng.uniform(20, 120, n).round(),
        "year": rng.integers(1900, 2020, n),
        "district": rng.choice(["centre", "north", "south", "harbour"], n),
        "heating": rng.choice(["gas", "electric", "district"], n, p=[0.6, 0.3, 0.1]),
    }
)
per_square_metre = table["district"].map({"centre": 18, "north": 11, "south": 12, "harbour": 15})
modern = np.maximum(table["year"] - 1980, 0) / 10
rent = table["area"] * (per_square_metre + modern) - 100 * (table["heating"] == "electric")
rent = rent / 100 + rng.normal(0, 0.3, n)
table.loc[rng.random(n) < 0.1, "year"] = np.nan
table.loc[rng.random(n) < 0.05, "heating"] = None
shown, held_out, y, truth = train_test_split(table, rent, random_state=0)

# %%
# As it is
# --------
#
# The encoder is a part of the network, so that importances are those of the columns of the table, and a level
# that training has not seen is no error.

model = PathReLURegressor(random_state=0).fit(shown, y)
print(f"held-out R² {model.score(held_out, truth):.3f}")
print("columns of the network:", ", ".join(model.network_.encoder.get_feature_names_out()))
unseen = held_out.head(1).assign(district="island")
print(f"a district never seen before: {model.predict(unseen)[0]:.2f}")

figure, axes = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
predicted = model.predict(held_out)
palette = {"centre": "#0072B2", "north": "#D55E00", "south": "#009E73", "harbour": "#CC79A7"}
for (district, color), marker in zip(palette.items(), "os^D", strict=True):
    rows = (held_out["district"] == district).to_numpy()
    axes.plot(predicted[rows], truth[rows], marker, color=color, markersize=5, label=district)
axes.axline((10, 10), slope=1, color="0.3", linewidth=1, linestyle="--")
axes.set(xlabel="predicted rent", ylabel="rent", title="Held-out rows of a table with text and gaps")
axes.legend(title="district")
plt.show()

# %%
# With steps of one's own
# -----------------------
#
# A column of zeros and ones for each category, a missing one being a category too, and the median where a
# number is missing, with a column that says where it was.

columns = make_column_transformer(
    (
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        make_column_selector(dtype_exclude="number"),
    ),
    (SimpleImputer(strategy="median", add_indicator=True), make_column_selector(dtype_include="number")),
    verbose_feature_names_out=False,
).set_output(transform="pandas")
pipeline = make_pipeline(columns, PathReLURegressor(random_state=0)).fit(shown, y)
print(f"held-out R² {pipeline.score(held_out, truth):.3f}")
print("columns of the network:", ", ".join(pipeline[-1].feature_names_in_))
