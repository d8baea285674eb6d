"""What this site adds to Sphinx.

- the API reference, written from the public names, so that it is complete;
- links from every `name` in code font that is public, in docstrings and pages alike;
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


# Files of the source tree that have a page here: theirs, or one that includes them.
PAGES = {
    "CHANGELOG.md": "changelog",
    "CITATION.cff": "citing",
    "CONTRIBUTING.md": "contributing",
    "bench/README.md": "benchmarks/index",
    "bench/results/README.md": "benchmarks/results",
    "bench/results/accuracy.md": "benchmarks/accuracy",
    "bench/results/paper.md": "experiments",
    "bench/results/search.md": "benchmarks/search",
    "docs/experiments.md": "experiments",
    "docs/README.md": "README",
    "docs/theory.md": "theory",
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
        # As an operator, the sign of a norm would stretch.
        return tex2mathml(formula, as_block=block).replace("<mo>‖</mo>", "<mi>‖</mi>")
    except MathError as error:
        logger.warning("%s in %r", error, formula, location=node)
        return escape(formula)


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
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
