"""Objective and gap along training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pathrelu import _validation as check
from pathrelu.inspection import network_of
from pathrelu.plotting._axes import axes_grid, color_legend, distinct_colors, numbered_outputs
from pathrelu.program import Record, Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


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
        check.instance(solution, Solution, "solution")
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
        self.figure_, self.axes_ = axes_grid(ax, (2, len(clocks)), sharex="col", sharey="row")
        self.ax_ = self.axes_[0, 0]
        self.objective_lines_: list[Line2D] = []
        self.gap_lines_: list[Line2D] = []
        colors = distinct_colors(len(runs))
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
        self.axes_[0, 0].set_ylabel("Objective")
        self.axes_[1, 0].set_ylabel("Duality gap")
        if len(runs) > 1:
            color_legend(self.axes_[0, -1], dict(zip(numbered_outputs(len(runs)), colors, strict=True)))
        return self
