"""The program over relaxed outputs of units: cutting planes of the dual."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _linear_algebra as algebra
from pathrelu.certificate._output import Output

MOST_COLUMNS = 160  # those without weight go first, the oldest before others
SHARE = 0.5  # of the largest correlation, below which a relaxed output is no column


class Columns:
    """Columns (n,) in directions of outputs (C,), with the weights that they have in the program.

    Each is of a relaxed unit, or of a linear one, whose mean (r,) is kept. `scale` is what a sub-network of
    path norm 1 may come to, in relaxed units.
    """

    def __init__(self, output: Output, scale: float) -> None:
        n, outputs = output.problem.y.shape
        self.output, self.scale = output, scale
        self.columns = np.zeros((0, n))
        self.directions = np.zeros((0, outputs))
        self.units = np.zeros((0, output.rows.shape[1]))
        self.linear = np.zeros(0, bool)
        self.weights = np.zeros(0)

    def add(
        self, found: list[tuple[NDArray[np.float64], NDArray[np.float64]]], theta: NDArray[np.float64]
    ) -> bool:
        """Adds those of the relaxed outputs that theta correlates with most; false if there are none.

        Parameters
        ----------
        found : list of tuple
            Relaxed outputs (k, n) and the means (k, r) of their units.
        theta : ndarray of shape (n, C)
        """
        output = self.output
        points = np.concatenate([outputs for outputs, _ in found])
        means = np.concatenate([units for _, units in found])
        along = self.scale * algebra.product(points, theta)
        outputs = np.eye(theta.shape[1])
        enough = SHARE * np.abs(along).max()
        columns: list[NDArray[np.float64]] = []
        directions: list[NDArray[np.float64]] = []
        units: list[NDArray[np.float64]] = []
        for point, unit, values in zip(self.scale * points, means, along, strict=True):
            if output.shared:
                length = algebra.norm(values)
                if length > 0:
                    columns.append(point)
                    units.append(unit)
                    directions.append(values / length)
                continue
            for direction, value in zip(outputs, values, strict=True):
                if abs(value) > enough:
                    columns.append(point)
                    units.append(unit)
                    directions.append(np.sign(value) * direction)
        relaxed = len(columns)
        if output.skip:
            slopes = algebra.product(output.rows.T, theta)
            for direction, slope in zip(outputs, slopes.T, strict=True):
                length = algebra.norm(slope)
                if length > 0:
                    columns.append(algebra.product(output.rows, slope / length))
                    units.append(slope / length)
                    directions.append(direction)
        if not columns:
            return False
        self.columns = np.concatenate([self.columns, np.stack(columns)])
        self.directions = np.concatenate([self.directions, np.stack(directions)])
        self.units = np.concatenate([self.units, np.stack(units)])
        self.linear = np.concatenate([self.linear, np.arange(len(columns)) >= relaxed])
        self.weights = np.concatenate([self.weights, np.zeros(len(columns))])
        return True

    def solve(self, seconds: float) -> tuple[float, NDArray[np.float64]]:
        """The optimum of the program, and its dual point."""
        problem, output = self.output.problem, self.output
        objective, self.weights, theta = _core.solve_columns(
            self.columns,
            self.directions,
            problem.y,
            problem.w,
            problem.core_loss,
            output.alpha,
            output.fit_intercept,
            self.weights,
            seconds,
        )
        if len(self.weights) > MOST_COLUMNS:
            idle = np.flatnonzero(self.weights == 0)[: len(self.weights) - MOST_COLUMNS]
            kept = np.setdiff1d(np.arange(len(self.weights)), idle)
            self.columns, self.directions = self.columns[kept], self.directions[kept]
            self.units, self.linear = self.units[kept], self.linear[kept]
            self.weights = self.weights[kept]
        return objective, theta
