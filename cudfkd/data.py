"""Data sets: what they are, where they lie, how they are normalised. Offline first.

Distillation never sees an image of these: they train teachers (split *train*) and evaluate (splits *dev* and *test*).
Choices are made on *dev*: training image i belongs to it when 30 divides i, which makes 2,000 of the 60,000 of
Fashion-MNIST. *test* is read for reported numbers only. Dev and test ship with the package; *train* is looked for in
`data_root`, else in the folder that the environment variable CUDFKD_DATA names, else where Debian's package
dataset-fashion-mnist puts it, else it is downloaded by torchvision into the user's cache.
"""

import gzip
import os
import zlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from cudfkd.errors import ConfigError, DataError, unknown

ASSETS = Path(__file__).parent / "assets"
SPLITS = ("train", "dev", "test")
DEV_EVERY = 30


@dataclass(frozen=True)
class DataInfo:
    """What a data set is. mean and std are those of the training images in [0, 1], a number a channel."""

    name: str
    num_classes: int
    channels: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    source: str
    licence: str


FASHION_MNIST = DataInfo(
    name="fashion-mnist",
    num_classes=10,
    channels=1,
    image_size=28,
    mean=(0.2860,),
    std=(0.3530,),
    classes=("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    source="Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), github.com/zalandoresearch/fashion-mnist",
    licence="MIT, Copyright (c) 2017 Zalando SE",
)
_KNOWN = {FASHION_MNIST.name: FASHION_MNIST}

# SHA-256 of the uncompressed idx files: the compressed ones differ from one distributor to the next.
_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "dev-images-idx3-ubyte": "fc65ba84a80f53fa98f7b8a2d1fe3d09a036101c319b35b7289c3cd4fabb5a6a",
    "dev-labels-idx1-ubyte": "24d8db230e50a8861c4322cd2c0c926747794abeb9f99955df5962204052dd49",
}


def names() -> list[str]:
    """The data sets that `load` knows."""
    return sorted(_KNOWN)


def info(name: str) -> DataInfo:
    """What the data set called `name` is. Raises ConfigError for an unknown name."""
    if name not in _KNOWN:
        raise ConfigError(unknown("data set", name, _KNOWN))
    return _KNOWN[name]


def load(name: str, split: str, data_root: str | Path | None = None) -> TensorDataset:
    """One split of a data set, as (images, labels): float32 in [0, 1] of shape (n, channels, size, size), and int64.

    Arguments:
        name: one of `names()`.
        split: "train" (58,000 images, teachers only), "dev" (2,000) or "test" (10,000).
        data_root: folder with the idx files (or with torchvision's FashionMNIST/raw inside); wins over everything.

    Raises:
        ConfigError: unknown name or split.
        DataError: the files cannot be found or are not what their hash says.
    """
    info(name)
    if split not in SPLITS:
        raise ConfigError(unknown("split", split, SPLITS))
    if split == "train":
        images, labels = full_training_set(data_root)
        keep = torch.arange(len(labels)) % DEV_EVERY != 0
        images, labels = images[keep], labels[keep]
    else:
        images, labels = _read_pair(ASSETS / name, {"dev": "dev", "test": "t10k"}[split])
    return TensorDataset(images.unsqueeze(1).float() / 255, labels.long())


def full_training_set(data_root: str | Path | None = None) -> tuple[Tensor, Tensor]:
    """All 60,000 training images of Fashion-MNIST (uint8, (n, 28, 28)) and labels, dev included; see `load`."""
    return _read_pair(_find(data_root), "train")


def write_idx(path: Path, array: np.ndarray) -> None:
    """Writes a uint8 array as a gzipped idx file, the same bytes every time."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">i4").tobytes()
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), compresslevel=9, mtime=0))


def _find(data_root: str | Path | None) -> Path:
    asked = data_root or os.environ.get("CUDFKD_DATA")
    if asked:
        places = [Path(asked), Path(asked) / "fashion-mnist", Path(asked) / "FashionMNIST" / "raw"]
    else:
        places = [Path("/usr/share/datasets/fashion-mnist"), _cache() / "FashionMNIST" / "raw"]
    for place in places:
        if _present(place, "train-images-idx3-ubyte"):
            return place
    if asked:
        raise DataError(f"no train-images-idx3-ubyte(.gz) in {asked}: put the four Fashion-MNIST idx files there")
    return _download()


def _download() -> Path:
    from torchvision.datasets import FashionMNIST

    try:
        FashionMNIST(str(_cache()), train=True, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            "the Fashion-MNIST training images are not here and could not be downloaded: install Debian's package"
            " dataset-fashion-mnist, or name a folder that holds the idx files with --data-root or CUDFKD_DATA"
        ) from error
    return _cache() / "FashionMNIST" / "raw"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cudfkd"


def _present(folder: Path, stem: str) -> Path | None:
    candidates = (folder / f"{stem}.gz", folder / stem)
    return next((path for path in candidates if path.is_file()), None)


def _read_pair(folder: Path, prefix: str) -> tuple[Tensor, Tensor]:
    return _read(folder, f"{prefix}-images-idx3-ubyte"), _read(folder, f"{prefix}-labels-idx1-ubyte")


def _read(folder: Path, stem: str) -> Tensor:
    path = _present(folder, stem)
    if path is None:
        raise DataError(f"{stem}.gz is missing from {folder}: reinstall cudfkd, or name a complete folder")
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): fetch the file again") from error
    if sha256(content).hexdigest() != _SHA256[stem]:
        raise DataError(f"{path} is not the published file (its SHA-256 differs): fetch the file again")
    dimensions = content[3]
    shape = np.frombuffer(content, dtype=">i4", count=dimensions, offset=4).astype(int)
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape).copy())
