"""What displays share: axes, colours, legends, bars and names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu.inspection import Network

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Grid: TypeAlias = NDArray[np.float64]
Share: TypeAlias = bool | Literal["row", "col"]

# M. Okabe and K. Ito, "Color Universal Design", 2008, without yellow, which is too light for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
NEUTRAL = "#444444"
# Legend to the right of the axes, where it covers no bars.
BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}


def pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'pathrelu[plot]'") from error
    return plt


def axes_grid(
    ax: Axes | Sequence[Axes] | NDArray[Any] | None,
    shape: tuple[int, int],
    *,
    sharex: Share = False,
    sharey: Share = False,
    height: float | None = None,
    width: float | None = None,
    ratios: Sequence[float] | None = None,
) -> tuple[Figure | SubFigure, NDArray[Any]]:
    """A grid of axes: those given, the one given divided, or those of a new figure.

    Where axes share, ticks are labelled at the left and at the bottom of the grid alone. Heights of rows are
    in these ratios, if they are given.
    """
    figure, grid = _grid(ax, shape, sharex, sharey, height, width, ratios)
    for axes in grid[:-1].flat if sharex else ():
        axes.tick_params(labelbottom=False)
    for axes in grid[:, 1:].flat if sharey else ():
        axes.tick_params(labelleft=False)
    return figure, grid


def _grid(
    ax: Axes | Sequence[Axes] | NDArray[Any] | None,
    shape: tuple[int, int],
    sharex: Share,
    sharey: Share,
    height: float | None,
    width: float | None,
    ratios: Sequence[float] | None,
) -> tuple[Figure | SubFigure, NDArray[Any]]:
    plt = pyplot()
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    rows, columns = shape
    if ax is None:
        size = (width or 3.2 + 3.2 * columns, height or 1.6 + 2.4 * rows)
        return plt.subplots(  # type: ignore[no-any-return]
            rows,
            columns,
            sharex=sharex,
            sharey=sharey,
            squeeze=False,
            figsize=size,
            layout="constrained",
            height_ratios=ratios,
        )
    if isinstance(ax, Axes) and rows * columns > 1:
        place = ax.get_subplotspec()
        if place is None:
            raise ValueError(
                f"ax is not on a grid and cannot be divided; expected {rows * columns} axes, or one of a grid"
            )
        figure = ax.figure
        ax.remove()
        parts = GridSpecFromSubplotSpec(rows, columns, subplot_spec=place, height_ratios=ratios)
        return figure, parts.subplots(sharex=sharex, sharey=sharey, squeeze=False)
    given = np.ravel(np.asarray(ax, dtype=object))
    if not all(isinstance(each, Axes) for each in given):
        raise TypeError(f"ax is {ax!r}; expected Axes of matplotlib")
    if len(given) != rows * columns:
        raise ValueError(f"ax has {len(given)} axes; expected {rows * columns}, or one to be divided")
    return given[0].figure, given.reshape(shape)


def title(axes: Axes, text: str) -> None:
    """A title, unless whoever gave the axes has set one."""
    if not axes.get_title():
        axes.set_title(text)


def distinct_colors(n: int) -> list[Any]:
    """Colours that are told apart without colour vision, as far as there are so many."""
    if n <= len(PALETTE):
        return list(PALETTE[:n])
    from matplotlib import colormaps

    return [tuple(color) for color in colormaps["viridis"](np.linspace(0, 0.95, n))]


def color_legend(axes: Axes, colors: dict[str, Any]) -> None:
    from matplotlib.patches import Patch

    handles: list[Artist] = [Patch(color=color, label=name) for name, color in colors.items()]
    axes.legend(handles=handles, **BESIDE)


def largest(values: Grid, max_shown: Any) -> NDArray[np.intp]:
    """Which values to show, from the largest down."""
    return np.argsort(-values, kind="stable")[: check.count(max_shown, "max_shown")]


def bar_axes(
    ax: Axes | Sequence[Axes] | None, names: Sequence[str], panels: int = 1
) -> tuple[Figure | SubFigure, NDArray[Any]]:
    """Axes side by side for horizontal bars of these names, from top to bottom."""
    n = len(names)
    figure, grid = axes_grid(ax, (1, panels), sharey=True, height=1.8 + 0.25 * n)
    grid[0, 0].set_yticks(np.arange(n), names)
    grid[0, 0].set_ylim(n - 0.5, -0.5)
    return figure, grid[0]


def class_labels(estimator: Any, network: Network) -> Sequence[Any] | None:
    """Those of the estimator, if it has them, or of the network; None for a regression."""
    labels: Sequence[Any] | None = getattr(estimator, "classes_", network.classes)
    return labels


def feature_names(estimator: Any, network: Network) -> list[str]:
    names = getattr(estimator, "feature_names_in_", network.feature_names)
    return [f"feature {j}" for j in range(network.n_features)] if names is None else list(names)


def output_names(estimator: Any, network: Network) -> list[str]:
    labels = class_labels(estimator, network)
    if labels is not None and network.n_outputs > 1:
        return [f"class {label}" for label in labels]
    return numbered_outputs(network.n_outputs)


def numbered_outputs(n: int) -> list[str]:
    return [f"output {c}" for c in range(n)]
