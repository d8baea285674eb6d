"""Parallel ReLU networks under path regularization, trained by convex optimization with a duality gap."""

from importlib import import_module as _import_module
from types import ModuleType as _ModuleType

try:
    from pathrelu import _core as _core
except ImportError as error:
    error.add_note(
        "The compiled part of pathrelu did not load. Install the package for this Python (`pip install .` in "
        "the source tree needs a C++ compiler), and do not import it from the source tree itself."
    )
    raise

from pathrelu._version import __version__
from pathrelu.arrangements import Arrangements, enumerate_arrangements, sample_arrangements
from pathrelu.certificate import Certificate, Relaxation, certify, relaxation
from pathrelu.encoding import TableEncoder
from pathrelu.estimators import PathReLUClassifier, PathReLURegressor
from pathrelu.files.loading import load
from pathrelu.model_selection import PathReLUClassifierCV, PathReLURegressorCV
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork
from pathrelu.program import LowRank, Solution, alpha_max, search, solve, solve_low_rank, solve_path

__all__ = [
    "Arrangements",
    "Certificate",
    "GatedReLUNetwork",
    "LowRank",
    "ParallelReLUNetwork",
    "PathReLUClassifier",
    "PathReLUClassifierCV",
    "PathReLURegressor",
    "PathReLURegressorCV",
    "Relaxation",
    "Solution",
    "TableEncoder",
    "__version__",
    "alpha_max",
    "certify",
    "enumerate_arrangements",
    "load",
    "relaxation",
    "sample_arrangements",
    "search",
    "solve",
    "solve_low_rank",
    "solve_path",
]

_MODULES = ("cli", "dask", "dependence", "inspection", "plotting")  # imported when first asked for


def __getattr__(name: str) -> _ModuleType:
    if name in _MODULES:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
