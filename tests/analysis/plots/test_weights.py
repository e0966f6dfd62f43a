import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from analysis import plots
from analysis.theory import distribution, envelope
from cudfkd.base.errors import ConfigError


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", ["log", "hard", "welsch", "huber"])
def test_the_marked_points_are_the_lowest_of_their_lines(name):
    left, _ = plots.valleys(name, 2.0, [0.5, 3.0]).axes
    for line, dot in zip(left.lines[::2], left.lines[1::2], strict=True):
        lowest = line.get_ydata().min()
        assert dot.get_ydata()[0] == pytest.approx(lowest, abs=1e-2)
        assert dot.get_ydata()[0] <= lowest + 1e-12


def test_a_slider_moves_each_of_pace_and_loss():
    pace, loss, shown = plots.weight_slider("log", 2.0, 3.0).children
    assert (pace.value, loss.value) == (2.0, 3.0)
    assert all(slider.continuous_update for slider in (pace, loss))
    assert 'alt="λ = 2, ℓ = 3: best weight v* = 0.305"' in shown.value
    pace.value = 5.0
    assert 'alt="λ = 5, ℓ = 3: best weight v* = 0.887"' in shown.value
    loss.value = 0.0
    assert "best weight v* = 1.000" in shown.value


@pytest.mark.parametrize(
    ("lam", "loss", "message"), [(-1.0, 3.0, "lam = -1"), (2.0, -3.0, "loss = -3"), (2.0, "3", "loss = '3'")]
)
@pytest.mark.parametrize("draw", [plots.weight_slider, plots.one_weight])
def test_a_pace_or_loss_out_of_range_is_refused(draw, lam, loss, message):
    with pytest.raises(ConfigError, match=message):
        draw("log", lam, loss)


def test_frames_stand_for_the_slider():
    axes = plots.slider_frames("log", [1.0, 5.0], 3.0).axes
    assert [ax.lines[1].get_ydata()[0] <= ax.lines[0].get_ydata().min() + 1e-12 for ax in axes] == [True, True]
    assert axes[0].lines[1].get_xdata()[0] < axes[1].lines[1].get_xdata()[0]


def test_no_tangent_crosses_the_latent_loss():
    losses = np.linspace(0, 8, 50)
    curve = envelope.curves("log", [2.0], losses)
    ax = plots.tangent_lines(curve, envelope.tangents("log", 2.0, [0.0, 3.0], losses))
    *tangents, latent = [line.get_ydata() for line in ax.lines if len(line.get_xdata()) > 1]
    assert all((tangent >= latent - 1e-12).all() for tangent in tangents)


def test_the_area_and_the_height_agree():
    curve = envelope.curves("log", [2.0], np.linspace(0, 8, 801))
    top, low = plots.area(curve, 3.0).axes
    under = curve[curve["loss"] <= 3.0]
    assert f"{np.trapezoid(under['weight'], under['loss']):.2f}" in top.get_legend().get_texts()[0].get_text()
    assert low.lines[-1].get_ydata()[1] == pytest.approx(np.trapezoid(under["weight"], under["loss"]), abs=1e-4)


def test_the_gradient_trap_starts_where_the_weighted_loss_is_largest():
    curve = envelope.curves("log", [2.0], np.linspace(0, 10, 1001))
    start = plots.through_the_weight(curve).patches[0].get_x()
    assert 1.9 < start < 2.1


def test_a_matrix_cell_carries_its_word():
    words = pd.DataFrame({"T1": ["holds", "changed"], "T9": ["fails", "holds"]}, index=["a", "b"])
    assert [text.get_text() for text in plots.theorem_matrix(words).texts] == ["holds", "fails", "changed", "holds"]


def test_shares_fill_the_whole_and_are_stacked_from_easy_to_hard():
    losses = [3.0, 0.1, 1.0]
    ax = plots.shares(distribution.probabilities("log", [0.5, 2.0, 8.0], losses), losses)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ℓ = 3", "ℓ = 1", "ℓ = 0.1"]
    assert max(path[:, 1].max() for area in ax.collections for path in [area.get_paths()[0].vertices]) == (
        pytest.approx(1)
    )


def test_every_other_figure_names_its_axes_and_lines():
    paces, losses = [0.3, 0.9, 3.0], np.linspace(0, 3, 30)
    curves = envelope.curves("log", paces, losses)
    sweep = distribution.sweep("log", paces, [0.1, 3.0], [0.1, 0.9])
    limit = pd.Series(2 / (1 + np.exp(losses)), index=losses)
    paths = envelope.curves("jiang-log", [0.2, 0.5, 0.9], [0.1, 0.3])
    drawn = [
        plots.one_weight("log", 2.0, 3.0).axes[0],
        plots.weights_by_pace(curves, dict.fromkeys(paces, 1.0)),
        plots.soft_minimum(curves),
        plots.gallery(dict.fromkeys("abcd", curves)).axes[1],
        *plots.breakers(curves, limit, paths).axes,
        *plots.entropies({"one": sweep}).axes,
        plots.activity([sweep, sweep]),
    ]
    assert all(ax.get_title(loc="left") and ax.get_legend() for ax in drawn)
    assert all(np.isfinite(line.get_ydata()).all() for ax in drawn for line in ax.lines)
