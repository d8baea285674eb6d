"""Dual points of several outputs: the direction of outputs in which sub-networks correlate most with one."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pathrelu import _linear_algebra as algebra

LEADING = 4  # directions whose sphere is covered by cones, whose number is exponential in it
MOST_DIRECTIONS = (
    96  # that are looked into: some ten reach a percent for two directions, some sixty for three
)
NEGLIGIBLE = 1e-9  # share of a dual point that a norm is good enough for

Vector = NDArray[np.float64]
Most = Callable[[Vector], float]


def over_directions(
    theta: NDArray[np.float64],
    most: Most,
    largest: float,
    spent: Callable[[], bool],
    tol: float,
    positive: bool = True,
) -> float:
    r"""Bound on ``norm(theta.T @ h)`` over sub-networks h, by one on ``abs(t @ h)``, ``most(t)``.

    It is the largest ``abs((theta @ omega) @ h)`` over unit omega and h. In the right singular vectors of
    theta, the squares of the bounds for each add up to one on its square, with ``norm(h) <= largest`` for
    those that hardly count; for the first few, that over their sphere takes the place of the sum. And where
    no h is below zero, ``norm(theta.T @ h) <= norms @ h`` for the norms of the rows of theta.
    """
    _, vectors = algebra.eigenvalues(algebra.product(theta.T, theta))
    columns = algebra.product(theta, np.ascontiguousarray(vectors[::-1].T))
    norms = np.sqrt((columns**2).sum(axis=0))
    kept = int(np.count_nonzero(norms > NEGLIGIBLE * norms[0]))
    if kept == 0:
        return largest * algebra.norm(theta)
    rest = largest * algebra.norm(columns[:, kept:])
    values = np.array([most(np.ascontiguousarray(columns[:, c])) for c in range(kept)])
    if kept > 1:
        rest = min(
            math.hypot(algebra.norm(values), rest),
            math.hypot(
                over_sphere(columns[:, :LEADING], values[:LEADING], most, spent, tol),
                algebra.norm(values[LEADING:]),
                rest,
            ),
            most(np.sqrt((columns**2).sum(axis=1))) if positive else np.inf,
        )
    else:
        rest = math.hypot(float(values[0]), rest)
    return rest * (1 + 1e-12)  # as the singular vectors are orthonormal up to rounding


def over_sphere(
    columns: NDArray[np.float64],
    values: Vector,
    most: Most,
    spent: Callable[[], bool],
    tol: float,
) -> float:
    """Bound on the largest ``abs((columns @ omega) @ h)`` over unit omega; `values` are those of the axes.

    As a function of omega the maximum over h is a norm. So on a cone it is at most what is linear with the
    bounds at the vertices. The cone with the largest bound is halved at its longest edge until none is above
    the largest bound at a vertex by more than a share `tol`.
    """
    q = min(len(values), columns.shape[1])
    order = itertools.count()
    cones: list[tuple[float, int, NDArray[np.float64], Vector]] = []
    for signs in itertools.product((1.0, -1.0), repeat=q - 1):  # opposite ones have the same values
        axes = np.diag([1.0, *signs])
        heapq.heappush(cones, (-on_cone(axes, values), next(order), axes, values))
    known: dict[bytes, float] = {}
    best = float(values.max())
    while len(known) < MOST_DIRECTIONS and -cones[0][0] > (1 + tol) * best and not spent():
        bound, _, corners, heights = cones[0]
        i, j = min(
            itertools.combinations(range(q), 2),
            key=lambda pair: float((corners[list(pair)]).prod(axis=0).sum()),
        )
        middle = corners[i] + corners[j]
        middle = middle / math.sqrt(float((middle**2).sum()))
        key = np.round(middle, 12).tobytes()  # cones side by side share the edge
        if key not in known:
            value = most(algebra.product(columns[:, :q], middle))
            if spent():  # a look that was cut off
                break
            known[key] = value
        best = max(best, known[key])
        heapq.heappop(cones)
        for end in (i, j):
            part, height = corners.copy(), heights.copy()
            part[end], height[end] = middle, known[key]
            heapq.heappush(cones, (max(bound, -on_cone(part, height)), next(order), part, height))
    return -cones[0][0]


def on_cone(corners: NDArray[np.float64], heights: Vector) -> float:
    """The largest ``heights @ c`` over c >= 0 with ``norm(corners.T @ c) <= 1``: that of the best face."""
    best = 0.0
    for k in range(1, len(corners) + 1):
        for face in itertools.combinations(range(len(corners)), k):
            edge, height = corners[list(face)], heights[list(face)]
            squares, vectors = algebra.eigenvalues(algebra.product(edge, edge.T))
            along = algebra.product(vectors, height)
            if squares[0] <= 0:
                return math.inf
            c = algebra.product(vectors.T, along / squares)
            if (c >= -1e-9 * np.abs(c).max()).all():
                best = max(best, math.sqrt(float((along**2 / squares).sum())))
    return best


def spectral_norm_of_all(Z: NDArray[np.float64], theta: NDArray[np.float64]) -> float:
    r"""Bound on ``norm(theta.T @ relu(Z @ u))`` over unit u by eigenvalues, all outputs at once.

    ``relu(x) = (x + \|x\|) / 2``, and for any positive D the norm of ``theta.T @ \|Z u\|`` is at most that of
    ``theta.T / sqrt(D)`` times that of ``sqrt(D) Z``: here D = 1 and the norms of the rows of theta.
    """
    norms = np.sqrt((theta**2).sum(axis=1))
    used = norms > 0
    if not used.any():
        return 0.0
    Z, theta, norms = Z[used], theta[used], norms[used]
    linear = algebra.product(theta.T, Z)
    absolute = min(
        _largest_square(theta / np.sqrt(D)[:, np.newaxis]) * _largest_square(Z * np.sqrt(D)[:, np.newaxis])
        for D in (np.ones(len(norms)), norms)
    )
    return 0.5 * (math.sqrt(_largest_square(linear.T)) + math.sqrt(absolute)) * (1 + 1e-12)


def _largest_square(a: NDArray[np.float64]) -> float:
    """Of the singular values."""
    return max(float(algebra.eigenvalues(algebra.product(a.T, a))[0][-1]), 0.0)
