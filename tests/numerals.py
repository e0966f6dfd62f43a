"""The numerals in the texts of a notebook, and the numbers that its cells hold or print."""

import re
from collections.abc import Iterable

from nbformat import NotebookNode

SKIPPED = re.compile(
    r"\$\$.+?\$\$|\$[^$]+\$"  # formulas
    r"|```.*?```|`[^`]*`"  # code
    r"|\[[^\]]*\]\([^)]*\)|<[^>]+>"  # links and tags
    r"|[Nn]otebook \d\d"  # a notebook that names itself
    r"|^\s*\d+\. "  # items of lists
    r"|\b(?:19|20)\d\d\b|Information Sciences \d+, \d+",  # years, and the paper
    re.DOTALL | re.MULTILINE,
)
NUMERAL = re.compile(r"(?<![\w.,^*/\u2212-])(\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)(?![\w.,]*\w)(\s?%)?")
NUMBER = re.compile(r"(?<![\w.])\d+(?:[_,]\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)")


def numerals(text: str) -> list[str]:
    """The numerals in a Markdown text, such as "0.088", "2,000" and "17 %".

    Numerals in formulas, code and links are left out. So are years, and the numbers of theorems, notebooks and items.
    """
    return [f"{number}{percent and ' %'}" for number, percent in NUMERAL.findall(SKIPPED.sub(" ", text))]


def numbers(*texts: str) -> list[float]:
    """All numbers in texts of any kind: code, or what a cell printed."""
    return [float(re.sub("[_,]", "", number)) for text in texts for number in NUMBER.findall(text)]


def backed(numeral: str, known: Iterable[float]) -> bool:
    """Whether a numeral is one of the known numbers, rounded to its places. A percentage may be known as a share."""
    digits, percent = numeral.removesuffix(" %").replace(",", ""), numeral.endswith(" %")
    places = len(digits.partition(".")[2])
    room = 0.5 * 10**-places + 1e-9 if percent or places else 0  # a count is known exactly
    return any(
        abs(scale * number - float(digits)) <= room for number in known for scale in ((1, 100) if percent else (1,))
    )


def shown(cell: NotebookNode) -> list[str]:
    """The source of a code cell, and the texts that it printed."""
    data = [output.get("data", {"text/plain": output.get("text", "")}) for output in cell.outputs]
    return [cell.source, *(entry.get(kind, "") for entry in data for kind in ("text/plain", "text/markdown"))]


def unbacked(notebook: NotebookNode, held: Iterable[float], solved: str) -> list[str]:
    """The numerals in the texts of an executed notebook that no cell has.

    The questions of exercises are free. The solutions may have the numbers of their question and of their test.

    Arguments:
        held: numbers of the notebook that the analysis holds, and no cell.
        solved: the tests of the exercises.
    """
    given = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    known = [*held, *(number for cell in given if cell.cell_type == "code" for number in numbers(*shown(cell)))]
    missing = []
    for cell in given:
        if cell.cell_type == "markdown":
            text, _, exercises = cell.source.partition("## Exercises")
            question, _, solution = exercises.partition("<details>")
            missing += [numeral for numeral in numerals(text) if not backed(numeral, known)]
            more = [*known, *numbers(question, solved)]
            missing += [numeral for numeral in numerals(solution) if not backed(numeral, more)]
    return missing
