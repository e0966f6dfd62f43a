"""Reference: training of the student from scratch on the labelled training images, without the teacher.

    loss_S = mean_i CE(s_i, label_i)

The number of steps, the optimizer and the schedule are the same as for every method. The reference is no upper bound: a
student that learns from the teacher's logits can be better after so few steps.
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
    """largest random shift in pixels"""


def build(options: Options, ctx: Context) -> Method:  # noqa: ARG001
    """Builds training from scratch for one run."""
    return Method(NoSynthesis(), RealImages(options.shift), Labels())
