"""A stand-in for the record of the comparison: the truth of each method is known, and every number follows from it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.live.fidelity import BINS
from analysis.studies import catalog, records
from analysis.studies.records import Entry, StudyRecord
from tests.analysis.studies.seeded import MADE

TRUTH = {
    "kd": 0.88, "scratch": 0.87, "cudfkd": 0.80, "dfq": 0.79, "cmi": 0.78, "deepinversion": 0.77, "fast-dfkd": 0.76,
    "pre-dfkd": 0.67, "mb-dfkd": 0.66, "dafl": 0.64, "dfad": 0.62, "zskt": 0.59, "noise": 0.24,
}  # fmt: skip
LOST = {"real": 0.0, "moved": 0.15, "noisy": 0.1}  # agreement lost on changed images
EPOCHS = 25


def record(changes: Mapping[str, float] | None = None, seeds: int = 10, noise: float = 0.01) -> StudyRecord:
    """A record with the first `seeds` seeds of the comparison.

    Arguments:
        changes: accuracies of methods in place of those of TRUTH.
        noise: standard deviation of a run.
    """
    study, rng, truth = catalog.get("comparison"), np.random.default_rng(0), TRUTH | dict(changes or {})
    made = records.begun(study)
    for case in study.cases:
        for seed in study.seeds[:seeds]:
            made = made.with_run(case, seed, _entry(truth[str(case.at["method"])] + noise * float(rng.normal()), rng))
    return made


def _entry(height: float, rng: np.random.Generator) -> Entry:
    """A run whose accuracy nears `height`."""
    rows = [_epoch(epoch, height * (1 - 0.6 ** (epoch + 1))) for epoch in range(EPOCHS)]
    numbers = {name: rows[-1][name] for name in ("accuracy", "agreement", "loyalty", "loyalty_published")}
    numbers |= {f"test_{name}": value for name, value in _scores(height).items()}
    for change, lost in LOST.items():
        numbers |= {f"{change}_{name}": value for name, value in _scores(height, lost).items()}
    numbers |= {"student_wrong": 1 - height, "teacher_wrong": 0.09, "both_wrong": 0.08, "wrong_alike": 0.06}
    by_definition = rng.beta(8 * height, 8 * (1 - height), 2000)
    for name, loyalties in (("loyalties", by_definition), ("loyalties_published", 0.9 * by_definition)):
        numbers[name] = (np.histogram(loyalties, BINS, (0, 1))[0] / len(loyalties)).tolist()
    numbers["accuracies"] = [row["accuracy"] for row in rows]
    return Entry(made=MADE, seconds=80.0, mb=900.0, numbers=numbers, rows=rows)


def _scores(height: float, lost: float = 0.0) -> dict[str, float]:
    """Accuracy, and the three measures of fidelity, which rise with it."""
    return {
        "accuracy": height - 2 * lost,
        "agreement": height + 0.03 - lost,
        "loyalty": height - 0.05 - lost,
        "loyalty_published": height - 0.2 - lost,
    }


def _epoch(epoch: int, height: float) -> dict[str, Any]:
    """The clocks and scores after an epoch."""
    count = epoch + 1
    clocks = {"epoch": count, "seconds": 3.2, "student_steps": 100 * count, "generator_steps": 50 * count}
    return clocks | {"total_seconds": 3.2 * count, "teacher_images": 6400 * count} | _scores(height)
