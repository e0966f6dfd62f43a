"""The matrix of theorems and regularizers: 150 cells, each with exact checks on random problems.

A cell has one of three verdicts:

    holds     the theorem holds
    changed   the theorem holds with another hypothesis, and a witness shows that the printed statement fails
    fails     the theorem fails: the check of the cell must find a violation

`EXPECTED` lists the expected verdicts; `Matrix.agrees` compares them with the checks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from math import inf

import numpy as np
import pandas as pd
import torch

from analysis.checks import Check, merge, validate
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
    theorems,
    toward_plain,
    tracking,
    tracking_in_mean,
)
from analysis.theory.toys.problems import Problem, logistic, ridge
from cudfkd.regularizers import ALL, Regularizer

Column = Callable[[Regularizer, int], Iterable[Check]]  # (regularizer, seed) -> the checks of one problem

SELECTED = "grad Phi is the selected supergradient mean v_i grad l_i; at l = lambda it can vanish where Phi falls"
NO_PRIOR = "F is straight on an interval and not beyond: no prior of the weights makes MM an EM; the robust form holds"
EXPECTED: dict[tuple[str, str], tuple[str, str]] = {
    ("T1", "hard"): ("changed", "at the kink l = lambda F has no slope: Q touches along a supergradient"),
    ("T3", "hard"): ("changed", SELECTED),
    ("T4", "hard"): ("changed", SELECTED + "; its limit points are Clarke critical, as for all"),
    ("T5", "jiang-log"): ("fails", "v* is not monotone in lambda, so the objective can fall as lambda grows"),
    ("T5'", "jiang-log"): ("fails", "v* tends to 0, not to 1, at the upper end of lambda"),
    ("T6", "cauchy"): ("changed", "F is unbounded: the bound by total variation is void, the others hold"),
    ("T6", "l1-l2"): ("changed", "F is unbounded: the bound by total variation is void, the others hold"),
    ("T6", "huber"): ("changed", "F is unbounded: the bound by total variation is void, the others hold"),
    ("T7", "hard"): ("changed", SELECTED),
    ("T8", "hard"): ("changed", SELECTED),
    ("T9", "jiang-log"): ("fails", "v* is not TP2 where l + 1 - lambda < 1/e"),
    ("T10", "hard"): ("changed", SELECTED),
    **{
        ("T12", name): ("fails", NO_PRIOR) for name in ("hard", "linear", "polynomial", "mixture", "jiang-log", "huber")
    },
    ("T14", "jiang-log"): ("changed", "v* tends to 0 at the upper end of lambda, so the price grows there"),
}
HOLDS = {
    "T5": "with a bound M on the losses of the path",
    "T9": "once some sample has weight",
}


@dataclass(frozen=True)
class Cell:
    """One theorem for one regularizer.

    theorem: the name of the theorem.
    regularizer: the name of the regularizer.
    verdict: "holds", "changed" or "fails".
    reason: the reason of the verdict.
    check: the checks of all problems, merged.
    original: for "changed", the violation of the unchanged statement in its witness (inf: void); else None.
    """

    theorem: str
    regularizer: str
    verdict: str
    reason: str
    check: Check
    original: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether the check confirms the verdict.

        For "fails" the check must fail. Otherwise it must pass with a failing control; for "changed" the unchanged
        statement must be violated, too.
        """
        if self.verdict == "fails":
            return self.check.verdict == "fails"
        return self.check.passed and (self.verdict != "changed" or (self.original or 0.0) > self.check.tolerance)

    def to_dict(self) -> dict:
        """Plain data for result.json."""
        original = str(self.original) if self.original == inf else self.original
        return {"theorem": self.theorem, "regularizer": self.regularizer, "verdict": self.verdict,
                "reason": self.reason, "original": original, "agrees": self.agrees,
                "check": self.check.to_dict()}  # fmt: skip


