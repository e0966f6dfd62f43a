"""HTML pages of executed notebooks, which need no network."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from analysis.origin import ROOT
from cudfkd.base.errors import ConfigError
from cudfkd.base.files import write_bytes

TEMPLATES = Path(__file__).parent / "templates"
LIST = ROOT / "docs" / "notebooks.md"  # the map of the notebooks, as the site has it
INDEX = "index.html"
ELSEWHERE = re.compile(r"\[(\$[^$]+\$|[^\]]+)\]\(\.\./[^)]+\)")  # a formula may hold brackets


def mathjax() -> Path:
    """The file of MathJax. Raises ConfigError if its package is missing."""
    found = find_spec("sphinx-mathjax-offline")
    if found is None or not found.submodule_search_locations:
        raise ConfigError("pages need sphinx-mathjax-offline: pip install 'cudfkd[notebooks]'")
    return Path(found.submodule_search_locations[0]) / "static" / "mathjax" / "tex-svg-full.js"


def to_html(executed: Path, *, listed: bool = False) -> Path:
    """Writes a page of an executed notebook beside it, with the figures inside; returns its path.

    All pages of a folder share the file mathjax.js. Links to other notebooks lead to their pages. A link to a document
    becomes plain text, because it has no page here.

    Arguments:
        executed: the executed notebook.
        listed: whether the folder gets index.html, the list of all notebooks, and the page a link to it. A project
            without docs/notebooks.md has no such list.
    """
    listed = listed and LIST.exists()
    notebook = nbformat.read(executed, as_version=4)
    heading = re.search(r"^# (.+)$", notebook.cells[0].source, re.MULTILINE)
    notebook.metadata["title"] = heading[1] if heading else executed.stem
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _linked(cell.source, listed)
    path = executed.with_suffix(".html")
    _write(notebook, path)
    if listed:
        write_index(executed.parent)
    return path


def write_index(folder: Path) -> None:
    """Writes FOLDER/index.html: the map of the notebooks, with links to the pages that are in the folder."""
    text = re.sub(r"^```.*?^```$|^<!--.*?-->$", "", LIST.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)

    def link(name: re.Match) -> str:
        return f"[{name[1]}]({name[2]}.html)" if (folder / f"{name[2]}.html").exists() else name[1]

    text = re.sub(r"\[([^\]]+)\]\((?:\.\./notebooks/)(\d\d_\w+)\.ipynb\)", link, text)
    text = re.sub(r"\[([^\]]+)\]\([\w./-]+\.md\)", r"\1", text)
    listed = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)], metadata={"title": "All notebooks"})
    _write(listed, folder / INDEX)


def _linked(text: str, listed: bool) -> str:
    """A text of a notebook with links that lead to pages of its folder; other links become words."""
    row = r" · \[All notebooks\]\(README\.md\)|\[All notebooks\]\(README\.md\) · "
    text = text.replace("(README.md)", f"({INDEX})") if listed else re.sub(row, "", text)
    text = ELSEWHERE.sub(r"\1", text)
    return re.sub(r"\]\((\d\d_\w+)\.ipynb", r"](\1.html", text)


def _write(notebook: NotebookNode, path: Path) -> None:
    exporter = HTMLExporter(extra_template_paths=[str(TEMPLATES)], template_file="page.html.j2")
    page, _ = exporter.from_notebook_node(notebook)
    if not (path.parent / "mathjax.js").exists():
        shutil.copyfile(mathjax(), path.parent / "mathjax.js")
    write_bytes(path, page.encode())
