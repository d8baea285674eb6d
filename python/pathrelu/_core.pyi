"""The compiled module. Arrays are C-ordered and of exactly the dtype stated; nothing is converted."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Rows = NDArray[np.floating[Any]]  # float32 or float64
_State = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]
_Loss = str | tuple[str, list[float]]  # its name, and its parameter for each output

ROUND_GAIN: float
LEAST_ROUNDS: int

def default_threads() -> int: ...
def kernel_level() -> str: ...
def kernel_levels() -> list[str]: ...
def use_kernels(level: str) -> None: ...
def serial_threshold() -> int: ...
def use_serial_threshold(work: int) -> None: ...
def use_last_task_first(last_first: bool) -> None: ...
def largest_team() -> int: ...
def reset_largest_team() -> None: ...

class Arrangements:
    @staticmethod
    def from_trees(
        X: _Rows, W: NDArray[np.float64], signs: NDArray[np.int8], width: list[int], threads: int
    ) -> Arrangements: ...
    @staticmethod
    def from_patterns(bits: NDArray[np.uint8], signs: NDArray[np.int8], width: list[int]) -> Arrangements: ...
    def __len__(self) -> int: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def width(self) -> list[int]: ...
    @property
    def depth(self) -> int: ...
    @property
    def paths(self) -> int: ...
    @property
    def units(self) -> int: ...
    @property
    def edges(self) -> int: ...
    @property
    def signs(self) -> NDArray[np.int8]: ...
    @property
    def linear(self) -> NDArray[np.bool_]: ...
    def patterns(self) -> NDArray[np.bool_]: ...
    def masks(self) -> NDArray[np.bool_]: ...
    def distinct(self) -> NDArray[np.int64]: ...
    def select(self, indices: NDArray[np.int64]) -> Arrangements: ...
    def join(self, other: Arrangements) -> Arrangements: ...
    def with_linear(self) -> Arrangements: ...

def enumerate_cells(
    rows: NDArray[np.float64], width: list[int], most: int, tol: float, threads: int, seconds: float = ...
) -> tuple[Arrangements, NDArray[np.float64]]: ...
def points_of_cells_at_rays(
    rows: NDArray[np.float64], first: int, count: int, seed: int, tol: float, threads: int
) -> NDArray[np.float64]: ...
def most_regions(m: int, dim: int) -> float: ...

_Correlation = tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]

def exact_correlation(
    rows: NDArray[np.float64], theta: NDArray[np.float64], threads: int, seconds: float = ...
) -> _Correlation: ...
def branch_and_bound(
    rows: NDArray[np.float64],
    theta: NDArray[np.float64],
    floor: float,
    tol: float,
    max_nodes: int,
    until_found: bool,
    threads: int,
    seconds: float = ...,
) -> _Correlation: ...
def relaxed_correlation(
    rows: NDArray[np.float64],
    theta: NDArray[np.float64],
    max_steps: int,
    tol: float,
    start: NDArray[np.float64],
    max_nodes: int,
    floor: float,
    threads: int,
    seconds: float = ...,
) -> tuple[
    float,
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    float,
    int,
]: ...
def solve_columns(
    columns: NDArray[np.float64],
    directions: NDArray[np.float64],
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    loss: _Loss,
    alpha: float,
    fit_intercept: bool,
    start: NDArray[np.float64],
    seconds: float = ...,
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]: ...
def dual_point(
    f: NDArray[np.float64],
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    loss: _Loss,
    fit_intercept: bool,
) -> NDArray[np.float64]: ...
def dual_bound(
    theta: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], loss: _Loss, cap: float
) -> float: ...
def product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]: ...
def triangular_factor(a: NDArray[np.float64]) -> NDArray[np.float64]: ...
def singular_values(a: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def eigenvalues(a: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

class SolveOptions:
    tol: float
    max_iter: int
    fit_intercept: bool
    threads: int
    def __init__(
        self, *, tol: float = ..., max_iter: int = ..., fit_intercept: bool = ..., threads: int = ...
    ) -> None: ...

class SearchOptions:
    n_starts: int
    max_rounds: int
    seed: int
    skip_connection: bool
    shared: bool
    rough: bool
    def __init__(
        self,
        *,
        n_starts: int = ...,
        max_rounds: int = ...,
        seed: int = ...,
        skip_connection: bool = ...,
        shared: bool = ...,
        rough: bool = ...,
    ) -> None: ...

class SlideOptions:
    def __init__(
        self,
        *,
        random_trees: int = ...,
        stream: int = ...,
        max_evaluations: int = ...,
        seed: int = ...,
        skip_connection: bool = ...,
        shared: bool = ...,
    ) -> None: ...

# Leaves (K, paths * d), edge signs (K, edges), directions (K, C), whether without gates (K), intercept (C).
_Trees = tuple[
    NDArray[np.float64], NDArray[np.int8], NDArray[np.float64], NDArray[np.uint8], NDArray[np.float64]
]

class Record:
    @property
    def n_iter(self) -> int: ...
    @property
    def objective(self) -> float: ...
    @property
    def dual_objective(self) -> float: ...
    @property
    def gap(self) -> float: ...
    @property
    def n_active(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def round(self) -> int: ...
    @property
    def n_groups(self) -> int: ...
    @property
    def target_gap(self) -> float: ...

class Report(Record):
    @property
    def objective_at_zero(self) -> float: ...
    @property
    def rounding(self) -> float: ...
    @property
    def converged(self) -> bool: ...
    @property
    def stopped(self) -> bool: ...
    @property
    def history(self) -> list[Record]: ...
    @property
    def dual_point(self) -> NDArray[np.float64]: ...

class SparseRows:
    def __init__(
        self,
        begin: NDArray[np.int64],
        columns: NDArray[np.int32],
        values: _Rows,
        offset: NDArray[np.float64],
    ) -> None: ...

class Problem:
    def __init__(
        self,
        X: _Rows | SparseRows,
        y: NDArray[np.float64],
        w: NDArray[np.float64],
        loss: _Loss,
        relu: bool,
        monotone: NDArray[np.int8] | None = None,
    ) -> None: ...

class Watch:
    def __init__(
        self,
        callback: Callable[[Record], object] | None = None,
        stop: Callable[[], bool] | None = None,
        seconds: float = ...,
    ) -> None: ...

class _MaskedOperator:
    def forward(self, V: NDArray[np.float64], exact: bool = True) -> NDArray[np.float64]: ...
    def adjoint(self, r: NDArray[np.float64], exact: bool = True) -> NDArray[np.float64]: ...

class MaskedOperatorFloat32(_MaskedOperator): ...
class MaskedOperatorFloat64(_MaskedOperator): ...

def masked_operator(
    X: _Rows, arrangements: Arrangements, threads: int = 1
) -> MaskedOperatorFloat32 | MaskedOperatorFloat64: ...
def project(
    X: _Rows,
    arrangements: Arrangements,
    group: int,
    z: NDArray[np.float64],
    monotone: NDArray[np.int8] | None = None,
    output_sign: float = 1.0,
    patterned: bool = True,
) -> NDArray[np.float64]: ...
def cone_slack(
    X: _Rows, arrangements: Arrangements, group: int, v: NDArray[np.float64]
) -> NDArray[np.float64]: ...
def solve(
    problem: Problem,
    arrangements: Arrangements,
    alpha: float,
    options: SolveOptions,
    blocks: NDArray[np.float64],
    intercept: NDArray[np.float64],
    watch: Watch,
    directions: NDArray[np.float64] | None = None,
) -> Report: ...
def alpha_max(
    problem: Problem,
    arrangements: Arrangements,
    fit_intercept: bool,
    threads: int,
    directions: NDArray[np.float64] | None = None,
) -> float: ...
def slide(
    problem: Problem,
    alpha: float,
    width: list[int],
    solve_options: SolveOptions,
    slide_options: SlideOptions,
    watch: Watch,
    start: _Trees | None = None,
) -> tuple[_Trees, bool]: ...

class StochasticOptions:
    def __init__(
        self,
        *,
        batch: int = ...,
        first_rate: float = ...,
        last_rate: float = ...,
        unit: float = ...,
        seed: int = ...,
        stream: int = ...,
        shared: bool = ...,
        fit_intercept: bool = ...,
        threads: int = ...,
    ) -> None: ...

def descend_stochastically(
    problem: Problem,
    alpha: float,
    width: list[int],
    options: StochasticOptions,
    kinds: _Trees,
    state: _State,
) -> _State: ...
def slide_variables(
    trees: _Trees, width: list[int], shared: bool, fit_intercept: bool, unit: float
) -> NDArray[np.float64]: ...
def trees_at(
    x: NDArray[np.float64], kinds: _Trees, width: list[int], shared: bool, fit_intercept: bool, unit: float
) -> _Trees: ...
def block_dual(
    problem: Problem,
    width: list[int],
    trees: _Trees,
    imbalance: NDArray[np.float64],
    adjoint: bool,
    one_in: int,
    n_nearest: int,
) -> tuple[
    float,
    float,
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.intp],
]: ...
def block_dual_value(
    problem: Problem, width: list[int], trees: _Trees, imbalance: NDArray[np.float64], s: float
) -> float: ...
def cone_scores(
    X: _Rows,
    width: list[int],
    trees: _Trees,
    monotone: NDArray[np.int8] | None,
    z: NDArray[np.float64],
    both_signs: bool,
    floor: float,
    threads: int,
) -> NDArray[np.float64]: ...
def tree_outputs(
    X: _Rows | SparseRows, width: list[int], trees: _Trees, threads: int
) -> NDArray[np.float64]: ...
def search(
    problem: Problem,
    alpha: float,
    width: list[int],
    solve_options: SolveOptions,
    search_options: SearchOptions,
    watch: Watch,
    start: _Trees | None = None,
) -> tuple[
    Arrangements,
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    Report,
    int,
    int,
]: ...

class LossSpec:
    def __init__(self, named: _Loss) -> None: ...

class LossTraits:
    @property
    def name(self) -> str: ...
    @property
    def parameter(self) -> str: ...
    @property
    def default_value(self) -> float: ...
    @property
    def below(self) -> float: ...
    @property
    def in_spreads(self) -> bool: ...
    @property
    def kinked(self) -> bool: ...
    @property
    def log_link(self) -> bool: ...
    @property
    def targets(self) -> str: ...
    @property
    def expects(self) -> str: ...
    def takes(self, y: NDArray[np.float64]) -> NDArray[np.bool_]: ...

def losses() -> list[LossTraits]: ...
def loss_bounds(loss: _Loss, outputs: int) -> tuple[float, float]: ...
def best_constant(y: NDArray[np.float64], w: NDArray[np.float64], loss: _Loss) -> NDArray[np.float64]: ...
def mean_loss(
    f: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], loss: _Loss
) -> float: ...
def fewest_columns(F: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]: ...
def network_predict(
    X: _Rows,
    center: NDArray[np.float64],
    scale: NDArray[np.float64],
    W: NDArray[np.float64],
    bias: NDArray[np.float64],
    gates: NDArray[np.float64],
    gate_bias: NDArray[np.float64],
    signs: NDArray[np.int8],
    output_weights: NDArray[np.float64],
    intercept: NDArray[np.float64],
    width: list[int],
    skip: NDArray[np.float64],
    skip_bias: NDArray[np.float64],
    threads: int,
) -> _Rows | None: ...
