"""Estimators that choose alpha by cross-validation along a warm-started path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from pathrelu import _validation as check
from pathrelu._cross_validation import AlphaCV
from pathrelu._registry import ESTIMATORS
from pathrelu._watch import Callback
from pathrelu.encoding import TableEncoder
from pathrelu.estimators import PathReLUClassifier, PathReLURegressor


@ESTIMATORS.named("PathReLURegressorCV")
class PathReLURegressorCV(AlphaCV, PathReLURegressor):  # type: ignore[misc]
    """`PathReLURegressor` with the alpha of the best cross-validation score.

    In every fold the values of alpha are fitted from the largest down, each fit from the one before it, the
    folds side by side. Without `tol`, ReLU networks that are searched for only slide along them, as for
    ``alpha="auto"``: a descent on the network's own objective, without the convex program.

    Parameters
    ----------
    depth, width
        As for `PathReLURegressor`.
    alphas : int or array-like, default=10
        Values of alpha to try, or how many in geometric progression: from the smallest for which a constant
        is optimal, over `n_arrangements` random arrangements of all rows, down to `eps` times that.
    eps : float, default=1e-3
        Between 0 and 1.
    cv : int, splitter or iterable of (train, test), optional
        5 folds by default; as for `sklearn.model_selection.check_cv`.
    scoring : str or callable, optional
        Any scorer of scikit-learn, or a function of (estimator, X, y) whose larger values are better. By
        default R2.
    one_standard_error : bool, default=False
        Whether to take the largest alpha, and so a smaller network, whose mean score is within one standard
        error, over the folds, of the best one's.
    patience : int or None, default=2
        Leave out the rest of the values once so many in a row did not improve the mean score, for the
        smallest take longest; None tries them all.
    n_jobs : int, optional
        Folds fitted at the same time, through joblib and so by its backends; None means 1 unless in a
        `joblib.parallel_config`. The result does not depend on it.
    activation, arrangements, n_arrangements, loss, quantile, threshold, bias, fit_intercept, standardize
        As for `PathReLURegressor`.
    encode : {"auto", "linear", "ramps"}, TableEncoder or None, default="auto"
        As for `PathReLURegressor`; fitted in each fold on its own rows. With "auto" and slides, both
        encodings are tried at the values of alpha.
    adapt_columns : "auto" or False, default="auto"
        As for `PathReLURegressor`, where folds slide: from the best value of alpha on, columns are rescaled
        in each fold by its own network, while that raises the mean score.
    tol : float, optional
        To which each fit solves its program, as `PathReLURegressor` does. By default folds slide, and the
        fit of all rows ends as for ``alpha="auto"``; where networks do not slide, 1e-4.
    skip_connection, outputs, prune, low_rank, monotonic_cst, max_iter, n_threads, random_state
        As for `PathReLURegressor`.
    verbose : int, default=0
        1 shows on stderr how far it is, which alpha and fold it is at and the best score so far, as
        `PathReLURegressor` does; a logger "pathrelu" at level INFO gets the mean score of each alpha too.
    callback : callable, optional
        As for `PathReLURegressor`, in the fits of all folds, where StopIteration ends one fit.
    on_interrupt : {"raise", "return"}, default="raise"
        What Ctrl-C does: raise KeyboardInterrupt or, once a value of alpha has its score, take the best of
        those that have, and fit all rows; a second Ctrl-C ends that fit too.
    max_seconds : float, optional
        After this time take the best of the values of alpha that have their scores. The fit of all rows,
        which follows, ends after this time too.

    Attributes
    ----------
    alpha_ : float
        The value chosen.
    alphas_ : ndarray of shape (n_tried,)
        Those tried, from the largest down; of each encoding, if both were, and after each rescaling.
    cv_results_ : dict of ndarray of shape (n_tried,)
        ``param_alpha``, ``param_encode``, ``n_rescalings`` (of `adapt_columns`), ``split0_test_score`` and so
        on, ``mean_test_score``, ``std_test_score``, ``rank_test_score``, ``n_subnetworks`` (mean over folds),
        ``mean_fit_time``, ``std_fit_time`` (seconds).
    best_index_ : int
        Of the value chosen.
    best_score_ : float
        Its mean score.
    n_splits_ : int
    network_, intercept_, objective_, dual_gap_, n_iter_, n_subnetworks_, history_, guarantee_
        Of the fit of all rows at `alpha_`, as of `PathReLURegressor`.
    column_factors_, monotonic_cst_
        Of the fit of all rows at `alpha_`, as of `PathReLURegressor`.
    n_features_in_, feature_names_in_
        As of `PathReLURegressor`.

    Examples
    --------
    >>> import numpy as np
    >>> from pathrelu import PathReLURegressorCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((80, 2))
    >>> y = np.abs(X[:, 0]) + 0.1 * rng.standard_normal(80)
    >>> model = PathReLURegressorCV(alphas=5, cv=3, random_state=0).fit(X, y)
    >>> model.alpha_ == model.alphas_[model.best_index_], model.best_score_ > 0.9
    (np.True_, True)
    """

    def __init__(
        self,
        *,
        depth: int = 2,
        width: int | Sequence[int] = 4,
        alphas: int | ArrayLike = 10,
        eps: float = 1e-3,
        cv: Any = None,
        scoring: Any = None,
        one_standard_error: bool = False,
        patience: int | None = 2,
        n_jobs: int | None = None,
        activation: str = "relu",
        arrangements: str = "search",
        n_arrangements: int = 500,
        loss: str = "squared_error",
        quantile: float | None = None,
        threshold: float | None = None,
        bias: bool = True,
        fit_intercept: bool = True,
        standardize: bool = True,
        encode: str | TableEncoder | None = "auto",
        adapt_columns: str | bool = "auto",
        skip_connection: bool = False,
        outputs: str = "auto",
        prune: bool = False,
        low_rank: int | None = None,
        monotonic_cst: ArrayLike | Mapping[Any, int] | None = None,
        tol: float | None = None,
        max_iter: int = 10_000,
        n_threads: int | None = None,
        random_state: check.RandomState = None,
        verbose: int = 0,
        callback: Callback | None = None,
        on_interrupt: str = "raise",
        max_seconds: float | None = None,
    ) -> None:
        self.depth = depth
        self.width = width
        self.alphas = alphas
        self.eps = eps
        self.cv = cv
        self.scoring = scoring
        self.one_standard_error = one_standard_error
        self.patience = patience
        self.n_jobs = n_jobs
        self.activation = activation
        self.arrangements = arrangements
        self.n_arrangements = n_arrangements
        self.loss = loss
        self.quantile = quantile
        self.threshold = threshold
        self.bias = bias
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.encode = encode
        self.adapt_columns = adapt_columns
        self.skip_connection = skip_connection
        self.outputs = outputs
        self.prune = prune
        self.low_rank = low_rank
        self.monotonic_cst = monotonic_cst
        self.tol = tol
        self.max_iter = max_iter
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.on_interrupt = on_interrupt
        self.max_seconds = max_seconds


@ESTIMATORS.named("PathReLUClassifierCV")
class PathReLUClassifierCV(AlphaCV, PathReLUClassifier):  # type: ignore[misc]
    """`PathReLUClassifier` with the alpha of the best cross-validation score.

    In every fold the values of alpha are fitted from the largest down, each fit from the one before it, the
    folds side by side. Without `tol`, ReLU networks that are searched for only slide along them, as for
    ``alpha="auto"``: a descent on the network's own objective, without the convex program.

    Parameters
    ----------
    depth, width, alphas, eps
        As for `PathReLURegressorCV`.
    cv : int, splitter or iterable of (train, test), optional
        5 stratified folds by default; as for `sklearn.model_selection.check_cv`.
    scoring : str or callable, optional
        Any scorer of scikit-learn, or a function of (estimator, X, y) whose larger values are better. By
        default the mean log-probability of the held-out labels, which tells more than the accuracy.
    one_standard_error, patience, n_jobs
        As for `PathReLURegressorCV`.
    activation, arrangements, n_arrangements, bias, fit_intercept, standardize, skip_connection, outputs
        As for `PathReLUClassifier`.
    encode, adapt_columns, tol
        As for `PathReLURegressorCV`.
    prune, low_rank, monotonic_cst, class_weight, max_iter, n_threads, random_state
        As for `PathReLUClassifier`.
    verbose, callback, on_interrupt, max_seconds
        As for `PathReLURegressorCV`.

    Attributes
    ----------
    alpha_, alphas_, cv_results_, best_index_, best_score_, n_splits_
        As of `PathReLURegressorCV`.
    classes_, network_, intercept_, objective_, dual_gap_, n_iter_, n_subnetworks_, history_, guarantee_
        Of the fit of all rows at `alpha_`, as of `PathReLUClassifier`.
    column_factors_, monotonic_cst_
        Of the fit of all rows at `alpha_`, as of `PathReLUClassifier`.
    n_features_in_, feature_names_in_
        As of `PathReLUClassifier`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from pathrelu import PathReLUClassifierCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = PathReLUClassifierCV(alphas=[0.1, 0.01], cv=3, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    """

    def __init__(
        self,
        *,
        depth: int = 2,
        width: int | Sequence[int] = 4,
        alphas: int | ArrayLike = 10,
        eps: float = 1e-3,
        cv: Any = None,
        scoring: Any = None,
        one_standard_error: bool = False,
        patience: int | None = 2,
        n_jobs: int | None = None,
        activation: str = "relu",
        arrangements: str = "search",
        n_arrangements: int = 500,
        bias: bool = True,
        fit_intercept: bool = True,
        standardize: bool = True,
        encode: str | TableEncoder | None = "auto",
        adapt_columns: str | bool = "auto",
        skip_connection: bool = False,
        outputs: str = "auto",
        prune: bool = False,
        low_rank: int | None = None,
        monotonic_cst: ArrayLike | Mapping[Any, int] | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        tol: float | None = None,
        max_iter: int = 10_000,
        n_threads: int | None = None,
        random_state: check.RandomState = None,
        verbose: int = 0,
        callback: Callback | None = None,
        on_interrupt: str = "raise",
        max_seconds: float | None = None,
    ) -> None:
        self.depth = depth
        self.width = width
        self.alphas = alphas
        self.eps = eps
        self.cv = cv
        self.scoring = scoring
        self.one_standard_error = one_standard_error
        self.patience = patience
        self.n_jobs = n_jobs
        self.activation = activation
        self.arrangements = arrangements
        self.n_arrangements = n_arrangements
        self.bias = bias
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.encode = encode
        self.adapt_columns = adapt_columns
        self.skip_connection = skip_connection
        self.outputs = outputs
        self.prune = prune
        self.low_rank = low_rank
        self.monotonic_cst = monotonic_cst
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.on_interrupt = on_interrupt
        self.max_seconds = max_seconds
