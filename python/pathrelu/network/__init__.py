"""Networks: what a solution stands for, on any rows."""

from pathrelu.network._network import GatedReLUNetwork, ParallelReLUNetwork

__all__ = ["GatedReLUNetwork", "ParallelReLUNetwork"]
