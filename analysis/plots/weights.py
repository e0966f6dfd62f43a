"""Figures of a sample and its weight, of the latent loss of the weights, and of the distribution Pi by the weights."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from analysis.checks import validate
from cudfkd import regularizers

VERDICTS = {"holds": "#cfe8dc", "changed": "#fbe3a6", "fails": "#f0b9a0"}
EASY_TO_HARD = "viridis"


def valleys(name: str, lam: float, losses: Sequence[float]) -> Figure:
    """Left: the cost v l + g(v) over v, a line a loss, with its lowest point. Right: the lowest points on v*(l)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
    reg, v = regularizers.get(name), torch.linspace(1e-3, 1, 300, dtype=torch.float64)
    axis = torch.linspace(0, 1.15 * max(losses), 300, dtype=torch.float64)
    right.plot(axis, reg.weight(axis, lam), color="0.6", label=f"closed form v*, λ = {lam:g}")
    for loss, color in zip(losses, _colors(len(losses)), strict=True):
        best = float(reg.weight(torch.tensor([loss], dtype=torch.float64), lam))
        lowest = float(reg.latent(torch.tensor([loss], dtype=torch.float64), lam))
        left.plot(v, v * loss + reg.penalty(v, lam), color=color, label=f"ℓ = {loss:g}")
        left.plot([best], [lowest], "o", color=color, markersize=8, zorder=3)
        right.plot([loss], [best], "o", color=color, markersize=8, zorder=3)
    left.set(title="A larger loss moves the lowest point to the left", xlabel="weight v", ylabel="cost v·ℓ + g(v)")
    right.set(title="Where the lowest points lie", xlabel="loss ℓ", ylabel="best weight v*(ℓ)", ylim=(-0.03, 1.05))
    left.legend(loc="upper left", ncols=2)
    right.legend()
    return figure


