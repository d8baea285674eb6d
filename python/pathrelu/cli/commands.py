"""The command line. Every error of the user is one message on stderr, exit code 2, and no file written."""

from __future__ import annotations

import json
import math
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from click.shell_completion import CompletionItem, get_completion_class
from sklearn.exceptions import ConvergenceWarning

from pathrelu import _linear_algebra as algebra
from pathrelu import losses
from pathrelu._display import LINE_SECONDS
from pathrelu._validation import OUTPUTS
from pathrelu._version import __version__
from pathrelu.certificate._methods import METHODS
from pathrelu.cli import dates
from pathrelu.cli.demonstration import compared
from pathrelu.cli.layout import SPACES, Layout
from pathrelu.cli.metrics import TITLES, Compared
from pathrelu.cli.tables import (
    EXTENSIONS,
    FORMATS,
    STANDARD_INPUT,
    InputError,
    check_output,
    listed,
    names_of,
    note,
    refuse,
    write,
    written,
)
from pathrelu.cli.tasks import (
    MANY_CLASSES,
    MOST_CLASSES,
    certify_file,
    evaluate_file,
    inspected,
    predict_file,
    train_file,
)
from pathrelu.estimators import PathReLURegressor
from pathrelu.export.text import LANGUAGES, MOST_DIGITS
from pathrelu.files.archive import json_bytes, write_file
from pathrelu.files.loading import load
from pathrelu.inspection import network_of
from pathrelu.progress import Live

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
        names = names_of(path)
    except Exception:  # a shell that completes must not see errors
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


PATH = click.Path(path_type=Path)
threads = click.option(
    "--threads", type=int, help="Default: what OpenMP allows the process. -2: all but one."
)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for machines.")
quiet = click.option("--quiet", is_flag=True, help="No progress and no summary; warnings are shown.")
quantile_option = click.option("--quantile", type=float, help="Of --loss quantile.  [default: 0.5]")
threshold_option = click.option(
    "--threshold",
    type=float,
    help="Of --loss huber, in units of the target's spread.  [default: 1 in those of the target]",
)
target_option = click.option(
    "--target", required=True, shell_complete=columns, help="Column to predict; all others are features."
)


SEPARATORS = {"tab": "\t", "\\t": "\t", "space": SPACES, "spaces": SPACES}


