"""Rows on the workers of a Dask cluster; needs ``pip install pathrelu[dask]``."""
