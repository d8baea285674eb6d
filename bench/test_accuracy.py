"""The statistics of accuracy_report.py, and a run of accuracy.py from end to end."""

import json
import sys

import accuracy
import accuracy_methods
import accuracy_report
import numpy as np
import pytest
import tables
from scipy import stats


def test_holm_adjusts_as_written_down():
    np.testing.assert_allclose(
        accuracy_report.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02]
    )
    assert accuracy_report.holm(np.array([0.9, 0.8])).max() == 1


def test_ranks_give_one_to_the_best_and_share_ties():
    values = np.array([[0.9, 0.8, 0.9], [1.0, 3.0, 2.0]])
    np.testing.assert_array_equal(accuracy_report.ranks(values, higher=True), [[1.5, 3, 1.5], [3, 1, 2]])
    np.testing.assert_array_equal(accuracy_report.ranks(values, higher=False)[1], [1, 3, 2])


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


def test_the_same_rows_are_drawn_and_hashed_again():
    table = tables.load("digits")
    assert len(table.y) == tables.MAX_ROWS < table.all_rows == 1797
    assert np.bincount(table.y).min() >= tables.MIN_CLASS
    assert table.digest == tables.load.__wrapped__("digits").digest


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_method_has_the_same_number_of_distinct_configurations(task):
    for method in accuracy_methods.METHODS.values():
        configs = method.configs(task, 7)
        assert len(configs) == accuracy_methods.BUDGET
        assert len({json.dumps(config) for config in configs}) == accuracy_methods.BUDGET


def test_a_run_that_was_cut_off_goes_on_and_reports(tmp_path, monkeypatch):
    arguments = "--tables|iris|breast cancer|--methods|pathrelu|linear|svm|--budget|1|--folds|1|--output"
    monkeypatch.setattr(sys, "argv", ["accuracy.py", *arguments.split("|"), str(tmp_path)])
    accuracy.main()
    results = tmp_path / "accuracy.jsonl"
    lines = results.read_text().splitlines(keepends=True)
    assert len(lines) == 2 * 2 * 3
    page = (tmp_path / "accuracy.md").read_text()
    assert "| breast cancer | 1 |" in page
    assert "| iris (d) | 1 |" in page

    results.write_text("".join([*lines[:-1], lines[-1][:40]]))
    accuracy.main()
    again = [json.loads(line) for line in results.read_text().splitlines()]
    assert len(again) == len(lines)
    for old, new in zip(map(json.loads, lines), again, strict=True):
        assert (old["table"], old["method"], old["score"]) == (new["table"], new["method"], new["score"])
