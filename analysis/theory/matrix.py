"""Which theorem holds for which regularizer: a hundred cells, each backed by exact checks on random problems.

A cell says "holds", "changed" (it holds with another hypothesis, and the printed one is shown to fail) or "fails" (its
check must find a violation). `EXPECTED` says what is expected; `Matrix.agrees` compares it with the checks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from math import inf

import numpy as np
import pandas as pd
import torch

from analysis.checks import Check, merge, validate
from analysis.theory import curriculum_axioms, drift, growth, majorization, minibatch, momentum, rates, theorems
from analysis.theory.toys.problems import Problem, logistic, ridge
from cudfkd.regularizers import ALL, Regularizer

Column = Callable[[Regularizer, int], Iterable[Check]]  # a regularizer and a seed in, checks of one problem out

SELECTED = "grad Phi is the selected supergradient mean v_i grad l_i; at l = lambda it can vanish where Phi falls"
EXPECTED: dict[tuple[str, str], tuple[str, str]] = {
    ("T1", "hard"): ("changed", "at the kink l = lambda F has no slope: Q touches along a supergradient"),
    ("T2", "hard"): ("changed", "F' jumps at lambda, so no parabola bounds D; D <= |dl| does"),
    ("T2", "polynomial"): ("changed", "F'' is unbounded for t > 2, so no parabola bounds D; D <= |dl| does"),
    ("T3", "hard"): ("changed", SELECTED),
    ("T4", "hard"): ("changed", SELECTED + "; limit points need not be critical"),
    ("T5", "jiang-log"): ("fails", "v* is not monotone in lambda, so the objective can fall as lambda grows"),
    ("T5'", "jiang-log"): ("fails", "v* tends to 0, not to 1, at the upper end of lambda"),
    ("T6", "cauchy"): ("changed", "F is unbounded: the bound by total variation is void, the others hold"),
    ("T6", "l1-l2"): ("changed", "F is unbounded: the bound by total variation is void, the others hold"),
    ("T6", "huber"): ("changed", "F is unbounded: the bound by total variation is void, the others hold"),
    ("T7", "hard"): ("changed", SELECTED),
    ("T8", "hard"): ("changed", SELECTED),
    ("T9", "jiang-log"): ("fails", "ln v* has no increasing differences where l + 1 - lambda < 1/e"),
}
HOLDS = {
    "T5": "with a bound M on the losses of the path",
    "T9": "once some sample has weight",
}


@dataclass(frozen=True)
class Cell:
    """verdict: "holds", "changed" or "fails", with its reason. check: over all problems.

    original: by how much the unchanged statement fails in its witness, for "changed" (inf: it is void); else None.
    """

    theorem: str
    regularizer: str
    verdict: str
    reason: str
    check: Check
    original: float | None = None

    @property
    def agrees(self) -> bool:
        """The check says what the verdict says, its control fails, and a changed statement was in need of change."""
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
    """cells: one per theorem and regularizer. problems: how many random problems each check saw."""

    cells: tuple[Cell, ...]
    problems: int

    @property
    def agrees(self) -> bool:
        """Every cell's check says what is expected."""
        return all(cell.agrees for cell in self.cells)

    @property
    def worst(self) -> float:
        """The largest violation in a cell that holds, changed ones included."""
        return max(cell.check.worst_violation for cell in self.cells if cell.verdict != "fails")

    def by_theorem(self) -> tuple[Check, ...]:
        """One check a theorem: the worst over the regularizers for which it holds, changed or not; for a scorecard."""
        found = []
        for name in COLUMNS:
            one = merge(cell.check for cell in self.cells if cell.theorem == name and cell.verdict != "fails")
            found.append(replace(one, name=f"{name}, every regularizer for which it holds"))
        return tuple(found)

    def table(self) -> pd.DataFrame:
        """Verdicts: a row a regularizer, a column a theorem."""
        return self._pivot("verdict")

    def violations(self) -> pd.DataFrame:
        """Worst violations; where a cell holds, at most 1e-10."""
        rows = [{"regularizer": cell.regularizer, "theorem": cell.theorem, "worst": cell.check.worst_violation}
                for cell in self.cells]  # fmt: skip
        return self._ordered(pd.DataFrame(rows), "worst")

    def reasons(self) -> pd.DataFrame:
        """The cells that do not simply hold: verdict, reason, violation of the check and of the unchanged statement."""
        rows = [{"theorem": cell.theorem, "regularizer": cell.regularizer, "verdict": cell.verdict,
                 "reason": cell.reason, "worst violation": cell.check.worst_violation,
                 "unchanged statement": cell.original}
                for cell in self.cells if cell.verdict != "holds"]  # fmt: skip
        return pd.DataFrame(rows).set_index(["theorem", "regularizer"])

    def _pivot(self, field: str) -> pd.DataFrame:
        rows = [
            {"regularizer": cell.regularizer, "theorem": cell.theorem, field: getattr(cell, field)}
            for cell in self.cells
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
    known = validate.known(reg)
    found = [one for k in range(validate.count("problems", problems)) for one in COLUMNS[theorem](known, seed + k)]
    verdict, reason = EXPECTED.get((theorem, known.name), ("holds", HOLDS.get(theorem, "")))
    original = _original(theorem, known) if verdict == "changed" else None
    return Cell(theorem, known.name, verdict, reason, merge(found), original)


def problem(seed: int) -> Problem:
    """The random problem of that seed: ridge with outliers for even ones, logistic with flipped labels for odd ones."""
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
    yield rates.rate(problem(seed), reg, pace(reg), steps=15)


def _t5(reg: Regularizer, seed: int) -> Iterable[Check]:
    toy = problem(seed)
    yield growth.grows(toy, reg, paces(reg))
    yield growth.within_budget(toy, reg, paces(reg))
    yield growth.rate(toy, reg, paces(reg))


def _t5_limit(reg: Regularizer, seed: int) -> Iterable[Check]:
    toy = problem(seed)
    yield growth.limit(toy, reg, paces(reg)[::4], seed, trials=2)
    yield growth.plain_limit(toy, reg, seed, trials=2)


def _t6(reg: Regularizer, seed: int) -> Iterable[Check]:
    yield drift.bounded(reg, pace(reg), seed, n=30, trials=4)
    yield drift.transported(reg, pace(reg), seed, n=16, trials=2)
    if not torch.isinf(reg.latent_limit(pace(reg))):
        yield drift.mass_moved(reg, pace(reg), seed, n=30, trials=4)


def _t7(reg: Regularizer, seed: int) -> Iterable[Check]:
    toy = problem(seed)
    yield minibatch.expected(toy, reg, pace(reg), seed, batch=2)
    median = float(toy.losses(toy.start).median())  # there the weights differ from sample to sample, also hard's
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


COLUMNS: dict[str, Column] = {
    "T1": _t1, "T2": _t2, "T3": _t3, "T4": _t4, "T5": _t5, "T5'": _t5_limit, "T6": _t6, "T7": _t7, "T8": _t8, "T9": _t9
}  # fmt: skip


def _original(theorem: str, reg: Regularizer) -> float:
    """By how much the unchanged statement fails in a witness at lambda = 1.

    T1: the slopes of F on the two sides of the kink differ. T2: D beside the parabola of sup|F''| = 100 / lambda, for a
    small step across l = lambda. T6: F(infinity). Else: the descent that is missed where the selected gradient is 0.
    """
    at = torch.tensor([1.0], dtype=torch.float64)
    if theorem == "T1":
        return float((reg.weight(at - 1e-12, 1.0) - reg.weight(at + 1e-12, 1.0)).abs())
    if theorem == "T2":
        here, there = at - 1e-6, at + 1e-6
        bregman = reg.latent(here, 1.0) + reg.weight(here, 1.0) * (there - here) - reg.latent(there, 1.0)
        return float(bregman - 50 * (there - here).square())
    if theorem == "T6":
        return inf
    return float(reg.latent(at, 1.0) - reg.latent(at - 1e-3, 1.0))
