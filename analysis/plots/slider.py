"""The figure of a sample and its weight with sliders, for a live notebook."""

from base64 import b64encode
from html import escape
from io import BytesIO
from typing import Any

import ipywidgets
import torch
from matplotlib.figure import Figure

from analysis.checks import validate
from cudfkd import regularizers

STEP = 0.25  # a step that a float holds exactly, so that a slider reads 2 and not 2.0000000000000004


def weight_slider(name: str, lam: float, loss: float, most: float = 10.0) -> ipywidgets.VBox:
    """The two panels of `one_weight` with a slider for lambda and a slider for the loss.

    The figure follows a slider while it is dragged. ipywidgets sends the next value when the last one is drawn, so no
    old values queue up. The axes stay the same, so that the eye can compare.

    Arguments:
        name: a regularizer.
        lam: the pace at the start.
        loss: the loss at the start.
        most: the end of both sliders.

    Raises:
        ConfigError: the regularizer is unknown, or lam or loss is out of its range.
    """
    reg = regularizers.get(name)
    validate.pace(reg, lam)
    validate.at_least("loss", loss, 0)
    drawing = _Drawing(name, most)
    shown = ipywidgets.HTML()
    pace, of_sample = _slider("pace λ", lam, STEP, most), _slider("loss ℓ", loss, 0.0, most)

    def redraw(_: Any = None) -> None:
        shown.value = drawing.html(pace.value, of_sample.value)

    for slider in (pace, of_sample):
        slider.observe(redraw, "value")
    redraw()
    return ipywidgets.VBox([pace, of_sample, shown])


class _Drawing:
    """The figure. Only its lines and points change, which takes a tenth of a new figure's time."""

    def __init__(self, name: str, most: float) -> None:
        self._reg = regularizers.get(name)
        self._v = torch.linspace(1e-3, 1, 300, dtype=torch.float64)
        self._axis = torch.linspace(0, most, 300, dtype=torch.float64)
        self._figure = Figure(figsize=(9, 3.4), layout="constrained")
        left, right = self._figure.subplots(1, 2)
        (self._taken,) = left.plot([], [], color="0.6", linestyle="--", label="v·ℓ: what the sample costs")
        (self._left_out,) = left.plot([], [], color="0.6", linestyle=":", label="g(v): what leaving it out costs")
        (self._sum,) = left.plot([], [], color="C0", label="their sum")
        (self._lowest,) = left.plot([], [], "o", color="C1", markersize=8, label="its lowest point")
        (self._curve,) = right.plot([], [], color="C0", label="best weight v*(ℓ)")
        (self._best,) = right.plot([], [], "o", color="C1", markersize=8, label="this sample")
        left.set(xlabel="weight v", ylabel="cost", xlim=(0, 1.02), ylim=(0, 1.5 * most))
        right.set(xlabel="loss ℓ", ylabel="weight v*", xlim=(0, most), ylim=(-0.03, 1.05))
        for ax in (left, right):
            ax.legend(loc="upper right")
        left.set_title("The price of each weight")
        self._title = right.set_title("The best weight")
        self._figure.draw_without_rendering()
        self._figure.set_layout_engine("none")  # the axes stay where they are

    def html(self, lam: float, loss: float) -> str:
        """The figure for a pace and a loss, as an image with its description."""
        at = torch.tensor([loss], dtype=torch.float64)
        best, lowest = self._reg.weight(at, lam), self._reg.latent(at, lam)
        penalty = self._reg.penalty(self._v, lam)
        self._taken.set_data(self._v, self._v * loss)
        self._left_out.set_data(self._v, penalty)
        self._sum.set_data(self._v, self._v * loss + penalty)
        self._lowest.set_data(best, lowest)
        self._curve.set_data(self._axis, self._reg.weight(self._axis, lam))
        self._best.set_data(at, best)
        said = f"λ = {lam:g}, ℓ = {loss:g}: best weight v* = {float(best):.3f}"
        self._title.set_text(said)
        png = BytesIO()
        self._figure.savefig(png, format="png", dpi=100)
        image = b64encode(png.getvalue()).decode()
        return f'<img alt="{escape(said)}" style="max-width: 100%" src="data:image/png;base64,{image}">'


def _slider(label: str, value: float, low: float, high: float) -> ipywidgets.FloatSlider:
    return ipywidgets.FloatSlider(
        value, min=min(low, value), max=max(high, value), step=STEP, description=label, readout_format=".2f",
        layout=ipywidgets.Layout(width="100%", max_width="900px"),
    )  # fmt: skip
