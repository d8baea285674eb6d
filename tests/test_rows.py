"""Rows in pieces: sources, blocks and what is refused of them."""

import numpy as np
import pandas as pd
import pytest
from pieces import Pieces, cut_at

from pathrelu.encoding import RawTable
from pathrelu.rows import ArraySource, ParquetSource, Source
from pathrelu.rows import _blocks as blocks
from pathrelu.rows._blocks import LocalBlocks, added, reduced


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 64)


def table(n=300, d=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)).astype(dtype), rng.standard_normal(n), rng.random(n)


def moments(X, y, w):
    return X.block.T @ w, float(w @ y), X.block.T @ X.block


def content(X, y, w):
    return X.block.copy(), y.copy(), w.copy()


@pytest.mark.parametrize("places", [(), (1,), (64,), (100, 100, 200), (3, 5, 7, 299), (63, 64, 65), (0, 300)])
def test_blocks_do_not_depend_on_chunks(places):
    X, y, w = table()
    found = LocalBlocks(cut_at(X, y, w, *places)).map_blocks(content)
    assert [len(block[1]) for block in found] == [64, 64, 64, 64, 44]
    for k, whole in enumerate((X, y, w)):
        np.testing.assert_array_equal(np.concatenate([block[k] for block in found]), whole)
    whole = LocalBlocks(ArraySource(X, y, w)).reduce_blocks(moments, added)
    parts = LocalBlocks(cut_at(X, y, w, *places)).reduce_blocks(moments, added)
    for a, b in zip(whole, parts, strict=True):
        assert np.array_equal(a, b)


def test_numbers_of_rows_and_blocks_are_known_before_any_pass_and_after():
    X, y, w = table(129)
    held = LocalBlocks(cut_at(X, y, w, 100))
    assert (held.n_rows, held.n_blocks, held.passes) == (129, 3, 1)
    assert held.map_blocks(lambda X, y, w, a: len(y) + a, 1000) == [1064, 1064, 1001]
    assert held.passes == 2


def test_prepared_blocks_are_what_the_function_makes():
    X, y, w = table(100)
    doubled = LocalBlocks(ArraySource(X, y, w)).prepared(lambda X, y, w, a: (a * X.block, y, w), 2.0)
    again = doubled.prepared(lambda X, y, w: (X + 1, y, w))
    found = again.map_blocks(lambda X, y, w: X)
    np.testing.assert_array_equal(np.concatenate(found), 2 * X + 1)
    assert (again.n_rows, again.n_blocks) == (100, 2)
    total = again.reduce_blocks(lambda X, y, w: X.sum(axis=0), added)
    np.testing.assert_array_equal(total, found[0].sum(axis=0) + found[1].sum(axis=0))


@pytest.mark.parametrize("n", range(1, 20))
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_results_combine_in_one_tree_whoever_combines_aligned_groups(n, size):
    def name(a, b):
        return f"({a}{b})"

    items = [chr(ord("a") + k) for k in range(n)]
    groups = [reduced(items[k : k + size], name) for k in range(0, n, size)]
    assert reduced(groups, name) == reduced(items, name)
    assert reduced(items, name).replace("(", "").replace(")", "") == "".join(items)


def steps(X, y, w, state, k):
    return [*state, (k, len(y), float(X.block[0, 0]))]


def last_of_each(states):
    before = states[0][:-1]
    return [*before, tuple(state[-1] for state in states)]


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_groups_of_a_fold_start_from_the_same_state(size, threads):
    X, y, w = table(300)
    held = LocalBlocks(cut_at(X, y, w, 100, 170), threads=threads)
    found = held.fold_blocks(steps, last_of_each, [], size)
    blocks_of = [(k, min(64, 300 - 64 * k), X[64 * k, 0]) for k in range(5)]
    assert found == [tuple(blocks_of[k : k + size]) for k in range(0, 5, size)]


