"""What a trained network is made of: importance of its sub-networks and of its inputs, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu._importance import importance_by_feature, path_norms_by_feature, portions
from pathrelu.export.text import MOST_DIGITS, subnetworks_of
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork
from pathrelu.network import _predict as rowwise

Network: TypeAlias = ParallelReLUNetwork | GatedReLUNetwork

__all__ = [
    "SubnetworkImportance",
    "feature_importance",
    "feature_path_norms",
    "preactivations",
    "subnetwork_formulas",
    "subnetwork_importance",
    "subnetwork_outputs",
]


@dataclass(frozen=True, eq=False)
class SubnetworkImportance:
    """What `subnetwork_importance` returns.

    Attributes
    ----------
    path_norm : ndarray of shape (n_subnetworks,)
        Path norm of each sub-network, biases included, for scaled rows. With that of the skip connection
        they sum to ``network.path_norm()``.
    variance_share : ndarray of shape (n_subnetworks,) or None
        Share of the variance of the output that each sub-network feeds; where some feed several, share of the
        sum of the variances of all outputs.
    output_index : ndarray of shape (n_subnetworks,)
        Which output each sub-network feeds; of one that feeds several, the one it moves most.
    output_sign : ndarray of shape (n_subnetworks,)
        +1 or -1: whether it adds to that output or is taken from it.
    path_norm_by_output : ndarray of shape (n_subnetworks, n_outputs)
        Parts of `path_norm`, in proportion to the squared output weights.
    variance_share_by_output : ndarray of shape (n_subnetworks, n_outputs) or None
        Parts of `variance_share`: what it has of it through each output.
    skip_path_norm, skip_variance_share : ndarray of shape (n_outputs,) or None
        The same of the skip connection, for each output; None for a network without one.
    """

    path_norm: NDArray[np.float64]
    variance_share: NDArray[np.float64] | None
    output_index: NDArray[np.int64] = field(repr=False)
    output_sign: NDArray[np.int8] = field(repr=False)
    path_norm_by_output: NDArray[np.float64] = field(repr=False)
    variance_share_by_output: NDArray[np.float64] | None = field(repr=False)
    skip_path_norm: NDArray[np.float64] | None = None
    skip_variance_share: NDArray[np.float64] | None = None


def subnetwork_importance(model: Any, X: Any = None) -> SubnetworkImportance:
    r"""Importance of each sub-network: its path norm and, on given rows, its share of the variance.

    The share of a part :math:`f_k` of the output :math:`f = b + \sum_k f_k` is

    .. math:: \mathrm{cov}(f_k, f) \, / \, \mathrm{var}(f)

    over the rows of `X`. The shares of all parts of an output, that of the skip connection among them, sum
    to one. Where sub-networks feed several outputs, both are sums over all outputs, and all shares sum to
    one. A part that works against the others has a share below zero, and then others may exceed one.

    Parameters
    ----------
    model : ParallelReLUNetwork, GatedReLUNetwork or fitted estimator of pathrelu
    X : array-like of shape (n_rows, n_features), optional
        Raw rows for the variance shares, at least two; without them there are no shares.

    Returns
    -------
    SubnetworkImportance
        The shares of an output that is the same for all rows are NaN.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError, ValueError
        If `model` has no network, or `X` is not a table of its columns.

    Examples
    --------
    >>> import numpy as np
    >>> from pathrelu import PathReLURegressor
    >>> from pathrelu.inspection import subnetwork_importance
    >>> X = np.linspace(-1, 1, 50)[:, np.newaxis]
    >>> model = PathReLURegressor(alpha=1e-3, random_state=0).fit(X, np.abs(X[:, 0]))
    >>> importance = subnetwork_importance(model, X)
    >>> bool(np.isclose(importance.variance_share.sum(), 1))
    True
    """
    network = network_of(model)
    skip_norm, skip_share, share, shares = None, None, None, None
    if network.skip_weights is not None and network.skip_bias is not None:
        linear = network.skip_weights.astype(np.float64)
        bias = network.skip_bias.astype(np.float64) / network.bias_scale
        skip_norm = np.sqrt((linear**2).sum(axis=1) + bias**2)
    if X is not None:
        table = table_for(network, X)
        if len(table) < 2:
            raise ValueError("X has 1 row; expected at least 2 to take variances over")
        outputs = rowwise.network_outputs(network, table, check.threads(None))
        outputs = outputs - outputs.mean(axis=0)
        constant = (outputs == outputs[0]).all(axis=0)
        variance = np.where(constant, np.nan, (outputs**2).sum(axis=0))
        if network.shared_outputs:
            variance = np.full(network.n_outputs, np.nan if constant.all() else np.nansum(variance))
        # sum over rows of each output times each root
        products = algebra.product(outputs.T, rowwise.root_outputs(network, table, check.threads(None)))
        weights = network.output_weights
        # an output that a sub-network does not feed may be constant, without a variance
        shares = np.where(weights != 0, weights * products.T / variance, 0.0)
        share = shares.sum(axis=1)
        if skip_norm is not None:
            linear = algebra.product(table, network.weights["skip"].T)
            skip_share = (outputs * linear).sum(axis=0) / variance
    norms = network.subnetwork_norms()
    return SubnetworkImportance(
        norms,
        share,
        network.output_index.copy(),
        network.output_sign.copy(),
        norms[:, np.newaxis] * portions(network),
        shares,
        skip_norm,
        skip_share,
    )


def subnetwork_outputs(model: Any, X: Any) -> NDArray[np.float64]:
    """What each sub-network adds to the outputs that it feeds.

    Parameters
    ----------
    model : ParallelReLUNetwork, GatedReLUNetwork or fitted estimator of pathrelu
    X : array-like of shape (n_rows, n_features)
        Raw rows.

    Returns
    -------
    ndarray of shape (n_rows, n_subnetworks), or (n_rows, n_subnetworks, n_outputs)
        Output weights included; the last axis is there if some sub-network feeds several outputs. With the
        intercept and the skip connection, those of an output sum to it.

    Examples
    --------
    >>> from pathrelu import ParallelReLUNetwork
    >>> from pathrelu.inspection import subnetwork_outputs
    >>> network = ParallelReLUNetwork([[[1.0]], [[-1.0]]], output_sign=[1, -1])
    >>> subnetwork_outputs(network, [[2.0], [-3.0]])
    array([[ 2.,  0.],
           [ 0., -3.]])
    """
    network = network_of(model)
    table = table_for(network, X)
    roots = rowwise.root_outputs(network, table, check.threads(None))
    if network.shared_outputs:
        outputs: NDArray[np.float64] = roots[..., np.newaxis] * network.output_weights
    else:
        outputs = roots * network.output_weights.sum(axis=1)
    return outputs + 0.0  # 0, and not -0, of a root that is off


def subnetwork_formulas(model: Any, *, digits: int = 4) -> list[str]:
    """Each sub-network as a formula in raw units.

    Ramps of one column are a line through points, and levels of one column a table; ``to_text()`` of the
    model has the whole formula, and says what its functions mean.

    Parameters
    ----------
    model : ParallelReLUNetwork, GatedReLUNetwork or fitted estimator of pathrelu
    digits : int, default=4
        Significant digits of numbers, at most 17.

    Returns
    -------
    list of str
        What each sub-network adds to the output, its sign included; of a network with several outputs what
        ``output_weights`` of the network multiply.

    Examples
    --------
    >>> from pathrelu import ParallelReLUNetwork
    >>> from pathrelu.inspection import subnetwork_formulas
    >>> network = ParallelReLUNetwork(
    ...     [[[1.2, 0.4]]], leaf_bias=[[-3.1]], output_sign=[-1], feature_names=["bmi", "bp"]
    ... )
    >>> subnetwork_formulas(network)
    ['- max(0, 1.2*bmi + 0.4*bp - 3.1)']
    """
    return subnetworks_of(network_of(model), check.count(digits, "digits", most=MOST_DIGITS))


def feature_path_norms(model: Any, *, scaled: bool = True) -> NDArray[np.float64]:
    """Path norm of each sub-network, over the paths that begin at each input alone.

    The root of the sum, over the paths of the sub-network from that input, of the product of squared weights.
    Paths that begin at a bias belong to no input. Paths from all columns that an encoder makes of one belong
    to that one.

    Parameters
    ----------
    model : ParallelReLUNetwork, GatedReLUNetwork or fitted estimator of pathrelu
    scaled : bool, default=True
        For scaled columns, which makes columns of different units comparable. False: for raw columns, per
        unit of each; of those that an encoder makes, per unit of the encoded ones. Those of a network alone
        are as it was trained: where an estimator has `column_factors_`, these are part of its scale.

    Returns
    -------
    ndarray of shape (n_subnetworks, n_features)

    Examples
    --------
    >>> from pathrelu import ParallelReLUNetwork
    >>> from pathrelu.inspection import feature_path_norms
    >>> network = ParallelReLUNetwork([[[3.0, 1.0], [4.0, 0.0]]], edge_signs=[[1, -1]])
    >>> feature_path_norms(network)
    array([[5., 1.]])
    """
    network = network_of(model)
    return path_norms_by_feature(network, _units(model, network, scaled))


def _units(model: Any, network: Network, scaled: bool) -> NDArray[np.float64]:
    """Factors of the weights of columns: from those of the columns of training to scaled or to raw ones."""
    if not check.switch(scaled, "scaled"):
        return 1 / network.scale
    factors: NDArray[np.float64] | None = getattr(model, "column_factors_", None)
    return np.ones(network.n_columns) if factors is None else factors


def feature_importance(model: Any, *, by_output: bool = False, scaled: bool = True) -> NDArray[np.float64]:
    r"""Importance of each input: the path norm of the network, over the paths that begin there alone.

    .. math:: R_j = \sum_k \Big(\sum_{\text{paths of } k \text{ from } j} \;
              \prod_{\text{edges}} \text{weight}^2\Big)^{1/2}

    The skip connection is one of the terms. `R_j` is what ``path_norm()`` of the network would be without
    its biases and other inputs. It is zero exactly for inputs that the outputs do not depend on through any
    weight. Biases are paths from the constant one, and not counted here.

    Parameters
    ----------
    model : ParallelReLUNetwork, GatedReLUNetwork or fitted estimator of pathrelu
    by_output : bool, default=False
        Whether to tell outputs apart; they sum to what there is otherwise. A sub-network that feeds several
        counts for each in proportion to the squared output weights.
    scaled : bool, default=True
        As for `feature_path_norms`.

    Returns
    -------
    ndarray of shape (n_features,), or (n_outputs, n_features) with `by_output`

    Notes
    -----
    Of a gated network the gates are not counted: they cost nothing in the penalty, but an input may move the
    outputs through them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from pathrelu import PathReLUClassifier
    >>> from pathrelu.inspection import feature_importance
    >>> X, y = load_iris(return_X_y=True)
    >>> model = PathReLUClassifier(alpha=0.03, random_state=0).fit(X, y)
    >>> feature_importance(model).shape
    (4,)
    """
    network = network_of(model)
    by_output = check.switch(by_output, "by_output")
    result = importance_by_feature(network, _units(model, network, scaled))
    return result if by_output else result.sum(axis=0)


def preactivations(model: Any, X: Any) -> list[NDArray[np.float64]]:
    """What switches each unit: it is on where this is above zero.

    Of a gated network these are the pre-activations of the trees of gates.

    Parameters
    ----------
    model : ParallelReLUNetwork, GatedReLUNetwork or fitted estimator of pathrelu
    X : array-like of shape (n_rows, n_features)
        Raw rows.

    Returns
    -------
    list of ndarray of shape (n_rows, n_subnetworks, units of the layer)
        One for each hidden layer, leaves first. Takes 8 bytes for each row and unit.

    Examples
    --------
    >>> from pathrelu import ParallelReLUNetwork
    >>> from pathrelu.inspection import preactivations
    >>> network = ParallelReLUNetwork([[[1.0], [-1.0]]], edge_signs=[[1, -1]])
    >>> [layer.tolist() for layer in preactivations(network, [[2.0], [-3.0]])]
    [[[[2.0, -2.0]], [[-3.0, 3.0]]], [[[2.0]], [[-3.0]]]]
    """
    network = network_of(model)
    table = table_for(network, X)
    weights = network.weights
    leaves, bias = network._folded(*network.switches())
    K, paths, d = leaves.shape
    values = algebra.product(table, leaves.reshape(K * paths, d).T)
    layers = [values.reshape(len(table), K, paths) + bias]
    for layer in range(2, network.depth):
        signs = weights[f"hidden_{layer}"]
        children = np.maximum(layers[-1], 0).reshape(len(table), *signs.shape)
        layers.append((children * signs).sum(axis=-1))
    return layers


def network_of(model: Any) -> Network:
    """The network itself, or that of a fitted estimator."""
    if isinstance(model, ParallelReLUNetwork | GatedReLUNetwork):
        return model
    if hasattr(model, "steps"):
        raise TypeError(
            "the model is a pipeline, whose network sees other columns than its rows have; pass its last "
            "step, model[-1], and rows transformed by model[:-1]"
        )
    if hasattr(model, "fit"):
        check_is_fitted(model)
    network = getattr(model, "network_", None)
    if not isinstance(network, ParallelReLUNetwork | GatedReLUNetwork):
        raise TypeError(
            f"the model has type {type(model).__name__}; expected a network or a fitted estimator of pathrelu"
        )
    return network


def table_for(network: Network, X: Any) -> NDArray[np.float64]:
    """Columns of raw rows that leaves have weights for."""
    return network.columns_of(X).astype(np.float64, copy=False)
