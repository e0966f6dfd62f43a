"""The objective of a live run: its value for each granularity, and digits of small changes."""

import pytest
import torch

from analysis.live.objective import LiveObjective
from cudfkd import regularizers
from cudfkd.curriculum import Curriculum


def test_objective_of_each_granularity():
    losses = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
    log = regularizers.get("log")
    values = {
        name: LiveObjective(Curriculum(granularity=name)).value(losses, 2.0) for name in ("sample", "batch", "none")
    }
    assert values["sample"] == pytest.approx(float(log.latent(losses, 2.0).mean()))
    assert values["batch"] == pytest.approx(float(log.latent(losses.mean(), 2.0)))
    assert values["none"] == pytest.approx(float(losses.mean()))
    assert values["sample"] < values["batch"] < values["none"]


def test_small_changes_of_a_large_objective_keep_their_digits():
    phi, rng = LiveObjective(Curriculum(granularity="none")), torch.Generator().manual_seed(0)
    before = 1e3 * torch.rand(64, generator=rng, dtype=torch.float64)
    after = before.clone()
    after[3] += 2**-30
    assert phi.change(before, 1.0, after, 1.0) == float(after[3] - before[3]) / 64
