"""The bound beside a fit of rows in pieces: below the optimum over the network's own gates, and near it."""

import numpy as np
import pytest
from sklearn.base import is_classifier

import pathrelu as pr
from pathrelu.rows import ArraySource, _gap, _training
from pathrelu.rows import _blocks as blocks

N, D = 1500, 4


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 256)
    monkeypatch.setattr(_training, "SAMPLE_ROWS", 400)


def problem(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D))
    f = np.maximum(X @ rng.standard_normal((D, 3)), 0) @ [1, 1, -2]
    return X, (f - f.mean()) / f.std() + 0.3 * rng.standard_normal(N), rng.random(N) + 0.1


X, Y, W = problem()
CLASSES = np.array(["a", "b", "c"])[np.digitize(Y, [-0.5, 0.5])]
COUNTS = np.random.default_rng(1).poisson(np.exp(Y / 2)).astype(float)
BOTH = np.column_stack([Y, np.abs(X[:, 1]) + 0.1 * Y])
# Parameters, targets, and the share of the objective that the gap is at most. It is the larger for losses
# with kinks, which are rounded off, for deep trees, whose cones are of rows near to where leaves switch,
# and for skip connections, of whose weights only the length is found.
CASES = {
    "squared error": ({}, Y, 0.02),
    "without an intercept": ({"fit_intercept": False, "bias": False}, Y, 0.02),
    "skip connection": ({"skip_connection": True}, Y, 0.1),
    "depth 3": ({"depth": 3, "width": 2}, Y, 0.1),
    "monotone": ({"monotonic_cst": [1, 0, -1, 0]}, Y, 0.02),
    "huber": ({"loss": "huber"}, Y, 0.02),
    "absolute error": ({"loss": "absolute_error"}, Y, 0.1),
    "quantile": ({"loss": "quantile", "quantile": 0.8}, Y, 0.2),
    "poisson": ({"loss": "poisson"}, COUNTS, 0.05),
    "gamma": ({"loss": "gamma"}, COUNTS + 0.5, 0.05),
    "two targets": ({}, BOTH, 0.02),
    "two classes": ({}, Y > 0, 0.02),
    "three classes": ({}, CLASSES, 0.02),
    "three classes apart": ({"outputs": "separate"}, CLASSES, 0.1),
}


def fitted(parameters, y, source):
    kind = pr.PathReLURegressor if np.asarray(y).dtype == np.float64 else pr.PathReLUClassifier
    return kind(**{"alpha": 0.01, "random_state": 0, "encode": None, **parameters}).fit(source)


def over_its_gates(model, y):
    """The program over the gates and directions of the model's network, solved in memory."""
    network = model.network_
    rows = (X - network.center) / network.scale
    leaves = network.leaf_weights
    skip = network.skip_weights
    monotone = model.monotonic_cst
    if model.bias:
        monotone = None if monotone is None else [*monotone, 0]
        rows = np.column_stack([rows, np.ones(N)])
        leaves = np.concatenate([leaves, network.leaf_bias[..., np.newaxis]], axis=2)
    signs, directions = network.edge_signs, None
    if network.n_outputs > 1:
        directions = network.output_weights
        if model.outputs == "separate":  # with either sign
            leaves, signs = np.concatenate([leaves] * 2), np.concatenate([signs] * 2)
            directions = np.concatenate([directions, -directions])
    make = pr.Arrangements.from_trees if directions is None else pr.Arrangements._of_each_tree
    arrangements = make(rows, leaves, signs, width=network.width)
    if skip is not None:
        arrangements = arrangements.with_skip_connection()
    if is_classifier(model):
        classes = np.searchsorted(model.classes_, y)
        targets = 2.0 * classes - 1 if len(model.classes_) == 2 else np.eye(len(model.classes_))[classes]
    else:
        targets = y
    loss = "log_loss" if is_classifier(model) else model.loss
    own = {} if is_classifier(model) else {"quantile": model.quantile, "threshold": model.threshold}
    return pr.solve(
        rows, targets, arrangements, model.alpha_, directions=directions, loss=loss, sample_weight=W,
        fit_intercept=model.fit_intercept, monotonic_cst=monotone, tol=1e-7, **own,
    )  # fmt: skip


