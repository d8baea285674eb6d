"""Models as JSON and as files come back whole; what strangers made is refused, and nothing in it runs."""

import io
import json
import os
import re
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from models import NETWORKS, fitted, rows
from sklearn.exceptions import NotFittedError
from test_network import HOSTILE, Bomb, npy, random_network, rewritten

import pathrelu as pr
from pathrelu.files.networks import network_from_parts
from pathrelu.files.values import Decoder, Encoder

# ---- Dictionaries and JSON -----------------------------------------------------


def assert_same(copy, network):
    assert type(copy) is type(network)
    header, arrays = network.parts()
    other_header, other_arrays = copy.parts()
    assert other_header == header
    assert set(other_arrays) == set(arrays)
    for name, array in arrays.items():
        assert other_arrays[name].dtype == array.dtype, name
        np.testing.assert_array_equal(other_arrays[name].view(np.uint8), array.view(np.uint8), err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_survives_json_bit_for_bit(tmp_path, network, dtype):
    header, arrays = network.parts()
    for name in ("leaf_weights", "leaf_bias"):
        arrays[name] = (arrays[name] * np.pi**20).astype(dtype)
    network = network_from_parts(header, arrays)
    assert_same(type(network).from_dict(json.loads(json.dumps(network.to_dict()))), network)
    network.save(tmp_path / "network.json")
    json.loads((tmp_path / "network.json").read_text())
    assert_same(pr.load(tmp_path / "network.json"), network)


def test_from_dict_is_of_the_class_asked_for():
    content = random_network(kind="gated").to_dict()
    with pytest.raises(ValueError, match="describes a GatedReLUNetwork; expected a ParallelReLUNetwork"):
        pr.ParallelReLUNetwork.from_dict(content)


def changed(content, place, value):
    content = json.loads(json.dumps(content))
    part = content
    for key in place[:-1]:
        part = part[key]
    if value is None:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return content


WRONG = [
    (["arrays"], None, "no arrays"),
    (["arrays"], [], "no arrays"),
    (["arrays", "leaf_weights"], [[1.0]], "leaf_weights is not an array"),
    (["arrays", "leaf_weights", "shape"], [5, 1, 3], "leaf_weights has shape"),
    (["arrays", "leaf_weights", "shape"], [-5, -1, 4], "leaf_weights has shape"),
    (["arrays", "leaf_weights", "shape"], [1] * 40 + [20], "leaf_weights has shape"),
    (["arrays", "leaf_weights", "dtype"], "object", "dtype 'object'"),
    (["arrays", "leaf_weights", "dtype"], "int8", "not numbers of dtype int8"),
    (["arrays", "leaf_weights", "values", 0], "1.5", "not numbers"),
    (["arrays", "leaf_weights", "values", 0], True, "not numbers"),
    (["arrays", "leaf_weights", "values", 0], 10**400, "too large"),
    (["arrays", "edge_signs", "dtype"], "float64", "edge_signs has dtype float64"),
    (["arrays", "output_weights", "shape"], [1, 5], "output_weights has shape"),
    (["arrays", "scale", "values", 0], -1, "scale has the value -1"),
    (["arrays", "scale"], None, "missing or unknown entries: 'scale'"),
    (["version"], 99, "format version 99"),
    (["kind"], "conv", "kind 'conv'"),
    (["color"], 1, "unknown entries: 'color'"),
]


@pytest.mark.parametrize(("place", "value", "reason"), WRONG)
def test_a_changed_dictionary_is_refused(tmp_path, place, value, reason):
    content = changed(random_network().to_dict(), place, value)
    with pytest.raises(ValueError, match=f"content does not describe a network: .*{reason}"):
        pr.ParallelReLUNetwork.from_dict(content)
    (tmp_path / "network.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"network\.json is not a model that pathrelu can read: .*{reason}"):
        pr.load(tmp_path / "network.json")


def test_values_too_large_for_float32_are_refused():
    content = random_network(dtype=np.float32).to_dict()
    content["arrays"]["leaf_weights"]["values"][3] = 1e300
    with pytest.raises(ValueError, match="leaf_weights has the value inf"):
        pr.ParallelReLUNetwork.from_dict(content)


@pytest.mark.parametrize(
    "text", ["{", '{"a":' * 100_000, '{"a": NaN}', "{" + "1" * 10_000, "[1]", "\ufeff{}"]
)
def test_text_that_is_not_a_network_is_refused(tmp_path, text):
    (tmp_path / "network.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="is not a model that pathrelu can read"):
        pr.load(tmp_path / "network.json")


# ---- Files of estimators -------------------------------------------------------


def public(estimator):
    return {name: value for name, value in vars(estimator).items() if name.endswith("_")}


def same(copy, value):
    if isinstance(value, np.ndarray | np.generic):
        return (
            type(copy) is type(value)
            and copy.dtype == value.dtype
            and copy.shape == value.shape
            and same(copy.tolist(), value.tolist())
        )
    if isinstance(value, list | tuple):
        return type(copy) is type(value) and len(copy) == len(value) and all(map(same, copy, value))
    if isinstance(value, dict):
        return type(copy) is dict and same(list(copy.items()), list(value.items()))
    return type(copy) is type(value) and repr(copy) == repr(value)


def assert_equal_attributes(copy, model):
    assert type(copy) is type(model)
    assert copy.get_params() == model.get_params()
    assert set(public(copy)) == set(public(model))
    for name, value in public(model).items():
        other = public(copy)[name]
        assert type(other) is type(value), name
        if name == "network_":
            assert_same(other, value)
        else:
            assert same(other, value), name


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"depth": 3, "width": 2, "activation": "gated", "arrangements": "sample", "n_arrangements": 10},
        {"depth": 4, "width": (2, 2), "skip_connection": True, "max_iter": 20},
        {"low_rank": 2, "prune": True},
    ],
)
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_estimator_comes_back_whole(tmp_path, kind, options):
    model = fitted(kind, tol=1e-3, **options)
    model.save(tmp_path / "model.npz")
    copy = pr.load(tmp_path / "model.npz")
    assert_equal_attributes(copy, model)
    np.testing.assert_array_equal(copy.predict(rows(seed=5)), model.predict(rows(seed=5)))
    if kind == "classifier":
        np.testing.assert_array_equal(copy.predict_proba(rows(seed=5)), model.predict_proba(rows(seed=5)))


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", "b"], object),
        np.array([1, 2], np.uint16),
        np.array([False, True]),
        np.array([1, 2], np.float32),
        np.array(["é", "名前"]),
    ],
    ids=str,
)
def test_labels_of_any_plain_dtype_come_back(tmp_path, labels):
    X = rows(40)
    options = {"class_weight": {labels[0].item() if labels.dtype != object else "a": 2.0}}
    model = pr.PathReLUClassifier(alpha=0.05, random_state=np.int64(3), **options)
    model.fit(X, labels[(X[:, 0] > 0).astype(int)]).save(tmp_path / "model")
    assert_equal_attributes(pr.load(tmp_path / "model"), model)


