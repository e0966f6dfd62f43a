"""Random changes of images that keep their class: differentiable, a draw for each image, from the run's generator."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from cudfkd.base.errors import ConfigError
from cudfkd.runs.context import Context

Images = Float[Tensor, "batch channels size size"]


def require_padding(ctx: Context, pixels: int) -> None:
    """Raises ConfigError when a shift by so many pixels could push the whole image out of the frame."""
    if pixels >= ctx.shape.image_size:
        size = ctx.shape.image_size
        raise ConfigError(f"crop_padding = {pixels} is not allowed: the images have {size} pixels, it must be less")


def shift_and_mirror(ctx: Context, images: Images, pixels: int) -> Images:
    """Shifts by whole pixels, up to `pixels` each way, black moving in; mirrored left to right with probability 1/2.

    The same as a random crop of the image padded by `pixels`.
    """
    n, size = len(images), images.shape[-1]
    offset = torch.stack([ctx.integers(2 * pixels + 1, n), ctx.integers(2 * pixels + 1, n)], 1) - pixels
    sign = 1.0 - 2.0 * ctx.integers(2, n)
    return _sample(images, sign, torch.ones_like(sign), 2 * offset.to(images.dtype) / size, mode="nearest")


def resized_crop(ctx: Context, images: Images, smallest: float) -> Images:
    """A square part of the image, of area `smallest` to 1 of the whole, back at full size; mirrored half the time.

    The published crops also change the ratio of the sides (3/4 to 4/3); these are square.
    """
    n = len(images)
    scale = (smallest + (1 - smallest) * ctx.uniform(n)).sqrt()
    centre = (2 * ctx.uniform(n, 2) - 1) * (1 - scale)[:, None]
    return _sample(images, 1.0 - 2.0 * ctx.integers(2, n), scale, centre, mode="bilinear")


def roll_and_mirror(ctx: Context, images: Images, pixels: int) -> Images:
    """The whole batch rolled by up to `pixels` each way and mirrored half the time, as DeepInversion's jitter.

    On a GPU no number is read by the host: the roll is an index.
    """
    size = images.shape[-1]
    axis = torch.arange(size, device=images.device)
    rows, columns = ((axis + shift - pixels) % size for shift in ctx.integers(2 * pixels + 1, 2))
    columns = torch.where(ctx.integers(2, 1) == 1, columns.flip(0), columns)
    return images[:, :, rows][:, :, :, columns]


def _sample(images: Tensor, sign: Tensor, scale: Tensor, offset: Tensor, mode: str) -> Tensor:
    """Looks up, for each pixel at (x, y) in [-1, 1]^2, the image at (sign scale x + offset, scale y + offset)."""
    zero = torch.zeros_like(scale)
    rows = torch.stack([sign * scale, zero, offset[:, 0], zero, scale, offset[:, 1]], 1)
    grid = affine_grid(rows.view(-1, 2, 3).to(images.dtype), list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode=mode, align_corners=False)
