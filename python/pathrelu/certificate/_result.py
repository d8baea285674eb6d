"""What `certify` returns, and what a method returns for one output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pathrelu.summary import Summary, of_certificate


@dataclass(frozen=True, repr=False)
class Certificate:
    """Bounds on the optimum P* of the training problem that a network is a candidate for.

    P* is the least objective of all ReLU networks of the same depth, width and number of outputs, with any
    number of sub-networks, the same centering and scaling, the same bias, intercept and skip connection or
    none, and signs of weights that make it monotone where that was asked for. Of several outputs,
    sub-networks feed all if some of the network feeds several; if not, they feed one output each; of an
    estimator, as it was fitted. Of a gated network it is that of all gated networks, whatever their gates.

    Attributes
    ----------
    upper : float
        The network's own objective, re-evaluated in float64.
    lower : float
        A lower bound on P*, for any method but "solver".
    method : str
        What gave `lower`: "enumeration", "branch_and_bound", "semidefinite", "low_rank", "spectral"
        or "solver".
    arrangements : int or None
        None if `lower` is a bound on P*. For "solver", the number of arrangements, or of gates, it covers: it
        bounds the optimum over these alone, and is no certificate of the training problem.
    seconds : float
    details : dict
        ``"rank"`` of the scaled rows with the bias column; ``"tight"``, whether the bound converges to P*
        (not from depth 3 on, unless all joint arrangements were listed, and not for "semidefinite",
        "low_rank" and "spectral"); ``"correlation"``, the bound on ``abs(theta @ h(X))`` over alpha, by
        which theta was divided; ``"n_rounds"`` of programs and ``"n_nodes"`` of trees; of
        several outputs, ``"outputs"``, "shared" if sub-networks of the networks that `lower` is for feed
        all outputs, "separate" if one each, and ``"lowers"``, of each program if there are several; where
        there are any, ``"best_objective"``, the least one of the networks met on the way, and ``"kappa"``;
        of monotone networks, ``"monotonic_cst"``: "kept" if `lower` is from the program with these
        constraints, "left out" if from one without, whose optimum is no higher.
    covers : str
        The networks that `lower` is for, in words.
    """

    upper: float
    lower: float
    method: str
    arrangements: int | None
    seconds: float
    details: dict[str, Any] = field(repr=False)
    covers: str = "all ReLU networks"

    def __repr__(self) -> str:
        bounds = f"upper={self.upper:.6g}, lower={self.lower:.6g}"
        gap = "vacuous" if self.vacuous else f"relative_gap={self.relative_gap:.2g}"
        nodes = self.details.get("n_nodes", 0)
        cost = f"{self.seconds:.2g} s" + (f" and {nodes} nodes" if nodes else "")
        return f"Certificate({bounds}, {gap}, by {self.method!r} in {cost}, covers {self.covers})"

    @property
    def gap(self) -> float:
        """``upper - lower``, not below zero."""
        return max(self.upper - self.lower, 0.0)

    @property
    def relative_gap(self) -> float:
        """The gap over `upper`."""
        return self.gap / self.upper if self.upper > 0 else 0.0

    @property
    def vacuous(self) -> bool:
        """Whether `lower` says no more than that losses are not negative, though `upper` is above 0."""
        return self.upper > 0 and not self.lower > 1e-9 * self.upper

    def __str__(self) -> str:
        how = f"{self.method}, {self.seconds:.2g} s"
        gated = self.covers.replace("monotone ", "").startswith(("gated", "all gated"))
        if self.arrangements is not None:
            return (
                f"objective {self.upper:.6g}, at least {self.lower:.6g} with these {self.arrangements} "
                f"{'gates' if gated else 'arrangements'} ({how}); others are not covered: no certificate of "
                "the training problem"
            )
        if self.vacuous:
            return (
                f"objective {self.upper:.6g}; the lower bound {self.lower:.3g} is vacuous ({how}): it says "
                "no more than that losses are not negative"
            )
        separate = self.details.get("outputs") == "separate"
        of = " of monotone networks" if "monotonic_cst" in self.details else ""
        of += " over all gates" if gated else ""
        of += " of sub-networks with one output each" if separate else ""
        return (
            f"objective {self.upper:.6g}, global optimum{of} at least {self.lower:.6g}: "
            f"gap {self.gap:.2g}, {100 * self.relative_gap:.2g} % of the objective ({how})"
        )

    def summary(self) -> Summary:
        """The bounds, what they are for, and what they say in a sentence.

        Returns
        -------
        Summary
            `print` shows it as text, and a notebook as a table.
        """
        return of_certificate(self)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


@dataclass
class Bound:
    """The best lower bound of one output so far, and how it came about."""

    method: str
    lower: float = -np.inf
    correlation: float = np.inf  # over alpha
    best_objective: float = np.inf
    n_rounds: int = 0
    n_nodes: int = 0
    kappa: int | None = None
    tight: bool = False  # the bound converges to P*
    arrangements: int | None = None  # which alone it bounds the optimum over
    goal: float = 0.0  # the relative gap at which it is done; 0 where it is done after so many looks
    exact: bool = False  # it is from a program with all constraints

    def improve(self, lower: float, correlation: float, method: str) -> None:
        if lower > self.lower:
            self.lower, self.correlation, self.method = lower, correlation, method
