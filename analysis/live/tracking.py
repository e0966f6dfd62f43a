"""T10 evaluated on a live run: the size of the student's gradients, and the parts of their bound.

The curvature L and the noise of the batches are not known. So the left side takes L = 0, where kappa is 1 + beta, and
the right side has no noise: no bound of T10 is smaller. A run below this bound lies below the bound of every L and
every noise. A run above it is no counterexample: it needs curvature or noise to explain its gradients. Besides, the
gradient is read at fixed latents in eval mode, and the student trains on fresh latents in train mode.
"""

from dataclasses import dataclass
from math import fsum

import numpy as np
import pandas as pd

from analysis.checks import validate
from analysis.live.accounts import Account
from analysis.theory.bounds import kappa
from analysis.theory.momentum import cosine
from cudfkd.config import DistillConfig


@dataclass(frozen=True)
class Tracking:
    """The two sides of T10 for a run.

    gradients: sum of eta_k / (1 + beta) |grad Phi_k|^2.
    fallen: Phi_0 - Phi_K; the kinetic part of the last energy is left out, which makes the bound larger.
    growth: the sum of lambda's parts.
    drift: the sum of the generator's parts.
    beta: the momentum factor.
    """

    gradients: float
    fallen: float
    growth: float
    drift: float
    beta: float

    @property
    def bound(self) -> float:
        """The right side of T10: the fall of the objective, plus the parts of lambda and of the generator."""
        return fsum((self.fallen, self.growth, self.drift))

    @property
    def reached(self) -> float:
        """The gradients as a share of their bound; T10 allows 1 at most. NaN where the bound is not positive."""
        return self.gradients / self.bound if self.bound > 0 else float("nan")

    @property
    def generator_share(self) -> float:
        """The generator's part of the bound."""
        return self.drift / self.bound if self.bound > 0 else float("nan")

    @property
    def noise_needed(self) -> float:
        """The noise of a batch at which T10 just allows these gradients: E |grad Phi_B - grad Phi|^2 over
        |grad Phi|^2.

        Both are means weighted by the step lengths, and L is 0. The number is 0 for gradients below their bound, and
        at most 2 / (beta (1 + beta)) for a bound that is not negative. NaN without momentum, where short steps leave
        no noise.
        """
        if not self.beta:
            return float("nan")
        if self.gradients <= self.bound:
            return 0.0
        return (1 - self.bound / self.gradients) * 2 / (self.beta * (1 + self.beta))

    def numbers(self) -> dict[str, float]:
        """The numbers of a record."""
        return {"gradients": self.gradients, "reached": self.reached, "generator_share": self.generator_share,
                "noise_needed": self.noise_needed}  # fmt: skip


def bound_shares(runs: pd.DataFrame) -> pd.DataFrame:
    """The parts of the bound of each recorded run: `runs` with shares in the columns fallen, lambda and generator.

    Runs in which the student never moves have no bound and are left out.
    """
    alive = runs[runs["student"] != 0]
    parts = {"fallen": alive["start"] - alive["end"], "lambda": alive["lambda"], "generator": alive["generator"]}
    return alive.assign(**{name: column / sum(parts.values()) for name, column in parts.items()})


def tracking(account: Account, config: DistillConfig) -> Tracking:
    """The two sides of T10 for a run of SGD with a step length that falls along half a cosine.

    Raises:
        ConfigError: the account lacks rounds or gradients.
    """
    if not account.covers_all():
        validate.refuse("the rounds of the account", "not all of them", "every round: take a probe with every=1")
    norms = account.samples["gradient"].to_numpy(dtype=np.float64)
    if not np.isfinite(norms).all():
        validate.refuse("the gradients of the account", "missing", "read: take a probe with gradient=True")
    steps = np.array(cosine(config.lr, len(norms))) / kappa(0.0, config.momentum)
    total = account.total("steps")
    fallen = float(account.steps["start"].to_numpy()[0] - account.steps["end"].to_numpy()[-1])
    return Tracking(float(steps @ norms**2), fallen, total["lambda"], total["generator"], config.momentum)
