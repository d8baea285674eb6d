"""Networks as text: programs in SQL, Python and C are run, and formulas are evaluated, against predict."""

import ctypes
import datetime
import itertools
import re
import shutil
import sqlite3
import subprocess
import types

import numpy as np
import pandas as pd
import pytest
from models import NETWORKS, rows
from sklearn.exceptions import NotFittedError
from test_encoding import table
from test_network import random_network

import pathrelu as pr
from pathrelu.export import to_text
from pathrelu.inspection import subnetwork_formulas, subnetwork_outputs

COMPILER = shutil.which("gcc") or shutil.which("cc")
NASTY = [
    "a'b",
    'say "hi"',
    "new\nline",
    "select",
    "*/ int x; /*",
    "x -- y",
    "ü\\n??/",
    "`tick`",
    "",
    "; DROP TABLE t",
]
MARKS = ("", "?", "NA")


# ---- Running each language -----------------------------------------------------


def is_time(column):
    return pd.api.types.is_datetime64_any_dtype(column.dtype)


def numbers_of(frame):
    """A table as SQL and C take it: times and durations are days, what is missing is None."""
    columns = {}
    for name in frame.columns:
        column = frame[name]
        if is_time(column):
            column = (column - pd.Timestamp(0)) / pd.Timedelta(days=1)
        elif pd.api.types.is_timedelta64_dtype(column.dtype):
            column = column / pd.Timedelta(days=1)
        values = [None if pd.isna(value) else value for value in column.tolist()]
        columns[name] = [str(v) if isinstance(column.dtype, pd.CategoricalDtype) else v for v in values]
    return columns


def by_sql(model, frame, table="data", keep=("key",), **options):
    """Columns of the result, by name."""
    columns = numbers_of(frame)
    name, *names = ['"' + name.replace('"', '""') + '"' for name in (table, "key", *columns)]
    with sqlite3.connect(":memory:") as database:
        for function, of in (("exp", np.exp), ("floor", np.floor)):
            try:
                database.execute(f"SELECT {function}(1.0)")
            except sqlite3.OperationalError:  # a SQLite without the functions of the standard
                database.create_function(function, 1, lambda x, of=of: None if x is None else float(of(x)))
        database.execute(f"CREATE TABLE {name} ({', '.join(names)})")
        places = ", ".join("?" * len(names))
        records = [(key, *row) for key, row in enumerate(zip(*columns.values(), strict=True))]
        database.executemany(f"INSERT INTO {name} VALUES ({places})", records)
        found = database.execute(model.to_text("sql", table=table, keep=keep, **options))
        heads = [head for head, *_ in found.description]
        result = sorted(found.fetchall())
        assert database.execute(f"SELECT count(*) FROM {name}").fetchone() == (len(records),)
    assert [row[0] for row in result] == list(range(len(records)))
    assert len(set(heads)) == len(heads)
    return dict(zip(heads, zip(*result, strict=True), strict=True))


def module_of(model, **options):
    module = types.ModuleType("generated")
    exec(compile(model.to_text("python", **options), "generated", "exec"), vars(module))
    return module


def records(frame):
    """Rows as mappings, with what is missing as None or not a number by turns."""
    gap = itertools.cycle([None, float("nan")])
    return [
        {
            name: value.to_pydatetime()
            if isinstance(value, pd.Timestamp)
            else next(gap)
            if pd.isna(value)
            else value
            for name, value in row.items()
        }
        for row in frame.to_dict("records")
    ]


class Compiled:
    """A library of the code in C, for rows of a data frame or of numbers."""

    def __init__(self, model, folder, n_outputs, **options):
        if COMPILER is None:
            pytest.skip("no C compiler")
        source, library = folder / "model.c", folder / f"model{next(Compiled.count)}.so"
        source.write_text(model.to_text("c", **options), encoding="ascii")
        strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
        command = [
            COMPILER,
            *strict,
            "-ffp-contract=off",
            "-shared",
            "-fPIC",
            "-o",
            str(library),
            str(source),
            "-lm",
        ]
        subprocess.run(command, check=True, capture_output=True)
        self.library, self.n_outputs = ctypes.CDLL(str(library)), n_outputs

    count = itertools.count()

    def __call__(self, name, frame, n_outputs=None, of=ctypes.c_double):
        function = getattr(self.library, f"pathrelu_{name}")
        function.restype = of if n_outputs is None else None
        found = []
        columns = numbers_of(pd.DataFrame(frame))
        with_text = any(isinstance(v, str) for column in columns.values() for v in column)
        for row in zip(*columns.values(), strict=True):
            x = [np.nan if v is None or isinstance(v, str) else float(v) for v in row]
            arguments = [(ctypes.c_double * len(row))(*x)]
            if with_text:
                texts = [v.encode() if isinstance(v, str) else None for v in row]
                arguments.append((ctypes.c_char_p * len(row))(*texts))
            if n_outputs is None:
                found.append(function(*arguments))
            else:
                out = (ctypes.c_double * n_outputs)()
                function(*arguments, out)
                found.append(list(out))
        return np.array(found)


