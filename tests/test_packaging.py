"""What is declared of the package is true, and what its archives hold. tests/base_install.py tries wheels."""

import ast
import email
import functools
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
