"""Fewest sub-networks for the same outputs: Carathéodory's theorem for cones, by null vectors."""

from __future__ import annotations

import numpy as np

from pathrelu import _validation as check


def fewest_columns(F: check.Doubles, costs: check.Doubles) -> check.Doubles:
    """Few factors ``m >= 0`` that are not zero, ``F @ m == F.sum(axis=1)`` and ``costs @ m <= costs.sum()``.

    Where more columns than ``rank(F)`` are left, they have a null vector z. Moving m along z leaves their sum
    as it is. In the direction in which the cost does not rise some factor reaches zero, since costs are
    positive, and its column goes.

    Parameters
    ----------
    F : ndarray of shape (n, K)
    costs : ndarray of shape (K,)
        Above 0.

    Returns
    -------
    ndarray of shape (K,)
        At most ``rank(F)`` entries are not zero; all ones if the columns are independent.
    """
    n, K = F.shape
    size = np.linalg.norm(F, axis=0)
    # In units of cost the sum of the amounts never rises, so none can grow beyond what there was.
    amount = np.where(size > 0, costs, 0.0)
    kept = np.empty(0, np.intp)
    for begin in range(0, K, n):
        pool = np.concatenate([kept, np.arange(begin, min(begin + n, K))])
        pool = pool[amount[pool] > 0]
        if len(pool):
            amount[pool] = _few(F[:, pool] / costs[pool], amount[pool])
        kept = pool[amount[pool] > 0]
    if len(kept) < K:  # take back what rounding has moved
        A = F[:, kept] / costs[kept]
        lost = F.sum(axis=1) - A @ amount[kept]
        amount[kept] = np.maximum(amount[kept] + np.linalg.lstsq(A, lost)[0], 0)
    return amount / costs


def _few(A: check.Doubles, amount: check.Doubles) -> check.Doubles:
    """Amounts of at most ``rank(A)`` columns with the same ``A @ amount`` and no larger sum."""
    _, singular, rows = np.linalg.svd(np.linalg.qr(A, mode="r"), full_matrices=True)
    rank = int((singular > singular[0] * max(A.shape) * np.finfo(np.float64).eps).sum())
    null = rows[rank:].T  # (K, K - rank), orthonormal
    while null.shape[1] > 0:
        slope = null.sum(axis=0)  # of the sum of the amounts
        steepest = np.linalg.norm(slope)
        # Along the projection of the slope or, if the sum is the same everywhere, along any null vector.
        z = null @ (slope / steepest) if steepest > 1e-12 else null[:, 0] * np.copysign(1, slope[0])
        reach = np.full(len(z), np.inf)
        np.divide(amount, z, out=reach, where=z > 0)
        j = int(reach.argmin())
        amount = np.maximum(amount - reach[j] * z, 0)
        amount[j] = 0
        # A reflection leaves one column of the null vectors with an entry at j; without it, they stay there.
        normal = null[j].copy()
        normal[0] += np.copysign(np.linalg.norm(normal), normal[0])
        null = null - np.outer(null @ normal, 2 / (normal @ normal) * normal)
        null = null[:, 1:]
        null[j] = 0
    return amount
