"""Figures of majorize-minimise: tangents and parabolas, bars of descent, too long steps, growing lambda, hysteresis."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.theory.growth import GrowthPath
from analysis.theory.hysteresis import Landmarks
from analysis.theory.momentum import MomentumPath
from analysis.theory.toys.descent import Path

Values = Float[np.ndarray, " n"]


def lines_and_parabolas(
    latent: pd.DataFrame, touching: pd.DataFrame, slices: pd.DataFrame, path: Sequence[float]
) -> Figure:
    """Left: F and its tangents at some losses. Right: Phi over one parameter, and the majorizer of each step.

    Arguments:
        latent: the curve of F, with columns loss and F.
        touching: a row a tangent, with columns loss, F and weight (the slope of the tangent).
        slices: columns theta and objective, then a column for the surrogate of each step, in order.
        path: theta_0, theta_1 ...: the start and the end of every step.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    left.plot(latent["loss"], latent["F"], color="black", linewidth=2.4, label="latent loss F")
    for number, (loss, height, weight) in enumerate(touching[["loss", "F", "weight"]].to_numpy()):
        line = height + weight * (latent["loss"] - loss)
        left.plot(latent["loss"], line, color=f"C{number}", linewidth=1.2, label=f"tangent, slope v* = {weight:.2f}")
        left.plot(loss, height, "o", color=f"C{number}")
    left.set(title="A tangent never dips below a concave loss", xlabel="loss ℓ of one sample", ylabel="F(ℓ)",
             ylim=(0, 1.45 * latent["F"].max()))  # fmt: skip
    left.legend(loc="lower right")
    theta, values = slices["theta"], slices["objective"]
    right.plot(theta, values, color="black", linewidth=2.4, label="objective Φ")
    for number, name in enumerate(slices.columns[2:]):
        present, following = (np.interp(path[number + step], theta, values) for step in (0, 1))
        right.plot(theta, slices[name], color=f"C{number}", linewidth=1.2, label=f"majorizer of step {number + 1}")
        right.plot(path[number], present, "o", color=f"C{number}")
        lowest = np.interp(path[number + 1], theta, slices[name])
        right.plot([path[number + 1]] * 2, [lowest, following], ":", color=f"C{number}", linewidth=1.4)
    top = np.interp(path[0], theta, values)
    right.set(title="Down to the parabola's lowest point, and below it", xlabel="parameter θ", ylabel="Φ and Q",
              ylim=(0.85 * values.min(), top + 0.5 * (top - values.min())))  # fmt: skip
    right.legend(loc="lower right")
    return figure


def descent_bars(tables: Mapping[str, pd.DataFrame], shown: int = 10) -> Figure:
    """A column a run. Top: each step's descent in bars, with the surrogate's part below the Bregman part. Bottom: the
    parts as shares of the step.

    Arguments:
        tables: by name of the run, from `Path.table()`, with columns surrogate and bregman.
        shown: number of steps that are drawn.
    """
    figure, axes = plt.subplots(2, len(tables), figsize=(5 * len(tables), 5.2), sharex="col", squeeze=False,
                                height_ratios=(3, 2))  # fmt: skip
    for (above, below), (name, table) in zip(axes.T, tables.items(), strict=True):
        parts = table[["surrogate", "bregman"]].iloc[:shown]
        _stacked(above, parts)
        _stacked(below, 100 * parts.div(parts.sum(axis=1), axis=0))
        above.set(title=name, ylabel="descent Φ(k) − Φ(k+1)")
        below.set(xlabel="step k", ylabel="share of the step, %", ylim=(0, 100))
        below.xaxis.get_major_locator().set_params(integer=True)
    axes[0][0].legend()
    return figure


def _stacked(ax: Axes, parts: pd.DataFrame) -> None:
    ax.bar(parts.index, parts["surrogate"], color="C0", label="promised: descent of the surrogate")
    ax.bar(parts.index, parts["bregman"], bottom=parts["surrogate"], color="C4", label="for free: Bregman part")


