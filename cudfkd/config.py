"""Descriptions of a run: frozen, validated, plain data. Making a description checks every value that a user can set."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    Field,
    field_validator,
    model_validator,
)

from cudfkd import data, methods, models, teachers
from cudfkd.base.errors import ConfigError
from cudfkd.base.validation import Described, digest
from cudfkd.curriculum import Curriculum
from cudfkd.data import DataInfo, FolderInfo, ImageSet
from cudfkd.runs.settings import Settings


class DistillConfig(Settings):
    """Settings of one distillation, for any teacher.

    Schedules are functions of the share of the run that is over, so the length of a run may be changed freely.
    """

    @field_validator("method")
    @classmethod
    def _known_method(cls, name: str) -> str:
        return methods.get(name) and name

    @field_validator("round_steps", mode="before")
    @classmethod
    def _published_round(cls, value: Any, info: Any) -> Any:
        if value is not None or not {"method", "steps_per_epoch"} <= info.data.keys():
            return value
        published, epoch_steps = methods.get(info.data["method"]).ABOUT.round_steps, info.data["steps_per_epoch"]
        return epoch_steps if published is None else min(published, epoch_steps)

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


class Experiment(Described):
    """A distillation between networks and data that this package loads by name.

    It holds every value that a machine needs to run the distillation. `get_or_run` finds the run by its `key`.
    """

    later: ClassVar = {"teacher_arch": ""}

    data: Annotated[str, AfterValidator(lambda name: data.check(name))] = "fashion-mnist"
    """name of the evaluation data, from `cudfkd.data.names()`, or the path of a folder of images as it was given, see
    `cudfkd.data.folder`"""
    teacher: str = "lenet5"
    """architecture of a teacher that ships with the package, the file of a teacher trained with `cudfkd teacher`, or a
    file of plain weights"""
    teacher_seed: Annotated[int, Field(ge=0)] = 0
    """seed of the teacher's training, for a teacher that ships with the package"""
    teacher_arch: str = ""
    """architecture of a teacher that is a file of plain weights, from `cudfkd.models.names()`; else empty"""
    student: Annotated[str, AfterValidator(lambda name: models.check(name) and name)] = "lenet5-half"
    """architecture of the student, from `cudfkd.models.names()`"""
    distill: DistillConfig = DistillConfig()
    """settings of the distillation; where mean and std are None, the run takes the mean and std of the data set"""

    @model_validator(mode="after")
    def _teacher_is_there(self) -> "Experiment":
        self.teacher_card()
        return self

    def teacher_card(self) -> dict:
        """Returns the teacher's card. Raises ConfigError and DataError as `cudfkd.teachers.named_card` does."""
        return teachers.named_card(self.data, self.teacher, self.teacher_seed, self.teacher_arch, self.folder_size)

    @property
    def folder_size(self) -> int | None:
        """The size to which the images of a folder are brought; None for data with a name, which keep their size."""
        return self.distill.image_size if data.is_folder(self.data) else None

    def data_info(self) -> DataInfo:
        """Returns the facts of the data. Raises as `cudfkd.data.info`."""
        return data.info(self.data, self.folder_size)

    def images(self, split: str, data_root: str | Path | None = None) -> ImageSet:
        """Loads a split of the data, at the size that the experiment asks for. Raises as `cudfkd.data.load`."""
        return data.load(self.data, split, data_root, self.folder_size)

    @property
    def key(self) -> str:
        """Short hash of the description: equal descriptions have equal keys.

        It covers all values, but the teacher's weights in place of `teacher` and `teacher_seed`, and the content of a
        folder of images in place of its path.
        """
        values = self.model_dump(mode="json", exclude={"teacher", "teacher_seed"})
        about = self.data_info()
        if isinstance(about, FolderInfo):
            values["data"] = about.sha256
        return digest([values, self.teacher_card()["sha256"]])
