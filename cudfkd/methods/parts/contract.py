"""What a method is made of: small objects that the engine drives. A method never loops over epochs itself."""

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from cudfkd.runs.context import Context
from cudfkd.runs.student_batch import StudentBatch


@dataclass(frozen=True)
class About:
    """What is to be known of a method before it is built.

    paper, needs: what `cudfkd methods` says of it: its paper, and what it needs besides a teacher.
    round_steps: student steps after each round of synthesis, as published; None: one round an epoch.
    granularity: of the curriculum, unless one is asked for; "none" is plain distillation.
    real_images: it studies the training images, and is a reference rather than a data-free method.
    generates: it makes images by gradient steps, so that a ratio of generator to student steps means something.
    ranks: it may run on several, where it gives what it gives on one (`cudfkd.base.ranks`).
    """

    paper: str
    needs: str
    round_steps: int | None = None
    granularity: Literal["sample", "batch", "none"] = "none"
    real_images: bool = False
    generates: bool = True
    ranks: bool = False


@runtime_checkable
class Synthesizer(Protocol):
    """Learns to make images. Called with student and teacher frozen, in eval mode (but see `Method`)."""

    def round(self, ctx: Context) -> int:
        """One round of synthesis, through `ctx.step_down`; returns how many optimizer steps it took."""
        ...


@runtime_checkable
class Store(Protocol):
    """Where the student's next batch comes from."""

    def draw(self, ctx: Context) -> StudentBatch:
        """A batch of images in [0, 1], without gradient."""
        ...


@runtime_checkable
class Objective(Protocol):
    """What the student learns from a batch. Per sample: the engine applies the curriculum."""

    def losses(self, ctx: Context, study: StudentBatch) -> Float[Tensor, " batch"]:
        """The loss of each sample, all terms summed, differentiable in the student's parameters."""
        ...


@dataclass
class Method:
    """A method, built for one run.

    modules and optimizers hold all its learned state, by name: they are saved and restored with the run. The module
    called "generator", if there is one, becomes `run.generator`. memory holds what else a resume needs (pools of
    images, banks of features) as modules with buffers: it is in the checkpoint, and goes with it at the run's end.
    student_trains: the student is in train mode during synthesis, so that its BatchNorm layers use the batch.
    """

    synthesizer: Synthesizer
    store: Store
    objective: Objective
    modules: dict[str, nn.Module] = field(default_factory=dict)
    optimizers: dict[str, Optimizer] = field(default_factory=dict)
    memory: dict[str, nn.Module] = field(default_factory=dict)
    student_trains: bool = False
