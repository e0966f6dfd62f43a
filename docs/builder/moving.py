"""The numbers of the figures that move, as frames that a page can draw without a kernel.

A figure is plain data, which `static/moving.js` draws:

    slider    its label, and the value of each frame
    panels    for each panel: the labels of the axes, and the limits, which stay the same in all frames
    choices   for each choice: its lines, each with its panel, label, x and y

A line has one row of y for each frame. Or it has one row alone, and then grows by one point a frame.
"""

import json
from typing import Any

import numpy as np
import torch

from analysis.origin import ROOT
from cudfkd import regularizers

PARTS = ("student", "lambda", "generator")


def weights() -> dict[str, Any]:
    """The weight and the latent loss over the loss, for a pace from 0.2 to 10."""
    losses, paces = torch.linspace(0, 10, 101, dtype=torch.float64), [round(0.2 * step, 1) for step in range(1, 51)]
    lines = []
    for name in ("log", "linear", "hard"):
        reg = regularizers.get(name)
        for panel, formula in enumerate((reg.weight, reg.latent)):
            y = [_rounded(formula(losses, lam)) for lam in paces]
            lines.append({"panel": panel, "label": name, "x": _rounded(losses), "y": y})
    panels = [
        {"x": "loss ℓ", "y": "weight v*(ℓ; λ)", "xlim": [0, 10], "ylim": [0, 1]},
        {"x": "loss ℓ", "y": "latent loss F(ℓ; λ)", "xlim": [0, 10], "ylim": [0, 10]},
    ]
    return {"slider": "pace λ", "values": paces, "start": 9, "panels": panels, "choices": {"": lines}}


def account() -> dict[str, Any]:
    """The account of recorded live runs: what student, lambda and generator changed, step by step."""
    plotted = json.loads((ROOT / "figures" / "09" / "accounts.json").read_text(encoding="utf-8"))
    runs = {axes["title"]: _parts(axes) for axes in plotted["axes"] if axes["lines"]}
    limits = {name: [float(np.min(list(parts.values()))), float(np.max(list(parts.values())))]
              for name, parts in runs.items()}  # fmt: skip
    steps = range(len(next(iter(runs.values()))["student"]))
    choices = {
        name: [{"panel": 0, "label": label, "x": list(steps), "y": [_rounded(y)]} for label, y in parts.items()]
        for name, parts in runs.items()
    }
    panels = [{"x": "student step", "y": "change of Φ so far", "xlim": [0, steps[-1]], "ylim": limits}]
    return {"slider": "student step", "values": list(steps), "start": steps[-1], "panels": panels, "choices": choices}


def _parts(axes: dict) -> dict[str, np.ndarray]:
    """The change of Phi so far by each part, from the stacks of `analysis.plots.accounts`, and the measured change."""
    measured = np.array(axes["lines"][0]["xy"])[:, 1]
    labels = [area["label"] for area in axes["areas"]]
    parts = {}
    for name in PARTS:
        up = labels.index(name)
        parts[name] = sum(_thickness(axes["areas"][at]["xy"][0], len(measured)) for at in (up, up + 1))
    gap = np.abs(sum(parts.values()) - measured).max()
    assert gap < 1e-4, f"figures/09/accounts.json: the stacks differ from the measured change by {gap:g}"
    return parts | {"all three": measured}


def _thickness(outline: list, points: int) -> np.ndarray:
    """The height of a filled band, from its outline: there along one edge, and back along the other."""
    y = np.array(outline)[:, 1]
    return y[points + 2 : 2 * points + 2][::-1] - y[1 : points + 1]


def _rounded(values: Any) -> list[float]:
    return np.asarray(values, dtype=np.float64).round(4).tolist()
