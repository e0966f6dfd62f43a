"""Checks of T1 and T2: the surrogate lies above the objective and touches it, and their descents balance exactly.

Every check takes a problem, a regularizer and lambda, draws its points from `seed`, and works in float64. Violations
are relative to max(1, |Q|). Sources, from memory: Hunter and Lange (2004); Meng, Zhao and Jiang (2017).
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.optimize import differential_evolution, minimize
from torch import Tensor

from analysis.checks import STILL, Check, check, validate
from analysis.theory import attained, bounds
from analysis.theory.toys.controls import ConvexLoss
from analysis.theory.toys.objective import Objective, Point, objective
from analysis.theory.toys.problems import Problem, Theta
from cudfkd.regularizers import Regularizer

NOT_TANGENT = "slopes 1.1 v: not tangent"
Thetas = Float[Tensor, "m d"]
Surrogate = Callable[[Objective, Point, Theta], Tensor]

TOO_STEEP = 1.1  # slope of the surrogate of the control, which is not tangent, in units of the weight


def checks(problem: Problem, reg: Regularizer | str, lam: float, seed: int = 0) -> tuple[Check, ...]:
    """All checks of this module for one problem, in reading order.

    Raises:
        ConfigError: lambda outside its domain, losses negative or not float64.
    """
    return tuple(test(problem, reg, lam, seed) for test in (above, search, touches, balances, sandwich, bregman))


def above(problem: Problem, reg: Regularizer | str, lam: float, seed: int = 0, points: int = 200) -> Check:
    """T1: Q(theta | theta_k) >= Phi(theta) at random points at distances 1e-3 to 3 from theta_k."""
    phi, at = _start(problem, reg, lam, seed)
    thetas = _around(at.theta, seed, points)
    return check(
        "surrogate above", "Q(theta | theta_k) >= Phi(theta) at random points", "T1",
        -gaps(phi, at, thetas, tangent), (NOT_TANGENT, -gaps(phi, at, thetas, not_tangent)),
    )  # fmt: skip


def search(problem: Problem, reg: Regularizer | str, lam: float, seed: int = 0, starts: int = 4) -> Check:
    """T1 against an adversary: L-BFGS minimises Q - Phi over the theta within 5 of theta_k in each coordinate."""
    phi, at = _start(problem, reg, lam, seed)
    begin = at.theta + torch.linspace(0.3, 3, starts)[:, None].double() * _directions(at.theta, seed, starts)
    depths = [-_lowest(phi, at, theta, tangent) for theta in begin]
    wrong = [-_lowest(phi, at, theta, not_tangent) for theta in begin]
    name = "no counterexample found"
    return check(name, "min over theta of Q - Phi is 0", "T1", depths, (NOT_TANGENT, wrong))


def search_losses(reg: Regularizer | str, seed: int = 0, rounds: int = 40) -> Check:
    """T1 for one sample against a global adversary: differential evolution over the losses l, l', at three lambdas.

    T1 holds loss by loss, so a counterexample on any problem is a counterexample for one sample, too. The losses run
    from lambda / 1000 to 20 lambda on a logarithmic scale. The gaps are relative to the larger of 1 and the surrogate.
    """
    regularizer = validate.known(reg)
    paces = (0.1, 1.5, 8.0) if regularizer.lam_below > 8 else (0.1, 0.5, 0.95)
    depths = [_deepest(regularizer, lam, 1.0, seed, validate.count("rounds", rounds)) for lam in paces]
    wrong = [_deepest(regularizer, lam, TOO_STEEP, seed, rounds) for lam in paces]
    name = "no counterexample for any loss"
    return check(name, "F(l) + v* (l' - l) >= F(l') for all l, l'", "T1", depths, (NOT_TANGENT, wrong))


def touches(problem: Problem, reg: Regularizer | str, lam: float, seed: int = 0, points: int = 20) -> Check:
    """T1: at theta_k Q and Phi agree in value and gradient.

    The gradient of Phi is taken through F, the gradient of Q at fixed weights. The control differentiates v*(l) l
    through v. For hard this would change nothing, because v* is piecewise constant; the control of hard has the slopes
    1.1 v.
    """
    phi = objective(problem, reg, lam)
    pairs = [_mismatch(phi, theta) for theta in _around(problem.start, seed, points)]
    left_out = NOT_TANGENT if phi.reg.name == "hard" else "gradient through the weights, penalty dropped"
    return check(
        "surrogate touches", "Q = Phi and grad Q = grad Phi at theta_k", "T1", [right for right, _ in pairs],
        (left_out, [wrong for _, wrong in pairs]),
    )  # fmt: skip


def balances(problem: Problem, reg: Regularizer | str, lam: float, seed: int = 0, pairs: int = 50) -> Check:
    """T2: Phi_k - Phi_{k+1} = surrogate descent + Bregman part, for random pairs of students.

    The control draws the weights towards 1/2.
    """
    phi, at = _start(problem, reg, lam, seed)
    wrong = at._replace(weights=0.9 * at.weights + 0.05)
    others = [phi.point(theta) for theta in _around(at.theta, seed, pairs)]
    control = ("weights drawn towards 1/2", [_relative(phi, wrong, other) for other in others])
    moved = any(other.value != at.value for other in others)
    return check("descent balances", "Phi_k - Phi_{k+1} = [Q_k - Q_{k+1}] + mean D", "T2",
                 [_relative(phi, at, other) for other in others], control if moved else STILL)  # fmt: skip


def sandwich(problem: Problem, reg: Regularizer | str, lam: float, seed: int = 0, points: int = 200) -> Check:
    """T2: wherever Q(theta) <= Q(theta_k), Phi(theta) <= Q(theta) <= Phi(theta_k). The control has a convex F."""
    phi, at = _start(problem, reg, lam, seed)
    wrong = objective(problem, ConvexLoss(), lam)
    control = ("convex F", _sandwiched(wrong, wrong.point(at.theta), points, seed))
    moved = bool((phi.values(_around(at.theta, seed, points)) != at.value).any())
    return check("sandwich", "Q does not rise => Phi(theta) <= Q(theta) <= Phi(theta_k)", "T2",
                 _sandwiched(phi, at, points, seed), control if moved else STILL)  # fmt: skip


def bregman(problem: Problem, reg: Regularizer | str, lam: float, seed: int = 0, points: int = 200) -> Check:
    """T2: 0 <= D_i <= |v_i' - v_i| |l_i' - l_i| for the losses of random pairs of students, and for one long jump.

    The jump from 0 to far above lambda attains the bound. The control takes a tenth of the bound.
    """
    phi, at = _start(problem, reg, lam, seed)
    others = torch.vmap(problem.losses)(_around(at.theta, seed, points))
    pairs = [(at.losses.expand_as(others), others), attained.jump(lam)]
    parts = [_bregman(phi, before, after) for before, after in pairs]
    slack = torch.cat([torch.maximum(-d, d - bound).flatten() for d, bound in parts])
    control = ("a tenth of the bound", torch.cat([(d - bound / 10).flatten() for d, bound in parts]))
    moved = bool((parts[0][0] != 0).any())
    return check("Bregman part bounded", "0 <= D <= |v' - v| |l' - l|", "T2", slack, control if moved else STILL)


def gaps(phi: Objective, at: Point, thetas: Thetas, surrogate: Surrogate) -> Float[Tensor, " m"]:
    """The gaps (surrogate - Phi) / max(1, |surrogate|) at many thetas; nonnegative where the surrogate majorizes."""
    validate.losses(torch.vmap(phi.problem.losses)(thetas).flatten())
    q = torch.vmap(lambda theta: surrogate(phi, at, theta))(thetas)
    return (q - phi.values(thetas)) / q.abs().clamp(min=1)


def tangent(phi: Objective, at: Point, theta: Theta) -> Tensor:
    """The surrogate Q(theta | theta_k), with the penalty."""
    return phi.surrogate(theta, at.weights)


def not_tangent(phi: Objective, at: Point, theta: Theta) -> Tensor:
    """The surrogate of a control: at theta_k it has the value of Phi, but the slopes 1.1 v_i in the losses."""
    slopes = TOO_STEEP * at.weights
    lines = phi.reg.latent(at.losses, phi.lam) + slopes * (phi.problem.losses(theta) - at.losses)
    return lines.mean() + phi.ridge(theta)


def slice_table(
    problem: Problem, reg: Regularizer | str, lam: float, span: float = 2.0, count: int = 201
) -> pd.DataFrame:
    """Phi and its surrogate along the steepest descent line from the problem's start, for a figure.

    Columns: distance (along the line, from -span to span), objective, surrogate.
    """
    phi = objective(problem, reg, lam)
    at = phi.point(problem.start)
    distance = torch.linspace(-span, span, validate.count("count", count, 2), dtype=torch.float64)
    thetas = at.theta - distance[:, None] * at.gradient / at.gradient.norm()
    above = torch.vmap(lambda theta: tangent(phi, at, theta))(thetas).numpy()
    columns = {"distance": distance.numpy(), "objective": phi.values(thetas).numpy(), "surrogate": above}
    return pd.DataFrame(columns)


def _start(problem: Problem, reg: Regularizer | str, lam: float, seed: int) -> tuple[Objective, Point]:
    phi = objective(problem, reg, lam)
    return phi, phi.point(problem.start + 0.1 * _directions(problem.start, seed + 1, 1)[0])


def _directions(theta: Theta, seed: int, count: int) -> Thetas:
    validate.count("points", count)
    rng = torch.Generator().manual_seed(validate.seed(seed))
    drawn = torch.randn(count, len(theta), generator=rng, dtype=torch.float64)
    return drawn / drawn.norm(dim=1, keepdim=True)


def _around(theta: Theta, seed: int, count: int) -> Thetas:
    radii = torch.logspace(-3, 0.5, count, dtype=torch.float64)
    return theta + radii[:, None] * _directions(theta, seed, count)


def _lowest(phi: Objective, at: Point, begin: Theta, surrogate: Surrogate) -> float:
    """The smallest relative gap that L-BFGS reaches from `begin` when it minimises the absolute gap."""

    def gap_and_slope(values: np.ndarray) -> tuple[float, np.ndarray]:
        theta = torch.from_numpy(values).requires_grad_()
        gap = surrogate(phi, at, theta) - phi.value(theta)
        (slope,) = torch.autograd.grad(gap, theta)
        return float(gap.detach()), slope.numpy()

    center = at.theta.numpy()
    box = list(zip(center - 5, center + 5, strict=True))
    minimum = minimize(gap_and_slope, begin.numpy(), jac=True, method="L-BFGS-B", bounds=box, options={"maxiter": 60})
    return float(gaps(phi, at, torch.from_numpy(minimum.x)[None], surrogate)[0])


def _deepest(reg: Regularizer, lam: float, steep: float, seed: int, rounds: int) -> float:
    """The largest depth below F at l' of the line through (l, F(l)) with slope steep v*(l), over all l and l'."""

    def gap(logs: np.ndarray) -> np.ndarray:
        before, after = torch.from_numpy(np.exp(logs))
        slope = steep * reg.weight(before, lam)
        start = slope * before + reg.penalty(slope, lam) if steep == 1 else reg.latent(before, lam)
        line = start + slope * (after - before)
        return ((line - reg.latent(after, lam)) / line.abs().clamp(min=1)).numpy()

    box = [(np.log(1e-3 * lam), np.log(20 * lam))] * 2
    minimum = differential_evolution(
        gap, box, rng=seed, maxiter=rounds, tol=0, atol=-1, polish=False, vectorized=True, updating="deferred"
    )
    return -float(minimum.fun)


def _bregman(phi: Objective, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """D and its bound for moves of single losses, relative to max(1, l')."""
    weights = phi.reg.weight(before, phi.lam)
    d = weights * after + phi.reg.penalty(weights, phi.lam) - phi.reg.latent(after, phi.lam)
    bound = bounds.bregman(phi.reg.weight(after, phi.lam) - weights, after - before)
    scale = after.clamp(min=1)
    return d / scale, bound / scale


def _mismatch(phi: Objective, theta: Theta) -> tuple[float, float]:
    """The distance of Q from Phi in value and gradient, and the distance of the control's gradient from Phi's."""
    variable = theta.detach().requires_grad_()
    (slope,) = torch.autograd.grad(phi.value(variable), variable)
    losses = phi.problem.losses(variable)
    steep = TOO_STEEP if phi.reg.name == "hard" else 1.0
    weighted = (steep * phi.reg.weight(losses, phi.lam) * losses).mean() + phi.ridge(variable)
    (through,) = torch.autograd.grad(weighted, variable)
    point = phi.point(theta)
    scale = max(1.0, float(slope.norm()))
    off = abs(float(phi.surrogate(theta, point.weights)) - point.value) / max(1.0, abs(point.value))
    return max(off, float((slope - point.gradient).norm()) / scale), float((through - slope).norm()) / scale


def _relative(phi: Objective, before: Point, after: Point) -> float:
    balance = phi.balance(before, after)
    return abs(balance.residual) / max(1.0, abs(balance.surrogate))


def _sandwiched(phi: Objective, at: Point, count: int, seed: int) -> Tensor:
    thetas = _around(at.theta, seed, count)
    q = torch.vmap(lambda theta: tangent(phi, at, theta))(thetas)
    lower, upper = phi.values(thetas) - q, q - at.value
    tried = float(phi.surrogate(at.theta, at.weights))
    return torch.maximum(lower, upper)[q <= tried] / max(1.0, abs(tried))
