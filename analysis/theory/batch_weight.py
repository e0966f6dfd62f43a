"""One weight per batch, as in the public code since January 2023: v*(lbar) for the batch's mean loss lbar.

Its gradients are unbiased for E F(lbar_B), an objective that depends on the batch size (Jensen; reverse martingale):

    mean F(l) = B 1  <=  E F(lbar_B)  <=  F(mean l),      nondecreasing in B.

Within a batch nothing is selected: a step is a plain step on the same batch, its length multiplied by v*(lbar). In the
mean over batches this is no plain step, because v*(lbar) depends on the batch. Large batches tend to one:

    F(mean l) - E F(lbar_B)  <=  1/2 max |F''| Var(lbar_B),      Var(lbar_B) = Var(l) / B (n - B) / (n - 1).
"""

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import torch
from torch import nn

from analysis.checks import Check, check, validate
from analysis.theory.algebra import symbolic
from analysis.theory.toys.controls import ConvexLoss
from analysis.theory.toys.problems import Losses
from cudfkd.curriculum import Curriculum, weigh
from cudfkd.losses import kl
from cudfkd.regularizers import Linear, Regularizer

MODES = ("sample", "batch", "none")


def expected_objective(reg: Regularizer | str, lam: float, losses: Losses, batch: int) -> float:
    """E F(lbar_B) over every batch of `batch` of the losses, without replacement; exact.

    Raises:
        ConfigError: batch outside 1 ... n, losses negative or not finite.
    """
    reg, losses = validate.known(reg), validate.losses(losses)
    n = len(losses)
    validate.within("batch", validate.count("batch", batch), 1, n + 1)
    chosen = torch.tensor(list(combinations(range(n), batch)))
    return float(reg.latent(losses[chosen].mean(1), lam).mean())


def sandwich(reg: Regularizer | str, lam: float, problems: Sequence[Losses]) -> Check:
    """mean F <= E F(lbar_B) <= F(mean), and nondecreasing in B. The control is a convex F, for which all signs turn."""
    right, wrong = [], []
    for losses in problems:
        for found, kind in ((right, validate.known(reg)), (wrong, ConvexLoss())):
            values, low, high = ladder(kind, lam, losses)
            found += [one - two for one, two in pairwise((*values, high))]
            found += [abs(float(values[0]) - low)]
    return check("batch size is a knob", "E F(lbar_B) rises with B from mean F to F(mean)", "batch weight", right,
                 ("convex F", wrong), claims=("C4",))  # fmt: skip


def near_the_limit(reg: Regularizer | str, lam: float, problems: Sequence[Losses]) -> Check:
    """F(mean) - E F(lbar_B) <= 1/2 max |F''| Var(lbar_B) for every batch size B < n, by Taylor's theorem at the mean.

    The regularizer linear attains it while all losses are below lambda, where F'' is constant. The control halves the
    bound.

    Raises:
        ConfigError: max |F''| is infinite, as for hard.
    """
    known, half_bend = validate.known(reg), symbolic.curvature(reg, lam) / 2
    if not np.isfinite(half_bend):
        validate.refuse("max |F''|", half_bend, f"finite: for {known.name} the bound is void")
    cases = [(known, half_bend, losses) for losses in problems]
    cases += [(Linear(), 0.5 / lam, lam * losses / (2 * losses.max())) for losses in problems]
    gaps, room = np.array([pair for kind, bend, losses in cases for pair in _gaps(kind, lam, bend, losses)]).T
    statement = "F(mean l) - E F(lbar_B) <= max |F''| Var(lbar_B) / 2"
    control = ("half of the bound", gaps - room / 2)
    return check("large batches are near the limit", statement, "batch weight", gaps - room, control, claims=("C4",))


def _gaps(reg: Regularizer, lam: float, half_bend: float, losses: Losses) -> list[tuple[float, float]]:
    """The gap and its bound for each batch size B < n."""
    values, _, high = ladder(reg, lam, losses)
    n, variance = len(losses), float(losses.var(correction=0))
    sizes = np.arange(1, n)
    return list(zip(high - values[:-1], half_bend * variance / sizes * (n - sizes) / (n - 1), strict=True))


def ladder(reg: Regularizer | str, lam: float, losses: Losses) -> tuple[np.ndarray, float, float]:
    """E F(lbar_B) for B = 1 ... n, and the ends of the sandwich, mean F(l) and F(mean l), computed on their own."""
    values = np.array([expected_objective(reg, lam, losses, batch) for batch in range(1, len(losses) + 1)])
    known = validate.known(reg)
    return values, float(known.latent(losses, lam).mean()), float(known.latent(losses.mean(), lam))


