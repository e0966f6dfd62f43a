"""The student's batch of images, and the real images from which the reference methods draw their batches."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from cudfkd.boundary.images import Images
from cudfkd.data.images import to_bytes, unit


class StudentBatch(NamedTuple):
    """A batch for the student.

    images: images without gradient, in [0, 1] or beyond it if the generator's output is.
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
    def of(cls, images: Images, device: torch.device) -> "TrainingImages":
        """Puts images on the device, as bytes."""
        pixels = images.pixels.to(device)
        return cls(to_bytes(pixels) if pixels.is_floating_point() else pixels, images.labels.to(device))

    def at(self, index: Int[Tensor, " batch"]) -> StudentBatch:
        """Returns the batch of the images with the numbers in `index`."""
        return StudentBatch(unit(self.pixels[index]), self.labels[index])
