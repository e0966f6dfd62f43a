"""Checks, before any training, that networks, data and config fit together. A misfit gets one line of error."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from cudfkd import methods
from cudfkd.base.errors import ConfigError
from cudfkd.base.ranks import Ranks
from cudfkd.boundary import trials
from cudfkd.boundary.images import Images, check_labels, normalisation, read
from cudfkd.callbacks import Callback
from cudfkd.config import DistillConfig
from cudfkd.models.compiling import is_compiled, is_torchscript
from cudfkd.models.normalize import Normalize
from cudfkd.runs.context import Context, Shape, noise_images
from cudfkd.runs.student_batch import TrainingImages

MOMENTS = [name for name in vars(Callback) if name.startswith(("before_", "after_"))]


def images_of(config: DistillConfig, evaluate_on: Dataset | Any, train_on: Dataset | Any) -> dict[str, Images]:
    """Reads the data sets of a run: "evaluate_on" and "train_on", if they are given.

    Raises:
        ConfigError: a data set cannot be used, or real images are missing, or the method does not want them.
    """
    wanted = methods.get(config.method).ABOUT.real_images
    if wanted and train_on is None:
        raise ConfigError(f"method {config.method} studies real images: pass them as train_on")
    if not wanted and train_on is not None:
        raise ConfigError(f"method {config.method} is data-free: leave train_on out")
    images = {}
    if evaluate_on is not None:
        images["evaluate_on"] = read(evaluate_on, "evaluate", config.seed)
    if train_on is not None:
        images["train_on"] = read(train_on, "train", config.seed)
    return images


def training_images(ctx: Context, images: Images | None) -> TrainingImages | None:
    """Returns the real images of a reference method, on the device; None for a data-free method.

    Raises:
        ConfigError: the images are of the wrong shape, or a label is not a class of the teacher.
    """
    if images is None:
        return None
    expected = (ctx.shape.channels, ctx.shape.image_size, ctx.shape.image_size)
    if images.shape != expected:
        raise ConfigError(f"train_on has images of shape {images.shape}: it must be {expected}")
    check_labels(images.labels, ctx.shape.num_classes, "train")
    return TrainingImages.of(images, ctx.device)


def shape(
    config: DistillConfig,
    teacher: nn.Module,
    student: nn.Module,
    held_out: Images | None,
    normalize: Normalize,
    device: torch.device,
) -> Shape:
    """Returns the shape of images and logits, from config, evaluation data and forward passes of both networks.

    Raises:
        ConfigError: config, data and networks do not fit together, or leave the shape open; or a network cannot be
            used, see `cudfkd.boundary.networks`.
    """
    channels, size = config.channels, config.image_size
    if held_out is not None:
        image = held_out.shape
        if image[1] != image[2]:
            raise ConfigError(f"evaluate_on has images of shape {image}: it must be (channels, size, size)")
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
    normalisation(config.mean, config.std, channels)
    probe = normalize(noise_images(channels, size).to(device))
    learned = methods.get(config.method).ABOUT.generates
    of_teacher = trials.try_teacher(teacher, probe, gradient=learned)
    of_student = trials.try_student(student, probe, gradient=learned)
    if of_teacher != of_student:
        raise ConfigError(f"teacher has {of_teacher} classes, student {of_student}: they must agree")
    if config.num_classes not in (None, of_teacher):
        raise ConfigError(f"num_classes = {config.num_classes} is not that of the teacher, {of_teacher}")
    return Shape(channels, size, of_teacher)


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


def refuse_config(config: object) -> None:
    """Raises ConfigError if the settings of a run are of another type."""
    if not isinstance(config, DistillConfig):
        remedy = "DistillConfig(**it)" if isinstance(config, dict) else "DistillConfig(...)"
        raise ConfigError(f"config is of type {type(config).__name__}: it must be a DistillConfig, {remedy}")


def callbacks(given: object) -> tuple[Callback, ...]:
    """Returns the callbacks of a run. Raises ConfigError if one is no callback, or if they are no list."""
    if isinstance(given, Callback) or not isinstance(given, Iterable):
        raise ConfigError(f"callbacks is of type {type(given).__name__}: it must be a list of callbacks")
    watching: tuple[Any, ...] = tuple(given)
    for callback in watching:
        if isinstance(callback, type):
            raise ConfigError(f"the callback {callback.__name__} is a class: pass an object, {callback.__name__}(...)")
        missing = [moment for moment in MOMENTS if not callable(getattr(callback, moment, None))]
        if missing:
            name = type(callback).__name__
            raise ConfigError(f"a callback is of type {name}, which has no {missing[0]}: derive it from Callback")
    return watching


def by_moment(watching: tuple[Callback, ...]) -> dict[str, list[Callback]]:
    """Sorts callbacks by the moments that they override; the remaining moments cost nothing."""
    return {moment: [callback for callback in watching if _overrides(callback, moment)] for moment in MOMENTS}


def _overrides(callback: Callback, moment: str) -> bool:
    return getattr(getattr(callback, moment), "__func__", None) is not getattr(Callback, moment)
