"""Figures of training as a course: accuracy against several clocks, steadiness, times to a level, parts of a target."""

from collections.abc import Mapping, Sequence
from math import ceil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import intervals
from analysis.plots.intervals import OURS

COLUMNS = 3
RIVAL, OWN = "C0", "C1"


def bands(curves: Mapping[str, pd.DataFrame], label: str, reference: str = "kd") -> Figure:
    """A panel a method: its accuracy and CuDFKD's, as lines of means with bands from the lowest to the highest seed.

    The dashed line is the last accuracy of the reference, which studies real images.

    Arguments:
        curves: of `analysis.studies.curves.bands`; methods whose clock stands still are left out.
        label: name of the clock.
        reference: name of the reference.
    """
    rivals = [name for name, curve in curves.items() if name != OURS and curve["clock"].iloc[-1] > 0]
    count = ceil(len(rivals) / COLUMNS)
    figure, axes = plt.subplots(
        count, COLUMNS, figsize=(6.6, 1.5 * count + 0.6), sharex=True, sharey=True, squeeze=False
    )
    for number, ax in enumerate(axes.flat):
        ax.set_visible(number < len(rivals))
    for number, (name, ax) in enumerate(zip(rivals, axes.flat, strict=False)):
        ax.axhline(float(curves[reference]["mean"].iloc[-1]), color="0.4", linewidth=1, linestyle="--")
        for method, color in ((name, RIVAL), (OURS, OWN)):
            curve = curves[method]
            ax.fill_between(curve["clock"], curve["low"], curve["high"], color=color, alpha=0.25, linewidth=0)
            ax.plot(curve["clock"], curve["mean"], color=color, linewidth=1.4, label=method)
        ax.set_title(name, color=RIVAL, fontsize=10)
        ax.set_ylim(0, 100)
        ax.tick_params(labelbottom=number + COLUMNS >= len(rivals))
    first = axes[0, 0]
    first.text(0.97, 0.06, "orange: CuDFKD", transform=first.transAxes, ha="right", fontsize=8, color=OWN)
    intervals.headline([first], f"Dashed: {reference}, on real images. Bands: lowest to highest seed")
    figure.supxlabel(label, fontsize=10)
    figure.supylabel("accuracy on dev, %", fontsize=10)
    return figure


def beside_published(curves: Mapping[str, pd.DataFrame], published: Mapping[str, pd.Series], source: str) -> Figure:
    """A panel a method with published values: our accuracy over the share of the run, and these values as diamonds.

    Arguments:
        curves: of `analysis.studies.curves.bands`, for any clock.
        published: by method, accuracies in percent by the share of the run in percent.
        source: their origin, in words.
    """
    figure, axes = plt.subplots(1, len(published), figsize=(7.0, 3.0), sharex=True, sharey=True, squeeze=False)
    for ax, (name, values) in zip(axes[0], published.items(), strict=True):
        curve = curves[name]
        share = 100 * curve.index.to_numpy() / curve.index[-1]
        ax.fill_between(share, curve["low"], curve["high"], color="C0", alpha=0.25, linewidth=0)
        ax.plot(share, curve["mean"], color="C0")
        ax.plot(values.index, values, "D", color=intervals.PUBLISHED, markerfacecolor="white", markersize=5)
        ax.set(title=name, ylim=(0, 100))
    figure.supxlabel("share of the run, %", fontsize=10)
    figure.supylabel("accuracy, %", fontsize=10)
    return intervals.headline([axes[0, 0]], f"Lines: ours, on dev. Bands: lowest to highest seed\nDiamonds: {source}")