def test_names_of_columns_come_back(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows(40), columns=list("pqrs"))
    model = pr.PathReLURegressor(alpha=0.1, random_state=0).fit(frame, frame["p"])
    model.save(tmp_path / "model")
    copy = pr.load(tmp_path / "model")
    assert_equal_attributes(copy, model)
    with pytest.raises(ValueError, match="feature names"):
        copy.predict(frame[["q", "p", "r", "s"]])


def test_what_is_not_plain_data_is_left_out_with_a_warning(tmp_path):
    model = fitted("regressor", callback=print).set_params(random_state=np.random.RandomState(0))
    model.extra_ = object()
    with pytest.warns(
        UserWarning, match=r"callback \(.*random_state \(RandomState is not plain.*extra_"
    ) as caught:
        model.save(tmp_path / "model")
    assert caught[0].filename == __file__
    copy = pr.load(tmp_path / "model")
    assert copy.callback is copy.random_state is None
    assert not hasattr(copy, "extra_")
    np.testing.assert_array_equal(copy.predict(rows()), model.predict(rows()))


def test_what_cannot_be_saved_writes_nothing(tmp_path):
    class Own(pr.PathReLURegressor):
        def __init__(self):
            super().__init__(alpha=0.5)

    with pytest.raises(NotFittedError):
        pr.PathReLURegressor().save(tmp_path / "model")
    with pytest.raises(TypeError, match=r"Own cannot be saved.*network_\.save"):
        Own().fit(rows(20), rows(20)[:, 0]).save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


