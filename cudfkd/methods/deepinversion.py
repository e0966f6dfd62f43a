"""DeepInversion and ADI, its adaptive form (Yin et al., "Dreaming to Distill: Data-free Knowledge Transfer via
DeepInversion", 2020).

No generator: the pixels of a batch are optimised from noise, each image for a class y drawn for it, under random shifts
and mirroring, and all batches go into a pool on which the student learns:

    L(x) = one_hot * CE(t, y) + bn * BN(x) + tv * TV(x) + l2 * ||x||_2 - adversarial * mean JS_T(p_t, p_s)
    L_S  = mean_i T^2 KL(p_t || p_s)

adversarial > 0 is ADI: images on which student and teacher differ. The repositories disagree: NVIDIA's ends with the
images (distillation was never released) and has other weights (bn 10, TV of the L2 norms of differences 2.5e-5,
2,000 steps); the code of CMI is the whole method, and our default (bn 10, one_hot 1, adversarial 1, L1 TV 1e-3, 1,000
steps for 400 student steps, T 20 for the student). Where we differ: TV has two directions (theirs: the diagonals too,
so about twice as much at the same weight); the images kept are those of lowest loss (both repositories mean to and keep
the last); JS is the Jensen-Shannon divergence in nats (theirs is another).
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
from cudfkd.methods.parts.terms import gap, total_variation
from cudfkd.runs.context import Context

ABOUT = About("Yin et al., 2020", "BatchNorm2d in the teacher, unless bn = 0")
RATIO = 2.5  # inner steps a student step: 1,000 for 400


class Options(ImageOptions):
    """DeepInversion's own settings."""

    synthesis_batch: Annotated[int, Field(ge=2)] = 64
    """images that a round makes (256)"""
    pixel_lr: Positive = 0.1
    """learning rate of the pixels' Adam, in units of the standardised image"""
    one_hot: Weight = 1.0
    """weight of the class that was drawn for the image"""
    bn: Weight = 10.0
    """weight of matching the teacher's BatchNorm statistics; 0 for a teacher without BatchNorm"""
    tv: Weight = 1e-3
    """weight of total variation"""
    l2: Weight = 0.0
    """weight of the norm of the image"""
    adversarial: Weight = 1.0
    """weight of the divergence of student and teacher; 0 is DeepInversion, more is ADI"""
    adv_temperature: Positive = 3.0
    """temperature of that divergence"""
    temperature: Positive = 20.0
    """softens the student's divergence"""


@dataclass
class Synthesizer:
    """Optimises the pixels of a batch a round, in standardised units, within what an image can be."""

    options: Options
    eye: TeacherEye
    best: Best = field(default_factory=Best)

    def round(self, ctx: Context) -> int:
        size, steps = ctx.shape.image_size, steps_of(self.options, ctx, RATIO)
        classes = random_classes(ctx, self.options.synthesis_batch)
        x = ctx.noise(len(classes), ctx.shape.channels, size, size).requires_grad_()
        black, white = ctx.normalize(torch.zeros_like(x)), ctx.normalize(torch.ones_like(x))
        optimizer = adam([x], self.options.pixel_lr, betas=(0.5, 0.99))
        self.best.restart()
        for _ in range(steps):
            with torch.no_grad():
                x.copy_(x.clamp(black, white))
            images = ctx.normalize.inverse(x)
            terms = self.terms(ctx, roll_and_mirror(ctx, images, size // 8), classes)
            self.best.offer(images, torch.stack(list(terms.values())).sum())
            ctx.step_down(optimizer, terms)
        return steps

    def terms(self, ctx: Context, images: Images, classes: Tensor) -> dict[str, Tensor]:
        """L(x) of a batch, by term."""
        o = self.options
        t, bn_term = self.eye.look(ctx, images)
        terms = class_term(o.one_hot, t, classes) | bn_term
        x = ctx.normalize(images)
        if o.tv > 0:
            terms["tv_term"] = o.tv * total_variation(x)
        if o.l2 > 0:
            terms["l2_term"] = o.l2 * x.flatten(1).norm(dim=1).mean()
        if o.adversarial > 0:
            terms["adversarial_term"] = o.adversarial * gap("js", t, ctx.student_logits(images), o.adv_temperature)
        return terms


def build(options: Options, ctx: Context) -> Method:
    """DeepInversion for one run. Raises ConfigError when bn > 0 and the teacher has no BatchNorm2d."""
    synthesizer = Synthesizer(options, TeacherEye.of(ctx, options.bn))
    return image_method(options, ctx, synthesizer, synthesizer.best, options.temperature)
