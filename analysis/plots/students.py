"""What came out: accuracy over a run, and the samples that the student learned from."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cudfkd.evaluation import Estimate


def learning(history: pd.DataFrame, teacher: float, chance: float, last: Estimate) -> Figure:
    """Accuracy on held-out images over epochs and over seconds of training, between chance and the teacher.

    Arguments:
        history: of a run, with columns epoch, total_seconds, accuracy (a fraction).
        teacher, chance: accuracies that frame it.
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
    """Generated images, a row a class as the teacher sees it. Colour or grey, each (channels, size, size) in [0, 1]."""
    each, size = max(len(row) for row in images), images[0].shape[-1]
    if ax is None:
        _, ax = plt.subplots(figsize=(0.62 * each + 1.3, 0.62 * len(classes) + 0.4))
    for row, shown in enumerate(images):
        for column, image in enumerate(shown):
            _show(ax, image, left=column * (size + 2), top=row * (size + 2), size=size)
    ax.set(xlim=(-1, each * (size + 2) - 1), ylim=(len(classes) * (size + 2) - 1, -1), aspect="equal", xticks=[])
    ax.set_yticks([row * (size + 2) + size / 2 for row in range(len(classes))], classes)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return ax


def _show(ax: Axes, image: Tensor, left: float, top: float, size: int) -> None:
    pixels = image.permute(1, 2, 0).squeeze(-1).numpy()
    ax.imshow(pixels, vmin=0, vmax=1, extent=(left, left + size, top + size, top), interpolation="nearest")


def _level(ax: Axes, accuracy: float, name: str, color: str) -> None:
    ax.axhline(100 * accuracy, color=color, linewidth=1.2, linestyle="--")
    ax.annotate(
        f"{name} {100 * accuracy:.1f} %", (1, 100 * accuracy), xycoords=("axes fraction", "data"),
        textcoords="offset points", xytext=(0, 3), ha="right", fontsize=9, color=color,
    )  # fmt: skip
