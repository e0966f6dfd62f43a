"""Readers of further numbers: functions from a finished run to numbers, which a study asks for by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from analysis.live import fidelity
from analysis.live.accounts import Account
from analysis.studies.study import Case
from cudfkd.engine import experiments
from cudfkd.engine.run import Run


@dataclass(frozen=True)
class Outcome:
    """A finished run of a case.

    case: the case, with the run's seed.
    run: the run.
    account: the account of its steps, where the case has a probe.
    split: the images that further numbers are read on: dev, or test where the study reads test.
    data_root: folder with data sets that do not ship.
    """

    case: Case
    run: Run
    account: Account | None = None
    split: Literal["dev", "test"] = "dev"
    data_root: Path | None = None


Reader = Callable[[Outcome], dict[str, Any]]


def _fidelity(outcome: Outcome) -> dict[str, Any]:
    experiment = outcome.case.experiment
    teacher, _, config = experiments.build(experiment)
    held_out = experiment.images(outcome.split, outcome.data_root)
    return fidelity.numbers(outcome.run.student, teacher, held_out, config)


READERS: dict[str, Reader] = {"fidelity": _fidelity}
"""Readers by name, for `Study.reads`; each gives a dictionary of numbers."""
