"""The methods side by side at the quick size: recorded runs, a file each, and tables over seeds.

A record is analysis/records/methods/METHOD-seedN.json: the experiment with its hash, the metrics of each epoch, the
last scores, and (in seed 0) images that the student studied last. Each run takes the settings that the tuning chose
(`analysis.studies.tuning`), or the method's defaults where it has not come to it. `python benchmarks/methods.py` makes
and checks them.
"""

import base64
import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pydantic
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks.statistics import mean_over_seeds
from analysis.origin import ROOT
from analysis.studies.tuning import settings
from cudfkd.base.errors import ConfigError, DataError, unknown
from cudfkd.base.files import read_json, write_json
from cudfkd.base.machine import hardware
from cudfkd.callbacks import Batch, Callback
from cudfkd.config import DistillConfig, Experiment
from cudfkd.engine.experiments import run
from cudfkd.runs.context import Context
from cudfkd.runs.student_batch import to_bytes

RECORDS = ROOT / "analysis" / "records" / "methods"
SEEDS = (0, 1, 2)
SAMPLES = 10
EPOCHS = 25


class Repeat(NamedTuple):
    """A run that was done again: whether every metric of every epoch is the same, and by how much the accuracy differs.

    On another machine rounding differs, and training multiplies that.
    """

    identical: bool
    difference: float


@dataclass(frozen=True)
class Recorded:
    """One run: its experiment as plain data, the metrics an epoch a row, the last scores, seconds, MB, images."""

    method: str
    seed: int
    experiment: dict[str, Any]
    config_sha256: str
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    seconds: float
    peak_memory_mb: float
    hardware: str
    torch: str
    samples: dict[str, Any] | None = None

    @property
    def history(self) -> pd.DataFrame:
        """The metrics, one row an epoch."""
        return pd.DataFrame(self.rows)

    @property
    def accuracy(self) -> float:
        """On dev, of the last epoch's student."""
        return self.summary["accuracy"]["value"]

    @property
    def threads(self) -> int | None:
        """How many it was made with, on which its bits depend; None on a GPU."""
        words = self.hardware.split()
        return int(words[-2]) if words[-1] == "threads" else None

    def images(self) -> Float[Tensor, "n channels size size"]:
        """Images in [0, 1] of the student's last batch. Raises DataError for a record without."""
        if self.samples is None:
            raise DataError(f"the record of {self.method}, seed {self.seed}, holds no images: take seed 0")
        flat = np.frombuffer(base64.b64decode(self.samples["bytes"]), dtype=np.uint8)
        return torch.from_numpy(flat.reshape(self.samples["shape"]).copy()) / 255


def experiment(method: str, seed: int) -> Experiment:
    """What is recorded for a method: the quick size, with the settings that tuning chose."""
    chosen = settings(method)
    return Experiment(distill=DistillConfig(**chosen, method=method, seed=seed, epochs=EPOCHS))


def read(method: str, seed: int, folder: Path = RECORDS) -> Recorded:
    """One record.

    Raises:
        ConfigError: there is none of this method and seed.
        DataError: it is damaged, or its hash is not that of its experiment: somebody changed one of them.
    """
    path = folder / f"{method}-seed{seed}.json"
    if not path.exists():
        there = (one.stem.replace("-seed", " ") for one in folder.glob("*-seed*.json"))
        raise ConfigError(f"{path} is missing: {unknown('record', f'{method} {seed}', sorted(there))}")
    try:
        found = pydantic.TypeAdapter(Recorded).validate_python(read_json(path))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path} is no record ({first['loc'][0]}: {first['msg']}): record it again") from error
    if found.config_sha256 != fingerprint(found.experiment):
        raise DataError(f"{path} has a hash that is not that of its experiment: one was changed, record it again")
    return found


def recorded(folder: Path = RECORDS) -> dict[str, list[Recorded]]:
    """All records there are, by method. Raises as `read`."""
    found: dict[str, list[Recorded]] = {}
    for path in sorted(folder.glob("*-seed*.json")):
        method, seed = path.stem.rsplit("-seed", 1)
        found.setdefault(method, []).append(read(method, int(seed), folder))
    return found


