"""This project's docstrings as reStructuredText.

A docstring here is plain text with a few habits, and this module knows them:

    `name`                                code
    Arguments: / Returns: / Raises:       a section, indented, a line an entry
    name: text                            an entry of a list, if the paragraph begins so
    - text                                a list, as it is in reStructuredText
    an indented paragraph, or columns     a formula or a table, shown as it is
"""

import inspect
import re
from collections.abc import Iterator
from textwrap import indent
from typing import Any

from sphinx.application import Sphinx

from docs.builder.reference import facts

SECTIONS = {"Arguments": "param", "Raises": "raises", "Returns": "returns"}
ENTRY = re.compile(r"([\w'., *-]{1,60}): +(\S.*)")
COLUMNS = re.compile(r"\S {3,}\S")


def process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """Handles the event autodoc-process-docstring: changes `lines` in place."""
    lines[:] = [*to_rst("\n".join(lines)).splitlines(), *facts(what, name, thing), ""]


def to_rst(text: str) -> str:
    """A docstring, without its indentation, as reStructuredText."""
    return "\n\n".join(_blocks(text.strip("\n")))


def _blocks(text: str) -> Iterator[str]:
    paragraphs = [part for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
    while paragraphs:
        first = paragraphs.pop(0)
        head, _, rest = first.partition("\n")
        if head.rstrip(":") in SECTIONS and head.endswith(":"):
            yield _section(SECTIONS[head.rstrip(":")], inspect.cleandoc("\n" + rest))
        elif first.startswith(" "):
            verbatim = [first]
            while paragraphs and paragraphs[0].startswith(" "):
                verbatim.append(paragraphs.pop(0))
            yield "::\n\n" + "\n\n".join(verbatim)
        elif COLUMNS.search(first):
            yield "::\n\n" + indent(first, "    ")
        elif first.startswith("- "):
            yield inline(first)
        elif "\n " in first:
            yield from _with_lines_below(first)
        elif ENTRY.fullmatch(head) and _lower(head):
            yield _list(first)
        else:
            yield inline(first)


def _with_lines_below(text: str) -> Iterator[str]:
    """A paragraph whose later lines are indented: a sentence and its formula, or entries of a list."""
    lines = text.splitlines()
    if ENTRY.fullmatch(lines[0]) and not lines[0].endswith(":"):
        yield _list(text)
        return
    start = next(number for number, line in enumerate(lines) if line.startswith(" "))
    yield inline("\n".join(lines[:start]))
    below = "\n".join(lines[start:])
    yield _list(inspect.cleandoc("\n" + below)) if ENTRY.fullmatch(lines[start].strip()) else "::\n\n" + below


def _section(field: str, text: str) -> str:
    if field == "returns":
        return ":returns: " + _continued(text)
    entries = _entries(text)
    if field == "param":  # a space in a field's name would end a type
        return "\n".join(f":param {name.replace(', ', ',')}: {_continued(about)}" for name, about in entries)
    return "\n".join(f":raises {name}: {_continued(about)}" if name else _continued(about) for name, about in entries)


def _list(text: str) -> str:
    return "\n".join(f"- ``{name}``: {_continued(about)}" if name else f"- {_continued(about)}"
                     for name, about in _entries(text))  # fmt: skip


def _entries(text: str) -> list[tuple[str, str]]:
    """The entries of a list: name and text. A line that begins no entry goes on with the entry before it."""
    entries: list[tuple[str, str]] = []
    for line in text.splitlines():
        match = ENTRY.fullmatch(line)
        if match and not line.startswith(" "):
            entries.append((match[1], match[2]))
        elif entries:
            name, about = entries.pop()
            entries.append((name, f"{about} {line.strip()}"))
        else:
            entries.append(("", line.strip()))
    return entries


def _continued(text: str) -> str:
    """A text on one line, to stand after a field or bullet."""
    return inline(" ".join(text.split()))


def _lower(head: str) -> bool:
    """True if a paragraph begins as an entry does, and not as a sentence with a colon."""
    name = ENTRY.fullmatch(head)[1]  # type: ignore[index]
    return len(name.split()) <= 3 and not name[0].isupper()


def inline(text: str) -> str:
    """A text with its code marked, and with the marks of reStructuredText taken literally."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(f"`{part}`" if number % 2 else _plain(part) for number, part in enumerate(parts))


def _plain(text: str) -> str:
    return re.sub(r"_(?!\w)", r"\\_", re.sub(r"([\\*|`])", r"\\\1", text))
