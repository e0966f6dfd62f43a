"""What a student studies: a batch of images, and the real images that the references draw theirs from."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from cudfkd.data import ImageSet
from cudfkd.data.foreign import as_tensors
from cudfkd.data.images import unit


class StudentBatch(NamedTuple):
    """A batch for the student: images in [0, 1] without gradient; what is known of them already.

    labels: of real images. teacher_logits: where the images were made and labelled together.
    """

    images: Float[Tensor, "batch channels size size"]
    labels: Int[Tensor, " batch"] | None = None
    teacher_logits: Float[Tensor, "batch classes"] | None = None


class TrainingImages(NamedTuple):
    """Real images as bytes, on the device, with their labels."""

    pixels: UInt8[Tensor, "n channels size size"]
    labels: Int[Tensor, " n"]

    @classmethod
    def of(cls, dataset: Dataset, device: torch.device) -> "TrainingImages":
        """The images of a data set of (image in [0, 1], label). Raises ConfigError if it is empty or no such set."""
        if isinstance(dataset, ImageSet):
            return cls(dataset.pixels.to(device), dataset.labels.to(device))
        images, labels = as_tensors(dataset)
        return cls(to_bytes(images.to(device)), labels.to(device))

    def at(self, index: Int[Tensor, " batch"]) -> StudentBatch:
        """The images of these numbers."""
        return StudentBatch(unit(self.pixels[index]), self.labels[index])


def to_bytes(images: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Images in [0, 1] as bytes, each value to the nearest of 256: a quarter of the memory, as in an image file."""
    return (images * 255).round().clamp(0, 255).to(torch.uint8)
