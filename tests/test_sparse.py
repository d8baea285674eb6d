"""Sparse rows: passes over nonzeros, encoding, training and predictions without dense rows."""

import tracemalloc
import warnings

import numpy as np
import pytest
from scipy import sparse

import pathrelu as pr
from pathrelu import TableEncoder, _base, _core, _validation, alpha
from pathrelu._sparse_rows import SparseRows
from pathrelu.network import _network

N, D = 300, 30


def rows_of(rng, n=N, d=D, density=0.15):
    return rng.standard_normal((n, d)) * (rng.random((n, d)) < density)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def table(rng):
    return rows_of(rng)


@pytest.fixture
def target(table, rng):
    return np.maximum(table[:, 0], 0) - np.abs(table[:, 1]) + 0.1 * rng.standard_normal(len(table))


@pytest.fixture
def by_nonzeros(monkeypatch):
    """All sparse rows are so large that they stay sparse, and what makes them dense is gone."""
    monkeypatch.setattr(_base, "DENSE_ENTRIES", 0)
    monkeypatch.setattr(_base, "MOST_NONZERO", 1.0)
    monkeypatch.setattr(_network, "WIDE", 0)
    dense = _validation.dense

    def only_dense(rows, name):
        assert not sparse.issparse(rows)
        return dense(rows, name)

    monkeypatch.setattr(_validation, "dense", only_dense)
    monkeypatch.setattr(_network, "dense_parts", None)


# ---- Passes --------------------------------------------------------------------


@pytest.mark.parametrize("width", [[], [3]])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_passes_over_nonzeros_are_those_over_dense_rows(rng, table, target, dtype, width):
    offset = np.append(0.1 * rng.standard_normal(D), -1.0)
    matrix = sparse.csr_array(np.column_stack([table, np.zeros(N)]).astype(dtype))
    dense = np.ascontiguousarray(matrix.toarray() - offset.astype(dtype))
    found = []
    for rows in (SparseRows(matrix, offset).core, dense):
        problem = _core.Problem(rows, target[:, None], rng.random(N) * 0 + 1, "squared_error", True)
        options = _core.SolveOptions(tol=1e-4, max_iter=10, fit_intercept=True, threads=1)
        slide = _core.SlideOptions(random_trees=12, max_evaluations=3, seed=1)
        trees, _ = _core.slide(problem, 1e-4, width, options, slide, _core.Watch())
        x = _core.slide_variables(trees, width, False, True, 1.0)
        state = (x, np.zeros_like(x), np.zeros_like(x), 0)
        after = _core.descend_stochastically(
            problem, 1e-4, width, _core.StochasticOptions(batch=64), trees, state
        )
        at = _core.trees_at(after[0], trees, width, False, True, 1.0)
        found.append((_core.tree_outputs(rows, width, trees, 1), _core.tree_outputs(rows, width, at, 1)))
    for of_nonzeros, of_dense in zip(*found, strict=True):
        np.testing.assert_allclose(of_nonzeros, of_dense, atol=1e-4 * np.abs(of_dense).max())
    assert np.abs(found[0][0] - found[0][1]).max() > 1e-3  # the steps moved something


def test_what_has_no_part_in_sparse_rows_is_refused(table, target):
    matrix = sparse.csr_array(table)
    begin, columns = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    rows = SparseRows(matrix, np.zeros(D)).core
    problem = _core.Problem(rows, target[:, None], np.ones(N), "squared_error", True)
    with pytest.raises(ValueError, match="X is sparse; expected dense rows"):
        _core.search(problem, 0.1, [], _core.SolveOptions(), _core.SearchOptions(), _core.Watch())
    with pytest.raises(ValueError, match="begin must rise from 0 to"):
        _core.SparseRows(begin[::-1].copy(), columns, matrix.data, np.zeros(D))
    with pytest.raises(ValueError, match=r"columns has entries outside 0 \.\. 4"):
        _core.SparseRows(begin, columns, matrix.data, np.zeros(5))


# ---- Encoding ------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_the_encoder_makes_of_sparse_rows_what_it_makes_of_dense_ones(rng, table, weighted):
    table[:, 5] = rng.standard_normal(N) + 3  # no zeros
    table[[3, 7], 2] = table[5, 5] = np.nan
    table[:, 6] = np.nan
    weight = rng.random(N) * (rng.random(N) < 0.8) if weighted else None
    dense = TableEncoder(numeric="linear").fit(table, sample_weight=weight)
    encoder = TableEncoder().fit(sparse.csr_array(table), sample_weight=weight)
    assert encoder.to_dict()["fitted"] == dense.to_dict()["fitted"]
    for form in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        encoded = encoder.transform(form(table))
        assert sparse.issparse(encoded)
        np.testing.assert_array_equal(encoded.toarray(), dense.transform(table))
        assert encoded.nnz == np.count_nonzero(encoded.toarray())


