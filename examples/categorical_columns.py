"""
Text and missing values
=======================

A pipeline turns text, missing values and numbers of all kinds into columns of numbers.

The estimators take numbers alone, and refuse the rest by the name of its column. What to make of it is a
decision about the data; scikit-learn has the steps, and `Pipeline` keeps them with the model.
"""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from pathrelu import PathReLURegressor

# A made table of rents: two columns of numbers, one of them with gaps, and two of text.
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

try:
    PathReLURegressor().fit(shown, y)
except TypeError as error:
    print(f"without a pipeline: {error}\n")

columns = make_column_transformer(
    # A column of 0 and 1 for each category, a missing one being a category too. Categories that turn up
    # later are zeros in all of them.
    (
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        make_column_selector(dtype_exclude="number"),
    ),
    # The median where a number is missing, and a column that says where it was.
    (SimpleImputer(strategy="median", add_indicator=True), make_column_selector(dtype_include="number")),
    verbose_feature_names_out=False,
).set_output(transform="pandas")
model = make_pipeline(columns, PathReLURegressor(alpha=0.03, random_state=0)).fit(shown, y)
print(f"held-out R2 {model.score(held_out, truth):.3f} with {model[-1].n_subnetworks_} sub-networks")
print("columns of the network:", ", ".join(model[-1].feature_names_in_))

unseen = held_out.head(1).assign(district="island")
print(f"a district never seen before: {model.predict(unseen)[0]:.2f}")
