"""The objects that make up a method. The engine drives them; a method never loops over epochs itself."""

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from cudfkd.runs.context import Context
from cudfkd.runs.student_batch import StudentBatch


@dataclass(frozen=True)
class About:
    """Facts about a method that are available before it is built."""

    paper: str
    """the method's paper, as `cudfkd methods` prints it"""
    needs: str
    """what the method needs besides a teacher, as `cudfkd methods` prints it"""
    round_steps: int | None = None
    """student steps after each round of synthesis, as published; None: one round an epoch"""
    granularity: Literal["sample", "batch", "none"] = "none"
    """default granularity of the curriculum; "none" is plain distillation"""
    real_images: bool = False
    """the student learns from the training images: the method is a reference, not a data-free method"""
    generates: bool = True
    """the method makes images by gradient steps, so a ratio of generator steps to student steps is defined"""
    ranks: bool = False
    """the method may run on several ranks, with the same result as on one rank (`cudfkd.base.ranks`)"""


@runtime_checkable
class Synthesizer(Protocol):
    """Learns to make images. Student and teacher are frozen and in eval mode (but see `Method.student_trains`)."""

    def round(self, ctx: Context) -> int:
        """Runs one round of synthesis through `ctx.step_down`; returns the number of optimizer steps."""
        ...


@runtime_checkable
class Store(Protocol):
    """Source of the student's batches."""

    def draw(self, ctx: Context) -> StudentBatch:
        """Returns the next batch: images without gradient, in [0, 1] or beyond it if the generator's output is."""
        ...


@runtime_checkable
class Objective(Protocol):
    """Loss of the student on a batch, for each sample. The engine applies the curriculum to it."""

    def losses(self, ctx: Context, study: StudentBatch) -> Float[Tensor, " batch"]:
        """Returns the loss of each sample, summed over all terms, differentiable in the student's parameters."""
        ...


@dataclass
class Method:
    """A method, built for one run. `modules` and `optimizers` together hold all learned state of the method."""

    synthesizer: Synthesizer
    """makes images"""
    store: Store
    """gives the student its batches"""
    objective: Objective
    """gives the student's loss"""
    modules: dict[str, nn.Module] = field(default_factory=dict)
    """networks by name, saved and restored with the run; a module called "generator" becomes `run.generator`"""
    optimizers: dict[str, Optimizer] = field(default_factory=dict)
    """optimizers by name, saved and restored with the run"""
    memory: dict[str, nn.Module] = field(default_factory=dict)
    """other state that a resume needs (pools of images, banks of features), as modules with buffers; it is part of the
    checkpoint, and is deleted with the checkpoint at the end of the run"""
    student_trains: bool = False
    """the student is in train mode during synthesis, so its BatchNorm layers use the statistics of the batch"""
    student_clip: float | None = None
    """largest norm of the student's gradient in a student step; None: no limit"""
