"""Networks: what a solution stands for, on any rows."""

from __future__ import annotations

import copy
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pathrelu import _core, _files, losses
from pathrelu import _validation as check
from pathrelu.arrangements import Arrangements, n_edges

if TYPE_CHECKING:
    from pathrelu.estimators import PathReLUClassifier, PathReLURegressor

FORMAT = "pathrelu-network"
VERSION = 3
SKIP_VERSION = 2  # from which on there may be a skip connection
RELEASE_VERSION = 3  # from which on a file names the release that wrote it

Label: TypeAlias = str | int | float | bool


class _Network:
    """What both kinds of network share; see `ParallelReLUNetwork`."""

    kind: ClassVar[str]
    arrays: ClassVar[tuple[str, ...]] = (
        "leaf_weights",
        "leaf_bias",
        "edge_signs",
        "output_sign",
        "output_index",
        "intercept",
        "center",
        "scale",
    )
    skip_arrays: ClassVar[tuple[str, ...]] = ("skip_weights", "skip_bias")

    def __init__(
        self,
        leaf_weights: ArrayLike,
        *,
        leaf_bias: ArrayLike | None = None,
        edge_signs: ArrayLike | None = None,
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
        self.output_sign = _signs(np.ones(K) if output_sign is None else output_sign, (K,), "output_sign")
        self.intercept = np.atleast_1d(check.numeric(intercept, "intercept")).astype(np.float64)
        if self.intercept.ndim != 1 or len(self.intercept) == 0:
            raise ValueError(f"intercept has shape {self.intercept.shape}; expected (n_outputs,)")
        # A class of probability 0 has the intercept -inf; some output is finite.
        never = np.isneginf(self.intercept)
        check.finite(self.intercept if never.all() else self.intercept[~never], "intercept")
        index = check.array_of(np.zeros(K) if output_index is None else output_index, (K,), "output_index")
        self.output_index = index.astype(np.int64)
        if (self.output_index != index).any() or (index < 0).any() or (index >= len(self.intercept)).any():
            raise ValueError(f"output_index has an entry other than 0 to {len(self.intercept) - 1}")
        self.center = check.array_of(np.zeros(d) if center is None else center, (d,), "center").astype(
            np.float64
        )
        self.scale = check.array_of(np.ones(d) if scale is None else scale, (d,), "scale").astype(np.float64)
        if (self.scale <= 0).any():
            raise ValueError(f"scale has the value {self.scale.min():g}; expected all above 0")
        self.bias_scale = check.positive(bias_scale, "bias_scale")
        self.classes = _labels(classes, len(self.intercept))
        self.feature_names = _names(feature_names, d)
        if target is not None and not isinstance(target, str):
            raise TypeError(f"target is {target!r}; expected a string or None")
        self.target = target
        self.skip_weights: check.Rows | None = None
        self.skip_bias: check.Rows | None = None
        if skip_weights is not None:
            C = len(self.intercept)
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
        return int(self.leaf_weights.shape[2])

    @property
    def n_outputs(self) -> int:
        """Outputs: 1 for two classes, as many as classes for more."""
        return len(self.intercept)

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

    def predict(self, X: ArrayLike, *, n_threads: int | None = None) -> check.Rows:
        """Outputs of the network.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Raw rows: centering and scaling are part of the network.
        n_threads : int, optional
            Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one.

        Returns
        -------
        ndarray of shape (n_rows,), or (n_rows, n_outputs) if there are several
            In the dtype of X. For a classifier these are log-odds, or logits of more than two classes.
        """
        table = check.rows(X, must_be_finite=False)  # the core looks while it reads them anyway
        if table.shape[1] != self.n_features:
            raise ValueError(f"X has {table.shape[1]} columns; expected {self.n_features}")
        outputs = self._outputs(table, check.threads(n_threads), check.column_names(X))
        return outputs[:, 0] if self.n_outputs == 1 else outputs

    def _gates(self) -> tuple[check.Rows, check.Rows]:
        """Weights and biases whose signs switch units, where these are not the unit's own."""
        return np.empty((0, 1, self.n_features)), np.empty((0, 1))

    def _outputs(self, table: check.Rows, threads: int, names: Sequence[str] | None = None) -> check.Rows:
        """Outputs (n, n_outputs). What is not finite is refused with the `names` of its columns."""
        gates, gate_bias = self._gates()
        skip, skip_bias = self._skip()
        outputs = _core.network_predict(
            table,
            self.center,
            self.scale,
            _double(self.leaf_weights.reshape(-1, self.n_features)),
            _double(self.leaf_bias.reshape(-1)),
            _double(gates.reshape(-1, self.n_features)),
            _double(gate_bias.reshape(-1)),
            self.edge_signs,
            self.output_sign.astype(np.float64),
            self.output_index,
            self.intercept,
            list(self.width),
            skip,
            skip_bias,
            threads,
        )
        if outputs is None:
            check.finite_columns(table, "X", names)
            raise AssertionError("the core found an entry that is not finite")
        return outputs

    def _skip(self) -> tuple[check.Doubles, check.Doubles]:
        """Weights and biases of the skip connection in float64; no rows without one."""
        if self.skip_weights is None or self.skip_bias is None:
            return np.empty((0, self.n_features)), np.empty(0)
        return _double(self.skip_weights), _double(self.skip_bias)

    def subnetwork_norms(self) -> NDArray[np.float64]:
        """Path norm of each sub-network, in the scaled space where training took place.

        That of the skip connection is not among them.

        Returns
        -------
        ndarray of shape (K,), float64
        """
        weights = _double(self.leaf_weights)
        bias = _double(self.leaf_bias) / self.bias_scale
        norms: NDArray[np.float64] = np.sqrt((weights**2).sum(axis=(1, 2)) + (bias**2).sum(axis=1))
        return norms

    def path_norm(self) -> float:
        """The path regularizer: sum of the path norms of the sub-networks and of the skip connection.

        The path norm of a skip connection is the norm of its weights, for each output.

        Returns
        -------
        float
        """
        weights, bias = self._skip()
        skip = np.sqrt((weights**2).sum(axis=1) + (bias / self.bias_scale) ** 2)
        return float(self.subnetwork_norms().sum() + skip.sum())

    def prune(self, X: ArrayLike, *, n_threads: int | None = None) -> Self:
        """A network with the same outputs on the rows of `X` and no larger path norm, of few sub-networks.

        Sub-networks are rescaled, and those that this makes zero are left out, until the outputs of the rest
        on `X` are linearly independent (Carathéodory's theorem for cones). For each output no more are left
        than `X` has rows, and the objective of the training problem on `X` is not higher, whatever the loss.
        On other rows the outputs are in general not the same. The skip connection and the intercept stay.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Raw rows, as a rule those of training.
        n_threads : int, optional
            Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one.

        Returns
        -------
        ParallelReLUNetwork or GatedReLUNetwork
        """
        table = check.rows(X)
        if table.shape[1] != self.n_features:
            raise ValueError(f"X has {table.shape[1]} columns; expected {self.n_features}")
        factors = self.fewest_subnetworks(table, check.threads(n_threads))
        kept = factors > 0
        pruned = copy.copy(self)
        for name in ("leaf_weights", "leaf_bias", "edge_signs", "output_sign", "output_index"):
            setattr(pruned, name, getattr(self, name)[kept])
        if isinstance(pruned, GatedReLUNetwork):
            pruned.gates, pruned.gate_bias = pruned.gates[kept], pruned.gate_bias[kept]
        scale = factors[kept, np.newaxis].astype(self.leaf_weights.dtype)
        pruned.leaf_weights = pruned.leaf_weights * scale[:, np.newaxis]
        pruned.leaf_bias = pruned.leaf_bias * scale
        return pruned

    def fewest_subnetworks(self, table: check.Rows, threads: int) -> check.Doubles:
        """Factors of the sub-networks for `prune`; zero for those that go.

        Parameters
        ----------
        table : ndarray of shape (n_rows, n_features)
            Checked rows.
        threads : int

        Returns
        -------
        ndarray of shape (K,), float64
        """
        n, K, norms = len(table), self.n_subnetworks, self.subnetwork_norms()
        each = copy.copy(self)  # every sub-network an output of its own
        each.output_index, each.intercept, each.skip_weights = np.arange(K), np.zeros(K), None
        factors, some = np.zeros(K), 2 * K + 1
        while True:  # columns that are independent on some rows are so on all
            taken = np.arange(n) if some >= n else np.arange(some) * n // some
            F = each._outputs(_double(table[taken]), threads)
            for output in range(self.n_outputs):
                own = (self.output_index == output) & (norms > 0)
                factors[own] = _core.fewest_columns(_double(F[:, own]), norms[own])
            if some >= n or (factors[norms > 0] == 1).all():
                return factors
            some *= 8

    def objective(
        self,
        X: ArrayLike,
        y: ArrayLike,
        alpha: float,
        *,
        loss: str = "squared_error",
        quantile: float | None = None,
        threshold: float | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Objective of the training problem, ``mean(w * loss) + alpha * path_norm``, in float64.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Raw rows.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            For "log_loss" and "squared_hinge" as for `solve`, or labels if the network has `classes`. Several
            outputs are the classes of a joint softmax for "log_loss", one binary problem each for
            "squared_hinge".
        alpha : float
            At least 0.
        loss, quantile, threshold
            As for `solve`.
        sample_weight : array-like of shape (n_rows,), optional
            Scaled to mean 1.

        Returns
        -------
        float
        """
        alpha = check.at_least_zero(alpha, "alpha")
        loss = check.choice(loss, "loss", losses.NAMES)
        value = losses.parameter(loss, quantile, threshold)
        table = np.ascontiguousarray(check.rows(X), dtype=np.float64)
        n = len(table)
        if loss in losses.BINARY and self.classes is not None and np.ndim(y) == 1:
            y = self._encode(np.asarray(y))
        target, _ = check.targets(y, n, loss, both=False)
        check.shape(target, (n, self.n_outputs), "y")
        weight = check.weights(sample_weight, n)
        outputs = self._outputs(table, check.threads(None))
        possible = np.isfinite(self.intercept)
        if not possible.all():
            if loss != "log_loss":
                raise ValueError(
                    f"loss is {loss!r}, and the network has the intercept -inf of a class of probability 0; "
                    "expected 'log_loss'"
                )
            used = weight > 0
            target, outputs, weight = target[used], outputs[used], check.unit_mean(weight[used])
            if target[:, ~possible].any():
                return math.inf
            target = np.ascontiguousarray(target[:, possible])
            outputs = np.ascontiguousarray(outputs[:, possible])
        losses.check_targets(target, weight, loss)
        core_loss = losses.specification(loss, value, target, weight)
        return _core.mean_loss(_double(outputs), target, weight, core_loss) + alpha * self.path_norm()

    def _encode(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """Labels as 0 and 1, (n, n_outputs)."""
        assert self.classes is not None
        matches = np.stack([y == label for label in self.classes], axis=1)
        if not matches.any(axis=1).all():
            label = y[~matches.any(axis=1)].tolist()[0]
            raise ValueError(f"y has the label {label!r}; expected one of {self.classes}")
        return matches[:, -self.n_outputs :].astype(np.float64)

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
        output = np.zeros((self.n_outputs, self.n_subnetworks))
        output[self.output_index, np.arange(self.n_subnetworks)] = self.output_sign
        result |= {"output": output, "intercept": self.intercept.copy()}
        if self.skip_connection:
            result["skip"], result["skip_bias"] = self._folded(*self._skip())
        return result

    def _folded(self, weights: check.Rows, bias: check.Rows) -> tuple[check.Rows, check.Rows]:
        raw = _double(weights) / self.scale
        return raw, _double(bias) - (raw * self.center).sum(axis=-1)

    def parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What a file of the network holds; `from_parts` takes it.

        Returns
        -------
        header : dict
        arrays : dict of str to ndarray
        """
        from pathrelu import __version__

        header = {
            "format": FORMAT,
            "version": VERSION,
            "pathrelu_version": __version__,
            "kind": self.kind,
            "width": list(self.width),
            "bias_scale": self.bias_scale,
            "classes": self.classes,
            "feature_names": self.feature_names,
            "target": self.target,
        }
        names = self.arrays + (self.skip_arrays if self.skip_connection else ())
        return header, {name: getattr(self, name) for name in names}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file, for `load`: arrays and a JSON header in an uncompressed .npz archive.

        Nothing in it can be executed. An existing file keeps its content until the new one is complete, and
        its mode; a symbolic link stays one, and what it points to is written. FIFOs and character devices
        are written to.

        Parameters
        ----------
        path : str or path-like
            Used as it is; ``.npz`` is customary. If it ends in ``.json``, the file is JSON, `to_dict`,
            instead: longer, and just as exact.

        Raises
        ------
        ValueError
            If `load` would refuse the file, because attributes have been changed. Nothing is written then.
        """
        in_json = Path(check.path(path)).suffix.lower() == ".json"
        content = _files.json_bytes(self.to_dict()) if in_json else _files.archive_bytes(*self.parts())
        save_content(content, path)

    def to_dict(self) -> dict[str, Any]:
        """The network as numbers, text and lists, which JSON can hold without loss.

        Returns
        -------
        dict
            ``format``, ``version``, ``pathrelu_version``, ``kind``, ``width``, ``bias_scale``, ``classes``,
            ``feature_names``, ``target`` and ``arrays``: for each array its ``dtype``, ``shape`` and
            ``values`` in C order, with the text "-inf" for the intercept of a class of probability 0.

        Examples
        --------
        >>> import json
        >>> from pathrelu import ParallelReLUNetwork
        >>> network = ParallelReLUNetwork([[[1.0, -2.0]]], intercept=0.1)
        >>> text = json.dumps(network.to_dict())
        >>> ParallelReLUNetwork.from_dict(json.loads(text)).predict([[3.0, 1.0]])
        array([1.1])
        """
        header, arrays = self.parts()
        return header | {"arrays": {name: _files.to_plain(array) for name, array in arrays.items()}}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The network that `to_dict` described, bit for bit.

        Parameters
        ----------
        content : dict
            As from `to_dict`.

        Returns
        -------
        ParallelReLUNetwork or GatedReLUNetwork
            Of the class this is called on.

        Raises
        ------
        ValueError
            If it is no such description, or has a version, kind, key, shape, dtype or value that is not
            known.
        """
        try:
            network = from_dict(content)
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ValueError(f"content does not describe a network: {reason}") from None
        if not isinstance(network, cls):
            raise ValueError(f"content describes a {type(network).__name__}; expected a {cls.__name__}")
        return network

    def to_torch(self, *, dtype: DTypeLike | None = None) -> Any:
        """A trainable PyTorch module with the same outputs.

        Parameters
        ----------
        dtype : {float32, float64}, optional
            That of the leaf weights by default.

        Returns
        -------
        torch.nn.Module
            It maps raw rows (n_rows, n_features) to what `predict` gives: (n_rows,), or (n_rows, n_outputs)
            if there are several outputs. Weights of leaves, edges, outputs and the skip connection and the
            intercept are parameters; what centers and scales rows, and the gates of a gated network, are
            buffers.

        Raises
        ------
        ImportError
            If PyTorch is not installed, ``pip install 'pathrelu[torch]'``.
        ValueError
            If float32 cannot hold a weight, or the center or the scale of a column, which is named.

        Notes
        -----
        In float64 the outputs are those of `predict` to rounding. A float32 module computes gates in float32
        too, where `predict` uses float64: a row within rounding of a gate may fall on its other side.
        """
        from pathrelu.export import to_torch

        return to_torch(self, dtype=dtype)

    def to_onnx(self, path: str | os.PathLike[str], *, dtype: DTypeLike = np.float32) -> None:
        """Write the network to an ONNX file: opset 17, IR version 8, any number of rows.

        Its input is ``X`` (n_rows, n_features), raw rows. A network with `classes` has the outputs ``label``
        (n_rows,) and ``probabilities`` (n_rows, n_classes), any other has ``variable`` (n_rows, n_outputs).
        Names of features and target, classes and the version of pathrelu are in ``metadata_props``, as text
        or JSON. The file is written as `save` writes one, once it has been checked.

        Parameters
        ----------
        path : str or path-like
        dtype : {float32, float64}, default=float32
            Of the rows and of the outputs.

        Raises
        ------
        ImportError
            If onnx is not installed, ``pip install 'pathrelu[onnx]'``.
        ValueError
            If the classes are of several types, or integers beyond 64 bits, which ONNX does not have, or
            float32 cannot hold a weight, or the center or the scale of a column, which is named.

        Notes
        -----
        The file of a gated network computes gates in float64, whatever `dtype`, as `predict` does, so that
        rounding does not turn units on or off; a runtime for it must have float64.
        """
        from pathrelu.export import to_onnx

        to_onnx(self, path, dtype=dtype)


class ParallelReLUNetwork(_Network):
    """Sum of K sub-networks, each a tree of ReLU units, and an intercept.

    Edges between units and from the roots to the outputs are +1 or -1: positive factors are moved into the
    leaf weights, where the path norm of a sub-network is the Frobenius norm of its leaf weights and biases.
    Leaf weights are for rows that were centered and scaled, ``(x - center) / scale``.

    Parameters
    ----------
    leaf_weights : array-like of shape (K, paths, n_features)
        float32 or float64.
    leaf_bias : array-like of shape (K, paths), optional
        Zeros by default.
    edge_signs : array-like of shape (K, edges), optional
        +1 or -1; needed beyond depth 2. Edge u joins unit u to its parent: leaves first, layer by layer.
    output_sign : array-like of shape (K,), optional
        +1 or -1; +1 by default.
    output_index : array-like of shape (K,), optional
        Which output each sub-network feeds; the first by default.
    intercept : float or array-like of shape (n_outputs,), default=0.0
        -inf, but not for all outputs, for a class that has probability 0.
    center, scale : array-like of shape (n_features,), optional
        Zeros and ones by default.
    bias_scale : float, default=1.0
        What the column of ones was scaled by: path norms count ``leaf_bias / bias_scale``.
    width : sequence of int, optional
        ``(m_1, ..., m_{L-2})``; by default one path means depth 2 and more mean depth 3.
    classes : sequence of str, int, float or bool, optional
        Labels, if this is a classifier: two for one output, else one per output.
    feature_names : sequence of str, optional
    target : str, optional
        Name of what is predicted.
    skip_weights : array-like of shape (n_outputs, n_features), optional
        Weights of a linear part of the network, for centered and scaled rows; None for a network without a
        skip connection.
    skip_bias : array-like of shape (n_outputs,), optional
        Zeros by default.

    Examples
    --------
    >>> from pathrelu import ParallelReLUNetwork
    >>> network = ParallelReLUNetwork([[[1.0, 0.0]], [[0.0, 2.0]]], output_sign=[1, -1])
    >>> network.predict([[3.0, 1.0], [-1.0, -1.0]])  # max(x, 0) - max(2 y, 0)
    array([1., 0.])
    >>> network.path_norm()
    3.0
    """

    kind = "relu"


class GatedReLUNetwork(_Network):
    """Sum of K gated sub-networks and an intercept.

    A unit passes its input unchanged where the same unit of another tree, that of `gates`, is on.

    Parameters
    ----------
    leaf_weights, **shared
        As for `ParallelReLUNetwork`.
    gates : array-like of shape (K, paths, n_features)
        Leaf weights of the trees that switch the units, for centered and scaled rows too; their edge signs
        are `edge_signs`.
    gate_bias : array-like of shape (K, paths), optional
        Zeros by default.

    Examples
    --------
    >>> from pathrelu import GatedReLUNetwork
    >>> network = GatedReLUNetwork([[[1.0, 0.0]]], gates=[[[0.0, 1.0]]])
    >>> network.predict([[3.0, 1.0], [3.0, -1.0]])  # x where y > 0
    array([3., 0.])
    """

    kind = "gated"
    arrays = (*_Network.arrays, "gates", "gate_bias")

    def __init__(
        self, leaf_weights: ArrayLike, *, gates: ArrayLike, gate_bias: ArrayLike | None = None, **shared: Any
    ) -> None:
        super().__init__(leaf_weights, **shared)
        shape = self.leaf_weights.shape
        self.gates = check.array_of(gates, shape, "gates")
        self.gate_bias = check.array_of(
            np.zeros(shape[:2]) if gate_bias is None else gate_bias, shape[:2], "gate_bias"
        )

    def _gates(self) -> tuple[check.Rows, check.Rows]:
        return self.gates, self.gate_bias

    @property
    def weights(self) -> dict[str, check.Rows]:
        """As for `ParallelReLUNetwork`, and ``gate_1`` (K, paths, n_features), ``gate_bias_1`` (K, paths)."""
        gate, bias = self._folded(self.gates, self.gate_bias)
        return super().weights | {"gate_1": gate, "gate_bias_1": bias}


KINDS: dict[str, type[ParallelReLUNetwork] | type[GatedReLUNetwork]] = {
    "relu": ParallelReLUNetwork,
    "gated": GatedReLUNetwork,
}


def subnetworks(arrangements: Arrangements, blocks: check.Rows) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Group and side of the blocks (P, S, paths, columns) that are sub-networks: not zero, not linear."""
    group, side = np.nonzero(blocks.any(axis=(2, 3)) & ~arrangements.linear[:, np.newaxis])
    return group, side


def assemble(
    parts: Sequence[tuple[Arrangements, check.Rows]],
    *,
    relu: bool,
    intercept: NDArray[np.float64],
    bias: bool = False,
    center: NDArray[np.float64] | None = None,
    scale: NDArray[np.float64] | None = None,
    empty: NDArray[np.bool_] | None = None,
    classes: Sequence[Label] | None = None,
    feature_names: Sequence[str] | None = None,
    outputs: NDArray[np.intp] | None = None,
) -> ParallelReLUNetwork | GatedReLUNetwork:
    """The network of one set of arrangements and blocks (P, S, paths, columns) per output.

    The parts may be those of some `outputs` only, by place; the others have nothing but their intercept.

    With `bias`, the last column of the blocks is the weight of a column of ones. Weights and gates of `empty`
    columns, which were zero in all rows, are rounding noise and become zero.
    """
    if not relu and any(arrangements.gates is None for arrangements, _ in parts):
        raise ValueError("arrangements came without gates, and a gated network needs them for new rows")
    leaves, gates, signs, output_sign, output_index = [], [], [], [], []
    # The block of the linear group, if there is one: its first path (the others are zero), output sign +1.
    skip = [blocks[arrangements.linear, 0, 0].sum(axis=0) for arrangements, blocks in parts]
    outputs = np.arange(len(intercept)) if outputs is None else outputs
    for output, (arrangements, blocks) in zip(outputs, parts, strict=True):
        group, side = subnetworks(arrangements, blocks)
        leaves.append(blocks[group, side])
        signs.append(arrangements.signs[group])
        output_sign.append(1 - 2 * side)
        output_index.append(np.full(len(group), output))
        if arrangements.gates is not None:
            gates.append(arrangements.gates[group])
    weights = np.concatenate(leaves)
    columns = weights.shape[2] - bias
    no_weight = np.flatnonzero(np.zeros(columns, bool) if empty is None else empty)
    weights[..., no_weight] = 0
    shared: dict[str, Any] = {
        "leaf_bias": weights[..., -1] if bias else None,
        "edge_signs": np.concatenate(signs),
        "output_sign": np.concatenate(output_sign),
        "output_index": np.concatenate(output_index),
        "intercept": intercept,
        "center": center,
        "scale": scale,
        "width": parts[0][0].width,
        "classes": classes,
        "feature_names": feature_names,
    }
    if parts[0][0].skip_connection:
        linear = np.zeros((len(intercept), weights.shape[2]), weights.dtype)
        linear[outputs] = np.stack(skip)
        linear[:, no_weight] = 0
        shared["skip_weights"] = linear[:, :columns]
        shared["skip_bias"] = linear[:, -1] if bias else None
    if relu:
        return ParallelReLUNetwork(weights[..., :columns], **shared)
    gate = np.concatenate(gates)
    gate[..., no_weight] = 0
    gate_bias = gate[..., -1] if bias else None
    return GatedReLUNetwork(weights[..., :columns], gates=gate[..., :columns], gate_bias=gate_bias, **shared)


def load(
    path: str | os.PathLike[str],
) -> ParallelReLUNetwork | GatedReLUNetwork | PathReLURegressor | PathReLUClassifier:
    """Read a network or an estimator that `save` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ParallelReLUNetwork, GatedReLUNetwork, or an estimator
        What was saved.

    Raises
    ------
    ValueError
        If the file is no such model, is damaged, or has a version, kind, key, shape, dtype or value that is
        not known. Nothing in the file is executed, and reading takes memory in proportion to its length.

    Examples
    --------
    >>> import pathrelu, tempfile
    >>> network = pathrelu.ParallelReLUNetwork([[[1.0, -1.0]]])
    >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
    ...     network.save(file.name)
    ...     pathrelu.load(file.name)
    ParallelReLUNetwork(1 sub-networks, depth=2, width=(), n_features=2, n_outputs=1)
    """
    path = check.path(path)
    try:
        with open(path, "rb") as file:
            # What cannot be read from any place, such as a pipe, is taken as a whole.
            return read(file if file.seekable() else io.BytesIO(file.read()))
    except OSError:
        raise
    except Exception as error:
        # Whatever a damaged file trips over, here or in zipfile and json.
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} is not a model that pathrelu can read: {reason}") from None


def save_content(content: bytes, path: str | os.PathLike[str]) -> None:
    """Write the file of a model, once it is known that `load` will take it."""
    try:
        read(io.BytesIO(content))
    except Exception as error:
        raise ValueError(f"the model cannot be saved, for load would refuse the file: {error}") from error
    _files.write_file(path, content)


def read(
    file: BinaryIO,
) -> ParallelReLUNetwork | GatedReLUNetwork | PathReLURegressor | PathReLUClassifier:
    """The model in the content of a file."""
    if not _files.is_archive(file):
        return from_dict(_files.read_json(file))
    header, arrays = _files.read_archive(file, _array_names)
    if header.get("format") == FORMAT:
        return from_parts(header, arrays)
    from pathrelu._portable import from_parts as estimator_from_parts

    model: PathReLURegressor | PathReLUClassifier = estimator_from_parts(header, arrays)
    return model


def _array_names(header: dict[str, Any], present: int) -> set[str]:
    """Names of the arrays that a file with this header, and as many arrays as are `present`, may have."""
    if header.get("format") == FORMAT:
        return {*GatedReLUNetwork.arrays, *GatedReLUNetwork.skip_arrays}
    from pathrelu._portable import FORMAT as ESTIMATOR

    if header.get("format") != ESTIMATOR:
        raise ValueError("its header is not that of a network or an estimator")
    count = header.get("n_arrays")
    if type(count) is not int or count != present:
        raise ValueError(f"n_arrays is {count!r:.40}; the file has {present}")
    return {f"array_{k}" for k in range(count)}


def from_dict(content: dict[str, Any]) -> ParallelReLUNetwork | GatedReLUNetwork:
    """The network that `to_dict` described."""
    if not isinstance(content, dict) or not isinstance(content.get("arrays"), dict):
        raise ValueError("it has no arrays")
    header = {key: value for key, value in content.items() if key != "arrays"}
    stored = {name: _files.from_plain(plain, name) for name, plain in content["arrays"].items()}
    return from_parts(header, stored)


def from_parts(
    header: dict[str, Any], stored: dict[str, NDArray[Any]]
) -> ParallelReLUNetwork | GatedReLUNetwork:
    """The network whose `parts` these are."""
    header = dict(header)
    if header.pop("format", None) != FORMAT:
        raise ValueError("its header is not that of a network")
    _files.check_version(header, range(1, VERSION + 1))
    version = header.pop("version")
    entries = {"width", "bias_scale", "classes", "feature_names", "target"}
    if version >= RELEASE_VERSION:
        entries.add("pathrelu_version")
    kind = header.pop("kind", None)
    if kind not in KINDS:
        raise ValueError(f"it holds a network of the kind {kind!r}; this release knows {', '.join(KINDS)}")
    cls = KINDS[kind]
    skip = version >= SKIP_VERSION and not stored.keys().isdisjoint(cls.skip_arrays)
    _files.check_entries(set(header), entries)
    _files.check_entries(set(stored), {*cls.arrays, *(cls.skip_arrays if skip else ())})
    header.pop("pathrelu_version", None)
    for name, array in stored.items():
        wanted = DTYPES.get(name, (np.float64,))
        if array.dtype not in wanted:
            raise ValueError(f"{name} has dtype {array.dtype}; expected {np.dtype(wanted[0])}")
    if not isinstance(header["width"], list):
        raise ValueError(f"width is {header['width']!r}; expected a list")
    arguments: dict[str, Any] = stored | header
    return cls(**arguments)


DTYPES: dict[str, tuple[type[np.generic], ...]] = {
    "leaf_weights": (np.float64, np.float32),
    "leaf_bias": (np.float64, np.float32),
    "gates": (np.float64, np.float32),
    "gate_bias": (np.float64, np.float32),
    "skip_weights": (np.float64, np.float32),
    "skip_bias": (np.float64, np.float32),
    "edge_signs": (np.int8,),
    "output_sign": (np.int8,),
    "output_index": (np.int64,),
}


def _double(array: check.Rows) -> NDArray[np.float64]:
    return np.ascontiguousarray(array, dtype=np.float64)


def _like(values: ArrayLike, model: check.Rows, name: str) -> check.Rows:
    return check.array_of(values, model.shape, name).astype(model.dtype)


def _signs(values: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.int8]:
    array = check.array_of(values, shape, name)
    if not np.isin(array, (-1, 1)).all():
        raise ValueError(f"{name} has an entry other than +1 and -1")
    return np.ascontiguousarray(array, dtype=np.int8)


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


def _names(names: Sequence[str] | None, n_features: int) -> list[str] | None:
    if names is None:
        return None
    result = check.sequence(names, "feature_names", "a sequence of strings or None")
    if len(result) != n_features or not all(isinstance(name, str) for name in result):
        raise ValueError(f"feature_names has {len(result)} entries; expected {n_features} strings")
    return result
