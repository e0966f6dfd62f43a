"""The classes of the images that a student studies: a generator that makes few classes shows here first."""

import torch
from torch import Tensor

from cudfkd.callbacks import Batch, Callback
from cudfkd.runs.context import Context


class Classes(Callback):
    """Counts the teacher's classes in each batch that the student studies in the last epoch.

    A class is the teacher's prediction. With n images drawn evenly from C classes, a batch has C (1 - (1 - 1/C)^n)
    classes on average: 9.99 for 64 images of 10 classes.
    """

    def __init__(self) -> None:
        self._counts: list[Tensor] = []

    def after_student_step(self, ctx: Context, batch: Batch) -> None:
        if ctx.step >= ctx.config.total_steps - ctx.config.steps_per_epoch:
            classes = ctx.soft_labels(batch.images).argmax(1)
            self._counts.append(classes.bincount(minlength=ctx.shape.num_classes))

    def numbers(self) -> dict[str, float]:
        """Means over the batches, of this rank: classes (number) and largest_class (share of a batch)."""
        counts = torch.stack(self._counts).cpu()
        shares = counts / counts.sum(1, keepdim=True)
        return {"classes": float((counts > 0).sum(1).float().mean()), "largest_class": float(shares.amax(1).mean())}
