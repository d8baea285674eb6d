"""What estimators have beside training and prediction: files, and export to ONNX, skl2onnx and text."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from sklearn.utils.validation import check_is_fitted

from pathrelu import _validation as check
from pathrelu._registry import ESTIMATORS
from pathrelu._version import __version__
from pathrelu.export.graph import check_labels, estimator_labels
from pathrelu.export.onnx import to_onnx
from pathrelu.export.skl2onnx import register_skl2onnx, skl2onnx_convert, skl2onnx_shapes
from pathrelu.export.text import to_text
from pathrelu.files.archive import archive_bytes
from pathrelu.files.estimators import ATTRIBUTE, FORMAT, VERSION
from pathrelu.files.reading import save_content
from pathrelu.files.values import Encoder, NotPlainData
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork
from pathrelu.summary import Summary, of_estimator

NEEDED = ("network_", "classes_", "n_features_in_", "feature_names_in_")  # for predictions


class Portable:
    """Methods of an estimator whose fit leaves a `network_`."""

    network_: ParallelReLUNetwork | GatedReLUNetwork
    objective_: float
    dual_gap_: float

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file, for `pathrelu.load`: arrays and a JSON header, no pickle.

        Nothing in the file can be executed. It holds the parameters and the attributes that end in an
        underscore. What is not plain data (numbers, text, arrays and lists, tuples and dictionaries of these)
        is left out with a warning: a parameter such as a callback or a random generator comes back as None,
        an attribute not at all. Metadata requests and what `warm_start` would start from are not stored. An
        existing file keeps its content until the new one is complete, and its mode; a symbolic link stays
        one, and what it points to is written. FIFOs and character devices are written to.

        Parameters
        ----------
        path : str or path-like
            Used as it is; ``.npz`` is customary.

        Raises
        ------
        NotFittedError
            If there is no fit.
        TypeError
            If this is an estimator of a class of your own, which `load` would not know, or its labels are of
            a dtype that a file cannot hold (longdouble).
        ValueError
            If `load` would refuse the file, because parameters or attributes have been changed. Nothing is
            written then.

        Warns
        -----
        UserWarning
            Naming what is left out.
        """
        check_is_fitted(self)
        path = check.path(path)
        if ESTIMATORS.name_of(type(self)) is None:
            raise TypeError(
                f"{type(self).__module__}.{type(self).__qualname__} cannot be saved; expected one of "
                f"pathrelu's own estimators. Its network_ can: network_.save(path)"
            )
        encode = Encoder()
        left_out = []

        def encoded(values: dict[str, Any], keep: bool) -> dict[str, Any]:
            plain = {}
            for name, value in values.items():
                try:
                    plain[name] = encode.whole(value)
                except NotPlainData as reason:
                    if name in NEEDED:
                        raise TypeError(f"{name} cannot be saved: {reason}") from None
                    left_out.append(f"{name} ({reason})")
                    if keep:
                        plain[name] = None
            return plain

        header = {
            "format": FORMAT,
            "version": VERSION,
            "pathrelu_version": __version__,
            "class": type(self).__name__,
            "parameters": encoded(self.get_params(deep=False), keep=True),  # type: ignore[attr-defined]
            "attributes": encoded(
                {name: value for name, value in vars(self).items() if ATTRIBUTE.fullmatch(name)}, keep=False
            ),
        }
        content = archive_bytes(header | {"n_arrays": len(encode.arrays)}, encode.arrays)
        save_content(content, path)
        if left_out:
            warnings.warn(f"left out of {path}: {', '.join(left_out)}", stacklevel=2)

    def to_onnx(self, path: str | os.PathLike[str], *, dtype: DTypeLike = np.float32) -> None:
        """Write the predictor to an ONNX file: opset 17, IR version 8, any number of rows.

        Its input is ``X`` (n_rows, n_features), raw rows. A classifier has the outputs ``label`` (n_rows,)
        and ``probabilities`` (n_rows, n_classes), a regressor has ``variable`` (n_rows, n_outputs). Names of
        features, classes, objective and duality gap are in ``metadata_props``. To convert a pipeline, give it
        to `skl2onnx.to_onnx`, which finds the converter by itself.

        Parameters
        ----------
        path : str or path-like
        dtype : {float32, float64}, default=float32
            Of the rows and of the outputs.

        Raises
        ------
        NotFittedError
            If there is no fit.
        ImportError
            If onnx is not installed, ``pip install 'pathrelu[onnx]'``.
        ValueError
            If the labels are not all str, int, float or bool.

        See Also
        --------
        pathrelu.ParallelReLUNetwork.to_onnx : The same for a network; its note on gates holds here too.
        """
        check_is_fitted(self)
        estimator_labels(self)  # refuses those that ONNX does not have
        metadata = {
            "estimator": type(self).__name__,
            "objective": json.dumps(float(self.objective_)),
            "dual_gap": json.dumps(float(self.dual_gap_)),
        }
        exponential = getattr(self, "log_link", False)
        to_onnx(self.network_, path, dtype=dtype, metadata=metadata, exponential=exponential)

    def to_text(
        self,
        language: str = "formula",
        *,
        digits: int | None = None,
        table: str | None = None,
        keep: Sequence[str] = (),
    ) -> str:
        """The whole predictor as a formula, or as code in SQL, Python or C.

        Parameters
        ----------
        language : {"formula", "sql", "python", "c"}, default="formula"
            "formula" is for people: sub-networks in raw units, those of largest path norm first. "sql" is one
            query in standard SQL (SQLite, PostgreSQL, DuckDB), "python" and "c" (C99) are code that needs the
            standard library alone. The encoder is part of all of them.
        digits : int, optional
            Significant digits of numbers, at most 17. None for 4 in formulas, and for all that outputs take
            in code.
        table : str, optional
            For "sql": the table of the rows; None for "data".
        keep : sequence of str, default=()
            For "sql": columns of the table that the result has too, such as a key.

        Returns
        -------
        str

        Raises
        ------
        NotFittedError
            If there is no fit.
        TypeError, ValueError
            If a parameter is out of range, or the language cannot hold a name, a level or a label: SQL and
            Python need names of columns that tell them apart, SQL and C text without null characters and
            labels of one type.

        Notes
        -----
        Without `digits`, code gives what `predict` does for float64 rows, to rounding. Classifiers
        give `decision_function`, `predict_proba` and `predict`; with the loss "poisson" or "gamma" regressors
        give means, and their formulas are of logarithms.
        Code of Python takes dates and times as they are, and refuses rows that `predict` refuses. In SQL and
        C times and durations are numbers of days (since 1970, UTC), what is missing is NULL, or NAN, and sums
        beyond float64 are as the database or the compiler has them. Names and levels are quoted: nothing in
        them is executed.

        Examples
        --------
        >>> import numpy as np
        >>> from pathrelu import PathReLURegressor
        >>> X = np.linspace(-1, 1, 50)[:, np.newaxis]
        >>> model = PathReLURegressor(alpha=1e-3, random_state=0).fit(X, np.abs(X[:, 0]))
        >>> code = {}
        >>> exec(model.to_text("python"), code)
        >>> bool(np.isclose(code["predict"]([0.5]), model.predict([[0.5]])[0]))
        True
        """
        check_is_fitted(self)
        check_labels(self, "text")
        exponential = getattr(self, "log_link", False)
        return to_text(
            self.network_, language, digits=digits, table=table, keep=keep, exponential=exponential
        )

    def summary(self, *, max_shown: int = 10, digits: int = 3) -> Summary:
        """What the fit came to.

        Scores on training rows and on held-out ones where they chose alpha, how that was, the objective with
        its gap, sub-networks by share of the variance, and columns by share of the path norm.

        Parameters
        ----------
        max_shown : int, default=10
            Rows of each table, at most.
        digits : int, default=3
            Significant digits in formulas.

        Returns
        -------
        Summary
            `print` shows it as text, and a notebook as tables.

        Raises
        ------
        NotFittedError
            If there is no fit.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from pathrelu import PathReLUClassifier
        >>> X, y = load_iris(return_X_y=True, as_frame=True)
        >>> model = PathReLUClassifier(alpha=0.03, random_state=0).fit(X, y)
        >>> print(model.summary(max_shown=2))  # doctest: +ELLIPSIS
        PathReLUClassifier: ... sub-networks of depth 2, 4 columns, 3 outputs
        training rows  accuracy 0.9..., log-loss 0...
        alpha          0.03, as given
        ...
        """
        check_is_fitted(self)
        return of_estimator(self, max_shown, digits)

    def _html_with_summary(self, html: str) -> str:
        return html + self.summary()._repr_html_() if hasattr(self, "network_") else html

    def _repr_html_inner(self) -> str:
        html: str = super()._repr_html_inner()  # type: ignore[misc]
        return self._html_with_summary(html)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**options)  # type: ignore[misc]
        if "text/html" in bundle:
            bundle["text/html"] = self._html_with_summary(bundle["text/html"])
        return bundle

    # What skl2onnx asks an estimator for that it does not know.

    def onnx_parser(self) -> None:
        register_skl2onnx()  # the first thing asked for: options are looked up in the registry afterwards

    def onnx_shape_calculator(self) -> Callable[[Any], None]:
        return skl2onnx_shapes

    def onnx_converter(self) -> Callable[[Any, Any, Any], None]:
        return skl2onnx_convert
