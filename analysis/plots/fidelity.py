"""Figures of fidelity to the teacher: changed images, three measures on them, loyalty by image, errors in common."""

from collections.abc import Mapping
from math import ceil

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analysis.plots import intervals
from analysis.plots.students import samples_by_class

COLUMNS = 5
COLORS = {"real": "C0", "moved": "C2", "noisy": "C4"}


def histograms(
    loyalties: Mapping[str, pd.DataFrame],
    published: Mapping[str, pd.DataFrame],
    means: Mapping[str, tuple[float, float]],
    value: float,
    source: str,
) -> Figure:
    """A panel a method: shares of the images by loyalty, by definition (filled) and as published (outline).

    Whiskers reach from the lowest to the highest seed. Marks at the bottom are the means of both. The diamond in the
    panel of CuDFKD is its published mean, of other data and networks.

    Arguments:
        loyalties, published: of `analysis.studies.faithful.histograms`, by definition and as published.
        means: by method, the means by definition and as published.
        value: the published mean; source: the run it belongs to, in words.
    """
    count = ceil(len(loyalties) / COLUMNS)
    figure, axes = plt.subplots(
        count, COLUMNS, figsize=(8.6, 1.6 * count + 0.9), sharex=True, sharey=True, squeeze=False
    )
    for number, ax in enumerate(axes.flat):
        ax.set_visible(number < len(loyalties))
    for number, (method, ax) in enumerate(zip(loyalties, axes.flat, strict=False)):
        _bars(ax, loyalties[method], published[method])
        for mean, color in zip(means[method], ("C0", "C1"), strict=True):
            ax.axvline(mean, ymax=0.08, color=color, linewidth=2.5)
        if method == intervals.OURS:
            ax.plot(value, 0.92, "D", color=intervals.PUBLISHED, markerfacecolor="white", markersize=5,
                    transform=ax.get_xaxis_transform())  # fmt: skip
        ax.set_title(method, fontsize=10, fontweight="bold" if method == intervals.OURS else "normal")
        ax.tick_params(labelbottom=number + COLUMNS >= len(loyalties))
    axes[0, 0].set(xlim=(0, 1), ylim=(0, None), xticks=[0, 0.5, 1])
    words = "Blue bars: by definition. Orange line: as published. Marks at the bottom: their means"
    intervals.headline([axes[0, 0]], f"{words}\nDiamond: mean that is published for CuDFKD, {source}")
    figure.supxlabel("loyalty of an image (1: same answer as the teacher)", fontsize=10)
    figure.supylabel("share of the images, %", fontsize=10)
    return figure


def measures(
    tables: Mapping[str, Mapping[str, pd.DataFrame]], published: Mapping[str, Mapping[str, float]], source: str
) -> Figure:
    """A panel a measure, a row a method: the mean on real, moved and noisy images, each with its interval.

    Arguments:
        tables: by label of the measure, of `analysis.studies.faithful.measures`; the first orders the methods.
        published: by label of the measure, published values by method; source: their origin, in words.
    """
    order = next(iter(next(iter(tables.values())).values())).index
    names = [str(name) for name in order]
    axes = intervals.rows(names, len(tables), width=8.2)
    for ax, (label, by_change) in zip(axes, tables.items(), strict=True):
        for place, (change, table) in enumerate(by_change.items()):
            intervals.estimates(ax, table.loc[order], COLORS[change], shift=0.22 * (place - 1), label=change)
        if label in published:
            intervals.published(ax, names, published[label], shift=-0.22)
        ax.set(xlabel=label, xlim=(0, 100 if label.endswith("%") else 1))
    for line, (change, color) in enumerate(reversed(COLORS.items()), start=1):
        intervals.note(axes[0], f"{change} images", color=color, line=line)
    return intervals.headline(axes, f"Points: means over seeds. Lines: their 95 % intervals. Diamonds: {source}")


def errors(table: pd.DataFrame) -> Axes:
    """A row a method: images that student and teacher both get wrong, beside independent errors; both alike.

    The dashed line is at the teacher's errors, which are the most that both can get wrong.

    table: of `analysis.studies.faithful.errors`.
    """
    (ax,) = intervals.rows([str(name) for name in table.index])
    heights = range(len(table))
    ax.axvline(float(table["teacher"].to_numpy(dtype=float).mean()), color="0.4", linewidth=1, linestyle="--")
    ax.plot(table["independent"], heights, "|", color="0.4", markersize=12, markeredgewidth=2, linestyle="")
    ax.plot(table["alike"], [height + 0.2 for height in heights], "v", color="C2", markersize=5, linestyle="")
    intervals.estimates(ax, table.rename(columns={"both": "value"}))
    ax.set(xlabel="share of the test images, %", xlim=(0, None))
    intervals.note(ax, "point: both wrong; line: 95 % interval", color="C0", line=4)
    intervals.note(ax, "triangle: both give the same wrong class", color="C2", line=3)
    intervals.note(ax, "tick: both wrong, if errors were independent", color="0.4", line=2)
    intervals.note(ax, "dashed: the teacher is wrong", color="0.4")
    return ax


def changes(images: Mapping[str, Tensor]) -> Axes:
    """The same images after each change, a row a change. images: by words for the change, with values in [0, 1]."""
    _, ax = plt.subplots(figsize=(2.4 + 0.58 * max(map(len, images.values())), 0.58 * len(images) + 0.6))
    samples_by_class(list(images.values()), list(images), ax).set_ylabel("images")
    return ax


def _bars(ax: Axes, shares: pd.DataFrame, published: pd.DataFrame) -> None:
    edges = shares.index.to_numpy(dtype=float)
    width = edges[1] - edges[0]
    ax.bar(edges, shares["mean"], width, align="edge", color="C0", alpha=0.55, linewidth=0)
    ax.vlines(edges + width / 2, shares["low"], shares["high"], color="C0", linewidth=1)
    ax.stairs(published["mean"].to_numpy(), [*edges, edges[-1] + width], color="C1", linewidth=1.4)