def test_frames_with_text_have_the_levels_of_all_their_pieces():
    frame = pd.DataFrame({"a": np.arange(130.0), "b": [None] * 40 + ["x"] * 30 + ["u"] * 60})
    y = np.arange(130.0)
    pieces = Pieces((frame[:40], y[:40], None), (frame[40:75], y[40:75], None), (frame[75:], y[75:], None))
    found = LocalBlocks(pieces).map_blocks(lambda X, y, w: X)
    for k, block in enumerate(found):
        whole = RawTable.read(frame[64 * k : 64 * (k + 1)])
        assert block.names == ["a", "b"]
        for got, expected in zip(block.columns, whole.columns, strict=True):
            assert (got.kind, got.levels) == (expected.kind, expected.levels)
            np.testing.assert_array_equal(got.values, expected.values)


def test_labels_stay_as_they_are():
    X, _, _ = table(100)
    labels = np.array(["no", "yes", "perhaps", "no"] * 25)
    for given in (labels, labels.astype(object), np.arange(100) % 3, np.arange(100) % 2 == 0):
        held = LocalBlocks(cut_at(X, given, None, 30, 70), labels=True)
        found = held.map_blocks(lambda X, y, w: (y, w))
        got = np.concatenate([y for y, _ in found])
        assert got.dtype == given.dtype
        assert got.tolist() == given.tolist()
        assert all((w == 1).all() for _, w in found)


