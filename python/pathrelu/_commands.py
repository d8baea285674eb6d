"""The command line. Every error of the user is one message on stderr, exit code 2, and no file written."""

from __future__ import annotations

import csv
import os
import secrets
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from pathrelu import PathReLUClassifier, PathReLURegressor, __version__, load
from pathrelu.estimators import log_probabilities, winners

MOST_CLASSES = 20  # distinct integers that --task auto takes for classes


class InputError(click.ClickException):
    exit_code = 2


@click.group()
@click.version_option(__version__)
def commands() -> None:
    """Parallel ReLU networks under path regularization, trained by convex optimization."""


@commands.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="Column to predict; all others are features.")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="Where to write the model (.npz)."
)
@click.option(
    "--task",
    type=click.Choice(["auto", "regression", "classification"]),
    default="auto",
    show_default=True,
    help=f"auto: classification if the target is text or has at most {MOST_CLASSES} distinct integers.",
)
@click.option("--depth", default=2, show_default=True, help="Layers of weights.")
@click.option("--width", default=4, show_default=True, help="Children of a unit beyond depth 2.")
@click.option("--alpha", default=0.01, show_default=True, help="Weight of the path norm, above 0.")
@click.option("--activation", type=click.Choice(["relu", "gated"]), default="relu", show_default=True)
@click.option("--arrangements", type=click.Choice(["search", "sample"]), default="search", show_default=True)
@click.option("--n-arrangements", default=500, show_default=True, help="For --arrangements sample.")
@click.option("--tol", default=1e-4, show_default=True, help="Duality gap to reach, relative.")
@click.option("--max-iter", default=10_000, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Same seed, same model.")
@click.option("--threads", type=int, default=None, help="Default: what OpenMP allows the process.")
def train(
    data: Path, target: str, output: Path, task: str, threads: int | None, seed: int, **parameters: Any
) -> None:
    """Train a network on the CSV file DATA and write it to a model file."""
    with reported():
        model = train_file(data, target, output, task, n_threads=threads, random_state=seed, **parameters)
    describe(model)
    click.echo(f"wrote {output}")


@commands.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("rows", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path), default=None, help="CSV file to write; default: stdout."
)
@click.option("--proba", is_flag=True, help="Probabilities of the classes too.")
@click.option("--threads", type=int, default=None, help="Default: what OpenMP allows the process.")
def predict(model: Path, rows: Path, output: Path | None, proba: bool, threads: int | None) -> None:
    """Predict the rows of the CSV file ROWS, which needs the columns that the MODEL was trained on."""
    with reported():
        if output is not None:
            check_output(output)
        result = predict_file(model, rows, proba, threads)
        if output is not None:
            write(output, result)
        else:
            click.echo(result.to_csv(index=False), nl=False)


@commands.command()
@click.option("--alpha", default=0.01, show_default=True, help="Weight of the path norm, above 0.")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", type=int, default=None, help="Default: what OpenMP allows the process.")
def demo(alpha: float, seed: int, threads: int | None) -> None:
    """Train on the breast-cancer table of scikit-learn, and compare on the quarter of it held out."""
    with reported():
        run_demo(alpha, seed, threads)


