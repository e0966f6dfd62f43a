"""Figures of T10 to T14: a floor under the gradients, a linear rate, priors of the weights, TP2, the price of Phi."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.theory.estimators import Prior
from cudfkd import regularizers

PARTS = {"fallen": "what Φ lost", "lambda": "what λ put back", "generator": "what the generator put back"}


def tracking_floor(bounds: pd.DataFrame, shares: pd.DataFrame) -> Figure:
    """Left: T10's bound over the number of steps, a line a speed of the target. Right: the parts of live bounds.

    Arguments:
        bounds: a row a number of steps, a column a speed; the gradients' own mean is the square of the speed.
        shares: a row a variant of live runs, with the columns fallen, lambda and generator that add up to 1.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=(4, 5))
    for number, speed in enumerate(bounds.columns):
        left.loglog(bounds.index, bounds[speed], color=f"C{number}")
        left.axhline(float(speed) ** 2, color=f"C{number}", linestyle=":")
        left.annotate(f"speed {speed:g}", (bounds.index[0], bounds[speed].iloc[0]), color=f"C{number}",
                      xytext=(3, 4), textcoords="offset points")  # fmt: skip
    left.set(title="Bound (line) and mean squared gradient (dotted)", xlabel="steps K", ylabel="mean of |∇Φ|²",
             ylim=(None, 1.5 * float(bounds.to_numpy().max())))  # fmt: skip
    edge = np.zeros(len(shares))
    for number, (column, words) in enumerate(PARTS.items()):
        width = shares[column].to_numpy()
        right.barh(shares.index, width, left=edge, color=f"C{number}", label=words)
        for row, (start, wide) in enumerate(zip(edge, width, strict=True)):
            if wide > 0.08:
                right.text(start + wide / 2, row, f"{100 * wide:.0f} %", ha="center", va="center", color="white")
        edge = edge + width
    right.set(title="What the bound of a live run is made of", xlabel="share of the bound, mean over seeds",
              ylabel="variant of the run")  # fmt: skip
    right.invert_yaxis()
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
    return figure


def linear_rates(runs: Mapping[str, pd.DataFrame], valley: Mapping[float, pd.DataFrame]) -> Figure:
    """Left: Φ over steps and T11's promise. Right: the expected change of Φ by a step with one sample, in the valley.

    Arguments:
        runs: by name, tables with the columns objective and promise, relative to Φ at the start, a row a step.
        valley: by step length, tables with the column `one sample`, a row a distance from the fit.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
    for number, (name, table) in enumerate(runs.items()):
        left.semilogy(table.index, table["objective"], color=f"C{number}", label=f"{name}: the run")
        left.semilogy(table.index, table["promise"], color=f"C{number}", linestyle="--", label=f"{name}: the promise")
    left.set(
        title="A perfect fit is approached at a linear rate", xlabel="step k", ylabel="Φ(k) / Φ(0)", ylim=(1e-14, 3)
    )
    left.legend()
    for number, (step, table) in enumerate(valley.items()):
        right.semilogx(table.index, 100 * table["one sample"], color=f"C{number}", label=f"step length {step:g}")
    right.axhline(0, color="0.4", linewidth=1)
    right.set(title="Without growth a step climbs near the fit", xlabel="distance from the fit",
              ylabel="mean change of Φ, %")  # fmt: skip
    right.legend()
    return figure


def weight_priors(priors: Mapping[str, Prior], lam: float, most: float = 8.0) -> Figure:
    """Top: the prior of each random weight. Bottom: its posterior mean (dots) on the regularizer's weight (line)."""
    figure, axes = plt.subplots(2, len(priors), figsize=(3 * len(priors), 5.2), sharey="row", squeeze=False)
    losses = torch.linspace(0, most, 200, dtype=torch.float64)
    for (above, below), (name, prior) in zip(axes.T, priors.items(), strict=True):
        discrete = len(prior.nodes) < 200
        if discrete:
            above.vlines(prior.nodes, 0, prior.masses / prior.masses.max(), color="C0", linewidth=4)
        else:
            density = prior.masses / prior.nodes
            above.fill_between(prior.nodes, density / density.max(), color="C0", alpha=0.4)
        above.set(
            title=f"{name}: {prior.name}", xlabel="random weight ω", xlim=(-0.1, 3.1), ylim=(0, 1.1), xticks=range(4)
        )
        below.plot(losses, regularizers.get(name).weight(losses, lam), color="0.6", label="weight v*")
        means = prior.posterior_mean(losses[::12].numpy())
        below.plot(losses[::12], means, "o", color="C1", markersize=5, label="posterior mean ζ·E[ω | ℓ]")
        below.set(xlabel=f"loss ℓ (λ = {lam:g})", ylim=(0, 1.05))
    axes[0][0].set_ylabel("prior, as a share of its peak")
    axes[1][0].set_ylabel("weight")
    axes[1][0].legend(loc="upper right", fontsize=8)
    return figure


def tp2_decides(pairs: Mapping[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """Two samples at two paces, a dot a pair: the change of the KL divergence over the change of the weights' ratio.

    Arguments:
        pairs: by name of the weight, tables with the columns ratio (late minus early v_2 / v_1) and rise (of KL).
    """
    ax = ax or plt.subplots(figsize=(7, 4.2))[1]
    for number, (name, table) in enumerate(pairs.items()):
        ax.plot(table["ratio"], table["rise"], "o", markersize=4, alpha=0.6, color=f"C{number}", label=name)
    ax.axhline(0, color="0.4", linewidth=1)
    ax.axvline(0, color="0.4", linewidth=1)
    ax.text(0.9, 0.06, "TP2 holds: Π approaches P", transform=ax.transAxes, ha="right")
    ax.text(0.08, 0.94, "TP2 fails: Π leaves P", transform=ax.transAxes, va="top")
    ax.set(title="The ratio of two weights decides, for every pair", xlabel="change of v(hard) / v(easy)",
           ylabel="change of KL(Π ‖ P)")  # fmt: skip
    ax.legend(loc="upper right")
    return ax


def curriculum_price(prices: Mapping[str, pd.DataFrame], lost: Mapping[str, Mapping[int, float]]) -> Figure:
    """Left: the price of Φ over λ, and its bound. Right: the price comes to its bound as the samples become many.

    Arguments:
        prices: by name of a regularizer, tables with the columns ratio and bound, a row a λ.
        lost: by name, the ratio over the bound, by number of samples, where one sample of n is lost.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
    for number, (name, table) in enumerate(prices.items()):
        left.loglog(table.index, table["ratio"], color=f"C{number}", label=f"{name}: the price")
        left.loglog(table.index, table["bound"], color=f"C{number}", linestyle="--", label=f"{name}: its bound M/F(M)")
    left.set(title="Points on a line, three of ten far away", xlabel="pace λ", ylabel="J at the minimiser of Φ / inf J")
    left.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    left.minorticks_off()
    left.legend()
    for number, (name, ratios) in enumerate(lost.items()):
        right.semilogx(list(ratios), list(ratios.values()), marker=".", color=f"C{number}", label=name)
    right.axhline(1, color="0.4", linewidth=1)
    right.set(title="One lost sample of n, or all a little wrong", xlabel="number of samples n",
              ylabel="price / bound")  # fmt: skip
    right.legend(loc="lower right")
    return figure
