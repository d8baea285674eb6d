"""Encoding of raw tables: against NumPy's quantiles, weights against repeated rows, refusals by column."""

import copy
import datetime
import json
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import pathrelu as pr
from pathrelu import TableEncoder
from pathrelu.network import _predict


@parametrize_with_checks([TableEncoder(), TableEncoder(numeric="ramps", n_ramps=3, min_frequency=0.1)])
def test_scikit_learn_checks_the_encoder(estimator, check):
    check(estimator)


def table(n=40, seed=0):
    """Rows of every kind, with gaps."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": rng.standard_normal(n).round(1),
            "count": rng.integers(0, 4, n),
            "text": rng.choice(["red", "green", "blue", "rare"], n, p=[0.5, 0.3, 0.18, 0.02]),
            "category": pd.Categorical(rng.choice([1, 2, 30], n)),
            "flag": rng.random(n) < 0.3,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "wait": pd.to_timedelta(rng.integers(0, 90, n), unit="h"),
        }
    )
    for name in ("size", "text", "day"):
        frame.loc[rng.random(n) < 0.2, name] = None
    return frame


def state(encoder):
    return json.dumps(encoder.to_dict()["fitted"]["columns"])


@pytest.mark.parametrize("numeric", ["linear", "ramps"])
@given(seed=st.integers(0, 10**6), weights=st.lists(st.integers(0, 4), min_size=40, max_size=40))
@settings(max_examples=40, deadline=None)
def test_a_weight_is_a_number_of_repetitions_and_order_and_scale_do_not_matter(numeric, seed, weights):
    frame, y = table(seed=seed), np.random.default_rng(seed).integers(0, 2, 40)
    weight = np.array(weights)
    weight[0] = max(weight[0], 1)
    encoder = TableEncoder(numeric=numeric, n_ramps=4)
    weighted = state(encoder.fit(frame, y, weight))
    again = np.repeat(np.arange(40), weight)
    assert state(encoder.fit(frame.iloc[again], y[again])) == weighted
    shuffled = np.random.default_rng(seed).permutation(40)
    assert state(encoder.fit(frame.iloc[shuffled], y[shuffled], weight[shuffled] / 3)) == weighted


def leveled_weights(weights, parts):
    """min(w, s) times a number that makes them whole, with s > 0 such that they sum to parts * s."""
    for heavy in range(parts):  # so many weights are s
        rest = sorted(weights)[: len(weights) - heavy]
        if rest[-1] * (parts - heavy) <= sum(rest):
            return [min(w * (parts - heavy), sum(rest)) for w in weights]
    raise AssertionError


@given(
    seed=st.integers(0, 10**6),
    n_ramps=st.sampled_from([1, 2, 4, 8, 16]),
    spread=st.sampled_from([1.0, 2.0**-700, 2.0**700]),
)
@settings(max_examples=60, deadline=None)
def test_ramps_are_between_weighted_quantiles(seed, n_ramps, spread):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, 200).round(rng.integers(1, 4))
    x[: rng.integers(0, 150)] = x[0]  # a heavy value
    weight = rng.integers(0, 5, 200).astype(float)
    seen = np.unique(x[weight > 0])
    knots = seen
    if len(seen) > n_ramps + 1:
        leveled = leveled_weights([int(weight[x == value].sum()) for value in seen], n_ramps)
        levels = np.linspace(0, 1, n_ramps + 1)
        knots = np.unique(np.quantile(seen, levels, method="inverted_cdf", weights=leveled))
    x, knots = spread * x, spread * knots  # powers of two, which NumPy's quantiles would overflow with
    rows = spread * np.append(rng.uniform(-1.5, 1.5, 50), x / spread)
    expected = np.clip((rows[:, None] - knots[:-1]) / np.diff(knots), 0, 1)
    encoder = TableEncoder(numeric="ramps", n_ramps=n_ramps).fit(x[:, None], sample_weight=weight)
    np.testing.assert_allclose(encoder.transform(rows[:, None]), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("n_ramps", [5, 10, 20])
def test_rounding_of_weights_does_not_move_knots(n_ramps):
    for seed in range(10):
        times = np.random.default_rng(seed).integers(1, 8, 60)
        times[-1] += -times.sum() % 20  # so that levels of quantiles are sums of weights
        x, encoder = np.arange(60.0)[:, None], TableEncoder(numeric="ramps", n_ramps=n_ramps)
        repeated = state(encoder.fit(np.repeat(x, times, axis=0)))
        assert state(encoder.fit(x, sample_weight=0.1 * times)) == repeated


def test_missing_numbers_become_the_weighted_median_and_are_told():
    X = np.array([[1.0], [2.0], [np.nan], [10.0]])
    encoder = TableEncoder(numeric="linear").fit(X, sample_weight=[1, 1, 5, 3])
    assert encoder.transform([[np.nan], [4.0]]).tolist() == [[10.0, 1.0], [4.0, 0.0]]
    assert encoder.get_feature_names_out().tolist() == ["x0", "x0_missing"]
    without = TableEncoder(numeric="linear", missing_indicator=False).fit(X)
    assert without.transform([[np.nan]]).tolist() == [[2.0]]
    later = TableEncoder(numeric="linear").fit(X[[0, 1, 3]])  # gaps at transform alone
    assert later.transform([[np.nan]]).tolist() == [[2.0]]


def test_levels_that_were_not_seen_and_gaps():
    frame = pd.DataFrame({"a": ["x", "y", "x", "y", None, None, "z"], "b": range(7)})
    encoder = TableEncoder(numeric="linear", min_frequency=0.2).fit(frame)
    names = encoder.get_feature_names_out().tolist()
    assert names == ["a_x", "a_y", "a_infrequent", "a_missing", "b"]
    rows = pd.DataFrame({"a": ["z", "new", None, " ? ", "y"], "b": [0] * 5})
    assert encoder.transform(rows)[:, :4].tolist() == [
        [0, 0, 1, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 1],
        [0, 1, 0, 0],
    ]
    known = TableEncoder(numeric="linear").fit(frame.iloc[:4])
    assert known.transform(rows)[:, :2].tolist() == [[0, 0], [0, 0], [0, 0], [0, 0], [0, 1]]


def test_the_levels_of_most_weight_are_kept():
    frame = pd.DataFrame({"a": list("aaaabbbccdd"), "b": range(11)})
    encoder = TableEncoder(numeric="linear", max_categories=3).fit(frame)
    assert encoder.columns_[0].levels == ("a", "b")
    assert encoder.columns_[0].infrequent
    heavy = TableEncoder(max_categories=3).fit(frame, sample_weight=[1] * 9 + [5, 5])
    assert heavy.columns_[0].levels == ("a", "d")


def test_names_of_rows_carry_nothing_and_labels_of_many_rows_do():
    n = 1000
    frame = pd.DataFrame({"id": [f"u{k}" for k in range(n)], "x": np.arange(n) % 7})
    assert TableEncoder(numeric="linear").fit_transform(frame)[:, 0].tolist() == [0.0] * n
    # Rows of one column of text are all equal, and tell labels apart all the same.
    states = pd.DataFrame({"state": [f"s{k % 50}" for k in range(n)]})
    assert TableEncoder().fit_transform(states, np.arange(n) % 3).shape == (n, 32)
    assert TableEncoder().fit_transform(pd.DataFrame({"a": list("xyz") * 9})).shape == (27, 3)


def test_many_levels_and_columns_that_are_all_missing():
    n = 100_000
    frame = pd.DataFrame({"id": [f"u{k}" for k in range(n)], "none": [None] * n, "nan": np.nan})
    assert TableEncoder().fit_transform(frame).tolist() == [[0.0] * 3] * n
    rows = pd.DataFrame({"id": ["new"], "none": [3.0], "nan": ["text"]})
    assert TableEncoder().fit(frame).transform(rows).tolist() == [[0.0] * 3]


def test_constants_rounding_and_outliers():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(1000)
    outliers = x.copy()
    outliers[:3] = 1e6, -1e6, 1e9
    columns = {
        "constant": np.full(1000, 0.1),
        "rounded": np.where(x > 0, 0.3, 0.1 + 0.2),
        "subnormal": np.where(x > 0, 5e-324, 0.0),
        "outliers": outliers,
        "huge": np.where(x > 0, 1.7e308, -1.7e308),
        "duplicate": outliers,
    }
    encoder = TableEncoder(numeric="ramps").fit(pd.DataFrame(columns))
    ramps = [column.parts[0].width if column.parts[0].knots else 0 for column in encoder.columns_]
    assert ramps == [0, 0, 0, 8, 1, 8]
    knots = encoder.columns_[3].parts[0].knots
    assert max(map(abs, knots)) < 5
    assert outliers[3:].max() == knots[-1]
    encoded = encoder.transform(pd.DataFrame(columns))
    assert np.isfinite(encoded).all()
    assert set(encoded[:, 11]) == {0.0, 1.0}


@pytest.mark.parametrize("numeric", ["linear", "ramps"])
def test_frames_of_polars_and_objects_are_encoded_alike(numeric):
    frame = table(200)
    frame["category"] = frame["category"].astype(str)  # polars has categories of text alone
    encoder = TableEncoder(numeric=numeric).fit(frame)
    expected = encoder.transform(frame)
    polars = pl.from_pandas(frame)
    nullable = frame.convert_dtypes()
    objects = frame.astype(object)
    for other in (polars, nullable, objects):
        assert state(TableEncoder(numeric=numeric).fit(other)) == state(encoder)
        np.testing.assert_array_equal(encoder.transform(other), expected)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(encoder.transform(objects.to_numpy()), expected)


def test_columns_of_arrow_and_whole_numbers_as_categories():
    arrow = pytest.importorskip("pyarrow")
    frame = table(200).drop(columns="category")
    of_arrow = frame.convert_dtypes(dtype_backend="pyarrow")
    assert state(TableEncoder().fit(of_arrow)) == state(TableEncoder().fit(frame))
    dictionary = pd.ArrowDtype(arrow.dictionary(arrow.int32(), arrow.string()))
    text = frame.assign(text=frame["text"].astype(dictionary))
    assert state(TableEncoder().fit(text)) == state(TableEncoder().fit(frame))
    for categories in ([1, 20], [1.0, 20.0], ["1", "20"]):  # whole numbers become floats where one is missing
        codes = pd.DataFrame({"code": pd.Categorical(categories * 5)})
        assert TableEncoder().fit(codes).columns_[0].levels == ("1", "20")


def test_times_are_days_and_what_repeats_in_them():
    stamps = pd.Series(pd.date_range("2021-01-04", periods=24 * 21, freq="h"))
    encoder = TableEncoder(numeric="linear").fit(stamps.to_frame("t"))
    assert encoder.get_feature_names_out().tolist() == ["t", "t_day_of_week", "t_time_of_day"]
    day, week, hour = encoder.transform(pd.DataFrame({"t": [pd.Timestamp("1969-12-31 18:00")]}))[0]
    assert (day, hour) == (-0.25, 0.75)
    assert week == pytest.approx(2.75)  # a Wednesday
    aware = stamps.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo").to_frame("t")
    np.testing.assert_array_equal(encoder.transform(aware), encoder.transform(stamps.to_frame("t")))
    years = pd.DataFrame({"t": pd.date_range("2000-01-01", periods=4000, freq="D")})
    names = TableEncoder(numeric="linear").fit(years).get_feature_names_out().tolist()
    assert names == ["t", "t_day_of_year", "t_day_of_week"]
    dates = [[datetime.date(2020, 1, 1)], [datetime.date(2020, 1, 2)]]
    assert np.diff(TableEncoder().fit_transform(dates), axis=0).tolist() == [[1.0]]
    assert TableEncoder().fit_transform(np.array(dates, "datetime64[D]")).shape == (2, 1)


def test_objects_that_are_numbers():
    X = np.array([[Decimal("1.5"), "?"], [2, 3.0], [np.float32(3), True], [None, pd.NA]], dtype=object)
    encoded = TableEncoder(numeric="linear").fit_transform(X)
    assert encoded.tolist() == [[1.5, 0, 1, 1], [2, 0, 3, 0], [3, 0, 1, 0], [2, 1, 1, 1]]


REFUSED = {
    "mixed": (["a", 1.5, None], TypeError, r"column 'x' of X mixes text or categories and numbers.*row 1"),
    "mixed late": ([1.5, None, "NA", "b"], TypeError, r"'x' of X mixes numbers and text.*'b' in row 3"),
    "nested": ([[1], [2]], TypeError, r"column 'x' of X holds list, first in row 0"),
    "strange": ([1.0, object()], TypeError, r"column 'x' of X holds object, first in row 1"),
    "complex": (np.array([1j, 2]), TypeError, r"column 'x' of X holds complex128"),
    "period": (pd.period_range("2020", periods=2, freq="Y"), TypeError, r"column 'x' of X holds period"),
    "bytes": ([b"a", b"b"], TypeError, r"column 'x' of X holds bytes"),
    "infinite": ([1.0, -np.inf, 2.0], ValueError, r"infinite values in column 'x' \(1 of 3.*row 1\)"),
    "too large": ([10**400, 1.0], ValueError, r"infinite values in column 'x' \(1 of 2 rows, first in row 0"),
    "infinite object": ([1.0, np.inf, None], ValueError, r"infinite values in column 'x'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_columns_of_other_things_are_refused_by_name(case):
    values, error, message = REFUSED[case]
    series = pd.Series(values, dtype=object if case.endswith("object") else None)
    frame = pd.DataFrame({"ok": np.arange(len(values)), "x": series})
    with pytest.raises(error, match=message):
        TableEncoder().fit(frame)


def test_nested_columns_of_polars_and_queries_are_refused():
    with pytest.raises(TypeError, match=r"column 'x' of X holds List\(Int64\)"):
        TableEncoder().fit(pl.DataFrame({"x": [[1], [2]]}))
    with pytest.raises(TypeError, match="collect"):
        TableEncoder().fit(pl.DataFrame({"x": [1, 2]}).lazy())
    with pytest.raises(ValueError, match="Complex data not supported"):
        TableEncoder().fit(np.ones((2, 2), complex))


def test_columns_that_are_missing_or_of_another_kind_are_refused_by_name():
    frame = table()
    encoder = TableEncoder().fit(frame)
    with pytest.raises(ValueError, match="flag"):
        encoder.transform(frame.drop(columns="flag"))
    for name, other in (("size", "a"), ("text", 3.5), ("day", 1.0), ("wait", pd.Timestamp("2020"))):
        with pytest.raises(TypeError, match=f"column '{name}' of X holds .*; expected .*, as in training"):
            encoder.transform(frame.assign(**{name: other}))
    encoder.transform(frame.assign(size=None, text=None, day=None))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"numeric": "cubic"}, ValueError, "numeric is 'cubic'"),
        ({"n_ramps": 0}, ValueError, "n_ramps is 0"),
        ({"max_categories": 1}, ValueError, "max_categories is 1"),
        ({"min_frequency": 1.5}, ValueError, "min_frequency is 1.5"),
        ({"missing_values": "NA"}, TypeError, "missing_values has type str"),
        ({"missing_indicator": 1}, TypeError, "missing_indicator is 1"),
    ],
)
def test_parameters_are_checked(parameters, error, message):
    with pytest.raises(error, match=message):
        TableEncoder(**parameters).fit([[1.0], [2.0]])


def test_auto_is_ramps_from_some_hundred_distinct_rows_on():
    x = np.arange(500.0)[:, None]
    assert TableEncoder().fit(x).numeric_ == "ramps"
    assert TableEncoder().fit(np.repeat(x[:499], 3, axis=0)).numeric_ == "linear"


def test_numbers_without_gaps_are_not_copied_and_keep_their_type():
    for dtype in (np.float32, np.float64):
        X = np.random.default_rng(0).standard_normal((9, 3)).astype(dtype)
        assert np.shares_memory(TableEncoder(numeric="linear").fit(X).transform(X), X)
        assert TableEncoder(numeric="ramps").fit(X).transform(X).dtype == dtype
        frame = pd.DataFrame(X)
        assert TableEncoder(numeric="linear").fit(frame).transform(frame).dtype == dtype


def test_output_as_a_frame_pickles_clones_and_dictionaries():
    frame = table()
    encoder = TableEncoder(numeric="ramps", missing_values=["-"]).fit(frame)
    expected = encoder.transform(frame)
    for copied in (
        pickle.loads(pickle.dumps(encoder)),
        clone(encoder).fit(frame),
        TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict()))),
    ):
        np.testing.assert_array_equal(copied.transform(frame), expected)
        assert copied.get_feature_names_out().tolist() == encoder.get_feature_names_out().tolist()
    out = encoder.set_output(transform="pandas").transform(frame)
    assert out.columns.tolist() == encoder.get_feature_names_out().tolist()
    names = list(frame)
    of = [names[k] for k in encoder.origin_]
    assert all(out.columns[k].startswith(name) for k, name in enumerate(of))
    assert list(dict.fromkeys(of)) == names


def test_names_of_encoded_columns_differ():
    frame = pl.DataFrame({"a": [1.0, None], "a_missing": [1.0, 2.0], "b": ["x", "x"], "b_x": [1, 2]})
    encoder = TableEncoder().fit(frame)
    assert encoder.get_feature_names_out().tolist() == ["a", "a_missing", "a_missing_", "b_x", "b_x_"]
    assert encoder.set_output(transform="polars").transform(frame).shape == (2, 5)


def test_rows_that_were_read_once_are_encoded_in_parts():
    frame, half = table(60), np.arange(30)
    raw = TableEncoder().read(frame)
    encoder = TableEncoder(numeric="ramps").fit_raw(raw.take(half))
    alone = TableEncoder(numeric="ramps").fit(frame.iloc[:30])
    assert state(encoder) == state(alone)
    np.testing.assert_array_equal(encoder.encode(raw.take(half + 30)), alone.transform(frame.iloc[30:]))
    assert pr.TableEncoder is TableEncoder


def test_rows_are_encoded_some_at_a_time_when_they_are_predicted(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 2)).astype(np.float32)
    model = pr.PathReLURegressor(encode="ramps", alpha=0.01, random_state=0).fit(X, np.abs(X[:, 0]))
    network = copy.deepcopy(model.network_)
    network.output_weights[:] *= 1e39
    outputs, errors = [], []
    for rows in (500, 64):
        monkeypatch.setattr(_predict, "ENCODED_ROWS", rows)
        outputs.append(model.predict(X))
        with pytest.raises(ValueError, match="are too large for it") as found:
            network.predict(X)
        errors.append(str(found.value))
    np.testing.assert_array_equal(*outputs)
    assert errors[0] == errors[1]
