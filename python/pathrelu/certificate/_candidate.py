"""What is certified: a network, and the training problem that it is a candidate for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu import losses
from pathrelu._scaling import Scaling
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork
from pathrelu.program._slide import path_signs
from pathrelu.training import Data, TrainingProblem, canonical, encoded_directions, labelled_weights

Network = ParallelReLUNetwork | GatedReLUNetwork

OWN = (
    "alpha",
    "loss",
    "quantile",
    "threshold",
    "bias",
    "fit_intercept",
    "monotonic_cst",
)  # what a fitted estimator knows


@dataclass(frozen=True)
class Given:
    """A network and what the training problem is made of, checked but for the targets."""

    network: Network
    X: Any  # raw rows
    y: ArrayLike
    weights: ArrayLike | None
    alphas: NDArray[np.float64]  # of each program, or one for all
    loss: str
    quantile: float | None
    threshold: float | None
    bias: bool
    fit_intercept: bool
    skip_connection: bool
    shared: bool
    directions: NDArray[np.int8] | None  # of raw columns; None if all are free

    @classmethod
    def network_with(
        cls,
        network: Network,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        options: dict[str, Any],
    ) -> Given:
        """A network by itself: what `options` leave open is as the network has it."""
        alpha, bias, fit_intercept = options["alpha"], options["bias"], options["fit_intercept"]
        if alpha is None:
            raise TypeError(
                "alpha is None, and a network does not tell that of its training; expected a number"
            )
        loss = "squared_error" if options["loss"] is None else options["loss"]
        loss = check.choice(loss, "loss", losses.NAMES)
        if loss in losses.BINARY and network.classes is not None and np.ndim(y) == 1:
            y = network._encode(np.asarray(y))
        own = network.intercept[np.isfinite(network.intercept)]
        return cls(
            network,
            X,
            y,
            sample_weight,
            np.array([check.penalty(alpha)]),
            loss,
            options["quantile"],
            options["threshold"],
            _has_biases(network) if bias is None else check.switch(bias, "bias"),
            bool(own.any()) if fit_intercept is None else check.switch(fit_intercept, "fit_intercept"),
            network.skip_connection,
            network.shared_outputs,
            _followed(network, X, options["monotonic_cst"]),
        )

    @classmethod
    def estimator(
        cls,
        model: Any,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        options: dict[str, Any],
    ) -> Given:
        """The network of a fitted estimator, on these rows read as `fit` reads them."""
        name = type(model).__name__
        for option, value in options.items():
            if value is not None:
                raise ValueError(
                    f"{option} is {value!r:.80}, and net is a {name}, which is certified as it was fitted; "
                    f"expected no {option}, or its network_ instead of it"
                )
        check_is_fitted(model)
        network: Network = model.network_
        classes = is_classifier(model)
        kinds = {} if classes else {"y_numeric": True, "multi_output": True}
        raw, targets = model._read(X, y, reset=False, **kinds)
        weights = sample_weight
        if classes:
            check_classification_targets(targets)
            targets, weights = _labelled(model, np.asarray(targets), sample_weight)
        return cls(
            network,
            raw,
            targets,
            weights,
            np.atleast_1d(np.asarray(model.alpha_, dtype=np.float64)),
            "log_loss" if classes else model.loss,
            None if classes else model.quantile,
            None if classes else model.threshold,
            check.switch(model.bias, "bias"),
            check.switch(model.fit_intercept, "fit_intercept"),
            check.switch(model.skip_connection, "skip_connection"),
            model.outputs != "separate" and model.arrangements != "sample",
            getattr(model, "monotonic_cst_", None),
        )


def _followed(network: Network, X: Any, given: Any) -> NDArray[np.int8] | None:
    """Directions of raw columns, which the weights of the network must follow."""
    names = check.column_names(X)
    found = check.monotonic(given, network.n_features, network.feature_names if names is None else names)
    columns = encoded_directions(found, network.encoder)
    if found is None or columns is None:
        return None
    if network.n_outputs > 1:
        raise ValueError(
            f"monotonic_cst was given for a network of {network.n_outputs} outputs; expected one output"
        )
    side = network.output_weights[:, :1] * path_signs(network.edge_signs, network.width)
    wrong = ((side[:, :, np.newaxis] * network.leaf_weights) * columns < 0).any(axis=(0, 1))
    if network.skip_weights is not None:
        wrong |= network.skip_weights[0] * columns < 0
    if isinstance(network, GatedReLUNetwork):
        wrong |= network.gates.any(axis=(0, 1)) & (columns != 0)
    if wrong.any():
        raise ValueError(
            f"monotonic_cst was given for column {int(network.origin[wrong.argmax()])}, and the signs of the "
            "network's weights do not make it monotone there: it is no candidate for that problem"
        )
    return found


def _has_biases(network: Network) -> bool:
    skip = network.skip_bias
    return bool(network.leaf_bias.any() or (skip is not None and skip.any()))


def _labelled(
    model: Any, labels: NDArray[Any], sample_weight: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels as 0 and 1, (n, n_outputs), and weights of samples times those of classes."""
    known = model.classes_
    strange = np.setdiff1d(labels, known).tolist()
    if strange:
        raise ValueError(f"y has the label {strange[0]!r}; expected one of {known.tolist()}")
    weights, present, place = labelled_weights(sample_weight, labels, model.class_weight)
    one_hot = np.eye(len(known))[np.searchsorted(known, present)[place]]
    possible = np.isfinite(model.network_.intercept)
    if len(possible) > 1:
        absent = np.flatnonzero((one_hot[weights > 0].any(axis=0)) & ~possible)
        if len(absent):
            label = known.tolist()[absent[0]]
            raise ValueError(f"y has the label {label!r} in rows with weight, which the fit had none of")
    return np.ascontiguousarray(one_hot[:, -model.network_.n_outputs :]), weights


