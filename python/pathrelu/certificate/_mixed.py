"""Trees of depth 3 whose edges have both signs: a bound by shares of rows, which go down its slope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Most = Callable[[Vector], float]
Steepest = Callable[[Vector], Vector | None]

SHARES = (0.25, 0.5, 0.75, 1.0)  # of all rows, where they start
STEPS = 8  # of a look: the next look, for a dual point nearby, goes on from there
STEP = 0.7  # of Polyak's
LEAST = 0.05  # share of the bound that a step is for


@dataclass(frozen=True)
class Look:
    """Bounds for shares t, the values of units that they come from, and the outputs of these units."""

    t: Vector
    squares: Vector
    plus: float
    minus: float
    along_plus: Vector | None
    along_minus: Vector | None


class Shares:
    """Bounds on ``theta @ h`` for ``theta = positive - negative``, by shares t of the rows of `negative`.

    For trees with k leaves of sign +1 and ``paths - k`` of sign -1, and any t in [0, 1], the square is at
    most ``k most(positive - t negative)^2 + (paths - k) most(t negative)^2``; for t = 0 the second term is 0.
    """

    def __init__(self, positive: Vector, negative: Vector, most: Most, paths: int) -> None:
        self.positive, self.negative = positive, negative
        self.most = most
        self.k = np.arange(1, paths)
        self.paths = paths
        self.squares = self.k * most(positive) ** 2  # the best known for each k
        self.best: list[Vector | None] = [None] * len(self.k)  # where they are reached

    def look(self, t: Vector, steepest: Steepest | None) -> Look:
        """The bounds for t, and what their slopes are made of."""
        parts = self.positive - t * self.negative, t * self.negative
        values, outputs = [], []
        for part in parts:
            values.append(self.most(part))
            outputs.append(None if steepest is None else steepest(part))
        squares = self.k * values[0] ** 2 + (self.paths - self.k) * values[1] ** 2
        for place in np.flatnonzero(squares < self.squares):
            self.best[place] = t
        self.squares = np.minimum(self.squares, squares)
        return Look(t, squares, values[0], values[1], outputs[0], outputs[1])

    def descend(self, starts: list[Vector], steepest: Steepest | None, enough: float) -> Vector | None:
        """Improve the bounds until none is above `enough`; the shares of the largest one."""
        looks = []
        for start in starts:
            if self.squares.max() <= enough:
                break
            looks.append(self.look(start, steepest))
        now = min(looks, key=lambda look: float(look.squares.max()), default=None)
        for _ in range(STEPS):
            place = int(self.squares.argmax())
            if now is None or self.squares[place] <= enough:
                break
            if now.along_plus is None or now.along_minus is None:
                break
            k, square = int(self.k[place]), float(now.squares[place])
            slope = -2 * k * now.plus * now.along_plus + 2 * (self.paths - k) * now.minus * now.along_minus
            slope *= self.negative
            size = float((slope**2).sum())
            if not size > 0:
                break
            step = STEP * max(square - enough, LEAST * square) / size
            now = self.look(np.clip(now.t - step * slope, 0.0, 1.0), steepest)
        return self.best[int(self.squares.argmax())]
