"""Slides: descents on the network's own objective, without the convex program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathrelu import _core
from pathrelu import _validation as check
from pathrelu._sparse_rows import SparseRows, core_rows
from pathrelu._watch import Watch
from pathrelu.network._trees import Trees as Trees
from pathrelu.program._problem import Problem


def path_signs(edge_signs: NDArray[np.integer[Any]], width: Sequence[int]) -> NDArray[np.int64]:
    """Products (K, paths) of the signs (K, edges) of the edges from each leaf to the root."""
    paths = np.arange(math.prod(width))
    signs = np.ones((len(edge_signs), len(paths)), np.int64)
    begin, below = 0, 1
    for children in width:
        signs *= edge_signs[:, begin + paths // below]
        begin, below = begin + len(paths) // below, below * children
    return signs


@dataclass(frozen=True)
class Slides:
    """How trees slide, on whatever rows and at whatever alpha."""

    width: list[int]
    options: _core.SolveOptions
    seed: int
    skip_connection: bool
    shared: bool
    watch: Watch

    def descend(
        self,
        problem: Problem,
        alpha: float,
        start: Trees | None,
        *,
        evaluations: int,
        random_trees: int = 0,
        stream: int = 0,
    ) -> Trees:
        """The trees that a slide ends with, from `start` and so many random ones."""
        options = _core.SlideOptions(
            random_trees=random_trees,
            stream=stream,
            max_evaluations=evaluations,
            seed=self.seed,
            skip_connection=self.skip_connection,
            shared=self.shared,
        )
        watch = self.watch.core(searching=True)
        trees, stopped = _core.slide(problem.core, alpha, self.width, self.options, options, watch, start)
        self.watch.note(stopped)
        return trees

    def outputs(self, X: check.Rows | SparseRows, trees: Trees) -> NDArray[np.float64]:
        """Outputs (n, C) of trees on rows."""
        return _core.tree_outputs(core_rows(X), self.width, trees, self.options.threads)
