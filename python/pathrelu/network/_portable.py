"""What networks have beside predictions: files, and export to PyTorch, ONNX and text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pathrelu import _validation as check
from pathrelu.export import to_onnx, to_text, to_torch
from pathrelu.files.archive import archive_bytes, json_bytes, to_plain
from pathrelu.files.networks import network_from_dict, network_parts
from pathrelu.files.reading import save_content
from pathrelu.network._data import NetworkData
from pathrelu.summary import Summary, of_network


class PortableNetwork(NetworkData):
    """Methods of a network for files, other runtimes and other languages."""

    def parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What a file of the network holds; `network_from_parts` takes it.

        Returns
        -------
        header : dict
        arrays : dict of str to ndarray
        """
        return network_parts(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file, for `load`: arrays and a JSON header in an uncompressed .npz archive.

        Nothing in it can be executed. An existing file keeps its content until the new one is complete, and
        its mode; a symbolic link stays one, and what it points to is written. FIFOs and character devices
        are written to.

        Parameters
        ----------
        path : str or path-like
            Used as it is; ``.npz`` is customary. If it ends in ``.json``, the file is JSON, `to_dict`,
            instead: longer, and just as exact.

        Raises
        ------
        ValueError
            If `load` would refuse the file, because attributes have been changed. Nothing is written then.
        """
        in_json = Path(check.path(path)).suffix.lower() == ".json"
        content = json_bytes(self.to_dict()) if in_json else archive_bytes(*self.parts())
        save_content(content, path)

    def to_dict(self) -> dict[str, Any]:
        """The network as numbers, text and lists, which JSON can hold without loss.

        Returns
        -------
        dict
            ``format``, ``version``, ``pathrelu_version``, ``kind``, ``width``, ``bias_scale``, ``classes``,
            ``feature_names``, ``target`` and ``arrays``: for each array its ``dtype``, ``shape`` and
            ``values`` in C order, with the text "-inf" for the intercept of a class of probability 0.

        Examples
        --------
        >>> import json
        >>> from pathrelu import ParallelReLUNetwork
        >>> network = ParallelReLUNetwork([[[1.0, -2.0]]], intercept=0.1)
        >>> text = json.dumps(network.to_dict())
        >>> ParallelReLUNetwork.from_dict(json.loads(text)).predict([[3.0, 1.0]])
        array([1.1])
        """
        header, arrays = self.parts()
        return header | {"arrays": {name: to_plain(array) for name, array in arrays.items()}}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The network that `to_dict` described, bit for bit.

        Parameters
        ----------
        content : dict
            As from `to_dict`.

        Returns
        -------
        ParallelReLUNetwork or GatedReLUNetwork
            Of the class this is called on.

        Raises
        ------
        ValueError
            If it is no such description, or has a version, kind, key, shape, dtype or value that is not
            known.
        """
        try:
            network = network_from_dict(content)
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ValueError(f"content does not describe a network: {reason}") from None
        if not isinstance(network, cls):
            raise ValueError(f"content describes a {type(network).__name__}; expected a {cls.__name__}")
        return network

    def to_torch(self, *, dtype: DTypeLike | None = None) -> Any:
        """A trainable PyTorch module with the same outputs.

        Parameters
        ----------
        dtype : {float32, float64}, optional
            That of the leaf weights by default.

        Returns
        -------
        torch.nn.Module
            It maps raw rows (n_rows, n_features) to what `predict` gives: (n_rows,), or (n_rows, n_outputs)
            if there are several outputs. Weights of leaves, edges, outputs and the skip connection and the
            intercept are parameters; what centers and scales rows, and the gates of a gated network, are
            buffers.

        Raises
        ------
        ImportError
            If PyTorch is not installed, ``pip install 'pathrelu[torch]'``.
        ValueError
            If float32 cannot hold a weight, or the center or the scale of a column, which is named.

        Notes
        -----
        In float64 the outputs are those of `predict` to rounding. A float32 module computes gates in float32
        too, where `predict` uses float64: a row within rounding of a gate may fall on its other side.
        """
        return to_torch(self, dtype=dtype)

    def to_onnx(self, path: str | os.PathLike[str], *, dtype: DTypeLike = np.float32) -> None:
        """Write the network to an ONNX file: opset 17, IR version 8, any number of rows.

        Its input is ``X`` (n_rows, n_features), raw rows. A network with `classes` has the outputs ``label``
        (n_rows,) and ``probabilities`` (n_rows, n_classes), any other has ``variable`` (n_rows, n_outputs).
        Names of features and target, classes and the version of pathrelu are in ``metadata_props``, as text
        or JSON. The file is written as `save` writes one, once it has been checked.

        Parameters
        ----------
        path : str or path-like
        dtype : {float32, float64}, default=float32
            Of the rows and of the outputs.

        Raises
        ------
        ImportError
            If onnx is not installed, ``pip install 'pathrelu[onnx]'``.
        ValueError
            If the classes are of several types, or integers beyond 64 bits, which ONNX does not have, or
            float32 cannot hold a weight, or the center or the scale of a column, which is named.

        Notes
        -----
        The file of a gated network computes gates in float64, whatever `dtype`, as `predict` does, so that
        rounding does not turn units on or off; a runtime for it must have float64.
        """
        to_onnx(self, path, dtype=dtype)

    def to_text(
        self,
        language: str = "formula",
        *,
        digits: int | None = None,
        table: str | None = None,
        keep: Sequence[str] = (),
    ) -> str:
        """The whole network as a formula, or as code in SQL, Python or C.

        Parameters
        ----------
        language : {"formula", "sql", "python", "c"}, default="formula"
            "formula" is for people: sub-networks in raw units, those of largest path norm first. "sql" is one
            query in standard SQL (SQLite, PostgreSQL, DuckDB), "python" and "c" (C99) are code that needs the
            standard library alone. The encoder is part of all of them.
        digits : int, optional
            Significant digits of numbers, at most 17. None for 4 in formulas, and for all that outputs take
            in code.
        table : str, optional
            For "sql": the table of the rows; None for "data".
        keep : sequence of str, default=()
            For "sql": columns of the table that the result has too, such as a key.

        Returns
        -------
        str

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of range, or the language cannot hold a name, a level or a label: SQL and
            Python need names of columns that tell them apart, SQL and C text without null characters and
            labels of one type.

        Notes
        -----
        Without `digits`, code gives what `predict` does for float64 rows, to rounding. A network with
        `classes` gives log-odds or logits, probabilities and labels; any other its outputs.
        Code of Python takes dates and times as they are, and refuses rows that `predict` refuses. In SQL and
        C times and durations are numbers of days (since 1970, UTC), what is missing is NULL, or NAN, and sums
        beyond float64 are as the database or the compiler has them. Names and levels are quoted: nothing in
        them is executed.

        Examples
        --------
        >>> from pathrelu import ParallelReLUNetwork
        >>> network = ParallelReLUNetwork(
        ...     [[[1.0, -2.0]], [[0.0, 3.0]]], output_sign=[1, -1], feature_names=["a", "b"]
        ... )
        >>> print(network.to_text())
        prediction = 0
            - max(0, 3*b)
            + max(0, a - 2*b)
        """
        return to_text(self, language, digits=digits, table=table, keep=keep)

    def summary(self, *, max_shown: int = 10, digits: int = 3) -> Summary:
        """What the network is: its size, sub-networks and columns by share of the path norm.

        Parameters
        ----------
        max_shown : int, default=10
            Rows of each table, at most.
        digits : int, default=3
            Significant digits in formulas.

        Returns
        -------
        Summary
            `print` shows it as text, and a notebook as tables.

        Examples
        --------
        >>> from pathrelu import ParallelReLUNetwork
        >>> ParallelReLUNetwork([[[1.0, -2.0]], [[0.0, 3.0]]], feature_names=["a", "b"]).summary()
        2 sub-networks of depth 2, 2 columns, 1 output
        path norm  5.236
        <BLANKLINE>
        Sub-networks by path norm
          path norm  of it  adds in raw units
          3          57.3%  + max(0, 3*b)
          2.236      42.7%  + max(0, a - 2*b)
        <BLANKLINE>
        Columns by share of the path norm
          share  column
          83.3%  b
          16.7%  a
        """
        return of_network(self, max_shown, digits)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()
