"""Slides of the lecture path, made from the notebooks by nbconvert and reveal.js.

A heading begins a slide, and its section goes on below it, as many blocks of text and figures at a time as fit a
screen. Code, exercises and the result are left out. A cell is left out, too, if JupyterLab gave it the slide type Skip.
"""

import re
import shutil
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import nbformat
import sphinx_revealjs
from nbconvert import SlidesExporter
from nbformat import NotebookNode

from analysis.evidence import pages
from analysis.origin import NOTEBOOKS
from docs.builder import notebooks

LECTURE = ("00", "01", "02", "04", "05", "06", "09")
REVEAL = Path(sphinx_revealjs.__file__).parent / "_static" / "revealjs"
THEME = "dist/theme/white.css"
TEMPLATES = Path(__file__).parent / "templates"
LINES = 19  # lines of text on a screen
WIDTH = 88  # characters of a line
FIGURE = 13  # lines that a figure takes
LEFT_OUT = ("Exercises", "The result", "The record")


def write(site: Path, profile: str) -> None:
    """Writes SITE/slides: a file for each notebook of the lecture, and reveal.js."""
    folder = site / "slides"
    for part in ("LICENSE", "dist/reveal.css", "dist/reveal.js", THEME):
        (folder / "reveal" / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REVEAL / part, folder / "reveal" / part)
    theme = folder / "reveal" / THEME
    theme.write_text(re.sub("^@import.*$", "", theme.read_text(), flags=re.MULTILINE))  # its fonts
    paths = [str(TEMPLATES), str(pages.TEMPLATES)]
    exporter = SlidesExporter(extra_template_paths=paths, template_file="slides.html.j2", exclude_input=True)
    exporter.reveal_url_prefix, exporter.reveal_theme = "reveal", "white"
    for name in lecture():
        plain = (NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")
        deck = slides(nbformat.reads(notebooks.shown(name, plain, profile), as_version=4), name)
        page, _ = exporter.from_notebook_node(deck)
        (folder / f"{name}.html").write_text(page, encoding="utf-8")


def lecture() -> list[str]:
    """The names of the lecture's notebooks, in order."""
    return [name for name in notebooks.titles() if name[:2] in LECTURE]


def slides(notebook: NotebookNode, name: str) -> NotebookNode:
    """The notebook as slides: each cell is a block of a slide, with the slide type that nbconvert reads."""
    title = notebooks.titles()[name]
    cells: list[NotebookNode] = []
    shown, filled = ("", ""), 0.0
    for place, cell, lines in _parts(notebook, title):
        if place != shown or filled + lines > LINES:
            heading = _text("## " + ": ".join(filter(None, place)))
            cells.append(_typed(heading, "subslide" if place[0] == shown[0] else "slide"))
            shown, filled = place, 0.0
        cells.append(_typed(cell, "-"))
        filled += lines
    cells.insert(1, _typed(_text(f"[The notebook](../notebooks/{name}.html) · [All slides](../docs/slides.html)"), "-"))
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata | {"title": title})


def _parts(notebook: NotebookNode, title: str) -> Iterator[tuple[tuple[str, str], NotebookNode, float]]:
    """Each block of text and each figure that the slides show, with its heading and subheading, and its height."""
    heading, below = title, ""
    for cell in notebook.cells:
        if cell.metadata.get("slideshow", {}).get("slide_type") == "skip":
            continue
        if cell.cell_type == "code" and heading not in LEFT_OUT and _is_shown(cell):
            yield (heading, below), cell, sum(_output_height(output.data) for output in cell.outputs)
        for block in _blocks(cell.source) if cell.cell_type == "markdown" else ():
            if block.startswith("###"):
                below = block.lstrip("# ")
            elif block.startswith("#"):
                heading, below = block.lstrip("# "), ""
            elif heading not in LEFT_OUT:
                yield (heading, below), _text(block), height(block)


def _blocks(text: str) -> Iterator[str]:
    """The headings, paragraphs, formulas, lists and tables of a text. Links to notebooks and documents lead to pages.

    Folded parts are left out, and so are remarks on the time that the notebook takes, and links to other notebooks.
    """
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    text = re.sub(r"\]\((\w+)\.ipynb", r"](../notebooks/\1.html", text)
    text = re.sub(r"\]\(\.\./docs/([\w-]+)\.md", r"](../docs/\1.html", text)
    formula = ""
    for block in re.split(r"\n[ \t]*\n", text):
        formula = f"{formula}\n\n{block}".strip()
        if formula.count("$$") % 2 == 0 and formula:
            if not formula.startswith(("*This notebook", "[")):
                yield formula
            formula = ""


def height(block: str) -> float:
    """The height of a block of text in lines, by and large."""
    if "$$" in block:
        return 2.5 + 1.5 * block.count(r"\\") + ceil(len(re.sub(r"\$\$.*?\$\$", "", block, flags=re.DOTALL)) / WIDTH)
    if block.startswith("|"):
        return sum(1.5 * ceil(len(line) / WIDTH) for line in block.splitlines())
    items = re.split(r"\n(?=(?:[-*]|\d+\.) )", block)
    return sum(ceil(len(item) / WIDTH) for item in items) + 0.8


def _output_height(data: dict[str, Any]) -> float:
    return FIGURE if "image/png" in data else 1.5 * data["text/html"].count("<tr")


def _is_shown(cell: NotebookNode) -> bool:
    """Whether a code cell has a figure or a small table. Its other outputs are taken away."""
    cell.outputs = [output for output in cell.outputs if _is_drawn(output.get("data", {}))]
    for output in cell.outputs:
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "Figure")
        output.setdefault("metadata", {})["image/png"] = {"alt": alt}
    return bool(cell.outputs)


def _is_drawn(data: dict[str, Any]) -> bool:
    """Whether an output is a figure or a table of few rows."""
    return "image/png" in data or data.get("text/html", "").count("<tr") in range(2, 11)


def _text(source: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source)


def _typed(cell: NotebookNode, kind: str) -> NotebookNode:
    cell.metadata.slideshow = {"slide_type": kind}
    return cell
