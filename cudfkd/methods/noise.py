"""Reference: distillation on noise. A method must beat it, to show that its images are worth making.

    loss_S = mean_i divergence(t_i, s_i)

The images are noise: normalised pixels are drawn from N(0, 1), then clipped to the range of an image. For the
evaluation, the student's BatchNorm layers are in eval mode, with the statistics of noise. This belongs to the
reference.
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
    """loss that the student descends: kl, l1, l2 or js"""
    temperature: Positive = 1.0
    """temperature of the losses kl and js"""


def build(options: Options, ctx: Context) -> Method:  # noqa: ARG001
    """Builds distillation on noise for one run."""
    return Method(NoSynthesis(), NormalNoise(), Divergence(options.loss, options.temperature))
