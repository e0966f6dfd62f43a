"""The reference: which modules it holds, and what autodoc cannot know of this project's classes."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from inspect import getdoc
from pydoc import locate
from types import ModuleType
from typing import Any, get_type_hints

import cudfkd
from analysis.origin import ROOT
from cudfkd.base.validation import Described
from docs.builder.tables import table

PACKAGES = ("cudfkd", "analysis")
LONGEST = 60  # characters of a default; a longer default is left out


def load() -> None:
    """Imports every module, and leaves the plain types in the annotations of descriptions, without their validators.

    The import comes first: autodoc changes annotations of base classes, and a later import would stumble over them.
    """
    for module in (module for package in PACKAGES for module in modules(package)):
        import_module(module)
    for kind in _below(Described):
        hints = get_type_hints(kind)
        kind.__annotations__ = {name: hints[name] for name in kind.__annotations__}


def sections(paths: Iterable[str]) -> str:
    """The reference of modules and folders of modules, a section a module."""
    return "\n\n".join(_section(module) for path in paths for module in modules(path))


def modules(path: str) -> Iterator[str]:
    """The importable names of a module, or of all modules in a folder."""
    place = ROOT / path
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    for file in files:
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts[-1] != "__main__":
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def front_door() -> str:
    """The public names of `cudfkd`, each with the first sentence of its docstring."""
    rows = []
    for name in cudfkd.__all__:
        thing = getattr(cudfkd, name)
        if not isinstance(thing, str | ModuleType):
            place = f"{thing.__module__}.{thing.__qualname__}"
            kind = "class" if isinstance(thing, type) else "func"
            rows.append((f"{{py:{kind}}}`cudfkd.{name} <{place}>`", (getdoc(thing) or "").split("\n\n")[0]))
    return table(("name", "purpose"), rows)


def signature(app: Any, what: str, name: str, thing: Any, *others: Any) -> tuple[str, None] | None:  # noqa: ARG001
    """Handles the event autodoc-process-signature: a description has too many settings for a signature."""
    return ("(**settings)", None) if what == "class" and issubclass(thing, Described) else None


def skipped(app: Any, what: str, name: str, thing: Any, *others: Any) -> bool | None:  # noqa: ARG001
    """Handles the event autodoc-skip-member: fields of tuples, which the docstring of the tuple explains."""
    return True if str(getattr(thing, "__doc__", "")).startswith("Alias for field number") else None


def facts(what: str, name: str, thing: Any) -> list[str]:
    """Lines to add to a docstring: the bases of a class, the default of a setting."""
    if what == "class":
        ours = [kind for kind in thing.__bases__ if kind.__module__.split(".")[0] in PACKAGES]
        links = ", ".join(f":py:class:`{kind.__name__} <{kind.__module__}.{kind.__qualname__}>`" for kind in ours)
        return ["", f"Based on {links}."] if ours else []
    owner, _, field = name.rpartition(".")
    kind = locate(owner) if what == "attribute" else None
    if isinstance(kind, type) and issubclass(kind, Described) and field in kind.model_fields:
        default = repr(kind.model_fields[field].default)
        return ["", f"Default: ``{default}``."] if len(default) <= LONGEST and "Undefined" not in default else []
    return []


def _section(module: str) -> str:
    """The reference of a module. If its package has a function of the same name, the index knows the function alone."""
    package, _, leaf = module.rpartition(".")
    hidden = package and not isinstance(getattr(import_module(package), leaf), ModuleType)
    option = "\n   :no-index:" if hidden else ""
    return f"## {module}\n\n```{{eval-rst}}\n.. automodule:: {module}{option}\n```"


def _below(kind: type) -> Iterator[type]:
    """The subclasses of a class, at any depth."""
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)
