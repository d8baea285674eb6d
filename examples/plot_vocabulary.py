"""
The vocabulary in pictures
==========================

What a sub-network, a path, a pattern and a cone are: the words of this site, drawn.
"""

# %%
# Left: a sub-network of depth 3 is a tree of units. A path leads from a column through a leaf and the root to
# the output; the path norm multiplies the squared weights along each and adds up over all of them.
#
# Middle: a unit is on for the rows on one side of a line. That is its pattern on these rows.
#
# Right: all weights with this pattern form a cone, and the rows cut the space of weights into finitely many
# of them. In a cone the sub-network is linear in its weights; that is why training over given arrangements is
# a convex program.

import matplotlib.pyplot as plt
import numpy as np

import pathrelu as pr

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"
figure, (tree, plane, weights) = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")

columns = {f"$x_{j + 1}$": (j, 0) for j in range(3)}
leaves = {"leaf 1": (0.5, 1), "leaf 2": (1.5, 1)}
root, output = (1, 2), (1, 3)
highlighted = {(columns["$x_1$"], leaves["leaf 1"]), (leaves["leaf 1"], root), (root, output)}
edges = [(column, leaf) for column in columns.values() for leaf in leaves.values()]
edges += [(leaf, root) for leaf in leaves.values()] + [(root, output)]
for edge in edges:
    on_path = edge in highlighted
    style = {"color": ORANGE, "linewidth": 3.5} if on_path else {"color": GREY, "linewidth": 1}
    tree.plot(*zip(*edge, strict=True), zorder=1, **style)
nodes = {**columns, **leaves, "root": root, "output": output}
for name, place in nodes.items():
    is_unit = name in leaves or name == "root"
    tree.scatter(*place, s=1500, color=BLUE if is_unit else "white", edgecolor=BLUE, zorder=2)
    color = "white" if is_unit else "black"
    tree.text(*place, name, ha="center", va="center", color=color, zorder=3, fontsize=9)
tree.text(0.1, 0.6, "one path", color=ORANGE, ha="right", fontsize=11)
tree.set(xlim=(-0.75, 2.4), ylim=(-0.4, 3.4), title="A sub-network: a tree of units")
tree.axis("off")

around, distance = np.radians([10, 75, 130, 170, 235, 300]), [1.9, 1.3, 1.7, 1.4, 2.0, 1.2]
X = np.column_stack([np.cos(around), np.sin(around)]) * np.array(distance)[:, np.newaxis]
arrangements = pr.enumerate_arrangements(X)
u = np.array([1.0, 0.45])
on = X @ u > 0

reach = 2.4
across = np.array([-u[1], u[0]])
plane.axline((0, 0), across, color="black", linewidth=1.5)
side = 9 * np.array([-across, across, across + u, u - across])
plane.fill(*side.T, color=BLUE, alpha=0.12)
plane.scatter(*X[on].T, s=90, color=BLUE, label="on")
plane.scatter(*X[~on].T, s=90, facecolor="white", edgecolor=BLUE, linewidth=1.5, label="off")
plane.annotate("", 1.4 * u, (0, 0), arrowprops={"arrowstyle": "->", "color": ORANGE, "linewidth": 2})
plane.text(*(1.5 * u), "weights", color=ORANGE, va="bottom", ha="center")
plane.legend(title="rows", loc="upper left")
plane.set(title="The pattern of a unit on 6 rows", xlabel="$x_1$", ylabel="$x_2$")

angles = np.linspace(-np.pi, np.pi, 20_001)
directions = np.column_stack([np.cos(angles), np.sin(angles)])
same = ((directions @ X.T > 0) == on).all(axis=1)
weights.fill(*np.vstack([[0, 0], 9 * directions[same]]).T, color=ORANGE, alpha=0.3, label="one cone")
for x in X:
    weights.axline((0, 0), (-x[1], x[0]), color=GREY, linewidth=1)
weights.annotate("", 1.4 * u, (0, 0), arrowprops={"arrowstyle": "->", "color": ORANGE, "linewidth": 2})
weights.legend(loc="upper left")
weights.set(xlabel="weight of $x_1$", ylabel="weight of $x_2$")
weights.set_title(f"The space of weights: {len(arrangements)} patterns")
for axes in (plane, weights):
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
plt.show()

# %%
# :func:`~pathrelu.enumerate_arrangements` lists them all: at rank 2 twice as many as rows.

print(f"{len(X)} rows, {len(arrangements)} arrangements")
