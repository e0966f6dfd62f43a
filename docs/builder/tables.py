"""Tables in Markdown."""

import re
from collections.abc import Iterable


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell(value) for value in line) + " |" for line in lines)


def cell(value: object) -> str:
    """A value in a cell of a table: on one line, with its bars escaped."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(str(value).split()))
