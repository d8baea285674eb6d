"""Parallel ReLU networks under path regularization, trained by convex optimization with a duality gap."""

from importlib.metadata import version as _version

try:
    from pathrelu import _core as _core
except ImportError as error:
    error.add_note(
        "The compiled part of pathrelu did not load. Install the package for this Python (`pip install .` in "
        "the source tree needs a C++ compiler), and do not import it from the source tree itself."
    )
    raise

from pathrelu.arrangements import Arrangements, enumerate_arrangements, sample_arrangements
from pathrelu.certificate import Certificate, certify
from pathrelu.estimators import PathReLUClassifier, PathReLURegressor
from pathrelu.low_rank import LowRank
from pathrelu.model_selection import PathReLUClassifierCV, PathReLURegressorCV
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork, load
from pathrelu.program import Solution, alpha_max, search, solve, solve_low_rank, solve_path

__version__ = _version("pathrelu")

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
    "Solution",
    "__version__",
    "alpha_max",
    "certify",
    "enumerate_arrangements",
    "load",
    "sample_arrangements",
    "search",
    "solve",
    "solve_low_rank",
    "solve_path",
]
