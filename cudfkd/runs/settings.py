"""The values that a run can set, each with its range and its help; `cudfkd.config` checks them against the method."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from cudfkd.base import devices
from cudfkd.base.validation import Described
from cudfkd.curriculum import Curriculum

Count = Annotated[int, Field(ge=1)]
PerChannel = Annotated[tuple[float, ...], Field(strict=False, min_length=1)]


class Settings(Described):
    """The values of one distillation, each checked alone."""

    method: str = "cudfkd"
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

    @property
    def total_steps(self) -> int:
        """Student steps of the whole run."""
        return self.epochs * self.steps_per_epoch


def _device(name: str, context: dict | None) -> str:
    """The name, checked; of a run that is only read, it may be a device of another machine."""
    devices.check(name, elsewhere=bool((context or {}).get("elsewhere")))
    return name