def one_weight(name: str, lam: float, loss: float, most: float = 10.0) -> Figure:
    """Left: the cost over v for a loss and a pace. Right: the loss and its best weight on the curve v*(l)."""
    reg = regularizers.get(name)
    validate.pace(reg, lam)
    validate.at_least("loss", loss, 0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    at = torch.tensor([loss], dtype=torch.float64)
    v, axis = (torch.linspace(low, high, 300, dtype=torch.float64) for low, high in ((1e-3, 1), (0, most)))
    best, lowest = float(reg.weight(at, lam)), float(reg.latent(at, lam))
    left.plot(v, v * loss, color="0.6", linestyle="--", label="v·ℓ: what the sample costs")
    left.plot(v, reg.penalty(v, lam), color="0.6", linestyle=":", label="g(v): what leaving it out costs")
    left.plot(v, v * loss + reg.penalty(v, lam), color="C0", label="their sum")
    left.plot([best], [lowest], "o", color="C1", markersize=8, label=f"lowest at v = {best:.3f}")
    right.plot(axis, reg.weight(axis, lam), color="C0", label=f"v*(ℓ), λ = {lam:g}")
    right.plot([loss], [best], "o", color="C1", markersize=8, label=f"ℓ = {loss:g}, v* = {best:.3f}")
    left.set(title="The price of each weight", xlabel="weight v", ylabel="cost", ylim=(0, 1.9 * max(loss, lam)))
    right.set(title="The best weight", xlabel="loss ℓ", ylabel="weight v*", xlim=(0, most), ylim=(-0.03, 1.05))
    for ax in (left, right):
        ax.legend()
    return figure


def slider_frames(name: str, lams: Sequence[float], loss: float) -> Figure:
    """The costs of `weight_slider` at a few values of the pace, side by side, for a page without a live notebook."""
    reg, v = regularizers.get(name), torch.linspace(1e-3, 1, 300, dtype=torch.float64)
    for lam in lams:
        validate.pace(reg, lam)
    figure, axes = plt.subplots(1, len(lams), figsize=(9, 2.9), sharex=True, sharey=True, squeeze=False)
    at = torch.tensor([loss], dtype=torch.float64)
    for ax, lam in zip(axes[0], lams, strict=True):
        best, lowest = float(reg.weight(at, lam)), float(reg.latent(at, lam))
        ax.plot(v, v * loss + reg.penalty(v, lam), color="C0")
        ax.plot([best], [lowest], "o", color="C1", markersize=8)
        ax.set(title=f"λ = {lam:g}: v* = {best:.3f}", xlabel="weight v")
    axes[0][0].set_ylabel(f"cost at ℓ = {loss:g}")
    return figure


def weights_by_pace(curves: pd.DataFrame, half: Mapping[float, float], ax: Axes | None = None) -> Axes:
    """The weight v*(l), a line a lambda, with a dot at half weight.

    Arguments:
        curves: columns lam, loss, weight.
        half: the loss of half weight, by lambda.
    """
    ax = plt.subplots(figsize=(6.5, 3.6))[1] if ax is None else ax
    groups = _groups(curves, "lam")
    for (lam, rows), color in zip(groups, _colors(len(groups)), strict=True):
        ax.plot(rows["loss"], rows["weight"], color=color, label=f"λ = {lam:g}")
        ax.plot([half[lam]], [0.5], "o", color=color)
    ax.axhline(0.5, color="0.6", linewidth=0.8, linestyle="--")
    ax.set(title="The pace moves the step to the right (dots: half weight)", xlabel="loss ℓ", ylabel="weight v*(ℓ; λ)")
    ax.set_ylim(-0.03, 1.05)
    ax.legend()
    return ax


def area(curve: pd.DataFrame, loss: float) -> Figure:
    """Top: v* with the area from 0 to `loss`. Bottom: F; its height at `loss` equals the area.

    curve: columns loss, weight, latent.
    """
    figure, (top, low) = plt.subplots(2, 1, figsize=(6.5, 5.4), sharex=True)
    under = curve[curve["loss"] <= loss]
    height = float(np.interp(loss, curve["loss"], curve["latent"]))
    top.fill_between(under["loss"], under["weight"], color="C1", alpha=0.35, linewidth=0, label=f"area {height:.2f}")
    top.plot(curve["loss"], curve["weight"], color="C0", label="weight v*")
    low.plot(curve["loss"], curve["loss"], color="0.6", linestyle="--", label="ℓ, all weights 1")
    low.plot(curve["loss"], curve["latent"], color="C0", label="latent loss F")
    upright = {"linewidth": 4, "alpha": 0.6, "solid_capstyle": "butt"}  # a round cap would be higher than F
    low.plot([loss, loss], [0, height], color="C1", **upright, label=f"height {height:.2f}")
    top.set(title="The area under the weight ...", ylabel="weight v*(ℓ)", ylim=(0, 1.08))
    low.set(title="... is the height of F", xlabel="loss ℓ", ylabel="F(ℓ)", ylim=(0, 1.35 * curve["latent"].max()))
    for ax in (top, low):
        ax.legend(loc="upper right" if ax is top else "lower right")
    return figure


def tangent_lines(curve: pd.DataFrame, lines: pd.DataFrame) -> Axes:
    """F under its tangents, the lines v l + g(v).

    Arguments:
        curve: columns loss, latent.
        lines: columns touching (the loss at which the line touches F), weight, loss, line.
    """
    _, ax = plt.subplots(figsize=(7, 4.4))
    groups = _groups(lines, "touching")
    for (touching, rows), color in zip(groups, _colors(len(groups)), strict=True):
        label = f"touches at ℓ = {touching:g}: slope v = {rows['weight'].iloc[0]:.2f}"
        ax.plot(rows["loss"], rows["line"], color=color, linewidth=1.2, label=label)
        height = float(np.interp(touching, curve["loss"], curve["latent"]))
        ax.plot([touching], [height], "o", color=color, markersize=7, zorder=4, clip_on=False)
    ax.plot(curve["loss"], curve["latent"], color="black", linewidth=2.6, label="F(ℓ)", zorder=3)
    ax.set(title="F lies under all its tangents; each tangent is one weight", xlabel="loss ℓ", ylabel="cost")
    ax.set_ylim(0, 1.9 * curve["latent"].to_numpy().max())
    ax.legend(loc="lower right")
    return ax


def soft_minimum(curves: pd.DataFrame) -> Axes:
    """F, a line a lambda, with min(l, lambda) as a dashed line. curves: columns lam, loss, latent."""
    _, ax = plt.subplots(figsize=(6.5, 3.8))
    groups = _groups(curves, "lam")
    for (lam, rows), color in zip(groups, _colors(len(groups)), strict=True):
        ax.plot(rows["loss"], rows["latent"], color=color, label=f"F, λ = {lam:g}")
        ax.plot(rows["loss"], rows["loss"].clip(upper=lam), color=color, linewidth=1, linestyle="--")
    ax.plot([], [], color="0.4", linewidth=1, linestyle="--", label="min(ℓ, λ)")
    ax.set(title="F is min(ℓ, λ) with its corner rounded", xlabel="loss ℓ", ylabel="F(ℓ; λ)", ylim=(0, None))
    ax.legend(loc="upper left")
    return ax


def through_the_weight(curve: pd.DataFrame) -> Axes:
    """F and l v*(l); the slope of l v*(l) turns negative. curve: columns loss, weight, latent."""
    _, ax = plt.subplots(figsize=(6.5, 3.6))
    weighted = curve["loss"] * curve["weight"]
    top, end = float(curve["loss"].to_numpy()[weighted.argmax()]), float(curve["loss"].to_numpy().max())
    ax.plot(curve["loss"], curve["latent"], color="C0", label="F(ℓ): slope v*, never negative")
    ax.plot(curve["loss"], weighted, color="C1", label="ℓ·v*(ℓ): differentiated through v*")
    ax.axvspan(top, end, color="C1", alpha=0.08, linewidth=0)
    ax.annotate("here a step makes\nthe loss larger", (top, 0), xytext=(8, 6), fontsize=9, color="C1",
                textcoords="offset points")  # fmt: skip
    ax.set(title="Without g, hard samples would be pushed away", xlabel="loss ℓ", ylabel="cost of a sample",
           ylim=(0, 1.35 * curve["latent"].max()))  # fmt: skip
    ax.legend(loc="upper left")
    return ax


def gallery(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """The weight v*(l), a panel a regularizer, a line a lambda. curves: by name, with columns lam, loss, weight."""
    figure, axes = plt.subplots(2, (len(curves) + 1) // 2, figsize=(11, 4.6), sharex=True, sharey=True)
    for ax, (name, frame) in zip(axes.flat, curves.items(), strict=True):
        groups = _groups(frame, "lam")
        for (lam, rows), color in zip(groups, _colors(len(groups)), strict=True):
            ax.plot(rows["loss"], rows["weight"], color=color, label=f"λ = {lam:g}")
        ax.set(title=name, ylim=(-0.03, 1.05))
    for ax in axes[-1]:
        ax.set_xlabel("loss ℓ")
    for ax in axes[:, 0]:
        ax.set_ylabel("weight v*")
    axes[0, -1].legend()
    return figure


def breakers(early: pd.DataFrame, limit: pd.Series, paths: pd.DataFrame) -> Figure:
    """Left: the weight of log while lambda falls, and its limit. Right: the weight of jiang-log at a few losses over
    lambda.

    Arguments:
        early: weights of log, with columns lam, loss, weight.
        limit: limit of the weights of log for lambda -> 0, by loss.
        paths: weights of jiang-log, with columns lam, loss, weight.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
    groups = _groups(early, "lam")
    for (lam, rows), color in zip(groups, _colors(len(groups)), strict=True):
        left.plot(rows["loss"], rows["weight"], color=color, label=f"λ = {lam:g}")
    left.plot(limit.index, limit, color="black", linewidth=1.2, linestyle="--", label="2 / (1 + exp ℓ)")
    left.set(title="log: at λ → 0 easy samples keep weight", xlabel="loss ℓ", ylabel="weight v*(ℓ)", ylim=(-0.03, 1.05))
    groups = _groups(paths, "loss")
    for (loss, rows), color in zip(groups, _colors(len(groups)), strict=True):
        right.plot(rows["lam"], rows["weight"], color=color, label=f"ℓ = {loss:g}")
        top = rows.loc[rows["weight"].idxmax()]
        right.plot([top["lam"]], [top["weight"]], "o", color=color)
    right.set(title="jiang-log: the weight rises, then falls", xlabel="pace λ", ylabel="weight v*(ℓ; λ)")
    right.set_ylim(-0.03, 1.2)  # room for the legend
    left.legend()
    right.legend(loc="upper left", ncols=2)
    return figure


def theorem_matrix(verdicts: pd.DataFrame) -> Axes:
    """Verdicts by theorem (columns) and regularizer (rows): holds, changed or fails, as colour and word."""
    _, ax = plt.subplots(figsize=(0.75 * verdicts.shape[1] + 1.1, 4.4))
    order = list(VERDICTS)
    codes = verdicts.map(order.index).to_numpy()
    ax.imshow(codes, cmap=ListedColormap(list(VERDICTS.values())), vmin=0, vmax=len(order) - 1, aspect="auto")
    for (row, column), code in np.ndenumerate(codes):
        word = order[code]
        ax.text(column, row, word, ha="center", va="center", fontsize=8.5, color="0.35" if word == "holds" else "black")
    ax.set_xticks(range(verdicts.shape[1]), list(verdicts.columns))
    ax.set_yticks(range(verdicts.shape[0]), list(verdicts.index))
    ax.set(title="Theorem by regularizer: most hold", xlabel="theorem", ylabel="regularizer")
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def shares(probabilities: pd.DataFrame, losses: Sequence[float]) -> Axes:
    """Pi_lambda as stacked shares over lambda, with the easiest sample at the bottom.

    Arguments:
        probabilities: probabilities over lambda (the index), a column a sample.
        losses: loss of each sample, in the order of the columns.
    """
    _, ax = plt.subplots(figsize=(7.5, 4.2))
    order = np.argsort(losses)
    colors = _colors(len(order), 0.95)
    ax.stackplot(probabilities.index, probabilities.to_numpy()[:, order].T, colors=colors, edgecolor="white",
                 linewidth=0.4, labels=[f"ℓ = {losses[k]:.3g}" for k in order])  # fmt: skip
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    ax.set(title="As λ grows, the shares even out from easy to hard", xlabel="pace λ", ylabel="share of the lesson Π")
    ax.set(ylim=(0, 1), xlim=(probabilities.index.min(), probabilities.index.max()))
    _pace_axis(ax, probabilities.index)
    return ax


def entropies(sweeps: Mapping[str, pd.DataFrame]) -> Figure:
    """Entropy of Pi and KL(Pi || P) over lambda, a panel a prior. sweeps: results of `distribution.sweep`, by title."""
    figure, axes = plt.subplots(1, len(sweeps), figsize=(9, 3.6), squeeze=False)
    for ax, (name, sweep) in zip(axes.flat, sweeps.items(), strict=True):
        ax.plot(sweep.index, sweep["entropy"], color="C1", label="entropy H(Π)")
        ax.plot(sweep.index, sweep["KL"], color="C0", label="KL(Π ‖ P)")
        ax.axhline(sweep["entropy"].iloc[-1], color="C1", linewidth=0.9, linestyle="--")
        ax.set(title=name, xlabel="pace λ", ylabel="entropy, divergence (nats)",
               ylim=(0, 1.35 * sweep["entropy"].max()))  # fmt: skip
        _pace_axis(ax, sweep.index)
        ax.legend(loc="upper left", ncols=2)
    return figure


def activity(sweeps: Sequence[pd.DataFrame]) -> Axes:
    """Total variation between Pi and P against 1 - alpha, a line a random problem. No line crosses the diagonal."""
    _, ax = plt.subplots(figsize=(5.6, 4.0))
    for number, (sweep, color) in enumerate(zip(sweeps, _colors(len(sweeps)), strict=True)):
        ax.plot(1 - sweep["alpha"], sweep["TV"], color=color, linewidth=1.2, label="" if number else "random problems")
    ax.plot([0, 1], [0, 1], color="black", linewidth=1.2, linestyle="--", label="bound TV = 1 - α")
    ax.set(title="The mean weight bounds the curriculum", xlabel="activity 1 - α", ylabel="total variation of Π from P")
    most = 1.05 * max(float(1 - sweep["alpha"].to_numpy().min()) for sweep in sweeps)
    ax.set(xlim=(0, most), ylim=(0, most))
    ax.legend(loc="upper left")
    return ax


def _pace_axis(ax: Axes, paces: pd.Index) -> None:
    """Gives the x axis a logarithmic scale with plain numbers."""
    low, high = paces.to_numpy().min(), paces.to_numpy().max()
    marks = [mark for mark in (0.1, 0.3, 1, 3, 10, 30, 100) if low <= mark <= high]
    ax.set_xscale("log")
    ax.set_xticks(marks, [f"{mark:g}" for mark in marks])
    ax.minorticks_off()


def _groups(frame: pd.DataFrame, column: str) -> list[tuple[float, pd.DataFrame]]:
    """The rows of each value of a column, in the order of the values' first rows."""
    return [(float(value), frame.loc[frame[column] == value, :]) for value in frame[column].unique()]


def _colors(count: int, most: float = 0.85) -> list:
    return list(plt.get_cmap(EASY_TO_HARD)(np.linspace(0, most, count)))
