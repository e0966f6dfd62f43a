"""Reading of the small text files of a run folder. Content that no run writes is refused with one line of error.

The files with weights have hashes. The text files have no hash, and people open and change them.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cudfkd.base.errors import ConfigError, DataError
from cudfkd.base.files import read_json
from cudfkd.base.validation import difference
from cudfkd.base.version import __version__
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
    """Reads config.json, which `cudfkd.runs.folder.describe` makes. Raises DataError if its content is wrong."""
    description = read_json(folder / CONFIG)
    for name, kind in _KINDS.items():
        if name not in description or not isinstance(description[name], kind):
            raise unreadable(folder, description, f"{name} is not what a run writes")
    if not isinstance(description.setdefault("data_sha256", {}), dict):  # older runs do not have it
        raise damaged(folder / CONFIG, "data_sha256 is not what a run writes")
    return description


def unreadable(folder: Path, description: dict[str, Any], why: str) -> DataError:
    """Makes the error for a description that this version cannot read: of another version, or damaged."""
    versions = description.get("versions")
    version = versions.get("cudfkd") if isinstance(versions, dict) else None
    if version in (None, __version__):
        return damaged(folder / CONFIG, why)
    return DataError(
        f"{folder} was written by cudfkd {version}, and this is cudfkd {__version__} ({why}): load it with that"
        " version, or run it again in another folder"
    )


def refuse_other(
    folder: Path, found: dict[str, Any], wanted: dict[str, Any], names: Iterable[str] = tuple(_KINDS)
) -> None:
    """Raises ConfigError if a folder holds the run of another description; the line names one difference.

    Arguments:
        folder: the run folder.
        found: description in the folder.
        wanted: description of the run to go on with.
        names: keys that are compared; by default, the keys that define a distillation.
    """
    present = {name: found.get(name) for name in names}
    requested = json.loads(json.dumps({name: wanted[name] for name in names}))
    if differs := difference(present, requested):
        name, old, new = differs
        raise ConfigError(f"{folder} holds a run with {name} = {old!r}, not {new!r}: choose another folder")


def refuse_other_data(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises ConfigError if a run would go on with new images, so that its epochs had two yardsticks.

    A data set that only one of the descriptions has is no difference: a run may go on without evaluation.

    Arguments:
        folder: the run folder.
        found: description in the folder.
        wanted: description of the run to go on with.
    """
    before, now = found["data_sha256"], wanted["data_sha256"]
    for name in before.keys() & now.keys():
        if before[name] != now[name]:
            raise ConfigError(
                f"{folder} holds a run with other images or labels in {name}: pass the data set of its beginning, or"
                " choose another folder"
            )


def read_rows(folder: Path, epochs: int) -> list[Row]:
    """Reads the rows of `epochs` complete epochs from metrics.jsonl.

    The file may have one more row, if the process died after writing it and before replacing the checkpoint.

    Raises:
        DataError: the file has fewer rows, or rows that no run writes.
    """
    file = folder / METRICS
    try:
        rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(file, "it does not hold a JSON object a line") from error
    if len(rows) < epochs:
        raise damaged(file, f"it holds {len(rows)} of {epochs} epochs")
    for number, row in enumerate(rows[:epochs], start=1):
        has_keys = isinstance(row, dict) and {"epoch", "accuracy", "total_seconds"} <= row.keys()
        if (
            not has_keys
            or row["epoch"] != number
            or any(isinstance(value, str | list | dict) for value in row.values())
        ):
            raise damaged(file, f"line {number} is not that of epoch {number}")
    return rows[:epochs]


def read_summary(folder: Path) -> dict[str, Any]:
    """Reads summary.json of a finished run. Raises DataError if its content is wrong."""
    file = folder / SUMMARY
    summary = read_json(file)
    if not isinstance(summary.get("sha256"), dict) or not isinstance(summary.get("epoch"), int):
        raise damaged(file, "sha256 or epoch is not what a run writes")
    for name in Evaluation._fields:
        if name in summary and not _is_estimate(summary[name]):
            raise damaged(file, f"{name} is not what a run writes")
    return summary


def _is_estimate(value: object) -> bool:
    if not isinstance(value, dict) or value.keys() != set(Estimate._fields):
        return False
    return all(type(number) in (int, float) for number in value.values())


def damaged(file: Path, why: str) -> DataError:
    """Makes the error for a file that exists but has content that no run writes."""
    return DataError(f"{file} is damaged ({why}): run it again in another folder")
