"""The runs of a study that a notebook shows: from the project's record, or made again into a folder."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.checks import Check
from analysis.evidence.provenance import span
from analysis.studies import catalog, records, run, table
from analysis.studies.records import StudyRecord
from analysis.studies.study import Study
from cudfkd.base.console import say
from cudfkd.base.errors import DataError
from cudfkd.base.files import make_folder


@dataclass(frozen=True)
class Shown:
    """The runs of a study for some of its seeds, the same seeds for every case.

    A figure may be drawn from a part of the seeds, and says so. A claim is tested with all seeds alone: a test that is
    made whenever some more seeds are there finds an effect too often.

    study: the study.
    record: its runs for the seeds at which every case was run.
    """

    study: Study
    record: StudyRecord

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds of these runs."""
        return sorted({seed for _, seed, _ in self.record.runs()})

    @property
    def whole(self) -> bool:
        """Whether these are all runs of the study."""
        return len(self.seeds) == len(self.study.seeds)

    @property
    def words(self) -> str:
        """The seeds in words, and what follows from missing seeds."""
        count = len(self.study.seeds)
        if self.whole:
            return f"{self.study.name}: all {count} seeds, {span(self.seeds)}"
        if not self.seeds:
            return f"{self.study.name}: none of {count} seeds so far; its claims are tested when all are there"
        return (
            f"{self.study.name}: {len(self.seeds)} of {count} seeds so far, {span(self.seeds)}; "
            "its claims are tested when all are there"
        )

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row a run, as `analysis.studies.table.frame` has it."""
        return table.frame(self.record)

    @property
    def origin(self) -> dict[str, Any]:
        """The origin of these runs, for the story of a figure, as `records.story` has it; missing: missing seeds."""
        missing = len(self.study.seeds) - len(self.seeds)
        told = {"missing": f"{missing} of {len(self.study.seeds)} seeds are not run yet"} if missing else {}
        return records.story(self.record) | told

    def tested(self, checks: Callable[[], Iterable[Check]], *further: "Shown") -> list[Check]:
        """The checks that a function makes of these runs, and of further studies; none as long as a seed is missing."""
        return list(checks()) if all(shown.whole for shown in (self, *further)) else []


def show(name: str, again_in: Path | None = None) -> Shown:
    """The runs of a study of the project, for the seeds at which every case was run.

    Arguments:
        name: name of the study.
        again_in: folder into which all runs are made again, as NAME.json; a run that is there already is kept. None
            takes the project's own record.

    Raises:
        ConfigError: the study is unknown, or needs a teacher that is not there.
        DataError: no seed is whole; the record is damaged, or of another study; or the folder cannot be written.
    """
    shown = so_far(name, again_in)
    if not shown.seeds:
        raise DataError(
            f"the study {name} has no seed yet at which every case was run: "
            f"make the runs with python -m analysis.studies record {name}"
        )
    return shown


def so_far(name: str, again_in: Path | None = None) -> Shown:
    """The runs as `show` returns them, also where no seed is whole yet. Arguments and errors as for `show`."""
    study = catalog.get(name)
    if again_in is None:
        begun = records.path_of(name).exists()
        return Shown(study, _of_whole_seeds(study, records.held(study) if begun else records.begun(study)))
    make_folder(again_in)  # before the first run, which would be lost
    path = again_in / f"{name}.json"
    for line in run.fill(study, path):
        say(line)
    return Shown(study, records.begun(study, path))


def _of_whole_seeds(study: Study, record: StudyRecord) -> StudyRecord:
    """The runs of the seeds at which no case lacks its run."""
    broken = {seed for _, seed in records.lacking(study, record)}
    whole = [seed for seed in study.seeds if seed not in broken]
    cases = {
        key: case.model_copy(update={"runs": {seed: case.runs[seed] for seed in whole}})
        for key, case in record.cases.items()
    }
    return StudyRecord(study=record.study, cases=cases)
