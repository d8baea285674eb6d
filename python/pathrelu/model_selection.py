"""Estimators that choose alpha by cross-validation along a warm-started path."""

from __future__ import annotations

import logging
import math
import numbers
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, r2_score
from sklearn.model_selection import check_cv
from sklearn.utils.validation import indexable

from pathrelu import _validation as check
from pathrelu._registry import ESTIMATORS
from pathrelu._sklearn import (
    MetadataRouter,
    MethodMapping,
    Parallel,
    check_method_params,
    delayed,
    is_scorer_of,
    num_samples,
    parameter_names,
    process_routing,
    raise_for_params,
    routing_enabled,
    safe_indexing,
    takes_weights,
)
from pathrelu._watch import Callback
from pathrelu.estimators import PathReLUClassifier, PathReLURegressor
from pathrelu.program._path import alpha_grid

logger = logging.getLogger("pathrelu")

LEAST_PROBABILITY = 1e-15
LEAST_SECONDS = 1e-3


class _AlphaCV:
    """Cross-validation over alpha, ahead of the classes whose `fit` and outputs it uses."""

    alphas: int | ArrayLike
    eps: float
    cv: Any
    scoring: Any
    one_standard_error: bool
    patience: int | None
    n_jobs: int | None
    verbose: int
    on_interrupt: str
    max_seconds: float | None

    alphas_: NDArray[np.float64]
    cv_results_: dict[str, NDArray[Any]]
    best_index_: int
    best_score_: float
    n_splits_: int

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **params: Any) -> Self:
        """Choose alpha by cross-validation, and train with it on all rows.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            As for the estimator without cross-validation.
        y : array-like of shape (n_samples,) or, in regression, (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
            For training and, if the scorer takes weights, for scores. A scorer that should have them under
            metadata routing must request them.
        **params : dict
            ``groups`` for the splitter; with metadata routing, what splitter and scorer request.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data is out of range or of the wrong kind, or a score is not a number.

        Warns
        -----
        ConvergenceWarning
            If a gap is still above `tol` after `max_iter` iterations, or values of alpha were left out for an
            interrupt or `max_seconds`.
        """
        groups = params.pop("groups", None)
        raise_for_params(params, self, "fit")
        model = self._model()
        given = self._given_alphas()
        check.switch(self.one_standard_error, "one_standard_error")
        patience = np.inf if self.patience is None else check.count(self.patience, "patience")
        n_jobs = check.jobs(self.n_jobs)
        scorer = self._scorer()
        settings, data = model._settings(), model._data(X, y, sample_weight)
        rows, targets, weights, groups = indexable(X, y, sample_weight, groups)
        split, score_params = self._routed(scorer, weights, groups, params)
        folds = self._folds(rows, targets, split)
        if scorer is determination or is_scorer_of(scorer, r2_score):
            few = min(len(test) for _, test in folds)
            if few < 2:
                raise ValueError(
                    f"cv has a fold that tests on {few} row{'s' * (few != 1)}; expected at least 2 for the "
                    'score R2: take scoring="neg_mean_squared_error"'
                )
        grid = given
        if grid is None:
            largest = model._largest_alpha(settings, data)
            grid = alpha_grid(
                largest, self.eps, check.count(self.alphas, "alphas"), f"alphas is {self.alphas}"
            )
        model.set_params(warm_start=True, verbose=0, on_interrupt="raise")
        deadline = np.inf if self.max_seconds is None else time.monotonic() + self.max_seconds

        def time_left() -> float | None:
            return None if deadline == np.inf else max(deadline - time.monotonic(), LEAST_SECONDS)

        models = [clone(model) for _ in folds]
        parallel = Parallel(n_jobs=n_jobs)
        results: list[list[tuple[float, int, float]]] = []  # score, size and seconds, for each alpha and fold
        best, since = -np.inf, 0
        stopped = ""
        for alpha in grid.tolist():
            try:
                done = parallel(
                    delayed(_fit_and_score)(
                        model, scorer, rows, targets, weights, fold, alpha, time_left(), score_params
                    )
                    for model, fold in zip(models, folds, strict=True)
                )
            except KeyboardInterrupt:
                if self.on_interrupt != "return" or not results:
                    raise
                stopped = "an interrupt"
                break
            if results and time.monotonic() > deadline:
                stopped = f"max_seconds={self.max_seconds:g}"
                break
            models = [model for model, _ in done]
            results.append([result for _, result in done])
            mean = float(np.mean([score for score, _, _ in results[-1]]))
            if self.verbose > 0:
                logger.info("alpha %.4g: mean score %.6g of %d folds", alpha, mean, len(folds))
            since = 0 if mean > best else since + 1
            best = max(best, mean)
            if since >= patience:
                break
        if stopped:
            warnings.warn(
                f"stopped by {stopped} after {len(results)} of {len(grid)} values of alpha; the best of "
                "these is taken",
                ConvergenceWarning,
                stacklevel=2,
            )
        self._choose(grid, np.array(results))

        final = self._model().set_params(alpha=float(grid[self.best_index_]))
        final.fit(rows, targets, sample_weight=weights)
        for name, value in vars(final).items():
            if name.endswith("_"):
                setattr(self, name, value)
        return self

    def _choose(self, grid: NDArray[np.float64], results: NDArray[np.float64]) -> None:
        """Take up scores, sizes and seconds (alphas, folds, 3)."""
        scores, sizes, seconds = np.moveaxis(results, 2, 0)
        mean, deviation = scores.mean(axis=1), scores.std(axis=1)
        self.n_splits_ = scores.shape[1]
        self.alphas_ = grid[: len(scores)]
        best = int(np.argmax(mean))  # of equals the largest alpha
        if self.one_standard_error and self.n_splits_ > 1:
            error = scores[best].std(ddof=1) / np.sqrt(self.n_splits_)
            best = int(np.argmax(mean >= mean[best] - error))
        self.best_index_, self.best_score_ = best, float(mean[best])
        self.cv_results_ = {
            "param_alpha": self.alphas_.copy(),
            **{f"split{k}_test_score": scores[:, k].copy() for k in range(self.n_splits_)},
            "mean_test_score": mean,
            "std_test_score": deviation,
            "rank_test_score": 1 + np.sum(mean > mean[:, np.newaxis], axis=1),
            "n_subnetworks": sizes.mean(axis=1),
            "mean_fit_time": seconds.mean(axis=1),
            "std_fit_time": seconds.std(axis=1),
        }

    def _model(self) -> Any:
        """The estimator without cross-validation."""
        base = PathReLUClassifier if is_classifier(self) else PathReLURegressor
        names = parameter_names(base)
        return base(**{name: getattr(self, name) for name in names if hasattr(self, name)})

    def _given_alphas(self) -> NDArray[np.float64] | None:
        """Values of alpha from the largest down; None for a grid of `alphas` values."""
        check.between_0_and_1(self.eps, "eps")
        if isinstance(self.alphas, numbers.Integral):
            check.count(self.alphas, "alphas")
            return None
        given = check.penalties(self.alphas, "alphas", "an integer or an array of numbers > 0")
        return np.unique(given)[::-1]

    def _folds(self, X: Any, y: Any, params: dict[str, Any]) -> list[tuple[Any, Any]]:
        """Rows to train and to test on, of each fold."""
        if isinstance(self.cv, numbers.Integral):
            check.count(self.cv, "cv", 2)
        try:
            folds = list(check_cv(self.cv, y, classifier=is_classifier(self)).split(X, y, **params))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"cv is {self.cv!r:.80}, which does not split the rows: {error}") from error
        if not folds:
            raise ValueError("cv has no fold; expected at least one (train, test)")
        n = num_samples(X)
        for k, fold in enumerate(folds):
            pair = isinstance(fold, Sequence) and len(fold) == 2
            if not pair or not all(_are_rows(part, n) for part in fold):
                raise ValueError(
                    f"cv has the fold {k}: {fold!r:.80}; expected (train, test), two arrays of rows"
                )
        return folds

    def _scorer(self) -> Any:
        if self.scoring is not None:
            if not isinstance(self.scoring, str) and not callable(self.scoring):
                raise TypeError(
                    f"scoring is of type {type(self.scoring).__name__}; expected the name of one scorer, a "
                    "function of (estimator, X, y) or None"
                )
            return get_scorer(self.scoring) if isinstance(self.scoring, str) else self.scoring
        return log_score if is_classifier(self) else determination

    def _routed(
        self, scorer: Any, sample_weight: Any, groups: Any, params: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Parameters of the splitter and of the scorer."""
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        if routing_enabled():
            given = params if groups is None else params | {"groups": groups}
            routed = process_routing(self, "fit", **weights, **given)
            return routed.splitter.split, weights if scorer in DEFAULT_SCORERS else routed.scorer.score
        weighted = scorer in DEFAULT_SCORERS or takes_weights(scorer)
        return {"groups": groups}, weights if weighted else {}

    def get_metadata_routing(self) -> MetadataRouter:
        """How metadata go to the splitter and the scorer; see scikit-learn's guide on metadata routing.

        Returns
        -------
        MetadataRouter
        """
        scorer = self._scorer()
        to_fit = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(splitter=check_cv(self.cv), method_mapping=to_fit)
        if scorer not in DEFAULT_SCORERS:
            router.add(scorer=scorer, method_mapping=MethodMapping().add(caller="fit", callee="score"))
        return router


def _are_rows(given: Any, n: int) -> bool:
    """Whether these are numbers of some of n rows, or a mask of them."""
    try:
        array = np.asarray(given)
    except ValueError:
        return False
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iub":
        return False
    if array.dtype.kind == "b":
        return len(array) == n and bool(array.any())
    return bool(array.min() >= 0 and array.max() < n)


def _fit_and_score(
    model: Any,
    scorer: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    fold: tuple[NDArray[np.intp], NDArray[np.intp]],
    alpha: float,
    max_seconds: float | None,
    score_params: dict[str, Any],
) -> tuple[Any, tuple[float, int, float]]:
    """The model, fitted from its last fit, and its score, its size and the seconds that it took."""
    train, test = fold
    weight = None if sample_weight is None else safe_indexing(sample_weight, train)
    begin = time.perf_counter()
    model.set_params(alpha=alpha, max_seconds=max_seconds)
    with warnings.catch_warnings():
        if max_seconds is not None:  # the caller warns of time
            warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(safe_indexing(X, train), safe_indexing(y, train), sample_weight=weight)
    seconds = time.perf_counter() - begin
    held_out = safe_indexing(X, test), safe_indexing(y, test)
    score = scorer(model, *held_out, **check_method_params(X, score_params, indices=test))
    name, wanted = f"the score at alpha {alpha:g}", "a finite number"
    score = check.number(score, name, wanted)
    if not np.isfinite(score):
        raise ValueError(f"{name} is {score:g}; expected {wanted}")
    return model, (score, model.n_subnetworks_, seconds)


def log_score(estimator: Any, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
    """Mean log-probability of the labels: minus the log-loss, also where a label was not trained on.

    Parameters
    ----------
    estimator : fitted classifier
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    sample_weight : array-like of shape (n_samples,), optional

    Returns
    -------
    float
        Probabilities below 1e-15 count as that.
    """
    log_probability = estimator.predict_log_proba(X)
    labels = np.ravel(y)
    index = np.searchsorted(estimator.classes_, labels).clip(max=len(estimator.classes_) - 1)
    known = estimator.classes_[index] == labels
    share = np.where(known, log_probability[np.arange(len(index)), index], -np.inf)
    weight = np.ones(len(share)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    return float(np.average(np.maximum(share, math.log(LEAST_PROBABILITY)), weights=weight))


def determination(estimator: Any, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
    """Coefficient of determination R2, as the estimator's own `score`.

    Parameters
    ----------
    estimator : fitted regressor
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    sample_weight : array-like of shape (n_samples,), optional

    Returns
    -------
    float
    """
    return float(estimator.score(X, y, sample_weight=sample_weight))


DEFAULT_SCORERS = (log_score, determination)


@ESTIMATORS.named("PathReLURegressorCV")
class PathReLURegressorCV(_AlphaCV, PathReLURegressor):
    """`PathReLURegressor` with the alpha of the best cross-validation score.

    In every fold the values of alpha are fitted from the largest down, each fit from the one before it, the
    folds side by side.

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
    skip_connection, prune, low_rank, tol, max_iter, n_threads, random_state
        As for `PathReLURegressor`.
    verbose : int, default=0
        1 logs the mean score of each alpha at level INFO of the logger "pathrelu", and follows the fit of all
        rows as `PathReLURegressor` does.
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
    alphas_ : ndarray of shape (n_alphas,)
        Those tried, from the largest down.
    cv_results_ : dict of ndarray of shape (n_alphas,)
        ``param_alpha``, ``split0_test_score`` and so on, ``mean_test_score``, ``std_test_score``,
        ``rank_test_score``, ``n_subnetworks`` (mean over folds), ``mean_fit_time``, ``std_fit_time``
        (seconds).
    best_index_ : int
        Of the value chosen.
    best_score_ : float
        Its mean score.
    n_splits_ : int
    network_, intercept_, objective_, dual_gap_, n_iter_, n_subnetworks_, history_, guarantee_
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
        skip_connection: bool = False,
        prune: bool = False,
        low_rank: int | None = None,
        tol: float = 1e-4,
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
        self.skip_connection = skip_connection
        self.prune = prune
        self.low_rank = low_rank
        self.tol = tol
        self.max_iter = max_iter
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.on_interrupt = on_interrupt
        self.max_seconds = max_seconds


@ESTIMATORS.named("PathReLUClassifierCV")
class PathReLUClassifierCV(_AlphaCV, PathReLUClassifier):
    """`PathReLUClassifier` with the alpha of the best cross-validation score.

    In every fold the values of alpha are fitted from the largest down, each fit from the one before it, the
    folds side by side.

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
    activation, arrangements, n_arrangements, bias, fit_intercept, standardize, skip_connection, prune
        As for `PathReLUClassifier`.
    low_rank, class_weight, tol, max_iter, n_threads, random_state
        As for `PathReLUClassifier`.
    verbose, callback, on_interrupt, max_seconds
        As for `PathReLURegressorCV`.

    Attributes
    ----------
    alpha_, alphas_, cv_results_, best_index_, best_score_, n_splits_
        As of `PathReLURegressorCV`.
    classes_, network_, intercept_, objective_, dual_gap_, n_iter_, n_subnetworks_, history_, guarantee_
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
        skip_connection: bool = False,
        prune: bool = False,
        low_rank: int | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        tol: float = 1e-4,
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
        self.skip_connection = skip_connection
        self.prune = prune
        self.low_rank = low_rank
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.on_interrupt = on_interrupt
        self.max_seconds = max_seconds
