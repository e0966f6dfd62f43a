import pytest
import torch

from analysis.theory import linear_rate
from analysis.theory.toys.descent import Gradient, run
from analysis.theory.toys.problems import ridge
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import every, pace


@every
def test_linear_rate(reg):
    found = [one(reg, pace(reg)) for one in (linear_rate.linear, linear_rate.in_sight, linear_rate.batched)]
    assert [(one.name, one.verdict, one.worst_violation) for one in found if not one.passed] == []


@pytest.mark.parametrize("check", [linear_rate.linear, linear_rate.batched])
def test_a_rate_that_is_a_tenth_too_good_is_seen(check, monkeypatch):
    right = linear_rate.rate
    monkeypatch.setattr(linear_rate, "rate", lambda *given: 1 - 1.1 * (1 - right(*given)))
    assert check("log", 1.5).verdict == "fails"


def test_a_largest_loss_that_is_a_tenth_too_small_is_seen(monkeypatch):
    right = linear_rate.inverse
    monkeypatch.setattr(linear_rate, "inverse", lambda *given: 0.9 * right(*given))
    assert linear_rate.in_sight("log", 1.5).verdict == "fails"


def test_the_rate_is_attained():
    even = linear_rate.evenly()
    promised = linear_rate.promise(even, "hard", 1.0)
    assert (promised.weight, promised.modulus, promised.curvature) == pytest.approx((1.0, 1.0, 1.0))
    path = run(even, "hard", 1.0, Gradient(0.3), 5)
    assert path.objective[1:] / path.objective[:-1] == pytest.approx(linear_rate.rate(promised, 0.3))


def test_no_promise_where_a_sample_is_lost():
    promised = linear_rate.promise(linear_rate.fits(far=10.0), "hard", 1.0)
    assert promised.largest == float("inf")
    assert linear_rate.rate(promised, 0.1) == 1.0


def test_a_perfect_fit_alone_is_not_enough():
    table = linear_rate.climbs((0.02, 0.1), 0.5)
    assert table["one sample"].tolist() == pytest.approx([0.25, 0.21], abs=5e-3)
    assert (table["both samples"] < 0).all()
    assert table.loc[0.02, "growth needed"] > 500
    losses = linear_rate.valley(0.0).losses(torch.zeros(2, dtype=torch.float64))
    assert losses.tolist() == [0.0, 0.0]


def test_bad_input():
    with pytest.raises(ConfigError, match="decay = 0.001"):
        linear_rate.promise(ridge(0), "log", 1.0)
