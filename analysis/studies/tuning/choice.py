"""The choice of the search: the finalists of a method, the best finalist, and the winner by the rule."""

from collections.abc import Mapping
from math import nan, sqrt
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from analysis.studies.records import StudyRecord
from analysis.studies.tuning.plan import PLAN, Plan
from analysis.studies.tuning.trials import scores, searched
from cudfkd import methods

DEFAULTS = 0  # the number of the first trial


def finalists(record: StudyRecord, method: str, plan: Plan = PLAN) -> list[int]:
    """Numbers of the best complete trials of a method, best first; of equal trials the earlier trial comes first.

    The list is empty while the method's search goes on, and where no trial came to its end.
    """
    trials = searched(record, method, plan)
    if len(trials) < plan.trials:
        return []
    ranked = sorted((trial for trial in trials if trial.complete), key=lambda trial: -trial.entry.numbers["accuracy"])
    return [trial.number for trial in ranked[: plan.finalists]]


def best_finalist(record: StudyRecord, method: str, plan: Plan = PLAN) -> int | None:
    """The number of the finalist with the highest mean accuracy over its seeds; None while runs are lacking.

    Without any finalist, the defaults are the best.
    """
    if len(searched(record, method, plan)) < plan.trials:
        return None
    reached = scores(record, method, "finalists", plan)
    numbers = finalists(record, method, plan)
    if any(len(reached.get(number, {})) < len(plan.finalist_seeds) for number in numbers):
        return None
    return max(numbers, key=lambda number: fmean(reached[number].values()), default=DEFAULTS)


def winner(record: StudyRecord, method: str, plan: Plan = PLAN) -> int | None:
    """The number of the trial whose settings a method gets, 0 for its defaults; None while runs are lacking.

    The best finalist wins if `confirmed` says so; otherwise the defaults stay.
    """
    best = best_finalist(record, method, plan)
    if best in (None, DEFAULTS):
        return best
    fresh = scores(record, method, "confirmation", plan)
    pair = fresh.get(best, {}), fresh.get(DEFAULTS, {})
    if any(len(scored) < len(plan.confirmation_seeds) for scored in pair):
        return None
    return best if confirmed(*pair) else DEFAULTS


def confirmed(best: Mapping[int, float], defaults: Mapping[int, float]) -> bool:
    """Whether the mean of the paired differences, best - defaults, is positive by more than its standard error.

    Arguments:
        best: accuracies of the best finalist by seed, fractions.
        defaults: accuracies of the method's defaults by the same seeds, fractions.
    """
    mean, error = _difference(best, defaults)
    return mean > error


def complete(record: StudyRecord, plan: Plan = PLAN) -> list[str]:
    """The methods with a complete search."""
    return [method for method in methods.names() if winner(record, method, plan) is not None]


def choose(record: StudyRecord, plan: Plan = PLAN) -> dict[str, dict[str, Any]]:
    """The settings of each method with a complete search: {"lr": ..., "round_steps": ..., "options": {...}}.

    A method that keeps its defaults has {"options": {}}.
    """
    won = {method: winner(record, method, plan) for method in methods.names()}
    return {
        method: searched(record, method, plan)[number].settings
        for method, number in won.items() if number is not None
    }  # fmt: skip


def decisions(record: StudyRecord, plan: Plan = PLAN) -> pd.DataFrame:
    """A row a method with a complete search. Accuracies are fractions on dev.

    method: the method.
    searched: highest accuracy of its short trials.
    finalist: number of the best finalist, 0 for the defaults.
    difference: mean of the paired differences in the confirmation, best finalist - defaults; NaN without one.
    error: standard error of that mean.
    winner: number of the trial whose settings the method gets, 0 for its defaults.
    """
    rows = []
    for method in complete(record, plan):
        best, fresh = best_finalist(record, method, plan), scores(record, method, "confirmation", plan)
        reached = [trial.entry.numbers["accuracy"] for trial in searched(record, method, plan) if trial.complete]
        mean, error = (nan, nan) if best in (None, DEFAULTS) else _difference(fresh[best], fresh[DEFAULTS])
        rows.append(
            {
                "method": method,
                "searched": max(reached, default=nan),
                "finalist": best,
                "difference": mean,
                "error": error,
                "winner": winner(record, method, plan),
            }
        )
    return pd.DataFrame(rows, columns=["method", "searched", "finalist", "difference", "error", "winner"])


def _difference(best: Mapping[int, float], defaults: Mapping[int, float]) -> tuple[float, float]:
    """The mean of the differences, paired by seed, and its standard error."""
    differences = [best[seed] - defaults[seed] for seed in best]
    return fmean(differences), stdev(differences) / sqrt(len(differences))
