"""Networks: what a solution stands for, on any rows."""

from pathrelu.network._assembly import assemble, subnetworks
from pathrelu.network._data import Label
from pathrelu.network._network import GatedReLUNetwork, ParallelReLUNetwork

__all__ = ["GatedReLUNetwork", "Label", "ParallelReLUNetwork", "assemble", "subnetworks"]
