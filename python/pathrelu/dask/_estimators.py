"""The estimators whose rows are on the workers of a Dask cluster."""

from __future__ import annotations

import inspect
from typing import Any, Self

import numpy as np
from dask import delayed
from dask.array import Array
from dask.base import is_dask_collection
from distributed import Client
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from pathrelu.dask._blocks import DaskBlocks
from pathrelu.encoding import RawTable
from pathrelu.estimators import PathReLUClassifier, PathReLURegressor
from pathrelu.progress import followed, showing
from pathrelu.rows._training import settings_of, train_on_blocks


def _with_client(estimator: type) -> type:
    """A class with the parameters of the plain estimator that it is derived from, and `client`."""
    (plain,) = (base for base in estimator.__bases__ if base is not DaskEstimator)
    signature = inspect.signature(plain.__init__)  # type: ignore[misc]
    client = inspect.Parameter("client", inspect.Parameter.KEYWORD_ONLY, default=None)
    parameters = [*signature.parameters.values(), client]

    def __init__(self: Any, *, client: Client | None = None, **parameters: Any) -> None:
        plain.__init__(self, **parameters)  # type: ignore[misc]
        self.client = client

    __init__.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    estimator.__init__ = __init__  # type: ignore[misc]
    estimator._plain = plain  # type: ignore[attr-defined]
    return estimator


class DaskEstimator:
    """What both estimators share."""

    client: Client | None
    _plain: type

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Without the client, which can neither be copied nor pickled."""
        names: list[str] = cls._plain._get_param_names()  # type: ignore[attr-defined]
        return names

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return {**state, "client": None}

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : dask array of shape (n_samples, n_features), or dask data frame
            In partitions of any sizes, which need not be known.
        y : dask array or series of shape (n_samples,), or of shape (n_samples, n_outputs)
        sample_weight : dask array or series of shape (n_samples,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data is out of range or of the wrong kind, by the number of the row.
        RuntimeError
            If the client is closed, the scheduler is gone, data are cancelled or there has been no worker for
            minutes; it says in which pass over the rows.
        """
        settings = settings_of(self)
        encoder = self._encoder()  # type: ignore[attr-defined]
        read = RawTable.read if encoder is None else encoder.read
        blocks = DaskBlocks(
            X, y, sample_weight, self.client, read, gaps=encoder is not None, labels=is_classifier(self)
        )
        with showing(settings.verbose), followed(settings.watch, settings.verbose):
            train_on_blocks(self, settings, self._plain, blocks)
        return self

    def predict(self, X: Any) -> Any:
        """Predictions, when they are asked for.

        Parameters
        ----------
        X : dask array or data frame

        Returns
        -------
        dask array for an array, with its chunks, or series or data frame with the index of a data frame
        """
        return self._lazily(X, "predict")

    def to_local(self) -> Any:
        """The fitted estimator that takes rows in memory.

        Returns
        -------
        PathReLURegressor or PathReLUClassifier
        """
        check_is_fitted(self)
        parameters = self.get_params(deep=False)  # type: ignore[attr-defined]
        local = self._plain(**parameters)
        for name, value in vars(self).items():
            if name not in parameters and name != "client":
                setattr(local, name, value)
        return local

    def _lazily(self, X: Any, method: str) -> Any:
        local = self.to_local()
        local.set_params(n_threads=1, callback=None)  # a worker has a task for each of its threads
        if not is_dask_collection(X):
            raise TypeError(f"X is a {type(X).__name__}; expected a dask array or data frame: see to_local()")
        if isinstance(X, Array):
            if X.ndim != 2:
                raise ValueError(f"X has shape {X.shape}; expected two dimensions (rows, columns)")
            one = getattr(local, method)(np.zeros((1, X.shape[1]), X.dtype))
            X = X.rechunk({1: -1}) if len(X.chunks[1]) > 1 else X
            shape: dict[str, Any] = (
                {"drop_axis": 1} if one.ndim == 1 else {"chunks": (X.chunks[0], one.shape[1:])}
            )
            return X.map_blocks(
                of_partition, delayed(local), method, one[:0], dtype=one.dtype, meta=one[:0], **shape
            )
        one = of_partition(X._meta_nonempty, local, method, None)
        return X.map_partitions(of_partition, delayed(local), method, None, meta=one.iloc[:0])


