"""Progress is shown where somebody looks, and a fit that is stopped leaves the best network so far."""

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import fields

import numpy as np
import pytest
from interrupt import IMPORT
from sklearn.exceptions import ConvergenceWarning

import pathrelu as pr
from pathrelu import _base, _core, _display, _watch
from pathrelu._watch import Record, Stage
from pathrelu.program._problem import Problem
from pathrelu.progress import Live, duration, roughly, seconds_left
from pathrelu.rows import _training

ESTIMATORS = [pr.PathReLURegressor, pr.PathReLUClassifier]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    return X, np.abs(X[:, 0]) - np.maximum(X[:, 1] + X[:, 2], 0) + 0.1 * rng.standard_normal(60)


@pytest.fixture(scope="module")
def sampled(data):
    return pr.sample_arrangements(data[0], 50, random_state=0)


def stop_at(count):
    """A callback that stops at this record, and the records."""
    records = []

    def callback(record):
        records.append(record)
        if len(records) == count:
            raise StopIteration

    return callback, records


def assert_is_a_network(solution, X, y, **options):
    """Feasible: the network, whose gates are its own, has the outputs and the objective of the blocks."""
    objective = solution.network().objective(X, y, solution.alpha, **options)
    assert objective == pytest.approx(solution.objective, rel=1e-9)
    assert solution.dual_objective + solution.gap == pytest.approx(solution.objective, rel=1e-9)


# ---- Records -----------------------------------------------------------------


def test_records_of_a_solve_are_typed_and_count(data, sampled):
    records = []
    solution = pr.solve(*data, sampled, 1e-3, callback=records.append)
    assert records == solution.history
    kinds = {"int": int, "float": float, "bool": bool, "str": str}
    for record in records:
        assert all(type(getattr(record, field.name)) is kinds[field.type] for field in fields(Record))
    assert [record.round for record in records] == list(range(len(records)))
    assert records[-1].n_groups >= records[-1].n_active > 0
    assert records[-1].target_gap == pytest.approx(1e-6 * solution.objective_at_zero)
    assert records[-1].gap <= records[-1].target_gap
    assert not records[-1].searching


