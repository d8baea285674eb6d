"""A figure of a model, as the bytes of a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from pathrelu.cli.tables import check_output, refuse

FORMATS = (".png", ".svg", ".pdf")
DPI = 200  # of a screen with fine pixels


def check_figure(path: Path, *inputs: Path) -> None:
    """Refuse what could not be drawn or written, before any work."""
    if path.suffix.lower() not in FORMATS:
        refuse(f"--plot is {path}; expected a name that ends with {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    check_output(path, *inputs)
    try:
        import matplotlib
    except ModuleNotFoundError:
        refuse("--plot needs matplotlib: pip install 'pathrelu[plot]'")
    matplotlib.use("agg")  # nothing is shown


def figure_of(model: Any, X: Any, suffix: str) -> bytes:
    """How outputs depend on the most important columns over rows X or, without rows, what is important."""
    from matplotlib import pyplot as plt

    from pathrelu.plotting import FeatureImportanceDisplay, PartialDependenceDisplay

    display: Any = FeatureImportanceDisplay if X is None else PartialDependenceDisplay
    figure = display.from_estimator(model, *([] if X is None else [X])).figure_
    try:
        file = io.BytesIO()
        figure.savefig(file, format=suffix.lower().lstrip("."), dpi=DPI, bbox_inches="tight")
        return file.getvalue()
    finally:
        plt.close(figure)
