"""A stand-in for the record of the comparison: the truth of each method is known, and every number follows from it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.live.fidelity import BINS
from analysis.studies import catalog
from analysis.studies.records import CaseRecord, StudyRecord
from tests.analysis.studies import curved

TRUTH = {
    "kd": 0.88, "scratch": 0.87, "cudfkd": 0.80, "dfq": 0.79, "cmi": 0.78, "deepinversion": 0.77, "fast-dfkd": 0.76,
    "pre-dfkd": 0.67, "mb-dfkd": 0.66, "dafl": 0.64, "dfad": 0.62, "zskt": 0.59, "noise": 0.24,
}  # fmt: skip
LOST = {"real": 0.0, "moved": 0.15, "noisy": 0.1}  # agreement lost on changed images


def record(changes: Mapping[str, float] | None = None, seeds: int = 10, noise: float = 0.01) -> StudyRecord:
    """A record with the first `seeds` seeds of the comparison, and the numbers of the reader `fidelity`.

    Arguments:
        changes: accuracies of methods in place of those of TRUTH.
        noise: standard deviation of a run on the test images.
    """
    truth, rng = TRUTH | dict(changes or {}), np.random.default_rng(0)

    def height(at: dict[str, Any]) -> float:
        return truth[str(at["method"])]

    def extended(case: CaseRecord) -> CaseRecord:
        further = {seed: _fidelity(height(case.at) + noise * float(rng.normal()), rng) for seed in case.runs}
        runs = {
            seed: run.model_copy(update={"numbers": run.numbers | further[seed]}) for seed, run in case.runs.items()
        }
        return case.model_copy(update={"runs": runs})

    made = curved.record("comparison", height, seeds=catalog.get("comparison").seeds[:seeds])
    return made.model_copy(update={"cases": {key: extended(case) for key, case in made.cases.items()}})


def _fidelity(height: float, rng: np.random.Generator) -> dict[str, Any]:
    """The numbers of a run with an accuracy, on the test images and on changed images."""
    numbers = {f"test_{name}": value for name, value in _scores(height).items()}
    for change, lost in LOST.items():
        numbers |= {f"{change}_{name}": value for name, value in _scores(height, lost).items()}
    numbers |= {"student_wrong": 1 - height, "teacher_wrong": 0.09, "both_wrong": 0.08, "wrong_alike": 0.06}
    by_definition = rng.beta(8 * height, 8 * (1 - height), 2000)
    for name, loyalties in (("loyalties", by_definition), ("loyalties_published", 0.9 * by_definition)):
        numbers[name] = (np.histogram(loyalties, BINS, (0, 1))[0] / len(loyalties)).tolist()
    return numbers


def _scores(height: float, lost: float = 0.0) -> dict[str, float]:
    """Accuracy, and the three measures of fidelity, which rise with it."""
    return {
        "accuracy": height - 2 * lost,
        "agreement": height + 0.03 - lost,
        "loyalty": height - 0.05 - lost,
        "loyalty_published": height - 0.2 - lost,
    }