def fingerprint(plain: dict[str, Any]) -> str:
    """SHA-256 of an experiment as plain data."""
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def measure(method: str, seed: int) -> Recorded:
    """Runs it now, in this process, whose peak memory is the record's."""
    asked, last = experiment(method, seed), _LastBatch()
    done = run(asked, callbacks=[last])
    plain = asked.model_dump(mode="json")
    return Recorded(
        method=method,
        seed=seed,
        experiment=plain,
        config_sha256=fingerprint(plain),
        rows=[rounded(row) for row in done.rows],
        summary=done.summary,
        seconds=round(done.summary["total_seconds"], 1),
        peak_memory_mb=round(float(done.rows[-1]["peak_memory_mb"] or 0), 0),
        hardware=hardware(asked.distill.device),
        torch=torch.__version__,
        samples=last.plain() if seed == SEEDS[0] else None,
    )


def table(records: dict[str, list[Recorded]]) -> pd.DataFrame:
    """A row a method: mean accuracy over seeds with its interval, agreement, and what the run cost.

    The interval is Student's over seeds; with three of them it is wide and rests on normal errors.
    """
    rows = {}
    for method, runs in records.items():
        values = 100 * np.array([one.accuracy for one in runs])
        interval = mean_over_seeds(values) if len(values) > 1 else None
        rows[method] = {
            "accuracy, %": values.mean(),
            "low": interval.low if interval else np.nan,
            "high": interval.high if interval else np.nan,
            "n": len(values),
            "agreement, %": 100 * np.mean([one.summary["agreement"]["value"] for one in runs]),
            "student steps": runs[0].summary["student_steps"],
            "generator steps": runs[0].summary["generator_steps"],
            "seconds": np.mean([one.seconds for one in runs]),
            "MB": max(one.peak_memory_mb for one in runs),
        }
    return pd.DataFrame(rows).T.sort_values("accuracy, %", ascending=False).round(1)


def margins(records: dict[str, list[Recorded]], over: str = "noise") -> pd.DataFrame:
    """Accuracy above that of another method, seed by seed, in points: mean, smallest, n."""
    base = {one.seed: one.accuracy for one in records[over]}
    rows = {}
    for method, runs in records.items():
        gaps = [100 * (one.accuracy - base[one.seed]) for one in runs if one.seed in base]
        if method != over and gaps:
            rows[method] = {"mean": np.mean(gaps), "smallest": min(gaps), "n": len(gaps)}
    return pd.DataFrame(rows).T.sort_values("mean", ascending=False).round(1)


class _LastBatch(Callback):
    """Keeps what the student studied last."""

    def after_student_step(self, ctx: Context, batch: Batch) -> None:
        self.images = batch.images if ctx.step == ctx.config.total_steps - 1 else None

    def plain(self) -> dict[str, Any]:
        assert self.images is not None
        shown = to_bytes(self.images[:SAMPLES]).cpu().numpy()
        return {"shape": list(shown.shape), "bytes": base64.b64encode(shown.tobytes()).decode()}


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """A row of metrics as records keep it: numbers to six digits."""
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in row.items()}


def costs(records: dict[str, list[Recorded]]) -> dict[str, dict[str, float]]:
    """Seconds and MB of a quick run, by method: mean over seeds, and largest."""
    return {
        method: {
            "seconds": round(float(np.mean([one.seconds for one in runs])), 0),
            "peak_memory_mb": max(one.peak_memory_mb for one in runs),
            "n": len(runs),
        }
        for method, runs in records.items()
    }


def write(found: Recorded, folder: Path = RECORDS) -> None:
    """Writes a record under its name."""
    write_json(folder / f"{found.method}-seed{found.seed}.json", pydantic.TypeAdapter(Recorded).dump_python(found))


def is_current(method: str, seed: int) -> bool:
    """Whether a record is there, of the settings of today. Raises DataError for a damaged one."""
    path, wanted = RECORDS / f"{method}-seed{seed}.json", experiment(method, seed).model_dump(mode="json")
    return path.exists() and read(method, seed).config_sha256 == fingerprint(wanted)


def compare(old: Recorded, new: Recorded) -> Repeat:
    """A record and the same run again. Raises ConfigError when they are of different settings."""
    if new.config_sha256 != old.config_sha256:
        raise ConfigError(f"the record of {old.method}, seed {old.seed}, is of other settings: record it again")
    same = [_untimed(row) for row in new.rows] == [_untimed(row) for row in old.rows]
    return Repeat(same, new.accuracy - old.accuracy)


def _untimed(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if "seconds" not in name and name != "peak_memory_mb"}
