"""Rows on the workers of a Dask cluster; needs ``pip install pathrelu[dask]``."""

try:
    from pathrelu.dask._estimators import DaskPathReLUClassifier, DaskPathReLURegressor
except ModuleNotFoundError as error:
    if error.name is not None and error.name.partition(".")[0] in ("dask", "distributed", "pandas"):
        error.add_note("pathrelu.dask needs dask and distributed: pip install 'pathrelu[dask]'")
    raise

__all__ = ["DaskPathReLUClassifier", "DaskPathReLURegressor"]
