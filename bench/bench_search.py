"""Objective and seconds of `pathrelu.search` against the best of ten runs of Adam on the same problem.

Both minimise (NC), the mean loss plus alpha times the path norm, over ReLU networks; the objective is that
of the network that comes out, in float64. Adam (PyTorch, float32, full batch, 4,000 steps, cosine schedule)
trains 100 sub-networks of the same tree shape from ten seeds at once; step size and form of the penalty (the
path norm itself, or balanced weight decay at depth 2) are the best of one run each. Its objectives are
kept in results/search_adam.json; only one run is timed again, beside the search. Seconds are processor
seconds of one thread.

PyTorch is in an environment of its own, made once by

    python -m venv .venv-torch
    .venv-torch/bin/pip install torch==2.13.0 numpy scikit-learn
    python bench/bench_search.py --torch .venv-torch/bin/python           # search again, one Adam run timed
    python bench/bench_search.py --torch .venv-torch/bin/python --adam    # Adam's objectives again: hours

Without --torch the seconds of Adam are those kept. The table goes to results/search.md.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from descent import adam_step, cosine
from problems import NOISE, load, patterns, standardised

RESULTS = Path(__file__).resolve().parent / "results"
CACHE = RESULTS / "search_adam.json"
SUBNETWORKS = 100
STEPS = 4000
SEEDS = 10
STEP_SIZES = (3e-3, 1e-2, 3e-2, 1e-1)
SEARCH_SEED = 0
SEARCH_TOL = 1e-4  # the default of the estimators


class Spec(NamedTuple):
    data: str
    fraction: float  # of alpha_max
    width: tuple[int, ...] = ()


#        seed     n   d  teacher's units
TEACHERS = {
    "teacher 3": (201, 200, 2, 3),
    "teacher 8": (202, 400, 5, 8),
    "teacher 12": (203, 1000, 10, 12),
    "teacher 20": (204, 500, 20, 20),
    "wide teacher": (205, 5000, 10, 20),
}

SPECS = (  # from cheap to expensive
    Spec("P0", 0.1),
    Spec("P0", 0.01),
    Spec("P0", 0.001),
    Spec("teacher 3", 0.001),
    Spec("teacher 8", 0.01),
    Spec("wine", 0.01),
    Spec("wine", 0.001),
    Spec("diabetes", 0.1),
    Spec("diabetes", 0.01),
    Spec("breast cancer", 0.01),
    Spec("P0", 0.01, (4,)),
    Spec("P0", 0.01, (2, 2)),
    Spec("wine", 0.01, (2, 2)),
    Spec("breast cancer", 0.03, (3,)),
    Spec("diabetes", 0.03, (4,)),
    Spec("teacher 8", 0.001, (3,)),
    Spec("teacher 20", 0.01),
    Spec("P1", 0.01),
    Spec("P1", 0.001),
    Spec("teacher 12", 0.003, (4,)),
    Spec("digits", 0.1),
    Spec("digits", 0.01),
    Spec("wide teacher", 0.001),
    Spec("P2", 0.01),
)


class Task(NamedTuple):
    name: str
    X: np.ndarray
    y: np.ndarray
    loss: str
    alpha: float
    width: tuple[int, ...]


def make(spec):
    """Rows, targets and alpha; tables of scikit-learn get a column of ones."""
    X, y, loss = table(spec.data)
    n, d = X.shape
    # alpha_max as in problems.py: the best of some hundred gates at the zero network, whose residual is y (or
    # y / 2 for the logistic loss).
    G = np.random.default_rng(0).standard_normal((d, 500))
    residual = y / 2 if loss == "log_loss" else y
    alpha_max = np.linalg.norm((patterns(X, G) * residual[:, None]).T @ X, axis=1).max() / n
    name = f"{spec.data}, {spec.fraction:g}" + "".join(f", {m}" for m in spec.width)
    return Task(name, X, y, loss, float(f"{spec.fraction * alpha_max:.6g}"), spec.width)


def table(name):
    if name in ("P0", "P1", "P2"):
        p = load(name)
        return p.X, p.y, "squared_error"
    if name in TEACHERS:
        seed, n, d, units = TEACHERS[name]
        rng = np.random.default_rng(seed)
        X = standardised(rng.standard_normal((n, d)))
        f = np.maximum(X @ rng.standard_normal((d, units)) / np.sqrt(d), 0.0) @ rng.standard_normal(units)
        return X, (f - f.mean()) / f.std() + NOISE * rng.standard_normal(n), "squared_error"
    from sklearn import datasets

    source = {
        "wine": datasets.load_wine,
        "diabetes": datasets.load_diabetes,
        "breast cancer": datasets.load_breast_cancer,
        "digits": datasets.load_digits,
    }[name]
    X, target = source(return_X_y=True)
    X = np.column_stack([standardised(X), np.ones(len(X))])
    if name == "diabetes":
        return X, standardised(target[:, None])[:, 0], "squared_error"
    positive = {"wine": target == 0, "breast cancer": target == 1, "digits": target % 2 == 1}[name]
    return X, np.where(positive, 1.0, -1.0), "log_loss"


# ---- Adam, in PyTorch's environment -----------------------------------------------------------------------


class Adam:
    """Runs of Adam on the same task, one for each entry of `seeds`, stacked in the first dimension."""

    def __init__(self, task, seeds, penalty):
        import torch

        self.torch = torch
        self.task = task
        self.penalty = penalty
        self.Xt = torch.tensor(np.ascontiguousarray(task.X.T), dtype=torch.float32)
        self.y = torch.tensor(task.y, dtype=torch.float32)
        widths = task.width[::-1]  # from the root down
        d = task.X.shape[1]
        shapes = [(SUBNETWORKS,)] + [(SUBNETWORKS, *widths[: k + 1]) for k in range(len(widths))]
        parameters = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            # He's initialisation, the output layer that of a sum of SUBNETWORKS.
            own = [torch.randn(shapes[0], generator=generator) / math.sqrt(SUBNETWORKS)]
            own += [
                torch.randn(shape, generator=generator) * math.sqrt(2 / shape[-1]) for shape in shapes[1:]
            ]
            own.append(torch.randn((*shapes[-1], d), generator=generator) * math.sqrt(2 / d))
            parameters.append(own)
        self.parameters = [torch.stack(same).requires_grad_() for same in zip(*parameters, strict=True)]

    def outputs(self, parameters, Xt):
        """Predictions (runs, n): leaves, then one batched product for every layer above."""
        *edges, leaves = parameters
        h = (leaves.reshape(-1, leaves.shape[-1]) @ Xt).relu_()
        for edge in reversed(edges[1:]):
            m = edge.shape[-1]
            h = self.torch.bmm(edge.reshape(-1, 1, m), h.view(-1, m, h.shape[-1])).squeeze(1).relu_()
        runs = leaves.shape[0]
        return self.torch.bmm(edges[0].unsqueeze(1), h.view(runs, SUBNETWORKS, -1)).squeeze(1)

    def path_norm(self, parameters, tiny=0.0):
        """(runs, ...): of each sub-network."""
        *edges, leaves = parameters
        square = leaves.square().sum(-1)
        for edge in reversed(edges[1:]):
            square = (edge.square() * square).sum(-1)
        return edges[0].abs() * (square + tiny).sqrt()

    def losses(self, f, y):
        if self.task.loss == "squared_error":
            return (f - y).square().mean(-1) / 2
        return self.torch.nn.functional.softplus(-y * f).mean(-1)

    def train(self, step_sizes, steps=STEPS):
        """Adam (Kingma & Ba 2015) with one step size for each run."""
        torch = self.torch
        n_runs = len(step_sizes)
        first = [torch.zeros_like(p) for p in self.parameters]
        second = [torch.zeros_like(p) for p in self.parameters]
        rate = [
            torch.tensor(step_sizes, dtype=torch.float32).view(n_runs, *[1] * (p.dim() - 1))
            for p in self.parameters
        ]
        for step in range(steps):
            f = self.outputs(self.parameters, self.Xt)
            objective = self.losses(f, self.y).sum()
            if self.penalty == "path norm":
                objective = objective + self.task.alpha * self.path_norm(self.parameters, 1e-20).sum()
            else:
                squares = sum(p.square().sum() for p in self.parameters)
                objective = objective + self.task.alpha / 2 * squares
            gradients = torch.autograd.grad(objective, self.parameters)
            with torch.no_grad():
                adam_step(self.parameters, gradients, first, second, rate, step, cosine(step / STEPS))

    def objectives(self):
        """Of (NC) in float64."""
        torch = self.torch
        with torch.no_grad():
            parameters = [p.double() for p in self.parameters]
            Xt = torch.tensor(np.ascontiguousarray(self.task.X.T))
            f = self.outputs(parameters, Xt)
            norms = self.path_norm(parameters).flatten(1).sum(1)
            total = self.losses(f, torch.tensor(self.task.y)) + self.task.alpha * norms
        return total.tolist()


def tune_and_run(task):
    """Best objective of SEEDS runs with the tuned setting, and what was tried."""
    import torch

    tried = {}
    for penalty in ("path norm",) if task.width else ("path norm", "weight decay"):
        runs = Adam(task, [1000] * len(STEP_SIZES), penalty)
        runs.train(STEP_SIZES)
        for step_size, value in zip(STEP_SIZES, runs.objectives(), strict=True):
            tried[f"{penalty}, {step_size:g}"] = value
    setting = min((v, k) for k, v in tried.items() if math.isfinite(v))[1]
    penalty, step_size = setting.split(", ")
    runs = Adam(task, range(SEEDS), penalty)
    runs.train([float(step_size)] * SEEDS)
    values = sorted(runs.objectives())
    versions = {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}
    return {"alpha": task.alpha, "objectives": values, "setting": setting, "tried": tried} | versions


def time_adam(task, setting):
    """Processor seconds of one run: a tenth of its steps, twice, times ten."""
    run = Adam(task, [0], setting.split(", ")[0])
    run.train([1e-3], 20)
    seconds = []
    for _ in range(2):
        start = time.process_time()
        run.train([1e-3], STEPS // 10)
        seconds.append(10 * (time.process_time() - start))
    return min(seconds)


def work(job):
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    task = make(Spec(job["data"], job["fraction"], tuple(job["width"])))
    if "setting" in job:
        return {"seconds": time_adam(task, job["setting"])}
    result = tune_and_run(task)
    return result | {"seconds": time_adam(task, result["setting"])}


def ask_torch(python, spec, **more):
    job = {"data": spec.data, "fraction": spec.fraction, "width": spec.width, **more}
    command = [python, str(Path(__file__).resolve()), "--worker"]
    done = subprocess.run(command, input=json.dumps(job), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# ---- the search -------------------------------------------------------------------------------------------


def run_search(task, seed, repeats):
    """Least processor seconds of the repeats, and the solution."""
    import pathrelu as pr

    seconds = math.inf
    for _ in range(repeats):
        start = time.process_time()
        solution = pr.search(
            task.X,
            task.y,
            task.alpha,
            depth=2 + len(task.width),
            width=task.width or 1,
            loss=task.loss,
            random_state=seed,
            tol=SEARCH_TOL,
            n_threads=1,
        )
        seconds = min(seconds, time.process_time() - start)
    value = solution.network().objective(task.X, task.y, task.alpha, loss=task.loss)
    assert abs(value - solution.objective) <= 1e-9 * value, "the objective is not that of the network"
    return seconds, solution


HEADER = """\
# Search against Adam

