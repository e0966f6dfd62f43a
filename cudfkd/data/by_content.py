"""Order and *dev* by the content of images: the same on every machine, and the same in every form of the files.

Each image has the SHA-256 of its bytes, channel by channel. Names, order and folders of the files do not count. The
images of a split stand in the order of these hashes, so no class comes first. An image that stands in a split twice is
never held out: else its twin, which may have another label, would stay in train.
"""

from collections import Counter
from hashlib import sha256

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

SHARE, MOST = 10, 2_000
"""*dev* is a tenth of the training images, and 2,000 images at most."""


def hashes(pixels: UInt8[Tensor, "n channels height width"]) -> list[bytes]:
    """The SHA-256 of each image: 32 bytes."""
    size = pixels[0].numel() if len(pixels) else 1
    content = pixels.contiguous().numpy().reshape(-1).data
    return [sha256(content[start : start + size]).digest() for start in range(0, size * len(pixels), size)]


def order(keys: list[bytes], labels: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """The indices of images in the order of their hashes; images with one hash are in the order of their labels."""
    numbers = labels.tolist()
    return torch.tensor(sorted(range(len(keys)), key=lambda i: (keys[i], numbers[i])), dtype=torch.int64)


def held_out(
    keys: list[bytes], labels: Int64[Tensor, " n"], taken: Bool[Tensor, " n"] | None = None, most: int = MOST
) -> Bool[Tensor, " n"]:
    """A mask of the images that are held out: in each class, the images with the smallest hashes.

    All classes give the same share, rounded down, but at least one image. Each class keeps at least one image.

    Arguments:
        keys: hash of each image.
        labels: class of each image.
        taken: mask of images that are held out already, for another split; None: no image is.
        most: largest number of images. The share is 1 / `SHARE` of all images where this is fewer.
    """
    total, often = min(most, len(keys) // SHARE), Counter(keys)
    taken = torch.zeros(len(keys), dtype=torch.bool) if taken is None else taken
    free: dict[int, list[int]] = {}
    for image, (label, gone) in enumerate(zip(labels.tolist(), taken.tolist(), strict=True)):
        if not gone:
            free.setdefault(label, []).append(image)
    sizes, mask = Counter(labels.tolist()), torch.zeros(len(keys), dtype=torch.bool)
    for label, images in free.items():
        wanted = min(max(1, total * sizes[label] // len(keys)), len(images) - 1)
        once = sorted((image for image in images if often[keys[image]] == 1), key=lambda image: keys[image])
        mask[once[:wanted]] = True
    return mask
