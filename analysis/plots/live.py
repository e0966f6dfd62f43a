"""Figures of accounts of live runs: stacks of the parts and their sum, drift and its bounds, shares of dead steps."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.live.accounts import Account
from cudfkd.evaluation import Estimate

PARTS = {"student": "C0", "lambda": "C2", "generator": "C1"}


def accounts(runs: Mapping[str, Account], columns: int = 3) -> Figure:
    """A panel a run: the changes by student, lambda and generator so far. Positive parts stack up, negative parts down.

    The black line is the measured change of Phi. The dashed line is the sum of both stacks and must lie on it. Each
    panel has its own scale, as the parts of some runs are many times larger than the parts of other runs.
    """
    rows = -(-len(runs) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.2 * columns, 3.3 * rows), squeeze=False, sharex=True)
    for ax, (name, run) in zip(axes.flat, runs.items(), strict=False):
        _stack(ax, run.steps)
        ax.set(title=name, ylabel="change of Φ so far")
    _finish(axes, len(runs), "student step")
    return figure


def parts_by_variant(parts: Mapping[str, Mapping[str, Estimate]], ax: Axes | None = None) -> Axes:
    """Bars of the change of Φ by each part over a run: mean over seeds with its interval, by variant.

    parts: estimates by variant and by part ("student", "lambda", "generator", "total").
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 3.6))
    width = 0.8 / 4
    for number, (label, color) in enumerate((PARTS | {"total": "black"}).items()):
        estimates = [by_part[label] for by_part in parts.values()]
        means = np.array([estimate.value for estimate in estimates])
        reach = np.array([[estimate.value - estimate.low, estimate.high - estimate.value] for estimate in estimates]).T
        positions = np.arange(len(estimates)) + (number - 1.5) * width
        ax.bar(positions, means, width, yerr=np.maximum(reach, 0), color=color, alpha=0.8, capsize=2, label=label)
    ax.axhline(0, color="0.4", linewidth=0.8)
    ax.set_xticks(range(len(parts)), [name.replace(" ", "\n") for name in parts])
    ax.set(xlabel="variant of the run", ylabel="change of Φ over the run", title="Who changed the objective")
    ax.legend(ncols=4)
    return ax


