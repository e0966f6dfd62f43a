"""The student's batch of images, and the real images from which the reference methods draw their batches."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from cudfkd.boundary.images import as_tensors
from cudfkd.data import ImageSet
from cudfkd.data.images import unit


class StudentBatch(NamedTuple):
    """A batch for the student.

    images: images in [0, 1], without gradient.
    labels: labels of real images; None for made images.
    teacher_logits: the teacher's logits, if the images were labelled when they were made; else None.
    """

    images: Float[Tensor, "batch channels size size"]
    labels: Int[Tensor, " batch"] | None = None
    teacher_logits: Float[Tensor, "batch classes"] | None = None


class TrainingImages(NamedTuple):
    """Real images and their labels, on the device.

    pixels: images as bytes.
    labels: label of each image.
    """

    pixels: UInt8[Tensor, "n channels size size"]
    labels: Int[Tensor, " n"]

    @classmethod
    def of(cls, dataset: Dataset, device: torch.device) -> "TrainingImages":
        """Reads the images of a data set of (image in [0, 1], label).

        Raises:
            ConfigError: the data set is empty or has no such pairs.
        """
        if isinstance(dataset, ImageSet):
            return cls(dataset.pixels.to(device), dataset.labels.to(device))
        images, labels = as_tensors(dataset)
        return cls(to_bytes(images.to(device)), labels.to(device))

    def at(self, index: Int[Tensor, " batch"]) -> StudentBatch:
        """Returns the batch of the images with the numbers in `index`."""
        return StudentBatch(unit(self.pixels[index]), self.labels[index])


def to_bytes(images: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Rounds images in [0, 1] to bytes, 256 values as in an image file: a quarter of the memory."""
    return (images * 255).round().clamp(0, 255).to(torch.uint8)
