"""Time to a relative objective accuracy on a gated program: `pathrelu.solve` against adelie.

Both minimise the same objective with the same scaling, on float64 rows, and each is swept for the fastest
of its settings whose objective is within the accuracy of the optimum: the tolerance of `solve` (on its
duality gap), and the tolerance (on coordinate changes) and length of the path in lambda of adelie.
Warm-up and the making of arrangements and of adelie's matrix object are outside the clock; times are the
least of the repeats. The optimum is that of `solve` at its tightest tolerance; its certified gap is printed.

adelie needs an older NumPy, so it runs in an environment of its own, made once by

    python -m venv .venv-adelie
    .venv-adelie/bin/pip install 'numpy<2' adelie==1.1.52 scikit-learn
    python bench/bench_solve.py --adelie .venv-adelie/bin/python

Without --adelie only `solve` is timed.
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

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from problems import LAM_FRACTIONS, load

ACCURACIES = (1e-4, 1e-8)
SOLVE_TOLERANCES = tuple(10.0**-k for k in range(2, 10))
REFERENCE_TOLERANCE = 1e-10
ADELIE_TOLERANCES = tuple(10.0**-k for k in range(5, 16))
ADELIE_PATH_LENGTHS = (1, 10, 30)


def objective(problem, U, lam):
    """Value of the program at blocks U (P, d), by the definition."""
    r = ((problem.X @ U.T) * problem.D).sum(axis=1) - problem.y
    return r @ r / (2 * len(r)) + lam * np.linalg.norm(U, axis=1).sum()


def least_time(run, repeats):
    """Least seconds of the repeats and what the last returned."""
    seconds = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        seconds = min(seconds, time.perf_counter() - start)
    return seconds, result


def fastest(settings, solve, excess, accuracies, repeats, budget):
    """For each accuracy the quickest of `settings` to reach it: {accuracy: (seconds, setting, excess)}.

    `settings` is a list of sweeps, each from loose to tight; one ends when the tightest accuracy is met or a
    run takes more than `budget` seconds.
    """
    best = {}
    for sweep in settings:
        for setting in sweep:
            seconds, result = least_time(lambda setting=setting: solve(*setting), 1)
            reached = excess(result)
            for accuracy in accuracies:
                if reached <= accuracy and seconds < best.get(accuracy, (math.inf,))[0]:
                    best[accuracy] = (seconds, setting, reached)
            if reached <= min(accuracies) or seconds > budget:
                break
    for accuracy, (seconds, setting, reached) in best.items():
        if repeats > 1:
            again, _ = least_time(lambda setting=setting: solve(*setting), repeats - 1)
            best[accuracy] = (min(seconds, again), setting, reached)
    return best


def run_adelie(job):
    """Fastest settings of adelie that reach each accuracy; called in adelie's environment."""
    import adelie as ad

    p = load(job["problem"])
    d, P, lam = p.X.shape[1], p.D.shape[1], job["lam"]
    matrix = ad.matrix.convex_relu(
        np.asfortranarray(p.X),
        np.asfortranarray(p.D.astype(bool)),
        gated=True,
        n_threads=job["threads"],
    )

    def solve(length, tol):
        path = np.geomspace(p.lam_max, lam, length) if length > 1 else np.array([lam])
        state = ad.grpnet(
            X=matrix,
            glm=ad.glm.gaussian(y=p.y),
            groups=np.arange(0, P * d, d),
            penalty=np.ones(P),
            lmda_path=path,
            tol=tol,
            max_iters=10**8,
            intercept=False,
            early_exit=False,
            n_threads=job["threads"],
            progress_bar=False,
        )
        return state.betas[-1].toarray().reshape(P, d)

    def excess(U):
        return objective(p, U, lam) / job["optimum"] - 1

    solve(1, 1e-3)
    sweeps = [[(length, tol) for tol in ADELIE_TOLERANCES] for length in ADELIE_PATH_LENGTHS]
    best = fastest(sweeps, solve, excess, job["accuracies"], job["repeats"], job["budget"])
    return {"version": ad.__version__, "numpy": np.__version__, "best": list(best.items())}


