"""DeepInversion, and its adaptive form ADI (Yin et al., "Dreaming to Distill: Data-free Knowledge Transfer via
DeepInversion", 2020).

The method has no generator. It optimises the pixels of a batch, starting from noise. The networks see the batch after
jitter: all images are shifted and mirrored alike. A class y is drawn for each image. All batches go into a pool, on
which the student learns:

    loss(x) = one_hot * CE(t, y) + bn * BN(x) + tv * variation(x) + l2 * ||x||_2
              - adversarial * mean JS_T(p_t, p_s)
    loss_S  = mean_i T^2 KL(p_t || p_s)

With adversarial > 0 the method is ADI: it makes images on which student and teacher differ. JS_T is the quantity of
`cudfkd.methods.parts.terms.clamped_js`. The variation between neighbouring pixels and the norm are of the batch before
jitter, in the teacher's units. The public repositories disagree. Our default follows the code of CMI (Fang et al.,
2021):

    | NVIDIA's code for CIFAR-10                            | code of CMI, our default                |
    |-------------------------------------------------------|-----------------------------------------|
    | ends with the images; distillation was never released | temperature 20 for the student          |
    | bn 10, one_hot 1, adversarial 0                       | bn 10, one_hot 1, adversarial 1         |
    | TV of the L2 norms of differences, weight 2.5e-5      | TV of absolute differences, weight 1e-3 |
    | TV and the norm are of the batch after jitter         | of the batch before jitter              |
    | the jitter is a shift by up to 2 pixels               | a shift by up to an eighth, a mirror    |
    | rate 0.05, Adam's betas (0.9, 0.999)                  | rate 0.1, betas (0.5, 0.99)             |
    | pixels may leave the range of an image                | they are cut to the range at each step  |
    | 2,000 steps                                           | 1,000 steps for 400 student steps       |

Where we differ from the code of CMI:

    | code of CMI                                     | ours                           | why                  |
    |-------------------------------------------------|--------------------------------|----------------------|
    | keeps the last images                           | the images of lowest loss      | a missing copy       |
    | batches of 256 images                           | 64                             | small networks       |
    | 1,000 steps a round                             | 2.5 times the student steps    | the published ratio  |
    | 200 rounds of 400 student steps                 | one round an epoch             | one length for all   |
    | the student's rate falls once an epoch          | it falls at each step          | one schedule for all |
    | the pool is shuffled and passed through         | random draws, with replacement | exact resume         |
    | the pool's images are cut off to bytes          | they are rounded               | half the error       |
    | the pool's images are shifted by up to 4 pixels | up to an eighth, at most 4     | small images         |
"""

from dataclasses import dataclass, field
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cudfkd.methods.parts.augment import roll_and_mirror
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Images, TeacherEye, adam
from cudfkd.methods.parts.images import Best, class_term, image_method, random_classes, steps_of
from cudfkd.methods.parts.options import ImageOptions, Positive, Weight
from cudfkd.methods.parts.terms import clamped_js, total_variation
from cudfkd.runs.context import Context

ABOUT = About("Yin et al., 2020", "BatchNorm in the teacher, unless bn = 0")
RATIO = 2.5  # inner steps for each student step: 1,000 for 400


class Options(ImageOptions):
    """Settings of DeepInversion. The published value is in parentheses."""

    synthesis_batch: Annotated[int, Field(ge=2)] = 64
    """number of images that a round makes (256)"""
    pixel_lr: Positive = 0.1
    """learning rate of the pixels' Adam, in units of the standardised image"""
    one_hot: Weight = 1.0
    """weight of the cross-entropy of the teacher with the class that was drawn for the image"""
    bn: Weight = 10.0
    """weight of matching the teacher's BatchNorm statistics; 0 for a teacher without BatchNorm"""
    tv: Weight = 1e-3
    """weight of total variation"""
    l2: Weight = 0.0
    """weight of the L2 norm of the batch, in the teacher's units"""
    adversarial: Weight = 1.0
    """weight of the divergence of student and teacher; 0: DeepInversion; above 0: ADI"""
    adv_temperature: Positive = 3.0
    """temperature of the divergence of student and teacher"""
    temperature: Positive = 20.0
    """temperature of the divergence in the student's loss"""


@dataclass
class Synthesizer:
    """Optimises the pixels of a batch a round, in standardised units, within the range of an image."""

    options: Options
    eye: TeacherEye
    best: Best = field(default_factory=Best)

    def round(self, ctx: Context) -> int:
        # The order of the draws decides the random numbers: the classes, the noise, then the jitter of each step.
        size, steps = ctx.shape.image_size, steps_of(self.options, ctx, RATIO)
        classes = random_classes(ctx, self.options.synthesis_batch)
        x = ctx.noise(len(classes), ctx.shape.channels, size, size).requires_grad_()
        black, white = ctx.normalize(torch.zeros_like(x)), ctx.normalize(torch.ones_like(x))
        optimizer = adam([x], self.options.pixel_lr, betas=(0.5, 0.99))
        self.best.restart()
        for _ in range(steps):
            terms = self.terms(ctx, x, roll_and_mirror(ctx, ctx.normalize.inverse(x), size // 8), classes)
            self.best.offer(ctx.normalize.inverse(x.clamp(black, white)), torch.stack(list(terms.values())).sum())
            ctx.step_down(optimizer, terms)
            with torch.no_grad():
                x.copy_(x.clamp(black, white))
        return steps

    def terms(self, ctx: Context, x: Images, moved: Images, classes: Tensor) -> dict[str, Tensor]:
        """The terms of loss(x) for a batch, by name.

        Arguments:
            x: the batch in the teacher's units, which tv and l2 look at.
            moved: images of the batch after jitter, which the networks look at.
            classes: the class that was drawn for each image.
        """
        o = self.options
        t, bn_term = self.eye.look(ctx, moved)
        terms = class_term(o.one_hot, t, classes) | bn_term
        if o.tv > 0:
            terms["tv_term"] = o.tv * total_variation(x)
        if o.l2 > 0:
            terms["l2_term"] = o.l2 * x.norm()
        if o.adversarial > 0:
            divergence = clamped_js(t, ctx.student_logits(moved), o.adv_temperature).mean()
            terms["adversarial_term"] = -o.adversarial * divergence
        return terms


def build(options: Options, ctx: Context) -> Method:
    """Builds DeepInversion for one run. Raises ConfigError when bn > 0 and the teacher has no BatchNorm layer."""
    synthesizer = Synthesizer(options, TeacherEye.of(ctx, options.bn))
    return image_method(options, ctx, synthesizer, synthesizer.best, options.temperature)
