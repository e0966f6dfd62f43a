import numpy as np
import pytest

from analysis.theory import estimators
from cudfkd import regularizers
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import TEN, every, pace

WITH_PRIOR = ("log", "welsch", "cauchy", "l1-l2")


@pytest.mark.parametrize("name", WITH_PRIOR)
@pytest.mark.parametrize("lam", [0.5, 1.5, 6.0])
def test_mm_is_em(name, lam):
    assert estimators.is_em(name, lam).passed
    found = estimators.prior(name, lam)
    assert found is not None
    assert found.masses.sum() == pytest.approx(1, abs=1e-10)


@every
def test_a_prior_exists_for_four(reg):
    found = estimators.laplace(reg, pace(reg))
    assert found.verdict == ("holds" if reg.name in WITH_PRIOR else "fails")
    assert (estimators.prior(reg, pace(reg)) is not None) == (reg.name in WITH_PRIOR)


@every
def test_phi_is_a_robust_mean(reg):
    assert estimators.robust(reg, pace(reg)).passed


def test_welsch_is_robust_optimisation():
    assert estimators.welsch_dual().passed


@pytest.mark.parametrize("name", WITH_PRIOR)
def test_a_prior_of_another_pace_is_seen(name, monkeypatch):
    right = estimators.prior
    monkeypatch.setattr(estimators, "prior", lambda reg, lam: right(reg, 1.1 * lam))
    assert estimators.is_em(name, 1.5).verdict == "fails"


def test_a_divergence_that_is_a_tenth_too_small_is_seen(monkeypatch):
    right = regularizers.Welsch.penalty
    monkeypatch.setattr(regularizers.Welsch, "penalty", lambda self, v, lam: 0.9 * right(self, v, lam))
    assert estimators.robust("welsch", 1.5).verdict == "fails"


def test_em_for_contamination_by_hand():
    clean = estimators.prior("log", 2.0)
    assert clean is not None
    responsibility = np.exp(-1.0) / (np.exp(-1.0) + np.exp(-2.0))
    assert clean.posterior_mean(np.array([1.0]))[0] == pytest.approx((1 + np.exp(-2.0)) * responsibility)


def test_the_table_has_all_ten():
    table = estimators.table()
    assert list(table.index) == [reg.name for reg in TEN]
    assert [name for name, prior in table["prior of ω (EM)"].items() if prior != "none"] == list(WITH_PRIOR)


def test_bad_input():
    with pytest.raises(ConfigError, match="regularizer = 'hard'"):
        estimators.is_em("hard", 1.0)
