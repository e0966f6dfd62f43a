"""Data sets of users: they are read as tensors. An unusable data set gets an error message of one line."""

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from cudfkd.base.errors import ConfigError


def as_tensors(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Reads a data set of pairs (image, label) as two tensors.

    Returns:
        images: floats in [0, 1] of shape (n, channels, height, width).
        labels: int64 of shape (n,).

    Raises:
        ConfigError: the data set is empty, or does not hold pairs; its images differ in shape or are not in [0, 1]
            (already normalised, or bytes); its labels are not whole numbers, one for each image.
    """
    if isinstance(dataset, TensorDataset):
        columns = dataset.tensors
    else:
        try:
            batches = list(DataLoader(dataset, batch_size=256))
            pairs = all(isinstance(batch, list | tuple) and len(batch) == 2 for batch in batches)
            columns = [torch.cat(column) for column in zip(*batches, strict=True)] if batches and pairs else []
        except TypeError as error:  # images or labels are no tensors, or the data set has no length
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"the data set to evaluate on gives no tensors ({reason}): add ToTensor, and give labels as numbers"
            ) from error
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"the data set to evaluate on has images of several shapes ({reason})") from error
        if not batches:
            raise ConfigError("the data set to evaluate on is empty: give it at least one image")
    if len(columns) != 2:
        raise ConfigError("the data set to evaluate on is not one of pairs: it must give an image and a label each")
    images, labels = columns
    if len(images) == 0:
        raise ConfigError("the data set to evaluate on is empty: give it at least one image")
    if not images.is_floating_point():
        raise ConfigError(f"the data set to evaluate on has images of {images.dtype}: they must be floats in [0, 1]")
    if labels.ndim != 1 or labels.is_floating_point() or len(labels) != len(images):
        summary = f"labels of {labels.dtype} and shape {tuple(labels.shape)} for {len(images)} images"
        raise ConfigError(f"the data set to evaluate on has {summary}: give one whole number an image, from 0")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        allowed = "they must lie in [0, 1], and mean and std be given to the library instead of a Normalize inside"
        raise ConfigError(f"the data set to evaluate on has images from {low:.3g} to {high:.3g}: {allowed}")
    return images, labels.long()


def check_labels(labels: Int[Tensor, " n"], num_classes: int) -> None:
    """Raises ConfigError if a label is not a class of the teacher."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        allowed = f"the teacher's classes are 0 to {num_classes - 1}"
        raise ConfigError(f"the data set to evaluate on has labels from {low} to {high}: {allowed}")
