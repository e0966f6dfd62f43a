"""Fidelity of the students of a study to their teachers, over seeds: measures, histograms, and errors in common.

Each function takes runs as `analysis.studies.table.frame` has them, with the numbers of the reader `fidelity`. The
unit is a seed: its number is the mean over the teachers.
"""

import pandas as pd

from analysis.live.fidelity import BINS, CHANGES
from analysis.studies.comparison import over_seeds, units

MEASURES = {
    "agreement": "agreement with the teacher, %",
    "loyalty": "loyalty by definition",
    "loyalty_published": "loyalty as published",
}
SCALE = {"agreement": 100.0}


def measures(runs: pd.DataFrame, measure: str) -> dict[str, pd.DataFrame]:
    """By change of the images, a row a method: mean of a measure over seeds with its 95 % interval. Raises as `units`.

    Agreement is in percent, loyalty in [0, 1].
    """
    return {change: over_seeds(runs, f"{change}_{measure}", SCALE.get(measure, 1.0)) for change in CHANGES}


def histograms(runs: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    """By method, a row a bin of loyalty: share of the images in percent, mean, lowest and highest over seeds.

    column: loyalties or loyalties_published. Raises as `units`. The index is the left edge of the bin.
    """
    bins = pd.DataFrame(runs[column].tolist(), columns=list(map(str, range(BINS))), index=runs.index)
    wide = runs[["method", "teacher", "seed"]].join(100 * bins)
    of_bins = {edge / BINS: units(wide, str(edge)) for edge in range(BINS)}
    methods = next(iter(of_bins.values())).columns
    return {
        method: pd.DataFrame(
            {edge: {"mean": seeds[method].mean(), "low": seeds[method].min(), "high": seeds[method].max()}
             for edge, seeds in of_bins.items()}
        ).T
        for method in methods
    }  # fmt: skip


def errors(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a method: errors of student and teacher together on the real images, in percent of them, over seeds.

    student: images that the student gets wrong.
    both, low, high: images that both get wrong, with the 95 % interval of the mean.
    independent: images that both would get wrong if their errors were independent.
    alike: images that both give the same wrong class.
    """
    shares = {name: 100 * units(runs, name) for name in ("student_wrong", "both_wrong", "wrong_alike")}
    independent = units(runs.assign(independent=runs["student_wrong"] * runs["teacher_wrong"]), "independent")
    both = over_seeds(runs, "both_wrong", 100.0)
    return pd.DataFrame(
        {
            "student": shares["student_wrong"].mean(),
            "independent": 100 * independent.mean(),
            "both": both["value"],
            "low": both["low"],
            "high": both["high"],
            "alike": shares["wrong_alike"].mean(),
        }
    )
