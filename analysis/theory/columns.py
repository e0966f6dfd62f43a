"""The checks behind each theorem of the matrix, for one regularizer on one random problem."""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from analysis.checks import Check
from analysis.theory import (
    bias,
    curriculum_axioms,
    drift,
    equivalence,
    estimators,
    growth,
    linear_rate,
    majorization,
    minibatch,
    momentum,
    rates,
    toward_plain,
    tracking,
    tracking_in_mean,
)
from analysis.theory.toys.problems import Problem, logistic, ridge
from cudfkd.regularizers import Regularizer

Column = Callable[[Regularizer, int], Iterable[Check]]  # (regularizer, seed) -> the checks of one problem


def problem(seed: int) -> Problem:
    """The random problem of a seed: ridge with outliers for even seeds, logistic with flipped labels for odd seeds."""
    return ridge(seed, n=30, d=3) if seed % 2 == 0 else logistic(seed, n=30, d=3)


def pace(reg: Regularizer) -> float:
    """The lambda at which fixed-lambda statements are checked: 1.5, or 0.7 for jiang-log."""
    return 1.5 if reg.lam_below > 1.5 else 0.7


def paces(reg: Regularizer) -> list[float]:
    """The lambdas along which growth is checked: 0.5 to 3, or 0.2 to 0.98 for jiang-log."""
    return np.linspace(0.5, 3.0, 9).tolist() if reg.lam_below > 3 else np.linspace(0.2, 0.98, 9).tolist()


def _t1(reg: Regularizer, seed: int) -> Iterable[Check]:
    toy = problem(seed)
    yield majorization.above(toy, reg, pace(reg), seed, points=60)
    yield majorization.touches(toy, reg, pace(reg), seed, points=4)
    yield majorization.search_losses(reg, seed, rounds=10)


def _t2(reg: Regularizer, seed: int) -> Iterable[Check]:
    toy = problem(seed)
    yield majorization.balances(toy, reg, pace(reg), seed, pairs=6)
    yield majorization.sandwich(toy, reg, pace(reg), seed, points=40)
    yield majorization.bregman(toy, reg, pace(reg), seed, points=40)


def _t3(reg: Regularizer, seed: int) -> Iterable[Check]:
    yield rates.step_bound(problem(seed), reg, pace(reg), seed, trials=2)


def _t4(reg: Regularizer, seed: int) -> Iterable[Check]:
    toy = problem(seed)
    yield rates.rate(toy, reg, pace(reg), steps=15)
    yield rates.armijo_steps(toy, reg, pace(reg), steps=5)
    yield rates.exact_step(toy, reg, pace(reg), steps=5)


def _t5(reg: Regularizer, seed: int) -> Iterable[Check]:
    toy = problem(seed)
    yield growth.grows(toy, reg, paces(reg))
    yield growth.within_budget(toy, reg, paces(reg))
    yield growth.rate(toy, reg, paces(reg))


def _t5_limit(reg: Regularizer, seed: int) -> Iterable[Check]:
    toy = problem(seed)
    yield toward_plain.bounded(toy, reg, paces(reg)[::4], seed, trials=2)
    yield toward_plain.reached(toy, reg, seed, trials=2)


def _t6(reg: Regularizer, seed: int) -> Iterable[Check]:
    yield drift.bounded(reg, pace(reg), seed, n=30, trials=4)
    yield drift.transported(reg, pace(reg), seed, n=16, trials=2)
    if not torch.isinf(reg.latent_limit(pace(reg))):
        yield drift.mass_moved(reg, pace(reg), seed, n=30, trials=4)


def _t7(reg: Regularizer, seed: int) -> Iterable[Check]:
    toy = problem(seed)
    yield minibatch.expected(toy, reg, pace(reg), seed, batch=2)
    median = float(toy.losses(toy.start).median())  # at this lambda the weights of the samples differ, also for hard
    yield minibatch.unbiased(toy, reg, min(median, pace(reg)))


def _t8(reg: Regularizer, seed: int) -> Iterable[Check]:
    toy = problem(seed)
    yield momentum.energy(toy, reg, pace(reg), count=20)
    yield momentum.gradients(toy, reg, pace(reg), count=20)


def _t9(reg: Regularizer, seed: int) -> Iterable[Check]:
    yield curriculum_axioms.activity_grows(reg, 1, seed)
    yield curriculum_axioms.gets_harder(reg, 1, seed)
    yield curriculum_axioms.approaches_prior(reg, 1, seed)
    yield curriculum_axioms.entropy_grows(reg, 1, seed)


def _t10(reg: Regularizer, seed: int) -> Iterable[Check]:
    yield tracking.tracked(problem(seed), reg, paces(reg)[::2], seed)
    yield tracking_in_mean.expected(reg, paces(reg)[::3], seed)


def _t11(reg: Regularizer, seed: int) -> Iterable[Check]:
    yield linear_rate.linear(reg, pace(reg), seed, steps=5)
    yield linear_rate.in_sight(reg, pace(reg), seed, steps=5)
    yield linear_rate.batched(reg, pace(reg), seed, trials=1)


def _t12(reg: Regularizer, seed: int) -> Iterable[Check]:
    yield estimators.robust(reg, pace(reg), seed)
    if estimators.prior(reg, pace(reg)):
        yield estimators.laplace(reg, pace(reg) * (1 + seed / 10))
        yield estimators.is_em(reg, pace(reg) * (1 + seed / 10))


def _t13(reg: Regularizer, seed: int) -> Iterable[Check]:
    yield equivalence.equivalent(reg, 2, seed)
    yield equivalence.extremal(reg, 1, seed)


def _t14(reg: Regularizer, seed: int) -> Iterable[Check]:
    yield bias.priced(reg, pace(reg), seed, problems=1)
    if reg.name != "jiang-log":
        yield bias.vanishes(reg)


COLUMNS: dict[str, Column] = {
    "T1": _t1, "T2": _t2, "T3": _t3, "T4": _t4, "T5": _t5, "T5'": _t5_limit, "T6": _t6, "T7": _t7, "T8": _t8, "T9": _t9,
    "T10": _t10, "T11": _t11, "T12": _t12, "T13": _t13, "T14": _t14,
}  # fmt: skip