def test_labels_that_are_none():
    X, y, _ = table(100)
    for given, message in (
        (y, "value .* in row 0; expected labels"),
        (with_value(np.array(["u", "v"] * 50, object), 75, None), "y has a missing value .* in row 75"),
        (X, "y has shape .* expected"),
        (np.full(100, np.datetime64("2020-01-01")), "expected text, whole numbers or booleans"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            LocalBlocks(cut_at(X, given, None, 60), labels=True).map_blocks(content)
    mixed = Pieces((X, np.full(100, "u"), None), (X, np.full(100, 1), None))
    with pytest.raises(TypeError, match="y holds numbers in chunk 1"):
        LocalBlocks(mixed, labels=True).map_blocks(content)


def test_whole_numbers_and_float64_mix_but_float32_stays_alone():
    X, y, w = table(100)
    whole = np.arange(60).reshape(20, 3)
    found = LocalBlocks(Pieces((X, y, w), (whole, y[:20], w[:20]))).map_blocks(lambda X, y, w: X.block)
    assert {block.dtype for block in found} == {np.dtype(np.float64)}
    narrow = LocalBlocks(ArraySource(X.astype(np.float32), y)).map_blocks(lambda X, y, w: X.block)
    assert {block.dtype for block in narrow} == {np.dtype(np.float32)}


X, y, w = table(200)
frame = pd.DataFrame(X, columns=["a", "b", "c"])


def with_value(array, place, value):
    array = array.copy()
    array[place] = value
    return array


REFUSED = {
    "a NaN far down": (
        cut_at(with_value(X, (150, 1), np.nan), y, w, 60, 120),
        r"X has a missing value \(NaN\) in column 1 of row 150; .*chunk 2 of 3",
    ),
    "an infinity": (
        cut_at(with_value(X, (70, 2), -np.inf), y, w, 60),
        "infinite value in column 2 of row 70",
    ),
    "a NaN of a frame": (
        cut_at(frame.where(frame.index.to_series() != 110), y, w, 60, 100),
        r"missing value \(NaN\) in column 'a' of row 110",
    ),
    "a NaN target": (cut_at(X, with_value(y, 61, np.nan), w, 60), "y has the value nan in row 61"),
    "a missing target": (
        cut_at(X, with_value(y.astype(object), 75, None), w, 60),
        "y has a missing value .* in row 75",
    ),
    "a weight below 0": (
        cut_at(X, y, with_value(w, 199, -1.0), 60),
        "sample_weight has the value -1 in row 199",
    ),
    "an infinite weight": (cut_at(X, y, with_value(w, 199, np.inf), 60), "value inf in row 199"),
    "columns": (Pieces((X, y, w), (X[:, :2], y, w)), "chunk 1 of 2 of the source has 2 columns; expected 3"),
    "names of columns": (
        Pieces((frame, y, w), (frame[["a", "c", "b"]], y, w)),
        "chunk 1 .* has the columns 'a', 'c', 'b'; expected 'a', 'b', 'c'",
    ),
    "a frame after an array": (Pieces((X, y, w), (frame, y, w)), "expected without names"),
    "dtype": (Pieces((X, y, w), (X.astype(np.float32), y, w)), "dtype float32; expected float64"),
    "text in numbers": (
        Pieces((frame, y, w), (frame.assign(b="x"), y, w)),
        "column 'b' of X holds text or categories.*expected",
    ),
    "text alone": (
        Pieces((frame.assign(b="x"), y, w)),
        "column 'b' of X holds text or categories; expected numbers",
    ),
    "rows of y": (Pieces((X, y[1:], w)), "y has 199 rows in chunk 0 of 1 of the source, where X has 200"),
    "rows of weights": (Pieces((X, y, w[1:])), "sample_weight has 199 rows"),
    "weights only sometimes": (Pieces((X, y, w), (X, y, None)), "chunk 1 .* has no weights, unlike"),
    "outputs": (Pieces((X, y, w), (X, X, w)), "y has 3 columns in chunk 1 .*; expected one dimension"),
    "labels": (Pieces((X, y, w), (X, np.full(200, "u"), w)), "y has dtype <U1; expected numbers"),
    "no rows": (Pieces((X[:0], y[:0], w[:0]), (X[:0], y[:0], w[:0])), "no rows in its 2 chunks"),
    "no chunks": (Pieces(), "n_chunks of the source is 0"),
    "no tuple": (Pieces(X), "chunk 0 of 1 of the source is a ndarray; expected a tuple"),
    "no targets": (Pieces((X, None, None)), "y is None"),
    "one dimension": (Pieces((y, y, None)), "expected two dimensions"),
    "complex": (Pieces((X + 1j, y, None)), "dtype complex128"),
}


@pytest.mark.parametrize(("source", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(source, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        LocalBlocks(source, gaps=False).map_blocks(content)
    assert "{" not in str(caught.value)


def test_missing_values_are_for_encoders_and_infinities_for_none():
    gap = LocalBlocks(cut_at(with_value(X, (150, 1), np.nan), y, w, 60)).map_blocks(content)
    assert np.isnan(gap[2][0][22, 1])
    with pytest.raises(ValueError, match="infinite value in column 1 of row 150"):
        LocalBlocks(cut_at(with_value(X, (150, 1), np.inf), y, w, 60)).map_blocks(content)


def test_a_source_that_changes_between_passes_is_refused():
    for change, message in (
        (lambda source: source.pieces.append((X, y, w)), "has 3 chunks; it had 2"),
        (lambda source: source.pieces.pop(), "has 1 chunks; it had 2"),
        (lambda source: source.pieces.__setitem__(1, (X[:9], y[:9], w[:9])), "has 9 rows; it had 200"),
        (lambda source: source.pieces.__setitem__(1, (frame, y, w)), "has the columns 'a', 'b', 'c'"),
    ):
        source = Pieces((X, y, w), (X, y, w))
        held = LocalBlocks(source)
        held.map_blocks(content)
        change(source)
        with pytest.raises(ValueError, match=message):
            held.map_blocks(content)


def test_a_source_that_grows_while_it_is_read_is_refused():
    class Growing(Pieces):
        def chunk(self, k):
            self.pieces.append(self.pieces[0])
            return self.pieces[k]

    with pytest.raises(ValueError, match="has 2 chunks; it had 1"):
        LocalBlocks(Growing((X, y, w))).map_blocks(content)


def test_errors_of_a_source_say_where():
    class Broken(Pieces):
        def chunk(self, k):
            if k == 1:
                raise OSError("the disk is gone")
            return super().chunk(k)

    with pytest.raises(OSError, match="disk is gone") as caught:
        LocalBlocks(Broken((X, y, w), (X, y, w))).map_blocks(content)
    assert "chunk 1 of 2 of the source, which begins at row 200" in caught.value.__notes__[0]


def test_memory_maps_are_read_as_arrays_are(tmp_path):
    rows, targets, weights = table(300, dtype=np.float32)
    np.save(tmp_path / "X.npy", rows)
    for mode in ("r", "r+", "c"):
        mapped = np.load(tmp_path / "X.npy", mmap_mode=mode)
        if mode == "c":
            mapped[0, 0] = 7  # is not lost with the pages
        for of in (mapped, mapped[100:]):
            n = len(of)
            found = LocalBlocks(ArraySource(of, targets[-n:], weights[-n:], chunk_rows=50)).map_blocks(
                content
            )
            np.testing.assert_array_equal(np.concatenate([block[0] for block in found]), of)


def test_arrays_of_zarr_are_read_in_their_own_chunks():
    zarr = pytest.importorskip("zarr")
    rows, targets, _ = table(300)
    stored = zarr.array(rows, chunks=(70, 3))
    source = ArraySource(stored, targets)
    assert isinstance(source, Source)
    assert source.chunk_rows % 70 == 0
    found = LocalBlocks(source).map_blocks(content)
    np.testing.assert_array_equal(np.concatenate([block[0] for block in found]), rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, y[1:]), "y has shape .* expected 200 rows"),
        ((X, y, w[1:]), "sample_weight has shape"),
        ((X[:0], y[:0]), "X has no rows"),
        ((y, y), "expected two dimensions"),
        ((X.tolist(), y), "X is a list"),
        ((X, None), "y is a NoneType"),
    ],
)
def test_arrays_that_are_no_source(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ArraySource(*arguments)


@pytest.fixture
def files(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    whole = frame.assign(y=y, w=w, text=["u", "v"] * 100)
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    parquet.write_table(arrow.Table.from_pandas(whole[:120]), paths[0], row_group_size=50)
    parquet.write_table(arrow.Table.from_pandas(whole[120:]), paths[1], row_group_size=33)
    return paths


def test_parquet_files_are_read_by_row_groups(files):
    source = ParquetSource(files, target="y", weight="w", columns=["c", "a"])
    assert isinstance(source, Source)
    assert (source.n_chunks, source.n_rows) == (6, 200)
    found = LocalBlocks(source, gaps=False).map_blocks(content)
    np.testing.assert_array_equal(np.concatenate([block[0] for block in found]), X[:, [2, 0]])
    np.testing.assert_array_equal(np.concatenate([block[1] for block in found]), y)
    np.testing.assert_array_equal(np.concatenate([block[2] for block in found]), w)
    others = ParquetSource(files, target=["y", "w"])
    assert others.columns == ["a", "b", "c", "text"]
    assert others.chunk(0)[1].shape == (50, 2)


def test_parquet_files_that_are_no_source(files, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    other = tmp_path / "3.parquet"
    parquet.write_table(arrow.Table.from_pandas(frame.astype(np.float32).assign(y=y)), other)
    with pytest.raises(TypeError, match=r"'a' is float in .*3\.parquet; expected double, as in .*1\.parquet"):
        ParquetSource([*files, other], target="y", columns=["a"])
    with pytest.raises(ValueError, match="has no column 'z'"):
        ParquetSource(files, target="z")
    with pytest.raises(ValueError, match="'y', which is the target"):
        ParquetSource(files, target="y", columns=["y"])
    with pytest.raises(ValueError, match="paths is empty"):
        ParquetSource([], target="y")
    empty = tmp_path / "4.parquet"
    parquet.write_table(arrow.Table.from_pandas(frame.assign(y=y)[:0]), empty)
    with pytest.raises(ValueError, match="there are no rows"):
        ParquetSource(empty, target="y")
    source = ParquetSource(files, target="y", columns=["a"])
    parquet.write_table(arrow.Table.from_pandas(frame.assign(y=y)[:60]), files[0])
    with pytest.raises(ValueError, match="has lost row groups since"):
        LocalBlocks(source).map_blocks(content)