def test_records_of_a_search_count_its_rounds(data):
    found = pr.search(*data, 1e-2, random_state=0)
    rounds = [record.round for record in found.history]
    assert rounds == sorted(rounds)
    assert rounds[0] == 1
    assert rounds[-1] == found.n_rounds
    assert found.history[-1].n_groups == len(found.arrangements)
    assert all(record.searching for record in found.history)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_records_are_stored_and_read_without_what_older_files_lack(estimator, data, tmp_path):
    X, y = data
    model = estimator(alpha=0.01, random_state=0).fit(X, y > 0 if estimator is ESTIMATORS[1] else y)
    model.save(tmp_path / "new.npz")
    assert pr.load(tmp_path / "new.npz").history_ == model.history_
    with np.load(tmp_path / "new.npz") as file:
        arrays = dict(file)
    header = json.loads(arrays["header"].tobytes())
    for _, record in (entry["record"] for entry in header["attributes"]["history_"]):
        for name in ("round", "n_groups", "target_gap", "searching", "phase", "alpha", "held_out_loss"):
            del record[name]
    for name in ("on_interrupt", "max_seconds"):
        del header["parameters"][name]
    np.savez(
        tmp_path / "old.npz", **arrays | {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    )
    old = pr.load(tmp_path / "old.npz")
    assert [record.gap for record in old.history_] == [record.gap for record in model.history_]
    assert old.history_[-1].target_gap == 0
    assert old.on_interrupt == "raise"


def test_records_of_a_path_are_what_held_out_rows_say(data):
    X, y = data
    records = []
    model = pr.PathReLURegressor(random_state=0, callback=records.append).fit(X, y)
    path = [record for record in records if record.phase == "path"]
    assert [record.phase for record in records[len(path) :]] == ["search"] * (len(records) - len(path))
    np.testing.assert_array_equal([record.alpha for record in path], model.path_["alpha"])
    np.testing.assert_array_equal([record.held_out_loss for record in path], model.path_["held_out_loss"])
    assert [record.n_active for record in path] == [round(size) for size in model.path_["n_subnetworks"]]
    assert (np.diff([record.seconds for record in path]) >= 0).all()
    assert (path[0].n_iter, path[0].round, path[1].n_iter, path[1].round) == (1, 1, 2, 2)
    plain = pr.PathReLURegressor(random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.network_.leaf_weights, plain.network_.leaf_weights)
    assert all(record.phase == "search" for record in model.history_)


# ---- Stopped by a callback or the clock --------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_stop_iteration_keeps_the_best_of_a_solve(data, sampled, activation, loss):
    X, y = data
    y = y if loss == "squared_error" else np.sign(y)
    callback, records = stop_at(2)
    options = {"loss": loss, "fit_intercept": True}
    with pytest.warns(ConvergenceWarning, match=r"stopped by its callback after \d+\.\d s; duality gap"):
        solution = pr.solve(X, y, sampled, 1e-3, activation=activation, callback=callback, **options)
    assert len(records) == 2
    assert solution.interrupted
    assert not solution.converged
    assert solution.objective == records[-1].objective < solution.objective_at_zero
    assert_is_a_network(solution, X, y, loss=loss)


@pytest.mark.parametrize("skip_connection", [False, True])
@pytest.mark.parametrize(("activation", "depth"), [("relu", 2), ("relu", 3), ("gated", 3)])
def test_stop_iteration_keeps_the_best_of_a_search(data, activation, depth, skip_connection):
    options = {"activation": activation, "depth": depth, "width": 2, "skip_connection": skip_connection}
    callback, records = stop_at(2)
    with pytest.warns(ConvergenceWarning, match="stopped by its callback"):
        found = pr.search(*data, 1e-3, callback=callback, random_state=0, **options)
    assert len(records) == 2
    assert found.interrupted
    assert not found.converged
    assert found.objective == min(record.objective for record in records)
    assert_is_a_network(found, *data)


def test_a_stop_at_the_solution_is_none(data, sampled):
    def stop(record):
        if record.gap <= record.target_gap:
            raise StopIteration

    solution = pr.solve(*data, sampled, 1e-2, callback=stop)
    assert solution.converged
    assert not solution.interrupted


def test_a_callback_that_only_looks_changes_no_bit(data, sampled):
    seen = pr.solve(*data, sampled, 1e-3, callback=lambda _: None, on_interrupt="return", max_seconds=1e6)
    np.testing.assert_array_equal(seen.blocks, pr.solve(*data, sampled, 1e-3).blocks)


def test_a_path_ends_where_it_is_stopped(data, sampled):
    callback, _ = stop_at(6)
    with pytest.warns(ConvergenceWarning, match="stopped by its callback"):
        path = pr.solve_path(*data, sampled, n_alphas=20, callback=callback)
    assert 0 < len(path) == len(path.alphas) < 20
    assert [solution.interrupted for solution in path.solutions] == [False] * (len(path) - 1) + [True]


@pytest.mark.parametrize("count", [1, 3])
def test_a_stop_on_a_path_keeps_the_best_so_far(data, count):
    X, y = data
    full = pr.PathReLURegressor(random_state=0).fit(X, y)
    callback, records = stop_at(count)
    model = pr.PathReLURegressor(callback=callback, random_state=0)
    with pytest.warns(ConvergenceWarning, match="stopped by its callback"):
        model.fit(X, y)
    assert len(records) == count
    for name, column in model.path_.items():
        np.testing.assert_array_equal(column, full.path_[name][:count])
    assert model.alpha_ == model.path_["alpha"][np.argmin(model.path_["held_out_loss"])]
    assert model.network_.n_subnetworks > 0
    assert model.score(X, y) > 0.5


def test_what_a_callback_raises_on_a_path_is_raised(data):
    def callback(record):
        raise LookupError(record.phase)

    with pytest.raises(LookupError, match="path"):
        pr.PathReLURegressor(callback=callback, random_state=0).fit(*data)


@pytest.mark.parametrize("arrangements", ["search", "sample"])
def test_a_stop_ends_the_fits_of_all_outputs(data, arrangements):
    X, y = data
    callback, records = stop_at(2)
    model = pr.PathReLURegressor(alpha=0.01, arrangements=arrangements, callback=callback, random_state=0)
    with pytest.warns(ConvergenceWarning, match="stopped by its callback"):
        model.fit(X, np.stack([y, -y], axis=1))
    assert len(records) == 2
    assert np.isfinite(model.predict(X)).all()
    assert model.dual_gap_ > 0


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_time_is_bounded(estimator):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((1500, 30)), rng.integers(0, 2, 1500)
    model = estimator(depth=3, alpha=1e-5, tol=1e-12, max_seconds=0.5, max_iter=10**9, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"stopped by max_seconds=0\.5 after \d+\.\d s; duality gap"):
        model.fit(X, y)
    of_a_constant = 0.5 if estimator is ESTIMATORS[1] else 0
    assert model.score(X, y) >= of_a_constant - 1e-12


@pytest.mark.parametrize(
    ("parameter", "value", "error"),
    [
        ("on_interrupt", "ignore", ValueError),
        ("on_interrupt", None, TypeError),
        ("max_seconds", 0, ValueError),
    ],
)
def test_wrong_parameters_are_refused(data, sampled, parameter, value, error):
    with pytest.raises(error, match=f"^{parameter} is"):
        pr.solve(*data, sampled, 0.1, **{parameter: value})
    with pytest.raises(error, match=f"^{parameter} is"):
        pr.PathReLURegressor(**{parameter: value}).fit(*data)


# ---- Stopped by Ctrl-C -------------------------------------------------------

SCRIPT = f"""
import warnings
{IMPORT}
import numpy as np, pathrelu as pr
what, on_interrupt = sys.argv[1:]
rng = np.random.default_rng(0)
X, y = rng.standard_normal((4000, 40)), rng.standard_normal(4000)
options = {{"tol": 1e-15, "max_iter": 10**9, "n_threads": 1, "on_interrupt": on_interrupt}}
arrangements = pr.sample_arrangements(X, 300, random_state=0)
answered = interrupt_after(1.5)
try:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if what == "solve":
            found = pr.solve(X, y, arrangements, 1e-5, **options)
        else:
            found = pr.search(X, y, 1e-5, depth=3, random_state=0, **options)
    answered.set()
    objective = found.network().objective(X, y, 1e-5)
    assert abs(objective - found.objective) <= 1e-9 * objective
    assert found.objective < found.objective_at_zero
    assert 0 < found.gap and not found.converged and found.interrupted
    (warning,) = caught
    assert "stopped by an interrupt after " in str(warning.message)
    print("returned")
except KeyboardInterrupt:
    print("raised")
"""


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
@pytest.mark.parametrize("on_interrupt", ["raise", "return"])
@pytest.mark.parametrize("what", ["solve", "search"])
def test_an_interrupt_ends_it_soon(what, on_interrupt):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, what, on_interrupt],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        timeout=300,
    )
    said = "raised\n" if on_interrupt == "raise" else "returned\n"
    assert (done.returncode, done.stdout) == (0, said), done.stderr


