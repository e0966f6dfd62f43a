"""Where the student's batch comes from: any store goes with any source of images, by configuration.

A source gives a batch of images: a generator fresh ones at each call, a method that makes whole batches the last one,
which may be larger than the student's and sorted by class.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from cudfkd.base.errors import ConfigError
from cudfkd.data.images import unit
from cudfkd.methods.parts.augment import shift_and_mirror
from cudfkd.methods.parts.contract import Store
from cudfkd.methods.parts.memory import Memory
from cudfkd.methods.parts.options import StoreOptions
from cudfkd.runs.context import Context
from cudfkd.runs.student_batch import StudentBatch, to_bytes

Source = Callable[..., Tensor]  # of a context and, where fresh, a number of batches
SHIFT = 4  # pixels, as in the published augmentation of pools at 32 x 32


@dataclass
class Fresh:
    """Every batch is new. Nothing is replayed. Batches of a round are made, and labelled if wanted, several at once.

    Their latents are then drawn before the other numbers of their steps: PRE-DFKD, which draws some, gets other ones.
    """

    source: Source
    labelled: bool = False
    waiting: list[StudentBatch] = field(default_factory=list)

    def draw(self, ctx: Context) -> StudentBatch:
        if not self.waiting:
            left = ctx.config.round_steps - ctx.step % ctx.config.round_steps
            count = min(left, ctx.batches_at_once)
            images = self.source(ctx, batches=count)
            labels = ctx.soft_labels(images).chunk(count) if self.labelled else [None] * count
            self.waiting = [StudentBatch(*one) for one in zip(images.chunk(count), [None] * count, labels, strict=True)]
        return self.waiting.pop(0)


@dataclass
class Same:
    """One batch a round, the same for all its student steps."""

    source: Source
    images: Tensor = field(default_factory=lambda: torch.empty(0))
    round: int = -1

    def draw(self, ctx: Context) -> StudentBatch:
        if ctx.round != self.round:
            self.images, self.round = self.source(ctx)[: ctx.config.batch_size], ctx.round
        return StudentBatch(self.images)


@dataclass
class Pool:
    """All that was made so far, or the newest of it: a round adds a batch, each student batch is drawn from all."""

    source: Source
    memory: Memory
    augment: bool
    round: int = -1

    def draw(self, ctx: Context) -> StudentBatch:
        if ctx.round != self.round:
            self.memory.add(to_bytes(ctx.ranks.gather(self.source(ctx))))
            self.round = ctx.round
        images = unit(self.memory.draw(ctx, ctx.config.batch_size))
        if self.augment:
            images = shift_and_mirror(ctx, images, min(SHIFT, ctx.shape.image_size // 8))
        return StudentBatch(ctx.ranks.mine(images))


@dataclass
class Mixture:
    """A share of images of earlier rounds, the rest fresh. A round's first fresh images are kept."""

    source: Source
    memory: Memory
    share: float
    round: int = -1

    def draw(self, ctx: Context) -> StudentBatch:
        size = ctx.config.batch_size
        old = min(size - 1, max(1, round(self.share * size))) if len(self.memory) else 0
        fresh = ctx.ranks.gather(self.source(ctx))[: size - old]
        images = torch.cat([fresh, unit(self.memory.draw(ctx, old))]) if old else fresh
        if ctx.round != self.round:
            self.memory.add(to_bytes(fresh))
            self.round = ctx.round
        return StudentBatch(ctx.ranks.mine(images))


def build_store(
    options: StoreOptions, source: Source, ctx: Context, made: int | None = None, *, labelled: bool = False
) -> tuple[Store, dict[str, nn.Module]]:
    """The store that the options ask for, and what it remembers.

    Arguments:
        made: images a round, of a source that gives the same ones until the next; None for a generator.
        labelled: the teacher's logits are wanted with fresh images.

    Raises:
        ConfigError: "fresh" of a source that has no fresh ones; one that makes fewer images than the student's batch
            has, where they are not pooled; a memory larger than the machine's.
    """
    if made is not None and options.store in ("same", "mixture"):
        if made < ctx.config.batch_size:
            raise ConfigError(
                f"synthesis_batch = {made} is not allowed with store = {options.store!r}: it must be at least"
                f" batch_size = {ctx.config.batch_size}, or take the store pool"
            )
        source = partial(_in_any_order, source=source)
    if options.store == "fresh":
        if made is not None:
            raise ConfigError(
                f"store = 'fresh' is not for {ctx.config.method}, which makes one batch a round: take pool, same or"
                " mixture"
            )
        return Fresh(source, labelled), {}
    if options.store == "same":
        return Same(source), {}
    shape = ctx.shape.channels, ctx.shape.image_size, ctx.shape.image_size
    rounds = ctx.config.total_steps // ctx.config.round_steps
    size = options.memory_size or rounds * (made or ctx.config.batch_size)
    memory = Memory(size, shape, torch.uint8, ctx.device)
    if options.store == "pool":
        return Pool(source, memory, options.augment), {"images": memory}
    return Mixture(source, memory, options.memory_share), {"images": memory}


def _in_any_order(ctx: Context, source: Source) -> Tensor:
    images = source(ctx)
    return images[torch.randperm(len(images), generator=ctx.rng, device=images.device)]
