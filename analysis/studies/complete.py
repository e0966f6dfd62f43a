"""All runs of a study: from the project's record, or made again into a folder."""

from pathlib import Path

from analysis.studies import catalog, records, run
from analysis.studies.records import StudyRecord
from cudfkd.base.console import say
from cudfkd.base.errors import DataError


def complete(name: str, again_in: Path | None = None) -> StudyRecord:
    """The record of a study of the project with all of its runs.

    Arguments:
        name: name of the study.
        again_in: folder into which all runs are made again, as NAME.json; a run that is there already is kept. None
            takes the project's own record.

    Raises:
        ConfigError: the study is unknown, or needs a teacher that is not there.
        DataError: there is no record, or it is damaged, of another study or lacks a run.
    """
    if again_in is None and not records.path_of(name).exists():
        raise DataError(
            f"there is no record of the study {name} yet: make it with python -m analysis.studies record {name}"
        )
    study = catalog.get(name)
    if again_in is None:
        return records.whole(study)
    path = again_in / f"{name}.json"
    for line in run.fill(study, path):
        say(line)
    return records.begun(study, path)