@pytest.fixture
def default_interrupts():
    """A job in the background starts with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    handler = signal.signal(signal.SIGINT, before)
    assert handler is signal.default_int_handler


@pytest.fixture
def interrupt_after(monkeypatch, default_interrupts):
    """Makes the n-th program of a call end with SIGINT, after the core has returned."""

    def after(count, times=1):
        programs, solution = [], Problem.solution

        def interrupted(*arguments, **options):
            programs.append(solution(*arguments, **options))
            if len(programs) == count:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)
            return programs[-1]

        monkeypatch.setattr(Problem, "solution", interrupted)

    return after


def test_an_interrupt_between_two_programs_keeps_those_before_it(data, sampled, interrupt_after):
    interrupt_after(3)
    path = pr.solve_path(*data, sampled, n_alphas=10, on_interrupt="return")
    assert len(path) == len(path.alphas) == 3
    assert all(solution.converged for solution in path.solutions)


def test_an_interrupt_between_two_programs_raises_by_default(data, sampled, interrupt_after):
    interrupt_after(3)
    with pytest.raises(KeyboardInterrupt):
        pr.solve_path(*data, sampled, n_alphas=10)


def test_an_interrupt_between_two_outputs_ends_the_fit(data, interrupt_after):
    X, y = data
    interrupt_after(1)
    model = pr.PathReLURegressor(alpha=0.01, outputs="separate", on_interrupt="return", random_state=0)
    with pytest.warns(ConvergenceWarning, match="stopped by an interrupt"):
        model.fit(X, np.stack([y, -y], axis=1))
    first, second = model.predict(X).T
    assert np.corrcoef(first, y)[0, 1] > 0.9
    assert np.isfinite(second).all()


def test_a_second_interrupt_is_raised(data, sampled, interrupt_after):
    interrupt_after(3, times=2)
    with pytest.raises(KeyboardInterrupt):
        pr.solve_path(*data, sampled, n_alphas=10, on_interrupt="return")


# ---- The line ----------------------------------------------------------------


def record_at(seconds, gap, **values):
    return Record(10, 0.5, 0.5 - gap, gap, 3, seconds, **{"target_gap": 1e-6, "n_groups": 8} | values)


@pytest.fixture
def terminal(monkeypatch):
    console = pytest.importorskip("rich.console")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return console.Console(force_terminal=True, file=io.StringIO(), width=160)


def test_the_line_has_the_numbers_of_the_last_record(terminal, data, sampled):
    with Live(terminal) as live:
        assert live.shown
        solution = pr.solve(*data, sampled, 1e-3, callback=live)
    last = solution.history[-1]
    text = terminal.file.getvalue()
    for part in (
        f"objective {last.objective:.6g}",
        f"gap {last.gap:.1e} (target {last.target_gap:.1e})",
        f"{last.n_active} active in {last.n_groups} groups",
        f"round {last.round}",
    ):
        assert part in text
    assert text.endswith("\n") or text.endswith("\x1b[?25h")  # the cursor is back
    assert not live.shown


def test_the_line_and_the_log_have_the_path(terminal, data, caplog):
    records = []
    with Live(terminal) as live:
        pr.PathReLURegressor(
            random_state=0, callback=lambda record: (records.append(record), live(record))
        ).fit(*data)
        path = [record for record in records if record.phase == "path"]
        least = min(record.held_out_loss for record in path[:4])
        again = Live(terminal)
        for record in path[:4]:
            again(record)
        assert f"held-out loss {path[3].held_out_loss:.4g} at {path[3].alpha:.3g}" in again.line()
        assert f"least {least:.4g}  {path[3].n_active} sub-networks" in again.line()
    with caplog.at_level("INFO", logger="pathrelu"):
        pr.PathReLURegressor(random_state=0, verbose=2).fit(*data)
    logged = [message for message in caplog.messages if message.startswith("alpha ")]
    assert len(logged) == len(path)
    assert f"held-out loss {path[0].held_out_loss:.6g}" in logged[0]


def test_no_second_line_and_no_records_in_the_log_beside_the_first(terminal, caplog):
    with Live(terminal) as first, Live(terminal) as second:
        assert first.shown
        assert not second.shown
    with Live(terminal) as third:
        assert third.shown
        with caplog.at_level(logging.INFO, logger="pathrelu"):
            third(record_at(1, 0.1))
    assert not caplog.records


LINE = re.compile(r"pathrelu  \d+:\d\d  .+")


@pytest.fixture
def often(monkeypatch):
    """Lines follow each other so fast that short fits have many."""
    monkeypatch.setattr(_display, "LINE_SECONDS", 1e-3)


def lines_of(capfd):
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert all(map(LINE.fullmatch, lines)), lines
    return lines


def test_lines_are_written_where_none_can_be_written_over(data, capfd, often, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # for which rich takes a pipe for a terminal
    monkeypatch.setenv("TERM", "xterm")
    model = pr.PathReLURegressor(random_state=0, verbose=1).fit(*data)
    lines = lines_of(capfd)
    assert any(
        re.search(r"about \d+:\d\d left  ramps, alpha \d+ of 18, fold [1-5] of 5", line) for line in lines
    )
    assert any(re.search(r"held-out loss \d\S* at \d\S*  least \d", line) for line in lines)
    assert re.search(r"  done  .*objective", lines[-1])
    quiet = pr.PathReLURegressor(random_state=0).fit(*data)
    assert lines_of(capfd) == []
    np.testing.assert_array_equal(model.network_.leaf_weights, quiet.network_.leaf_weights)


def test_no_more_than_two_seconds_go_by_without_a_line(data):
    script = """
