"""Files: how they are written, that what is written is read back, and those that earlier formats left."""

import copy
import errno
import io
import json
import os
import socket
import stat
import threading
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from models import fitted, rows
from test_network import npy, random_network, rewritten
from test_portable import assert_equal_attributes, assert_same, header_of, same

import pathrelu as pr
from pathrelu._registry import ESTIMATORS, NETWORKS, RECORDS, Registry
from pathrelu._watch import Record
from pathrelu.files.values import Encoder, NotPlainData

POSIX = pytest.mark.skipif(os.name != "posix", reason="names and modes of POSIX")


def writers():
    """Every public way to write a file, as a function of the path."""
    network = random_network()
    model = fitted("regressor")
    yield pytest.param(network.save, ".npz", id="network")
    yield pytest.param(network.save, ".json", id="JSON")
    yield pytest.param(model.save, ".npz", id="estimator")
    yield pytest.param(network.to_onnx, ".onnx", id="ONNX of a network")
    yield pytest.param(model.to_onnx, ".onnx", id="ONNX of an estimator")


WRITERS = list(writers())


def is_model(path, extension):
    if extension == ".onnx":
        onnx.checker.check_model(onnx.load_from_string(path.read_bytes()))
        return True
    return pr.load(path) is not None


@POSIX
@pytest.mark.parametrize(("write", "extension"), WRITERS)
def test_a_link_stays_one_and_what_it_points_to_is_written(tmp_path, write, extension):
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / f"target{extension}"
    link, other = tmp_path / f"link{extension}", tmp_path / f"other{extension}"
    link.symlink_to(Path("folder") / target.name)
    other.symlink_to(link)
    for start in (None, b"old"):  # a link to nothing, and to a file
        target.unlink(missing_ok=True)
        if start is not None:
            target.write_bytes(start)
        write(other)
        assert other.is_symlink()
        assert link.is_symlink()
        assert is_model(target, extension)
    assert sorted(os.listdir(tmp_path)) == sorted([link.name, other.name, "folder"])
    assert os.listdir(tmp_path / "folder") == [target.name]


@POSIX
@pytest.mark.parametrize(("write", "extension"), WRITERS)
def test_a_file_keeps_its_mode_and_a_new_one_has_that_of_the_process(tmp_path, write, extension):
    path = tmp_path / f"model{extension}"
    before = os.umask(0o027)
    try:
        write(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        for mode in (0o600, 0o664, 0o755):
            path.write_bytes(b"old")
            path.chmod(mode)
            write(path)
            assert stat.S_IMODE(path.stat().st_mode) == mode
            assert is_model(path, extension)
    finally:
        os.umask(before)


@POSIX
@pytest.mark.parametrize(("write", "extension"), WRITERS)
def test_a_pipe_and_a_device_are_written_to(tmp_path, write, extension):
    path = tmp_path / f"pipe{extension}"
    os.mkfifo(path)
    arrived = []
    reader = threading.Thread(target=lambda: arrived.append(path.read_bytes()))
    reader.start()
    write(path)
    reader.join()
    assert stat.S_ISFIFO(path.stat().st_mode)
    (tmp_path / "copy").write_bytes(arrived[0])
    assert is_model(tmp_path / "copy", extension)
    device = tmp_path / f"device{extension}"
    if os.geteuid() == 0:  # who could replace the device of the machine
        os.mknod(device, stat.S_IFCHR | 0o666, os.stat(os.devnull).st_rdev)
    else:
        device.symlink_to(os.devnull)
    write(device)
    assert stat.S_ISCHR(device.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, "copy", device.name])


