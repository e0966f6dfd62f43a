"""Shared parts of the reference methods, which make no images."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from cudfkd.methods.parts.augment import shift_and_mirror
from cudfkd.runs.context import Context
from cudfkd.runs.student_batch import StudentBatch


@dataclass
class RealImages:
    """Batches of training images, randomly shifted and mirrored.

    Images are drawn with replacement, so a resumed run need not restore a position in an order of images.
    """

    shift: int
    """largest random shift in pixels"""

    def draw(self, ctx: Context) -> StudentBatch:
        assert ctx.training is not None
        study = ctx.training.at(ctx.integers(len(ctx.training.labels), ctx.config.batch_size))
        assert study.labels is not None
        images = shift_and_mirror(ctx, study.images, self.shift)
        return StudentBatch(ctx.ranks.mine(images), ctx.ranks.mine(study.labels))


@dataclass
class NormalNoise:
    """Noise images: normalised pixels are drawn from N(0, 1), then clipped to the range of an image."""

    def draw(self, ctx: Context) -> StudentBatch:
        size = ctx.shape.image_size
        noise = ctx.noise(ctx.config.batch_size, ctx.shape.channels, size, size)
        return StudentBatch(ctx.normalize.inverse(ctx.ranks.mine(noise)).clamp(0, 1))


class Labels:
    """Objective: the cross-entropy of the student with the label, for each sample."""

    def losses(self, ctx: Context, study: StudentBatch) -> Float[Tensor, " batch"]:
        assert study.labels is not None
        return cross_entropy(ctx.student_logits(study.images), study.labels, reduction="none")
