"""One sample: F is the lower envelope of the lines v l + g(v), and v* is the slope of the line that touches F at l.

The numbers accompany the proofs of `analysis.theory.algebra.symbolic`: brute force over v, quadrature of v*, the
conjugate by search. They are computed in float64 with the torch code of `cudfkd.regularizers`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.integrate import quad
from torch import Tensor

from analysis.checks import Check, check, validate
from analysis.theory.algebra import families, symbolic
from analysis.theory.algebra.families import FAMILIES
from analysis.theory.toys.controls import ConvexLoss
from analysis.theory.toys.problems import Losses, NotConvergedError
from cudfkd.regularizers import Mixture, Regularizer

LOSSES = tuple(np.geomspace(1e-4, 50, 40).tolist())
GOLDEN = (5**0.5 - 1) / 2


def checks(reg: Regularizer | str, lam: float) -> tuple[Check, ...]:
    """All checks of this module, in the order of notebooks 01 and 02.

    Raises:
        ConfigError: unknown regularizer, lambda outside its domain.
    """
    return tuple(statement(reg, lam) for statement in (best_weight, slope_integrates, conjugate, shape, symbols_agree))


def best_weight(reg: Regularizer | str, lam: float, losses: Sequence[float] = LOSSES, grid: int = 2001) -> Check:
    """v* minimises v l + g(v): it attains F, and no v of a grid on [0, 1] does better.

    The control is the v* of 2 lambda, or of lambda / 2 where 2 lambda leaves the domain.
    """
    reg, lam, values = _start(reg, lam, losses)
    v = torch.linspace(1e-9, 1, validate.count("grid", grid, 2), dtype=torch.float64)
    weights, latent = reg.weight(values, lam), reg.latent(values, lam)
    beaten = latent - (v[:, None] * values + reg.penalty(v, lam)[:, None]).min(0).values
    missed = (weights * values + reg.penalty(weights, lam) - latent).abs()
    other_weights = reg.weight(values, lam * 2 if lam * 2 < reg.lam_below else lam / 2)
    wrong = (other_weights * values + reg.penalty(other_weights, lam) - latent).abs()
    return check("best weight", "min over v of v l + g(v) = F(l), attained at v*", "table",
                 torch.maximum(beaten, missed) / latent.clamp(min=1), ("v* of another lambda", wrong))  # fmt: skip


def slope_integrates(reg: Regularizer | str, lam: float, losses: Sequence[float] = LOSSES) -> Check:
    """F(l) is the integral of v* from 0 to l, by adaptive quadrature between the joints.

    The control is the F of 1.01 lambda, or of 0.99 lambda where 1.01 lambda leaves the domain.
    """
    reg, lam, values = _start(reg, lam, losses)
    areas = torch.tensor([_area(reg, lam, loss) for loss in losses], dtype=torch.float64)
    nearby = lam * 1.01 if lam * 1.01 < reg.lam_below else lam * 0.99
    off, wrong = (((reg.latent(values, pace) - areas) / areas.clamp(min=1)).abs() for pace in (lam, nearby))
    return check("F integrates v*", "F(l) = integral of v* from 0 to l", "table", off, ("F of 1.01 lambda", wrong))


def conjugate(reg: Regularizer | str, lam: float, count: int = 50) -> Check:
    """g(v) = sup over l >= 0 of F(l) - v l, by golden section on [0, 1e4].

    The control is the penalty of 1.01 lambda, or of 0.99 lambda where 1.01 lambda leaves the domain.
    """
    reg, lam, _ = _start(reg, lam, LOSSES)
    v = torch.linspace(0.05, 1, validate.count("count", count), dtype=torch.float64)
    highest = _highest(lambda at: reg.latent(at, lam) - v * at, count)
    nearby = lam * 1.01 if lam * 1.01 < reg.lam_below else lam * 0.99
    off, wrong = ((highest - reg.penalty(v, pace)).abs() for pace in (lam, nearby))
    return check("conjugate", "g(v) = sup over l of F(l) - v l", "table", off, ("g of 1.01 lambda", wrong))


def shape(reg: Regularizer | str, lam: float, losses: Sequence[float] = LOSSES) -> Check:
    """F is concave and nondecreasing, F(0) = 0, F(l) <= l, and |F(l) - F(l')| <= |l - l'|. The control: a convex F."""
    reg, lam, values = _start(reg, lam, losses)
    return check("shape of F", "F concave, 0 <= F(l) - F(l') <= l - l' for l >= l', F(0) = 0", "table",
                 _misshapen(reg, values, lam), ("convex F", _misshapen(ConvexLoss(), values, lam)))  # fmt: skip


def symbols_agree(reg: Regularizer | str, lam: float, losses: Sequence[float] = LOSSES) -> Check:
    """The torch code computes the same v*, F and g as the formulas that sympy proved, on a grid.

    The control is the formulas of 1.01 lambda, or of 0.99 lambda where 1.01 lambda leaves the domain.
    """
    reg, lam, values = _start(reg, lam, losses)
    v = torch.linspace(0.01, 1, len(values), dtype=torch.float64)
    nearby = lam * 1.01 if lam * 1.01 < reg.lam_below else lam * 0.99

    def apart(other: float) -> Tensor:
        pairs = [(reg.weight(values, lam), symbolic.weight(reg, values.numpy(), other)),
                 (reg.latent(values, lam), symbolic.latent(reg, values.numpy(), other)),
                 (reg.penalty(v, lam), symbolic.penalty(reg, v.numpy(), other))]  # fmt: skip
        return torch.cat([(code - torch.from_numpy(symbol)).abs() / code.abs().clamp(min=1) for code, symbol in pairs])

    return check("code agrees with sympy", "torch and sympy give the same v*, F, g", "table", apart(lam),
                 ("symbols of 1.01 lambda", apart(nearby)), by_construction=True)  # fmt: skip


def curves(reg: Regularizer | str, lams: Sequence[float], losses: Sequence[float] = LOSSES) -> pd.DataFrame:
    """The weight v* and the latent loss F over the losses, for each lambda: columns lam, loss, weight, latent."""
    regularizer = validate.known(reg)
    frames = []
    for pace in lams:
        _, lam, values = _start(regularizer, pace, losses)
        frames.append(pd.DataFrame({
            "lam": lam, "loss": values, "weight": regularizer.weight(values, lam),
            "latent": regularizer.latent(values, lam)
        }))  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def tangents(reg: Regularizer | str, lam: float, touching: Sequence[float], losses: Sequence[float]) -> pd.DataFrame:
    """The lines v l + g(v) that touch F at some losses, for a figure: columns touching, weight, loss, line."""
    reg, lam, values = _start(reg, lam, losses)
    _, _, points = _start(reg, lam, touching)
    weights = reg.weight(points, lam)
    offsets = reg.penalty(weights, lam)
    rows = [
        pd.DataFrame({"touching": float(point), "weight": float(v), "loss": values, "line": v * values + offset})
        for point, v, offset in zip(points, weights, offsets, strict=True)
    ]
    return pd.concat(rows, ignore_index=True)


def search_weight(reg: Regularizer | str, lam: float, losses: Sequence[float]) -> pd.DataFrame:
    """The best v by golden section and by the closed form: columns loss, found, closed form, apart (their distance).

    A search that compares values of v l + g(v) cannot place a smooth minimum better than about 1e-8.
    """
    reg, lam, loss = _start(reg, lam, losses)
    best = _argmax(lambda v: -(v * loss + reg.penalty(v, lam)), torch.full_like(loss, 1e-12), torch.ones_like(loss))
    closed = reg.weight(loss, lam)
    return pd.DataFrame({"loss": loss, "found": best, "closed form": closed, "apart": (best - closed).abs()})


def _start(reg: Regularizer | str, lam: float, losses: Sequence[float]) -> tuple[Regularizer, float, Losses]:
    regularizer = validate.known(reg)
    values = validate.vector(losses)
    validate.resolves(1e-10, losses=values)
    return regularizer, validate.pace(regularizer, lam), values


def _joints(reg: Regularizer, lam: float) -> list[float]:
    """The losses at which v* changes its formula."""
    parameters = {families.lam: lam, families.psi: reg.ratio if isinstance(reg, Mixture) else 0.5}
    return [float(piece.low.subs(parameters)) for piece in FAMILIES[reg.name].pieces[1:]]


def _area(reg: Regularizer, lam: float, loss: float) -> float:
    edges = [0.0, *(joint for joint in _joints(reg, lam) if joint < loss), loss]

    def weight(at: float) -> float:
        return float(reg.weight(torch.tensor([at], dtype=torch.float64), lam)[0])

    pieces = zip(edges[:-1], edges[1:], strict=True)
    areas = [quad(weight, low, high * (1 - 1e-16), epsabs=1e-13, epsrel=1e-13) for low, high in pieces]
    doubt = sum(area[1] for area in areas)
    if doubt > 1e-10 * max(1.0, loss):
        raise NotConvergedError(f"quadrature of v* up to {loss:g} is sure to {doubt:.1g} only")
    return sum(area[0] for area in areas)


def _highest(concave: Callable[[Tensor], Tensor], count: int, most: float = 1e4) -> Float[Tensor, " count"]:
    """The maxima over [0, most] of `count` concave functions at once."""
    low = torch.zeros(count, dtype=torch.float64)
    best = concave(_argmax(concave, low, torch.full_like(low, most)))
    return torch.maximum(torch.maximum(best, concave(low)), concave(torch.full_like(low, most)))


def _argmax(concave: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    for _ in range(90):  # golden section: 0.618^90 = 1.6e-19
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        better = concave(left) >= concave(right)
        low, high = torch.where(better, low, left), torch.where(better, right, high)
    return (low + high) / 2


def _misshapen(reg: Regularizer, at: Tensor, lam: float) -> Tensor:
    value = reg.latent(at, lam)
    slopes = value.diff() / at.diff()
    middle = reg.latent((at[1:] + at[:-1]) / 2, lam)
    chord = (value[1:] + value[:-1]) / 2 - middle
    origin = reg.latent(torch.zeros(1, dtype=torch.float64), lam).abs()
    rounding = 1e-15 * value[1:].clamp(min=1) / at.diff()  # of a difference quotient
    return torch.cat([chord, -slopes - rounding, slopes - 1 - rounding, slopes.diff() - 2 * rounding[1:], origin])
