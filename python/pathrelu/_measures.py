"""What a network comes to on its training rows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check
from pathrelu import losses
from pathrelu.inspection import Network
from pathrelu.network import _predict as rowwise
from pathrelu.training import Data

BLOCK = 4096  # rows whose values are held at a time, beside those of the caller
# Rows, evenly spaced, that shares of the variance are taken over: their errors are of a hundredth then.
MOST_ROWS = 10_000


def training_scores(network: Network, data: Data, threads: int) -> dict[str, float]:
    """Weighted scores: accuracy and log-loss, or R², RMSE and MAE, which are means over the targets."""
    return scores_of(
        np.concatenate(
            [
                rowwise.network_outputs(network, block, threads)
                for block in _blocks(data.X, np.arange(len(data.X)))
            ]
        ),
        data,
    )


def scores_of(outputs: NDArray[np.float64], data: Data) -> dict[str, float]:
    """Weighted scores of outputs (n, n_outputs)."""
    share = data.w / data.w.sum()
    with np.errstate(all="ignore"):  # numbers whose squares or exponentials are too large are infinite then
        if data.labels is not None:
            return _of_classes(outputs, data, share)
        values = np.exp(outputs) if losses.TABLE[data.loss].log_link else outputs
        errors = values - data.y
        squares = algebra.weighted_sum(share, errors**2)
        spread = algebra.weighted_sum(share, (data.y - algebra.weighted_sum(share, data.y)) ** 2)
        constant = (data.y == data.y[0]).all(axis=0)
        return {
            "r2": float(np.where(constant, np.nan, 1 - squares / spread).mean()),
            "rmse": float(np.sqrt(squares).mean()),
            "mae": float(algebra.weighted_sum(share, np.abs(errors)).mean()),
        }


def _of_classes(outputs: NDArray[np.float64], data: Data, share: NDArray[np.float64]) -> dict[str, float]:
    two = data.y.shape[1] == 1
    place = (data.y[:, 0] > 0).astype(np.intp) if two else data.y.argmax(axis=1)
    if data.present is not None:
        place = data.present[place]
    logarithms = losses.log_probabilities(outputs[:, 0] if outputs.shape[1] == 1 else outputs)
    of_own = logarithms[np.arange(len(place)), place]
    right = (logarithms.argmax(axis=1) == place).astype(np.float64)
    return {"accuracy": algebra.inner(share, right), "log_loss": -algebra.inner(share, of_own)}


def variance_shares(network: Network, data: Data, threads: int) -> NDArray[np.float64]:
    """Weighted shares (K,) of sub-networks in the variance of outputs, see `subnetwork_importance`."""
    n, K = len(data.X), network.n_subnetworks
    places = np.arange(n) if n <= MOST_ROWS else np.arange(MOST_ROWS) * n // MOST_ROWS
    weight = data.w[places] / data.w[places].sum()
    possible = np.isfinite(network.intercept)
    outputs = np.concatenate(
        [rowwise.network_outputs(network, block, threads) for block in _blocks(data.X, places)]
    )[:, possible]
    outputs = outputs - algebra.weighted_sum(weight, outputs)
    constant = (outputs == outputs[0]).all(axis=0)
    with np.errstate(all="ignore"):
        variance = np.where(constant, np.nan, algebra.weighted_sum(weight, outputs**2))
        if network.shared_outputs:
            variance = np.full(len(variance), np.nan if constant.all() else np.nansum(variance))
        weighted, covariance, begin = weight[:, np.newaxis] * outputs, np.zeros((len(variance), K)), 0
        for block in _blocks(data.X, places):
            own = weighted[begin : begin + len(block)]
            covariance += algebra.product(own.T, rowwise.root_outputs(network, block, threads))
            begin += len(block)
        weights = network.output_weights[:, possible]
        shares: NDArray[np.float64] = np.where(weights != 0, weights * covariance.T / variance, 0.0).sum(
            axis=1
        )
    return shares


def _blocks(X: check.Rows, places: NDArray[np.intp]) -> Iterator[NDArray[np.float64]]:
    for k in range(math.ceil(len(places) / BLOCK)):
        yield np.ascontiguousarray(X[places[k * BLOCK : (k + 1) * BLOCK]], dtype=np.float64)
