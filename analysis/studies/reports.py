"""Tables and figures of methods side by side, from records: for grids, and for the project's own comparison."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from analysis import plots
from analysis.evidence.contents import figure_of
from analysis.evidence.provenance import write_figure
from analysis.origin import commit
from analysis.studies import cost, records, table
from analysis.studies.grid import architecture_in
from analysis.studies.records import StudyRecord
from cudfkd.base.errors import ConfigError
from cudfkd.base.files import write_bytes, write_json

GROUP = ["data", "teacher", "student"]
COLUMNS = ["method", "seed", "accuracy", "agreement", "loyalty", "student_steps", "generator_steps", "seconds", "MB",
           "hardware", "torch"]  # fmt: skip


def union(files: Iterable[Path]) -> StudyRecord:
    """The runs of several record files as one record. Raises DataError: a file is missing or no record."""
    return records.merge(map(records.read, files))


def tables(out: Path, record: StudyRecord) -> None:
    """Writes runs.csv (a row a run), methods.csv (over seeds) and rates.json (for `analysis.studies.cost`)."""
    runs = _of_methods(record).set_index(GROUP)
    over_seeds = pd.concat({group: table.summary(rows) for group, rows in runs.groupby(level=GROUP, sort=False)})
    _csv(out / "runs.csv", runs.assign(MB=runs["mb"]).filter(COLUMNS))
    _csv(out / "methods.csv", over_seeds.rename_axis([*GROUP, "method"]))
    write_json(out / "rates.json", {"rates": cost.rates(record)})


def figures(out: Path, title: str, record: StudyRecord) -> None:
    """Draws accuracy by method over seeds, and the races to it.

    Raises:
        ConfigError: the runs are of several data sets or pairs, and not to be compared with each other.
    """
    runs = _of_methods(record)
    groups = runs[GROUP].drop_duplicates()
    if len(groups) > 1:
        known = "; ".join(" ".join(map(str, row)) for row in groups.to_numpy())
        raise ConfigError(f"the records are of {len(groups)} groups ({known}): name the records of one")
    story = {"notebook": "grid", "profile": title, "commit": commit(), **records.story(record)}
    drawn = {
        "accuracies": plots.accuracies(table.summary(runs)),
        "races": plots.races(table.histories(record, "method")),
    }
    for name, figure in drawn.items():
        write_figure(out, name, figure_of(figure), title, story)


def _of_methods(record: StudyRecord) -> pd.DataFrame:
    """The runs as a table in which data, teacher and student are columns, also where they are no axis of the study."""
    runs = table.frame(record)
    if "method" not in runs:
        raise ConfigError(
            f"the record of {record.study['name']} compares no methods: its runs have no axis of that name"
        )
    experiments = [case.case["experiment"] for case, _, _ in record.runs()]
    teachers = [architecture_in(experiment) for experiment in experiments]
    named = {name: [experiment[name] for experiment in experiments] for name in ("data", "student")}
    return runs.assign(**named, teacher=teachers)


def _csv(path: Path, rows: pd.DataFrame) -> None:
    write_bytes(path, rows.to_csv().encode())
