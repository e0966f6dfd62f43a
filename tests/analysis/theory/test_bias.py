import numpy as np
import pytest
import torch

from analysis.theory import bias
from cudfkd import regularizers
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import TEN, every, pace


@every
def test_the_price_is_bounded_and_the_bound_attained(reg):
    assert bias.priced(reg, pace(reg)).passed
    assert bias.attained(reg, pace(reg)).passed


@pytest.mark.parametrize("reg", [reg for reg in TEN if reg.name != "jiang-log"], ids=lambda reg: reg.name)
def test_the_price_vanishes(reg):
    assert bias.vanishes(reg).passed


def test_the_price_of_jiang_log_grows():
    assert bias.vanishes("jiang-log").verdict == "fails"


@every
def test_a_factor_that_is_a_tenth_too_small_is_seen(reg, monkeypatch):
    right = bias.factor
    monkeypatch.setattr(bias, "factor", lambda *given: 0.9 * right(*given))
    assert bias.priced(reg, pace(reg), problems=1).verdict == "fails"
    assert bias.attained(reg, pace(reg)).verdict == "fails"


def test_the_factor_by_hand():
    assert bias.factor("hard", 2.0, 5.0) == pytest.approx(2.5)
    assert bias.factor("hard", 2.0, 1.0) == 1.0
    assert bias.factor("log", 2.0, 0.0) == 1.0


def test_a_perfect_student_has_no_price():
    losses = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    price = bias.among("log", 1.0, losses)
    assert (price.paid, price.least, price.ratio, price.bound) == (0.0, 0.0, 1.0, 1.0)


def test_a_local_minimiser_may_pay_more():
    price = bias.local_minimiser()
    assert (price.paid, price.least) == pytest.approx((4.05, 0.405), abs=1e-5)
    assert price.excess == pytest.approx(4.05 - 4.5 * 0.405, abs=1e-4)


def test_prices_fall_with_the_pace():
    table = bias.prices("log", [1.0, 20.0], [0.0, 0.1, 0.2, 4.0])
    assert table.loc[1.0, "ratio"] > 1.1
    assert table.loc[20.0, "ratio"] == pytest.approx(1, abs=1e-6)
    assert (table["ratio"] <= table["bound"] + 1e-12).all()


def test_inverse():
    reg = regularizers.get("cauchy")
    values = [float(reg.latent(torch.tensor([bias.inverse(reg, 1.5, at)]).double(), 1.5)) for at in (0.1, 1.0, 7.0)]
    np.testing.assert_allclose(values, [0.1, 1.0, 7.0], rtol=1e-6)


def test_bad_input():
    with pytest.raises(ConfigError, match=r"largest = -1.0"):
        bias.factor("log", 1.0, -1.0)
    with pytest.raises(ConfigError, match="n = 1"):
        bias.one_lost("log", 1.0, 2.0, 1)
