"""Counterexamples in which one hypothesis of T8, T10 or T11 is left out: momentum, step lengths, weight decay."""

from typing import NamedTuple

from analysis.theory import bounds
from analysis.theory.linear_rate import Promise, rate
from analysis.theory.toys.counterexample import Counterexample
from analysis.theory.toys.descent import Gradient, run
from analysis.theory.toys.problems import points
from cudfkd.regularizers import Logistic


class Sides(NamedTuple):
    """Both sides of T10 for Phi = theta^2 / 2, in which neither lambda nor the samples move.

    left: sum eta_k / kappa_k |grad Phi_k|^2.
    bound: Phi_0 - energy_K.
    """

    left: float
    bound: float


def momentum_at_the_start(step: float = 0.05, beta: float = 0.9) -> Counterexample:
    """Momentum that is there before the first step moves a student off its minimum: T8's sum and T10 without m_0 = 0.

    Phi starts at 0, so both theorems would allow no gradient at all.
    """
    both = sides(theta=0.0, m=1.0, steps=[step] * 20, beta=beta)
    numbers = {"Phi at the start": 0.0, "gradients": both.left, "Phi_0 - energy at the end": both.bound}
    return Counterexample("momentum at the start", "the gradients are paid for by Phi, whatever the momentum was", "T8",
                          f"Phi = theta^2 / 2, theta 0, m 1, step {step:g}, beta {beta:g}", numbers)  # fmt: skip


def steps_grow(beta: float = 0.9) -> Counterexample:
    """Short steps collect momentum, and one long step spends it: T10 without step lengths that do not grow.

    Every step length is in the range of the theorem.
    """
    steps = [0.001] * 30 + [0.1]
    both = sides(theta=1.0, m=0.0, steps=steps, beta=beta)
    numbers = {"gradients": both.left, "Phi_0 - energy at the end": both.bound}
    return Counterexample("steps grow", "any step lengths below 2 (1 - beta) / L track", "T10",
                          f"Phi = theta^2 / 2, theta 1, 30 steps of 0.001, one of 0.1, beta {beta:g}",
                          numbers)  # fmt: skip


def sides(theta: float, m: float, steps: list[float], beta: float) -> Sides:
    """Both sides of T10, for any start, momentum and step lengths."""
    start, left = theta**2 / 2, 0.0
    for step in steps:
        left += step / bounds.kappa(step, beta) * theta**2
        m = beta * m + theta
        theta -= step * m
    return Sides(left, start - theta**2 / 2 - beta * steps[-1] / 2 * m**2)


def decay_keeps_phi_up(decay: float = 0.5, steps: int = 50) -> Counterexample:
    """Weight decay keeps Phi above 0, though the loss alone has a perfect fit and PL: T11 with weight decay."""
    problem = points(1.0, decay=decay)
    curvature, largest = 1 + decay, float(problem.losses(problem.start).max())
    path = run(problem, "log", 2.0, Gradient(1 / curvature), steps)
    weight = float(Logistic().weight(problem.losses(problem.start), 2.0))
    factor = rate(Promise(largest, weight, 1.0, curvature), 1 / curvature)
    numbers = {"Phi / Phi_0": float(path.objective[-1] / path.objective[0]), "promise": factor**steps}
    return Counterexample("decay keeps Phi up", "a student with decay approaches 0 at a linear rate", "T11",
                          f"l = (theta - 1)^2 / 2, lambda 2, decay {decay:g}, {steps} steps", numbers)  # fmt: skip


ALL = (momentum_at_the_start, steps_grow, decay_keeps_phi_up)