@pytest.mark.parametrize(("parameters", "y", "share"), CASES.values(), ids=CASES)
def test_the_bound_is_below_the_optimum_over_the_networks_own_gates_and_near_it(parameters, y, share):
    model = fitted(parameters, y, ArraySource(X, y, W))
    assert model.n_passes_ > 8
    optimum = over_its_gates(model, y)
    lower = model.objective_ - model.dual_gap_
    assert lower <= optimum.objective
    assert optimum.dual_objective <= model.objective_ * (1 + 1e-9)
    # As on one machine; kernels of another lead to another network, some of which are further away.
    assert 0 <= model.dual_gap_ <= min(0.9, 8 * share) * model.objective_


def test_the_bound_covers_trees_that_are_in_no_good_network():
    """A dual point far from the best has a bound that is lower, never one that is too high."""
    model = fitted({}, Y, ArraySource(X, Y, W))
    optimum = over_its_gates(model, Y).objective
    network = model.network_
    rows = np.column_stack([(X - network.center) / network.scale, np.ones(N)])
    leaves = np.concatenate([network.leaf_weights[:, 0], network.leaf_bias], axis=1)
    held = blocks.LocalBlocks(ArraySource(rows, Y, W * (N / W.sum()))).prepared(as_program)
    objective = _gap.Objective("squared_error", [], model.alpha_, True, False)
    rng = np.random.default_rng(0)
    for far in (0.0, 0.1, 1.0):
        factor = 1 + far * rng.random(len(leaves))
        trees = (
            np.ascontiguousarray(leaves * factor[:, np.newaxis]),
            np.ascontiguousarray(network.edge_signs),
            np.ascontiguousarray(network.output_weights),
            np.zeros(len(leaves), np.uint8),
            network.intercept + far,
        )
        dual = _gap.Dual(*held.reduce_blocks(_gap.sums, blocks.added, objective, trees, 0))
        lower = _gap.lower_bound(objective, held, trees, dual.imbalance, 1)
        assert lower <= optimum
        assert (far > 0) == (lower < 0.9 * optimum)
        again = _gap.bounded(objective, held, (trees, trees), 1, lambda: False, lambda *_: None)
        assert optimum - 0.02 * optimum < again.lower <= optimum <= again.objective


def as_program(X, y, w):
    return X.block, np.ascontiguousarray(y[:, np.newaxis]), w


@pytest.mark.parametrize("classes", [2, 3])
def test_a_balanced_dual_point_sums_to_zero_over_all_blocks(classes):
    y = np.digitize(Y, [0.0] if classes == 2 else [-0.5, 0.5])
    targets = np.eye(3)[y] if classes == 3 else 2.0 * y[:, np.newaxis] - 1
    C = targets.shape[1]
    rng = np.random.default_rng(0)
    omega = rng.standard_normal((5, C))
    omega /= np.linalg.norm(omega, axis=1)[:, np.newaxis]
    trees = (
        rng.standard_normal((5, D)),
        np.zeros((5, 0), np.int8),
        omega,
        np.zeros(5, np.uint8),
        rng.standard_normal(C),
    )
    objective = _gap.Objective("multinomial" if classes == 3 else "log_loss", [], 0.1, True, classes == 3)
    parts = [slice(k, k + 400) for k in range(0, N, 400)]

    def total(imbalance):
        found = [objective.dual(X[k], targets[k], W[k], trees, imbalance)[0] for k in parts]
        sums = found[0]
        for other in found[1:]:
            sums = blocks.added(sums, other)
        return _gap.Dual(*sums)

    free = total(_gap.UNBALANCED)
    balanced = total(free.imbalance)
    size = np.abs(free.products[-1]).max()
    assert size > 10
    assert np.abs(balanced.products[-1]).max() < 1e-10 * size


def test_without_time_the_gap_is_the_objective_itself():
    def stop(record):
        if record.phase == "passes":
            raise StopIteration

    model = fitted({"callback": stop}, Y, ArraySource(X, Y, W))
    assert model.dual_gap_ == model.objective_
    counts = fitted({"callback": stop, "loss": "poisson"}, COUNTS, ArraySource(X, COUNTS, W))
    assert counts.dual_gap_ == np.inf
    assert counts.score(X, COUNTS) > 0


def test_certificates_need_rows_in_memory():
    source = ArraySource(X, Y, W)
    model = fitted({}, Y, source)
    with pytest.raises(TypeError, match=r"source of rows, a ArraySource, .* dual_gap_ is a bound"):
        pr.certify(model, source, Y)
    certificate = pr.certify(model, X, Y, method="solver", sample_weight=W)
    assert certificate.upper == pytest.approx(model.objective_, rel=1e-9)
    assert model.objective_ - model.dual_gap_ <= certificate.upper
    assert certificate.lower >= model.objective_ - model.dual_gap_