def days(value):
    if isinstance(value, datetime.timedelta):
        return value / datetime.timedelta(days=1)
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    return (value - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)


def by_formula(text, frame):
    """Left sides and values (n,) of a formula, whose columns without gaps these are."""
    body = text.split("\n\n")[0]
    body = re.sub(r"\n +", " ", body)  # terms on lines of their own

    def line(x, points):
        places = [days(p) if isinstance(p, str) else p for p in points]
        return np.interp(
            days(x) if isinstance(x, datetime.datetime | datetime.timedelta) else x,
            places,
            list(points.values()),
        )

    names = dict.fromkeys(frame.columns)
    for k, name in enumerate(names):
        names[name] = f"column_{k}"
        body = body.replace(
            "`" + name.replace("\n", "\\n").replace("\\n?", "\\\\n?").replace("`", "\\`") + "`", f"column_{k}"
        )
    functions = {
        "max": max,
        "line": line,
        "case": lambda x, of, others=0: of.get(str(x), others),
        "missing": lambda x: float(x is None),
        "on": lambda a: float(a > 0),
        "inf": np.inf,
        "days": days,
        "day_of_year": lambda x: days(x) % 365.2425,
        "day_of_week": lambda x: (days(x) + 3) % 7,
        "time_of_day": lambda x: days(x) % 1,
    }
    found = {}
    for values in zip(*(frame[name].tolist() for name in names), strict=True):
        values = [value.to_pydatetime() if isinstance(value, pd.Timestamp) else value for value in values]
        known = (
            functions | dict(zip(names.values(), values, strict=True)) | dict(zip(names, values, strict=True))
        )
        for statement in body.strip().split("\n"):
            name, value = (
                statement.rsplit(" = ", 1) if statement.startswith("`") else statement.split(" = ", 1)
            )
            known[name] = eval(value, {}, known)
            found.setdefault(name, []).append(known[name])
    return {name: np.array(values) for name, values in found.items() if not re.fullmatch(r"h\d+", name)}


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12 * (1 + np.abs(expected).max()))


# ---- Every network ---------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_text_of_networks_gives_their_outputs(tmp_path, network):
    network = type(network).from_dict(network.to_dict())
    network.feature_names = ["a", "b", "c", "d"]
    network.center, network.scale = np.array([1e6, -3.0, 0.0, 0.1]), np.array([10.0, 2.0, 1.0, 0.01])
    X = network.center + network.scale * rows(30)
    frame = pd.DataFrame(X, columns=network.feature_names)
    expected = network.predict(X).reshape(30, -1)
    C = network.n_outputs
    module = module_of(network)
    close(np.reshape([module.predict(row) for row in records(frame)], (30, C)), expected)
    found = by_sql(network, frame)
    close(np.stack([found[name] for name in list(found)[1:]], axis=1), expected)
    compiled = Compiled(network, tmp_path, C)
    got = compiled("predict", frame) if C == 1 else compiled("predict", frame, C)
    close(got.reshape(30, C), expected)
    found = by_formula(network.to_text(digits=17), frame)
    assert list(found) == (["prediction"] if C == 1 else [f"prediction[{c}]" for c in range(C)])
    np.testing.assert_allclose(np.stack(list(found.values()), axis=1), expected, rtol=1e-8, atol=1e-8)


def test_rows_of_networks_without_names_are_sequences(tmp_path):
    network = random_network((2,))
    X = rows(5)
    module = module_of(network)
    close([module.predict(row) for row in X], network.predict(X))
    close([module.predict(list(row)) for row in X], network.predict(X))
    close(Compiled(network, tmp_path, 1)("predict", X), network.predict(X))
    with pytest.raises(ValueError, match="no names of columns, which a query needs"):
        network.to_text("sql")


