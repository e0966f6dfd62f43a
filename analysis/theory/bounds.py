"""The right sides of T2 to T14, each in one place.

The checks compare measured left sides with these functions. A test makes each function wrong by 10 %, in the direction
in which the theorem would claim too much, and demands that a check sees it.

Symbols: eta a step length, L a curvature, c the share of a step that a descent gains (Armijo's constant), beta the
momentum factor.
"""

from math import exp, expm1

import torch
from torch import Tensor

from cudfkd.regularizers import Regularizer


def bregman(weight_change: Tensor, loss_change: Tensor) -> Tensor:
    """T2: the most that D can be, |v' - v| |l' - l|."""
    return weight_change.abs() * loss_change.abs()


def step_drop(eta: float, curvature: float, squared: float) -> float:
    """T3: the least that a step lowers Phi, eta (1 - L eta / 2) |grad Phi|^2."""
    return eta * (1 - curvature * eta / 2) * squared


def armijo_step(first: float, c: float, curvature: float) -> float:
    """T4: the shortest step to which Armijo's rule halves, min(first, (1 - c) / L)."""
    return min(first, (1 - c) / curvature)


def exact_drop(curvature: float, squared: float) -> float:
    """T4: the least that the minimiser of Q lowers Phi, |grad Phi|^2 / (2 L)."""
    return squared / (2 * curvature)


def mean_squared(available: float, c: float, lengths: float) -> float:
    """T4 and T5: the most that the mean of |grad Phi|^2 can be, weighted by step lengths.

    Arguments:
        available: the fall of Phi, or the first Phi plus the budget of growth.
        lengths: the sum of the step lengths.
    """
    return available / (c * lengths)


def growth_budget(reg: Regularizer, first: float, last: float, most: float) -> float:
    """T5: the most that growing from lambda = first to last lifts Phi, F_last(M) - F_first(M) for losses <= M."""
    loss = torch.tensor([most], dtype=torch.float64)
    return float(reg.latent(loss, last) - reg.latent(loss, first))


def largest_loss(most: float) -> float:
    """T5: the most that the budget can be, M itself."""
    return most


def missing_gradient(missing: Tensor, slopes: Tensor) -> float:
    """T5': the most that grad Phi differs from the gradient of plain distillation, mean (1 - v_i) |grad l_i|."""
    return float((missing * slopes).mean())


def missing_at_most(missing: float, steepest: float) -> float:
    """T5': the same with the largest loss M and the bound C of the loss gradients: (1 - v*(M)) C."""
    return missing * steepest


def log_tail(most: float, lam: float) -> float:
    """T5' for log: the most that 1 - v*(M) can be, e^-lambda (e^M - 1)."""
    return exp(-lam) * expm1(most)


def coupled(weights: Tensor, change: Tensor) -> float:
    """T6: the most that |Gamma| can be, E v*(min(l, l')) |l' - l|."""
    return float((weights * change.abs()).mean())


def plain_change(change: Tensor) -> float:
    """T6: the most that the coupled bound can be, E |l' - l|."""
    return float(change.abs().mean())


def transport(lipschitz: float, distance: float) -> float:
    """T6: the most that |Gamma| can be, Lip(l) W1(P, P')."""
    return lipschitz * distance


def moved_mass(limit: float, total_variation: float) -> float:
    """T6: the most that |Gamma| can be, F(infinity) TV(P, P')."""
    return limit * total_variation


def noise_rise(eta: float, curvature: float, variance: float) -> float:
    """T7: the most that the noise of a batch adds to E Phi, L eta^2 / 2 Var(grad Phi_B)."""
    return curvature * eta**2 / 2 * variance


def batch_variance(variance: float, batch: int, n: int) -> float:
    """T7: the variance of grad Phi_B, drawn without replacement from n samples: sigma^2 / B (n - B) / (n - 1)."""
    return variance / batch * (n - batch) / (n - 1)


def energy_drop(eta: float, curvature: float, beta: float, squared: float) -> float:
    """T8: the least that a step lowers the energy, eta (1 - beta - L eta / 2) |m'|^2."""
    return eta * (1 - beta - curvature * eta / 2) * squared


def gradient_sum(available: float, eta: float, curvature: float, beta: float) -> float:
    """T8: the most that sum |grad Phi_k|^2 can be at constant eta, (1 + beta)^2 Phi_0 / [eta (1 - beta - L eta / 2)].

    Arguments:
        available: Phi_0 - inf Phi.
    """
    return (1 + beta) ** 2 * available / (eta * (1 - beta - curvature * eta / 2))


def kappa(product: float, beta: float = 0.0) -> float:
    """T10: the constant (1 - beta)^2 / (1 - beta - L eta / 2) + 2 beta, for `product` = L eta."""
    return (1 - beta) ** 2 / (1 - beta - product / 2) + 2 * beta


def batch_noise(eta: float, curvature: float, beta: float, variance: float) -> float:
    """T10: the most that the noise of a batch adds in the mean, eta / 2 (L eta + beta) Var(grad Phi_B)."""
    return eta / 2 * (curvature * eta + beta) * variance


def linear_drop(modulus: float, weight: float, eta: float, curvature: float) -> float:
    """T11: the least share of Phi that a step takes away, 2 mu v_min^2 eta (1 - L eta / 2)."""
    return 2 * modulus * weight**2 * eta * (1 - curvature * eta / 2)


def path_loss(at_start: float) -> float:
    """T11: the largest loss that the path can meet, F^-1(n Phi_0) itself."""
    return at_start


def batch_growth(steepest: float, modulus: float, weight: float) -> float:
    """T11: the most that E |grad Phi_B|^2 / |grad Phi|^2 can be under PL, for losses of curvature up to `steepest`."""
    return steepest / (modulus * weight**2)


def activity(alpha: float, top: float, bottom: float) -> float:
    """T13: the most that div_f can be, alpha f(1 / alpha) + (1 - alpha) f(0).

    Arguments:
        top, bottom: f(1 / alpha) and f(0).
    """
    return alpha * top + (1 - alpha) * bottom


def price(most: float, cost: float) -> float:
    """T14: the most that J at the minimiser of Phi can be in units of inf J, M / F(M).

    Arguments:
        most, cost: M and F(M).
    """
    return most / cost
