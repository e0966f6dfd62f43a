"""Images in memory: bytes as long as possible, float32 in [0, 1] when they are looked at."""

import torch
from jaxtyping import Bool, Float, Integer, UInt8
from torch import Tensor
from torch.utils.data import TensorDataset


class ImageSet(TensorDataset):
    """Pairs of an image, float32 in [0, 1] of shape (channels, size, size), and a label, int64.

    Kept are bytes, a quarter of the memory: 1.2 GB rather than 4.9 GB for Tiny-ImageNet's training images. `tensors` is
    all of it as float32, made anew at each access: take it once. For the large sets take batches from `pixels` and
    `labels` instead, and turn each into floats with `unit`.
    """

    def __init__(self, pixels: UInt8[Tensor, "n channels height width"], labels: Integer[Tensor, " n"]) -> None:
        self.pixels, self.labels = pixels, labels.long()

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """All images, float32 in [0, 1], and all labels, int64."""
        return unit(self.pixels), self.labels

    def __getitem__(self, index) -> tuple[Tensor, Tensor]:
        return unit(self.pixels[index]), self.labels[index]

    def __len__(self) -> int:
        return len(self.labels)


def unit(pixels: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Bytes as float32 in [0, 1]."""
    return pixels.float().div_(255)


def held_out(n: int, every: int, block: int = 1) -> Bool[Tensor, " {n}"]:
    """Which of n training images are *dev*: of every `every` blocks of `block` images in a row, the first."""
    return (torch.arange(n) // block) % every == 0
