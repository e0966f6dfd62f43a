"""Runs the code of a notebook in the process of a test, which so can put stand-ins in the place of records."""

from typing import Any

import matplotlib.pyplot as plt
import nbformat

from analysis.evidence.parameters import profile_parameters
from analysis.origin import NOTEBOOKS


def run(number: str, **values: Any) -> dict[str, Any]:
    """Runs the code cells of a notebook in the smoke profile, with some other values; returns its names."""
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    values = profile_parameters("smoke", number) | values
    names: dict[str, Any] = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, path.name, "exec"), names)
            names |= values if "parameters" in cell.metadata.get("tags", []) else {}
    plt.close("all")
    return names
