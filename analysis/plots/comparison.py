"""Figures of the decided comparison: accuracy on test beside published values, and CuDFKD against each rival."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

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
    intervals.note(ax, f"point: ours, 95 % interval over n = {ordered['n'].min():.0f} seeds", color="C0", line=2)
    intervals.note(ax, f"diamond: {source}", color=intervals.PUBLISHED)
    return ax


def against(table: pd.DataFrame, label: str, margin: float = 0.0) -> Axes:
    """A row a rival: the paired difference CuDFKD - rival with its interval, the line at 0, and the margin.

    Arguments:
        table: of `analysis.studies.comparison.estimated`.
        label: the difference and its unit.
        margin: difference that still counts as none, in the same unit; 0: none.
    """
    (ax,) = intervals.rows([str(name) for name in table.index])
    intervals.estimates(ax, table.rename(columns={"difference": "value"}))
    ax.set_xlabel(label)
    intervals.zero(ax, "rival ahead", "CuDFKD ahead")
    if margin:
        ax.axvline(-margin, color=intervals.PUBLISHED, linewidth=1, linestyle=":")
        ax.annotate(
            f"margin {margin:g}", (-margin, 0.01), xycoords=("data", "axes fraction"), ha="right", va="bottom",
            rotation=90, fontsize=8, color=intervals.PUBLISHED,
        )  # fmt: skip
    return ax
