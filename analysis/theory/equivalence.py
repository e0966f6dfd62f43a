"""T13: T9's condition is necessary, too, and one bound by the activity holds for every divergence.

Take a weight v(l; lambda) in [0, 1] that does not grow with l. Then the following two statements say the same:

    v(l_2; lambda) v(l_1; lambda') <= v(l_1; lambda) v(l_2; lambda')    for all l_1 < l_2, lambda < lambda'  (TP2)
    div_f(Pi_lambda' || P) <= div_f(Pi_lambda || P)                   for all convex f, all P, all lambda < lambda'

Two samples and a single strictly convex f show that TP2 is necessary. The bound by the activity needs 0 <= v <= 1 only:

    div_f(Pi || P) <= alpha f(1 / alpha) + (1 - alpha) f(0),       attained by weights that are 0 or 1
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from analysis.checks import Check, check, validate
from analysis.theory import bounds
from analysis.theory.distribution import DIVERGENCES, Curriculum, curriculum, random_problem
from analysis.theory.toys.controls import StepWeight
from cudfkd.regularizers import Hard, Regularizer

STRICT = ("KL", "chi2", "Hellinger", "Jensen-Shannon", "cubic")  # strictly convex; TV and "kinked" have straight parts
PACES = (0.3, 1.0, 3.0, 10.0)
PACES_BELOW_ONE = (0.1, 0.4, 0.7, 0.99)  # for jiang-log


class Pair(NamedTuple):
    """Two samples at two paces.

    easy, hard: the weights of the sample with the smaller and the larger loss, at the smaller pace.
    easy_late, hard_late: the same at the larger pace.
    share: the probability of the hard sample.
    """

    easy: float
    hard: float
    easy_late: float
    hard_late: float
    share: float


def tp2(pair: Pair) -> float:
    """The 2 x 2 determinant v(l_1; lambda) v(l_2; lambda') - v(l_2; lambda) v(l_1; lambda'): >= 0 where
    TP2 holds."""
    return pair.easy * pair.hard_late - pair.hard * pair.easy_late


def rise(pair: Pair, divergence: str) -> float:
    """div_f(Pi_lambda' || P) - div_f(Pi_lambda || P)."""
    phi, prior = DIVERGENCES[divergence], torch.tensor([1 - pair.share, pair.share], dtype=torch.float64)
    weights = torch.tensor([pair[:2], pair[2:4]], dtype=torch.float64)
    early, late = (prior * phi(weights / (weights @ prior)[:, None])).sum(1).tolist()
    return late - early


def equivalent(reg: Regularizer | str, problems: int = 8, seed: int = 0) -> Check:
    """T13: for two samples every strictly convex divergence falls where TP2 holds, and rises where it fails.

    The cases are pairs of the regularizer, and as many pairs of random weights. Half of these break TP2. The control
    predicts by the axiom A3, which asks only that weights grow, for a weight in steps.
    """
    cases = [*pairs(reg, problems, seed), *free_pairs(problems, seed)]
    off = [_disagreement(tp2(pair), rise(pair, name)) for pair in cases for name in STRICT]
    return check("TP2 and no less", "div_f falls for every P exactly when v is TP2 in loss and lambda", "T13", off,
                 ("weights that grow, in place of TP2", _by_growth()), claims=("C2", "C4"))  # fmt: skip


def extremal(reg: Regularizer | str, problems: int = 8, seed: int = 0) -> Check:
    """T13: div_f <= alpha f(1 / alpha) + (1 - alpha) f(0) for every divergence, with equality for hard.

    The control takes nine tenths of the bound, for hard.
    """
    lessons, attained = (list(_curricula(validate.known(weight), problems, seed)) for weight in (reg, Hard()))
    excess = [q.divergence(name) - activity_bound(name, q.alpha) for q in lessons for name in DIVERGENCES]
    gaps = [abs(q.divergence(name) - activity_bound(name, q.alpha)) for q in attained for name in DIVERGENCES]
    wrong = [q.divergence(name) - 0.9 * activity_bound(name, q.alpha) for q in attained for name in DIVERGENCES]
    return check("activity bounds every divergence", "div_f <= alpha f(1 / alpha) + (1 - alpha) f(0)", "T13",
                 [*excess, *gaps], ("nine tenths of the bound, for hard", wrong), claims=("C2", "C4"))  # fmt: skip


def activity_bound(divergence: str, alpha: float) -> float:
    """The largest divergence that weights in [0, 1] of mean alpha allow: alpha f(1 / alpha) + (1 - alpha) f(0)."""
    top, bottom = DIVERGENCES[divergence](torch.tensor([1 / alpha, 0.0], dtype=torch.float64)).tolist()
    return bounds.activity(alpha, top, bottom)


def counts(weights: Sequence[Regularizer | str], problems: int = 400, seed: int = 0) -> pd.DataFrame:
    """One row per weight: of how many random pairs TP2 holds, of how many KL falls, and how often the two disagree.

    The last row has random weights. Half of these pairs break TP2.
    """
    names = [validate.known(weight).name for weight in weights] + ["random weights"]
    groups = [list(pairs(weight, problems, seed)) for weight in weights] + [list(free_pairs(problems, seed))]
    rows = [
        {"weight": name, "pairs": len(group), "TP2 holds": sum(tp2(pair) >= 0 for pair in group),
         "KL falls": sum(rise(pair, "KL") <= 1e-15 for pair in group),
         "disagree": sum(_disagreement(tp2(pair), rise(pair, "KL")) > 1e-12 for pair in group)}
        for name, group in zip(names, groups, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("weight")


def moves(reg: Regularizer | str, problems: int = 60, seed: int = 0) -> pd.DataFrame:
    """One row per random pair: the change of the ratio v(hard) / v(easy) and the change of KL, later minus earlier."""
    rows = [{"ratio": pair.hard_late / pair.easy_late - pair.hard / pair.easy, "rise": rise(pair, "KL")}
            for pair in pairs(reg, problems, seed)]  # fmt: skip
    return pd.DataFrame(rows)


def pairs(reg: Regularizer | str, problems: int, seed: int = 0) -> Iterator[Pair]:
    """Pairs of random losses at neighbouring paces; pairs without any weight are left out."""
    reg, rng = validate.known(reg), np.random.default_rng(validate.seed(seed))
    paces = PACES_BELOW_ONE if reg.lam_below <= 1 else PACES
    for _ in range(validate.count("problems", problems)):
        losses, share = torch.from_numpy(np.sort(rng.exponential(2.0, 2))), rng.uniform(0.05, 0.95)
        table = [reg.weight(losses, lam).tolist() for lam in paces]
        for (easy, hard), (easy_late, hard_late) in pairwise(table):
            if easy > 0:
                yield Pair(easy, hard, easy_late, hard_late, share)


def free_pairs(problems: int, seed: int = 0) -> Iterator[Pair]:
    """Random weights of two samples at two paces; the hard sample never weighs more. Half of the pairs break TP2."""
    rng = np.random.default_rng(validate.seed(seed))
    for k in range(validate.count("problems", problems)):
        (easy, late), ratios = rng.uniform(0.05, 1.0, 2), np.sort(rng.uniform(0, 1, 2))
        first, second = ratios[::-1] if k % 2 else ratios
        yield Pair(easy, easy * first, late, late * second, rng.uniform(0.05, 0.95))


@cache
def _by_growth() -> list[float]:
    """The rises of the divergences for a weight in steps, which grows with lambda and is not TP2."""
    return [rise(pair, name) for pair in pairs(StepWeight(), 40, 0) for name in STRICT]


def _disagreement(determinant: float, risen: float) -> float:
    """How far the divergence moves against the prediction by the determinant."""
    return abs(risen) if determinant == 0 else risen * float(np.sign(determinant))


def _curricula(reg: Regularizer, problems: int, seed: int) -> Iterator[Curriculum]:
    paces = PACES_BELOW_ONE if reg.lam_below <= 1 else PACES
    for k in range(validate.count("problems", problems)):
        losses, prior = random_problem(seed + k)
        yield from (curriculum(reg, lam, losses, prior) for lam in paces if bool(reg.weight(losses, lam).any()))
