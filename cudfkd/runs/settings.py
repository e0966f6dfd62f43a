"""The settings of a run, each with its range and its help text; `cudfkd.config` checks them against the method."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from cudfkd.base import devices
from cudfkd.base.validation import Described
from cudfkd.boundary.images import per_channel
from cudfkd.curriculum import Curriculum

Count = Annotated[int, Field(ge=1)]
_AnyNumbers = BeforeValidator(per_channel)
PerChannel = Annotated[tuple[float, ...], _AnyNumbers, Field(strict=False, min_length=1)]


class Settings(Described):
    """The settings of one distillation. This class checks each setting alone."""

    later: ClassVar = {"average": 0.0}

    method: str = "cudfkd"
    """name of the method, from `cudfkd.methods.names()`"""
    epochs: Count = 25
    """number of epochs; each epoch ends with evaluation, metrics and a checkpoint"""
    steps_per_epoch: Count = 100
    """student steps per epoch"""
    round_steps: Count = Field(default=None, validate_default=True)
    """student steps after each round of synthesis, a divisor of steps_per_epoch; default: the method's published
    number, at most steps_per_epoch (cudfkd: 2, but 10 in the authors' scripts)"""
    generator_ratio: Annotated[float, Field(gt=0)] | None = None
    """generator steps per student step, the same for every method; fast-dfkd adds its warmup and pre-dfkd its
    replay_steps, unless these are 0; default: the method's own ratio"""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """samples in a student step, at least 2 because BatchNorm needs 2"""
    lr: Annotated[float, Field(gt=0)] = 0.1
    """initial learning rate of the student; it falls along half a cosine to 0 at the end of the run"""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """momentum of the student's SGD"""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """weight decay of the student's SGD"""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of the run, at its end, over whose steps the weights of the student are averaged; the average is evaluated,
    and is the student of the result; 0: no average"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """seed of all random numbers of the run"""
    device: Annotated[str, AfterValidator(lambda name, info: _device(name, info.context))] = "cpu"
    """device that computes: cpu, cuda, cuda:N or mps"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """number format of the networks: float32, or bfloat16 for mixed precision (torch.autocast)"""
    compile: Literal["off", "default", "reduce-overhead"] = "off"
    """mode of torch.compile for the networks, while images are made and in the student's step: off, default, or
    reduce-overhead (CUDA graphs)"""
    image_size: Annotated[int, Field(ge=4, multiple_of=4)] | None = None
    """height and width of the images in pixels; default: the size of the evaluation data"""
    channels: Literal[1, 3] | None = None
    """colour channels of the images, 1 or 3; default: the channels of the evaluation data"""
    num_classes: Annotated[int, Field(ge=2)] | None = None
    """number of classes; default: the classes of the teacher"""
    mean: PerChannel | None = None
    """mean of each channel of images x in [0, 1], for normalisation: networks see (x - mean) / std"""
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], _AnyNumbers, Field(strict=False, min_length=1)] | None = (
        None
    )
    """standard deviation of each channel of images x in [0, 1], for normalisation: networks see (x - mean) / std"""
    curriculum: Curriculum = Field(default=None, validate_default=True)
    """how samples are weighed; default: the paper's curriculum for cudfkd, none for every other method"""
    options: Annotated[Any, Field(validate_default=True)] = None
    """the method's own settings: its `Options`, or a dict of their values"""
    keep_epochs: Annotated[tuple[Count, ...], Field(strict=False)] = ()
    """epochs (from 1) that leave their weights in the run folder, in addition to the last epoch"""

    @property
    def total_steps(self) -> int:
        """Student steps of the whole run."""
        return self.epochs * self.steps_per_epoch


def _device(name: str, context: dict | None) -> str:
    """Checks the name and returns it. For a run that is only read, it may be the device of another machine."""
    devices.check(name, elsewhere=bool((context or {}).get("elsewhere")))
    return name
