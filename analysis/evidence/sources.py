"""A hash of the code and records that a notebook uses: results of equal hash and parameters have the same origin."""

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager

from analysis.origin import CODE, NOTEBOOKS

PACKAGES = ("cudfkd", "analysis")
RECORDS = {"analysis/studies/records.py": "*.json"}  # pattern of the record files, by the module that reads them


def fingerprint(number: str) -> str:
    """A hash of notebook `number`'s saved code cells, and of every module of ours that they import, at any depth.

    Where a module reads recorded runs, the hash covers the records, too. It does not cover prose, outputs, modules that
    the notebook does not import, or the commit.
    """
    cells = "\n".join(_cells(path) for path in sorted(NOTEBOOKS.glob(f"{number}_*.ipynb")))
    digest = hashlib.sha256(cells.encode())
    modules = imported(cells)
    readers = [pattern for reader, pattern in RECORDS.items() if _there(reader) in modules]
    records = [path for pattern in readers for path in _records(pattern)]
    for path in sorted([*modules, *records]):
        digest.update(f"\n{path.relative_to(CODE).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def imported(code: str) -> set[Path]:
    """Our files that `code` imports, and the files that they import in turn.

    A package's __init__ counts only if a name is imported from it. It does not count as a step on the way to a module.
    Where it imports its names at their first use, they stand in its stub, __init__.pyi, which counts with it.
    """
    files: set[Path] = set()
    todo = list(_imports(code))
    while todo:
        path = todo.pop()
        if path not in files:
            files.add(path)
            todo += _imports(path.read_text(encoding="utf-8"), ".".join(path.parent.relative_to(CODE).parts))
            stub = path.with_suffix(".pyi")
            todo += [stub] if stub.is_file() else []
    return files


def _there(reader: str) -> Path:
    """The file of a module that reads records.

    The file must exist: a record without a reader would silently drop out of the hash.
    """
    path = CODE / reader
    assert path.is_file(), f"{reader} reads records and is gone: name the module that reads them now in RECORDS"
    return path


def _records(pattern: str) -> list[Path]:
    files = list((CODE / "analysis" / "records").glob(pattern))
    assert files, f"analysis/records holds no {pattern}: name in RECORDS where the records are now"
    return files


def _cells(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return "\n".join(TransformerManager().transform_cell(source) for source in sources)  # %magics and !commands


def _imports(code: str, package: str = "") -> Iterator[Path]:
    """The files that `code` imports; `package` is its own package, for relative imports."""
    for module, name in _names(code, package):
        path = _file(f"{module}.{name}") or _file(module)
        if path is not None:
            yield path


@cache
def _names(code: str, package: str) -> tuple[tuple[str, str], ...]:
    """The imported modules, each with the name that is imported from it, or ""."""
    names = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(part for part in (package if node.level else "", node.module) if part)
            names += [(module, alias.name) for alias in node.names]
    return tuple(names)


def _file(module: str) -> Path | None:
    """The file of a module of ours; None for a module that is not ours."""
    if module.split(".")[0] not in PACKAGES or module.endswith("."):
        return None
    path = CODE.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
