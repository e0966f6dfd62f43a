"""MB-DFKD (Binici et al., "Preventing Catastrophic Forgetting and Distribution Mismatch in Knowledge Distillation via
Synthetic Data", 2022): DAFL's generator, and a memory bank of images of earlier rounds in the student's batch.

    L_G as in `cudfkd.methods.dafl`,    L_S = mean_i KL(p_t || p_s) over fresh images and memory_share of earlier ones

Its code is not public. From the description: the bank keeps images of each round, so that the student does not forget
what the generator no longer makes. Our choices: one batch a round enters the bank, which holds the newest memory_size;
a quarter of each student batch is drawn from it uniformly.
"""

from cudfkd.methods import dafl
from cudfkd.methods.parts.contract import About, Method
from cudfkd.methods.parts.options import Count, Store
from cudfkd.runs.context import Context

ABOUT = About("Binici et al., 2022", dafl.ABOUT.needs, round_steps=5, ranks=True)


class Options(dafl.Options):
    """MB-DFKD's own settings: DAFL's, with a mixture as store."""

    store: Store = "mixture"
    """mixture of fresh images and ones of earlier rounds; fresh switches the bank off"""
    memory_size: Count | None = 4096
    """images that the bank keeps, the newest"""


def build(options: Options, ctx: Context) -> Method:
    """MB-DFKD for one run. Raises as DAFL does."""
    return dafl.build(options, ctx)
