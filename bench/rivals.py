"""Environments of the rivals, with pinned versions: `.venv-rivals-NAME` at the top of the source tree."""

import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]

# adelie and scnn were written for NumPy 1: with NumPy 2 the one does not import, and float32 becomes float64
# in the other. CVXPY and Clarabel are in the environment of the tests.
ENVIRONMENTS = {
    "adelie": ("numpy==1.26.4", "scikit-learn==1.9.1", "adelie==1.1.52"),
    "scnn": ("numpy==1.26.4", "scikit-learn==1.9.1", "torch==2.13.0", "pyscnn==0.0.10"),
    "celer-skglm": ("numpy==2.4.6", "scikit-learn==1.9.1", "numba==0.68.1", "celer==0.7.4", "skglm==0.5"),
}
HOME = {"adelie": "adelie", "scnn": "scnn", "celer": "celer-skglm", "skglm": "celer-skglm"}


def prepare(name, say=print):
    """Interpreter of an environment, made if it is not there yet; None, and a message, if that fails."""
    place = TOP / f".venv-rivals-{name}"
    python, done = place / "bin" / "python", place / "installed.txt"
    wanted = "\n".join(ENVIRONMENTS[name]) + "\n"
    if done.exists() and done.read_text() == wanted and python.exists():
        return python
    say(f"preparing {place.name}: {' '.join(ENVIRONMENTS[name])}")
    log = TOP / "build" / f"{place.name.lstrip('.')}.log"
    log.parent.mkdir(exist_ok=True)
    try:
        with log.open("w") as output:
            if not python.exists():
                shutil.rmtree(place, ignore_errors=True)
                subprocess.run(
                    [sys.executable, "-m", "venv", place], stdout=output, stderr=output, check=True
                )
            pip = [python, "-m", "pip", "install", "--disable-pip-version-check", *ENVIRONMENTS[name]]
            subprocess.run(pip, stdout=output, stderr=output, check=True)
    except (subprocess.CalledProcessError, OSError) as error:
        say(f"  {place.name} could not be made ({error}); see {log.relative_to(TOP)}.")
        say("  Its solvers are reported as missing; the next run tries again.")
        return None
    done.write_text(wanted)
    return python


class Interpreters:
    """Interpreter for each solver; environments are made when first asked for."""

    def __init__(self, say=print):
        self.say, self.known = say, {}

    def __getitem__(self, solver):
        if solver not in HOME:
            return Path(sys.executable)
        name = HOME[solver]
        if name not in self.known:
            self.known[name] = prepare(name, self.say)
        return self.known[name]
