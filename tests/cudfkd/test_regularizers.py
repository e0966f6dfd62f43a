from dataclasses import dataclass
from math import e, exp, inf, log, log1p, nan, sqrt

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from cudfkd import regularizers
from cudfkd.base.errors import ConfigError
from cudfkd.regularizers import (
    L1L2,
    Cauchy,
    Hard,
    Huber,
    JiangLog,
    Linear,
    Logistic,
    Mixture,
    Polynomial,
    Regularizer,
    Welsch,
    get,
)

EPS = {torch.float32: 2**-23, torch.float64: 2**-52}
TEN = [Hard(), Linear(), Logistic(), Polynomial(), Mixture(), JiangLog(), Welsch(), Cauchy(), L1L2(), Huber()]
SHAPED = [*TEN, Polynomial(t=1.5), Polynomial(t=8.0), Mixture(ratio=0.1), Mixture(ratio=0.9)]
UNBOUNDED = (Cauchy, L1L2, Huber)
LOSSES = torch.tensor([0.0, 1e-6, 1e-3, 0.03, 0.1, 0.27, 0.49, 0.8, 1.3, 1.9, 2.9, 4.2, 7.7, 13.0, 40.0]).double()


def ordinary_lams(reg: Regularizer) -> tuple[float, ...]:
    return (0.05, 0.5, 0.99) if isinstance(reg, JiangLog) else (0.3, 2.0, 12.0)


def extreme_lams(reg: Regularizer) -> tuple[float, ...]:
    if isinstance(reg, JiangLog):
        return (1e-3, 0.1, 0.5, 0.999)
    return (1e-3, 0.1, 2.0, 1e3)


def kinks(reg: Regularizer, lam: float) -> list[float]:
    """Losses at which F is not smooth."""
    if isinstance(reg, Mixture):
        return [reg.ratio * lam, lam]
    return [lam] if isinstance(reg, Hard | Linear | Polynomial | JiangLog | Huber) else []


def table(regs: list[Regularizer], lams) -> list:
    return [pytest.param(reg, lam, id=f"{reg}-{lam:g}") for reg in regs for lam in lams(reg)]


ordinary = pytest.mark.parametrize(("reg", "lam"), table(SHAPED, ordinary_lams))
extreme = pytest.mark.parametrize(("reg", "lam"), table(SHAPED, extreme_lams))
every = pytest.mark.parametrize("reg", SHAPED, ids=str)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def probe(reg: Regularizer, lam: float, dtype: torch.dtype) -> torch.Tensor:
    """Losses from 0 to 1e4 in rising order, with the kinks and their neighbours."""
    points = torch.tensor([*kinks(reg, lam), 1.0, lam], dtype=dtype)
    around = [points, points.nextafter(points * 0), points.nextafter(points * 2)]
    grid = torch.logspace(-8, 4, 121, dtype=torch.float64).to(dtype)
    return torch.cat([torch.zeros(1, dtype=dtype), grid, *around]).clamp(max=1e4).unique()


