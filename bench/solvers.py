"""The worker: one solver on one program, in an environment that may not have pathrelu.

`python solvers.py` reads a job (JSON) from standard input and writes events, one JSON object a line, to
standard output: `ready` after building matrices and warming up, `start` before each run, `point` for each
objective reached, `done`. What the libraries print goes to standard error.

A solver is made of a problem and a job, outside the clock: data in the layout it likes, its own matrix or
mask objects, and a small run to warm up. `sweeps` lists settings from loose to tight. `run(setting, report)`
solves from scratch and reports seconds and the blocks then reached: once at its end, or, where the library
calls back, after iterations, with the clock stopped meanwhile. It returns what `report` returned last, which
is whether a tighter setting may gain something. Blocks are (1, P, d) for "gated" and (2, P, d), one for each
sign, for "relu", in the order of the problem's gates.
"""

import contextlib
import importlib
import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from problems import load


def powers(first, last):
    return [10.0**-k for k in range(first, last + 1)]


def zero_columns(X):
    return ~X.any(axis=0)


class Pathrelu:
    modules = ("pathrelu",)
    sweeps = ([{"tol": tol} for tol in powers(2, 11)],)

    def __init__(self, problem, job):
        import pathrelu as pr

        self.versions = {"pathrelu": pr.__version__, "kernels": pr._core.kernel_level()}
        self.pr, self.p, self.job = pr, problem, job
        self.arrangements = pr.Arrangements.from_gates(problem.X, problem.G.T)
        self.shape = (1 if job["activation"] == "gated" else 2, *problem.G.T.shape)
        self.solve(0.5 * problem.lam_max, 1e-1)

    def solve(self, alpha, tol):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a gap that was not met shows in the objective
            return self.pr.solve(
                *(self.p.X, self.p.y, self.arrangements, alpha),
                activation=self.job["activation"],
                tol=tol,
                n_threads=self.job["threads"],
            )

    def run(self, setting, report):
        start = time.perf_counter()
        solution = self.solve(self.job["lam"], setting["tol"])
        seconds = time.perf_counter() - start
        blocks = np.zeros(self.shape)
        blocks[:, self.arrangements.source_index] = np.moveaxis(solution.blocks[:, :, 0], 1, 0)
        more = report(seconds, blocks)
        value = objective(self.p, blocks, self.job["lam"])
        assert abs(value - solution.objective) <= 1e-11 * value, "the objective is not that of the blocks"
        assert solution.dual_objective <= self.job["optimum"] * (1 + 1e-12), "the bound is above the optimum"
        return more


class Adelie:
    """Block coordinate descent on implicit masked rows; cones by a linear constraint on each group.

    Swept: the tolerance (on coordinate changes), and the length of the path in lambda that leads to the one
    wanted.
    """

    modules = ("adelie",)
    sweeps = tuple([{"path": length, "tol": tol} for tol in powers(4, 15)] for length in (1, 10))

    def __init__(self, problem, job):
        import adelie as ad

        self.versions = {"adelie": ad.__version__}
        self.ad, self.p, self.job = ad, problem, job
        self.gated = job["activation"] == "gated"
        self.X = np.asfortranarray(problem.X)
        self.mask = np.asfortranarray(problem.D).view(bool)
        self.matrix = ad.matrix.convex_relu(self.X, self.mask, gated=self.gated, n_threads=job["threads"])
        self.n, self.d = problem.X.shape
        self.groups = problem.D.shape[1] * (1 if self.gated else 2)
        self.constraints = None
        if not self.gated:
            S = 2.0 * problem.D - 1.0
            self.rows = [np.asfortranarray(S[:, [g]] * problem.X) for g in range(S.shape[1])]
            self.norms = [np.sum(A**2, axis=1) for A in self.rows]
            self.constraints = self.cones()
        self.solve(1, 1e-3, 0.9 * problem.lam_max)

    def cones(self):
        zero, infinity = np.zeros(self.n), np.full(self.n, np.inf)
        return [
            self.ad.constraint.linear(A, zero, infinity, vars=norms)
            for _ in range(2)
            for A, norms in zip(self.rows, self.norms, strict=True)
        ]

    def solve(self, length, tol, lam):
        path = np.geomspace(self.p.lam_max, lam, length) if length > 1 else np.array([lam])
        return self.ad.grpnet(
            X=self.matrix,
            glm=self.ad.glm.gaussian(y=self.p.y),
            constraints=self.constraints,
            groups=np.arange(0, self.groups * self.d, self.d),
            penalty=np.ones(self.groups),
            lmda_path=path,
            tol=tol,
            max_iters=10**8,
            intercept=False,
            early_exit=False,
            n_threads=self.job["threads"],
            progress_bar=False,
        )

    def run(self, setting, report):
        if self.constraints is not None:
            self.constraints = self.cones()  # they keep their multipliers
        start = time.perf_counter()
        state = self.solve(setting["path"], setting["tol"], self.job["lam"])
        seconds = time.perf_counter() - start
        if len(state.lmdas) != setting["path"]:
            raise RuntimeError(f"adelie solved {len(state.lmdas)} of {setting['path']} values of lambda")
        return report(seconds, state.betas[-1].toarray().reshape(-1, self.p.D.shape[1], self.d))


