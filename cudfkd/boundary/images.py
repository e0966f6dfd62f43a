"""Data sets of users, read as tensors, and the numbers that normalise their images.

A data set gives a pair of an image in [0, 1] and a label for each index, or is iterable. It is read once, item by item,
through its own `__getitem__`. Random transforms get the run's seed. So all runs of one description see the same images.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import count
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from cudfkd.base.errors import ConfigError
from cudfkd.base.randomness import seeded
from cudfkd.data.images import ImageSet, to_bytes, unit


class Images(NamedTuple):
    """Images of a data set and their labels.

    pixels: images, floats in [0, 1] of torch's default type, or bytes.
    labels: the class of each image, int64, on the host.
    """

    pixels: Float[Tensor, "n channels height width"] | UInt8[Tensor, "n channels height width"]
    labels: Int[Tensor, " n"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image: (channels, height, width)."""
        return tuple(self.pixels.shape[1:])

    def sha256(self) -> str:
        """Hash of images and labels. Images that came from bytes have the hash of the bytes, in either form."""
        pixels = self.pixels
        if pixels.is_floating_point():
            pixels = to_bytes(self.pixels)
            if not torch.equal(unit(pixels), self.pixels):
                pixels = self.pixels
        digest = sha256(f"{pixels.dtype} {tuple(pixels.shape)}".encode())
        for tensor in (pixels, self.labels):
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()


def read(dataset: object, purpose: str = "evaluate", seed: int = 0) -> Images:
    """Reads a data set of pairs (image, label).

    Arguments:
        dataset: the object that the user passed.
        purpose: use of the data set, for the error line: "evaluate" or "train".
        seed: seed of the global random generators while the data set is read.

    Raises:
        ConfigError: the object is no data set, is empty, fails, or does not hold pairs; its images are no floats in
            [0, 1] of one shape (channels, height, width); its labels are not whole numbers, one for each image.
    """
    name = f"the data set to {purpose} on"
    if type(dataset) is ImageSet and len(dataset):
        return Images(dataset.pixels, dataset.labels.cpu())
    if remedy := _no_data_set(dataset):
        raise ConfigError(f"{name} is a {type(dataset).__name__}: {remedy}")
    with seeded(seed), torch.no_grad():
        images, labels = _columns(name, dataset)
    _refuse_images(name, images)
    _refuse_labels(name, labels, len(images))
    return Images(images.detach().to(torch.get_default_dtype()).contiguous(), labels.detach().long().cpu())


def check_labels(labels: Int[Tensor, " n"], num_classes: int, purpose: str = "evaluate") -> None:
    """Raises ConfigError if a label is not a class of the teacher."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        allowed = f"the teacher's classes are 0 to {num_classes - 1}"
        raise ConfigError(f"the data set to {purpose} on has labels from {low} to {high}: {allowed}")


def per_channel(numbers: Any) -> Any:
    """Returns a mean or std as a tuple, whether it is a number, a list, an array or a tensor; else as it is."""
    if isinstance(numbers, Tensor | np.ndarray | np.generic):
        numbers = numbers.reshape(-1).tolist()
    if isinstance(numbers, int | float) and not isinstance(numbers, bool):
        numbers = (numbers,)
    return tuple(numbers) if isinstance(numbers, list) else numbers


def normalisation(mean: Any, std: Any, channels: int) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Returns mean and std as tuples, or None.

    Arguments:
        mean: mean of each channel, or one for all: a number, a list, an array or a tensor; None: 0.
        std: standard deviation of each channel, or one for all; None: 1.
        channels: channels of the images.

    Raises:
        ConfigError: mean or std holds anything but finite numbers, one or as many as there are channels; or a number of
            std is not greater than 0.
    """
    mean, std = per_channel(mean), per_channel(std)
    for name, numbers in (("mean", mean), ("std", std)):
        if numbers is None:
            continue
        if not isinstance(numbers, tuple) or not all(_is_number(number) for number in numbers):
            raise ConfigError(f"{name} = {numbers!r} is not allowed: it must be finite numbers, one a channel")
        if len(numbers) not in (1, channels):
            raise ConfigError(f"{name} = {numbers} has {len(numbers)} numbers: it must have {channels}, one a channel")
    if std is not None and not all(number > 0 for number in std):
        raise ConfigError(f"std = {std} is not allowed: its numbers must be greater than 0")
    return mean, std


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _no_data_set(dataset: object) -> str | None:
    """Returns the remedy for an object that is no data set, or None."""
    if isinstance(dataset, DataLoader):
        return "pass its .dataset"
    if isinstance(dataset, str | bytes) or hasattr(dataset, "__fspath__"):
        return "pass a data set of pairs (image, label), such as cudfkd.data.load(name, 'dev')"
    if isinstance(dataset, Tensor | np.ndarray):
        return "pass torch.utils.data.TensorDataset(images, labels)"
    if isinstance(dataset, Sequence) and len(dataset) == 2 and all(isinstance(x, Tensor | np.ndarray) for x in dataset):
        return "pass torch.utils.data.TensorDataset(images, labels)"
    if isinstance(dataset, type):
        return "make a data set of this class, and pass it"
    if isinstance(dataset, Iterator):
        return "it can be read once only, so pass a data set with __len__ and __getitem__, or list(...) of it"
    if isinstance(dataset, Mapping):
        return "pass one of its data sets, of pairs (image, label)"
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        return None
    if isinstance(dataset, IterableDataset | Iterable):
        return None
    return "pass a data set with __len__ and __getitem__, of pairs (image, label)"


