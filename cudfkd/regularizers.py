"""Self-paced regularizers: which weight v in [0, 1] does a sample of loss l deserve at pace lambda?

Each is a convex penalty g(v; lambda) on the weight, normalised so that g(1) = 0. With it come

    weight    v*(l) = argmin over v of  v l + g(v)
    latent    F(l)  = min over v of     v l + g(v)  =  integral of v* from 0 to l,   F(0) = 0
    limit     F(inf) = g(0), the most that one sample can cost; may be infinite

(Kumar et al., 2010; Meng, Zhao and Jiang, 2017, "A theoretical understanding of self-paced learning"; the last four
are the implicit regularizers of Fan et al., 2017.) All functions are pure: tensors in, tensors out, any float dtype and
device, no value checks (they would make the host wait for the device). They are finite for l in [0, 1e4] and lambda in
[1e-3, 1e3]; JiangLog is defined for lambda in (0, 1) only. Forms are chosen for accuracy at small l.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from cudfkd.errors import ConfigError, unknown

Lam = float | Tensor


class Regularizer(ABC):
    """One row of the table of regularizers.

    Everywhere: loss is any float tensor of losses l >= 0, v a tensor of weights in [0, 1], lam a float or 0-d tensor.
    Results have the shape and dtype of the first argument (`latent_limit`: 0-d, float64 for a float lam).
    """

    name: ClassVar[str]
    lam_below: ClassVar[float] = inf  # lambda must be smaller than this

    @abstractmethod
    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        """v*(l; lambda), in [0, 1], nonincreasing in l."""

    @abstractmethod
    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        """F(l; lambda), the loss that reweighting descends; concave, nondecreasing, F(0) = 0."""

    @abstractmethod
    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        """g(v; lambda), normalised: min over v of v l + g(v) is F(l)."""

    @abstractmethod
    def latent_limit(self, lam: Lam) -> Tensor:
        """F(inf; lambda)."""


@dataclass(frozen=True)
class Hard(Regularizer):
    """Binary selection: g = lambda (1 - v), v* = 1[l < lambda], F = min(l, lambda). Kink at l = lambda."""

    name: ClassVar[str] = "hard"

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        return (loss < lam).to(loss.dtype)

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        return torch.minimum(loss, _like(lam, loss))

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        return lam * (1 - v)

    def latent_limit(self, lam: Lam) -> Tensor:
        return _tensor(lam)


@dataclass(frozen=True)
class Linear(Regularizer):
    """Soft selection: g = lambda (1 - v)^2 / 2, v* = (1 - l/lambda)+."""

    name: ClassVar[str] = "linear"

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        return (1 - loss / lam).clamp(min=0)

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        capped = torch.minimum(loss, _like(lam, loss))
        return capped * (1 - capped / (2 * lam))

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        return lam * (1 - v).square() / 2

    def latent_limit(self, lam: Lam) -> Tensor:
        return _tensor(lam) / 2


@dataclass(frozen=True)
class Logistic(Regularizer):
    """CuDFKD's "log": v* = (1 + e^-lambda) / (1 + e^(l - lambda)). Not Jiang's "logarithmic".

    F = (1 + e^-lambda) ln[(1 + e^-lambda) / (e^-l + e^-lambda)], a smooth min(l, lambda) up to ln 2 for lambda >= 1.23;
    g = mu ln mu + v ln v + lambda mu with mu = 1 + e^-lambda - v. As lambda -> 0 the weight tends to 2 / (1 + e^l), not 0.
    """

    name: ClassVar[str] = "log"

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        lam = _like(lam, loss)
        return (1 + torch.exp(-lam)) * torch.sigmoid(lam - loss)

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        lam = _like(lam, loss)
        small = loss < 1  # each form where it is accurate; the clamp keeps the unused one's gradient finite
        near = -torch.log1p(torch.expm1(-torch.where(small, loss, 0.0)) * torch.sigmoid(lam))
        far = softplus(-lam) - torch.logaddexp(-loss, -lam)
        return (1 + torch.exp(-lam)) * torch.where(small, near, far)

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        lam = _like(lam, v)
        mu = ((1 - v) + torch.exp(-lam)).clamp(min=0)
        return torch.xlogy(mu, mu) + torch.xlogy(v, v) + lam * mu

    def latent_limit(self, lam: Lam) -> Tensor:
        lam = _tensor(lam)
        return (1 + torch.exp(-lam)) * (lam + torch.log1p(torch.exp(-lam)))


@dataclass(frozen=True)
class Polynomial(Regularizer):
    """g = lambda (v^t/t - v + 1 - 1/t), v* = (1 - l/lambda)+^(1/(t-1)), t > 1. t = 2 is Linear, t -> inf tends to Hard."""

    t: float = 3.0
    name: ClassVar[str] = "polynomial"

    def __post_init__(self) -> None:
        _check("t", self.t, self.t > 1, "greater than 1")

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        inside = loss < lam
        return torch.where(inside, (1 - torch.where(inside, loss, 0.0) / lam) ** (1 / (self.t - 1)), 0.0)

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        inside = loss < lam
        grown = -torch.expm1(torch.log1p(-torch.where(inside, loss, 0.0) / lam) * (self.t / (self.t - 1)))
        return lam * (self.t - 1) / self.t * torch.where(inside, grown, 1.0)

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        return lam * (v**self.t / self.t - v + 1 - 1 / self.t)

    def latent_limit(self, lam: Lam) -> Tensor:
        return _tensor(lam) * (self.t - 1) / self.t


@dataclass(frozen=True)
class Mixture(Regularizer):
    """Jiang et al. (2014), hard below, soft above: l2 = ratio lambda, l1 = lambda, z = l1 l2 / (l1 - l2).

    v* = 1 for l <= l2, z/l - z/l1 between, 0 from l1 on; g = z ln[(1 + z/l1) / (v + z/l1)]; 0 < ratio < 1.
    """

    ratio: float = 0.5
    name: ClassVar[str] = "mixture"

    def __post_init__(self) -> None:
        _check("ratio", self.ratio, 0 < self.ratio < 1, "between 0 and 1")

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        between = torch.maximum(loss, _like(lam * self.ratio, loss))
        return (self._z(lam) * (1 / between - 1 / lam)).clamp(0, 1)

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        low, high = _like(lam * self.ratio, loss), _like(lam, loss)
        between = torch.minimum(torch.maximum(loss, low), high)
        return torch.minimum(loss, low) + self._z(lam) * (torch.log(between / low) - (between - low) / high)

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        share = self.ratio / (1 - self.ratio)  # z / l1
        return self._z(lam) * torch.log((1 + share) / (v + share))

    def latent_limit(self, lam: Lam) -> Tensor:
        return -self._z(_tensor(lam)) * torch.log(torch.tensor(self.ratio, dtype=torch.float64))

    def _z(self, lam: Lam) -> Lam:
        return lam * self.ratio / (1 - self.ratio)


@dataclass(frozen=True)
class JiangLog(Regularizer):
    """Jiang et al. (2014), "logarithmic", 0 < lambda < 1, z = 1 - lambda: v* = ln(l + z) / ln z for l < lambda, else 0.

    g = z (v - 1) + z (1 - z^(v-1)) / ln z. Not monotone in lambda, which a self-paced regularizer should be.
    """

    name: ClassVar[str] = "jiang-log"
    lam_below: ClassVar[float] = 1.0

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        lam = _like(lam, loss)
        return torch.log1p(torch.minimum(loss, lam) - lam) / torch.log1p(-lam)

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        lam = _like(lam, loss)
        excess = torch.minimum(loss, lam) - lam
        return (_entropy_like(excess) - _entropy_like(-lam)) / torch.log1p(-lam)

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        lam = _like(lam, v)
        log_z = torch.log1p(-lam)
        return (1 - lam) * (v - 1 - torch.expm1((v - 1) * log_z) / log_z)

    def latent_limit(self, lam: Lam) -> Tensor:
        lam = _tensor(lam)
        return -_entropy_like(-lam) / torch.log1p(-lam)


@dataclass(frozen=True)
class Welsch(Regularizer):
    """g = lambda (v ln v - v + 1), v* = e^(-l/lambda), F = lambda (1 - e^(-l/lambda)). Also called exponential."""

    name: ClassVar[str] = "welsch"

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        return torch.exp(-loss / lam)

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        return -lam * torch.expm1(-loss / lam)

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        return lam * (torch.xlogy(v, v) + (1 - v))

    def latent_limit(self, lam: Lam) -> Tensor:
        return _tensor(lam)


@dataclass(frozen=True)
class Cauchy(Regularizer):
    """g = lambda (v - 1 - ln v), v* = lambda / (lambda + l), F = lambda ln(1 + l/lambda), unbounded."""

    name: ClassVar[str] = "cauchy"

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        return lam / (lam + loss)

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        return lam * torch.log1p(loss / lam)

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        return lam * (v - 1 - torch.log(v))

    def latent_limit(self, lam: Lam) -> Tensor:
        return _infinite(lam)


@dataclass(frozen=True)
class L1L2(Regularizer):
    """g = lambda (1/v + v - 2), v* = sqrt(lambda / (lambda + l)), F = 2 sqrt(lambda) (sqrt(lambda + l) - sqrt(lambda))."""

    name: ClassVar[str] = "l1-l2"

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        return torch.rsqrt(1 + loss / lam)

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        return 2 * loss / (torch.sqrt(1 + loss / lam) + 1)

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        return lam * (1 - v).square() / v

    def latent_limit(self, lam: Lam) -> Tensor:
        return _infinite(lam)


@dataclass(frozen=True)
class Huber(Regularizer):
    """g = lambda (1/v - 1), v* = min(1, sqrt(lambda / l)), F = l up to lambda, then 2 sqrt(lambda l) - lambda."""

    name: ClassVar[str] = "huber"

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        return torch.rsqrt(torch.maximum(loss, _like(lam, loss)) / lam)

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        lam = _like(lam, loss)
        above = torch.maximum(loss, lam)
        return torch.minimum(loss, lam) + 2 * lam * (torch.sqrt(above / lam) - 1)

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        return lam * (1 / v - 1)

    def latent_limit(self, lam: Lam) -> Tensor:
        return _infinite(lam)


ALL: tuple[type[Regularizer], ...] = (
    Hard, Linear, Logistic, Polynomial, Mixture, JiangLog, Welsch, Cauchy, L1L2, Huber
)  # fmt: skip
_BY_NAME = {kind.name: kind for kind in ALL} | {"soft": Linear, "logistic": Logistic}


def names() -> list[str]:
    """All names that `get` knows, aliases included."""
    return sorted(_BY_NAME)


def get(name: str) -> Regularizer:
    """The regularizer of that name with its default shape: get("log") is Logistic(), get("soft") is Linear().

    Raises:
        ConfigError: unknown name.
    """
    if name not in _BY_NAME:
        raise ConfigError(unknown("regularizer", name, _BY_NAME))
    return _BY_NAME[name]()


def _like(lam: Lam, tensor: Tensor) -> Tensor:
    """lambda as a 0-d tensor beside `tensor`, made on its device."""
    return lam.to(tensor) if isinstance(lam, Tensor) else tensor.new_full((), lam)


def _tensor(lam: Lam) -> Tensor:
    return lam if isinstance(lam, Tensor) else torch.tensor(lam, dtype=torch.float64)


def _infinite(lam: Lam) -> Tensor:
    return torch.full_like(_tensor(lam), inf)


def _entropy_like(x: Tensor) -> Tensor:
    """(1 + x) ln(1 + x) - x."""
    return (1 + x) * torch.log1p(x) - x


def _check(name: str, value: float, holds: bool, allowed: str) -> None:
    if not holds:
        raise ConfigError(f"{name} = {value!r} is not allowed: it must be {allowed}")
