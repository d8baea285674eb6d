"""The examples run; and what the files around the code say of each other."""

import re
import runpy
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import pathrelu

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)[^)]*\)")


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_example_runs(script, capsys):
    runpy.run_path(str(script), run_name="__main__")
    plt.close("all")
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "bench/README.md", "docs/README.md"])
def test_links_to_files_lead_somewhere(page):
    targets = [t for t in LINK.findall((ROOT / page).read_text()) if not t.startswith("http")]
    assert [t for t in targets if not (ROOT / page).parent.joinpath(t).exists()] == []


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None
    assert cited[1] == project["version"] == pathrelu.__version__


def test_changelog_starts_with_what_is_unreleased_or_released_as_this_version():
    heading = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading[1] in ("Unreleased", pathrelu.__version__)
