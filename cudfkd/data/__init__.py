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

cifar10 and cifar100 are also read in two other forms, from the folder or from its folder cifar10/ or cifar100/. All
forms give the same images in the same order, and the same dev:

    class folders   train/CLASS/*.png, test/CLASS/*.png
    one archive     cifar10.npz, cifar100.npz        with x_train, y_train, x_test and y_test, as Keras has them

A data set of one's own is a folder of images, named by its path in place of a name: see `cudfkd.data.folder`.
"""

from pathlib import Path

from cudfkd.base import process
from cudfkd.base.errors import ConfigError, unknown
from cudfkd.data import folder
from cudfkd.data.catalog import CIFAR10, CIFAR100, FASHION_MNIST_32, DataInfo
from cudfkd.data.cifar import Cifar
from cudfkd.data.fashion_mnist import ASSETS, FashionMnist, full_training_set
from cudfkd.data.folder import FolderInfo
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


def is_folder(name: str) -> bool:
    """Whether `name` stands for a folder of images: it is no known name, and it has a separator or is a folder."""
    return name not in _KNOWN and folder.is_path(name)


def check(name: str) -> str:
    """Returns `name`. Raises as `info`, but opens no image of a folder."""
    if is_folder(name):
        folder.has_dev(folder.home(name))
        return name
    return source(name).info.name


def info(name: str, image_size: int | None = None) -> DataInfo:
    """The facts of a data set; a `FolderInfo` for a folder of images.

    Arguments:
        name: a name from `names()`, or the path of a folder of images.
        image_size: as for `load`.

    Raises:
        ConfigError: the name is unknown, or the image size is not allowed.
        DataError: the folder or an image in it cannot be used, see `cudfkd.data.folder.about`.
    """
    if is_folder(name):
        return folder.about(folder.home(name), _size(image_size))
    about = source(name).info
    if image_size is not None:
        raise ConfigError(
            f"image_size = {image_size} is not allowed: {name} has {about.image_size} pixels a side, and only a folder"
            " of images is brought to another size"
        )
    return about


def evaluation_split(name: str) -> str:
    """The split on which choices are made: "dev"; "test" for a folder of images without dev. Raises as `info`."""
    return "test" if is_folder(name) and not folder.has_dev(folder.home(name)) else "dev"


def source(name: str) -> Source:
    """The source of the data set called `name`. Raises ConfigError for an unknown name."""
    if name not in _KNOWN:
        raise ConfigError(unknown("data set", name, _KNOWN))
    return _KNOWN[name]


@process.plain()
def load(name: str | Path, split: str, data_root: str | Path | None = None, image_size: int | None = None) -> ImageSet:
    """Loads one split of a data set: images are float32 in [0, 1], stored as bytes; labels are int64; see `ImageSet`.

    | name             | train  | dev   | test                                          |
    |------------------|--------|-------|-----------------------------------------------|
    | fashion-mnist    | 58,000 | 2,000 | 10,000                                        |
    | fashion-mnist-32 | 58,000 | 2,000 | 10,000: fashion-mnist, padded to 32 x 32      |
    | cifar10          | 48,000 | 2,000 | 10,000                                        |
    | cifar100         | 48,000 | 2,000 | 10,000                                        |
    | svhn             | 71,257 | 2,000 | 26,032                                        |
    | tiny-imagenet    | 98,000 | 2,000 | 10,000: the validation set, which has labels  |
    | a folder         | the rest | a tenth, 2,000 at most | its test/, or a tenth of all        |

    Arguments:
        name: a name from `names()`, or the path of a folder of images.
        split: "train" (teachers only), "dev" or "test".
        data_root: folder with the files, see the module; it comes before CUDFKD_DATA and the cache.
        image_size: height and width to which the images of a folder are brought; None: they stay as they are.

    Raises:
        ConfigError: the name or the split is unknown, or data_root or image_size is not for this data set.
        DataError: a file is missing or damaged, or its hash is wrong; the message names the file.
    """
    name = str(name)
    if split not in SPLITS:
        check(name)
        raise ConfigError(unknown("split", split, SPLITS))
    if not is_folder(name):
        info(name, image_size)
        return ImageSet(*source(name).read(split, data_root))
    if data_root is not None:
        raise ConfigError(f"data_root = {str(data_root)!r} is not allowed: {name} is the folder of the images itself")
    return ImageSet(*folder.read(folder.home(name), split, _size(image_size)))


def _size(image_size: int | None) -> int | None:
    if image_size is not None and (not isinstance(image_size, int) or image_size < 1):
        raise ConfigError(f"image_size = {image_size!r} is not allowed: it must be a whole number, 1 or more")
    return image_size


__all__ = [
    "ASSETS",
    "SPLITS",
    "DataInfo",
    "FolderInfo",
    "ImageSet",
    "Source",
    "check",
    "evaluation_split",
    "full_training_set",
    "info",
    "is_folder",
    "load",
    "names",
    "source",
    "unit",
    "write_idx",
]
