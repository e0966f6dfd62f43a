"""Random changes of training images: shifts and mirroring."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import pad

from cudfkd import data


def augmented(
    pixels: UInt8[Tensor, "batch channels size size"], how: str, rng: torch.Generator
) -> Float[Tensor, "batch channels size size"]:
    """Converts bytes to images in [0, 1], with the random changes that `how` names, see `Recipe.augment`."""
    if how in ("crop", "shift"):
        pixels = shift(pixels, pixels.shape[-1] // 8, rng)
    images = data.unit(pixels)
    return flip(images, rng) if how in ("crop", "mirror") else images


def shift(
    pixels: UInt8[Tensor, "batch channels size size"], most: int, rng: torch.Generator
) -> UInt8[Tensor, "batch channels size size"]:
    """Moves each image by up to `most` pixels in each direction; the new border is black.

    It is a crop of the image after padding by `most`, with zeros and not with mirrored pixels, as in He et al. (2016).
    """
    n, size = len(pixels), pixels.shape[-1]
    corners = torch.randint(2 * most + 1, (2, n, 1), generator=rng, device=pixels.device)
    rows, columns = corners + torch.arange(size, device=pixels.device)
    image = torch.arange(n, device=pixels.device)[:, None, None]
    channels_last = pad(pixels, [most] * 4)[image, :, rows[:, :, None], columns[:, None, :]]
    return channels_last.permute(0, 3, 1, 2)


def flip(images: Float[Tensor, "batch channels height width"], rng: torch.Generator) -> Tensor:
    """Mirrors each image left to right with probability 1/2."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=rng, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)
