"""A probe for a live run: it reads the losses of fixed latents at each moment where the objective can change.

The probe copies student and teacher to float64. The copies are in eval mode, or in train mode with mode="train". So a
loss is a function of student, generator and latents, for every precision of the run. The generator makes the images in
its own precision. `analysis.live.accounts` turns the readings into an account of the run.
"""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from analysis.checks import validate
from cudfkd.base.errors import ConfigError
from cudfkd.base.randomness import seeded
from cudfkd.callbacks import Batch, Callback
from cudfkd.curriculum import Curriculum, weigh
from cudfkd.losses import DIVERGENCES
from cudfkd.runs.context import Context

Losses = Float[Tensor, " n"]
Mode = Literal["eval", "train"]
Moment = Literal["round", "synthesized", "before step", "stepped", "before pace", "paced", "end"]


@dataclass(frozen=True, eq=False)
class Reading:
    """The losses of the fixed latents at one moment.

    moment: the name of the moment.
        "round" and "synthesized" enclose the generator's turn.
        "before step" and "stepped" enclose the student's turn.
        "before pace" and "paced" enclose lambda's turn.
        "end" comes after the run.
    round: number of complete rounds.
    step: number of complete student steps.
    lam: the pace at that moment.
    losses: losses of the present student on the present images, (n,).
    crossed: losses of the present student on the images of the previous "round" reading, (n,). Only readings "round"
        and "end" have them; None at the first.
    earlier: losses of the student of the previous "round" reading on the present images, (n,). Only readings "round"
        and "end" have them; None at the first.
    gradient: norm of the gradient of Phi by the student's parameters. Only readings "before step" have it, and only if
        the probe reads gradients.
    """

    moment: Moment
    round: int
    step: int
    lam: float
    losses: Losses
    crossed: Losses | None = None
    earlier: Losses | None = None
    gradient: float | None = None


class Probe(Callback):
    """Reads the losses of `samples` fixed latents in every `every`-th round. The probe does not change the run.

        probe = Probe(every=10)
        cudfkd.distill(teacher, student, config, callbacks=[probe])
        account = accounts.account(probe)

    The probe computes the losses again only after a parameter or buffer has changed. The loss is the `loss` of the
    method's options. The student's other terms (attention, labels, weight decay) are not in it. Some methods keep the
    student in train mode during synthesis: then the student's BatchNorm statistics change in the generator's turn.

    Arguments:
        every: distance of the rounds that are read; 1 reads all rounds.
        samples: number of latents.
        seed: seed of the latents. They do not use the run's own random numbers.
        mode: mode of student and teacher. With "train", BatchNorm uses the statistics of the fixed latents, and dropout
            uses the same masks each time.
        gradient: also read the norm of the gradient, at the price of a backward pass a student step.
        exact: refuse kernels that are not deterministic.

    Raises:
        ConfigError: a number is out of range. At the start of a run: the method has no generator, or its loss is none
            of our divergences; a network gives random logits; or, with `exact`, kernels are not deterministic (the
            message names them).
    """

    def __init__(
        self, every: int = 10, samples: int = 64, seed: int = 0, mode: Mode = "eval", *, gradient: bool = True,
        exact: bool = False,
    ) -> None:  # fmt: skip
        if mode not in ("eval", "train"):
            validate.refuse("mode", mode, "eval or train")
        self.every, self.samples = validate.count("every", every), validate.count("samples", samples, 2)
        self.seed, self.gradient, self.exact = validate.count("seed", seed, 0), gradient, exact
        self.mode: Mode = mode
        self.readings: list[Reading] = []
        self.curriculum = Curriculum()

    def before_run(self, ctx: Context) -> None:
        self.readings, self.curriculum, self._on = [], ctx.config.curriculum, False
        self._bench = _Bench(ctx, self.samples, self.seed, self.mode)
        if self.exact:
            _refuse_nondeterministic(self._bench, self.curriculum)
        self._bench.refuse_random()
        self._block: _Block | None = None

    def before_synthesis(self, ctx: Context) -> None:
        self._on = ctx.round % self.every == 0
        if self._on:
            self._read_block(ctx, "round")

    def after_synthesis(self, ctx: Context) -> None:
        self._read(ctx, "synthesized")

    def before_student_step(self, ctx: Context) -> None:
        self._read(ctx, "before step")

    def after_student_step(self, ctx: Context, batch: Batch) -> None:  # noqa: ARG002
        self._read(ctx, "stepped")

    def before_lambda_update(self, ctx: Context) -> None:
        self._read(ctx, "before pace")

    def after_lambda_update(self, ctx: Context) -> None:
        self._read(ctx, "paced")

    def after_run(self, ctx: Context) -> None:
        self._read_block(ctx, "end")

    def _read(self, ctx: Context, moment: Moment) -> None:
        if not self._on:
            return
        losses, lam = self._bench.losses(), float(ctx.lam)
        wanted = self.gradient and moment == "before step"
        gradient = self._bench.gradient(self.curriculum, lam) if wanted else None
        self.readings.append(Reading(moment, ctx.round, ctx.step, lam, losses, gradient=gradient))

    def _read_block(self, ctx: Context, moment: Moment) -> None:
        bench, block = self._bench, self._block
        losses, crossed, earlier = bench.losses(), None, None
        if block is not None:
            crossed = bench.loss_on(bench.student, block.images, block.teacher_logits)
            earlier = bench.loss_on(block.student, bench.images, bench.teacher_logits)
        self.readings.append(Reading(moment, ctx.round, ctx.step, float(ctx.lam), losses, crossed, earlier))
        student = block.student if block else _Twin(ctx.student, bench.device, torch.float64, self.mode)
        student.update()
        self._block = _Block(student, bench.images, bench.teacher_logits)


