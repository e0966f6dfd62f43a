"""Counterexamples: statements that look like the theorems and are false, each refuted by the smallest example.

Each function returns a Counterexample with the refuted statement and the numbers. `table()` shows all counterexamples.
The weight is CuDFKD's log weight where no other weight is named.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from analysis.checks import validate
from analysis.theory import curriculum_axioms, drift, left_out, left_out_of_weights, left_out_while_moving, momentum
from analysis.theory.toys.counterexample import Counterexample
from analysis.theory.toys.descent import Gradient, Path, run
from analysis.theory.toys.objective import objective
from analysis.theory.toys.problems import points, student
from cudfkd.regularizers import Hard, Logistic

LOG = Logistic()


def table() -> pd.DataFrame:
    """One row per counterexample: name, refuted statement, theorem with the missing hypothesis, setting, numbers."""
    rows = [
        {"counterexample": example.name, "refutes": example.refutes, "theorem": example.theorem,
         "setting": example.setting,
         "numbers": ", ".join(f"{name} = {value:.6g}" for name, value in example.numbers.items())}
        for example in (function() for function in ALL)
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("counterexample")


def step_too_large(steps: int = 200) -> Counterexample:
    """A step of 2.5 > 2 at curvature 1: Phi rises, then settles in a cycle of period 2 with the weight 2 / step."""
    path = limit_cycle(2.5, steps)
    last = abs(float(path.thetas[-1]))
    weight = float(LOG.weight(torch.tensor([last**2 / 2], dtype=torch.float64), 2.0))
    first = dict(zip(("Phi_0", "Phi_1", "Phi_2"), map(float, path.objective[:3]), strict=True))
    numbers = first | {"cycle at |theta|": last, "weight there": weight, "2 / step": 2 / 2.5}
    return Counterexample("step too large", "every step on the surrogate descends", "T3",
                          "l = theta^2 / 2, lambda 2, step 2.5, start 0.1", numbers)  # fmt: skip


def limit_cycle(step: float = 2.5, steps: int = 200, start: float = 0.1) -> Path:
    """Steps of fixed length on l = theta^2 / 2 at lambda = 2. Steps below 2 converge; longer steps end in a cycle."""
    return run(points(0.0, start=start), LOG, 2.0, Gradient(step), steps, tolerance=1e-12)


def cycle_amplitude(step: float, lam: float = 2.0) -> float:
    """The |theta| of the cycle, at which v*(theta^2 / 2) = 2 / step, so (1 + e^-lambda) step / 2 = 1 + e^(l - lambda).

    Raises:
        ConfigError: step <= 2 (no cycle exists), or lambda <= 0.
    """
    lam = validate.pace(LOG, lam)
    if not step > 2:
        validate.refuse("step", step, "greater than 2: shorter steps converge")
    return float(sqrt(2 * (lam + np.log((1 + np.exp(-lam)) * step / 2 - 1))))


def cycle_is_stable(step: float, lam: float = 2.0) -> bool:
    """Whether nearby students fall into the cycle: theta^2 (1 - u) < 1 with u = sigmoid(lambda - l).

    At lambda = 2 this means step < 2.734. The reason: v' = -v (1 - u), so on the cycle the map
    theta -> theta (1 - step v) has the slope -1 + 2 theta^2 (1 - u).
    """
    loss = cycle_amplitude(step, lam) ** 2 / 2
    return bool(2 * loss * (1 - 1 / (1 + np.exp(loss - lam))) < 1)


def attractor(steps: Sequence[float], keep: int = 40, settle: int = 400) -> pd.DataFrame:
    """The last `keep` theta of fixed steps on l = theta^2 / 2 at lambda = 2, for each step length, for a figure.

    Columns: step, theta. The number of different theta depends on the step length:

        step            theta
        below 2         one point
        2 to 2.734      two opposite points
        2.734 to 2.92   two unequal points
        from 2.92       longer periods, and soon no period at all
    """
    validate.count("keep", keep)
    validate.count("number of steps", len(steps))
    lengths = torch.tensor([validate.positive("step", step) for step in steps], dtype=torch.float64)
    theta, last = torch.full_like(lengths, 0.1), []
    for _ in range(settle + keep):
        theta = theta * (1 - lengths * LOG.weight(theta.square() / 2, 2.0))
        last = [*last, theta][-keep:]
    return pd.DataFrame({"step": lengths.repeat(keep), "theta": torch.cat(last)})


def momentum_rises() -> Counterexample:
    """Momentum 0.9 with a step length at which plain descent would descend: Phi rises in many steps, by up to 0.06.

    The energy does not rise, as T8 says. With a step of 0.5, beyond T8's limit of 0.2, it rises, too.
    """
    path, long = (momentum.run(points(0.0, start=1.0), LOG, 2.0, momentum.constant(step, 60)) for step in (0.1, 0.5))
    rises = np.diff(path.objective)
    numbers = {"rises": float((rises > 0).sum()), "of": float(len(rises)), "largest": float(rises.max()),
               "rises of the energy": float((np.diff(path.energy) > 1e-15).sum()),
               "rises of the energy, step 0.5": float((np.diff(long.energy) > 1e-15).sum())}  # fmt: skip
    return Counterexample("momentum rises", "with a small step momentum descends too", "T8",
                          "l = theta^2 / 2, lambda 2, step 0.1, beta 0.9, start 1", numbers)  # fmt: skip


def growth_rises() -> Counterexample:
    """Growth of lambda at an exact minimiser: Phi can only rise, while the raw objective falls."""
    before, after = (objective(points(1.0, -1.0), LOG, lam) for lam in (1.0, 1.5))
    numbers = {"F before": before.point(before.problem.start).value, "F after": after.point(after.problem.start).value}
    offset = {lam: lam * (1 + float(np.exp(-lam))) for lam in (1.0, 1.5)}
    raw = {"E before": numbers["F before"] - offset[1.0], "E after": numbers["F after"] - offset[1.5]}
    return Counterexample("growth rises", "the objective falls while lambda grows", "T5",
                          "targets +-1, theta 0, lambda 1 -> 1.5", numbers | raw)  # fmt: skip


def drift_cancels() -> Counterexample:
    """A target that moves 0.2 per step: 200 steps descend by 11.9 in sum, and the drift cancels this descent.

    At 0.8 per step the target escapes.
    """
    slow, fast = drift.chase(speed=0.2), drift.chase(speed=0.8)
    numbers = {
        "student": float(np.sum(slow["student"])), "drift": float(np.sum(slow["drift"])),
        "Phi at the end": slow["objective"].to_numpy()[-1].item(),
        "rising student steps": float(np.sum(slow["student"] > 0)),
        "weight at speed 0.8": fast["weight"].to_numpy()[-1].item(),
    }  # fmt: skip
    return Counterexample("drift cancels", "a student that descends at every step converges", "T6",
                          "l = (theta - target)^2 / 2, lambda 2, step 0.5, 200 steps", numbers)  # fmt: skip


def scalar_weight() -> Counterexample:
    """One weight for the batch's mean loss, as in the public code: F(mean l) falls, while mean F(l) rises.

    At lambda = 2 this weight is 1e-10 and nothing moves; the per-sample weights are (1, 0).
    """
    problem, lam, step = points(0.0, 10.0), 30.0, 0.2
    phi, theta = objective(problem, LOG, lam), problem.start
    mean = problem.losses(theta).mean()
    moved = theta - step * LOG.weight(mean, lam) * (theta - problem.targets).mean()
    mean_after = problem.losses(moved).mean()
    numbers = {
        "F(mean l) before": float(LOG.latent(mean, lam)), "F(mean l) after": float(LOG.latent(mean_after, lam)),
        "mean F(l) before": float(phi.value(theta)), "mean F(l) after": float(phi.value(moved)),
        "weight at lambda 2": float(LOG.weight(mean, 2.0)),
        "easy sample's own": float(LOG.weight(problem.losses(theta), 2.0)[0]),
    }  # fmt: skip
    return Counterexample("scalar weight", "a weight per batch descends the per-sample objective", "T1",
                          "targets 0 and 10, theta 0, lambda 30, step 0.2", numbers)  # fmt: skip


def hard_kink() -> Counterexample:
    """Hard selection at l = lambda: the weight is 0, so the student does not move, although F falls to one side."""
    phi = objective(points(0.0, start=1.0), Hard(), 0.5)
    kink, nearer = phi.point(phi.problem.start), phi.value(torch.tensor([1 - 1e-3], dtype=torch.float64))
    dead = objective(points(3.0), LOG, 2.0).point(torch.zeros(1, dtype=torch.float64))
    hard = objective(points(3.0), Hard(), 2.0).point(torch.zeros(1, dtype=torch.float64))
    numbers = {"gradient": float(kink.gradient.norm()), "F falls by": kink.value - float(nearer),
               "hard's gradient at l = 4.5, lambda 2": float(hard.gradient.norm()),
               "log's": float(dead.gradient.norm())}  # fmt: skip
    return Counterexample("hard is stuck", "a vanishing (selected) gradient means no way down", "T4",
                          "l = theta^2 / 2, lambda 0.5, theta 1; and l = 4.5, lambda 2", numbers)  # fmt: skip


def through_the_weight(loss: float = 6.0, lam: float = 2.0) -> Counterexample:
    """The derivative d/dl [v*(l) l] through v, with g dropped: negative for a hard sample. Descent raises its loss."""
    at = validate.vector([loss], "loss").requires_grad_()
    lam = validate.pace(LOG, lam)
    (through,) = torch.autograd.grad((LOG.weight(at, lam) * at).sum(), at)
    weight = LOG.weight(at, lam)
    (kept,) = torch.autograd.grad((weight * at + LOG.penalty(weight, lam)).sum(), at)
    numbers = {"through v": float(through), "v*": float(weight.detach()), "through v, with g": float(kept)}
    return Counterexample("through the weight", "the weights may carry gradient", "T1",
                          f"one sample, l = {loss:g}, lambda {lam:g}", numbers)  # fmt: skip


def one_sample_step() -> Counterexample:
    """A step on a single sample out of two, from the minimiser of Phi: Phi rises, also in expectation."""
    phi = objective(points(1.0, -1.0), LOG, 2.0)
    weight = float(LOG.weight(torch.tensor([0.5], dtype=torch.float64), 2.0))
    moved = torch.tensor([0.5 * weight], dtype=torch.float64)
    numbers = {"Phi before": phi.point(phi.problem.start).value, "Phi after": float(phi.value(moved))}
    return Counterexample("one-sample step", "a step on a mini-batch descends", "T7",
                          "targets +-1, theta 0, lambda 2, step 0.5 on one sample", numbers)  # fmt: skip


def decay_rises(step: float = 0.5, decay: float = 0.1) -> Counterexample:
    """Weight decay at a minimiser of the loss: Phi without R rises from 0; Phi + R does not."""
    bare, decayed = (objective(points(1.0, start=1.0, decay=share), LOG, 2.0) for share in (0.0, decay))
    moved = decayed.problem.start - step * decayed.point(decayed.problem.start).gradient
    numbers = {
        "Phi before": bare.point(bare.problem.start).value, "Phi after": float(bare.value(moved)),
        "Phi + R before": decayed.point(decayed.problem.start).value, "Phi + R after": float(decayed.value(moved)),
    }  # fmt: skip
    return Counterexample("weight decay rises", "Phi without the decay term falls", "T3",
                          f"l = (theta - 1)^2 / 2, theta 1, step {step:g}, decay {decay:g}", numbers)  # fmt: skip


def generator_in_train_mode(seed: int = 0) -> Counterexample:
    """A "frozen" generator with BatchNorm that updates its running statistics: the samples move, and so does Phi."""
    # the random bits depend on the order of the draws: the generator's weights, the fixed codes, the fresh codes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(validate.seed(seed))
        generator = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh()).double()
        fixed, fresh = torch.randn(64, 4).double(), torch.randn(10, 64, 4).double()
    changes = [_change_of_phi(generator, fixed, fresh, seed, train) for train in (False, True)]
    numbers = {"eval mode": changes[0], "train mode": changes[1]}
    return Counterexample("generator in train mode", "a generator with learning rate 0 does not move", "T6",
                          "10 forward passes of a frozen generator", numbers)  # fmt: skip


def _change_of_phi(generator: nn.Module, fixed: Tensor, fresh: Tensor, seed: int, train: bool) -> float:
    """|Phi after - Phi before| of a random student on G(fixed), before and after forward passes in the given mode."""
    before = _phi(generator, fixed, seed)
    generator.train(train)
    with torch.no_grad():
        for codes in fresh:
            generator(codes)
    return abs(_phi(generator, fixed, seed) - before)


@torch.no_grad()
def _phi(generator: nn.Module, codes: Tensor, seed: int) -> float:
    problem = student(seed, n=len(codes))
    images = generator.eval()(codes)
    moved = type(problem)(problem.start, 0.0, images, problem.teacher, problem.hidden, problem.temperature, False)
    return float(objective(moved, LOG, 2.0).value(moved.start))


ALL = (
    step_too_large, momentum_rises, growth_rises, drift_cancels, scalar_weight, hard_kink, through_the_weight,
    one_sample_step, decay_rises, generator_in_train_mode, curriculum_axioms.entropy_falls,
    curriculum_axioms.axioms_do_not_suffice, *left_out.ALL, *left_out_while_moving.ALL, *left_out_of_weights.ALL,
)  # fmt: skip
