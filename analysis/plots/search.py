"""Figure of the search for settings: what each method's search had found after how many student steps."""

from math import isfinite

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMNS = 5


def effort(table: pd.DataFrame) -> Figure:
    """A panel a method, in the order of the table. All panels have the same axes.

    The line is the best accuracy so far, and its last value stands beside it. Points are the trials that came to their
    end; the open point is the trial with the defaults, whose accuracy the dotted line carries on.

    table: of `analysis.studies.tuning.effort`: method, student_steps, accuracy and best (fractions), outcome.
    """
    groups = list(table.groupby("method", sort=False))
    columns = min(COLUMNS, max(1, len(groups)))
    rows = -(-len(groups) // columns) or 1
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.2 * columns + 0.6, 1.9 * rows + 0.5), sharex=True, sharey=True, squeeze=False
    )
    for ax in axes.flat[len(groups) :]:
        ax.set_visible(False)
    for number, ((method, group), ax) in enumerate(zip(groups, axes.flat, strict=False)):
        _panel(ax, str(method), group)
        ax.tick_params(labelbottom=number + columns >= len(groups))
    if groups:
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    figure.supxlabel("student steps of the search, in thousands", fontsize=10)
    figure.supylabel("accuracy on dev, %", fontsize=10)
    return figure


def _panel(ax: Axes, method: str, group: pd.DataFrame) -> None:
    steps, tried, best = group["student_steps"] / 1000, 100 * group["accuracy"], 100 * group["best"]
    color = "C1" if method == "cudfkd" else "C0"
    default = tried.iloc[0]
    ax.axhline(default, color="0.5", linestyle=":", linewidth=1, label="accuracy of the defaults")
    ax.plot(steps, tried, "o", color="0.7", markersize=2.5, label="trial")
    ax.plot(steps, best, drawstyle="steps-post", color=color, label="best so far")
    ax.plot(
        steps.iloc[0], default, "o", color=color, markerfacecolor="white", markersize=4.5,
        label="first trial, with the defaults",
    )  # fmt: skip
    reached = float(best.iloc[-1])
    if isfinite(reached):
        ax.annotate(
            f"{reached:.1f}", (steps.iloc[-1], reached), (0, 4), textcoords="offset points", ha="right",
            color=color, fontsize=9,
        )  # fmt: skip
    pruned, stopped = (list(group["outcome"]).count(outcome) for outcome in ("pruned", "stopped"))
    ax.text(0.97, 0.04, f"{len(group)} trials, {pruned} pruned" + (f", {stopped} stopped" if stopped else ""),
            transform=ax.transAxes, ha="right", fontsize=7, color="0.35")  # fmt: skip
    ax.set(title=method, ylim=(0, 100), xlim=(0, None))
