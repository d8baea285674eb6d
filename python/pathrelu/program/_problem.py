"""The checked data of a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathrelu import _core, losses
from pathrelu import _validation as check
from pathrelu._sparse_rows import core_rows
from pathrelu._watch import record_of
from pathrelu.arrangements import Arrangements
from pathrelu.program._solution import Solution

UNIT_NORM = 1e-6  # what the norm of a direction may differ from 1 by


@dataclass(frozen=True, eq=False)
class Problem:
    """Checked data of a program."""

    X: check.Rows
    y: NDArray[np.float64]  # (n, outputs)
    single: bool  # y came without an axis of outputs
    w: NDArray[np.float64]
    activation: str
    loss: str
    core_loss: _core._Loss  # what the core makes it of
    monotone: NDArray[np.int8] | None = None  # directions of columns; None if all are free

    @classmethod
    def check(
        cls,
        X: ArrayLike,
        y: ArrayLike,
        activation: str,
        loss: str,
        sample_weight: ArrayLike | None,
        quantile: float | None = None,
        threshold: float | None = None,
        monotonic_cst: Any = None,
    ) -> Problem:
        activation = check.choice(activation, "activation", check.ACTIVATIONS)
        loss = check.choice(loss, "loss", losses.NAMES)
        value = losses.parameter(loss, quantile, threshold)
        table = check.rows(X)
        target, single = check.targets(y, len(table), loss)
        check.representable(table, "X", 4)
        check.representable(target, "y", 2)
        if losses.core_name(loss, target.shape[1]) in losses.BINARY and not single:
            raise ValueError(f"y has shape {target.shape}; {loss} expects ({len(table)},)")
        weight = check.weights(sample_weight, len(table))
        losses.check_targets(target, weight, loss)
        monotone = check.monotonic(monotonic_cst, table.shape[1], check.column_names(X))
        if monotone is not None and losses.core_name(loss, target.shape[1]) == losses.JOINT:
            raise ValueError(
                f"monotonic_cst was given for {target.shape[1]} classes, which are not monotone one by one; "
                "expected two classes"
            )
        core_loss = losses.specification(loss, value, target, weight)
        return cls(table, target, single, weight, activation, loss, core_loss, monotone)

    @property
    def core(self) -> _core.Problem:
        """The same for the core, which reads the arrays in place."""
        relu = self.activation == "relu"
        return _core.Problem(core_rows(self.X), self.y, self.w, self.core_loss, relu, self.monotone)

    def require_apart(self, wanted: str) -> None:
        """Refuse sub-networks that feed several outputs where these have to be monotone."""
        if self.monotone is not None and self.y.shape[1] > 1:
            raise ValueError(
                f"monotonic_cst was given for {self.y.shape[1]} outputs that sub-networks share; expected "
                f"{wanted}"
            )

    def require_gates(self) -> None:
        """Refuse gated networks for which no gate is left."""
        if self.activation == "gated" and self.monotone is not None and self.monotone.all():
            raise ValueError(
                "monotonic_cst constrains all columns, and no gate of the activation 'gated' may depend on "
                "them; expected one without, such as ones (bias), or the activation 'relu'"
            )

    def require(self, arrangements: Arrangements) -> None:
        check.instance(arrangements, Arrangements, "arrangements")
        if arrangements.n_rows != len(self.X):
            raise ValueError(
                f"arrangements are of {arrangements.n_rows} rows; expected {len(self.X)}, as X has"
            )
        if self.monotone is None or self.activation == "relu":
            return
        gates = arrangements.gates
        if gates is None:
            raise ValueError(
                "arrangements have no gates; expected some, as monotonic_cst with the activation 'gated' is "
                "for gates that do not depend on columns with a constraint"
            )
        reading = gates[~arrangements.linear][..., self.monotone != 0].any(axis=(0, 1))
        if reading.any():
            column = int(np.flatnonzero(self.monotone)[reading.argmax()])
            raise ValueError(
                f"arrangements have gates that depend on column {column}, where monotonic_cst has a "
                "constraint and a gated network would jump; expected weights of 0 there"
            )

    def unit_directions(self, directions: ArrayLike, arrangements: Arrangements) -> NDArray[np.float64]:
        """Checked directions (P, C), scaled to norm 1 up to rounding."""
        self.require_apart("None for directions")
        shape = (len(arrangements), self.y.shape[1])
        omega = check.array_of(directions, shape, "directions").astype(np.float64)
        length = np.sqrt((omega**2).sum(axis=1))
        wrong = np.flatnonzero(~(np.abs(length - 1) <= UNIT_NORM))
        if len(wrong):
            raise ValueError(f"directions[{wrong[0]}] has norm {length[wrong[0]]:g}; expected 1")
        return np.ascontiguousarray(omega / length[:, np.newaxis])

    def block_shape(self, arrangements: Arrangements, directed: bool = False) -> tuple[int, ...]:
        """(C, P, S, paths, n_features), or (1, P, 1, paths, n_features) where groups have directions."""
        signs = 2 if self.activation == "relu" and not directed else 1
        layers = 1 if directed else self.y.shape[1]
        return (layers, len(arrangements), signs, arrangements.paths, self.X.shape[1])

    def solution(
        self,
        report: _core.Report,
        arrangements: Arrangements,
        alpha: float,
        blocks: NDArray[np.float64],
        intercept: NDArray[np.float64],
        n_rounds: int | None = None,
        n_starts: int | None = None,
        directions: NDArray[np.float64] | None = None,
    ) -> Solution:
        shape = self.block_shape(arrangements, directions is not None)
        result = check.narrowed(blocks.reshape(shape), self.X.dtype, "weights")
        return Solution(
            objective=report.objective,
            dual_objective=report.dual_objective,
            gap=report.gap,
            converged=report.converged,
            n_iter=report.n_iter,
            n_active=report.n_active,
            alpha=alpha,
            blocks=result[0] if self.single or directions is not None else result,
            intercept=float(intercept[0]) if self.single else intercept,
            arrangements=arrangements,
            activation=self.activation,
            loss=self.loss,
            objective_at_zero=report.objective_at_zero,
            history=[record_of(record, n_rounds is not None) for record in report.history],
            n_rounds=n_rounds,
            n_starts=n_starts,
            interrupted=report.stopped,
            rounding=report.rounding,
            directions=directions,
            monotonic_cst=self.monotone,
        )
