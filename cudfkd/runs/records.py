"""What a run's folder says, read back: refused in one line where it is not what a run writes.

The weights have their hashes; these are the small text files beside them, which people open and change.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cudfkd.base.errors import ConfigError, DataError
from cudfkd.base.files import read_json
from cudfkd.base.validation import difference
from cudfkd.evaluation import Estimate, Evaluation
from cudfkd.runs.metrics import Row

CONFIG, SUMMARY, METRICS = "config.json", "summary.json", "metrics.jsonl"

_KINDS = {
    "distill": dict,
    "student": (dict, type(None)),
    "teacher": (dict, type(None)),
    "teacher_sha256": str,
    "generator": (dict, type(None)),
}


def read_description(folder: Path) -> dict[str, Any]:
    """config.json, as `cudfkd.runs.folder.describe` makes it. Raises DataError if it is none."""
    found = read_json(folder / CONFIG)
    for name, kind in _KINDS.items():
        if name not in found or not isinstance(found[name], kind):
            raise damaged(folder / CONFIG, f"{name} is not what a run writes")
    return found


def refuse_other(
    folder: Path, found: dict[str, Any], wanted: dict[str, Any], names: Iterable[str] = tuple(_KINDS)
) -> None:
    """Raises ConfigError where a run of description `wanted` is not the one that is there, naming one difference.

    Looked at are the values of `names`: by default, what makes a distillation.
    """
    there = {name: found.get(name) for name in names}
    asked = json.loads(json.dumps({name: wanted[name] for name in names}))
    if differs := difference(there, asked):
        name, old, new = differs
        raise ConfigError(f"{folder} holds a run with {name} = {old!r}, not {new!r}: choose another folder")


def read_rows(folder: Path, epochs: int) -> list[Row]:
    """metrics.jsonl, the rows of `epochs` complete epochs; one more may be there if the process died just then.

    Raises:
        DataError: fewer rows, or rows that no run writes.
    """
    file = folder / METRICS
    try:
        rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(file, "it does not hold a JSON object a line") from error
    if len(rows) < epochs:
        raise damaged(file, f"it holds {len(rows)} of {epochs} epochs")
    for number, row in enumerate(rows[:epochs], start=1):
        known = isinstance(row, dict) and {"epoch", "accuracy", "total_seconds"} <= row.keys()
        if not known or row["epoch"] != number or any(isinstance(value, str | list | dict) for value in row.values()):
            raise damaged(file, f"line {number} is not that of epoch {number}")
    return rows[:epochs]


def read_summary(folder: Path) -> dict[str, Any]:
    """summary.json of a finished run. Raises DataError if it is none."""
    file = folder / SUMMARY
    found = read_json(file)
    if not isinstance(found.get("sha256"), dict) or not isinstance(found.get("epoch"), int):
        raise damaged(file, "sha256 or epoch is not what a run writes")
    for name in Evaluation._fields:
        if name in found and not _is_estimate(found[name]):
            raise damaged(file, f"{name} is not what a run writes")
    return found


def _is_estimate(value: object) -> bool:
    if not isinstance(value, dict) or value.keys() != set(Estimate._fields):
        return False
    return all(type(number) in (int, float) for number in value.values())


def damaged(file: Path, why: str) -> DataError:
    """The error for a file that is there and is not what a run writes."""
    return DataError(f"{file} is damaged ({why}): run it again in another folder")
