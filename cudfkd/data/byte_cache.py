"""A cache of decoded images in the user's cache folder, because opening many small files is slow.

Each list of files has one file `images/PLACE-KEY.safetensors`. PLACE stands for the folder and the size asked for. KEY
covers the path, size and time of change of every image, so a changed folder is decoded again, and its old file goes.
The file holds a SHA-256 of its bytes. A file that is cut, altered or of another version is made again. A file that
cannot be written is left out, with a warning.
"""

import warnings
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from cudfkd.base.errors import DataError
from cudfkd.base.files import write_bytes
from cudfkd.data.class_folders import Listing
from cudfkd.data.places import cache

VERSION = 1


def cached(listing: Listing, size: int | None, make: Callable[[], Tensor]) -> Tensor:
    """Returns the images of a list from the cache, or makes them and puts them there.

    Arguments:
        listing: the files.
        size: the size asked for, see `decoded`; it is part of the cache file's name.
        make: function that decodes the images: bytes (n, channels, height, width).
    """
    file = place(listing, size)
    pixels = _read(file, len(listing.files))
    if pixels is not None:
        return pixels
    pixels = make()
    try:
        write_bytes(file, save({"pixels": pixels, "sha256": _hash(pixels)}))
    except DataError as error:
        problem = f"the cache of decoded images is left out ({error})"
        warnings.warn(f"{problem}: each start decodes the images of {listing.folder} again", stacklevel=2)
        return pixels
    for old in file.parent.glob(f"{file.name.split('-')[0]}-*"):
        if old != file:
            with suppress(OSError):
                old.unlink()
    return pixels


def place(listing: Listing, size: int | None) -> Path:
    """The cache file of a list."""
    where = sha256(f"{VERSION} {size} {listing.folder.absolute()}".encode(errors="surrogateescape")).hexdigest()
    return cache() / "images" / f"{where[:16]}-{listing.key[:32]}.safetensors"


def _read(file: Path, n: int) -> Tensor | None:
    """The images of a cache file; None if there is none, or it is not what `cached` writes."""
    try:
        content = load(file.read_bytes())
        pixels, digest = content["pixels"], content["sha256"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    complete = pixels.dtype == torch.uint8 and pixels.ndim == 4 and len(pixels) == n
    return pixels if complete and torch.equal(digest, _hash(pixels)) else None


def _hash(pixels: Tensor) -> Tensor:
    """The SHA-256 of shape and bytes, as 32 bytes."""
    digest = sha256(f"{tuple(pixels.shape)}".encode())
    digest.update(pixels.contiguous().numpy().data)
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)