def steadiness(tables: Mapping[str, pd.DataFrame], published: Mapping[str, tuple[float, float]], source: str) -> Figure:
    """A row a method: mean accuracy over training, its variance, deviation, largest fall, each with its interval.

    Arguments:
        tables: mu, sigma2, deviation and fall, of `analysis.studies.comparison.over_seeds`; the order of mu is drawn.
        published: by method, the published pair of mean and variance; source: the origin of these values, in words.
    """
    names = [str(name) for name in tables["mu"].index]
    left, middle, right, last = intervals.rows(names, 4, width=9.2)
    for ax, name in ((left, "mu"), (middle, "sigma2"), (right, "deviation"), (last, "fall")):
        intervals.estimates(ax, tables[name].loc[names])
    for ax, place in ((left, 0), (middle, 1)):
        intervals.published(ax, names, {name: pair[place] for name, pair in published.items()}, shift=0.25)
    left.set(xlabel="mean accuracy\nover epochs, %", xlim=(0, 100))
    middle.set_xlabel("variance over epochs, %²")
    right.set_xlabel("deviation around a line,\nlast four fifths, %")
    last.set_xlabel("largest fall below\nthe best so far, points")
    for ax in (middle, right, last):
        _from_zero(ax)
    words = f"Points: ours, on dev; {intervals.over(tables['mu'])}\n"
    words += f"Diamonds: {source}; the variance as it is printed there"
    return intervals.headline([left], words)


def times(tables: Mapping[str, pd.DataFrame], reached: Mapping[str, str], title: str) -> Figure:
    """A row a method: mean time to a level with its interval, a panel a clock; and how many runs got there.

    Arguments:
        tables: by name of the clock, of `analysis.studies.comparison.over_seeds`; the order of the first is drawn.
        reached: by method, how many runs got there, in words.
        title: level, in words.
    """
    order = next(iter(tables.values())).index
    axes = intervals.rows([f"{name}: {reached[name]}" for name in order], len(tables), width=8.2)
    for ax, (clock, table) in zip(axes, tables.items(), strict=True):
        drawn = table.loc[order]
        intervals.estimates(ax, drawn.assign(low=drawn["low"].clip(lower=0)))
        ax.set_xlabel(clock)
        ax.locator_params(axis="x", nbins=4)
        _from_zero(ax)
    axes[0].get_yticklabels()[list(order).index(OURS)].set_fontweight("bold")
    return intervals.headline(
        axes, f"{title}. Beside the name: runs that got there\nNever there: counted as the longest run"
    )


def gains(
    tables: Mapping[str, pd.DataFrame], left: Sequence[str], right: Sequence[str], difference: str, row: str = "method"
) -> Figure:
    """A row a method or part: paired differences with 95 % intervals, a panel a number; the line at 0 is no difference.

    Arguments:
        tables: by label of the axis, of `analysis.studies.comparison.estimated`; the order of the first is drawn.
        left, right: words for differences below and above 0, one a panel.
        difference: the two things that are compared, in words.
        row: name of the vertical axis.
    """
    order = next(iter(tables.values())).index
    axes = intervals.rows([str(name) for name in order], len(tables), width=2.4 + 2.5 * len(tables))
    for ax, (label, table), less, more in zip(axes, tables.items(), left, right, strict=True):
        intervals.estimates(ax, table.loc[order].rename(columns={"difference": "value"}))
        ax.set_xlabel(label)
        intervals.zero(ax, less, more)
    axes[0].set_ylabel(row)
    return intervals.headline(axes, f"{difference}. Points: means of pairs over seeds. Lines: their 95 % intervals")


def repeated(repeat: pd.DataFrame, measure: str, name: str, ax: Axes | None = None) -> Axes:
    """A recorded curve with its tolerance in each epoch, and the points of the run that was made again.

    Arguments:
        repeat: of `analysis.studies.again.beginning`.
        measure: column of the measure; name: its name and unit, for the axis.
    """
    ax = ax or plt.subplots(figsize=(6, 3.2))[1]
    recorded, limit = (100 * repeat[f"{measure}_{suffix}"] for suffix in ("recorded", "limit"))
    ax.errorbar(
        repeat.index, recorded, limit, color="0.3", ecolor="0.85", elinewidth=9, label="recorded, with tolerance"
    )
    ax.plot(repeat.index, 100 * repeat[measure], "o", color="C1", label="made again, just now")
    ax.set(xlabel="epoch", ylabel=name, ylim=(0, 100), xticks=np.unique(repeat.index.to_numpy()))
    ax.legend(loc="lower right")
    return ax


def _from_zero(ax: Axes) -> None:
    """Lets an axis of numbers that are never below 0 begin just left of 0, so that a point at 0 is whole."""
    high = ax.get_xlim()[1]
    ax.set_xlim(-0.04 * high, high)
