"""ZSKT (Micaelli and Storkey, "Zero-shot Knowledge Transfer via Adversarial Belief Matching", 2019).

The generator looks for images on which student and teacher differ; the student also looks where the teacher looks:

    L_G = -mean_i KL(p_t || p_s)
    l_i = KL(p_t || p_s) + attention * sum_layers mean_pixels (A_t - A_s)^2,   A = the unit vector of mean_channels f^2

with ten student steps on one batch to a step of the generator. The student is always in train mode, and the generator's
gradient is clipped at norm 5. By default a pair of layers for each size of map that both networks have, the last of it.

Where we differ: the engine's SGD and schedule for the student (theirs: Adam 2e-3); the divergence is a sum over classes
where theirs is a mean, so that attention weighs less beside it; the batch is made anew after the generator's step; our
generator with a sigmoid (theirs ends with a BatchNorm layer). The copy of it in CMI's code, with which the later papers
compare, has no attention term: attention=0.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from cudfkd import losses
from cudfkd.base.errors import ConfigError
from cudfkd.base.precision import at_least_float32
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Images, generator_method
from cudfkd.methods.parts.options import GeneratorOptions, Positive, Store, Weight
from cudfkd.methods.parts.terms import attention_gap, gap
from cudfkd.models.watch import Watch, last_of_each_size, map_sizes
from cudfkd.runs.context import Context
from cudfkd.runs.student_batch import StudentBatch

ABOUT = About(
    "Micaelli and Storkey, 2019",
    "maps of equal size in both networks, unless attention = 0",
    round_steps=10,
    ranks=True,
)

Names = Annotated[tuple[str, ...], Field(strict=False)]


class Options(GeneratorOptions):
    """ZSKT's own settings."""

    store: Store = "same"
    """the same batch for a round; fresh, a pool or a mixture are others"""
    attention: Weight = 250.0
    """weight of looking where the teacher looks; 0 for networks without maps"""
    teacher_layers: Names = ()
    """the teacher's modules whose maps are matched; default: the last of each size that both networks have"""
    student_layers: Names = ()
    """the student's, in the same order"""
    temperature: Positive = 1.0
    """softens the divergence, the generator's and the student's"""
    clip: Positive = 5.0
    """largest norm of the generator's gradient"""


@dataclass
class Terms:
    """L_G of a batch."""

    options: Options

    def __call__(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        t, s = ctx.teacher_logits(images), ctx.student_logits(images)
        return {"adversarial_term": gap("kl", t, s, self.options.temperature)}


@dataclass
class WithAttention:
    """The student follows the teacher's logits and its attention."""

    options: Options
    teacher: Watch
    student: Watch

    def losses(self, ctx: Context, study: StudentBatch) -> Float[Tensor, " batch"]:
        o = self.options
        with torch.no_grad(), self.teacher.recording() as of_teacher:
            t = ctx.teacher_logits(study.images)
        with self.student.recording() as of_student:
            s = ctx.student_logits(study.images)
        divergence = losses.kl(t, s, o.temperature)
        ctx.note("divergence_term", divergence.mean())
        if not of_teacher:
            return divergence
        maps = [[at_least_float32(one) for one in seen.values()] for seen in (of_teacher, of_student)]
        looking = o.attention * attention_gap(*maps)
        ctx.note("attention_term", looking.mean())
        return divergence + looking


def build(options: Options, ctx: Context) -> Method:
    """ZSKT for one run. Raises ConfigError when layers do not exist, or their maps do not fit together."""
    pairs = layers(options, ctx) if options.attention > 0 else ([], [])
    objective = WithAttention(options, Watch(ctx.teacher, pairs[0]), Watch(ctx.student, pairs[1]))
    return generator_method(options, ctx, Terms(options), objective, clip=options.clip, student_trains=True)


def layers(options: Options, ctx: Context) -> tuple[list[str], list[str]]:
    """The teacher's modules and the student's, in pairs whose maps have one size.

    Raises:
        ConfigError: unknown modules, numbers that differ, maps of different sizes, or no size in common.
    """
    t, s = list(options.teacher_layers), list(options.student_layers)
    if len(t) != len(s):
        raise ConfigError(f"teacher_layers has {len(t)} modules and student_layers {len(s)}: name them in pairs")
    probe = ctx.probe()
    if not t:
        of_teacher, of_student = last_of_each_size(ctx.teacher, probe), last_of_each_size(ctx.student, probe)
        common = [size for size in of_teacher if size in of_student]
        if not common:
            raise ConfigError("teacher and student have no maps of one size, which attention needs: set attention=0")
        return [of_teacher[size] for size in common], [of_student[size] for size in common]
    sizes = map_sizes(ctx.teacher, probe, t), map_sizes(ctx.student, probe, s)
    for one, other in zip(t, s, strict=True):
        if sizes[0][one] != sizes[1][other]:
            told = f"{one} gives the teacher's of {sizes[0][one]} pixels, {other} the student's of {sizes[1][other]}"
            raise ConfigError(f"maps must agree in size: {told}: name other layers")
    return t, s
