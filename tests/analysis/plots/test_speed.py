"""The figure of speeds shows every measurement and leaves the place of a missing measurement empty."""

import matplotlib.pyplot as plt
import pytest

from analysis import plots

RATES = {"engine": [4.0, 6.0], "reference": [2.0, 2.0]}
OVER = {"reference": {"median": 2.5, "lowest": 2.0, "highest": 3.0, "n": 2}}
PAIR = {
    "speed": {"steps_per_second": RATES, "engine_over": OVER},
    "achieved": {"engine": {"gflops": 12.0}},
    "batches": {"by_size": {"128": {"steps_per_second": RATES}, "16": {"steps_per_second": RATES}}},
    "memory": {"mb": {"engine": {"before": 10.0, "peak": 30.0}, "reference": {"before": None, "peak": None}}},
    "ranks": {"steps_per_second": {"2": [6.0, 8.0], "1": [4.0, 4.0]}},
}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_every_repeat_is_a_point_and_the_ratio_has_its_spread():
    left, middle, right, ranks = plots.throughput({"a machine": {"lenet5": PAIR}}).axes
    assert [list(line.get_ydata()) for line in left.lines] == list(RATES.values())
    said = [line.get_label() for line in left.lines]
    assert said == ["engine, 12 GFLOP/s", "reference: engine 2.50 × as fast (2.00 to 3.00)"]
    assert left.get_title(loc="left") == "lenet5 on\na machine"
    assert [list(line.get_ydata()) for line in middle.lines] == [[16 * 5.0, 128 * 5.0], [32.0, 256.0]]
    assert [bar.get_height() for bar in right.patches] == [20.0, 0.0]
    assert [list(line.get_ydata()) for line in ranks.lines] == [[4.0, 7.0], [4.0, 8.0]]


def test_a_row_for_each_hardware_and_pair_whatever_was_measured_of_it():
    figure = plots.throughput({"one": {"a": PAIR, "b": {}}, "other": {"a": {"memory": PAIR["memory"]}}})
    assert len(figure.axes) == 12
    assert not figure.axes[4].lines
    assert len(figure.axes[10].patches) == 2
    assert [ax.get_visible() for ax in figure.axes] == [True] * 5 + [False] * 3 + [True, False, True, False]