class Candidate:
    """A network among all those of its training problem, whose programs are made as `fit` makes them.

    Attributes
    ----------
    network : ParallelReLUNetwork or GatedReLUNetwork
    upper : float
        Its objective, in float64, of its outputs on the raw rows.
    training : TrainingProblem
    alphas : list of float
        One for each of the programs.
    output_weights : ndarray of shape (K, C)
        For the outputs of the programs.
    """

    def __init__(self, given: Given, threads: int, merge: bool) -> None:
        network = given.network
        self.network, self.fit_intercept = network, given.fit_intercept
        self.skip_connection = given.skip_connection
        value = losses.parameter(given.loss, given.quantile, given.threshold)
        loss = network.objective(
            given.X,
            given.y,
            0.0,
            loss=given.loss,
            quantile=given.quantile,
            threshold=given.threshold,
            sample_weight=given.weights,
            n_threads=threads,
        )
        possible = np.isfinite(network.intercept)
        if _has_biases(network) and not given.bias:
            raise ValueError("bias is False, but the network has biases: it is no candidate for that problem")
        if network.intercept[possible].any() and not given.fit_intercept:
            raise ValueError(
                "fit_intercept is False, but the network has an intercept: it is no candidate for that "
                "problem"
            )
        raw = network.columns_of(given.X)
        target, _ = check.targets(given.y, len(raw), given.loss, both=network.n_outputs == 1)
        weights, outputs = check.raw_weights(given.weights, len(raw)), network.output_weights
        if losses.core_name(given.loss, network.n_outputs) == losses.JOINT:
            # Of two classes that were fitted among more, the first has the log-odds 0.
            binary = possible.sum() == 2 and not outputs[:, possible][:, 0].any()
            if given.fit_intercept:  # a network can give a class without rows any low probability
                possible = possible & target[weights > 0].any(axis=0)
            if possible.sum() < 2:
                raise ValueError(
                    "y has one class in the rows with weight, whose loss is 0; expected at least two"
                )
            target, outputs = target[:, possible], outputs[:, possible]
            target[weights == 0] = np.eye(target.shape[1])[0]  # of an absent class, maybe
            if binary:
                target, outputs = 2 * target[:, 1:] - 1, outputs[:, 1:]
        table = np.ascontiguousarray(raw, dtype=np.float64)
        target = np.ascontiguousarray(target)
        if merge:
            places, target, weights = canonical(table, target, weights)
            table = table[places] + 0.0
        self.eps = float(np.finfo(raw.dtype).eps)  # of the raw rows
        self.output_weights = outputs
        gated = isinstance(network, GatedReLUNetwork)
        self.training = TrainingProblem(
            Data(
                table,
                target,
                weights,
                given.loss,
                parameter=value,
                monotone=encoded_directions(given.directions, network.encoder),
            ),
            Scaling.of(network, given.bias),
            "gated" if gated else "relu",
            shared=given.shared,
        )
        self.programs = self.training.programs()
        if len(given.alphas) == 1:
            self.alphas = given.alphas.tolist() * len(self.programs)
            self.upper = loss + self.alphas[0] * network.path_norm()
        else:
            self.alphas = given.alphas.tolist()
            self.upper = loss + algebra.inner(given.alphas, network.output_norms())
