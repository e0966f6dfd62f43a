"""A check of a student that cannot move is void: it neither holds nor stops with an error."""

import pytest

from analysis.theory import growth, majorization, minibatch, momentum, rates, toward_plain, tracking
from analysis.theory.toys.problems import points
from tests.analysis.theory.toys import TEN

DEAD = points(100.0, -100.0)  # losses of 5000: with hard and linear at lambda = 1 no sample has weight
STARTS = {
    "no weight, hard": (DEAD, "hard"),
    "no weight, linear": (DEAD, "linear"),
    "at the minimum": (points(0.0), "log"),
}
STEPS = {
    "every step descends": rates.monotone,
    "exact steps, every step descends": lambda *case: rates.monotone(*case, "exact"),
    "step bound": rates.step_bound,
    "rate": rates.rate,
    "Armijo's steps": rates.armijo_steps,
    "exact steps": rates.exact_step,
    "critical limit": rates.critical,
    "rate while lambda grows": lambda problem, reg, lam: growth.rate(problem, reg, [lam, 1.5 * lam]),
    "unbiased": minibatch.unbiased,
    "energy": momentum.energy,
    "gradients": momentum.gradients,
    "tracking": lambda problem, reg, lam: tracking.tracked(problem, reg, [lam, 1.5 * lam, 2 * lam]),
}
AROUND = {
    "above": majorization.above,
    "search": majorization.search,
    "touches": majorization.touches,
    "balances": majorization.balances,
    "sandwich": majorization.sandwich,
    "bregman": majorization.bregman,
    "expected descent": minibatch.expected,
}
MOVED = {"step bound", "unbiased", "tracking"}  # these look around the start, need two samples, or move them


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("start", STARTS)
def test_a_student_that_makes_no_step_is_void(start, name):
    problem, reg = STARTS[start]
    if start == "at the minimum" and name in MOVED:
        pytest.skip("this check moves the student away from its start, needs two samples, or moves them")
    assert STEPS[name](problem, reg, 1.0).verdict == "void"


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize("reg", ["hard", "linear"])
def test_a_student_without_weight_all_around_is_void(reg, name):
    assert AROUND[name](DEAD, reg, 1.0).verdict == "void"


@pytest.mark.parametrize("reg", TEN, ids=lambda reg: reg.name)
def test_lambda_that_stays_is_void(reg):
    for check in (growth.grows, growth.within_budget, growth.telescopes):
        assert check(points(1.0, -2.0), reg, [0.5, 0.5, 0.5]).verdict == "void", check


def test_growth_moves_a_student_without_weight():
    # lambda moves, and with it the cost of a sample above lambda: this is no void check
    assert growth.grows(DEAD, "hard", [1.0, 2.0]).verdict == "holds"


def test_a_plain_gradient_needs_two_losses_to_tell():
    assert toward_plain.bounded(points(1.0), "log", [1.0]).verdict == "void"
