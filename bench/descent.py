"""SGD and Adam on the training problem of parallel ReLU networks, in PyTorch: rivals of paper.py.

The same architecture (K sub-networks of one output unit each, with one leaf, or `width` leaves at depth 3),
loss, and objective as the package has: mean loss plus alpha times the path norm, over rows that end with a
column of ones where there is a bias, and with an intercept that costs nothing. Runs that differ in seed,
step size or rows are stacked in the first dimension of every tensor and trained at once.
"""

import math
import time
from dataclasses import dataclass, replace

import numpy as np

MOMENTUM = 0.9
STEP_SIZES = {"SGD": (0.01, 0.03, 0.1, 0.3, 1.0), "Adam": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)}


@dataclass(frozen=True)
class Task:
    """Rows (runs or 1, n, d), targets (runs or 1, n) and what the objective is.

    Targets are numbers, -1 and +1 for "log_loss", or classes from 0 for "softmax".
    """

    X: np.ndarray
    y: np.ndarray
    loss: str
    alpha: float
    outputs: int = 1
    intercept: bool = False


@dataclass(frozen=True)
class Setting:
    """An architecture and how it is trained; `batch` None is the gradient over all rows."""

    optimizer: str
    subnetworks: int
    steps: int
    width: int = 0  # 0 at depth 2
    penalty: str = "path norm"
    batch: int | None = None


class Runs:
    """Networks with random weights, one for each seed, and their training."""

    def __init__(self, task, setting, seeds):
        import torch

        self.torch, self.task, self.setting = torch, task, setting
        d, K, C = task.X.shape[-1], setting.subnetworks, task.outputs
        paths = max(setting.width, 1)

        def drawn(seed):
            generator = torch.Generator().manual_seed(seed)
            # He et al. 2015, and an output layer for a sum of K.
            leaves = torch.randn((K * paths, d), generator=generator) * math.sqrt(2 / d)
            edges = torch.randn((K, paths), generator=generator) * math.sqrt(2 / paths)
            outputs = torch.randn((K, C), generator=generator) / math.sqrt(K)
            return (leaves, edges, outputs, torch.zeros(C))

        every = [torch.stack(same) for same in zip(*map(drawn, seeds), strict=True)]
        used = (True, setting.width > 0, True, task.intercept)
        self.parameters = [p.requires_grad_(train) for p, train in zip(every, used, strict=True)]
        if setting.width == 0:
            self.parameters[1].fill_(1.0)
        self.seconds = 0.0

    def outputs(self, X, parameters):
        """(runs, rows, outputs) for X (runs or 1, rows, d)."""
        leaves, edges, out, intercept = parameters
        S = len(leaves)
        h = self.torch.bmm(X.expand(S, -1, -1), leaves.transpose(1, 2)).relu()
        if self.setting.width:
            K, paths = edges.shape[1:]
            h = (h.view(S, -1, K, paths) * edges[:, None]).sum(-1).relu()
        return self.torch.bmm(h, out) + intercept[:, None]

    def losses(self, f, y):
        """(runs): means over rows."""
        nn = self.torch.nn.functional
        y = y.expand(len(f), -1)
        if self.task.loss == "softmax":
            return nn.cross_entropy(f.transpose(1, 2), y, reduction="none").mean(-1)
        if self.task.loss == "log_loss":
            return nn.softplus(-y * f[..., 0]).mean(-1)
        return (f[..., 0] - y).square().mean(-1) / 2

    def penalties(self, parameters, kind, tiny=0.0):
        """(runs): the path norm, or half the sum of the squares of all weights."""
        leaves, edges, out, _ = parameters
        S, K = len(leaves), self.setting.subnetworks
        squares = leaves.square().sum(-1).view(S, K, -1)
        if kind == "weight decay":
            upper = [out.square().sum((1, 2))] + ([edges.square().sum((1, 2))] if self.setting.width else [])
            return (squares.sum((1, 2)) + sum(upper)) / 2
        # A root of zero has no gradient.
        return (
            ((edges.square() * squares).sum(-1) + tiny).sqrt() * (out.square().sum(-1) + tiny).sqrt()
        ).sum(-1)

    def train(self, step_sizes):
        """SGD with momentum, or Adam, with one step size a run, down to 0 by a cosine."""
        torch, task, setting = self.torch, self.task, self.setting
        X = torch.tensor(task.X, dtype=torch.float32)
        y = torch.tensor(task.y, dtype=torch.int64 if task.loss == "softmax" else torch.float32)
        n = X.shape[1]
        batch = min(setting.batch or n, n)
        order = torch.Generator().manual_seed(0)
        moving = [p for p in self.parameters if p.requires_grad]
        first = [torch.zeros_like(p) for p in moving]
        second = [torch.zeros_like(p) for p in moving]
        rates = [torch.tensor(step_sizes).float().view(-1, *[1] * (p.dim() - 1)) for p in moving]
        rows, begin = torch.empty(0, dtype=torch.int64), time.process_time()
        for step in range(setting.steps):
            some, targets = X, y
            if batch < n:
                if len(rows) < batch:
                    rows = torch.randperm(n, generator=order)
                some, targets, rows = X[:, rows[:batch]], y[:, rows[:batch]], rows[batch:]
            objective = self.losses(self.outputs(some, self.parameters), targets)
            objective = objective + task.alpha * self.penalties(self.parameters, setting.penalty, 1e-20)
            gradients = torch.autograd.grad(objective.sum(), moving)
            fall = cosine(step / setting.steps)
            with torch.no_grad():
                if setting.optimizer == "SGD":
                    for p, g, m, rate in zip(moving, gradients, first, rates, strict=True):
                        p.sub_(m.mul_(MOMENTUM).add_(g) * rate, alpha=fall)
                else:
                    adam_step(moving, gradients, first, second, rates, step, fall)
        self.seconds += time.process_time() - begin
        return self

    def double(self):
        return [p.detach().double() for p in self.parameters]

    def objectives(self, kind="path norm"):
        """(runs), in float64; infinite where a run has diverged."""
        torch, task = self.torch, self.task
        total = np.zeros(len(self.parameters[0]))
        weights, X = self.double(), torch.tensor(task.X, dtype=torch.float64)
        y = torch.tensor(task.y, dtype=torch.int64 if task.loss == "softmax" else torch.float64)
        with torch.no_grad():
            total = self.losses(self.outputs(X, weights), y)
            total = (total + task.alpha * self.penalties(weights, kind)).numpy()
        return np.where(np.isfinite(total), total, np.inf)

    def predict(self, X):
        """Outputs (runs, rows, outputs) for X (runs or 1, rows, d)."""
        with self.torch.no_grad():
            return self.outputs(self.torch.tensor(X, dtype=self.torch.float64), self.double()).numpy()