def of_partition(X: Any, local: Any, method: str, empty: NDArray[Any] | None) -> Any:
    """Results of a method for a partition; `empty` is what they are for an array without rows."""
    if empty is not None:
        return getattr(local, method)(X) if len(X) else empty
    import pandas as pd

    rows = X if len(X) else X.reindex([0])  # of missing values
    result = getattr(local, method)(rows)[: len(X)]
    if result.ndim == 1:
        return pd.Series(result, index=X.index, name=method)
    names = getattr(local, "classes_", range(result.shape[1]))
    return pd.DataFrame(result, index=X.index, columns=list(names))


@_with_client
class DaskPathReLURegressor(DaskEstimator, PathReLURegressor):  # type: ignore[misc]
    """`PathReLURegressor` for rows on the workers of a Dask cluster.

    Parameters
    ----------
    depth, width, alpha, activation, arrangements, n_arrangements, loss, quantile, threshold, bias
        As for `PathReLURegressor`.
    fit_intercept, standardize, adapt_columns, encode, skip_connection, outputs, prune, low_rank
        As for `PathReLURegressor`.
    monotonic_cst, tol, n_networks, max_iter, n_threads, warm_start, random_state, verbose
        As for `PathReLURegressor`.
    callback, on_interrupt, max_seconds
        As for `PathReLURegressor`. Threads are those of the client; a task of a worker has one.
    client : distributed.Client, optional
        By default the one made last. It is no parameter of `get_params`, for it cannot be copied: a clone
        has none of its own.

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from pathrelu.dask import DaskPathReLURegressor
    >>> X = da.random.default_rng(0).standard_normal((1000, 3), chunks=(250, 3))
    >>> with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
    ...     model = DaskPathReLURegressor(alpha=1e-3, random_state=0, client=client)
    ...     local = model.fit(X, abs(X[:, 0])).to_local()
    ...     local.score(X.compute(), abs(X[:, 0]).compute()) > 0.9
    True
    """


@_with_client
class DaskPathReLUClassifier(DaskEstimator, PathReLUClassifier):  # type: ignore[misc]
    """`PathReLUClassifier` for rows on the workers of a Dask cluster.

    Parameters
    ----------
    depth, width, alpha, activation, arrangements, n_arrangements, bias, fit_intercept, standardize
        As for `PathReLUClassifier`.
    encode, adapt_columns, skip_connection, outputs, prune, low_rank, monotonic_cst, class_weight
        As for `PathReLUClassifier`.
    n_networks, tol, max_iter, n_threads, warm_start, random_state, verbose
        As for `PathReLUClassifier`.
    callback, on_interrupt, max_seconds
        As for `DaskPathReLURegressor`.
    client : distributed.Client, optional
        As for `DaskPathReLURegressor`.

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from pathrelu.dask import DaskPathReLUClassifier
    >>> X = da.random.default_rng(0).standard_normal((1000, 3), chunks=(250, 3))
    >>> with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
    ...     model = DaskPathReLUClassifier(alpha=1e-3, random_state=0, client=client)
    ...     local = model.fit(X, X[:, 0] > X[:, 1]).to_local()
    ...     local.score(X.compute(), (X[:, 0] > X[:, 1]).compute()) > 0.9
    True
    """

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes, when they are asked for.

        Parameters
        ----------
        X : dask array or data frame

        Returns
        -------
        dask array of shape (n_samples, n_classes) for an array, or data frame with a column for each class
        """
        return self._lazily(X, "predict_proba")

    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of `predict_proba`, when they are asked for.

        Parameters
        ----------
        X : dask array or data frame

        Returns
        -------
        dask array or data frame
        """
        return self._lazily(X, "predict_log_proba")

    def decision_function(self, X: Any) -> Any:
        """Log-odds or logits, when they are asked for.

        Parameters
        ----------
        X : dask array or data frame

        Returns
        -------
        dask array, or series or data frame
        """
        return self._lazily(X, "decision_function")
