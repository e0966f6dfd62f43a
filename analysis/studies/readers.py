"""Readers of further numbers: functions from a finished run to numbers, which a study asks for by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from analysis.live import fidelity
from analysis.live.accounts import Account
from analysis.live.tracking import tracking
from analysis.studies.study import Case
from cudfkd.base.errors import ConfigError
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


def _tracking(outcome: Outcome) -> dict[str, Any]:
    """The two sides of T10, for a run with a probe."""
    if outcome.account is None:
        raise ConfigError("reader 'tracking' needs a run with a probe: set probe: 1")
    return tracking(outcome.account, outcome.run.config).numbers()


READERS: dict[str, Reader] = {"fidelity": _fidelity, "tracking": _tracking}
"""Readers by name, for `Study.reads`; each gives a dictionary of numbers."""

NEED_GRADIENTS = {"tracking"}
"""The readers for which the probe reads gradients, at the price of a backward pass a step."""
