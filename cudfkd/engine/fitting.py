"""Checks, before any training, that networks, data and config fit together. A misfit gets one line of error."""

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter
from torch.utils.data import Dataset

from cudfkd import methods
from cudfkd.base.errors import ConfigError
from cudfkd.base.ranks import Ranks
from cudfkd.boundary.images import as_tensors
from cudfkd.config import DistillConfig
from cudfkd.evaluation import refuse_normalisation
from cudfkd.models.compiling import is_compiled, is_torchscript
from cudfkd.models.normalize import Normalize
from cudfkd.runs.context import Context, Shape
from cudfkd.runs.student_batch import TrainingImages


def training_images(ctx: Context, train_on: Dataset | None) -> TrainingImages | None:
    """Returns the real images of a reference method, on the device; None for a data-free method.

    Raises:
        ConfigError: the images are missing, not wanted by the method, or of the wrong shape.
    """
    name, wanted = ctx.config.method, methods.get(ctx.config.method).ABOUT.real_images
    if train_on is None:
        if wanted:
            raise ConfigError(f"method {name} studies real images: pass them as train_on")
        return None
    if not wanted:
        raise ConfigError(f"method {name} is data-free: leave train_on out")
    images = TrainingImages.of(train_on, ctx.device)
    expected = (ctx.shape.channels, ctx.shape.image_size, ctx.shape.image_size)
    if images.pixels.shape[1:] != expected:
        raise ConfigError(f"train_on has images of shape {tuple(images.pixels.shape[1:])}: it must be {expected}")
    return images


def shape(
    config: DistillConfig,
    teacher: nn.Module,
    student: nn.Module,
    evaluate_on: Dataset | None,
    normalize: Normalize,
    device: torch.device,
) -> Shape:
    """Returns the shape of images and logits, from config, evaluate_on and a forward pass of both networks.

    Raises:
        ConfigError: config, evaluate_on and the networks do not fit together, or leave the shape open.
    """
    channels, size = config.channels, config.image_size
    if evaluate_on is not None:
        image = as_tensors(evaluate_on)[0].shape[1:]
        if len(image) != 3 or image[1] != image[2]:
            raise ConfigError(f"evaluate_on has images of shape {tuple(image)}: it must be (channels, size, size)")
        for name, configured, actual in (("channels", channels, image[0]), ("image_size", size, image[1])):
            if configured is not None and configured != actual:
                raise ConfigError(
                    f"{name} = {configured} is not that of evaluate_on, {actual}: leave it out or mend the data"
                )
        channels, size = image[0], image[1]
    if channels is None or size is None:
        raise ConfigError("image_size and channels are unknown: set both in the config, or pass evaluate_on")
    if size % 4:
        raise ConfigError(f"image_size = {size} is not allowed: it must be a multiple of 4")
    refuse_normalisation(config.mean, config.std, channels)
    probe = normalize(torch.zeros(2, channels, size, size, device=device))
    classes = {"teacher": _classes("teacher", teacher, probe), "student": _classes("student", student, probe)}
    if classes["teacher"] != classes["student"]:
        raise ConfigError(f"teacher has {classes['teacher']} classes, student {classes['student']}: they must agree")
    if config.num_classes not in (None, classes["teacher"]):
        raise ConfigError(f"num_classes = {config.num_classes} is not that of the teacher, {classes['teacher']}")
    return Shape(channels, size, classes["teacher"])


def refuse_ranks(config: DistillConfig, student: nn.Module, ranks: Ranks) -> None:
    """Raises ConfigError for a run whose result on several ranks would differ from its result on a single rank."""
    if ranks.size == 1:
        return
    if not methods.get(config.method).ABOUT.ranks:
        able = ", ".join(name for name in methods.names() if methods.get(name).ABOUT.ranks)
        raise ConfigError(f"method {config.method} runs on one rank only: start one process, or take one of {able}")
    if config.batch_size % ranks.size:
        allowed = f"the {ranks.size} ranks share it, so it must be a multiple of {ranks.size}"
        raise ConfigError(f"batch_size = {config.batch_size} is not allowed: {allowed}")
    if config.compile != "off":
        raise ConfigError(f"compile = {config.compile!r} is for one rank: leave it off with {ranks.size}")
    if is_compiled(student) or is_torchscript(student):
        raise ConfigError("a compiled student is for one rank: pass the module that it was made from")


def _classes(name: str, network: nn.Module, probe: torch.Tensor) -> int:
    """Returns the number of logits of a network, from a forward pass on `probe` in eval mode.

    Raises:
        ConfigError: the network does not take the probe, or does not return logits of shape (batch, classes).
    """
    modes = {module: module.training for module in network.modules()}
    try:
        with torch.no_grad():
            logits = network.eval()(probe)
    except Exception as error:  # a foreign network may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"the {name} does not take images of shape {tuple(probe.shape[1:])}: {reason}") from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    if not isinstance(logits, torch.Tensor):
        kind = type(logits).__name__
        raise ConfigError(f"the {name} returns a {kind}: it must return logits alone, so wrap it in a module that does")
    if logits.ndim != 2:
        raise ConfigError(f"the {name} returns a tensor of shape {tuple(logits.shape)}: it must be (batch, classes)")
    return logits.shape[1]


def refuse_unfit(teacher: nn.Module, student: nn.Module) -> None:
    """Raises ConfigError for networks that fit no config."""
    if is_compiled(teacher):
        raise ConfigError(
            "the teacher is compiled, and cannot be looked into: pass the module that it was made from"
            " (compile = 'default' compiles it for the run)"
        )
    for name, network in (("teacher", teacher), ("student", student)):
        if any(isinstance(parameter, UninitializedParameter) for parameter in network.parameters()):
            raise ConfigError(
                f"the {name} has lazy layers, which have no weights yet: call it on a batch of images first"
            )
    if not any(parameter.requires_grad for parameter in student.parameters()):
        raise ConfigError("no parameter of the student can be trained: call student.requires_grad_() first")
    shared = {id(p) for p in teacher.parameters()} & {id(p) for p in student.parameters()}
    if shared:
        raise ConfigError(f"teacher and student share {len(shared)} parameters: pass copy.deepcopy(...) of one of them")
