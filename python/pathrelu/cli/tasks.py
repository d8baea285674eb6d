"""What the commands do: train, predict, evaluate, inspect and certify files, and the demonstration."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from pathrelu import _validation as check
from pathrelu import losses
from pathrelu.alpha import LEAST_ROWS, held_out_folds
from pathrelu.certificate import certify as certified
from pathrelu.cli import metrics
from pathrelu.cli.figures import check_figure, figure_of
from pathrelu.cli.layout import Layout
from pathrelu.cli.tables import (
    AS_FOUND,
    Table,
    check_output,
    features,
    features_of,
    gathered,
    listed,
    note,
    read,
    refuse,
)
from pathrelu.encoding._columns import Categories
from pathrelu.estimators import PathReLUClassifier, PathReLURegressor, winners
from pathrelu.files.archive import write_file
from pathrelu.files.loading import load
from pathrelu.inspection import (
    feature_importance,
    network_of,
    subnetwork_formulas,
    subnetwork_importance,
)
from pathrelu.model_selection import PathReLUClassifierCV, PathReLURegressorCV
from pathrelu.network import GatedReLUNetwork, ParallelReLUNetwork
from pathrelu.progress import part

Model: TypeAlias = PathReLUClassifier | PathReLURegressor
Network: TypeAlias = ParallelReLUNetwork | GatedReLUNetwork

ESTIMATORS: dict[tuple[str, bool], type[Model]] = {  # by task and whether alpha is chosen by cross-validation
    ("regression", False): PathReLURegressor,
    ("regression", True): PathReLURegressorCV,
    ("classification", False): PathReLUClassifier,
    ("classification", True): PathReLUClassifierCV,
}
MOST_CLASSES = 20  # distinct integers that --task auto takes for classes
ROWS_OF_FEW = 2  # of each of these, or they are as good as all different
MANY_CLASSES, ROWS_OF_MANY = 100, 10  # up to how many of so many rows each may be meant as classes


def train_file(
    data: Path,
    target: str,
    output: Path,
    *,
    task: str = "auto",
    ignore: tuple[str, ...] = (),
    na: tuple[str, ...] = (),
    sample_weight: str | None = None,
    class_weight: str | None = None,
    loss: str | None = None,
    quantile: float | None = None,
    threshold: float | None = None,
    cv: int | None = None,
    jobs: int | None = None,
    monotone: tuple[str, ...] = (),
    held_out: bool = False,
    layout: Layout = AS_FOUND,
    ask: Callable[[str], str] | None = None,
    **parameters: Any,
) -> tuple[Model, dict[str, Any]]:
    """Train on a table, save the model, and tell what it is; `ask` about a task that is not clear.

    With `held_out` a network of four fifths of the rows is measured on the others, in half of `max_seconds`.
    """
    check_output(output, data)
    if cv is None and jobs is not None:
        refuse("--jobs is for --cv, which was not given")
    if cv is not None:
        if parameters.pop("alpha", "auto") != "auto":
            refuse("--alpha and --cv were given; expected one of them, for --cv chooses alpha")
        parameters |= {"cv": cv, "n_jobs": jobs}
    of_loss = loss_options(loss, quantile, threshold)
    directions = directions_of(monotone)
    table = read(data, na, layout)
    table.require(target, *ignore, *([] if sample_weight is None else [sample_weight]), *directions)
    table = table.with_targets(target)
    left_out = {target, sample_weight, *ignore}
    if strange := [name for name in directions if name in left_out]:
        refuse(f"--monotone names the column {strange[0]!r}, from which nothing is predicted")
    if directions:
        parameters["monotonic_cst"] = directions
    names = [name for name in table.names if name not in left_out]
    if not names:
        refuse(f"{table.path} has no column besides the target {target!r}")
    with gathered() as attempt:
        if task == "auto":
            task = attempt(task_of, table, target, ask)
        for option, value, wanted in (
            ("--loss", loss, "regression"),
            ("--class-weight", class_weight, "classification"),
        ):
            if value is not None and task not in (wanted, None):
                refuse(f"{option} is for a {wanted}, and {target!r} makes this a {task}")
        if task is not None:
            y = attempt(table.labels if task == "classification" else table.numbers, target)
        weight = None if sample_weight is None else attempt(table.numbers, sample_weight)
        X = attempt(features, table, names)
    if task == "regression":
        parameters |= of_loss
    if class_weight is not None:
        parameters["class_weight"] = class_weight
    if task == "classification" and len(set(y.tolist())) < 2:
        refuse(
            f"{table.path}: column {target!r} has only the class {str(y[0])!r}; expected at least 2 classes"
        )
    if held_out and parameters.get("max_seconds") is not None:
        parameters["max_seconds"] = check.positive(parameters["max_seconds"], "max_seconds") / 2
    model: Model = ESTIMATORS[task, cv is not None](**parameters)
    with part("all rows" if held_out else ""):
        model.fit(X, y, sample_weight=weight)
    measured = measured_on_held_out(model, X, y, weight) if held_out else None
    model.set_params(verbose=0)  # which was that of this terminal
    model.network_.target = target
    encoder = model.network_.encoder
    assert encoder is not None
    encoder.missing_values = (*encoder.missing_values, *na)  # for rows to predict
    model.save(output)
    return model, summary_of(model, model.network_) | {"rows": len(table), "held_out": measured}


def measured_on_held_out(
    model: Model, X: pd.DataFrame, y: NDArray[Any], weight: NDArray[Any] | None
) -> dict[str, Any] | None:
    """Metrics, on a fifth of the rows, of a network trained as the model was on the others.

    Equal rows are on one side, and every class is in training. None, with a note, where that cannot be.
    """
    _, group = np.unique(pd.util.hash_pandas_object(X, index=False), return_inverse=True)
    codes = np.unique(y, return_inverse=True)[1] if isinstance(model, PathReLUClassifier) else None
    fold = held_out_folds(group[:, np.newaxis].astype(np.float64), codes, check.seed(model.random_state))
    if fold is None:
        note(f"nothing is held out to measure on: fewer than {LEAST_ROWS} rows differ")
        return None
    test = fold == 0
    of = np.ones(len(y)) if weight is None else weight
    trial: Model = clone(model)
    try:
        of_test = check.raw_weights(of[test], int(test.sum()))
        with warnings.catch_warnings(), part("without those held out"):
            warnings.simplefilter("ignore", ConvergenceWarning)  # which the model itself has given
            trial.fit(X[~test], y[~test], sample_weight=of[~test])
        measured = measured_on(trial, X[test], y[test], of_test)
    except ValueError as error:
        note(f"no network of fewer rows could be measured on those held out: {error}")
        return None
    return {"rows": int(test.sum()), "metrics": measured}


def measured_on(
    model: Any, X: Any, y: NDArray[Any], weight: NDArray[Any] | None, n_threads: int | None = None
) -> metrics.Compared:
    """Metrics of a model or a network on rows, beside those of the best constant for them."""
    network = network_of(model)
    weight = check.raw_weights(weight, len(y))
    outputs = outputs_of(model, network, X, n_threads).astype(np.float64)
    if network.classes is None:
        loss = getattr(model, "loss", "squared_error")
        options = (getattr(model, name, None) for name in ("quantile", "threshold"))
        return metrics.of_values(y, outputs, weight, loss, losses.parameter(loss, *options))
    places = {label: place for place, label in enumerate(network.classes)}
    place = np.array([places[label] for label in y.tolist()])
    return metrics.of_classes(place, np.exp(losses.log_probabilities(outputs)), weight)


def directions_of(monotone: tuple[str, ...]) -> dict[str, int]:
    """Directions by column, from texts like ``area=+``."""
    directions: dict[str, int] = {}
    for text in monotone:
        name, _, sign = text.rpartition("=")
        if not name or sign not in ("+", "-"):
            refuse(f"--monotone is {text!r}; expected a column and a sign, such as area=+ or area=-")
        if name in directions:
            refuse(f"--monotone names the column {name!r} twice; expected one direction")
        directions[name] = 1 if sign == "+" else -1
    return directions


def loss_options(loss: str | None, quantile: float | None, threshold: float | None) -> dict[str, Any]:
    """Parameters of a regression for its loss and those of the loss, which are refused with another one."""
    options: dict[str, Any] = {"loss": loss or "squared_error", "quantile": quantile, "threshold": threshold}
    for name in ("quantile", "threshold"):
        owner = next(other for other in losses.NAMES if losses.TABLE[other].parameter == name)
        if options[name] is not None and options["loss"] != owner:
            refuse(f"--{name} is for --loss {owner}, and the loss is {options['loss']}")
    losses.parameter(**options)
    return options


def task_of(table: Table, target: str, ask: Callable[[str], str] | None = None) -> str:
    """What the target makes the task: classification if it is text, or few distinct integers.

    Where whole numbers may be either, `ask` tells, given what they are; without, they are numbers.
    """
    if not table.is_numeric(target):
        labels = len(set(table.text(target).tolist()))
        if labels > MOST_CLASSES and 2 * labels > len(table):
            many = f"column {target!r} is text, {labels} different ones in {len(table)} rows"
            refuse(f"{table.path}: {many}; --task classification takes them as classes all the same")
        return "classification"
    distinct = np.unique(table.numbers(target, "; --task classification takes it as a label"))
    rows, count = len(table), len(distinct)
    if not np.all(distinct == np.round(distinct)):
        return "regression"
    if count <= MOST_CLASSES and ROWS_OF_FEW * count <= rows:
        return "classification"
    if count > MANY_CLASSES or ROWS_OF_MANY * count > rows:
        return "regression"
    what = f"{table.path}: column {target!r} has {count} distinct whole numbers"
    if ask is not None:
        return ask(what)
    note(f"{what} and is taken as a number; --task classification takes these as classes")
    return "regression"


def predict_file(
    path: Path,
    rows: Path,
    proba: bool = False,
    n_threads: int | None = None,
    layout: Layout = AS_FOUND,
    keep: tuple[str, ...] = (),
    digits: int | None = None,
) -> pd.DataFrame:
    """Predictions of a saved model for a table, to so many digits, beside columns of it to keep."""
    model = load(path)
    network = network_of(model)
    if network.feature_names is None:
        refuse(f"{path} has no names of columns: it was trained on an array without them")
    if proba and network.classes is None:
        refuse(f"{path} is a regression and has no probabilities")
    table = read(rows, marks_of(network), layout)
    table.require(*keep)
    X = features_of(table, network, path)
    outputs = outputs_of(model, network, X, n_threads)
    name = network.target or "prediction"
    result: dict[str, Any]
    if network.classes is not None:
        result = {name: [network.classes[k] for k in winners(outputs)]}
        if proba:
            share = np.exp(losses.log_probabilities(outputs))
            result |= {f"probability of {label}": share[:, k] for k, label in enumerate(network.classes)}
    elif outputs.ndim == 1:
        result = {name: outputs}
    else:
        result = {f"{name} {k}": outputs[:, k] for k in range(outputs.shape[1])}
    if both := [column for column in keep if column in result]:
        refuse(f"--keep {both[0]} is what a column of predictions is called; rename it in {table.path}")
    if digits is not None:
        for column, values in result.items():
            if np.asarray(values).dtype.kind == "f" and (network.classes is None or column != name):
                result[column] = [float(f"{value:.{digits}g}") for value in values]
    return pd.DataFrame({column: table.text(column) for column in keep} | result)


def outputs_of(model: Any, network: Network, X: Any, n_threads: int | None) -> NDArray[np.floating[Any]]:
    """Values, or log-odds or logits."""
    outputs: NDArray[np.floating[Any]] = network.predict(X, n_threads=n_threads)
    return losses.means(outputs) if getattr(model, "log_link", False) else outputs


def summary_of(model: Any, network: Network) -> dict[str, Any]:
    """What is known of a model; objective and gap are None if only its network was saved."""
    chosen = hasattr(model, "cv_results_")
    return {
        "task": "regression" if network.classes is None else "classification",
        "target": network.target,
        "classes": network.classes,
        "feature_names": network.feature_names,
        "categories": categories_of(network),
        "n_features": network.n_features,
        "activation": network.kind,
        "depth": network.depth,
        "width": list(network.width),
        "skip_connection": network.skip_connection,
        "n_outputs": network.n_outputs,
        "shared_outputs": network.shared_outputs,
        "n_subnetworks": network.n_subnetworks,
        "path_norm": network.path_norm(),
        "alpha": getattr(model, "alpha_", getattr(model, "alpha", None)),
        "cv": {"folds": model.n_splits_, "alphas": model.alphas_, "score": model.best_score_}
        if chosen
        else None,
        "loss": getattr(model, "loss", None if network.classes is None else "log_loss"),
        "log_link": getattr(model, "log_link", False),
        "objective": getattr(model, "objective_", None),
        "dual_gap": getattr(model, "dual_gap_", None),
    }


def marks_of(network: Network) -> tuple[str, ...]:
    """Texts that stand for missing values in rows of a network."""
    return () if network.encoder is None else tuple(network.encoder.missing_values)


def categories_of(network: Network) -> dict[str, list[str]]:
    """Levels of the columns of text that have encoded columns of their own."""
    if network.encoder is None or network.feature_names is None:
        return {}
    pairs = zip(network.feature_names, network.encoder.columns_, strict=True)
    return {name: list(column.levels) for name, column in pairs if isinstance(column, Categories)}


def inspected(
    path: Path, data: Path | None, layout: Layout = AS_FOUND, plot: Path | None = None
) -> dict[str, Any]:
    """What a saved model is, with its sub-networks and features by path norm; and a figure of it."""
    if plot is not None:
        check_figure(plot, path, *([] if data is None else [data]))
    model = load(path)
    network = network_of(model)
    names = network.feature_names or [str(k) for k in range(network.n_features)]
    X = None if data is None else features_of(read(data, marks_of(network), layout), network, path)
    with np.errstate(all="ignore"):  # of outputs that are infinite, which then have no share
        importance = subnetwork_importance(network, X)
    units = [
        {"name": k, "output": output, "sign": sign, "output_weights": weights, "path_norm": norm}
        for k, (output, sign, weights, norm) in enumerate(
            zip(
                importance.output_index.tolist(),
                importance.output_sign.tolist(),
                network.output_weights.tolist(),
                importance.path_norm.tolist(),
                strict=True,
            )
        )
    ]
    linear = importance.skip_path_norm
    if linear is not None:
        units += [
            {"name": "skip connection", "output": c, "sign": 1, "output_weights": weights, "path_norm": norm}
            for c, (weights, norm) in enumerate(
                zip(np.eye(network.n_outputs).tolist(), linear.tolist(), strict=True)
            )
        ]
    for unit, formula in zip(units, subnetwork_formulas(network), strict=False):
        unit["formula"] = formula
    if importance.variance_share is not None:
        shares = [importance.variance_share]
        if importance.skip_variance_share is not None:
            shares.append(importance.skip_variance_share)
        for unit, share in zip(units, np.concatenate(shares).tolist(), strict=True):
            unit["variance_share"] = share
    features = [
        {"name": name, "path_norm": norm}
        for name, norm in zip(names, feature_importance(model).tolist(), strict=True)
    ]
    if plot is not None:
        write_file(plot, figure_of(model, X, plot.suffix))
    return summary_of(model, network) | {"subnetworks": units, "features": features}


def certify_file(
    path: Path,
    data: Path,
    *,
    target: str | None,
    alpha: float | None,
    loss: str | None,
    quantile: float | None,
    threshold: float | None,
    sample_weight: str | None,
    method: str,
    tol: float | None,
    max_nodes: int,
    max_seconds: float | None,
    threads: int | None,
    verbose: int = 0,
    layout: Layout = AS_FOUND,
) -> dict[str, Any]:
    """Bounds on the optimum of the training problem of a saved model, and what they mean."""
    model = load(path)
    network = network_of(model)
    if network.classes is None and network.n_outputs > 1:
        refuse(
            f"{path} has {network.n_outputs} outputs; expected 1. pathrelu.certify takes several in Python"
        )
    known = getattr(model, "alpha_", getattr(model, "alpha", None))
    if known is not None and alpha not in (None, known):
        refuse(f"{path} was trained with alpha {known:g}; expected no other --alpha than that")
    alpha = alpha if known is None else float(known)
    if alpha is None:
        refuse(f"{path} does not tell the alpha of its training: give it with --alpha")
    for name, given in (("loss", loss), ("quantile", quantile), ("threshold", threshold)):
        if given is None:
            continue
        if network.classes is not None:
            refuse(f"--{name} is for a regression")
        if hasattr(model, "loss") and given != getattr(model, name):
            own = getattr(model, name)
            told = f"the {name} {own}" if own is not None else f"no {name}"
            refuse(f"{path} was trained with {told}; expected no other --{name} than that")
    # A fitted estimator knows all that its training problem is made of.
    options: dict[str, Any] = {}
    if model is network:
        of_classes = network.classes is not None
        options = {"loss": "log_loss"} if of_classes else loss_options(loss, quantile, threshold)
        options["alpha"] = alpha
    X, y, weight = rows_with_targets(path, network, data, target, sample_weight, layout)
    certificate = certified(
        model,
        X,
        y,
        method=method,
        **options,
        sample_weight=weight,
        tol=tol,
        max_nodes=max_nodes,
        max_seconds=max_seconds,
        verbose=verbose,
        n_threads=threads,
    )
    notes = []
    if certificate.arrangements is not None:
        notes.append(
            "--method solver looks at the sub-networks it has alone; --method auto bounds the optimum."
        )
    elif certificate.vacuous:
        notes.append(
            "The bound neither supports nor questions the network. It gets better for a larger alpha, fewer "
            "columns, or more work: larger --max-nodes, and --max-seconds if they were given."
        )
    else:
        each = " of one output each" if certificate.details.get("outputs") == "separate" else ""
        of = "gated" if isinstance(network, GatedReLUNetwork) else "ReLU"
        notes.append(
            f"On these {len(y)} rows no {of} network of depth {network.depth}, of whatever number of "
            f"sub-networks{each}, has an objective below {certificate.lower:.6g}."
        )
    trained = getattr(model, "objective_", None)
    if trained is not None and abs(trained - certificate.upper) > 1e-3 * abs(trained):
        notes.append(
            f"The objective in training was {trained:.6g}: these are other rows or weights than those of "
            "training."
        )
    return {
        "upper": certificate.upper,
        "lower": certificate.lower,
        "gap": certificate.gap,
        "relative_gap": certificate.relative_gap,
        "vacuous": certificate.vacuous,
        "certifies_optimum": certificate.arrangements is None and not certificate.vacuous,
        "method": certificate.method,
        "seconds": certificate.seconds,
        "details": certificate.details,
        "text": str(certificate),
        "notes": notes,
    }


def evaluate_file(
    path: Path,
    rows: Path,
    target: str | None,
    sample_weight: str | None,
    n_threads: int | None = None,
    layout: Layout = AS_FOUND,
) -> dict[str, Any]:
    """Metrics of a saved model on a table with the targets."""
    model = load(path)
    network = network_of(model)
    if network.classes is None and network.n_outputs > 1:
        refuse(f"{path} has {network.n_outputs} outputs; expected 1. pathrelu.load takes it in Python")
    X, y, weight = rows_with_targets(path, network, rows, target, sample_weight, layout)
    return {
        "task": "regression" if network.classes is None else "classification",
        "target": target or network.target,
        "rows": len(y),
        "metrics": measured_on(model, X, y, weight, n_threads),
    }


def rows_with_targets(
    path: Path,
    network: Network,
    data: Path,
    target: str | None,
    sample_weight: str | None,
    layout: Layout,
) -> tuple[Any, NDArray[Any], NDArray[Any] | None]:
    """Rows of a table as the network of a file takes them, their targets and their weights."""
    if network.feature_names is None:
        refuse(f"{path} has no names of columns: it was trained on an array without them")
    target = target or network.target
    if target is None:
        refuse(f"{path} does not tell the column it predicts: give it with --target")
    table = read(data, marks_of(network), layout)
    table.require(target, *([] if sample_weight is None else [sample_weight]))
    table = table.with_targets(target)
    with gathered() as attempt:
        X = attempt(features_of, table, network, path)
        of_targets = (table.numbers,) if network.classes is None else (labels_of, table, network.classes)
        y = attempt(*of_targets, target)
        weight = None if sample_weight is None else attempt(table.numbers, sample_weight)
    return X, y, weight


def labels_of(table: Table, classes: list[Any], target: str) -> NDArray[Any]:
    """A column as labels of a model, whichever way these are written."""
    known = {str(label): label for label in classes}
    labels = table.labels(target).tolist()
    for row, label in enumerate(labels):
        if str(label) not in known:
            table.refuse_cell(target, row, str(label), f"is none of the classes {listed(classes)}")
    return np.array([known[str(label)] for label in labels])
