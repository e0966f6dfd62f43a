"""Bad arguments to the public functions of the theory: each gives an error line with the value, never a crash."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.theory import (
    batch_weight,
    counterexamples,
    curriculum_axioms,
    distribution,
    drift,
    envelope,
    growth,
    hysteresis,
    majorization,
    matrix,
    minibatch,
    momentum,
    toward_plain,
)
from analysis.theory.algebra import symbolic
from analysis.theory.toys import descent, objective, problems
from analysis.theory.toys.problems import Logistic, Ridge, points
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import TOYS

NAN = float("nan")
RIDGE = TOYS["ridge"]
TWO = torch.tensor([1.0, 2.0], dtype=torch.float64)


class Sinking(Ridge):
    """Losses that become negative away from the start."""

    def losses(self, theta):
        return super().losses(theta) - 3 * (theta - self.start).square().sum()


SINKING = Sinking(RIDGE.start, 0.0, RIDGE.inputs, RIDGE.targets)
TAKE_LAMBDA = {
    "objective": lambda lam: objective.objective(RIDGE, "log", lam),
    "run": lambda lam: descent.run(RIDGE, "log", lam),
    "momentum": lambda lam: momentum.run(RIDGE, "log", lam, [0.1]),
    "growing_run": lambda lam: growth.growing_run(RIDGE, "log", [1.0, lam]),
    "raw_offset": lambda lam: growth.raw_offset("log", lam),
    "curriculum": lambda lam: distribution.curriculum("log", lam, [1.0, 2.0]),
    "drift": lambda lam: drift.drift("log", lam, TWO, TWO),
    "envelope": lambda lam: envelope.best_weight("log", lam),
    "symbolic": lambda lam: symbolic.weight("log", np.ones(2), lam),
    "cycle": lambda lam: counterexamples.cycle_amplitude(2.5, lam),
    "through": lambda lam: counterexamples.through_the_weight(1.0, lam),
}
TAKE_LOSSES = {
    "curriculum": lambda losses: distribution.curriculum("log", 1.0, losses),
    "envelope": lambda losses: envelope.best_weight("log", 1.0, losses),
    "drift": lambda losses: drift.drift("log", 1.0, losses, losses),
}


@pytest.mark.parametrize(
    "bad", [0.0, -1.0, NAN, float("inf"), "2", None, 1j, torch.ones(2), torch.tensor(-2.0)], ids=str
)
@pytest.mark.parametrize("take", TAKE_LAMBDA.values(), ids=TAKE_LAMBDA)
def test_lambda(take, bad):
    with pytest.raises(ConfigError, match="lam.* is not allowed") as caught:
        take(bad)
    assert "\n" not in str(caught.value)


def test_lambda_may_be_a_tensor_of_one_number():
    assert objective.objective(RIDGE, "log", torch.tensor(2.0)).lam == 2.0  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [
    torch.tensor([1.0, -1.0]).double(), torch.tensor([1.0, NAN]).double(), torch.tensor([1.0, np.inf]).double(),
    torch.zeros(0).double(), torch.zeros(2, 2).double(), torch.tensor(1.0).double(), torch.ones(2),
    torch.ones(2).half(), torch.tensor([1, 2]), torch.tensor([True, False]), torch.tensor([1 + 1j, 2]), None,
], ids=str)  # fmt: skip
@pytest.mark.parametrize("take", TAKE_LOSSES.values(), ids=TAKE_LOSSES)
def test_losses(take, bad):
    with pytest.raises(ConfigError, match="losses|before") as caught:
        take(bad)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [np.array([1.0, -1.0]), np.array([NAN]), np.array(["a"]), None], ids=str)
def test_symbols_take_losses_too(bad):
    for evaluate in (symbolic.weight, symbolic.latent):
        with pytest.raises(ConfigError, match="loss = |dtype of loss"):
            evaluate("log", bad, 1.0)


COLUMN, SINGLE = TWO[:, None], TWO[:, None].float()
ZERO = torch.zeros(1, dtype=torch.float64)


@pytest.mark.parametrize(("call", "line"), [
    (lambda: Ridge(ZERO, 0.0, SINGLE, TWO), "start is torch.float64 and inputs is torch.float32"),
    (lambda: Ridge(ZERO, 0.0, COLUMN, TWO.float()), "start is torch.float64 and targets is torch.float32"),
    (lambda: Ridge(ZERO, 0.0, COLUMN, torch.ones(3).double()), r"shape of targets = \(3,\)"),
    (lambda: Ridge(ZERO, 0.0, COLUMN, COLUMN), r"shape of targets = \(2, 1\)"),
    (lambda: Ridge(TWO, 0.0, COLUMN, TWO), r"shape of inputs = \(2, 1\)"),
    (lambda: Ridge(ZERO, -1.0, COLUMN, TWO), "decay = -1.0"),
    (lambda: Ridge(ZERO, NAN, COLUMN, TWO), "decay = nan"),
    (lambda: Logistic(ZERO, 0.0, SINGLE), "inputs is torch.float32"),
    (lambda: points(), r"shape of inputs = \(0, 1\)"),
    (lambda: problems.student(hidden=0), "hidden = 0"),
    (lambda: replace(problems.student(), start=TWO), r"shape of start = \(2,\)"),
    (lambda: problems.ridge(n=10.5), "n = 10.5"),  # type: ignore[arg-type]
    (lambda: problems.ridge(-1), "seed = -1"),
    (lambda: distribution.random_problem(-1), "seed = -1"),
    (lambda: batch_weight.corrupted_pool(0, "batch", steps=0), "steps = 0"),
    (lambda: batch_weight.corrupted_table([]), "number of seeds = 0"),
    (lambda: RIDGE.minimise(torch.ones(3).double()), r"weights has \(3,\)"),
    (lambda: RIDGE.minimise(torch.ones(40)), "weights is torch.float32"),
    (lambda: TOYS["logistic"].minimise(-torch.ones(40).double()), r"weights\[0\] = -1.0"),
    (lambda: descent.run(RIDGE, "log", 1.0, start=RIDGE.start.float()), "theta is torch.float32"),
    (lambda: descent.run(RIDGE, "log", 1.0, start=torch.zeros(4).double()), r"theta has \(4,\)"),
    (lambda: descent.run(RIDGE, "log", 1.0, start=torch.full((3,), NAN).double()), r"losses at the start\[0\] = nan"),
    (lambda: descent.run(RIDGE, "log", 1.0, steps=2.5), "steps = 2.5"),  # type: ignore[arg-type]
    (lambda: descent.run(RIDGE, "log", 1.0, tolerance=NAN), "tolerance = nan"),
    (lambda: descent.run(RIDGE, 3, 1.0), "regularizer = 3"),  # type: ignore[arg-type]
    (lambda: descent.run(SINKING, "log", 1.0, descent.Gradient(0.1), 20), r"losses\[\d+\] = -"),
    (lambda: momentum.run(SINKING, "log", 1.0, [0.1] * 20), r"losses\[\d+\] = -"),
    (lambda: majorization.above(SINKING, "log", 1.0), r"losses\[\d+\] = -"),
    (lambda: majorization.slice_table(RIDGE, "log", 1.0, count=0), "count = 0"),
    (lambda: growth.grows(RIDGE, "log", [2.0, 1.0]), r"lams\[1\] = 1.0"),
    (lambda: growth.within_budget(RIDGE, "log", [1.0, 2.0, 1.5]), r"lams\[2\] = 1.5"),
    (lambda: toward_plain.bounded(RIDGE, "log", []), "number of lambdas = 0"),
    (lambda: minibatch.expectation(points(1.0), "log", 1.0, ZERO, 0.1), "number of samples = 1"),
    (lambda: minibatch.regression(RIDGE, "log", 1.0, batch=1.5), "batch = 1.5"),  # type: ignore[arg-type]
    (lambda: drift.wasserstein(torch.zeros(3, 2).double(), torch.zeros(4, 2).double()), r"second has \(4, 2\)"),
    (lambda: drift.wasserstein(torch.zeros(3, 2).double(), torch.zeros(3, 2)), "second is torch.float32"),
    (lambda: drift.wasserstein(COLUMN, COLUMN * NAN), "second = nan"),
    (lambda: drift.chase(speed=NAN), "speed = nan"),
    (lambda: distribution.curriculum("log", 1.0, [1.0, 2.0]).divergence(lambda r: -(r - 1).square()), "bulge of phi"),
    (lambda: distribution.curriculum("log", 1.0, [1.0, 2.0]).divergence(lambda r: r * r), r"phi\(1\) = 1.0"),
    (lambda: symbolic.penalty("log", np.array([2.0]), 1.0), "weight = 2.0"),
    (lambda: envelope.best_weight("log", 1.0, grid=0), "grid = 0"),
    (lambda: hysteresis.branch(3.0, 2.0), "theta = 3.0"),
    (lambda: hysteresis.branches(count=1), "count = 1"),
    (lambda: hysteresis.sweep(count=2, tolerance=NAN), "tolerance = nan"),
    (lambda: counterexamples.attractor([]), "number of steps = 0"),
    (lambda: counterexamples.through_the_weight(-1.0), r"loss\[0\] = -1.0"),
    (lambda: curriculum_axioms.activity_grows("log", problems=0), "problems = 0"),
    (lambda: matrix.cell("T1", "log", 1.5), "problems = 1.5"),  # type: ignore[arg-type]
])  # fmt: skip
def test_everything_else(call, line):
    with pytest.raises(ConfigError, match=line) as caught:
        call()
    assert "\n" not in str(caught.value)
