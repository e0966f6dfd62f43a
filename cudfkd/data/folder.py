"""A data set of one's own: a folder of images by class, which is named by its path.

    FOLDER/{train,test}/CLASS/*     dev is drawn of train
    FOLDER/test/CLASS/*             for evaluation alone: there is no train and no dev
    FOLDER/CLASS/*                  dev and test are drawn of all images, and train is the rest

dev and test are drawn by the content of the images, see `cudfkd.data.by_content`: a tenth of the images each, and 2,000
(dev) or 10,000 (test) at most. Labels follow the sorted names of the class folders, as in torchvision's ImageFolder.
The images are grey if all of them are grey. mean and std are the statistics of all pixels of the split train, rounded
to 4 decimals.
"""

import os
from collections.abc import Hashable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from cudfkd.base.errors import DataError
from cudfkd.data.by_content import hashes, held_out, order
from cudfkd.data.byte_cache import cached
from cudfkd.data.catalog import DataInfo
from cudfkd.data.class_folders import Listing, folders, listed
from cudfkd.data.decoding import coloured, decoded, several_sizes

PARTS, WHOLE = ("train", "test"), "whole"
MOST_TEST = 10_000
CHUNK = 1_024  # images that are summed up at once
_KNOWN: dict[Hashable, "FolderInfo"] = {}
"""facts of the folders that this process has read, by their states"""


@dataclass(frozen=True)
class FolderInfo(DataInfo):
    """Facts of a folder of images. mean and std are empty if it has no split train."""

    sha256: str = ""
    """hash of all images, labels and names of classes; the place of the folder and the names of files do not count"""


@dataclass(frozen=True)
class _Part:
    """One listing of the folder, "train", "test" or "whole", with its images in the order of the listing."""

    name: str
    listing: Listing
    pixels: Tensor
    labels: Tensor
    keys: list[bytes]

    @property
    def side(self) -> int:
        """Height and width of the images in pixels."""
        return self.pixels.shape[-1]

    def splits(self) -> dict[str, Tensor]:
        """The mask of each split that comes from this part."""
        if self.name == "test":
            return {"test": torch.ones(len(self.keys), dtype=torch.bool)}
        dev = held_out(self.keys, self.labels)
        if self.name == "train":
            return {"train": ~dev, "dev": dev}
        test = held_out(self.keys, self.labels, dev, MOST_TEST)
        return {"train": ~(dev | test), "dev": dev, "test": test}


def is_path(name: str) -> bool:
    """Whether the name of a data set is meant as a path: it has a separator, or there is such a folder."""
    try:
        return "/" in name or os.sep in name or (bool(name) and home(name).is_dir())
    except (OSError, ValueError):
        return False


def home(name: str | Path) -> Path:
    """The path with `~` replaced by the home folder."""
    return Path(os.path.expanduser(name))  # noqa: PTH111


def has_dev(root: Path) -> bool:
    """Whether the folder has a split dev. Raises DataError as `about`, without opening an image."""
    return set(_parts(root)) != {"test"}


def about(root: Path, size: int | None = None) -> FolderInfo:
    """Facts of the folder. All images are read, through a cache; the facts are kept while the process lasts.

    Arguments:
        root: the folder.
        size: height and width to which images are brought, see `cudfkd.data.decoding.decoded`; None: as they are.

    Raises:
        DataError: the folder is no such folder; a class is missing in a split; an image cannot be read or has another
            size; two splits share an image.
    """
    listings = _parts(root)
    return _known(root, size, listings) or _facts(root, size, listings, _read_all(listings, size))


def read(root: Path, split: str, size: int | None = None) -> tuple[UInt8[Tensor, "n channels size size"], Tensor]:
    """Reads a split: bytes and labels. Arguments and errors: as `about`; also DataError if the split has no image."""
    listings = _parts(root)
    name = WHOLE if WHOLE in listings else "test" if split == "test" else "train"
    if name not in listings:
        there = next(iter(listings))
        remedy = "evaluate on its test" if there == "test" else f"make {root}/test, or put its classes into {root}"
        raise DataError(f"{root} has {there}/ alone, and so no split {split}: {remedy}")
    facts = _known(root, size, listings)
    parts = _read_all({name: listings[name]} if facts else listings, size)
    facts = facts or _facts(root, size, listings, parts)
    (part,) = (part for part in parts if part.name == name)
    mask = part.splits()[split]
    if not mask.any():
        raise DataError(f"{root} has too few images for a split {split}: each class needs 3 or more that differ")
    chosen = order(part.keys, part.labels)
    chosen = chosen[mask[chosen]]
    pixels = part.pixels[chosen]
    return coloured(pixels) if facts.channels == 3 else pixels, part.labels[chosen]


