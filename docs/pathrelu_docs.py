"""What this site adds to Sphinx.

- the API reference, written from the public names, so that it is complete;
- entries of docstrings that are as for another object in full, under their own names;
- links from every `name` in code font that is public, in docstrings and pages alike;
- links from the first word of each kind on a page to the vocabulary;
- formulas as MathML, which browsers draw without a script;
- the help texts of the command line.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from numpydoc.docscrape import NumpyDocString
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import pathrelu

logger = logging.getLogger(__name__)

# Sections in order; a public module that is not named here comes last, under its name.
TITLES = {
    "estimators": "Estimators",
    "model_selection": "Model selection",
    "rows": "Rows in pieces",
    "dask": "Dask",
    "encoding": "Tables",
    "program": "Training on arrays",
    "arrangements": "Arrangements",
    "network": "Networks",
    "files": "Files",
    "certificate": "Certificates",
    "inspection": "Inspection",
    "dependence": "Partial dependence",
    "summary": "Summaries",
    "progress": "Progress",
    "plotting": "Plots",
    "export": "Export",
}


def modules() -> dict[str, ModuleType]:
    """The modules of the package by name, but for private ones and the command line."""
    found = {}
    for info in pkgutil.iter_modules(pathrelu.__path__):
        if not info.name.startswith("_") and info.name != "cli":
            found[info.name] = importlib.import_module(f"pathrelu.{info.name}")
    return found


def public_names() -> dict[str, dict[str, Any]]:
    """Full names and objects of each section: the ``__all__`` of package and modules.

    A name is shown where it is to be imported from: from the package if it is there.
    """
    every = modules()
    sections: dict[str, dict[str, Any]] = {name: {} for name in TITLES if name in every}
    shown = set()
    for name in pathrelu.__all__:
        value = getattr(pathrelu, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            home = value.__module__.removeprefix("pathrelu.").split(".")[0]
            sections.setdefault(home, {})[f"pathrelu.{name}"] = value
            shown.add(value)
    for home, module in every.items():
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if value not in shown:
                sections.setdefault(home, {})[f"pathrelu.{home}.{name}"] = value
    return {home: names for home, names in sections.items() if names}


def reference() -> str:
    """The page of the reference."""
    lines = [
        "API reference",
        "=============",
        "",
        f".. currentmodule:: {pathrelu.__name__}",
        "",
    ]
    every = modules()
    for home, names in public_names().items():
        title = TITLES.get(home, home)
        summary = (inspect.getdoc(every[home]) or "").partition("\n")[0]
        lines += [title, "-" * len(title), "", summary, ""]
        for kind in (inspect.isclass, inspect.isfunction):
            members = [
                name.removeprefix("pathrelu.")
                for name, value in names.items()
                if kind(value)
            ]
            if members:
                lines += [".. autosummary::", "   :toctree: .", "   :nosignatures:", ""]
                lines += [f"   {name}" for name in members] + [""]
    return "\n".join(lines)


def documented(value: Any) -> set[str]:
    """The parameters and attributes that a docstring has entries for."""
    doc = NumpyDocString(inspect.getdoc(value) or "")
    entries = [*doc["Parameters"], *doc["Attributes"], *doc["Other Parameters"]]
    return {name.strip("* ") for entry in entries for name in entry.name.split(",")}


def members(value: Any) -> list[str]:
    """The public methods and properties that a class has from this package."""
    own = [
        cls
        for cls in getattr(value, "__mro__", ())
        if cls.__module__.startswith("pathrelu")
    ]
    return [
        name
        for cls in own
        for name, member in vars(cls).items()
        if not name.startswith("_")
        and not name.endswith("_request")  # made by scikit-learn
        and not name.startswith("onnx_")  # what skl2onnx asks for
        and (
            inspect.isfunction(member)
            or isinstance(member, classmethod | staticmethod | property)
        )
    ]


def write_reference(app: Sphinx, config: Config) -> None:
    """Write the page of the reference, and delete pages of what is gone."""
    page = Path(app.srcdir, "reference", "index.rst")
    page.parent.mkdir(exist_ok=True)
    text = reference()
    if not page.exists() or page.read_text() != text:
        page.write_text(text)
    examples = Path(app.srcdir).parent / "examples"
    current = {"index", *(path.stem for path in examples.glob("*.py"))}
    current |= {name for members in public_names().values() for name in members}
    for folder in (page.parent, page.parent.with_name("gallery")):
        for path in folder.glob("*.rst"):
            if path.stem not in current:
                path.unlink()


# "As for `solve`." and "Of all rows, as of `PathReLURegressor`, in all folds."; what
# is around goes with the entry.
ALIKE = re.compile(r"(?:(\w[^.]*), a|A)s (?:for|of) `(\w+)`(?:[.,:;](?: (.*))?)?$")
SECTIONS = ("Parameters", "Attributes", "Other Parameters")


def entries(lines: list[str]) -> list[tuple[int, int, list[str]]]:
    """(begin, end, names) of the entries in these sections of a docstring."""
    found = []
    inside = False
    for i, line in enumerate(lines):
        if i + 1 < len(lines) and re.fullmatch("-{3,}", lines[i + 1]):
            inside = line in SECTIONS
        if not inside or not line or line.startswith((" ", "-")) or line in SECTIONS:
            continue
        end = i + 1
        while end < len(lines) and (not lines[end] or lines[end].startswith(" ")):
            end += 1
        while not lines[end - 1]:
            end -= 1
        names = [name.strip("* `") for name in line.partition(" : ")[0].split(",")]
        found.append((i, end, names))
    return found


def in_full(lines: list[str]) -> list[str]:
    """The docstring with what is as for another public object told here too."""
    places = {
        name.rpartition(".")[2]: value
        for of in public_names().values()
        for name, value in of.items()
    }
    result, at = [], 0
    for begin, end, names in entries(lines):
        result += lines[at:begin]
        at = begin
        match = ALIKE.match(" ".join(line.strip() for line in lines[begin + 1 : end]))
        if match is None or match[2] not in places:
            continue
        theirs = in_full((inspect.getdoc(places[match[2]]) or "").split("\n"))
        known = {name: entry for entry in entries(theirs) for name in entry[2]}
        if not known.keys() >= set(names):
            continue
        told = []
        for name in names:
            first, last, _ = known[name]
            if (first, last) in told:
                continue
            told.append((first, last))
            head = lines[begin] if " : " in lines[begin] else theirs[first]
            result += [head, *theirs[first + 1 : last]]
            beside = [f"{match[1]}." if match[1] else "", match[3] or ""]
            told_too = (f"    {each[0].upper()}{each[1:]}" for each in beside if each)
            result += ["", *told_too, ""]
        at = end
    return result + lines[at:]


def tell_in_full(
    app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    lines[:] = in_full(lines)


# Files of the source tree that have a page here: theirs, or one that includes them.
PAGES = {
    "CHANGELOG.md": "changelog",
    "CITATION.cff": "citing",
    "CONTRIBUTING.md": "contributing",
    "bench/README.md": "benchmarks/index",
    "bench/results/README.md": "benchmarks/results",
    "bench/results/accuracy.md": "benchmarks/accuracy",
    "bench/results/paper.md": "experiments",
    "bench/results/rows.md": "benchmarks/rows",
    "bench/results/sparse.md": "benchmarks/sparse",
    "bench/results/search.md": "benchmarks/search",
    "bench/results/serving.md": "benchmarks/serving",
    "bench/results/workers.md": "benchmarks/workers",
    "docs/experiments.md": "experiments",
    "docs/README.md": "README",
    "docs/theory.md": "theory",
    "docs/vocabulary.md": "vocabulary",
    "examples": "gallery/index",
}


class LinkFiles(SphinxTransform):
    """Let links of included files lead to pages of this site, or nowhere."""

    default_priority = 5

    def apply(self, **kwargs: Any) -> None:
        root = Path(self.env.srcdir).parent
        for link in list(self.document.findall(addnodes.pending_xref)):
            source = included_from(link)
            if (
                link.get("reftype") != "myst"
                or source is None
                or source.parent == Path(self.env.srcdir)
            ):
                continue
            target = (source.parent / link["reftarget"]).resolve()
            if not target.is_relative_to(root) or not target.exists():
                continue
            page = PAGES.get(str(target.relative_to(root)))
            if page is None:
                link.replace_self(link.children)
            else:
                link.attributes |= {
                    "refdomain": "std",
                    "reftype": "doc",
                    "reftarget": f"/{page}",
                }


def included_from(node: nodes.Node | None) -> Path | None:
    while node is not None:
        if node.source:
            return Path(node.source).resolve()
        node = node.parent
    return None


class LinkNames(SphinxTransform):
    """Link inline literals that are public names or attributes of them."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        names = {}
        for full in (full for found in public_names().values() for full in found):
            names[full.removeprefix("pathrelu.")] = names[full.split(".")[-1]] = full
        for literal in list(self.document.findall(nodes.literal)):
            if isinstance(
                literal.parent, nodes.reference | addnodes.pending_xref | nodes.title
            ):
                continue
            text = (
                literal.astext()
                .removesuffix("()")
                .removeprefix("pathrelu.")
                .removeprefix("pr.")
            )
            owner, dot, attribute = text.partition(".")
            if text in names:
                target = names[text]
            elif dot and owner in names and _has_entry(names[owner], attribute):
                target = f"{names[owner]}.{attribute}"
            else:
                continue
            link = addnodes.pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=target,
                refexplicit=True,
                refwarn=True,
                refdoc=self.env.docname,
            )
            literal.replace_self(link)
            link += literal


