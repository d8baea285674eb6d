"""Plots of networks and of how they were trained, as scikit-learn displays; they need matplotlib.

A display holds what is drawn, its `plot` draws it, and the classmethods named `from_...` do both. With
``ax=`` nothing is drawn elsewhere; without it there is a new figure of pyplot.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.inspection import DecisionBoundaryDisplay as _DecisionBoundaryDisplay
from sklearn.metrics import accuracy_score, check_scoring, r2_score
from sklearn.utils import compute_sample_weight

from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu.arrangements import Arrangements
from pathrelu.estimators import log_probabilities, winners
from pathrelu.inspection import (
    Network,
    SubnetworkImportance,
    feature_importance,
    feature_path_norms,
    network_of,
    preactivations,
    subnetwork_importance,
    table_for,
)
from pathrelu.network import GatedReLUNetwork, assemble, subnetworks
from pathrelu.program import Path, Record, Solution, alpha_max, solve_path

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

Grid: TypeAlias = NDArray[np.float64]
Share: TypeAlias = bool | Literal["row", "col"]

__all__ = [
    "ArrangementDisplay",
    "ConvergenceDisplay",
    "DecisionBoundaryDisplay",
    "FeatureImportanceDisplay",
    "RegularizationPathDisplay",
    "SubnetworkImportanceDisplay",
]

# M. Okabe and K. Ito, "Color Universal Design", 2008, without yellow, which is too light for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
NEUTRAL = "#444444"
MOST_TICKS = 40
# Legend to the right of the axes, where it covers no bars.
BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}


class RegularizationPathDisplay:
    """Path norm of every sub-network, and scores on rows held out, against alpha.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
    path_norms : array-like of shape (n_alphas, n_subnetworks), optional
        A sub-network is a block of the program, an arrangement with an output sign, and so the same along
        the path. Its path norm is zero where it is not in the network.
    labels : array-like of shape (n_subnetworks,), optional
        What to colour sub-networks by. None for one colour.
    skip_path_norms : array-like of shape (n_alphas, n_outputs), optional
        Path norms of the skip connection.
    n_subnetworks : array-like of shape (n_alphas,), optional
        Shown where there are no path norms.
    scores, score_std : array-like of shape (n_alphas,), optional
        Scores, higher is better, and what to shade on both sides of them.
    score_name : str, default="Score"
    alpha : float, optional
        The one that was chosen, marked by a line.

    Attributes
    ----------
    axes_ : ndarray of Axes
        Path norms or numbers of sub-networks first, then scores; those of the two there are.
    ax_ : Axes
        The first of them.
    figure_ : Figure
    lines_ : list of Line2D
        One for each sub-network that is ever in the network, in the order of `path_norms`; or the one of
        their number.
    skip_lines_ : list of Line2D
        One for each output of a skip connection.
    score_line_, score_band_, alpha_lines_ : Line2D, PolyCollection and list of Line2D, or None

    Examples
    --------
    >>> import numpy as np, pathrelu
    >>> from pathrelu.plotting import RegularizationPathDisplay
    >>> X = np.random.default_rng(0).standard_normal((50, 3))
    >>> arrangements = pathrelu.sample_arrangements(X, 20, random_state=0)
    >>> path = pathrelu.solve_path(X, np.abs(X[:, 0]), arrangements, n_alphas=5)
    >>> RegularizationPathDisplay.from_path(path).ax_.get_xlabel()
    'alpha'
    """

    def __init__(
        self,
        alphas: ArrayLike,
        *,
        path_norms: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        skip_path_norms: ArrayLike | None = None,
        n_subnetworks: ArrayLike | None = None,
        scores: ArrayLike | None = None,
        score_std: ArrayLike | None = None,
        score_name: str = "Score",
        alpha: float | None = None,
    ) -> None:
        self.alphas = alphas
        self.path_norms = path_norms
        self.labels = labels
        self.skip_path_norms = skip_path_norms
        self.n_subnetworks = n_subnetworks
        self.scores = scores
        self.score_std = score_std
        self.score_name = score_name
        self.alpha = alpha

    @classmethod
    def from_path(
        cls,
        path: Path,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        scoring: Any = None,
        alpha: float | None = None,
        ax: Axes | Sequence[Axes] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot what `solve_path` returned.

        Parameters
        ----------
        path : Path
        X : array-like of shape (n_rows, n_features), optional
            Rows to score on, as the path has them: not those of training.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs), optional
            Their targets.
        scoring : callable, optional
            Takes a network, `X` and `y`, and returns a number, higher for better. By default R² for the
            losses of regression and accuracy for those of classes.
        alpha : float, optional
            The one to mark. By default that of the highest score, if there are scores.
        ax : Axes or sequence of Axes, optional
            As many as there are panels, or one to be divided; None for a new figure.
        **kwargs : dict
            For the lines of the sub-networks.

        Returns
        -------
        RegularizationPathDisplay
        """
        if not isinstance(path, Path):
            raise TypeError(f"path has type {type(path).__name__}; expected what solve_path returns")
        if (X is None) != (y is None):
            raise ValueError("X and y are to score on; one came without the other")
        if scoring is not None and not callable(scoring):
            raise TypeError(f"scoring is {scoring!r}; expected a function of a network, X and y")
        scores, name = None, "Score"
        if X is not None and y is not None:
            classes = path.solutions[0].loss in check.BINARY_LOSSES
            name = "Score" if scoring is not None else "Accuracy" if classes else "R²"
            measure = scoring or (_accuracy if classes else _r2)
            scores = np.array([measure(solution.network(), X, y) for solution in path.solutions])
        return cls(
            path.alphas,
            **_norms_along(path),
            scores=scores,
            score_name=name,
            alpha=_best(path.alphas, scores) if alpha is None else alpha,
        ).plot(ax=ax, **kwargs)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        alphas: ArrayLike | None = None,
        n_alphas: int = 30,
        X_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        scoring: Any = None,
        ax: Axes | Sequence[Axes] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the cross-validation of an estimator, or the path over the arrangements of its network.

        A fitted `PathReLURegressorCV` or `PathReLUClassifierCV` has scores for every alpha, and is all that
        is needed. With the rows that it, or any other estimator, was fitted on, the program over the
        arrangements of its network is solved along alpha, which gives the path norms.

        Parameters
        ----------
        estimator : fitted estimator of pathrelu
        X : array-like of shape (n_rows, n_features), optional
            The rows of training.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs), optional
            Their targets.
        sample_weight : array-like of shape (n_rows,), optional
            Those of training.
        alphas : array-like of shape (n_alphas,), optional
            By default those of the cross-validation; without one `n_alphas` in geometric progression from the
            least for which no sub-network is left to that of the estimator.
        n_alphas : int, default=30
        X_test, y_test : array-like, optional
            Raw rows to score on, and their targets, in place of scores of cross-validation.
        scoring : str or callable, optional
            For `X_test`, as scikit-learn has it; by default the method `score`.
        ax : Axes or sequence of Axes, optional
            As many as there are panels, or one to be divided; None for a new figure.
        **kwargs : dict
            For the lines of the sub-networks.

        Returns
        -------
        RegularizationPathDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If there is neither cross-validation nor `X`, or the network has no sub-networks.
        """
        network = network_of(estimator)
        if (X is None) != (y is None) or (X_test is None) != (y_test is None):
            raise ValueError("X and y, and X_test and y_test, belong together; one came without the other")
        results = getattr(estimator, "cv_results_", None)
        chosen = float(getattr(estimator, "alpha_", getattr(estimator, "alpha", np.nan)))
        given: dict[str, Any] = {"alpha": chosen}
        if results is not None and X_test is None and alphas is None:
            given |= {
                "scores": results["mean_test_score"],
                "score_std": results["std_test_score"],
                "score_name": "Score, cross-validated",
                "n_subnetworks": results.get("n_subnetworks"),
            }
        if X is None or y is None:
            if results is None or "scores" not in given:
                raise ValueError("X is None; expected the rows of training, to follow the path over")
            return cls(estimator.alphas_, **given).plot(ax=ax, **kwargs)
        if alphas is None:
            alphas = getattr(estimator, "alphas_", None)
        path, networks = _path_of(estimator, network, X, y, sample_weight, alphas, n_alphas, chosen)
        if X_test is not None:
            models = [_with_network(estimator, each) for each in networks]
            measure = check_scoring(models[0], scoring=scoring)
            given |= {
                "scores": np.array([measure(model, X_test, y_test) for model in models]),
                "score_name": "Score" if scoring else "Accuracy" if is_classifier(estimator) else "R²",
            }
        elif "scores" in given:
            # solve_path has alphas from the largest down.
            down = np.argsort(estimator.alphas_)[::-1]
            for name in ("scores", "score_std"):
                given[name] = np.asarray(given[name])[down]
            given["n_subnetworks"] = None
        return cls(path.alphas, **_norms_along(path), **given).plot(ax=ax, **kwargs)

    def plot(self, ax: Axes | Sequence[Axes] | None = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes or sequence of Axes, optional
            As many as there are panels, or one to be divided; None for a new figure.
        **kwargs : dict
            For the lines of the sub-networks.

        Returns
        -------
        RegularizationPathDisplay
        """
        alphas = np.asarray(self.alphas, np.float64)
        has_networks = self.path_norms is not None or self.n_subnetworks is not None
        panels = int(has_networks) + int(self.scores is not None)
        if panels == 0:
            raise ValueError("there is nothing to draw: neither path norms nor scores")
        self.figure_, grid = _axes(ax, (panels, 1), sharex=True)
        self.axes_ = grid[:, 0]
        self.ax_ = self.axes_[0]
        order = np.argsort(alphas)
        self.lines_: list[Line2D] = []
        self.skip_lines_: list[Line2D] = []
        if self.path_norms is not None:
            self._plot_norms(self.ax_, alphas[order], order, kwargs)
        elif self.n_subnetworks is not None:
            counts = np.asarray(self.n_subnetworks, np.float64)[order]
            style = {"color": PALETTE[0], "marker": ".", **kwargs}
            self.lines_ += self.ax_.plot(alphas[order], counts, **style)
            self.ax_.set_ylabel("Sub-networks")
            self.ax_.set_ylim(bottom=0)
        self.score_line_ = self.score_band_ = None
        if self.scores is not None:
            last, scores = self.axes_[-1], np.asarray(self.scores, np.float64)[order]
            (self.score_line_,) = last.plot(alphas[order], scores, color=NEUTRAL, marker=".")
            if self.score_std is not None:
                spread = np.asarray(self.score_std, np.float64)[order]
                self.score_band_ = last.fill_between(
                    alphas[order], scores - spread, scores + spread, color=NEUTRAL, alpha=0.2, linewidth=0
                )
            last.set_ylabel(self.score_name)
        self.alpha_lines_ = None
        if self.alpha is not None and np.isfinite(self.alpha):
            style = {"color": "black", "linestyle": ":", "linewidth": 1.2, "zorder": 1}
            self.alpha_lines_ = [axes.axvline(self.alpha, **style) for axes in self.axes_]
            self.alpha_lines_[-1].set_label(f"alpha = {self.alpha:.3g}")
            self.axes_[-1].legend(loc="best", frameon=False)
        self.axes_[-1].set(xscale="log", xlabel="alpha")
        for axes in self.axes_[:-1]:
            axes.set_xscale("log")
            axes.tick_params(labelbottom=False)
        return self

    def _plot_norms(self, axes: Axes, alphas: Grid, order: NDArray[np.intp], kwargs: Any) -> None:
        norms = np.asarray(self.path_norms, np.float64)[order]
        labels = np.zeros(norms.shape[1]) if self.labels is None else np.asarray(self.labels)
        names = list(dict.fromkeys(labels.tolist()))  # in the order of the sub-networks
        colors = dict(zip(names, _colors(len(names)), strict=True))
        named: set[Any] = set() if self.labels is not None else set(names)
        for k in np.flatnonzero(norms.any(axis=0)):
            name = labels[k].item()
            style = {"color": colors[name], "linewidth": 1.2, "alpha": 0.8, **kwargs}
            lines = axes.plot(alphas, norms[:, k], **style)
            if name not in named:
                lines[0].set_label(str(name))
                named.add(name)
            self.lines_ += lines
        if self.skip_path_norms is not None:
            skips = np.asarray(self.skip_path_norms, np.float64)[order]
            self.skip_lines_ = axes.plot(alphas, skips, color="black", linestyle="--", linewidth=1.5)
            self.skip_lines_[0].set_label("skip connection")
        axes.set_ylabel("Path norm")
        axes.set_ylim(bottom=0)
        handles, shown = axes.get_legend_handles_labels()
        if handles:
            by_name = dict(zip(shown, handles, strict=True))
            ordered = [by_name[name] for name in [*map(str, names), "skip connection"] if name in by_name]
            axes.legend(handles=ordered, loc="best", frameon=False)


