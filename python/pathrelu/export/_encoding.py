"""Nodes of an encoder in ONNX: from raw columns to those that leaves have weights for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathrelu.encoding import TableEncoder
from pathrelu.encoding._columns import UNKNOWN, Categories
from pathrelu.encoding._plan import MISSING, Plan
from pathrelu.encoding._raw import TEXT, TIME
from pathrelu.export._nodes import Graph, element_type

DOUBLE = np.dtype(np.float64)
ML_DOMAIN = "ai.onnx.ml"


def one_input(encoder: TableEncoder | None) -> bool:
    """Whether raw rows are one array: without text, and without times, for which float32 is too coarse."""
    return encoder is None or not any(column.kind in (TEXT, TIME) for column in encoder.columns_)


def input_dtypes(encoder: TableEncoder, precision: np.dtype[Any]) -> list[np.dtype[Any]]:
    """Types of the inputs of the columns, where each has its own."""
    of_kind = {TEXT: np.dtype(np.str_), TIME: DOUBLE}
    return [of_kind.get(column.kind, precision) for column in encoder.columns_]


def encoded_columns(
    encoder: TableEncoder, graph: Graph, inputs: Sequence[str], precision: np.dtype[Any]
) -> str:
    """Encoded columns (n, n_encoded) of one array (n, columns), or of one (n, 1) for each column."""
    fill = Plan.of(encoder).fill
    if encoder.plain and len(inputs) == 1:
        gaps = graph.node("IsNaN", inputs[0])
        return graph.node("Where", gaps, graph.constant(fill.astype(precision)), inputs[0])

    def double(name: str) -> str:
        return graph.node("Cast", name, to=element_type(DOUBLE))

    if one_input(encoder):
        Z = double(inputs[0])
    else:
        columns = []
        for column, name in zip(encoder.columns_, inputs, strict=True):
            if isinstance(column, Categories) and column.kind == TEXT:
                name = _places(graph, column, encoder.missing_values, name)
            columns.append(double(name))
        Z = graph.node("Concat", *columns, axis=1)
    return graph.node("Cast", _by_plan(Plan.of(encoder), graph, Z), to=element_type(precision))


def _places(graph: Graph, column: Categories, missing: Sequence[str], name: str) -> str:
    """Places of text among the levels of a column."""
    marks = [mark for mark in missing if mark not in column.levels]
    places = [float(k) for k in range(len(column.levels))] + [MISSING] * len(marks)
    return graph.node(
        "LabelEncoder",
        name,
        domain=ML_DOMAIN,
        keys_strings=[*column.levels, *marks],
        values_floats=places,
        default_float=UNKNOWN,
    )


def _by_plan(plan: Plan, graph: Graph, Z: str) -> str:
    def constant(array: NDArray[Any]) -> str:
        return graph.constant(array)

    def columns(table: str, places: NDArray[np.int64]) -> str:
        return graph.node("Gather", table, constant(places), axis=1)

    def as_double(truth: str) -> str:
        return graph.node("Cast", truth, to=element_type(DOUBLE))

    gaps = graph.node("IsNaN", Z)
    P = filled = graph.node("Where", gaps, constant(plan.fill), Z)
    if len(plan.cycle_of):
        moved = graph.node("Add", columns(filled, plan.cycle_of), constant(plan.offset))
        period = constant(plan.period)
        whole = graph.node("Mul", graph.node("Floor", graph.node("Div", moved, period)), period)
        P = graph.node("Concat", filled, graph.node("Sub", moved, whole), axis=1)
    made = []
    if len(plan.value):
        made.append(columns(P, plan.value))
    if len(plan.ramp):
        above = graph.node("Mul", columns(P, plan.ramp), constant(plan.unit))
        share = graph.node("Div", graph.node("Sub", above, constant(plan.low)), constant(plan.width))
        made.append(graph.node("Clip", share, constant(np.zeros(())), constant(np.ones(()))))
    if len(plan.equal):
        known = graph.node("Where", gaps, constant(np.array(MISSING)), Z)
        made.append(as_double(graph.node("Equal", columns(known, plan.equal), constant(plan.place))))
    if len(plan.gap):
        made.append(as_double(graph.node("IsNaN", columns(Z, plan.gap))))
    table = made[0] if len(made) == 1 else graph.node("Concat", *made, axis=1)
    return columns(table, plan.order)
