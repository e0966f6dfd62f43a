"""Networks by name. `build` remembers how a network was made, so that a run folder can rebuild it."""

from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import nn

from cudfkd.errors import ConfigError, unknown
from cudfkd.models.generator import Generator
from cudfkd.models.lenet import LeNet5

_CLASSIFIERS = {"lenet5": LeNet5, "lenet5-half": partial(LeNet5, width=0.5)}
_SMALLEST = {"lenet5": 16, "lenet5-half": 16}


@dataclass(frozen=True)
class ModelSpec:
    """How a classifier of ours is made: all that `build` needs."""

    name: str
    num_classes: int
    channels: int
    image_size: int


def names() -> list[str]:
    """The classifiers that `build` knows."""
    return sorted(_CLASSIFIERS)


def check(name: str) -> str:
    """The name itself if there is such a classifier. Raises ConfigError otherwise."""
    if name not in _CLASSIFIERS:
        raise ConfigError(unknown("model", name, _CLASSIFIERS))
    return name


def build(name: str, num_classes: int = 10, channels: int = 1, image_size: int = 28, seed: int = 0) -> nn.Module:
    """A freshly initialised classifier; its initial weights depend on `seed` alone, not on the global generator.

    Arguments:
        name: one of `names()`.
        num_classes: number of logits.
        channels: colour channels of the images it takes.
        image_size: height and width in pixels of the images it takes.
        seed: of the initial weights.

    Raises:
        ConfigError: unknown name, or images smaller than the network can take.
    """
    check(name)
    if image_size < _SMALLEST[name]:
        raise ConfigError(f"image_size = {image_size} is not allowed: {name} needs {_SMALLEST[name]} pixels or more")
    spec = ModelSpec(name, num_classes, channels, image_size)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = _CLASSIFIERS[name](num_classes=num_classes, channels=channels, image_size=image_size)
    model.spec = spec
    return model


def rebuild(spec: dict) -> nn.Module:
    """The network that `spec_of` described."""
    return build(**spec)


def spec_of(model: nn.Module) -> dict | None:
    """How to make a network like this one, as plain data; None for a network that is not ours."""
    spec = getattr(model, "spec", None)
    return asdict(spec) if isinstance(spec, ModelSpec) else None


__all__ = ["Generator", "LeNet5", "ModelSpec", "build", "check", "names", "rebuild", "spec_of"]
