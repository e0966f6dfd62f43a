"""Fidelity of a student to its teacher: on real images, on images that were changed, image by image, and in errors."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from analysis.checks import validate
from cudfkd.config import DistillConfig
from cudfkd.data.images import ImageSet
from cudfkd.evaluation import compare, jensen_shannon, loyalty, loyalty_published, predict
from cudfkd.models.normalize import Normalize

BINS = 20
MOVE = 4  # pixels
NOISE = 0.2  # standard deviation

Images = Float[Tensor, "n channels height width"]


def moved(images: Images) -> Images:
    """Images moved by 4 pixels to the right and down; the free rim is 0."""
    result = torch.zeros_like(images)
    result[..., MOVE:, MOVE:] = images[..., :-MOVE, :-MOVE]
    return result


def noisy(images: Images, seed: int = 0) -> Images:
    """Images with Gaussian noise of standard deviation 0.2 on each value, cut to [0, 1]."""
    rng = torch.Generator().manual_seed(validate.seed(seed))
    return (images + NOISE * torch.randn(images.shape, generator=rng)).clamp(0, 1)


CHANGES: dict[str, Callable[[Images], Images]] = {"real": lambda images: images, "moved": moved, "noisy": noisy}
"""Changes of the images, by name. No network was trained on moved or noisy images."""


def numbers(student: nn.Module, teacher: nn.Module, held_out: ImageSet, config: DistillConfig) -> dict[str, Any]:
    """Computes the fidelity of a student on held-out images, each number in [0, 1].

    For each change of the images, `real`, `moved` and `noisy`: CHANGE_accuracy, CHANGE_agreement, CHANGE_loyalty and
    CHANGE_loyalty_published. For the real images also the numbers of `errors` and of `histograms`.
    """
    images, labels = held_out.tensors
    normalize = Normalize(config.mean, config.std)
    results: dict[str, Any] = {}
    for change, changed in CHANGES.items():
        logits = [predict(network, changed(images), normalize=normalize) for network in (student, teacher)]
        scores = compare(logits[0], logits[1], labels)
        results |= {f"{change}_{name}": score.value for name, score in scores._asdict().items()}
        if change == "real":
            results |= errors(logits[0], logits[1], labels) | histograms(logits[0], logits[1])
    return results


def errors(
    student: Float[Tensor, "n classes"], teacher: Float[Tensor, "n classes"], labels: Int[Tensor, " n"]
) -> dict[str, float]:
    """Counts the errors of student and teacher together, as shares of all images.

    student_wrong, teacher_wrong: images that the network gives a wrong class.
    both_wrong: images that both give a wrong class. Independent errors would give student_wrong * teacher_wrong.
    wrong_alike: images that both give the same wrong class.
    """
    of_student, of_teacher = student.argmax(1), teacher.argmax(1)
    both = (of_student != labels) & (of_teacher != labels)
    shares = {
        "student_wrong": of_student != labels,
        "teacher_wrong": of_teacher != labels,
        "both_wrong": both,
        "wrong_alike": both & (of_student == of_teacher),
    }
    return {name: float(hits.double().mean()) for name, hits in shares.items()}


def histograms(student: Float[Tensor, "n classes"], teacher: Float[Tensor, "n classes"]) -> dict[str, list[float]]:
    """Shares of the images in 20 equal bins of loyalty in [0, 1]: loyalties by definition, and loyalties_published."""
    divergence = jensen_shannon(student, teacher)
    values = {"loyalties": loyalty(divergence), "loyalties_published": loyalty_published(divergence)}
    counts = {name: torch.histc(each.clamp(0, 1), BINS, 0, 1) for name, each in values.items()}
    return {name: (count / len(divergence)).tolist() for name, count in counts.items()}