class Explicit:
    """A solver of group lassos on the matrix [D_1 X, ..., D_P X], without columns of zeros."""

    def __init__(self, problem, job):
        self.p, self.job = problem, job
        self.kept = ~zero_columns(problem.X)
        X = problem.X[:, self.kept]
        n, self.d = X.shape
        self.P = problem.D.shape[1]
        self.matrix = np.empty((n, self.P * self.d), order="F")
        for g in range(self.P):
            self.matrix[:, g * self.d : (g + 1) * self.d] = problem.D[:, [g]] * X

    def blocks(self, weights):
        U = np.zeros((1, self.P, len(self.kept)))
        U[0][:, self.kept] = weights.reshape(self.P, self.d)
        return U


class Celer(Explicit):
    """Working sets by a dual point; swept: the tolerance on the duality gap."""

    sweeps = ([{"tol": tol} for tol in powers(2, 13)],)

    def __init__(self, problem, job):
        import celer

        super().__init__(problem, job)
        self.versions = {"celer": celer.__version__}
        self.path = celer.celer_path
        self.solve(0.9 * problem.lam_max, 1e-2)

    def solve(self, lam, tol):
        _, weights, _ = self.path(
            self.matrix, self.p.y, "grouplasso", alphas=[lam], groups=self.d, tol=tol, max_iter=1000
        )
        return weights[:, 0]

    def run(self, setting, report):
        start = time.perf_counter()
        weights = self.solve(self.job["lam"], setting["tol"])
        return report(time.perf_counter() - start, self.blocks(weights))


class Skglm(Explicit):
    """Working sets and Anderson extrapolation; swept: the tolerance on the subgradient."""

    sweeps = ([{"tol": tol} for tol in powers(2, 12)],)

    def __init__(self, problem, job):
        import skglm
        from skglm.datafits import QuadraticGroup
        from skglm.penalties import WeightedGroupL2
        from skglm.solvers import GroupBCD
        from skglm.utils.data import grp_converter
        from skglm.utils.jit_compilation import compiled_clone

        super().__init__(problem, job)
        self.versions = {"skglm": skglm.__version__}
        indices, pointers = grp_converter(self.d, self.matrix.shape[1])
        self.datafit = compiled_clone(QuadraticGroup(pointers, indices))
        self.penalty = lambda lam: compiled_clone(WeightedGroupL2(lam, np.ones(self.P), pointers, indices))
        self.solver = GroupBCD
        self.solve(self.penalty(0.9 * problem.lam_max), 1e-2)

    def solve(self, penalty, tol):
        solver = self.solver(tol=tol, max_iter=100_000)
        return solver._solve(self.matrix, self.p.y, self.datafit, penalty)[0]

    def run(self, setting, report):
        penalty = self.penalty(self.job["lam"])
        start = time.perf_counter()
        weights = self.solve(penalty, setting["tol"])
        return report(time.perf_counter() - start, self.blocks(weights))


class Enough(Exception):
    pass


