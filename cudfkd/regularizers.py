"""Self-paced regularizers: the weight v in [0, 1] of a sample with loss l at pace lambda.

A regularizer is a convex penalty g(v; lambda) on the weight, normalised so that g(1) = 0. It defines

    weight    v*(l) = argmin over v of  v l + g(v)                                       (3)
    latent    F(l)  = min over v of     v l + g(v)  =  integral of v* from 0 to l,   F(0) = 0
    limit     F(inf) = g(0), the highest cost of a sample; may be infinite

The number is that of the equation on the site's start page. Sources: Kumar et al., 2010; Meng, Zhao and Jiang, 2017, "A
theoretical understanding of self-paced learning". Welsch, Cauchy, L1L2 and Huber are the implicit regularizers of Fan
et al., 2017.

All functions are pure: tensors in, tensors out. They take any float dtype and any device. They do not check values, as
a check would make the host wait for the device. In float32 and float64 the results are finite for l in [0, 1e4] and
lambda in [1e-3, 1e3]. JiangLog is defined for lambda in (0, 1) only. The formulas are written so that they are accurate
at small l.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf, log
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from cudfkd.base.errors import ConfigError, unknown

Lam = float | Tensor


class Regularizer(ABC):
    """Base class of the regularizers. A subclass gives the four formulas, with lambda as a 0-d tensor.

    loss: a float tensor of losses l >= 0, of any shape.
    v: a tensor of weights in [0, 1].
    lam: lambda, a float or a 0-d tensor.

    Results have the shape and dtype of the first argument. `latent_limit` gives a 0-d tensor, float64 for a float lam.
    """

    name: ClassVar[str]
    lam_below: ClassVar[float] = inf  # lambda must be smaller

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        """v*(l; lambda), in [0, 1], nonincreasing in l."""
        return self._weight(loss, _like(lam, loss))

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        """F(l; lambda), the loss that training with the weights descends; concave, nondecreasing, F(0) = 0."""
        return self._latent(loss, _like(lam, loss))

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        """g(v; lambda), normalised: min over v of v l + g(v) is F(l)."""
        return self._penalty(v, _like(lam, v))

    def latent_limit(self, lam: Lam) -> Tensor:
        """F(inf; lambda), the limit of the latent loss for large l."""
        return self._latent_limit(lam if isinstance(lam, Tensor) else torch.tensor(lam, dtype=torch.float64))

    @abstractmethod
    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor: ...

    @abstractmethod
    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor: ...

    @abstractmethod
    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor: ...

    @abstractmethod
    def _latent_limit(self, lam: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Hard(Regularizer):
    """Binary selection: g = lambda (1 - v), v* = 1[l < lambda], F = min(l, lambda). Kink at l = lambda."""

    name: ClassVar[str] = "hard"

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        return (loss < lam).to(loss.dtype)

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        return torch.minimum(loss, lam)

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        return lam * (1 - v)

    def _latent_limit(self, lam: Tensor) -> Tensor:
        return lam


@dataclass(frozen=True)
class Linear(Regularizer):
    """Soft selection: g = lambda (1 - v)^2 / 2, v* = (1 - l/lambda)+."""

    name: ClassVar[str] = "linear"

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        return (1 - loss / lam).clamp(min=0)

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        capped = torch.minimum(loss, lam)
        return capped * (1 - capped / (2 * lam))

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        return lam * (1 - v).square() / 2

    def _latent_limit(self, lam: Tensor) -> Tensor:
        return lam / 2


@dataclass(frozen=True)
class Logistic(Regularizer):
    """CuDFKD's "log": v* = (1 + e^-lambda) / (1 + e^(l - lambda)), equation (3). Not Jiang's "logarithmic".

    F = (1 + e^-lambda) ln[(1 + e^-lambda) / (e^-l + e^-lambda)]. F is smooth, and within ln 2 of min(l, lambda) for
    lambda >= 1.23. g = u ln u + v ln v + lambda u with u = 1 + e^-lambda - v. As lambda -> 0, v* tends to
    2 / (1 + e^l).
    """

    name: ClassVar[str] = "log"

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        return (1 + torch.exp(-lam)) * torch.sigmoid(lam - loss)

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        # `near` is accurate below 1, `far` from 1 on. The loss 0 keeps the gradient finite where `near` is not used.
        small = loss < 1
        near = -torch.log1p(torch.expm1(-torch.where(small, loss, 0.0)) * torch.sigmoid(lam))
        far = softplus(-lam) - torch.logaddexp(-loss, -lam)
        return (1 + torch.exp(-lam)) * torch.where(small, near, far)

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        mu = ((1 - v) + torch.exp(-lam)).clamp(min=0)
        return torch.xlogy(mu, mu) + torch.xlogy(v, v) + lam * mu

    def _latent_limit(self, lam: Tensor) -> Tensor:
        return (1 + torch.exp(-lam)) * (lam + torch.log1p(torch.exp(-lam)))


@dataclass(frozen=True)
class Polynomial(Regularizer):
    """g = lambda (v^nu/nu - v + 1 - 1/nu), v* = (1 - l/lambda)+^(1/(nu-1)), nu = `t` > 1. nu = 2 is Linear."""

    t: float = 3.0
    name: ClassVar[str] = "polynomial"

    def __post_init__(self) -> None:
        _check("t", self.t, 1 < self.t < inf, "greater than 1 and finite")

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        inside = loss < lam
        return torch.where(inside, (1 - torch.where(inside, loss, 0.0) / lam) ** (1 / (self.t - 1)), 0.0)

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        inside = loss < lam
        grown = -torch.expm1(torch.log1p(-torch.where(inside, loss, 0.0) / lam) * (self.t / (self.t - 1)))
        return lam * (self.t - 1) / self.t * torch.where(inside, grown, 1.0)

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        return lam * (v**self.t / self.t - v + 1 - 1 / self.t)

    def _latent_limit(self, lam: Tensor) -> Tensor:
        return lam * (self.t - 1) / self.t


@dataclass(frozen=True)
class Mixture(Regularizer):
    """Jiang et al. (2014), hard below the loss psi lambda and soft above it, with psi = `ratio`, 0 < psi < 1.

    v* = 1 for l <= psi lambda, u (lambda/l - 1) from there to lambda, and 0 from lambda on, with u = psi / (1 - psi).
    g = lambda u ln[(1 + u) / (v + u)].
    """

    ratio: float = 0.5
    name: ClassVar[str] = "mixture"

    def __post_init__(self) -> None:
        _check("ratio", self.ratio, 0 < self.ratio < 1, "between 0 and 1")

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        between = torch.maximum(loss, lam * self.ratio)
        return (self._z(lam) * (1 / between - 1 / lam)).clamp(0, 1)

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        low = lam * self.ratio
        between = torch.minimum(torch.maximum(loss, low), lam)
        return torch.minimum(loss, low) + self._z(lam) * (torch.log(between / low) - (between - low) / lam)

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        share = self.ratio / (1 - self.ratio)  # psi / (1 - psi)
        return self._z(lam) * torch.log((1 + share) / (v + share))

    def _latent_limit(self, lam: Tensor) -> Tensor:
        return -self._z(lam) * log(self.ratio)

    def _z(self, lam: Tensor) -> Tensor:
        return lam * self.ratio / (1 - self.ratio)


@dataclass(frozen=True)
class JiangLog(Regularizer):
    """Jiang et al. (2014), "logarithmic", 0 < lambda < 1: v* = ln(l + u) / ln u for l < lambda, else 0; u = 1 - lambda.

    g = u (v - 1) + u (1 - u^(v-1)) / ln u. A self-paced v* should be monotone in lambda; this v* is not.
    """

    name: ClassVar[str] = "jiang-log"
    lam_below: ClassVar[float] = 1.0

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        z, log_z = self._z(lam)
        return (1 + torch.log1p(torch.minimum(loss, lam) / z) / log_z).clamp(min=0)

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        z, log_z = self._z(lam)
        capped = torch.minimum(loss, lam)
        return capped + ((z + capped) * torch.log1p(capped / z) - capped) / log_z

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        z, log_z = self._z(lam)
        return z * (v - 1 - torch.expm1((v - 1) * log_z) / log_z)

    def _latent_limit(self, lam: Tensor) -> Tensor:
        z, log_z = self._z(lam)
        return -(z * log_z + lam) / log_z

    def _z(self, lam: Tensor) -> tuple[Tensor, Tensor]:
        """1 - lambda and ln(1 - lambda), also for a lambda that was rounded to 1 in its dtype."""
        below = lam.clamp(max=1 - torch.finfo(lam.dtype).eps)
        return 1 - below, torch.log1p(-below)


@dataclass(frozen=True)
class Welsch(Regularizer):
    """g = lambda (v ln v - v + 1), v* = e^(-l/lambda), F = lambda (1 - e^(-l/lambda)). Also called exponential."""

    name: ClassVar[str] = "welsch"

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        return torch.exp(-loss / lam)

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        return -lam * torch.expm1(-loss / lam)

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        return lam * (torch.xlogy(v, v) + (1 - v))

    def _latent_limit(self, lam: Tensor) -> Tensor:
        return lam


@dataclass(frozen=True)
class Cauchy(Regularizer):
    """g = lambda (v - 1 - ln v), v* = lambda / (lambda + l), F = lambda ln(1 + l/lambda), unbounded."""

    name: ClassVar[str] = "cauchy"

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        return lam / (lam + loss)

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        return lam * torch.log1p(loss / lam)

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        return lam * (v - 1 - torch.log(v))

    def _latent_limit(self, lam: Tensor) -> Tensor:
        return torch.full_like(lam, inf)


@dataclass(frozen=True)
class L1L2(Regularizer):
    """g = lambda (1/v + v - 2), v* = sqrt(lambda / (lambda + l)), F = 2 (sqrt(lambda^2 + lambda l) - lambda)."""

    name: ClassVar[str] = "l1-l2"

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        return torch.rsqrt(1 + loss / lam)

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        return 2 * loss / (torch.sqrt(1 + loss / lam) + 1)

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        return lam * (1 - v).square() / v

    def _latent_limit(self, lam: Tensor) -> Tensor:
        return torch.full_like(lam, inf)


@dataclass(frozen=True)
class Huber(Regularizer):
    """g = lambda (1/v - 1), v* = min(1, sqrt(lambda / l)), F = l up to lambda, then 2 sqrt(lambda l) - lambda."""

    name: ClassVar[str] = "huber"

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        return torch.rsqrt(torch.maximum(loss, lam) / lam)

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        above = torch.maximum(loss, lam)
        return torch.minimum(loss, lam) + 2 * lam * (torch.sqrt(above / lam) - 1)

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        return lam * (1 / v - 1)

    def _latent_limit(self, lam: Tensor) -> Tensor:
        return torch.full_like(lam, inf)


ALL: tuple[type[Regularizer], ...] = (
    Hard, Linear, Logistic, Polynomial, Mixture, JiangLog, Welsch, Cauchy, L1L2, Huber
)  # fmt: skip
_BY_NAME = {kind.name: kind for kind in ALL} | {"soft": Linear, "logistic": Logistic}


def names() -> list[str]:
    """All names that `get` knows, aliases included."""
    return sorted(_BY_NAME)


def get(name: str) -> Regularizer:
    """The regularizer called `name`, with its default parameters: get("log") is Logistic(), get("soft") is Linear().

    Raises:
        ConfigError: no regularizer has this name.
    """
    if name not in _BY_NAME:
        raise ConfigError(unknown("regularizer", name, _BY_NAME))
    return _BY_NAME[name]()


def _like(lam: Lam, tensor: Tensor) -> Tensor:
    """Lambda as a 0-d tensor, with the dtype and on the device of `tensor`."""
    return lam.to(tensor) if isinstance(lam, Tensor) else tensor.new_full((), lam)


def _check(name: str, value: float, holds: bool, allowed: str) -> None:
    if not holds:
        raise ConfigError(f"{name} = {value!r} is not allowed: it must be {allowed}")
