"""What is declared of the package is true, and what its archives hold. tests/base_install.py tries wheels."""

import ast
import email
import functools
import graphlib
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "python" / "pathrelu").glob("**/*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
# The newest Python that any wheel is built for; those from requires-python on are all claimed.
MINORS = range(11, 14)


def claimed_pythons():
    found = [re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", c) for c in PROJECT["classifiers"]]
    return [int(match[1]) for match in found if match]


def test_pythons_of_classifiers_wheels_and_requirement_are_the_same():
    required = SpecifierSet(PROJECT["requires-python"])
    assert claimed_pythons() == [minor for minor in MINORS if f"3.{minor}" in required]
    assert f"3.{MINORS[0] - 1}" not in required
    assert PYPROJECT["tool"]["cibuildwheel"]["build"] == [f"cp3{minor}-*" for minor in MINORS]
    oldest = f"3.{MINORS[0]}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")


def third_party(source):
    """Names of modules of others that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"pathrelu"}


def modules_in(folder):
    """Files of a package by the names of their modules."""
    files = [*folder.rglob("*.py"), *folder.rglob("*.pyi")]  # the latter of compiled modules
    names = [path.relative_to(folder.parent).with_suffix("").as_posix().replace("/", ".") for path in files]
    return {name.removesuffix(".__init__"): path for name, path in zip(names, files, strict=True)}


def ancestors(name):
    parts = name.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts))}


def imports_within(modules):
    """For each module those of its package that it imports anywhere, in functions and for types alone too.

    Importing a module runs the packages that it is in, but for those that the importer is in as well, which
    are running by then.
    """
    graph = {}
    for name, path in modules.items():
        package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) + 1 - node.level] if node.level else []
                source = ".".join([*above, *([node.module] if node.module else [])])
                parts = {f"{source}.{alias.name}" for alias in node.names}
                found |= {part if part in modules else source for part in parts}
        found |= set().union(*map(ancestors, found)) - ancestors(name) - {name}
        graph[name] = found & modules.keys()
    return graph


def circle(graph):
    """Modules that import each other in a circle, the first one again at the end; empty if there are none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_modules_do_not_import_each_other_in_a_circle():
    graph = imports_within(modules_in(ROOT / "python" / "pathrelu"))
    assert {"pathrelu.network", "pathrelu._version"} <= set().union(*graph.values())
    assert "pathrelu.estimators" in graph["pathrelu"]
    assert [name for name, found in graph.items() if "pathrelu" in found] == []  # the names of all of them
    assert " <- ".join(circle(graph)) == ""


@pytest.mark.parametrize(
    "line",
    [
        "import p.low",
        "from p import low",
        "from p.low import value",
        "from ..low import value",
        "from .. import low",
        "def late():\n    from p.low import value",
        "if TYPE_CHECKING:\n    from p.low import value",
        "import p.low as other",
    ],
)
def test_every_way_to_import_is_seen_in_a_circle(tmp_path, line):
    package = tmp_path / "p"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("from p.low import value")
    (package / "low.py").write_text("from p.inner import high")
    (package / "inner" / "__init__.py").write_text("from p.inner.high import name")
    (package / "inner" / "high.py").write_text("import math")
    assert circle(imports_within(modules_in(package))) == []
    (package / "inner" / "high.py").write_text(line)
    assert set(circle(imports_within(modules_in(package)))) >= {"p.low", "p.inner.high"}


def test_a_circle_through_the_package_that_a_module_is_in_is_seen(tmp_path):
    package = tmp_path / "p"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "low.py").write_text("from p.inner.leaf import name")  # which runs p.inner
    (package / "inner" / "__init__.py").write_text("from p.low import value")
    (package / "inner" / "leaf.py").write_text("name = 1")
    assert set(circle(imports_within(modules_in(package)))) == {"p.low", "p.inner"}


PRIVATE_IN_SCIKIT_LEARN = ROOT / "python" / "pathrelu" / "_sklearn.py"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_private_parts_of_scikit_learn_are_imported_in_one_file(source):
    private = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
        else:
            continue
        private |= {
            name
            for name in names
            if name.startswith("sklearn.") and (re.search(r"\._", name) or "sklearn.utils.fixes" in name)
        }
    assert bool(private) == (source == PRIVATE_IN_SCIKIT_LEARN), private


def declared(requirements):
    return {canonicalize_name(Requirement(text).name) for text in requirements}


