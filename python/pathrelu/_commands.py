"""The command line. Every error of the user is one message on stderr, exit code 2, and no file written."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click
import numpy as np
import pandas as pd
from click.shell_completion import CompletionItem, get_completion_class
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from pathrelu import (
    GatedReLUNetwork,
    ParallelReLUNetwork,
    PathReLUClassifier,
    PathReLUClassifierCV,
    PathReLURegressor,
    PathReLURegressorCV,
    __version__,
    load,
    losses,
)
from pathrelu import certify as certified
from pathrelu._tables import (
    EXTENSIONS,
    FORMATS,
    InputError,
    Table,
    check_output,
    features,
    features_of,
    listed,
    read,
    refuse,
    write,
    written,
)
from pathrelu.certificate import METHODS
from pathrelu.estimators import log_probabilities, winners
from pathrelu.files.archive import json_bytes, write_file
from pathrelu.inspection import feature_importance, network_of, subnetwork_importance
from pathrelu.training import labelled_weights

Model: TypeAlias = PathReLUClassifier | PathReLURegressor
Network: TypeAlias = ParallelReLUNetwork | GatedReLUNetwork

ESTIMATORS: dict[tuple[str, bool], type[Model]] = {  # by task and whether alpha is chosen by cross-validation
    ("regression", False): PathReLURegressor,
    ("regression", True): PathReLURegressorCV,
    ("classification", False): PathReLUClassifier,
    ("classification", True): PathReLUClassifierCV,
}
MOST_CLASSES = 20  # distinct integers that --task auto takes for classes
INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 + the number of the signal, as shells count

EXIT_CODES = """
\b
Exit codes:
  0    done; what a warning says has still been done
  1    a bug in pathrelu: please report it, with what --traceback shows
  2    an error in the options, files or data; nothing was written
  130  interrupted by Ctrl-C; nothing was written
  141  the reader of a pipe went away
"""


class BugError(click.ClickException):
    exit_code = 1


# Not generic at run time before click 8.4.
if TYPE_CHECKING:
    AlphaBase = click.ParamType[float | str]
else:
    AlphaBase = click.ParamType


class Alpha(AlphaBase):
    name = "number|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        return "auto" if value == "auto" else float(click.FLOAT.convert(value, param, ctx))


class Commands(click.Group):
    """A group whose commands end as `EXIT_CODES` says, without tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", ConvergenceWarning)
                warnings.showwarning = lambda message, *_, **__: click.echo(f"Warning: {message}", err=True)
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nInterrupted; nothing was written.", err=True)
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
            raise SystemExit(BROKEN_PIPE) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params["traceback"]:
                traceback.print_exc()
            if isinstance(error, OSError):
                place = f"{error.filename}: " if error.filename else ""
                raise InputError(f"{place}{error.strerror or error}") from None
            if isinstance(error, ValueError | MemoryError | ImportError):
                raise InputError(str(error) or type(error).__name__) from None
            raise BugError(
                f"this is a bug in pathrelu {__version__}: {type(error).__name__}: {error}\n"
                "Please report it with what `pathrelu --traceback ...` shows."
            ) from None


@click.group(cls=Commands, epilog=EXIT_CODES)
@click.version_option(__version__)
@click.option("--traceback", is_flag=True, envvar="PATHRELU_TRACEBACK", help="Show where an error came from.")
def commands(traceback: bool) -> None:
    """Parallel ReLU networks under path regularization, trained by convex optimization."""


