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

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from analysis.checks import Check, check
from analysis.checks.hypotheses import LEVEL, above, holm, sign_flips
from analysis.checks.statistics import mean_over_seeds
from analysis.studies import curves
from cudfkd.base.errors import DataError
from cudfkd.evaluation import Estimate

OURS, NOISE, DATA = "cudfkd", "noise", "scratch"
REFERENCES = ("kd", "scratch", "noise")
MARGIN = 1.0  # points of accuracy that still count as comparable
FEWEST = 6  # seeds: with fewer, no two-sided sign-flip test can be below 0.05
SHARES = (0.9, 0.95)  # levels of C6, of the accuracy that the student can reach
CLOCKS = {"epoch": "epochs", "generator_steps": "generator updates", "total_seconds": "seconds"}  # of C6


def units(runs: pd.DataFrame, column: str | int, by: Sequence[str] = ("method",)) -> pd.DataFrame:
    """A number by seed (rows) and place on the axes `by` (columns), averaged over the teachers, if there are several.

    Raises:
        DataError: a run is missing, doubled or without the number.
    """
    seeds = sorted(set(runs["seed"]))
    axes = [*by, *(axis for axis in ("teacher",) if axis in runs), "seed"]
    counts = runs.groupby(axes)[column].agg(["size", "count"])
    stored = dict(zip(counts.index, counts.itertuples(index=False), strict=True))
    for place in product(*(dict.fromkeys(runs[axis]) for axis in axes[:-1]), seeds):
        count, numbers = stored.get(place, (0, 0))
        if (count, numbers) != (1, 1):
            name = ", ".join(f"{axis} {value}" for axis, value in zip(axes, place, strict=True))
            problem = "stands twice in the record" if count > 1 else f"is missing, or has no {column}"
            raise DataError(f"the run of {name} {problem}")
    return runs.pivot_table(index="seed", columns=list(by) if len(by) > 1 else by[0], values=column, sort=False)


def rivals(values: pd.DataFrame) -> list[str]:
    """The data-free methods that CuDFKD is compared with."""
    return [method for method in values.columns if method not in (OURS, *REFERENCES)]


def against_rivals(values: pd.DataFrame, sign: int = 1, margin: float = 0.0, ours: str = OURS) -> pd.DataFrame:
    """A row a rival: the paired difference ours - rival over seeds, and the p-values of `decided`.

    Arguments:
        values: as `units` returns them.
        sign, margin: as in `decided`.
        ours: method that stands in CuDFKD's place; another method for a control.

    Raises:
        DataError: as `decided`.
    """
    return decided(leads(values, ours), sign, margin)


def leads(values: pd.DataFrame, ours: str = OURS) -> pd.DataFrame:
    """The paired differences ours - rival, by seed (rows) and rival (columns). Arguments as in `against_rivals`."""
    return pd.DataFrame({rival: values[ours] - values[rival] for rival in rivals(values)})