@POSIX
@pytest.mark.parametrize(("write", "extension"), WRITERS)
def test_names_may_be_as_long_as_names_can_be(tmp_path, write, extension):
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    path = tmp_path / ("é" * ((longest - len(extension)) // 2) + extension)
    write(path)
    write(path)
    assert is_model(path, extension)
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(OSError, match="too long") as caught:
        write(tmp_path / ("x" * longest + extension))
    assert caught.value.errno == errno.ENAMETOOLONG


@POSIX
@pytest.mark.parametrize(("write", "extension"), WRITERS)
def test_errors_name_the_path_that_was_given(tmp_path, monkeypatch, write, extension):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"folder{extension}").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"socket{extension}")
        (tmp_path / f"loop{extension}").symlink_to(f"loop{extension}")
        before = sorted(os.listdir())
        for name, kind, reason in (
            (f"folder{extension}", IsADirectoryError, "Is a directory"),
            (f"none/model{extension}", FileNotFoundError, "No such file"),
            (f"socket{extension}", OSError, "Not a regular file, FIFO or character device"),
            (f"loop{extension}", OSError, "Too many levels"),
        ):
            with pytest.raises(kind, match=reason) as caught:
                write(name)
            assert caught.value.filename == name
            assert "tmp" not in str(caught.value)
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(("write", "extension"), WRITERS)
def test_what_fails_at_the_end_names_the_path_and_leaves_the_old_file(
    tmp_path, monkeypatch, write, extension
):
    path = tmp_path / f"model{extension}"
    path.write_bytes(b"old")

    def fail(draft, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), draft, None, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
        write(path)
    assert caught.value.filename == str(path)
    assert caught.value.filename2 is None
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(("write", "extension"), WRITERS)
def test_a_path_is_text_bytes_or_path_like(tmp_path, monkeypatch, write, extension):
    monkeypatch.chdir(tmp_path)
    write(os.fsencode(f"model{extension}"))
    assert is_model(tmp_path / f"model{extension}", extension)
    for wrong in (1, None, io.BytesIO()):  # 1 is the open file of what is printed
        with pytest.raises(TypeError, match=r"path has type .*; expected str, bytes or path-like"):
            write(wrong)
        with pytest.raises(TypeError, match=r"path has type .*; expected str, bytes or path-like"):
            pr.load(wrong)
    assert os.listdir() == [f"model{extension}"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes to any file")
def test_a_file_that_is_write_protected_is_not_replaced(tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError) as caught:
        random_network().save(path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"


@POSIX
def test_a_model_is_read_from_a_pipe(tmp_path):
    network = random_network()
    for name in ("model.npz", "model.json"):
        network.save(tmp_path / name)
        pipe = tmp_path / f"pipe of {name}"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=[(tmp_path / name).read_bytes()])
        writer.start()
        assert_same(pr.load(pipe), network)
        writer.join()


# ---- What save takes, load gives back ------------------------------------------


def labelled(labels, **options):
    X = rows(40)
    return pr.PathReLUClassifier(alpha=0.1, random_state=0, **options).fit(
        X, labels[(X[:, 0] > 0).astype(int)]
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_labels_of_any_dtype_come_back_or_are_refused_before_anything_is_written(tmp_path, data):
    dtype = data.draw(
        st.one_of(
            arrays_of.boolean_dtypes(),
            arrays_of.integer_dtypes(endianness="?"),
            arrays_of.unsigned_integer_dtypes(endianness="?"),
            arrays_of.floating_dtypes(endianness="?"),
            arrays_of.unicode_string_dtypes(endianness="?", max_len=5),
            arrays_of.datetime64_dtypes(endianness="?"),
            arrays_of.timedelta64_dtypes(endianness="?"),
            st.sampled_from([np.dtype(np.longdouble), np.dtype("M8"), np.dtype("m8[25ms]")]),
        )
    )
    if dtype.kind == "f":
        values = st.integers(-9, 9)
    elif dtype.kind in "mM":
        values = st.integers(-(10**6), 10**6)
    else:
        values = arrays_of.from_dtype(dtype)
    labels = np.array(data.draw(st.lists(values, min_size=2, max_size=2, unique=True)))
    labels = labels.astype(np.int64 if dtype.kind in "mM" else dtype).astype(dtype)
    if labels[0] == labels[1]:  # text that ends in NUL
        return
    try:
        model = labelled(labels)
    except (ValueError, TypeError):  # scikit-learn takes them for no labels
        return
    path = tmp_path / "model"
    path.write_bytes(b"old")
    if dtype in (np.dtype(">f16"), np.dtype("<f16")):
        with pytest.raises(TypeError, match="classes_ cannot be saved: ndarray of dtype float"):
            model.save(path)
        assert path.read_bytes() == b"old"
        return
    model.save(path)
    again = pr.load(path)
    assert again.classes_.dtype == model.classes_.dtype.newbyteorder("=")
    assert again.classes_.tolist() == model.classes_.tolist()
    np.testing.assert_array_equal(again.predict(rows(9, seed=3)), model.predict(rows(9, seed=3)))


values = st.deferred(
    lambda: (
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats()
        | st.text(max_size=4)
        | arrays_of.arrays(
            st.one_of(
                arrays_of.integer_dtypes(endianness="="),
                arrays_of.floating_dtypes(sizes=(16, 32, 64), endianness="="),
                arrays_of.datetime64_dtypes(endianness="="),
            ),
            arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
        )
        | arrays_of.arrays(np.dtype("U3"), (2,)).map(np.asfortranarray)
        | st.sampled_from([np.float32(0.1), np.int8(3), np.datetime64("2020-01-01"), np.str_("a")])
        | st.lists(values, max_size=2)
        | st.lists(values, max_size=2).map(tuple)
        | st.dictionaries(st.text(max_size=2) | st.integers(), values, max_size=2)
        | st.lists(st.text(max_size=2), max_size=2).map(lambda texts: np.array([*texts, None], object))
        | st.sampled_from([print, object(), np.random.RandomState(0), np.longdouble(1), 1j, b"x", {1, 2}])
    )
)


@pytest.fixture(scope="module")
def regressor():
    return fitted("regressor")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=values, name=st.sampled_from(["callback", "random_state", "extra_"]))
def test_parameters_and_attributes_come_back_or_are_left_out_with_a_warning(tmp_path, regressor, value, name):
    kept = getattr(regressor, name, None)
    setattr(regressor, name, value)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            regressor.save(tmp_path / "model")
        again = pr.load(tmp_path / "model")
    finally:
        setattr(regressor, name, kept)
    if caught:
        assert f": {name} (" in str(caught[0].message)
        assert getattr(again, name, None) is None
    else:
        assert same(getattr(again, name), value)


def test_what_is_left_out_leaves_nothing_behind(tmp_path, regressor):
    model = copy.copy(regressor).set_params(callback=[np.ones(3), print])
    with pytest.warns(UserWarning, match="callback"):
        model.save(tmp_path / "model")
    assert pr.load(tmp_path / "model").callback is None
    model.callback = None
    model.save(tmp_path / "other")
    assert (tmp_path / "model").read_bytes() == (tmp_path / "other").read_bytes()


def test_values_that_are_not_plain_are_those_left_out():
    encode = Encoder()
    for value in (print, np.random.RandomState(0), np.longdouble(1), 1j, b"x", {1}, np.zeros(2, "i4,i4")):
        with pytest.raises(NotPlainData):
            encode([value])


def test_arrays_in_any_order_come_back(tmp_path):
    network = random_network((2, 3), "gated", outputs=2)
    for name in ("leaf_weights", "gates", "leaf_bias"):
        setattr(network, name, np.asfortranarray(getattr(network, name)))
    network.save(tmp_path / "model")
    np.testing.assert_array_equal(pr.load(tmp_path / "model").leaf_weights, network.leaf_weights)


def test_a_model_that_load_would_refuse_is_not_saved(tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(b"old")
    network = random_network()
    network.scale = network.scale * 0
    model = fitted().set_params(n_threads=0)
    for bad, reason in ((network, "scale has the value 0"), (model, "n_threads is 0")):
        with pytest.raises(ValueError, match=f"cannot be saved, for load would refuse the file: {reason}"):
            bad.save(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.npz"]


# ---- Files made by strangers ---------------------------------------------------


def peak_of_loading(path):
    """Bytes that the refusal of a file takes at most."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="is not a model that pathrelu can read") as caught:
            pr.load(path)
        return tracemalloc.get_traced_memory()[1], str(caught.value)
    finally:
        tracemalloc.stop()


def test_an_entry_that_is_named_many_times_is_refused_before_it_is_copied(tmp_path):
    path = tmp_path / "model.npz"
    network = random_network(K=50_000, d=10)
    model = fitted("regressor")
    model.network_, model.n_features_in_ = network, 10
    model.save(path)
    size = path.stat().st_size
    header = header_of(path)
    one = header["attributes"]["network_"]
    header["attributes"]["extra_"] = [one] * 800
    rewritten(path, arrays={"header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    peak, message = peak_of_loading(path)
    assert "which is not there or is named twice" in message
    assert peak < 12 * size


def test_shapes_larger_than_the_data_take_no_memory(tmp_path):
    path = tmp_path / "model.npz"
    for shape, data in (((10**13,), b""), ((2**32, 2**32), bytes(8)), ((2**63,), bytes(8))):
        random_network().save(path)
        rewritten(path, center=npy(shape, data))
        peak, message = peak_of_loading(path)
        assert f"center.npy has shape {shape}" in message
        assert peak < 2**20


# ---- Files of earlier formats --------------------------------------------------

FORMATS = Path(__file__).with_name("formats")
EXPECTED = json.loads((FORMATS / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED["files"])
def test_files_of_earlier_formats_are_read(tmp_path, name):
    """Each was written by the release that had its format; so were the outputs they are compared with."""
    expected, X = EXPECTED["files"][name], np.array(EXPECTED["rows"])
    model = pr.load(FORMATS / name)
    network = getattr(model, "network_", model)
    assert type(model).__name__ == expected["class"]
    assert (network.kind, network.depth, list(network.width)) == tuple(
        expected[key] for key in ("kind", "depth", "width")
    )
    assert network.classes == expected["classes"]
    outputs = np.array(expected["outputs"])
    np.testing.assert_allclose(network.predict(X), outputs, rtol=0, atol=1e-12 * np.abs(outputs).max())
    if expected["predict"] is not None:
        predicted = np.array(expected["predict"])
        if predicted.dtype.kind == "U":
            np.testing.assert_array_equal(model.predict(X), predicted)
        else:
            np.testing.assert_allclose(model.predict(X), predicted, rtol=0, atol=1e-12)
    model.save(tmp_path / f"again{Path(name).suffix}")  # in the format of this release
    again = pr.load(tmp_path / f"again{Path(name).suffix}")
    if model is network:
        assert_same(again, network)
    else:
        assert_equal_attributes(again, model)


def test_every_earlier_format_is_there():
    found = {name: expected["version"] for name, expected in EXPECTED["files"].items()}
    assert set(found) == {path.name for path in FORMATS.iterdir()} - {"expected.json"}
    assert {version for name, version in found.items() if name.startswith("network")} == {1, 2}
    assert {version for name, version in found.items() if name.startswith("estimator")} == {1}
    for name, version in found.items():
        content = (FORMATS / name).read_bytes()
        header = json.loads(content) if name.endswith("json") else header_of(io.BytesIO(content))
        assert header["version"] == version
        assert "pathrelu_version" not in header


def test_files_hold_the_version_of_the_package(tmp_path):
    fitted().save(tmp_path / "model")
    assert header_of(tmp_path / "model")["pathrelu_version"] == pr.__version__
    random_network().save(tmp_path / "network.json")
    assert json.loads((tmp_path / "network.json").read_text())["pathrelu_version"] == pr.__version__


# ---- What files may name -------------------------------------------------------


def test_files_may_name_what_is_registered_and_nothing_derived_from_it():
    class Network(pr.ParallelReLUNetwork):
        kind = "own"

    class Regressor(pr.PathReLURegressor):
        pass

    assert {name for name, _ in NETWORKS.items()} == {"relu", "gated"}
    estimators = {name for name in pr.__all__ if hasattr(getattr(pr, name), "fit")}
    assert {name for name, _ in ESTIMATORS.items()} == estimators - {"TableEncoder"}  # part of networks
    assert dict(RECORDS.items()) == {"Record": Record}
    assert ESTIMATORS.name_of(Regressor) is None
    assert NETWORKS.name_of(Network) is None
    assert NETWORKS.get("own") is None
    assert NETWORKS.has_instance(Network([[[1.0]]]))


def test_a_network_of_a_derived_class_is_not_stored_under_a_name_that_files_do_not_have(tmp_path):
    class Network(pr.ParallelReLUNetwork):
        kind = "own"

    with pytest.raises(ValueError, match="load would refuse the file: it holds a network of the kind 'own'"):
        Network([[[1.0]]]).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_name_in_files_is_that_of_one_class():
    registry = Registry()

    @registry.named("one")
    class First:
        pass

    assert registry.named("one")(First) is First
    with pytest.raises(ValueError, match=r"the name 'one' is that of test_files\..*First"):
        registry.named("one")(Registry)
    assert registry.get("one") is First
    assert registry.get(["one"]) is None
