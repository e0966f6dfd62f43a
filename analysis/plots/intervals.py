"""Pieces of figures with a row a name: means with their intervals, published values, and words in place of legends."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PUBLISHED = "C3"
OURS = "cudfkd"


def rows(names: Sequence[str], panels: int = 1, width: float = 6.4) -> list[Axes]:
    """Axes with a row a name, the first name above; of several panels only the left one names the rows."""
    height = 1.3 + 0.3 * len(names)
    figure, axes = plt.subplots(1, panels, figsize=(width, height), sharey=True, squeeze=False)
    first = axes[0, 0]
    first.set_yticks(range(len(names)), list(names))
    first.set(ylim=(len(names) - 0.5, -0.5), ylabel="method")
    for ax in axes[0]:
        ax.grid(axis="y", visible=False)
    for label in first.get_yticklabels():
        if label.get_text() == OURS:
            label.set_fontweight("bold")
    return list(figure.axes)


def estimates(ax: Axes, table: pd.DataFrame, color: str = "C0", shift: float = 0.0, label: str = "") -> None:
    """Draws a point a row of a table with its interval. Columns: value, low, high."""
    heights = [height + shift for height in range(len(table))]
    for height, low, high in zip(heights, table["low"], table["high"], strict=True):
        ax.plot([low, high], [height, height], color=color, linewidth=1.6)
    ax.plot(table["value"], heights, "o", color=color, markersize=4.5, linestyle="", label=label)


def published(ax: Axes, names: Sequence[str], values: Mapping[str, float], shift: float = 0.0) -> None:
    """Draws a diamond in the row of each name that has a published value."""
    heights = {height: values[name] for height, name in enumerate(names) if name in values}
    ax.plot(
        list(heights.values()), [height + shift for height in heights], "D", color=PUBLISHED, markerfacecolor="white",
        markersize=5, linestyle="", label="published",
    )  # fmt: skip


def note(ax: Axes, text: str, color: str = "0.35", line: int = 1) -> None:
    """Writes a line of words above the right end of the axes. Line 1 is the lowest."""
    ax.annotate(
        text, (1, 1), (0, 2 + 10 * (line - 1)), xycoords="axes fraction", textcoords="offset points", ha="right",
        va="bottom", fontsize=8, color=color,
    )  # fmt: skip


def headline(axes: Sequence[Axes], text: str) -> Figure:
    """Writes words over a whole figure, and returns the figure."""
    figure = axes[0].get_figure(root=True)
    assert figure is not None
    figure.suptitle(text, x=0.01, ha="left", fontsize=9)
    return figure


def over(table: pd.DataFrame) -> str:
    """The interval of a mean over seeds, in words. The column n of the table holds the number of seeds of each mean."""
    fewest = int(table["n"].to_numpy(dtype=int).min())
    return f"95 % interval over n = {fewest} seeds" if fewest > 1 else "one seed, which has no interval"


def zero(ax: Axes, left: str, right: str) -> None:
    """Draws the line of no difference, and says on each side what lies there."""
    ax.axvline(0, color="0.4", linewidth=1)
    low, high = ax.get_xlim()
    reach = max(abs(low), abs(high))
    ax.set_xlim(-reach, reach)
    for place, text, align in ((0.0, f"← {left}", "left"), (1.0, f"{right} →", "right")):
        ax.text(place, 1.01, text, transform=ax.transAxes, ha=align, va="bottom", fontsize=8, color="0.35")
