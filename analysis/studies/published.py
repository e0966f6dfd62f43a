"""Numbers that the authors of CuDFKD and of its rivals published, by our names of the methods. None is of this project.

All are for CIFAR-10, ResNet-34 to ResNet-18, with one exception, which says so. The tables do not say how many runs
stand behind a number.
"""

from typing import NamedTuple

PAIR = "CIFAR-10, ResNet-34 to ResNet-18"
MARK = "published in the authors' repositories, CIFAR-10"
"""words for the marks of published values"""
SOURCES = (
    "READMEs of ljrprocc/DataFree (bf3096b), ljrprocc/DFKD (cd281c4), zju-vipa/CMI (9e79fa9) and "
    "zju-vipa/Fast-Datafree (0dcecbc)",
    "cells of Other_visualization.ipynb in ljrprocc/DataFree (bf3096b)",
)
"""origin of the accuracies and curves, and of agreement and loyalty"""

ACCURACY = {
    "scratch": 95.20, "cudfkd": 95.28, "cmi": 94.84, "dfq": 94.61, "pre-dfkd": 94.10, "fast-dfkd": 94.05,
    "zskt": 93.32, "deepinversion": 93.26, "dafl": 92.22,
}  # fmt: skip
"""Accuracy on test in percent. It is the best epoch, chosen on test. DeepInversion is the variant ADI."""


class Curve(NamedTuple):
    """Numbers of a published curve of accuracy over epochs, and its cost.

    mu: mean accuracy in percent.
    sigma2: the number printed as the variance. The window is not defined, and several values read like deviations.
    best: best accuracy in percent.
    gb: memory in GB.
    hours: hours on one RTX 3090 Ti.
    """

    mu: float
    sigma2: float
    best: float
    gb: float | None = None
    hours: float | None = None


CURVES = {
    "cudfkd": Curve(94.1, 2.88, 95.0, 6.84, 5.48),
    "pre-dfkd": Curve(87.4, 10.3, 94.1),
    "deepinversion": Curve(87.2, 13.9, 93.3, 7.85, 25.2),
    "dfad": Curve(86.1, 12.3, 93.3),
    "mb-dfkd": Curve(83.3, 16.4, 92.4),
    "cmi": Curve(82.4, 16.6, 94.8, 12.5, 13.3),
    "dafl": Curve(62.6, 17.1, 92.0, 6.45, 6.10),
}

CLEAN = {
    "cudfkd": ((98.19, 0.8909), (98.20, 0.8915), (98.09, 0.8897)),
    "cmi": ((96.46, 0.8747), (96.96, 0.8849), (96.85, 0.8833)),
    "deepinversion": ((95.33, 0.8478), (95.23, 0.8501), (95.34, 0.8499)),
    "dafl": ((93.20, 0.7686), (91.06, 0.7298), (90.69, 0.7336)),
}
"""Of three runs each: agreement with the teacher in percent, and mean loyalty by the public code."""

HISTOGRAM = 0.6616
"""Mean of the published histogram of loyalty per image: CuDFKD for CIFAR-100, VGG-11 to ResNet-18."""


def agreement() -> dict[str, float]:
    """Mean of the published agreements with the teacher in percent, by method."""
    return {method: sum(run[0] for run in runs) / len(runs) for method, runs in CLEAN.items()}


def loyalty() -> dict[str, float]:
    """Mean of the published loyalties, by method."""
    return {method: sum(run[1] for run in runs) / len(runs) for method, runs in CLEAN.items()}
