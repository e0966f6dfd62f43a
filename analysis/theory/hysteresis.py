"""Two samples that contradict each other: the student jumps at one lambda on the way up, at another on the way down.

The losses are (theta - y)^2 / 2 and (theta + y)^2 / 2 with CuDFKD's log weight. For small lambda the student stays near
one sample and ignores the second sample. For large lambda it stays at 0, between the samples. For lambdas in between
both positions are minima, and the student's history decides between them. Graduated non-convexity moves lambda
downward, self-paced learning upward.
"""

from collections.abc import Callable
from functools import cache
from math import exp, log
from typing import NamedTuple

import numpy as np
import pandas as pd
import sympy as sp
import torch
from scipy.optimize import brentq, minimize_scalar

from analysis.checks import Check, check, validate
from analysis.theory.algebra.families import FAMILIES, Formula, l, lam
from analysis.theory.algebra.proof import Proof, identity
from analysis.theory.toys.objective import objective
from analysis.theory.toys.problems import NotConvergedError, points
from cudfkd.regularizers import Regularizer

NUDGE = 1e-3  # added to theta at each new lambda, so that the student leaves a maximum at its present position
MOST = 100_000  # the largest number of steps at one lambda


class Landmarks(NamedTuple):
    """Three values of lambda and a value of theta, for samples at +-y with y > 3^(1/4).

    pitchfork: the lambda below which theta = 0 is a maximum.
    crossing: the lambda above which theta = 0 is the global minimum.
    fold: the lambda above which the outer minima do not exist.
    outer: the |theta| of the outer minima at the fold.
    """

    pitchfork: float
    crossing: float
    fold: float
    outer: float


@cache
def proofs() -> tuple[Proof, ...]:
    """The proofs of the pitchfork and of the branch.

    The pitchfork is at lambda = y^2/2 + ln(y^2 - 1) and is subcritical for y^4 > 3. The branch holds all critical
    points other than 0.
    """
    theta = sp.Symbol("theta", real=True)
    y: Formula = sp.Symbol("y", positive=True)
    upper, lower = (theta - y) ** 2 / 2, (theta + y) ** 2 / 2
    latent, weight = FAMILIES["log"].latent, FAMILIES["log"].weight
    phi = (latent.subs(l, upper) + latent.subs(l, lower)) / 2
    at = y**2 / 2 + sp.log(y**2 - 1)
    bend, fourth = (sp.diff(phi, theta, order).subs(theta, 0) for order in (2, 4))
    fourth_at_pitchfork = (y**4 - 3) * ((y**2 - 1) + sp.exp(-(y**2) / 2)) / y**4
    ratio = (y + theta) / (y - theta)
    branch_lambda = sp.log((sp.exp(lower) - ratio * sp.exp(upper)) / (ratio - 1))
    slope = weight.subs(l, upper) * (theta - y) + weight.subs(l, lower) * (theta + y)
    return (
        identity("pitchfork", r"The curvature at 0 changes sign here; $\lambda > 0$ for large $y$ only.",
                 bend.subs(lam, at), 0,
                 latex=r"\Phi''(0) = 0\ \text{ at }\ \lambda = \tfrac{y^2}{2} + \ln(y^2 - 1)"),
        identity("subcritical", "The fourth derivative there: below 0 for $y > 3^{1/4}$, so the branch bends back.",
                 fourth.subs(lam, at), -fourth_at_pitchfork, latex=r"\Phi''''(0) = -" + sp.latex(fourth_at_pitchfork)),
        identity("branch", r"All critical points off 0: $\lambda$ over $\theta$.", slope.subs(lam, branch_lambda), 0,
                 latex=r"\lambda(\theta) = " + sp.latex(sp.log((sp.exp(lower) - ratio * sp.exp(upper)) / (ratio - 1))),
                 reason=r"Each $0 < \theta < y$ has no other $\lambda$: multiplied by both denominators, the equation "
                 r"$\Phi' = 0$ is linear in $e^{-\lambda}$. For $\theta \ge y$ both samples pull to the left."),
    )  # fmt: skip


def pitchfork(apart: float) -> float:
    """The lambda at which theta = 0 turns from a maximum to a minimum, y^2 / 2 + ln(y^2 - 1) for y = apart.

    At most 0 means that theta = 0 is a minimum at every lambda > 0: there is no fork.

    Raises:
        ConfigError: apart <= 1.
    """
    if not apart > 1:
        validate.refuse("apart", apart, "greater than 1")
    return apart**2 / 2 + log(apart**2 - 1)


@cache
def smallest_fork() -> float:
    """The distance y above which the pitchfork lies at some lambda > 0. Forks are forward from here to 3^(1/4)."""
    return _root(pitchfork, 1.01, 2.0)


def branch(theta: float, apart: float = 2.0) -> float:
    """The lambda at which theta, 0 < theta < apart, is a critical point; -inf if no lambda exists.

    Raises:
        ConfigError: theta outside (0, apart).
    """
    if not 0 < theta < apart:
        validate.refuse("theta", theta, f"in (0, {apart:g})")
    ratio = (apart + theta) / (apart - theta)
    numerator = exp((theta + apart) ** 2 / 2) - ratio * exp((theta - apart) ** 2 / 2)
    return log(numerator / (ratio - 1)) if numerator > 0 else -np.inf


