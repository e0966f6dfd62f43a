"""The reference loop and the engine give the same student, or the ratio of their speeds would mean nothing."""

import copy

import pytest
import torch
from torch import nn

import cudfkd
from benchmarks import reference
from cudfkd import ConfigError, Curriculum, DistillConfig, models

LENET = ("lenet5", "lenet5-half")
WRN = ("wrn-16-1", "wrn-16-1")


def config(**changes) -> DistillConfig:
    options = {"latent_dim": 8, "generator_width": 2} | changes.pop("options", {})
    base = {"epochs": 5, "steps_per_epoch": 10, "batch_size": 8, "image_size": 28, "channels": 1}
    return DistillConfig(**base | {"mean": (0.286,), "std": (0.353,), "options": options} | changes)


def wide(**changes) -> DistillConfig:
    colour = {"image_size": 16, "channels": 3, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "batch_size": 4}
    return config(**colour | {"epochs": 3, "steps_per_epoch": 2} | changes)


def networks(pair: tuple[str, str], c: DistillConfig) -> tuple[nn.Module, nn.Module]:
    """A trained teacher, with which a student agrees now and then; or one that has BatchNorm statistics at least."""
    made = [models.build(name, 10, c.channels, c.image_size, seed) for seed, name in enumerate(pair)]
    if pair == LENET:
        made[0] = cudfkd.load_teacher("fashion-mnist", "lenet5").to(torch.get_default_dtype())
    else:
        rng = torch.Generator().manual_seed(0)
        made[0].train()(torch.rand(32, c.channels, c.image_size, c.image_size, generator=rng))
    return made[0].eval(), made[1]


def distance(pair: tuple[str, str], c: DistillConfig, engine: DistillConfig) -> float:
    """Between the two students at the end, as a share of the way that the reference's has gone: the worst tensor's."""
    teacher, student = networks(pair, c)
    plain, ours = copy.deepcopy(student), copy.deepcopy(student)
    reference.distill(copy.deepcopy(teacher), plain, c)
    cudfkd.distill(teacher, ours, engine)
    ways = zip(*(m.state_dict().values() for m in (student, plain, ours)), strict=True)
    return max(float((a - b).double().norm() / (a - start).double().norm()) for start, a, b in ways)


@pytest.fixture
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


VARIANTS = {
    "as it comes": {},
    "a ramp in steps, from nothing": {"options": {"adv_start": 0.0, "adv_begin": 0.2, "adv_finish": 0.9}},
    "a weight per batch": {"curriculum": Curriculum(granularity="batch")},
    "no curriculum": {"curriculum": Curriculum(granularity="none")},
    "kl, softened": {"options": {"loss": "kl", "temperature": 2.0}},
    "two generator steps at a constant rate": {"options": {"generator_steps": 2, "generator_schedule": "constant"}},
    "long rounds": {"round_steps": 10},
}


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_engine_is_the_reference_loop_over_fifty_steps(variant):
    """In float64: a young run multiplies rounding errors, so that in float32 fifty steps are enough to part any two."""
    c = config(**VARIANTS[variant])
    assert distance(LENET, c, c) < 1e-8


@pytest.mark.usefixtures("_float64")
def test_the_engine_is_the_reference_loop_with_wide_residual_networks():
    assert distance(WRN, wide(), wide()) < 1e-8


def test_in_float32_the_first_ten_steps_are_the_same():
    c = config(epochs=1)
    assert distance(LENET, c, c) < 1e-3


WRONG = {
    "bn": {"options": {"bn": 3.03}},
    "one_hot": {"options": {"one_hot": 2.02}},
    "class_entropy": {"options": {"class_entropy": 5.05}},
    "adversary": {"options": {"adv_start": 1.01, "adv_end": 10.1}},
    "lambda": {"curriculum": Curriculum(lam_start=2.02)},
    "learning rate": {"lr": 0.101},
    "draws": {"seed": 1},
}


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("wrong", ["bn", "adversary", "lambda"])
def test_one_per_cent_of_a_part_is_seen_in_fifty_steps(wrong):
    assert distance(LENET, config(), config(**WRONG[wrong])) > 0.1


@pytest.mark.parametrize("wrong", WRONG)
def test_one_per_cent_of_any_part_is_seen_in_ten_steps_of_float32(wrong):
    assert distance(LENET, config(epochs=1), config(**{"epochs": 1} | WRONG[wrong])) > 0.01


def test_frozen_networks_give_the_same_student_to_the_bit():
    teacher, student = networks(LENET, config())
    other = copy.deepcopy(student)
    first = reference.distill(copy.deepcopy(teacher), student, config())
    second = reference.distill(teacher, other, config(), frozen=True)
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), other.parameters(), strict=True))
    assert [row[1:] for row in first] == [row[1:] for row in second]
    assert all(p.grad is None for p in teacher.parameters())


def test_an_epoch_holds_what_was_descended_and_the_teacher_keeps_no_hooks():
    c = config(epochs=2)
    teacher, student = networks(LENET, c)
    epochs = reference.distill(teacher, copy.deepcopy(student), c)
    rows = cudfkd.distill(teacher, student, c).rows
    assert len(epochs) == 2
    assert epochs[0].objective == pytest.approx(rows[0]["objective"], rel=0.05)
    assert 0 <= epochs[0].agreement <= 1
    assert epochs[0].seconds > 0
    assert not any(m._forward_hooks for m in teacher.modules())


@pytest.mark.parametrize(
    "change",
    [{"method": "dafl"}, {"precision": "bfloat16"}, {"curriculum": Curriculum(regularizer="hard")},
     {"options": {"store": "same"}}, {"options": {"loss": "l2"}}, {"image_size": None}],
)  # fmt: skip
def test_what_the_loop_does_not_know_is_refused(change):
    c = DistillConfig(**{"image_size": 28, "channels": 1} | change)
    with pytest.raises(ConfigError, match="the reference loop"):
        reference.distill(*networks(LENET, config()), c)
