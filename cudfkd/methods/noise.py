"""Reference: distillation on noise, what a method must beat to show that its images are worth making.

    L_S = mean_i d(t_i, s_i)  on pixels drawn from N(0, 1) as the networks see them, cut to the range of an image

The student's BatchNorm layers are in eval mode when it is evaluated, with statistics of noise: that is part of it.
"""

from cudfkd.base.validation import Described
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Divergence, NoSynthesis
from cudfkd.methods.parts.options import Loss, Positive
from cudfkd.methods.parts.references import NormalNoise
from cudfkd.runs.context import Context

ABOUT = About("reference", "nothing", generates=False, ranks=True)


class Options(Described):
    """Settings of distillation on noise."""

    loss: Loss = "kl"
    """what the student descends: kl, l1, l2 or js"""
    temperature: Positive = 1.0
    """softens kl and js"""


def build(options: Options, ctx: Context) -> Method:  # noqa: ARG001
    """Distillation on noise for one run."""
    return Method(NoSynthesis(), NormalNoise(), Divergence(options.loss, options.temperature))
