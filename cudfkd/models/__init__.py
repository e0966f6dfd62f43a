"""Networks by name. `build` stores in a network how it was made, so that a run folder can rebuild the network."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from cudfkd.base import process
from cudfkd.base.errors import ConfigError, unknown
from cudfkd.base.randomness import seeded
from cudfkd.models.families.convnet import ConvNet
from cudfkd.models.families.lenet import LeNet5
from cudfkd.models.families.resnet import ResNet
from cudfkd.models.families.vgg import VGG11
from cudfkd.models.families.wide_resnet import WideResNet
from cudfkd.models.generator import Generator


@dataclass(frozen=True)
class _Architecture:
    """How to make a classifier.

    make: function that returns an nn.Module; its type is Any because `build` sets attributes on the module.
    smallest: smallest height and width of an image, in pixels.
    any_size: whether one network takes images of all sizes; if not, a network is made for one size.
    """

    make: Callable[..., Any]
    smallest: int
    any_size: bool = True


_CLASSIFIERS = {
    "convnet": _Architecture(ConvNet, smallest=8),
    "convnet-half": _Architecture(partial(ConvNet, width=0.5), smallest=8),
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
    """The arguments of `build`, without the seed, from which a classifier can be made again.

    name: name of the classifier, from `names()`.
    num_classes: number of logits.
    channels: colour channels of the images.
    image_size: height and width of the images in pixels.
    """

    name: str
    num_classes: int
    channels: int
    image_size: int


def names() -> list[str]:
    """Names of the classifiers that `build` can make, sorted."""
    return sorted(_CLASSIFIERS)


def check(name: str) -> str:
    """Returns the name if it is the name of a classifier. Raises ConfigError otherwise."""
    if name not in _CLASSIFIERS:
        raise ConfigError(unknown("model", name, _CLASSIFIERS))
    return name


@process.plain()
def build(name: str, num_classes: int = 10, channels: int = 1, image_size: int = 28, seed: int = 0) -> nn.Module:
    """Makes a classifier with initial weights that depend on `seed` alone, not on the global random generator.

    Arguments:
        name: name of the classifier, from `names()`.
        num_classes: number of logits.
        channels: colour channels of the images.
        image_size: height and width of the images in pixels.
        seed: seed of the initial weights.

    Raises:
        ConfigError: the name is unknown, or the images are smaller than the network can take.
    """
    network = _CLASSIFIERS[check(name)]
    if image_size < network.smallest:
        raise ConfigError(f"image_size = {image_size} is not allowed: {name} needs {network.smallest} pixels or more")
    arguments = {"num_classes": num_classes, "channels": channels}
    with seeded(seed):
        model = network.make(**arguments) if network.any_size else network.make(**arguments, image_size=image_size)
    convert_conv2d_weight_memory_format(model, torch.channels_last)  # faster, on CPU and GPU
    model.spec = ModelSpec(name, num_classes, channels, image_size)
    model.uses_all_parameters = True  # in every pass, so that ranks need not search for unused parameters
    return model


def rebuild(spec: dict) -> nn.Module:
    """Makes a network, with new weights, from its description by `spec_of`."""
    return build(**spec)


def is_ours(model: nn.Module) -> bool:
    """Whether `build` made the network."""
    return isinstance(getattr(model, "spec", None), ModelSpec)


def spec_of(model: nn.Module) -> dict | None:
    """Describes how `rebuild` makes such a network, as plain data; None for a network that `build` did not make."""
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
