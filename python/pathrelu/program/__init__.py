"""The convex program over given arrangements, its path in alpha, and the search for arrangements."""

from pathrelu._watch import Record
from pathrelu.program._low_rank import LowRank
from pathrelu.program._path import solve_path
from pathrelu.program._projection import solve_low_rank
from pathrelu.program._search import search
from pathrelu.program._solution import Path, Solution
from pathrelu.program._solve import alpha_max, solve

__all__ = [
    "LowRank",
    "Path",
    "Record",
    "Solution",
    "alpha_max",
    "search",
    "solve",
    "solve_low_rank",
    "solve_path",
]
