"""What methods and callbacks see of a run: the networks, the randomness, the clock, and one way to take a step."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from math import cos, pi
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from cudfkd.base.precision import at_least_float32
from cudfkd.base.ranks import ALONE, Ranks
from cudfkd.models import is_ours
from cudfkd.models.batch_norm_statistics import BatchNormStatistics
from cudfkd.models.compiling import Compiled
from cudfkd.models.normalize import Normalize
from cudfkd.models.watch import hooked
from cudfkd.regularizers import Lam
from cudfkd.runs.log import EpochLog
from cudfkd.runs.settings import Settings
from cudfkd.runs.student_batch import TrainingImages


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
    lam: the pace lambda of the coming student step: a number, or a 0-d tensor on the device.
    modules: the method's own networks by name, such as "generator". log: of this epoch.
    training: real images, for the references that study them; None for all data-free methods.
    labeller: the teacher with its BatchNorm folded, see `cudfkd.models.folding`.
    ranks: the processes that share the run, each with a part of every batch; `config.batch_size` is the whole.
    """

    LARGE_BATCH: ClassVar = {"cuda": 1024, "cpu": 128}  # images from which on a device is busy

    config: Settings
    shape: Shape
    device: torch.device
    teacher: nn.Module
    student: nn.Module
    normalize: Normalize
    rng: torch.Generator
    lam: Lam
    epoch: int = 0
    round: int = 0
    step: int = 0
    modules: dict[str, nn.Module] = field(default_factory=dict)
    log: EpochLog = field(default_factory=EpochLog)
    training: TrainingImages | None = None
    ranks: Ranks = ALONE
    labeller: nn.Module | None = None
    _compiled: dict[nn.Module, Compiled] = field(default_factory=dict)
    _not_compiled: list[nn.Module] = field(default_factory=list)

    def teacher_logits(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        """The teacher's logits for images in [0, 1], in the run's precision, differentiable in the images."""
        return self._logits(self.teacher, images)

    def student_logits(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        """The student's, likewise."""
        return self._logits(self.student, images)

    def soft_labels(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        """The teacher's logits without gradient; by the labeller where there is one, so only up to rounding."""
        with torch.no_grad():
            return self._logits(self.labeller or self.teacher, images)

    def look(
        self, statistics: BatchNormStatistics, images: Float[Tensor, "batch channels size size"]
    ) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, ""]]:
        """The teacher's logits, and how far the batch is from the statistics that its BatchNorm layers stored."""
        with statistics.recording(), self.autocast():
            logits, distance = self.fast(statistics, hooks_stay=True)(self._seen(self.teacher, images))
        return at_least_float32(logits), distance

    def fast(self, network: nn.Module, *, hooks_stay: bool = False) -> Callable[[Tensor], Any]:
        """The network's forward pass, compiled if the config says so.

        Compiled code has the hooks of its first call: with hooks a network is only compiled if they stay.
        """
        if self.config.compile == "off" or (hooked(network) and not hooks_stay):
            return partial(self.ranks.run, network)
        if network not in self._compiled:
            self._compiled[network] = Compiled(network, self.config.compile, self._not_compiled)
        return self._compiled[network]

    @property
    def batches_at_once(self) -> int:
        """How many student batches are made and labelled in one pass: until the device is busy."""
        size = self.config.batch_size // self.ranks.size
        return max(1, self.LARGE_BATCH.get(self.device.type, 0) // size)

    def autocast(self) -> AbstractContextManager:
        """Mixed precision as the config says: bfloat16 where it is safe, or none."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def probe(self) -> Float[Tensor, "2 channels size size"]:
        """Two images of noise as the networks take them, always the same, to see what they look like inside."""
        size = 2, self.shape.channels, self.shape.image_size, self.shape.image_size
        return self.normalize(torch.rand(size, generator=torch.Generator().manual_seed(0)).to(self.device))

    def noise(self, *size: int) -> Tensor:
        """Standard normal numbers on the device."""
        return torch.randn(*size, generator=self.rng, device=self.device)

    def latents(self, dim: int) -> Float[Tensor, "batch {dim}"]:
        """Standard normal latents of a batch: this rank's part of those that all ranks draw alike."""
        return self.ranks.mine(self.noise(self.config.batch_size, dim))

    def uniform(self, *size: int) -> Tensor:
        """Numbers between 0 and 1 on the device."""
        return torch.rand(*size, generator=self.rng, device=self.device)

    def integers(self, below: int, count: int) -> Int[Tensor, " {count}"]:
        """`count` whole numbers from 0 to below - 1 on the device, each as likely as the other."""
        return torch.randint(below, (count,), generator=self.rng, device=self.device)

    def generator_steps(self, published: int) -> int:
        """Generator steps of a round: the method's own number, unless the config sets a ratio for all methods."""
        ratio = self.config.generator_ratio
        return published if ratio is None else round(ratio * self.config.round_steps)

    def note(self, name: str, value: Tensor | float) -> None:
        """Logs a number; the epoch's metrics hold its mean."""
        tensor = value if isinstance(value, Tensor) else torch.full((), value, device=self.device)
        self.log.add(name, tensor, self.step)

    def settle(self, optimizer: Optimizer, lr: float) -> None:
        """Sets the learning rate of the coming step: from `lr` along half a cosine to 0 at the end of the run."""
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 + cos(pi * self.step / self.config.total_steps)) / 2

    def step_down(
        self, optimizer: Optimizer | Sequence[Optimizer], terms: dict[str, Tensor], clip: float | None = None
    ) -> None:
        """One step down the sum of the named terms, each logged so that a bad one can be named.

        Arguments:
            optimizer: whose parameters move; several step on the same gradient.
            terms: scalars; not finite ones end the run at the end of the epoch.
            clip: largest norm of the gradient of each optimizer's parameters.
        """
        optimizers = [optimizer] if isinstance(optimizer, Optimizer) else optimizer
        self.log.next_event()
        for name, term in terms.items():
            self.note(name, term)
        for one in optimizers:
            one.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        for one in optimizers:
            if clip is not None:
                nn.utils.clip_grad_norm_([p for group in one.param_groups for p in group["params"]], clip)
            one.step()

    def _logits(self, network: nn.Module, images: Tensor) -> Tensor:
        with self.autocast():
            return at_least_float32(self.fast(network)(self._seen(network, images)))

    def _seen(self, network: nn.Module, images: Tensor) -> Tensor:
        """Normalised, in the memory layout that is safe: someone else's may call view, so it gets a data loader's."""
        x = self.normalize(images)
        return x if is_ours(network) else x.contiguous()
