"""Patterns of sub-networks over rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu.inspection import Network, feature_path_norms, network_of, preactivations
from pathrelu.network._assembly import subnetworks
from pathrelu.plotting._axes import Grid, axes_grid, feature_names, title
from pathrelu.program import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More names than this do not fit along the axis.
MOST_TICKS = 40
# More values than these are no classes whose names could be shown.
MOST_CLASSES = 12
BETWEEN = "#D55E00"  # rows of different classes
# More shares of paths than these are not told apart by colours of their own.
MOST_SHARES = 9


class ArrangementDisplay:
    """Which sub-networks are on for which rows, and which features they use.

    Parameters
    ----------
    masks : array-like of shape (n_rows, n_subnetworks)
        Share of the paths of each sub-network that are on: 0 or 1 at depth 2.
    weights : array-like of shape (n_subnetworks, n_features)
        Path norm of each sub-network over the paths from each feature.
    features : sequence of str, optional
        Names of the features.
    values : array-like of shape (n_rows,), optional
        To sort rows by. None: by their patterns. Few values, such as classes, are named at the side.

    Attributes
    ----------
    row_order_, subnetwork_order_ : ndarray
        What is shown from top to bottom, and from left to right.
    axes_ : ndarray of Axes of shape (2,)
        Rows above, features below.
    ax_ : Axes
        The first of them.
    figure_ : Figure
    mask_image_, weight_image_ : AxesImage

    Notes
    -----
    Patterns are sorted by the leading singular vectors of the centered masks, which puts rows that the same
    sub-networks see, and sub-networks that see the same rows, side by side.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from pathrelu import PathReLUClassifier
    >>> from pathrelu.plotting import ArrangementDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = PathReLUClassifier(alpha=0.01, random_state=0).fit(X, y)
    >>> display = ArrangementDisplay.from_estimator(model, X, values=y)
    >>> len(display.row_order_)
    150
    """

    def __init__(
        self,
        masks: ArrayLike,
        weights: ArrayLike,
        *,
        features: Sequence[str] | None = None,
        values: ArrayLike | None = None,
    ) -> None:
        self.masks = masks
        self.weights = weights
        self.features = features
        self.values = values

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        values: ArrayLike | None = None,
        ax: Axes | Sequence[Axes] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot a fitted estimator or a network on the rows given.

        Parameters
        ----------
        estimator : fitted estimator of pathrelu, ParallelReLUNetwork or GatedReLUNetwork
        X : array-like of shape (n_rows, n_features)
            Raw rows.
        values : array-like of shape (n_rows,), optional
            To sort rows by, such as targets or predictions; by default rows are sorted by pattern.
        ax : Axes or sequence of 2 Axes, optional
            One is divided; None for a new figure.
        **kwargs : dict
            For both images.

        Returns
        -------
        ArrangementDisplay
        """
        network = network_of(estimator)
        masks = path_masks(network, X).mean(axis=2)
        return cls(
            masks,
            feature_path_norms(network),
            features=feature_names(estimator, network),
            values=values,
        ).plot(ax=ax, **kwargs)

    @classmethod
    def from_solution(
        cls,
        solution: Solution,
        *,
        values: ArrayLike | None = None,
        ax: Axes | Sequence[Axes] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the blocks of a solution that are not zero, with their patterns on the rows of training.

        Parameters
        ----------
        solution : Solution
        values : array-like of shape (n_rows,), optional
            To sort rows by; by default rows are sorted by pattern.
        ax : Axes or sequence of 2 Axes, optional
            One is divided; None for a new figure.
        **kwargs : dict
            For both images.

        Returns
        -------
        ArrangementDisplay
        """
        check.instance(solution, Solution, "solution")
        masks, weights = [], []
        for arrangements, blocks in solution.parts:
            group, side = subnetworks(arrangements, blocks)
            masks.append(arrangements[group].masks().mean(axis=1))
            weights.append(np.sqrt((blocks[group, side].astype(np.float64) ** 2).sum(axis=1)))
        return cls(np.concatenate(masks).T, np.concatenate(weights), values=values).plot(ax=ax, **kwargs)

    def plot(self, ax: Axes | Sequence[Axes] | None = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes or sequence of 2 Axes, optional
            One is divided; None for a new figure.
        **kwargs : dict
            For both images.

        Returns
        -------
        ArrangementDisplay
        """
        masks, weights = np.asarray(self.masks, np.float64), np.asarray(self.weights, np.float64)
        n, K = masks.shape
        if K == 0:
            raise ValueError("the network has no sub-networks; there is nothing to draw")
        rows, self.subnetwork_order_ = _seriation(masks)
        if self.values is not None:
            rows = np.argsort(_places(self.values, n), kind="stable")
        self.row_order_ = rows

        names = self.features
        height = min(12.0, 4 + 0.2 * weights.shape[1])
        self.figure_, grid = axes_grid(ax, (2, 1), sharex=True, height=height, width=7.5)
        self.axes_ = grid[:, 0]
        self.ax_, below = self.axes_
        style = {"aspect": "auto", "interpolation": "nearest"}
        shares = np.unique(masks)
        # Multiples of 1/m, m the number of paths.
        counts = range(1, MOST_SHARES)
        steps = next((m for m in counts if np.allclose(shares * m, np.round(shares * m))), None)
        self.mask_image_ = self.ax_.imshow(
            masks[np.ix_(rows, self.subnetwork_order_)], **(style | _share_colors(steps) | kwargs)
        )
        self.ax_.set_ylabel("Rows" if self.values is None else "Rows, by value")
        if self.values is not None:
            _name_classes(self.ax_, np.asarray(self.values)[rows])
        self.weight_image_ = below.imshow(
            np.ma.masked_equal(weights[self.subnetwork_order_].T, 0),
            **(style | {"cmap": "Blues", "vmin": 0} | kwargs),
        )
        below.set(xlabel="Sub-networks", ylabel="Features")
        title(self.ax_, "Where sub-networks are on")
        title(below, "What they look at")
        if names is not None and len(names) <= MOST_TICKS:
            below.set_yticks(np.arange(len(names)), names, fontsize="small")
        few = K <= MOST_TICKS // 2
        below.set_xticks(np.arange(K) if few else [], [str(k) for k in self.subnetwork_order_] if few else [])
        bar = self.figure_.colorbar(self.mask_image_, ax=self.ax_)
        if steps == 1:
            bar.set_ticks([0.25, 0.75], labels=["off", "on"])
        else:
            bar.set_label("Share of paths on")
        if steps is not None and steps > 1:
            middles = (np.arange(steps + 1) + 0.5) / (steps + 1)
            bar.set_ticks(middles.tolist(), labels=[f"{k}/{steps}" for k in range(steps + 1)])
        self.figure_.colorbar(self.weight_image_, ax=below, label="Path norm")
        return self


def _share_colors(steps: int | None) -> dict[str, Any]:
    """One colour for each of the shares 0, 1/steps, ..., 1, or all shades from light to dark."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    shades = colormaps["Blues"]
    if steps is None:
        return {"cmap": shades, "vmin": 0, "vmax": 1}
    return {"cmap": ListedColormap(shades(np.linspace(0.05, 0.9, steps + 1))), "vmin": 0, "vmax": 1}


def _places(values: ArrayLike, n: int) -> NDArray[Any]:
    """Numbers, or places of labels in their order."""
    given = np.asarray(values)
    if given.dtype.kind in "OUST" and given.shape == (n,):
        return np.unique(check.none_missing(given, "values"), return_inverse=True)[1]
    return check.array_of(values, (n,), "values")


def _name_classes(axes: Axes, values: NDArray[Any]) -> None:
    """Names of the values at the side of the rows that have them, and lines between, if they are few."""
    begins = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    if len(begins) > min(MOST_CLASSES, len(values) // 4):
        return
    for begin in begins[1:]:
        axes.axhline(begin - 0.5, color=BETWEEN, linewidth=1.5)
    ends = np.append(begins[1:], len(values))
    axes.set_yticks((begins + ends - 1) / 2, [str(value) for value in values[begins]])
    axes.tick_params(axis="y", length=0)


def path_masks(network: Network, X: ArrayLike) -> NDArray[np.bool_]:
    """Whether all units of each path are on, (n_rows, n_subnetworks, paths)."""
    *inner, root = (layer > 0 for layer in preactivations(network, X))
    on: NDArray[np.bool_] = root
    for layer in reversed(inner):
        on = layer & np.repeat(on, layer.shape[2] // on.shape[2], axis=2)
    return on


def _seriation(masks: Grid) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    centered = masks - masks.mean(axis=0)
    axis = algebra.singular_values(centered)[1][0]
    axis = -axis if axis.sum() < 0 else axis
    along = algebra.product(centered, axis)
    return np.argsort(-along, kind="stable"), np.argsort(-axis, kind="stable")