# Words of the vocabulary that mean one thing only on all pages.
LINKED = (
    *("sub-network", "skip connection", "path norm", "arrangement", "mask", "cone"),
    *("convex program", "gated network", "duality gap", "certificate", "ramp"),
    "vacuous",
)
WORD = re.compile(rf"\b({'|'.join(LINKED)})s?\b", re.IGNORECASE)
UNLINKED = (
    nodes.reference,
    nodes.literal,
    nodes.literal_block,
    nodes.title,
    nodes.rubric,
    nodes.term,
    nodes.classifier,
    nodes.raw,
    addnodes.pending_xref,
    addnodes.desc_signature,
)


class LinkTerms(SphinxTransform):
    """Link the first word of each kind to the vocabulary."""

    default_priority = 510

    def apply(self, **kwargs: Any) -> None:
        if self.env.docname in ("vocabulary", "changelog"):
            return
        linked: set[str] = set()
        for text in list(self.document.findall(nodes.Text)):
            if self.in_something_else(text):
                continue
            parts: list[nodes.Node] = []
            at = 0
            for match in WORD.finditer(text):
                word = match[1].lower()
                if word in linked:
                    continue
                linked.add(word)
                link = addnodes.pending_xref(
                    "",
                    nodes.inline("", match[0], classes=["xref", "std", "std-term"]),
                    refdomain="std",
                    reftype="term",
                    reftarget=word,
                    refexplicit=True,
                    refwarn=True,
                    refdoc=self.env.docname,
                )
                parts += [nodes.Text(text[at : match.start()]), link]
                at = match.end()
            if parts:
                text.parent.replace(text, [*parts, nodes.Text(text[at:])])

    def in_something_else(self, node: nodes.Node) -> bool:
        while node.parent is not None:
            node = node.parent
            if isinstance(node, UNLINKED) or "sd-card" in node.get("classes", ()):
                return True
        return False


