"""Path norms and scores against alpha."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.metrics import accuracy_score, check_scoring, r2_score

from pathrelu import _validation as check
from pathrelu import losses
from pathrelu._base import TOL
from pathrelu._scaling import Scaling
from pathrelu.inspection import Network, network_of, table_for
from pathrelu.plotting._axes import (
    NEUTRAL,
    PALETTE,
    Grid,
    axes_grid,
    distinct_colors,
    numbered_outputs,
    title,
)
from pathrelu.program import Path, alpha_max, solve_path
from pathrelu.training import TrainingProblem, encoded_directions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


class RegularizationPathDisplay:
    """Path norm of every sub-network, and scores on rows held out, against alpha.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
    path_norms : array-like of shape (n_alphas, n_subnetworks), optional
        A sub-network is a block of the program, an arrangement with an output sign or, where it feeds several
        outputs, a direction, and so the same along the path. Its path norm is zero where it is not in the
        network.
    labels : array-like of shape (n_subnetworks,), optional
        What to colour sub-networks by: outputs, or output signs. None for one colour, as where sub-networks
        feed several outputs.
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
        check.instance(path, Path, "path", "what solve_path returns")
        if (X is None) != (y is None):
            raise ValueError("X and y are to score on; one came without the other")
        if scoring is not None and not callable(scoring):
            raise TypeError(f"scoring is {scoring!r}; expected a function of a network, X and y")
        scores, name = None, "Score"
        if X is not None and y is not None:
            loss = path.solutions[0].loss
            classes = loss in losses.BINARY
            name = _score_name(scoring, classes)
            measure = scoring or (
                _accuracy if classes else partial(_r2, log_link=losses.TABLE[loss].log_link)
            )
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
        tried: Any = getattr(estimator, "alphas_", None)
        if results is not None:
            alike = _one_for_each_alpha(results, estimator.best_index_)
            tried = estimator.alphas_[alike]
        if results is not None and X_test is None and alphas is None:
            given |= {
                "scores": results["mean_test_score"][alike],
                "score_std": results["std_test_score"][alike],
                "score_name": "Score, cross-validated",
                "n_subnetworks": results["n_subnetworks"][alike],
            }
        if X is None or y is None:
            if results is None or "scores" not in given:
                raise ValueError("X is None; expected the rows of training, to follow the path over")
            return cls(tried, **given).plot(ax=ax, **kwargs)
        if alphas is None:
            alphas = tried
        path, networks = _path_of(estimator, network, X, y, sample_weight, alphas, n_alphas, chosen)
        if X_test is not None:
            models = [_with_network(estimator, each) for each in networks]
            measure = check_scoring(models[0], scoring=scoring)
            given |= {
                "scores": np.array([measure(model, X_test, y_test) for model in models]),
                "score_name": _score_name(scoring, is_classifier(estimator)),
            }
        elif "scores" in given:
            # solve_path has alphas from the largest down.
            down = np.argsort(tried)[::-1]
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
        self.figure_, grid = axes_grid(ax, (panels, 1), sharex=True)
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
        self.axes_[-1].set_xlabel("alpha")
        title(self.ax_, "Sub-networks along alpha" if has_networks else "Scores along alpha")
        for axes in self.axes_:
            axes.set_xscale("log")
        return self

    def _plot_norms(self, axes: Axes, alphas: Grid, order: NDArray[np.intp], kwargs: Any) -> None:
        norms = np.asarray(self.path_norms, np.float64)[order]
        labels = np.zeros(norms.shape[1]) if self.labels is None else np.asarray(self.labels)
        names = list(dict.fromkeys(labels.tolist()))  # in the order of the sub-networks
        colors = dict(zip(names, distinct_colors(len(names)), strict=True))
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


