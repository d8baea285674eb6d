"""Tables as people have them: the command line takes them as they are, or with one hint that it gives."""

import io
import json
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from test_cli import refused, run, train

import pathrelu as pr
from pathrelu.cli import commands as command_line
from pathrelu.cli import dates
from pathrelu.cli.commands import commands

N = 40
FAST = ("--no-held-out", "--arrangements", "sample", "--n-arrangements", 5, "--tol", 1, "--quiet")


def kinds(model):
    encoder = pr.load(model).network_.encoder
    return dict(zip(pr.load(model).network_.feature_names, (c.kind for c in encoder.columns_), strict=True))


def rows(header, *columns):
    """A table of cells as they are written, with the header first."""
    lines = zip(*(iter(column) for column in columns), strict=True)
    return "\n".join([header, *(",".join(map(str, line)) for line in lines)]) + "\n"


RNG = np.random.default_rng(0)
X = RNG.standard_normal(N).round(3)
Y = (np.abs(X) + 0.1 * RNG.standard_normal(N)).round(3)
PAIRS = list(zip(X.tolist(), Y.tolist(), strict=True))
DAYS = pd.date_range("2012-01-25", periods=N)

# As packages ship them, shortened to what is particular: text, options, and kinds of columns.
TABLES = {
    "seattle-weather of vega_datasets": (
        rows("date,wind,y", DAYS.strftime("%Y/%m/%d"), X, Y),
        (),
        {"date": "time", "wind": "number"},
    ),
    "sf-temps of vega_datasets": (
        rows("y,date", Y, DAYS.strftime("%Y/%m/%d %H:%M:%S")),
        (),
        {"date": "time"},
    ),
    "stocks of vega_datasets": (
        rows("symbol,date,y", ["MSFT", "AMZN"] * 20, [f"{d:%b} {d.day} {d.year}" for d in DAYS], Y),
        (),
        {"symbol": "text", "date": "time"},
    ),
    "bike sharing of UCI": (
        rows("instant,dteday,y", range(N), DAYS.strftime("%d-%m-%Y"), Y),
        (),
        {"instant": "number", "dteday": "time"},
    ),
    "Auto.data of ISLP": (
        "x\tweight y\tname\n"
        + "".join(f'{x:<8}   3504.      {y}\t"chevrolet malibu {k % 2}"\n' for k, (x, y) in enumerate(PAIRS)),
        (),
        {"x": "number", "weight": "number", "name": "text"},
    ),
    "Hitters of ISLP": (
        rows("x,League,y", X, ["A", "N"] * 20, [*Y[:-1], "NA"]),
        (),
        {"x": "number", "League": "text"},
    ),
    "unemp of statsmodels": (
        "Series Id:           LNS14000000Q\n\nSeasonally Adjusted\nAge:         16 years and over\n\n\n"
        + rows("Series id,Year,y,", ["LNS"] * N, range(N), Y),
        (),
        {"Series id": "text", "Year": "number"},
    ),
    "breast_cancer of scikit-learn": (
        rows("40,2,malignant", X, X**2, Y, Y),
        ("--skip", 1, "--no-header"),
        {"1": "number", "2": "number", "3": "number"},
    ),
    "wine quality of UCI": (rows("x;y", X, Y).replace(",", ";"), (), {"x": "number"}),
    "machine data of UCI": (
        rows("adviser,32/60,1", ["ibm", "dg"] * 20, ["470v/7", "a"] * 20, Y),
        ("--no-header",),
        {"1": "text", "2": "text"},
    ),
    "crx of KEEL": (
        "@relation crx\n@attribute A1 {b, a}\n@data\n" + rows("", ["a", "b"] * 20, X, Y)[1:],
        ("--comment", "@", "--no-header"),
        {"1": "text", "2": "number"},
    ),
    "Excel in German, with a title": (
        "Mieten, 2012;;\n;;\ngröße;tag;y\n"
        + rows("", X, DAYS.strftime("%d/%m/%Y"), Y)[1:].replace(",", ";").replace(".", ",").replace("/", "."),
        (),
        {"größe": "number", "tag": "time"},
    ),
    "Excel in American English": (
        rows("day,x,y", [f"{d.month}/{d.day}/{d.year}" for d in DAYS], X, Y),
        (),
        {"day": "time", "x": "number"},
    ),
    "lines that end with separators": (rows("x,y,", X, [f"{y}," for y in Y]), (), {"x": "number"}),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_taken_as_packages_ship_them(tmp_path, name):
    text, options, expected = TABLES[name]
    path = tmp_path / "data.csv"
    path.write_text(text, encoding="cp1252" if "Excel" in name else "utf-8")
    target = "y" if "y" in re.split(r"[,;\s]", text) else str(len(expected) + 1)
    result, model = train(path, *FAST, *options, target=target)
    assert result.exit_code == 0, result.output
    assert kinds(model) == expected
    shown = run("predict", model, path, *options)
    assert len(shown.stdout.splitlines()) in (N + 1, N + 2)


def test_a_zip_archive_of_one_table_is_that_table(tmp_path):
    text = rows("x,y", X, Y)
    (tmp_path / "plain.csv").write_text(text)
    path = tmp_path / "data.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.csv", text)
    result, model = train(path, *FAST)
    assert result.exit_code == 0, result.output
    assert run("predict", model, path).stdout == run("predict", model, tmp_path / "plain.csv").stdout
    model.unlink()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.csv", text)
    result, output = train(path)
    refused(result, "is no text, but a ZIP archive of 'data.csv', 'more.csv'", output=output)
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/workbook.xml", "")
    (tmp_path / "book.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    for name in ("book.xlsx", "book.xls"):
        result, output = train(tmp_path / name)
        refused(result, "a workbook of Excel; expected it saved as CSV", output=output)


def test_what_a_table_needs_is_said(tmp_path):
    """One hint each, which is what `TABLES` have."""
    path = tmp_path / "data.csv"
    for name, hint in (
        ("breast_cancer of scikit-learn", "the header has 3 cells, and rows have more; --sep, --skip"),
        ("crx of KEEL", "is an ARFF file; --comment @ with --no-header reads it"),
        ("machine data of UCI", "has no column 'y'"),
    ):
        path.write_text(TABLES[name][0])
        result, output = train(path)
        refused(result, hint, output=output)


def test_titles_before_the_header_are_left_out_with_a_note(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("Rents\n\n" + rows("a,x,y", X, X, Y))
    result, _ = train(path, *FAST)
    assert "2 lines before the header left out; --skip says otherwise" in result.stderr
    result, _ = train(path, *FAST, "--skip", 2)
    assert result.stderr == ""
    refused(train(path, "--skip", 0)[0], "is not a CSV file")
    path.write_text("\n\n" + rows("a,x,y", X, X, Y))
    assert train(path, *FAST)[0].stderr == ""
    result, _ = train(path, "--skip", -1)
    assert result.exit_code == 2


# ---- Dates -------------------------------------------------------------------


@pytest.mark.parametrize("form", [*dates.DAYS, "%Y-%m-%dT%H:%M:%S", "%m/%d/%Y %I:%M %p", "%d.%m.%Y %H:%M"])
def test_dates_are_found_however_they_are_written(form):
    days = pd.date_range("1999-12-03 18:30", periods=40, freq="D")
    cells = np.array([*days.strftime(form), "NA"], object)
    found = dates.times(cells, lambda cell: cell == "NA")
    exact = days if "%H" in form or "%I" in form else days.normalize()
    np.testing.assert_array_equal(found[:-1], exact.to_numpy("datetime64[us]"))
    assert np.isnat(found[-1])


@pytest.mark.parametrize(
    "cells", [["x", "y"], ["2020-01-01", "x"], ["1/2/2020", "31/12/2020", "12/31/2020"], ["NA"]]
)
def test_other_text_is_none(cells):
    assert dates.times(np.array(cells, object), lambda cell: cell == "NA") is None


def test_dates_that_can_be_read_in_several_ways_are_asked_about(tmp_path):
    path = tmp_path / "data.csv"
    days = [f"{k % 12 + 1}/{k % 7 + 1}/2020" for k in range(N)]
    path.write_text(rows("day,y", days, Y))
    result, model = train(path, *FAST)
    assert kinds(model) == {"day": "text"}
    assert "--dates '%d/%m/%Y' or '%m/%d/%Y' says which" in result.stderr
    result, model = train(path, *FAST, "--dates", "%m/%d/%Y")
    assert result.stderr == ""
    assert kinds(model) == {"day": "time"}
    refused(run("predict", model, path), "can be read in several ways: --dates")
    shown = run("predict", model, path, "--dates", "%m/%d/%Y").stdout.split()[1:]
    frame = pd.DataFrame({"day": pd.to_datetime(days, format="%m/%d/%Y")})
    np.testing.assert_allclose([float(cell) for cell in shown], pr.load(model).predict(frame), rtol=1e-12)
    path.write_text(rows("day,y", ["12/31/2020", "31/12/2020"] * 20, Y))
    refused(run("predict", model, path), "column 'day' has dates that are written in several ways")
    refused(train(path, "--dates", "%d/%m")[0], "--dates: '%d/%m' does not tell a day")


# ---- Targets -----------------------------------------------------------------


def test_rows_without_a_target_are_left_out_with_a_note(tmp_path):
    path, without = tmp_path / "data.csv", tmp_path / "without.csv"
    path.write_text(rows("x,y", X, [*Y[:-3], "", "NA", "unknown"]))
    without.write_text(rows("x,y", X[:-3], Y[:-3]))
    result, model = train(path, "--no-held-out", "--na", "unknown")
    assert "3 of 40 rows have no 'y' and are left out" in result.stderr
    expected = pr.load(train(without, "--no-held-out")[1]).network_.leaf_weights
    result, model = train(path, "--no-held-out", "--na", "unknown")
    np.testing.assert_array_equal(pr.load(model).network_.leaf_weights, expected)
    shown = json.loads(run("evaluate", model, path, "--json").stdout)
    assert shown["rows"] == N - 3
    # Cells are told by the rows of the file.
    path.write_text(rows("x,y", [*X[:-1], "bad"], ["", *Y[1:]]))
    refused(train(path)[0], "the cell 'bad' in column 'x', row 40 is not a number")


def test_few_rows_of_many_integers_are_no_classes(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(rows("x,y", X[:20], range(20)))
    assert train(path, alpha=1)[0].stdout.startswith("regression")
    path.write_text(rows("x,y", X[:20], [*range(10), *range(10)]))
    assert train(path, alpha=1)[0].stdout.startswith("classification")


def test_text_that_is_all_different_is_no_target(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(rows("x,y", X, [f"name {k}" for k in range(N)]))
    result, output = train(path)
    refused(result, "column 'y' is text, 40 different ones in 40 rows; --task classification", output=output)


@pytest.mark.parametrize(("answer", "task"), [("classes", "classification"), ("", "regression")])
def test_integers_that_may_be_classes_are_asked_about_in_a_terminal(tmp_path, monkeypatch, answer, task):
    path = tmp_path / "data.csv"
    pd.DataFrame({"a": np.arange(300) / 7, "y": np.arange(300) % 30}).to_csv(path, index=False)
    monkeypatch.setattr(command_line, "interactive", lambda *inputs: True)
    arguments = ("train", path, "--target", "y", "--output", tmp_path / "m", "--alpha", 10, "--no-held-out")
    result = run(*arguments, given=f"{answer}\n")
    assert result.stdout.startswith(task)
    assert "column 'y' has 30 distinct whole numbers. Are they" in result.stderr
    assert "Are they" not in run(*arguments, "--task", "regression").stderr
    assert "Are they" not in run(*arguments, "--quiet").stderr


def test_all_columns_that_are_not_there_are_told_at_once(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(rows("x,y", X, Y))
    result, output = train(path, "--ignore", "a", "--sample-weight", "b", target="z")
    refused(result, "has no column 'z', 'a', 'b'; it has 'x', 'y'", output=output)


# ---- Names of rows, figures, help --------------------------------------------


def test_columns_that_name_rows_are_no_features_and_come_first(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(rows("x,name,y", X, [f"n{k}" for k in range(N)], Y))
    _, model = train(path, *FAST, "--id", "name")
    assert kinds(model) == {"x": "number"}
    shown = pd.read_csv(io.StringIO(run("predict", model, path, "--keep", "x", "--id", "name").stdout))
    assert list(shown.columns) == ["name", "x", "y"]
    assert shown["name"].tolist() == [f"n{k}" for k in range(N)]
    refused(run("predict", model, path, "--id", "none"), "has no column 'none'")
    result, _ = train(path, "--id", "none")
    refused(result, "has no column 'none'")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
@pytest.mark.parametrize("rows_too", [False, True])
def test_a_model_is_plotted(tmp_path, suffix, rows_too):
    path, figure = tmp_path / "data.csv", tmp_path / f"model.{suffix}"
    path.write_text(rows("x,name,y", X, ["a", "b"] * 20, Y))
    _, model = train(path, *FAST)
    result = run("inspect", model, *([path] if rows_too else []), "--plot", figure)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"wrote {figure}\n")
    begin = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert figure.read_bytes().startswith(begin)


def test_bad_figures_are_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(rows("x,y", X, Y))
    _, model = train(path, *FAST)
    before = model.read_bytes()
    refused(
        run("inspect", model, "--plot", tmp_path / "f.gif"),
        "expected a name that ends with .png, .svg or .pdf",
    )
    refused(run("inspect", model, "--plot", tmp_path / "no" / "f.png"), "is not a directory")
    svg = tmp_path / "model.svg"
    model.rename(svg)
    refused(run("inspect", svg, "--plot", svg), "would be written over")
    assert svg.read_bytes() == before
    path.write_text("x,y\nbad,1\n")
    refused(
        run("inspect", svg, path, "--plot", tmp_path / "f.png"), "is not a number", output=tmp_path / "f.png"
    )


@pytest.mark.parametrize("command", ["", *commands.commands])
def test_help_fits_a_terminal_and_is_not_cut_off(command):
    shown = CliRunner().invoke(commands, [*([command] if command else []), "--help"], env={"COLUMNS": "80"})
    lines = shown.output.splitlines()[1:]
    assert all(len(line) <= 80 and not line.endswith("...") for line in lines)
