"""Curves of recorded runs: accuracy on dev against several clocks, steadiness, and times to a level.

A clock counts the work of a run up to the end of an epoch. Each function takes `epochs(record)`: a row an epoch of a
run, with its place on the axes of its study, its seed, the clocks and the measures.
"""

from typing import Any

import numpy as np
import pandas as pd

from analysis.checks.hypotheses import log_rank
from analysis.live import stability
from analysis.studies import records
from analysis.studies.records import StudyRecord
from cudfkd.base.errors import DataError

CLOCKS = {
    "student_steps": "student updates",
    "generator_steps": "generator updates",
    "total_seconds": "seconds of training",
    "teacher_images": "images that the teacher looked at",
}


def epochs(record: StudyRecord) -> pd.DataFrame:
    """A row an epoch of a run. Counts and seconds are sums since the run began; measures are shares in [0, 1].

    Raises:
        DataError: the record holds no curve of a run.
    """
    tables = []
    for case, seed, _ in record.runs():
        rows = records.curve(record, case.label, seed)
        tables.append(rows.assign(**case.at, seed=seed, teacher_images=rows["teacher_images"].cumsum()))
    return pd.concat(tables, ignore_index=True)


def bands(curves: pd.DataFrame, clock: str) -> dict[str, pd.DataFrame]:
    """By method, a row an epoch: the clock (mean over runs); mean, lowest and highest accuracy over seeds, in percent.

    The accuracy of a seed is the mean over its teachers.
    """
    tables = {}
    for method, group in curves.groupby("method", sort=False):
        of_seeds = 100 * group.pivot_table("accuracy", "epoch", "seed")
        limits = {"mean": of_seeds.mean(axis=1), "low": of_seeds.min(axis=1), "high": of_seeds.max(axis=1)}
        tables[str(method)] = pd.DataFrame({"clock": group.groupby("epoch")[clock].mean()} | limits)
    return tables


def steadiness(curves: pd.DataFrame) -> pd.DataFrame:
    """A row a run, in percent or percent^2: numbers of the accuracy over epochs.

    last: accuracy after the last epoch.
    mu: mean over all epochs.
    sigma2: variance over all epochs around the mean, with divisor n.
    sigma2_late: variance around a straight line, with divisor n, without the first fifth of the epochs. There a curve
        is bent, as a student learns fast at first, and the bend would count as unsteadiness.
    deviation: square root of sigma2_late.
    fall: largest fall below the best epoch so far, which no rise can raise.
    """
    rows = []
    for place, run in _runs(curves):
        accuracies = run["accuracy"].to_numpy(dtype=np.float64)
        whole = stability.stability(accuracies)
        late = stability.stability(accuracies, skip=len(accuracies) // 5, detrend=True)
        spread = {"sigma2": whole.variance, "sigma2_late": late.variance, "deviation": late.sigma}
        spread["fall"] = 100 * stability.drawdown(accuracies)
        rows.append({**place, "last": 100 * accuracies[-1], "mu": whole.mu, **spread})
    return pd.DataFrame(rows)


def level(curves: pd.DataFrame, share: float, reference: str = "kd") -> float:
    """A share of the accuracy that the student can reach: the mean accuracy of a reference after its last epoch."""
    of_reference = curves[curves["method"] == reference]
    if of_reference.empty:
        raise DataError(f"no run is of {reference}: the level is a share of its accuracy")
    last = np.asarray(of_reference["epoch"] == of_reference["epoch"].max())
    return share * float(np.asarray(of_reference["accuracy"], dtype=np.float64)[last].mean())


def times(curves: pd.DataFrame, level: float, clocks: tuple[str, ...] = tuple(CLOCKS)) -> pd.DataFrame:
    """A row a run: whether it reached the level on dev, and when.

    reached: True or False.
    epoch, and each of `clocks`: time to the level. A run that never got there counts as the longest run of all on this
        clock, so that giving up early is never fast.
    CLOCK_at: the time; NaN where the run never got there. CLOCK_end: the time at the end of the run.

    Raises:
        DataError: no run reaches the level.
    """
    counted, rows = ("epoch", *clocks), []
    for place, run in _runs(curves):
        reach = stability.reaches(run["accuracy"].to_numpy(dtype=np.float64), level)
        at, end = run.iloc[reach.epoch - 1], run.iloc[-1]
        row = {f"{clock}_at": np.nan if reach.censored else at[clock] for clock in counted}
        row |= {f"{clock}_end": end[clock] for clock in counted}
        rows.append({**place, "reached": not reach.censored, **row})
    table = pd.DataFrame(rows)
    if not bool(np.any(table["reached"])):
        raise DataError(f"no run reaches {100 * level:.1f} % on dev: take a lower level")
    return table.assign(**{clock: table[f"{clock}_at"].fillna(table[f"{clock}_end"].max()) for clock in counted})


def reached(timed: pd.DataFrame) -> dict[str, str]:
    """By method, how many of its runs reached the level, in words."""
    groups = timed.groupby("method", sort=False)["reached"]
    return {str(method): f"{runs.sum()} of {len(runs)}" for method, runs in groups}


def log_ranks(timed: pd.DataFrame, clock: str, ours: str = "cudfkd") -> dict[str, float]:
    """By method, the p-value of the log-rank test against `ours`, up to the time to which all runs of both were seen.

    It takes all runs as independent and knows nothing of pairs or directions, so it stands beside a verdict.
    """
    own, tests = timed[timed["method"] == ours], {}
    for method, runs in timed.groupby("method", sort=False):
        horizon = min(float(np.min(each[f"{clock}_end"])) for each in (own, runs))
        if method != ours and horizon > 0:
            first, second = (np.asarray(each[f"{clock}_at"], dtype=np.float64) for each in (own, runs))
            tests[str(method)] = log_rank(first, second, horizon)
    return tests


def _runs(curves: pd.DataFrame) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """Each run's place and seed, and its rows."""
    axes = [axis for axis in ("method", "teacher", "target", "part") if axis in curves]
    groups: Any = curves.groupby([*axes, "seed"], sort=False)
    return [(dict(zip((*axes, "seed"), place, strict=True)), rows) for place, rows in groups]