def ask_adelie(python, job):
    threads = str(job["threads"])
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    command = [python, str(Path(__file__).resolve()), "--worker"]
    done = subprocess.run(
        command, input=json.dumps(job), env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--adelie", metavar="PYTHON", help="interpreter of an environment that has adelie")
    parser.add_argument("--problem", default="P1", help="P0 to P4 of tests/problems.py (default: P1)")
    parser.add_argument(
        "--fractions", type=float, nargs="+", default=LAM_FRACTIONS, help="of the largest lambda"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget", type=float, default=60, help="a run of more seconds ends a sweep")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(run_adelie(json.load(sys.stdin))))
        return

    import pathrelu as pr
    from pathrelu import _core

    p = load(options.problem)
    n, d = p.X.shape
    P = p.D.shape[1]
    print(f"{p.name}: n={n} d={d} P={P}, float64, {options.threads} threads, least of {options.repeats}")
    kernels, machine = _core.kernel_level(), platform.machine()
    print(f"pathrelu {pr.__version__}, {kernels} kernels, NumPy {np.__version__}, {machine}")
    arrangements = pr.Arrangements.from_gates(p.X, p.G.T)

    print(f"{'lambda/max':>10} {'accuracy':>8} {'solve, s':>9} {'adelie, s':>9} {'ratio':>6}  settings")
    ratios = []
    for fraction in options.fractions:
        lam = fraction * p.lam_max

        def solve(tol, lam=lam):
            return pr.solve(
                *(p.X, p.y, arrangements, lam), activation="gated", tol=tol, n_threads=options.threads
            )

        reference = solve(REFERENCE_TOLERANCE)
        optimum = reference.objective

        def excess(solution, lam=lam, optimum=optimum):
            U = np.zeros((P, d))
            U[arrangements.source_index] = solution.blocks[:, 0, 0]
            value = objective(p, U, lam)
            assert abs(value - solution.objective) <= 1e-12 * value, "the objective is not that of the blocks"
            return value / optimum - 1

        assert abs(excess(reference)) <= 1e-12
        sweep = [(tol,) for tol in SOLVE_TOLERANCES]
        ours = fastest([sweep], solve, excess, ACCURACIES, options.repeats, options.budget)
        rival = {}
        if options.adelie:
            job = {
                "problem": p.name,
                "lam": lam,
                "optimum": optimum,
                "accuracies": ACCURACIES,
                "threads": options.threads,
                "repeats": options.repeats,
                "budget": options.budget,
            }
            answer = ask_adelie(options.adelie, job)
            rival = dict(answer["best"])
        for accuracy in ACCURACIES:
            assert accuracy in ours, f"solve did not come within {accuracy} of the optimum"
            seconds, (tol,), _ = ours[accuracy]
            line = f"{fraction:10g} {accuracy:8.0e} {seconds:9.4f}"
            settings = f"tol {tol:.0e}"
            if accuracy in rival:
                theirs, (length, tol), _ = rival[accuracy]
                ratios.append(theirs / seconds)
                line += f" {theirs:9.4f} {ratios[-1]:6.1f}"
                settings += f"; adelie: path of {length}, tol {tol:.0e}"
            elif options.adelie:
                line += f" {'-':>9} {'-':>6}"
                settings += "; adelie: out of reach"
            print(f"{line}  {settings}", flush=True)
        print(
            f"{fraction:10g}  optimum {optimum:.10f}, certified to {reference.gap / optimum:.0e}", flush=True
        )
    if options.adelie:
        print(
            f"adelie {answer['version']}, NumPy {answer['numpy']}; what it did not reach is not in the mean"
        )
    if ratios:
        print(f"geometric mean of {len(ratios)} ratios: {math.exp(np.mean(np.log(ratios))):.1f}")


if __name__ == "__main__":
    main()
