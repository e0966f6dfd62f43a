"""A probe for a live run: per-sample losses of fixed latents, read wherever the objective can change.

Student and teacher are copied to float64, in eval mode unless asked otherwise, so that a loss is a function of student,
generator and latents, whatever the run's own precision. The images are those that the generator makes, in its own
precision. `analysis.live.accounts` turns the readings into an account of the run.
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

    moment: "round" and "synthesized" enclose the generator's turn, "before step" and "stepped" the student's, "before
        pace" and "paced" lambda's; "end" comes after the run.
    round, step: how many rounds and student steps were complete.
    lam: the pace at that moment.
    losses: of student and generator at that moment, (n,).
    crossed: at a "round" or the "end", of the student on the images of the "round" before; None at the first.
    earlier: likewise, of the student of the "round" before on the present images.
    gradient: norm of the gradient of Phi by the student's parameters, at "before step" where it was asked for.
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
    """Reads the losses of `samples` fixed latents in every `every`-th round. The run goes on as if it were not there.

        probe = Probe(every=10)
        cudfkd.distill(teacher, student, config, callbacks=[probe])
        account = accounts.account(probe)

    Nothing is computed again unless a parameter or buffer has changed in between. The loss is the `loss` of the
    method's options; what else its student descends (attention, labels, weight decay) is not in it. Where a method
    has its student in train mode during synthesis, the student's BatchNorm statistics change in the generator's turn.

    Arguments:
        every: rounds from one that is read to the next; 1 reads all.
        samples: number of latents.
        seed: of the latents, which are not taken from the run's own randomness.
        mode: "eval", or "train": BatchNorm uses the statistics of the fixed latents, dropout the same masks each time.
        gradient: also read the norm of the gradient, at the price of a backward pass a student step.
        exact: refuse kernels that are not deterministic.

    Raises:
        ConfigError: a number out of range; and at the start of a run, a method without a generator or one of our
            divergences, a network that draws random numbers in eval mode, or, with `exact`, kernels that are not
            deterministic, by name.
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
                module.momentum = 0.0  # so that being read in train mode leaves its statistics as they are

    @torch.no_grad()
    def update(self) -> bool:
        """Copies what differs; whether anything did."""
        changed = False
        for mine, theirs in zip(_tensors(self.network), _tensors(self.live), strict=True):
            now = theirs.detach().to(mine)
            if not torch.equal(mine, now):
                mine.copy_(now)
                changed = True
        return changed


@dataclass(frozen=True, eq=False)
class _Block:
    """What a block of rounds began with."""

    student: _Twin
    images: Tensor
    teacher_logits: Tensor


class _Bench:
    """Latents and copies of the networks; what depends on unchanged tensors is kept."""

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
        latents = torch.randn(samples, latent_dim, generator=torch.Generator().manual_seed(seed))
        self._latents = latents.to(next(self._generator.network.parameters()))
        self._imagine()

    def losses(self) -> Losses:
        """Of the networks as they are now."""
        if self._generator.update() | self.teacher.update():
            self._imagine()
        elif self.student.update():
            self._losses = self.loss_on(self.student, self.images, self.teacher_logits)
        return self._losses

    def gradient(self, curriculum: Curriculum, lam: float) -> float:
        """Norm of the gradient of Phi by the student's parameters, which is that of mean v l at fixed weights."""
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
        """Of some student on some images."""
        return self._divergence(teacher_logits, self._logits(student, images), self._temperature)

    @torch.no_grad()
    def refuse_random(self) -> None:
        """Computes everything twice: what differs draws random numbers, or adds up in no fixed order."""
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
        """In train mode, the same random numbers at every pass."""
        if self._mode == "eval":
            yield
            return
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self._seed)
            yield


def nondeterministic(compute: Callable[[], object]) -> list[str]:
    """Names of the kernels that `compute` calls and that have no deterministic version, as PyTorch knows them."""
    was, softly = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            compute()
    finally:
        torch.use_deterministic_algorithms(was, warn_only=softly)
    lines = [str(one.message) for one in caught]
    return sorted(
        {line.split(" does not have a deterministic")[0].split(". ")[0] for line in lines if "determinis" in line}
    )


def _refuse_nondeterministic(bench: _Bench, curriculum: Curriculum) -> None:
    found = nondeterministic(lambda: (bench._imagine(), bench.gradient(curriculum, 1.0)))
    cudnn = torch.backends.cudnn
    if bench.device.type == "cuda" and not (cudnn.deterministic or torch.are_deterministic_algorithms_enabled()):
        found.append("convolutions of cuDNN (set torch.backends.cudnn.deterministic = True)")
    if found:
        names = ", ".join(found)
        raise ConfigError(f"exact = True is not possible: these kernels are not deterministic: {names}; run on the CPU")


def _tensors(network: nn.Module) -> list[Tensor]:
    """All that a network computes with: parameters and buffers, without BatchNorm's count of batches."""
    buffers = [tensor for name, tensor in network.named_buffers() if not name.endswith("num_batches_tracked")]
    return [*network.parameters(), *buffers]
