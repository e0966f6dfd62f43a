"""Effects of CuDFKD's settings on its scores, and verdicts on F2 to F8 and F10, from the records of their studies.

Each function takes runs as `analysis.studies.table.frame` has them. Accuracy and agreement are in percent. Loyalty has
the published definition, 1 - JS^(1/4) in nats. A run that stopped itself has no score and is left out: n says so.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.checks import Check, check
from analysis.checks.ranges import Spread, pooled
from analysis.checks.statistics import mean_over_seeds
from analysis.studies.records import StudyRecord
from cudfkd.evaluation import Estimate
from cudfkd.teachers import named_card

MEASURES = {"accuracy": ("accuracy", 100.0), "agreement": ("agreement", 100.0), "loyalty": ("loyalty_published", 1.0)}
"""By measure: its column among the numbers of a run, and the factor to the unit in which it is published."""
OURS = "cudfkd"
WRONG = "wrong labels, %"
MOST_WRONG = 40
CURRICULA = ("hard", "soft", "log")
WITH_RAMP, WITHOUT_RAMP = "with the ramp", "without the ramp"


def at(runs: pd.DataFrame, axis: str, place: Any) -> pd.DataFrame:
    """The runs at one place on an axis."""
    return pd.DataFrame(runs[runs[axis] == place])


def responses(runs: pd.DataFrame, measure: str, axes: Sequence[str]) -> pd.DataFrame:
    """A row a place on the axes: the mean of a measure over seeds with its 95 % interval (low, high), and n."""
    estimates = {place: mean_over_seeds(values) for place, values in _groups(runs, measure, axes)}
    table = pd.DataFrame.from_dict(
        {place: (each.value, each.low, each.high, each.n) for place, each in estimates.items()},
        orient="index", columns=["mean", "low", "high", "n"],
    )  # fmt: skip
    index = pd.MultiIndex.from_tuples(table.index, names=axes) if len(axes) > 1 else table.index.rename(axes[0])
    return table.set_axis(index)


def of_measures(runs: pd.DataFrame, axes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """`responses` by measure, for all measures."""
    return {measure: responses(runs, measure, axes) for measure in MEASURES}


def spread(runs: pd.DataFrame, measure: str, axes: Sequence[str]) -> Spread:
    """The standard deviation of a measure over seeds, pooled over the places on the axes."""
    return pooled([values for _, values in _groups(runs, measure, axes)])


def difference(runs: pd.DataFrame, measure: str, axis: str, first: Any, second: Any) -> Estimate:
    """A measure at one place on an axis minus at another, paired by seed, with its interval over seeds.

    Each seed's number is the mean over the places on all further axes.
    """
    by_seed = _by_seed(runs, measure, axis)
    return mean_over_seeds((by_seed[first] - by_seed[second]).dropna().to_numpy())


def itself(runs: pd.DataFrame, measure: str, axis: str, place: Any) -> Estimate:
    """A measure at one place on an axis, later seeds minus earlier seeds: an effect that is none."""
    return _later_less_earlier(pd.Series(_by_seed(runs, measure, axis)[place]))


def losses(noisy: pd.DataFrame, measure: str, wrong: int = MOST_WRONG) -> pd.DataFrame:
    """A measure with the clean teacher minus the measure with a teacher of `wrong` % of wrong labels.

    A row a seed, a column a method.
    """
    by_seed = {share: _by_seed(at(noisy, WRONG, share), measure, "method") for share in (0, wrong)}
    return by_seed[0] - by_seed[wrong]


def rivals(noisy: pd.DataFrame) -> list[str]:
    """The methods of the study of noisy teachers that CuDFKD is compared with."""
    return [method for method in dict.fromkeys(noisy["method"]) if method != OURS]


def teachers_own(noisy: StudyRecord) -> pd.Series:
    """The accuracy of each noisy teacher itself on dev in percent, by its share of wrong labels."""
    named = {case.at[WRONG]: case.case["experiment"] for case in noisy.cases.values()}
    cards = {share: named_card(each["data"], each["teacher"], each["teacher_seed"]) for share, each in named.items()}
    return pd.Series({share: 100 * card["accuracy"]["dev"] for share, card in cards.items()})


def of_ramp(strategy: pd.DataFrame, ramp: str) -> pd.DataFrame:
    """The runs of the study of strategies with, or without, the ramp of the adversarial weight."""
    return at(strategy, "ramp", ramp)


def ramp_ends_early(ramp: pd.DataFrame) -> Check:
    """F2 to F4: accuracy is higher where the ramp ends at 2/3 than where it ends at 4/5, mean over the beginnings."""
    return _ahead("a ramp that ends early", "accuracy, end at 2/3 > end at 4/5",
                  [difference(ramp, "accuracy", "end", "2/3", "4/5")],
                  itself(ramp, "accuracy", "end", "4/5"))  # fmt: skip


def height_helps(height: pd.DataFrame) -> Check:
    """F5: agreement is higher with a ramp of 8/7 of the default height than with a ramp of 1/7."""
    return _ahead("a high ramp", "agreement, height 11.4 > height 1.4",
                  [difference(height, "agreement", "height", 11.4, 1.4)],
                  itself(height, "agreement", "height", 1.4))  # fmt: skip


def curricula_help(strategy: pd.DataFrame) -> Check:
    """F6: with the ramp on, hard, soft and log are each more accurate than no curriculum."""
    runs = of_ramp(strategy, WITH_RAMP)
    return _ahead("a curriculum", "accuracy, hard, soft and log each > none, ramp on",
                  [difference(runs, "accuracy", "strategy", name, "none") for name in CURRICULA],
                  itself(runs, "accuracy", "strategy", "none"))  # fmt: skip


def warmth_helps(temperature: pd.DataFrame) -> Check:
    """F7: with the loss l1, accuracy is higher at temperature 20 than at 4."""
    runs = at(temperature, "loss", "l1")
    return _ahead("a high temperature", "accuracy, T = 20 > T = 4, loss l1",
                  [difference(runs, "accuracy", "temperature", 20, 4)],
                  itself(runs, "accuracy", "temperature", 4))  # fmt: skip


def low_start_helps(start: pd.DataFrame) -> Check:
    """F8: accuracy is higher where lambda starts at 2 than where it starts at 2.8."""
    return _ahead("a low start of lambda", "accuracy, start at 2 > start at 2.8",
                  [difference(start, "accuracy", "start", 2.0, 2.8)],
                  itself(start, "accuracy", "start", 2.8))  # fmt: skip


def loses_least(noisy: pd.DataFrame) -> Check:
    """F10, C7: a teacher with 40 % of wrong labels costs CuDFKD less accuracy than each rival."""
    lost = losses(noisy, "accuracy")
    effects = [mean_over_seeds((lost[rival] - lost[OURS]).dropna().to_numpy()) for rival in rivals(noisy)]
    return _ahead("robust against a noisy teacher", "accuracy lost by each rival > lost by CuDFKD", effects,
                  _later_less_earlier(pd.Series(lost[OURS])), claims=("C7",))  # fmt: skip


def _ahead(
    name: str, statement: str, effects: Iterable[Estimate], none: Estimate, claims: tuple[str, ...] = ()
) -> Check:
    return check(name, f"{statement}: 95 % interval over seeds", "study", [-effect.low for effect in effects],
                 ("later seeds against earlier seeds", [-none.low]), tolerance=0.0, exact=False,
                 claims=claims)  # fmt: skip


def _later_less_earlier(by_seed: pd.Series) -> Estimate:
    values = by_seed.dropna().sort_index().to_numpy(dtype=np.float64)
    half = len(values) // 2
    return mean_over_seeds(values[half : 2 * half] - values[:half])


def _by_seed(runs: pd.DataFrame, measure: str, axis: str) -> pd.DataFrame:
    column, factor = MEASURES[measure]
    return factor * runs.pivot_table(index="seed", columns=axis, values=column, sort=False)


def _groups(runs: pd.DataFrame, measure: str, axes: Sequence[str]) -> list[tuple[Any, np.ndarray]]:
    """The values of a measure by place, in the order of the record."""
    column, factor = MEASURES[measure]
    by = list(axes) if len(axes) > 1 else axes[0]
    groups = runs.dropna(subset=[column]).groupby(by, sort=False)[column]
    return [(place, factor * values.to_numpy(dtype=np.float64)) for place, values in groups]
