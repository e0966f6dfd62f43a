"""Figures of mini-batches, of one weight per batch, and of the numbers that describe a curve of accuracy."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.theory.sgd import Walk
from cudfkd.evaluation import Estimate


def walk(walked: Walk, window: int = 50) -> Figure:
    """Phi over steps; share of falling steps in windows of steps; how often each change of Phi occurs, second half.

    The last panel shows 99 % of the changes, and its x label says how many lie outside.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6))
    left.plot(walked.objective, color="C0", linewidth=0.8)
    left.set(title="The objective on the way", xlabel="step", ylabel="Φ", ylim=(0, None))
    count = len(walked.change) // window
    windows = walked.change[: count * window].reshape(count, window)
    middles = (np.arange(count) + 0.5) * window
    middle.plot(middles, 100 * (windows < 0).mean(1), color="C0", marker=".")
    middle.axhline(50, color="0.5", linewidth=1, linestyle="--")
    middle.set(title=f"How often it falls, in windows of {window} steps", xlabel="step",
               ylabel="share of steps that fall, %", ylim=(0, 100))  # fmt: skip
    _changes(right, walked.change[len(walked.change) // 2 :])
    return figure


def _changes(ax: Axes, late: np.ndarray) -> None:
    """A histogram of changes of Phi: falls and rises in two colours, median and mean as marks above the bars."""
    reach = float(np.quantile(np.abs(late), 0.99))
    edges = np.linspace(-reach, reach, 41).tolist()  # 0 is an edge, so that no bar holds both falls and rises
    highest = np.histogram(late, edges)[0].max()
    for part, name, color in ((late[late < 0], "fall", "C0"), (late[late >= 0], "do not fall", "C1")):
        ax.hist(part, edges, color=color, alpha=0.7, label=f"{len(part)} steps {name}: mean {part.mean():+.3f}")
    for value, name, color in ((np.median(late), "median", "C2"), (late.mean(), "mean", "black")):
        ax.plot(value, 1.08 * highest, "v", color=color, markersize=7, label=f"{name} of all: {value:+.4f}")
    outside = (np.abs(late) > reach).sum()
    ax.set(title="Changes of Φ, second half", ylabel="number of steps", ylim=(0, 1.8 * highest),
           xlabel=f"change of Φ by a step ({outside} of {len(late)} outside)")  # fmt: skip
    ax.legend(loc="upper right", fontsize=8)


def mean_change(
    steps: Sequence[float], changes: Sequence[Estimate], drops: Sequence[float], bounds: Sequence[float]
) -> Axes:
    """Mean dPhi over batches against the step length, with intervals; -eta |grad|^2; the bound of T7."""
    _, ax = plt.subplots(figsize=(7, 4))
    means = np.array([change.value for change in changes])
    reach = np.array([[change.value - change.low, change.high - change.value] for change in changes]).T
    ax.errorbar(steps, means, reach, fmt="o", color="C0", capsize=3, label="mean over batches, 95 %")
    ax.plot(steps, drops, color="C2", label="−η |∇Φ|²")
    ax.plot(steps, bounds, color="C1", linestyle="--", label="bound of T7, with variance")
    ax.axhline(0, color="0.5", linewidth=0.8)
    ax.set(title="A longer step gains, then loses", xlabel="step length η", ylabel="mean change of Φ")
    ax.legend()
    return ax


def batch_sizes(values: Mapping[str, tuple[np.ndarray, float, float]]) -> Axes:
    """E F(lbar_B) over the batch size B, a line a problem, between mean F and F(mean) (dotted).

    values: by name of the problem: E F(lbar_B) for B = 1, 2 ..., and the two levels of the dotted lines.
    """
    _, ax = plt.subplots(figsize=(7, 3.8))
    for number, (name, (expected, low, high)) in enumerate(values.items()):
        ax.plot(np.arange(1, len(expected) + 1), expected, marker="o", color=f"C{number}", label=name)
        for level in (low, high):
            ax.axhline(level, color=f"C{number}", linewidth=0.9, linestyle=":")
    ax.plot([], [], color="0.4", linewidth=0.9, linestyle=":", label="one sample, and the whole pool")
    ax.set(title="Batch size decides which objective is descended", xlabel="batch size B", ylabel="E F(mean loss)")
    ax.legend()
    return ax


def modes(tables: Mapping[str, pd.DataFrame], column: str, label: str) -> Figure:
    """A panel a table: a line a seed across the granularities, and a line of the means over seeds. All share one scale.

    tables: by title, with columns granularity, seed and `column` (a share).
    """
    figure, axes = plt.subplots(1, len(tables), figsize=(4.6 * len(tables), 3.8), sharey=True, squeeze=False)
    for ax, (title, table) in zip(axes[0], tables.items(), strict=True):
        wide = 100 * table.pivot(index="seed", columns="granularity", values=column)[["sample", "batch", "none"]]
        ax.plot(wide.T.to_numpy(), color="0.7", linewidth=0.9)
        ax.plot(wide.mean().to_numpy(), color="C3", marker="o", linewidth=2, label="mean over seeds")
        ax.set_xticks(range(3), ["per sample", "per batch", "none"])
        ax.set(title=title, xlabel="weights", xlim=(-0.3, 2.3))
    axes[0][0].set_ylabel(label)
    axes[0][0].legend()
    return figure


def curves(accuracies: Sequence[Sequence[float]], level: float, ax: Axes | None = None) -> Axes:
    """Recorded accuracy over epochs, a line a seed, with a level and the first point of each line at the level."""
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 3.8))
    firsts = []
    for number, values in enumerate(accuracies):
        shares = np.asarray(values)
        label = "_other seed" if number else "a seed"
        ax.plot(np.arange(1, len(shares) + 1), 100 * shares, color="C0", alpha=0.5, linewidth=1, label=label)
        if (shares >= level).any():
            first = int((shares >= level).argmax())
            firsts.append((first + 1, 100 * shares[first]))
    ax.axhline(100 * level, color="0.4", linewidth=1, linestyle="--", label=f"level {100 * level:g} %")
    ax.plot(*np.array(firsts).reshape(-1, 2).T, "o", color="C1", markersize=5, label="first epoch at the level")
    ax.set(title="Ten seeds, one level", xlabel="epoch", ylabel="accuracy on dev, %")
    ax.legend(loc="lower right")
    return ax


def loyalty_scales(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Two definitions of loyalty over the noise (the index). The dotted line is the lowest value of the second one."""
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 3.8))
    for number, name in enumerate(table.columns):
        ax.semilogx(table.index, table[name], marker="o", color=f"C{number}", label=name)
    ax.axhline(1 - np.log(2) ** 0.25, color="C1", linewidth=0.8, linestyle=":", label="lowest value as published")
    ax.set(title="One student, two loyalties", xlabel="noise on the teacher's logits", ylabel="loyalty", ylim=(0, 1.02))
    ax.legend()
    return ax


def best_of(bias: pd.Series, seen: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Distance of the best of n epochs from the mean, in standard deviations: expected, and in recorded plateaus.

    Arguments:
        bias: the expected distance over n (the index).
        seen: a row a recorded run, with columns n and excess.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 3.8))
    ax.semilogx(bias.index, bias, color="C0", label="independent noise around a constant")
    ax.plot(seen["n"], seen["excess"], "x", color="C3", label="recorded runs")
    ax.set(title="Best of n flatters", xlabel="epochs n", ylabel="best − mean, in standard deviations", ylim=(0, None))
    ax.set_xticks(bias.index, [f"{n}" for n in bias.index])
    ax.minorticks_off()
    ax.legend()
    return ax
