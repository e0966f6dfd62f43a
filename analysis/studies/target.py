"""Verdicts on C1: is the student worse, and less steady, where the generator's target ignores it?

All checks are statistical. The *unit* is a seed: the same seed runs with the term that holds the student, and without
it. A gain is the number with the term minus the number without it.

Several methods have such a term. The claim is *shown* if each of them gains, each at level 0.05. It is *refuted* if
some method loses, at level 0.05 after Holm's correction over the methods. Otherwise it is undecided.
"""

import numpy as np
import pandas as pd

from analysis.checks import Check, check
from analysis.checks.hypotheses import LEVEL, sign_flips
from analysis.studies.comparison import NOISE, decided, units

FOLLOWS, IGNORES = "follows the student", "ignores the student"
WHOLE, WITHOUT = "whole", "no student in the target"
MEASURES = {"last": ("accuracy", 1), "deviation": ("steadiness", -1)}
"""by column of `analysis.studies.curves.steadiness`: a number of a run that decides, for people, and 1 where more is
better, -1 where less is better"""


def of_rivals(target: pd.DataFrame, column: str) -> pd.DataFrame:
    """What each method gains by the student in its target, by seed (rows) and method (columns).

    target: the runs of the study `target`. Raises as `units`.
    """
    values = units(target, column, by=("method", "target"))
    return values.xs(FOLLOWS, axis=1, level="target") - values.xs(IGNORES, axis=1, level="target")


def of_parts(parts: pd.DataFrame, column: str) -> pd.DataFrame:
    """What CuDFKD gains by each of its parts, by seed (rows) and left-out part (columns): whole - without the part.

    parts: the runs of the study `parts`. Raises as `units`.
    """
    values = units(parts, column, by=("part",))
    return values.drop(columns=WHOLE).rsub(values[WHOLE], axis=0)


def needed(target: pd.DataFrame, parts: pd.DataFrame, comparison: pd.DataFrame) -> list[Check]:
    """C1: all checks of the claim, for the rivals and for CuDFKD, each for accuracy and for steadiness.

    target, parts, comparison: of the studies of these names, as `curves.steadiness` has them. Raises as `units`.
    """
    checks = []
    for column, (name, sign) in MEASURES.items():
        checks.append(rivals_need_it(of_rivals(target, column), comparison, column, name, sign))
        checks.append(ours_needs_it(parts, column, name, sign))
    return checks


def rivals_need_it(gains: pd.DataFrame, comparison: pd.DataFrame, column: str, name: str, sign: int = 1) -> Check:
    """C1: each method gains by the student in its target.

    The control: noise, which has no target, later seeds against earlier seeds.

    Arguments:
        gains: as `of_rivals` returns them.
        comparison: the runs of the study `comparison`, for the control.
        column, name: the number, for the runs and for people.
        sign: 1 where more is better, -1 where less is better.
    """
    control = _against_itself(units(comparison, column), NOISE)
    return _gains(gains, f"rivals: {name}", ("noise, which has no target, other seeds", control), sign)


def ours_needs_it(parts: pd.DataFrame, column: str, name: str, sign: int = 1) -> Check:
    """C1: CuDFKD gains by the student in its target. The control: the whole against itself, later seeds.

    Arguments:
        parts: the runs of the study `parts`.
        column, name, sign: as in `rivals_need_it`.
    """
    control = _against_itself(units(parts, column, by=("part",)), WHOLE)
    gains = of_parts(parts, column).filter([WITHOUT])
    return _gains(gains, f"CuDFKD: {name}", ("the whole against itself, other seeds", control), sign)


def _gains(gains: pd.DataFrame, name: str, control: tuple[str, np.ndarray], sign: int) -> Check:
    """The violations are how far the p-values of "no gain" lie above 0.05."""
    decisions = decided(gains, sign)
    against, differences = control
    return check(f"{name} needs the student in the target", "better with the student in the target than without",
                 "study", (decisions["ahead"] - LEVEL).to_numpy(),
                 (against, [sign_flips(sign * differences, "greater") - LEVEL]), tolerance=0.0, exact=False,
                 claims=("C1",), refuted=bool((decisions["behind"] < LEVEL).any()))  # fmt: skip


def _against_itself(values: pd.DataFrame, place: str) -> np.ndarray:
    """Later seeds minus earlier seeds of the runs at a place: differences without an effect."""
    array, half = values[place].to_numpy(dtype=np.float64), len(values) // 2
    return array[half : 2 * half] - array[:half]
