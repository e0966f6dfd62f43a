"""Parts that several methods share: the generator, its training, and the student's plain objective."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from cudfkd.base.precision import at_least_float32
from cudfkd.losses import DIVERGENCES
from cudfkd.methods.parts.contract import Method, Objective
from cudfkd.methods.parts.options import GeneratorOptions, Mode
from cudfkd.methods.parts.stores import generator_store
from cudfkd.models.batch_norm_statistics import BatchNormStatistics, layers_with_statistics
from cudfkd.models.generator import Generator, Output
from cudfkd.runs.context import Context
from cudfkd.runs.student_batch import StudentBatch

Images = Float[Tensor, "batch channels size size"]
Logits = Float[Tensor, "batch classes"]
Terms = Callable[[Context, Tensor], dict[str, Tensor]]


@dataclass
class Divergence:
    """Objective: a divergence of `cudfkd.losses.DIVERGENCES` between the logits of teacher and student, per sample."""

    loss: str
    temperature: float

    def losses(self, ctx: Context, study: StudentBatch) -> Float[Tensor, " batch"]:
        t = ctx.soft_labels(study.images) if study.teacher_logits is None else study.teacher_logits
        return DIVERGENCES[self.loss](t, ctx.student_logits(study.images), self.temperature)


@dataclass
class TeacherEye:
    """The teacher's logits and, if bn > 0, the distance of the batch from the teacher's BatchNorm statistics."""

    bn: float
    """weight of the distance"""
    statistics: BatchNormStatistics | None
    """None where bn is 0"""

    @classmethod
    def of(cls, ctx: Context, bn: float) -> "TeacherEye":
        """Looks at the statistics if their weight `bn` is not 0. Raises ConfigError if it then finds no statistics."""
        if bn == 0:
            return cls(bn, None)
        names = layers_with_statistics(ctx.teacher, ctx.probe())
        return cls(bn, BatchNormStatistics(ctx.teacher, names, ctx.ranks.means))

    def look(self, ctx: Context, images: Images) -> tuple[Logits, dict[str, Tensor]]:
        """The teacher's logits, and the bn_term if its weight is not 0."""
        if self.statistics is None:
            return ctx.teacher_logits(images), {}
        t, distance = ctx.look(self.statistics, images)
        return t, {"bn_term": self.bn * distance}


@dataclass
class LastStep:
    """The latents of the generator's last step, and the images that it made of them before the step."""

    latents: Float[Tensor, "batch latent"] = field(default_factory=lambda: torch.empty(0, 0))
    images: Images = field(default_factory=lambda: torch.empty(0, 0, 0, 0))


@dataclass
class GeneratorTraining:
    """Synthesizer that trains a generator. Each step descends the sum of the terms of a fresh batch."""

    generator: Generator
    optimizer: torch.optim.Optimizer
    terms: Terms
    """gives the terms of the generator's loss for a batch"""
    steps: int
    """generator steps a round"""
    lr: float
    """learning rate at the start of the run"""
    clip: float | None = None
    """largest norm of the generator's gradient; None: no limit"""
    settles: bool = False
    """the learning rate falls along half a cosine to 0 over the run; else it is constant"""
    last: LastStep = field(default_factory=LastStep)
    """the last step, for stores whose batches are made of it"""

    def round(self, ctx: Context) -> int:
        steps = ctx.generator_steps(self.steps)
        if self.settles:
            ctx.settle(self.optimizer, self.lr)
        self.generator.train()
        for _ in range(steps):
            z = ctx.latents(self.generator.latent_dim)
            images = imagine(ctx, self.generator, z)
            self.last.latents, self.last.images = z, images.detach()
            ctx.step_down(self.optimizer, self.terms(ctx, images), self.clip)
        return steps


class NoSynthesis:
    """Synthesizer without synthesis, for the references, whose images are not learned."""

    def round(self, ctx: Context) -> int:  # noqa: ARG002
        return 0


def imagine(ctx: Context, generator: nn.Module, z: Float[Tensor, "batch latent"]) -> Images:
    """Images that the generator makes of the latents z, in the run's precision."""
    with ctx.autocast():
        return at_least_float32(ctx.fast(generator)(z))


@torch.no_grad()
def fresh_images(ctx: Context, generator: Generator, batches: int = 1, mode: Mode = "eval") -> Images:
    """Batches for the student, one after the other, made by the generator in train mode or eval mode."""
    # The latents are drawn batch by batch, so that they do not depend on how many batches are made at once.
    z = [ctx.latents(generator.latent_dim) for _ in range(batches)]
    if mode == "train":  # each batch has its own statistics
        return torch.cat([images_again(ctx, generator, each, mode) for each in z])
    return images_again(ctx, generator, torch.cat(z), mode)


@torch.no_grad()
def images_again(ctx: Context, generator: Generator, z: Float[Tensor, "batch latent"], mode: Mode) -> Images:
    """Images without gradient that the generator makes of the latents z, in train mode or eval mode."""
    generator.train(mode == "train")
    return imagine(ctx, generator, z)


def new_generator(ctx: Context, latent_dim: int, width: int, output: Output = "sigmoid") -> Generator:
    """A generator for images of the run's shape, on the run's device, in the memory layout that is fastest."""
    shape = ctx.shape.channels, ctx.shape.image_size
    generator = Generator(latent_dim, *shape, width, output, ctx.config.mean, ctx.config.std).to(ctx.device)
    convert_conv2d_weight_memory_format(generator, torch.channels_last)  # faster, on CPU and GPU
    return generator


def adam(parameters: Iterable[Tensor] | list[dict], lr: float, betas: tuple[float, float] = (0.9, 0.999)):
    """Adam, on the GPU and the CPU in one fused step."""
    return torch.optim.Adam(parameters, lr, betas=betas, fused=True)


def generator_method(
    options: GeneratorOptions,
    ctx: Context,
    terms: Terms,
    objective: Objective,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    clip: float | None = None,
    student_trains: bool = False,
) -> Method:
    """A method that trains one generator.

    Arguments:
        terms: gives the generator's loss.
        objective: gives the student's loss.
        betas: betas of the generator's Adam.
        clip: largest norm of the generator's gradient and of the student's gradient; None: no limit.
        student_trains: the student is in train mode in the generator's steps.

    Warns if the generator standardises its images and the config does not say in which units.
    """
    if options.generator_output == "standardised" and ctx.config.mean is None:
        warnings.warn(
            f"mean and std are not set: {ctx.config.method} makes images of mean 0 and variance 1, as normalised images"
            " have: set mean and std, or generator_output='sigmoid'",
            stacklevel=2,
        )
    generator = new_generator(ctx, options.latent_dim, options.generator_width, options.generator_output)
    training = GeneratorTraining(
        generator,
        adam(generator.parameters(), options.generator_lr, betas),
        terms,
        options.generator_steps,
        options.generator_lr,
        clip,
        options.generator_schedule == "cosine",
    )
    store, memory = generator_store(
        options,
        ctx,
        partial(fresh_images, generator=generator, mode=options.sampling_mode),
        {
            "step": lambda _: training.last.images,
            "again": lambda ctx: images_again(ctx, generator, training.last.latents, options.sampling_mode),
        },
        labelled=isinstance(objective, Divergence),
        bounded=options.generator_output == "sigmoid",
    )
    return Method(
        synthesizer=training,
        store=store,
        objective=objective,
        modules={"generator": generator},
        optimizers={"generator": training.optimizer},
        memory=memory,
        student_trains=student_trains,
        student_clip=clip,
    )
