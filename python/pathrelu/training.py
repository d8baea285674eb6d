"""The training problem of a network: raw rows, targets and weights, and the programs that stand for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathrelu import _validation as check
from pathrelu import losses
from pathrelu._scaling import Scaling
from pathrelu._sparse_rows import sparse_keys
from pathrelu.arrangements import Arrangements
from pathrelu.encoding import TableEncoder
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork
from pathrelu.network._assembly import assemble
from pathrelu.network._data import Label
from pathrelu.program._problem import Problem
from pathrelu.program._solution import Solution


@dataclass(frozen=True)
class Data:
    """What is trained on: encoded rows, targets of the core, weights and, of a classifier, labels."""

    X: check.Rows
    y: NDArray[np.float64]
    w: NDArray[np.float64]
    loss: str
    labels: NDArray[Any] | None = None  # of all classes
    parameter: float | None = None  # of the loss; None for its default
    present: NDArray[np.intp] | None = None  # places of the classes trained on, if not all have weight
    encoder: TableEncoder | None = None  # which the rows come from
    monotone: NDArray[np.int8] | None = None  # directions of columns; None if all are free


class TrainingProblem:
    """Rows, targets and weights as programs take them, and back from their solutions to a network.

    Attributes
    ----------
    data : Data
    scaling : Scaling
    activation : str
    shared : bool
        Whether sub-networks feed all outputs.
    X : ndarray of shape (n, columns)
        Rows of training: scaled, with the column of biases.
    w : ndarray of shape (n,)
        Weights of mean 1.
    """

    def __init__(self, data: Data, scaling: Scaling, activation: str, *, shared: bool) -> None:
        self.data = data
        self.scaling = scaling
        self.activation = activation
        self.shared = shared and data.y.shape[1] > 1
        self.X = scaling.rows(data.X)
        check.representable(self.X, "X", 4)
        check.representable(data.y, "y", 2)
        self.w = check.unit_mean(data.w)

    def times(self, factors: NDArray[np.float64]) -> TrainingProblem:
        """That of columns times factors."""
        return TrainingProblem(self.data, self.scaling.times(factors), self.activation, shared=self.shared)

    @property
    def targets(self) -> NDArray[np.float64]:
        """Of one output (n,), or of several (n, C): as `solve` takes them."""
        return self.data.y[:, 0] if self.data.y.shape[1] == 1 else self.data.y

    def programs(self) -> list[Problem]:
        """A joint program where sub-networks or the loss join outputs, else one for each column."""
        monotone = self.scaling.directions(self.data.monotone)
        return programs_of(self.data, self.X, self.w, self.activation, monotone, shared=self.shared)

    def groups(
        self, network: ParallelReLUNetwork | GatedReLUNetwork
    ) -> tuple[Arrangements, NDArray[np.float64] | None]:
        """Arrangements of a network's sub-networks, and their directions if outputs are shared."""
        of_trees = Arrangements._of_each_tree if self.shared else Arrangements.from_trees
        found = of_trees(
            self.X, self.scaling.trees(*network.switches()), network.edge_signs, width=list(network.width)
        )
        if not self.shared:
            return (found.with_skip_connection() if network.skip_connection else found), None
        weights = network.output_weights
        directions = weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))
        if network.skip_connection:
            found = found._with_linear(network.n_outputs)
            directions = np.concatenate([directions, np.eye(network.n_outputs)])
        return found, directions

    def network(
        self, solutions: Sequence[Solution], feature_names: Sequence[str] | None = None
    ) -> ParallelReLUNetwork | GatedReLUNetwork:
        """The network for raw rows that solutions of the programs stand for."""
        data, scaling = self.data, self.scaling
        intercept = np.concatenate([np.atleast_1d(solution.intercept) for solution in solutions])
        outputs, intercept = of_all_classes(data, intercept)
        assert scaling.constant in (None, 1.0)  # as blocks of assembled networks have it
        return assemble(
            [part for solution in solutions for part in solution.parts],
            relu=self.activation == "relu",
            intercept=intercept,
            outputs=outputs,
            directions=solutions[0].directions,
            bias=scaling.constant is not None,
            center=scaling.center,
            scale=scaling.scale,
            empty=scaling.empty,
            classes=None if data.labels is None else plain_labels(data.labels),
            feature_names=feature_names,
            encoder=data.encoder,
        )


