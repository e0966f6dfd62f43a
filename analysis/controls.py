"""A regularizer that is none: it breaks one hypothesis, so that checks have something that they must find wrong."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cudfkd.regularizers import Lam, Regularizer


@dataclass(frozen=True)
class ConvexLoss(Regularizer):
    """Prefers hard samples: v* = 1 + l / lambda, so F = l + l^2 / (2 lambda) is convex and its tangents lie below it."""

    name: ClassVar[str] = "convex (control)"

    def weight(self, loss: Tensor, lam: Lam) -> Tensor:
        return 1 + loss / lam

    def latent(self, loss: Tensor, lam: Lam) -> Tensor:
        return loss + loss.square() / (2 * lam)

    def penalty(self, v: Tensor, lam: Lam) -> Tensor:
        return -lam * (v - 1).square() / 2

    def latent_limit(self, lam: Lam) -> Tensor:
        return torch.full_like(torch.as_tensor(lam, dtype=torch.float64), torch.inf)