def estimated(differences: pd.DataFrame) -> pd.DataFrame:
    """A row a column of differences: its mean over seeds (difference) with its 95 % interval of Student (low, high).

    The interval of one seed is NaN.
    """
    means = {name: _mean(values) for name, values in differences.items()}
    rows = {name: {"difference": mean.value, "low": mean.low, "high": mean.high} for name, mean in means.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def decided(differences: pd.DataFrame, sign: int = 1, margin: float = 0.0) -> pd.DataFrame:
    """A row a column of differences: its mean over seeds, and the p-values of being ahead or behind.

    Arguments:
        differences: a row a seed; above 0 where ours has the larger number.
        sign: 1 where more is better, -1 where less is better.
        margin: difference by which ours may be behind and still be comparable, in the unit of the differences.

    Columns: of `estimated`; ahead: p-value of "not ahead"; behind: p-value of "not behind", after Holm's correction
    over the columns. With a margin, both refer to -margin, by Student's t; without, to 0, by sign flips.

    Raises:
        DataError: there are fewer than 6 seeds.
    """
    sides = {str(name): _both_sides(sign * values.to_numpy(float), margin) for name, values in differences.items()}
    behind = holm({name: p_value for name, (_, p_value) in sides.items()})
    ahead = {name: p_value for name, (p_value, _) in sides.items()}
    return estimated(differences).assign(ahead=pd.Series(ahead), behind=pd.Series(behind))


def over_seeds(runs: pd.DataFrame, column: str, scale: float = 1.0) -> pd.DataFrame:
    """A row a method: the mean of a number over seeds with its 95 % interval, and n. Raises as `units`.

    The interval of one seed is NaN.
    """
    estimates = {method: _mean(scale * values) for method, values in units(runs, column).items()}
    return pd.DataFrame({method: estimate._asdict() for method, estimate in estimates.items()}).T


def summary(steadiness: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """A row a method, best mean first: mean numbers of its curves, minutes of a run (mean), and peak GB (largest).

    Arguments:
        steadiness: as `analysis.studies.curves.steadiness` has it.
        runs: as `analysis.studies.table.frame` has them. GB are 10^9 bytes.
    """
    cost = pd.DataFrame({"method": runs["method"], "minutes": runs["seconds"] / 60, "gb": runs["mb"] / 1000})
    numbers = steadiness.groupby("method", sort=False)[["mu", "sigma2", "deviation", "fall"]].mean()
    spent = cost.groupby("method").agg({"minutes": "mean", "gb": "max"})
    return pd.concat([pd.DataFrame(numbers), spent], axis=1).rename_axis(None).sort_values(by="mu", ascending=False)


def on_test(runs: pd.DataFrame) -> pd.DataFrame:
    """The accuracies on the test images in percent, as `units` returns them. Raises as `units`."""
    return 100 * units(runs, "test_accuracy")


def comparable_on_test(runs: pd.DataFrame) -> list[Check]:
    """All checks of C5, for the notebook and for the map of the paper. Raises as `units` and `decided`."""
    return [comparable(on_test(runs))]


def better_than_data_on_test(runs: pd.DataFrame) -> list[Check]:
    """All checks of C9, for the notebook and for the map of the paper. Raises as `units` and `decided`."""
    return [better_than_data(on_test(runs))]


def comparable(accuracy: pd.DataFrame) -> Check:
    """C5: CuDFKD is less than 1 point of accuracy behind every rival.

    It is refuted if some rival is more than 1 point ahead. The control: noise in CuDFKD's place.

    accuracy: accuracies in percent, as `units` returns them.
    """
    return _first(accuracy, "comparable", f"accuracy > that of every rival - {MARGIN:g} point", "C5", margin=MARGIN)


def fastest(courses: pd.DataFrame) -> list[Check]:
    """C6: all checks of the claim, `soonest` for each level and clock of the study.

    courses: epochs of the study `comparison`, as `curves.epochs` has them. Raises as `units` and `curves.times`.
    """
    timed = {share: curves.times(courses, curves.level(courses, share)) for share in SHARES}
    return [
        soonest(units(times, clock), name, f"{100 * share:g} % of kd")
        for share, times in timed.items()
        for clock, name in CLOCKS.items()
    ]


def steadiest(steadiness: pd.DataFrame) -> list[Check]:
    """C7: all checks of the claim that need no noisy teacher.

    steadiness: of the study `comparison`, as `curves.steadiness` has it. Raises as `units`.
    """
    return [most_robust(units(steadiness, "mu"), units(steadiness, "deviation"))]


def soonest(times: pd.DataFrame, clock: str, level: str) -> Check:
    """C6: CuDFKD needs less time to a level than every rival. The control: noise in CuDFKD's place.

    times: times of `analysis.studies.curves.times`, as `units` returns them.
    clock: the unit of the times; level: the level, for the statement.
    """
    statement = f"{clock} to {level} < that of every rival"
    return _first(times, f"fastest in {clock} to {level}", statement, "C6", sign=-1)


def most_robust(mu: pd.DataFrame, deviation: pd.DataFrame) -> Check:
    """C7: over training CuDFKD's mean accuracy is higher, and its deviation lower, than every rival's.

    Both must hold at once: a student that learns nothing has the steadiest curve of all. It is refuted if some rival is
    ahead in the mean or in the deviation, after Holm's correction over both. The control: noise in CuDFKD's place.

    mu, deviation: columns of `analysis.studies.curves.steadiness`, as `units` returns them.
    """

    def both(ours: str) -> pd.DataFrame:
        gains = {("mean", rival): mu[ours] - mu[rival] for rival in rivals(mu)}
        gains |= {("deviation", rival): deviation[rival] - deviation[ours] for rival in rivals(deviation)}
        return decided(pd.DataFrame({" of ".join(name): values for name, values in gains.items()}))

    statement = "mean accuracy over training > and deviation < that of every rival"
    return _judged("most robust over training", statement, "C7", both(OURS), both(NOISE))


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
    ours, control = (against_rivals(values, sign, margin, method) for method in (OURS, NOISE))
    return _judged(name, statement, claim, ours, control)


def _judged(name: str, statement: str, claim: str, ours: pd.DataFrame, control: pd.DataFrame) -> Check:
    """The violations are how far the p-values of "not ahead" lie above 0.05."""
    return check(name, statement, "study", (ours["ahead"] - LEVEL).to_numpy(),
                 ("noise in its place", (control["ahead"] - LEVEL).to_numpy()), tolerance=0.0, exact=False,
                 claims=(claim,), refuted=bool((ours["behind"] < LEVEL).any()))  # fmt: skip


def _mean(values: pd.Series) -> Estimate:
    """The mean over seeds with its interval; one seed has no spread, and so the interval (NaN, NaN)."""
    array = values.to_numpy(dtype=np.float64)
    return mean_over_seeds(array) if len(array) > 1 else Estimate(float(array.item()), np.nan, np.nan, 1)


def _both_sides(differences: np.ndarray, margin: float) -> tuple[float, float]:
    """The p-values of "the mean is -margin or less" and of "the mean is -margin or more"."""
    if len(differences) < FEWEST:
        raise DataError(f"{len(differences)} seeds are too few for a test: take {FEWEST} or more")
    if margin:
        return above(differences, -margin), above(-differences, margin)
    return sign_flips(differences, "greater"), sign_flips(differences, "less")
