"""Outputs over two features, and where units switch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.inspection import DecisionBoundaryDisplay as _DecisionBoundaryDisplay

from pathrelu import _validation as check
from pathrelu.encoding import RawTable
from pathrelu.encoding._raw import EMPTY, TEXT
from pathrelu.estimators import winners
from pathrelu.inspection import Network, network_of, preactivations
from pathrelu.losses import log_probabilities
from pathrelu.network import GatedReLUNetwork
from pathrelu.plotting._axes import Grid, class_labels, distinct_colors, feature_names, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Of surfaces, below lines and what is drawn on top.
FADED = 0.6


class DecisionBoundaryDisplay(_DecisionBoundaryDisplay):  # type: ignore[misc]
    """Outputs of a network over two of its features, with the kinks where its units switch.

    That of scikit-learn with lines on top, which show the slice in which the other features are fixed; rows
    elsewhere may be on the other side. ``ax_.legend()`` has the classes and lines. Made by `from_estimator`.

    Parameters
    ----------
    xx0, xx1, n_classes, response, multiclass_colors, xlabel, ylabel
        As for `sklearn.inspection.DecisionBoundaryDisplay`.

    Attributes
    ----------
    kinks : list of list of ndarray of shape (n_points, 2)
        For each hidden layer the lines on which units of it switch. Those of the first are straight, unless
        the network makes ramps of columns; all others are read off the grid.
    kink_norms : list of ndarray of shape (n_lines,)
        The path norm of the sub-network that each line belongs to. The larger, the darker is the line.
    boundary : list of ndarray of shape (n_points, 2)
        Where the predicted class changes; empty for a regression.
    kinks_ : list of LineCollection
        One for each hidden layer.
    boundary_ : LineCollection or None
    ax_ : Axes
    figure_ : Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from pathrelu import PathReLUClassifier
    >>> from pathrelu.plotting import DecisionBoundaryDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = PathReLUClassifier(alpha=0.03, random_state=0).fit(X, y)
    >>> display = DecisionBoundaryDisplay.from_estimator(model, X, features=[2, 3], grid_resolution=20)
    >>> display.ax_.get_xlabel()
    'feature 2'
    """

    kinks: Sequence[Sequence[Grid]] = ()
    kink_norms: Sequence[Grid] = ()
    boundary: Sequence[Grid] = ()

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        features: Sequence[int | str] | None = None,
        fixed: str | ArrayLike = "mean",
        output: int = 0,
        kinks: bool = True,
        grid_resolution: int = 200,
        margin: float = 0.05,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the decision boundary of a classifier or the surface of a regression.

        Parameters
        ----------
        estimator : fitted estimator of pathrelu, ParallelReLUNetwork or GatedReLUNetwork
        X : array-like of shape (n_rows, n_features)
            Raw rows, which the plot is to cover.
        features : sequence of 2 int or str, optional
            The features of the two axes, by position or name. May be left out if there are just two.
        fixed : {"mean", "median"} or array-like of shape (n_features,), default="mean"
            What the other features are set to: that of `X`, and of text the most frequent, or a row.
        output : int, default=0
            Which output of a regression of several to show.
        kinks : bool, default=True
            Whether to draw where units switch.
        grid_resolution : int, default=200
            Points along each axis.
        margin : float, default=0.05
            What is shown beyond the rows on each side, as a share of their range.
        ax : Axes, optional
            None for a new figure.
        **kwargs : dict
            As of `sklearn.inspection.DecisionBoundaryDisplay.from_estimator`: `response_method`,
            `plot_method`, `class_of_interest` and what the method of plotting takes. By default what is
            between two classes is drawn from orange to purple, white where they are alike, and several
            classes have colours that are told apart without colour vision.

        Returns
        -------
        DecisionBoundaryDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `features` are not two of those of the network.
        """
        network = network_of(estimator)
        names = feature_names(estimator, network)
        classes = class_labels(estimator, network)
        pyplot()
        table = network.raw_table(X)
        pair = _two_features(features, names)
        for feature in pair:
            if table.columns[feature].kind in (TEXT, EMPTY):
                raise ValueError(
                    f"features has {names[feature]!r}, which is no number; expected two that are"
                )
        if isinstance(fixed, str):
            middle = np.mean if check.choice(fixed, "fixed", ("mean", "median")) == "mean" else np.median
            row = table.typical(middle)
        elif _plain(network):
            given = check.array_of(fixed, (network.n_features,), "fixed").astype(np.float64)
            row = RawTable.of_block(given[np.newaxis])
        else:
            values: Any = fixed
            row = network.raw_table(values if check.column_names(values) else [list(values)])
        output = check.count(output, "output", 0, network.n_outputs - 1)
        check.count(grid_resolution, "grid_resolution", 2)
        margin = check.at_least_zero(margin, "margin")
        draw_kinks = check.switch(kinks, "kinks")

        shown = np.stack([table.columns[feature].values for feature in pair], axis=1).astype(np.float64)
        low, high = np.nanmin(shown, axis=0), np.nanmax(shown, axis=0)
        pad = margin * np.where(high > low, high - low, 1.0)
        window = np.stack([low - pad, high + pad])
        part = (
            _RegressionSlice(network, pair, row, output)
            if classes is None
            else _ClassificationSlice(network, pair, row, np.asarray(classes))
        )
        if classes is not None and network.n_outputs == 1:
            kwargs = _two_class_colors(part, window, kwargs) | kwargs
        elif classes is not None and "multiclass_colors" in _options(super().from_estimator):
            kwargs = {"multiclass_colors": distinct_colors(len(classes))} | kwargs
        display = super().from_estimator(
            part,
            window,
            eps=0.0,
            grid_resolution=grid_resolution,
            xlabel=names[pair[0]],
            ylabel=names[pair[1]],
            ax=ax,
            **kwargs,
        )
        x, y = display.xx0[0], display.xx1[:, 0]
        rows = part.rows(np.stack([display.xx0.ravel(), display.xx1.ravel()], axis=1))
        if draw_kinks:
            layers = _kinks(network, pair, row, rows, x, y)
            display.kinks = [lines for lines, _ in layers]
            display.kink_norms = [network.subnetwork_norms()[owners] for _, owners in layers]
        if classes is not None:
            outputs = network.predict(rows).reshape(len(y), len(x), -1).astype(np.float64)
            display.boundary = _boundary(x, y, outputs)
            colors = getattr(display, "multiclass_colors_", None)
            if colors is not None:
                for label, color in zip(classes, colors, strict=True):
                    display.ax_.fill([], [], color=color, alpha=FADED, label=f"class {label}")
        display._plot_lines()
        if len(names) > 2 and not display.ax_.get_title():
            display.ax_.set_title(_slice_title(len(names) - 2, fixed))
        return display  # type: ignore[no-any-return]

    def plot(
        self,
        plot_method: str = "contourf",
        ax: Axes | None = None,
        xlabel: str | None = None,
        ylabel: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        plot_method : {"contourf", "contour", "pcolormesh"}, default="contourf"
        ax : Axes, optional
            None for a new figure.
        xlabel, ylabel : str, optional
            In place of the names of the features.
        **kwargs : dict
            For the method of plotting.

        Returns
        -------
        DecisionBoundaryDisplay
        """
        pyplot()
        style = {"alpha": FADED} | ({"levels": 15} if plot_method != "pcolormesh" and self._plain else {})
        super().plot(plot_method, ax, xlabel, ylabel, **(style | kwargs))
        self._plot_lines()
        return self

    @property
    def _plain(self) -> bool:
        """Whether it shows one number, and not several classes."""
        return bool(np.ndim(self.response) == 2 and len(np.unique(self.response)) > 20)

    def _plot_lines(self) -> None:
        from matplotlib.collections import LineCollection

        styles = ["solid", "dashed", "dashdot", "dotted"]
        largest = max((norms.max(initial=0.0) for norms in self.kink_norms), default=0.0) or 1.0
        self.kinks_ = []
        for layer, (lines, norms) in enumerate(zip(self.kinks, self.kink_norms, strict=True)):
            collection = LineCollection(
                lines,
                colors=[(0, 0, 0, 0.1 + 0.6 * norm / largest) for norm in norms],
                linewidths=1.0,
                linestyles=styles[min(layer, len(styles) - 1)],
                label=f"kinks, hidden layer {layer + 1}" if len(self.kinks) > 1 else "kinks",
            )
            self.kinks_.append(self.ax_.add_collection(collection, autolim=False))
        self.boundary_ = None
        if self.boundary:
            self.boundary_ = LineCollection(
                self.boundary, colors="black", linewidths=2.4, label="decision boundary"
            )
            self.ax_.add_collection(self.boundary_, autolim=False)


def _options(method: Any) -> set[str]:
    """Names of its parameters: those of scikit-learn differ from version to version."""
    return set(inspect.signature(method).parameters)


def _two_class_colors(part: _ClassificationSlice, window: Grid, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Orange to purple, white where the two classes are alike."""
    if kwargs.get("response_method", "auto") == "predict" or kwargs.get("plot_method") == "contour":
        return {}
    style: dict[str, Any] = {"cmap": "PuOr"}
    if kwargs.get("response_method") == "predict_proba":
        style |= {"vmin": 0.0, "vmax": 1.0}
        if kwargs.get("plot_method", "contourf") == "contourf":
            style["levels"] = np.linspace(0, 1, 11)
        return style
    corners = np.array(np.meshgrid(*window.T)).reshape(2, -1).T
    reach = float(np.abs(part.decision_function(corners)).max()) or 1.0
    return style | {"vmin": -reach, "vmax": reach}


def _boundary(x: Grid, y: Grid, outputs: Grid) -> list[Grid]:
    """Where the largest of the outputs (len(y), len(x), C) changes, or the sign of a single one."""
    if outputs.shape[2] == 1:
        return _level_lines(x, y, outputs[..., 0])
    lines = []
    for c in range(outputs.shape[2] - 1):
        # Those with classes before are theirs.
        lead = outputs[..., c] - np.delete(outputs, c, axis=2).max(axis=2)
        lead[outputs.argmax(axis=2) < c] = np.nan
        lines += _level_lines(x, y, lead)
    return lines


def _slice_title(others: int, fixed: str | ArrayLike) -> str:
    if not isinstance(fixed, str):
        return "Slice: the other features as given"
    which = f"the other {others} features at their" if others > 1 else "the third feature at its"
    return f"Slice: {which} {fixed}"


class _Slice(BaseEstimator):  # type: ignore[misc]
    """A network as a function of two features, for what takes a fitted estimator of two."""

    def __init__(self, network: Network, pair: list[int], row: RawTable) -> None:
        self.network = network
        self.pair = pair
        self.row = row

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def rows(self, points: Grid) -> RawTable:
        return self.row.repeated(
            len(points), dict(zip(self.pair, np.ascontiguousarray(points.T), strict=True))
        )

    def outputs(self, points: Grid) -> check.Rows:
        return self.network.predict(self.rows(points))


class _RegressionSlice(RegressorMixin, _Slice):  # type: ignore[misc]
    def __init__(self, network: Network, pair: list[int], row: RawTable, output: int) -> None:
        super().__init__(network, pair, row)
        self.output = output

    def predict(self, points: Grid) -> check.Rows:
        return self.outputs(points).reshape(len(points), -1)[:, self.output]


class _ClassificationSlice(ClassifierMixin, _Slice):  # type: ignore[misc]
    def __init__(self, network: Network, pair: list[int], row: RawTable, classes: NDArray[Any]) -> None:
        super().__init__(network, pair, row)
        self.classes = self.classes_ = classes

    def decision_function(self, points: Grid) -> check.Rows:
        return self.outputs(points)

    def predict_proba(self, points: Grid) -> check.Rows:
        shares: check.Rows = np.exp(log_probabilities(self.outputs(points)))
        return shares

    def predict(self, points: Grid) -> NDArray[Any]:
        result: NDArray[Any] = self.classes_[winners(self.outputs(points))]
        return result


def _two_features(features: Sequence[int | str] | None, names: list[str]) -> list[int]:
    wanted = f"two of the {len(names)} features of the network"
    if features is None:
        if len(names) != 2:
            raise ValueError(f"features is None; expected {wanted}")
        return [0, 1]
    if isinstance(features, str) or len(features) != 2:
        raise ValueError(f"features is {features!r}; expected {wanted}")
    pair = []
    for feature in features:
        if not isinstance(feature, str):
            pair.append(check.count(feature, "an entry of features", 0, len(names) - 1))
        elif feature in names:
            pair.append(names.index(feature))
        else:
            raise ValueError(f"features has {feature!r}; expected {wanted}, {', '.join(map(repr, names))}")
    if pair[0] == pair[1]:
        raise ValueError(f"features is {features!r}; expected two different ones")
    return pair


def _kinks(
    network: Network, pair: list[int], row: RawTable, rows: RawTable, x: Grid, y: Grid
) -> list[tuple[list[Grid], NDArray[np.intp]]]:
    """Lines on which units switch, and the sub-networks of these; for each hidden layer."""
    layers: list[list[tuple[Grid, int]]] = []
    if _plain(network):
        corner = row.repeated(1, {feature: np.zeros(1) for feature in pair})
        unit = "gate" if isinstance(network, GatedReLUNetwork) else "hidden"
        leaves = network.weights[f"{unit}_1"]
        offsets = preactivations(network, corner)[0][0]
        found = [
            (line, k)
            for (k, leaf), offset in np.ndenumerate(offsets)
            if (line := _clipped(leaves[k, leaf, pair], offset, x[[0, -1]], y[[0, -1]])) is not None
        ]
        layers.append(found)
    for layer in preactivations(network, rows)[len(layers) :] if network.depth > 1 + len(layers) else ():
        surfaces = layer.reshape(len(y), len(x), *layer.shape[1:])
        layers.append(
            [
                (line, k)
                for k, u in np.ndindex(layer.shape[1:])
                for line in _level_lines(x, y, surfaces[..., k, u])
            ]
        )
    norms = network.subnetwork_norms()
    # The darkest first: it is the one in the legend.
    ordered = [sorted(lines, key=lambda line: -norms[line[1]]) for lines in layers]
    return [([line for line, _ in lines], np.array([k for _, k in lines], np.intp)) for lines in ordered]


def _plain(network: Network) -> bool:
    """Whether leaves see the columns of rows themselves."""
    return network.encoder is None or network.encoder.plain


def _clipped(normal: check.Rows, offset: float, x: Grid, y: Grid) -> Grid | None:
    """The line ``normal @ point + offset == 0`` inside a box, or None."""
    size = float((normal**2).sum())
    if size == 0:
        return None
    foot, along = -offset * normal / size, np.array([-normal[1], normal[0]])
    low, high = -np.inf, np.inf
    for origin, step, limits in zip(foot, along, (x, y), strict=True):
        if step == 0:
            if not limits[0] <= origin <= limits[1]:
                return None
            continue
        near, far = sorted((limits - origin) / step)
        low, high = max(low, near), min(high, far)
    return np.asarray(foot + np.outer([low, high], along)) if low < high else None


def _level_lines(x: Grid, y: Grid, values: check.Rows) -> list[Grid]:
    """Where values (len(y), len(x)) change sign; not at rims of regions of zeros or unknown ones."""
    from contourpy import contour_generator

    shown = np.ma.masked_where((values == 0) | np.isnan(values), values)
    generator = contour_generator(x, y, shown, line_type="Separate")
    lines: list[Grid] = generator.lines(0.0)  # type: ignore[assignment]  # it depends on line_type
    return lines
