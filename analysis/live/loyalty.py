"""Loyalty by definition and as published, for students that are the teacher plus noise; and the rows lost to NaN."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from analysis.checks import Check, check, validate
from cudfkd.evaluation import jensen_shannon, loyalty, loyalty_published


class Dropped(NamedTuple):
    """The rows that are lost in float32, the precision of the public code, and the change that they make.

    share: share of the rows that are NaN in float32.
    left: loyalty of the public code in float32, over the rows that are left.
    all: loyalty by the same definition in float64, over all rows.
    """

    share: float
    left: float
    all: float


def pair(noise: float, seed: int = 0, n: int = 2000, classes: int = 10) -> tuple[Tensor, Tensor]:
    """Logits of a teacher, and of a student that is the teacher plus Gaussian noise. Both are (n, classes), float64."""
    validate.at_least("noise", noise, 0)
    rng = torch.Generator().manual_seed(validate.seed(seed))
    teacher = 4 * torch.randn(n, classes, generator=rng, dtype=torch.float64)
    return teacher, teacher + noise * torch.randn(n, classes, generator=rng, dtype=torch.float64)


def scales(noises: Sequence[float], seed: int = 0) -> pd.DataFrame:
    """A table of both loyalties over the noise (the index)."""
    rows = {}
    for noise in noises:
        divergence = jensen_shannon(*pair(noise, seed))
        rows[noise] = {
            "by definition, 1 − √JS (bits)": float(loyalty(divergence).mean()),
            "as published, 1 − JS^(1/4) (nats)": float(loyalty_published(divergence).mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def dropped(noise: float = 1e-3, seed: int = 0, n: int = 2000) -> Dropped:
    """The error that rounding makes: JS of two rows that nearly agree falls below 0 in float32, and its root is NaN."""
    teacher, student = pair(noise, seed, n)
    p, q = (logits.float().softmax(1).numpy() for logits in (teacher, student))
    with np.errstate(invalid="ignore"):
        rows = np.sqrt(np.asarray([jensenshannon(*both) for both in zip(p, q, strict=True)]))
    missing = np.isnan(rows)
    left = 1 - float(rows[~missing].mean()) if not missing.all() else float("nan")
    return Dropped(float(missing.mean()), left, float(loyalty_published(jensen_shannon(teacher, student)).mean()))


def agrees_with_scipy(seed: int = 0, noise: float = 1.0) -> Check:
    """The check that our loyalty is 1 minus scipy's distance in bits. The square of this distance is the divergence.

    The control takes a second square root.
    """
    teacher, student = pair(noise, seed, 200)
    ours = loyalty(jensen_shannon(teacher, student)).numpy()
    p, q = (logits.softmax(1).numpy() for logits in (teacher, student))
    distance = np.asarray([jensenshannon(*both, base=2) for both in zip(p, q, strict=True)])
    return check("loyalty by definition", "loyalty = 1 - sqrt(JS in bits) = 1 - jensenshannon(base=2)", "metrics",
                 np.abs(ours - (1 - distance)), ("a second square root", np.abs(ours - (1 - np.sqrt(distance)))),
                 claims=("C8",), by_construction=True)  # fmt: skip
