"""Reading a model from a file."""

from __future__ import annotations

import io
import os

from pathrelu import _validation as check
from pathrelu.estimators import PathReLUClassifier, PathReLURegressor
from pathrelu.files.reading import read
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork


def load(
    path: str | os.PathLike[str],
) -> ParallelReLUNetwork | GatedReLUNetwork | PathReLURegressor | PathReLUClassifier:
    """Read a network or an estimator that `save` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ParallelReLUNetwork, GatedReLUNetwork, or an estimator
        What was saved.

    Raises
    ------
    ValueError
        If the file is no such model, is damaged, or has a version, kind, key, shape, dtype or value that is
        not known. Nothing in the file is executed, and reading takes memory in proportion to its length.

    Examples
    --------
    >>> import pathrelu, tempfile
    >>> network = pathrelu.ParallelReLUNetwork([[[1.0, -1.0]]])
    >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
    ...     network.save(file.name)
    ...     pathrelu.load(file.name)
    ParallelReLUNetwork(1 sub-networks, depth=2, width=(), n_features=2, n_outputs=1)
    """
    path = check.path(path)
    try:
        with open(path, "rb") as file:
            # What cannot be read from any place, such as a pipe, is taken as a whole.
            model: ParallelReLUNetwork | GatedReLUNetwork | PathReLURegressor | PathReLUClassifier = read(
                file if file.seekable() else io.BytesIO(file.read())
            )
            return model
    except OSError:
        raise
    except Exception as error:
        # Whatever a damaged file trips over, here or in zipfile and json.
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} is not a model that pathrelu can read: {reason}") from None