# ---- Files made by strangers ---------------------------------------------------


@pytest.fixture(scope="module")
def estimator_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "model.npz"
    fitted().save(path)
    return path


def header_of(path):
    with np.load(path) as file:
        return json.loads(file["header"].tobytes())


HOSTILE_HEADERS = [
    (["class"], "Pipeline", "class 'Pipeline'"),
    (["class"], "load", "class 'load'"),
    (["class"], ["PathReLURegressor"], r"class \['PathReLURegressor'\]"),
    (["version"], 3, "format version 3, written by pathrelu .*, which reads versions 1 to 2"),
    (["n_arrays"], 10**9, "n_arrays is 1000000000; the file has"),
    (["n_arrays"], 1, "n_arrays is 1; the file has"),
    (["attributes", "objective_"], {"array": "array_0"}, "'array_0', which is not there or is named twice"),
    (["attributes", "objective_"], {"times": ["datetime64[ns", {"array": "array_0"}]}, "times of the dtype"),
    (
        ["attributes", "classes_"],
        {"objects": [[3], ["maybe", "no", "yes"]]},
        "'array_0', which nothing names",
    ),
    (["more"], 1, "unknown entries: 'more'"),
    (["attributes"], None, "unknown entries: 'attributes'"),
    (["parameters", "shell"], "rm", "no parameter 'shell'"),
    (["parameters", "n_threads"], 0, "n_threads is 0"),
    (["attributes", "__class__"], 1, "unknown attribute '__class__'"),
    (["attributes", "predict"], 1, "unknown attribute 'predict'"),
    (["attributes", "network_"], None, "no network"),
    (["attributes", "network_"], 3, "no network"),
    (["attributes", "network_", "network", 0, "kind"], "gated", "missing or unknown"),
    (["attributes", "network_", "network", 1, "leaf_weights"], "array_999", "array_999"),
    (["attributes", "classes_"], None, "classes_"),
    (["attributes", "classes_"], ["no", "yes"], "classes_ is not an array of 3 labels"),
    (["attributes", "classes_"], {"objects": [[3], ["x", "y", "z"]]}, "classes_ are"),
    (["attributes", "classes_"], {"objects": [[2, 2], ["x", "y", "z"]]}, "reshape"),
    (["attributes", "n_features_in_"], 5, "n_features_in_ is 5; expected 4"),
    (["attributes", "n_features_in_"], True, "n_features_in_ is True"),
    (["attributes", "feature_names_in_"], ["a"], "feature_names_in_ are not 4 strings"),
    (["attributes", "objective_"], {"code": "x"}, "unknown kind 'code'"),
    (["attributes", "objective_"], {"float": "1"}, "unknown kind 'float'"),
    (["attributes", "objective_"], {}, "object of 0 entries"),
    (["attributes", "objective_"], {"record": ["Popen", {"args": "ls"}]}, "Popen"),
    (["attributes", "objective_"], {"record": ["Record", {"args": "ls"}]}, "argument"),
    (["attributes", "objective_"], {"dict": [[[1], 2]]}, "unhashable"),
]


@pytest.mark.parametrize(("place", "value", "reason"), HOSTILE_HEADERS)
def test_a_changed_estimator_is_refused(tmp_path, estimator_file, place, value, reason):
    path = tmp_path / "model.npz"
    path.write_bytes(estimator_file.read_bytes())
    text = json.dumps(changed(header_of(path), place, value)).encode()
    rewritten(path, arrays={"header": np.frombuffer(text, np.uint8)})
    with pytest.raises(ValueError, match=rf"model\.npz is not a model that pathrelu can read: .*{reason}"):
        pr.load(path)


