"""Bars of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from pathrelu.inspection import feature_importance, network_of
from pathrelu.plotting._axes import (
    BESIDE,
    bar_axes,
    distinct_colors,
    feature_names,
    largest,
    output_names,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class FeatureImportanceDisplay:
    """Importance of each input: path norm over the paths that begin there, stacked over outputs.

    Parameters
    ----------
    importance : array-like of shape (n_outputs, n_features)
    features : sequence of str
        Names of the inputs.
    outputs : sequence of str
        Names of the outputs.
    scaled : bool, default=True
        Whether it is that for scaled columns.

    Attributes
    ----------
    order_ : ndarray
        The features that are shown, the most important first.
    ax_ : Axes
    figure_ : Figure
    bars_ : list of BarContainer
        One for each output.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from pathrelu import PathReLUClassifier
    >>> from pathrelu.plotting import FeatureImportanceDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = PathReLUClassifier(alpha=0.03, random_state=0).fit(X, y)
    >>> display = FeatureImportanceDisplay.from_estimator(model, max_shown=2)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['petal width (cm)', 'petal length (cm)']
    """

    def __init__(
        self,
        importance: ArrayLike,
        *,
        features: Sequence[str],
        outputs: Sequence[str],
        scaled: bool = True,
    ) -> None:
        self.importance = importance
        self.scaled = scaled
        self.features = features
        self.outputs = outputs

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        features: Sequence[str] | None = None,
        scaled: bool = True,
        max_shown: int = 20,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the inputs of a fitted estimator or of a network.

        Parameters
        ----------
        estimator : fitted estimator of pathrelu, ParallelReLUNetwork or GatedReLUNetwork
        features : sequence of str, optional
            Names of the inputs; by default those of the rows of training.
        scaled : bool, default=True
            For scaled columns; False: per unit of the raw ones. See `inspection.feature_importance`.
        max_shown : int, default=20
            How many inputs to show.
        ax : Axes, optional
            None for a new figure.
        **kwargs : dict
            For the bars.

        Returns
        -------
        FeatureImportanceDisplay
        """
        network = network_of(estimator)
        importance = feature_importance(estimator, by_output=True, scaled=scaled)
        if features is not None and len(features) != network.n_features:
            raise ValueError(f"features has {len(features)} names; expected {network.n_features}")
        return cls(
            importance,
            features=list(features) if features is not None else feature_names(estimator, network),
            outputs=output_names(estimator, network),
            scaled=scaled,
        ).plot(max_shown=max_shown, ax=ax, **kwargs)

    def plot(self, *, max_shown: int = 20, ax: Axes | None = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        max_shown : int, default=20
            How many inputs to show.
        ax : Axes, optional
            None for a new figure.
        **kwargs : dict
            For the bars.

        Returns
        -------
        FeatureImportanceDisplay
        """
        importance = np.asarray(self.importance, np.float64)
        self.order_ = largest(importance.sum(axis=0), max_shown)
        shown = importance[:, self.order_]
        self.figure_, (self.ax_,) = bar_axes(ax, [self.features[j] for j in self.order_])
        places, left = np.arange(len(self.order_)), np.zeros(len(self.order_))
        self.bars_ = []
        for values, color, name in zip(shown, distinct_colors(len(shown)), self.outputs, strict=True):
            style = {"color": color, "label": name, **kwargs}
            self.bars_.append(self.ax_.barh(places, values, left=left, **style))
            left = left + values
        title(self.ax_, "What the network looks at")
        self.ax_.set_xlabel("Path norm" if self.scaled else "Path norm per unit of the feature")
        if len(shown) > 1:
            self.ax_.legend(**BESIDE)
        return self
