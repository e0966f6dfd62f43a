"""Effects of settings on accuracy, and accuracies of methods on several terms, with intervals over seeds."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

COLORS = ("C0", "C1", "C2", "C3", "C4")


def effects(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """A point a setting with its interval over seeds, in groups by method; the line at 0 is no effect.

    table: of `analysis.studies.table.effects`: index (method, setting), columns mean, low, high in points, n.
    """
    methods = list(dict.fromkeys(table.index.get_level_values(0)))
    ax = ax or plt.subplots(figsize=(7.5, 0.9 + 0.27 * (len(table) + len(methods))))[1]
    ax.axvline(0, color="0.5", linewidth=1)
    heights, labels = [], []
    height = 0
    for number, method in enumerate(methods):
        heights.append(height)
        labels.append(method)
        ax.axhspan(height - 0.5, height + 0.5, color="0.94", linewidth=0)
        for setting, row in table.loc[method].iterrows():
            height += 1
            color = COLORS[number % len(COLORS)]
            ax.plot([row["low"], row["high"]], [height, height], color=color, linewidth=1.5)
            ax.plot(row["mean"], height, "o", color=color, markersize=5)
            heights.append(height)
            labels.append(str(setting))
        height += 1
    ax.set_yticks(heights, labels, fontsize=8.5)
    for label in ax.get_yticklabels():
        if label.get_text() in methods:
            label.set_fontweight("bold")
    ax.set(
        xlabel="points of accuracy above the published form",
        ylabel="deviation that was put back",
        ylim=(height - 0.4, -0.6),
    )
    ax.set_title(f"Paired differences with 95 % intervals over n = {table['n'].min():.0f} seeds")
    return ax


def terms(tables: dict[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """A row a method, a point for each of the terms on which it was run, with its interval over seeds.

    tables: by the name of the terms, a table of `analysis.studies.table.summary`; the first orders the methods.
    """
    order = list(next(iter(tables.values())).index)
    ax = ax or plt.subplots(figsize=(7.5, 1.2 + 0.42 * len(order)))[1]
    for number, (name, table) in enumerate(tables.items()):
        color, shift = COLORS[number % len(COLORS)], 0.8 * (number + 1) / (len(tables) + 1) - 0.4
        for place, (_, row) in enumerate(table.reindex(order).iterrows()):
            ax.plot([max(row["low"], 0), min(row["high"], 100)], 2 * [place + shift], color=color, linewidth=1.3)
            ax.plot(
                row["accuracy, %"], place + shift, "o", color=color, markersize=4.5, label=name if not place else ""
            )
    ax.set_yticks(range(len(order)), order)
    ax.set(xlabel="accuracy on held-out images, %", ylabel="method", xlim=(0, 100), ylim=(len(order) - 0.5, -0.5))
    ax.set_title("The same methods on several kinds of equal terms")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="upper left", fontsize=8)
    return ax
