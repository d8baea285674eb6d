"""Plots of networks and of how they were trained, as scikit-learn displays; they need matplotlib.

A display holds what is drawn, its `plot` draws it, and the classmethods named `from_...` do both. With
``ax=`` nothing is drawn elsewhere; without it there is a new figure of pyplot.
"""

from pathrelu.plotting._regularization_path import (  # noqa: F401
    BESIDE,
    MOST_TICKS,
    NEUTRAL,
    PALETTE,
    ArrangementDisplay,
    ConvergenceDisplay,
    DecisionBoundaryDisplay,
    FeatureImportanceDisplay,
    RegularizationPathDisplay,
    SubnetworkImportanceDisplay,
    _colors,
    path_masks,
)

__all__ = [
    "ArrangementDisplay",
    "ConvergenceDisplay",
    "DecisionBoundaryDisplay",
    "FeatureImportanceDisplay",
    "RegularizationPathDisplay",
    "SubnetworkImportanceDisplay",
]
