"""Figures of one setting's effect: response surfaces and curves with intervals, published values beside, and luck."""

from collections.abc import Hashable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

UNITS = {"accuracy": "accuracy, points", "agreement": "agreement, points", "loyalty": "loyalty (as published)"}
PUBLISHED = {"marker": "D", "color": "black", "markerfacecolor": "white", "markersize": 5, "linewidth": 0.8}


def ramp_surfaces(ours: Mapping[str, pd.DataFrame], theirs: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """A row a measure: our map, then the published maps. Colour is the distance from a map's own mean.

    All maps of a row share their colours, so that equal colours are equal differences.

    Arguments:
        ours: by measure, means over seeds with index (begin, end) and columns mean, low, high, n.
        theirs: by figure and by measure, a published map, end (rows) by begin (columns).
    """
    figure, axes = plt.subplots(
        len(ours), 1 + len(theirs), figsize=(2.75 * (1 + len(theirs)) + 0.6, 2.3 * len(ours)), squeeze=False
    )
    for row, (measure, table) in zip(axes, ours.items(), strict=True):
        first = next(iter(theirs.values()))[measure]
        wide = {name: table[name].unstack("begin").loc[first.index, first.columns] for name in ("mean", "low", "high")}
        maps = {f"ours, n = {table['n'].min():.0f}": wide["mean"]}
        maps |= {f"{name}, published": of_figure[measure] for name, of_figure in theirs.items()}
        furthest = max(float((values - values.to_numpy().mean()).abs().to_numpy().max()) for values in maps.values())
        half = (wide["high"] - wide["low"]) / 2
        for ax, (title, values) in zip(row, maps.items(), strict=True):
            shown = _surface(ax, values, furthest, half if values is wide["mean"] else None, measure == "loyalty")
            ax.set_title(f"{title}\nrange {np.ptp(values.to_numpy()):.2g}", fontsize=9)
        row[0].set_ylabel(f"{measure}\n\nramp ends at")
        figure.colorbar(shown, ax=row, label=UNITS[measure], shrink=0.9)
    figure.supxlabel("ramp begins at", fontsize=10)
    return figure


def _surface(ax: Axes, values: pd.DataFrame, furthest: float, half: pd.DataFrame | None, fine: bool):
    numbers = values.to_numpy(dtype=np.float64)
    shown = ax.imshow(numbers - numbers.mean(), cmap="RdBu", vmin=-furthest, vmax=furthest, aspect="auto")
    for (row, column), value in np.ndenumerate(numbers):
        text = f"{value:.4f}" if fine else f"{value:.2f}"
        if half is not None:
            text += f"\n± {half.to_numpy()[row, column]:.2g}"
        dark = abs(value - numbers.mean()) > 0.6 * furthest
        ax.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    ax.set_xticks(range(values.shape[1]), list(values.columns))
    ax.set_yticks(range(values.shape[0]), list(values.index))
    ax.grid(visible=False)
    return shown


def responses(
    ours: Mapping[str, Mapping[str, pd.DataFrame]], theirs: pd.DataFrame, label: str, source: str, xlabel: str
) -> Figure:
    """A panel a measure: a line a variant with intervals over seeds, and the published values.

    Ours are distances from the mean of the first variant, published values from their own mean.

    Arguments:
        ours: by variant and by measure, a table with index the setting and columns mean, low, high, n.
        theirs: published values, with index the setting and a column a measure.
        label: name of the published values; source: where they stand.
        xlabel: the setting, for the axis.
    """
    measures = list(next(iter(ours.values())))
    places = list(dict.fromkeys(place for tables in ours.values() for place in tables[measures[0]].index))
    places += [place for place in theirs.index if place not in places]
    numeric = all(isinstance(place, int | float) for place in places)
    at: dict[Hashable, float] = {place: float(place) if numeric else k for k, place in enumerate(places)}
    height = 3.7 if numeric else 4.9  # names of settings need room
    figure, axes = plt.subplots(1, len(measures), figsize=(4.1 * len(measures), height), squeeze=False)
    for ax, measure in zip(axes[0], measures, strict=True):
        middle = _mean(next(iter(ours.values()))[measure]["mean"])
        for number, (variant, tables) in enumerate(ours.items()):
            shift = 0.0 if numeric else 0.16 * (number - (len(ours) - 1) / 2)
            x = [at[place] + shift for place in tables[measure].index]
            _variant(ax, tables[measure], x, middle, f"C{number}", variant, numeric)
        published = theirs[measure] - theirs[measure].mean()
        x = [at[place] for place in theirs.index]
        mean = _number(_mean(theirs[measure]))
        ax.plot(x, published, label=f"{label} (mean {mean})", linestyle="-" if numeric else "", zorder=3, **PUBLISHED)
        ax.axhline(0, color="0.5", linewidth=0.8)
        ax.set(xlabel=xlabel, title=measure, ylabel=f"{'' if measure == 'loyalty' else 'points '}from the mean")
        if not numeric:
            ax.set_xticks(range(len(places)), list(map(str, places)), rotation=35, ha="right", fontsize=8)
        ax.legend(fontsize=7.5)
    figure.supxlabel(f"published values: {source}", fontsize=7.5, color="0.35")
    return figure


def _variant(
    ax: Axes, table: pd.DataFrame, x: list[float], middle: float, color: str, name: str, numeric: bool
) -> None:
    reach = np.array([table["mean"] - table["low"], table["high"] - table["mean"]])
    label = f"{name}, n = {table['n'].min():.0f} (mean {_number(_mean(table['mean']))})"
    ax.errorbar(
        x, table["mean"] - middle, reach, fmt="o-" if numeric else "o", color=color, capsize=2, markersize=4,
        linewidth=1.3, label=label,
    )  # fmt: skip


def by_luck(table: pd.DataFrame, measure: str) -> Axes:
    """A row a figure: its published range and ours, each with the ranges that the seeds alone would make.

    The bar ends at the 95 % quantile of the range without any effect, the tick is its expectation.

    table: of `analysis.paper.luck.ranges`.
    """
    _, ax = plt.subplots(figsize=(8, 0.9 + 0.55 * len(table)))
    kinds = (("published, a run each", "black", "luck", "limit", "published"),
             ("ours, means over seeds", "C0", "our luck", "our limit", "ours"))  # fmt: skip
    for height, (_, row) in enumerate(table.iterrows()):
        for shift, (label, color, expected, limit, extent) in zip((-0.18, 0.18), kinds, strict=True):
            y = height + shift
            ax.barh(y, row[limit], height=0.3, color="0.85", label="" if height or shift > 0 else "95 % by luck alone")
            ax.plot(2 * [row[expected]], [y - 0.15, y + 0.15], color="0.4", linewidth=1.5)
            ax.plot(row[extent], y, "D" if extent == "published" else "o", color=color, label="" if height else label)
    ax.set_yticks(range(len(table)), [f"{name}, {row['settings']:.0f} settings" for name, row in table.iterrows()])
    ax.set(xlabel=f"range over the settings: {UNITS[measure]}", ylim=(len(table) - 0.5, -0.5), xlim=(0, None))
    ax.grid(axis="y", visible=False)
    ax.legend(loc="upper right", fontsize=8)
    return ax


def _mean(values: Any) -> float:
    return float(np.mean(np.asarray(values, dtype=np.float64)))


def _number(value: float) -> str:
    return f"{value:.1f}" if value > 1 else f"{value:.3f}"
