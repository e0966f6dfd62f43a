"""Figures of noisy teachers, and of the features, classes and terms of real and generated images."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde
from torch import Tensor

from analysis.plots.students import samples_by_class


def noise_costs(ours: Mapping[str, Mapping[str, pd.DataFrame]], teacher: pd.Series) -> Figure:
    """A panel a measure: a line a method over the share of wrong labels, with intervals over seeds.

    Arguments:
        ours: by measure and by method, a table with index the share in percent and columns mean, low, high, n.
        teacher: the teacher's own accuracy in percent by share; it stands in the panel of accuracy.
    """
    figure, axes = plt.subplots(1, len(ours), figsize=(4.1 * len(ours), 3.6), squeeze=False)
    for ax, (measure, tables) in zip(axes[0], ours.items(), strict=True):
        for number, (method, table) in enumerate(tables.items()):
            x = np.asarray(table.index, dtype=np.float64) + 0.4 * (number - (len(tables) - 1) / 2)
            reach = np.array([table["mean"] - table["low"], table["high"] - table["mean"]])
            ax.errorbar(x, table["mean"], reach, fmt="o-", markersize=4, linewidth=1.4, capsize=2, color=f"C{number}",
                        label=f"{method}, n = {table['n'].min():.0f}")  # fmt: skip
        if measure == "accuracy":
            ax.plot(teacher.index, teacher, "s--", color="0.4", linewidth=1, markersize=4, label="the teacher itself")
        ax.set(xlabel="wrong labels of the teacher, %", title=measure)
    axes[0][0].set_ylabel("%")
    axes[0][0].legend(fontsize=8)
    return figure


def pseudo_classes(moments: Mapping[str, Sequence[Tensor]], classes: Sequence[str]) -> Figure:
    """A panel a moment of a run: generated images, a row for each class that the teacher gives them.

    moments: by title, the images of each class; a class may have none.
    """
    most = max(len(images) for of_classes in moments.values() for images in of_classes)
    figure, axes = plt.subplots(
        1, len(moments), figsize=((1.3 + 0.5 * most) * len(moments), 0.5 * len(classes) + 0.5), squeeze=False
    )
    for ax, (title, of_classes) in zip(axes[0], moments.items(), strict=True):
        samples_by_class(of_classes, classes, ax)
        ax.set_title(title)
    return figure


def embedding(
    points: Mapping[str, np.ndarray], classes: Mapping[str, np.ndarray], real: str, columns: int = 4
) -> Figure:
    """A panel a source of images: its points in colours by class, and real images as grey points, in one common plane.

    Arguments:
        points: by source, (n, 2) places of its images.
        classes: by source, the teacher's class of each image.
        real: name of the source with real images; its own panel comes first.
    """
    names = [real, *(name for name in points if name != real)]
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.7 * columns, 2.6 * rows), sharex=True, sharey=True, squeeze=False
    )
    for ax in axes.flat[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(axes.flat, names, strict=False):
        if name != real:
            ax.plot(*points[real].T, ".", color="0.85", markersize=2)
        ax.scatter(*points[name].T, c=classes[name], cmap="tab10", vmin=0, vmax=9, s=5 if name == real else 14)
        ax.set(title=f"{name}, n = {len(points[name])}", xticks=[], yticks=[])
        ax.grid(visible=False)
    return figure


def distributions(
    features: Mapping[str, np.ndarray], counts: Mapping[str, np.ndarray], terms: pd.DataFrame, classes: Sequence[str]
) -> Figure:
    """Density of the features, share of each class, and the terms, for each source of images.

    Arguments:
        features: by source, mean features of each channel.
        counts: by source, the number of images of each class.
        terms: a row a source, a column a term.
        classes: names of the classes.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.5, 3.6))
    grid = np.linspace(0, 1.05 * max(float(values.max()) for values in features.values()), 300)
    width = 0.8 / len(features)
    for number, name in enumerate(features):
        density = gaussian_kde(features[name])(grid)
        left.plot(grid, density, color=f"C{number}", label=f"{name}, n = {counts[name].sum():.0f}")
        places = np.arange(len(classes)) + (number - (len(features) - 1) / 2) * width
        middle.bar(places, 100 * counts[name] / counts[name].sum(), width, color=f"C{number}")
        bars = np.arange(terms.shape[1]) + (number - (len(features) - 1) / 2) * width
        right.bar(bars, terms.loc[name], width, color=f"C{number}")
    middle.axhline(100 / len(classes), color="0.5", linewidth=1, linestyle="--")
    middle.set_xticks(range(len(classes)), classes, rotation=60, ha="right", fontsize=8)
    right.set_xticks(range(terms.shape[1]), list(terms.columns), fontsize=8)
    right.axhline(0, color="0.5", linewidth=0.8)
    left.set(title="Mean feature of a channel", xlabel="mean over the images", ylabel="density", ylim=(0, None))
    middle.set(title="The teacher's classes", ylabel="share of the images, %")
    right.set(title="The terms")
    left.legend(fontsize=8)
    return figure