def convergence(groups: Mapping[str, Mapping[str, Path]]) -> Figure:
    """A panel a problem, a line a regularizer: the distance of Φ from its last value, over steps."""
    figure, axes = plt.subplots(1, len(groups), figsize=(5 * len(groups) + 1, 3.8), sharey=True, squeeze=False)
    for ax, (title, paths) in zip(axes[0], groups.items(), strict=True):
        for number, (name, path) in enumerate(paths.items()):
            above = (path.objective[:-1] - path.objective[-1]) / path.objective[0]
            above = np.where(above > 1e-16, above, np.nan)
            ax.loglog(
                np.arange(1, len(above) + 1),
                above,
                marker="s" if name == "hard" else ".",  # hard arrives in one or two steps: its line is one point
                color=f"C{number % 7}",
                linestyle="-" if number < 7 else "--",
                label=name,
                linewidth=1.3,
                markevery=0.02,  # so that the dots of many steps do not make a thick line
            )
        ax.set(title=title, xlabel="step k")
        most = max(len(path.objective) for path in paths.values())
        marks = [mark for mark in (2**power for power in range(12)) if mark <= most]
        ax.set_xticks(marks, [f"{mark}" for mark in marks])
        ax.minorticks_off()
    axes[0][0].set_ylabel("(Φ(k) − Φ(end)) / Φ(0)")
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def limit_cycle(paths: Mapping[float, Path], ends: pd.DataFrame, amplitudes: pd.DataFrame) -> Figure:
    """Left: the student's θ over steps, a line a step length. Right: the last θ over step length, and the prediction.

    Arguments:
        paths: paths of one parameter, by step length.
        ends: the attractor, with columns step and theta.
        amplitudes: the predicted cycle, with columns step and theta.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for number, (step, path) in enumerate(paths.items()):
        theta = path.thetas[:31, 0].numpy()
        left.plot(theta, marker="o", markersize=3, linewidth=1.2, color=f"C{number}", label=f"step {step:g} / L")
    left.set(title="Beyond 2 / L the student swings for ever", xlabel="step k", ylabel="parameter θ", ylim=(-1.75, 2.1))
    left.legend(loc="upper left", ncols=3)
    for sign, label in ((1, "predicted: weight = 2 / step"), (-1, "_mirrored")):
        theta = sign * amplitudes["theta"]
        right.plot(amplitudes["step"], theta, color="C1", linewidth=5, alpha=0.45, label=label)
    different = ends.round({"theta": 3}).drop_duplicates()
    right.plot(
        different["step"], different["theta"], ".", color="black", markersize=1.5, label="where the student ends"
    )
    right.axvline(2, color="0.6", linewidth=1, linestyle="--")
    right.set(title="One end point, then two, then disorder", xlabel="step length, units of 1 / L", ylabel="final θ")
    right.legend(loc="upper left", frameon=True, framealpha=1, edgecolor="white")  # the dashed line stays behind it
    return figure


def rate_bound(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """A panel a run: the smallest squared gradient so far against its bound, and a line that falls like 1/K.

    tables: results of `rates.rate_table`, by name of the run.
    """
    figure, axes = plt.subplots(1, len(tables), figsize=(5 * len(tables), 3.8), sharey=True, squeeze=False)
    for ax, (name, table) in zip(axes[0], tables.items(), strict=True):
        ax.loglog(table.index, table["bound"], color="C1", label="bound (Φ(0) − Φ(K)) / (c Σ step)")
        ax.loglog(table.index, table["best"], color="C0", label="smallest |∇Φ|² so far")
        ax.fill_between(table.index, table["best"], table["bound"], color="C1", alpha=0.12, linewidth=0)
        ax.loglog(
            table.index, table["bound"].iloc[0] / table.index, color="0.5", linewidth=1, linestyle="--", label="1 / K"
        )
        ax.set(title=name, xlabel="number of steps K")
    axes[0][0].set_ylabel("squared gradient")
    axes[0][0].legend(loc="lower left")
    return figure


def momentum_energy(path: MomentumPath, ax: Axes | None = None) -> Axes:
    """The objective under momentum, and the energy above it. The objective swings; the energy only falls."""
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 3.8))
    k = np.arange(len(path.objective))
    ax.plot(k, path.energy, color="C1", label="energy ℋ = Φ + β η |m|² / 2")
    ax.plot(k, path.objective, color="C0", marker="o", markersize=3, linewidth=1.2, label="objective Φ")
    ax.fill_between(k, path.objective, path.energy, color="C1", alpha=0.15, linewidth=0, label="kinetic part")
    ax.set(title="Momentum lets Φ rise; the energy only falls", xlabel="step k", ylabel="Φ and ℋ", ylim=(0, None))
    ax.legend()
    return ax


def growing_pace(path: GrowthPath) -> Figure:
    """Three panels over λ.

    Left: the normalised objective, and the value that the descents alone would give.
    Middle: the raw objective.
    Right: the growth and its budget.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.9))
    lam, phi = path.column("lam"), path.column("objective")
    descended = phi[0] - np.concatenate([[0], np.cumsum(path.column("descent"))[:-1]])
    left.plot(lam, phi, color="C0", label="normalised Φ")
    left.plot(lam, descended, color="C2", label="Φ(0) − descents so far")
    left.fill_between(lam, descended, phi, color="C1", alpha=0.25, linewidth=0, label="growth so far")
    left.set(title="Each step descends, yet Φ rises", ylabel="objective", ylim=(0, None))
    left.legend()
    middle.plot(lam, path.column("raw"), color="C3", linestyle="--", label="raw objective")
    middle.plot(lam, phi, color="C0", linewidth=1, label="normalised Φ")
    middle.axhline(0, color="0.6", linewidth=0.8)
    middle.set(title="The raw objective falls for free", ylabel="objective")
    middle.legend(loc="lower left")
    right.semilogy(lam, np.cumsum(path.column("growth")), color="C1", label="growth so far")
    right.axhline(path.budget, color="black", linewidth=1.2, linestyle="--", label="budget")
    most = path.column("largest").max()
    right.axhline(most, color="0.5", linewidth=1.2, linestyle=":", label="largest loss M")
    right.set(title="Growth stays within its budget", ylabel="growth of Φ by λ", ylim=(None, 3 * most))
    right.legend(loc="lower right")
    for ax in (left, middle, right):
        ax.set_xlabel("pace λ, higher at each step")
    return figure


