"""The compiled module. Arrays are C-ordered and of exactly the dtype stated; nothing is converted."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Rows = NDArray[np.floating[Any]]  # float32 or float64
_Row = tuple[int, float, float, float, int, float, int, int, float]
_Callback = Callable[[_Row], object] | None

def default_threads() -> int: ...
def kernel_level() -> str: ...
def kernel_levels() -> list[str]: ...
def use_kernels(level: str) -> None: ...

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
    rows: NDArray[np.float64], width: list[int], most: int, tol: float, threads: int
) -> tuple[Arrangements, NDArray[np.float64]]: ...
def most_regions(m: int, dim: int) -> float: ...

_Correlation = tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]

def exact_correlation(
    rows: NDArray[np.float64], theta: NDArray[np.float64], threads: int
) -> _Correlation: ...
def branch_and_bound(
    rows: NDArray[np.float64],
    theta: NDArray[np.float64],
    floor: float,
    tol: float,
    max_nodes: int,
    until_found: bool,
    threads: int,
) -> _Correlation: ...
def dual_point(
    f: NDArray[np.float64],
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    loss: str,
    fit_intercept: bool,
) -> NDArray[np.float64]: ...
def dual_bound(
    theta: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], loss: str, cap: float
) -> float: ...
def product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]: ...
def triangular_factor(a: NDArray[np.float64]) -> NDArray[np.float64]: ...
def singular_values(
    a: NDArray[np.float64], all: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def eigenvalues(a: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def least_squares(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]: ...

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
    def __init__(
        self, *, n_starts: int = ..., max_rounds: int = ..., seed: int = ..., skip_connection: bool = ...
    ) -> None: ...

class Report:
    @property
    def objective(self) -> float: ...
    @property
    def dual_objective(self) -> float: ...
    @property
    def gap(self) -> float: ...
    @property
    def objective_at_zero(self) -> float: ...
    @property
    def converged(self) -> bool: ...
    @property
    def stopped(self) -> bool: ...
    @property
    def n_iter(self) -> int: ...
    @property
    def n_active(self) -> int: ...
    @property
    def history(self) -> list[_Row]: ...

class _MaskedOperator:
    def forward(self, V: NDArray[np.float64], exact: bool = True) -> NDArray[np.float64]: ...
    def adjoint(self, r: NDArray[np.float64], exact: bool = True) -> NDArray[np.float64]: ...

class MaskedOperatorFloat32(_MaskedOperator): ...
class MaskedOperatorFloat64(_MaskedOperator): ...

def masked_operator(
    X: _Rows, arrangements: Arrangements, threads: int = 1
) -> MaskedOperatorFloat32 | MaskedOperatorFloat64: ...
def project(
    X: _Rows, arrangements: Arrangements, group: int, z: NDArray[np.float64]
) -> NDArray[np.float64]: ...
def cone_slack(
    X: _Rows, arrangements: Arrangements, group: int, v: NDArray[np.float64]
) -> NDArray[np.float64]: ...
def solve(
    X: _Rows,
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    arrangements: Arrangements,
    alpha: float,
    loss: str,
    relu: bool,
    options: SolveOptions,
    blocks: NDArray[np.float64],
    intercept: NDArray[np.float64],
    callback: _Callback = None,
    stop: Callable[[], bool] | None = None,
    seconds: float = ...,
) -> Report: ...
def alpha_max(
    X: _Rows,
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    arrangements: Arrangements,
    loss: str,
    relu: bool,
    fit_intercept: bool,
    threads: int,
) -> float: ...
def search(
    X: _Rows,
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    alpha: float,
    width: list[int],
    loss: str,
    relu: bool,
    solve_options: SolveOptions,
    search_options: SearchOptions,
    callback: _Callback = None,
    stop: Callable[[], bool] | None = None,
    seconds: float = ...,
    start: tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.int8], NDArray[np.int64]] | None = None,
) -> tuple[Arrangements, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], Report, int, int]: ...
def mean_loss(f: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], loss: str) -> float: ...
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
    coef: NDArray[np.float64],
    output: NDArray[np.int64],
    intercept: NDArray[np.float64],
    width: list[int],
    skip: NDArray[np.float64],
    skip_bias: NDArray[np.float64],
    threads: int,
) -> _Rows | None: ...