def _columns(name: str, dataset: Any) -> tuple[Tensor, Tensor]:
    """Reads all images and all labels of a data set."""
    if type(dataset) is TensorDataset and len(dataset.tensors) == 2:
        columns = dataset.tensors
        if len(columns[0]):
            return columns[0], columns[1]
    images, labels = [], []
    for item in _items(name, dataset):
        image, label = _pair(name, item)
        images.append(_image(name, image))
        labels.append(_label(name, label))
    if not images:
        raise ConfigError(f"{name} is empty: give it at least one image")
    for things, column in (("images", images), ("labels", labels)):
        shapes = {tuple(tensor.shape): None for tensor in column}
        if len(shapes) > 1:
            first, second, *_ = shapes
            raise ConfigError(f"{name} has {things} of several shapes, such as {first} and {second}: make them alike")
    return torch.stack(images), torch.stack(labels)


def _items(name: str, dataset: Any) -> Iterator[Any]:
    """Yields the items of a data set. Raises ConfigError in place of its own errors."""
    rows = _rows(dataset)
    for number in count():
        try:
            item = next(rows)
        except StopIteration:
            return
        except Exception as error:  # a foreign data set may raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(f"{name} fails at item {number}: {reason}: mend it, or leave the item out") from error
        yield item


def _rows(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        yield from dataset
    else:
        for index in range(len(dataset)):
            yield dataset[index]


def _pair(name: str, item: Any) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        keys = ", ".join(repr(key) for key in item)
        raise ConfigError(f"{name} gives dicts with {keys}: give tuples, such as (item['image'], item['label'])")
    if not isinstance(item, tuple | list) or len(item) != 2:
        count = f" of {len(item)}" if isinstance(item, tuple | list) else ""
        raise ConfigError(
            f"{name} is not one of pairs, it gives a {type(item).__name__}{count}: it must give an image and a label"
            " each"
        )
    return item[0], item[1]


def _image(name: str, image: Any) -> Tensor:
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(np.ascontiguousarray(image))
    if not isinstance(image, Tensor):
        module = type(image).__module__.split(".")[0]
        remedy = "add torchvision.transforms.ToTensor()" if module == "PIL" else "make tensors of them"
        raise ConfigError(f"{name} gives images of type {module}.{type(image).__name__}, no tensors: {remedy}")
    return image.to_dense() if image.layout != torch.strided else image


def _label(name: str, label: Any) -> Tensor:
    try:
        return torch.as_tensor(label)
    except (TypeError, ValueError, RuntimeError) as error:
        given = " ".join(repr(label).split())
        raise ConfigError(f"{name} gives labels such as {given}: give one whole number an image, from 0") from error


def _refuse_images(name: str, images: Tensor) -> None:
    if not images.is_floating_point():
        raise ConfigError(f"{name} has images of {images.dtype}: they must be floats in [0, 1], so divide bytes by 255")
    if images.ndim != 4:
        raise ConfigError(
            f"{name} has images of shape {tuple(images.shape[1:])}: it must be (channels, height, width), so give grey"
            " images a channel with unsqueeze(0)"
        )
    if images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        raise ConfigError(
            f"{name} has images of shape {tuple(images.shape[1:])}: channels come first, so call permute(2, 0, 1)"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        allowed = "they must lie in [0, 1], and mean and std be given to the library instead of a Normalize inside"
        raise ConfigError(f"{name} has images from {low:.3g} to {high:.3g}: {allowed}")


def _refuse_labels(name: str, labels: Tensor, n: int) -> None:
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex() or len(labels) != n:
        summary = f"labels of {labels.dtype} and shape {tuple(labels.shape)} for {n} images"
        raise ConfigError(f"{name} has {summary}: give one whole number an image, from 0")
