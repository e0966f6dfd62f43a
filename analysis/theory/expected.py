"""The verdict that each cell of the matrix is expected to have, its reason, and the witness of a changed hypothesis.

A cell that is not named holds as stated.
"""

from math import inf

import torch

from analysis.theory import bias, estimators
from cudfkd.regularizers import Regularizer

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
        ("T12", name): ("changed", NO_PRIOR)
        for name in ("hard", "linear", "polynomial", "mixture", "jiang-log", "huber")
    },
    ("T14", "jiang-log"): ("changed", "v* tends to 0 at the upper end of lambda, so the price grows there"),
}
HOLDS = {
    "T5": "with a bound M on the losses of the path",
    "T9": "once some sample has weight",
}


def original(theorem: str, reg: Regularizer) -> float:
    """The violation of the unchanged statement in a witness at lambda = 1.

    T1: the difference of the slopes of F on the two sides of the kink.
    T6: F(infinity), which is infinite.
    T12: the largest difference of e^(-F / zeta) with the wrong sign, at the best of several zeta (jiang-log: at 0.7).
    T14: by how much jiang-log's factor M / F(M) exceeds 1 near the end of lambda's domain.
    T3, T4, T7, T8, T10: the descent that is missed where the selected gradient is 0.
    """
    kink = torch.tensor([1.0], dtype=torch.float64)
    if theorem == "T1":
        return float((reg.weight(kink - 1e-12, 1.0) - reg.weight(kink + 1e-12, 1.0)).abs())
    if theorem == "T6":
        return inf
    if theorem == "T12":
        return estimators.roughest(reg, min(1.0, 0.7 * reg.lam_below))
    if theorem == "T14":
        return bias.factor(reg, 0.999, 1.0) - 1
    return float(reg.latent(kink, 1.0) - reg.latent(kink - 1e-3, 1.0))