class ConvergenceDisplay:
    """Objective and duality gap, against iterations and seconds.

    Parameters
    ----------
    history : list of Record
        Of one program after the other; a new one begins where the seconds go back.

    Attributes
    ----------
    runs : list of list of Record
        The history of each program: of each output, where they are trained one by one.
    axes_ : ndarray of Axes of shape (2, n_clocks)
        Objective above, gap below.
    ax_ : Axes
        The first of them.
    figure_ : Figure
    objective_lines_, gap_lines_ : list of Line2D
        One for each program and clock.

    Notes
    -----
    Of a search, the gap is that over the arrangements of the moment: it grows when better ones are found.

    Examples
    --------
    >>> import numpy as np, pathrelu
    >>> from pathrelu.plotting import ConvergenceDisplay
    >>> X = np.random.default_rng(0).standard_normal((50, 3))
    >>> found = pathrelu.search(X, np.abs(X[:, 0]), 0.01, random_state=0)
    >>> ConvergenceDisplay.from_solution(found).axes_.shape
    (2, 2)
    """

    def __init__(self, history: Sequence[Record]) -> None:
        self.history = history

    @classmethod
    def from_solution(
        cls,
        solution: Solution,
        *,
        clock: str = "both",
        ax: Sequence[Axes] | Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the history of a `Solution`.

        Parameters
        ----------
        solution : Solution
        clock : {"both", "iterations", "seconds"}, default="both"
            What to plot against.
        ax : Axes or sequence of Axes, optional
            As many as there are panels, or one to be divided; None for a new figure.
        **kwargs : dict
            For all lines.

        Returns
        -------
        ConvergenceDisplay
        """
        if not isinstance(solution, Solution):
            raise TypeError(f"solution has type {type(solution).__name__}; expected Solution")
        return cls(solution.history).plot(clock=clock, ax=ax, **kwargs)

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, clock: str = "both", ax: Sequence[Axes] | Axes | None = None, **kwargs: Any
    ) -> Self:
        """Plot the history of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator of pathrelu
        clock : {"both", "iterations", "seconds"}, default="both"
            What to plot against.
        ax : Axes or sequence of Axes, optional
            As many as there are panels, or one to be divided; None for a new figure.
        **kwargs : dict
            For all lines.

        Returns
        -------
        ConvergenceDisplay
        """
        network_of(estimator)
        return cls(estimator.history_).plot(clock=clock, ax=ax, **kwargs)

    @property
    def runs(self) -> list[list[Record]]:
        """The history of each program."""
        runs: list[list[Record]] = []
        for record in self.history:
            if not runs or record.seconds < runs[-1][-1].seconds:
                runs.append([])
            runs[-1].append(record)
        return runs

    def plot(self, *, clock: str = "both", ax: Sequence[Axes] | Axes | None = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        clock : {"both", "iterations", "seconds"}, default="both"
            What to plot against.
        ax : Axes or sequence of Axes, optional
            As many as there are panels, or one to be divided; None for a new figure.
        **kwargs : dict
            For all lines.

        Returns
        -------
        ConvergenceDisplay
        """
        clock = check.choice(clock, "clock", ("both", "iterations", "seconds"))
        runs = self.runs
        if not runs:
            raise ValueError("the history is empty; there is nothing to draw")
        clocks = ("iterations", "seconds") if clock == "both" else (clock,)
        self.figure_, self.axes_ = _axes(ax, (2, len(clocks)), sharex="col", sharey="row")
        self.ax_ = self.axes_[0, 0]
        self.objective_lines_: list[Line2D] = []
        self.gap_lines_: list[Line2D] = []
        colors = _colors(len(runs))
        for column, name in enumerate(clocks):
            above, below = self.axes_[:, column]
            for run, color in zip(runs, colors, strict=True):
                x = [record.n_iter if name == "iterations" else record.seconds for record in run]
                style = {"color": color, "marker": ".", **kwargs}
                self.objective_lines_ += above.plot(x, [record.objective for record in run], **style)
                # A gap of zero has no logarithm.
                gaps = [record.gap if record.gap > 0 else np.nan for record in run]
                self.gap_lines_ += below.plot(x, gaps, **style)
            below.set(yscale="log", xlabel=name.capitalize())
            above.tick_params(labelbottom=False)
        self.axes_[0, 0].set_ylabel("Objective")
        self.axes_[1, 0].set_ylabel("Duality gap")
        for axes in self.axes_[:, 1:].flat:
            axes.tick_params(labelleft=False)
        if len(runs) > 1:
            _color_legend(self.axes_[0, -1], {f"output {c}": color for c, color in enumerate(colors)})
        return self


class DecisionBoundaryDisplay(_DecisionBoundaryDisplay):  # type: ignore[misc]
    """Outputs of a network over two of its features, with the kinks where its units switch.

    That of scikit-learn with lines on top. Made by `from_estimator`.

    Parameters
    ----------
    xx0, xx1, n_classes, response, multiclass_colors, xlabel, ylabel
        As for `sklearn.inspection.DecisionBoundaryDisplay`.

    Attributes
    ----------
    kinks : list of list of ndarray of shape (n_points, 2)
        For each hidden layer the lines on which units of it switch. Those of the first are straight; those of
        others are read off the grid.
    kink_norms : list of ndarray of shape (n_lines,)
        The path norm of the sub-network that each line belongs to. The larger, the darker is the line.
    boundary : list of ndarray of shape (n_points, 2)
        Between two classes; empty for others.
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
            What the other features are set to: that of `X`, or a row.
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
            `plot_method`, `class_of_interest` and what the method of plotting takes.

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
        names = _feature_names(estimator, network)
        classes = getattr(estimator, "classes_", network.classes)
        _pyplot()
        table = table_for(network, X)
        pair = _two_features(features, names)
        if isinstance(fixed, str):
            middle = np.mean if check.choice(fixed, "fixed", ("mean", "median")) == "mean" else np.median
            row = np.asarray(middle(table, axis=0))
        else:
            row = check.array_of(fixed, (network.n_features,), "fixed").astype(np.float64)
        output = check.count(output, "output", 0, network.n_outputs - 1)
        check.count(grid_resolution, "grid_resolution", 2)
        margin = check.at_least_zero(margin, "margin")
        draw_kinks = check.switch(kinks, "kinks")

        low, high = table[:, pair].min(axis=0), table[:, pair].max(axis=0)
        pad = margin * np.where(high > low, high - low, 1.0)
        window = np.stack([low - pad, high + pad])
        part = (
            _RegressionSlice(network, pair, row, output)
            if classes is None
            else _ClassificationSlice(network, pair, row, np.asarray(classes))
        )
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
        if classes is not None and network.n_outputs == 1:
            display.boundary = _level_lines(x, y, network.predict(rows).reshape(len(y), len(x)))
        display._plot_lines()
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
        _pyplot()
        style = {"alpha": 0.6} | ({"levels": 15} if plot_method != "pcolormesh" and self._plain else {})
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


class SubnetworkImportanceDisplay:
    """Path norm of the largest sub-networks and, if rows are given, their share of the variance.

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
    bars_ : list of BarContainer
        One for each of the axes; the skip connection of each output comes last.

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
        return cls(subnetwork_importance(network, X), outputs=_output_names(estimator, network)).plot(
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
        max_shown = check.count(max_shown, "max_shown")
        found = self.importance
        self.order_ = np.argsort(-found.path_norm, kind="stable")[:max_shown]
        quantities = [("Path norm", found.path_norm, found.skip_path_norm)]
        if found.variance_share is not None:
            quantities.append(("Share of variance", found.variance_share, found.skip_variance_share))
        C = 1 + int(found.output_index.max(initial=0))
        if found.skip_path_norm is not None:
            C = len(found.skip_path_norm)
        index, labels = found.output_index[self.order_], [str(k) for k in self.order_]
        if found.skip_path_norm is not None:
            index = np.append(index, np.arange(C))
            labels += ["skip"] * C
        if not labels:
            raise ValueError("the network has no sub-networks and no skip connection; nothing to draw")
        names = self.outputs or [f"output {c}" for c in range(C)]
        colors = _colors(C)

        self.figure_, grid = _axes(ax, (1, len(quantities)), sharey=True, height=1.5 + 0.25 * len(labels))
        self.axes_ = grid[0]
        self.ax_ = self.axes_[0]
        self.bars_ = []
        for axes, (name, values, skip) in zip(self.axes_, quantities, strict=True):
            lengths = values[self.order_] if skip is None else np.append(values[self.order_], skip)
            style = {"color": [colors[c] for c in index], **kwargs}
            self.bars_.append(axes.barh(np.arange(len(labels)), lengths, **style))
            axes.set_xlabel(name)
            axes.axvline(0, color="black", linewidth=0.8)
        self.ax_.set_yticks(np.arange(len(labels)), labels)
        self.ax_.set_ylim(len(labels) - 0.5, -0.5)
        self.ax_.set_ylabel("Sub-network")
        for axes in self.axes_[1:]:
            axes.tick_params(labelleft=False)
        if C > 1:
            _color_legend(self.axes_[-1], dict(zip(names, colors, strict=False)))
        return self


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
        importance = feature_importance(network, by_output=True, scaled=scaled)
        if features is not None and len(features) != network.n_features:
            raise ValueError(f"features has {len(features)} names; expected {network.n_features}")
        return cls(
            importance,
            features=list(features) if features is not None else _feature_names(estimator, network),
            outputs=_output_names(estimator, network),
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
        max_shown = check.count(max_shown, "max_shown")
        importance = np.asarray(self.importance, np.float64)
        self.order_ = np.argsort(-importance.sum(axis=0), kind="stable")[:max_shown]
        shown = importance[:, self.order_]
        self.figure_, grid = _axes(ax, (1, 1), height=1.5 + 0.25 * len(self.order_))
        self.ax_ = grid[0, 0]
        places, left = np.arange(len(self.order_)), np.zeros(len(self.order_))
        self.bars_ = []
        for values, color, name in zip(shown, _colors(len(shown)), self.outputs, strict=True):
            style = {"color": color, "label": name, **kwargs}
            self.bars_.append(self.ax_.barh(places, values, left=left, **style))
            left = left + values
        self.ax_.set_yticks(places, [self.features[j] for j in self.order_])
        self.ax_.set_ylim(len(places) - 0.5, -0.5)
        self.ax_.set_xlabel("Path norm" if self.scaled else "Path norm per unit of the feature")
        if len(shown) > 1:
            self.ax_.legend(**BESIDE)
        return self


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
        To sort rows by. None: by their patterns.

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
            features=_feature_names(estimator, network),
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
        if not isinstance(solution, Solution):
            raise TypeError(f"solution has type {type(solution).__name__}; expected Solution")
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
            rows = np.argsort(check.array_of(self.values, (n,), "values"), kind="stable")
        self.row_order_ = rows

        names = self.features
        height = min(12.0, 4 + 0.2 * weights.shape[1])
        self.figure_, grid = _axes(ax, (2, 1), sharex=True, height=height, width=7.5)
        self.axes_ = grid[:, 0]
        self.ax_, below = self.axes_
        style = {"aspect": "auto", "interpolation": "nearest"}
        self.mask_image_ = self.ax_.imshow(
            masks[np.ix_(rows, self.subnetwork_order_)],
            **(style | {"cmap": "Greys", "vmin": 0, "vmax": 1} | kwargs),
        )
        self.ax_.set_ylabel("Rows" if self.values is None else "Rows, by value")
        self.weight_image_ = below.imshow(
            np.ma.masked_equal(weights[self.subnetwork_order_].T, 0),
            **(style | {"cmap": "Blues", "vmin": 0} | kwargs),
        )
        below.set(xlabel="Sub-networks", ylabel="Features")
        if names is not None and len(names) <= MOST_TICKS:
            below.set_yticks(np.arange(len(names)), names, fontsize="small")
        few = K <= MOST_TICKS // 2
        below.set_xticks(np.arange(K) if few else [], [str(k) for k in self.subnetwork_order_] if few else [])
        self.ax_.tick_params(labelbottom=False)
        bar = self.figure_.colorbar(self.mask_image_, ax=self.ax_)
        if np.isin(masks, (0, 1)).all():
            bar.set_ticks([0, 1], labels=["off", "on"])
        else:
            bar.set_label("Share of paths on")
        self.figure_.colorbar(self.weight_image_, ax=below, label="Path norm")
        return self


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


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'pathrelu[plot]'") from error
    return plt


def _axes(
    ax: Axes | Sequence[Axes] | NDArray[Any] | None,
    shape: tuple[int, int],
    *,
    sharex: Share = False,
    sharey: Share = False,
    height: float | None = None,
    width: float | None = None,
) -> tuple[Figure | SubFigure, NDArray[Any]]:
    """A grid of axes: those given, the one given divided, or those of a new figure."""
    plt = _pyplot()
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    rows, columns = shape
    if ax is None:
        size = (width or 3.2 + 3.2 * columns, height or 1.6 + 2.4 * rows)
        return plt.subplots(  # type: ignore[no-any-return]
            rows, columns, sharex=sharex, sharey=sharey, squeeze=False, figsize=size, layout="constrained"
        )
    if isinstance(ax, Axes) and rows * columns > 1:
        place = ax.get_subplotspec()
        if place is None:
            raise ValueError(
                f"ax is not on a grid and cannot be divided; expected {rows * columns} axes, or one of a grid"
            )
        figure = ax.figure
        ax.remove()
        parts = GridSpecFromSubplotSpec(rows, columns, subplot_spec=place)
        return figure, parts.subplots(sharex=sharex, sharey=sharey, squeeze=False)
    given = np.ravel(np.asarray(ax, dtype=object))
    if not all(isinstance(each, Axes) for each in given):
        raise TypeError(f"ax is {ax!r}; expected Axes of matplotlib")
    if len(given) != rows * columns:
        raise ValueError(f"ax has {len(given)} axes; expected {rows * columns}, or one to be divided")
    return given[0].figure, given.reshape(shape)


def _colors(n: int) -> list[Any]:
    """Colours that are told apart without colour vision, as far as there are so many."""
    if n <= len(PALETTE):
        return list(PALETTE[:n])
    from matplotlib import colormaps

    return [tuple(color) for color in colormaps["viridis"](np.linspace(0, 0.95, n))]


def _color_legend(axes: Axes, colors: dict[str, Any]) -> None:
    from matplotlib.patches import Patch

    handles: list[Artist] = [Patch(color=color, label=name) for name, color in colors.items()]
    axes.legend(handles=handles, **BESIDE)


def _feature_names(estimator: Any, network: Network) -> list[str]:
    names = getattr(estimator, "feature_names_in_", network.feature_names)
    return [f"feature {j}" for j in range(network.n_features)] if names is None else list(names)


def _output_names(estimator: Any, network: Network) -> list[str]:
    labels = getattr(estimator, "classes_", network.classes)
    if labels is not None and network.n_outputs > 1:
        return [f"class {label}" for label in labels]
    return [f"output {c}" for c in range(network.n_outputs)]


def _norms_along(path: Path) -> dict[str, Any]:
    """Path norms of all blocks along a path, and what to call them."""
    parts = [solution.parts for solution in path.solutions]
    arrangements = parts[0][0][0]
    # (alphas, outputs, groups, sides)
    norms = np.array(
        [[np.sqrt((blocks.astype(np.float64) ** 2).sum(axis=(2, 3))) for _, blocks in part] for part in parts]
    )
    trees = norms[:, :, ~arrangements.linear]
    C, _, sides = trees.shape[1:]
    if C > 1:
        labels = np.broadcast_to(np.array([f"output {c}" for c in range(C)])[:, None, None], trees.shape[1:])
    else:
        names = ["output sign +", "output sign \N{MINUS SIGN}"] if sides == 2 else ["gated"]
        labels = np.broadcast_to(np.array(names), trees.shape[1:])
    skip = norms[:, :, arrangements.linear, 0].sum(axis=2) if arrangements.skip_connection else None
    return {
        "path_norms": trees.reshape(len(parts), -1),
        "labels": labels.ravel() if C > 1 or sides == 2 else None,
        "skip_path_norms": skip,
    }


def _best(alphas: Grid, scores: Grid | None) -> float | None:
    return None if scores is None else float(alphas[np.argmax(scores)])


def _r2(network: Network, X: ArrayLike, y: ArrayLike) -> float:
    return float(r2_score(y, network.predict(X)))


def _accuracy(network: Network, X: ArrayLike, y: ArrayLike) -> float:
    truth, _ = check.targets(y, len(np.asarray(X)), "log_loss", both=False)
    outputs = network.predict(X)
    if outputs.ndim == 1:
        return float(accuracy_score(truth[:, 0] > 0, outputs > 0))
    return float(accuracy_score(truth.argmax(axis=1), outputs.argmax(axis=1)))


def _path_of(
    estimator: Any,
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    alphas: ArrayLike | None,
    n_alphas: int,
    chosen: float,
) -> tuple[Path, list[Network]]:
    """The path over the arrangements of a fitted estimator's network, and its networks for raw rows."""
    if network.n_subnetworks == 0:
        raise ValueError("the network of the estimator has no sub-networks; fit it with a smaller alpha")
    if estimator.low_rank is not None:
        raise ValueError("the estimator has low_rank, and its path is not one over the rows; use from_path")
    table = (table_for(network, X) - network.center) / network.scale
    relu = not isinstance(network, GatedReLUNetwork)
    gates, gate_bias = (network.leaf_weights, network.leaf_bias) if relu else network._gates()
    if estimator.bias:
        table = np.concatenate([table, np.ones((len(table), 1))], axis=1)
        gates = np.concatenate([gates, gate_bias[..., np.newaxis]], axis=2)
    arrangements = Arrangements.from_trees(
        table, gates.astype(np.float64), network.edge_signs, width=list(network.width)
    )
    if network.skip_connection:
        arrangements = arrangements.with_skip_connection()
    weight = check.raw_weights(sample_weight, len(table))
    target = np.asarray(y)
    if is_classifier(estimator):
        weight = weight * compute_sample_weight(estimator.class_weight, target)
        target = np.searchsorted(estimator.classes_, target)
    options: dict[str, Any] = {
        "activation": network.kind,
        "loss": "log_loss" if is_classifier(estimator) else estimator.loss,
        "sample_weight": weight,
        "fit_intercept": estimator.fit_intercept,
        "tol": estimator.tol,
        "max_iter": estimator.max_iter,
        "n_threads": estimator.n_threads,
    }
    if alphas is None:
        largest = alpha_max(
            table,
            target,
            arrangements,
            **{name: value for name, value in options.items() if name not in ("tol", "max_iter")},
        )
        alphas = np.geomspace(max(largest, chosen), chosen, check.count(n_alphas, "n_alphas", 2))
    path = solve_path(table, target, arrangements, alphas, **options)
    networks = [
        assemble(
            solution.parts,
            relu=relu,
            intercept=np.atleast_1d(solution.intercept),
            bias=estimator.bias,
            center=network.center,
            scale=network.scale,
        )
        for solution in path.solutions
    ]
    return path, networks


def _with_network(estimator: Any, network: Network) -> Any:
    model = copy.copy(estimator)
    model.network_ = network
    return model


class _Slice(BaseEstimator):  # type: ignore[misc]
    """A network as a function of two features, for what takes a fitted estimator of two."""

    def __init__(self, network: Network, pair: list[int], row: Grid) -> None:
        self.network = network
        self.pair = pair
        self.row = row

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def rows(self, points: Grid) -> Grid:
        rows = np.tile(self.row, (len(points), 1))
        rows[:, self.pair] = points
        return rows

    def outputs(self, points: Grid) -> check.Rows:
        return self.network.predict(self.rows(points))


class _RegressionSlice(RegressorMixin, _Slice):  # type: ignore[misc]
    def __init__(self, network: Network, pair: list[int], row: Grid, output: int) -> None:
        super().__init__(network, pair, row)
        self.output = output

    def predict(self, points: Grid) -> check.Rows:
        return self.outputs(points).reshape(len(points), -1)[:, self.output]


class _ClassificationSlice(ClassifierMixin, _Slice):  # type: ignore[misc]
    def __init__(self, network: Network, pair: list[int], row: Grid, classes: NDArray[Any]) -> None:
        super().__init__(network, pair, row)
        self.classes = self.classes_ = classes

    def decision_function(self, points: Grid) -> check.Rows:
        return self.outputs(points)

    def predict_proba(self, points: Grid) -> check.Rows:
        return np.exp(log_probabilities(self.outputs(points)))

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
    network: Network, pair: list[int], row: Grid, rows: Grid, x: Grid, y: Grid
) -> list[tuple[list[Grid], NDArray[np.intp]]]:
    """Lines on which units switch, and the sub-networks of these; for each hidden layer."""
    corner = row.copy()
    corner[pair] = 0
    unit = "gate" if isinstance(network, GatedReLUNetwork) else "hidden"
    leaves = network.weights[f"{unit}_1"]
    offsets = preactivations(network, corner[np.newaxis])[0][0]
    found = [
        (line, k)
        for (k, leaf), offset in np.ndenumerate(offsets)
        if (line := _clipped(leaves[k, leaf, pair], offset, x[[0, -1]], y[[0, -1]])) is not None
    ]
    layers = [found]
    for layer in preactivations(network, rows)[1:] if network.depth > 2 else ():
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
    """Where values (len(y), len(x)) change sign; not the rims of regions in which they are zero."""
    from contourpy import contour_generator

    generator = contour_generator(x, y, np.ma.masked_equal(values, 0), line_type="Separate")
    lines: list[Grid] = generator.lines(0.0)  # type: ignore[assignment]  # it depends on line_type
    return lines
