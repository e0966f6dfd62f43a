"""Verdicts of the comparison on the claims C5 to C9: CuDFKD against every rival at once, over seeds and teachers.

All checks are statistical. Each takes runs as `analysis.studies.table.frame` has them: a row a run, with the columns
method, teacher and seed. The *unit* is a seed: its number is the mean over the teachers. So a verdict holds for these
teachers, over the seeds that there could be.

A claim of being first has one decision:

- It is *shown* if CuDFKD is ahead of every rival, each at level 0.05. All must hold, so that no correction is needed
  (an intersection-union test), and no rival is picked out after the fact.
- It is *refuted* if some rival is ahead of CuDFKD, at level 0.05 after Holm's correction over the rivals.
- Otherwise it is undecided.
"""

from itertools import product

import numpy as np
import pandas as pd

from analysis.checks import Check, check
from analysis.checks.hypotheses import LEVEL, above, holm, sign_flips
from analysis.checks.statistics import mean_over_seeds
from cudfkd.base.errors import DataError

OURS, NOISE, DATA = "cudfkd", "noise", "scratch"
REFERENCES = ("kd", "scratch", "noise")
MARGIN = 1.0  # points of accuracy that still count as comparable
FEWEST = 6  # seeds: with fewer, no two-sided sign-flip test can be below 0.05


def units(runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """A number by seed (rows) and method (columns), averaged over the teachers.

    Raises:
        DataError: a run is missing, doubled or without the number, or there are fewer than 6 seeds.
    """
    seeds = sorted(set(runs["seed"]))
    if len(seeds) < FEWEST:
        raise DataError(f"{len(seeds)} seeds are too few for a test: take {FEWEST} or more")
    counts = runs.groupby(["method", "teacher", "seed"])[column].agg(["size", "count"])
    found = dict(zip(counts.index, counts.itertuples(index=False), strict=True))
    for place in product(dict.fromkeys(runs["method"]), dict.fromkeys(runs["teacher"]), seeds):
        made, numbers = found.get(place, (0, 0))
        if (made, numbers) != (1, 1):
            what = "stands twice in the record" if made > 1 else f"is missing, or has no {column}"
            raise DataError("the run {}, teacher {}, seed {} ".format(*place) + what)
    return runs.pivot_table(index="seed", columns="method", values=column, sort=False)


def rivals(values: pd.DataFrame) -> list[str]:
    """The data-free methods that CuDFKD is compared with."""
    return [method for method in values.columns if method not in (OURS, *REFERENCES)]


def against_rivals(values: pd.DataFrame, sign: int = 1, margin: float = 0.0, ours: str = OURS) -> pd.DataFrame:
    """A row a rival: the paired difference ours - rival over seeds, and what it says about being ahead.

    Arguments:
        values: as `units` returns them.
        sign: 1 where more is better, -1 where less is better.
        margin: difference by which CuDFKD may be behind and still be comparable, in the unit of the values.
        ours: method that stands in CuDFKD's place; another method for a control.

    Columns: difference with its 95 % Student's t interval (low, high); ahead: p-value of "not ahead"; behind: p-value
    of "not behind", after Holm's correction. With a margin, both refer to -margin, by Student's t; without, to 0, by
    sign flips.
    """
    rows, behind = {}, {}
    for rival in rivals(values):
        differences = values[ours].to_numpy() - values[rival].to_numpy()
        estimate = mean_over_seeds(differences)
        rows[rival] = {"difference": estimate.value, "low": estimate.low, "high": estimate.high}
        rows[rival]["ahead"], behind[rival] = _both_sides(sign * differences, margin)
    return pd.DataFrame.from_dict(rows, orient="index").assign(behind=pd.Series(holm(behind)))


def comparable(accuracy: pd.DataFrame) -> Check:
    """C5: CuDFKD is less than 1 point of accuracy behind every rival.

    It is refuted if some rival is more than 1 point ahead. The control: noise in CuDFKD's place.

    accuracy: accuracies in percent, as `units` returns them.
    """
    return _first(accuracy, "comparable", f"accuracy > that of every rival - {MARGIN:g} point", "C5", margin=MARGIN)


def soonest(times: pd.DataFrame, clock: str, level: str) -> Check:
    """C6: CuDFKD needs less time to a level than every rival. The control: noise in CuDFKD's place.

    times: restricted times, as `units` returns them: a run that never got there has the horizon.
    clock: the unit of the times; level: the level, for the statement.
    """
    statement = f"{clock} to {level} < that of every rival"
    return _first(times, f"fastest in {clock} to {level}", statement, "C6", sign=-1)


def steadiest(values: pd.DataFrame, name: str, sign: int) -> Check:
    """C7: a number of the curve over training is better than every rival's. The control: noise in CuDFKD's place.

    values: as `units` returns them; name: the number; sign: 1 where more is better, -1 where less is better.
    """
    return _first(values, f"most robust by {name}", f"{name} better than that of every rival", "C7", sign=sign)


def most_faithful(values: pd.DataFrame, name: str) -> Check:
    """C8: a measure of fidelity to the teacher is higher than every rival's. The control: noise in CuDFKD's place.

    values: as `units` returns them; name: the measure.
    """
    return _first(values, f"most faithful by {name}", f"{name} > that of every rival", "C8")


def better_than_data(accuracy: pd.DataFrame) -> Check:
    """C9: CuDFKD is more accurate than the same student trained from scratch on the real data, paired by seed.

    It is refuted if the student from scratch is ahead. The control: noise in CuDFKD's place.

    accuracy: accuracies in percent, as `units` returns them.
    """
    ahead, behind = _both_sides((accuracy[OURS] - accuracy[DATA]).to_numpy(), 0.0)
    control, _ = _both_sides((accuracy[NOISE] - accuracy[DATA]).to_numpy(), 0.0)
    return check("better than training on the data", "accuracy > that of the student from scratch with data", "study",
                 [ahead - LEVEL], ("noise in its place", [control - LEVEL]), tolerance=0.0, exact=False,
                 claims=("C9",), refuted=behind < LEVEL)  # fmt: skip


def _first(values: pd.DataFrame, name: str, statement: str, claim: str, sign: int = 1, margin: float = 0.0) -> Check:
    """The violations are how far the p-values of "not ahead" lie above 0.05."""
    found = against_rivals(values, sign, margin)
    control = against_rivals(values, sign, margin, ours=NOISE)
    return check(name, statement, "study", (found["ahead"] - LEVEL).to_numpy(),
                 ("noise in its place", (control["ahead"] - LEVEL).to_numpy()), tolerance=0.0, exact=False,
                 claims=(claim,), refuted=bool((found["behind"] < LEVEL).any()))  # fmt: skip


def _both_sides(differences: np.ndarray, margin: float) -> tuple[float, float]:
    """The p-values of "the mean is -margin or less" and of "the mean is -margin or more"."""
    if margin:
        return above(differences, -margin), above(-differences, margin)
    return sign_flips(differences, "greater"), sign_flips(differences, "less")
