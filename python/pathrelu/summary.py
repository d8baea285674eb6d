"""What a model, a solution or a certificate comes to, in words: as text, and as HTML in notebooks."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pathrelu import _validation as check
from pathrelu._importance import importance_by_feature
from pathrelu.export.text import MOST_DIGITS, subnetworks_of
from pathrelu.export.text._program import column_names

__all__ = ["Summary"]

MOST_CHARACTERS = 100  # of a formula in a table; `subnetwork_formulas` has the whole of it


@dataclass(frozen=True)
class Table:
    """Rows of text under heads; all columns but the last are short."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def lines(self) -> list[str]:
        """As text, in columns."""
        cells = [list(self.heads), *map(list, self.rows)]
        widths = [max(len(row[k]) for row in cells) for k in range(len(self.heads))]
        return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]

    def html(self) -> str:
        """As an element of HTML."""

        def row(kind: str, cells: Sequence[str]) -> str:
            return f"<tr>{''.join(f'<{kind}>{html.escape(cell)}</{kind}>' for cell in cells)}</tr>"

        body = "".join(row("td", cells) for cells in self.rows)
        caption = f"<caption>{html.escape(self.title)}</caption>"
        return f"<table>{caption}<thead>{row('th', self.heads)}</thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True, repr=False)
class Summary:
    """What `summary` of a model, a solution or a certificate returns; `print` shows it, and a notebook too.

    Attributes
    ----------
    title : str
    facts : dict of str to str
        A line each.
    tables : list of Table
    """

    title: str
    facts: dict[str, str]
    tables: list[Table] = field(default_factory=list)

    def __str__(self) -> str:
        width = max(map(len, self.facts), default=0)
        lines = [self.title, *(f"{name:<{width}}  {text}" for name, text in self.facts.items())]
        for table in self.tables:
            lines += ["", table.title, *(f"  {line}" for line in table.lines())]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        facts = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self.facts.items()
        )
        tables = "".join(table.html() for table in self.tables)
        return (
            f'<div class="pathrelu-summary"><style>{STYLE}</style><strong>{html.escape(self.title)}</strong>'
            f"<table><tbody>{facts}</tbody></table>{tables}</div>"
        )


# Of this element alone. Notebooks align cells to the right, and give tables no caption.
STYLE = (
    ".pathrelu-summary{overflow-x:auto;max-width:100%}"
    ".pathrelu-summary table{margin:.5em 0;border-collapse:collapse}"
    ".pathrelu-summary :is(th,td){text-align:left;vertical-align:top;padding:.15em .9em .15em 0}"
    ".pathrelu-summary caption{text-align:left;font-weight:bold;caption-side:top;white-space:nowrap}"
)


def of_network(
    network: Any, max_shown: Any, digits: Any, *, shares: Any = None, importance: Any = None
) -> Summary:
    """That of a network: `shares` of the variance of each sub-network may be known, and of columns."""
    max_shown = check.count(max_shown, "max_shown")
    digits = check.count(digits, "digits", most=MOST_DIGITS)
    gated = "gated " if network.kind == "gated" else ""
    skip = " and a linear part" if network.skip_connection else ""
    title = (
        f"{network.n_subnetworks} {gated}sub-networks of depth {network.depth}{skip}, "
        f"{_several(network.n_features, 'column')}, {_several(network.n_outputs, 'output')}"
    )
    facts = {"path norm": f"{network.path_norm():.4g}"}
    tables = _tables(network, shares, importance, max_shown, digits)
    return Summary(title, facts, tables)


def _tables(network: Any, shares: Any, importance: Any, most: int, digits: int) -> list[Table]:
    norms, tables = network.subnetwork_norms(), []
    total = network.path_norm()
    if len(norms):
        formulas = subnetworks_of(network, digits)
        known = shares is not None and len(shares) == len(norms) and np.isfinite(shares).any()
        order = np.argsort(-np.nan_to_num(shares if known else norms), kind="stable")
        rows = []
        for k in order[:most].tolist():
            formula = " ".join(formulas[k].split())
            if len(formula) > MOST_CHARACTERS:
                formula = f"{formula[: MOST_CHARACTERS - 4]} ..."
            first = [f"{shares[k]:.1%}"] if known else []
            rows.append([*first, f"{norms[k]:.4g}", f"{norms[k] / total:.1%}" if total else "-", formula])
        heads = [*(["variance"] if known else []), "path norm", "of it", "adds in raw units"]
        if network.n_outputs > 1:
            heads[-1] = "is in raw units"
        if known and network.skip_connection and network.n_outputs == 1:
            rows.append([f"{1 - shares.sum():.1%}", f"{total - norms.sum():.4g}", "", "the linear part"])
        of = "share of the variance on training rows" if known else "path norm"
        tables.append(Table(f"Sub-networks by {of}{_left(len(norms), most)}", heads, rows))
    if importance is None:
        importance = importance_by_feature(network, np.ones(network.n_columns)).sum(axis=0)
    if importance.sum() > 0:
        names, order = column_names(network), np.argsort(-importance, kind="stable")
        share = importance / importance.sum()
        rows = [[f"{share[j]:.1%}", " ".join(names[j].split())] for j in order[:most].tolist()]
        title = f"Columns by share of the path norm{_left(len(names), most)}"
        tables.append(Table(title, ["share", "column"], rows))
    return tables


