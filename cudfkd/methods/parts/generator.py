"""Parts that several methods share."""

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
from cudfkd.models.batch_norm_statistics import BatchNormStatistics
from cudfkd.runs.context import Context
from cudfkd.runs.student_batch import StudentBatch

Images = Float[Tensor, "batch channels size size"]
Logits = Float[Tensor, "batch classes"]
Terms = Callable[[Context, Tensor], dict[str, Tensor]]


@dataclass
class Divergence:
    """The student follows the teacher's logits: one of `cudfkd.losses.DIVERGENCES`, per sample."""

    loss: str
    temperature: float

    def losses(self, ctx: Context, study: StudentBatch) -> Float[Tensor, " batch"]:
        t = ctx.soft_labels(study.images) if study.teacher_logits is None else study.teacher_logits
        return DIVERGENCES[self.loss](t, ctx.student_logits(study.images), self.temperature)


@dataclass
class TeacherEye:
    """The teacher's logits together with how far the batch is from its BatchNorm statistics, if that is wanted."""

    bn: float
    statistics: BatchNormStatistics | None

    @classmethod
    def of(cls, ctx: Context, bn: float) -> "TeacherEye":
        """Looks at the statistics where their weight `bn` is not 0. Raises ConfigError if there are none then."""
        return cls(bn, BatchNormStatistics(ctx.teacher, ctx.ranks.means) if bn > 0 else None)

    def look(self, ctx: Context, images: Images) -> tuple[Logits, dict[str, Tensor]]:
        """The teacher's logits and bn_term; no term where its weight is 0."""
        if self.statistics is None:
            return ctx.teacher_logits(images), {}
        t, distance = ctx.look(self.statistics, images)
        return t, {"bn_term": self.bn * distance}


@dataclass
class GeneratorTraining:
    """A synthesizer: the generator takes steps down the terms of a fresh batch each.

    lr falls along half a cosine to 0 over the run where the generator `settles`; else it stays.
    """

    generator: Generator
    optimizer: torch.optim.Optimizer
    terms: Terms
    steps: int
    lr: float
    clip: float | None = None
    settles: bool = False

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
    """For references that study images as they are."""

    def round(self, ctx: Context) -> int:  # noqa: ARG002
        return 0


def imagine(ctx: Context, generator: nn.Module, z: Float[Tensor, "batch latent"]) -> Images:
    """Images of latents, in the run's precision."""
    with ctx.autocast():
        return at_least_float32(ctx.fast(generator)(z))


@torch.no_grad()
def fresh_images(ctx: Context, generator: Generator, batches: int = 1) -> Images:
    """Batches for the student, one after the other: the generator in eval mode, on latents drawn for each."""
    generator.eval()
    return imagine(ctx, generator, torch.cat([ctx.latents(generator.latent_dim) for _ in range(batches)]))


def new_generator(ctx: Context, latent_dim: int, width: int) -> Generator:
    """A generator of the run's images, on its device, laid out for speed there."""
    generator = Generator(latent_dim, ctx.shape.channels, ctx.shape.image_size, width).to(ctx.device)
    convert_conv2d_weight_memory_format(generator, torch.channels_last)  # faster, on CPU and GPU
    return generator


def adam(parameters: Iterable[Tensor] | list[dict], lr: float, betas: tuple[float, float] = (0.9, 0.99)):
    """Adam; the betas are those of CuDFKD's public code, which trains its baselines with them too."""
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
    """A method that trains one generator and differs from others in its terms, its objective and its options."""
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