def towards_plain(gaps: pd.DataFrame, columns: int = 3) -> Figure:
    """Distance of grad Phi from the gradient of plain distillation, over λ (the index); a panel a column of `gaps`.

    Each panel shows all other columns in grey. A line ends where its distance is 0 to rounding; a dot marks its end.
    """
    rows = -(-gaps.shape[1] // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(9, 0.6 + 1.9 * rows), sharex=True, sharey=True, squeeze=False)
    shown = gaps.where(gaps > 1e-14)
    for ax in axes.flat[gaps.shape[1] :]:
        ax.set_visible(False)
    for ax, name in zip(axes.flat, gaps.columns, strict=False):
        ax.loglog(gaps.index, shown.drop(columns=name), color="0.85", linewidth=1)
        line = shown[name].dropna()
        ax.loglog(line.index, line, color="C0")
        if len(line) < len(gaps):
            ax.loglog(line.index[-1:], line.iloc[-1:], "o", color="C1")
        ax.set(title=name, ylim=(0.1 * shown.min().min(), 3 * shown.max().max()))
        ax.minorticks_off()
    figure.suptitle("As λ grows, every road leads to plain distillation", x=0.01, ha="left", fontsize=11)
    figure.supxlabel("pace λ", fontsize=10)
    figure.supylabel("distance of the gradients |∇Φ − ∇ mean ℓ|", fontsize=10)
    return figure


def hysteresis_loop(swept: pd.DataFrame, critical: pd.DataFrame, marks: Landmarks, landscapes: pd.DataFrame) -> Figure:
    """Left: the student while λ rises and while λ falls, with all critical points. Right: Φ at some λ.

    Arguments:
        swept, critical, marks: results of `analysis.theory.hysteresis`.
        landscapes: Phi over theta (the index), a column a lambda.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.3))
    lasting = {True: ("0.6", "-", "minima"), False: ("0.6", ":", "maxima")}
    for stable, (color, style, name) in lasting.items():
        points = critical[critical["stable"] == stable]
        for label, group in (("_" + name, points[points["theta"] == 0]), (name, points[points["theta"] > 0])):
            left.plot(group["lam"], group["theta"], color=color, linestyle=style, linewidth=1.2, label=label)
    for number, (direction, marker) in enumerate((("up", ">"), ("down", "<"))):
        line = swept[swept["direction"] == direction]
        left.plot(
            line["lam"], line["theta"], color=f"C{number}", linewidth=2.2, alpha=0.85, label=f"λ goes {direction}"
        )
        left.plot(line["lam"][::8], line["theta"][::8], marker, color=f"C{number}", markersize=6)
    for name, value in (("pitchfork", marks.pitchfork), ("fold", marks.fold)):
        left.axvline(value, color="0.7", linewidth=0.8)
        left.annotate(
            f"{name}\n{value:.2f}", (value, 2.32), ha="center", fontsize=8, color="0.35", backgroundcolor="white"
        )
    left.set(
        title="Up and down take different roads", xlabel="pace λ", ylabel="student θ (samples at ±2)", ylim=(-0.15, 2.6)
    )
    left.legend(loc="center left", bbox_to_anchor=(0.02, 0.42))
    for number, name in enumerate(landscapes.columns):
        right.plot(landscapes.index, landscapes[name], color=f"C{number + 2}", label=f"λ = {float(name):.2f}")
    right.set(title="Two valleys, then three, then one", xlabel="parameter θ", ylabel="objective Φ")
    right.legend(loc="upper center")
    return figure


def chased(runs: Mapping[str, pd.DataFrame]) -> Figure:
    """Left: total change of Φ by the student and by the moving target, in the first run. Right: the sample's weight in
    every run.

    runs: results of `drift.chase`, by name.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
    name, first = next(iter(runs.items()))
    student, moved = first["student"].cumsum(), first["drift"].cumsum()
    left.fill_between(first.index, student, color="C0", alpha=0.35, linewidth=0, label="the student's steps")
    left.fill_between(first.index, moved, color="C1", alpha=0.35, linewidth=0, label="the target's moves")
    left.plot(student + moved, color="black", label="both: Φ")
    left.set(title=f"Every step descends, nothing is gained ({name})", xlabel="step k", ylabel="change of Φ so far")
    left.legend(loc="upper left")
    for number, (name, run) in enumerate(runs.items()):
        right.plot(run["weight"], color=f"C{number + 2}", label=name)
    right.set(
        title="A sample that moves too fast is given up", xlabel="step k", ylabel="its weight v*", ylim=(-0.03, 1.05)
    )
    right.legend(loc="center right")
    return figure
