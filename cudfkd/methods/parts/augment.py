"""Random changes of images that keep their class.

All changes are differentiable. All random numbers come from the run's generator, and the order of the draws decides
them.
"""

from math import log

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from cudfkd.base.errors import ConfigError
from cudfkd.runs.context import Context

Images = Float[Tensor, "batch channels size size"]


def require_padding(ctx: Context, pixels: int) -> None:
    """Raises ConfigError when a shift by `pixels` pixels could push the whole image out of the frame."""
    if pixels >= ctx.shape.image_size:
        size = ctx.shape.image_size
        raise ConfigError(f"crop_padding = {pixels} is not allowed: the images have {size} pixels, it must be less")


def shift_and_mirror(ctx: Context, images: Images, pixels: int) -> Images:
    """Shifts each image by whole pixels, up to `pixels` each way, and mirrors it left to right with probability 1/2.

    Black pixels fill the free border. This equals a random crop of the image after padding by `pixels`. Shift and
    mirroring are drawn for each image.
    """
    n, size = len(images), images.shape[-1]
    offset = torch.stack([ctx.integers(2 * pixels + 1, n), ctx.integers(2 * pixels + 1, n)], 1) - pixels
    sign = 1.0 - 2.0 * ctx.integers(2, n)
    return _sample(images, sign, torch.ones(n, 2).to(sign), 2 * offset.to(images.dtype) / size, mode="nearest")


def resized_crop(ctx: Context, images: Images, smallest: float) -> Images:
    """Crops a random box of each image, scales it to full size, and mirrors it with probability 1/2.

    The area of the box is a share of `smallest` to 1 of the image. Its width is 3/4 to 4/3 of its height; the logarithm
    of this ratio is uniform. A side longer than the image is cut to the image. Area, ratio, place and mirroring are
    drawn for each image, in this order.
    """
    n = len(images)
    area = smallest + (1 - smallest) * ctx.uniform(n)
    ratio = ((2 * ctx.uniform(n) - 1) * log(4 / 3)).exp()
    sides = torch.stack([area * ratio, area / ratio], 1).sqrt().clamp(max=1)
    centre = (2 * ctx.uniform(n, 2) - 1) * (1 - sides)
    return _sample(images, 1.0 - 2.0 * ctx.integers(2, n), sides, centre, mode="bilinear")


def roll_and_mirror(ctx: Context, images: Images, pixels: int) -> Images:
    """Rolls the batch by up to `pixels` each way and mirrors it with probability 1/2, as the jitter of DeepInversion.

    Roll and mirroring are drawn once for the batch. The roll is an index, so the host reads no number from a GPU.
    """
    size = images.shape[-1]
    axis = torch.arange(size, device=images.device)
    rows, columns = ((axis + shift - pixels) % size for shift in ctx.integers(2 * pixels + 1, 2))
    columns = torch.where(ctx.integers(2, 1) == 1, columns.flip(0), columns)
    return images[:, :, rows][:, :, :, columns]


def _sample(images: Tensor, sign: Tensor, sides: Tensor, offset: Tensor, mode: str) -> Tensor:
    """Samples each image at (sign width x + offset, height y + offset) for the pixels (x, y) in [-1, 1]^2.

    A row of `sides` is (width, height). Outside of the image, mode "nearest" finds black; mode "bilinear" finds the
    nearest pixel of the border.
    """
    zero = torch.zeros_like(sign)
    rows = torch.stack([sign * sides[:, 0], zero, offset[:, 0], zero, sides[:, 1], offset[:, 1]], 1)
    grid = affine_grid(rows.view(-1, 2, 3).to(images.dtype), list(images.shape), align_corners=False)
    padding = "zeros" if mode == "nearest" else "border"
    return grid_sample(images, grid, mode=mode, padding_mode=padding, align_corners=False)
