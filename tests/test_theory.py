"""Claims of docs/theory.md that are not tested with the code they are about, each on its smallest case."""

import itertools
import re
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from problems import load
from reference import CLARABEL, Groups, path_units, random_trees, tree_output, unit_rows
from reference import project as projection
from support import random_program, solve

import pathrelu as pr

WIDTHS = [(), (3,), (2, 2)]


# ---- The training problem, without any of its convex side -----------------------------------------------


class Network3:
    """(NC) with K sub-networks of depth 3, m1 and m2 units in their hidden layers, a weight for every edge.

    Squared error and path norm by their definitions, and the gradient.
    """

    def __init__(self, X, y, alpha, K, m1, m2):
        self.X, self.y, self.alpha = X, y, alpha
        self.shapes = [(K, m1, X.shape[1]), (K, m1, m2), (K, m2)]
        self.size = sum(np.prod(shape) for shape in self.shapes)

    def split(self, weights):
        ends = np.cumsum([np.prod(shape) for shape in self.shapes])
        parts = np.split(weights, ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def __call__(self, weights):
        X, n = self.X, len(self.y)
        W1, W2, w3 = self.split(weights)
        first = np.maximum(np.einsum("nd,kjd->nkj", X, W1), 0)
        second = np.maximum(np.einsum("nkj,kji->nki", first, W2), 0)
        residual = np.einsum("nki,ki->n", second, w3) - self.y
        below, between, above = (W1**2).sum(axis=2), W2**2, w3**2
        norm = np.sqrt(np.einsum("kj,kji,ki->k", below, between, above) + 1e-300)
        value = residual @ residual / (2 * n) + self.alpha * norm.sum()

        scale = self.alpha / norm
        back2 = residual[:, None, None] * w3 * (second > 0) / n
        back1 = np.einsum("nki,kji->nkj", back2, W2) * (first > 0)
        g1 = np.einsum("nkj,nd->kjd", back1, X)
        g1 += (scale[:, None] * np.einsum("kji,ki->kj", between, above))[:, :, None] * W1
        g2 = np.einsum("nkj,nki->kji", first, back2)
        g2 += scale[:, None, None] * below[:, :, None] * above[:, None] * W2
        g3 = np.einsum("nki,n->ki", second, residual) / n
        g3 += scale[:, None] * np.einsum("kj,kji->ki", below, between) * w3
        return value, np.concatenate([g1.ravel(), g2.ravel(), g3.ravel()])


class Network2(Network3):
    """The same of depth 2, with m units that share one path norm."""

    def __init__(self, X, y, alpha, K, m):
        self.X, self.y, self.alpha = X, y, alpha
        self.shapes = [(K, m, X.shape[1]), (K, m)]
        self.size = sum(np.prod(shape) for shape in self.shapes)

    def __call__(self, weights):
        X, n = self.X, len(self.y)
        W, a = self.split(weights)
        h = np.maximum(np.einsum("nd,kjd->nkj", X, W), 0)
        residual = np.einsum("nkj,kj->n", h, a) - self.y
        below = (W**2).sum(axis=2)
        norm = np.sqrt((below * a**2).sum(axis=1) + 1e-300)
        scale = self.alpha / norm
        back = residual[:, None, None] * a * (h > 0) / n
        gW = np.einsum("nkj,nd->kjd", back, X) + (scale[:, None] * a**2)[:, :, None] * W
        ga = np.einsum("nkj,n->kj", h, residual) / n + scale[:, None] * below * a
        value = residual @ residual / (2 * n) + self.alpha * norm.sum()
        return value, np.concatenate([gW.ravel(), ga.ravel()])


def descend(function, x, steps=400):
    """BFGS with a bisection for the weak Wolfe conditions, which copes with kinks (Lewis & Overton 2013)."""
    inverse = np.eye(len(x))
    f, g = function(x)
    for step in range(steps):
        p = -inverse @ g
        slope = p @ g
        if slope >= 0:
            inverse, p, slope = np.eye(len(x)), -g, -g @ g
        if slope > -1e-22:
            break
        t, low, high = 1.0, 0.0, np.inf
        for _ in range(60):
            trial, trial_g = function(x + t * p)
            if trial > f + 1e-4 * t * slope:
                high = t
            elif trial_g @ p < 0.9 * slope:
                low = t
            else:
                break
            t = (low + high) / 2 if high < np.inf else 2 * t
        if not trial < f:
            break
        s, q = t * p, trial_g - g
        x, f, g = x + s, trial, trial_g
        if s @ q > 1e-18:
            if step == 0:
                inverse *= (s @ q) / (q @ q)
            z = inverse @ q
            inverse += (1 + q @ z / (s @ q)) * np.outer(s, s) / (s @ q)
            inverse -= (np.outer(z, s) + np.outer(s, z)) / (s @ q)
    return f


def best_of_restarts(function, restarts, seed=1):
    rng = np.random.default_rng(seed)
    return min(descend(function, rng.standard_normal(function.size)) for _ in range(restarts))


def tiny(seed):
    """Five rows in the plane, and targets that are noise."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((5, 2)), rng.standard_normal(5)


def optimum(X, y, depth, alpha, **options):
    arrangements = pr.enumerate_arrangements(X, depth, 2 if depth == 3 else 1)
    return pr.solve(X, y, arrangements, alpha, tol=1e-10, **options)


# ---- Equivalence -----------------------------------------------


@pytest.mark.parametrize(
    ("depth", "seed", "share"), [(2, 3, 0.1), (2, 4, 0.3), (3, 3, 0.3), (3, 7, 0.1), (3, 8, 0.3)]
)
def test_the_convex_program_over_all_arrangements_is_the_training_problem(depth, seed, share):
    X, y = tiny(seed)
    alpha = share * np.abs(X.T @ y).max() / len(y)
    solution = optimum(X, y, depth, alpha)
    function = Network2(X, y, alpha, 5, 1) if depth == 2 else Network3(X, y, alpha, 5, 2, 1)

    best = best_of_restarts(function, 30)

    assert best == pytest.approx(solution.objective, rel=1e-6)
    network = solution.network()
    assert network.objective(X, y, alpha) == pytest.approx(solution.objective, rel=1e-9)
    few = network.prune(X)
    assert few.n_subnetworks <= len(X)
    assert few.objective(X, y, alpha) == pytest.approx(solution.objective, rel=1e-9)


@pytest.mark.parametrize(("depth", "roots"), [(2, 2), (2, 3), (3, 2)])
def test_several_root_units_change_nothing_but_alpha(depth, roots):
    X, y = tiny(3)
    alpha = 0.3 * np.abs(X.T @ y).max() / len(y)
    single = optimum(X, y, depth, alpha / np.sqrt(roots))

    # Equal copies of the root share the output: the same function, and 1 / sqrt(roots) of the norm.
    function = Network2(X, y, alpha, 5, roots) if depth == 2 else Network3(X, y, alpha, 5, 2, roots)
    network = single.network()
    K = network.n_subnetworks
    leaves = network.leaf_weights
    shares = np.repeat(network.output_sign[:, None], roots, axis=1) / roots
    if depth == 2:
        copies = Network2(X, y, alpha, K, roots)
        weights = [np.repeat(leaves, roots, axis=1), shares]
    else:
        copies = Network3(X, y, alpha, K, 2, roots)
        weights = [leaves, np.repeat(network.edge_signs[:, :, None], roots, axis=2), shares]
    value, _ = copies(np.concatenate([part.ravel() for part in weights]).astype(float))
    assert value == pytest.approx(single.objective, rel=1e-9)

    # And no other network of several roots does better.
    assert best_of_restarts(function, 25) == pytest.approx(single.objective, rel=1e-6)


def test_a_subnetwork_whose_layers_share_units_is_a_tree_of_the_same_path_norm():
    # Depth 4: both units of the second layer see the same four of the first.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 3))
    W1, W2, w3 = rng.standard_normal((4, 3)), rng.standard_normal((4, 2)), rng.standard_normal(2)
    shared = np.maximum(np.maximum(np.maximum(X @ W1.T, 0) @ W2, 0) @ w3, 0)
    path_norm = np.sqrt(np.einsum("jd,ji,i->", W1**2, W2**2, w3**2))
    leaves = np.concatenate([np.abs(W2[:, i] * w3[i])[:, None] * W1 for i in range(2)])
    tree = pr.ParallelReLUNetwork(
        leaves[None], edge_signs=np.sign(np.concatenate([*W2.T, w3]))[None], width=(4, 2)
    )
    assert shared.any()
    np.testing.assert_allclose(tree.predict(X), shared, rtol=1e-12, atol=1e-12)
    assert tree.path_norm() == pytest.approx(path_norm)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_block_of_the_cone_is_a_tree_with_these_patterns(width):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((12, 3))
    W, signs = random_trees(rng, 6, 3, width)
    groups = Groups.of_trees(X, W, signs, width)
    for g in range(len(groups)):
        A = groups.cone_rows(X, g)
        v = projection(A, rng.standard_normal(W[0].size)).reshape(W[0].shape)
        if not v.any():
            v = W[g]
        masked = Groups(groups.patterns[g : g + 1], signs[g : g + 1], width).dense(X) @ v.ravel()
        np.testing.assert_allclose(tree_output(X, v, signs[g], width), masked, atol=1e-12)
        network = pr.ParallelReLUNetwork(v[None], edge_signs=signs[g : g + 1], width=width)
        np.testing.assert_allclose(network.predict(X), masked, atol=1e-12)
        assert network.path_norm() == pytest.approx(np.linalg.norm(v))


# ---- Orders -----------------------------------------------


@pytest.mark.parametrize("share", [0.3, 0.03])
def test_gated_over_all_arrangements_is_below_and_relu_over_some_above_the_optimum(share):
    p = load("T0")
    everything = pr.Arrangements.from_gates(p.X, p.G.T)
    alpha = share * p.lam_max
    best = pr.solve(p.X, p.y, everything, alpha, tol=1e-9).objective
    gated = pr.solve(p.X, p.y, everything, alpha, activation="gated", tol=1e-9).objective
    some = pr.solve(p.X, p.y, everything[::4], alpha, tol=1e-9).objective
    assert gated < best < some
    # Over some arrangements, a gated optimum bounds nothing: here one that is above the optimum.
    few = pr.solve(p.X, p.y, everything[20:21], alpha, activation="gated", tol=1e-9).objective
    assert few > best


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("width", WIDTHS)
def test_more_arrangements_never_raise_the_optimum(width, activation):
    program, arrangements = random_program(8, width, P=24, activation=activation)
    optima = [solve(program, arrangements[:P], tol=1e-10).objective for P in (1, 3, 6, 12, 24)]
    assert all(after <= before * (1 + 1e-9) for before, after in itertools.pairwise(optima))
    assert optima[-1] < 0.99 * optima[0]


# ---- The path norm -----------------------------------------------


def random_edges(rng, width, d):
    """Leaf weights (paths, d) and the weights of all edges above, layer by layer, the output's last."""
    paths = int(np.prod(width))
    edges = [rng.standard_normal(int(np.prod(width[layer:]))) for layer in range(len(width))]
    return rng.standard_normal((paths, d)), [*edges, rng.standard_normal(1)]


def paths_of(leaves, edges, width):
    """The product of squared weights of every path, as many as there are leaves and columns."""
    factor = np.ones(len(leaves))
    for layer, weights in enumerate(edges):
        factor = factor * weights[np.arange(len(leaves)) // int(np.prod(width[:layer]))] ** 2
    return factor[:, None] * leaves**2


def forward(X, leaves, edges, width):
    layer = X @ leaves.T
    for m, weights in zip((*width, 1), edges, strict=True):
        layer = (np.maximum(layer, 0) * weights).reshape(len(X), -1, m).sum(axis=2)
    return layer[:, 0]


@pytest.mark.parametrize("width", WIDTHS)
def test_positive_factors_move_along_paths_into_the_leaves(width):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((30, 4))
    leaves, edges = random_edges(rng, width, 4)
    f, norm = forward(X, leaves, edges, width), np.sqrt(paths_of(leaves, edges, width).sum())

    # Every unit multiplies its incoming weights by a factor of its own and divides the outgoing one by it.
    incoming, outgoing = leaves.copy(), [weights.copy() for weights in edges]
    for layer, weights in enumerate(outgoing):
        factors = 10 ** rng.uniform(-1, 1, len(weights))
        weights /= factors
        if layer == 0:
            incoming *= factors[:, None]
        else:
            outgoing[layer - 1] *= np.repeat(factors, width[layer - 1])
    np.testing.assert_allclose(forward(X, incoming, outgoing, width), f, rtol=1e-10, atol=1e-12)
    assert np.sqrt(paths_of(incoming, outgoing, width).sum()) == pytest.approx(norm)

    # All magnitudes in the leaves: the network that pathrelu stores.
    own = leaves.copy()
    for layer, weights in enumerate(edges):
        own *= np.abs(weights)[np.arange(len(own)) // int(np.prod(width[:layer])), None]
    signs = np.sign(np.concatenate(edges))
    network = pr.ParallelReLUNetwork(
        own[None], edge_signs=signs[None, :-1], output_sign=signs[-1:], width=width
    )
    np.testing.assert_allclose(network.predict(X), f, rtol=1e-10, atol=1e-12)
    assert network.path_norm() == pytest.approx(norm)


def test_at_depth_2_the_path_norm_is_weight_decay_of_the_balanced_network():
    p = load("T0")
    network = pr.solve(p.X, p.y, pr.Arrangements.from_gates(p.X, p.G.T), p.lams[1]).network()
    norms = network.subnetwork_norms()
    assert len(norms) > 3

    def decay(output):  # of the network whose edges to the output are these; the function is the same
        W1 = network.leaf_weights[:, 0] / output[:, None]
        return ((W1**2).sum() + (output**2).sum()) / 2

    assert decay(np.sqrt(norms)) == pytest.approx(network.path_norm())
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert decay(np.sqrt(norms) * np.exp(rng.standard_normal(len(norms)))) > network.path_norm()


def test_a_tree_of_plus_signs_is_a_sum_of_units_and_one_of_minus_signs_is_nothing():
    rng = np.random.default_rng(6)
    X = rng.standard_normal((15, 3))
    W = rng.standard_normal((1, 4, 3))
    plus = pr.ParallelReLUNetwork(W, edge_signs=np.ones((1, 4)))
    np.testing.assert_allclose(plus.predict(X), np.maximum(X @ W[0].T, 0).sum(axis=1))
    minus = pr.ParallelReLUNetwork(W, edge_signs=-np.ones((1, 4)))
    assert not minus.predict(X).any()
    assert len(pr.Arrangements.from_trees(X, W, -np.ones(4))) == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_masks_and_signs_of_paths_are_products_over_their_units(width):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((20, 3))
    W, signs = random_trees(rng, 5, 3, width)
    arrangements = pr.Arrangements.from_trees(X, W, signs, width=width)
    patterns = arrangements.patterns()
    for p, units in enumerate(path_units(width)):
        np.testing.assert_array_equal(arrangements.masks()[:, p], patterns[:, units].all(axis=1))


# ---- Proximal map and dual -----------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("t", [0.01, 0.5, 1.5])
def test_shrinkage_after_projection_is_the_proximal_map(width, t):
    rng = np.random.default_rng(8)
    X = rng.standard_normal((6, 2))
    W, signs = random_trees(rng, 1, 2, width)
    A = Groups.of_trees(X, W, signs, width).cone_rows(X, 0)
    z = W[0].ravel() + 0.5 * rng.standard_normal(W[0].size)
    z /= np.linalg.norm(z)
    q = projection(A, z)
    closed_form = max(0.0, 1 - t / np.linalg.norm(q)) * q

    v = cp.Variable(len(z))
    objective = cp.sum_squares(v - z) / 2 + t * cp.norm(v)
    cp.Problem(cp.Minimize(objective), [unit_rows(A) @ v >= 0]).solve(**CLARABEL)
    np.testing.assert_allclose(closed_form, v.value, atol=1e-5)


def test_the_norm_of_the_projection_is_the_largest_score_in_the_cone():
    # max {z . v : v in K, |v| <= 1} = |proj_K(z)|: what the dual constraint bounds.
    rng = np.random.default_rng(9)
    X = rng.standard_normal((8, 3))
    for gate in rng.standard_normal((10, 3)):
        A = (2.0 * (X @ gate > 0) - 1)[:, None] * X
        z = rng.standard_normal(3) + gate
        v = cp.Variable(3)
        value = cp.Problem(cp.Maximize(z @ v), [A @ v >= 0, cp.norm(v) <= 1]).solve(**CLARABEL)
        assert np.linalg.norm(projection(A, z)) == pytest.approx(value, abs=1e-6)


def test_at_the_optimum_no_subnetwork_of_norm_one_scores_above_alpha():
    # The dual of (NC) itself: over all arrangements theta . h(U) <= alpha |U|, and equal for those in use.
    X, y = tiny(3)
    alpha = 0.1 * np.abs(X.T @ y).max() / len(y)
    solution = optimum(X, y, 2, alpha)
    network = solution.network()
    theta = (y - network.predict(X)) / len(y)
    angles = np.linspace(0, 2 * np.pi, 100_001)
    scores = theta @ np.maximum(X @ np.stack([np.cos(angles), np.sin(angles)]), 0)
    assert np.abs(scores).max() == pytest.approx(alpha, rel=1e-4)
    used = network.leaf_weights[:, 0] / network.subnetwork_norms()[:, None]
    own = network.output_sign * (theta @ np.maximum(X @ used.T, 0))
    np.testing.assert_allclose(own, alpha, rtol=1e-4)


# ---- Several outputs -----------------------------------------------


class SharedOutputs(Network3):
    """(NC) with K sub-networks that feed C outputs each: of depth 2, or of depth 3 with m leaves."""

    def __init__(self, X, Y, alpha, K, m=None):
        self.X, self.y, self.alpha = X, Y, alpha
        self.shapes = [(K, m or 1, X.shape[1]), *([] if m is None else [(K, m)]), (K, Y.shape[1])]
        self.size = sum(np.prod(shape) for shape in self.shapes)

    def __call__(self, weights):
        X, n = self.X, len(self.y)
        W, *between, A = self.split(weights)
        edges = between[0] if between else np.ones(W.shape[:2])
        leaves = np.maximum(np.einsum("nd,kjd->nkj", X, W), 0)
        root = np.einsum("nkj,kj->nk", leaves, edges)
        h = np.maximum(root, 0)
        residual = h @ A - self.y
        norm = np.sqrt(np.einsum("kjd,kj,kc->k", W**2, edges**2, A**2) + 1e-300)
        value = (residual**2).sum() / (2 * n) + self.alpha * norm.sum()

        scale = self.alpha / norm
        below, above = (W**2).sum(axis=2), (A**2).sum(axis=1)
        back = (residual @ A.T) * (root > 0) / n
        gA = h.T @ residual / n + (scale * (below * edges**2).sum(axis=1))[:, None] * A
        gW = np.einsum("nkj,nd->kjd", back[:, :, None] * edges * (leaves > 0), X)
        gW += (scale * above)[:, None, None] * (edges**2)[:, :, None] * W
        ge = np.einsum("nk,nkj->kj", back, leaves) + (scale * above)[:, None] * below * edges
        return value, np.concatenate([g.ravel() for g in ([gW, ge, gA] if between else [gW, gA])])


def two_outputs(seed, share):
    X, first = tiny(seed)
    Y = np.stack([first, tiny(seed + 100)[1]], axis=1)
    return X, Y, share * np.linalg.norm(X.T @ Y, 2) / len(X)


def over_the_circle(X, Y, alpha, everything, N, **options):
    """The program over arrangements and N directions of two outputs, equally far apart."""
    angles = 2 * np.pi * np.arange(N) / N
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return pr.solve(
        X,
        Y,
        everything[np.repeat(np.arange(len(everything)), N)],
        alpha,
        directions=np.tile(directions, (len(everything), 1)),
        tol=1e-9,
        **options,
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_path_norm_over_all_outputs_is_that_of_leaves_times_that_of_output_weights(width):
    rng = np.random.default_rng(15)
    X = rng.standard_normal((30, 4))
    leaves, edges = random_edges(rng, width, 4)
    a = rng.standard_normal(3)
    outputs = [forward(X, leaves, [*edges[:-1], np.array([weight])], width) for weight in a]
    squares = [paths_of(leaves, [*edges[:-1], np.array([weight])], width).sum() for weight in a]

    own = leaves.copy()
    for layer, weights in enumerate(edges[:-1]):
        own *= np.abs(weights)[np.arange(len(own)) // int(np.prod(width[:layer])), None]
    signs = np.sign(np.concatenate([*edges[:-1], []]))
    magnitude = np.linalg.norm(a)
    network = pr.ParallelReLUNetwork(
        magnitude * own[None],
        edge_signs=signs[None],
        output_weights=(a / magnitude)[None],
        intercept=np.zeros(3),
        width=width,
    )
    np.testing.assert_allclose(network.predict(X), np.stack(outputs, axis=1), rtol=1e-10, atol=1e-12)
    assert network.path_norm() == pytest.approx(np.sqrt(sum(squares)))
    # One sub-network for each output says the same for more: the sum of the norms in place of their norm.
    apart = pr.ParallelReLUNetwork(
        np.abs(a)[:, None, None] * own,
        edge_signs=np.tile(signs, (3, 1)),
        output_sign=np.sign(a),
        output_index=[0, 1, 2],
        intercept=np.zeros(3),
        width=width,
    )
    np.testing.assert_allclose(apart.predict(X), network.predict(X), rtol=1e-10, atol=1e-12)
    assert apart.path_norm() == pytest.approx(np.sqrt(squares).sum())


@pytest.mark.parametrize(("depth", "seed", "share"), [(2, 3, 0.1), (2, 4, 0.3), (3, 3, 0.3)])
def test_programs_over_more_directions_close_in_on_the_training_problem(depth, seed, share):
    X, Y, alpha = two_outputs(seed, share)
    best = best_of_restarts(SharedOutputs(X, Y, alpha, 6, None if depth == 2 else 2), 30)
    found = pr.search(X, Y, alpha, depth=depth, width=2, random_state=0, tol=1e-10)
    assert found.objective == pytest.approx(best, rel=1e-6)
    everything = pr.enumerate_arrangements(X, depth, 2 if depth == 3 else 1)
    N = 64 if depth == 2 else 16
    over = over_the_circle(X, Y, alpha, everything, N).objective
    assert best * (1 - 1e-6) <= over <= best / np.cos(np.pi / N)
    separate = over_the_circle(X, Y, alpha, everything, 4).objective
    assert over < separate <= np.sqrt(2) * best


def test_separate_outputs_lie_between_shared_ones_of_two_alphas():
    X, Y, alpha = two_outputs(4, 0.1)
    shared, more = (
        pr.search(X, Y, a, random_state=0, tol=1e-10).objective for a in (alpha, np.sqrt(2) * alpha)
    )
    everything = pr.enumerate_arrangements(X)
    separate = pr.solve(X, Y, everything, alpha, tol=1e-10).objective
    assert shared < separate < more
    axes = over_the_circle(X, Y, alpha, everything, 4).objective
    assert axes == pytest.approx(separate, rel=1e-8)


def test_no_subnetwork_of_norm_one_correlates_with_all_outputs_by_more_than_alpha():
    X, Y, alpha = two_outputs(3, 0.1)
    found = pr.search(X, Y, alpha, random_state=0, tol=1e-10)
    network = found.network()
    theta = (Y - network.predict(X)) / len(Y)
    angles = np.linspace(0, 2 * np.pi, 100_001)
    scores = theta.T @ np.maximum(X @ np.stack([np.cos(angles), np.sin(angles)]), 0)
    assert np.linalg.norm(scores, axis=0).max() == pytest.approx(alpha, rel=1e-4)
    # Equal for those in use, whose direction is that of their score.
    used = network.leaf_weights[:, 0] / np.linalg.norm(network.leaf_weights[:, 0], axis=1, keepdims=True)
    own = (theta.T @ np.maximum(X @ used.T, 0)).T
    # Directions are those of the last slide, which ends where it gains little.
    np.testing.assert_allclose(own, alpha * network.output_weights, atol=5e-3 * alpha)


def test_over_all_directions_gated_programs_have_the_nuclear_norm():
    X, Y, alpha = two_outputs(4, 0.1)
    everything = pr.enumerate_arrangements(X)[::2]
    masks = everything.masks()[:, 0]
    U = [cp.Variable((X.shape[1], 2)) for _ in masks]
    f = sum((mask[:, None] * X) @ u for mask, u in zip(masks, U, strict=True))
    objective = cp.sum_squares(f - Y) / (2 * len(Y)) + alpha * sum(cp.normNuc(u) for u in U)
    nuclear = cp.Problem(cp.Minimize(objective)).solve(**CLARABEL)
    N = 64
    over = over_the_circle(X, Y, alpha, everything, N, activation="gated").objective
    assert nuclear - 1e-7 <= over <= nuclear / np.cos(np.pi / N)
    assert over < pr.solve(X, Y, everything, alpha, activation="gated", tol=1e-9).objective


def test_directions_of_a_softmax_sum_to_zero_and_two_classes_are_a_logistic_loss():
    rng = np.random.default_rng(6)
    X = rng.standard_normal((40, 3))
    label = np.abs(X).argmax(axis=1)
    options = {"loss": "log_loss", "fit_intercept": True, "random_state": 0, "tol": 1e-9}
    found = pr.search(X, np.eye(3)[label], 0.02, **options)
    network = found.network()
    weights = network.leaf_weights, network.output_weights
    assert np.abs(weights[1].sum(axis=1)).max() < 1e-3
    # Shifted directions: the same probabilities, a larger norm.
    shifted = pr.ParallelReLUNetwork(
        weights[0],
        edge_signs=network.edge_signs,
        output_weights=weights[1] + 0.1,
        intercept=network.intercept,
        width=network.width,
    )
    outputs = network.predict(X) - shifted.predict(X)
    np.testing.assert_allclose(outputs, outputs[:, :1] * np.ones(3), atol=1e-12)
    assert shifted.path_norm() > network.path_norm()

    # Two outputs, of which only the difference f_1 - f_0 = sqrt(2) sum h matters.
    y = np.where(label == 0, 1.0, -1.0)
    X = X[:, :2]
    both = pr.search(X, np.stack([y < 0, y > 0], axis=1).astype(float), 0.02, **options)
    everything = pr.enumerate_arrangements(X)
    one = pr.solve(X, y, everything, 0.02 / np.sqrt(2), loss="log_loss", fit_intercept=True, tol=1e-9)
    assert both.objective == pytest.approx(one.objective, rel=1e-5)


@pytest.mark.parametrize(("n", "C", "rank"), [(4, 2, 8), (5, 3, 10)])
def test_sub_networks_that_feed_several_outputs_are_at_most_rows_times_outputs(n, C, rank):
    # Directions in a plane (C = 3): fewer, the rank of the contributions.
    rng = np.random.default_rng(16)
    X = rng.standard_normal((n, 3))
    basis = np.linalg.qr(rng.standard_normal((C, C)))[0][:, : rank // n]
    directions = rng.standard_normal((50, rank // n)) @ basis.T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    network = pr.ParallelReLUNetwork(
        rng.standard_normal((50, 1, 3)), output_weights=directions, intercept=np.zeros(C)
    )
    few = network.prune(X)
    roots = np.maximum(X @ few.leaf_weights[:, 0].T, 0)
    contributions = np.einsum("nk,kc->knc", roots, few.output_weights).reshape(few.n_subnetworks, -1)
    assert few.n_subnetworks <= rank
    assert np.linalg.matrix_rank(contributions) == few.n_subnetworks
    np.testing.assert_allclose(few.predict(X), network.predict(X), atol=1e-9)
    assert few.path_norm() <= network.path_norm() * (1 + 1e-12)


def test_a_skip_connection_has_a_part_and_a_norm_for_each_output():
    X, Y, alpha = two_outputs(3, 0.3)
    Y = Y + X @ np.array([[1.0, -2.0], [2.0, 1.0]])
    found = pr.search(X, Y, alpha, skip_connection=True, random_state=0, tol=1e-10)
    network = found.network()
    linear = found.arrangements.linear
    np.testing.assert_array_equal(sorted(found.directions[linear].tolist()), [[0, 1], [1, 0]])
    theta = (Y - network.predict(X)) / len(Y)
    for c, weights in enumerate(network.skip_weights):
        score, norm = X.T @ theta[:, c], np.linalg.norm(weights)
        assert np.linalg.norm(score) <= alpha * (1 + 1e-4)
        assert norm > 0
        np.testing.assert_allclose(score, alpha * weights / norm, atol=1e-4 * alpha)
    norms = network.subnetwork_norms().sum() + np.linalg.norm(network.skip_weights, axis=1).sum()
    assert network.path_norm() == pytest.approx(norms)
    assert network.objective(X, Y, alpha) == pytest.approx(found.objective, rel=1e-9)


def test_targets_of_one_scale_are_what_shared_outputs_are_for():
    # The same two targets, in units of their own: one alpha leaves nothing for the smaller one.
    rng = np.random.default_rng(17)
    X = rng.standard_normal((60, 2))
    Y = np.stack([np.maximum(X[:, 0], 0), np.maximum(X[:, 1], 0)], axis=1)

    def explained(scale):
        alpha = 0.3 * pr.alpha_max(X, scale * Y, pr.enumerate_arrangements(X))
        f = pr.search(X, scale * Y, alpha, random_state=0).network().predict(X) / scale
        return 1 - ((f - Y) ** 2).sum(axis=0) / (Y**2).sum(axis=0)

    assert (explained(np.array([1.0, 1.0])) > 0.5).all()
    larger, smaller = explained(np.array([1000.0, 1.0]))
    assert larger > 0.5
    assert smaller < 0.1


# ---- The document -----------------------------------------------


def test_every_test_that_the_document_names_exists():
    root = Path(__file__).parent.parent
    text = (root / "docs" / "theory.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`|`(\w+)`\s\(C\+\+\)", text))
    named = {python or cpp for python, cpp in named}
    defined = set()
    for file in (*(root / "tests").glob("test_*.py"), *(root / "cpp" / "tests").glob("*.cpp")):
        defined |= set(re.findall(r"^(?:def|void) (\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(named) > 30
    assert sorted(named - defined) == []