def as_learning_rate(seed: int = 0, steps: int = 100, lam: float = 2.0) -> Check:
    """A weight per batch is plain distillation at the learning rate eta v_k: the largest difference of parameters.

    Float64, SGD without momentum or decay. The control adds weight decay, which the smaller rate would shrink as well.
    """
    apart = [_apart(seed, steps, lam, decay) for decay in (0.0, 0.1)]
    statement = "theta_k(scalar v, eta) = theta_k(plain, eta v_k) on the same batches"
    return check("one weight per batch is a learning rate", statement, "batch weight", [apart[0]],
                 ("with weight decay", [apart[1]]), tolerance=1e-12)  # fmt: skip


def corrupted_pool(
    seed: int, mode: str, lam: float = 2.0, share: float = 0.3, steps: int = 400, lr: float = 0.2, n: int = 512
) -> dict[str, float]:
    """A student on a fixed pool, full batch; a share of the teacher's answers has its logits moved on by one class.

    Returns: agreement with the true teacher on held-out inputs; mean weight of clean and corrupted samples at the end.

    Raises:
        ConfigError: an unknown mode, no step, or a seed below 0.
    """
    if mode not in MODES:
        validate.refuse("mode", mode, f"one of {', '.join(MODES)}")
    validate.count("steps", steps)
    rng = torch.Generator().manual_seed(validate.seed(seed))
    x, held = (torch.randn(count, 8, generator=rng, dtype=torch.float64) for count in (n, 1000))
    teacher, student = 6 * torch.randn(8, 5, generator=rng, dtype=torch.float64), _network(rng, 48)
    answers, truth = x @ teacher, (held @ teacher).argmax(1)
    wrong = round(share * n)
    answers[:wrong] = answers[:wrong].roll(1, dims=1)
    curriculum = Curriculum(granularity=mode)  # pyright: ignore[reportArgumentType]
    optimizer = torch.optim.SGD(student.parameters(), lr)
    weights = torch.ones(n)
    for _ in range(steps):
        objective, weights = weigh(curriculum, kl(answers, student(x)), lam)
        optimizer.zero_grad()
        objective.backward()
        optimizer.step()
    with torch.no_grad():
        agreement = float((student(held).argmax(1) == truth).double().mean())
    clean, corrupted = float(weights[wrong:].mean()), float(weights[:wrong].mean())
    return {"agreement": agreement, "clean": clean, "corrupted": corrupted}


def corrupted_table(seeds: Sequence[int], steps: int = 400, lam: float = 2.0) -> pd.DataFrame:
    """A row a seed and granularity: agreement, and the mean weights of clean and corrupted samples.

    Raises:
        ConfigError: no seed; or as `corrupted_pool`.
    """
    validate.count("number of seeds", len(seeds))
    rows = [
        {"seed": seed, "granularity": mode} | corrupted_pool(seed, mode, lam, steps=steps)
        for seed in seeds
        for mode in MODES
    ]
    return pd.DataFrame(rows)


def _apart(seed: int, steps: int, lam: float, decay: float) -> float:
    rng = torch.Generator().manual_seed(validate.seed(seed))
    x, teacher = torch.randn(256, 8, generator=rng, dtype=torch.float64), _network(rng, 32)
    first = _network(rng, 16)
    second = _network(rng, 16)
    second.load_state_dict(first.state_dict())
    scalar, plain = (torch.optim.SGD(one.parameters(), 0.5, weight_decay=decay) for one in (first, second))
    with torch.no_grad():
        answers = 4 * teacher(x)
    for rows in torch.randint(256, (steps, 32), generator=rng):
        weighed = weigh(Curriculum(granularity="batch"), kl(answers[rows], first(x[rows])), lam)
        alone = weigh(Curriculum(granularity="none"), kl(answers[rows], second(x[rows])), lam)
        plain.param_groups[0]["lr"] = 0.5 * float(weighed.weights[0])
        for optimizer, objective in ((scalar, weighed.objective), (plain, alone.objective)):
            optimizer.zero_grad()
            objective.backward()
            optimizer.step()
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return float(np.max([float((a - b).detach().abs().max()) for a, b in pairs]))


def _network(rng: torch.Generator, hidden: int) -> nn.Sequential:
    """8 inputs, tanh, 5 logits; weights from `rng`."""
    network = nn.Sequential(nn.Linear(8, hidden), nn.Tanh(), nn.Linear(hidden, 5)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            fan = parameter.shape[-1] if parameter.ndim > 1 else hidden
            parameter.copy_(torch.randn(parameter.shape, generator=rng, dtype=torch.float64) / fan**0.5)
    return network
