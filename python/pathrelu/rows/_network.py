"""The network that trees stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pathrelu import _validation as check
from pathrelu._scaling import Scaling
from pathrelu.arrangements import n_edges
from pathrelu.encoding import TableEncoder
from pathrelu.network import ParallelReLUNetwork
from pathrelu.network._data import Label
from pathrelu.program._slide import Trees


def network_of(
    trees: Trees,
    scaling: Scaling,
    dtype: np.dtype[Any],
    *,
    width: Sequence[int],
    skip_connection: bool,
    classes: Sequence[Label] | None = None,
    feature_names: Sequence[str] | None = None,
    encoder: TableEncoder | None = None,
) -> ParallelReLUNetwork:
    """The network of trees over scaled columns."""
    columns = len(scaling.center)
    own, signs, directions, linear_trees, intercept = trees
    bias = scaling.constant is not None
    K, C = len(own), len(intercept)
    leaves = check.narrowed(own, dtype, "weights").reshape(K, math.prod(width), columns + bias)
    signs, directions = signs.reshape(K, n_edges(list(width))), directions.reshape(K, C)  # of no trees too
    units = linear_trees == 0
    skip: dict[str, Any] = {}
    if skip_connection:
        linear = (directions[~units].T[:, :, np.newaxis] * leaves[~units, 0]).sum(axis=1).astype(dtype)
        skip = {"skip_weights": linear[:, :columns], "skip_bias": linear[:, -1] if bias else None}
    return ParallelReLUNetwork(
        leaves[units][..., :columns],
        leaf_bias=leaves[units][..., -1] if bias else None,
        edge_signs=signs[units],
        output_weights=directions[units],
        intercept=intercept,
        center=scaling.center,
        scale=scaling.scale,
        width=width,
        classes=classes,
        feature_names=feature_names,
        encoder=encoder,
        **skip,
    )
