"""The form in which notebooks are committed: no outputs, plain metadata, and links between them.

A notebook has a row of links below its title and at its end: to the notebook before it, to the list of all, and to the
next. Where a text names another notebook, the name is a link. Only texts and metadata change, never code.
"""

import re
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor
from nbformat import NotebookNode

from analysis.origin import NOTEBOOKS

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}  # as JupyterLab writes it
KEPT = ("tags", "slideshow")  # metadata of a cell
TOP, END = "links-top", "links-end"  # ids of the cells with links
MENTION = re.compile(r"(?<![\[/])\b([Nn]otebook\s(\d\d))\b(?!\])")
SEVERAL = re.compile(r"\b[Nn]otebooks\s\d\d\b(?:(?:,\s|\sand\s|,\sand\s|\sto\s)\d\d\b)+")


def tidy(folder: Path = NOTEBOOKS) -> list[Path]:
    """Brings the notebooks of a folder into this form; returns the files that changed."""
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    names = [path.stem for path in paths]
    different = []
    for path in paths:
        before = path.read_text(encoding="utf-8")
        after = tidied(before, path.stem, names)
        if after != before:
            path.write_text(after, encoding="utf-8")
            different.append(path)
    return different


def tidied(text: str, name: str, names: list[str]) -> str:
    """The text of a notebook in this form.

    Arguments:
        text: the file of the notebook.
        name: name of the notebook.
        names: names of all notebooks, in reading order.
    """
    notebook = nbformat.reads(text, as_version=4)
    notebook, _ = ClearOutputPreprocessor().preprocess(notebook, {})
    notebook.metadata = NotebookNode(kernelspec=KERNEL, language_info={"name": "python"})
    cells = [cell for cell in notebook.cells if cell.get("id") not in (TOP, END)]
    for cell in cells:
        cell.metadata = NotebookNode({key: value for key, value in cell.metadata.items() if key in KEPT})
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source, name, names)
    row = links(name, names)
    cells.insert(1, nbformat.v4.new_markdown_cell(row, id=TOP))
    notebook.cells = [*cells, nbformat.v4.new_markdown_cell(row, id=END)]
    return nbformat.writes(notebook) + "\n"


def links(name: str, names: list[str]) -> str:
    """The row of links of a notebook."""
    at = names.index(name)
    before = [f"[← {_words(names[at - 1])}]({names[at - 1]}.ipynb)"] if at > 0 else []
    after = [f"[{_words(names[at + 1])} →]({names[at + 1]}.ipynb)"] if at + 1 < len(names) else []
    return " · ".join([*before, "[All notebooks](README.md)", *after])


def linked(text: str, name: str, names: list[str]) -> str:
    """A text in which each mention of another notebook is a link: "notebook 12", or "notebooks 02 and 04 to 09"."""
    files = {other[:2]: other for other in names if other != name}

    def link(words: str, number: str) -> str:
        return f"[{words}]({files[number]}.ipynb)" if number in files else words

    def each(mention: re.Match) -> str:
        return re.sub(r"\d\d", lambda number: link(number[0], number[0]), mention[0])

    return SEVERAL.sub(each, MENTION.sub(lambda mention: link(mention[1], mention[2]), text))


def _words(name: str) -> str:
    return name.replace("_", " ")
