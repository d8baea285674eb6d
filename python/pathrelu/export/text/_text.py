"""Which languages there are, and what each can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pathrelu import _validation as check
from pathrelu.export.graph import Network, label_array
from pathrelu.export.text._c import c_of
from pathrelu.export.text._formula import formula_of
from pathrelu.export.text._program import program_of
from pathrelu.export.text._python import python_of
from pathrelu.export.text._sql import sql_of

LANGUAGES = ("formula", "sql", "python", "c")
MOST_DIGITS = 17  # with which any float64 comes back as it was


def to_text(
    network: Network,
    language: str = "formula",
    *,
    digits: int | None = None,
    table: str | None = None,
    keep: Sequence[str] = (),
    exponential: bool = False,
) -> str:
    """The network as text; see `ParallelReLUNetwork.to_text`.

    Parameters
    ----------
    network : ParallelReLUNetwork or GatedReLUNetwork
    language : {"formula", "sql", "python", "c"}, default="formula"
    digits : int, optional
    table : str, optional
    keep : sequence of str, default=()
    exponential : bool, default=False
        Whether outputs of the network are logarithms of what is predicted.

    Returns
    -------
    str
    """
    language = check.choice(language, "language", LANGUAGES)
    digits = None if digits is None else check.count(digits, "digits", most=MOST_DIGITS)
    if table is not None:
        check.instance(table, str, "table", "the name of a table")
    kept: list[Any] = check.sequence(keep, "keep", "a sequence of names of columns")
    for name in kept:
        check.instance(name, str, "an entry of keep")
    if len(set(kept)) < len(kept):
        raise ValueError(f"keep is {kept}; expected no name twice")
    if language != "sql" and (table is not None or kept):
        given = f"table is {table!r}" if table is not None else f"keep is {kept}"
        raise ValueError(f"{given} and language is {language!r}; expected 'sql', which alone has tables")
    names = network.feature_names
    if language in ("sql", "python") and names is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two columns are called {twice!r}; expected names that tell columns apart")
    if language == "formula":
        return formula_of(network, digits, exponential)
    if language != "python":
        label_array(network, {"sql": "SQL", "c": "C"}[language])  # refuses what the language does not have
    program = program_of(network, exponential)
    if language == "sql":
        return sql_of(program, digits, "data" if table is None else table, kept)
    return python_of(program, digits) if language == "python" else c_of(program, digits)
