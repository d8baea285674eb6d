"""
Convergence
===========

Objective and duality gap while a network is trained, against iterations and against seconds.
"""

# %%
# Over given arrangements
# -----------------------
#
# The gap bounds how far the objective is from the optimum of the convex program: together they say when it
# was time to stop.

import matplotlib.pyplot as plt
import numpy as np

import pathrelu as pr
from pathrelu.plotting import ConvergenceDisplay

rng = np.random.default_rng(0)
X = rng.standard_normal((400, 8))
y = np.maximum(X @ rng.standard_normal((8, 4)), 0) @ [1, 1, -1, -1] + 0.1 * rng.standard_normal(400)

arrangements = pr.sample_arrangements(X, 200, random_state=0)
alpha = 0.01 * pr.alpha_max(X, y, arrangements)
solution = pr.solve(X, y, arrangements, alpha, tol=1e-8)
display = ConvergenceDisplay.from_solution(solution)
display.figure_.suptitle("One program over 200 arrangements")
print(f"objective {solution.objective:.6f}, gap {solution.gap:.1e}")
plt.show()

# %%
# Of a search
# -----------
#
# A search changes the program: the objective falls from round to round, while the gap, which is that over the
# arrangements of the moment, starts again with each.

found = pr.search(X, y, alpha, random_state=0)
display = ConvergenceDisplay.from_solution(found, clock="seconds")
display.ax_.set_title("After each program of a search")
print(
    f"objective {found.objective:.6f} after {found.n_rounds} rounds, {solution.objective:.6f} over the sample"
)
plt.show()