@contextmanager
def reported() -> Iterator[None]:
    """Errors of the user as one line, and warnings as one line each."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", ConvergenceWarning)
            warnings.showwarning = lambda message, *_, **__: click.echo(f"Warning: {message}", err=True)
            yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise InputError(f"{place}{error.strerror or error}") from None
    except ValueError as error:
        raise InputError(str(error)) from None


def train_file(
    data: Path, target: str, output: Path, task: str, **parameters: Any
) -> PathReLUClassifier | PathReLURegressor:
    """Train on a CSV file and save the network."""
    check_output(output)
    frame = read(data)
    if target not in frame:
        refuse(f"{data} has no column {target!r}; it has {listed(frame.columns)}")
    names = [name for name in frame.columns if name != target]
    if not names:
        refuse(f"{data} has no column besides the target {target!r}")
    X = features(data, frame, names)
    cells = frame[target].to_numpy(dtype=object)
    for row, cell in enumerate(cells):
        if cell.strip().lower() in ("", "nan"):
            refuse_cell(data, target, row, cell, "is missing")

    numbers = None if parsed(cells) is None else column(data, target, cells)
    if task == "auto":
        few = numbers is not None and len(np.unique(numbers)) <= MOST_CLASSES
        whole = numbers is not None and bool(np.all(numbers == np.round(numbers)))
        task = "classification" if numbers is None or (few and whole) else "regression"
    table = pd.DataFrame(X, columns=names)
    model: PathReLUClassifier | PathReLURegressor
    if task == "classification":
        if len(set(cells)) < 2:
            refuse(f"{data}: column {target!r} has only the class {cells[0]!r}; expected at least 2 classes")
        model = PathReLUClassifier(**parameters).fit(table, labels(cells))
    else:
        model = PathReLURegressor(**parameters).fit(table, column(data, target, cells))
    model.network_.target = target
    model.network_.save(output)
    return model


def predict_file(path: Path, rows: Path, proba: bool = False, n_threads: int | None = None) -> pd.DataFrame:
    """Predictions of a saved network for a CSV file."""
    model: Any = load(path)
    network = getattr(model, "network_", model)
    if network.feature_names is None:
        refuse(f"{path} has no names of columns; it was not written by `pathrelu train`")
    if proba and network.classes is None:
        refuse(f"{path} is a regression and has no probabilities")
    frame = read(rows)
    if missing := [name for name in network.feature_names if name not in frame]:
        refuse(f"{rows} lacks {listed(missing)}; {path} was trained on {len(network.feature_names)} columns")
    outputs = network.predict(features(rows, frame, network.feature_names), n_threads=n_threads)
    name = network.target or "prediction"
    if network.classes is None:
        return pd.DataFrame({name: outputs})
    result: dict[str, Any] = {name: [network.classes[k] for k in winners(outputs)]}
    if proba:
        share = np.exp(log_probabilities(outputs))
        result |= {f"probability of {label}": share[:, k] for k, label in enumerate(network.classes)}
    return pd.DataFrame(result)


def describe(model: PathReLUClassifier | PathReLURegressor) -> None:
    network = model.network_
    classes = "" if network.classes is None else f" into {len(network.classes)} classes"
    kind = "regression" if network.classes is None else "classification"
    click.echo(f"{kind} of {network.target!r}{classes} from {network.n_features} features")
    click.echo(f"objective      {model.objective_:.6g}")
    click.echo(f"duality gap    {model.dual_gap_:.2e} (over the arrangements used)")
    click.echo(f"sub-networks   {model.n_subnetworks_} of depth {network.depth}")


def run_demo(alpha: float, seed: int, n_threads: int | None) -> None:
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer(as_frame=True)
    table = data.data.assign(diagnosis=data.target_names[data.target])
    shown, held_out = train_test_split(table, test_size=0.25, stratify=table["diagnosis"], random_state=0)
    truth = held_out["diagnosis"].to_numpy()
    click.echo(f"breast cancer: {len(shown)} rows to train on, {len(held_out)} held out")

    with tempfile.TemporaryDirectory() as folder:
        train_csv, rows_csv, model_npz = (
            Path(folder) / name for name in ("train.csv", "rows.csv", "model.npz")
        )
        shown.to_csv(train_csv, index=False)
        held_out.drop(columns="diagnosis").to_csv(rows_csv, index=False)
        begin = time.perf_counter()
        model = train_file(
            train_csv, "diagnosis", model_npz, "auto", alpha=alpha, random_state=seed, n_threads=n_threads
        )
        seconds = time.perf_counter() - begin
        predicted = predict_file(model_npz, rows_csv, n_threads=n_threads)["diagnosis"].to_numpy()
    describe(model)

    click.echo(f"\n{'held-out accuracy':<28}{'':>8}  seconds to train")
    click.echo(f"{'PathReLUClassifier':<28}{np.mean(predicted == truth):>8.4f}  {seconds:.2f}")
    for name, rival in (
        ("LogisticRegression", LogisticRegression(max_iter=1000)),
        ("MLPClassifier", MLPClassifier(max_iter=1000, random_state=seed)),
    ):
        begin = time.perf_counter()
        pipeline = make_pipeline(StandardScaler(), rival).fit(
            shown.drop(columns="diagnosis"), shown["diagnosis"]
        )
        seconds = time.perf_counter() - begin
        accuracy = pipeline.score(held_out.drop(columns="diagnosis"), truth)
        click.echo(f"{name:<28}{accuracy:>8.4f}  {seconds:.2f}")


def read(path: Path) -> pd.DataFrame:
    """A CSV file with a header, every cell as it is written."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        try:
            header = next(csv.reader(file), [])
        except (csv.Error, UnicodeDecodeError) as error:
            refuse(f"{path} is not a CSV file in UTF-8: {error}")
    if not header:
        refuse(f"{path} is empty; expected a header and rows")
    for name in header:
        if name == "":
            refuse(f"{path} has a column without a name in its header: {listed(header)}")
        if header.count(name) > 1:
            refuse(f"{path} has the column {name!r} more than once")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                encoding="utf-8-sig",
                dtype=str,
                na_filter=False,
                index_col=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError) as error:
        refuse(f"{path} is not a CSV file: {str(error).strip()}")
    if len(frame) == 0:
        refuse(f"{path} has a header but no rows")
    return frame


