"""Shared parts of DeepInversion, CMI and Fast-DFKD: each round takes inner steps that make one batch of images."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cudfkd import losses
from cudfkd.methods.parts.contract import Method, Synthesizer
from cudfkd.methods.parts.generator import Divergence
from cudfkd.methods.parts.options import ImageOptions
from cudfkd.methods.parts.stores import batch_store
from cudfkd.runs.context import Context


@dataclass
class Best:
    """The batch with the lowest loss so far in the round. Losses are compared on the device."""

    images: Tensor = field(default_factory=lambda: torch.empty(0))
    loss: Tensor = field(default_factory=lambda: torch.empty(0))
    features: Tensor | None = None
    """the teacher's features of the batch, for a method that offers them"""

    def restart(self) -> None:
        """Forgets the batch, as a new round begins."""
        self.images, self.loss, self.features = torch.empty(0), torch.empty(0), None

    def offer(
        self,
        images: Float[Tensor, "batch channels size size"],
        loss: Float[Tensor, ""],
        features: Float[Tensor, "batch features"] | None = None,
    ) -> None:
        """Keeps the batch if it is the first in this round or has the lowest loss so far."""
        images, loss = images.detach(), loss.detach()
        features = None if features is None else features.detach()
        if self.loss.numel() == 0:
            self.images, self.loss, self.features = images.clone(), loss, features
            return
        better = loss < self.loss
        self.images = torch.where(better, images, self.images)
        self.loss = torch.where(better, loss, self.loss)
        if features is not None and self.features is not None:
            self.features = torch.where(better, features, self.features)


def random_classes(ctx: Context, count: int) -> Int[Tensor, " count"]:
    """A class for each image, drawn uniformly. They are sorted, so that a picture of the batch shows them in order."""
    return ctx.integers(ctx.shape.num_classes, count).sort().values


def class_term(weight: float, t: losses.Logits, classes: Int[Tensor, " batch"]) -> dict[str, Tensor]:
    """The one_hot_term: cross-entropy of the teacher's logits t with the classes that were drawn for the images."""
    return {"one_hot_term": weight * cross_entropy(t, classes)}


def steps_of(options: ImageOptions, ctx: Context, ratio: float) -> int:
    """Inner steps of a round: options.inner_steps, else `ratio` (as published) times the student steps of a round."""
    return ctx.generator_steps(options.inner_steps or max(1, round(ratio * ctx.config.round_steps)))


def image_method(
    options: ImageOptions,
    ctx: Context,
    synthesizer: Synthesizer,
    best: Best,
    temperature: float,
    modules: dict[str, nn.Module] | None = None,
    memory: dict[str, nn.Module] | None = None,
    optimizers: dict[str, torch.optim.Optimizer] | None = None,
) -> Method:
    """A method whose rounds leave a batch in `best` for the store. The student descends KL on images of the store."""
    store, kept = batch_store(options, ctx, lambda _: best.images, made=options.synthesis_batch)
    return Method(
        synthesizer, store, Divergence("kl", temperature), modules or {}, optimizers or {}, kept | (memory or {})
    )
