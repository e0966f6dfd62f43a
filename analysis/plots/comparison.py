"""Figures of the decided comparison: accuracy on test beside published values, and CuDFKD against each rival."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import intervals


def on_test(table: pd.DataFrame, published: Mapping[str, float], source: str) -> Axes:
    """A row a method, best above: accuracy on test with its interval over seeds, and the published value.

    Arguments:
        table: of `analysis.studies.comparison.over_seeds`, in percent.
        published: published accuracies by method; source: their origin, in words.
    """
    ordered = table.sort_values("value", ascending=False)
    names = [str(name) for name in ordered.index]
    (ax,) = intervals.rows(names)
    intervals.estimates(ax, ordered)
    intervals.published(ax, names, published)
    ax.set(xlabel="accuracy on test, %", xlim=(0, 100))
    intervals.note(ax, f"point: ours, {intervals.over(ordered)}", color="C0", line=2)
    intervals.note(ax, f"diamond: {source}", color=intervals.PUBLISHED)
    return ax


def against(tables: Mapping[str, pd.DataFrame], margin: float = 0.0) -> Figure:
    """A row a rival: the paired difference CuDFKD - rival with its interval, a panel a number; the line at 0 is none.

    Arguments:
        tables: by label of the axis, of `analysis.studies.comparison.estimated`; the order of the first is drawn.
        margin: difference that still counts as none, in the unit of the panels; 0: none.
    """
    order = next(iter(tables.values())).index
    axes = intervals.rows([str(name) for name in order], len(tables), width=max(6.4, 0.8 + 2.6 * len(tables)))
    for ax, (label, table) in zip(axes, tables.items(), strict=True):
        intervals.estimates(ax, table.loc[order].rename(columns={"difference": "value"}))
        ax.set_xlabel(label)
        intervals.zero(ax, "rival ahead", "CuDFKD ahead")
        if margin:
            _margin(ax, margin)
    return intervals.headline(axes, "Paired by seed. Points: means over seeds. Lines: their 95 % intervals")


def _margin(ax: Axes, margin: float) -> None:
    ax.axvline(-margin, color=intervals.PUBLISHED, linewidth=1, linestyle=":")
    ax.annotate(
        f"margin {margin:g}", (-margin, 0.01), xycoords=("data", "axes fraction"), ha="right", va="bottom",
        rotation=90, fontsize=8, color=intervals.PUBLISHED,
    )  # fmt: skip
