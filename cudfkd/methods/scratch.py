"""Reference: the student trained from scratch on the labelled training images, without the teacher.

    L_S = mean_i CE(s_i, label_i)

in the same number of steps, and with the same optimizer and schedule, as every method. It is no upper bound: a student
that learns from the teacher's logits can do better in so few steps.
"""

from cudfkd.base.validation import Described
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.generator import NoSynthesis
from cudfkd.methods.parts.options import Whole
from cudfkd.methods.parts.references import Labels, RealImages
from cudfkd.runs.context import Context

ABOUT = About("reference", "the training images and their labels", real_images=True, generates=False, ranks=True)


class Options(Described):
    """Settings of training from scratch."""

    shift: Whole = 2
    """pixels of the random shift"""


def build(options: Options, ctx: Context) -> Method:  # noqa: ARG001
    """Training from scratch for one run."""
    return Method(NoSynthesis(), RealImages(options.shift), Labels())