def features(path: Path, frame: pd.DataFrame, names: list[str]) -> NDArray[np.float64]:
    return np.stack([column(path, name, frame[name].to_numpy(object)) for name in names], axis=1)


def column(path: Path, name: str, cells: NDArray[np.object_]) -> NDArray[np.float64]:
    """Cells as finite numbers, or an error that names the first that is not."""
    numbers = parsed(cells)
    if numbers is not None and np.isfinite(numbers).all():
        return numbers
    for row, cell in enumerate(cells):
        number = parsed(cells[row : row + 1])
        if cell.strip() == "":
            refuse_cell(path, name, row, cell, "is empty")
        if number is None:
            refuse_cell(path, name, row, cell, "is not a number")
        if not np.isfinite(number).all():
            refuse_cell(path, name, row, cell, "is not finite")
    raise AssertionError("every cell is a finite number")


def parsed(cells: NDArray[np.object_]) -> NDArray[np.float64] | None:
    """Cells as numbers, or None; underscores, which Python allows in numbers, do not make one."""
    try:
        return None if any("_" in cell for cell in cells) else cells.astype(np.float64)
    except ValueError:
        return None


def labels(cells: NDArray[np.object_]) -> NDArray[Any]:
    """Labels as integers or booleans if that is exactly what all of them are written as, else as text."""
    if set(cells) <= {"True", "False"}:
        return np.array([cell == "True" for cell in cells])
    try:
        numbers = np.array([int(cell) for cell in cells], dtype=np.int64)
    except (ValueError, OverflowError):
        numbers = np.zeros(0, dtype=np.int64)
    return numbers if numbers.astype(str).tolist() == cells.tolist() else np.array(cells.tolist())


def refuse(message: str) -> NoReturn:
    raise InputError(message)


def refuse_cell(path: Path, name: str, row: int, cell: str, complaint: str) -> NoReturn:
    shown = "" if cell.strip() == "" else f" {cell[:40]!r}"
    refuse(f"{path}: the cell{shown} in column {name!r}, row {row + 1} {complaint} (the header is row 0)")


def listed(names: Any, most: int = 10) -> str:
    names = list(names)
    return ", ".join(map(repr, names[:most])) + (
        f" and {len(names) - most} more" if len(names) > most else ""
    )


def check_output(path: Path) -> None:
    """Refuse, before any work, what could not be written to."""
    if path.is_dir():
        refuse(f"{path} is a directory; expected a file to write to")
    if not path.parent.is_dir():
        refuse(f"{path.parent} is not a directory; expected one to write {path.name} to")
    if not os.access(path.parent, os.W_OK):
        refuse(f"{path.parent} is not writable")


def write(path: Path, frame: pd.DataFrame) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        frame.to_csv(draft, index=False)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
