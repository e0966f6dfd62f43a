"""Images of files as bytes, through Pillow. All images of a split get one mode: grey if all of them are grey.

A grey image of a coloured split has three equal channels. An image with transparency is taken if no pixel of it is
transparent.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from cudfkd.base.errors import DataError
from cudfkd.data.class_folders import Listing

GREY, COLOUR = {"1", "L", "LA"}, {"RGB", "RGBA", "P", "PA", "CMYK", "YCbCr"}
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


def decoded(listing: Listing, size: int | None = None) -> UInt8[Tensor, "n channels size size"]:
    """Reads the images of a list, in its order.

    Arguments:
        listing: the files.
        size: height and width in pixels. Of other images, the shorter side is brought to `size` and the centre is
            kept, by the filter of torchvision's `Resize` and `CenterCrop`. None: all images have one size and are
            squares.

    Raises:
        DataError: a file is no whole image, has an unknown mode or transparent pixels; or without `size`, the images
            have several sizes or are no squares.
    """
    pixels, expected = torch.empty(0), None
    for index in range(len(listing.files)):
        path = listing.path(index)
        image = _array(path, size)
        if expected is None:
            expected = image.shape[:2]
            _refuse_oblong(path, expected)
            pixels = torch.empty(len(listing.files), image.shape[2], *expected, dtype=torch.uint8)
        elif image.shape[:2] != expected:
            raise DataError(several_sizes(listing.path(0), expected, path, image.shape[:2]))
        if image.shape[2] > pixels.shape[1]:  # the first image with colours
            pixels = coloured(pixels)
        pixels[index] = torch.from_numpy(image).permute(2, 0, 1)
    return pixels


def coloured(pixels: UInt8[Tensor, "n channels size size"]) -> UInt8[Tensor, "n 3 size size"]:
    """Images with three channels: the three of a grey image are equal."""
    return pixels.repeat(1, 3, 1, 1) if pixels.shape[1] == 1 else pixels


def several_sizes(one: Path, shape: tuple[int, ...], other: Path, other_shape: tuple[int, ...]) -> str:
    """The error line for two images of different sizes. Shapes are (height, width)."""
    sizes = f"{one} has {shape[1]} x {shape[0]} pixels, and {other} has {other_shape[1]} x {other_shape[0]}"
    return f"{sizes}: bring all images to one size, or ask for one with --image-size (image_size)"


def _array(path: Path, size: int | None) -> np.ndarray:
    """The bytes of an image, (height, width, 1 or 3)."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            picture.load()
            image = _plain(path, picture)
            if size is not None and image.size != (size, size):
                image = _resized(image, size)
            array = np.asarray(image)
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is no image that Pillow reads: copy it again, or remove it") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        why = " ".join(str(error).split())
        raise DataError(f"{path} is no whole image ({why}): copy it again, or remove it") from error
    return array.copy() if array.ndim == 3 else array[:, :, None].copy()


def _plain(path: Path, picture: Image.Image) -> Image.Image:
    """The image in the mode L or RGB."""
    if picture.mode not in GREY | COLOUR:
        raise DataError(
            f"{path} has the mode {picture.mode} of Pillow: convert it to 8 bits a channel, grey (L) or colour (RGB)"
        )
    if picture.has_transparency_data and picture.convert("RGBA").getextrema()[3][0] < 255:  # type: ignore[index]
        raise DataError(f"{path} has transparent pixels: convert it to grey (L) or colour (RGB) on a background")
    return picture.convert("L" if picture.mode in GREY else "RGB")


def _resized(image: Image.Image, size: int) -> Image.Image:
    scale = size / min(image.size)
    width, height = (max(size, int(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def _refuse_oblong(path: Path, shape: tuple[int, ...]) -> None:
    if shape[0] != shape[1]:
        raise DataError(
            f"{path} has {shape[1]} x {shape[0]} pixels: networks take squares, so ask for a size with --image-size"
            " (image_size)"
        )