def _parts(root: Path) -> dict[str, Listing]:
    """The listings of the folder. Raises DataError if its folders are no data set."""
    inside = folders(root)
    splits = [name for name in PARTS if name in inside]
    others = [name for name in inside if name not in PARTS]
    if splits and others:
        raise DataError(
            f"{root} holds {others[0]} beside {splits[0]}: a set has the folders train and test alone, or class folders"
            " alone"
        )
    listings = {name: listed(root / name) for name in splits} or {WHOLE: listed(root)}
    for listing in listings.values():
        if len(listing.classes) < 2:
            alone = "".join(listing.classes)
            raise DataError(f"{listing.folder} holds one class folder, {alone}: classes are 2 or more")
    _refuse_other_classes(list(listings.values()))
    return listings


def _refuse_other_classes(listings: list[Listing]) -> None:
    for first, other in zip(listings, reversed(listings), strict=True):
        lacking = [name for name in first.classes if name not in other.classes]
        if lacking:
            raise DataError(
                f"{other.folder} lacks the class folder {lacking[0]}, which {first.folder} has: both need the same"
            )


def _known(root: Path, size: int | None, listings: dict[str, Listing]) -> FolderInfo | None:
    """The facts of this state of the folder, if this process knows them."""
    return _KNOWN.get(_state(root, size, listings))


def _state(root: Path, size: int | None, listings: dict[str, Listing]) -> Hashable:
    return root.absolute(), size, tuple((name, listing.key) for name, listing in listings.items())


def _read_all(listings: dict[str, Listing], size: int | None) -> list[_Part]:
    return [_part(name, listing, size) for name, listing in listings.items()]


def _facts(root: Path, size: int | None, listings: dict[str, Listing], parts: list[_Part]) -> FolderInfo:
    """Makes the facts of the folder from all its parts, checks that the parts fit together, and keeps the facts."""
    first, last = parts[0], parts[-1]
    if first.side != last.side:
        paths = [part.listing.path(0) for part in (first, last)]
        raise DataError(several_sizes(paths[0], (first.side, first.side), paths[1], (last.side, last.side)))
    if first is not last:
        _refuse_shared(first, last)
    channels, classes, name = max(part.pixels.shape[1] for part in parts), first.listing.classes, root.absolute().name
    mean, std = _statistics(first, channels)
    facts = FolderInfo(
        name=f"{name}/", num_classes=len(classes), channels=channels, image_size=first.side, mean=mean, std=std,
        classes=classes, source=f"a folder of images, {name}", licence="not known here",
        sha256=_content(parts, channels, classes),
    )  # fmt: skip
    _KNOWN[_state(root, size, listings)] = facts
    return facts


def _part(name: str, listing: Listing, size: int | None) -> _Part:
    pixels, labels = cached(listing, size, lambda: decoded(listing, size)), torch.tensor(listing.numbers)
    return _Part(name, listing, pixels, labels, hashes(pixels))


def _refuse_shared(first: _Part, other: _Part) -> None:
    shared = sorted(set(first.keys) & set(other.keys))
    if shared:
        paths = [part.listing.path(part.keys.index(shared[0])) for part in (first, other)]
        count = f", and {len(shared) - 1} more" if len(shared) > 1 else ""
        raise DataError(f"{paths[0]} and {paths[1]} are one image in two splits{count}: remove it from one of them")


def _statistics(part: _Part, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of the pixels of the split train, from sums of whole numbers, so that they are the same everywhere.

    A channel of one shade gets the std 1.
    """
    mask = part.splits().get("train")
    if mask is None:
        return (), ()
    sums, squares = torch.zeros(2, part.pixels.shape[1], dtype=torch.int64)
    for images, chosen in zip(part.pixels.split(CHUNK), mask.split(CHUNK), strict=True):
        values = images[chosen].int()
        sums += values.sum((0, 2, 3))
        squares += (values * values).sum((0, 2, 3))
    count, mean, std = int(mask.sum()) * part.side**2, [], []
    for total, square in zip(sums.tolist(), squares.tolist(), strict=True):
        mean.append(round(total / count / 255, 4))
        std.append(round(((square * count - total * total) ** 0.5) / count / 255, 4) or 1.0)
    repeats = channels // len(mean)
    return tuple(mean * repeats), tuple(std * repeats)


def _content(parts: list[_Part], channels: int, classes: tuple[str, ...]) -> str:
    digest = sha256(repr((channels, parts[0].side, classes)).encode(errors="surrogateescape"))
    for part in parts:
        chosen = order(part.keys, part.labels)
        keys = b"".join(part.keys[i] for i in chosen.tolist())
        digest.update(part.name.encode() + keys + part.labels[chosen].numpy().tobytes())
    return digest.hexdigest()
