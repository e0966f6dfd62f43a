"""Networks by name. `build` remembers how a network was made, so that a run folder can rebuild it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from cudfkd.base.errors import ConfigError, unknown
from cudfkd.models.families.lenet import LeNet5
from cudfkd.models.families.resnet import ResNet
from cudfkd.models.families.vgg import VGG11
from cudfkd.models.families.wide_resnet import WideResNet
from cudfkd.models.generator import Generator


@dataclass(frozen=True)
class _Architecture:
    make: Callable[..., Any]  # an nn.Module, which takes further attributes
    smallest: int  # pixels
    any_size: bool = True  # one network for all image sizes; otherwise it is made for one


_CLASSIFIERS = {
    "lenet5": _Architecture(LeNet5, smallest=16, any_size=False),
    "lenet5-half": _Architecture(partial(LeNet5, width=0.5), smallest=16, any_size=False),
    "resnet18": _Architecture(partial(ResNet, (2, 2, 2, 2)), smallest=8),
    "resnet34": _Architecture(partial(ResNet, (3, 4, 6, 3)), smallest=8),
    "vgg11-bn": _Architecture(VGG11, smallest=8, any_size=False),
    "wrn-16-1": _Architecture(partial(WideResNet, 16, 1), smallest=8),
    "wrn-16-2": _Architecture(partial(WideResNet, 16, 2), smallest=8),
    "wrn-40-1": _Architecture(partial(WideResNet, 40, 1), smallest=8),
    "wrn-40-2": _Architecture(partial(WideResNet, 40, 2), smallest=8),
}


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
    network = _CLASSIFIERS[check(name)]
    if image_size < network.smallest:
        raise ConfigError(f"image_size = {image_size} is not allowed: {name} needs {network.smallest} pixels or more")
    arguments = {"num_classes": num_classes, "channels": channels}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = network.make(**arguments) if network.any_size else network.make(**arguments, image_size=image_size)
    convert_conv2d_weight_memory_format(model, torch.channels_last)  # faster, on CPU and GPU
    model.spec = ModelSpec(name, num_classes, channels, image_size)
    model.uses_all_parameters = True  # in every pass, so that ranks need not look for unused ones
    return model


def rebuild(spec: dict) -> nn.Module:
    """The network that `spec_of` described."""
    return build(**spec)


def is_ours(model: nn.Module) -> bool:
    """Whether `build` made it."""
    return isinstance(getattr(model, "spec", None), ModelSpec)


def spec_of(model: nn.Module) -> dict | None:
    """How to make a network like this one, as plain data; None for a network that is not ours."""
    spec = getattr(model, "spec", None)
    return asdict(spec) if isinstance(spec, ModelSpec) else None


__all__ = [
    "Generator",
    "LeNet5",
    "ModelSpec",
    "ResNet",
    "VGG11",
    "WideResNet",
    "build",
    "check",
    "is_ours",
    "names",
    "rebuild",
    "spec_of",
]
