"""What can watch a run: a callback overrides the moments it cares about; the others cost nothing.

The order within a round is: synthesis, then `round_steps` times (student step, lambda update). Each pair of moments
encloses everything that may change the student (student step), lambda (lambda update) or the distribution of the
samples (synthesis), and nothing else does: so a quantity measured at all of them splits exactly into the three parts.

A callback reads `ctx` (see `cudfkd.runs.context.Context`) and must leave it as it was: networks, modes, `ctx.rng`.
Reading a tensor's value waits for the device; do it at the end of an epoch where that matters.

On several ranks each calls its own callbacks, with its part of the batch; `ctx.ranks.leads` is true on the one that
writes. The columns that a callback adds on that one are kept.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from cudfkd.runs.context import Context


class Batch(NamedTuple):
    """What the student just studied: images in [0, 1], per-sample losses before the step, weights. All detached.

    On several ranks it is the rank's part of the batch.
    """

    images: Float[Tensor, "batch channels size size"]
    losses: Float[Tensor, " batch"]
    weights: Float[Tensor, " batch"]


class Callback:
    """Does nothing at every moment; override what you need."""

    def before_run(self, ctx: Context) -> None:
        """Networks, generator and optimizers are made; nothing has been trained (or a run is about to go on)."""

    def after_run(self, ctx: Context) -> None:
        """The last epoch is complete. Not called when a run stops with an error."""

    def before_epoch(self, ctx: Context) -> None:
        """Before the first round of an epoch."""

    def after_epoch(self, ctx: Context, row: dict[str, float | int | None]) -> None:
        """The epoch is evaluated; `row` is what metrics.jsonl gets. A callback may add columns of its own."""

    def before_synthesis(self, ctx: Context) -> None:
        """Before the generator's step or steps of a round."""

    def after_synthesis(self, ctx: Context) -> None:
        """After them."""

    def before_student_step(self, ctx: Context) -> None:
        """Before a batch is drawn and the student takes a step on it at pace `ctx.lam`."""

    def after_student_step(self, ctx: Context, batch: Batch) -> None:
        """After the student's step; `ctx.lam` is still the pace of that step."""

    def before_lambda_update(self, ctx: Context) -> None:
        """Before `ctx.lam` becomes the pace of the next student step."""

    def after_lambda_update(self, ctx: Context) -> None:
        """After it."""
