"""Data sets: what they are, where they lie, how they are normalised. Offline first.

Distillation never sees an image of these: they train teachers (split *train*) and evaluate (splits *dev* and *test*).
Choices are made on *dev*, about 2,000 images that are held out of the training images by a fixed rule, which each set's
module states. *test* is read for reported numbers only.

Fashion-MNIST's dev and test ship with the package, for 28 and for 32 pixels a side. All else is looked for in
`data_root`, else in the folder that the environment variable CUDFKD_DATA names, else in the user's cache, to which
torchvision downloads it. A folder that was asked for is never replaced by another or by a download. Inside it the sets
lie as they are published:

    fashion-mnist   train-images-idx3-ubyte.gz ...   here, in fashion-mnist/ or in FashionMNIST/raw/;
                                                     fashion-mnist-32 is made of the same files
    cifar10         cifar-10-batches-py/             here or in cifar10/
    cifar100        cifar-100-python/                here or in cifar100/
    svhn            train_32x32.mat, test_32x32.mat  here, in svhn/ or in SVHN/
    tiny-imagenet   tiny-imagenet-200/               with train/ and val/; not downloaded
"""

from pathlib import Path

from cudfkd.base.errors import ConfigError, unknown
from cudfkd.data.catalog import CIFAR10, CIFAR100, FASHION_MNIST_32, DataInfo
from cudfkd.data.cifar import Cifar
from cudfkd.data.fashion_mnist import ASSETS, FashionMnist, full_training_set
from cudfkd.data.idx import write_idx
from cudfkd.data.images import ImageSet, unit
from cudfkd.data.source import SPLITS, Source
from cudfkd.data.svhn import Svhn
from cudfkd.data.tiny_imagenet import TinyImageNet

_CIFAR10_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
_KNOWN: dict[str, Source] = {
    one.info.name: one
    for one in (
        FashionMnist(),
        FashionMnist(FASHION_MNIST_32),
        Cifar(CIFAR10, "CIFAR10", "cifar-10-batches-py", _CIFAR10_FILES, "cifar-10-python.tar.gz"),
        Cifar(CIFAR100, "CIFAR100", "cifar-100-python", ("train", "test", "meta"), "cifar-100-python.tar.gz"),
        Svhn(),
        TinyImageNet(),
    )
}


def names() -> list[str]:
    """The data sets that `load` knows."""
    return sorted(_KNOWN)


def info(name: str) -> DataInfo:
    """What the data set called `name` is. Raises ConfigError for an unknown name."""
    return source(name).info


def source(name: str) -> Source:
    """Where the data set called `name` comes from. Raises ConfigError for an unknown name."""
    if name not in _KNOWN:
        raise ConfigError(unknown("data set", name, _KNOWN))
    return _KNOWN[name]


def load(name: str, split: str, data_root: str | Path | None = None) -> ImageSet:
    """One split of a data set, kept as bytes and given as float32 in [0, 1] with int64 labels; see `ImageSet`.

    | name             | train  | dev   | test                                          |
    |------------------|--------|-------|-----------------------------------------------|
    | fashion-mnist    | 58,000 | 2,000 | 10,000                                        |
    | fashion-mnist-32 | 58,000 | 2,000 | 10,000: the same, padded to 32 x 32           |
    | cifar10          | 48,000 | 2,000 | 10,000                                        |
    | cifar100         | 48,000 | 2,000 | 10,000                                        |
    | svhn             | 71,257 | 2,000 | 26,032                                        |
    | tiny-imagenet    | 98,000 | 2,000 | 10,000: its validation set, the labelled one  |

    Arguments:
        name: one of `names()`.
        split: "train" (teachers only), "dev" or "test".
        data_root: folder with the files, see the module; wins over everything.

    Raises:
        ConfigError: unknown name or split.
        DataError: the files cannot be found, or are not what their hash says; the line names the file.
    """
    found = source(name)
    if split not in SPLITS:
        raise ConfigError(unknown("split", split, SPLITS))
    return ImageSet(*found.read(split, data_root))


__all__ = [
    "ASSETS",
    "SPLITS",
    "DataInfo",
    "ImageSet",
    "Source",
    "full_training_set",
    "info",
    "load",
    "names",
    "source",
    "unit",
    "write_idx",
]