import time, numpy as np
from pathrelu.progress import Live
with Live():
    time.sleep(3.2)
"""
    done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, check=True)
    assert len(done.stderr.splitlines()) == 3
    assert _display.LINE_SECONDS < 2


def test_lines_of_a_search_say_what_ends_it(data, capfd, often):
    pr.PathReLURegressor(alpha=1e-3, random_state=0, verbose=1).fit(*data)
    lines = lines_of(capfd)
    searching = [line for line in lines if "search at alpha 0.001" in line]
    assert any(re.search(r"  round [2-5] gained \d\S* %$", line) for line in searching)
    assert not any("target" in line for line in searching)
    assert f"below {100 * _core.ROUND_GAIN:.2g} %, it is the last" in lines[-1]


def test_lines_of_programs_have_their_target(data, capfd, often):
    model = pr.PathReLURegressor(alpha=1e-3, arrangements="sample", random_state=0, verbose=1).fit(*data)
    lines = lines_of(capfd)
    assert f"(target {model.history_[-1].target_gap:.1e})" in lines[-1]
    assert model.history_[-1].gap <= model.history_[-1].target_gap


def test_lines_of_cross_validation(data, capfd, often):
    model = pr.PathReLURegressorCV(alphas=4, cv=3, random_state=0, verbose=1).fit(*data)
    lines = lines_of(capfd)
    places = [re.search(r"alpha (\d) of (\d), fold (\d) of 3", line) for line in lines]
    met = {tuple(map(int, place.groups())) for place in places if place}
    assert len({k for k, of, _ in met if of == 4}) > 2
    assert any(re.search(r"about \d+:\d\d left", line) for line in lines)
    assert any(re.search(r"best score 0?\.\d+", line) for line in lines)
    assert "done" in lines[-1]
    assert f"objective {model.objective_:.6g}" in lines[-1]


def test_lines_of_a_certificate(data, capfd, often):
    model = pr.PathReLURegressor(alpha=0.01, random_state=0).fit(*data)
    certificate = pr.certify(model, *data, method="semidefinite", verbose=1)
    lines = lines_of(capfd)
    assert any("bounding the optimum" in line for line in lines)
    assert f"objective {certificate.upper:.6g}  optimum at least" in lines[-1]
    assert "% (target 0.1 %)" in lines[-1]
    assert pr.certify(model, *data, method="semidefinite").lower == certificate.lower
    assert lines_of(capfd) == []


def test_lines_of_many_rows(capfd, often, monkeypatch):
    monkeypatch.setattr(_base, "MANY_ROWS", 1000)
    monkeypatch.setattr(_training, "SAMPLE_ROWS", 200)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 3))
    pr.PathReLURegressor(random_state=0, verbose=1).fit(X, np.abs(X[:, 0]) + rng.standard_normal(3000))
    lines = lines_of(capfd)
    assert any("network of a sample of 200 rows: ramps, alpha" in line for line in lines)
    assert any(re.search(r"pass \d+ of \d+ over all rows  \d+ sub-networks", line) for line in lines)


def test_each_record_has_a_line_of_its_own_if_that_is_wanted(data, capfd):
    records = []
    pr.PathReLURegressor(alpha=0.01, random_state=0, verbose=2, callback=records.append).fit(*data)
    lines = lines_of(capfd)
    assert len(lines) >= len(records) + 1
    for record, line in zip(records, lines, strict=False):
        assert f"objective {record.objective:.6g}" in line


def test_a_fit_that_will_be_long_says_so_before(data, capfd, monkeypatch):
    monkeypatch.setattr(_watch, "MULTIPLICATIONS", 1e3)
    pr.PathReLURegressor(random_state=0, verbose=1, n_threads=1).fit(*data)
    first, *_ = lines = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"pathrelu  this may take about \d+ (minute|hour|day)s on 1 thread", first)
    assert sum("may take" in line for line in lines) == 1


def test_nothing_is_shown_of_what_ends_before_the_delay(data, capfd, often, terminal):
    with Live(delay=60) as live:
        pr.PathReLURegressor(random_state=0, verbose=1).fit(*data)
        assert live.shown
    assert lines_of(capfd) == []
    with Live(terminal, delay=60):
        pr.PathReLURegressor(random_state=0, verbose=1).fit(*data)
    assert "sub-networks" not in terminal.file.getvalue()


def test_fits_are_on_the_line_that_is_there(data, capfd, often):
    with Live() as live:
        pr.PathReLURegressor(alpha=0.01, random_state=0, verbose=1, callback=live).fit(*data)
        assert "objective" in live.line()
        found = live.line().split("  ")[1:]
        pr.PathReLURegressor(alpha=0.02, random_state=0).fit(*data)  # which does not ask for it
        assert live.line().split("  ")[1:] == found
    lines = lines_of(capfd)
    assert "done" in lines[-1]


def test_a_fit_goes_on_when_nobody_reads_its_lines(data, often):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    console = pytest.importorskip("rich.console").Console(file=Gone(), force_terminal=False)
    with Live(console):
        model = pr.PathReLURegressor(random_state=0, verbose=1).fit(*data)
    assert model.n_subnetworks_ > 0
    assert not [thread for thread in threading.enumerate() if thread.name == "pathrelu"]


def test_what_ends_a_fit_ends_its_line(data, capfd):
    with pytest.raises(LookupError), Live():
        raise LookupError
    (line,) = lines_of(capfd)
    assert line.endswith("ended by LookupError")
    with Live() as live:
        assert live.shown
    assert lines_of(capfd) == ["pathrelu  0:00  done"]


@pytest.mark.skipif(os.name == "nt", reason="opens a pseudo-terminal")
@pytest.mark.parametrize("module", ["rich", "tqdm"])
@pytest.mark.parametrize("verbose", [0, 1])
def test_verbose_shows_the_line_on_the_terminal_of_stderr(verbose, module):
    pytest.importorskip(module)
    script = f"""
