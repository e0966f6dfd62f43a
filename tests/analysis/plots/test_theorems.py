import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from analysis import plots
from analysis.theory import bias, equivalence, estimators, linear_rate, tracking


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_the_bound_ends_on_its_floor_and_the_shares_fill_the_bar():
    shares = pd.DataFrame({"fallen": [0.5, 0.2], "lambda": [0.2, 0.1], "generator": [0.3, 0.7]}, index=["a", "b"])
    left, right = plots.tracking_floor(tracking.floor([0.3], [1, 200]), shares).axes
    bound, floor = (line.get_ydata() for line in left.lines)
    assert bound[-1] == pytest.approx(floor[0], rel=0.01)
    assert [bar.get_x() + bar.get_width() for bar in right.patches[-2:]] == pytest.approx([1, 1])
    assert "70 %" in [text.get_text() for text in right.texts]


def test_no_run_is_above_its_promise():
    figure = plots.linear_rates({"log": linear_rate.compared("log", 1.5, steps=10)},
                                {0.5: linear_rate.climbs((0.02, 0.3), 0.5)})  # fmt: skip
    left, right = figure.axes
    run, promise = (line.get_ydata() for line in left.lines)
    assert (run <= promise + 1e-12).all()
    assert right.lines[0].get_ydata()[0] > 0 > right.lines[0].get_ydata()[1]


def test_posterior_means_lie_on_the_weight():
    priors = {name: estimators.prior(name, 2.0) for name in ("log", "cauchy")}
    figure = plots.weight_priors(priors, 2.0)
    for ax in figure.axes[2:]:
        weight, dots = ax.lines
        np.testing.assert_allclose(np.interp(dots.get_xdata(), weight.get_xdata(), weight.get_ydata()),
                                   dots.get_ydata(), atol=1e-3)  # fmt: skip


def test_all_pairs_lie_in_two_quarters():
    ax = plots.tp2_decides({"jiang-log": equivalence.moves("jiang-log", 200)})
    dots = ax.lines[0]
    assert (dots.get_xdata() * dots.get_ydata()).max() <= 1e-15
    assert dots.get_xdata().min() < 0 < dots.get_xdata().max()


def test_no_price_is_above_its_bound():
    prices = bias.prices("log", [1.0, 20.0], [0.0, 0.1, 4.0])
    left, right = plots.curriculum_price({"log": prices}, {"log": bias.approach("log", 2.0, 5.0, [2, 1000])}).axes
    price, bound = (line.get_ydata() for line in left.lines)
    assert (price <= bound + 1e-12).all()
    assert right.lines[0].get_ydata()[-1] == pytest.approx(1, abs=1e-2)
