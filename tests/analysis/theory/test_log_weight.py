from math import exp, log

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from analysis.theory.algebra import log_weight
from cudfkd.regularizers import Logistic

LOG = Logistic()
LOSSES = torch.linspace(0, 60, 60_001, dtype=torch.float64)


@pytest.mark.parametrize("index", range(9))
def test_facts_are_proved(index):
    assert log_weight.facts()[index].proved


def test_names_are_distinct():
    assert len({fact.name for fact in log_weight.facts()}) == 9


@pytest.mark.parametrize(("lam", "far"), [(1.0, 0.7964), (2.0, 0.4148), (5.0, 0.6574), (8.0, 0.6904)])
def test_distance_from_the_hard_minimum(lam, far):
    distance = (LOG.latent(LOSSES, lam) - LOSSES.clamp(max=lam)).abs().max()
    assert float(distance) == pytest.approx(far, abs=1e-4)


def test_distance_is_below_ln_2_from_1_2248_on():
    def above(lam: float) -> float:
        return lam * exp(-lam) + (1 + exp(-lam)) * log(1 + exp(-lam))

    assert brentq(lambda lam: above(lam) - log(2), 0.5, 3) == pytest.approx(1.2248, abs=1e-4)
    for lam in np.linspace(1.23, 20, 40):
        distance = (LOG.latent(LOSSES, lam) - LOSSES.clamp(max=lam)).abs().max()
        assert float(distance) < log(2)


@pytest.mark.parametrize(("lam", "loss"), [(1.0, 1.5514), (2.0, 2.2395)])
def test_loss_of_half_weight(lam, loss):
    at = torch.tensor([lam + log(1 + 2 * exp(-lam))], dtype=torch.float64)
    assert float(at) == pytest.approx(loss, abs=1e-4)
    assert float(LOG.weight(at, lam)) == pytest.approx(0.5, abs=1e-15)


def test_dead_weights_at_lambda_2():
    weights = LOG.weight(torch.tensor([5.0, 8.0, 15.0], dtype=torch.float64), 2.0)
    assert weights.tolist() == pytest.approx([0.0538, 0.00281, 2.566e-6], rel=2e-3)


@pytest.mark.parametrize(("lam", "bound"), [(1.0, 0.97), (2.0, 1.23), (5.0, 2.19), (12.0, 4.04)])
def test_gradients_are_bounded(lam, bound):
    assert float((LOG.weight(LOSSES, lam) * (2 * LOSSES).sqrt()).max()) == pytest.approx(bound, abs=5e-3)


@pytest.mark.parametrize(("loss", "slope"), [(0.1, -0.86), (2.0, -0.63), (5.0, -0.20), (20.0, -0.15)])
def test_raw_objective_falls_with_lambda(loss, slope):
    at, h = torch.tensor([loss], dtype=torch.float64), 1e-5
    raw = [float(LOG.latent(at, lam)) - lam * (1 + exp(-lam)) for lam in (2 - h, 2 + h)]
    assert (raw[1] - raw[0]) / (2 * h) == pytest.approx(slope, abs=5e-3)


def test_the_push_through_the_weight_peaks_above_lambda_and_dies_out():
    pushes = torch.autograd.functional.jacobian(lambda at: (LOG.weight(at, 2.0) * at).sum(), LOSSES)
    assert float(LOSSES[pushes.argmin()]) == pytest.approx(3.367, abs=2e-3)
    assert float(pushes.min()) == pytest.approx(-0.3881, abs=1e-4)
    assert -1e-6 < float(pushes[20_000]) < 0  # a loss of 20


@pytest.mark.parametrize(("lam", "fall"), [(0.05, 1.32), (0.5, 1.031), (1.0, 0.903), (4.0, 0.960)])
def test_one_unit_of_lambda_lowers_an_easy_sample_by_about_one(lam, fall):
    raw = [-pace * (1 + exp(-pace)) for pace in (lam, lam + 1)]  # at l = 0, where F = 0
    assert raw[0] - raw[1] == pytest.approx(fall, abs=2e-3)
