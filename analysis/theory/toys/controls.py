"""Regularizers that break one hypothesis each: the checks use them as controls, which must fail."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cudfkd.regularizers import Regularizer


@dataclass(frozen=True)
class ConvexLoss(Regularizer):
    """A convex latent loss F = l + l^2 / (2 lambda), with tangents below F. It breaks the concavity of F.

    Its weight v* = 1 + l / lambda prefers hard samples.
    """

    name: ClassVar[str] = "convex (control)"

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        return 1 + loss / lam

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        return loss + loss.square() / (2 * lam)

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        return -lam * (v - 1).square() / 2

    def _latent_limit(self, lam: Tensor) -> Tensor:
        return torch.full_like(lam, torch.inf)


@dataclass(frozen=True)
class StepWeight(Regularizer):
    """A weight in steps: v* = 1 for l < lambda, 0.01 for lambda <= l < 10 lambda, and 0 beyond.

    The axioms A1 to A3 hold, but v* is not TP2.
    """

    name: ClassVar[str] = "step (control)"

    def _weight(self, loss: Tensor, lam: Tensor) -> Tensor:
        return torch.where(loss < lam, 1.0, torch.where(loss < 10 * lam, 0.01, 0.0)).to(loss.dtype)

    def _latent(self, loss: Tensor, lam: Tensor) -> Tensor:
        low = torch.minimum(loss, lam)
        return low + 0.01 * (torch.minimum(loss, 10 * lam) - low)

    def _penalty(self, v: Tensor, lam: Tensor) -> Tensor:
        return lam * torch.where(v >= 0.01, 1 - v, 0.99 + 10 * (0.01 - v))

    def _latent_limit(self, lam: Tensor) -> Tensor:
        return 1.09 * lam
