"""The version of the package, where every module may ask for it."""

from importlib.metadata import version

__version__ = version("pathrelu")