installed_modules = functools.cache(packages_distributions)


def distributions(module):
    return {canonicalize_name(name) for name in installed_modules().get(module, [module])}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_is_imported_is_declared(source):
    extras = PROJECT["optional-dependencies"]
    used = set(extras) - {"test", "docs", "bench", "dev"}
    everywhere = declared(PROJECT["dependencies"]).union(*(declared(extras[name]) for name in used))
    missing = {name for name in third_party(source) if not distributions(name) & everywhere}
    assert missing == set()


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import pathrelu
print("imported")
"""


def test_import_needs_the_dependencies_only():
    needed = declared(PROJECT["dependencies"])
    used = {name for source in SOURCES for name in third_party(source)}
    optional = sorted(name for name in used if not distributions(name) & needed)
    assert {"click", "matplotlib", "onnx", "pandas", "rich", "torch"} <= set(optional)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *optional], capture_output=True, text=True, check=False
    )
    assert done.stdout == "imported\n", done.stderr


def test_the_version_is_written_in_one_place():
    version = PROJECT["version"]
    files = [*SOURCES, ROOT / "CMakeLists.txt", ROOT / "cpp" / "CMakeLists.txt", ROOT / "docs" / "conf.py"]
    assert [path.name for path in files if f'"{version}"' in path.read_text()] == []


# ---- Archives ------------------------------------------------------------------


@pytest.fixture(scope="module")
def build_backend():
    pytest.importorskip("hatch_fancy_pypi_readme")
    return pytest.importorskip("scikit_build_core.build")


@pytest.fixture(scope="module")
def sdist(build_backend, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return folder / build_backend.build_sdist(str(folder))


@pytest.fixture(scope="module")
def wheel(build_backend, sdist, tmp_path_factory):
    """From the sdist, with a CMake project that builds nothing: the compiled module takes minutes."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    nothing = folder / "nothing"
    nothing.mkdir()
    (nothing / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.20)\nproject(nothing NONE)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / f"pathrelu-{PROJECT['version']}")
        return folder / build_backend.build_wheel(str(folder), {"cmake.source-dir": str(nothing)})


def tracked():
    list_files = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    git = subprocess.run(list_files, cwd=ROOT, capture_output=True, text=True, check=False)
    if git.returncode != 0:
        pytest.skip("this is no checkout")
    return {name for name in git.stdout.splitlines() if (ROOT / name).exists()}


def test_sdist_holds_the_sources_and_nothing_else(sdist):
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    dotted = {name for name in tracked() if any(part.startswith(".") for part in Path(name).parts)}
    results = {name for name in tracked() if name.startswith("bench/results/")}
    assert names == tracked() - dotted - results | {"PKG-INFO"}
    assert dotted
    assert results


def test_wheel_holds_the_package_with_its_types(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = ROOT / "python" / "pathrelu"
    expected = [*package.rglob("*.py"), *package.rglob("*.pyi"), package / "py.typed"]
    assert names == {path.relative_to(package.parent).as_posix() for path in expected}
    assert {"pathrelu/py.typed", "pathrelu/_core.pyi"} <= names


def test_metadata_of_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.namelist()
        metadata = next(name for name in inside if name.endswith(".dist-info/METADATA"))
        message = email.message_from_bytes(archive.read(metadata))
    assert message["Name"] == "pathrelu"
    assert message["Version"] == PROJECT["version"]
    assert message["License-Expression"] == PROJECT["license"]
    assert any(name.endswith("LICENSE") for name in inside)
    assert message["Description-Content-Type"] == "text/markdown"
    page = message.get_payload(decode=True).decode()
    readme = (ROOT / "README.md").read_text()
    links = re.findall(r"\[[^\]]*\]\(([^)]+)\)", page)
    assert [link for link in links if not link.startswith("https://")] == []
    assert links == [link for link in re.findall(r"\[[^\]]*\]\(([^)]+)\)", readme) if "://" in link]
    assert "command line (`docs/guide/command_line.md`)" in page
    assert page.count("```") == readme.count("```")


def test_building_leaves_nothing_in_the_sources(wheel, sdist):
    extracted = wheel.parent / f"pathrelu-{PROJECT['version']}"
    with tarfile.open(sdist) as archive:
        before = {member.name.partition("/")[2] for member in archive if member.isfile()}
    after = {path.relative_to(extracted).as_posix() for path in extracted.rglob("*") if path.is_file()}
    assert after == before
