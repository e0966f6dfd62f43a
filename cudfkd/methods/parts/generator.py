"""Parts that several methods share: the generator, its training, and the student's plain objective."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from cudfkd.base.precision import at_least_float32
from cudfkd.losses import DIVERGENCES
from cudfkd.methods.parts.contract import Method, Objective
from cudfkd.methods.parts.options import GeneratorOptions
from cudfkd.methods.parts.stores import build_store
from cudfkd.models import Generator
from cudfkd.models.batch_norm_statistics import BatchNormStatistics, layers_with_statistics
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

    def round(self, ctx: Context) -> int:
        steps = ctx.generator_steps(self.steps)
        if self.settles:
            ctx.settle(self.optimizer, self.lr)
        self.generator.train()
        for _ in range(steps):
            images = imagine(ctx, self.generator, ctx.latents(self.generator.latent_dim))
            terms = self.terms(ctx, images)
            if self.clip is None:
                ctx.step_down(self.optimizer, terms)
            else:
                ctx.step_down(self.optimizer, terms, self.clip)
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
def fresh_images(ctx: Context, generator: Generator, batches: int = 1) -> Images:
    """Batches for the student, one after the other. The generator is in eval mode."""
    generator.eval()
    # The latents are drawn batch by batch, so that they do not depend on how many batches are made at once.
    return imagine(ctx, generator, torch.cat([ctx.latents(generator.latent_dim) for _ in range(batches)]))


def new_generator(ctx: Context, latent_dim: int, width: int) -> Generator:
    """A generator for images of the run's shape, on the run's device, in the memory layout that is fastest."""
    generator = Generator(latent_dim, ctx.shape.channels, ctx.shape.image_size, width).to(ctx.device)
    convert_conv2d_weight_memory_format(generator, torch.channels_last)  # faster, on CPU and GPU
    return generator


def adam(parameters: Iterable[Tensor] | list[dict], lr: float, betas: tuple[float, float] = (0.9, 0.99)):
    """Adam. The default betas are from CuDFKD's public code, which trains its baselines with them too."""
    return torch.optim.Adam(parameters, lr, betas=betas, fused=True)


def generator_method(
    options: GeneratorOptions,
    ctx: Context,
    terms: Terms,
    objective: Objective,
    *,
    clip: float | None = None,
    student_trains: bool = False,
    settles: bool = False,
) -> Method:
    """A method that trains one generator: `terms` is the generator's loss, `objective` the student's loss."""
    generator = new_generator(ctx, options.latent_dim, options.generator_width)
    optimizer = adam(generator.parameters(), options.generator_lr)
    source = partial(fresh_images, generator=generator)
    store, memory = build_store(options, source, ctx, labelled=isinstance(objective, Divergence))
    return Method(
        synthesizer=GeneratorTraining(
            generator, optimizer, terms, options.generator_steps, options.generator_lr, clip, settles
        ),
        store=store,
        objective=objective,
        modules={"generator": generator},
        optimizers={"generator": optimizer},
        memory=memory,
        student_trains=student_trains,
    )
