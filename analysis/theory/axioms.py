"""The axioms of a self-paced regularizer, and the regularizers that break them.

    A1         g is convex in v
    A2         v* falls in l, from 1 at l = 0 to 0
    A3         v* grows with lambda
    A3 start   v* -> 0 as lambda -> 0
    A3 end     v* -> 1 at the upper end of lambda

Sources, from memory: Jiang et al. (2014); Meng et al. (2017).
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.checks import Check, check, validate
from analysis.theory.toys.controls import ConvexLoss
from cudfkd.regularizers import ALL, Regularizer

LOSSES = torch.from_numpy(np.geomspace(1e-3, 30, 60))
REASONS = {
    ("log", "A3 start"): "v* -> 2 / (1 + e^l): the start is never empty",
    ("jiang-log", "A3"): "v* rises, then falls with lambda",
    ("jiang-log", "A3 end"): "v* -> 0 as lambda -> 1",
}


def checks(reg: Regularizer | str) -> tuple[Check, ...]:
    """The five checks for one regularizer; the check of an axiom that the regularizer breaks says "fails"."""
    return tuple(axiom(reg) for axiom in (convex_penalty, falls_with_loss, grows_with_lambda, starts_empty, ends_full))


def table() -> pd.DataFrame:
    """Ten regularizers by five axioms: "holds", or "fails: " with the reason; ordered as `cudfkd.regularizers.ALL`."""
    rows = {kind.name: {result.name: _cell(kind.name, result) for result in checks(kind.name)} for kind in ALL}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("regularizer")


def convex_penalty(reg: Regularizer | str) -> Check:
    """A1: g at the middle of two weights is at most the mean of g there."""
    reg, v = validate.known(reg), torch.linspace(0.01, 1, 200, dtype=torch.float64)
    return check(
        "A1",
        "g((v + v') / 2) <= (g(v) + g(v')) / 2",
        "axioms",
        _bulge(reg, v),
        ("a concave g", _bulge(ConvexLoss(), v)),
    )


def falls_with_loss(reg: Regularizer | str) -> Check:
    """A2: v* does not grow with l, v*(0) = 1, and v* -> 0, tested at l = 1e12.

    The lambdas are 0.5, 0.9, and 5 where the domain allows it.
    """
    reg = validate.known(reg)
    return check(
        "A2",
        "v* falls in l from 1 to 0",
        "axioms",
        _not_falling(reg),
        ("convex F", _not_falling(ConvexLoss())),
        tolerance=3e-6,
    )


def grows_with_lambda(reg: Regularizer | str) -> Check:
    """A3: v* does not fall when lambda grows. The control lets lambda fall."""
    weights = _over_lambda(validate.known(reg))
    return check("A3", "v* grows with lambda", "axioms", -weights.diff(dim=0), ("lambda falls", weights.diff(dim=0)))


def starts_empty(reg: Regularizer | str) -> Check:
    """A3 start: v* -> 0 as lambda -> 0, tested for l >= 0.1 at lambda = 1e-13. The control is lambda = 0.5."""
    reg, losses = validate.known(reg), LOSSES[LOSSES >= 0.1]
    return check("A3 start", "v* -> 0 as lambda -> 0", "axioms", reg.weight(losses, 1e-13),
                 ("lambda = 0.5", reg.weight(losses, 0.5)), tolerance=1e-5)  # fmt: skip


def ends_full(reg: Regularizer | str) -> Check:
    """A3 end: v* -> 1 at the upper end of lambda. The control is lambda = 0.5.

    The end is 1e13 for an unbounded domain; else it is the bound minus 1e-13 (jiang-log: 1 - 1e-13), tested for l < 1.
    """
    reg = validate.known(reg)
    end, losses = (1e13, LOSSES) if np.isinf(reg.lam_below) else (reg.lam_below - 1e-13, LOSSES[LOSSES < 1])
    return check("A3 end", "v* -> 1 at the upper end of lambda", "axioms", 1 - reg.weight(losses, end),
                 ("lambda = 0.5", 1 - reg.weight(losses, 0.5)))  # fmt: skip


def falling_weight(loss: float = 0.1, paces: tuple[float, ...] = (0.2, 0.5, 0.8, 0.9, 0.99, 0.999)) -> pd.Series:
    """The weight of one loss under jiang-log over lambda: it rises and falls."""
    reg, at = validate.known("jiang-log"), torch.tensor([loss], dtype=torch.float64)
    return pd.Series({pace: float(reg.weight(at, validate.pace(reg, pace))) for pace in paces}, name=f"v*({loss:g})")


def _cell(name: str, result: Check) -> str:
    return "holds" if result.passed else f"{result.verdict}: {REASONS.get((name, result.name), 'no reason is known')}"


def _bulge(reg: Regularizer, v: Tensor) -> Tensor:
    values = [reg.penalty(v[5:], 0.5), reg.penalty(v[:-5], 0.5), reg.penalty((v[5:] + v[:-5]) / 2, 0.5)]
    return values[2] - (values[0] + values[1]) / 2


def _not_falling(reg: Regularizer) -> Tensor:
    ends = torch.tensor([0.0, 1e12], dtype=torch.float64)
    parts = []
    for pace in (0.5, 0.9, 5.0):
        if pace < reg.lam_below:
            first, last = reg.weight(ends, pace)
            parts += [reg.weight(LOSSES, pace).diff(), (1 - first).abs()[None], last.abs()[None]]
    return torch.cat(parts)


def _over_lambda(reg: Regularizer) -> Tensor:
    paces = np.linspace(0.02, 0.999, 60) if reg.lam_below <= 1 else np.geomspace(1e-2, 100, 60)
    return torch.stack([reg.weight(LOSSES, pace) for pace in paces.tolist()])
