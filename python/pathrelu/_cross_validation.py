"""Cross-validation over alpha along a warm-started path."""

from __future__ import annotations

import logging
import math
import numbers
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, r2_score
from sklearn.model_selection import check_cv
from sklearn.utils.validation import indexable

from pathrelu import _validation as check
from pathrelu._base import Path
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
from pathrelu._watch import Stage, Watch
from pathrelu.alpha import EVALUATIONS, RESCALINGS, slide_work
from pathrelu.encoding import TableEncoder
from pathrelu.estimators import PathReLUClassifier, PathReLURegressor
from pathrelu.program._path import alpha_grid
from pathrelu.progress import followed, showing

logger = logging.getLogger("pathrelu")

LEAST_PROBABILITY = 1e-15
LEAST_SECONDS = 1e-3


class AlphaCV:
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
    tol: float | None
    encode: Any
    bias: bool

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
        watch = Watch(max_seconds=self.max_seconds)
        with showing(check.count(self.verbose, "verbose", 0)), followed(watch):
            return self._choose_and_fit(X, y, sample_weight, params, watch.stage)

    def _choose_and_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        params: dict[str, Any],
        stage: Stage,
    ) -> Self:
        groups = params.pop("groups", None)
        raise_for_params(params, self, "fit")
        model = self._model()
        given = self._given_alphas()
        check.switch(self.one_standard_error, "one_standard_error")
        patience = np.inf if self.patience is None else check.count(self.patience, "patience")
        n_jobs = check.jobs(self.n_jobs)
        scorer = self._scorer()
        settings = model._settings()
        # As for alpha="auto": predictions need slides alone, and both encodings are tried.
        slides = self.tol is None and settings.searches and settings.low_rank is None
        tables = model._data(X, y, sample_weight, to_choose=slides)
        encodings = ["linear", "ramps"] if len(tables) > 1 else [self.encode]
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
            largest = model._largest_alpha(settings, tables[0])
            grid = alpha_grid(
                largest, self.eps, check.count(self.alphas, "alphas"), f"alphas is {self.alphas}"
            )
        model.set_params(warm_start=True, verbose=0, on_interrupt="raise")
        deadline = np.inf if self.max_seconds is None else time.monotonic() + self.max_seconds

        def time_left() -> float | None:
            return None if deadline == np.inf else max(deadline - time.monotonic(), LEAST_SECONDS)

        parallel = Parallel(n_jobs=n_jobs)
        stage.threads = settings.options.threads
        # At one value of alpha; of programs nobody knows.
        of_slides = settings.slides() if slides else None
        works: dict[Any, list[float]] = {}
        for encode, table in zip(encodings, tables, strict=True):
            columns = table.X.shape[1]
            works[encode] = [
                slide_work((len(train), columns), of_slides, EVALUATIONS) if of_slides else 1.0
                for train, _ in folds
            ]
            stage.plan(_name(encode), len(grid) * sum(works[encode]))
        alone = parallel.n_jobs == 1
        tried: list[tuple[Any, float, int]] = []  # encoding, alpha and how often columns were rescaled
        results: list[list[tuple[float, int, float]]] = []  # score, size and seconds, of each fold
        stopped = ""
        best, best_models = -np.inf, []  # of all, and where paths have come to there

        def along(models: list[Any], encode: Any, alphas: NDArray[np.float64], rescalings: int) -> None:
            nonlocal stopped, best, best_models
            mark, since = -np.inf, 0
            title = f"{encode}, " if len(encodings) > 1 else ""
            title += "rescaled, " if rescalings else ""
            work = works[encode]

            def tasks(models: list[Any], alpha: float, where: str, more: float) -> Iterator[Any]:
                """Of each fold; its turn has come when it is asked for, unless several are at a time."""
                for k, (model, fold) in enumerate(zip(models, folds, strict=True)):
                    if alone:
                        of_folds = f", fold {k + 1} of {len(folds)}"
                        stage.step(f"{where}{of_folds}{score}", work[k], more + sum(work[k + 1 :]))
                    yield delayed(_fit_and_score)(
                        model, scorer, rows, targets, weights, fold, alpha, time_left(), score_params
                    )

            for k, alpha in enumerate(alphas.tolist()):
                where = f"{title}alpha {k + 1} of {len(alphas)}"
                score = f"  best score {best:.4g}" if best > -np.inf else ""
                more = (len(alphas) - k - 1) * sum(work)
                if not alone:
                    stage.step(f"{where}{score}", sum(work), more)
                try:
                    done = parallel(tasks(models, alpha, where, more))
                except KeyboardInterrupt:
                    if self.on_interrupt != "return" or not results:
                        raise
                    stopped = "an interrupt"
                    break
                if results and time.monotonic() > deadline:
                    stopped = f"max_seconds={self.max_seconds:g}"
                    break
                models = [model for model, _ in done]
                tried.append((encode, alpha, rescalings))
                results.append([result for _, result in done])
                mean = _mean(results[-1])
                if self.verbose > 0:
                    logger.info("alpha %.4g: mean score %.6g of %d folds", alpha, mean, len(folds))
                if mean > best:
                    best = mean
                    best_models = [_come_to(model) for model in models] if adapts else []
                since = 0 if mean > mark else since + 1
                mark = max(mark, mean)
                if since >= patience:
                    break

        adapts = slides and settings.adapt_columns
        for encode in encodings:
            stage.begin(_name(encode))
            models = [clone(model).set_params(encode=encode) for _ in folds]
            if slides:
                for one in models:
                    one._path = Path()
            along(models, encode, grid, 0)
            if stopped:
                break
        came: list[float] = []  # alpha at which columns were rescaled
        while adapts and not stopped and len(came) < RESCALINGS:
            before, (encode, alpha, _) = best, tried[int(np.argmax([_mean(result) for result in results]))]
            came.append(alpha)
            for one, of in zip(models, best_models, strict=True):
                one.set_params(encode=encode)
                n_free, path = of
                one._path = path.rescaled(n_free, int(self.bias))
            along(models, encode, grid[grid <= alpha], len(came))
            if not best > before:
                break
        if stopped:
            warnings.warn(
                f"stopped by {stopped} after {len(results)} values of alpha; the best of these is taken",
                ConvergenceWarning,
                stacklevel=3,
            )
        self._choose(tried, np.array(results))
        encode, alpha, rescalings = tried[self.best_index_]
        final = self._model().set_params(encode=encode, alpha=alpha)
        if slides:
            final._path = Path(before=_stages(grid, came[:rescalings], alpha))
        stage.planned.clear()
        stage.step(f"alpha {alpha:.3g} for all rows")
        final.fit(rows, targets, sample_weight=weights)
        for name, value in vars(final).items():
            if name.endswith("_"):
                setattr(self, name, value)
        return self

    def _choose(self, tried: list[tuple[Any, float, int]], results: NDArray[np.float64]) -> None:
        """Take up scores, sizes and seconds (tried, folds, 3)."""
        scores, sizes, seconds = np.moveaxis(results, 2, 0)
        mean, deviation = scores.mean(axis=1), scores.std(axis=1)
        self.n_splits_ = scores.shape[1]
        self.alphas_ = np.array([alpha for _, alpha, _ in tried])
        best = int(np.argmax(mean))  # of equals the largest alpha
        if self.one_standard_error and self.n_splits_ > 1:
            error = scores[best].std(ddof=1) / np.sqrt(self.n_splits_)
            encode, _, rescalings = tried[best]
            alike = np.array([one is encode and times == rescalings for one, _, times in tried])
            best = int(np.argmax(alike & (mean >= mean[best] - error)))
        self.best_index_, self.best_score_ = best, float(mean[best])
        self.cv_results_ = {
            "param_alpha": self.alphas_.copy(),
            "param_encode": np.array([_name(encode) for encode, _, _ in tried]),
            "n_rescalings": np.array([rescalings for _, _, rescalings in tried]),
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


def _name(encode: str | TableEncoder | None) -> str:
    return encode if isinstance(encode, str) else type(encode).__name__ if encode else "none"


def _come_to(model: Any) -> tuple[int, Path]:
    """Columns of the last fit of a model, and where its path has come to."""
    return model.network_.n_columns, replace(model._path)


def _mean(result: list[tuple[float, int, float]]) -> float:
    return float(np.mean([score for score, _, _ in result]))


def _stages(grid: NDArray[np.float64], came: list[float], alpha: float) -> list[list[float]]:
    """Values of alpha before the last one, in lists that end where columns are rescaled."""
    stages, first = [], np.inf
    for end in came:
        stages.append(grid[(grid <= first) & (grid >= end)].tolist())
        first = end
    return [*stages, grid[(grid <= first) & (grid > alpha)].tolist()]


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
