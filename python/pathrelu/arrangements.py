"""Arrangements: which units of which trees are on for which rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathrelu import _core
from pathrelu import _linear_algebra as algebra
from pathrelu import _validation as check

MOST_BATCHES = 20
# Angle up to which rows count as multiples of each other, and planes as meeting in one line.
SAME_LINE = 1e-12


class Arrangements:
    """On/off patterns of every unit of a set of trees on the rows of a table, packed to bits.

    Made by `from_gates`, `from_trees`, `sample_arrangements` or `search`. Each is one group of the convex
    program; `with_skip_connection` adds one without units. A tree has one root; every unit of
    hidden layer l + 1 has ``width[l - 1]`` children, and the units of the first hidden layer are its leaves.
    Units are numbered layer by layer, leaves first and root last, children of one unit consecutive; edge u
    joins unit u to its parent. Trees with the patterns and signs of an earlier one are dropped, and so are
    trees all of whose paths are off on every row.

    Attributes
    ----------
    gates : ndarray of shape (len, paths, n_features), float64, or None
        Leaf weights that generate the patterns; None where they are not known. Zeros for a linear group.
    source_index : ndarray of shape (len,), int64
        Which of the caller's trees each group came from; -1 for a linear group.
    core : object
        The packed patterns of the compiled part.

    Examples
    --------
    >>> from pathrelu import Arrangements
    >>> X = [[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]
    >>> arrangements = Arrangements.from_gates(X, [[1.0, 2.0], [3.0, 1.0], [-1.0, 1.0]])
    >>> len(arrangements)  # the first two are on for the same rows
    2
    >>> arrangements.masks()[:, 0].astype(int)
    array([[1, 1, 0],
           [0, 1, 0]])
    >>> arrangements.source_index
    array([0, 2])
    """

    gates: NDArray[np.float64] | None
    source_index: NDArray[np.int64]

    def __init__(
        self,
        core: _core.Arrangements,
        gates: NDArray[np.float64] | None = None,
        source_index: NDArray[np.int64] | None = None,
    ) -> None:
        if not isinstance(core, _core.Arrangements):
            raise TypeError(
                f"core has type {type(core).__name__}; make arrangements with Arrangements.from_gates, "
                "Arrangements.from_trees or sample_arrangements"
            )
        self.core = core
        self.gates = gates
        self.source_index = np.arange(len(core)) if source_index is None else source_index

    @classmethod
    def from_gates(cls, X: ArrayLike, G: ArrayLike, *, n_threads: int | None = None) -> Arrangements:
        """Depth 2: unit p is on where ``X @ G[p] > 0``.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        G : array-like of shape (P, n_features)
        n_threads : int, optional
            Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one.

        Returns
        -------
        Arrangements
        """
        gates = check.rows(G, "G")
        table = check.rows(X)
        if gates.shape[1] != table.shape[1]:
            raise ValueError(
                f"G has shape {gates.shape}; expected (P, {table.shape[1]}), one column per column of X"
            )
        return cls.from_trees(table, gates[:, np.newaxis], n_threads=n_threads)

    @classmethod
    def from_trees(
        cls,
        X: ArrayLike,
        W: ArrayLike,
        signs: ArrayLike | None = None,
        *,
        width: int | Sequence[int] | None = None,
        n_threads: int | None = None,
    ) -> Arrangements:
        """Patterns of trees with the leaf weights `W` and the edge signs `signs`.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        W : array-like of shape (P, paths, n_features)
            Leaf weights. Sums are taken in float64.
        signs : array-like of shape (edges,) or (P, edges), optional
            +1 or -1 for each edge between units, the same for all trees or one row per tree. A tree of depth
            2 has none; a tree of depth 3 has one per leaf.
        width : int or sequence of int, optional
            ``(m_1, ..., m_{L-2})``; its product must be `paths`. By default one path means depth 2 and more
            mean depth 3 with ``width=(paths,)``. An integer stands for depth 3.
        n_threads : int, optional
            Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one.

        Returns
        -------
        Arrangements
        """
        every = cls._of_each_tree(X, W, signs, width=width, n_threads=n_threads)
        return every[every.core.distinct()]

    @classmethod
    def _of_each_tree(
        cls,
        X: ArrayLike,
        W: ArrayLike,
        signs: ArrayLike | None = None,
        *,
        width: int | Sequence[int] | None = None,
        n_threads: int | None = None,
    ) -> Arrangements:
        """The same with equal patterns as often as they come: groups may differ in their directions."""
        table = check.rows(X)
        trees = check.numeric(W, "W")
        d = table.shape[1]
        if trees.ndim != 3 or trees.shape[2] != d or 0 in trees.shape:
            raise ValueError(f"W has shape {trees.shape}; expected (P, paths, {d}), all at least 1")
        check.finite(trees, "W")
        P, paths = trees.shape[:2]
        if width is None:
            shape = [] if paths == 1 else [paths]
        elif not isinstance(width, int) and hasattr(width, "__len__") and getattr(width, "ndim", 1) > 0:
            shape = check.tree_width(len(width) + 2, width)
        else:
            shape = check.tree_width(3, width)
        if math.prod(shape) != paths:
            raise ValueError(f"width is {tuple(shape)}, which has {math.prod(shape)} paths; W has {paths}")
        edges = n_edges(shape)
        if signs is None and edges > 0:
            raise ValueError(f"signs is None; expected the shape ({edges},) or ({P}, {edges})")
        edge_signs = check.numeric(np.ones(0) if signs is None else signs, "signs")
        if edge_signs.shape not in ((edges,), (P, edges)):
            raise ValueError(f"signs has shape {edge_signs.shape}; expected ({edges},) or ({P}, {edges})")
        if not np.isin(edge_signs, (-1, 1)).all():
            raise ValueError("signs has an entry other than +1 and -1")
        threads = check.threads(n_threads)

        leaves = np.ascontiguousarray(trees, dtype=np.float64)
        core = _core.Arrangements.from_trees(
            table,
            leaves.reshape(P, paths * d),
            np.ascontiguousarray(np.broadcast_to(edge_signs, (P, edges)), dtype=np.int8),
            shape,
            threads,
        )
        return cls(core, leaves, np.arange(P))

    def with_skip_connection(self) -> Arrangements:
        """These arrangements with a linear group more, at the end, if they have none.

        The group stands for a sub-network ``x @ v`` without units, that of a residual network: its mask is
        one on every row (of the first path, where there are several), its cone is the whole space, and its
        penalty is ``alpha * norm(v)``.

        Returns
        -------
        Arrangements
        """
        return self if self.skip_connection else self._with_linear(1)

    def _with_linear(self, count: int) -> Arrangements:
        """These arrangements with so many linear groups more, at the end."""
        gates = self.gates
        if gates is not None:
            gates = np.concatenate([gates, np.zeros((count, *gates.shape[1:]))])
        core = self.core
        for _ in range(count):
            core = core.with_linear()
        return Arrangements(core, gates, np.append(self.source_index, np.full(count, -1)))

    def __len__(self) -> int:
        return len(self.core)

    def __getitem__(self, index: slice | ArrayLike) -> Arrangements:
        """Arrangements of some groups: a slice, an array of indices or an array of booleans."""
        chosen = np.atleast_1d(np.arange(len(self))[index]).astype(np.int64)  # type: ignore[index]
        gates = None if self.gates is None else self.gates[chosen]
        return Arrangements(self.core.select(chosen), gates, self.source_index[chosen])

    def __repr__(self) -> str:
        skip = ", skip_connection=True" if self.skip_connection else ""
        return (
            f"Arrangements({len(self)} groups, depth={self.depth}, width={self.width}, "
            f"n_rows={self.n_rows}{skip})"
        )

    @property
    def depth(self) -> int:
        """Number of layers of weights of the networks; 2 has one hidden layer."""
        return self.core.depth

    @property
    def width(self) -> tuple[int, ...]:
        """``(m_1, ..., m_{L-2})``, children of a unit in each hidden layer after the first."""
        return tuple(self.core.width)

    @property
    def paths(self) -> int:
        """Leaves of a tree, each of which stands for one path."""
        return self.core.paths

    @property
    def n_rows(self) -> int:
        """Rows that the patterns are of."""
        return self.core.n_rows

    @property
    def signs(self) -> NDArray[np.int8]:
        """Signs of the edges between units, (len, edges)."""
        return self.core.signs

    @property
    def linear(self) -> NDArray[np.bool_]:
        """Which groups are linear, (len,); see `with_skip_connection`."""
        return self.core.linear

    @property
    def skip_connection(self) -> bool:
        """Whether one of the groups is linear."""
        return bool(self.linear.any())

    def patterns(self) -> NDArray[np.bool_]:
        """Where each unit is on. For small problems: takes a byte per entry.

        Returns
        -------
        ndarray of bool, of shape (len, units, n_rows)
        """
        return self.core.patterns()

    def masks(self) -> NDArray[np.bool_]:
        """Where each whole path is on. For small problems: takes a byte per entry.

        Returns
        -------
        ndarray of bool, of shape (len, paths, n_rows)
        """
        return self.core.masks()


def n_edges(width: Sequence[int]) -> int:
    """Edges between the units of a tree: one fewer than units."""
    return sum(math.prod(width[layer:]) for layer in range(len(width)))


def sample_arrangements(
    X: ArrayLike,
    n_arrangements: int,
    depth: int = 2,
    width: int | Sequence[int] = 1,
    random_state: check.RandomState = None,
    n_threads: int | None = None,
    method: str = "gaussian",
) -> Arrangements:
    """Arrangements of random trees, with edge signs of +1 or -1 with equal chance.

    The result is the same for any number of threads. Gaussian trees depend on `random_state`, `depth`,
    `width`, `n_arrangements` and the number of columns alone: rows that repeat others change nothing.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
    n_arrangements : int
        How many are wanted. Few rows or columns may not have as many: drawing stops when a batch of as many
        trees (at least 100) brings no new arrangement, or after 20 batches.
    depth : int, default=2
        Number of layers of weights, at least 2.
    width : int or sequence of int, default=1
        ``(m_1, ..., m_{L-2})``; an integer stands for each of them, and means nothing at depth 2.
    random_state : int, RandomState, Generator or None, default=None
    n_threads : int, optional
        Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one.
    method : {"gaussian", "rows"}, default="gaussian"
        How leaf weights are drawn: "gaussian", independent standard normal entries, or "rows", beside
        hyperplanes through r - 1 training rows, r the rank of X: see Notes.

    Returns
    -------
    Arrangements
        In the order drawn; at most `n_arrangements`, without duplicates.

    Notes
    -----
    The hyperplane of leaf weights u is that of the rows x with ``x @ u = 0``. Those through r - 1 independent
    rows, drawn by chance, are candidates for optimal units (Wang, Kim, Chu, Subramaniam & Pilanci 2024,
    arXiv 2406.02806): the extreme rays of the regions in which ``X u`` keeps its signs. No rays but regions
    are arrangements here, so each leaf is moved off its ray by chance: the rows on its hyperplane, be they
    r - 1 or more, come out on either side, and all others stay on theirs. Every region has such a ray, and
    is found in the end. Rows that are multiples of others, and rows of zeros, count once and not at all.
    A leaf takes some ``2 * r**3`` multiplications.

    Examples
    --------
    >>> import numpy as np
    >>> from pathrelu import sample_arrangements
    >>> X = np.random.default_rng(0).standard_normal((30, 5))
    >>> sample_arrangements(X, 40, depth=3, width=2, random_state=0)
    Arrangements(40 groups, depth=3, width=(2,), n_rows=30)
    """
    table = check.rows(X)
    wanted = check.count(n_arrangements, "n_arrangements")
    shape = check.tree_width(depth, width)
    threads = check.threads(n_threads)
    check.choice(method, "method", list(LEAF_SAMPLERS))
    # Two streams, so that the first trees are the same however many are asked for.
    leaf_stream, sign_stream = np.random.default_rng(check.seed(random_state)).spawn(2)

    d, paths, edges = table.shape[1], math.prod(shape), n_edges(shape)
    batch = max(wanted, 100)
    sampler = LEAF_SAMPLERS[method](table, paths, leaf_stream, threads)
    found: _core.Arrangements | None = None
    gates = np.empty((0, paths, d))
    source = np.empty(0, np.int64)
    for k in range(MOST_BATCHES):
        leaves = sampler(batch)
        signs = (2 * sign_stream.integers(0, 2, (batch, edges)) - 1).astype(np.int8)
        drawn = _core.Arrangements.from_trees(table, leaves, signs, shape, threads)
        before = len(gates)
        joined = drawn if found is None else found.join(drawn)
        kept = joined.distinct()[:wanted]
        found = joined.select(kept)
        new = kept[kept >= before] - before
        gates = np.concatenate([gates, leaves[new].reshape(-1, paths, d)])
        source = np.concatenate([source, new + k * batch])
        if len(found) == wanted or len(found) == before:
            break
    assert found is not None
    return Arrangements(found, gates, source)


@dataclass(frozen=True, eq=False)
class RowSpace:
    """The singular value decomposition of rows, ``X = left * values @ basis.T``, cut at their rank.

    Singular values up to ``max(n, d) * eps * values[0]`` count as zero, as in `numpy.linalg.matrix_rank`.
    """

    left: NDArray[np.float64]  # (n, rank)
    values: NDArray[np.float64]  # (rank,)
    basis: NDArray[np.float64]  # (d, rank)
    residual: float  # the largest singular value that counts as zero, or 0

    @classmethod
    def of(cls, X: check.Rows, eps: float) -> RowSpace:
        table = X.astype(np.float64, copy=False)
        values, basis = algebra.singular_values(table)
        tol = max(X.shape) * eps * float(values[0])
        rank = int((values > tol).sum())
        kept = np.ascontiguousarray(basis[:rank].T)
        return cls(
            # Not the left factor of the decomposition: so rows of zeros are zero.
            algebra.product(table, kept) / values[:rank],
            values[:rank],
            kept,
            float(values[rank]) if rank < len(values) else 0.0,
        )

    @property
    def rank(self) -> int:
        return len(self.values)

    @property
    def same_line(self) -> float:
        """Angle between rows of `left` up to which they count as multiples of each other."""
        return SAME_LINE * max(1.0, 1e-3 * float(self.values[0] / self.values[-1]))

    def weights(self, u: check.Doubles) -> check.Doubles:
        """Weights (..., d) whose products with the rows are those of u (..., rank) with `left`."""
        return algebra.product(u, (self.basis / self.values).T)


class GaussianLeaves:
    """Leaf weights with independent standard normal entries."""

    def __init__(self, X: check.Rows, paths: int, stream: np.random.Generator, threads: int) -> None:
        self.stream = stream
        self.size = paths * X.shape[1]

    def __call__(self, count: int) -> check.Doubles:
        return self.stream.standard_normal((count, self.size))


class LeavesAtRows:
    """Leaf weights in regions at hyperplanes through as many rows as can be, of length 1 for each tree."""

    def __init__(self, X: check.Rows, paths: int, stream: np.random.Generator, threads: int) -> None:
        self.space = RowSpace.of(X, float(np.finfo(X.dtype).eps))
        self.paths = paths
        self.threads = threads
        self.seed = int(stream.integers(2**63))
        self.drawn = 0

    def __call__(self, count: int) -> check.Doubles:
        leaves = count * self.paths
        if self.space.rank == 0:
            return np.zeros((count, self.paths * len(self.space.basis)))
        points = _core.points_of_cells_at_rays(
            self.space.left, self.drawn, leaves, self.seed, self.space.same_line, self.threads
        )
        self.drawn += leaves
        trees = self.space.weights(points).reshape(count, -1)
        trees /= np.sqrt((trees**2).sum(axis=1, keepdims=True))
        return trees


LEAF_SAMPLERS: dict[str, type[GaussianLeaves] | type[LeavesAtRows]] = {
    "gaussian": GaussianLeaves,
    "rows": LeavesAtRows,
}


def enumerate_arrangements(
    X: ArrayLike,
    depth: int = 2,
    width: int | Sequence[int] = 1,
    max_arrangements: int = 1_000_000,
    n_threads: int | None = None,
    max_seconds: float | None = None,
) -> Arrangements:
    r"""All arrangements of the rows, so that the gap of `solve` is a gap of the training problem.

    A unit u is a full-dimensional region of the leaf weights in which ``X u`` keeps its signs, none of them
    zero but for rows of zeros; a tree has one such region for each choice of patterns of all its units and of
    edge signs. Closed, these regions cover all leaf weights, so a ReLU network of the shape lies in the cones
    of the arrangements returned.

    At depth 2, n rows in general position of rank r have :math:`2 \sum_{k<r} \binom{n-1}{k}` regions (Cover,
    1965): 2 n at rank 2, n^2 - n + 2 at rank 3. Rows of zeros and multiples of other rows add none. The
    region in which no unit is on, where some u has ``X u < 0``, is left out. Beyond depth 2, left out are
    also trees that repeat another up to the order of siblings, and those with a unit whose children all have
    the sign -1, which is never on.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        Its rank counts, not its number of columns: see Notes.
    depth : int, default=2
        Number of layers of weights, at least 2. From 3 on, for a handful of rows.
    width : int or sequence of int, default=1
        ``(m_1, ..., m_{L-2})``; an integer stands for each of them, and means nothing at depth 2.
    max_arrangements : int, default=1_000_000
        Refuse more. Each takes ``n_rows / 8`` bytes for every unit and ``8 * n_features`` for every leaf.
    n_threads : int, optional
        Number of threads; None or -1 for what OpenMP allows the process, -2 for all but one. The result
        does not depend on it.
    max_seconds : float, optional
        Give up after this time: some of the arrangements would not do for all.

    Returns
    -------
    Arrangements
        With `gates` inside the regions, of length 1 for each tree.

    Raises
    ------
    ValueError
        If there are more than `max_arrangements`, with their number: exact at depth 2 up to rank 2, and
        elsewhere at depth 2 that of rows in general position, which no others exceed. Beyond depth 2, the
        number of choices for the children of the roots, each of which has at least one arrangement.
    TimeoutError
        If `max_seconds` have passed.

    Notes
    -----
    The rank is the number of singular values above ``max(n, d) * eps`` times the largest, with eps that of
    the dtype of X. Rows within an
    angle of 1e-12 (more if X is ill conditioned), measured where X has orthonormal columns, count as
    multiples of each other, and three as coplanar likewise. Up to rank 3 at depth 2, regions are walked
    through one after the other; beyond, cones are cut by one hyperplane at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from pathrelu import enumerate_arrangements
    >>> X = np.random.default_rng(0).standard_normal((10, 2))
    >>> len(enumerate_arrangements(X))  # 2 n, and one less if some direction has no unit on
    20
    """
    table = check.rows(X)
    shape = check.tree_width(depth, width)
    most = check.count(max_arrangements, "max_arrangements")
    threads = check.threads(n_threads)
    seconds = math.inf if max_seconds is None else check.positive(max_seconds, "max_seconds")
    space = RowSpace.of(table, float(np.finfo(table.dtype).eps))
    paths = math.prod(shape)
    if space.rank == 0:
        d, signs = table.shape[1], np.zeros((0, n_edges(shape)), np.int8)
        core = _core.Arrangements.from_trees(table, np.zeros((0, paths * d)), signs, shape, threads)
        return Arrangements(core, np.zeros((0, paths, d)))
    core, weights = _core.enumerate_cells(space.left, shape, most, space.same_line, threads, seconds)
    leaves = space.weights(weights.reshape(len(core), paths, space.rank))
    leaves /= np.sqrt((leaves**2).sum(axis=(1, 2), keepdims=True))
    return Arrangements(core, leaves)
