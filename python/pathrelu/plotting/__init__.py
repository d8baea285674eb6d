"""Plots of networks and of how they were trained, as scikit-learn displays; they need matplotlib.

A display holds what is drawn, its `plot` draws it, and the classmethods named `from_...` do both. With
``ax=`` nothing is drawn elsewhere; without it there is a new figure of pyplot.
"""

from pathrelu.plotting._arrangement import MOST_TICKS, ArrangementDisplay, path_masks  # noqa: F401
from pathrelu.plotting._axes import BESIDE, NEUTRAL, PALETTE, Grid, Share  # noqa: F401
from pathrelu.plotting._convergence import ConvergenceDisplay
from pathrelu.plotting._decision_boundary import DecisionBoundaryDisplay
from pathrelu.plotting._feature_importance import FeatureImportanceDisplay
from pathrelu.plotting._partial_dependence import PartialDependenceDisplay
from pathrelu.plotting._regularization_path import RegularizationPathDisplay
from pathrelu.plotting._reliability import ReliabilityDisplay
from pathrelu.plotting._subnetwork_importance import SubnetworkImportanceDisplay

__all__ = [
    "ArrangementDisplay",
    "ConvergenceDisplay",
    "DecisionBoundaryDisplay",
    "FeatureImportanceDisplay",
    "PartialDependenceDisplay",
    "RegularizationPathDisplay",
    "ReliabilityDisplay",
    "SubnetworkImportanceDisplay",
]
