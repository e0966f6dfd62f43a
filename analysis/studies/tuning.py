"""The search for each method's settings, as a study: the same small search for all methods, and its choice.

Every method, CuDFKD and the references included, gets TRIALS trials of LENGTH. The first trial has the method's
defaults. The others are drawn at random from its SPACE, which always holds the student's learning rate. All trials have
one seed, SEED, which no reported run has. The score of a trial is the accuracy of its last student on *dev*. Nobody
looks at *test*.
"""

import random
from typing import Any

import pandas as pd

from analysis.studies.study import Case, Purpose, Study
from cudfkd import methods
from cudfkd.base.errors import DataError
from cudfkd.config import DistillConfig, Experiment

NAME = "tuning"
TRIALS = 6
SEED = 1000
LENGTH: dict[str, int] = {"epochs": 8, "steps_per_epoch": 100}

RATES = [1e-3, 3e-3, 1e-2, 3e-2, 0.1]
STUDENT: dict[str, list] = {"lr": [0.02, 0.05, 0.1, 0.2]}
GENERATOR: dict[str, list] = {"generator_lr": RATES}
SPACE: dict[str, dict[str, list]] = {
    "cudfkd": GENERATOR | {"adv_end": [2.0, 5.0, 10.0], "bn": [1.0, 3.0, 10.0]},
    "dafl": GENERATOR | {"class_entropy": [5.0, 20.0], "activation": [1e-3, 1e-2, 0.1]},
    "mb-dfkd": GENERATOR | {"class_entropy": [5.0, 20.0], "memory_share": [0.125, 0.25, 0.5]},
    "pre-dfkd": GENERATOR | {"class_entropy": [5.0, 20.0], "replay_share": [0.125, 0.25, 0.5]},
    "zskt": GENERATOR | {"attention": [0.0, 25.0, 250.0], "store": ["same", "fresh"]},
    "dfad": GENERATOR | {"loss": ["l1", "kl"], "generator_steps": [1, 2]},
    "dfq": GENERATOR | {"class_entropy": [5.0, 20.0], "bn": [1.0, 3.0, 10.0]},
    "cmi": GENERATOR | {"contrast": [0.2, 0.8], "temperature": [4.0, 20.0]},
    "fast-dfkd": GENERATOR | {"adversarial": [0.3, 1.0], "temperature": [4.0, 20.0]},
    "deepinversion": {"pixel_lr": [0.03, 0.1], "adversarial": [0.0, 1.0], "temperature": [4.0, 20.0]},
    "kd": {"temperature": [1.0, 4.0, 20.0], "loss": ["kl", "l1"], "shift": [0, 2]},
    "noise": {"temperature": [1.0, 4.0, 20.0], "loss": ["kl", "l1"]},
    "scratch": {"shift": [0, 1, 2]},
}

PURPOSE = Purpose(
    question="Which settings does each method get in the comparison?",
    hypothesis="no hypothesis: the search chooses, and decides no claim",
    statistic="accuracy of the last student on dev",
    test="the best of a method's trials",
    control="the first trial has the method's defaults",
)


def study() -> Study:
    """The search: for each method its trials, at their places on the axes method and trial."""
    cases = tuple(
        Case(at={"method": method, "trial": number}, experiment=_experiment(method, settings))
        for method in SPACE
        for number, settings in enumerate(trials(method))
    )
    return Study(name=NAME, purpose=PURPOSE, cases=cases, seeds=(SEED,))


def trials(method: str) -> list[dict[str, Any]]:
    """The settings of a method's trials, the same at every call: its defaults first, no settings twice.

    Raises:
        DataError: the method has no search space.
    """
    if method not in SPACE:
        methods.get(method)
        raise DataError(f"method {method} has no search space: add it to SPACE")
    rng, space = random.Random(f"{method} {SEED}"), STUDENT | SPACE[method]
    settings: list[dict[str, Any]] = [{"options": {}}]
    while len(settings) < TRIALS:
        drawn = {name: rng.choice(values) for name, values in space.items()}
        student = {name: drawn.pop(name) for name in STUDENT}
        if (candidate := student | {"options": drawn}) not in settings:
            settings.append(candidate)
    return settings


def choose(runs: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The settings of the best trial of every method whose search is complete.

    Arguments:
        runs: `analysis.studies.table.frame` of the search's record; a trial that stopped itself has no accuracy.
    """
    complete = runs.groupby("method").filter(lambda group: len(group) == TRIALS).dropna(subset=["accuracy"])
    best = complete.loc[complete.groupby("method")["accuracy"].idxmax()]
    return {row["method"]: trials(row["method"])[row["trial"]] for _, row in best.iterrows()}


def _experiment(method: str, settings: dict[str, Any]) -> Experiment:
    values: dict[str, Any] = settings | LENGTH | {"method": method}
    return Experiment(distill=DistillConfig(**values))