class _Twin:
    """A copy of a live network in a precision and mode of its own, brought up to date on demand."""

    def __init__(self, live: nn.Module, device: torch.device, dtype: torch.dtype | None, mode: Mode) -> None:
        self.live, self.network = live, copy.deepcopy(live).to(device=device, dtype=dtype)
        self.network.requires_grad_(False).train(mode == "train")
        for module in self.network.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = 0.0  # a pass in train mode leaves the statistics as they are

    @torch.no_grad()
    def update(self) -> bool:
        """Copies the tensors that differ. Returns True if any tensor differed."""
        changed = False
        for mine, theirs in zip(_tensors(self.network), _tensors(self.live), strict=True):
            now = theirs.detach().to(mine)
            if not torch.equal(mine, now):
                mine.copy_(now)
                changed = True
        return changed


@dataclass(frozen=True, eq=False)
class _Block:
    """The student, images and teacher's logits at the start of a block of rounds."""

    student: _Twin
    images: Tensor
    teacher_logits: Tensor


class _Bench:
    """Latents and copies of the networks. Keeps every result until a tensor that it depends on has changed."""

    def __init__(self, ctx: Context, samples: int, seed: int, mode: Mode) -> None:
        method, options, generator = ctx.config.method, ctx.config.options, ctx.modules.get("generator")
        latent_dim = getattr(generator, "latent_dim", None)
        if generator is None or not isinstance(latent_dim, int):
            raise ConfigError(
                f"method {method!r} has no generator of fixed latents to probe: take one that has, like cudfkd"
            )
        if getattr(options, "loss", None) not in DIVERGENCES:
            raise ConfigError(f"method {method!r} has no option loss: the probe needs one of {', '.join(DIVERGENCES)}")
        self._divergence, self._temperature = DIVERGENCES[options.loss], getattr(options, "temperature", 1.0)
        self._mode: Mode = mode
        self._seed = seed
        self.device = torch.device("cpu") if ctx.device.type == "mps" else ctx.device  # mps has no float64
        self._normalize = copy.deepcopy(ctx.normalize).to(self.device)
        self.teacher, self.student = (_Twin(n, self.device, torch.float64, mode) for n in (ctx.teacher, ctx.student))
        self._generator = _Twin(generator, self.device, None, "eval")
        self._trained = [p.requires_grad for p in ctx.student.parameters()]
        latents = torch.randn(samples, latent_dim, generator=torch.Generator().manual_seed(validate.seed(seed)))
        self._latents = latents.to(next(self._generator.network.parameters()))
        self._imagine()

    def losses(self) -> Losses:
        """Losses of the fixed latents, for the networks as they are now."""
        if self._generator.update() | self.teacher.update():
            self._imagine()
        elif self.student.update():
            self._losses = self.loss_on(self.student, self.images, self.teacher_logits)
        return self._losses

    def gradient(self, curriculum: Curriculum, lam: float) -> float:
        """Norm of the gradient of Phi by the student's parameters. Mean v l at fixed weights has the same gradient."""
        parameters = [p for p, on in zip(self.student.network.parameters(), self._trained, strict=True) if on]
        for parameter in parameters:
            parameter.requires_grad_()
        with torch.enable_grad():
            s = self._logits(self.student, self.images)
            losses = self._divergence(self.teacher_logits, s, self._temperature)
            slopes = torch.autograd.grad(weigh(curriculum, losses, lam).objective, parameters, allow_unused=True)
        self.student.network.requires_grad_(False)
        return sum(float(slope.square().sum()) for slope in slopes if slope is not None) ** 0.5

    @torch.no_grad()
    def loss_on(self, student: _Twin, images: Tensor, teacher_logits: Tensor) -> Losses:
        """Losses of a student on images, against the teacher's logits for them."""
        return self._divergence(teacher_logits, self._logits(student, images), self._temperature)

    @torch.no_grad()
    def refuse_random(self) -> None:
        """Computes the logits of each network twice and compares them. They differ if the network draws random numbers,
        or if its sums have no fixed order.

        Raises:
            ConfigError: the logits of a network differ.
        """
        for name, twin in (("teacher", self.teacher), ("student", self.student)):
            gap = (self._logits(twin, self.images) - self._logits(twin, self.images)).abs()
            if not bool((gap == 0).all()):
                raise ConfigError(
                    f"the {name} gives other logits for the same images (by up to {float(gap.max()):.2g}): the"
                    " objective is no function of its parameters, so changes of it would not add up; use nn.Dropout,"
                    ' which eval mode turns off, or Probe(mode="train"), which fixes the masks'
                )

    @torch.no_grad()
    def _imagine(self) -> None:
        self.student.update()
        self.images = self._generator.network(self._latents).to(torch.float64)
        self.teacher_logits = self._logits(self.teacher, self.images)
        self._losses = self.loss_on(self.student, self.images, self.teacher_logits)

    def _logits(self, twin: _Twin, images: Tensor) -> Tensor:
        with self._same_masks():
            return twin.network(self._normalize(images).contiguous())

    @contextmanager
    def _same_masks(self) -> Iterator[None]:
        """In train mode, sets the same random numbers for every pass."""
        if self._mode == "eval":
            yield
            return
        with seeded(self._seed, self.device):
            yield