`python bench/bench_search.py`: objective of (NC) and processor seconds, one thread. Problem: data, fraction
of alpha_max, and width of trees deeper than 2. Adam: best of {seeds} tuned runs of {steps:,} steps, K = {k};
seconds of one run.

| problem | n, d | Adam | search | search / Adam | Adam, s | search, s | ratio of seconds | sub-networks |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch", metavar="PYTHON", help="interpreter of an environment that has PyTorch")
    parser.add_argument("--adam", action="store_true", help="compute Adam's objectives again")
    parser.add_argument("--missing", action="store_true", help="with --adam: only those not kept yet")
    parser.add_argument("--only", metavar="TEXT", help="problems whose name contains this; writes no table")
    parser.add_argument("--seed", type=int, default=SEARCH_SEED, help="of the search")
    parser.add_argument("--repeats", type=int, default=1, help="of the search; the least seconds count")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    if options.worker:
        print(json.dumps(work(json.load(sys.stdin))))
        return
    if options.adam and not options.torch:
        parser.error("--adam needs --torch")

    kept = json.loads(CACHE.read_text()) if CACHE.exists() else {}
    lines, won = [], 0
    for spec in SPECS:
        task = make(spec)
        if options.only and options.only not in task.name:
            continue
        if options.adam:
            if not (options.missing and task.name in kept):
                kept[task.name] = ask_torch(options.torch, spec)
                CACHE.write_text(json.dumps(kept, indent=1) + "\n")
                print(task.name, kept[task.name]["objectives"][0], kept[task.name]["setting"], flush=True)
            continue
        if task.name not in kept:
            print(f"{task.name}: Adam has not been run", flush=True)
            continue
        adam = kept[task.name]
        assert abs(adam["alpha"] - task.alpha) <= 1e-5 * task.alpha, f"{task.name}: alpha has changed"
        adam_seconds = adam["seconds"]
        if options.torch:
            adam_seconds = ask_torch(options.torch, spec, setting=adam["setting"])["seconds"]
        seconds, solution = run_search(task, options.seed, options.repeats)
        best = adam["objectives"][0]
        won += solution.objective <= best and seconds < adam_seconds
        n, d = task.X.shape
        lines.append(
            f"| {task.name} | {n}, {d} | {best:.6f} | {solution.objective:.6f} "
            f"| {solution.objective / best:.5f} | {adam_seconds:.2f} | {seconds:.2f} "
            f"| {seconds / adam_seconds:.2f} | {solution.n_active} |"
        )
        print(lines[-1], flush=True)
    if not lines:
        return
    import pathrelu as pr
    from pathrelu import _core

    print(f"{won} of {len(lines)} won in both")
    if not options.only:
        versions = sorted({f"PyTorch {a['torch']}, NumPy {a['numpy']}" for a in kept.values()})
        footer = (
            f"\n{won} of {len(lines)} won in both. "
            f"pathrelu {pr.__version__}, {_core.kernel_level()} kernels; {'; '.join(versions)}.\n"
        )
        header = HEADER.format(seeds=SEEDS, steps=STEPS, k=SUBNETWORKS)
        (RESULTS / "search.md").write_text(header + "\n".join(lines) + "\n" + footer)


if __name__ == "__main__":
    main()
