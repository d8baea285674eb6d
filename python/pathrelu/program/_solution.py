"""What a solve and a path of them return."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pathrelu import _validation as check
from pathrelu._watch import Record
from pathrelu.arrangements import Arrangements
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork
from pathrelu.network._assembly import assemble
from pathrelu.program._low_rank import LowRank
from pathrelu.summary import Summary, of_solution


@dataclass(frozen=True, eq=False)
class Solution:
    """What `solve`, `search` and `solve_low_rank` return.

    Attributes
    ----------
    objective, dual_objective, gap : float
        Value of the program, a lower bound on its optimum, and their difference. The bound covers the
        arrangements of this solution, not those left out.
    converged : bool
        Whether `relative_gap` is at most `tol`, and a search came to its end.
    n_iter : int
    n_active : int
        Blocks that are not zero, which is the number of sub-networks; a skip connection is one of them.
    alpha : float
    blocks : ndarray of shape (P, 2, paths, n_features) for "relu", (P, 1, paths, n_features) for "gated"
        In the dtype of X. For "relu", the second axis is the output sign: +1, then -1. A leading axis of
        outputs if `y` had two dimensions or several classes. Of a linear group only ``[:, 0, 0]`` is used.
        (P, 1, paths, n_features) if the groups have `directions`.
    directions : ndarray of shape (P, n_outputs) or None
        What each group feeds of the outputs, of norm 1; None if every group feeds each output apart, with
        either sign.
    intercept : float or ndarray of shape (n_outputs,)
    arrangements : Arrangements
    activation, loss : str
    objective_at_zero : float
        Objective of the network that is constant: zero or, with an intercept, the best constant.
    history : list of Record
    n_rounds, n_starts : int or None
        Of a search: rounds made, and starts of the last one, which all found nothing better; 0 starts if the
        search stopped for another reason.
    low_rank : LowRank or None
        Of `solve_low_rank`: the subspace, and its guarantee. `dual_objective` and `gap` are then those of the
        program over the rows projected on the subspace.
    interrupted : bool
        Whether an interrupt, the callback or `max_seconds` ended the solve or the search early. This is then
        the best point found until then, with its own objective and gap.
    rounding : float
        Objectives up to this are of networks that fit the targets up to rounding.
    monotonic_cst : ndarray of shape (n_features,) or None
        +1 for columns in which all outputs never fall, -1 where they never rise, 0 for others; None if all
        are free.
    """

    objective: float
    dual_objective: float
    gap: float
    converged: bool
    n_iter: int
    n_active: int
    alpha: float
    blocks: check.Rows = field(repr=False)
    intercept: float | NDArray[np.float64]
    arrangements: Arrangements
    activation: str
    loss: str
    objective_at_zero: float
    history: list[Record] = field(repr=False)
    n_rounds: int | None = None
    n_starts: int | None = None
    low_rank: LowRank | None = None
    interrupted: bool = False
    rounding: float = 0.0
    directions: NDArray[np.float64] | None = field(default=None, repr=False)
    monotonic_cst: NDArray[np.int8] | None = field(default=None, repr=False)

    @property
    def relative_gap(self) -> float:
        """The gap over `objective_at_zero`, or `rounding` if that is more, which is what `tol` bounds."""
        return self.gap / max(self.objective_at_zero, self.rounding, np.finfo(np.float64).tiny)

    @property
    def parts(self) -> list[tuple[Arrangements, check.Rows]]:
        """The arrangements and the blocks (P, S, paths, n_features) of each output, or of all together."""
        blocks = self.blocks if self.blocks.ndim == 5 else self.blocks[np.newaxis]
        return [(self.arrangements, block) for block in blocks]

    def network(self) -> ParallelReLUNetwork | GatedReLUNetwork:
        """The network that the blocks stand for: one sub-network for each block that is not zero.

        Returns
        -------
        ParallelReLUNetwork or GatedReLUNetwork
            By `activation`. A gated network needs the gates of its arrangements.
        """
        return assemble(
            self.parts,
            relu=self.activation == "relu",
            intercept=np.atleast_1d(self.intercept),
            directions=self.directions,
        )

    def summary(self, *, max_shown: int = 10, digits: int = 3) -> Summary:
        """What the solution came to: its objective and gap, and what its network is.

        Parameters
        ----------
        max_shown : int, default=10
            Rows of each table, at most.
        digits : int, default=3
            Significant digits in formulas.

        Returns
        -------
        Summary
            `print` shows it as text, and a notebook as tables.
        """
        return of_solution(self, max_shown, digits)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


@dataclass(frozen=True, eq=False)
class Path:
    """Solutions along decreasing values of alpha, as `solve_path` returns them.

    Attributes
    ----------
    alphas, objectives, gaps : ndarray of shape (n_alphas,)
    solutions : list of Solution
    """

    alphas: NDArray[np.float64]
    solutions: list[Solution] = field(repr=False)

    @property
    def objectives(self) -> NDArray[np.float64]:
        """Objective of each solution."""
        return np.array([solution.objective for solution in self.solutions])

    @property
    def gaps(self) -> NDArray[np.float64]:
        """Duality gap of each solution."""
        return np.array([solution.gap for solution in self.solutions])

    def __len__(self) -> int:
        return len(self.solutions)