def test_encodings_that_zeros_do_not_keep_are_refused(table):
    rows = sparse.csr_array(table)
    with pytest.raises(ValueError, match="numeric is 'ramps' and X is sparse"):
        TableEncoder(numeric="ramps").fit(rows)
    with pytest.raises(ValueError, match="zeros of column 0 are encoded as other numbers"):
        TableEncoder(numeric="ramps").fit(table).transform(rows)
    with pytest.raises(TypeError, match=r"column 0 was text .* in training"):
        TableEncoder().fit(np.array([["a"], ["b"]], object)).transform(sparse.csr_array((2, 1)))


# ---- Training ------------------------------------------------------------------

REGRESSIONS = [
    {"alpha": "auto"},
    {"encode": None},
    {"standardize": False, "bias": False, "fit_intercept": False},
    {"depth": 3, "width": 2},
    {"skip_connection": True, "loss": "huber"},
    {"monotonic_cst": [1] + [0] * (D - 1)},
]


@pytest.mark.parametrize("parameters", REGRESSIONS, ids=str)
def test_the_objective_is_that_of_the_network_on_dense_rows(by_nonzeros, table, target, parameters):
    given = {"random_state": 0, "alpha": 1e-3} | parameters
    model = pr.PathReLURegressor(**given).fit(sparse.csr_array(table), target)
    loss = given.get("loss", "squared_error")
    objective = model.network_.objective(table, target, model.alpha_, loss=loss)
    assert model.objective_ == pytest.approx(objective, rel=1e-6)
    np.testing.assert_allclose(
        model.predict(sparse.csr_array(table)), model.predict(table), rtol=1e-9, atol=1e-9
    )
    assert model.score(table, target) > 0.3
    assert model.training_scores_["r2"] == pytest.approx(model.score(table, target), rel=1e-6)
    assert 0 <= model.dual_gap_ < 0.7 * model.objective_
    # It is at most what the program over the same gates, which has an optimum not below the bound, is off by.
    if set(parameters) <= {"alpha", "encode"}:
        of_dense = pr.PathReLURegressor(**(given | {"alpha": model.alpha_, "encode": None})).fit(
            table, target
        )
        assert model.objective_ - model.dual_gap_ < 1.05 * of_dense.objective_


@pytest.mark.parametrize("classes", [2, 4])
def test_classes_without_weight_keep_their_place(by_nonzeros, table, target, classes):
    labels = np.digitize(target, np.quantile(target, np.linspace(0, 1, classes + 1)[1:-1]))
    labels = np.append(labels, 9)
    rows = sparse.csr_array(np.vstack([table, table[:1]]))
    model = pr.PathReLUClassifier(random_state=0, alpha=3e-3).fit(rows, labels, np.append(np.ones(N), 0.0))
    assert model.classes_.tolist() == [*range(classes), 9]
    probability = model.predict_proba(rows)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert (probability[:, -1] == 0).all()
    assert np.mean(model.predict(rows)[:-1] == labels[:-1]) > 1.2 / classes


def test_several_outputs_apart_or_together(by_nonzeros, table, target):
    y = np.column_stack([target, -2 * target])
    for outputs in ("shared", "separate"):
        model = pr.PathReLURegressor(outputs=outputs, alpha=1e-3, random_state=0).fit(
            sparse.csr_array(table), y
        )
        assert model.predict(table).shape == (N, 2)
        assert model.score(table, y) > 0.3
        assert np.shape(model.alpha_) == ((2,) if outputs == "separate" else ())


def test_bits_depend_on_neither_threads_nor_order_nor_form(by_nonzeros, rng, table, target):
    order = rng.permutation(N)
    same = pr.PathReLURegressor(random_state=0, alpha=1e-3, n_threads=1).fit(sparse.csr_array(table), target)
    for form, places, threads in (
        (sparse.csr_array, slice(None), 2),
        (sparse.csc_array, order, 1),
        (sparse.coo_matrix, order, 2),
    ):
        model = pr.PathReLURegressor(random_state=0, alpha=1e-3, n_threads=threads)
        model.fit(form(table[places]), target[places])
        np.testing.assert_array_equal(model.predict(table), same.predict(table))


