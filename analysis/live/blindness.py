"""A test that a method is data-free: evaluation looks at held-out images, and must not change the student."""

from typing import NamedTuple

import torch
from torch import nn

from cudfkd import methods
from cudfkd.base.errors import ConfigError
from cudfkd.config import Experiment
from cudfkd.engine.distillation import distill
from cudfkd.engine.experiments import build


class Blindness(NamedTuple):
    """The result of the test.

    identical: the student is the same, to the bit, with and without held-out images for evaluation.
    control_differs: another seed gives another student, so the comparison is able to fail.
    """

    identical: bool
    control_differs: bool


def blindness(experiment: Experiment) -> Blindness:
    """Distills the first epoch of an experiment three times: with evaluation, without, and with another seed.

    Raises:
        ConfigError: the experiment's method trains the student on real images.
    """
    method = experiment.distill.method
    if methods.get(method).ABOUT.real_images:
        raise ConfigError(f"method {method} is not data-free: there is nothing to show, take another")
    seen = _student(experiment, experiment.distill.seed, evaluate=True)
    blind = _student(experiment, experiment.distill.seed, evaluate=False)
    other = _student(experiment, experiment.distill.seed + 1, evaluate=False)
    return Blindness(_equal(seen, blind), not _equal(seen, other))


def _student(experiment: Experiment, seed: int, *, evaluate: bool) -> nn.Module:
    """The student after one epoch. Without evaluation data, the configuration must name the shape of the images."""
    seeded = experiment.distill.model_copy(update={"epochs": 1, "keep_epochs": (), "seed": seed})
    teacher, student, config = build(experiment.model_copy(update={"distill": seeded}))
    about = experiment.data_info()
    config = config.model_copy(update={"image_size": about.image_size, "channels": about.channels})
    dev = experiment.images("dev") if evaluate else None
    return distill(teacher, student, config, evaluate_on=dev).student


def _equal(a: nn.Module, b: nn.Module) -> bool:
    mine, other = a.state_dict(), b.state_dict()
    return all(torch.equal(mine[key], other[key]) for key in mine)
