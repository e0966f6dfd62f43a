"""T11: a linear rate where some student fits all samples and the losses have no flat directions.

The hypothesis is PL with the modulus mu: for all weights v_min <= v_i <= 1

    |mean v_i grad l_i|^2 >= 2 mu v_min^2 mean l_i

Linear least squares with a perfect fit and no decay has it, with mu the smallest eigenvalue of X^T X / n. Square losses
of a network have it as long as the smallest eigenvalue of the tangent kernel stays above mu.

The objective itself keeps the path in sight. If n Phi_0 < F(infinity), no loss exceeds M = F^-1(n Phi_0), because Phi
does not rise. So all weights stay above v_min = v*(M), and with steps 0 < eta < 2 / L

    Phi_K <= (1 - 2 mu v_min^2 eta (1 - L eta / 2))^K Phi_0

Mini-batches need growth, E |grad Phi_B|^2 <= rho |grad Phi|^2: then L rho takes the place of L, in expectation.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from analysis.checks import Check, check, validate
from analysis.theory import bounds
from analysis.theory.bias import inverse
from analysis.theory.minibatch import sample_gradients
from analysis.theory.toys.descent import Gradient, Path, run
from analysis.theory.toys.objective import Objective, objective
from analysis.theory.toys.problems import Losses, Problem, Ridge, Theta
from cudfkd.regularizers import Hard, Regularizer

Values = Float[np.ndarray, " k"]


@dataclass(frozen=True)
class Promise:
    """What T11 promises before the first step.

    largest: M, the largest loss that the path can meet; infinite where n Phi_0 >= F(infinity).
    weight: v_min = v*(M), the smallest weight on the path; 0 where M is infinite.
    modulus: mu.
    curvature: L.
    """

    largest: float
    weight: float
    modulus: float
    curvature: float


def promise(problem: Ridge, reg: Regularizer | str, lam: float) -> Promise:
    """The promise for linear least squares at the problem's start.

    Raises:
        ConfigError: weight decay, which keeps the student from a perfect fit.
    """
    if problem.decay:
        validate.refuse("decay", problem.decay, "0: T11 needs a student that fits all samples")
    phi = objective(problem, reg, lam)
    modulus, curvature = _ends(problem)
    total = len(problem.inputs) * float(phi.value(problem.start))
    if total >= float(phi.reg.latent_limit(phi.lam)):
        return Promise(float("inf"), 0.0, modulus, curvature)
    most = bounds.path_loss(inverse(phi.reg, phi.lam, total))
    weight = float(phi.reg.weight(torch.tensor([most], dtype=torch.float64), phi.lam))
    return Promise(most, weight, modulus, curvature)


def rate(promised: Promise, step: float, growth: float = 1.0) -> float:
    """The factor of one step: 1 - 2 mu v_min^2 eta (1 - L rho eta / 2)."""
    return 1 - bounds.linear_drop(promised.modulus, promised.weight, step, promised.curvature * growth)


def fits(seed: int = 0, n: int = 12, d: int = 3, far: float = 0.3) -> Ridge:
    """Linear least squares with a perfect fit; the start is off by `far` times a standard normal vector."""
    rng = torch.Generator().manual_seed(validate.seed(seed))
    inputs, truth, off = (torch.randn(*size, generator=rng, dtype=torch.float64) for size in ((n, d), (d,), (d,)))
    return Ridge(truth + validate.at_least("far", far, 0) * off, 0.0, inputs, inputs @ truth)


def evenly() -> Ridge:
    """The case that attains T11: all curvatures of the mean loss are 1, and a single sample has all the loss."""
    start, fit = torch.tensor([0.3, 0.0, 0.0], dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    return Ridge(start, 0.0, 3**0.5 * torch.eye(3, dtype=torch.float64), fit)


def linear(reg: Regularizer | str, lam: float, seed: int = 0, steps: int = 20) -> Check:
    """T11 at every step, for three step lengths, and in the attained case with weights of 1.

    The control claims mu = 0.1 for the valley, which has a perfect fit and no PL.
    """
    reg = validate.known(reg)
    problem = _alive(reg, lam, seed)
    slack = _slack(problem, reg, lam, steps)
    return check("linear rate", "Phi_K <= (1 - 2 mu v_min^2 eta (1 - L eta / 2))^K Phi_0", "T11",
                 [*slack, *_slack(evenly(), Hard(), 1.0, steps)],
                 ("a valley without PL", _in_valley()))  # fmt: skip


def compared(reg: Regularizer | str, lam: float, seed: int = 0, steps: int = 60) -> pd.DataFrame:
    """One row per step of 1 / L: Phi and T11's promise, both relative to Phi at the start."""
    reg = validate.known(reg)
    problem = _alive(reg, lam, seed)
    promised = promise(problem, reg, lam)
    path = run(problem, reg, lam, Gradient(1 / promised.curvature), steps, tolerance=1e-12)
    count = np.arange(len(path.objective))
    factor = rate(promised, 1 / promised.curvature)
    return pd.DataFrame({"objective": path.objective / path.objective[0], "promise": factor**count})