def columns(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Columns of the table that is among the arguments so far, for completion."""
    try:
        # An option that still waits for its value leaves the arguments unparsed.
        path = context.params["data"] or Path(next(name for name in context.args if Path(name).is_file()))
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                names = next(csv.reader(file))
        except UnicodeDecodeError:
            names = read(path).names
    except Exception:  # a shell that completes must not see errors
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


PATH = click.Path(path_type=Path)
threads = click.option(
    "--threads", type=int, help="Default: what OpenMP allows the process. -2: all but one."
)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for machines.")
quiet = click.option("--quiet", is_flag=True, help="No progress and no summary; warnings are shown.")
target_option = click.option(
    "--target", required=True, shell_complete=columns, help="Column to predict; all others are features."
)


@commands.command()
@click.argument("data", type=PATH)
@target_option
@click.option("--output", required=True, type=PATH, help="Where to write the model (.npz).")
@click.option(
    "--task",
    type=click.Choice(["auto", "regression", "classification"]),
    default="auto",
    show_default=True,
    help=f"auto: classification if the target is text or has at most {MOST_CLASSES} distinct integers.",
)
@click.option("--ignore", multiple=True, shell_complete=columns, help="Column to leave out; can be repeated.")
@click.option("--one-hot", is_flag=True, help="Turn each column of text into one column for each category.")
@click.option("--sample-weight", shell_complete=columns, help="Column of weights of the rows.")
@click.option("--class-weight", type=click.Choice(["balanced"]), help="Give all classes the same weight.")
@click.option(
    "--alpha",
    type=Alpha(),
    default="auto",
    show_default=True,
    help="Weight of the path norm, above 0; auto follows the scale of the target and the residuals.",
)
@click.option("--cv", type=click.IntRange(min=2), help="Choose alpha by cross-validation with so many folds.")
@click.option("--jobs", type=int, help="Folds fitted at the same time, for --cv.  [default: 1]")
@click.option("--depth", default=2, show_default=True, help="Layers of weights.")
@click.option("--width", default=4, show_default=True, help="Children of a unit beyond depth 2.")
@click.option("--skip-connection", is_flag=True, help="Add a linear part.")
@click.option("--prune", is_flag=True, help="End with no more sub-networks than there are rows.")
@click.option("--low-rank", type=int, help="Train on so many principal scores.")
@click.option(
    "--loss",
    type=click.Choice(losses.REGRESSION),
    help="Of a regression.  [default: squared_error]",
)
@click.option("--activation", type=click.Choice(["relu", "gated"]), default="relu", show_default=True)
@click.option("--arrangements", type=click.Choice(["search", "sample"]), default="search", show_default=True)
@click.option("--n-arrangements", default=500, show_default=True, help="For --arrangements sample.")
@click.option("--tol", default=1e-4, show_default=True, help="Duality gap to reach, relative.")
@click.option("--max-iter", default=10_000, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Same seed, same model.")
@threads
@quiet
@as_json
def train(
    data: Path,
    target: str,
    output: Path,
    quiet: bool,
    as_json: bool,
    seed: int,
    threads: int | None,
    **options: Any,
) -> None:
    """Train a network on the table DATA (CSV, gzipped or not, or Parquet) and write it to a model file.

    Columns must be numbers without gaps; --one-hot encodes columns of text.
    """
    begin = time.perf_counter()
    with convergence() as converged:
        _, summary = train_file(
            data,
            target,
            output,
            random_state=seed,
            n_threads=threads,
            verbose=int(sys.stderr.isatty() and not quiet),
            **options,
        )
    summary |= {"converged": converged(), "seconds": time.perf_counter() - begin, "output": str(output)}
    if as_json:
        echo_json(summary)
    elif not quiet:
        describe(summary)
        click.echo(f"wrote {output}")


@commands.command()
@click.argument("model", type=PATH)
@click.argument("rows", type=PATH)
@click.option("--output", type=PATH, help="File to write; default: stdout.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Of the output.  [default: by the extension of --output, else csv]",
)
@click.option("--proba", is_flag=True, help="Probabilities of the classes too.")
@threads
@as_json
def predict(
    model: Path,
    rows: Path,
    output: Path | None,
    form: str | None,
    proba: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Predict ROWS, a table with the columns that MODEL was trained on; further columns are ignored."""
    if output is None:
        if form == "parquet":
            refuse("--format parquet needs --output")
        if form is not None and as_json:
            refuse("--json and --format both say what goes to stdout; expected one of them")
    else:
        check_output(output, model, rows)
        form = form or EXTENSIONS.get(output.suffix.lower(), "csv")
    result = predict_file(model, rows, proba, threads)
    if output is not None:
        write(output, result, form or "csv")
    if as_json:
        document: dict[str, Any] = {"rows": len(result), "output": None if output is None else str(output)}
        echo_json(document | ({"predictions": result.to_dict("records")} if output is None else {}))
    elif output is None:
        click.echo(written(result, form or "csv"), nl=False)


@commands.command()
@click.argument("model", type=PATH)
@click.argument("data", type=PATH, required=False)
@click.option("--top", default=10, show_default=True, help="Sub-networks and features to show.")
@as_json
def inspect(model: Path, data: Path | None, top: int, as_json: bool) -> None:
    """Show what a MODEL is: its kind, sub-networks, important features, objective and duality gap.

    With a table DATA, also the share that each sub-network has in the variance of its output on these rows.
    """
    summary = inspected(model, data)
    if as_json:
        echo_json(summary)
        return
    describe(summary)
    for title, entries in (("sub-network", summary["subnetworks"]), ("feature", summary["features"])):
        ranked = sorted(entries, key=lambda entry: -entry["path_norm"])
        if not ranked:
            continue
        names = [str(entry["name"]) for entry in ranked[:top]]
        width = max(map(len, [title, *names]))
        variance = "variance_share" in ranked[0]
        several = title == "sub-network" and summary["n_outputs"] > 1
        heads = ["  path norm  share", "  of variance" if variance else "", "  output" if several else ""]
        click.echo(f"\n{title:<{width}}{''.join(heads)}")
        total = sum(entry["path_norm"] for entry in ranked) or 1.0
        for name, entry in zip(names, ranked, strict=False):
            share = entry["path_norm"] / total
            line = f"{name:<{width}}  {entry['path_norm']:>9.4g}  {share:>5.1%}"
            if variance:  # none of an output that is constant
                part = entry["variance_share"]
                line += f"  {'-' if math.isnan(part) else f'{part:.1%}':>11}"
            line += f"  {outputs_of(summary)[entry['output']]}" if several else ""
            click.echo(line if several else f"{line}  {'#' * round(30 * share)}".rstrip())
        if len(ranked) > top:
            click.echo(f"and {len(ranked) - top} more")


@commands.command()
@click.argument("model", type=PATH)
@click.argument("data", type=PATH)
@click.option("--target", shell_complete=columns, help="Default: the column that the model was trained on.")
@click.option("--sample-weight", shell_complete=columns, help="Column of weights of the rows.")
@click.option("--alpha", type=float, help="Of the training, for a file that does not tell.")
@click.option(
    "--loss",
    type=click.Choice(losses.REGRESSION),
    help="Of a regression, for a file that does not tell.",
)
@click.option("--method", type=click.Choice(METHODS), default="auto", show_default=True)
@click.option("--tol", type=float, help="Relative gap to reach.")
@click.option("--max-nodes", default=1_000_000, show_default=True, help="Most cones to look into.")
@threads
@as_json
def certify(model: Path, data: Path, as_json: bool, **options: Any) -> None:
    """Bound how far MODEL is from the global optimum of its training problem on the table DATA.

    DATA is as a rule the table of training, with the target. Exact for tables of up to 3 columns or so (with
    the bias), good for up to 6, loose beyond, which is said.
    """
    summary = certify_file(model, data, **options)
    if as_json:
        echo_json(summary)
        return
    for line in (summary["text"], *summary["notes"]):
        click.echo(line)


@commands.command()
@click.argument("model", type=PATH)
@click.option("--onnx", type=PATH, help="ONNX file to write: labels and probabilities, or values.")
@click.option("--to-json", type=PATH, help="JSON file to write: the arrays of the network, as text.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    help="Of the rows that the ONNX file takes.  [default: float32]",
)
@as_json
def export(model: Path, onnx: Path | None, to_json: Path | None, dtype: str | None, as_json: bool) -> None:
    """Write MODEL for other programs. The file of a model itself is read by pathrelu.load in Python."""
    if onnx is None and to_json is None:
        refuse("nothing to write; expected --onnx or --to-json, or both")
    if dtype is not None and onnx is None:
        refuse("--dtype is for --onnx")
    outputs = [path for path in (onnx, to_json) if path is not None]
    for path in outputs:
        check_output(path, model)
    if len({path.resolve() for path in outputs}) < len(outputs):
        refuse("--onnx and --to-json name the same file")
    loaded = load(model)
    if onnx is not None:
        loaded.to_onnx(onnx, dtype=np.dtype(dtype or "float32"))
    if to_json is not None:
        write_file(to_json, json_bytes(network_of(loaded).to_dict()))
    if as_json:
        echo_json({"written": list(map(str, outputs))})
    else:
        for path in outputs:
            click.echo(f"wrote {path}")


@commands.command()
@click.option(
    "--alpha",
    type=Alpha(),
    default="auto",
    show_default=True,
    help="Weight of the path norm, above 0; auto follows the scale of the target and the residuals.",
)
@click.option("--seed", default=0, show_default=True)
@threads
@as_json
def demo(alpha: float | str, seed: int, threads: int | None, as_json: bool) -> None:
    """Train on the breast-cancer table of scikit-learn, and compare on the quarter of it held out."""
    summary = run_demo(alpha, seed, threads)
    if as_json:
        echo_json(summary)
        return
    click.echo(f"breast cancer: {summary['rows']} rows to train on, {summary['held_out']} held out")
    describe(summary["model"])
    click.echo(f"\n{'held-out accuracy':<28}{'':>8}  seconds to train")
    for result in summary["results"]:
        click.echo(f"{result['name']:<28}{result['accuracy']:>8.4f}  {result['seconds']:.2f}")


@commands.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes commands, options, files and columns in a SHELL.

    \b
    bash: pathrelu completion bash > ~/.local/share/bash-completion/completions/pathrelu
    zsh:  pathrelu completion zsh > ~/.zfunc/_pathrelu   (with ~/.zfunc in fpath)
    fish: pathrelu completion fish > ~/.config/fish/completions/pathrelu.fish
    """  # noqa: D301  \b is click's mark of a paragraph that is not to be wrapped
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(commands, {}, "pathrelu", "_PATHRELU_COMPLETE").source())


@contextmanager
def convergence() -> Iterator[Any]:
    """Yields a function that tells whether there was no `ConvergenceWarning` so far."""
    categories: list[type[Warning]] = []
    show = warnings.showwarning

    def seen(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
        categories.append(category)
        show(message, category, *place, **more)

    warnings.showwarning = seen
    try:
        yield lambda: not any(issubclass(category, ConvergenceWarning) for category in categories)
    finally:
        warnings.showwarning = show


def echo_json(document: Any) -> None:
    click.echo(json.dumps(plain(document), ensure_ascii=False, allow_nan=False))


def plain(value: Any) -> Any:
    """A document as JSON has it: without arrays, and with null for what is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def train_file(
    data: Path,
    target: str,
    output: Path,
    *,
    task: str = "auto",
    ignore: tuple[str, ...] = (),
    one_hot: bool = False,
    sample_weight: str | None = None,
    class_weight: str | None = None,
    loss: str | None = None,
    cv: int | None = None,
    jobs: int | None = None,
    **parameters: Any,
) -> tuple[Model, dict[str, Any]]:
    """Train on a table, save the model, and tell what it is."""
    check_output(output, data)
    if cv is None and jobs is not None:
        refuse("--jobs is for --cv, which was not given")
    if cv is not None:
        if parameters.pop("alpha", "auto") != "auto":
            refuse("--alpha and --cv were given; expected one of them, for --cv chooses alpha")
        parameters |= {"cv": cv, "n_jobs": jobs}
    table = read(data)
    table.require(target, *ignore, *([] if sample_weight is None else [sample_weight]))
    left_out = {target, sample_weight, *ignore}
    names = [name for name in table.names if name not in left_out]
    if not names:
        refuse(f"{data} has no column besides the target {target!r}")
    task = task_of(table, target) if task == "auto" else task
    for option, value, wanted in (
        ("--loss", loss, "regression"),
        ("--class-weight", class_weight, "classification"),
    ):
        if value is not None and task != wanted:
            refuse(f"{option} is for a {wanted}, and {target!r} makes this a {task}")
    if loss is not None:
        parameters["loss"] = loss
    if class_weight is not None:
        parameters["class_weight"] = class_weight
    weight = None if sample_weight is None else table.numbers(sample_weight)
    y = table.labels(target) if task == "classification" else table.numbers(target)
    if task == "classification" and len(set(y.tolist())) < 2:
        refuse(f"{data}: column {target!r} has only the class {str(y[0])!r}; expected at least 2 classes")
    X, columns, categories = features(table, names, one_hot)
    model: Model = ESTIMATORS[task, cv is not None](**parameters)
    model.fit(pd.DataFrame(X, columns=columns), y, sample_weight=weight)
    model.set_params(verbose=0)  # which was that of this terminal
    model.network_.target = target
    model.save(output)
    return model, summary_of(model, model.network_) | {"rows": len(table), "categories": categories}


def task_of(table: Table, target: str) -> str:
    """What the target makes the task: classification if it is text, or few distinct integers."""
    if not table.is_numeric(target):
        return "classification"
    distinct = np.unique(table.numbers(target, "; --task classification takes it as a label"))
    whole = bool(np.all(distinct == np.round(distinct)))
    return "classification" if whole and len(distinct) <= MOST_CLASSES else "regression"


def predict_file(path: Path, rows: Path, proba: bool = False, n_threads: int | None = None) -> pd.DataFrame:
    """Predictions of a saved model for a table."""
    network = network_of(load(path))
    if network.feature_names is None:
        refuse(f"{path} has no names of columns: it was trained on an array without them")
    if proba and network.classes is None:
        refuse(f"{path} is a regression and has no probabilities")
    X = features_of(read(rows), network.feature_names, path)
    outputs = network.predict(X, n_threads=n_threads)
    name = network.target or "prediction"
    if network.classes is None:
        if outputs.ndim == 1:
            return pd.DataFrame({name: outputs})
        return pd.DataFrame({f"{name} {k}": outputs[:, k] for k in range(outputs.shape[1])})
    result: dict[str, Any] = {name: [network.classes[k] for k in winners(outputs)]}
    if proba:
        share = np.exp(log_probabilities(outputs))
        result |= {f"probability of {label}": share[:, k] for k, label in enumerate(network.classes)}
    return pd.DataFrame(result)


def summary_of(model: Any, network: Network) -> dict[str, Any]:
    """What is known of a model; objective and gap are None if only its network was saved."""
    chosen = hasattr(model, "cv_results_")
    return {
        "task": "regression" if network.classes is None else "classification",
        "target": network.target,
        "classes": network.classes,
        "feature_names": network.feature_names,
        "n_features": network.n_features,
        "activation": network.kind,
        "depth": network.depth,
        "width": list(network.width),
        "skip_connection": network.skip_connection,
        "n_outputs": network.n_outputs,
        "n_subnetworks": network.n_subnetworks,
        "path_norm": network.path_norm(),
        "alpha": getattr(model, "alpha_", getattr(model, "alpha", None)),
        "cv": {"folds": model.n_splits_, "alphas": model.alphas_, "score": model.best_score_}
        if chosen
        else None,
        "objective": getattr(model, "objective_", None),
        "dual_gap": getattr(model, "dual_gap_", None),
    }


def describe(summary: dict[str, Any]) -> None:
    classes = "" if summary["classes"] is None else f" into {len(summary['classes'])} classes"
    target = "" if summary["target"] is None else f" of {summary['target']!r}"
    click.echo(f"{summary['task']}{target}{classes} from {summary['n_features']} features")
    if summary["classes"] is not None:
        click.echo(f"classes        {listed(summary['classes'])}")
    for column, categories in summary.get("categories", {}).items():
        click.echo(f"one-hot        {column!r}: {len(categories)} categories")
    if summary["alpha"] is not None:  # of several outputs each may have its own
        click.echo(f"alpha          {', '.join(f'{alpha:.6g}' for alpha in np.atleast_1d(summary['alpha']))}")
    if summary["cv"] is not None:
        cv = summary["cv"]
        click.echo(
            f"cv score       {cv['score']:.6g} ({cv['folds']} folds, {len(cv['alphas'])} values of alpha)"
        )
    if summary["objective"] is not None:
        click.echo(f"objective      {summary['objective']:.6g}")
        click.echo(f"duality gap    {summary['dual_gap']:.2e} (over the arrangements used)")
    skip = " and a skip connection" if summary["skip_connection"] else ""
    gated = "gated " if summary["activation"] == "gated" else ""
    click.echo(f"sub-networks   {summary['n_subnetworks']} {gated}of depth {summary['depth']}{skip}")
    click.echo(f"path norm      {summary['path_norm']:.6g}")


def outputs_of(summary: dict[str, Any]) -> list[str]:
    """Names of several outputs."""
    return [str(name) for name in summary["classes"] or range(summary["n_outputs"])]


def inspected(path: Path, data: Path | None) -> dict[str, Any]:
    """What a saved model is, with its sub-networks and features by path norm."""
    model = load(path)
    network = network_of(model)
    names = network.feature_names or [str(k) for k in range(network.n_features)]
    X = None if data is None else features_of(read(data), names, path)
    importance = subnetwork_importance(network, X)
    units = [
        {"name": k, "output": output, "sign": sign, "path_norm": norm}
        for k, (output, sign, norm) in enumerate(
            zip(
                importance.output_index.tolist(),
                importance.output_sign.tolist(),
                importance.path_norm.tolist(),
                strict=True,
            )
        )
    ]
    linear = importance.skip_path_norm
    if linear is not None:
        units += [
            {"name": "skip connection", "output": output, "sign": 1, "path_norm": norm}
            for output, norm in enumerate(linear.tolist())
        ]
    if importance.variance_share is not None:
        shares = [importance.variance_share]
        if importance.skip_variance_share is not None:
            shares.append(importance.skip_variance_share)
        for unit, share in zip(units, np.concatenate(shares).tolist(), strict=True):
            unit["variance_share"] = share
    features = [
        {"name": name, "path_norm": norm}
        for name, norm in zip(names, feature_importance(network).tolist(), strict=True)
    ]
    return summary_of(model, network) | {"subnetworks": units, "features": features}


def certify_file(
    path: Path,
    data: Path,
    *,
    target: str | None,
    alpha: float | None,
    loss: str | None,
    sample_weight: str | None,
    method: str,
    tol: float | None,
    max_nodes: int,
    threads: int | None,
) -> dict[str, Any]:
    """Bounds on the optimum of the training problem of a saved model, and what they mean."""
    model = load(path)
    network = network_of(model)
    if isinstance(network, GatedReLUNetwork):
        refuse(
            f"{path} is a gated network. Its gates are not the patterns of its own weights, so it is no "
            "candidate for the training problem of ReLU networks, which certify bounds. Train with "
            "--activation relu"
        )
    if network.classes is not None and network.n_outputs > 1:
        refuse(
            f"{path} has {network.n_outputs} classes under a joint softmax, for which there is no bound yet: "
            "certify takes regressions and two classes"
        )
    if network.n_outputs > 1:
        refuse(
            f"{path} has {network.n_outputs} outputs; expected 1. pathrelu.certify takes several in Python"
        )
    if network.feature_names is None:
        refuse(f"{path} has no names of columns: it was trained on an array without them")
    known = getattr(model, "alpha_", getattr(model, "alpha", None))
    if known is not None and alpha not in (None, known):
        refuse(f"{path} was trained with alpha {known:g}; expected no other --alpha than that")
    alpha = alpha if known is None else float(known)
    if alpha is None:
        refuse(f"{path} does not tell the alpha of its training: give it with --alpha")
    target = target or network.target
    if target is None:
        refuse(f"{path} does not tell the column it predicts: give it with --target")
    if network.classes is not None and loss is not None:
        refuse("--loss is for a regression")
    own = "log_loss" if network.classes is not None else getattr(model, "loss", "squared_error")
    table = read(data)
    table.require(target, *([] if sample_weight is None else [sample_weight]))
    X = features_of(table, network.feature_names, path)
    y = table.numbers(target) if network.classes is None else labels_of(table, target, network.classes)
    weight: NDArray[Any] | None = None if sample_weight is None else table.numbers(sample_weight)
    of_classes = getattr(model, "class_weight", None)
    if of_classes is not None and network.classes is not None:
        weight, _, _ = labelled_weights(weight, y, of_classes)
    certificate = certified(
        network,
        X,
        y,
        alpha,
        method,
        loss=loss or own,
        sample_weight=weight,
        bias=getattr(model, "bias", None),
        fit_intercept=getattr(model, "fit_intercept", None),
        tol=tol,
        max_nodes=max_nodes,
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
            "columns, or a longer --method branch_and_bound."
        )
    else:
        notes.append(
            f"On these {len(table)} rows no ReLU network of depth {network.depth}, of whatever number of "
            f"sub-networks, has an objective below {certificate.lower:.6g}."
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


def labels_of(table: Table, target: str, classes: list[Any]) -> NDArray[Any]:
    """A column as labels of a model, whichever way these are written."""
    known = {str(label): label for label in classes}
    labels = table.labels(target).tolist()
    for row, label in enumerate(labels):
        if str(label) not in known:
            table.refuse_cell(target, row, str(label), f"is none of the classes {listed(classes)}")
    return np.array([known[str(label)] for label in labels])


def run_demo(alpha: float | str, seed: int, n_threads: int | None) -> dict[str, Any]:
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

    with tempfile.TemporaryDirectory() as folder:
        train_csv, rows_csv, model_npz = (
            Path(folder) / name for name in ("train.csv", "rows.csv", "model.npz")
        )
        shown.to_csv(train_csv, index=False)
        held_out.drop(columns="diagnosis").to_csv(rows_csv, index=False)
        begin = time.perf_counter()
        _, summary = train_file(
            train_csv, "diagnosis", model_npz, alpha=alpha, random_state=seed, n_threads=n_threads
        )
        seconds = time.perf_counter() - begin
        predicted = predict_file(model_npz, rows_csv, n_threads=n_threads)["diagnosis"].to_numpy()

    results = [
        {"name": "PathReLUClassifier", "accuracy": float(np.mean(predicted == truth)), "seconds": seconds}
    ]
    for rival in (LogisticRegression(max_iter=1000), MLPClassifier(max_iter=1000, random_state=seed)):
        begin = time.perf_counter()
        pipeline = make_pipeline(StandardScaler(), rival)
        pipeline.fit(shown.drop(columns="diagnosis"), shown["diagnosis"])
        seconds = time.perf_counter() - begin
        accuracy = pipeline.score(held_out.drop(columns="diagnosis"), truth)
        results.append({"name": type(rival).__name__, "accuracy": float(accuracy), "seconds": seconds})
    return {"rows": len(shown), "held_out": len(held_out), "model": summary, "results": results}
