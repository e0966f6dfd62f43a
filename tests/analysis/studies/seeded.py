"""Seeded stand-ins for records of studies: a run's scores are a known function of its place, plus normal noise."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from analysis.studies import catalog, records, table
from analysis.studies.records import Entry, StudyRecord

MADE = {"torch": "2", "hardware": "x86_64, 2 cores, 1 threads", "vectors": "AVX2", "threads": 1}
Height = Callable[[dict[str, Any]], float]


def flat(at: dict[str, Any]) -> float:
    """The same accuracy at every place: no setting has an effect."""
    return 0.8


def record(name: str, height: Height = flat, noise: float = 0.005, seed: int = 0) -> StudyRecord:
    """A complete record of one of the project's studies. Its first seed has images where the study keeps them."""
    study, rng = catalog.get(name), np.random.default_rng(seed)
    made = records.begun(study)
    for case in study.cases:
        for run_seed in study.seeds:
            accuracy = height(dict(case.at)) + noise * float(rng.normal())
            numbers = {"accuracy": accuracy, "agreement": accuracy + 0.03, "loyalty_published": accuracy - 0.3}
            numbers["accuracies"] = [0.1, accuracy]
            kept = images(rng) if study.keep == "images" and run_seed == study.seeds[0] else None
            entry = Entry(made=MADE, seconds=60.0, mb=900.0, numbers=numbers, images=kept)
            made = made.with_run(case, run_seed, entry)
    return made


def runs(name: str, height: Height = flat, noise: float = 0.005, seed: int = 0) -> pd.DataFrame:
    """The runs of a stand-in record as a table."""
    return table.frame(record(name, height, noise, seed))


def images(rng: np.random.Generator) -> dict[str, Any]:
    """Ten images of noise, as a record keeps them."""
    shown = rng.integers(0, 256, size=(10, 1, 28, 28), dtype=np.uint8)
    return {"shape": list(shown.shape), "bytes": base64.b64encode(shown.tobytes()).decode()}
