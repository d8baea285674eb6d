"""README, pages and docstrings do what they show, and the reference is complete."""

import contextlib
import dataclasses
import doctest
import importlib
import inspect
import io
import pkgutil
import re
import shlex
import statistics
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import pathrelu
from pathrelu import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = {"gallery", "reference", "_templates"}
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in DOCS.rglob("*.md") if not GENERATED & set(page.relative_to(DOCS).parts)),
]
FENCE = re.compile(r"^(`{3,}|:{3,})[ ]?(\S*)[^\n]*\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]\d+)?")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page):
    """(line, language, text) of the fenced blocks of a page."""
    text = page.read_text()
    return [(text.count("\n", 0, m.start()) + 2, m[2], m[3]) for m in FENCE.finditer(text)]


def runs(page):
    """Blocks that run, each with the output that the page shows for it, or None."""
    found = []
    for line, language, text in blocks(page):
        if language == "python":
            found.append([line, text, None])
        elif language == "output":
            found[-1][2] = text
        elif language == "console":
            for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                found.append([line, f"__command__({command!r})", shown or None])
    return found


def last_digit(number):
    """What one more in its last digit adds to a number."""
    return Decimal(1).scaleb(Decimal(number).as_tuple().exponent)


def as_shown(shown, printed):
    """Whether it is the same text up to spaces and the last decimal, `...` standing for anything.

    What another processor changes by more is not to be shown.
    """
    shown, printed = " ".join(shown.split()), " ".join(printed.split())
    text = re.escape(NUMBER.sub("\0", shown)).replace(re.escape("..."), ".*?")
    match = re.fullmatch(text.replace("\0", f"({NUMBER.pattern})"), printed)
    return match is not None and all(
        abs(Decimal(a) - Decimal(b)) <= (0 if a.lstrip("-").isdigit() else last_digit(a))
        for a, b in zip(NUMBER.findall(shown), match.groups(), strict=True)
    )


def command(line):
    """A line of a console block: only pathrelu itself is run."""
    name, *arguments = shlex.split(line)
    assert name == "pathrelu", f"{name} is run nowhere: use a block of sh for what only is to be read"
    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(sys.stdout):
        cli.main(arguments)


EXECUTABLE = [page for page in PAGES if runs(page)]


@pytest.mark.parametrize("page", EXECUTABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__", "__command__": command}
    for line, code, shown in runs(page):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)
        if shown is not None and not as_shown(shown, output.getvalue()):
            pytest.fail(f"{page}, line {line} shows\n{shown}\nbut prints\n{output.getvalue()}")


def test_shown_output_may_differ_by_rounding_and_not_more():
    assert as_shown(
        "loss 1.07 (gap ...), 12 of `pathrelu` v2, 3.1e-9 (... s)\n",
        "loss 1.08 (gap 3e-8), 12 of `pathrelu` v2, 3.0e-9 (0.3 s)",
    )
    assert as_shown("loss 1.07...", "loss 1.0712345")
    assert not as_shown("loss 1.07", "loss 1.09")
    assert not as_shown("12 units", "13 units")
    assert not as_shown("12 units", "12 unit")
    assert not as_shown("gap 1e-9", "gap 3e-9")


def mean_ranks(page, stage):
    """{method: [accuracy, log-loss, Brier score, R², time over boosting's, ...]} of the page of accuracy."""
    table = page.partition(f"### Mean ranks, {stage}\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| ([^|]+) ((?:\| [*\d.]+ )+)\|$", table, re.MULTILINE)
    return {name.strip(): re.findall(r"[\d.]+", cells) for name, cells in rows}


@pytest.mark.parametrize(
    "name", ["README.md", "docs/index.md", "docs/when_to_use.md", "docs/migration/mlp.md"]
)
def test_figures_that_pages_claim_are_those_measured(name):
    results = ROOT / "bench" / "results"
    if not results.is_dir():
        pytest.skip("the source distribution has no results")
    accuracy, rows = (results / "accuracy.md").read_text(), (results / "rows.md").read_text()
    untuned, tuned = (mean_ranks(accuracy, stage) for stage in ("untuned", "tuned"))
    wanted = {"4.8": untuned["pathrelu"][4]}
    for stage, ranks, measures in (("untuned", untuned, (0, 1, 3)), ("tuned", tuned, (0, 1))):
        wanted |= {f"{stage} {measure}": ranks["pathrelu"][measure] for measure in measures}
    if name != "docs/migration/mlp.md":
        wanted |= {f"XGBoost {measure}": tuned["XGBoost"][measure] for measure in (0, 1)}
    else:
        wanted |= {f"MLP {measure}": untuned["MLP, scikit-learn"][measure] for measure in (0, 1, 3)}
    if name in ("README.md", "docs/index.md"):
        others = [ranks for method, ranks in untuned.items() if method != "pathrelu"]
        wanted |= {f"next {m}": f"{min(float(ranks[m]) for ranks in others):.2f}" for m in (0, 1)}
        fits = re.findall(r"^\| [^|]+ \| (\d+) x \d+ \| ([\d.]+) \|", accuracy, re.MULTILINE)
        seconds = [float(time) for _, time in fits]
        wanted |= {"tables": str(len(fits)), "rows": f"{max(int(n) for n, _ in fits):,}"}
        wanted |= {"median": f"{statistics.median(seconds):.1f}", "longest": f"{max(seconds):.1f}"}
    if name != "docs/when_to_use.md":
        for method in ("pathrelu", "MLP"):
            (million,) = re.findall(
                rf"^\| regression \| 1,000,000 \| {method} \|[^|]*\|[^|]*\| ([\d.]+) ", rows, re.MULTILINE
            )
            wanted[f"{method}, a million rows"] = f"{float(million):.0f} s"
    text = (ROOT / name).read_text()
    assert {
        what: figure
        for what, figure in wanted.items()
        if not re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", text)
    } == {}