def test_networks_of_many_columns_and_subnetworks_do_not_nest_too_deep(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"c{k}" for k in range(700)]
    network = pr.ParallelReLUNetwork(rng.standard_normal((12, 1, 700)), feature_names=names)
    frame = pd.DataFrame(rng.standard_normal((3, 700)), columns=names)
    expected = network.predict(frame)
    close(by_sql(network, frame)["prediction"], expected)
    close([module_of(network).predict(row) for row in records(frame)], expected)
    wide = pr.ParallelReLUNetwork(rng.standard_normal((2000, 1, 4)), feature_names=list("abcd"))
    with pytest.raises(ValueError, match="a subquery of 2000 columns; databases take 1600"):
        wide.to_text("sql")


def test_a_network_without_subnetworks_is_its_intercept(tmp_path):
    network = pr.ParallelReLUNetwork(np.zeros((0, 1, 2)), intercept=2.5, feature_names=["a", "b"])
    frame = pd.DataFrame(np.ones((3, 2)), columns=["a", "b"])
    assert by_sql(network, frame)["prediction"] == (2.5,) * 3
    assert module_of(network).predict({}) == 2.5
    assert Compiled(network, tmp_path, 1)("predict", frame).tolist() == [2.5] * 3
    assert network.to_text() == "prediction = 2.5\n"


# ---- Estimators and tables ---------------------------------------------------------


def everything(n=200):
    frame = table(n, seed=3)
    frame["text"] = frame["text"].astype(object)
    frame.loc[3, "text"] = " ? "
    frame["constant"] = 1.0
    y = (
        frame["count"]
        + frame["size"].fillna(0)
        + 2 * (frame["text"] == "red")
        + (frame["day"].dt.day_of_week > 3)
    )
    return frame, y.to_numpy(float)


def unseen(frame):
    """Rows beyond those of training: other levels, other gaps, far away."""
    frame = frame.copy()
    frame.loc[:5, "text"] = "never"
    frame.loc[6:9, "count"] = None
    frame.loc[10:12, "size"] = [1e6, -1e6, 0.123456789]
    frame.loc[13, "day"] = pd.Timestamp("1920-02-29 13:14:15.123456")
    return frame


@pytest.mark.parametrize("encode", ["linear", "ramps"])
@pytest.mark.parametrize(
    "options", [{}, {"depth": 3, "width": 2}, {"activation": "gated", "skip_connection": True}]
)
def test_text_of_regressors_holds_the_encoder(tmp_path, encode, options):
    frame, y = everything()
    model = pr.PathReLURegressor(alpha=0.1, encode=encode, tol=1e-2, random_state=0, **options)
    model.fit(frame, y)
    new = unseen(frame)
    expected = model.predict(new)
    assert np.ptp(expected) > 1
    close([module_of(model).predict(row) for row in records(new)], expected)
    close(by_sql(model, new)["prediction"], expected)
    close(Compiled(model, tmp_path, 1)("predict", new), expected)
    whole = new.dropna().loc[lambda rows: rows["text"] != " ? "]
    found = by_formula(model.to_text(digits=17), whole)["prediction"]
    np.testing.assert_allclose(found, model.predict(whole), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    "labels", [["no", "it's"], [3, -1, 7], [2.0, -1.0], [False, True], ["a", "b\n", "c"]]
)
def test_text_of_classifiers_gives_scores_probabilities_and_labels(tmp_path, labels):
    frame, y = everything()
    frame = frame[["size", "text"]]
    place = np.digitize(y, [2.0] if len(labels) == 2 else [1.5, 3.0])
    model = pr.PathReLUClassifier(alpha=0.02, random_state=0).fit(frame, np.array(labels)[place])
    assert len(set(model.predict(frame).tolist())) == len(labels)
    score, probabilities = model.decision_function(frame), model.predict_proba(frame)
    module = module_of(model)
    got = records(frame)
    close([module.decision_function(row) for row in got], score)
    close([module.predict_proba(row) for row in got], probabilities)
    assert [module.predict(row) for row in got] == model.predict(frame).tolist()
    found = by_sql(model, frame)
    assert list(found["prediction"]) == model.predict(frame).tolist()
    names = ["decision"] if len(labels) == 2 else [f"decision_{label}" for label in model.classes_]
    close(np.stack([found[name] for name in names], axis=1), score.reshape(len(frame), -1))
    names = [f"probability_{label}" for label in model.classes_]
    close(np.stack([found[name] for name in names], axis=1), probabilities)
    compiled = Compiled(model, tmp_path, len(labels))
    got = compiled("decision_function", frame, None if len(labels) == 2 else len(labels))
    close(got, score)
    close(compiled("predict_proba", frame, len(labels)), probabilities)
    winner = compiled("predict", frame, of=ctypes.c_int)
    assert model.classes_[winner].tolist() == model.predict(frame).tolist()
    kind = {str: ctypes.c_char_p, int: ctypes.c_longlong, float: ctypes.c_double, bool: ctypes.c_int}
    in_c = (kind[type(labels[0])] * len(labels)).in_dll(compiled.library, "pathrelu_labels")
    read = [label.decode() if isinstance(label, bytes) else label for label in in_c]
    assert read == model.classes_.tolist()


