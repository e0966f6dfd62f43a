"""Records as tables: a row a run, with a column for each axis and each number; means, paired differences, summaries.

All intervals are Student's over seeds, at 95 %.
"""

from typing import Any

import numpy as np
import pandas as pd

from analysis.checks.statistics import mean_over_seeds
from analysis.studies.records import StudyRecord
from cudfkd.evaluation import Estimate


def frame(record: StudyRecord) -> pd.DataFrame:
    """A row a run: its place on each axis, seed, numbers, seconds, mb, hardware and torch; step counts where known."""
    return pd.DataFrame(
        [
            {
                **case.at,
                "seed": seed,
                **{name: (run.summary or {}).get(name) for name in ("student_steps", "generator_steps")},
                **run.numbers,
                **({} if run.stopped is None and run.pruned is None else {"accuracy": np.nan}),
                "seconds": run.seconds,
                "mb": run.mb,
                "hardware": run.made.get("hardware"),
                "torch": run.made.get("torch"),
            }
            for case, seed, run in record.runs()
        ]
    )


def last_epoch(record: StudyRecord) -> pd.DataFrame:
    """A row a run: accuracy with its interval over images, agreement, mean weight and loss, all of the last epoch.

    Runs whose rows were not kept are left out.
    """
    rows = {}
    for case, _, run in record.runs():
        if run.rows is not None and run.summary is not None:
            accuracy, last = run.summary["accuracy"], run.rows[-1]
            rows[case.label] = {
                "accuracy": accuracy["value"],
                "95 % low": accuracy["low"],
                "95 % high": accuracy["high"],
                "agreement": run.summary["agreement"]["value"],
                "mean weight": last["mean_weight"],
                "loss": last["loss"],
                "seconds": run.seconds,
            }
    return pd.DataFrame(rows).T.round(3)


def histories(record: StudyRecord, axis: str) -> dict[str, list[pd.DataFrame]]:
    """The metrics of each run, a row an epoch, by the place on an axis; runs whose rows were not kept are left out."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for case, _, run in record.runs():
        if run.rows is not None:
            tables.setdefault(str(case.at[axis]), []).append(pd.DataFrame(run.rows))
    return tables


def means(runs: pd.DataFrame, column: str, axis: str) -> dict[Any, Estimate]:
    """The mean of a number over seeds with its interval, by the place on an axis."""
    groups = runs.groupby(axis, sort=False)[column]
    return {place: mean_over_seeds(_floats(values)) for place, values in groups}


def paired(runs: pd.DataFrame, column: str, axis: str, first: Any, second: Any) -> Estimate:
    """The mean difference of a number between two places on an axis, first - second, paired by seed."""
    wide = runs.pivot(index="seed", columns=axis, values=column)
    return mean_over_seeds(_floats((wide[first] - wide[second]).dropna()))


def null(runs: pd.DataFrame, column: str, axis: str, place: Any) -> Estimate:
    """One place on an axis against itself, later seeds minus earlier seeds: the size of an effect that is none."""
    values = _floats(runs[runs[axis] == place].set_index("seed").sort_index()[column])
    half = len(values) // 2
    return mean_over_seeds(values[half : 2 * half] - values[:half])


def summary(runs: pd.DataFrame, axis: str = "method") -> pd.DataFrame:
    """A row a place on an axis: mean accuracy over seeds with its interval, agreement, and the cost of a run.

    With three seeds the interval is wide, and rests on normal errors. The best place comes first.
    """
    rows = {}
    for place, group in runs.groupby(axis, sort=False):
        accuracies = 100 * _floats(group["accuracy"])
        interval = mean_over_seeds(accuracies) if len(accuracies) > 1 else None
        rows[place] = {
            "accuracy, %": accuracies.mean(),
            "low": interval.low if interval else np.nan,
            "high": interval.high if interval else np.nan,
            "n": len(accuracies),
            "agreement, %": 100 * _floats(group["agreement"]).mean(),
            "student steps": group["student_steps"].iloc[0],
            "generator steps": group["generator_steps"].iloc[0],
            "seconds": _floats(group["seconds"]).mean(),
            "MB": group["mb"].max(),
        }
    return pd.DataFrame(rows).T.sort_values("accuracy, %", ascending=False).round(1)


def margins(runs: pd.DataFrame, over: str = "noise", axis: str = "method") -> pd.DataFrame:
    """Accuracy above another place on the axis, seed by seed, in points: mean, smallest, n."""
    wide = 100 * runs.pivot(index="seed", columns=axis, values="accuracy")
    gaps = wide.drop(columns=over).sub(wide[over], axis=0)
    table = pd.DataFrame({"mean": gaps.mean(), "smallest": gaps.min(), "n": gaps.count()}).rename_axis(None)
    return table.dropna().sort_values(by="mean", ascending=False).round(1)


def falls(runs: pd.DataFrame, axis: str = "method") -> pd.DataFrame:
    """Points of accuracy from the best epoch of a run down to its last epoch: median and largest over seeds, n.

    Runs that stopped themselves are left out. The largest fall comes first.
    """
    finished = runs.dropna(subset=["accuracy"])
    points = [100 * (max(each) - each[-1]) for each in finished["accuracies"]]
    groups = finished.assign(fall=points).groupby(axis, sort=False)["fall"]
    table = pd.DataFrame({"median": groups.median(), "largest": groups.max(), "n": groups.count()})
    return table.rename_axis(None).sort_values(by="median", ascending=False).round(1)


def effects(runs: pd.DataFrame, axis: str, base: Any, within: str = "method") -> pd.DataFrame:
    """Accuracy at each place on an axis minus accuracy at the place `base`, in points, paired by seed.

    A row for each place within each place of another axis: mean over seeds, its interval (low, high), n.
    """
    rows = {}
    for group, cases in runs.groupby(within, sort=False):
        for place in dict.fromkeys(cases[axis]):
            if place != base:
                rows[group, place] = _points(cases, axis, place, base)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high", "n"])
    return table.set_index(pd.MultiIndex.from_tuples(rows, names=[within, axis])).round(1)


def ladder(runs: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Accuracy at each place on an axis minus accuracy at the place before, in points; then the last minus the first.

    A row a difference, paired by seed and named "from -> to": mean over seeds, its interval (low, high), n.
    """
    places = list(dict.fromkeys(runs[axis]))
    pairs = [*zip(places, places[1:], strict=False), (places[0], places[-1])]
    rows = {f"{start} -> {end}": _points(runs, axis, end, start) for start, end in pairs}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high", "n"]).round(1)


def costs(runs: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Seconds (mean over seeds) and MB (largest) of a run, by method: what `cudfkd methods` shows."""
    groups = runs.groupby("method")
    return {
        str(method): {
            "seconds": round(_floats(group["seconds"]).mean(), 0),
            "peak_memory_mb": float(_floats(group["mb"]).max()),
            "n": len(group),
        }
        for method, group in groups
    }


def _points(runs: pd.DataFrame, axis: str, first: Any, second: Any) -> tuple[float, float, float, int]:
    """The paired difference of accuracy between two places, first - second, in points: mean, low, high, n."""
    difference = paired(runs, "accuracy", axis, first, second)
    return 100 * difference.value, 100 * difference.low, 100 * difference.high, difference.n


def _floats(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)