def test_a_row_of_weight_two_is_a_row_given_twice(by_nonzeros, table, target):
    twice = np.r_[np.arange(N), np.arange(40)]
    weight = np.where(np.arange(N) < 40, 2.0, 1.0)
    a = pr.PathReLURegressor(random_state=0, alpha=1e-3).fit(sparse.csr_array(table[twice]), target[twice])
    b = pr.PathReLURegressor(random_state=0, alpha=1e-3).fit(sparse.csr_array(table), target, weight)
    np.testing.assert_array_equal(a.predict(table), b.predict(table))


def test_missing_entries_are_encoded_or_refused(by_nonzeros, table, target):
    table[4, 3] = np.nan
    rows = sparse.csr_array(table)
    model = pr.PathReLURegressor(random_state=0, alpha=1e-3).fit(rows, target)
    np.testing.assert_allclose(model.predict(rows), model.predict(table), rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match=r"missing values \(NaN\): 1, the first in row 4, column 3"):
        pr.PathReLURegressor(encode=None).fit(rows, target)
    table[4, 3] = np.inf
    with pytest.raises(ValueError, match=r"infinite values in column 3 \(first in row 4\)"):
        pr.PathReLURegressor().fit(sparse.csr_array(table), target)


def test_held_out_rows_choose_between_deviations_and_a_common_scale(by_nonzeros, table, target):
    model = pr.PathReLURegressor(random_state=0).fit(sparse.csr_array(table), target)
    assert set(model.path_["encoding"]) == {"standardized", "common scale"}
    alone = pr.PathReLURegressor(random_state=0, standardize=False).fit(sparse.csr_array(table), target)
    assert set(alone.path_["encoding"]) == {"standardized"}
    assert (alone.network_.scale == 1).all()


def test_too_few_distinct_rows_need_an_alpha(by_nonzeros, table, target):
    rows = sparse.csr_array(table[:10])
    with pytest.raises(ValueError, match="fewer than 20 distinct rows"):
        pr.PathReLURegressor().fit(rows, target[:10])
    pr.PathReLURegressor(alpha=0.1, random_state=0).fit(rows, target[:10])


def test_a_stop_leaves_a_network(by_nonzeros, table, target):
    def stop(record):
        raise StopIteration

    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        model = pr.PathReLURegressor(random_state=0, callback=stop).fit(sparse.csr_array(table), target)
    assert np.isfinite(model.predict(table)).all()


def test_large_sparse_rows_are_never_dense(rng, monkeypatch):
    monkeypatch.setattr(alpha, "SPARSE_WEIGHTS", 1)
    monkeypatch.setattr(alpha, "FEWEST_SPARSE_TREES", 4)
    n, d = 1500, 20_000  # 240 MB as dense rows
    places = rng.integers(n, size=15_000), rng.integers(d, size=15_000)
    rows = sparse.csr_array((rng.random(15_000), places), shape=(n, d))
    y = rows[:, :50].sum(axis=1) + 0.1 * rng.standard_normal(n)
    tracemalloc.start()
    try:
        model = pr.PathReLURegressor(random_state=0, alpha=0.5).fit(rows, y)
        predicted = model.predict(rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30e6
    assert np.isfinite(predicted).all()


# ---- Predictions of any network ------------------------------------------------


@pytest.mark.parametrize(
    "parameters", [{"activation": "gated"}, {"encode": "ramps", "tol": 0.1}, {"depth": 3, "width": 2}]
)
def test_sparse_rows_of_few_columns_are_predicted_as_dense_ones(table, target, parameters):
    model = pr.PathReLURegressor(random_state=0, alpha=0.1, **parameters).fit(table, target)
    np.testing.assert_array_equal(model.predict(sparse.csr_array(table)), model.predict(table))
    np.testing.assert_array_equal(model.network_.predict(sparse.csc_array(table)), model.predict(table))


def test_nonzeros_give_the_outputs_of_dense_rows(by_nonzeros, table, target):
    for parameters in ({"skip_connection": True}, {"depth": 3, "width": 2}, {"encode": None, "bias": False}):
        model = pr.PathReLURegressor(random_state=0, alpha=0.1, **parameters).fit(table, target)
        for dtype in (np.float32, np.float64):
            found = model.network_.predict(sparse.csr_array(table.astype(dtype)))
            assert found.dtype == dtype
            np.testing.assert_allclose(found, model.predict(table), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="X has 7 columns; expected 30"):
        model.network_.predict(sparse.csr_array((2, 7)))
