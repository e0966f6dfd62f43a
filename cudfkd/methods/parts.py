"""Parts that several methods share."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cudfkd.context import Context
from cudfkd.losses import DIVERGENCES, at_least_float32
from cudfkd.models import Generator


@dataclass
class FreshImages:
    """Every batch is new: the generator in eval mode on latents drawn for it. Nothing is replayed."""

    generator: Generator

    @torch.no_grad()
    def draw(self, ctx: Context) -> Float[Tensor, "batch channels size size"]:
        self.generator.eval()
        with ctx.autocast():
            return at_least_float32(self.generator(ctx.noise(ctx.config.batch_size, self.generator.latent_dim)))


@dataclass
class Divergence:
    """The student follows the teacher's logits: one of `cudfkd.losses.DIVERGENCES`, per sample."""

    loss: str
    temperature: float

    def losses(self, ctx: Context, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, " batch"]:
        with torch.no_grad():
            t = ctx.teacher_logits(images)
        return DIVERGENCES[self.loss](t, ctx.student_logits(images), self.temperature)
