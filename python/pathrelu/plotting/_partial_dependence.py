"""Curves of single columns, and maps of the interaction of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from pathrelu.dependence import PartialDependence, partial_dependence
from pathrelu.inspection import Network, feature_importance, network_of
from pathrelu.plotting._axes import BESIDE, NEUTRAL, axes_grid, class_labels, distinct_colors, output_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BESIDE = 3  # panels in a row
MOST_TICKS = 6  # of values, each with its tick: numbers of more digits would run into each other
SHOWN = 4  # columns, if none are asked for
FEWEST_TICKS = 4  # of numbers of five digits and more, in the third of a figure
LONGEST_NAME = 20  # of a level: a longer one would leave its panel no room


class PartialDependenceDisplay:
    """What outputs are on average where columns have given values, as `partial_dependence` has it.

    A curve is what the network computes, whatever the rows, where sub-networks that use its column use no
    other: its title says "exact". Else it is an average over rows, and a band has the inner four fifths of
    their own curves. Maps show interactions.

    Parameters
    ----------
    results : list of PartialDependence
    outputs : sequence of str
        Names of the outputs.
    quantity : str, default="the output"
        What a single output is.

    Attributes
    ----------
    figure_ : Figure
    axes_ : ndarray of Axes
        One for each result.
    lines_ : list of list of Line2D
        For each result with a column of numbers, those of its outputs.
    maps_ : list of QuadMesh
        Of the pairs.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from pathrelu import PathReLURegressor
    >>> from pathrelu.plotting import PartialDependenceDisplay
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = PathReLURegressor(alpha=5, random_state=0).fit(X, y)
    >>> display = PartialDependenceDisplay.from_estimator(model, X, ["bmi", ("bmi", "bp")])
    >>> [axes.get_xlabel() for axes in display.axes_]
    ['bmi', 'bmi']
    """

    def __init__(
        self, results: Sequence[PartialDependence], *, outputs: Sequence[str], quantity: str = "the output"
    ) -> None:
        self.results = results
        self.outputs = outputs
        self.quantity = quantity

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        features: Sequence[Any] | None = None,
        *,
        grid_resolution: int | None = None,
        max_rows: int = 500,
        output: int | None = None,
        ax: Axes | Sequence[Axes] | None = None,
    ) -> Self:
        """Plot a fitted estimator or a network.

        Parameters
        ----------
        estimator : fitted estimator of pathrelu, ParallelReLUNetwork or GatedReLUNetwork
        X : array-like of shape (n_rows, n_features)
            Raw rows.
        features : sequence of int, str or pairs of these, optional
            A panel for each; None for the four columns of largest importance.
        grid_resolution : int, optional
        max_rows : int, default=500
            As for `partial_dependence`.
        output : int, optional
            The one output to show; None for all. Pairs need it where there are several.
        ax : Axes or sequence of Axes, optional
            One to be divided, or one for each panel; None for a new figure.

        Returns
        -------
        PartialDependenceDisplay
        """
        network = network_of(estimator)
        names = output_names(estimator, network)
        if features is None:
            features = np.argsort(-feature_importance(network), kind="stable")[:SHOWN].tolist()
        if isinstance(features, str) or not len(features):
            raise ValueError(f"features is {features!r}; expected a sequence of columns and pairs of columns")
        if output is not None and not (isinstance(output, int) and 0 <= output < len(names)):
            raise ValueError(f"output is {output!r}; expected an integer from 0 to {len(names) - 1}, or None")
        pairs = [each for each in features if not isinstance(each, str | int | np.integer)]
        if pairs and output is None and len(names) > 1:
            raise ValueError(
                f"features has the pair {pairs[0]!r} and the network {len(names)} outputs; expected output="
            )
        results = [
            partial_dependence(estimator, X, each, grid_resolution=grid_resolution, max_rows=max_rows)
            for each in features
        ]
        display = cls(results, outputs=names, quantity=_quantity(estimator, network))
        return display.plot(output=output, ax=ax)

    def plot(self, *, output: int | None = None, ax: Axes | Sequence[Axes] | None = None) -> Self:
        """Draw.

        Parameters
        ----------
        output : int, optional
            The one output to show; None for all.
        ax : Axes or sequence of Axes, optional
            One to be divided, or one for each panel; None for a new figure.

        Returns
        -------
        PartialDependenceDisplay
        """
        count = len(self.results)
        # Four stand in two rows of two.
        across = min(count, MOST_BESIDE) if count != MOST_BESIDE + 1 else math.ceil(count / 2)
        alone = ax is None or count == 1 or not isinstance(ax, Sequence | np.ndarray)
        shape = (math.ceil(count / across), across) if alone else (1, count)
        self.figure_, grid = axes_grid(ax, shape)
        for empty in grid.ravel()[count:]:
            empty.remove()
        self.axes_ = grid.ravel()[:count]
        self.lines_: list[list[Any]] = []
        self.maps_: list[Any] = []
        places = list(range(len(self.outputs))) if output is None else [output]
        for axes, result in zip(self.axes_, self.results, strict=True):
            exact = " (exact)" if result.exact else ""
            if len(result.columns) == 2:
                self._map(axes, result, places[0])
                axes.set_title(f"Interaction{exact}")
            else:
                self._curves(axes, result, places)
                axes.set_title(exact.strip(" ()") or "averaged over rows")
        if len(places) > 1:
            self.axes_[min(across, count) - 1].legend(**BESIDE)
        return self

    def _of(self, places: Sequence[int]) -> str:
        one = len(places) == 1 and len(self.outputs) > 1
        return f"Change of {self.outputs[places[0]] if one else self.quantity}"

    def _curves(self, axes: Axes, result: PartialDependence, places: Sequence[int]) -> None:
        (grid,), (name,) = result.grid, result.names
        levels = grid.dtype == object
        x = np.arange(len(grid)) if levels else grid
        colors = distinct_colors(len(places))
        lines = []
        for color, c in zip(colors, places, strict=True):
            style: dict[str, Any] = {"color": color, "label": self.outputs[c]}
            if result.band is not None and len(places) == 1 and not result.exact:
                low, high = result.band[:, c]
                if levels:
                    below, above = result.values[c] - low, high - result.values[c]
                    bars = np.maximum([below, above], 0)
                    axes.errorbar(x, result.values[c], bars, fmt="none", ecolor=color, alpha=0.5)
                else:
                    axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
            if levels:
                style |= {"marker": "o", "linestyle": "none"}
            lines += axes.plot(x, result.values[c], **style)
        self.lines_.append(lines)
        axes.axhline(0, color=NEUTRAL, linewidth=0.8, zorder=0)
        _ticks(axes.xaxis, result, 0)
        axes.set_xlabel(name)
        axes.set_ylabel(self._of(places))

    def _map(self, axes: Axes, result: PartialDependence, c: int) -> None:
        x, y = (np.arange(len(g)) if g.dtype == object else g for g in result.grid)
        values = result.values[c].T
        limit = float(np.abs(values).max()) or 1.0
        # Orange and purple, which are told apart without colour vision.
        mesh = axes.pcolormesh(x, y, values, cmap="PuOr", vmin=-limit, vmax=limit, shading="nearest")
        self.maps_.append(mesh)
        axes.figure.colorbar(mesh, ax=axes, label=self._of([c]))
        _ticks(axes.xaxis, result, 0)
        _ticks(axes.yaxis, result, 1)
        axes.set_xlabel(result.names[0])
        axes.set_ylabel(result.names[1])


def _quantity(estimator: Any, network: Network) -> str:
    classes = class_labels(estimator, network)
    if classes is not None:
        return "the logits" if network.n_outputs > 1 else f"the log-odds of {classes[1]}"
    return "the log of the mean" if getattr(estimator, "log_link", False) else "the output"


def _shortened(name: Any) -> str:
    text = str(name)
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _ticks(axis: Any, result: PartialDependence, place: int) -> None:
    """Names of levels, and dates of days: those of matplotlib are since 1970 too."""
    grid: NDArray[Any] = result.grid[place]
    if grid.dtype == object:
        turned = {"rotation": 45, "ha": "right"} if axis.axis_name == "x" else {}
        axis.set_ticks(np.arange(len(grid)), [_shortened(name) for name in grid.tolist()], **turned)
    elif len(grid) <= MOST_TICKS and not result.is_time[place]:
        axis.set_ticks(grid)
    elif result.is_time[place]:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator()  # type: ignore[no-untyped-call]
        axis.set_major_locator(locator)
        axis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    elif axis.axis_name == "x" and np.abs(grid).max() >= 1e4:
        from matplotlib.ticker import MaxNLocator

        axis.set_major_locator(MaxNLocator(FEWEST_TICKS))