HOSTILE_ARRAYS = [
    (npy((1,), b"\xff\xff\xff\xff", "<U1"), "character"),
    (npy((1,), b"\x02", "|b1"), "neither 0 nor 1"),
    (npy((10**15,)), "not what follows"),
    (npy((1,), bytes(8), "|O"), "dtype object"),
    (npy((1,), bytes(16), "<c16"), "dtype complex128"),
    (npy((1,), bytes(8), "<M8[s]"), "dtype datetime64"),
    (npy((10**9,), b"", "<U0"), "dtype"),
]


@pytest.mark.parametrize(("raw", "reason"), HOSTILE_ARRAYS)
def test_a_hostile_array_is_refused(tmp_path, estimator_file, raw, reason):
    path = tmp_path / "model.npz"
    path.write_bytes(estimator_file.read_bytes())
    rewritten(path, array_0=raw)
    with pytest.raises(ValueError, match=f"is not a model that pathrelu can read: .*{reason}"):
        pr.load(path)


def test_no_code_in_a_file_runs(tmp_path, monkeypatch, estimator_file):
    monkeypatch.chdir(tmp_path)
    data = io.BytesIO()
    np.save(data, np.array([Bomb()], object), allow_pickle=True)
    (tmp_path / "model.npz").write_bytes(estimator_file.read_bytes())
    rewritten("model.npz", array_0=data.getvalue())
    with pytest.raises(ValueError, match="dtype object"):
        pr.load("model.npz")
    assert os.listdir(tmp_path) == ["model.npz"]


def test_entries_that_share_bytes_are_refused(tmp_path, estimator_file):
    """A table of contents that points to one entry many times would make a small file a large one."""
    path = tmp_path / "model.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", b"x" * 10_000)
        for k in range(100):
            copy = zipfile.ZipInfo(f"array_{k}.npy")
            first = archive.getinfo("header.npy")
            copy.header_offset, copy.file_size, copy.CRC = 0, first.file_size, first.CRC
            copy.compress_size = first.compress_size
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy
    with pytest.raises(ValueError, match="table of contents is damaged"):
        pr.load(path)


def refused_or_sound(path):
    """Loads a damaged file: ValueError and OSError are fine, and so is a model that predicts."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            model = pr.load(path)
        except (ValueError, OSError):
            return
    model.predict(np.zeros((2, getattr(model, "network_", model).n_features)))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_flipped_and_cut_bytes_are_refused_or_harmless(tmp_path, estimator_file, data):
    whole = estimator_file.read_bytes()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = tmp_path / "damaged.npz"
    path.write_bytes(content[:cut])
    refused_or_sound(path)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(
            lambda kind, content: {kind: content},
            st.sampled_from(
                ["float", "tuple", "dict", "masked", "objects", "scalar", "array", "record", "network"]
            ),
            inner | st.lists(inner, max_size=2) | st.sampled_from(["array_0", "nan"]),
        )
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    section=st.sampled_from(["parameters", "attributes"]),
    data=st.data(),
    value=plain,
)
def test_headers_with_any_values_are_refused_or_harmless(tmp_path, estimator_file, section, data, value):
    path = tmp_path / "model.npz"
    path.write_bytes(estimator_file.read_bytes())
    header = header_of(path)
    header[section][data.draw(st.sampled_from(sorted(header[section])))] = value
    rewritten(path, arrays={"header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    refused_or_sound(path)


@given(value=plain.filter(lambda value: not isinstance(value, dict)))
@example(value=(1, [2.5, {"a": None, 3: (np.float32(0.1), float("nan"))}], np.ma.array([1, 2], mask=[0, 1])))
def test_plain_data_is_decoded_to_what_was_encoded(value):
    encode = Encoder()
    text = json.dumps(encode(value), allow_nan=False)
    copy = Decoder(encode.arrays)(json.loads(text))
    assert repr(copy) == repr(value)


@pytest.mark.parametrize(
    ("header", "reason"),
    [(change["header"], reason) for change, reason in HOSTILE if set(change) == {"header"}],
)
def test_a_hostile_network_is_refused_in_any_format(header, reason):
    """What files of networks refuse, dictionaries with the same header refuse for the same reason."""
    content = random_network().to_dict() | header
    with pytest.raises(ValueError, match=re.escape(reason)):
        pr.ParallelReLUNetwork.from_dict(content)
