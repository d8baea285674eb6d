"""What the estimators and functions take as data, and by what name they refuse the rest."""

import datetime

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import pathrelu as pr
from pathrelu import PathReLUClassifier, PathReLURegressor

pl = pytest.importorskip("polars")

RNG = np.random.default_rng(0)
N = 40
X = RNG.standard_normal((N, 3))
Y = np.abs(X[:, 0]) + X[:, 1]
PANDAS = pd.DataFrame(X, columns=["age", "fare", "size"])
POLARS = pl.DataFrame({name: PANDAS[name].to_numpy() for name in PANDAS})


def fitted(rows=X, y=Y, estimator=PathReLURegressor, sample_weight=None, encode="auto"):
    model = estimator(encode=encode, alpha=0.05, arrangements="sample", n_arrangements=20, random_state=0)
    return model.fit(rows, y, sample_weight=sample_weight)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


# ---- Rows that are taken -----------------------------------------------------


@pytest.mark.parametrize("frame", [PANDAS, POLARS], ids=["pandas", "polars"])
def test_names_of_columns_are_kept_and_checked(frame):
    model = fitted(frame)
    assert model.feature_names_in_.tolist() == model.network_.feature_names == ["age", "fare", "size"]
    np.testing.assert_array_equal(model.predict(frame), fitted(X).predict(X))
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(frame[["fare", "age", "size"]])
    with pytest.raises(ValueError, match="seen at fit time, yet now missing:\n- size"):
        model.predict(frame[["age", "fare"]])
    more = pd.DataFrame(frame.to_dict(as_series=False) if frame is POLARS else frame).assign(ticket="A 5")
    with pytest.raises(ValueError, match="unseen at fit time:\n- ticket"):  # rather than that it is text
        model.predict(more)


SAME = {
    "polars": POLARS,
    "nullable columns": PANDAS.astype("Float64"),
    "object column of numbers": PANDAS.astype({"age": object}),
    "sparse columns of pandas": PANDAS.astype(pd.SparseDtype("float64", 0.0)),
    "Fortran order": np.asfortranarray(X),
    "read-only": read_only(X),
    "list": X.tolist(),
    "object": X.astype(object),
    "big endian": X.astype(">f8"),
    "strided": np.repeat(X, 2, axis=0)[::2],
    "masked, nothing hidden": np.ma.masked_greater(X, 100),
    **{
        form: sparse.csr_array(X).asformat(form) for form in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")
    },
    "csr_matrix": sparse.csr_matrix(X),
}


@pytest.mark.parametrize("rows", SAME.values(), ids=SAME.keys())
def test_the_same_rows_in_another_form_give_the_same_model(rows):
    model, expected = fitted(rows), fitted()
    np.testing.assert_array_equal(model.network_.leaf_weights, expected.network_.leaf_weights)
    np.testing.assert_array_equal(model.predict(rows), expected.predict(X))


def test_rows_mapped_from_a_file_are_taken(tmp_path):
    mapped = np.memmap(tmp_path / "rows", np.float64, "w+", shape=X.shape)
    mapped[:] = X
    np.testing.assert_array_equal(fitted(mapped).predict(mapped), fitted().predict(X))


SINGLE = {
    "array": X.astype(np.float32),
    "pandas": PANDAS.astype(np.float32),
    "pandas nullable": PANDAS.astype("Float32"),
    "polars": POLARS.cast(pl.Float32),
    "csr": sparse.csr_array(X.astype(np.float32)),
}


@pytest.mark.parametrize("rows", SINGLE.values(), ids=SINGLE.keys())
@pytest.mark.parametrize("estimator", [PathReLURegressor, PathReLUClassifier])
def test_float32_is_kept(rows, estimator):
    model = fitted(rows, Y > 0 if estimator is PathReLUClassifier else Y, estimator)
    assert model.network_.leaf_weights.dtype == np.float32
    outputs = model.predict_proba(rows) if estimator is PathReLUClassifier else model.predict(rows)
    assert outputs.dtype == np.float32


