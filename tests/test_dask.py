"""Blocks on the workers of Dask: the bits of local ones, whatever happens to the workers."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import slow as is_slow

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

from pathrelu.dask import _blocks as dask_blocks  # noqa: E402
from pathrelu.dask._blocks import DaskBlocks, Lost  # noqa: E402
from pathrelu.encoding import RawTable  # noqa: E402
from pathrelu.program import _stochastic  # noqa: E402
from pathrelu.rows import ArraySource  # noqa: E402
from pathrelu.rows import _blocks as blocks  # noqa: E402
from pathrelu.rows._blocks import LocalBlocks, added  # noqa: E402
from pathrelu.rows._sample import summarize  # noqa: E402

LONGEST = 300  # seconds that a test may take, far more than any does: what hangs fails

# Of connections and processes that a test cuts, and of threads that were waiting.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(autouse=True)
def watchdog():
    def bark(*_):
        raise TimeoutError(f"the test has taken {LONGEST} seconds")

    before = signal.signal(signal.SIGALRM, bark)
    signal.alarm(LONGEST)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 64)


def start(n_workers):
    return distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
        silence_logs=50,
    )


@pytest.fixture(scope="module")
def cluster():
    with start(2) as found:
        yield found


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as found:
        found.wait_for_workers(2, timeout=LONGEST)
        yield found


def table(n=1000, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n), rng.random(n)


def content(X, y, w):
    return X.block.copy(), y.copy(), w.copy()


def moments(X, y, w, power):
    return (X.block**power * w[:, np.newaxis]).sum(axis=0), float((w * y).sum())


def doubled(X, y, w, factor):
    return factor * X.block, y, w


def total(X, y, w):
    return X.sum(axis=0)


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(found, list | tuple):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    else:
        np.testing.assert_array_equal(found, expected)


CHUNKS = {
    "one": ((1000,), (1000,), (1000,)),
    "even": ((250,) * 4, (250,) * 4, (250,) * 4),
    "of different sizes": ((1, 63, 64, 65, 807), (500, 500), (999, 1)),
    "with empty ones": ((0, 400, 0, 600, 0), (1000, 0), (0, 1000)),
    "tiny": ((1,) * 10 + (990,), (3,) * 3 + (991,), (1000,)),
}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_blocks_are_those_of_the_local_rows(client, chunks):
    X, y, w = table()
    rows = da.from_array(X, chunks=(chunks[0], (2, 1)))
    held = DaskBlocks(rows, da.from_array(y, chunks=chunks[1:2]), da.from_array(w, chunks=chunks[2:]), client)
    local = LocalBlocks(ArraySource(X, y, w))
    assert (held.n_rows, held.n_blocks) == (1000, 16)
    assert_same(held.map_blocks(content), local.map_blocks(content))
    assert_same(held.reduce_blocks(moments, added, 3), local.reduce_blocks(moments, added, 3))
    twice = held.prepared(doubled, 2.0).prepared(doubled_array, 1.5)
    assert_same(
        twice.reduce_blocks(total, added),
        local.prepared(doubled, 2.0).prepared(doubled_array, 1.5).reduce_blocks(total, added),
    )


def doubled_array(X, y, w, factor):
    return factor * X, y, w


def steps(X, y, w, state, k):
    return [*state, (k, float(X.block[:, 0].sum()))]


def last_of_each(states):
    return [*states[0][:-1], tuple(state[-1] for state in states)]


@pytest.mark.parametrize("size", [1, 4, 16])
def test_folds_are_those_of_the_local_rows(client, monkeypatch, size):
    X, y, w = table(3000)
    monkeypatch.setattr(dask_blocks.Cluster, "threads", lambda self: 2)
    held = DaskBlocks(da.from_array(X, chunks=700), da.from_array(y), da.from_array(w), client)
    assert held._size == 4
    local = LocalBlocks(ArraySource(X, y, w))
    found = held.fold_blocks(steps, last_of_each, [], size)
    assert found == local.fold_blocks(steps, last_of_each, [], size)


@pytest.mark.parametrize("threads", [1, 4, 1000])
def test_groups_do_not_change_bits(client, monkeypatch, threads):
    X, y, w = table(3000)
    monkeypatch.setattr(dask_blocks.Cluster, "threads", lambda self: threads)
    held = DaskBlocks(da.from_array(X, chunks=700), da.from_array(y, chunks=900), da.from_array(w), client)
    assert held._size == {1: 8, 4: 2, 1000: 1}[threads]
    local = LocalBlocks(ArraySource(X, y, w))
    assert_same(held.map_blocks(moments, 2), local.map_blocks(moments, 2))
    assert_same(held.reduce_blocks(moments, added, 2), local.reduce_blocks(moments, added, 2))
    found, expected = (summarize(one, 50, 1, labels=False) for one in (held, local))
    assert_same(found.keys, expected.keys)
    assert_same(found.sample.X.block, expected.sample.X.block)


def test_frames_of_unknown_sizes_with_text_and_labels(client):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.standard_normal(500), "b": rng.choice(list("uvw"), 500)})
    y = pd.Series(np.array(["no", "yes"])[rng.integers(0, 2, 500)])
    lazy = dd.from_pandas(frame.assign(y=y), npartitions=5)
    lazy = lazy[lazy["a"] > -1]  # whose sizes are not known, and whose index has gaps
    kept = frame["a"] > -1
    held = DaskBlocks(lazy[["a", "b"]], lazy["y"], client=client, labels=True)
    local = LocalBlocks(ArraySource(frame[kept], y[kept]), labels=True)
    found, expected = (summarize(one, 50, 1, labels=True) for one in (held, local))
    assert_same(found.keys, expected.keys)
    assert found.labels.tolist() == ["no", "yes"]
    assert found.n_rows == kept.sum()
    of_array = da.from_array(frame["a"].to_numpy()[:, np.newaxis], chunks=100)
    unknown = of_array[of_array[:, 0] > -1]
    assert np.isnan(unknown.shape[0])
    held = DaskBlocks(unknown, lazy["y"], client=client, labels=True)
    assert held.n_rows == kept.sum()


# ---- What is refused -------------------------------------------------------------


def with_value(array, place, value):
    array = array.copy()
    array[place] = value
    return array


def lazily(*arrays, chunks=200):
    return [da.from_array(array, chunks=(chunks, *array.shape[1:])) for array in arrays]


def of_other_dtype():
    X, y, _ = table()
    parts = [da.from_array(X[:500]), da.from_array(X[500:].astype(np.float32))]
    return da.map_blocks(lambda part: part, da.concatenate(parts), dtype=np.float64), da.from_array(y)


X, y, w = table()
frame = pd.DataFrame(X, columns=["a", "b", "c"])
REFUSED = {
    "a NaN far down": (
        lambda: lazily(with_value(X, (812, 1), np.nan), y),
        r"missing value \(NaN\) in column 1 of row 812; .*partition 4 of 5 of X",
    ),
    "an infinity in a frame": (
        lambda: (dd.from_pandas(frame.replace(X[700, 2], np.inf), npartitions=3), da.from_array(y)),
        "infinite value in column 'c' of row 700",
    ),
    "a NaN target": (lambda: lazily(X, with_value(y, 333, np.nan)), "y has the value nan in row 333"),
    "a weight": (lambda: lazily(X, y, with_value(w, 999, -1)), "sample_weight has the value -1 in row 999"),
    "rows of y": (lambda: lazily(X, y[1:]), "y has 999 rows, and X has 1000"),
    "rows of weights": (lambda: lazily(X, y, w[1:]), "sample_weight has 999 rows, and X has 1000"),
    "no rows": (lambda: lazily(X[:0], y[:0]), "X has no rows in its 1 partitions"),
    "what is in memory": (lambda: (X, y), "X is a ndarray; expected a dask array"),
    "targets in memory": (lambda: (lazily(X)[0], y), "y is a ndarray; expected a dask array"),
    "one dimension": (lambda: lazily(y, y), "expected .rows, columns."),
    "text": (
        lambda: (dd.from_pandas(frame.assign(b="u"), npartitions=3), da.from_array(y)),
        "column 'b' of X holds text",
    ),
    "labels": (lambda: lazily(X, np.full(1000, "u")), "y has dtype <U1; expected numbers"),
    "partitions of other dtypes": (lambda: made_otherwise(np.float32), "partition 1 .* has dtype float32"),
    "partitions of other columns": (lambda: made_otherwise(None), "partition 1 .* has 2 columns; expected 3"),
}


def otherwise(part, dtype, block_info=None):
    if not block_info or block_info[0]["chunk-location"][0] == 0:
        return part
    return part[:, :2] if dtype is None else part.astype(dtype)


def made_otherwise(dtype):
    return da.from_array(X, chunks=(500, 3)).map_blocks(otherwise, dtype, dtype=X.dtype), da.from_array(y)


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(client, given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        DaskBlocks(*given(), client=client, gaps=False)


def test_whole_numbers_among_others_are_taken(client):
    rows, targets = made_otherwise(np.float64)
    whole = rows.map_blocks(otherwise, np.int64, dtype=X.dtype)
    held = DaskBlocks(whole, targets, client=client)
    expected = np.concatenate([X[:500], X[500:].astype(np.int64)])
    np.testing.assert_array_equal(np.concatenate([block[0] for block in held.map_blocks(content)]), expected)


def broken(X, y, w):
    raise ArithmeticError("of its own")


def test_errors_of_functions_and_partitions_are_raised(client):
    held = DaskBlocks(*lazily(X, y), client=client)
    with pytest.raises(ArithmeticError, match="of its own"):
        held.map_blocks(broken)
    with pytest.raises(ArithmeticError, match="of its own"):
        held.reduce_blocks(broken, added)
    with pytest.raises(ZeroDivisionError):
        DaskBlocks(da.from_array(X, chunks=500).map_blocks(lambda part: 1 // 0, dtype=X.dtype), lazily(y)[0])
    assert len(held.map_blocks(content)) == 16


# ---- What happens to clients, schedulers and workers -----------------------------


def test_no_client_is_refused():
    with pytest.raises(ValueError, match="no client of Dask; expected"):
        DaskBlocks(*lazily(X, y))
    with pytest.raises(TypeError, match="client is a str"):
        DaskBlocks(*lazily(X, y), client="tcp://127.0.0.1:1")


def test_a_closed_client_is_refused(cluster):
    with distributed.Client(cluster) as client:
        held = DaskBlocks(*lazily(X, y))
        assert held.n_rows == 1000
    with pytest.raises(
        Lost, match=r"client is closed; expected .*0 of 8 groups of blocks are there, in pass 1"
    ):
        held.map_blocks(content)
    with pytest.raises(Lost, match="client is closed; expected"):
        DaskBlocks(*lazily(X, y), client=client)


def slow(X, y, w, seconds):
    time.sleep(seconds)
    return float((X.block[:, 0] * w).sum())


def later(seconds, action):
    thread = threading.Timer(seconds, action)
    thread.start()
    return thread


def test_a_client_that_closes_meanwhile_ends_the_pass(cluster):
    client = distributed.Client(cluster)
    held = DaskBlocks(*lazily(X, y), client=client)
    thread = later(1, client.close)
    with pytest.raises(Lost, match=r"[0-7] of \d groups of blocks were done, in pass 1"):
        held.map_blocks(slow, 0.5)
    thread.join()


def test_cancelled_futures_end_the_pass(client):
    rows, targets = (array.persist() for array in lazily(X, y))
    held = DaskBlocks(rows, targets, client=client)
    assert len(held.map_blocks(content)) == 16
    client.cancel(held._groups, force=True)
    with pytest.raises(Lost, match="0 of 8 groups of blocks were done, in pass 2"):
        held.map_blocks(content)


def test_data_cancelled_before_they_are_read(client):
    rows, targets = (array.persist() for array in lazily(X, y))
    distributed.wait([rows, targets])
    client.cancel([rows, targets], force=True)
    with pytest.raises(Lost, match="0 of 10 partitions were read"):
        DaskBlocks(rows, targets, client=client)


def kill_once(flag):
    """The worker that first comes here dies."""
    try:
        Path(flag).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def dying(X, y, w, flag):
    if len(y) < 64:  # the last block
        kill_once(flag)
    return float((X.block[:, 0] * w).sum())


def dying_rows(X, y, w, flag):
    kill_once(flag)
    return 2 * X.block, y, w


def dying_part(part, flag):
    kill_once(flag)
    return part


class DyingSteps:
    """As `steps`, but that a worker dies at block 9."""

    def __init__(self, flag):
        self.flag = flag

    def __call__(self, X, y, w, state, k):
        if k == 9:
            kill_once(self.flag)
        return steps(X, y, w, state, k)


def first_column(X, y, w):
    return X[:, 0].sum()


def test_killed_workers_cost_no_bits(client, tmp_path):
    flags = [tmp_path / str(k) for k in range(4)]
    rows = da.from_array(X, chunks=(100, 3)).map_blocks(dying_part, flags[0], meta=X[:0])
    held = DaskBlocks(rows, *lazily(y, w), client)  # killed where partitions are read
    local = LocalBlocks(ArraySource(X, y, w))
    unkilled = local.map_blocks(slow, 0)
    assert_same(held.map_blocks(dying, flags[1]), unkilled)  # in a pass
    twice = held.prepared(dying_rows, flags[2])  # where rows are prepared
    pids = list(client.run(os.getpid).values())
    os.kill(pids[0], signal.SIGKILL)  # between passes
    assert_same(twice.map_blocks(first_column), local.prepared(doubled, 2.0).map_blocks(first_column))
    assert_same(held.reduce_blocks(dying, added, flags[3]), local.reduce_blocks(slow, added, 0))
    found = held.fold_blocks(DyingSteps(tmp_path / "fold"), last_of_each, [], 4)
    assert found == local.fold_blocks(steps, last_of_each, [], 4)
    assert (tmp_path / "fold").exists()
    assert all(flag.exists() for flag in flags)
    client.wait_for_workers(2, timeout=LONGEST)


def where(X, y, w, seconds):
    time.sleep(seconds)
    return os.getpid()


class WhereSteps:
    """As `steps`, with who makes them."""

    def __call__(self, X, y, w, state, k):
        time.sleep(0.2)
        return [*state, (k, os.getpid())]


@is_slow
def test_a_worker_that_comes_in_the_middle_of_a_fold_is_used(monkeypatch):
    monkeypatch.setattr(_stochastic, "GROUPED_ROWS", 0)  # as where rows are many
    with start(1) as cluster, distributed.Client(cluster) as client:
        held = DaskBlocks(*lazily(X, y), client=client)
        seen = set()

        def combine(states):
            if len(states[0]) == 1:  # after the first group
                cluster.scale(2)
                client.wait_for_workers(2, timeout=LONGEST)
            seen.update(pid for state in states for _, pid in state[-1:])
            return states[0]

        for _ in range(10):  # a worker steals when the others' tasks take longer than moving what they need
            held.fold_blocks(WhereSteps(), combine, [], 4)
            if len(seen) == 2:
                break
        assert len(seen) == 2
        local = LocalBlocks(ArraySource(X, y))
        assert held.fold_blocks(steps, last_of_each, [], 4) == local.fold_blocks(steps, last_of_each, [], 4)


@is_slow
def test_three_workers_find_the_bits_of_one_process():
    with start(3) as cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(3, timeout=LONGEST)
        X, y, w = table(3000)
        held = DaskBlocks(da.from_array(X, chunks=(170, 2)), *lazily(y, w), client=client)
        local = LocalBlocks(ArraySource(X, y, w))
        assert len(set(held.map_blocks(where, 0.05))) == 3
        assert_same(held.map_blocks(moments, 2), local.map_blocks(moments, 2))
        assert_same(held.reduce_blocks(moments, added, 2), local.reduce_blocks(moments, added, 2))
        for size in (1, 4, 16):
            found = held.fold_blocks(steps, last_of_each, [], size)
            assert found == local.fold_blocks(steps, last_of_each, [], size)


@is_slow
def test_a_worker_that_comes_later_is_used():
    with start(1) as cluster, distributed.Client(cluster) as client:
        held = DaskBlocks(*lazily(X, y), client=client)
        assert len(set(held.map_blocks(where, 0.0))) == 1
        expected = held.map_blocks(slow, 0.0)
        cluster.scale(2)
        client.wait_for_workers(2, timeout=LONGEST)
        assert any(len(set(held.map_blocks(where, 0.2))) == 2 for _ in range(5))
        assert_same(held.map_blocks(slow, 0.0), expected)
        cluster.scale(1)  # and one that goes takes nothing with it
        assert_same(held.map_blocks(slow, 0.0), expected)


@pytest.fixture
def own_scheduler(tmp_path):
    """Processes of a scheduler and a worker, and a client."""
    file = str(tmp_path / "scheduler.json")
    shared = ["--scheduler-file", file, "--no-dashboard"]
    run = [sys.executable, "-m", "distributed.cli"]
    commands = [
        [f"{run[2]}.dask_scheduler", *shared, "--host", "127.0.0.1", "--port", "0"],
        [f"{run[2]}.dask_worker", *shared, "--nthreads", "1", "--no-nanny"],
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}  # of the functions of this file
    processes = [
        subprocess.Popen(
            [*run[:2], *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for command in commands
    ]
    try:
        while not Path(file).exists():
            time.sleep(0.1)
        with distributed.Client(scheduler_file=file, timeout=LONGEST) as client:
            client.wait_for_workers(1, timeout=LONGEST)
            yield (*processes, client)
    finally:
        for process in processes:
            process.kill()
            process.wait()


class SlowSteps:
    """As `steps`, but that each takes a while."""

    def __call__(self, X, y, w, state, k):
        time.sleep(0.25)
        return steps(X, y, w, state, k)


@is_slow
def test_a_scheduler_that_dies_in_a_fold_ends_it_within_seconds(own_scheduler):
    scheduler, _, client = own_scheduler
    held = DaskBlocks(*lazily(X, y), client=client)
    killed = []

    def kill():
        scheduler.kill()
        killed.append(time.monotonic())

    thread = later(2, kill)
    with pytest.raises(
        Lost, match=r"[0-4] of \d parts of a group of blocks were done, in pass 1 over the rows"
    ):
        held.fold_blocks(SlowSteps(), last_of_each, [], 4)
    assert time.monotonic() - killed[0] < 30
    thread.join()


def test_a_scheduler_that_goes_away_ends_the_pass(own_scheduler):
    scheduler, _, client = own_scheduler
    held = DaskBlocks(*lazily(X, y), client=client)
    thread = later(2, scheduler.kill)
    with pytest.raises(Lost, match=r"[0-7] of \d groups of blocks were done, in pass 1"):
        held.map_blocks(slow, 0.5)
    thread.join()


@is_slow
def test_without_any_worker_the_pass_ends(own_scheduler, monkeypatch):
    monkeypatch.setattr(dask_blocks, "PATIENCE", 3.0)
    _, worker, client = own_scheduler
    held = DaskBlocks(*lazily(X, y), client=client)
    thread = later(2, worker.kill)
    with pytest.raises(Lost, match="no worker for 3 seconds"):
        held.map_blocks(slow, 0.5)
    thread.join()


def test_no_rows_are_read_of_a_table_that_is_not_lazy():
    with pytest.raises(TypeError, match="X is a RawTable"):
        dask_blocks._partitions(RawTable.read(X), "X")
