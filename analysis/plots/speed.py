"""How fast the engine is beside a plain loop: steps a second, images a second by batch size, memory."""

from collections.abc import Mapping
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = {"engine": "C0", "reference": "C1", "reference, frozen": "C4"}


def throughput(measured: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A row for each hardware and pair: every repeat with the ratios and their spread, batch sizes, memory, ranks.

    measured: what benchmarks/results/throughput.json holds, by hardware and by pair of networks. The place of a part
        that is missing is left free.
    """
    rows = [(place, pair, here) for place, pairs in measured.items() for pair, here in pairs.items()]
    widths = (1.6, 1, 1, 0.8)
    figure, axes = plt.subplots(len(rows), 4, figsize=(15, 3.4 * len(rows)), width_ratios=widths, squeeze=False)
    for (place, pair, here), (left, *others) in zip(rows, axes, strict=True):
        _repeats(left, here)
        for (part, draw), ax in zip(OTHERS.items(), others, strict=True):
            draw(ax, here)
            ax.set_visible(part in here)
        left.set_title(f"{pair} on\n{place}")
    return figure


def _repeats(ax: Axes, here: Mapping[str, Any]) -> None:
    """A point a repeat, so that one sees whether the loops overlap."""
    ax.set(xlabel="repeat", ylabel="student steps a second")
    for name, rates in here.get("speed", {}).get("steps_per_second", {}).items():
        over = here["speed"]["engine_over"].get(name)
        told = (
            f": engine {over['median']:.2f} × as fast ({over['lowest']:.2f} to {over['highest']:.2f})" if over else ""
        )
        reached = here.get("achieved", {}).get(name)
        told += f", {reached['gflops']:.3g} GFLOP/s" if reached else ""
        ax.plot(range(1, len(rates) + 1), rates, "o-", color=COLORS[name], label=name + told)
        ax.set_xticks(range(1, len(rates) + 1))
    _finish(ax)


def _sizes(ax: Axes, here: Mapping[str, Any]) -> None:
    ax.set(title="Images the student studies", xlabel="batch size", ylabel="images a second")
    found = here.get("batches", {}).get("by_size", {})
    sizes = sorted(map(int, found))
    for name in ("engine", "reference") if sizes else ():
        rates = [size * median(found[str(size)]["steps_per_second"][name]) for size in sizes]
        ax.plot(sizes, rates, "o-", color=COLORS[name], label=name)
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, list(map(str, sizes)))
    _finish(ax)


def _memory(ax: Axes, here: Mapping[str, Any]) -> None:
    """What the loop takes beyond what the process had before it."""
    ax.set(title="Peak memory, beyond the libraries'", ylabel="MB")
    for name, mb in here.get("memory", {}).get("mb", {}).items():
        ax.bar(name, (mb["peak"] or 0.0) - (mb["before"] or 0.0), color=COLORS[name], width=0.6)
    ax.set_ylim(bottom=0)


def _ranks(ax: Axes, here: Mapping[str, Any]) -> None:
    """The batch is shared."""
    ax.set(title="Several ranks", xlabel="ranks, of a thread or GPU each", ylabel="student steps a second")
    found = here.get("ranks", {}).get("steps_per_second", {})
    sizes = sorted(map(int, found))
    if sizes:
        alone = median(found["1"])
        ax.plot(sizes, [median(found[str(size)]) for size in sizes], "o-", color=COLORS["engine"], label="measured")
        ax.plot(sizes, [alone * size for size in sizes], ":", color="0.5", label="times the ranks")
        ax.set_xticks(sizes)
    _finish(ax)


OTHERS = {"batches": _sizes, "memory": _memory, "ranks": _ranks}  # beside the repeats, in this order


def _finish(ax: Axes) -> None:
    ax.set_ylim(bottom=0)
    if ax.lines:
        ax.legend(fontsize=7, loc="lower center")