def landmarks(apart: float = 2.0) -> Landmarks:
    """The lambdas at which the loop opens, crosses and closes, for samples at +-apart.

    Raises:
        ConfigError: apart <= 3^(1/4) (the pitchfork is supercritical and no loop exists), or apart > 20 (overflow).
    """
    if not 3**0.25 < apart <= 20:
        validate.refuse("apart", apart, "in (3^(1/4), 20]: below it there is no loop")
    outer = _highest(lambda theta: branch(theta, apart), 1e-6, apart * (1 - 1e-9))
    crossing = _root(lambda theta: _advantage(theta, apart), outer, _last(apart))
    return Landmarks(pitchfork(apart), branch(crossing, apart), branch(outer, apart), outer)


def branches(apart: float = 2.0, count: int = 400) -> pd.DataFrame:
    """All critical points with theta >= 0 for a figure: columns lam, theta, stable.

    The critical points with theta < 0 are the mirror images. The rows with theta = 0 come first, then the rows of the
    branch in order of theta.
    """
    marks = landmarks(apart)
    thetas = np.linspace(1e-3, _last(apart), validate.count("count", count, 2))
    lams = np.array([branch(theta, apart) for theta in thetas])
    outer = pd.DataFrame({"lam": lams, "theta": thetas, "stable": thetas > marks.outer})
    line = np.linspace(max(lams.min(), 0.05), marks.fold + 1, count)
    zero = pd.DataFrame({"lam": line, "theta": 0.0, "stable": line > marks.pitchfork})
    return pd.concat([zero, outer.query("lam > 0")], ignore_index=True)


def sweep(
    apart: float = 2.0, low: float = 1.0, high: float = 6.0, count: int = 101, reg: str = "log", tolerance: float = 1e-9
) -> pd.DataFrame:
    """Minimises to the end at each lambda, first upward from `low` to `high`, then downward.

    The student starts at the sample +apart. Columns: lam, theta (>= 0 by the choice of the start), objective, direction
    ("up" or "down").

    Raises:
        ConfigError: count < 2, low <= 0, low >= high, or tolerance <= 0.
        NotConvergedError: 100,000 steps did not reach |grad Phi| <= tolerance at some lambda.
    """
    validate.count("count", count, 2)
    validate.positive("low", low)
    validate.positive("tolerance", tolerance)
    validate.positive("high - low", high - low)
    problem, theta, rows = points(apart, -apart), apart, []
    lams = np.linspace(low, high, count)
    for direction, ordered in (("up", lams), ("down", lams[::-1])):
        for pace in ordered:
            phi = objective(problem, reg, float(pace))
            theta = _settled(phi.reg, float(pace), apart, theta + NUDGE, tolerance)
            value = float(phi.value(torch.tensor([theta], dtype=torch.float64)))
            rows.append({"lam": float(pace), "theta": theta, "objective": value, "direction": direction})
    return pd.DataFrame(rows)


def jumps(swept: pd.DataFrame) -> tuple[float, float]:
    """The lambda at which the student falls to 0 on the way up, and the lambda at which it leaves 0 on the way down."""
    fallen, left = swept.query("direction == 'up' and theta < 0.5"), swept.query("direction == 'down' and theta > 0.5")
    return float(np.min(fallen["lam"])), float(np.max(left["lam"]))


def loop(apart: float = 2.0, count: int = 101) -> Check:
    """The sweeps jump at the fold on the way up and at the pitchfork on the way down, within one step of lambda.

    The control claims that both jumps are at the same lambda, as they would be without hysteresis.
    """
    marks = landmarks(apart)
    low, high = marks.pitchfork - 1, marks.fold + 1
    up, down = jumps(sweep(apart, low, high, count))
    width = (high - low) / (count - 1)
    return check("hysteresis", "the jumps are at the fold (upward) and at the pitchfork (downward)", "T5'",
                 [abs(up - marks.fold) - width, abs(down - marks.pitchfork) - width],
                 ("one jump for both directions", [abs(up - down) - width]))  # fmt: skip


def _settled(reg: Regularizer, pace: float, apart: float, theta: float, tolerance: float) -> float:
    """Majorizes and minimises until the gradient is small: theta <- sum v_i y_i / sum v_i, exact for two parabolas."""
    ends = torch.tensor([apart, -apart], dtype=torch.float64)
    for _ in range(MOST):
        weights = reg.weight((theta - ends).square() / 2, pace)
        if abs(float((weights * (theta - ends)).mean())) <= tolerance:
            return theta
        theta = float((weights * ends).sum() / weights.sum())
    raise NotConvergedError(f"{MOST} steps did not reach |gradient| = {tolerance:g} at lambda = {pace:g}")


def _last(apart: float) -> float:
    """The largest theta that is a critical point at some lambda > 0."""
    return _root(lambda theta: max(branch(theta, apart), -50.0), apart / 2, apart * (1 - 1e-12))


def _highest(function: Callable[[float], float], low: float, high: float) -> float:
    maximum = minimize_scalar(lambda at: -function(at), bounds=(low, high), method="bounded", options={"xatol": 1e-12})
    if not maximum.success:
        raise NotConvergedError(f"the fold was not found between {low:g} and {high:g}: {maximum.message}")
    return float(maximum.x)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return np.asarray(brentq(function, low, high, xtol=1e-13)).item()


def _advantage(theta: float, apart: float) -> float:
    """Phi(0) - Phi(theta) at the lambda that makes theta critical."""
    phi = objective(points(apart, -apart), "log", max(branch(theta, apart), 1e-9))
    value, value_at_zero = (float(phi.value(torch.tensor([x], dtype=torch.float64))) for x in (theta, 0.0))
    return value_at_zero - value
