"""Interventions on a live run: callbacks that change it on purpose, as a case of a study or as a control."""

from typing import Literal

import torch
from torch import Tensor

from cudfkd.callbacks import Callback
from cudfkd.runs.context import Context


class Held(Callback):
    """Holds the generator: from a moment on, everything that the generator's turn changed is put back.

    Arguments:
        after: share of the run.
        batch_norm: "eval" puts everything back. "train" leaves the BatchNorm statistics, which move although no
            parameter does, because the generator is in train mode during synthesis.
    """

    def __init__(self, after: float, batch_norm: Literal["eval", "train"]) -> None:
        self.after, self.batch_norm = after, batch_norm
        self._kept: dict[str, Tensor] = {}

    def before_synthesis(self, ctx: Context) -> None:
        if not self._kept and ctx.step >= self.after * ctx.config.total_steps:
            generator = ctx.modules["generator"]
            tensors = generator.state_dict() if self.batch_norm == "eval" else dict(generator.named_parameters())
            self._kept = {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def after_synthesis(self, ctx: Context) -> None:
        if self._kept:
            ctx.modules["generator"].load_state_dict(self._kept, strict=False)


class Nudge(Callback):
    """Moves a weight of the student by 0.001 before each of its steps, outside of everybody's turn: a control."""

    def before_student_step(self, ctx: Context) -> None:
        with torch.no_grad():
            next(ctx.student.parameters()).add_(1e-3)
