"""What methods and callbacks see of a run: the networks, the randomness, the clock, and one way to take a step."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cudfkd.log import EpochLog
from cudfkd.losses import at_least_float32
from cudfkd.models import spec_of
from cudfkd.normalize import Normalize

if TYPE_CHECKING:
    import cudfkd.config


@dataclass(frozen=True)
class Shape:
    """What images and logits look like: channels, height and width in pixels, number of classes."""

    channels: int
    image_size: int
    num_classes: int


@dataclass
class Context:
    """A run in progress.

    config: its description. shape: of images and logits. device: where it runs.
    teacher, student: as the user gave them, on the device; they take normalised images.
    rng: the only source of randomness for methods, on the device.
    epoch, round, step: how many are complete; `step` counts student steps over the whole run.
    lam: the pace lambda of the coming student step.
    modules: the method's own networks by name, such as "generator". log: of this epoch.
    """

    config: "cudfkd.config.DistillConfig"
    shape: Shape
    device: torch.device
    teacher: nn.Module
    student: nn.Module
    normalize: Normalize
    rng: torch.Generator
    lam: float
    epoch: int = 0
    round: int = 0
    step: int = 0
    modules: dict[str, nn.Module] = field(default_factory=dict)
    log: EpochLog = field(default_factory=EpochLog)

    def teacher_logits(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        """The teacher's logits for images in [0, 1], in the run's precision, differentiable in the images."""
        return self._logits(self.teacher, images)

    def student_logits(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        """The student's, likewise."""
        return self._logits(self.student, images)

    def autocast(self) -> AbstractContextManager:
        """Mixed precision as the config says: bfloat16 where it is safe, or none."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def noise(self, *size: int) -> Tensor:
        """Standard normal numbers on the device."""
        return torch.randn(*size, generator=self.rng, device=self.device)

    def note(self, name: str, value: Tensor | float) -> None:
        """Logs a number; the epoch's metrics hold its mean."""
        tensor = value if isinstance(value, Tensor) else torch.full((), value, device=self.device)
        self.log.add(name, tensor, self.step)

    def step_down(self, optimizer: torch.optim.Optimizer, terms: dict[str, Tensor]) -> None:
        """One step of `optimizer` down the sum of the named terms, each logged so that a bad one can be named."""
        self.log.next_event()
        for name, term in terms.items():
            self.note(name, term)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()

    def _logits(self, network: nn.Module, images: Tensor) -> Tensor:
        x = self.normalize(images)
        if spec_of(network) is None:  # someone else's may call view, so it gets the layout that a data loader gives
            x = x.contiguous()
        with self.autocast():
            return at_least_float32(network(x))
