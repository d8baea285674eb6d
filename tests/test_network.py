"""Networks: predictions are those of the layers, norms and objectives by the definition, files are safe."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
from reference import random_trees, tree_output, tree_values

import pathrelu as pr

SHAPES = [(), (3,), (2, 3)]


def random_network(width=(), kind="relu", K=5, d=4, outputs=1, dtype=np.float64, seed=0, **options):
    rng = np.random.default_rng(seed)
    leaves, signs = random_trees(rng, K, d, width)
    paths = leaves.shape[1]
    arguments = {
        "leaf_bias": rng.standard_normal((K, paths)),
        "edge_signs": signs,
        "output_sign": rng.choice([-1, 1], K),
        "output_index": rng.integers(0, outputs, K),
        "intercept": rng.standard_normal(outputs),
        "center": rng.standard_normal(d),
        "scale": rng.random(d) + 0.5,
        "width": width,
    } | options
    if kind == "gated":
        gates = {"gates": rng.standard_normal(leaves.shape), "gate_bias": rng.standard_normal((K, paths))}
        return pr.GatedReLUNetwork(leaves.astype(dtype), **gates, **arguments)
    return pr.ParallelReLUNetwork(leaves.astype(dtype), **arguments)


def by_definition(network, X):
    """Outputs (n, C), sub-network by sub-network."""
    Z = (X - network.center) / network.scale
    Z = np.concatenate([Z, np.ones((len(Z), 1))], axis=1)
    out = np.tile(network.intercept, (len(X), 1))
    for k in range(network.n_subnetworks):
        W = np.concatenate([network.leaf_weights[k], network.leaf_bias[k][:, None]], axis=1)
        signs = network.edge_signs[k]
        if isinstance(network, pr.ParallelReLUNetwork):
            f = tree_output(Z, W, signs, network.width)
        else:
            G = np.concatenate([network.gates[k], network.gate_bias[k][:, None]], axis=1)
            on = tree_values(Z, G, signs, network.width) > 0
            layer, begin = Z @ W.T, 0
            for m in (*network.width, None):
                layer = layer * on[:, begin : begin + layer.shape[1]]
                if m is not None:
                    signed = layer * signs[begin : begin + layer.shape[1]]
                    begin += layer.shape[1]
                    layer = signed.reshape(len(X), -1, m).sum(axis=2)
            f = layer[:, 0]
        out[:, network.output_index[k]] += network.output_sign[k] * f
    return out


def by_layers(network, X):
    """Outputs (n, C) of `network.weights` on raw rows, layer by layer."""
    w = network.weights
    layer = np.einsum("kpd,nd->nkp", w["hidden_1"], X) + w["bias_1"]
    for depth in range(2, network.depth):
        children = np.maximum(layer, 0).reshape(*layer.shape[:2], -1, w[f"hidden_{depth}"].shape[2])
        layer = np.einsum("nkuc,kuc->nku", children, w[f"hidden_{depth}"])
    return np.maximum(layer[..., 0], 0) @ w["output"].T + w["intercept"]


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("kind", ["relu", "gated"])
@pytest.mark.parametrize("width", SHAPES)
def test_predictions_are_those_of_the_definition(width, kind, outputs):
    network = random_network(width, kind, outputs=outputs)
    X = np.random.default_rng(1).standard_normal((101, 4))
    expected = by_definition(network, X)
    np.testing.assert_allclose(
        network.predict(X), expected if outputs > 1 else expected[:, 0], rtol=1e-10, atol=1e-11
    )


@pytest.mark.parametrize("width", SHAPES)
def test_weights_are_an_ordinary_network_for_raw_rows(width):
    network = random_network(width, outputs=2)
    X = np.random.default_rng(1).standard_normal((50, 4))
    np.testing.assert_allclose(network.predict(X), by_layers(network, X), rtol=1e-10, atol=1e-11)


def test_gates_for_raw_rows_switch_where_scaled_ones_do():
    network = random_network(kind="gated")
    X = np.random.default_rng(1).standard_normal((50, 4))
    w = network.weights
    on = np.einsum("kpd,nd->nkp", w["gate_1"], X) + w["gate_bias_1"] > 0
    layer = np.einsum("kpd,nd->nkp", w["hidden_1"], X) + w["bias_1"]
    np.testing.assert_allclose(
        network.predict(X), ((layer * on)[..., 0] @ w["output"].T + w["intercept"])[:, 0]
    )


@pytest.mark.parametrize("kind", ["relu", "gated"])
def test_float32_rows_give_float32_predictions(kind):
    network = random_network((2,), kind, dtype=np.float32)
    X = np.random.default_rng(1).standard_normal((40, 4)).astype(np.float32)
    assert network.leaf_weights.dtype == network.predict(X).dtype == np.float32
    np.testing.assert_allclose(
        network.predict(X), network.predict(X.astype(np.float64)), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["relu", "gated"])
@pytest.mark.parametrize("width", SHAPES)
def test_predictions_do_not_depend_on_threads_or_on_the_other_rows(width, kind):
    network = random_network(width, kind)
    X = np.random.default_rng(1).standard_normal((1003, 4))
    whole = network.predict(X, n_threads=1)
    for threads in (2, 3):
        np.testing.assert_array_equal(network.predict(X, n_threads=threads), whole)
    np.testing.assert_allclose(
        np.concatenate([network.predict(X[:7]), network.predict(X[7:])]), whole, rtol=1e-13
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["relu", "gated"])
def test_rows_that_are_not_finite_are_refused_by_column(kind, dtype):
    network = random_network(kind=kind, scale=np.full(4, 2.0))
    for name in ("leaf_weights", "gates") if kind == "gated" else ("leaf_weights",):
        getattr(network, name)[..., 1] /= 100
    X = np.random.default_rng(1).standard_normal((500, 4)).astype(dtype)
    X[7, 1] = np.finfo(dtype).max  # finite, and so is what the network makes of it
    assert np.isfinite(network.predict(X)).all()
    X[499, 2] = np.nan
    with pytest.raises(ValueError, match=r"X has missing values \(NaN\) in column 2 \(1 of 500 rows"):
        network.predict(X)
    X[499, 2] = -np.inf
    with pytest.raises(ValueError, match="X has infinite values in column 2"):
        network.predict(X)


def test_a_network_without_subnetworks_is_its_intercept():
    network = pr.ParallelReLUNetwork(np.zeros((0, 1, 3)), intercept=2.5)
    np.testing.assert_array_equal(network.predict(np.ones((4, 3))), np.full(4, 2.5))
    assert (network.path_norm(), network.n_subnetworks) == (0.0, 0)


def test_path_norm_sums_products_of_squares_over_paths():
    network = random_network((2, 3), bias_scale=2.0)
    expected = []
    for leaves, bias in zip(network.leaf_weights, network.leaf_bias, strict=True):
        weights = [*leaves.ravel(), *(bias / 2.0)]
        expected.append(np.sqrt(sum(weight**2 * 1.0 for weight in weights)))  # edges above are +1 or -1
    np.testing.assert_allclose(network.subnetwork_norms(), expected)
    assert network.path_norm() == pytest.approx(sum(expected))


@pytest.mark.parametrize("outputs", [1, 2])
def test_objective_is_mean_loss_plus_alpha_path_norm(outputs):
    network = random_network((2,), outputs=outputs)
    rng = np.random.default_rng(2)
    X, y, w = rng.standard_normal((30, 4)), rng.standard_normal((30, outputs)), rng.random(30)
    f = by_definition(network, X)
    expected = np.sum(w[:, None] * (f - y) ** 2) / 2 / w.sum() + 0.3 * network.path_norm()
    given = y if outputs > 1 else y[:, 0]
    assert network.objective(X, given, 0.3, sample_weight=w) == pytest.approx(expected, rel=1e-12)

    if outputs == 1:
        given = (y[:, 0] > 0).astype(float)
        losses = np.logaddexp(0, np.where(y > 0, -f, f))[:, 0]
    else:
        given = (y == y.max(axis=1, keepdims=True)).astype(float)
        losses = np.logaddexp(*f.T) - (given * f).sum(axis=1)
    expected = np.sum(w * losses) / w.sum() + 0.3 * network.path_norm()
    assert network.objective(X, given, 0.3, loss="log_loss", sample_weight=w) == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("labels", [["no", "yes"], ["a", "b", "c"]])
def test_objective_of_a_classifier_takes_its_labels(labels):
    outputs = 1 if len(labels) == 2 else len(labels)
    network = random_network(outputs=outputs, classes=labels)
    rng = np.random.default_rng(2)
    X, code = rng.standard_normal((30, 4)), rng.integers(0, len(labels), 30)
    hot = (code[:, None] == np.arange(len(labels))[-outputs:]).astype(float)
    expected = network.objective(X, hot, 0.1, loss="log_loss")
    assert network.objective(X, np.array(labels)[code], 0.1, loss="log_loss") == expected
    with pytest.raises(ValueError, match="y has the label 'other'"):
        network.objective(X, ["other"] * 30, 0.1, loss="log_loss")


def unit_rows(table):
    return table / np.linalg.norm(table, axis=1, keepdims=True)


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_the_network_of_several_outputs_has_the_objective_of_the_program(activation, outputs):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    Y = np.maximum(X @ rng.standard_normal((3, outputs)), 0)
    options = {"activation": activation, "fit_intercept": True}
    arrangements = pr.sample_arrangements(X, 30, 3, 2, random_state=0)
    directions = unit_rows(rng.standard_normal((len(arrangements), outputs)))
    for solution in (
        pr.solve(X, Y, arrangements, 0.02, **options),
        pr.solve(X, Y, arrangements, 0.02, directions=directions, **options),
        pr.search(X, Y, 0.05, max_rounds=3, random_state=0, outputs="separate", **options),
        pr.search(X, Y, 0.05, max_rounds=3, random_state=0, **options),
    ):
        if solution.directions is None:
            assert solution.blocks.ndim == 5
            assert solution.blocks.shape[0] == outputs
        else:
            assert solution.blocks.shape[:2] == (len(solution.directions), 1)
        assert solution.intercept.shape[0] == outputs
        network = solution.network()
        assert network.predict(X).shape == ((40,) if outputs == 1 else (40, outputs))
        assert network.objective(X, Y, solution.alpha) == pytest.approx(solution.objective, rel=1e-9)
        assert network.n_subnetworks == solution.n_active


# ---- Files -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["relu", "gated"])
@pytest.mark.parametrize("width", SHAPES)
def test_a_saved_network_comes_back_bit_for_bit(tmp_path, width, kind, dtype):
    network = random_network(
        width, kind, outputs=3, dtype=dtype, classes=["a", 2, True], feature_names=list("pqrs"), target="t"
    )
    path = tmp_path / "network.npz"
    network.save(path)
    copy = pr.load(path)
    assert type(copy) is type(network)
    for name in network.arrays:
        assert getattr(copy, name).dtype == getattr(network, name).dtype
        np.testing.assert_array_equal(getattr(copy, name), getattr(network, name))
    for name in ("width", "bias_scale", "classes", "feature_names", "target"):
        assert getattr(copy, name) == getattr(network, name)
    assert [type(label) for label in copy.classes] == [str, int, bool]
    X = np.random.default_rng(1).standard_normal((20, 4))
    np.testing.assert_array_equal(copy.predict(X), network.predict(X))


def test_an_empty_network_can_be_saved(tmp_path):
    pr.ParallelReLUNetwork(np.zeros((0, 1, 3)), intercept=2.5).save(tmp_path / "zero")
    assert pr.load(tmp_path / "zero").predict(np.ones((1, 3))) == [2.5]


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "network.npz"
    random_network().save(path)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        random_network(seed=1).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["network.npz"]


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        pr.load(tmp_path / "none.npz")


def rewritten(path, header=None, arrays=None, drop=(), **raw):
    """The network file with some entries of its header, arrays or raw members replaced."""
    with np.load(path) as file:
        stored = {name: file[name] for name in file.files if name not in drop}
    text = json.loads(stored["header"].tobytes()) | (header or {})
    text = {key: value for key, value in text.items() if key not in drop}
    stored["header"] = np.frombuffer(json.dumps(text).encode(), np.uint8)
    stored |= arrays or {}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in stored.items():
            if name not in raw:
                data = io.BytesIO()
                np.save(data, array)
                archive.writestr(f"{name}.npy", data.getvalue())
        for name, data in raw.items():
            archive.writestr(f"{name}.npy", data)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def npy(shape, data=b"", descr="<f8"):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue() + data


FLOAT32_MAX = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("skip", [False, True], ids=["", "skip"])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("kind", ["relu", "gated"])
@pytest.mark.parametrize("width", SHAPES)
def test_outputs_near_the_largest_float32_are_right_or_refused(width, kind, outputs, skip):
    options = {"skip_weights": np.zeros((outputs, 4))} if skip else {}
    network = random_network(width, kind, outputs=outputs, **options)
    X = np.random.default_rng(1).standard_normal((200, 4)).astype(np.float32)
    factor = 2 * FLOAT32_MAX / np.abs(by_definition(network, X)).max()
    for name in ("leaf_weights", "leaf_bias", "intercept"):
        setattr(network, name, getattr(network, name) * factor)
    if skip:
        network.skip_weights = np.full((outputs, 4), factor)
        linear = (X - network.center) / network.scale @ network.skip_weights.T
    expected = by_definition(network, X.astype(np.float64)) + (linear if skip else 0)
    largest = np.abs(expected).max(axis=1)
    for row, truth, size in zip(X, expected, largest, strict=True):
        if size < 0.999 * FLOAT32_MAX:
            found = network.predict(row[None]).ravel()
            assert found.dtype == np.float32
            np.testing.assert_allclose(found / FLOAT32_MAX, truth / FLOAT32_MAX, atol=1e-5)
        elif size > 1.001 * FLOAT32_MAX:
            with pytest.raises(ValueError, match="outputs of row 0 are too large for it; pass float64 rows"):
                network.predict(row[None])
    assert (largest > 1.001 * FLOAT32_MAX).any()
    assert (largest < 0.999 * FLOAT32_MAX).any()
    np.testing.assert_allclose(network.predict(X.astype(np.float64)).reshape(200, -1), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "row", "truth"),
    [
        ({"leaf_weights": [[[1e39, 1.0]]]}, [0, 1], 1),  # a weight that float32 has not
        ({"leaf_weights": [[[3e38, -3e38]]]}, [10, 11], 0),  # inf - inf, which no unit passes on
        ({"leaf_weights": [[[3.0, -2.0]]], "scale": [1e-3, 1e-3]}, [2e37, 3e37], 0),  # the same in rows
        ({"leaf_weights": [[[3e38, 0]], [[3e38, 0]]], "output_sign": [1, -1]}, [10, 0], 0),
        ({"leaf_weights": [[[3e38, 0], [2e38, 0]]], "edge_signs": [[1, -1]]}, [2, 0], 2e38),
        ({"leaf_weights": [[[1.0, 0]]], "intercept": -1e39}, [0, 0], None),
        ({"leaf_weights": [[[1.0, 0]]], "intercept": [-np.inf, 0]}, [0, 0], [-np.inf, 0]),
        ({"leaf_weights": [[[1.0, 0]]], "skip_weights": [[2e38, -2e38]]}, [3, 2], 2e38 + 3),
    ],
)
def test_what_is_too_large_on_the_way_only_is_computed_in_float64(arguments, row, truth):
    network = pr.ParallelReLUNetwork(**arguments)
    rows = np.array([row], np.float32)
    if truth is None:
        with pytest.raises(ValueError, match="too large"):
            network.predict(rows)
        return
    np.testing.assert_allclose(network.predict(rows).ravel(), np.atleast_1d(truth), rtol=1e-6)


@pytest.mark.parametrize("kind", ["relu", "gated"])
def test_a_row_is_predicted_alike_whatever_rows_are_beside_it(kind):
    gates = {"gates": [[[1.0, 0.0]], [[0.0, 1.0]]]} if kind == "gated" else {}
    cls = pr.GatedReLUNetwork if kind == "gated" else pr.ParallelReLUNetwork
    network = cls([[[30.0, -30.0]], [[0.3, 0.7]]], scale=[1.3, 0.7], center=[0.1, 0.2], **gates)
    X = np.random.default_rng(0).standard_normal((1500, 2)).astype(np.float32)
    X[::97] = 1.3e38, 0.69e38  # whose first products are too large for float32, and the sums are not
    alone = np.concatenate([network.predict(row[None]) for row in X])
    assert np.isfinite(alone).all()
    for threads in (1, 2, 3):
        assert network.predict(X, n_threads=threads).tobytes() == alone.tobytes()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_first_row_that_is_too_large_is_named(threads):
    network = pr.ParallelReLUNetwork([[[1e10]]])
    X = np.ones((5000, 1))
    X[[1234, 1235, 4000]] = 1e30
    with pytest.raises(ValueError, match="X is float32, and the outputs of row 1234 are too large for it"):
        network.predict(X.astype(np.float32), n_threads=threads)
    np.testing.assert_allclose(network.predict(X), 1e10 * X[:, 0], rtol=1e-12)
    X[[2000, 3000]] = 1e300
    with pytest.raises(ValueError, match="row 2000 of X leads to numbers beyond those of float64"):
        network.predict(X, n_threads=threads)


def test_an_estimator_of_targets_near_the_largest_float32_predicts_or_refuses():
    X = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    y = (3e38 * np.tanh(X[:, 0])).astype(np.float32)
    model = pr.PathReLURegressor(encode="linear", random_state=0).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    wide = model.predict(10 * X.astype(np.float64))
    row = np.flatnonzero(np.abs(wide) > FLOAT32_MAX)[0]
    with pytest.raises(ValueError, match=f"X is float32, and the outputs of row {row} are too large for it"):
        model.predict(10 * X)


def test_a_scale_whose_inverse_is_infinite_is_refused():
    network = pr.ParallelReLUNetwork([[[1.0]]], scale=[1e-310])
    with pytest.raises(ValueError, match="scale has the value 1e-310; expected at least 1e-308"):
        network.predict([[1e-310]])


HOSTILE = [
    ({"header": {"format": "other"}}, "header is not that of a network"),
    (
        {"header": {"version": 4, "pathrelu_version": "9.9"}},
        "format version 4, written by pathrelu 9.9; this is pathrelu "
        f"{pr.__version__}, which reads versions 1 to 3",
    ),
    ({"header": {"version": "1"}}, "format version '1'"),
    ({"header": {"version": True}}, "format version True"),
    ({"header": {"pathrelu_version": 1}}, "pathrelu_version is 1; expected text"),
    ({"header": {"kind": "conv"}}, "kind 'conv'"),
    ({"header": {"kind": ["relu"]}}, "kind ['relu']; this release knows relu, gated"),
    ({"header": {"color": 1}}, "unknown entries: 'color' (unknown)"),
    ({"header": {"width": [2]}}, "width is"),
    ({"header": {"width": "2"}}, "width is '2'"),
    ({"header": {"width": [-1]}}, "width is -1"),
    ({"header": {"bias_scale": 0}}, "bias_scale is 0"),
    ({"header": {"bias_scale": "1"}}, "bias_scale is '1'"),
    ({"header": {"classes": ["a"]}}, "classes has 1 labels"),
    ({"header": {"classes": [{}, 1]}}, "classes has the label {}"),
    ({"header": {"feature_names": ["a"]}}, "feature_names has 1 entries"),
    ({"header": {"target": 3}}, "target is 3"),
    ({"drop": ["kind"]}, "kind None"),
    ({"drop": ["target"]}, "missing or unknown entries: 'target' (missing)"),
    ({"drop": ["pathrelu_version"]}, "missing or unknown entries: 'pathrelu_version'"),
    ({"drop": ["leaf_bias"]}, "missing or unknown entries: 'leaf_bias'"),
    ({"arrays": {"gates": np.ones((5, 1, 4))}}, "unknown entries: 'gates'"),
    ({"arrays": {"more": np.ones(3)}}, "unknown entry 'more.npy'"),
    ({"arrays": {"leaf_weights": np.ones((4, 1, 4))}}, "leaf_bias has shape"),
    ({"arrays": {"leaf_weights": np.full((5, 1, 4), np.nan)}}, "leaf_weights has the value nan"),
    ({"arrays": {"leaf_weights": np.ones((5, 1, 4), np.float16)}}, "has dtype float16"),
    ({"arrays": {"leaf_weights": np.ones((5, 1, 4), np.int64)}}, "leaf_weights has dtype int64"),
    ({"arrays": {"leaf_weights": np.ones((5, 4))}}, "leaf_weights has shape"),
    ({"arrays": {"scale": np.zeros(4)}}, "scale has the value 0"),
    ({"arrays": {"center": np.full(4, np.inf)}}, "center has the value inf"),
    ({"arrays": {"output_weights": np.full((5, 2), 2.0)}}, "output_weights has shape"),
    ({"arrays": {"output_weights": np.full((5, 1), np.nan)}}, "output_weights has the value nan"),
    ({"arrays": {"output_weights": np.ones((5, 1), np.int8)}}, "output_weights has dtype int8"),
    ({"arrays": {"output_index": np.zeros(5, np.int64)}}, "unknown entries: 'output_index'"),
    ({"arrays": {"intercept": np.ones((1, 1))}}, "intercept has shape"),
    ({"arrays": {"center": np.array([Bomb()], object)}}, "dtype object"),
    ({"arrays": {"header": np.ones(3)}}, "header is not text"),
    ({"arrays": {"header": np.frombuffer(b"{", np.uint8)}}, "Expecting"),
    ({"arrays": {"header": np.frombuffer(b"[1]", np.uint8)}}, "header is not that of a network"),
    ({"arrays": {"header": np.frombuffer(b"\xff\xfe", np.uint8)}}, "decode"),
    ({"center": b"not an array"}, "magic"),
    ({"center": npy((10**12,))}, "center.npy has shape"),
    ({"center": npy((-4,), bytes(32))}, "center.npy has shape"),
    ({"center": npy((4,), bytes(31))}, "center.npy has shape"),
    ({"center": npy((4,), bytes(32), "|V8")}, "center.npy has dtype"),
]


@pytest.mark.parametrize(("change", "reason"), HOSTILE)
def test_a_changed_file_is_refused_with_its_name_and_the_reason(tmp_path, monkeypatch, change, reason):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "network.npz"
    random_network().save(path)
    rewritten(path, **change)
    with pytest.raises(ValueError, match=r"network\.npz is not a model that pathrelu can read") as caught:
        pr.load(path)
    assert reason in str(caught.value)
    assert not os.path.exists("executed")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"hello, world", b"\x93NUMPY\x01\x00"])
def test_a_file_of_another_kind_is_refused(tmp_path, data):
    path = tmp_path / "model.npz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"model\.npz is not a model"):
        pr.load(path)


def test_truncated_files_are_refused(tmp_path):
    path = tmp_path / "model.npz"
    random_network().save(path)
    data = path.read_bytes()
    for size in range(0, len(data), 97):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"model\.npz is not a model"):
            pr.load(path)


def test_a_file_with_changed_bytes_is_refused_or_whole(tmp_path):
    """Checksums cover the arrays; a change elsewhere may not matter, but never raises anything else."""
    path = tmp_path / "model.npz"
    random_network().save(path)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(data), 300):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            pr.load(path)
        except ValueError as error:
            refused += "model.npz" in str(error)
    assert refused > 200


def test_a_compressed_file_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "model.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", bytes(10_000_000))
    with pytest.raises(ValueError, match=r"model\.npz is not a model.* header\.npy is compressed"):
        pr.load(path)


def test_a_repeated_entry_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    random_network().save(path)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("center.npy", npy((4,), bytes(32)))
    with pytest.raises(ValueError, match="table of contents"):
        pr.load(path)


def test_labels_that_a_file_cannot_hold_are_refused():
    with pytest.raises(TypeError, match="classes has the label None"):
        random_network(classes=[None, "a"])
