"""Tables as they are: from numbers with gaps, text, categories, booleans and times to columns of numbers."""

from pathrelu.encoding._encoder import TableEncoder
from pathrelu.encoding._raw import RawTable as RawTable

__all__ = ["TableEncoder"]
