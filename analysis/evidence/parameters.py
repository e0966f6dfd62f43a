"""The parameters of a notebook: how its parameters cell declares them, and what a profile or a command line sets.

A notebook's kernel checks its parameters, too. So nothing here imports papermill or nbformat, which take seconds.
"""

import ast
import json
import re
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from analysis.origin import NOTEBOOKS, PROFILES
from cudfkd.base.errors import ConfigError, unknown


class Declared(NamedTuple):
    """The line of a parameter in a notebook's parameters cell.

    kind: the type, for example "int" or "list[float]".
    bound: the range of the number, or of each number of a list: "2 or more" or "above 0", from the comment of the
        line; empty if the comment names none.
    """

    kind: str
    bound: str = ""


def check_parameters(notebook: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Returns the parameters if the notebook takes them.

    Raises:
        ConfigError: a name is unknown, or a value has another type or range than the notebook declares, or a list is
            empty.
    """
    declared = declared_parameters(notebook)
    for name in parameters:
        if name not in declared:
            raise ConfigError(unknown(f"parameter of {notebook.name}", name, declared))
    check_values(notebook.name, declared, parameters)
    return parameters


def check_values(notebook: str, declared: dict[str, Declared], parameters: dict[str, Any]) -> None:
    """Raises ConfigError if a parameter has another type or range than the notebook declares, or is an empty list."""
    for name, value in parameters.items():
        kind, bound = declared.get(name, Declared("", ""))
        fits = not kind or _fits(value, kind)
        if not fits or (bound and not all(_within(number, bound) for number in _numbers(value))):
            allowed = bound if fits else kind
            raise ConfigError(f"{name} = {value!r} is not allowed in {notebook}: it must be {allowed}")
        if value == []:
            raise ConfigError(f"{name} = [] is not allowed in {notebook}: it must hold a number or more")


def changed(profile: str, number: str, parameters: dict[str, Any]) -> tuple[str, ...]:
    """The names of the parameters that differ from profiles/PROFILE/NUMBER.yaml, if the profile has the notebook.

    Raises:
        ConfigError: the profile is unknown.
    """
    file = profile_folder(profile) / f"{number}.yaml"
    values = read_yaml(file) if file.exists() else {}
    return tuple(name for name, value in parameters.items() if name in values and value != values[name])


def declared_parameters(notebook: Path) -> dict[str, Declared]:
    """The parameters of a notebook's parameters cell, by name.

    Raises:
        ConfigError: the file is no notebook, or it has no parameters cell.
    """
    if not notebook.is_file():
        raise ConfigError(f"there is no notebook {notebook}: the notebooks lie in {NOTEBOOKS.name}/")
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
        declared = dict(_declared(tagged[0])) if tagged else {}
    except (ValueError, KeyError, AttributeError, TypeError, SyntaxError) as error:
        raise ConfigError(f"{notebook} is not a notebook that can be read: restore it from git") from error
    if not declared:
        raise ConfigError(f"{notebook.name} has no cell tagged 'parameters': it cannot be run with values")
    return declared


def profile_parameters(profile: str, number: str) -> dict[str, Any]:
    """The parameters in profiles/PROFILE/NUMBER.yaml.

    Raises:
        ConfigError: the profile is unknown, or the file is missing, no YAML or not flat.
    """
    return read_yaml(profile_folder(profile) / f"{number}.yaml")


def profile_folder(profile: str) -> Path:
    """The folder profiles/PROFILE.

    Raises:
        ConfigError: the folder has no parameter files, or `profile` is a path and no name.
    """
    profiles = sorted({path.parent.name for path in PROFILES.glob("*/[0-9][0-9].yaml")})
    if profile not in profiles:
        raise ConfigError(unknown("profile", profile, profiles))
    return PROFILES / profile


def read_yaml(path: Path) -> dict[str, Any]:
    """Flat parameters from a YAML file. Raises ConfigError if the file is missing, no YAML or not flat."""
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is missing or not YAML: it must hold lines of name: value") from error
    if not isinstance(values, dict) or any(isinstance(value, dict) for value in values.values()):
        raise ConfigError(f"{path} is not flat: it must hold lines of name: value")
    return values


def parse_value(text: str) -> Any:
    """A value from the command line: JSON where the text is JSON (numbers, true, false, null, lists), else the text.

    True, False and None are accepted, too.
    """
    try:
        return json.loads(text.lower() if text in ("True", "False") else "null" if text == "None" else text)
    except ValueError:
        return text


def _declared(source: str) -> Iterator[tuple[str, Declared]]:
    """Each line `name: type = value  # comment` of a parameters cell."""
    lines = source.splitlines()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            comment = lines[(statement.end_lineno or statement.lineno) - 1][statement.end_col_offset or 0 :]
            yield statement.target.id, Declared(ast.unparse(statement.annotation), _bound(comment))


def _fits(value: Any, kind: str) -> bool:
    inner = re.fullmatch(r"(list|Optional)\[(\w+)\]", kind)
    if inner and inner[1] == "list":
        return isinstance(value, list) and all(_fits(item, inner[2]) for item in value)
    if inner:
        return value is None or _fits(value, inner[2])
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value).__name__ == kind


def _bound(comment: str) -> str:
    found = re.search(r"\b(\d+ or more|above \d+)\b", comment)
    return found[1] if found else ""


def _numbers(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _within(number: float, bound: str) -> bool:
    """Whether a finite number lies in the range "2 or more" or "above 0"."""
    edge = int(re.findall(r"\d+", bound)[0])
    return isfinite(number) and (number > edge if bound.startswith("above") else number >= edge)
