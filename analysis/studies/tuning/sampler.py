"""Optuna's sampler and pruner, each asked with the trials so far: nothing is kept from one question to the next."""

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.studies.study import Case
from analysis.studies.tuning import spaces
from analysis.studies.tuning.plan import Plan
from analysis.studies.tuning.trials import Trial
from cudfkd.base.validation import digest


def propose(method: str, past: Sequence[Trial], plan: Plan) -> Case:
    """The next trial of a method's search, which its earlier trials fix. No settings come twice.

    The sampler's seed is of the method and of the trial's number. A trial that stopped itself counts as the worst.
    """
    if not past:
        return plan.case(method, 0, "search", {"options": {}})
    space, taken = spaces.space(method, plan.steps_per_epoch), {digest(trial.case.case) for trial in past}
    distributions = {name: _distribution(kind) for name, kind in space.items()}
    told = [_told(trial, distributions) for trial in past]
    for attempt in count():  # ends: every space holds a range
        seed = int(digest([method, len(past), attempt]), 16) % 2**32
        sampler = TPESampler(n_startup_trials=plan.random_trials, multivariate=True, seed=seed)
        drawn = _study(told, sampler).ask(distributions).params
        values = {name: _rounded(space[name], value) for name, value in drawn.items()}
        case = plan.case(method, len(past), "search", spaces.settings(values))
        if case.key not in taken:
            return case
    raise AssertionError


def hopeless(rivals: Iterable[Sequence[float]], accuracies: Sequence[float], plan: Plan) -> bool:
    """Whether a trial is pruned: its best accuracy so far is below the median of its rivals' at the same epoch.

    Arguments:
        rivals: accuracies after each epoch, of each earlier trial of the method that is complete; fractions.
        accuracies: accuracies of the trial after each epoch so far, fractions.
        plan: the plan, which says from when on trials are pruned.
    """
    pruner = MedianPruner(n_startup_trials=plan.unpruned_trials, n_warmup_steps=plan.unpruned_epochs + 1)
    told = [create_trial(value=rival[-1], intermediate_values=_by_epoch(rival)) for rival in rivals]
    asked = create_trial(state=TrialState.RUNNING, intermediate_values=_by_epoch(accuracies))
    return pruner.prune(_study(told), asked)


def _study(trials: Iterable[FrozenTrial], sampler: TPESampler | None = None) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(trials)
    return study


def _told(trial: Trial, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    """A trial as Optuna has it. Optuna ranks pruned trials below complete trials, and lowest without accuracies."""
    described: dict[str, Any] = {"params": trial.values, "distributions": distributions}
    if trial.complete:
        described |= {"value": trial.accuracies[-1]}
    else:
        described |= {"state": TrialState.PRUNED}
    if trial.entry.stopped is None:
        described |= {"intermediate_values": _by_epoch(trial.accuracies)}
    return create_trial(**described)


def _by_epoch(accuracies: Sequence[float]) -> dict[int, float]:
    return dict(enumerate(accuracies, start=1))


def _distribution(kind: spaces.Range | spaces.Choice) -> BaseDistribution:
    if isinstance(kind, spaces.Range):
        return FloatDistribution(kind.low, kind.high, log=True)
    return CategoricalDistribution(kind.values)


def _rounded(kind: spaces.Range | spaces.Choice, value: Any) -> spaces.Value:
    return kind.rounded(value) if isinstance(kind, spaces.Range) else value
