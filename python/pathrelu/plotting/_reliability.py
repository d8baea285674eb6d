"""Probabilities beside how often they came true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d

from pathrelu import _validation as check
from pathrelu.plotting._axes import NEUTRAL, PALETTE, Grid, axes_grid, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NORMAL_95 = 1.959963984540054  # between minus and plus which 95 % of a normal distribution are
HISTOGRAM_BINS = 20
CALIBRATED = "calibrated"


class ReliabilityDisplay:
    """How often what is predicted comes true, against its probability: on the diagonal, if calibrated.

    Beside `sklearn.calibration.CalibrationDisplay` it takes several classes and weights of rows, and has
    intervals that say how much of a deviation is chance, the histogram of probabilities, and the expected
    calibration error, the mean distance from the diagonal. With ``ax=display.axes_`` one is drawn over
    another.

    Parameters
    ----------
    probability : array-like of shape (n_bins,)
        Mean probability in each bin of rows.
    share : array-like of shape (n_bins,)
        Share of the rows in which it came true.
    weight : array-like of shape (n_bins,)
        Sum of the weights of the rows, their number if there are none.
    interval : array-like of shape (2, n_bins)
        From where to where the share of the distribution is, by Wilson's score interval of 95 %. With
        weights, of the effective number of rows.
    histogram : array-like of shape (n,)
        Weight of the rows by probability, in bins of equal width from 0 to 1.
    event : str
        What the probability is of.
    name : str, optional
        Of the model, for the legend.

    Attributes
    ----------
    expected_calibration_error : float
        Mean distance of share and probability over the bins, by their weights. Chance adds to it: less with
        more rows or fewer bins.
    ax_ : Axes
    axes_ : ndarray of two Axes
        That of the shares, which is `ax_`, and that of the histogram.
    figure_ : Figure
    errorbar_ : ErrorbarContainer
    histogram_ : StepPatch

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import cross_val_predict
    >>> from pathrelu import PathReLUClassifier
    >>> from pathrelu.plotting import ReliabilityDisplay
    >>> X, y = load_wine(return_X_y=True)
    >>> model = PathReLUClassifier(alpha=0.02, random_state=0)
    >>> shares = cross_val_predict(model, X, y, method="predict_proba")
    >>> display = ReliabilityDisplay.from_predictions(y, shares, n_bins=5)
    >>> display.axes_[1].get_xlabel()
    'Probability of the class predicted'
    """

    def __init__(
        self,
        probability: ArrayLike,
        share: ArrayLike,
        weight: ArrayLike,
        *,
        interval: ArrayLike,
        histogram: ArrayLike,
        event: str,
        name: str | None = None,
    ) -> None:
        self.probability = probability
        self.share = share
        self.weight = weight
        self.interval = interval
        self.histogram = histogram
        self.event = event
        self.name = name

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance of share and probability."""
        distance = np.abs(np.asarray(self.share) - np.asarray(self.probability))
        return float(np.average(distance, weights=np.asarray(self.weight)))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        pos_label: Any = None,
        n_bins: int = 10,
        strategy: str = "quantile",
        name: str | None = None,
        ax: Axes | Sequence[Axes] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the probabilities of a fitted classifier for rows that were not in its training.

        Parameters
        ----------
        estimator : fitted classifier with `predict_proba` and `classes_`
        X : {array-like, data frame} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows.
        pos_label : label, optional
            Class whose probability is shown. By default the second of two; of more classes, whichever is
            predicted for a row.
        n_bins : int, default=10
            Bins of rows; those without rows are left out.
        strategy : {"quantile", "uniform"}, default="quantile"
            Bins of equal numbers of rows, as far as probabilities differ, or of equal width.
        name : str, optional
            For the legend; by default that of the class of the estimator.
        ax : Axes of a grid, or two Axes, optional
            None for a new figure.
        **kwargs : dict
            For the error bars.

        Returns
        -------
        ReliabilityDisplay
        """
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"the estimator has type {type(estimator).__name__}, without predict_proba; expected a "
                "classifier with probabilities"
            )
        return cls.from_predictions(
            y,
            estimator.predict_proba(X),
            classes=estimator.classes_,
            sample_weight=sample_weight,
            pos_label=pos_label,
            n_bins=n_bins,
            strategy=strategy,
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_prob: ArrayLike,
        *,
        classes: Sequence[Any] | NDArray[Any] | None = None,
        sample_weight: ArrayLike | None = None,
        pos_label: Any = None,
        n_bins: int = 10,
        strategy: str = "quantile",
        name: str | None = None,
        ax: Axes | Sequence[Axes] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot probabilities, such as those of `sklearn.model_selection.cross_val_predict`.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels.
        y_prob : array-like of shape (n_samples, n_classes), or (n_samples,) for the second of two classes
            Probabilities.
        classes : sequence of labels, optional
            What the columns of `y_prob` are of; by default the labels that occur, in order.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows.
        pos_label : label, optional
            Class whose probability is shown. By default the second of two; of more classes, whichever is
            predicted for a row.
        n_bins : int, default=10
            Bins of rows; those without rows are left out.
        strategy : {"quantile", "uniform"}, default="quantile"
            Bins of equal numbers of rows, as far as probabilities differ, or of equal width.
        name : str, optional
            For the legend.
        ax : Axes of a grid, or two Axes, optional
            None for a new figure.
        **kwargs : dict
            For the error bars.

        Returns
        -------
        ReliabilityDisplay
        """
        n_bins = check.count(n_bins, "n_bins")
        strategy = check.choice(strategy, "strategy", ("quantile", "uniform"))
        truth, shares, labels = _of_classes(y_true, y_prob, classes)
        weight = check.raw_weights(sample_weight, len(truth))
        if pos_label is not None and pos_label not in labels:
            raise ValueError(f"pos_label is {pos_label!r}; expected one of {labels}")
        if pos_label is None and len(labels) > 2:
            predicted = shares.argmax(axis=1)
            probability, true = shares.max(axis=1), predicted == truth
            event = "the class predicted"
        else:
            place = len(labels) - 1 if pos_label is None else labels.index(pos_label)
            probability, true = shares[:, place], truth == place
            event = f"class {labels[place]}"
        used = weight > 0
        probability, true, weight = probability[used], true[used], weight[used]
        inner = np.arange(1, n_bins) / n_bins
        edges = np.unique(np.quantile(probability, inner)) if strategy == "quantile" else inner
        _, place_of = np.unique(np.searchsorted(edges, probability), return_inverse=True)
        total = np.bincount(place_of, weight)
        share = np.bincount(place_of, weight * true) / total
        return cls(
            np.bincount(place_of, weight * probability) / total,
            share,
            total,
            interval=wilson(share, total**2 / np.bincount(place_of, weight**2)),
            histogram=np.histogram(probability, HISTOGRAM_BINS, (0, 1), weights=weight)[0],
            event=event,
            name=name,
        ).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Axes | Sequence[Axes] | None = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes of a grid, or two Axes, optional
            None for a new figure; the `axes_` of another display to draw over it.
        **kwargs : dict
            For the error bars.

        Returns
        -------
        ReliabilityDisplay
        """
        self.figure_, grid = axes_grid(ax, (2, 1), sharex=True, width=5.0, height=6.0, ratios=(5, 1))
        self.axes_ = grid[:, 0]
        self.ax_, below = self.axes_
        over_another = CALIBRATED in self.ax_.get_legend_handles_labels()[1]
        if not over_another:
            self.ax_.plot([0, 1], [0, 1], linestyle=":", color=NEUTRAL, label=CALIBRATED)
            self.ax_.set(ylim=(-0.02, 1.02), ylabel="Share of the rows where it came true")
            title(self.ax_, "Do probabilities come true?")
            below.set(xlim=(-0.02, 1.02), xlabel=f"Probability of {self.event}", ylabel="Rows")
        probability, share = np.asarray(self.probability), np.asarray(self.share)
        lower, upper = np.asarray(self.interval)
        error = f"calibration error {self.expected_calibration_error:.3f}"
        style = {
            "color": PALETTE[len(self.ax_.containers) % len(PALETTE)],
            "marker": "o",
            "markersize": 5,
            "linewidth": 1,
            "capsize": 3,
            "label": error if self.name is None else f"{self.name}: {error}",
            **kwargs,
        }
        distance = [np.maximum(share - lower, 0), np.maximum(upper - share, 0)]
        self.errorbar_ = self.ax_.errorbar(probability, share, yerr=distance, **style)
        rows = np.asarray(self.histogram)
        self.histogram_ = below.stairs(
            rows, np.linspace(0, 1, len(rows) + 1), color=self.errorbar_.lines[0].get_color()
        )
        self.ax_.legend(frameon=False)
        return self


def wilson(share: Grid, n: Grid) -> Grid:
    """Ends (2, ...) of the interval of all p with ``|share - p| <= z sqrt(p (1 - p) / n)``."""
    z = NORMAL_95
    middle = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.stack([middle - half, middle + half]) / (1 + z**2 / n)


def _of_classes(
    y_true: ArrayLike, y_prob: ArrayLike, classes: Sequence[Any] | NDArray[Any] | None
) -> tuple[NDArray[np.intp], Grid, list[Any]]:
    """Places of the labels among the classes, probabilities (n, classes), and the classes."""
    truth = column_or_1d(check.none_missing(y_true, "y_true"))
    labels = (np.unique(truth) if classes is None else np.asarray(classes)).tolist()
    shares = check.numeric(y_prob, "y_prob").astype(np.float64)
    if shares.ndim == 1:
        shares = np.stack([1 - shares, shares], axis=1)
    if shares.shape != (len(truth), len(labels)):
        raise ValueError(
            f"y_prob has shape {np.shape(y_prob)}; expected a row for each of {len(truth)} labels, and a "
            f"column for each of the classes {labels}"
        )
    check.finite(shares, "y_prob")
    rounding = shares.shape[1] * np.finfo(np.float32).eps
    bad = (shares < -rounding) | (shares > 1 + rounding)
    if bad.any():
        row = int(bad.any(axis=1).argmax())
        raise ValueError(f"y_prob has the value {shares[bad][0]:g} in row {row}; expected probabilities")
    places = {label: place for place, label in enumerate(labels)}
    unknown = [label for label in truth.tolist() if label not in places]
    if unknown:
        raise ValueError(f"y_true has the label {unknown[0]!r}; expected one of {labels}")
    return np.array([places[label] for label in truth.tolist()], np.intp), shares.clip(0, 1), labels
