"""Descriptions of a run: frozen, validated, plain data. Every value that a user can set is checked when one is made."""

import json
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    field_validator,
    model_validator,
)

from cudfkd import data, devices, methods, models, teachers
from cudfkd.curriculum import Curriculum
from cudfkd.errors import ConfigError
from cudfkd.validation import Described

Count = Annotated[int, Field(ge=1)]
PerChannel = Annotated[tuple[float, ...], Field(strict=False, min_length=1)]


class DistillConfig(Described):
    """One distillation, whatever the teacher. Schedules run over the whole run, so its length may be changed freely."""

    method: Annotated[str, AfterValidator(lambda name: methods.get(name) and name)] = "cudfkd"
    """method, one of `cudfkd.methods.names()`"""
    epochs: Count = 25
    """epochs of the run: evaluation, metrics and checkpoint come at the end of each"""
    steps_per_epoch: Count = 100
    """student steps an epoch"""
    round_steps: Count = Field(default=None, validate_default=True)
    """student steps after each round of synthesis; divides steps_per_epoch; default: as published with the method, at
    most an epoch's (cudfkd: 2, where the authors' scripts have 10)"""
    generator_ratio: Annotated[float, Field(gt=0)] | None = None
    """generator steps a student step, the same for every method but for what comes on top where it is not set to 0
    (fast-dfkd: warmup, pre-dfkd: replay_steps); default: each method's own"""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """samples a step, 2 or more because BatchNorm needs them"""
    lr: Annotated[float, Field(gt=0)] = 0.1
    """the student's initial learning rate; it falls along half a cosine to 0 over the run"""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """of the student's SGD"""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """of the student's SGD"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """of every random number of the run"""
    device: Annotated[str, AfterValidator(lambda name, info: _device(name, info.context))] = "cpu"
    """cpu, cuda, cuda:N or mps"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """float32, or bfloat16 for autocast"""
    compile: Literal["off", "default", "reduce-overhead"] = "off"
    """torch.compile for the networks, in making images and in the student's step; reduce-overhead: CUDA graphs"""
    image_size: Annotated[int, Field(ge=4, multiple_of=4)] | None = None
    """height and width in pixels; default: those of the evaluation data"""
    channels: Literal[1, 3] | None = None
    """1 or 3 colour channels; default: those of the evaluation data"""
    num_classes: Annotated[int, Field(ge=2)] | None = None
    """classes; default: those of the teacher"""
    mean: PerChannel | None = None
    """normalisation of images in [0, 1], a number a channel: networks see (x - mean) / std"""
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False, min_length=1)] | None = None
    """likewise"""
    curriculum: Curriculum = Field(default=None, validate_default=True)
    """how samples are weighed; default: the paper's for cudfkd, none for all other methods"""
    options: Annotated[Any, Field(validate_default=True)] = None
    """the method's own settings: its `Options`, or a dict of them"""
    keep_epochs: Annotated[tuple[Count, ...], Field(strict=False)] = ()
    """epochs (from 1) whose weights stay in the run folder, besides the last"""

    @field_validator("round_steps", mode="before")
    @classmethod
    def _published_round(cls, value: Any, info: Any) -> Any:
        if value is not None or not {"method", "steps_per_epoch"} <= info.data.keys():
            return value
        published, epoch = methods.get(info.data["method"]).ABOUT.round_steps, info.data["steps_per_epoch"]
        return epoch if published is None else min(published, epoch)

    @field_validator("curriculum", mode="before")
    @classmethod
    def _curriculum_of_method(cls, value: Any, info: Any) -> Any:
        if value is not None:
            return value
        return Curriculum(granularity=methods.get(info.data.get("method", "cudfkd")).ABOUT.granularity)

    @field_validator("options", mode="before")
    @classmethod
    def _plain_options(cls, value: Any, info: Any) -> Any:
        kind = methods.get(info.data.get("method", "cudfkd")).Options
        if value is None or isinstance(value, dict):
            return kind.model_validate(value or {})
        if not isinstance(value, kind):
            method = info.data.get("method", "cudfkd")
            raise ConfigError(f"options = {value!r} is not allowed: it must be the Options of {method} or a dict")
        return value

    @model_validator(mode="after")
    def _belongs_together(self) -> "DistillConfig":
        if self.round_steps > self.steps_per_epoch or self.steps_per_epoch % self.round_steps:
            allowed = f"it must divide steps_per_epoch = {self.steps_per_epoch}"
            raise ConfigError(f"round_steps = {self.round_steps} is not allowed: {allowed}")
        self._check_ratio()
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            raise ConfigError(f"mean = {self.mean} and std = {self.std} must both be given, a number a channel each")
        late = [epoch for epoch in self.keep_epochs if epoch > self.epochs]
        if late:
            raise ConfigError(f"keep_epochs = {late[0]} is not allowed: the run has {self.epochs} epochs")
        return self

    def _check_ratio(self) -> None:
        if self.generator_ratio is None:
            return
        if not methods.get(self.method).ABOUT.generates:
            raise ConfigError(f"generator_ratio = {self.generator_ratio}: method {self.method} has no generator")
        steps = self.generator_ratio * self.round_steps
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-9:
            allowed = f"times round_steps = {self.round_steps} it must be a whole number, 1 or more"
            raise ConfigError(f"generator_ratio = {self.generator_ratio} is not allowed: {allowed}")

    @property
    def total_steps(self) -> int:
        """Student steps of the whole run."""
        return self.epochs * self.steps_per_epoch


class Experiment(Described):
    """A distillation between networks and data of ours: all that a machine needs to run it, and what it is found by."""

    data: Annotated[str, AfterValidator(lambda name: data.info(name) and name)] = "fashion-mnist"
    """evaluation data, one of `cudfkd.data.names()`"""
    teacher: str = "lenet5"
    """architecture of a teacher that ships, or the file of one trained with `cudfkd teacher`"""
    teacher_seed: Annotated[int, Field(ge=0)] = 0
    """seed of the training of one that ships"""
    student: Annotated[str, AfterValidator(lambda name: models.check(name) and name)] = "lenet5-half"
    """one of `cudfkd.models.names()`"""
    distill: DistillConfig = DistillConfig()
    """the rest; where its mean and std are None, those of the data are taken"""

    @model_validator(mode="after")
    def _teacher_is_there(self) -> "Experiment":
        self.teacher_card()
        return self

    def teacher_card(self) -> dict:
        """The teacher's card. Raises ConfigError, DataError as `cudfkd.teachers.locate`."""
        return teachers.teacher_card(teachers.locate(self.data, self.teacher, self.teacher_seed))

    @property
    def key(self) -> str:
        """Short hash of all values and of the teacher's weights: equal descriptions have equal keys."""
        values = self.model_dump(mode="json", exclude={"teacher", "teacher_seed"})
        canonical = json.dumps([values, self.teacher_card()["sha256"]], sort_keys=True)
        return sha256(canonical.encode()).hexdigest()[:16]


def _device(name: str, context: dict | None) -> str:
    """The name, checked; of a run that is only read, it may be a device of another machine."""
    devices.check(name, elsewhere=bool((context or {}).get("elsewhere")))
    return name