def _has_entry(owner: str, attribute: str) -> bool:
    module, _, name = owner.rpartition(".")
    member = inspect.getattr_static(
        getattr(importlib.import_module(module), name), attribute, None
    )
    return bool(getattr(member, "__doc__", None)) and (
        inspect.isfunction(member)
        or isinstance(member, property | classmethod | staticmethod)
    )


def mathml(node: nodes.Element, block: bool) -> str:
    # docutils knows neither \Big, for which there is \left, nor \tfrac12.
    formula = re.sub(r"\\[bB]igg?(?=\()", r"\\left", node.astext())
    formula = re.sub(r"\\[bB]igg?(?=\))", r"\\right", formula)
    formula = re.sub(r"\\t?frac\s*(\d)\s*(\w)", r"\\frac{\1}{\2}", formula)
    try:
        drawn = tex2mathml(formula, as_block=block)
    except MathError as error:
        logger.warning("%s in %r", error, formula, location=node)
        return escape(formula)
    # Fences that are not asked to stretch, by left and right, do so by default.
    drawn = re.sub(
        r"<mo[^>]*>([‖|/])</mo>",
        r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>',
        drawn,
    )
    drawn = re.sub(r"<mo>([{}⟨⟩])</mo>", r'<mo stretchy="false">\1</mo>', drawn)
    return drawn if block else in_pieces(drawn)


