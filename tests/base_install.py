"""What an installed wheel does with nothing but what it depends on: run by a Python that has just that.

No pytest, no extras, and where PATH has no compiler. Exits with an error if a promise is broken.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import files
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

import pathrelu
from pathrelu import PathReLUClassifier, _core

SOURCES = Path(__file__).parents[1] / "python"


def main() -> None:
    assert SOURCES not in Path(pathrelu.__file__).parents, "this is the source tree, not an installed wheel"
    names = [str(file) for file in files("pathrelu") or []]
    assert {"pathrelu/py.typed", "pathrelu/_core.pyi"} <= set(names), names
    suffixes = {Path(name).suffix for name in names if name.startswith("pathrelu/")}
    assert suffixes <= {".py", ".pyi", ".pyc", ".typed", ".so", ".pyd"}, suffixes

    X, y = load_breast_cancer(return_X_y=True)
    model = PathReLUClassifier(alpha=0.01, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.95
    assert 0 <= model.dual_gap_ < model.objective_
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        model.save(path)
        again = pathrelu.load(path)
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    assert np.array_equal(again.predict(X), model.predict(X))

    script = shutil.which("pathrelu", path=str(Path(sys.executable).parent))
    assert script is not None, "the wheel brings no command"
    for command in ([script, "--help"], [sys.executable, "-m", "pathrelu", "--help"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if importlib.util.find_spec("click") is None:
            assert done.returncode == 2, done
            assert (
                done.stderr
                == "Error: the command line needs click; install it with `pip install 'pathrelu[cli]'`\n"
            )
        else:
            assert done.returncode == 0, done
    compilers = [name for name in ("c++", "g++", "clang++", "cl") if shutil.which(name)]
    print(
        f"pathrelu {pathrelu.__version__} on Python {sys.version.split()[0]}: "
        f"kernels {_core.kernel_levels()}, {_core.default_threads()} threads, "
        f"compilers on PATH: {', '.join(compilers) or 'none'}"
    )


if __name__ == "__main__":
    main()
