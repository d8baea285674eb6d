"""Objective and seconds of `search(outputs="shared")` against the best of ten runs of Adam, several outputs.

    python bench/outputs.py                # all problems, to bench/results/outputs.md
    python bench/outputs.py --only wine    # some, printed only

Both minimise (NC): mean loss plus alpha times the sum of |V_k|_F |a_k|, the path norm over the paths to all
outputs. Adam (PyTorch, float32, full batch, 2,000 steps, cosine schedule) trains 100 sub-networks of the same
tree shape with balanced weight decay, alpha / 2 (|V|^2 + |a|^2), whose optimum is the same; its step size is
the best of two, of one run each. Its objective is that of its network in (NC), in float64. Processor seconds
of one thread; Adam's are those of one run. Needs PyTorch beside pathrelu.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from common import commit, machine, now
from sklearn import datasets
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import pathrelu as pr

RESULTS = Path(__file__).parent / "results" / "outputs.md"
SUBNETWORKS, STEPS, SEEDS, STEP_SIZES = 100, 2000, 10, (3e-3, 2e-2)


class Spec(NamedTuple):
    data: str
    alpha: float
    width: tuple[int, ...] = ()


#        seed     n   d  outputs
TEACHERS = {
    "teacher of 3": (301, 400, 5, 3),
    "teacher of 4": (302, 500, 8, 4),
    "teacher of 6": (303, 1000, 10, 6),
}

SPECS = (
    Spec("wine", 0.01),
    Spec("wine", 0.003),
    Spec("iris", 0.003),
    Spec("digits", 0.01),
    Spec("digits", 0.003),
    Spec("teacher of 3", 0.01),
    Spec("teacher of 4", 0.01),
    Spec("teacher of 6", 0.01),
    Spec("wine", 0.01, (3,)),
    Spec("teacher of 3", 0.02, (2,)),
    Spec("teacher of 4", 0.03, (3,)),
)


def make(spec):
    """Rows, with a column of ones, and targets: one 1 a row for classes, unit variance for teachers."""
    if spec.data in TEACHERS:
        seed, n, d, C = TEACHERS[spec.data]
        rng = np.random.default_rng(seed)
        X = StandardScaler().fit_transform(rng.standard_normal((n, d)))
        f = np.maximum(X @ rng.standard_normal((d, 8)) / np.sqrt(d), 0) @ rng.standard_normal((8, C))
        return X, (f - f.mean(axis=0)) / f.std(axis=0) + 0.1 * rng.standard_normal((n, C)), "squared_error"
    X, label = getattr(datasets, f"load_{spec.data}")(return_X_y=True)
    X = X[:, X.std(axis=0) > 0]
    X = np.c_[StandardScaler().fit_transform(X), np.ones(len(X))]
    return np.ascontiguousarray(X), np.eye(label.max() + 1)[label], "log_loss"


def searched(spec, X, Y, loss):
    begin = time.process_time()
    found = pr.search(
        X,
        Y,
        spec.alpha,
        depth=2 + len(spec.width),
        width=spec.width or 4,
        loss=loss,
        outputs="shared",
        tol=1e-4,
        random_state=0,
        n_threads=1,
    )
    seconds = time.process_time() - begin
    network = found.network()
    return network.objective(X, Y, spec.alpha, loss=loss), seconds, network.n_subnetworks


class Trees(torch.nn.Module):
    """Networks of `runs` seeds at once: leaves V (runs, K, paths, d), output weights a (runs, K, C)."""

    def __init__(self, seeds, d, C, width):
        super().__init__()
        paths = int(np.prod(width))
        generators = [np.random.default_rng(seed) for seed in seeds]
        V = [g.standard_normal((SUBNETWORKS, paths, d)) / np.sqrt(d * paths) for g in generators]
        a = [g.standard_normal((SUBNETWORKS, C)) / np.sqrt(SUBNETWORKS) for g in generators]
        self.signs, units = [], paths
        for m in width:
            sign = [g.choice([-1.0, 1.0], (SUBNETWORKS, units)) for g in generators]
            self.signs.append(torch.tensor(np.array(sign), dtype=torch.float32))
            units //= m
        self.width = width
        self.V = torch.nn.Parameter(torch.tensor(np.array(V), dtype=torch.float32))
        self.a = torch.nn.Parameter(torch.tensor(np.array(a), dtype=torch.float32))

    def forward(self, X):
        h = torch.relu(torch.einsum("nd,rkpd->rkpn", X, self.V))
        for m, sign in zip(self.width, self.signs, strict=True):
            h = torch.relu((h * sign[..., None]).unflatten(2, (-1, m)).sum(dim=3))
        return torch.einsum("rkn,rkc->rnc", h[:, :, 0], self.a)


def adam(spec, X, Y, loss, seeds, step_size):
    """Objectives (runs,) in (NC), in float64, and processor seconds."""
    begin = time.process_time()
    model = Trees(seeds, X.shape[1], Y.shape[1], spec.width)
    rows, target = torch.tensor(X, dtype=torch.float32), torch.tensor(Y, dtype=torch.float32)
    optimizer = torch.optim.Adam(model.parameters(), lr=step_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        penalty = spec.alpha / 2 * ((model.V**2).sum() + (model.a**2).sum())
        (_losses(model(rows), target, loss).sum() + penalty).backward()
        optimizer.step()
        schedule.step()
    seconds = time.process_time() - begin
    with torch.no_grad():
        model.double()
        model.signs = [sign.double() for sign in model.signs]
        norms = model.V.flatten(2).norm(dim=2) * model.a.norm(dim=2)
        losses = _losses(model(torch.tensor(X)), torch.tensor(Y), loss)
        return (losses + spec.alpha * norms.sum(dim=1)).numpy(), seconds


def _losses(f, target, loss):
    if loss == "log_loss":
        return (torch.logsumexp(f, dim=2) - (f * target).sum(dim=2)).mean(dim=1)
    return ((f - target) ** 2).sum(dim=2).mean(dim=1) / 2


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="problems whose data has this in its name")
    only = parser.parse_args().only
    torch.set_num_threads(1)
    lines = [
        "| problem | n, d, outputs | Adam | search | search / Adam | Adam, s | search, s | sub-networks |",
        "|" + " --- |" * 8,
    ]
    for spec in SPECS:
        if only not in spec.data:
            continue
        X, Y, loss = make(spec)
        with threadpool_limits(1):
            found, seconds, size = searched(spec, X, Y, loss)
            tried = {step: adam(spec, X, Y, loss, [0], step) for step in STEP_SIZES}
            step = min(tried, key=lambda s: tried[s][0][0])
            runs, _ = adam(spec, X, Y, loss, range(SEEDS), step)
        best = min(runs.min(), tried[step][0][0])
        name = ", ".join(map(str, (spec.data, spec.alpha, *spec.width)))
        shape = f"{X.shape[0]}, {X.shape[1]}, {Y.shape[1]}"
        lines.append(
            f"| {name} | {shape} | {best:.6f} | {found:.6f} | {found / best:.5f} | {tried[step][1]:.2f} | "
            f"{seconds:.2f} | {size} |"
        )
        print(lines[-1], flush=True)
    if only:
        return
    header = f"""# Shared outputs against Adam

Written by `python bench/outputs.py`: objective of (NC) and processor seconds of one thread. Problem: data,
alpha, and width of trees deeper than 2. Adam: best of {SEEDS} runs of {STEPS} steps, K = {SUBNETWORKS};
seconds of one run. {now()}, commit {commit()}, PyTorch {torch.__version__}, {machine()}."""
    RESULTS.write_text(header + "\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