def in_sight(reg: Regularizer | str, lam: float, seed: int = 0, steps: int = 20) -> Check:
    """T11: all losses of the path are at most M = F^-1(n Phi_0), with equality where one sample has all the loss.

    The control takes nine tenths of M in the attained case.
    """
    reg = validate.known(reg)
    problem, single = _alive(reg, lam, seed), evenly()
    promised, bound = promise(problem, reg, lam), promise(single, reg, lam).largest
    path = run(problem, reg, lam, Gradient(1 / promised.curvature), steps)
    most, at_start = float(torch.vmap(problem.losses)(path.thetas).max()), float(single.losses(single.start).max())
    return check("the objective keeps the path in sight", "l_i <= M = F^-1(n Phi_0) on the whole path", "T11",
                 [most - promised.largest, at_start - bound],
                 ("nine tenths of M", [at_start - 0.9 * bound]))  # fmt: skip


def batched(reg: Regularizer | str, lam: float, seed: int = 0, trials: int = 3) -> Check:
    """T11 for batches of one sample, over all of them: growth with rho = max |x_i|^2 / (mu v_min^2), and the rate.

    The attained case is among them. The control asks for descent in the valley, where growth fails.
    """
    reg, rng = validate.known(reg), torch.Generator().manual_seed(validate.seed(seed))
    problem = _alive(reg, lam, seed)
    shifts = 0.1 * torch.randn(validate.count("trials", trials), len(problem.start), generator=rng, dtype=torch.float64)
    fit = problem.start + torch.linalg.lstsq(problem.inputs, problem.targets - problem.inputs @ problem.start)[0]
    slack = [_batch_excess(problem, reg, lam, fit + shift, share) for shift in shifts for share in (0.5, 1.5)]
    slack += [_batch_excess(evenly(), Hard(), 1.0, evenly().start, share) for share in (0.5, 1.5)]
    wrong = float(climbs((0.1,), 0.5)["one sample"].iloc[0])
    return check("linear rate in the mean", "E Phi' <= (1 - 2 mu v_min^2 eta (1 - L rho eta / 2)) Phi", "T11",
                 np.concatenate(slack), ("no growth: descent in the valley", [wrong]))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Valley(Problem):
    """Two samples that only theta = 0 fits, at the end of a flat valley: l = (theta_2 +- theta_1^2)^2 / 2.

    On theta_2 = 0 the objective is of the order theta_1^4 and its squared gradient of the order theta_1^6: there is no
    PL. The squared gradient of a single sample is of the order theta_1^4: there is no growth, so a constant step
    climbs near the fit.
    """

    def losses(self, theta: Theta) -> Losses:
        along, across = theta
        return torch.stack([across + along.square(), across - along.square()]).square() / 2


