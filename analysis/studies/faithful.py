"""Fidelity of the students of a study to their teachers, over seeds: measures, histograms, and errors in common.

Each function takes runs as `analysis.studies.table.frame` has them, with the numbers of the reader `fidelity`. The
unit is a seed: its number is the mean over the teachers.
"""

import pandas as pd

from analysis.checks import Check
from analysis.live.fidelity import BINS, CHANGES
from analysis.studies.comparison import OURS, estimated, leads, most_faithful, over_seeds, rivals, units

MEASURES = {
    "agreement": "agreement, %",
    "loyalty": "loyalty by definition",
    "loyalty_published": "loyalty as published",
}
SCALE = {"agreement": 100.0}


def ordered(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs, those of the most faithful method first: by agreement on the real images. Raises as `units`.

    All tables of these runs then have this order.
    """
    best = units(runs, "real_agreement").mean().sort_values(ascending=False, kind="stable")
    return runs.set_index("method").loc[best.index].reset_index()


def faithful_everywhere(runs: pd.DataFrame) -> list[Check]:
    """All checks of C8, for the notebook and for the map of the paper: each measure on each change of the images.

    Holm's correction is over the rivals of a check, and not over the checks: with ten seeds no rival could be ahead at
    level 0.05 after a correction over all of them. So a single check that fails is weak evidence.

    Raises:
        DataError: as `units` and `decided`.
    """
    return [
        most_faithful(units(runs, f"{change}_{measure}"), f"{_name(measure)} on {change} images")
        for measure in MEASURES
        for change in CHANGES
    ]


def differences(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By measure, a row a rival: the paired difference CuDFKD - rival on the real images. Raises as `units`.

    The key names measure and unit. Columns as in `estimated`.
    """
    labels = {measure: _name(measure) + (", points" if measure in SCALE else "") for measure in MEASURES}
    return {
        label: estimated(SCALE.get(measure, 1.0) * leads(units(runs, f"real_{measure}")))
        for measure, label in labels.items()
    }


def places(runs: pd.DataFrame) -> pd.DataFrame:
    """The place of CuDFKD among the data-free methods by its mean: a row a measure, a column a change; 1 is the first.

    Raises as `units`.
    """
    rows = {_name(measure): {c: _place(units(runs, f"{c}_{measure}")) for c in CHANGES} for measure in MEASURES}
    return pd.DataFrame(rows).T


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

    teacher, student: images that the teacher, and the student, gets wrong.
    both, low, high: images that both get wrong, with the 95 % interval of the mean.
    independent: images that both would get wrong if their errors were independent.
    alike: images that both give the same wrong class.
    """
    shares = {name: 100 * units(runs, name) for name in ("teacher_wrong", "student_wrong", "wrong_alike")}
    independent = units(runs.assign(independent=runs["student_wrong"] * runs["teacher_wrong"]), "independent")
    both = over_seeds(runs, "both_wrong", 100.0)
    return pd.DataFrame(
        {
            "teacher": shares["teacher_wrong"].mean(),
            "student": shares["student_wrong"].mean(),
            "independent": 100 * independent.mean(),
            "both": both["value"],
            "low": both["low"],
            "high": both["high"],
            "alike": shares["wrong_alike"].mean(),
        }
    )


def _name(measure: str) -> str:
    """The words for a measure without its unit."""
    return MEASURES[measure].removesuffix(", %")


def _place(values: pd.DataFrame) -> int:
    means = values.mean()
    return 1 + sum(bool(means[rival] > means[OURS]) for rival in rivals(values))
