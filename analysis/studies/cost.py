"""How long a grid takes, from rates that were measured and from nothing else.

    python -m analysis.studies cost grids/paper.yaml [RATES.json ...]

A rate is the seconds of a student step, for one kind of run on one kind of hardware. The kind of a run is its method
with all settings but seed and length, its pair of networks, and its data set. `python benchmarks/rates.py GRID`
measures the rates of a grid on the hardware in question, without data. A grid that runs writes its own rates to
out/grid/NAME/rates.json. Known are the rates of recorded runs, the rates in benchmarks/results/*.json, and the rates in
named files. A kind without a rate is counted and not guessed. A rate holds neither waiting nor evaluation.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from analysis.origin import CODE
from analysis.studies import catalog, grid, records
from analysis.studies.grid import architecture_in
from analysis.studies.records import CaseRecord, Entry, StudyRecord
from cudfkd.base.errors import ConfigError
from cudfkd.base.files import read_json
from cudfkd.base.validation import Described, digest

LENGTH = ("seed", "epochs", "steps_per_epoch", "keep_epochs")


class Rate(Described):
    """One measurement: a kind of run, its hardware, its student steps, and its seconds of training."""

    data: str
    teacher: str
    student: str
    settings: dict[str, Any]
    hardware: str
    student_steps: Annotated[int, Field(ge=1)]
    seconds: Annotated[float, Field(gt=0)]

    @property
    def kind(self) -> str:
        """Hash of the kind of run: a rate holds for runs of the same kind."""
        return digest(self.model_dump(include={"data", "teacher", "student", "settings"}))


def kind_of(cell: grid.Cell) -> dict[str, Any]:
    """The kind of a run of a grid, as the fields of `Rate`."""
    settings = _without_length(cell.distill().model_dump(mode="json"))
    return {"data": cell.data, "teacher": cell.pair.architecture, "student": cell.pair.student, "settings": settings}


def rates(record: StudyRecord) -> list[dict[str, Any]]:
    """The rates that recorded runs measured on the way, as plain data; runs without rows or hardware have none.

    The last epoch counts where there are several: the first chooses kernels and takes memory.
    """
    return [
        _measured(case, entry).model_dump()
        for case, _, entry in record.runs()
        if entry.rows and "seconds" in entry.rows[-1] and "hardware" in entry.made
    ]


def known(files: Iterable[Path] = ()) -> list[Rate]:
    """All known rates: of recorded runs, in benchmarks/results/*.json, and in `files`.

    Raises:
        DataError: a file is damaged.
        ConfigError: a file of `files` is missing, or holds no rates.
    """
    ours = [rates(records.load(name)) for name in catalog.names() if records.path_of(name).exists()]
    measured = [read_json(path).get("rates", []) for path in sorted((CODE / "benchmarks" / "results").glob("*.json"))]
    measured += [rates_in(path) for path in files]
    return [Rate(**values) for group in (*ours, *measured) for values in group]


def rates_in(path: Path) -> list[dict[str, Any]]:
    """The rates of a file, as plain data. Raises ConfigError where it is not there or holds none."""
    rates_of_file = read_json(path).get("rates") if path.is_file() else None
    if not isinstance(rates_of_file, list):
        raise ConfigError(f"there are no rates in {path}: name a file that benchmarks/rates.py or a grid wrote")
    return rates_of_file


def plan(asked: grid.Grid, measured: Iterable[Rate], hardware: str) -> pd.DataFrame:
    """A row a kind of run: group, method, runs, student steps, seconds a step (NaN without a rate), hours."""
    paces: dict[str, list[float]] = {}
    for rate in measured:
        if rate.hardware == hardware:
            paces.setdefault(rate.kind, []).append(rate.seconds / rate.student_steps)
    rows = []
    for group, cells in asked.groups().items():
        for cell in (cell for cell in cells if cell.seed == asked.seeds[0]):
            steps, runs = cell.distill().total_steps, len(asked.seeds)
            pace = np.mean(paces.get(digest(kind_of(cell)), [np.nan]))
            rows.append((group, cell.method, runs, steps, pace, runs * steps * pace / 3600))
    return pd.DataFrame(rows, columns=["group", "method", "runs", "student steps", "seconds a step", "hours"])


def lines(asked: grid.Grid, measured: Sequence[Rate]) -> Iterator[str]:
    """The plan in words, for each kind of hardware on which a run of the grid was measured; last, the lacking rates."""
    count, some = f"{asked.name}: {len(asked.cells)} runs", False
    for hardware in sorted({rate.hardware for rate in measured}):
        rows = plan(asked, measured, hardware)
        timed, lacking = rows.dropna(), rows[rows["hours"].isna()]
        if len(timed):
            some = True
            yield f"{count}; on {hardware}:"
            yield timed.round({"seconds a step": 5, "hours": 2}).to_string(index=False)
            unit = "GPU-hours" if asked.resources.gpu else "hours"
            yield f"{timed['hours'].sum():.3g} {unit} for {timed['runs'].sum()} runs, if one runs at a time"
            kinds = ", ".join(
                f"{method} {group}" for group, method in zip(lacking["group"], lacking["method"], strict=True)
            )
            if kinds:
                yield f"not in it, for want of a measured rate: {lacking['runs'].sum()} runs ({kinds})"
    if not some:
        yield f"{count}, and no measured rate for any of them: no hours yet; measure with benchmarks/rates.py"


def _measured(case: CaseRecord, entry: Entry) -> Rate:
    experiment, rows = case.case["experiment"], entry.rows or []
    before, last = ([{"student_steps": 0}, *rows])[-2], rows[-1]
    return Rate(
        data=experiment["data"],
        teacher=architecture_in(experiment),
        student=experiment["student"],
        settings=_without_length(experiment["distill"]),
        hardware=entry.made["hardware"],
        student_steps=last["student_steps"] - before["student_steps"],
        seconds=last["seconds"],
    )


def _without_length(distill: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in distill.items() if name not in LENGTH}
