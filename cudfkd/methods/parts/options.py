"""Settings that several methods share, and types of settings."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cudfkd.base.validation import Described
from cudfkd.models.generator import Output as Output

Weight = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]

Loss = Literal["kl", "l1", "l2", "js"]
Schedule = Literal["constant", "cosine"]
Mode = Literal["train", "eval"]
Store = Literal["fresh", "same", "step", "again", "pool", "mixture"]


class StoreOptions(Described):
    """Settings of the store: where the student's batches come from."""

    store: Store = "fresh"
    """fresh: new images for every step; same: one new batch for all steps of a round; step: the images of the
    generator's last step, for all steps of a round; again: images that the generator makes again of that step's
    latents, after the step; pool: images drawn from all images made so far; mixture: fresh images and images of
    earlier rounds"""
    memory_size: Count | None = None
    """number of newest images that a pool or mixture keeps; default: all images of the run"""
    memory_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """share of images of earlier rounds in a batch of a mixture"""
    augment: bool = True
    """whether to shift and mirror the images of a pool at random"""


class GeneratorOptions(StoreOptions):
    """Settings of a generator and its Adam. The default sizes fit the small networks that ship with the package."""

    later: ClassVar = {"generator_output": "sigmoid", "sampling_mode": "eval"}

    latent_dim: Count = 64
    """length of the generator's latent vectors"""
    generator_width: Count = 8
    """channels before the generator's last convolution"""
    generator_lr: Positive = 1e-2
    """learning rate of the generator's Adam"""
    generator_schedule: Schedule = "constant"
    """cosine: generator_lr falls along half a cosine to 0 over the run, with the student's rate, so that both networks
    settle; constant: generator_lr stays the same"""
    generator_steps: Count = 1
    """steps of the generator in a round"""
    generator_output: Output = "sigmoid"
    """end of the generator: sigmoid: images in [0, 1]; standardised: tanh and BatchNorm without scale, mean 0 and
    variance 1 in the teacher's units; scaled: BatchNorm with scale, in the teacher's units"""
    sampling_mode: Mode = "eval"
    """mode of the generator while it makes images for the student: train: BatchNorm uses the statistics of the batch;
    eval: BatchNorm uses its running averages"""


class StandardisedOptions(GeneratorOptions):
    """Settings of a generator in the teacher's units that is always in train mode, as DAFL, DFAD and others have it."""

    generator_output: Output = "standardised"
    """end of the generator: standardised: tanh and BatchNorm without scale, mean 0 and variance 1 in the teacher's
    units (published); sigmoid: images in [0, 1]; scaled: BatchNorm with scale, in the teacher's units"""
    sampling_mode: Mode = "train"
    """mode of the generator while it makes images for the student: train: BatchNorm uses the statistics of the batch
    (published); eval: BatchNorm uses its running averages"""


class ImageOptions(StoreOptions):
    """Settings of a method that makes a batch of images a round, by inner steps, and keeps it."""

    store: Store = "pool"
    """pool: images drawn from all images made so far; same: batch_size random images of the round, for all its steps;
    mixture: random images of the round, drawn anew for each step, and images of earlier rounds; fresh, step and again
    are not possible"""
    synthesis_batch: Annotated[int, Field(ge=2)] = 256
    """number of images that a round makes"""
    inner_steps: Count | None = None
    """optimizer steps of a round; default: the student steps of a round times the published ratio"""
