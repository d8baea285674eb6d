"""What a network is: its arrays, what they must be, and what can be said of it without any rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from pathrelu import _validation as check
from pathrelu.arrangements import n_edges
from pathrelu.encoding import RawTable, TableEncoder

Label: TypeAlias = str | int | float | bool


class NetworkData:
    """What both kinds of network hold; see `ParallelReLUNetwork`."""

    kind: ClassVar[str]
    #: Arrays with one entry for each sub-network.
    subnetwork_arrays: ClassVar[tuple[str, ...]] = (
        "leaf_weights",
        "leaf_bias",
        "edge_signs",
        "output_weights",
    )
    arrays: ClassVar[tuple[str, ...]] = (*subnetwork_arrays, "intercept", "center", "scale")
    skip_arrays: ClassVar[tuple[str, ...]] = ("skip_weights", "skip_bias")

    gates: check.Rows | None = None
    gate_bias: check.Rows | None = None

    def __init__(
        self,
        leaf_weights: ArrayLike,
        *,
        leaf_bias: ArrayLike | None = None,
        edge_signs: ArrayLike | None = None,
        output_weights: ArrayLike | None = None,
        output_sign: ArrayLike | None = None,
        output_index: ArrayLike | None = None,
        intercept: float | ArrayLike = 0.0,
        center: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        bias_scale: float = 1.0,
        width: Sequence[int] | None = None,
        classes: Sequence[Label] | None = None,
        feature_names: Sequence[str] | None = None,
        target: str | None = None,
        skip_weights: ArrayLike | None = None,
        skip_bias: ArrayLike | None = None,
        encoder: TableEncoder | None = None,
    ) -> None:
        leaves = check.numeric(leaf_weights, "leaf_weights")
        if leaves.ndim != 3 or 0 in leaves.shape[1:]:
            raise ValueError(f"leaf_weights has shape {leaves.shape}; expected (K, paths, n_features)")
        check.finite(leaves, "leaf_weights")
        K, paths, d = leaves.shape
        if width is None:
            width = () if paths == 1 else (paths,)
        width = check.sequence(width, "width", "a sequence of integers or None")
        self.width = tuple(check.tree_width(len(width) + 2, width))
        if math.prod(self.width) != paths:
            raise ValueError(
                f"width is {self.width}, which has {math.prod(self.width)} paths; leaf_weights has {paths}"
            )
        edges = n_edges(self.width)
        if edge_signs is None and edges > 0:
            raise ValueError(f"edge_signs is None; expected the shape {(K, edges)}")

        self.leaf_weights = leaves
        self.leaf_bias = (
            np.zeros((K, paths), leaves.dtype)
            if leaf_bias is None
            else _like(leaf_bias, leaves[..., 0], "leaf_bias")
        )
        self.edge_signs = _signs(
            np.ones((K, 0)) if edge_signs is None else edge_signs, (K, edges), "edge_signs"
        )
        self.intercept = np.atleast_1d(check.numeric(intercept, "intercept")).astype(np.float64)
        if self.intercept.ndim != 1 or len(self.intercept) == 0:
            raise ValueError(f"intercept has shape {self.intercept.shape}; expected (n_outputs,)")
        # A class of probability 0 has the intercept -inf; some output is finite.
        never = np.isneginf(self.intercept)
        check.finite(self.intercept if never.all() else self.intercept[~never], "intercept")
        C = len(self.intercept)
        self.output_weights = _output_weights(output_weights, output_sign, output_index, (K, C))
        self.center = check.array_of(np.zeros(d) if center is None else center, (d,), "center").astype(
            np.float64
        )
        self.scale = check.array_of(np.ones(d) if scale is None else scale, (d,), "scale").astype(np.float64)
        if (self.scale <= 0).any():
            raise ValueError(f"scale has the value {self.scale.min():g}; expected all above 0")
        self.bias_scale = check.positive(bias_scale, "bias_scale")
        self.classes = _labels(classes, len(self.intercept))
        self.encoder = _encoder(encoder, d)
        self.feature_names = _names(feature_names, self.n_features)
        if target is not None and not isinstance(target, str):
            raise TypeError(f"target is {target!r}; expected a string or None")
        self.target = target
        self.skip_weights: check.Rows | None = None
        self.skip_bias: check.Rows | None = None
        if skip_weights is not None:
            self.skip_weights = check.array_of(skip_weights, (C, d), "skip_weights").astype(leaves.dtype)
            self.skip_bias = check.array_of(
                np.zeros(C) if skip_bias is None else skip_bias, (C,), "skip_bias"
            ).astype(leaves.dtype)
        elif skip_bias is not None:
            raise ValueError("skip_bias came without skip_weights")

    @property
    def n_subnetworks(self) -> int:
        """Number of sub-networks, K; a skip connection is none."""
        return int(self.leaf_weights.shape[0])

    @property
    def n_features(self) -> int:
        """Columns of the rows that the network takes."""
        return self.n_columns if self.encoder is None else self.encoder.n_features_in_

    @property
    def n_columns(self) -> int:
        """Columns that leaves have weights for: encoded ones, if the network has an encoder."""
        return int(self.leaf_weights.shape[2])

    @property
    def origin(self) -> NDArray[np.intp]:
        """Which column of the rows each of those that leaves have weights for is made of, (n_columns,)."""
        return np.arange(self.n_columns) if self.encoder is None else self.encoder.origin_

    def column_names(self) -> list[str]:
        """Names of the columns that leaves have weights for, or their numbers.

        Returns
        -------
        list of str
        """
        names = self.feature_names or [str(k) for k in range(self.n_features)]
        return names if self.encoder is None else self.encoder.names_of(names)

    def raw_table(self, X: Any) -> RawTable:
        """Raw rows, read once and checked.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features) or RawTable

        Returns
        -------
        RawTable
        """
        if self.encoder is None:
            return X if isinstance(X, RawTable) else RawTable.of_block(self.columns_of(X))
        raw = self.encoder.read(X).named(self.feature_names)
        self.encoder.check_kinds(raw)
        return raw

    def columns_of(self, X: Any, *, must_be_finite: bool = True) -> check.Rows:
        """Columns (n, n_columns) that leaves have weights for, of raw rows, in their dtype.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features) or RawTable
            Raw rows. A data frame may have its columns in any order, and others too, if the network has an
            encoder with names.
        must_be_finite : bool, default=True
            Whether rows of a network without an encoder are refused if they are not finite.

        Returns
        -------
        ndarray
        """
        if self.encoder is not None:
            return self.encoder.encode(self.raw_table(X))
        if isinstance(X, RawTable):
            X = X.block
        table = check.rows(X, must_be_finite=must_be_finite)
        if table.shape[1] != self.n_features:
            raise ValueError(f"X has {table.shape[1]} columns; expected {self.n_features}")
        return table

    @property
    def n_outputs(self) -> int:
        """Outputs: 1 for two classes, as many as classes for more."""
        return len(self.intercept)

    @property
    def output_index(self) -> NDArray[np.int64]:
        """Which output each sub-network feeds, (K,): of one that feeds several, the one it moves most."""
        index: NDArray[np.int64] = np.abs(self.output_weights).argmax(axis=1).astype(np.int64)
        return index

    @property
    def output_sign(self) -> NDArray[np.int8]:
        """Whether a sub-network adds to that output, +1, or is taken from it, -1; (K,)."""
        main = self.output_weights[np.arange(self.n_subnetworks), self.output_index]
        return np.where(main < 0, -1, 1).astype(np.int8)

    @property
    def shared_outputs(self) -> bool:
        """Whether some sub-network feeds several outputs."""
        return bool((np.count_nonzero(self.output_weights, axis=1) > 1).any())

    @property
    def depth(self) -> int:
        """Number of layers of weights."""
        return len(self.width) + 2

    @property
    def skip_connection(self) -> bool:
        """Whether the network has a linear part beside its sub-networks."""
        return self.skip_weights is not None

    def __repr__(self) -> str:
        skip = ", skip_connection=True" if self.skip_connection else ""
        return (
            f"{type(self).__name__}({self.n_subnetworks} sub-networks, depth={self.depth}, "
            f"width={self.width}, n_features={self.n_features}, n_outputs={self.n_outputs}{skip})"
        )

    def switches(self) -> tuple[check.Rows, check.Rows]:
        """Leaf weights and biases of the trees whose signs switch units: the gates, or the network's own.

        Returns
        -------
        weights : ndarray of shape (K, paths, n_features)
        bias : ndarray of shape (K, paths)
        """
        if self.gates is None or self.gate_bias is None:
            return self.leaf_weights, self.leaf_bias
        return self.gates, self.gate_bias

    def _skip(self) -> tuple[check.Doubles, check.Doubles]:
        """Weights and biases of the skip connection in float64; no rows without one."""
        if self.skip_weights is None or self.skip_bias is None:
            return np.empty((0, self.n_columns)), np.empty(0)
        return double(self.skip_weights), double(self.skip_bias)

    def subnetwork_norms(self) -> NDArray[np.float64]:
        """Path norm of each sub-network, over its paths to all outputs, in the scaled space of training.

        It is the norm of the leaf weights and biases times that of the output weights. That of the skip
        connection is not among them.

        Returns
        -------
        ndarray of shape (K,), float64
        """
        weights = double(self.leaf_weights)
        bias = double(self.leaf_bias) / self.bias_scale
        norms: NDArray[np.float64] = np.sqrt((weights**2).sum(axis=(1, 2)) + (bias**2).sum(axis=1))
        norms *= np.sqrt((self.output_weights**2).sum(axis=1))
        return norms

    def output_norms(self) -> NDArray[np.float64]:
        """Path norm for each output: of the sub-networks that feed it most, and its skip connection.

        Returns
        -------
        ndarray of shape (n_outputs,), float64
        """
        norms = self._skip_norms() if self.skip_connection else np.zeros(self.n_outputs)
        np.add.at(norms, self.output_index, self.subnetwork_norms())
        return norms

    def _skip_norms(self) -> NDArray[np.float64]:
        weights, bias = self._skip()
        norms: NDArray[np.float64] = np.sqrt((weights**2).sum(axis=1) + (bias / self.bias_scale) ** 2)
        return norms

    def path_norm(self) -> float:
        """The path regularizer: sum of the path norms of the sub-networks and of the skip connection.

        The path norm of a skip connection is the norm of its weights, for each output.

        Returns
        -------
        float
        """
        return float(self.subnetwork_norms().sum() + self._skip_norms().sum())

    @property
    def weights(self) -> dict[str, check.Rows]:
        """Weights of every layer *for raw rows*: centering and scaling are folded in.

        ``hidden_1`` (K, paths, n_features) and ``bias_1`` (K, paths) give the leaves; ``hidden_l`` (K, units
        of layer l, width[l - 2]) the edges from the children of each unit of hidden layer l; ``output``
        (n_outputs, K) and ``intercept`` (n_outputs,) the rest. With a skip connection, ``skip`` (n_outputs,
        n_features) and ``skip_bias`` (n_outputs,) are its linear map of the row.
        """
        leaves, bias = self._folded(self.leaf_weights, self.leaf_bias)
        result: dict[str, check.Rows] = {"hidden_1": leaves, "bias_1": bias}
        begin = 0
        for layer, children in enumerate(self.width):
            units = math.prod(self.width[layer:])
            signs = self.edge_signs[:, begin : begin + units]
            result[f"hidden_{layer + 2}"] = signs.reshape(-1, units // children, children).astype(np.float64)
            begin += units
        result |= {"output": self.output_weights.T.copy(), "intercept": self.intercept.copy()}
        if self.skip_connection:
            result["skip"], result["skip_bias"] = self._folded(*self._skip())
        return result

    def _folded(self, weights: check.Rows, bias: check.Rows) -> tuple[check.Rows, check.Rows]:
        raw = double(weights) / self.scale
        return raw, double(bias) - (raw * self.center).sum(axis=-1)

    def _encode(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """Labels as 0 and 1, (n, n_outputs)."""
        assert self.classes is not None
        matches = np.stack([y == label for label in self.classes], axis=1)
        if not matches.any(axis=1).all():
            label = y[~matches.any(axis=1)].tolist()[0]
            raise ValueError(f"y has the label {label!r}; expected one of {self.classes}")
        return matches[:, -self.n_outputs :].astype(np.float64)


def double(array: check.Rows) -> NDArray[np.float64]:
    return np.ascontiguousarray(array, dtype=np.float64)


def _like(values: ArrayLike, model: check.Rows, name: str) -> check.Rows:
    return check.array_of(values, model.shape, name).astype(model.dtype)


def _signs(values: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.int8]:
    array = check.array_of(values, shape, name)
    if not np.isin(array, (-1, 1)).all():
        raise ValueError(f"{name} has an entry other than +1 and -1")
    return np.ascontiguousarray(array, dtype=np.int8)


def _output_weights(
    weights: ArrayLike | None, sign: ArrayLike | None, index: ArrayLike | None, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Weights (K, n_outputs) as given, or by the one output that each sub-network feeds and its sign."""
    K, C = shape
    if weights is not None:
        if sign is not None or index is not None:
            raise ValueError(
                "output_weights came with output_sign or output_index; expected one or the other"
            )
        return check.array_of(weights, shape, "output_weights").astype(np.float64)
    signs = _signs(np.ones(K) if sign is None else sign, (K,), "output_sign")
    given = check.array_of(np.zeros(K) if index is None else index, (K,), "output_index")
    place = given.astype(np.int64)
    if (place != given).any() or (place < 0).any() or (place >= C).any():
        raise ValueError(f"output_index has an entry other than 0 to {C - 1}")
    result = np.zeros(shape)
    result[np.arange(K), place] = signs
    return result


