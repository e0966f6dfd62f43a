"""Figure of the speed of the engine and of a plain loop: steps a second, images a second by batch size, memory."""

from collections.abc import Mapping
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = {"engine": "C0", "reference": "C1", "reference, frozen": "C4"}


def throughput(measured: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A row for each hardware and pair of networks. Its panels, from the left:

    repeats: every repeat, with the ratios and their spread.
    batches: images a second by batch size.
    memory: peak memory.
    ranks: steps a second by number of ranks.

    The place of a missing panel stays empty.

    measured: contents of benchmarks/results/throughput.json, by hardware and by pair of networks.
    """
    rows = [(place, pair, entry) for place, pairs in measured.items() for pair, entry in pairs.items()]
    widths = (1.6, 1, 1, 0.8)
    figure, axes = plt.subplots(len(rows), 4, figsize=(15, 3.4 * len(rows)), width_ratios=widths, squeeze=False)
    for (place, pair, entry), (left, *others) in zip(rows, axes, strict=True):
        _repeats(left, entry)
        for (name, draw), ax in zip(OTHERS.items(), others, strict=True):
            draw(ax, entry)
            ax.set_visible(name in entry)
        left.set_title(f"{pair} on\n{place}")
    return figure


def _repeats(ax: Axes, entry: Mapping[str, Any]) -> None:
    """Draws a point a repeat, which shows whether the speeds of the loops overlap."""
    ax.set(xlabel="repeat", ylabel="student steps a second")
    for name, rates in entry.get("speed", {}).get("steps_per_second", {}).items():
        over = entry["speed"]["engine_over"].get(name)
        label = (
            f": engine {over['median']:.2f} × as fast ({over['lowest']:.2f} to {over['highest']:.2f})" if over else ""
        )
        reached = entry.get("achieved", {}).get(name)
        label += f", {reached['gflops']:.3g} GFLOP/s" if reached else ""
        ax.plot(range(1, len(rates) + 1), rates, "o-", color=COLORS[name], label=name + label)
        ax.set_xticks(range(1, len(rates) + 1))
    _finish(ax)


def _sizes(ax: Axes, entry: Mapping[str, Any]) -> None:
    ax.set(title="Images the student studies", xlabel="batch size", ylabel="images a second")
    by_size = entry.get("batches", {}).get("by_size", {})
    sizes = sorted(map(int, by_size))
    for name in ("engine", "reference") if sizes else ():
        rates = [size * median(by_size[str(size)]["steps_per_second"][name]) for size in sizes]
        ax.plot(sizes, rates, "o-", color=COLORS[name], label=name)
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, list(map(str, sizes)))
    _finish(ax)


def _memory(ax: Axes, entry: Mapping[str, Any]) -> None:
    """Draws the peak memory of each loop minus the memory of the process before the loop."""
    ax.set(title="Peak memory, beyond the libraries'", ylabel="MB")
    for name, mb in entry.get("memory", {}).get("mb", {}).items():
        ax.bar(name, (mb["peak"] or 0.0) - (mb["before"] or 0.0), color=COLORS[name], width=0.6)
    ax.set_ylim(bottom=0)


def _ranks(ax: Axes, entry: Mapping[str, Any]) -> None:
    """Draws the speed by number of ranks. The ranks share the batch."""
    ax.set(title="Several ranks", xlabel="ranks, of a thread or GPU each", ylabel="student steps a second")
    by_ranks = entry.get("ranks", {}).get("steps_per_second", {})
    sizes = sorted(map(int, by_ranks))
    if sizes:
        alone = median(by_ranks["1"])
        ax.plot(sizes, [median(by_ranks[str(size)]) for size in sizes], "o-", color=COLORS["engine"], label="measured")
        ax.plot(sizes, [alone * size for size in sizes], ":", color="0.5", label="times the ranks")
        ax.set_xticks(sizes)
    _finish(ax)


OTHERS = {"batches": _sizes, "memory": _memory, "ranks": _ranks}  # panels right of the repeats, in this order


def _finish(ax: Axes) -> None:
    ax.set_ylim(bottom=0)
    if ax.lines:
        ax.legend(fontsize=7, loc="lower center")
