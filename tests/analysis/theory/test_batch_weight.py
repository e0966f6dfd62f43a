import pytest
import torch

from analysis.studies import verdicts
from analysis.theory import batch_weight, distribution
from cudfkd import ConfigError, regularizers


def test_a_weight_per_batch_is_a_learning_rate_and_with_decay_it_is_not():
    assert batch_weight.as_learning_rate(steps=30).passed


def test_batch_size_decides_the_objective_between_its_two_ends():
    pools = [distribution.random_problem(seed, n=7)[0] for seed in range(3)]
    assert batch_weight.sandwich("log", 2.0, pools).passed
    values, low, high = batch_weight.ladder("log", 2.0, pools[0])
    assert (values[0], values[-1]) == pytest.approx((low, high))
    assert low < values[3] < high


@pytest.mark.parametrize("name", ["log", "welsch", "cauchy"])
def test_large_batches_are_near_plain_distillation_with_a_schedule(name):
    pools = [distribution.random_problem(seed, n=7)[0] for seed in range(3)]
    check = batch_weight.near_the_limit(name, 2.0, pools)
    assert check.passed
    assert check.worst_violation > -1e-15  # linear attains the bound
    with pytest.raises(ConfigError, match="void"):
        batch_weight.near_the_limit("hard", 2.0, pools)


def test_expected_objective_by_hand():
    losses = torch.tensor([0.0, 2.0, 4.0], dtype=torch.float64)
    means = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    expected = float(regularizers.get("log").latent(means, 2.0).mean())
    assert batch_weight.expected_objective("log", 2.0, losses, 2) == pytest.approx(expected)


def test_only_a_weight_per_sample_tells_bad_samples_apart():
    found = batch_weight.corrupted_table(range(3), steps=250)
    wide = found.pivot(index="granularity", columns="seed")
    assert (wide["agreement"].loc["sample"] > wide["agreement"].loc["batch"]).all()
    assert (wide["corrupted"].loc["sample"] < wide["clean"].loc["sample"] - 0.2).all()
    assert (wide["corrupted"].loc["batch"] - wide["clean"].loc["batch"]).abs().max() < 1e-12
    assert verdicts.leaves_out(found).holds


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: batch_weight.expected_objective("log", 2.0, torch.ones(3).double(), 4), "batch = 4"),
        (lambda: batch_weight.corrupted_pool(0, "both"), "mode = 'both'"),
    ],
)
def test_bad_input(call, line):
    with pytest.raises(ConfigError, match=line):
        call()
