"""Callbacks, which watch a run. A callback overrides the moments that it needs; the remaining moments cost nothing.

A round runs in this order: synthesis, then `round_steps` times (student step, lambda update). A moment comes before
and after each of these three actions. Only one action changes each of three things:

    action          is the only action that may change
    synthesis       the distribution of the samples
    student step    the student
    lambda update   lambda

So the change of a quantity that is measured at all six moments splits exactly into three parts.

A callback reads `ctx` (see `cudfkd.runs.context.Context`) and must leave networks, modes and `ctx.rng` unchanged.
Reading a tensor's value waits for the device; where the wait matters, read values at the end of an epoch.

With several ranks, every rank calls its own callbacks, with its share of the batch. `ctx.ranks.leads` is true on the
rank that writes files. The columns that a callback adds on that rank are kept.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from cudfkd.runs.context import Context


class Batch(NamedTuple):
    """The batch that the student has just studied. All tensors are detached.

    With several ranks, it is this rank's share of the batch.

    images: images in [0, 1].
    losses: loss of each sample before the student's step.
    weights: weight that the curriculum gave to each sample.
    """

    images: Float[Tensor, "batch channels size size"]
    losses: Float[Tensor, " batch"]
    weights: Float[Tensor, " batch"]


class Callback:
    """Does nothing at any moment; override the moments that you need."""

    def before_run(self, ctx: Context) -> None:
        """Called when networks, generator and optimizers exist, before any training or before a resumed run goes on."""

    def after_run(self, ctx: Context) -> None:
        """Called when the last epoch is complete; not called when a run stops with an error."""

    def before_epoch(self, ctx: Context) -> None:
        """Called before the first round of an epoch."""

    def after_epoch(self, ctx: Context, row: dict[str, float | int | None]) -> None:
        """Called when the epoch is evaluated. `row` goes to metrics.jsonl; a callback may add its own columns to it."""

    def before_synthesis(self, ctx: Context) -> None:
        """Called before the generator steps of a round."""

    def after_synthesis(self, ctx: Context) -> None:
        """Called after the generator steps of a round."""

    def before_student_step(self, ctx: Context) -> None:
        """Called before a batch is drawn and the student takes a step on it at pace `ctx.lam`."""

    def after_student_step(self, ctx: Context, batch: Batch) -> None:
        """Called after the student's step; `ctx.lam` is still the pace of that step."""

    def before_lambda_update(self, ctx: Context) -> None:
        """Called before `ctx.lam` becomes the pace of the next student step."""

    def after_lambda_update(self, ctx: Context) -> None:
        """Called after `ctx.lam` has become the pace of the next student step."""
