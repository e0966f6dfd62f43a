"""Recipes: the default's pace is torch's one cycle to the bit, and the paper's table fits data sets and networks."""

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from cudfkd import ConfigError, data, models
from cudfkd.teachers import recipes
from cudfkd.teachers.recipes import Recipe


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 7, 50, 453])
def test_one_cycle_is_that_of_torch_to_the_bit(steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1, 0.95)
    schedule = OneCycleLR(optimizer, 0.1, steps, pct_start=0.2)
    for step in range(steps):
        group = optimizer.param_groups[0]
        assert Recipe().pace(step, steps) == (group["lr"], group["momentum"])
        optimizer.step()
        if step + 1 < steps:
            schedule.step()


def test_one_cycle_of_five_steps_has_no_rise():
    """There torch divides by 0."""
    assert Recipe().pace(0, 5) == (0.1, pytest.approx(0.85))


def test_cosine_falls_from_the_start_to_nothing():
    paces = [Recipe(schedule="cosine", lr=0.2).pace(step, 10) for step in range(11)]
    assert [momentum for _, momentum in paces] == [0.9] * 11
    rates = [rate for rate, _ in paces]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[5], rates[10]) == (pytest.approx(0.2), pytest.approx(0.1), pytest.approx(0))


def test_the_papers_recipes_are_of_data_sets_and_networks_that_there_are():
    assert set(recipes.ACCURACIES) <= set(recipes.PAPER) <= set(data.names())
    assert {model for accuracies in recipes.ACCURACIES.values() for model in accuracies} <= set(models.names())
    assert [name for name in recipes.PAPER if recipes.PAPER[name].augment != "crop"] == ["svhn"]  # digits


def test_recipes_by_name():
    assert recipes.get("default", "cifar10") == Recipe()
    assert (recipes.get("paper", "cifar100").epochs, recipes.get("paper", "fashion-mnist-32").epochs) == (200, 30)
    with pytest.raises(ConfigError, match=r"^unknown recipe 'papr': did you mean 'paper'\?"):
        recipes.get("papr", "cifar10")
    with pytest.raises(ConfigError, match=r"^unknown data set of recipe paper 'fashion-mnist'"):
        recipes.get("paper", "fashion-mnist")