def cosine(share):
    """The factor of step sizes after a share of the steps, from 1 down to 0."""
    return (1 + math.cos(math.pi * share)) / 2


def adam_step(parameters, gradients, first, second, rates, step, fall):
    """A step of Adam (Kingma & Ba 2015), in place; `fall` times the step sizes `rates`."""
    correction = 1 / math.sqrt(1 - 0.999 ** (step + 1))
    for p, g, m, v, rate in zip(parameters, gradients, first, second, rates, strict=True):
        m.lerp_(g, 0.1)
        v.mul_(0.999).addcmul_(g, g, value=0.001)
        scale = -fall / (1 - 0.9 ** (step + 1))
        p.addcdiv_(m * rate, v.sqrt().mul_(correction).add_(1e-8), value=scale)


def tuned(task, settings, seeds, score=None):
    """The best of all settings with all step sizes by the mean objective: (setting, step size, seconds).

    One run of each for each seed, or for each seed and rows of its own; `score` takes the runs and returns
    what is to be least instead. A setting with which a run diverges is out.
    """
    best, seconds = (math.inf, None, None), 0.0
    for setting in settings:
        sizes = STEP_SIZES[setting.optimizer]
        of_each = replace(task, X=_repeated(task.X, len(sizes)), y=_repeated(task.y, len(sizes)))
        runs = Runs(of_each, setting, np.repeat(seeds, len(sizes)).tolist()).train(sizes * len(seeds))
        seconds += runs.seconds
        values = runs.objectives() if score is None else score(runs)
        for size, value in zip(sizes, values.reshape(len(seeds), -1).mean(axis=0), strict=True):
            if value < best[0]:
                best = (float(value), setting, size)
    return best[1], best[2], seconds


def _repeated(arrays, count):
    """Each array so many times in a row; one that all runs share, as it is."""
    return arrays if len(arrays) == 1 else np.repeat(arrays, count, axis=0)
