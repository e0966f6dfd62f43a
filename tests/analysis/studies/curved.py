"""Seeded stand-ins for records with curves: a run nears its last accuracy epoch by epoch, plus noise in each epoch."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from analysis.studies import catalog
from analysis.studies.records import CaseRecord, Entry, StudyRecord
from analysis.studies.study import Case
from tests.analysis.studies.seeded import MADE, Height

LAST = {"kd": 0.88, "scratch": 0.87, "noise": 0.2}
WITHOUT_GENERATOR = ("kd", "scratch", "noise")
Pace = Callable[[dict[str, Any]], float]


def usual(at: dict[str, Any]) -> float:
    """The last accuracy of a method: all rivals are equal, CuDFKD is better, and `LAST` has the references."""
    return LAST.get(str(at.get("method")), 0.83 if at.get("method") == "cudfkd" else 0.79)


def even(at: dict[str, Any]) -> float:  # noqa: ARG001
    """Every method is as fast: an epoch for two thirds of the way."""
    return 1.0


def record(
    name: str,
    height: Height = usual,
    pace: Pace = even,
    *,
    wobble: float = 0.01,
    seeds: Iterable[int] | None = None,
    rng_seed: int = 0,
) -> StudyRecord:
    """A record of one of the project's studies with the curve of each run.

    Arguments:
        height: the last accuracy at a place; a seed adds 0.003 times a normal number.
        pace: epochs for two thirds of the way to the last accuracy, at a place.
        wobble: standard deviation of the noise in each epoch.
        seeds: seeds that were run; default: all.
    """
    study, rng = catalog.get(name), np.random.default_rng(rng_seed)
    cases = {}
    for case in study.cases:
        runs = {}
        for seed in study.seeds if seeds is None else seeds:
            last = height(dict(case.at)) + 0.003 * float(rng.normal())
            runs[seed] = _entry(case, last, pace(dict(case.at)), wobble, rng)
        cases[case.key] = CaseRecord(at=case.at, case=case.plain, runs=runs)
    return StudyRecord(study=study.about, cases=cases)


def _entry(case: Case, last: float, pace: float, wobble: float, rng: np.random.Generator) -> Entry:
    distill = case.experiment.distill
    epochs = np.arange(1, distill.epochs + 1)
    noise = wobble * rng.normal(size=len(epochs))
    accuracies = np.clip(0.1 + (last - 0.1) * (1 - np.exp(-epochs / pace)) + noise, 0, 1).round(4).tolist()
    made_images = 0 if distill.method in WITHOUT_GENERATOR else distill.steps_per_epoch // 2
    rows = [
        {"epoch": int(epoch), "seconds": 4.0, "student_steps": int(epoch) * distill.steps_per_epoch,
         "generator_steps": int(epoch) * made_images, "total_seconds": 4.0 * float(epoch), "teacher_images": 9600,
         "accuracy": accuracy, "agreement": accuracy, "loyalty": accuracy, "loyalty_published": accuracy}
        for epoch, accuracy in zip(epochs, accuracies, strict=True)
    ]  # fmt: skip
    numbers = {"accuracy": accuracies[-1], "test_accuracy": accuracies[-1], "accuracies": accuracies}
    return Entry(made=MADE, seconds=4.0 * len(rows), mb=900.0, numbers=numbers, rows=rows)
