"""The objective Phi of a live run, for losses that were read: its value, its changes, and the student's part in them.

Sums over samples are rounded once (`math.fsum`), so that small changes of a large objective keep their digits.
"""

from dataclasses import dataclass
from math import fsum
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.live.probe import Losses
from cudfkd import regularizers
from cudfkd.curriculum import Curriculum


class StudentPart(NamedTuple):
    """A change of Phi by the student.

    change: Phi after - Phi before = surrogate + concavity.
    surrogate: change of the surrogate, with the weights fixed.
    concavity: the difference, <= 0.
    plain: change of the mean loss.
    """

    change: float
    surrogate: float
    concavity: float
    plain: float


@dataclass(frozen=True, eq=False)
class LiveObjective:
    """Phi of a curriculum, for losses (n,) and a pace. Its formula depends on the granularity:

    sample: mean F(l_i).
    batch: F(mean l_i); the latents count as one batch.
    none: mean l_i.
    """

    curriculum: Curriculum

    def value(self, losses: Losses, lam: float) -> float:
        """Phi."""
        return mean(self._latent(losses, lam))

    def change(self, before: Losses, lam: float, after: Losses, then: float) -> float:
        """Phi(after, then) - Phi(before, lam), rounded once."""
        return mean(self._latent(after, then), -self._latent(before, lam))

    def student(self, before: Losses, after: Losses, lam: float) -> StudentPart:
        """The change of Phi by a move of the student, split by the surrogate with slopes v*(before)."""
        slopes = self._weight(self._units(before), lam)
        old, new = slopes * self._units(before), slopes * self._units(after)
        bend = mean(self._latent(after, lam), -self._latent(before, lam), old, -new)
        return StudentPart(self.change(before, lam, after, lam), mean(new, -old), bend, mean(after, -before))

    def weights(self, losses: Losses, lam: float) -> Float[Tensor, " n"]:
        """v* of each sample."""
        return self._weight(self._units(losses), lam).expand_as(losses)

    def _units(self, losses: Losses) -> Tensor:
        return losses.mean()[None] if self.curriculum.granularity == "batch" else losses

    def _latent(self, losses: Losses, lam: float) -> Tensor:
        units = self._units(losses)
        plain = self.curriculum.granularity == "none"
        return units if plain else regularizers.get(self.curriculum.regularizer).latent(units, lam)

    def _weight(self, units: Tensor, lam: float) -> Tensor:
        plain = self.curriculum.granularity == "none"
        return torch.ones_like(units) if plain else regularizers.get(self.curriculum.regularizer).weight(units, lam)


def mean(*vectors: Tensor) -> float:
    """The mean of a sum of vectors (n,). It is rounded twice: once for the sum, once for the quotient."""
    return fsum(value for vector in vectors for value in vector.tolist()) / len(vectors[0])
