"""Notebooks as the site shows them: executed if they were run with the present code, else stripped and with a note."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import yaml

from analysis.evidence import contents, gallery, results
from analysis.origin import NOTEBOOKS, ROOT
from cudfkd.base.errors import DataError

DESCRIPTIONS = gallery.descriptions(ROOT / "figures")
MAP = yaml.safe_load((Path(__file__).parent / "map.yaml").read_text(encoding="utf-8"))
TIMES = {
    15: ("a quarter of a minute", "¼"),
    30: ("half a minute", "½"),
    60: ("a minute", "1"),
    120: ("two minutes", "2"),
}
"""seconds: the time in words, and in minutes"""
WIDGET = "application/vnd.jupyter.widget-view+json"
LONG = 25  # lines of an output; a longer output is folded


def shown(name: str, plain: str, profile: str) -> str:
    """The text of a notebook for the site.

    Arguments:
        name: name of the notebook, for example "00_start_here".
        plain: text of the notebook as it is in the repository.
        profile: the folder of out/ with the executed notebooks.
    """
    doubt = why_not(name, profile)
    if doubt:
        notebook = nbformat.reads(plain, as_version=4)
        notebook.cells.insert(1, nbformat.v4.new_markdown_cell(note(doubt, profile)))
    else:
        notebook = nbformat.read(executed(name, profile), as_version=4)
        notebook.metadata.pop("widgets", None)
        for cell in notebook.cells:
            _prepare(cell, name[:2], profile)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = without_bars(cell.source)
    return nbformat.writes(notebook)


def executed(name: str, profile: str) -> Path:
    """The file of an executed notebook. It need not be there."""
    return ROOT / "out" / profile / f"{name}.ipynb"


@cache
def why_not(name: str, profile: str) -> str:
    """The reason why a notebook has no valid execution in out/PROFILE, in words; empty if it has one."""
    file = ROOT / "out" / profile / name[:2] / "result.json"
    if not executed(name, profile).exists() or not file.exists():
        return "it was not run"
    try:
        return results.doubts(results.read(file), profile)
    except DataError as error:
        return str(error)


def note(doubt: str, profile: str) -> str:
    """A note for the readers of a notebook without results."""
    return (
        "```{attention}\nThis page shows the notebook without its results. Reason in profile "
        f"{profile}: {doubt}. To see the results, run `make figures PROFILE={profile}` and then "
        f"`make site PROFILE={profile}`.\n```"
    )


def titles() -> dict[str, str]:
    """The title of each notebook, by its name."""
    return {path.stem: _first(path)[0].lstrip("# ") for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}


def time(name: str) -> str:
    """The time that a notebook takes in words, such as "half a minute": the class nearest to its recorded seconds."""
    return TIMES[_nearest(name)][0]


def minutes(name: str) -> str:
    """The same time in minutes, such as "½"."""
    return TIMES[_nearest(name)][1]


def _nearest(name: str) -> int:
    """The class of a notebook's time, in seconds: the class with the smallest ratio to the recorded seconds."""
    recorded = MAP[name[:2]]["seconds"]
    return min(TIMES, key=lambda seconds: max(seconds / recorded, recorded / seconds))


def _first(path: Path) -> list[str]:
    """The lines of a notebook's first cell."""
    return "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]).splitlines()


def without_bars(text: str) -> str:
    """A Markdown text whose tables have no bar within a formula: a bar would end the cell."""
    return re.sub(r"^\|.*$", lambda row: re.sub(r"\$[^$]+\$", _named_bars, row[0]), text, flags=re.MULTILINE)


def _named_bars(formula: re.Match) -> str:
    return formula[0].replace(r"\|", r"\Vert ").replace("|", r"\vert ")


def _prepare(cell: Any, number: str, profile: str) -> None:
    """Gives figures their descriptions, folds long outputs, and takes live widgets away."""
    if cell.cell_type != "code":
        return
    for output in cell.outputs:
        data = output.get("data", {})
        data.pop(WIDGET, None)
        if "image/png" in data:
            data.pop("text/html", None)
    figures = _drawn(cell.source, number, profile)
    if figures:
        alt = " Next figure: ".join(description(number, figure, profile) for figure in figures)
        cell.metadata["mystnb"] = {"image": {"alt": alt}}
    if sum(map(_lines, cell.outputs)) > LONG:
        cell.metadata.setdefault("tags", []).append("hide-output")


def _drawn(source: str, number: str, profile: str) -> list[str]:
    """The names of the figures that a cell draws. A cell with a name such as f"pace_{loss}" draws several."""
    call = re.search(r"record\.figure\((f?)\"(\w+)", source)
    if not call:
        return []
    several = (ROOT / "out" / profile / number).glob(f"{call[2]}*.png")
    return sorted(path.stem for path in several) if call[1] else [call[2]]


def _lines(output: Any) -> int:
    """The number of lines of an output that is text alone."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    return data["text/plain"].count("\n") if set(data) == {"text/plain"} else 0


def description(number: str, figure: str, profile: str) -> str:
    """The text for readers who do not see a figure: the written description, or else its titles, axes and lines."""
    written = DESCRIPTIONS.get(f"{number}/{figure}")
    if written:
        return written
    file = ROOT / "out" / profile / number / f"{figure}.json"
    axes = json.loads(file.read_text(encoding="utf-8"))["axes"] if file.exists() else []
    return contents.described(figure, axes)