def drift_bounds(runs: Mapping[str, Account], columns: int = 3) -> Figure:
    """A panel a run, a point a turn of the generator: |Gamma| and its two bounds over rounds.

    A logarithmic axis cannot show 0. So the panel says which values are 0, and in how many rounds.
    """
    rows = -(-len(runs) // columns)
    size = (4.2 * columns, 3.0 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, sharex=True, sharey=True)
    for ax, (name, run) in zip(axes.flat, runs.items(), strict=False):
        table = run.drift
        for column, color, label in (("plain", "0.6", "mean |Δℓ|"), ("coupled", "C3", "mean v*(min) |Δℓ|")):
            ax.semilogy(table.index, _positive(table[column]), color=color, linewidth=1.2, label=label)
        ax.semilogy(table.index, _positive(table["gamma"].abs()), ".", color="C1", markersize=4, label="|Γ| measured")
        ax.set_title(name)
        ax.text(0.5, 0.06, _absent(ax, len(table)), transform=ax.transAxes, ha="center", fontsize=8)
    for row in axes:
        row[0].set_ylabel("change of Φ in a turn\nof the generator")
    _finish(axes, len(runs), "round")
    return figure


def dead_maps(shares: Mapping[str, pd.DataFrame]) -> Figure:
    """A panel a regularizer: share of dead steps by lambda at the start (rows) and growth of lambda (columns)."""
    figure, axes = plt.subplots(1, len(shares), figsize=(5.2 * len(shares), 3.8), squeeze=False, layout="constrained")
    for ax, (name, table) in zip(axes[0], shares.items(), strict=True):
        shown = ax.imshow(table.to_numpy(), vmin=0, vmax=1, cmap="magma_r", aspect="auto")
        for (row, column), value in np.ndenumerate(table.to_numpy()):
            ax.annotate(f"{100 * value:.0f} %", (column, row), ha="center", va="center", fontsize=9,
                        color="white" if value > 0.4 else "black")  # fmt: skip
        ax.set_xticks(range(table.shape[1]), [f"{float(column):g}" for column in table.columns])
        ax.set_yticks(range(table.shape[0]), [f"{float(row):g}" for row in table.index])
        ax.set(xlabel="λ at the end / λ at the start", ylabel="λ at the start", title=name)
        ax.grid(visible=False)
        figure.colorbar(shown, ax=ax, label="share of dead steps")
    return figure


def paces(fixed: Mapping[str, pd.DataFrame], following: Mapping[str, pd.Series]) -> Figure:
    """A column a loss. Top: accuracy over lambda at the start. Bottom: share of dead steps. A band marks the moving
    quantile.

    Arguments:
        fixed: tables by loss for lambda on schedule: index lambda at the start, columns accuracy, low, high, dead
            (shares).
        following: rows by loss for the moving quantile, with the same four entries.
    """
    figure, axes = plt.subplots(
        2, len(fixed), figsize=(4.0 * len(fixed), 5.2), sharex=True, sharey="row", squeeze=False
    )
    for (above, below), (name, table) in zip(axes.T, fixed.items(), strict=True):
        mean, own = 100 * table["accuracy"], following[name]
        spread = np.array([mean - 100 * table["low"], 100 * table["high"] - mean])
        above.errorbar(table.index, mean, spread, marker="o", color="C0", capsize=3, label="λ on schedule")
        above.axhline(100 * own["accuracy"], color="C3", label="moving quantile")
        above.axhspan(100 * own["low"], 100 * own["high"], color="C3", alpha=0.2, linewidth=0)
        below.plot(table.index, 100 * table["dead"], marker="o", color="C0")
        below.axhline(100 * own["dead"], color="C3")
        above.set(title=name, xscale="log", ylim=(0, 100))
        below.set(xlabel="λ at the start (twice that at the end)", ylim=(-4, 104))
        below.set_xticks(table.index, [f"{pace:g}" for pace in table.index])
        below.minorticks_off()
    axes[0][0].set_ylabel("accuracy on dev, %")
    axes[1][0].set_ylabel("dead steps, %")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _finish(axes: np.ndarray, used: int, xlabel: str) -> None:
    """Labels the lowest used panel of each column. Puts the legend in the first unused place, or in the last panel."""
    for ax in axes.flat[used:]:
        ax.set_axis_off()
    for ax in axes.flat[max(0, used - axes.shape[1]) : used]:
        ax.set_xlabel(xlabel)
        ax.tick_params(labelbottom=True)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    axes.flat[min(used, axes.size - 1)].legend(handles, labels, loc="center" if used < axes.size else "best")


def _stack(ax: Axes, steps: pd.DataFrame) -> None:
    at = np.concatenate([[steps.index[0] - 1], steps.index])
    above, below = np.zeros(len(at)), np.zeros(len(at))
    for name, color in PARTS.items():
        so_far = np.concatenate([[0.0], np.cumsum(steps[name].to_numpy())])
        up, down = np.maximum(so_far, 0), np.minimum(so_far, 0)
        ax.fill_between(at, above, above + up, color=color, alpha=0.45, linewidth=0, label=name)
        ax.fill_between(at, below, below + down, color=color, alpha=0.45, linewidth=0)
        above, below = above + up, below + down
    measured = np.concatenate([[0.0], steps["end"].to_numpy() - steps["start"].iloc[0]])
    ax.plot(at, measured, color="black", linewidth=1.6, label="measured Φ − Φ(0)")
    ax.plot(at, above + below, color="gold", linewidth=1.0, linestyle="--", label="sum of the stacks")
    ax.axhline(0, color="0.4", linewidth=0.8)


def _absent(ax: Axes, rounds: int) -> str:
    """The lines of a logarithmic axis that have values of 0, in words: a line each."""
    zeros = {line.get_label(): int(np.isnan(np.asarray(line.get_ydata(), dtype=float)).sum()) for line in ax.lines}
    return "\n".join(f"{label}: 0 in {count} of {rounds} rounds" for label, count in zeros.items() if count)


def _positive(values: Any) -> list[float]:
    array = np.asarray(values, dtype=np.float64)
    return np.where(array > 1e-18, array, np.nan).tolist()