def nondeterministic(compute: Callable[[], object]) -> list[str]:
    """Names of the kernels that `compute` calls and that have no deterministic version, from PyTorch's warnings."""
    on, warn_only = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            compute()
    finally:
        torch.use_deterministic_algorithms(on, warn_only=warn_only)
    lines = [str(warning.message) for warning in caught]
    return sorted(
        {line.split(" does not have a deterministic")[0].split(". ")[0] for line in lines if "determinis" in line}
    )


def _refuse_nondeterministic(bench: _Bench, curriculum: Curriculum) -> None:
    kernels = nondeterministic(lambda: (bench._imagine(), bench.gradient(curriculum, 1.0)))
    cudnn = torch.backends.cudnn
    if bench.device.type == "cuda" and not (cudnn.deterministic or torch.are_deterministic_algorithms_enabled()):
        kernels.append("convolutions of cuDNN (set torch.backends.cudnn.deterministic = True)")
    if kernels:
        names = ", ".join(kernels)
        raise ConfigError(f"exact = True is not possible: these kernels are not deterministic: {names}; run on the CPU")


def _tensors(network: nn.Module) -> list[Tensor]:
    """All tensors that a network computes with: parameters and buffers, without BatchNorm's count of batches."""
    buffers = [tensor for name, tensor in network.named_buffers() if not name.endswith("num_batches_tracked")]
    return [*network.parameters(), *buffers]
