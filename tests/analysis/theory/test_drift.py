import pytest
import torch

from analysis.theory import drift
from analysis.theory.drift import chase, wasserstein
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import every, pace

ONES = torch.ones(2, dtype=torch.float64)


@every
def test_theorem_6_holds(reg):
    for check in (drift.bounded(reg, pace(reg)), drift.transported(reg, pace(reg))):
        assert check.passed, check


@every
def test_total_variation_is_void_for_unbounded_losses(reg):
    if reg.name in ("cauchy", "l1-l2", "huber"):
        with pytest.raises(ConfigError, match=r"F\(infinity\) = inf .* void"):
            drift.mass_moved(reg, pace(reg))
    else:
        assert drift.mass_moved(reg, pace(reg)).passed


def test_bounds_are_ordered():
    parts = drift.drift("log", 2.0, ONES, torch.tensor([0.5, 4.0]).double())
    assert abs(parts.gamma) <= parts.coupled <= parts.plain


def test_a_higher_mean_loss_can_lower_the_objective():
    after = torch.tensor([0.0, 2.5], dtype=torch.float64)
    parts = drift.drift("log", 1.5, ONES, after)
    assert float(after.mean()) > 1
    assert parts.gamma == pytest.approx(0.849 - 0.890, abs=1e-3)


def test_wasserstein_of_a_shift_is_the_shift():
    x = torch.randn(10, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shift = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert wasserstein(x, x[torch.randperm(10)]) == pytest.approx(0, abs=1e-7)
    assert wasserstein(x, x + shift) == pytest.approx(5)


def test_chase_balances():
    table = chase(speed=0.2, steps=200)
    assert table["student"].sum() == pytest.approx(-11.923, abs=1e-3)
    assert table["drift"].sum() == pytest.approx(12.004, abs=1e-3)
    assert table["objective"].iloc[-1] == pytest.approx(0.0812, abs=1e-4)
    assert (table["student"].iloc[1:] < 0).all()
    first = table["objective"].iloc[-1] - table["student"].sum() - table["drift"].sum()
    assert first == pytest.approx(0, abs=1e-12)


def test_a_fast_target_escapes():
    table = chase(speed=0.8, steps=80)
    assert table["weight"].iloc[-1] == 0
    assert table["target"].iloc[-1] - table["theta"].iloc[-1] > 55


@pytest.mark.parametrize(("call", "line"), [
    (lambda: drift.drift("log", 1.0, ONES, ONES.float()), "one dtype"),
    (lambda: drift.drift("log", 1.0, ONES, ONES[:1]), "one shape"),
    (lambda: drift.drift("log", 1.0, -ONES, ONES), r"before\[0\] = -1.0"),
    (lambda: drift.drift("log", 0.0, ONES, ONES), "lam = 0.0"),
    (lambda: chase(steps=0), "steps = 0"),
])  # fmt: skip
def test_bad_input(call, line):
    with pytest.raises(ConfigError, match=line):
        call()
