"""ZSKT (Micaelli and Storkey, "Zero-shot Knowledge Transfer via Adversarial Belief Matching", 2019).

The generator looks for images on which student and teacher differ. The student follows the teacher's logits, and also
the teacher's attention, which is computed from the maps of some layers:

    loss_G  = -mean_i KL(p_t || p_s)
    l_i     = KL(p_t || p_s) + attention * classes * sum_layers mean_pixels (focus_t - focus_s)^2,
    focus   = the unit vector of mean_channels maps^2

The authors take the mean of KL over classes: their losses are these divided by the number of classes.

A round is a step of the generator and ten student steps on one batch: the images that the generator makes again of the
step's latents, after the step. Student and generator are always in train mode. Their learning rates fall together along
half a cosine. Both gradients are clipped, at norm 5 in the units of the authors' losses. By default there is a pair of
layers for each map size that both networks have: the last layer of this size in each network.

Where we differ from the authors' code:

    | authors' code                                    | ours                               | why                      |
    |--------------------------------------------------|------------------------------------|--------------------------|
    | the student has Adam, rate 2e-3, no weight decay | SGD, the run's lr and weight decay | one engine for all       |
    | losses are means over classes                    | means times classes                | a rate that suits SGD    |
    | no factor T^2 in KL                              | a factor T^2                       | 1 at the published T = 1 |
    | LeNet: maps of two convolutions after ReLU       | one pair for each map size         | any two networks         |
    | Wide-ResNet: outputs of three blocks             | one pair for each map size         | any two networks         |
    | rates fall once a round                          | the student's at each step         | one schedule for all     |
    | the images are made again for each student step  | once a round                       | the same images          |
    | convolutions with bias, torch's initial weights  | bias in the last, N(0, 0.02)       | one generator for all    |
    | maps of 2, 2 and 1 times the width               | of 4, 2 and 1 times the width      | one generator for all    |
    | latents of 100, width 64                         | latents of 64, width 8             | small networks           |
    | the generator's rate is 1e-3                     | 1e-2                               | shorter runs             |
    | batch 128                                        | the run's batch                    | one batch for all        |
    | 80,000 rounds                                    | the run's length                   | one length for all       |

In the authors' LeNet, ReLU overwrites the maps that are kept before it. Clipping limits the length of a step of SGD; it
hardly changes a step of the authors' Adam.

The copy of ZSKT in the code of CMI, with which the later papers compare, has five student steps on fresh images, no
attention, no clipping, and a constant rate of the generator. Its student is in eval mode in the generator's step, and
its generator's Adam has betas (0.5, 0.999). These options come close to it:

    round_steps=5, store="fresh", sampling_mode="eval", generator_output="sigmoid", generator_schedule="constant",
    attention=0
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
from cudfkd.methods.parts.options import Count, GeneratorOptions, Mode, Output, Positive, Schedule, Store, Weight
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
    """Settings of ZSKT. Published values that differ are in parentheses."""

    store: Store = "again"
    """again: images that the generator makes again of the latents of its last step, after the step, for all steps of a
    round; fresh, same, step, pool and mixture are possible too"""
    latent_dim: Count = 64
    """length of the generator's latent vectors (100)"""
    generator_width: Count = 8
    """channels before the generator's last convolution (64)"""
    generator_lr: Positive = 1e-2
    """learning rate of the generator's Adam (1e-3)"""
    generator_schedule: Schedule = "cosine"
    """cosine: generator_lr falls along half a cosine to 0 over the run, together with the student's rate (published);
    constant: generator_lr stays the same"""
    generator_output: Output = "scaled"
    """end of the generator: scaled: BatchNorm with scale, in the teacher's units (published); standardised: tanh and
    BatchNorm without scale, mean 0 and variance 1 in the teacher's units; sigmoid: images in [0, 1]"""
    sampling_mode: Mode = "train"
    """mode of the generator while it makes images for the student: train: BatchNorm uses the statistics of the batch
    (published); eval: BatchNorm uses its running averages"""
    attention: Weight = 250.0
    """weight of the difference of the attention maps of student and teacher, beside the mean of KL over classes; 0 for
    networks without maps"""
    teacher_layers: Names = ()
    """names of the teacher's modules that give the maps; default: the last module for each map size of both networks"""
    student_layers: Names = ()
    """names of the student's modules that give the maps, in the same order as teacher_layers"""
    temperature: Positive = 1.0
    """temperature of the divergence, in the generator's loss and in the student's"""
    clip: Positive = 5.0
    """largest norm of the gradients of generator and student, for losses that are means over classes"""


@dataclass
class Terms:
    """The term of loss_G for a batch."""

    options: Options

    def __call__(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        t, s = ctx.teacher_logits(images), ctx.student_logits(images)
        return {"adversarial_term": gap("kl", t, s, self.options.temperature)}


@dataclass
class WithAttention:
    """Objective: the student follows the teacher's logits and the teacher's attention maps."""

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
        maps = [[at_least_float32(output) for output in seen.values()] for seen in (of_teacher, of_student)]
        looking = o.attention * ctx.shape.num_classes * attention_gap(*maps)
        ctx.note("attention_term", looking.mean())
        return divergence + looking


def build(options: Options, ctx: Context) -> Method:
    """Builds ZSKT for one run. Raises ConfigError when layers do not exist or their maps differ in size."""
    pairs = layers(options, ctx) if options.attention > 0 else ([], [])
    objective = WithAttention(options, Watch(ctx.teacher, pairs[0]), Watch(ctx.student, pairs[1]))
    clip = options.clip * ctx.shape.num_classes
    return generator_method(options, ctx, Terms(options), objective, clip=clip, student_trains=True)


def layers(options: Options, ctx: Context) -> tuple[list[str], list[str]]:
    """Names of the teacher's modules and of the student's modules, in pairs with maps of equal size.

    Raises:
        ConfigError: a module is unknown, the options name different numbers of modules, the maps of a pair differ in
            size, or the networks have no map size in common.
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
    for left, right in zip(t, s, strict=True):
        if sizes[0][left] != sizes[1][right]:
            pair = f"{left} gives the teacher's of {sizes[0][left]} pixels, {right} the student's of {sizes[1][right]}"
            raise ConfigError(f"maps must agree in size: {pair}: name other layers")
    return t, s