@pytest.mark.parametrize(
    "frame",
    [
        PANDAS.assign(age=range(N), fare=X[:, 0] > 0),
        PANDAS.assign(age=pd.array(range(N), "Int64"), fare=pd.array(X[:, 0] > 0, "boolean")),
        pl.DataFrame({"age": range(N), "fare": X[:, 0] > 0, "size": X[:, 2]}),
        np.column_stack([np.arange(N), X[:, 0] > 0, X[:, 2]]).astype(object),
    ],
    ids=["pandas", "nullable", "polars", "object"],
)
def test_integers_and_booleans_are_numbers(frame):
    expected = fitted(np.column_stack([np.arange(N), X[:, 0] > 0, X[:, 2]]))
    np.testing.assert_array_equal(
        fitted(frame).predict(frame), expected.predict(np.asarray(frame, np.float64))
    )


def test_functions_read_data_frames_too():
    expected = pr.search(X, Y, 0.1, random_state=0)
    for frame in (PANDAS, POLARS, PANDAS.astype("Float64")):
        assert pr.search(frame, pd.Series(Y), 0.1, random_state=0).objective == expected.objective
        np.testing.assert_array_equal(expected.network().predict(frame), expected.network().predict(X))
    assert expected.network().predict(POLARS.cast(pl.Float32)).dtype == np.float32


# ---- Rows that are refused ---------------------------------------------------


def strict(rows):
    """A model of numbers alone."""
    return fitted(rows, encode=None)


TEXT = [
    (PANDAS.assign(fare="free"), "'fare' (str)"),
    (PANDAS.assign(fare=pd.Series(["1.5"] * N, dtype=object)), "'fare' (str)"),
    (PANDAS.assign(fare=pd.array(["a"] * N, "string")), "'fare' (string)"),
    (PANDAS.assign(fare=pd.Categorical(np.arange(N) % 2)), "'fare' (category)"),
    (PANDAS.assign(fare=pd.Timestamp("2020-01-01")), "'fare' (datetime64"),
    (PANDAS.assign(age="x", fare=datetime.timedelta(1)), "'age' (str), 'fare' (timedelta64"),
    (PANDAS.assign(fare=pd.Series([datetime.date(2020, 1, 1)] * N, dtype=object)), "'fare' (date)"),
    (PANDAS.assign(fare=1j), "'fare' (complex128)"),
    (PANDAS.assign(**{f"c{k}": "x" for k in range(7)}), "'c4' (str) and 2 more"),
    (POLARS.with_columns(fare=pl.lit("free")), "'fare' (String)"),
    (POLARS.with_columns(fare=pl.Series(["a"] * N, dtype=pl.Categorical)), "'fare' (Categorical"),
    (POLARS.with_columns(fare=pl.lit(datetime.date(2020, 1, 1))), "'fare' (Date)"),
]


@pytest.mark.parametrize(("frame", "message"), TEXT, ids=[message for _, message in TEXT])
def test_columns_that_are_not_numbers_are_refused_by_name(frame, message):
    for call in (strict, lambda rows: pr.search(rows, Y, 0.1)):
        with pytest.raises(TypeError) as caught:
            call(frame)
        assert message in str(caught.value)
        assert "categorical_columns.py" in str(caught.value)


def hidden(frame):
    return frame.where(frame["fare"] > 0)


MISSING = int((X[:, 1] <= 0).sum())
FIRST = int((X[:, 1] <= 0).argmax())
GAPS = {
    "pandas": PANDAS.assign(fare=hidden(PANDAS)["fare"]),
    "nullable": PANDAS.assign(fare=hidden(PANDAS)["fare"]).astype({"fare": "Float64"}),
    "nullable boolean": PANDAS.assign(fare=pd.array(np.where(X[:, 1] <= 0, None, True), "boolean")),
    "object": PANDAS.assign(fare=pd.Series(np.where(X[:, 1] <= 0, None, 1.0), dtype=object)),
    "polars null": POLARS.with_columns(pl.when(pl.col("fare") > 0).then(pl.col("fare"))),
    "polars NaN": POLARS.with_columns(pl.when(pl.col("fare") > 0).then(pl.col("fare")).fill_null(np.nan)),
}


@pytest.mark.parametrize("frame", GAPS.values(), ids=GAPS.keys())
def test_missing_values_are_refused_by_the_name_of_the_column(frame):
    message = f"X has missing values (NaN) in column 'fare' ({MISSING} of {N} rows, first in row {FIRST})"
    model = strict(X)
    for call in (strict, model.network_.predict, lambda rows: pr.search(rows, Y, 0.1)):
        with pytest.raises(ValueError) as caught:  # noqa: PT011  compared below
            call(frame)
        assert str(caught.value).startswith(message)


