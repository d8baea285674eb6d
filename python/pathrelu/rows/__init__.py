"""Rows that are read in pieces: from memory, from files, or on workers."""

from pathrelu.rows.sources import ArraySource, ParquetSource, Source

__all__ = ["ArraySource", "ParquetSource", "Source"]
