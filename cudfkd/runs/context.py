"""The view of a run that methods and callbacks get: networks, random numbers, counters, and the optimizer step."""

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
    """Shape of images and logits.

    channels: colour channels of the images.
    image_size: height and width of the images in pixels.
    num_classes: number of logits.
    """

    channels: int
    image_size: int
    num_classes: int


def noise_images(channels: int, size: int) -> Float[Tensor, "2 channels size size"]:
    """Draws two images of uniform noise, always the same, on the host."""
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0))


@dataclass
class Context:
    """State of a run in progress.

    config: settings of the run.
    shape: shape of images and logits.
    device: device that computes.
    teacher: the user's teacher, on the device; it takes normalised images.
    student: the user's student, on the device; it takes normalised images.
    normalize: map from images in [0, 1] to normalised images.
    rng: the only source of random numbers for methods, on the device.
    lam: pace lambda of the coming student step: a number, or a 0-d tensor on the device.
    epoch: number of complete epochs.
    round: number of complete rounds.
    step: number of complete student steps, over the whole run.
    modules: the method's own networks by name, such as "generator".
    log: log of this epoch.
    training: real images, for the reference methods that study them; None for all data-free methods.
    ranks: the processes that share the run; each has a share of every batch, and `config.batch_size` counts all shares.
    labeller: the teacher with its BatchNorm layers folded, see `cudfkd.models.folding`.
    """

    LARGE_BATCH: ClassVar = {"cuda": 1024, "cpu": 128}  # number of images from which on the device is busy

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
        """Computes the teacher's logits for images in [0, 1], in the run's precision; differentiable in the images."""
        return self._logits(self.teacher, images)

    def student_logits(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        """Computes the student's logits for images in [0, 1], in the run's precision; differentiable in the images."""
        return self._logits(self.student, images)

    def soft_labels(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        """Computes the teacher's logits without gradient. The labeller, if there is one, gives them up to rounding."""
        with torch.no_grad():
            return self._logits(self.labeller or self.teacher, images)

    def look(
        self, statistics: BatchNormStatistics, images: Float[Tensor, "batch channels size size"]
    ) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, ""]]:
        """Computes the teacher's logits, and the distance of the batch from the statistics in its BatchNorm layers.

        The pass is not compiled while other hooks observe the teacher, which compiled code would not see.
        """
        alone = not hooked(self.teacher)
        with statistics.recording(), self.autocast():
            logits, distance = self.fast(statistics, hooks_stay=alone)(self._seen(self.teacher, images))
        return at_least_float32(logits), distance

    def fast(self, network: nn.Module, *, hooks_stay: bool = False) -> Callable[[Tensor], Any]:
        """Returns the network's forward pass, compiled if the config says so.

        Compiled code keeps the hooks of its first call. So a network with hooks is compiled only if `hooks_stay`.
        """
        if self.config.compile == "off" or (hooked(network) and not hooks_stay):
            return partial(self.ranks.run, network)
        if network not in self._compiled:
            self._compiled[network] = Compiled(network, self.config.compile, self._not_compiled)
        return self._compiled[network]

    @property
    def batches_at_once(self) -> int:
        """Number of student batches made and labelled in one pass, at least 1: enough to keep the device busy."""
        size = self.config.batch_size // self.ranks.size
        return max(1, self.LARGE_BATCH.get(self.device.type, 0) // size)

    def autocast(self) -> AbstractContextManager:
        """Returns the context of mixed precision that the config asks for: bfloat16 where it is safe, or none."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def probe(self) -> Float[Tensor, "2 channels size size"]:
        """Returns two normalised images of noise, always the same, on which networks are tried and inspected."""
        return self.normalize(noise_images(self.shape.channels, self.shape.image_size).to(self.device))

    def noise(self, *size: int) -> Tensor:
        """Draws standard normal numbers from `rng`, on the device."""
        return torch.randn(*size, generator=self.rng, device=self.device)

    def latents(self, dim: int) -> Float[Tensor, "batch {dim}"]:
        """Draws standard normal latents of the global batch, alike on all ranks; returns this rank's share of them."""
        return self.ranks.mine(self.noise(self.config.batch_size, dim))

    def uniform(self, *size: int) -> Tensor:
        """Draws uniform numbers between 0 and 1 from `rng`, on the device."""
        return torch.rand(*size, generator=self.rng, device=self.device)

    def integers(self, below: int, count: int) -> Int[Tensor, " {count}"]:
        """Draws `count` whole numbers from 0 to below - 1 from `rng`, on the device, with equal probabilities."""
        return torch.randint(below, (count,), generator=self.rng, device=self.device)

    def generator_steps(self, published: int) -> int:
        """Returns the number of generator steps of a round: `published`, unless the config sets a ratio.

        Arguments:
            published: the method's own number.
        """
        ratio = self.config.generator_ratio
        return published if ratio is None else round(ratio * self.config.round_steps)

    def note(self, name: str, value: Tensor | float) -> None:
        """Logs a number under a name; the epoch's metrics hold its mean."""
        tensor = value if isinstance(value, Tensor) else torch.full((), value, device=self.device)
        self.log.add(name, tensor, self.step)

    def settle(self, optimizer: Optimizer, lr: float) -> None:
        """Sets the rate of the coming step. It falls from `lr` along half a cosine to 0 at the end of the run."""
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 + cos(pi * self.step / self.config.total_steps)) / 2

    def step_down(
        self, optimizer: Optimizer | Sequence[Optimizer], terms: dict[str, Tensor], clip: float | None = None
    ) -> None:
        """Takes one optimizer step down the sum of the named terms. It logs each term, so that errors can name it.

        Arguments:
            optimizer: optimizer of the parameters that move; several optimizers step on the same gradient.
            terms: scalars by name; a term that is not finite ends the run at the end of the epoch.
            clip: largest norm of the gradient of each optimizer's parameters; None: no limit.
        """
        optimizers = [optimizer] if isinstance(optimizer, Optimizer) else optimizer
        self.log.next_event()
        for name, term in terms.items():
            self.note(name, term)
        for stepping in optimizers:
            stepping.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        for stepping in optimizers:
            if clip is not None:
                nn.utils.clip_grad_norm_([p for group in stepping.param_groups for p in group["params"]], clip)
            stepping.step()

    def _logits(self, network: nn.Module, images: Tensor) -> Tensor:
        with self.autocast():
            return at_least_float32(self.fast(network)(self._seen(network, images)))

    def _seen(self, network: nn.Module, images: Tensor) -> Tensor:
        """Normalises images, in a memory layout that is safe for the network. It counts the images of the teacher.

        A foreign network may call `view`, so it gets the contiguous layout that a data loader gives.
        """
        if network is not self.student:
            self.log.teacher_images += len(images) * self.ranks.size
        x = self.normalize(images)
        return x if is_ours(network) else x.contiguous()
