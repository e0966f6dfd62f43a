"""Live runs that are compared over seeds: what is varied, the numbers of each run, and their record.

    python -m analysis.studies record drift            runs what the record lacks, in the background of something else
    python -m analysis.studies check drift default 3   runs one of them again and compares it with its record

A record is analysis/records/STUDY.json: for each variant its configuration with a hash, and for each seed the numbers
and what the run was made with. A run is the same to the bit on the same machine and versions, with as many threads,
which `check` sees to; elsewhere rounding differs, and training multiplies that.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from analysis.checks import validate
from analysis.checks.statistics import mean_over_seeds
from analysis.origin import ROOT
from analysis.studies.trials import Trial, numbers, perform
from cudfkd.base import machine
from cudfkd.base.errors import ConfigError, CudfkdError, DataError, unknown
from cudfkd.base.files import read_json, write_bytes
from cudfkd.config import DistillConfig, Experiment
from cudfkd.evaluation import Estimate

RECORDS = ROOT / "analysis" / "records"
LENGTH: dict[str, Any] = {"epochs": 10, "steps_per_epoch": 30}
OPTIONS: dict[str, Any] = {  # written out, so that a record outlives a change of the defaults
    "latent_dim": 64, "generator_width": 8, "generator_lr": 0.05, "generator_schedule": "cosine",
    "class_entropy": 5.0, "one_hot": 2.0, "bn": 3.0,
    "adv_start": 1.0, "adv_end": 10.0, "adv_begin": 0.0, "adv_finish": 0.5,
}  # fmt: skip
SEEDS = 10


def _trial(curriculum: Mapping[str, Any] | None = None, options: Mapping[str, Any] | None = None, **more: Any) -> Trial:
    length = LENGTH | {name: more.pop(name) for name in tuple(more) if name in DistillConfig.model_fields}
    curriculum = {"on_dead": "warn"} | dict(curriculum or {})
    values: dict[str, Any] = {**length, "curriculum": curriculum, "options": OPTIONS | dict(options or {})}
    distill = DistillConfig(**values)
    return Trial(experiment=Experiment(distill=distill), **more)


def _drift() -> dict[str, Trial]:
    return {
        "default": _trial(every=1),
        "no adversary": _trial(options={"adv_start": 0.0, "adv_end": 0.0}, every=1),
        "strong adversary": _trial(options={"adv_start": 100.0, "adv_end": 100.0}, every=1),
        "frozen, eval mode": _trial(frozen="eval", every=1),
        "frozen, train mode": _trial(frozen="train", every=1),
        "lambda too small": _trial({"lam_start": 0.1, "lam_end": 0.2, "regularizer": "linear"}, every=1),
        "moving quantile": _trial({"pace": "quantile"}, every=1),
    }


LOSSES: dict[str, dict[str, Any]] = {
    "l1": {"loss": "l1"},
    "kl, T = 4": {"loss": "kl", "temperature": 4.0},
    "kl, T = 20": {"loss": "kl", "temperature": 20.0},
}
REGULARIZERS = ("log", "linear")
FIXED = (0.3, 1.0, 3.0, 10.0, 30.0)


def _pace() -> dict[str, Trial]:
    found = {}
    for regularizer in REGULARIZERS:
        for name, options in LOSSES.items():
            for lam in FIXED:
                curriculum = {"regularizer": regularizer, "lam_start": lam, "lam_end": 2 * lam}
                found[f"{regularizer}, {name}, {lam:g}"] = _trial(curriculum, options, epochs=5)
            following = {"regularizer": regularizer, "pace": "quantile"}
            found[f"{regularizer}, {name}, quantile"] = _trial(following, options, epochs=5)
    return found


def _granularity() -> dict[str, Trial]:
    return {name: _trial({"granularity": name}) for name in ("sample", "batch", "none")}


STARTS = (0.1, 0.3, 1.0, 3.0, 10.0)
GROWTHS = (1.0, 3.0, 10.0, 30.0)


def _map() -> dict[str, Trial]:
    found, short = {}, {"epochs": 1, "steps_per_epoch": 100}
    for regularizer in REGULARIZERS:
        for start in STARTS:
            for growth in GROWTHS:
                curriculum = {"regularizer": regularizer, "lam_start": start, "lam_end": start * growth}
                found[f"{regularizer}, {start:g}, {growth:g}"] = _trial(curriculum, LOSSES["kl, T = 20"], **short)
    return found


STUDIES: dict[str, Callable[[], dict[str, Trial]]] = {
    "drift": _drift, "pace": _pace, "granularity": _granularity, "map": _map,
}  # fmt: skip


def study(name: str) -> dict[str, Trial]:
    """The trials of a study by variant, with seed 0. Raises ConfigError for an unknown one."""
    if name not in STUDIES:
        raise ConfigError(unknown("study", name, STUDIES))
    return STUDIES[name]()


# Records


def load(name: str, folder: Path = RECORDS) -> dict[str, Any]:
    """A study's record as it is on disk.

    Raises:
        ConfigError: an unknown study.
        DataError: no record, or a configuration in it is not the one of its hash.
    """
    study(name)
    found = read_json(folder / f"{name}.json")
    for variant, kept in found["variants"].items():
        if kept["key"] != key(kept["config"]):
            raise DataError(
                f"{folder / name}.json is damaged: {variant!r} has another configuration than its hash says"
            )
    return found


def table(name: str, folder: Path = RECORDS) -> pd.DataFrame:
    """A row a recorded run: variant, seed, and its numbers. Raises as `load`."""
    return pd.DataFrame(
        [
            {"variant": variant, "seed": int(seed), **run["numbers"]}
            for variant, kept in load(name, folder)["variants"].items()
            for seed, run in kept["runs"].items()
        ]
    )


def by_variant(found: pd.DataFrame, column: str) -> dict[str, Estimate]:
    """The mean of a number over seeds, with its 95 % interval (Student's t), by variant."""
    groups = found.groupby("variant", sort=False)[column]
    return {str(variant): mean_over_seeds(values.to_numpy(dtype=np.float64)) for variant, values in groups}


def difference(found: pd.DataFrame, column: str, first: str, second: str) -> Estimate:
    """first - second, paired by seed, with its 95 % interval."""
    wide = found.pivot(index="seed", columns="variant", values=column)
    return mean_over_seeds((wide[first] - wide[second]).dropna().to_numpy(dtype=np.float64))


def null(found: pd.DataFrame, column: str, variant: str) -> Estimate:
    """One variant against itself, later seeds minus earlier ones, with the 95 % interval: an effect of none."""
    values = found[found["variant"] == variant].set_index("seed").sort_index()[column].to_numpy(dtype=np.float64)
    half = len(values) // 2
    return mean_over_seeds(values[half : 2 * half] - values[:half])


def record(name: str, seeds: int = SEEDS, folder: Path = RECORDS) -> Iterator[str]:
    """Runs what the record lacks, seed by seed; writes it after each run, and says so in a line.

    What was recorded of a variant with another configuration than today's is replaced.
    """
    trials = study(name)
    old = load(name, folder)["variants"] if (folder / f"{name}.json").exists() else {}
    found = {variant: _begun(trial, old.get(variant)) for variant, trial in trials.items()}
    for seed in range(validate.count("seeds", seeds)):
        for variant, trial in trials.items():
            runs = found[variant]["runs"]
            if str(seed) not in runs:
                runs[str(seed)] = {"made": made(), "numbers": numbers(perform(trial.with_seed(seed)))}
                _write(folder / f"{name}.json", name, found)
                yield f"{name}, {variant}, seed {seed}: accuracy {runs[str(seed)]['numbers']['accuracy']:.4f}"


def recorded_run(name: str, variant: str, seed: int, folder: Path = RECORDS) -> dict[str, Any]:
    """What the record holds of one run: `made`, what it was made with, and `numbers`. Raises as `compare`."""
    variants = load(name, folder)["variants"]
    if variant not in variants:
        raise ConfigError(unknown(f"variant of {name}", variant, variants))
    runs = variants[variant]["runs"]
    if str(seed) not in runs:
        raise ConfigError(unknown("seed in the record", str(seed), runs))
    return runs[str(seed)]


def compare(name: str, variant: str, seed: int, folder: Path = RECORDS) -> pd.DataFrame:
    """Runs one recorded run again, as it was configured then. A row a number: recorded, again, difference.

    Raises:
        ConfigError: no such study, variant or seed in the record.
        DataError: no record, a damaged one, or one made before a setting was there that the run would need now.
    """
    old = recorded_run(name, variant, seed, folder)["numbers"]
    trial = _complete(name, variant, load(name, folder)["variants"][variant]["config"])
    new = numbers(perform(trial.with_seed(seed)))
    flat = [(number, *pair) for number in old for pair in _pairs(old[number], new[number])]
    found = pd.DataFrame(flat, columns=["number", "recorded", "again"]).set_index("number").astype(float)
    return found.assign(difference=(found["again"] - found["recorded"]).abs())


def key(config: dict[str, Any]) -> str:
    """Short hash of a configuration in a record."""
    return sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def _write(path: Path, name: str, variants: dict[str, Any]) -> None:
    """A line a variant, so that the file is small and its changes can be read."""
    lines = (f"{json.dumps(variant)}: {json.dumps(kept, allow_nan=False)}" for variant, kept in variants.items())
    head = f'{{"study": {json.dumps(name)}, "variants": {{'
    write_bytes(path, (head + "\n" + ",\n".join(lines) + "\n}}\n").encode())


def _begun(trial: Trial, old: dict[str, Any] | None) -> dict[str, Any]:
    config = trial.model_dump(mode="json")
    if old is not None and old["config"] == config:
        return old
    return {"key": key(config), "config": config, "runs": {}}


def _complete(name: str, variant: str, config: dict[str, Any]) -> Trial:
    """The trial of a configuration that leaves nothing to today's defaults."""
    trial = Trial(**config)
    if trial.model_dump(mode="json") != config:
        raise DataError(f"the record {name}, {variant!r} does not say all settings of today: record it again")
    return trial


def made() -> dict[str, str | int]:
    """What the bits of a run depend on besides its configuration."""
    return {**machine.made("cpu"), "teacher": Experiment().teacher_card()["sha256"][:16]}


def _pairs(old: Any, new: Any) -> list[tuple[float, float]]:
    if isinstance(old, list):
        return list(zip(old, new, strict=True))
    return [] if old is None or new is None else [(old, new)]


def main(arguments: list[str] | None = None) -> int:
    """`record STUDY [--seeds N]` or `check STUDY VARIANT SEED`; 0, 1 if a number differs, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m analysis.studies", description="Recorded live runs.")
    commands = parser.add_subparsers(dest="command", required=True)
    fill = commands.add_parser("record", help="run what a record lacks")
    fill.add_argument("study")
    fill.add_argument("--seeds", type=int, default=SEEDS)
    again = commands.add_parser("check", help="run one again and compare it with its record")
    again.add_argument("study")
    again.add_argument("variant")
    again.add_argument("seed", type=int)
    again.add_argument("--tolerance", type=float, default=1e-6, help="relative to max(1, recorded)")
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "record":
            for line in record(asked.study, asked.seeds):
                _say(line)
            return 0
        return _check(asked)
    except CudfkdError as error:
        sys.stderr.write(f"analysis.studies: {error}\n")
        return 2


def _check(asked: argparse.Namespace) -> int:
    was = recorded_run(asked.study, asked.variant, asked.seed)["made"]
    torch.set_num_threads(was["threads"])
    found = compare(asked.study, asked.variant, asked.seed)
    _say(found.to_string(float_format=lambda value: f"{value:.6g}"))
    differs = found["difference"] > asked.tolerance * found["recorded"].abs().clip(lower=1)
    if not differs.any():
        _say(f"all {len(found)} numbers are those of the record")
        return 0
    _say(f"{int(differs.sum())} of {len(found)} numbers differ; recorded with {was}, now {made()}")
    return 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