def test_missing_values_without_names_are_refused_by_number():
    rows = X.copy()
    rows[3:5, 2] = np.nan
    rows[7, 0] = np.nan
    message = r"columns 0 \(1 of 40 rows, first in row 7\), 2 \(2 of 40 rows, first in row 3\); expected"
    for same in (rows, sparse.csr_array(rows), np.ma.MaskedArray(X, np.isnan(rows)), rows.tolist()):
        with pytest.raises(ValueError, match=message):
            strict(same)
    rows = PANDAS.assign(size=np.inf)
    with pytest.raises(ValueError, match=r"X has infinite values in column 'size' \(40 of 40 rows"):
        strict(rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (X.astype(str), "X has dtype <U32; expected numbers"),
        ([["1", "2"]] * N, "X has dtype <U1; expected numbers"),
        (np.full((N, 2), np.datetime64("2020-01-01")), r"X has dtype datetime64\[D\]; expected numbers"),
    ],
)
def test_arrays_of_text_and_times_are_not_parsed(rows, message):
    with pytest.raises(TypeError, match=message):
        strict(rows)


def test_sparse_rows_larger_than_the_memory_are_refused_before_they_are_made_dense():
    rows = sparse.csr_array((N, 10**12))
    with pytest.raises(MemoryError, match=r"shape \(40, 1000000000000\).*298023.2 GiB.*TruncatedSVD"):
        fitted(rows)


def test_functions_say_how_to_convert_sparse_rows():
    rows = sparse.csr_array(X)
    with pytest.raises(TypeError, match=r"X is sparse; expected a dense array \(try X\.toarray\(\)\)"):
        pr.search(rows, Y, 0.1)
    np.testing.assert_array_equal(fitted().network_.predict(rows), fitted().network_.predict(X))


# ---- Targets and weights -----------------------------------------------------


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(Y),
        pl.Series(Y),
        Y[:, None],
        pd.DataFrame({"rent": Y}),
        pl.DataFrame({"rent": Y}),
        Y.tolist(),
    ],
    ids=["pandas", "polars", "column", "pandas frame", "polars frame", "list"],
)
def test_targets_of_any_container(y):
    np.testing.assert_array_equal(fitted(y=y).predict(X), fitted().predict(X))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_several_targets_as_a_frame(frame):
    model = fitted(y=frame({"u": Y, "v": -Y}))
    np.testing.assert_array_equal(model.predict(X), fitted(y=np.column_stack([Y, -Y])).predict(X))


LABELS = np.where(Y > 0, "yes", "no")


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.tolist(),
        pd.Series(LABELS),
        pd.Series(LABELS, dtype="category"),
        pd.Series(LABELS, dtype="string"),
        pl.Series(LABELS),
        pl.Series(LABELS, dtype=pl.Categorical),
    ],
    ids=["array", "list", "pandas", "pandas category", "pandas string", "polars", "polars category"],
)
def test_labels_of_text(labels):
    model = fitted(y=labels, estimator=PathReLUClassifier)
    assert model.classes_.tolist() == model.network_.classes == ["no", "yes"]
    assert model.predict(X).tolist() == fitted(y=LABELS, estimator=PathReLUClassifier).predict(X).tolist()


@pytest.mark.parametrize(
    "y", [pd.Series(Y).where(Y > 0), pl.Series([None, *Y[1:]]), np.where(Y > 0, Y, np.inf)]
)
def test_missing_targets_are_refused(y):
    with pytest.raises(ValueError, match=r"y (has missing values|contains infinity)"):
        fitted(y=y)


def test_targets_of_text_are_refused_in_regression():
    with pytest.raises(TypeError, match="y has dtype <U3; expected numbers"):
        fitted(y=LABELS)


@pytest.mark.parametrize("container", [pd.Series, pl.Series, list])
def test_weights_of_any_container(container):
    weights = np.arange(N) % 3
    model = fitted(sample_weight=container(weights))
    np.testing.assert_array_equal(model.predict(X), fitted(sample_weight=weights).predict(X))
    assert (model.predict(X) != fitted().predict(X)).any()
