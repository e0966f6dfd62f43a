"""What a grid's results become: tables, and figures of methods side by side.

    python -m analysis.studies.collect tables OUT RECORD...
    python -m analysis.studies.collect figures OUT TITLE RECORD...

A record is a file in the form of `analysis.studies.comparison`: a result of a grid, or one that is committed.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from analysis import plots
from analysis.evidence.provenance import Record
from analysis.studies import comparison, cost
from analysis.studies.comparison import Recorded
from cudfkd.base.errors import CudfkdError, DataError
from cudfkd.base.files import write_bytes, write_json


def read(files: Iterable[Path]) -> list[Recorded]:
    """The records in some files. Raises DataError: one is missing, damaged, or not called METHOD-seedN.json."""
    found = []
    for path in files:
        method, _, seed = path.stem.rpartition("-seed")
        if not seed.isdigit():
            raise DataError(f"{path} is no record: one is called METHOD-seedN.json")
        found.append(comparison.read(method, int(seed), path.parent))
    return found


def by_method(records: Iterable[Recorded]) -> dict[str, list[Recorded]]:
    """Records of one group, as `analysis.studies.comparison` takes them."""
    found: dict[str, list[Recorded]] = {}
    for one in records:
        found.setdefault(one.method, []).append(one)
    return found


def by_group(records: Iterable[Recorded]) -> dict[tuple[str, str, str], list[Recorded]]:
    """Those that may be compared with each other: of one data set, teacher and student."""
    found: dict[tuple[str, str, str], list[Recorded]] = {}
    for one in records:
        key = one.experiment["data"], cost.teacher(one), one.experiment["student"]
        found.setdefault(key, []).append(one)
    return found


def runs(records: Iterable[Recorded]) -> pd.DataFrame:
    """A row a run: what it was, the last epoch's scores, what it took."""
    rows = []
    for one in records:
        scores = {name: one.summary[name]["value"] for name in ("accuracy", "agreement", "loyalty")}
        steps = {name: one.summary[name] for name in ("student_steps", "generator_steps")}
        made = {"seconds": one.seconds, "MB": one.peak_memory_mb, "hardware": one.hardware, "torch": one.torch}
        rows.append({"method": one.method, "seed": one.seed, **scores, **steps, **made})
    return pd.DataFrame(rows)


def tables(out: Path, files: Iterable[Path]) -> None:
    """Writes runs.csv, methods.csv (over seeds, as `comparison.table`) and rates.json (for `analysis.studies.cost`).

    Raises:
        as `read`.
    """
    records, names = read(files), ["data", "teacher", "student"]
    groups = by_group(records)
    each = pd.concat({key: runs(found) for key, found in groups.items()}).droplevel(-1)
    over = pd.concat({key: comparison.table(by_method(found)) for key, found in groups.items()})
    _csv(out / "runs.csv", each.rename_axis(names))
    _csv(out / "methods.csv", over.rename_axis([*names, "method"]))
    write_json(out / "rates.json", {"rates": cost.rates(records)})


def figures(out: Path, title: str, files: Iterable[Path]) -> None:
    """Draws accuracy by method over seeds, and the races to it. Raises as `read`."""
    found = by_method(read(files))
    story = Record("grid", title, {"methods": ", ".join(found)}, str(out))
    story.figure("accuracies", plots.accuracies(comparison.table(found)))
    story.figure("races", plots.races({method: [one.history for one in many] for method, many in found.items()}))


def main(arguments: Sequence[str] | None = None) -> int:
    """`tables OUT RECORD...` or `figures OUT TITLE RECORD...`; 0, or 2 for bad input, in one line."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.studies.collect", description="Tables and figures of a grid."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    told = commands.add_parser("tables", help="a row a run, and a row a method")
    drawn = commands.add_parser("figures", help="of records that may be compared with each other")
    for command in (told, drawn):
        command.add_argument("out", type=Path, help="folder")
    drawn.add_argument("title", help="what is printed on them")
    for command in (told, drawn):
        command.add_argument("records", type=Path, nargs="+")
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "figures":
            figures(asked.out, asked.title, asked.records)
        else:
            tables(asked.out, asked.records)
        return 0
    except CudfkdError as error:
        sys.stderr.write(f"analysis.studies.collect: {error}\n")
        return 2


def _csv(path: Path, table: pd.DataFrame) -> None:
    write_bytes(path, table.to_csv().encode())


if __name__ == "__main__":
    sys.exit(main())
