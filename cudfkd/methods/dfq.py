"""DFQ (Choi et al., "Data-Free Network Quantization with Adversarial Knowledge Distillation", 2020).

A generator makes images for the student. The terms of its loss ask for four properties:

    bn              the batch looks like training data to the teacher's BatchNorm layers
    one_hot         the teacher is certain of each image
    class_entropy   the batch spreads over the classes
    adversarial     student and teacher differ on the images

    loss_G = adversarial * (-mean KL(p_t || p_s)) + bn * BN(x) + one_hot * CE(t, argmax t)
             + class_entropy * (-H(mean p_t))
    loss_S = mean_i KL(p_t || p_s)

A round is a step of the generator and ten student steps on fresh images. The authors published no code. The code of CMI
(Fang et al., 2021), with which the published comparisons were made, is the source of the details:

    | code of CMI                              | ours                       | why                         |
    |------------------------------------------|----------------------------|-----------------------------|
    | latents of 256, generator of width 64    | latents of 64, width 8     | small networks              |
    | the generator's rate is 1e-3             | 1e-2                       | shorter runs                |
    | torch's initial weights of the generator | N(0, 0.02)                 | one generator for all       |
    | batch 256, 200 epochs of 400 steps       | the run's batch and length | one length for every method |
    | the student's rate falls once an epoch   | it falls at each step      | one schedule for all        |
"""

from dataclasses import dataclass

from torch import Tensor

from cudfkd import losses
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Divergence, Images, TeacherEye, generator_method
from cudfkd.methods.parts.options import Count, GeneratorOptions, Positive, Weight
from cudfkd.methods.parts.terms import gap
from cudfkd.runs.context import Context

ABOUT = About("Choi et al., 2020", "BatchNorm in the teacher, unless bn = 0", round_steps=10, ranks=True)


class Options(GeneratorOptions):
    """Settings of DFQ. Published values that differ are in parentheses."""

    latent_dim: Count = 64
    """length of the generator's latent vectors (256)"""
    generator_width: Count = 8
    """channels before the generator's last convolution (64)"""
    generator_lr: Positive = 1e-2
    """learning rate of the generator's Adam (1e-3)"""
    adversarial: Weight = 1.0
    """weight of the divergence of student and teacher in the generator's loss"""
    bn: Weight = 1.0
    """weight of matching the teacher's BatchNorm statistics; 0 for a teacher without BatchNorm"""
    one_hot: Weight = 1.0
    """weight of the teacher's certainty"""
    class_entropy: Weight = 20.0
    """weight of the class entropy, which makes all classes equally frequent in a batch"""
    temperature: Positive = 1.0
    """temperature of the divergence, in the generator's loss and in the student's"""


@dataclass
class Terms:
    """The terms of loss_G for a batch."""

    options: Options
    eye: TeacherEye

    def __call__(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        o = self.options
        t, bn_term = self.eye.look(ctx, images)
        terms = {
            "one_hot_term": o.one_hot * losses.one_hot(t),
            "class_entropy_term": -o.class_entropy * losses.class_entropy(ctx.ranks.gather(t)),
        } | bn_term
        if o.adversarial > 0:
            terms["adversarial_term"] = o.adversarial * gap("kl", t, ctx.student_logits(images), o.temperature)
        return terms


def build(options: Options, ctx: Context) -> Method:
    """Builds DFQ for one run. Raises ConfigError when bn > 0 and the teacher has no BatchNorm layer."""
    terms = Terms(options, TeacherEye.of(ctx, options.bn))
    return generator_method(options, ctx, terms, Divergence("kl", options.temperature), betas=(0.5, 0.999))
