"""What a method is made of: small objects that the engine drives. A method never loops over epochs itself."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from cudfkd.context import Context


@dataclass(frozen=True)
class About:
    """What `cudfkd methods` says of a method: its paper, and what it needs besides a teacher."""

    paper: str
    needs: str


@runtime_checkable
class Synthesizer(Protocol):
    """Learns to make images. Called with the student in eval mode and the teacher frozen."""

    def round(self, ctx: Context) -> int:
        """One round of synthesis, through `ctx.step_down`; returns how many optimizer steps it took."""
        ...


@runtime_checkable
class Store(Protocol):
    """Where the student's next batch comes from."""

    def draw(self, ctx: Context) -> Float[Tensor, "batch channels size size"]:
        """A batch of images in [0, 1], without gradient."""
        ...


@runtime_checkable
class Objective(Protocol):
    """What the student learns from a batch. Per sample: the engine applies the curriculum."""

    def losses(self, ctx: Context, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, " batch"]:
        """The loss of each sample, differentiable in the student's parameters."""
        ...


@dataclass
class Method:
    """A method, built for one run.

    modules and optimizers hold all its learned state, by name: they are saved and restored with the run. The module
    called "generator", if there is one, becomes `run.generator`.
    """

    synthesizer: Synthesizer
    store: Store
    objective: Objective
    modules: dict[str, nn.Module] = field(default_factory=dict)
    optimizers: dict[str, Optimizer] = field(default_factory=dict)
