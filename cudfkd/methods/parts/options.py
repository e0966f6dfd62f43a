"""Settings that several methods share, and the types of settings."""

from typing import Annotated, Literal

from pydantic import Field

from cudfkd.base.validation import Described

Weight = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]

Loss = Literal["kl", "l1", "l2", "js"]
Store = Literal["fresh", "same", "pool", "mixture"]


class StoreOptions(Described):
    """Where the student's batch comes from."""

    store: Store = "fresh"
    """fresh images for every step, the same batch for a round, a pool of all that were made, or a mixture of fresh ones
    and ones of earlier rounds"""
    memory_size: Count | None = None
    """images that a pool or mixture keeps, the newest; default: all of the run"""
    memory_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """share of earlier images in a mixture's batch"""
    augment: bool = True
    """shift and mirror the images of a pool"""


class GeneratorOptions(StoreOptions):
    """A generator with its Adam. The sizes are for the small networks that ship."""

    latent_dim: Count = 64
    """length of the generator's latent vectors"""
    generator_width: Count = 8
    """channels before the generator's last convolution"""
    generator_lr: Positive = 1e-2
    """learning rate of the generator's Adam"""
    generator_steps: Count = 1
    """generator steps a round"""


class ImageOptions(StoreOptions):
    """A method that makes whole batches of images in inner steps, and keeps them."""

    store: Store = "pool"
    """pool of all images that were made; batch_size of the round's, the same for all its steps; or a mixture of some of
    them, drawn anew each step, and ones of earlier rounds"""
    synthesis_batch: Annotated[int, Field(ge=2)] = 256
    """images that a round makes"""
    inner_steps: Count | None = None
    """optimizer steps of a round; default: the published ratio to student steps"""