import importlib.util, numpy as np, pathrelu as pr
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: find(name, *more) if name == {module!r} else None
X = np.random.default_rng(0).standard_normal((60, 3))
pr.PathReLURegressor(alpha=0.01, random_state=0, verbose={verbose}).fit(X, np.abs(X[:, 0]))
print("output")
"""
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "160"}
    out = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=theirs, env=environment, check=True
    )
    os.close(theirs)
    try:
        shown = os.read(ours, 1 << 16)
    except OSError:  # nothing was written
        shown = b""
    os.close(ours)
    assert out.stdout == b"output\n"
    assert (b"objective" in shown and b" active in " in shown) if verbose else shown == b""


def test_time_left_is_that_of_the_line_through_the_logarithms():
    records = [record_at(t, 10.0**-t) for t in range(4)]  # a decade a second; 1e-6 is three seconds away
    assert seconds_left(records) == pytest.approx(3)
    live = Live(time_left=True)
    for record in records:
        live(record)
    assert "about 0:02 left" in live.line() or "about 0:03 left" in live.line()
    assert "left" not in Live(time_left=False).line()


@pytest.mark.parametrize(
    "records",
    [
        [record_at(0, 0.1), record_at(1, 0.01)],
        [record_at(t, 0.1) for t in range(4)],
        [record_at(t, 0.1 * 2**t) for t in range(4)],
        [record_at(t, 10.0**-t, searching=True) for t in range(4)],
        [record_at(t, 10.0**-t, target_gap=0.0) for t in range(4)],
        [record_at(t, float("nan")) for t in range(4)],
        [record_at(1, 10.0**-t) for t in range(4)],
    ],
    ids=["two", "still", "widening", "search", "no target", "not a number", "no time"],
)
def test_time_left_is_not_made_up(records):
    assert seconds_left(records) is None


def test_time_left_of_counted_work_is_measured(monkeypatch):
    now = 100.0
    monkeypatch.setattr(_watch.time, "monotonic", lambda: now)
    stage = Stage(threads=2)
    stage.plan("after", 30 * _watch.MULTIPLICATIONS)
    assert stage.seconds_left() is None
    stage.step("first", 10 * _watch.MULTIPLICATIONS, 20 * _watch.MULTIPLICATIONS)
    assert stage.forecast == stage.seconds_left() == 30  # by two threads
    now = 120.0
    assert stage.seconds_left() == 10
    stage.step("second", 10 * _watch.MULTIPLICATIONS, 10 * _watch.MULTIPLICATIONS)
    assert stage.seconds_left() == 100  # for the first ten took twenty
    stage.begin("after")
    stage.step("last", 10 * _watch.MULTIPLICATIONS)
    now = 125.0
    assert stage.seconds_left() == 5


def test_rough_durations():
    assert [roughly(s) for s in (60, 100, 7000, 7200, 80000, 200000)] == [
        "1 minute",
        "2 minutes",
        "117 minutes",
        "2 hours",
        "22 hours",
        "2 days",
    ]


def test_durations():
    assert [duration(s) for s in (0.4, 59.9, 61, 3723)] == ["0:00", "0:59", "1:01", "1:02:03"]
