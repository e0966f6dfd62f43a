"""Stores of images, which give the student its batches. The configuration combines a store with a source of images.

A source is a function that returns a batch of images. There are three kinds:

    a generator                           makes a new batch at each call
    a generator's last step               returns its images, or images made again of its latents
    a method that makes a batch a round   returns the last batch, which may be larger than the student's batch, and
                                          sorted by class
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from cudfkd.base.errors import ConfigError
from cudfkd.methods.parts.augment import shift_and_mirror
from cudfkd.methods.parts.contract import Store
from cudfkd.methods.parts.memory import ImageMemory
from cudfkd.methods.parts.options import StoreOptions
from cudfkd.runs.context import Context
from cudfkd.runs.student_batch import StudentBatch

Source = Callable[..., Tensor]  # arguments: the context and, in the store Fresh, the number of batches
SHIFT = 4  # pixels, as published for pools of 32 x 32 images


@dataclass
class Fresh:
    """Store in which every batch is new. Several batches of a round are made at once, and labelled if `labelled`.

    The latents of all these batches are drawn first, before any random number of their steps. So a method that draws
    further numbers in a step (PRE-DFKD) gets different numbers than with one batch at a time.
    """

    source: Source
    labelled: bool = False
    """each batch comes with the teacher's logits"""
    waiting: list[StudentBatch] = field(default_factory=list)
    """batches that were made, but not drawn yet"""

    def draw(self, ctx: Context) -> StudentBatch:
        if not self.waiting:
            left = ctx.config.round_steps - ctx.step % ctx.config.round_steps
            count = min(left, ctx.batches_at_once)
            images = self.source(ctx, batches=count)
            labels = ctx.soft_labels(images).chunk(count) if self.labelled else [None] * count
            self.waiting = [StudentBatch(*row) for row in zip(images.chunk(count), [None] * count, labels, strict=True)]
        return self.waiting.pop(0)


@dataclass
class Same:
    """Store with one batch a round, which all student steps of the round use."""

    source: Source
    images: Tensor = field(default_factory=lambda: torch.empty(0))
    round: int = -1

    def draw(self, ctx: Context) -> StudentBatch:
        if ctx.round != self.round:
            self.images, self.round = self.source(ctx)[: ctx.config.batch_size], ctx.round
        return StudentBatch(self.images)


@dataclass
class Pool:
    """Store of all images made so far, or the newest images. A round adds a batch; student batches are random draws."""

    source: Source
    memory: ImageMemory
    augment: bool
    round: int = -1

    def draw(self, ctx: Context) -> StudentBatch:
        if ctx.round != self.round:
            self.memory.add(ctx.ranks.gather(self.source(ctx)))
            self.round = ctx.round
        images = self.memory.draw(ctx, ctx.config.batch_size)
        if self.augment:
            images = shift_and_mirror(ctx, images, min(SHIFT, ctx.shape.image_size // 8))
        return StudentBatch(ctx.ranks.mine(images))


@dataclass
class Mixture:
    """Store whose batches hold a share of images of earlier rounds; the other images are fresh.

    The fresh images of a round's first batch are kept for later rounds.
    """

    source: Source
    memory: ImageMemory
    share: float
    round: int = -1

    def draw(self, ctx: Context) -> StudentBatch:
        # The fresh images are made before the earlier images are drawn: this order decides the random numbers.
        size = ctx.config.batch_size
        old = min(size - 1, max(1, round(self.share * size))) if len(self.memory) else 0
        fresh = ctx.ranks.gather(self.source(ctx))[: size - old]
        images = torch.cat([fresh, self.memory.draw(ctx, old)]) if old else fresh
        if ctx.round != self.round:
            self.memory.add(fresh)
            self.round = ctx.round
        return StudentBatch(ctx.ranks.mine(images))


def generator_store(
    options: StoreOptions,
    ctx: Context,
    source: Source,
    of_last_step: Mapping[str, Source],
    *,
    labelled: bool,
    bounded: bool,
) -> tuple[Store, dict[str, nn.Module]]:
    """Builds the store that the options name, for a generator. Returns the store, and its memory as modules by name.

    Arguments:
        source: the generator.
        of_last_step: sources of the stores "step" and "again".
        labelled: fresh images come with the teacher's logits.
        bounded: all images lie in [0, 1].

    Raises:
        ConfigError: the memory is larger than the machine's memory.
    """
    if options.store == "fresh":
        return Fresh(source, labelled), {}
    if options.store in of_last_step:
        return Same(of_last_step[options.store]), {}
    return _kept(options, ctx, source, ctx.config.batch_size, bounded=bounded)


def batch_store(options: StoreOptions, ctx: Context, source: Source, made: int) -> tuple[Store, dict[str, nn.Module]]:
    """Builds the store that the options name, for a method that makes one batch of images in [0, 1] a round.

    Returns the store, and its memory as modules by name.

    Arguments:
        source: returns the batch of the round, the same at each call.
        made: number of images of the batch.

    Raises:
        ConfigError: the store is "fresh", "step" or "again"; the store is "same" or "mixture", but a round makes fewer
            images than the student's batch has; the memory is larger than the machine's memory.
    """
    if options.store in ("fresh", "step", "again"):
        raise ConfigError(
            f"store = {options.store!r} is not for {ctx.config.method}, which makes one batch a round: take pool, same"
            " or mixture"
        )
    if options.store in ("same", "mixture"):
        if made < ctx.config.batch_size:
            raise ConfigError(
                f"synthesis_batch = {made} is not allowed with store = {options.store!r}: it must be at least"
                f" batch_size = {ctx.config.batch_size}, or take the store pool"
            )
        source = partial(_in_any_order, source=source)
    return _kept(options, ctx, source, made, bounded=True)


def _kept(
    options: StoreOptions, ctx: Context, source: Source, made: int, *, bounded: bool
) -> tuple[Store, dict[str, nn.Module]]:
    if options.store == "same":
        return Same(source), {}
    shape = ctx.shape.channels, ctx.shape.image_size, ctx.shape.image_size
    rounds = ctx.config.total_steps // ctx.config.round_steps
    memory = ImageMemory(options.memory_size or rounds * made, shape, ctx.device, bounded=bounded)
    if options.store == "pool":
        return Pool(source, memory, options.augment), {"images": memory}
    return Mixture(source, memory, options.memory_share), {"images": memory}


def _in_any_order(ctx: Context, source: Source) -> Tensor:
    """The images of `source` in random order."""
    images = source(ctx)
    return images[torch.randperm(len(images), generator=ctx.rng, device=images.device)]
