"""Methods side by side: how fast they get where, and what their students looked at."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analysis.plots.students import samples_by_class

CLOCKS = {"student_steps": "student updates", "epoch": "epoch", "total_seconds": "seconds of training"}


def races(histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Accuracy against student updates, epochs and seconds: a line a method, the mean over its runs.

    The legend names the methods in the order of their last accuracy, the best first.

    histories: of each method's runs, with columns student_steps, epoch, total_seconds, accuracy (a fraction).
    """
    figure, axes = plt.subplots(1, len(CLOCKS), figsize=(11, 4.2), sharey=True)
    last = {method: 100 * np.mean([run["accuracy"].iloc[-1] for run in runs]) for method, runs in histories.items()}
    for number, (method, runs) in enumerate(histories.items()):
        for ax, (column, label) in zip(axes, CLOCKS.items(), strict=True):
            shortest = min(len(run) for run in runs)
            x = np.mean([run[column][:shortest] for run in runs], axis=0)
            y = 100 * np.mean([run["accuracy"][:shortest] for run in runs], axis=0)
            own = method == "cudfkd"
            ax.plot(
                x, y, "o" if shortest == 1 else "-" if number < 10 else "--", label=method,
                color=plt.get_cmap("tab10")(number % 10), linewidth=2.6 if own else 1.3, zorder=3 if own else 2,
            )  # fmt: skip
            ax.set(xlabel=label, ylim=(0, 100))
    axes[0].set(ylabel="accuracy on held-out images, %", title="The same work, counted three ways")
    axes[-1].set_xscale("log")
    drawn = dict(zip(last, axes[0].lines, strict=True))
    best = sorted(last, key=lambda method: -last[method])
    words = [f"{method} {last[method]:.1f}" for method in best]
    figure.legend([drawn[method] for method in best], words, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def accuracies(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """A point a method with its interval over seeds, best above. table: of `analysis.studies.table.summary`."""
    ax = ax or plt.subplots(figsize=(7, 0.9 + 0.3 * len(table)))[1]
    for height, (_, row) in enumerate(table.iterrows()):
        ax.plot([max(row["low"], 0), min(row["high"], 100)], [height, height], color="C0", linewidth=1.5)
        ax.plot(row["accuracy, %"], height, "o", color="C0", markersize=5)
    ax.set_yticks(range(len(table)), list(table.index))
    ax.set(xlabel="accuracy on held-out images, %", ylabel="method", xlim=(0, 100), ylim=(len(table) - 0.5, -0.5))
    ax.set_title(f"Mean and 95 % interval over n = {table['n'].min():.0f} seeds")
    return ax


def studied(images: Mapping[str, Tensor]) -> Axes:
    """What each method's student studied last, a row a method."""
    _, ax = plt.subplots(figsize=(1.9 + 0.58 * max(map(len, images.values())), 0.58 * len(images) + 0.3))
    samples_by_class(list(images.values()), list(images), ax).set_ylabel("method")
    return ax