def brute_force(reg: Regularizer, losses: torch.Tensor, lam: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Argmin and minimum over v in [0, 1] of v l + g(v), by search on a grid, refined once around the best point."""
    grid = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    coarse = grid[(losses[:, None] * grid + reg.penalty(grid, lam)).argmin(1)]
    step = 2 / 20_000
    fine = (coarse[:, None] + step * torch.linspace(-1, 1, 2_001, dtype=torch.float64)).clamp(0, 1)
    values = losses[:, None] * fine + torch.stack([reg.penalty(row, lam) for row in fine])
    return fine.gather(1, values.argmin(1, keepdim=True)).squeeze(1), values.amin(1)


def gradient(function, losses: torch.Tensor, lam: float) -> torch.Tensor:
    losses = losses.clone().requires_grad_()
    out = function(losses, lam)
    if not out.requires_grad:  # a step function
        return torch.zeros_like(losses)
    return torch.autograd.grad(out.sum(), losses)[0]


@dataclass(frozen=True)
class WrongWelsch(Welsch):
    """A regularizer with a weight that is twice as steep as its penalty and latent loss imply."""

    def weight(self, loss, lam):
        return torch.exp(-2 * loss / lam)


# Relations of the three functions


def weight_error(reg: Regularizer, lam: float) -> float:
    return float((reg.weight(LOSSES, lam) - brute_force(reg, LOSSES, lam)[0]).abs().max())


@ordinary
def test_weight_is_the_minimiser(reg, lam):
    assert weight_error(reg, lam) < 1e-5


@ordinary
def test_latent_is_the_minimum(reg, lam):
    torch.testing.assert_close(reg.latent(LOSSES, lam), brute_force(reg, LOSSES, lam)[1], rtol=0, atol=2e-6)


@ordinary
def test_no_weight_does_better_than_the_latent(reg, lam):
    v = torch.linspace(0, 1, 1_001, dtype=torch.float64)
    surplus = LOSSES[:, None] * v + reg.penalty(v, lam) - reg.latent(LOSSES, lam)[:, None]
    assert surplus.min() > -1e-12


def test_a_wrong_weight_is_not_the_minimiser():
    assert weight_error(Welsch(), 2.0) < 1e-5
    assert weight_error(WrongWelsch(), 2.0) > 0.1


def integral_error(reg: Regularizer, lam: float) -> float:
    def weight(at: float) -> float:
        return float(reg.weight(torch.tensor([at], dtype=torch.float64), lam))

    error = 0.0
    for loss in (0.04, 0.27, 0.8, 2.9, 13.0):
        inside = [kink for kink in kinks(reg, lam) if 0 < kink < loss]
        area, _ = quad(weight, 0, loss, points=inside or None, epsabs=1e-10, epsrel=1e-10, limit=200)
        error = max(error, abs(float(reg.latent(torch.tensor([loss], dtype=torch.float64), lam)) - area))
    return error


@ordinary
def test_latent_is_the_integral_of_the_weight(reg, lam):
    assert integral_error(reg, lam) < 1e-8


def test_the_integral_of_a_wrong_weight_is_not_the_latent():
    assert integral_error(WrongWelsch(), 2.0) > 0.1


@extreme
def test_slope_of_the_latent_is_the_weight(reg, lam):
    losses = probe(reg, lam, torch.float64)
    for kink in kinks(reg, lam):
        losses = losses[(losses / kink - 1).abs() > 1e-9]
    torch.testing.assert_close(gradient(reg.latent, losses, lam), reg.weight(losses, lam), rtol=1e-9, atol=1e-9)


@extreme
def test_slope_of_the_latent_is_the_weight_in_float32(reg, lam):
    losses = probe(reg, lam, torch.float32)
    for kink in kinks(reg, lam):
        losses = losses[(losses / kink - 1).abs() > 1e-3]
    close = 3e-4 if isinstance(reg, JiangLog) else 1e-5  # it divides by ln(1 - lambda), which is tiny when lambda is
    torch.testing.assert_close(gradient(reg.latent, losses, lam), reg.weight(losses, lam), rtol=close, atol=close)


@every
def test_slope_of_the_latent_in_lambda(reg):
    lam = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    losses = torch.tensor([0.01, 0.2, 0.5, 0.9, 3.0], dtype=torch.float64)
    h = 1e-6
    for loss in losses:
        (slope,) = torch.autograd.grad(reg.latent(loss, lam), lam)
        numeric = (reg.latent(loss, 0.6 + h) - reg.latent(loss, 0.6 - h)) / (2 * h)
        torch.testing.assert_close(slope, numeric, rtol=0, atol=1e-8)


# Ends


@extreme
@each_dtype
def test_latent_of_no_loss_is_exactly_0(reg, lam, dtype):
    assert reg.latent(torch.zeros(3, dtype=dtype), lam).tolist() == [0, 0, 0]


@extreme
@each_dtype
def test_weight_of_no_loss_is_1(reg, lam, dtype):
    assert float(reg.weight(torch.zeros((), dtype=dtype), lam)) == pytest.approx(1, abs=16 * EPS[dtype])


@extreme
@each_dtype
def test_penalty_of_full_weight_is_0(reg, lam, dtype):
    assert float(reg.penalty(torch.ones((), dtype=dtype), lam)) == pytest.approx(0, abs=4 * EPS[dtype] * max(lam, 1))


@extreme
def test_penalty_is_convex_and_falls_to_0(reg, lam):
    g = reg.penalty(torch.linspace(0.01, 1, 500, dtype=torch.float64), lam)
    assert (g.diff() <= 1e-12 * lam).all()
    assert (g.diff().diff() >= -1e-12 * max(lam, 1)).all()


@extreme
def test_limit_is_the_latent_of_a_huge_loss_and_the_penalty_of_no_weight(reg, lam):
    limit = float(reg.latent_limit(lam))
    if isinstance(reg, UNBOUNDED):
        assert limit == inf
        assert float(reg.penalty(torch.zeros((), dtype=torch.float64), lam)) == inf
        assert float(reg.latent(torch.tensor(1e300, dtype=torch.float64), lam)) > 600 * lam
    else:
        assert float(reg.latent(torch.tensor(1e9, dtype=torch.float64), lam)) == pytest.approx(limit, rel=1e-9)
        assert float(reg.penalty(torch.zeros((), dtype=torch.float64), lam)) == pytest.approx(limit, rel=1e-9)


def test_who_is_unbounded():
    names = {reg.name for reg in TEN if float(reg.latent_limit(0.5)) == inf}
    assert names == {"cauchy", "l1-l2", "huber"}


@every
@each_dtype
def test_limit_is_a_scalar_in_the_dtype_of_lambda(reg, dtype):
    assert reg.latent_limit(0.5).shape == ()
    assert reg.latent_limit(0.5).dtype == torch.float64
    limit = reg.latent_limit(torch.tensor(0.5, dtype=dtype))
    assert limit.shape == ()
    assert limit.dtype == dtype
    assert float(limit) == pytest.approx(float(reg.latent_limit(0.5)), rel=1e-6)


# Order and range


@extreme
@each_dtype
def test_weight_falls_from_1_to_0(reg, lam, dtype):
    weight = reg.weight(probe(reg, lam, dtype), lam)
    slack = 4 * EPS[dtype]
    assert weight.min() >= 0
    assert weight.max() <= 1 + slack
    assert (weight.diff() <= slack).all()


@extreme
def test_latent_rises_is_concave_and_below_the_loss(reg, lam):
    losses = torch.linspace(0, 3 * lam, 400, dtype=torch.float64)
    latent = reg.latent(losses, lam)
    assert (latent <= losses * (1 + 1e-9)).all()
    assert (latent.diff() >= -1e-12 * lam).all()
    assert (latent.diff().diff() <= 1e-12 * max(lam, 1)).all()


A3 = [reg for reg in SHAPED if not isinstance(reg, JiangLog)]


def rises_with_lambda(values: torch.Tensor) -> bool:
    return bool((values.diff(dim=0) >= -1e-12).all())


@pytest.mark.parametrize("reg", A3, ids=str)
def test_weight_and_latent_rise_with_lambda(reg):
    lams = (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0)
    assert rises_with_lambda(torch.stack([reg.weight(LOSSES, lam) for lam in lams]))
    assert rises_with_lambda(torch.stack([reg.latent(LOSSES, lam) for lam in lams]))


def test_jiang_log_does_not_rise_with_lambda():
    weights = torch.stack([JiangLog().weight(LOSSES, lam) for lam in (0.2, 0.5, 0.8, 0.9, 0.99, 0.999)])
    assert not rises_with_lambda(weights)


# Floating point


@extreme
@each_dtype
def test_all_is_finite(reg, lam, dtype):
    losses = probe(reg, lam, dtype)
    assert losses[0] == 0
    assert losses[-1] == 1e4
    assert torch.tensor(lam, dtype=dtype) in losses
    for pace in (lam, torch.tensor(lam, dtype=dtype)):
        assert reg.weight(losses, pace).isfinite().all()
        assert reg.latent(losses, pace).isfinite().all()
        assert gradient(reg.latent, losses, pace).isfinite().all()
        assert gradient(reg.weight, losses, pace).isfinite().all()


@each_dtype
def test_jiang_log_is_finite_up_to_the_end_of_its_domain(dtype):
    losses, lam = torch.tensor([0.0, 1e-6, 1e-3, 0.5, 1.0, 1e4], dtype=dtype), 1 - 1e-8  # 1 in float32
    weight, latent = JiangLog().weight(losses, lam), JiangLog().latent(losses, lam)
    assert weight.isfinite().all()
    assert weight[0] == pytest.approx(1)
    assert latent.isfinite().all()


@extreme
def test_float32_is_close_to_float64(reg, lam):
    lam = float(torch.tensor(lam))  # the same number in both
    losses = probe(reg, lam, torch.float32)
    losses = losses[losses >= 1e-6]
    if isinstance(reg, Hard):  # a step has no neighbourhood
        assert torch.equal(reg.weight(losses, lam).double(), reg.weight(losses.double(), lam))
    # near its end the root of Polynomial turns an error of eps in l / lambda into eps ** (1 / (t - 1))
    far = losses if not isinstance(reg, Polynomial) else losses[(losses / lam - 1).abs() > 1e-2]
    weight, exact = reg.weight(far, lam), reg.weight(far.double(), lam)
    torch.testing.assert_close(weight.double(), exact, rtol=0, atol=5e-6 if isinstance(reg, JiangLog) else 1e-6)
    relative = 3e-4 if isinstance(reg, JiangLog) else 1e-6
    torch.testing.assert_close(
        reg.latent(losses, lam).double(), reg.latent(losses.double(), lam), rtol=relative, atol=0
    )


@every
def test_small_losses_are_their_own_latent_in_float32(reg):
    losses = torch.tensor([1e-8, 1e-7, 1e-6, 1e-5])
    torch.testing.assert_close(reg.latent(losses, 0.5), losses, rtol=1e-4, atol=0)


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3)], ids=str)
def test_shape_and_dtype_are_kept(reg, dtype, shape):
    x = torch.rand(shape).to(dtype)
    for lam in (0.7, torch.tensor(0.7, dtype=dtype), torch.tensor(0.7), torch.tensor(0.7).double()):
        for function in (reg.weight, reg.latent, reg.penalty):
            out = function(x, lam)
            assert (out.shape, out.dtype) == (x.shape, dtype), (function.__name__, lam)


@extreme
@each_dtype
def test_lambda_may_be_a_number_or_a_tensor(reg, lam, dtype):
    tensor = torch.tensor(lam, dtype=dtype)
    losses, v = probe(reg, lam, dtype), torch.linspace(0.01, 1, 50, dtype=dtype)
    # from the number that the tensor holds; lambda rounded may be another one
    number = float(tensor)
    close = {"rtol": 1e-6, "atol": 1e-6 * max(lam, 1)} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(reg.weight(losses, number), reg.weight(losses, tensor), **close)
    torch.testing.assert_close(reg.latent(losses, number), reg.latent(losses, tensor), **close)
    torch.testing.assert_close(reg.penalty(v, number), reg.penalty(v, tensor), **close)


@every
def test_inputs_are_left_alone(reg):
    losses, lam = LOSSES.clone(), torch.tensor(0.6, dtype=torch.float64)
    v = torch.linspace(0, 1, 9, dtype=torch.float64)
    first = [reg.weight(losses, lam), reg.latent(losses, lam), reg.penalty(v, lam), reg.latent_limit(lam)]
    again = [reg.weight(losses, lam), reg.latent(losses, lam), reg.penalty(v, lam), reg.latent_limit(lam)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(losses, LOSSES)
    assert torch.equal(v, torch.linspace(0, 1, 9, dtype=torch.float64))
    assert lam == 0.6


# Numbers worked out by hand from the formulas of the papers


@pytest.mark.parametrize(
    ("reg", "lam", "loss", "weight", "latent"),
    [
        (Hard(), 2.0, 1.0, 1, 1),
        (Hard(), 2.0, 2.0, 0, 2),
        (Hard(), 2.0, 3.0, 0, 2),
        (Linear(), 2.0, 1.0, 0.5, 0.75),
        (Linear(), 2.0, 4.0, 0, 1),
        (Logistic(), 2.0, 2.0, (1 + e**-2) / 2, (1 + e**-2) * log((1 + e**2) / 2)),
        (Logistic(), 2.0, 5.0, (1 + e**-2) / (1 + e**3), (1 + e**-2) * log((1 + e**-2) / (e**-5 + e**-2))),
        (Logistic(), 2.0, 8.0, 0.0028, None),
        (Logistic(), 2.0, 15.0, 2.6e-6, None),
        (Logistic(), 1e-9, 1.0, 2 / (1 + e), None),
        (Polynomial(t=3.0), 4.0, 3.0, 0.5, 7 / 3),
        (Polynomial(t=1.5), 2.0, 1.0, 0.25, 7 / 12),
        (Polynomial(t=3.0), 4.0, 5.0, 0, 8 / 3),
        (Mixture(ratio=0.5), 2.0, 0.9, 1, 0.9),
        (Mixture(ratio=0.5), 2.0, 1.6, 0.25, 0.4 + 2 * log(1.6)),
        (Mixture(ratio=0.5), 2.0, 5.0, 0, 2 * log(2)),
        (Mixture(ratio=0.25), 4.0, 2.0, 1 / 3, 2 / 3 + 4 / 3 * log(2)),
        (JiangLog(), 0.5, 0.25, log(0.75) / log(0.5), (0.75 * log(0.75) - 0.25 - 0.5 * log(0.5)) / log(0.5)),
        (JiangLog(), 0.2, 0.1, 0.472, None),
        (JiangLog(), 0.5, 0.1, 0.737, None),
        (JiangLog(), 0.8, 0.1, 0.748, None),
        (JiangLog(), 0.99, 0.1, 0.479, None),
        (JiangLog(), 0.999, 0.1, 0.332, None),
        (JiangLog(), 0.5, 0.6, 0, (log(2) / 2 - 0.5) / log(0.5)),
        (Welsch(), 2.0, 2.0, exp(-1), 2 * (1 - exp(-1))),
        (Cauchy(), 2.0, 2.0, 0.5, 2 * log(2)),
        (L1L2(), 1.0, 3.0, 0.5, 2),
        (Huber(), 1.0, 0.5, 1, 0.5),
        (Huber(), 1.0, 4.0, 0.5, 3),
    ],
)  # fmt: skip
def test_values_by_hand(reg, lam, loss, weight, latent):
    at = torch.tensor(loss, dtype=torch.float64)
    digits = 0.02 if isinstance(reg, Logistic | JiangLog) and latent is None and weight < 0.1 else 1e-3
    assert float(reg.weight(at, lam)) == pytest.approx(weight, rel=1e-6 if latent is not None else digits)
    if latent is not None:
        assert float(reg.latent(at, lam)) == pytest.approx(latent, rel=1e-6)


@pytest.mark.parametrize(
    ("reg", "lam", "v", "penalty"),
    [
        (Hard(), 2.0, 0.25, 1.5),
        (Linear(), 2.0, 0.5, 0.25),
        (Logistic(), 2.0, 0.5, 0.6353353 * log(0.6353353) + 0.5 * log(0.5) + 2 * 0.6353353),
        (Polynomial(t=3.0), 4.0, 0.5, 5 / 6),
        (Mixture(ratio=0.5), 2.0, 0.5, 2 * log(2 / 1.5)),
        (JiangLog(), 0.5, 0.5, 0.5 * -0.5 + 0.5 * (1 - sqrt(2)) / log(0.5)),
        (Welsch(), 2.0, 0.5, 2 * (0.5 * log(0.5) + 0.5)),
        (Cauchy(), 2.0, 0.5, 2 * (log(2) - 0.5)),
        (L1L2(), 2.0, 0.5, 1),
        (Huber(), 2.0, 0.5, 2),
    ],
)  # fmt: skip
def test_penalties_by_hand(reg, lam, v, penalty):
    assert float(reg.penalty(torch.tensor(v, dtype=torch.float64), lam)) == pytest.approx(penalty, rel=1e-6)


@pytest.mark.parametrize(
    ("reg", "lam", "limit"),
    [
        (Hard(), 3.0, 3),
        (Linear(), 3.0, 1.5),
        (Logistic(), 2.0, (1 + e**-2) * log(1 + e**2)),
        (Polynomial(t=3.0), 3.0, 2),
        (Mixture(ratio=0.5), 2.0, 2 * log(2)),
        (JiangLog(), 0.5, (0.5 - 1 - 0.5 * log(0.5)) / log(0.5)),
        (Welsch(), 3.0, 3),
    ],
)  # fmt: skip
def test_limits_by_hand(reg, lam, limit):
    assert float(reg.latent_limit(lam)) == pytest.approx(limit, rel=1e-12)


# Documented properties of single regularizers


@pytest.mark.parametrize("lam", [0.3, 1.0, 2.0, 8.0])
def test_logistic_half_weight_loss(lam):
    half = torch.tensor(lam + log(1 + 2 * exp(-lam)), dtype=torch.float64)
    assert float(Logistic().weight(half, lam)) == pytest.approx(0.5, rel=1e-12)
    assert float(Logistic().weight(torch.tensor(lam, dtype=torch.float64), lam)) == pytest.approx(
        (1 + exp(-lam)) / 2, rel=1e-12
    )


def distance_from_cap(lam: float) -> float:
    losses = torch.linspace(0, lam + 40, 20_001, dtype=torch.float64)
    return float((Logistic().latent(losses, lam) - losses.clamp(max=lam)).abs().max())


@pytest.mark.parametrize("lam", [1.225, 1.5, 2.0, 5.0, 8.0, 30.0])
def test_logistic_is_a_smooth_cap(lam):
    assert distance_from_cap(lam) < log(2)


@pytest.mark.parametrize(("lam", "distance"), [(2.0, 0.415), (5.0, 0.657), (8.0, 0.690), (1.0, 0.796)])
def test_logistic_distance_from_the_cap(lam, distance):
    assert distance_from_cap(lam) == pytest.approx(distance, abs=6e-4)


def test_logistic_below_1_22_is_no_cap_within_ln_2():
    assert distance_from_cap(1.22) > log(2)


def test_logistic_weight_does_not_vanish_with_lambda():
    weight = Logistic().weight(LOSSES, 1e-9)
    torch.testing.assert_close(weight, 2 / (1 + LOSSES.exp()), rtol=1e-8, atol=0)


@pytest.mark.parametrize("lam", [0.5, 1.0, 2.0, 5.0])
def test_logistic_tail_bound(lam):
    lost = LOSSES - Logistic().latent(LOSSES, lam)
    assert (lost >= -1e-15).all()
    assert (lost <= exp(-lam) * (LOSSES.expm1() - LOSSES) * (1 + 1e-9) + 1e-15).all()


def test_logistic_slope_in_lambda_is_bounded():
    for value in (0.1, 1.0, 2.0, 5.0):
        lam = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        bound = 1 - exp(-value) * (value + log1p(exp(-value)))
        for loss in LOSSES:
            (slope,) = torch.autograd.grad(Logistic().latent(loss, lam), lam)
            assert -1e-15 <= float(slope) <= bound + 1e-12


@pytest.mark.parametrize("lam", [0.3, 1.0, 12.0])
def test_polynomial_of_2_is_linear(lam):
    square, linear = Polynomial(t=2.0), Linear()
    v = torch.linspace(0, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(square.weight(LOSSES, lam), linear.weight(LOSSES, lam), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(square.latent(LOSSES, lam), linear.latent(LOSSES, lam), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(square.penalty(v, lam), linear.penalty(v, lam), rtol=1e-12, atol=1e-12)
    assert float(square.latent_limit(lam)) == pytest.approx(float(linear.latent_limit(lam)))


def test_polynomial_tends_to_hard():
    away = LOSSES[(LOSSES / 2 - 1).abs() > 0.01]
    torch.testing.assert_close(Polynomial(t=1e7).weight(away, 2.0), Hard().weight(away, 2.0), rtol=0, atol=1e-5)


# Names


@pytest.mark.parametrize(
    ("name", "reg"),
    [
        ("hard", Hard()), ("linear", Linear()), ("soft", Linear()), ("log", Logistic()), ("logistic", Logistic()),
        ("polynomial", Polynomial(t=3.0)), ("mixture", Mixture(ratio=0.5)), ("jiang-log", JiangLog()),
        ("welsch", Welsch()), ("cauchy", Cauchy()), ("l1-l2", L1L2()), ("huber", Huber()),
    ],
)  # fmt: skip
def test_get(name, reg):
    assert get(name) == reg
    assert type(get(name)) is type(reg)
    assert name in regularizers.names()


def test_names_are_all_there_is():
    assert len(regularizers.names()) == len(set(regularizers.names())) == 12
    assert {type(get(name)) for name in regularizers.names()} == set(regularizers.ALL) == {type(reg) for reg in TEN}


@pytest.mark.parametrize(("name", "near"), [("logg", "log"), ("Huber", "huber"), ("cauchi", "cauchy")])
def test_unknown_name_suggests_the_nearest(name, near):
    with pytest.raises(ConfigError) as error:
        get(name)
    line = str(error.value)
    assert f"unknown regularizer {name!r}: did you mean {near!r}?" in line
    assert all(choice in line for choice in regularizers.names())
    assert "\n" not in line


def test_unknown_name_without_a_near_one():
    with pytest.raises(ConfigError, match="^unknown regularizer 'xyz': known: cauchy"):
        get("xyz")


@pytest.mark.parametrize("t", [1.0, 0.5, -3.0, nan, inf])
def test_polynomial_needs_t_above_1(t):
    with pytest.raises(ConfigError, match=rf"^t = {t!r} is not allowed: it must be greater than 1 and finite$"):
        Polynomial(t=t)


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5, 2.0, nan])
def test_mixture_needs_a_ratio_between_0_and_1(ratio):
    with pytest.raises(ConfigError, match=rf"^ratio = {ratio!r} is not allowed: it must be between 0 and 1$"):
        Mixture(ratio=ratio)


def test_brute_force_finds_a_known_minimum():
    """v l + (1 - v)^2 at l = 1 is least at v = 1/2, where it is 3/4."""
    v, value = brute_force(Linear(), torch.ones(1, dtype=torch.float64), 2.0)
    np.testing.assert_allclose([float(v), float(value)], [0.5, 0.75], atol=1e-6)
