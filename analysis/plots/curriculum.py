"""Figures of the curriculum over a run."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from analysis.live.snapshots import Snapshot, easiest_to_hardest


def dynamics(history: pd.DataFrame, num_classes: int) -> Figure:
    """Four views of a run over epochs: losses against lambda, weights, adversarial weight, class entropy.

    Arguments:
        history: columns epoch, lam, loss, loss_q05 ... loss_q95, difficulty, weight_q05 ... weight_q95, mean_weight,
            adversarial_weight, class_entropy (nats).
        num_classes: number of classes of the data; it sets the line of the highest possible entropy.
    """
    figure, axes = plt.subplots(2, 2, figsize=(9, 5.8), sharex=True)
    epoch = history["epoch"]
    top_left, top_right, low_left, low_right = axes.flat
    _band(top_left, history, "loss", "C0", "sample loss")
    top_left.plot(epoch, history["loss"], color="0.3", linestyle="--", linewidth=1.2, label="plain mean")
    top_left.plot(epoch, history["difficulty"], color="C3", label="difficulty: weighted mean")
    top_left.plot(epoch, history["lam"], color="C1", label="pace λ")
    highest = max(history["lam"].max(), history["loss_q95"].max())
    top_left.set(title="Losses against the pace", ylabel="loss", ylim=(0, 1.6 * highest))  # room for the legend
    top_left.legend(ncols=2, loc="upper left", fontsize=8, columnspacing=1)
    _band(top_right, history, "weight", "C0", "weight")
    top_right.plot(epoch, history["mean_weight"], color="C3", label="mean weight")
    top_right.set(title="Weights follow", ylabel="weight v*", ylim=(0, 1.03))
    low_left.plot(epoch, history["adversarial_weight"], color="C1", drawstyle="steps-mid")
    low_left.set(title="The adversarial term ramps up", ylabel="adversarial weight", xlabel="epoch", ylim=(0, None))
    low_right.plot(epoch, history["class_entropy"] / np.log(2), color="C2")
    low_right.axhline(np.log2(num_classes), color="0.5", linewidth=1, linestyle="--")
    even = f"all {num_classes} classes equally often"
    low_right.annotate(even, (epoch.iloc[0], np.log2(num_classes)), xytext=(0, 4),
                       textcoords="offset points", fontsize=9, color="0.4")  # fmt: skip
    low_right.set(title="How evenly classes are drawn", ylabel="class entropy, bits", xlabel="epoch",
                  ylim=(0, 1.2 * np.log2(num_classes)))  # fmt: skip
    top_right.legend()
    return figure


def easy_to_hard(snapshots: Sequence[Snapshot], count: int = 12) -> Figure:
    """A row a snapshot: samples at equal steps of rank, from the smallest loss to the largest loss.

    Loss and weight stand above each sample.
    """
    figure, axes = plt.subplots(len(snapshots), count, figsize=(0.86 * count, 1.45 * len(snapshots)), squeeze=False)
    for row, taken in zip(axes, snapshots, strict=True):
        for ax, index in zip(row, easiest_to_hardest(taken, count), strict=True):
            ax.imshow(taken.images[index].permute(1, 2, 0).squeeze(-1).numpy(), vmin=0, vmax=1)
            loss, weight = float(taken.losses[index]), float(taken.weights[index])
            ax.set_title(f"ℓ {loss:.2f}\nv {weight:.2f}", fontsize=8, loc="center")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(f"epoch {taken.epoch}")
    figure.suptitle("Easiest (left) to hardest (right) sample of the same latents", fontsize=11, x=0.01, ha="left")
    return figure


def weighted_difficulty(snapshots: Sequence[Snapshot], ax: Axes | None = None) -> Axes:
    """Density of the weighted loss v l of each snapshot's samples (Gaussian kernel), with a line at the median."""
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 3.4))
    values = [(taken.weights * taken.losses).numpy() for taken in snapshots]
    grid = np.linspace(0, 1.1 * max(np.quantile(value, 0.995) for value in values), 300)
    for number, (taken, value) in enumerate(zip(snapshots, values, strict=True)):
        density = gaussian_kde(value)(grid)
        ax.plot(grid, density, color=f"C{number}", label=f"epoch {taken.epoch}, λ = {taken.lam:.2f}")
        ax.fill_between(grid, density, color=f"C{number}", alpha=0.15)
        ax.axvline(float(np.median(value)), color=f"C{number}", linewidth=1, linestyle="--")
    ax.set(xlabel="weighted loss v·ℓ of a generated sample (dashed: median)", ylabel="density", ylim=(0, None))
    ax.set_title("How hard the student's samples are for it")
    ax.legend()
    return ax


def granularities(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Accuracy and mean weight over epochs. Each granularity (sample, batch, none) has a line."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    for number, (name, history) in enumerate(histories.items()):
        left.plot(history["epoch"], 100 * history["accuracy"], color=f"C{number}", label=name)
        right.plot(history["epoch"], history["mean_weight"], color=f"C{number}", label=name)
        if name == "sample":
            low, high = history["weight_q05"], history["weight_q95"]
            right.fill_between(history["epoch"], low, high, color=f"C{number}", alpha=0.15, label="sample, 5 to 95 %")
    left.set(xlabel="epoch", ylabel="accuracy on held-out images, %", title="Accuracy, one run each")
    right.set(xlabel="epoch", ylabel="mean weight", title="Weights", ylim=(0, 1.03))
    left.legend(title="a weight per")
    right.legend()
    return figure


def _band(ax: Axes, history: pd.DataFrame, name: str, color: str, label: str) -> None:
    epoch = history["epoch"]
    for low, high, alpha, share in (("q05", "q95", 0.15, "5 to 95 %"), ("q25", "q75", 0.3, "25 to 75 %")):
        lower, upper = history[f"{name}_{low}"], history[f"{name}_{high}"]
        ax.fill_between(epoch, lower, upper, color=color, alpha=alpha, linewidth=0, label=f"{label}, {share}")
    ax.plot(epoch, history[f"{name}_q50"], color=color, label=f"{label}, median")
