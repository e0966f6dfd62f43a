"""DFAD (Fang et al., "Data-Free Adversarial Distillation", 2019).

Student and generator play against each other about one quantity, the mean absolute difference of logits:

    L_G = -mean_i mean_c |t_ic - s_ic|,    L_S = mean_i mean_c |t_ic - s_ic|

with five student steps, each on fresh images, to a step of the generator. The student is in train mode in both.

Where we differ from the authors' code: the run's one learning rate schedule (theirs: a tenth at two epochs), and our
generator with a sigmoid (theirs: tanh, then a BatchNorm layer without scale). It asks nothing of the teacher's layers.
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
    """DFAD's own settings."""

    loss: Loss = "l1"
    """what generator and student are at odds about: kl, l1, l2 or js"""
    adversarial: Weight = 1.0
    """weight of the gap in the generator's loss"""


@dataclass
class Terms:
    """L_G of a batch."""

    options: Options

    def __call__(self, ctx: Context, images: Images) -> dict[str, Tensor]:
        o = self.options
        t, s = ctx.teacher_logits(images), ctx.student_logits(images)
        return {"adversarial_term": o.adversarial * gap(o.loss, t, s)}


def build(options: Options, ctx: Context) -> Method:
    """DFAD for one run."""
    return generator_method(options, ctx, Terms(options), Divergence(options.loss, 1.0), student_trains=True)
