from math import exp

import numpy as np
import pytest
import torch

from analysis.theory import growth, toward_plain
from analysis.theory.toys.descent import Exact
from analysis.theory.toys.problems import student
from cudfkd.base.errors import ConfigError
from cudfkd.regularizers import ALL, Mixture
from tests.analysis.theory.toys import TEN, TOYS, every, paces, toy

MONOTONE = [reg for reg in TEN if reg.name != "jiang-log"]
monotone = pytest.mark.parametrize("reg", MONOTONE, ids=lambda reg: reg.name)
STEPS = np.linspace(0.5, 3.0, 12).tolist()


@monotone
@toy
def test_theorem_5_holds(toy, reg):
    for check in (growth.grows, growth.within_budget, growth.rate, growth.telescopes):
        assert check(toy, reg, STEPS).passed, check


@monotone
@toy
def test_limit_is_plain_distillation(toy, reg):
    assert toward_plain.bounded(toy, reg, paces(reg)).passed
    assert toward_plain.reached(toy, reg).passed


@toy
def test_jiang_log_breaks_both(toy):
    assert growth.grows(toy, "jiang-log", np.linspace(0.2, 0.98, 12).tolist()).verdict == "fails"
    assert toward_plain.reached(toy, "jiang-log").verdict == "fails"


def test_objective_rises_though_every_step_descends():
    path = growth.growing_run(student(1, n=256, hidden=4, corrupted=0.15), "log", np.linspace(1.0, 4.0, 121).tolist())
    table = path.table
    assert (table["descent"] > 0).all()
    assert path.rises > 20
    assert abs(path.residual) < 1e-13
    assert 0 < table["growth"].sum() <= path.budget
    assert table["raw"].iloc[-1] < table["raw"].iloc[0] < table["objective"].iloc[0]


def test_exact_steps_have_no_length():
    table = growth.growing_run(TOYS["ridge"], "log", [1.0, 2.0, 3.0], Exact()).table
    assert table["step"].isna().all()
    assert list(table["lam"]) == [1.0, 2.0]


@every
def test_raw_offset_is_what_normalising_adds(reg):
    lam = 0.7
    offset = growth.raw_offset(reg, lam)
    raw = {
        "hard": lambda v: -lam * v,
        "linear": lambda v: lam * (v**2 / 2 - v),
        "log": lambda v: (1 + exp(-lam) - v) * (1 + exp(-lam) - v).log() + v * v.log() - lam * v,
        "polynomial": lambda v: lam * (v**3 / 3 - v),
        "mixture": lambda v: -lam * (v + 1).log(),  # ratio 1/2: z = lambda
        "welsch": lambda v: lam * (v * v.log() - v),
        "jiang-log": lambda v: (1 - lam) * v - (1 - lam) ** v / np.log(1 - lam),
    }
    if reg.name not in raw:
        assert np.isnan(offset)
        return
    v = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    assert torch.allclose(reg.penalty(v, lam) - raw[reg.name](v), torch.tensor(offset).double(), atol=1e-14)


@pytest.mark.parametrize("name", ["hard", "linear", "log", "polynomial", "mixture", "welsch"])
def test_the_raw_objective_falls_for_free(name):
    assert growth.falls_for_free(name, np.geomspace(0.1, 30, 20).tolist()).passed


def test_a_raw_mixture_with_a_small_ratio_does_not_fall():
    assert growth.falls_for_free(Mixture(ratio=0.3), [1.0, 2.0]).verdict == "fails"
    with pytest.raises(ConfigError, match="regularizer = 'cauchy'"):
        growth.falls_for_free("cauchy", [1.0, 2.0])


@pytest.mark.parametrize(("ratio", "falls"), [(0.3, False), (0.5, True), (0.8, True)])
def test_raw_mixture_falls_only_for_ratios_from_one_half_on(ratio, falls):
    reg, at = Mixture(ratio=ratio), torch.linspace(0, 20, 401, dtype=torch.float64)
    raw = [reg.latent(at, lam) - growth.raw_offset(reg, lam) for lam in (1.0, 1.1)]
    assert bool((raw[1] <= raw[0] + 1e-14).all()) == falls


def test_largest_growth_per_unit_of_lambda():
    # the supremum over l of dF/dlambda is the derivative of F(infinity)
    lam, h = 2.0, 1e-6
    slopes = {}
    for kind in ALL[:5] + (ALL[6],):
        high, low = (float(kind().latent_limit(lam + sign * h)) for sign in (1, -1))
        slopes[kind.name] = (high - low) / (2 * h)
    log = 1 - exp(-lam) * np.log1p(exp(lam))
    expected = {"hard": 1, "linear": 0.5, "log": log, "polynomial": 2 / 3, "mixture": np.log(2), "welsch": 1}
    assert slopes == pytest.approx(expected, abs=1e-8)


def test_bad_input():
    with pytest.raises(ConfigError, match="number of lambdas = 1"):
        growth.growing_run(TOYS["ridge"], "log", [1.0])
    with pytest.raises(ConfigError, match="lam = 1.2"):
        growth.growing_run(TOYS["ridge"], "jiang-log", [0.5, 1.2])
