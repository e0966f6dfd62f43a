"""Records of studies: the results of each run in one format, with the hash of the study and a stamp a run.

    {"study": {"name": ..., "key": ..., "purpose": ...}, "cases": {KEY: {"at": ..., "case": ..., "runs": {"0": ...}}}}

Records of the project's own studies are `analysis/records/NAME.json`, a line a run. A job of a grid writes a record of
one run, and `merge` unites these records.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from analysis.origin import CODE
from analysis.studies.study import Case, Place, Study
from cudfkd.base.errors import ConfigError, DataError, unknown
from cudfkd.base.files import read_json, write_bytes
from cudfkd.base.validation import Described, digest

FOLDER = CODE / "analysis" / "records"


class Entry(Described):
    """One run, as its record holds it."""

    made: dict[str, Any]
    """stamp of the run: torch, hardware, vectors, threads, teacher, on which its bits depend; empty: not recorded"""
    seconds: float | None = None
    """seconds of training"""
    mb: float | None = None
    """peak memory in MB (10^6 bytes): of the process, or of the GPU's tensors"""
    numbers: dict[str, Any] = {}
    """numbers of the run: scores of the last epoch on dev, shares over epochs, and readings of a probe"""
    summary: dict[str, Any] | None = None
    """scores of the last epoch with their intervals"""
    rows: list[dict[str, Any]] | None = None
    """metrics, a row an epoch, numbers to six digits"""
    images: dict[str, Any] | None = None
    """images that the student studied last: shape, and bytes in base64"""
    stopped: str | None = None
    """the line with which the run stopped itself; such a run has no score"""
    pruned: Annotated[int, Field(ge=1)] | None = None
    """the epoch after which a search ended the run, which was worse than earlier runs; such a run has no score"""

    @property
    def plain(self) -> dict[str, Any]:
        """The entry as JSON has it, without fields that are None."""
        return {name: value for name, value in self.model_dump(mode="json").items() if value is not None}


class CaseRecord(Described):
    """A case as it was run, and its runs by seed."""

    at: dict[str, Place]
    case: dict[str, Any]
    runs: dict[int, Entry]

    @property
    def label(self) -> str:
        """The values on the axes, as `Case.label` has them."""
        return Case.model_construct(at=self.at).label


class StudyRecord(Described):
    """The record of a study: its name, hash and purpose, and its cases by their keys."""

    study: dict[str, Any]
    cases: dict[str, CaseRecord]

    def find(self, label: str, seed: int) -> tuple[CaseRecord, Entry]:
        """One run and its case. Raises ConfigError for a label or seed that is not in the record."""
        labels = {case.label: case for case in self.cases.values()}
        if label not in labels:
            raise ConfigError(unknown(f"case of {self.study['name']}", label, labels))
        runs = labels[label].runs
        if seed not in runs:
            raise ConfigError(unknown("seed in the record", str(seed), map(str, runs)))
        return labels[label], runs[seed]

    def runs(self) -> Iterator[tuple[CaseRecord, int, Entry]]:
        """All runs, each with its case and seed."""
        for case in self.cases.values():
            for seed, entry in case.runs.items():
                yield case, seed, entry

    def with_run(self, case: Case, seed: int, entry: Entry) -> "StudyRecord":
        """The record with one run more."""
        old = self.cases.get(case.key)
        runs = dict(sorted(((old.runs if old else {}) | {seed: entry}).items()))
        kept = CaseRecord(at=case.at, case=case.plain, runs=runs)
        return StudyRecord(study=self.study, cases=self.cases | {case.key: kept})


def path_of(name: str) -> Path:
    """The file of the project's own record of a study."""
    return FOLDER / f"{name}.json"


def load(name: str) -> StudyRecord:
    """The project's own record of a study. Raises DataError where it is missing or damaged."""
    return read(path_of(name))


def read(path: Path) -> StudyRecord:
    """A record from its file.

    Raises:
        DataError: the file is missing or no record, or a case has another description than its key says.
    """
    content = read_json(path)
    try:
        cases = {key: _case(values) for key, values in content["cases"].items()}
        record = StudyRecord(study=content["study"], cases=cases)
        name = record.study["name"]
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        raise DataError(f"{path} is no record of a study ({error}): make it again") from error
    for key, case in record.cases.items():
        if key != digest(case.case):
            raise DataError(f"{path} is damaged: {case.label!r} of {name} has another description than its key says")
    return record


