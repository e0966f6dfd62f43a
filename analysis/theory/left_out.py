"""Counterexamples in which one hypothesis of T4, T5' or T7 is left out; the smallest that show it is needed."""

import torch
from torch import Tensor

from analysis.theory.linear_rate import valley
from analysis.theory.minibatch import sample_gradients
from analysis.theory.toys.counterexample import Counterexample
from analysis.theory.toys.descent import Gradient, Move, run
from analysis.theory.toys.objective import Objective, Point, objective
from analysis.theory.toys.problems import Ridge, points, ridge


def hard_stops() -> Counterexample:
    """Hard comes to rest where Phi still falls to one side: T4 without a continuous weight.

    The losses theta^2 / 2 and (theta - 3)^2 pull to both sides with equal force at theta = 2, where the first equals
    lambda. Gradients vanish along the run, so its limit is Clarke critical: with the weights (1, 1) the pull is 0.
    Beyond the limit the first loss costs nothing more and the second one falls.
    """
    inputs = torch.tensor([[1.0], [2**0.5]], dtype=torch.float64)
    targets = torch.tensor([0.0, 3 * 2**0.5], dtype=torch.float64)
    pull = Ridge(torch.tensor([1.7], dtype=torch.float64), 0.0, inputs, targets)
    path, phi = run(pull, "hard", 2.0, Gradient(0.5), 100), objective(pull, "hard", 2.0)
    limit = torch.tensor([2.0], dtype=torch.float64)
    numbers = {
        "last theta": float(path.thetas[-1]), "last gradient": float(path.gradient[-1]),
        "with weights (1, 1) at 2": float(pull.jacobian(limit).mean()),
        "selected gradient at 2": float(phi.point(limit).gradient),
        "Phi falls from 2 to 2.001 by": float(phi.value(limit) - phi.value(limit + 1e-3)),
    }  # fmt: skip
    return Counterexample("hard stops on the way", "where the gradients of a run vanish no direction leads down", "T4",
                          "l = theta^2 / 2 and (theta - 3)^2, lambda 2, step 0.5, start 1.7", numbers)  # fmt: skip


def steps_run_out() -> Counterexample:
    """Step lengths 1/2, 1/4, 1/8, ... descend and stop half way: T4 without inf eta_k > 0."""
    lengths = iter(2.0**-k for k in range(1, 61))

    def shrinking(phi: Objective, point: Point) -> Move:
        return Gradient(next(lengths))(phi, point)

    path = run(points(0.0, start=1.0), "log", 2.0, shrinking, 60)
    numbers = {"last theta": float(path.thetas[-1]), "last gradient": float(path.gradient[-1]),
               "steps that rise": float(path.rises)}  # fmt: skip
    return Counterexample("steps run out", "descent at every step leads to a critical point", "T4",
                          "l = theta^2 / 2, lambda 2, start 1, steps 2^-k", numbers)  # fmt: skip


def decay_on_one_side(lam: float = 1e3) -> Counterexample:
    """Weight decay in Phi and not in the plain loss: their gradients stay apart, however large lambda is (T5')."""
    problem = ridge(decay=0.5)
    gradient = objective(problem, "log", lam).point(problem.start).gradient
    plain = problem.jacobian(problem.start).mean(0)
    decayed = plain + problem.decay * problem.start
    numbers = {"apart, R on one side": float((gradient - plain).norm()),
               "apart, R on both": float((gradient - decayed).norm())}  # fmt: skip
    return Counterexample("decay on one side", "grad Phi tends to grad mean l, whatever R is", "T5'",
                          f"ridge regression, decay 0.5, lambda {lam:g}", numbers)  # fmt: skip


def interpolation(distance: float = 0.1, step: float = 0.5) -> Counterexample:
    """All losses vanish together, and still a constant step raises E Phi near their minimum (T7).

    On the line theta_2 = 0 the variance is theta_1^4 and |grad Phi|^2 about 4 theta_1^6: their ratio has no bound.
    """
    phi = objective(valley(distance), "log", 2.0)
    point = phi.point(phi.problem.start)
    each = sample_gradients(phi, point.theta)
    numbers = {
        "variance / |grad Phi|^2": _variance(each) / float(point.gradient.square().sum()),
        "Phi": point.value,
        "E Phi after a step": float(phi.values(point.theta - step * each).mean()),
    }  # fmt: skip
    setting = f"l = (theta_2 +- theta_1^2)^2 / 2, theta ({distance:g}, 0), lambda 2, step {step:g}, batches of 1"
    refutes = "where all losses vanish together a constant step descends"
    return Counterexample("interpolation", refutes, "T7", setting, numbers)


def _variance(gradients: Tensor) -> float:
    return float((gradients - gradients.mean(0)).square().sum(1).mean())


ALL = (hard_stops, steps_run_out, decay_on_one_side, interpolation)
