"""HTML pages of executed notebooks, which need no network."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter

from cudfkd.base.errors import ConfigError
from cudfkd.base.files import write_bytes

TEMPLATES = Path(__file__).parent / "templates"
DOCUMENT = re.compile(r"\[(\$[^$]+\$|[^\]]+)\]\(\.\./docs/[^)]+\)")  # a formula may hold brackets


def mathjax() -> Path:
    """The file of MathJax. Raises ConfigError if its package is missing."""
    found = find_spec("sphinx-mathjax-offline")
    if found is None or not found.submodule_search_locations:
        raise ConfigError("pages need sphinx-mathjax-offline: pip install 'cudfkd[notebooks]'")
    return Path(found.submodule_search_locations[0]) / "static" / "mathjax" / "tex-svg-full.js"


def to_html(executed: Path) -> Path:
    """Writes a page of an executed notebook beside it, with the figures inside; returns its path.

    All pages of a folder share the file mathjax.js. Links to other notebooks lead to their pages. The link to the list
    of notebooks is left out, and a link to a document becomes plain text, because neither has a page here.
    """
    notebook = nbformat.read(executed, as_version=4)
    heading = re.search(r"^# (.+)$", notebook.cells[0].source, re.MULTILINE)
    notebook.metadata["title"] = heading[1] if heading else executed.stem
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r" · \[All notebooks\]\(README.md\)|\[All notebooks\]\(README.md\) · ", "", cell.source)
            text = DOCUMENT.sub(r"\1", text)
            cell.source = re.sub(r"\]\((\d\d_\w+)\.ipynb\)", r"](\1.html)", text)
    exporter = HTMLExporter(extra_template_paths=[str(TEMPLATES)], template_file="page.html.j2")
    page, _ = exporter.from_notebook_node(notebook)
    if not (executed.parent / "mathjax.js").exists():
        shutil.copyfile(mathjax(), executed.parent / "mathjax.js")
    path = executed.with_suffix(".html")
    write_bytes(path, page.encode())
    return path
