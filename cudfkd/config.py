"""Descriptions of a run: frozen, validated, plain data. Every value that a user can set is checked when one is made."""

import json
from hashlib import sha256
from typing import Annotated, Any, Literal

import torch
from pydantic import (
    AfterValidator,
    Field,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from cudfkd import data, methods, models, teachers
from cudfkd.curriculum import Curriculum
from cudfkd.errors import ConfigError
from cudfkd.validation import Described

Count = Annotated[int, Field(ge=1)]
PerChannel = Annotated[tuple[float, ...], Field(strict=False, min_length=1)]


class DistillConfig(Described):
    """One distillation, whatever the teacher.

    method: one of `cudfkd.methods.names()`; options: its own settings, a typed object or a dict of them.
    epochs, steps_per_epoch: length of the run in epochs, and of an epoch in student steps.
    round_steps: student steps after each round of synthesis (the public code's kd_steps interval).
    batch_size: samples a step, at least 2: BatchNorm needs them.
    lr, momentum, weight_decay: the student's SGD; lr falls along a half cosine to 0 over the run.
    seed: of every random number of the run. device: as torch names it. precision: "float32" or "bfloat16" (autocast).
    image_size, channels, num_classes: None takes them from evaluate_on and the teacher's output.
    mean, std: normalisation of images in [0, 1], a number a channel; None leaves images as they are.
    curriculum: see `Curriculum`.
    keep_epochs: epochs (from 1) after which the weights are kept in the run folder, besides the last.
    """

    method: Annotated[str, AfterValidator(lambda name: methods.get(name) and name)] = "cudfkd"
    epochs: Count = 20
    steps_per_epoch: Count = 100
    round_steps: Count = 10
    batch_size: Annotated[int, Field(ge=2)] = 64
    lr: Annotated[float, Field(gt=0)] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    device: Annotated[str, AfterValidator(lambda name: _device(name) and name)] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    image_size: Annotated[int, Field(ge=4, multiple_of=4)] | None = None
    channels: Literal[1, 3] | None = None
    num_classes: Annotated[int, Field(ge=2)] | None = None
    mean: PerChannel | None = None
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False, min_length=1)] | None = None
    curriculum: Curriculum = Curriculum()
    options: Annotated[SerializeAsAny[Described] | None, Field(validate_default=True)] = None
    keep_epochs: Annotated[tuple[Count, ...], Field(strict=False)] = ()

    @field_validator("options", mode="before")
    @classmethod
    def _plain_options(cls, value: Any, info: Any) -> Any:
        kind = methods.get(info.data.get("method", "cudfkd")).Options
        if value is None or isinstance(value, dict):
            return kind(**(value or {}))
        if not isinstance(value, kind):
            raise ConfigError(f"options of type {type(value).__name__} are not those of method {info.data['method']!r}")
        return value

    @model_validator(mode="after")
    def _belongs_together(self) -> "DistillConfig":
        if self.round_steps > self.steps_per_epoch or self.steps_per_epoch % self.round_steps:
            allowed = f"it must divide steps_per_epoch = {self.steps_per_epoch}"
            raise ConfigError(f"round_steps = {self.round_steps} is not allowed: {allowed}")
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            raise ConfigError(f"mean = {self.mean} and std = {self.std} must both be given, a number a channel each")
        late = [epoch for epoch in self.keep_epochs if epoch > self.epochs]
        if late:
            raise ConfigError(f"keep_epochs = {late[0]} is not allowed: the run has {self.epochs} epochs")
        return self

    @property
    def total_steps(self) -> int:
        """Student steps of the whole run."""
        return self.epochs * self.steps_per_epoch


class Experiment(Described):
    """A distillation between networks and data of ours: all that a machine needs to run it, and what it is found by.

    data: evaluation data, one of `cudfkd.data.names()`. teacher, teacher_seed: a teacher that ships.
    student: one of `cudfkd.models.names()`. distill: the rest; its mean and std are the data set's where None.
    """

    data: Annotated[str, AfterValidator(lambda name: data.info(name) and name)] = "fashion-mnist"
    teacher: str = "lenet5"
    teacher_seed: Annotated[int, Field(ge=0)] = 0
    student: Annotated[str, AfterValidator(lambda name: models.check(name) and name)] = "lenet5-half"
    distill: DistillConfig = DistillConfig()

    @model_validator(mode="after")
    def _teacher_ships(self) -> "Experiment":
        teachers.shipped_card(self.data, self.teacher, self.teacher_seed)
        return self

    @property
    def key(self) -> str:
        """Short hash of all values and of the teacher's weights: equal descriptions have equal keys."""
        weights = teachers.shipped_card(self.data, self.teacher, self.teacher_seed)["sha256"]
        canonical = json.dumps([self.model_dump(mode="json"), weights], sort_keys=True)
        return sha256(canonical.encode()).hexdigest()[:16]


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device = {name!r} is not allowed: it must be cpu, cuda, cuda:N or mps") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"device = {name!r} is not allowed: it must be cpu, cuda, cuda:N or mps")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if (device.index or 0) >= count:
        raise ConfigError(f"device = {name!r} is not on this machine: it has {count} of type {device.type}; use cpu")
    return device
