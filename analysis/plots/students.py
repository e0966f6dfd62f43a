"""Figures of the results of a run: accuracy over the run, and the samples that the student learned from."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cudfkd.evaluation import Estimate


def learning(history: pd.DataFrame, teacher: float, chance: float, last: Estimate) -> Figure:
    """Accuracy on held-out images over epochs and over seconds of training, between chance and the teacher.

    Arguments:
        history: history of a run, with columns epoch, total_seconds, accuracy (a fraction).
        teacher, chance: accuracies of the teacher and of guessing, as fractions.
        last: the last epoch's accuracy with its 95 % interval.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    titles = ("The student learns from generated images only", "The same, over seconds of training")
    for ax, column, label, title in zip(axes, ("epoch", "total_seconds"), ("epoch", "seconds"), titles, strict=True):
        x = history[column]
        ax.plot(x, 100 * history["accuracy"], marker="o", markersize=3, color="C0", label="student")
        below, above = 100 * (last.value - last.low), 100 * (last.high - last.value)
        ax.errorbar(x.iloc[-1], 100 * last.value, [[below], [above]], color="C0", capsize=3)
        _level(ax, teacher, "teacher", "C2")
        _level(ax, chance, "chance", "0.5")
        ax.set(xlabel=label, ylim=(0, 100), title=title, xlim=(0, None))
    axes[0].set_ylabel("accuracy on held-out images, %")
    axes[0].annotate(
        f"{100 * last.value:.1f} %", (history["epoch"].iloc[-1], 100 * last.value), textcoords="offset points",
        xytext=(-2, -14), ha="right", color="C0",
    )  # fmt: skip
    return figure


def samples_by_class(images: Sequence[Tensor], classes: Sequence[str], ax: Axes | None = None) -> Axes:
    """Generated images, a row for each class that the teacher gives them.

    Each image is in colour or grey, (channels, size, size), with values in [0, 1].
    """
    picture, cell = _tiled(images)
    if ax is None:
        height, width = picture.shape[:2]
        _, ax = plt.subplots(figsize=(1.5 + width / cell * 0.58, height / cell * 0.58 + 0.3))
    ax.imshow(picture, vmin=0, vmax=1, interpolation="nearest")
    ax.set_yticks([(row + 0.5) * cell for row in range(len(classes))], classes)
    ax.set_xticks([])
    ax.set_ylabel("class, as the teacher sees it")
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return ax


def _tiled(images: Sequence[Tensor], gap: int = 2) -> tuple[np.ndarray, int]:
    """A picture of all rows on white, and the distance in pixels from one image to the next."""
    _, channels, size, _ = images[0].shape
    cell, each = size + gap, max(len(row) for row in images)
    picture = np.ones((len(images) * cell, each * cell, channels))
    for row, shown in enumerate(images):
        for column, image in enumerate(shown):
            top, left = row * cell, column * cell
            picture[top : top + size, left : left + size] = image.permute(1, 2, 0).numpy()
    return picture.squeeze(-1) if channels == 1 else picture, cell


def _level(ax: Axes, accuracy: float, name: str, color: str) -> None:
    ax.axhline(100 * accuracy, color=color, linewidth=1.2, linestyle="--")
    ax.annotate(
        f"{name} {100 * accuracy:.1f} %", (1, 100 * accuracy), xycoords=("axes fraction", "data"),
        textcoords="offset points", xytext=(0, 3), ha="right", fontsize=9, color=color,
    )  # fmt: skip
