"""Measures of a student on held-out images: accuracy, agreement with the teacher, probability loyalty.

Each measure has a 95 % interval. Loyalty has two definitions:

    name                source                                         formula
    loyalty             Xu et al., 2021                                1 - JS**(1/2), JS in bits
    loyalty_published   public code and published tables of CuDFKD     1 - JS**(1/4), JS in nats: a second square root
"""

from math import sqrt
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.utils.data import Dataset

from cudfkd.base import devices, process
from cudfkd.base.errors import ConfigError
from cudfkd.base.randomness import seeded
from cudfkd.boundary import networks
from cudfkd.boundary.images import check_labels, normalisation, read
from cudfkd.data.images import unit
from cudfkd.losses import js
from cudfkd.models.borrowed import modes_kept
from cudfkd.models.normalize import Normalize

Z95 = 1.959963984540054
CHUNK = 1000  # images in a forward pass


class Estimate(NamedTuple):
    """A mean or share over n observations (images, seeds, trials) with its 95 % interval [low, high].

    value: the mean or share.
    low: lower end of the interval.
    high: upper end of the interval.
    n: number of observations.
    """

    value: float
    low: float
    high: float
    n: int

    def covers(self, value: float) -> bool:
        """Whether the value lies in the interval."""
        return self.outside(value) <= 0

    def outside(self, value: float) -> float:
        """Distance of a value from the interval: 0 at its ends, negative inside."""
        return float(max(self.low - value, value - self.high))

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}], n = {self.n}"


class Evaluation(NamedTuple):
    """The four measures that `evaluate` returns.

    accuracy: share of images that the student gives the class of their label.
    agreement: share of images to which student and teacher give the same class.
    loyalty: mean over images, see function `loyalty`.
    loyalty_published: mean over images, see function `loyalty_published`.
    """

    accuracy: Estimate
    agreement: Estimate
    loyalty: Estimate
    loyalty_published: Estimate


@process.plain()
def evaluate(
    student: nn.Module | Any,
    teacher: nn.Module | Any,
    dataset: Dataset | Any,
    mean: Any = None,
    std: Any = None,
    device: str | torch.device = "cpu",
) -> Evaluation:
    """Compares the student with labels and teacher on held-out images, both networks in eval mode.

    Afterwards both networks have their modes and devices back, and the caller has its random numbers. Warns if a
    network gives probabilities instead of logits.

    Arguments:
        student: network that maps normalised images to logits.
        teacher: network that maps normalised images to logits.
        dataset: pairs of an image in [0, 1], (channels, height, width), and a label.
        mean: mean of each channel, for normalisation: numbers, an array, a tensor, or one number; None: 0.
        std: standard deviation of each channel, as `mean`; None: 1.
        device: device that computes.

    Raises:
        ConfigError: a network, the data set, mean, std or the device is not possible; student and teacher have
            different numbers of classes; or a network is in use in another thread.
    """
    target = devices.check(str(device))
    pair = {"student": networks.network("student", student), "teacher": networks.network("teacher", teacher)}
    images = read(dataset)
    normalize, answers = Normalize(*normalisation(mean, std, images.shape[0])), []
    with networks.in_use(**pair), seeded(0, target):
        for role, network in pair.items():
            answers.append(predict(network, images.pixels, target, normalize=normalize, role=role).cpu())
            networks.refuse_not_finite(role, answers[-1])
            networks.warn_of_probabilities(role, answers[-1])
    of_student, of_teacher = answers
    if of_student.shape != of_teacher.shape:
        raise ConfigError(f"student has {of_student.shape[1]} classes, teacher {of_teacher.shape[1]}: they must agree")
    check_labels(images.labels, of_teacher.shape[1])
    return compare(of_student, of_teacher, images.labels)


def compare(
    student: Float[Tensor, "n classes"], teacher: Float[Tensor, "n classes"], labels: Int[Tensor, " n"]
) -> Evaluation:
    """Computes the four measures from logits."""
    divergence = jensen_shannon(student, teacher)
    return Evaluation(
        accuracy=proportion(student.argmax(1) == labels),
        agreement=proportion(student.argmax(1) == teacher.argmax(1)),
        loyalty=average(loyalty(divergence)),
        loyalty_published=average(loyalty_published(divergence)),
    )


def jensen_shannon(a: Float[Tensor, "n classes"], b: Float[Tensor, "n classes"]) -> Float[Tensor, " n"]:
    """Jensen-Shannon divergence of softmax(a) and softmax(b) in nats, in [0, ln 2], computed in float64.

    In float32, two rows that nearly agree have a divergence below 0, and its square root is NaN.
    """
    return js(a.double(), b.double())


def loyalty(divergence: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Probability loyalty 1 - sqrt(JS) in [0, 1], JS in bits (Xu et al., 2021, "Beyond Preserved Accuracy")."""
    return 1 - (divergence / torch.log(divergence.new_tensor(2.0))).clamp(max=1.0).sqrt()


def loyalty_published(divergence: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """1 - JS**(1/4), JS in nats: the formula of CuDFKD's public code, and so of all its published loyalties.

    scipy's jensenshannon already takes a square root, and the code takes a second root. For p_t = (.9, .1) and
    p_s = (.6, .4) the result is 0.498; a single root gives 0.748 in nats and 0.698 in bits. Values lie in [0.088, 1].
    A mean of one loyalty cannot be converted into a mean of the second.
    """
    return 1 - divergence**0.25


def proportion(hits: Bool[Tensor, " n"]) -> Estimate:
    """Share of True values, with its Wilson score interval."""
    return wilson(int(hits.sum()), len(hits))


def wilson(successes: int, n: int) -> Estimate:
    """Share of successes in n independent trials, with its Wilson score interval."""
    p = successes / n
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
    return Estimate(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), n)


def average(values: Float[Tensor, " n"]) -> Estimate:
    """Mean with the interval of a normal distribution, which suits the thousands of images that n counts."""
    n, mean = len(values), float(values.mean())
    half = Z95 * float(values.std()) / sqrt(n) if n > 1 else float("nan")
    return Estimate(mean, mean - half, mean + half, n)


@torch.no_grad()
def predict(
    network: nn.Module,
    images: Float[Tensor, "n channels height width"] | UInt8[Tensor, "n channels height width"],
    device: str | torch.device = "cpu",
    *,
    normalize: Normalize | None = None,
    role: str = "network",
) -> Float[Tensor, "n classes"]:
    """Computes the logits of all images in eval mode, in chunks; then restores modes and device of the network.

    Arguments:
        network: network that maps the images to logits.
        images: images in [0, 1], or bytes, which take a quarter of the memory.
        device: device that computes.
        normalize: normalisation of the images; None: the network takes them as they are.
        role: name of the network in an error line.

    Raises:
        ConfigError: as `cudfkd.boundary.networks.logits` and `refuse_train_mode`.
    """
    original = next((p.device for p in network.parameters()), torch.device(device))
    normalize = (normalize or Normalize()).to(device)
    size = CHUNK - 1 if len(images) % CHUNK == 1 else CHUNK  # many networks fail on a single image
    try:
        with modes_kept(network):
            network.to(device)
            network.eval()
            networks.refuse_train_mode(role, network)
            chunks = (chunk.to(device) for chunk in images.split(size))
            pixels = (chunk if chunk.is_floating_point() else unit(chunk) for chunk in chunks)
            return torch.cat([networks.logits(role, network, normalize(x)) for x in pixels]).float()
    finally:
        network.to(original)
