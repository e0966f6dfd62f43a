"""Normalisation, (x - mean) / std: from images in [0, 1] to the inputs of networks."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Computes (x - mean) / std, with one mean and one std per channel. None stands for mean 0 and std 1.

    mean: mean of each channel.
    std: standard deviation of each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> None:
        super().__init__()
        for name, numbers in (("mean", mean or (0.0,)), ("std", std or (1.0,))):
            self.register_buffer(
                name, torch.tensor(numbers, dtype=torch.get_default_dtype()).view(1, -1, 1, 1), persistent=False
            )

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def inverse(self, x: Tensor) -> Tensor:
        """Computes images from inputs of networks: x std + mean."""
        return x * self.std + self.mean


class Denormalize(Normalize):
    """Computes x std + mean: from inputs of networks back to images."""

    def forward(self, images: Tensor) -> Tensor:
        return self.inverse(images)
