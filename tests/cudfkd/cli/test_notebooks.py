"""A copy of the notebooks: what it holds, and that its links lead somewhere."""

import json
import re
from pathlib import Path

import pytest

import cudfkd.cli
from analysis.origin import ROOT


def texts(path: Path) -> list[str]:
    """The Markdown of a notebook or a document."""
    if path.suffix == ".md":
        return [path.read_text(encoding="utf-8")]
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def require_links_that_lead_somewhere(folder: Path) -> None:
    """Requires that each relative link of the notebooks and documents of a copy leads to a file of the copy."""
    read = [*folder.rglob("*.ipynb"), *folder.rglob("*.md")]
    assert {"notebooks", "docs", "figures", "benchmarks"} <= {path.parent.name for path in read}
    dead = [
        (path.relative_to(folder).as_posix(), target)
        for path in read
        for text in texts(path)
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", text)
        if not (path.parent / target).resolve().is_relative_to(folder.resolve()) or not (path.parent / target).exists()
    ]
    assert dead == []


@pytest.fixture
def copy(tmp_path, capsys):
    assert cudfkd.cli.main(["notebooks", str(tmp_path / "copy")]) == 0
    assert "documents" in capsys.readouterr().out
    return tmp_path / "copy"


def test_every_link_of_a_copy_leads_somewhere(copy):
    require_links_that_lead_somewhere(copy)
    assert {path.name for path in ROOT.glob("docs/*.md")} == {path.name for path in copy.glob("docs/*.md")}


def test_a_dead_link_is_noticed(copy):
    (copy / "docs" / "claims.md").unlink()
    with pytest.raises(AssertionError, match="claims.md"):
        require_links_that_lead_somewhere(copy)
