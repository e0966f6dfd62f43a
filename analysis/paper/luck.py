"""Published ranges of F2 to F8 beside ours, and how large they would be by the luck of the seeds alone."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.checks.ranges import Spread, chance, luck
from analysis.paper import published
from analysis.studies import ablations


class Counterpart(NamedTuple):
    """The runs of ours that vary the same settings as a published figure.

    study: name of the study.
    axes: axes of the study that vary.
    places: values on each axis that the figure has, too.
    fixed: places on further axes.
    """

    study: str
    axes: tuple[str, ...]
    places: tuple[tuple[str | float, ...], ...]
    fixed: dict[str, str]


RAMP = Counterpart("ramp", ("begin", "end"), (("1/5", "1/4", "1/3"), ("2/3", "3/4", "4/5")), {})
COUNTERPARTS = {
    **dict.fromkeys(published.MAPS, RAMP),
    "F5": Counterpart("height", ("height",), ((1.4, 2.9, 4.3, 5.7, 7.1, 8.6, 10.0, 11.4),), {}),
    "F6": Counterpart("strategy", ("strategy",), (("none", *ablations.CURRICULA),), {"ramp": ablations.WITH_RAMP}),
    "F7": Counterpart("temperature", ("temperature",), ((4, 5, 8, 10, 12, 15, 18, 20),), {"loss": "l1"}),
    "F8": Counterpart("start", ("start",), ((2.0, 2.2, 2.5, 2.8),), {}),
}


def counterpart(figure: str, runs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The runs of ours that vary the same settings as a figure. runs: a table of runs by name of the study."""
    like = COUNTERPARTS[figure]
    chosen = runs[like.study]
    for axis, places in zip(like.axes, like.places, strict=True):
        chosen = pd.concat([ablations.at(chosen, axis, place) for place in places])
    for axis, place in like.fixed.items():
        chosen = ablations.at(chosen, axis, place)
    return chosen


def ranges(measure: str, runs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a figure: the range of a measure over its settings, largest minus smallest, published and ours.

    settings: number of settings.
    published: the published range, one run a setting as far as is said.
    luck, limit: expectation and 95 % quantile of the range of as many settings without any effect, a run each, from
        the spread of our seeds. repeats limit: the same quantile from the published repeats of F10.
    ours, n: our range of means over n seeds. our luck, our limit: as above, of means over n seeds.
    chance: probability of our range, or a larger one, without any effect.
    """
    repeats, rows = published.repeated(measure), {}
    for figure, like in COUNTERPARTS.items():
        chosen = counterpart(figure, runs)
        means = ablations.responses(chosen, measure, like.axes)
        own, settings, n = ablations.spread(chosen, measure, like.axes), len(means), min(map(int, means["n"]))
        single, ours, extent = luck(own, settings), luck(own, settings, n), _extent(means["mean"].to_numpy())
        rows[figure] = {
            "settings": settings, "published": _published(figure, measure), "luck": single.expected,
            "limit": single.limit, "repeats limit": _limit(repeats, settings), "ours": extent, "n": n,
            "our luck": ours.expected, "our limit": ours.limit, "chance": chance(extent, own, settings, n),
        }  # fmt: skip
    return pd.DataFrame(rows).T


def _limit(spread: Spread, settings: int) -> float:
    return luck(spread, settings).limit


def _published(figure: str, measure: str) -> float:
    if figure in published.MAPS:
        return _extent(published.heat_map(figure, measure).to_numpy())
    return _extent(published.curve(figure)[measure].to_numpy())


def _extent(values: np.ndarray) -> float:
    return float(np.ptp(values))
