"""DFAD (Fang et al., "Data-Free Adversarial Distillation", 2019).

Student and generator play against each other. The generator raises the mean absolute difference of logits, and the
student lowers it:

    L_G = -mean_i mean_c |t_ic - s_ic|,    L_S = mean_i mean_c |t_ic - s_ic|

A round is a step of the generator and five student steps, each on fresh images. The student is in train mode in both
kinds of steps. The method needs no special layer in the teacher.

Where we differ from the authors' code:

    | theirs                                                     | ours                                     |
    |------------------------------------------------------------|------------------------------------------|
    | the learning rates fall to a tenth at two epochs           | the run's one learning rate schedule     |
    | the generator ends with tanh, then BatchNorm without scale | our generator, which ends with a sigmoid |
"""

from dataclasses import dataclass

from torch import Tensor

from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Divergence, Images, generator_method
from cudfkd.methods.parts.options import GeneratorOptions, Loss, Weight
from cudfkd.methods.parts.terms import gap
from cudfkd.runs.context import Context

ABOUT = About("Fang et al., 2019", "nothing", round_steps=5, ranks=True)


class Options(GeneratorOptions):
    """Settings of DFAD."""

    loss: Loss = "l1"
    """divergence that the generator raises and the student lowers: kl, l1, l2 or js"""
    adversarial: Weight = 1.0
    """weight of the divergence in the generator's loss"""


@dataclass
class Terms:
    """The term of L_G for a batch."""

    options: Options

    def __call__(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        o = self.options
        t, s = ctx.teacher_logits(images), ctx.student_logits(images)
        return {"adversarial_term": o.adversarial * gap(o.loss, t, s)}


def build(options: Options, ctx: Context) -> Method:
    """Builds DFAD for one run."""
    return generator_method(options, ctx, Terms(options), Divergence(options.loss, 1.0), student_trains=True)