def test_readme_and_the_first_steps_have_blocks_to_run():
    assert {ROOT / "README.md", DOCS / "getting_started.md"} <= set(EXECUTABLE)


MODULES = [info.name for info in pkgutil.walk_packages(pathrelu.__path__, "pathrelu.")]


@pytest.mark.parametrize("name", ["pathrelu", *(name for name in MODULES if "__main__" not in name)])
def test_examples_of_docstrings_are_as_shown(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] == "pathrelu":
            raise
        pytest.skip(f"needs {error.name}")
    assert doctest.testmod(module, optionflags=FLAGS).failed == 0


def test_sphinx_finds_every_page_in_the_table_of_contents():
    """What `sphinx -W` says too, without Sphinx; and pages that do not exist."""
    listed = set()
    for page in DOCS.rglob("*.md"):
        for _, language, text in blocks(page):
            if language == "{toctree}":
                entries = [entry for entry in text.split("\n") if entry and not entry.startswith(":")]
                names = [re.sub(r".*<(.*)>", r"\1", entry) for entry in entries]
                listed |= {(page.parent / name).resolve() for name in names}
    pages = {page.with_suffix("") for page in PAGES[1:]} - {DOCS / "index"}
    assert pages <= listed
    assert {entry for entry in listed - pages if not GENERATED & set(entry.parts)} == set()


@pytest.fixture(scope="module")
def site():
    """The module that writes the reference."""
    pytest.importorskip("sphinx")
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("pathrelu_docs")
    finally:
        sys.path.remove(str(DOCS))


def test_reference_has_every_public_name(site):
    listed = {name.rpartition(".")[2] for names in site.public_names().values() for name in names}
    assert listed == {name for name in pathrelu.__all__ if name != "__version__"} | {
        name for module in site.modules().values() for name in getattr(module, "__all__", ())
    }
    page = site.reference()
    assert [name for name in listed if not re.search(rf"^   (\w+\.)*{name}$", page, re.MULTILINE)] == []


ESTIMATORS = [name for name in pathrelu.__all__ if name.startswith("PathReLU")]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_reference_tells_every_parameter_of_an_estimator_in_full(site, name):
    """Not by the name of another class."""
    estimator = getattr(pathrelu, name)
    lines = site.in_full(inspect.getdoc(estimator).split("\n"))
    told = {each: lines[begin + 1 : end] for begin, end, names in site.entries(lines) for each in names}
    assert set(inspect.signature(estimator).parameters) <= told.keys()
    assert "Number of layers of weights, at least 2 (one hidden layer)." in told["depth"][0]
    assert [line for line in lines if re.search(r"\b[Aa]s (for|of) `PathReLU", line)] == []


def test_words_that_pages_link_are_in_the_vocabulary(site):
    glossary = (DOCS / "vocabulary.md").read_text()
    assert [word for word in site.LINKED if not re.search(f"^{word}$", glossary, re.MULTILINE)] == []


def test_the_index_of_the_guide_has_a_sentence_for_each_chapter():
    index = (DOCS / "guide" / "index.md").read_text()
    told = dict(re.findall(r"^\[[^]]+\]\((\w+\.md)\)\n: (.+\.)$", index, re.MULTILINE))
    assert told.keys() == {page.name for page in (DOCS / "guide").glob("*.md")} - {"index.md"}


# GL08: there is one; SS: it starts with a sentence; PR01, PR02: the parameters are those of the signature;
# RT01: what is returned.
CHECKS = {"GL08", "SS01", "SS02", "SS03", "PR01", "PR02", "RT01", "YD01"}


def test_docstrings_are_complete(site):
    """Of every public name, and of the methods and properties of classes."""
    validate = pytest.importorskip("numpydoc.validate").validate
    complaints = []
    for names in site.public_names().values():
        for full, value in names.items():
            errors = validate(full)["errors"]
            if inspect.isclass(value):
                # Attributes need not be documented twice, nor parameters of a constructor from
                # elsewhere, which has others in other versions.
                own = value.__init__.__module__.startswith("pathrelu")
                missing = set(inspect.signature(value).parameters) - site.documented(value) if own else ()
                settled = {"PR01"} if own else {"PR01", "PR02"}
                errors = [error for error in errors if error[0] not in settled]
                errors += [("PR01", f"not documented: {missing}")] if missing else []
            # Results are shown in the examples of the functions that return them.
            wanted = CHECKS if dataclasses.is_dataclass(value) else CHECKS | {"EX01"}
            complaints += [(full, text) for code, text in errors if code in wanted]
            told = site.entries((inspect.getdoc(value) or "").split("\n"))
            complaints += [(full, name) for *_, names in told for name in names if not name.isidentifier()]
            for name in site.members(value):
                errors = validate(f"{full}.{name}")["errors"]
                complaints += [(f"{full}.{name}", text) for code, text in errors if code in CHECKS]
    assert complaints == []


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_example_starts_with_the_title_of_its_page(script):
    lines = script.read_text().split("\n")
    assert lines[0] == '"""'
    assert lines[2] == "=" * len(lines[1])
    assert lines[1]
