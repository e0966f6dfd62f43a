"""Wrong labels, for the training of a noisy teacher."""

import torch
from jaxtyping import Int
from torch import Tensor


def mislabelled(labels: Int[Tensor, " n"], share: float, classes: int, seed: int) -> Int[Tensor, " n"]:
    """Returns labels of which a share is wrong: images drawn once, each with another class, all as likely.

    Arguments:
        labels: the right labels.
        share: share of the wrong labels, rounded to whole images.
        classes: number of classes.
        seed: seed of the draws.
    """
    rng, mixed = torch.Generator().manual_seed(seed), labels.clone()
    wrong = torch.randperm(len(labels), generator=rng)[: round(share * len(labels))]
    if len(wrong):
        mixed[wrong] = (labels[wrong] + torch.randint(1, classes, (len(wrong),), generator=rng)) % classes
    return mixed