def valley(distance: float) -> Valley:
    """The valley with the start (distance, 0)."""
    return Valley(torch.tensor([distance, 0.0], dtype=torch.float64), 0.0)


@cache
def climbs(distances: tuple[float, ...], step: float, reg: Regularizer | str = "log", lam: float = 2.0) -> pd.DataFrame:
    """One row per start (distance, 0) of the valley: the mean change of Phi by a step with one sample.

    The change is relative to Phi. The other columns are the change with both samples, and the ratio
    E |v_i grad l_i|^2 / |grad Phi|^2, which growth would bound.
    """
    rows = []
    for distance in distances:
        phi = objective(valley(distance), reg, lam)
        point, gradients = phi.point(phi.problem.start), sample_gradients(phi, phi.problem.start)
        squared = float(point.gradient.square().sum())
        rows.append({"distance": distance, "one sample": _mean_after(phi, point.theta, step) - 1,
                     "both samples": float(phi.value(point.theta - step * point.gradient)) / point.value - 1,
                     "growth needed": float(gradients.square().sum(1).mean()) / squared})  # fmt: skip
    return pd.DataFrame(rows).set_index("distance")


def _alive(reg: Regularizer, lam: float, seed: int) -> Ridge:
    """A problem with a perfect fit that starts so close to it that n Phi_0 <= F(infinity) / 2."""
    far, most = 0.3, float(reg.latent_limit(lam)) / 2
    while len((toy := fits(seed, far=far)).inputs) * float(objective(toy, reg, lam).value(toy.start)) > most:
        far /= 2
    return toy


def _ends(problem: Ridge) -> tuple[float, float]:
    """mu and L: the smallest and the largest eigenvalue of X^T X / n."""
    ends = torch.linalg.eigvalsh(problem.inputs.T @ problem.inputs / len(problem.inputs))
    return float(ends[0]), float(ends[-1])


def _slack(problem: Ridge, reg: Regularizer, lam: float, steps: int) -> list[float]:
    """The excess over the promised rate, for steps of 0.3, 1 and 1.7 in units of 1 / L."""
    promised, slack = promise(problem, reg, lam), []
    for share in (0.3, 1.0, 1.7):
        step = share / promised.curvature
        slack += _excess(run(problem, reg, lam, Gradient(step), steps), rate(promised, step)).tolist()
    return slack


@cache
def _in_valley() -> Values:
    """The excess of a run in the valley over the rate of mu = 0.1."""
    path = run(valley(0.1), "log", 2.0, Gradient(0.5), 20)
    return _excess(path, rate(Promise(0.1, 1.0, 0.1, 1.0), 0.5))


def _excess(path: Path, factor: float) -> Values:
    """Phi_k / Phi_0 minus the promise, after every step."""
    return (path.objective / path.objective[0] - factor ** np.arange(len(path.objective)))[1:]


def _batch_excess(problem: Ridge, reg: Regularizer, lam: float, theta: Theta, share: float) -> list[float]:
    """The excess over growth and over the rate for steps of `share` / (L rho), relative to Phi."""
    phi = objective(problem, reg, lam)
    point, each = phi.point(theta), sample_gradients(phi, theta)
    promised = Promise(float(point.losses.max()), float(point.weights.min()), *_ends(problem))
    steepest = float(problem.inputs.square().sum(1).max())
    growth = bounds.batch_growth(steepest, promised.modulus, promised.weight)
    needed = float(each.square().sum(1).mean()) - growth * float(point.gradient.square().sum())
    step = share / (promised.curvature * growth)
    return [needed / point.value, _mean_after(phi, theta, step) - rate(promised, step, growth)]


def _mean_after(phi: Objective, theta: Theta, step: float) -> float:
    """The mean of Phi after a step with one sample, over all samples, relative to Phi."""
    after = phi.values(theta - step * sample_gradients(phi, theta))
    return float(after.mean() / phi.value(theta))
