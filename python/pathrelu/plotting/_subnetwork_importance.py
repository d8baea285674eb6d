"""Bars of sub-networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from pathrelu.inspection import SubnetworkImportance, network_of, subnetwork_importance
from pathrelu.plotting._axes import (
    Grid,
    bar_axes,
    color_legend,
    distinct_colors,
    largest,
    numbered_outputs,
    output_names,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer


class SubnetworkImportanceDisplay:
    """Path norm of the largest sub-networks and, if rows are given, their share of the variance.

    Where there are several outputs, bars are stacked over those that a sub-network feeds: path norms in
    proportion to the squared output weights, and what works against the other sub-networks to the left of 0.

    Parameters
    ----------
    importance : SubnetworkImportance
    outputs : sequence of str, optional
        Names of the outputs.

    Attributes
    ----------
    order_ : ndarray
        The sub-networks that are shown, from the largest path norm down.
    axes_ : ndarray of Axes
        Path norm and, if there is one, share of variance.
    ax_ : Axes
        The first of them.
    figure_ : Figure
    bars_ : list of list of BarContainer
        For each of the axes one for each output; the skip connection of each output comes last.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from pathrelu import PathReLUClassifier
    >>> from pathrelu.plotting import SubnetworkImportanceDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = PathReLUClassifier(alpha=0.03, random_state=0).fit(X, y)
    >>> len(SubnetworkImportanceDisplay.from_estimator(model, X).axes_)
    2
    """

    def __init__(self, importance: SubnetworkImportance, *, outputs: Sequence[str] | None = None) -> None:
        self.importance = importance
        self.outputs = outputs

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        max_shown: int = 20,
        ax: Axes | Sequence[Axes] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the sub-networks of a fitted estimator or of a network.

        Parameters
        ----------
        estimator : fitted estimator of pathrelu, ParallelReLUNetwork or GatedReLUNetwork
        X : array-like of shape (n_rows, n_features), optional
            Raw rows to take variances over.
        max_shown : int, default=20
            How many sub-networks to show.
        ax : Axes or sequence of Axes, optional
            As many as there are panels, or one to be divided; None for a new figure.
        **kwargs : dict
            For the bars.

        Returns
        -------
        SubnetworkImportanceDisplay
        """
        network = network_of(estimator)
        return cls(subnetwork_importance(network, X), outputs=output_names(estimator, network)).plot(
            max_shown=max_shown, ax=ax, **kwargs
        )

    def plot(self, *, max_shown: int = 20, ax: Axes | Sequence[Axes] | None = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        max_shown : int, default=20
            How many sub-networks to show.
        ax : Axes or sequence of Axes, optional
            As many as there are panels, or one to be divided; None for a new figure.
        **kwargs : dict
            For the bars.

        Returns
        -------
        SubnetworkImportanceDisplay
        """
        found = self.importance
        self.order_ = largest(found.path_norm, max_shown)
        quantities = [("Path norm", found.path_norm_by_output, found.skip_path_norm)]
        if found.variance_share_by_output is not None:
            quantities.append(
                ("Share of variance", found.variance_share_by_output, found.skip_variance_share)
            )
        C = found.path_norm_by_output.shape[1]
        labels = [str(k) for k in self.order_]
        if found.skip_path_norm is not None:
            labels += ["skip"] * C
        if not labels:
            raise ValueError("the network has no sub-networks and no skip connection; nothing to draw")
        names = self.outputs or numbered_outputs(C)
        colors = distinct_colors(C)

        self.figure_, self.axes_ = bar_axes(ax, labels, len(quantities))
        self.ax_ = self.axes_[0]
        self.bars_: list[list[BarContainer]] = []
        for axes, (name, values, skip) in zip(self.axes_, quantities, strict=True):
            parts = values[self.order_] if skip is None else np.vstack([values[self.order_], np.diag(skip)])
            self.bars_.append(_stacked(axes, parts, colors, kwargs))
            axes.set_xlabel(name)
            axes.axvline(0, color="black", linewidth=0.8)
        self.ax_.set_ylabel("Sub-network")
        title(self.ax_, "The largest sub-networks")
        if C > 1:
            color_legend(self.axes_[-1], dict(zip(names, colors, strict=False)))
        return self


def _stacked(axes: Axes, parts: Grid, colors: list[Any], kwargs: dict[str, Any]) -> list[BarContainer]:
    """Bars of the rows of parts, each column beside those before: to the left of 0 where it is below."""
    left, right = np.zeros(len(parts)), np.zeros(len(parts))
    bars = []
    for part, color in zip(parts.T, colors, strict=True):
        begin = np.where(part < 0, left, right)
        bars.append(axes.barh(np.arange(len(parts)), part, left=begin, **{"color": color, **kwargs}))
        left += np.minimum(part, 0)
        right += np.maximum(part, 0)
    return bars