class Scnn:
    """R-FISTA ("gated") and the augmented Lagrangian ("relu"), by the library's own optimization procedure.

    Its stopping test plays no part: the objective is evaluated along the iterations, each time the clock has
    gone on by 2 %. Swept: the precision. The augmented Lagrangian starts its subproblems at its default
    tolerance, and tightens that itself.
    """

    modules = ("scnn.metrics", "scnn.private.interface", "scnn.regularizers", "scnn.solvers")

    def __init__(self, problem, job):
        from importlib.metadata import version

        import scnn.private.interface as private
        from scnn.metrics import Metrics
        from scnn.models import ConvexGatedReLU, ConvexReLU
        from scnn.regularizers import NeuronGL1
        from scnn.solvers import AL, RFISTA

        self.versions = {"scnn": version("pyscnn")}
        self.p, self.job, self.private = problem, job, private
        self.gated = job["activation"] == "gated"
        self.model = ConvexGatedReLU if self.gated else ConvexReLU
        # Tests that are never met, so that what ends a run is the budget or the accuracy.
        if self.gated:
            self.solver = lambda model, _: RFISTA(model, max_iters=10**7, tol=0.0)
            self.sweeps = [[{"dtype": dtype, "tol": 0.0}] for dtype in ("float32", "float64")]
        else:
            self.solver = lambda model, tol: AL(model, 10**7, 10**7, tol, constraint_tol=-1.0)
            self.sweeps = [
                [{"dtype": dtype, "tol": tol}] for dtype, tol in (("float32", 1e-6), ("float64", 1e-6))
            ]
        self.regularizer, self.metrics = NeuronGL1, Metrics
        codes = np.packbits(problem.D, axis=0)
        self.order = {codes[:, g].tobytes(): g for g in reversed(range(codes.shape[1]))}

    def run(self, setting, report):
        private, p, job = self.private, self.p, self.job
        logger = private.get_logger("scnn", False, False, None)
        private.set_device("cpu", setting["dtype"], 0)
        model, regularizer, metrics = self.model(p.G), self.regularizer(job["lam"]), self.metrics()
        train, _, _ = private.process_data(p.X, p.y, None, None, False, False)
        internal = private.build_internal_model(model, regularizer, p.X)
        procedure = private.build_optimizer(self.solver(model, setting["tol"]), regularizer, metrics)
        masks = np.packbits(np.asarray(internal.D).astype(np.uint8), axis=0)
        index = [self.order[masks[:, g].tobytes()] for g in range(masks.shape[1])]
        spent, resumed, due = 0.0, time.perf_counter(), 0.0

        def look(model, X, y):
            nonlocal spent, resumed, due
            now = spent + time.perf_counter() - resumed
            if now >= due:
                spent, due = now, 1.02 * now
                weights = np.asarray(model.weights, dtype=np.float64)
                blocks = np.zeros((1 if self.gated else 2, p.D.shape[1], p.X.shape[1]))
                blocks[:, index] = weights.reshape(-1, len(index), p.X.shape[1])
                if not report(spent, blocks):
                    raise Enough
                resumed = time.perf_counter()
            return model

        with contextlib.suppress(Enough):
            procedure(
                *(logger, internal, lambda model: model, train, train),
                private.build_metrics_tuple(metrics),
                callback=look,
            )
        return True  # the other precision is another sweep


class Clarabel:
    """The interior-point conic solver through CVXPY; the clock is the solver's own, without the modelling."""

    sweeps = ([{"tol": tol} for tol in (1e-4, 1e-6, 1e-8)],)

    def __init__(self, problem, job):
        import clarabel
        import cvxpy as cp

        self.versions = {"clarabel": clarabel.__version__, "cvxpy": cp.__version__}
        self.p, self.job, X = problem, job, problem.X
        self.signs = 1 if job["activation"] == "gated" else 2
        S = 2.0 * problem.D - 1.0
        self.V = [cp.Variable((problem.D.shape[1], X.shape[1])) for _ in range(self.signs)]
        f = sum(
            sign * cp.sum(cp.multiply(problem.D, X @ V.T), axis=1)
            for sign, V in zip((1, -1), self.V, strict=False)
        )
        norms = sum(cp.sum(cp.norm(V, 2, axis=1)) for V in self.V)
        cones = [cp.multiply(S, X @ V.T) >= 0 for V in self.V] if self.signs == 2 else []
        loss = cp.sum_squares(f - problem.y) / (2 * len(X))
        self.program = cp.Problem(cp.Minimize(loss + job["lam"] * norms), cones)
        self.program.get_problem_data(cp.CLARABEL)

    def run(self, setting, report):
        tol = setting["tol"]
        self.program.solve(
            "CLARABEL", tol_gap_abs=tol, tol_gap_rel=tol, tol_feas=tol, max_threads=self.job["threads"]
        )
        return report(self.program.solver_stats.solve_time, np.stack([V.value for V in self.V]))


SOLVERS = {
    "pathrelu": Pathrelu,
    "adelie": Adelie,
    "celer": Celer,
    "skglm": Skglm,
    "scnn": Scnn,
    "clarabel": Clarabel,
}


def outputs(problem, blocks):
    """X v of the blocks that are not zero (n, active), their masks, and which they are."""
    active = blocks.any(axis=1)
    return problem.X @ blocks[active].T, problem.D[:, active], active


def objective(problem, blocks, lam):
    """Value of the program by its definition, with the masks as they are given."""
    r = -problem.y
    for sign, V in zip((1, -1), blocks, strict=False):
        Z, D, _ = outputs(problem, V)
        r = r + sign * (Z * D).sum(axis=1)
    return float(r @ r / (2 * len(r)) + lam * np.linalg.norm(blocks, axis=2).sum())