def _labels(classes: Sequence[Label] | None, n_outputs: int) -> list[Label] | None:
    if classes is None:
        return None
    labels = check.sequence(classes, "classes", "a sequence of labels or None")
    expected = 2 if n_outputs == 1 else n_outputs
    if len(labels) != expected:
        raise ValueError(f"classes has {len(labels)} labels; expected {expected} for {n_outputs} outputs")
    for label in labels:
        if not isinstance(label, str | int | float) or (
            isinstance(label, float) and not math.isfinite(label)
        ):
            raise TypeError(f"classes has the label {label!r}; expected str, int, float or bool")
    if len(set(labels)) < len(labels):
        raise ValueError("classes has a label twice")
    return labels


def _encoder(encoder: TableEncoder | None, n_columns: int) -> TableEncoder | None:
    if encoder is None:
        return None
    check.instance(encoder, TableEncoder, "encoder", "None or a fitted TableEncoder")
    check_is_fitted(encoder)
    if len(encoder.origin_) != n_columns:
        raise ValueError(f"encoder gives {len(encoder.origin_)} columns; leaf_weights has {n_columns}")
    return encoder


def _names(names: Sequence[str] | None, n_features: int) -> list[str] | None:
    if names is None:
        return None
    result = check.sequence(names, "feature_names", "a sequence of strings or None")
    if len(result) != n_features or not all(isinstance(name, str) for name in result):
        raise ValueError(f"feature_names has {len(result)} entries; expected {n_features} strings")
    return result
