"""The map of the paper as a picture: our numbers beside the published numbers, a line a number."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def paper_map(numbers: pd.DataFrame) -> Figure:
    """A panel a unit, a line a number: the published value (open diamond) and ours with its interval (point).

    A published number without ours has a grey name: it was not run yet, or it cannot be measured here.

    numbers: columns row, name, unit, published, ours, low, high.
    """
    groups = [(str(unit), group) for unit, group in numbers.groupby("unit", sort=False)]
    sizes = [len(group) for _, group in groups]
    figure, axes = plt.subplots(
        len(groups), 1, figsize=(8.5, 1.2 + 0.23 * sum(sizes) + 0.45 * len(groups)), squeeze=False,
        height_ratios=[size + 1 for size in sizes],
    )  # fmt: skip
    for ax, (unit, group) in zip(axes[:, 0], groups, strict=True):
        _panel(ax, unit, group)
    figure.supylabel("number that the paper publishes", fontsize=9)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=8)
    return figure


def _panel(ax: Axes, unit: str, group: pd.DataFrame) -> None:
    heights = np.arange(len(group))
    reach = np.array([group["ours"] - group["low"], group["high"] - group["ours"]])
    ax.plot(
        group["published"],
        heights - 0.14,
        "D",
        color="black",
        markerfacecolor="white",
        markersize=4.5,
        label="published",
    )
    ax.errorbar(group["ours"], heights + 0.14, xerr=reach, fmt="o", color="C0", markersize=4, linewidth=1.3,
                label="ours, 95 % over seeds")  # fmt: skip
    ax.set_yticks(
        heights, [f"{row}  {name}" for row, name in zip(group["row"], group["name"], strict=True)], fontsize=8
    )
    for label, ours in zip(ax.get_yticklabels(), group["ours"], strict=True):
        label.set_color("0.55" if np.isnan(ours) else "black")
    if group[["published", "low", "high"]].abs().max().max() < 20:
        ax.axvline(0, color="0.5", linewidth=0.8)
    ax.set(ylim=(len(group) - 0.4, -0.6))
    ax.set_xlabel("accuracy, %" if unit == "%" else unit or "terms", fontsize=8.5)
    ax.grid(axis="y", visible=False)
