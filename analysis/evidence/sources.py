"""Code and records behind a notebook, as a hash: results of one hash and one set of parameters are of one making."""

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager

from analysis.origin import NOTEBOOKS, ROOT

PACKAGES = ("cudfkd", "analysis")
RECORDS = {"analysis/studies/records.py": "*.json"}  # by the module that reads them


def fingerprint(number: str) -> str:
    """A hash of notebook `number`'s code cells, as saved, and of every module of ours that they import, at any depth.

    With the modules that read recorded runs go the records. Prose and outputs do not count, nor do modules that it
    never meets, nor the commit.
    """
    cells = "\n".join(_cells(path) for path in sorted(NOTEBOOKS.glob(f"{number}_*.ipynb")))
    told = hashlib.sha256(cells.encode())
    modules = imported(cells)
    readers = [pattern for reader, pattern in RECORDS.items() if _there(reader) in modules]
    records = [path for pattern in readers for path in _records(pattern)]
    for path in sorted([*modules, *records]):
        told.update(f"\n{path.relative_to(ROOT).as_posix()}\n".encode() + path.read_bytes())
    return told.hexdigest()[:16]


def imported(code: str) -> set[Path]:
    """The files of ours that `code` imports, and that those import.

    A package's __init__ counts only where a name is taken from it, and not for being the way to a module.
    """
    found: set[Path] = set()
    todo = list(_imports(code))
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += _imports(path.read_text(encoding="utf-8"))
    return found


def _there(reader: str) -> Path:
    """The file of a module that reads records. A record that nobody reads any more would silently count for nothing."""
    path = ROOT / reader
    assert path.is_file(), f"{reader} reads records and is gone: name the module that reads them now in RECORDS"
    return path


def _records(pattern: str) -> list[Path]:
    found = list((ROOT / "analysis" / "records").glob(pattern))
    assert found, f"analysis/records holds no {pattern}: name in RECORDS where the records are now"
    return found


def _cells(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return "\n".join(TransformerManager().transform_cell(source) for source in sources)  # %magics and !commands


def _imports(code: str) -> Iterator[Path]:
    for module, name in _names(code):
        path = _file(f"{module}.{name}") or _file(module)
        if path is not None:
            yield path


@cache
def _names(code: str) -> tuple[tuple[str, str], ...]:
    """Modules that are imported, each with the name that is taken from it, or ""."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.module, alias.name) for alias in node.names]
    return tuple(found)


def _file(module: str) -> Path | None:
    """Of one of our modules; None for any other name."""
    if module.split(".")[0] not in PACKAGES or module.endswith("."):
        return None
    path = ROOT.joinpath(*module.split("."))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)
