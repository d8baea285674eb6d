"""Importance of sub-networks and inputs, against their definitions."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pathrelu as pr
from pathrelu.inspection import (
    feature_importance,
    feature_path_norms,
    preactivations,
    subnetwork_importance,
    subnetwork_outputs,
)

D = 4


def make_network(kind="relu", width=(), outputs=1, skip=False, dtype=np.float64, seed=0, K=6):
    rng = np.random.default_rng(seed)
    paths = int(np.prod(width, dtype=int))
    edges = sum(int(np.prod(width[layer:], dtype=int)) for layer in range(len(width)))
    shared = {
        "leaf_bias": rng.standard_normal((K, paths)).astype(dtype),
        "edge_signs": rng.choice([-1, 1], (K, edges)),
        "output_sign": rng.choice([-1, 1], K),
        "output_index": rng.integers(0, outputs, K),
        "intercept": rng.standard_normal(outputs),
        "center": rng.standard_normal(D),
        "scale": rng.random(D) + 0.5,
        "bias_scale": 2.0,
        "width": width,
    }
    if skip:
        shared |= {
            "skip_weights": rng.standard_normal((outputs, D)),
            "skip_bias": rng.standard_normal(outputs),
        }
    leaves = rng.standard_normal((K, paths, D)).astype(dtype)
    if kind == "relu":
        return pr.ParallelReLUNetwork(leaves, **shared)
    gates = rng.standard_normal((K, paths, D))
    return pr.GatedReLUNetwork(leaves, gates=gates, gate_bias=rng.standard_normal((K, paths)), **shared)


NETWORKS = [
    make_network(kind, width, outputs, skip)
    for kind in ("relu", "gated")
    for width, outputs, skip in (((), 1, False), ((3,), 2, True), ((2, 3), 3, False), ((2, 2), 1, True))
] + [make_network(dtype=np.float32, outputs=2, skip=True)]


@pytest.fixture(params=NETWORKS, ids=repr)
def network(request):
    return request.param


@pytest.fixture
def rows():
    return np.random.default_rng(1).standard_normal((40, D)) * 2


def without_paths(network, **arrays):
    """The network with other arrays in place of some of its own."""
    import copy

    other = copy.copy(network)
    for name, array in arrays.items():
        setattr(other, name, array)
    return other


def skip_outputs(network, rows):
    weights = network.weights
    return rows @ weights["skip"].T + weights["skip_bias"] if network.skip_connection else 0


def test_outputs_of_subnetworks_sum_to_those_of_the_network(network, rows):
    parts = subnetwork_outputs(network, rows)
    total = network.intercept + skip_outputs(network, rows)
    total = total + parts @ np.eye(network.n_outputs)[network.output_index]
    assert np.allclose(total, network.predict(rows).reshape(len(rows), -1), rtol=1e-12, atol=1e-12)


def test_path_norms_of_the_parts_sum_to_that_of_the_network(network):
    importance = subnetwork_importance(network)
    skip = 0 if importance.skip_path_norm is None else importance.skip_path_norm.sum()
    assert importance.path_norm.sum() + skip == pytest.approx(network.path_norm(), rel=1e-14)
    assert importance.variance_share is importance.skip_variance_share is None
    assert (importance.skip_path_norm is not None) == network.skip_connection


def test_variance_shares_are_covariances_and_sum_to_one_for_each_output(network, rows):
    importance = subnetwork_importance(network, rows)
    outputs, parts = network.predict(rows).reshape(len(rows), -1), subnetwork_outputs(network, rows)
    for c in range(network.n_outputs):
        own = network.output_index == c
        total = importance.variance_share[own].sum()
        total += importance.skip_variance_share[c] if network.skip_connection else 0
        assert total == pytest.approx(1, rel=1e-10) or not (own.any() or network.skip_connection)
    for k, c in enumerate(network.output_index):
        covariance = np.cov(parts[:, k], outputs[:, c])
        assert importance.variance_share[k] == pytest.approx(covariance[0, 1] / covariance[1, 1], abs=1e-10)


def test_shares_of_an_output_that_does_not_vary_are_nan(network, rows):
    importance = subnetwork_importance(network, np.repeat(rows[:1], 3, axis=0))
    assert np.isnan(importance.variance_share).all()


def test_importance_of_an_input_is_the_path_norm_of_a_network_of_that_input_alone(network):
    importance = feature_importance(network)
    for j in range(D):
        only = np.zeros(D)
        only[j] = 1
        alone = without_paths(
            network, leaf_weights=network.leaf_weights * only, leaf_bias=0 * network.leaf_bias
        )
        if network.skip_connection:
            alone.skip_weights, alone.skip_bias = network.skip_weights * only, 0 * network.skip_bias
        assert importance[j] == pytest.approx(alone.path_norm(), rel=1e-12)


def test_importance_by_output_sums_to_the_whole(network):
    parts = feature_importance(network, by_output=True)
    assert parts.shape == (network.n_outputs, D)
    assert np.allclose(parts.sum(axis=0), feature_importance(network), rtol=1e-12)
    for c in range(network.n_outputs):
        expected = feature_path_norms(network)[network.output_index == c].sum(axis=0)
        expected += np.abs(network.skip_weights[c]) if network.skip_connection else 0
        assert np.allclose(parts[c], expected, rtol=1e-12)


def test_raw_units_are_those_of_the_raw_weights(network):
    raw = network.weights
    norms = np.sqrt((raw["hidden_1"] ** 2).sum(axis=1))
    assert np.allclose(feature_path_norms(network, scaled=False), norms, rtol=1e-12)
    expected = norms.sum(axis=0) + (np.abs(raw["skip"]).sum(axis=0) if network.skip_connection else 0)
    assert np.allclose(feature_importance(network, scaled=False), expected, rtol=1e-12)


def test_preactivations_give_the_outputs(network, rows):
    layers = preactivations(network, rows)
    assert [layer.shape[2] for layer in layers] == [
        int(np.prod(network.width[layer:], dtype=int)) for layer in range(network.depth - 1)
    ]
    if network.kind == "relu":
        expected = np.maximum(layers[-1][..., 0], 0) * network.output_sign
    else:
        weights = network.weights
        values = np.einsum("nd,kpd->nkp", rows, weights["hidden_1"]) + weights["bias_1"]
        for layer, on in enumerate(layers):
            values = values * (on > 0)
            if layer + 1 < len(layers):
                signs = weights[f"hidden_{layer + 2}"]
                values = (values.reshape(len(rows), *signs.shape) * signs).sum(axis=-1)
        expected = values[..., 0] * network.output_sign
    assert np.allclose(subnetwork_outputs(network, rows), expected, rtol=1e-6, atol=1e-6)


def test_a_fitted_estimator_stands_for_its_network():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    model = pr.PathReLURegressor(alpha=0.01, random_state=0, skip_connection=True).fit(X, np.abs(X[:, 0]))
    assert np.array_equal(feature_importance(model), feature_importance(model.network_))
    assert feature_importance(model).argmax() == 0
    assert len(subnetwork_importance(model, X).variance_share) == model.n_subnetworks_


def test_a_network_without_subnetworks_has_none_to_rank(rows):
    network = make_network(K=0, skip=True)
    importance = subnetwork_importance(network, rows)
    assert importance.path_norm.shape == importance.variance_share.shape == (0,)
    assert importance.skip_variance_share == pytest.approx([1])
    assert np.allclose(feature_importance(network), np.abs(network.skip_weights[0]))
    assert [layer.shape for layer in preactivations(network, rows)] == [(40, 0, 1)]


def test_bad_input_is_refused(rows):
    network = NETWORKS[0]
    with pytest.raises(NotFittedError):
        subnetwork_importance(pr.PathReLURegressor())
    with pytest.raises(TypeError, match=r"a pipeline.*model\[-1\]"):
        feature_importance(make_pipeline(StandardScaler(), pr.PathReLURegressor()))
    with pytest.raises(TypeError, match="type StandardScaler; expected a network"):
        feature_importance(StandardScaler().fit(rows))
    with pytest.raises(TypeError, match="type dict; expected a network"):
        feature_importance({})
    with pytest.raises(ValueError, match="X has 3 columns; expected 4"):
        subnetwork_importance(network, rows[:, :3])
    with pytest.raises(ValueError, match="1 row"):
        subnetwork_importance(network, rows[:1])
    with pytest.raises(TypeError, match="by_output is 1"):
        feature_importance(network, by_output=1)


def test_every_public_module_is_an_attribute_that_costs_nothing_until_it_is_used():
    script = """
import pkgutil, sys, pathrelu
public = [m.name for m in pkgutil.iter_modules(pathrelu.__path__) if not m.name.startswith("_")]
assert {"inspection", "plotting", "export", "progress"} <= set(public) <= set(dir(pathrelu))
heavy = {"matplotlib", "onnx", "torch", "click"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
for name in public:
    assert getattr(pathrelu, name).__name__ == f"pathrelu.{name}"
try:
    pathrelu.inspektion
except AttributeError as error:
    assert "module 'pathrelu' has no attribute 'inspektion'" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", script], check=True)
