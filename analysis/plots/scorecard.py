"""Figure of the scorecard: every check lies left of its tolerance, every control right of the tolerance."""

from collections.abc import Hashable, Mapping
from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

ROOM = 1e-18  # position of violations <= 0: the statement holds with room
FAR = 1e3  # position of the largest violations
MEASURED = ("worst violation", "control's violation", "tolerance")
KINDS = {"exact": ("o", "C0"), "statistical": ("s", "C4"), "by construction": (".", "0.55")}


def scorecard(rows: pd.DataFrame) -> Axes:
    """A line a check: worst violation, tolerance, and violation of the control, on one logarithmic axis.

    A check that fails or is void is red. A stale check is faint.

    rows: result of `analysis.evidence.scorecard.Scorecard.rows`; the first row is the highest line.
    """
    figure, ax = plt.subplots(figsize=(9, 1.9 + 0.115 * len(rows)))
    ax.set(title=_title(list(rows["verdict"])), xscale="log", ylabel="theorem, a line a check")
    ax.set(xlabel="worst violation", xlim=(ROOM / 6, 6 * FAR), ylim=(max(len(rows), 1) - 0.5, -0.5))
    marks = (1e-15, 1e-10, 1e-5, 1.0)
    ax.set_xticks([ROOM, *marks, FAR], ["≤ 0", *(f"$10^{{{np.log10(mark):.0f}}}$" for mark in marks), "≥ 10³"])
    ax.minorticks_off()
    ax.grid(visible=False)
    _bands(ax, list(rows["theorem"]))
    for height, row in enumerate(rows.to_dict("records")):
        _line(ax, height, row)
    figure.legend(handles=_keys(), loc="outside lower center", ncols=5)
    return ax


def _title(verdicts: list[str]) -> str:
    wrong = sum(not verdict.startswith("holds") for verdict in verdicts)
    if wrong or not verdicts:
        return f"{wrong} of {len(verdicts)} checks fail, are void or undecided" if wrong else "No checks yet"
    return f"All {len(verdicts)} checks stay left of their tolerance, and their controls land right of it"


def _line(ax: Axes, height: int, row: Mapping[Hashable, Any]) -> None:
    passed = row["verdict"].startswith("holds")
    marker, color = KINDS[row["kind"].split(":")[0]]
    faint = 0.3 if "stale" in row["verdict"] else 1.0
    reached, undone, limit = (_shown(row[name]) for name in MEASURED)
    ax.plot([reached, undone], [height] * 2, color="0.85" if passed else "red", linewidth=0.7, zorder=1)
    ax.plot([limit] * 2, [height - 0.5, height + 0.5], color="black", linewidth=1.4, zorder=2)
    ax.plot(reached, height, marker, color=color if passed else "red", markersize=4, alpha=faint)
    ax.plot(undone, height, "D", color="C1" if passed else "red", markersize=3.2, alpha=faint)


def _bands(ax: Axes, names: list[str]) -> None:
    """Shades a band for every second theorem, and writes the theorems' names at the axis."""
    middles, start = [], 0
    for number, (_, members) in enumerate(groupby(names)):
        count = len(list(members))
        if number % 2 == 0:
            ax.axhspan(start - 0.5, start + count - 0.5, color="0.96", zorder=0)
        middles.append(start + (count - 1) / 2)
        start += count
    ax.set_yticks(middles, [name for name, _ in groupby(names)])
    ax.tick_params(axis="y", length=0)


def _keys() -> list[Line2D]:
    drawn = [Line2D([], [], marker=marker, color=color, linestyle="", markersize=5, label=f"check, {kind}")
             for kind, (marker, color) in KINDS.items()]  # fmt: skip
    drawn.append(Line2D([], [], color="black", linewidth=1.4, label="tolerance"))
    drawn.append(Line2D([], [], marker="D", color="C1", linestyle="", markersize=4, label="its control"))
    return drawn


def _shown(violation: float) -> float:
    """The violation, moved into the range of the axis. NaN counts as the largest violation."""
    return float(np.clip(np.nan_to_num(violation, nan=FAR, posinf=FAR), ROOM, FAR))