def test_far_scores_have_probabilities_0_and_1(tmp_path):
    network = pr.ParallelReLUNetwork(
        [[[1.0]], [[-1.0]]], output_sign=[1, -1], classes=["a", "b"], feature_names=["x"]
    )
    frame = pd.DataFrame({"x": [-5000.0, -800.0, -30.0, 0.0, 30.0, 800.0, 5000.0]})
    expected = np.exp(-np.logaddexp(0, np.stack([frame["x"], -frame["x"]], axis=1)))
    found = by_sql(network, frame)
    got = np.stack([found["probability_a"], found["probability_b"]], axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose([module_of(network).predict_proba(row) for row in records(frame)], expected)
    np.testing.assert_allclose(Compiled(network, tmp_path, 2)("predict_proba", frame, 2), expected)
    assert found["prediction"] == ("a", "a", "a", "a", "b", "b", "b")


def test_a_class_of_probability_0_keeps_its_place(tmp_path):
    frame, y = everything()
    frame = frame[["size", "count"]]
    place = np.digitize(y, [1.5, 3.0, 4.0])
    model = pr.PathReLUClassifier(alpha=0.02, class_weight={0: 1, 1: 0, 2: 1, 3: 1}, random_state=0)
    model.fit(frame, place)
    expected = model.predict_proba(frame)
    assert (expected[:, 1] == 0).all()
    assert (model.decision_function(frame)[:, 1] == float(np.finfo(float).min)).all()
    module = module_of(model)
    close([module.predict_proba(row) for row in records(frame)], expected)
    np.testing.assert_allclose(
        [module.decision_function(row) for row in records(frame)], model.decision_function(frame), rtol=1e-10
    )
    found = by_sql(model, frame)
    close(np.stack([found[f"probability_{c}"] for c in range(4)], axis=1), expected)
    assert list(found["prediction"]) == model.predict(frame).tolist()
    close(Compiled(model, tmp_path, 4)("predict_proba", frame, 4), expected)
    assert "logit of 1 = -inf" in model.to_text()


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_text_of_means_has_the_exponential(tmp_path, loss):
    frame, y = everything()
    frame = frame[["size", "count"]]
    model = pr.PathReLURegressor(alpha=0.05, loss=loss, random_state=0).fit(frame, np.exp(y / 4))
    expected = model.predict(frame)
    close([module_of(model).predict(row) for row in records(frame)], expected)
    close(by_sql(model, frame)["prediction"], expected)
    close(Compiled(model, tmp_path, 1)("predict", frame), expected)
    ((name, value),) = by_formula(model.to_text(digits=17), frame.fillna(0)).items()
    assert name == "log of prediction"
    np.testing.assert_allclose(np.exp(value), model.predict(frame.fillna(0)), rtol=1e-8)


def test_several_targets_are_several_columns(tmp_path):
    X = rows(60)
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = pr.PathReLURegressor(alpha=0.05, random_state=0).fit(frame, np.maximum(X[:, :2], 0))
    expected = model.predict(frame)
    close([module_of(model).predict(row) for row in records(frame)], expected)
    found = by_sql(model, frame)
    close(np.stack([found["prediction_0"], found["prediction_1"]], axis=1), expected)
    close(Compiled(model, tmp_path, 2)("predict", frame, 2), expected)


def test_estimators_of_cross_validation_are_written_too():
    frame, y = everything()
    frame = frame[["size", "count"]]
    model = pr.PathReLURegressorCV(alphas=[0.05, 0.5], cv=2, random_state=0).fit(frame, y)
    expected = model.predict(frame)
    close([module_of(model).predict(row) for row in records(frame)], expected)


# ---- Names and levels that could be taken for code -----------------------------------


def nasty_model():
    """A model whose columns, levels, labels and target are all such that they must be quoted."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.standard_normal(120) for name in NASTY})
    levels = [f"{level} " for level in NASTY if level]
    frame["'; DROP TABLE data; --"] = rng.choice(levels, 120)
    y = np.array(["it's", 'so "so"\n'])[(frame["a'b"] + (frame.iloc[:, -1] == levels[0]) > 0.5).astype(int)]
    encoder = pr.TableEncoder(missing_values=("'", "--", '"', "\\"))
    model = pr.PathReLUClassifier(alpha=0.01, encode=encoder, random_state=0).fit(frame, y)
    frame.iloc[:4, -1] = ["' ", " --", '"', "\\"]  # missing
    frame.iloc[4, -1] = "another' level"
    return model, frame


def test_names_levels_and_labels_are_quoted(tmp_path):
    model, frame = nasty_model()
    expected, labels = model.predict_proba(frame), model.predict(frame).tolist()
    assert len(set(labels)) == 2
    module = module_of(model)
    close([module.predict_proba(row) for row in records(frame)], expected)
    assert [module.predict(row) for row in records(frame)] == labels
    for name in ("rows; DROP TABLE x", "select", "step_1", 'STEP_2 "', "it's"):
        found = by_sql(model, frame, name, keep=("key", "a'b"))
        close(np.stack([found[f"probability_{label}"] for label in model.classes_], axis=1), expected)
        assert list(found["prediction"]) == labels
        assert found["a'b"] == tuple(frame["a'b"])
    compiled = Compiled(model, tmp_path, 2)
    close(compiled("predict_proba", frame, 2), expected)
    head = model.to_text("c").partition("#include")[0]
    assert head.count("*/") == 1
    comments = [line for line in model.to_text("sql").splitlines() if line.startswith("--")]
    assert len(comments) == 1 + frame.shape[1]


def test_results_have_names_of_their_own():
    network = pr.ParallelReLUNetwork([[[1.0, 2.0]]], feature_names=["prediction", "b"])
    frame = pd.DataFrame({"prediction": [1.0], "b": [2.0]})
    found = by_sql(network, frame, keep=("key", "prediction"))
    assert found["prediction"] == (1.0,)
    assert found["prediction_"] == (5.0,)


def test_what_a_language_cannot_hold_is_refused():
    network = random_network(feature_names=["a", "b", "c", "a"])
    for language in ("sql", "python"):
        with pytest.raises(ValueError, match="two columns are called 'a'"):
            network.to_text(language)
    network.to_text("c")
    null = random_network(feature_names=["a", "b\0", "c", "d"])
    with pytest.raises(ValueError, match="null character, which text in SQL cannot hold"):
        null.to_text("sql")
    module_of(null)
    surrogate = random_network(outputs=3, classes=["a", "b\udc80", "c"], feature_names=list("abcd"))
    with pytest.raises(ValueError, match="no text that UTF-8 can hold, as C needs it"):
        surrogate.to_text("c")
    module_of(surrogate)
    mixed = random_network(outputs=3, classes=["a", 2, True], feature_names=list("abcd"))
    for language, name in (("sql", "SQL"), ("c", "C")):
        with pytest.raises(ValueError, match=f"{name} has labels of one type"):
            mixed.to_text(language)
    module_of(mixed)
    for options, words in (
        ({"language": "cobol"}, "language is 'cobol'; expected 'formula' or 'sql' or 'python' or 'c'"),
        ({"digits": 0}, "digits is 0"),
        ({"digits": 18}, "digits is 18"),
        ({"table": "t"}, "table is 't' and language is 'formula'; expected 'sql'"),
        ({"keep": ["k"]}, "keep is .'k'. and language is 'formula'"),
        ({"language": "sql", "keep": ["k", "k"]}, "no name twice"),
    ):
        with pytest.raises(ValueError, match=words):
            mixed.to_text(**options)
    with pytest.raises(TypeError, match="keep has type str"):
        mixed.to_text("sql", keep="key")
    with pytest.raises(NotFittedError):
        pr.PathReLURegressor().to_text()


def test_code_does_not_answer_for_rows_that_predict_refuses(tmp_path):
    network = pr.GatedReLUNetwork(
        [[[1.0, 0.0]]], gates=[[[0.0, 1.0]]], classes=["a", "b"], feature_names=["a", "b"]
    )
    frame = pd.DataFrame({"a": [1.0, None, 1.0], "b": [1.0, 1.0, None]})
    found = by_sql(network, frame)
    assert found["prediction"] == ("b", None, None)
    assert Compiled(network, tmp_path, 2)("predict", frame, of=ctypes.c_int).tolist() == [1, -1, -1]
    module = module_of(network)
    for value in (None, float("nan"), float("inf"), "1"):
        with pytest.raises(ValueError, match=re.escape(f"column 'b' is {value!r}; expected a finite number")):
            module.predict({"a": 1.0, "b": value})
    frame, y = everything()
    module = module_of(pr.PathReLURegressor(alpha=0.01, encode="ramps", random_state=0).fit(frame, y))
    row = records(frame.dropna())[0]
    for name, value in (("size", "large"), ("day", 3.0), ("wait", "2 days"), ("size", float("inf"))):
        with pytest.raises(ValueError, match=f"column '{name}' is"):
            module.predict(row | {name: value})


def test_python_takes_dates_and_zones_as_predict_does():
    frame, y = everything()
    model = pr.PathReLURegressor(alpha=0.01, random_state=0).fit(frame[["day"]], y)
    module = module_of(model)
    zone = datetime.timezone(datetime.timedelta(hours=5))
    times = [
        datetime.date(2021, 3, 4),
        datetime.datetime(2021, 3, 4, 7, 8, 9, 10),
        datetime.datetime(2021, 3, 4, tzinfo=zone),
    ]
    for time in times:
        expected = model.predict(pd.DataFrame({"day": [time]}, dtype=object))
        close(module.predict({"day": time}), expected)


# ---- Digits, and sub-networks one by one -------------------------------------------


def test_numbers_have_the_digits_that_are_asked_for():
    network = pr.ParallelReLUNetwork([[[1 / 3]]], feature_names=["a"], intercept=2 / 3)
    assert network.to_text() == "prediction = 0.6667\n    + max(0, 0.3333*a)\n"
    assert "0.33*a" in network.to_text(digits=2)
    assert "0.3333333333333333 * z0" in network.to_text("python")
    assert "0.333 * z0" in network.to_text("c", digits=3)
    assert to_text(network, "sql", digits=1).count("0.3 * z0") == 1


def test_ramps_of_a_column_are_one_line():
    X = np.linspace(0, 8, 90)[:, None]
    encoder = pr.TableEncoder(numeric="ramps", n_ramps=4).fit(X)
    knots = encoder.columns_[0].parts[0].knots
    weights = np.array([1.0, 0.0, 0.0, 2.0])
    network = pr.ParallelReLUNetwork(weights[None, None], encoder=encoder, leaf_bias=[[-0.5]])
    text = network.to_text(digits=17)
    ends = [knots[0], knots[1], knots[3], knots[4]]
    points = ", ".join(f"{x:.17g}: {value}" for x, value in zip(ends, (0, 1, 1, 3), strict=True))
    assert f"+ max(0, line(x0, {{{points}}}) - 0.5)" in text


def test_formulas_of_subnetworks_are_what_each_adds():
    X = rows(40)
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = pr.PathReLURegressor(alpha=0.02, random_state=0).fit(
        frame, np.maximum(X[:, 0], 0) - np.abs(X[:, 1])
    )
    formulas = subnetwork_formulas(model, digits=17)
    assert len(formulas) == model.n_subnetworks_ > 1
    expected = subnetwork_outputs(model, frame)
    for formula, values in zip(formulas, expected.T, strict=True):
        np.testing.assert_allclose(by_formula(f"f = {formula}", frame)["f"], values, atol=1e-9)
    several = random_network((2,), outputs=3, feature_names=list("abcd"))
    root = subnetwork_formulas(several, digits=17)[0]
    found = by_formula(f"f = {root}", frame)["f"]
    outputs = found * several.output_weights[0].sum()  # it feeds one
    np.testing.assert_allclose(outputs, subnetwork_outputs(several, X)[:, 0], atol=1e-9)