def layout_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say how a text file is laid out, as one argument `layout`."""

    @wraps(command)
    def with_layout(
        *arguments: Any,
        sep: str | None,
        decimal: str | None,
        encoding: str | None,
        comment: str | None,
        skip: int | None,
        header: bool,
        date_format: str | None,
        **options: Any,
    ) -> None:
        sep = sep if sep is None else SEPARATORS.get(sep, sep)
        if sep is not None and len(sep.encode()) != 1:
            refuse(f"--sep is {sep!r}; expected one character, tab or space")
        if comment == "":
            refuse("--comment is empty; expected what lines that are no rows begin with")
        if decimal == "," == sep:
            refuse("--sep and --decimal are both a comma; expected different ones")
        if date_format is not None:
            try:
                dates.check_format(date_format)
            except ValueError as error:
                refuse(f"--dates: {error}")
        layout = Layout(sep, decimal, encoding, comment, header, skip=skip, dates=date_format)
        command(*arguments, layout=layout, **options)

    for option in reversed(
        (
            click.option("--sep", help="Between cells: a character, tab or space.  [default: as found]"),
            click.option("--decimal", type=click.Choice([".", ","]), help="In numbers.  [default: as found]"),
            click.option("--encoding", help="Of the text, such as latin-1.  [default: as found]"),
            click.option("--comment", help="What lines that are no rows begin with."),
            click.option(
                "--skip", type=click.IntRange(min=0), help="Lines before the header.  [default: as found]"
            ),
            click.option(
                "--header/--no-header", default=True, help="Without, columns are called 1, 2 and so on."
            ),
            click.option("--dates", "date_format", help="Such as %d/%m/%Y, where day or month may be first."),
        )
    ):
        with_layout = option(with_layout)
    return with_layout


@commands.command(short_help="Train a network on a table and write it to a model file.")
@click.argument("data", type=PATH)
@target_option
@click.option("--output", required=True, type=PATH, help="Where to write the model (.npz).")
@click.option(
    "--task",
    type=click.Choice(["auto", "regression", "classification"]),
    default="auto",
    show_default=True,
    help=f"auto: classification if the target is text or has at most {MOST_CLASSES} distinct integers, for "
    f"two rows or more each; up to {MANY_CLASSES} for ten rows or more each are asked about in a terminal.",
)
@click.option("--ignore", multiple=True, shell_complete=columns, help="Column to leave out; can be repeated.")
@click.option(
    "--id", "ids", multiple=True, shell_complete=columns, help="Column that names rows: no feature."
)
@click.option(
    "--na", multiple=True, help="Text that is missing, beside NA, N/A, null, None, ?; can be repeated."
)
@layout_options
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
@click.option(
    "--outputs",
    type=click.Choice(OUTPUTS),
    default="auto",
    show_default=True,
    help="Of three classes or more: sub-networks feed all, or one each; auto: all, in a search.",
)
@click.option(
    "--prune", is_flag=True, help="End with no more sub-networks for an output than there are rows."
)
@click.option("--low-rank", type=int, help="Train on so many principal scores.")
@click.option(
    "--monotone",
    multiple=True,
    metavar="COLUMN=SIGN",
    help="Predictions never fall (=+) or never rise (=-) in the column; can be repeated.",
)
@click.option(
    "--loss",
    type=click.Choice(losses.REGRESSION),
    help="Of a regression.  [default: squared_error]",
)
@quantile_option
@threshold_option
@click.option("--activation", type=click.Choice(["relu", "gated"]), default="relu", show_default=True)
@click.option("--arrangements", type=click.Choice(["search", "sample"]), default="search", show_default=True)
@click.option("--n-arrangements", default=500, show_default=True, help="For --arrangements sample.")
@click.option("--tol", type=float, help="Duality gap to reach, relative; see the estimators.")
@click.option("--max-iter", default=10_000, show_default=True)
@click.option("--max-seconds", type=float, help="End with the best network found until then.")
@click.option(
    "--held-out/--no-held-out",
    default=True,
    show_default=True,
    help="Measure a network of four fifths of the rows on the others; MODEL is trained on all rows.",
)
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
    held_out: bool,
    ignore: tuple[str, ...],
    ids: tuple[str, ...],
    **options: Any,
) -> None:
    """Train a network on the table DATA (CSV, gzipped or not, or Parquet) and write it to a model file.

    DATA is - for standard input. Columns are numbers, text or dates (2020-12-31), and may have gaps. Where
    most cells are numbers, all must be numbers or gaps.
    """
    begin = time.perf_counter()
    with convergence() as converged, progress(quiet):
        _, summary = train_file(
            data,
            target,
            output,
            ignore=(*ignore, *ids),
            random_state=seed,
            n_threads=threads,
            held_out=held_out and (as_json or not quiet),
            verbose=int(not quiet),
            ask=None if as_json or quiet or not interactive(data) else asked,
            **options,
        )
    summary |= {"converged": converged(), "seconds": time.perf_counter() - begin, "output": str(output)}
    if as_json:
        echo_json(summary)
    elif not quiet:
        describe(summary)
        if (measured := summary["held_out"]) is not None:
            rows = f"{measured['rows']} of {summary['rows']} rows"
            click.echo(f"held out       {rows}, from a network trained on the others")
            compare(measured["metrics"])
        click.echo(f"wrote {output}")


@commands.command(short_help="Predict the rows of a table.")
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
@click.option("--id", "ids", multiple=True, help="Column of ROWS that names them, to write first.")
@click.option("--keep", multiple=True, help="Column of ROWS to write too, as it is; can be repeated.")
@click.option("--digits", type=click.IntRange(1, 17), help="Significant ones of numbers.  [default: all]")
@layout_options
@threads
@as_json
def predict(
    model: Path,
    rows: Path,
    layout: Layout,
    ids: tuple[str, ...],
    keep: tuple[str, ...],
    digits: int | None,
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
    result = predict_file(model, rows, proba, threads, layout, tuple(dict.fromkeys((*ids, *keep))), digits)
    if output is not None:
        write(output, result, form or "csv")
    if as_json:
        document: dict[str, Any] = {"rows": len(result), "output": None if output is None else str(output)}
        echo_json(document | ({"predictions": result.to_dict("records")} if output is None else {}))
    elif output is None:
        click.echo(written(result, form or "csv"), nl=False)


@commands.command(short_help="Measure a model on a table that has the target.")
@click.argument("model", type=PATH)
@click.argument("rows", type=PATH)
@click.option("--target", shell_complete=columns, help="Default: the column that the model was trained on.")
@click.option("--sample-weight", shell_complete=columns, help="Column of weights of the rows.")
@layout_options
@threads
@as_json
def evaluate(
    model: Path,
    rows: Path,
    layout: Layout,
    target: str | None,
    sample_weight: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Metrics of MODEL on ROWS, a table with the target, beside those of a constant.

    The constant is the best one for these rows, in the loss of the model. AUC is that of the second of two
    classes; of more, the mean over each of them against the rest. The Brier score of more than two is a sum
    over them.
    """
    summary = evaluate_file(model, rows, target, sample_weight, threads, layout)
    if as_json:
        echo_json(summary)
        return
    click.echo(f"{summary['task']} of {summary['target']!r} on {summary['rows']} rows")
    compare(summary["metrics"])


