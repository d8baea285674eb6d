"""Certificates: how far a network is from the global optimum of its training problem."""

from pathrelu.certificate._certify import certify
from pathrelu.certificate._relaxation import Relaxation, relaxation
from pathrelu.certificate._result import Certificate

__all__ = ["Certificate", "Relaxation", "certify", "relaxation"]
