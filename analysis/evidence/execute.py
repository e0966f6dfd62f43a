"""Runs a notebook through papermill, with the guards that papermill lacks.

case                                   | papermill                         | this module
---------------------------------------|-----------------------------------|-------------------------------------
unknown parameter, or of another type  | warns of an unknown one, goes on  | refuses it before it writes anything
a cell calls `sys.exit(0)`             | calls the notebook complete       | requires that each code cell completed
the run fails half-way                 | leaves half an output under the   | gives the output its final name only
                                       | final name                        | when it is complete
"""

import re
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from analysis.evidence.parameters import check_parameters
from cudfkd.base.errors import CudfkdError
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


def _require_complete(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    for number, cell in enumerate(cells, start=1):
        done = cell.metadata.get("papermill", {}).get("status") == "completed"
        if cell.cell_type == "code" and cell.source.strip() and not (done and cell.execution_count):
            raise NotebookError(f"cell {number} of {path.name} did not run: does a cell before it leave the kernel?")


def _plain(text: str) -> str:
    line = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    return line if len(line) <= 300 else line[:297] + "..."