def _norms_along(path: Path) -> dict[str, Any]:
    """Path norms of all blocks along a path, and what to call them."""
    parts = [solution.parts for solution in path.solutions]
    directed = path.solutions[0].directions is not None
    arrangements = parts[0][0][0]
    # (alphas, outputs, groups, sides)
    norms = np.array(
        [[np.sqrt((blocks.astype(np.float64) ** 2).sum(axis=(2, 3))) for _, blocks in part] for part in parts]
    )
    trees = norms[:, :, ~arrangements.linear]
    C, _, sides = trees.shape[1:]
    if C > 1:
        labels = np.broadcast_to(np.array(numbered_outputs(C))[:, None, None], trees.shape[1:])
    else:
        names = ["output sign +", "output sign \N{MINUS SIGN}"] if sides == 2 else ["gated"]
        labels = np.broadcast_to(np.array(names), trees.shape[1:])
    linear = norms[:, :, arrangements.linear, 0]
    skip = None
    if arrangements.skip_connection:
        skip = linear[:, 0] if directed else linear.sum(axis=2)
    return {
        "path_norms": trees.reshape(len(parts), -1),
        "labels": labels.ravel() if C > 1 or sides == 2 else None,
        "skip_path_norms": skip,
    }


def _best(alphas: Grid, scores: Grid | None) -> float | None:
    return None if scores is None else float(alphas[np.argmax(scores)])


def _one_for_each_alpha(results: dict[str, Any], best: int) -> NDArray[np.bool_]:
    """Whether it has the encoding of the best one, and is the last for its alpha up to as many rescalings."""
    rescaled = results["n_rescalings"]
    candidates = np.flatnonzero(
        (results["param_encode"] == results["param_encode"][best]) & (rescaled <= rescaled[best])
    )
    last: dict[float, int] = {}
    for place in candidates[np.argsort(rescaled[candidates], kind="stable")]:
        last[float(results["param_alpha"][place])] = int(place)
    chosen = np.zeros(len(rescaled), np.bool_)
    chosen[list(last.values())] = True
    return chosen


def _score_name(scoring: Any, classes: bool) -> str:
    return "Score" if scoring is not None else "Accuracy" if classes else "R²"


def _r2(network: Network, X: ArrayLike, y: ArrayLike, log_link: bool) -> float:
    outputs = network.predict(X)
    return float(r2_score(y, losses.means(outputs) if log_link else outputs))


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
    encoded = copy.copy(estimator).set_params(encode=None, monotonic_cst=None)
    data = replace(encoded._data(table_for(network, X), y, sample_weight)[0], encoder=network.encoder)
    if data.labels is not None and not np.array_equal(data.labels, estimator.classes_):
        raise ValueError(f"y has the classes {data.labels.tolist()}; expected {estimator.classes_.tolist()}")
    training = TrainingProblem(
        data, Scaling.of(network, estimator.bias), network.kind, shared=network.shared_outputs
    )
    columns = encoded_directions(getattr(estimator, "monotonic_cst_", None), network.encoder)
    arrangements, directions = training.groups(network)
    options: dict[str, Any] = {
        "directions": directions,
        "activation": network.kind,
        "loss": data.loss,
        "quantile": getattr(estimator, "quantile", None),
        "threshold": getattr(estimator, "threshold", None),
        "monotonic_cst": training.scaling.directions(columns),
        "sample_weight": data.w,
        "fit_intercept": estimator.fit_intercept,
        "tol": TOL if estimator.tol is None else estimator.tol,
        "max_iter": estimator.max_iter,
        "n_threads": estimator.n_threads,
    }
    if alphas is None:
        largest = alpha_max(
            training.X,
            training.targets,
            arrangements,
            **{name: value for name, value in options.items() if name not in ("tol", "max_iter")},
        )
        alphas = np.geomspace(max(largest, chosen), chosen, check.count(n_alphas, "n_alphas", 2))
    path = solve_path(training.X, training.targets, arrangements, alphas, **options)
    return path, [training.network([solution]) for solution in path.solutions]


def _with_network(estimator: Any, network: Network) -> Any:
    model = copy.copy(estimator)
    model.network_ = network
    return model
