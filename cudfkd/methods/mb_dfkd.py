"""MB-DFKD (Binici et al., "Preventing Catastrophic Forgetting and Distribution Mismatch in Knowledge Distillation via
Synthetic Data", 2022): the generator of DAFL, and a memory bank of images of earlier rounds.

    L_G as in `cudfkd.methods.dafl`,    L_S = mean_i KL(p_t || p_s)

The student's batch holds fresh images and images from the bank; memory_share is the share of images from the bank. So
the student does not forget images that the generator no longer makes. The authors' code is not public. Our choices:

    | theirs, from the description        | ours                                                              |
    |-------------------------------------|-------------------------------------------------------------------|
    | the bank keeps images of each round | one batch a round enters the bank                                 |
    | unknown                             | the bank holds the newest memory_size images                      |
    | unknown                             | a quarter of each student batch is drawn from the bank, uniformly |
"""

from cudfkd.methods import dafl
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.options import Count, Store
from cudfkd.runs.context import Context

ABOUT = About("Binici et al., 2022", dafl.ABOUT.needs, round_steps=5, ranks=True)


class Options(dafl.Options):
    """Settings of MB-DFKD: the settings of DAFL, with a mixture as store."""

    store: Store = "mixture"
    """mixture: fresh images and images of earlier rounds; fresh: fresh images only, without the bank"""
    memory_size: Count | None = 4096
    """number of newest images that the bank keeps"""


def build(options: Options, ctx: Context) -> Method:
    """Builds MB-DFKD for one run. Raises the same errors as DAFL."""
    return dafl.build(options, ctx)
