"""scikit-learn estimators: a page each over `solve`, `search` and the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets

from pathrelu import _validation as check
from pathrelu import losses
from pathrelu._base import BasePathReLU
from pathrelu._registry import ESTIMATORS
from pathrelu._sklearn import Tags
from pathrelu._watch import Callback
from pathrelu.encoding import RawTable, TableEncoder
from pathrelu.progress import showing
from pathrelu.rows import Source
from pathrelu.rows._nonzeros import train_on_nonzeros
from pathrelu.rows._training import train_on_rows, train_on_source
from pathrelu.training import Data, encoded_directions, labelled_weights

Model = TypeVar("Model", bound=BasePathReLU)


def _fitted(estimator: Model, X: Any, y: Any, sample_weight: ArrayLike | None) -> Model:
    """The estimator, trained on rows in pieces, on many in memory, or on some."""
    with showing(check.count(estimator.verbose, "verbose", 0)):
        if isinstance(X, Source):
            train_on_source(estimator, X, y, sample_weight)
        elif estimator._by_nonzeros(X):
            train_on_nonzeros(estimator, X, y, sample_weight)
        elif estimator._many(X):
            checked = estimator._checked(X, y, sample_weight)
            train_on_rows(estimator, estimator._settings(), *checked)
        else:
            estimator._train(X, y, sample_weight)
    return estimator


@ESTIMATORS.named("PathReLURegressor")
class PathReLURegressor(RegressorMixin, BasePathReLU):  # type: ignore[misc]
    r"""Regression with a parallel ReLU network under path regularization.

    Minimises, over networks `f` that are sums of sub-networks with `depth` layers of weights,

    .. math:: \frac1n \sum_i w_i \, \tfrac12 (f(x_i) - y_i)^2 + \alpha \sum_k
              \Big(\sum_{\text{paths of } k} \; \prod_{\text{edges}} \text{weight}^2\Big)^{1/2}

    through the equivalent convex program. `y` is not scaled, so a number for `alpha` is in units of `y`; the
    default adapts to them.

    Parameters
    ----------
    depth : int, default=2
        Number of layers of weights, at least 2 (one hidden layer).
    width : int or sequence of int, default=4
        ``(m_1, ..., m_{L-2})``, children of each unit in the hidden layers after the first; an integer stands
        for each of them, and means nothing at depth 2.
    alpha : float or "auto", default="auto"
        Weight of the path norm against the mean loss, above 0. "auto" takes the value of least loss on
        held-out rows, along a decreasing path of networks that only slide, each from the one before: five
        folds of up to 1,000 distinct rows, three of up to 3,000, else a fifth; equal rows are held out
        together. One fit of all rows follows. Networks that are gated, of ``arrangements="sample"`` or of
        fewer than 20 distinct rows take a share of the score that noise would reach, see the guide.
    activation : {"relu", "gated"}, default="relu"
        A gated network is cheaper to train, and larger.
    arrangements : {"search", "sample"}, default="search"
        "search" lets the set of arrangements grow where it pays; "sample" draws `n_arrangements` random ones,
        over which the duality gap is then a certificate.
    n_arrangements : int, default=500
        Used by "sample".
    loss : str, default="squared_error"
        "squared_error", "absolute_error", "quantile", "huber", "poisson" or "gamma", as for `solve`. Of
        "poisson" (`y` of at least 0) and "gamma" (`y` above 0) the network's outputs are logarithms of means;
        `predict` gives the means.
    quantile : float, optional
        Level of the loss "quantile", between 0 and 1; None for 0.5, the median.
    threshold : float, optional
        Where the loss "huber" becomes linear, in units of the spread of `y`; see `solve`. None for residuals
        of 1 in the units of `y`.
    bias : bool, default=True
        Whether units have biases: a column of ones, penalised like any other. Without it columns are scaled
        but not centered.
    fit_intercept : bool, default=True
        Whether the output has an intercept, which is not penalised.
    standardize : bool, default=True
        Whether columns are centered and divided by their standard deviation for training (by their root mean
        square without `bias`). The network takes raw rows either way; path norms are those for scaled rows.
    encode : {"auto", "linear", "ramps"}, TableEncoder or None, default="auto"
        How columns become numbers, see `TableEncoder`: text, categories, times and missing values are
        taken as they are. "linear" keeps numbers as they are, "ramps" makes them ramps, "auto" takes the one
        of less held-out loss where ``alpha="auto"``, else "linear".
        None: numbers alone, and anything else is refused by the name of its column. The encoder is part of
        the network, and `objective_` is for encoded columns.
    adapt_columns : "auto" or False, default="auto"
        Whether scaled, encoded columns are multiplied by the part that each has in the network that held-out
        rows choose, and fitted again, where that lowers the held-out loss by enough; up to three times. Only
        where ``alpha="auto"`` takes held-out rows. `column_factors_` has the factors, and `objective_` is for
        the columns times these.
    skip_connection : bool, default=False
        Whether the network has a linear part too, whose path norm is that of its weights, for each output.
    outputs : {"auto", "shared", "separate"}, default="auto"
        "shared": each sub-network feeds all outputs, and one alpha serves all of them: targets should be of
        one scale. "separate": each feeds one. "auto" is shared for several outputs, but for
        ``arrangements="sample"``, whose arrangements have no directions.
    prune : bool, default=False
        Whether to end with at most as many sub-networks for each output as there are distinct samples, at the
        same outputs on these and no higher an objective; see `ParallelReLUNetwork.prune`. A search does so
        in any case.
    low_rank : int, optional
        Train on so many leading principal scores of the rows, as they are for training (scaled, with the
        column of ones), and map the weights back; see `solve_low_rank`.
    monotonic_cst : array-like of int of shape (n_features,), dict of int, or None, default=None
        1 for columns of X in which predictions never fall, -1 where they never rise, 0 for others; a dict has
        them by the names of the columns of a data frame. All weights that a path begins with then have one
        sign, in each ramp of the column too: a sufficient condition, so some networks that are monotone are
        left out. Where values are missing predictions are free. Gates of the activation "gated" depend on
        the other columns alone. For two classes the probability of the second is monotone. Not for text,
        categories and times, several outputs that share sub-networks, more classes, nor `low_rank`.
    n_networks : int, default=1
        So many networks, of different folds and random trees, at one alpha: their mean is one network, of all
        their sub-networks. The first one chooses encoding and columns; alpha is the geometric mean of what
        each chooses. They predict a little better, for as many times the time; `prune` is of each.
    tol : float, optional
        Stop when the duality gap is at most `tol` times the objective of the best constant. None for 1e-4,
        and where held-out rows choose alpha for 1e-2, within a bounded number of steps: predictions do not
        notice the rest, and `dual_gap_` says what is left.
    max_iter : int, default=10000
    n_threads : int, optional
        Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one. The result
        does not depend on it.
    warm_start : bool, default=False
        Keep the sub-networks of this fit, or all trees and blocks with ``arrangements="sample"``, and start
        the next one from them if depth, width, activation, `arrangements` and numbers of columns and outputs
        are the same. Where held-out rows choose alpha, the path starts at that of this fit, in its encoding;
        rows that are held out then and were trained on now tell less. A fit of `low_rank` starts afresh.
    random_state : int, RandomState, Generator or None, default=None
        Where random trees come from.
    verbose : int, default=0
        1 shows on stderr how far the fit is and about how long it will take, see `pathrelu.progress.Live`; 2
        leaves a line for each record too. A logger "pathrelu" at level INFO gets that instead, and each
        program solved.
    callback : callable, optional
        Called with a `Record` at every check of the gap, in a search after every program solved, and where
        held-out rows choose alpha after every value on the way. What it raises stops the fit and is raised
        again, except StopIteration: then the best network so far is kept.
    on_interrupt : {"raise", "return"}, default="raise"
        What Ctrl-C does: raise KeyboardInterrupt, or end the fit with the best network so far.
    max_seconds : float, optional
        End the fit with the best network so far after this time.

    Attributes
    ----------
    network_ : ParallelReLUNetwork or GatedReLUNetwork
    alpha_ : float or ndarray of shape (n_outputs,)
        The `alpha` used; of each target where they are trained apart.
    intercept_ : float or ndarray of shape (n_outputs,)
    objective_ : float
        Of the training problem, on the training data.
    dual_gap_ : float
        Upper bound on how far `objective_` is above the optimum over the arrangements used; infinite with
        `n_networks` above 1, as nothing is known over the arrangements of all of them: see `certify`.
    n_iter_ : int
        Of the solver, over all programs; at least 1 for each.
    n_subnetworks_ : int
        Without the skip connection.
    history_ : list of Record
        Of one program for all outputs, or of one for each target after the other.
    n_passes_ : int
        Over all rows, of a fit to a source.
    path_ : dict of ndarrays or None
        What held-out rows have said where they chose `alpha_`: "encoding", "program" (0, or the output),
        "alpha", "held_out_loss", "n_subnetworks" and "n_rescalings" (of `adapt_columns`), of each network on
        the way to each "network" (0, or the place among `n_networks`).
    monotonic_cst_ : ndarray of shape (`n_features_in_`,) or None
        Of each column 1, -1 or 0, as `monotonic_cst` says; None if all are free.
    column_factors_ : ndarray of shape (n_encoded,) or None
        What `adapt_columns` has multiplied scaled, encoded columns by; None for nothing.
    training_scores_ : dict
        On the training rows: "r2", "rmse" and "mae", means over the targets.
    variance_shares_ : ndarray of shape (`n_subnetworks_`,)
        Share of each sub-network in the variance of the outputs on these rows, see
        `pathrelu.inspection.subnetwork_importance`; over 10,000 of them, at most.
    guarantee_ : float or None
        With `low_rank`, a bound on the ratio of the optima with and without it; see `LowRank`.
    feature_importances_ : ndarray of shape (`n_features_in_`,)
        Share of each column in the path norm, over the paths that begin there.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        If X had column names.

    Notes
    -----
    Rows of weight zero are dropped, equal rows with equal targets are merged, and rows are sorted before
    training: a weight of 2 is exactly a row given twice, and the order of rows does not matter.

    References
    ----------
    T. Ergen and M. Pilanci, "Path Regularization: A Convexity and Sparsity Inducing Regularization for
    Parallel ReLU Networks", NeurIPS 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from pathrelu import PathReLURegressor
    >>> X = np.linspace(-1, 1, 50)[:, np.newaxis]
    >>> model = PathReLURegressor(alpha=1e-4, random_state=0).fit(X, np.abs(X[:, 0]))
    >>> model.score(X, np.abs(X[:, 0])) > 0.999
    True
    """

    def __init__(
        self,
        *,
        depth: int = 2,
        width: int | Sequence[int] = 4,
        alpha: float | str = "auto",
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
        n_networks: int = 1,
        tol: float | None = None,
        max_iter: int = 10_000,
        n_threads: int | None = None,
        warm_start: bool = False,
        random_state: check.RandomState = None,
        verbose: int = 0,
        callback: Callback | None = None,
        on_interrupt: str = "raise",
        max_seconds: float | None = None,
    ) -> None:
        self.depth = depth
        self.width = width
        self.alpha = alpha
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
        self.n_networks = n_networks
        self.tol = tol
        self.max_iter = max_iter
        self.n_threads = n_threads
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.on_interrupt = on_interrupt
        self.max_seconds = max_seconds

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(
        self, X: ArrayLike | Source, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features), or Source
            A `pathrelu.rows.Source` has rows, targets and weights in pieces, and comes alone: see the guide
            to rows that do not fit in memory. float32 is solved as float32, other numbers as float64.
            Large sparse rows are trained on by their nonzeros, others made dense: see the guide to inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
            Not negative, not all zero; only ratios matter.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data is out of range or of the wrong kind. Columns of a data frame that hold
            missing values, text, categories or times are named.

        Warns
        -----
        ConvergenceWarning
            If a gap is still above `tol` after `max_iter` iterations or a stop; ``dual_gap_`` says how far.
        """
        return _fitted(self, X, y, sample_weight)

    @property
    def log_link(self) -> bool:
        """Whether outputs of the network are logarithms of what `predict` gives."""
        return losses.TABLE[self.loss].log_link

    def _checked(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[RawTable, NDArray[Any], NDArray[np.float64]]:
        loss = check.choice(self.loss, "loss", losses.REGRESSION)
        losses.parameter(loss, self.quantile, self.threshold)
        raw, y = self._read(X, y, y_numeric=True, multi_output=True)
        target, _ = check.targets(y, len(raw), loss)
        weight = check.raw_weights(sample_weight, len(raw))
        losses.check_targets(target, weight, loss)
        return raw, target, weight

    def _data(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, to_choose: bool = False
    ) -> list[Data]:
        loss = check.choice(self.loss, "loss", losses.REGRESSION)
        parameter = losses.parameter(loss, self.quantile, self.threshold)
        raw, target, weight = self._checked(X, y, sample_weight)
        directions = self._directions(raw, target.shape[1])
        tables, target, weight = self._tables(raw, target, weight, to_choose)
        return [
            Data(
                rows,
                target,
                weight,
                loss,
                parameter=parameter,
                encoder=of,
                monotone=encoded_directions(directions, of),
            )
            for of, rows in tables
        ]

    def predict(self, X: ArrayLike) -> check.Rows:
        """Predicted targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_outputs) if there are several
            float32 for float32 rows. For the losses "poisson" and "gamma" means, exponentials of the outputs
            of the network. What is too large for the dtype is refused, naming the row.
        """
        outputs = self._outputs(X)
        return losses.means(outputs) if self.log_link else outputs


@ESTIMATORS.named("PathReLUClassifier")
class PathReLUClassifier(ClassifierMixin, BasePathReLU):  # type: ignore[misc]
    r"""Logistic classification with a parallel ReLU network under path regularization.

    As `PathReLURegressor`, with the loss :math:`\log(1 + e^{-y f(x)})` for two classes. More classes have one
    output each, which all sub-networks feed, and the loss of their joint softmax,
    :math:`\log \sum_c e^{f_c(x)} - f_y(x)`.

    Parameters
    ----------
    depth, width
        As for `PathReLURegressor`.
    alpha : float or "auto", default="auto"
        As for `PathReLURegressor`; residuals are probabilities less labels.
    activation, arrangements, n_arrangements, bias, fit_intercept
        As for `PathReLURegressor`.
    standardize, encode, adapt_columns, skip_connection, outputs, prune, low_rank, monotonic_cst, n_networks
        As for `PathReLURegressor`.
    class_weight : dict, "balanced" or None, default=None
        Weights of classes, at least 0, which multiply those of samples; "balanced" gives all classes the same
        total.
    tol, max_iter, n_threads, warm_start, random_state, verbose, callback, on_interrupt, max_seconds
        As for `PathReLURegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted. A class whose samples all have weight 0 keeps its place, with probability 0.
    network_ : ParallelReLUNetwork or GatedReLUNetwork
        One output for two classes, else one per class; the intercept of a class of probability 0 is -inf.
    alpha_ : float
        The `alpha` used.
    intercept_ : float or ndarray of shape (n_classes,)
    objective_ : float
        Of the training problem, on the training data.
    dual_gap_ : float
        Upper bound on how far `objective_` is above the optimum over the arrangements used; infinite with
        `n_networks` above 1, as nothing is known over the arrangements of all of them: see `certify`.
    n_iter_ : int
        Of the solver, at least 1.
    n_subnetworks_ : int
    history_ : list of Record
    training_scores_ : dict
        On the training rows: "accuracy" and "log_loss".
    guarantee_, path_, column_factors_, monotonic_cst_, variance_shares_
        As of `PathReLURegressor`.
    feature_importances_ : ndarray of shape (`n_features_in_`,)
        Share of each column in the path norm, over the paths that begin there.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        If X had column names.

    Examples
    --------
    >>> from pathrelu import PathReLUClassifier
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> PathReLUClassifier(alpha=1e-3, random_state=0).fit(X, ["a", "b", "b", "a"]).predict(X)
    array(['a', 'b', 'b', 'a'], dtype='<U1')
    """

    classes_: NDArray[Any]

    def __init__(
        self,
        *,
        depth: int = 2,
        width: int | Sequence[int] = 4,
        alpha: float | str = "auto",
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
        n_networks: int = 1,
        class_weight: Mapping[Any, float] | str | None = None,
        tol: float | None = None,
        max_iter: int = 10_000,
        n_threads: int | None = None,
        warm_start: bool = False,
        random_state: check.RandomState = None,
        verbose: int = 0,
        callback: Callback | None = None,
        on_interrupt: str = "raise",
        max_seconds: float | None = None,
    ) -> None:
        self.depth = depth
        self.width = width
        self.alpha = alpha
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
        self.n_networks = n_networks
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.n_threads = n_threads
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.on_interrupt = on_interrupt
        self.max_seconds = max_seconds

    def fit(
        self, X: ArrayLike | Source, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features), or Source
            A `pathrelu.rows.Source` has rows, targets and weights in pieces, and comes alone: see the guide
            to rows that do not fit in memory. float32 is solved as float32, other numbers as float64.
            Large sparse rows are trained on by their nonzeros, others made dense: see the guide to inputs.
        y : array-like of shape (n_samples,)
            Labels of at least two classes.
        sample_weight : array-like of shape (n_samples,), optional
            Not negative, not all zero; only ratios matter.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data is out of range or of the wrong kind, or there is only one class of
            weight above 0.
            Columns of a data frame that hold missing values, text, categories or times are named.

        Warns
        -----
        ConvergenceWarning
            If a gap is still above `tol` after `max_iter` iterations or a stop; ``dual_gap_`` says how far.
        """
        return _fitted(self, X, y, sample_weight)

    def _checked(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[RawTable, NDArray[Any], NDArray[np.float64]]:
        given = self.class_weight
        if not (
            given is None or isinstance(given, Mapping) or (isinstance(given, str) and given == "balanced")
        ):
            shown = repr(given) if isinstance(given, str | int | float) else f"of type {type(given).__name__}"
            raise TypeError(f"class_weight is {shown}; expected a dict, 'balanced' or None")
        raw, y = self._read(X, y)
        check_classification_targets(y)
        return raw, np.asarray(y), check.raw_weights(sample_weight, len(raw))

    def _data(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, to_choose: bool = False
    ) -> list[Data]:
        raw, y, _ = self._checked(X, y, sample_weight)
        directions = self._directions(raw, 1)
        weight, labels, code = labelled_weights(sample_weight, y, self.class_weight)
        total = np.bincount(code, weight > 0)
        present = np.flatnonzero(total > 0)
        if len(present) < 2:
            found = f"one class, {labels.tolist()[present[0]]!r}," if len(present) else "no class"
            raise ValueError(f"y has {found} in samples of weight above 0; expected at least 2 classes")
        if directions is not None and len(labels) > 2:
            raise ValueError(
                f"monotonic_cst was given for {len(labels)} classes, which are not monotone one by one; "
                "expected two classes"
            )
        used = weight > 0
        code = np.searchsorted(present, code[used])
        raw, weight = raw.take(used), weight[used]
        tables, codes, weight = self._tables(raw, code[:, np.newaxis].astype(np.float64), weight, to_choose)
        several = len(present) > 2
        target = (codes == np.arange(len(present))).astype(np.float64) if several else 2 * codes - 1
        self.classes_ = labels
        absent = len(present) < len(labels)
        present_places = present if absent else None
        return [
            Data(
                rows,
                target,
                weight,
                "log_loss",
                labels,
                present=present_places,
                encoder=of,
                monotone=encoded_directions(directions, of),
            )
            for of, rows in tables
        ]

    def decision_function(self, X: ArrayLike) -> check.Rows:
        """Log-odds of the second of two classes, or the logits of all, of which only differences matter.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Of a class of probability 0 the lowest finite number, as
            `sklearn.model_selection.cross_val_predict` has it for classes that a fold lacks.
        """
        outputs = self._outputs(X)
        return np.maximum(outputs, np.finfo(outputs.dtype).min)

    def predict_log_proba(self, X: ArrayLike) -> check.Rows:
        """Logarithms of `predict_proba`, exact where probabilities round to 0.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return losses.log_probabilities(self._outputs(X))

    def predict_proba(self, X: ArrayLike) -> check.Rows:
        """Probabilities of the classes: the sigmoid of the log-odds, or the softmax of the logits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Most likely labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        index = winners(self._outputs(X))  # first: it checks that there is a fit
        return self.classes_[index]


def winners(outputs: check.Rows) -> NDArray[np.intp]:
    """Index of the most likely class for each row of log-odds or logits."""
    return (outputs > 0).astype(np.intp) if outputs.ndim == 1 else outputs.argmax(axis=1)
