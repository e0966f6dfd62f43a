"""Runs a notebook through papermill, with the guards that papermill lacks.

case                                   | papermill                         | this module
---------------------------------------|-----------------------------------|-------------------------------------
unknown parameter, or of another type  | warns of an unknown one, goes on  | refuses it before it writes anything
a cell calls `sys.exit(0)`             | calls the notebook complete       | requires that each code cell completed
the run fails half-way                 | leaves half an output under the   | gives the output its final name only
                                       | final name                        | when it is complete
"""

import json
import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import nbformat
import papermill
import yaml
from papermill.exceptions import PapermillExecutionError

from analysis.origin import NOTEBOOKS, PROFILES
from cudfkd.base.errors import ConfigError, CudfkdError, unknown
from cudfkd.base.files import make_folder


class NotebookError(CudfkdError):
    """A notebook did not run to its end."""


@dataclass(frozen=True)
class Executed:
    """An executed notebook.

    path: the executed copy.
    seconds: duration of the execution.
    """

    path: Path
    seconds: float


class Declared(NamedTuple):
    """The line of a parameter in a notebook's parameters cell.

    kind: the type, for example "int" or "list[float]".
    bound: the range of the number, or of each number of a list: "2 or more" or "above 0", from the comment of the
        line; empty if the comment names none.
    """

    kind: str
    bound: str = ""


def execute(notebook: Path, output: Path, parameters: dict[str, Any] | None = None) -> Executed:
    """Executes a notebook into `output`, with values for its parameters cell.

    Arguments:
        notebook: an .ipynb with a cell tagged "parameters".
        output: the executed copy. It appears only when every cell has completed. During the run, and after a failure,
            the notebook lies in the same folder as NAME.partial.ipynb.
        parameters: values by name, of the types that the parameters cell declares.

    Raises:
        ConfigError: the notebook does not exist, a parameter is unknown, or a value has another type or is out of its
            range; nothing is written.
        DataError: the output's folder cannot be written.
        NotebookError: a cell failed or did not run.
    """
    values = check_parameters(notebook, parameters or {})
    partial = output.with_suffix(".partial.ipynb")
    make_folder(output.parent)
    started = perf_counter()
    try:
        papermill.execute_notebook(
            str(notebook), str(partial), values, kernel_name="python3", progress_bar=False, log_output=False,
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )  # fmt: skip
    except PapermillExecutionError as error:
        reason = _plain(f"{error.ename}: {error.evalue}")
        raise NotebookError(f"{notebook.name} failed in cell {error.exec_count} ({reason}): see {partial}") from error
    except RuntimeError as error:  # the kernel died or could not start
        raise NotebookError(f"{notebook.name} stopped ({_plain(str(error))}): see {partial}") from error
    _require_complete(partial)
    partial.replace(output)
    return Executed(output, perf_counter() - started)


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
        nbformat.read(notebook, as_version=4)
        declared = papermill.inspect_notebook(str(notebook))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"{notebook} is not a notebook that can be read: restore it from git") from error
    if not declared:
        raise ConfigError(f"{notebook.name} has no cell tagged 'parameters': it cannot be run with values")
    return {name: Declared(line["inferred_type_name"], _bound(line["help"] or "")) for name, line in declared.items()}


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


def _require_complete(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    for number, cell in enumerate(cells, start=1):
        done = cell.metadata.get("papermill", {}).get("status") == "completed"
        if cell.cell_type == "code" and cell.source.strip() and not (done and cell.execution_count):
            raise NotebookError(f"cell {number} of {path.name} did not run: does a cell before it leave the kernel?")


def _plain(text: str) -> str:
    line = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    return line if len(line) <= 300 else line[:297] + "..."
