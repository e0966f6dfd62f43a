"""Trials of one method, as the record of the search holds them."""

from dataclasses import dataclass
from typing import Any

from analysis.studies.records import CaseRecord, Entry, StudyRecord
from analysis.studies.tuning import spaces
from analysis.studies.tuning.plan import Length, Plan, Stage
from cudfkd.config import DistillConfig


@dataclass(frozen=True)
class Trial:
    """A trial of the search, and its run.

    number: place of the trial in the search of its method, from 0.
    """

    number: int
    case: CaseRecord
    entry: Entry

    @property
    def accuracies(self) -> list[float]:
        """Accuracies on dev after each finished epoch, fractions."""
        return self.entry.numbers.get("accuracies", [])

    @property
    def complete(self) -> bool:
        """Whether the run came to its end: it was not pruned, and did not stop itself."""
        return self.entry.pruned is None and self.entry.stopped is None

    @property
    def values(self) -> dict[str, spaces.Value]:
        """The values of the trial, by the names of the method's space."""
        distill = DistillConfig(**self.case.case["experiment"]["distill"])
        return {name: spaces.value_of(distill, name) for name in spaces.declared(distill.method)}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the trial, as `DistillConfig` takes them. The first trial sets nothing."""
        return spaces.settings(self.values) if self.number else {"options": {}}


def searched(record: StudyRecord, method: str, plan: Plan) -> list[Trial]:
    """The recorded trials of a method, in order."""
    seed, kept = plan.search_seed, _cases(record, method, "search")
    return [Trial(number, case, case.runs[seed]) for number, case in sorted(kept.items()) if seed in case.runs]


def scores(record: StudyRecord, method: str, stage: Stage, plan: Plan) -> dict[int, dict[int, float]]:
    """The accuracies of a stage at full length, fractions: by trial, then by seed.

    A run that stopped itself has accuracy 0.
    """
    return {
        number: {
            seed: 0.0 if case.runs[seed].stopped else case.runs[seed].numbers["accuracy"]
            for seed in plan.seeds[stage] if seed in case.runs
        }
        for number, case in _cases(record, method, "full").items()
    }  # fmt: skip


def spent(record: StudyRecord, method: str, stage: Stage, plan: Plan) -> list[Entry]:
    """The recorded runs of a method at a stage."""
    cases = _cases(record, method, "search" if stage == "search" else "full").values()
    return [case.runs[seed] for case in cases for seed in plan.seeds[stage] if seed in case.runs]


def _cases(record: StudyRecord, method: str, length: Length) -> dict[int, CaseRecord]:
    """Cases by the number of their trial."""
    return {
        int(case.at["trial"]): case
        for case in record.cases.values() if case.at["method"] == method and case.at["stage"] == length
    }  # fmt: skip