def _left(count: int, most: int) -> str:
    return f", the first {most} of {count}" if count > most else ""


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def of_estimator(model: Any, max_shown: Any, digits: Any) -> Summary:
    """That of a fitted estimator."""
    network = model.network_
    shares = getattr(model, "variance_shares_", None)
    found = of_network(network, max_shown, digits, shares=shares, importance=model.feature_importances_)
    facts = {}
    scores = getattr(model, "training_scores_", None)
    if scores:
        facts["training rows"] = ", ".join(f"{TITLES[name]} {value:.4g}" for name, value in scores.items())
    if held_out := _held_out(model):
        facts["held-out rows"] = held_out
    alphas = ", ".join(f"{alpha:.4g}" for alpha in np.atleast_1d(model.alpha_))
    facts["alpha"] = f"{alphas}, {_chosen(model)}"
    if network.encoder is not None:
        facts["encoding"] = (
            f"numbers {network.encoder.numeric_}, {_several(network.n_columns, 'encoded column')}"
        )
    if directions := _directions(getattr(model, "monotonic_cst_", None), network.feature_names):
        facts["monotone"] = directions
    facts |= found.facts
    facts["objective"] = _gap(model.objective_, model.dual_gap_)
    kind = "monotone networks" if directions else "networks"
    facts["certificate"] = f"pathrelu.certify(model, X, y) bounds the optimum of all {kind}"
    return Summary(f"{type(model).__name__}: {found.title}", facts, found.tables)


def _directions(directions: Any, names: Sequence[str] | None) -> str:
    """In which columns outputs never fall, and in which they never rise."""
    if directions is None:
        return ""
    said = []
    for direction, words in ((1, "never falls in"), (-1, "never rises in")):
        columns = np.flatnonzero(directions == direction).tolist()
        if columns:
            told = [f"column {k}" if names is None else names[k] for k in columns]
            said.append(f"{words} {', '.join(told)}")
    return "; ".join(said)


TITLES = {"accuracy": "accuracy", "log_loss": "log-loss", "r2": "R²", "rmse": "RMSE", "mae": "MAE"}


def _gap(objective: float, gap: float) -> str:
    if not math.isfinite(gap):
        return f"{objective:.6g}, of the mean of several networks: gaps are of one"
    share = f" ({gap / objective:.2g} of it)" if objective > 0 else ""
    return f"{objective:.6g}, at most {gap:.2g}{share} above the optimum over the arrangements used"


def _held_out(model: Any) -> str:
    """What those rows have said of what was chosen."""
    if hasattr(model, "cv_results_"):
        deviation = model.cv_results_["std_test_score"][model.best_index_]
        return f"score {model.best_score_:.4g} ± {deviation:.2g} over {_several(model.n_splits_, 'split')}"
    path = getattr(model, "path_", None)
    if not path:
        return ""
    encoder = model.network_.encoder
    own = path["encoding"] == ("none" if encoder is None else encoder.numeric_)
    programs = np.unique(path["program"])
    least = [float(path["held_out_loss"][own & (path["program"] == program)].min()) for program in programs]
    loss, mean = getattr(model, "loss", "log_loss"), sum(least) / len(least)
    if loss != "squared_error":
        return f"{TITLES.get(loss, loss.replace('_', ' '))} {mean:.4g}"
    square, scores = 2 * mean, getattr(model, "training_scores_", {"rmse": 0.0, "r2": math.nan})
    spread = scores["rmse"] ** 2 / (1 - scores["r2"]) if scores["r2"] < 1 else math.nan
    determined = f"R² {1 - square / spread:.4g}, " if len(least) == 1 and spread > 0 else ""
    return f"{determined}RMSE {math.sqrt(square):.4g}"


def _chosen(model: Any) -> str:
    if hasattr(model, "cv_results_"):
        rule = ", the largest within one standard error" if model.one_standard_error else ", the best score"
        return f"by cross-validation{rule} of {_several(len(model.alphas_), 'setting')} tried"
    path = getattr(model, "path_", None)
    if path:
        return f"of least loss on held-out rows among {_several(len(path['alpha']), 'network')} on the way"
    return "from the noise that gradients have" if model.alpha == "auto" else "as given"


def of_solution(solution: Any, max_shown: Any, digits: Any) -> Summary:
    """That of a solution."""
    found = of_network(solution.network(), max_shown, digits)
    arrangements = _several(len(solution.arrangements), "arrangement")
    directions = _directions(solution.monotonic_cst, None)
    facts = {
        "program": f"{solution.activation}, {solution.loss.replace('_', ' ')}, over {arrangements}",
        "alpha": f"{solution.alpha:.6g}",
        **({"monotone": directions} if directions else {}),
        "objective": _gap(solution.objective, solution.gap),
        "of a constant": f"{solution.objective_at_zero:.6g}",
        "end": "interrupted"
        if solution.interrupted
        else "converged"
        if solution.converged
        else "not converged",
        **found.facts,
    }
    return Summary(f"Solution: {found.title}", facts, found.tables)


def of_certificate(certificate: Any) -> Summary:
    """That of a certificate."""
    words = str(certificate)
    facts = {
        "in a sentence": words[0].upper() + words[1:],
        "objective": f"{certificate.upper:.6g}",
        "lower bound": f"{certificate.lower:.6g}",
        "relative gap": "vacuous" if certificate.vacuous else f"{certificate.relative_gap:.2g}",
        "covers": certificate.covers,
        "method": f"{certificate.method}, {certificate.seconds:.2g} s",
    }
    return Summary("Certificate", facts)