# A line may end before these, in formulas of more characters than a phone has room for.
RELATIONS = set("=≤≥<>≠∈⪰⇒+−")
UNBROKEN = 20
OPEN, CLOSED = set("([{⟨"), set(")]}⟩")


def in_pieces(drawn: str) -> str:
    """A formula in a line as several, for browsers do not end lines inside of one."""
    prefix = "{http://www.w3.org/1998/Math/MathML}"
    ElementTree.register_namespace("", prefix[1:-1])
    whole = ElementTree.fromstring(drawn.replace("&ApplyFunction;", "\u2061"))
    if len("".join("".join(whole.itertext()).split())) <= UNBROKEN:
        return drawn
    pieces = [ElementTree.Element(f"{prefix}math")]
    depth, after_operand = 0, False
    for part in whole:
        part.tail = None
        # Of ")" with an index or an exponent, the parenthesis.
        last = part[0] if part.tag.startswith(f"{prefix}ms") and len(part) else part
        sign = last.text if last.tag == f"{prefix}mo" else None
        if depth == 0 and sign in RELATIONS and after_operand:
            part.set("form", "infix")
            pieces.append(ElementTree.Element(f"{prefix}math"))
        depth += (sign in OPEN) - (sign in CLOSED)
        after_operand = sign is None or sign in CLOSED or sign in "‖|"
        pieces[-1].append(part)
    return "<wbr>".join(ElementTree.tostring(piece, "unicode") for piece in pieces)


def visit_math(self: Any, node: nodes.Element) -> None:
    self.body.append(mathml(node, block=False))
    raise nodes.SkipNode


def visit_math_block(self: Any, node: nodes.Element) -> None:
    self.body.append(f'<div class="formula">{mathml(node, block=True)}</div>')
    raise nodes.SkipNode


class CommandHelp(SphinxDirective):
    """The help text of the command line and of each of its commands."""

    def run(self) -> list[nodes.Node]:
        import click

        from pathrelu.cli.commands import commands

        result: list[nodes.Node] = []
        context = click.Context(
            commands, info_name="pathrelu", terminal_width=76, max_content_width=76
        )
        every: list[tuple[str, click.Context]] = [("pathrelu", context)]
        for name in commands.list_commands(context):
            command = commands.get_command(context, name)
            assert command is not None
            child = click.Context(
                command,
                info_name=name,
                parent=context,
                terminal_width=76,
                max_content_width=76,
            )
            every.append((f"pathrelu {name}", child))
        for title, each in every:
            section = nodes.section(ids=[nodes.make_id(title)], names=[title])
            section += nodes.title("", "", nodes.literal("", title))
            section += nodes.literal_block(
                "", each.command.get_help(each), language="text"
            )
            result.append(section)
        return result


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", write_reference)
    app.add_transform(LinkFiles)
    app.add_transform(LinkNames)
    app.add_transform(LinkTerms)
    # Before numpydoc, which makes lists of them.
    app.connect("autodoc-process-docstring", tell_in_full, priority=400)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
