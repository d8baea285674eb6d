"""The transformer of raw tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from pathrelu import _validation as check
from pathrelu._sklearn import Tags, check_feature_names_in, validate_data
from pathrelu.encoding._columns import (
    Categories,
    Column,
    Numbers,
    column_from_dict,
    distinct_rows,
    fit_categories,
    fit_numbers,
)
from pathrelu.encoding._raw import EMPTY, MISSING_VALUES, NAMES, NUMBER, TEXT, RawTable
from pathrelu.encoding._sparse import encode_sparse, fit_sparse_numbers

NUMERIC = ("auto", "linear", "ramps")

# Distinct rows from which on "auto" means ramps: below some hundred they fit noise (diabetes, 442 rows).
FEWEST_ROWS_FOR_RAMPS = 500


class TableEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""Turn a table of numbers with gaps, text, categories, booleans and times into columns of numbers.

    The estimators have one inside (`encode`), and it is part of their networks, which take raw rows.

    - Numbers and booleans stay as they are (linear) or become ramps,
      :math:`\min(\max((x - q_k) / (q_{k+1} - q_k), 0), 1)` between quantiles :math:`q_k`: a
      fixed first layer of ReLU units. A column of few values has a knot at each, and a value of many rows
      takes one, not several. Beyond the outermost knots ramps are constant, so that outliers do no harm;
      these knots are at most 10 times the reach of the inner ones away from them.
    - Dates and times are days since 1970 (UTC) and, where the rows reach over two of them, the day of the
      year, the day of the week (from Monday) and the time of the day, as numbers. Durations are days.
    - Text, categories and objects that are text become a column of zeros and ones for each level. Levels that
      are too rare, or too many, share a column, and with them those that were not seen in training: without
      such a column these are all zero. A column that has another level in every row (names, keys) carries
      nothing, and becomes zeros.
    - Sparse matrices hold numbers, which stay as they are, and come out sparse (CSR): their zeros are values,
      and missing is what is NaN.
    - Missing values (None, NaN, NA, NaT and text of `missing_values`) of numbers and times become the
      weighted median, and are told by a column of their own if there were some in training. Those of text are
      a category of their own. A column that is all missing becomes zeros.

    Parameters
    ----------
    numeric : {"auto", "linear", "ramps"}, default="auto"
        What numbers and times become. "auto" is ramps from 500 distinct rows on. Estimators have a rule of
        their own.
    n_ramps : int, default=8
        Ramps for each column, at most.
    max_categories : int, default=32
        Encoded columns for each column of text, at most, but for that of missing values: the levels of most
        weight, and one for all others.
    min_frequency : int or float, default=2
        Levels with fewer distinct rows, targets included, are too rare; those of at least a twentieth of the
        weight never are. A float is the least share of the weight instead.
    missing_indicator : bool, default=True
        Whether missing values have a column.
    missing_values : sequence of str
        Text that stands for a missing value, without regard to spaces around it; by default the empty text,
        "?", "NA", "N/A", "NaN", "nan", "None" and "null".

    Attributes
    ----------
    numeric_ : {"linear", "ramps"}
        What "auto" came to.
    columns_ : list
        The encoding of each column.
    origin_ : ndarray of shape (n_encoded,)
        Which column each encoded one is made of.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        If X had column names.

    Notes
    -----
    Transformers of scikit-learn that do parts of this (`OneHotEncoder`, `SimpleImputer`,
    `KBinsDiscretizer`) do not take weights. Here a row of weight 2 is a row given twice, one of weight 0 is
    left out, and neither the order of rows nor a factor of all weights matters.

    References
    ----------
    Y. Gorishniy, I. Rubachev and A. Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning",
    NeurIPS 2022.

    Examples
    --------
    >>> import pandas as pd
    >>> from pathrelu import TableEncoder
    >>> frame = pd.DataFrame({"age": [20, 50, None, 20], "colour": ["red", "blue", "red", "blue"]})
    >>> encoder = TableEncoder(numeric="linear").fit(frame)
    >>> encoder.get_feature_names_out().tolist()
    ['age', 'age_missing', 'colour_blue', 'colour_red']
    >>> encoder.transform(pd.DataFrame({"age": [30.0, None], "colour": ["red", "green"]}))
    array([[30.,  0.,  0.,  1.],
           [20.,  1.,  0.,  0.]])
    """

    numeric_: str
    columns_: list[Column]
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def __init__(
        self,
        *,
        numeric: str = "auto",
        n_ramps: int = 8,
        max_categories: int = 32,
        min_frequency: int | float = 2,
        missing_indicator: bool = True,
        missing_values: Sequence[str] = MISSING_VALUES,
    ) -> None:
        self.numeric = numeric
        self.n_ramps = n_ramps
        self.max_categories = max_categories
        self.min_frequency = min_frequency
        self.missing_indicator = missing_indicator
        self.missing_values = missing_values

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.numeric != "ramps"
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find the levels, quantiles and medians of each column.

        Parameters
        ----------
        X : data frame, sparse matrix or array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            Only tells rows apart that are equal but for it.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, or a column mixes kinds, holds something else or is infinite: it
            is named, with the first row.
        """
        raw = self.read(X)
        _check_columns(self, X, raw, reset=True)
        return self.fit_raw(raw, y, sample_weight)

    def transform(self, X: Any) -> check.Rows:
        """Encoded columns.

        Parameters
        ----------
        X : data frame, sparse matrix or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_encoded), or csr_array of sparse rows
            float32 if all columns of X are float32, else float64.

        Raises
        ------
        ValueError, TypeError
            If columns are missing or of another kind than in training: they are named.
        """
        check_is_fitted(self)
        raw = self.read(X)
        _check_columns(self, X, raw, reset=False)
        return self.encode(raw)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the encoded columns.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the columns; by default those of training, or ``x0``, ``x1`` and so on.

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        given = check_feature_names_in(self, input_features)
        return np.array(self.names_of(list(given)), dtype=object)

    # ---- For the estimators and networks -------------------------------------------

    def read(self, X: Any) -> RawTable:
        """Columns read once, which `fit_raw` and `encode` take; rows of it by its `take`.

        Parameters
        ----------
        X : data frame, array-like or RawTable

        Returns
        -------
        RawTable
        """
        return RawTable.read(X, _marks(self.missing_values))

    def fit_raw(
        self, raw: RawTable, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """As `fit`, of columns that have been read.

        Parameters
        ----------
        raw : RawTable
        y : array-like, optional
        sample_weight : array-like, optional

        Returns
        -------
        self
        """
        numeric = check.choice(self.numeric, "numeric", NUMERIC)
        n_ramps = check.count(self.n_ramps, "n_ramps")
        most = check.count(self.max_categories, "max_categories", 2)
        least = self.min_frequency
        if isinstance(least, float):
            check.between_0_and_1(least, "min_frequency")
        else:
            check.count(least, "min_frequency")
        indicator = check.switch(self.missing_indicator, "missing_indicator")
        weight = check.raw_weights(sample_weight, len(raw))
        targets = None
        if y is not None:
            targets = np.asarray(y)
            check_consistent_length(targets, weight)
        if raw.nonzeros is not None:
            if numeric == "ramps":
                raise ValueError(
                    "numeric is 'ramps' and X is sparse; expected 'linear', 'auto' or dense rows"
                )
            return self._fitted("linear", fit_sparse_numbers(raw.nonzeros, weight, indicator), None)
        used = weight > 0
        if not used.all():
            raw, weight = raw.take(used), weight[used]
            targets = None if targets is None else targets[used]
        apart: NDArray[np.intp] | None = None
        if numeric == "auto" or any(column.kind == TEXT for column in raw.columns):
            apart = distinct_rows(raw.columns, targets)
        if numeric == "auto":
            assert apart is not None
            numeric = "ramps" if len(apart) >= FEWEST_ROWS_FOR_RAMPS else "linear"
        columns: list[Column] = []
        for column in raw.columns:
            if column.kind == TEXT:
                assert apart is not None
                found = fit_categories(column, weight, apart, most, least, indicator)
            elif column.kind == EMPTY:
                found = Categories(EMPTY)
            else:
                found = fit_numbers(column, weight, n_ramps if numeric == "ramps" else None, indicator)
            columns.append(found)
        return self._fitted(numeric, columns, raw.names)

    def _fitted(self, numeric: str, columns: list[Column], names: list[Any] | None) -> Self:
        self.numeric_, self.columns_, self.n_features_in_ = numeric, columns, len(columns)
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if names is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.array(names, dtype=object)
        return self

    def names_of(self, names: Sequence[str]) -> list[str]:
        """Names of the encoded columns by those of the columns.

        Parameters
        ----------
        names : sequence of str

        Returns
        -------
        list of str
        """
        found: dict[str, None] = {}
        for column, of in zip(self.columns_, names, strict=True):
            for name in column.names(of):
                while name in found:  # as of columns "a" with gaps and "a_missing"
                    name += "_"
                found[name] = None
        return list(found)

    @property
    def origin_(self) -> NDArray[np.intp]:
        """Which column each encoded one is made of."""
        return np.repeat(np.arange(len(self.columns_)), [len(column.names("")) for column in self.columns_])

    @property
    def plain(self) -> bool:
        """Whether columns stay as they are, but for missing values."""
        return all(isinstance(column, Numbers) and column.plain for column in self.columns_)

    def places(self, X: Any) -> check.Doubles:
        """A table as one array of numbers: what a network's module of PyTorch takes for raw rows.

        Parameters
        ----------
        X : data frame, array-like or RawTable

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Numbers, days of times and durations, and of categories the place of each among the levels that
            have a column, or -1; NaN for missing values.
        """
        raw = self.read(X)
        self.check_kinds(raw)
        pairs = zip(self.columns_, raw.columns, strict=True)
        return np.stack([column.places(part) for column, part in pairs], axis=1)

    def encode(self, raw: RawTable) -> check.Rows:
        """As `transform`, of columns that have been read.

        Parameters
        ----------
        raw : RawTable

        Returns
        -------
        ndarray of shape (n, n_encoded), C-ordered
        """
        self.check_kinds(raw)
        if raw.nonzeros is not None:
            sparse: Any = encode_sparse(self.columns_, raw.nonzeros)
            return sparse  # type: ignore[no-any-return]
        if self.plain and raw.block is not None:
            missing = np.isnan(raw.block)
            if not missing.any():
                return raw.block
            fill = np.array([column.fill for column in self.columns_ if isinstance(column, Numbers)])
            return np.where(missing, fill.astype(raw.dtype), raw.block)
        out = np.empty((len(raw), len(self.origin_)), raw.dtype)
        begin = 0
        for column, part in zip(self.columns_, raw.columns, strict=True):
            width = len(column.names(""))
            column.encode(column.places(part), out[:, begin : begin + width])
            begin += width
        return out

    def check_kinds(self, raw: RawTable) -> None:
        """Refuse columns that are not of the kinds of training, by name.

        Parameters
        ----------
        raw : RawTable
        """
        if raw.shape[1] != len(self.columns_):
            raise ValueError(f"X has {raw.shape[1]} columns; expected {len(self.columns_)}")
        of_numbers = raw.block is not None or raw.nonzeros is not None
        if of_numbers and all(column.kind in (NUMBER, EMPTY) for column in self.columns_):
            return
        if raw.nonzeros is not None:
            other = next(k for k, column in enumerate(self.columns_) if column.kind not in (NUMBER, EMPTY))
            raise TypeError(
                f"X is sparse, and column {other} was {NAMES[self.columns_[other].kind]} in training"
            )
        for k, (column, part) in enumerate(zip(self.columns_, raw.columns, strict=True)):
            column.check_kind(part, raw.label(k))

    def to_dict(self) -> dict[str, Any]:
        """The encoder as numbers, text and lists, which JSON can hold without loss.

        Returns
        -------
        dict
        """
        parameters = self.get_params(deep=False)
        parameters["missing_values"] = list(self.missing_values)
        fitted = None
        if hasattr(self, "columns_"):
            names = getattr(self, "feature_names_in_", None)
            fitted = {
                "numeric": self.numeric_,
                "names": None if names is None else list(names),
                "columns": [column.to_dict() for column in self.columns_],
            }
        return {"parameters": parameters, "fitted": fitted}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The encoder that `to_dict` described.

        Parameters
        ----------
        content : dict
            As from `to_dict`.

        Returns
        -------
        TableEncoder

        Raises
        ------
        ValueError
            If it is no such description.
        """
        if not isinstance(content, dict) or set(content) != {"parameters", "fitted"}:
            raise ValueError("it has an encoder without parameters or what was fitted")
        parameters, fitted = content["parameters"], content["fitted"]
        if not isinstance(parameters, dict) or set(parameters) != set(cls().get_params(deep=False)):
            raise ValueError("it has an encoder with missing or unknown parameters")
        encoder = cls(**parameters)
        encoder.missing_values = tuple(_marks(encoder.missing_values))
        if fitted is None:
            return encoder
        if not isinstance(fitted, dict) or set(fitted) != {"numeric", "names", "columns"}:
            raise ValueError("it has an encoder with missing or unknown entries")
        numeric, names, columns = fitted["numeric"], fitted["names"], fitted["columns"]
        if numeric not in NUMERIC[1:]:
            raise ValueError(f"it has an encoder whose numbers are {numeric!r:.40}")
        if not isinstance(columns, list) or not columns:
            raise ValueError("it has an encoder without columns")
        encoder.numeric_ = numeric
        encoder.columns_ = [column_from_dict(column) for column in columns]
        encoder.n_features_in_ = len(columns)
        if names is not None:
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError("names of an encoder's columns are not text")
            if len(names) != len(columns):
                raise ValueError(f"it has an encoder of {len(columns)} columns with {len(names)} names")
            encoder.feature_names_in_ = np.array(names, dtype=object)
        return encoder


def _marks(given: object) -> list[str]:
    marks = check.sequence(given, "missing_values", "a sequence of text")
    for mark in marks:
        check.instance(mark, str, "an entry of missing_values")
    return marks


def _check_columns(encoder: TableEncoder, X: Any, raw: RawTable, *, reset: bool) -> None:
    """Names and number of columns, as scikit-learn checks them."""
    given = np.empty(raw.shape, np.int8) if check.column_names(X) is None else X
    validate_data(encoder, given, skip_check_array=True, reset=reset)