@dataclass(frozen=True)
class Matrix:
    """All cells.

    cells: one cell per theorem and regularizer.
    problems: the number of random problems behind each check.
    """

    cells: tuple[Cell, ...]
    problems: int

    @property
    def agrees(self) -> bool:
        """Whether every cell agrees with its expected verdict."""
        return all(entry.agrees for entry in self.cells)

    @property
    def worst(self) -> float:
        """The largest violation over the cells that hold or are changed."""
        return max(entry.check.worst_violation for entry in self.cells if entry.verdict != "fails")

    def by_theorem(self) -> tuple[Check, ...]:
        """One check per theorem for a scorecard: the worst over the regularizers for which it holds, changed or not."""
        merged = []
        for name in COLUMNS:
            check = merge(entry.check for entry in self.cells if entry.theorem == name and entry.verdict != "fails")
            merged.append(replace(check, name=f"{name}, every regularizer for which it holds"))
        return tuple(merged)

    def table(self) -> pd.DataFrame:
        """The verdicts: one row per regularizer, one column per theorem."""
        return self._pivot("verdict")

    def violations(self) -> pd.DataFrame:
        """The worst violations; at most 1e-10 where a cell holds. Rows and columns as in `table`."""
        rows = [{"regularizer": entry.regularizer, "theorem": entry.theorem, "worst": entry.check.worst_violation}
                for entry in self.cells]  # fmt: skip
        return self._ordered(pd.DataFrame(rows), "worst")

    def reasons(self) -> pd.DataFrame:
        """The cells that are changed or fail: verdict, reason, violations of the check and the unchanged statement."""
        rows = [{"theorem": entry.theorem, "regularizer": entry.regularizer, "verdict": entry.verdict,
                 "reason": entry.reason, "worst violation": entry.check.worst_violation,
                 "unchanged statement": entry.original}
                for entry in self.cells if entry.verdict != "holds"]  # fmt: skip
        return pd.DataFrame(rows).set_index(["theorem", "regularizer"])

    def _pivot(self, field: str) -> pd.DataFrame:
        rows = [
            {"regularizer": entry.regularizer, "theorem": entry.theorem, field: getattr(entry, field)}
            for entry in self.cells
        ]
        return self._ordered(pd.DataFrame(rows), field)

    def _ordered(self, rows: pd.DataFrame, field: str) -> pd.DataFrame:
        table = rows.pivot(index="regularizer", columns="theorem", values=field)
        return table.loc[list(dict.fromkeys(rows["regularizer"])), list(dict.fromkeys(rows["theorem"]))]


@cache
def evaluate(problems: int = 8, seed: int = 0) -> Matrix:
    """Every theorem for every regularizer on `problems` random problems, ridge and logistic in turn.

    Raises:
        ConfigError: problems < 1.
    """
    return Matrix(tuple(cell(name, kind.name, problems, seed) for kind in ALL for name in COLUMNS), problems)


def cell(theorem: str, reg: str, problems: int = 8, seed: int = 0) -> Cell:
    """One theorem for one regularizer.

    Raises:
        ConfigError: an unknown theorem or regularizer, problems < 1.
    """
    theorems.known(theorem)
    kind = validate.known(reg)
    checks = [check for k in range(validate.count("problems", problems)) for check in COLUMNS[theorem](kind, seed + k)]
    verdict, reason = EXPECTED.get((theorem, kind.name), ("holds", HOLDS.get(theorem, "")))
    original = _original(theorem, kind) if verdict == "changed" else None
    return Cell(theorem, kind.name, verdict, reason, merge(checks), original)


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
    yield estimators.laplace(reg, pace(reg) * (1 + seed / 10))
    if estimators.prior(reg, pace(reg)):
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


def _original(theorem: str, reg: Regularizer) -> float:
    """The violation of the unchanged statement in a witness at lambda = 1.

    T1: the difference of the slopes of F on the two sides of the kink.
    T6: F(infinity), which is infinite.
    T14: by how much jiang-log's factor M / F(M) exceeds 1 near the end of lambda's domain.
    T3, T4, T7, T8, T10: the descent that is missed where the selected gradient is 0.
    """
    kink = torch.tensor([1.0], dtype=torch.float64)
    if theorem == "T1":
        return float((reg.weight(kink - 1e-12, 1.0) - reg.weight(kink + 1e-12, 1.0)).abs())
    if theorem == "T6":
        return inf
    if theorem == "T14":
        return bias.factor(reg, 0.999, 1.0) - 1
    return float(reg.latent(kink, 1.0) - reg.latent(kink - 1e-3, 1.0))