def held(study: Study) -> StudyRecord:
    """The runs of a study that the project's own record holds; some may be missing.

    Raises:
        DataError: the record is missing or damaged, belongs to another study or to an earlier form of it, or holds a
            seed that the study does not name.
    """
    record = load(study.name)
    expected, recorded = begun(study), [(key, case.at) for key, case in record.cases.items()]
    if record.study != expected.study or recorded != [(key, case.at) for key, case in expected.cases.items()]:
        raise DataError(f"the record {study.name} is of another form of its study: record it again")
    for case, seed, _ in record.runs():
        if seed not in study.seeds:
            raise DataError(f"the record {study.name} holds {case.label}, seed {seed}, which its study does not name")
    return record


def curve(record: StudyRecord, label: str, seed: int) -> pd.DataFrame:
    """The curve of a recorded run, a row an epoch.

    Raises:
        ConfigError: no such case or seed in the record. DataError: the record holds no curve of the run.
    """
    rows = record.find(label, seed)[1].rows
    if rows is None:
        raise DataError(f"the record {record.study['name']} holds no curve of {label}, seed {seed}: record it again")
    return pd.DataFrame(rows)


def _case(values: dict[str, Any]) -> CaseRecord:
    runs = {int(seed): Entry(**run) for seed, run in values["runs"].items()}
    return CaseRecord(at=values["at"], case=values["case"], runs=runs)


def write(path: Path, record: StudyRecord) -> None:
    """Writes a record, a line a run, so that a change can be read."""
    cases = []
    for key, case in record.cases.items():
        head = f'"at": {json.dumps(case.at)}, "case": {json.dumps(case.case)}, "runs": {{'
        runs = (f'"{seed}": {json.dumps(run.plain, allow_nan=False)}' for seed, run in case.runs.items())
        cases.append(f'"{key}": {{{head}\n' + ",\n".join(runs) + "\n}}")
    text = f'{{"study": {json.dumps(record.study)}, "cases": {{\n' + ",\n".join(cases) + "\n}}\n"
    write_bytes(path, text.encode())


def begun(study: Study, path: Path | None = None) -> StudyRecord:
    """The record to go on with: the runs of today's cases that `path` holds, under today's hash of the study; or none.

    Runs of a case that was described in another way are left out. Raises as `read`.
    """
    old = read(path).cases if path and path.exists() else {}
    cases = {
        case.key: CaseRecord(at=case.at, case=case.plain, runs=old[case.key].runs if case.key in old else {})
        for case in study.cases
    }
    return StudyRecord(study=study.about, cases=cases)


def lacking(study: Study, record: StudyRecord) -> list[tuple[Case, int]]:
    """The runs of a study that a record does not hold, seed by seed."""
    return [
        (case, seed)
        for seed in study.seeds
        for case in study.cases
        if case.key not in record.cases or seed not in record.cases[case.key].runs
    ]


def merge(records: Iterable[StudyRecord]) -> StudyRecord:
    """The union of records, under the name and hash of the first. Raises DataError where there is none."""
    cases: dict[str, CaseRecord] = {}
    about: dict[str, Any] | None = None
    for record in records:
        about = about or record.study
        for key, case in record.cases.items():
            runs = (cases[key].runs if key in cases else {}) | case.runs
            cases[key] = case.model_copy(update={"runs": dict(sorted(runs.items()))})
    if about is None:
        raise DataError("no record was named: name the files of one study at least")
    return StudyRecord(study=about, cases=cases)


def story(*recorded: StudyRecord) -> dict[str, Any]:
    """The origin of recorded runs, for the story of a figure.

    studies: hash of each study, by name. n: smallest number of runs of a case. seeds, hardware, torch: of the runs.
    """
    cases = [case for record in recorded for case in record.cases.values()]
    made = [run.made for case in cases for run in case.runs.values()]
    return {
        "studies": {record.study["name"]: record.study["key"] for record in recorded},
        "n": min(len(case.runs) for case in cases),
        "seeds": sorted({seed for case in cases for seed in case.runs}),
        **{name: sorted({str(each.get(name, "not recorded")) for each in made}) for name in ("hardware", "torch")},
    }


def images(entry: Entry) -> Float[Tensor, "n channels size size"]:
    """Images in [0, 1] of the student's last batch. Raises DataError for a run whose images were not kept."""
    if entry.images is None:
        raise DataError("this run's record holds no images: take the first seed of a study that keeps them")
    flat = np.frombuffer(base64.b64decode(entry.images["bytes"]), dtype=np.uint8)
    return torch.from_numpy(flat.reshape(entry.images["shape"]).copy()) / 255
