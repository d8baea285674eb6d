"""The command line: what it writes, and that every error of the user is one message and exit code 2."""

import csv as csv_module
import datetime
import io
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from interrupt import IMPORT
from threadpoolctl import threadpool_limits as demonstration_limits

import pathrelu as pr
from pathrelu.cli import commands as command_line
from pathrelu.cli import demonstration
from pathrelu.cli.commands import commands
from pathrelu.inspection import subnetwork_formulas

RUNNER = CliRunner()


def run(*arguments, given=None):
    return RUNNER.invoke(commands, [str(argument) for argument in arguments], input=given)


def train(path, *arguments, target="y", alpha=0.01):
    output = path.with_name("model.npz")
    return run("train", path, "--target", target, "--output", output, "--alpha", alpha, *arguments), output


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    return pd.DataFrame(X, columns=["a", "b b", "c"]), np.abs(X[:, 0]) + X[:, 1]


@pytest.fixture
def csv(tmp_path, table):
    X, f = table
    path = tmp_path / "data.csv"
    X.assign(y=f).to_csv(path, index=False)
    return path


def refused(result, *parts, output=None):
    """Checks the error and returns its message."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)
    for part in parts:
        assert part in result.stderr
    if output is not None:
        assert not output.exists()
        assert not list(output.parent.glob("*.tmp"))


# ---- What it does ------------------------------------------------------------


def test_regression_predicts_what_the_estimator_does(csv, table, tmp_path):
    X, f = table
    result, model = train(csv, "--seed", 3, "--depth", 3, "--width", 2, "--threads", 1)
    assert result.exit_code == 0, result.output
    assert "regression of 'y' from 3 features" in result.stdout
    assert "duality gap" in result.stdout
    expected = pr.PathReLURegressor(alpha=0.01, depth=3, width=2, random_state=3).fit(X, f)
    assert f"objective      {expected.objective_:.6g}" in result.stdout

    out = tmp_path / "out.csv"
    assert run("predict", model, csv, "--output", out).exit_code == 0
    written = pd.read_csv(out)
    assert list(written.columns) == ["y"]
    np.testing.assert_allclose(written["y"], expected.predict(X), rtol=1e-12)

    shown = run("predict", model, csv)
    assert shown.stdout == out.read_text()


def test_columns_are_found_by_name_and_others_ignored(csv, table, tmp_path):
    X, _ = table
    _, model = train(csv)
    other = tmp_path / "rows.csv"
    X[["c", "a", "b b"]].assign(more="text")[["more", "c", "a", "b b"]].to_csv(other, index=False)
    assert run("predict", model, other).stdout == run("predict", model, csv).stdout


@pytest.mark.parametrize(
    "labels",
    [
        ["low", "high"],
        ["0", "1"],
        ["1", "2", "3"],
        ["True", "False"],
        ["007", "7"],
        ["1.0", "2.0"],
        ["-1", "1"],
        ["café", "a,b"],
        ["10000000000000000000000", "2"],
        ["1_0", "10"],
        ["yes", "1"],
        ["inf", "x"],
    ],
    ids=str,
)
def test_labels_come_back_as_they_were_written(table, tmp_path, labels):
    X, f = table
    code = np.searchsorted(np.quantile(f, np.arange(1, len(labels)) / len(labels)), f)
    cells = np.array(labels, dtype=object)[code]
    path = tmp_path / "data.csv"
    X.assign(y=cells).to_csv(path, index=False)
    result, model = train(path, alpha=0.001)
    assert result.exit_code == 0, result.output
    assert f"classification of 'y' into {len(labels)} classes" in result.stdout
    written = run("predict", model, path).stdout.splitlines()[1:]
    expected = [f'"{cell}"' if "," in cell else cell for cell in cells]
    assert np.mean([a == b for a, b in zip(written, expected, strict=True)]) > 0.9
    assert set(written) == set(expected)


def test_labels_that_are_integers_or_booleans_are_so_in_the_model(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    for column, expected in ((np.where(f > 1, 5, 3), [3, 5]), (f > 1, [False, True])):
        X.assign(y=column).to_csv(path, index=False)
        _, model = train(path)
        classes = pr.load(model).network_.classes
        assert classes == expected
        assert [type(label) for label in classes] == [type(label) for label in expected]


def test_probabilities_are_those_of_the_estimator(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    labels = np.array(["p", "q", "r"])[np.searchsorted([0, 1], f)]
    X.assign(y=labels).to_csv(path, index=False)
    _, model = train(path)
    written = (
        pd.read_csv(tmp_path / "out.csv")
        if run("predict", model, path, "--proba", "--output", tmp_path / "out.csv").exit_code == 0
        else None
    )
    assert list(written.columns) == ["y", "probability of p", "probability of q", "probability of r"]
    expected = pr.PathReLUClassifier(alpha=0.01, random_state=0).fit(X, labels)
    np.testing.assert_allclose(written.iloc[:, 1:], expected.predict_proba(X), rtol=1e-9)
    assert written["y"].tolist() == expected.predict(X).tolist()


@pytest.mark.parametrize(
    ("column", "task"),
    [
        (np.arange(60) % 2, "classification"),
        (np.arange(60) % 20, "classification"),
        (np.arange(60) % 21, "regression"),
        (np.arange(60) / 7, "regression"),
        (np.array(["a", "b"])[np.arange(60) % 2], "classification"),
    ],
)
def test_the_task_is_taken_from_the_target(table, tmp_path, column, task):
    path = tmp_path / "data.csv"
    table[0].assign(y=column).to_csv(path, index=False)
    result, _ = train(path, alpha=0.1)
    assert result.stdout.startswith(f"{task} of 'y'")


def test_the_task_can_be_given(table, tmp_path):
    path = tmp_path / "data.csv"
    table[0].assign(y=np.arange(60) % 2).to_csv(path, index=False)
    result, _ = train(path, "--task", "regression")
    assert result.stdout.startswith("regression")
    table[0].assign(y=(np.arange(60) % 2) + 0.5).to_csv(path, index=False)
    result, model = train(path, "--task", "classification")
    assert result.stdout.startswith("classification")
    assert pr.load(model).network_.classes == ["0.5", "1.5"]


def test_the_same_seed_writes_the_same_bytes(csv):
    _, model = train(csv, "--seed", 1, "--threads", 1)
    first = pr.load(model).network_
    train(csv, "--seed", 1, "--threads", 2)
    np.testing.assert_array_equal(pr.load(model).network_.leaf_weights, first.leaf_weights)


def test_numbers_are_read_to_the_last_bit(tmp_path, csv, table):
    path = tmp_path / "rows.csv"
    values = np.random.default_rng(0).standard_normal((50, 3)) * 10.0 ** np.arange(-20, 30)[:, None]
    rows = pd.DataFrame(values, columns=table[0].columns)
    path.write_text(
        "\n".join([",".join(rows.columns), *(",".join(map(repr, row)) for row in values.tolist())])
    )
    _, model = train(csv)
    out = tmp_path / "out.csv"
    run("predict", model, path, "--output", out)
    expected = pr.load(model).network_.predict(values)
    assert [float(cell) for cell in out.read_text().splitlines()[1:]] == expected.tolist()


def test_a_warning_goes_to_stderr_and_the_model_is_written(csv):
    result, model = train(csv, "--max-iter", 1, "--arrangements", "sample", "--tol", 1e-9)
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: duality gap")
    assert result.stderr.count("\n") == 1
    assert model.exists()


def test_byte_order_marks_quotes_and_windows_line_ends_are_read(tmp_path):
    rng = np.random.default_rng(0)
    lines = ['"first, col",y', *(f'"{x}",{abs(x)}' for x in rng.standard_normal(30))]
    path = tmp_path / "data.csv"
    path.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    result, model = train(path)
    assert result.exit_code == 0, result.output
    assert pr.load(model).network_.feature_names == ["first, col"]


def test_python_m_pathrelu_is_the_same_program(csv, tmp_path):
    model = tmp_path / "m.npz"
    command = [sys.executable, "-m", "pathrelu", "train", csv, "--target", "y", "--output", model]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "sub-networks" in done.stdout
    assert model.exists()
    done = subprocess.run(
        [*command[:-1], tmp_path / "no" / "m.npz"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_the_demo_compares_on_two_tables(monkeypatch):
    limits = []

    class Limited(demonstration_limits):
        def __init__(self, limit):
            limits.append(limit)
            super().__init__(limit)

    monkeypatch.setattr("threadpoolctl.threadpool_limits", Limited)
    monkeypatch.setattr(demonstration, "SPLITS", 2)
    summary = as_json(run("demo", "--threads", 1, "--json"))
    assert limits == [1] * (2 * 2 * 5)  # all models, on all splits of both tables
    assert [table["name"] for table in summary["tables"]] == ["iris", "wine"]
    for table in summary["tables"]:
        losses = {result["name"]: result["log_loss"] for result in table["results"]}
        assert len(losses) == 5
        assert table["best"] == min(losses, key=losses.get)
        assert table["rival"] == min(set(losses) - {"PathReLUClassifier"}, key=losses.get)
        ours = table["results"][0]
        assert ours["name"] == "PathReLUClassifier"
        assert ours["accuracy"] > 0.9
        assert 0 < ours["log_loss"] < 0.5
        assert 0 <= table["ahead"] <= 2
        assert table["trained"] == table["rows"] - -(-table["rows"] // 4)


def test_the_demo_shows_the_best_first_and_what_to_do_next(monkeypatch):
    found = {
        "name": "iris",
        "rows": 150,
        "features": 4,
        "trained": 112,
        "results": [
            {"name": name, "log_loss": loss, "log_loss_error": 0.01, "accuracy": 0.9, "seconds": 0.2}
            for name, loss in (("PathReLUClassifier", 0.2), ("Other", 0.1), ("Third", 0.3))
        ],
        "best": "Other",
        "rival": "Other",
        "ahead": 1,
    }
    summary = {"threads": 2, "splits": 5, "tables": [found], "seconds": 3.0}
    monkeypatch.setattr(command_line, "compared", lambda *arguments: summary)
    result = run("demo")
    assert result.exit_code == 0, result.output
    places = [result.stdout.index(name) for name in ("Other", "PathReLUClassifier", "Third")]
    assert places == sorted(places)
    assert "0.200 ± 0.010" in result.stdout
    assert "PathReLUClassifier is behind Other in the mean, and ahead in 1 of 5 splits" in result.stdout
    assert "What to do next" in result.stdout
    for line in re.findall(r"^  pathrelu (.*)", result.stdout, re.MULTILINE):
        command, *arguments = line.split()
        taken = {option for parameter in commands.commands[command].params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= taken


@pytest.mark.parametrize("missing", ["click", "pandas"])
def test_a_missing_extra_is_one_line(missing):
    script = f"import sys; sys.modules[{missing!r}] = None; from pathrelu.cli import main; main(['demo'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr
        == f"Error: the command line needs {missing}; install it with `pip install 'pathrelu[cli]'`\n"
    )


def as_json(result):
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def test_every_command_has_one_document_for_machines(csv, tmp_path):
    result, model = train(csv, "--json", "--skip-connection")
    summary = as_json(result)
    assert summary["task"] == "regression"
    assert summary["feature_names"] == ["a", "b b", "c"]
    assert summary["converged"] is True
    assert 0 <= summary["dual_gap"] < summary["objective"]
    network = pr.load(model).network_
    predictions = as_json(run("predict", model, csv, "--json"))["predictions"]
    np.testing.assert_allclose(
        [row["y"] for row in predictions], network.predict(pd.read_csv(csv)[["a", "b b", "c"]])
    )
    shown = as_json(run("inspect", model, csv, "--json"))
    assert sum(part["path_norm"] for part in shown["subnetworks"]) == pytest.approx(network.path_norm())
    assert sum(part["variance_share"] for part in shown["subnetworks"]) == pytest.approx(1)
    bounds = as_json(run("certify", model, csv, "--json"))
    assert bounds["lower"] <= bounds["upper"] == pytest.approx(summary["objective"])


def test_a_fit_that_does_not_converge_says_so_to_machines(csv):
    result, _ = train(csv, "--max-iter", 1, "--arrangements", "sample", "--tol", 1e-9, "--json")
    assert as_json(result)["converged"] is False


def test_quiet_prints_nothing(csv):
    result, model = train(csv, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert model.exists()


# ---- Formats -----------------------------------------------------------------


def test_parquet_gzip_and_csv_are_the_same_table(csv, table, tmp_path):
    pytest.importorskip("pyarrow")
    X, f = table
    X.assign(y=f).to_parquet(tmp_path / "data.parquet")
    X.assign(y=f).to_csv(tmp_path / "data.csv.gz", index=False)
    _, model = train(csv)
    expected = pr.load(model).network_.leaf_weights
    for name in ("data.parquet", "data.csv.gz"):
        (tmp_path / name).rename(tmp_path / "data")  # what it is, its first bytes tell
        result, model = train(tmp_path / "data")
        assert result.exit_code == 0, result.output
        np.testing.assert_array_equal(pr.load(model).network_.leaf_weights, expected)


def test_predictions_make_the_round_trip_through_every_format(csv, tmp_path):
    pytest.importorskip("pyarrow")
    _, model = train(csv)
    expected = [float(cell) for cell in run("predict", model, csv).stdout.split()[1:]]
    for name, reader in (
        ("out.parquet", pd.read_parquet),
        ("out.csv", pd.read_csv),
        ("out.jsonl", lambda path: pd.DataFrame(map(json.loads, path.read_text().splitlines()))),
    ):
        assert run("predict", model, csv, "--output", tmp_path / name).exit_code == 0
        assert reader(tmp_path / name)["y"].tolist() == expected
    shown = run("predict", model, csv, "--format", "jsonl").stdout
    assert shown == (tmp_path / "out.jsonl").read_text()


def test_types_of_parquet_columns_are_kept(table, tmp_path):
    pytest.importorskip("pyarrow")
    X, f = table
    path = tmp_path / "data.parquet"
    X.astype(np.float32).assign(y=f > 1).to_parquet(path)
    result, model = train(path)
    assert result.exit_code == 0, result.output
    assert pr.load(model).network_.leaf_weights.dtype == np.float32
    assert pr.load(model).network_.classes == [False, True]
    X.assign(n=pd.array(range(60), "Int64"), t=f > 0, y=f).to_parquet(path)
    result, model = train(path)
    assert pr.load(model).network_.feature_names == ["a", "b b", "c", "n", "t"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1.0, np.inf] * 30, "infinite values in column 'bad' (30 of 60 rows, first in row 1)"),
        ([[1], [2]] * 30, "column 'bad' of X holds ndarray, first in row 0"),
        ([b"a", b"b"] * 30, "column 'bad' of X holds bytes"),
    ],
    ids=str,
)
def test_a_bad_parquet_column_is_refused(table, tmp_path, column, message):
    pytest.importorskip("pyarrow")
    path = tmp_path / "data.parquet"
    table[0].assign(bad=column, y=table[1]).to_parquet(path)
    result, output = train(path)
    refused(result, message, output=output)


def test_a_damaged_file_is_refused(csv, tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "data"
    pd.read_csv(csv).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    refused(run("train", path, "--target", "y", "--output", tmp_path / "m"), "is a Parquet file that cannot")
    pd.read_csv(csv).to_csv(path, index=False, compression="gzip")
    path.write_bytes(path.read_bytes()[:-20])
    refused(run("train", path, "--target", "y", "--output", tmp_path / "m"), "data is not a CSV file")


def as_r_writes_it(frame):
    header = " ".join(f'"{name}"' for name in frame)
    rows = [" ".join([f'"{k}"', *(f'"{c}"' if isinstance(c, str) else repr(c) for c in row)])
            for k, row in enumerate(frame.itertuples(index=False), 1)]  # fmt: skip
    return "\n".join([header, *rows]) + "\n"


LAYOUTS = {
    "semicolons": (lambda f: f.to_csv(index=False, sep=";"), "utf-8", ()),
    "of Excel": (lambda f: f.to_csv(index=False, sep=";", decimal=","), "utf-8-sig", ()),
    "cp1252": (lambda f: f.to_csv(index=False, sep=";", decimal=","), "cp1252", ()),
    "utf-16": (lambda f: f.to_csv(index=False, sep="\t"), "utf-16", ()),
    "utf-16, told": (lambda f: f.to_csv(index=False), "utf-16-le", ("--encoding", "utf-16-le")),
    "pipes": (lambda f: f.to_csv(index=False, sep="|"), "utf-8", ()),
    "spaces": (lambda f: f.to_string(index=False), "utf-8", ()),
    "R": (as_r_writes_it, "utf-8", ()),
    "remarks": (lambda f: "# a, b, c\n# made today\n" + f.to_csv(index=False), "utf-8", ()),
    "a header that is a remark": (lambda f: f.rename(columns={"a": "#a"}).to_csv(index=False), "utf-8", ()),
    "remarks between": (
        lambda f: f.to_csv(index=False).replace("\n", "\n%, end of row\n"),
        "utf-8",
        ("--comment", "%"),
    ),
    "padded": (lambda f: f.to_csv(index=False).replace(",", ", "), "utf-8", ()),
    "separators told": (
        lambda f: f.to_csv(index=False, sep="!", decimal=","),
        "utf-8",
        ("--sep", "!", "--decimal", ","),
    ),
    "tab told": (lambda f: f.to_csv(index=False, sep="\t"), "utf-8", ("--sep", "tab")),
    "commas in text": (
        lambda f: f.replace({"side": {"süd": "süd, or; so"}}).to_csv(index=False),
        "utf-8",
        (),
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_of_text_files_are_found_or_told(tmp_path, name):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.standard_normal(40).round(3), "n": np.arange(40), "side": ["süd", "nord"] * 20}
    )
    frame["y"] = np.round(np.abs(frame["a"]) + (frame["side"] == "nord"), 3)
    frame.to_csv(tmp_path / "plain.csv", index=False)
    _, model = train(tmp_path / "plain.csv", "--no-held-out")
    written, encoding, options = LAYOUTS[name]
    path = tmp_path / "data.txt"
    path.write_bytes(written(frame).encode(encoding))
    expected = pr.load(model).network_
    result, model = train(path, *options, "--no-held-out")
    assert result.exit_code == 0, result.output
    assert ("is read as Windows-1252" in result.stderr) == (name == "cp1252")
    network = pr.load(model).network_
    np.testing.assert_array_equal(network.leaf_weights, expected.leaf_weights)
    names = ["#a" if "remark" in name and "header" in name else "a", "n", "side"]
    assert network.feature_names == names
    shown = run("predict", model, path, *options)
    assert [float(value) for value in shown.stdout.split()[1:]] == network.predict(
        frame.set_axis([*names, "y"], axis=1).replace("süd", "süd, or; so" if "commas" in name else "süd")
    ).tolist()


def test_decimal_commas_are_refused_where_they_are_not_clear(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a;y\n" + "1.5;2\n3.5;3\n" * 10 + "1,5;4\n")
    result, output = train(path)
    refused(
        result, "the cell '1,5' in column 'a', row 21 is not a number", "or give --decimal ,", output=output
    )
    path.write_text("a;y\n" + "1,5;2\n3,5;3\n" * 10 + "1.234,5;4\n")
    result, output = train(path)
    refused(result, "the cell '1.234,5' in column 'a', row 21 is not a number: write 1234,5", output=output)


def test_a_file_without_a_header(csv, table, tmp_path):
    path = tmp_path / "rows.csv"
    pd.read_csv(csv).to_csv(path, index=False, header=False)
    result, output = train(path)
    refused(result, "rows.csv has no column 'y'; it has", "--no-header calls columns 1, 2", output=output)
    _, model = train(csv, "--no-held-out")
    expected = pr.load(model).network_.leaf_weights
    result, model = train(path, "--no-header", "--no-held-out", target="4")
    network = pr.load(model).network_
    np.testing.assert_array_equal(network.leaf_weights, expected)
    assert network.feature_names == ["1", "2", "3"]
    assert len(run("predict", model, path, "--no-header").stdout.splitlines()) == 61


def test_bad_layouts_are_refused(csv, tmp_path):
    for options, message in (
        (("--sep", "ab"), "--sep is 'ab'; expected one character, tab or space"),
        (("--sep", ",", "--decimal", ","), "are both a comma"),
        (("--encoding", "martian"), "--encoding martian is not one that Python knows"),
        (("--encoding", "utf-16"), "data.csv is not a CSV file"),
        (("--comment", ""), "--comment is empty"),
    ):
        result, output = train(csv, *options)
        refused(result, message, output=output)
    pytest.importorskip("pyarrow")
    pd.read_csv(csv).to_parquet(tmp_path / "data.parquet")
    result, output = train(tmp_path / "data.parquet", "--sep", ",")
    refused(result, "is a Parquet file; --sep, --decimal", output=output)
    (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04 and so on")
    result, output = train(tmp_path / "book.xlsx")
    refused(result, "book.xlsx is a damaged ZIP archive", output=output)


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
def test_standard_input_is_a_file_too(csv, tmp_path, form):
    path = tmp_path / f"data.{form}"
    if form == "parquet":
        pytest.importorskip("pyarrow")
        pd.read_csv(csv).to_parquet(path)
    else:
        pd.read_csv(csv).to_csv(path, index=False)
    model = tmp_path / "model.npz"
    options = ("--target", "y", "--output", model, "--alpha", 0.01, "--no-held-out")
    assert run("train", "-", *options, given=path.read_bytes()).exit_code == 0
    _, other = train(csv, "--no-held-out")
    expected = run("predict", other, csv).stdout
    assert run("predict", model, "-", given=path.read_bytes()).stdout == expected
    refused(run("train", "-", *options, given=b"a,b\n1,2\n"), "standard input has no column 'y'")


def test_columns_of_the_rows_are_kept_beside_predictions(rents, tmp_path):
    path, frame = rents
    _, model = train(path, "--ignore", "id", target="rent", alpha=1e-3)
    alone = pd.read_csv(io.StringIO(run("predict", model, path).stdout))
    kept = pd.read_csv(io.StringIO(run("predict", model, path, "--keep", "id", "--keep", "district").stdout))
    assert list(kept.columns) == ["id", "district", "rent"]
    assert kept["id"].tolist() == frame["id"].tolist()
    assert kept["district"].tolist() == frame["district"].tolist()
    assert kept["rent"].tolist() == alone["rent"].tolist()
    refused(run("predict", model, path, "--keep", "none"), "rents.csv has no column 'none'")
    refused(run("predict", model, path, "--keep", "rent"), "--keep rent is what a column of predictions is")


def test_predictions_are_rounded_to_so_many_digits(rents, tmp_path):
    path, frame = rents
    _, model = train(path, "--ignore", "id", target="rent", alpha=1e-3)
    values = pr.load(model).predict(frame[["area", "district"]])
    shown = run("predict", model, path, "--digits", 3, "--keep", "area").stdout.splitlines()[1:]
    assert [line.split(",")[1] for line in shown] == [repr(float(f"{value:.3g}")) for value in values]
    assert [float(line.split(",")[0]) for line in shown] == frame["area"].tolist()
    frame.assign(rent=np.where(frame["rent"] > 4, 1.25, 0.125)).to_csv(path, index=False)
    _, model = train(path, "--ignore", "id", "--task", "classification", target="rent", alpha=1e-3)
    lines = run("predict", model, path, "--digits", 1, "--proba").stdout.splitlines()
    label, share, _ = lines[1].split(",")
    assert label in ("1.25", "0.125")
    assert float(share) == float(f"{float(share):.1g}")


def test_categories_that_training_has_not_seen_are_noted(rents, tmp_path):
    path, frame = rents
    _, model = train(path, "--ignore", "id", target="rent", alpha=1e-3)
    assert run("predict", model, path).stderr == ""
    rows = tmp_path / "rows.csv"
    frame.assign(district=["moon", "mars", "moon", *frame["district"][3:]]).to_csv(rows, index=False)
    result = run("predict", model, rows)
    assert result.exit_code == 0
    note = "column 'district' has categories in 3 rows that training has not seen: 'mars', 'moon'\n"
    assert result.stderr == f"Note: {rows}: {note}"


def test_all_columns_that_cannot_be_read_are_told_at_once(rents, tmp_path):
    path, frame = rents
    bad = frame.astype(object)
    bad.loc[4, "area"] = "small"
    bad.loc[5, "id"] = "inf"
    bad.loc[6, "rent"] = "dear"
    bad.to_csv(tmp_path / "bad.csv", index=False)
    result, output = train(tmp_path / "bad.csv", target="rent")
    messages = (
        "the cell 'dear' in column 'rent', row 7 is not a number",
        "the cell 'inf' in column 'id', row 6 is not finite",
        "the cell 'small' in column 'area', row 5 is not a number",
    )
    refused(result, *messages, output=output)
    assert result.stderr.count("\n") == 3
    _, model = train(path, target="rent", alpha=1e-3)
    refused(run("evaluate", model, tmp_path / "bad.csv"), *messages)
    refused(run("predict", model, tmp_path / "bad.csv"), *messages[1:])


def test_many_whole_numbers_of_many_rows_each_may_be_classes(tmp_path):
    path = tmp_path / "data.csv"
    frame = pd.DataFrame({"a": np.arange(600) / 7, "y": np.arange(600) % 30})
    frame.to_csv(path, index=False)
    result, _ = train(path, alpha=100)
    assert result.stdout.startswith("regression")
    assert "column 'y' has 30 distinct whole numbers and is taken as a number" in result.stderr
    frame[:200].to_csv(path, index=False)
    assert "distinct whole numbers" not in train(path, alpha=100)[0].stderr


def test_a_file_of_a_classifier_predicts_raw_frames_in_python(rents, tmp_path):
    path, frame = rents
    frame = frame.drop(columns=["id", "rent"]).assign(dear=np.where(frame["rent"] > 4, "yes", "no"))
    frame.to_csv(path, index=False)
    _, model = train(path, target="dear")
    loaded = pr.load(model)
    raw = frame[["area", "district"]].astype(object)
    raw.loc[0, "area"] = None
    raw.loc[1, "district"] = np.nan
    raw.loc[2, "district"] = "moon"
    written = {}
    for mark in ("NA", "N/A", "null", "None", "?", ""):
        raw.to_csv(tmp_path / "rows.csv", index=False, na_rep=mark)
        written[mark] = run("predict", model, tmp_path / "rows.csv", "--proba").stdout
    assert len(set(written.values())) == 1
    shown = pd.read_csv(io.StringIO(written["NA"]))
    assert shown["dear"].tolist() == loaded.predict(raw).tolist()
    shares = shown[["probability of no", "probability of yes"]].to_numpy()
    np.testing.assert_allclose(shares, loaded.predict_proba(raw), rtol=1e-12)
    assert loaded.score(frame[["area", "district"]], frame["dear"]) > 0.9


# ---- Columns -----------------------------------------------------------------


@pytest.fixture
def rents(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(90), "area": rng.uniform(1, 5, 90)})
    frame["district"] = rng.choice(["north", "south=sea", "7"], 90)
    frame["rent"] = frame["area"] * (1 + (frame["district"] == "north"))
    path = tmp_path / "rents.csv"
    frame.to_csv(path, index=False)
    return path, frame


@pytest.mark.parametrize("parquet", [False, True])
def test_tables_with_text_gaps_and_dates_are_taken_as_they_are(rents, tmp_path, parquet):
    path, frame = rents
    frame = frame.assign(day=pd.date_range("2020-01-01", periods=90).astype(str))
    frame.loc[4, "district"] = None
    if parquet:
        pytest.importorskip("pyarrow")
        frame = frame.assign(day=pd.to_datetime(frame["day"]))
    frame.loc[5, "area"] = None
    frame.to_parquet(path) if parquet else frame.to_csv(path, index=False, na_rep="N/A")
    result, model = train(path, "--ignore", "id", target="rent", alpha=1e-3)
    assert result.exit_code == 0, result.output
    assert "categories     'district': 3" in result.stdout
    loaded = pr.load(model)
    assert loaded.network_.feature_names == ["area", "district", "day"]
    assert [column.kind for column in loaded.network_.encoder.columns_] == ["number", "text", "time"]
    rows = frame[["day", "district", "area"]].assign(district="moon")
    raw = rows.assign(day=pd.to_datetime(rows["day"]))
    expected = loaded.network_.predict(raw)
    np.testing.assert_array_equal(loaded.predict(raw[["area", "district", "day"]]), expected)
    given = tmp_path / "rows.csv"
    rows.assign(day=rows["day"].astype(str)).to_csv(given, index=False)
    assert [float(cell) for cell in run("predict", model, given).stdout.split()[1:]] == expected.tolist()
    rows.assign(day="someday").to_csv(given, index=False)
    refused(run("predict", model, given), "the cell 'someday' in column 'day', row 1 is not a time")
    rows.assign(day="2020-06-31").to_csv(given, index=False)
    refused(run("predict", model, given), "the cell '2020-06-31' in column 'day', row 1 is not a time")
    rows.assign(day="", area="small").to_csv(given, index=False)
    refused(run("predict", model, given), "the cell 'small' in column 'area', row 1 is not a number")
    for command in (("inspect", model, path), ("certify", model, path, "--method", "solver")):
        assert run(*command).exit_code == 0, run(*command).output


def test_marks_of_what_is_missing_can_be_added(rents, tmp_path):
    path, frame = rents
    frame = frame.astype({"area": object})
    frame.loc[3, ["area", "district"]] = "unknown"
    frame.to_csv(path, index=False)
    result, model = train(path, "--ignore", "id", target="rent")
    refused(result, "the cell 'unknown' in column 'area', row 4 is not a number", "--na", output=model)
    result, model = train(path, "--ignore", "id", "--na", "unknown", target="rent", alpha=1e-3)
    assert result.exit_code == 0, result.output
    encoder = pr.load(model).network_.encoder
    assert [column.gaps for column in encoder.columns_] == [True, True]
    assert encoder.columns_[1].levels == ("7", "north", "south=sea")
    assert run("predict", model, path).exit_code == 0


def test_weights_of_rows_and_classes_are_those_of_the_estimator(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    weight = np.arange(60) % 3
    X.assign(w=weight, y=f > 1).to_csv(path, index=False)
    result, model = train(path, "--sample-weight", "w", "--class-weight", "balanced")
    assert result.exit_code == 0, result.output
    expected = pr.PathReLUClassifier(alpha=0.01, random_state=0, class_weight="balanced").fit(
        X, f > 1, sample_weight=weight
    )
    np.testing.assert_array_equal(pr.load(model).network_.leaf_weights, expected.network_.leaf_weights)
    refused(train(path, "--sample-weight", "v")[0], "has no column 'v'")
    refused(
        train(path, "--loss", "huber")[0], "--loss is for a regression, and 'y' makes this a classification"
    )


def test_alpha_is_chosen_by_cross_validation(csv, table):
    X, f = table
    result, output = train(csv, "--cv", 3, alpha="auto")
    assert result.exit_code == 0, result.output
    model = pr.load(output)
    expected = pr.PathReLURegressorCV(cv=3, random_state=0).fit(X, f)
    assert type(model) is pr.PathReLURegressorCV
    assert model.alpha_ == expected.alpha_
    assert f"({3} folds, {len(expected.alphas_)} values of alpha)" in result.stdout
    document = as_json(run("inspect", output, "--json"))
    assert document["cv"]["score"] == expected.best_score_
    refused(train(csv, "--cv", 3)[0], "--alpha and --cv were given")
    refused(train(csv, "--jobs", 2)[0], "--jobs is for --cv")


def test_the_options_of_the_estimator_reach_it(csv, table):
    X, f = table
    _, model = train(csv, "--skip-connection", "--prune", "--low-rank", 3, "--loss", "huber")
    expected = pr.PathReLURegressor(
        alpha=0.01, skip_connection=True, prune=True, low_rank=3, loss="huber", random_state=0
    ).fit(X, f)
    np.testing.assert_array_equal(pr.load(model).network_.skip_weights, expected.network_.skip_weights)
    np.testing.assert_array_equal(pr.load(model).network_.leaf_weights, expected.network_.leaf_weights)


def test_directions_of_columns_reach_the_estimator(csv, table):
    X, f = table
    _, model = train(csv, "--monotone", "a=-", "--monotone", "b b=+")
    expected = pr.PathReLURegressor(alpha=0.01, random_state=0, monotonic_cst={"a": -1, "b b": 1}).fit(X, f)
    found = pr.load(model)
    assert found.monotonic_cst_.tolist() == expected.monotonic_cst_.tolist()
    np.testing.assert_array_equal(found.network_.leaf_weights, expected.network_.leaf_weights)
    refused(train(csv, "--monotone", "a")[0], "--monotone is 'a'; expected a column and a sign")
    refused(train(csv, "--monotone", "a=up")[0], "--monotone is 'a=up'; expected a column and a sign")
    refused(train(csv, "--monotone", "a=+", "--monotone", "a=-")[0], "--monotone names the column 'a' twice")
    refused(train(csv, "--monotone", "z=+")[0], "has no column 'z'")
    refused(train(csv, "--monotone", "y=+")[0], "--monotone names the column 'y', from which nothing")


# ---- Metrics -----------------------------------------------------------------


def evaluated(model, path, *arguments):
    return as_json(run("evaluate", model, path, "--json", *arguments))["metrics"]


def test_classes_are_evaluated_by_named_metrics(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    rng = np.random.default_rng(1)
    weight = rng.uniform(0, 2, 60)
    noisy = f + rng.standard_normal(60)
    for labels in (np.array(["no", "yes"]), np.array(["p", "q", "r"])):
        code = np.searchsorted([0, 1][: len(labels) - 1], noisy)
        X.assign(w=weight, y=labels[code]).to_csv(path, index=False)
        _, model = train(path, "--ignore", "w", "--no-held-out", alpha=0.05)
        found = evaluated(model, path, "--sample-weight", "w")
        shares = pr.load(model).predict_proba(X)
        for of, p in (
            ("network", shares),
            ("constant", np.tile(np.bincount(code, weight) / weight.sum(), (60, 1))),
        ):
            right = p.argmax(axis=1) == code
            one_hot = np.eye(len(labels))[code]
            squares = ((p - one_hot) ** 2).sum(axis=1) / (2 if len(labels) == 2 else 1)
            areas = [
                np.average(
                    (p[code == c, c][:, None] > p[code != c, c])
                    + (p[code == c, c][:, None] == p[code != c, c]) / 2,
                    weights=weight[code == c][:, None] * weight[code != c],
                )
                for c in ([1] if len(labels) == 2 else range(3))
            ]
            expected = {
                "accuracy": np.average(right, weights=weight),
                "log_loss": np.average(-np.log(p[range(60), code]), weights=weight),
                "auc": np.mean(areas),
                "brier": np.average(squares, weights=weight),
            }
            assert {name: values[of] for name, values in found.items()} == pytest.approx(expected), of
        assert found["log_loss"]["network"] < found["log_loss"]["constant"]
        shown = run("evaluate", model, path).stdout.splitlines()
        assert shown[0] == "classification of 'y' on 60 rows"
        assert [line[:11].strip() for line in shown[2:]] == ["accuracy", "log-loss", "AUC", "Brier score"]


@pytest.mark.parametrize(
    ("options", "constant"),
    [
        ((), "mean"),
        (("--loss", "absolute_error"), "median"),
        (("--loss", "huber"), ""),
        (("--loss", "quantile", "--quantile", 0.8), "quantile"),
        (("--loss", "poisson"), "mean"),
        (("--loss", "gamma"), "mean"),
    ],
    ids=str,
)
def test_regressions_are_evaluated_by_named_metrics(table, tmp_path, options, constant):
    X, f = table
    y = np.exp(f)
    path = tmp_path / "data.csv"
    X.assign(y=y).to_csv(path, index=False)
    _, model = train(path, "--no-held-out", *options)
    found = evaluated(model, path)
    values = pr.load(model).predict(X)
    loss = options[1] if options else ""
    middle = {"mean": y.mean(), "median": np.median(y), "quantile": np.quantile(y, 0.8)}.get(constant)
    for of, v in (("network", values), ("constant", middle)):
        if v is None:
            continue
        error = y - v
        expected = {"mae": np.abs(error).mean()}
        if loss == "quantile":
            expected["pinball_loss"] = np.maximum(0.8 * error, -0.2 * error).mean()
        if loss == "poisson":
            expected["poisson_deviance"] = 2 * np.mean(y * np.log(y / v) - error)
        if loss == "gamma":
            expected["gamma_deviance"] = 2 * np.mean(np.log(v / y) + y / v - 1)
        if of == "constant" and constant != "mean":  # any between two rows
            name = "mae" if constant == "median" else "pinball_loss"
            assert found[name][of] == pytest.approx(expected[name])
            continue
        expected |= {"r2": 1 - np.mean(error**2) / y.var(), "rmse": np.sqrt(np.mean(error**2))}
        assert {name: one[of] for name, one in found.items()} == pytest.approx(expected, abs=1e-9), of
    assert found["mae"]["network"] < found["mae"]["constant"]
    assert ("pinball loss" in run("evaluate", model, path).stdout) == (loss == "quantile")


@pytest.mark.parametrize("target", ["number", "two", "three"])
def test_weights_of_evaluated_rows_count_as_repetitions(table, tmp_path, target):
    X, f = table
    code = np.searchsorted([0, 1], f)
    y = {"number": f, "two": code > 0, "three": code}[target]
    path = tmp_path / "data.csv"
    weight = np.arange(60) % 3
    frame = X.assign(y=y, w=weight)
    frame.to_csv(path, index=False)
    _, model = train(path, "--ignore", "w", "--no-held-out", alpha=0.1)
    weighted = evaluated(model, path, "--sample-weight", "w")
    frame.loc[np.repeat(np.arange(60), weight)].to_csv(path, index=False)
    repeated = evaluated(model, path)
    for name, values in weighted.items():
        assert values == pytest.approx(repeated[name], abs=1e-12), name


def test_training_measures_on_rows_held_out(csv, table, monkeypatch):
    X, f = table
    fits = []
    fit = pr.PathReLURegressor.fit

    def recorded(self, X, y, sample_weight=None):
        fits.append(X.index)
        return fit(self, X, y, sample_weight)

    monkeypatch.setattr(pr.PathReLURegressor, "fit", recorded)
    result, model = train(csv, "--json")
    held_out = as_json(result)["held_out"]
    everything, trained_on = fits
    assert len(everything) == 60
    assert len(trained_on) + held_out["rows"] == 60
    assert held_out["rows"] == 12
    test = X.index.difference(trained_on)
    expected = pr.PathReLURegressor(alpha=0.01, random_state=0).fit(X.loc[trained_on], f[trained_on])
    error = f[test] - expected.predict(X.loc[test])
    assert held_out["metrics"]["rmse"]["network"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert held_out["metrics"]["rmse"]["constant"] == pytest.approx(f[test].std())
    written = pr.load(model).network_.leaf_weights
    shown, _ = train(csv)
    assert "held out       12 of 60 rows, from a network trained on the others" in shown.stdout
    assert re.search(r"^R² +0\.9\d+ +0\.000$", shown.stdout, re.MULTILINE)
    for option in ("--no-held-out", "--quiet"):
        fits.clear()
        result, model = train(csv, option)
        assert len(fits) == 1
        assert "held out" not in result.stdout
        np.testing.assert_array_equal(pr.load(model).network_.leaf_weights, written)


def test_copies_of_a_row_are_held_out_together_and_classes_are_trained_on(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.standard_normal(200), "b": rng.choice(["p", "q"], 200)})
    frame["y"] = rng.choice(["x", "y"], 200)  # noise, which only copies tell
    frame.loc[7, "y"] = "once"
    path = tmp_path / "data.csv"
    pd.concat([frame] * 4).to_csv(path, index=False)
    result, _ = train(path, "--json", "--max-iter", 300, alpha=1e-5)
    measured = as_json(result)["held_out"]
    assert measured["rows"] % 4 == 0
    assert 120 <= measured["rows"] <= 200
    assert measured["metrics"]["accuracy"]["network"] < 0.65


def test_weights_count_on_held_out_rows_too(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    frame = X.assign(w=1.0, y=f)
    wild = frame.assign(w=0.0, y=1e6)
    pd.concat([frame, wild.assign(a=wild["a"] + 1)]).to_csv(path, index=False)
    metrics = as_json(train(path, "--sample-weight", "w", "--json")[0])["held_out"]["metrics"]
    assert metrics["rmse"]["constant"] < 10
    assert metrics["r2"]["network"] > 0.5


def test_what_cannot_be_measured_is_noted_and_the_model_written(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    X.assign(y=f)[:15].to_csv(path, index=False)
    result, model = train(path)
    assert result.exit_code == 0
    assert "Note: nothing is held out to measure on: fewer than 20 rows differ" in result.stderr
    assert "held out" not in result.stdout
    assert model.exists()
    X.assign(w=np.eye(60)[3] + np.eye(60)[4], y=f).to_csv(path, index=False)
    result, model = train(path, "--sample-weight", "w", "--json")
    assert as_json(result)["held_out"] is None
    assert "Note: no network of fewer rows could be measured" in result.stderr


def test_evaluated_rows_of_one_class_have_no_auc(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    X.assign(y=np.searchsorted([0, 1], f)).to_csv(path, index=False)
    _, model = train(path, "--no-held-out")
    X[:5].assign(y=2).to_csv(path, index=False)
    found = evaluated(model, path)
    assert found["auc"] == {"network": None, "constant": None}
    assert found["log_loss"]["constant"] == pytest.approx(0, abs=1e-12)
    assert re.search("^AUC +- +-$", run("evaluate", model, path).stdout, re.MULTILINE)
    X[:5].assign(y=[0, 0, 1, 1, 1]).to_csv(path, index=False)
    assert 0 <= evaluated(model, path)["auc"]["network"] <= 1


def test_rows_that_cannot_be_evaluated_are_refused(csv, table, tmp_path):
    X, f = table
    path = tmp_path / "rows.csv"
    _, model = train(csv, "--no-held-out")
    X.to_csv(path, index=False)
    refused(run("evaluate", model, path), "rows.csv has no column 'y'; it has 'a', 'b b', 'c'")
    X.assign(z=f).to_csv(path, index=False)
    assert evaluated(model, path, "--target", "z") == evaluated(model, csv)
    refused(run("evaluate", model, path, "--target", "z", "--sample-weight", "w"), "has no column 'w'")
    X.assign(y=f).drop(columns=["a", "c"]).to_csv(path, index=False)
    refused(run("evaluate", model, path), "rows.csv lacks 'a', 'c'")
    X.assign(y=[*f[:-1], "dear"], w=-1).to_csv(path, index=False)
    refused(run("evaluate", model, path), "the cell 'dear' in column 'y', row 60 is not a number")
    X.assign(y=f, w=-1).to_csv(path, index=False)
    refused(run("evaluate", model, path, "--sample-weight", "w"), "has the value -1; expected none below 0")
    X.assign(y=np.where(f > 0, "high", "low")).to_csv(csv, index=False)
    _, model = train(csv, "--no-held-out")
    X.assign(y=["high"] * 59 + ["middle"]).to_csv(path, index=False)
    refused(
        run("evaluate", model, path), "'middle' in column 'y', row 60 is none of the classes 'high', 'low'"
    )
    X.assign(y=[""] * 60).to_csv(path, index=False)
    refused(run("evaluate", model, path), "column 'y' is empty; expected targets")
    pr.PathReLURegressor(alpha=0.01).fit(X, np.column_stack([f, f])).save(model)
    refused(run("evaluate", model, csv), "has 2 outputs; expected 1")


def test_a_network_alone_is_evaluated_too(csv, tmp_path):
    _, model = train(csv, "--no-held-out")
    pr.load(model).network_.save(tmp_path / "network.npz")
    assert evaluated(tmp_path / "network.npz", csv) == evaluated(model, csv)


# ---- inspect and certify -----------------------------------------------------


def test_inspect_shows_what_matters(csv):
    _, model = train(csv)
    lines = run("inspect", model, "--top", 2).stdout.splitlines()
    assert lines[0] == "regression of 'y' from 3 features"
    at = next(k for k, line in enumerate(lines) if line.startswith("feature"))
    assert {line.split()[0] for line in lines[at + 1 : at + 3]} == {"a", "b"}  # c is noise
    assert lines[at + 3] == "and 1 more"
    pr.ParallelReLUNetwork([[[1.0, 0.0]], [[0.0, 3.0]]], feature_names=["x", "y"]).save(model)
    shown = run("inspect", model).stdout
    assert re.search(r"^1 +3 +75.0%  #+\n0 +1 +25.0%  #+\n", shown, re.MULTILINE)
    assert re.search(r"^y +3 +75.0%  #+\nx +1 +25.0%  #+\n", shown, re.MULTILINE)


def test_inspect_tells_outputs_apart(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    X.assign(y=np.array(["p", "q", "r"])[np.searchsorted([0, 1], f)]).to_csv(path, index=False)
    options = ["--depth", 3, "--width", 2, "--skip-connection", "--outputs", "separate"]
    _, model = train(path, *options)
    result = run("inspect", model, path, "--top", 100)
    assert result.exit_code == 0, result.output
    assert "classes        'p', 'q', 'r'" in result.stdout
    assert re.search(r"skip connection +\S+ +\S+ +\S+  [pqr]$", result.stdout, re.MULTILINE)


def test_outputs_are_shared_or_separate_as_told(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    X.assign(y=np.array(["p", "q", "r"])[np.searchsorted([0, 1], f)]).to_csv(path, index=False)
    for outputs, shared in (("auto", True), ("shared", True), ("separate", False)):
        result, model = train(path, "--outputs", outputs)
        assert result.exit_code == 0, result.output
        network = pr.load(model).network_
        assert network.shared_outputs is shared
        assert ("; each feeds several outputs" in result.stdout) is shared
        assert pr.load(model).outputs == outputs
        document = as_json(run("inspect", model, path, "--json"))
        assert document["shared_outputs"] is shared
        weights = [part["output_weights"] for part in document["subnetworks"]]
        np.testing.assert_array_equal(weights, network.output_weights)
        assert [part["output"] for part in document["subnetworks"]] == network.output_index.tolist()
        assert [part["sign"] for part in document["subnetworks"]] == network.output_sign.tolist()
        assert sum(part["variance_share"] for part in document["subnetworks"]) == pytest.approx(
            1 if shared else len(set(network.output_index.tolist()))
        )
    _, model = train(path, "--outputs", "separate", "--cv", 2, alpha="auto")
    assert not pr.load(model).network_.shared_outputs
    result, model = train(path, "--outputs", "shared", "--arrangements", "sample")
    refused(result, "outputs is 'shared' with arrangements 'sample'; expected 'auto' or 'separate'")
    refused(train(path, "--outputs", "both")[0], "'both' is not one of 'auto', 'shared', 'separate'")


def shown_outputs(tmp_path, labels, weights, *arguments):
    """The table of `inspect`, of a network of one sub-network for each row of weights."""
    network = pr.ParallelReLUNetwork(
        np.arange(len(weights), 0, -1.0)[:, None, None],
        output_weights=weights,
        intercept=np.zeros(len(labels)),
        classes=labels,
    )
    network.save(tmp_path / "net.npz")
    text = run("inspect", tmp_path / "net.npz", *arguments).stdout
    return text[text.index("sub-network  ") :].split("\n\n")[0].splitlines()


def test_inspect_shows_what_sub_networks_feed(tmp_path):
    labels = ["one", "second class", "3"]
    lines = shown_outputs(tmp_path, labels, [[3.0, 0.0, -4.0], [0.0, 1.0, 0.0]])
    assert lines[0].split("share")[1] == "    one  second class      3"
    assert lines[1].endswith("%  +0.60         +0.00  -0.80")
    assert lines[2].endswith("%  +0.00         +1.00  +0.00")
    # Where sub-networks feed one output each, its name is enough.
    lines = shown_outputs(tmp_path, labels, [[3.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    assert [line.split("  ")[-1] for line in lines] == ["output", "one", "second class"]
    # More outputs than fit: the main one.
    labels = [f"class {c}" for c in range(26)]
    lines = shown_outputs(tmp_path, labels, np.eye(26)[:2] * [[1], [-2]] + 0.01)
    assert [line.split("  ")[-1] for line in lines] == ["main output", "+ class 0", "- class 1"]


def test_certify_bounds_the_optimum(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    X[["a"]].assign(y=f).to_csv(path, index=False)
    _, model = train(path)
    result = run("certify", model, path)
    assert result.exit_code == 0, result.output
    assert "global optimum at least" in result.stdout
    assert "no ReLU network of depth 2" in result.stdout
    bounds = as_json(run("certify", model, path, "--json"))
    assert bounds["relative_gap"] < 1e-3
    assert bounds["certifies_optimum"] is True
    own = as_json(run("certify", model, path, "--json", "--method", "solver"))
    assert own["certifies_optimum"] is False


def test_certify_ends_in_time_with_a_bound(csv):
    _, model = train(csv)
    at_once = as_json(run("certify", model, csv, "--json", "--max-seconds", 1e-9))
    assert 0 < at_once["lower"] <= at_once["upper"]
    exact = as_json(run("certify", model, csv, "--json", "--max-seconds", 1e6))
    assert exact["relative_gap"] < at_once["relative_gap"]
    refused(run("certify", model, csv, "--max-seconds", 0), "max_seconds is 0; expected a finite number > 0")


def test_training_ends_in_time_with_a_network(csv, tmp_path):
    model = tmp_path / "model.npz"
    arguments = ("train", csv, "--target", "y", "--output", model, "--json", "--max-seconds")
    at_once = run(*arguments, 1e-9)
    assert as_json(at_once)["converged"] is False
    assert "max_seconds" in at_once.stderr
    assert run("predict", model, csv).exit_code == 0
    assert as_json(run(*arguments, 1e6))["objective"] < as_json(at_once)["objective"]
    refused(run(*arguments, 0), "max_seconds is 0; expected a finite number > 0")


@pytest.mark.parametrize(
    "options",
    [{"loss": "huber", "threshold": 0.5}, {"loss": "quantile", "quantile": 0.9}, {"loss": "poisson"}],
)
def test_certify_takes_the_loss_and_its_parameter_from_the_file(table, tmp_path, options):
    X, f = table
    path, model, network = (tmp_path / name for name in ("data.csv", "model.npz", "network.npz"))
    X = X[["a"]]
    X.assign(y=np.abs(f)).to_csv(path, index=False)
    estimator = pr.PathReLURegressor(alpha=0.01, random_state=0, **options).fit(X, np.abs(f))
    estimator.network_.target = "y"
    estimator.save(model)
    method = ("--method", "solver")
    told = as_json(run("certify", model, path, "--json", *method))
    assert told["upper"] == pytest.approx(estimator.objective_)
    assert len(told["notes"]) == 1
    estimator.network_.save(network)
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    untold = as_json(run("certify", network, path, "--json", "--alpha", 0.01, *given, *method))
    assert untold["upper"] == told["upper"]
    as_json(run("certify", model, path, "--json", *given, *method))
    refused(
        run("certify", model, path, "--loss", "gamma"),
        f"was trained with the loss {options['loss']}; expected no other --loss than that",
    )
    other = "quantile" if "threshold" in options else "threshold"
    refused(run("certify", model, path, f"--{other}", 0.25), f"was trained with no {other}")


def test_certify_takes_labels_as_they_are_written(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    X[["a"]].assign(y=np.where(f > 1, "high", "low")).to_csv(path, index=False)
    _, model = train(path)
    bounds = as_json(run("certify", model, path, "--json"))
    assert bounds["upper"] == pytest.approx(
        pr.PathReLUClassifier(alpha=0.01, random_state=0).fit(X[["a"]], f > 1).objective_
    )
    X[["a"]].assign(y=["high", "low", *["middle"] * 58]).to_csv(path, index=False)
    refused(run("certify", model, path), "the cell 'middle' in column 'y', row 3 is none of")


def test_certify_bounds_gated_networks(csv):
    _, model = train(csv, "--activation", "gated", "--arrangements", "sample")
    own, over_all = (
        as_json(run("certify", model, csv, "--json", "--max-nodes", 1, "--method", method))
        for method in ("solver", "auto")
    )
    assert not own["certifies_optimum"]
    assert over_all["lower"] <= own["lower"] <= own["upper"] == over_all["upper"]
    refused(run("certify", model, csv, "--method", "branch_and_bound"), "net is a gated network")


@pytest.mark.parametrize("outputs", ["shared", "separate"])
def test_certify_bounds_several_classes(table, tmp_path, outputs):
    X, f = table
    path, model = tmp_path / "data.csv", tmp_path / "model.npz"
    y = np.searchsorted([0, 1], f)
    X.assign(y=y).to_csv(path, index=False)
    pr.PathReLUClassifier(alpha=0.01, outputs=outputs, random_state=0).fit(X, y).save(model)
    bounds = as_json(run("certify", model, path, "--target", "y", "--method", "low_rank", "--json"))
    assert bounds["details"]["outputs"] == outputs
    assert 0 < bounds["lower"] <= bounds["upper"]
    assert ("of one output each" in str(bounds["notes"])) == (outputs == "separate")


@pytest.mark.parametrize(
    ("loss", "name", "value"), [("quantile", "quantile", 0.9), ("huber", "threshold", 0.7)]
)
def test_the_parameter_of_a_loss_is_an_option(csv, table, loss, name, value):
    X, f = table
    _, model = train(csv, "--loss", loss, f"--{name}", value)
    expected = pr.PathReLURegressor(alpha=0.01, loss=loss, random_state=0, **{name: value}).fit(X, f)
    assert pr.load(model).get_params() == expected.get_params() | {"n_threads": None}
    np.testing.assert_array_equal(pr.load(model).predict(X), expected.predict(X))


def test_parameters_of_losses_are_refused_where_they_do_not_apply(csv):
    refused(train(csv, "--quantile", 0.9)[0], "--quantile is for --loss quantile, and the loss is squared_e")
    refused(train(csv, "--loss", "quantile", "--threshold", 1)[0], "--threshold is for --loss huber")
    refused(
        train(csv, "--loss", "quantile", "--quantile", 1.5)[0], "quantile is 1.5; expected a number above 0"
    )
    result, _ = train(csv, "--loss", "quantile", "--quantile", 0.5, "--task", "classification")
    refused(result, "--loss is for a regression")


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_losses_with_a_logarithm_predict_means(table, tmp_path, loss):
    X, f = table
    path = tmp_path / "data.csv"
    X.assign(y=np.exp(f)).to_csv(path, index=False)
    _, model = train(path, "--loss", loss)
    written = [float(cell) for cell in run("predict", model, path).stdout.split()[1:]]
    np.testing.assert_allclose(written, pr.load(model).predict(X))
    assert min(written) > 0
    assert f"loss           {loss}, whose outputs are logarithms of means" in run("inspect", model).stdout
    result = run("export", model, "--to-json", tmp_path / "m.json")
    assert "outputs of the network are logarithms of means" in result.stderr


def test_certify_weighs_rows_as_training_did(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    X[["a"]].assign(w=np.arange(60) % 3, y=np.where(f > 1, "high", "low")).to_csv(path, index=False)
    options = ("--sample-weight", "w")
    trained, model = train(path, *options, "--class-weight", "balanced", "--json", alpha=0.05)
    bounds = as_json(run("certify", model, path, *options, "--json"))
    assert bounds["upper"] == pytest.approx(as_json(trained)["objective"])
    assert len(bounds["notes"]) == 1
    assert "other rows or weights than those of training" in run("certify", model, path).stdout


def test_a_file_of_a_network_alone_is_read_too(table, csv, tmp_path):
    X, f = table
    expected = pr.PathReLURegressor(alpha=0.01, random_state=0).fit(X, f)
    network, model = expected.network_, tmp_path / "network.npz"
    network.save(model)  # as earlier versions of train did
    written = [float(cell) for cell in run("predict", model, csv).stdout.split()[1:]]
    np.testing.assert_allclose(written, network.predict(X))
    assert as_json(run("inspect", model, "--json"))["objective"] is None
    refused(run("certify", model, csv, "--target", "y"), "does not tell the alpha of its training")
    refused(run("certify", model, csv, "--alpha", 0.01), "does not tell the column it predicts")
    bounds = as_json(run("certify", model, csv, "--alpha", 0.01, "--target", "y", "--json"))
    assert bounds["upper"] == pytest.approx(expected.objective_)
    _, model = train(csv)
    refused(run("certify", model, csv, "--alpha", 0.1), "was trained with alpha 0.01")


def test_several_outputs_have_a_column_each(table, csv, tmp_path):
    X, f = table
    model = tmp_path / "m.npz"
    expected = pr.PathReLURegressor(alpha=0.01, random_state=0).fit(X, np.column_stack([f, -f]))
    expected.save(model)
    assert run("predict", model, csv, "--output", tmp_path / "out.csv").exit_code == 0
    written = pd.read_csv(tmp_path / "out.csv")
    assert list(written.columns) == ["prediction 0", "prediction 1"]
    np.testing.assert_allclose(written, expected.predict(X))
    refused(run("certify", model, csv, "--target", "y"), "has 2 outputs; expected 1")


# ---- export ------------------------------------------------------------------


def test_export_writes_what_other_programs_read(table, csv, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    X, _ = table
    _, model = train(csv)
    network = pr.load(model).network_
    for dtype, rtol in (("float32", 1e-4), ("float64", 1e-12)):
        result = run("export", model, "--onnx", tmp_path / "m.onnx", "--dtype", dtype)
        assert result.stdout == f"wrote {tmp_path / 'm.onnx'}\n"
        session = runtime.InferenceSession(tmp_path / "m.onnx")
        outputs = session.run(None, {"X": X.to_numpy(dtype)})[0]
        np.testing.assert_allclose(outputs[:, 0], network.predict(X), rtol=rtol, atol=rtol)
    assert as_json(run("export", model, "--to-json", tmp_path / "m", "--json")) == {
        "written": [str(tmp_path / "m")]
    }
    assert pr.load(tmp_path / "m").to_dict() == network.to_dict()


def test_export_writes_models_as_text(csv, tmp_path):
    _, model = train(csv)
    loaded = pr.load(model)
    for language in ("formula", "sql", "python", "c"):
        assert run("export", model, "--to", language).stdout == loaded.to_text(language)
    result = run("export", model, "--to", "formula", "--to-json", tmp_path / "m.json")
    assert result.stdout == loaded.to_text()  # alone, for what reads a pipe
    assert result.stderr == f"wrote {tmp_path / 'm.json'}\n"
    given = ("--digits", 3, "--table", "t", "--keep", "id", "--keep", "b b", "--output", tmp_path / "m.sql")
    assert run("export", model, "--to", "sql", *given).stdout == f"wrote {tmp_path / 'm.sql'}\n"
    expected = loaded.to_text("sql", digits=3, table="t", keep=["id", "b b"])
    assert (tmp_path / "m.sql").read_text() == expected


def test_inspect_shows_what_subnetworks_add(csv):
    _, model = train(csv, "--skip-connection")
    formulas = subnetwork_formulas(pr.load(model))
    document = as_json(run("inspect", model, "--json"))
    assert [part.get("formula") for part in document["subnetworks"]] == [*formulas, None]
    assert "max(0, " not in run("inspect", model).stdout
    shown = run("inspect", model, "--formulas", "--top", 1000).stdout
    assert all(formula in shown for formula in formulas)


def test_text_that_a_language_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    network = pr.ParallelReLUNetwork([[[1.0]]])
    network.save(tmp_path / "m.npz")
    out = tmp_path / "m.json"
    result = run("export", tmp_path / "m.npz", "--to", "sql", "--to-json", out)
    refused(result, "no names of columns", output=out)


def test_bad_exports_are_refused(csv, tmp_path):
    _, model = train(csv)
    out = tmp_path / "out"
    refused(run("export", model), "expected --onnx, --to-json or --to")
    refused(run("export", model, "--to", "cobol"), "'cobol' is not one of")
    refused(run("export", model, "--to-json", out, "--digits", 3), "--digits is for --to", output=out)
    refused(run("export", model, "--to-json", out, "--output", out), "--output is for --to", output=out)
    for option in ("--table", "--keep"):
        refused(run("export", model, "--to", "c", "--output", out, option, "t"), f"{option} is for --to sql")
    refused(run("export", model, "--to", "sql", "--json"), "expected --output too")
    both = ("--onnx", out, "--to", "c", "--output", out)
    refused(run("export", model, *both), "--onnx and --output name the same file", output=out)
    refused(run("export", model, "--to", "c", "--output", model), "would be written over")
    refused(run("export", model, "--to-json", out, "--dtype", "float64"), "--dtype is for --onnx", output=out)
    refused(run("export", model, "--to-json", out, "--onnx", out), "name the same file", output=out)
    refused(run("export", model, "--to-json", model), "would be written over")
    refused(run("export", csv, "--to-json", out), "is not a model that pathrelu can read", output=out)


def test_a_missing_extra_of_export_is_named(csv, tmp_path, monkeypatch):
    _, model = train(csv)
    monkeypatch.setitem(sys.modules, "onnx", None)
    refused(run("export", model, "--onnx", tmp_path / "m.onnx"), "pip install 'pathrelu[onnx]'")


def test_parquet_without_pyarrow_is_refused_by_its_extra(csv, tmp_path, monkeypatch):
    _, model = train(csv)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    table, out = tmp_path / "rows.parquet", tmp_path / "out.parquet"
    table.write_bytes(b"PAR1")
    refused(run("predict", model, table), "pip install 'pathrelu[parquet]'")
    refused(run("predict", model, csv, "--output", out), "pip install 'pathrelu[parquet]'", output=out)


# ---- A process among others --------------------------------------------------


def process(*arguments, before="", **options):
    code = f"{before}\nfrom pathrelu.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_an_interrupt_ends_training_at_once_and_leaves_the_old_model(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 30))
    path, model = tmp_path / "data.csv", tmp_path / "model.npz"
    pd.DataFrame(X).assign(y=np.abs(X[:, :5]).sum(axis=1) + rng.standard_normal(4000)).to_csv(
        path, index=False
    )
    model.write_text("an old model")
    # Three seconds are enough to import, to read the table and to be in the fit.
    running = process(
        *("train", path, "--target", "y", "--output", model, "--alpha", 1e-5, "--tol", 1e-12),
        before=f"{IMPORT}; interrupt_after(3, answer_within=2)",
    )
    out, err = running.communicate(timeout=300)
    assert running.returncode == 130, err
    assert out == ""
    *progress, last = err.strip().splitlines()
    assert last == "Interrupted; nothing was written."
    assert all(line.startswith("pathrelu  0:0") for line in progress if line)
    assert model.read_text() == "an old model"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data.csv", "model.npz"]


def test_a_reader_that_goes_away_is_no_error(table, tmp_path):
    X, f = table
    path = tmp_path / "data.csv"
    pd.concat([X.assign(y=f)] * 2000).to_csv(path, index=False)
    model = tmp_path / "m.npz"
    X.assign(y=f).to_csv(tmp_path / "few.csv", index=False)
    assert run("train", tmp_path / "few.csv", "--target", "y", "--output", model).exit_code == 0
    # An unbuffered stdout of Python takes what a pipe took before its reader went for all.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with process("predict", model, path, env=buffered) as running:
        assert running.stdout.readline() == "y\n"
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 141
    with process("predict", model, tmp_path / "few.csv", env=buffered) as running:
        running.stdout.close()  # before there is anything to read
        assert running.stderr.read() == ""
    assert running.returncode == 141


def test_a_model_does_not_know_the_terminal_it_was_trained_in(csv, tmp_path):
    terminal, stderr = os.openpty()
    command = ["train", csv, "--target", "y", "--output", tmp_path / "m.npz"]
    subprocess.run([sys.executable, "-m", "pathrelu", *map(str, command)], stderr=stderr, check=True)
    os.close(stderr)
    os.close(terminal)
    assert pr.load(tmp_path / "m.npz").verbose == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell):
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_PATHRELU_COMPLETE" in result.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=result.stdout, text=True, check=True)


def test_commands_options_and_columns_are_completed(csv):
    complete = ShellComplete(commands, {}, "pathrelu", "_PATHRELU_COMPLETE").get_completions
    assert "train" in [item.value for item in complete([], "t")]
    assert "--output" in [item.value for item in complete(["train"], "--o")]
    assert [item.value for item in complete(["train", str(csv), "--target"], "")] == ["a", "b b", "c", "y"]
    assert [item.value for item in complete(["train", "none.csv", "--target"], "")] == []
    assert [item.type for item in complete(["train"], "d")] == ["file"]


def test_a_bug_is_one_line_unless_a_traceback_is_wanted(csv, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("no such thing")

    monkeypatch.setattr("pathrelu.cli.tasks.read", broken)
    result, output = train(csv)
    assert result.exit_code == 1
    assert "this is a bug in pathrelu" in result.stderr
    assert "RuntimeError: no such thing" in result.stderr
    assert "Traceback" not in result.stderr
    assert not output.exists()
    result = run("--traceback", "train", csv, "--target", "y", "--output", output)
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


def test_input_and_special_files_are_not_written_over(csv, tmp_path):
    before = csv.read_bytes()
    refused(run("train", csv, "--target", "y", "--output", csv), "would be written over")
    _, model = train(csv)
    refused(run("predict", model, csv, "--output", csv), "would be written over")
    refused(run("predict", model, csv, "--output", model), "would be written over")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        refused(run("predict", model, csv, "--output", tmp_path / "socket"), "is not a regular file")
    assert csv.read_bytes() == before
    os.mkfifo(tmp_path / "pipe")
    arrived = []
    reader = threading.Thread(target=lambda: arrived.append((tmp_path / "pipe").read_text()))
    reader.start()
    assert run("predict", model, csv, "--output", tmp_path / "pipe").exit_code == 0
    reader.join()
    assert arrived[0].startswith("y\n")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert run("predict", model, csv, "--output", tmp_path / "link").exit_code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text().startswith("y\n")


# ---- Errors of the user ------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        ("", "is empty"),
        ("a,y\n", "has a header but no rows"),
        ("a,a,y\n1,2,3\n", "has the column 'a' more than once"),
        ("a,,y\n1,2,3\n", "has a column without a name"),
        ("a,y\n1,2,3\n4,5,6\n", "is not a CSV file"),
        ("a,y\n1,2\n4,5,6\n", "is not a CSV file"),
        ("y\n1\n2\n", "has no column besides the target 'y'"),
        ("a,z\n1,2\n", "has no column 'y'; it has 'a', 'z'"),
        ("a,b,y\n1,2,3\n4,x y,6\n7,8,9\n", "the cell 'x y' in column 'b', row 2 is not a number"),
        ("a,b,y\n1,2,3\n4,True,6\n7,8,9\n", "the cell 'True' in column 'b', row 2 is not a number"),
        ("a,b,y\n1,2,3\n4,1_000,6\n7,8,9\n", "the cell '1_000' in column 'b', row 2 is not a number"),
        ("a,b,y\n1,2,3\n4,-inf,6\n", "the cell '-inf' in column 'b', row 2 is not finite"),
        ("a,b,y\n1,2,3\n4,1e999,6\n", "in column 'b', row 2 is not finite"),
        ("a,b,y\n1,2,\n4,5,\n", "column 'y' is empty; expected targets"),
        ("a,b,y\n1,2,3.5\n4,5,inf\n", "the cell 'inf' in column 'y', row 2 is not finite"),
        ("a,b,y\n1,2,z\n4,5,z\n", "column 'y' has only the class 'z'; expected at least 2 classes"),
        ("a,b,y\n1,2,1\n4,5,1\n", "column 'y' has only the class '1'; expected at least 2 classes"),
    ],
    ids=lambda content: content[1][:60],
)
def test_a_bad_table_is_refused_when_training(tmp_path, content):
    text, message = content
    path = tmp_path / "data.csv"
    path.write_text(text)
    result, output = train(path)
    refused(result, message, "data.csv", output=output)
    assert result.stderr.count("\n") == 1


@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@pytest.mark.parametrize("cell", ["NA", "N/A", "NULL", "None", "?", "-", "1,234", "nan", ""])
@pytest.mark.parametrize("options", [(), ("--task", "classification")], ids=str)
@pytest.mark.parametrize("column", ["a", "y"])
def test_a_column_that_is_mostly_numbers_is_no_text(tmp_path, cell, column, options):
    frame = pd.DataFrame({"a": np.arange(40) / 7, "y": np.arange(40)}).astype(object)
    frame.loc[3, column] = cell
    path = tmp_path / "data.csv"
    frame.to_csv(path, index=False)
    result, output = train(path, *options)
    if (cell, column) == ("1,234", "y") and "classification" in options:
        assert result.exit_code == 0  # a label, if the user says so
        return
    if column == "a" and cell != "1,234":
        assert result.exit_code == 0
        (encoded,) = pr.load(output).network_.encoder.columns_
        assert (encoded.kind, encoded.gaps) == ("number", True)
        return
    if cell != "1,234":
        assert result.exit_code == 0
        assert "1 of 40 rows have no 'y' and are left out" in result.stderr
        return
    refused(result, f"in column '{column}', row 4 is", "without any comma", output=output)


@pytest.mark.parametrize("labels", ["+-", ["none", "some"], ["?", "x"]])
def test_marks_of_gaps_are_labels_and_categories_among_text(tmp_path, labels):
    path = tmp_path / "data.csv"
    frame = pd.DataFrame({"a": np.arange(40), "b": list(labels) * 20, "y": list(labels) * 20})
    frame.to_csv(path, index=False)
    result, output = train(path)
    assert result.exit_code == 0, result.stderr
    assert pr.load(output).classes_.tolist() == sorted(labels)
    column = pr.load(output).network_.encoder.columns_[1]
    missing = "?" in labels  # what a level of the encoder cannot be
    assert (column.levels, column.gaps) == (("x",) if missing else tuple(sorted(labels)), missing)


@pytest.mark.parametrize("index", ["one", "two"])
def test_the_index_that_pandas_writes_is_left_out_with_a_note(csv, tmp_path, index):
    _, model = train(csv)
    expected = run("predict", model, csv).stdout
    frame = pd.read_csv(csv)
    if index == "two":
        frame.index = pd.MultiIndex.from_product([["p", "q"], range(len(frame) // 2)])
    indexed = tmp_path / "indexed.csv"
    frame.to_csv(indexed)
    result, other = train(indexed)
    assert result.exit_code == 0
    assert "indexed.csv: the first column has no name and is left out" in result.stderr
    assert pr.load(other).network_.feature_names == ["a", "b b", "c"]
    result = run("predict", other, indexed)
    assert result.stdout == expected
    assert result.stderr.startswith("Note: ")


@pytest.mark.parametrize("blank", ["\n", "  \n", "\r\n\n"])
def test_blank_lines_are_skipped(csv, tmp_path, blank):
    _, model = train(csv)
    rows = tmp_path / "rows.csv"
    lines = csv.read_text().splitlines(keepends=True)
    rows.write_text(blank + "".join(lines[:5]) + "\n" + "".join(lines[5:]))
    result = run("predict", model, rows)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == run("predict", model, csv).stdout


def test_inspect_shows_the_alpha_of_each_output(table, tmp_path):
    X, f = table
    model = tmp_path / "two.npz"
    fitted = pr.PathReLURegressor(outputs="separate", random_state=0).fit(X, np.column_stack([f, f**2]))
    fitted.save(model)
    result = run("inspect", model)
    assert result.exit_code == 0, result.output
    assert f"alpha          {fitted.alpha_[0]:.6g}, {fitted.alpha_[1]:.6g}" in result.stdout
    assert run("inspect", model, "--json").exit_code == 0


DAMAGED = [b"{", b"[]", b"{}", b"\xff", b'{"index_columns": ["nope"], "columns": [{}], "column_indexes": []}']


@pytest.mark.parametrize("metadata", DAMAGED)
def test_damaged_metadata_of_pandas_are_not_used(csv, tmp_path, metadata):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "data.parquet"
    parquet.write_table(pa.table(pd.read_csv(csv)).replace_schema_metadata({b"pandas": metadata}), path)
    result, model = train(path)
    assert result.exit_code == 0, result.stderr
    assert "what it says of pandas is damaged and not used" in result.stderr
    _, expected = train(csv)
    assert run("predict", model, path).stdout == run("predict", expected, csv).stdout


@pytest.mark.parametrize("options", [(), ("--task", "classification")], ids=str)
@pytest.mark.parametrize(("cells", "what"), [
    ([b"x", b"y"], "bytes"),
    ([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)], "date"),
    ([[1, 2], [3]], "ndarray"),
    ([{"q": 1}, {"q": 2}], "dict"),
])  # fmt: skip
def test_parquet_targets_that_are_no_numbers_and_no_text_are_refused(tmp_path, cells, what, options):
    pytest.importorskip("pyarrow")
    path = tmp_path / "data.parquet"
    pd.DataFrame({"a": np.arange(20.0), "y": cells * 10}).to_parquet(path)
    result, output = train(path, *options)
    refused(result, f"column 'y' holds {what}; expected numbers, text or truth values", output=output)


def test_decimals_are_numbers(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "data.parquet"
    frame = pd.DataFrame({"a": np.arange(20.0), "y": [Decimal(k) / 4 for k in range(20)]})
    frame.to_parquet(path)
    _, model = train(path)
    frame.astype({"y": float}).to_csv(tmp_path / "data.csv", index=False)
    expected = run("predict", model, path).stdout
    _, model = train(tmp_path / "data.csv")
    assert run("predict", model, path).stdout == expected
    frame["y"] = [Decimal(k % 2) for k in range(20)]
    frame.to_parquet(path)
    _, model = train(path)
    assert pr.load(model).classes_.tolist() == [0, 1]


def odd_csv(rng):
    """Bytes that may be a table."""
    odd = ["", "NA", "?", "-", "1,234", "1_000", "inf", "1e999", "0x10", "True", "é", "\u200b", "\x00", "a=b"]
    odd += [" 3 ", "9" * 400, "1e-320", "2020-01-01", "9223372036854775808", "a\nb", '"q"', "５"]
    names = ["a", "b", "y"] if rng.random() < 0.8 else [rng.choice(["a", "", "y", "é", "a=b"]) for _ in "abc"]
    kinds = [rng.choice(["number", "number", "integer", "text", "odd"]) for _ in names]
    draw = {
        "number": lambda: f"{rng.gauss(0, 1):.3g}",
        "integer": lambda: str(rng.randrange(3)),
        "text": lambda: rng.choice("xyz"),
        "odd": lambda: rng.choice(odd),
    }
    text = io.StringIO()
    writer = csv_module.writer(text, lineterminator=rng.choice(["\n", "\r\n", "\r"]))
    writer.writerow(names)
    for _ in range(rng.choice([1, 2, 15])):
        row = [draw["odd" if rng.random() < 0.03 else kind]() for kind in kinds]
        writer.writerow(row[: rng.choice([3, 3, 3, 3, 3, 3, 3, 2])])
    raw = text.getvalue().encode(rng.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16"]))
    return raw[: rng.randrange(len(raw))] if rng.random() < 0.1 else raw


@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_no_table_however_odd_is_a_bug(tmp_path):
    codes = Counter()
    for seed in range(200):
        rng = random.Random(seed)
        path = tmp_path / "odd.csv"
        path.write_bytes(odd_csv(rng))
        task = rng.choice([[], ["--na", "x"], ["--task", "classification"], ["--sample-weight", "b"]])
        result, model = train(path, "--max-iter", 50, *task, alpha=0.1)
        done = [result]
        if model.exists():
            done += [run(command, model, path) for command in ("predict", "inspect")]
            model.unlink()
        for result in done:
            assert result.exit_code in (0, 2), (seed, result.output)
            codes[result.exit_code] += 1
    assert min(codes[0], codes[2]) > 20


def test_files_that_are_not_there_or_not_text_are_refused(tmp_path):
    result, output = train(tmp_path / "none.csv")
    refused(result, "none.csv: No such file", output=output)
    result, output = train(tmp_path)
    refused(result, "directory")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    result, output = train(tmp_path / "binary.csv")
    refused(result, "binary.csv is not a CSV file", output=output)


def test_a_bad_output_is_refused_before_reading(tmp_path):
    for output, message in ((tmp_path, "is a directory"), (tmp_path / "no" / "m.npz", "is not a directory")):
        refused(run("train", tmp_path / "none.csv", "--target", "y", "--output", output), message)
        refused(run("predict", tmp_path / "none.npz", tmp_path / "none.csv", "--output", output), message)


@pytest.mark.parametrize(("option", "value", "message"), [
    ("--alpha", "0", "alpha is 0; expected a finite number > 0"),
    ("--alpha", "nan", "alpha is nan"),
    ("--alpha", "x", "'x' is not a valid float"),
    ("--depth", "1", "depth is 1; expected an integer from 2 to 64"),
    ("--width", "0", "width is 0"),
    ("--seed", "-1", "random_state is -1"),
    ("--threads", "0", "n_threads is 0"),
    ("--tol", "-1", "tol is -1"),
    ("--max-iter", "0", "max_iter is 0"),
    ("--task", "clustering", "'clustering' is not one of"),
    ("--activation", "tanh", "'tanh' is not one of"),
    ("--color", "red", "No such option"),
])  # fmt: skip
def test_a_bad_option_is_refused(csv, option, value, message):
    result, output = train(csv, option, value)
    refused(result, message, output=output)


def test_text_cannot_be_regressed_on(table, tmp_path):
    path = tmp_path / "data.csv"
    table[0].assign(y=["1", *["low"] * 59]).to_csv(path, index=False)
    result, output = train(path, "--task", "regression")
    refused(result, "the cell 'low' in column 'y', row 2 is not a number", output=output)


@pytest.mark.parametrize(
    "content",
    [
        ("a,c\n1,2\n", "lacks 'b b'"),
        ("a\n1\n", "lacks 'b b', 'c'"),
        ("a,b b,c\n1,2,x\n", "the cell 'x' in column 'c', row 1 is not a number"),
        ("a,b b,c\n1,2,inf\n", "the cell 'inf' in column 'c', row 1 is not finite"),
        ("a,b b,c\n", "has a header but no rows"),
        ("", "is empty"),
    ],
    ids=lambda content: content[1],
)
def test_bad_rows_are_refused_when_predicting(csv, tmp_path, content):
    _, model = train(csv)
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_text(content[0])
    refused(run("predict", model, rows, "--output", out), content[1], "rows.csv", output=out)


def test_a_file_that_is_not_a_model_is_refused(csv, tmp_path):
    out = tmp_path / "out.csv"
    refused(
        run("predict", csv, csv, "--output", out),
        "data.csv is not a model that pathrelu can read",
        output=out,
    )
    refused(run("predict", tmp_path / "none.npz", csv), "none.npz: No such file")
    nameless = tmp_path / "nameless.npz"
    pr.ParallelReLUNetwork(np.ones((1, 1, 3))).save(nameless)
    refused(run("predict", nameless, csv), "has no names of columns")


def test_a_regression_has_no_probabilities(csv):
    _, model = train(csv)
    refused(run("predict", model, csv, "--proba"), "is a regression and has no probabilities")
