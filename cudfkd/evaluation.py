"""How good is a student, on held-out images: accuracy, agreement with the teacher, probability loyalty.

Each comes with a 95 % interval. Loyalty has two definitions: the one of its source, and the one that the published
tables of CuDFKD carry, whose code takes a second square root.
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from cudfkd.base import devices
from cudfkd.base.errors import ConfigError
from cudfkd.base.out_of_memory import is_out_of_memory
from cudfkd.data.images import unit
from cudfkd.models.normalize import Normalize

Z95 = 1.959963984540054


class Estimate(NamedTuple):
    """A mean over n images and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}], n = {self.n}"


class Evaluation(NamedTuple):
    """What `evaluate` returns; see `accuracy`, `agreement`, `loyalty` and `loyalty_published` below."""

    accuracy: Estimate
    agreement: Estimate
    loyalty: Estimate
    loyalty_published: Estimate


def evaluate(
    student: nn.Module,
    teacher: nn.Module,
    dataset: Dataset,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    device: str | torch.device = "cpu",
) -> Evaluation:
    """Student against labels and teacher on held-out images, both in eval mode; both are given back as they came.

    Arguments:
        student, teacher: map normalised images to logits.
        dataset: pairs of an image in [0, 1], (channels, size, size), and a label.
        mean, std: normalisation, a number a channel; None: images as they are.
        device: where to compute.

    Raises:
        ConfigError: the data set is empty or does not fit, mean or std or the device cannot be, or student and teacher
            have different numbers of classes.
    """
    where = devices.check(str(device))
    images, labels = as_tensors(dataset)
    refuse_normalisation(mean, std, images.shape[1])
    normalize, logits = Normalize(mean, std), []
    for name, network in (("student", student), ("teacher", teacher)):
        try:
            logits.append(predict(nn.Sequential(normalize, network), images, where).cpu())
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"the {name} does not take images of shape {tuple(images.shape[1:])}: {reason}"
            ) from error
    if logits[0].shape != logits[1].shape:
        raise ConfigError(f"student has {logits[0].shape[1]} classes, teacher {logits[1].shape[1]}: they must agree")
    check_labels(labels, logits[1].shape[1])
    return compare(logits[0], logits[1], labels)


def compare(
    student: Float[Tensor, "n classes"], teacher: Float[Tensor, "n classes"], labels: Int[Tensor, " n"]
) -> Evaluation:
    """The four measures from logits."""
    divergence = jensen_shannon(student, teacher)
    return Evaluation(
        accuracy=proportion(student.argmax(1) == labels),
        agreement=proportion(student.argmax(1) == teacher.argmax(1)),
        loyalty=average(loyalty(divergence)),
        loyalty_published=average(loyalty_published(divergence)),
    )


def refuse_normalisation(mean: Sequence[float] | None, std: Sequence[float] | None, channels: int) -> None:
    """Raises ConfigError where these are no numbers to normalise images of so many channels with."""
    for name, numbers in (("mean", mean), ("std", std)):
        if numbers is not None and len(numbers) not in (1, channels):
            raise ConfigError(f"{name} = {numbers} has {len(numbers)} numbers: it must have {channels}, one a channel")
    if std is not None and not all(number > 0 for number in std):
        raise ConfigError(f"std = {std} is not allowed: its numbers must be greater than 0")


def check_labels(labels: Int[Tensor, " n"], num_classes: int) -> None:
    """Raises ConfigError for a label that is none of the teacher's classes."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        allowed = f"the teacher's classes are 0 to {num_classes - 1}"
        raise ConfigError(f"the data set to evaluate on has labels from {low} to {high}: {allowed}")


def jensen_shannon(a: Float[Tensor, "n classes"], b: Float[Tensor, "n classes"]) -> Float[Tensor, " n"]:
    """Jensen-Shannon divergence of softmax(a) and softmax(b) in nats, in [0, ln 2], computed in float64.

    In float32 rows that nearly agree come out below 0, and their root as NaN.
    """
    p, q = a.double().softmax(1), b.double().softmax(1)
    m = (p + q) / 2
    return (0.5 * (_kl(p, m) + _kl(q, m))).clamp(min=0.0)


def loyalty(divergence: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Probability loyalty 1 - sqrt(JS) in [0, 1], JS in bits (Xu et al., 2021, "Beyond Preserved Accuracy")."""
    return 1 - (divergence / torch.log(divergence.new_tensor(2.0))).clamp(max=1.0).sqrt()


def loyalty_published(divergence: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """1 - JS**(1/4), JS in nats: what the public code of CuDFKD computes, and so all its published loyalties.

    scipy's jensenshannon is a root already and the code takes another: p = (.9, .1), q = (.6, .4) gives 0.498, where
    one root gives 0.748 in nats and 0.698 in bits. It lies in [0.088, 1]. Means of the two cannot be converted.
    """
    return 1 - divergence**0.25


def proportion(hits: Bool[Tensor, " n"]) -> Estimate:
    """Share of True with its Wilson score interval."""
    n, p = len(hits), float(hits.double().mean())
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
    return Estimate(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), n)


def average(values: Float[Tensor, " n"]) -> Estimate:
    """Mean with its normal interval: n is thousands of images here."""
    n, mean = len(values), float(values.mean())
    half = Z95 * float(values.std()) / sqrt(n) if n > 1 else float("nan")
    return Estimate(mean, mean - half, mean + half, n)


def as_tensors(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """A data set of (image, label) as two tensors: images in [0, 1], (n, channels, height, width), and labels, int64.

    Raises:
        ConfigError: it is empty, no set of such pairs, its images differ in shape or are not in [0, 1] (normalised
            already, or bytes), or its labels are not whole numbers, one an image.
    """
    if isinstance(dataset, TensorDataset):
        columns = dataset.tensors
    else:
        try:
            batches = list(DataLoader(dataset, batch_size=256))
            pairs = all(isinstance(batch, list | tuple) and len(batch) == 2 for batch in batches)
            columns = [torch.cat(column) for column in zip(*batches, strict=True)] if batches and pairs else []
        except TypeError as error:  # images or labels that are no tensors, or a set without a length
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
        found = f"labels of {labels.dtype} and shape {tuple(labels.shape)} for {len(images)} images"
        raise ConfigError(f"the data set to evaluate on has {found}: give one whole number an image, from 0")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        allowed = "they must lie in [0, 1], and mean and std be given to the library instead of a Normalize inside"
        raise ConfigError(f"the data set to evaluate on has images from {low:.3g} to {high:.3g}: {allowed}")
    return images, labels.long()


@torch.no_grad()
def predict(
    network: nn.Module,
    images: Float[Tensor, "n channels height width"] | UInt8[Tensor, "n channels height width"],
    device: str | torch.device = "cpu",
) -> Float[Tensor, "n classes"]:
    """Logits of all images in eval mode, in chunks; modes and device of the network are given back as they came.

    Arguments:
        images: in [0, 1], or bytes, a quarter of the memory.
    """
    modes = {module: module.training for module in network.modules()}
    home = next((p.device for p in network.parameters()), torch.device(device))
    try:
        network.to(device).eval()
        chunks = (chunk.to(device) for chunk in images.split(1000))
        return torch.cat([network(x if x.is_floating_point() else unit(x)) for x in chunks]).float()
    finally:
        network.to(home)
        for module, mode in modes.items():
            module.training = mode


def _kl(p: Tensor, q: Tensor) -> Tensor:
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(1)
