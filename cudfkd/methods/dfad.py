"""DFAD (Fang et al., "Data-Free Adversarial Distillation", 2019).

Student and generator play against each other. The generator raises the mean absolute difference of logits, and the
student lowers it:

    loss_G = -mean_ij |t_ij - s_ij|,    loss_S = mean_ij |t_ij - s_ij|    (i: the sample, j: the class)

A round is a step of the generator and five student steps, each on fresh images. Student and generator are in train mode
in all these steps. Their learning rates fall together. The method needs no special layer in the teacher.

Where we differ from the authors' code:

    | authors' code                                           | ours                          | why                    |
    |---------------------------------------------------------|-------------------------------|------------------------|
    | CIFAR: both rates fall to a tenth at epochs 100 and 200 | both fall along half a cosine | one schedule for all   |
    | MNIST: both rates are constant                          | both fall along half a cosine | one schedule for all   |
    | a round ends with the generator's step                  | it begins with it             | the engine's one order |
    | the student's rate is 0.1 (MNIST: 0.01)                 | the run's lr                  | one setting for all    |
    | weight decay 5e-4 (MNIST: 1e-4)                         | the run's, 1e-4               | one setting for all    |
    | batch 256 (MNIST: 512)                                  | the run's batch               | one batch for all      |
    | 500 epochs (MNIST: 40) of 50 rounds                     | the run's length              | one length for all     |
    | latents of 256 (MNIST: 100), width 64                   | latents of 64, width 8        | small networks         |
    | convolutions with bias, torch's initial weights         | bias in the last, N(0, 0.02)  | one generator for all  |
    | maps of 2, 2 and 1 times the width                      | of 4, 2 and 1 times the width | one generator for all  |
    | the generator's rate is 1e-3                            | 1e-2                          | shorter runs           |
"""

from dataclasses import dataclass

from torch import Tensor

from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Divergence, Images, generator_method
from cudfkd.methods.parts.options import Count, Loss, Positive, Schedule, StandardisedOptions, Weight
from cudfkd.methods.parts.terms import gap
from cudfkd.runs.context import Context

ABOUT = About("Fang et al., 2019", "nothing", round_steps=5, ranks=True)


class Options(StandardisedOptions):
    """Settings of DFAD. Published values that differ are in parentheses."""

    latent_dim: Count = 64
    """length of the generator's latent vectors (256; MNIST: 100)"""
    generator_width: Count = 8
    """channels before the generator's last convolution (64)"""
    generator_lr: Positive = 1e-2
    """learning rate of the generator's Adam (1e-3)"""
    generator_schedule: Schedule = "cosine"
    """cosine: generator_lr falls along half a cosine to 0 over the run, together with the student's rate (published: a
    joint schedule of steps); constant: generator_lr stays the same"""
    loss: Loss = "l1"
    """divergence that the generator raises and the student lowers: kl, l1, l2 or js"""
    adversarial: Weight = 1.0
    """weight of the divergence in the generator's loss"""


@dataclass
class Terms:
    """The term of loss_G for a batch."""

    options: Options

    def __call__(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        o = self.options
        t, s = ctx.teacher_logits(images), ctx.student_logits(images)
        return {"adversarial_term": o.adversarial * gap(o.loss, t, s)}


def build(options: Options, ctx: Context) -> Method:
    """Builds DFAD for one run."""
    return generator_method(options, ctx, Terms(options), Divergence(options.loss, 1.0), student_trains=True)
