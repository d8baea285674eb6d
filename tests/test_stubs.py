"""The stubs of the compiled module say what it has."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pathrelu as pr
from pathrelu import _core

ROOT = Path(__file__).parents[1]
STUBS = ast.parse(Path(pr.__file__).with_name("_core.pyi").read_text())


def test_stubtest_finds_no_fault():
    pytest.importorskip("mypy.stubtest", reason="stubtest needs mypy: pip install 'pathrelu[test]'")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy.stubtest", "pathrelu._core", "--concise"),
            *("--allowlist", str(ROOT / "tests" / "stubs_allowed.txt")),
            *("--mypy-config-file", str(ROOT / "pyproject.toml")),
        ],
        cwd=ROOT,  # on which the paths in pyproject.toml rest
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def stub_functions():
    """Functions of the stubs by qualified name; several of one name are overloads."""
    found = {}

    def collect(prefix, body):
        for node in body:
            if isinstance(node, ast.ClassDef):
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                collect(f"{prefix}{node.name}.", node.body)
                for base in bases:  # of methods that several classes share
                    inherited = [other for other in STUBS.body if getattr(other, "name", "") == base]
                    collect(f"{prefix}{node.name}.", inherited[0].body if inherited else [])
            elif isinstance(node, ast.FunctionDef) and not any(
                isinstance(mark, ast.Name) and mark.id == "property" for mark in node.decorator_list
            ):
                found.setdefault(prefix + node.name, []).append(node)

    collect("", STUBS.body)
    return {name: nodes for name, nodes in found.items() if not name.startswith("_")}


def compiled_signatures(name):
    """Signatures of a compiled function, one for each overload: stubtest does not know those of pybind11."""
    value = _core
    for part in name.split("."):
        value = getattr(value, part)
    lines = (value.__doc__ or "").splitlines()
    short = name.rpartition(".")[2]
    pattern = re.compile(rf"(?:\d+\. )?({re.escape(short)}\(.*)")
    matches = [match[1] for line in lines if (match := pattern.fullmatch(line))]
    return [
        parsed for line in matches if "*args" not in line for parsed in ast.parse(f"def {line}: ...").body
    ]


def parameters(node):
    """Names of the parameters and whether each has a default, without self."""
    arguments = node.args
    assert not arguments.vararg
    assert not arguments.kwarg
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [False] * (len(positional) - len(arguments.defaults)) + [True] * len(arguments.defaults)
    named = [(argument.arg, given) for argument, given in zip(positional, defaults, strict=True)]
    named += [
        (argument.arg, default is not None)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    return [entry for entry in named if entry[0] != "self"]


@pytest.mark.parametrize("name", sorted(stub_functions()))
def test_parameters_of_stubs_are_those_of_the_module(name):
    stubs, compiled = stub_functions()[name], compiled_signatures(name)
    assert compiled, f"{name} has no signature in its docstring"
    for signature in compiled:
        # Without a name in the module, it can be given by position only, under any name here.
        nameless = [re.fullmatch(r"arg\d+", parameter) is not None for parameter, _ in parameters(signature)]

        def shown(node, nameless=nameless):
            entries = parameters(node)
            if len(entries) != len(nameless):
                return entries
            return [("", e[1]) if n else e for e, n in zip(entries, nameless, strict=True)]

        assert shown(signature) in [shown(stub) for stub in stubs]


def test_the_stubs_name_what_the_module_has():
    definitions = [node for node in STUBS.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    written = {node.name for node in definitions if not node.name.startswith("_")}
    written |= {node.target.id for node in STUBS.body if isinstance(node, ast.AnnAssign)}
    assert written == {name for name in vars(_core) if not name.startswith("_")}
