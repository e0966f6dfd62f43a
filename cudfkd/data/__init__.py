"""Data sets: their facts, their files, their normalisation. Local files come before downloads.

Distillation never sees an image of a data set. The images train teachers (split *train*) and evaluate networks (splits
*dev* and *test*). Choices are made on *dev*: about 2,000 images that are held out of the training images by a fixed
rule, which the module of each data set states. *test* is read for reported numbers only.

The splits dev and test of Fashion-MNIST ship with the package, for 28 and for 32 pixels a side. All other files are
looked for in one place, the first of these that is set:

    1. the folder `data_root`
    2. the folder that the environment variable CUDFKD_DATA names
    3. the user's cache, to which torchvision downloads missing files

If a folder is named (1 or 2), no other folder and no download replaces it. Inside the folder, files lie as published:

    fashion-mnist   train-images-idx3-ubyte.gz ...   in the folder, in fashion-mnist/ or in FashionMNIST/raw/;
                                                     fashion-mnist-32 is made of the same files
    cifar10         cifar-10-batches-py/             in the folder or in cifar10/
    cifar100        cifar-100-python/                in the folder or in cifar100/
    svhn            train_32x32.mat, test_32x32.mat  in the folder, in svhn/ or in SVHN/
    tiny-imagenet   tiny-imagenet-200/               with train/ and val/; not downloaded
"""

from pathlib import Path

from cudfkd.base import process
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
    known_source.info.name: known_source
    for known_source in (
        FashionMnist(),
        FashionMnist(FASHION_MNIST_32),
        Cifar(CIFAR10, "CIFAR10", "cifar-10-batches-py", _CIFAR10_FILES, "cifar-10-python.tar.gz"),
        Cifar(CIFAR100, "CIFAR100", "cifar-100-python", ("train", "test", "meta"), "cifar-100-python.tar.gz"),
        Svhn(),
        TinyImageNet(),
    )
}


def names() -> list[str]:
    """The names of all data sets that `load` knows, sorted."""
    return sorted(_KNOWN)


def info(name: str) -> DataInfo:
    """The facts of the data set called `name`. Raises ConfigError for an unknown name."""
    return source(name).info


def source(name: str) -> Source:
    """The source of the data set called `name`. Raises ConfigError for an unknown name."""
    if name not in _KNOWN:
        raise ConfigError(unknown("data set", name, _KNOWN))
    return _KNOWN[name]


@process.plain()
def load(name: str, split: str, data_root: str | Path | None = None) -> ImageSet:
    """Loads one split of a data set: images are float32 in [0, 1], stored as bytes; labels are int64; see `ImageSet`.

    | name             | train  | dev   | test                                          |
    |------------------|--------|-------|-----------------------------------------------|
    | fashion-mnist    | 58,000 | 2,000 | 10,000                                        |
    | fashion-mnist-32 | 58,000 | 2,000 | 10,000: fashion-mnist, padded to 32 x 32      |
    | cifar10          | 48,000 | 2,000 | 10,000                                        |
    | cifar100         | 48,000 | 2,000 | 10,000                                        |
    | svhn             | 71,257 | 2,000 | 26,032                                        |
    | tiny-imagenet    | 98,000 | 2,000 | 10,000: the validation set, which has labels  |

    Arguments:
        name: a name from `names()`.
        split: "train" (teachers only), "dev" or "test".
        data_root: folder with the files, see the module; it comes before CUDFKD_DATA and the cache.

    Raises:
        ConfigError: the name or the split is unknown.
        DataError: a file is missing, or its hash is wrong; the message names the file.
    """
    origin = source(name)
    if split not in SPLITS:
        raise ConfigError(unknown("split", split, SPLITS))
    return ImageSet(*origin.read(split, data_root))


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