def cones(problem, blocks, lam):
    """By how much rows violate their cones at most, and the objective of the ReLU network of these blocks."""
    r, violation = -problem.y, 0.0
    for sign, V in zip((1, -1), blocks, strict=True):
        Z, D, active = outputs(problem, V)
        r = r + sign * np.maximum(Z, 0).sum(axis=1)
        if active.any():
            violation = max(violation, float(np.where(D, -Z, Z).max()))
    network = float(r @ r / (2 * len(r)) + lam * np.linalg.norm(blocks, axis=2).sum())
    return violation, network


def reached(point, accuracy, allowed):
    """Whether a point is within the accuracy of the optimum, and violates no cone by more than allowed."""
    return abs(point["excess"]) <= accuracy and point.get("violation", 0.0) <= allowed


def peak_memory(process="self", name="VmHWM"):
    """Largest resident memory in bytes (VmRSS: that of now), where the system tells; None elsewhere."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), None)


def time_to_accuracy(solver, job, emit):
    """One sweep, then again the settings that were fastest, up to `repeats` runs each or five seconds.

    A sweep ends when the tightest accuracy is met, when a run takes longer than the budget or than the best
    known time to the tightest accuracy, and after one and a half budgets. float32 cannot give 1e-8, and need
    not.
    """
    problem, lam, allowed = solver.p, job["lam"], job["allowed"]
    best = {accuracy: (known or np.inf, None) for accuracy, known in job["known"]}
    tightest, tracked = min(best), ("excess", "violation") if job["activation"] == "relu" else ("excess",)

    def run(setting):
        """Seconds of one run, and whether a tighter setting may still gain something."""
        wanted = [a for a in best if a >= 1e-6 or setting.get("dtype") != "float32"]
        last = None

        def report(seconds, blocks):
            nonlocal last
            point = {"seconds": seconds, "excess": objective(problem, blocks, lam) / job["optimum"] - 1}
            if len(blocks) == 2:
                point["violation"], network = cones(problem, blocks, lam)
                point["network"] = network / job["optimum"] - 1
            met = {a for a in best if reached(point, a, allowed)}
            # A run along its iterations has thousands of points: pass on those that say something new.
            if last is None or met - last[1] or any(abs(point[k]) < 0.8 * abs(last[0][k]) for k in tracked):
                emit("point", **point)
                last = point, met
            for accuracy in met:
                if seconds < best[accuracy][0]:
                    best[accuracy] = seconds, setting
            return not met.issuperset(wanted) and seconds <= min(job["budget"], best[tightest][0])

        emit("start", setting=setting)
        begin = time.perf_counter()
        going_on = solver.run(setting, report)
        elapsed = time.perf_counter() - begin
        emit("end", seconds=elapsed)
        return elapsed, going_on

    begin = time.perf_counter()
    for setting in solver.sweeps[job["sweep"]]:
        elapsed, going_on = run(setting)
        if not going_on:
            break
        if time.perf_counter() - begin > 1.5 * job["budget"]:
            emit("stopped", seconds=elapsed)
            break
    for accuracy in sorted(best, reverse=True):
        spent, setting = best[accuracy]
        runs = 1
        while setting is not None and runs < job["repeats"] and spent < 5:
            spent += run(setting)[0]
            runs += 1


def memory(solver, job, problem, emit):
    """Memory with the library and the data there, then the peak of a run; its result is looked at last."""
    for module in solver.modules:
        importlib.import_module(module)
    Path("/proc/self/clear_refs").write_text("5")  # start the peak anew
    emit("baseline", bytes=peak_memory(name="VmRSS"))
    last, peak = None, 0

    def report(seconds, blocks):
        nonlocal last, peak
        last, peak = blocks, peak_memory()  # before anything looks at the result
        return seconds <= job["budget"]

    made = solver(problem, job)
    emit("ready")
    made.run(job["memory"], report)
    emit("peak", bytes=peak, excess=objective(problem, last, job["lam"]) / job["optimum"] - 1)


def main():
    # Events have the standard output for themselves.
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def emit(kind, **fields):
        print(json.dumps({"event": kind, **fields}), file=events, flush=True)

    job = json.load(sys.stdin)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    solver, problem = SOLVERS[job["solver"]], load(job["problem"])
    if "memory" in job:
        memory(solver, job, problem, emit)
        emit("done")
        return
    solver = solver(problem, job)
    emit("ready", versions={**solver.versions, "numpy": np.__version__}, sweeps=len(solver.sweeps))
    time_to_accuracy(solver, job, emit)
    emit("done")


if __name__ == "__main__":
    main()
