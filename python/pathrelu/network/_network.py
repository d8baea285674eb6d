"""Networks: what a solution stands for, on any rows."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from pathrelu import _core, losses
from pathrelu import _validation as check
from pathrelu._registry import NETWORKS
from pathrelu.encoding import RawTable
from pathrelu.encoding._sparse import dense_parts, keeps_zeros
from pathrelu.network._data import double
from pathrelu.network._portable import PortableNetwork
from pathrelu.network._predict import WIDE, encoded_outputs, network_outputs, sparse_outputs
from pathrelu.network._prune import fewest_subnetworks, with_factors


class Network(PortableNetwork):
    """What both kinds of network share; see `ParallelReLUNetwork`."""

    def predict(self, X: Any, *, n_threads: int | None = None) -> check.Rows:
        """Outputs of the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_rows, n_features)
            Raw rows: centering and scaling are part of the network. Sparse ones stay so where columns are
            many, with outputs that may differ from those of dense rows by rounding.
        n_threads : int, optional
            Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one.

        Returns
        -------
        ndarray of shape (n_rows,), or (n_rows, n_outputs) if there are several
            In the dtype of X. For a classifier these are log-odds, or logits of more than two classes.

        Raises
        ------
        ValueError
            If `X` is not a table of the network's columns, or an output is beyond the largest number of its
            dtype: the row is named, and float32 rows may be passed as float64. Rows for which only sums on
            the way to their outputs are too large for float32 are computed in float64.
        """
        threads, names = check.threads(n_threads), check.column_names(X)
        if issparse(X):
            outputs = self._of_sparse(X, threads)
        elif self.encoder is not None and not self.encoder.plain:
            outputs = encoded_outputs(self, self.raw_table(X), threads, names)
        else:
            table = self.columns_of(X, must_be_finite=False)  # the core looks while it reads them anyway
            outputs = network_outputs(self, table, threads, names)
        return outputs[:, 0] if self.n_outputs == 1 else outputs

    def _of_sparse(self, X: Any, threads: int) -> check.Rows:
        raw = RawTable.of_nonzeros(X)
        if raw.shape[1] != self.n_features:
            raise ValueError(f"X has {raw.shape[1]} columns; expected {self.n_features}")
        keeps = self.encoder is None or all(keeps_zeros(column) for column in self.encoder.columns_)
        if raw.shape[1] > WIDE and keeps and self.gates is None:
            rows = raw.nonzeros if self.encoder is None else self.encoder.encode(raw)
            return sparse_outputs(self, rows, threads)
        parts = [self.predict(part, n_threads=threads) for part in dense_parts(raw.nonzeros)]
        return np.concatenate(parts).reshape(-1, self.n_outputs)

    def prune(self, X: Any, *, n_threads: int | None = None) -> Self:
        """A network with the same outputs on the rows of `X` and no larger path norm, of few sub-networks.

        Sub-networks are rescaled, and those that this makes zero are left out, until the outputs of the rest
        on `X` are linearly independent (Carathéodory's theorem for cones). For each output no more are left
        than `X` has rows; of sub-networks that feed several outputs, no more than rows times outputs. The
        objective of the training problem on `X` is not higher, whatever the loss. On other rows the outputs
        are in general not the same. The skip connection and the intercept stay.

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
        table = self.columns_of(X)
        return with_factors(self, fewest_subnetworks(self, table, check.threads(n_threads)))

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
        return fewest_subnetworks(self, table, threads)

    def objective(
        self,
        X: Any,
        y: ArrayLike,
        alpha: float,
        *,
        loss: str = "squared_error",
        quantile: float | None = None,
        threshold: float | None = None,
        sample_weight: ArrayLike | None = None,
        n_threads: int | None = None,
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
        n_threads : int, optional
            Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one.

        Returns
        -------
        float
        """
        alpha = check.at_least_zero(alpha, "alpha")
        loss = check.choice(loss, "loss", losses.NAMES)
        value = losses.parameter(loss, quantile, threshold)
        table = np.ascontiguousarray(self.columns_of(X), dtype=np.float64)
        n = len(table)
        if loss in losses.BINARY and self.classes is not None and np.ndim(y) == 1:
            y = self._encode(np.asarray(y))
        target, _ = check.targets(y, n, loss, both=False)
        check.shape(target, (n, self.n_outputs), "y")
        weight = check.weights(sample_weight, n)
        outputs = network_outputs(self, table, check.threads(n_threads))
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
        return _core.mean_loss(double(outputs), target, weight, core_loss) + alpha * self.path_norm()


@NETWORKS.named("relu")
class ParallelReLUNetwork(Network):
    """Sum of K sub-networks, each a tree of ReLU units, and an intercept.

    Edges between units are +1 or -1: positive factors are moved into the leaf weights. The path norm of a
    sub-network, over its paths to all outputs, is the Frobenius norm of its leaf weights and biases times the
    norm of its output weights, which is 1 in networks that were trained. Leaf weights are for rows that were
    centered and scaled, ``(x - center) / scale``.

    Parameters
    ----------
    leaf_weights : array-like of shape (K, paths, n_features)
        float32 or float64.
    leaf_bias : array-like of shape (K, paths), optional
        Zeros by default.
    edge_signs : array-like of shape (K, edges), optional
        +1 or -1; needed beyond depth 2. Edge u joins unit u to its parent: leaves first, layer by layer.
    output_weights : array-like of shape (K, n_outputs), optional
        Weights from the root of each sub-network to the outputs.
    output_sign : array-like of shape (K,), optional
        Instead, for sub-networks that feed one output each: +1 or -1; +1 by default.
    output_index : array-like of shape (K,), optional
        And which output that is; the first by default.
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
        Of the raw columns.
    target : str, optional
        Name of what is predicted.
    skip_weights : array-like of shape (n_outputs, n_features), optional
        Weights of a linear part of the network, for centered and scaled rows; None for a network without a
        skip connection.
    skip_bias : array-like of shape (n_outputs,), optional
        Zeros by default.
    encoder : TableEncoder, optional
        A fitted one, which turns raw rows into the columns that all of the above are for. None: they are
        numbers, and are taken as they are.

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


@NETWORKS.named("gated")
class GatedReLUNetwork(Network):
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
    subnetwork_arrays = (*Network.subnetwork_arrays, "gates", "gate_bias")
    arrays = (*Network.arrays, "gates", "gate_bias")
    gates: check.Rows
    gate_bias: check.Rows

    def __init__(
        self, leaf_weights: ArrayLike, *, gates: ArrayLike, gate_bias: ArrayLike | None = None, **shared: Any
    ) -> None:
        super().__init__(leaf_weights, **shared)
        shape = self.leaf_weights.shape
        self.gates = check.array_of(gates, shape, "gates")
        self.gate_bias = check.array_of(
            np.zeros(shape[:2]) if gate_bias is None else gate_bias, shape[:2], "gate_bias"
        )

    @property
    def weights(self) -> dict[str, check.Rows]:
        """As for `ParallelReLUNetwork`, and ``gate_1`` (K, paths, n_features), ``gate_bias_1`` (K, paths)."""
        gate, bias = self._folded(self.gates, self.gate_bias)
        return super().weights | {"gate_1": gate, "gate_bias_1": bias}
