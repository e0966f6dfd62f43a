"""The contents of a figure: its numbers and words, for programs and for readers who do not see it."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle


def figure_of(drawn: Figure | Axes) -> Figure:
    """The figure that an axes belongs to, or the figure itself."""
    figure = drawn.get_figure(root=True) if isinstance(drawn, Axes) else drawn
    assert figure is not None
    return figure


def plotted(axes: Axes) -> dict[str, Any]:
    """The contents of an axes: its words; and as plain numbers lines, bands and points, bars, and a hash of each image.

    The label of an axis is the text that a reader finds for it, see `_label`. It is "" if there is none, and None if
    the axis has no marks either. `named` holds the names of lines, bands and bars.
    """
    return {
        "title": axes.get_title(loc="left") or axes.get_title(),
        "xlabel": _label(axes, "x"),
        "ylabel": _label(axes, "y"),
        "named": list(dict.fromkeys(axes.get_legend_handles_labels()[1])),
        "lines": [{"label": line.get_label(), "xy": _round(line.get_xydata())} for line in axes.lines],
        "areas": [{"label": area.get_label(), "xy": _vertices(area)} for area in axes.collections],
        "bars": [_bar(bar) for bar in axes.patches if isinstance(bar, Rectangle)],
        "images": [hashlib.sha256(np.asarray(i.get_array()).tobytes()).hexdigest()[:16] for i in axes.images],
    }


def _label(axes: Axes, name: str) -> str | None:
    """The label of an axis: its own, or the label of a panel that shares the axis, or the label of the whole figure.

    name: "x" or "y".
    """
    of_panels = [plt.getp(panel, f"{name}label") for panel in (axes, *_shared(axes, name))]
    of_figure = plt.getp(figure_of(axes), f"sup{name}label") if len(plt.getp(axes, f"{name}ticks")) else None
    return next(filter(None, of_panels), of_figure)


def _shared(axes: Axes, name: str) -> list[Axes]:
    groups = axes.get_shared_x_axes() if name == "x" else axes.get_shared_y_axes()
    return groups.get_siblings(axes)


def described(name: str, panels: Iterable[dict[str, Any]]) -> str:
    """A figure in words, for readers who do not see it: the titles, axes and labels of its panels, see `plotted`.

    Words that repeat those of the panel before are left out. A figure without any words is described by its name.
    """
    return "; ".join(_said(panels)) or f"Figure {name}"


def _said(panels: Iterable[dict[str, Any]]) -> Iterator[str]:
    before: list[str] = []
    for panel in panels:
        axes = " over ".join(label for label in (panel["ylabel"], panel["xlabel"]) if label)
        words = [" ".join(part.split()) for part in (panel["title"], axes, ", ".join(panel["named"]))]
        new = [part for part in words if part and part not in before]
        if new:
            yield ": ".join(new)
        before = words


def _bar(bar: Rectangle) -> dict[str, float]:
    places = {"x": bar.get_x(), "width": bar.get_width(), "height": bar.get_height()}
    return {name: float(value) for name, value in places.items()}


def _vertices(area: Collection) -> list:
    offsets = np.asarray(area.get_offsets())
    if len(offsets) > 1:
        return _round(offsets)
    return [_round(path.vertices) for path in area.get_paths()]


def _round(values: Any) -> list:
    return np.asarray(values, dtype=float).round(6).tolist()