@commands.command(short_help="Show what a model is, and plot it.")
@click.argument("model", type=PATH)
@click.argument("data", type=PATH, required=False)
@click.option("--top", default=10, show_default=True, help="Sub-networks and features to show.")
@click.option("--formulas", is_flag=True, help="Show what each sub-network adds, in raw units.")
@click.option(
    "--plot",
    type=PATH,
    help="Figure to write (.png, .svg, .pdf): how outputs depend on the most important columns of DATA; "
    "without DATA, which columns matter.",
)
@layout_options
@as_json
def inspect(
    model: Path,
    data: Path | None,
    layout: Layout,
    top: int,
    formulas: bool,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Show what a MODEL is: its kind, sub-networks, important features, objective and duality gap.

    With a table DATA, also the share that each sub-network has in the variance of its output on these rows,
    or in that of all outputs if it feeds several.
    """
    summary = inspected(model, data, layout, plot)
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
        fed = OutputColumns(summary) if title == "sub-network" and summary["n_outputs"] > 1 else None
        heads = ["  path norm  share", "  of variance" if variance else "", "" if fed is None else fed.head]
        click.echo(f"\n{title:<{width}}{''.join(heads)}")
        total = sum(entry["path_norm"] for entry in ranked) or 1.0
        for name, entry in zip(names, ranked, strict=False):
            share = entry["path_norm"] / total
            line = f"{name:<{width}}  {entry['path_norm']:>9.4g}  {share:>5.1%}"
            if variance:  # none of an output that is constant
                part = entry["variance_share"]
                line += f"  {'-' if math.isnan(part) else f'{part:.1%}':>11}"
            end = f"  {'#' * round(30 * share)}" if fed is None else fed.of(entry)
            click.echo(f"{line}{end}".rstrip())
            if formulas and "formula" in entry:
                click.echo(f"{'':<{width}}  {entry['formula']}")
        if len(ranked) > top:
            click.echo(f"and {len(ranked) - top} more")
    if plot is not None:
        click.echo(f"\nwrote {plot}")


@commands.command(short_help="Bound how far a model is from the best network there is.")
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
@quantile_option
@threshold_option
@click.option(
    "--method",
    type=click.Choice(METHODS),
    metavar="NAME",
    default="auto",
    show_default=True,
    help=f"One of {', '.join(METHODS)}.",
)
@click.option("--tol", type=float, help="Relative gap to reach.")
@click.option("--max-nodes", default=1_000_000, show_default=True, help="Most cones to look into.")
@click.option("--max-seconds", type=float, help="End with the best bound found until then.")
@layout_options
@threads
@click.option("--quiet", is_flag=True, help="No progress.")
@as_json
def certify(model: Path, data: Path, quiet: bool, as_json: bool, **options: Any) -> None:
    """Bound how far MODEL is from the global optimum of its training problem on the table DATA.

    DATA is as a rule the table of training, with the target. Exact for tables of up to 3 columns or so (with
    the bias), good for up to 6, and beyond where few sub-networks fit well; the gap that is left is said.
    """
    with progress(quiet):
        summary = certify_file(model, data, verbose=int(not quiet), **options)
    if as_json:
        echo_json(summary)
        return
    for line in (summary["text"], *summary["notes"]):
        click.echo(line)


@commands.command(short_help="Write a model as ONNX, JSON, SQL, Python, C or formula.")
@click.argument("model", type=PATH)
@click.option("--onnx", type=PATH, help="ONNX file to write: labels and probabilities, or values.")
@click.option("--to-json", type=PATH, help="JSON file to write: the arrays of the network, as text.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    help="Of the rows that the ONNX file takes.  [default: float32]",
)
@click.option("--to", "language", type=click.Choice(LANGUAGES), help="Write the model as text: to stdout,")
@click.option("--output", type=PATH, help="or to this file.")
@click.option(
    "--digits",
    type=click.IntRange(1, MOST_DIGITS),
    help="Of numbers in the text.  [default: all that code needs, 4 of a formula]",
)
@click.option("--table", help="That --to sql reads.  [default: data]")
@click.option("--keep", multiple=True, help="Column of it in the result of --to sql too; can be repeated.")
@as_json
def export(
    model: Path,
    onnx: Path | None,
    to_json: Path | None,
    dtype: str | None,
    language: str | None,
    output: Path | None,
    digits: int | None,
    table: str | None,
    keep: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write MODEL for other programs. The file of a model itself is read by pathrelu.load in Python.

    As SQL, a model is one query over a table, with the predictions; as Python or C, functions that need
    nothing but the standard library; as a formula, something to read.
    """
    if onnx is None and to_json is None and language is None:
        refuse("nothing to write; expected --onnx, --to-json or --to, or several of them")
    if dtype is not None and onnx is None:
        refuse("--dtype is for --onnx")
    if language is None and (output is not None or digits is not None):
        refuse(f"{'--output' if output is not None else '--digits'} is for --to")
    if language != "sql" and (table is not None or keep):
        refuse(f"{'--table' if table is not None else '--keep'} is for --to sql")
    if language is not None and output is None and as_json:
        refuse("--json and --to both say what goes to stdout; expected --output too")
    files = {"--onnx": onnx, "--to-json": to_json, "--output": output}
    outputs = {option: path for option, path in files.items() if path is not None}
    for path in outputs.values():
        check_output(path, model)
    places = [path.resolve() for path in outputs.values()]
    for (first, place), (second, other) in combinations(zip(outputs, places, strict=True), 2):
        if place == other:
            refuse(f"{first} and {second} name the same file")
    loaded = load(model)
    # The text first: it may refuse names or labels, and then nothing is written.
    text: str = loaded.to_text(language, digits=digits, table=table, keep=keep) if language else ""
    if onnx is not None:
        loaded.to_onnx(onnx, dtype=np.dtype(dtype or "float32"))
    if to_json is not None:
        if isinstance(loaded, PathReLURegressor) and loaded.log_link:
            note(f"{to_json}: outputs of the network are logarithms of means, for the loss {loaded.loss}")
        write_file(to_json, json_bytes(network_of(loaded).to_dict()))
    if output is not None:
        write_file(output, text.encode())
    if as_json:
        echo_json({"written": list(map(str, outputs.values()))})
        return
    for path in outputs.values():
        click.echo(f"wrote {path}", err=bool(text) and output is None)
    if text and output is None:
        click.echo(text, nl=False)


@commands.command(short_help="Compare with other models on two tables, in seconds.")
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
    """Compare the network with usual models on two tables that scikit-learn carries.

    One suits it, one does not. Means, with standard errors, over several splits into rows to train on and
    rows that are held out, the same ones for all models, which have the same number of threads.
    """
    with progress(as_json):
        summary = compared(alpha, seed, threads)
    if as_json:
        echo_json(summary)
        return
    for table in summary["tables"]:
        show_comparison(table, summary["splits"])
    count = summary["threads"]
    on = f"{count} thread{'s' * (count > 1)} each"
    click.echo(f"{summary['seconds']:.1f} s, {on}; models with their defaults, over scaled columns\n{NEXT}")


@commands.command(short_help="Print a script that completes commands in a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes commands, options, files and columns in a SHELL.

    \b
    bash: pathrelu completion bash > FOLDER/pathrelu, where FOLDER is
          ~/.local/share/bash-completion/completions
    zsh:  pathrelu completion zsh > ~/.zfunc/_pathrelu
          with ~/.zfunc in fpath
    fish: pathrelu completion fish > ~/.config/fish/completions/pathrelu.fish
    """  # noqa: D301  \b is click's mark of a paragraph that is not to be wrapped
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(commands, {}, "pathrelu", "_PATHRELU_COMPLETE").source())


def interactive(*inputs: Path) -> bool:
    """Whether there is somebody to ask."""
    return STANDARD_INPUT not in inputs and sys.stdin.isatty() and sys.stderr.isatty()


def asked(what: str) -> str:
    """The task of a target that may be numbers or classes."""
    kinds = {"numbers": "regression", "classes": "classification"}
    question = f"{what}. Are they"
    kind = click.prompt(question, type=click.Choice(list(kinds)), default="numbers", err=True)
    return kinds[kind]


def progress(quiet: bool) -> AbstractContextManager[object]:
    """A line on stderr for what takes time, unless that is not wanted."""
    return nullcontext() if quiet else Live(delay=LINE_SECONDS)


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


def describe(summary: dict[str, Any]) -> None:
    classes = "" if summary["classes"] is None else f" into {len(summary['classes'])} classes"
    target = "" if summary["target"] is None else f" of {summary['target']!r}"
    click.echo(f"{summary['task']}{target}{classes} from {summary['n_features']} features")
    if summary["classes"] is not None:
        click.echo(f"classes        {listed(summary['classes'])}")
    for column, categories in summary.get("categories", {}).items():
        click.echo(f"categories     {column!r}: {len(categories)}")
    if summary["loss"] not in (None, "log_loss", "squared_error"):
        link = ", whose outputs are logarithms of means" if summary["log_link"] else ""
        click.echo(f"loss           {summary['loss']}{link}")
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
    fed = "; each feeds several outputs" if summary["shared_outputs"] else ""
    click.echo(f"sub-networks   {summary['n_subnetworks']} {gated}of depth {summary['depth']}{skip}{fed}")
    click.echo(f"path norm      {summary['path_norm']:.6g}")


NEXT = """
What to do next, with a table of your own:
  pathrelu train table.csv --target COLUMN --output model.npz
  pathrelu inspect model.npz table.csv --formulas --plot model.png
  pathrelu predict model.npz rows.csv --proba --digits 3
  pathrelu certify model.npz table.csv --max-seconds 60
or in Python, as any classifier or regressor of scikit-learn:
  from pathrelu import PathReLUClassifier, PathReLURegressor"""


def show_comparison(table: dict[str, Any], splits: int) -> None:
    """Models on one table, the best first."""
    held_out = table["rows"] - table["trained"]
    click.echo(f"{table['name']}: {table['rows']} rows of {table['features']} features")
    rows = f"{table['trained']} rows to train on, {held_out} held out"
    click.echo(f"{splits} splits: {rows}\n")
    click.echo(f"{'':<32}{'log-loss':>17}{'accuracy':>10}{'seconds':>9}")
    for result in sorted(table["results"], key=lambda result: result["log_loss"]):
        loss = f"{result['log_loss']:.3f} ± {result['log_loss_error']:.3f}"
        line = f"{result['name']:<32}{loss:>17}{result['accuracy']:>10.3f}{result['seconds']:>9.2f}"
        click.echo(line)
    ours, rival, ahead = table["results"][0]["name"], table["rival"], table["ahead"]
    place = "is ahead of" if table["best"] == ours else "is behind"
    click.echo(f"\n{ours} {place} {rival} in the mean, and ahead in {ahead} of {splits} splits.\n")


def compare(metrics: Compared) -> None:
    """Metrics of a network beside those of a constant, a line each."""
    click.echo(f"{'':<15}{'network':>11}{'constant':>11}")
    for name, values in metrics.items():
        shown = ["-" if math.isnan(values[of]) else f"{values[of]:#.4g}" for of in ("network", "constant")]
        click.echo(f"{TITLES[name]:<15}{shown[0]:>11}{shown[1]:>11}")


class OutputColumns:
    """What a table says of the outputs that each sub-network feeds.

    The name of the output where it is one for each. Else a column of weights, of norm 1, for each output;
    or, where these do not fit beside the other columns, the output with the largest weight and its sign.
    """

    MOST_CHARACTERS = 60  # the other columns take some 40, and 100 are a usual terminal

    def __init__(self, summary: dict[str, Any]) -> None:
        self.names = [str(name) for name in summary["classes"] or range(summary["n_outputs"])]
        self.shared = summary["shared_outputs"]
        self.widths = [max(5, len(name)) for name in self.names]  # a weight takes 5, such as +0.71
        self.weights = self.shared and sum(self.widths) + 2 * len(self.names) <= self.MOST_CHARACTERS
        columns = zip(self.names, self.widths, strict=True)
        self.head = "  main output" if self.shared else "  output"
        if self.weights:
            self.head = "".join(f"  {name:>{width}}" for name, width in columns)

    def of(self, entry: dict[str, Any]) -> str:
        if self.weights:
            weights = np.array(entry["output_weights"])
            weights = (weights / (algebra.norm(weights) or 1.0)).round(2) + 0.0  # no -0.00
            columns = zip(weights, self.widths, strict=True)
            return "".join(f"  {weight:>+{width}.2f}" for weight, width in columns)
        sign = ("+ " if entry["sign"] > 0 else "- ") if self.shared else ""
        return f"  {sign}{self.names[entry['output']]}"