def of_all_classes(
    data: Data, intercept: NDArray[np.float64]
) -> tuple[NDArray[np.intp] | None, NDArray[np.float64]]:
    """Places of the outputs trained on, if not all are, and an intercept for all: -inf for the others."""
    if data.present is None:
        return None, intercept
    assert data.labels is not None
    outputs = data.present[-len(intercept) :]  # the first of two classes has the log-odds 0
    found = np.full(len(data.labels), -np.inf)
    found[data.present] = 0
    found[outputs] = intercept
    return outputs, found


def programs_of(
    data: Data,
    X: Any,
    w: NDArray[np.float64],
    activation: str,
    monotone: NDArray[np.int8] | None,
    *,
    shared: bool,
) -> list[Problem]:
    """Programs over rows of training: a joint one, or one for each column of the targets."""
    joint = shared or losses.core_name(data.loss, data.y.shape[1]) == losses.JOINT
    return [
        Problem(
            X,
            np.ascontiguousarray(part),
            not joint,
            w,
            activation,
            data.loss,
            losses.specification(data.loss, data.parameter, part, w),
            monotone,
        )
        for part in ([data.y] if joint else data.y.T[:, :, np.newaxis])
    ]


def encoded_directions(
    directions: NDArray[np.int8] | None, encoder: TableEncoder | None
) -> NDArray[np.int8] | None:
    """Those of the columns that an encoder, if there is one, makes: ramps rise with their column."""
    if directions is None or encoder is None:
        return directions
    encoded = directions[encoder.origin_]
    for j, column in enumerate(encoder.columns_):
        if column.gaps:  # the last one, which says whether a value is missing, is free
            encoded[np.flatnonzero(encoder.origin_ == j)[-1]] = 0
    return encoded


def canonical(
    X: check.Rows, y: NDArray[np.float64], w: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Places of rows, their targets and weights in a form that order and repetition of rows do not change.

    Rows of weight zero go, equal rows (x, y) become one with the sum of their weights, and rows are sorted.
    """
    used = np.flatnonzero(w > 0)
    X, y, w = X[used] + 0.0, y[used] + 0.0, w[used]  # + 0.0: no negative zeros
    packed = np.concatenate([X.view(np.uint8), y.view(np.uint8)], axis=1)
    key = packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    ascending = np.lexsort((w, group))  # sums of weights must not depend on their order either
    return used[first], y[first], np.bincount(group[ascending], w[ascending]).astype(np.float64)


def canonical_sparse(
    X: Any, y: NDArray[np.float64], w: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """As `canonical`, for sparse rows."""
    used = np.flatnonzero(w > 0)
    y, w = y[used] + 0.0, w[used]
    keys = np.concatenate([sparse_keys(X)[used][:, np.newaxis], y], axis=1)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    group = group.ravel()  # which NumPy 2.0 gives another axis
    ascending = np.lexsort((w, group))
    return used[first], y[first], np.bincount(group[ascending], w[ascending]).astype(np.float64)


def labelled_weights(
    sample_weight: ArrayLike | None,
    y: NDArray[Any],
    class_weight: Mapping[Any, float] | str | None,
) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[np.intp]]:
    """Weights of samples times those of classes, the labels in order, and the place of each sample's."""
    weight = check.raw_weights(sample_weight, len(y))
    labels, code = np.unique(y, return_inverse=True)
    with np.errstate(over="ignore"):
        weight = weight * class_weights(class_weight, labels, code, weight)
    check.finite(weight, "sample_weight times class_weight")
    return weight, labels, code


def class_weights(
    class_weight: Mapping[Any, float] | str | None,
    labels: NDArray[Any],
    code: NDArray[np.intp],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Factors of samples with the labels ``labels[code]``."""
    if class_weight is None:
        return np.ones(len(code))
    if isinstance(class_weight, str):
        totals = np.bincount(code, weight)
        balanced: NDArray[np.float64] = weight.sum() / (
            np.count_nonzero(totals) * np.where(totals > 0, totals, np.inf)
        )
        return balanced[code]
    factor, named = np.ones(len(labels)), 0
    for place, label in enumerate(labels):
        if label in class_weight:
            name = f"class_weight of the class {labels.tolist()[place]!r}"
            factor[place] = check.at_least_zero(class_weight[label], name)
            named += 1
    if named < min(len(labels), len(class_weight)):  # a key is misspelt, as a class went without weight
        raise ValueError(
            f"class_weight has the keys {list(class_weight)}; expected classes of y, {labels.tolist()}"
        )
    return factor[code]


def plain_labels(labels: NDArray[Any]) -> list[Label] | None:
    """Labels for the file of a network, or None if it cannot hold them."""
    plain = labels.tolist()
    return plain if all(isinstance(label, str | int | float) for label in plain) else None
