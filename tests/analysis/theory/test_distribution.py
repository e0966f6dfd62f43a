import numpy as np
import pytest
import torch

from analysis.theory import distribution
from analysis.theory.distribution import DIVERGENCES, curriculum, random_problem
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import every, pace

LOSSES = [0.1, 1.0, 3.0]


@every
def test_is_a_distribution(reg):
    losses, prior = random_problem(0)
    dist = curriculum(reg, pace(reg), losses, prior)
    assert float(dist.q.sum()) == pytest.approx(1, abs=1e-14)
    assert bool((dist.q >= 0).all())
    weights = reg.weight(losses, pace(reg))
    assert dist.alpha == pytest.approx(float((prior * weights).sum()), abs=1e-15)
    assert dist.ess == pytest.approx(float((prior * weights).sum() ** 2 / (prior * weights.square()).sum()), abs=1e-12)


def test_statistics_by_hand():
    dist = curriculum("hard", 2.0, LOSSES)
    assert dist.q.tolist() == [0.5, 0.5, 0.0]
    assert dist.alpha == pytest.approx(2 / 3)
    assert dist.mean_loss == pytest.approx(0.55)
    assert dist.entropy == pytest.approx(np.log(2))
    assert dist.divergence("KL") == pytest.approx(np.log(1.5))
    assert dist.divergence("chi2") == pytest.approx(0.5)
    assert dist.divergence("TV") == pytest.approx(1 / 3)
    assert dist.ess == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_generators_are_convex_and_vanish_at_one(name):
    phi = DIVERGENCES[name]
    at = torch.linspace(0, 4, 401, dtype=torch.float64)
    assert float(phi(torch.ones(1).double())) == pytest.approx(0, abs=1e-15)
    assert float((phi(at[2:]) + phi(at[:-2]) - 2 * phi(at[1:-1])).min()) >= -1e-12
    assert curriculum("log", 2.0, LOSSES).divergence(name) >= 0


def test_divergence_takes_a_function():
    dist = curriculum("log", 2.0, LOSSES)
    assert dist.divergence(lambda r: (r - 1).square()) == dist.divergence("chi2")


def test_no_divergence_when_all_weights_agree():
    dist = curriculum("hard", 100.0, LOSSES, [0.2, 0.3, 0.5])
    assert [dist.divergence(name) for name in DIVERGENCES] == pytest.approx([0.0] * len(DIVERGENCES), abs=1e-15)
    assert dist.ess == 1


def test_sweep_and_probabilities():
    lams = [0.5, 1.0, 4.0]
    table = distribution.sweep("log", lams, LOSSES)
    assert list(table.index) == lams
    assert list(table.columns) == ["alpha", "mean loss", "entropy", "KL", "chi2", "TV", "ess"]
    shares = distribution.probabilities("log", lams, LOSSES)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares.loc[4.0, 2] > shares.loc[0.5, 2]


def test_a_divergence_of_ones_own():
    dist = curriculum("log", 1.0, LOSSES)
    assert dist.divergence(lambda r: -torch.log(r)) == pytest.approx(
        float(-(dist.prior * (dist.q / dist.prior).log()).sum())
    )


def test_random_problems_are_seeded():
    assert torch.equal(random_problem(3)[0], random_problem(3)[0])
    assert not torch.equal(random_problem(3)[1], random_problem(4)[1])
    assert random_problem(3, uniform=True)[1].tolist() == [1 / 12] * 12


@pytest.mark.parametrize(("call", "line"), [
    (lambda: curriculum("hard", 0.05, LOSSES), r"every weight of hard is 0 \(the smallest loss is 0.1, lam = 0.05"),
    (lambda: curriculum("log", 1.0, [-0.1, 1.0]), r"losses\[0\] = -0.1"),
    (lambda: curriculum("log", 0.0, LOSSES), "lam = 0.0"),
    (lambda: curriculum("log", 1.0, LOSSES, [0.5, 0.5]), r"losses has shape \(3,\) and prior has \(2,\)"),
    (lambda: curriculum("log", 1.0, LOSSES, [0.5, 0.3, 0.1]), "the sum of prior = 0.9"),
    (lambda: curriculum("log", 1.0, LOSSES, [0.5, 0.5, 0.0]), r"prior\[2\] = 0.0"),
    (lambda: curriculum("log", 1.0, torch.ones(3), torch.ones(3).double() / 3), "losses is torch.float32"),
    (lambda: curriculum("log", 1.0, torch.ones(2).double(), torch.ones(2) / 2), "one dtype"),
    (lambda: curriculum("log", 1.0, LOSSES).divergence("kl"), "divergence = 'kl'"),
])  # fmt: skip
def test_bad_input(call, line):
    with pytest.raises(ConfigError, match=line):
        call()
