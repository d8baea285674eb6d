"""What a newcomer runs: examples and README blocks; and what the files around the code say of each other."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

import pathrelu

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)[^)]*\)")


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_example_runs(script, capsys):
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out


@pytest.mark.parametrize("block", BLOCKS, ids=range(1, len(BLOCKS) + 1))
def test_block_of_the_readme_runs(block, capsys):
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_readme_has_blocks_to_run():
    assert len(BLOCKS) >= 2


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
