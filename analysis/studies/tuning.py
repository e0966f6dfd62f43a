"""The same small search for every method, and what it chose.

Every method, CuDFKD and the references included, gets TRIALS trials of LENGTH: the first at its defaults, the others
drawn at random from its SPACE, which always holds the student's learning rate. A trial is one seed, SEED, which is none
of those that are reported; its score is the accuracy of the last student on *dev*. Trials stay as JSON lines in
profiles/tuning/METHOD.jsonl. Nobody looks at *test*. `python benchmarks/tune.py` runs it.
"""

import json
import random
from pathlib import Path
from typing import Any

from analysis.origin import PROFILES
from cudfkd import methods
from cudfkd.base.errors import DataError, TrainingError
from cudfkd.base.files import read_json, write_json_lines
from cudfkd.config import DistillConfig, Experiment
from cudfkd.engine.experiments import run

FOLDER = PROFILES / "tuning"
CHOSEN = FOLDER / "chosen.json"
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


def trials(method: str) -> list[dict[str, Any]]:
    """The settings of a method's trials, the same at every call: its defaults first, none twice."""
    if method not in SPACE:
        methods.get(method)
        raise DataError(f"method {method} has no search space: add it to SPACE")
    rng, space = random.Random(f"{method} {SEED}"), STUDENT | SPACE[method]
    found: list[dict[str, Any]] = [{"options": {}}]
    while len(found) < TRIALS:
        drawn = {name: rng.choice(values) for name, values in space.items()}
        student = {name: drawn.pop(name) for name in STUDENT}
        if (one := student | {"options": drawn}) not in found:
            found.append(one)
    return found


def tune(method: str, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Runs the trials that the method's file lacks, adding each as it ends; returns all of them."""
    path = folder / f"{method}.jsonl"
    done = read_trials(path)
    for settings in trials(method)[len(done) :]:
        done.append(trial(method, settings))
        write_json_lines(path, done)
    return done


def trial(method: str, settings: dict[str, Any]) -> dict[str, Any]:
    """One trial: its settings, the accuracy on dev (null when the run stopped itself), seconds."""
    values: dict[str, Any] = settings | LENGTH | {"method": method, "seed": SEED}
    row: dict[str, Any] = {"method": method, "seed": SEED, **LENGTH, "settings": settings}
    try:
        summary = run(Experiment(distill=DistillConfig(**values))).summary
    except TrainingError as error:
        return row | {"accuracy": None, "stopped": str(error)}
    return row | {"accuracy": summary["accuracy"]["value"], "seconds": round(summary["total_seconds"], 1)}


def read_trials(path: Path) -> list[dict[str, Any]]:
    """The trials in a file, in order; none if there is no file.

    Raises:
        DataError: it is damaged, or its trials are not those of today's space: the search would not be one.
    """
    if not path.exists():
        return []
    try:
        found = [json.loads(line) for line in path.read_text().splitlines()]
        wanted = [{"settings": one} | LENGTH | {"seed": SEED} for one in trials(path.stem)]
        same = all(
            one[name] == value for one, asked in zip(found, wanted, strict=False) for name, value in asked.items()
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: remove it, and the search starts again") from error
    if not same or len(found) > TRIALS:
        raise DataError(f"{path} holds trials of another search space: remove it, and the search starts again")
    return found


def choose(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The best trial's settings of every method whose search is complete, with its score and how many there were."""
    chosen = {}
    for method in methods.names():
        found = read_trials(folder / f"{method}.jsonl")
        scored = [one for one in found if one["accuracy"] is not None]
        if len(found) == TRIALS and scored:
            best = max(scored, key=lambda one: one["accuracy"])
            chosen[method] = {"settings": best["settings"], "accuracy": best["accuracy"], "trials": TRIALS}
    return chosen


def settings(method: str) -> dict[str, Any]:
    """What the search chose for a method, as arguments of DistillConfig; its defaults where it has not come to it."""
    methods.get(method)
    chosen = read_json(CHOSEN) if CHOSEN.exists() else {}
    return chosen[method]["settings"] if method in chosen else {"options": {}}
