"""Reference: distillation on the real training images (Hinton et al., "Distilling the Knowledge in a Neural Network",
2015). Data-free methods have to do without these images.

    loss_S = mean_i T^2 KL(p_t || p_s)

The student sees no label. Images are drawn with replacement, then shifted and mirrored at random. Where we differ:

    | theirs                | ours                   |
    |-----------------------|------------------------|
    | a term for the labels | no term for the labels |
"""

from cudfkd.base.validation import Described
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import Divergence, NoSynthesis
from cudfkd.methods.parts.options import Loss, Positive, Whole
from cudfkd.methods.parts.references import RealImages
from cudfkd.runs.context import Context

ABOUT = About("Hinton et al., 2015", "the training images", real_images=True, generates=False, ranks=True)


class Options(Described):
    """Settings of distillation on real images."""

    loss: Loss = "kl"
    """loss that the student descends: kl, l1, l2 or js"""
    temperature: Positive = 4.0
    """temperature of the losses kl and js"""
    shift: Whole = 2
    """largest random shift in pixels"""


def build(options: Options, ctx: Context) -> Method:  # noqa: ARG001
    """Builds distillation on real images for one run."""
    return Method(NoSynthesis(), RealImages(options.shift), Divergence(options.loss, options.temperature))
